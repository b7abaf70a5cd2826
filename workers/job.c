/*
 * Jobs: claimed, loaded, prepared, called, ended.  Herding jobs between lists
 * happens here.  Owns the jobs and their table.
 */

#include "job.h"

#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"


#define JOBS_TICK_MSEC  100


struct jobs_s {
    worker_t   *w;
    job_t      *lists[JOB_STATES];
    unsigned    counts[JOB_STATES];
    job_t     **table;
    unsigned    mask;
    uint64_t    random;
    uv_timer_t  timer;
};


static job_t *jobs_find(jobs_t *jobs, ai_str_t id);
static job_t **jobs_slot(jobs_t *jobs, ai_str_t id);
static void jobs_on_tick(uv_timer_t *timer);
static void job_move(job_t *job, job_state_e state);
static void job_claim(job_t *job);
static void job_on_claim(redis_t *rc, redisReply *reply, void *data);
static int job_claimed(job_t *job, const redisReply *reply, unsigned spec);
static void job_run(job_t *job, const redisReply *reply);
static void job_resume_end(job_t *job, const redisReply *reply);
static void job_load(job_t *job);
static void job_on_body(redis_t *rc, redisReply *reply, void *data);
static void job_on_catalog(catalog_t *c, void *data);
static void job_prepare(job_t *job);
static int job_route(job_t *job);
static void job_work(uv_work_t *work);
static void job_worked(uv_work_t *work, int status);
static void job_read_work(uv_work_t *work);
static void job_read_done(uv_work_t *work, int status);
static void job_whole(job_t *job);
static void job_end(job_t *job, const char *state, const char *cause,
    const char *message);
static void job_stop(job_t *job);
static void job_usage(job_t *job, const char *state, const char *cause,
    ai_usage_t *u);
static void job_on_drained(void *data);
static void job_on_cancelled(void *data, ai_str_t reason);
static void job_on_ended(void *data, emit_end_e end);
static void job_on_cancel_field(redis_t *rc, redisReply *reply, void *data);
static void job_check(job_t *job, uint64_t now);
static void job_count(job_t *job, const char *state, const ai_usage_t *u);
static void job_drop(job_t *job);
static void job_free(job_t *job);


static const emit_events_t  job_emit_events = {
    job_on_drained, job_on_cancelled, job_on_ended
};


jobs_t *
jobs_open(worker_t *w)
{
    jobs_t    *jobs;
    unsigned   size;

    jobs = calloc(1, sizeof(*jobs));
    if (jobs == NULL) {
        return NULL;
    }

    for (size = 64; size < w->opt->jobs; size *= 2) {
        /* void */
    }

    jobs->w = w;
    jobs->mask = size - 1;
    jobs->table = calloc(size, sizeof(*jobs->table));

    if (jobs->table == NULL
        || ai_random(&jobs->random, sizeof(jobs->random)) != 0)
    {
        free(jobs->table);
        free(jobs);
        return NULL;
    }

    uv_timer_init(&w->loop.uv, &jobs->timer);
    jobs->timer.data = jobs;
    uv_timer_start(&jobs->timer, jobs_on_tick, JOBS_TICK_MSEC,
                   JOBS_TICK_MSEC);

    return jobs;
}


void
jobs_close(jobs_t *jobs)
{
    unsigned  i;

    for (i = 0; i < JOB_DEAD; i++) {
        while (jobs->lists[i] != NULL) {
            job_drop(jobs->lists[i]);
        }
    }

    uv_close((uv_handle_t *) &jobs->timer, NULL);
}


void
jobs_free(jobs_t *jobs)
{
    free(jobs->table);
    free(jobs);
}


/* The table: as many chains as slots. */

static job_t **
jobs_slot(jobs_t *jobs, ai_str_t id)
{
    size_t    i;
    uint64_t  hash;

    hash = 14695981039346656037u;

    for (i = 0; i < id.len; i++) {
        hash = (hash ^ (unsigned char) id.data[i]) * 1099511628211u;
    }

    return &jobs->table[(hash ^ hash >> 32) & jobs->mask];
}


static job_t *
jobs_find(jobs_t *jobs, ai_str_t id)
{
    job_t  *job;

    for (job = *jobs_slot(jobs, id); job != NULL; job = job->hash_next) {
        if (ai_str_eqz(id, job->id)) {
            return job;
        }
    }

    return NULL;
}


