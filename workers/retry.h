/*
 * What follows a call that failed before a word of it had left: another
 * target, the same one again later, or the end.  What each failure means is
 * said in failure.h.
 */

#ifndef RETRY_H
#define RETRY_H

#include "job.h"

#define RETRY_CALLS_MAX    8        /* of a job, killed workers' counted too */
#define RETRY_BASE_MSEC    200      /* full jitter: 0 to this, doubled each */
#define RETRY_CAP_MSEC     5000     /* time, up to this */
#define RETRY_WISH_MSEC    10000    /* a longer Retry-After is the client's */
#define RETRY_BUDGET_MAX   100      /* repeats that a process may save up; */
#define RETRY_BUDGET_RATE  10       /* so many a second come back, */
#define RETRY_BUDGET_PART  5        /* and one each so many calls */
#define RETRY_RATE_MSEC    3000     /* bytes a second are counted over */

typedef enum {
    RETRY_UNREACHABLE = 0,      /* no name, refused, TLS, too slow to connect */
    RETRY_FIRST,                /* no token in time */
    RETRY_IDLE,                 /* a greeting, then nothing */
    RETRY_TOTAL,                /* the call takes too long */
    RETRY_SLOW,                 /* too few bytes a second */
    RETRY_BROKEN,               /* no answer, or one that broke off */
    RETRY_GARBAGE,              /* what no provider says */
    RETRY_LARGE,                /* an answer over a bound of ours */
    RETRY_ERROR,                /* one inside a 200 */
    RETRY_STATUS,               /* by the answer's status */
    RETRY_NO_KEY,               /* nothing to call it with */
    RETRY_UNFIT                 /* it cannot be asked so */
} retry_why_e;

/* Before the first call: 0, or -1 where breakers send the job elsewhere. */
int retry_first(job_t *job);
/*
 * A call of the job failed, or could not begin.  1: the job goes on with
 * another, and the caller forgets it; 0: this failure is the job's.  From
 * within any of the job's callbacks.
 */
int retry_failed(job_t *job, retry_why_e why);
/* A whole answer that nothing has left of: the same, 0 where it is good. */
int retry_answer(job_t *job);
/* Whether nothing has left of an answer that comes too slowly: some times a
 * second. */
int retry_slow(job_t *job);
/* The keys that have failed its call of this target, a bit each. */
unsigned retry_tried(const job_t *job);
/* Its time may have come: some times a second. */
void retry_kick(job_t *job);
/* Ends it: takes back what waits. */
void retry_stop(job_t *job);
void retry_free(job_t *job);

#endif
