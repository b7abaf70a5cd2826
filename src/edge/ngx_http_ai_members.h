/*
 * The members of a request's body that the edge reads: model, stream, how much
 * may be written, and what decides whether the answer may be shared.  The
 * scanner finds them as the body arrives; the rest of it is the provider's.
 */

#ifndef NGX_HTTP_AI_MEMBERS_H
#define NGX_HTTP_AI_MEMBERS_H

#include "ngx_http_ai_ctx.h"


/* Makes a scanner that finds them; before the body's first byte. */
void ngx_http_ai_members_init(ai_json_t *json);

/*
 * Once the scanner has taken all of ctx->body: fills model, stream, max_output
 * and usage_asked.  NGX_OK; NGX_DECLINED: wrong says what the client did wrong
 * (constant text); NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_ai_members(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ai_json_t *json, ngx_str_t *wrong);

/* After that, where ctx->share is set: gives ngx_http_ai_cache_asked() what it
 * asks of the body. */
void ngx_http_ai_members_share(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ai_json_t *json);


#endif /* NGX_HTTP_AI_MEMBERS_H */
