/*
 * Sockets: connecting, closing, and when to try again.
 * Each connection owns its socket and three events; the log is the cycle's.
 */

#include "ngx_http_ai_redis_conn.h"


static void ngx_http_ai_redis_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_http_ai_redis_connect_addr(ngx_http_ai_redis_conn_t *conn);
static void ngx_http_ai_redis_tls_handler(ngx_connection_t *c);
static void ngx_http_ai_redis_begin_handshake(ngx_http_ai_redis_conn_t *conn);


void
ngx_http_ai_redis_state(ngx_http_ai_redis_conn_t *conn,
    ngx_http_ai_redis_state_e state)
{
    conn->state = state;
    conn->since = ngx_current_msec;
}


void
ngx_http_ai_redis_connect(ngx_http_ai_redis_conn_t *conn)
{
    ngx_http_ai_redis_conf_t  *conf;

    conf = conn->redis->conf;

    /*
     * While it retries, nginx's own messages about the socket would say the
     * same again and again.
     */

    conn->log = *conn->redis->log;

    if (conn->failures && !(conn->log.log_level & NGX_LOG_DEBUG_ALL)) {
        conn->log.log_level = NGX_LOG_ALERT;
    }

    if (conf->sentinels.nelts) {
        conn->asked = 0;
        (void) ngx_http_ai_redis_sentinel_next(conn);
        return;
    }

    conn->asking = 0;
    conn->target = &conf->host;
    ngx_http_ai_redis_connect_target(conn);
}


void
ngx_http_ai_redis_connect_target(ngx_http_ai_redis_conn_t *conn)
{
    ngx_resolver_ctx_t        *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    conn->addrs = conn->target->addrs;
    conn->naddrs = conn->target->naddrs;
    conn->addr = 0;

    clcf = conn->redis->conf->clcf;

    if (!conn->target->resolve || clcf == NULL || clcf->resolver == NULL) {
        ngx_http_ai_redis_connect_addr(conn);
        return;
    }

    ctx = ngx_resolve_start(clcf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        ngx_http_ai_redis_connect_addr(conn);
        return;
    }

    ngx_http_ai_redis_state(conn, NGX_HTTP_AI_REDIS_RESOLVING);

    ctx->name = conn->target->host;
    ctx->handler = ngx_http_ai_redis_resolved;
    ctx->data = conn;
    ctx->timeout = NGX_HTTP_AI_REDIS_RESOLVE;
    ctx->cancelable = 1;

    conn->resolving = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        conn->resolving = NULL;
        ngx_http_ai_redis_connect_addr(conn);
    }
}


static void
ngx_http_ai_redis_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t                 i, n, level;
    ngx_addr_t                *addr;
    ngx_http_ai_redis_conn_t  *conn;

    conn = ctx->data;
    conn->resolving = NULL;

    if (ctx->state) {
        level = conn->failures ? NGX_LOG_INFO : NGX_LOG_WARN;

        ngx_log_error(level, conn->redis->log, 0,
                      "ai_redis: %s: \"%V\" could not be resolved (%i: %s)",
                      conn->name, &ctx->name, ctx->state,
                      ngx_resolver_strerror(ctx->state));

    } else {
        n = ngx_min(ctx->naddrs, NGX_HTTP_AI_REDIS_MAX_ADDRS);

        for (i = 0; i < n; i++) {
            addr = &conn->found[i];

            ngx_memcpy(&conn->sockaddrs[i], ctx->addrs[i].sockaddr,
                       ctx->addrs[i].socklen);

            addr->sockaddr = &conn->sockaddrs[i].sockaddr;
            addr->socklen = ctx->addrs[i].socklen;
            ngx_inet_set_port(addr->sockaddr, conn->target->port);

            addr->name.data = conn->texts[i];
            addr->name.len = ngx_sock_ntop(addr->sockaddr, addr->socklen,
                                           conn->texts[i],
                                           NGX_SOCKADDR_STRLEN, 1);
        }

        conn->addrs = conn->found;
        conn->naddrs = n;
    }

    ngx_resolve_name_done(ctx);

    ngx_http_ai_redis_connect_addr(conn);
}


