-- What a job has taken, against what it reserved (docs/wire.md, 13).

-- @include window

local USAGE = '^' .. ('[^\t]*\t'):rep(6) .. '([^\t]*)\t([^\t]*)\t'
              .. ('[^\t]*\t'):rep(3) .. '([^\t]*)'

-- Input, output and cost of the lines that the ledger gets: what it does not
-- know is nothing.
local function took(lines)
    local input, output, cost = 0, 0, 0
    local _, pos = lines:find('\n', 1, true)
    for line in lines:sub((pos or 0) + 1):gmatch('[^\n]+') do
        local i, o, c = line:match(USAGE)
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
local function recount(key, window, at, text, was, is)
    local now, a, b, epoch, now_text, a_text, b_text
    local sliding = SLIDING[window]
    if text then
        now, a, b, epoch, now_text, a_text, b_text = counter(text)
    end
    if not now and not sliding then
        return
    end
    if not now or now < at then
        now, a, b, now_text, a_text, b_text = at, 0, 0, int(at), '0', '0'
    end
    if not sliding then
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
    call('SET', key, now_text .. ' ' .. a_text .. ' ' .. b_text, 'PX',
         COUNTER_MS[window])
end

local function give_back(job, tenant, lim, lines)
    local input, output, cost = took(lines)
    local tokens, budget, name, pos = lim:match('^(%d+) (%d+) (%S+)\n()')
    local was = { r = 1, t = tonumber(tokens), b = tonumber(budget) }
    local is = { r = 1, t = input + output, b = cost }
    local base, keys, what, at, n = P .. LIM .. tenant .. ':', {}, {}, {}, 0
    while pos <= #lim do
        local name, window, next = lim:match('^(%S+) (%d+)\n()', pos)
        if name:sub(1, 1) == 'c' then
            call('SREM', base .. name, job)
        else
            n = n + 1
            keys[n], what[n], at[n] = base .. name, name, tonumber(window)
        end
        pos = next
    end
    local learn = name ~= '-' and output > 0 and lines:sub(1, 5) == 'done\t'
    if learn then
        keys[n + 1] = base .. 'est:' .. name
    end
    if #keys == 0 then
        return
    end
    local text = call('MGET', unpack(keys))
    for i = 1, n do
        local kind, window = what[i]:sub(1, 1), what[i]:sub(2, 2)
        if was[kind] ~= is[kind] or not SLIDING[window] then
            recount(keys[i], window, at[i], text[i], was[kind], is[kind])
        end
    end
    if learn then
        call('SET', keys[n + 1],
             format('%.2f', estimate(text[n + 1], output)), 'PX',
             ESTIMATE_MS)
    end
end
