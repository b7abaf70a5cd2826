/*
 * Headers of requests and answers: one walk over nginx's lists of them, and
 * what is added to an answer.
 */

#ifndef NGX_HTTP_AI_HEADER_H
#define NGX_HTTP_AI_HEADER_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    ngx_list_part_t            *part;
    ngx_uint_t                  i;            /* the next of that part */
} ngx_http_ai_headers_t;


/* Begins a walk over r->headers_in.headers or headers_out.headers. */
void ngx_http_ai_headers(ngx_http_ai_headers_t *h, ngx_list_t *list);
/* The next one, or the next of this name, whatever its case; NULL: no more. */
ngx_table_elt_t *ngx_http_ai_headers_next(ngx_http_ai_headers_t *h);
ngx_table_elt_t *ngx_http_ai_headers_named(ngx_http_ai_headers_t *h,
    ngx_str_t *name);

/* The first request header of this name; NULL: none. */
ngx_table_elt_t *ngx_http_ai_header(ngx_http_request_t *r, ngx_str_t *name);

/* Adds a header to the answer; key and value stay where they are.  NULL, or
 * NGX_ERROR: no memory. */
ngx_table_elt_t *ngx_http_ai_push_header(ngx_http_request_t *r, ngx_str_t *key,
    ngx_str_t *value);
ngx_int_t ngx_http_ai_add_header(ngx_http_request_t *r, ngx_str_t *key,
    ngx_str_t *value);


#endif /* NGX_HTTP_AI_HEADER_H */
