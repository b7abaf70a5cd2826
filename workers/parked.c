/*
 * Responses on their way to Postgres once it is back.  Owns the looks at what
 * Redis keeps of them, and who waits for one.
 */

#include "parked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"
#include "job.h"


#define PARKED_GONE  "gone"             /* the field of one that was dropped */


typedef struct parked_wait_s  parked_wait_t;

struct parked_wait_s {
    parked_wait_t  *next;
    void          (*cb)(void *data);
    void           *data;
};

struct parked_s {
    worker_t       *w;
    stores_t       *stores;
    uv_timer_t      timer;
    parked_wait_t  *waits;
    unsigned        n;          /* that wait: 1, until that is known */
    size_t          bytes;
    unsigned        count;      /* the same, of this look */
    size_t          sum;
    unsigned        shard;
    unsigned        at;         /* of names */
    unsigned        nnames;
    char            names[PARKED_ROUND][AI_SHA256_HEX];
    char           *params[PARKED_PARAMS];
    uint64_t        lease_msec;
    unsigned        failed;     /* of those that wait, since one did not */
    unsigned        busy:1;
    unsigned        more:1;     /* than a round */
    unsigned        closing:1;
};


static int parked_say(job_t *job, unsigned argc, const ai_str_t *argv);
static void parked_on_said(redis_t *rc, ai_resp_t *reply, void *data);
static void parked_on_timer(uv_timer_t *timer);
static void parked_on_closed(uv_handle_t *handle);
static void parked_list(parked_t *p);
static void parked_on_list(redis_t *rc, ai_resp_t *reply, void *data);
static void parked_failed(parked_t *p);
static void parked_on_lease(redis_t *rc, ai_resp_t *reply, void *data);
static void parked_next(parked_t *p);
static void parked_on_read(redis_t *rc, ai_resp_t *reply, void *data);
static void parked_on_put(db_t *db, const PGresult *res, void *data);
static int parked_remove(parked_t *p, redis_reply_pt cb);
static void parked_on_removed(redis_t *rc, ai_resp_t *reply, void *data);
static void parked_on_gone(redis_t *rc, ai_resp_t *reply, void *data);
static void parked_on_dropped(db_t *db, const PGresult *res, void *data);
static void parked_release(parked_t *p);
static void parked_done(parked_t *p);
static void parked_tell(parked_t *p);
static void parked_clear(parked_t *p);
static int parked_hex(ai_str_t tenant, const char *id, char *hex);
static ai_str_t parked_key(char *key, ai_key_e what, unsigned shard,
    const char *hex);


static const char *const  parked_fields[PARKED_PARAMS - 1] = {
    "tenant", "owner", "id", "previous", "conversation", "input", "response"
};


parked_t *
parked_open(worker_t *w, stores_t *s)
{
    parked_t  *p;

    p = calloc(1, sizeof(*p));

    if (p != NULL) {
        p->w = w;
        p->stores = s;
        p->n = 1;
        uv_timer_init(&w->loop.uv, &p->timer);
        p->timer.data = p;
        uv_timer_start(&p->timer, parked_on_timer, PARKED_EVERY_MSEC,
                       PARKED_EVERY_MSEC);
    }

    return p;
}


/* Answers that are still to come are given up before the loop runs out. */

void
parked_close(parked_t *p)
{
    p->closing = 1;
    parked_tell(p);
    uv_close((uv_handle_t *) &p->timer, parked_on_closed);
}


static void
parked_on_closed(uv_handle_t *handle)
{
    parked_t  *p;

    p = handle->data;
    parked_clear(p);
    free(p);
}


int
parked_worth(const PGresult *res)
{
    const char  *state;

    if (res == NULL) {
        return 1;
    }

    state = db_sqlstate(res);

    return PQresultStatus(res) != PGRES_TUPLES_OK
           && strncmp(state, "22", 2) != 0 && strncmp(state, "23", 2) != 0;
}


/* To Redis and back. */

