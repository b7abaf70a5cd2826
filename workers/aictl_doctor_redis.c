/*
 * aictl doctor, Redis and what lives in it: settings, workers, queue, outbox.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aictl_doctor.h"


#define DOCTOR_DBS            64
#define DOCTOR_ALIVE_MSEC     3000
#define DOCTOR_OUTBOX_LATE_MS 60000
#define DOCTOR_OUTBOX_MANY    100000
#define DOCTOR_KEYS_MAX       20000     /* compared with Redis */


/* A field of INFO's text into buf: 1 or 0. */

static int
doctor_info(const char *info, const char *name, char *buf, size_t size)
{
    size_t       len;
    const char  *p;

    len = strlen(name);

    for (p = info; p; p = strchr(p, '\n')) {
        p += *p == '\n';

        if (strncmp(p, name, len) == 0 && p[len] == ':') {
            p += len + 1;
            len = strcspn(p, "\r\n");
            (void) snprintf(buf, size, "%.*s", (int) len, p);
            return 1;
        }
    }

    return 0;
}


static long long
doctor_info_int(const char *info, const char *name)
{
    char  buf[64];

    return doctor_info(info, name, buf, sizeof(buf))
           ? strtoll(buf, NULL, 10) : -1;
}


static void
doctor_redis_memory(const char *info, doctor_t *d)
{
    char       policy[64];
    long long  max, used;

    max = doctor_info_int(info, "maxmemory");
    used = doctor_info_int(info, "used_memory");

    if (doctor_info(info, "maxmemory_policy", policy, sizeof(policy))
        && strcmp(policy, "noeviction") != 0)
    {
        doctor_add(d, DOCTOR_BAD, "redis",
                   "CONFIG SET maxmemory-policy noeviction, and in redis.conf",
                   "maxmemory-policy is %s: Redis may drop jobs, events and "
                   "usage records when memory is short", policy);
    }

    if (max == 0) {
        doctor_add(d, DOCTOR_WARN, "redis",
                   "set maxmemory below what the machine has",
                   "maxmemory is not set: under pressure the kernel kills "
                   "Redis instead of ngx-ai refusing work at 80 %%");

    } else if (max > 0 && used >= max / 100 * 80) {
        doctor_add(d, DOCTOR_BAD, "redis",
                   "raise maxmemory, or see what grows: aictl queue",
                   "memory is %lld %% full: new jobs are refused",
                   used / (max / 100 + 1));
    }
}


static void
doctor_redis_persistence(const char *info, doctor_t *d)
{
    char  status[64];

    if (doctor_info_int(info, "aof_enabled") != 1) {
        doctor_add(d, DOCTOR_BAD, "redis",
                   "CONFIG SET appendonly yes, and in redis.conf",
                   "the append-only file is off: what a restart of Redis "
                   "finds running or not yet in the ledger is lost");

    } else if (doctor_info(info, "aof_last_write_status", status,
                           sizeof(status))
               && strcmp(status, "ok") != 0)
    {
        doctor_add(d, DOCTOR_BAD, "redis",
                   "look at the disk of Redis and at its log",
                   "the append-only file cannot be written");
    }
}


static void
doctor_redis_version(const char *info, doctor_t *d)
{
    char  version[64], mode[32];

    if (!doctor_info(info, "redis_version", version, sizeof(version))) {
        return;
    }

    if (strtol(version, NULL, 10) < 7) {
        doctor_add(d, DOCTOR_BAD, "redis", "use Redis 7.0 or later",
                   "version %s is too old: its scripts know no flags",
                   version);
        return;
    }

    if (doctor_info(info, "role", mode, sizeof(mode))
        && strcmp(mode, "master") != 0)
    {
        doctor_add(d, DOCTOR_BAD, "redis",
                   "give the address of the master",
                   "this server is a %s", mode);
    }
}


static void
doctor_redis_scripts(aictl_t *a, doctor_t *d)
{
    redisReply  *reply;
    const char  *argv[3] = {
        "EVAL", "#!lua flags=allow-oom\nreturn redis.call('TIME')[1]", "0"
    };

    reply = aictl_redis_argv(a, 3, argv, NULL);

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        doctor_add(d, DOCTOR_BAD, "redis",
                   "allow EVAL, EVALSHA and TIME to the users of ngx-ai, and "
                   "script flags (Redis 7)",
                   "scripts do not run: %s",
                   reply ? reply->str : aictl_redis_why(a));
    }

    freeReplyObject(reply);
}


