/*
 * A connection to Redis: handshake, commands in order, subscriptions,
 * reconnects.  Owns its buffers and the commands that wait for a reply.
 */

#include "redis.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "redis_net.h"


#define REDIS_TICK_MSEC      100
#define REDIS_COMMAND_MSEC   5000       /* until a reply */
#define REDIS_HANDSHAKE_MSEC 5000
#define REDIS_PING_MSEC      1000       /* on a subscription */
#define REDIS_BACKOFF_MIN    50
#define REDIS_BACKOFF_MAX    2000
#define REDIS_CHANNELS_MAX   128
#define REDIS_READ_SIZE      (64 * 1024)
#define REDIS_READS_MAX      16         /* a turn, then others go on */
#define REDIS_KEEP_SIZE      (256 * 1024)   /* an empty buffer over it goes */


typedef enum {
    REDIS_WAITING = 0,          /* for the next try */
    REDIS_CONNECTING,
    REDIS_HANDSHAKE,
    REDIS_READY,
    REDIS_CLOSED
} redis_state_e;

typedef struct {
    redis_reply_pt     cb;
    void              *data;
    uint64_t           deadline_msec;
    const ai_script_t *script;  /* NOSCRIPT is answered by EVAL */
    char              *tail;    /* its command behind the script's name */
    size_t             tail_len;
    unsigned           words;
} redis_pending_t;

struct redis_s {
    loop_t               *loop;
    const redis_conf_t   *conf;
    const char           *name;
    const redis_events_t *ev;
    void                 *data;

    redis_net_t           net;
    redis_state_e         state;
    redisReader          *reader;
    uv_timer_t            timer;
    loop_task_t           flush;

    char                 *out;      /* 0..out_pos sent, ..out_len to send */
    size_t                out_pos;
    size_t                out_len;
    size_t                out_size;

    redis_pending_t      *pending;  /* ring */
    unsigned              pending_first;
    unsigned              pending_count;
    unsigned              pending_size;

    char                 *channels[REDIS_CHANNELS_MAX];
    unsigned              nchannels;

    uint64_t              retry_at_msec;
    uint64_t              heard_at_msec;
    uint64_t              pinged_at_msec;
    unsigned              backoff_msec;
    unsigned              seed;
    char                  run_id[64];
    unsigned              broken:1;
    unsigned              taken:1;
    unsigned              said_lost:1;
};


static void redis_connect(redis_t *rc);
static void redis_on_open(redis_net_t *net);
static void redis_on_read(redis_net_t *net);
static void redis_on_write(redis_net_t *net);
static void redis_on_fail(redis_net_t *net, const char *why);
static void redis_on_tick(uv_timer_t *timer);
static void redis_on_closed(uv_handle_t *handle);
static void redis_flush(void *data);
static void redis_fail(redis_t *rc, const char *why);
static void redis_dispatch(redis_t *rc, redisReply *reply);
static void redis_message(redis_t *rc, redisReply *reply);
static void redis_on_auth(redis_t *rc, redisReply *reply, void *data);
static void redis_on_info(redis_t *rc, redisReply *reply, void *data);
static void redis_subscribe_all(redis_t *rc);
static int redis_send(redis_t *rc, unsigned msec, redis_reply_pt cb,
    void *data, unsigned argc, const ai_str_t *argv);
static int redis_room(redis_t *rc, size_t len);
static char *redis_put_head(char *p, char type, size_t n);
static char *redis_put_bulk(char *p, ai_str_t s);
static size_t redis_size(unsigned argc, const ai_str_t *argv);
static redis_pending_t *redis_push(redis_t *rc);
static void redis_eval(redis_t *rc, redis_pending_t *p);


