-- A worker or an edge says that it lives, and what it can hold.

-- @include slots
-- @include pump
-- @include end
-- @include alive
-- @include requeue

local BYE_MAX, START_MAX, CAPACITY_MAX = 128, 64, 100000

local kind, id, capacity, word = ARGV[1], ARGV[2], num(ARGV[3]), ARGV[4]

if #ARGV ~= 4 or (kind ~= 'w' and kind ~= 'e') then
    return wrong('kind')
end
if id == '' or #id > 64 or id:find('[^A-Za-z0-9.-]') then
    return wrong('id')
end
if not capacity or capacity > CAPACITY_MAX then
    return wrong('capacity')
end
if word ~= 'up' and word ~= 'drain' and word ~= 'bye' then
    return wrong('word')
end

local us = clock()
local ms = math.floor(us / 1000)
local member = kind .. ':' .. id

if word == 'bye' then
    call('ZREM', P .. ALIVE, member)
else
    call('ZADD', P .. ALIVE, ms, member)
end

local h = call('HMGET', P .. SWEEP, 'slots', 'last', 'grace_until')
local slots = tonumber(h[1] or 0)

if kind == 'w' then
    local old = tonumber(call('HGET', P .. CAPACITY, id) or -1)
    if word == 'bye' then
        requeue_worker(id, us, BYE_MAX)
        call('HDEL', P .. CAPACITY, id)
        capacity = -1
    else
        if word == 'drain' then
            capacity = 0
        end
        call('HSET', P .. CAPACITY, id, capacity)
    end
    if capacity ~= old then
        slots = 0
        for _, n in ipairs(call('HVALS', P .. CAPACITY)) do
            slots = slots + tonumber(n)
        end
        call('HSET', P .. SWEEP, 'slots', slots)
        pump(us, START_MAX)
    end
end
return { 'OK', int(slots), in_grace(h[2], h[3], ms) and '1' or '0' }
