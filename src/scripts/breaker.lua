-- What workers keep of breakers: which are open, for those that come later;
-- and the permit to try one, which only who has it gives back.

local FIELDS_MAX, KEEP_MS = 1024, '600000'

local what, name, value = ARGV[1], ARGV[2], ARGV[3]

if #ARGV ~= 3 or #name > 1024 or #value > 256 then
    return wrong('arguments')
end

if what == 'give' then
    if not name:find('^%x+$') or #name ~= 16 then
        return wrong('permit')
    end
    local key = P .. BREAKERS .. ':' .. name
    if call('GET', key) ~= value then
        return { 'NO' }
    end
    call('DEL', key)
    return { 'OK' }
end

if what ~= 'open' or not value:find('^%d+ %d+$') then
    return wrong('breaker')
end

-- What is over makes room: who would take it away may be dead.
local key = P .. BREAKERS
local n = #call('HKEYS', key)
if n >= FIELDS_MAX and not call('HGET', key, name) then
    local all, now = call('HGETALL', key), floor(clock() / 1000)
    for i = 1, #all, 2 do
        local till = tonumber(all[i + 1]:match('^%d+')) or 0
        if till < now then
            call('HDEL', key, all[i])
            n = n - 1
        end
    end
    if n >= FIELDS_MAX then
        return { 'FULL' }
    end
end
call('HSET', key, name, value)
call('PEXPIRE', key, KEEP_MS)
return { 'OK' }
