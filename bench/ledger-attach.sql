-- The rows of ledger.sql become this month's partition of a ledger that is
-- nearly empty; what was in it moves.

SET synchronous_commit = off;
SET timezone = 'UTC';
SET maintenance_work_mem = '512MB';
SELECT 'ledger_' || to_char(now(), 'YYYYMM') AS part,
       date_trunc('month', now()) AS low,
       date_trunc('month', now()) + interval '1 month' AS high \gset

ALTER TABLE ngxai.bench ADD PRIMARY KEY (job, attempt, call, at);
CREATE INDEX ON ngxai.bench (tenant, at);
CREATE INDEX ON ngxai.bench USING brin (at);

BEGIN;
INSERT INTO ngxai.bench SELECT * FROM ngxai.:"part";
DROP TABLE ngxai.:"part";
ALTER TABLE ngxai.bench RENAME TO :"part";
ALTER TABLE ngxai.:"part" OWNER TO ngxai_owner;
ALTER TABLE ngxai.ledger ATTACH PARTITION ngxai.:"part"
    FOR VALUES FROM (:'low') TO (:'high');
ALTER TABLE ngxai.:"part" ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.:"part" FORCE ROW LEVEL SECURITY;
COMMIT;

VACUUM (ANALYZE) ngxai.:"part";
CHECKPOINT;
