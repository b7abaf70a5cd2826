-- An edge looks at a job, and listens from now on; only at one of this user,
-- where there is one.

local LISTENERS_MAX = 16

local job, tenant, edge, user = ARGV[1], ARGV[2], ARGV[3], ARGV[4] or ''

if #ARGV < 3 or #ARGV > 4 or #edge > 64 or edge:find('[^A-Za-z0-9.-]') then
    return wrong('edge')
end

local key = P .. JOB .. job
local h = call('HMGET', key, 'tenant', 'state', 'tip', 'attempt', 'flags',
               'usage', 'at', 'lst', 'base')
local state, attempt, lst = h[2], h[4] or '0', h[8]
local base_user, dialect = (h[9] or '')
    :match('^[^\t]*\t([^\t]*)\t[^\t]*\t([^\t]+)\t')

if not state or h[1] ~= tenant or user ~= '' and base_user ~= user then
    return { 'GONE' }
end

local n, found = 0, false
for e in lst:gmatch('%S+') do
    n = n + 1
    found = found or e == edge
end
if edge ~= '' and (state == 'waiting' or state == 'running') then
    if not found then
        if n == LISTENERS_MAX then
            return { 'FULL' }
        end
        n = n + 1
        call('HSET', key, 'lst', lst == '' and edge or lst .. ' ' .. edge)
    end
    call('ZREM', P .. GRACE, job)
end
return { 'OK', state, h[3] or attempt .. '-0', attempt, h[5], h[6] or '',
         h[7], int(n), dialect or '' }
