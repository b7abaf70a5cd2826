/*
 * The block ai_provider {}: whom the workers call, how, and with what patience.
 * It fills an array of the main configuration.
 */

#include "ngx_http_ai_conf_block.h"
#include "ngx_http_ai_discover.h"
#include "ai_headers.h"


static char *ngx_http_ai_provider_api(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_provider_url(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_provider_key(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_provider_timeout(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_provider_header(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_provider_option(ngx_conf_t *cf, void *entry);
static char *ngx_http_ai_provider_models(ngx_conf_t *cf, void *entry);


static ngx_http_ai_block_command_t  ngx_http_ai_provider_commands[] = {
    { ngx_string("api"), 1, 1, ngx_http_ai_provider_api },
    { ngx_string("url"), 1, 4, ngx_http_ai_provider_url },
    { ngx_string("key"), 1, 16, ngx_http_ai_provider_key },
    { ngx_string("timeout"), 1, 4, ngx_http_ai_provider_timeout },
    { ngx_string("header"), 2, 2, ngx_http_ai_provider_header },
    { ngx_string("option"), 1, 8, ngx_http_ai_provider_option },
    { ngx_string("discover"), 1, 2, ngx_http_ai_discover_conf },
    { ngx_string("models"), 1, 256, ngx_http_ai_provider_models },
    { ngx_null_string, 0, 0, NULL }
};


/* The dialects the workers speak to a provider. */

static ngx_str_t  ngx_http_ai_apis[] = {
    ngx_string("openai"),
    ngx_string("azure"),
    ngx_string("anthropic"),
    ngx_string("gemini"),
    ngx_string("vertex"),
    ngx_string("ollama"),
    ngx_string("cohere"),
    ngx_string("responses"),
    ngx_string("bedrock"),
    ngx_string("echo"),
    ngx_null_string
};


char *
ngx_http_ai_conf_provider(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_main_conf_t  *amcf = conf;

    char                    *rv;
    ngx_str_t               *value;
    ngx_http_ai_place_t      place;
    ngx_http_ai_provider_t  *provider;

    value = cf->args->elts;

    if (ngx_http_ai_name_ok(&value[1], 0) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name of a provider \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    provider = ngx_http_ai_find_provider(amcf, &value[1]);
    if (provider != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "provider \"%V\" is defined already in %s:%ui",
                           &value[1], provider->place.file,
                           provider->place.line);
        return NGX_CONF_ERROR;
    }

    ngx_http_ai_place(cf, &place);

    provider = ngx_array_push(&amcf->providers);
    if (provider == NULL
        || ngx_http_ai_provider_init(cf, provider, &value[1], NULL) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    provider->place = place;

    rv = ngx_http_ai_block(cf, ngx_http_ai_provider_commands, provider);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (provider->api.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "provider \"%V\" needs an \"api\"",
                           &provider->name);
        return NGX_CONF_ERROR;
    }

    if (provider->urls.nelts == 0
        && ngx_strcmp(provider->api.data, "echo") != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "provider \"%V\" needs a \"url\"", &provider->name);
        return NGX_CONF_ERROR;
    }

    return provider->discover == NULL ? NGX_CONF_OK
           : ngx_http_ai_discover_done(cf, provider);
}


ngx_int_t
ngx_http_ai_provider_init(ngx_conf_t *cf, ngx_http_ai_provider_t *provider,
    ngx_str_t *name, ngx_str_t *api)
{
    ngx_memzero(provider, sizeof(ngx_http_ai_provider_t));

    provider->name = *name;

    if (api != NULL) {
        provider->api = *api;
    }

    provider->place.file = (u_char *) "built-in";
    provider->connect = 2000;
    provider->first = 30000;
    provider->idle = 60000;
    provider->total = 600000;

    if (ngx_array_init(&provider->urls, cf->pool, 2, sizeof(ngx_str_t))
        != NGX_OK
        || ngx_array_init(&provider->keys, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&provider->models, cf->pool, 1, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&provider->headers, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&provider->options, cf->pool, 2,
                          sizeof(ngx_keyval_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_http_ai_provider_t *
ngx_http_ai_find_provider(ngx_http_ai_main_conf_t *amcf, ngx_str_t *name)
{
    return ngx_http_ai_find(&amcf->providers, name, amcf->sorted);
}


static char *
ngx_http_ai_provider_api(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_provider_t  *provider = entry;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (provider->api.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; ngx_http_ai_apis[i].len; i++) {
        if (ngx_strcmp(value[1].data, ngx_http_ai_apis[i].data) == 0) {
            provider->api = ngx_http_ai_apis[i];
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown api \"%V\"", &value[1]);
    return NGX_CONF_ERROR;
}


static char *
ngx_http_ai_provider_url(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_provider_t  *provider = entry;

    ngx_str_t   *value, *url;
    ngx_uint_t   i, k;

    if (provider->urls.nelts) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if ((ngx_strncmp(value[i].data, "env:", 4) != 0 || value[i].len == 4)
            && (ngx_strncmp(value[i].data, "http://", 7) != 0
                || value[i].len == 7)
            && (ngx_strncmp(value[i].data, "https://", 8) != 0
                || value[i].len == 8))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid url \"%V\", it must begin with "
                               "http://, https:// or env:", &value[i]);
            return NGX_CONF_ERROR;
        }

        for (k = 0; k < value[i].len; k++) {
            if (value[i].data[k] <= ' ' || value[i].data[k] >= 0x7f) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "a url must not hold blanks or bytes "
                                   "outside of ASCII");
                return NGX_CONF_ERROR;
            }
        }

        if (ngx_strlchr(value[i].data, value[i].data + value[i].len, '@')) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "credentials in a url are not supported, use "
                               "\"key\"");
            return NGX_CONF_ERROR;
        }

        url = ngx_array_push(&provider->urls);
        if (url == NULL) {
            return NGX_CONF_ERROR;
        }

        *url = value[i];

        while (url->data[url->len - 1] == '/') {
            url->len--;
        }

        if (url->data[url->len - 1] == ':') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "no host in url \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_provider_key(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_provider_t  *provider = entry;

    ngx_str_t   *value, *key;
    ngx_uint_t   i;

    if (provider->keys.nelts) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        /* The value itself is not logged: it may be a key. */

        if ((ngx_strncmp(value[i].data, "env:", 4) != 0 || value[i].len == 4)
            && (ngx_strncmp(value[i].data, "file:", 5) != 0
                || value[i].len == 5))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "a key must be \"env:NAME\" or \"file:NAME\": "
                               "secrets do not belong into a configuration");
            return NGX_CONF_ERROR;
        }

        key = ngx_array_push(&provider->keys);
        if (key == NULL) {
            return NGX_CONF_ERROR;
        }

        *key = value[i];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_provider_timeout(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_provider_t  *provider = entry;

    ngx_int_t    msec;
    ngx_str_t   *value, s;
    ngx_uint_t   i;
    ngx_msec_t  *slot;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "connect=", 8) == 0) {
            slot = &provider->connect;

        } else if (ngx_strncmp(value[i].data, "first=", 6) == 0) {
            slot = &provider->first;

        } else if (ngx_strncmp(value[i].data, "idle=", 5) == 0) {
            slot = &provider->idle;

        } else if (ngx_strncmp(value[i].data, "total=", 6) == 0) {
            slot = &provider->total;

        } else {
            goto invalid;
        }

        s.data = (u_char *) ngx_strchr(value[i].data, '=') + 1;
        s.len = value[i].data + value[i].len - s.data;

        msec = ngx_parse_time(&s, 0);
        if (msec == NGX_ERROR || msec == 0 || msec > 86400000) {
            goto invalid;
        }

        *slot = msec;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid timeout \"%V\", it must be connect=, first=, "
                       "idle= or total= with a time up to a day", &value[i]);
    return NGX_CONF_ERROR;
}


