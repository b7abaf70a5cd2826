-- The ledger records of answers that an edge gave from its shared memory; a
-- repeat is the same records again.

-- @include end

local ROWS_MAX = 128

if #ARGV == 0 or #ARGV % 5 ~= 0 or #ARGV > 5 * ROWS_MAX then
    return wrong('number of arguments')
end

for i = 1, #ARGV, 5 do
    local job, at, tenant = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    if #job ~= 36 or not job:find('^job_[0-9a-f]+$') or not at:find('^%d+$')
       or #at > 16 or #tenant > 63
       or not tenant:find('^[a-z0-9][a-z0-9._-]*$')
    then
        return wrong('record')
    end
    ledger(job, 1, at, tenant, ARGV[i + 3], ARGV[i + 4])
end
return { 'OK' }
