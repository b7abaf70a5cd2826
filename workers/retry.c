/*
 * What follows a failed call.  A job owns its retry_t, which is made when its
 * first call fails; the table below is the policy.
 */

#include "failure.h"
#include "hedge.h"
#include "hello.h"
#include "paid.h"
#include "retry_in.h"

#include <stdlib.h>
#include <string.h>


static int retry_again(job_t *job);
static unsigned retry_fresh(job_t *job);
static void retry_end(job_t *job);
static int retry_pick(job_t *job, unsigned may);
static unsigned retry_repeat(job_t *job);
static void retry_wait(job_t *job, const job_t *lane, unsigned i,
    unsigned may);
static void retry_leave(job_t *job);
static void retry_run(void *data);
static void retry_on_permit(redis_t *rc, ai_resp_t *reply, void *data);
static void retry_call(job_t *job);


int
retry_first(job_t *job)
{
    uint64_t        msec;
    breaker_call_t  call;

    if (!breakers_any(job->w->breakers) || job_estimates(job)) {
        return 0;
    }

    call = failure_call(job);

    if (breaker_ask(job->w->breakers, &call, &msec) == BREAKER_GO) {
        return 0;
    }

    job->retry = retry_open(job);

    if (job->retry == NULL) {
        return 0;
    }

    job->retry->at[0].asked = 0;

    if (retry_pick(job, FAILURE_NEXT) != 0) {
        retry_end(job);

    } else {
        job_move(job, JOB_RETRYING);
        retry_kick(job);
    }

    return -1;
}


int
retry_answer(job_t *job)
{
    const answer_t  *a;

    a = &job->answer;

    if (a->sse_type || a->flowing) {

        if (a->usage.error) {
            failure_note(job, failure_may(job, RETRY_ERROR));

        } else if (a->usage.complete || a->usage.finish[0] != '\0') {
            failure_good(job);
        }

        return 0;
    }

    if (a->status >= 300) {
        return retry_failed(job, RETRY_STATUS);
    }

    if (a->usage.error) {
        job->answer.error_status = hello_status((ai_str_t) { a->whole_len,
                                                             a->whole });
        return retry_failed(job, RETRY_ERROR);
    }

    if (a->usage.broken || (a->bytes == 0 && a->status != 204)) {
        return retry_failed(job, RETRY_GARBAGE);
    }

    failure_good(job);

    return 0;
}


int
retry_failed(job_t *job, retry_why_e why)
{
    unsigned  may;

    if (job->state >= JOB_RECALLING) {
        return 0;
    }

    may = failure_may(job, why);
    failure_wish(job);
    failure_note(job, may);

    if (job->parent != NULL) {
        retry_wait(job->parent, job, job->parent->retry->hedge, may);
        hedge_lost(job);
        return 1;
    }

    if (may == 0 || job->cancelled || !job->route.again
        || emit_begun(job->emit)
        || (job->retry == NULL && (job->retry = retry_open(job)) == NULL))
    {
        return 0;
    }

    job->retry->why = why;
    job->retry->may = may;
    retry_wait(job, job, job->retry->now, may);

    return (job->hedge != NULL && hedge_follows(job)) || retry_again(job);
}


static int
retry_again(job_t *job)
{
    if (job->cancelled || retry_pick(job, job->retry->may) != 0) {
        return 0;
    }

    job->w->metrics.calls_again_total++;
    paid_add(job, job, "failed");
    retry_reset(job);
    job_move(job, JOB_RETRYING);
    retry_kick(job);

    return 1;
}


void
retry_alone(job_t *job)
{
    retry_why_e  why;

    if (retry_again(job)) {
        return;
    }

    why = job->retry->why;

    if ((why == RETRY_STATUS || why == RETRY_ERROR) && !job->answer.sse_type) {
        job_whole(job);

    } else {
        job_fail(job, why == RETRY_UNREACHABLE ? "provider_unreachable"
                      : why <= RETRY_SLOW ? "provider_timeout"
                                          : "provider_bad", NULL);
    }
}


