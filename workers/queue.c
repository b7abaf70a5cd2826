/*
 * The reading end of ai1:lookup.  Owns its connection.
 *
 * After each connect it first reads what was delivered to this worker before
 * (a reply may have been lost), then what is new.
 */

#include "queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"
#include "lookup.h"
#include "seed.h"


#define QUEUE_RECOVER_COUNT  100
#define QUEUE_RETRY_MSEC     200


struct queue_s {
    worker_t    *w;
    redis_t     *redis;
    uv_timer_t   timer;
    char         recover_id[AI_EVENT_ID_MAX + 1];   /* empty: it is over */
    unsigned     started:1;
    unsigned     stopped:1;
    unsigned     busy:1;
};


static void queue_on_ready(redis_t *rc, int restarted, void *data);
static void queue_begin(queue_t *q);
static void queue_read(queue_t *q);
static void queue_on_reply(redis_t *rc, ai_resp_t *reply, void *data);
static void queue_recovered(queue_t *q, const ai_resp_t *reply);
static size_t queue_entries(queue_t *q, const ai_resp_t *entries,
    ai_str_t *last);
static void queue_entry(queue_t *q, const ai_resp_t *entry);
static void queue_group(queue_t *q);
static void queue_again(queue_t *q, unsigned msec);
static void queue_on_timer(uv_timer_t *timer);
static void queue_on_closed(uv_handle_t *handle);


static const redis_events_t  queue_events = {
    queue_on_ready, NULL, NULL, NULL
};


queue_t *
queue_open(worker_t *w)
{
    queue_t  *q;

    q = calloc(1, sizeof(*q));
    if (q == NULL) {
        return NULL;
    }

    q->w = w;
    q->redis = redis_open(&w->loop, &w->opt->redis, "queue", &queue_events, q);

    if (q->redis == NULL) {
        free(q);
        return NULL;
    }

    uv_timer_init(&w->loop.uv, &q->timer);
    q->timer.data = q;

    return q;
}


void
queue_close(queue_t *q)
{
    q->stopped = 1;
    redis_close(q->redis);
    uv_close((uv_handle_t *) &q->timer, queue_on_closed);
}


static void
queue_on_closed(uv_handle_t *handle)
{
    free(handle->data);
}


void
queue_start(queue_t *q)
{
    q->started = 1;
    queue_begin(q);
}


void
queue_stop(queue_t *q)
{
    q->stopped = 1;
}


int
queue_idle(const queue_t *q)
{
    return !q->busy;
}


static void
queue_on_ready(redis_t *rc, int restarted, void *data)
{
    queue_t  *q;

    (void) rc;
    (void) restarted;

    q = data;
    memcpy(q->recover_id, "0", sizeof("0"));
    queue_begin(q);
}


static void
queue_begin(queue_t *q)
{
    if (q->started && !q->busy && redis_ready(q->redis)) {
        queue_group(q);
        queue_read(q);
    }
}


static void
queue_read(queue_t *q)
{
    char      count[16], block[16];
    int       recovering;
    ai_str_t  argv[11];
    unsigned  n;

    if (!q->started || q->stopped || q->busy || !redis_ready(q->redis)) {
        return;
    }

    recovering = q->recover_id[0] != '\0';
    snprintf(count, sizeof(count), "%d",
             recovering ? QUEUE_RECOVER_COUNT : QUEUE_COUNT_MAX);

    n = 0;
    argv[n++] = ai_str("XREADGROUP");
    argv[n++] = ai_str("GROUP");
    argv[n++] = ai_str(AI_GROUP_WORKERS);
    argv[n++] = (ai_str_t) { strlen(q->w->id), q->w->id };
    argv[n++] = ai_str("COUNT");
    argv[n++] = (ai_str_t) { strlen(count), count };

    if (!recovering) {
        snprintf(block, sizeof(block), "%d", QUEUE_BLOCK_MSEC);
        argv[n++] = ai_str("BLOCK");
        argv[n++] = (ai_str_t) { strlen(block), block };
    }

    argv[n++] = ai_str("STREAMS");
    argv[n++] = ai_str(AI_LOOKUP_KEY);
    argv[n++] = recovering ? (ai_str_t) { strlen(q->recover_id),
                                          q->recover_id }
                           : ai_str(">");

    if (redis_command_wait(q->redis, QUEUE_BLOCK_MSEC, queue_on_reply, q, n,
                           argv)
        == 0)
    {
        q->busy = 1;

    } else {
        queue_again(q, QUEUE_RETRY_MSEC);
    }
}


