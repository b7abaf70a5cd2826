/*
 * A job's events on their way into its log: queued, coalesced, sent with at
 * most one call unanswered, kept until they are surely there, ended by one
 * settle.  An emit_t owns its events and frees itself after its last reply.
 */

#ifndef EMIT_H
#define EMIT_H

#include "ai_event.h"
#include "ai_job.h"
#include "worker.h"

#define EMIT_HIGH_BYTES  (256 * 1024)   /* unacknowledged: pause the source */
#define EMIT_ALL_BYTES   (8 * 1024 * 1024)  /* the same of all calls open, */
#define EMIT_FAIR_BYTES  (32 * 1024)    /* but so much of each */
#define EMIT_LOW_BYTES   (128 * 1024)   /* go on */
#define EMIT_KEEP_BYTES  (32 * 1024)    /* acknowledged, kept for a restart */
#define EMIT_KEEP_MSEC   3000
#define EMIT_LINGER_BYTES (8 * 1024 * 1024) /* of settled jobs, a process */
#define EMIT_RETRY_MSEC  200            /* after an error of Redis */
#define EMIT_TRIES_MAX   150            /* such errors, then its end alone */

typedef struct emit_s  emit_t;

typedef enum {
    EMIT_SETTLED = 0,           /* the job has ended, here or before */
    EMIT_FENCED,                /* another worker has the job */
    EMIT_LOST,                  /* the log misses what nobody has any more,
                                 * or what Redis refused for too long */
    EMIT_UNKNOWN,               /* Redis does not know that we claimed it */
    EMIT_GIVEN_UP               /* Redis answers what makes no sense */
} emit_end_e;

/* Called from the loop, never from within emit's own functions. */
typedef struct {
    void (*drained)(void *data);        /* below EMIT_LOW_BYTES again */
    void (*cancelled)(void *data, ai_str_t reason);
    /* No more of it is sent, but after EMIT_LOST, when emit_settle is still
     * due, and after EMIT_UNKNOWN, when emit_again may go on. */
    void (*ended)(void *data, emit_end_e end);
} emit_events_t;

/* What settle says of the job; copied. */
typedef struct {
    const char *state;          /* constant: done, failed, cancelled */
    ai_str_t    base;
    ai_str_t    at_usec;        /* decimal */
    ai_str_t    usage;          /* lines */
    int64_t     ttl_msec;       /* for the log and the job; 0: as always */
} emit_settle_t;

/* job and tenant are kept until emit_close.  each: an event of its own for
 * every emit_data (resumable).  NULL: no memory. */
emit_t *emit_open(worker_t *w, unsigned shard, ai_str_t job, ai_str_t tenant,
    uint32_t attempt, int each, const emit_events_t *ev, void *data);
/* No callbacks any more.  One that has settled lingers for EMIT_KEEP_MSEC, so
 * that a Redis which lost its last seconds hears it again. */
void emit_close(emit_t *e);

/* What lingers in a process, part of worker_t's w->emits. */
typedef struct emits_s  emits_t;

emits_t *emits_open(worker_t *w);
/* Another Redis answers, or the same with less: lingering settles go again. */
void emits_restarted(emits_t *emits);
/* Some times a second: what has lingered long enough goes. */
void emits_expire(emits_t *emits);
/* After the loop has run out. */
void emits_free(emits_t *emits);

/* Queue: 0, or -1 no memory. */
int emit_head(emit_t *e, ai_str_t record);
/* The id of the worker that says it; the worker's.  Its loop's time, µs. */
ai_str_t emit_worker(const emit_t *e);
uint64_t emit_now_usec(const emit_t *e);
/* begins: at the start of an SSE event, or of a body. */
int emit_data(emit_t *e, ai_str_t bytes, int begins);
/* The last event ('e' or 'x') and the end of the job. */
int emit_settle(emit_t *e, char type, ai_str_t payload,
    const emit_settle_t *settle);

/*
 * What is queued now and was not sent goes with the settle: of an answer that
 * has said its last word, so that a client who has read that is not still
 * counted as one who waits for an answer.
 */
void emit_hold(emit_t *e);

/* Whether any event has been queued since emit_open. */
int emit_begun(const emit_t *e);
/* Whether the source is to pause until drained: more than its share of
 * EMIT_ALL_BYTES is not acknowledged. */
int emit_full(emit_t *e);
/* Redis is there again, or time has passed: some times a second. */
void emit_kick(emit_t *e);
/* Sends all that is kept again; Redis skips what it has. */
void emit_again(emit_t *e);
/* The same, in EMIT_RETRY_MSEC. */
void emit_later(emit_t *e);
/* After EMIT_UNKNOWN: whether that was the settle, so that its usage is in the
 * outbox although the job is unknown. */
int emit_written(const emit_t *e);
/* After EMIT_UNKNOWN: drops the events, which nobody can read any more, and
 * ends as EMIT_LOST. */
void emit_forget(emit_t *e);

#endif
