/*
 * aictl jobs and aictl queue: what Redis says of the work at hand.  Reads
 * only, no script: what is printed is near the truth, not a snapshot.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aictl.h"
#include "ai_id.h"
#include "ai_job.h"


#define AICTL_LEASES_MAX   100000       /* a shard */
#define AICTL_TENANTS_MAX  10000        /* that wait, a shard */
#define AICTL_ALIVE_MSEC   3000

static const ai_str_t  aictl_no_name = { 0, "" };


static int
aictl_queue_key(char *key, ai_key_e name, unsigned shard)
{
    return ai_keys_make(key, AI_KEY_MAX, name, shard, aictl_no_name) ? 0 : -1;
}


/* Redis' clock in ms, or -1. */

static long long
aictl_queue_now(aictl_t *a)
{
    long long    ms;
    redisReply  *reply;

    reply = aictl_redis_cmd(a, "TIME");
    ms = -1;

    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2
        && reply->element[0]->str && reply->element[1]->str)
    {
        ms = strtoll(reply->element[0]->str, NULL, 10) * 1000
             + strtoll(reply->element[1]->str, NULL, 10) / 1000;
    }

    freeReplyObject(reply);
    return ms;
}


/* An array reply, or NULL after saying what came instead. */

static redisReply *
aictl_queue_array(redisReply *reply, const aictl_t *a)
{
    if (reply && reply->type == REDIS_REPLY_ARRAY) {
        return reply;
    }

    aictl_error("Redis: %s", reply == NULL ? aictl_redis_why(a)
                             : reply->type == REDIS_REPLY_ERROR
                             ? reply->str : "unexpected reply");
    freeReplyObject(reply);

    return NULL;
}


static json_t *
aictl_jobs_row(json_t *tenants, const char *tenant)
{
    json_t  *row;

    row = json_object_get(tenants, tenant);

    if (row == NULL) {
        row = json_pack("{s:s, s:i, s:i, s:i}", "tenant", tenant, "running",
                        0, "waiting", 0, "waiting_batch", 0);
        (void) json_object_set_new(tenants, tenant, row);
    }

    return row;
}


static void
aictl_jobs_add(json_t *row, const char *key, long long n)
{
    (void) json_object_set_new(row, key,
                json_integer(json_integer_value(json_object_get(row, key))
                             + n));
}


/* The workers that Redis knows; NULL: said already. */

static redisReply *
aictl_queue_workers(aictl_t *a, unsigned shard)
{
    char  key[AI_KEY_MAX];

    if (aictl_queue_key(key, AI_KEY_CAPACITY, shard) != 0) {
        return NULL;
    }

    return aictl_queue_array(aictl_redis_cmd(a, "HKEYS %s", key), a);
}


static int
aictl_queue_held_key(char *key, unsigned shard, const redisReply *worker)
{
    ai_str_t  name;

    name = (ai_str_t) { worker->str ? worker->len : 0,
                        worker->str ? worker->str : "" };

    return ai_keys_make(key, AI_KEY_MAX, AI_KEY_HELD, shard, name) == 0 ? -1
                                                                        : 0;
}


static int
aictl_jobs_running(aictl_t *a, unsigned shard, json_t *tenants)
{
    char         key[AI_KEY_MAX];
    size_t       i, k;
    redisReply  *workers, *reply;
    const char  *space;

    workers = aictl_queue_workers(a, shard);
    if (workers == NULL) {
        return AICTL_UNREACHABLE;
    }

    for (i = 0; i < workers->elements; i++) {

        if (aictl_queue_held_key(key, shard, workers->element[i]) != 0) {
            continue;
        }

        reply = aictl_queue_array(aictl_redis_cmd(a, "SRANDMEMBER %s %d", key,
                                                  AICTL_LEASES_MAX), a);
        if (reply == NULL) {
            freeReplyObject(workers);
            return AICTL_UNREACHABLE;
        }

        for (k = 0; k < reply->elements; k++) {
            space = reply->element[k]->str
                    ? strchr(reply->element[k]->str, ' ') : NULL;

            if (space) {
                aictl_jobs_add(aictl_jobs_row(tenants, space + 1), "running",
                               1);
            }
        }

        freeReplyObject(reply);
    }

    freeReplyObject(workers);
    return AICTL_OK;
}


