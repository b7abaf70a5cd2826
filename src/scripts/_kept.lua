-- How many bytes all kept answers have, and which go (docs/wire.md, 5: keep).
--
-- `P cached`: "<sha256> <bytes>" by the ms at which each expires, in which
-- order they also go; `P cache_sum`: `bytes` of all, `purged` µs.

local HEAL, EVICT, UNKEEP_MS = 8, 8, '60000'

local function uncount(member)
    if call('ZREM', P .. CACHED, member) == 1 then
        call('HINCRBY', P .. CACHE_SUM, 'bytes',
             0 - tonumber(member:match('%d+$')))
    end
end

-- An answer that is no longer kept; who reads its log now reads it to the end.
local function unkeep(sha)
    local c = call('HMGET', P .. CACHE .. sha, 'n', 'log')
    if c[1] then
        uncount(sha .. ' ' .. c[1])
        call('UNLINK', P .. CACHE .. sha)
        local id = (c[2] or ''):match('^%a (%S+)')
        if id then
            call('PEXPIRE', P .. EV .. id, UNKEEP_MS, 'LT')
            call('PEXPIRE', P .. JOB .. id, UNKEEP_MS, 'LT')
        end
    end
end

-- What expired by itself is no longer counted; then those that expire next go
-- until there is room for `size`.  Few a call: true where there is now.
local function make_room(ms, size, all)
    for _, member in ipairs(call('ZRANGEBYSCORE', P .. CACHED, '-inf', ms,
                                 'LIMIT', 0, HEAL))
    do
        uncount(member)
    end
    for _ = 1, EVICT do
        if tonumber(call('HGET', P .. CACHE_SUM, 'bytes') or 0) + size <= all
        then
            return true
        end
        local member = call('ZRANGE', P .. CACHED, 0, 0)[1]
        if not member then
            call('HDEL', P .. CACHE_SUM, 'bytes')
            return true
        end
        unkeep(member:match('^%x+'))
        uncount(member)
    end
    return tonumber(call('HGET', P .. CACHE_SUM, 'bytes') or 0) + size <= all
end
