-- What every script begins with: the only place in Lua that spells keys,
-- channels and bounds (docs/wire.md, 1 and 4), and small readers of arguments.
-- KEYS[1] is the shard's prefix.

local P, ARGV, call = KEYS[1], ARGV, redis.call
local format, floor, ceil = string.format, math.floor, math.ceil

local BACKLOG, BACKLOG_BATCH = 'backlog:', 'backlog:batch:'
local WAITING, WAITING_BATCH = 'waiting', 'waiting:batch'
local WAITING_LAST, BACKLOG_LAST = 'waiting:last', 'backlog:last:'
local BACKLOG_BYTES, WEIGHTS, FAIR = 'backlog_bytes', 'weights', 'fair'
local RUNNING, HELD, GRACE = 'running:', 'held:', 'grace'
local JOB, BODY, EV = 'job:', 'body:', 'ev:'
local ALIVE, CAPACITY, SWEEP = 'alive', 'capacity', 'sweep'
local SUSPECTS = 'suspects'
local OUTBOX, PV, KEY, TENANT = 'outbox', 'pv:', 'key:', 'tenant:'
local CACHE, CACHED, CACHE_SUM = 'cache:', 'cached', 'cache_sum'
local FLIGHT, SHARED = 'flight:', 'shared:'
local EDGE, WORKER, KEYS_CHANNEL = 'edge:', 'worker:', 'keys'
local LIM, SEEDING = 'lim:', 'lim:seeding'
local LEDGER, BREAKERS = 'ledger', 'breakers'

local UNFINISHED_MS, BODY_MS = ('172800000'), '600000'
local NUM_MAX = 9007199254740992
local DEAD_MS, STALE_MS, FRESH_MS = 3000, 2000, 1200

-- A count from the caller; what is none is nil.
local function num(s)
    local n = tonumber(s)
    return n and n >= 0 and n % 1 == 0 and n < NUM_MAX and n or nil
end

local function wrong(what)
    return redis.error_reply('ERR ' .. what)
end

-- Microseconds, as a number and as text: of a number Redis makes text slowly.
local function clock()
    local t = call('TIME')
    local text = t[1] .. ('00000' .. t[2]):sub(-6)
    return tonumber(text), text
end

-- Of a number below 2^63, what is behind the point left out; %.0f is slower.
local function int(n)
    return format('%d', n)
end

-- From one time to another, as text: not below 0 where the clock was set back.
local function elapsed(from, to)
    return int(math.max(0, to - from))
end

local function seq_of(tip)
    return tip and tonumber(tip:match('^%d+%-(%d+)$')) or 0
end
