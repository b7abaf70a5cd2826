/*
 * Bytes on a socket: one read and one write a turn of the event loop, and the
 * timer of a connection's state.  Owns nothing.
 */

#include "ngx_http_ai_redis_conn.h"


static void ngx_http_ai_redis_ping(ngx_http_ai_redis_conn_t *conn);


void
ngx_http_ai_redis_read_handler(ngx_event_t *rev)
{
    char                      *buf;
    size_t                     size, total;
    ssize_t                    n;
    ngx_connection_t          *c;
    ngx_http_ai_redis_conn_t  *conn;

    c = rev->data;
    conn = c->data;

    if (c->close) {
        ngx_http_ai_redis_stop_conn(conn, 1);
        return;
    }

    if (conn->state == NGX_HTTP_AI_REDIS_CONNECTING) {
        ngx_http_ai_redis_connected(conn);
        return;
    }

    for (total = 0; total < NGX_HTTP_AI_REDIS_TURN; total += n) {

        buf = ai_resp_room(&conn->reader, &size);

        if (buf == NULL) {
            ngx_http_ai_redis_doom(conn, "no memory for a reply");
            break;
        }

        n = c->recv(c, (u_char *) buf, size);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR) {
            ngx_http_ai_redis_doom(conn, "read failed");
            break;
        }

        if (n == 0) {
            ngx_http_ai_redis_doom(conn, "closed by the server");
            break;
        }

        conn->heard = ngx_current_msec;
        conn->moved = ngx_current_msec;
        conn->info.bytes_in += n;

        ai_resp_fed(&conn->reader, n);
        ngx_http_ai_redis_reader_drain(conn);

        if (conn->doomed) {
            break;
        }

        if (!rev->ready) {
            break;
        }
    }

    if (conn->doomed) {
        ngx_http_ai_redis_close(conn);
        return;
    }

    if (conn->answered) {
        ngx_http_ai_redis_disconnect(conn);

        conn->answered = 0;
        conn->asking = 0;
        conn->target = &conn->master;
        ngx_http_ai_redis_connect_target(conn);
        return;
    }

    if (rev->ready && total >= NGX_HTTP_AI_REDIS_TURN) {
        ngx_post_event(rev, &ngx_posted_next_events);
        return;
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_ai_redis_doom(conn, "the event cannot be added");
        ngx_http_ai_redis_close(conn);
    }
}


void
ngx_http_ai_redis_write_handler(ngx_event_t *wev)
{
    ngx_connection_t          *c;
    ngx_http_ai_redis_conn_t  *conn;

    c = wev->data;
    conn = c->data;

    if (conn->state == NGX_HTTP_AI_REDIS_CONNECTING) {
        ngx_http_ai_redis_connected(conn);
        return;
    }

    ngx_http_ai_redis_flush(conn);
}


void
ngx_http_ai_redis_post_flush(ngx_http_ai_redis_conn_t *conn)
{
    ngx_post_event(&conn->flush, &ngx_posted_events);
}


void
ngx_http_ai_redis_flush_handler(ngx_event_t *ev)
{
    ngx_http_ai_redis_flush(ev->data);
}


void
ngx_http_ai_redis_flush(ngx_http_ai_redis_conn_t *conn)
{
    off_t                      sent;
    ngx_event_t               *wev;
    ngx_chain_t               *out;
    ngx_connection_t          *c;
    ngx_http_ai_redis_lane_t  *lane;

    if (conn->lane.broken) {

        if (conn->state == NGX_HTTP_AI_REDIS_READY) {
            ngx_http_ai_redis_doom(conn, "no memory for a body");

        } else {
            ngx_http_ai_redis_lane_fail(conn, &conn->lane, 1);
        }
    }

    if (conn->doomed) {
        ngx_http_ai_redis_close(conn);
        return;
    }

    c = conn->connection;

    if (c == NULL || conn->state < NGX_HTTP_AI_REDIS_SENTINEL) {
        return;
    }

    lane = (conn->state == NGX_HTTP_AI_REDIS_READY) ? &conn->lane
                                                    : &conn->early;
    wev = c->write;

    if (lane->out) {
        sent = c->sent;

        out = c->send_chain(c, lane->out, 0);

        if (out == NGX_CHAIN_ERROR) {
            ngx_http_ai_redis_doom(conn, "write failed");
            ngx_http_ai_redis_close(conn);
            return;
        }

        lane->out = out;

        if (c->sent != sent) {
            lane->sent += c->sent - sent;
            conn->info.bytes_out += c->sent - sent;
            conn->moved = ngx_current_msec;

            ngx_http_ai_redis_out_release(conn->redis, lane);
        }
    }

    /*
     * Without this a Unix socket wakes the process once more for each write,
     * when the server has read it.
     */

    if (lane->out == NULL && wev->active && wev->ready
        && (ngx_event_flags & NGX_USE_EPOLL_EVENT) && c->ssl == NULL)
    {
        if (ngx_del_event(wev, NGX_WRITE_EVENT, NGX_CLEAR_EVENT) == NGX_OK) {
            return;
        }

    } else if (ngx_handle_write_event(wev, 0) == NGX_OK) {
        return;
    }

    ngx_http_ai_redis_doom(conn, "the event cannot be added");
    ngx_http_ai_redis_close(conn);
}


void
ngx_http_ai_redis_timer_handler(ngx_event_t *ev)
{
    ngx_http_ai_redis_conn_t  *conn;

    conn = ev->data;

    switch (conn->state) {

    case NGX_HTTP_AI_REDIS_WAITING:
        ngx_http_ai_redis_connect(conn);
        return;

    case NGX_HTTP_AI_REDIS_CONNECTING:
        ngx_http_ai_redis_doom(conn, "no connection within %M ms",
                               conn->redis->conf->connect_timeout);
        ngx_http_ai_redis_close(conn);
        return;

    case NGX_HTTP_AI_REDIS_HANDSHAKE:
        ngx_http_ai_redis_doom(conn, "the subscription was not acknowledged "
                               "within %M ms",
                               conn->redis->conf->command_timeout);
        ngx_http_ai_redis_close(conn);
        return;

    case NGX_HTTP_AI_REDIS_READY:
        if (conn->which == NGX_HTTP_AI_REDIS_SUB) {
            ngx_http_ai_redis_sub_timer(conn);
            return;
        }

        ngx_http_ai_redis_ping(conn);
        ngx_add_timer(ev, NGX_HTTP_AI_REDIS_PING);
        return;

    default:
        return;
    }
}


static void
ngx_http_ai_redis_ping(ngx_http_ai_redis_conn_t *conn)
{
    static ngx_str_t  ping = ngx_string("PING");

    if (ngx_http_ai_redis_pending(&conn->ping)) {
        return;
    }

    conn->ping_usec = ngx_http_ai_redis_usec();

    (void) ngx_http_ai_redis_internal(conn, &conn->ping, 0, &ping, 1);
}


void
ngx_http_ai_redis_pong(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_redis_conn_t  *conn;

    conn = cmd->data;

    if (status == NGX_HTTP_AI_REDIS_OK
        && reply->type == AI_RESP_STATUS)
    {
        conn->info.rtt_usec = ngx_http_ai_redis_usec() - conn->ping_usec;
    }
}
