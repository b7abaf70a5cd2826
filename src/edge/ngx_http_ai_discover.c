/*
 * Lists of models of providers; see the header.  Owns each process' copies.
 */

#include "ngx_http_ai_discover.h"
#include "ngx_http_ai_edge.h"


#define NGX_HTTP_AI_DISCOVER_LISTS  64        /* that workers fetch */
#define NGX_HTTP_AI_DISCOVER_EVERY  3600      /* s, by default */
#define NGX_HTTP_AI_DISCOVER_MIN    60
#define NGX_HTTP_AI_DISCOVER_MAX    (7 * 24 * 3600)


static void ngx_http_ai_discover_take(ngx_http_ai_fetched_t *f, ai_str_t text,
    ngx_uint_t ours);


static ngx_str_t  ngx_http_ai_discover_types[] = {
    ngx_string("openai"),
    ngx_string("openrouter"),
    ngx_string("ollama"),
    ngx_null_string
};


char *
ngx_http_ai_discover_conf(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_provider_t  *provider = entry;

    time_t                    every;
    ngx_str_t                *value, s;
    ngx_uint_t                i, n;
    ngx_http_ai_discover_t   *d;
    ngx_http_ai_provider_t   *other;
    ngx_http_ai_main_conf_t  *amcf;

    if (provider->discover != NULL) {
        return "is duplicate";
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ai_module);
    other = amcf->providers.elts;

    for (i = 0, n = 0; i < amcf->providers.nelts; i++) {
        n += other[i].discover != NULL ? 1 : 0;
    }

    if (n == NGX_HTTP_AI_DISCOVER_LISTS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "more than %d lists of models",
                           NGX_HTTP_AI_DISCOVER_LISTS);
        return NGX_CONF_ERROR;
    }

    d = ngx_pcalloc(cf->pool, sizeof(ngx_http_ai_discover_t));
    if (d == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 0; ngx_http_ai_discover_types[i].len; i++) {
        if (ngx_strcmp(value[1].data, ngx_http_ai_discover_types[i].data) == 0)
        {
            d->type = ngx_http_ai_discover_types[i];
        }
    }

    if (d->type.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown list \"%V\", it must be openai, "
                           "openrouter or ollama", &value[1]);
        return NGX_CONF_ERROR;
    }

    d->every = NGX_HTTP_AI_DISCOVER_EVERY;

    if (cf->args->nelts == 3) {
        s.data = value[2].data + 6;
        s.len = value[2].len - 6;
        every = ngx_strncmp(value[2].data, "every=", 6) == 0
                ? ngx_parse_time(&s, 1) : (time_t) NGX_ERROR;

        if (every < NGX_HTTP_AI_DISCOVER_MIN
            || every > NGX_HTTP_AI_DISCOVER_MAX)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", it must be every= "
                               "with a time from 1m to 7d", &value[2]);
            return NGX_CONF_ERROR;
        }

        d->every = every;
    }

    provider->discover = d;

    return NGX_CONF_OK;
}


/* Whatever says which list it is: a change of it is another list. */

