-- Gives a worker whose hands are empty the ledger records that dead ones held,
-- and what it was given itself and never got (docs/wire.md, 6).

-- @include alive

local MAX = 1000

local worker, max = ARGV[1], num(ARGV[2])

if #ARGV ~= 2 or not max or max == 0 or max > MAX then
    return wrong('number')
end
if worker == '' or #worker > 64 or worker:find('[^A-Za-z0-9.-]') then
    return wrong('id')
end

local ms = math.floor(clock() / 1000)
local h = call('HMGET', P .. SWEEP, 'last', 'grace_until')
local grace = in_grace(h[1], h[2], ms)
local key = P .. OUTBOX

local function is_dead(name)
    local beat = call('ZSCORE', P .. ALIVE, 'w:' .. name)
    return not grace and (not beat or tonumber(beat) < ms - DEAD_MS)
end

local list = redis.pcall('XINFO', 'CONSUMERS', key, LEDGER)
if list.err then
    return { 'NOGROUP' }
end

for _, c in ipairs(list) do
    local name, pending = c[2], c[4]
    local own = name == worker
    local got = {}
    if own or is_dead(name) then
        if pending > 0 then
            local ids = {}
            for i, p in ipairs(call('XPENDING', key, LEDGER, '-', '+', max,
                                    name))
            do
                ids[i] = p[1]
            end
            got = call('XCLAIM', key, LEDGER, worker, 0, unpack(ids))
        end
        if not own and pending <= max then
            call('XGROUP', 'DELCONSUMER', key, LEDGER, name)
        end
        if #got > 0 then
            return { 'OK', got }
        end
    end
end

return { 'OK', {} }
