-- The backlogs: jobs that wait for a slot, by tenant and class, and whose turn
-- is next (docs/wire.md, 5).
--
-- A waiting tenant's score is its occupancy by weight, in sixteenths, and
-- below that the time of its last turn in 4 ms, so that of equals the one that
-- was passed over longest is next.

local TURN, LOAD_MAX = 68719476736, 131071

-- By a job's class: zset, list, and what its field of bytes begins with.
local LANES = {
    interactive = { WAITING, BACKLOG, '' },
    batch = { WAITING_BATCH, BACKLOG_BATCH, 'batch:' },
    last = { WAITING_LAST, BACKLOG_LAST, 'last:' }
}

local function anybody_waits()
    return call('EXISTS', P .. WAITING, P .. WAITING_BATCH, P .. WAITING_LAST)
           > 0
end

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
    for _, name in ipairs({ WAITING, WAITING_BATCH, WAITING_LAST }) do
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

-- push: RPUSH, or LPUSH for one that had its turn already.
local function queue(job, tenant, class, bytes, us, push)
    local lane = LANES[class]
    call(push, P .. lane[2] .. tenant, job)
    call('HINCRBY', P .. BACKLOG_BYTES, lane[3] .. tenant, bytes)
    if not call('ZSCORE', P .. lane[1], tenant) then
        set_score(P .. lane[1], tenant, call('SCARD', P .. RUNNING .. tenant),
                  turn_at(us))
    end
end

-- A job has left the tenant's backlog.
local function unwait(tenant, class, bytes)
    local lane = LANES[class]
    local left = call('HINCRBY', P .. BACKLOG_BYTES, lane[3] .. tenant,
                      0 - bytes)
    if call('EXISTS', P .. lane[2] .. tenant) == 0 then
        call('ZREM', P .. lane[1], tenant)
        left = 0
    end
    if left <= 0 then
        call('HDEL', P .. BACKLOG_BYTES, lane[3] .. tenant)
    end
end

local function unqueue(job, tenant, class, bytes)
    call('LREM', P .. LANES[class][2] .. tenant, 1, job)
    unwait(tenant, class, tonumber(bytes or 0))
end
