/*
 * The transport as its user sees it: start, stop, and what there is to know.
 * Owns the ngx_http_ai_redis_t of the process.
 */

#include "ngx_http_ai_redis_conn.h"


static ngx_int_t ngx_http_ai_redis_init(ngx_http_ai_redis_t *redis,
    ngx_uint_t which);


static const char  *ngx_http_ai_redis_names[] = { "commands", "sub", "bulk" };

static const char  *ngx_http_ai_redis_states[] = {
    "waiting", "resolving", "connecting", "asking Sentinel", "handshake",
    "ready", "stopped"
};


ngx_http_ai_redis_t *
ngx_http_ai_redis_start(ngx_cycle_t *cycle, ngx_http_ai_redis_conf_t *conf,
    ngx_http_ai_redis_hooks_t *hooks)
{
    ngx_uint_t            i;
    ngx_http_ai_redis_t  *redis;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NULL;
    }

    redis = ngx_calloc(sizeof(ngx_http_ai_redis_t), cycle->log);
    if (redis == NULL) {
        return NULL;
    }

    redis->conf = conf;
    redis->hooks = hooks;
    redis->log = cycle->log;

    ngx_queue_init(&redis->slots);

    for (i = 0; i < NGX_HTTP_AI_REDIS_CONNS; i++) {
        if (ngx_http_ai_redis_init(redis, i) != NGX_OK) {
            ngx_http_ai_redis_stop(redis);
            return NULL;
        }
    }

    for (i = 0; i < NGX_HTTP_AI_REDIS_CONNS; i++) {
        ngx_http_ai_redis_connect(&redis->conns[i]);
    }

    return redis;
}


static ngx_int_t
ngx_http_ai_redis_init(ngx_http_ai_redis_t *redis, ngx_uint_t which)
{
    ngx_http_ai_redis_conn_t  *conn;

    conn = &redis->conns[which];

    conn->fd = (ngx_socket_t) -1;
    conn->redis = redis;
    conn->which = which;
    conn->name = ngx_http_ai_redis_names[which];
    conn->log = *redis->log;
    conn->backoff = NGX_HTTP_AI_REDIS_BACKOFF_MIN;

    ngx_http_ai_redis_out_init(&conn->early, NGX_HTTP_AI_REDIS_MAX_OUT);
    ngx_http_ai_redis_out_init(&conn->lane,
                               which == NGX_HTTP_AI_REDIS_BULK
                               ? NGX_HTTP_AI_REDIS_MAX_BULK_OUT
                               : NGX_HTTP_AI_REDIS_MAX_OUT);

    conn->flush.handler = ngx_http_ai_redis_flush_handler;
    conn->flush.data = conn;
    conn->flush.log = redis->log;

    conn->timer.handler = ngx_http_ai_redis_timer_handler;
    conn->timer.data = conn;
    conn->timer.log = redis->log;
    conn->timer.cancelable = 1;

    conn->deadline.handler = ngx_http_ai_redis_deadline_handler;
    conn->deadline.data = conn;
    conn->deadline.log = redis->log;
    conn->deadline.cancelable = 1;

    conn->ping.handler = ngx_http_ai_redis_pong;
    conn->ping.data = conn;

    ngx_http_ai_redis_state(conn, NGX_HTTP_AI_REDIS_WAITING);

    return NGX_OK;
}


void
ngx_http_ai_redis_stop(ngx_http_ai_redis_t *redis)
{
    ngx_uint_t                 i;
    ngx_queue_t               *q, *next;
    ngx_http_ai_redis_conn_t  *conn;

    if (redis == NULL) {
        return;
    }

    for (i = 0; i < NGX_HTTP_AI_REDIS_CONNS; i++) {
        conn = &redis->conns[i];

        if (conn->redis) {
            ngx_http_ai_redis_stop_conn(conn, 0);
        }
    }

    ngx_http_ai_redis_out_done(redis);

    for (q = ngx_queue_head(&redis->slots);
         q != ngx_queue_sentinel(&redis->slots);
         q = next)
    {
        next = ngx_queue_next(q);
        ngx_free(ngx_queue_data(q, ngx_http_ai_redis_slot_t, queue));
    }

    ngx_free(redis);
}


void
ngx_http_ai_redis_stop_conn(ngx_http_ai_redis_conn_t *conn, ngx_uint_t call)
{
    ngx_http_ai_redis_disconnect(conn);
    ngx_http_ai_redis_state(conn, NGX_HTTP_AI_REDIS_STOPPED);

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    if (conn->deadline.timer_set) {
        ngx_del_timer(&conn->deadline);
    }

    if (conn->flush.posted) {
        ngx_delete_posted_event(&conn->flush);
    }

    ngx_http_ai_redis_lane_fail(conn, &conn->early, call);
    ngx_http_ai_redis_lane_fail(conn, &conn->lane, call);
}


void
ngx_http_ai_redis_refuse(ngx_http_ai_redis_t *redis, ngx_uint_t which,
    const char *reason)
{
    ngx_http_ai_redis_doom(&redis->conns[which], "%s", reason);
}


ngx_uint_t
ngx_http_ai_redis_ready(ngx_http_ai_redis_t *redis, ngx_uint_t which)
{
    return redis->conns[which].state == NGX_HTTP_AI_REDIS_READY
           && !redis->conns[which].doomed;
}


void
ngx_http_ai_redis_info(ngx_http_ai_redis_t *redis, ngx_uint_t which,
    ngx_http_ai_redis_info_t *info)
{
    ngx_http_ai_redis_conn_t  *conn;

    conn = &redis->conns[which];

    *info = conn->info;
    info->name = conn->name;
    info->state = conn->state;
    info->state_name = ngx_http_ai_redis_states[conn->state];
    info->since = ngx_current_msec - conn->since;
    info->failures = conn->failures;
    info->pending = conn->lane.nslots + conn->early.nslots;
    info->out_bytes = conn->lane.held + conn->early.held;
    info->error.len = conn->error_len;
    info->error.data = conn->error;

    if (conn->addr < conn->naddrs) {
        info->address = conn->addrs[conn->addr].name;

    } else {
        ngx_str_null(&info->address);
    }
}