static int
parked_hex(ai_str_t tenant, const char *id, char *hex)
{
    char      text[AI_TENANT_MAX + STORED_ID_MAX + 2];
    ai_buf_t  b;

    ai_buf_init(&b, text, sizeof(text));
    ai_buf_add_str(&b, tenant);
    ai_buf_add_z(&b, " ");
    ai_buf_add_z(&b, id);

    return b.full ? -1
           : ai_sha256_hex(hex, (ai_str_t) { ai_buf_len(&b), text });
}


static ai_str_t
parked_key(char *key, ai_key_e what, unsigned shard, const char *hex)
{
    ai_str_t  name;

    name = (ai_str_t) { hex != NULL ? AI_SHA256_HEX : 0,
                        hex != NULL ? hex : "" };

    return (ai_str_t) { ai_keys_make(key, AI_KEY_MAX, what, shard, name),
                        key };
}


int
parked_put(job_t *job, const char *const *params)
{
    int        i;
    char       key[AI_KEY_MAX], all[AI_KEY_MAX], hex[AI_SHA256_HEX];
    char       bytes[24];
    size_t     n;
    parked_t  *p;
    ai_str_t   argv[2 + 2 * (PARKED_PARAMS - 1)], expire[3];

    p = stores_parked(job->w->stores);

    if (!stores_any(job->w->stores)
        || parked_hex(job->spec.tenant, params[2], hex) != 0)
    {
        return -1;
    }

    argv[0] = ai_str("HSET");
    argv[1] = parked_key(key, AI_KEY_PARK, job->shard, hex);
    n = 0;

    for (i = 0; i < PARKED_PARAMS - 1; i++) {
        argv[2 + 2 * i] = (ai_str_t) { strlen(parked_fields[i]),
                                       parked_fields[i] };
        argv[3 + 2 * i] = (ai_str_t) {
            params[i] != NULL ? strlen(params[i]) : 0,
            params[i] != NULL ? params[i] : ""
        };
        n += argv[3 + 2 * i].len;
    }

    expire[0] = ai_str("PEXPIRE");
    expire[1] = argv[1];
    expire[2] = ai_str(PARKED_MSEC);

    /* Its first word and its end go in one write: who dies behind them leaves
     * nothing for ever. */

    if (p->n >= PARKED_MAX || p->bytes + n > PARKED_BYTES_MAX
        || redis_command(job->w->redis, NULL, NULL, 4, argv) != 0
        || redis_command(job->w->redis, NULL, NULL, 3, expire) != 0
        || parked_say(job, 2 + 2 * (PARKED_PARAMS - 1), argv) != 0)
    {
        return -1;
    }

    p->n++;
    p->bytes += n;

    argv[1] = parked_key(all, AI_KEY_PARKED, job->shard, NULL);
    argv[2] = (ai_str_t) { sizeof(hex), hex };
    argv[3].data = bytes;
    argv[3].len = (size_t) snprintf(bytes, sizeof(bytes), "%zu", n);
    expire[1] = argv[1];

    return parked_say(job, 4, argv) == 0
           && redis_command(job->w->redis, NULL, NULL, 3, expire) == 0
           ? 0 : -1;
}


/* What is kept only where Redis takes it. */

static int
parked_say(job_t *job, unsigned argc, const ai_str_t *argv)
{
    if (redis_command(job->w->redis, parked_on_said, job, argc, argv) != 0) {
        return -1;
    }

    job_ref(job);

    return 0;
}


static void
parked_on_said(redis_t *rc, ai_resp_t *reply, void *data)
{
    job_t     *job;
    ai_str_t   why;

    (void) rc;

    job = data;

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        why = reply != NULL ? (ai_str_t) { reply->len, reply->str }
                            : ai_str("Redis is away");
        log_job(LOG_ERROR, "stored", job->spec.tenant, job->spec.id,
                "the response is not stored: %.*s", (int) why.len, why.data);
    }

    job_unref(job);
}


