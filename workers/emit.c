/*
 * A job's events on their way into its log.  Owns the events (emit_in.h).
 */

#include "emit_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai_error.h"
#include "ai_record.h"
#include "ai_usage.h"


#define EMIT_WORDS_MAX  (12 + 2 * AI_EVENT_EMIT_MAX)


static emit_event_t *emit_add(emit_t *e, char type, ai_str_t payload);
static int emit_join(emit_t *e, ai_str_t bytes);
static void emit_due(emit_t *e);
static void emit_run(void *data);
static int emit_settling(const emit_t *e);
static int emit_is_end(const emit_event_t *ev);
static int emit_send(emit_t *e, int settle);
static void emit_on_reply(redis_t *rc, ai_resp_t *reply, void *data);
static void emit_on_gap(emit_t *e, const ai_resp_t *reply);
static void emit_on_refusal(emit_t *e, const ai_resp_t *reply);
static void emit_ack(emit_t *e, uint32_t seq);
static void emit_prune(emit_t *e);
static void emit_drop(emit_t *e);
static void emit_end(emit_t *e, emit_end_e end);
static void emit_lose(emit_t *e, uint32_t tip);


emit_t *
emit_open(worker_t *w, unsigned shard, ai_str_t job, ai_str_t tenant,
    uint32_t attempt, int each, const emit_events_t *ev, void *data)
{
    emit_t  *e;

    e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return NULL;
    }

    e->w = w;
    e->shard = shard;
    e->job = job;
    e->tenant = tenant;
    e->attempt = attempt;
    e->next_seq = 1;
    e->each = each ? 1 : 0;
    e->ev = ev;
    e->data = data;
    e->task.run = emit_run;
    e->task.data = e;

    return e;
}


void
emit_close(emit_t *e)
{
    e->closed = 1;
    loop_undefer(&e->w->loop, &e->task);

    if (!e->waiting && emit_linger(e) != 0) {
        emit_free(e);
    }
}


void
emit_again(emit_t *e)
{
    emit_event_t  *ev;

    if (e->head == NULL) {
        return;
    }

    e->unacked = e->head;
    e->ended = 0;
    e->unknown = 0;
    e->unacked_bytes = 0;
    e->kept_bytes = 0;
    e->retry_at_msec = 0;

    for (ev = e->head; ev != NULL; ev = ev->next) {
        e->unacked_bytes += ev->len;
    }

    loop_defer(&e->w->loop, LOOP_WORK, &e->task);
}


void
emit_later(emit_t *e)
{
    emit_again(e);
    e->retry_at_msec = uv_now(&e->w->loop.uv) + EMIT_RETRY_MSEC;
}


int
emit_written(const emit_t *e)
{
    return e->written;
}


void
emit_forget(emit_t *e)
{
    e->unknown = 0;
    e->retry_at_msec = 0;
    emit_lose(e, 0);
}


void
emit_free(emit_t *e)
{
    emit_drop(e);
    free(e->texts);
    free(e);
}


int
emit_head(emit_t *e, ai_str_t record)
{
    return emit_add(e, AI_EVENT_HEAD, record) == NULL ? -1 : 0;
}


ai_str_t
emit_worker(const emit_t *e)
{
    return (ai_str_t) { strlen(e->w->id), e->w->id };
}


uint64_t
emit_now_usec(const emit_t *e)
{
    return loop_now_usec(&e->w->loop);
}


int
emit_data(emit_t *e, ai_str_t bytes, int begins)
{
    char      type;
    ai_str_t  piece;

    if (bytes.len == 0 || e->ended) {
        return 0;
    }

    if (!(e->each && begins) && emit_join(e, bytes) == 0) {
        return 0;
    }

    type = begins ? AI_EVENT_DATA : AI_EVENT_CONTINUE;

    while (bytes.len != 0) {
        piece.data = bytes.data;
        piece.len = bytes.len < AI_EVENT_DATA_MAX ? bytes.len
                                                  : AI_EVENT_DATA_MAX;

        if (emit_add(e, type, piece) == NULL) {
            return -1;
        }

        bytes.data += piece.len;
        bytes.len -= piece.len;
        type = AI_EVENT_CONTINUE;
    }

    return 0;
}


/* Bytes into the last event, where it has not been sent and has room. */

