-- The ledger records of answers that an edge gave from its shared memory, and
-- what its limits count of them; a repeat is the same records again, and counts
-- nothing.

-- @include end

local WORDS, ROWS_MAX, SHARED_MS = 6, 128, 60000

if #ARGV == 0 or #ARGV % WORDS ~= 0 or #ARGV > WORDS * ROWS_MAX then
    return wrong('number of arguments')
end

-- One that is over its limit was answered all the same: it is not counted.
local function count(job, tenant, policy)
    local ARGV = { [17] = policy }
    -- @include window
    -- @include limit
    local reserve = limit(clock(), true)
    if reserve then
        reserve()
    end
end

for i = 1, #ARGV, WORDS do
    local job, at, tenant = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    if #job ~= 36 or not job:find('^job_[0-9a-f]+$') or not at:find('^%d+$')
       or #at > 16 or #tenant > 63
       or not tenant:find('^[a-z0-9][a-z0-9._-]*$')
    then
        return wrong('record')
    end
    ledger(job, 1, at, tenant, ARGV[i + 3], ARGV[i + 4])
    call('HDEL', P .. SEEDING, tenant)
    if ARGV[i + 5] ~= ''
       and call('SET', P .. SHARED .. job, 'hit', 'NX', 'PX', SHARED_MS)
    then
        count(job, tenant, ARGV[i + 5])
    end
end
return { 'OK' }
