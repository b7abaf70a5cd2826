/*
 * The supervisor.  Owns the worker processes, the pid file and a connection
 * to Redis, on which it says bye for those that crashed.
 */

#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ai_id.h"
#include "ai_keys.h"
#include "log.h"
#include "worker.h"


#define SUPERVISOR_STOP_MSEC  8000      /* after the drain's time: SIGKILL */
#define SUPERVISOR_BYES_MAX   64        /* that wait for Redis */
#define SUPERVISOR_BYE_MSEC   100       /* for others to end that were killed */
#define SUPERVISOR_ARGS_MAX   128
#define SUPERVISOR_PID_TRIES  100

/* A build for valgrind, which is what /proc/self/exe then names, sets it. */
#ifndef SUPERVISOR_EXE
#define SUPERVISOR_EXE        "/proc/self/exe"
#endif


typedef struct supervisor_s  supervisor_t;

typedef struct {
    supervisor_t  *sup;
    unsigned       number;
    uv_process_t   process;
    uv_timer_t     timer;       /* until it is started again */
    uint64_t       start_msec;  /* wall clock, in its id */
    uint64_t       born_msec;
    unsigned       backoff_msec;
    unsigned       alive:1;
} child_t;

struct supervisor_s {
    const options_t *opt;
    loop_t           loop;
    redis_t         *redis;
    unsigned         shards;
    child_t         *children;
    unsigned         alive;
    char           **args;
    unsigned         nargs;
    uv_signal_t      signals[5];
    uv_timer_t       stop_timer;
    uv_timer_t       bye_timer;
    char             byes[SUPERVISOR_BYES_MAX][AI_PROCESS_ID_MAX + 1];
    unsigned         nbyes;
    unsigned         terms;     /* SIGTERMs so far */
    int              status;
};


static int supervisor_pid_file(const options_t *opt);
static int supervisor_pid_bad(const options_t *opt, int fd, const char *why);
static void supervisor_signals(supervisor_t *sup);
static int supervisor_args(supervisor_t *sup, int argc, char **argv);
static void supervisor_spawn(child_t *child);
static void supervisor_on_timer(uv_timer_t *timer);
static void supervisor_on_exit(uv_process_t *process, int64_t status,
    int signo);
static void supervisor_bye(supervisor_t *sup, const child_t *child);
static void supervisor_on_bye(uv_timer_t *timer);
static void supervisor_byes(supervisor_t *sup);
static void supervisor_say(supervisor_t *sup, const char *word);
static void supervisor_on_ready(redis_t *rc, int restarted, void *data);
static void supervisor_on_shards(redis_t *rc, ai_resp_t *reply, void *data);
static void supervisor_on_signal(uv_signal_t *handle, int signo);
static void supervisor_forward(supervisor_t *sup, int signo);
static void supervisor_stop(supervisor_t *sup);
static void supervisor_on_stop(uv_timer_t *timer);


static const redis_events_t  supervisor_events = {
    supervisor_on_ready, NULL, NULL, NULL
};


int
supervisor_run(const options_t *opt, int argc, char **argv)
{
    int            status;
    unsigned       i;
    child_t       *child;
    supervisor_t  *sup;

    sup = calloc(1, sizeof(*sup));
    if (sup == NULL) {
        return 1;
    }

    sup->opt = opt;
    sup->children = calloc(opt->workers, sizeof(*sup->children));

    if (sup->children == NULL || supervisor_args(sup, argc, argv) != 0
        || supervisor_pid_file(opt) != 0 || loop_init(&sup->loop) != 0)
    {
        free(sup->children);
        free(sup->args);
        free(sup);
        return 1;
    }

    log_name("supervisor");
    sup->redis = redis_open(&sup->loop, &opt->redis, "supervisor",
                            &supervisor_events, sup);
    uv_timer_init(&sup->loop.uv, &sup->stop_timer);
    sup->stop_timer.data = sup;
    uv_timer_init(&sup->loop.uv, &sup->bye_timer);
    sup->bye_timer.data = sup;
    supervisor_signals(sup);

    for (i = 0; i < opt->workers; i++) {
        child = &sup->children[i];
        child->sup = sup;
        child->number = i;
        child->process.data = child;
        child->timer.data = child;
        uv_timer_init(&sup->loop.uv, &child->timer);
        supervisor_spawn(child);
    }

    if (sup->redis != NULL) {
        loop_run(&sup->loop);
        redis_close(sup->redis);
    }

    loop_close(&sup->loop);

    if (opt->pid_file != NULL) {
        unlink(opt->pid_file);
    }

    log_write(LOG_INFO, "supervisor", "ended");
    status = sup->status;
    free(sup->children);
    free(sup->args);
    free(sup);

    return status;
}


/* Locked while the process lives, so that a second one says so.  The file that
 * is locked may be one which its owner has just removed. */

