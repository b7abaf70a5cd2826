-- Events into the log and onto the bell (docs/wire.md, 4).

local EVENTS_MAX, EVENTS_BYTES, DATA_MAX = 64, 1048576, 65536

-- What is wrong with the events in ARGV from `first` on, or nil.
local function events_wrong(first, last_types)
    local n = #ARGV - first + 1
    if n < 2 or n % 2 == 1 or n > 2 * EVENTS_MAX then
        return 'number of events'
    end
    local size = 0
    for i = first, #ARGV, 2 do
        local types = 'hsc'
        if i == #ARGV - 1 then
            types = last_types
        end
        local type, len = ARGV[i], #ARGV[i + 1]
        if #type ~= 1 or not types:find(type, 1, true) then
            return 'event type'
        end
        if len > DATA_MAX then
            return 'event over 64 KB'
        end
        size = size + len
    end
    if size > EVENTS_BYTES then
        return 'events over 1 MB'
    end
end

local function append(job, id, type, payload)
    local ev = P .. EV .. job
    if not call('XADD', ev, 'NOMKSTREAM', id, type, payload) then
        call('XADD', ev, id, type, payload)
        call('PEXPIRE', ev, UNFINISHED_MS)
    end
    return id .. ' ' .. type .. ' ' .. #payload .. '\n' .. payload
end

local function ring(job, lst, frames, skip)
    if not lst or lst == '' then
        return
    end
    local text = 'E' .. job .. '\n' .. frames
    if not lst:find(' ', 1, true) then
        if lst ~= skip then
            call('PUBLISH', P .. EDGE .. lst, text)
        end
        return
    end
    for edge in lst:gmatch('%S+') do
        if edge ~= skip then
            call('PUBLISH', P .. EDGE .. edge, text)
        end
    end
end

-- Appends and rings what lies behind the tip of the events in ARGV from
-- `first` on, the first of which is attempt-seq.
local function append_args(job, attempt, seq, tip_seq, first, limit, lst)
    local frames, n, size, id = {}, 0, 0, nil
    for i = first + 2 * (tip_seq + 1 - seq), #ARGV, 2 do
        tip_seq = tip_seq + 1
        id = attempt .. '-' .. tip_seq
        n = n + 1
        size = size + #ARGV[i + 1]
        frames[n] = append(job, id, ARGV[i], ARGV[i + 1])
    end
    if size > limit then
        ring(job, lst, id .. ' ! 0\n')
    elseif n == 1 then
        ring(job, lst, frames[1])
    else
        ring(job, lst, table.concat(frames))
    end
    return id
end
