/*
 * Load generator: latency, throughput and streams of HTTP targets, as JSON.
 * Owns the targets, the process groups and the results of a round.
 */

#define _GNU_SOURCE

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "load.h"


typedef struct {
    const char      *mode;
    load_run_t       run;
    unsigned         rounds;
    load_target_t    defaults;
    load_target_t    targets[LOAD_MAX_TARGETS];
    unsigned         ntargets;
    load_group_t     groups[LOAD_MAX_GROUPS];
} load_t;


enum {
    OPT_TARGET = 1,
    OPT_HEADER,
    OPT_MODEL,
    OPT_BODY,
    OPT_BODY_BYTES,
    OPT_STREAM,
    OPT_USAGE,
    OPT_KEYS,
    OPT_GET,
    OPT_CLOSE,
    OPT_UNIQUE,
    OPT_STATUS,
    OPT_REQUESTS,
    OPT_WARMUP,
    OPT_CONNECTIONS,
    OPT_SECONDS,
    OPT_RAMP,
    OPT_TIMEOUT,
    OPT_PAUSE,
    OPT_SAMPLE,
    OPT_ROUNDS,
    OPT_EXPECT,
    OPT_PROC
};


static int load_options(load_t *l, int argc, char **argv);
static int load_option(load_t *l, load_target_t *t, int opt, const char *arg);
static int load_header(load_target_t *t, const char *s);
static int load_copy(char *to, size_t size, const char *s);
static int load_number(const char *s, double min, double max, double *out);
static void load_usage(void);
static int load_rounds(load_t *l);
static void load_print(const load_run_t *run, unsigned i, unsigned round,
    int more);
static void load_print_hist(const char *name, const load_hist_t *h);
static void load_print_procs(const load_run_t *run, uint64_t requests);


static const struct option  load_long[] = {
    { "target",        required_argument, NULL, OPT_TARGET },
    { "header",        required_argument, NULL, OPT_HEADER },
    { "model",         required_argument, NULL, OPT_MODEL },
    { "body",          required_argument, NULL, OPT_BODY },
    { "body-bytes",    required_argument, NULL, OPT_BODY_BYTES },
    { "stream",        no_argument,       NULL, OPT_STREAM },
    { "include-usage", no_argument,       NULL, OPT_USAGE },
    { "keys",          required_argument, NULL, OPT_KEYS },
    { "get",           no_argument,       NULL, OPT_GET },
    { "no-keepalive",  no_argument,       NULL, OPT_CLOSE },
    { "unique",        no_argument,       NULL, OPT_UNIQUE },
    { "expect-status", required_argument, NULL, OPT_STATUS },
    { "requests",      required_argument, NULL, OPT_REQUESTS },
    { "warmup",        required_argument, NULL, OPT_WARMUP },
    { "connections",   required_argument, NULL, OPT_CONNECTIONS },
    { "seconds",       required_argument, NULL, OPT_SECONDS },
    { "ramp",          required_argument, NULL, OPT_RAMP },
    { "timeout",       required_argument, NULL, OPT_TIMEOUT },
    { "pause",         required_argument, NULL, OPT_PAUSE },
    { "sample",        required_argument, NULL, OPT_SAMPLE },
    { "rounds",        required_argument, NULL, OPT_ROUNDS },
    { "expect-chunks", required_argument, NULL, OPT_EXPECT },
    { "proc",          required_argument, NULL, OPT_PROC },
    { NULL,            0,                 NULL, 0 }
};


int
main(int argc, char **argv)
{
    struct rlimit  rl;
    static load_t  l;

    if (load_options(&l, argc, argv) != 0) {
        return 2;
    }

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &rl);
    }

    signal(SIGPIPE, SIG_IGN);

    return load_rounds(&l) == 0 ? 0 : 1;
}


