/*
 * The edge as a process: handshake with Redis, heartbeat, catalog, and whom
 * the bells ring for.
 * Everything here lives from init_process to exit_process.
 */

#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_discover.h"
#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_jwt.h"
#include "ngx_http_ai_leave.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_open.h"
#include "ngx_http_ai_steps.h"


#define NGX_HTTP_AI_EDGE_BEAT      500
/* The catalog lives 48 h in Redis and is set again each hour. */
#define NGX_HTTP_AI_CATALOG_TTL    "172800"
#define NGX_HTTP_AI_CATALOG_AGAIN  (3600 * 1000)


static ngx_int_t ngx_http_ai_edge_handshake(ngx_http_ai_redis_t *redis,
    ngx_uint_t which, void *data);
static void ngx_http_ai_edge_shards_set(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_edge_shards_got(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_edge_beaten(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_edge_catalog_set(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static ngx_int_t ngx_http_ai_edge_give(ngx_http_ai_redis_cmd_t *cmd,
    ngx_http_ai_redis_handler_pt handler, ngx_str_t *argv, ngx_uint_t argc);
static ngx_uint_t ngx_http_ai_edge_beat(ngx_http_ai_redis_cmd_t *cmd,
    char *word);
static ngx_uint_t ngx_http_ai_edge_catalog(ngx_http_ai_redis_cmd_t *cmd);
static void ngx_http_ai_edge_newest(void);
static void ngx_http_ai_edge_tick(ngx_event_t *ev);
static void ngx_http_ai_edge_message(ngx_http_ai_redis_t *redis,
    ngx_str_t *channel, ngx_str_t *payload, void *data);
static void ngx_http_ai_edge_subscribed(ngx_http_ai_redis_t *redis,
    void *data);
static void ngx_http_ai_edge_say(char *word);


ngx_http_ai_edge_t  *ngx_http_ai_edge;

static ngx_http_ai_edge_t         ngx_http_ai_edge_self;
static ngx_http_ai_redis_hooks_t  ngx_http_ai_edge_hooks;
static ngx_http_ai_redis_cmd_t    ngx_http_ai_edge_hello_cmd;
static ngx_http_ai_redis_cmd_t    ngx_http_ai_edge_beat_cmd;
static ngx_http_ai_redis_cmd_t    ngx_http_ai_edge_catalog_cmd;
static ngx_event_t                ngx_http_ai_edge_timer;
static ngx_connection_t           ngx_http_ai_edge_dummy;
static ngx_msec_t                 ngx_http_ai_edge_catalog_at;
static ngx_uint_t                 ngx_http_ai_edge_catalog_new;
static ngx_uint_t                 ngx_http_ai_edge_left;  /* said bye */
static ngx_str_t                  ngx_http_ai_edge_channels[2];
static u_char                     ngx_http_ai_edge_id[AI_PROCESS_ID_MAX];
static char                       ngx_http_ai_edge_channel[AI_KEY_MAX];


ngx_int_t
ngx_http_ai_edge_init_process(ngx_cycle_t *cycle)
{
    char                       host[NGX_MAXHOSTNAMELEN + 1];
    uint64_t                   msec;
    ngx_time_t                *tp;
    ngx_event_t               *ev;
    ngx_http_ai_edge_t        *edge;
    ngx_http_ai_main_conf_t   *amcf;
    ngx_http_ai_redis_hooks_t  *hooks;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_ai_module);

    if (amcf == NULL || !amcf->edge || amcf->redis == NULL) {
        return NGX_OK;
    }

    edge = &ngx_http_ai_edge_self;
    ngx_memzero(edge, sizeof(ngx_http_ai_edge_t));

    edge->amcf = amcf;

    ngx_memzero(host, sizeof(host));
    ngx_memcpy(host, cycle->hostname.data,
               ngx_min(cycle->hostname.len, NGX_MAXHOSTNAMELEN));

    tp = ngx_timeofday();
    msec = (uint64_t) tp->sec * 1000 + tp->msec;

    edge->id.data = ngx_http_ai_edge_id;
    edge->id.len = ai_id_process((char *) ngx_http_ai_edge_id,
                                 sizeof(ngx_http_ai_edge_id), host,
                                 (long) ngx_pid, msec);

    ngx_http_ai_open_init();
    ngx_http_ai_leave_init();
    ngx_http_ai_cache_rows_init(cycle);
    ngx_http_ai_metrics_init_process();

    ngx_http_ai_edge_channels[0].data = (u_char *) ngx_http_ai_edge_channel;
    ngx_http_ai_edge_channels[0].len =
        ai_keys_make(ngx_http_ai_edge_channel,
                     sizeof(ngx_http_ai_edge_channel), AI_KEY_EDGE_CHANNEL, 0,
                     ngx_http_ai_str(&edge->id));

    ngx_str_set(&ngx_http_ai_edge_channels[1], AI_KEYS_CHANNEL);

    hooks = &ngx_http_ai_edge_hooks;

    hooks->name = edge->id;
    hooks->channels = ngx_http_ai_edge_channels;
    hooks->nchannels = 2;
    hooks->handshake = ngx_http_ai_edge_handshake;
    hooks->message = ngx_http_ai_edge_message;
    hooks->subscribed = ngx_http_ai_edge_subscribed;

    edge->redis = ngx_http_ai_redis_start(cycle, amcf->redis, hooks);

    if (edge->redis == NULL) {
        return NGX_ERROR;
    }

    ngx_http_ai_edge = edge;

    ngx_http_ai_edge_dummy.fd = (ngx_socket_t) -1;

    ev = &ngx_http_ai_edge_timer;
    ev->handler = ngx_http_ai_edge_tick;
    ev->data = &ngx_http_ai_edge_dummy;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_AI_EDGE_BEAT);

    ngx_http_ai_jwt_init_process(cycle);
    ngx_http_ai_fetched_init_process(cycle);

    return NGX_OK;
}


void
ngx_http_ai_edge_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_http_ai_edge == NULL) {
        return;
    }

    if (ngx_http_ai_edge_timer.timer_set) {
        ngx_del_timer(&ngx_http_ai_edge_timer);
    }

    ngx_http_ai_jwt_exit_process();
    ngx_http_ai_fetched_exit_process();
    ngx_http_ai_discover_exit_process();
    ngx_http_ai_redis_stop(ngx_http_ai_edge->redis);
    ngx_http_ai_leave_done();
    ngx_http_ai_cache_rows_done();

    ngx_http_ai_edge = NULL;
}


