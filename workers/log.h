/*
 * One line of JSON a log entry.  Owns the log's descriptor; every process has
 * one log.  Secrets, bodies and answers are never given to it.
 */

#ifndef LOG_H
#define LOG_H

#include <time.h>

#include "ai_str.h"

#define LOG_LINE_MAX   4096     /* bytes; a longer text is cut */
#define LOG_RATE_MAX   2000     /* entries a second; more are only counted */
#define LOG_AGAIN_SECONDS  10   /* between two of the same */

typedef enum {
    LOG_ERROR = 0,
    LOG_WARN,
    LOG_INFO,
    LOG_DEBUG
} log_level_e;

typedef struct {
    time_t    until;            /* of CLOCK_MONOTONIC; 0: none was written */
    unsigned  repeated;         /* not written since */
} log_again_t;

/* path: a file, or "-" for stderr.  0, or -1 with errno. */
int log_open(const char *path, log_level_e level);
/* After a rotation: opens the path again; on failure the old one stays. */
int log_reopen(void);
/* The process that the entries name, at most 64 bytes; copied. */
void log_name(const char *name);
/* LOG_ERROR ..., or -1. */
int log_level(const char *name);

/*
 * An entry.  part is a constant word ("redis", "ledger"); the text needs no
 * line end, is escaped and cut.
 */
void log_write(log_level_e level, const char *part, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/*
 * An entry that one cause may bring again and again: the first is written, and
 * after it one each LOG_AGAIN_SECONDS, which says how many were not.  *again
 * is zeroed once, and of one place in the code.
 */
void log_again(log_again_t *again, log_level_e level, const char *part,
    const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* One about a tenant's job; either may be empty. */
void log_job(log_level_e level, const char *part, ai_str_t tenant,
    ai_str_t job, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

#endif
