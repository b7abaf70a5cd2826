/*
 * A connection to Redis: handshake, replies in order, subscriptions,
 * reconnects.  Owns the socket, the reader and the channels.
 */

#include "redis_in.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"


#define REDIS_TICK_MSEC      100
#define REDIS_HANDSHAKE_MSEC 5000
#define REDIS_PING_MSEC      1000       /* on a subscription */
#define REDIS_BACKOFF_MIN    50
#define REDIS_BACKOFF_MAX    2000
#define REDIS_KEEP_SIZE      (64 * 1024)    /* of what replies need */
#define REDIS_READS_MAX      16         /* a turn, then others go on */


static void redis_connect(redis_t *rc);
static void redis_on_open(redis_net_t *net);
static void redis_on_read(redis_net_t *net);
static void redis_on_write(redis_net_t *net);
static void redis_on_fail(redis_net_t *net, const char *why);
static void redis_on_tick(uv_timer_t *timer);
static void redis_on_closed(uv_handle_t *handle);
static int redis_drain(redis_t *rc);
static void redis_dispatch(redis_t *rc, ai_resp_t *reply);
static void redis_message(redis_t *rc, ai_resp_t *reply);
static void redis_subscribed(redis_t *rc, const ai_resp_t *reply);
static void redis_on_auth(redis_t *rc, ai_resp_t *reply, void *data);
static void redis_on_role(redis_t *rc, ai_resp_t *reply, void *data);
static int redis_useless(const redis_t *rc, const ai_resp_t *reply);
static int redis_is_error(const ai_resp_t *reply, const char *code);
static void redis_on_info(redis_t *rc, ai_resp_t *reply, void *data);
static void redis_subscribe_all(redis_t *rc);


redis_t *
redis_open(loop_t *loop, const redis_conf_t *conf, const char *name,
    const redis_events_t *ev, void *data)
{
    redis_t  *rc;

    rc = calloc(1, sizeof(*rc));
    if (rc == NULL) {
        return NULL;
    }

    rc->loop = loop;
    rc->conf = conf;
    rc->name = name;
    rc->ev = ev;
    rc->data = data;
    rc->seed = (unsigned) (uv_hrtime() ^ (uint64_t) (uintptr_t) rc);
    rc->flush.run = redis_flush;
    rc->flush.data = rc;

    redis_net_init(&rc->net, loop, conf);
    rc->net.on_open = redis_on_open;
    rc->net.on_read = redis_on_read;
    rc->net.on_write = redis_on_write;
    rc->net.on_fail = redis_on_fail;
    rc->net.data = rc;

    if (conf->nsentinels != 0) {
        sentinel_init(rc);
    }

    uv_timer_init(&loop->uv, &rc->timer);
    rc->timer.data = rc;
    uv_timer_start(&rc->timer, redis_on_tick, 0, REDIS_TICK_MSEC);

    return rc;
}


void
redis_close(redis_t *rc)
{
    if (rc->state == REDIS_CLOSED) {
        return;
    }

    if (rc->state == REDIS_READY) {
        redis_flush(rc);
    }

    rc->ev = NULL;
    redis_fail(rc, NULL);
    rc->state = REDIS_CLOSED;
    sentinel_done(rc);
    loop_undefer(rc->loop, &rc->flush);
    uv_close((uv_handle_t *) &rc->timer, redis_on_closed);
}


static void
redis_on_closed(uv_handle_t *handle)
{
    unsigned  i;
    redis_t  *rc;

    rc = handle->data;

    for (i = 0; i < rc->nchannels; i++) {
        free(rc->channels[i]);
    }

    ai_resp_free(&rc->reader);
    redis_net_free(&rc->net);
    free(rc->pending);
    free(rc->out);
    free(rc);
}


int
redis_ready(const redis_t *rc)
{
    return rc->state == REDIS_READY;
}


static void
redis_connect(redis_t *rc)
{
    if (rc->conf->nsentinels != 0) {
        sentinel_connect(rc);

    } else {
        redis_dial(rc, rc->conf->path[0] != '\0' ? NULL : &rc->conf->host);
    }
}


void
redis_dial(redis_t *rc, const redis_host_t *host)
{
    static const ai_resp_limits_t  limits = {
        REDIS_REPLY_MAX, REDIS_ITEMS_MAX, AI_RESP_DEPTH_MAX, REDIS_KEEP_SIZE
    };

    ai_resp_free(&rc->reader);
    ai_resp_init(&rc->reader, &limits);
    rc->broken = 0;
    rc->moved = 0;
    rc->why[0] = '\0';
    rc->out_pos = 0;
    rc->out_len = 0;
    rc->known = 0;
    rc->state = REDIS_CONNECTING;
    redis_net_connect(&rc->net, host);
}