int
parked_read(job_t *job, const char *id, redis_reply_pt cb, void *data)
{
    char      key[AI_KEY_MAX], hex[AI_SHA256_HEX];
    ai_str_t  argv[5];

    if (parked_hex(job->spec.tenant, id, hex) != 0) {
        return -1;
    }

    argv[0] = ai_str("HMGET");
    argv[1] = parked_key(key, AI_KEY_PARK, job->shard, hex);
    argv[2 + PARKED_OWNER] = ai_str("owner");
    argv[2 + PARKED_INPUT] = ai_str("input");
    argv[2 + PARKED_RESPONSE] = ai_str("response");

    return redis_command(job->w->redis, cb, data, 5, argv);
}


int
parked_item(ai_resp_t *reply, size_t i, ai_str_t *text)
{
    const ai_resp_t  *item;

    item = redis_item(reply, i);

    if (item == NULL || item->type != AI_RESP_STRING) {
        return 0;
    }

    *text = redis_str(item);

    return 1;
}


/* Who moves it to Postgres sees that it was dropped, and takes it back. */

int
parked_drop(job_t *job, const char *id, redis_reply_pt cb, void *data)
{
    int        i;
    char       key[AI_KEY_MAX], all[AI_KEY_MAX], hex[AI_SHA256_HEX];
    ai_str_t   argv[2 + PARKED_PARAMS - 1];
    redis_t   *rc;

    if (parked_hex(job->spec.tenant, id, hex) != 0) {
        return -1;
    }

    rc = job->w->redis;
    argv[0] = ai_str("HSET");
    argv[1] = parked_key(key, AI_KEY_PARK, job->shard, hex);
    argv[2] = ai_str(PARKED_GONE);
    argv[3] = ai_str("1");

    if (redis_command(rc, NULL, NULL, 4, argv) != 0) {
        return -1;
    }

    argv[0] = ai_str("PEXPIRE");
    argv[2] = ai_str(PARKED_MSEC);
    (void) redis_command(rc, NULL, NULL, 3, argv);

    argv[0] = ai_str("HDEL");

    for (i = 0; i < PARKED_PARAMS - 1; i++) {
        argv[2 + i] = (ai_str_t) { strlen(parked_fields[i]),
                                   parked_fields[i] };
    }

    (void) redis_command(rc, NULL, NULL, 2 + PARKED_PARAMS - 1, argv);

    argv[1] = parked_key(all, AI_KEY_PARKED, job->shard, NULL);
    argv[2] = (ai_str_t) { sizeof(hex), hex };

    return redis_command(rc, cb, data, 3, argv);
}


int
parked_wait(parked_t *p, void (*cb)(void *data), void *data)
{
    parked_wait_t  *wait;

    wait = p->n != 0 && !p->closing ? malloc(sizeof(*wait)) : NULL;

    if (wait == NULL) {
        return 0;
    }

    wait->cb = cb;
    wait->data = data;
    wait->next = p->waits;
    p->waits = wait;

    return 1;
}


static void
parked_tell(parked_t *p)
{
    parked_wait_t  *wait, *next;

    wait = p->waits;
    p->waits = NULL;

    for ( /* void */ ; wait != NULL; wait = next) {
        next = wait->next;
        wait->cb(wait->data);
        free(wait);
    }
}


/* A look: shard by shard, what waits goes to Postgres, one after the other. */

static void
parked_on_timer(uv_timer_t *timer)
{
    parked_t  *p;

    p = timer->data;

    if (p->busy || p->w->shards == 0 || !stores_any(p->stores)) {
        return;
    }

    p->busy = 1;
    p->shard = 0;
    p->count = 0;
    p->sum = 0;
    parked_list(p);
}


static void
parked_list(parked_t *p)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[2];

    argv[0] = ai_str("HGETALL");
    argv[1] = parked_key(key, AI_KEY_PARKED, p->shard, NULL);

    if (p->closing
        || redis_command(p->w->redis, parked_on_list, p, 2, argv) != 0)
    {
        parked_failed(p);
    }
}


/* Nothing is known of what waits; who waits for a look has had one. */

static void
parked_failed(parked_t *p)
{
    p->busy = 0;
    parked_tell(p);
}


