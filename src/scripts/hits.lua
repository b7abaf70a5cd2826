-- The ledger records of answers that an edge gave from its shared memory, each
-- of one request or several that were alike, and what its limits count of them;
-- a repeat is the same records again, and counts nothing.

local WORDS, ROWS_MAX, SHARED_MS = 7, 128, 60000
local REQUESTS_MAX = 1000000

if #ARGV == 0 or #ARGV % WORDS ~= 0 or #ARGV > WORDS * ROWS_MAX then
    return wrong('number of arguments')
end

-- Those that are over the limit were answered all the same: they are not
-- counted.
local function count(job, tenant, policy, requests)
    local ARGV = { [17] = policy }
    -- @include window
    -- @include limit
    local reserve = limit(clock(), requests)
    if reserve then
        reserve()
    end
end

for i = 1, #ARGV, WORDS do
    local job, at, tenant = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local policy, requests = ARGV[i + 5], num(ARGV[i + 6])
    if #job ~= 36 or not job:find('^job_[0-9a-f]+$') or not at:find('^%d+$')
       or #at > 16 or #tenant > 63
       or not tenant:find('^[a-z0-9][a-z0-9._-]*$')
       or not requests or requests < 1 or requests > REQUESTS_MAX
    then
        return wrong('record')
    end
    call('XADD', P .. OUTBOX, '*', 'j', job, 'a', '1', 'c', '0', 't', at,
         'n', tenant, 'b', ARGV[i + 3], 'u', ARGV[i + 4], 'r', ARGV[i + 6])
    call('HDEL', P .. SEEDING, tenant)
    if policy ~= ''
       and call('SET', P .. SHARED .. job, 'hit', 'NX', 'PX', SHARED_MS)
    then
        count(job, tenant, policy, requests)
    end
end
return { 'OK' }
