-- One bounded pass over what the dead have left, what has gone astray, and
-- what waits.

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
-- @include fair

-- What is done in one pass shares `left`, a unit of about 15 us: Redis serves
-- nobody else meanwhile.  A pass always starts some of those that wait.
local EVERY_MS, MAX, CANCEL, START_MIN = 500, 1000, 2, 16
local LREM_UNIT = 1000

local dead_ms, grace_ms = num(ARGV[2]), num(ARGV[3])
local max, percent = num(ARGV[4]), num(ARGV[5])

if #ARGV ~= 5 or not (dead_ms and grace_ms and max and percent)
   or max == 0 or max > MAX or percent > 100
then
    return wrong('number')
end

local us = clock()
local ms = math.floor(us / 1000)
local h = call('HMGET', P .. SWEEP, 'last', 'grace_until', 'slots', 'cursor',
               'scan')
local last, grace_until = tonumber(h[1]), tonumber(h[2] or 0)
local slots, cursor = tonumber(h[3] or 0), tonumber(h[4] or 0)
local did, requeued, cancelled, dead = 1, 0, 0, 0
local cutoff, left = ms - dead_ms, max

-- What all hold together, the dying and the leaving too.
local function held_by_all()
    local n = 0
    for _, worker in ipairs(call('HKEYS', P .. CAPACITY)) do
        n = n + call('SCARD', P .. HELD .. worker)
    end
    return n
end