static void
ngx_http_ai_redis_connect_addr(ngx_http_ai_redis_conn_t *conn)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t   peer;

    ngx_http_ai_redis_state(conn, NGX_HTTP_AI_REDIS_CONNECTING);

    if (conn->addr >= conn->naddrs) {
        ngx_http_ai_redis_doom(conn, "no address is known of \"%V\"",
                               &conn->target->name);
        ngx_http_ai_redis_close(conn);
        return;
    }

    ngx_http_ai_redis_reader_init(conn);

    ngx_memzero(&peer, sizeof(ngx_peer_connection_t));

    peer.sockaddr = conn->addrs[conn->addr].sockaddr;
    peer.socklen = conn->addrs[conn->addr].socklen;
    peer.name = &conn->addrs[conn->addr].name;
    peer.get = ngx_event_get_peer;
    peer.log = &conn->log;
    peer.log_error = NGX_ERROR_INFO;

    ngx_set_errno(0);

    rc = ngx_event_connect_peer(&peer);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        ngx_http_ai_redis_doom(conn, "connect() failed (%d: %s)",
                               ngx_socket_errno, strerror(ngx_socket_errno));
        ngx_http_ai_redis_close(conn);
        return;
    }

    c = peer.connection;
    conn->connection = c;

    c->data = conn;
    c->log = &conn->log;
    c->read->log = &conn->log;
    c->write->log = &conn->log;
    c->read->handler = ngx_http_ai_redis_read_handler;
    c->write->handler = ngx_http_ai_redis_write_handler;

    ngx_add_timer(&conn->timer, conn->redis->conf->connect_timeout);

    if (rc == NGX_OK) {
        ngx_http_ai_redis_connected(conn);
    }
}


void
ngx_http_ai_redis_connected(ngx_http_ai_redis_conn_t *conn)
{
    int                err;
    socklen_t          len;
    ngx_connection_t  *c;

    c = conn->connection;
    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_http_ai_redis_doom(conn, "connect() failed (%d: %s)", err,
                               strerror(err));
        ngx_http_ai_redis_close(conn);
        return;
    }

    if (conn->addrs[conn->addr].sockaddr->sa_family != AF_UNIX
        && ngx_tcp_nodelay(c) != NGX_OK)
    {
        ngx_http_ai_redis_doom(conn, "the socket cannot be set up");
        ngx_http_ai_redis_close(conn);
        return;
    }

    if (conn->redis->conf->ssl == NULL) {
        ngx_http_ai_redis_begin_handshake(conn);
        return;
    }

    if (c->ssl) {
        return;
    }

    c->pool = ngx_create_pool(1024, conn->redis->log);

    if (c->pool == NULL
        || ngx_http_ai_redis_tls_start(conn, ngx_http_ai_redis_tls_handler)
           != NGX_OK)
    {
        ngx_http_ai_redis_doom(conn, "TLS cannot be set up");
        ngx_http_ai_redis_close(conn);
    }
}


static void
ngx_http_ai_redis_tls_handler(ngx_connection_t *c)
{
    ngx_http_ai_redis_conn_t  *conn;

    conn = c->data;

    if (ngx_http_ai_redis_tls_check(conn) != NGX_OK) {
        ngx_http_ai_redis_close(conn);
        return;
    }

    c->read->handler = ngx_http_ai_redis_read_handler;
    c->write->handler = ngx_http_ai_redis_write_handler;

    ngx_http_ai_redis_begin_handshake(conn);
}


static void
ngx_http_ai_redis_begin_handshake(ngx_http_ai_redis_conn_t *conn)
{
    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    ngx_http_ai_redis_state(conn, conn->asking ? NGX_HTTP_AI_REDIS_SENTINEL
                                               : NGX_HTTP_AI_REDIS_HANDSHAKE);

    ngx_http_ai_redis_handshake(conn);

    if (conn->doomed) {
        ngx_http_ai_redis_close(conn);
        return;
    }

    ngx_http_ai_redis_flush(conn);
}


void
ngx_http_ai_redis_established(ngx_http_ai_redis_conn_t *conn)
{
    ngx_uint_t                 i;
    ngx_msec_t                 period;
    ngx_str_t                 *mine, *other;
    ngx_http_ai_redis_conn_t  *peer;

    ngx_http_ai_redis_state(conn, NGX_HTTP_AI_REDIS_READY);

    mine = &conn->addrs[conn->addr].name;

    if (conn->failures) {
        ngx_log_error(NGX_LOG_NOTICE, conn->redis->log, 0,
                      "ai_redis: %s: connected to %V after %ui failed attempts",
                      conn->name, mine, conn->failures);
    }

    ngx_http_ai_redis_out_reset(conn->redis, &conn->early);

    conn->failures = 0;
    conn->subscribing = 0;
    conn->logged_len = 0;
    conn->log.log_level = conn->redis->log->log_level;
    conn->info.connects++;

    period = (conn->which == NGX_HTTP_AI_REDIS_SUB)
             ? NGX_HTTP_AI_REDIS_SUB_PING : NGX_HTTP_AI_REDIS_PING;

    ngx_add_timer(&conn->timer, period);

    if (conn->redis->conf->sentinels.nelts) {

        /* Who still talks to another server talks to a former master. */

        for (i = 0; i < NGX_HTTP_AI_REDIS_CONNS; i++) {
            peer = &conn->redis->conns[i];

            if (peer == conn || peer->state != NGX_HTTP_AI_REDIS_READY) {
                continue;
            }

            other = &peer->addrs[peer->addr].name;

            if (other->len != mine->len
                || ngx_memcmp(other->data, mine->data, mine->len) != 0)
            {
                ngx_http_ai_redis_doom(peer, "the master is now %V", mine);
            }
        }
    }

    ngx_http_ai_redis_post_flush(conn);
}


