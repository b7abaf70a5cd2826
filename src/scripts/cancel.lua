-- Ends a job at once where no worker has it, else asks its worker to; only one
-- of this user, where there is one.

-- @include events
-- @include end
-- @include wait
-- @include finish

local job, tenant, reason, mode = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local cause, edge, user = ARGV[5], ARGV[6], ARGV[7] or ''

if #ARGV < 6 or #ARGV > 7
   or (mode ~= 'now' and mode ~= 'unstarted' and mode ~= 'shared')
then
    return wrong('mode')
end
if reason ~= 'client' and reason ~= 'disconnect' and reason ~= 'timeout'
   and reason ~= 'admin'
then
    return wrong('reason')
end
if #cause > 32 or not cause:find('^[a-z_]+$') then
    return wrong('cause')
end

local h = call('HMGET', P .. JOB .. job, 'tenant', 'state', 'tip', 'owner',
               'base', 'lst')
local state = h[2]
if not state or h[1] ~= tenant
   or user ~= '' and (h[5] or ''):match('^[^\t]*\t([^\t]*)') ~= user
then
    return { 'GONE' }
end
if state == 'done' or state == 'failed' or state == 'cancelled' then
    return { 'DONE', state }
end
local us = clock()

-- Its worker has died, and no other is there to take its jobs from it.
local function forsaken(owner)
    local beat = call('ZSCORE', P .. ALIVE, 'w:' .. owner)
    return call('HGET', P .. SWEEP, 'slots') == '0'
           and (not beat or tonumber(beat) < us / 1000 - STALE_MS)
end

-- Others, who came later, may wait longer.
local function others()
    if mode == 'shared' then
        return true
    end
    for e in h[6]:gmatch('%S+') do
        if edge ~= '' and e ~= edge then
            return true
        end
    end
end

if mode ~= 'now' and (state == 'running' or seq_of(h[3]) > 0) then
    if seq_of(h[3]) > 0 or not forsaken(h[4]) then
        return { 'RUNNING' }
    end
    if others() then
        return { 'SHARED' }
    end
    local b = call('HMGET', P .. JOB .. job, 'class', 'bytes')
    release(job, tenant, h[4])
    call('HSET', P .. JOB .. job, 'state', 'waiting')
    queue(job, tenant, b[1], b[2], us, 'LPUSH')
    state = 'waiting'
end
if mode ~= 'now' and others() then
    return { 'SHARED' }
end
return { cancel_job(job, us, { state = state, tip = h[3], owner = h[4] },
                    reason, cause, edge) }
