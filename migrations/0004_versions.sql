-- One version of a principal is one state of it.  A key that was inserted
-- while its tenant or user changed had been committed with a version that the
-- change did not see and so did not raise: now one waits for the other.

SET LOCAL ROLE ngxai_owner;

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

    RETURN NEW;
END
$$;
