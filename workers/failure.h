/*
 * What a failed call means: what may follow it, and whom it is held against.
 * One table says it (docs/routing.md); this is the only place that decides.
 * retry.c carries it out.
 */

#ifndef FAILURE_H
#define FAILURE_H

#include "breaker.h"
#include "retry.h"

/* What a failure allows, and what it is held against. */
#define FAILURE_NEXT      0x01      /* another target */
#define FAILURE_SAME      0x02      /* this one again, later */
#define FAILURE_PROVIDER  0x04
#define FAILURE_MODEL     0x08
#define FAILURE_KEY       0x10      /* is benched */
#define FAILURE_LIMIT     0x20      /* the same, for this model */
#define FAILURE_DENIAL    0x40      /* the same, for this tenant */

/* A set of these; 0: it is the request's own fault, or its end. */
unsigned failure_may(const job_t *job, retry_why_e why);
/* Some say in the body when to come again: as if a header had. */
void failure_wish(job_t *job);
/* Tells breakers and targets, once a call. */
void failure_note(job_t *job, unsigned may);
/* The same of a call that has shown that its target works. */
void failure_good(job_t *job);
/* The job's call, for breakers. */
breaker_call_t failure_call(const job_t *job);
/* The permit to try an open breaker, if the call had it, is given back. */
void failure_unprobe(job_t *job);

#endif