int
redis_conf_parse(redis_conf_t *conf, const char *url)
{
    const char  *p, *at, *end, *colon;
    char        *tail;
    size_t       len;
    long         n;

    memset(conf, 0, sizeof(*conf));

    if (strncmp(url, "unix:", 5) == 0) {
        len = strlen(url + 5);

        if (len == 0 || len >= sizeof(conf->path)) {
            return -1;
        }

        memcpy(conf->path, url + 5, len + 1);
        return 0;
    }

    if (strncmp(url, "redis://", 8) == 0) {
        p = url + 8;

    } else if (strncmp(url, "rediss://", 9) == 0) {
        p = url + 9;
        conf->tls = 1;

    } else {
        return -1;
    }

    at = strrchr(p, '@');

    if (at != NULL) {
        colon = memchr(p, ':', (size_t) (at - p));

        if (colon == NULL) {
            colon = at;
        }

        if ((size_t) (colon - p) >= sizeof(conf->user)) {
            return -1;
        }

        memcpy(conf->user, p, (size_t) (colon - p));

        if (colon < at) {
            len = (size_t) (at - colon - 1);

            if (len >= sizeof(conf->password)) {
                return -1;
            }

            memcpy(conf->password, colon + 1, len);
        }

        p = at + 1;
    }

    if (*p == '[') {
        end = strchr(++p, ']');

        if (end == NULL) {
            return -1;
        }

        colon = end + 1;

    } else {
        end = p + strcspn(p, ":/");
        colon = end;
    }

    len = (size_t) (end - p);

    if (len == 0 || len >= sizeof(conf->host)) {
        return -1;
    }

    memcpy(conf->host, p, len);
    conf->port = 6379;

    if (*colon == ':') {
        n = strtol(colon + 1, &tail, 10);

        if (tail == colon + 1 || n < 1 || n > 65535) {
            return -1;
        }

        conf->port = (int) n;
        colon = tail;
    }

    if (*colon == '/' && colon[1] != '\0') {
        n = strtol(colon + 1, &tail, 10);

        if (*tail != '\0' || n < 0 || n > 65535) {
            return -1;
        }

        conf->db = (int) n;
        return 0;
    }

    return *colon == '\0' || *colon == '/' ? 0 : -1;
}


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

    if (rc->reader != NULL) {
        redisReaderFree(rc->reader);
    }

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
    if (rc->reader != NULL) {
        redisReaderFree(rc->reader);
    }

    rc->reader = redisReaderCreate();

    if (rc->reader == NULL) {
        redis_fail(rc, "no memory");
        return;
    }

    rc->broken = 0;
    rc->state = REDIS_CONNECTING;
    redis_net_connect(&rc->net);
}


static void
redis_on_open(redis_net_t *net)
{
    int       n;
    char      db[16];
    redis_t  *rc;
    ai_str_t  argv[3];

    rc = net->data;
    rc->state = REDIS_HANDSHAKE;
    rc->heard_at_msec = uv_now(&rc->loop->uv);

    if (rc->conf->password[0] != '\0') {
        n = 0;
        argv[n++] = ai_str("AUTH");

        if (rc->conf->user[0] != '\0') {
            argv[n++] = (ai_str_t) { strlen(rc->conf->user), rc->conf->user };
        }

        argv[n].len = strlen(rc->conf->password);
        argv[n++].data = rc->conf->password;
        redis_send(rc, REDIS_HANDSHAKE_MSEC, redis_on_auth, NULL,
                   (unsigned) n, argv);
    }

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

    argv[0] = ai_str("INFO");
    argv[1] = ai_str("server");
    redis_send(rc, REDIS_HANDSHAKE_MSEC, redis_on_info, NULL, 2, argv);
}


static void
redis_on_auth(redis_t *rc, redisReply *reply, void *data)
{
    (void) data;

    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        log_write(LOG_ERROR, "redis", "%s: %.*s", rc->name,
                  (int) (reply->len < 200 ? reply->len : 200), reply->str);
        rc->broken = 1;
    }
}


/*
 * A server that is loading its data answers no command yet; one that does not
 * tell its run id counts as another one.
 */

