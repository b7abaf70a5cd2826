-- The backlogs: jobs that wait for a slot, by tenant and class, and whose turn
-- is next (docs/wire.md, 5).
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

-- push: RPUSH, or LPUSH for one that had its turn already.
local function queue(job, tenant, batch, bytes, us, push)
    local zset = P .. (batch and WAITING_BATCH or WAITING)
    call(push, P .. (batch and BACKLOG_BATCH or BACKLOG) .. tenant, job)
    call('HINCRBY', P .. BACKLOG_BYTES, (batch and 'batch:' or '') .. tenant,
         bytes)
    if not call('ZSCORE', zset, tenant) then
        set_score(zset, tenant, call('SCARD', P .. RUNNING .. tenant),
                  turn_at(us))
    end
end

-- A job has left the tenant's backlog.
local function unwait(tenant, batch, bytes)
    local name = (batch and 'batch:' or '') .. tenant
    local left = call('HINCRBY', P .. BACKLOG_BYTES, name, 0 - bytes)
    if call('EXISTS', P .. BACKLOG .. name) == 0 then
        call('ZREM', P .. (batch and WAITING_BATCH or WAITING), tenant)
        left = 0
    end
    if left <= 0 then
        call('HDEL', P .. BACKLOG_BYTES, name)
    end
end

local function unqueue(job, tenant, batch, bytes)
    call('LREM', P .. (batch and BACKLOG_BATCH or BACKLOG) .. tenant, 1, job)
    unwait(tenant, batch, tonumber(bytes or 0))
end