static void
redis_on_open(redis_net_t *net)
{
    char      db[16];
    redis_t  *rc;
    ai_str_t  argv[3];

    rc = net->data;
    rc->state = REDIS_HANDSHAKE;
    rc->heard_at_msec = uv_now(&rc->loop->uv);

    if (rc->sentinel.asking) {
        sentinel_ask(rc);
        return;
    }

    redis_auth(rc, rc->conf->user, rc->conf->password);

    if (rc->conf->db != 0) {
        argv[0] = ai_str("SELECT");
        argv[1].len = (size_t) snprintf(db, sizeof(db), "%d", rc->conf->db);
        argv[1].data = db;
        redis_send(rc, REDIS_HANDSHAKE_MSEC, redis_on_auth, NULL, 2, argv);
    }

    argv[0] = ai_str("CLIENT");
    argv[1] = ai_str("SETNAME");
    argv[2] = ai_str("ngx-ai-worker");
    redis_send(rc, REDIS_HANDSHAKE_MSEC, NULL, NULL, 3, argv);

    argv[0] = ai_str("ROLE");
    redis_send(rc, REDIS_HANDSHAKE_MSEC, redis_on_role, NULL, 1, argv);

    /* of these three only PING is refused by a server that loads its data */

    argv[0] = ai_str("PING");
    redis_send(rc, REDIS_HANDSHAKE_MSEC, redis_on_auth, NULL, 1, argv);

    argv[0] = ai_str("INFO");
    argv[1] = ai_str("server");
    redis_send(rc, REDIS_HANDSHAKE_MSEC, redis_on_info, NULL, 2, argv);
}


void
redis_auth(redis_t *rc, const char *user, const char *password)
{
    unsigned  n;
    ai_str_t  argv[3];

    if (password[0] == '\0') {
        return;
    }

    n = 0;
    argv[n++] = ai_str("AUTH");

    if (user[0] != '\0') {
        argv[n++] = (ai_str_t) { strlen(user), user };
    }

    argv[n++] = (ai_str_t) { strlen(password), password };
    redis_send(rc, REDIS_HANDSHAKE_MSEC, redis_on_auth, NULL, n, argv);
}


void
redis_refuse(redis_t *rc, const ai_resp_t *reply)
{
    redis_break(rc, "%.*s", reply->len < 190 ? (int) reply->len : 190,
                reply->str);
}


void
redis_break(redis_t *rc, const char *fmt, ...)
{
    va_list  args;

    rc->broken = 1;

    if (rc->why[0] == '\0') {
        va_start(args, fmt);
        vsnprintf(rc->why, sizeof(rc->why), fmt, args);
        va_end(args);
    }
}


static void
redis_on_auth(redis_t *rc, ai_resp_t *reply, void *data)
{
    (void) data;

    if (reply != NULL && reply->type == AI_RESP_ERROR) {
        redis_refuse(rc, reply);
    }
}


/* Who may not ask for it is believed, but where there is a Sentinel. */

static void
redis_on_role(redis_t *rc, ai_resp_t *reply, void *data)
{
    (void) data;

    if (reply == NULL) {
        return;
    }

    if (reply->type == AI_RESP_ERROR && rc->conf->nsentinels == 0) {
        return;
    }

    if (!ai_str_eqz(redis_str(redis_item(reply, 0)), "master")) {
        redis_break(rc, "the server is not the master");
    }
}


/* A server that does not tell its run id counts as another one. */

static void
redis_on_info(redis_t *rc, ai_resp_t *reply, void *data)
{
    int          restarted;
    char         id[sizeof(rc->run_id)];
    size_t       n;
    const char  *p;

    (void) data;

    if (reply == NULL || rc->broken) {
        return;
    }

    id[0] = '\0';

    if (reply->type == AI_RESP_STRING) {
        p = strstr(reply->str, "run_id:");

        if (p != NULL) {
            p += sizeof("run_id:") - 1;
            n = strcspn(p, "\r\n");

            if (n < sizeof(id)) {
                memcpy(id, p, n);
                id[n] = '\0';
            }
        }

    } else if (redis_is_error(reply, "NOAUTH")) {
        redis_refuse(rc, reply);
        return;
    }

    restarted = rc->run_id[0] != '\0' && strcmp(id, rc->run_id) != 0;
    memcpy(rc->run_id, id, sizeof(id));

    rc->state = REDIS_READY;
    rc->backoff_msec = 0;
    rc->said_lost = 0;
    redis_subscribe_all(rc);

    if (rc->conf->nsentinels != 0) {
        sentinel_ready(rc);

    } else {
        log_write(LOG_DEBUG, "redis", "%s: ready", rc->name);
    }

    if (rc->ev != NULL && rc->ev->ready != NULL) {
        rc->ev->ready(rc, restarted, rc->data);
    }
}


