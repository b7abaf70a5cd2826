/*
 * Principals from Postgres to Redis (docs/wire.md, 7): the hash by the script
 * that lets no older version win, and the version that edges are checked
 * against.  Owns nothing.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aictl.h"
#include "principal.h"


typedef enum {
    AICTL_WRITE_OK = 0,
    AICTL_WRITE_OLD,            /* Redis has a higher version */
    AICTL_WRITE_FAILED
} aictl_write_e;


static aictl_write_e
aictl_principal_script(aictl_t *a, const char *hex, const PGresult *row)
{
    int             i, argc;
    const char     *argv[3 + 2 * PRINCIPAL_COLUMNS];
    redisReply     *reply;
    aictl_write_e   rc;

    argc = 0;
    argv[argc++] = hex;
    argv[argc++] = PQgetvalue(row, 0, 0);
    argv[argc++] = PRINCIPAL_TTL_MS;

    for (i = 1; i < PRINCIPAL_COLUMNS; i++) {
        argv[argc++] = PQfname(row, i);
        argv[argc++] = PQgetvalue(row, 0, i);
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
aictl_principal_raise(aictl_t *a, const char *hex)
{
    int          rc;
    char         key[AI_KEY_MAX];
    ai_str_t     name = { strlen(hex), hex };
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
            params[0] = hex;
            res = aictl_query(a, 1, params,
                              "UPDATE ngxai.api_keys SET version = version"
                              " WHERE hash = pg_catalog.decode($1, 'hex')");
        }

        rc = res ? AICTL_OK : AICTL_FAILED;
        PQclear(res);
    }

    freeReplyObject(reply);
    return rc;
}


static int
aictl_principal_pv(aictl_t *a, const PGresult *row)
{
    char         key[AI_KEY_MAX];
    ai_str_t     id, tenant;
    unsigned     shards;
    redisReply  *reply;

    shards = aictl_shards(a);
    if (shards == 0) {
        return AICTL_FAILED;
    }

    id.data = PQgetvalue(row, 0, PRINCIPAL_ID);
    id.len = strlen(id.data);
    tenant.data = PQgetvalue(row, 0, PRINCIPAL_TENANT);
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
aictl_principal_write(aictl_t *a, const char *hex)
{
    int             try, rc;
    PGresult       *row;
    aictl_write_e   written;

    for (try = 0; try < 3; try++) {
        row = aictl_query(a, 1, &hex, PRINCIPAL_SQL);

        if (row == NULL || PQntuples(row) != 1
            || PQnfields(row) != PRINCIPAL_COLUMNS)
        {
            PQclear(row);
            return AICTL_FAILED;
        }

        written = aictl_principal_script(a, hex, row);
        rc = written == AICTL_WRITE_OK ? aictl_principal_pv(a, row)
                                       : AICTL_FAILED;
        PQclear(row);

        if (written != AICTL_WRITE_OLD) {
            return rc;
        }

        if (aictl_principal_raise(a, hex) != AICTL_OK) {
            return AICTL_FAILED;
        }
    }

    aictl_error("Redis keeps a newer version of a key than Postgres has");
    return AICTL_FAILED;
}


int
aictl_principals_write(aictl_t *a, const char *where, const char *param,
    unsigned *written)
{
    int        i, rc;
    char       sql[512];
    PGresult  *res;

    *written = 0;

    (void) snprintf(sql, sizeof(sql), "SELECT pg_catalog.encode(k.hash, 'hex')"
                    " FROM ngxai.api_keys k WHERE %s ORDER BY k.id", where);

    res = aictl_query(a, 1, &param, sql);
    if (res == NULL) {
        return AICTL_FAILED;
    }

    rc = PQntuples(res) ? aictl_redis(a) : AICTL_OK;

    for (i = 0; i < PQntuples(res) && rc == AICTL_OK; i++) {
        rc = aictl_principal_write(a, PQgetvalue(res, i, 0));

        if (rc == AICTL_OK) {
            (*written)++;
        }
    }

    if (rc != AICTL_OK) {
        aictl_error("the database has the change, Redis has it for %u of %d "
                    "keys; when Redis is well: aictl key sync", *written,
                    PQntuples(res));
    }

    PQclear(res);
    return rc;
}
