/*
 * What admit found to be out of date: the principal, or counters of the
 * ledger.  Both are asked for anew, and admit is given once more.
 * Owns nothing: both waiters lie in the request and are cancelled when it
 * closes.
 */

#include "ngx_http_ai_recheck.h"
#include "ngx_http_ai_admit.h"
#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_limit.h"
#include "ngx_http_ai_models.h"
#include "ngx_http_ai_steps.h"
#include "ngx_http_ai_stream.h"


static void ngx_http_ai_recheck_looked(ngx_http_ai_lookup_t *l,
    ngx_uint_t state, ngx_http_ai_principal_t *p);
static void ngx_http_ai_recheck_seeded(ngx_http_ai_seed_t *s, ngx_uint_t ok);


void
ngx_http_ai_recheck_principal(ngx_http_ai_open_t *open)
{
    u_char             *sha;
    ngx_http_ai_ctx_t  *ctx;

    ctx = open->ctx;

    if (open->stale || (!ctx->keyed && ctx->tenant_version.len == 0)) {
        ngx_http_ai_stream_redis_error(open);
        return;
    }

    open->stale = 1;

    sha = ctx->tenant_version.len ? ctx->tenant_sha : ctx->key_sha;
    ctx->lookup.tenant = ctx->tenant_version.len ? &ctx->tenant : NULL;
    ctx->lookup.address = open->request->connection->sockaddr;

    ngx_http_ai_zone_forget(ngx_http_ai_edge->amcf->principals, sha);

    ctx->lookup.handler = ngx_http_ai_recheck_looked;
    ctx->lookup.data = open;

    if (ngx_http_ai_lookup(&ctx->lookup, sha) != NGX_OK) {
        ngx_http_ai_stream_redis_error(open);
    }
}


static void
ngx_http_ai_recheck_looked(ngx_http_ai_lookup_t *l, ngx_uint_t state,
    ngx_http_ai_principal_t *p)
{
    ngx_http_ai_open_t *open = l->data;

    ngx_int_t                 rc;
    ngx_http_ai_ctx_t        *ctx;
    ngx_http_ai_principal_t  *was;

    ctx = open->ctx;
    was = ctx->principal;

    if (l->tenant != NULL) {
        ngx_http_ai_tenant_known(ctx, state, p);

    } else {

        if (p != NULL) {
            p = ngx_http_ai_principal_dup(open->request->pool, p);

            if (p == NULL) {
                state = NGX_HTTP_AI_KEY_DOWN;
            }
        }

        ngx_http_ai_identified(ctx, state, p);
        ngx_http_ai_tenant_again(ctx, was);
    }

    if (ctx->principal == NULL
        || ngx_http_ai_permit(open->request, ctx) != NGX_OK)
    {
        if (state == NGX_HTTP_AI_KEY_DOWN) {
            ngx_http_ai_stream_redis_error(open);

        } else {
            open->message = ctx->refusal_text;
            ngx_http_ai_stream_fail(open, ctx->refusal, 0, -1);
        }

        return;
    }

    if (ngx_http_ai_model_allowed(ctx->principal, &ctx->model) != NGX_OK) {
        ngx_http_ai_stream_fail(open, "model_not_allowed", 0, -1);
        return;
    }

    open->tenant = ctx->principal->tenant;
    open->shard = ngx_http_ai_edge_shard(&open->tenant);

    ngx_http_ai_cache_unshare(ctx);

    rc = ngx_http_ai_limit_find(open->request, ctx);

    if (rc == NGX_DECLINED) {
        open->message = ngx_http_ai_admit_unpriced;
        ngx_http_ai_stream_fail(open, "model_not_allowed", 0, -1);
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_ai_stream_fail(open, "internal", 0, -1);
        return;
    }

    ngx_http_ai_admit_again(open);
}


void
ngx_http_ai_recheck_counters(ngx_http_ai_open_t *open, ai_str_t missing)
{
    open->seed.handler = ngx_http_ai_recheck_seeded;
    open->seed.data = open;

    if (ngx_http_ai_seed(&open->seed, open->ctx, missing) != NGX_OK) {
        ngx_http_ai_recheck_unseeded(open);
        return;
    }

    ngx_http_ai_stream_timer(open, 1);
}


static void
ngx_http_ai_recheck_seeded(ngx_http_ai_seed_t *s, ngx_uint_t ok)
{
    ngx_http_ai_open_t *open = s->data;

    if (!ok
        || (ngx_msec_int_t) (ngx_current_msec - open->deadline) >= 0)
    {
        ngx_http_ai_recheck_unseeded(open);
        return;
    }

    ngx_http_ai_admit_again(open);
}


void
ngx_http_ai_recheck_unseeded(ngx_http_ai_open_t *open)
{
    ngx_http_ai_ctx_t  *ctx;

    static time_t  said;

    ctx = open->ctx;

    ngx_log_error(ngx_http_ai_seldom(&said), open->request->connection->log, 0,
                  "ai: what tenant \"%V\" has used of a day or a month is not "
                  "known: the ledger cannot be asked", &open->tenant);

    if (ctx->limits != NULL && ctx->limits->dry) {
        ctx->limits = NULL;
        ngx_http_ai_admit_again(open);
        return;
    }

    ngx_http_ai_stream_fail(open, "unavailable",
                            open->conf->redis_error_status,
                            open->conf->redis_error_retry_after);
}
