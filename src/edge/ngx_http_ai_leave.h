/*
 * Leaving a job: Redis is told, again until it has heard it, whatever becomes
 * of the request.
 */

#ifndef NGX_HTTP_AI_LEAVE_H
#define NGX_HTTP_AI_LEAVE_H

#include "ngx_http_ai_edge.h"

/* Once, before any other. */
void ngx_http_ai_leave_init(void);

/* This edge does not listen to the job any more.  unsure: its admit may be
 * under way, so that an unknown job is asked about once more. */
void ngx_http_ai_leave(ngx_str_t *job, ngx_uint_t shard, ngx_uint_t unsure,
    ngx_uint_t joins);

/* At the end of the process, behind the end of its connections: what nobody
 * was told is found by the sweep, as this edge has no heartbeat any more. */
void ngx_http_ai_leave_done(void);

/* What could not be told: now, from the heartbeat. */
void ngx_http_ai_leave_again(void);

#endif /* NGX_HTTP_AI_LEAVE_H */
