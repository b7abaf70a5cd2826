/*
 * The edge: one nginx worker process, its id, its connection to Redis, and the
 * shards that keys are made for.
 */

#ifndef NGX_HTTP_AI_EDGE_H
#define NGX_HTTP_AI_EDGE_H

#include "ngx_http_ai_ctx.h"
#include "ai_keys.h"


typedef struct {
    ngx_http_ai_main_conf_t    *amcf;
    ngx_http_ai_redis_t        *redis;
    ngx_str_t                   id;
    ngx_uint_t                  nshards;      /* 0: not yet known */
    ngx_uint_t                  nopen;        /* jobs in the table */
    size_t                      held;         /* body bytes in memory */
} ngx_http_ai_edge_t;

/* NULL in a process that serves nothing, has no location that asks Redis
 * (ai_pass, ai_health, ai_metrics), or no ai_redis. */
extern ngx_http_ai_edge_t  *ngx_http_ai_edge;


/* What a reply's element says: strings, numbers as text; empty otherwise. */
ai_str_t ngx_http_ai_reply_str(ai_resp_t *reply, size_t i);

/* Key of this shard into buf[AI_KEY_MAX]; *s then points there. */
void ngx_http_ai_edge_key(ngx_str_t *s, char *buf, ai_key_e key,
    ngx_uint_t shard, ngx_str_t *name);
ngx_uint_t ngx_http_ai_edge_shard(ngx_str_t *tenant);
/* The shard's prefix, as scripts want it. */
void ngx_http_ai_edge_prefix(ngx_str_t *s, char *buf, ngx_uint_t shard);

/* Whether jobs can be given: Redis is there, and the bell works. */
ngx_uint_t ngx_http_ai_edge_ready(void);

/* A process on its way out serves nobody any more: others need not wait for
 * it. */
void ngx_http_ai_edge_bye(void);
/* It serves somebody yet, where it has said bye. */
void ngx_http_ai_edge_stay(void);


#endif /* NGX_HTTP_AI_EDGE_H */
