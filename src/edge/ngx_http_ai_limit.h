/*
 * Limits of a request: which apply (of its tenant's ai_plan and its location's
 * ai_limit), what it will take, what admit said of them, and the headers that
 * tell the client.  All lies in the request's pool.
 */

#ifndef NGX_HTTP_AI_LIMIT_H
#define NGX_HTTP_AI_LIMIT_H

#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_steps.h"


/* A request's limits; in ctx->limits, NULL: it has none. */
struct ngx_http_ai_limits_s {
    ngx_uint_t                  n;
    ngx_http_ai_limit_t        *line[AI_LIMIT_LINES];
    ngx_str_t                   value[AI_LIMIT_LINES]; /* whom it limits */
    ngx_str_t                   policy;       /* argument of admit */
    size_t                      head;         /* of it, before the limits */
    ngx_str_t                   state;        /* of its reply */
    ngx_http_ai_limit_t        *named;        /* refused, or would have */
    unsigned                    dry:1;
};


/* The plan of a principal, or NULL. */
ngx_http_ai_plan_t *ngx_http_ai_plan(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_principal_t *p);
/* Its weight: Postgres' where that is not 1, else the plan's. */
ngx_uint_t ngx_http_ai_weight(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_principal_t *p);

/*
 * Sets ctx->limits for ctx->principal and what is known of the body.  NGX_OK;
 * NGX_DECLINED: the model has no price, and there is a budget; NGX_ERROR.
 */
ngx_int_t ngx_http_ai_limit_find(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);

/* Its policy where no provider answers: the same for alike requests, whatever
 * their length.  In a buffer of the process, until it is called again. */
void ngx_http_ai_limit_free(ngx_http_ai_limits_t *l, ngx_str_t *policy);

/* What the reply to admit says: OK (from its element `at` on), or LIMIT, which
 * ends the request. */
void ngx_http_ai_limit_passed(ngx_http_ai_open_t *open, ai_resp_t *reply,
    size_t at);
void ngx_http_ai_limit_refused(ngx_http_ai_open_t *open, ai_resp_t *reply);

/* It as $ai_limit has it: "tenant limit of 60 requests per minute". */
ngx_int_t ngx_http_ai_limit_text(ngx_pool_t *pool, ngx_http_ai_limit_t *limit,
    ngx_str_t *s);

/* Adds the headers of the client's dialect, in the place of a provider's of
 * the same names.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_ai_limit_headers(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);


#endif /* NGX_HTTP_AI_LIMIT_H */
