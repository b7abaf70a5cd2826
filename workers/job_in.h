/*
 * What jobs.c (the herd), job.c (a job until its answer is whole),
 * job_translate.c (who speaks with its provider) and
 * job_end.c (its end) share.
 */

#ifndef JOB_IN_H
#define JOB_IN_H

#include "job.h"

#define JOBS_ENDED  4096            /* of the last ones, few of which meet */

/* Jobs whose bodies are to be asked for (body.h). */
typedef struct {
    job_t    *first;
    job_t   **last;
    unsigned  fetches;          /* replies on their way */
} bodies_t;

struct jobs_s {
    worker_t   *w;
    job_t      *lists[JOB_STATES];
    unsigned    counts[JOB_STATES];
    unsigned    held[WORKER_SHARDS_MAX];
    job_t     **table;
    unsigned    mask;
    uint64_t    random;
    uint64_t    ended[JOBS_ENDED];  /* their ids' hashes, each at its place */
    uv_timer_t  timer;
    bodies_t    bodies;
    uint64_t    heard_usec;     /* when Redis was there last */
    uint64_t    deaf_usec;      /* when it was again, after JOBS_DEAF_MSEC */
    uint64_t    ticked_msec;
    unsigned    late:1;         /* the last tick was, and looked at nothing */
};

/* jobs.c */
void job_move(job_t *job, job_state_e state);
/* Its end without a word to Redis; frees it after its last callback. */
void job_drop(job_t *job);

/* job.c */
/* Begins what was delivered; text is the job's, d points into it. */
void job_begin(job_t *job, char *text, const ai_delivery_t *d);
/* Asks for it; attempt is what the worker has of it, or 0: 0 or -1. */
int job_claim(job_t *job, redis_reply_pt cb);
void job_on_claim(redis_t *rc, ai_resp_t *reply, void *data);
/* Its body is there. */
void job_loaded(job_t *job);
/* Its emit_t, when id, tenant and attempt are known: 0, or -1 no memory. */
int job_emit(job_t *job);

/* job_translate.c */
/* Who speaks with its target, and through what: 0, or -1 it has failed. */
int job_dress(job_t *job);

/* job_end.c */
/* The last event and settle; cause NULL: the answer is whole. */
void job_end(job_t *job, const char *state, const char *cause,
    const char *message);
/* Claimed, but nobody can read what it is: ends it. */
void job_unreadable(job_t *job);
/* Ends whatever still runs for it. */
void job_stop(job_t *job);
/* What emit calls. */
void job_on_cancelled(void *data, ai_str_t reason);
void job_on_ended(void *data, emit_end_e end);

#endif
