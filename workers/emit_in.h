/*
 * The inside of an emit_t, for emit.c and linger.c alone.
 *
 * The events are one list:
 *
 *     head .. acknowledged, kept for a restart of Redis
 *     unacked .. sent or to be sent
 *     tail .. unsealed, more bytes may join it
 */

#ifndef EMIT_IN_H
#define EMIT_IN_H

#include "emit.h"

typedef struct emit_event_s  emit_event_t;

struct emit_event_s {
    emit_event_t *next;
    uint64_t      acked_msec;
    uint32_t      seq;
    uint32_t      len;
    uint32_t      size;
    char          type;
    char          sealed;
    char          data[];
};

struct emit_s {
    worker_t            *w;
    unsigned             shard;
    ai_str_t             job;
    ai_str_t             tenant;
    uint32_t             attempt;
    uint32_t             next_seq;
    uint32_t             acked_seq;
    const emit_events_t *ev;
    void                *data;

    emit_event_t        *head;
    emit_event_t        *unacked;
    emit_event_t        *tail;
    emit_event_t       **link;          /* what points to tail, where it is */
    size_t               unacked_bytes;
    size_t               kept_bytes;

    loop_task_t          task;
    uint64_t             retry_at_msec;
    unsigned             tries;

    const char          *state;         /* settle's; NULL: not ended yet */
    int64_t              ttl_msec;      /* of the log; 0: as always */
    char                *texts;         /* its strings */
    ai_str_t             base;
    ai_str_t             at_usec;
    ai_str_t             usage;

    unsigned             each:1;
    unsigned             begun:1;
    unsigned             waiting:1;     /* for a reply */
    unsigned             closed:1;
    unsigned             ended:1;
    unsigned             unknown:1;     /* until it is claimed once more */
    unsigned             settled:1;
    unsigned             settling:1;    /* what was sent last is the settle */
    unsigned             written:1;     /* Redis knew only the ledger's part */
    unsigned             held:1;        /* until it settles */
    unsigned             lingering:1;
    unsigned             high:1;        /* has been over EMIT_HIGH_BYTES */

    emit_t              *next;          /* that lingers */
    uint64_t             linger_msec;   /* until then */
    size_t               linger_bytes;
    char                 names[AI_JOB_ID_LEN + 64];
};

/* Frees it now; nothing may wait for a reply. */
void emit_free(emit_t *e);
/* Of one that is closed: 0 where it lingers, -1 where it is to be freed. */
int emit_linger(emit_t *e);

#endif
