-- The ledger: usage, append-only, one row a provider call, partitioned by the
-- month of its job's admission; and what the ledger would not take.

SET LOCAL ROLE ngxai_owner;

CREATE TABLE ngxai.ledger (
    job             text NOT NULL CHECK (length(job) BETWEEN 1 AND 64),
    attempt         smallint NOT NULL CHECK (attempt >= 0),
    call            smallint NOT NULL CHECK (call >= 0),
    at              timestamptz NOT NULL,
    tenant          text NOT NULL
                    CHECK (tenant ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    principal       text,
    user_name       text,
    op              text,
    dialect         text,
    model           text,
    state           text NOT NULL
                    CHECK (state IN ('done', 'failed', 'cancelled')),
    status          smallint,
    provider        text,
    provider_model  text,
    request_id      text,
    finish          text,
    input           bigint CHECK (input >= 0),
    output          bigint CHECK (output >= 0),
    cached_read     bigint CHECK (cached_read >= 0),
    cached_write    bigint CHECK (cached_write >= 0),
    reasoning       bigint CHECK (reasoning >= 0),
    cost            bigint CHECK (cost >= 0),
    estimated       boolean,
    ttft            bigint,
    duration        bigint,
    queue           bigint,
    attempts        integer,
    cause           text,
    recorded_at     timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (job, attempt, call, at)
) PARTITION BY RANGE (at);

COMMENT ON COLUMN ngxai.ledger.at IS 'admission of the job';
COMMENT ON COLUMN ngxai.ledger.model IS 'as the client asked';
COMMENT ON COLUMN ngxai.ledger.provider_model IS 'as the provider was asked';
COMMENT ON COLUMN ngxai.ledger.input IS 'tokens, cached ones included';
COMMENT ON COLUMN ngxai.ledger.cost IS 'nano-USD';
COMMENT ON COLUMN ngxai.ledger.ttft IS 'microseconds, as duration and queue';

-- A tenant's usage over a time is one range of the first; everybody's over
-- a few days is a few blocks of the second, which costs writers nothing.
CREATE INDEX ledger_tenant_at ON ngxai.ledger (tenant, at);
CREATE INDEX ledger_at ON ngxai.ledger USING brin (at);

ALTER TABLE ngxai.ledger ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.ledger FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON ngxai.ledger FOR SELECT TO ngxai_worker
    USING (tenant = nullif(current_setting('app.current_tenant_id', true), ''));
CREATE POLICY writer ON ngxai.ledger FOR INSERT TO ngxai_ledger
    WITH CHECK (true);
CREATE POLICY admin ON ngxai.ledger FOR SELECT TO ngxai_admin USING (true);

GRANT SELECT ON ngxai.ledger TO ngxai_worker;
GRANT INSERT ON ngxai.ledger TO ngxai_ledger;
GRANT SELECT ON ngxai.ledger TO ngxai_admin;

-- Nobody has a privilege on a partition: all go through the ledger and its
-- policies.  The owner may move rows out of the default one.

CREATE TABLE ngxai.ledger_default PARTITION OF ngxai.ledger DEFAULT;
ALTER TABLE ngxai.ledger_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.ledger_default FORCE ROW LEVEL SECURITY;
CREATE POLICY mover ON ngxai.ledger_default TO ngxai_owner
    USING (true) WITH CHECK (false);

-- Partitions of this month and the next two; rows that came into the default
-- partition meanwhile move.  It takes no argument, so that who may call it
-- can do nothing else with it.

CREATE FUNCTION ngxai.make_partitions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
SET "TimeZone" = 'UTC' AS $$
DECLARE
    made  integer := 0;
    low   timestamptz;
    high  timestamptz;
    part  text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('ngxai.make_partitions')) THEN
        RETURN 0;
    END IF;

    FOR i IN 0 .. 2 LOOP
        low := date_trunc('month', now()) + make_interval(months => i);
        high := low + interval '1 month';
        part := to_char(low, '"ledger_"YYYYMM');

        CONTINUE WHEN to_regclass(format('ngxai.%I', part)) IS NOT NULL;

        LOCK TABLE ngxai.ledger_default IN ACCESS EXCLUSIVE MODE;

        EXECUTE format('CREATE TABLE ngxai.%I (LIKE ngxai.ledger '
                       'INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
        EXECUTE format('WITH moved AS (DELETE FROM ngxai.ledger_default '
                       'WHERE at >= %L AND at < %L RETURNING *) '
                       'INSERT INTO ngxai.%I SELECT * FROM moved',
                       low, high, part);
        EXECUTE format('ALTER TABLE ngxai.ledger ATTACH PARTITION ngxai.%I '
                       'FOR VALUES FROM (%L) TO (%L)', part, low, high);
        EXECUTE format('ALTER TABLE ngxai.%I ENABLE ROW LEVEL SECURITY', part);
        EXECUTE format('ALTER TABLE ngxai.%I FORCE ROW LEVEL SECURITY', part);

        made := made + 1;
    END LOOP;

    RETURN made;
END
$$;

REVOKE ALL ON FUNCTION ngxai.make_partitions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ngxai.make_partitions()
    TO ngxai_worker, ngxai_admin;

SELECT ngxai.make_partitions();

-- Outbox entries that the ledger refuses whatever they are tried with, as
-- they came (a record of docs/wire.md), for a person to look at.

CREATE TABLE ngxai.dead_letters (
    entry       text NOT NULL CHECK (length(entry) <= 64),
    digest      bytea GENERATED ALWAYS AS (sha256(record)) STORED,
    tenant      text,
    record      bytea NOT NULL CHECK (octet_length(record) <= 262144),
    error       text NOT NULL CHECK (length(error) <= 1000),
    buried_at   timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (entry, digest)
);

ALTER TABLE ngxai.dead_letters ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.dead_letters FORCE ROW LEVEL SECURITY;

CREATE POLICY writer ON ngxai.dead_letters FOR INSERT TO ngxai_ledger
    WITH CHECK (true);
CREATE POLICY admin ON ngxai.dead_letters TO ngxai_admin
    USING (true) WITH CHECK (true);

GRANT INSERT ON ngxai.dead_letters TO ngxai_ledger;
GRANT SELECT, DELETE ON ngxai.dead_letters TO ngxai_admin;
