/*
 * The directive ai_tenant.  All memory is the cycle's.
 */

#include "ngx_http_ai_conf.h"
#include "ai_headers.h"
#include "ai_keys.h"


/* Strategies of one directive. */
#define NGX_HTTP_AI_TENANT_MAX  16


static char *ngx_http_ai_conf_tenant_by(ngx_conf_t *cf,
    ngx_http_ai_tenant_by_t *by, ngx_str_t *word);
static char *ngx_http_ai_conf_tenant_var(ngx_conf_t *cf,
    ngx_http_ai_tenant_by_t *by, ngx_str_t *value);
static ngx_uint_t ngx_http_ai_conf_tenant_domain(ngx_str_t *name);


char *
ngx_http_ai_conf_tenant(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t  *alcf = conf;

    char                     *rv;
    ngx_str_t                *value;
    ngx_uint_t                i;
    ngx_http_ai_tenant_by_t  *by;

    if (alcf->tenant != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts - 1 > NGX_HTTP_AI_TENANT_MAX) {
        return "has too many strategies";
    }

    alcf->tenant = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                    sizeof(ngx_http_ai_tenant_by_t));
    if (alcf->tenant == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        by = ngx_array_push(alcf->tenant);
        ngx_memzero(by, sizeof(ngx_http_ai_tenant_by_t));

        rv = ngx_http_ai_conf_tenant_by(cf, by, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_conf_tenant_by(ngx_conf_t *cf, ngx_http_ai_tenant_by_t *by,
    ngx_str_t *word)
{
    u_char     *p;
    ngx_str_t   value, empty = ngx_null_string;

    if (word->len == 3 && ngx_strncmp(word->data, "key", 3) == 0) {
        by->type = NGX_HTTP_AI_TENANT_KEY;
        return NGX_CONF_OK;
    }

    p = ngx_strlchr(word->data, word->data + word->len, '=');

    if (p == NULL || p + 1 == word->data + word->len) {
        goto invalid;
    }

    value.data = p + 1;
    value.len = word->data + word->len - value.data;

    if (ngx_strncmp(word->data, "claim=", 6) == 0) {

        if (!ai_str_text_ok(ngx_http_ai_str(&value), 128)) {
            goto invalid;
        }

        by->type = NGX_HTTP_AI_TENANT_CLAIM;
        by->name = value;

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(word->data, "host=", 5) == 0) {
        ngx_strlow(value.data, value.data, value.len);

        if (!ngx_http_ai_conf_tenant_domain(&value)) {
            goto invalid;
        }

        by->type = NGX_HTTP_AI_TENANT_HOST;
        by->name = value;

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(word->data, "header=", 7) == 0) {
        ngx_strlow(value.data, value.data, value.len);

        if (!ai_headers_valid(ngx_http_ai_str(&value),
                              ngx_http_ai_str(&empty)))
        {
            goto invalid;
        }

        by->type = NGX_HTTP_AI_TENANT_HEADER;
        by->name = value;

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(word->data, "var=", 4) == 0) {
        return ngx_http_ai_conf_tenant_var(cf, by, &value);
    }

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid strategy \"%V\", it must be \"key\", "
                       "\"claim=\" with a name, \"host=\" with a domain that "
                       "begins with a dot, \"header=\" with a name, or "
                       "\"var=\" with a variable", word);
    return NGX_CONF_ERROR;
}


static char *
ngx_http_ai_conf_tenant_var(ngx_conf_t *cf, ngx_http_ai_tenant_by_t *by,
    ngx_str_t *value)
{
    ngx_http_compile_complex_value_t  ccv;

    by->type = NGX_HTTP_AI_TENANT_VAR;
    by->value = ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t));

    if (by->value == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = by->value;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (by->value->lengths == NULL
        && !ai_keys_tenant_ok(ngx_http_ai_str(value)))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no name of a tenant: 1 to 63 of a-z, "
                           "0-9, \".\", \"_\", \"-\", a letter or digit first",
                           value);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* ".example.com": a dot, then labels. */

static ngx_uint_t
ngx_http_ai_conf_tenant_domain(ngx_str_t *name)
{
    u_char      c;
    ngx_uint_t  i;

    if (name->len < 2 || name->len > 253 || name->data[0] != '.') {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        if (c == '.' && (i + 1 == name->len || name->data[i + 1] == '.')) {
            return 0;
        }

        if (c != '.' && c != '-' && c != '_' && !(c >= 'a' && c <= 'z')
            && !(c >= '0' && c <= '9'))
        {
            return 0;
        }
    }

    return 1;
}
