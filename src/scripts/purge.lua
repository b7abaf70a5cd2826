-- One step of a purge: of the kept answers from `cursor` on, those that match
-- go.  What was asked for before it began is not kept any more.

-- @include kept

local MAX = 1000

local tenant, model, sha = ARGV[1], ARGV[2], ARGV[3]
local cursor, max = num(ARGV[4]), num(ARGV[5])

if #ARGV ~= 5 or not cursor or not max or max == 0 or max > MAX
   or (sha ~= '' and (#sha ~= 64 or sha:find('[^0-9a-f]')))
then
    return wrong('arguments')
end

if cursor == 0 then
    local _, at = clock()
    call('HSET', P .. CACHE_SUM, 'purged', at)
end

local function matches(name)
    local c = call('HMGET', P .. CACHE .. name, 't', 'm')
    return c[1] and (tenant == '' or c[1] == tenant)
           and (model == '' or c[2] == model)
end

if sha ~= '' then
    local found = matches(sha)
    if found then
        unkeep(sha)
    end
    return { 'OK', found and '1' or '0', '0' }
end

-- The cursor is the ms of an end, for ranks change while others keep; of those
-- that end in one ms none is left for later.
local members = call('ZRANGEBYSCORE', P .. CACHED, '(' .. int(cursor), '+inf',
                     'LIMIT', 0, max)
local last, next = members[max], '0'
if last then
    next = int(tonumber(call('ZSCORE', P .. CACHED, last)))
    for _, member in ipairs(call('ZRANGEBYSCORE', P .. CACHED, next, next)) do
        members[#members + 1] = member
    end
end

local removed = 0
for _, member in ipairs(members) do
    local name = member:match('^%x+')
    if call('EXISTS', P .. CACHE .. name) == 0 then
        uncount(member)
    elseif matches(name) then
        unkeep(name)
        uncount(member)
        removed = removed + 1
    end
end
return { 'OK', int(removed), next }
