/*
 * What a request asks for, as one hash: tenant and scope, model and where it
 * is routed to, the headers that pass, and the body's own hash.  Two requests
 * have the same only if either may be given the other's answer.
 */

#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_stream.h"
#include "ai_headers.h"


/* Of all that is hashed; a request with more is not shared. */
#define NGX_HTTP_AI_CACHE_TEXT  65536


static ngx_int_t ngx_http_ai_cache_key_scope(ai_buf_t *b,
    ngx_http_ai_loc_conf_t *conf, ngx_http_ai_principal_t *p);
static void ngx_http_ai_cache_key_route(ai_buf_t *b, ngx_str_t *model);
static void ngx_http_ai_cache_key_routes(ai_buf_t *b, ngx_array_t *routes);
static void ngx_http_ai_cache_key_provider(ai_buf_t *b, ngx_str_t *name);
static void ngx_http_ai_cache_key_headers(ai_buf_t *b, ngx_http_request_t *r,
    ngx_http_ai_loc_conf_t *conf, ai_dialect_e dialect);
static void ngx_http_ai_cache_key_list(ai_buf_t *b, ngx_array_t *list);
static void ngx_http_ai_cache_key_add(ai_buf_t *b, ai_str_t s);
static void ngx_http_ai_cache_key_int(ai_buf_t *b, int64_t n);


static char  ngx_http_ai_cache_text[NGX_HTTP_AI_CACHE_TEXT];


