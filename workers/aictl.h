/*
 * aictl: what its commands share.  One aictl_t lives in main() for the whole
 * run and owns the connections, which open on first use; a command borrows
 * all of it.  Everything here may block: aictl is a program for the shell.
 */

#ifndef AICTL_H
#define AICTL_H

#include <jansson.h>
#include <libpq-fe.h>
#include <hiredis/hiredis.h>

#include "ai_keys.h"
#include "ai_scripts.h"
#include "ai_sign.h"
#include "ai_str.h"

/* Exit codes. */
#define AICTL_OK           0
#define AICTL_FAILED       1
#define AICTL_USAGE        2
#define AICTL_NOT_FOUND    3
#define AICTL_UNREACHABLE  4

#define AICTL_ARGS_MAX     2
#define AICTL_ROWS_MAX     100000       /* rows a command prints */
#define AICTL_SHARDS_MAX   1024

typedef enum {
    AICTL_OPT_REDIS = 0,
    AICTL_OPT_REDIS_PASSWORD_FILE,
    AICTL_OPT_SENTINEL_USER,
    AICTL_OPT_SENTINEL_PASSWORD_FILE,
    AICTL_OPT_SIGN_FILE,
    AICTL_OPT_POSTGRES,
    AICTL_OPT_JSON,
    AICTL_OPT_HELP,
    AICTL_OPT_DIR,
    AICTL_OPT_CHECK,
    AICTL_OPT_TENANT,
    AICTL_OPT_NAME,
    AICTL_OPT_USER,
    AICTL_OPT_MODELS,
    AICTL_OPT_SCOPES,
    AICTL_OPT_ROLE,
    AICTL_OPT_EXPIRES,
    AICTL_OPT_NETWORKS,
    AICTL_OPT_PLAN,
    AICTL_OPT_WEIGHT,
    AICTL_OPT_SINCE,
    AICTL_OPT_UNTIL,
    AICTL_OPT_BY,
    AICTL_OPT_LIMIT,
    AICTL_OPT_MODEL,
    AICTL_OPT_KEY,
    AICTL_OPT_REPRICE,
    AICTL_OPT_FILE,
    AICTL_OPT_MASTER_KEY,
    AICTL_OPT_OLD_MASTER_KEY,
    AICTL_OPT_LAST
} aictl_opt_e;

typedef struct aictl_redis_s  aictl_redis_t;

typedef struct {
    const char    *opt[AICTL_OPT_LAST];     /* NULL: not given */
    const char    *arg[AICTL_ARGS_MAX];
    unsigned       nargs;
    const char    *verb;                    /* of the command that runs */
    PGconn        *pg;                      /* NULL until aictl_pg() */
    aictl_redis_t *redis;                   /* NULL until aictl_redis() */
    ai_sign_t     *sign;                    /* NULL until a principal is */
    unsigned       shards;                  /* 0 until aictl_shards() */
} aictl_t;

/* The options that a command takes, as bits. */
#define AICTL_BIT(name)  (1u << AICTL_OPT_##name)
#define AICTL_COMMON                                                          \
    (AICTL_BIT(REDIS) | AICTL_BIT(REDIS_PASSWORD_FILE)                        \
     | AICTL_BIT(SENTINEL_USER) | AICTL_BIT(SENTINEL_PASSWORD_FILE)           \
     | AICTL_BIT(SIGN_FILE) | AICTL_BIT(POSTGRES) | AICTL_BIT(JSON)           \
     | AICTL_BIT(HELP))

#define AICTL_VAULT  (AICTL_BIT(MASTER_KEY) | AICTL_BIT(OLD_MASTER_KEY))

typedef struct {
    const char *noun;
    const char *verb;           /* NULL: a command of one word */
    unsigned    nargs;          /* arguments it wants, all of them */
    const char *synopsis;       /* what stands behind its words */
    const char *summary;        /* one line */
    unsigned    options;        /* bits, without AICTL_COMMON */
    unsigned    required;       /* of these */
    int       (*run)(aictl_t *a);   /* returns an exit code */
} aictl_command_t;

/* "aictl: " and the text and a newline to stderr. */
void aictl_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A warning or what to do next; as above. */
void aictl_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Output (aictl_out.c).  Rows are an array of objects.  With --json the array
 * or object is printed as it is; else as a table, or as "name: value" lines.
 * Both take the reference.  A failed write to stdout is AICTL_FAILED.
 */
typedef struct {
    const char *key;
    const char *title;
    unsigned    right:1;
} aictl_column_t;

