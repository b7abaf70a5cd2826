-- A worker asks for a job that it holds and has not heard of, or says that it
-- has one that Redis has forgotten it gave.

-- @include hand
-- @include alive
-- @include events
-- @include end
-- @include wait
-- @include finish
-- @include last
-- @include pump

local job, worker, mine = ARGV[1], ARGV[2], num(ARGV[3])

if #ARGV ~= 3 or not mine then
    return wrong('attempt')
end
if worker == '' or #worker > 64 or worker:find('[^A-Za-z0-9.-]') then
    return wrong('worker')
end

local h = call('HMGET', P .. JOB .. job, 'spec', 'state', 'attempt', 'owner',
               'tip', 'end', 'started', 'at', 'body', 'bytes', 'pieces',
               'tenant', 'class', 'lst', 'cancel')
local state, attempt, owner = h[2], tonumber(h[3] or 0), h[4]
local tip, cause, started = h[5], h[6], h[7]
local us, now = clock()

if not h[1] or (state ~= 'waiting' and state ~= 'running') then
    return { 'GONE' }
end

-- Redis lost its last seconds, and in them this attempt of the worker's.  Or
-- the worker has forgotten what it has emitted: nobody goes on with that.
local forgot = mine > attempt
local lost = not forgot and mine == 0 and state == 'running'
             and owner == worker and seq_of(tip) > 0

if forgot or lost then
    if state == 'waiting' then
        unqueue(job, h[12], h[13], h[10])
    else
        release(job, h[12], owner)
    end
    attempt = forgot and mine or attempt + 1
    if lost then
        cause = cause_of(cause, h[15], tip, 0)
        call('HSETNX', P .. JOB .. job, 'row', h[3])
    end
    started = started or now
    own(job, h[12], worker, attempt, started, cause, tip, h[14])
    rescore(h[12], us)
elseif state ~= 'running' or owner ~= worker
       or mine ~= 0 and mine ~= attempt
then
    return { 'GONE' }
elseif mine == 0 and h[15] then
    cause = cause or 'cancelled'
end

return { 'OK', delivery(job, int(attempt), cause or '-', h[8],
                        elapsed(h[8], started), h[10], h[11] or '0', h[1],
                        not cause and h[9] or '') }
