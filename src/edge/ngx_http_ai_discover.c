/*
 * Lists of models of providers; see the header.  Owns each process' copies.
 */

#include "ngx_http_ai_discover.h"
#include "ngx_http_ai_edge.h"


#define NGX_HTTP_AI_DISCOVER_TICK   1000      /* ms */
#define NGX_HTTP_AI_DISCOVER_CALL   60        /* ticks */
#define NGX_HTTP_AI_DISCOVER_EVERY  3600      /* s, by default */
#define NGX_HTTP_AI_DISCOVER_MIN    60
#define NGX_HTTP_AI_DISCOVER_MAX    (7 * 24 * 3600)


static void ngx_http_ai_discover_tick(ngx_event_t *ev);
static void ngx_http_ai_discover_get(ngx_http_ai_discover_t *d);
static void ngx_http_ai_discover_got(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_discover_take(ngx_http_ai_discover_t *d,
    ai_str_t text);
static void ngx_http_ai_discover_call(ngx_http_ai_main_conf_t *amcf);
static ngx_http_ai_discover_t *ngx_http_ai_discover_at(
    ngx_http_ai_main_conf_t *amcf, ngx_uint_t *i);


static ngx_str_t  ngx_http_ai_discover_types[] = {
    ngx_string("openai"),
    ngx_string("openrouter"),
    ngx_string("ollama"),
    ngx_null_string
};

static ngx_event_t       ngx_http_ai_discover_timer;
static ngx_connection_t  ngx_http_ai_discover_dummy;
static ngx_uint_t        ngx_http_ai_discover_ticks;


char *
ngx_http_ai_discover_conf(ngx_conf_t *cf, void *entry)
{
    ngx_http_ai_provider_t  *provider = entry;

    time_t                   every;
    ngx_str_t               *value, s;
    ngx_uint_t               i;
    ngx_http_ai_discover_t  *d;

    if (provider->discover != NULL) {
        return "is duplicate";
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
    size_t      size;
    ai_buf_t    b;
    ngx_str_t  *url;
    ngx_uint_t  i;

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

    if (ai_sha256_hex((char *) provider->discover->sha,
                      (ai_str_t) { ai_buf_len(&b), b.start }) != 0)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


void
ngx_http_ai_discover_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t    i;
    ngx_event_t  *ev;

    i = 0;

    if (ngx_http_ai_discover_at(ngx_http_ai_edge->amcf, &i) == NULL) {
        return;
    }

    ngx_http_ai_discover_dummy.fd = (ngx_socket_t) -1;
    ngx_http_ai_discover_ticks = 0;

    ev = &ngx_http_ai_discover_timer;
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = ngx_http_ai_discover_tick;
    ev->data = &ngx_http_ai_discover_dummy;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_AI_DISCOVER_TICK);
}


void
ngx_http_ai_discover_exit_process(void)
{
    ngx_uint_t               i;
    ngx_http_ai_discover_t  *d;

    if (ngx_http_ai_discover_timer.timer_set) {
        ngx_del_timer(&ngx_http_ai_discover_timer);
    }

    for (i = 0;
         (d = ngx_http_ai_discover_at(ngx_http_ai_edge->amcf, &i)) != NULL;
         i++)
    {
        ai_models_free(d->models);
        d->models = NULL;
    }
}


static void
ngx_http_ai_discover_tick(ngx_event_t *ev)
{
    ngx_uint_t                i, call;
    ngx_http_ai_discover_t   *d;
    ngx_http_ai_main_conf_t  *amcf;

    ngx_add_timer(ev, NGX_HTTP_AI_DISCOVER_TICK);

    amcf = ngx_http_ai_edge->amcf;
    call = ngx_http_ai_discover_ticks++ % NGX_HTTP_AI_DISCOVER_CALL == 0;

    for (i = 0; (d = ngx_http_ai_discover_at(amcf, &i)) != NULL; i++) {

        /* What a bell did not say is heard so. */

        if (d->stale || call) {
            ngx_http_ai_discover_get(d);
        }
    }

    if (call) {
        ngx_http_ai_discover_call(amcf);
    }
}


void
ngx_http_ai_discover_subscribed(void)
{
    ngx_uint_t               i, some;
    ngx_http_ai_discover_t  *d;

    if (ngx_http_ai_edge == NULL) {
        return;
    }

    some = 0;

    for (i = 0;
         (d = ngx_http_ai_discover_at(ngx_http_ai_edge->amcf, &i)) != NULL;
         i++)
    {
        ngx_http_ai_discover_get(d);
        some = 1;
    }

    if (some) {
        ngx_http_ai_discover_call(ngx_http_ai_edge->amcf);
    }
}


void
ngx_http_ai_discover_bell(ngx_http_ai_main_conf_t *amcf, u_char *sha)
{
    ngx_uint_t               i;
    ngx_http_ai_discover_t  *d;

    for (i = 0; (d = ngx_http_ai_discover_at(amcf, &i)) != NULL; i++) {
        if (ngx_memcmp(d->sha, sha, AI_SHA256_HEX) == 0) {
            ngx_http_ai_discover_get(d);
        }
    }
}


static void
ngx_http_ai_discover_get(ngx_http_ai_discover_t *d)
{
    char       key[AI_KEY_MAX];
    ngx_str_t  argv[2];

    d->stale = 1;

    if (ngx_http_ai_redis_pending(&d->cmd)) {
        d->again = 1;
        return;
    }

    if (!ngx_http_ai_redis_ready(ngx_http_ai_edge->redis,
                                 NGX_HTTP_AI_REDIS_COMMANDS))
    {
        return;
    }

    ngx_str_set(&argv[0], "GET");
    argv[1].data = (u_char *) key;
    argv[1].len = ai_keys_models(key, sizeof(key),
                      (ai_str_t) { AI_SHA256_HEX, (const char *) d->sha });

    ngx_memzero(&d->cmd, sizeof(ngx_http_ai_redis_cmd_t));

    d->cmd.handler = ngx_http_ai_discover_got;
    d->cmd.data = d;
    d->again = 0;

    (void) ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                     NGX_HTTP_AI_REDIS_COMMANDS, &d->cmd, argv,
                                     2);
}


