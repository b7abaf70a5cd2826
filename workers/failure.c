/*
 * What a failed call means.  Owns nothing; the tables below are the policy.
 */

#include "failure.h"

#include <string.h>

#include "job_in.h"


typedef struct {
    int          status;            /* and those up to the next row's */
    unsigned     may;
} failure_row_t;


static int failure_inside(const job_t *job);
static unsigned failure_of_status(int status);
static int failure_refused(const job_t *job);
static void failure_worked(job_t *job, int good);


/* By status: what is wrong with a request is its sender's, and is said once. */

static const failure_row_t  failure_status[] = {
    { 200, 0 },
    { 401, FAILURE_NEXT|FAILURE_KEY },
    { 403, FAILURE_NEXT|FAILURE_DENIAL },
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
    [RETRY_LARGE] = 0,
    [RETRY_ERROR] = FAILURE_NEXT|FAILURE_SAME|FAILURE_MODEL,
    [RETRY_NO_KEY] = FAILURE_NEXT,
    [RETRY_UNFIT] = FAILURE_NEXT
};


unsigned
failure_may(const job_t *job, retry_why_e why)
{
    int       status;
    unsigned  may;

    if ((why == RETRY_STATUS || why == RETRY_ERROR) && failure_refused(job)) {
        return FAILURE_NEXT|FAILURE_KEY;
    }

    status = why == RETRY_STATUS ? job->answer.status
             : why == RETRY_ERROR ? failure_inside(job) : 0;
    may = status != 0 ? failure_of_status(status) : failure_whys[why];

    return job->has_answer && job->answer.no_retry ? may & ~FAILURE_SAME : may;
}


/* The status of an error inside a 200, 0: unknown. */

static int
failure_inside(const job_t *job)
{
    const char        *cause;
    const ai_error_t  *e;

    if (job->answer.error_status != 0 || job->translate == NULL) {
        return job->answer.error_status;
    }

    cause = translate_cause(job->translate);
    e = cause != NULL ? ai_error_find((ai_str_t) { strlen(cause), cause })
                      : NULL;

    return e != NULL ? e->status : 0;
}


static unsigned
failure_of_status(int status)
{
    const failure_row_t  *row;

    for (row = failure_status; status >= row[1].status; row++) {
        /* void */
    }

    return row->may;
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
    size_t           i;
    uint64_t         msec;
    breaker_call_t   call;

    static const struct {
        unsigned        may;
        breaker_kind_e  kind;
    } kinds[] = {
        { FAILURE_PROVIDER, BREAKER_PROVIDER },
        { FAILURE_MODEL, BREAKER_MODEL },
        { FAILURE_KEY, BREAKER_KEY },
        { FAILURE_LIMIT, BREAKER_LIMIT },
        { FAILURE_DENIAL, BREAKER_DENIAL }
    };

    if (job->noted || job->echo != NULL) {
        return;
    }

    if (may == 0) {
        failure_worked(job, 0);
        return;
    }

    job->noted = 1;
    call = failure_call(job);
    msec = (may & FAILURE_LIMIT) && job->has_answer
           && job->answer.retry_msec > 0
           ? (uint64_t) job->answer.retry_msec : 0;

    if (job->target != NULL && (may & (FAILURE_PROVIDER|FAILURE_MODEL))) {
        target_took(job->w->targets, job->target, job->spec.stream,
                    (uint64_t) job->route.first_msec * 1000);
    }

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (may & kinds[i].may) {
            breaker_failed(job->w->breakers, kinds[i].kind, &call, msec);
        }
    }

    failure_unprobe(job);
}


void
failure_good(job_t *job)
{
    failure_worked(job, 1);
}


/* The target answers, whatever it thinks of the request: how fast it says that
 * one is wrong tells nothing of the others. */

static void
failure_worked(job_t *job, int good)
{
    breaker_call_t  call;

    if (job->noted) {
        return;
    }

    job->noted = 1;

    if (good && job->target != NULL) {
        target_took(job->w->targets, job->target, job->spec.stream,
                    (job->spec.stream && job->token_usec != 0
                     ? job->token_usec : loop_now_usec(&job->w->loop))
                    - job->called_usec);
    }

    if (breakers_any(job->w->breakers)) {
        call = failure_call(job);
        breaker_worked(job->w->breakers, &call, good);
    }

    failure_unprobe(job);
}


breaker_call_t
failure_call(const job_t *job)
{
    breaker_call_t  call;

    call.route = &job->route;
    call.tenant = job->spec.tenant;
    call.key = job->key;
    call.tried = retry_tried(job);
    call.permit = job->permit;

    return call;
}


void
failure_unprobe(job_t *job)
{
    if (job->permit != 0) {
        breaker_unprobe(job->w->breakers, job->permit,
                        (ai_str_t) { AI_JOB_ID_LEN, job->id });
        job->permit = 0;
    }
}
