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

    return ngx_http_ai_error_send(r, cause, NULL, 0, -1);
}
