-- An edge stops listening; what nobody hears goes on, waits, or is cancelled.
-- `seen`: how many of this edge's followers it knows of (_share).

-- @include events
-- @include end
-- @include wait
-- @include finish

local job, edge, seen = ARGV[1], ARGV[2], num(ARGV[3] or '0')

if #ARGV < 2 or #ARGV > 3 or not seen or edge == ''
   or edge:find('[^A-Za-z0-9.-]')
then
    return wrong('edge')
end

local key = P .. JOB .. job
local h = call('HMGET', key, 'state', 'tip', 'owner', 'lst', 'flags', 'resume',
               'joins:' .. edge, 'flight')
local state, flags = h[1], h[5]
if not state then
    local leader, n = (call('GET', P .. SHARED .. job) or '')
                      :match('^(%S+) (%d+)$')
    return leader and { 'JOINED', leader, n } or { 'GONE' }
end
if h[7] and tonumber(h[7]) > seen then
    return { 'OK', '1', 'none' }
end

local rest, found = {}, false
for e in h[4]:gmatch('%S+') do
    if e == edge then
        found = true
    else
        rest[#rest + 1] = e
    end
end
if found then
    call('HSET', key, 'lst', table.concat(rest, ' '))
end

local action
if state == 'done' or state == 'failed' or state == 'cancelled' then
    action = 'done'
elseif #rest > 0 then
    action = 'none'
elseif flags:find('[bc]') then
    action = 'continue'
elseif flags:find('r', 1, true) then
    local ms = math.floor(clock() / 1000)
    call('ZADD', P .. GRACE, 'NX', ms + tonumber(h[6]), job)
    action = 'grace'
else
    unflight(job, h[8])
    action = cancel_job(job, clock(),
                        { state = state, tip = h[2], owner = h[3] },
                        'disconnect', 'cancelled'):lower()
end
return { 'OK', int(#rest), action }