static int
load_options(load_t *l, int argc, char **argv)
{
    int             opt;
    unsigned        i;
    load_target_t  *t;

    l->run.conns = 1;
    l->run.requests = 1000;
    l->run.seconds = 0;
    l->run.timeout = 30;
    l->rounds = 1;

    if (argc < 2 || argv[1][0] == '-') {
        load_usage();
        return -1;
    }

    l->mode = argv[1];
    t = &l->defaults;
    optind = 2;

    while ((opt = getopt_long(argc, argv, "", load_long, NULL)) != -1) {

        if (opt == '?') {
            load_usage();
            return -1;
        }

        if (opt == OPT_TARGET) {

            if (l->ntargets == LOAD_MAX_TARGETS) {
                fprintf(stderr, "load: more than %d targets\n",
                        LOAD_MAX_TARGETS);
                return -1;
            }

            t = &l->targets[l->ntargets++];
            *t = l->defaults;
        }

        if (load_option(l, t, opt, optarg) != 0) {
            fprintf(stderr, "load: bad value \"%s\"\n", optarg);
            return -1;
        }
    }

    if (strcmp(l->mode, "latency") == 0) {
        l->run.mode = LOAD_LATENCY;

    } else if (strcmp(l->mode, "throughput") == 0) {
        l->run.mode = LOAD_THROUGHPUT;

    } else if (strcmp(l->mode, "streams") == 0) {
        l->run.mode = LOAD_STREAMS;

    } else if (strcmp(l->mode, "sample") == 0) {
        return 0;

    } else {
        load_usage();
        return -1;
    }

    if (l->run.mode != LOAD_LATENCY && l->run.seconds == 0) {
        l->run.seconds = 5;
    }

    if (l->ntargets == 0 || optind != argc) {
        load_usage();
        return -1;
    }

    for (i = 0; i < l->ntargets; i++) {

        if (l->run.mode == LOAD_STREAMS) {
            l->targets[i].stream = 1;
        }

        if (load_target_build(&l->targets[i]) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
load_option(load_t *l, load_target_t *t, int opt, const char *arg)
{
    double  v;

    v = 0;

    switch (opt) {

    case OPT_TARGET:
        return t == &l->defaults ? -1 : load_target_parse(t, arg);

    case OPT_HEADER:
        return load_header(t, arg);

    case OPT_MODEL:
        return load_copy(t->model, sizeof(t->model), arg);

    case OPT_BODY:
        t->body_file = (char *) arg;
        return 0;

    case OPT_KEYS:
        return load_target_keys(t, arg);

    case OPT_STREAM:
        t->stream = 1;
        return 0;

    case OPT_USAGE:
        t->include_usage = 1;
        return 0;

    case OPT_GET:
        t->get = 1;
        return 0;

    case OPT_CLOSE:
        t->close = 1;
        return 0;

    case OPT_UNIQUE:
        t->unique = 1;
        return 0;

    case OPT_STATUS:
        if (load_number(arg, 200, 599, &v) != 0) {
            return -1;
        }

        t->status = (int) v;
        return 0;

    case OPT_PROC:
        return l->run.ngroups == LOAD_MAX_GROUPS
               ? -1 : load_group_parse(&l->groups[l->run.ngroups++], arg);

    case OPT_SECONDS:
        return load_number(arg, 0.1, 3600, &l->run.seconds);

    case OPT_RAMP:
        return load_number(arg, 0, 600, &l->run.ramp);

    case OPT_TIMEOUT:
        return load_number(arg, 0.1, 600, &l->run.timeout);

    case OPT_PAUSE:
        return load_number(arg, 0, 60, &l->run.pause);

    case OPT_SAMPLE:
        return load_number(arg, 0.1, 3600, &l->run.sample);

    case OPT_BODY_BYTES:
        if (load_number(arg, 0, LOAD_MAX_BODY - 1024, &v) != 0) {
            return -1;
        }

        t->body_bytes = (size_t) v;
        return 0;

    default:
        break;
    }

    if (load_number(arg, opt == OPT_WARMUP || opt == OPT_EXPECT ? 0 : 1,
                    opt == OPT_CONNECTIONS ? LOAD_MAX_CONNS
                    : opt == OPT_ROUNDS ? LOAD_MAX_ROUNDS : 1e9, &v) != 0)
    {
        return -1;
    }

    switch (opt) {

    case OPT_REQUESTS:
        l->run.requests = (uint64_t) v;
        return 0;

    case OPT_WARMUP:
        l->run.warmup = (uint64_t) v;
        return 0;

    case OPT_CONNECTIONS:
        l->run.conns = (unsigned) v;
        return 0;

    case OPT_ROUNDS:
        l->rounds = (unsigned) v;
        return 0;

    default: /* OPT_EXPECT */
        l->run.expect = (uint32_t) v;
        return 0;
    }
}


static int
load_header(load_target_t *t, const char *s)
{
    size_t  len;

    len = strlen(t->headers);

    if (strchr(s, ':') == NULL || strpbrk(s, "\r\n") != NULL
        || len + strlen(s) + 3 > sizeof(t->headers))
    {
        return -1;
    }

    sprintf(t->headers + len, "%s\r\n", s);

    return 0;
}


static int
load_copy(char *to, size_t size, const char *s)
{
    if (strlen(s) >= size || strpbrk(s, "\"\\\r\n") != NULL) {
        return -1;
    }

    strcpy(to, s);

    return 0;
}


static int
load_number(const char *s, double min, double max, double *out)
{
    char    *end;
    double   v;

    v = strtod(s, &end);

    if (end == s || *end != '\0' || !(v >= min && v <= max)) {
        return -1;
    }

    *out = v;

    return 0;
}


static void
load_usage(void)
{
    fprintf(stderr,
        "usage: load latency|throughput|streams|sample OPTIONS\n"
        "  --target NAME=http://HOST:PORT/PATH | "
        "NAME=http://unix:SOCKET:/PATH\n"
        "of a target (before the first one: of all):\n"
        "  --header 'NAME: VALUE' --model M --body FILE --body-bytes N "
        "--stream\n"
        "  --keys FILE --include-usage --get --no-keepalive --unique\n"
        "  --expect-status N\n"
        "of the run:\n"
        "  --requests N --warmup N --pause S (latency) --connections N "
        "--seconds S --ramp S\n"
        "  --timeout S --sample S --rounds N --expect-chunks N "
        "--proc NAME=PID\n");
}


static int
load_rounds(load_t *l)
{
    int             failed;
    unsigned        i, round, n;
    load_run_t      run;
    load_result_t  *results;

    l->run.groups = l->groups;
    run = l->run;

    if (strcmp(l->mode, "sample") == 0) {
        load_procs_sample(run.groups, run.ngroups);
        printf("{\"mode\":\"sample\"");
        load_print_procs(&run, 0);
        printf("}\n");
        return 0;
    }

    results = calloc(l->ntargets, sizeof(*results));

    if (results == NULL) {
        fprintf(stderr, "load: no memory\n");
        return -1;
    }

    printf("{\"mode\":\"%s\",\"connections\":%u,\"runs\":[\n", l->mode,
           run.mode == LOAD_LATENCY ? 1 : run.conns);

    failed = 0;

    for (round = 0; round < l->rounds && !failed; round++) {
        memset(results, 0, l->ntargets * sizeof(*results));

        n = run.mode == LOAD_LATENCY ? 1 : l->ntargets;

        for (i = 0; i < n && !failed; i++) {
            run.targets = &l->targets[i];
            run.results = &results[i];
            run.ntargets = run.mode == LOAD_LATENCY ? l->ntargets : 1;

            failed = (load_run(&run) != 0);

            if (run.mode != LOAD_LATENCY) {
                load_print(&run, 0, round,
                           i + 1 < n || round + 1 < l->rounds);
            }
        }

        for (i = 0; run.mode == LOAD_LATENCY && i < l->ntargets; i++) {
            load_print(&run, i, round,
                       i + 1 < l->ntargets || round + 1 < l->rounds);
        }
    }

    printf("]}\n");
    free(results);

    return failed ? -1 : 0;
}


static void
load_print(const load_run_t *run, unsigned i, unsigned round, int more)
{
    const load_result_t  *r = &run->results[i];

#define number(name)                                                          \
    printf(",\"" #name "\":%llu", (unsigned long long) r->name)

    printf("{\"target\":\"%s\",\"round\":%u,\"seconds\":%.3f",
           run->targets[i].name, round, run->elapsed);

    number(requests);
    number(status_errors);
    number(broken);
    number(timeouts);
    number(bytes);
    number(chunks);

    if (r->last_status) {
        printf(",\"last_status\":%d", r->last_status);
    }

    if (run->targets[i].stream) {
        number(unended);
        number(stream_errors);
        number(short_streams);
        number(gaps);
        load_print_hist("ttft_us", &r->ttft);
        load_print_hist("added_ttft_us", &r->added_ttft);
        load_print_hist("chunk_delay_us", &r->delay);
        load_print_hist("chunk_interval_us", &r->interval);
    }

#undef number

    load_print_hist("latency_us", &r->latency);

    if (run->mode != LOAD_LATENCY) {
        printf(",\"per_second\":%.1f,\"open_at_sample\":%u",
               (double) r->requests / run->elapsed, run->open);
        load_print_procs(run, r->requests);
    }

    printf("}%s\n", more ? "," : "");
    fflush(stdout);
}


static void
load_print_hist(const char *name, const load_hist_t *h)
{
    printf(",\"%s\":{\"n\":%llu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,"
           "\"p999\":%.1f,\"max\":%.1f}",
           name, (unsigned long long) h->n, load_hist_us(h, 0.5),
           load_hist_us(h, 0.9), load_hist_us(h, 0.99),
           load_hist_us(h, 0.999), (double) h->max / 1000);
}


static void
load_print_procs(const load_run_t *run, uint64_t requests)
{
    unsigned             i;
    const load_group_t  *g;

    printf(",\"procs\":{");

    for (i = 0; i < run->ngroups; i++) {
        g = &run->groups[i];

        printf("%s\"%s\":{\"processes\":%u,\"rss_kb\":%llu,\"pss_kb\":%llu,"
               "\"cpu_us\":%llu",
               i ? "," : "", g->name, g->sampled,
               (unsigned long long) g->rss_kb,
               (unsigned long long) g->pss_kb,
               (unsigned long long) g->cpu_us);

        if (requests) {
            printf(",\"cpu_us_per_request\":%.2f",
                   (double) g->cpu_us / (double) requests);
        }

        printf("}");
    }

    printf("}");
}
