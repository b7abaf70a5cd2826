-- Appends events behind the tip of a job and rings the edges that listen.

-- @include events

local job, attempt, worker, seq = ARGV[1], num(ARGV[2]), ARGV[3], num(ARGV[4])
local limit = num(ARGV[5])

if not (attempt and seq and limit) or seq == 0 then
    return wrong('number')
end
local bad = events_wrong(6)
if bad then
    return wrong(bad)
end

local key = P .. JOB .. job
local h = call('HMGET', key, 'state', 'attempt', 'tip', 'lst', 'cancel',
               'owner')
local reached = tonumber(h[2] or 0)
if not h[1] or attempt > reached then
    return { 'GONE' }
end
if attempt < reached or h[6] ~= worker then
    return { 'FENCED', h[2] }
end

local tip, tip_seq = h[3] or attempt .. '-0', seq_of(h[3])
if seq > tip_seq + 1 then
    return { 'GAP', tip }
end
if seq + (#ARGV - 5) / 2 - 1 > tip_seq then
    if h[1] ~= 'running' and h[1] ~= 'waiting' then
        return { 'FENCED', h[2] }
    end
    tip = append_args(job, h[2], seq, h[3], tip_seq, 6, limit, h[4])
    call('HSET', key, 'tip', tip)
    if not h[3] then
        expire_log(job)
    end
    if attempt > 2 and tip_seq == 0 then
        -- @include hand
        -- @include alive
        -- @include end
        -- @include wait
        -- @include finish
        -- @include last
        -- @include pump
        unsuspect(worker, job)
        pump(clock(), PUMP_MAX)
    end
end
return { 'OK', tip, h[5] or '' }