static void
redis_on_info(redis_t *rc, redisReply *reply, void *data)
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

    if (reply->type == REDIS_REPLY_STRING) {
        p = strstr(reply->str, "run_id:");

        if (p != NULL) {
            p += sizeof("run_id:") - 1;
            n = strcspn(p, "\r\n");

            if (n < sizeof(id)) {
                memcpy(id, p, n);
                id[n] = '\0';
            }
        }

    } else if (reply->type == REDIS_REPLY_ERROR
               && (strncmp(reply->str, "NOAUTH", 6) == 0
                   || strncmp(reply->str, "LOADING", 7) == 0))
    {
        log_write(LOG_WARN, "redis", "%s: %.*s", rc->name,
                  (int) (reply->len < 200 ? reply->len : 200), reply->str);
        rc->broken = 1;
        return;
    }

    restarted = rc->run_id[0] != '\0' && strcmp(id, rc->run_id) != 0;
    memcpy(rc->run_id, id, sizeof(id));

    rc->state = REDIS_READY;
    rc->backoff_msec = 0;
    rc->said_lost = 0;
    redis_subscribe_all(rc);
    log_write(LOG_DEBUG, "redis", "%s: ready", rc->name);

    if (rc->ev != NULL && rc->ev->ready != NULL) {
        rc->ev->ready(rc, restarted, rc->data);
    }
}


static void
redis_on_fail(redis_net_t *net, const char *why)
{
    redis_fail(net->data, why);
}


/* Ends the connection; why is NULL for redis_close. */

static void
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

    rc->backoff_msec = rc->backoff_msec == 0 ? REDIS_BACKOFF_MIN
                                             : rc->backoff_msec * 2;
    if (rc->backoff_msec > REDIS_BACKOFF_MAX) {
        rc->backoff_msec = REDIS_BACKOFF_MAX;
    }

    rc->retry_at_msec = uv_now(&rc->loop->uv) + rc->backoff_msec / 2
                        + (unsigned) rand_r(&rc->seed)
                          % (rc->backoff_msec / 2 + 1);

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

        if (redis_room(rc, redis_size(1, &ping)) == 0) {
            char  *p = rc->out + rc->out_len;

            p = redis_put_head(p, '*', 1);
            p = redis_put_bulk(p, ping);
            rc->out_len = (size_t) (p - rc->out);
        }
    }
}


/* Commands. */

int
redis_command(redis_t *rc, redis_reply_pt cb, void *data, unsigned argc,
    const ai_str_t *argv)
{
    return redis_command_wait(rc, 0, cb, data, argc, argv);
}


int
redis_command_wait(redis_t *rc, unsigned msec, redis_reply_pt cb, void *data,
    unsigned argc, const ai_str_t *argv)
{
    if (rc->state != REDIS_READY || rc->nchannels != 0) {
        return -1;
    }

    return redis_send(rc, REDIS_COMMAND_MSEC + msec, cb, data, argc, argv);
}


int
redis_commandf(redis_t *rc, redis_reply_pt cb, void *data, const char *fmt,
    ...)
{
    char         numbers[16][24];
    size_t       n;
    va_list      args;
    ai_str_t     argv[64];
    unsigned     argc, nnumbers;
    const char  *z;

    va_start(args, fmt);

    for (argc = 0, nnumbers = 0; *fmt != '\0' && argc < 64; argc++) {
        n = strcspn(fmt, " ");

        if (fmt[0] == '%' && fmt[1] == 's') {
            z = va_arg(args, const char *);
            argv[argc] = (ai_str_t) { strlen(z), z };

        } else if (fmt[0] == '%' && fmt[1] == 'b') {
            argv[argc] = va_arg(args, ai_str_t);

        } else if (fmt[0] == '%' && fmt[1] == 'd' && nnumbers < 16) {
            argv[argc].data = numbers[nnumbers];
            argv[argc].len = (size_t) snprintf(numbers[nnumbers], 24, "%lld",
                                        (long long) va_arg(args, int64_t));
            nnumbers++;

        } else {
            argv[argc] = (ai_str_t) { n, fmt };
        }

        fmt += n;
        fmt += *fmt == ' ';
    }

    va_end(args);

    return redis_command(rc, cb, data, argc, argv);
}