void
doctor_redis(aictl_t *a, doctor_t *d)
{
    char         why[1200];
    unsigned     before;
    redisReply  *reply;

    if (aictl_redis_try(a, why, sizeof(why)) != AICTL_OK) {
        doctor_add(d, DOCTOR_BAD, "redis",
                   "start it, or give its address: --redis, AI_REDIS; it must "
                   "be the one of ai_redis in nginx.conf and of ai-workers",
                   "%s", why);
        return;
    }

    before = d->bad + d->warn;
    reply = aictl_redis_cmd(a, "INFO");

    if (reply == NULL || reply->str == NULL
        || reply->type == REDIS_REPLY_ERROR)
    {
        doctor_add(d, DOCTOR_WARN, "redis", "allow INFO to this user",
                   "its settings cannot be read: %s",
                   reply && reply->str ? reply->str : aictl_redis_why(a));

    } else {
        doctor_redis_version(reply->str, d);
        doctor_redis_memory(reply->str, d);
        doctor_redis_persistence(reply->str, d);
    }

    freeReplyObject(reply);
    doctor_redis_scripts(a, d);

    if (d->bad + d->warn == before) {
        doctor_add(d, DOCTOR_OK, "redis", NULL, "%s answers, its settings "
                   "are as they should be", aictl_redis_address(a));
    }
}


static int
doctor_key(char *key, ai_key_e name, unsigned shard)
{
    static const ai_str_t  none = { 0, "" };

    return ai_keys_make(key, AI_KEY_MAX, name, shard, none) ? 0 : -1;
}


/* Another database of this Redis where workers or edges beat: its number,
 * or -1.  Leaves the connection where it was. */

static int
doctor_elsewhere(aictl_t *a, long long now)
{
    int          db, found;
    char         key[AI_KEY_MAX];
    redisReply  *reply;

    found = -1;

    if (doctor_key(key, AI_KEY_ALIVE, 0) != 0) {
        return -1;
    }

    for (db = 0; db < DOCTOR_DBS && found < 0; db++) {
        if ((unsigned) db == aictl_redis_db(a)) {
            continue;
        }

        reply = aictl_redis_cmd(a, "SELECT %d", db);

        if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
            freeReplyObject(reply);
            break;
        }

        freeReplyObject(reply);

        if (aictl_redis_int(a, "ZCOUNT %s %lld +inf", key,
                            now - DOCTOR_ALIVE_MSEC) > 0)
        {
            found = db;
        }
    }

    freeReplyObject(aictl_redis_cmd(a, "SELECT %u", aictl_redis_db(a)));
    return found;
}


static void
doctor_count_alive(aictl_t *a, unsigned shard, long long now, int *workers,
    int *edges)
{
    char         key[AI_KEY_MAX];
    size_t       i;
    redisReply  *reply;

    *workers = 0;
    *edges = 0;

    if (doctor_key(key, AI_KEY_ALIVE, shard) != 0) {
        return;
    }

    reply = aictl_redis_cmd(a, "ZRANGEBYSCORE %s %lld +inf LIMIT 0 10000",
                            key, now - DOCTOR_ALIVE_MSEC);

    if (reply && reply->type == REDIS_REPLY_ARRAY) {
        for (i = 0; i < reply->elements; i++) {
            if (reply->element[i]->str) {
                *workers += reply->element[i]->str[0] == 'w';
                *edges += reply->element[i]->str[0] == 'e';
            }
        }
    }

    freeReplyObject(reply);
}


static void
doctor_workers(aictl_t *a, doctor_t *d, long long now)
{
    int  workers, edges, db;

    doctor_count_alive(a, 0, now, &workers, &edges);

    if (workers == 0 || edges == 0) {
        db = doctor_elsewhere(a, now);

        if (db >= 0) {
            doctor_add(d, DOCTOR_BAD, "workers",
                       "give ai-workers, ai_redis in nginx.conf and aictl the "
                       "same number behind the slash of redis://host:port/N",
                       "somebody beats in database %d of this Redis, and "
                       "aictl looks at %u", db, aictl_redis_db(a));
        }
    }

    if (workers == 0) {
        doctor_add(d, DOCTOR_BAD, "workers",
                   "start ai-workers, or see in its log why it cannot reach "
                   "this Redis", "no worker is alive: jobs wait");

    } else {
        doctor_add(d, DOCTOR_OK, "workers", NULL, "%d worker process%s alive",
                   workers, workers == 1 ? " is" : "es are");
    }

    if (edges == 0) {
        doctor_add(d, DOCTOR_WARN, "workers",
                   "start nginx with an ai_pass, or see in its error log why "
                   "it cannot reach this Redis", "no nginx is connected");
    }
}


/* Milliseconds that the oldest entry of a stream has waited, or -1. */

static long long
doctor_oldest(aictl_t *a, const char *key, long long now)
{
    long long    ms;
    redisReply  *reply, *entry;

    reply = aictl_redis_cmd(a, "XRANGE %s - + COUNT 1", key);
    ms = -1;

    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1) {
        entry = reply->element[0];

        if (entry->type == REDIS_REPLY_ARRAY && entry->elements == 2
            && entry->element[0]->str)
        {
            ms = now - strtoll(entry->element[0]->str, NULL, 10);
        }
    }

    freeReplyObject(reply);
    return ms;
}


