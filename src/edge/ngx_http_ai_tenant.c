/*
 * Whose request it is: the strategies of ai_tenant in their order, against the
 * tenant of who asks, and the tenant's own record where the key had none.
 * Refuses nobody; what is wrong is left in the context.
 */

#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_steps.h"
#include "ai_role.h"


/* Longer than all the steps of a look-up together may take. */
#define NGX_HTTP_AI_TENANT_TIMEOUT  10000
/* Older than this is what shared memory may not be while it is believed. */
#define NGX_HTTP_AI_TENANT_HEARD    1000


static ngx_int_t ngx_http_ai_tenant_value(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_http_ai_tenant_by_t *by, ngx_str_t *value);
static ngx_int_t ngx_http_ai_tenant_host(ngx_http_request_t *r,
    ngx_str_t *domain, ngx_str_t *value);
static ngx_int_t ngx_http_ai_tenant_header(ngx_http_request_t *r,
    ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_http_ai_tenant_claim(ngx_http_request_t *r,
    ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_http_ai_tenant_choose(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_array_t *strategies, ngx_str_t *own,
    ngx_str_t *name, ngx_uint_t *sure);
static ngx_uint_t ngx_http_ai_tenant_bound(ngx_http_ai_principal_t *p,
    ngx_str_t *own);
static ngx_int_t ngx_http_ai_tenant_look(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_str_t *name);
static void ngx_http_ai_tenant_looked(ngx_http_ai_lookup_t *l,
    ngx_uint_t state, ngx_http_ai_principal_t *p);
static ngx_http_ai_principal_t *ngx_http_ai_tenant_of(ngx_http_ai_ctx_t *ctx,
    ngx_http_ai_principal_t *own, ngx_http_ai_principal_t *record);
static ngx_int_t ngx_http_ai_tenant_refuse(ngx_http_ai_ctx_t *ctx,
    const char *cause, char *text);
static void ngx_http_ai_tenant_cleanup(void *data);


/* The claim without a name is the one that ai_jwt_claim names. */

static ngx_http_ai_tenant_by_t  ngx_http_ai_tenant_defaults[] = {
    { NGX_HTTP_AI_TENANT_KEY, ngx_null_string, NULL },
    { NGX_HTTP_AI_TENANT_CLAIM, ngx_null_string, NULL }
};

static ngx_array_t  ngx_http_ai_tenant_default = {
    ngx_http_ai_tenant_defaults, 2, sizeof(ngx_http_ai_tenant_by_t), 2, NULL
};


ngx_int_t
ngx_http_ai_tenant(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_int_t                 rc;
    ngx_str_t                 own, name;
    ngx_uint_t                sure;
    ngx_array_t              *strategies;
    ngx_http_ai_loc_conf_t   *alcf;
    ngx_http_ai_principal_t  *p;

    static time_t  said;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    strategies = alcf->tenant != NULL ? alcf->tenant
                                      : &ngx_http_ai_tenant_default;

    if (ctx->tenanted && ctx->tenant_by == strategies) {

        if (ctx->tenant_asked) {
            /* entered again without an answer */
            ngx_http_ai_lookup_cancel(&ctx->lookup);
            ctx->tenant_asked = 0;
            return ngx_http_ai_tenant_refuse(ctx, "unavailable", NULL);
        }

        return NGX_DECLINED;
    }

    if (!ctx->tenanted) {
        ctx->own = ctx->principal;

        if (ctx->own != NULL) {
            ctx->claimed = ctx->own->tenant;
        }

    } else if (ctx->own != NULL) {
        /* an internal redirect led to where other strategies hold */
        ctx->refusal = NULL;
    }

    ctx->tenanted = 1;
    ctx->tenant_by = strategies;
    ctx->tenant_asked = 0;
    ctx->principal = ctx->own;
    ngx_str_null(&ctx->tenant_version);

    p = ctx->own;

    if (p == NULL) {
        return NGX_DECLINED;
    }

    ngx_str_null(&own);

    /* Another place's claim= may have said it. */

    p->tenant = ctx->claimed;

    if (!p->anonymous && !p->jwt) {
        own = p->tenant;
    }

    rc = ngx_http_ai_tenant_choose(r, ctx, strategies, &own, &name, &sure);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (p->jwt) {

        if (own.len == 0) {
            own = p->tenant;
        }

        if (p->tenants.len && !ngx_http_ai_tenant_bound(p, &own)) {
            return ngx_http_ai_tenant_refuse(ctx, "forbidden",
                        "The issuer of this token is of other tenants.");
        }

        p->tenant = own;
    }

    if (rc == NGX_DECLINED) {

        if (p->anonymous) {
            return NGX_DECLINED;
        }

        name = own;
    }

    if (own.len) {

        if (name.len == own.len
            && ngx_memcmp(name.data, own.data, own.len) == 0)
        {
            /* What Redis has of a key has its tenant's state and plan. */

            if (p->version.len) {
                return NGX_DECLINED;
            }

        } else if (ai_role_find(ngx_http_ai_str(&p->role))
                   != AI_ROLE_PLATFORM_ADMIN)
        {
            ngx_log_error(ngx_http_ai_seldom(&said), r->connection->log, 0,
                          "ai: a request of tenant \"%V\" names another one",
                          &own);

            return ngx_http_ai_tenant_refuse(ctx, "forbidden",
                        "This credential belongs to another tenant.");
        }

    } else if (!p->anonymous && !sure) {
        return ngx_http_ai_tenant_refuse(ctx, "forbidden",
                                       "This credential is of no tenant.");
    }

    if (!ai_keys_tenant_ok(ngx_http_ai_str(&name))) {
        return ngx_http_ai_tenant_refuse(ctx, "not_found",
                                         "There is no such tenant.");
    }

    return ngx_http_ai_tenant_look(r, ctx, &name);
}


/*
 * The first strategy that yields, and the tenant of who asks, where a claim
 * says it; sure: what it yields are the administrator's words, not a client's.
 * NGX_DECLINED: none yields.
 */

static ngx_int_t
ngx_http_ai_tenant_choose(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_array_t *strategies, ngx_str_t *own, ngx_str_t *name, ngx_uint_t *sure)
{
    ngx_int_t                 rc;
    ngx_str_t                 value;
    ngx_uint_t                i, found;
    ngx_http_ai_tenant_by_t  *by;

    by = strategies->elts;
    found = 0;
    *sure = 0;
    ngx_str_null(name);

    for (i = 0; i < strategies->nelts; i++) {

        if (found && (own->len || by[i].type != NGX_HTTP_AI_TENANT_CLAIM)) {
            continue;
        }

        rc = ngx_http_ai_tenant_value(r, ctx, &by[i], &value);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (own->len == 0 && by[i].type == NGX_HTTP_AI_TENANT_CLAIM) {
            *own = value;
        }

        if (!found) {
            found = 1;
            *name = value;
            *sure = by[i].type == NGX_HTTP_AI_TENANT_VAR
                    && by[i].value->lengths == NULL;
        }
    }

    return found ? NGX_OK : NGX_DECLINED;
}


/* NGX_DECLINED: it yields nothing. */

static ngx_int_t
ngx_http_ai_tenant_value(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_http_ai_tenant_by_t *by, ngx_str_t *value)
{
    switch (by->type) {

    case NGX_HTTP_AI_TENANT_KEY:

        if (!ctx->keyed || ctx->own->anonymous || ctx->own->version.len == 0) {
            return NGX_DECLINED;
        }

        *value = ctx->own->tenant;
        return NGX_OK;

    case NGX_HTTP_AI_TENANT_CLAIM:

        if (by->name.len == 0) {
            *value = ctx->own->tenant;

            return ctx->own->jwt && value->len ? NGX_OK : NGX_DECLINED;
        }

        return ngx_http_ai_tenant_claim(r, &by->name, value);

    case NGX_HTTP_AI_TENANT_HOST:
        return ngx_http_ai_tenant_host(r, &by->name, value);

    case NGX_HTTP_AI_TENANT_HEADER:
        return ngx_http_ai_tenant_header(r, &by->name, value);

    default: /* NGX_HTTP_AI_TENANT_VAR */

        if (ngx_http_complex_value(r, by->value, value) != NGX_OK) {
            return NGX_ERROR;
        }

        return value->len ? NGX_OK : NGX_DECLINED;
    }
}


/* One label before the domain, which begins with a dot.  nginx has put the
 * host in lower case. */

static ngx_int_t
ngx_http_ai_tenant_host(ngx_http_request_t *r, ngx_str_t *domain,
    ngx_str_t *value)
{
    ngx_str_t  *host;

    host = &r->headers_in.server;

    if (host->len <= domain->len
        || ngx_memcmp(host->data + host->len - domain->len, domain->data,
                      domain->len)
           != 0)
    {
        return NGX_DECLINED;
    }

    value->data = host->data;
    value->len = host->len - domain->len;

    return ngx_strlchr(value->data, value->data + value->len, '.') == NULL
           ? NGX_OK : NGX_DECLINED;
}


/* A header that is there twice names no tenant: who is in front might have
 * looked at the other one. */

static ngx_int_t
ngx_http_ai_tenant_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_uint_t              n;
    ngx_table_elt_t        *h;
    ngx_http_ai_headers_t   headers;

    n = 0;
    ngx_http_ai_headers(&headers, &r->headers_in.headers);

    while ((h = ngx_http_ai_headers_named(&headers, name)) != NULL) {
        *value = h->value;
        n++;
    }

    if (n > 1) {
        ngx_str_set(value, "-");
        return NGX_OK;
    }

    return n && value->len ? NGX_OK : NGX_DECLINED;
}


/* A claim that is no text names no tenant, and is not as good as none. */

static ngx_int_t
ngx_http_ai_tenant_claim(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_int_t  rc;

    rc = ngx_http_ai_jwt_claim(r, name, value);

    if (rc == NGX_ABORT) {
        ngx_str_set(value, "-");
        return NGX_OK;
    }

    return rc;
}


/* Whether a token is of a tenant that its issuer is for: the only one, where
 * it says none. */

static ngx_uint_t
ngx_http_ai_tenant_bound(ngx_http_ai_principal_t *p, ngx_str_t *own)
{
    u_char  *word, *last, *end;

    word = p->tenants.data;
    last = word + p->tenants.len;

    if (own->len == 0) {
        *own = p->tenants;
        return ngx_strlchr(word, last, ' ') == NULL;
    }

    for ( /* void */ ; word < last; word = end + 1) {
        end = ngx_strlchr(word, last, ' ');

        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - word) == own->len
            && ngx_memcmp(word, own->data, own->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_ai_tenant_look(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_str_t *name)
{
    ngx_int_t                 rc;
    ngx_uint_t                state;
    ngx_http_cleanup_t       *cln;
    ngx_http_ai_principal_t  *p;

    ctx->tenant.data = ngx_pstrdup(r->pool, name);
    ctx->tenant.len = name->len;

    if (ctx->tenant.data == NULL
        || ngx_http_ai_lookup_tenant(ctx->tenant_sha,
                                     ngx_http_ai_str(&ctx->tenant))
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_ai_edge == NULL) {
        return ngx_http_ai_tenant_refuse(ctx, "unavailable", NULL);
    }

    if (ngx_http_ai_redis_heard(ngx_http_ai_edge->redis)
        < NGX_HTTP_AI_TENANT_HEARD)
    {
        rc = ngx_http_ai_zone_get(ngx_http_ai_edge->amcf->principals,
                                  ctx->tenant_sha, r->pool, &state, &p);
        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc == NGX_OK) {
            ngx_http_ai_tenant_known(ctx, state, p);
            return NGX_DECLINED;
        }
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_ai_tenant_cleanup;
    cln->data = ctx;

    ctx->lookup.handler = ngx_http_ai_tenant_looked;
    ctx->lookup.data = ctx;
    ctx->lookup.tenant = &ctx->tenant;
    ctx->lookup.address = r->connection->sockaddr;

    if (ngx_http_ai_lookup(&ctx->lookup, ctx->tenant_sha) != NGX_OK) {
        return ngx_http_ai_tenant_refuse(ctx, "unavailable", NULL);
    }

    ctx->tenant_asked = 1;
    ctx->principal = NULL;

    return ngx_http_ai_wait(r, &ctx->wait, NGX_HTTP_AI_TENANT_TIMEOUT);
}


static void
ngx_http_ai_tenant_looked(ngx_http_ai_lookup_t *l, ngx_uint_t state,
    ngx_http_ai_principal_t *p)
{
    ngx_http_ai_ctx_t *ctx = l->data;

    ctx->tenant_asked = 0;

    ngx_http_ai_tenant_known(ctx, state, p);

    ngx_http_ai_wake(&ctx->wait);
}


void
ngx_http_ai_tenant_known(ngx_http_ai_ctx_t *ctx, ngx_uint_t state,
    ngx_http_ai_principal_t *record)
{
    ngx_http_ai_principal_t  *own, *p;

    own = ctx->own;

    switch (state) {

    case NGX_HTTP_AI_KEY_ACTIVE:
        break;

    case NGX_HTTP_AI_KEY_UNKNOWN:
        (void) ngx_http_ai_tenant_refuse(ctx, "not_found",
                                         "There is no such tenant.");
        return;

    case NGX_HTTP_AI_KEY_REVOKED:
    case NGX_HTTP_AI_KEY_DISABLED:
        (void) ngx_http_ai_tenant_refuse(ctx, "forbidden",
                                         "This tenant is disabled.");
        return;

    default:
        (void) ngx_http_ai_tenant_refuse(ctx, "unavailable", NULL);
        return;
    }

    p = ngx_http_ai_tenant_of(ctx, own, record);

    if (p == NULL) {
        (void) ngx_http_ai_tenant_refuse(ctx, "unavailable", NULL);
        return;
    }

    ctx->principal = p;
    ctx->refusal = NULL;

    if (own->tenant.len && !own->anonymous
        && (own->tenant.len != p->tenant.len
            || ngx_memcmp(own->tenant.data, p->tenant.data, p->tenant.len)
               != 0))
    {
        ngx_log_error(NGX_LOG_NOTICE, ctx->request->connection->log, 0,
                      "ai: platform administrator \"%V\" of tenant \"%V\" "
                      "acts for tenant \"%V\"", &own->id, &own->tenant,
                      &p->tenant);
    }
}


/* Who asks, for the tenant of this record; NULL without memory.  What is not
 * a key's has the version of the record. */

static ngx_http_ai_principal_t *
ngx_http_ai_tenant_of(ngx_http_ai_ctx_t *ctx, ngx_http_ai_principal_t *own,
    ngx_http_ai_principal_t *record)
{
    ngx_http_ai_principal_t   p, *copy;

    p = *own;
    p.tenant = record->tenant;
    p.plan = record->plan;
    p.weight = record->weight;

    if (own->version.len == 0) {
        p.version = record->version;
    }

    copy = ngx_http_ai_principal_dup(ctx->request->pool, &p);

    if (copy != NULL && own->version.len == 0) {
        ctx->tenant_version = copy->version;
        ngx_str_null(&copy->version);
    }

    return copy;
}


void
ngx_http_ai_tenant_again(ngx_http_ai_ctx_t *ctx, ngx_http_ai_principal_t *was)
{
    ngx_http_ai_principal_t  *own;

    own = ctx->principal;
    ctx->own = own;

    if (own != NULL) {
        ctx->claimed = own->tenant;
    }

    if (own == NULL
        || (own->tenant.len == was->tenant.len
            && ngx_memcmp(own->tenant.data, was->tenant.data, was->tenant.len)
               == 0))
    {
        return;
    }

    if (ai_role_find(ngx_http_ai_str(&own->role)) != AI_ROLE_PLATFORM_ADMIN) {
        (void) ngx_http_ai_tenant_refuse(ctx, "forbidden", NULL);
        return;
    }

    ctx->principal = ngx_http_ai_tenant_of(ctx, own, was);

    if (ctx->principal == NULL) {
        (void) ngx_http_ai_tenant_refuse(ctx, "unavailable", NULL);
    }
}


ngx_int_t
ngx_http_ai_tenant_versioned(ngx_http_ai_ctx_t *ctx, ngx_str_t *name,
    ngx_str_t *version)
{
    u_char  *p;

    *name = ctx->principal->id;
    *version = ctx->principal->version;

    if (version->len) {
        return NGX_OK;
    }

    if (ctx->tenant_version.len == 0) {
        ngx_str_null(name);
        return NGX_OK;
    }

    name->len = AI_TENANT_MARK_LEN + ctx->principal->tenant.len;
    name->data = ngx_pnalloc(ctx->request->pool, name->len);

    if (name->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(name->data, AI_TENANT_MARK, AI_TENANT_MARK_LEN);
    ngx_memcpy(p, ctx->principal->tenant.data, ctx->principal->tenant.len);

    *version = ctx->tenant_version;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_tenant_refuse(ngx_http_ai_ctx_t *ctx, const char *cause,
    char *text)
{
    ctx->principal = NULL;
    ctx->refusal = cause;

    ngx_str_null(&ctx->refusal_text);

    if (text != NULL) {
        ctx->refusal_text.data = (u_char *) text;
        ctx->refusal_text.len = ngx_strlen(text);
    }

    return NGX_DECLINED;
}


static void
ngx_http_ai_tenant_cleanup(void *data)
{
    ngx_http_ai_ctx_t *ctx = data;

    ngx_http_ai_lookup_cancel(&ctx->lookup);
}
