/*
 * The end of a job: its last event, its usage, what Redis says to it.
 */

#include "body.h"
#include "heartbeat.h"
#include "hedge.h"
#include "job_in.h"
#include "models.h"
#include "paid.h"
#include "retry.h"
#include "sign.h"

#include <stdlib.h>
#include <string.h>


static void job_usage(job_t *job, const char *state, const char *cause,
    ai_usage_t *u);
static void job_later(job_t *job, const char *state, const char *cause,
    const char *message);
static int job_price(job_t *job);
static int job_billed(const job_t *job, const ai_usage_t *u);
static void job_count(job_t *job, const char *state, const ai_usage_t *u);
static void job_forget(job_t *job);
static void job_reclaim(job_t *job);
static void job_on_reclaim(redis_t *rc, ai_resp_t *reply, void *data);
static void job_on_ours(redis_t *rc, ai_resp_t *reply, void *data);
static int job_same(const job_t *job, ai_resp_t *reply);
static void job_leave(job_t *job);
static void job_claim_failed(job_t *job, const ai_resp_t *reply);
static int job_forgotten(const job_t *job);
static void job_on_tenant(redis_t *rc, ai_resp_t *reply, void *data);


void
job_fail(job_t *job, const char *cause, const char *message)
{
    if (job->parent != NULL) {
        hedge_lost(job);
        return;
    }

    log_job(LOG_WARN, "job", job->spec.tenant,
            (ai_str_t) { AI_JOB_ID_LEN, job->id }, "failed: %s", cause);
    job_end(job, "failed", cause, message);
}


void
job_forged(job_t *job)
{
    log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
            "refused: its body is not the one that was signed");
    job_fail(job, "signature", NULL);
}


/* Ending: the last event and settle; cause NULL: the answer is whole.  Where
 * there is no memory for them the next tick tries again. */

void
job_end(job_t *job, const char *state, const char *cause, const char *message)
{
    char               base[2048];
    char               lines[(PAID_MAX + 3) * (AI_USAGE_LINE_MAX + 32)];
    char               text[AI_USAGE_LINE_MAX + 1024];
    ai_buf_t           b, l, x;
    unsigned           again;
    ai_str_t           line;
    ai_usage_t         u;
    emit_settle_t      settle;
    const ai_error_t  *e;

    job_stop(job);
    job_move(job, JOB_ENDING);

    if (job_price(job) != 0) {
        job_later(job, state, cause, message);
        return;
    }

    job_usage(job, state, cause, &u);

    /* The job's own line, then one each call where more than one costs. */

    ai_buf_init(&l, lines + AI_USAGE_LINE_MAX,
                sizeof(lines) - AI_USAGE_LINE_MAX);
    paid_usage(job, &u, &l);
    ai_buf_init(&b, lines, AI_USAGE_LINE_MAX);
    ai_usage_write(&b, &u);
    line = (ai_str_t) { ai_buf_len(&b), lines };
    memmove(lines + line.len, lines + AI_USAGE_LINE_MAX, ai_buf_len(&l));
    settle.usage = (ai_str_t) { line.len + ai_buf_len(&l), lines };

    ai_buf_init(&b, base, sizeof(base));
    ai_job_base(&b, &job->spec);
    settle.base = (ai_str_t) { ai_buf_len(&b), base };
    settle.state = state;
    settle.at_usec = job->at_usec;
    settle.ttl_msec = 0;

    if (cause == NULL && state[0] == 'd') {
        settle.ttl_msec = keep_send(job->answer.keep, job->w, job->shard,
                                    job->spec.id, job->attempt,
                                    job->spec.model, &u);
    }

    ai_buf_init(&x, text, sizeof(text));
    again = job->unended;
    job->unended = 0;

    if (cause != NULL) {
        e = ai_error_find((ai_str_t) { strlen(cause), cause });

        if (message == NULL) {
            message = e != NULL ? e->message : "";
        }

        ai_record_add(&x, "cause", (ai_str_t) { strlen(cause), cause });
        ai_record_add(&x, "message",
                      (ai_str_t) { strlen(message), message });
        ai_record_add(&x, "usage", line);

        if (job->retry_after != 0) {
            ai_record_add_int(&x, "retry_after", job->retry_after);
        }

    } else {
        ai_buf_add_str(&x, line);
    }

    if (b.full || l.full || x.full) {
        log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                "cannot be ended: its end is too long");
        job_drop(job);
        return;
    }

    if (emit_settle(job->emit, cause != NULL ? AI_EVENT_ERROR : AI_EVENT_END,
                    (ai_str_t) { ai_buf_len(&x), text }, &settle)
        != 0)
    {
        if (!again) {
            log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                    "cannot be ended yet: no memory");
        }

        job_later(job, state, cause, message);
        return;
    }

    job_count(job, state, &u);
}


/* The next tick ends it. */

static void
job_later(job_t *job, const char *state, const char *cause,
    const char *message)
{
    job->ending = cause;
    job->ending_state = state;
    job->ending_message = message;
    job->unended = 1;
}


/* What nginx.conf does not know may stand in its provider's list, which an edge
 * may have read before we have: -1, it is being read. */