unsigned
jobs_count(const jobs_t *jobs)
{
    unsigned  i, n;

    for (i = 0, n = 0; i < JOB_DEAD; i++) {
        n += jobs->counts[i];
    }

    return n;
}


static void
job_move(job_t *job, job_state_e state)
{
    jobs_t  *jobs;

    jobs = job->jobs;

    if (job->prev != NULL) {
        *job->prev = job->next;

        if (job->next != NULL) {
            job->next->prev = job->prev;
        }

        jobs->counts[job->state]--;
    }

    job->state = state;
    job->next = jobs->lists[state];
    job->prev = &jobs->lists[state];

    if (job->next != NULL) {
        job->next->prev = &job->next;
    }

    jobs->lists[state] = job;
    jobs->counts[state]++;
    jobs->w->metrics.jobs_running = jobs_count(jobs);
}


/* Claiming. */

void
jobs_take(jobs_t *jobs, unsigned shard, int batch, ai_str_t entry, ai_str_t id)
{
    job_t  *job, **slot;

    if (!ai_id_job_ok(id) || entry.len > AI_EVENT_ID_MAX) {
        log_write(LOG_ERROR, "queue", "a dispatch entry is malformed");
        return;
    }

    job = jobs_find(jobs, id);

    if (job != NULL) {
        return;
    }

    job = calloc(1, sizeof(*job));
    if (job == NULL) {
        log_write(LOG_ERROR, "queue", "no memory for a job");
        return;
    }

    job->jobs = jobs;
    job->w = jobs->w;
    job->shard = shard;
    job->batch = batch ? 1 : 0;
    memcpy(job->id, id.data, id.len);
    memcpy(job->entry, entry.data, entry.len);
    job->work.data = job;
    job->wait.data = job;
    job->wait.done = job_on_catalog;

    slot = jobs_slot(jobs, id);
    job->hash_next = *slot;
    *slot = job;

    job_move(job, JOB_CLAIMING);
    job_claim(job);
}


static void
job_claim(job_t *job)
{
    ai_str_t  argv[4];

    argv[0] = (ai_str_t) { AI_JOB_ID_LEN, job->id };
    argv[1] = (ai_str_t) { strlen(job->w->id), job->w->id };
    argv[2] = (ai_str_t) { strlen(job->entry), job->entry };
    argv[3] = job->batch ? ai_str(AI_QUEUE_BATCH) : ai_str(AI_QUEUE);

    if (redis_script(job->w->redis, AI_SCRIPT_CLAIM,
                     worker_prefix(job->shard), job_on_claim, job, 4, argv)
        == 0)
    {
        job->waiting = 1;
        job->refs++;
    }
}


static void
job_on_claim(redis_t *rc, redisReply *reply, void *data)
{
    job_t  *job;

    job = data;
    job->waiting = 0;

    if (job->state != JOB_CLAIMING || reply == NULL) {
        job_unref(job);
        return;
    }

    if (redis_word(reply, "RUN") && job_claimed(job, reply, 2) == 0) {
        redis_take(rc);
        job->claimed = reply;
        job_run(job, reply);

    } else if (redis_word(reply, "END") && job_claimed(job, reply, 4) == 0) {
        redis_take(rc);
        job->claimed = reply;
        job_resume_end(job, reply);

    } else if (reply->type == REDIS_REPLY_ERROR
               && strncmp(reply->str, "ERR", 3) != 0)
    {
        /* LOADING and the like: the job is still this worker's to claim */

        log_job(LOG_WARN, "job", ai_str(""),
                (ai_str_t) { AI_JOB_ID_LEN, job->id },
                "claim, again soon: %.*s", (int) reply->len, reply->str);

    } else {
        if (!redis_word(reply, "GONE")) {
            log_job(LOG_ERROR, "job", job->spec.tenant,
                    (ai_str_t) { AI_JOB_ID_LEN, job->id }, "claim: %.*s",
                    reply->type == REDIS_REPLY_ERROR ? (int) reply->len : 9,
                    reply->type == REDIS_REPLY_ERROR ? reply->str
                                                     : "malformed");
        }

        job_drop(job);
    }

    job_unref(job);
}


/* What every claimed job has: attempt, spec, times and an emit_t. */