ngx_int_t
ngx_http_ai_cache_key(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    char                     *query;
    ai_buf_t                  b;
    ngx_http_ai_share_t      *share;
    ngx_http_ai_loc_conf_t   *conf;
    ngx_http_ai_principal_t  *p;

    p = ctx->principal;
    share = ctx->share;
    conf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    ai_buf_init(&b, ngx_http_ai_cache_text, sizeof(ngx_http_ai_cache_text));

    ngx_http_ai_cache_key_int(&b, 1);
    ngx_http_ai_cache_key_add(&b, ngx_http_ai_str(&p->tenant));

    if (ngx_http_ai_cache_key_scope(&b, conf, p) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_http_ai_cache_key_int(&b, ctx->dialect);
    ngx_http_ai_cache_key_int(&b, ctx->op);
    ngx_http_ai_cache_key_add(&b, ngx_http_ai_str(&ctx->model));
    ngx_http_ai_cache_key_route(&b, &ctx->model);
    ngx_http_ai_cache_key_headers(&b, r, conf, ctx->dialect);
    ngx_http_ai_cache_key_list(&b, conf->forward_out);
    ngx_http_ai_cache_key_add(&b, ngx_http_ai_str(&share->options));
    ngx_http_ai_cache_key_add(&b, (ai_str_t) { AI_SHA256_HEX,
                                               (char *) share->sum });

    /* The rest is one field, whatever it holds. */

    query = b.pos;
    ai_headers_query(&b, ctx->dialect, ngx_http_ai_str(&r->args));
    ngx_http_ai_cache_key_int(&b, b.pos - query);

    if (b.full
        || ai_sha256_hex((char *) share->key,
                         (ai_str_t) { ai_buf_len(&b), b.start })
           != 0)
    {
        return NGX_DECLINED;
    }

    share->keyed = 1;

    return NGX_OK;
}


/* Who has no name within the scope shares with nobody. */

static ngx_int_t
ngx_http_ai_cache_key_scope(ai_buf_t *b, ngx_http_ai_loc_conf_t *conf,
    ngx_http_ai_principal_t *p)
{
    ngx_str_t  *name;

    ngx_http_ai_cache_key_int(b, conf->cache_scope);

    switch (conf->cache_scope) {

    case NGX_HTTP_AI_SCOPE_USER:
        name = &p->user;
        break;

    case NGX_HTTP_AI_SCOPE_KEY:
        if (p->anonymous) {
            return NGX_DECLINED;
        }

        /* A token's subject may be a key's id, too. */
        ngx_http_ai_cache_key_int(b, p->jwt);
        name = &p->id;
        break;

    default:
        return NGX_OK;
    }

    if (name->len == 0) {
        return NGX_DECLINED;
    }

    ngx_http_ai_cache_key_add(b, ngx_http_ai_str(name));

    return NGX_OK;
}


/* As the catalog has it, without prices. */

static void
ngx_http_ai_cache_key_route(ai_buf_t *b, ngx_str_t *model)
{
    ngx_str_t             provider, name;
    ngx_http_ai_model_t  *m;

    m = ngx_http_ai_find_model(ngx_http_ai_edge->amcf, model);

    if (m != NULL) {
        ngx_http_ai_cache_key_routes(b, &m->routes);
        ngx_http_ai_cache_key_routes(b, &m->fallbacks);
        return;
    }

    if (ngx_http_ai_split_model(model, &provider, &name) == NGX_OK) {
        ngx_http_ai_cache_key_provider(b, &provider);
    }
}


static void
ngx_http_ai_cache_key_routes(ai_buf_t *b, ngx_array_t *routes)
{
    ngx_uint_t            i;
    ngx_http_ai_route_t  *route;

    route = routes->elts;
    ngx_http_ai_cache_key_int(b, routes->nelts);

    for (i = 0; i < routes->nelts; i++) {
        ngx_http_ai_cache_key_add(b, ngx_http_ai_str(&route[i].model));
        ngx_http_ai_cache_key_int(b, route[i].weight);
        ngx_http_ai_cache_key_provider(b, &route[i].provider);
    }
}


static void
ngx_http_ai_cache_key_provider(ai_buf_t *b, ngx_str_t *name)
{
    ngx_uint_t               i;
    ngx_keyval_t            *option;
    ngx_http_ai_provider_t  *provider;

    ngx_http_ai_cache_key_add(b, ngx_http_ai_str(name));

    provider = ngx_http_ai_find_provider(ngx_http_ai_edge->amcf, name);
    if (provider == NULL) {
        return;
    }

    ngx_http_ai_cache_key_add(b, ngx_http_ai_str(&provider->api));
    ngx_http_ai_cache_key_list(b, &provider->urls);
    ngx_http_ai_cache_key_list(b, &provider->headers);

    option = provider->options.elts;
    ngx_http_ai_cache_key_int(b, provider->options.nelts);

    for (i = 0; i < provider->options.nelts; i++) {
        ngx_http_ai_cache_key_add(b, ngx_http_ai_str(&option[i].key));
        ngx_http_ai_cache_key_add(b, ngx_http_ai_str(&option[i].value));
    }
}


/* What passes to the provider may change the answer; what only names the call
 * does not. */

static void
ngx_http_ai_cache_key_headers(ai_buf_t *b, ngx_http_request_t *r,
    ngx_http_ai_loc_conf_t *conf, ai_dialect_e dialect)
{
    ai_str_t                name;
    ngx_table_elt_t        *h;
    ngx_http_ai_headers_t   headers;

    ngx_http_ai_headers(&headers, &r->headers_in.headers);

    while ((h = ngx_http_ai_headers_next(&headers)) != NULL) {

        if (!ngx_http_ai_spec_header(conf, dialect, h)) {
            continue;
        }

        name = (ai_str_t) { h->key.len, (char *) h->lowcase_key };

        if (ai_str_eqz(name, "idempotency-key")
            || ai_str_eqz(name, "x-client-request-id"))
        {
            continue;
        }

        ngx_http_ai_cache_key_add(b, name);
        ngx_http_ai_cache_key_add(b, ngx_http_ai_str(&h->value));
    }

    ngx_http_ai_cache_key_int(b, -1);
}


static void
ngx_http_ai_cache_key_list(ai_buf_t *b, ngx_array_t *list)
{
    ngx_str_t   *s;
    ngx_uint_t   i;

    s = list != NULL ? list->elts : NULL;
    ngx_http_ai_cache_key_int(b, list != NULL ? (int64_t) list->nelts : 0);

    for (i = 0; s != NULL && i < list->nelts; i++) {
        ngx_http_ai_cache_key_add(b, ngx_http_ai_str(&s[i]));
    }
}


/* With its length, so that no two lists of fields are one text. */

static void
ngx_http_ai_cache_key_add(ai_buf_t *b, ai_str_t s)
{
    ngx_http_ai_cache_key_int(b, s.len);
    ai_buf_add_str(b, s);
}


static void
ngx_http_ai_cache_key_int(ai_buf_t *b, int64_t n)
{
    ai_buf_add_int(b, n);
    ai_buf_add_z(b, ":");
}
