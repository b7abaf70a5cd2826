/*
 * aictl migrate: applies migrations/NNNN_*.sql in order, each in a transaction
 * of its own, under an advisory lock, and records their checksums.
 */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aictl.h"
#include "ai_crypto.h"


#define AICTL_MIGRATIONS_MAX  9999
#define AICTL_MIGRATION_MAX   (1024 * 1024)     /* bytes of a file */

/* Any number will do; it is the same for every version of aictl. */
#define AICTL_MIGRATE_LOCK    "7306086966"


typedef struct {
    char *name;
    char *sql;
    char  sha256[AI_SHA256_HEX + 1];
} aictl_migration_t;

typedef struct {
    aictl_migration_t *files;
    unsigned           n;
} aictl_migrations_t;


const char *
aictl_migrate_dir(const aictl_t *a)
{
    size_t       i;
    const char  *dir;
    static const char *const  usual[] = {
        "migrations", "/usr/local/share/ngx-ai/migrations",
        "/usr/share/ngx-ai/migrations"
    };

    dir = a->opt[AICTL_OPT_DIR];

    if (dir == NULL) {
        dir = getenv("AI_MIGRATIONS");
    }

    for (i = 0; dir == NULL && i < sizeof(usual) / sizeof(usual[0]); i++) {
        if (access(usual[i], R_OK | X_OK) == 0) {
            dir = usual[i];
        }
    }

    return dir;
}


static int
aictl_migrate_is_one(const struct dirent *entry)
{
    size_t  len;

    len = strlen(entry->d_name);

    return len > 9 && strspn(entry->d_name, "0123456789") == 4
           && entry->d_name[4] == '_'
           && strcmp(entry->d_name + len - 4, ".sql") == 0;
}


static int
aictl_migrate_read(const char *dir, aictl_migration_t *file, char *why,
    size_t size)
{
    FILE      *f;
    char       path[4096];
    size_t     len;
    ai_str_t   text;

    if (snprintf(path, sizeof(path), "%s/%s", dir, file->name)
        >= (int) sizeof(path))
    {
        (void) snprintf(why, size, "%s: the path is too long", dir);
        return -1;
    }

    file->sql = malloc(AICTL_MIGRATION_MAX + 1);
    f = file->sql ? fopen(path, "re") : NULL;

    if (f == NULL) {
        (void) snprintf(why, size, "%s: %s", path, strerror(errno));
        return -1;
    }

    len = fread(file->sql, 1, AICTL_MIGRATION_MAX + 1, f);

    if (ferror(f) || len > AICTL_MIGRATION_MAX
        || memchr(file->sql, '\0', len) != NULL)
    {
        (void) snprintf(why, size, "%s: %s", path,
                        ferror(f) ? strerror(errno) : "is no migration");
        (void) fclose(f);
        return -1;
    }

    (void) fclose(f);
    file->sql[len] = '\0';

    text = (ai_str_t) { len, file->sql };
    return ai_sha256_hex(file->sha256, text);
}


static void
aictl_migrate_free(aictl_migrations_t *m)
{
    unsigned  i;

    for (i = 0; i < m->n; i++) {
        free(m->files[i].name);
        free(m->files[i].sql);
    }

    free(m->files);
}


static int
aictl_migrate_load(const char *dir, aictl_migrations_t *m, char *why,
    size_t size)
{
    int              i, n;
    struct dirent  **list;

    memset(m, 0, sizeof(*m));

    if (dir == NULL) {
        (void) snprintf(why, size, "where the migrations are must be told: "
                        "--dir or AI_MIGRATIONS");
        return -1;
    }

    n = scandir(dir, &list, aictl_migrate_is_one, alphasort);

    if (n <= 0) {
        (void) snprintf(why, size, "%s: %s", dir,
                        n < 0 ? strerror(errno) : "holds no migrations");
        return -1;
    }

    if (n <= AICTL_MIGRATIONS_MAX) {
        m->files = calloc((size_t) n, sizeof(aictl_migration_t));
    }

    for (i = 0; i < n; i++) {
        if (m->files) {
            m->files[m->n++].name = strdup(list[i]->d_name);
        }

        free(list[i]);
    }

    free(list);

    for (i = 0; m->files && i < n; i++) {
        if (m->files[i].name == NULL
            || aictl_migrate_read(dir, &m->files[i], why, size) != 0)
        {
            aictl_migrate_free(m);
            return -1;
        }
    }

    if (m->files == NULL) {
        (void) snprintf(why, size, "%s: too many migrations", dir);
        return -1;
    }

    return 0;
}


