/*
 * Bodies that stand alone in Redis: fetched in pieces, in turn, into one
 * text a job.
 */

#include "body.h"
#include "job_in.h"

#include <stdlib.h>
#include <string.h>


#define BODY_FETCHES  2             /* replies on their way, a process */


static void body_push(job_t *job);
static int body_fetch(job_t *job);
static void body_on_reply(redis_t *rc, ai_resp_t *reply, void *data);
static void body_take(job_t *job, redis_t *rc, ai_resp_t *reply);
static int body_room(job_t *job, size_t len);


static size_t  body_whole_bytes;    /* of bodies that were made whole */


void
body_load(job_t *job)
{
    if (job->has_body || job->waiting || job->body_prev != NULL) {
        return;
    }

    body_push(job);
    body_kick(job->jobs);
}


static void
body_push(job_t *job)
{
    bodies_t  *b;

    b = &job->jobs->bodies;

    if (b->first == NULL) {
        b->last = &b->first;
    }

    job->body_next = NULL;
    job->body_prev = b->last;
    *b->last = job;
    b->last = &job->body_next;
}


void
body_forget(job_t *job)
{
    if (job->body_prev == NULL) {
        return;
    }

    *job->body_prev = job->body_next;

    if (job->body_next != NULL) {
        job->body_next->body_prev = job->body_prev;

    } else {
        job->jobs->bodies.last = job->body_prev;
    }

    job->body_prev = NULL;
}


void
body_kick(jobs_t *jobs)
{
    job_t     *job;
    bodies_t  *b;

    b = &jobs->bodies;

    while (b->fetches < BODY_FETCHES && b->first != NULL) {
        job = b->first;

        if (body_fetch(job) != 0) {
            return;
        }

        body_forget(job);
    }
}


static int
body_fetch(job_t *job)
{
    char      key[AI_KEY_MAX], index[24];
    ai_buf_t  n;
    ai_str_t  argv[3];

    argv[0] = job->pieces != 0 ? ai_str("LINDEX") : ai_str("GET");
    argv[1].data = key;
    argv[1].len = ai_keys_make(key, sizeof(key), AI_KEY_BODY, job->shard,
                               (ai_str_t) { AI_JOB_ID_LEN, job->id });

    ai_buf_init(&n, index, sizeof(index));
    ai_buf_add_int(&n, (int64_t) job->piece + 1);
    argv[2] = (ai_str_t) { ai_buf_len(&n), index };

    if (redis_command(job->w->redis, body_on_reply, job,
                      job->pieces != 0 ? 3 : 2, argv)
        != 0)
    {
        return -1;
    }

    job->jobs->bodies.fetches++;
    job->waiting = 1;
    job_ref(job);

    return 0;
}


static void
body_on_reply(redis_t *rc, ai_resp_t *reply, void *data)
{
    job_t   *job;
    jobs_t  *jobs;

    job = data;
    jobs = job->jobs;
    jobs->bodies.fetches--;
    job->waiting = 0;

    /* a tick asks again after a loss or an error */

    if (job->state == JOB_LOADING && reply != NULL
        && reply->type != AI_RESP_ERROR)
    {
        body_take(job, rc, reply);
    }

    job_unref(job);

    if (reply != NULL) {
        body_kick(jobs);
    }
}


static void
body_take(job_t *job, redis_t *rc, ai_resp_t *reply)
{
    ai_str_t  piece;

    piece = redis_str(reply);

    if (piece.len == 0 || reply->type != AI_RESP_STRING
        || (job->pieces != 0 && job->piece + 1 == job->pieces
            && job->body.len + piece.len != job->bytes))
    {
        log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                "its body is gone");
        job_fail(job, "internal", NULL);
        return;
    }

    if (job->pieces == 0 && (job->stored = redis_take(rc)) != NULL) {
        job->body = redis_str(job->stored);
        job->has_body = 1;
        job_loaded(job);
        return;
    }

    if (job->pieces == 0 || body_room(job, piece.len) != 0) {
        log_job(LOG_ERROR, "job", job->spec.tenant, job->spec.id,
                "its body cannot be kept");
        job_fail(job, "internal", NULL);
        return;
    }

    memcpy(job->text + job->body.len, piece.data, piece.len);
    job->body.len += piece.len;
    job->piece++;

    if (job->piece < job->pieces) {
        body_push(job);
        return;
    }

    job->body.data = job->text;
    job->has_body = 1;
    job_loaded(job);
}


/* Room for a piece: the whole body's, with the first. */

static int
body_room(job_t *job, size_t len)
{
    if (job->text == NULL && job->bytes <= PROVIDER_BODY_MAX) {
        job->text = malloc(job->bytes);
    }

    return job->text != NULL && len <= job->bytes - job->body.len ? 0 : -1;
}


int
body_whole(job_t *job, out_t *o)
{
    if (o->size > BODY_WHOLE_FAIR
        && body_whole_bytes + o->size > BODY_WHOLE_MAX)
    {
        return -1;
    }

    body_whole_bytes += o->size;
    job->expanded = o->data;
    job->expanded_size = o->size;
    job->body = (ai_str_t) { o->len, o->data };

    return 0;
}


void
body_free(job_t *job)
{
    if (job->stored == NULL && job->text == NULL && job->expanded == NULL) {
        return;
    }

    free(job->stored);
    job->stored = NULL;
    free(job->text);
    job->text = NULL;

    free(job->expanded);
    job->expanded = NULL;
    body_whole_bytes -= job->expanded_size;
    job->expanded_size = 0;

    job->body.data = "";
}
