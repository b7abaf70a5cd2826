/*
 * A job's answer on its way to the client: header, output, heartbeats, end.
 * Buffers are few, fixed and used again: when they are full, the rest stays in
 * the log until the client has taken some.  All lies in the request's pool.
 */

#include "ngx_http_ai_stream.h"
#include "ngx_http_ai_admit.h"
#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_limit.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_routed.h"


static void ngx_http_ai_stream_run(ngx_event_t *ev);
static void ngx_http_ai_stream_output(ngx_http_ai_open_t *open);
static ngx_int_t ngx_http_ai_stream_header(ngx_http_ai_open_t *open);
static ngx_int_t ngx_http_ai_stream_flush(ngx_http_ai_open_t *open);
static void ngx_http_ai_stream_finish(ngx_http_ai_open_t *open);
static ngx_int_t ngx_http_ai_stream_error_event(ngx_http_ai_open_t *open);
static ngx_int_t ngx_http_ai_stream_buf(ngx_http_ai_open_t *open,
    ngx_buf_t *b);
static void ngx_http_ai_stream_finalize(ngx_http_ai_open_t *open,
    ngx_int_t rc);
static void ngx_http_ai_stream_writer(ngx_http_request_t *r);
static void ngx_http_ai_stream_tick(ngx_event_t *ev);


static ngx_str_t  ngx_http_ai_sse_type = ngx_string("text/event-stream");


void
ngx_http_ai_stream_init(ngx_http_ai_open_t *open)
{
    open->count = NGX_HTTP_AI_READ_FIRST;
    open->boundary = 1;

    open->run.handler = ngx_http_ai_stream_run;
    open->run.data = open;
    open->run.log = open->request->connection->log;

    /* Not cancelable: a worker that exits waits for its answers. */

    open->timer.handler = ngx_http_ai_stream_tick;
    open->timer.data = open;
    open->timer.log = open->request->connection->log;
}


void
ngx_http_ai_stream_wait(ngx_http_ai_open_t *open)
{
    ngx_event_t         *rev;
    ngx_http_request_t  *r;

    r = open->request;
    rev = r->connection->read;

    open->heard = ngx_current_msec;
    open->sent_at = ngx_current_msec;
    open->header_at = ngx_current_msec + open->conf->header_delay;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_ai_stream_writer;

    ngx_http_ai_stream_timer(open, 1);

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_events);

    } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_ai_stream_fail(open, "internal", 0, -1);
    }
}


void
ngx_http_ai_stream_subscribed(ngx_http_ai_open_t *open)
{
    if (open->stage == NGX_HTTP_AI_LISTENING) {
        ngx_http_ai_events_read(open);
        return;
    }

    ngx_http_ai_stream_timer(open, 1);
}


void
ngx_http_ai_stream_post(ngx_http_ai_open_t *open)
{
    if (!open->closed && !open->run.posted) {
        ngx_post_event(&open->run, &ngx_posted_events);
    }
}


void
ngx_http_ai_stream_fail(ngx_http_ai_open_t *open, const char *cause,
    ngx_uint_t status, time_t retry_after)
{
    if (open->cause == NULL) {
        open->cause = cause;
        open->error_status = status;
        open->retry_after = retry_after;
    }

    if (open->ctx->ended == 0) {
        open->ctx->ended = ngx_http_ai_usec();
    }

    ngx_http_ai_stream_post(open);
}


void
ngx_http_ai_stream_redis_error(ngx_http_ai_open_t *open)
{
    ngx_http_ai_count(redis_errors);
    ngx_http_ai_stream_fail(open, "unavailable",
                            open->conf->redis_error_status,
                            open->conf->redis_error_retry_after);
}


