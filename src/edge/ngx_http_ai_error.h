/*
 * Errors to the client in its dialect: as an answer while no header has left,
 * as the bytes that end a stream afterwards, and those nginx itself makes.
 */

#ifndef NGX_HTTP_AI_ERROR_H
#define NGX_HTTP_AI_ERROR_H

#include "ngx_http_ai_ctx.h"

/*
 * Answers with the error of this cause: status, body in ctx->dialect,
 * Retry-After (retry_after seconds, -1: the table's), X-AI-Job if there is a
 * job.  Returns what the content handler returns, for finalize.  message NULL
 * or empty: the table's.  status 0: the table's.  Not after the header left.
 */
ngx_int_t ngx_http_ai_error_send(ngx_http_request_t *r, const char *cause,
    ngx_str_t *message, ngx_uint_t status, time_t retry_after);

/* The event that ends a stream with this error, from the request's pool; NULL:
 * no memory.  number: of the event, where its dialect counts them. */
ngx_buf_t *ngx_http_ai_error_event(ngx_http_request_t *r, const char *cause,
    ngx_str_t *message, int64_t number);

/* What a handler that needs a client returns to a subrequest: says so in the
 * log, and is 500. */
ngx_int_t ngx_http_ai_error_subrequest(ngx_http_request_t *r,
    char *directive);

/* The dialect of a request by its path and headers, for errors before its
 * endpoint is known. */
ai_dialect_e ngx_http_ai_error_dialect(ngx_http_request_t *r);

/* Content handler of ai_error: what error_page leads to. */
ngx_int_t ngx_http_ai_error_handler(ngx_http_request_t *r);

/* Answers with a JSON body from the request's pool, that nobody may keep. */
ngx_int_t ngx_http_ai_send_json(ngx_http_request_t *r, ngx_uint_t status,
    u_char *body, size_t len);
/* Sends the header, whose status is set, and a body from the request's pool;
 * type is constant text. */
ngx_int_t ngx_http_ai_send(ngx_http_request_t *r, char *type, u_char *body,
    size_t len);

#endif /* NGX_HTTP_AI_ERROR_H */
