/*
 * Looking a key up, or a tenant, in Redis and, where it is not there, through a
 * worker in Postgres: one look-up at a time a key, whatever number of requests
 * wait for it.  The waiter is embedded in its owner, who cancels it before it
 * dies.
 */

#ifndef NGX_HTTP_AI_LOOKUP_H
#define NGX_HTTP_AI_LOOKUP_H

#include "ngx_http_ai_question.h"
#include "ngx_http_ai_zone.h"


typedef struct ngx_http_ai_lookup_s  ngx_http_ai_lookup_t;

/* Called once, from the event loop; p is set for an active key and valid
 * during the call only. */
typedef void (*ngx_http_ai_lookup_pt)(ngx_http_ai_lookup_t *l,
    ngx_uint_t state, ngx_http_ai_principal_t *p);

struct ngx_http_ai_lookup_s {
    ngx_http_ai_waiter_t        waiter;
    ngx_http_ai_lookup_pt       handler;
    void                       *data;
    ngx_str_t                  *tenant;       /* NULL: a key */
    struct sockaddr            *address;      /* whose question it is */
};


/*
 * sha is that of the key's text, or of the tenant (ngx_http_ai_lookup_tenant).
 * NGX_OK: the handler will be called.  NGX_DECLINED: it will not, Redis cannot
 * be asked now or too many keys are being looked up.
 */
ngx_int_t ngx_http_ai_lookup(ngx_http_ai_lookup_t *l, u_char *sha);

/* The handler will not be called any more. */
void ngx_http_ai_lookup_cancel(ngx_http_ai_lookup_t *l);

/* What shared memory knows a tenant by: its mark and its name, so no key's
 * text.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_ai_lookup_tenant(u_char *sha, ai_str_t tenant);

/* A worker has looked a key or tenant up: ok, none or down. */
void ngx_http_ai_lookup_bell(u_char *sha, ai_str_t status);


#endif /* NGX_HTTP_AI_LOOKUP_H */
