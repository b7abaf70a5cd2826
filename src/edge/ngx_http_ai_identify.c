/*
 * Who asks: from the credentials of a request to its principal, out of shared
 * memory, else of Redis while the request waits.  It refuses nobody; what it
 * found wrong is left in the context for the steps behind it.
 */

#include "ngx_http_ai_cors.h"
#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_steps.h"
#include "ai_jwt.h"


/* Longer than all the steps of a look-up together may take. */
#define NGX_HTTP_AI_IDENTIFY_TIMEOUT  10000

/* Older than this is what shared memory may not be while it is believed. */
#define NGX_HTTP_AI_IDENTIFY_HEARD    1000


static ngx_int_t ngx_http_ai_identify_who(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_http_ai_loc_conf_t *alcf);
static ngx_uint_t ngx_http_ai_identify_credential(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_uint_t auth, ai_str_t *credential);
static void ngx_http_ai_identify_take(ngx_http_ai_ctx_t *ctx, u_char *data,
    size_t len, ai_str_t *key, ai_str_t *token);
static ngx_uint_t ngx_http_ai_identify_shape(ai_str_t key);
static void ngx_http_ai_identify_done(ngx_http_ai_lookup_t *l,
    ngx_uint_t state, ngx_http_ai_principal_t *p);
static void ngx_http_ai_identify_cleanup(void *data);


ngx_int_t
ngx_http_ai_identify_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_ai_ctx_t        *ctx;
    ngx_http_ai_loc_conf_t   *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    if (r != r->main || !alcf->pass) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_ai_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->cors = alcf->cors;

    if (ngx_http_ai_cors_preflight(r, alcf) == NGX_DONE) {
        return NGX_DONE;
    }

    /* An internal redirect may have come from another endpoint, and from where
     * nobody had to say who he is, or others are believed. */

    ctx->endpoint = 0;
    ngx_http_ai_endpoint(r, ctx);

    if (ctx->identified && ctx->identified_by != alcf
        && (ctx->identified_by->auth != alcf->auth
            || ngx_memcmp(ctx->identified_by->jwt_digest, alcf->jwt_digest,
                          AI_SHA256_LEN) != 0))
    {
        ctx->principal = NULL;
        ctx->refusal = NULL;
        ctx->identified = 0;
        ctx->tenanted = 0;
    }

    rc = ngx_http_ai_identify_who(r, ctx, alcf);

    return rc == NGX_DECLINED ? ngx_http_ai_tenant(r, ctx) : rc;
}


/* NGX_DECLINED: principal or refusal is there. */

static ngx_int_t
ngx_http_ai_identify_who(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_http_ai_loc_conf_t *alcf)
{
    ai_str_t                  key;
    ngx_int_t                 rc;
    ngx_uint_t                state;
    ngx_http_cleanup_t       *cln;
    ngx_http_ai_principal_t  *p;

    if (ctx->identified) {
        return NGX_DECLINED;
    }

    ctx->identified_by = alcf;

    if (ctx->lookup.waiter.waiting) {
        /* entered again without an answer */
        ngx_http_ai_lookup_cancel(&ctx->lookup);
        ctx->identified = 1;
        ctx->refusal = "unavailable";
        return NGX_DECLINED;
    }

    if (alcf->auth == NGX_HTTP_AI_AUTH_OFF) {
        ctx->principal = ngx_http_ai_identify_anonymous(r->pool);
        if (ctx->principal == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->identified = 1;
        return NGX_DECLINED;
    }

    switch (ngx_http_ai_identify_credential(r, ctx, alcf->auth, &key)) {

    case NGX_HTTP_AI_AUTH_JWT:
        ctx->identified = 1;

        return ngx_http_ai_jwt_identify(r, ctx, key) == NGX_OK
               ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;

    case NGX_HTTP_AI_AUTH_KEY:
        if (ai_sha256_hex((char *) ctx->key_sha, key) == 0) {
            break;
        }

        /* fall through */

    default:
        ctx->identified = 1;
        ctx->refusal = "unauthenticated";
        return NGX_DECLINED;
    }

    ctx->keyed = 1;

    if (ngx_http_ai_edge == NULL) {
        ctx->identified = 1;
        ctx->refusal = "unavailable";
        return NGX_DECLINED;
    }

    /* Without Redis no more than an answer from shared memory comes of it,
     * where the administrator wants those all the same. */

    if (ngx_http_ai_redis_heard(ngx_http_ai_edge->redis)
        < NGX_HTTP_AI_IDENTIFY_HEARD
        || (alcf->redis_error_cache && alcf->cache
            && ngx_http_ai_edge->amcf->cache != NULL))
    {
        rc = ngx_http_ai_zone_get(ngx_http_ai_edge->amcf->principals,
                                  ctx->key_sha, r->pool, &state, &p);
        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc == NGX_OK) {
            ngx_http_ai_count(principal_hits);
            ngx_http_ai_identified(ctx, state, p);
            return NGX_DECLINED;
        }
    }

    ngx_http_ai_count(principal_misses);

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_ai_identify_cleanup;
    cln->data = ctx;

    ctx->lookup.handler = ngx_http_ai_identify_done;
    ctx->lookup.data = ctx;
    ctx->lookup.tenant = NULL;
    ctx->lookup.address = r->connection->sockaddr;

    if (ngx_http_ai_lookup(&ctx->lookup, ctx->key_sha) != NGX_OK) {
        ctx->identified = 1;
        ctx->refusal = "unavailable";
        return NGX_DECLINED;
    }

    return ngx_http_ai_wait(r, &ctx->wait, NGX_HTTP_AI_IDENTIFY_TIMEOUT);
}


