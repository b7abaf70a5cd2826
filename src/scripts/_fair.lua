-- How evenly slots are given: Jain's index of what tenants had by what was due
-- to them (docs/wire.md, 5).  Needs _wait and _hand.
--
-- `P fair` has of a tenant "<had> <due>", in slots times ms.

local FAIR_MAX, FAIR_ENDS, FAIR_HALF_MS, FAIR_LEAST = 64, 24, 15000, 1000
local FAIR_EXPIRE_MS = 300000

-- What is known of tenants, of FAIR_MAX at most in all: of those that wait the
-- first and the last, of those that hold slots some.
local function fair_tenants()
    local all, known, names = call('HGETALL', P .. FAIR), {}, {}
    for i = 1, #all, 2 do
        local had, due = all[i + 1]:match('^(%d+) (%d+)$')
        known[all[i]] = { tonumber(had or 0), tonumber(due or 0) }
        names[#names + 1] = all[i]
    end
    local function add(tenant)
        if #names < FAIR_MAX and not known[tenant] then
            known[tenant] = { 0, 0 }
            names[#names + 1] = tenant
        end
    end
    for _, zset in ipairs({ WAITING, WAITING_LAST }) do
        for _, from in ipairs({ 0, -FAIR_ENDS }) do
            for _, tenant in ipairs(call('ZRANGE', P .. zset, from,
                                         from + FAIR_ENDS - 1))
            do
                add(tenant)
            end
        end
    end
    if #names == 0 then
        return names, known
    end
    for _, worker in ipairs(call('HKEYS', P .. CAPACITY)) do
        for _, member in ipairs(call('SRANDMEMBER', P .. HELD .. worker,
                                     FAIR_ENDS))
        do
            add(member:match(' (.+)$'))
        end
    end
    return names, known
end

-- What is due to each: by weight, to none more than it wants or may hold, and
-- what one leaves is the others'.  wants: { tenant, holds, wants, weight }.
local function fair_shares(wants)
    local slots, weights, due = 0, 0, {}
    table.sort(wants, function(a, b)
        local x, y = a[3] * b[4], b[3] * a[4]
        return x < y or x == y and a[1] < b[1]
    end)
    for _, w in ipairs(wants) do
        slots, weights = slots + w[2], weights + w[4]
    end
    for _, w in ipairs(wants) do
        due[w[1]] = math.min(w[3], slots * w[4] / weights)
        slots, weights = slots - due[w[1]], weights - w[4]
    end
    return due
end

-- In millionths.  `slots`: the live ones; `ms`: since this was done last.
local function jain(ms, slots)
    local names, known = fair_tenants()
    if #names == 0 then
        return 1000000
    end
    local wants, most = {}, share(slots)
    local weights = call('HMGET', P .. WEIGHTS, unpack(names))
    for i, tenant in ipairs(names) do
        local holds = call('SCARD', P .. RUNNING .. tenant)
        local waits = call('LLEN', P .. BACKLOG .. tenant)
                      + call('LLEN', P .. BACKLOG_LAST .. tenant)
        local weight = tonumber(weights[i] or 1)
        if holds + waits > 0 then
            wants[#wants + 1] = { tenant, holds,
                                  math.max(math.min(holds + waits, most), 1),
                                  weight and weight > 0 and weight or 1 }
        end
    end
    local due, had = fair_shares(wants), {}
    for _, w in ipairs(wants) do
        had[w[1]] = w[2]
    end
    ms = math.max(0, math.min(ms, STALE_MS))
    local fade, n, sum, squares = 0.5 ^ (ms / FAIR_HALF_MS), 0, 0, 0
    for _, tenant in ipairs(names) do
        local k = known[tenant]
        k[1] = k[1] * fade + (had[tenant] or 0) * ms
        k[2] = k[2] * fade + (due[tenant] or 0) * ms
        -- Rounded, what is small would not fade any more.
        if k[2] >= (due[tenant] and 1 or FAIR_LEAST) then
            local x = k[1] / k[2]
            n, sum, squares = n + 1, sum + x, squares + x * x
            call('HSET', P .. FAIR, tenant, int(k[1] + 0.5) .. ' '
                 .. int(k[2] + 0.5))
        else
            call('HDEL', P .. FAIR, tenant)
        end
    end
    call('PEXPIRE', P .. FAIR, FAIR_EXPIRE_MS)
    return squares > 0 and int(sum * sum / (n * squares) * 1000000 + 0.5)
           or 1000000
end
