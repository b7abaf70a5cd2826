/*
 * Keys that are known to be unknown, and what each address may still ask.
 * Owns two tables in the zone's memory; time moves by ngx_current_msec, which
 * all processes share.
 */

#include "ngx_http_ai_unknown.h"


/* Places a key may have; the one that is over first makes room. */
#define NGX_HTTP_AI_UNKNOWN_WAYS     4
#define NGX_HTTP_AI_UNKNOWN_BUDGETS  4096     /* at most */
#define NGX_HTTP_AI_UNKNOWN_ONE      1000     /* a question, so that a ms of
                                                 the rate is a whole number */


typedef struct {
    u_char                      sha[AI_SHA256_HEX];
    ngx_uint_t                  generation;
    time_t                      until;        /* 0: free */
} ngx_http_ai_unknown_key_t;


typedef struct {
    uint32_t                    charged;      /* thousandths of a question */
    ngx_msec_t                  last;
} ngx_http_ai_unknown_budget_t;


struct ngx_http_ai_unknown_s {
    uint32_t                       nsets;
    uint32_t                       nbudgets;
    ngx_http_ai_unknown_key_t     *keys;
    ngx_http_ai_unknown_budget_t  *budgets;
};


static ngx_http_ai_unknown_key_t *ngx_http_ai_unknown_set(
    ngx_http_ai_unknown_t *u, u_char *sha);
static ngx_http_ai_unknown_key_t *ngx_http_ai_unknown_find(
    ngx_http_ai_unknown_t *u, u_char *sha);
static ngx_http_ai_unknown_budget_t *ngx_http_ai_unknown_budget(
    ngx_http_ai_unknown_t *u, uint32_t address);


ngx_http_ai_unknown_t *
ngx_http_ai_unknown_init(ngx_slab_pool_t *shpool, size_t size)
{
    ngx_http_ai_unknown_t  *u;

    u = ngx_slab_calloc(shpool, sizeof(ngx_http_ai_unknown_t));
    if (u == NULL) {
        return NULL;
    }

    u->nbudgets = ngx_min(size / 4 / sizeof(ngx_http_ai_unknown_budget_t),
                          NGX_HTTP_AI_UNKNOWN_BUDGETS);
    u->nsets = size / 4 * 3 / NGX_HTTP_AI_UNKNOWN_WAYS
               / sizeof(ngx_http_ai_unknown_key_t);

    if (u->nbudgets == 0 || u->nsets == 0) {
        return NULL;
    }

    u->budgets = ngx_slab_calloc(shpool, u->nbudgets
                                 * sizeof(ngx_http_ai_unknown_budget_t));
    u->keys = ngx_slab_calloc(shpool, u->nsets * NGX_HTTP_AI_UNKNOWN_WAYS
                              * sizeof(ngx_http_ai_unknown_key_t));

    return u->budgets != NULL && u->keys != NULL ? u : NULL;
}


ngx_uint_t
ngx_http_ai_unknown_get(ngx_http_ai_unknown_t *u, u_char *sha,
    ngx_uint_t generation)
{
    ngx_http_ai_unknown_key_t  *key;

    key = ngx_http_ai_unknown_find(u, sha);

    return key != NULL && key->generation == generation
           && key->until >= ngx_time();
}


void
ngx_http_ai_unknown_put(ngx_http_ai_unknown_t *u, u_char *sha,
    ngx_uint_t generation, time_t until)
{
    ngx_uint_t                  i;
    ngx_http_ai_unknown_key_t  *key, *set;

    key = ngx_http_ai_unknown_find(u, sha);

    if (key == NULL) {
        set = ngx_http_ai_unknown_set(u, sha);
        key = set;

        for (i = 1; i < NGX_HTTP_AI_UNKNOWN_WAYS; i++) {
            if (set[i].until < key->until) {
                key = &set[i];
            }
        }

        ngx_memcpy(key->sha, sha, AI_SHA256_HEX);
    }

    key->generation = generation;
    key->until = until;
}


void
ngx_http_ai_unknown_forget(ngx_http_ai_unknown_t *u, u_char *sha)
{
    ngx_http_ai_unknown_key_t  *key;

    key = ngx_http_ai_unknown_find(u, sha);

    if (key != NULL) {
        key->until = 0;
    }
}


uint32_t
ngx_http_ai_unknown_address(struct sockaddr *sa)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (sa->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            return ngx_murmur_hash2(sin6->sin6_addr.s6_addr + 12, 4);
        }

        return ngx_murmur_hash2(sin6->sin6_addr.s6_addr, 8);
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        return ngx_murmur_hash2((u_char *) &sin->sin_addr.s_addr, 4);
    }

    return 0;
}


ngx_int_t
ngx_http_ai_unknown_charge(ngx_http_ai_unknown_t *u, uint32_t address)
{
    ngx_int_t                      rc;
    ngx_http_ai_unknown_budget_t  *b;

    b = ngx_http_ai_unknown_budget(u, address);

    if (b->charged > (NGX_HTTP_AI_UNKNOWN_BURST - 1) * NGX_HTTP_AI_UNKNOWN_ONE)
    {
        return NGX_DECLINED;
    }

    rc = b->charged ? NGX_AGAIN : NGX_OK;
    b->charged += NGX_HTTP_AI_UNKNOWN_ONE;

    return rc;
}


void
ngx_http_ai_unknown_refund(ngx_http_ai_unknown_t *u, uint32_t address)
{
    ngx_http_ai_unknown_budget_t  *b;

    b = ngx_http_ai_unknown_budget(u, address);

    b->charged -= ngx_min(b->charged, NGX_HTTP_AI_UNKNOWN_ONE);
}


static ngx_http_ai_unknown_key_t *
ngx_http_ai_unknown_set(ngx_http_ai_unknown_t *u, u_char *sha)
{
    return &u->keys[ngx_murmur_hash2(sha, AI_SHA256_HEX) % u->nsets
                    * NGX_HTTP_AI_UNKNOWN_WAYS];
}


static ngx_http_ai_unknown_key_t *
ngx_http_ai_unknown_find(ngx_http_ai_unknown_t *u, u_char *sha)
{
    ngx_uint_t                  i;
    ngx_http_ai_unknown_key_t  *set;

    set = ngx_http_ai_unknown_set(u, sha);

    for (i = 0; i < NGX_HTTP_AI_UNKNOWN_WAYS; i++) {
        if (set[i].until
            && ngx_memcmp(set[i].sha, sha, AI_SHA256_HEX) == 0)
        {
            return &set[i];
        }
    }

    return NULL;
}


/* With what is charged now.  Addresses that meet in one place share it. */

static ngx_http_ai_unknown_budget_t *
ngx_http_ai_unknown_budget(ngx_http_ai_unknown_t *u, uint32_t address)
{
    uint64_t                       paid;
    ngx_msec_int_t                 ms;
    ngx_http_ai_unknown_budget_t  *b;

    b = &u->budgets[address % u->nbudgets];

    ms = (ngx_msec_int_t) (ngx_current_msec - b->last);
    paid = ms > 0 ? (uint64_t) ms * NGX_HTTP_AI_UNKNOWN_RATE : 0;

    if (paid) {
        b->last = ngx_current_msec;
        b->charged -= ngx_min(paid, b->charged);
    }

    return b;
}
