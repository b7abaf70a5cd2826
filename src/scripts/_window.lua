-- Counters of limits (docs/wire.md, 13).
--
-- One that slides is "<window> <used> <used in the one before>", one of the
-- calendar "<window> <settled> <reserved> <epoch>".

local SLIDING = { s = 1000, m = 60000, h = 3600000 }
local COUNTER_MS = { s = '2000', m = '120000', h = '7200000', d = '172800000',
                     M = '3456000000' }
local EPOCH_MS, ESTIMATE_MS = '3888000000', '604800000'
local COUNT_MAX = 9007199254740991

-- Which window a text is of, and its three other words; of those that often
-- stay the texts, too, for of a number Lua makes text slowly.
local function counter(text)
    local window, a, b, c = text:match('^(%d+) (%d+) (%d+) ?(%d*)$')
    return tonumber(window), tonumber(a), tonumber(b), c, window, a, b
end

local function counted(n)
    if n <= 0 then
        return '0'
    end
    return format('%.0f', n < COUNT_MAX and n or COUNT_MAX)
end

-- The ledger gets what no counter counts: they are seeded again.
local function new_epoch(tenant)
    local key = P .. LIM .. tenant .. ':epoch'
    local us = clock()
    call('SET', key, int(math.max(us, (call('GET', key) or 0) + 1)), 'PX',
         EPOCH_MS)
end
