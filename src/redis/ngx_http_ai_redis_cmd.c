/*
 * Commands: their bytes, the FIFO of those unanswered, and their ends.
 * A command is its caller's; the slot that stands for it in the FIFO is the
 * transport's and outlives a cancelled command.
 */

#include "ngx_http_ai_redis_conn.h"


static ngx_uint_t ngx_http_ai_redis_take(ngx_http_ai_redis_t *redis,
    ngx_uint_t which, ngx_http_ai_redis_cmd_t *cmd,
    ngx_http_ai_redis_slot_t **slot, size_t bytes, size_t borrowed,
    ngx_uint_t nlinks);
static ngx_http_ai_redis_slot_t *ngx_http_ai_redis_push(
    ngx_http_ai_redis_conn_t *conn, ngx_http_ai_redis_lane_t *lane,
    ngx_http_ai_redis_cmd_t *cmd);
static void ngx_http_ai_redis_taken(ngx_http_ai_redis_slot_t *slot,
    ngx_http_ai_redis_seg_t *last);
static ngx_http_ai_redis_slot_t *ngx_http_ai_redis_slot_get(
    ngx_http_ai_redis_t *redis);
static void ngx_http_ai_redis_slot_free(ngx_http_ai_redis_slot_t *slot);
static void ngx_http_ai_redis_pop(ngx_http_ai_redis_lane_t *lane,
    ngx_http_ai_redis_slot_t *slot);
static void ngx_http_ai_redis_arm(ngx_http_ai_redis_conn_t *conn,
    ngx_http_ai_redis_slot_t *slot);
static ngx_uint_t ngx_http_ai_redis_warn(ngx_http_ai_redis_conn_t *conn);
static ngx_uint_t ngx_http_ai_redis_again(ngx_http_ai_redis_slot_t *slot);
static ngx_uint_t ngx_http_ai_redis_error(ngx_http_ai_redis_slot_t *slot,
    ai_resp_t *reply);


#define ngx_http_ai_redis_lane(slot)                                          \
    ((slot)->early ? &(slot)->conn->early : &(slot)->conn->lane)

/* The bytes of an argument, at most, beside its own. */
#define NGX_HTTP_AI_REDIS_ARG  (sizeof("$" CRLF CRLF) - 1 + NGX_INT64_LEN)


ngx_uint_t
ngx_http_ai_redis_command(ngx_http_ai_redis_t *redis, ngx_uint_t which,
    ngx_http_ai_redis_cmd_t *cmd, ngx_str_t *argv, ngx_uint_t argc)
{
    return ngx_http_ai_redis_command_body(redis, which, cmd, argv, argc,
                                          NULL, 0);
}


ngx_uint_t
ngx_http_ai_redis_command_body(ngx_http_ai_redis_t *redis, ngx_uint_t which,
    ngx_http_ai_redis_cmd_t *cmd, ngx_str_t *argv, ngx_uint_t argc,
    ngx_chain_t *body, ngx_uint_t at)
{
    size_t                     n, bytes, borrowed, len;
    ngx_uint_t                 i, nlinks, status;
    ngx_chain_t               *cl;
    ngx_http_ai_redis_seg_t   *last;
    ngx_http_ai_redis_slot_t  *slot;
    ngx_http_ai_redis_lane_t  *lane;

    bytes = (argc + 2) * NGX_HTTP_AI_REDIS_ARG;

    for (i = 0; i < argc; i++) {
        bytes += argv[i].len;
    }

    borrowed = 0;
    nlinks = 0;
    len = 0;

    for (cl = body; cl; cl = cl->next) {
        n = cl->buf->last - cl->buf->pos;
        len += n;

        if (n < NGX_HTTP_AI_REDIS_COPY) {
            bytes += n;

        } else {
            borrowed += n;
            nlinks++;
        }
    }

    status = ngx_http_ai_redis_take(redis, which, cmd, &slot, bytes, borrowed,
                                    nlinks);
    if (status != NGX_HTTP_AI_REDIS_OK) {
        return status;
    }

    lane = ngx_http_ai_redis_lane(slot);
    last = lane->last;

    ngx_http_ai_redis_out_size(redis, lane, '*', argc + (at ? 1 : 0));

    for (i = 0; i < argc || (at && i == argc); i++) {

        if (at && i == at) {
            ngx_http_ai_redis_out_size(redis, lane, '$', len);

            for (cl = body; cl; cl = cl->next) {
                n = cl->buf->last - cl->buf->pos;

                if (n < NGX_HTTP_AI_REDIS_COPY) {
                    ngx_http_ai_redis_out_copy(redis, lane, cl->buf->pos, n);

                } else {
                    ngx_http_ai_redis_out_borrow(redis, lane, cl->buf->pos, n);
                }
            }

            ngx_http_ai_redis_out_copy(redis, lane, CRLF, 2);
        }

        if (i < argc) {
            ngx_http_ai_redis_out_arg(redis, lane, argv[i].data, argv[i].len);
        }
    }

    slot->borrowed = nlinks ? 1 : 0;

    ngx_http_ai_redis_taken(slot, last);

    return NGX_HTTP_AI_REDIS_OK;
}