/* The checksum under which a file was applied, or NULL. */

static const char *
aictl_migrate_applied(const PGresult *res, const char *name)
{
    int  i;

    for (i = 0; res && i < PQntuples(res); i++) {
        if (strcmp(PQgetvalue(res, i, 0), name) == 0) {
            return PQgetvalue(res, i, 1);
        }
    }

    return NULL;
}


/*
 * What files and database say of each other: files not applied; or -1 where
 * one was changed, or the database has one that the folder has not.
 */

static int
aictl_migrate_compare(const aictl_migrations_t *m, const PGresult *res,
    unsigned *pending, char *why, size_t size)
{
    int          i;
    unsigned     k;
    const char  *sum;

    *pending = 0;

    for (k = 0; k < m->n; k++) {
        sum = aictl_migrate_applied(res, m->files[k].name);

        if (sum == NULL) {
            (*pending)++;
            continue;
        }

        if (strcmp(sum, m->files[k].sha256) != 0) {
            (void) snprintf(why, size, "%s was changed after it had been "
                            "applied; put the old file back and write what "
                            "is new into a new one", m->files[k].name);
            return -1;
        }

        if (*pending) {
            (void) snprintf(why, size, "%s is applied, but an earlier file "
                            "is not; a new migration needs a higher number",
                            m->files[k].name);
            return -1;
        }
    }

    for (i = 0; res && i < PQntuples(res); i++) {
        for (k = 0; k < m->n; k++) {
            if (strcmp(m->files[k].name, PQgetvalue(res, i, 0)) == 0) {
                break;
            }
        }

        if (k == m->n) {
            (void) snprintf(why, size, "the database is newer than this "
                            "folder: it has %s", PQgetvalue(res, i, 0));
            return -1;
        }
    }

    return 0;
}


/* 1: the database has the table of migrations; 0: it has not; -1. */

static int
aictl_migrate_begun(aictl_t *a, char *why, size_t size)
{
    int        n;
    PGresult  *res;

    res = aictl_query_try(a, 0, NULL,
                          "SELECT FROM pg_catalog.pg_class c"
                          " JOIN pg_catalog.pg_namespace n"
                          "   ON n.oid = c.relnamespace"
                          " WHERE n.nspname = 'ngxai'"
                          "   AND c.relname = 'migrations'", why, size);
    n = res ? PQntuples(res) : -1;
    PQclear(res);

    return n;
}


#define AICTL_MIGRATE_LIST  "SELECT name, sha256 FROM ngxai.migrations"


int
aictl_migrate_pending(aictl_t *a, const char *dir, unsigned *pending,
    char *why, size_t size)
{
    int                  rc, begun;
    PGresult            *res;
    aictl_migrations_t   m;

    if (aictl_migrate_load(dir, &m, why, size) != 0) {
        return -1;
    }

    res = NULL;
    rc = -1;
    begun = aictl_migrate_begun(a, why, size);

    if (begun > 0) {
        res = aictl_query_try(a, 0, NULL, AICTL_MIGRATE_LIST, why, size);
    }

    if (begun == 0 || res) {
        rc = aictl_migrate_compare(&m, res, pending, why, size);
    }

    PQclear(res);
    aictl_migrate_free(&m);

    return rc;
}


static void
aictl_migrate_failed(aictl_t *a, const char *name)
{
    aictl_error("%s: %s", name, PQerrorMessage(a->pg));
    PQclear(PQexec(a->pg, "ROLLBACK"));
}


