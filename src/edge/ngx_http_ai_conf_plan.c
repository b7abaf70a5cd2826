/*
 * The block ai_plan {} and the directive ai_limit: how much tenants, users,
 * keys, models, endpoints and addresses may take.  Plans fill an array of the
 * main configuration, limits one of the location's.
 */

#include "ngx_http_ai_conf_block.h"


/* Of a plan, and of one location: together what a policy holds. */
#define NGX_HTTP_AI_PLAN_LIMITS   10
#define NGX_HTTP_AI_LIMITS        (AI_LIMIT_LINES - NGX_HTTP_AI_PLAN_LIMITS)
#define NGX_HTTP_AI_PLAN_WEIGHT   1000
#define NGX_HTTP_AI_PLAN_NAME     64
#define NGX_HTTP_AI_PLAN_MODELS   8192


static char *ngx_http_ai_plan_requests(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_plan_tokens(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_plan_concurrency(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_plan_budget(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_plan_rates(ngx_conf_t *cf, void *entry, char kind);
static char *ngx_http_ai_plan_weight(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_plan_models(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_limit_add(ngx_conf_t *cf, ngx_array_t *limits,
    ngx_http_ai_limit_t *limit, ngx_str_t *rate, ngx_uint_t max);


static ngx_http_ai_block_command_t  ngx_http_ai_plan_commands[] = {
    { ngx_string("requests"), 1, 8, ngx_http_ai_plan_requests },
    { ngx_string("tokens"), 1, 8, ngx_http_ai_plan_tokens },
    { ngx_string("concurrency"), 1, 1, ngx_http_ai_plan_concurrency },
    { ngx_string("budget"), 1, 8, ngx_http_ai_plan_budget },
    { ngx_string("weight"), 1, 1, ngx_http_ai_plan_weight },
    { ngx_string("models"), 1, 256, ngx_http_ai_plan_models },
    { ngx_null_string, 0, 0, NULL }
};


static struct {
    ngx_str_t                   name;
    char                        kind;
} ngx_http_ai_limit_kinds[] = {
    { ngx_string("requests="), AI_LIMIT_REQUESTS },
    { ngx_string("tokens="), AI_LIMIT_TOKENS },
    { ngx_string("concurrency="), AI_LIMIT_CONCURRENCY },
    { ngx_string("budget="), AI_LIMIT_BUDGET },
    { ngx_null_string, 0 }
};


char *
ngx_http_ai_conf_plan(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_main_conf_t  *amcf = conf;

    ngx_str_t           *value;
    ngx_http_ai_plan_t  *plan;

    value = cf->args->elts;

    if (ngx_http_ai_name_ok(&value[1], 0) != NGX_OK
        || value[1].len > NGX_HTTP_AI_PLAN_NAME)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name of a plan \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    plan = ngx_http_ai_find(&amcf->plans, &value[1], 0);
    if (plan != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "plan \"%V\" is defined already in %s:%ui",
                           &value[1], plan->place.file, plan->place.line);
        return NGX_CONF_ERROR;
    }

    plan = ngx_array_push(&amcf->plans);
    if (plan == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(plan, sizeof(ngx_http_ai_plan_t));

    plan->name = value[1];
    ngx_http_ai_place(cf, &plan->place);

    if (ngx_array_init(&plan->limits, cf->pool, NGX_HTTP_AI_PLAN_LIMITS,
                       sizeof(ngx_http_ai_limit_t)) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_ai_block(cf, ngx_http_ai_plan_commands, plan);
}


static char *
ngx_http_ai_plan_requests(ngx_conf_t *cf, void *entry)
{
    return ngx_http_ai_plan_rates(cf, entry, AI_LIMIT_REQUESTS);
}


static char *
ngx_http_ai_plan_tokens(ngx_conf_t *cf, void *entry)
{
    return ngx_http_ai_plan_rates(cf, entry, AI_LIMIT_TOKENS);
}


static char *
ngx_http_ai_plan_concurrency(ngx_conf_t *cf, void *entry)
{
    return ngx_http_ai_plan_rates(cf, entry, AI_LIMIT_CONCURRENCY);
}


static char *
ngx_http_ai_plan_budget(ngx_conf_t *cf, void *entry)
{
    return ngx_http_ai_plan_rates(cf, entry, AI_LIMIT_BUDGET);
}


static char *
ngx_http_ai_plan_rates(ngx_conf_t *cf, void *entry, char kind)
{
    ngx_http_ai_plan_t  *plan = entry;

    char                 *rv;
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_http_ai_limit_t   limit;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        ngx_memzero(&limit, sizeof(ngx_http_ai_limit_t));
        limit.limit.level = AI_LEVEL_TENANT;
        limit.limit.kind = kind;

        rv = ngx_http_ai_limit_add(cf, &plan->limits, &limit, &value[i],
                                   NGX_HTTP_AI_PLAN_LIMITS);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_plan_weight(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_plan_t  *plan = entry;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (plan->weight) {
        return "is duplicate";
    }

    value = cf->args->elts;
    n = ngx_atoi(value[1].data, value[1].len);

    if (n < 1 || n > NGX_HTTP_AI_PLAN_WEIGHT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid weight \"%V\", it must be from 1 to %d",
                           &value[1], NGX_HTTP_AI_PLAN_WEIGHT);
        return NGX_CONF_ERROR;
    }

    plan->weight = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_plan_models(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_plan_t  *plan = entry;

    size_t       len;
    u_char      *p;
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;
    len = plan->models.len + 1;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_ai_name_ok(&value[i], 1) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid name of a model \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        len += value[i].len + 1;
    }

    if (len > NGX_HTTP_AI_PLAN_MODELS) {
        return "has names that are too long together";
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    value[0] = plan->models;
    plan->models.data = p;

    for (i = value[0].len ? 0 : 1; i < cf->args->nelts; i++) {
        if (p != plan->models.data) {
            *p++ = ' ';
        }

        p = ngx_cpymem(p, value[i].data, value[i].len);
    }

    plan->models.len = p - plan->models.data;

    return NGX_CONF_OK;
}


char *
ngx_http_ai_conf_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t  *alcf = conf;

    char                 *rv;
    u_char               *p;
    ai_str_t              level;
    ngx_str_t            *value, rate, name;
    ngx_uint_t            i, k;
    ngx_http_ai_limit_t   limit;

    value = cf->args->elts;

    if (alcf->limits == NGX_CONF_UNSET_PTR) {
        alcf->limits = ngx_array_create(cf->pool, 4,
                                        sizeof(ngx_http_ai_limit_t));
        if (alcf->limits == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    level = ngx_http_ai_str(&value[1]);
    ngx_str_null(&name);

    p = ngx_strlchr(value[1].data, value[1].data + value[1].len, '=');

    if (p != NULL) {
        level.len = p - value[1].data;
        name.data = p + 1;
        name.len = value[1].data + value[1].len - name.data;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        ngx_memzero(&limit, sizeof(ngx_http_ai_limit_t));
        limit.name = name;

        if (ai_level_parse(level, &limit.limit.level) != 0
            || (p != NULL && name.len == 0))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid level \"%V\", it must be tenant, user, "
                               "key, model, endpoint or address, and perhaps "
                               "\"=\" and a name", &value[1]);
            return NGX_CONF_ERROR;
        }

        for (k = 0; ngx_http_ai_limit_kinds[k].name.len; k++) {
            if (ngx_strncmp(value[i].data,
                            ngx_http_ai_limit_kinds[k].name.data,
                            ngx_http_ai_limit_kinds[k].name.len) == 0)
            {
                break;
            }
        }

        if (ngx_http_ai_limit_kinds[k].name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", it must be "
                               "requests=, tokens=, concurrency= or budget=",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        limit.limit.kind = ngx_http_ai_limit_kinds[k].kind;
        rate.data = value[i].data + ngx_http_ai_limit_kinds[k].name.len;
        rate.len = value[i].len - ngx_http_ai_limit_kinds[k].name.len;

        rv = ngx_http_ai_limit_add(cf, alcf->limits, &limit, &rate,
                                   NGX_HTTP_AI_LIMITS);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_limit_add(ngx_conf_t *cf, ngx_array_t *limits,
    ngx_http_ai_limit_t *limit, ngx_str_t *rate, ngx_uint_t max)
{
    ngx_http_ai_limit_t  *added;

    if (ai_limit_parse(&limit->limit, ngx_http_ai_str(rate)) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid limit \"%V\", it must be %s", rate,
                           limit->limit.kind == AI_LIMIT_CONCURRENCY
                           ? "a number"
                           : limit->limit.kind == AI_LIMIT_BUDGET
                           ? "as 5usd/month (s, m, h, day, month)"
                           : "as 60/m (s, m, h, day, month)");
        return NGX_CONF_ERROR;
    }

    /* The ledger, of which these are the sums, has no addresses. */

    if (limit->limit.level == AI_LEVEL_ADDRESS
        && (limit->limit.window == 'd' || limit->limit.window == 'M'))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "limit \"%V\" of an address must be for an hour "
                           "at most", rate);
        return NGX_CONF_ERROR;
    }

    if (limits->nelts == max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "more than %ui limits in one place", max);
        return NGX_CONF_ERROR;
    }

    added = ngx_array_push(limits);
    if (added == NULL) {
        return NGX_CONF_ERROR;
    }

    *added = *limit;

    return NGX_CONF_OK;
}
