/*
 * aictl doctor, Postgres: migrations, roles, row level security, partitions,
 * dead letters.  Each check is a query whose rows are what is wrong.
 */

#include <stdio.h>
#include <string.h>

#include "aictl_doctor.h"


typedef struct {
    doctor_level_e  level;
    const char     *sql;        /* rows of one text: what is wrong */
    const char     *what;       /* a format for it */
    const char     *todo;
} doctor_check_t;


static const doctor_check_t  doctor_checks[] = {

    { DOCTOR_BAD,
      "SELECT rolname FROM pg_roles WHERE rolname IN ('ngxai_worker',"
      " 'ngxai_ledger', 'ngxai_admin')"
      " AND (rolsuper OR rolbypassrls OR rolcreaterole)",
      "the role %s can get round row level security",
      "ALTER ROLE … NOSUPERUSER NOBYPASSRLS NOCREATEROLE" },

    { DOCTOR_BAD,
      "SELECT v.name FROM (VALUES ('ngxai_owner'), ('ngxai_worker'),"
      " ('ngxai_ledger'), ('ngxai_admin')) AS v (name)"
      " WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = v.name)",
      "the role %s does not exist",
      "aictl migrate, as a superuser or a role that may create roles" },

    { DOCTOR_BAD,
      "SELECT m.rolname || ' is a member of ' || r.rolname"
      " FROM pg_auth_members x JOIN pg_roles m ON m.oid = x.member"
      " JOIN pg_roles r ON r.oid = x.roleid"
      " WHERE m.rolname IN ('ngxai_worker', 'ngxai_ledger')",
      "%s: what that role may do, a worker may do",
      "REVOKE it" },

    { DOCTOR_BAD,
      "SELECT c.relname FROM pg_class c"
      " JOIN pg_namespace n ON n.oid = c.relnamespace"
      " WHERE n.nspname = 'ngxai' AND c.relkind IN ('r', 'p')"
      " AND c.relname <> 'migrations'"
      " AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
      "row level security is not forced on ngxai.%s",
      "ALTER TABLE … ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY" },

    { DOCTOR_BAD,
      "SELECT c.relname FROM pg_class c"
      " JOIN pg_namespace n ON n.oid = c.relnamespace"
      " JOIN pg_roles r ON r.oid = c.relowner"
      " WHERE n.nspname = 'ngxai' AND c.relkind IN ('r', 'p')"
      " AND r.rolname <> 'ngxai_owner'",
      "ngxai.%s is not owned by ngxai_owner",
      "ALTER TABLE … OWNER TO ngxai_owner" },

    { DOCTOR_BAD,
      "SELECT p.proname FROM pg_proc p"
      " JOIN pg_namespace n ON n.oid = p.pronamespace"
      " WHERE n.nspname = 'ngxai' AND p.prosecdef"
      " AND (p.proacl IS NULL"
      "      OR EXISTS (SELECT FROM aclexplode(p.proacl) x"
      "                  WHERE x.grantee = 0)"
      "      OR NOT coalesce('search_path=pg_catalog, pg_temp'"
      "                      = ANY (p.proconfig), false))",
      "the function ngxai.%s may be run by everybody, or with anybody's "
      "search_path",
      "put it back as its migration made it" },

    { DOCTOR_BAD,
      "SELECT to_char(m, 'YYYY-MM') FROM generate_series("
      " date_trunc('month', now()), date_trunc('month', now())"
      " + interval '1 month', interval '1 month') AS m"
      " WHERE to_regclass('ngxai.ledger_' || to_char(m, 'YYYYMM')) IS NULL",
      "the ledger has no partition for %s (its rows go to the default one)",
      "SELECT ngxai.make_partitions(), which ai-workers do each hour" },

    { DOCTOR_WARN,
      "SELECT n::text FROM (SELECT pg_stat_get_live_tuples("
      " to_regclass('ngxai.ledger_default')) AS n) AS x WHERE n > 0",
      "about %s rows of the ledger lie in the default partition",
      "they belong to months without a partition: a clock that is wrong, or "
      "months ago; those of this month and the next two move when "
      "ngxai.make_partitions() makes theirs" },

    { DOCTOR_BAD,
      "SELECT count(*) || ' (the last: ' || (SELECT left(error, 200)"
      "   FROM ngxai.dead_letters ORDER BY buried_at DESC LIMIT 1) || ')'"
      " FROM ngxai.dead_letters HAVING count(*) > 0",
      "usage records that the ledger would not take: %s",
      "look at ngxai.dead_letters, enter what is right by hand, DELETE them" },

    { DOCTOR_WARN,
      "SELECT 'no tenant' WHERE NOT EXISTS (SELECT FROM ngxai.tenants)",
      "there is %s",
      "aictl tenant create NAME; aictl key create --tenant NAME" },

    { DOCTOR_OK, NULL, NULL, NULL }
};


static void
doctor_check(aictl_t *a, doctor_t *d, const doctor_check_t *check)
{
    int        i;
    char       why[512], what[1024];
    PGresult  *res;

    res = aictl_query_try(a, 0, NULL, check->sql, why, sizeof(why));

    if (res == NULL) {
        doctor_add(d, DOCTOR_BAD, "postgres", "aictl migrate", "%s", why);
        return;
    }

    for (i = 0; i < PQntuples(res) && i < 20; i++) {
        (void) snprintf(what, sizeof(what), check->what,
                        PQgetvalue(res, i, 0));
        doctor_add(d, check->level, "postgres", check->todo, "%s", what);
    }

    PQclear(res);
}


static void
doctor_migrations(aictl_t *a, doctor_t *d)
{
    char         why[512];
    unsigned     pending;
    const char  *dir;

    dir = aictl_migrate_dir(a);

    if (dir == NULL) {
        doctor_add(d, DOCTOR_WARN, "postgres",
                   "say where the migrations lie: --dir, AI_MIGRATIONS",
                   "whether the schema is up to date cannot be told");
        return;
    }

    why[0] = '\0';

    if (aictl_migrate_pending(a, dir, &pending, why, sizeof(why)) != 0) {
        doctor_add(d, DOCTOR_BAD, "postgres", NULL, "migrations: %s", why);

    } else if (pending) {
        doctor_add(d, DOCTOR_BAD, "postgres", "aictl migrate",
                   "%u migration%s not applied", pending,
                   pending == 1 ? " is" : "s are");
    }
}


void
doctor_postgres(aictl_t *a, doctor_t *d)
{
    int                    rc;
    char                   why[1200];
    unsigned               before;
    const doctor_check_t  *check;

    rc = aictl_pg_try(a, why, sizeof(why));

    if (rc != AICTL_OK) {
        doctor_add(d, DOCTOR_BAD, "postgres",
                   rc == AICTL_FAILED ? "aictl migrate"
                   : "start it, or give its address: --postgres, AI_POSTGRES; "
                     "known keys and running jobs go on without it",
                   "%s", why);
        return;
    }

    before = d->bad + d->warn;
    doctor_migrations(a, d);

    for (check = doctor_checks; check->sql; check++) {
        doctor_check(a, d, check);
    }

    if (d->bad + d->warn == before) {
        doctor_add(d, DOCTOR_OK, "postgres", NULL, "the database answers; "
                   "schema, roles and policies are as they should be");
    }
}
