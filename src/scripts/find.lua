-- What Redis has of a key or a tenant; where it has nothing, a worker is asked
-- for it in the same step (docs/wire.md, 7).  KEYS[1] is the queue, which an
-- edge may write to; the rest of what begins as it does it may only read.

local LOOKUP_MAX = '10000'

local name, edge, clean = ARGV[1], ARGV[2], ARGV[3]
local of_key = #name == 64

if #ARGV ~= 3 or of_key and name:find('[^0-9a-f]')
   or not of_key and (#name > 63 or not name:find('^[a-z0-9][a-z0-9._-]*$'))
then
    return wrong('name')
end

local found = call('HGETALL', P:match('^.*:') .. (of_key and KEY or TENANT)
                              .. name)
if #found == 0 then
    call('XADD', P, 'MAXLEN', '~', LOOKUP_MAX, '*',
         of_key and 'k' or 't', name, 'e', edge, 'c', clean)
end
return found
