/*
 * A job from its delivery until its answer is whole: loaded, prepared, called,
 * read.
 */

#include "body.h"
#include "failure.h"
#include "hedge.h"
#include "job_in.h"
#include "paid.h"
#include "recall.h"
#include "route.h"
#include "sign.h"
#include "stored.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai_role.h"


#define JOB_WHY_MAX  160


static int job_read_spec(job_t *job, const ai_delivery_t *d);
static void job_run(job_t *job, const ai_delivery_t *d);
static void job_resume_end(job_t *job, const ai_delivery_t *d);
static void job_on_catalog(catalog_t *c, void *data);
static void job_prepare(job_t *job);
static int job_permit(job_t *job);
static int job_route(job_t *job);
static int job_own(job_t *job);
static void job_on_own(void *data, int away);
static int job_expand(job_t *job);
static void job_work_begin(job_t *job);
static void job_work(uv_work_t *work);
static void job_worked(uv_work_t *work, int status);
static void job_on_drained(void *data);
static void job_read_work(uv_work_t *work);
static void job_read_done(uv_work_t *work, int status);


static const emit_events_t  job_emit_events = {
    job_on_drained, job_on_cancelled, job_on_ended
};


int
job_claim(job_t *job, redis_reply_pt cb)
{
    char      attempt[16];
    ai_str_t  argv[3];

    argv[0] = (ai_str_t) { AI_JOB_ID_LEN, job->id };
    argv[1] = (ai_str_t) { strlen(job->w->id), job->w->id };
    argv[2].data = attempt;
    argv[2].len = (size_t) snprintf(attempt, sizeof(attempt), "%u",
                                    job->attempt);

    if (redis_script(job->w->redis, AI_SCRIPT_CLAIM,
                     worker_prefix(job->shard), cb, job, 3, argv)
        != 0)
    {
        return -1;
    }

    job->waiting = 1;
    job->refs++;

    return 0;
}


void
job_on_claim(redis_t *rc, ai_resp_t *reply, void *data)
{
    char           *text;
    job_t          *job;
    ai_str_t        s;
    ai_delivery_t   d;

    (void) rc;

    job = data;
    job->waiting = 0;

    if (job->state != JOB_CLAIMING || job->delivery != NULL || reply == NULL) {
        job_unref(job);
        return;
    }

    /* It stays: the next tick claims it again. */

    if (reply->type == AI_RESP_ERROR) {
        if (!job->refused) {
            job->refused = 1;
            log_job(LOG_ERROR, "job", ai_str(""),
                    (ai_str_t) { AI_JOB_ID_LEN, job->id }, "claim: %.*s",
                    (int) reply->len, reply->str);
        }

        job_unref(job);
        return;
    }

    s = redis_str(redis_item(reply, 1));
    text = redis_word(reply, "OK") ? malloc(s.len + 1) : NULL;

    if (text == NULL) {
        job_drop(job);
        job_unref(job);
        return;
    }

    memcpy(text, s.data, s.len);

    if (ai_delivery_parse((ai_str_t) { s.len, text }, &d) == 0
        && ai_str_eqz(d.job, job->id))
    {
        job_begin(job, text, &d);

    } else {
        log_job(LOG_ERROR, "job", ai_str(""),
                (ai_str_t) { AI_JOB_ID_LEN, job->id },
                "what claim says of it cannot be read");
        free(text);
        job_drop(job);
    }

    job_unref(job);
}


void
job_begin(job_t *job, char *text, const ai_delivery_t *d)
{
    free(job->delivery);
    job->delivery = text;
    job->attempt = d->attempt;
    job->owned_usec = loop_now_usec(&job->w->loop);
    job->at_usec = d->at_usec;
    job->queue_usec = d->queue_usec;

    if (job_read_spec(job, d) != 0) {
        if (!job->refused && job->refusal == NULL) {
            job->refused = 1;
            log_job(LOG_ERROR, "job", ai_str(""),
                    (ai_str_t) { AI_JOB_ID_LEN, job->id },
                    "handed over, but it cannot be read");
        }

        job_unreadable(job);

    } else if (d->cause.len != 0) {
        job_resume_end(job, d);

    } else {
        job_run(job, d);
    }
}


static int
job_read_spec(job_t *job, const ai_delivery_t *d)
{
    int          dialect;
    const char  *why;

    if (ai_job_parse(d->spec, &job->spec) != 0
        || !ai_str_eqz(job->spec.id, job->id)
        || (dialect = ai_dialect_find(job->spec.dialect)) == -1)
    {
        return -1;
    }

    why = sign_refused(d, &job->spec, loop_wall_usec() / 1000);

    if (why != NULL) {
        if (job->refusal == NULL) {
            log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                    "refused: %s", why);
        }

        job->refusal = "signature";
        return -1;
    }

    job->dialect = (ai_dialect_e) dialect;

    return job_emit(job);
}


