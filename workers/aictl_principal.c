/*
 * Principals and tenants from Postgres to Redis (docs/wire.md, 7): the hash by
 * the script that lets no older version win, and the version that edges are
 * checked against.  Owns nothing.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aictl.h"
#include "ai_crypto.h"
#include "principal.h"


typedef enum {
    AICTL_WRITE_OK = 0,
    AICTL_WRITE_OLD,            /* Redis has a higher version */
    AICTL_WRITE_FAILED
} aictl_write_e;


/* A SHA-256, or the name of a tenant, which is shorter. */

static int
aictl_principal_of_key(const char *name)
{
    return strlen(name) == AI_SHA256_HEX;
}


/* The keys, read once: AICTL_OK too where there is no file. */

static int
aictl_principal_keys(aictl_t *a)
{
    FILE        *f;
    char         text[AI_SIGN_FILE_MAX + 1];
    size_t       n;
    const char  *file, *why;

    file = a->opt[AICTL_OPT_SIGN_FILE];

    if (file == NULL || *file == '\0' || a->sign) {
        return AICTL_OK;
    }

    f = fopen(file, "re");

    if (f == NULL) {
        aictl_error("%s: %s", file, strerror(errno));
        return AICTL_FAILED;
    }

    n = fread(text, 1, sizeof(text), f);
    why = ferror(f) ? "it cannot be read" : "it is over 8192 bytes long";

    (void) fclose(f);

    if (n <= AI_SIGN_FILE_MAX) {
        a->sign = ai_sign_open((ai_str_t) { n, text }, &why);
    }

    ai_wipe(text, sizeof(text));

    if (a->sign == NULL) {
        aictl_error("%s is no file of keys: %s", file, why);
        return AICTL_FAILED;
    }

    return AICTL_OK;
}


static int
aictl_principal_sign(aictl_t *a, const char *name, int argc,
    const char **argv, char mac[AI_SHA256_HEX + 1])
{
    int       i, at;
    ai_str_t  field, values[AI_SIGN_FIELDS];

    for (i = 0; i < AI_SIGN_FIELDS; i++) {
        values[i] = ai_str("");
    }

    values[ai_sign_field(ai_str("v"))] = (ai_str_t) { strlen(argv[1]),
                                                      argv[1] };

    for (i = 3; i + 1 < argc; i += 2) {
        field = (ai_str_t) { strlen(argv[i]), argv[i] };
        at = ai_sign_field(field);

        if (at != -1) {
            values[at] = (ai_str_t) { strlen(argv[i + 1]), argv[i + 1] };
        }
    }

    mac[AI_SHA256_HEX] = '\0';

    return ai_sign_principal(a->sign, (ai_str_t) { strlen(name), name },
                             values, mac);
}


static aictl_write_e
aictl_principal_script(aictl_t *a, const char *name, const PGresult *row)
{
    int             i, argc;
    char            mac[AI_SHA256_HEX + 1];
    const char     *argv[3 + 2 * (PRINCIPAL_COLUMNS + 1)];
    redisReply     *reply;
    aictl_write_e   rc;

    argc = 0;
    argv[argc++] = name;
    argv[argc++] = PQgetvalue(row, 0, 0);
    argv[argc++] = PRINCIPAL_TTL_MS;

    for (i = 1; i < PQnfields(row); i++) {
        argv[argc++] = PQfname(row, i);
        argv[argc++] = PQgetvalue(row, 0, i);
    }

    if (aictl_principal_keys(a) != AICTL_OK) {
        return AICTL_WRITE_FAILED;
    }

    if (a->sign) {

        if (aictl_principal_sign(a, name, argc, argv, mac) != 0) {
            aictl_error("OpenSSL cannot sign");
            return AICTL_WRITE_FAILED;
        }

        argv[argc++] = "mac";
        argv[argc++] = mac;
    }

    reply = aictl_redis_script(a, AI_SCRIPT_PRINCIPAL, AI_GLOBAL_PREFIX, argc,
                               argv);
    rc = AICTL_WRITE_FAILED;

    if (reply == NULL) {
        aictl_error("Redis: %s", aictl_redis_why(a));

    } else if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0
               && reply->element[0]->str)
    {
        rc = strcmp(reply->element[0]->str, "OK") == 0 ? AICTL_WRITE_OK
                                                       : AICTL_WRITE_OLD;

    } else {
        aictl_error("Redis: %s", reply->type == REDIS_REPLY_ERROR
                                 ? reply->str : "unexpected reply");
    }

    freeReplyObject(reply);
    return rc;
}


/*
 * Redis knows a higher version than Postgres: it was restored from a backup.
 * Its numbers go on above that one.
 */

