/*
 * A worker process: opens its parts, reacts to signals, drains and ends.
 * Owns the worker_t.
 */

#include "worker.h"

#include <curl/curl.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ai_delivery.h"
#include "ai_event.h"
#include "breaker.h"
#include "catalog.h"
#include "delivery.h"
#include "emit.h"
#include "fetch.h"
#include "heartbeat.h"
#include "http.h"
#include "job.h"
#include "ledger.h"
#include "lookup.h"
#include "models.h"
#include "own.h"
#include "queue.h"
#include "secret.h"
#include "seed.h"
#include "stored.h"
#include "sign.h"
#include "target.h"
#include "token.h"


#define WORKER_MMAP_BYTES   (512 * 1024)
#define WORKER_TICK_MSEC    50      /* of a drain */
#define WORKER_SETTLE_MSEC  3000    /* for the settles of an aborted drain */
#define WORKER_BYE_MSEC     1000
#define WORKER_PARENT_MSEC  1000


static int worker_open(worker_t *w, const options_t *opt);
static int worker_id(worker_t *w);
static void worker_files(void);
static void worker_signals(worker_t *w);
static void worker_close(worker_t *w);
static void worker_on_ready(redis_t *rc, int restarted, void *data);
static void worker_on_shards(redis_t *rc, ai_resp_t *reply, void *data);
static int worker_subscribe(worker_t *w);
static unsigned worker_shard(ai_str_t channel);
static void worker_begin(worker_t *w);
static void worker_on_lost(redis_t *rc, void *data);
static void worker_on_deaf(redis_t *rc, void *data);
static void worker_on_heard(redis_t *rc, void *data);
static void worker_on_message(redis_t *rc, ai_str_t channel, ai_str_t payload,
    void *data);
static void worker_on_signal(uv_signal_t *handle, int signo);
static void worker_drain(worker_t *w);
static void worker_on_drain(uv_timer_t *timer);
static void worker_on_bye(worker_t *w);
static void worker_on_parent(uv_timer_t *timer);


static const redis_events_t  worker_events = {
    worker_on_ready, worker_on_lost, NULL, NULL
};

static const redis_events_t  worker_sub_events = {
    NULL, worker_on_deaf, worker_on_message, worker_on_heard
};

static char  worker_prefixes[WORKER_SHARDS_MAX][AI_KEY_MAX];


int
worker_run(const options_t *opt)
{
    int        rc;
    worker_t  *w;

    /* set, it stays: large bodies go back to the system when they are freed */

    mallopt(M_MMAP_THRESHOLD, WORKER_MMAP_BYTES);

    w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return 1;
    }

    rc = 1;

    if (worker_open(w, opt) == 0) {
        log_write(LOG_INFO, "worker", "started, %u slots", opt->jobs);
        loop_run(&w->loop);
        worker_close(w);
        log_write(LOG_INFO, "worker", "ended");
        rc = 0;

    } else {
        log_write(LOG_ERROR, "worker", "cannot start: no memory");
    }

    free(w);

    return rc;
}


/* A supervisor that died before prctl is seen by its pid. */

