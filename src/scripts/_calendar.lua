-- Days and months in UTC, of days since 1970 (proleptic Gregorian calendar; a
-- year begins in March, so that its leap day is its last).

local function month_of(day)
    local z = day + 719468
    local era = floor(z / 146097)
    local doe = z - era * 146097
    local yoe = floor((doe - floor(doe / 1460)
                            + floor(doe / 36524)
                            - floor(doe / 146096)) / 365)
    local doy = doe - (365 * yoe + floor(yoe / 4)
                       - floor(yoe / 100))
    local m = floor((5 * doy + 2) / 153)
    return (yoe + era * 400) * 12 + m + 2
end

-- The first day of a month.
local function first_day(month)
    local year, m = floor((month - 2) / 12), (month - 2) % 12
    local era = floor(year / 400)
    local yoe = year - era * 400
    return era * 146097 + yoe * 365 + floor(yoe / 4)
           - floor(yoe / 100) + floor((153 * m + 2) / 5) - 719468
end

-- Of a window d or M at a time: its number, and ms to its end.
local function calendar(window, ms)
    local day = floor(ms / 86400000)
    if window == 'd' then
        return day, (day + 1) * 86400000 - ms
    end
    local month = month_of(day)
    return month, first_day(month + 1) * 86400000 - ms
end
