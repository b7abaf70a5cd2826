-- Roles and the schema.  Run as whoever connects (a superuser, a role with
-- CREATEROLE that owns the database, or ngxai_owner where the roles exist):
-- roles belong to the cluster, so another database may have made them.
--
--   ngxai_owner   owns everything here; only migrations act as it
--   ngxai_worker  the workers: one tenant a transaction, by row level security
--   ngxai_ledger  the workers' ledger writer: may INSERT usage, nothing else
--   ngxai_admin   aictl: sees every tenant, by policies that name it

DO $$
DECLARE
    want record;
    have record;
BEGIN
    FOR want IN
        SELECT * FROM (VALUES ('ngxai_owner', 'NOLOGIN'),
                              ('ngxai_worker', 'LOGIN'),
                              ('ngxai_ledger', 'LOGIN'),
                              ('ngxai_admin', 'LOGIN')) AS v (name, login)
    LOOP
        SELECT rolsuper, rolbypassrls, rolcreaterole INTO have
          FROM pg_catalog.pg_roles WHERE rolname = want.name;

        IF NOT FOUND THEN
            BEGIN
                EXECUTE pg_catalog.format(
                    'CREATE ROLE %I %s NOSUPERUSER NOCREATEDB NOCREATEROLE '
                    'NOREPLICATION NOBYPASSRLS', want.name, want.login);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;   -- another database's migration was faster
            END;

        ELSIF have.rolsuper OR have.rolbypassrls
              OR (have.rolcreaterole AND want.name <> 'ngxai_owner')
        THEN
            RAISE EXCEPTION 'role % exists and could get round row level '
                'security', want.name
                USING HINT = 'ALTER ROLE ' || want.name
                    || ' NOSUPERUSER NOBYPASSRLS NOCREATEROLE';
        END IF;
    END LOOP;

    IF current_user <> 'ngxai_owner'
       AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles
                 WHERE rolname = current_user)
    THEN
        EXECUTE pg_catalog.format('GRANT ngxai_owner TO %I', current_user);
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS ngxai AUTHORIZATION ngxai_owner;

-- In a database of our own a person at psql need not write the schema.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_database
                WHERE datname = current_database()
                  AND datdba = 'ngxai_owner'::regrole)
    THEN
        EXECUTE pg_catalog.format('ALTER DATABASE %I SET search_path = '
            'ngxai, public', current_database());
    END IF;
END
$$;

SET LOCAL ROLE ngxai_owner;

REVOKE ALL ON SCHEMA ngxai FROM PUBLIC;
GRANT USAGE ON SCHEMA ngxai TO ngxai_worker, ngxai_ledger, ngxai_admin;

-- New functions are nobody's until granted.
ALTER DEFAULT PRIVILEGES FOR ROLE ngxai_owner
    REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE TABLE ngxai.migrations (
    name        text PRIMARY KEY,
    sha256      text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT pg_catalog.now()
);

GRANT SELECT ON ngxai.migrations TO ngxai_admin;
