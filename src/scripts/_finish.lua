-- The end of a job that waits.  Needs _events, _end and _wait.

local function field(name, value)
    return name .. ' ' .. #value .. '\n' .. value .. '\n'
end

local function finish(job, us, cause, skip)
    local h = call('HMGET', P .. JOB .. job, 'tenant', 'class', 'attempt',
                   'tip', 'lst', 'flags', 'resume', 'result', 'at', 'base',
                   'bytes', 'started', 'large', 'lim', 'flight', 'paid')
    local tries = tonumber(h[3] or 0)
    local status, message = 499, 'The job was cancelled.'
    if cause == 'queue_timeout' then
        status, message = 503, 'The job waited too long for a free worker.'
    end
    local tokens = tries > 0 and '-\t-\t-\t-\t-' or '0\t0\t0\t0\t0'
    local queue_us = elapsed(h[9], tonumber(h[12]) or us)
    local usage = 'cancelled\t' .. status .. '\t-\t-\t-\t-\t' .. tokens
                  .. '\t0\t0\t-\t-\t' .. queue_us .. '\t' .. tries .. '\t'
                  .. cause
    local attempt, frames = tries + 1, ''
    if tries > 0 then
        append(job, attempt .. '-0', not h[4], 'a', '')
        frames = frame(attempt .. '-0', 'a', '')
    end
    local tip, text = attempt .. '-1', field('cause', cause)
                      .. field('message', message) .. field('usage', usage)
    append(job, tip, tries == 0, 'x', text)
    ring(h[5], 'E' .. job .. '\n' .. frames .. frame(tip, 'x', text), skip)
    unqueue(job, h[1], h[2], h[11])
    local lines = h[16] and usage .. h[16] .. '\n' .. usage or usage
    ledger(job, attempt, h[9], h[1], h[10], lines)
    call('HDEL', P .. SEEDING, h[1])
    close(job, 'cancelled', attempt, tip, usage, int(us),
          keep_ms(h[6], h[7], h[8]), true, h[13], h[1], h[14], lines)
    unflight(job, h[15])
end

-- Ends a job that nobody wants: at once where no worker has it, else by its
-- worker.  What an older attempt emitted is settled by its next worker.
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
