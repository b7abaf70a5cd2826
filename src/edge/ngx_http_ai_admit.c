/*
 * The job goes to the queue: its body, the script's decision, and what becomes
 * of it when Redis is slow, full or away.
 * The body stays the request's until Redis has answered.
 */

#include "ngx_http_ai_admit.h"
#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_limit.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_models.h"
#include "ngx_http_ai_recheck.h"
#include "ngx_http_ai_steps.h"
#include "ngx_http_ai_store.h"
#include "ngx_http_ai_stream.h"


/* Bodies up to this go through the script, up to the other in front of it,
 * larger ones in pieces before it. */
#define NGX_HTTP_AI_ADMIT_INLINE    8192
#define NGX_HTTP_AI_ADMIT_BULK      (256 * 1024)
#define NGX_HTTP_AI_ADMIT_BODY_TTL  "600000"
/* For the bell to work, and between two attempts after a lost reply. */
#define NGX_HTTP_AI_ADMIT_READY     1000
#define NGX_HTTP_AI_ADMIT_AGAIN     100
/* Times the body may have gone from Redis before it was admitted. */
#define NGX_HTTP_AI_ADMIT_BODIES    2


static void ngx_http_ai_admit_answer(ngx_http_request_t *r, const char *cause,
    ngx_uint_t status, time_t retry_after);