static int
supervisor_pid_file(const options_t *opt)
{
    int           fd, n;
    char          text[32];
    struct stat   ours, there;
    struct flock  lock;

    if (opt->pid_file == NULL) {
        return 0;
    }

    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;

    for (n = 0; n < SUPERVISOR_PID_TRIES; n++) {
        fd = open(opt->pid_file, O_RDWR|O_CREAT|O_CLOEXEC, 0644);

        if (fd == -1) {
            return supervisor_pid_bad(opt, fd, strerror(errno));
        }

        if (fcntl(fd, F_SETLK, &lock) == -1) {
            return supervisor_pid_bad(opt, fd, "another one runs");
        }

        if (fstat(fd, &ours) == 0 && stat(opt->pid_file, &there) == 0
            && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
        {
            break;
        }

        close(fd);
    }

    if (n == SUPERVISOR_PID_TRIES) {
        return supervisor_pid_bad(opt, -1, "it keeps changing");
    }

    n = snprintf(text, sizeof(text), "%ld\n", (long) getpid());

    if (ftruncate(fd, 0) == -1 || write(fd, text, (size_t) n) != n) {
        return supervisor_pid_bad(opt, fd, strerror(errno));
    }

    return 0;
}


static int
supervisor_pid_bad(const options_t *opt, int fd, const char *why)
{
    fprintf(stderr, "ai-workers: %s: %s\n", opt->pid_file, why);

    if (fd != -1) {
        close(fd);
    }

    return -1;
}


static int
supervisor_args(supervisor_t *sup, int argc, char **argv)
{
    int  i;

    if (argc > SUPERVISOR_ARGS_MAX) {
        fprintf(stderr, "ai-workers: too many arguments\n");
        return -1;
    }

    sup->args = calloc((size_t) argc + 5, sizeof(*sup->args));
    if (sup->args == NULL) {
        return -1;
    }

    for (i = 0; i < argc; i++) {
        sup->args[sup->nargs++] = argv[i];
    }

    return 0;
}


static void
supervisor_signals(supervisor_t *sup)
{
    unsigned  i;

    static const int  signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1,
                                    SIGQUIT };

    signal(SIGPIPE, SIG_IGN);

    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        uv_signal_init(&sup->loop.uv, &sup->signals[i]);
        sup->signals[i].data = sup;
        uv_signal_start(&sup->signals[i], supervisor_on_signal, signals[i]);
    }
}


static void
supervisor_spawn(child_t *child)
{
    int                   rc;
    char                  start[24], parent[24];
    unsigned              n;
    supervisor_t         *sup;
    uv_process_options_t  options;
    uv_stdio_container_t  stdio[3];

    sup = child->sup;
    child->start_msec = loop_wall_usec() / 1000;
    child->born_msec = uv_now(&sup->loop.uv);

    snprintf(start, sizeof(start), "%llu",
             (unsigned long long) child->start_msec);
    snprintf(parent, sizeof(parent), "%ld", (long) getpid());

    n = sup->nargs;
    sup->args[n++] = "--child";
    sup->args[n++] = start;
    sup->args[n++] = "--parent";
    sup->args[n++] = parent;
    sup->args[n] = NULL;

    memset(&options, 0, sizeof(options));
    options.file = SUPERVISOR_EXE;
    options.args = sup->args;
    options.exit_cb = supervisor_on_exit;
    options.stdio = stdio;
    options.stdio_count = 3;

    for (n = 0; n < 3; n++) {
        stdio[n].flags = UV_INHERIT_FD;
        stdio[n].data.fd = (int) n;
    }

    rc = uv_spawn(&sup->loop.uv, &child->process, &options);
    child->process.data = child;

    if (rc != 0) {
        log_write(LOG_ERROR, "supervisor", "cannot start a process: %s",
                  uv_strerror(rc));
        uv_close((uv_handle_t *) &child->process, NULL);
        child->backoff_msec = SUPERVISOR_BACKOFF_MAX;
        uv_timer_start(&child->timer, supervisor_on_timer,
                       child->backoff_msec, 0);
        return;
    }

    child->alive = 1;
    sup->alive++;
}


static void
supervisor_on_timer(uv_timer_t *timer)
{
    child_t  *child;

    child = timer->data;

    if (child->sup->terms == 0) {
        supervisor_spawn(child);
    }
}


static void
supervisor_on_exit(uv_process_t *process, int64_t status, int signo)
{
    child_t       *child;
    supervisor_t  *sup;

    child = process->data;
    sup = child->sup;
    child->alive = 0;
    sup->alive--;

    if (status != 0 || signo != 0) {
        log_write(LOG_ERROR, "supervisor",
                  "process %d ended: status %lld, signal %d",
                  process->pid, (long long) status, signo);
        supervisor_bye(sup, child);

    } else if (sup->terms == 0) {
        log_write(LOG_WARN, "supervisor", "process %d ended by itself",
                  process->pid);
    }

    uv_close((uv_handle_t *) process, NULL);

    if (sup->terms != 0) {
        if (sup->alive == 0) {
            supervisor_stop(sup);
        }

        return;
    }

    if (uv_now(&sup->loop.uv) >= child->born_msec + SUPERVISOR_STABLE_MSEC
        || child->backoff_msec == 0)
    {
        child->backoff_msec = SUPERVISOR_BACKOFF_MIN;

    } else if (child->backoff_msec < SUPERVISOR_BACKOFF_MAX / 2) {
        child->backoff_msec *= 2;

    } else {
        child->backoff_msec = SUPERVISOR_BACKOFF_MAX;
    }

    uv_timer_start(&child->timer, supervisor_on_timer, child->backoff_msec,
                   0);
}


