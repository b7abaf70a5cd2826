-- What a tenant has used of days and months, for counters that Redis does not
-- have (docs/wire.md, 13).

SET LOCAL ROLE ngxai_owner;

-- One sum for each place of the arrays, in their order: requests, tokens or
-- nano-USD (kind r, t, b) of what was admitted in [since, until), of the
-- tenant or, of it, whom level and value name.  It reads as its caller, whom
-- the policies of the ledger bind to the tenant.

CREATE FUNCTION ngxai.used(tenant text, kinds text[], since timestamptz[],
                           until timestamptz[], levels text[], vals text[])
RETURNS TABLE (place integer, used bigint)
LANGUAGE plpgsql VOLATILE STRICT SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('app.current_tenant_id', used.tenant, true);

    FOR i IN 1 .. coalesce(array_length(kinds, 1), 0) LOOP
        RETURN QUERY
        SELECT i, CASE kinds[i]
                  WHEN 'r' THEN count(DISTINCT l.job)
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

REVOKE ALL ON FUNCTION ngxai.used(text, text[], timestamptz[], timestamptz[],
                                  text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ngxai.used(text, text[], timestamptz[],
                                     timestamptz[], text[], text[])
    TO ngxai_worker;
