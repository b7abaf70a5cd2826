-- Jobs of workers that are gone go back to the queue.  Needs _end.

local function requeue(job, us, queue, entry, state)
    acknowledge(queue, entry)
    local next = call('XADD', P .. queue, '*', 'j', job)
    call('HSET', P .. JOB .. job, 'state', 'queued', 'entry', next)
    if state == 'running' then
        call('HSET', P .. JOB .. job, 'lost', '1', 'owner', '')
    end
end

-- At most `max` entries of a dead worker in each queue; the number of jobs,
-- and whether there is nothing left of it.
local function requeue_worker(worker, us, max)
    local n, clean = 0, true
    for _, queue in ipairs({ JOBS, JOBS_BATCH }) do
        local list = redis.pcall('XPENDING', P .. queue, GROUP, '-', '+', max,
                                 worker)
        for _, pending in ipairs(list) do
            local entry = pending[1]
            local e = call('XRANGE', P .. queue, entry, entry)[1]
            local job = e and e[2][2] or ''
            local h = call('HMGET', P .. JOB .. job, 'state', 'entry')
            if h[2] == entry
               and (h[1] == 'queued' or h[1] == 'running')
            then
                requeue(job, us, queue, entry, h[1])
                n = n + 1
            else
                acknowledge(queue, entry)
            end
        end
        if #list == max then
            clean = false
        elseif not list.err then
            call('XGROUP', 'DELCONSUMER', P .. queue, GROUP, worker)
        end
    end
    return n, clean
end
