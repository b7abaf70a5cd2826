-- Jobs at their last attempt (docs/wire.md, 5): each may be what killed the
-- workers that had it.  A worker is given one at a time, its suspect, and when
-- it dies that one alone has had its last attempt.
--
-- `P suspects` has of a worker "<job> <until, us>[ <job>...]": until then it is
-- given no other; behind it those it was given before, the youngest first.

local SUSPECT_US, SPARED_MAX = 3000000, 3
local OLDER_MAX = 4 * 37
local SUSPECT_MAX_US = SUSPECT_US * 4 ^ SPARED_MAX

-- Workers that may not have another now, as `choose` skips them.  A clock that
-- was set back makes no mark longer than any is made.
local function suspected(us)
    local all, names = call('HGETALL', P .. SUSPECTS), {}
    for i = 1, #all, 2 do
        local left = tonumber(all[i + 1]:match(' (%d+)')) - us
        if left > 0 and left <= SUSPECT_MAX_US then
            names[all[i]] = true
        end
    end
    return names
end

-- Who is charged with its death, and nobody else in the passes that follow.
local function blame(worker)
    local mark = call('HGET', P .. SUSPECTS, worker)
    if mark then
        call('HSET', P .. SUSPECTS, worker, mark:match('^%S+ %d+'))
        return mark:match('^%S+')
    end
end

-- One that was spared before is watched for longer: it may be slow to kill.
local function suspect(worker, job, us, spared)
    local first, older =
        (call('HGET', P .. SUSPECTS, worker) or ''):match('^(%S+) %d+(.*)$')
    older = first and ' ' .. first .. older or ''
    call('HSET', P .. SUSPECTS, worker,
         job .. ' ' .. int(us + SUSPECT_US * 4 ^ spared)
         .. older:sub(1, OLDER_MAX))
end

-- It has said something, or has ended.  The one before it had its time.
local function unsuspect(worker, job)
    local mark = call('HGET', P .. SUSPECTS, worker)
    if not mark then
        return
    end
    local first, till, older = mark:match('^(%S+) (%d+)(.*)$')
    if first == job then
        first, till, older = older:match('^ (%S+)()(.*)$')
        till = '0'
    else
        older = older:gsub(' ' .. job, '', 1)
    end
    if first then
        call('HSET', P .. SUSPECTS, worker, first .. ' ' .. till .. older)
    else
        call('HDEL', P .. SUSPECTS, worker)
    end
end
