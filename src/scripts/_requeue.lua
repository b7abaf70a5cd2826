-- Jobs of workers that are gone go back to the backlog, ahead of those that
-- have not had a turn.  Needs _wait and _end.

local function requeue(job, tenant, worker, us, h)
    release(job, tenant, worker)
    call('HSET', P .. JOB .. job, 'state', 'waiting', 'owner', '')
    queue(job, tenant, h[3] == 'batch', h[4], us, 'LPUSH')
end

-- At most `max` of what a dead worker holds; the number of jobs, of members,
-- and whether there is nothing left of it.
local function requeue_worker(worker, us, max)
    local key, n, tenants = P .. HELD .. worker, 0, {}
    local list = call('SRANDMEMBER', key, max)
    for _, member in ipairs(list) do
        local job, tenant = member:match('^(%S+) (.+)$')
        local h = call('HMGET', P .. JOB .. job, 'state', 'owner', 'class',
                       'bytes')
        if h[1] == 'running' and h[2] == worker then
            requeue(job, tenant, worker, us, h)
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
    return n, #list, call('EXISTS', key) == 0
end
