-- Takes a job in: into a worker's hands where a slot is free, else into the
-- backlog of its tenant; or refuses it, and leaves nothing (docs/wire.md, 5).

-- @include hand

local job, tenant, weight = ARGV[1], ARGV[2], ARGV[3]
local class, flags, edge = ARGV[4], ARGV[5], ARGV[8]
local spec, body, base = ARGV[9], ARGV[10], ARGV[11]
local resume, result = num(ARGV[6]), num(ARGV[7])
local max_jobs, max_bytes = num(ARGV[12]), num(ARGV[13])
local bytes = num(ARGV[14])
local key_id, key_version = ARGV[15], ARGV[16]
local batch = class == 'batch'

local shared = ARGV[18] or ''

if #ARGV < 17 or #ARGV > 19 then
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
        if h[3] == 'waiting' or h[3] == 'running' then
            call('PEXPIRE', P .. BODY .. job, UNFINISHED_MS)
        else
            call('UNLINK', P .. BODY .. job)
        end
    end
    return { 'OK', h[2] or 'running', h[1] }
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

-- Made only where something may be shared.
local function sharing(find)
    -- @include end
    -- @include share
    if find then
        return share_find(shared, job, tenant, edge, base)
    end
    share_note(shared, job)
end

local found, make
if shared ~= '' then
    if not shared:find('^%x+ [csj]+ [osv] %S+ %d+ %d+ %d+$')
       or #shared:match('^%x+') ~= 64
    then
        return wrong('share')
    end
    found, make = sharing(true)
    if found and not make then
        if large then
            call('UNLINK', P .. BODY .. job)
        end
        return found
    end
end

if found then
    large = large and call('UNLINK', P .. BODY .. job) and false
elseif large and call('PEXPIRE', P .. BODY .. job, UNFINISHED_MS) == 0
   or pieces and call('LLEN', P .. BODY .. job) ~= pieces + 1
then
    return refuse('NOBODY')
end

local us, at = clock()
local reserve, limits, would

-- Made only where there are some; in a function of their own, because a closure
-- costs what there is to be looked through for what it closes over.
if ARGV[17] ~= '' then
    local function by_policy()
        -- @include window
        -- @include limit
        return limit(us, found and 1)
    end
    reserve, limits, would = by_policy()
    if not reserve then
        if large then
            call('UNLINK', P .. BODY .. job)
        end
        return limits
    end
end

if found then
    make()
    if reserve then
        reserve()
        found[#found + 1], found[#found + 2] = limits, would
    end
    return found
end

h = call('HMGET', P .. SWEEP, 'slots', 'pressure', 'workers', 'leaving')
if h[2] == '1' then
    return refuse('PRESSURE', '5')
end

local slots, workers = tonumber(h[1] or 0), h[3]
local field = (batch and 'batch:' or '') .. tenant
local worker

if slots > 0 and call('EXISTS', P .. WAITING, P .. WAITING_BATCH) == 0
   and call('SCARD', P .. RUNNING .. tenant)
       < share_now(slots, workers, h[4] or '')
   and (not batch or reserve_free(slots, workers))
then
    local deaf = {}
    worker = choose(workers, us, deaf)
    if worker then
        worker = hand(workers, us,
            delivery(job, '1', '-', at, '0', ARGV[14], pieces or '0', spec,
                     large and '' or body), deaf, worker)
    end
end

if worker then
    hold(job, tenant, worker)
    call('HSET', key, 'spec', spec, 'tenant', tenant, 'class', class,
         'flags', flags, 'base', base, 'bytes', ARGV[14], 'at', at,
         'lst', edge, 'state', 'running', 'owner', worker, 'attempt', '1',
         'started', at, large and 'large' or 'body', large and '1' or body,
         reserve and 'lim' or 'at', reserve and reserve() or at)
else
    local sum = call('HGET', P .. BACKLOG_BYTES, field) or 0
    if call('LLEN', P .. BACKLOG .. field) >= max_jobs
       or sum + bytes > max_bytes
    then
        return refuse('FULL', '5')
    end
    call('HSET', key, 'spec', spec, 'tenant', tenant, 'class', class,
         'flags', flags, 'base', base, 'bytes', ARGV[14], 'at', at,
         'lst', edge, 'state', 'waiting', 'decision', 'waiting',
         large and 'large' or 'body', large and '1' or body,
         reserve and 'lim' or 'at', reserve and reserve() or at)
end

if pieces then
    call('HSET', key, 'pieces', pieces)
end
if shared ~= '' then
    sharing()
end
call('PEXPIRE', key, UNFINISHED_MS)
if flags ~= '' and flags ~= 's' then
    call('HSET', key, 'resume', resume, 'result', result)
end

-- Made only where it is called: with free slots nobody waits.
local function wait()
    -- @include alive
    -- @include events
    -- @include end
    -- @include wait
    -- @include finish
    -- @include last
    -- @include pump
    if weight == '1' then
        call('HDEL', P .. WEIGHTS, tenant)
    else
        call('HSET', P .. WEIGHTS, tenant, weight)
    end
    queue(job, tenant, class, bytes, us, 'RPUSH')
    if slots > 0 and pump(us, 4, nil, job) then
        call('HDEL', key, 'decision')
        return 'running'
    end
    return 'waiting'
end

return { 'OK', worker and 'running' or wait(), at, limits, would }
