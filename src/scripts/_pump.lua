-- Who gets the next slot, and what it gets with it (docs/wire.md, 5).  Needs
-- _hand, _wait, _events, _alive, _end, _finish and _last.

local PUMP_MAX, ATTEMPTS_MAX, PICK_MAX = 16, 3, 63

-- While a slot is free, no two tenants can both be at their share, but for
-- what they hold of workers that take no more: the two lowest are enough, and
-- some more where they are not.
local function pick(zset, most, from, to)
    for _, tenant in ipairs(call('ZRANGE', zset, from or 0, to or 1)) do
        if call('SCARD', P .. RUNNING .. tenant) < most then
            return tenant
        end
    end
    return not from and pick(zset, most, 2, PICK_MAX) or nil
end

-- The job is this worker's from now on; a later attempt is marked in the log.
local function own(job, tenant, worker, attempt, started, cause, tip, lst)
    local key = P .. JOB .. job
    call('HSET', key, 'state', 'running', 'owner', worker, 'attempt', attempt,
         'started', started)
    if cause then
        call('HSET', key, 'end', cause)
    end
    hold(job, tenant, worker)
    if attempt > 1 then
        local mark = attempt .. '-0'
        call('HSET', key, 'tip', mark)
        append(job, mark, not tip, 'a', '')
        if not tip then
            expire_log(job)
        end
        ring(lst, 'E' .. job .. '\n' .. frame(mark, 'a', ''))
    end
end

-- What an older attempt emitted, its next worker only settles.
local function cause_of(cause, cancel, tip, attempts)
    if cause then
        return cause
    elseif cancel then
        return 'cancelled'
    elseif seq_of(tip) > 0 then
        return 'lost'
    elseif attempts >= ATTEMPTS_MAX then
        return 'attempts'
    end
end

-- The edge of a young job lived when it was admitted.
local function unheard(us, at, tip, cause, flags, lst)
    local ms = math.floor(us / 1000)
    if us - at > DEAD_MS * 1000 and seq_of(tip) == 0 and not cause
       and not flags:find('[rbc]') and silent(lst, ms - DEAD_MS)
    then
        local s = call('HMGET', P .. SWEEP, 'last', 'grace_until')
        return not in_grace(s[1], s[2], ms)
    end
end

-- The next job of a tenant's backlog: 'gone' where it was none any more,
-- 'started', or nil where no worker takes it.
local function start(job, tenant, class, us, workers, deaf, first)
    local h = call('HMGET', P .. JOB .. job, 'state', 'bytes', 'spec', 'body',
                   'at', 'attempt', 'tip', 'cancel', 'lst', 'flags', 'end',
                   'started', 'pieces', 'spared')
    local attempt, tip, cause = tonumber(h[6] or 0), h[7], h[11]
    local spared = tonumber(h[14] or 0)
    if h[1] ~= 'waiting' then
        unqueue(job, tenant, class, h[2])
        return 'gone'
    end
    if unheard(us, h[5], tip, cause, h[10], h[9]) then
        finish(job, us, 'cancelled')
        return 'gone'
    end
    cause, attempt = cause_of(cause, h[8], tip, attempt - spared), attempt + 1
    if attempt > 1 and class ~= 'last' then
        first = scatter(workers, job, deaf) or first
    end
    local started = cause and h[12] or int(us)
    local worker = hand(workers, us,
        delivery(job, attempt, cause or '-', h[5], elapsed(h[5], started), h[2],
                 h[13] or '0', h[3], not cause and h[4] or ''), deaf, first)
    if worker then
        unqueue(job, tenant, class, h[2])
        own(job, tenant, worker, attempt, started, cause, tip, h[9])
        if class == 'last' then
            suspect(worker, job, us, spared)
            deaf[worker] = true
        end
        return 'started'
    end
end

-- Starts at most `max` waiting jobs.  True where `mine` was among them.
local function pump(us, max, freed, mine)
    if not anybody_waits() then
        return false
    end
    if freed then
        rescore(freed, us)
    end
    local s = call('HMGET', P .. SWEEP, 'slots', 'workers', 'leaving')
    local slots, workers, leaving = tonumber(s[1] or 0), s[2] or '', s[3] or ''
    local got_mine, deaf = false, {}
    local barred = call('EXISTS', P .. WAITING_LAST) == 1 and suspected(us)
    while max > 0 do
        local class, tenant, not_to = 'last', nil, barred
        local most = share_now(slots, workers, leaving)
        local worker = barred and choose(workers, us, barred)
        if worker then
            tenant = pick(P .. WAITING_LAST, most)
        end
        if not tenant then
            barred, not_to = nil, deaf
            worker = choose(workers, us, deaf)
            if not worker then
                break
            end
            class, tenant = 'interactive', pick(P .. WAITING, most)
        end
        if not tenant and call('EXISTS', P .. WAITING_BATCH) == 1
           and reserve_free(slots, workers)
        then
            class, tenant = 'batch', pick(P .. WAITING_BATCH, most)
        end
        if not tenant then
            break
        end
        local lane = LANES[class]
        local job = call('LINDEX', P .. lane[2] .. tenant, 0)
        if not job then
            unwait(tenant, class, 0)
        else
            local got = start(job, tenant, class, us, workers, not_to, worker)
            if not got and class ~= 'last' then
                break
            end
            got_mine = got_mine or got == 'started' and job == mine
        end
        rescore(tenant, us, lane[1])
        max = max - 1
    end
    return got_mine
end