int
job_emit(job_t *job)
{
    job->emit = emit_open(job->w, job->shard,
                          (ai_str_t) { AI_JOB_ID_LEN, job->id },
                          job->spec.tenant, job->attempt,
                          job->spec.resumable || job->spec.background,
                          &job_emit_events, job);

    return job->emit == NULL ? -1 : 0;
}


static void
job_run(job_t *job, const ai_delivery_t *d)
{
    job->w->metrics.jobs_started_total++;
    job->w->metrics.queue_usec_total += job->queue_usec;

    if (job->spec.timeout_msec > 0) {
        job->deadline_msec = uv_now(&job->w->loop.uv)
                             + (uint64_t) job->spec.timeout_msec;
    }

    job_move(job, JOB_LOADING);

    if (job->cancelled) {
        job_end(job, "cancelled", "cancelled", NULL);
        return;
    }

    job->body = d->body;
    job->has_body = d->body.len != 0;
    job->bytes = d->bytes;
    job->pieces = d->pieces;

    job->wait.done = job_on_catalog;
    job->wait.data = job;
    job->wait.shard = job->shard;
    job->wait.edge = job->spec.edge;

    if (!job->has_body) {
        body_load(job);
    }

    job->owing = job->attempt > 1;
    paid_ask(job);

    job->refs++;
    catalog_get(job->w->catalogs, job->spec.catalog, &job->wait);

    if (job->state == JOB_LOADING) {
        job_prepare(job);
    }

    job_unref(job);
}


/* A job that an earlier attempt, or nobody, ran: it only needs its end. */

static void
job_resume_end(job_t *job, const ai_delivery_t *d)
{
    const ai_error_t  *e;

    e = ai_error_find(d->cause);

    if (e == NULL) {
        e = ai_error_find(ai_str("internal"));
    }

    job->ending = e->cause;
    job->ending_state = ai_str_eqz(d->cause, "cancelled") ? "cancelled"
                                                       : "failed";

    /* The first attempt of a job is that of the first worker to have it. */

    if (job->attempt == 1) {
        job_end(job, job->ending_state, job->ending, NULL);
        return;
    }

    recall_begin(job);
}


/* Loading. */

void
job_loaded(job_t *job)
{
    job_prepare(job);
}


static void
job_on_catalog(catalog_t *c, void *data)
{
    job_t  *job;

    job = data;
    job->catalog = c;

    if (c == NULL) {
        log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                "its catalog %.*s is not to be had",
                (int) (job->spec.catalog.len < 16 ? job->spec.catalog.len
                                                  : 16),
                job->spec.catalog.data);
        job_fail(job, "internal", NULL);
        return;
    }

    job_prepare(job);
}


/* Preparing. */

static void
job_prepare(job_t *job)
{
    if (job->state != JOB_LOADING || !job->has_body || job->owing
        || job->catalog == NULL)
    {
        return;
    }

    if (job_permit(job) != 0) {
        return;
    }

    if (state_begin(job)) {
        return;
    }

    if (ai_str_eqz(job->spec.op, "responses") && job->response == NULL
        && stored_open(job) != 0)
    {
        job_fail(job, "internal", NULL);
        return;
    }

    if (job_route(job) == 0 && job_own(job) && retry_first(job) == 0) {
        job_try(job);
    }
}


void
job_try(job_t *job)
{
    job_move(job, JOB_PREPARING);
    job->refs++;

    if (job_dress(job) == 0 && job_expand(job) == 0) {
        job_work_begin(job);
    }

    job_unref(job);
}


/* What it stands on: 0, there is nothing to be asked for. */

static int
job_expand(job_t *job)
{
    if (job->response == NULL || job->expanded != NULL
        || !stored_bound(job->response, job->translate == NULL))
    {
        return 0;
    }

    /* What is signed is what came. */

    job->forged = !job->checked && !sign_body_ok(&job->spec, job->body);
    job->checked = !job->forged;

    return job->forged ? 0 : stored_expand(job);
}


void
job_expanded(job_t *job)
{
    job_work_begin(job);
}


static void
job_work_begin(job_t *job)
{
    job->refs++;

    if (job->body.len <= (job->translate != NULL ? JOB_TRANSLATE_MAX
                                                 : JOB_LOOP_MAX)
        || uv_queue_work(&job->w->loop.uv, &job->work, job_work, job_worked)
           != 0)
    {
        job_work(&job->work);
        job_worked(&job->work, 0);
    }
}


