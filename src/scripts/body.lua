-- Begins a body that comes in pieces: a list that expires, so that what its
-- edge cannot finish is gone.  An admitted job's is left alone: it is read.

local job = ARGV[1]

if #ARGV ~= 1 or #job ~= 36 or not job:find('^job_[0-9a-f]+$') then
    return wrong('job')
end

if call('EXISTS', P .. JOB .. job) == 1 then
    return { 'ADMITTED' }
end

local key = P .. BODY .. job
call('UNLINK', key)
call('RPUSH', key, '')
call('PEXPIRE', key, BODY_MS)
return { 'OK' }