/*
 * An edge is there for others (its beat), and others can read what it gives
 * (its catalog), before the connection counts as ready.
 */

static ngx_int_t
ngx_http_ai_edge_handshake(ngx_http_ai_redis_t *redis, ngx_uint_t which,
    void *data)
{
    ngx_str_t  argv[3];

    if (which != NGX_HTTP_AI_REDIS_COMMANDS) {
        return NGX_OK;
    }

    ngx_http_ai_edge_self.redis = redis;

    ngx_str_set(&argv[0], "SETNX");
    ngx_str_set(&argv[1], AI_SHARDS_KEY);
    ngx_str_set(&argv[2], "1");

    ngx_http_ai_redis_cancel(&ngx_http_ai_edge_hello_cmd);

    return ngx_http_ai_edge_give(&ngx_http_ai_edge_hello_cmd,
                                 ngx_http_ai_edge_shards_set, argv, 3);
}


static void
ngx_http_ai_edge_shards_set(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_str_t  argv[2];

    if (status == NGX_HTTP_AI_REDIS_CLOSED
        || status == NGX_HTTP_AI_REDIS_TIMEOUT)
    {
        return;
    }

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_redis_refuse(ngx_http_ai_edge->redis,
                                 NGX_HTTP_AI_REDIS_COMMANDS,
                                 "the number of shards cannot be set");
        return;
    }

    ngx_str_set(&argv[0], "GET");
    ngx_str_set(&argv[1], AI_SHARDS_KEY);

    (void) ngx_http_ai_edge_give(cmd, ngx_http_ai_edge_shards_got, argv, 2);
}


