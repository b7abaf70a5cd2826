-- A worker begins what was delivered to it; raises the attempt, which fences
-- whoever had the job before.

-- @include events
-- @include alive

local ATTEMPTS_MAX = 3

local job, worker, entry, queue = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if #ARGV ~= 4 or (queue ~= JOBS and queue ~= JOBS_BATCH) then
    return wrong('queue')
end
if not entry:find('^%d+%-%d+$') then
    return wrong('entry')
end
if worker == '' or #worker > 64 or worker:find('[^A-Za-z0-9.-]') then
    return wrong('worker')
end

local key = P .. JOB .. job
local h = call('HMGET', key, 'spec', 'entry', 'state', 'attempt', 'owner',
               'lst', 'cancel', 'tip', 'body', 'at', 'started', 'flags', 'end',
               'bytes', 'pieces')
local spec, state, at, started = h[1], h[3], h[10], h[11]
local attempt, seq, cause = tonumber(h[4] or 0), seq_of(h[8]), h[13]

if not spec or h[2] ~= entry or (state ~= 'queued' and state ~= 'running') then
    call('XACK', P .. queue, GROUP, entry)
    call('XDEL', P .. queue, entry)
    return { 'GONE' }
end

local function answer()
    local queue_us = int(started - at)
    if cause then
        return { 'END', int(attempt), attempt .. '-0', cause, spec, at,
                 queue_us }
    end
    return { 'RUN', int(attempt), spec, h[9] or '', at, queue_us, h[14],
             h[15] or '0' }
end

if state == 'running' then
    -- Its owner has it, and ends it: the entry stays.
    if h[5] ~= worker or seq > 0 then
        return { 'GONE' }
    end
    return answer()
end

-- Made only where it is called: most claims run their job.
local function abandon(us)
    -- @include slots
    -- @include pump
    -- @include end
    -- @include finish
    finish(job, us, 'cancelled')
end

local us, now = clock()
local ms = math.floor(us / 1000)

-- What an older attempt emitted is for its next worker to settle.  The edge of
-- a young job lived when it was admitted.
if us - at > DEAD_MS * 1000 and seq == 0 and not cause
   and not h[12]:find('[rbc]') and silent(h[6], ms - DEAD_MS)
then
    local s = call('HMGET', P .. SWEEP, 'last', 'grace_until')
    if not in_grace(s[1], s[2], ms) then
        abandon(us)
        return { 'GONE' }
    end
end

if not cause then
    if h[7] then
        cause = 'cancelled'
    elseif seq > 0 then
        cause = 'lost'
    elseif attempt >= ATTEMPTS_MAX then
        cause = 'attempts'
    end
end

attempt = attempt + 1
if not cause or not started then
    started = now
end
call('HSET', key, 'state', 'running', 'owner', worker, 'attempt', attempt,
     'started', started)
if cause then
    call('HSET', key, 'end', cause)
end
if attempt > 1 then
    local tip = attempt .. '-0'
    call('HSET', key, 'tip', tip, 'lost', '0')
    append(job, tip, not h[8], 'a', '')
    if not h[8] then
        expire_log(job)
    end
    ring(h[6], 'E' .. job .. '\n' .. frame(tip, 'a', ''))
end
return answer()