static int
job_price(job_t *job)
{
    return !job->ever_called || ai_price_known(&job->route.price) ? 0
           : models_price(job->w->models, job->route.list, job->route.model,
                          job->called_usec, &job->route.price);
}


/* Whatever still runs for it. */

void
job_stop(job_t *job)
{
    catalog_forget(&job->wait);
    own_forget(&job->own);
    body_forget(job);
    hedge_end(job);
    retry_stop(job);

    if (job->state == JOB_CALLING) {
        if (job->call != NULL) {
            job->asked = http_sent(job->call) ? 1 : 0;
        }

        call_abort(job);
    }

    if (job->done_usec == 0) {
        job->done_usec = loop_now_usec(&job->w->loop);
    }
}


static void
job_usage(job_t *job, const char *state, const char *cause, ai_usage_t *u)
{
    const ai_error_t  *e;

    ai_usage_init(u);
    u->state = (ai_str_t) { strlen(state), state };
    u->status = job->has_answer && job->answer.status != 0
                ? job->answer.status : 200;
    u->queue_usec = job->queue_usec;
    u->attempts = job->calls;
    u->provider = job->route.provider;
    u->model = job->route.model;
    u->input = 0;
    u->output = 0;
    u->cost = 0;
    u->estimated = 0;

    if (cause != NULL) {
        e = ai_error_find((ai_str_t) { strlen(cause), cause });
        u->status = e != NULL ? e->status : 500;
        u->cause = (ai_str_t) { strlen(cause), cause };
    }

    if (!job->ever_called) {

        /* Other workers called, and did not live to say what it took. */

        if (job->unknown) {
            u->input = -1;
            u->output = -1;
            u->cost = -1;
        }

        return;
    }

    job_call_usage(job, u);
}


void
job_call_usage(const job_t *job, ai_usage_t *u)
{
    if (job->called_usec != 0) {
        u->duration_usec = (int64_t) (job->done_usec - job->called_usec);
    }

    if (job->route.own[0] != '\0' || job->own_key) {
        u->own_key = 1;
    }

    if (job->first_usec != 0) {
        u->ttft_usec = (int64_t) (job->first_usec - job->called_usec);
    }

    if (!job->has_answer || (job->called_usec == 0 && job->recall == NULL)) {
        return;
    }

    u->request_id = (ai_str_t) { strlen(job->answer.request_id),
                                 job->answer.request_id };
    u->finish = (ai_str_t) { strlen(job->answer.usage.finish),
                             job->answer.usage.finish };

    if (job->provider != NULL && job->provider->free) {
        return;
    }

    if (job->answer.bytes != 0) {
        answer_usage(&job->answer, job->body.len, u);

    } else if (job->asked && job->answer.status < 400) {
        u->input = ((int64_t) job->body.len + 3) / 4;
        u->estimated = 1;
    }

    if (!ai_price_known(&job->route.price)
        && !ai_str_eqz(job->route.api, "echo"))
    {
        u->cost = -1;

    } else if (job_billed(job, u)) {
        u->cost = ai_usage_cost(u, &job->route.price);
    }
}


/* Nobody bills what was refused, or what never left, not even a request. */

static int
job_billed(const job_t *job, const ai_usage_t *u)
{
    if (job->answer.status >= 400) {
        return u->input > 0 || u->output > 0;
    }

    return job->answer.status != 0 || job->asked;
}


static void
job_count(job_t *job, const char *state, const ai_usage_t *u)
{
    metrics_t  *m;

    m = &job->w->metrics;

    if (job->counted) {
        return;
    }

    job->counted = 1;

    if (state[0] == 'd') {
        m->jobs_done_total++;

    } else if (state[0] == 'f') {
        m->jobs_failed_total++;

    } else {
        m->jobs_cancelled_total++;
    }

    if (u->duration_usec > 0) {
        m->call_usec_total += u->duration_usec;
    }

    m->input_tokens_total += u->input > 0 ? u->input : 0;
    m->output_tokens_total += u->output > 0 ? u->output : 0;
}


static void
job_forget(job_t *job)
{
    free(job->delivery);
    job->delivery = NULL;
    job->attempt = 0;
}


/* A settle must name the tenant, which the job's hash knows, too.  Where that
 * fails, the next tick claims again. */

void
job_unreadable(job_t *job)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[3];

    argv[0] = ai_str("HGET");
    argv[1].data = key;
    argv[1].len = ai_keys_make(key, sizeof(key), AI_KEY_JOB, job->shard,
                               (ai_str_t) { AI_JOB_ID_LEN, job->id });
    argv[2] = ai_str("tenant");

    if (redis_command(job->w->redis, job_on_tenant, job, 3, argv) == 0) {
        job->waiting = 1;
        job->refs++;
        return;
    }

    job_forget(job);
}