static int
job_claimed(job_t *job, const redisReply *reply, unsigned spec)
{
    int       dialect;
    int64_t   attempt;
    ai_str_t  text;

    if (redis_int(redis_item(reply, 1), &attempt) != 0
        || redis_int(redis_item(reply, spec == 2 ? 5 : 6), &job->queue_usec)
           != 0
        || attempt < 1 || attempt > UINT32_MAX)
    {
        return -1;
    }

    job->attempt = (uint32_t) attempt;
    job->at_usec = redis_str(redis_item(reply, spec == 2 ? 4 : 5));
    text = redis_str(redis_item(reply, spec));

    if (ai_job_parse(text, &job->spec) != 0
        || !ai_str_eqz(job->spec.id, job->id)
        || (dialect = ai_dialect_find(job->spec.dialect)) == -1)
    {
        return -1;
    }

    job->dialect = (ai_dialect_e) dialect;
    job->emit = emit_open(job->w, job->shard,
                          (ai_str_t) { AI_JOB_ID_LEN, job->id },
                          job->spec.tenant, job->attempt, job->spec.resumable,
                          &job_emit_events, job);

    return job->emit == NULL ? -1 : 0;
}


static void
job_run(job_t *job, const redisReply *reply)
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

    job->body = redis_str(redis_item(reply, 3));
    job->has_body = job->body.len != 0;

    job->wait.shard = job->shard;
    job->wait.edge = job->spec.edge;

    if (!job->has_body) {
        job_load(job);
    }

    job->refs++;
    catalog_get(job->w->catalogs, job->spec.catalog, &job->wait);

    if (job->state == JOB_LOADING) {
        job_prepare(job);
    }

    job_unref(job);
}


/* A job that an earlier attempt, or nobody, ran: it only needs its end. */

static void
job_resume_end(job_t *job, const redisReply *reply)
{
    ai_str_t           cause;
    const ai_error_t  *e;

    cause = redis_str(redis_item(reply, 3));
    e = ai_error_find(cause);

    if (e == NULL) {
        e = ai_error_find(ai_str("internal"));
    }

    job_end(job, ai_str_eqz(cause, "cancelled") ? "cancelled" : "failed",
            e->cause, NULL);
}


/* Loading. */

static void
job_load(job_t *job)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[2];

    argv[0] = ai_str("GET");
    argv[1].data = key;
    argv[1].len = ai_keys_make(key, sizeof(key), AI_KEY_BODY, job->shard,
                               (ai_str_t) { AI_JOB_ID_LEN, job->id });

    if (redis_command(job->w->redis, job_on_body, job, 2, argv) == 0) {
        job->waiting = 1;
        job->refs++;
    }
}


static void
job_on_body(redis_t *rc, redisReply *reply, void *data)
{
    job_t  *job;

    job = data;
    job->waiting = 0;

    if (job->state == JOB_LOADING && reply != NULL
        && reply->type != REDIS_REPLY_ERROR)
    {
        if (reply->type != REDIS_REPLY_STRING || reply->len == 0) {
            log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                    "its body is gone");
            job_fail(job, "internal", NULL);

        } else {
            redis_take(rc);
            job->stored = reply;
            job->body = redis_str(reply);
            job->has_body = 1;
            job_prepare(job);
        }
    }

    job_unref(job);
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
    if (job->state != JOB_LOADING || !job->has_body || job->catalog == NULL) {
        return;
    }

    if (job_route(job) != 0) {
        return;
    }

    job_move(job, JOB_PREPARING);
    job->refs++;

    if (job->body.len <= JOB_LOOP_MAX
        || uv_queue_work(&job->w->loop.uv, &job->work, job_work, job_worked)
           != 0)
    {
        job_work(&job->work);
        job_worked(&job->work, 0);
    }
}


static int
job_route(job_t *job)
{
    job->jobs->random = job->jobs->random * 6364136223846793005u
                        + 1442695040888963407u;

    if (catalog_route(job->catalog, job->spec.model, job->jobs->random >> 33,
                      &job->route)
        != 0)
    {
        job_fail(job, "model_not_found", NULL);
        return -1;
    }

    if (ai_str_eqz(job->route.api, "echo")) {
        job->provider = job->dialect == AI_DIALECT_ANTHROPIC
                        ? &provider_anthropic : &provider_openai;
        return 0;
    }

    job->provider = provider_find(job->route.api);

    if (job->provider == NULL || job->provider->dialect != job->dialect) {
        job_fail(job, "bad_request",
                 "This model does not speak the API of this endpoint.");
        return -1;
    }

    return 0;
}