ngx_uint_t
ngx_http_ai_redis_eval(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_cmd_t *cmd, ai_script_e script, ngx_str_t *keys,
    ngx_uint_t nkeys, ngx_str_t *argv, ngx_uint_t argc)
{
    u_char                     num[NGX_INT_T_LEN], *p;
    size_t                     bytes;
    ngx_uint_t                 i, status;
    ngx_http_ai_redis_seg_t   *last;
    ngx_http_ai_redis_slot_t  *slot;
    ngx_http_ai_redis_lane_t  *lane;

    bytes = (nkeys + argc + 4) * NGX_HTTP_AI_REDIS_ARG
            + sizeof("EVALSHA") + 40 + NGX_INT_T_LEN;

    for (i = 0; i < nkeys; i++) {
        bytes += keys[i].len;
    }

    for (i = 0; i < argc; i++) {
        bytes += argv[i].len;
    }

    status = ngx_http_ai_redis_take(redis, NGX_HTTP_AI_REDIS_COMMANDS, cmd,
                                    &slot, bytes, 0, 0);
    if (status != NGX_HTTP_AI_REDIS_OK) {
        return status;
    }

    slot->script = script + 1;
    slot->argc = nkeys + argc + 3;

    lane = ngx_http_ai_redis_lane(slot);
    last = lane->last;

    ngx_http_ai_redis_out_size(redis, lane, '*', slot->argc);
    ngx_http_ai_redis_out_arg(redis, lane, "EVALSHA", sizeof("EVALSHA") - 1);
    ngx_http_ai_redis_out_arg(redis, lane, ai_scripts[script].sha1, 40);

    slot->args = lane->taken;

    p = ngx_sprintf(num, "%ui", nkeys);
    ngx_http_ai_redis_out_arg(redis, lane, num, p - num);

    for (i = 0; i < nkeys; i++) {
        ngx_http_ai_redis_out_arg(redis, lane, keys[i].data, keys[i].len);
    }

    for (i = 0; i < argc; i++) {
        ngx_http_ai_redis_out_arg(redis, lane, argv[i].data, argv[i].len);
    }

    ngx_http_ai_redis_taken(slot, last);

    return NGX_HTTP_AI_REDIS_OK;
}


ngx_uint_t
ngx_http_ai_redis_internal(ngx_http_ai_redis_conn_t *conn,
    ngx_http_ai_redis_cmd_t *cmd, ngx_uint_t early, ngx_str_t *argv,
    ngx_uint_t argc)
{
    size_t                     bytes;
    ngx_uint_t                 i;
    ngx_http_ai_redis_seg_t   *last;
    ngx_http_ai_redis_slot_t  *slot;
    ngx_http_ai_redis_lane_t  *lane;

    lane = early ? &conn->early : &conn->lane;
    bytes = (argc + 1) * NGX_HTTP_AI_REDIS_ARG;

    for (i = 0; i < argc; i++) {
        bytes += argv[i].len;
    }

    if (ngx_http_ai_redis_out_reserve(conn->redis, lane, bytes, 0, 0)
        != NGX_OK)
    {
        return NGX_HTTP_AI_REDIS_FULL;
    }

    last = lane->last;

    slot = ngx_http_ai_redis_push(conn, lane, cmd);
    if (slot == NULL) {
        return NGX_HTTP_AI_REDIS_FULL;
    }

    slot->internal = 1;
    lane->nwaiting--;

    ngx_http_ai_redis_out_size(conn->redis, lane, '*', argc);

    for (i = 0; i < argc; i++) {
        ngx_http_ai_redis_out_arg(conn->redis, lane, argv[i].data,
                                  argv[i].len);
    }

    ngx_http_ai_redis_taken(slot, last);

    return NGX_HTTP_AI_REDIS_OK;
}