static void
ngx_http_ai_stream_run(ngx_event_t *ev)
{
    ngx_http_ai_open_t *open = ev->data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = open->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_ai_stream_output(open);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_ai_stream_output(ngx_http_ai_open_t *open)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = open->request;

    if (open->closed) {
        return;
    }

    if (open->ended || open->cause != NULL) {
        ngx_http_ai_stream_finish(open);
        return;
    }

    if (open->mode == NGX_HTTP_AI_WHOLE
        || (open->mode == NGX_HTTP_AI_NO_HEAD && !open->early))
    {
        return;
    }

    if (!open->header) {
        rc = ngx_http_ai_stream_header(open);

        if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
            ngx_http_ai_stream_finalize(open, rc);
            return;
        }

        if (open->conf->heartbeat) {
            ngx_http_ai_stream_timer(open, open->conf->heartbeat);
        }

        if (open->out == NULL || open->mode == NGX_HTTP_AI_WRAP) {
            rc = ngx_http_send_special(r, NGX_HTTP_FLUSH);

            if (rc == NGX_ERROR) {
                ngx_http_ai_stream_finalize(open, rc);
                return;
            }
        }
    }

    if (open->mode == NGX_HTTP_AI_WRAP) {
        return;
    }

    if (ngx_http_ai_stream_flush(open) == NGX_ERROR) {
        ngx_http_ai_stream_finalize(open, NGX_ERROR);
    }
}