static int
emit_join(emit_t *e, ai_str_t bytes)
{
    size_t         size;
    emit_event_t  *ev;

    ev = e->tail;

    if (ev == NULL || ev->sealed || e->unacked == NULL
        || (ev->type != AI_EVENT_DATA && ev->type != AI_EVENT_CONTINUE)
        || bytes.len > AI_EVENT_DATA_MAX - ev->len)
    {
        return -1;
    }

    if (bytes.len > ev->size - ev->len) {

        size = ev->size;

        while (size - ev->len < bytes.len) {
            size *= 2;
        }

        ev = realloc(ev, sizeof(*ev) + size);
        if (ev == NULL) {
            return -1;
        }

        if (e->unacked == e->tail) {
            e->unacked = ev;
        }

        *e->link = ev;
        e->tail = ev;
        ev->size = (uint32_t) size;
    }

    memcpy(ev->data + ev->len, bytes.data, bytes.len);
    ev->len += (uint32_t) bytes.len;
    e->unacked_bytes += bytes.len;

    return 0;
}


static emit_event_t *
emit_add(emit_t *e, char type, ai_str_t payload)
{
    size_t         size;
    emit_event_t  *ev;

    if (payload.len > AI_EVENT_DATA_MAX) {
        return NULL;
    }

    size = payload.len < 64 ? 64 : payload.len;
    ev = malloc(sizeof(*ev) + size);

    if (ev == NULL) {
        return NULL;
    }

    ev->next = NULL;
    ev->acked_msec = 0;
    ev->seq = e->next_seq++;
    ev->len = (uint32_t) payload.len;
    ev->size = (uint32_t) size;
    ev->type = type;
    ev->sealed = 0;
    memcpy(ev->data, payload.data, payload.len);

    e->link = e->tail != NULL ? &e->tail->next : &e->head;
    *e->link = ev;
    e->tail = ev;

    if (e->unacked == NULL) {
        e->unacked = ev;
    }

    e->begun = 1;
    e->unacked_bytes += payload.len;
    emit_due(e);

    return ev;
}


int
emit_settle(emit_t *e, char type, ai_str_t payload,
    const emit_settle_t *settle)
{
    char  *p;

    p = malloc(settle->base.len + settle->at_usec.len + settle->usage.len + 1);

    if (p == NULL || emit_add(e, type, payload) == NULL) {
        free(p);
        return -1;
    }

    e->texts = p;
    e->state = settle->state;
    e->ttl_msec = settle->ttl_msec;

    e->base = (ai_str_t) { settle->base.len, p };
    memcpy(p, settle->base.data, settle->base.len);
    p += settle->base.len;

    e->at_usec = (ai_str_t) { settle->at_usec.len, p };
    memcpy(p, settle->at_usec.data, settle->at_usec.len);
    p += settle->at_usec.len;

    e->usage = (ai_str_t) { settle->usage.len, p };
    memcpy(p, settle->usage.data, settle->usage.len);

    /* It may have been gathered with what came before. */

    loop_undefer(&e->w->loop, &e->task);
    emit_due(e);

    return 0;
}


void
emit_hold(emit_t *e)
{
    e->held = 1;
}


int
emit_begun(const emit_t *e)
{
    return e->begun;
}


int
emit_full(emit_t *e)
{
    int64_t  bound;

    bound = EMIT_ALL_BYTES / (e->w->metrics.calls_open + 1);
    bound = bound < EMIT_FAIR_BYTES ? EMIT_FAIR_BYTES
            : bound > EMIT_HIGH_BYTES ? EMIT_HIGH_BYTES : bound;

    if (e->unacked_bytes > (size_t) bound) {
        e->high = 1;
    }

    return e->high;
}


void
emit_kick(emit_t *e)
{
    if (e->unacked != NULL && !e->waiting) {
        loop_defer(&e->w->loop, LOOP_WORK, &e->task);
    }

    if (e->kept_bytes != 0) {
        emit_prune(e);
    }
}


/* The first of an answer and its end wait for nobody. */

static void
emit_due(emit_t *e)
{
    loop_defer(&e->w->loop, e->acked_seq == 0 || e->state != NULL
                            ? LOOP_WORK : LOOP_GATHER,
               &e->task);
}


static void
emit_run(void *data)
{
    emit_t  *e;

    e = data;

    if (e->waiting || e->ended || e->unknown || e->unacked == NULL
        || (e->held && e->state == NULL)
        || uv_now(&e->w->loop.uv) < e->retry_at_msec)
    {
        return;
    }

    e->settling = emit_settling(e) ? 1 : 0;

    if (emit_send(e, e->settling) == 0) {
        e->waiting = 1;
    }
}


/* Whether all that is left goes with the settle. */

static int
emit_settling(const emit_t *e)
{
    size_t         bytes;
    unsigned       n;
    emit_event_t  *ev;

    if (e->state == NULL) {
        return 0;
    }

    bytes = 0;
    n = 0;

    for (ev = e->unacked; ev != NULL; ev = ev->next) {
        bytes += ev->len;

        if (++n > AI_EVENT_EMIT_MAX || bytes > AI_EVENT_EMIT_BYTES) {
            return 0;
        }
    }

    return 1;
}


