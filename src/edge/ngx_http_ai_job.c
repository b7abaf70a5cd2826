/*
 * A job as JSON: read from its hash and, once it has ended, from its log.
 * What is read lies in the request's pool; the request is held by a timer of
 * its own.
 */

#include "ngx_http_ai_job.h"
#include "ngx_http_ai_limit.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_steps.h"
#include "ngx_http_ai_stream.h"
#include "ai_job.h"
#include "ai_role.h"
#include "ai_usage.h"


/* Longer than all the commands together may take. */
#define NGX_HTTP_AI_JOB_TIMEOUT  10000
/* What stands around a result. */
#define NGX_HTTP_AI_JOB_TEXT     8192


typedef struct {
    ngx_http_request_t         *request;
    ngx_http_ai_ctx_t          *ctx;
    ngx_uint_t                  status;       /* of our answer */
    ngx_uint_t                  shard;
    ngx_http_ai_redis_cmd_t     cmd;
    ngx_event_t                 timer;
    ngx_http_ai_job_t           job;
    ai_event_id_t               last;
    u_char                     *body;
    size_t                      len;
    size_t                      size;
    unsigned                    large:1;
    unsigned                    tail:1;       /* of the log only its last */
} ngx_http_ai_show_t;


static ngx_http_ai_show_t *ngx_http_ai_job_begin(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_uint_t status);
static void ngx_http_ai_job_cancelled(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_job_read(ngx_http_ai_show_t *show);
static void ngx_http_ai_job_read_done(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static ai_str_t ngx_http_ai_job_copy(ngx_pool_t *pool, ai_str_t s);
static void ngx_http_ai_job_whole(ngx_http_ai_show_t *show, ai_str_t log);
static void ngx_http_ai_job_log(ngx_http_ai_show_t *show);
static void ngx_http_ai_job_log_done(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static ngx_int_t ngx_http_ai_job_event(ngx_http_ai_show_t *show,
    ai_event_t *ev);
static void ngx_http_ai_job_answer(ngx_http_ai_show_t *show);
static void ngx_http_ai_job_fail(ngx_http_ai_show_t *show,
    const char *cause);
static void ngx_http_ai_job_end(ngx_http_ai_show_t *show, ngx_int_t rc);
static void ngx_http_ai_job_timeout(ngx_event_t *ev);
static void ngx_http_ai_job_cleanup(void *data);
static void ngx_http_ai_job_member(ai_buf_t *b, const char *name, int64_t n);
static void ngx_http_ai_job_text(ai_buf_t *b, const char *name, ai_str_t s);
static void ngx_http_ai_job_usage(ai_buf_t *b, ai_str_t line);


void
ngx_http_ai_job_show(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_uint_t status)
{
    ngx_http_ai_show_t  *show;

    show = ngx_http_ai_job_begin(r, ctx, status);

    if (show != NULL) {
        ngx_http_ai_job_read(show);
    }
}


void
ngx_http_ai_job_cancel(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    char                 prefix[AI_KEY_MAX];
    ngx_str_t            key, argv[7];
    ngx_http_ai_show_t  *show;

    show = ngx_http_ai_job_begin(r, ctx, NGX_HTTP_OK);

    if (show == NULL) {
        return;
    }

    ngx_http_ai_edge_prefix(&key, prefix, show->shard);

    argv[0] = ctx->job;
    argv[1] = ctx->principal->tenant;
    ngx_str_set(&argv[2], "client");
    ngx_str_set(&argv[3], "now");
    ngx_str_set(&argv[4], "cancelled");
    ngx_str_null(&argv[5]);
    argv[6] = ngx_http_ai_job_user(ctx->principal);

    show->cmd.handler = ngx_http_ai_job_cancelled;
    show->cmd.data = show;

    if (ngx_http_ai_redis_eval(ngx_http_ai_edge->redis, &show->cmd,
                               AI_SCRIPT_CANCEL, &key, 1, argv, 7)
        != NGX_HTTP_AI_REDIS_OK)
    {
        ngx_http_ai_job_fail(show, "unavailable");
    }
}


ngx_str_t
ngx_http_ai_job_user(ngx_http_ai_principal_t *p)
{
    ngx_str_t  all = ngx_null_string;

    switch (ai_role_find(ngx_http_ai_str(&p->role))) {

    case AI_ROLE_TENANT_ADMIN:
    case AI_ROLE_PLATFORM_ADMIN:
        return all;

    default:
        return p->user;
    }
}


const char *
ngx_http_ai_job_gone(ngx_str_t *id)
{
    uint64_t     now;
    ngx_time_t  *tp;

    tp = ngx_timeofday();
    now = (uint64_t) tp->sec * 1000 + tp->msec;

    return ai_id_job_msec(ngx_http_ai_str(id)) <= now ? "gone" : "not_found";
}


/* Holds the request; NULL: it was ended. */

static ngx_http_ai_show_t *
ngx_http_ai_job_begin(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_uint_t status)
{
    ngx_event_t         *rev;
    ngx_http_cleanup_t  *cln;
    ngx_http_ai_show_t  *show;

    rev = r->connection->read;

    show = ngx_pcalloc(r->pool, sizeof(ngx_http_ai_show_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (show == NULL || cln == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NULL;
    }

    cln->handler = ngx_http_ai_job_cleanup;
    cln->data = show;

    show->request = r;
    show->ctx = ctx;
    show->status = status;
    show->shard = ngx_http_ai_edge_shard(&ctx->principal->tenant);

    show->timer.handler = ngx_http_ai_job_timeout;
    show->timer.data = show;
    show->timer.log = r->connection->log;

    ngx_add_timer(&show->timer, NGX_HTTP_AI_JOB_TIMEOUT);

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_events);

    } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NULL;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return show;
}


static void
ngx_http_ai_job_cancelled(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_show_t *show = cmd->data;

    ngx_connection_t  *c;

    c = show->request->connection;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_job_fail(show, "unavailable");

    } else {
        ngx_http_ai_job_read(show);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_ai_job_read(ngx_http_ai_show_t *show)
{
    char       key[AI_KEY_MAX];
    ngx_str_t  argv[11];

    ngx_str_set(&argv[0], "HMGET");
    ngx_http_ai_edge_key(&argv[1], key, AI_KEY_JOB, show->shard,
                         &show->ctx->job);
    ngx_str_set(&argv[2], "tenant");
    ngx_str_set(&argv[3], "state");
    ngx_str_set(&argv[4], "spec");
    ngx_str_set(&argv[5], "at");
    ngx_str_set(&argv[6], "started");
    ngx_str_set(&argv[7], "fin");
    ngx_str_set(&argv[8], "usage");
    ngx_str_set(&argv[9], "flags");
    ngx_str_set(&argv[10], "log");

    ngx_memzero(&show->cmd, sizeof(ngx_http_ai_redis_cmd_t));

    show->cmd.handler = ngx_http_ai_job_read_done;
    show->cmd.data = show;

    if (ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                  NGX_HTTP_AI_REDIS_COMMANDS, &show->cmd,
                                  argv, 11)
        != NGX_HTTP_AI_REDIS_OK)
    {
        ngx_http_ai_job_fail(show, "unavailable");
    }
}


static void
ngx_http_ai_job_read_done(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_show_t *show = cmd->data;

    ai_job_t            spec;
    ngx_str_t           user;
    ngx_pool_t         *pool;
    ngx_connection_t   *c;
    ngx_http_ai_job_t  *job;

    c = show->request->connection;
    pool = show->request->pool;
    job = &show->job;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_job_fail(show, "unavailable");
        goto done;
    }

    user = ngx_http_ai_job_user(show->ctx->principal);

    if (!ai_str_eq(ngx_http_ai_reply_str(reply, 0),
                   ngx_http_ai_str(&show->ctx->principal->tenant))
        || ai_job_parse(ngx_http_ai_reply_str(reply, 2), &spec) != 0
        || (user.len && !ai_str_eq(spec.user, ngx_http_ai_str(&user))))
    {
        ngx_http_ai_job_fail(show, ngx_http_ai_job_gone(&show->ctx->job));
        goto done;
    }

    job->id = ngx_http_ai_str(&show->ctx->job);
    job->state = ngx_http_ai_job_copy(pool, ngx_http_ai_reply_str(reply, 1));
    job->model = ngx_http_ai_job_copy(pool, spec.model);
    (void) ai_str_int(ngx_http_ai_reply_str(reply, 3), &job->at);
    (void) ai_str_int(ngx_http_ai_reply_str(reply, 4), &job->started);
    (void) ai_str_int(ngx_http_ai_reply_str(reply, 5), &job->finished);
    job->usage = ngx_http_ai_job_copy(pool, ngx_http_ai_reply_str(reply, 6));

    /* A stream's result are its events; why it failed is in the last. */

    show->tail = spec.stream;

    if (job->finished && (!spec.stream || !ai_str_eqz(job->state, "done"))) {
        ngx_http_ai_job_whole(show, ngx_http_ai_reply_str(reply, 8));

    } else {
        ngx_http_ai_job_answer(show);
    }

done:

    ngx_http_run_posted_requests(c);
}


static ai_str_t
ngx_http_ai_job_copy(ngx_pool_t *pool, ai_str_t s)
{
    char  *p;

    p = s.len ? ngx_pnalloc(pool, s.len) : NULL;

    if (p == NULL) {
        return ai_str("");
    }

    ngx_memcpy(p, s.data, s.len);

    return (ai_str_t) { s.len, p };
}


/* An answer that ended with its first events lies in the job. */

static void
ngx_http_ai_job_whole(ngx_http_ai_show_t *show, ai_str_t log)
{
    ai_bell_t   bell;
    ai_event_t  ev;

    if (log.len == 0) {
        ngx_http_ai_job_log(show);
        return;
    }

    if (ai_bell_parse(log, &bell) == 0) {

        while (ai_event_next(&bell.frames, &ev) == 1) {

            if (ngx_http_ai_job_event(show, &ev) != NGX_OK) {
                ngx_http_ai_job_fail(show, "internal");
                return;
            }
        }
    }

    ngx_http_ai_job_answer(show);
}


static void
ngx_http_ai_job_log(ngx_http_ai_show_t *show)
{
    char       key[AI_KEY_MAX], id[AI_EVENT_ID_MAX + 1];
    ngx_str_t  argv[6];

    ngx_http_ai_edge_key(&argv[1], key, AI_KEY_EV, show->shard,
                         &show->ctx->job);
    ngx_str_set(&argv[4], "COUNT");

    if (show->tail) {
        ngx_str_set(&argv[0], "XREVRANGE");
        ngx_str_set(&argv[2], "+");
        ngx_str_set(&argv[3], "-");
        ngx_str_set(&argv[5], "1");

    } else {
        ngx_str_set(&argv[0], "XRANGE");
        id[0] = '(';
        argv[2].data = (u_char *) id;
        argv[2].len = 1 + ai_id_event_print(id + 1, sizeof(id) - 1,
                                            show->last);
        ngx_str_set(&argv[3], "+");
        ngx_str_set(&argv[5], "32");
    }

    ngx_memzero(&show->cmd, sizeof(ngx_http_ai_redis_cmd_t));

    show->cmd.handler = ngx_http_ai_job_log_done;
    show->cmd.data = show;

    if (ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                  NGX_HTTP_AI_REDIS_COMMANDS, &show->cmd,
                                  argv, 6)
        != NGX_HTTP_AI_REDIS_OK)
    {
        ngx_http_ai_job_fail(show, "unavailable");
    }
}


static void
ngx_http_ai_job_log_done(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_show_t *show = cmd->data;

    size_t             i, k, n;
    ai_str_t           id, type;
    ai_event_t         ev;
    ai_resp_t         *entry, *fields;
    ngx_connection_t  *c;

    c = show->request->connection;

    if (status != NGX_HTTP_AI_REDIS_OK || reply->type != AI_RESP_ARRAY) {
        ngx_http_ai_job_fail(show, "unavailable");
        ngx_http_run_posted_requests(c);
        return;
    }

    n = 0;

    for (i = 0; i < reply->elements; i++) {
        entry = &reply->element[i];
        id = ngx_http_ai_reply_str(entry, 0);

        if (entry->type != AI_RESP_ARRAY || entry->elements != 2
            || ai_id_event_parse(id, &ev.id) != 0)
        {
            continue;
        }

        show->last = ev.id;
        n++;

        fields = &entry->element[1];

        if (fields->type != AI_RESP_ARRAY) {
            continue;
        }

        for (k = 0; k + 1 < fields->elements; k += 2) {
            type = ngx_http_ai_reply_str(fields, k);

            ev.type = type.len ? type.data[0] : 0;
            ev.payload = ngx_http_ai_reply_str(fields, k + 1);

            if (ngx_http_ai_job_event(show, &ev) != NGX_OK) {
                ngx_http_ai_job_fail(show, "internal");
                ngx_http_run_posted_requests(c);
                return;
            }
        }
    }

    if (show->large && !show->tail) {
        show->tail = 1;
        ngx_http_ai_job_log(show);

    } else if (n == 32) {
        ngx_http_ai_job_log(show);

    } else {
        ngx_http_ai_job_answer(show);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_ai_job_event(ngx_http_ai_show_t *show, ai_event_t *ev)
{
    u_char             *p;
    size_t              size;
    ai_str_t            value;
    ngx_pool_t         *pool;
    ngx_http_ai_job_t  *job;

    pool = show->request->pool;
    job = &show->job;

    switch (ev->type) {

    case AI_EVENT_HEAD:

        /* It begins an answer; an attempt that only ends the job has none, and
         * what the one before it had is all there is. */

        show->len = 0;

        if (ai_record_get(ev->payload, "status", &value) == 1) {
            (void) ai_str_int(value, &job->status);
        }

        break;

    case AI_EVENT_DATA:
    case AI_EVENT_CONTINUE:

        if (show->tail) {
            break;
        }

        if (show->len + ev->payload.len > NGX_HTTP_AI_RESULT_MAX) {
            show->large = 1;
            return NGX_OK;
        }

        if (show->len + ev->payload.len > show->size) {
            size = ngx_max(2 * show->size, show->len + ev->payload.len);

            p = ngx_pnalloc(pool, size);
            if (p == NULL) {
                return NGX_ERROR;
            }

            if (show->body != NULL) {
                ngx_memcpy(p, show->body, show->len);
                ngx_pfree(pool, show->body);
            }

            show->body = p;
            show->size = size;
        }

        ngx_memcpy(show->body + show->len, ev->payload.data, ev->payload.len);
        show->len += ev->payload.len;
        break;

    case AI_EVENT_ERROR:

        if (ai_record_get(ev->payload, "cause", &value) == 1) {
            job->cause = ngx_http_ai_job_copy(pool, value);
        }

        if (ai_record_get(ev->payload, "message", &value) == 1) {
            job->message = ngx_http_ai_job_copy(pool, value);
        }

        break;
    }

    return NGX_OK;
}


static void
ngx_http_ai_job_answer(ngx_http_ai_show_t *show)
{
    char                *mem;
    size_t               size;
    ai_buf_t             b;
    ngx_str_t            key, value;
    ngx_http_request_t  *r;

    r = show->request;

    if (show->len && !show->large) {
        show->job.result.data = (const char *) show->body;
        show->job.result.len = show->len;
        show->job.has_result = 1;
    }

    /* As a JSON string a byte may take six. */

    size = NGX_HTTP_AI_JOB_TEXT + 6 * show->job.message.len
           + 6 * show->job.model.len;

    for ( ;; ) {
        mem = ngx_pnalloc(r->pool, size + show->job.result.len);

        if (mem == NULL) {
            ngx_http_ai_job_fail(show, "internal");
            return;
        }

        ai_buf_init(&b, mem, size + show->job.result.len);
        ngx_http_ai_job_json(&b, &show->job);

        if (!b.full) {
            break;
        }

        ngx_pfree(r->pool, mem);

        if (size > NGX_HTTP_AI_JOB_TEXT * 8 + 6 * show->job.result.len) {
            ngx_http_ai_job_fail(show, "internal");
            return;
        }

        size = NGX_HTTP_AI_JOB_TEXT * 16 + 6 * show->job.result.len;
    }

    ngx_str_set(&key, "X-AI-Job");

    if (ngx_http_ai_add_header(r, &key, &show->ctx->job) != NGX_OK
        || ngx_http_ai_limit_headers(r, show->ctx) != NGX_OK)
    {
        ngx_http_ai_job_fail(show, "internal");
        return;
    }

    if (show->status == NGX_HTTP_ACCEPTED) {
        ngx_str_set(&key, "Location");

        value.len = sizeof("/v1/jobs/") - 1 + show->ctx->job.len;
        value.data = ngx_pnalloc(r->pool, value.len);

        if (value.data == NULL) {
            ngx_http_ai_job_fail(show, "internal");
            return;
        }

        (void) ngx_sprintf(value.data, "/v1/jobs/%V", &show->ctx->job);

        if (ngx_http_ai_add_header(r, &key, &value) != NGX_OK) {
            ngx_http_ai_job_fail(show, "internal");
            return;
        }
    }

    ngx_http_ai_job_end(show, ngx_http_ai_send_json(r, show->status,
                                                    (u_char *) b.start,
                                                    ai_buf_len(&b)));
}


static void
ngx_http_ai_job_fail(ngx_http_ai_show_t *show, const char *cause)
{
    ngx_uint_t               status;
    time_t                   retry;
    ngx_http_ai_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(show->request, ngx_http_ai_module);

    status = 0;
    retry = -1;

    if (ngx_strcmp(cause, "unavailable") == 0) {
        ngx_http_ai_count(redis_errors);
        status = alcf->redis_error_status;
        retry = alcf->redis_error_retry_after;
    }

    ngx_http_ai_job_end(show, ngx_http_ai_error_send(show->request, cause,
                                                     NULL, status, retry));
}


static void
ngx_http_ai_job_end(ngx_http_ai_show_t *show, ngx_int_t rc)
{
    ngx_http_ai_job_cleanup(show);

    ngx_http_finalize_request(show->request, rc);
}


static void
ngx_http_ai_job_timeout(ngx_event_t *ev)
{
    ngx_http_ai_show_t *show = ev->data;

    ngx_connection_t  *c;

    c = show->request->connection;

    ngx_http_ai_job_fail(show, "unavailable");
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_ai_job_cleanup(void *data)
{
    ngx_http_ai_show_t *show = data;

    ngx_http_ai_redis_cancel(&show->cmd);

    if (show->timer.timer_set) {
        ngx_del_timer(&show->timer);
    }
}


void
ngx_http_ai_job_json(ai_buf_t *b, const ngx_http_ai_job_t *job)
{
    ai_json_t  json;

    static const char *const  none[] = { NULL };

    ai_buf_add_z(b, "{\"id\":\"");
    ai_buf_add_str(b, job->id);
    ai_buf_add_z(b, "\",\"object\":\"job\"");

    ngx_http_ai_job_text(b, "state", job->state);
    ngx_http_ai_job_member(b, "created_at", job->at / 1000000);
    ngx_http_ai_job_member(b, "started_at",
                           job->started ? job->started / 1000000 : -1);
    ngx_http_ai_job_member(b, "finished_at",
                           job->finished ? job->finished / 1000000 : -1);
    ngx_http_ai_job_text(b, "model", job->model);

    ngx_http_ai_job_usage(b, job->usage);

    if (job->status) {
        ngx_http_ai_job_member(b, "status", job->status);
    }

    ai_buf_add_z(b, ",\"result\":");

    if (!job->has_result) {
        ai_buf_add_z(b, "null");

    } else if (ai_json_scan(&json, none, job->result, job->result.len,
                            AI_JSON_DEPTH_MAX - 1)
               == AI_JSON_OK)
    {
        ai_buf_add_str(b, job->result);

    } else {
        ai_buf_add_z(b, "\"");
        ai_buf_add_json(b, job->result);
        ai_buf_add_z(b, "\"");
    }

    if (job->cause.len) {
        ai_buf_add_z(b, ",\"error\":{\"code\":\"");
        ai_buf_add_json(b, job->cause);
        ai_buf_add_z(b, "\"");
        ngx_http_ai_job_text(b, "message", job->message);
        ai_buf_add_z(b, "}");
    }

    ai_buf_add_z(b, "}");
}


static void
ngx_http_ai_job_member(ai_buf_t *b, const char *name, int64_t n)
{
    ai_buf_add_z(b, ",\"");
    ai_buf_add_z(b, name);
    ai_buf_add_z(b, "\":");

    if (n < 0) {
        ai_buf_add_z(b, "null");

    } else {
        ai_buf_add_int(b, n);
    }
}


static void
ngx_http_ai_job_text(ai_buf_t *b, const char *name, ai_str_t s)
{
    ai_buf_add_z(b, ",\"");
    ai_buf_add_z(b, name);
    ai_buf_add_z(b, "\":\"");
    ai_buf_add_json(b, s);
    ai_buf_add_z(b, "\"");
}


static void
ngx_http_ai_job_usage(ai_buf_t *b, ai_str_t line)
{
    ai_usage_t  u;

    if (line.len == 0 || ai_usage_parse(line, &u) != 0) {
        ai_buf_add_z(b, ",\"usage\":null");
        return;
    }

    ai_buf_add_z(b, ",\"usage\":{\"provider\":\"");
    ai_buf_add_json(b, u.provider);
    ai_buf_add_z(b, "\"");

    ngx_http_ai_job_text(b, "model", u.model);
    ngx_http_ai_job_text(b, "finish_reason", u.finish);
    ngx_http_ai_job_member(b, "input_tokens", u.input);
    ngx_http_ai_job_member(b, "output_tokens", u.output);
    ngx_http_ai_job_member(b, "cached_input_tokens", u.cached_read);
    ngx_http_ai_job_member(b, "cache_write_tokens", u.cached_write);
    ngx_http_ai_job_member(b, "reasoning_tokens", u.reasoning);
    ngx_http_ai_job_member(b, "cache_write_1h_tokens", u.cached_write_1h);
    ngx_http_ai_job_member(b, "audio_input_tokens", u.audio_input);
    ngx_http_ai_job_member(b, "audio_output_tokens", u.audio_output);
    ngx_http_ai_job_member(b, "image_input_tokens", u.image_input);
    ngx_http_ai_job_member(b, "image_output_tokens", u.image_output);
    ngx_http_ai_job_member(b, "cost_nano_usd", u.cost);
    ai_buf_add_z(b, ",\"estimated\":");
    ai_buf_add_z(b, u.estimated == 1 ? "true}" : "false}");
}
