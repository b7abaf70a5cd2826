-- Whether a job may come in, by all limits that apply, and what it then
-- reserves (docs/wire.md, 5 and 13).  Needs _window.

local LIMITS_MAX, LOOK_MAX = 24, 4
local OUTPUT_DEFAULT = 1024

-- The policy: HEAD values, then LINE for each limit.  Unpacked at once it is
-- one flat list, which costs Lua a fourth of what reading a text does.
local INPUT, OUTPUT, COST, PRICE, NAME, HEAD = 1, 2, 3, 4, 5, 5
local WHAT, KIND, WINDOW, MAX, DRY, LINE = 1, 2, 3, 4, 5, 5

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

-- Where a counter stands: what is used by now, ms that are left of its window,
-- the window, its two counts; and of these three the texts where they stay.
local function slide(text, width, ms)
    local now, left = (ms - ms % width) / width, width - ms % width
    local window, cur, prev, _, at_text, cur_text, prev_text
    if text then
        window, cur, prev, _, at_text, cur_text, prev_text = counter(text)
    end
    if not window or window < now - 1 then
        return 0, left, now, 0, 0
    elseif window == now - 1 then
        return ceil(cur * left / width), left, now, 0, cur, nil, nil, cur_text
    elseif window > now then
        -- Redis' clock was set back
        now, left = window, width
    end
    return cur + ceil(prev * left / width), left, now, cur, prev, at_text,
           cur_text, prev_text
end

-- Nothing where nobody has seeded it.
local function stand(text, now, left, epoch)
    local window, settled, reserved, since, at_text, settled_text
    if text then
        window, settled, reserved, since, at_text, settled_text = counter(text)
    end
    if not window or since ~= epoch then
        return
    elseif window < now then
        return 0, left, now, 0, 0
    end
    return settled + reserved, left, window, settled, reserved, at_text,
           settled_text
end

-- What remains, and when all that is counted then has gone.
local function remains(kind, width, rest, left, cur, prev)
    if kind == 'c' then
        return format(' %d -', rest > 0 and rest or 0)
    elseif width then
        left = cur > 0 and left + width or prev > 0 and left or 0
    end
    return format(' %d %d', rest > 0 and rest or 0, ceil(left / 1000))
end