static void
redis_on_fail(redis_net_t *net, const char *why)
{
    redis_fail(net->data, why);
}


void
redis_fail(redis_t *rc, const char *why)
{
    unsigned          i, first, count, size;
    redis_state_e     state;
    redis_pending_t  *pending, *p;

    state = rc->state;

    if (state == REDIS_WAITING && why != NULL) {
        return;
    }

    redis_net_close(&rc->net);

    if (why != NULL && !rc->said_lost) {
        rc->said_lost = 1;
        log_write(LOG_WARN, "redis", "%s: %s: %s", rc->name,
                  state == REDIS_READY ? "connection lost" : "not connected",
                  why);
    }

    rc->state = REDIS_WAITING;
    rc->out_pos = 0;
    rc->out_len = 0;
    rc->retry_at_msec = uv_now(&rc->loop->uv);

    if (!sentinel_more(rc)) {
        rc->backoff_msec = rc->backoff_msec == 0 ? REDIS_BACKOFF_MIN
                                                 : rc->backoff_msec * 2;
        if (rc->backoff_msec > REDIS_BACKOFF_MAX) {
            rc->backoff_msec = REDIS_BACKOFF_MAX;
        }

        rc->retry_at_msec += rc->backoff_msec / 2
                             + (unsigned) rand_r(&rc->seed)
                               % (rc->backoff_msec / 2 + 1);
    }

    pending = rc->pending;
    first = rc->pending_first;
    count = rc->pending_count;
    size = rc->pending_size;

    rc->pending = NULL;
    rc->pending_first = 0;
    rc->pending_count = 0;
    rc->pending_size = 0;

    for (i = 0; i < count; i++) {
        p = &pending[(first + i) % size];
        free(p->tail);

        if (p->cb != NULL) {
            p->cb(rc, NULL, p->data);
        }
    }

    free(pending);

    if (state == REDIS_READY && rc->ev != NULL && rc->ev->lost != NULL) {
        rc->ev->lost(rc, rc->data);
    }
}


static void
redis_on_tick(uv_timer_t *timer)
{
    redis_t   *rc;
    uint64_t   now;
    ai_str_t   ping;

    rc = timer->data;
    now = uv_now(&rc->loop->uv);

    switch (rc->state) {

    case REDIS_WAITING:
        if (now >= rc->retry_at_msec) {
            redis_connect(rc);
        }
        return;

    case REDIS_CONNECTING:
        redis_net_tick(&rc->net, now);
        return;

    case REDIS_CLOSED:
        return;

    default:
        break;
    }

    if (rc->moved) {
        redis_fail(rc, "the master is another now");
        return;
    }

    if (rc->pending_count != 0
        && now >= rc->pending[rc->pending_first].deadline_msec)
    {
        redis_fail(rc, "no reply in time");
        return;
    }

    if (rc->nchannels == 0 || rc->state != REDIS_READY) {
        return;
    }

    if (now >= rc->heard_at_msec + REDIS_COMMAND_MSEC) {
        redis_fail(rc, "silent");
        return;
    }

    if (now >= rc->pinged_at_msec + REDIS_PING_MSEC) {
        rc->pinged_at_msec = now;
        ping = ai_str("PING");

        redis_write(rc, 1, &ping);
    }
}


static void
redis_on_write(redis_net_t *net)
{
    redis_flush(net->data);
}


/* Subscriptions. */

int
redis_subscribe(redis_t *rc, ai_str_t channel)
{
    char  *copy;

    if (rc->nchannels == REDIS_CHANNELS_MAX) {
        return -1;
    }

    copy = malloc(channel.len + 1);
    if (copy == NULL) {
        return -1;
    }

    memcpy(copy, channel.data, channel.len);
    copy[channel.len] = '\0';
    rc->channels[rc->nchannels++] = copy;

    if (rc->state == REDIS_READY) {
        redis_subscribe_all(rc);
    }

    return 0;
}


static void
redis_subscribe_all(redis_t *rc)
{
    ai_str_t  argv[1 + REDIS_CHANNELS_MAX];
    unsigned  i;

    if (rc->nchannels == 0) {
        return;
    }

    argv[0] = ai_str("SUBSCRIBE");

    for (i = 0; i < rc->nchannels; i++) {
        argv[i + 1] = (ai_str_t) { strlen(rc->channels[i]), rc->channels[i] };
    }

    if (redis_write(rc, i + 1, argv) != 0) {
        rc->broken = 1;
    }
}


/* Replies. */