static void ngx_http_ai_admit_open(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);
static ngx_int_t ngx_http_ai_admit_ids(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);
static void ngx_http_ai_admit_stored(ngx_http_ai_open_t *open, ngx_int_t rc);
static void ngx_http_ai_admit_body_done(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static ngx_uint_t ngx_http_ai_admit_body(ngx_http_ai_open_t *open,
    ngx_http_ai_redis_cmd_t *cmd);
static void ngx_http_ai_admit_call(ngx_http_ai_open_t *open);
static void ngx_http_ai_admit_number(ngx_str_t *s, u_char *buf, uint64_t n);
static void ngx_http_ai_admit_done(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_admit_admitted(ngx_http_ai_open_t *open);
static void ngx_http_ai_admit_unknown(ngx_http_ai_open_t *open);
static void ngx_http_ai_admit_unstarted(ngx_http_ai_open_t *open);
static void ngx_http_ai_admit_cancelled(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);


ngx_str_t  ngx_http_ai_admit_unpriced = ngx_string(
    "The model has no price, and there is a budget to keep to.");


void
ngx_http_ai_admit(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (ngx_http_ai_is_state(ctx)) {

        if (ngx_http_ai_admit_ids(r, ctx) != NGX_OK) {
            ngx_http_ai_admit_answer(r, "internal", 0, -1);
            return;
        }

        ngx_http_ai_admit_open(r, ctx);
        return;
    }

    if (ngx_http_ai_model_allowed(ctx->principal, &ctx->model) != NGX_OK) {
        ngx_http_ai_admit_answer(r, "model_not_allowed", 0, -1);
        return;
    }

    if (ngx_http_ai_model_known(ngx_http_ai_edge->amcf, &ctx->model)
        != NGX_OK)
    {
        ngx_http_ai_admit_answer(r, "model_not_found", 0, -1);
        return;
    }

    if (ngx_http_ai_cache_begin(r, ctx) == NGX_DONE) {
        return;
    }

    if (ngx_http_ai_admit_ids(r, ctx) != NGX_OK) {
        ngx_http_ai_admit_answer(r, "internal", 0, -1);
        return;
    }

    rc = ngx_http_ai_limit_find(r, ctx);

    if (rc == NGX_DECLINED) {
        ngx_http_finalize_request(r,
                     ngx_http_ai_error_send(r, "model_not_allowed",
                                            &ngx_http_ai_admit_unpriced, 0,
                                            -1));
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_ai_admit_answer(r, "internal", 0, -1);
        return;
    }

    ngx_http_ai_admit_open(r, ctx);
}


static void
ngx_http_ai_admit_open(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_ai_open_t  *open;

    rc = ngx_http_ai_open(r, ctx);

    if (rc != NGX_OK) {
        ngx_http_ai_admit_answer(r, rc == NGX_BUSY ? "unavailable"
                                                   : "internal", 0, -1);
        return;
    }

    open = ctx->open;

    open->sse = ctx->stream && !ctx->background;
    open->ids = ctx->resumable;
    open->deadline = ngx_current_msec + open->conf->queue_timeout;

    ngx_http_ai_open_listen(open);
    ngx_http_ai_stream_wait(open);

    if (ngx_http_ai_edge_ready()) {
        ngx_http_ai_admit_again(open);
        return;
    }

    /* the timer looks whether it has become so */

    open->stage = NGX_HTTP_AI_SUBSCRIBING;
    open->heard = ngx_current_msec;
}


static void
ngx_http_ai_admit_answer(ngx_http_request_t *r, const char *cause,
    ngx_uint_t status, time_t retry_after)
{
    ngx_http_finalize_request(r,
                    ngx_http_ai_error_send(r, cause, NULL, status,
                                           retry_after));
}


static ngx_int_t
ngx_http_ai_admit_ids(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_table_elt_t  *h;

    static ngx_str_t  name = ngx_string("traceparent");

    h = ngx_http_ai_header(r, &name);

    if (h != NULL && ai_id_traceparent_ok(ngx_http_ai_str(&h->value))) {
        ctx->traceparent = h->value;

    } else {
        ctx->traceparent.data = ngx_pnalloc(r->pool, 55);
        ctx->traceparent.len = 55;

        if (ctx->traceparent.data == NULL
            || ai_id_traceparent((char *) ctx->traceparent.data) != 0)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_ai_make_job(r, ctx);
}


void
ngx_http_ai_admit_again(ngx_http_ai_open_t *open)
{
    ngx_http_ai_ctx_t        *ctx;
    ngx_http_ai_redis_cmd_t  *cmd;

    ctx = open->ctx;

    open->stage = NGX_HTTP_AI_ADMITTING;
    open->retry = 0;

    if (ctx->body_len <= NGX_HTTP_AI_ADMIT_INLINE) {
        ngx_http_ai_admit_call(open);
        return;
    }

    open->pieces = 0;

    if (ctx->body_len > NGX_HTTP_AI_ADMIT_BULK) {

        if (ngx_http_ai_store(open, ngx_http_ai_admit_stored) != NGX_OK) {
            ngx_http_ai_stream_redis_error(open);
        }

        return;
    }

    /* The one of an earlier try may still be under way. */

    cmd = &open->set;
    ngx_http_ai_redis_cancel(cmd);
    ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));
    cmd->handler = ngx_http_ai_admit_body_done;

    if (ngx_http_ai_admit_body(open, cmd) != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_stream_redis_error(open);
        return;
    }

    ngx_http_ai_admit_call(open);
}


static ngx_uint_t
ngx_http_ai_admit_body(ngx_http_ai_open_t *open,
    ngx_http_ai_redis_cmd_t *cmd)
{
    char       key[AI_KEY_MAX];
    ngx_str_t  argv[4];

    ngx_str_set(&argv[0], "SET");
    ngx_http_ai_edge_key(&argv[1], key, AI_KEY_BODY, open->shard,
                         &open->ctx->job);
    ngx_str_set(&argv[2], "PX");
    ngx_str_set(&argv[3], NGX_HTTP_AI_ADMIT_BODY_TTL);

    cmd->data = open;

    return ngx_http_ai_redis_command_body(ngx_http_ai_edge->redis,
                                          NGX_HTTP_AI_REDIS_COMMANDS, cmd,
                                          argv, 4, open->ctx->body, 2);
}


static void
ngx_http_ai_admit_stored(ngx_http_ai_open_t *open, ngx_int_t rc)
{
    switch (rc) {

    case NGX_OK:
    case NGX_DONE:
        ngx_http_ai_admit_call(open);
        return;

    case NGX_DECLINED:
        ngx_http_ai_stream_fail(open, "memory", 0, -1);
        return;

    default:
        ngx_http_ai_stream_redis_error(open);
    }
}


/* Whether it was kept is what admit says. */

static void
ngx_http_ai_admit_body_done(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_open_t *open = cmd->data;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_log_error(NGX_LOG_WARN, open->request->connection->log, 0,
                      "ai: the body of job \"%V\" of tenant \"%V\" was not "
                      "kept by Redis", &open->ctx->job, &open->tenant);
    }
}


