-- The end of a job without a worker: it waits, or nobody has it.  Needs
-- _events, _pump and _end.

local function field(name, value)
    return name .. ' ' .. #value .. '\n' .. value .. '\n'
end

local function finish(job, us, cause, skip)
    local h = call('HMGET', P .. JOB .. job, 'tenant', 'class', 'state',
                   'attempt', 'tip', 'lst', 'flags', 'resume', 'result', 'at',
                   'base', 'bytes', 'entry', 'started', 'large')
    local tenant, batch, tries = h[1], h[2] == 'batch', tonumber(h[4] or 0)
    local status, message = 499, 'The job was cancelled.'
    if cause == 'queue_timeout' then
        status, message = 503, 'The job waited too long for a free worker.'
    end
    local tokens = tries > 0 and '-\t-\t-\t-\t-' or '0\t0\t0\t0\t0'
    local queue_us = int((tonumber(h[14]) or us) - tonumber(h[10]))
    local usage = 'cancelled\t' .. status .. '\t-\t-\t-\t-\t' .. tokens
                  .. '\t0\t0\t-\t-\t' .. queue_us .. '\t' .. tries .. '\t'
                  .. cause
    local attempt, frames = tries + 1, ''
    if tries > 0 then
        append(job, attempt .. '-0', not h[5], 'a', '')
        frames = frame(attempt .. '-0', 'a', '')
    end
    local tip, text = attempt .. '-1', field('cause', cause)
                      .. field('message', message) .. field('usage', usage)
    append(job, tip, tries == 0, 'x', text)
    ring(h[6], 'E' .. job .. '\n' .. frames .. frame(tip, 'x', text), skip)
    if h[3] == 'waiting' then
        call('LREM', P .. (batch and BACKLOG_BATCH or BACKLOG) .. tenant,
             1, job)
        unwait(tenant, batch, tonumber(h[12]))
    else
        acknowledge(batch and JOBS_BATCH or JOBS, h[13])
        release(job, tenant)
    end
    ledger(job, attempt, h[10], tenant, h[11], usage)
    close(job, 'cancelled', attempt, tip, usage, int(us),
          keep_ms(h[7], h[8], h[9]), true, h[15])
    pump(us, PUMP_MAX, tenant)
end

-- Ends a job that nobody wants: at once where no worker has it, else by its
-- worker.  What an older attempt emitted is settled by the next claim.
local function cancel_job(job, us, h, reason, cause, skip)
    if h.state == 'running' or seq_of(h.tip) > 0 then
        call('HSETNX', P .. JOB .. job, 'cancel', reason)
        if h.state == 'running' then
            call('PUBLISH', P .. WORKER .. h.owner, 'X' .. job .. ' ' .. reason)
        end
        return 'CANCELLING'
    end
    finish(job, us, cause, skip)
    return 'CANCELLED'
end
