/*
 * The catalog: what the workers must know of nginx.conf, as canonical JSON
 * (docs/wire.md, 8), named by its SHA-256.  Made once a configuration, in the
 * cycle's pool.
 */

#include "ngx_http_ai_discover.h"
#include "ngx_http_ai_jwt.h"
#include "ai_str.h"


static void ngx_http_ai_catalog_jwks(ai_buf_t *b, ngx_array_t *sets);
static void ngx_http_ai_catalog_models(ai_buf_t *b, ngx_array_t *models);
static void ngx_http_ai_catalog_routes(ai_buf_t *b, ngx_array_t *routes);
static void ngx_http_ai_catalog_prices(ai_buf_t *b, ngx_array_t *prices);
static void ngx_http_ai_catalog_price(ai_buf_t *b, const ai_price_t *price);
static ngx_uint_t ngx_http_ai_catalog_tier(ai_buf_t *b,
    const ai_price_tier_t *tier);
static void ngx_http_ai_catalog_providers(ai_buf_t *b,
    ngx_array_t *providers);
static void ngx_http_ai_catalog_options(ai_buf_t *b, ngx_array_t *options);
static void ngx_http_ai_catalog_strings(ai_buf_t *b, ngx_array_t *list);
static void ngx_http_ai_catalog_string(ai_buf_t *b, ngx_str_t *s);
static int ngx_libc_cdecl ngx_http_ai_catalog_by_model(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_http_ai_catalog_by_plan(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_http_ai_catalog_by_provider(
    const void *one, const void *two);
static int ngx_libc_cdecl ngx_http_ai_catalog_by_price(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_http_ai_catalog_by_key(const void *one,
    const void *two);
static ngx_int_t ngx_http_ai_catalog_cmp(ngx_str_t *one, ngx_str_t *two);


ngx_int_t
ngx_http_ai_catalog_make(ngx_conf_t *cf, ngx_http_ai_main_conf_t *amcf)
{
    char        *mem;
    ai_buf_t     b;
    ai_sign_t   *sign;

    mem = ngx_palloc(cf->temp_pool, NGX_HTTP_AI_CATALOG_MAX);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    /* Canonical: whatever the order in nginx.conf, one text. */

    ngx_qsort(amcf->models.elts, amcf->models.nelts,
             sizeof(ngx_http_ai_model_t), ngx_http_ai_catalog_by_model);
    ngx_qsort(amcf->prices.elts, amcf->prices.nelts,
             sizeof(ngx_http_ai_price_t), ngx_http_ai_catalog_by_price);
    ngx_qsort(amcf->providers.elts, amcf->providers.nelts,
             sizeof(ngx_http_ai_provider_t), ngx_http_ai_catalog_by_provider);
    ngx_qsort(amcf->plans.elts, amcf->plans.nelts,
             sizeof(ngx_http_ai_plan_t), ngx_http_ai_catalog_by_plan);

    amcf->sorted = 1;

    ai_buf_init(&b, mem, NGX_HTTP_AI_CATALOG_MAX);

    ai_buf_add_z(&b, "{");
    ngx_http_ai_catalog_jwks(&b, amcf->jwt_sets);
    ai_buf_add_z(&b, "\"models\":{");
    ngx_http_ai_catalog_models(&b, &amcf->models);
    ai_buf_add_z(&b, "},\"prices\":{");
    ngx_http_ai_catalog_prices(&b, &amcf->prices);
    ai_buf_add_z(&b, "},\"providers\":{");
    ngx_http_ai_catalog_providers(&b, &amcf->providers);
    ai_buf_add_z(&b, "},\"v\":1}");

    if (b.full) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "providers, models and prices make a catalog of over "
                      "%d bytes", NGX_HTTP_AI_CATALOG_MAX);
        return NGX_ERROR;
    }

    amcf->catalog.len = ai_buf_len(&b);
    amcf->catalog.data = ngx_pnalloc(cf->pool, amcf->catalog.len
                                               + AI_SIGN_CATALOG_ADDS);
    if (amcf->catalog.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(amcf->catalog.data, mem, amcf->catalog.len);

    if (ai_sha256_hex((char *) amcf->catalog_sha,
                      ngx_http_ai_str(&amcf->catalog)) != 0)
    {
        return NGX_ERROR;
    }

    sign = amcf->redis != NULL ? amcf->redis->sign : NULL;

    if (sign != NULL) {

        if (ai_sign_catalog(sign, (ai_str_t) { AI_SHA256_HEX,
                                         (const char *) amcf->catalog_sha },
                            (char *) amcf->catalog.data + amcf->catalog.len)
            != 0)
        {
            return NGX_ERROR;
        }

        amcf->catalog.len += AI_SIGN_CATALOG_ADDS;
    }

    return NGX_OK;
}


/* URLs in order, each once: the next above the last one, until there is none.
 * Nothing where there are none. */

static void
ngx_http_ai_catalog_jwks(ai_buf_t *b, ngx_array_t *sets)
{
    ngx_str_t               *last, *next, *url;
    ngx_uint_t               i;
    ngx_http_ai_jwt_set_t  **s;

    if (sets == NULL) {
        return;
    }

    s = sets->elts;
    last = NULL;

    for ( ;; ) {
        next = NULL;

        for (i = 0; i < sets->nelts; i++) {
            url = &s[i]->url;

            if (url->len
                && (last == NULL || ngx_http_ai_catalog_cmp(url, last) > 0)
                && (next == NULL || ngx_http_ai_catalog_cmp(url, next) < 0))
            {
                next = url;
            }
        }

        if (next == NULL) {
            break;
        }

        ai_buf_add_z(b, last == NULL ? "\"jwks\":[" : ",");
        ngx_http_ai_catalog_string(b, next);
        last = next;
    }

    if (last != NULL) {
        ai_buf_add_z(b, "],");
    }
}


static void
ngx_http_ai_catalog_models(ai_buf_t *b, ngx_array_t *models)
{
    ngx_uint_t            i;
    ngx_http_ai_model_t  *model;

    model = models->elts;

    for (i = 0; i < models->nelts; i++) {
        if (i) {
            ai_buf_add_z(b, ",");
        }

        ngx_http_ai_catalog_string(b, &model[i].name);
        ai_buf_add_z(b, ":{\"fallbacks\":[");
        ngx_http_ai_catalog_routes(b, &model[i].fallbacks);
        ai_buf_add_z(b, "],");

        if (model[i].hedge != NGX_CONF_UNSET_MSEC) {
            ai_buf_add_z(b, "\"hedge\":");
            ai_buf_add_int(b, model[i].hedge);
            ai_buf_add_z(b, ",");
        }

        if (model[i].retry != NGX_CONF_UNSET) {
            ai_buf_add_z(b, "\"retry\":");
            ai_buf_add_int(b, model[i].retry);
            ai_buf_add_z(b, ",");
        }

        ai_buf_add_z(b, "\"routes\":[");
        ngx_http_ai_catalog_routes(b, &model[i].routes);
        ai_buf_add_z(b, "]");

        if (model[i].strategy.len) {
            ai_buf_add_z(b, ",\"strategy\":");
            ngx_http_ai_catalog_string(b, &model[i].strategy);
        }

        ai_buf_add_z(b, "}");
    }
}


static void
ngx_http_ai_catalog_routes(ai_buf_t *b, ngx_array_t *routes)
{
    ngx_uint_t            i;
    ngx_http_ai_route_t  *route;

    route = routes->elts;

    for (i = 0; i < routes->nelts; i++) {
        ai_buf_add_z(b, i ? ",{\"model\":" : "{\"model\":");
        ngx_http_ai_catalog_string(b, &route[i].model);
        ai_buf_add_z(b, ",\"provider\":");
        ngx_http_ai_catalog_string(b, &route[i].provider);
        ai_buf_add_z(b, ",\"weight\":");
        ai_buf_add_int(b, route[i].weight);
        ai_buf_add_z(b, "}");
    }
}


static void
ngx_http_ai_catalog_prices(ai_buf_t *b, ngx_array_t *prices)
{
    ngx_uint_t            i;
    ngx_http_ai_price_t  *price;

    price = prices->elts;

    for (i = 0; i < prices->nelts; i++) {
        ai_buf_add_z(b, i ? ",\"" : "\"");
        ai_buf_add_json(b, ngx_http_ai_str(&price[i].provider));
        ai_buf_add_z(b, "/");
        ai_buf_add_json(b, ngx_http_ai_str(&price[i].model));
        ai_buf_add_z(b, "\":{");
        ngx_http_ai_catalog_price(b, &price[i].price);
        ai_buf_add_z(b, "}");
    }
}


static void
ngx_http_ai_catalog_price(ai_buf_t *b, const ai_price_t *price)
{
    ngx_uint_t  i, n;

    n = ngx_http_ai_catalog_tier(b, &price->tier[0]);

    for (i = 1; i < price->tiers; i++) {
        ai_buf_add_z(b, i > 1 ? ",{\"above\":"
                        : n ? ",\"tiers\":[{\"above\":"
                        : "\"tiers\":[{\"above\":");
        ai_buf_add_int(b, price->tier[i].above);
        ai_buf_add_z(b, ",\"of\":{");
        ngx_http_ai_catalog_tier(b, &price->tier[i]);
        ai_buf_add_z(b, "}}");
    }

    if (i > 1) {
        ai_buf_add_z(b, "]");
    }
}


/* How many it has. */

static ngx_uint_t
ngx_http_ai_catalog_tier(ai_buf_t *b, const ai_price_tier_t *tier)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < AI_PRICE_KINDS; i++) {
        if (tier->of[i] >= 0) {
            ai_buf_add_z(b, n++ ? ",\"" : "\"");
            ai_buf_add_z(b, ai_price_name(i));
            ai_buf_add_z(b, "\":");
            ai_buf_add_int(b, tier->of[i]);
        }
    }

    return n;
}


