-- Who takes jobs: those that have beaten lately, so that one which hangs gets
-- none long before it is dead.

local CREW_MAX = 64

-- Writes the list that _hand reads, and who is not on it and holds something;
-- slots of those on it.
local function muster(ms)
    local all, names, slots = call('HGETALL', P .. CAPACITY), {}, {}
    for i = 1, #all, 2 do
        local name, n = all[i], num(all[i + 1])
        if #name <= 64 and name:find('^[A-Za-z0-9.-]+$') then
            names[#names + 1] = 'w:' .. name
            slots['w:' .. name] = n or 0
        end
    end
    table.sort(names)
    local lines, leaving, sum = {}, {}, 0
    if #names > 0 then
        local beats = call('ZMSCORE', P .. ALIVE, unpack(names))
        for i, name in ipairs(names) do
            local worker = name:sub(3)
            if slots[name] > 0 and #lines < CREW_MAX and beats[i]
               and tonumber(beats[i]) >= ms - FRESH_MS
            then
                lines[#lines + 1] = worker .. ' ' .. int(slots[name]) .. '\n'
                sum = sum + slots[name]
            elseif #leaving < CREW_MAX
                   and call('EXISTS', P .. HELD .. worker) == 1
            then
                leaving[#leaving + 1] = worker
            end
        end
    end
    call('HSET', P .. SWEEP, 'slots', sum, 'listed', ms,
         'workers', #lines .. '\n' .. table.concat(lines),
         'leaving', table.concat(leaving, ' '))
    return sum
end
