/*
 * Jobs that call no provider: a stored response is read, listed, cancelled or
 * deleted.  Of one that is under way, or ended without an answer, Redis knows.
 */

#include "state_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sign.h"


#define STATE_LIST_MAX  100             /* items of a page */
#define STATE_WORDS     5
#define STATE_LOOP_MAX  (64 * 1024)     /* larger lists are made elsewhere */
#define STATE_PIECE     (64 * 1024)     /* of an answer */


static state_t *state_read(job_t *job);
static void state_on_closed(uv_handle_t *handle);
static void state_say(state_t *s, int status, ai_str_t text);
static void state_get(state_t *s);
static void state_park(state_t *s, int away);
static void state_on_get(db_t *db, const PGresult *res, void *data);
static void state_on_parked(redis_t *rc, ai_resp_t *reply, void *data);
static void state_found(state_t *s, ai_str_t input, ai_str_t response);
static void state_list(uv_work_t *work);
static void state_on_list(uv_work_t *work, int status);
static void state_follow(state_t *s);
static void state_on_follow(redis_t *rc, ai_resp_t *reply, void *data);
static void state_cancel(state_t *s);
static void state_on_cancel(redis_t *rc, ai_resp_t *reply, void *data);
static void state_look(state_t *s);
static void state_on_look(redis_t *rc, ai_resp_t *reply, void *data);
static json_t *state_made(const state_t *s, const ai_job_t *spec,
    const char *status);


static const char *const  state_words[] = {
    "get", "items", "follow", "cancel", "delete"
};


int
state_begin(job_t *job)
{
    state_t  *s;

    if (ai_str_eqz(job->spec.op, "conversations_read")
        || ai_str_eqz(job->spec.op, "conversations_write"))
    {
        conversation_begin(job);
        return 1;
    }

    if (!ai_str_eqz(job->spec.op, "responses_read")
        && !ai_str_eqz(job->spec.op, "responses_write"))
    {
        return 0;
    }

    if (!sign_body_ok(&job->spec, job->body)) {
        job_forged(job);
        return 1;
    }

    s = state_read(job);

    if (s == NULL) {
        job_fail(job, "bad_request", NULL);
        return 1;
    }

    job_move(job, JOB_PREPARING);
    job_ref(job);

    switch (s->what) {

    case STATE_FOLLOW:
        state_follow(s);
        break;

    case STATE_CANCEL:
        state_cancel(s);
        break;

    case STATE_DELETE:
        state_drop(s);
        break;

    default:
        state_get(s);
    }

    return 1;
}


/* What the edge wants; NULL: it makes no sense. */

static state_t *
state_read(job_t *job)
{
    size_t       i;
    json_t      *root;
    state_t     *s;
    const char  *what, *id, *after;

    s = calloc(1, sizeof(*s));
    root = json_loadb(job->body.data, job->body.len, 0, NULL);
    what = json_string_value(json_object_get(root, "do"));
    id = json_string_value(json_object_get(root, "id"));
    after = json_string_value(json_object_get(root, "after"));

    for (i = 0;
         what != NULL && i < STATE_WORDS && strcmp(what, state_words[i]) != 0;
         i++)
    {
        /* void */
    }

    /* Who may only read changes nothing. */

    if (s == NULL || what == NULL || i == STATE_WORDS || id == NULL
        || strlen(id) >= STORED_ID_MAX
        || (i >= STATE_CANCEL && !ai_str_eqz(job->spec.op,
                                             "responses_write")))
    {
        json_decref(root);
        free(s);
        return NULL;
    }

    s->job = job;
    s->what = (state_do_e) i;
    memcpy(s->id, id, strlen(id) + 1);
    s->limit = (int) json_integer_value(json_object_get(root, "limit"));
    s->limit = s->limit < 1 ? 20 : s->limit > STATE_LIST_MAX ? STATE_LIST_MAX
               : s->limit;
    s->from = -1;

    if (json_is_integer(json_object_get(root, "from"))) {
        s->from = json_integer_value(json_object_get(root, "from"));
    }

    s->ascending = json_is_true(json_object_get(root, "ascending"));

    if (after != NULL && strlen(after) < STORED_ID_MAX) {
        memcpy(s->after, after, strlen(after) + 1);
    }

    if (stored_ours((ai_str_t) { strlen(id), id })) {
        memcpy(s->target, "job_", 4);
        memcpy(s->target + 4, id + 5, AI_JOB_ID_LEN - 4);
    }

    json_decref(root);

    return s;
}