static char *
ngx_http_ai_provider_header(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_provider_t  *provider = entry;

    ngx_str_t  *value, *header;

    value = cf->args->elts;

    if (!ai_headers_valid(ngx_http_ai_str(&value[1]),
                          ngx_http_ai_str(&value[2]))
        || ai_headers_never(ngx_http_ai_str(&value[1])))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "header \"%V\" cannot be sent to a provider",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    header = ngx_array_push(&provider->headers);
    if (header == NULL) {
        return NGX_CONF_ERROR;
    }

    header->len = value[1].len + 2 + value[2].len;
    header->data = ngx_pnalloc(cf->pool, header->len);
    if (header->data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_sprintf(header->data, "%V: %V", &value[1], &value[2]);

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_provider_option(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_provider_t  *provider = entry;

    static const char  *names[] = {
        "word_delay", "stream_usage", "min_rate", "region", "tenant_keys",
        NULL
    };

    u_char        *eq;
    ngx_str_t     *value;
    ngx_uint_t     i, k, n;
    ngx_keyval_t  *kv;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        eq = (u_char *) ngx_strchr(value[i].data, '=');

        for (k = 0; eq != NULL && names[k] != NULL; k++) {
            if (ngx_strlen(names[k]) == (size_t) (eq - value[i].data)
                && ngx_strncmp(value[i].data, names[k], eq - value[i].data)
                   == 0)
            {
                break;
            }
        }

        if (eq == NULL || names[k] == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown option \"%V\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        if ((k == 0 || k == 2)
            && ngx_atoi(eq + 1, value[i].data + value[i].len - eq - 1)
               == NGX_ERROR)
        {
            goto invalid;
        }

        if (k == 3
            && (eq[1] == '\0'
                || strspn((char *) eq + 1, "abcdefghijklmnopqrstuvwxyz"
                                           "0123456789-")
                   != (size_t) (value[i].data + value[i].len - eq - 1)))
        {
            goto invalid;
        }

        if (k == 1 && ngx_strcmp(eq + 1, "on") != 0
            && ngx_strcmp(eq + 1, "off") != 0)
        {
            goto invalid;
        }

        if (k == 4 && ngx_strcmp(eq + 1, "on") != 0
            && ngx_strcmp(eq + 1, "off") != 0
            && ngx_strcmp(eq + 1, "required") != 0)
        {
            goto invalid;
        }

        kv = provider->options.elts;

        for (n = 0; n < provider->options.nelts; n++) {
            if (kv[n].key.len == (size_t) (eq - value[i].data)
                && ngx_strncmp(kv[n].key.data, value[i].data, kv[n].key.len)
                   == 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "duplicate option \"%V\"", &value[i]);
                return NGX_CONF_ERROR;
            }
        }

        kv = ngx_array_push(&provider->options);
        if (kv == NULL) {
            return NGX_CONF_ERROR;
        }

        kv->key.data = value[i].data;
        kv->key.len = eq - value[i].data;
        kv->value.data = eq + 1;
        kv->value.len = value[i].data + value[i].len - kv->value.data;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid option \"%V\"",
                       &value[i]);
    return NGX_CONF_ERROR;
}


/* Which of its models may be asked for by its own name; without this, all. */

static char *
ngx_http_ai_provider_models(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_provider_t  *provider = entry;

    ngx_str_t   *value, *model;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_ai_name_ok(&value[i], 1) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid name of a model \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        model = ngx_array_push(&provider->models);
        if (model == NULL) {
            return NGX_CONF_ERROR;
        }

        *model = value[i];
    }

    return NGX_CONF_OK;
}
