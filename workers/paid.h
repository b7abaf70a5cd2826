/*
 * What the failed calls of a job cost.  It is kept with the job in Redis
 * before the next call goes out (script pay), so that whoever ends the job
 * bills it.  A job owns its paid_t; a hedge's calls are its parent's.
 */

#ifndef PAID_H
#define PAID_H

#include "job.h"

#define PAID_MAX  31                /* calls of a job, its last one aside, all
                                     * its attempts'; a settle has one more */

/* What the call of lane, the job or its hedge, will be billed: nothing where
 * nobody bills it.  state: of its ledger record. */
void paid_add(job_t *job, job_t *lane, const char *state);
/* Whether Redis has said to all of it: else retry_kick is called then. */
int paid_kept(const job_t *job);
/* Of a later attempt: asks what earlier ones have kept.  job_loaded follows,
 * and job->owing is 0 then; some times a second, until it is. */
void paid_ask(job_t *job);
/* What Redis keeps of earlier attempts (docs/wire.md, 3, paid). */
void paid_read(job_t *job, ai_str_t text);
/* Adds its cost to u, which is the last call's, and its lines and u's to b,
 * each behind a line end; nothing where there are none. */
void paid_usage(const job_t *job, ai_usage_t *u, ai_buf_t *b);
void paid_free(job_t *job);

#endif
