-- A counter of a day or a month, from the ledger (docs/wire.md, 13).
--
-- Asked with a tenant alone it says whether the ledger has all there is: from
-- then on a ticket stands for that, until the tenant gets another record.

local SEEDING_MS, COUNTERS_MAX = 10000, 24

local tenant, ticket, day, month = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local force = ARGV[5] == '1'

-- @include window
-- @include calendar

if #tenant > 63 or not tenant:find('^[a-z0-9][a-z0-9._-]*$') then
    return wrong('tenant')
end

local us, at = clock()
local ms = math.floor(us / 1000)
local days, months = int(calendar('d', ms)), int(calendar('M', ms))
local held = call('HGET', P .. SEEDING, tenant)

local function older(id, than)
    local ms, seq = id:match('^(%d+)-(%d+)$')
    local ms2, seq2 = than:match('^(%d+)-(%d+)$')
    ms, seq, ms2, seq2 = tonumber(ms), tonumber(seq), tonumber(ms2),
                         tonumber(seq2)
    return ms < ms2 or ms == ms2 and seq <= seq2
end

if #ARGV == 1 then
    if not held then
        local last = call('XREVRANGE', P .. OUTBOX, '+', '-', 'COUNT', 1)[1]
        held = at .. ' ' .. (last and last[1] or '0-0')
        call('HSET', P .. SEEDING, tenant, held)
        call('PEXPIRE', P .. SEEDING, SEEDING_MS)
    end
    local first = call('XRANGE', P .. OUTBOX, '-', '+', 'COUNT', 1)[1]
    if first and older(first[1], held:match('%S+$')) then
        return { 'WAIT' }
    end
    return { 'READY', held, days, months }
end

if #ARGV < 7 or (#ARGV - 5) % 2 ~= 0 or #ARGV > 5 + 2 * COUNTERS_MAX then
    return wrong('number of arguments')
end
for i = 6, #ARGV, 2 do
    if not ARGV[i]:find('^[rtb][dM]:[^%s]+$') or #ARGV[i] > 200
       or not num(ARGV[i + 1])
    then
        return wrong('counter')
    end
end
if days ~= day or months ~= month or held ~= ticket and not force then
    return { 'AGAIN' }
end

local epoch = call('GET', P .. LIM .. tenant .. ':epoch') or '0'
for i = 6, #ARGV, 2 do
    local key = P .. LIM .. tenant .. ':' .. ARGV[i]
    local window = ARGV[i]:sub(2, 2)
    local now = window == 'd' and days or months
    local text = call('GET', key)
    local stands, settled, reserved, since
    if text then
        stands, settled, reserved, since = counter(text)
    end
    if not stands or since ~= epoch then
        local sum = num(ARGV[i + 1])
        -- Who runs keeps what it reserved; what has ended since a sum was
        -- asked for, of a tenant that is never quiet, is not in it.
        if not stands or int(stands) ~= now then
            reserved = 0
        elseif force and settled > sum then
            sum = settled
        end
        call('SET', key, now .. ' ' .. counted(sum) .. ' ' .. counted(reserved)
             .. ' ' .. epoch, 'PX', lasting(window))
    end
end
return { 'OK' }
