-- Writes a principal through, unless a later version is there.

local FIELDS_MAX, VALUE_MAX = 32, 16384

local hash, version, ttl = ARGV[1], num(ARGV[2]), num(ARGV[3])

if #hash ~= 64 or hash:find('[^0-9a-f]') then
    return wrong('sha256')
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

local key = P .. KEY .. hash
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
    call('PUBLISH', P .. KEYS_CHANNEL, 'K' .. hash .. ' ' .. ARGV[2])
end
return { 'OK' }