static void
ngx_http_ai_edge_shards_got(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    int64_t   n;
    ai_str_t  s;

    if (status == NGX_HTTP_AI_REDIS_CLOSED
        || status == NGX_HTTP_AI_REDIS_TIMEOUT)
    {
        return;
    }

    s = ai_str("");

    if (status == NGX_HTTP_AI_REDIS_OK && reply->type == AI_RESP_STRING) {
        s.data = reply->str;
        s.len = reply->len;
    }

    if (ai_str_int(s, &n) != 0 || n != 1) {
        ngx_http_ai_redis_refuse(ngx_http_ai_edge->redis,
                                 NGX_HTTP_AI_REDIS_COMMANDS,
                                 "this number of shards is not supported");
        return;
    }

    ngx_http_ai_edge->nshards = n;

    ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));
    cmd->handshake = 1;

    if (ngx_http_ai_edge_catalog(cmd) != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_redis_refuse(ngx_http_ai_edge->redis,
                                 NGX_HTTP_AI_REDIS_COMMANDS,
                                 "the catalog cannot be set");
    }
}


static void
ngx_http_ai_edge_catalog_set(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    if (status == NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_edge_catalog_at = ngx_current_msec;
        ngx_http_ai_edge_catalog_new = 1;
    }

    if (cmd != &ngx_http_ai_edge_hello_cmd
        || status == NGX_HTTP_AI_REDIS_CLOSED
        || status == NGX_HTTP_AI_REDIS_TIMEOUT)
    {
        return;
    }

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_redis_refuse(ngx_http_ai_edge->redis,
                                 NGX_HTTP_AI_REDIS_COMMANDS,
                                 "the catalog cannot be set");
        return;
    }

    ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));
    cmd->handshake = 1;

    (void) ngx_http_ai_edge_beat(cmd, "up");
}


static void
ngx_http_ai_edge_beaten(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    if (cmd == &ngx_http_ai_edge_hello_cmd
        && status == NGX_HTTP_AI_REDIS_ERROR)
    {
        ngx_http_ai_redis_refuse(ngx_http_ai_edge->redis,
                                 NGX_HTTP_AI_REDIS_COMMANDS,
                                 "the heartbeat is refused");
    }
}


/* One more command of the handshake. */

static ngx_int_t
ngx_http_ai_edge_give(ngx_http_ai_redis_cmd_t *cmd,
    ngx_http_ai_redis_handler_pt handler, ngx_str_t *argv, ngx_uint_t argc)
{
    ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));

    cmd->handler = handler;
    cmd->handshake = 1;

    if (ngx_http_ai_redis_command(ngx_http_ai_edge_self.redis,
                                  NGX_HTTP_AI_REDIS_COMMANDS, cmd, argv, argc)
        != NGX_HTTP_AI_REDIS_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_ai_edge_beat(ngx_http_ai_redis_cmd_t *cmd, char *word)
{
    char       buf[AI_KEY_MAX];
    ngx_str_t  key, argv[4];

    ngx_http_ai_edge_prefix(&key, buf, 0);

    ngx_str_set(&argv[0], "e");
    argv[1] = ngx_http_ai_edge_self.id;
    ngx_str_set(&argv[2], "0");
    argv[3].data = (u_char *) word;
    argv[3].len = ngx_strlen(word);

    cmd->handler = ngx_http_ai_edge_beaten;

    return ngx_http_ai_redis_eval(ngx_http_ai_edge_self.redis, cmd,
                                  AI_SCRIPT_BEAT, &key, 1, argv, 4);
}


static ngx_uint_t
ngx_http_ai_edge_catalog(ngx_http_ai_redis_cmd_t *cmd)
{
    char                      key[AI_KEY_MAX];
    ngx_str_t                 argv[5];
    ngx_http_ai_main_conf_t  *amcf;

    amcf = ngx_http_ai_edge_self.amcf;

    ngx_str_set(&argv[0], "SET");
    argv[1].data = (u_char *) key;
    argv[1].len = ai_keys_catalog(key, sizeof(key),
                                  (ai_str_t) { AI_SHA256_HEX,
                                      (const char *) amcf->catalog_sha });
    argv[2] = amcf->catalog;
    ngx_str_set(&argv[3], "EX");
    ngx_str_set(&argv[4], NGX_HTTP_AI_CATALOG_TTL);

    cmd->handler = ngx_http_ai_edge_catalog_set;

    return ngx_http_ai_redis_command(ngx_http_ai_edge_self.redis,
                                     NGX_HTTP_AI_REDIS_COMMANDS, cmd, argv, 5);
}


static void
ngx_http_ai_edge_tick(ngx_event_t *ev)
{
    ngx_http_ai_redis_cmd_t  *cmd;

    ngx_add_timer(ev, NGX_HTTP_AI_EDGE_BEAT);

    if (!ngx_http_ai_redis_ready(ngx_http_ai_edge->redis,
                                 NGX_HTTP_AI_REDIS_COMMANDS))
    {
        return;
    }

    if (!ngx_http_ai_edge_left
        && !ngx_http_ai_redis_pending(&ngx_http_ai_edge_beat_cmd))
    {
        ngx_http_ai_edge_say("up");
    }

    cmd = &ngx_http_ai_edge_catalog_cmd;

    if (ngx_current_msec - ngx_http_ai_edge_catalog_at
        > NGX_HTTP_AI_CATALOG_AGAIN
        && !ngx_http_ai_redis_pending(cmd))
    {
        ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));
        (void) ngx_http_ai_edge_catalog(cmd);
    }

    if (ngx_http_ai_edge_catalog_new) {
        ngx_http_ai_edge_newest();
    }

    ngx_http_ai_leave_again();
}


