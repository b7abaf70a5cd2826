/*
 * The block ai_model {}: names that clients ask for, and where they lead.  It
 * fills an array of the main configuration.
 */

#include "ngx_http_ai_conf_block.h"


#define NGX_HTTP_AI_WEIGHT_MAX  1000
#define NGX_HTTP_AI_CONTEXT_MAX  1000000000
#define NGX_HTTP_AI_RETRY_MAX   7       /* the workers' bound of calls */


static char *ngx_http_ai_model_route(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_fallback(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_context(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_retry(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_strategy(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_hedge(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_alias(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_model_aliases(ngx_conf_t *cf,
    ngx_http_ai_main_conf_t *amcf, ngx_http_ai_model_t *model);


static ngx_http_ai_block_command_t  ngx_http_ai_model_commands[] = {
    { ngx_string("route"), 1, 3, ngx_http_ai_model_route },
    { ngx_string("fallback"), 1, 8, ngx_http_ai_model_fallback },
    { ngx_string("context"), 1, 2, ngx_http_ai_model_context },
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
    model->context = 0;
    model->output = 0;
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


static char *
ngx_http_ai_model_context(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_model_t  *model = entry;

    ngx_int_t    n;
    ngx_str_t   *value, text;
    ngx_uint_t   i;

    value = cf->args->elts;

    if (model->context) {
        return "is duplicate";
    }

    for (i = 1; i < cf->args->nelts; i++) {
        text = value[i];

        if (i == 2) {
            if (ngx_strncmp(text.data, "output=", 7) != 0) {
                break;
            }

            text.data += 7;
            text.len -= 7;
        }

        n = ngx_atoi(text.data, text.len);

        if (n <= 0 || n > NGX_HTTP_AI_CONTEXT_MAX) {
            break;
        }

        if (i == 1) {
            model->context = n;

        } else {
            model->output = n;
        }
    }

    if (i < cf->args->nelts) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", it must be tokens, or "
                           "output= with tokens, at most %d", &value[i],
                           NGX_HTTP_AI_CONTEXT_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
