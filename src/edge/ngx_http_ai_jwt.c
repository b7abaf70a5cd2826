/*
 * A token that somebody else signed, and what it says who asks: verified in the
 * event loop, with keys that were parsed before, and remembered for a minute.
 * What a forged one costs is bounded by the checks in front of the signature.
 * Owns nothing.
 */

#include "ngx_http_ai_jwt.h"
#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_steps.h"
#include "ai_role.h"


/* Bytes of a token's strings; what has more is no good token. */
#define NGX_HTTP_AI_JWT_ID_MAX     (AI_JOB_TEXT_MAX - sizeof("jwt:") + 1)
#define NGX_HTTP_AI_JWT_LIST_MAX   512
#define NGX_HTTP_AI_JWT_VALUE_MAX  1024


/* The strings of a principal while it is made. */
typedef struct {
    char                        id[3 * AI_JOB_TEXT_MAX];
    char                        tenant[AI_TENANT_MAX + 1];
    char                        user[AI_JOB_TEXT_MAX];
    char                        role[NGX_HTTP_AI_JWT_LIST_MAX];
    char                        scopes[NGX_HTTP_AI_JWT_LIST_MAX];
    char                        known[NGX_HTTP_AI_JWT_LIST_MAX];
    char                        models[NGX_HTTP_AI_JWT_LIST_MAX];
} ngx_http_ai_jwt_text_t;


static ngx_int_t ngx_http_ai_jwt_sha(ngx_http_ai_loc_conf_t *alcf,
    ai_str_t token, u_char *sha);
static int ngx_http_ai_jwt_verify(ngx_http_ai_loc_conf_t *alcf,
    ai_str_t token, ngx_http_ai_principal_t *p, const char **refusal);
static ngx_http_ai_jwt_key_t *ngx_http_ai_jwt_issuer(
    ngx_http_ai_loc_conf_t *alcf, ai_jwt_claims_t *claims);
static ngx_uint_t ngx_http_ai_jwt_for_us(ngx_http_ai_jwt_key_t *key,
    ai_jwt_claims_t *claims);
static ngx_int_t ngx_http_ai_jwt_principal(ngx_http_ai_loc_conf_t *alcf,
    ngx_http_ai_jwt_key_t *key, ai_str_t payload, ngx_http_ai_principal_t *p,
    const char **refusal);
static ngx_int_t ngx_http_ai_jwt_text(ai_str_t payload, ngx_str_t *name,
    char *buf, size_t size, ngx_str_t *value);
static size_t ngx_http_ai_jwt_escape(char *out, ai_str_t s);


/* One token at a time: what is kept of it is copied. */
static char                     ngx_http_ai_jwt_buf[AI_JWT_BUF];
static char                     ngx_http_ai_jwt_iss[AI_JWT_MAX];
static u_char                   ngx_http_ai_jwt_hashed[AI_SHA256_LEN
                                                       + AI_JWT_MAX];
static ngx_http_ai_jwt_text_t   ngx_http_ai_jwt_texts;


ngx_int_t
ngx_http_ai_jwt_identify(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ai_str_t token)
{
    int                       rc;
    u_char                    sha[AI_SHA256_HEX];
    const char               *refusal;
    ngx_int_t                 found;
    ngx_uint_t                state;
    ngx_shm_zone_t           *zone;
    ngx_http_ai_loc_conf_t   *alcf;
    ngx_http_ai_principal_t  *p, principal;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    ctx->token.data = (u_char *) token.data;
    ctx->token.len = token.len;
    ngx_str_null(&ctx->claims);

    if (ngx_http_ai_edge == NULL
        || ngx_http_ai_jwt_sha(alcf, token, sha) != NGX_OK)
    {
        ctx->refusal = "unavailable";
        return NGX_OK;
    }

    zone = ngx_http_ai_edge->amcf->tokens;
    found = ngx_http_ai_zone_get(zone, sha, r->pool, &state, &p);

    if (found == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (found == NGX_OK) {
        ngx_http_ai_count(token_hits);
        p->jwt = 1;
        ngx_http_ai_identified(ctx, state, p);
        return NGX_OK;
    }

    rc = ngx_http_ai_jwt_verify(alcf, token, &principal, &refusal);

    if (refusal != NULL) {
        ngx_http_ai_count(tokens_refused);

        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "ai: a token is refused: %s",
                      rc != AI_JWT_OK ? ai_jwt_strerror(rc)
                      : "its claims or keys cannot be used");

        ctx->refusal = refusal;
        return NGX_OK;
    }

    ngx_http_ai_count(tokens_verified);

    ngx_http_ai_zone_put(zone, sha, ngx_http_ai_zone_epoch(zone),
                         NGX_HTTP_AI_KEY_ACTIVE, &principal);

    p = ngx_http_ai_principal_dup(r->pool, &principal);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_http_ai_identified(ctx, NGX_HTTP_AI_KEY_ACTIVE, p);

    return NGX_OK;
}


