-- Slots: how many a tenant may hold, and taking one.

local function share(slots)
    return math.max(1, math.floor((slots * 9 + 9) / 10))
end

-- at: microseconds as text.
local function dispatch(job, tenant, queue, at)
    local entry = call('XADD', P .. queue, '*', 'j', job)
    call('ZADD', P .. LEASES, at:sub(1, -4), job .. ' ' .. tenant)
    call('SADD', P .. RUNNING .. tenant, job)
    return entry
end
