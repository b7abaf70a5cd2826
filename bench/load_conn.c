/*
 * Load generator: one HTTP/1.1 request at a time over a kept connection.
 * A connection owns its descriptor; answers are scanned, never stored.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "load.h"


enum {
    CHUNK_SIZE = 0,
    CHUNK_EXTENSION,
    CHUNK_DATA,
    CHUNK_DATA_END,
    CHUNK_TRAILER
};


static int load_conn_connect(load_conn_t *c, int epoll);
static int load_conn_send(load_conn_t *c, int epoll);
static int load_conn_read(load_conn_t *c, uint32_t expect);
static int load_conn_head(load_conn_t *c, const char **p, const char *end);
static int load_conn_body(load_conn_t *c, const char **p, const char *end,
    uint64_t now);
static int load_conn_chunked(load_conn_t *c, const char **p, const char *end,
    uint64_t now);
static void load_conn_field(load_conn_t *c);
static void load_conn_content(load_conn_t *c, const char *p, size_t len,
    uint64_t now);
static void load_conn_line(load_conn_t *c, uint64_t now);
static void load_conn_mark(load_conn_t *c, const char *p, uint64_t now);
static int load_conn_end(load_conn_t *c, uint32_t expect);
static int load_conn_broken(load_conn_t *c);
static void load_conn_watch(load_conn_t *c, int epoll, int op, int out);


int
load_conn_start(load_conn_t *c, int epoll, uint64_t serial)
{
    c->sent = 0;
    c->line_len = 0;
    c->left = 0;
    c->chunks = 0;
    c->chunk_ns = 0;
    c->status = 0;
    c->chunk_step = CHUNK_SIZE;
    c->chunked = 0;
    c->length = 0;
    c->close = c->target->close;
    c->first_line = 1;
    c->ended = 0;
    c->failed = 0;
    c->retry_ns = 0;

    c->key = NULL;

    if (c->target->nkeys) {
        c->key = c->target->keys
                 + c->target->key_next++ % c->target->nkeys
                   * c->target->key_len;
    }

    snprintf(c->serial, sizeof(c->serial), "%016llx",
             (unsigned long long) serial);

    c->start_ns = load_now();

    if (c->fd == -1) {
        if (load_conn_connect(c, epoll) != 0) {
            (void) load_conn_broken(c);
            return -1;
        }

        return 0;
    }

    c->state = LOAD_SENDING;

    if (load_conn_send(c, epoll) != 0) {
        (void) load_conn_broken(c);
        return -1;
    }

    return 0;
}


static int
load_conn_connect(load_conn_t *c, int epoll)
{
    int             on, rc;
    load_target_t  *t = c->target;

    c->fd = socket(t->addr.ss_family,
                   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (c->fd == -1) {
        return -1;
    }

    on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    rc = connect(c->fd, (struct sockaddr *) &t->addr, t->addr_len);

    if (rc != 0 && errno != EINPROGRESS) {
        return -1;
    }

    c->state = LOAD_CONNECTING;
    load_conn_watch(c, epoll, EPOLL_CTL_ADD, 1);

    return 0;
}


int
load_conn_event(load_conn_t *c, int epoll, uint32_t events, uint32_t expect)
{
    int        error;
    socklen_t  len;

    if (c->state == LOAD_IDLE) {
        load_conn_close(c);
        return 0;
    }

    if (c->state == LOAD_CONNECTING && (events & (EPOLLOUT | EPOLLERR))) {
        len = sizeof(error);

        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0
            || error != 0)
        {
            return load_conn_broken(c);
        }

        c->state = LOAD_SENDING;
    }

    if (c->state == LOAD_SENDING && load_conn_send(c, epoll) != 0) {
        return load_conn_broken(c);
    }

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        return load_conn_read(c, expect);
    }

    return 0;
}


/* What is not sent yet lies in up to five pieces: key and serial differ. */

static int
load_conn_send(load_conn_t *c, int epoll)
{
    int             n;
    size_t          skip, len, from;
    ssize_t         rc;
    struct iovec    iov[5];
    load_target_t  *t = c->target;

    for ( ;; ) {
        from = 0;
        n = 0;
        skip = c->sent;

#define part(base, size)                                                      \
        len = (size);                                                         \
        if (skip >= len) {                                                    \
            skip -= len;                                                      \
        } else {                                                              \
            iov[n].iov_base = (char *) (base) + skip;                         \
            iov[n++].iov_len = len - skip;                                    \
            skip = 0;                                                         \
        }

        if (c->key != NULL) {
            part(t->request, t->key_at)
            part(c->key, t->key_len)
            from = t->key_at + t->key_len;
        }

        if (t->serial_at) {
            part(t->request + from, t->serial_at - from)
            part(c->serial, 16)
            from = t->serial_at + 16;
        }

        part(t->request + from, t->request_len - from)

#undef part

        if (n == 0) {
            c->state = LOAD_HEAD;
            load_conn_watch(c, epoll, EPOLL_CTL_MOD, 0);
            return 0;
        }

        rc = writev(c->fd, iov, n);

        if (rc == -1) {

            if (errno == EAGAIN || errno == EINTR) {
                load_conn_watch(c, epoll, EPOLL_CTL_MOD, 1);
                return 0;
            }

            return -1;
        }

        c->sent += (size_t) rc;
    }
}