static ngx_uint_t
ngx_http_ai_redis_take(ngx_http_ai_redis_t *redis, ngx_uint_t which,
    ngx_http_ai_redis_cmd_t *cmd, ngx_http_ai_redis_slot_t **slot,
    size_t bytes, size_t borrowed, ngx_uint_t nlinks)
{
    ngx_http_ai_redis_conn_t  *conn;
    ngx_http_ai_redis_lane_t  *lane;

    conn = &redis->conns[which];

    if (cmd && cmd->handshake) {
        lane = &conn->early;

        if (conn->state != NGX_HTTP_AI_REDIS_HANDSHAKE || !conn->hooked
            || conn->subscribing)
        {
            goto closed;
        }

    } else {
        lane = &conn->lane;

        if (which == NGX_HTTP_AI_REDIS_SUB
            || conn->state == NGX_HTTP_AI_REDIS_STOPPED
            || (conn->state != NGX_HTTP_AI_REDIS_READY && conn->failures))
        {
            goto closed;
        }
    }

    if (lane->nslots >= NGX_HTTP_AI_REDIS_MAX_PENDING
        || ngx_http_ai_redis_out_reserve(redis, lane, bytes, borrowed, nlinks)
           != NGX_OK)
    {
        goto full;
    }

    *slot = ngx_http_ai_redis_push(conn, lane, cmd);
    if (*slot == NULL) {
        goto full;
    }

    conn->info.commands++;

    return NGX_HTTP_AI_REDIS_OK;

full:

    conn->info.refused++;
    return NGX_HTTP_AI_REDIS_FULL;

closed:

    conn->info.refused++;
    return NGX_HTTP_AI_REDIS_CLOSED;
}


static ngx_http_ai_redis_slot_t *
ngx_http_ai_redis_push(ngx_http_ai_redis_conn_t *conn,
    ngx_http_ai_redis_lane_t *lane, ngx_http_ai_redis_cmd_t *cmd)
{
    ngx_http_ai_redis_slot_t  *slot;

    slot = ngx_http_ai_redis_slot_get(conn->redis);
    if (slot == NULL) {
        return NULL;
    }

    ngx_memzero(slot, sizeof(ngx_http_ai_redis_slot_t));

    slot->conn = conn;
    slot->cmd = cmd;
    slot->begin = lane->taken;
    slot->early = (lane == &conn->early) ? 1 : 0;
    slot->timeout = (cmd && cmd->timeout) ? cmd->timeout
                                          : conn->redis->conf->command_timeout;
    slot->deadline = ngx_current_msec + slot->timeout;

    if (cmd) {
        cmd->slot = slot;
        cmd->sent = 0;
        cmd->error = NGX_HTTP_AI_REDIS_E_NONE;
    }

    ngx_queue_insert_tail(&lane->slots, &slot->queue);
    lane->nslots++;
    lane->nwaiting++;

    return slot;
}


/* The command's bytes are complete; last was the last segment before them. */

static void
ngx_http_ai_redis_taken(ngx_http_ai_redis_slot_t *slot,
    ngx_http_ai_redis_seg_t *last)
{
    ngx_http_ai_redis_conn_t  *conn;
    ngx_http_ai_redis_lane_t  *lane;

    conn = slot->conn;
    lane = ngx_http_ai_redis_lane(slot);

    slot->end = lane->taken;

    if (last == NULL) {
        slot->seg = lane->first;

    } else if (last->end > slot->begin) {
        slot->seg = last;

    } else {
        slot->seg = (ngx_http_ai_redis_seg_t *) last->link.next;
    }

    ngx_http_ai_redis_arm(conn, slot);
    ngx_http_ai_redis_post_flush(conn);
}


static ngx_http_ai_redis_slot_t *
ngx_http_ai_redis_slot_get(ngx_http_ai_redis_t *redis)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&redis->slots)) {
        return ngx_alloc(sizeof(ngx_http_ai_redis_slot_t), redis->log);
    }

    q = ngx_queue_head(&redis->slots);
    ngx_queue_remove(q);
    redis->nslots--;

    return ngx_queue_data(q, ngx_http_ai_redis_slot_t, queue);
}


