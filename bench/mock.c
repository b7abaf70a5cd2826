/*
 * Mock provider for benchmarks and tests: OpenAI chat completions and
 * Anthropic messages over HTTP/1.1, with timing and faults on request.
 * Owns the listening sockets, the connections, their timers and the counters.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mock.h"


#define MOCK_MAX_LISTEN     4
#define MOCK_MAX_PROCESSES  16
#define MOCK_MAX_EVENTS     256
#define MOCK_READ_BYTES     (64 * 1024)      /* of one connection, a turn */
#define MOCK_KEEP_BYTES     (16 * 1024)      /* of an idle buffer */
#define MOCK_IDLE_NS        (600ull * 1000000000)
#define MOCK_REQUEST_NS     (60ull * 1000000000)


typedef struct {
    mock_listen_t    listen[MOCK_MAX_LISTEN];
    unsigned         nlisten;
    unsigned         processes;
    unsigned         max_conns;
    mock_opts_t      defaults;

    mock_stats_t    *stats;        /* shared by all processes */
    uint64_t         number;

    int              epoll;
    mock_conn_t     *conns;        /* max_conns, untouched ones cost nothing */
    mock_conn_t    **free;
    unsigned         nfree;

    /* connections closed in this turn: events of theirs may still follow */
    mock_conn_t    **closed;
    unsigned         nclosed;

    mock_heap_t      timers;
} mock_t;


static int mock_options(mock_t *m, int argc, char **argv);
static int mock_init(mock_t *m);
static void mock_loop(mock_t *m);
static void mock_wait(mock_t *m, struct epoll_event *events, int *n);
static void mock_accept(mock_t *m, mock_listen_t *l);
static void mock_read(mock_t *m, mock_conn_t *c);
static void mock_process(mock_t *m, mock_conn_t *c);
static mock_rc_e mock_request(mock_t *m, mock_conn_t *c);
static mock_rc_e mock_flush(mock_t *m, mock_conn_t *c);
static void mock_watch(mock_t *m, mock_conn_t *c, uint32_t events);
static void mock_close(mock_t *m, mock_conn_t *c, int reset);
static uint64_t mock_now(void);
static void mock_stop(int sig);

#define mock_count(m, name, n)                                                \
    (void) __atomic_add_fetch(&(m)->stats->name, n, __ATOMIC_RELAXED)


static volatile sig_atomic_t  mock_stopping;


int
main(int argc, char **argv)
{
    pid_t             pids[MOCK_MAX_PROCESSES];
    unsigned          i, n;
    static mock_t     m;
    struct sigaction  sa;

    if (mock_options(&m, argc, argv) != 0 || mock_init(&m) != 0) {
        return 1;
    }

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = mock_stop;
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);

    for (n = 0; n + 1 < m.processes; n++) {
        pids[n] = fork();

        if (pids[n] == -1) {
            perror("mock: fork");
            break;
        }

        if (pids[n] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);

            for (i = 0; i < m.nlisten; i++) {

                if (m.listen[i].addr.ss_family == AF_UNIX) {
                    continue;
                }

                close(m.listen[i].fd);

                if (mock_listen_open(&m.listen[i], 1) != 0) {
                    _exit(1);
                }
            }

            mock_loop(&m);
            _exit(0);
        }
    }

    mock_loop(&m);

    for (i = 0; i < n; i++) {
        kill(pids[i], SIGTERM);
        waitpid(pids[i], NULL, 0);
    }

    for (i = 0; i < m.nlisten; i++) {

        if (m.listen[i].addr.ss_family == AF_UNIX) {
            unlink(((struct sockaddr_un *) &m.listen[i].addr)->sun_path);
        }
    }

    return 0;
}


