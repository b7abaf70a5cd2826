/*
 * A response is deleted: its row, what waits to be one, its job's log.  One
 * that is under way is cancelled first, so that it is not stored behind the
 * back of who deleted it.
 */

#include "state_in.h"

#include <stdlib.h>
#include <string.h>


#define STATE_LOOK_MSEC  50             /* between two looks at a job, */
#define STATE_LOOKS_MAX  100            /* until it has ended */


static void state_on_drop(db_t *db, const PGresult *res, void *data);
static void state_on_unpark(redis_t *rc, ai_resp_t *reply, void *data);
static void state_on_unparked(redis_t *rc, ai_resp_t *reply, void *data);
static void state_name(state_t *s);
static void state_on_name(redis_t *rc, ai_resp_t *reply, void *data);
static void state_look(state_t *s);
static void state_on_look(redis_t *rc, ai_resp_t *reply, void *data);
static void state_stop(state_t *s);
static void state_on_stop(redis_t *rc, ai_resp_t *reply, void *data);
static void state_on_timer(uv_timer_t *timer);
static void state_forget(state_t *s);
static void state_dropped(state_t *s);


void
state_drop(state_t *s)
{
    if (state_query(s, "SELECT ngxai.response_drop($1, $2, $3)",
                    state_on_drop)
        != 0)
    {
        state_away(s);
    }
}


static void
state_on_drop(db_t *db, const PGresult *res, void *data)
{
    state_t  *s;

    (void) db;

    s = data;

    if (!state_alive(s)) {
        return;
    }

    if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK) {
        state_away(s);
        return;
    }

    s->dropped |= strcmp(PQgetvalue(res, 0, 0), "0") != 0;

    if (parked_read(s->job, s->id, state_on_unpark, s) != 0) {
        state_away(s);
    }
}


static void
state_on_unpark(redis_t *rc, ai_resp_t *reply, void *data)
{
    state_t   *s;
    ai_str_t   response;

    (void) rc;

    s = data;

    if (!state_alive(s)) {
        return;
    }

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        state_away(s);
        return;
    }

    if (parked_item(reply, PARKED_RESPONSE, &response)
        && state_mine(s, redis_str(redis_item(reply, PARKED_OWNER))))
    {
        s->dropped = 1;

        if (parked_drop(s->job, s->id, state_on_unparked, s) != 0) {
            state_away(s);
        }

        return;
    }

    if (s->target[0] == '\0') {
        state_name(s);

    } else {
        state_look(s);
    }
}


/* It may just have been moved to where we have looked already. */

static void
state_on_unparked(redis_t *rc, ai_resp_t *reply, void *data)
{
    state_t  *s;

    (void) rc;

    s = data;

    if (!state_alive(s)) {
        return;
    }

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        state_away(s);

    } else {
        state_drop(s);
    }
}


/* One that passed is not named after its job. */

static void
state_name(state_t *s)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[2];

    argv[0] = ai_str("GET");
    argv[1].data = key;
    argv[1].len = stored_key(s->job, (ai_str_t) { strlen(s->id), s->id }, key,
                             sizeof(key));

    if (argv[1].len == 0
        || redis_command(s->job->w->redis, state_on_name, s, 2, argv) != 0)
    {
        state_away(s);
    }
}


static void
state_on_name(redis_t *rc, ai_resp_t *reply, void *data)
{
    ai_str_t  id;
    state_t  *s;

    (void) rc;

    s = data;

    if (!state_alive(s)) {
        return;
    }

    id = redis_str(reply);

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        state_away(s);

    } else if (!ai_id_job_ok(id)) {
        state_dropped(s);

    } else {
        memcpy(s->target, id.data, AI_JOB_ID_LEN);
        s->target[AI_JOB_ID_LEN] = '\0';
        state_look(s);
    }
}


static void
state_look(state_t *s)
{
    char       key[AI_KEY_MAX];
    ai_str_t   argv[5];

    argv[0] = ai_str("HMGET");
    argv[1].data = key;
    argv[1].len = ai_keys_make(key, sizeof(key), AI_KEY_JOB, s->job->shard,
                               (ai_str_t) { AI_JOB_ID_LEN, s->target });
    argv[2] = ai_str("tenant");
    argv[3] = ai_str("state");
    argv[4] = ai_str("spec");

    if (redis_command(s->job->w->redis, state_on_look, s, 5, argv) != 0) {
        state_away(s);
    }
}


