/*
 * The directive ai_price: what a model of a provider costs.  It fills an array
 * of the main configuration.
 */

#include "ngx_http_ai_conf_block.h"


static char *ngx_http_ai_price_parse(ngx_conf_t *cf, ai_price_t *price);
static char *ngx_http_ai_price_above(ngx_conf_t *cf, ai_price_t *price,
    ngx_str_t *value, ai_price_tier_t **tier);
static char *ngx_http_ai_price_value(ngx_conf_t *cf, ngx_str_t *value,
    ai_price_tier_t *tier, ngx_uint_t *said);
static ngx_int_t ngx_http_ai_price_cmp(ngx_http_ai_price_t *p,
    ngx_str_t *provider, ngx_str_t *model);


char *
ngx_http_ai_conf_price(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_main_conf_t  *amcf = conf;

    ngx_str_t            *value, provider, model;
    ngx_http_ai_price_t  *price;

    value = cf->args->elts;

    if (ngx_http_ai_split_model(&value[1], &provider, &model) != NGX_OK
        || ngx_http_ai_name_ok(&provider, 0) != NGX_OK
        || ngx_http_ai_name_ok(&model, 1) != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid model \"%V\", it must be provider/model",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    /* The last line wins, and nothing is left of those before it. */

    price = ngx_http_ai_find_price(amcf, &provider, &model);

    if (price == NULL) {
        price = ngx_array_push(&amcf->prices);
        if (price == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    price->provider = provider;
    price->model = model;
    ngx_http_ai_place(cf, &price->place);

    return ngx_http_ai_price_parse(cf, &price->price);
}


static char *
ngx_http_ai_price_parse(ngx_conf_t *cf, ai_price_t *price)
{
    char             *rv;
    ngx_str_t        *value;
    ngx_uint_t        i, said;
    ai_price_tier_t  *tier;

    ai_price_init(price);
    tier = ai_price_add(price, 0);
    said = 0;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "above=", 6) == 0) {
            rv = ngx_http_ai_price_above(cf, price, &value[i], &tier);
            said = 0;

        } else {
            rv = ngx_http_ai_price_value(cf, &value[i], tier, &said);
        }

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_price_above(ngx_conf_t *cf, ai_price_t *price, ngx_str_t *value,
    ai_price_tier_t **tier)
{
    ngx_int_t  above;

    above = ngx_atoi(value->data + 6, value->len - 6);
    *tier = above > 0 ? ai_price_add(price, above) : NULL;

    if (*tier == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", it must be above= with "
                           "input tokens, at most %L, more each time, at most "
                           "%d times", value, (int64_t) AI_PRICE_ABOVE_MAX,
                           AI_PRICE_TIERS - 1);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_price_value(ngx_conf_t *cf, ngx_str_t *value,
    ai_price_tier_t *tier, ngx_uint_t *said)
{
    int        kind;
    u_char    *eq;
    int64_t    nano;
    ai_str_t   name, text;

    eq = ngx_strlchr(value->data, value->data + value->len, '=');
    kind = -1;
    text = ai_str("");

    if (eq != NULL) {
        name.data = (char *) value->data;
        name.len = eq - value->data;
        text.data = (char *) eq + 1;
        text.len = value->len - name.len - 1;
        kind = ai_price_kind(name);
    }

    if (kind < 0 || ai_money_parse(text, &nano) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", it must be input=, "
                           "output=, cached=, cached_write=, "
                           "cached_write_1h=, reasoning=, audio=, "
                           "audio_output=, image=, image_output= or request= "
                           "with USD, or above=", value);
        return NGX_CONF_ERROR;
    }

    if (*said & ((ngx_uint_t) 1 << kind)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate parameter \"%V\"",
                           value);
        return NGX_CONF_ERROR;
    }

    *said |= (ngx_uint_t) 1 << kind;
    tier->of[kind] = nano;

    return NGX_CONF_OK;
}


ngx_http_ai_price_t *
ngx_http_ai_find_price(ngx_http_ai_main_conf_t *amcf, ngx_str_t *provider,
    ngx_str_t *model)
{
    ngx_int_t             rc;
    ngx_uint_t            i, low, high;
    ngx_http_ai_price_t  *p;

    p = amcf->prices.elts;

    if (!amcf->sorted) {

        for (i = 0; i < amcf->prices.nelts; i++) {
            if (ngx_http_ai_price_cmp(&p[i], provider, model) == 0) {
                return &p[i];
            }
        }

        return NULL;
    }

    low = 0;
    high = amcf->prices.nelts;

    while (low < high) {
        i = low + (high - low) / 2;
        rc = ngx_http_ai_price_cmp(&p[i], provider, model);

        if (rc == 0) {
            return &p[i];
        }

        if (rc < 0) {
            low = i + 1;

        } else {
            high = i;
        }
    }

    return NULL;
}


/* As the catalog sorts them. */

static ngx_int_t
ngx_http_ai_price_cmp(ngx_http_ai_price_t *p, ngx_str_t *provider,
    ngx_str_t *model)
{
    ngx_int_t  rc;

    rc = ngx_memn2cmp(p->provider.data, provider->data, p->provider.len,
                      provider->len);

    return rc ? rc : ngx_memn2cmp(p->model.data, model->data, p->model.len,
                                  model->len);
}
