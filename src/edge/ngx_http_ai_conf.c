/*
 * The module's configuration: made empty, read by the slots of the directive
 * table, inherited, and checked as a whole once everything was read.
 * All memory is the cycle's.
 */

#include "ngx_http_ai_conf_block.h"
#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_steps.h"
#include "ai_headers.h"


#define NGX_HTTP_AI_PRINCIPALS_SIZE  (8 * 1024 * 1024)
#define NGX_HTTP_AI_TOKENS_SIZE      (4 * 1024 * 1024)


static void ngx_http_ai_crypto_close(void *data);
static ngx_int_t ngx_http_ai_conf_routes(ngx_conf_t *cf,
    ngx_http_ai_main_conf_t *amcf, ngx_http_ai_model_t *model,
    ngx_array_t *routes, char *what);
static ngx_int_t ngx_http_ai_conf_echo(ngx_conf_t *cf,
    ngx_http_ai_main_conf_t *amcf);


void *
ngx_http_ai_create_main_conf(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_ai_main_conf_t  *amcf;

    amcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ai_main_conf_t));
    if (amcf == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    ai_crypto_open();
    cln->handler = ngx_http_ai_crypto_close;

    if (ngx_array_init(&amcf->providers, cf->pool, 8,
                       sizeof(ngx_http_ai_provider_t)) != NGX_OK
        || ngx_array_init(&amcf->models, cf->pool, 8,
                          sizeof(ngx_http_ai_model_t)) != NGX_OK
        || ngx_array_init(&amcf->prices, cf->pool, 8,
                          sizeof(ngx_http_ai_price_t)) != NGX_OK
        || ngx_array_init(&amcf->plans, cf->pool, 4,
                          sizeof(ngx_http_ai_plan_t)) != NGX_OK)
    {
        return NULL;
    }

    return amcf;
}


static void
ngx_http_ai_crypto_close(void *data)
{
    ai_crypto_close();
}


void *
ngx_http_ai_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_ai_loc_conf_t  *alcf;

    alcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ai_loc_conf_t));
    if (alcf == NULL) {
        return NULL;
    }

    alcf->auth = NGX_CONF_UNSET_UINT;
    alcf->tenant = NGX_CONF_UNSET_PTR;
    alcf->jwt_keys = NGX_CONF_UNSET_PTR;
    alcf->resume = NGX_CONF_UNSET_MSEC;
    alcf->result_ttl = NGX_CONF_UNSET_MSEC;
    alcf->on_disconnect = NGX_CONF_UNSET_UINT;
    alcf->translate = NGX_CONF_UNSET_UINT;
    alcf->redis_error_status = NGX_CONF_UNSET_UINT;
    alcf->redis_error_retry_after = NGX_CONF_UNSET;
    alcf->queue_timeout = NGX_CONF_UNSET_MSEC;
    alcf->header_delay = NGX_CONF_UNSET_MSEC;
    alcf->heartbeat = NGX_CONF_UNSET_MSEC;
    alcf->forward_in = NGX_CONF_UNSET_PTR;
    alcf->forward_out = NGX_CONF_UNSET_PTR;
    alcf->cors = NGX_CONF_UNSET_PTR;
    alcf->body_memory = NGX_CONF_UNSET_SIZE;
    alcf->max_streams = NGX_CONF_UNSET_UINT;
    alcf->backlog_jobs = NGX_CONF_UNSET_UINT;
    alcf->backlog_bytes = NGX_CONF_UNSET_SIZE;
    alcf->redis_error_cache = NGX_CONF_UNSET;

    ngx_http_ai_conf_cache_create(alcf);
    alcf->limits = NGX_CONF_UNSET_PTR;
    alcf->limit_dry_run = NGX_CONF_UNSET;
    alcf->limit_status = NGX_CONF_UNSET_UINT;
    alcf->limit_log_level = NGX_CONF_UNSET_UINT;

    return alcf;
}


