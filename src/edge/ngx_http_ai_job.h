/*
 * A job as JSON: its state, usage and, where it was no stream, its result.
 */

#ifndef NGX_HTTP_AI_JOB_H
#define NGX_HTTP_AI_JOB_H

#include "ngx_http_ai_edge.h"


/* A result larger than this is not shown. */
#define NGX_HTTP_AI_RESULT_MAX  (4 * 1024 * 1024)


/* What is known of a job, for the JSON. */
typedef struct {
    ai_str_t                    id;
    ai_str_t                    state;
    ai_str_t                    model;
    ai_str_t                    usage;        /* line, empty: none yet */
    int64_t                     at;           /* µs, 0: not yet */
    int64_t                     started;
    int64_t                     finished;
    int64_t                     status;       /* of the answer, 0: none */
    ai_str_t                    result;       /* bytes of the answer */
    ai_str_t                    cause;        /* of its error */
    ai_str_t                    message;
    unsigned                    has_result:1;
} ngx_http_ai_job_t;


/* The cause for a job that is not there: gone, or not_found. */
const char *ngx_http_ai_job_gone(ngx_str_t *id);

/* Whose jobs it may see and cancel: those of this user; empty: all of its
 * tenant, as administrators do and keys without a user. */
ngx_str_t ngx_http_ai_job_user(ngx_http_ai_principal_t *p);

/* Cancels, then shows it; the request is held and answered later. */
void ngx_http_ai_job_cancel(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx);

/* Writes the JSON; b->full where it did not fit. */
void ngx_http_ai_job_json(ai_buf_t *b, const ngx_http_ai_job_t *job);


#endif /* NGX_HTTP_AI_JOB_H */