/* The edge has looked; who can write to Redis could have gone round it. */

static int
job_permit(job_t *job)
{
    char          why[JOB_WHY_MAX];
    int           right;
    ai_buf_t      b;
    ai_allowed_e  allowed;

    right = ai_right_of(job->spec.op);

    if (right < 0) {
        job_fail(job, "forbidden", NULL);
        return -1;
    }

    allowed = ai_role_allows(job->spec.role, job->spec.scopes,
                             (ai_right_e) right);
    if (allowed == AI_ALLOWED) {
        return 0;
    }

    ai_buf_init(&b, why, sizeof(why));
    ai_role_why(&b, job->spec.role, allowed, (ai_right_e) right);
    ai_buf_add(&b, "", 1);

    job_fail(job, "forbidden", b.full ? NULL : why);
    return -1;
}


static int
job_route(job_t *job)
{
    if (catalog_route(job->catalog, job->spec.model,
                      route_random(&job->jobs->random), &job->route)
        != 0
        || job->route.model.len > PROVIDER_MODEL_MAX)
    {
        job_fail(job, "model_not_found", NULL);
        return -1;
    }

    if (job->route.by != CATALOG_BY_WEIGHT) {
        route_choose(job->w, job->catalog, &job->route, job->spec.stream,
                     &job->jobs->random);
    }

    return 0;
}


/* Whether its tenant has a key of its own, which breakers must know: 1, or 0:
 * it waits for that. */

static int
job_own(job_t *job)
{
    ai_str_t  secret;

    if (job->own.prev != NULL) {
        return 0;
    }

    job->own.done = job_on_own;
    job->own.data = job;

    if (own_get(job->w->owns, job->spec.tenant, &job->route,
                job->own_asked ? NULL : &job->own, &secret)
        != OWN_WAIT)
    {
        return 1;
    }

    if (job->own_asked) {
        return 1;
    }

    job->own_asked = 1;

    return 0;
}


static void
job_on_own(void *data, int away)
{
    job_t  *job;

    job = data;
    job->own_away = away ? 1 : 0;
    job_ref(job);
    job_prepare(job);
    job_unref(job);
}


static void
job_work(uv_work_t *work)
{
    job_t              *job;
    provider_request_t  req;

    job = work->data;
    job->forged = !job->checked && !sign_body_ok(&job->spec, job->body);

    if (job->forged) {
        return;
    }

    job->checked = 1;

    if (job->translate != NULL) {
        job->request_rc = translate_request(job->translate, job->body,
                                            &job->request,
                                            &job->request_len);
    }

    if (ai_str_eqz(job->route.api, "echo") && !job->estimate) {
        job->request_rc = job->request_rc != 0 ? job->request_rc
                                               : echo_prepare(job);
        return;
    }

    if (job->translate != NULL) {
        return;
    }

    req.body = job->body;
    req.model = job->route.model;
    req.stream = job->spec.stream;
    req.usage = !job->spec.usage_asked && job->route.stream_usage;

    job->request_rc = job->provider->request(&req, &job->request,
                                             &job->request_len,
                                             &job->request_added);

    if (job->estimate && job->request_rc == 0) {
        job->request_rc = count_prepare(job);
    }
}


static void
job_worked(uv_work_t *work, int status)
{
    job_t  *job;

    job = work->data;

    if (job->state == JOB_PREPARING) {

        if (status == 0 && job->forged) {
            job_forged(job);

        } else if (status != 0 || job->request_rc != 0) {

            if (job->request_rc == -1 && job->translate != NULL
                && retry_failed(job, RETRY_UNFIT))
            {
                job_unref(job);
                return;
            }

            job_fail(job, job->request_rc == -1 ? "bad_request" : "internal",
                     job->request_rc == -1 && job->translate != NULL
                     ? translate_why(job->translate) : NULL);

        } else {
            job_move(job, JOB_CALLING);
            job->heard_msec = uv_now(&job->w->loop.uv);
            answer_init(&job->answer, job->emit, job->provider, job->dialect,
                        &job->route);
            job->answer.forward = job->spec.forward;
            job->answer.translate = job->translate;
            job->answer.stored = job->response;
            job->answer.added = job->request_added ? 1 : 0;
            job->answer.hold = job->route.again;
            job->answer.hedged = job->parent != NULL;
            job->answer.keep = keep_open(job->spec.keep, job->dialect,
                                         !job->spec.stream ? 'o'
                                         : job->spec.usage_asked ? 'v' : 's');
            job->has_answer = 1;

            if (job->request != NULL && !job->route.again) {
                body_free(job);
            }

            call_begin(job);
        }
    }

    job_unref(job);
}


