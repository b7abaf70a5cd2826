/*
 * A response that belongs to a conversation: it begins with the items of that,
 * which it alone may add to until it ends, and then adds its own.
 */

#include "stored_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define CONVERSE_HEX  (AI_JOB_ID_LEN - 4)


static void converse_input(uv_work_t *work);
static void converse_on_input(uv_work_t *work, int status);
static int converse_take(stored_t *s);
static void converse_on_take(db_t *db, const PGresult *res, void *data);
static void converse_refuse(stored_t *s, ai_str_t word, ai_str_t what);
static void converse_again(stored_t *s, ai_str_t answer);
static void converse_items(out_t *o, const PGresult *res);
static int converse_held(stored_t *s, ai_str_t holder);
static void converse_on_held(redis_t *rc, ai_resp_t *reply, void *data);
static void converse_said(uv_work_t *work);
static void converse_on_said(uv_work_t *work, int status);


int
converse_begin(stored_t *s)
{
    job_t  *job;

    job = s->job;
    s->adds = s->store;
    s->rc = 0;
    job_ref(job);

    /* What leaves nothing only reads. */

    if (!s->adds) {

        if (converse_take(s) == 0) {
            return 1;
        }

        job_fail(job, "unavailable", NULL);
        job_unref(job);

        return -1;
    }

    if (s->input_len <= JOB_LOOP_MAX
        || uv_queue_work(&job->w->loop.uv, &job->work, converse_input,
                         converse_on_input)
           != 0)
    {
        converse_input(&job->work);
        converse_on_input(&job->work, 0);
    }

    return 1;
}


static void
converse_input(uv_work_t *work)
{
    out_t      o;
    job_t     *job;
    stored_t  *s;

    job = work->data;
    s = job->response;

    memset(&o, 0, sizeof(o));
    out_z(&o, "[");
    out_add(&o, (ai_str_t) { s->input_len, s->input });
    out_z(&o, "]");

    items_free(&s->items);
    s->rc = o.failed ? -2
            : items_add(&s->items, (ai_str_t) { o.len, o.data },
                        (ai_str_t) { CONVERSE_HEX, job->id + 4 }, 'i');
    out_free(&o);
}


static void
converse_on_input(uv_work_t *work, int status)
{
    job_t     *job;
    stored_t  *s;

    (void) status;

    job = work->data;
    s = job->response;

    if (job->state == JOB_PREPARING) {

        if (s->rc == -1) {
            job_fail(job, "bad_request", s->items.why);

        } else if (s->rc != 0) {
            job_fail(job, "internal", NULL);

        } else if (converse_take(s) == 0) {
            return;

        } else {
            job_fail(job, "unavailable", NULL);
        }
    }

    job_unref(job);
}


static int
converse_take(stored_t *s)
{
    int          rc;
    char        *tenant, *ids;
    char         most[16], most_bytes[16], bytes[24];
    job_t       *job;
    const char  *argv[10];

    job = s->job;
    tenant = stored_z(job->spec.tenant);
    ids = items_array(&s->items.ids);
    rc = -1;

    if (tenant != NULL && ids != NULL) {
        snprintf(most, sizeof(most), "%d", STORED_ITEMS);
        snprintf(most_bytes, sizeof(most_bytes), "%d", STORED_ITEMS_BYTES);
        snprintf(bytes, sizeof(bytes), "%zu", s->items.bytes);
        argv[0] = tenant;
        argv[1] = stored_owner(job);
        argv[2] = s->conversation;
        argv[3] = job->id;
        argv[4] = s->holder;
        argv[5] = s->adds ? "true" : "false";
        argv[6] = most;
        argv[7] = most_bytes;
        argv[8] = ids;
        argv[9] = bytes;
        rc = stores_query(job->w->stores, converse_on_take, s,
                          "SELECT word, what FROM ngxai.conversation_take($1, "
                          "$2, $3, $4, $5, $6::boolean, $7::integer, "
                          "$8::bigint, $9::text[], $10::bigint)", 10, argv);
    }

    free(tenant);
    free(ids);

    return rc;
}


static void
converse_on_take(db_t *db, const PGresult *res, void *data)
{
    job_t     *job;
    ai_str_t   word, what;
    stored_t  *s;

    (void) db;

    s = data;
    job = s->job;

    if (job->state != JOB_PREPARING) {
        job_unref(job);
        return;
    }

    if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK) {
        job_fail(job, "unavailable", NULL);
        job_unref(job);
        return;
    }

    word = ai_str("missing");
    what = ai_str("");

    if (PQntuples(res) != 0) {
        word = (ai_str_t) { (size_t) PQgetlength(res, 0, 0),
                            PQgetvalue(res, 0, 0) };
        what = (ai_str_t) { (size_t) PQgetlength(res, 0, 1),
                            PQgetvalue(res, 0, 1) };
    }

    if (ai_str_eqz(word, "ok")) {
        stored_join(job, converse_items, res);

    } else if (ai_str_eqz(word, "done")) {
        converse_again(s, what);

    } else if (ai_str_eqz(word, "held") && s->holder[0] == '\0'
               && converse_held(s, what) == 0)
    {
        return;

    } else {
        converse_refuse(s, word, what);
    }

    job_unref(job);
}


