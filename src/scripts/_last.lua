-- Jobs at their last attempt (docs/wire.md, 5): each may be what killed the
-- workers that had it.  A worker is given one at a time, its suspect, and when
-- it dies that one alone has had its last attempt.
--
-- `P suspects` has of a worker "<job> <until, us>": until then it is given no
-- other.

local SUSPECT_US, SPARED_MAX = 3000000, 3
local SUSPECT_MAX_US = SUSPECT_US * 4 ^ SPARED_MAX

-- Workers that may not have another now, as `choose` skips them.  A clock that
-- was set back makes no mark longer than any is made.
local function suspected(us)
    local all, names = call('HGETALL', P .. SUSPECTS), {}
    for i = 1, #all, 2 do
        local left = tonumber(all[i + 1]:match('%d+$')) - us
        if left > 0 and left <= SUSPECT_MAX_US then
            names[all[i]] = true
        end
    end
    return names
end

local function suspect_of(worker)
    local mark = call('HGET', P .. SUSPECTS, worker)
    return mark and mark:match('^%S+')
end

-- One that was spared before is watched for longer: it may be slow to kill.
local function suspect(worker, job, us, spared)
    call('HSET', P .. SUSPECTS, worker,
         job .. ' ' .. int(us + SUSPECT_US * 4 ^ spared))
end

-- It has said something, or has ended.
local function unsuspect(worker, job)
    if suspect_of(worker) == job then
        call('HDEL', P .. SUSPECTS, worker)
    end
end
