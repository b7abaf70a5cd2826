/*
 * An answer that is to be kept (docs/wire.md, 5: keep): its bytes beside those
 * that go to the client, its other shapes, and the call that keeps it.  The
 * answer_t owns its keep_t.
 */

#ifndef KEEP_H
#define KEEP_H

#include "ai_usage.h"
#include "shape.h"
#include "worker.h"

#define KEEP_INLINE_MAX  (64 * 1024)    /* a larger one lies in its job's log */
#define KEEP_HEAD_MAX    (12 * 1024)
#define KEEP_ALL_MAX     (64 * 1024 * 1024)     /* unfinished ones, a process */

typedef struct keep_s  keep_t;

/* wish: the spec's; shape: what the client asked for, 'o', 's' or 'v'.  NULL:
 * nothing is to be kept, or no memory, which costs the cache one answer. */
keep_t *keep_open(ai_str_t wish, ai_dialect_e dialect, char shape);
void keep_free(keep_t *k);

/* What the client gets, as it is emitted; an event that it does not get.  All
 * take NULL. */
void keep_head(keep_t *k, ai_str_t provider, ai_str_t model,
    ai_str_t headers);
void keep_bytes(keep_t *k, ai_str_t bytes);
void keep_dropped(keep_t *k, ai_str_t raw);

/* Bytes that keep_make will read. */
size_t keep_size(const keep_t *k);
/* The other shapes.  whole: the answer, where it is no stream.  For any
 * thread. */
void keep_make(keep_t *k, int stream, ai_str_t whole);

/*
 * Keeps it, before its settle is sent.  Returns for how many ms its log is to
 * be kept, too; 0: as always.
 */
int64_t keep_send(keep_t *k, worker_t *w, unsigned shard, ai_str_t job,
    uint32_t attempt, ai_str_t model, const ai_usage_t *u);

#endif