/* Its jobs need not wait until its heartbeat is missed. */

static void
supervisor_bye(supervisor_t *sup, const child_t *child)
{
    char  host[256];

    if (sup->nbyes == SUPERVISOR_BYES_MAX) {
        return;
    }

    if (gethostname(host, sizeof(host)) != 0) {
        memcpy(host, "worker", sizeof("worker"));
    }

    host[sizeof(host) - 1] = '\0';

    if (ai_id_process(sup->byes[sup->nbyes], sizeof(sup->byes[0]), host,
                      (long) child->process.pid, child->start_msec)
        != 0)
    {
        sup->nbyes++;
    }

    if (!uv_is_active((uv_handle_t *) &sup->bye_timer)) {
        uv_timer_start(&sup->bye_timer, supervisor_on_bye,
                       SUPERVISOR_BYE_MSEC, 0);
    }
}


static void
supervisor_on_bye(uv_timer_t *timer)
{
    supervisor_byes(timer->data);
}


/*
 * Who died together is no more given jobs before the jobs of any are given
 * anew: each that died with a job costs it an attempt.
 */

static void
supervisor_byes(supervisor_t *sup)
{
    if (sup->shards == 0 || !redis_ready(sup->redis)) {
        return;
    }

    supervisor_say(sup, "dead");
    supervisor_say(sup, "bye");
    sup->nbyes = 0;
}


static void
supervisor_say(supervisor_t *sup, const char *word)
{
    ai_str_t  argv[4];
    unsigned  i, n;

    argv[0] = ai_str("w");
    argv[2] = ai_str("0");
    argv[3] = (ai_str_t) { strlen(word), word };

    for (n = 0; n < sup->nbyes; n++) {
        argv[1].data = sup->byes[n];
        argv[1].len = strlen(argv[1].data);

        for (i = 0; i < sup->shards; i++) {
            redis_script(sup->redis, AI_SCRIPT_BEAT, worker_prefix(i), NULL,
                         NULL, 4, argv);
        }
    }
}


static void
supervisor_on_ready(redis_t *rc, int restarted, void *data)
{
    (void) restarted;

    redis_commandf(rc, supervisor_on_shards, data, "GET %s", AI_SHARDS_KEY);
}


/* A fresh Redis has none yet, and no jobs. */

static void
supervisor_on_shards(redis_t *rc, ai_resp_t *reply, void *data)
{
    int64_t        n;
    supervisor_t  *sup;

    (void) rc;

    sup = data;

    if (redis_int(reply, &n) == 0 && n >= 1 && n <= WORKER_SHARDS_MAX) {
        sup->shards = (unsigned) n;

    } else if (sup->shards == 0) {
        sup->shards = 1;
    }

    supervisor_byes(sup);
}


static void
supervisor_on_signal(uv_signal_t *handle, int signo)
{
    supervisor_t  *sup;

    sup = handle->data;

    switch (signo) {

    case SIGHUP:
        supervisor_forward(sup, SIGHUP);
        return;

    case SIGUSR1:
        log_reopen();
        supervisor_forward(sup, SIGUSR1);
        return;

    case SIGQUIT:
        sup->terms++;
        supervisor_forward(sup, SIGQUIT);
        break;

    default:
        sup->terms++;
        supervisor_forward(sup, sup->terms == 1 ? SIGTERM : SIGQUIT);
    }

    if (sup->alive == 0) {
        supervisor_stop(sup);
        return;
    }

    uv_timer_start(&sup->stop_timer, supervisor_on_stop,
                   sup->terms > 1 ? SUPERVISOR_STOP_MSEC
                   : (uint64_t) sup->opt->drain_sec * 1000
                     + SUPERVISOR_STOP_MSEC,
                   0);
}


static void
supervisor_forward(supervisor_t *sup, int signo)
{
    unsigned  i;

    for (i = 0; i < sup->opt->workers; i++) {
        if (sup->children[i].alive) {
            uv_process_kill(&sup->children[i].process, signo);
        }
    }
}


static void
supervisor_on_stop(uv_timer_t *timer)
{
    supervisor_t  *sup;

    sup = timer->data;
    log_write(LOG_ERROR, "supervisor", "%u processes do not end: killed",
              sup->alive);
    sup->status = 1;
    supervisor_forward(sup, SIGKILL);
}


static void
supervisor_stop(supervisor_t *sup)
{
    supervisor_byes(sup);
    loop_stop(&sup->loop);
}
