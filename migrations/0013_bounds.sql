-- What a response stands on, within bounds: who reads it holds all of it.  And
-- its end: what has expired goes, also of a tenant that writes no more.

SET LOCAL ROLE ngxai_owner;

-- A response and those it stands on, the oldest first; where they have more
-- than that many bytes, one row of NULLs.  Sizes are known without a text being
-- read.  Workers that are older ask the one without bytes.

CREATE FUNCTION ngxai.response_chain(tenant text, owner text, id text,
                                     most integer, bytes bigint)
RETURNS TABLE (previous text, input text, response text)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids text[];
    sum bigint;
BEGIN
    PERFORM set_config('app.current_tenant_id', response_chain.tenant, true);

    WITH RECURSIVE chain AS (
        SELECT r.id, r.previous, 1 AS n,
               octet_length(r.input)::bigint + octet_length(r.response) AS size
          FROM ngxai.responses r
         WHERE r.tenant = response_chain.tenant AND r.id = response_chain.id
           AND (response_chain.owner = '' OR r.owner = response_chain.owner)
           AND r.expires_at > now()
        UNION ALL
        SELECT r.id, r.previous, c.n + 1,
               c.size + octet_length(r.input) + octet_length(r.response)
          FROM chain c JOIN ngxai.responses r
            ON r.tenant = response_chain.tenant AND r.id = c.previous
         WHERE c.n < response_chain.most AND c.size <= response_chain.bytes
           AND r.expires_at > now()
           AND (response_chain.owner = '' OR r.owner = response_chain.owner)
    )
    SELECT array_agg(c.id ORDER BY c.n DESC), max(c.size) INTO ids, sum
      FROM chain c;

    IF sum > response_chain.bytes THEN
        RETURN QUERY SELECT NULL::text, NULL::text, NULL::text;
        RETURN;
    END IF;

    RETURN QUERY
    SELECT r.previous, r.input, r.response
      FROM unnest(ids) WITH ORDINALITY AS c(id, n)
      JOIN ngxai.responses r
        ON r.tenant = response_chain.tenant AND r.id = c.id
     ORDER BY c.n;
END
$$;

REVOKE ALL ON FUNCTION
    ngxai.response_chain(text, text, text, integer, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    ngxai.response_chain(text, text, text, integer, bigint) TO ngxai_worker;

-- Its owner, for the function below, sees what has expired and nothing else.

CREATE INDEX responses_gone ON ngxai.responses (expires_at);

CREATE POLICY expired ON ngxai.responses TO ngxai_owner
    USING (expires_at < pg_catalog.now()) WITH CHECK (false);

-- So many rows at most; how many went.  It takes no argument, so that who may
-- call it can do nothing else with it.

CREATE FUNCTION ngxai.expire_responses() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s' AS $$
DECLARE
    n integer;
BEGIN
    DELETE FROM ngxai.responses r
     WHERE r.ctid IN (SELECT o.ctid FROM ngxai.responses o
                       WHERE o.expires_at < now()
                       LIMIT 16 FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;

REVOKE ALL ON FUNCTION ngxai.expire_responses() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ngxai.expire_responses()
    TO ngxai_worker, ngxai_admin;