/*
 * What a verified token is remembered by: itself, what this location asks of
 * tokens, and the keys of its issuers as they are now.
 */

static ngx_int_t
ngx_http_ai_jwt_sha(ngx_http_ai_loc_conf_t *alcf, ai_str_t token, u_char *sha)
{
    int                     rc;
    u_char                 *p;
    ngx_uint_t              i;
    ngx_http_ai_jwt_key_t  *key;

    static ngx_uint_t               generation;
    static u_char                   digest[AI_SHA256_LEN];
    static ngx_http_ai_loc_conf_t  *conf;

    if (conf == NULL || conf != alcf
        || generation != ngx_http_ai_jwt_generation)
    {
        p = ngx_cpymem(ngx_http_ai_jwt_hashed, alcf->jwt_digest,
                       AI_SHA256_LEN);
        key = alcf->jwt_keys->elts;

        for (i = 0; i < alcf->jwt_keys->nelts; i++) {
            if (key[i].set->set != NULL) {
                p = ngx_cpymem(p, ai_jwks_digest(key[i].set->set),
                               AI_SHA256_LEN);
            }
        }

        if (ai_sha256(digest,
                      (ai_str_t) { p - ngx_http_ai_jwt_hashed,
                                   (const char *) ngx_http_ai_jwt_hashed })
            != 0)
        {
            return NGX_ERROR;
        }

        conf = alcf;
        generation = ngx_http_ai_jwt_generation;
    }

    p = ngx_cpymem(ngx_http_ai_jwt_hashed, digest, AI_SHA256_LEN);
    p = ngx_cpymem(p, token.data, token.len);

    rc = ai_sha256_hex((char *) sha,
                       (ai_str_t) { p - ngx_http_ai_jwt_hashed,
                                    (const char *) ngx_http_ai_jwt_hashed });

    ai_wipe(ngx_http_ai_jwt_hashed, p - ngx_http_ai_jwt_hashed);

    return rc == 0 ? NGX_OK : NGX_ERROR;
}


/*
 * Fills *p, in this file's memory; *refusal is NULL, or the cause, and what is
 * returned says why.  The signature, which costs most, comes last but for what
 * is taken out of a good token.
 */

