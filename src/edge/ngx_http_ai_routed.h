/*
 * Where an answer comes from, for who asked: X-AI-Provider, X-AI-Attempts and
 * X-AI-Overhead-Ms.
 */

#ifndef NGX_HTTP_AI_ROUTED_H
#define NGX_HTTP_AI_ROUTED_H


#include "ngx_http_ai_ctx.h"


/* Adds them to an answer's headers, those that are known by now; none to what
 * no provider was asked for.  NGX_OK, or NGX_ERROR: no memory. */
ngx_int_t ngx_http_ai_routed_headers(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);


#endif /* NGX_HTTP_AI_ROUTED_H */
