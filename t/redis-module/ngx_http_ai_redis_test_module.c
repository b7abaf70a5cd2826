/*
 * A handler that drives the Redis transport for t/20-redis-transport.t: the
 * URI says what to do, the answer says what came of it.
 * A request owns its commands; the process owns the transport and the events.
 */

#include "ngx_http_ai_redis.h"

#include <ngx_md5.h>


#define NGX_HTTP_AI_REDIS_TEST_ARGS    16
#define NGX_HTTP_AI_REDIS_TEST_EVENTS  1000
#define NGX_HTTP_AI_REDIS_TEST_TEXT    65536


typedef struct {
    ngx_http_ai_redis_conf_t      redis;
    ngx_http_ai_redis_hooks_t     hooks;
} ngx_http_ai_redis_test_conf_t;


typedef struct {
    ngx_http_request_t           *request;
    ngx_http_ai_redis_cmd_t      *cmds;
    ngx_uint_t                    ncmds;
    ngx_uint_t                    left;
    ngx_uint_t                    counts[5];
    ngx_uint_t                    sent;
    ngx_uint_t                    error;
    ngx_uint_t                    waits;
    u_char                       *text;
    u_char                       *last;

    ngx_str_t                     argv[NGX_HTTP_AI_REDIS_TEST_ARGS];
    ngx_uint_t                    argc;
    ngx_str_t                     keys[NGX_HTTP_AI_REDIS_TEST_ARGS];
    ngx_uint_t                    nkeys;
    ngx_uint_t                    which;
    ngx_uint_t                    n;
    ngx_uint_t                    at;
    ngx_uint_t                    split;
    ngx_uint_t                    script;
    ngx_uint_t                    eval;
    ngx_uint_t                    cancel;
    ngx_uint_t                    forget;
    ngx_msec_t                    timeout;
    ngx_chain_t                  *body;
    ngx_event_t                   timer;
} ngx_http_ai_redis_test_ctx_t;


