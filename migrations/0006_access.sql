-- From where a key may be used; and tenants with a version, so that Redis can
-- hold their records as it holds principals: for requests whose tenant no key
-- says.

SET LOCAL ROLE ngxai_owner;

ALTER TABLE ngxai.api_keys
    ADD COLUMN networks cidr[] NOT NULL DEFAULT '{}'
    CHECK (cardinality(networks) <= 16);

GRANT UPDATE (networks) ON ngxai.api_keys TO ngxai_admin;

-- Those there are count as changed now, and are looked at for a day.
ALTER TABLE ngxai.tenants
    ADD COLUMN version bigint NOT NULL DEFAULT nextval('ngxai.version_seq'),
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT pg_catalog.now();

CREATE INDEX tenants_version ON ngxai.tenants (version, changed_at);

GRANT UPDATE (version) ON ngxai.tenants TO ngxai_admin;

CREATE FUNCTION ngxai.tenant_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.version := nextval('ngxai.version_seq');

    IF TG_OP = 'UPDATE' THEN
        NEW.version := greatest(NEW.version, OLD.version + 1);
    END IF;

    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END
$$;

CREATE TRIGGER tenant_made BEFORE INSERT ON ngxai.tenants
    FOR EACH ROW EXECUTE FUNCTION ngxai.tenant_version();

CREATE TRIGGER tenant_version BEFORE UPDATE ON ngxai.tenants
    FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION ngxai.tenant_version();

-- The record of a tenant, by its name: no more of it than an edge must know.

CREATE FUNCTION ngxai.tenant_lookup(name text)
RETURNS TABLE (v bigint, state text, plan text, weight integer)
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.version, t.state, t.plan, t.weight
      FROM ngxai.tenants t WHERE t.id = name
$$;

REVOKE ALL ON FUNCTION ngxai.tenant_lookup(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ngxai.tenant_lookup(text)
    TO ngxai_worker, ngxai_admin;

-- With networks.  Who asks by the names of the columns need not know of them.

DROP FUNCTION ngxai.key_lookup(bytea);

CREATE FUNCTION ngxai.key_lookup(sha256 bytea)
RETURNS TABLE (v bigint, state text, id text, name text, tenant text,
               tenant_state text, weight integer, plan text, user_name text,
               role text, scopes text, models text, expires bigint,
               networks text)
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.version,
           CASE WHEN k.revoked_at IS NOT NULL OR u.state = 'disabled'
                THEN 'revoked' ELSE 'active' END,
           k.id, k.name, k.tenant, t.state, t.weight, t.plan,
           coalesce(k.user_name, ''), k.role,
           array_to_string(k.scopes, ' '), array_to_string(k.models, ' '),
           coalesce(floor(extract(epoch FROM k.expires_at))::bigint, 0),
           array_to_string(k.networks, ' ')
      FROM ngxai.api_keys k
      JOIN ngxai.tenants t ON t.id = k.tenant
      LEFT JOIN ngxai.users u ON u.tenant = k.tenant AND u.name = k.user_name
     WHERE k.hash = sha256
$$;

REVOKE ALL ON FUNCTION ngxai.key_lookup(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ngxai.key_lookup(bytea)
    TO ngxai_worker, ngxai_admin;

-- Tenants take versions, too: who has taken one holds the lock of its INSERT
-- or UPDATE until after the commit.

CREATE OR REPLACE FUNCTION ngxai.principals_mark() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mark bigint;
BEGIN
    SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END
      INTO mark FROM ngxai.version_seq;

    IF EXISTS (SELECT FROM pg_locks
                WHERE locktype = 'relation'
                  AND relation IN ('ngxai.api_keys'::regclass,
                                   'ngxai.tenants'::regclass)
                  AND database = (SELECT oid FROM pg_database
                                   WHERE datname = current_database())
                  AND mode = 'RowExclusiveLock' AND granted)
    THEN
        RETURN NULL;
    END IF;

    RETURN mark;
END
$$;

-- Keys and tenants that changed: as principals_changed(), and of a tenant its
-- name, which is shorter than the SHA-256 of a key.

CREATE FUNCTION ngxai.records_changed(since bigint, most integer)
RETURNS TABLE (v bigint, name text, refused boolean)
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.v, c.sha256, c.refused
      FROM ngxai.principals_changed(since, most) c
    UNION ALL
    (SELECT t.version, t.id, t.state = 'disabled'
       FROM ngxai.tenants t
      WHERE t.version > since AND t.changed_at > now() - interval '25 hours'
      ORDER BY t.version
      LIMIT least(greatest(most, 0), 1000))
    ORDER BY 1
    LIMIT least(greatest(most, 0), 1000)
$$;

REVOKE ALL ON FUNCTION ngxai.records_changed(bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ngxai.records_changed(bigint, integer)
    TO ngxai_worker;
