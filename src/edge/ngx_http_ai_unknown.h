/*
 * Keys that are known to be unknown, and who asked for such: a table and a
 * budget of their own beside the principals, which a flood of bad keys can
 * therefore not push out.  Both lie in the zone of the principals and belong
 * to it: the caller holds its mutex.
 */

#ifndef NGX_HTTP_AI_UNKNOWN_H
#define NGX_HTTP_AI_UNKNOWN_H

#include "ngx_http_ai_conf.h"


/*
 * Questions to a worker that came to nothing: an address (of IPv6 its /64) has
 * so many, and so many more a second.  One that found a key is given back.
 */
#define NGX_HTTP_AI_UNKNOWN_BURST  100
#define NGX_HTTP_AI_UNKNOWN_RATE   10


typedef struct ngx_http_ai_unknown_s  ngx_http_ai_unknown_t;

/* From size bytes of the pool; NULL: no memory. */
ngx_http_ai_unknown_t *ngx_http_ai_unknown_init(ngx_slab_pool_t *shpool,
    size_t size);

/* Whether sha is one, until a time that has not come, of this generation. */
ngx_uint_t ngx_http_ai_unknown_get(ngx_http_ai_unknown_t *u, u_char *sha,
    ngx_uint_t generation);
void ngx_http_ai_unknown_put(ngx_http_ai_unknown_t *u, u_char *sha,
    ngx_uint_t generation, time_t until);
void ngx_http_ai_unknown_forget(ngx_http_ai_unknown_t *u, u_char *sha);

/* By whom a question is charged: a number for the two below. */
uint32_t ngx_http_ai_unknown_address(struct sockaddr *sa);
/* NGX_OK: may be asked, nothing was charged lately; NGX_AGAIN: may; else
 * NGX_DECLINED. */
ngx_int_t ngx_http_ai_unknown_charge(ngx_http_ai_unknown_t *u,
    uint32_t address);
void ngx_http_ai_unknown_refund(ngx_http_ai_unknown_t *u, uint32_t address);


#endif /* NGX_HTTP_AI_UNKNOWN_H */