static int
ngx_http_ai_jwt_verify(ngx_http_ai_loc_conf_t *alcf, ai_str_t token,
    ngx_http_ai_principal_t *p, const char **refusal)
{
    int                     rc;
    time_t                  until;
    ai_jwk_t               *jwk;
    ai_jws_t                jws;
    ai_jwt_claims_t         claims;
    ngx_http_ai_jwt_key_t  *key;

    *refusal = "unauthenticated";

    rc = ai_jws_parse(&jws, token, ngx_http_ai_jwt_buf);

    if (rc == AI_JWT_OK) {
        rc = ai_jwt_claims(&claims, jws.payload, ngx_http_ai_jwt_iss,
                           sizeof(ngx_http_ai_jwt_iss));
    }

    if (rc != AI_JWT_OK) {
        return rc;
    }

    key = ngx_http_ai_jwt_issuer(alcf, &claims);

    if (key == NULL) {
        return AI_JWT_EISSUER;
    }

    if (!ngx_http_ai_jwt_for_us(key, &claims)) {
        return AI_JWT_EAUDIENCE;
    }

    rc = ai_jwt_times(&claims, ngx_time(), key->leeway);

    if (rc != AI_JWT_OK) {
        return rc;
    }

    if (key->set->set == NULL) {
        *refusal = "unavailable";
        return AI_JWT_EKEY;
    }

    jwk = ai_jwks_find(key->set->set, jws.alg, jws.kid);

    if (jwk == NULL) {
        ngx_http_ai_jwt_want(key->set);
        return AI_JWT_EKEY;
    }

    if (!ai_jwk_verify(jwk, jws.alg, jws.input, jws.signature)) {
        return AI_JWT_ESIGNATURE;
    }

    if (ngx_http_ai_jwt_principal(alcf, key, jws.payload, p, refusal)
        != NGX_OK)
    {
        return AI_JWT_OK;
    }

    /* Beyond a century it is the same. */

    p->expires = ngx_min(claims.exp, ngx_time() + (int64_t) 36500 * 86400)
                 + key->leeway;

    until = ngx_time() + NGX_HTTP_AI_JWT_REMEMBERED;
    p->until = ngx_min(until, p->expires);

    *refusal = NULL;

    return AI_JWT_OK;
}


