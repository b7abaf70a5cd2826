/*
 * Bodies that stand alone in Redis: fetched in pieces, in turn, so that one
 * does not hold up the replies of others.  A job owns what was fetched,
 * and what it was made whole to.
 */

#ifndef BODY_H
#define BODY_H

#include "job.h"
#include "out.h"

/* A request of few bytes may stand on many: of those that were made whole, a
 * process; a small one is let be. */
#define BODY_WHOLE_MAX   (256 * 1024 * 1024)
#define BODY_WHOLE_FAIR  (256 * 1024)

/* Begins, or goes on after a loss: job_loaded follows, or job_fail.  Does
 * nothing where the body is there or on its way. */
void body_load(job_t *job);
/* What waits is asked for: when Redis is there again, and each tick. */
void body_kick(jobs_t *jobs);
/* The job does not want it any more. */
void body_forget(job_t *job);
/* It stands for itself now: 0, and o's data are the job's; or -1: there are too
 * many. */
int body_whole(job_t *job, out_t *o);
/* What was fetched or made whole is not needed: its length stays. */
void body_free(job_t *job);

#endif
