/*
 * Answers that are given without a call of their own: kept in Redis, hot ones
 * in shared memory, or shared with a call under way (docs/wire.md, 5: share).
 * What a request may share hangs at its context; NULL: its location has
 * neither ai_cache nor ai_coalesce.
 */

#ifndef NGX_HTTP_AI_CACHE_H
#define NGX_HTTP_AI_CACHE_H

#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_steps.h"
#include "ai_digest.h"


/* Bytes of an answer that lies in Redis and shared memory as one piece; above,
 * it lies in its job's log.  The worker's KEEP_INLINE_MAX is the same. */
#define NGX_HTTP_AI_CACHE_INLINE   65536
#define NGX_HTTP_AI_CACHE_ETAG     32
/* Of an answer's usage line and head. */
#define NGX_HTTP_AI_CACHE_HEAD     16384
/* Text of a share. */
#define NGX_HTTP_AI_CACHE_SHARE    256


struct ngx_http_ai_share_s {
    ai_digest_t                 digest;
    ngx_str_t                   status;       /* X-AI-Cache */
    ngx_str_t                   options;      /* of the stream, unknown ones */
    ngx_str_t                   etag;         /* of a hit, with its quotes */
    time_t                      age;          /* of a hit, s */
    ngx_int_t                   max_age;      /* s, -1: any */
    ngx_atomic_uint_t           epoch;        /* of the zone, before Redis */
    unsigned                    digesting:1;
    unsigned                    look:1;
    unsigned                    store:1;
    unsigned                    join:1;
    unsigned                    hit:1;
    unsigned                    joined:1;
    unsigned                    keyed:1;      /* key is known */
    char                        shape;        /* o, s, v: object, stream,
                                                 stream with usage */
    u_char                      sum[AI_SHA256_HEX];   /* of the body */
    u_char                      key[AI_SHA256_HEX];
};


#define ngx_http_ai_cache_is_hit(ctx)                                        \
    ((ctx)->share != NULL && (ctx)->share->hit)
#define ngx_http_ai_cache_is_joined(ctx)                                     \
    ((ctx)->share != NULL && (ctx)->share->joined)


/* An answer that is kept; strings are borrowed. */
typedef struct {
    ngx_str_t                   usage;        /* line of its ledger record */
    ngx_str_t                   head;         /* record: status, headers */
    ngx_str_t                   etag;         /* hex digits */
    ngx_str_t                   body;
    time_t                      age;          /* s */
    int64_t                     left;         /* ms until it expires */
} ngx_http_ai_hit_t;


/* Before the body: what the location, the headers and ai_cache_bypass let the
 * request share.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_ai_cache_want(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);
/* A piece of the body. */
void ngx_http_ai_cache_feed(ngx_http_ai_ctx_t *ctx, u_char *data,
    size_t len);
/* All of it was read: temperature as text (empty: not there), whether a seed
 * is there, and stream_options as text. */
void ngx_http_ai_cache_asked(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ai_str_t temperature, ngx_uint_t seed, ai_str_t options);
/* The hash is not needed any more. */
void ngx_http_ai_cache_drop(ngx_http_ai_ctx_t *ctx);

/* Names what is asked for, and looks for it in shared memory: NGX_DONE where
 * the request was answered from there, else NGX_DECLINED. */
ngx_int_t ngx_http_ai_cache_begin(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);
/* Who asks has changed since: it calls for itself. */
void ngx_http_ai_cache_unshare(ngx_http_ai_ctx_t *ctx);
/* admit's share, in buf of NGX_HTTP_AI_CACHE_SHARE bytes. */
void ngx_http_ai_cache_share(ngx_http_ai_open_t *open, u_char *buf,
    ngx_str_t *share);
/* admit said HIT, or JOIN. */
void ngx_http_ai_cache_hit(ngx_http_ai_open_t *open, ai_resp_t *reply);
void ngx_http_ai_cache_joined(ngx_http_ai_open_t *open, ai_resp_t *reply);
/* X-AI-Cache, and of a hit Age and ETag, to the answer's headers. */
ngx_int_t ngx_http_ai_cache_headers(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);

/* ngx_http_ai_cache_key.c: the hash of what is asked for, into share->key:
 * NGX_OK, or NGX_DECLINED where nothing may be shared. */
ngx_int_t ngx_http_ai_cache_key(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);

/* ngx_http_ai_cache_send.c: sends it; what a content handler returns. */
ngx_int_t ngx_http_ai_cache_send(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_http_ai_hit_t *hit);
/* Its headers, and who made it, from its head, which must live as long as the
 * request: NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_ai_cache_head(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_str_t *head);

/*
 * ngx_http_ai_cache_zone.c: shared memory.  Nothing exact lives there.
 * get: NGX_OK and a copy from pool, NGX_DECLINED, NGX_ERROR without memory.
 * put: unless something was purged since epoch.
 */
ngx_int_t ngx_http_ai_cache_zone_init(ngx_conf_t *cf,
    ngx_http_ai_main_conf_t *amcf);
ngx_atomic_uint_t ngx_http_ai_cache_zone_epoch(ngx_shm_zone_t *zone);
ngx_int_t ngx_http_ai_cache_zone_get(ngx_shm_zone_t *zone, u_char *key,
    ngx_uint_t shape, ngx_pool_t *pool, ngx_http_ai_hit_t *hit);
void ngx_http_ai_cache_zone_put(ngx_shm_zone_t *zone, u_char *key,
    ngx_uint_t shape, ngx_atomic_uint_t epoch, ngx_http_ai_hit_t *hit);
/* Forgets all. */
void ngx_http_ai_cache_zone_flush(ngx_shm_zone_t *zone);

/*
 * ngx_http_ai_cache_rows.c: ledger records of answers from shared memory.
 * row: one request more, of the record of those that differ in nothing but
 * job; where there is none yet, job is its id.  NGX_OK, or NGX_DECLINED where
 * Redis has not taken the last ones yet.
 */
ngx_int_t ngx_http_ai_cache_row(ngx_str_t *job, ngx_str_t *tenant,
    ngx_str_t *base, ngx_str_t *usage, ngx_str_t *policy);
/* init_process and exit_process. */
void ngx_http_ai_cache_rows_init(ngx_cycle_t *cycle);
void ngx_http_ai_cache_rows_done(void);


#endif /* NGX_HTTP_AI_CACHE_H */
