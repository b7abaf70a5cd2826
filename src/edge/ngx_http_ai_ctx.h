/*
 * The request context: the only way the steps of a request talk.  Each field
 * says which step fills it and who reads it.  It lives in the request's pool;
 * a pool cleanup finds it again after an internal redirect.
 */

#ifndef NGX_HTTP_AI_CTX_H
#define NGX_HTTP_AI_CTX_H

#include "ngx_http_ai_conf.h"
#include "ngx_http_ai_header.h"
#include "ngx_http_ai_lookup.h"
#include "ngx_http_ai_wait.h"
#include "ai_id.h"
#include "ai_job.h"
#include "ai_json.h"


typedef struct ngx_http_ai_ctx_s  ngx_http_ai_ctx_t;
typedef struct ngx_http_ai_open_s  ngx_http_ai_open_t;  /* ngx_http_ai_open.h */
typedef struct ngx_http_ai_share_s  ngx_http_ai_share_t;  /* ..._cache.h */
typedef struct ngx_http_ai_limits_s  ngx_http_ai_limits_t;  /* ..._limit.h */

struct ngx_http_ai_ctx_s {
    ngx_http_request_t         *request;

    /* endpoint (ngx_http_ai_pass.c): read by all */
    ai_dialect_e                dialect;      /* later of a job read on */
    unsigned                    endpoint:1;   /* the two below are set */
    ngx_uint_t                  op;
    ngx_uint_t                  methods;      /* that the endpoint takes */
    ngx_str_t                   id;           /* of the path, or empty */
    ngx_str_t                   item;         /* behind it, or empty */
    ngx_str_t                   job;          /* id, of the path or made */

    /* identify: read by refuse, pass, admit, variables */
    ngx_http_ai_principal_t    *principal;    /* NULL: nobody */
    const char                 *refusal;      /* cause, NULL: none */
    ngx_http_ai_cors_t         *cors;         /* of where ai_pass is */
    ngx_str_t                   refusal_text; /* empty: the table's */
    unsigned                    identified:1;
    ngx_http_ai_loc_conf_t     *identified_by;  /* as this location asks */
    unsigned                    keyed:1;      /* key_sha is set */
    unsigned                    presented:1;  /* a credential, of any form */
    u_char                      key_sha[AI_SHA256_HEX];
    ngx_table_elt_t            *challenge;    /* WWW-Authenticate, if added */
    ngx_str_t                   token;        /* as it came, or empty */
    ngx_str_t                   claims;       /* of it, once asked for */
    ngx_http_ai_lookup_t        lookup;       /* identify's and admit's */
    ngx_http_ai_wait_t          wait;

    /* tenant, a part of identify; the first is what principal was before */
    ngx_http_ai_principal_t    *own;          /* as the credential says */
    ngx_str_t                   claimed;      /* its tenant, before claim= */
    ngx_array_t                *tenant_by;    /* the strategies it was by */
    ngx_str_t                   tenant;       /* being looked up, or was */
    u_char                      tenant_sha[AI_SHA256_HEX];
    ngx_str_t                   tenant_version;   /* read by admit */
    unsigned                    tenanted:1;   /* own and principal are set */
    unsigned                    tenant_asked:1;

    /* body: read by admit */
    ngx_chain_t                *body;         /* in memory, until admitted */
    size_t                      body_len;
    size_t                      body_held;    /* counted against the cap */
    u_char                      body_sha[AI_SHA256_HEX];  /* where jobs are
                                                             signed */
    void                       *reader;       /* of body, while it reads */
    ngx_str_t                   model;        /* as asked, unescaped */
    int64_t                     max_output;   /* tokens; -1: not said */
    unsigned                    stream:1;
    unsigned                    usage_asked:1;
    unsigned                    stored:1;     /* a response that is */
    ngx_str_t                   conversation; /* of one in the background */
    ngx_http_ai_share_t        *share;        /* of cache and joining, NULL:
                                                 neither is on */

    /* pass: from the request's headers, read by admit and stream */
    unsigned                    resumable:1;
    unsigned                    background:1;
    unsigned                    lasting:1;    /* as that, but read along */
    unsigned                    batch:1;

    /* admit: read by stream, variables */
    ngx_http_ai_open_t         *open;         /* entry of the edge's table */
    ngx_str_t                   traceparent;
    ngx_http_ai_limits_t       *limits;       /* read by answers, variables */

    /* stream and answer: read by variables, metrics */
    ai_event_id_t               last;         /* last event the client has */
    ngx_str_t                   provider;
    ngx_str_t                   provider_model;
    int64_t                     attempts;     /* provider calls; -1: unknown */
    int64_t                     waited;       /* µs, for providers; -1 */
    ngx_str_t                   usage_line;   /* of the end, empty: none yet */
    ngx_str_t                   cause;        /* of our own error, or empty */

    /* times, ngx_current_msec is too coarse: CLOCK_MONOTONIC µs, 0: not yet */
    uint64_t                    began;        /* identify */
    uint64_t                    admitted;     /* admit's reply */
    uint64_t                    first;        /* first data event */
    uint64_t                    ended;        /* end or error event */
};


/*
 * The context of a request: made where there is none (NULL: no memory), found
 * again after an internal redirect.
 */
ngx_http_ai_ctx_t *ngx_http_ai_get_ctx(ngx_http_request_t *r);
/* The same, but never made: for variables and logs. */
ngx_http_ai_ctx_t *ngx_http_ai_find_ctx(ngx_http_request_t *r);

/* The caller's copy of a principal: from pool, NULL without memory. */
ngx_http_ai_principal_t *ngx_http_ai_principal_dup(ngx_pool_t *pool,
    ngx_http_ai_principal_t *p);

/* A job id of its own: NGX_OK; NGX_ERROR: ctx->job is empty. */
ngx_int_t ngx_http_ai_make_job(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx);

uint64_t ngx_http_ai_usec(void);              /* CLOCK_MONOTONIC */

/* The level of what any client can make a process say: warn once a second, by
 * its *last (static, 0 at first), else info. */
ngx_uint_t ngx_http_ai_seldom(time_t *last);


#endif /* NGX_HTTP_AI_CTX_H */