static void
job_work(uv_work_t *work)
{
    job_t              *job;
    provider_request_t  req;

    job = work->data;

    if (ai_str_eqz(job->route.api, "echo")) {
        job->request_rc = echo_prepare(job);
        return;
    }

    req.body = job->body;
    req.model = job->route.model;
    req.stream = job->spec.stream;
    req.usage = !job->spec.usage_asked && job->route.stream_usage;

    job->request_rc = job->provider->request(&req, &job->request,
                                             &job->request_len,
                                             &job->request_added);
}


static void
job_worked(uv_work_t *work, int status)
{
    job_t  *job;

    job = work->data;

    if (job->state == JOB_PREPARING) {

        if (status != 0 || job->request_rc != 0) {
            job_fail(job, "bad_request", NULL);

        } else {
            job_move(job, JOB_CALLING);
            job->heard_msec = uv_now(&job->w->loop.uv);
            answer_init(&job->answer, job->emit, job->provider, job->dialect,
                        &job->route);
            job->answer.added = job->request_added ? 1 : 0;
            job->has_answer = 1;
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

    if (rc != 0) {
        job_fail(job, rc == -1 ? "internal" : "provider_bad", NULL);
        return -1;
    }

    if (!job->paused && emit_bytes(job->emit) > EMIT_HIGH_BYTES) {
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


void
job_done(job_t *job)
{
    job->done_usec = loop_now_usec(&job->w->loop);
    call_abort(job);
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
        job_whole(job);
    }

    job_unref(job);
}


static void
job_whole(job_t *job)
{
    switch (answer_finish(&job->answer)) {

    case 1:
        job_end(job, job->answer.status < 400 && !job->answer.usage.error
                     ? "done" : "failed", NULL, NULL);
        break;

    case 0:
        job_fail(job, "provider_bad",
                 "The provider's answer ended before it was complete.");
        break;

    default:
        job_fail(job, "internal", NULL);
    }
}


void
job_fail(job_t *job, const char *cause, const char *message)
{
    log_job(LOG_WARN, "job", job->spec.tenant,
            (ai_str_t) { AI_JOB_ID_LEN, job->id }, "failed: %s", cause);
    job_end(job, "failed", cause, message);
}


/* Ending: the last event and settle; cause NULL: the answer is whole. */

static void
job_end(job_t *job, const char *state, const char *cause, const char *message)
{
    char               base[2048], line[AI_USAGE_LINE_MAX];
    char               text[AI_USAGE_LINE_MAX + 1024];
    ai_buf_t           b, x;
    ai_usage_t         u;
    emit_settle_t      settle;
    const ai_error_t  *e;

    job_stop(job);
    job_usage(job, state, cause, &u);
    job_move(job, JOB_ENDING);

    ai_buf_init(&b, line, sizeof(line));
    ai_usage_write(&b, &u);
    settle.usage = (ai_str_t) { ai_buf_len(&b), line };

    ai_buf_init(&b, base, sizeof(base));
    ai_job_base(&b, &job->spec);
    settle.base = (ai_str_t) { ai_buf_len(&b), base };
    settle.state = state;
    settle.at_usec = job->at_usec;

    ai_buf_init(&x, text, sizeof(text));

    if (cause != NULL) {
        e = ai_error_find((ai_str_t) { strlen(cause), cause });

        if (message == NULL) {
            message = e != NULL ? e->message : "";
        }

        ai_record_add(&x, "cause", (ai_str_t) { strlen(cause), cause });
        ai_record_add(&x, "message",
                      (ai_str_t) { strlen(message), message });
        ai_record_add(&x, "usage", settle.usage);

    } else {
        ai_buf_add_str(&x, settle.usage);
    }

    if (b.full || x.full
        || emit_settle(job->emit, cause != NULL ? AI_EVENT_ERROR
                                                : AI_EVENT_END,
                       (ai_str_t) { ai_buf_len(&x), text }, &settle)
           != 0)
    {
        log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                "cannot be ended: no memory");
        job_drop(job);
        return;
    }

    job_count(job, state, &u);
}


/* Whatever still runs for it. */

static void
job_stop(job_t *job)
{
    catalog_forget(&job->wait);

    if (job->state == JOB_CALLING) {
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
    u->attempts = job->ever_called;
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
        return;
    }

    u->duration_usec = (int64_t) (job->done_usec - job->called_usec);

    if (job->first_usec != 0) {
        u->ttft_usec = (int64_t) (job->first_usec - job->called_usec);
    }

    u->request_id = (ai_str_t) { strlen(job->answer.request_id),
                                 job->answer.request_id };
    u->finish = (ai_str_t) { strlen(job->answer.usage.finish),
                             job->answer.usage.finish };

    if (job->answer.bytes != 0) {
        answer_usage(&job->answer, job->body.len, u);
    }

    if (job->route.price.input < 0 && job->route.price.output < 0
        && job->route.price.request < 0
        && !ai_str_eqz(job->route.api, "echo"))
    {
        u->cost = -1;

    } else {
        u->cost = ai_usage_cost(u, &job->route.price);
    }
}


static void
job_count(job_t *job, const char *state, const ai_usage_t *u)
{
    metrics_t  *m;

    m = &job->w->metrics;

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

    case EMIT_SETTLED:
        break;

    case EMIT_FENCED:
        job->w->metrics.jobs_abandoned_total++;
        log_job(LOG_INFO, "job", job->spec.tenant, job->spec.id,
                "another worker has it");
        break;

    default:
        job->w->metrics.jobs_abandoned_total++;
        log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                "given up: Redis keeps refusing it");
    }

    job_drop(job);
}


