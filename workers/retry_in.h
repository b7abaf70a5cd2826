/*
 * What retry.c (what follows a failed call) and hedge.c (a second call beside
 * one that is late) share.
 */

#ifndef RETRY_IN_H
#define RETRY_IN_H

#include "breaker.h"
#include "job_in.h"
#include "retry.h"
#include "route.h"


struct retry_s {
    job_t       *job;
    loop_task_t  task;
    route_at_t   at[ROUTE_MAX];
    unsigned     n;
    unsigned     now;               /* the one that is asked */
    unsigned     hedge;             /* the one that is asked beside it */
    retry_why_e  why;               /* the last failure, and what may */
    unsigned     may;               /* follow it */
    unsigned     repeats;
    uint64_t     due_msec;
    uint64_t     open_msec;         /* what was not asked is, the earliest */
    uint64_t     permit;            /* that is asked for */
    unsigned     probe:1;           /* a permit is to be asked for */
    unsigned     asking:1;
};


/* retry.c */
/* NULL: no memory. */
retry_t *retry_open(job_t *job);
/* The route of its i-th target: 0 or -1. */
int retry_route(const job_t *job, unsigned i, route_t *route);
/* Whether that may be asked now. */
breaker_e retry_ask(job_t *job, unsigned i);
/* 0, or -1: this process has repeated enough calls for now. */
int retry_budget(job_t *job, int take);
/* The second call, whose answer was waited for when the job's own failed, is
 * no good, either. */
void retry_alone(job_t *job);
/* Nothing is left of the call but what it cost. */
void retry_reset(job_t *job);

#endif