/* Calling. */

int
job_bytes(job_t *job, ai_str_t bytes)
{
    int       rc;
    uint64_t  now;

    now = loop_now_usec(&job->w->loop);
    job->heard_msec = uv_now(&job->w->loop.uv);

    if (job->first_usec == 0) {
        job->first_usec = now;
        job->w->metrics.first_byte_usec_total
            += (int64_t) (now - job->called_usec);
    }

    rc = answer_bytes(&job->answer, bytes);

    if (rc == -3) {
        if (retry_failed(job, RETRY_ERROR)) {
            return -1;
        }

        rc = answer_release(&job->answer);
    }

    if (rc != 0) {
        if ((rc == -2 && retry_failed(job, RETRY_GARBAGE))
            || (rc == -4 && retry_failed(job, RETRY_LARGE)))
        {
            return -1;
        }

        job_fail(job, rc == -1 ? "internal" : "provider_bad", NULL);
        return -1;
    }

    if (job->target != NULL && job->token_usec == 0 && job->answer.token) {
        job->token_usec = now;
    }

    if (job->parent != NULL) {
        return hedge_heard(job);
    }

    if (job->hedge != NULL && (job->answer.token || job->answer.head)) {
        hedge_end(job);
    }

    return job_flow(job);
}


int
job_flow(job_t *job)
{
    if (job->permit != 0 && job->answer.token) {
        failure_good(job);
    }

    if (job->answer.usage.complete) {
        emit_hold(job->emit);
    }

    if (!job->paused && emit_full(job->emit)) {
        job->paused = 1;
        job->w->metrics.paused_total++;
        call_pause(job);
    }

    return 0;
}


static void
job_on_drained(void *data)
{
    job_t  *job;

    job = data;

    if (job->paused && job->state == JOB_CALLING) {
        job->paused = 0;
        job->heard_msec = uv_now(&job->w->loop.uv);
        job->refs++;
        call_resume(job);
        job_unref(job);
    }
}


int
job_complete(const job_t *job)
{
    return job->state == JOB_CALLING && job->has_answer
           && (job->answer.usage.complete || job->answer.usage.error);
}


void
job_done(job_t *job)
{
    job->done_usec = loop_now_usec(&job->w->loop);
    call_abort(job);

    if (job->hedge != NULL && job->answer.status < 300) {
        hedge_end(job);
    }

    job->read = job->answer.usage;
    job_move(job, JOB_READING);
    job->refs++;

    if (answer_unread(&job->answer) <= JOB_LOOP_MAX
        || uv_queue_work(&job->w->loop.uv, &job->work, job_read_work,
                         job_read_done)
           != 0)
    {
        job_read_work(&job->work);
        job_read_done(&job->work, 0);
    }
}


static void
job_read_work(uv_work_t *work)
{
    job_t  *job;

    job = work->data;
    answer_read(&job->answer, &job->read);
}


static void
job_read_done(uv_work_t *work, int status)
{
    job_t  *job;

    (void) status;

    job = work->data;

    if (job->state == JOB_READING) {
        job->answer.usage = job->read;

        if (retry_answer(job)) {
            job_unref(job);
            return;
        }

        if (job->parent != NULL) {
            hedge_whole(job);

        } else {
            job_whole(job);
        }
    }

    job_unref(job);
}


void
job_whole(job_t *job)
{
    int       rc;
    ai_str_t  whole;

    rc = answer_finish(&job->answer);

    if ((rc == -3 && retry_failed(job, RETRY_ERROR))
        || (rc == -2 && retry_failed(job, RETRY_GARBAGE))
        || (rc == 0 && retry_failed(job, RETRY_BROKEN)))
    {
        return;
    }

    if (rc == -3) {
        rc = answer_release(&job->answer) == 0 ? 1 : -1;
    }

    switch (rc) {

    case 1:
        whole = job->answer.sse_type ? ai_str("")
                : job->translate != NULL ? translate_said(job->translate)
                : (ai_str_t) { job->answer.whole_len, job->answer.whole };

        if (job->response == NULL || !stored_put(job, whole)) {
            job_stored(job);
        }

        break;

    case 0:
        job_fail(job, "provider_bad",
                 job->answer.usage.broken
                 ? "The provider's answer is not a JSON object."
                 : "The provider's answer ended before it was complete.");
        break;

    case -2:
        job_fail(job, "provider_bad", NULL);
        break;

    default:
        job_fail(job, "internal", NULL);
    }
}


void
job_stored(job_t *job)
{
    job_end(job, job->answer.status < 300 && !job->answer.usage.error
                 ? "done" : "failed", NULL, NULL);
}
