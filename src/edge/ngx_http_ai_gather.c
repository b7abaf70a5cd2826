/*
 * Redis commands asked together for one request; see the header.
 */

#include "ngx_http_ai_gather.h"
#include "ngx_http_ai_edge.h"


#define NGX_HTTP_AI_GATHER_TIMEOUT  2000


static void ngx_http_ai_gather_reply(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_gather_timeout(ngx_event_t *ev);
static void ngx_http_ai_gather_end(ngx_http_ai_gather_t *g);
static void ngx_http_ai_gather_cleanup(void *data);


ngx_int_t
ngx_http_ai_gather_run(ngx_http_ai_gather_t *g,
    ngx_http_ai_gather_cmd_t *cmds, ngx_uint_t n)
{
    ngx_uint_t            i;
    ngx_http_cleanup_t   *cln;
    ngx_http_request_t   *r;
    ngx_http_ai_redis_t  *redis;

    r = g->request;
    redis = ngx_http_ai_edge ? ngx_http_ai_edge->redis : NULL;

    g->pending = 0;

    for (i = 0; i < n && redis != NULL; i++) {
        ngx_memzero(&g->cmds[i], sizeof(ngx_http_ai_redis_cmd_t));
        g->cmds[i].handler = ngx_http_ai_gather_reply;
        g->cmds[i].data = g;

        if (ngx_http_ai_redis_command(redis, NGX_HTTP_AI_REDIS_COMMANDS,
                                      &g->cmds[i], cmds[i].argv, cmds[i].argc)
            == NGX_HTTP_AI_REDIS_OK)
        {
            g->pending++;

        } else {
            g->reply(g, i, NULL);
        }
    }

    if (g->pending == 0) {
        return g->done(g);
    }

    if (g->started) {
        return NGX_AGAIN;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        for (i = 0; i < n; i++) {
            ngx_http_ai_redis_cancel(&g->cmds[i]);
        }

        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_ai_gather_cleanup;
    cln->data = g;

    /* Not cancelable: an old process must not exit under the request. */

    g->timer.handler = ngx_http_ai_gather_timeout;
    g->timer.data = g;
    g->timer.log = r->connection->log;
    ngx_add_timer(&g->timer, NGX_HTTP_AI_GATHER_TIMEOUT);

    g->started = 1;
    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_ai_gather_reply(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_gather_t  *g = cmd->data;

    g->reply(g, cmd - g->cmds,
             status == NGX_HTTP_AI_REDIS_OK ? reply : NULL);

    if (--g->pending == 0) {
        ngx_http_ai_gather_end(g);
    }
}


static void
ngx_http_ai_gather_timeout(ngx_event_t *ev)
{
    ngx_uint_t             i;
    ngx_http_ai_gather_t  *g = ev->data;

    for (i = 0; i < NGX_HTTP_AI_GATHER_MAX; i++) {
        if (ngx_http_ai_redis_pending(&g->cmds[i])) {
            ngx_http_ai_redis_cancel(&g->cmds[i]);
            g->reply(g, i, NULL);
        }
    }

    g->pending = 0;
    ngx_http_ai_gather_end(g);
}


static void
ngx_http_ai_gather_end(ngx_http_ai_gather_t *g)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = g->request;
    c = r->connection;

    rc = g->done(g);

    if (g->pending == 0) {

        /* The request may live on while its answer is sent. */

        if (g->timer.timer_set) {
            ngx_del_timer(&g->timer);
        }

        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_ai_gather_cleanup(void *data)
{
    ngx_http_ai_gather_t  *g = data;

    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_AI_GATHER_MAX; i++) {
        ngx_http_ai_redis_cancel(&g->cmds[i]);
    }

    if (g->timer.timer_set) {
        ngx_del_timer(&g->timer);
    }
}
