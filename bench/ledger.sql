-- Half of a ledger's past (:n rows in all; :half is 0 or 1) into a table
-- without indexes, which ledger-attach.sql makes the partition of this month.

SET synchronous_commit = off;
SET timezone = 'UTC';

INSERT INTO ngxai.bench
    (job, attempt, call, at, tenant, principal, op, dialect, model, state,
     status, provider, provider_model, finish, input, output, cost, ttft,
     duration, queue, attempts)
SELECT 'job_' || lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
           || left(md5(i::text), 20),
       1, 1, at, 'tenant-' || i % 1000, 'key_' || lpad(to_hex(i % 1000), 16, '0'),
       'chat', 'openai', 'mock/bench', 'done', 200, 'mock', 'bench', 'stop',
       15, 1, 17000, 900, 1200, 80, 1
  FROM (SELECT i, date_trunc('month', now())
                  + (now() - date_trunc('month', now())) * i / (:n + 1) AS at
          FROM generate_series(1 + :half, :n, 2) i) past;