static void
ngx_http_ai_redis_slot_free(ngx_http_ai_redis_slot_t *slot)
{
    ngx_http_ai_redis_t  *redis;

    redis = slot->conn->redis;

    if (redis->nslots < NGX_HTTP_AI_REDIS_FREE_SLOTS) {
        ngx_queue_insert_head(&redis->slots, &slot->queue);
        redis->nslots++;
        return;
    }

    ngx_free(slot);
}


static void
ngx_http_ai_redis_pop(ngx_http_ai_redis_lane_t *lane,
    ngx_http_ai_redis_slot_t *slot)
{
    ngx_queue_remove(&slot->queue);
    lane->nslots--;

    if (!slot->internal) {
        lane->nwaiting--;
    }

    slot->conn->deadline.cancelable = (slot->conn->lane.nwaiting == 0);

    if (slot->cmd) {
        slot->cmd->slot = NULL;
        slot->cmd->sent = (lane->sent > slot->begin);
    }
}


/*
 * The timer is that of the earliest deadline known when it was set: heads that
 * are answered leave it as it is, so that a command costs no timer.
 */

static void
ngx_http_ai_redis_arm(ngx_http_ai_redis_conn_t *conn,
    ngx_http_ai_redis_slot_t *slot)
{
    ngx_msec_int_t  diff;

    conn->deadline.cancelable = (conn->lane.nwaiting == 0);

    if (conn->deadline.timer_set) {
        diff = (ngx_msec_int_t) (conn->deadline.timer.key - slot->deadline);

        if (diff <= 0) {
            return;
        }
    }

    ngx_add_timer(&conn->deadline, slot->timeout);
}


void
ngx_http_ai_redis_deadline_handler(ngx_event_t *ev)
{
    ngx_uint_t                 i, armed;
    ngx_msec_int_t             left, wait;
    ngx_http_ai_redis_conn_t  *conn;
    ngx_http_ai_redis_lane_t  *lanes[2];
    ngx_http_ai_redis_slot_t  *slot;

    conn = ev->data;
    lanes[0] = &conn->early;
    lanes[1] = &conn->lane;
    armed = 0;
    wait = 0;

    for (i = 0; i < 2; i++) {

        if (ngx_queue_empty(&lanes[i]->slots)) {
            continue;
        }

        slot = ngx_queue_data(ngx_queue_head(&lanes[i]->slots),
                              ngx_http_ai_redis_slot_t, queue);

        if (conn->which == NGX_HTTP_AI_REDIS_BULK
            && conn->state == NGX_HTTP_AI_REDIS_READY
            && (ngx_msec_int_t) (conn->moved + slot->timeout - slot->deadline)
               > 0)
        {
            slot->deadline = conn->moved + slot->timeout;
        }

        left = (ngx_msec_int_t) (slot->deadline - ngx_current_msec);

        if (left > 0) {
            wait = armed ? ngx_min(wait, left) : left;
            armed = 1;
            continue;
        }

        if (i == 1 && conn->state != NGX_HTTP_AI_REDIS_READY) {
            ngx_http_ai_redis_lane_fail(conn, lanes[i], 1);
            continue;
        }

        ngx_http_ai_redis_doom(conn, "no reply within %M ms", slot->timeout);
        ngx_http_ai_redis_close(conn);
        return;
    }

    if (armed && !ev->timer_set) {
        ngx_add_timer(ev, wait);
    }
}


void
ngx_http_ai_redis_lane_fail(ngx_http_ai_redis_conn_t *conn,
    ngx_http_ai_redis_lane_t *lane, ngx_uint_t call)
{
    ngx_uint_t                 n, status;
    ngx_queue_t                failed, *q;
    ngx_http_ai_redis_cmd_t   *cmd;
    ngx_http_ai_redis_slot_t  *slot;

    ngx_queue_init(&failed);

    /*
     * Popped first, called then: what a handler gives now is a new command
     * in an empty lane, and what it cancels is only forgotten.
     */

    for (n = lane->nslots; n; n--) {
        q = ngx_queue_head(&lane->slots);
        slot = ngx_queue_data(q, ngx_http_ai_redis_slot_t, queue);
        cmd = slot->cmd;

        ngx_http_ai_redis_pop(lane, slot);

        if (cmd) {
            cmd->slot = slot;
        }

        slot->borrowed = 0;
        ngx_queue_insert_tail(&failed, &slot->queue);
    }

    ngx_http_ai_redis_out_reset(conn->redis, lane);

    while (!ngx_queue_empty(&failed)) {
        q = ngx_queue_head(&failed);
        ngx_queue_remove(q);

        slot = ngx_queue_data(q, ngx_http_ai_redis_slot_t, queue);
        cmd = slot->cmd;
        status = NGX_HTTP_AI_REDIS_CLOSED;

        if ((ngx_msec_int_t) (slot->deadline - ngx_current_msec) <= 0) {
            status = NGX_HTTP_AI_REDIS_TIMEOUT;
            conn->info.timeouts++;
        }

        ngx_http_ai_redis_slot_free(slot);

        if (cmd) {
            cmd->slot = NULL;

            if (call && cmd->handler) {
                cmd->handler(cmd, NULL, status);
            }
        }
    }
}


