/*
 * The worker's pulse: beat each half second, sweep each second, dead edges,
 * its metrics.  Owns its timers.
 */

#ifndef HEARTBEAT_H
#define HEARTBEAT_H

#include "worker.h"

#define HEARTBEAT_BEAT_MSEC     500
#define HEARTBEAT_SWEEP_MSEC    1000
#define HEARTBEAT_DEAD_MSEC     3000
#define HEARTBEAT_SURE_MSEC     2500    /* less than dead: nobody took over */
#define HEARTBEAT_GRACE_MSEC    10000
#define HEARTBEAT_SWEEP_MAX     200     /* things to do a pass: 3 ms of Redis */
#define HEARTBEAT_MEMORY_PERCENT  80
#define HEARTBEAT_METRICS_MSEC  15000   /* until a record expires */

typedef struct heartbeat_s  heartbeat_t;

/* NULL: no memory. */
heartbeat_t *heartbeat_open(worker_t *w);
/* The shards are known: beats now, and goes on. */
void heartbeat_start(heartbeat_t *hb);
/* A beat now, besides, where it beats. */
void heartbeat_now(heartbeat_t *hb);
/* A beat of another word now: "drain"; later beats say the same. */
void heartbeat_drain(heartbeat_t *hb);
/* Whether every shard has heard that, so that it hands over no more, and said
 * that it has nothing of this worker's; where not, a beat asks again. */
int heartbeat_drained(heartbeat_t *hb);
/* Whether the shard has heard this worker so lately that nobody can take it for
 * dead now: what it was handed is its. */
int heartbeat_sure(const heartbeat_t *hb, unsigned shard);
/* The last one ("bye"); done is called when it is answered or lost. */
void heartbeat_bye(heartbeat_t *hb, void (*done)(worker_t *w));
void heartbeat_close(heartbeat_t *hb);

#endif