static int
redis_send(redis_t *rc, unsigned msec, redis_reply_pt cb, void *data,
    unsigned argc, const ai_str_t *argv)
{
    char             *p;
    unsigned          i;
    redis_pending_t  *pending;

    if (argc > REDIS_ARGS_MAX || redis_room(rc, redis_size(argc, argv)) != 0) {
        return -1;
    }

    pending = redis_push(rc);

    if (pending == NULL) {
        return -1;
    }

    pending->cb = cb;
    pending->data = data;
    pending->deadline_msec = uv_now(&rc->loop->uv) + msec;

    p = redis_put_head(rc->out + rc->out_len, '*', argc);

    for (i = 0; i < argc; i++) {
        p = redis_put_bulk(p, argv[i]);
    }

    rc->out_len = (size_t) (p - rc->out);

    return 0;
}


int
redis_script(redis_t *rc, ai_script_e script, ai_str_t prefix,
    redis_reply_pt cb, void *data, unsigned argc, const ai_str_t *argv)
{
    char              *p, *start;
    size_t             size;
    unsigned           i;
    redis_pending_t   *pending;
    const ai_script_t *s;

    if (rc->state != REDIS_READY || rc->nchannels != 0
        || argc > REDIS_ARGS_MAX)
    {
        return -1;
    }

    s = &ai_scripts[script];
    size = redis_size(argc, argv) + redis_size(1, &prefix) + 128;

    if (redis_room(rc, size) != 0) {
        return -1;
    }

    start = malloc(size);
    if (start == NULL) {
        return -1;
    }

    pending = redis_push(rc);
    if (pending == NULL) {
        free(start);
        return -1;
    }

    pending->cb = cb;
    pending->data = data;
    pending->deadline_msec = uv_now(&rc->loop->uv) + REDIS_COMMAND_MSEC;
    pending->script = s;
    pending->words = argc + 4;

    p = redis_put_bulk(start, ai_str("1"));
    p = redis_put_bulk(p, prefix);

    for (i = 0; i < argc; i++) {
        p = redis_put_bulk(p, argv[i]);
    }

    pending->tail = start;
    pending->tail_len = (size_t) (p - start);

    p = redis_put_head(rc->out + rc->out_len, '*', pending->words);
    p = redis_put_bulk(p, ai_str("EVALSHA"));
    p = redis_put_bulk(p, (ai_str_t) { 40, s->sha1 });
    memcpy(p, start, pending->tail_len);
    rc->out_len = (size_t) (p - rc->out) + pending->tail_len;

    return 0;
}


static void
redis_eval(redis_t *rc, redis_pending_t *p)
{
    char             *at;
    redis_pending_t  *pending;

    if (redis_room(rc, p->tail_len + p->script->len + 64) != 0
        || (pending = redis_push(rc)) == NULL)
    {
        free(p->tail);
        p->tail = NULL;

        if (p->cb != NULL) {
            p->cb(rc, NULL, p->data);
        }

        return;
    }

    pending->cb = p->cb;
    pending->data = p->data;
    pending->deadline_msec = uv_now(&rc->loop->uv) + REDIS_COMMAND_MSEC;

    at = redis_put_head(rc->out + rc->out_len, '*', p->words);
    at = redis_put_bulk(at, ai_str("EVAL"));
    at = redis_put_bulk(at, (ai_str_t) { p->script->len, p->script->source });
    memcpy(at, p->tail, p->tail_len);
    rc->out_len = (size_t) (at - rc->out) + p->tail_len;
    free(p->tail);
    p->tail = NULL;
}


static redis_pending_t *
redis_push(redis_t *rc)
{
    unsigned          i, size;
    redis_pending_t  *ring, *p;

    if (rc->pending_count == rc->pending_size) {

        if (rc->pending_count >= REDIS_PENDING_MAX) {
            return NULL;
        }

        size = rc->pending_size == 0 ? 64 : rc->pending_size * 2;
        ring = malloc(size * sizeof(*ring));

        if (ring == NULL) {
            return NULL;
        }

        for (i = 0; i < rc->pending_count; i++) {
            ring[i] = rc->pending[(rc->pending_first + i) % rc->pending_size];
        }

        free(rc->pending);
        rc->pending = ring;
        rc->pending_first = 0;
        rc->pending_size = size;
    }

    p = &rc->pending[(rc->pending_first + rc->pending_count)
                     % rc->pending_size];
    rc->pending_count++;
    memset(p, 0, sizeof(*p));

    return p;
}


