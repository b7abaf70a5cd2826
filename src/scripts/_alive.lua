-- Who is alive (docs/wire.md, 5): dead is who has not beaten, outside of a
-- grace that begins when sweeps had stopped.

local function in_grace(last, grace_until, ms)
    return not last or ms - tonumber(last) > STALE_MS
           or ms < tonumber(grace_until or 0)
end

-- True where none of the listening edges has beaten since `cutoff` (ms).
local function silent(lst, cutoff)
    if lst == '' then
        return true
    end
    local names = {}
    for edge in lst:gmatch('%S+') do
        names[#names + 1] = 'e:' .. edge
    end
    for _, score in ipairs(call('ZMSCORE', P .. ALIVE, unpack(names))) do
        if score and tonumber(score) >= cutoff then
            return false
        end
    end
    return true
end