static void
ngx_http_ai_admit_call(ngx_http_ai_open_t *open)
{
    char                      prefix[AI_KEY_MAX];
    u_char                    flags[4], *p;
    u_char                    numbers[6][NGX_INT64_LEN];
    u_char                    large[NGX_INT64_LEN + 1];
    u_char                    share[NGX_HTTP_AI_CACHE_SHARE];
    ngx_str_t                 key, argv[18];
    ngx_uint_t                status;
    ngx_http_ai_ctx_t        *ctx;
    ngx_http_ai_loc_conf_t   *conf;
    ngx_http_ai_redis_cmd_t  *cmd;

    ctx = open->ctx;
    conf = open->conf;
    cmd = &open->cmd;

    if (ngx_http_ai_spec(open, &argv[8], &argv[10]) != NGX_OK) {
        ngx_http_ai_stream_fail(open, "bad_request", 0, -1);
        return;
    }

    p = flags;

    if (ctx->resumable || (ctx->stored && ctx->stream)) {
        *p++ = 'r';
    }

    if (ctx->background || ctx->lasting) {
        *p++ = 'b';
    }

    if (conf->on_disconnect == NGX_HTTP_AI_DISCONNECT_CONTINUE) {
        *p++ = 'c';
    }

    if (ctx->stream) {
        *p++ = 's';
    }

    ngx_http_ai_edge_prefix(&key, prefix, open->shard);

    argv[0] = ctx->job;
    argv[1] = open->tenant;
    ngx_http_ai_admit_number(&argv[2], numbers[5],
                             ngx_http_ai_weight(ngx_http_ai_edge->amcf,
                                                ctx->principal));

    if (ctx->batch) {
        ngx_str_set(&argv[3], "batch");

    } else {
        ngx_str_set(&argv[3], "interactive");
    }

    argv[4].data = flags;
    argv[4].len = p - flags;
    ngx_http_ai_admit_number(&argv[5], numbers[0], conf->resume);
    ngx_http_ai_admit_number(&argv[6], numbers[1], conf->result_ttl);

    if (ctx->background) {
        ngx_str_null(&argv[7]);

    } else {
        argv[7] = ngx_http_ai_edge->id;
    }

    if (open->pieces) {
        argv[9].data = large;
        argv[9].len = ngx_sprintf(large, "@%ui", open->pieces) - large;

    } else if (ctx->body_len > NGX_HTTP_AI_ADMIT_INLINE) {
        ngx_str_set(&argv[9], "@");

    } else {
        argv[9].data = ctx->body->buf->pos;
        argv[9].len = ctx->body_len;
    }

    ngx_http_ai_admit_number(&argv[11], numbers[2], conf->backlog_jobs);
    ngx_http_ai_admit_number(&argv[12], numbers[3], conf->backlog_bytes);
    ngx_http_ai_admit_number(&argv[13], numbers[4], ctx->body_len);

    if (ngx_http_ai_tenant_versioned(ctx, &argv[14], &argv[15]) != NGX_OK) {
        ngx_http_ai_stream_fail(open, "internal", 0, -1);
        return;
    }

    if (ctx->limits != NULL) {
        argv[16] = ctx->limits->policy;

    } else {
        ngx_str_null(&argv[16]);
    }

    ngx_http_ai_cache_share(open, share, &argv[17]);

    ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));

    cmd->handler = ngx_http_ai_admit_done;
    cmd->data = open;

    status = ngx_http_ai_redis_eval(ngx_http_ai_edge->redis, cmd,
                                    AI_SCRIPT_ADMIT, &key, 1, argv, 18);

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_admit_unknown(open);
        return;
    }

    open->bulk = 0;

    if (!ctx->background) {
        open->listening = 1;
        open->unsure = 1;
    }
}


static void
ngx_http_ai_admit_number(ngx_str_t *s, u_char *buf, uint64_t n)
{
    s->data = buf;
    s->len = ngx_sprintf(buf, "%uL", n) - buf;
}