void
ngx_http_ai_redis_cancel(ngx_http_ai_redis_cmd_t *cmd)
{
    ngx_http_ai_redis_slot_t  *slot;

    slot = cmd->slot;

    if (slot == NULL) {
        return;
    }

    cmd->slot = NULL;
    slot->cmd = NULL;

    if (slot->borrowed
        && ngx_http_ai_redis_out_own(slot->conn->redis,
                                     ngx_http_ai_redis_lane(slot), slot->seg,
                                     slot->end)
           != NGX_OK)
    {
        /*
         * What cannot be kept must not be read any more: the flush that is
         * posted fails the whole lane before it writes.
         */

        ngx_http_ai_redis_lane(slot)->out = NULL;
        slot->conn->lane.broken = 1;
        ngx_http_ai_redis_post_flush(slot->conn);
    }
}


void
ngx_http_ai_redis_dispatch(ngx_http_ai_redis_conn_t *conn, ai_resp_t *reply)
{
    ngx_uint_t                 status, error;
    ngx_queue_t               *q;
    ngx_http_ai_redis_cmd_t   *cmd;
    ngx_http_ai_redis_lane_t  *lane;
    ngx_http_ai_redis_slot_t  *slot;
    u_char                     buf[128];
    ngx_str_t                  text;

    if (conn->subscribing || (conn->which == NGX_HTTP_AI_REDIS_SUB
                              && conn->state == NGX_HTTP_AI_REDIS_READY))
    {
        ngx_http_ai_redis_sub_dispatch(conn, reply);
        return;
    }

    lane = (conn->state == NGX_HTTP_AI_REDIS_READY) ? &conn->lane
                                                    : &conn->early;

    q = ngx_queue_head(&lane->slots);
    slot = ngx_queue_data(q, ngx_http_ai_redis_slot_t, queue);

    if (ngx_queue_empty(&lane->slots) || slot->end > lane->sent) {

        if (reply->type == AI_RESP_ERROR) {
            text = ngx_http_ai_redis_error_text(reply, buf, sizeof(buf));
            ngx_http_ai_redis_doom(conn, "the server says: %V", &text);
            return;
        }

        ngx_http_ai_redis_doom(conn, "a reply that nothing had asked for");
        return;
    }

    status = NGX_HTTP_AI_REDIS_OK;
    error = NGX_HTTP_AI_REDIS_E_NONE;

    if (reply->type == AI_RESP_ERROR) {
        status = NGX_HTTP_AI_REDIS_ERROR;
        error = ngx_http_ai_redis_error(slot, reply);

        if (error == NGX_HTTP_AI_REDIS_E_NOSCRIPT && slot->script
            && slot->tries < 2)
        {
            status = ngx_http_ai_redis_again(slot);

            if (status == NGX_HTTP_AI_REDIS_OK) {
                return;
            }

            reply = NULL;
        }
    }

    cmd = slot->cmd;

    ngx_http_ai_redis_pop(lane, slot);
    ngx_http_ai_redis_out_release(conn->redis, lane);
    ngx_http_ai_redis_slot_free(slot);

    /*
     * A PING stands behind commands that may wait longer than itself: its time
     * begins when it has become the head.
     */

    if (!ngx_queue_empty(&lane->slots)) {
        q = ngx_queue_head(&lane->slots);
        slot = ngx_queue_data(q, ngx_http_ai_redis_slot_t, queue);

        if (slot->internal) {
            slot->deadline = ngx_current_msec + slot->timeout;
        }
    }

    if (cmd && cmd->handler) {
        cmd->error = error;
        cmd->handler(cmd, reply, status);
    }

    if (lane == &conn->early && !conn->doomed) {
        ngx_http_ai_redis_handshake_next(conn);
    }
}


