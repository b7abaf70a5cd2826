/*
 * A second call beside one that is late.  A job owns its lane.
 */

#include "hedge.h"

#include "failure.h"
#include "paid.h"
#include "retry_in.h"

#include <stdlib.h>
#include <string.h>


static int hedge_due(const job_t *job);
static unsigned hedge_pick(job_t *job);
static void hedge_begin(job_t *job, const route_t *route);
static void hedge_drop(job_t *lane);
static void hedge_await(job_t *job);
static void hedge_swap(job_t *job);
static int hedge_tell(job_t *job);


void
hedge_check(job_t *job)
{
    unsigned  i;
    route_t   route;

    if (job->hedged || !hedge_due(job) || !job_ours(job)
        || (job->retry == NULL && (job->retry = retry_open(job)) == NULL))
    {
        return;
    }

    job->hedged = 1;
    i = hedge_pick(job);

    if (i == job->retry->n || job->calls + job->attempt > RETRY_CALLS_MAX
        || retry_route(job, i, &route) != 0
        || ai_str_eqz(route.api, "echo") || retry_budget(job, 1) != 0)
    {
        return;
    }

    job->retry->at[i].asked = 1;
    job->retry->hedge = i;
    hedge_begin(job, &route);
}


static int
hedge_due(const job_t *job)
{
    uint64_t  usec;

    if (job->route.hedge_msec < 0 || job->call == NULL || !job->answer.hold
        || job->answer.token || job->answer.head)
    {
        return 0;
    }

    usec = job->route.hedge_msec != 0
           ? (uint64_t) job->route.hedge_msec * 1000
           : job->target != NULL ? target_p95(job->target, job->spec.stream)
                                 : 0;

    return usec != 0
           && loop_now_usec(&job->w->loop) >= job->called_usec + usec;
}


/* The first that was not asked; where there is no other, the same. */

static unsigned
hedge_pick(job_t *job)
{
    unsigned   i;
    retry_t   *r;

    r = job->retry;

    for (i = 0; i < r->n; i++) {
        if (!r->at[i].asked && !r->at[i].out
            && retry_ask(job, i) == BREAKER_GO)
        {
            return i;
        }
    }

    return r->n == 1 ? 0 : r->n;
}


static void
hedge_begin(job_t *job, const route_t *route)
{
    job_t  *lane;

    lane = calloc(1, sizeof(*lane));
    if (lane == NULL) {
        job->retry->at[job->retry->hedge].asked = job->retry->hedge
                                                  == job->retry->now;
        return;
    }

    lane->parent = job;
    lane->jobs = job->jobs;
    lane->w = job->w;
    lane->shard = job->shard;
    lane->attempt = job->attempt;
    memcpy(lane->id, job->id, sizeof(lane->id));
    lane->spec = job->spec;
    lane->body = job->body;
    lane->has_body = 1;
    lane->bytes = job->bytes;
    lane->checked = 1;
    lane->hedged = 1;
    lane->catalog = job->catalog;
    lane->dialect = job->dialect;
    lane->queue_usec = job->queue_usec;
    lane->deadline_msec = job->deadline_msec;
    lane->began_usec = job->began_usec;
    lane->calls = job->calls;
    lane->route = *route;
    lane->route.again = 1;
    lane->work.data = lane;

    job->hedge = lane;
    job->calls++;
    job->w->metrics.hedges_total++;
    job_ref(job);

    log_job(LOG_INFO, "hedge", job->spec.tenant, job->spec.id,
            "%.*s is late: %.*s is asked, too", (int) job->route.provider.len,
            job->route.provider.data, (int) route->provider.len,
            route->provider.data);
    job_try(lane);
}


/* Its end, whatever it is doing. */

static void
hedge_drop(job_t *lane)
{
    if (lane->state == JOB_DEAD) {
        return;
    }

    call_abort(lane);

    if (lane->target != NULL) {
        target_ended(lane->target);
        lane->target = NULL;
    }

    if (!lane->ever_called) {
        lane->parent->calls--;
    }

    lane->state = JOB_DEAD;

    if (lane->refs == 0) {
        hedge_free(lane);
    }
}


void
hedge_free(job_t *lane)
{
    job_t  *job;

    job = lane->parent;
    job->hedge = NULL;

    if (lane->has_answer) {
        answer_free(&lane->answer);
    }

    free(lane->request);
    translate_close(lane->translate);
    free(lane);
    job_unref(job);
}