static int
worker_open(worker_t *w, const options_t *opt)
{
    w->opt = opt;

    prctl(PR_SET_PDEATHSIG, SIGKILL);

    if (opt->parent != 0 && getppid() != (pid_t) opt->parent) {
        _exit(1);
    }

    worker_files();

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK
        || worker_id(w) != 0 || loop_init(&w->loop) != 0)
    {
        return -1;
    }

    log_name(w->id);
    secret_init(opt->secrets_dir, opt->allow_env);

    w->redis = redis_open(&w->loop, &opt->redis, "commands", &worker_events,
                          w);
    w->sub = redis_open(&w->loop, &opt->redis, "channels", &worker_sub_events,
                        w);
    w->catalogs = catalogs_open(w);
    w->models = models_open(w);
    w->http = http_open(w);
    w->emits = emits_open(w);
    w->breakers = breakers_open(w);
    w->targets = targets_open(w);
    w->jobs = jobs_open(w);
    w->queue = queue_open(w);
    w->delivery = delivery_open(w);
    w->heartbeat = heartbeat_open(w);
    w->lookup = lookup_open(w);
    w->seeds = seeds_open(w);
    w->stores = stores_open(w);
    w->owns = w->stores != NULL ? owns_open(w) : NULL;

    if (w->catalogs != NULL && w->http != NULL) {
        w->fetch = fetch_open(w);
        w->tokens = tokens_open(w);
    }

    if (opt->ledger_postgres != NULL) {
        w->ledger = ledger_open(w);
    }

    if (w->redis == NULL || w->sub == NULL || w->catalogs == NULL
        || w->http == NULL || w->emits == NULL || w->jobs == NULL
        || w->breakers == NULL || w->targets == NULL
        || w->queue == NULL || w->delivery == NULL || w->heartbeat == NULL
        || w->lookup == NULL || w->seeds == NULL || w->stores == NULL
        || w->fetch == NULL || w->models == NULL || w->tokens == NULL
        || w->owns == NULL
        || (opt->ledger_postgres != NULL && w->ledger == NULL))
    {
        return -1;
    }

    uv_timer_init(&w->loop.uv, &w->drain_timer);
    w->drain_timer.data = w;
    uv_timer_start(&w->drain_timer, worker_on_parent, WORKER_PARENT_MSEC,
                   WORKER_PARENT_MSEC);
    worker_signals(w);

    return 0;
}


static int
worker_id(worker_t *w)
{
    char      host[256];
    uint64_t  start;

    if (gethostname(host, sizeof(host)) != 0) {
        memcpy(host, "worker", sizeof("worker"));
    }

    host[sizeof(host) - 1] = '\0';
    start = w->opt->child_start_msec != 0 ? w->opt->child_start_msec
                                          : loop_wall_usec() / 1000;

    return ai_id_process(w->id, sizeof(w->id), host, (long) getpid(), start)
           != 0 ? 0 : -1;
}


/* A call takes a descriptor, an idle connection another. */

static void
worker_files(void)
{
    struct rlimit  limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0
        && limit.rlim_cur < limit.rlim_max)
    {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}


static void
worker_signals(worker_t *w)
{
    unsigned  i;

    static const int  signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1,
                                    SIGQUIT };

    signal(SIGPIPE, SIG_IGN);

    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        uv_signal_init(&w->loop.uv, &w->signals[i]);
        w->signals[i].data = w;
        uv_signal_start(&w->signals[i], worker_on_signal, signals[i]);
        uv_unref((uv_handle_t *) &w->signals[i]);
    }
}


/* Callbacks still come while the loop runs out: memory goes last. */

static void
worker_close(worker_t *w)
{
    jobs_t  *jobs;

    jobs = w->jobs;

    jobs_close(jobs);
    queue_close(w->queue);
    heartbeat_close(w->heartbeat);
    lookup_close(w->lookup);
    seeds_close(w->seeds);
    owns_close(w->owns);
    stores_close(w->stores);
    fetch_close(w->fetch);
    tokens_close(w->tokens);

    if (w->ledger != NULL) {
        ledger_close(w->ledger);
    }

    breakers_close(w->breakers);
    redis_close(w->redis);
    redis_close(w->sub);
    http_close(w->http);
    catalogs_close(w->catalogs);
    models_close(w->models);
    loop_close(&w->loop);
    emits_free(w->emits);
    jobs_free(jobs);
    targets_free(w->targets);
    delivery_free(w->delivery);
    fetch_free(w->fetch);
    models_free(w->models);
    tokens_free(w->tokens);
    owns_free(w->owns);
    secret_forget();
    sign_close();
    curl_global_cleanup();
}


ai_str_t
worker_prefix(unsigned shard)
{
    char  *p;

    p = worker_prefixes[shard];

    if (p[0] == '\0') {
        ai_keys_prefix(p, AI_KEY_MAX, shard);
    }

    return (ai_str_t) { strlen(p), p };
}


/* Redis. */