static void
job_on_tenant(redis_t *rc, ai_resp_t *reply, void *data)
{
    job_t  *job;

    job = data;
    job->waiting = 0;

    if (job->state != JOB_CLAIMING) {
        job_unref(job);
        return;
    }

    if (redis_str(reply).len != 0 && (job->stored = redis_take(rc)) != NULL) {
        memset(&job->spec, 0, sizeof(job->spec));
        job->spec.id = (ai_str_t) { AI_JOB_ID_LEN, job->id };
        job->spec.tenant = redis_str(job->stored);
    }

    if (job->stored != NULL && job_emit(job) == 0) {
        job_fail(job, job->refusal != NULL ? job->refusal : "internal", NULL);

    } else {
        free(job->stored);
        job->stored = NULL;
        job_forget(job);
    }

    job_unref(job);
}


void
job_on_ended(void *data, emit_end_e end)
{
    job_t  *job;

    job = data;

    switch (end) {

    case EMIT_LOST:
        if (job->state != JOB_ENDING) {
            job_fail(job, "lost", NULL);

        } else {
            job_end(job, "failed", "lost", NULL);
        }
        return;

    case EMIT_UNKNOWN:
        job_reclaim(job);
        return;

    case EMIT_SETTLED:
        sign_settled((ai_str_t) { AI_JOB_ID_LEN, job->id },
                     loop_wall_usec() / 1000);
        break;

    case EMIT_FENCED:
        job->w->metrics.jobs_abandoned_total++;
        log_job(LOG_INFO, "job", job->spec.tenant, job->spec.id,
                "another worker has it");
        break;

    default:
        job->w->metrics.jobs_abandoned_total++;
        log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                "given up: Redis answers what makes no sense");
    }

    job_drop(job);
}


/* A Redis that lost its last seconds forgot that it gave us the job: claim it,
 * and tell all that is kept. */

static void
job_reclaim(job_t *job)
{
    if (job_claim(job, job_on_reclaim) != 0) {
        emit_again(job->emit);
    }
}


/*
 * What Redis does not know it has lost, and what the job took is still to be
 * paid for; unless we were deaf for so long that another may have ended it.
 */

static int
job_forgotten(const job_t *job)
{
    return job->ever_called && !emit_written(job->emit)
           && job->called_usec > job->jobs->deaf_usec;
}


static void
job_on_reclaim(redis_t *rc, ai_resp_t *reply, void *data)
{
    job_t  *job;

    (void) rc;

    job = data;
    job->waiting = 0;

    if (job->state != JOB_DEAD) {

        if (reply == NULL) {
            emit_again(job->emit);

        } else if (reply->type == AI_RESP_ERROR) {
            job_claim_failed(job, reply);
            emit_later(job->emit);

        } else if (job_same(job, reply)) {
            emit_again(job->emit);

        } else if (job_forgotten(job)) {
            log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                    "Redis has lost it");
            emit_forget(job->emit);

        } else {
            job->w->metrics.jobs_abandoned_total++;
            log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                    "Redis does not know it any more");
            job_drop(job);
        }
    }

    job_unref(job);
}


static int
job_same(const job_t *job, ai_resp_t *reply)
{
    ai_delivery_t  d;

    return redis_word(reply, "OK")
           && ai_delivery_parse(redis_str(redis_item(reply, 1)), &d) == 0
           && d.attempt == job->attempt;
}


/* Who has it bills what is kept of it; where Redis has lost it, a settle does:
 * to one that is another's it says no more than that. */

static void
job_leave(job_t *job)
{
    if (job->paid != NULL) {
        job_fail(job, "lost", NULL);
        return;
    }

    job->w->metrics.jobs_abandoned_total++;
    job_drop(job);
}


static void
job_claim_failed(job_t *job, const ai_resp_t *reply)
{
    if (!job->refused) {
        job->refused = 1;
        log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                "claim: %.*s", (int) reply->len, reply->str);
    }
}


/* A call costs money: before another one. */

int
job_ours(job_t *job)
{
    if (heartbeat_held(job->w->heartbeat, job->shard, job->owned_usec)) {
        return 1;
    }

    if (!job->waiting) {
        (void) job_claim(job, job_on_ours);
    }

    return 0;
}


static void
job_on_ours(redis_t *rc, ai_resp_t *reply, void *data)
{
    job_t  *job;

    (void) rc;

    job = data;
    job->waiting = 0;

    if (job->state != JOB_DEAD && reply != NULL) {

        if (reply->type == AI_RESP_ERROR) {
            job_claim_failed(job, reply);

        } else if (job_same(job, reply)) {
            job->owned_usec = loop_now_usec(&job->w->loop);

        } else if (job->state == JOB_RETRYING) {
            log_job(LOG_INFO, "job", job->spec.tenant, job->spec.id,
                    "another worker has it");
            job_leave(job);
        }
    }

    job_unref(job);
}


/* Cancelling. */

void
job_on_cancelled(void *data, ai_str_t reason)
{
    job_t  *job;

    (void) reason;

    job = data;

    if (job->state == JOB_CLAIMING) {
        job->cancelled = 1;

    } else if (job_complete(job)) {

        /* Some clients leave as soon as they have read the last event. */

        job_done(job);

    } else if (job->state == JOB_READING) {

        /* Its answer is whole; no other is asked for. */

        job->cancelled = 1;

    } else if (job->state < JOB_READING) {
        job_end(job, "cancelled", "cancelled", NULL);
    }
}