/* By which prices aictl counts: those of who was configured last. */

static void
ngx_http_ai_edge_newest(void)
{
    ngx_str_t                 argv[5];
    ngx_http_ai_main_conf_t  *amcf;

    amcf = ngx_http_ai_edge->amcf;

    if (ngx_exiting
        || !ngx_http_ai_redis_ready(ngx_http_ai_edge->redis,
                                    NGX_HTTP_AI_REDIS_COMMANDS))
    {
        return;
    }

    ngx_str_set(&argv[0], "SET");
    ngx_str_set(&argv[1], AI_CATALOG_NEWEST_KEY);
    argv[2].data = amcf->catalog_sha;
    argv[2].len = AI_SHA256_HEX;
    ngx_str_set(&argv[3], "PX");
    ngx_str_set(&argv[4], "172800000");

    if (ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                  NGX_HTTP_AI_REDIS_COMMANDS, NULL, argv, 5)
        == NGX_HTTP_AI_REDIS_OK)
    {
        ngx_http_ai_edge_catalog_new = 0;
    }
}


static void
ngx_http_ai_edge_message(ngx_http_ai_redis_t *redis, ngx_str_t *channel,
    ngx_str_t *payload, void *data)
{
    u_char                    sha[AI_SHA256_HEX];
    ai_bell_t                 bell;
    ngx_http_ai_redis_cmd_t  *cmd;

    if (ai_bell_parse(ngx_http_ai_str(payload), &bell) != 0) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "ai: a message of %uz bytes on \"%V\" cannot be read",
                      payload->len, channel);
        return;
    }

    switch (bell.type) {

    case AI_BELL_EVENTS:
        ngx_http_ai_open_events(&bell);
        break;

    case AI_BELL_KEY:
        if (bell.name.len != AI_SHA256_HEX) {
            break;
        }

        if (channel->len == sizeof(AI_KEYS_CHANNEL) - 1) {
            ngx_http_ai_zone_forget(ngx_http_ai_edge->amcf->principals,
                                    (u_char *) bell.name.data);
            break;
        }

        ngx_http_ai_lookup_bell((u_char *) bell.name.data, bell.word);
        break;

    case AI_BELL_PURGE:
        if (ngx_http_ai_edge->amcf->cache != NULL) {
            ngx_http_ai_cache_zone_flush(ngx_http_ai_edge->amcf->cache);
        }

        break;

    case AI_BELL_TENANT:
        if (ngx_http_ai_lookup_tenant(sha, bell.name) != NGX_OK) {
            break;
        }

        if (channel->len == sizeof(AI_KEYS_CHANNEL) - 1) {
            ngx_http_ai_zone_forget(ngx_http_ai_edge->amcf->principals, sha);
            break;
        }

        ngx_http_ai_lookup_bell(sha, bell.word);
        break;

    case AI_BELL_SEED:
        if (bell.name.len == AI_SHA256_HEX) {
            ngx_http_ai_seed_bell((u_char *) bell.name.data, bell.word);
        }

        break;

    case AI_BELL_CATALOG:
        cmd = &ngx_http_ai_edge_catalog_cmd;

        if (bell.name.len == AI_SHA256_HEX
            && ngx_memcmp(bell.name.data, ngx_http_ai_edge->amcf->catalog_sha,
                          AI_SHA256_HEX) == 0
            && !ngx_http_ai_redis_pending(cmd))
        {
            ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));
            (void) ngx_http_ai_edge_catalog(cmd);
        }

        break;

    case AI_BELL_JWKS:
    case AI_BELL_MODELS:
        ngx_http_ai_fetched_bell(bell.type, (u_char *) bell.name.data);
        break;
    }
}