int
state_query(state_t *s, const char *sql, db_result_pt cb)
{
    int          rc;
    char        *tenant;
    const char  *argv[3];

    tenant = strndup(s->job->spec.tenant.data, s->job->spec.tenant.len);
    rc = -1;

    if (tenant != NULL) {
        argv[0] = tenant;
        argv[1] = stored_owner(s->job);
        argv[2] = s->id;
        rc = stores_query(s->job->w->stores, cb, s, sql, 3, argv);
    }

    free(tenant);

    return rc;
}


void
state_free(state_t *s)
{
    free(s->input);

    if (s->timed) {
        uv_close((uv_handle_t *) &s->timer, state_on_closed);

    } else {
        free(s);
    }
}


static void
state_on_closed(uv_handle_t *handle)
{
    free(handle->data);
}


int
state_alive(state_t *s)
{
    job_t  *job;

    job = s->job;

    if (job->state == JOB_PREPARING) {
        return 1;
    }

    state_free(s);
    job_unref(job);

    return 0;
}


int
state_mine(const state_t *s, ai_str_t user)
{
    const char  *owner;

    owner = stored_owner(s->job);

    return owner[0] == '\0' || ai_str_eqz(user, owner);
}


void
state_end(state_t *s, int status, json_t *body)
{
    char  *text;

    text = json_dumps(body, JSON_COMPACT);
    json_decref(body);

    if (text == NULL) {
        state_away(s);
        return;
    }

    state_say(s, status, (ai_str_t) { strlen(text), text });
    free(text);
}


static void
state_say(state_t *s, int status, ai_str_t text)
{
    job_t  *job;

    job = s->job;
    state_answer(job, status, text, s->where[0] != '\0' ? s->where : NULL);
    state_free(s);
    job_unref(job);
}


void
state_answer(job_t *job, int status, ai_str_t text, const char *where)
{
    int       rc;
    ai_str_t  piece;

    job->route.provider = ai_str("");
    job->route.model = ai_str("");
    job_move(job, JOB_CALLING);
    job->heard_msec = uv_now(&job->w->loop.uv);
    answer_init(&job->answer, job->emit, &provider_openai, job->dialect,
                &job->route);
    job->has_answer = 1;
    answer_header(&job->answer, ai_str("content-type"),
                  ai_str("application/json"));

    if (where != NULL) {
        answer_say(&job->answer, ai_str("location"),
                   (ai_str_t) { strlen(where), where });
    }

    answer_head(&job->answer, status);

    for (rc = 0; rc == 0 && text.len != 0; text.len -= piece.len) {
        piece.data = text.data;
        piece.len = text.len < STATE_PIECE ? text.len : STATE_PIECE;
        text.data += piece.len;
        rc = answer_bytes(&job->answer, piece);
    }

    if (rc != 0) {
        job_fail(job, "internal", NULL);

    } else {
        job_done(job);
    }
}


void
state_missing(state_t *s)
{
    char  why[STORED_ID_MAX + 64];

    snprintf(why, sizeof(why), "Response with id '%s' not found.", s->id);

    state_end(s, 404, json_pack("{s:{s:s, s:s, s:n, s:n}}", "error", "message",
                                why, "type", "invalid_request_error", "param",
                                "code"));
}


void
state_away(state_t *s)
{
    job_t  *job;

    job = s->job;
    state_free(s);
    job_fail(job, "unavailable", NULL);
    job_unref(job);
}


static void
state_get(state_t *s)
{
    if (stores_away(s->job->w->stores)
        || state_query(s, "SELECT input, response FROM ngxai.response_get($1, "
                       "$2, $3)", state_on_get)
        != 0)
    {
        state_park(s, 1);
    }
}


/* It may wait for Postgres, which may be away. */

static void
state_park(state_t *s, int away)
{
    s->away = away ? 1 : 0;

    if (parked_read(s->job, s->id, state_on_parked, s) != 0) {
        state_away(s);
    }
}


