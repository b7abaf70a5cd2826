/*
 * The subscription: channels, messages, and whether the server is still heard.
 * Owns nothing; a message lives for one call of its hook.
 */

#include "ngx_http_ai_redis_conn.h"


static void ngx_http_ai_redis_sub_ack(ngx_http_ai_redis_conn_t *conn,
    ngx_str_t *channel);
static ngx_int_t ngx_http_ai_redis_sub_find(ngx_http_ai_redis_conn_t *conn,
    ngx_str_t *channel);
static ngx_uint_t ngx_http_ai_redis_sub_is(ai_resp_t *reply,
    const char *word);


void
ngx_http_ai_redis_subscribe(ngx_http_ai_redis_conn_t *conn)
{
    size_t                      bytes;
    ngx_uint_t                  i;
    ngx_http_ai_redis_t        *redis;
    ngx_http_ai_redis_lane_t   *lane;
    ngx_http_ai_redis_hooks_t  *hooks;

    redis = conn->redis;
    hooks = redis->hooks;
    lane = &conn->early;

    if (hooks->nchannels == 0
        || hooks->nchannels > NGX_HTTP_AI_REDIS_MAX_CHANNELS)
    {
        ngx_http_ai_redis_doom(conn, "%ui channels to subscribe to",
                               hooks->nchannels);
        return;
    }

    bytes = 64;

    for (i = 0; i < hooks->nchannels; i++) {
        bytes += hooks->channels[i].len + NGX_INT64_LEN + 8;
    }

    if (ngx_http_ai_redis_out_reserve(redis, lane, bytes, 0, 0) != NGX_OK) {
        ngx_http_ai_redis_doom(conn, "no memory for the subscription");
        return;
    }

    ngx_http_ai_redis_out_size(redis, lane, '*', hooks->nchannels + 1);
    ngx_http_ai_redis_out_arg(redis, lane, "SUBSCRIBE",
                              sizeof("SUBSCRIBE") - 1);

    for (i = 0; i < hooks->nchannels; i++) {
        ngx_http_ai_redis_out_arg(redis, lane, hooks->channels[i].data,
                                  hooks->channels[i].len);
    }

    conn->subscribing = 1;
    conn->acks = 0;
    conn->pings = 0;

    ngx_add_timer(&conn->timer, redis->conf->command_timeout);
    ngx_http_ai_redis_post_flush(conn);
}


void
ngx_http_ai_redis_sub_dispatch(ngx_http_ai_redis_conn_t *conn,
    ai_resp_t *reply)
{
    u_char                      buf[128];
    ngx_str_t                   text, channel, payload;
    ngx_http_ai_redis_hooks_t  *hooks;

    if (reply->type == AI_RESP_ERROR) {
        text = ngx_http_ai_redis_error_text(reply, buf, sizeof(buf));
        ngx_http_ai_redis_doom(conn, "the server says: %V", &text);
        return;
    }

    if (reply->type != AI_RESP_ARRAY || reply->elements < 2
        || reply->element[0].type != AI_RESP_STRING
        || reply->element[1].type != AI_RESP_STRING)
    {
        goto unexpected;
    }

    channel.data = (u_char *) reply->element[1].str;
    channel.len = (size_t) reply->element[1].len;

    if (reply->elements == 2) {

        if (!ngx_http_ai_redis_sub_is(&reply->element[0], "pong")
            || conn->pings == 0)
        {
            goto unexpected;
        }

        if (--conn->pings == 0) {
            conn->info.rtt_usec = ngx_http_ai_redis_usec() - conn->ping_usec;
        }

        return;
    }

    if (reply->elements != 3) {
        goto unexpected;
    }

    if (conn->subscribing
        && reply->element[2].type == AI_RESP_INTEGER
        && ngx_http_ai_redis_sub_is(&reply->element[0], "subscribe"))
    {
        ngx_http_ai_redis_sub_ack(conn, &channel);
        return;
    }

    if (reply->element[2].type != AI_RESP_STRING
        || !ngx_http_ai_redis_sub_is(&reply->element[0], "message"))
    {
        goto unexpected;
    }

    if (ngx_http_ai_redis_sub_find(conn, &channel) == NGX_DECLINED) {
        ngx_http_ai_redis_doom(conn, "a message for a channel that was not "
                               "subscribed to");
        return;
    }

    payload.data = (u_char *) reply->element[2].str;
    payload.len = (size_t) reply->element[2].len;

    hooks = conn->redis->hooks;

    if (hooks->message) {
        hooks->message(conn->redis, &channel, &payload, hooks->data);
    }

    return;

unexpected:

    ngx_http_ai_redis_doom(conn, "an unexpected reply on the subscription");
}