static char *ngx_http_ai_redis_test(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ai_redis_test_server(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_ai_redis_test_create_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_ai_redis_test_init(ngx_cycle_t *cycle);
static void ngx_http_ai_redis_test_exit(ngx_cycle_t *cycle);


static ngx_http_ai_redis_t  *ngx_http_ai_redis_test_redis;
static ngx_str_t             ngx_http_ai_redis_test_events[
                                 NGX_HTTP_AI_REDIS_TEST_EVENTS];
static ngx_uint_t            ngx_http_ai_redis_test_nevents;
static ngx_http_ai_redis_cmd_t  ngx_http_ai_redis_test_hooks[
                                 NGX_HTTP_AI_REDIS_CONNS];

static ngx_str_t  ngx_http_ai_redis_test_channels[] = {
    ngx_string("test:a"), ngx_string("test:b")
};


static const char  ngx_http_ai_redis_test_echo[] =
    "return {KEYS[1], ARGV[1], ARGV[2]}\n";
static const char  ngx_http_ai_redis_test_never[] =
    "return redis.error_reply(\"NOSCRIPT never\")\n";

const ai_script_t  ai_scripts[] = {
    { "echo", "24385b511b4c630d551d83e61750b1f1d366d7a4",
      sizeof(ngx_http_ai_redis_test_echo) - 1, ngx_http_ai_redis_test_echo },
    { "never", "6503b91de5ec4aea80abeced34f0489d310b274f",
      sizeof(ngx_http_ai_redis_test_never) - 1,
      ngx_http_ai_redis_test_never },
    { 0, 0, 0, 0 }
};


static ngx_command_t  ngx_http_ai_redis_test_commands[] = {

    { ngx_string("ai_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_ai_redis_test_server,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("redis_test"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_ai_redis_test,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ai_redis_test_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */
    ngx_http_ai_redis_test_create_conf,    /* create main configuration */
    NULL,                                  /* init main configuration */
    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */
    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_ai_redis_test_module = {
    NGX_MODULE_V1,
    &ngx_http_ai_redis_test_module_ctx,    /* module context */
    ngx_http_ai_redis_test_commands,       /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_ai_redis_test_init,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_ai_redis_test_exit,           /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void
ngx_http_ai_redis_test_event(const char *fmt, ...)
{
    u_char     *p, buf[512];
    va_list     args;
    ngx_str_t  *event;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    event = &ngx_http_ai_redis_test_events[ngx_http_ai_redis_test_nevents++
                                           % NGX_HTTP_AI_REDIS_TEST_EVENTS];
    if (event->data) {
        ngx_free(event->data);
    }

    event->data = ngx_alloc(p - buf, ngx_cycle->log);
    event->len = event->data ? p - buf : 0;
    ngx_memcpy(event->data, buf, event->len);
}


static void
ngx_http_ai_redis_test_message(ngx_http_ai_redis_t *redis, ngx_str_t *channel,
    ngx_str_t *payload, void *data)
{
    (void) redis;
    (void) data;

    ngx_http_ai_redis_test_event("message %V %V", channel, payload);
}


static void
ngx_http_ai_redis_test_subscribed(ngx_http_ai_redis_t *redis, void *data)
{
    (void) redis;
    (void) data;

    ngx_http_ai_redis_test_event("subscribed");
}


static void
ngx_http_ai_redis_test_lost(ngx_http_ai_redis_t *redis, void *data)
{
    (void) redis;
    (void) data;

    ngx_http_ai_redis_test_event("lost");
}


static void
ngx_http_ai_redis_test_hooked(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_uint_t  which;

    which = cmd - ngx_http_ai_redis_test_hooks;
    ngx_http_ai_redis_test_event("hook %ui %ui", which, status);

    if (status == NGX_HTTP_AI_REDIS_OK && reply->type == AI_RESP_STRING) {
        ngx_http_ai_redis_refuse(cmd->data, which, "refused by the test");
    }
}


static ngx_int_t
ngx_http_ai_redis_test_handshake(ngx_http_ai_redis_t *redis, ngx_uint_t which,
    void *data)
{
    ngx_str_t                 argv[2];
    ngx_http_ai_redis_cmd_t  *cmd;

    (void) data;

    cmd = &ngx_http_ai_redis_test_hooks[which];
    ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));
    cmd->handler = ngx_http_ai_redis_test_hooked;
    cmd->data = redis;
    cmd->handshake = 1;

    ngx_str_set(&argv[0], "GET");
    ngx_str_set(&argv[1], "test:refuse");

    return ngx_http_ai_redis_command(redis, which, cmd, argv, 2)
           == NGX_HTTP_AI_REDIS_OK ? NGX_OK : NGX_ERROR;
}


static u_char *
ngx_http_ai_redis_test_render(u_char *p, u_char *last, ai_resp_t *reply)
{
    size_t     i;
    u_char     md5[16], hex[32];
    ngx_md5_t  ctx;

    switch (reply->type) {

    case AI_RESP_NIL:
        return ngx_slprintf(p, last, "nil");

    case AI_RESP_INTEGER:
        return ngx_slprintf(p, last, "%L", (int64_t) reply->integer);

    case AI_RESP_ARRAY:
        p = ngx_slprintf(p, last, "[");

        for (i = 0; i < reply->elements; i++) {
            p = ngx_slprintf(p, last, i ? "," : "");
            p = ngx_http_ai_redis_test_render(p, last, &reply->element[i]);
        }

        return ngx_slprintf(p, last, "]");

    default:
        if (reply->len <= 1000) {
            return ngx_slprintf(p, last, "%*s", (size_t) reply->len,
                                reply->str);
        }

        ngx_md5_init(&ctx);
        ngx_md5_update(&ctx, reply->str, reply->len);
        ngx_md5_final(md5, &ctx);
        (void) ngx_hex_dump(hex, md5, 16);

        return ngx_slprintf(p, last, "%uz:%*s", (size_t) reply->len,
                            (size_t) 32, hex);
    }
}


static ngx_int_t
ngx_http_ai_redis_test_send(ngx_http_request_t *r, u_char *text, u_char *last)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = last - text;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = text;
    b->last = last;
    b->memory = (last > text);
    b->last_buf = 1;
    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_ai_redis_test_answer(ngx_http_ai_redis_test_ctx_t *ctx)
{
    u_char  *p, *last, *text;
    size_t   len;

    len = ctx->last - ctx->text;

    text = ngx_pnalloc(ctx->request->pool, len + 256);
    if (text == NULL) {
        return NGX_ERROR;
    }

    last = text + len + 256;

    p = ngx_slprintf(text, last, "ok=%ui error=%ui timeout=%ui closed=%ui "
                     "full=%ui sent=%ui class=%ui\n", ctx->counts[0],
                     ctx->counts[1], ctx->counts[2], ctx->counts[3],
                     ctx->counts[4], ctx->sent, ctx->error);
    p = ngx_cpymem(p, ctx->text, len);

    return ngx_http_ai_redis_test_send(ctx->request, text, p);
}


static void
ngx_http_ai_redis_test_done(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_connection_t              *c;
    ngx_http_request_t            *r;
    ngx_http_ai_redis_test_ctx_t  *ctx;

    ctx = cmd->data;
    r = ctx->request;
    c = r->connection;

    ctx->counts[status]++;
    ctx->sent += cmd->sent;

    if (cmd->error) {
        ctx->error = cmd->error;
    }

    if (reply) {
        ctx->last = ngx_http_ai_redis_test_render(ctx->text,
                                ctx->text + NGX_HTTP_AI_REDIS_TEST_TEXT,
                                reply);
    }

    if (--ctx->left || !ctx->waits) {
        return;
    }

    ngx_http_finalize_request(r, ngx_http_ai_redis_test_answer(ctx));
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_ai_redis_test_cleanup(void *data)
{
    ngx_uint_t                     i;
    ngx_http_ai_redis_test_ctx_t  *ctx;

    ctx = data;

    for (i = 0; i < ctx->ncmds; i++) {
        ngx_http_ai_redis_cancel(&ctx->cmds[i]);
    }

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }
}


/* After a cancel the body is the test's own again, and is spoilt. */

static void
ngx_http_ai_redis_test_cancel(ngx_http_ai_redis_test_ctx_t *ctx)
{
    ngx_uint_t    i;
    ngx_chain_t  *cl;

    for (i = 0; i < ctx->ncmds; i++) {
        ngx_http_ai_redis_cancel(&ctx->cmds[i]);
    }

    for (cl = ctx->body; cl; cl = cl->next) {
        ngx_memset(cl->buf->pos, 'X', cl->buf->last - cl->buf->pos);
    }
}


static void
ngx_http_ai_redis_test_timer(ngx_event_t *ev)
{
    ngx_connection_t              *c;
    ngx_http_ai_redis_test_ctx_t  *ctx;

    ctx = ev->data;
    c = ctx->request->connection;

    ngx_http_ai_redis_test_cancel(ctx);

    ngx_http_finalize_request(ctx->request, NGX_HTTP_NO_CONTENT);
    ngx_http_run_posted_requests(c);
}


static ngx_uint_t
ngx_http_ai_redis_test_issue(ngx_http_ai_redis_test_ctx_t *ctx,
    ngx_http_ai_redis_cmd_t *cmd)
{
    ngx_http_ai_redis_t  *redis = ngx_http_ai_redis_test_redis;

    if (ctx->eval) {
        return ngx_http_ai_redis_eval(redis, cmd, ctx->script, ctx->keys,
                                      ctx->nkeys, ctx->argv, ctx->argc);
    }

    if (ctx->at) {
        return ngx_http_ai_redis_command_body(redis, ctx->which, cmd,
                                              ctx->argv, ctx->argc, ctx->body,
                                              ctx->at);
    }

    return ngx_http_ai_redis_command(redis, ctx->which, cmd, ctx->argv,
                                     ctx->argc);
}


/* Returns what the content handler returns. */

static ngx_int_t
ngx_http_ai_redis_test_run(ngx_http_ai_redis_test_ctx_t *ctx)
{
    ngx_uint_t                i, status;
    ngx_http_request_t       *r;
    ngx_http_ai_redis_cmd_t  *cmd;

    r = ctx->request;

    for (i = 0; i < ctx->n; i++) {
        cmd = &ctx->cmds[i];
        cmd->handler = ngx_http_ai_redis_test_done;
        cmd->data = ctx;
        cmd->timeout = ctx->timeout;

        status = ngx_http_ai_redis_test_issue(ctx, ctx->forget ? NULL : cmd);

        if (status != NGX_HTTP_AI_REDIS_OK || ctx->forget) {
            ctx->counts[status]++;
            continue;
        }

        ctx->ncmds = i + 1;
        ctx->left++;
    }

    if (ctx->cancel == 1) {
        ngx_http_ai_redis_test_cancel(ctx);
        ctx->left = 0;
    }

    if (ctx->left == 0) {
        return ngx_http_ai_redis_test_answer(ctx);
    }

    ctx->waits = 1;
    r->main->count++;

    if (ctx->cancel == 2) {
        ctx->timer.handler = ngx_http_ai_redis_test_timer;
        ctx->timer.data = ctx;
        ctx->timer.log = r->connection->log;
        ngx_add_timer(&ctx->timer, 100);
    }

    return NGX_DONE;
}


/* The body in pieces of ctx->split bytes. */

static void
ngx_http_ai_redis_test_body(ngx_http_request_t *r)
{
    size_t                         n;
    u_char                        *p, *last;
    ngx_buf_t                     *b;
    ngx_chain_t                   *cl, *in, **ll;
    ngx_http_ai_redis_test_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_ai_redis_test_module);
    ll = &ctx->body;

    for (in = r->request_body->bufs; in; in = in->next) {
        last = in->buf->last;

        for (p = in->buf->pos; p < last; p += n) {
            n = ngx_min((size_t) (last - p), ctx->split);

            b = ngx_calloc_buf(r->pool);
            cl = ngx_alloc_chain_link(r->pool);

            if (b == NULL || cl == NULL) {
                ngx_http_finalize_request(r, NGX_ERROR);
                return;
            }

            b->pos = p;
            b->last = p + n;
            b->memory = 1;
            cl->buf = b;
            cl->next = NULL;
            *ll = cl;
            ll = &cl->next;
        }
    }

    ngx_http_finalize_request(r, ngx_http_ai_redis_test_run(ctx));
}


static void
ngx_http_ai_redis_test_arg(ngx_http_ai_redis_test_ctx_t *ctx, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_int_t  n;

    if (name->len == 1 && name->data[0] == 'a'
        && ctx->argc < NGX_HTTP_AI_REDIS_TEST_ARGS)
    {
        ctx->argv[ctx->argc++] = *value;
        return;
    }

    if (name->len == 1 && name->data[0] == 'k'
        && ctx->nkeys < NGX_HTTP_AI_REDIS_TEST_ARGS)
    {
        ctx->keys[ctx->nkeys++] = *value;
        return;
    }

    n = ngx_atoi(value->data, value->len);

    switch (name->data[0]) {
    case 'c': ctx->which = n; break;
    case 'n': ctx->n = n; break;
    case 'i': ctx->at = n; break;
    case 'p': ctx->split = n; break;
    case 's': ctx->script = n; ctx->eval = 1; break;
    case 'x': ctx->cancel = n; break;
    case 'f': ctx->forget = n; break;
    case 't': ctx->timeout = n; break;
    }
}


static ngx_int_t
ngx_http_ai_redis_test_info(ngx_http_request_t *r)
{
    u_char                    *p, *last, *text;
    ngx_uint_t                 i;
    ngx_http_ai_redis_info_t   info;

    text = ngx_pnalloc(r->pool, 4096);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = text;
    last = text + 4096;

    for (i = 0; i < NGX_HTTP_AI_REDIS_CONNS; i++) {
        ngx_http_ai_redis_info(ngx_http_ai_redis_test_redis, i, &info);

        p = ngx_slprintf(p, last, "%s: state=%s ready=%ui since=%M "
                         "address=%V rtt=%ui failures=%ui pending=%ui "
                         "out=%uz connects=%uL commands=%uL errors=%uL "
                         "timeouts=%uL refused=%uL in=%uL written=%uL "
                         "error=%V\n",
                         info.name, info.state_name,
                         ngx_http_ai_redis_ready(ngx_http_ai_redis_test_redis,
                                                 i),
                         info.since, &info.address, info.rtt_usec,
                         info.failures, info.pending, info.out_bytes,
                         info.connects, info.commands, info.errors,
                         info.timeouts, info.refused, info.bytes_in,
                         info.bytes_out, &info.error);
    }

    p = ngx_slprintf(p, last, "heard=%M\n",
                     ngx_http_ai_redis_heard(ngx_http_ai_redis_test_redis));

    return ngx_http_ai_redis_test_send(r, text, p);
}


static ngx_int_t
ngx_http_ai_redis_test_list(ngx_http_request_t *r)
{
    u_char      *p, *text;
    size_t       len;
    ngx_uint_t   i, n;
    ngx_str_t   *events = ngx_http_ai_redis_test_events;

    n = ngx_min(ngx_http_ai_redis_test_nevents, NGX_HTTP_AI_REDIS_TEST_EVENTS);
    len = 0;

    for (i = 0; i < n; i++) {
        len += events[i].len + 1;
    }

    text = ngx_pnalloc(r->pool, len + 1);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = text;

    for (i = 0; i < n; i++) {
        p = ngx_cpymem(p, events[i].data, events[i].len);
        *p++ = LF;
    }

    return ngx_http_ai_redis_test_send(r, text, p);
}


static ngx_int_t
ngx_http_ai_redis_test_handler(ngx_http_request_t *r)
{
    u_char                        *p, *last, *end, *src, *dst;
    ngx_int_t                      rc;
    ngx_str_t                      name, value;
    ngx_http_cleanup_t            *cln;
    ngx_http_ai_redis_test_ctx_t  *ctx;

    if (r->uri.len == 5 && ngx_strncmp(r->uri.data, "/info", 5) == 0) {
        return ngx_http_ai_redis_test_info(r);
    }

    if (r->uri.len == 7 && ngx_strncmp(r->uri.data, "/events", 7) == 0) {
        return ngx_http_ai_redis_test_list(r);
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_ai_redis_test_ctx_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (ctx == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_ai_redis_test_module);

    ctx->request = r;
    ctx->n = 1;
    ctx->split = 1 << 30;

    p = r->args.data;
    last = p + r->args.len;

    for ( /* void */ ; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, '&');
        end = end ? end : last;

        name.data = p;
        name.len = 1;
        value.data = p + 2;

        src = p + 2;
        dst = p + 2;
        ngx_unescape_uri(&dst, &src, end - src, NGX_UNESCAPE_URI);
        value.len = dst - value.data;

        ngx_http_ai_redis_test_arg(ctx, &name, &value);
    }

    ctx->text = ngx_pnalloc(r->pool, NGX_HTTP_AI_REDIS_TEST_TEXT);
    ctx->cmds = ngx_pcalloc(r->pool,
                            ctx->n * sizeof(ngx_http_ai_redis_cmd_t));

    if (ctx->text == NULL || ctx->cmds == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->last = ctx->text;

    cln->handler = ngx_http_ai_redis_test_cleanup;
    cln->data = ctx;

    if (ctx->at == 0) {
        return ngx_http_ai_redis_test_run(ctx);
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_ai_redis_test_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static char *
ngx_http_ai_redis_test(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    (void) cmd;
    (void) conf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_ai_redis_test_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_ai_redis_test_server(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_redis_test_conf_t  *rtcf = conf;

    (void) cmd;

    return ngx_http_ai_redis_parse(cf, &rtcf->redis);
}


static void *
ngx_http_ai_redis_test_create_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_ai_redis_test_conf_t));
}


static ngx_int_t
ngx_http_ai_redis_test_init(ngx_cycle_t *cycle)
{
    ngx_http_ai_redis_test_conf_t  *rtcf;

    rtcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_ai_redis_test_module);

    if (rtcf == NULL || !rtcf->redis.set) {
        return NGX_OK;
    }

    ngx_str_set(&rtcf->hooks.name, "test");
    rtcf->hooks.channels = ngx_http_ai_redis_test_channels;
    rtcf->hooks.nchannels = 2;
    rtcf->hooks.handshake = ngx_http_ai_redis_test_handshake;
    rtcf->hooks.message = ngx_http_ai_redis_test_message;
    rtcf->hooks.subscribed = ngx_http_ai_redis_test_subscribed;
    rtcf->hooks.lost = ngx_http_ai_redis_test_lost;

    ngx_http_ai_redis_test_redis = ngx_http_ai_redis_start(cycle, &rtcf->redis,
                                                           &rtcf->hooks);

    return NGX_OK;
}


static void
ngx_http_ai_redis_test_exit(ngx_cycle_t *cycle)
{
    ngx_uint_t  i;

    (void) cycle;

    ngx_http_ai_redis_stop(ngx_http_ai_redis_test_redis);
    ngx_http_ai_redis_test_redis = NULL;

    for (i = 0; i < NGX_HTTP_AI_REDIS_TEST_EVENTS; i++) {
        if (ngx_http_ai_redis_test_events[i].data) {
            ngx_free(ngx_http_ai_redis_test_events[i].data);
            ngx_http_ai_redis_test_events[i].data = NULL;
        }
    }
}
