/*
 * Asking a worker to fill counters of a day or a month from the ledger: one
 * question at a time however many requests wait for it.  The waiter is
 * embedded in its owner, who cancels it before it dies.
 */

#ifndef NGX_HTTP_AI_SEED_H
#define NGX_HTTP_AI_SEED_H

#include "ngx_http_ai_ctx.h"
#include "ngx_http_ai_question.h"


typedef struct ngx_http_ai_seed_s  ngx_http_ai_seed_t;

/* Called once, from the event loop.  ok: admit is worth another try; else the
 * ledger cannot be asked now. */
typedef void (*ngx_http_ai_seed_pt)(ngx_http_ai_seed_t *s, ngx_uint_t ok);

struct ngx_http_ai_seed_s {
    ngx_http_ai_waiter_t        waiter;
    ngx_http_ai_seed_pt         handler;
    void                       *data;
};


/* missing: which lines of ctx->limits, from 0, blank-separated.  NGX_OK: the
 * handler will be called.  NGX_DECLINED: it will not. */
ngx_int_t ngx_http_ai_seed(ngx_http_ai_seed_t *s, ngx_http_ai_ctx_t *ctx,
    ai_str_t missing);

/* The handler will not be called any more. */
void ngx_http_ai_seed_cancel(ngx_http_ai_seed_t *s);

/* A worker has answered: ok or down. */
void ngx_http_ai_seed_bell(u_char *sha, ai_str_t status);


#endif /* NGX_HTTP_AI_SEED_H */
