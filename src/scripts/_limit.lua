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

-- One line, or where it shares its counter with another that one's counter:
--   key, kind, window, at (number of its window), cur, prev (or what has been
--   settled, and reserved), used (by now), left (ms of its window)
local function slide(c, text, ms)
    local width = SLIDING[c.window]
    local now, window, cur, prev = math.floor(ms / width), nil, 0, 0
    c.left = width - ms % width
    if text then
        window, cur, prev = counter(text)
    end
    if not window or window < now - 1 then
        cur, prev = 0, 0
    elseif window == now - 1 then
        cur, prev = 0, cur
    elseif window > now then
        -- Redis' clock was set back
        now, c.left = window, width
    end
    c.at, c.cur, c.prev = now, cur, prev
    c.used = cur + math.ceil(prev * c.left / width)
end

local function stand(c, text, now, left, epoch)
    local window, settled, reserved, since
    if text then
        window, settled, reserved, since = counter(text)
    end
    if not window or since ~= epoch then
        return false
    end
    if window < now then
        settled, reserved = 0, 0
    elseif window > now then
        now = window
    end
    c.at, c.cur, c.prev, c.left, c.epoch = now, settled, reserved, left, epoch
    c.used = settled + reserved
    return true
end

-- ms until so much more fits; nil where it never will.
local function wait_ms(c, max, want)
    local width = SLIDING[c.window]
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
    local width = SLIDING[c.window]
    if c.kind == 'c' then
        return 0
    elseif not width then
        return c.left
    elseif c.cur + want > 0 then
        return c.left + width
    end
    return c.prev > 0 and c.left or 0
end

local function seconds(ms)
    return int(math.ceil(ms / 1000))
end

-- Reads the policy: its lines, counters and estimates, or nil, what is wrong.
local function parse(text)
    local input, output, cost, price, name, pos =
        text:match('^(%d+) ([%d-]+) (%d+) (%d+) ([^%s]+)\n()')
    local p = { lines = {}, counters = {}, keys = {}, text = {}, sets = {} }
    if not input or output ~= '-' and not num(output) then
        return nil
    end
    local known = {}
    while pos <= #text do
        local kind, window, max, flag, subject, next =
            text:match(LINE, pos)
        if not kind or (kind == 'c') ~= (window == '-')
           or #p.lines == LIMITS_MAX or not num(max)
        then
            return nil
        end
        local what = kind .. window .. ':' .. subject
        local c = known[what]
        if not c then
            c = { what = what, key = P .. LIM .. tenant .. ':' .. what,
                  kind = kind, window = window }
            known[what] = c
            p.counters[#p.counters + 1] = c
            if kind ~= 'c' then
                p.keys[#p.keys + 1] = c.key
            end
            p.stands = p.stands or window == 'd' or window == 'M'
        end
        p.lines[#p.lines + 1] = { c = c, max = num(max), dry = flag == 'n' }
        pos = next
    end
    p.input, p.output, p.name = num(input), num(output), name
    p.cost, p.price = num(cost), num(price)
    return p
end

-- Reads the counters; the lines, from 0, of those that nobody has seeded.
local function read(p, ms)
    local n = #p.keys
    local estimate, epoch
    if not p.output then
        n = n + 1
        estimate, p.keys[n] = n, P .. LIM .. tenant .. ':est:' .. p.name
    end
    if p.stands then
        n = n + 1
        epoch, p.keys[n] = n, P .. LIM .. tenant .. ':epoch'
    end
    local text = n > 0 and call('MGET', unpack(p.keys)) or {}
    if estimate then
        p.output = math.ceil(tonumber(text[estimate] or OUTPUT_DEFAULT))
    end
    epoch = epoch and text[epoch] or '0'
    local day, day_left, month, month_left, missing
    if p.stands then
        -- @include calendar
        day, day_left = calendar('d', ms)
        month, month_left = calendar('M', ms)
    end
    local i = 0
    for _, c in ipairs(p.counters) do
        if c.kind == 'c' then
            c.used = call('SCARD', c.key)
            c.cur, c.prev, c.left = 0, 0, 0
        else
            i = i + 1
            if SLIDING[c.window] then
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
    for k, line in ipairs(p.lines) do
        if line.c.missing then
            list[#list + 1] = int(k - 1)
        end
    end
    return table.concat(list, ' ')
end

-- nil and the reply that refuses, or what admit does with it: reserve() and
-- the text and index (of a dry run, or nil) that its reply has.
--
-- free: an answer that no provider makes.  It is a request all the same.
local function limit(us, free)
    local ms = math.floor(us / 1000)
    local p = parse(ARGV[17])
    if not p then
        return nil, wrong('policy')
    end
    local missing = read(p, ms)
    if missing then
        return nil, { 'SEED', missing }
    end

    local tokens = p.input + p.output
    local cost = p.cost + math.ceil(p.output * p.price / 1000000)
    local wants = { r = 1, t = tokens, b = cost, c = 1 }
    if free then
        wants.t, wants.b, wants.c = 0, 0, 0
    end

    local refused, wait, would, longest
    for i, line in ipairs(p.lines) do
        local c, want = line.c, wants[line.c.kind]
        local over = c.used + want > line.max
        if over and c.kind == 'c' and want > 0 then
            c.used = heal(c.key)
            over = c.used + want > line.max
        end
        if over and (not free or c.kind == 'r') then
            if line.dry then
                would = would or i
            else
                local w = wait_ms(c, line.max, want)
                if not refused or (longest and (not w or w > longest)) then
                    refused, longest, wait = i, w, w or c.left
                end
            end
        end
    end

    local text = {}
    for i, line in ipairs(p.lines) do
        local c = line.c
        local want = refused and 0 or wants[c.kind]
        text[2 * i - 1] = counted(line.max - c.used - want)
        text[2 * i] = c.kind == 'c' and '-' or seconds(reset_ms(c, want))
    end
    text = table.concat(text, ' ')
    if refused then
        return nil, { 'LIMIT', longest and int(math.max(1,
                      math.ceil(wait / 1000))) or '-', int(refused - 1), text }
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
            elseif SLIDING[c.window] then
                if want > 0 then
                    call('SET', c.key, int(c.at) .. ' '
                         .. counted(c.cur + want) .. ' ' .. counted(c.prev),
                         'PX', COUNTER_MS[c.window])
                end
                if c.kind ~= 'r' then
                    lim[#lim + 1] = c.what .. ' ' .. int(c.at) .. '\n'
                end
            else
                local done = free and want or 0
                call('SET', c.key, int(c.at) .. ' ' .. counted(c.cur + done)
                     .. ' ' .. counted(c.prev + want - done) .. ' ' .. c.epoch,
                     'PX', COUNTER_MS[c.window])
                lim[#lim + 1] = c.what .. ' ' .. int(c.at) .. '\n'
            end
        end
        return int(tokens) .. ' ' .. int(cost) .. ' ' .. p.name .. '\n'
               .. table.concat(lim)
    end

    return reserve, text, would and int(would - 1)
end