char *
ngx_http_ai_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_ai_loc_conf_t    *prev = parent;
    ngx_http_ai_loc_conf_t    *conf = child;
    ngx_http_core_loc_conf_t  *clcf;

    ngx_conf_merge_uint_value(conf->auth, prev->auth, NGX_HTTP_AI_AUTH_KEY);
    ngx_conf_merge_ptr_value(conf->tenant, prev->tenant, NULL);
    ngx_conf_merge_msec_value(conf->resume, prev->resume, 300000);
    ngx_conf_merge_msec_value(conf->result_ttl, prev->result_ttl, 86400000);
    ngx_conf_merge_uint_value(conf->translate, prev->translate,
                              NGX_HTTP_AI_TRANSLATE_LENIENT);
    ngx_conf_merge_uint_value(conf->on_disconnect, prev->on_disconnect,
                              NGX_HTTP_AI_DISCONNECT_CANCEL);
    ngx_conf_merge_uint_value(conf->redis_error_status,
                              prev->redis_error_status,
                              NGX_HTTP_SERVICE_UNAVAILABLE);
    ngx_conf_merge_value(conf->redis_error_retry_after,
                         prev->redis_error_retry_after, 2);
    ngx_conf_merge_value(conf->redis_error_cache, prev->redis_error_cache, 0);
    ngx_conf_merge_msec_value(conf->queue_timeout, prev->queue_timeout, 30000);
    ngx_conf_merge_msec_value(conf->header_delay, prev->header_delay, 15000);
    ngx_conf_merge_msec_value(conf->heartbeat, prev->heartbeat, 15000);
    ngx_conf_merge_bufs_value(conf->buffers, prev->buffers, 4, 4096);
    ngx_conf_merge_ptr_value(conf->forward_in, prev->forward_in, NULL);
    ngx_conf_merge_ptr_value(conf->forward_out, prev->forward_out, NULL);
    ngx_conf_merge_ptr_value(conf->cors, prev->cors, NULL);
    ngx_conf_merge_size_value(conf->body_memory, prev->body_memory,
                              256 * 1024 * 1024);
    ngx_conf_merge_uint_value(conf->max_streams, prev->max_streams, 16384);
    ngx_conf_merge_uint_value(conf->backlog_jobs, prev->backlog_jobs, 10000);
    ngx_conf_merge_size_value(conf->backlog_bytes, prev->backlog_bytes,
                              256 * 1024 * 1024);
    ngx_conf_merge_ptr_value(conf->limits, prev->limits, NULL);
    ngx_conf_merge_value(conf->limit_dry_run, prev->limit_dry_run, 0);
    ngx_conf_merge_uint_value(conf->limit_status, prev->limit_status,
                              NGX_HTTP_TOO_MANY_REQUESTS);
    ngx_conf_merge_uint_value(conf->limit_log_level, prev->limit_log_level,
                              NGX_LOG_ERR);

    ngx_http_ai_conf_cache_merge(prev, conf);

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (ngx_http_ai_merge_jwt(cf, prev, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    /* To nginx "if" and "limit_except" are locations inside the location. */

    if (clcf->noname && clcf->handler == NULL) {
        clcf->handler = prev->handler;
        conf->handler = prev->handler;
        conf->place = prev->place;
        conf->pass = prev->pass;
    }

    if (conf->pass && clcf->handler != ngx_http_ai_pass_handler) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"ai_pass\" conflicts with another content handler in "
                      "location \"%V\" in %s:%ui", &clcf->name,
                      conf->place.file, conf->place.line);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_ai_conf_done(ngx_conf_t *cf)
{
    ngx_uint_t                i;
    ngx_http_ai_model_t      *model;
    ngx_http_ai_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ai_module);

    if (ngx_http_ai_conf_echo(cf, amcf) != NGX_OK) {
        return NGX_ERROR;
    }

    model = amcf->models.elts;

    for (i = 0; i < amcf->models.nelts; i++) {

        if (ngx_http_ai_conf_routes(cf, amcf, &model[i], &model[i].routes,
                                    "route") != NGX_OK
            || ngx_http_ai_conf_routes(cf, amcf, &model[i],
                                       &model[i].fallbacks, "fallback")
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (!amcf->pass && amcf->redis == NULL) {
        return NGX_OK;
    }

    if (amcf->redis == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"ai_pass\" needs an \"ai_redis\" in http{} in %s:%ui",
                      amcf->place.file, amcf->place.line);
        return NGX_ERROR;
    }

    if (amcf->principals_size == 0) {
        amcf->principals_size = NGX_HTTP_AI_PRINCIPALS_SIZE;
    }

    if (amcf->kept_all == 0) {
        amcf->kept_all = NGX_HTTP_AI_KEPT_ALL;
        amcf->kept_one = NGX_HTTP_AI_KEPT_ONE;
    }

    if (amcf->tokens_size == 0) {
        amcf->tokens_size = NGX_HTTP_AI_TOKENS_SIZE;
    }

    amcf->loaded = ngx_time();

    if (ngx_http_ai_catalog_make(cf, amcf) != NGX_OK
        || ngx_http_ai_zone_init(cf, amcf) != NGX_OK
        || ngx_http_ai_cache_zone_init(cf, amcf) != NGX_OK
        || ngx_http_ai_metrics_zone(cf, amcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The provider that needs no key is there without a line of configuration. */

static ngx_int_t
ngx_http_ai_conf_echo(ngx_conf_t *cf, ngx_http_ai_main_conf_t *amcf)
{
    ngx_str_t                name = ngx_string("echo");
    ngx_http_ai_provider_t  *provider;

    if (ngx_http_ai_find_provider(amcf, &name) != NULL) {
        return NGX_OK;
    }

    provider = ngx_array_push(&amcf->providers);
    if (provider == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_ai_provider_init(cf, provider, &name, &name);
}


static ngx_int_t
ngx_http_ai_conf_routes(ngx_conf_t *cf, ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_model_t *model, ngx_array_t *routes, char *what)
{
    ngx_uint_t            i;
    ngx_http_ai_route_t  *route;

    route = routes->elts;

    for (i = 0; i < routes->nelts; i++) {

        if (ngx_http_ai_find_provider(amcf, &route[i].provider) == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown provider \"%V\" in %s of ai_model \"%V\" "
                          "in %s:%ui", &route[i].provider, what, &model->name,
                          route[i].place.file, route[i].place.line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


char *
ngx_http_ai_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_main_conf_t  *amcf = conf;

    if (amcf->redis != NULL) {
        return "is duplicate";
    }

    amcf->redis = ngx_pcalloc(cf->pool, sizeof(ngx_http_ai_redis_conf_t));
    if (amcf->redis == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_ai_redis_parse(cf, amcf->redis);
}


char *
ngx_http_ai_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_main_conf_t  *amcf = conf;

    size_t     *target;
    ssize_t     size;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "cache") == 0) {
        return ngx_http_ai_conf_cache_zone(cf, amcf, &value[2]);
    }

    if (ngx_strcmp(value[1].data, "principals") == 0) {
        target = &amcf->principals_size;

    } else if (ngx_strcmp(value[1].data, "tokens") == 0) {
        target = &amcf->tokens_size;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown zone \"%V\", it must be \"principals\", "
                           "\"tokens\" or \"cache\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (*target != 0) {
        return "is duplicate";
    }

    size = ngx_parse_size(&value[2]);

    if (size == NGX_ERROR || size < (ssize_t) (16 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" needs a size of at least %uzk, not "
                           "\"%V\"", &value[1], 16 * ngx_pagesize / 1024,
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    *target = size;

    return NGX_CONF_OK;
}


char *
ngx_http_ai_conf_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t  *alcf = conf;

    ngx_str_t           *value;
    ngx_uint_t           i, auth;
    ngx_conf_bitmask_t  *mask;

    if (alcf->auth != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    auth = 0;

    for (i = 1; i < cf->args->nelts; i++) {

        for (mask = cmd->post; mask->name.len; mask++) {
            if (ngx_strcmp(value[i].data, mask->name.data) == 0) {
                break;
            }
        }

        if (mask->name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\", it must be \"key\", "
                               "\"jwt\" or \"off\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (auth & (mask->mask|NGX_HTTP_AI_AUTH_OFF)
            || (auth && mask->mask == NGX_HTTP_AI_AUTH_OFF))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "value \"%V\" is duplicate, or stands beside "
                               "\"off\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (i == 1 && mask->mask == NGX_HTTP_AI_AUTH_JWT) {
            auth |= NGX_HTTP_AI_AUTH_JWT_FIRST;
        }

        auth |= mask->mask;
    }

    alcf->auth = auth;

    return NGX_CONF_OK;
}


char *
ngx_http_ai_conf_content(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t    *alcf = conf;

    ngx_http_handler_pt        handler;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_ai_main_conf_t   *amcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ai_module);

    handler = (ngx_http_handler_pt) cmd->post;

    if (clcf->handler == handler) {
        return "is duplicate";
    }

    if (clcf->handler != NULL) {
        return "conflicts with another content handler in this location";
    }

    clcf->handler = handler;
    alcf->handler = handler;

    ngx_http_ai_place(cf, &alcf->place);

    if (handler != ngx_http_ai_error_handler) {
        amcf->edge = 1;
    }

    if (handler == ngx_http_ai_pass_handler) {

        if (!amcf->pass) {
            amcf->place = alcf->place;
        }

        alcf->pass = 1;
        amcf->pass = 1;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_ai_conf_redis_error(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t  *alcf = conf;

    time_t       retry;
    ngx_int_t    status;
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    if (alcf->redis_error_status != NGX_CONF_UNSET_UINT
        || alcf->redis_error_retry_after != NGX_CONF_UNSET
        || alcf->redis_error_cache != NGX_CONF_UNSET)
    {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "retry_after=", 12) == 0) {
            s.data = value[i].data + 12;
            s.len = value[i].len - 12;

            retry = ngx_parse_time(&s, 1);
            if (retry == (time_t) NGX_ERROR) {
                goto invalid;
            }

            alcf->redis_error_retry_after = retry;
            continue;
        }

        if (ngx_strcmp(value[i].data, "cache=on") == 0
            || ngx_strcmp(value[i].data, "cache=off") == 0)
        {
            alcf->redis_error_cache = value[i].data[7] == 'n';
            continue;
        }

        status = ngx_atoi(value[i].data, value[i].len);
        if (status < 400 || status > 599) {
            goto invalid;
        }

        alcf->redis_error_status = status;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\", it must be a status from 400 to "
                       "599, \"retry_after=\" with a time, or \"cache=on\"",
                       &value[i]);
    return NGX_CONF_ERROR;
}


char *
ngx_http_ai_conf_heartbeat(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t  *alcf = conf;

    ngx_int_t   msec;
    ngx_str_t  *value;

    if (alcf->heartbeat != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        alcf->heartbeat = 0;
        return NGX_CONF_OK;
    }

    msec = ngx_parse_time(&value[1], 0);
    if (msec == NGX_ERROR || msec == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", it must be a time or "
                           "\"off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    alcf->heartbeat = msec;

    return NGX_CONF_OK;
}


char *
ngx_http_ai_conf_buffers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t  *alcf = conf;

    char  *rv;

    rv = ngx_conf_set_bufs_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (alcf->buffers.num < 2 || alcf->buffers.size < 1024) {
        return "must be at least 2 buffers of at least 1k";
    }

    return NGX_CONF_OK;
}


char *
ngx_http_ai_conf_backlog(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t  *alcf = conf;

    ssize_t      size;
    ngx_int_t    n;
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    if (alcf->backlog_jobs != NGX_CONF_UNSET_UINT
        || alcf->backlog_bytes != NGX_CONF_UNSET_SIZE)
    {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "jobs=", 5) == 0) {
            n = ngx_atoi(value[i].data + 5, value[i].len - 5);
            if (n == NGX_ERROR) {
                goto invalid;
            }

            alcf->backlog_jobs = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "bytes=", 6) == 0) {
            s.data = value[i].data + 6;
            s.len = value[i].len - 6;

            size = ngx_parse_size(&s);
            if (size == NGX_ERROR) {
                goto invalid;
            }

            alcf->backlog_bytes = size;
            continue;
        }

        goto invalid;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", it must be \"jobs=\" with a "
                       "number or \"bytes=\" with a size", &value[i]);
    return NGX_CONF_ERROR;
}


char *
ngx_http_ai_conf_forward(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t  *alcf = conf;

    size_t        len;
    ngx_str_t    *value, *name, empty = ngx_null_string;
    ngx_uint_t    i;
    ngx_array_t **list;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "request") == 0) {
        list = &alcf->forward_in;

    } else if (ngx_strcmp(value[1].data, "response") == 0) {
        list = &alcf->forward_out;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", it must be \"request\" or "
                           "\"response\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (*list == NGX_CONF_UNSET_PTR) {
        *list = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (*list == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 2; i < cf->args->nelts; i++) {

        ngx_strlow(value[i].data, value[i].data, value[i].len);

        if (!ai_headers_valid(ngx_http_ai_str(&value[i]),
                              ngx_http_ai_str(&empty)))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is no name of a header", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (ai_headers_never(ngx_http_ai_str(&value[i]))) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "header \"%V\" never passes: it belongs to one "
                               "connection or carries a credential",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        name = ngx_array_push(*list);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    name = (*list)->elts;
    len = 0;

    for (i = 0; i < (*list)->nelts; i++) {
        len += name[i].len + 1;
    }

    if (len > AI_HEADER_LIST_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "names of headers are over %d bytes together",
                           AI_HEADER_LIST_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
