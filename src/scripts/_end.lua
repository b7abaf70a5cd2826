-- How a job ends: state, expiry, slot, ledger.

-- One ledger record a provider call; the first line is the job's own and
-- stands for the call where there was one.  What an earlier attempt paid says
-- so before its usage: "<attempt> <call> "; where the record's own attempt is
-- that one, its calls come behind.
local function ledger(job, attempt, at, tenant, base, lines)
    local first = lines:find('\n', 1, true)
    if not first then
        call('XADD', P .. OUTBOX, '*', 'j', job, 'a', attempt, 'c', '0',
             't', at, 'n', tenant, 'b', base, 'u', lines)
        return
    end
    local n, pos = 0, first + 1
    while pos do
        local stop = lines:find('\n', pos, true)
        local line = lines:sub(pos, stop and stop - 1)
        local of, c, usage = line:match('^(%d+) (%d+) (.*)$')
        call('XADD', P .. OUTBOX, '*', 'j', job, 'a', of or attempt,
             'c', c or n, 't', at, 'n', tenant, 'b', base, 'u', usage or line)
        if not of then
            n = n + 1
        elseif tonumber(of) == tonumber(attempt) then
            n = math.max(n, c + 1)
        end
        pos = stop and stop + 1
    end
end

-- The longest of what applies, where the caller has no wish.
local function keep_ms(flags, resume, result)
    if flags == '' or flags == 's' then
        return '30000'
    end
    local ms = 30000
    if flags:find('r', 1, true) then
        ms = math.max(ms, tonumber(resume))
    end
    if flags:find('b', 1, true) then
        ms = math.max(ms, tonumber(result))
    end
    return ms
end

local function unreserve(job, tenant, lim, lines)
    -- @include return
    give_back(job, tenant, lim, lines)
end

-- `log`: the events, where they are in no Stream; `lim`: the job's field, and
-- `lines` what the ledger gets.
local function close(job, state, attempt, tip, usage, fin, ttl, grace, large,
                     tenant, lim, lines, log)
    local key = P .. JOB .. job
    if lim then
        unreserve(job, tenant, lim, lines)
    end
    if log then
        call('HSET', key, 'state', state, 'attempt', attempt, 'tip', tip,
             'usage', usage, 'fin', fin, 'body', '', 'log', log)
    else
        call('HSET', key, 'state', state, 'attempt', attempt, 'tip', tip,
             'usage', usage, 'fin', fin, 'body', '')
        call('PEXPIRE', P .. EV .. job, ttl)
    end
    if large then
        call('UNLINK', P .. BODY .. job)
    end
    call('PEXPIRE', key, ttl)
    if grace then
        call('ZREM', P .. GRACE, job)
    end
end

-- Nobody joins it any more.
local function unflight(job, name)
    if name and call('GET', P .. FLIGHT .. name) == job then
        call('DEL', P .. FLIGHT .. name)
    end
end

local function release(job, tenant, worker)
    call('SREM', P .. HELD .. worker, job .. ' ' .. tenant)
    call('SREM', P .. RUNNING .. tenant, job)
end