static int
aictl_principal_raise(aictl_t *a, const char *text)
{
    int          rc;
    char         key[AI_KEY_MAX];
    ai_str_t     name = { strlen(text), text };
    PGresult    *res;
    redisReply  *reply;
    const char  *params[1];

    if (ai_keys_principal(key, sizeof(key), name) == 0) {
        return AICTL_FAILED;
    }

    reply = aictl_redis_cmd(a, "HGET %s v", key);
    rc = AICTL_FAILED;

    if (reply && reply->type == REDIS_REPLY_STRING) {
        params[0] = reply->str;
        res = aictl_query(a, 1, params,
                          "SELECT pg_catalog.setval('ngxai.version_seq',"
                          " greatest(last_value, $1::bigint))"
                          " FROM ngxai.version_seq");

        if (res) {
            PQclear(res);
            params[0] = text;
            res = aictl_query(a, 1, params, aictl_principal_of_key(text)
                  ? "UPDATE ngxai.api_keys SET version = version"
                    " WHERE hash = pg_catalog.decode($1, 'hex')"
                  : "UPDATE ngxai.tenants SET version = version + 1"
                    " WHERE id = $1");
        }

        rc = res ? AICTL_OK : AICTL_FAILED;
        PQclear(res);
    }

    freeReplyObject(reply);
    return rc;
}


static int
aictl_principal_pv(aictl_t *a, const char *name, const PGresult *row)
{
    char         key[AI_KEY_MAX], mark[AI_TENANT_MARK_LEN + AI_TENANT_MAX + 1];
    ai_str_t     id, tenant;
    unsigned     shards;
    redisReply  *reply;

    shards = aictl_shards(a);
    if (shards == 0) {
        return AICTL_FAILED;
    }

    if (aictl_principal_of_key(name)) {
        id.data = PQgetvalue(row, 0, PRINCIPAL_ID);
        tenant.data = PQgetvalue(row, 0, PRINCIPAL_TENANT);

    } else {
        (void) snprintf(mark, sizeof(mark), AI_TENANT_MARK "%s", name);
        id.data = mark;
        tenant.data = name;
    }

    id.len = strlen(id.data);
    tenant.len = strlen(tenant.data);

    if (ai_keys_make(key, sizeof(key), AI_KEY_PV,
                     ai_keys_shard(tenant, shards), id) == 0)
    {
        aictl_error("%s: no key of Redis can be made of it", id.data);
        return AICTL_FAILED;
    }

    reply = aictl_redis_cmd(a, "SET %s %s EX %s", key,
                            PQgetvalue(row, 0, 0), PRINCIPAL_PV_S);

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        aictl_error("Redis: %s", reply ? reply->str : aictl_redis_why(a));
        freeReplyObject(reply);
        return AICTL_FAILED;
    }

    freeReplyObject(reply);
    return AICTL_OK;
}


static int
aictl_principal_write(aictl_t *a, const char *name)
{
    int             try, rc, columns;
    PGresult       *row;
    aictl_write_e   written;

    columns = aictl_principal_of_key(name) ? PRINCIPAL_COLUMNS
                                           : TENANT_COLUMNS;

    for (try = 0; try < 3; try++) {
        row = aictl_query(a, 1, &name, aictl_principal_of_key(name)
                                       ? PRINCIPAL_SQL : TENANT_SQL);

        if (row == NULL || PQntuples(row) != 1 || PQnfields(row) != columns)
        {
            PQclear(row);
            return AICTL_FAILED;
        }

        written = aictl_principal_script(a, name, row);
        rc = written == AICTL_WRITE_OK ? aictl_principal_pv(a, name, row)
                                       : AICTL_FAILED;
        PQclear(row);

        if (written != AICTL_WRITE_OLD) {
            return rc;
        }

        if (aictl_principal_raise(a, name) != AICTL_OK) {
            return AICTL_FAILED;
        }
    }

    aictl_error("Redis keeps a newer version of it than Postgres has");
    return AICTL_FAILED;
}


/* Writes what the rows name, and what says for people; takes res. */

static int
aictl_principal_rows(aictl_t *a, PGresult *res, const char *what,
    unsigned *written)
{
    int  i, rc;

    rc = PQntuples(res) ? aictl_redis(a) : AICTL_OK;

    for (i = 0; i < PQntuples(res) && rc == AICTL_OK; i++) {
        rc = aictl_principal_write(a, PQgetvalue(res, i, 0));

        if (rc == AICTL_OK) {
            (*written)++;
        }
    }

    if (rc != AICTL_OK) {
        aictl_error("the database has the change, Redis has it for %u of %d "
                    "%s; when Redis is well: aictl key sync", *written,
                    PQntuples(res), what);
    }

    PQclear(res);
    return rc;
}


int
aictl_principals_write(aictl_t *a, const char *where, const char *param,
    unsigned *written)
{
    char       sql[512];
    PGresult  *res;

    *written = 0;

    (void) snprintf(sql, sizeof(sql), "SELECT pg_catalog.encode(k.hash, 'hex')"
                    " FROM ngxai.api_keys k WHERE %s ORDER BY k.id", where);

    res = aictl_query(a, 1, &param, sql);

    return res ? aictl_principal_rows(a, res, "keys", written) : AICTL_FAILED;
}


int
aictl_tenants_write(aictl_t *a, const char *name, unsigned *written)
{
    PGresult  *res;

    *written = 0;

    res = aictl_query(a, 1, &name, "SELECT id FROM ngxai.tenants"
                      " WHERE $1 = '' OR id = $1 ORDER BY id");

    return res ? aictl_principal_rows(a, res, "tenants", written)
               : AICTL_FAILED;
}