void
hedge_end(job_t *job)
{
    if (job->hedge != NULL && job->hedge->state != JOB_DEAD) {
        paid_add(job, job->hedge, "cancelled");
        hedge_drop(job->hedge);
    }
}


void
hedge_lost(job_t *lane)
{
    job_t  *job;

    if (lane->state == JOB_DEAD) {
        return;
    }

    job = lane->parent;
    job_ref(job);
    paid_add(job, lane, "failed");
    hedge_drop(lane);

    if (job->awaits) {
        job->awaits = 0;
        retry_alone(job);
    }

    job_unref(job);
}


int
hedge_follows(job_t *job)
{
    /* One that has answered: what it said is being read. */

    if (job->hedge->state == JOB_READING) {
        hedge_await(job);
        return 1;
    }

    /* One that was not called yet is asked in its turn. */

    if (job->hedge->state != JOB_CALLING || job->hedge->call == NULL) {

        if (job->hedge->state != JOB_DEAD && !job->hedge->ever_called
            && job->retry->hedge != job->retry->now)
        {
            job->retry->at[job->retry->hedge].asked = 0;
        }

        hedge_end(job);
        return 0;
    }

    paid_add(job, job, "failed");
    hedge_swap(job);
    job_move(job, JOB_CALLING);

    if (job->answer.token) {
        (void) hedge_tell(job);
    }

    return 1;
}


/* The job's own call is over, and is not forgotten yet. */

static void
hedge_await(job_t *job)
{
    if (job->call != NULL) {
        job->asked = http_sent(job->call) ? 1 : 0;
    }

    if (job->done_usec == 0) {
        job->done_usec = loop_now_usec(&job->w->loop);
    }

    call_abort(job);
    job->awaits = 1;
    job_move(job, JOB_READING);
}


int
hedge_heard(job_t *lane)
{
    job_t  *job;

    job = lane->parent;

    if (!lane->answer.sse_type || !lane->answer.token
        || job->state != JOB_CALLING)
    {

        /* An object that is too long to be held. */

        if (lane->answer.flowing) {
            hedge_lost(lane);
            return -1;
        }

        return 0;
    }

    failure_good(lane);
    paid_add(job, job, "cancelled");
    hedge_swap(job);

    return hedge_tell(job);
}


/* What it has said so far. */

static int
hedge_tell(job_t *job)
{
    if (answer_release(&job->answer) != 0) {
        job_fail(job, "internal", NULL);
        return -1;
    }

    return job_flow(job);
}


void
hedge_whole(job_t *lane)
{
    job_t  *job;

    job = lane->parent;

    /* A stream that is whole without a word; or the other is being read. */

    if (lane->answer.sse_type || (job->state != JOB_CALLING && !job->awaits)
        || emit_begun(job->emit))
    {
        hedge_lost(lane);
        return;
    }

    paid_add(job, job, job->awaits ? "failed" : "cancelled");
    job->awaits = 0;
    hedge_swap(job);
    job_move(job, JOB_READING);
    job_whole(job);
}


/* The second call is the job's, and the job's is no more. */

static void
hedge_swap(job_t *job)
{
    job_t  *lane;

    lane = job->hedge;

    if (job->target != NULL && !job->noted) {
        target_took(job->w->targets, job->target, job->spec.stream,
                    loop_now_usec(&job->w->loop) - job->called_usec);
    }

    retry_reset(job);

    job->retry->now = job->retry->hedge;
    job->route = lane->route;
    job->provider = lane->provider;
    job->key = lane->key;
    job->target = lane->target;
    job->translate = lane->translate;
    job->request = lane->request;
    job->request_len = lane->request_len;
    job->request_added = lane->request_added;
    job->answer = lane->answer;
    job->answer.emit = job->emit;
    job->answer.calls = job->calls;
    job->answer.hedged = 0;
    job->answer.stored = job->response;
    job->has_answer = lane->has_answer;
    job->headers = lane->headers;
    job->call = lane->call;
    job->asked = lane->asked;
    job->noted = lane->noted;
    job->heard_msec = lane->heard_msec;
    job->called_usec = lane->called_usec;
    job->first_usec = lane->first_usec;
    job->token_usec = lane->token_usec;
    job->done_usec = lane->done_usec;
    job->rate_msec = lane->rate_msec;
    job->rate_bytes = lane->rate_bytes;

    if (job->call != NULL) {
        http_give(job->call, job);
    }

    lane->target = NULL;
    lane->translate = NULL;
    lane->request = NULL;
    lane->headers = NULL;
    lane->call = NULL;
    lane->has_answer = 0;
    hedge_drop(lane);
}