static int
emit_is_end(const emit_event_t *ev)
{
    return ev != NULL
           && (ev->type == AI_EVENT_END || ev->type == AI_EVENT_ERROR);
}


/* The last word of an answer goes with its settle, never ahead of it. */

static int
emit_send(emit_t *e, int settle)
{
    char           ttl[24], numbers[3][16], types[AI_EVENT_EMIT_MAX];
    size_t         bytes;
    ai_str_t       argv[EMIT_WORDS_MAX];
    unsigned       n, events;
    emit_event_t  *ev;

    n = 0;
    argv[n++] = e->job;
    argv[n].data = numbers[0];
    argv[n++].len = (size_t) snprintf(numbers[0], 16, "%u", e->attempt);

    argv[n++] = (ai_str_t) { strlen(e->w->id), e->w->id };
    argv[n].data = numbers[1];
    argv[n++].len = (size_t) snprintf(numbers[1], 16, "%u", e->unacked->seq);
    argv[n].data = numbers[2];
    argv[n++].len = (size_t) snprintf(numbers[2], 16, "%d",
                                      AI_EVENT_INLINE_MAX);

    if (settle) {
        argv[n++] = (ai_str_t) { strlen(e->state), e->state };
        argv[n].data = ttl;
        argv[n++].len = e->ttl_msec == 0 ? 0
                        : (size_t) snprintf(ttl, sizeof(ttl), "%lld",
                                            (long long) e->ttl_msec);
        argv[n++] = e->tenant;
        argv[n++] = e->base;
        argv[n++] = e->at_usec;
        argv[n++] = e->usage;
    }

    bytes = 0;
    events = 0;

    for (ev = e->unacked; ev != NULL; ev = ev->next) {

        bytes += ev->len;

        if (events == AI_EVENT_EMIT_MAX || bytes > AI_EVENT_EMIT_BYTES
            || (!settle && (emit_is_end(ev)
                            || (events > 0 && emit_is_end(ev->next)))))
        {
            break;
        }

        ev->sealed = 1;
        types[events] = ev->type;
        argv[n++] = (ai_str_t) { 1, &types[events] };
        argv[n++] = (ai_str_t) { ev->len, ev->data };
        events++;
    }

    e->w->metrics.emits_total += !settle;

    return redis_script(e->w->redis,
                        settle ? AI_SCRIPT_SETTLE : AI_SCRIPT_EMIT,
                        worker_prefix(e->shard), emit_on_reply, e, n, argv);
}


static void
emit_on_reply(redis_t *rc, ai_resp_t *reply, void *data)
{
    emit_t         *e;
    ai_str_t        s;
    ai_event_id_t   id;

    (void) rc;

    e = data;
    e->waiting = 0;

    if (e->closed && !e->lingering) {
        emit_free(e);
        return;
    }

    if (reply == NULL) {
        return;
    }

    if (redis_word(reply, "OK")) {

        if (ai_id_event_parse(redis_str(redis_item(reply, 1)), &id) != 0) {
            emit_end(e, EMIT_GIVEN_UP);
            return;
        }

        e->tries = 0;
        emit_ack(e, id.seq);

        if (e->state != NULL && e->unacked == NULL) {
            e->settled = 1;
            emit_end(e, EMIT_SETTLED);
            return;
        }

        if (e->unacked != NULL) {
            emit_due(e);
        }

        s = redis_str(redis_item(reply, 2));

        if (s.len != 0 && e->state == NULL) {
            e->ev->cancelled(e->data, s);
            return;
        }

        if (e->high && !e->lingering && e->unacked_bytes < EMIT_LOW_BYTES) {
            e->high = 0;
            e->ev->drained(e->data);
        }

        return;
    }

    if (redis_word(reply, "FENCED")) {
        emit_end(e, EMIT_FENCED);

    } else if (redis_word(reply, "DUP")) {
        emit_end(e, EMIT_SETTLED);

    } else if (redis_word(reply, "GONE")) {
        e->written = e->settling;
        emit_end(e, EMIT_UNKNOWN);

    } else if (redis_word(reply, "GAP")) {
        emit_on_gap(e, reply);

    } else {
        emit_on_refusal(e, reply);
    }
}


/* An end is tried for as long as it takes; events are not, so that an answer
 * which Redis has no memory for ends all the same. */

