-- Responses that are stored: what was asked and said, by their ids, of one
-- tenant each; workers put them there and read them again.

SET LOCAL ROLE ngxai_owner;

-- input: the elements of the request's own input, without what it stands on
-- (previous).  Texts, not jsonb, which cannot hold all that JSON can say.

CREATE TABLE ngxai.responses (
    tenant       text NOT NULL,
    id           text NOT NULL CHECK (id ~ '^[A-Za-z0-9_-]{1,128}$'),
    owner        text NOT NULL DEFAULT '',
    previous     text,
    conversation text,
    input        text NOT NULL,
    response     text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT pg_catalog.now(),
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX responses_expire ON ngxai.responses (tenant, expires_at);

ALTER TABLE ngxai.responses ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.responses FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON ngxai.responses TO ngxai_worker
    USING (tenant = nullif(current_setting('app.current_tenant_id', true), ''))
    WITH CHECK (tenant
                = nullif(current_setting('app.current_tenant_id', true), ''));
CREATE POLICY admin ON ngxai.responses TO ngxai_admin
    USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON ngxai.responses TO ngxai_worker;
GRANT SELECT, DELETE ON ngxai.responses TO ngxai_admin;

-- All that follows reads and writes as its caller, whom the policies bind to
-- the tenant; owner: only what is this user's, empty: all of the tenant.

CREATE FUNCTION ngxai.response_put(
    tenant text, owner text, id text, previous text, conversation text,
    input text, response text, days integer)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('app.current_tenant_id', response_put.tenant, true);

    -- Who writes clears away a little.
    DELETE FROM ngxai.responses r
     WHERE r.ctid IN (SELECT o.ctid FROM ngxai.responses o
                       WHERE o.tenant = response_put.tenant
                         AND o.expires_at < now() LIMIT 8);

    INSERT INTO ngxai.responses AS r (tenant, id, owner, previous,
                                      conversation, input, response,
                                      expires_at)
    VALUES (response_put.tenant, response_put.id, response_put.owner,
            response_put.previous, response_put.conversation,
            response_put.input, response_put.response,
            now() + make_interval(days => response_put.days))
    ON CONFLICT ON CONSTRAINT responses_pkey
    DO UPDATE SET response = EXCLUDED.response, input = EXCLUDED.input
     WHERE r.owner = EXCLUDED.owner;
END
$$;

CREATE FUNCTION ngxai.response_get(tenant text, owner text, id text)
RETURNS TABLE (input text, response text)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('app.current_tenant_id', response_get.tenant, true);

    RETURN QUERY
    SELECT r.input, r.response FROM ngxai.responses r
     WHERE r.tenant = response_get.tenant AND r.id = response_get.id
       AND (response_get.owner = '' OR r.owner = response_get.owner)
       AND r.expires_at > now();
END
$$;

CREATE FUNCTION ngxai.response_drop(tenant text, owner text, id text)
RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n integer;
BEGIN
    PERFORM set_config('app.current_tenant_id', response_drop.tenant, true);

    DELETE FROM ngxai.responses r
     WHERE r.tenant = response_drop.tenant AND r.id = response_drop.id
       AND (response_drop.owner = '' OR r.owner = response_drop.owner);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;

-- A response and those it stands on, the oldest first.

CREATE FUNCTION ngxai.response_chain(tenant text, owner text, id text,
                                     most integer)
RETURNS TABLE (previous text, input text, response text)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('app.current_tenant_id', response_chain.tenant, true);

    RETURN QUERY
    WITH RECURSIVE chain AS (
        SELECT r.id, r.previous, 1 AS n FROM ngxai.responses r
         WHERE r.tenant = response_chain.tenant AND r.id = response_chain.id
           AND (response_chain.owner = '' OR r.owner = response_chain.owner)
           AND r.expires_at > now()
        UNION ALL
        SELECT r.id, r.previous, c.n + 1
          FROM chain c JOIN ngxai.responses r
            ON r.tenant = response_chain.tenant AND r.id = c.previous
         WHERE c.n < response_chain.most AND r.expires_at > now()
           AND (response_chain.owner = '' OR r.owner = response_chain.owner)
    )
    SELECT r.previous, r.input, r.response
      FROM chain c JOIN ngxai.responses r
        ON r.tenant = response_chain.tenant AND r.id = c.id
     ORDER BY c.n DESC;
END
$$;

REVOKE ALL ON FUNCTION
    ngxai.response_put(text, text, text, text, text, text, text, integer),
    ngxai.response_get(text, text, text),
    ngxai.response_drop(text, text, text),
    ngxai.response_chain(text, text, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    ngxai.response_put(text, text, text, text, text, text, text, integer),
    ngxai.response_get(text, text, text),
    ngxai.response_drop(text, text, text),
    ngxai.response_chain(text, text, text, integer) TO ngxai_worker;