static void
ngx_http_ai_catalog_providers(ai_buf_t *b, ngx_array_t *providers)
{
    ngx_uint_t               i;
    ngx_http_ai_provider_t  *p;

    p = providers->elts;

    for (i = 0; i < providers->nelts; i++) {
        if (i) {
            ai_buf_add_z(b, ",");
        }

        ngx_http_ai_catalog_string(b, &p[i].name);
        ai_buf_add_z(b, ":{\"api\":");
        ngx_http_ai_catalog_string(b, &p[i].api);

        if (p[i].discover != NULL) {
            ai_buf_add_z(b, ",\"discover\":{\"every\":");
            ai_buf_add_int(b, p[i].discover->every);
            ai_buf_add_z(b, ",\"list\":\"");
            ai_buf_add(b, p[i].discover->fetched.sha, AI_SHA256_HEX);
            ai_buf_add_z(b, "\",\"type\":");
            ngx_http_ai_catalog_string(b, &p[i].discover->type);
            ai_buf_add_z(b, "}");
        }

        ai_buf_add_z(b, ",\"headers\":");
        ngx_http_ai_catalog_strings(b, &p[i].headers);
        ai_buf_add_z(b, ",\"key\":");
        ngx_http_ai_catalog_strings(b, &p[i].keys);

        if (p[i].models.nelts) {
            ai_buf_add_z(b, ",\"models\":");
            ngx_http_ai_catalog_strings(b, &p[i].models);
        }

        ai_buf_add_z(b, ",\"options\":");
        ngx_http_ai_catalog_options(b, &p[i].options);
        ai_buf_add_z(b, ",\"timeout\":{\"connect\":");
        ai_buf_add_int(b, p[i].connect);
        ai_buf_add_z(b, ",\"first\":");
        ai_buf_add_int(b, p[i].first);
        ai_buf_add_z(b, ",\"idle\":");
        ai_buf_add_int(b, p[i].idle);
        ai_buf_add_z(b, ",\"total\":");
        ai_buf_add_int(b, p[i].total);
        ai_buf_add_z(b, "},\"url\":");
        ngx_http_ai_catalog_strings(b, &p[i].urls);
        ai_buf_add_z(b, "}");
    }
}