/* Whether to log a command's error: one a second. */

static ngx_uint_t
ngx_http_ai_redis_warn(ngx_http_ai_redis_conn_t *conn)
{
    if (conn->warned && ngx_current_msec - conn->warned < 1000) {
        return 0;
    }

    conn->warned = ngx_current_msec;

    return 1;
}


/* Counts an error reply, and dooms the connection where it tells us to. */

static ngx_uint_t
ngx_http_ai_redis_error(ngx_http_ai_redis_slot_t *slot, ai_resp_t *reply)
{
    u_char                     buf[128];
    ngx_str_t                  text;
    ngx_uint_t                 error;
    ngx_http_ai_redis_conn_t  *conn;

    conn = slot->conn;
    error = ngx_http_ai_redis_classify(reply);

    if (error == NGX_HTTP_AI_REDIS_E_NOSCRIPT && slot->script) {
        return error;
    }

    conn->info.errors++;

    text = ngx_http_ai_redis_error_text(reply, buf, sizeof(buf));

    if (slot->cmd == NULL && ngx_http_ai_redis_warn(conn)) {
        ngx_log_error(NGX_LOG_WARN, conn->redis->log, 0,
                      "ai_redis: %s: a command nobody waits for failed: %V",
                      conn->name, &text);
    }

    if (slot->early) {
        return error;
    }

    if (error == NGX_HTTP_AI_REDIS_E_READONLY
        || error == NGX_HTTP_AI_REDIS_E_LOADING
        || error == NGX_HTTP_AI_REDIS_E_MASTERDOWN
        || (error == NGX_HTTP_AI_REDIS_E_NOREPLICAS
            && conn->redis->conf->sentinels.nelts))
    {
        ngx_http_ai_redis_doom(conn, "the server says: %V", &text);

    } else if (error == NGX_HTTP_AI_REDIS_E_MOVED
               && ngx_http_ai_redis_warn(conn))
    {
        ngx_log_error(NGX_LOG_ERR, conn->redis->log, 0,
                      "ai_redis: %s: the server is part of a cluster, which "
                      "ai_redis does not follow: %V", conn->name, &text);
    }

    return error;
}


/*
 * The server does not know the script: the command goes out again, as EVAL, or
 * by its hash behind an EVAL that is already under way.
 */

static ngx_uint_t
ngx_http_ai_redis_again(ngx_http_ai_redis_slot_t *slot)
{
    size_t                     bytes;
    uint64_t                   begin, from, to;
    ngx_uint_t                 id;
    const ai_script_t         *script;
    ngx_http_ai_redis_t       *redis;
    ngx_http_ai_redis_seg_t   *last;
    ngx_http_ai_redis_lane_t  *lane;

    redis = slot->conn->redis;
    lane = ngx_http_ai_redis_lane(slot);

    id = slot->script - 1;
    script = &ai_scripts[id];

    from = slot->args;
    to = slot->end;
    bytes = (size_t) (to - from) + script->len + 4 * NGX_HTTP_AI_REDIS_ARG
            + 64;

    if (ngx_http_ai_redis_out_reserve(redis, lane, bytes, 0, 0) != NGX_OK) {
        return NGX_HTTP_AI_REDIS_FULL;
    }

    slot->tries++;

    begin = lane->taken;
    last = lane->last;

    ngx_http_ai_redis_out_size(redis, lane, '*', slot->argc);

    if (slot->begin < lane->evals[id]) {
        ngx_http_ai_redis_out_arg(redis, lane, "EVALSHA",
                                  sizeof("EVALSHA") - 1);
        ngx_http_ai_redis_out_arg(redis, lane, script->sha1, 40);

    } else {
        lane->evals[id] = begin;
        ngx_http_ai_redis_out_arg(redis, lane, "EVAL", sizeof("EVAL") - 1);
        ngx_http_ai_redis_out_arg(redis, lane, script->source, script->len);
    }

    slot->args = lane->taken;

    ngx_http_ai_redis_out_again(redis, lane, slot->seg, from, to);

    slot->begin = begin;

    ngx_queue_remove(&slot->queue);
    ngx_queue_insert_tail(&lane->slots, &slot->queue);

    ngx_http_ai_redis_taken(slot, last);
    ngx_http_ai_redis_out_release(redis, lane);

    return NGX_HTTP_AI_REDIS_OK;
}
