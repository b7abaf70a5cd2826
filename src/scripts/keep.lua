-- Keeps a complete answer under the hash that its admit named, before settle
-- ends the job: whoever has read the end finds it.

-- @include kept

local OVERHEAD = 512

local job, attempt, worker, model = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local usage, head, log, logged = ARGV[5], ARGV[6], ARGV[7], num(ARGV[8])
local o, s, v = ARGV[9], ARGV[10], ARGV[11]

if #ARGV ~= 11 or not logged
   or (log ~= '' and not log:find('^[osv] %x+$'))
then
    return wrong('arguments')
end

local h = call('HMGET', P .. JOB .. job, 'state', 'attempt', 'owner', 'share',
               'tenant', 'at')
if h[1] ~= 'running' or h[2] ~= attempt or h[3] ~= worker or not h[4] then
    return { 'NO' }
end

local sha, ttl, one, all = h[4]:match('^(%x+) %a+ %a %S+ (%d+) (%d+) (%d+)$')
ttl, one, all = tonumber(ttl), tonumber(one), tonumber(all)
local size = #usage + #head + #o + #s + #v + logged
local purged = call('HGET', P .. CACHE_SUM, 'purged')
if size > one or size == 0 or size + OVERHEAD > all
   or (purged and tonumber(h[6]) <= tonumber(purged))
then
    return { 'NO' }
end
size = size + OVERHEAD

local us, at = clock()
local ms = math.floor(us / 1000)
unkeep(sha)
if not make_room(ms, size, all) then
    return { 'NO' }
end

local key = P .. CACHE .. sha
call('HSET', key, 't', h[5], 'm', model, 'at', at, 'n', size,
     'ex', int(ms + ttl), 'u', usage, 'h', head)
if log ~= '' then
    local shape, etag = log:match('^(%a) (%x+)$')
    call('HSET', key, 'log', shape .. ' ' .. job .. ' ' .. etag)
end
if o ~= '' then
    call('HSET', key, 'o', o)
end
if s ~= '' then
    call('HSET', key, 's', s)
end
if v ~= '' then
    call('HSET', key, 'v', v)
end
call('PEXPIRE', key, ttl)
-- One that expired and was as large may be counted yet.
if call('ZADD', P .. CACHED, int(ms + ttl), sha .. ' ' .. size) == 1 then
    call('HINCRBY', P .. CACHE_SUM, 'bytes', size)
end
return { 'OK' }