/* In windows that begin with its first byte. */

int
retry_slow(job_t *job)
{
    int       slow;
    uint64_t  now;

    if (job->route.min_rate == 0 || !job->answer.hold || job->answer.head
        || job->first_usec == 0)
    {
        return 0;
    }

    now = loop_now_usec(&job->w->loop) / 1000;

    if (job->rate_msec == 0) {
        job->rate_msec = now;
        job->rate_bytes = job->answer.bytes;
        return 0;
    }

    if (now < job->rate_msec + RETRY_RATE_MSEC) {
        return 0;
    }

    slow = (job->answer.bytes - job->rate_bytes) * 1000
           < (uint64_t) job->route.min_rate * (now - job->rate_msec);
    job->rate_msec = now;
    job->rate_bytes = job->answer.bytes;

    return slow;
}


/* Nobody is to be asked just now. */

static void
retry_end(job_t *job)
{
    uint64_t  msec;

    /* Unknown where another tries it just now. */

    msec = job->retry->open_msec;
    job->retry_after = msec <= BREAKER_BENCH_MAX ? (unsigned) (msec / 1000) + 1
                                                 : 1;
    job_fail(job, "unavailable",
             "The provider of this model fails; it is not asked just now.");
}


retry_t *
retry_open(job_t *job)
{
    retry_t  *r;

    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return NULL;
    }

    r->job = job;
    r->task.run = retry_run;
    r->task.data = r;
    r->n = route_plan(job->w, job->catalog, &job->route, job->spec.stream,
                      &job->jobs->random, r->at);

    return r;
}


/* The i-th target, that lane asked, has failed: when it may be asked again, if
 * at all. */

static void
retry_wait(job_t *job, const job_t *lane, unsigned i, unsigned may)
{
    int64_t      wish;
    uint64_t     now, most;
    retry_t     *r;
    route_at_t  *at;

    breaker_call_t  call;

    r = job->retry;
    at = &r->at[i];
    at->asked = 1;

    if (may & (FAILURE_KEY|FAILURE_LIMIT|FAILURE_DENIAL)) {
        call = failure_call(lane);
        call.tried = at->tried |= 1U << lane->key;

        if (breaker_keys_left(job->w->breakers, &call)) {
            at->asked = 0;
            return;
        }

        at->tried = 0;
    }

    if (!(may & FAILURE_SAME)) {
        at->out = 1;
        return;
    }

    wish = lane->has_answer ? lane->answer.retry_msec : -1;

    if (wish > RETRY_WISH_MSEC) {
        at->out = 1;
        return;
    }

    now = uv_now(&job->w->loop.uv);
    most = (uint64_t) RETRY_BASE_MSEC << (r->repeats < 8 ? r->repeats : 8);
    most = most < RETRY_CAP_MSEC ? most : RETRY_CAP_MSEC;

    at->ready_msec = now + (uint64_t) (wish > 0 ? wish : 0)
                     + route_random(&job->jobs->random) % (most + 1);
}


/* The next target and its time: 0, or -1 where there is none. */

static int
retry_pick(job_t *job, unsigned may)
{
    unsigned     i;
    uint64_t     now;
    retry_t     *r;
    route_at_t  *at;

    r = job->retry;
    r->probe = 0;
    r->open_msec = UINT64_MAX;
    now = uv_now(&job->w->loop.uv);

    if (job->calls + job->attempt > RETRY_CALLS_MAX) {
        return -1;
    }

    i = may & FAILURE_NEXT ? retry_fresh(job) : r->n;

    if (i != r->n) {
        r->at[i].ready_msec = now;

    } else {
        i = retry_repeat(job);

        if (i == r->n) {
            return -1;
        }
    }

    at = &r->at[i];

    if (job->deadline_msec != 0 && at->ready_msec >= job->deadline_msec) {
        return -1;
    }

    if (job->calls != 0) {
        log_job(LOG_INFO, "retry", job->spec.tenant, job->spec.id,
                "%.*s failed, status %d: %.*s in %d ms",
                (int) job->route.provider.len, job->route.provider.data,
                job->has_answer ? job->answer.status : 0,
                (int) at->provider.len, at->provider.data,
                (int) (at->ready_msec > now ? at->ready_msec - now : 0));
    }

    r->now = i;
    r->due_msec = at->ready_msec;

    return 0;
}


