/*
 * Directives of the cache and of joining: ai_cache and what goes with it.
 * All memory is the cycle's.
 */

#include "ngx_http_ai_conf.h"


#define NGX_HTTP_AI_CACHE_ONE_MAX  (16 * 1024 * 1024)
/* Also what a worker keeps of a job's log at most. */
#define NGX_HTTP_AI_CACHE_TTL_MAX  (7 * 86400)


char *
ngx_http_ai_conf_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t  *alcf = conf;

    time_t      ttl;
    ngx_str_t  *value;

    if (alcf->cache != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;
    alcf->cache_any = 0;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        alcf->cache = 0;
        return NGX_CONF_OK;
    }

    ttl = ngx_parse_time(&value[1], 1);

    if (ttl < 1 || ttl > NGX_HTTP_AI_CACHE_TTL_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", it must be \"off\" or a "
                           "time from 1s to 7d", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3) {

        if (ngx_strcmp(value[2].data, "any") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\", it must be \"any\"",
                               &value[2]);
            return NGX_CONF_ERROR;
        }

        alcf->cache_any = 1;
    }

    alcf->cache = ttl * 1000;

    return NGX_CONF_OK;
}


char *
ngx_http_ai_conf_cache_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_main_conf_t  *amcf = conf;

    off_t       all, one;
    ngx_str_t  *value;

    if (amcf->kept_all != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    all = ngx_parse_offset(&value[1]);
    one = NGX_HTTP_AI_KEPT_ONE;

    if (all < NGX_HTTP_AI_KEPT_ONE || all > NGX_MAX_INT_T_VALUE / 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\", it must be 1m or more",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3) {
        one = ngx_parse_offset(&value[2]);

        if (one < 1024 || one > NGX_HTTP_AI_CACHE_ONE_MAX || one > all) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid size \"%V\" of one answer, it must be "
                               "from 1k to 16m, and not above that of all",
                               &value[2]);
            return NGX_CONF_ERROR;
        }
    }

    amcf->kept_all = all;
    amcf->kept_one = one;

    return NGX_CONF_OK;
}


char *
ngx_http_ai_conf_cache_zone(ngx_conf_t *cf, ngx_http_ai_main_conf_t *amcf,
    ngx_str_t *value)
{
    ssize_t  size;

    if (amcf->cache_size != 0) {
        return "is duplicate";
    }

    size = ngx_parse_size(value);

    if (size == NGX_ERROR || size < (ssize_t) (256 * 1024)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"cache\" needs a size of at least 256k, not "
                           "\"%V\"", value);
        return NGX_CONF_ERROR;
    }

    amcf->cache_size = size;

    return NGX_CONF_OK;
}


void
ngx_http_ai_conf_cache_create(ngx_http_ai_loc_conf_t *conf)
{
    conf->cache = NGX_CONF_UNSET_MSEC;
    conf->cache_any = NGX_CONF_UNSET_UINT;
    conf->cache_scope = NGX_CONF_UNSET_UINT;
    conf->cache_bypass = NGX_CONF_UNSET_PTR;
    conf->coalesce = NGX_CONF_UNSET;
}


void
ngx_http_ai_conf_cache_merge(ngx_http_ai_loc_conf_t *prev,
    ngx_http_ai_loc_conf_t *conf)
{
    ngx_conf_merge_msec_value(conf->cache, prev->cache, 0);
    ngx_conf_merge_uint_value(conf->cache_any, prev->cache_any, 0);
    ngx_conf_merge_uint_value(conf->cache_scope, prev->cache_scope,
                              NGX_HTTP_AI_SCOPE_TENANT);
    ngx_conf_merge_ptr_value(conf->cache_bypass, prev->cache_bypass, NULL);
    ngx_conf_merge_value(conf->coalesce, prev->coalesce, 0);
}
