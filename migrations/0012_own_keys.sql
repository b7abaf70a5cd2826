-- Keys of providers that are tenants' own.  A key lies here sealed (AES-256-
-- GCM) by its tenant's data key, and that wrapped by a master key, which
-- Postgres never sees.

SET LOCAL ROLE ngxai_owner;

-- master: the name of the master key that wrapped it.  seals: texts that it
-- sealed, so that it never seals so many that a random nonce could be had
-- twice.

CREATE TABLE ngxai.data_keys (
    id          text PRIMARY KEY CHECK (id ~ '^dk_[0-9a-f]{16}$'),
    tenant      text NOT NULL REFERENCES ngxai.tenants,
    master      text NOT NULL CHECK (master ~ '^[a-z]+:[a-z0-9._-]{1,40}$'),
    wrapped     bytea NOT NULL
                CHECK (octet_length(wrapped) BETWEEN 1 AND 4096),
    seals       integer NOT NULL DEFAULT 0 CHECK (seals BETWEEN 0 AND 65536),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant, id)
);

CREATE TABLE ngxai.provider_keys (
    tenant      text NOT NULL REFERENCES ngxai.tenants,
    provider    text NOT NULL CHECK (length(provider) BETWEEN 1 AND 128
                                     AND provider !~ '[[:space:][:cntrl:]/]'),
    id          text NOT NULL UNIQUE CHECK (id ~ '^pk_[0-9a-f]{16}$'),
    data_key    text NOT NULL,
    sealed      bytea NOT NULL
                CHECK (octet_length(sealed) BETWEEN 29 AND 8220),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, provider),
    FOREIGN KEY (tenant, data_key) REFERENCES ngxai.data_keys (tenant, id)
);

-- A nonce is there once under a key.

CREATE UNIQUE INDEX provider_keys_nonce
    ON ngxai.provider_keys (data_key, substring(sealed FROM 1 FOR 12));

-- Which tenants have keys of their own, and since when it is so: all that
-- workers must know of those that they do not serve just now.

CREATE TABLE ngxai.own_tenants (
    tenant      text PRIMARY KEY REFERENCES ngxai.tenants,
    version     bigint NOT NULL,
    keys        integer NOT NULL
);

CREATE INDEX own_tenants_version ON ngxai.own_tenants (version);
CREATE SEQUENCE ngxai.own_seq;

-- One change at a time, until its commit: so versions are committed in their
-- order, and who has seen one has seen all below it.

CREATE FUNCTION ngxai.own_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text;
BEGIN
    who := CASE WHEN TG_OP = 'DELETE' THEN OLD.tenant ELSE NEW.tenant END;
    PERFORM pg_advisory_xact_lock(7274497, 0);

    INSERT INTO ngxai.own_tenants AS o (tenant, version, keys)
    VALUES (who, nextval('ngxai.own_seq'),
            (SELECT count(*) FROM ngxai.provider_keys k
              WHERE k.tenant = who))
    ON CONFLICT (tenant)
    DO UPDATE SET version = EXCLUDED.version, keys = EXCLUDED.keys;

    RETURN NULL;
END
$$;

CREATE TRIGGER own_changed
    AFTER INSERT OR UPDATE OR DELETE ON ngxai.provider_keys
    FOR EACH ROW EXECUTE FUNCTION ngxai.own_changed();

-- Row level security.

ALTER TABLE ngxai.data_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.data_keys FORCE ROW LEVEL SECURITY;
ALTER TABLE ngxai.provider_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.provider_keys FORCE ROW LEVEL SECURITY;
ALTER TABLE ngxai.own_tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.own_tenants FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON ngxai.data_keys FOR SELECT TO ngxai_worker
    USING (tenant = nullif(current_setting('app.current_tenant_id', true), ''));
CREATE POLICY tenant ON ngxai.provider_keys FOR SELECT TO ngxai_worker
    USING (tenant = nullif(current_setting('app.current_tenant_id', true), ''));
CREATE POLICY tenant ON ngxai.own_tenants FOR SELECT TO ngxai_worker
    USING (tenant = nullif(current_setting('app.current_tenant_id', true), ''));

CREATE POLICY admin ON ngxai.data_keys TO ngxai_admin
    USING (true) WITH CHECK (true);
CREATE POLICY admin ON ngxai.provider_keys TO ngxai_admin
    USING (true) WITH CHECK (true);
CREATE POLICY admin ON ngxai.own_tenants TO ngxai_admin
    USING (true) WITH CHECK (true);

CREATE POLICY lookup ON ngxai.own_tenants FOR SELECT TO ngxai_owner
    USING (true);

GRANT SELECT ON ngxai.data_keys, ngxai.provider_keys, ngxai.own_tenants
    TO ngxai_worker;
GRANT SELECT, INSERT, DELETE, UPDATE (master, wrapped, seals)
    ON ngxai.data_keys TO ngxai_admin;
GRANT SELECT, INSERT, DELETE, UPDATE (id, data_key, sealed, created_at)
    ON ngxai.provider_keys TO ngxai_admin;
GRANT SELECT, INSERT, UPDATE (version, keys) ON ngxai.own_tenants
    TO ngxai_admin;
GRANT USAGE ON SEQUENCE ngxai.own_seq TO ngxai_admin;

-- All of one tenant's, as its caller, whom the policies bind to the tenant; one
-- row without a provider where it had some.  The names are sent, not believed:
-- who opens a key says whose it should be.

CREATE FUNCTION ngxai.own_keys(tenant text)
RETURNS TABLE (v bigint, provider text, id text, data_key text, sealed text,
               master text, wrapped text)
LANGUAGE plpgsql VOLATILE STRICT SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('app.current_tenant_id', own_keys.tenant, true);

    RETURN QUERY
    SELECT o.version, k.provider, k.id, k.data_key,
           encode(k.sealed, 'hex'), d.master, encode(d.wrapped, 'hex')
      FROM ngxai.own_tenants o
      LEFT JOIN ngxai.provider_keys k ON k.tenant = o.tenant
      LEFT JOIN ngxai.data_keys d
        ON d.tenant = k.tenant AND d.id = k.data_key
     WHERE o.tenant = own_keys.tenant
     ORDER BY k.data_key, k.provider;
END
$$;

-- Tenants whose keys changed since a version, the lowest first: no more of them
-- than that they have some.

CREATE FUNCTION ngxai.own_since(since bigint, most integer)
RETURNS TABLE (v bigint, tenant text, keys integer)
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT o.version, o.tenant, o.keys FROM ngxai.own_tenants o
     WHERE o.version > since
     ORDER BY o.version
     LIMIT least(greatest(most, 0), 1000)
$$;

REVOKE ALL ON FUNCTION ngxai.own_keys(text),
    ngxai.own_since(bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ngxai.own_keys(text),
    ngxai.own_since(bigint, integer) TO ngxai_worker;

-- Whose key a call was paid with.

ALTER TABLE ngxai.ledger ADD COLUMN own_key boolean;

COMMENT ON COLUMN ngxai.ledger.own_key IS
    'called with the tenant''s own key of the provider, which bills the tenant';
