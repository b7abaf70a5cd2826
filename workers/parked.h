/*
 * Responses that Postgres could not take when they ended: they wait in Redis
 * until it can, for any worker to put them there.
 *
 * A parked_t owns its timer; it borrows the worker and its stores_t.  Loop's
 * thread only.
 */

#ifndef PARKED_H
#define PARKED_H

#include "stored.h"

#define PARKED_MAX         1024         /* that wait, */
#define PARKED_BYTES_MAX   (64 * 1024 * 1024)   /* and their bytes, as of the
                                                 * last look */
#define PARKED_MSEC        "86400000"   /* so long */
#define PARKED_EVERY_MSEC  500          /* between two looks */
#define PARKED_ROUND       16           /* of a shard, a look */
#define PARKED_LEASE_MSEC  "10000"      /* one worker at a time, */
#define PARKED_WORK_MSEC   5000         /* who stops by then */

#define PARKED_PUT  "SELECT ngxai.response_put($1, $2, $3, $4, $5, $6, $7," \
                    " $8::integer)"
#define PARKED_PARAMS  8                /* the last are the days */

/* What parked_read answers. */
#define PARKED_OWNER     0
#define PARKED_INPUT     1
#define PARKED_RESPONSE  2

typedef struct parked_s  parked_t;

/* NULL: no memory. */
parked_t *parked_open(worker_t *w, stores_t *s);
void parked_close(parked_t *p);

/* Whether Postgres may take it another time: res as of db_result_pt. */
int parked_worth(const PGresult *res);
/* Keeps PARKED_PUT's params, texts or NULL: 0, or -1: there is no room. */
int parked_put(struct job_s *job, const char *const *params);
/* Asks for what waits under this id: 0, and cb follows with an array of what
 * stands above; or -1. */
int parked_read(struct job_s *job, const char *id, redis_reply_pt cb,
    void *data);
/* The element i of that: 1; 0: nothing waits. */
int parked_item(ai_resp_t *reply, size_t i, ai_str_t *text);
/* It waits no more: 0, and cb follows when that is so, behind which it may be
 * in Postgres still; or -1. */
int parked_drop(struct job_s *job, const char *id, redis_reply_pt cb,
    void *data);
/* Something waits, and cb follows after another look: 1; 0: nothing does. */
int parked_wait(parked_t *p, void (*cb)(void *data), void *data);

#endif
