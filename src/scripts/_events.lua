-- Events into the log and onto the bell (docs/wire.md, 4).

local EVENTS_MAX, EVENTS_BYTES, DATA_MAX = 64, 1048576, 65536
local WHOLE_MAX = 16384

-- What is wrong with the events in ARGV from `first` on, or nil.  The last
-- one may, and then must, be the end.
local function events_wrong(first, ends)
    local last = #ARGV
    if last <= first or (last - first) % 2 == 0
       or last - first >= 2 * EVENTS_MAX
    then
        return 'number of events'
    end
    if ends then
        local type = ARGV[last - 1]
        if type ~= 'e' and type ~= 'x' then
            return 'event type'
        end
    end
    local size = 0
    for i = first, last, 2 do
        local type, len = ARGV[i], #ARGV[i + 1]
        if type ~= 's' and type ~= 'c' and type ~= 'h'
           and not (ends and i + 1 == last)
        then
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

local function expire_log(job)
    call('PEXPIRE', P .. EV .. job, UNFINISHED_MS)
end

-- One entry: its events, type and payload in turn.  `begins`: there is no log
-- yet, and the caller sees to its expiry.
local function append(job, id, begins, ...)
    local ev = P .. EV .. job
    if begins then
        call('XADD', ev, id, ...)
    elseif not call('XADD', ev, 'NOMKSTREAM', id, ...) then
        call('XADD', ev, id, ...)
        expire_log(job)
    end
end

local function frame(id, type, payload)
    return id .. ' ' .. type .. ' ' .. #payload .. '\n' .. payload
end

-- text: 'E', the job and its frames, made at once where it is long.
local function ring(lst, text, skip)
    if lst == '' then
        return
    end
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
-- `first` on, the first of which is attempt-seq.  What fits shares an entry,
-- whose id is that of its last event.  `ends`: nothing follows; then a short
-- answer that is all there is gets no Stream: its bell is returned, too, and
-- lies in the job.
local function append_args(job, attempt, seq, tip, tip_seq, first, limit, lst,
                           ends)
    local from, last = first + 2 * (tip_seq + 1 - seq), #ARGV
    local prefix, begins = attempt .. '-', not tip
    if from + 1 == last then
        local id, type, payload = prefix .. tip_seq + 1, ARGV[from], ARGV[last]
        local len = #payload
        local bell = 'E' .. job .. '\n' .. id .. ' ' .. type .. ' ' .. len
                     .. '\n' .. payload
        local whole = ends and begins and len <= WHOLE_MAX
        if not whole then
            append(job, id, begins, type, payload)
        end
        ring(lst, len > limit and 'E' .. job .. '\n' .. id .. ' ! 0\n' or bell)
        return id, whole and bell
    end
    local text, n, k, size = { 'E', job, '\n' }, 0, 3, 0
    local entry, start, id = 0, from, nil
    for i = from, last, 2 do
        local payload = ARGV[i + 1]
        local len = #payload
        if entry + len > DATA_MAX and i > start then
            append(job, id, begins, unpack(ARGV, start, i - 1))
            entry, start, begins = 0, i, false
        end
        n, size, entry = n + 1, size + len, entry + len
        id = prefix .. tip_seq + n
        text[k + 1], text[k + 2], text[k + 3] = id, ' ', ARGV[i]
        text[k + 4], text[k + 5], text[k + 6] = ' ', len, '\n'
        text[k + 7], k = payload, k + 7
    end
    local whole = ends and begins and size <= WHOLE_MAX
    if not whole then
        append(job, id, begins, unpack(ARGV, start, last))
    end
    local bell = (whole or size <= limit) and table.concat(text)
    ring(lst, size > limit and 'E' .. job .. '\n' .. id .. ' ! 0\n' or bell)
    return id, whole and bell
end
