/*
 * Load generator: the loops that keep requests going.
 * A run owns its connections from its first request to its last.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"


#define LOAD_MAX_EVENTS  256
#define LOAD_RETRY_NS    10000000       /* after a failure */
#define LOAD_SCAN_NS     100000000      /* at least that often */


static int load_run_latency(load_run_t *run, load_conn_t *conns, int epoll);
static int load_run_one(load_run_t *run, load_conn_t *c, int epoll,
    uint64_t serial);
static void load_run_loop(load_run_t *run, load_conn_t *conns, int epoll);
static unsigned load_run_scan(load_run_t *run, load_conn_t *conns, int epoll,
    uint64_t stop, uint64_t *next);
static void load_run_again(load_conn_t *c, int epoll, uint64_t stop);
static uint64_t load_run_serial(void);


int
load_run(load_run_t *run)
{
    int           epoll;
    unsigned      i, n;
    uint64_t      start;
    load_conn_t  *conns;

    n = run->mode == LOAD_LATENCY ? run->ntargets : run->conns;

    epoll = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc(n, sizeof(*conns));

    if (epoll == -1 || conns == NULL) {
        fprintf(stderr, "load: %s\n", strerror(errno));
        free(conns);
        return -1;
    }

    for (i = 0; i < n; i++) {
        conns[i].fd = -1;
        conns[i].target = &run->targets[run->mode == LOAD_LATENCY ? i : 0];
        conns[i].result = &run->results[run->mode == LOAD_LATENCY ? i : 0];
    }

    load_procs_begin(run->groups, run->ngroups);

    start = load_now();

    if (run->mode == LOAD_LATENCY) {

        if (load_run_latency(run, conns, epoll) != 0) {
            free(conns);
            close(epoll);
            return -1;
        }

        load_procs_sample(run->groups, run->ngroups);

    } else {
        load_run_loop(run, conns, epoll);
    }

    run->elapsed = (double) (load_now() - start) / 1e9;

    load_procs_end(run->groups, run->ngroups);

    for (i = 0; i < n; i++) {
        load_conn_close(&conns[i]);
    }

    free(conns);
    close(epoll);

    return 0;
}


/* Every target in turn, each time beginning with another one. */

static int
load_run_latency(load_run_t *run, load_conn_t *conns, int epoll)
{
    unsigned        i, t;
    uint64_t        k, total, stop;
    load_result_t  *discarded;

    discarded = calloc(1, sizeof(*discarded));

    if (discarded == NULL) {
        return -1;
    }

    total = run->warmup + run->requests;
    stop = run->seconds > 0 ? load_now() + (uint64_t) (run->seconds * 1e9)
                            : UINT64_MAX;

    for (k = 0; k < total && load_now() < stop; k++) {

        if (run->pause > 0) {
            usleep((useconds_t) (run->pause * 1e6));
        }

        for (i = 0; i < run->ntargets; i++) {
            t = (unsigned) ((i + k) % run->ntargets);

            conns[t].result = k < run->warmup ? discarded : &run->results[t];

            if (load_run_one(run, &conns[t], epoll, load_run_serial()) != 0) {
                free(discarded);
                return -1;
            }
        }
    }

    free(discarded);

    return 0;
}


static int
load_run_one(load_run_t *run, load_conn_t *c, int epoll, uint64_t serial)
{
    int                  i, n, done;
    uint64_t             now, deadline;
    load_conn_t         *other;
    struct epoll_event   events[8];

    if (load_conn_start(c, epoll, serial) != 0) {
        return 0;
    }

    deadline = c->start_ns + (uint64_t) (run->timeout * 1e9);

    for (done = 0; !done; /* void */) {
        now = load_now();

        if (now >= deadline) {
            c->result->timeouts++;
            load_conn_close(c);
            return 0;
        }

        n = epoll_wait(epoll, events, 8,
                       (int) ((deadline - now) / 1000000 + 1));

        if (n == -1 && errno != EINTR) {
            fprintf(stderr, "load: %s\n", strerror(errno));
            return -1;
        }

        for (i = 0; i < n; i++) {
            other = events[i].data.ptr;

            if (load_conn_event(other, epoll, events[i].events, run->expect)
                && other == c)
            {
                done = 1;
            }
        }
    }

    return 0;
}


static void
load_run_loop(load_run_t *run, load_conn_t *conns, int epoll)
{
    int                  i, n, sampled;
    unsigned             k, busy;
    uint64_t             now, start, stop, at, next;
    load_conn_t         *c;
    struct epoll_event   events[LOAD_MAX_EVENTS];

    start = load_now();
    stop = start + (uint64_t) (run->seconds * 1e9);
    at = start + (uint64_t) (run->sample > 0 ? run->sample * 1e9
                                             : run->seconds * 5e8);
    sampled = 0;
    run->open = 0;

    for (k = 0; k < run->conns; k++) {
        conns[k].retry_ns = start + (uint64_t) (run->ramp * 1e9 * k
                                                / run->conns);
    }

    next = start;

    for ( ;; ) {
        now = load_now();

        if (now >= next || now >= stop) {
            busy = load_run_scan(run, conns, epoll, stop, &next);

            if (now >= stop && busy == 0) {
                break;
            }
        }

        if (!sampled && now >= at) {
            load_procs_sample(run->groups, run->ngroups);

            for (k = 0; k < run->conns; k++) {
                run->open += (conns[k].state == LOAD_BODY);
            }

            sampled = 1;
        }

        now = load_now();
        n = epoll_wait(epoll, events, LOAD_MAX_EVENTS,
                       next > now ? (int) ((next - now + 999999) / 1000000)
                                  : 0);

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (load_conn_event(c, epoll, events[i].events, run->expect)) {
                load_run_again(c, epoll, stop);
            }
        }
    }
}


/* Starts what is due and ends what took too long; returns what is running. */

static unsigned
load_run_scan(load_run_t *run, load_conn_t *conns, int epoll, uint64_t stop,
    uint64_t *next)
{
    unsigned      i, busy;
    uint64_t      now, timeout;
    load_conn_t  *c;

    busy = 0;
    now = load_now();
    timeout = (uint64_t) (run->timeout * 1e9);
    *next = now + LOAD_SCAN_NS;

    for (i = 0; i < run->conns; i++) {
        c = &conns[i];

        if (c->state != LOAD_IDLE && now - c->start_ns > timeout
            && now > c->start_ns)
        {
            c->result->timeouts++;
            load_conn_close(c);
            c->retry_ns = now < stop ? now + LOAD_RETRY_NS : 0;
        }

        if (c->state == LOAD_IDLE && c->retry_ns && now < stop) {

            if (now >= c->retry_ns
                && load_conn_start(c, epoll, load_run_serial()) != 0)
            {
                c->retry_ns = now + LOAD_RETRY_NS;
            }

            if (c->retry_ns && c->retry_ns < *next) {
                *next = c->retry_ns;
            }
        }

        if (c->state != LOAD_IDLE) {
            busy++;
        }
    }

    return busy;
}


static void
load_run_again(load_conn_t *c, int epoll, uint64_t stop)
{
    uint64_t  now;

    now = load_now();

    if (now >= stop) {
        return;
    }

    if (c->failed || load_conn_start(c, epoll, load_run_serial()) != 0) {
        c->retry_ns = now + LOAD_RETRY_NS;
    }
}


/* Differs between runs too, so that no cache has seen it. */

static uint64_t
load_run_serial(void)
{
    static uint64_t  serial;

    if (serial == 0) {
        serial = load_now() << 8;
    }

    return ++serial;
}
