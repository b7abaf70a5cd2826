-- Takes a job in: to the dispatch stream where a slot is free, else to the
-- backlog of its tenant; or refuses it, and leaves nothing (docs/wire.md, 5).

-- @include slots

local job, tenant, class, flags = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local edge, spec, body, base = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local resume, result = num(ARGV[5]), num(ARGV[6])
local max_jobs, max_bytes = num(ARGV[11]), num(ARGV[12])
local bytes = num(ARGV[13])
local key_id, key_version = ARGV[14], ARGV[15]
local batch = class == 'batch'

if #ARGV ~= 16 then
    return wrong('number of arguments')
end
if #job ~= 36 or not job:find('^job_[0-9a-f]+$') then
    return wrong('job')
end
if #tenant > 63 or not tenant:find('^[a-z0-9][a-z0-9._-]*$') then
    return wrong('tenant')
end
if not batch and class ~= 'interactive' then
    return wrong('class')
end
if flags:find('[^rbcs]') or #flags > 4 then
    return wrong('flags')
end
if #edge > 64 or edge:find('[^A-Za-z0-9.-]') then
    return wrong('edge')
end
if spec == '' or body == '' then
    return wrong('spec or body')
end
if not (resume and result and max_jobs and max_bytes and bytes)
   or (key_id ~= '' and not num(key_version))
then
    return wrong('number')
end

local key, pieces = P .. JOB .. job, body:match('^@(%d*)$')
local large = pieces ~= nil
pieces = tonumber(pieces)

local h = call('HMGET', key, 'decision', 'state')
if h[1] then
    if large then
        if h[2] == 'waiting' or h[2] == 'queued' or h[2] == 'running' then
            call('PEXPIRE', P .. BODY .. job, UNFINISHED_MS)
        else
            call('UNLINK', P .. BODY .. job)
        end
    end
    local state, at = h[1]:match('^OK (%l+) (%d+)$')
    return { 'OK', state, at }
end

local function refuse(...)
    if large then
        call('UNLINK', P .. BODY .. job)
    end
    return { ... }
end

if key_id ~= '' then
    local version = call('GET', P .. PV .. key_id)
    if version and tonumber(version) > tonumber(key_version) then
        return refuse('STALE')
    end
end

if large and call('PEXPIRE', P .. BODY .. job, UNFINISHED_MS) == 0
   or pieces and call('LLEN', P .. BODY .. job) ~= pieces + 1
then
    return refuse('NOBODY')
end

h = call('HMGET', P .. SWEEP, 'slots', 'pressure')
if h[2] == '1' then
    return refuse('PRESSURE', '5')
end

local us = clock()
local slots = tonumber(h[1] or 0)
local held, most = 0, share(slots)
local at, queue = int(us), batch and JOBS_BATCH or JOBS
local state, entry = 'waiting', ''
local field = (batch and 'batch:' or '') .. tenant

if slots > 0 then
    held = call('ZCARD', P .. LEASES)
    if held < (batch and most or slots)
       and call('EXISTS', P .. WAITING, P .. WAITING_BATCH) == 0
       and call('SCARD', P .. RUNNING .. tenant) < most
    then
        state = 'queued'
    end
end

if state == 'queued' then
    entry = dispatch(job, tenant, queue, us)
else
    local sum = call('HGET', P .. BACKLOG_BYTES, field) or 0
    if call('LLEN', P .. BACKLOG .. field) >= max_jobs
       or sum + bytes > max_bytes
    then
        return refuse('FULL', '5')
    end
end

call('HSET', key, 'spec', spec, 'tenant', tenant, 'class', class,
     'flags', flags, 'resume', ARGV[5], 'result', ARGV[6], 'base', base,
     'bytes', ARGV[13], 'at', at, 'q', queue, 'lst', edge, 'entry', entry,
     'state', state, 'decision', 'OK ' .. state .. ' ' .. at,
     large and 'large' or 'body', large and '1' or body)
if pieces then
    call('HSET', key, 'pieces', pieces)
end
call('PEXPIRE', key, UNFINISHED_MS)

-- Made only where it is called: with free slots nobody waits.
local function wait()
    -- @include pump
    local zset = P .. (batch and WAITING_BATCH or WAITING)
    call('RPUSH', P .. BACKLOG .. field, job)
    call('HINCRBY', P .. BACKLOG_BYTES, field, bytes)
    if not call('ZSCORE', zset, tenant) then
        set_score(zset, tenant, call('SCARD', P .. RUNNING .. tenant),
                  turn_at(us))
    end
    if held < slots and pump(us, 4, nil, job) then
        state = 'queued'
        call('HSET', key, 'decision', 'OK queued ' .. at)
    end
end

if state == 'waiting' then
    wait()
end

return { 'OK', state, at }