static void
parked_on_list(redis_t *rc, ai_resp_t *reply, void *data)
{
    char        key[AI_KEY_MAX];
    size_t      i;
    unsigned    n, skip;
    ai_str_t    name, argv[6];
    parked_t   *p;

    (void) rc;

    p = data;

    if (reply == NULL || reply->type == AI_RESP_ERROR || p->closing) {
        parked_failed(p);
        return;
    }

    p->nnames = 0;
    p->at = 0;
    n = 0;

    for (i = 0; parked_item(reply, i, &name); i += 2) {
        n++;
        p->sum += (size_t) strtoul(redis_str(redis_item(reply, i + 1)).data,
                                   NULL, 10);
    }

    /* Begins behind what failed. */

    skip = n != 0 ? p->failed % n : 0;

    for (i = 0; i < n && p->nnames < PARKED_ROUND; i++) {
        name = redis_str(redis_item(reply, 2 * ((i + skip) % n)));

        if (name.len == AI_SHA256_HEX) {
            memcpy(p->names[p->nnames++], name.data, AI_SHA256_HEX);
        }
    }

    p->count += n;

    argv[0] = ai_str("SET");
    argv[1] = parked_key(key, AI_KEY_PARKING, p->shard, NULL);
    argv[2] = (ai_str_t) { strlen(p->w->id), p->w->id };
    argv[3] = ai_str("NX");
    argv[4] = ai_str("PX");
    argv[5] = ai_str(PARKED_LEASE_MSEC);

    if (p->nnames == 0 || !stores_ready(p->stores)
        || redis_command(p->w->redis, parked_on_lease, p, 6, argv) != 0)
    {
        parked_done(p);
    }
}


static void
parked_on_lease(redis_t *rc, ai_resp_t *reply, void *data)
{
    parked_t  *p;

    (void) rc;

    p = data;

    if (reply == NULL || reply->type != AI_RESP_STATUS) {
        parked_done(p);
        return;
    }

    p->lease_msec = uv_now(&p->w->loop.uv);
    parked_next(p);
}


static void
parked_next(parked_t *p)
{
    int       i;
    char      key[AI_KEY_MAX];
    ai_str_t  argv[2 + PARKED_PARAMS - 1];

    parked_clear(p);

    argv[0] = ai_str("HMGET");

    for (i = 0; i < PARKED_PARAMS - 1; i++) {
        argv[2 + i] = (ai_str_t) { strlen(parked_fields[i]),
                                   parked_fields[i] };
    }

    if (p->at < p->nnames && !p->closing
        && uv_now(&p->w->loop.uv) - p->lease_msec < PARKED_WORK_MSEC)
    {
        argv[1] = parked_key(key, AI_KEY_PARK, p->shard, p->names[p->at]);

        if (redis_command(p->w->redis, parked_on_read, p,
                          2 + PARKED_PARAMS - 1, argv)
            == 0)
        {
            return;
        }
    }

    parked_release(p);
}


static void
parked_on_read(redis_t *rc, ai_resp_t *reply, void *data)
{
    int        i;
    char       days[16];
    ai_str_t   text;
    parked_t  *p;

    (void) rc;

    p = data;

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        parked_release(p);
        return;
    }

    for (i = 0; i < PARKED_PARAMS - 1; i++) {

        if (!parked_item(reply, (size_t) i, &text)) {

            /* It has expired, or was deleted just now. */

            if (parked_remove(p, NULL) != 0) {
                parked_release(p);
                return;
            }

            p->at++;
            parked_next(p);
            return;
        }

        /* previous and conversation may be none. */

        if (text.len != 0 || (i != 3 && i != 4)) {
            p->params[i] = strndup(text.data, text.len);

            if (p->params[i] == NULL) {
                parked_release(p);
                return;
            }
        }
    }

    snprintf(days, sizeof(days), "%d", STORED_DAYS);
    p->params[PARKED_PARAMS - 1] = strdup(days);

    if (p->params[PARKED_PARAMS - 1] == NULL
        || stores_query(p->stores, parked_on_put, p, PARKED_PUT,
                        PARKED_PARAMS, (const char *const *) p->params)
           != 0)
    {
        parked_release(p);
    }
}