static int
load_conn_read(load_conn_t *c, uint32_t expect)
{
    int          rc;
    ssize_t      n;
    uint64_t     now;
    const char  *p, *end;
    static char  buf[256 * 1024];

    n = recv(c->fd, buf, sizeof(buf), 0);

    if (n == -1) {
        return (errno == EAGAIN || errno == EINTR) ? 0 : load_conn_broken(c);
    }

    if (n == 0) {

        if (c->state == LOAD_BODY && !c->length && !c->chunked) {
            c->close = 1;
            return load_conn_end(c, expect);
        }

        return load_conn_broken(c);
    }

    now = load_now();
    c->result->bytes += (uint64_t) n;

    p = buf;
    end = buf + n;

    if (c->state == LOAD_SENDING) {
        c->state = LOAD_HEAD;
        c->close = 1;
    }

    rc = 0;

    if (c->state == LOAD_HEAD) {
        rc = load_conn_head(c, &p, end);
    }

    if (rc == 0 && c->state == LOAD_BODY) {
        rc = load_conn_body(c, &p, end, now);
    }

    if (rc == -1 || (rc == 1 && p != end)) {
        return load_conn_broken(c);
    }

    return rc == 1 ? load_conn_end(c, expect) : 0;
}


static int
load_conn_head(load_conn_t *c, const char **p, const char *end)
{
    const char  *q;

    for (q = *p; q < end; q++) {

        if (*q != '\n') {

            if (c->line_len < LOAD_LINE - 1) {
                c->line[c->line_len++] = *q;
            }

            continue;
        }

        if (c->line_len > 0 && c->line[c->line_len - 1] == '\r') {
            c->line_len--;
        }

        c->line[c->line_len] = '\0';

        if (c->first_line) {

            if (strncmp(c->line, "HTTP/1.", 7) != 0 || c->line_len < 12) {
                return -1;
            }

            c->status = atoi(c->line + 9);
            c->first_line = 0;

        } else if (c->line_len > 0) {
            load_conn_field(c);

        } else if (c->status >= 100 && c->status < 200) {
            c->first_line = 1;

        } else {
            c->line_len = 0;
            *p = q + 1;

            if (c->status == 204 || c->status == 304) {
                return 1;
            }

            c->state = LOAD_BODY;

            return (c->length && !c->chunked && c->left == 0) ? 1 : 0;
        }

        c->line_len = 0;
    }

    *p = q;

    return 0;
}


static void
load_conn_field(load_conn_t *c)
{
    if (strncasecmp(c->line, "content-length:", 15) == 0) {
        c->left = strtoull(c->line + 15, NULL, 10);
        c->length = 1;

    } else if (strncasecmp(c->line, "transfer-encoding:", 18) == 0) {
        c->chunked = (strcasestr(c->line + 18, "chunked") != NULL);

    } else if (strncasecmp(c->line, "connection:", 11) == 0
               && strcasestr(c->line + 11, "close") != NULL)
    {
        c->close = 1;
    }
}


/* 1: the body is complete. */

static int
load_conn_body(load_conn_t *c, const char **p, const char *end, uint64_t now)
{
    size_t  n;

    if (c->chunked) {
        return load_conn_chunked(c, p, end, now);
    }

    n = (size_t) (end - *p);

    if (c->length && n > c->left) {
        n = c->left;
    }

    load_conn_content(c, *p, n, now);
    *p += n;

    if (!c->length) {
        return 0;
    }

    c->left -= n;

    return c->left == 0;
}


static int
load_conn_chunked(load_conn_t *c, const char **p, const char *end,
    uint64_t now)
{
    int     digit;
    size_t  n;

    while (*p < end) {

        switch (c->chunk_step) {

        case CHUNK_SIZE:
            digit = **p | 0x20;

            if (digit >= '0' && digit <= '9') {
                c->left = c->left * 16 + (uint64_t) (digit - '0');

            } else if (digit >= 'a' && digit <= 'f') {
                c->left = c->left * 16 + (uint64_t) (digit - 'a' + 10);

            } else {
                c->chunk_step = CHUNK_EXTENSION;
                continue;
            }

            if (c->left > ((uint64_t) 1 << 40)) {
                return -1;
            }

            break;

        case CHUNK_EXTENSION:
            if (**p == '\n') {
                c->chunk_step = c->left ? CHUNK_DATA : CHUNK_TRAILER;
            }
            break;

        case CHUNK_DATA:
            n = (size_t) (end - *p);
            n = n > c->left ? c->left : n;
            load_conn_content(c, *p, n, now);
            *p += n;
            c->left -= n;

            if (c->left == 0) {
                c->chunk_step = CHUNK_DATA_END;
            }

            continue;

        case CHUNK_DATA_END:
            if (**p == '\n') {
                c->chunk_step = CHUNK_SIZE;
            }
            break;

        default: /* CHUNK_TRAILER; left counts the bytes of its line */
            if (**p == '\n') {

                if (c->left == 0) {
                    (*p)++;
                    return 1;
                }

                c->left = 0;

            } else if (**p != '\r') {
                c->left++;
            }
        }

        (*p)++;
    }

    return 0;
}