char *
ngx_http_ai_discover_done(ngx_conf_t *cf, ngx_http_ai_provider_t *provider)
{
    size_t                    size;
    ai_buf_t                  b;
    ngx_str_t                *url;
    ngx_uint_t                i;
    ngx_http_ai_fetched_t    *f;
    ngx_http_ai_main_conf_t  *amcf;

    if (ngx_strcmp(provider->api.data, "echo") == 0) {
        return "is not for the api \"echo\"";
    }

    url = provider->urls.elts;
    size = 64 + provider->name.len + provider->api.len
           + provider->discover->type.len;

    for (i = 0; i < provider->urls.nelts; i++) {
        size += url[i].len + 1;
    }

    ai_buf_init(&b, ngx_palloc(cf->temp_pool, size), size);

    if (b.start == NULL) {
        return NGX_CONF_ERROR;
    }

    ai_buf_add_z(&b, "models\n");
    ai_buf_add_str(&b, ngx_http_ai_str(&provider->name));
    ai_buf_add_z(&b, "\n");
    ai_buf_add_str(&b, ngx_http_ai_str(&provider->api));
    ai_buf_add_z(&b, "\n");
    ai_buf_add_str(&b, ngx_http_ai_str(&provider->discover->type));

    for (i = 0; i < provider->urls.nelts; i++) {
        ai_buf_add_z(&b, "\n");
        ai_buf_add_str(&b, ngx_http_ai_str(&url[i]));
    }

    f = &provider->discover->fetched;

    if (ai_sha256_hex((char *) f->sha,
                      (ai_str_t) { ai_buf_len(&b), b.start }) != 0)
    {
        return NGX_CONF_ERROR;
    }

    f->bell = AI_BELL_MODELS;
    f->key = ai_keys_models;
    f->ok = ai_sign_models_ok;
    f->take = ngx_http_ai_discover_take;
    f->data = provider->discover;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ai_module);
    ngx_http_ai_fetched_add(amcf, f);

    return NGX_CONF_OK;
}


void
ngx_http_ai_discover_exit_process(void)
{
    ngx_uint_t                i;
    ngx_http_ai_discover_t   *d;
    ngx_http_ai_provider_t   *p;
    ngx_http_ai_main_conf_t  *amcf;

    amcf = ngx_http_ai_edge->amcf;
    p = amcf->providers.elts;

    for (i = 0; i < amcf->providers.nelts; i++) {
        d = p[i].discover;

        if (d != NULL) {
            ai_models_free(d->models);
            d->models = NULL;
        }
    }
}


static void
ngx_http_ai_discover_take(ngx_http_ai_fetched_t *f, ai_str_t text,
    ngx_uint_t ours)
{
    ngx_http_ai_discover_t *d = f->data;

    ai_models_t  *models;

    /* Its first line names all behind it. */

    if (ours && d->models != NULL && text.len >= AI_MODELS_HEAD
        && ngx_memcmp(text.data, d->head, AI_MODELS_HEAD) == 0)
    {
        d->said = 0;
        return;
    }

    models = ours ? ai_models_parse(text) : NULL;

    if (models == NULL) {

        if (!d->said) {
            d->said = 1;
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "ai: the list of models %*s in Redis is %s%s",
                          (size_t) 16, f->sha,
                          ours ? "none"
                          : "not signed by a key of ours (have the workers a "
                            "--sign-file?)",
                          d->models != NULL ? "; the last good one stays"
                                            : "");
        }

        return;
    }

    d->said = 0;
    ngx_memcpy(d->head, text.data, AI_MODELS_HEAD);
    ai_models_free(d->models);
    d->models = models;
}


const ai_models_row_t *
ngx_http_ai_discover_find(ngx_http_ai_provider_t *provider, ngx_str_t *model)
{
    return provider->discover == NULL || provider->discover->models == NULL
           ? NULL : ai_models_find(provider->discover->models,
                                   ngx_http_ai_str(model));
}


const ai_price_t *
ngx_http_ai_discover_price(ngx_http_ai_main_conf_t *amcf, ngx_str_t *provider,
    ngx_str_t *model, ai_price_t *room)
{
    ngx_http_ai_price_t     *price;
    const ai_models_row_t   *row;
    ngx_http_ai_provider_t  *p;

    price = ngx_http_ai_find_price(amcf, provider, model);

    if (price != NULL && ai_price_known(&price->price)) {
        return &price->price;
    }

    p = ngx_http_ai_find_provider(amcf, provider);
    row = p == NULL ? NULL : ngx_http_ai_discover_find(p, model);

    if (row == NULL) {
        return NULL;
    }

    ai_models_price(row, room);

    return ai_price_known(room) ? room : NULL;
}
