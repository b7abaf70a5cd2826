-- Jobs of workers that are gone go back to the backlog, ahead of those that
-- have not had a turn.  Needs _wait, _end, _pump and _last.

-- h: state, owner, class, bytes, attempt, tip, cancel, end, spared.
local function requeue(job, tenant, worker, us, h, blamed)
    local class, attempt, spared = h[3], tonumber(h[5]), tonumber(h[9] or 0)
    local cause = cause_of(h[8], h[7], h[6], 0)
    release(job, tenant, worker)
    if class == 'last' and not cause and blamed ~= job and spared < SPARED_MAX
    then
        spared = spared + 1
        call('HSET', P .. JOB .. job, 'spared', spared)
    end
    if not cause and attempt - spared == ATTEMPTS_MAX - 1 then
        class = 'last'
    elseif class == 'last' then
        class = 'interactive'
    end
    call('HSET', P .. JOB .. job, 'state', 'waiting', 'class', class)
    queue(job, tenant, class, h[4], us, 'LPUSH')
end

-- At most `max` of what a worker holds that is dead, or has gone in order; the
-- number of jobs, of members, and whether there is nothing left of it.
local function requeue_worker(worker, us, max, died)
    local blamed = died and blame(worker)
    local key, n, tenants = P .. HELD .. worker, 0, {}
    local list = call('SRANDMEMBER', key, max)
    for _, member in ipairs(list) do
        local job, tenant = member:match('^(%S+) (.+)$')
        local h = call('HMGET', P .. JOB .. job, 'state', 'owner', 'class',
                       'bytes', 'attempt', 'tip', 'cancel', 'end', 'spared')
        if h[1] == 'running' and h[2] == worker then
            requeue(job, tenant, worker, us, h, blamed)
            n = n + 1
        elseif h[1] == 'running' then
            call('SREM', key, member)
        else
            release(job, tenant, worker)
        end
        tenants[tenant] = true
    end
    for tenant in pairs(tenants) do
        rescore(tenant, us)
    end
    local clean = call('EXISTS', key) == 0
    if clean then
        call('HDEL', P .. SUSPECTS, worker)
    end
    return n, #list, clean
end