static ngx_http_ai_jwt_key_t *
ngx_http_ai_jwt_issuer(ngx_http_ai_loc_conf_t *alcf, ai_jwt_claims_t *claims)
{
    ngx_uint_t              i;
    ngx_http_ai_jwt_key_t  *key;

    key = alcf->jwt_keys->elts;

    for (i = 0; i < alcf->jwt_keys->nelts; i++) {
        if (claims->iss.data != NULL
            && ai_str_eq(ngx_http_ai_str(&key[i].issuer), claims->iss))
        {
            return &key[i];
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_http_ai_jwt_for_us(ngx_http_ai_jwt_key_t *key, ai_jwt_claims_t *claims)
{
    ngx_str_t   *audience;
    ngx_uint_t   i;

    audience = key->audiences.elts;

    for (i = 0; i < key->audiences.nelts; i++) {
        if (ai_jwt_audience(claims, ngx_http_ai_str(&audience[i]))) {
            return 1;
        }
    }

    return key->audiences.nelts == 0;
}


/* Who a verified token says it is.  A tenant that could not be in a key is
 * nobody's; what else cannot be read makes the token none. */

static ngx_int_t
ngx_http_ai_jwt_principal(ngx_http_ai_loc_conf_t *alcf,
    ngx_http_ai_jwt_key_t *key, ai_str_t payload, ngx_http_ai_principal_t *p,
    const char **refusal)
{
    ai_buf_t                  b;
    ai_str_t                  role;
    ngx_int_t                 rc;
    ngx_str_t                 subject, *claim;
    ngx_http_ai_jwt_text_t   *t;

    static ngx_str_t  sub = ngx_string("sub");

    t = &ngx_http_ai_jwt_texts;
    claim = alcf->jwt_claims;

    ngx_memzero(p, sizeof(ngx_http_ai_principal_t));

    p->weight = 1;
    p->jwt = 1;
    p->tenants = key->tenants;

    rc = ngx_http_ai_jwt_text(payload, &claim[NGX_HTTP_AI_JWT_TENANT],
                              t->tenant, sizeof(t->tenant), &p->tenant);

    if (rc != NGX_OK
        || (p->tenant.len && !ai_keys_tenant_ok(ngx_http_ai_str(&p->tenant))))
    {
        *refusal = "forbidden";
        return NGX_ERROR;
    }

    if (ngx_http_ai_jwt_text(payload, &sub, t->user, sizeof(t->user), &subject)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p->id.data = (u_char *) t->id;
    p->id.len = ngx_http_ai_jwt_escape(t->id, ngx_http_ai_str(&subject));

    /* The subject is not needed any more: its memory is the user's. */

    if (p->id.len == 0 || p->id.len > NGX_HTTP_AI_JWT_ID_MAX
        || ngx_http_ai_jwt_text(payload, &claim[NGX_HTTP_AI_JWT_USER], t->user,
                                sizeof(t->user), &p->user)
           != NGX_OK
        || ngx_http_ai_jwt_text(payload, &claim[NGX_HTTP_AI_JWT_ROLES],
                                t->role, sizeof(t->role), &p->role)
           != NGX_OK
        || ngx_http_ai_jwt_text(payload, &claim[NGX_HTTP_AI_JWT_SCOPES],
                                t->scopes, sizeof(t->scopes), &p->scopes)
           != NGX_OK
        || ngx_http_ai_jwt_text(payload, &claim[NGX_HTTP_AI_JWT_MODELS],
                                t->models, sizeof(t->models), &p->models)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* Without a user it would be nobody's, who sees the jobs of all. */

    if (p->user.len == 0) {
        p->user = p->id;
    }

    /* What an issuer has beside our roles and scopes is nothing to us. */

    role = ai_role_mightiest(ngx_http_ai_str(&p->role),
                             (ai_role_e) key->role);
    p->role.data = (u_char *) role.data;
    p->role.len = role.len;

    ai_buf_init(&b, t->known, sizeof(t->known));
    ai_scopes_known(&b, ngx_http_ai_str(&p->scopes));
    p->scopes.data = (u_char *) t->known;
    p->scopes.len = ai_buf_len(&b);

    return NGX_OK;
}


/* NGX_OK, with nothing where there is no such claim or no name; NGX_ERROR for
 * what is no text. */

static ngx_int_t
ngx_http_ai_jwt_text(ai_str_t payload, ngx_str_t *name, char *buf, size_t size,
    ngx_str_t *value)
{
    long  len;

    ngx_str_null(value);

    if (name->len == 0) {
        return NGX_OK;
    }

    len = ai_jwt_claim(payload, (char *) name->data, buf, size);

    if (len < 0) {
        return NGX_ERROR;
    }

    value->data = (u_char *) buf;
    value->len = len;

    return NGX_OK;
}


/* A subject stands in keys, logs and columns, so all but a few characters are
 * escaped as in a URL: different subjects stay different. */

static size_t
ngx_http_ai_jwt_escape(char *out, ai_str_t s)
{
    char    c, *p;
    size_t  i;

    static const char  digits[] = "0123456789ABCDEF";

    p = out;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
            || (c >= '0' && c <= '9')
            || (c != '\0' && strchr("-._~@|+=:/", c) != NULL))
        {
            *p++ = c;
            continue;
        }

        *p++ = '%';
        *p++ = digits[(u_char) c >> 4];
        *p++ = digits[c & 15];
    }

    return p - out;
}


ngx_int_t
ngx_http_ai_jwt_claim(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    long                len;
    u_char             *p;
    ai_jws_t            jws;
    ngx_http_ai_ctx_t  *ctx;

    ngx_str_null(value);

    ctx = ngx_http_ai_find_ctx(r);

    if (ctx == NULL || ctx->principal == NULL || !ctx->principal->jwt) {
        return NGX_DECLINED;
    }

    /* It was verified, maybe by another process: its bytes are the same. */

    if (ctx->claims.data == NULL) {

        if (ai_jws_parse(&jws, ngx_http_ai_str(&ctx->token),
                         ngx_http_ai_jwt_buf)
            != AI_JWT_OK)
        {
            return NGX_DECLINED;
        }

        p = ngx_pnalloc(r->pool, jws.payload.len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, jws.payload.data, jws.payload.len);

        ctx->claims.data = p;
        ctx->claims.len = jws.payload.len;
    }

    p = ngx_pnalloc(r->pool, name->len + 1 + NGX_HTTP_AI_JWT_VALUE_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(p, name->data, name->len + 1);

    value->data = p + name->len + 1;

    len = ai_jwt_claim(ngx_http_ai_str(&ctx->claims), (char *) p,
                       (char *) value->data, NGX_HTTP_AI_JWT_VALUE_MAX);

    value->len = ngx_max(len, 0);

    return len > 0 ? NGX_OK : len == 0 ? NGX_DECLINED : NGX_ABORT;
}
