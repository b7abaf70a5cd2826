/*
 * The ledger writer.  Owns its connection to Postgres, a timer, and of each
 * shard the batch at hand; talks to Redis.
 */

#include "ledger_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define LEDGER_ACK_IDS    200           /* a command; REDIS_ARGS_MAX is near */


static void ledger_on_db_ready(void *data);
static void ledger_on_timer(uv_timer_t *handle);
static void ledger_on_timer_closed(uv_handle_t *handle);
static void ledger_release(ledger_t *l);
static void ledger_step(ledger_shard_t *s);
static void ledger_create(ledger_shard_t *s);
static void ledger_on_create(redis_t *rc, ai_resp_t *reply, void *data);
static void ledger_read(ledger_shard_t *s);
static int ledger_inherit(ledger_shard_t *s);
static void ledger_on_read(redis_t *rc, ai_resp_t *reply, void *data);
static ai_resp_t *ledger_entries(ledger_shard_t *s, ai_resp_t *reply);
static int ledger_take(ledger_shard_t *s, ai_resp_t *reply);
static void ledger_on_told(redis_t *rc, ai_resp_t *reply, void *data);
static void ledger_done(ledger_shard_t *s);


ledger_t *
ledger_open(worker_t *w)
{
    ledger_t  *l;

    l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return NULL;
    }

    l->w = w;
    l->db = db_open(&w->loop, w->opt->ledger_postgres, "ledger",
                    ledger_on_db_ready, l);

    if (l->db == NULL) {
        free(l);
        return NULL;
    }

    uv_timer_init(&w->loop.uv, &l->timer);
    l->timer.data = l;
    l->refs = 1;
    uv_timer_start(&l->timer, ledger_on_timer, LEDGER_EVERY_MSEC,
                   LEDGER_EVERY_MSEC);

    return l;
}


void
ledger_ready(ledger_t *l, unsigned shards)
{
    unsigned                i;
    ledger_shard_t         *s;
    static const ai_str_t   none = { 0, "" };

    if (shards > WORKER_SHARDS_MAX) {
        shards = WORKER_SHARDS_MAX;
    }

    for (i = 0; i < shards; i++) {
        s = &l->shards[i];

        if (s->ledger == NULL) {
            s->ledger = l;
            (void) ai_keys_make(s->outbox, sizeof(s->outbox), AI_KEY_OUTBOX,
                                i, none);
        }

        /* Another server may not know the group. */
        if (s->state == LEDGER_IDLE) {
            s->state = LEDGER_OFF;
        }

        ledger_step(s);
    }

    if (shards > l->nshards) {
        l->nshards = shards;
    }
}


void
ledger_drain(ledger_t *l)
{
    l->draining = 1;
}


int
ledger_idle(const ledger_t *l)
{
    unsigned               i;
    const ledger_shard_t  *s;

    for (i = 0; i < l->nshards; i++) {
        s = &l->shards[i];

        switch (s->state) {

        case LEDGER_OFF:
        case LEDGER_CREATING:
            break;

        case LEDGER_IDLE:
            if (l->draining && !s->drained && db_ready(l->db)
                && redis_ready(l->w->redis))
            {
                return 0;
            }

            break;

        case LEDGER_HOLDING:
            if (db_ready(l->db) && s->backoff_msec == 0) {
                return 0;
            }

            break;

        case LEDGER_WRITTEN:
            if (redis_ready(l->w->redis)) {
                return 0;
            }

            break;

        default:
            return 0;
        }
    }

    return 1;
}


void
ledger_close(ledger_t *l)
{
    l->closing = 1;
    db_close(l->db);
    uv_close((uv_handle_t *) &l->timer, ledger_on_timer_closed);
}


static void
ledger_on_timer_closed(uv_handle_t *handle)
{
    ledger_release(handle->data);
}


static void
ledger_release(ledger_t *l)
{
    unsigned  i;

    if (--l->refs > 0) {
        return;
    }

    for (i = 0; i < l->nshards; i++) {
        free(l->shards[i].rows);

        if (l->shards[i].reply) {
            free(l->shards[i].reply);
        }
    }

    free(l);
}


static void
ledger_on_db_ready(void *data)
{
    unsigned   i;
    ledger_t  *l;

    l = data;

    for (i = 0; i < l->nshards; i++) {
        ledger_step(&l->shards[i]);
    }
}


static void
ledger_on_timer(uv_timer_t *handle)
{
    unsigned   i;
    ledger_t  *l;

    l = handle->data;

    for (i = 0; i < l->nshards; i++) {
        ledger_step(&l->shards[i]);
    }
}


