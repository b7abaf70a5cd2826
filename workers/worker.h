/*
 * A worker process: what its parts share.  Made by worker_run, given to every
 * part, which reads it and leaves its fields alone.
 */

#ifndef WORKER_H
#define WORKER_H

#include "ai_id.h"
#include "ai_keys.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "options.h"
#include "redis.h"

#define WORKER_SHARDS_MAX  64

struct ledger_s;
struct lookup_s;
struct seeds_s;
struct stores_s;
struct fetch_s;
struct models_s;
struct tokens_s;
struct jobs_s;
struct queue_s;
struct delivery_s;
struct http_s;
struct catalogs_s;
struct heartbeat_s;
struct emits_s;
struct breakers_s;
struct targets_s;
struct owns_s;

typedef struct worker_s {
    loop_t              loop;
    const options_t    *opt;
    redis_t            *redis;      /* commands; for all parts */
    redis_t            *sub;        /* P worker:<id> */
    char                id[AI_PROCESS_ID_MAX + 1];
    unsigned            shards;     /* 0: not known yet (ai1:shards) */
    metrics_t           metrics;

    struct jobs_s      *jobs;
    struct queue_s     *queue;      /* look-ups */
    struct delivery_s  *delivery;   /* jobs on their way here */
    struct http_s      *http;
    struct catalogs_s  *catalogs;
    struct heartbeat_s *heartbeat;
    struct breakers_s  *breakers;
    struct targets_s   *targets;
    struct emits_s     *emits;      /* settled jobs that linger */
    struct ledger_s    *ledger;     /* outbox to Postgres; NULL: no Postgres */
    struct lookup_s    *lookup;     /* keys */
    struct seeds_s     *seeds;      /* counters of limits, from the ledger */
    struct stores_s    *stores;     /* responses that are kept */
    struct fetch_s     *fetch;      /* what catalogs name by URL */
    struct models_s    *models;     /* lists of models, with prices */
    struct tokens_s    *tokens;     /* ours, for providers */
    struct owns_s      *owns;       /* tenants' own keys of providers */

    uv_signal_t         signals[5];
    uv_timer_t          drain_timer;
    uint64_t            drain_msec; /* when it began */
    unsigned            hearing:1;  /* its channels */
    unsigned            draining:1;
    unsigned            aborted:1;  /* its time is over */
} worker_t;

/* The whole life of a worker process; its exit status. */
int worker_run(const options_t *opt);

/* Prefix P of a shard, zero-ended, in static memory of the process. */
ai_str_t worker_prefix(unsigned shard);

/*
 * What the parts that talk to Postgres give and get (ledger.h, lookup.h):
 *   ledger_open(worker_t *w), lookup_open(worker_t *w): once, before the
 *     loop runs; NULL: no memory.
 *   ledger_ready(l, w->shards), lookup_ready(l): each time w->redis has
 *     become ready and the shards are known.
 *   lookup_entry(l, entry_id, hex, edge): one entry of ai1:lookup, read by
 *     the queue; lookup asks, writes, rings and acknowledges it.
 *   ledger_drain(l): no job is left; empty the outbox once, take no more.
 *   ledger_idle(l): 1 when nothing is at hand.
 *   ledger_close(l), lookup_close(l): close handles, free.
 */

#endif
