/*
 * Suspending a request in a phase and resuming it, written once, after
 * ngx_http_limit_req_module.c.  The wait is embedded in the context; whoever
 * arms it is called back exactly once: woken, timed out, or not at all if the
 * request died first.
 */

#ifndef NGX_HTTP_AI_WAIT_H
#define NGX_HTTP_AI_WAIT_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

typedef struct {
    ngx_http_request_t         *request;
    ngx_event_t                 timer;
    unsigned                    waiting:1;
    unsigned                    timedout:1;
} ngx_http_ai_wait_t;

/*
 * Suspends r in its phase for at most timeout ms; the phase handler then
 * returns NGX_AGAIN and is entered again after the wake or the time-out.
 */
ngx_int_t ngx_http_ai_wait(ngx_http_request_t *r, ngx_http_ai_wait_t *w,
    ngx_msec_t timeout);
/* From a Redis callback: goes on with the phases of r and runs posted
 * requests; nothing of r may be touched afterwards. */
void ngx_http_ai_wake(ngx_http_ai_wait_t *w);

#endif /* NGX_HTTP_AI_WAIT_H */
