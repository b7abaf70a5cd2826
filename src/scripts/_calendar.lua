-- Days and months in UTC, of days since 1970 (proleptic Gregorian calendar; a
-- year begins in March, so that its leap day is its last).  Of what is not
-- negative x - x % n is a floor without a call.

local function month_of(day)
    local z = day + 719468
    local doe = z % 146097
    local days = doe - (doe - doe % 1460) / 1460 + (doe - doe % 36524) / 36524
                 - (doe - doe % 146096) / 146096
    local yoe = (days - days % 365) / 365
    local doy = 5 * (doe - (365 * yoe + (yoe - yoe % 4) / 4
                            - (yoe - yoe % 100) / 100)) + 2
    return (yoe + (z - doe) / 146097 * 400) * 12 + (doy - doy % 153) / 153 + 2
end

-- The first day of a month.
local function first_day(month)
    local m = (month - 2) % 12
    local year = (month - 2 - m) / 12
    local yoe = year % 400
    local doy = 153 * m + 2
    return (year - yoe) / 400 * 146097 + yoe * 365 + (yoe - yoe % 4) / 4
           - (yoe - yoe % 100) / 100 + (doy - doy % 5) / 5 - 719468
end

-- Of a window d or M at a time: its number, and ms to its end.
local function calendar(window, ms)
    local day = (ms - ms % 86400000) / 86400000
    if window == 'd' then
        return day, (day + 1) * 86400000 - ms
    end
    local month = month_of(day)
    return month, first_day(month + 1) * 86400000 - ms
end
