/*
 * A body over 256 KB on its way to Redis: piece after piece, so that no
 * command moves more than one and nobody waits behind it for long.
 * The body stays the request's; the key is the job's once it is admitted.
 */

#ifndef NGX_HTTP_AI_STORE_H
#define NGX_HTTP_AI_STORE_H

#include "ngx_http_ai_open.h"


/*
 * How it went: NGX_OK, it is there, in open->pieces pieces; NGX_DONE, the job
 * was admitted before and has its body; NGX_DECLINED, Redis has no memory for
 * it; NGX_ERROR, anything else.  May finalize the request.
 */
typedef void (*ngx_http_ai_store_pt)(ngx_http_ai_open_t *open, ngx_int_t rc);

/*
 * Stores open->ctx->body, with open->cmd, which must be free.
 * NGX_OK: done will be called, never from within, unless the request closes;
 * NGX_ERROR: Redis is not there.  open->bulk is set once something is stored.
 */
ngx_int_t ngx_http_ai_store(ngx_http_ai_open_t *open,
    ngx_http_ai_store_pt done);


#endif /* NGX_HTTP_AI_STORE_H */
