-- Whether a job may come in, by all limits that apply, and what it then
-- reserves (docs/wire.md, 5 and 13).  Needs _window.

local LIMITS_MAX, LOOK_MAX = 24, 4
local OUTPUT_DEFAULT = 1024
local LINE = '^([rtcb]) ([smhdM-]) (%d+) ([n-]) ([^%s]+)\n()'

-- Jobs that have gone leave no place taken: a few are looked at, each time
-- that there is no room.
local function heal(key)
    for _, job in ipairs(call('SRANDMEMBER', key, LOOK_MAX)) do
        local state = call('HGET', P .. JOB .. job, 'state')
        if state ~= 'waiting' and state ~= 'running' then
            call('SREM', key, job)
        end
    end
    return call('SCARD', key)
end

-- One line's counter, which others may share:
--   what, key, kind, window, width (ms, of one that slides), at (number of its
--   window), cur, prev (or what has been settled, and reserved), used (by now),
--   left (ms of its window); at, cur and prev as texts where they are known
local function new_counter(what, key, kind, window)
    return { what = what, key = key, kind = kind, window = window,
             width = SLIDING[window], at = 0, cur = 0, prev = 0, used = 0,
             left = 0, at_text = false, cur_text = false, prev_text = false,
             epoch = false, missing = false }
end

local function slide(c, text, ms)
    local width = c.width
    local now, window, cur, prev = floor(ms / width), nil, 0, 0
    local _, at_text, prev_text
    local left = width - ms % width
    if text then
        window, cur, prev, _, at_text, _, prev_text = counter(text)
    end
    if not window or window < now - 1 then
        cur, prev, at_text, prev_text = 0, 0, nil, nil
    elseif window == now - 1 then
        cur, prev, at_text, prev_text = 0, cur, nil, nil
    elseif window > now then
        -- Redis' clock was set back
        now, left = window, width
    end
    c.at, c.cur, c.prev, c.left = now, cur, prev, left
    c.at_text, c.prev_text = at_text, prev_text
    c.used = cur + ceil(prev * left / width)
end

local function stand(c, text, now, left, epoch)
    local window, settled, reserved, since, at_text, cur_text
    if text then
        window, settled, reserved, since, at_text, cur_text = counter(text)
    end
    if not window or since ~= epoch then
        return false
    end
    if window < now then
        settled, reserved, at_text, cur_text = 0, 0, nil, nil
    elseif window > now then
        now = window
    end
    c.at, c.cur, c.prev, c.left, c.epoch = now, settled, reserved, left, epoch
    c.at_text, c.cur_text = at_text, cur_text
    c.used = settled + reserved
    return true
end

-- ms until so much more fits; nil where it never will.
local function wait_ms(c, max, want)
    local width = c.width
    if want > max then
        return nil
    elseif c.kind == 'c' then
        return 1000
    elseif not width then
        return c.left
    elseif c.cur + want <= max then
        return math.max(0, c.left - (max - c.cur - want) * width / c.prev)
    end
    return c.left + width - (max - want) * width / c.cur
end

-- When all that is counted now has gone.
local function reset_ms(c, want)
    local width = c.width
    if c.kind == 'c' then
        return 0
    elseif not width then
        return c.left
    elseif c.cur + want > 0 then
        return c.left + width
    end
    return c.prev > 0 and c.left or 0
end