static void
worker_on_ready(redis_t *rc, int restarted, void *data)
{
    worker_t  *w;

    w = data;

    if (restarted) {
        log_write(LOG_WARN, "worker", "another Redis answers than before");
        emits_restarted(w->emits);
        jobs_restarted(w->jobs);
    }

    redis_commandf(rc, NULL, NULL, "SETNX %s 1", AI_SHARDS_KEY);
    redis_commandf(rc, worker_on_shards, w, "GET %s", AI_SHARDS_KEY);
    breakers_ready(w->breakers);
}


static void
worker_on_shards(redis_t *rc, ai_resp_t *reply, void *data)
{
    int64_t    n;
    worker_t  *w;

    (void) rc;

    w = data;

    if (reply == NULL) {
        return;
    }

    if (redis_int(reply, &n) != 0 || n < 1 || n > WORKER_SHARDS_MAX
        || (w->shards != 0 && w->shards != (unsigned) n))
    {
        log_write(LOG_ERROR, "worker", "%s holds no number of shards that "
                  "can be served", AI_SHARDS_KEY);
        return;
    }

    if (w->shards == 0) {
        w->shards = (unsigned) n;

        if (worker_subscribe(w) != 0) {
            log_write(LOG_ERROR, "worker", "cannot subscribe: no memory");
            loop_stop(&w->loop);
            return;
        }
    }

    worker_begin(w);
}


static int
worker_subscribe(worker_t *w)
{
    int       rc;
    char      channel[AI_KEY_MAX];
    size_t    len;
    unsigned  i;

    rc = 0;

    for (i = 0; i < w->shards; i++) {
        len = ai_keys_make(channel, sizeof(channel), AI_KEY_WORKER_CHANNEL, i,
                           (ai_str_t) { strlen(w->id), w->id });
        rc |= redis_subscribe(w->sub, (ai_str_t) { len, channel });
    }

    rc |= redis_subscribe(w->sub, ai_str(AI_BREAKERS_CHANNEL));
    rc |= redis_subscribe(w->sub, ai_str(AI_OWN_CHANNEL));

    return rc;
}


static void
worker_begin(worker_t *w)
{
    heartbeat_start(w->heartbeat);
    jobs_ready(w->jobs);
    delivery_look(w->delivery);
    lookup_ready(w->lookup);

    if (w->ledger != NULL) {
        ledger_ready(w->ledger, w->shards);
    }

    if (!w->draining) {
        queue_start(w->queue);
    }
}


static void
worker_on_lost(redis_t *rc, void *data)
{
    worker_t  *w;

    (void) rc;

    w = data;
    w->metrics.redis_lost_total++;
}


/* Nothing is handed to a worker that says it takes nothing. */

static void
worker_on_deaf(redis_t *rc, void *data)
{
    worker_t  *w;

    (void) rc;

    w = data;
    w->hearing = 0;
}


/* Bells rung while nobody heard: Redis says what is held, and the cancel
 * fields. */

static void
worker_on_heard(redis_t *rc, void *data)
{
    worker_t  *w;

    (void) rc;

    w = data;

    if (w->hearing) {
        return;
    }

    w->hearing = 1;
    owns_ready(w->owns);

    if (redis_ready(w->redis)) {
        heartbeat_now(w->heartbeat);
        jobs_ready(w->jobs);
        delivery_look(w->delivery);
    }
}


static unsigned
worker_shard(ai_str_t channel)
{
    int64_t      n;
    const char  *p, *end;

    p = memchr(channel.data, '{', channel.len);

    if (p == NULL) {
        return WORKER_SHARDS_MAX;
    }

    p++;
    end = memchr(p, '}', channel.len - (size_t) (p - channel.data));

    if (end == NULL || ai_str_int((ai_str_t) { (size_t) (end - p), p }, &n) != 0
        || n < 0 || n >= WORKER_SHARDS_MAX)
    {
        return WORKER_SHARDS_MAX;
    }

    return (unsigned) n;
}


