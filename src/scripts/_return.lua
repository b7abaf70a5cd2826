-- What a job has taken, against what it reserved (docs/wire.md, 13).

-- @include window

local USAGE = '^' .. ('[^\t]*\t'):rep(6) .. '([^\t]*)\t([^\t]*)\t'
              .. ('[^\t]*\t'):rep(3) .. '([^\t]*)'
local LINE = '^(([rtcb])(.):%S+) (%d+)\n()'

-- Input, output and cost of the lines that the ledger gets: what it does not
-- know is nothing.
local function took(lines)
    local input, output, cost = 0, 0, 0
    local first = lines:find('\n', 1, true)
    if not first then
        local i, o, c = match(lines, USAGE)
        return num(i) or 0, num(o) or 0, num(c) or 0
    end
    for line in lines:sub(first + 1):gmatch('[^\n]+') do
        local i, o, c = match(line, USAGE)
        input = input + (num(i) or 0)
        output = output + (num(o) or 0)
        cost = cost + (num(c) or 0)
    end
    return input, output, cost
end

-- One step of a quantile of 95 %: one in twenty lies above where it stays.
local function estimate(old, n)
    old = tonumber(old)
    if not old then
        return n
    end
    local step = math.max(1, old / 5)
    if n > old then
        return math.min(n, old + step * 0.95)
    end
    return math.max(n, old - step * 0.05)
end

-- What it was charged at, in the window of its admit: the one that is now, or
-- the one before.
local function recount(key, window, slides, at, was, is)
    local text = call('GET', key)
    local now, a, b, epoch, now_text, a_text, b_text
    if text then
        now, a, b, epoch, now_text, a_text, b_text = counter(text)
    end
    if not now and not slides then
        return
    end
    if not now or now < at then
        now, a, b, now_text, a_text, b_text = at, 0, 0, nil, '0', '0'
    end
    if not slides then
        if now ~= at then
            return
        end
        a_text = counted(a + is)
        b_text = counted(b - was) .. ' ' .. epoch
    elseif now == at then
        a_text = counted(a + is - was)
    elseif now == at + 1 then
        b_text = counted(b + is - was)
    else
        return
    end
    put(key, (now_text or int(at)) .. ' ' .. a_text .. ' ' .. b_text,
        not now_text and window)
end

local function give_back(job, tenant, lim, lines)
    local input, output, cost = took(lines)
    local tokens, budget, name, pos = match(lim, '^(%d+) (%d+) (%S+)\n()')
    local base = P .. LIM .. tenant .. ':'
    while pos <= #lim do
        local what, kind, window, at, next = match(lim, LINE, pos)
        local key, slides, was, is = base .. what, sliding(window), 1, 1
        pos = next
        if kind == 't' then
            was, is = tonumber(tokens), input + output
        elseif kind == 'b' then
            was, is = tonumber(budget), cost
        end
        if kind == 'c' then
            call('SREM', key, job)
        elseif was ~= is or not slides then
            recount(key, window, slides, tonumber(at), was, is)
        end
    end
    if name ~= '-' and output > 0 and lines:sub(1, 5) == 'done\t' then
        local key = base .. 'est:' .. name
        call('SET', key, format('%.2f', estimate(call('GET', key), output)),
             'PX', ESTIMATE_MS)
    end
end
