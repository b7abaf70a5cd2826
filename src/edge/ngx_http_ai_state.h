/*
 * What is asked of Responses' state and of conversations alike: jobs without a
 * model, whose body the edge writes.
 */

#ifndef NGX_HTTP_AI_STATE_H
#define NGX_HTTP_AI_STATE_H

#include "ngx_http_ai_ctx.h"


/* Bytes of what the edge itself writes: names, ids and a page. */
#define NGX_HTTP_AI_STATE_BODY  1024


/* Whether it can be an id at all: NGX_OK or NGX_DECLINED. */
ngx_int_t ngx_http_ai_state_id(ngx_str_t *id);

/* Whether "after", where a page is asked for by it, is one: as above.  What its
 * client is told else. */
ngx_int_t ngx_http_ai_state_after(ngx_http_request_t *r);
extern ngx_str_t  ngx_http_ai_state_no_after;

/* Members that say which page of a list the request's arguments ask for. */
void ngx_http_ai_state_page(ngx_http_request_t *r, ai_buf_t *b);

/* Makes buf, of the request's pool, the job's body: NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_ai_state_body(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_buf_t *buf);

/* What stands before the body that a client sends to a conversation; with '}'
 * behind it, it is a job's. */
void ngx_http_ai_conversation_head(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ai_buf_t *b);


#endif /* NGX_HTTP_AI_STATE_H */