/* Room for len more bytes to write, and a flush at the end of the turn. */

static int
redis_room(redis_t *rc, size_t len)
{
    char    *out;
    size_t   size;

    if (rc->out_pos == rc->out_len) {
        rc->out_pos = 0;
        rc->out_len = 0;
    }

    if (rc->out_len - rc->out_pos + len > REDIS_OUT_MAX) {
        return -1;
    }

    if (rc->out_size - rc->out_len < len && rc->out_pos != 0) {
        memmove(rc->out, rc->out + rc->out_pos, rc->out_len - rc->out_pos);
        rc->out_len -= rc->out_pos;
        rc->out_pos = 0;
    }

    if (rc->out_size - rc->out_len < len) {
        size = rc->out_size == 0 ? 16384 : rc->out_size;

        while (size - rc->out_len < len) {
            size *= 2;
        }

        out = realloc(rc->out, size);
        if (out == NULL) {
            return -1;
        }

        rc->out = out;
        rc->out_size = size;
    }

    loop_defer(rc->loop, LOOP_FLUSH, &rc->flush);

    return 0;
}


static size_t
redis_size(unsigned argc, const ai_str_t *argv)
{
    size_t    size;
    unsigned  i;

    size = 32;

    for (i = 0; i < argc; i++) {
        size += argv[i].len + 32;
    }

    return size;
}


static char *
redis_put_head(char *p, char type, size_t n)
{
    char   buf[24];
    char  *d;

    *p++ = type;
    d = buf + sizeof(buf);

    do {
        *--d = (char) ('0' + n % 10);
        n /= 10;
    } while (n != 0);

    memcpy(p, d, (size_t) (buf + sizeof(buf) - d));
    p += buf + sizeof(buf) - d;
    *p++ = '\r';
    *p++ = '\n';

    return p;
}


static char *
redis_put_bulk(char *p, ai_str_t s)
{
    p = redis_put_head(p, '$', s.len);

    if (s.len != 0) {
        memcpy(p, s.data, s.len);
    }

    p += s.len;
    *p++ = '\r';
    *p++ = '\n';

    return p;
}


static void
redis_flush(void *data)
{
    redis_t  *rc;
    ssize_t   n;

    rc = data;

    if (rc->state != REDIS_HANDSHAKE && rc->state != REDIS_READY) {
        return;
    }

    while (rc->out_pos < rc->out_len) {
        n = redis_net_write(&rc->net, rc->out + rc->out_pos,
                            rc->out_len - rc->out_pos);

        if (n == -1) {
            redis_fail(rc, "write failed");
            return;
        }

        if (n == 0) {
            redis_net_want_write(&rc->net, 1);
            return;
        }

        rc->out_pos += (size_t) n;
    }

    redis_net_want_write(&rc->net, 0);

    if (rc->out_size > REDIS_KEEP_SIZE) {
        free(rc->out);
        rc->out = NULL;
        rc->out_size = 0;
    }

    rc->out_pos = 0;
    rc->out_len = 0;
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
    char      *p;
    ai_str_t   argv[1 + REDIS_CHANNELS_MAX];
    unsigned   i;

    if (rc->nchannels == 0) {
        return;
    }

    argv[0] = ai_str("SUBSCRIBE");

    for (i = 0; i < rc->nchannels; i++) {
        argv[i + 1] = (ai_str_t) { strlen(rc->channels[i]), rc->channels[i] };
    }

    if (redis_room(rc, redis_size(i + 1, argv)) != 0) {
        rc->broken = 1;
        return;
    }

    p = redis_put_head(rc->out + rc->out_len, '*', i + 1);

    for (i = 0; i <= rc->nchannels; i++) {
        p = redis_put_bulk(p, argv[i]);
    }

    rc->out_len = (size_t) (p - rc->out);
}


