/*
 * What the directives say: the configuration of the module, made by
 * ngx_http_ai_conf.c and read by every step of a request.  All of it lives in
 * the cycle's pool and never changes after the configuration was read.
 */

#ifndef NGX_HTTP_AI_CONF_H
#define NGX_HTTP_AI_CONF_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ai_crypto.h"
#include "ai_error.h"
#include "ai_limit.h"
#include "ai_price.h"
#include "ngx_http_ai_redis.h"


#define NGX_HTTP_AI_AUTH_OFF   0x0001
#define NGX_HTTP_AI_AUTH_KEY   0x0002
#define NGX_HTTP_AI_AUTH_JWT   0x0004
#define NGX_HTTP_AI_AUTH_JWT_FIRST  0x0008

#define NGX_HTTP_AI_DISCONNECT_CANCEL    0
#define NGX_HTTP_AI_DISCONNECT_CONTINUE  1

/* Bytes of answers kept in Redis, and of one, by default. */
#define NGX_HTTP_AI_KEPT_ALL  (64 * 1024 * 1024)
#define NGX_HTTP_AI_KEPT_ONE  (1024 * 1024)

#define NGX_HTTP_AI_TRANSLATE_LENIENT  0
#define NGX_HTTP_AI_TRANSLATE_STRICT   1

#define NGX_HTTP_AI_SCOPE_TENANT  0
#define NGX_HTTP_AI_SCOPE_USER    1
#define NGX_HTTP_AI_SCOPE_KEY     2

#define NGX_HTTP_AI_CATALOG_MAX  (4 * 1024 * 1024)

/* What claims of a token are taken for. */
#define NGX_HTTP_AI_JWT_TENANT  0
#define NGX_HTTP_AI_JWT_USER    1
#define NGX_HTTP_AI_JWT_ROLES   2
#define NGX_HTTP_AI_JWT_SCOPES  3
#define NGX_HTTP_AI_JWT_MODELS  4
#define NGX_HTTP_AI_JWT_CLAIMS  5


typedef struct ngx_http_ai_cors_s  ngx_http_ai_cors_t;   /* ..._cors.c */
/* ..._discover.h */
typedef struct ngx_http_ai_discover_s  ngx_http_ai_discover_t;
/* ..._fetched.h */
typedef struct ngx_http_ai_fetched_s  ngx_http_ai_fetched_t;


/* Where a directive stands, for errors found after all were read. */
typedef struct {
    u_char                     *file;
    ngx_uint_t                  line;
} ngx_http_ai_place_t;


typedef struct {
    ngx_str_t                   name;         /* first: it is searched for */
    ngx_http_ai_place_t         place;
    ngx_str_t                   api;
    ngx_array_t                 urls;         /* ngx_str_t, first set wins */
    ngx_array_t                 keys;         /* ngx_str_t, first unbenched */
    ngx_array_t                 models;       /* ngx_str_t, empty: all */
    ngx_array_t                 headers;      /* ngx_str_t "name: value" */
    ngx_array_t                 options;      /* ngx_keyval_t */
    ngx_msec_t                  connect;
    ngx_msec_t                  first;
    ngx_msec_t                  idle;
    ngx_msec_t                  total;
    ngx_http_ai_discover_t     *discover;     /* NULL: off */
} ngx_http_ai_provider_t;


typedef struct {
    ngx_str_t                   provider;
    ngx_str_t                   model;
    ngx_uint_t                  weight;
    ngx_http_ai_place_t         place;
} ngx_http_ai_route_t;


typedef struct {
    ngx_str_t                   name;         /* first: it is searched for */
    ngx_http_ai_place_t         place;
    ngx_array_t                 routes;       /* ngx_http_ai_route_t */
    ngx_array_t                 fallbacks;    /* ngx_http_ai_route_t */
    int64_t                     context;      /* tokens; 0: not said */
    int64_t                     output;       /* of an answer; 0: not said */
    ngx_array_t                 aliases;      /* ngx_str_t */
    ngx_int_t                   retry;        /* NGX_CONF_UNSET: workers' */
    ngx_str_t                   strategy;     /* empty: weighted */
    ngx_msec_t                  hedge;        /* NGX_CONF_UNSET_MSEC: off, 0:
                                               * by what is measured */
} ngx_http_ai_model_t;