static void
ngx_http_ai_redis_sub_ack(ngx_http_ai_redis_conn_t *conn, ngx_str_t *channel)
{
    ngx_int_t                   n;
    ngx_http_ai_redis_hooks_t  *hooks;

    hooks = conn->redis->hooks;

    n = ngx_http_ai_redis_sub_find(conn, channel);

    if (n == NGX_DECLINED || (conn->acks & (1u << n))) {
        ngx_http_ai_redis_doom(conn, "an unexpected reply on the subscription");
        return;
    }

    conn->acks |= 1u << n;

    if (conn->acks != (1u << hooks->nchannels) - 1) {
        return;
    }

    ngx_http_ai_redis_established(conn);

    if (hooks->subscribed) {
        hooks->subscribed(conn->redis, hooks->data);
    }
}


static ngx_int_t
ngx_http_ai_redis_sub_find(ngx_http_ai_redis_conn_t *conn, ngx_str_t *channel)
{
    ngx_uint_t                  i;
    ngx_http_ai_redis_hooks_t  *hooks;

    hooks = conn->redis->hooks;

    for (i = 0; i < hooks->nchannels; i++) {
        if (hooks->channels[i].len == channel->len
            && ngx_memcmp(hooks->channels[i].data, channel->data,
                          channel->len) == 0)
        {
            return i;
        }
    }

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_http_ai_redis_sub_is(ai_resp_t *reply, const char *word)
{
    return (size_t) reply->len == ngx_strlen(word)
           && ngx_memcmp(reply->str, word, reply->len) == 0;
}


void
ngx_http_ai_redis_sub_timer(ngx_http_ai_redis_conn_t *conn)
{
    ngx_msec_t                 timeout;
    ngx_http_ai_redis_t       *redis;
    ngx_http_ai_redis_lane_t  *lane;

    static const char  ping[] = "*1" CRLF "$4" CRLF "PING" CRLF;

    redis = conn->redis;
    lane = &conn->lane;
    timeout = redis->conf->command_timeout;

    if (ngx_current_msec - conn->heard > timeout + NGX_HTTP_AI_REDIS_SUB_PING)
    {
        ngx_http_ai_redis_doom(conn, "nothing heard for %M ms",
                               ngx_current_msec - conn->heard);
        ngx_http_ai_redis_close(conn);
        return;
    }

    if (ngx_http_ai_redis_out_reserve(redis, lane, sizeof(ping), 0, 0)
        == NGX_OK)
    {
        if (conn->pings++ == 0) {
            conn->ping_usec = ngx_http_ai_redis_usec();
        }

        ngx_http_ai_redis_out_copy(redis, lane, ping, sizeof(ping) - 1);
        ngx_http_ai_redis_post_flush(conn);
    }

    ngx_add_timer(&conn->timer, NGX_HTTP_AI_REDIS_SUB_PING);
}


ngx_msec_t
ngx_http_ai_redis_heard(ngx_http_ai_redis_t *redis)
{
    ngx_http_ai_redis_conn_t  *conn;

    conn = &redis->conns[NGX_HTTP_AI_REDIS_SUB];

    if (conn->state != NGX_HTTP_AI_REDIS_READY || conn->doomed) {
        return (ngx_msec_t) -1;
    }

    return ngx_current_msec - conn->heard;
}
