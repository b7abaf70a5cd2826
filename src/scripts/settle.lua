-- Ends a job that a worker had, whatever way it ended, and starts the next.

-- @include events
-- @include end

local CALLS_MAX = 32

local job, attempt, worker, seq = ARGV[1], num(ARGV[2]), ARGV[3], num(ARGV[4])
local limit, state, ttl = num(ARGV[5]), ARGV[6], num(ARGV[7])
local tenant, base, at, lines = ARGV[8], ARGV[9], ARGV[10], ARGV[11]

if not (attempt and seq and limit) or seq == 0 or (ARGV[7] ~= '' and not ttl)
   or not at or #at > 16 or not at:find('^%d+$')
then
    return wrong('number')
end
if state ~= 'done' and state ~= 'failed' and state ~= 'cancelled' then
    return wrong('state')
end
local calls = 0
if lines and lines:find('\n', 1, true) then
    calls = select(2, lines:gsub('\n', ''))
end
if not lines or lines == '' or #lines > 65536 or calls > CALLS_MAX then
    return wrong('usage')
end
local bad = events_wrong(12, true)
if bad then
    return wrong(bad)
end

-- The way that most calls need not go is made only where one goes it.
local function start_next(us)
    if call('EXISTS', P .. WAITING, P .. WAITING_BATCH, P .. WAITING_LAST,
            P .. SEEDING) == 0
    then
        return
    end
    call('HDEL', P .. SEEDING, tenant)
    -- @include hand
    -- @include alive
    -- @include wait
    -- @include finish
    -- @include last
    -- @include pump
    pump(us, PUMP_MAX, tenant)
end

-- The ledger gets what no counter has, or has what they do not.
local function uncounted()
    -- @include window
    call('HDEL', P .. SEEDING, tenant)
    new_epoch(tenant)
end

local h = call('HMGET', P .. JOB .. job, 'state', 'attempt', 'tip', 'lst',
               'owner', 'flags', 'resume', 'result', 'tenant', 'large', 'lim',
               'flight')
local reached = tonumber(h[2] or 0)
if not h[1] or attempt > reached then
    ledger(job, attempt, at, tenant, base, lines)
    uncounted()
    if not h[1] then
        release(job, tenant, worker)
        start_next(clock())
    end
    return { 'GONE' }
end
if h[9] ~= tenant then
    return wrong('tenant')
end
if attempt < reached then
    return { 'FENCED', h[2] }
end
if h[1] ~= 'running' and h[1] ~= 'waiting' then
    return { 'DUP' }
end
if h[5] ~= worker then
    return { 'FENCED', h[2] }
end
local tip, tip_seq = h[3] or attempt .. '-0', seq_of(h[3])
if seq > tip_seq + 1 or seq + (#ARGV - 11) / 2 - 1 <= tip_seq then
    return { 'GAP', tip }
end

-- A worker that was taken for dead, and was not.
local function unwait_it()
    -- @include wait
    local b = call('HMGET', P .. JOB .. job, 'class', 'bytes')
    unqueue(job, tenant, b[1], b[2])
end

-- A log lives longer only where it is the answer that was kept.
if ttl then
    local share = call('HGET', P .. JOB .. job, 'share')
    if share and not (call('HGET', P .. CACHE .. share:match('^%x+'), 'log')
                      or ''):find(' ' .. job .. ' ', 1, true)
    then
        ttl = nil
    end
end

local us, fin = clock()
local log
tip, log = append_args(job, h[2], seq, h[3], tip_seq, 12, limit, h[4], true)
close(job, state, h[2], tip, calls > 0 and lines:match('^[^\n]*') or lines, fin,
      ttl or keep_ms(h[6], h[7], h[8]),
      h[6]:find('r', 1, true), h[10], tenant, h[11], lines, log)
if h[12] then
    unflight(job, h[12])
end
if h[1] == 'running' then
    release(job, tenant, h[5])
else
    unwait_it()
end
local row
if attempt > 1 then
    -- @include last
    unsuspect(worker, job)
    row = call('HGET', P .. JOB .. job, 'row')
    if row then
        uncounted()
    end
end
ledger(job, row or h[2], at, tenant, base, lines)
start_next(us)
return { 'OK', tip }