static void
redis_on_read(redis_net_t *net)
{
    int          ok;
    char        *buf;
    size_t       size;
    ssize_t      n;
    redis_t     *rc;
    unsigned     i;

    rc = net->data;

    for (i = 0; i < REDIS_READS_MAX; i++) {

        buf = ai_resp_room(&rc->reader, &size);

        if (buf == NULL) {
            redis_fail(rc, "no memory for a reply");
            return;
        }

        n = redis_net_read(net, buf, size);

        if (n == 0) {
            break;
        }

        if (n == -1) {
            redis_fail(rc, "closed by the server");
            return;
        }

        rc->heard_at_msec = uv_now(&rc->loop->uv);
        ai_resp_fed(&rc->reader, (size_t) n);
        ok = redis_drain(rc);

        if (!ok || ((size_t) n < size && net->ssl == NULL)) {
            break;
        }
    }
}


/* The replies that are whole; 0 where the connection is no more. */

static int
redis_drain(redis_t *rc)
{
    ai_resp_t  *reply;

    for ( ;; ) {
        switch (ai_resp_next(&rc->reader, &reply)) {

        case AI_RESP_OK:
            break;

        case AI_RESP_AGAIN:
            return 1;

        case AI_RESP_OVER:
            redis_fail(rc, "a reply over its limits");
            return 0;

        case AI_RESP_MEMORY:
            redis_fail(rc, "no memory for a reply");
            return 0;

        default:
            redis_fail(rc, "malformed reply");
            return 0;
        }

        redis_dispatch(rc, reply);

        if (rc->broken) {
            redis_fail(rc, rc->why[0] != '\0' ? rc->why : "refused");
            return 0;
        }

        if (sentinel_follow(rc)) {
            return 0;
        }

        if (rc->state != REDIS_HANDSHAKE && rc->state != REDIS_READY) {
            return 0;
        }
    }
}


static void
redis_dispatch(redis_t *rc, ai_resp_t *reply)
{
    redis_pending_t  p;

    if (rc->state == REDIS_READY && rc->nchannels != 0
        && rc->pending_count == 0)
    {
        redis_message(rc, reply);
        return;
    }

    if (rc->pending_count == 0) {
        rc->broken = 1;
        return;
    }

    p = rc->pending[rc->pending_first];
    rc->pending_first = (rc->pending_first + 1) % rc->pending_size;
    rc->pending_count--;

    if (p.script != NULL) {

        if (reply->type == AI_RESP_ERROR
            && strncmp(reply->str, "NOSCRIPT", 8) == 0)
        {
            redis_eval(rc, &p);
            return;
        }

        free(p.tail);
    }

    if (rc->state == REDIS_READY && redis_useless(rc, reply)) {
        redis_refuse(rc, reply);

        if (p.cb != NULL) {
            p.cb(rc, NULL, p.data);
        }

    } else if (p.cb != NULL) {
        p.cb(rc, reply, p.data);
    }
}


/* Errors of a server that is no master, or not yet: nothing can be done there,
 * and what was asked of it has not been. */

static int
redis_useless(const redis_t *rc, const ai_resp_t *reply)
{
    return redis_is_error(reply, "READONLY")
           || redis_is_error(reply, "LOADING")
           || redis_is_error(reply, "MASTERDOWN")
           || (rc->conf->nsentinels != 0
               && redis_is_error(reply, "NOREPLICAS"));
}


static int
redis_is_error(const ai_resp_t *reply, const char *code)
{
    size_t  n;

    n = strlen(code);

    return reply->type == AI_RESP_ERROR && reply->len >= n
           && memcmp(reply->str, code, n) == 0;
}


static void
redis_message(redis_t *rc, ai_resp_t *reply)
{
    if (reply->type == AI_RESP_ERROR) {
        redis_refuse(rc, reply);
        return;
    }

    if (reply->type != AI_RESP_ARRAY || reply->elements != 3
        || !ai_str_eqz(redis_str(&reply->element[0]), "message"))
    {
        redis_subscribed(rc, reply);
        return;
    }

    if (rc->ev != NULL && rc->ev->message != NULL) {
        rc->ev->message(rc, redis_str(&reply->element[1]),
                        redis_str(&reply->element[2]), rc->data);
    }
}


static void
redis_subscribed(redis_t *rc, const ai_resp_t *reply)
{
    int64_t  n;

    if (ai_str_eqz(redis_str(redis_item(reply, 0)), "subscribe")
        && redis_int(redis_item(reply, 2), &n) == 0 && n == rc->nchannels
        && rc->ev != NULL && rc->ev->subscribed != NULL)
    {
        rc->ev->subscribed(rc, rc->data);
    }
}


ai_resp_t *
redis_take(redis_t *rc)
{
    return ai_resp_copy(&rc->reader);
}


int
redis_word(const ai_resp_t *reply, const char *word)
{
    return ai_str_eqz(ai_resp_str(ai_resp_item(reply, 0)), word);
}
