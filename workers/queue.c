/*
 * The reading end of the dispatch streams.  Owns its connection.
 *
 * After each connect it first reads what was delivered to this worker before
 * (a reply may have been lost), stream by stream, then what is new.
 */

#include "queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "lookup.h"


#define QUEUE_STREAMS_MAX    (2 * WORKER_SHARDS_MAX + 1)
#define QUEUE_RECOVER_COUNT  100
#define QUEUE_RETRY_MSEC     200


/* The streams: jobs of each shard, batch of each shard, look-ups. */
struct queue_s {
    worker_t    *w;
    redis_t     *redis;
    uv_timer_t   timer;
    unsigned     recover;       /* stream that is recovered next */
    char         recover_id[AI_EVENT_ID_MAX + 1];
    unsigned     started:1;
    unsigned     stopped:1;
    unsigned     busy:1;
    unsigned     again:1;       /* recover once more */
};


static void queue_on_ready(redis_t *rc, int restarted, void *data);
static void queue_restart(queue_t *q);
static void queue_begin(queue_t *q);
static void queue_read(queue_t *q);
static size_t queue_key(queue_t *q, unsigned stream, char *buf, size_t size);
static unsigned queue_streams(const queue_t *q);
static void queue_on_reply(redis_t *rc, ai_resp_t *reply, void *data);
static void queue_recovered(queue_t *q, const ai_resp_t *reply);
static unsigned queue_stream(queue_t *q, const ai_resp_t *stream,
    ai_str_t *last);
static void queue_entry(queue_t *q, unsigned stream, const ai_resp_t *entry);
static void queue_group(queue_t *q);
static void queue_retry(queue_t *q, unsigned msec);
static void queue_on_timer(uv_timer_t *timer);
static void queue_on_closed(uv_handle_t *handle);


static const redis_events_t  queue_events = { queue_on_ready, NULL, NULL };


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


void
queue_again(queue_t *q)
{
    q->again = 1;
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
    queue_restart(q);
    queue_begin(q);
}


static void
queue_restart(queue_t *q)
{
    q->recover = 0;
    memcpy(q->recover_id, "0", sizeof("0"));
}


static void
queue_begin(queue_t *q)
{
    if (q->started && !q->busy && redis_ready(q->redis)) {
        queue_group(q);
        queue_read(q);
    }
}


static unsigned
queue_streams(const queue_t *q)
{
    return 2 * q->w->shards + 1;
}


static size_t
queue_key(queue_t *q, unsigned stream, char *buf, size_t size)
{
    unsigned  shards;

    shards = q->w->shards;

    if (stream == 2 * shards) {
        return (size_t) snprintf(buf, size, "%s", AI_LOOKUP_KEY);
    }

    return ai_keys_make(buf, size,
                        stream < shards ? AI_KEY_JOBS : AI_KEY_JOBS_BATCH,
                        stream < shards ? stream : stream - shards,
                        ai_str(""));
}


static void
queue_read(queue_t *q)
{
    char      keys[QUEUE_STREAMS_MAX][AI_KEY_MAX], count[16], block[16];
    int       recovering;
    ai_str_t  argv[16 + 2 * QUEUE_STREAMS_MAX];
    unsigned  i, n, first, last, streams, used, limit;

    if (!q->started || q->stopped || q->busy || !redis_ready(q->redis)
        || q->w->shards == 0)
    {
        return;
    }

    streams = queue_streams(q);
    recovering = q->recover < streams;
    used = jobs_count(q->w->jobs);

    first = 0;
    last = streams;
    limit = QUEUE_BLOCK_MSEC;
    n = 0;

    if (recovering) {
        first = q->recover;
        last = first + 1;
        snprintf(count, sizeof(count), "%d", QUEUE_RECOVER_COUNT);

    } else if (used >= q->w->opt->jobs) {
        first = streams - 1;
        limit = QUEUE_FULL_MSEC;
        snprintf(count, sizeof(count), "%d", QUEUE_COUNT_MAX);

    } else {
        used = (q->w->opt->jobs - used + 1) / 2;
        snprintf(count, sizeof(count), "%u",
                 used < QUEUE_COUNT_MAX ? used : QUEUE_COUNT_MAX);
    }

    argv[n++] = ai_str("XREADGROUP");
    argv[n++] = ai_str("GROUP");
    argv[n++] = ai_str(AI_GROUP_WORKERS);
    argv[n++] = (ai_str_t) { strlen(q->w->id), q->w->id };
    argv[n++] = ai_str("COUNT");
    argv[n++] = (ai_str_t) { strlen(count), count };

    if (!recovering) {
        snprintf(block, sizeof(block), "%u", limit);
        argv[n++] = ai_str("BLOCK");
        argv[n++] = (ai_str_t) { strlen(block), block };
    }

    argv[n++] = ai_str("STREAMS");

    for (i = first; i < last; i++) {
        argv[n].data = keys[i];
        argv[n++].len = queue_key(q, i, keys[i], sizeof(keys[i]));
    }

    for (i = first; i < last; i++) {
        argv[n++] = recovering ? (ai_str_t) { strlen(q->recover_id),
                                              q->recover_id }
                               : ai_str(">");
    }

    if (redis_command_wait(q->redis, limit, queue_on_reply, q, n, argv) == 0) {
        q->busy = 1;

    } else {
        queue_retry(q, QUEUE_RETRY_MSEC);
    }
}