static void
ngx_http_ai_catalog_options(ai_buf_t *b, ngx_array_t *options)
{
    ngx_uint_t     i;
    ngx_keyval_t  *kv;

    ngx_qsort(options->elts, options->nelts, sizeof(ngx_keyval_t),
             ngx_http_ai_catalog_by_key);

    kv = options->elts;
    ai_buf_add_z(b, "{");

    for (i = 0; i < options->nelts; i++) {
        if (i) {
            ai_buf_add_z(b, ",");
        }

        ngx_http_ai_catalog_string(b, &kv[i].key);
        ai_buf_add_z(b, ":");

        if (ngx_atoi(kv[i].value.data, kv[i].value.len) != NGX_ERROR) {
            ai_buf_add_int(b, ngx_atoi(kv[i].value.data, kv[i].value.len));

        } else {
            ngx_http_ai_catalog_string(b, &kv[i].value);
        }
    }

    ai_buf_add_z(b, "}");
}


static void
ngx_http_ai_catalog_strings(ai_buf_t *b, ngx_array_t *list)
{
    ngx_str_t   *s;
    ngx_uint_t   i;

    s = list->elts;
    ai_buf_add_z(b, "[");

    for (i = 0; i < list->nelts; i++) {
        if (i) {
            ai_buf_add_z(b, ",");
        }

        ngx_http_ai_catalog_string(b, &s[i]);
    }

    ai_buf_add_z(b, "]");
}


