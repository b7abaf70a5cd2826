/*
 * Tokens that others signed: what ai_jwt_key and ai_jwt_claim say, the sets of
 * keys and how they stay fresh, and the step that makes a principal of a token.
 */

#ifndef NGX_HTTP_AI_JWT_H
#define NGX_HTTP_AI_JWT_H

#include "ngx_http_ai_ctx.h"
#include "ngx_http_ai_fetched.h"
#include "ai_jwt.h"


#define NGX_HTTP_AI_JWT_SETS_MAX       64     /* files and URLs */
#define NGX_HTTP_AI_JWT_AUDIENCES_MAX  16     /* of an ai_jwt_key */
#define NGX_HTTP_AI_JWT_TENANTS_MAX    512    /* bytes, of an ai_jwt_key */
#define NGX_HTTP_AI_JWT_KEYS_MAX       16     /* ai_jwt_key at a level */
/* Seconds a verified token is remembered at most. */
#define NGX_HTTP_AI_JWT_REMEMBERED     60


/*
 * A set of keys, one for all directives that name the same source and the same
 * algorithms.  The set belongs to the cycle's pool, which frees it; a process
 * replaces it when its source changes.
 */
typedef struct {
    ngx_str_t                   file;         /* full, with a zero; or empty */
    ngx_str_t                   url;          /* or empty */
    ngx_uint_t                  algs;         /* AI_JWA_*; 0: not said */
    ai_jwks_t                  *set;          /* NULL: not there yet */

    /* of a file, as it was read */
    struct timespec             mtime;
    off_t                       size;         /* -1: it has gone */
    ngx_file_uniq_t             uniq;

    /* of a URL */
    ngx_http_ai_fetched_t       fetched;
} ngx_http_ai_jwt_set_t;


typedef struct {
    ngx_str_t                   issuer;
    ngx_array_t                 audiences;    /* ngx_str_t; none: any */
    ngx_str_t                   tenants;      /* of its tokens, separated by
                                               * blanks; none: any */
    ngx_int_t                   role;         /* ai_role_e, none mightier */
    time_t                      leeway;
    ngx_http_ai_jwt_set_t      *set;
} ngx_http_ai_jwt_key_t;


/*
 * Reads a set's file, at the configuration or when it has changed: NGX_OK;
 * NGX_ERROR, logged at level, and the set is what it was.
 */
ngx_int_t ngx_http_ai_jwt_read(ngx_http_ai_jwt_set_t *s, ngx_log_t *log,
    ngx_uint_t level);

/* A set of a URL, at the configuration: NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_ai_jwt_url(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_jwt_set_t *s);

/* Keeps sets of files fresh in this process; nothing is done where there are
 * none. */
void ngx_http_ai_jwt_init_process(ngx_cycle_t *cycle);
void ngx_http_ai_jwt_exit_process(void);
/* A key of this set is not known: asks the workers for a new one, at most each
 * 30 s.  Does nothing for a file. */
void ngx_http_ai_jwt_want(ngx_http_ai_jwt_set_t *s);

/* Moves with each change of any set of this process. */
extern ngx_uint_t  ngx_http_ai_jwt_generation;


#endif /* NGX_HTTP_AI_JWT_H */