-- Reads the policy: its lines, counters and estimates, or nil, what is wrong.
local function parse(text)
    local input, output, cost, price, name, pos =
        text:match('^(%d+) ([%d-]+) (%d+) (%d+) ([^%s]+)\n()')
    local counters, keys = {}, {}
    local p = { counters = counters, keys = keys, c = {}, max = {}, dry = {},
                n = 0, day = false, month = false, input = num(input),
                output = num(output), name = name, cost = num(cost),
                price = num(price) }
    if not input or output ~= '-' and not p.output then
        return nil
    end
    local base, known, n = P .. LIM .. tenant .. ':', {}, 0
    while pos <= #text do
        local kind, window, max, flag, subject, next =
            text:match(LINE, pos)
        max = tonumber(max)
        if not kind or (kind == 'c') ~= (window == '-')
           or n == LIMITS_MAX or max >= NUM_MAX
        then
            return nil
        end
        local what = kind .. window .. ':' .. subject
        local c = known[what]
        if not c then
            c = new_counter(what, base .. what, kind, window)
            known[what] = c
            counters[#counters + 1] = c
            if kind ~= 'c' then
                keys[#keys + 1] = c.key
            end
            p.day = p.day or window == 'd'
            p.month = p.month or window == 'M'
        end
        n = n + 1
        p.c[n], p.max[n], p.dry[n] = c, max, flag == 'n'
        pos = next
    end
    p.n = n
    return p
end

-- Reads the counters; the lines, from 0, of those that nobody has seeded.
local function read(p, ms)
    local n, stands = #p.keys, p.day or p.month
    local estimate, epoch
    if not p.output then
        n = n + 1
        estimate, p.keys[n] = n, P .. LIM .. tenant .. ':est:' .. p.name
    end
    if stands then
        n = n + 1
        epoch, p.keys[n] = n, P .. LIM .. tenant .. ':epoch'
    end
    local text = n > 0 and call('MGET', unpack(p.keys)) or {}
    if estimate then
        p.output = ceil(tonumber(text[estimate] or OUTPUT_DEFAULT))
    end
    epoch = epoch and text[epoch] or '0'
    local day, day_left, month, month_left, missing
    if stands then
        -- @include calendar
        if p.day then
            day, day_left = calendar('d', ms)
        end
        if p.month then
            month, month_left = calendar('M', ms)
        end
    end
    local i = 0
    for _, c in ipairs(p.counters) do
        if c.kind == 'c' then
            c.used = call('SCARD', c.key)
        else
            i = i + 1
            if c.width then
                slide(c, text[i], ms)
            elseif not stand(c, text[i], c.window == 'd' and day or month,
                             c.window == 'd' and day_left or month_left, epoch)
            then
                missing = true
                c.missing = true
            end
        end
    end
    if not missing then
        return nil
    end
    local list = {}
    for k = 1, p.n do
        if p.c[k].missing then
            list[#list + 1] = int(k - 1)
        end
    end
    return table.concat(list, ' ')
end

-- nil and the reply that refuses, or what admit does with it: reserve() and
-- the text and index (of a dry run, or nil) that its reply has.
--
-- free: how many requests no provider answers, if it is that.  They count as
-- requests; of several that came as one, as many as there is room for.
local function limit(us, free)
    local ms = floor(us / 1000)
    local p = parse(ARGV[17])
    if not p then
        return nil, wrong('policy')
    end
    local missing = read(p, ms)
    if missing then
        return nil, { 'SEED', missing }
    end

    local tokens = p.input + p.output
    local cost = p.cost + ceil(p.output * p.price / 1000000)
    local wants = { r = 1, t = tokens, b = cost, c = 1 }
    if free then
        wants.r, wants.t, wants.b, wants.c = free, 0, 0, 0
        for i = 1, p.n do
            local c = p.c[i]
            if c.kind == 'r' and not p.dry[i] then
                wants.r = math.min(wants.r, math.max(1, p.max[i] - c.used))
            end
        end
    end

    local refused, wait, would, longest
    for i = 1, p.n do
        local c, max = p.c[i], p.max[i]
        local want = wants[c.kind]
        local over = c.used + want > max
        if over and c.kind == 'c' and want > 0 then
            c.used = heal(c.key)
            over = c.used + want > max
        end
        if over and (not free or c.kind == 'r') then
            if p.dry[i] then
                would = would or i
            else
                local w = wait_ms(c, max, want)
                if not refused or (longest and (not w or w > longest)) then
                    refused, longest, wait = i, w, w or c.left
                end
            end
        end
    end

    local text = {}
    for i = 1, p.n do
        local c = p.c[i]
        local want = refused and 0 or wants[c.kind]
        local left = p.max[i] - c.used - want
        if left < 0 then
            left = 0
        end
        text[i] = c.kind == 'c' and format('%.0f -', left)
                  or format('%.0f %.0f', left, ceil(reset_ms(c, want) / 1000))
    end
    text = table.concat(text, ' ')
    if refused then
        return nil, { 'LIMIT', longest and int(math.max(1,
                      ceil(wait / 1000))) or '-', int(refused - 1), text }
    end

    -- What settle must know; nothing where nothing comes back.
    local function reserve()
        local lim = {}
        for _, c in ipairs(p.counters) do
            local want = wants[c.kind]
            if c.kind == 'c' then
                if not free then
                    call('SADD', c.key, job)
                    call('PEXPIRE', c.key, UNFINISHED_MS)
                    lim[#lim + 1] = c.what .. ' 0\n'
                end
            else
                local at = c.at_text or int(c.at)
                if not c.width then
                    local done = free and want or 0
                    call('SET', c.key, at .. ' '
                         .. (done == 0 and c.cur_text or counted(c.cur + done))
                         .. ' ' .. counted(c.prev + want - done) .. ' '
                         .. c.epoch, 'PX', COUNTER_MS[c.window])
                elseif want > 0 then
                    call('SET', c.key, at .. ' ' .. counted(c.cur + want)
                         .. ' ' .. (c.prev_text or counted(c.prev)), 'PX',
                         COUNTER_MS[c.window])
                end
                if c.kind ~= 'r' or not c.width then
                    lim[#lim + 1] = c.what .. ' ' .. at .. '\n'
                end
            end
        end
        return int(tokens) .. ' ' .. int(cost) .. ' ' .. p.name .. '\n'
               .. table.concat(lim)
    end

    return reserve, text, would and int(would - 1)
end
