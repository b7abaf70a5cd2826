-- Which keys have changed: so a worker sees what Postgres has and Redis has
-- not, because Redis was away or aictl ended between the two.

SET LOCAL ROLE ngxai_owner;

-- Those there are count as changed now, and are looked at for a day.
ALTER TABLE ngxai.api_keys
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT pg_catalog.now();

CREATE INDEX api_keys_version ON ngxai.api_keys (version, changed_at);

CREATE OR REPLACE FUNCTION ngxai.key_changed() RETURNS trigger
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
        PERFORM FROM ngxai.tenants WHERE id = NEW.tenant FOR SHARE;
        PERFORM FROM ngxai.users
          WHERE tenant = NEW.tenant AND name = NEW.user_name FOR SHARE;

        NEW.version := nextval('ngxai.version_seq');
    END IF;

    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END
$$;

-- The version up to which every change can be seen by statements that begin
-- later, or NULL while a change is under way: versions are taken before they
-- are committed, and not committed in their order.  Who has taken one holds
-- the lock of its INSERT or UPDATE until after the commit; the version is
-- read before the locks are, so that who comes between has a higher one.

CREATE FUNCTION ngxai.principals_mark() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mark bigint;
BEGIN
    SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END
      INTO mark FROM ngxai.version_seq;

    IF EXISTS (SELECT FROM pg_locks
                WHERE locktype = 'relation'
                  AND relation = 'ngxai.api_keys'::regclass
                  AND database = (SELECT oid FROM pg_database
                                   WHERE datname = current_database())
                  AND mode = 'RowExclusiveLock' AND granted)
    THEN
        RETURN NULL;
    END IF;

    RETURN mark;
END
$$;

-- Keys whose version is above since, the lowest first: at most `most` of them,
-- and 1000.  None that changed more than 25 hours ago: a state that Redis had
-- of it has expired.  No more of a key than key_lookup() is asked with, and
-- whether it is refused now.

CREATE FUNCTION ngxai.principals_changed(since bigint, most integer)
RETURNS TABLE (v bigint, sha256 text, refused boolean)
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.version, encode(k.hash, 'hex'),
           k.revoked_at IS NOT NULL OR t.state = 'disabled'
               OR coalesce(u.state = 'disabled', false)
      FROM ngxai.api_keys k
      JOIN ngxai.tenants t ON t.id = k.tenant
      LEFT JOIN ngxai.users u ON u.tenant = k.tenant AND u.name = k.user_name
     WHERE k.version > since AND k.changed_at > now() - interval '25 hours'
     ORDER BY k.version
     LIMIT least(greatest(most, 0), 1000)
$$;

REVOKE ALL ON FUNCTION ngxai.principals_mark(),
    ngxai.principals_changed(bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ngxai.principals_mark(),
    ngxai.principals_changed(bigint, integer) TO ngxai_worker;
