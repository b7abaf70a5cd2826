-- Slots: how many a tenant may hold, and taking one.

local function share(slots)
    return math.max(1, math.floor((slots * 9 + 9) / 10))
end

local function dispatch(job, tenant, queue, us)
    local entry = call('XADD', P .. queue, '*', 'j', job)
    call('ZADD', P .. LEASES, math.floor(us / 1000), job .. ' ' .. tenant)
    call('SADD', P .. RUNNING .. tenant, job)
    return entry
end