static void
ngx_http_ai_discover_got(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_discover_t *d = cmd->data;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        return;
    }

    /* Where there is none a worker fetches it, and rings. */

    d->stale = d->again;

    if (reply->type == AI_RESP_STRING) {
        ngx_http_ai_discover_take(d, (ai_str_t) { reply->len, reply->str });
    }
}


/* Who can write to Redis must not say what anything costs. */

static void
ngx_http_ai_discover_take(ngx_http_ai_discover_t *d, ai_str_t text)
{
    ai_str_t      mac;
    ai_sign_t    *sign;
    ngx_uint_t    signed_;
    ai_models_t  *models;

    mac = ai_sign_catalog_cut(&text);
    sign = ngx_http_ai_edge->amcf->redis->sign;
    signed_ = sign == NULL
              || ai_sign_models_ok(sign, (ai_str_t) { AI_SHA256_HEX,
                                                   (const char *) d->sha },
                                   text, mac)
                 == 1;

    models = signed_ ? ai_models_parse(text) : NULL;

    if (models == NULL) {

        if (!d->said) {
            d->said = 1;
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "ai: the list of models %*s in Redis is %s%s",
                          (size_t) 16, d->sha,
                          signed_ ? "none"
                          : "not signed by a key of ours (have the workers a "
                            "--sign-file?)",
                          d->models != NULL ? "; the last good one stays"
                                            : "");
        }

        return;
    }

    d->said = 0;
    ai_models_free(d->models);
    d->models = models;
}


/* Workers read from the catalog which lists there are: this one is in use. */

static void
ngx_http_ai_discover_call(ngx_http_ai_main_conf_t *amcf)
{
    u_char     now[NGX_TIME_T_LEN];
    ngx_str_t  argv[4];

    if (!ngx_http_ai_redis_ready(ngx_http_ai_edge->redis,
                                 NGX_HTTP_AI_REDIS_COMMANDS))
    {
        return;
    }

    ngx_str_set(&argv[0], "ZADD");
    ngx_str_set(&argv[1], AI_JWKS_KEY);
    argv[2].data = now;
    argv[2].len = ngx_sprintf(now, "%T", ngx_time()) - now;
    argv[3].data = amcf->catalog_sha;
    argv[3].len = AI_SHA256_HEX;

    (void) ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                     NGX_HTTP_AI_REDIS_COMMANDS, NULL, argv,
                                     4);

    ngx_str_set(&argv[0], "PEXPIRE");
    ngx_str_set(&argv[2], "172800000");

    (void) ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                     NGX_HTTP_AI_REDIS_COMMANDS, NULL, argv,
                                     3);
}


/* The first from the i-th provider on, which *i then is. */

static ngx_http_ai_discover_t *
ngx_http_ai_discover_at(ngx_http_ai_main_conf_t *amcf, ngx_uint_t *i)
{
    ngx_http_ai_provider_t  *p;

    p = amcf->providers.elts;

    for ( /* void */ ; *i < amcf->providers.nelts; (*i)++) {
        if (p[*i].discover != NULL) {
            return p[*i].discover;
        }
    }

    return NULL;
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
