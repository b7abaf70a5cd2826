/*
 * The jobs of a worker: their table and lists, and what concerns them all.
 * Herding jobs between lists happens here.  Owns the jobs.
 */

#include "body.h"
#include "hedge.h"
#include "job_in.h"
#include "paid.h"
#include "recall.h"
#include "retry.h"
#include "stored.h"

#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"


#define JOBS_TICK_MSEC  100
/* A tick as late as this comes after a sleep. */
#define JOBS_LATE_MSEC  500
/* A job that another took over from us is in Redis for longer than this. */
#define JOBS_DEAF_MSEC  25000


static uint64_t jobs_hash(ai_str_t id);
static job_t **jobs_slot(jobs_t *jobs, ai_str_t id);
static job_t *jobs_find(jobs_t *jobs, ai_str_t id);
static job_t *jobs_add(jobs_t *jobs, unsigned shard, ai_str_t id);
static void job_on_cancel_field(redis_t *rc, ai_resp_t *reply, void *data);
static void jobs_on_tick(uv_timer_t *timer);
static void jobs_hear(jobs_t *jobs);
static void job_check(job_t *job, uint64_t now);
static void job_free(job_t *job);


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
    jobs->heard_usec = loop_now_usec(&w->loop);
    jobs->table = calloc(size, sizeof(job_t *));

    if (jobs->table == NULL
        || ai_random(&jobs->random, sizeof(jobs->random)) != 0)
    {
        free(jobs->table);
        free(jobs);
        return NULL;
    }

    uv_timer_init(&w->loop.uv, &jobs->timer);
    jobs->timer.data = jobs;
    jobs->ticked_msec = uv_now(&w->loop.uv);
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

static uint64_t
jobs_hash(ai_str_t id)
{
    size_t    i;
    uint64_t  hash;

    hash = 14695981039346656037u;

    for (i = 0; i < id.len; i++) {
        hash = (hash ^ (unsigned char) id.data[i]) * 1099511628211u;
    }

    return hash ^ hash >> 32;
}


static job_t **
jobs_slot(jobs_t *jobs, ai_str_t id)
{
    return &jobs->table[jobs_hash(id) & jobs->mask];
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


void
job_move(job_t *job, job_state_e state)
{
    jobs_t  *jobs;

    jobs = job->jobs;

    /* A second call is in no list. */

    if (job->parent != NULL) {
        job->state = state;
        return;
    }

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


unsigned
jobs_held(const jobs_t *jobs, unsigned shard)
{
    return jobs->held[shard];
}


static job_t *
jobs_add(jobs_t *jobs, unsigned shard, ai_str_t id)
{
    job_t  *job, **slot;

    job = calloc(1, sizeof(*job));
    if (job == NULL) {
        log_write(LOG_ERROR, "jobs", "no memory for a job");
        return NULL;
    }

    job->jobs = jobs;
    job->w = jobs->w;
    job->shard = shard;
    memcpy(job->id, id.data, id.len);
    job->work.data = job;

    slot = jobs_slot(jobs, id);
    job->hash_next = *slot;
    *slot = job;
    jobs->held[shard]++;
    job_move(job, JOB_CLAIMING);

    return job;
}


void
jobs_deliver(jobs_t *jobs, unsigned shard, char *text, const ai_delivery_t *d,
    int sure)
{
    job_t     *job;
    uint64_t   hash;

    job = jobs_find(jobs, d->job);

    if (job != NULL && job->attempt != 0) {

        if (d->attempt <= job->attempt) {
            free(text);
            return;
        }

        jobs->w->metrics.jobs_abandoned_total++;
        log_job(LOG_INFO, "job", job->spec.tenant, d->job,
                "attempt %u is over, attempt %u begins", job->attempt,
                d->attempt);
        job_drop(job);
        job = NULL;
    }

    /* Begun now, it could emit before a claim that has to be sent again by its
     * source is executed: Redis would take it for forgotten. */

    if (job != NULL && job->waiting) {
        free(text);
        return;
    }

    if (job == NULL) {
        job = jobs_add(jobs, shard, d->job);
    }

    hash = jobs_hash((ai_str_t) { AI_JOB_ID_LEN, d->job.data });

    if (job == NULL || !sure || jobs->ended[hash % JOBS_ENDED] == hash) {
        free(text);

        if (job != NULL) {
            job_claim(job, job_on_claim);
        }

        return;
    }

    job_begin(job, text, d);
}


void
jobs_found(jobs_t *jobs, unsigned shard, ai_str_t id, ai_str_t tenant)
{
    job_t  *job;

    if (jobs_find(jobs, id) == NULL) {
        job = jobs_add(jobs, shard, id);

        if (job != NULL) {
            log_job(LOG_INFO, "job", tenant, id,
                    "held, and not heard of: asked for");
            job_claim(job, job_on_claim);
        }
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
                job->cancelled = 1;
                continue;
            }

            if (job->emit != NULL && emit_begun(job->emit)) {
                job_fail(job, "lost", NULL);

            } else {
                paid_add(job, job, "cancelled");
                job_drop(job);
            }
        }
    }
}