/* columns end with a zero entry. */
int aictl_rows(aictl_t *a, const aictl_column_t *columns, json_t *rows);
int aictl_object(aictl_t *a, json_t *object);
/* A result as rows: integers, booleans, NULL as such; arrays as text. */
json_t *aictl_result_rows(const PGresult *res);
/* Text from outside on its way to a terminal: no control characters. */
void aictl_print(FILE *f, const char *text);

/*
 * Postgres (aictl_pg.c).  aictl_pg() connects where it has not yet and acts
 * as ngxai_admin; aictl_pg_owner() as whoever the conninfo says.  Both return
 * an exit code and have said what is wrong.
 */
int aictl_pg(aictl_t *a);
int aictl_pg_owner(aictl_t *a);
/* As aictl_pg(), silent; why (size bytes) gets the reason. */
int aictl_pg_try(aictl_t *a, char *why, size_t size);
/*
 * Runs one statement with text parameters.  The caller PQclear()s.  NULL after
 * a failure; it has been said, unless why is not NULL.
 */
PGresult *aictl_query(aictl_t *a, int nparams, const char *const *params,
    const char *sql);
PGresult *aictl_query_try(aictl_t *a, int nparams, const char *const *params,
    const char *sql, char *why, size_t size);
/* For statements without rows: exit code. */
int aictl_exec(aictl_t *a, const char *sql);

/*
 * Redis (aictl_redis.c): a blocking connection, hiredis being the codec.
 * Replies belong to the caller (freeReplyObject); NULL after a failure, which
 * aictl_redis_why() words.  An error reply is a reply.
 */
int aictl_redis(aictl_t *a);
int aictl_redis_try(aictl_t *a, char *why, size_t size);
const char *aictl_redis_why(const aictl_t *a);
/* 1 where there is no connection (any more). */
int aictl_redis_lost(const aictl_t *a);
/* For messages: the address without its password. */
const char *aictl_redis_address(const aictl_t *a);
unsigned aictl_redis_db(const aictl_t *a);
redisReply *aictl_redis_argv(aictl_t *a, int argc, const char **argv,
    const size_t *lens);
/* Words split at spaces; for constant commands and valid names. */
redisReply *aictl_redis_cmd(aictl_t *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* As above: an integer reply, or -1 where it was none. */
long long aictl_redis_int(aictl_t *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
redisReply *aictl_redis_script(aictl_t *a, ai_script_e script,
    const char *key, int argc, const char **argv);
void aictl_redis_close(aictl_t *a);
/* Number of shards; 0 after a failure, which has been said. */
unsigned aictl_shards(aictl_t *a);

/*
 * Principals (aictl_principal.c): Postgres to Redis, after the commit.  where
 * is a condition on the table api_keys k with $1; writes each key that it
 * matches and its pv.  Exit code; a failure has been said with what heals it.
 */
int aictl_principals_write(aictl_t *a, const char *where, const char *param,
    unsigned *written);
/* The same of a tenant's record; name NULL or empty: of all tenants. */
int aictl_tenants_write(aictl_t *a, const char *name, unsigned *written);

/* Whether --tenant names one: exit code; what is wrong has been said.  After
 * aictl_pg(). */
int aictl_tenant_known(aictl_t *a);

/* The commands, one file each noun. */
int aictl_migrate(aictl_t *a);
/* Files of dir that Postgres has not, or has otherwise; 0, or -1 with why. */
int aictl_migrate_pending(aictl_t *a, const char *dir, unsigned *pending,
    char *why, size_t size);
/* Where the migrations lie: --dir, AI_MIGRATIONS, or the usual places. */
const char *aictl_migrate_dir(const aictl_t *a);
int aictl_tenant_create(aictl_t *a);
int aictl_tenant_list(aictl_t *a);
int aictl_tenant_state(aictl_t *a);
int aictl_tenant_set(aictl_t *a);
int aictl_user_list(aictl_t *a);
int aictl_user_state(aictl_t *a);
int aictl_key_create(aictl_t *a);
int aictl_key_list(aictl_t *a);
int aictl_key_revoke(aictl_t *a);
int aictl_key_sync(aictl_t *a);
int aictl_own_set(aictl_t *a);
int aictl_own_list(aictl_t *a);
int aictl_own_remove(aictl_t *a);
int aictl_own_check(aictl_t *a);
int aictl_own_rotate(aictl_t *a);
int aictl_own_rewrap(aictl_t *a);
int aictl_usage(aictl_t *a);
int aictl_jobs(aictl_t *a);
int aictl_queue(aictl_t *a);
int aictl_cache_purge(aictl_t *a);
int aictl_doctor(aictl_t *a);

#endif
