/*
 * The block ai_model {} and the directive ai_price: names that clients ask
 * for, where they lead, and what they cost.  They fill arrays of the main
 * configuration.
 */

#include "ngx_http_ai_conf_block.h"


#define NGX_HTTP_AI_WEIGHT_MAX  1000
#define NGX_HTTP_AI_RETRY_MAX   7       /* the workers' bound of calls */


static char *ngx_http_ai_model_route(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_fallback(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_retry(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_strategy(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_hedge(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_alias(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_aliases(ngx_conf_t *cf,
    ngx_http_ai_main_conf_t *amcf, ngx_http_ai_model_t *model);


static ngx_http_ai_block_command_t  ngx_http_ai_model_commands[] = {
    { ngx_string("route"), 1, 3, ngx_http_ai_model_route },
    { ngx_string("fallback"), 1, 8, ngx_http_ai_model_fallback },
    { ngx_string("retry"), 1, 1, ngx_http_ai_model_retry },
    { ngx_string("strategy"), 1, 1, ngx_http_ai_model_strategy },
    { ngx_string("hedge"), 1, 1, ngx_http_ai_model_hedge },
    { ngx_string("alias"), 1, 16, ngx_http_ai_model_alias },
    { ngx_null_string, 0, 0, NULL }
};


char *
ngx_http_ai_conf_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_main_conf_t  *amcf = conf;

    char                 *rv;
    ngx_str_t            *value;
    ngx_http_ai_model_t  *model;

    value = cf->args->elts;

    if (ngx_http_ai_name_ok(&value[1], 1) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name of a model \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    model = ngx_http_ai_find_model(amcf, &value[1]);
    if (model != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "model \"%V\" is defined already in %s:%ui",
                           &value[1], model->place.file, model->place.line);
        return NGX_CONF_ERROR;
    }

    model = ngx_array_push(&amcf->models);
    if (model == NULL) {
        return NGX_CONF_ERROR;
    }

    model->name = value[1];
    model->retry = NGX_CONF_UNSET;
    model->hedge = NGX_CONF_UNSET_MSEC;
    ngx_str_null(&model->strategy);
    ngx_http_ai_place(cf, &model->place);

    if (ngx_array_init(&model->routes, cf->pool, 2,
                       sizeof(ngx_http_ai_route_t)) != NGX_OK
        || ngx_array_init(&model->fallbacks, cf->pool, 2,
                          sizeof(ngx_http_ai_route_t)) != NGX_OK
        || ngx_array_init(&model->aliases, cf->pool, 1, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_ai_block(cf, ngx_http_ai_model_commands, model);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (model->routes.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "model \"%V\" needs a \"route\"", &model->name);
        return NGX_CONF_ERROR;
    }

    return ngx_http_ai_model_aliases(cf, amcf, model);
}


/* An alias is a model of its own, that leads where the other does. */

static char *
ngx_http_ai_model_aliases(ngx_conf_t *cf, ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_model_t *model)
{
    ngx_str_t            *name;
    ngx_uint_t            i;
    ngx_http_ai_model_t   copy, *alias;

    /* A push may move the array that model lies in. */

    copy = *model;
    name = copy.aliases.elts;

    for (i = 0; i < copy.aliases.nelts; i++) {

        alias = ngx_http_ai_find_model(amcf, &name[i]);
        if (alias != NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "model \"%V\" is defined already in %s:%ui",
                               &name[i], alias->place.file,
                               alias->place.line);
            return NGX_CONF_ERROR;
        }

        alias = ngx_array_push(&amcf->models);
        if (alias == NULL) {
            return NGX_CONF_ERROR;
        }

        *alias = copy;
        alias->name = name[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_http_ai_conf_price(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_main_conf_t  *amcf = conf;

    static const struct {
        ngx_str_t               name;
        size_t                  offset;
    } kinds[] = {
        { ngx_string("input="), offsetof(ai_price_t, input) },
        { ngx_string("output="), offsetof(ai_price_t, output) },
        { ngx_string("cached="), offsetof(ai_price_t, cached) },
        { ngx_string("cached_write="), offsetof(ai_price_t, cached_write) },
        { ngx_string("request="), offsetof(ai_price_t, request) }
    };

    int64_t              *nano;
    ai_str_t              text;
    ngx_str_t            *value, provider, model;
    ngx_uint_t            i, k;
    ngx_http_ai_price_t  *price, *p;

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

    price = NULL;
    p = amcf->prices.elts;

    for (i = 0; i < amcf->prices.nelts; i++) {
        if (p[i].provider.len == provider.len
            && p[i].model.len == model.len
            && ngx_memcmp(p[i].provider.data, value[1].data, value[1].len)
               == 0)
        {
            price = &p[i];
            break;
        }
    }

    if (price == NULL) {
        price = ngx_array_push(&amcf->prices);
        if (price == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    price->provider = provider;
    price->model = model;
    ngx_http_ai_place(cf, &price->place);

    price->price.input = -1;
    price->price.output = -1;
    price->price.cached = -1;
    price->price.cached_write = -1;
    price->price.request = -1;

    for (i = 2; i < cf->args->nelts; i++) {

        for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
            if (ngx_strncmp(value[i].data, kinds[k].name.data,
                            kinds[k].name.len) == 0)
            {
                break;
            }
        }

        if (k == sizeof(kinds) / sizeof(kinds[0])) {
            goto invalid;
        }

        text.data = (char *) value[i].data + kinds[k].name.len;
        text.len = value[i].len - kinds[k].name.len;
        nano = (int64_t *) ((char *) &price->price + kinds[k].offset);

        if (*nano != -1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (ai_money_parse(text, nano) != 0 || *nano < 0) {
            goto invalid;
        }
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", it must be input=, output=, "
                       "cached=, cached_write= or request= with USD",
                       &value[i]);
    return NGX_CONF_ERROR;
}


ngx_http_ai_model_t *
ngx_http_ai_find_model(ngx_http_ai_main_conf_t *amcf, ngx_str_t *name)
{
    return ngx_http_ai_find(&amcf->models, name, amcf->sorted);
}


ngx_int_t
ngx_http_ai_split_model(ngx_str_t *s, ngx_str_t *provider, ngx_str_t *model)
{
    u_char  *slash;

    slash = ngx_strlchr(s->data, s->data + s->len, '/');

    if (slash == NULL || slash == s->data || slash == s->data + s->len - 1) {
        return NGX_DECLINED;
    }

    provider->data = s->data;
    provider->len = slash - s->data;
    model->data = slash + 1;
    model->len = s->data + s->len - model->data;

    return NGX_OK;
}


static char *
ngx_http_ai_model_route(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_model_t  *model = entry;

    ngx_int_t             weight;
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_http_ai_route_t  *route;

    value = cf->args->elts;

    route = ngx_array_push(&model->routes);
    if (route == NULL) {
        return NGX_CONF_ERROR;
    }

    route->provider = value[1];
    route->model = model->name;
    route->weight = 1;
    ngx_http_ai_place(cf, &route->place);

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "model=", 6) == 0) {
            route->model.data = value[i].data + 6;
            route->model.len = value[i].len - 6;

            if (ngx_http_ai_name_ok(&route->model, 1) == NGX_OK) {
                continue;
            }

        } else if (ngx_strncmp(value[i].data, "weight=", 7) == 0) {
            weight = ngx_atoi(value[i].data + 7, value[i].len - 7);

            if (weight > 0 && weight <= NGX_HTTP_AI_WEIGHT_MAX) {
                route->weight = weight;
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", it must be model= with "
                           "a name or weight= from 1 to %d", &value[i],
                           NGX_HTTP_AI_WEIGHT_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_model_fallback(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_model_t  *model = entry;

    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_http_ai_route_t  *route;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        route = ngx_array_push(&model->fallbacks);
        if (route == NULL) {
            return NGX_CONF_ERROR;
        }

        route->weight = 1;
        ngx_http_ai_place(cf, &route->place);

        if (ngx_http_ai_split_model(&value[i], &route->provider, &route->model)
            != NGX_OK
            || ngx_http_ai_name_ok(&route->model, 1) != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid fallback \"%V\", it must be "
                               "provider/model", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_model_retry(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_model_t  *model = entry;

    ngx_str_t  *value;

    if (model->retry != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;
    model->retry = ngx_atoi(value[1].data, value[1].len);

    if (model->retry == NGX_ERROR || model->retry > NGX_HTTP_AI_RETRY_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid retry \"%V\", it must be 0 to %d",
                           &value[1], NGX_HTTP_AI_RETRY_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_model_strategy(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_model_t  *model = entry;

    static const char  *names[] = {
        "weighted", "least_busy", "latency", "cost", NULL
    };

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (model->strategy.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; names[i] != NULL; i++) {
        if (ngx_strcmp(value[1].data, names[i]) == 0) {
            model->strategy = value[1];
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid strategy \"%V\", it must be weighted, "
                       "least_busy, latency or cost", &value[1]);
    return NGX_CONF_ERROR;
}


static char *
ngx_http_ai_model_hedge(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_model_t  *model = entry;

    ngx_int_t   msec;
    ngx_str_t  *value;

    if (model->hedge != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "p95") == 0) {
        model->hedge = 0;
        return NGX_CONF_OK;
    }

    msec = ngx_parse_time(&value[1], 0);

    if (msec == NGX_ERROR || msec == 0 || msec > 86400000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid hedge \"%V\", it must be p95 or a time "
                           "up to a day", &value[1]);
        return NGX_CONF_ERROR;
    }

    model->hedge = msec;

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_model_alias(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_model_t  *model = entry;

    ngx_str_t   *value, *alias, *other;
    ngx_uint_t   i, k;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_ai_name_ok(&value[i], 1) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid name of a model \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        other = model->aliases.elts;

        for (k = 0; k < model->aliases.nelts; k++) {
            if (other[k].len == value[i].len
                && ngx_memcmp(other[k].data, value[i].data, value[i].len)
                   == 0)
            {
                return "is duplicate";
            }
        }

        alias = ngx_array_push(&model->aliases);
        if (alias == NULL) {
            return NGX_CONF_ERROR;
        }

        *alias = value[i];
    }

    return NGX_CONF_OK;
}