static void
converse_refuse(stored_t *s, ai_str_t word, ai_str_t what)
{
    char  why[2 * ITEMS_ID_MAX + 96];

    if (ai_str_eqz(word, "missing")) {
        snprintf(why, sizeof(why), "Conversation with id '%s' not found.",
                 s->conversation);
        job_fail(s->job, "not_found", why);

    } else if (ai_str_eqz(word, "duplicate")) {
        snprintf(why, sizeof(why), "Duplicate item found with id '%.*s': it "
                 "is in the conversation already.", (int) what.len,
                 what.data);
        job_fail(s->job, "bad_request", why);

    } else if (ai_str_eqz(word, "full")) {
        snprintf(why, sizeof(why), "The conversation is full: it takes %d "
                 "items, of %d bytes together.", STORED_ITEMS,
                 STORED_ITEMS_BYTES);
        job_fail(s->job, "bad_request", why);

    } else {
        job_fail(s->job, "conversation_locked", NULL);
    }
}


/* What this job asked and was told stands there: an earlier attempt died since.
 * It is not asked again. */

static void
converse_again(stored_t *s, ai_str_t answer)
{
    job_t  *job;

    job = s->job;
    s->over = 1;
    job->unknown = 1;

    if (answer.len == 0 || job->spec.stream) {
        job_fail(job, "lost", NULL);
        return;
    }

    state_answer(job, 200, answer, NULL);
}


static void
converse_items(out_t *o, const PGresult *res)
{
    int  i;

    for (i = 1; i < PQntuples(res); i++) {
        out_item(o);
        out_add(o, (ai_str_t) { (size_t) PQgetlength(res, i, 1),
                                PQgetvalue(res, i, 1) });
    }
}


/* Who died could not say that it let go: whether it lives, Redis knows. */

static int
converse_held(stored_t *s, ai_str_t holder)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[3];

    if (!ai_id_job_ok(holder)) {
        return -1;
    }

    memcpy(s->holder, holder.data, AI_JOB_ID_LEN);
    s->holder[AI_JOB_ID_LEN] = '\0';

    argv[0] = ai_str("HGET");
    argv[1].data = key;
    argv[1].len = ai_keys_make(key, sizeof(key), AI_KEY_JOB, s->job->shard,
                               holder);
    argv[2] = ai_str("state");

    return redis_command(s->job->w->redis, converse_on_held, s, 3, argv);
}


static void
converse_on_held(redis_t *rc, ai_resp_t *reply, void *data)
{
    job_t     *job;
    ai_str_t   state;
    stored_t  *s;

    (void) rc;

    s = data;
    job = s->job;
    state = redis_str(reply);

    if (job->state == JOB_PREPARING) {

        if (reply == NULL || reply->type == AI_RESP_ERROR) {
            job_fail(job, "unavailable", NULL);

        } else if (ai_str_eqz(state, "waiting")
                   || ai_str_eqz(state, "running"))
        {
            converse_refuse(s, ai_str("held"), ai_str(""));

        } else if (converse_take(s) == 0) {
            return;

        } else {
            job_fail(job, "unavailable", NULL);
        }
    }

    job_unref(job);
}


/* The end. */

int
converse_end(stored_t *s)
{
    job_t           *job;
    ai_str_t         said, status;
    ai_json_type_e   type;

    job = s->job;
    said = (ai_str_t) { s->said_len, s->said };

    /* What failed said nothing that counts. */

    if (ai_json_path(said, "status", &status, &type) != 1
        || !(ai_str_eqz(status, "\"completed\"")
             || ai_str_eqz(status, "\"incomplete\"")))
    {
        s->adds = 0;
        return stored_send(s);
    }

    if (s->said_len <= JOB_LOOP_MAX
        || uv_queue_work(&job->w->loop.uv, &job->work, converse_said,
                         converse_on_said)
           != 0)
    {
        converse_said(&job->work);
        return s->rc == 0 ? stored_send(s) : -1;
    }

    return 0;
}


static void
converse_said(uv_work_t *work)
{
    job_t           *job;
    ai_str_t         output;
    stored_t        *s;
    ai_json_type_e   type;

    job = work->data;
    s = job->response;

    if (ai_json_path((ai_str_t) { s->said_len, s->said }, "output", &output,
                     &type)
        == 1)
    {
        s->rc = items_add_said(&s->items, output,
                               (ai_str_t) { CONVERSE_HEX, job->id + 4 });
    }
}


static void
converse_on_said(uv_work_t *work, int status)
{
    job_t     *job;
    stored_t  *s;

    (void) status;

    job = work->data;
    s = job->response;

    /* Another has it, or the worker ends. */

    if (job->state != JOB_READING) {
        job_unref(job);

    } else if (s->rc != 0 || stored_send(s) != 0) {
        stored_failed(s, "no Postgres", 1);
    }
}
