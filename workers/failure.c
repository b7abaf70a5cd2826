/*
 * What a failed call means.  Owns nothing; the tables below are the policy.
 */

#include "failure.h"

#include <string.h>

#include "breaker.h"
#include "job_in.h"


typedef struct {
    int          status;            /* and those up to the next row's */
    unsigned     may;
} failure_row_t;


static int failure_refused(const job_t *job);


/* By status: what is wrong with a request is its sender's, and is said once. */

static const failure_row_t  failure_status[] = {
    { 200, 0 },
    { 401, FAILURE_NEXT|FAILURE_KEY },
    { 403, FAILURE_NEXT|FAILURE_LIMIT },
    { 404, FAILURE_NEXT },
    { 405, 0 },
    { 408, FAILURE_NEXT|FAILURE_SAME },
    { 409, 0 },
    { 425, FAILURE_NEXT|FAILURE_SAME },
    { 426, 0 },
    { 429, FAILURE_NEXT|FAILURE_SAME|FAILURE_LIMIT },
    { 430, 0 },
    { 500, FAILURE_NEXT|FAILURE_SAME|FAILURE_MODEL },
    { 501, FAILURE_NEXT },
    { 502, FAILURE_NEXT|FAILURE_SAME|FAILURE_MODEL },
    { 600, 0 }
};

/* By what else went wrong, in the order of retry_why_e. */

static const unsigned  failure_whys[] = {
    [RETRY_UNREACHABLE] = FAILURE_NEXT|FAILURE_SAME|FAILURE_PROVIDER,
    [RETRY_FIRST] = FAILURE_NEXT|FAILURE_MODEL,
    [RETRY_IDLE] = FAILURE_NEXT|FAILURE_MODEL,
    [RETRY_TOTAL] = FAILURE_NEXT|FAILURE_MODEL,
    [RETRY_SLOW] = FAILURE_NEXT|FAILURE_MODEL,
    [RETRY_BROKEN] = FAILURE_NEXT|FAILURE_SAME|FAILURE_MODEL,
    [RETRY_GARBAGE] = FAILURE_NEXT|FAILURE_SAME|FAILURE_MODEL,
    [RETRY_ERROR] = FAILURE_NEXT|FAILURE_SAME|FAILURE_MODEL,
    [RETRY_NO_KEY] = FAILURE_NEXT,
    [RETRY_UNFIT] = FAILURE_NEXT
};


unsigned
failure_may(const job_t *job, retry_why_e why)
{
    unsigned  may;

    const failure_row_t  *row;

    if ((why == RETRY_STATUS || why == RETRY_ERROR) && failure_refused(job)) {
        return FAILURE_NEXT|FAILURE_KEY;
    }

    if (why != RETRY_STATUS) {
        may = why == RETRY_ERROR && job->answer.blamed ? 0 : failure_whys[why];

    } else {
        for (row = failure_status; job->answer.status >= row[1].status; row++) {
            /* void */
        }

        may = row->may;
    }

    return job->has_answer && job->answer.no_retry ? may & ~FAILURE_SAME : may;
}


/* Whether an error is about the key, whatever its status. */

static int
failure_refused(const job_t *job)
{
    const char  *cause;

    cause = job->translate != NULL ? translate_cause(job->translate) : NULL;

    return cause != NULL && strcmp(cause, "unauthenticated") == 0;
}


/* Some say in the body when to come again. */

void
failure_wish(job_t *job)
{
    int64_t  msec;

    if (!job->has_answer || job->translate == NULL) {
        return;
    }

    msec = translate_retry(job->translate);

    if (msec > job->answer.retry_msec && msec > 0) {
        job->answer.retry_msec = msec;
    }
}


/* Whom a failure is held against, once a call. */

void
failure_note(job_t *job, unsigned may)
{
    uint64_t     msec;
    breakers_t  *b;

    if (job->noted || job->echo != NULL) {
        return;
    }

    if (may == 0) {
        failure_good(job);
        return;
    }

    job->noted = 1;
    b = job->w->breakers;
    msec = job->has_answer && job->answer.retry_msec > 0
           ? (uint64_t) job->answer.retry_msec : 0;

    if (job->target != NULL && (may & (FAILURE_PROVIDER|FAILURE_MODEL))) {
        target_took(job->w->targets, job->target, job->spec.stream,
                    (uint64_t) job->route.first_msec * 1000);
    }

    if (may & FAILURE_PROVIDER) {
        breaker_failed(b, BREAKER_PROVIDER, &job->route, 0, 0);
    }

    if (may & FAILURE_MODEL) {
        breaker_failed(b, BREAKER_MODEL, &job->route, 0, 0);
    }

    if (may & FAILURE_KEY) {
        breaker_failed(b, BREAKER_KEY, &job->route, job->key, 0);
    }

    if (may & FAILURE_LIMIT) {
        breaker_failed(b, BREAKER_LIMIT, &job->route, job->key, msec);
    }

    failure_unprobe(job);
}


/* The target answers, whatever it thinks of the request. */

void
failure_good(job_t *job)
{
    if (job->noted) {
        return;
    }

    job->noted = 1;

    if (job->target != NULL) {
        target_took(job->w->targets, job->target, job->spec.stream,
                    (job->spec.stream && job->token_usec != 0
                     ? job->token_usec : loop_now_usec(&job->w->loop))
                    - job->called_usec);
    }

    if (breakers_any(job->w->breakers)) {
        breaker_worked(job->w->breakers, &job->route, job->key);
    }

    failure_unprobe(job);
}


void
failure_unprobe(job_t *job)
{
    if (job->probe) {
        job->probe = 0;
        breaker_unprobe(job->w->breakers, &job->route);
    }
}