/* Cancelling. */

static void
job_on_cancelled(void *data, ai_str_t reason)
{
    job_t  *job;

    (void) reason;

    job = data;

    if (job->state == JOB_CLAIMING) {
        job->cancelled = 1;

    } else if (job->state < JOB_READING) {
        job_end(job, "cancelled", "cancelled", NULL);
    }
}


void
jobs_cancel(jobs_t *jobs, ai_str_t id, ai_str_t reason)
{
    job_t  *job;

    job = jobs_find(jobs, id);

    if (job != NULL) {
        job_on_cancelled(job, reason);
    }
}


void
jobs_abort(jobs_t *jobs)
{
    job_t     *job, *next;
    unsigned   i;

    for (i = 0; i < JOB_ENDING; i++) {
        for (job = jobs->lists[i]; job != NULL; job = next) {
            next = job->next;

            if (i == JOB_READING) {
                continue;
            }

            if (job->emit != NULL && emit_begun(job->emit)) {
                job_fail(job, "lost", NULL);

            } else {
                job_drop(job);
            }
        }
    }
}


/* Redis is there again. */

void
jobs_ready(jobs_t *jobs)
{
    char       key[AI_KEY_MAX];
    job_t     *job, *next;
    ai_str_t   argv[3];
    unsigned   i;

    argv[0] = ai_str("HGET");
    argv[1].data = key;
    argv[2] = ai_str("cancel");

    for (i = 0; i < JOB_DEAD; i++) {
        for (job = jobs->lists[i]; job != NULL; job = next) {
            next = job->next;

            if (job->emit != NULL) {
                emit_kick(job->emit);
            }

            if (i == JOB_CLAIMING && !job->waiting) {
                job_claim(job);

            } else if (i == JOB_LOADING && !job->has_body && !job->waiting) {
                job_load(job);
            }

            if (i == JOB_CLAIMING || i == JOB_ENDING) {
                continue;
            }

            argv[1].len = ai_keys_make(key, sizeof(key), AI_KEY_JOB,
                                       job->shard,
                                       (ai_str_t) { AI_JOB_ID_LEN, job->id });

            if (redis_command(jobs->w->redis, job_on_cancel_field, job, 3,
                              argv)
                == 0)
            {
                job->refs++;
            }
        }
    }
}


static void
job_on_cancel_field(redis_t *rc, redisReply *reply, void *data)
{
    job_t  *job;

    (void) rc;

    job = data;

    if (redis_str(reply).len != 0) {
        job_on_cancelled(job, redis_str(reply));
    }

    job_unref(job);
}


/* An edge that died hears no job any more; leave decides what follows. */

