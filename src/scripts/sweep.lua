-- One bounded pass over what the dead have left, what has gone astray, and
-- what waits.

-- @include events
-- @include slots
-- @include pump
-- @include end
-- @include finish
-- @include alive
-- @include requeue

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
local h = call('HMGET', P .. SWEEP, 'last', 'grace_until', 'slots', 'cursor')
local last, grace_until = tonumber(h[1]), tonumber(h[2] or 0)
local slots, cursor = tonumber(h[3] or 0), tonumber(h[4] or 0)
local did, requeued, cancelled, dead = 1, 0, 0, 0
local cutoff, left = ms - dead_ms, max

-- Jobs that wait, of at most `max` tenants a class.
local function waiting()
    local n = 0
    for zset, list in pairs({ [WAITING] = BACKLOG,
                              [WAITING_BATCH] = BACKLOG_BATCH })
    do
        for _, tenant in ipairs(call('ZRANGE', P .. zset, 0, max - 1)) do
            n = n + call('LLEN', P .. list .. tenant)
        end
    end
    return n
end

local function is_dead(worker)
    local score = call('ZSCORE', P .. ALIVE, 'w:' .. worker)
    return not score or tonumber(score) < cutoff
end

local function consumers()
    local names = {}
    for _, queue in ipairs({ JOBS, JOBS_BATCH }) do
        local list = redis.pcall('XINFO', 'CONSUMERS', P .. queue, GROUP)
        for _, c in ipairs(list) do
            names[c[2]] = true
        end
    end
    return names
end

local function bury()
    local names = consumers()
    for _, member in ipairs(call('ZRANGEBYSCORE', P .. ALIVE, '-inf',
                                 '(' .. cutoff, 'LIMIT', 0, max))
    do
        dead = dead + 1
        if member:sub(1, 2) == 'w:' then
            names[member:sub(3)] = true
        else
            call('ZREM', P .. ALIVE, member)
        end
    end
    for worker in pairs(names) do
        if left > 0 and is_dead(worker) then
            local n, seen, clean = requeue_worker(worker, us, left)
            requeued, left = requeued + n, left - seen - 1
            if clean then
                call('ZREM', P .. ALIVE, 'w:' .. worker)
            end
        end
    end
    for _, worker in ipairs(call('HKEYS', P .. CAPACITY)) do
        if is_dead(worker) then
            call('HDEL', P .. CAPACITY, worker)
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
        if (j[1] == 'waiting' or j[1] == 'queued' or j[1] == 'running')
           and j[4] == ''
        then
            cancel_unheard(job, j[1], j[2], j[3])
        end
    end
end

-- Each pass looks at one tenant, and at the next stretch of its backlog.
local function cancel_waiting(zset, list)
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
        local j = call('HMGET', P .. JOB .. job, 'state', 'lst', 'flags')
        if j[1] ~= 'waiting' then
            call('LREM', key, 1, job)
            unwait(tenant, zset == WAITING_BATCH, 0)
            left = left - deep
        elseif not j[3]:find('[rbc]') and silent(j[2], cutoff) then
            cancel_unheard(job, j[1])
            left = left - deep
        end
    end
end

local function mend_lease(member)
    local job, tenant = member:match('^(%S+) (.+)$')
    local j = call('HMGET', P .. JOB .. job, 'state', 'tip', 'owner', 'lst',
                   'flags', 'class', 'entry', 'cancel')
    local state, queue = j[1], j[6] == 'batch' and JOBS_BATCH or JOBS
    if state ~= 'queued' and state ~= 'running' then
        release(job, tenant)
        rescore(tenant, us)
        left = left - 1
    elseif state == 'running' and is_dead(j[3])
           or state == 'queued'
              and not call('XRANGE', P .. queue, j[7], j[7])[1]
    then
        requeue(job, us, queue, j[7], state)
        requeued, left = requeued + 1, left - 1
    elseif state == 'running' and not j[8] and not j[5]:find('[rbc]')
           and silent(j[4], cutoff)
    then
        cancel_unheard(job, state, j[2], j[3])
    end
end

local function mend_leases()
    local n = call('ZCARD', P .. LEASES)
    local from = 0
    if n > max then
        from = cursor * max % n
    end
    for _, member in ipairs(call('ZRANGE', P .. LEASES, from, from + max - 1))
    do
        if left <= 0 then
            return
        end
        mend_lease(member)
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
    if not last or ms - last > STALE_MS then
        grace_until = ms + grace_ms
    elseif ms >= grace_until then
        bury()
        end_graces()
        cancel_waiting(WAITING, BACKLOG)
        cancel_waiting(WAITING_BATCH, BACKLOG_BATCH)
        mend_leases()
    end
    slots = 0
    for _, n in ipairs(call('HVALS', P .. CAPACITY)) do
        slots = slots + tonumber(n)
    end
    call('HSET', P .. SWEEP, 'last', ms, 'grace_until', grace_until,
         'slots', slots, 'pressure', pressure(),
         'cursor', (cursor + 1) % 1000000000)
    pump(us, math.max(START_MIN, left))
end

return { 'OK', int(did), int(requeued), int(cancelled), int(dead), int(slots),
         int(waiting()), int(call('ZCARD', P .. LEASES)),
         int(call('XLEN', P .. OUTBOX)) }