ngx_http_ai_principal_t *
ngx_http_ai_identify_anonymous(ngx_pool_t *pool)
{
    ngx_http_ai_principal_t  *p;

    p = ngx_pcalloc(pool, sizeof(ngx_http_ai_principal_t));

    if (p != NULL) {
        ngx_str_set(&p->tenant, "default");
        p->weight = 1;
        p->anonymous = 1;
    }

    return p;
}


void
ngx_http_ai_identified(ngx_http_ai_ctx_t *ctx, ngx_uint_t state,
    ngx_http_ai_principal_t *p)
{
    ctx->identified = 1;
    ctx->principal = NULL;
    ctx->refusal = NULL;
    ngx_str_null(&ctx->refusal_text);

    switch (state) {

    case NGX_HTTP_AI_KEY_ACTIVE:
        if (p == NULL || (p->expires && p->expires <= ngx_time())) {
            ctx->refusal = "unauthenticated";
            break;
        }

        ctx->principal = p;
        break;

    case NGX_HTTP_AI_KEY_UNKNOWN:
    case NGX_HTTP_AI_KEY_REVOKED:
        ctx->refusal = "unauthenticated";
        break;

    case NGX_HTTP_AI_KEY_DISABLED:
        ctx->refusal = "forbidden";
        break;

    default:
        ctx->refusal = "unavailable";
    }
}


static void
ngx_http_ai_identify_done(ngx_http_ai_lookup_t *l, ngx_uint_t state,
    ngx_http_ai_principal_t *p)
{
    ngx_http_ai_ctx_t *ctx = l->data;

    if (p != NULL) {
        p = ngx_http_ai_principal_dup(ctx->request->pool, p);

        if (p == NULL) {
            state = NGX_HTTP_AI_KEY_DOWN;
        }
    }

    ngx_http_ai_identified(ctx, state, p);

    ngx_http_ai_wake(&ctx->wait);
}


static void
ngx_http_ai_identify_cleanup(void *data)
{
    ngx_http_ai_ctx_t *ctx = data;

    ngx_http_ai_lookup_cancel(&ctx->lookup);
}


/*
 * What the request says who it is by, of the kinds that are asked for, in their
 * order: NGX_HTTP_AI_AUTH_KEY, NGX_HTTP_AI_AUTH_JWT or 0.  Its bytes stay where
 * nginx read them; nothing is copied.
 */

static ngx_uint_t
ngx_http_ai_identify_credential(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_uint_t auth, ai_str_t *credential)
{
    u_char           *p;
    size_t            len;
    ai_str_t          key, token;
    ngx_str_t        *value;
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    static ngx_str_t  names[] = {
        ngx_string("x-api-key"),
        ngx_string("api-key"),
        ngx_string("x-goog-api-key")
    };

    ngx_memzero(&key, sizeof(ai_str_t));
    ngx_memzero(&token, sizeof(ai_str_t));

    if (r->headers_in.authorization != NULL) {
        value = &r->headers_in.authorization->value;

        if (value->len > 7
            && ngx_strncasecmp(value->data, (u_char *) "bearer ", 7) == 0)
        {
            p = value->data + 7;
            len = value->len - 7;

            while (len && *p == ' ') {
                p++;
                len--;
            }

            ngx_http_ai_identify_take(ctx, p, len, &key, &token);
        }
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        h = ngx_http_ai_header(r, &names[i]);

        if (h != NULL) {
            ngx_http_ai_identify_take(ctx, h->value.data, h->value.len, &key,
                                      &token);
        }
    }

    if (!(auth & NGX_HTTP_AI_AUTH_KEY)) {
        key.len = 0;
    }

    if (!(auth & NGX_HTTP_AI_AUTH_JWT)) {
        token.len = 0;
    }

    if (token.len && (key.len == 0 || auth & NGX_HTTP_AI_AUTH_JWT_FIRST)) {
        *credential = token;
        return NGX_HTTP_AI_AUTH_JWT;
    }

    *credential = key;

    return key.len ? NGX_HTTP_AI_AUTH_KEY : 0;
}


/* The first of each kind counts. */

static void
ngx_http_ai_identify_take(ngx_http_ai_ctx_t *ctx, u_char *data, size_t len,
    ai_str_t *key, ai_str_t *token)
{
    ai_str_t  s;

    s = (ai_str_t) { len, (const char *) data };

    if (len) {
        ctx->presented = 1;
    }

    if (key->len == 0 && ngx_http_ai_identify_shape(s)) {
        *key = s;

    } else if (token->len == 0 && ai_jwt_shape(s)) {
        *token = s;
    }
}


/* What cannot be a key is not worth a question. */

static ngx_uint_t
ngx_http_ai_identify_shape(ai_str_t key)
{
    char    c;
    size_t  i;

    if (key.len != AI_API_KEY_LEN || ngx_memcmp(key.data, "ngx-", 4) != 0) {
        return 0;
    }

    for (i = 4; i < key.len; i++) {
        c = key.data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z')
            && !(c >= '0' && c <= '9') && c != '-' && c != '_')
        {
            return 0;
        }
    }

    return 1;
}
