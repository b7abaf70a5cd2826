/*
 * What workers fetch, as it comes through Redis; see the header.  Nothing here
 * waits, and what is made of a text is its taker's.
 */

#include "ngx_http_ai_fetched.h"
#include "ngx_http_ai_edge.h"


#define NGX_HTTP_AI_FETCHED_TICK   1000       /* ms */
#define NGX_HTTP_AI_FETCHED_CALL   60         /* ticks */
#define NGX_HTTP_AI_FETCHED_WANT   30000      /* ms */


static void ngx_http_ai_fetched_tick(ngx_event_t *ev);
static void ngx_http_ai_fetched_get(ngx_http_ai_fetched_t *f);
static void ngx_http_ai_fetched_got(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_fetched_call(ngx_http_ai_main_conf_t *amcf);
static void ngx_http_ai_fetched_expire(ngx_str_t *key, char *msec);


static ngx_event_t       ngx_http_ai_fetched_timer;
static ngx_connection_t  ngx_http_ai_fetched_dummy;
static ngx_uint_t        ngx_http_ai_fetched_ticks;


void
ngx_http_ai_fetched_add(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_fetched_t *f)
{
    f->next = amcf->fetched;
    amcf->fetched = f;
}


void
ngx_http_ai_fetched_init_process(ngx_cycle_t *cycle)
{
    ngx_event_t  *ev;

    if (ngx_http_ai_edge->amcf->fetched == NULL) {
        return;
    }

    ngx_http_ai_fetched_dummy.fd = (ngx_socket_t) -1;
    ngx_http_ai_fetched_ticks = 0;

    ev = &ngx_http_ai_fetched_timer;
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = ngx_http_ai_fetched_tick;
    ev->data = &ngx_http_ai_fetched_dummy;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_AI_FETCHED_TICK);
}


void
ngx_http_ai_fetched_exit_process(void)
{
    if (ngx_http_ai_fetched_timer.timer_set) {
        ngx_del_timer(&ngx_http_ai_fetched_timer);
    }
}


static void
ngx_http_ai_fetched_tick(ngx_event_t *ev)
{
    ngx_uint_t                call;
    ngx_http_ai_fetched_t    *f;
    ngx_http_ai_main_conf_t  *amcf;

    ngx_add_timer(ev, NGX_HTTP_AI_FETCHED_TICK);

    amcf = ngx_http_ai_edge->amcf;
    call = ngx_http_ai_fetched_ticks++ % NGX_HTTP_AI_FETCHED_CALL == 0;

    for (f = amcf->fetched; f != NULL; f = f->next) {

        /* What a bell did not say is heard so. */

        if (f->stale || call) {
            ngx_http_ai_fetched_get(f);
        }
    }

    if (call) {
        ngx_http_ai_fetched_call(amcf);
    }
}


void
ngx_http_ai_fetched_subscribed(void)
{
    ngx_http_ai_fetched_t  *f;

    if (ngx_http_ai_edge == NULL || ngx_http_ai_edge->amcf->fetched == NULL) {
        return;
    }

    for (f = ngx_http_ai_edge->amcf->fetched; f != NULL; f = f->next) {
        ngx_http_ai_fetched_get(f);
    }

    ngx_http_ai_fetched_call(ngx_http_ai_edge->amcf);
}


void
ngx_http_ai_fetched_bell(u_char bell, u_char *sha)
{
    ngx_http_ai_fetched_t  *f;

    for (f = ngx_http_ai_edge->amcf->fetched; f != NULL; f = f->next) {
        if (f->bell == bell && ngx_memcmp(f->sha, sha, AI_SHA256_HEX) == 0) {
            ngx_http_ai_fetched_get(f);
        }
    }
}


static void
ngx_http_ai_fetched_get(ngx_http_ai_fetched_t *f)
{
    char       key[AI_KEY_MAX];
    ngx_str_t  argv[2];

    f->stale = 1;

    if (ngx_http_ai_redis_pending(&f->cmd)) {
        f->again = 1;
        return;
    }

    if (!ngx_http_ai_redis_ready(ngx_http_ai_edge->redis,
                                 NGX_HTTP_AI_REDIS_COMMANDS))
    {
        return;
    }

    ngx_str_set(&argv[0], "GET");
    argv[1].data = (u_char *) key;
    argv[1].len = f->key(key, sizeof(key),
                         (ai_str_t) { AI_SHA256_HEX, (const char *) f->sha });

    ngx_memzero(&f->cmd, sizeof(ngx_http_ai_redis_cmd_t));

    f->cmd.handler = ngx_http_ai_fetched_got;
    f->cmd.data = f;
    f->again = 0;

    (void) ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                     NGX_HTTP_AI_REDIS_COMMANDS, &f->cmd, argv,
                                     2);
}


static void
ngx_http_ai_fetched_got(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_fetched_t *f = cmd->data;

    ai_str_t    mac, text;
    ai_sign_t  *sign;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        return;
    }

    /* Where there is none a worker fetches it, and rings. */

    f->stale = f->again;

    if (reply->type != AI_RESP_STRING) {
        return;
    }

    /* Who can write to Redis must not say who may sign tokens, nor what
     * anything costs. */

    text = (ai_str_t) { reply->len, reply->str };
    mac = ai_sign_catalog_cut(&text);
    sign = ngx_http_ai_edge->amcf->redis->sign;

    f->take(f, text,
            sign == NULL
            || f->ok(sign, (ai_str_t) { AI_SHA256_HEX, (const char *) f->sha },
                     text, mac)
               == 1);
}


/*
 * Workers read from the catalog what there is to be fetched: this one is in
 * use.  Not of a process that only ends what it has begun: it would take turns
 * with the one that follows it.
 */

static void
ngx_http_ai_fetched_call(ngx_http_ai_main_conf_t *amcf)
{
    u_char     now[NGX_TIME_T_LEN];
    ngx_str_t  argv[4];

    if (ngx_exiting
        || !ngx_http_ai_redis_ready(ngx_http_ai_edge->redis,
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

    ngx_http_ai_fetched_expire(&argv[1], "172800000");
}


void
ngx_http_ai_fetched_want(ngx_http_ai_fetched_t *f)
{
    ngx_str_t  argv[3];

    if ((f->wanted
         && ngx_current_msec - f->wanted_at < NGX_HTTP_AI_FETCHED_WANT)
        || !ngx_http_ai_redis_ready(ngx_http_ai_edge->redis,
                                    NGX_HTTP_AI_REDIS_COMMANDS))
    {
        return;
    }

    f->wanted = 1;
    f->wanted_at = ngx_current_msec;

    ngx_str_set(&argv[0], "SADD");
    ngx_str_set(&argv[1], AI_JWKS_WANTED_KEY);
    argv[2].data = f->sha;
    argv[2].len = AI_SHA256_HEX;

    (void) ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                     NGX_HTTP_AI_REDIS_COMMANDS, NULL, argv,
                                     3);

    ngx_http_ai_fetched_expire(&argv[1], "60000");
}


static void
ngx_http_ai_fetched_expire(ngx_str_t *key, char *msec)
{
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "PEXPIRE");
    argv[1] = *key;
    argv[2].data = (u_char *) msec;
    argv[2].len = ngx_strlen(msec);

    (void) ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                     NGX_HTTP_AI_REDIS_COMMANDS, NULL, argv,
                                     3);
}
