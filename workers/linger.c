/*
 * Settled jobs of the last seconds: said again to a Redis that lost them.
 * Owns the emit_t's that linger.
 */

#include "emit_in.h"

#include <stdlib.h>
#include <string.h>


/* Settled jobs of the last seconds, oldest first. */
struct emits_s {
    worker_t  *w;
    emit_t    *first;
    emit_t   **last;
    size_t     bytes;
};


static void emit_leave(emits_t *emits);


/* Kept for a while, with names of its own. */

int
emit_linger(emit_t *e)
{
    emits_t       *emits;
    emit_event_t  *ev;

    emits = e->w->emits;

    if (!e->settled || e->head == NULL
        || e->job.len + e->tenant.len > sizeof(e->names))
    {
        return -1;
    }

    memcpy(e->names, e->job.data, e->job.len);
    memcpy(e->names + e->job.len, e->tenant.data, e->tenant.len);
    e->job.data = e->names;
    e->tenant.data = e->names + e->job.len;

    e->linger_bytes = sizeof(*e) + e->base.len + e->usage.len;

    for (ev = e->head; ev != NULL; ev = ev->next) {
        e->linger_bytes += sizeof(*ev) + ev->size;
    }

    e->lingering = 1;
    e->linger_msec = uv_now(&e->w->loop.uv) + EMIT_KEEP_MSEC;
    e->next = NULL;
    *emits->last = e;
    emits->last = &e->next;
    emits->bytes += e->linger_bytes;

    while (emits->bytes > EMIT_LINGER_BYTES) {
        emit_leave(emits);
    }

    return 0;
}


/* The oldest goes; one that waits for a reply goes with it. */

static void
emit_leave(emits_t *emits)
{
    emit_t  *e;

    e = emits->first;
    emits->first = e->next;
    emits->bytes -= e->linger_bytes;

    if (emits->first == NULL) {
        emits->last = &emits->first;
    }

    e->lingering = 0;
    loop_undefer(&e->w->loop, &e->task);

    if (!e->waiting) {
        emit_free(e);
    }
}


emits_t *
emits_open(worker_t *w)
{
    emits_t  *emits;

    emits = calloc(1, sizeof(*emits));

    if (emits != NULL) {
        emits->w = w;
        emits->last = &emits->first;
    }

    return emits;
}


void
emits_restarted(emits_t *emits)
{
    emit_t  *e;

    emits_expire(emits);

    for (e = emits->first; e != NULL; e = e->next) {
        e->linger_msec = uv_now(&emits->w->loop.uv) + EMIT_KEEP_MSEC;
        emit_again(e);
    }
}


void
emits_expire(emits_t *emits)
{
    uint64_t  now;

    now = uv_now(&emits->w->loop.uv);

    while (emits->first != NULL && now >= emits->first->linger_msec) {
        emit_leave(emits);
    }
}


void
emits_free(emits_t *emits)
{
    while (emits->first != NULL) {
        emit_leave(emits);
    }

    free(emits);
}
