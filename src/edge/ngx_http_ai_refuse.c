/*
 * Who may not: 401 and 403 in the access phase, so that satisfy, allow, deny
 * and auth_request compose with them.
 */

#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_steps.h"


ngx_int_t
ngx_http_ai_refuse_handler(ngx_http_request_t *r)
{
    ngx_http_ai_ctx_t         *ctx;
    ngx_http_ai_loc_conf_t    *alcf;
    ngx_http_core_loc_conf_t  *clcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    if (!alcf->pass || alcf->auth == NGX_HTTP_AI_AUTH_OFF) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_ai_find_ctx(r);

    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->principal != NULL) {
        return NGX_OK;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /* Another access check may let the request through where any suffices. */

    if (clcf->satisfy != NGX_HTTP_SATISFY_ALL) {

        if (ngx_strcmp(ctx->refusal, "unauthenticated") == 0) {

            if (ngx_http_ai_challenge(r, ctx) != NGX_OK) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            return NGX_HTTP_UNAUTHORIZED;
        }

        if (ngx_strcmp(ctx->refusal, "forbidden") == 0) {
            return NGX_HTTP_FORBIDDEN;
        }
    }

    ngx_http_finalize_request(r, ngx_http_ai_refuse(r, ctx));

    return NGX_DONE;
}


ngx_int_t
ngx_http_ai_refuse(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    const char              *cause;
    ngx_int_t                rc;
    ngx_http_ai_loc_conf_t  *alcf;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    cause = ctx->refusal != NULL ? ctx->refusal : "unauthenticated";

    if (ngx_strcmp(cause, "unavailable") == 0) {
        alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

        return ngx_http_ai_error_send(r, cause, NULL,
                                      alcf->redis_error_status,
                                      alcf->redis_error_retry_after);
    }

    if (ngx_strcmp(cause, "unauthenticated") == 0
        && ngx_http_ai_challenge(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_ai_error_send(r, cause, NULL, 0, -1);
}


/* RFC 6750, 3. */

ngx_int_t
ngx_http_ai_challenge(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_table_elt_t         *h;
    ngx_http_ai_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    if (!(alcf->auth & NGX_HTTP_AI_AUTH_JWT) || ctx->challenged) {
        return NGX_OK;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    ngx_str_set(&h->key, "WWW-Authenticate");

    if (ctx->presented) {
        ngx_str_set(&h->value, "Bearer error=\"invalid_token\"");

    } else {
        ngx_str_set(&h->value, "Bearer");
    }

    r->headers_out.www_authenticate = h;
    ctx->challenged = 1;

    return NGX_OK;
}