/* What was said while nobody listened stands in the logs. */

static void
ngx_http_ai_edge_subscribed(ngx_http_ai_redis_t *redis, void *data)
{
    ngx_http_ai_zone_flush(ngx_http_ai_edge_self.amcf->principals);
    ngx_http_ai_fetched_subscribed();

    if (ngx_http_ai_edge_self.amcf->cache != NULL) {
        ngx_http_ai_cache_zone_flush(ngx_http_ai_edge_self.amcf->cache);
    }

    ngx_http_ai_open_subscribed();
}


ai_str_t
ngx_http_ai_reply_str(ai_resp_t *reply, size_t i)
{
    ai_resp_t   *e;

    if (reply->type == AI_RESP_ARRAY && i < reply->elements) {
        e = &reply->element[i];

        if (e->type == AI_RESP_STRING || e->type == AI_RESP_STATUS) {
            return (ai_str_t) { e->len, e->str };
        }
    }

    return ai_str("");
}


void
ngx_http_ai_edge_key(ngx_str_t *s, char *buf, ai_key_e key, ngx_uint_t shard,
    ngx_str_t *name)
{
    s->data = (u_char *) buf;
    s->len = ai_keys_make(buf, AI_KEY_MAX, key, shard, ngx_http_ai_str(name));
}


void
ngx_http_ai_edge_prefix(ngx_str_t *s, char *buf, ngx_uint_t shard)
{
    s->data = (u_char *) buf;
    s->len = ai_keys_prefix(buf, AI_KEY_MAX, shard);
}


ngx_uint_t
ngx_http_ai_edge_shard(ngx_str_t *tenant)
{
    return ai_keys_shard(ngx_http_ai_str(tenant),
                         ngx_max(ngx_http_ai_edge->nshards, 1));
}


ngx_uint_t
ngx_http_ai_edge_ready(void)
{
    return ngx_http_ai_redis_ready(ngx_http_ai_edge->redis,
                                   NGX_HTTP_AI_REDIS_COMMANDS)
           && ngx_http_ai_redis_ready(ngx_http_ai_edge->redis,
                                      NGX_HTTP_AI_REDIS_SUB);
}


void
ngx_http_ai_edge_bye(void)
{
    ngx_http_ai_edge_left = 1;
    ngx_http_ai_edge_say("bye");
}


void
ngx_http_ai_edge_stay(void)
{
    if (ngx_http_ai_edge_left) {
        ngx_http_ai_edge_left = 0;
        ngx_http_ai_edge_say("up");
    }
}


static void
ngx_http_ai_edge_say(char *word)
{
    ngx_http_ai_redis_cmd_t  *cmd;

    cmd = &ngx_http_ai_edge_beat_cmd;

    ngx_http_ai_redis_cancel(cmd);
    ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));

    (void) ngx_http_ai_edge_beat(cmd, word);
}