static void
worker_on_message(redis_t *rc, ai_str_t channel, ai_str_t payload, void *data)
{
    worker_t   *w;
    unsigned    shard;
    ai_bell_t   bell;

    (void) rc;

    w = data;

    if (ai_str_eqz(channel, AI_BREAKERS_CHANNEL)) {
        breakers_heard(w->breakers, payload);
        return;
    }

    if (ai_str_eqz(channel, AI_OWN_CHANNEL)) {
        owns_heard(w->owns, payload);
        return;
    }

    if (payload.len != 0 && payload.data[0] == AI_DELIVERY) {
        shard = worker_shard(channel);

        if (shard < w->shards) {
            delivery_bell(w->delivery, shard, payload);
        }

        return;
    }

    if (ai_bell_parse(payload, &bell) != 0) {
        log_write(LOG_WARN, "worker", "a bell is malformed");
        return;
    }

    if (bell.type == AI_BELL_CANCEL) {
        jobs_cancel(w->jobs, bell.name, bell.word);
    }
}


/* Signals and the end.  The supervisor turns Ctrl-C into SIGTERM. */

static void
worker_on_signal(uv_signal_t *handle, int signo)
{
    worker_t  *w;

    w = handle->data;

    switch (signo) {

    case SIGTERM:
        worker_drain(w);
        break;

    case SIGQUIT:
        loop_stop(&w->loop);
        break;

    case SIGHUP:
        secret_forget();
        (void) sign_open(w->opt->sign_file);
        owns_again(w->owns);
        log_write(LOG_INFO, "worker", "secrets are read again");
        break;

    case SIGUSR1:
        if (log_reopen() != 0) {
            log_write(LOG_ERROR, "worker", "the log cannot be reopened: %s",
                      strerror(errno));
        }
        break;

    default:
        break;
    }
}


static void
worker_drain(worker_t *w)
{
    if (w->draining) {
        return;
    }

    w->draining = 1;
    w->drain_msec = uv_now(&w->loop.uv);
    log_write(LOG_INFO, "worker", "draining %u jobs", jobs_count(w->jobs));

    heartbeat_drain(w->heartbeat);
    queue_stop(w->queue);

    /* What was handed over before the drain was known is on its way. */

    uv_timer_start(&w->drain_timer, worker_on_drain, WORKER_TICK_MSEC,
                   WORKER_TICK_MSEC);
}


static void
worker_on_drain(uv_timer_t *timer)
{
    int        idle;
    uint64_t   since, limit;
    worker_t  *w;

    w = timer->data;
    since = uv_now(&w->loop.uv) - w->drain_msec;
    limit = (uint64_t) w->opt->drain_sec * 1000;

    idle = jobs_count(w->jobs) == 0 && queue_idle(w->queue)
           && (!redis_ready(w->redis) || w->aborted
               || (lookup_idle(w->lookup) && seeds_idle(w->seeds)
                   && heartbeat_drained(w->heartbeat)));

    if (idle && w->ledger != NULL) {
        ledger_drain(w->ledger);
        idle = ledger_idle(w->ledger);
    }

    if (!idle && since < limit) {
        return;
    }

    if (!idle && !w->aborted) {
        w->aborted = 1;
        log_write(LOG_WARN, "worker", "%u jobs are ended by the drain",
                  jobs_count(w->jobs));
        jobs_abort(w->jobs);
    }

    if (!idle && since < limit + WORKER_SETTLE_MSEC) {
        return;
    }

    uv_timer_stop(timer);

    if (!redis_ready(w->redis)) {
        loop_stop(&w->loop);
        return;
    }

    uv_timer_start(timer, worker_on_parent, WORKER_BYE_MSEC, 0);
    heartbeat_bye(w->heartbeat, worker_on_bye);
}


static void
worker_on_bye(worker_t *w)
{
    loop_stop(&w->loop);
}


/* Watches the supervisor; at the end, how long bye takes. */

static void
worker_on_parent(uv_timer_t *timer)
{
    worker_t  *w;

    w = timer->data;

    if (w->draining
        || (w->opt->parent != 0 && getppid() != (pid_t) w->opt->parent))
    {
        loop_stop(&w->loop);
    }
}