static void
queue_on_reply(redis_t *rc, ai_resp_t *reply, void *data)
{
    size_t    i;
    queue_t  *q;
    ai_str_t  last;

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
            log_write(LOG_ERROR, "queue", "%.*s", (int) reply->len,
                      reply->str);
        }

        queue_retry(q, QUEUE_RETRY_MSEC);
        return;
    }

    if (q->recover < queue_streams(q)) {
        queue_recovered(q, redis_item(reply, 0));

    } else if (reply->type == AI_RESP_ARRAY) {
        for (i = 0; i < reply->elements; i++) {
            queue_stream(q, &reply->element[i], &last);
        }
    }

    if (q->again) {
        q->again = 0;
        queue_restart(q);
        queue_retry(q, QUEUE_RETRY_MSEC);
        return;
    }

    queue_read(q);
}


/* One page of what was delivered before; an empty one ends a stream. */

static void
queue_recovered(queue_t *q, const ai_resp_t *reply)
{
    ai_str_t  last;

    if (queue_stream(q, reply, &last) == QUEUE_RECOVER_COUNT
        && last.len < sizeof(q->recover_id))
    {
        memcpy(q->recover_id, last.data, last.len);
        q->recover_id[last.len] = '\0';
        return;
    }

    q->recover++;
    memcpy(q->recover_id, "0", sizeof("0"));
}


/* [key, [[id, [name, value, ...]], ...]]: its entries; returns their count. */

static unsigned
queue_stream(queue_t *q, const ai_resp_t *stream, ai_str_t *last)
{
    char               key[AI_KEY_MAX];
    size_t             i, len;
    unsigned           n;
    ai_str_t           name;
    const ai_resp_t   *entries;

    name = redis_str(redis_item(stream, 0));
    entries = redis_item(stream, 1);
    *last = ai_str("");

    for (n = 0; n < queue_streams(q); n++) {
        len = queue_key(q, n, key, sizeof(key));

        if (ai_str_eq(name, (ai_str_t) { len, key })) {
            break;
        }
    }

    if (n == queue_streams(q) || entries == NULL
        || entries->type != AI_RESP_ARRAY)
    {
        return 0;
    }

    for (i = 0; i < entries->elements; i++) {
        *last = redis_str(redis_item(&entries->element[i], 0));
        queue_entry(q, n, &entries->element[i]);
    }

    return (unsigned) entries->elements;
}


static void
queue_entry(queue_t *q, unsigned stream, const ai_resp_t *entry)
{
    size_t             i;
    ai_str_t           id, name, value, k, e, j;
    unsigned           shards;
    const ai_resp_t   *fields;

    shards = q->w->shards;
    id = redis_str(redis_item(entry, 0));
    fields = redis_item(entry, 1);
    k = e = j = ai_str("");

    if (fields == NULL || fields->type != AI_RESP_ARRAY) {
        return;
    }

    for (i = 0; i + 1 < fields->elements; i += 2) {
        name = redis_str(&fields->element[i]);
        value = redis_str(&fields->element[i + 1]);

        if (ai_str_eqz(name, "j")) {
            j = value;

        } else if (ai_str_eqz(name, "k")) {
            k = value;

        } else if (ai_str_eqz(name, "e")) {
            e = value;
        }
    }

    if (stream == 2 * shards) {
        if (q->w->lookup != NULL) {
            lookup_entry(q->w->lookup, id, k, e);
        }

        return;
    }

    jobs_take(q->w->jobs, stream % shards, stream >= shards, id, j);
}


/* A fresh Redis, or one that lost its data. */

static void
queue_group(queue_t *q)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[6];
    unsigned  i;

    argv[0] = ai_str("XGROUP");
    argv[1] = ai_str("CREATE");
    argv[2].data = key;
    argv[3] = ai_str(AI_GROUP_WORKERS);
    argv[4] = ai_str("0");
    argv[5] = ai_str("MKSTREAM");

    for (i = 0; i < queue_streams(q); i++) {
        argv[2].len = queue_key(q, i, key, sizeof(key));
        redis_command(q->redis, NULL, NULL, 6, argv);
    }
}


static void
queue_retry(queue_t *q, unsigned msec)
{
    uv_timer_start(&q->timer, queue_on_timer, msec, 0);
}


static void
queue_on_timer(uv_timer_t *timer)
{
    queue_read(timer->data);
}