static void
ngx_http_ai_admit_done(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_open_t *open = cmd->data;

    int64_t   n;
    time_t    retry;
    ai_str_t  word;

    if (status == NGX_HTTP_AI_REDIS_TIMEOUT
        || status == NGX_HTTP_AI_REDIS_CLOSED
        || status == NGX_HTTP_AI_REDIS_FULL)
    {
        ngx_http_ai_admit_unknown(open);
        return;
    }

    if (status == NGX_HTTP_AI_REDIS_ERROR) {

        /* It says nothing of an earlier one. */

        if (!open->lost) {
            open->listening = 0;
            open->unsure = 0;
        }

        if (cmd->error == NGX_HTTP_AI_REDIS_E_OOM) {
            ngx_http_ai_stream_fail(open, "memory", 0, -1);
            return;
        }

        ngx_log_error(NGX_LOG_ERR, open->request->connection->log, 0,
                      "ai: Redis refused job \"%V\" of tenant \"%V\": %*s",
                      &open->ctx->job, &open->tenant, reply->len, reply->str);
        ngx_http_ai_stream_redis_error(open);
        return;
    }

    open->unsure = 0;

    word = ngx_http_ai_reply_str(reply, 0);

    if (ai_str_eqz(word, "OK")) {
        ngx_http_ai_limit_passed(open, reply, 3);
        ngx_http_ai_admit_admitted(open);
        return;
    }

    if (ai_str_eqz(word, "JOIN")) {
        ngx_http_ai_cache_joined(open, reply);
        return;
    }

    if (ai_str_eqz(word, "HIT")) {
        ngx_http_ai_cache_hit(open, reply);
        return;
    }

    open->listening = 0;
    retry = -1;

    if (ai_str_int(ngx_http_ai_reply_str(reply, 1), &n) == 0 && n > 0) {
        retry = n;
    }

    if (ai_str_eqz(word, "LIMIT")) {
        ngx_http_ai_limit_refused(open, reply);

    } else if (ai_str_eqz(word, "SEED")) {
        ngx_http_ai_recheck_counters(open, ngx_http_ai_reply_str(reply, 1));

    } else if (ai_str_eqz(word, "FULL")) {
        ngx_http_ai_stream_fail(open, "queue_full", 0, retry);

    } else if (ai_str_eqz(word, "PRESSURE")) {
        ngx_http_ai_stream_fail(open, "memory", 0, retry);

    } else if (ai_str_eqz(word, "STALE")) {
        ngx_http_ai_recheck_principal(open);

    } else if (ai_str_eqz(word, "NOBODY")
               && ++open->bodies < NGX_HTTP_AI_ADMIT_BODIES)
    {
        ngx_http_ai_admit_again(open);

    } else {
        ngx_http_ai_stream_redis_error(open);
    }
}


static void
ngx_http_ai_admit_admitted(ngx_http_ai_open_t *open)
{
    ngx_connection_t    *c;
    ngx_http_ai_ctx_t   *ctx;
    ngx_http_request_t  *r;

    ctx = open->ctx;
    r = open->request;
    c = r->connection;

    ctx->admitted = ngx_http_ai_usec();
    open->stage = NGX_HTTP_AI_LISTENING;
    open->heard = ngx_current_msec;

    ngx_http_ai_body_free(ctx);

    if (ctx->background) {
        ngx_http_ai_open_close(open);

        if (ctx->op == NGX_HTTP_AI_OP_RESPONSES) {
            ngx_http_ai_state_queued(r, ctx);

        } else {
            ngx_http_ai_job_show(r, ctx, NGX_HTTP_ACCEPTED);
        }

        ngx_http_run_posted_requests(c);
        return;
    }

    ngx_http_ai_stream_timer(open, 1);
}


/*
 * No reply: the job may be there or not.  Asking again is safe, under the same
 * id; what was never sent is not worth a wait.
 */

static void
ngx_http_ai_admit_unknown(ngx_http_ai_open_t *open)
{
    ngx_http_ai_count(redis_errors);

    if (open->cmd.sent) {
        open->lost = 1;
    }

    if (!open->lost && !open->unsure) {
        open->listening = 0;
        ngx_http_ai_stream_redis_error(open);
        return;
    }

    if (open->started) {
        /* events have come: it is there */
        open->unsure = 0;
        ngx_http_ai_admit_admitted(open);
        return;
    }

    open->retry = 1;
    ngx_http_ai_stream_timer(open, NGX_HTTP_AI_ADMIT_AGAIN);
}