static int
mock_options(mock_t *m, int argc, char **argv)
{
    int          c;
    const char  *problem;

    m->processes = 1;
    m->max_conns = 16384;

    mock_opts_init(&m->defaults);

    while ((c = getopt(argc, argv, "l:o:n:c:h")) != -1) {

        switch (c) {

        case 'l':
            if (m->nlisten == MOCK_MAX_LISTEN
                || mock_listen_parse(&m->listen[m->nlisten++], optarg) != 0)
            {
                fprintf(stderr, "mock: bad address \"%s\"\n", optarg);
                return -1;
            }
            break;

        case 'o':
            problem = mock_opts_parse(&m->defaults, optarg, strlen(optarg));

            if (problem != NULL) {
                fprintf(stderr, "mock: \"%s\": %s\n", optarg, problem);
                return -1;
            }
            break;

        case 'n':
            m->processes = (unsigned) atoi(optarg);
            break;

        case 'c':
            m->max_conns = (unsigned) atoi(optarg);
            break;

        default:
            fprintf(stderr,
                "usage: mock [-l 127.0.0.1:PORT | -l unix:PATH]... "
                "[-o OPTIONS] [-n PROCESSES] [-c CONNECTIONS]\n"
                "OPTIONS, as in the header \"X-Mock: OPTIONS\" and in the "
                "path \"/with/OPTIONS/v1/...\":\n"
                "  ttft=MS chunks=N interval=MS bytes=N status=N "
                "retry_after=S\n"
                "  stall=N cut=N rst=N error=N malformed=N (after N chunks)\n"
                "  no_done no_usage drip=MS header=BYTES line=BYTES\n");
            return -1;
        }
    }

    if (m->processes < 1 || m->processes > MOCK_MAX_PROCESSES
        || m->max_conns < 1 || m->max_conns > 1000000)
    {
        fprintf(stderr, "mock: 1 to %d processes, 1 to 1000000 connections\n",
                MOCK_MAX_PROCESSES);
        return -1;
    }

    if (m->nlisten == 0) {
        return mock_listen_parse(&m->listen[m->nlisten++], "127.0.0.1:0");
    }

    return 0;
}


static int
mock_init(mock_t *m)
{
    unsigned             i;
    struct rlimit        rl;
    struct sockaddr_in  *sin;

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &rl);
    }

    m->stats = mmap(NULL, sizeof(*m->stats), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    m->conns = calloc(m->max_conns, sizeof(*m->conns));
    m->free = calloc(m->max_conns, sizeof(*m->free));
    m->closed = calloc(m->max_conns, sizeof(*m->closed));
    m->timers.conns = calloc(m->max_conns, sizeof(*m->timers.conns));

    if (m->stats == MAP_FAILED || m->conns == NULL || m->free == NULL
        || m->closed == NULL || m->timers.conns == NULL)
    {
        fprintf(stderr, "mock: no memory\n");
        return -1;
    }

    for (i = 0; i < m->max_conns; i++) {
        m->free[m->nfree++] = &m->conns[m->max_conns - 1 - i];
    }

    for (i = 0; i < m->nlisten; i++) {

        if (mock_listen_open(&m->listen[i], m->processes > 1) != 0) {
            return -1;
        }

        if (m->listen[i].addr.ss_family == AF_UNIX) {
            printf("mock ready: unix:%s\n",
                   ((struct sockaddr_un *) &m->listen[i].addr)->sun_path);

        } else {
            sin = (struct sockaddr_in *) &m->listen[i].addr;
            printf("mock ready: http://%s:%u\n", inet_ntoa(sin->sin_addr),
                   ntohs(sin->sin_port));
        }
    }

    fflush(stdout);

    return 0;
}


static void
mock_loop(mock_t *m)
{
    int                  i, n;
    void                *data;
    unsigned             k;
    uint64_t             now;
    mock_conn_t         *c;
    struct epoll_event   ev, events[MOCK_MAX_EVENTS];

    m->epoll = epoll_create1(EPOLL_CLOEXEC);

    if (m->epoll == -1) {
        perror("mock: epoll_create1");
        return;
    }

    for (k = 0; k < m->nlisten; k++) {
        ev.events = EPOLLIN;
        ev.data.ptr = &m->listen[k];

        if (epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->listen[k].fd, &ev) != 0) {
            perror("mock: epoll_ctl");
            return;
        }
    }

    while (!mock_stopping) {
        mock_wait(m, events, &n);

        for (i = 0; i < n; i++) {
            data = events[i].data.ptr;

            if (data >= (void *) m->listen
                && data < (void *) (m->listen + MOCK_MAX_LISTEN))
            {
                mock_accept(m, data);
                continue;
            }

            c = data;

            if (c->closing) {
                continue;
            }

            if (events[i].events & EPOLLOUT) {
                c->blocked = 0;
            }

            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                mock_read(m, c);
            }

            if (!c->closing) {
                mock_process(m, c);
            }
        }

        now = mock_now();

        while (m->timers.n > 0 && m->timers.conns[0]->due_ns <= now) {
            c = m->timers.conns[0];
            mock_timer(&m->timers, c, 0);

            if (c->ready
                || (c->answering && !c->blocked
                    && (c->outcome != MOCK_STALL || c->out.len > 0)))
            {
                mock_process(m, c);

            } else {
                mock_close(m, c, 0);
            }
        }

        for (k = 0; k < m->nclosed; k++) {
            m->closed[k]->closing = 0;
            m->free[m->nfree++] = m->closed[k];
        }

        m->nclosed = 0;
    }
}