static void
doctor_outbox(aictl_t *a, doctor_t *d, unsigned shard, long long now)
{
    char       key[AI_KEY_MAX];
    long long  len, late;

    if (doctor_key(key, AI_KEY_OUTBOX, shard) != 0) {
        return;
    }

    len = aictl_redis_int(a, "XLEN %s", key);
    late = len > 0 ? doctor_oldest(a, key, now) : 0;

    if (late > DOCTOR_OUTBOX_LATE_MS || len > DOCTOR_OUTBOX_MANY) {
        doctor_add(d, DOCTOR_BAD, "outbox",
                   "see in the log of ai-workers why the ledger cannot be "
                   "written (--ledger-postgres); nothing is lost meanwhile",
                   "%lld usage records of shard %u wait for Postgres, the "
                   "oldest for %lld s", len, shard, late / 1000);
    }
}


static void
doctor_backlog(aictl_t *a, doctor_t *d, unsigned shard)
{
    char         key[AI_KEY_MAX];
    long long    waiting, slots;
    redisReply  *reply;

    waiting = 0;
    slots = 0;

    if (doctor_key(key, AI_KEY_WAITING, shard) == 0) {
        waiting = aictl_redis_int(a, "ZCARD %s", key);
    }

    if (doctor_key(key, AI_KEY_WAITING_BATCH, shard) == 0) {
        waiting += aictl_redis_int(a, "ZCARD %s", key);
    }

    if (doctor_key(key, AI_KEY_WAITING_LAST, shard) == 0) {
        waiting += aictl_redis_int(a, "ZCARD %s", key);
    }

    if (doctor_key(key, AI_KEY_SWEEP, shard) != 0) {
        return;
    }

    reply = aictl_redis_cmd(a, "HMGET %s slots pressure", key);

    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        slots = reply->element[0]->str
                ? strtoll(reply->element[0]->str, NULL, 10) : 0;

        if (reply->element[1]->str
            && strcmp(reply->element[1]->str, "1") == 0)
        {
            doctor_add(d, DOCTOR_BAD, "redis",
                       "raise maxmemory, or see what grows: aictl queue",
                       "the sweeper says pressure: new jobs are refused");
        }
    }

    freeReplyObject(reply);

    if (waiting > 0 && slots == 0) {
        doctor_add(d, DOCTOR_BAD, "workers",
                   "start ai-workers; draining ones count for nothing",
                   "jobs of %lld tenant%s wait in shard %u and there is no "
                   "slot", waiting, waiting == 1 ? "" : "s", shard);
    }
}


void
doctor_queue(aictl_t *a, doctor_t *d)
{
    unsigned     s;
    long long    now;
    redisReply  *reply;

    if (a->redis == NULL || aictl_shards(a) == 0) {
        return;
    }

    reply = aictl_redis_cmd(a, "TIME");

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || reply->elements != 2 || reply->element[0]->str == NULL)
    {
        freeReplyObject(reply);
        return;
    }

    now = strtoll(reply->element[0]->str, NULL, 10) * 1000;
    freeReplyObject(reply);

    doctor_workers(a, d, now);

    for (s = 0; s < a->shards; s++) {
        doctor_outbox(a, d, s, now);
        doctor_backlog(a, d, s);
    }
}


void
doctor_keys(aictl_t *a, doctor_t *d)
{
    int          i, n, stale;
    char         key[AI_KEY_MAX], why[512];
    PGresult    *res;
    ai_str_t     hex;
    const char  *params[1];
    redisReply  *reply;

    if (a->pg == NULL || a->redis == NULL) {
        return;
    }

    (void) snprintf(why, sizeof(why), "%d", DOCTOR_KEYS_MAX);
    params[0] = why;

    res = aictl_query_try(a, 1, params,
                          "SELECT encode(hash, 'hex'), version"
                          " FROM ngxai.api_keys ORDER BY version DESC"
                          " LIMIT $1::int", why, sizeof(why));
    if (res == NULL) {
        return;
    }

    n = PQntuples(res);
    stale = 0;

    for (i = 0; i < n; i++) {
        hex.data = PQgetvalue(res, i, 0);
        hex.len = strlen(hex.data);

        if (ai_keys_principal(key, sizeof(key), hex) == 0) {
            continue;
        }

        reply = aictl_redis_cmd(a, "HGET %s v", key);

        if (reply == NULL) {
            break;
        }

        stale += reply->type == REDIS_REPLY_STRING
                 && strcmp(reply->str, PQgetvalue(res, i, 1)) != 0;
        freeReplyObject(reply);
    }

    PQclear(res);

    if (stale) {
        doctor_add(d, DOCTOR_BAD, "keys", "ai-workers --postgres heal it "
                   "in some seconds; aictl key sync does at once",
                   "Redis has an old state of %d key%s: a revoked one may "
                   "still be accepted", stale, stale == 1 ? "" : "s");
    }
}