/* The first that was not asked and may be; where each key of all is benched,
 * the one whose time is over first, which may be half open besides.  n:
 * none. */

static unsigned
retry_fresh(job_t *job)
{
    unsigned    i, keys;
    uint64_t    soon;
    retry_t    *r;

    r = job->retry;
    keys = r->n;
    soon = UINT64_MAX;

    for (i = 0; i < r->n; i++) {
        if (r->at[i].asked || r->at[i].out) {
            continue;
        }

        switch (retry_ask(job, i)) {

        case BREAKER_PROBE:
            r->probe = 1;
            return i;

        case BREAKER_GO:
            return i;

        case BREAKER_KEYS:
            if (r->at[i].open_msec < soon) {
                soon = r->at[i].open_msec;
                keys = i;
            }

            break;

        default:
            break;
        }
    }

    r->probe = keys != r->n;

    return keys;
}


/* The one that may be asked again first. */

static unsigned
retry_repeat(job_t *job)
{
    unsigned     i, best;
    retry_t     *r;
    breaker_e    may;
    route_at_t  *at;

    r = job->retry;
    best = r->n;

    if (r->repeats >= job->route.retries) {
        return best;
    }

    for (i = 0; i < r->n; i++) {
        at = &r->at[i];

        if (!at->asked || at->out
            || (best != r->n && at->ready_msec >= r->at[best].ready_msec))
        {
            continue;
        }

        may = retry_ask(job, i);

        if (may == BREAKER_GO || may == BREAKER_KEYS) {
            r->probe = may == BREAKER_KEYS;
            best = i;
        }
    }

    if (best == r->n || retry_budget(job, 1) != 0) {
        r->probe = 0;
        return r->n;
    }

    r->repeats++;

    return best;
}


unsigned
retry_tried(const job_t *job)
{
    const retry_t  *r;

    r = job->parent != NULL ? job->parent->retry : job->retry;

    return r == NULL ? 0
           : r->at[job->parent != NULL ? r->hedge : r->now].tried;
}


int
retry_route(const job_t *job, unsigned i, route_t *route)
{
    const route_at_t  *at;

    at = &job->retry->at[i];

    if (catalog_call(job->catalog, at->provider, at->model, route) != 0
        || route->model.len > PROVIDER_MODEL_MAX)
    {
        return -1;
    }

    if (job->route.entry != NULL) {
        catalog_entry(route, job->route.entry);
    }

    route->again |= job->route.again;
    (void) own_get(job->w->owns, job->spec.tenant, route, NULL,
                   &(ai_str_t) { 0, "" });

    return 0;
}


breaker_e
retry_ask(job_t *job, unsigned i)
{
    uint64_t    msec;
    route_t     route;
    retry_t    *r;
    breaker_e   may;

    breaker_call_t  call;

    r = job->retry;

    if (!breakers_any(job->w->breakers)) {
        return BREAKER_GO;
    }

    if (retry_route(job, i, &route) != 0) {
        r->at[i].out = 1;
        return BREAKER_NO;
    }

    call = failure_call(job);
    call.route = &route;
    may = breaker_ask(job->w->breakers, &call, &msec);
    r->at[i].open_msec = msec;

    if (may != BREAKER_GO && msec < r->open_msec) {
        r->open_msec = msec;
    }

    return may;
}


/*
 * Repeats of a process: so many a second, and so many of its calls, so that
 * they do not keep down a provider that many jobs wait for.
 */

