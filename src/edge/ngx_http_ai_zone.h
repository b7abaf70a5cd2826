/*
 * Principals in shared memory, by the SHA-256 of their key or token: tables
 * of fixed records, the least recently used one makes room.  Keys and tokens
 * have one each, for tokens are many and short-lived.  Nothing exact lives
 * here: a look-up that misses asks Redis, or verifies.  All calls are short,
 * under the zone's own mutex, and from the event loop.
 */

#ifndef NGX_HTTP_AI_ZONE_H
#define NGX_HTTP_AI_ZONE_H

#include "ngx_http_ai_conf.h"


/* What is known of a key. */
#define NGX_HTTP_AI_KEY_ACTIVE     0
#define NGX_HTTP_AI_KEY_UNKNOWN    1
#define NGX_HTTP_AI_KEY_REVOKED    2
#define NGX_HTTP_AI_KEY_DISABLED   3          /* its tenant is */
#define NGX_HTTP_AI_KEY_DOWN       4          /* unknowable; never stored */

/* Seconds a record is believed. */
#define NGX_HTTP_AI_ZONE_TTL          3600
#define NGX_HTTP_AI_ZONE_UNKNOWN_TTL  5

/* Bytes of all strings of a principal; one with more is not stored. */
#define NGX_HTTP_AI_ZONE_TEXT      840


/* Of those, how many text fields a principal has; see
 * ngx_http_ai_principal_strings. */
#define NGX_HTTP_AI_ZONE_STRINGS   10

/*
 * A principal as shared memory and Redis have it (docs/wire.md, 7).  A
 * tenant's record is one, too: of tenant, plan, weight, version, and with its
 * mark as id.
 */
typedef struct {
    ngx_str_t                   id;           /* key id */
    ngx_str_t                   version;
    ngx_str_t                   tenant;
    ngx_str_t                   user;
    ngx_str_t                   role;
    ngx_str_t                   scopes;
    ngx_str_t                   models;       /* space-separated, empty: all */
    ngx_str_t                   plan;         /* the tenant's */
    ngx_str_t                   networks;     /* space-separated, empty: all */
    ngx_str_t                   tenants;      /* a token's, as networks */
    ngx_uint_t                  weight;
    time_t                      expires;      /* 0: never */
    time_t                      until;        /* not remembered longer; or 0 */
    unsigned                    anonymous:1;  /* ai_auth off */
    unsigned                    jwt:1;        /* a token's, id its subject */
} ngx_http_ai_principal_t;


/* Its text fields, in the order of the struct. */
void ngx_http_ai_principal_strings(ngx_http_ai_principal_t *p,
    ngx_str_t **s);

/* Taken before Redis is asked, given to put: it moves with each change. */
ngx_atomic_uint_t ngx_http_ai_zone_epoch(ngx_shm_zone_t *zone);

/*
 * NGX_OK with *state, and for an active key *p from pool; NGX_DECLINED where
 * nothing is known; NGX_ERROR without memory.  sha: 64 hex digits.
 */
ngx_int_t ngx_http_ai_zone_get(ngx_shm_zone_t *zone, u_char *sha,
    ngx_pool_t *pool, ngx_uint_t *state, ngx_http_ai_principal_t **p);

/* Stores what was read, unless something changed since epoch.  p may be NULL
 * for a state other than active. */
void ngx_http_ai_zone_put(ngx_shm_zone_t *zone, u_char *sha,
    ngx_atomic_uint_t epoch, ngx_uint_t state, ngx_http_ai_principal_t *p);

/* What an address may still ask for (ngx_http_ai_unknown.h): before a worker
 * is asked, and where it found what it was asked for. */
ngx_int_t ngx_http_ai_zone_charge(ngx_shm_zone_t *zone, uint32_t address);
void ngx_http_ai_zone_refund(ngx_shm_zone_t *zone, uint32_t address);

/* A principal changed: forgets it, and what is being read now. */
void ngx_http_ai_zone_forget(ngx_shm_zone_t *zone, u_char *sha);

/* Changes may have been missed: forgets all. */
void ngx_http_ai_zone_flush(ngx_shm_zone_t *zone);


#endif /* NGX_HTTP_AI_ZONE_H */
