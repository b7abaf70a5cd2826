/*
 * Suspending a request in a phase and resuming it.
 * The wait lies in the request's context; its timer holds a worker that is
 * asked to exit, and the request's cleanup takes it off.
 */

#include "ngx_http_ai_wait.h"


static void ngx_http_ai_wait_timeout(ngx_event_t *ev);
static void ngx_http_ai_wait_cleanup(void *data);


ngx_int_t
ngx_http_ai_wait(ngx_http_request_t *r, ngx_http_ai_wait_t *w,
    ngx_msec_t timeout)
{
    ngx_event_t         *rev;
    ngx_http_cleanup_t  *cln;

    if (w->request == NULL) {
        cln = ngx_http_cleanup_add(r, 0);
        if (cln == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        cln->handler = ngx_http_ai_wait_cleanup;
        cln->data = w;

        w->request = r;
        w->timer.handler = ngx_http_ai_wait_timeout;
        w->timer.data = w;
        w->timer.log = r->connection->log;
    }

    rev = r->connection->read;

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_events);

    } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    w->waiting = 1;
    w->timedout = 0;

    ngx_add_timer(&w->timer, timeout);

    return NGX_AGAIN;
}


void
ngx_http_ai_wake(ngx_http_ai_wait_t *w)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    if (!w->waiting) {
        return;
    }

    w->waiting = 0;

    if (w->timer.timer_set) {
        ngx_del_timer(&w->timer);
    }

    r = w->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        ngx_http_run_posted_requests(c);
        return;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_ai_wait_timeout(ngx_event_t *ev)
{
    ngx_http_ai_wait_t  *w = ev->data;

    w->timedout = 1;

    ngx_http_ai_wake(w);
}


static void
ngx_http_ai_wait_cleanup(void *data)
{
    ngx_http_ai_wait_t  *w = data;

    w->waiting = 0;

    if (w->timer.timer_set) {
        ngx_del_timer(&w->timer);
    }
}