int
retry_budget(job_t *job, int take)
{
    int64_t  now, calls;

    static double   budget = RETRY_BUDGET_MAX;
    static int64_t  then, called;

    now = (int64_t) uv_now(&job->w->loop.uv);
    calls = job->w->metrics.calls_total;
    budget += (double) (now - then) * RETRY_BUDGET_RATE / 1000
              + (double) (calls - called) / RETRY_BUDGET_PART;
    budget = budget < RETRY_BUDGET_MAX ? budget : RETRY_BUDGET_MAX;
    then = now;
    called = calls;

    if (budget < take) {
        return -1;
    }

    budget -= take;

    return 0;
}


/* Nothing is left of the call but what it cost. */

void
retry_reset(job_t *job)
{
    call_abort(job);

    if (job->has_answer) {
        answer_free(&job->answer);
        job->has_answer = 0;
    }

    translate_close(job->translate);
    job->translate = NULL;
    free(job->request);
    job->request = NULL;
    job->request_added = 0;
    job->request_rc = 0;
    retry_leave(job);
    failure_unprobe(job);
    job->asked = 0;
    job->estimate = 0;
    job->paused = 0;
    job->token_usec = 0;
    job->rate_msec = 0;
    job->noted = 0;
    job->called_usec = 0;
    job->first_usec = 0;
    job->done_usec = 0;
}


static void
retry_leave(job_t *job)
{
    if (job->target != NULL) {
        target_ended(job->target);
        job->target = NULL;
    }
}


void
retry_kick(job_t *job)
{
    if (uv_now(&job->w->loop.uv) >= job->retry->due_msec) {
        loop_defer(&job->w->loop, LOOP_WORK, &job->retry->task);
    }
}


/* At the end of a turn, when the failed call is off the stack. */

static void
retry_run(void *data)
{
    job_t          *job;
    retry_t        *r;
    route_t         route;
    breaker_call_t  call;

    r = data;
    job = r->job;

    if (job->state != JOB_RETRYING || r->asking || !paid_kept(job)
        || !job_ours(job))
    {
        return;
    }

    job_ref(job);

    if (retry_route(job, r->now, &route) != 0) {

        if (!retry_failed(job, RETRY_UNFIT)) {
            job_fail(job, "model_not_found", NULL);
        }

        job_unref(job);
        return;
    }

    job->route = route;

    if (!r->probe) {
        retry_call(job);
        job_unref(job);
        return;
    }

    call = failure_call(job);

    if (breaker_probe(job->w->breakers, &call,
                      (ai_str_t) { AI_JOB_ID_LEN, job->id }, retry_on_permit,
                      job)
        == 0)
    {
        r->asking = 1;
        r->permit = call.permit;
        job_ref(job);

    } else {
        job->permit = call.permit;
        retry_call(job);
    }

    job_unref(job);
}


/* One at a time tries what was open; who is too late asks somebody else. */

static void
retry_on_permit(redis_t *rc, ai_resp_t *reply, void *data)
{
    job_t    *job;
    retry_t  *r;

    (void) rc;

    job = data;
    r = job->retry;
    r->asking = 0;

    if (job->state != JOB_RETRYING) {

        if (redis_str(reply).len != 0) {
            breaker_unprobe(job->w->breakers, r->permit,
                            (ai_str_t) { AI_JOB_ID_LEN, job->id });
        }

    } else if (reply == NULL || reply->type == AI_RESP_ERROR
               || redis_str(reply).len != 0)
    {
        job->permit = r->permit;
        retry_call(job);

    } else {
        r->at[r->now].asked = 1;
        r->at[r->now].out = 1;

        if (retry_pick(job, FAILURE_NEXT) != 0) {
            retry_end(job);

        } else {
            retry_kick(job);
        }
    }

    job_unref(job);
}


static void
retry_call(job_t *job)
{
    job->noted = 0;
    job_try(job);
}


void
retry_stop(job_t *job)
{
    if (job->retry != NULL) {
        loop_undefer(&job->w->loop, &job->retry->task);
    }

    retry_leave(job);

    failure_unprobe(job);
}


void
retry_free(job_t *job)
{
    if (job->retry != NULL) {
        retry_stop(job);
        free(job->retry);
        job->retry = NULL;
    }
}
