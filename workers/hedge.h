/*
 * Hedging: a second call, of another target, beside one whose first token is
 * late.  Who speaks first answers; the other is cancelled and paid for.
 *
 * The second call is a job_t of its own, that no list, table or client knows:
 * its parent's lane.  It has no emit_t; its answer waits until it has won.  The
 * parent outlives it.
 */

#ifndef HEDGE_H
#define HEDGE_H

#include "job.h"

/* The call may be late: some times a second. */
void hedge_check(job_t *job);
/* The job needs no second call any more. */
void hedge_end(job_t *job);
/* The job's own call has failed: 1 where the second is the job's now. */
int hedge_follows(job_t *job);

/* Of a second call: it has failed; it has said something, 0 or -1 as
 * job_bytes; it is whole. */
void hedge_lost(job_t *lane);
int hedge_heard(job_t *lane);
void hedge_whole(job_t *lane);
/* Its last callback is back. */
void hedge_free(job_t *lane);

#endif
