-- A worker or an edge says that it lives, and what it can hold.

-- @include hand
-- @include crew
-- @include alive
-- @include events
-- @include end
-- @include wait
-- @include finish
-- @include last
-- @include pump
-- @include requeue

local BYE_MAX, START_MAX, CAPACITY_MAX, LIST_MS = 128, 64, 100000, 300

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
if word ~= 'up' and word ~= 'drain' and word ~= 'dead' and word ~= 'bye' then
    return wrong('word')
end

local us = clock()
local ms = math.floor(us / 1000)
local member = kind .. ':' .. id

if word == 'bye' or word == 'dead' then
    call('ZREM', P .. ALIVE, member)
else
    call('ZADD', P .. ALIVE, ms, member)
end

local h = call('HMGET', P .. SWEEP, 'slots', 'last', 'grace_until', 'listed',
               'workers')
local slots, listed, held = tonumber(h[1] or 0), h[5] or '', 0

if kind == 'w' then
    if word == 'bye' then
        -- One that goes in order took no more jobs before.
        local died = call('HGET', P .. CAPACITY, id) ~= '0'
        local _, _, clean = requeue_worker(id, us, BYE_MAX, died)
        if clean then
            call('HDEL', P .. CAPACITY, id)
        else
            call('HSET', P .. CAPACITY, id, 0)
        end
    elseif word ~= 'dead' then
        held = call('SCARD', P .. HELD .. id)
        call('HSET', P .. CAPACITY, id, word == 'up' and capacity or 0)
    end
end

local age = ms - tonumber(h[4] or 0)
local _, stop = ('\n' .. listed):find('\n' .. id .. ' ', 1, true)
local was = stop and tonumber(listed:match('^%d+', stop)) or 0
if age >= LIST_MS or age < 0
   or kind == 'w' and was ~= (word == 'up' and capacity or 0)
then
    slots = muster(ms)
end
if kind == 'w' and word ~= 'dead' then
    pump(us, START_MAX)
end
return { 'OK', int(slots), in_grace(h[2], h[3], ms) and '1' or '0', int(held) }
