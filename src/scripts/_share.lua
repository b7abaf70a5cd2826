-- Answers that are kept, and calls under way that may be joined (docs/wire.md,
-- 5).  Needs _end.
--
-- `share`: "<sha256> <flags> <shape> <max age, s, or -> <ttl, ms> <one> <all>",
-- the last two in bytes.  In `P cache:<sha256>` of an answer: `t` tenant, `m`
-- model, `at` µs, `n` bytes, `ex` ms when it expires, `u` usage line, `h` head,
-- by shape `o`, `s`, `v` the ETag and the bytes, and `log` "<shape> <job>
-- <ETag>" where they lie in a job's log.

local SHARE = '^(%x+) ([csj]+) ([osv]) (%S+) (%d+) (%d+) (%d+)$'
local ROOM, SHARED_MS, FLIGHT_MS = 16, 60000, 3900000

-- Where an answer is kept under this hash for this tenant that is young
-- enough: what HIT says.
local function kept(sha, tenant, shape, max_age, us)
    local c = call('HMGET', P .. CACHE .. sha, 't', 'at', 'ex', 'u', 'h',
                   shape, 'log')
    if c[1] ~= tenant then
        return
    end
    local age = math.floor(math.max(0, us - tonumber(c[2])) / 1000000)
    local left = tonumber(c[3]) - math.floor(us / 1000)
    if left <= 0 or (max_age and age > max_age) then
        return
    end
    local bytes, log = c[6], ''
    if not bytes then
        local form, id, etag = (c[7] or ''):match('^(%a) (%S+) (%S+)$')
        if form ~= shape or call('EXISTS', P .. EV .. id) == 0
           or call('HGET', P .. JOB .. id, 'state') ~= 'done'
        then
            return
        end
        bytes, log = etag, id
    end
    return { 'HIT', int(age), int(left), c[4], c[5], bytes, log }
end

-- The job of the same request that is under way, and whether this edge listens
-- to it already; nil where it cannot be joined.
local function flying(name, tenant, edge)
    local leader = call('GET', P .. FLIGHT .. name)
    if not leader then
        return
    end
    local l = call('HMGET', P .. JOB .. leader, 'tenant', 'state', 'cancel',
                   'lst', 'flight')
    if l[1] ~= tenant or (l[2] ~= 'waiting' and l[2] ~= 'running') or l[3]
       or l[5] ~= name
    then
        return
    end
    local n, found = 0, false
    for e in l[4]:gmatch('%S+') do
        n = n + 1
        found = found or e == edge
    end
    if found or n < ROOM then
        return leader, found, l[4]
    end
end

local function shared_usage(cause)
    return 'done\t200\t-\t-\t-\t-\t0\t0\t0\t0\t0\t0\t0\t-\t-\t0\t0\t' .. cause
end

-- The reply of a request that needs no call of its own, and what makes it so
-- (nil: that was done, this is a repeat); or nothing.
local function share_find(share, job, tenant, edge, base)
    local sha, flags, shape, age = share:match(SHARE)
    local us, at = clock()
    local before = call('GET', P .. SHARED .. job)
    local leader, n = (before or ''):match('^(%S+) (%d+)$')
    if leader then
        return { 'JOIN', leader, n }
    end

    local function note(what, usage)
        call('SET', P .. SHARED .. job, what, 'PX', SHARED_MS)
        ledger(job, 1, at, tenant, base, usage)
        call('HDEL', P .. SEEDING, tenant)
    end

    if flags:find('c', 1, true) then
        local hit = kept(sha, tenant, shape, tonumber(age), us)
        if hit then
            return hit, not before and function()
                note('hit', hit[4])
            end
        end
    end
    if flags:find('j', 1, true) and edge ~= '' then
        local name = sha .. shape
        local found, lst
        leader, found, lst = flying(name, tenant, edge)
        if leader then
            local reply = { 'JOIN', leader }
            return reply, function()
                local of = P .. JOB .. leader
                if not found then
                    call('HSET', of, 'lst', lst == '' and edge
                                            or lst .. ' ' .. edge)
                end
                -- Counted, so that a leave which crosses this reply takes
                -- nothing away.
                n = call('HINCRBY', of, 'joins:' .. edge, 1)
                reply[3] = int(n)
                note(leader .. ' ' .. reply[3], shared_usage('join'))
            end
        end
    end
end

-- The job is there, and others may want what comes of it.
local function share_note(share, job)
    local sha, flags, shape = share:match(SHARE)
    local name = sha .. shape
    if flags:find('s', 1, true) then
        call('HSET', P .. JOB .. job, 'share', share)
    end
    if flags:find('j', 1, true) then
        call('SET', P .. FLIGHT .. name, job, 'PX', FLIGHT_MS)
        call('HSET', P .. JOB .. job, 'flight', name)
    end
end
