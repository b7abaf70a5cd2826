-- Counters of limits (docs/wire.md, 13).
--
-- One that slides is "<window> <used> <used in the one before>", one of the
-- calendar "<window> <settled> <reserved> <epoch>".

local EPOCH_MS, ESTIMATE_MS = '3888000000', '604800000'
local COUNT_MAX = 9007199254740991
local match = string.match

-- ms of a window that slides; nothing of another.
local function sliding(window)
    return window == 'm' and 60000 or window == 'h' and 3600000
           or window == 's' and 1000 or nil
end

-- How long the counter of a window lives that begins with it.
local function lasting(window)
    return ({ s = '2000', m = '120000', h = '7200000', d = '172800000',
              M = '3456000000' })[window]
end

-- Which window a text is of, and its three other words; of those that often
-- stay the texts, too, for of a number Lua makes text slowly.
local function counter(text)
    local window, a, b, c = match(text, '^(%d+) (%d+) (%d+) ?(%d*)$')
    return tonumber(window), tonumber(a), tonumber(b), c, window, a, b
end

local function counted(n)
    if n <= 0 then
        return '0'
    end
    return int(n < COUNT_MAX and n or COUNT_MAX)
end

-- fresh: its window, where it begins with this; else the key has its expiry.
local function put(key, text, fresh)
    if fresh then
        call('SET', key, text, 'PX', lasting(fresh))
    else
        call('SET', key, text, 'KEEPTTL')
    end
end

-- The ledger gets what no counter counts: they are seeded again.
local function new_epoch(tenant)
    local key = P .. LIM .. tenant .. ':epoch'
    local us = clock()
    call('SET', key, int(math.max(us, (call('GET', key) or 0) + 1)), 'PX',
         EPOCH_MS)
end