static void
parked_on_put(db_t *db, const PGresult *res, void *data)
{
    parked_t  *p;

    (void) db;

    p = data;

    if (parked_worth(res)) {
        p->failed++;
        parked_release(p);
        return;
    }

    p->failed = 0;

    if (PQresultStatus(res) != PGRES_TUPLES_OK) {
        log_job(LOG_WARN, "stored", (ai_str_t) { strlen(p->params[0]),
                                                 p->params[0] },
                (ai_str_t) { strlen(p->params[2]), p->params[2] },
                "the response is not stored: %s", PQresultErrorMessage(res));
    }

    if (parked_remove(p, parked_on_removed) != 0) {
        parked_release(p);
    }
}


static int
parked_remove(parked_t *p, redis_reply_pt cb)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[3];

    argv[0] = ai_str("HDEL");
    argv[1] = parked_key(key, AI_KEY_PARKED, p->shard, NULL);
    argv[2] = (ai_str_t) { AI_SHA256_HEX, p->names[p->at] };

    return redis_command(p->w->redis, cb, p, 3, argv);
}


static void
parked_on_removed(redis_t *rc, ai_resp_t *reply, void *data)
{
    char       key[AI_KEY_MAX];
    int64_t    n;
    ai_str_t   argv[3];
    parked_t  *p;

    p = data;

    if (reply == NULL || redis_int(reply, &n) != 0) {
        parked_release(p);
        return;
    }

    argv[1] = parked_key(key, AI_KEY_PARK, p->shard, p->names[p->at]);

    /* Dropped meanwhile; or moved by another, while this one slept. */

    if (n == 0) {
        argv[0] = ai_str("HGET");
        argv[2] = ai_str(PARKED_GONE);

        if (redis_command(rc, parked_on_gone, p, 3, argv) != 0) {
            parked_release(p);
        }

        return;
    }

    argv[0] = ai_str("UNLINK");
    (void) redis_command(rc, NULL, NULL, 2, argv);

    p->count--;
    p->at++;
    p->more |= p->at == PARKED_ROUND;
    parked_next(p);
}


static void
parked_on_gone(redis_t *rc, ai_resp_t *reply, void *data)
{
    parked_t    *p;
    const char  *params[3];

    (void) rc;

    p = data;

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        parked_release(p);
        return;
    }

    if (reply->type != AI_RESP_STRING) {
        p->at++;
        parked_next(p);
        return;
    }

    params[0] = p->params[0];
    params[1] = "";
    params[2] = p->params[2];

    if (stores_query(p->stores, parked_on_dropped, p,
                     "SELECT ngxai.response_drop($1, $2, $3)", 3, params)
        != 0)
    {
        parked_release(p);
    }
}


static void
parked_on_dropped(db_t *db, const PGresult *res, void *data)
{
    parked_t  *p;

    (void) db;
    (void) res;

    p = data;
    p->at++;
    parked_next(p);
}


static void
parked_release(parked_t *p)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[2];

    argv[0] = ai_str("DEL");
    argv[1] = parked_key(key, AI_KEY_PARKING, p->shard, NULL);
    (void) redis_command(p->w->redis, NULL, NULL, 2, argv);
    parked_done(p);
}


/* With a shard; with all of them. */

static void
parked_done(parked_t *p)
{
    parked_clear(p);

    if (++p->shard < p->w->shards && !p->closing) {
        parked_list(p);
        return;
    }

    p->n = p->count;
    p->bytes = p->sum;
    p->busy = 0;

    if (p->more && !p->closing) {
        p->more = 0;
        uv_timer_start(&p->timer, parked_on_timer, 1, PARKED_EVERY_MSEC);
    }

    parked_tell(p);
}


static void
parked_clear(parked_t *p)
{
    int  i;

    for (i = 0; i < PARKED_PARAMS; i++) {
        free(p->params[i]);
        p->params[i] = NULL;
    }
}