static int
aictl_jobs_waiting(aictl_t *a, unsigned shard, json_t *tenants, ai_key_e zset,
    ai_key_e list, const char *column)
{
    int          rc;
    char         key[AI_KEY_MAX];
    size_t       i;
    ai_str_t     name;
    long long    n;
    redisReply  *reply;

    if (aictl_queue_key(key, zset, shard) != 0) {
        return AICTL_FAILED;
    }

    reply = aictl_queue_array(aictl_redis_cmd(a, "ZRANGE %s 0 %d", key,
                                              AICTL_TENANTS_MAX - 1), a);
    if (reply == NULL) {
        return AICTL_UNREACHABLE;
    }

    rc = AICTL_OK;

    for (i = 0; i < reply->elements && rc == AICTL_OK; i++) {
        name = (ai_str_t) { reply->element[i]->len, reply->element[i]->str };

        if (name.data == NULL
            || ai_keys_make(key, sizeof(key), list, shard, name) == 0)
        {
            continue;
        }

        n = aictl_redis_int(a, "LLEN %s", key);

        if (n < 0) {
            aictl_error("Redis: %s", aictl_redis_why(a));
            rc = AICTL_UNREACHABLE;

        } else {
            aictl_jobs_add(aictl_jobs_row(tenants, name.data), column, n);
        }
    }

    freeReplyObject(reply);
    return rc;
}


static int
aictl_jobs_by_tenant(aictl_t *a)
{
    int          rc;
    json_t      *tenants, *rows, *row;
    unsigned     s, shards;
    const char  *name;
    static const aictl_column_t  columns[] = {
        { "tenant", "TENANT", 0 }, { "running", "RUNNING", 1 },
        { "waiting", "WAITING", 1 }, { "waiting_batch", "BATCH WAITING", 1 },
        { NULL, NULL, 0 }
    };

    shards = aictl_shards(a);
    if (shards == 0) {
        return AICTL_UNREACHABLE;
    }

    tenants = json_object();
    rc = AICTL_OK;

    for (s = 0; s < shards && rc == AICTL_OK; s++) {
        rc = aictl_jobs_running(a, s, tenants);

        if (rc == AICTL_OK) {
            rc = aictl_jobs_waiting(a, s, tenants, AI_KEY_WAITING,
                                    AI_KEY_BACKLOG, "waiting");
        }

        if (rc == AICTL_OK) {
            rc = aictl_jobs_waiting(a, s, tenants, AI_KEY_WAITING_BATCH,
                                    AI_KEY_BACKLOG_BATCH, "waiting_batch");
        }

        if (rc == AICTL_OK) {
            rc = aictl_jobs_waiting(a, s, tenants, AI_KEY_WAITING_LAST,
                                    AI_KEY_BACKLOG_LAST, "waiting");
        }
    }

    rows = json_array();

    json_object_foreach(tenants, name, row) {
        (void) json_array_append(rows, row);
    }

    json_decref(tenants);

    if (rc != AICTL_OK) {
        json_decref(rows);
        return rc;
    }

    return aictl_rows(a, columns, rows);
}


static json_t *
aictl_jobs_text(const redisReply *reply)
{
    json_t  *text;

    text = reply->str ? json_stringn(reply->str, reply->len) : NULL;

    return text ? text : json_null();
}


/* One job's line, or NULL where it has ended meanwhile. */

static json_t *
aictl_jobs_one(aictl_t *a, unsigned shard, ai_str_t id, long long now)
{
    char         key[AI_KEY_MAX];
    json_t      *row;
    ai_str_t     spec, model;
    redisReply  *reply;

    if (ai_keys_make(key, sizeof(key), AI_KEY_JOB, shard, id) == 0) {
        return NULL;
    }

    reply = aictl_redis_cmd(a, "HMGET %s state class owner attempt at spec "
                            "cancel", key);

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || reply->elements != 7 || reply->element[0]->str == NULL)
    {
        freeReplyObject(reply);
        return NULL;
    }

    row = json_pack("{s:s%}", "job", id.data, id.len);
    (void) json_object_set_new(row, "state",
                               aictl_jobs_text(reply->element[0]));
    (void) json_object_set_new(row, "class",
                               aictl_jobs_text(reply->element[1]));
    (void) json_object_set_new(row, "worker",
                               aictl_jobs_text(reply->element[2]));
    (void) json_object_set_new(row, "attempt",
                               aictl_jobs_text(reply->element[3]));
    (void) json_object_set_new(row, "cancel",
                               aictl_jobs_text(reply->element[6]));

    if (reply->element[4]->str && now >= 0) {
        (void) json_object_set_new(row, "age_ms", json_integer(now
                     - strtoll(reply->element[4]->str, NULL, 10) / 1000));
    }

    if (reply->element[5]->str) {
        spec = (ai_str_t) { reply->element[5]->len, reply->element[5]->str };

        if (ai_record_get(spec, "model", &model) == 1) {
            (void) json_object_set_new(row, "model",
                                       json_stringn(model.data, model.len));
        }
    }

    freeReplyObject(reply);
    return row;
}