typedef struct {
    ngx_str_t                   provider;
    ngx_str_t                   model;
    ngx_http_ai_place_t         place;
    ai_price_t                  price;
} ngx_http_ai_price_t;


/* name: whom it is for alone; empty: each. */
typedef struct {
    ai_limit_t                  limit;
    ngx_str_t                   name;
} ngx_http_ai_limit_t;


typedef struct {
    ngx_str_t                   name;         /* first: it is searched for */
    ngx_http_ai_place_t         place;
    ngx_array_t                 limits;       /* ngx_http_ai_limit_t */
    ngx_uint_t                  weight;       /* 0: not set */
    ngx_str_t                   models;       /* space-separated, empty: all */
} ngx_http_ai_plan_t;


typedef struct {
    ngx_http_ai_redis_conf_t   *redis;        /* NULL: no ai_redis */

    ngx_array_t                 providers;    /* ngx_http_ai_provider_t */
    ngx_array_t                 models;       /* ngx_http_ai_model_t */
    ngx_array_t                 prices;       /* ngx_http_ai_price_t */
    ngx_array_t                 plans;        /* ngx_http_ai_plan_t */

    ngx_str_t                   catalog;      /* canonical JSON */
    u_char                      catalog_sha[AI_SHA256_HEX];
    time_t                      loaded;       /* when it was read */

    ngx_shm_zone_t             *principals;   /* ngx_http_ai_zone.c */
    size_t                      principals_size;
    ngx_shm_zone_t             *tokens;       /* the same, of JWTs */
    size_t                      tokens_size;
    ngx_array_t                *jwt_sets;     /* ngx_http_ai_jwt.h; or NULL */
    ngx_http_ai_fetched_t      *fetched;      /* NULL: none */
    ngx_shm_zone_t             *metrics;      /* ngx_http_ai_metrics.c */
    ngx_shm_zone_t             *cache;        /* hot answers; NULL: none */
    size_t                      cache_size;
    size_t                      kept_all;     /* bytes of answers in Redis */
    size_t                      kept_one;

    ngx_http_ai_place_t         place;        /* of the first ai_pass */
    unsigned                    pass:1;       /* some location has ai_pass */
    unsigned                    edge:1;       /* or another that asks Redis */
    unsigned                    sorted:1;     /* the arrays, by name */
} ngx_http_ai_main_conf_t;


#define NGX_HTTP_AI_TENANT_KEY     0
#define NGX_HTTP_AI_TENANT_CLAIM   1
#define NGX_HTTP_AI_TENANT_HOST    2
#define NGX_HTTP_AI_TENANT_HEADER  3
#define NGX_HTTP_AI_TENANT_VAR     4


/* One strategy of ai_tenant. */
typedef struct {
    ngx_uint_t                  type;         /* NGX_HTTP_AI_TENANT_* */
    ngx_str_t                   name;         /* claim, domain or header,
                                                 the last two in lower case */
    ngx_http_complex_value_t   *value;        /* of VAR */
} ngx_http_ai_tenant_by_t;


typedef struct {
    ngx_http_handler_pt         handler;      /* of ai_pass and its like */
    ngx_http_ai_place_t         place;
    ngx_flag_t                  pass;
    ngx_uint_t                  auth;         /* NGX_HTTP_AI_AUTH_* */
    ngx_array_t                *tenant;       /* ngx_http_ai_tenant_by_t, NULL:
                                                 key, ai_jwt_claim's */
    ngx_array_t                *jwt_keys;     /* ngx_http_ai_jwt.h; or NULL */
    ngx_str_t                   jwt_claims[NGX_HTTP_AI_JWT_CLAIMS];
    u_char                      jwt_digest[AI_SHA256_LEN];

    ngx_msec_t                  resume;       /* grace of resumable streams */
    ngx_msec_t                  result_ttl;   /* background results */
    ngx_uint_t                  on_disconnect;
    ngx_uint_t                  redis_error_status;
    time_t                      redis_error_retry_after;
    ngx_flag_t                  redis_error_cache;  /* hits all the same */
    ngx_msec_t                  queue_timeout;
    ngx_msec_t                  header_delay;
    ngx_msec_t                  heartbeat;    /* 0: off */
    ngx_bufs_t                  buffers;      /* of a stream */
    ngx_array_t                *forward_in;   /* ngx_str_t, lower case */
    ngx_array_t                *forward_out;
    ngx_http_ai_cors_t         *cors;         /* NULL: off */
    size_t                      body_memory;  /* bytes in flight, an edge */
    ngx_uint_t                  max_streams;  /* open jobs, an edge */
    ngx_uint_t                  backlog_jobs;   /* waiting, of a tenant */
    size_t                      backlog_bytes;

    ngx_array_t                *limits;       /* ngx_http_ai_limit_t */
    ngx_flag_t                  limit_dry_run;
    ngx_uint_t                  limit_status;
    ngx_uint_t                  limit_log_level;
    ngx_msec_t                  cache;        /* TTL of answers; 0: off */
    ngx_uint_t                  cache_any;    /* random ones, too */
    ngx_uint_t                  cache_scope;  /* NGX_HTTP_AI_SCOPE_* */
    ngx_array_t                *cache_bypass; /* ngx_http_complex_value_t */
    ngx_flag_t                  coalesce;
    ngx_uint_t                  translate;    /* NGX_HTTP_AI_TRANSLATE_* */
} ngx_http_ai_loc_conf_t;


