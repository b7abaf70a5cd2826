-- Who gets the next slot (docs/wire.md, 5).  Needs _slots.
--
-- A waiting tenant's score is its occupancy by weight, in sixteenths, and
-- below that the time of its last turn in 4 ms, so that of equals the one that
-- was passed over longest is next.

local TURN, LOAD_MAX = 68719476736, 131071

local function turn_at(us)
    return math.floor(us / 4000) % TURN
end

local function set_score(zset, tenant, occupied, turn)
    local weight = tonumber(call('HGET', P .. WEIGHTS, tenant) or 1)
    if not weight or not (weight > 0) then
        weight = 1
    end
    local load = math.min(LOAD_MAX, math.floor(occupied * 16 / weight))
    call('ZADD', zset, load * TURN + turn, tenant)
end

-- The tenant's occupancy changed; had_turn is the zset where it was served.
local function rescore(tenant, us, had_turn)
    local occupied
    for _, name in ipairs({ WAITING, WAITING_BATCH }) do
        local zset = P .. name
        local score = call('ZSCORE', zset, tenant)
        if score then
            occupied = occupied or call('SCARD', P .. RUNNING .. tenant)
            local turn = tonumber(score) % TURN
            if name == had_turn then
                turn = turn_at(us)
            end
            set_score(zset, tenant, occupied, turn)
        end
    end
end

-- A job has left the tenant's backlog.
local function unwait(tenant, batch, bytes)
    local field = (batch and 'batch:' or '') .. tenant
    local left = call('HINCRBY', P .. BACKLOG_BYTES, field, 0 - bytes)
    if call('EXISTS', P .. BACKLOG .. field) == 0 then
        call('ZREM', P .. (batch and WAITING_BATCH or WAITING), tenant)
        left = 0
    end
    if left <= 0 then
        call('HDEL', P .. BACKLOG_BYTES, field)
    end
end

-- While a slot is free, no two tenants can both be at their share: the two
-- lowest are enough.
local function pick(zset, most)
    for _, tenant in ipairs(call('ZRANGE', zset, 0, 1)) do
        if call('SCARD', P .. RUNNING .. tenant) < most then
            return tenant
        end
    end
end

-- Starts at most `max` waiting jobs.  True where `mine` was among them.
local function pump(us, max, freed, mine)
    if call('EXISTS', P .. WAITING, P .. WAITING_BATCH) == 0 then
        return false
    end
    if freed then
        rescore(freed, us)
    end
    local slots = tonumber(call('HGET', P .. SWEEP, 'slots') or 0)
    local held, most = call('ZCARD', P .. LEASES), share(slots)
    local started = false
    while max > 0 and held < slots do
        local batch, tenant = false, pick(P .. WAITING, most)
        if not tenant and held < most then
            batch, tenant = true, pick(P .. WAITING_BATCH, most)
        end
        if not tenant then
            break
        end
        local bytes = 0
        local job = call('LPOP',
                         P .. (batch and BACKLOG_BATCH or BACKLOG) .. tenant)
        if job then
            local key = P .. JOB .. job
            local h = call('HMGET', key, 'state', 'bytes')
            bytes = tonumber(h[2] or 0)
            if h[1] == 'waiting' then
                local queue = batch and JOBS_BATCH or JOBS
                local entry = dispatch(job, tenant, queue, int(us))
                call('HSET', key, 'state', 'queued', 'entry', entry)
                held = held + 1
                started = started or job == mine
            end
        end
        unwait(tenant, batch, bytes)
        rescore(tenant, us, batch and WAITING_BATCH or WAITING)
        max = max - 1
    end
    return started
end