static int
aictl_jobs_add_list(aictl_t *a, json_t *rows, redisReply *reply,
    unsigned shard, size_t limit, long long now)
{
    size_t     i;
    json_t    *row;
    ai_str_t   id;

    if (reply == NULL) {
        return AICTL_UNREACHABLE;
    }

    for (i = 0; i < reply->elements && json_array_size(rows) < limit; i++) {
        id = (ai_str_t) { reply->element[i]->len, reply->element[i]->str };

        row = id.data ? aictl_jobs_one(a, shard, id, now) : NULL;

        if (row) {
            (void) json_array_append_new(rows, row);
        }
    }

    freeReplyObject(reply);
    return AICTL_OK;
}


static int
aictl_jobs_of(aictl_t *a, size_t limit)
{
    int          rc;
    char         key[3][AI_KEY_MAX];
    json_t      *rows;
    ai_str_t     tenant;
    unsigned     shard;
    long long    now;
    static const aictl_column_t  columns[] = {
        { "job", "JOB", 0 }, { "state", "STATE", 0 },
        { "class", "CLASS", 0 }, { "model", "MODEL", 0 },
        { "attempt", "ATTEMPT", 1 }, { "age_ms", "AGE MS", 1 },
        { "worker", "WORKER", 0 }, { "cancel", "CANCEL", 0 },
        { NULL, NULL, 0 }
    };

    tenant.data = a->opt[AICTL_OPT_TENANT];
    tenant.len = strlen(tenant.data);

    if (aictl_shards(a) == 0) {
        return AICTL_UNREACHABLE;
    }

    shard = ai_keys_shard(tenant, a->shards);

    if (!ai_keys_make(key[0], AI_KEY_MAX, AI_KEY_RUNNING, shard, tenant)
        || !ai_keys_make(key[1], AI_KEY_MAX, AI_KEY_BACKLOG, shard, tenant)
        || !ai_keys_make(key[2], AI_KEY_MAX, AI_KEY_BACKLOG_BATCH, shard,
                         tenant))
    {
        aictl_error("\"%s\" is no name of a tenant", tenant.data);
        return AICTL_USAGE;
    }

    now = aictl_queue_now(a);
    rows = json_array();

    rc = aictl_jobs_add_list(a, rows,
             aictl_queue_array(aictl_redis_cmd(a, "SMEMBERS %s", key[0]), a),
             shard, limit, now);

    if (rc == AICTL_OK) {
        rc = aictl_jobs_add_list(a, rows,
                 aictl_queue_array(aictl_redis_cmd(a, "LRANGE %s 0 %zu",
                                                   key[1], limit), a),
                 shard, limit, now);
    }

    if (rc == AICTL_OK) {
        rc = aictl_jobs_add_list(a, rows,
                 aictl_queue_array(aictl_redis_cmd(a, "LRANGE %s 0 %zu",
                                                   key[2], limit), a),
                 shard, limit, now);
    }

    if (rc != AICTL_OK) {
        json_decref(rows);
        return rc;
    }

    return aictl_rows(a, columns, rows);
}


int
aictl_jobs(aictl_t *a)
{
    int          rc;
    int64_t      limit;
    ai_str_t     text;
    const char  *opt;

    limit = 1000;
    opt = a->opt[AICTL_OPT_LIMIT];

    if (opt) {
        text = (ai_str_t) { strlen(opt), opt };

        if (ai_str_int(text, &limit) != 0 || limit < 1
            || limit > AICTL_ROWS_MAX)
        {
            aictl_error("--limit is a number from 1 to %d", AICTL_ROWS_MAX);
            return AICTL_USAGE;
        }
    }

    rc = aictl_redis(a);
    if (rc != AICTL_OK) {
        return rc;
    }

    return a->opt[AICTL_OPT_TENANT] ? aictl_jobs_of(a, (size_t) limit)
                                    : aictl_jobs_by_tenant(a);
}


static void
aictl_queue_count(aictl_t *a, json_t *row, const char *name,
    const char *command, ai_key_e key, unsigned shard)
{
    char       text[AI_KEY_MAX];
    long long  n;

    n = aictl_queue_key(text, key, shard) == 0
        ? aictl_redis_int(a, "%s %s", command, text) : -1;

    (void) json_object_set_new(row, name, n >= 0 ? json_integer(n)
                                                 : json_null());
}


/* Entries that were read and not acknowledged. */

static void
aictl_queue_pending(aictl_t *a, json_t *row, const char *name, ai_key_e key,
    unsigned shard, const char *group)
{
    char         text[AI_KEY_MAX];
    json_t      *n;
    redisReply  *reply;

    n = NULL;
    reply = aictl_queue_key(text, key, shard) == 0
            ? aictl_redis_cmd(a, "XPENDING %s %s", text, group) : NULL;

    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0
        && reply->element[0]->type == REDIS_REPLY_INTEGER)
    {
        n = json_integer(reply->element[0]->integer);
    }

    freeReplyObject(reply);
    (void) json_object_set_new(row, name, n ? n : json_null());
}


/* What all workers hold. */

