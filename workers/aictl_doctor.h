/*
 * aictl doctor: what its checks share.  A finding says what is so and what to
 * do; the report owns the array of them.
 */

#ifndef AICTL_DOCTOR_H
#define AICTL_DOCTOR_H

#include "aictl.h"

typedef enum {
    DOCTOR_OK = 0,
    DOCTOR_WARN,
    DOCTOR_BAD
} doctor_level_e;

typedef struct {
    json_t   *findings;
    unsigned  bad;
    unsigned  warn;
} doctor_t;

/*
 * part: "redis", "postgres", "workers"; what and todo as formats are for
 * doctor_add only, todo may be NULL where nothing is to be done.
 */
void doctor_add(doctor_t *d, doctor_level_e level, const char *part,
    const char *todo, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* The parts; each adds what it finds.  Redis before the queue, which needs
 * its connection. */
void doctor_redis(aictl_t *a, doctor_t *d);
void doctor_queue(aictl_t *a, doctor_t *d);
void doctor_postgres(aictl_t *a, doctor_t *d);
/* Keys that Redis has and Postgres says otherwise; needs both. */
void doctor_keys(aictl_t *a, doctor_t *d);

#endif
