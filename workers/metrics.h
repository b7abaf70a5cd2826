/*
 * Counters of a worker process, written to ai1:metrics:<worker> for /metrics.
 * Part of worker_t; a part adds to its own counters.
 */

#ifndef METRICS_H
#define METRICS_H

#include <stdint.h>

#include "ai_str.h"

/* name, gauge: 1 where the value can fall. */
#define METRICS_LIST(X)                                                       \
    X(jobs_running, 1)                                                        \
    X(jobs_started_total, 0)                                                  \
    X(jobs_done_total, 0)                                                     \
    X(jobs_failed_total, 0)                                                   \
    X(jobs_cancelled_total, 0)                                                \
    X(jobs_abandoned_total, 0)                                                \
    X(calls_open, 1)                                                          \
    X(calls_total, 0)                                                         \
    X(calls_failed_total, 0)                                                  \
    X(calls_again_total, 0)                                                   \
    X(breakers_opened_total, 0)                                               \
    X(hedges_total, 0)                                                        \
    X(connections_opened_total, 0)                                            \
    X(call_usec_total, 0)                                                     \
    X(first_byte_usec_total, 0)                                               \
    X(queue_usec_total, 0)                                                    \
    X(emits_total, 0)                                                         \
    X(events_total, 0)                                                        \
    X(event_bytes_total, 0)                                                   \
    X(paused_total, 0)                                                        \
    X(input_tokens_total, 0)                                                  \
    X(output_tokens_total, 0)                                                 \
    X(catalog_misses_total, 0)                                                \
    X(redis_lost_total, 0)                                                    \
    X(loop_lag_usec_max, 1)                                                   \
    X(ledger_rows_total, 0)                                                   \
    X(ledger_batches_total, 0)                                                \
    X(ledger_dead_total, 0)                                                   \
    X(ledger_failed_total, 0)                                                 \
    X(lookups_total, 0)                                                       \
    X(lookups_unknown_total, 0)                                               \
    X(lookups_down_total, 0)                                                  \
    X(lookups_refused_total, 0)                                               \
    X(memory_bytes, 1)

typedef struct {
#define METRICS_FIELD(name, gauge)  int64_t name;
    METRICS_LIST(METRICS_FIELD)
#undef METRICS_FIELD
} metrics_t;

/* As a record (docs/wire.md, 2): one field a counter. */
void metrics_write(ai_buf_t *b, const metrics_t *m);

#endif
