-- What a call that failed costs, kept with its job before the next one goes
-- out: whoever ends the job bills it (docs/wire.md, 6).

local LINES_MAX, LINE_MAX = 32, 2048

local job, attempt, worker = ARGV[1], num(ARGV[2]), ARGV[3]
local n, line = num(ARGV[4]), ARGV[5]

if #ARGV ~= 5 or not attempt or attempt == 0 or not n then
    return wrong('number')
end
if #line > LINE_MAX or not line:find('^[^\t\n]+\t[^\n]+$') then
    return wrong('usage')
end

local key = P .. JOB .. job
local h = call('HMGET', key, 'state', 'attempt', 'owner', 'paid')
local reached, paid = tonumber(h[2] or 0), h[4] or ''
if h[1] ~= 'running' and h[1] ~= 'waiting' or attempt > reached
   or attempt == reached and h[3] ~= worker
then
    return { 'GONE' }
end

local entry = int(attempt) .. ' ' .. int(n) .. ' '
if paid:find('\n' .. entry, 1, true) then
    return { 'OK' }
end
if select(2, paid:gsub('\n', '')) >= LINES_MAX then
    return { 'FULL' }
end
call('HSET', key, 'paid', paid .. '\n' .. entry .. line)
return { 'OK' }