/* Does what the state waits for, if it can be done now. */

static void
ledger_step(ledger_shard_t *s)
{
    ledger_t  *l;

    l = s->ledger;

    if (l->closing) {
        return;
    }

    switch (s->state) {

    case LEDGER_OFF:
        ledger_create(s);
        break;

    case LEDGER_IDLE:
        /* What cannot be written is not taken: it lies well where it is. */
        if (!s->drained && db_ready(l->db)) {
            ledger_read(s);
        }

        break;

    case LEDGER_HOLDING:
        if (db_ready(l->db) && uv_now(&l->w->loop.uv) >= s->retry_msec) {
            ledger_write(s);
        }

        break;

    case LEDGER_WRITTEN:
        ledger_tell(s);
        break;

    default:
        break;
    }
}


static void
ledger_create(ledger_shard_t *s)
{
    if (redis_commandf(s->ledger->w->redis, ledger_on_create, s,
                       "XGROUP CREATE %s %s 0 MKSTREAM", s->outbox,
                       AI_GROUP_LEDGER)
        == 0)
    {
        s->state = LEDGER_CREATING;
        s->ledger->refs++;
    }
}


static void
ledger_on_create(redis_t *rc, ai_resp_t *reply, void *data)
{
    ledger_shard_t      *s;
    static log_again_t   again;

    (void) rc;

    s = data;
    s->state = LEDGER_OFF;

    if (reply && (reply->type != AI_RESP_ERROR
                  || strncmp(reply->str, "BUSYGROUP", 9) == 0))
    {
        s->state = LEDGER_IDLE;

    } else if (reply) {
        log_again(&again, LOG_ERROR, "ledger", "%s: %s", s->outbox,
                  reply->str);
    }

    ledger_release(s->ledger);
}


static void
ledger_read(ledger_shard_t *s)
{
    int        rc;
    uint64_t   now;
    worker_t  *w;

    w = s->ledger->w;
    now = uv_now(&w->loop.uv);

    s->claiming = now >= s->claim_msec && !s->ledger->draining;
    s->last = s->ledger->draining;

    if (s->claiming) {
        rc = ledger_inherit(s);

    } else {
        rc = redis_commandf(w->redis, ledger_on_read, s,
                            "XREADGROUP GROUP %s %s COUNT %d STREAMS %s >",
                            AI_GROUP_LEDGER, w->id, (int64_t) LEDGER_BATCH,
                            s->outbox);
    }

    if (rc == 0) {
        s->state = LEDGER_READING;
        s->ledger->refs++;
    }
}


/* What dead readers held, or this one was given in a reply that it lost. */

static int
ledger_inherit(ledger_shard_t *s)
{
    char       count[16];
    worker_t  *w;
    ai_str_t   argv[2];

    w = s->ledger->w;
    argv[0] = (ai_str_t) { strlen(w->id), w->id };
    argv[1].data = count;
    argv[1].len = (size_t) snprintf(count, sizeof(count), "%d", LEDGER_BATCH);

    return redis_script(w->redis, AI_SCRIPT_INHERIT,
                        worker_prefix((unsigned) (s - s->ledger->shards)),
                        ledger_on_read, s, 2, argv);
}


static void
ledger_on_read(redis_t *rc, ai_resp_t *reply, void *data)
{
    ledger_shard_t      *s;
    static log_again_t   again;

    s = data;
    s->state = LEDGER_IDLE;

    if (s->ledger->closing || reply == NULL) {
        ledger_release(s->ledger);
        return;
    }

    if (reply->type == AI_RESP_ERROR || redis_word(reply, "NOGROUP")) {
        s->state = LEDGER_OFF;

        if (reply->type == AI_RESP_ERROR
            && strncmp(reply->str, "NOGROUP", 7) != 0)
        {
            log_again(&again, LOG_ERROR, "ledger", "%s: %s", s->outbox,
                      reply->str);
        }

        ledger_release(s->ledger);
        return;
    }

    s->entries = ledger_entries(s, reply);
    s->full = s->entries && s->entries->elements == LEDGER_BATCH;
    s->drained = s->last && !s->full;

    /* A full claim may have left some more. */
    if (s->claiming && !s->full) {
        s->claim_msec = uv_now(&s->ledger->w->loop.uv) + LEDGER_CLAIM_MSEC;
    }

    if (s->entries == NULL) {
        if (s->claiming) {
            ledger_step(s);
        }

    } else if (ledger_take(s, redis_take(rc)) == 0) {
        ledger_write(s);
    }

    ledger_release(s->ledger);
}


