-- Answers that were given from memory are one row where they are alike: a row
-- says how many requests it stands for.

SET LOCAL ROLE ngxai_owner;

-- A constant, so no row is written; and none is read, for each has it.
ALTER TABLE ngxai.ledger
    ADD COLUMN requests integer NOT NULL DEFAULT 1,
    ADD CONSTRAINT ledger_requests_check CHECK (requests >= 1) NOT VALID;

COMMENT ON COLUMN ngxai.ledger.requests IS
    'answered alike, counted together; job is the id of the first';

-- As before, and so many requests are what it counts.

CREATE OR REPLACE FUNCTION ngxai.used(
    tenant text, kinds text[], since timestamptz[], until timestamptz[],
    levels text[], vals text[])
RETURNS TABLE (place integer, used bigint)
LANGUAGE plpgsql VOLATILE STRICT SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('app.current_tenant_id', used.tenant, true);

    FOR i IN 1 .. coalesce(array_length(kinds, 1), 0) LOOP
        RETURN QUERY
        SELECT i, CASE kinds[i]
                  WHEN 'r' THEN count(DISTINCT l.job)
                                + coalesce(sum(l.requests - 1), 0)
                  WHEN 't' THEN coalesce(sum(coalesce(l.input, 0)
                                             + coalesce(l.output, 0)), 0)
                  ELSE coalesce(sum(l.cost), 0) END::bigint
          FROM ngxai.ledger l
         WHERE l.tenant = used.tenant
           AND l.at >= since[i] AND l.at < until[i]
           AND CASE levels[i]
               WHEN 'tenant' THEN true
               WHEN 'user' THEN l.user_name = vals[i]
               WHEN 'key' THEN l.principal = 'key:' || vals[i]
               WHEN 'model' THEN l.model = vals[i]
               WHEN 'endpoint' THEN l.op = vals[i]
               ELSE false END;
    END LOOP;
END
$$;