/* Replies. */

static void
redis_on_read(redis_net_t *net)
{
    char         buf[REDIS_READ_SIZE];
    void        *reply;
    ssize_t      n;
    redis_t     *rc;
    unsigned     i;

    rc = net->data;

    for (i = 0; i < REDIS_READS_MAX; i++) {

        n = redis_net_read(net, buf, sizeof(buf));

        if (n == 0) {
            break;
        }

        if (n == -1) {
            redis_fail(rc, "closed by the server");
            return;
        }

        rc->heard_at_msec = uv_now(&rc->loop->uv);

        if (redisReaderFeed(rc->reader, buf, (size_t) n) != REDIS_OK) {
            redis_fail(rc, "no memory for a reply");
            return;
        }

        for ( ;; ) {
            if (redisReaderGetReply(rc->reader, &reply) != REDIS_OK) {
                redis_fail(rc, "malformed reply");
                return;
            }

            if (reply == NULL) {
                break;
            }

            redis_dispatch(rc, reply);

            if (rc->broken) {
                redis_fail(rc, "refused");
                return;
            }

            if (rc->state != REDIS_HANDSHAKE && rc->state != REDIS_READY) {
                return;
            }
        }

        if ((size_t) n < sizeof(buf) && net->ssl == NULL) {
            break;
        }
    }
}


static void
redis_dispatch(redis_t *rc, redisReply *reply)
{
    redis_pending_t  p;

    if (rc->state == REDIS_READY && rc->nchannels != 0
        && rc->pending_count == 0)
    {
        redis_message(rc, reply);
        freeReplyObject(reply);
        return;
    }

    if (rc->pending_count == 0) {
        rc->broken = 1;
        freeReplyObject(reply);
        return;
    }

    p = rc->pending[rc->pending_first];
    rc->pending_first = (rc->pending_first + 1) % rc->pending_size;
    rc->pending_count--;

    if (p.script != NULL) {

        if (reply->type == REDIS_REPLY_ERROR
            && strncmp(reply->str, "NOSCRIPT", 8) == 0)
        {
            freeReplyObject(reply);
            redis_eval(rc, &p);
            return;
        }

        free(p.tail);
    }

    rc->taken = 0;

    if (p.cb != NULL) {
        p.cb(rc, reply, p.data);
    }

    if (!rc->taken) {
        freeReplyObject(reply);
    }
}


static void
redis_message(redis_t *rc, redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        log_write(LOG_ERROR, "redis", "%s: %.*s", rc->name,
                  (int) (reply->len < 200 ? reply->len : 200), reply->str);
        rc->broken = 1;
        return;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3
        || !ai_str_eqz(redis_str(reply->element[0]), "message"))
    {
        return;
    }

    if (rc->ev != NULL && rc->ev->message != NULL) {
        rc->ev->message(rc, redis_str(reply->element[1]),
                        redis_str(reply->element[2]), rc->data);
    }
}


void
redis_take(redis_t *rc)
{
    rc->taken = 1;
}


ai_str_t
redis_str(const redisReply *reply)
{
    if (reply == NULL
        || (reply->type != REDIS_REPLY_STRING
            && reply->type != REDIS_REPLY_STATUS))
    {
        return (ai_str_t) { 0, "" };
    }

    return (ai_str_t) { (size_t) reply->len, reply->str };
}


const redisReply *
redis_item(const redisReply *reply, size_t i)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || i >= reply->elements)
    {
        return NULL;
    }

    return reply->element[i];
}


int
redis_word(const redisReply *reply, const char *word)
{
    return ai_str_eqz(redis_str(redis_item(reply, 0)), word);
}


int
redis_int(const redisReply *reply, int64_t *n)
{
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER) {
        *n = reply->integer;
        return 0;
    }

    return ai_str_int(redis_str(reply), n);
}
