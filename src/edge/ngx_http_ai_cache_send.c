/*
 * An answer that is kept, to the client, in one piece.  What is borrowed from
 * the hit must live as long as the request.
 */

#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_limit.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_stream.h"
#include "ai_record.h"


ngx_int_t
ngx_http_ai_cache_send(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_http_ai_hit_t *hit)
{
    ngx_str_t             key, value;
    ngx_http_ai_share_t  *share;

    share = ctx->share;

    share->hit = 1;
    share->age = hit->age;
    share->etag = hit->etag;
    ctx->usage_line = hit->usage;
    ctx->ended = ngx_http_ai_usec();
    ctx->first = ctx->ended;

    ngx_http_ai_observe_answer(ctx->began, ctx->first, ctx->ended);

    ngx_str_set(&key, "X-AI-Job");

    if (ngx_http_ai_cache_head(r, ctx, &hit->head) != NGX_OK
        || ngx_http_ai_add_header(r, &key, &ctx->job) != NGX_OK
        || ngx_http_ai_cache_headers(r, ctx) != NGX_OK
        || ngx_http_ai_limit_headers(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (share->shape == 'o') {
        return ngx_http_ai_send(r, "application/json", hit->body.data,
                                hit->body.len);
    }

    ngx_http_ai_count(streams);

    ngx_str_set(&key, "Cache-Control");
    ngx_str_set(&value, "no-cache, no-transform");

    if (ngx_http_ai_add_header(r, &key, &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

#if (NGX_HTTP_GZIP)
    r->gzip_tested = 1;
    r->gzip_ok = 0;
#endif

    return ngx_http_ai_send(r, "text/event-stream", hit->body.data,
                            hit->body.len);
}


ngx_int_t
ngx_http_ai_cache_head(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_str_t *head)
{
    int        rc;
    int64_t    n;
    ai_str_t   rest, name, value;

    rest = ngx_http_ai_str(head);
    r->headers_out.status = NGX_HTTP_OK;

    while ((rc = ai_record_next(&rest, &name, &value)) == 1) {

        if (ai_str_eqz(name, "status")) {
            if (ai_str_int(value, &n) != 0 || n < 200 || n > 299) {
                return NGX_ERROR;
            }

            r->headers_out.status = n;

        } else if (ai_str_eqz(name, "provider")) {
            ctx->provider.data = (u_char *) value.data;
            ctx->provider.len = value.len;

        } else if (ai_str_eqz(name, "model")) {
            ctx->provider_model.data = (u_char *) value.data;
            ctx->provider_model.len = value.len;

        } else if (ai_str_eqz(name, "header")
                   && ngx_http_ai_take_header(r, value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return rc < 0 ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_ai_cache_headers(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    u_char               *p;
    ngx_str_t             key, value;
    ngx_table_elt_t      *h;
    ngx_http_ai_share_t  *share;

    share = ctx->share;

    if (share == NULL) {
        return NGX_OK;
    }

    ngx_str_set(&key, "X-AI-Cache");

    if (ngx_http_ai_add_header(r, &key, &share->status) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!share->hit) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + share->etag.len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&key, "Age");
    value.data = p;
    value.len = ngx_sprintf(p, "%T", share->age) - p;

    if (ngx_http_ai_add_header(r, &key, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    p += value.len;

    ngx_str_set(&key, "ETag");
    value.data = p;
    value.len = ngx_sprintf(p, "\"%V\"", &share->etag) - p;

    h = ngx_http_ai_push_header(r, &key, &value);
    if (h == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.etag = h;

    return NGX_OK;
}
