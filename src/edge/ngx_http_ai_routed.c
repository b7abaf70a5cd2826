/*
 * X-AI-Provider, X-AI-Attempts, X-AI-Overhead-Ms.  Values lie in the request's
 * pool.
 */

#include "ngx_http_ai_routed.h"
#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_header.h"
#include "ngx_http_ai_steps.h"


static ngx_int_t ngx_http_ai_routed_number(ngx_http_request_t *r, char *name,
    int64_t n, int64_t thousandths);


ngx_int_t
ngx_http_ai_routed_headers(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    int64_t      usec, attempts;
    ngx_str_t    key, provider;
    ai_usage_t   u;

    if (ngx_http_ai_cache_is_hit(ctx) || ngx_http_ai_cache_is_joined(ctx)) {
        return NGX_OK;
    }

    provider = ctx->provider;
    attempts = ctx->attempts;

    /* Without a head there is an end. */

    if (provider.len == 0 && ctx->usage_line.len
        && ai_usage_parse(ngx_http_ai_str(&ctx->usage_line), &u) == 0)
    {
        provider.data = (u_char *) u.provider.data;
        provider.len = u.provider.len;
        attempts = u.attempts;
    }

    if (provider.len == 0) {
        return NGX_OK;
    }

    ngx_str_set(&key, "X-AI-Provider");

    if (ngx_http_ai_add_header(r, &key, &provider) != NGX_OK) {
        return NGX_ERROR;
    }

    if (attempts >= 0
        && ngx_http_ai_routed_number(r, "X-AI-Attempts", attempts, -1)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    usec = (int64_t) (ngx_http_ai_usec() - ctx->began) - ctx->waited;

    if (ctx->waited < 0 || ctx->began == 0 || usec < 0) {
        return NGX_OK;
    }

    return ngx_http_ai_routed_number(r, "X-AI-Overhead-Ms", usec / 1000,
                                     usec % 1000);
}


static ngx_int_t
ngx_http_ai_routed_number(ngx_http_request_t *r, char *name, int64_t n,
    int64_t thousandths)
{
    u_char     *p;
    ngx_str_t   key, value;

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN + 4);
    if (p == NULL) {
        return NGX_ERROR;
    }

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    value.data = p;
    p = ngx_sprintf(p, "%L", n);

    if (thousandths >= 0) {
        p = ngx_sprintf(p, ".%03L", thousandths);
    }

    value.len = p - value.data;

    return ngx_http_ai_add_header(r, &key, &value);
}
