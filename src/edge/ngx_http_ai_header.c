/*
 * Headers of requests and answers; see the header.
 * Owns nothing: a walk lies on its caller's stack, headers in the request.
 */

#include "ngx_http_ai_header.h"


void
ngx_http_ai_headers(ngx_http_ai_headers_t *h, ngx_list_t *list)
{
    h->part = &list->part;
    h->i = 0;
}


ngx_table_elt_t *
ngx_http_ai_headers_next(ngx_http_ai_headers_t *h)
{
    ngx_table_elt_t  *elts;

    while (h->i >= h->part->nelts) {

        if (h->part->next == NULL) {
            return NULL;
        }

        h->part = h->part->next;
        h->i = 0;
    }

    elts = h->part->elts;

    return &elts[h->i++];
}


ngx_table_elt_t *
ngx_http_ai_headers_named(ngx_http_ai_headers_t *h, ngx_str_t *name)
{
    ngx_table_elt_t  *elt;

    do {
        elt = ngx_http_ai_headers_next(h);

    } while (elt != NULL
             && (elt->key.len != name->len
                 || ngx_strncasecmp(elt->key.data, name->data, name->len)
                    != 0));

    return elt;
}


ngx_table_elt_t *
ngx_http_ai_header(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_http_ai_headers_t  headers;

    ngx_http_ai_headers(&headers, &r->headers_in.headers);

    return ngx_http_ai_headers_named(&headers, name);
}


ngx_table_elt_t *
ngx_http_ai_push_header(ngx_http_request_t *r, ngx_str_t *key,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    h->key = *key;
    h->value = *value;
    h->lowcase_key = NULL;

    return h;
}


ngx_int_t
ngx_http_ai_add_header(ngx_http_request_t *r, ngx_str_t *key, ngx_str_t *value)
{
    return ngx_http_ai_push_header(r, key, value) != NULL ? NGX_OK
                                                          : NGX_ERROR;
}