static void
queue_on_reply(redis_t *rc, ai_resp_t *reply, void *data)
{
    queue_t             *q;
    ai_str_t             last;
    const ai_resp_t     *entries;
    static log_again_t   again;

    (void) rc;

    q = data;
    q->busy = 0;

    if (reply == NULL) {
        return;
    }

    if (reply->type == AI_RESP_ERROR) {

        if (strncmp(reply->str, "NOGROUP", 7) == 0) {
            queue_group(q);

        } else {
            log_again(&again, LOG_ERROR, "queue", "%.*s", (int) reply->len,
                      reply->str);
        }

        queue_again(q, QUEUE_RETRY_MSEC);
        return;
    }

    /* [[key, [[id, [name, value, ...]], ...]]] */

    entries = redis_item(redis_item(reply, 0), 1);

    if (q->recover_id[0] != '\0') {
        queue_recovered(q, entries);

    } else {
        queue_entries(q, entries, &last);
    }

    queue_read(q);
}


/* One page of what was delivered before; the last is not full. */

static void
queue_recovered(queue_t *q, const ai_resp_t *entries)
{
    ai_str_t  last;

    if (queue_entries(q, entries, &last) == QUEUE_RECOVER_COUNT
        && last.len < sizeof(q->recover_id))
    {
        memcpy(q->recover_id, last.data, last.len);
        q->recover_id[last.len] = '\0';
        return;
    }

    q->recover_id[0] = '\0';
}


static size_t
queue_entries(queue_t *q, const ai_resp_t *entries, ai_str_t *last)
{
    size_t  i;

    *last = ai_str("");

    if (entries == NULL || entries->type != AI_RESP_ARRAY) {
        return 0;
    }

    for (i = 0; i < entries->elements; i++) {
        *last = redis_str(redis_item(&entries->element[i], 0));
        queue_entry(q, &entries->element[i]);
    }

    return entries->elements;
}


static void
queue_entry(queue_t *q, const ai_resp_t *entry)
{
    size_t             i;
    ai_str_t           id, name, value, k, e, c, s;
    const ai_resp_t  *fields;

    id = redis_str(redis_item(entry, 0));
    fields = redis_item(entry, 1);
    k = e = s = ai_str("");
    c = ai_str("1");

    if (fields == NULL || fields->type != AI_RESP_ARRAY) {
        return;
    }

    for (i = 0; i + 1 < fields->elements; i += 2) {
        name = redis_str(&fields->element[i]);
        value = redis_str(&fields->element[i + 1]);

        if (ai_str_eqz(name, "k") && ai_sha256_hex_ok(value)) {
            k = value;

        } else if (ai_str_eqz(name, "t") && ai_keys_tenant_ok(value)) {
            k = value;

        } else if (ai_str_eqz(name, "c")) {
            c = value;

        } else if (ai_str_eqz(name, "e")) {
            e = value;

        } else if (ai_str_eqz(name, "s")) {
            s = value;
        }
    }

    if (s.len != 0 && q->w->seeds != NULL) {
        seeds_entry(q->w->seeds, id, s, e);
        return;
    }

    if (q->w->lookup != NULL) {
        lookup_entry(q->w->lookup, id, k, e, ai_str_eqz(c, "1"));
    }
}


/* A fresh Redis, or one that lost its data. */

static void
queue_group(queue_t *q)
{
    redis_commandf(q->redis, NULL, NULL, "XGROUP CREATE %s %s 0 MKSTREAM",
                   AI_LOOKUP_KEY, AI_GROUP_WORKERS);
}


static void
queue_again(queue_t *q, unsigned msec)
{
    uv_timer_start(&q->timer, queue_on_timer, msec, 0);
}


static void
queue_on_timer(uv_timer_t *timer)
{
    queue_read(timer->data);
}