static void
emit_on_refusal(emit_t *e, const ai_resp_t *reply)
{
    if (e->tries == 0) {
        log_job(LOG_ERROR, "emit", e->tenant, e->job, "refused: %.*s",
                reply->type == AI_RESP_ERROR ? (int) reply->len : 0,
                reply->type == AI_RESP_ERROR ? reply->str : "");
    }

    if (e->tries < EMIT_TRIES_MAX) {
        e->tries++;

    } else if (!emit_settling(e)) {
        e->tries = 0;
        emit_lose(e, e->acked_seq);
        return;
    }

    e->retry_at_msec = uv_now(&e->w->loop.uv) + EMIT_RETRY_MSEC;
}


/* The log ends before what was sent: go on behind its tip, if we still can. */

static void
emit_on_gap(emit_t *e, const ai_resp_t *reply)
{
    emit_event_t   *ev;
    ai_event_id_t   id;

    if (ai_id_event_parse(redis_str(redis_item(reply, 1)), &id) != 0
        || e->tries++ > EMIT_TRIES_MAX)
    {
        emit_end(e, EMIT_GIVEN_UP);
        return;
    }

    if (id.attempt > e->attempt) {
        emit_end(e, EMIT_FENCED);
        return;
    }

    if (id.attempt < e->attempt) {
        id.seq = 0;
    }

    for (ev = e->head; ev != NULL; ev = ev->next) {
        if (ev->seq == id.seq + 1) {
            break;
        }
    }

    if (ev == NULL) {
        log_job(LOG_ERROR, "emit", e->tenant, e->job,
                "the log ends at %u, the events behind it are gone", id.seq);
        emit_lose(e, id.seq);
        return;
    }

    e->unacked = ev;
    e->unacked_bytes = 0;
    e->kept_bytes = 0;

    for (ev = e->head; ev != e->unacked; ev = ev->next) {
        e->kept_bytes += ev->len;
    }

    for (ev = e->unacked; ev != NULL; ev = ev->next) {
        e->unacked_bytes += ev->len;
    }

    loop_defer(&e->w->loop, LOOP_WORK, &e->task);
}


static void
emit_ack(emit_t *e, uint32_t seq)
{
    uint64_t       now;
    emit_event_t  *ev;

    now = uv_now(&e->w->loop.uv);

    while ((ev = e->unacked) != NULL && ev->seq <= seq) {
        e->unacked = ev->next;
        e->unacked_bytes -= ev->len;
        e->kept_bytes += ev->len;
        e->acked_seq = ev->seq;
        ev->sealed = 1;
        ev->acked_msec = now;
        e->w->metrics.events_total++;
        e->w->metrics.event_bytes_total += ev->len;
    }

    emit_prune(e);
}


static void
emit_prune(emit_t *e)
{
    uint64_t       now;
    emit_event_t  *ev;

    now = uv_now(&e->w->loop.uv);

    while ((ev = e->head) != e->unacked
           && (e->kept_bytes > EMIT_KEEP_BYTES
               || now >= ev->acked_msec + EMIT_KEEP_MSEC))
    {
        e->head = ev->next;
        e->kept_bytes -= ev->len;

        if (e->tail == ev) {
            e->tail = NULL;

        } else if (e->link == &ev->next) {
            e->link = &e->head;
        }

        free(ev);
    }
}


static void
emit_drop(emit_t *e)
{
    emit_event_t  *ev;

    while ((ev = e->head) != NULL) {
        e->head = ev->next;
        free(ev);
    }

    e->unacked = NULL;
    e->tail = NULL;
    e->unacked_bytes = 0;
    e->kept_bytes = 0;
}


/* The provider goes on while a job that is unknown is claimed anew: what it
 * says then belongs to the answer. */

static void
emit_end(emit_t *e, emit_end_e end)
{
    if (end == EMIT_UNKNOWN) {
        e->unknown = 1;

    } else {
        e->ended = 1;
    }

    if (!e->lingering) {
        e->ev->ended(e->data, end);
    }
}


/* All that can still be told is that it is lost. */

static void
emit_lose(emit_t *e, uint32_t tip)
{
    char               text[AI_USAGE_LINE_MAX + 256];
    ai_buf_t           b;
    const ai_error_t  *error;

    emit_drop(e);
    e->next_seq = tip + 1;

    if (!e->lingering) {
        free(e->texts);
        e->texts = NULL;
        e->state = NULL;
        e->ev->ended(e->data, EMIT_LOST);
        return;
    }

    error = ai_error_find(ai_str("lost"));
    ai_buf_init(&b, text, sizeof(text));
    ai_record_add(&b, "cause", ai_str("lost"));
    ai_record_add(&b, "message",
                  (ai_str_t) { strlen(error->message), error->message });
    ai_record_add(&b, "usage", e->usage);
    e->state = "failed";

    if (!b.full) {
        emit_add(e, AI_EVENT_ERROR, (ai_str_t) { ai_buf_len(&b), text });
    }
}
