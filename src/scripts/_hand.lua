-- A job into a worker's hands (docs/wire.md, 5).
--
-- `P sweep` has in `workers` how many take jobs, and a line for each: its name
-- and its slots.  Of few all are looked at, of many a few that lie next to each
-- other; all of them where none of these is free.

local MANY = 8

-- What one tenant may hold of so many slots.  The rest is the reserve.
local function share(slots)
    return math.max(1, math.floor((slots * 9 + 9) / 10))
end

-- Whether the reserve of those that take jobs is free.
local function reserve_free(slots, workers)
    local most, n = share(slots), 0
    for worker in workers:gmatch('(%S+) %d+\n') do
        n = n + call('SCARD', P .. HELD .. worker)
        if n >= most then
            return false
        end
    end
    return true
end

-- What one tenant may hold now.  What workers hold that take no more jobs
-- comes to the slots, or who has the most of it would get nothing while there
-- are others again: but not out of the reserve of these.
local function share_now(slots, workers, leaving)
    if leaving ~= '' and reserve_free(slots, workers) then
        for worker in leaving:gmatch('%S+') do
            slots = slots + call('SCARD', P .. HELD .. worker)
        end
    end
    return share(slots)
end

-- Of `n` lines from `from` on, the worker with most free slots.
local function freest(text, from, n, deaf)
    local most, who = 0, nil
    for _ = 1, n do
        local _, stop, worker, slots = text:find('(%S+) (%d+)\n', from)
        if not stop then
            break
        end
        from = stop + 1
        if not deaf[worker] then
            local free = slots - call('SCARD', P .. HELD .. worker)
            if free > most then
                most, who = free, worker
            end
        end
    end
    return who
end

local function choose(text, us, deaf)
    local n = tonumber(text:match('^%d+')) or 0
    local who
    if n > MANY then
        who = freest(text, text:find('\n', us % #text, true) or 1, MANY, deaf)
    end
    return who or freest(text, 1, n, deaf)
end

-- For a job that was on a worker that died: any, lest they all follow the one
-- that killed it.
local function scatter(text, job, deaf)
    local at = text:find('\n', tonumber(job:sub(-6), 16) % #text, true)
    return freest(text, at % #text + 1, 1, deaf)
end

-- Publishes it to `worker`, or to the next that has a free slot where that one
-- does not hear it; the name of who did, or nil.
local function hand(text, us, message, deaf, worker)
    while worker and call('PUBLISH', P .. WORKER .. worker, message) == 0 do
        deaf[worker] = true
        worker = choose(text, us, deaf)
    end
    return worker
end

local function delivery(job, attempt, cause, at, queue_us, bytes, pieces, spec,
                        body)
    return 'J' .. job .. ' ' .. attempt .. ' ' .. cause .. ' ' .. at .. ' '
           .. queue_us .. ' ' .. bytes .. ' ' .. pieces .. ' ' .. #spec .. '\n'
           .. spec .. body
end

local function hold(job, tenant, worker)
    call('SADD', P .. HELD .. worker, job .. ' ' .. tenant)
    call('SADD', P .. RUNNING .. tenant, job)
end
