-- Tenants, their users, their API keys.
--
-- Who sees what, by policy:
--   ngxai_worker  the rows of app.current_tenant_id, which it sets in each
--                 transaction; API keys not at all (no privilege)
--   ngxai_admin   all rows, deliberately: aictl lists tenants
--   ngxai_owner   may read, for key_lookup() below; FORCE binds it otherwise

SET LOCAL ROLE ngxai_owner;

CREATE TABLE ngxai.tenants (
    id          text PRIMARY KEY
                CHECK (id ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    state       text NOT NULL DEFAULT 'active'
                CHECK (state IN ('active', 'disabled')),
    plan        text NOT NULL DEFAULT '' CHECK (length(plan) <= 64),
    weight      integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000),
    created_at  timestamptz NOT NULL DEFAULT pg_catalog.now()
);

CREATE TABLE ngxai.users (
    tenant      text NOT NULL REFERENCES ngxai.tenants,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 128
                                     AND name !~ '[[:cntrl:]]'),
    state       text NOT NULL DEFAULT 'active'
                CHECK (state IN ('active', 'disabled')),
    created_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (tenant, name)
);

CREATE TABLE ngxai.api_keys (
    id          text PRIMARY KEY CHECK (id ~ '^key_[0-9a-f]{16}$'),
    hash        bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    prefix      text NOT NULL CHECK (length(prefix) <= 16),
    tenant      text NOT NULL REFERENCES ngxai.tenants,
    user_name   text,
    name        text NOT NULL DEFAULT '' CHECK (length(name) <= 128
                                                AND name !~ '[[:cntrl:]]'),
    role        text NOT NULL DEFAULT '' CHECK (role ~ '^[a-z0-9_-]{0,32}$'),
    scopes      text[] NOT NULL DEFAULT '{}',
    models      text[] NOT NULL DEFAULT '{}',
    version     bigint NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
    expires_at  timestamptz,
    revoked_at  timestamptz,
    FOREIGN KEY (tenant, user_name) REFERENCES ngxai.users,
    CHECK (array_to_string(scopes, '') !~ '[[:space:][:cntrl:]]'
           AND length(array_to_string(scopes, ' ')) <= 1024),
    CHECK (array_to_string(models, '') !~ '[[:space:][:cntrl:]]'
           AND length(array_to_string(models, ' ')) <= 4096)
);

CREATE INDEX api_keys_tenant ON ngxai.api_keys (tenant, user_name);

-- The version of a principal: it rises with each change of the key, its user
-- or its tenant, so that of two writes to Redis the later state stays.  A
-- revoked key has had its last change.

CREATE SEQUENCE ngxai.version_seq;

CREATE FUNCTION ngxai.key_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.revoked_at IS NOT NULL
           AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at
        THEN
            RAISE EXCEPTION 'key % is revoked: it stays so', OLD.id;
        END IF;

        NEW.version := greatest(nextval('ngxai.version_seq'),
                                OLD.version + 1);
    ELSE
        NEW.version := nextval('ngxai.version_seq');
    END IF;

    RETURN NEW;
END
$$;

CREATE TRIGGER key_changed BEFORE INSERT OR UPDATE ON ngxai.api_keys
    FOR EACH ROW EXECUTE FUNCTION ngxai.key_changed();

CREATE FUNCTION ngxai.tenant_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE ngxai.api_keys SET version = version
     WHERE tenant = NEW.id AND revoked_at IS NULL;
    RETURN NULL;
END
$$;

CREATE TRIGGER tenant_changed AFTER UPDATE ON ngxai.tenants
    FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION ngxai.tenant_changed();

CREATE FUNCTION ngxai.user_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE ngxai.api_keys SET version = version
     WHERE tenant = NEW.tenant AND user_name = NEW.name
       AND revoked_at IS NULL;
    RETURN NULL;
END
$$;

CREATE TRIGGER user_changed AFTER UPDATE ON ngxai.users
    FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION ngxai.user_changed();

-- Row level security.

ALTER TABLE ngxai.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.tenants FORCE ROW LEVEL SECURITY;
ALTER TABLE ngxai.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.users FORCE ROW LEVEL SECURITY;
ALTER TABLE ngxai.api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.api_keys FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON ngxai.tenants TO ngxai_worker
    USING (id = nullif(current_setting('app.current_tenant_id', true), ''));
CREATE POLICY tenant ON ngxai.users TO ngxai_worker
    USING (tenant = nullif(current_setting('app.current_tenant_id', true), ''));
CREATE POLICY tenant ON ngxai.api_keys TO ngxai_worker
    USING (tenant = nullif(current_setting('app.current_tenant_id', true), ''));

CREATE POLICY admin ON ngxai.tenants TO ngxai_admin
    USING (true) WITH CHECK (true);
CREATE POLICY admin ON ngxai.users TO ngxai_admin
    USING (true) WITH CHECK (true);
CREATE POLICY admin ON ngxai.api_keys TO ngxai_admin
    USING (true) WITH CHECK (true);

CREATE POLICY lookup ON ngxai.tenants FOR SELECT TO ngxai_owner USING (true);
CREATE POLICY lookup ON ngxai.users FOR SELECT TO ngxai_owner USING (true);
CREATE POLICY lookup ON ngxai.api_keys FOR SELECT TO ngxai_owner USING (true);

GRANT SELECT ON ngxai.tenants, ngxai.users TO ngxai_worker;

GRANT SELECT, INSERT, UPDATE (state, plan, weight)
    ON ngxai.tenants TO ngxai_admin;
GRANT SELECT, INSERT, UPDATE (state) ON ngxai.users TO ngxai_admin;
GRANT SELECT, INSERT,
      UPDATE (name, role, scopes, models, version, expires_at, revoked_at)
    ON ngxai.api_keys TO ngxai_admin;
GRANT SELECT, USAGE, UPDATE ON SEQUENCE ngxai.version_seq TO ngxai_admin;

-- The principal of a key, by the SHA-256 of its text: the one way for a
-- worker to learn of a key, and only of one whose text somebody presented.

CREATE FUNCTION ngxai.key_lookup(sha256 bytea)
RETURNS TABLE (v bigint, state text, id text, name text, tenant text,
               tenant_state text, weight integer, plan text, user_name text,
               role text, scopes text, models text, expires bigint)
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.version,
           CASE WHEN k.revoked_at IS NOT NULL OR u.state = 'disabled'
                THEN 'revoked' ELSE 'active' END,
           k.id, k.name, k.tenant, t.state, t.weight, t.plan,
           coalesce(k.user_name, ''), k.role,
           array_to_string(k.scopes, ' '), array_to_string(k.models, ' '),
           coalesce(floor(extract(epoch FROM k.expires_at))::bigint, 0)
      FROM ngxai.api_keys k
      JOIN ngxai.tenants t ON t.id = k.tenant
      LEFT JOIN ngxai.users u ON u.tenant = k.tenant AND u.name = k.user_name
     WHERE k.hash = sha256
$$;

REVOKE ALL ON FUNCTION ngxai.key_lookup(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ngxai.key_lookup(bytea)
    TO ngxai_worker, ngxai_admin;