static void
state_on_get(db_t *db, const PGresult *res, void *data)
{
    state_t  *s;

    (void) db;

    s = data;

    if (!state_alive(s)) {
        return;
    }

    if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK) {
        state_park(s, 1);

    } else if (PQntuples(res) != 0) {
        state_found(s, (ai_str_t) { (size_t) PQgetlength(res, 0, 0),
                                    PQgetvalue(res, 0, 0) },
                    (ai_str_t) { (size_t) PQgetlength(res, 0, 1),
                                 PQgetvalue(res, 0, 1) });

    } else {
        state_park(s, 0);
    }
}


static void
state_on_parked(redis_t *rc, ai_resp_t *reply, void *data)
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

    } else if (parked_item(reply, PARKED_RESPONSE, &response)
               && state_mine(s, redis_str(redis_item(reply, PARKED_OWNER))))
    {
        state_found(s, redis_str(redis_item(reply, PARKED_INPUT)),
                    response);

    } else if (s->away) {
        state_away(s);

    } else {
        state_look(s);
    }
}


/* What was said is said again as it was, to the byte. */

static void
state_found(state_t *s, ai_str_t input, ai_str_t response)
{
    if (s->what != STATE_ITEMS) {
        state_say(s, 200, response);
        return;
    }

    s->input_len = input.len + 2;
    s->input = malloc(s->input_len);

    if (s->input == NULL) {
        state_away(s);
        return;
    }

    s->input[0] = '[';
    memcpy(s->input + 1, input.len != 0 ? input.data : "", input.len);
    s->input[input.len + 1] = ']';
    s->work.data = s;

    if (s->input_len <= STATE_LOOP_MAX
        || uv_queue_work(&s->job->w->loop.uv, &s->work, state_list,
                         state_on_list)
           != 0)
    {
        state_list(&s->work);
        state_on_list(&s->work, 0);
    }
}


static void
state_list(uv_work_t *work)
{
    state_t  *s;

    s = work->data;
    s->list = state_items(s);
}


static void
state_on_list(uv_work_t *work, int status)
{
    json_t   *list;
    state_t  *s;

    s = work->data;
    list = s->list;

    if (!state_alive(s)) {
        json_decref(list);

    } else if (status != 0 || list == NULL) {
        json_decref(list);
        state_away(s);

    } else {
        state_end(s, 200, list);
    }
}


/* Redis. */

/* The stream of a response that is not named after its job lies there. */

static void
state_follow(state_t *s)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[2];

    argv[0] = ai_str("GET");
    argv[1].data = key;
    argv[1].len = stored_key(s->job, (ai_str_t) { strlen(s->id), s->id }, key,
                             sizeof(key));

    if (argv[1].len == 0
        || redis_command(s->job->w->redis, state_on_follow, s, 2, argv) != 0)
    {
        state_away(s);
    }
}


static void
state_on_follow(redis_t *rc, ai_resp_t *reply, void *data)
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
        state_missing(s);

    } else {
        snprintf(s->where, sizeof(s->where), "resp_%.*s?stream=true",
                 AI_JOB_ID_LEN - 4, id.data + 4);

        if (s->from >= 0) {
            snprintf(s->where + strlen(s->where),
                     sizeof(s->where) - strlen(s->where),
                     "&starting_after=%lld", (long long) s->from);
        }

        state_end(s, 307, json_object());
    }
}


static void
state_cancel(state_t *s)
{
    job_t     *job;
    ai_str_t   argv[7];

    job = s->job;

    if (s->target[0] == '\0') {
        state_get(s);
        return;
    }

    argv[0] = (ai_str_t) { AI_JOB_ID_LEN, s->target };
    argv[1] = job->spec.tenant;
    argv[2] = ai_str("client");
    argv[3] = ai_str("now");
    argv[4] = ai_str("cancelled");
    argv[5] = ai_str("");
    argv[6].data = stored_owner(job);
    argv[6].len = strlen(argv[6].data);

    if (redis_script(job->w->redis, AI_SCRIPT_CANCEL,
                     worker_prefix(job->shard), state_on_cancel, s, 7, argv)
        != 0)
    {
        state_away(s);
    }
}


