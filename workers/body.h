/*
 * Bodies that stand alone in Redis: fetched in pieces, in turn, so that one
 * does not hold up the replies of others.  A job owns what was fetched.
 */

#ifndef BODY_H
#define BODY_H

#include "job.h"

/* Begins, or goes on after a loss: job_loaded follows, or job_fail.  Does
 * nothing where the body is there or on its way. */
void body_load(job_t *job);
/* What waits is asked for: when Redis is there again, and each tick. */
void body_kick(jobs_t *jobs);
/* The job does not want it any more. */
void body_forget(job_t *job);
/* What was fetched is not needed: its length stays. */
void body_free(job_t *job);

#endif