static void
state_on_look(redis_t *rc, ai_resp_t *reply, void *data)
{
    int       seen;
    state_t  *s;
    ai_str_t  state;
    ai_job_t  spec;

    (void) rc;

    s = data;

    if (!state_alive(s)) {
        return;
    }

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        state_away(s);
        return;
    }

    state = redis_str(redis_item(reply, 1));

    /* It may have been stored while we waited for its end. */

    if (s->looks != 0 && !ai_str_eqz(state, "waiting")
        && !ai_str_eqz(state, "running"))
    {
        s->looks = 0;
        s->dropped = 1;
        state_drop(s);
        return;
    }

    /* A provider may have said the id of somebody else's. */

    if (!ai_str_eq(redis_str(redis_item(reply, 0)), s->job->spec.tenant)
        || ai_job_parse(redis_str(redis_item(reply, 2)), &spec) != 0
        || !ai_str_eqz(spec.op, "responses") || !state_mine(s, spec.user))
    {
        state_dropped(s);
        return;
    }

    seen = spec.background || spec.resumable;

    if (ai_str_eqz(state, "waiting") || ai_str_eqz(state, "running")) {

        if (seen || s->dropped) {
            state_stop(s);

        } else {
            state_missing(s);
        }

        return;
    }

    s->dropped |= seen && !ai_str_eqz(state, "done");

    if (s->dropped) {
        state_forget(s);
    }

    state_dropped(s);
}


/* Its end. */

static void
state_stop(state_t *s)
{
    ai_str_t  argv[7];

    if (++s->looks > STATE_LOOKS_MAX) {
        state_away(s);
        return;
    }

    if (!s->timed) {
        uv_timer_init(&s->job->w->loop.uv, &s->timer);
        s->timer.data = s;
        s->timed = 1;
    }

    argv[0] = (ai_str_t) { AI_JOB_ID_LEN, s->target };
    argv[1] = s->job->spec.tenant;
    argv[2] = ai_str("client");
    argv[3] = ai_str("now");
    argv[4] = ai_str("cancelled");
    argv[5] = ai_str("");
    argv[6] = ai_str("");

    if (redis_script(s->job->w->redis, AI_SCRIPT_CANCEL,
                     worker_prefix(s->job->shard), state_on_stop, s, 7, argv)
        != 0)
    {
        state_away(s);
    }
}


static void
state_on_stop(redis_t *rc, ai_resp_t *reply, void *data)
{
    state_t  *s;

    (void) rc;

    s = data;

    if (!state_alive(s)) {
        return;
    }

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        state_away(s);

    } else {
        uv_timer_start(&s->timer, state_on_timer, STATE_LOOK_MSEC, 0);
    }
}


static void
state_on_timer(uv_timer_t *timer)
{
    state_t  *s;

    s = timer->data;

    if (state_alive(s)) {
        state_look(s);
    }
}


/* With a response goes the log of its stream. */

static void
state_forget(state_t *s)
{
    char      key[3][AI_KEY_MAX];
    ai_str_t  argv[4], job;

    job = (ai_str_t) { AI_JOB_ID_LEN, s->target };
    argv[0] = ai_str("UNLINK");
    argv[1].data = key[0];
    argv[1].len = ai_keys_make(key[0], sizeof(key[0]), AI_KEY_EV,
                               s->job->shard, job);
    argv[2].data = key[1];
    argv[2].len = ai_keys_make(key[1], sizeof(key[1]), AI_KEY_JOB,
                               s->job->shard, job);
    argv[3].data = key[2];
    argv[3].len = stored_key(s->job, (ai_str_t) { strlen(s->id), s->id },
                             key[2], sizeof(key[2]));

    (void) redis_command(s->job->w->redis, NULL, NULL,
                         argv[3].len != 0 ? 4 : 3, argv);
}


static void
state_dropped(state_t *s)
{
    if (!s->dropped) {
        state_missing(s);

    } else {
        state_end(s, 200, json_pack("{s:s, s:s, s:b}", "id", s->id, "object",
                                    "response", "deleted", 1));
    }
}