/* Redis is there again. */

void
jobs_restarted(jobs_t *jobs)
{
    job_t     *job;
    unsigned   i;

    for (i = 0; i < JOB_DEAD; i++) {
        for (job = jobs->lists[i]; job != NULL; job = job->next) {
            if (job->emit != NULL) {
                emit_again(job->emit);
            }
        }
    }
}


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
                job_claim(job, job_on_claim);

            } else if (i == JOB_LOADING) {
                body_load(job);
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
job_on_cancel_field(redis_t *rc, ai_resp_t *reply, void *data)
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
    jobs_hear(jobs);
    emits_expire(jobs->w->emits);
    body_kick(jobs);

    /* What came while the process slept is read before anybody is late. */

    if (now - jobs->ticked_msec > JOBS_LATE_MSEC && !jobs->late) {
        jobs->late = 1;
        jobs->ticked_msec = now;
        return;
    }

    jobs->late = 0;
    jobs->ticked_msec = now;

    for (i = 0; i < JOB_DEAD; i++) {
        for (job = jobs->lists[i]; job != NULL; job = next) {
            next = job->next;
            job_ref(job);

            if (job->hedge != NULL && job->hedge->state == JOB_CALLING) {
                job_check(job->hedge, now);
            }

            job_check(job, now);
            job_unref(job);
        }
    }
}


/* Without Redis, or stopped: both look the same from here. */

static void
jobs_hear(jobs_t *jobs)
{
    uint64_t  now;

    if (!redis_ready(jobs->w->redis)) {
        return;
    }

    now = loop_now_usec(&jobs->w->loop);

    if (now - jobs->heard_usec > JOBS_DEAF_MSEC * 1000) {
        jobs->deaf_usec = now;
    }

    jobs->heard_usec = now;
}


static void
job_check(job_t *job, uint64_t now)
{
    int       first;
    uint64_t  called;

    if (job->emit != NULL) {
        emit_kick(job->emit);
    }

    if (job->state == JOB_RECALLING) {
        recall_kick(job);
    }

    if (job->state == JOB_CLAIMING || job->state >= JOB_READING) {

        if (job->state == JOB_CLAIMING && !job->waiting) {
            job_claim(job, job_on_claim);

        } else if (job->unended) {
            job_end(job, job->ending_state, job->ending,
                    job->ending_message);
        }

        return;
    }

    if (job->state == JOB_LOADING) {
        body_load(job);
        paid_ask(job);
    }

    if (job_complete(job)) {

        if (now >= job->heard_msec + (job->answer.usage.complete
                                      ? JOB_CLOSE_MSEC : JOB_ERROR_MSEC))
        {
            job_done(job);
        }

        return;
    }

    if (job->deadline_msec != 0 && now >= job->deadline_msec) {
        job_fail(job, "provider_timeout", "The job took longer than allowed.");
        return;
    }

    if (job->state == JOB_RETRYING) {
        retry_kick(job);
        return;
    }

    if (job->state != JOB_CALLING) {
        return;
    }

    hedge_check(job);
    called = job->called_usec / 1000;

    if (loop_now_usec(&job->w->loop) / 1000
        >= called + (uint64_t) job->route.total_msec)
    {
        if (!retry_failed(job, RETRY_TOTAL)) {
            job_fail(job, "provider_timeout", NULL);
        }

        return;
    }

    if (job->paused || job->call == NULL
        || (retry_slow(job) && retry_failed(job, RETRY_SLOW)))
    {
        return;
    }

    /* A stream that says hello has not begun. */

    first = job->first_usec == 0
            || (job->answer.sse_type && !job->answer.token);

    if (first ? loop_now_usec(&job->w->loop) / 1000
                >= called + (uint64_t) job->route.first_msec
              : now >= job->heard_msec + (uint64_t) job->route.idle_msec)
    {
        if (!retry_failed(job, first ? RETRY_FIRST : RETRY_IDLE)) {
            job_fail(job, "provider_timeout", NULL);
        }
    }
}


/* The end of a job's memory.  What a zombie held under an older entry comes
 * again under the newer one. */

void
job_drop(job_t *job)
{
    job_t   **p;
    uint64_t  hash;

    if (job->state == JOB_DEAD) {
        return;
    }

    hash = jobs_hash((ai_str_t) { AI_JOB_ID_LEN, job->id });
    job->jobs->ended[hash % JOBS_ENDED] = hash;

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
    job->jobs->held[job->shard]--;
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
    if (job->parent != NULL) {
        hedge_free(job);
        return;
    }

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

    body_free(job);
    recall_free(job);
    retry_free(job);
    paid_free(job);

    if (job->echo != NULL) {
        echo_abort(job);
    }

    free(job->request);
    stored_free(job->response);
    free(job->delivery);
    translate_close(job->translate);
    free(job);
}