ngx_msec_t
ngx_http_ai_admit_tick(ngx_http_ai_open_t *open)
{
    ngx_uint_t  late;

    if (open->ended || open->cause != NULL) {
        return 0;
    }

    late = (ngx_msec_int_t) (ngx_current_msec - open->deadline) >= 0;

    switch (open->stage) {

    case NGX_HTTP_AI_SUBSCRIBING:

        if (ngx_http_ai_edge_ready()) {
            ngx_http_ai_admit_again(open);
            return NGX_HTTP_AI_ADMIT_AGAIN;
        }

        if (late
            || ngx_current_msec - open->heard >= NGX_HTTP_AI_ADMIT_READY)
        {
            ngx_http_ai_stream_redis_error(open);
            return 0;
        }

        return NGX_HTTP_AI_ADMIT_AGAIN;

    case NGX_HTTP_AI_ADMITTING:

        if (open->seed.waiter.waiting) {

            if (late) {
                ngx_http_ai_seed_cancel(&open->seed);
                ngx_http_ai_recheck_unseeded(open);
                return 0;
            }

            return open->deadline - ngx_current_msec;
        }

        if (!open->retry) {
            return 0;
        }

        if (late) {
            ngx_http_ai_stream_redis_error(open);
            return 0;
        }

        if (ngx_http_ai_edge_ready()) {
            ngx_http_ai_admit_again(open);
        }

        return NGX_HTTP_AI_ADMIT_AGAIN;

    case NGX_HTTP_AI_LISTENING:

        if (open->started || open->joined
            || ngx_http_ai_redis_pending(&open->cmd))
        {
            return 0;
        }

        if (late) {
            ngx_http_ai_admit_unstarted(open);
            return 0;
        }

        return open->deadline - ngx_current_msec;
    }

    return 0;
}


/* It waited for a worker as long as it may: gone, unless it has begun. */

static void
ngx_http_ai_admit_unstarted(ngx_http_ai_open_t *open)
{
    char                      prefix[AI_KEY_MAX];
    ngx_str_t                 key, argv[6];
    ngx_http_ai_redis_cmd_t  *cmd;

    ngx_http_ai_edge_prefix(&key, prefix, open->shard);

    argv[0] = open->ctx->job;
    argv[1] = open->tenant;
    ngx_str_set(&argv[2], "timeout");

    if (ngx_http_ai_open_shared(open)) {
        ngx_str_set(&argv[3], "shared");

    } else {
        ngx_str_set(&argv[3], "unstarted");
    }

    ngx_str_set(&argv[4], "queue_timeout");
    argv[5] = ngx_http_ai_edge->id;

    cmd = &open->cmd;
    ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));

    cmd->handler = ngx_http_ai_admit_cancelled;
    cmd->data = open;

    if (ngx_http_ai_redis_eval(ngx_http_ai_edge->redis, cmd,
                               AI_SCRIPT_CANCEL, &key, 1, argv, 6)
        != NGX_HTTP_AI_REDIS_OK)
    {
        ngx_http_ai_stream_redis_error(open);
    }
}


static void
ngx_http_ai_admit_cancelled(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_open_t *open = cmd->data;

    ai_str_t  word;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_stream_redis_error(open);
        return;
    }

    if (open->ended || open->cause != NULL) {
        return;
    }

    word = ngx_http_ai_reply_str(reply, 0);

    if (ai_str_eqz(word, "CANCELLED")) {
        open->ended = 1;
        ngx_http_ai_stream_fail(open, "queue_timeout", 0, -1);
        return;
    }

    /* It goes on for those who came later. */

    if (ai_str_eqz(word, "SHARED")) {
        ngx_http_ai_stream_fail(open, "queue_timeout", 0, -1);
        return;
    }

    /* It runs, or has ended: what it says counts. */

    open->started = 1;
    ngx_http_ai_events_read(open);
}