void
ngx_http_ai_redis_doom(ngx_http_ai_redis_conn_t *conn, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    if (conn->doomed || conn->state == NGX_HTTP_AI_REDIS_STOPPED) {
        return;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(conn->error, conn->error + sizeof(conn->error), fmt,
                      args);
    va_end(args);

    conn->error_len = p - conn->error;
    conn->doomed = 1;

    ngx_http_ai_redis_post_flush(conn);
}


void
ngx_http_ai_redis_disconnect(ngx_http_ai_redis_conn_t *conn)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    if (conn->resolving) {
        ngx_resolve_name_done(conn->resolving);
        conn->resolving = NULL;
    }

    ai_resp_free(&conn->reader);

    c = conn->connection;

    if (c == NULL) {
        return;
    }

    conn->connection = NULL;

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;

        if (ngx_ssl_shutdown(c) == NGX_AGAIN) {
            c->timedout = 1;
            (void) ngx_ssl_shutdown(c);
        }
    }

    pool = c->pool;

    ngx_close_connection(c);

    if (pool) {
        ngx_destroy_pool(pool);
    }
}


void
ngx_http_ai_redis_close(ngx_http_ai_redis_conn_t *conn)
{
    ngx_str_t                   error, logged, *name;
    ngx_msec_t                  delay, lasted;
    ngx_uint_t                  level, subscribed;
    ngx_http_ai_redis_hooks_t  *hooks;
    ngx_http_ai_redis_state_e   state;

    state = conn->state;
    lasted = ngx_current_msec - conn->since;

    if (state == NGX_HTTP_AI_REDIS_WAITING
        || state == NGX_HTTP_AI_REDIS_STOPPED)
    {
        conn->doomed = 0;
        return;
    }

    ngx_http_ai_redis_disconnect(conn);

    conn->doomed = 0;
    conn->answered = 0;
    conn->hooked = 0;
    conn->subscribing = 0;
    conn->pings = 0;

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    ngx_http_ai_redis_state(conn, NGX_HTTP_AI_REDIS_CONNECTING);
    ngx_http_ai_redis_lane_fail(conn, &conn->early, 1);

    if (state != NGX_HTTP_AI_REDIS_READY) {

        if (conn->addr + 1 < conn->naddrs) {
            conn->addr++;
            ngx_http_ai_redis_connect_addr(conn);
            return;
        }

        if (conn->redis->conf->sentinels.nelts
            && ngx_http_ai_redis_sentinel_next(conn) == NGX_OK)
        {
            return;
        }

        conn->failures++;
    }

    if (state == NGX_HTTP_AI_REDIS_READY
        && lasted >= NGX_HTTP_AI_REDIS_STABLE)
    {
        conn->backoff = NGX_HTTP_AI_REDIS_BACKOFF_MIN;
    }

    delay = conn->backoff / 2 + ngx_random() % conn->backoff;
    conn->backoff = ngx_min(conn->backoff * 2, NGX_HTTP_AI_REDIS_BACKOFF_MAX);

    error.len = conn->error_len;
    error.data = conn->error;
    logged.len = conn->logged_len;
    logged.data = conn->logged;

    level = NGX_LOG_ERR;

    if (error.len == logged.len
        && ngx_memcmp(error.data, logged.data, error.len) == 0)
    {
        level = NGX_LOG_INFO;
    }

    ngx_memcpy(conn->logged, conn->error, conn->error_len);
    conn->logged_len = conn->error_len;

    name = conn->naddrs ? &conn->addrs[ngx_min(conn->addr, conn->naddrs - 1)]
                                .name
                        : &conn->target->name;

    ngx_log_error(level, conn->redis->log, 0,
                  "ai_redis: %s: %s %V: %V; next attempt in %M ms",
                  conn->name, state == NGX_HTTP_AI_REDIS_READY
                              ? "lost" : "no connection to",
                  name, &error, delay);

    ngx_http_ai_redis_state(conn, NGX_HTTP_AI_REDIS_WAITING);
    ngx_add_timer(&conn->timer, delay);

    subscribed = (conn->which == NGX_HTTP_AI_REDIS_SUB
                  && state == NGX_HTTP_AI_REDIS_READY);

    ngx_http_ai_redis_lane_fail(conn, &conn->lane, 1);

    hooks = conn->redis->hooks;

    if (subscribed && hooks->lost) {
        hooks->lost(conn->redis, hooks->data);
    }
}