static void
load_conn_content(load_conn_t *c, const char *p, size_t len, uint64_t now)
{
    size_t       n, room;
    const char  *eol;

    while (len > 0) {
        eol = memchr(p, '\n', len);
        n = eol ? (size_t) (eol - p) : len;

        room = LOAD_LINE - c->line_len;
        room = n < room ? n : room;

        memcpy(c->line + c->line_len, p, room);
        c->line_len += room;

        if (eol == NULL) {
            return;
        }

        load_conn_line(c, now);
        c->line_len = 0;

        p += n + 1;
        len -= n + 1;
    }
}


static void
load_conn_line(load_conn_t *c, uint64_t now)
{
    const char  *p, *q, *end;

#define has(s)  (memmem(c->line, c->line_len, s, sizeof(s) - 1) != NULL)

    p = c->line;
    end = p + c->line_len;

    while (end - p >= LOAD_MARK_LEN) {
        q = memchr(p, '~', (size_t) (end - p));

        if (q == NULL || end - q < LOAD_MARK_LEN) {
            break;
        }

        if (q[17] == '.' && q[26] == '.' && q[43] == '~') {
            load_conn_mark(c, q, now);
            return;
        }

        p = q + 1;
    }

    if (!c->target->stream || c->line_len < 5) {
        return;
    }

    if (has("[DONE]") || has("event: message_stop")) {
        c->ended = 1;

    } else if (has("event: error") || has("data: {\"error\"")) {
        c->failed = 1;
    }

#undef has
}


static void
load_conn_mark(load_conn_t *c, const char *p, uint64_t now)
{
    uint64_t        received, sent, mock;
    unsigned long   seq;
    load_result_t  *r = c->result;

    received = strtoull(p + 1, NULL, 16);
    seq = strtoul(p + 18, NULL, 16);
    sent = strtoull(p + 27, NULL, 16);

    r->chunks++;

    if (seq != c->chunks) {
        r->gaps++;
        c->chunks = (uint32_t) seq;
    }

    load_hist_add(&r->delay, now > sent ? now - sent : 0);

    if (c->chunks == 0) {
        load_hist_add(&r->ttft, now - c->start_ns);

        mock = sent - received;
        load_hist_add(&r->added_ttft, now - c->start_ns > mock
                                      ? now - c->start_ns - mock : 0);

    } else if (c->chunk_ns) {
        load_hist_add(&r->interval, now - c->chunk_ns);
    }

    c->chunks++;
    c->chunk_ns = now;
}


static int
load_conn_end(load_conn_t *c, uint32_t expect)
{
    uint64_t              now;
    load_result_t        *r = c->result;
    const load_target_t  *t = c->target;

    now = load_now();

    if (c->line_len > 0 && c->state == LOAD_BODY) {
        load_conn_line(c, now);
    }

    c->state = LOAD_IDLE;

    if (t->status != 0 ? c->status != t->status
                       : c->status < 200 || c->status > 299)
    {
        r->status_errors++;
        r->last_status = c->status;
        c->failed = 1;

    } else if (c->target->stream && c->failed) {
        r->stream_errors++;

    } else if (c->target->stream && !c->ended) {
        r->unended++;
        c->failed = 1;

    } else if (c->target->stream && expect && c->chunks != expect) {
        r->short_streams++;
        c->failed = 1;

    } else {
        r->requests++;
        load_hist_add(&r->latency, now - c->start_ns);
    }

    if (c->close) {
        load_conn_close(c);
    }

    return 1;
}


static int
load_conn_broken(load_conn_t *c)
{
    c->failed = 1;
    c->result->broken++;
    load_conn_close(c);

    return 1;
}


void
load_conn_close(load_conn_t *c)
{
    if (c->fd != -1) {
        close(c->fd);
    }

    c->fd = -1;
    c->state = LOAD_IDLE;
}


static void
load_conn_watch(load_conn_t *c, int epoll, int op, int out)
{
    struct epoll_event  ev;

    if (op == EPOLL_CTL_MOD && c->out == (unsigned) out) {
        return;
    }

    c->out = out ? 1 : 0;

    ev.events = out ? EPOLLIN | EPOLLOUT : EPOLLIN;
    ev.data.ptr = c;

    (void) epoll_ctl(epoll, op, c->fd, &ev);
}


uint64_t
load_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}
