-- Takes a job in: to the dispatch stream where a slot is free, else to the
-- backlog of its tenant; or refuses it, and leaves nothing (docs/wire.md, 5).

-- @include slots

local job, tenant, weight = ARGV[1], ARGV[2], ARGV[3]
local class, flags, edge = ARGV[4], ARGV[5], ARGV[8]
local spec, body, base = ARGV[9], ARGV[10], ARGV[11]
local resume, result = num(ARGV[6]), num(ARGV[7])
local max_jobs, max_bytes = num(ARGV[12]), num(ARGV[13])
local bytes = num(ARGV[14])
local key_id, key_version = ARGV[15], ARGV[16]
local batch = class == 'batch'

if #ARGV ~= 17 then
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
   or (weight ~= '1' and not (num(weight) and num(weight) > 0))
   or (key_id ~= '' and not num(key_version))
then
    return wrong('number')
end

local key, pieces = P .. JOB .. job, body:match('^@(%d*)$')
local large = pieces ~= nil
pieces = tonumber(pieces)

local h = call('HMGET', key, 'at', 'decision', 'state')
if h[1] then
    if large then
        if h[3] == 'waiting' or h[3] == 'queued' or h[3] == 'running' then
            call('PEXPIRE', P .. BODY .. job, UNFINISHED_MS)
        else
            call('UNLINK', P .. BODY .. job)
        end
    end
    return { 'OK', h[2] or 'queued', h[1] }
end

local function refuse(word, retry_after)
    if large then
        call('UNLINK', P .. BODY .. job)
    end
    return { word, retry_after }
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

local us, at = clock()
local slots = tonumber(h[1] or 0)
local held, most = 0, share(slots)
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
    entry = dispatch(job, tenant, batch and JOBS_BATCH or JOBS, at)
else
    local sum = call('HGET', P .. BACKLOG_BYTES, field) or 0
    if call('LLEN', P .. BACKLOG .. field) >= max_jobs
       or sum + bytes > max_bytes
    then
        return refuse('FULL', '5')
    end
end

call('HSET', key, 'spec', spec, 'tenant', tenant, 'class', class,
     'flags', flags, 'base', base, 'bytes', ARGV[14], 'at', at, 'lst', edge,
     'entry', entry, 'state', state,
     large and 'large' or 'body', large and '1' or body)
if pieces then
    call('HSET', key, 'pieces', pieces)
end
call('PEXPIRE', key, UNFINISHED_MS)
if flags ~= '' and flags ~= 's' then
    call('HSET', key, 'resume', resume, 'result', result)
end

-- Made only where it is called: with free slots nobody waits.
local function wait()
    -- @include pump
    local zset = P .. (batch and WAITING_BATCH or WAITING)
    call('HSET', key, 'decision', state)
    if weight == '1' then
        call('HDEL', P .. WEIGHTS, tenant)
    else
        call('HSET', P .. WEIGHTS, tenant, weight)
    end
    call('RPUSH', P .. BACKLOG .. field, job)
    call('HINCRBY', P .. BACKLOG_BYTES, field, bytes)
    if not call('ZSCORE', zset, tenant) then
        set_score(zset, tenant, call('SCARD', P .. RUNNING .. tenant),
                  turn_at(us))
    end
    if held < slots and pump(us, 4, nil, job) then
        state = 'queued'
        call('HSET', key, 'decision', state)
    end
end

if state == 'waiting' then
    wait()
end

return { 'OK', state, at }
