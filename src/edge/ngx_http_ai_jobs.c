/*
 * GET /v1/jobs/{id}, its events, its cancel.
 * A job of another tenant looks like one that is not there.
 */

#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_job.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_steps.h"
#include "ngx_http_ai_stream.h"


static ngx_int_t ngx_http_ai_jobs_events(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);
static ngx_int_t ngx_http_ai_jobs_after(ngx_http_request_t *r,
    ai_event_id_t *id);
static void ngx_http_ai_jobs_joined(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);


ngx_int_t
ngx_http_ai_job_handler(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    if (!ai_id_job_ok(ngx_http_ai_str(&ctx->id))) {
        return ngx_http_ai_error_send(r, "not_found", NULL, 0, -1);
    }

    ctx->job = ctx->id;

    if (ctx->op == NGX_HTTP_AI_OP_EVENTS) {
        return ngx_http_ai_jobs_events(r, ctx);
    }

    r->main->count++;

    if (ctx->op == NGX_HTTP_AI_OP_CANCEL) {
        ngx_http_ai_job_cancel(r, ctx);

    } else {
        ngx_http_ai_job_show(r, ctx, NGX_HTTP_OK);
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_ai_jobs_events(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_str_t  message;

    if (ngx_http_ai_jobs_after(r, &ctx->last) != NGX_OK) {
        ngx_str_set(&message, "Last-Event-ID is none that was sent.");
        return ngx_http_ai_error_send(r, "bad_request", &message, 0, -1);
    }

    return ngx_http_ai_jobs_follow(r, ctx, -1);
}


ngx_int_t
ngx_http_ai_jobs_follow(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    int64_t after)
{
    char                      prefix[AI_KEY_MAX];
    ngx_int_t                 rc;
    ngx_str_t                 key, argv[4];
    ngx_http_ai_open_t       *open;
    ngx_http_ai_redis_cmd_t  *cmd;

    rc = ngx_http_ai_open(r, ctx);

    if (rc != NGX_OK) {
        return ngx_http_ai_error_send(r, rc == NGX_BUSY ? "unavailable"
                                                        : "internal",
                                      NULL, 0, -1);
    }

    r->main->count++;

    open = ctx->open;

    open->stage = NGX_HTTP_AI_ADMITTING;
    open->joined = 1;
    open->sse = 1;
    open->from = after + 1;

    ngx_http_ai_open_listen(open);
    ngx_http_ai_stream_wait(open);

    ngx_http_ai_edge_prefix(&key, prefix, open->shard);

    argv[0] = ctx->job;
    argv[1] = open->tenant;
    argv[2] = ngx_http_ai_edge->id;
    argv[3] = ngx_http_ai_job_user(ctx->principal);

    cmd = &open->cmd;
    cmd->handler = ngx_http_ai_jobs_joined;
    cmd->data = open;

    if (ngx_http_ai_redis_eval(ngx_http_ai_edge->redis, cmd, AI_SCRIPT_JOIN,
                               &key, 1, argv, 4)
        != NGX_HTTP_AI_REDIS_OK)
    {
        ngx_http_ai_stream_redis_error(open);
        return NGX_DONE;
    }

    open->listening = 1;

    return NGX_DONE;
}


/* What the client has: the header, else the argument; 0-0 for nothing. */

static ngx_int_t
ngx_http_ai_jobs_after(ngx_http_request_t *r, ai_event_id_t *id)
{
    ngx_str_t         value;
    ngx_table_elt_t  *h;

    static ngx_str_t  name = ngx_string("last-event-id");

    ngx_memzero(id, sizeof(ai_event_id_t));

    h = ngx_http_ai_header(r, &name);

    if (h != NULL) {
        value = h->value;

    } else if (ngx_http_arg(r, (u_char *) "last_event_id",
                            sizeof("last_event_id") - 1, &value)
               != NGX_OK)
    {
        return NGX_OK;
    }

    if (value.len == 0) {
        return NGX_OK;
    }

    return ai_id_event_parse(ngx_http_ai_str(&value), id) == 0 ? NGX_OK
                                                               : NGX_DECLINED;
}


static void
ngx_http_ai_jobs_joined(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_open_t *open = cmd->data;

    int       dialect;
    ai_str_t  word, state, flags;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_stream_redis_error(open);
        return;
    }

    word = ngx_http_ai_reply_str(reply, 0);

    if (!ai_str_eqz(word, "OK")) {
        open->listening = 0;
        ngx_http_ai_stream_fail(open, ai_str_eqz(word, "FULL") ? "unavailable"
                                      : ngx_http_ai_job_gone(&open->ctx->job),
                                0, -1);
        return;
    }

    state = ngx_http_ai_reply_str(reply, 1);
    flags = ngx_http_ai_reply_str(reply, 4);

    /* Only of a response that is stored the events can be read again. */

    if (open->ctx->op == NGX_HTTP_AI_OP_RESPONSE
        && (!ai_str_eqz(ngx_http_ai_reply_str(reply, 8), "responses")
            || memchr(flags.data, 's', flags.len) == NULL
            || (memchr(flags.data, 'r', flags.len) == NULL
                && memchr(flags.data, 'b', flags.len) == NULL)))
    {
        ngx_http_ai_stream_fail(open, "not_found", 0, -1);
        return;
    }

    /* Who reads the events reads them as they were asked for. */

    dialect = ai_dialect_find(ngx_http_ai_reply_str(reply, 8));

    if (dialect >= 0) {
        open->ctx->dialect = dialect;
    }

    /* Of others, an event of the log may be several of the stream: an id would
     * promise more than it keeps. */

    open->ids = open->ctx->op != NGX_HTTP_AI_OP_RESPONSE
                && (memchr(flags.data, 'r', flags.len) != NULL
                    || memchr(flags.data, 'b', flags.len) != NULL);

    if (!ai_str_eqz(state, "running") && !ai_str_eqz(state, "waiting"))
    {
        open->listening = 0;
    }

    /* Behind the head it is not seen again. */

    if (open->ctx->last.seq) {
        open->mode = flags.len && ngx_strlchr((u_char *) flags.data,
                                              (u_char *) flags.data
                                              + flags.len, 's')
                     ? NGX_HTTP_AI_SSE : NGX_HTTP_AI_WRAP;
        open->status = NGX_HTTP_OK;
        open->behind = 1;
    }

    ngx_http_ai_count(resumed);

    open->stage = NGX_HTTP_AI_LISTENING;
    open->started = 1;
    open->early = 1;

    ngx_http_ai_events_read(open);
    ngx_http_ai_stream_post(open);
}
