/*
 * The context of a request: where it is kept and how it is found again.
 * It belongs to the request's pool; a cleanup counts the request at its end.
 */

#include "ngx_http_ai_ctx.h"
#include "ngx_http_ai_metrics.h"


static void ngx_http_ai_ctx_keep(void *data);
static void ngx_http_ai_ctx_count(void *data);


ngx_http_ai_ctx_t *
ngx_http_ai_get_ctx(ngx_http_request_t *r)
{
    ngx_http_ai_ctx_t   *ctx;
    ngx_http_cleanup_t  *hcln;
    ngx_pool_cleanup_t  *cln;

    ctx = ngx_http_ai_find_ctx(r);

    if (ctx != NULL) {
        return ctx;
    }

    r = r->main;

    hcln = ngx_http_cleanup_add(r, 0);
    if (hcln == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_ai_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_ai_ctx_t));

    ctx->request = r;
    ctx->began = ngx_http_ai_usec();

    cln->handler = ngx_http_ai_ctx_keep;

    hcln->handler = ngx_http_ai_ctx_count;
    hcln->data = ctx;

    ngx_http_set_ctx(r, ctx, ngx_http_ai_module);

    return ctx;
}


ngx_http_ai_ctx_t *
ngx_http_ai_find_ctx(ngx_http_request_t *r)
{
    ngx_http_ai_ctx_t   *ctx;
    ngx_pool_cleanup_t  *cln;

    r = r->main;

    ctx = ngx_http_get_module_ctx(r, ngx_http_ai_module);

    if (ctx != NULL || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }

    /* an internal redirect has cleared the contexts */

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler == ngx_http_ai_ctx_keep) {
            ctx = cln->data;
            ngx_http_set_ctx(r, ctx, ngx_http_ai_module);
            break;
        }
    }

    return ctx;
}


/* Its address is how the context is told from other cleanups. */

static void
ngx_http_ai_ctx_keep(void *data)
{
    ngx_http_ai_ctx_t  *ctx = data;

    ctx->request = NULL;
}


static void
ngx_http_ai_ctx_count(void *data)
{
    ngx_http_ai_ctx_t  *ctx = data;

    ngx_uint_t          class;

    if (!ctx->endpoint) {
        return;
    }

    class = ctx->request->headers_out.status / 100;

    if (class > 5) {
        class = 0;
    }

    ngx_http_ai_count(requests[ctx->dialect][class]);
    ngx_http_ai_count_n(bytes_in, ctx->request->request_length);
    ngx_http_ai_count_n(bytes_out, ctx->request->connection->sent);
}


ngx_http_ai_principal_t *
ngx_http_ai_principal_dup(ngx_pool_t *pool, ngx_http_ai_principal_t *p)
{
    size_t                    len;
    u_char                   *last;
    ngx_str_t                *s[NGX_HTTP_AI_ZONE_STRINGS];
    ngx_uint_t                i;
    ngx_http_ai_principal_t  *copy;

    copy = ngx_palloc(pool, sizeof(ngx_http_ai_principal_t));
    if (copy == NULL) {
        return NULL;
    }

    *copy = *p;

    ngx_http_ai_principal_strings(copy, s);
    len = 1;

    for (i = 0; i < NGX_HTTP_AI_ZONE_STRINGS; i++) {
        len += s[i]->len;
    }

    last = ngx_pnalloc(pool, len);
    if (last == NULL) {
        return NULL;
    }

    for (i = 0; i < NGX_HTTP_AI_ZONE_STRINGS; i++) {

        if (s[i]->len == 0) {
            s[i]->data = last;
            continue;
        }

        ngx_memcpy(last, s[i]->data, s[i]->len);
        s[i]->data = last;
        last += s[i]->len;
    }

    return copy;
}


uint64_t
ngx_http_ai_usec(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


ngx_uint_t
ngx_http_ai_seldom(time_t *last)
{
    if (*last == ngx_time()) {
        return NGX_LOG_INFO;
    }

    *last = ngx_time();

    return NGX_LOG_WARN;
}


ngx_int_t
ngx_http_ai_make_job(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    ctx->job.data = ngx_pnalloc(r->pool, AI_JOB_ID_LEN);
    ctx->job.len = 0;

    if (ctx->job.data == NULL
        || ai_id_job((char *) ctx->job.data,
                     (uint64_t) tp->sec * 1000 + tp->msec) != 0)
    {
        return NGX_ERROR;
    }

    ctx->job.len = AI_JOB_ID_LEN;

    return NGX_OK;
}
