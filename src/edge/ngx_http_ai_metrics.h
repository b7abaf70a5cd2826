/*
 * Counters of all edges in one shared zone, made at configuration: atomics
 * only, no lock; a resized zone starts empty.
 */

#ifndef NGX_HTTP_AI_METRICS_H
#define NGX_HTTP_AI_METRICS_H

#include "ngx_http_ai_conf.h"

/* Rows of ai_error that are counted. */
#define NGX_HTTP_AI_ERRORS   32

/* Upper bounds of the histograms' buckets, in µs; one more for the rest. */
#define NGX_HTTP_AI_BUCKETS  16

typedef struct {
    ngx_atomic_t                buckets[NGX_HTTP_AI_BUCKETS + 1];
    ngx_atomic_t                sum;          /* µs */
} ngx_http_ai_histogram_t;

typedef struct {
    ngx_atomic_t                requests[AI_DIALECT_LAST][6]; /* by class */
    ngx_atomic_t                errors[NGX_HTTP_AI_ERRORS];  /* by row */
    ngx_atomic_t                streams;      /* streams answered */
    /* Jobs open now, by ngx_process_slot: one that was killed counts again
     * from nothing when its slot is taken. */
    ngx_atomic_t                active[NGX_MAX_PROCESSES];
    ngx_atomic_t                disconnects;  /* clients that left early */
    ngx_atomic_t                resumed;      /* streams come back for */
    ngx_atomic_t                log_reads;    /* reads of the event log */
    ngx_atomic_t                lagging;      /* times a client was too slow */
    ngx_atomic_t                heartbeats;
    ngx_atomic_t                bytes_in;
    ngx_atomic_t                bytes_out;
    ngx_atomic_t                principal_hits;
    ngx_atomic_t                principal_misses;
    ngx_atomic_t                lookups_refused;
    ngx_atomic_t                token_hits;
    ngx_atomic_t                tokens_verified;
    ngx_atomic_t                tokens_refused;
    ngx_atomic_t                cache_hot;    /* from shared memory */
    ngx_atomic_t                cache_hits;   /* from Redis */
    ngx_atomic_t                cache_joined;
    ngx_atomic_t                redis_errors;
    ngx_http_ai_histogram_t     duration;
    ngx_http_ai_histogram_t     ttft;
    ngx_http_ai_histogram_t     queue;
} ngx_http_ai_metrics_t;

/*
 * Set when a configuration has taken effect: the zone, NULL where there is
 * neither ai_pass nor ai_redis.  Never NULL in a process that has an ai_pass.
 */
extern ngx_http_ai_metrics_t  *ngx_http_ai_metrics;

#define ngx_http_ai_count(field)                                             \
    (void) ngx_atomic_fetch_add(&ngx_http_ai_metrics->field, 1)
#define ngx_http_ai_count_n(field, n)                                        \
    (void) ngx_atomic_fetch_add(&ngx_http_ai_metrics->field,                 \
                                (ngx_atomic_int_t) (n))

void ngx_http_ai_observe(ngx_http_ai_histogram_t *h, uint64_t usec);
/* Duration and first byte of an answer, by times in µs; 0: not reached. */
void ngx_http_ai_observe_answer(uint64_t began, uint64_t first,
    uint64_t ended);
/* init_module of the module. */
ngx_int_t ngx_http_ai_metrics_init_module(ngx_cycle_t *cycle);
/* In a worker process that has an ai_pass, before it takes requests. */
void ngx_http_ai_metrics_init_process(void);
ngx_int_t ngx_http_ai_metrics_zone(ngx_conf_t *cf,
    ngx_http_ai_main_conf_t *amcf);
ngx_int_t ngx_http_ai_metrics_handler(ngx_http_request_t *r);

#endif /* NGX_HTTP_AI_METRICS_H */