static int
aictl_migrate_apply(aictl_t *a, const aictl_migration_t *file)
{
    PGresult        *res;
    ExecStatusType   status;
    const char      *params[2] = { file->name, file->sha256 };

    if (aictl_exec(a, "BEGIN") != AICTL_OK) {
        return AICTL_FAILED;
    }

    res = PQexec(a->pg, file->sql);
    status = PQresultStatus(res);
    PQclear(res);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        aictl_migrate_failed(a, file->name);
        return AICTL_FAILED;
    }

    /* A file that ends its transaction would be applied without a record. */
    if (PQtransactionStatus(a->pg) != PQTRANS_INTRANS) {
        aictl_error("%s: a migration must not end its transaction",
                    file->name);
        return AICTL_FAILED;
    }

    res = PQexec(a->pg, "RESET ROLE; SET LOCAL ROLE ngxai_owner");
    PQclear(res);

    res = PQexecParams(a->pg,
                       "INSERT INTO ngxai.migrations (name, sha256)"
                       " VALUES ($1, $2)", 2, NULL, params, NULL, NULL, 0);
    status = PQresultStatus(res);
    PQclear(res);

    if (status != PGRES_COMMAND_OK) {
        aictl_migrate_failed(a, file->name);
        return AICTL_FAILED;
    }

    return aictl_exec(a, "COMMIT");
}


static int
aictl_migrate_all(aictl_t *a, const aictl_migrations_t *m, json_t *rows)
{
    int          rc, begun;
    char         why[512];
    unsigned     k, pending;
    PGresult    *res;
    const char  *state;

    begun = aictl_migrate_begun(a, NULL, 0);
    if (begun < 0) {
        return AICTL_FAILED;
    }

    res = NULL;

    if (begun) {
        /* The schema is ngxai_owner's; who connects may be another. */
        if (aictl_exec(a, "SET ROLE ngxai_owner") != AICTL_OK) {
            return AICTL_FAILED;
        }

        res = aictl_query(a, 0, NULL, AICTL_MIGRATE_LIST);

        if (res == NULL || aictl_exec(a, "RESET ROLE") != AICTL_OK) {
            PQclear(res);
            return AICTL_FAILED;
        }
    }

    if (aictl_migrate_compare(m, res, &pending, why, sizeof(why)) != 0) {
        aictl_error("%s", why);
        PQclear(res);
        return AICTL_FAILED;
    }

    rc = AICTL_OK;

    for (k = 0; k < m->n && rc == AICTL_OK; k++) {
        state = "old";

        if (aictl_migrate_applied(res, m->files[k].name) == NULL) {
            state = "pending";

            if (a->opt[AICTL_OPT_CHECK] == NULL) {
                rc = aictl_migrate_apply(a, &m->files[k]);
                state = rc == AICTL_OK ? "applied" : "failed";
            }
        }

        (void) json_array_append_new(rows, json_pack("{s:s, s:s}", "migration",
                                                     m->files[k].name, "state",
                                                     state));
    }

    PQclear(res);

    if (rc == AICTL_OK && pending && a->opt[AICTL_OPT_CHECK]) {
        rc = AICTL_FAILED;
    }

    return rc;
}


int
aictl_migrate(aictl_t *a)
{
    int                  rc, out;
    char                 why[512];
    json_t              *rows;
    aictl_migrations_t   m;
    static const aictl_column_t  columns[] = {
        { "migration", "MIGRATION", 0 }, { "state", "STATE", 0 },
        { NULL, NULL, 0 }
    };

    why[0] = '\0';

    if (aictl_migrate_load(aictl_migrate_dir(a), &m, why, sizeof(why)) != 0) {
        aictl_error("%s", why[0] ? why : "no memory");
        return AICTL_FAILED;
    }

    rc = aictl_pg_owner(a);

    /* Whoever comes second waits, then finds everything applied. */
    if (rc == AICTL_OK) {
        rc = aictl_exec(a, "SELECT pg_catalog.pg_advisory_lock("
                           AICTL_MIGRATE_LOCK ")");
    }

    rows = json_array();

    if (rc == AICTL_OK) {
        rc = aictl_migrate_all(a, &m, rows);
        out = aictl_rows(a, columns, rows);
        rc = rc ? rc : out;

    } else {
        json_decref(rows);
    }

    aictl_migrate_free(&m);
    return rc;
}