static void
mock_wait(mock_t *m, struct epoll_event *events, int *n)
{
    int              msec;
    uint64_t         now, ns;
    struct timespec  ts;
    static int       coarse;

    ns = 1000000000;

    if (m->timers.n > 0) {
        now = mock_now();
        ns = m->timers.conns[0]->due_ns;
        ns = ns > now ? ns - now : 0;
    }

    if (ns > 1000000000) {
        ns = 1000000000;
    }

    if (!coarse) {
        ts.tv_sec = (time_t) (ns / 1000000000);
        ts.tv_nsec = (long) (ns % 1000000000);

        *n = epoll_pwait2(m->epoll, events, MOCK_MAX_EVENTS, &ts, NULL);

        if (*n >= 0 || errno == EINTR) {
            return;
        }

        coarse = 1;
    }

    msec = (int) ((ns + 999999) / 1000000);
    *n = epoll_wait(m->epoll, events, MOCK_MAX_EVENTS, msec);
}


static void
mock_accept(mock_t *m, mock_listen_t *l)
{
    int                 fd, on, i;
    mock_conn_t        *c;
    struct epoll_event  ev;

    for (i = 0; i < 64; i++) {
        fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd == -1) {
            return;
        }

        if (m->nfree == 0) {
            mock_count(m, refused, 1);
            close(fd);
            continue;
        }

        on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

        c = m->free[m->nfree - 1];
        memset(c, 0, sizeof(*c));
        c->fd = fd;
        c->events = EPOLLIN;

        ev.events = EPOLLIN;
        ev.data.ptr = c;

        if (epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
            close(fd);
            continue;
        }

        m->nfree--;

        mock_count(m, connections, 1);
        mock_count(m, connected, 1);
        mock_timer(&m->timers, c, mock_now() + MOCK_IDLE_NS);
    }
}


static void
mock_read(mock_t *m, mock_conn_t *c)
{
    size_t   total;
    ssize_t  n;

    for (total = 0; total < MOCK_READ_BYTES; total += (size_t) n) {

        if (c->in.len >= MOCK_MAX_HEADER + 2 * (size_t) MOCK_MAX_BODY
            || (c->answering && c->in.len >= MOCK_MAX_HEADER)
            || mock_buf_reserve(&c->in, 2048) != 0)
        {
            mock_close(m, c, 1);
            return;
        }

        n = recv(c->fd, c->in.data + c->in.len, c->in.cap - c->in.len, 0);

        if (n > 0) {
            c->in.len += (size_t) n;

            if (c->in.len < c->in.cap) {
                return;
            }

            continue;
        }

        if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }

        mock_close(m, c, 0);
        return;
    }
}


/* Answers what is there to be answered, as far as time and socket allow. */

static void
mock_process(mock_t *m, mock_conn_t *c)
{
    int        i;
    mock_rc_e  rc;

    c->ready = 0;

    for (i = 0; i < 16; i++) {

        if (!c->answering) {
            rc = mock_request(m, c);

            if (rc == MOCK_ERROR) {
                mock_close(m, c, 0);
                return;
            }

            if (rc == MOCK_AGAIN) {
                return;
            }
        }

        if (c->blocked) {
            return;
        }

        if (c->outcome == MOCK_OK) {
            rc = mock_answer(c, mock_now(), m->stats);

            if (rc != MOCK_AGAIN) {
                c->outcome = rc;
            }
        }

        rc = mock_flush(m, c);

        if (rc == MOCK_AGAIN) {
            return;
        }

        if (rc == MOCK_ERROR || c->outcome == MOCK_ERROR) {
            mock_close(m, c, 1);
            return;
        }

        if (c->outcome == MOCK_STALL) {
            mock_timer(&m->timers, c, mock_now() + MOCK_IDLE_NS);
            return;
        }

        if (c->outcome == MOCK_OK) {

            if (c->next_ns > mock_now()) {
                mock_timer(&m->timers, c, c->next_ns);
                return;
            }

            continue;
        }

        if (c->req.api != MOCK_STATS) {
            mock_count(m, completed, 1);
            mock_count(m, open, -1);
        }

        c->answering = 0;

        if (c->outcome != MOCK_DONE || !c->req.keepalive) {
            mock_close(m, c, c->outcome == MOCK_RST);
            return;
        }

        if (c->out.cap > MOCK_KEEP_BYTES) {
            free(c->out.data);
            memset(&c->out, 0, sizeof(c->out));
        }

        mock_timer(&m->timers, c, mock_now() + MOCK_IDLE_NS);
    }

    c->ready = 1;
    mock_timer(&m->timers, c, mock_now());
}