static void
ngx_http_ai_catalog_string(ai_buf_t *b, ngx_str_t *s)
{
    ai_buf_add_z(b, "\"");
    ai_buf_add_json(b, ngx_http_ai_str(s));
    ai_buf_add_z(b, "\"");
}


static int ngx_libc_cdecl
ngx_http_ai_catalog_by_model(const void *one, const void *two)
{
    return ngx_http_ai_catalog_cmp(&((ngx_http_ai_model_t *) one)->name,
                                   &((ngx_http_ai_model_t *) two)->name);
}


static int ngx_libc_cdecl
ngx_http_ai_catalog_by_plan(const void *one, const void *two)
{
    return ngx_http_ai_catalog_cmp(&((ngx_http_ai_plan_t *) one)->name,
                                   &((ngx_http_ai_plan_t *) two)->name);
}


static int ngx_libc_cdecl
ngx_http_ai_catalog_by_provider(const void *one, const void *two)
{
    return ngx_http_ai_catalog_cmp(&((ngx_http_ai_provider_t *) one)->name,
                                   &((ngx_http_ai_provider_t *) two)->name);
}


static int ngx_libc_cdecl
ngx_http_ai_catalog_by_price(const void *one, const void *two)
{
    ngx_int_t             rc;
    ngx_http_ai_price_t  *first, *second;

    first = (ngx_http_ai_price_t *) one;
    second = (ngx_http_ai_price_t *) two;

    rc = ngx_http_ai_catalog_cmp(&first->provider, &second->provider);

    return rc ? rc : ngx_http_ai_catalog_cmp(&first->model, &second->model);
}


static int ngx_libc_cdecl
ngx_http_ai_catalog_by_key(const void *one, const void *two)
{
    return ngx_http_ai_catalog_cmp(&((ngx_keyval_t *) one)->key,
                                   &((ngx_keyval_t *) two)->key);
}


static ngx_int_t
ngx_http_ai_catalog_cmp(ngx_str_t *one, ngx_str_t *two)
{
    return ngx_memn2cmp(one->data, two->data, one->len, two->len);
}
