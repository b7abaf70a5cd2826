-- Jobs of workers that are gone go back to the queue.  Needs _end.

local function requeue(job, us, queue, entry, state)
    acknowledge(queue, entry)
    local next = call('XADD', P .. queue, '*', 'j', job)
    call('HSET', P .. JOB .. job, 'state', 'queued', 'entry', next)
    if state == 'running' then
        call('HSET', P .. JOB .. job, 'lost', '1', 'owner', '')
    end
end

-- At most `max` entries of a dead worker; the number of jobs, of entries, and
-- whether there is nothing left of it.  A job that runs elsewhere under an
-- entry that this worker was handed again goes to its owner's list.
local function requeue_worker(worker, us, max)
    local n, seen, clean = 0, 0, true
    for _, queue in ipairs({ JOBS, JOBS_BATCH }) do
        if seen >= max then
            return n, seen, false
        end
        local most = max - seen
        local list = redis.pcall('XPENDING', P .. queue, GROUP, '-', '+', most,
                                 worker)
        seen = seen + #list
        for _, pending in ipairs(list) do
            local entry = pending[1]
            local e = call('XRANGE', P .. queue, entry, entry)[1]
            local job = e and e[2][2] or ''
            local h = call('HMGET', P .. JOB .. job, 'state', 'entry', 'owner')
            if h[2] == entry and h[1] == 'running' and h[3] ~= worker then
                call('XCLAIM', P .. queue, GROUP, h[3], 0, entry, 'JUSTID')
            elseif h[2] == entry
               and (h[1] == 'queued' or h[1] == 'running')
            then
                requeue(job, us, queue, entry, h[1])
                n = n + 1
            else
                acknowledge(queue, entry)
            end
        end
        if #list == most then
            clean = false
        elseif not list.err then
            call('XGROUP', 'DELCONSUMER', P .. queue, GROUP, worker)
        end
    end
    return n, seen, clean
end