/* Takes one request off the input. */

static mock_rc_e
mock_request(mock_t *m, mock_conn_t *c)
{
    size_t     used;
    mock_rc_e  rc;

    if (c->in.len == 0) {
        return MOCK_AGAIN;
    }

    if (c->req.header_len == 0) {
        rc = mock_request_header(c, &m->defaults);

        if (rc != MOCK_OK) {
            c->req.header_len = 0;
            return rc;
        }

        mock_timer(&m->timers, c, mock_now() + MOCK_REQUEST_NS);

        if (c->req.expect) {
            (void) send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25,
                        MSG_NOSIGNAL);
        }
    }

    rc = mock_request_body(c, &used);

    if (rc != MOCK_OK) {
        return rc;
    }

    memmove(c->in.data, c->in.data + used, c->in.len - used);
    c->in.len -= used;
    c->in.pos = 0;
    c->req.header_len = 0;

    if (c->in.len == 0 && c->in.cap > MOCK_KEEP_BYTES) {
        free(c->in.data);
        memset(&c->in, 0, sizeof(c->in));
    }

    c->answering = 1;
    c->started = 0;
    c->outcome = MOCK_OK;
    c->malformed = 0;
    c->sent = 0;
    c->next_ns = 0;
    c->number = ++m->number;
    c->received_ns = mock_now();

    if (c->req.api != MOCK_STATS) {
        mock_count(m, requests, 1);
        mock_count(m, open, 1);
    }

    return MOCK_OK;
}


/* MOCK_OK: everything is sent. */

static mock_rc_e
mock_flush(mock_t *m, mock_conn_t *c)
{
    size_t   len;
    ssize_t  n;

    while (c->out.pos < c->out.len) {
        len = c->out.len - c->out.pos;

        if (c->req.opts.drip_ns) {
            len = 1;
        }

        n = send(c->fd, c->out.data + c->out.pos, len, MSG_NOSIGNAL);

        if (n == -1) {

            if (errno != EAGAIN && errno != EINTR) {
                return MOCK_ERROR;
            }

            c->blocked = 1;
            mock_watch(m, c, EPOLLIN | EPOLLOUT);
            mock_timer(&m->timers, c, mock_now() + MOCK_IDLE_NS);

            return MOCK_AGAIN;
        }

        c->out.pos += (size_t) n;

        if (c->req.opts.drip_ns && c->out.pos < c->out.len) {
            mock_timer(&m->timers, c, mock_now() + c->req.opts.drip_ns);
            return MOCK_AGAIN;
        }
    }

    c->out.pos = 0;
    c->out.len = 0;

    mock_watch(m, c, EPOLLIN);

    return MOCK_OK;
}


static void
mock_watch(mock_t *m, mock_conn_t *c, uint32_t events)
{
    struct epoll_event  ev;

    if (c->events == events) {
        return;
    }

    ev.events = events;
    ev.data.ptr = c;
    c->events = events;

    (void) epoll_ctl(m->epoll, EPOLL_CTL_MOD, c->fd, &ev);
}


static void
mock_close(mock_t *m, mock_conn_t *c, int reset)
{
    struct linger  linger;

    if (c->answering && c->req.api != MOCK_STATS) {
        mock_count(m, aborted, 1);
        mock_count(m, open, -1);
    }

    if (reset) {
        linger.l_onoff = 1;
        linger.l_linger = 0;
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }

    mock_timer(&m->timers, c, 0);
    mock_count(m, connected, -1);

    close(c->fd);
    free(c->in.data);
    free(c->out.data);

    memset(c, 0, sizeof(*c));

    c->closing = 1;
    m->closed[m->nclosed++] = c;
}


static uint64_t
mock_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


static void
mock_stop(int sig)
{
    (void) sig;
    mock_stopping = 1;
}