static void
state_on_cancel(redis_t *rc, ai_resp_t *reply, void *data)
{
    state_t  *s;

    (void) rc;

    s = data;

    if (!state_alive(s)) {
        return;
    }

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        state_away(s);
        return;
    }

    s->cancelled = redis_word(reply, "CANCELLED")
                   || redis_word(reply, "CANCELLING");
    state_get(s);
}


static void
state_look(state_t *s)
{
    char       key[AI_KEY_MAX];
    job_t     *job;
    ai_str_t   argv[5];

    job = s->job;

    if (s->target[0] == '\0') {
        state_missing(s);
        return;
    }

    argv[0] = ai_str("HMGET");
    argv[1].data = key;
    argv[1].len = ai_keys_make(key, sizeof(key), AI_KEY_JOB, job->shard,
                               (ai_str_t) { AI_JOB_ID_LEN, s->target });
    argv[2] = ai_str("tenant");
    argv[3] = ai_str("state");
    argv[4] = ai_str("spec");

    if (redis_command(job->w->redis, state_on_look, s, 5, argv) != 0) {
        state_away(s);
    }
}


static void
state_on_look(redis_t *rc, ai_resp_t *reply, void *data)
{
    job_t       *job;
    state_t     *s;
    ai_str_t     tenant, state;
    ai_job_t     spec;
    const char  *status;

    (void) rc;

    s = data;

    if (!state_alive(s)) {
        return;
    }

    job = s->job;

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        state_away(s);
        return;
    }

    tenant = redis_str(redis_item(reply, 0));
    state = redis_str(redis_item(reply, 1));

    /* What is not to be stored can be found by nobody. */

    if (!ai_str_eq(tenant, job->spec.tenant)
        || ai_job_parse(redis_str(redis_item(reply, 2)), &spec) != 0
        || !ai_str_eqz(spec.op, "responses")
        || (!spec.background && !spec.resumable)
        || !state_mine(s, spec.user))
    {
        state_missing(s);
        return;
    }

    /* It ended between our two questions. */

    if (ai_str_eqz(state, "done") && !s->again) {
        s->again = 1;
        state_get(s);
        return;
    }

    status = s->cancelled ? "cancelled"
             : ai_str_eqz(state, "waiting") ? "queued"
             : ai_str_eqz(state, "running") ? "in_progress"
             : ai_str_eqz(state, "cancelled") ? "cancelled"
             : ai_str_eqz(state, "failed") ? "failed" : NULL;

    if (status == NULL) {
        state_missing(s);

    } else if (s->what == STATE_ITEMS) {
        state_end(s, 200, json_pack("{s:s, s:[], s:n, s:n, s:b}", "object",
                                    "list", "data", "first_id", "last_id",
                                    "has_more", 0));
    } else {
        state_end(s, 200, state_made(s, &spec, status));
    }
}


/* What is known of one without an answer. */

static json_t *
state_made(const state_t *s, const ai_job_t *spec, const char *status)
{
    json_t  *error;

    error = strcmp(status, "failed") == 0
            ? json_pack("{s:s, s:s}", "code", "server_error", "message",
                        "The response has failed.")
            : json_null();

    return json_pack("{s:s, s:s, s:I, s:s, s:b, s:o, s:n, s:n, s:n, s:{}, "
                     "s:s%, s:[], s:b, s:n, s:{s:n, s:n}, s:b, s:f, "
                     "s:{s:{s:s}}, s:s, s:[], s:f, s:s, s:n}",
                     "id", s->id, "object", "response", "created_at",
                     (json_int_t) (ai_id_job_msec(spec->id) / 1000),
                     "status", status, "background", (int) spec->background,
                     "error", error, "incomplete_details", "instructions",
                     "max_output_tokens", "metadata", "model",
                     spec->model.data, spec->model.len, "output",
                     "parallel_tool_calls", 1, "previous_response_id",
                     "reasoning", "effort", "summary", "store", 1,
                     "temperature", 1.0, "text", "format", "type", "text",
                     "tool_choice", "auto", "tools", "top_p", 1.0,
                     "truncation", "disabled", "usage");
}