/* The array of entries of a reply, NULL where there are none. */

static ai_resp_t *
ledger_entries(ledger_shard_t *s, ai_resp_t *reply)
{
    ai_resp_t   *stream;

    if (reply->type != AI_RESP_ARRAY || reply->elements == 0) {
        return NULL;
    }

    if (s->claiming) {
        stream = reply;

    } else {
        stream = &reply->element[0];
    }

    if (stream->type != AI_RESP_ARRAY || stream->elements < 2
        || stream->element[1].type != AI_RESP_ARRAY
        || stream->element[1].elements == 0)
    {
        return NULL;
    }

    return &stream->element[1];
}


/* Makes the batch at hand of them: 0, or -1 where nothing is to be done. */

static int
ledger_take(ledger_shard_t *s, ai_resp_t *reply)
{
    size_t        i, n;
    unsigned      k;
    ai_resp_t    *e, swap;

    n = s->entries->elements;
    s->entries = NULL;
    s->rows = calloc(n, sizeof(ledger_row_t));

    if (reply == NULL || s->rows == NULL) {
        log_write(LOG_ERROR, "ledger", "no memory for %zu rows", n);
        free(s->rows);
        s->rows = NULL;
        free(reply);
        return -1;
    }

    s->entries = ledger_entries(s, reply);
    e = s->entries->element;

    /* Entries stay at the place of their rows: element k is row k. */
    for (i = 0, k = 0; i < n; i++) {
        if (ledger_row_parse(&s->rows[k], &e[i]) == 0) {
            swap = e[k];
            e[k] = e[i];
            e[i] = swap;
            k++;
        }
    }

    if (k == 0) {
        free(s->rows);
        s->rows = NULL;
        s->entries = NULL;
        free(reply);
        return -1;
    }

    s->reply = reply;
    s->nrows = k;
    s->pos = 0;
    s->len = k;
    s->backoff_msec = 0;

    return 0;
}


/*
 * Entries go before they are acknowledged: one that is only acknowledged
 * would stay in the stream, and nobody would read it again.
 */

void
ledger_tell(ledger_shard_t *s)
{
    unsigned   i, n, argc, pass;
    redis_t   *rc;
    ai_str_t   argv[LEDGER_ACK_IDS + 3];

    rc = s->ledger->w->redis;
    s->failed = 0;
    s->tells = 0;

    for (pass = 0; pass < 2; pass++) {
        for (i = 0; i < s->nrows; i += n) {
            argc = 0;

            if (pass == 0) {
                argv[argc++] = ai_str("XDEL");
                argv[argc++] = (ai_str_t) { strlen(s->outbox), s->outbox };

            } else {
                argv[argc++] = ai_str("XACK");
                argv[argc++] = (ai_str_t) { strlen(s->outbox), s->outbox };
                argv[argc++] = ai_str(AI_GROUP_LEDGER);
            }

            for (n = 0; n < LEDGER_ACK_IDS && i + n < s->nrows; n++) {
                argv[argc++] = s->rows[i + n].entry;
            }

            if (redis_command(rc, ledger_on_told, s, argc, argv) != 0) {
                s->failed = 1;
                break;
            }

            s->tells++;
            s->ledger->refs++;
        }
    }

    s->state = s->tells ? LEDGER_TELLING : LEDGER_WRITTEN;
}


static void
ledger_on_told(redis_t *rc, ai_resp_t *reply, void *data)
{
    ledger_t            *l;
    ledger_shard_t      *s;
    static log_again_t   again;

    (void) rc;

    s = data;
    l = s->ledger;

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        s->failed = 1;

        if (reply) {
            log_again(&again, LOG_WARN, "ledger", "%s: %s", s->outbox,
                      reply->str);
        }
    }

    if (--s->tells == 0 && !l->closing) {
        if (s->failed) {
            s->state = LEDGER_WRITTEN;

        } else {
            ledger_done(s);
        }
    }

    ledger_release(l);
}


static void
ledger_done(ledger_shard_t *s)
{
    free(s->rows);
    free(s->reply);

    s->rows = NULL;
    s->reply = NULL;
    s->entries = NULL;
    s->nrows = 0;
    s->state = LEDGER_IDLE;

    /* Where there was as much as fits there is more. */
    if (s->full) {
        ledger_step(s);
    }
}
