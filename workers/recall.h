/*
 * What an earlier attempt of a job said, read back from its log, so that a
 * call whose worker died is charged for what it gave.  The job owns what is
 * read.
 */

#ifndef RECALL_H
#define RECALL_H

#include "job.h"

/*
 * Begins, for a job that needs its end only (job->ending says which): it ends
 * later, or at once where nothing can be read.  Its log is read a page at a
 * time; the answer's text is counted and not kept.
 */
void recall_begin(job_t *job);
/* Each tick: asks again after a loss or an error. */
void recall_kick(job_t *job);
void recall_free(job_t *job);

#endif