-- nil and the reply that refuses, or what admit does with it: reserve(), which
-- says what settle must know, and the text and index (of a dry run, or nil)
-- that its reply has.
--
-- free: how many requests no provider answers, if it is that.  They count as
-- requests; of several that came as one, as many as there is room for.
local function limit(us, free)
    local p = { cmsgpack.unpack(ARGV[17]) }
    local n = (#p - HEAD) / LINE
    if n % 1 ~= 0 or n < 1 or n > LIMITS_MAX then
        return nil, wrong('policy')
    end
    local base, keys, days, months = P .. LIM .. tenant .. ':', {}, false, false
    for i = 1, n do
        local l = HEAD + (i - 1) * LINE
        local window = p[l + WINDOW]
        if (p[l + KIND] == 'c') ~= (window == '-') or p[l + MAX] >= NUM_MAX then
            return nil, wrong('policy')
        end
        keys[i] = base .. p[l + WHAT]
        days, months = days or window == 'd', months or window == 'M'
    end

    -- Each line has its place: of a set MGET says nothing.
    local last, day, day_left, month, month_left = n, nil, nil, nil, nil
    local ms, output = (us - us % 1000) / 1000, p[OUTPUT]
    if not output then
        last = last + 1
        keys[last] = base .. 'est:' .. p[NAME]
    end
    if days or months then
        -- @include calendar
        if days then
            day, day_left = calendar('d', ms)
        end
        if months then
            month, month_left = calendar('M', ms)
        end
        last = last + 1
        keys[last] = base .. 'epoch'
    end
    local text = call('MGET', unpack(keys))
    local epoch = (days or months) and text[last] or '0'
    output = output or ceil(tonumber(text[n + 1] or OUTPUT_DEFAULT))
    local tokens = p[INPUT] + output
    local cost = p[COST] + ceil(output * p[PRICE] / 1000000)

    local requests = free or 1

    local function wanted(kind)
        if kind == 'r' then
            return requests
        end
        return free and 0 or kind == 't' and tokens or kind == 'b' and cost or 1
    end

    -- Of line i: what is used, and the rest of what slide or stand say.
    local function look(i, window, width, want, max)
        if width then
            return slide(text[i], width, ms)
        elseif window == 'd' then
            return stand(text[i], day, day_left, epoch)
        elseif window == 'M' then
            return stand(text[i], month, month_left, epoch)
        end
        -- Counted once: what is looked at again must not change.
        if not text[i] then
            text[i] = call('SCARD', keys[i])
            if want > 0 and text[i] + want > max then
                text[i] = heal(keys[i])
            end
        end
        return text[i], 0, 0, 0, 0
    end

    -- It names the limit that takes longest; nothing is taken of what is left.
    -- Who must be seeded comes first.
    local function refusal()
        -- ms until so much more fits; nil where it never will.
        local function wait_ms(kind, width, max, want, left, cur, prev)
            if want > max then
                return nil
            elseif kind == 'c' then
                return 1000
            elseif not width then
                return left
            elseif cur + want <= max then
                return math.max(0, left - (max - cur - want) * width / prev)
            end
            return left + width - (max - want) * width / cur
        end

        local refused, longest, wait, said, list = nil, nil, nil, {}, {}
        for i = 1, n do
            local l = HEAD + (i - 1) * LINE
            local max, kind, window = p[l + MAX], p[l + KIND], p[l + WINDOW]
            local width, want = sliding(window), wanted(kind)
            local used, left, _, cur, prev = look(i, window, width, want, max)
            if not used then
                list[#list + 1] = i - 1
            elseif used + want > max and not p[l + DRY]
                   and (not free or kind == 'r')
            then
                local w = wait_ms(kind, width, max, want, left, cur, prev)
                if not refused or (longest and (not w or w > longest)) then
                    refused, longest, wait = i, w, w or left
                end
            end
            said[i] = used and remains(kind, width, max - used, left, cur, prev)
        end
        if #list > 0 then
            return nil, { 'SEED', table.concat(list, ' ') }
        end
        return nil, { 'LIMIT', longest and int(math.max(1, ceil(wait / 1000)))
                      or '-', int(refused - 1), table.concat(said):sub(2) }
    end

    for i = 1, requests > 1 and n or 0 do
        local l = HEAD + (i - 1) * LINE
        if p[l + KIND] == 'r' and not p[l + DRY] then
            local window, max = p[l + WINDOW], p[l + MAX]
            local used = look(i, window, sliding(window), 0, max) or 0
            requests = math.min(requests, math.max(1, max - used))
        end
    end

    local lim, said, would = '', '', nil
    local puts, fresh = { false, false, false, false }, nil
    for i = 1, n do
        local l = HEAD + (i - 1) * LINE
        local what, kind, window = p[l + WHAT], p[l + KIND], p[l + WINDOW]
        local max, width, want = p[l + MAX], sliding(window), wanted(kind)
        local used, left, at, a, b, at_text, a_text, b_text =
            look(i, window, width, want, max)
        if not used then
            return refusal()
        elseif used + want > max and (not free or kind == 'r') then
            if not p[l + DRY] then
                return refusal()
            end
            would = would or i
        end
        said = said .. remains(kind, width, max - used - want, left, a + want,
                               b)
        local first = true
        for k = HEAD + WHAT, l, LINE do
            first = first and p[k] ~= what
        end
        -- Of two lines with one counter the second counts nothing.
        if not first then
            puts[i] = false
        elseif kind == 'c' then
            puts[i] = want > 0
            lim = want > 0 and lim .. what .. ' 0\n' or lim
        else
            if not at_text then
                at_text, fresh = int(at), fresh or {}
                fresh[i] = true
            end
            if width then
                puts[i] = want > 0 and at_text .. ' ' .. counted(a + want)
                          .. ' ' .. (b_text or counted(b))
            else
                local done = free and want or 0
                puts[i] = at_text .. ' '
                          .. (done == 0 and a_text or counted(a + done)) .. ' '
                          .. counted(b + want - done) .. ' ' .. epoch
            end
            if kind ~= 'r' or not width then
                lim = lim .. what .. ' ' .. at_text .. '\n'
            end
        end
    end

    local function reserve()
        for i = 1, n do
            local key, text = keys[i], puts[i]
            if text == true then
                call('SADD', key, job)
                call('PEXPIRE', key, UNFINISHED_MS)
            elseif text then
                put(key, text, fresh and fresh[i]
                               and p[HEAD + (i - 1) * LINE + WINDOW])
            end
        end
        return counted(tokens) .. ' ' .. counted(cost) .. ' ' .. p[NAME]
               .. '\n' .. lim
    end

    return reserve, said:sub(2), would and int(would - 1)
end