/* Slots and blocks for the directive table of ngx_http_ai_module.c. */
void *ngx_http_ai_create_main_conf(ngx_conf_t *cf);
void *ngx_http_ai_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_ai_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);
/* After all was read: checks what names what, makes zones and catalog. */
ngx_int_t ngx_http_ai_conf_done(ngx_conf_t *cf);

char *ngx_http_ai_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_ai_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_ai_conf_provider(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ai_conf_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_ai_conf_price(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_ai_conf_tenant(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ai_conf_plan(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_ai_conf_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_ai_conf_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_ai_conf_jwt_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ai_conf_jwt_claim(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* Inherits keys and claims, and gives the whole its name. */
char *ngx_http_ai_merge_jwt(ngx_conf_t *cf, ngx_http_ai_loc_conf_t *prev,
    ngx_http_ai_loc_conf_t *conf);
char *ngx_http_ai_conf_content(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ai_conf_redis_error(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ai_conf_heartbeat(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ai_conf_buffers(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ai_conf_backlog(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ai_conf_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_ai_conf_cache_size(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* The zone "cache" of ai_zone. */
char *ngx_http_ai_conf_cache_zone(ngx_conf_t *cf,
    ngx_http_ai_main_conf_t *amcf, ngx_str_t *value);
void ngx_http_ai_conf_cache_create(ngx_http_ai_loc_conf_t *conf);
void ngx_http_ai_conf_cache_merge(ngx_http_ai_loc_conf_t *prev,
    ngx_http_ai_loc_conf_t *conf);
char *ngx_http_ai_conf_forward(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The catalog of a configuration that was read whole. */
ngx_int_t ngx_http_ai_catalog_make(ngx_conf_t *cf,
    ngx_http_ai_main_conf_t *amcf);

ngx_int_t ngx_http_ai_add_variables(ngx_conf_t *cf);

/* A provider with all defaults; api NULL: not known yet. */
ngx_int_t ngx_http_ai_provider_init(ngx_conf_t *cf,
    ngx_http_ai_provider_t *provider, ngx_str_t *name, ngx_str_t *api);

/* By name: NULL where there is none. */
ngx_http_ai_provider_t *ngx_http_ai_find_provider(
    ngx_http_ai_main_conf_t *amcf, ngx_str_t *name);
ngx_http_ai_model_t *ngx_http_ai_find_model(ngx_http_ai_main_conf_t *amcf,
    ngx_str_t *name);
ngx_http_ai_price_t *ngx_http_ai_find_price(ngx_http_ai_main_conf_t *amcf,
    ngx_str_t *provider, ngx_str_t *model);
/* Splits "provider/model" at the first slash: NGX_OK, NGX_DECLINED. */
ngx_int_t ngx_http_ai_split_model(ngx_str_t *s, ngx_str_t *provider,
    ngx_str_t *model);

extern ngx_module_t  ngx_http_ai_module;


static ngx_inline ai_str_t
ngx_http_ai_str(ngx_str_t *s)
{
    return (ai_str_t) { s->len, (const char *) s->data };
}


#endif /* NGX_HTTP_AI_CONF_H */
