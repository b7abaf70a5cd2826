-- What a response stands on, within bounds: who reads it holds all of it.

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
