/*
 * One line of JSON a log entry, written with one write.  Owns the descriptor.
 */

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>


static void log_entry(log_level_e level, const char *part, ai_str_t tenant,
    ai_str_t job, unsigned repeated, const char *fmt, va_list args);
static int log_allowed(time_t now);
static void log_time(ai_buf_t *b, const struct timespec *ts);
static void log_field(ai_buf_t *b, const char *name, ai_str_t value);
static ai_str_t log_str(const char *z);


static const char *const  log_levels[] = { "error", "warn", "info", "debug" };

static struct {
    int          fd;
    log_level_e  level;
    char         path[4096];
    char         name[65];
    time_t       second;
    unsigned     written;
    unsigned     dropped;
} log_state = { STDERR_FILENO, LOG_INFO, "-", "", 0, 0, 0 };


int
log_open(const char *path, log_level_e level)
{
    if (strlen(path) >= sizeof(log_state.path)) {
        errno = ENAMETOOLONG;
        return -1;
    }

    memcpy(log_state.path, path, strlen(path) + 1);
    log_state.level = level;

    return log_reopen();
}


int
log_reopen(void)
{
    int  fd;

    if (strcmp(log_state.path, "-") == 0) {
        return 0;
    }

    fd = open(log_state.path, O_WRONLY|O_APPEND|O_CREAT|O_CLOEXEC, 0640);
    if (fd == -1) {
        return -1;
    }

    if (log_state.fd != STDERR_FILENO) {
        close(log_state.fd);
    }

    log_state.fd = fd;

    return 0;
}


void
log_name(const char *name)
{
    snprintf(log_state.name, sizeof(log_state.name), "%s", name);
}


int
log_level(const char *name)
{
    unsigned  i;

    for (i = 0; i < sizeof(log_levels) / sizeof(log_levels[0]); i++) {
        if (strcmp(name, log_levels[i]) == 0) {
            return (int) i;
        }
    }

    return -1;
}


void
log_write(log_level_e level, const char *part, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    log_entry(level, part, log_str(""), log_str(""), 0, fmt, args);
    va_end(args);
}


void
log_job(log_level_e level, const char *part, ai_str_t tenant, ai_str_t job,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    log_entry(level, part, tenant, job, 0, fmt, args);
    va_end(args);
}


void
log_again(log_again_t *again, log_level_e level, const char *part,
    const char *fmt, ...)
{
    va_list          args;
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    if (now.tv_sec < again->until) {
        again->repeated++;
        return;
    }

    va_start(args, fmt);
    log_entry(level, part, log_str(""), log_str(""), again->repeated, fmt,
              args);
    va_end(args);

    again->until = now.tv_sec + LOG_AGAIN_SECONDS;
    again->repeated = 0;
}


static void
log_entry(log_level_e level, const char *part, ai_str_t tenant, ai_str_t job,
    unsigned repeated, const char *fmt, va_list args)
{
    int              n;
    char             text[LOG_LINE_MAX / 8], line[LOG_LINE_MAX];
    ssize_t          rc;
    ai_buf_t         b;
    ai_str_t         s;
    struct timespec  ts;

    if (level > log_state.level) {
        return;
    }

    clock_gettime(CLOCK_REALTIME, &ts);

    if (!log_allowed(ts.tv_sec)) {
        return;
    }

    n = vsnprintf(text, sizeof(text), fmt, args);
    if (n < 0) {
        return;
    }

    s.data = text;
    s.len = (size_t) n < sizeof(text) ? (size_t) n : sizeof(text) - 1;

    ai_buf_init(&b, line, sizeof(line));
    ai_buf_add_z(&b, "{\"time\":\"");
    log_time(&b, &ts);
    ai_buf_add_z(&b, "\"");
    log_field(&b, "level", log_str(log_levels[level]));
    log_field(&b, "worker", log_str(log_state.name));
    log_field(&b, "part", log_str(part));
    log_field(&b, "tenant", tenant);
    log_field(&b, "job", job);
    log_field(&b, "message", s);

    if (repeated != 0) {
        ai_buf_add_z(&b, ",\"repeated\":");
        ai_buf_add_int(&b, repeated);
    }

    if (log_state.dropped != 0) {
        ai_buf_add_z(&b, ",\"dropped\":");
        ai_buf_add_int(&b, log_state.dropped);
        log_state.dropped = 0;
    }

    ai_buf_add_z(&b, "}\n");

    if (b.full) {
        return;
    }

    do {
        rc = write(log_state.fd, b.start, ai_buf_len(&b));
    } while (rc == -1 && errno == EINTR);
}


static int
log_allowed(time_t now)
{
    if (now != log_state.second) {
        log_state.second = now;
        log_state.written = 0;
    }

    if (log_state.written == LOG_RATE_MAX) {
        log_state.dropped++;
        return 0;
    }

    log_state.written++;

    return 1;
}


static void
log_time(ai_buf_t *b, const struct timespec *ts)
{
    char       buf[64];
    size_t     n;
    struct tm  tm;

    gmtime_r(&ts->tv_sec, &tm);
    n = strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%S", &tm);
    ai_buf_add(b, buf, n);
    n = (size_t) snprintf(buf, sizeof(buf), ".%03ldZ", ts->tv_nsec / 1000000);
    ai_buf_add(b, buf, n);
}


static void
log_field(ai_buf_t *b, const char *name, ai_str_t value)
{
    if (value.len == 0) {
        return;
    }

    if (value.len > 256 && strcmp(name, "message") != 0) {
        value.len = 256;
    }

    ai_buf_add_z(b, ",\"");
    ai_buf_add_z(b, name);
    ai_buf_add_z(b, "\":\"");
    ai_buf_add_json(b, value);
    ai_buf_add_z(b, "\"");
}


static ai_str_t
log_str(const char *z)
{
    ai_str_t  s = { strlen(z), z };

    return s;
}