-- Jobs that wait, of at most `max` tenants a class, and those tenants.
local function waiting()
    local sum, counts = 0, {}
    for class, lane in pairs(LANES) do
        local n = 0
        for _, tenant in ipairs(call('ZRANGE', P .. lane[1], 0, max - 1)) do
            n = n + call('LLEN', P .. lane[2] .. tenant)
        end
        counts[#counts + 1], counts[#counts + 2] = class .. '_jobs', n
        counts[#counts + 1] = class .. '_tenants'
        counts[#counts + 1] = call('ZCARD', P .. lane[1])
        sum = sum + n
    end
    return sum, counts
end

-- The clock was: nobody has beaten later than now.
local function set_back()
    for _, member in ipairs(call('ZRANGEBYSCORE', P .. ALIVE,
                                 '(' .. int(ms + STALE_MS), '+inf', 'LIMIT', 0,
                                 max))
    do
        call('ZADD', P .. ALIVE, ms, member)
    end
end

-- Or a turn in the future would be behind all that others have until then; who
-- holds something is next by that soon enough.
local function mend_turns()
    local now = turn_at(us)
    for _, lane in pairs(LANES) do
        for _, tenant in ipairs(call('ZRANGEBYSCORE', P .. lane[1],
                                     '(' .. int(now), '(' .. int(TURN),
                                     'LIMIT', 0, max))
        do
            call('ZADD', P .. lane[1], now, tenant)
        end
    end
end

local function is_dead(worker)
    local score = call('ZSCORE', P .. ALIVE, 'w:' .. worker)
    return not score or tonumber(score) < cutoff
end

local function bury()
    local workers = {}
    for _, name in ipairs(call('HKEYS', P .. CAPACITY)) do
        workers[name] = true
    end
    for _, member in ipairs(call('ZRANGEBYSCORE', P .. ALIVE, '-inf',
                                 '(' .. cutoff, 'LIMIT', 0, max))
    do
        dead = dead + 1
        if member:sub(1, 2) == 'w:' then
            workers[member:sub(3)] = true
        else
            call('ZREM', P .. ALIVE, member)
        end
    end
    for worker in pairs(workers) do
        if left > 0 and is_dead(worker) then
            local n, seen, clean = requeue_worker(worker, us, left, true)
            requeued, left = requeued + n, left - seen - 1
            if clean then
                call('ZREM', P .. ALIVE, 'w:' .. worker)
                call('HDEL', P .. CAPACITY, worker)
            end
        end
    end
end

local function cancel_unheard(job, state, tip, owner)
    cancel_job(job, us, { state = state, tip = tip, owner = owner },
               'disconnect', 'cancelled')
    cancelled, left = cancelled + 1, left - CANCEL
end

local function end_graces()
    if left <= 0 then
        return
    end
    for _, job in ipairs(call('ZRANGEBYSCORE', P .. GRACE, '-inf', ms, 'LIMIT',
                              0, math.ceil(left / CANCEL)))
    do
        local j = call('HMGET', P .. JOB .. job, 'state', 'tip', 'owner',
                       'lst')
        call('ZREM', P .. GRACE, job)
        if (j[1] == 'waiting' or j[1] == 'running') and j[4] == '' then
            cancel_unheard(job, j[1], j[2], j[3])
        end
    end
end

-- Each pass looks at one tenant, and at the next stretch of its backlog.
local function cancel_waiting(class)
    local zset, list = LANES[class][1], LANES[class][2]
    local tenants = call('ZCARD', P .. zset)
    if tenants == 0 then
        return
    end
    local i = cursor % tenants
    local tenant = call('ZRANGE', P .. zset, i, i)[1]
    local key = P .. list .. tenant
    local n, from = call('LLEN', key), 0
    if n > max then
        from = math.floor(cursor / tenants) * max % n
    end
    for i, job in ipairs(call('LRANGE', key, from, from + max - 1)) do
        if left <= 0 then
            return
        end
        local deep = math.floor((from + i) / LREM_UNIT)
        local j = call('HMGET', P .. JOB .. job, 'state', 'lst', 'flags', 'tip',
                       'cancel')
        if j[1] ~= 'waiting' then
            call('LREM', key, 1, job)
            unwait(tenant, class, 0)
            left = left - deep
        elseif not j[5] and not j[3]:find('[rbc]') and silent(j[2], cutoff)
        then
            cancel_unheard(job, j[1], j[4])
            left = left - deep
        end
    end
end

local function mend(worker, member)
    local job, tenant = member:match('^(%S+) (.+)$')
    local j = call('HMGET', P .. JOB .. job, 'state', 'tip', 'owner', 'lst',
                   'flags', 'cancel')
    if j[1] ~= 'running' then
        release(job, tenant, worker)
        rescore(tenant, us)
        left = left - 1
    elseif j[3] ~= worker then
        call('SREM', P .. HELD .. worker, member)
        left = left - 1
    elseif not j[6] and not j[5]:find('[rbc]') and silent(j[4], cutoff) then
        cancel_unheard(job, j[1], j[2], worker)
    end
end

-- Looks at about `max` of what workers hold, one worker after the other, and
-- goes on there in the next pass.
local function mend_held()
    local workers = call('HKEYS', P .. CAPACITY)
    local i, at = (h[5] or ''):match('^(%d+) (%d+)$')
    local turns, seen = #workers, 0
    i, at = tonumber(i or 0), at or '0'
    table.sort(workers)
    while turns > 0 and seen < max and left > 0 do
        local worker = workers[i % #workers + 1]
        local got = call('SSCAN', P .. HELD .. worker, at, 'COUNT', max - seen)
        for _, member in ipairs(got[2]) do
            if left > 0 then
                mend(worker, member)
            end
            seen = seen + 1
        end
        at = got[1]
        if at == '0' then
            i, turns = (i + 1) % #workers, turns - 1
        end
    end
    call('HSET', P .. SWEEP, 'scan', int(i) .. ' ' .. at)
end

-- At most one a worker.
local function mend_suspects()
    local all = call('HGETALL', P .. SUSPECTS)
    for i = 1, #all, 2 do
        local job = all[i + 1]:match('^%S+')
        local j = call('HMGET', P .. JOB .. job, 'state', 'owner', 'tip')
        if j[1] ~= 'running' or j[2] ~= all[i] or seq_of(j[3]) > 0 then
            unsuspect(all[i], job)
        end
    end
end

local function pressure()
    local text = redis.pcall('INFO', 'memory')
    if type(text) ~= 'string' then
        return 0
    end
    local used = tonumber(text:match('\nused_memory:(%d+)'))
    local most = tonumber(text:match('\nmaxmemory:(%d+)'))
    return most > 0 and used * 100 >= most * percent and 1 or 0
end

if last and ms - last < EVERY_MS and ms >= last then
    did = 0
else
    if not last or math.abs(ms - last) > STALE_MS then
        grace_until = ms + grace_ms
        set_back()
    elseif ms >= grace_until then
        bury()
        end_graces()
        cancel_waiting('interactive')
        cancel_waiting('batch')
        cancel_waiting('last')
        mend_held()
        mend_suspects()
    end
    slots = muster(ms)
    mend_turns()
    call('HSET', P .. SWEEP, 'last', ms, 'grace_until', grace_until,
         'pressure', pressure(), 'cursor', (cursor + 1) % 1000000000)
    pump(us, math.max(START_MIN, left))
    local _, counts = waiting()
    call('HSET', P .. SWEEP, 'held', held_by_all(),
         'jain', jain(last and ms - last or 0, slots), unpack(counts))
end

return { 'OK', int(did), int(requeued), int(cancelled), int(dead), int(slots),
         int((waiting())), int(held_by_all()), int(call('XLEN', P .. OUTBOX)) }