void
jobs_edges(jobs_t *jobs, unsigned shard, const ai_str_t *edges, unsigned n)
{
    job_t     *job, *next;
    ai_str_t   argv[2];
    unsigned   i, k;

    for (i = JOB_LOADING; i < JOB_ENDING; i++) {
        for (job = jobs->lists[i]; job != NULL; job = next) {
            next = job->next;

            if (job->shard != shard || job->left || job->spec.edge.len == 0) {
                continue;
            }

            for (k = 0; k < n; k++) {
                if (ai_str_eq(edges[k], job->spec.edge)) {
                    break;
                }
            }

            if (k < n) {
                continue;
            }

            argv[0] = (ai_str_t) { AI_JOB_ID_LEN, job->id };
            argv[1] = job->spec.edge;

            if (redis_script(jobs->w->redis, AI_SCRIPT_LEAVE,
                             worker_prefix(shard), NULL, NULL, 2, argv)
                == 0)
            {
                job->left = 1;
                log_job(LOG_INFO, "job", job->spec.tenant, job->spec.id,
                        "its edge is dead");
            }
        }
    }
}


/* Time. */

static void
jobs_on_tick(uv_timer_t *timer)
{
    job_t     *job, *next;
    jobs_t    *jobs;
    uint64_t   now;
    unsigned   i;

    jobs = timer->data;
    now = uv_now(&jobs->w->loop.uv);

    for (i = 0; i < JOB_DEAD; i++) {
        for (job = jobs->lists[i]; job != NULL; job = next) {
            next = job->next;
            job_check(job, now);
        }
    }
}


static void
job_check(job_t *job, uint64_t now)
{
    int64_t   limit;
    uint64_t  called;

    if (job->emit != NULL) {
        emit_kick(job->emit);
    }

    if (job->state == JOB_CLAIMING || job->state >= JOB_READING) {

        if (job->state == JOB_CLAIMING && !job->waiting) {
            job_claim(job);
        }

        return;
    }

    if (job->state == JOB_LOADING && !job->has_body && !job->waiting) {
        job_load(job);
    }

    if (job->deadline_msec != 0 && now >= job->deadline_msec) {
        job_fail(job, "provider_timeout", "The job took longer than allowed.");
        return;
    }

    if (job->state != JOB_CALLING) {
        return;
    }

    called = job->called_usec / 1000;

    if (loop_now_usec(&job->w->loop) / 1000
        >= called + (uint64_t) job->route.total_msec)
    {
        job_fail(job, "provider_timeout", NULL);
        return;
    }

    limit = job->first_usec == 0 ? job->route.first_msec
                                 : job->route.idle_msec;

    if (!job->paused && job->call != NULL
        && now >= job->heard_msec + (uint64_t) limit)
    {
        job_fail(job, "provider_timeout", NULL);
    }
}


/* The end of a job's memory. */

static void
job_drop(job_t *job)
{
    job_t  **p;

    if (job->state == JOB_DEAD) {
        return;
    }

    job_stop(job);

    if (job->emit != NULL) {
        emit_close(job->emit);
        job->emit = NULL;
    }

    for (p = jobs_slot(job->jobs, (ai_str_t) { AI_JOB_ID_LEN, job->id });
         *p != job;
         p = &(*p)->hash_next)
    {
        /* void */
    }

    *p = job->hash_next;
    job_move(job, JOB_DEAD);

    if (job->refs == 0) {
        job_free(job);
    }
}


void
job_ref(job_t *job)
{
    job->refs++;
}


void
job_unref(job_t *job)
{
    if (--job->refs == 0 && job->state == JOB_DEAD) {
        job_free(job);
    }
}


static void
job_free(job_t *job)
{
    *job->prev = job->next;

    if (job->next != NULL) {
        job->next->prev = job->prev;
    }

    job->jobs->counts[JOB_DEAD]--;

    if (job->has_answer) {
        answer_free(&job->answer);
    }

    if (job->catalog != NULL) {
        catalog_release(job->catalog);
    }

    if (job->claimed != NULL) {
        freeReplyObject(job->claimed);
    }

    if (job->stored != NULL) {
        freeReplyObject(job->stored);
    }

    if (job->echo != NULL) {
        echo_abort(job);
    }

    free(job->request);
    free(job);
}