static ngx_int_t
ngx_http_ai_stream_header(ngx_http_ai_open_t *open)
{
    ngx_str_t            key, value;
    ngx_http_request_t  *r;

    r = open->request;

    open->header = 1;

    if (r->headers_out.status == 0) {
        r->headers_out.status = NGX_HTTP_OK;
    }

    if (open->mode != NGX_HTTP_AI_WHOLE) {
        ngx_http_clear_content_length(r);

    } else {
        r->headers_out.content_length_n = open->collected;
    }

    ngx_http_clear_accept_ranges(r);

    ngx_str_set(&key, "X-AI-Job");

    if (ngx_http_ai_add_header(r, &key, &open->ctx->job) != NGX_OK
        || ngx_http_ai_routed_headers(r, open->ctx) != NGX_OK
        || ngx_http_ai_limit_headers(r, open->ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_ai_cache_headers(r, open->ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->headers_out.content_type.len == 0) {

        if (open->mode == NGX_HTTP_AI_WHOLE || open->mode == NGX_HTTP_AI_PIPE)
        {
            ngx_str_set(&r->headers_out.content_type, "application/json");

        } else {
            r->headers_out.content_type = ngx_http_ai_sse_type;
        }

        r->headers_out.content_type_len = r->headers_out.content_type.len;
        r->headers_out.content_type_lowcase = NULL;
    }

    ngx_str_set(&key, "Cache-Control");

    if (open->mode == NGX_HTTP_AI_WHOLE || open->mode == NGX_HTTP_AI_PIPE) {
        ngx_str_set(&value, "no-store");

    } else {
        ngx_str_set(&value, "no-cache, no-transform");
    }

    if (ngx_http_ai_add_header(r, &key, &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (open->mode != NGX_HTTP_AI_WHOLE && open->mode != NGX_HTTP_AI_PIPE) {

        ngx_http_ai_count(streams);

        ngx_str_set(&key, "X-Accel-Buffering");
        ngx_str_set(&value, "no");

        if (ngx_http_ai_add_header(r, &key, &value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

#if (NGX_HTTP_GZIP)
        r->gzip_tested = 1;
        r->gzip_ok = 0;
#endif
    }

    return ngx_http_send_header(r);
}


/* Gives on what is filled; NGX_OK or NGX_ERROR. */

static ngx_int_t
ngx_http_ai_stream_flush(ngx_http_ai_open_t *open)
{
    off_t                      sent;
    ngx_int_t                  rc;
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = open->request;
    c = r->connection;
    wev = c->write;
    sent = c->sent;

    if (open->out != NULL || r->buffered || c->buffered) {

        if (open->tail != NULL) {
            open->tail->buf->flush = 1;
            open->sent_at = ngx_current_msec;
        }

        rc = ngx_http_output_filter(r, open->out);

        ngx_chain_update_chains(r->pool, &open->free, &open->busy, &open->out,
                                (ngx_buf_tag_t) &ngx_http_ai_module);
        open->tail = NULL;

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    if (r->buffered || c->buffered) {

        if (!wev->delayed && (!wev->timer_set || c->sent != sent)) {
            clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
            ngx_add_timer(wev, clcf->send_timeout);
        }

        return ngx_handle_write_event(wev, 0);
    }

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    if (open->lagging && open->busy == NULL) {
        open->lagging = 0;
        ngx_http_ai_events_read(open);
    }

    return NGX_OK;
}


/* The last of the answer, in one piece with what was not yet sent. */

static void
ngx_http_ai_stream_finish(ngx_http_ai_open_t *open)
{
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_http_request_t  *r;

    r = open->request;

    if (open->ctx->ended == 0) {
        open->ctx->ended = ngx_http_ai_usec();
    }

    if (open->cause != NULL && !open->header) {

        if (open->mode != NGX_HTTP_AI_NO_HEAD) {
            ngx_http_clean_header(r);
        }

        rc = ngx_http_ai_error_send(r, open->cause, &open->message,
                                    open->error_status, open->retry_after);

        ngx_http_ai_stream_finalize(open, rc);
        return;
    }

    if (!open->header) {
        rc = ngx_http_ai_stream_header(open);

        if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
            ngx_http_ai_stream_finalize(open, rc);
            return;
        }
    }

    if (open->cause != NULL && open->mode == NGX_HTTP_AI_PIPE) {
        /* Without an end the client knows that it is cut. */
        (void) ngx_http_ai_stream_flush(open);
        r->keepalive = 0;
        ngx_http_ai_stream_finalize(open, NGX_ERROR);
        return;
    }

    if (open->cause != NULL) {
        rc = ngx_http_ai_stream_error_event(open);

    } else if (open->mode == NGX_HTTP_AI_WRAP) {
        rc = ngx_http_ai_answer_wrap(open);

    } else {
        rc = NGX_OK;
    }

    b = ngx_calloc_buf(r->pool);

    if (rc != NGX_OK || ngx_http_ai_stream_buf(open, b) != NGX_OK) {
        ngx_http_ai_stream_finalize(open, NGX_ERROR);
        return;
    }

    b->last_buf = 1;
    b->last_in_chain = 1;

    ngx_http_ai_stream_finalize(open, ngx_http_output_filter(r, open->out));
}


static ngx_int_t
ngx_http_ai_stream_error_event(ngx_http_ai_open_t *open)
{
    ngx_buf_t           *b;
    ngx_http_request_t  *r;

    r = open->request;

    if (open->mode == NGX_HTTP_AI_WRAP) {

        /* Half a body is for who asks what there is of a job: to a client of
         * the API it would be an event that it cannot read. */

        if (!open->joined) {
            ngx_http_ai_answer_drop(open);

        } else if (ngx_http_ai_answer_wrap(open) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (!open->boundary) {
        /* An event that was cut is no part of this one. */
        b = ngx_calloc_buf(r->pool);

        if (ngx_http_ai_stream_buf(open, b) != NGX_OK) {
            return NGX_ERROR;
        }

        b->memory = 1;
        b->pos = (u_char *) "\n\n";
        b->last = b->pos + 2;
    }

    b = ngx_http_ai_error_event(r, open->cause, &open->message, open->seen);

    return ngx_http_ai_stream_buf(open, b);
}


/* b, NULL for no memory, behind what is filled. */

static ngx_int_t
ngx_http_ai_stream_buf(ngx_http_ai_open_t *open, ngx_buf_t *b)
{
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(open->request->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = b;

    ngx_http_ai_take_chain(open, cl);

    return NGX_OK;
}


static void
ngx_http_ai_stream_finalize(ngx_http_ai_open_t *open, ngx_int_t rc)
{
    int64_t              usec;
    ai_usage_t           usage;
    ngx_http_ai_ctx_t   *ctx;
    ngx_http_request_t  *r;

    r = open->request;
    ctx = open->ctx;

    ngx_http_ai_open_close(open);

    ngx_http_ai_observe_answer(ctx->began, ctx->first, ctx->ended);

    if (!ngx_http_ai_cache_is_hit(ctx) && ctx->usage_line.len
        && ai_usage_parse(ngx_http_ai_str(&ctx->usage_line), &usage) == 0)
    {
        usec = usage.queue_usec;

        if (usec >= 0) {
            ngx_http_ai_observe(&ngx_http_ai_metrics->queue, usec);
        }
    }

    ngx_http_finalize_request(r, rc);
}


static void
ngx_http_ai_stream_writer(ngx_http_request_t *r)
{
    ngx_event_t         *wev;
    ngx_connection_t    *c;
    ngx_http_ai_ctx_t   *ctx;
    ngx_http_ai_open_t  *open;

    c = r->connection;
    wev = c->write;
    ctx = ngx_http_ai_find_ctx(r);

    if (ctx == NULL || ctx->open == NULL || ctx->open->closed) {
        return;
    }

    open = ctx->open;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "client is too slow for job \"%V\" of tenant \"%V\"",
                      &ctx->job, &open->tenant);
        c->timedout = 1;
        ngx_http_ai_stream_finalize(open, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->delayed) {
        if (ngx_handle_write_event(wev, 0) != NGX_OK) {
            ngx_http_ai_stream_finalize(open, NGX_ERROR);
        }

        return;
    }

    if (!open->header || open->mode == NGX_HTTP_AI_WHOLE
        || open->mode == NGX_HTTP_AI_WRAP
        || (!r->buffered && !c->buffered))
    {
        return;
    }

    if (ngx_http_ai_stream_flush(open) == NGX_ERROR) {
        ngx_http_ai_stream_finalize(open, NGX_ERROR);
    }
}


void
ngx_http_ai_stream_timer(ngx_http_ai_open_t *open, ngx_msec_t msec)
{
    if (open->closed) {
        return;
    }

    if (open->timer.timer_set
        && (ngx_msec_int_t) (open->timer.timer.key - ngx_current_msec - msec)
           <= 0)
    {
        return;
    }

    ngx_add_timer(&open->timer, msec);
}


/* One timer for all that may become due; each run sets the next. */

static void
ngx_http_ai_stream_tick(ngx_event_t *ev)
{
    ngx_http_ai_open_t *open = ev->data;

    ngx_msec_t           now, next, left;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = open->request;
    c = r->connection;
    now = ngx_current_msec;
    next = NGX_HTTP_AI_SILENCE;

    left = ngx_http_ai_admit_tick(open);

    if (left) {
        next = ngx_min(next, left);
    }

    if (open->stage == NGX_HTTP_AI_LISTENING && !open->ended
        && open->cause == NULL)
    {
        left = now - open->heard;

        if (left >= NGX_HTTP_AI_SILENCE) {
            open->heard = now;
            left = 0;

            if (open->lagging || open->reading) {
                ngx_http_ai_events_keep(open);
            }

            if (!open->lagging) {
                ngx_http_ai_events_read(open);
            }
        }

        next = ngx_min(next, NGX_HTTP_AI_SILENCE - left);
    }

    if (open->sse && !open->header && open->cause == NULL
        && open->stage == NGX_HTTP_AI_LISTENING)
    {
        if ((ngx_msec_int_t) (now - open->header_at) >= 0) {

            if (open->mode == NGX_HTTP_AI_NO_HEAD) {
                open->early = 1;
                ngx_http_ai_stream_post(open);
            }

        } else {
            next = ngx_min(next, open->header_at - now);
        }
    }

    if (open->conf->heartbeat && open->sse && open->header) {
        left = now - open->sent_at;

        if (left >= open->conf->heartbeat) {
            left = 0;
            open->sent_at = now;

            if (open->out == NULL && open->boundary && !open->lagging
                && open->mode != NGX_HTTP_AI_PIPE
                && !r->buffered && !c->buffered
                && ngx_http_ai_take_bytes(open, ":\n\n", 3) == 3)
            {
                ngx_http_ai_count(heartbeats);

                if (ngx_http_ai_stream_flush(open) == NGX_ERROR) {
                    ngx_http_ai_stream_finalize(open, NGX_ERROR);
                    ngx_http_run_posted_requests(c);
                    return;
                }
            }
        }

        next = ngx_min(next, open->conf->heartbeat - left);
    }

    ngx_http_ai_stream_timer(open, ngx_max(next, 1));
}