static void
aictl_queue_running(aictl_t *a, json_t *row, unsigned shard)
{
    char         key[AI_KEY_MAX];
    size_t       i;
    long long    n, sum;
    redisReply  *workers;

    sum = 0;
    workers = aictl_queue_workers(a, shard);

    for (i = 0; workers != NULL && i < workers->elements; i++) {
        n = aictl_queue_held_key(key, shard, workers->element[i]) == 0
            ? aictl_redis_int(a, "SCARD %s", key) : 0;
        sum += n > 0 ? n : 0;
    }

    (void) json_object_set_new(row, "running", workers != NULL
                               ? json_integer(sum) : json_null());
    freeReplyObject(workers);
}


static void
aictl_queue_alive(aictl_t *a, json_t *row, unsigned shard, long long now)
{
    int          workers, edges;
    char         key[AI_KEY_MAX];
    size_t       i;
    redisReply  *reply;

    workers = 0;
    edges = 0;
    reply = aictl_queue_key(key, AI_KEY_ALIVE, shard) == 0
            ? aictl_redis_cmd(a, "ZRANGEBYSCORE %s %lld +inf LIMIT 0 10000",
                              key, now - AICTL_ALIVE_MSEC) : NULL;

    if (reply && reply->type == REDIS_REPLY_ARRAY) {
        for (i = 0; i < reply->elements; i++) {
            if (reply->element[i]->str == NULL) {
                continue;
            }

            workers += reply->element[i]->str[0] == 'w';
            edges += reply->element[i]->str[0] == 'e';
        }
    }

    freeReplyObject(reply);
    (void) json_object_set_new(row, "workers", json_integer(workers));
    (void) json_object_set_new(row, "edges", json_integer(edges));
}


static void
aictl_queue_sweep(aictl_t *a, json_t *row, unsigned shard)
{
    char         key[AI_KEY_MAX];
    size_t       i;
    redisReply  *reply;
    static const char *const  fields[] = { "slots", "pressure" };

    reply = aictl_queue_key(key, AI_KEY_SWEEP, shard) == 0
            ? aictl_redis_cmd(a, "HMGET %s slots pressure", key) : NULL;

    for (i = 0; i < 2; i++) {
        (void) json_object_set_new(row, fields[i],
            reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2
            && reply->element[i]->str
            ? json_integer(strtoll(reply->element[i]->str, NULL, 10))
            : json_integer(0));
    }

    freeReplyObject(reply);
}


int
aictl_queue(aictl_t *a)
{
    int        rc;
    json_t    *rows, *row;
    unsigned   s, shards;
    long long  now;
    static const aictl_column_t  columns[] = {
        { "shard", "SHARD", 1 }, { "workers", "WORKERS", 1 },
        { "edges", "EDGES", 1 }, { "slots", "SLOTS", 1 },
        { "running", "RUNNING", 1 }, { "waiting_tenants", "WAITING", 1 },
        { "waiting_tenants_batch", "WAITING BATCH", 1 },
        { "waiting_tenants_last", "WAITING LAST", 1 },
        { "graces", "GRACE", 1 }, { "outbox", "OUTBOX", 1 },
        { "outbox_pending", "IN HAND", 1 }, { "pressure", "PRESSURE", 1 },
        { NULL, NULL, 0 }
    };

    rc = aictl_redis(a);
    if (rc != AICTL_OK) {
        return rc;
    }

    shards = aictl_shards(a);
    now = aictl_queue_now(a);

    if (shards == 0 || now < 0) {
        return AICTL_UNREACHABLE;
    }

    rows = json_array();

    for (s = 0; s < shards; s++) {
        row = json_pack("{s:i}", "shard", (int) s);

        aictl_queue_alive(a, row, s, now);
        aictl_queue_sweep(a, row, s);
        aictl_queue_running(a, row, s);
        aictl_queue_count(a, row, "waiting_tenants", "ZCARD",
                          AI_KEY_WAITING, s);
        aictl_queue_count(a, row, "waiting_tenants_batch", "ZCARD",
                          AI_KEY_WAITING_BATCH, s);
        aictl_queue_count(a, row, "waiting_tenants_last", "ZCARD",
                          AI_KEY_WAITING_LAST, s);
        aictl_queue_count(a, row, "graces", "ZCARD", AI_KEY_GRACE, s);
        aictl_queue_count(a, row, "outbox", "XLEN", AI_KEY_OUTBOX, s);
        aictl_queue_pending(a, row, "outbox_pending", AI_KEY_OUTBOX, s,
                            AI_GROUP_LEDGER);

        (void) json_array_append_new(rows, row);
    }

    if (aictl_redis_lost(a)) {
        aictl_error("Redis: %s", aictl_redis_why(a));
        json_decref(rows);
        return AICTL_UNREACHABLE;
    }

    return aictl_rows(a, columns, rows);
}
