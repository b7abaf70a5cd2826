-- Writes a principal through, or a tenant's record, unless a later version is
-- there.  What is as long as a SHA-256 is one: no tenant's name is.

local FIELDS_MAX, VALUE_MAX = 32, 16384

local name, version, ttl = ARGV[1], num(ARGV[2]), num(ARGV[3])

local of_key = #name == 64

if of_key and name:find('[^0-9a-f]') then
    return wrong('sha256')
end
if not of_key and (#name > 63 or not name:find('^[a-z0-9][a-z0-9._-]*$')) then
    return wrong('tenant')
end
if not version or not ttl or ttl == 0 then
    return wrong('number')
end
if #ARGV < 5 or #ARGV % 2 == 0 or #ARGV > 3 + 2 * FIELDS_MAX then
    return wrong('number of fields')
end
for i = 4, #ARGV, 2 do
    if #ARGV[i] > 32 or not ARGV[i]:find('^[a-z_]+$')
       or #ARGV[i + 1] > VALUE_MAX
    then
        return wrong('field')
    end
end

local key = P .. (of_key and KEY or TENANT) .. name
local old = tonumber(call('HGET', key, 'v') or -1)
if old > version then
    return { 'OLD' }
end
call('DEL', key)
call('HSET', key, unpack(ARGV, 4))
call('HSET', key, 'v', ARGV[2])
call('PEXPIRE', key, ttl)

-- The same version again is no change: edges need not forget it.
if old ~= version then
    call('PUBLISH', P .. KEYS_CHANNEL, (of_key and 'K' or 'T') .. name .. ' '
         .. ARGV[2])
end
return { 'OK' }
