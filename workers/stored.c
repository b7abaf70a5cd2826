/*
 * Responses in Postgres: what a job stores and stands on.  Owns of each job its
 * input and the last words of its stream.
 */

#include "body.h"
#include "parked.h"
#include "stored_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"
#include "ai_json.h"
#include "ai_role.h"


#define STORED_WAITS_MAX  10            /* looks at what is not stored yet */
#define STORED_SAID_HEAD  256           /* bytes in which an event's type is */


static int stored_id(char *to, ai_str_t body, const ai_json_field_t *f);
static int stored_input(stored_t *s, ai_str_t body, const ai_json_field_t *f);
static void stored_on_chain(db_t *db, const PGresult *res, void *data);
static void stored_chain(out_t *o, const PGresult *res);
static void stored_elements(out_t *o, ai_str_t text);
static int stored_ask(job_t *job);
static void stored_again(void *data);
static int stored_park(stored_t *s);
static void stored_on_put(db_t *db, const PGresult *res, void *data);
static void stored_over(stored_t *s);


enum {
    STORED_INPUT = 0, STORED_PREVIOUS, STORED_CONVERSATION, STORED_STORE,
    STORED_BACKGROUND
};
static const char *const  stored_names[] = {
    "input", "previous_response_id", "conversation", "store", "background",
    NULL
};


/* What a request says. */

int
stored_open(job_t *job)
{
    ai_str_t    body;
    stored_t   *s;
    ai_json_t   j;

    body = job->body;

    if (ai_json_scan(&j, stored_names, body, PROVIDER_BODY_MAX,
                     PROVIDER_DEPTH_MAX)
        != AI_JSON_OK)
    {
        return 0;
    }

    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return -1;
    }

    job->response = s;
    s->job = job;
    s->store = j.fields[STORED_STORE].type != AI_JSON_FALSE;
    s->background = j.fields[STORED_BACKGROUND].type == AI_JSON_TRUE;

    s->invalid = stored_id(s->previous, body, &j.fields[STORED_PREVIOUS]) != 0
                 || stored_id(s->conversation, body,
                              &j.fields[STORED_CONVERSATION])
                    != 0;

    return s->store ? stored_input(s, body, &j.fields[STORED_INPUT]) : 0;
}


void
stored_free(stored_t *s)
{
    if (s != NULL) {
        items_free(&s->items);
        free(s->input);
        free(s->said);
        free(s);
    }
}


/* A string, or an object with one. */

static int
stored_id(char *to, ai_str_t body, const ai_json_field_t *f)
{
    size_t          i;
    ai_str_t        text;
    ai_json_type_e  type;

    text = (ai_str_t) { f->end - f->start, body.data + f->start };

    if (f->type == AI_JSON_NONE || f->type == AI_JSON_NULL) {
        return 0;
    }

    if (f->type == AI_JSON_OBJECT
        && (ai_json_path(text, "id", &text, &type) != 1
            || type != AI_JSON_STRING))
    {
        return -1;
    }

    if ((f->type != AI_JSON_STRING && f->type != AI_JSON_OBJECT)
        || text.len < 3 || text.len - 2 >= STORED_ID_MAX)
    {
        return -1;
    }

    for (i = 1; i < text.len - 1; i++) {
        if (strchr(STORED_ID_CHARS, text.data[i]) == NULL
            || text.data[i] == '\0')
        {
            return -1;
        }
    }

    memcpy(to, text.data + 1, text.len - 2);
    to[text.len - 2] = '\0';

    return 0;
}


static int
stored_input(stored_t *s, ai_str_t body, const ai_json_field_t *f)
{
    out_t     o;
    ai_str_t  text;

    memset(&o, 0, sizeof(o));
    text = (ai_str_t) { f->end - f->start, body.data + f->start };

    if (f->type == AI_JSON_ARRAY) {
        stored_elements(&o, text);

    } else if (f->type == AI_JSON_STRING) {
        out_z(&o, "{\"type\":\"message\",\"role\":\"user\",\"content\":"
                  "[{\"type\":\"input_text\",\"text\":");
        out_add(&o, text);
        out_z(&o, "}]}");
    }

    s->input = o.data;
    s->input_len = o.len;

    return o.failed ? -1 : 0;
}


/* Of an array, behind what is there. */

static void
stored_elements(out_t *o, ai_str_t text)
{
    while (text.len != 0 && (*text.data == '[' || *text.data <= ' ')) {

        if (*text.data == '[') {
            text.data++;
            text.len--;
            break;
        }

        text.data++;
        text.len--;
    }

    while (text.len != 0 && text.data[text.len - 1] <= ' ') {
        text.len--;
    }

    if (text.len != 0) {
        text.len--;
    }

    while (text.len != 0 && *text.data <= ' ') {
        text.data++;
        text.len--;
    }

    while (text.len != 0 && text.data[text.len - 1] <= ' ') {
        text.len--;
    }

    if (text.len == 0) {
        return;
    }

    if (o->len != 0 && o->data[o->len - 1] != '[') {
        out_z(o, ",");
    }

    out_add(o, text);
}


int
stored_ours(ai_str_t id)
{
    char  job[AI_JOB_ID_LEN];

    if (id.len != AI_JOB_ID_LEN + 1 || memcmp(id.data, "resp_", 5) != 0) {
        return 0;
    }

    memcpy(job, "job_", 4);
    memcpy(job + 4, id.data + 5, AI_JOB_ID_LEN - 4);

    return ai_id_job_ok((ai_str_t) { AI_JOB_ID_LEN, job });
}


int
stored_bound(const stored_t *s, int same)
{
    if (s->background || s->conversation[0] != '\0' || s->invalid) {
        return 1;
    }

    return s->previous[0] != '\0'
           && (!same || stored_ours((ai_str_t) { strlen(s->previous),
                                                 s->previous }));
}


const char *
stored_owner(const job_t *job)
{
    static char  owner[AI_JOB_TEXT_MAX + 1];

    switch (ai_role_find(job->spec.role)) {

    case AI_ROLE_TENANT_ADMIN:
    case AI_ROLE_PLATFORM_ADMIN:
        return "";

    default:
        break;
    }

    if (job->spec.user.len > AI_JOB_TEXT_MAX) {
        return "";
    }

    if (job->spec.user.len != 0) {
        memcpy(owner, job->spec.user.data, job->spec.user.len);
    }

    owner[job->spec.user.len] = '\0';

    return owner;
}


char *
stored_z(ai_str_t s)
{
    return strndup(s.len != 0 ? s.data : "", s.len);
}


/* What it stands on. */

int
stored_expand(job_t *job)
{
    stored_t  *s;

    s = job->response;

    if (s->invalid) {
        job_fail(job, "bad_request", "What the response stands on is no id.");
        return -1;
    }

    if (s->conversation[0] != '\0') {

        if (s->previous[0] != '\0') {
            job_fail(job, "bad_request", "Mutually exclusive parameters: give "
                     "'previous_response_id' or 'conversation', not both.");
            return -1;
        }

        return converse_begin(s);
    }

    if (s->previous[0] == '\0') {
        return 0;
    }

    if (stored_ask(job) != 0) {
        job_fail(job, "unavailable", NULL);
        return -1;
    }

    return 1;
}


static int
stored_ask(job_t *job)
{
    int          rc;
    char        *tenant, most[16], bytes[16];
    const char  *argv[5];

    tenant = stored_z(job->spec.tenant);
    rc = -1;

    if (tenant != NULL) {
        snprintf(most, sizeof(most), "%d", STORED_CHAIN_MAX + 1);
        snprintf(bytes, sizeof(bytes), "%d", STORED_BYTES_MAX);
        argv[0] = tenant;
        argv[1] = stored_owner(job);
        argv[2] = job->response->previous;
        argv[3] = most;
        argv[4] = bytes;
        rc = stores_query(job->w->stores, stored_on_chain, job,
                          "SELECT previous, input, response FROM "
                          "ngxai.response_chain($1, $2, $3, $4::integer,"
                          " $5::bigint)", 5, argv);
    }

    free(tenant);

    if (rc == 0) {
        job_ref(job);
    }

    return rc;
}


/* Postgres has been looked after. */

static void
stored_again(void *data)
{
    job_t  *job;

    job = data;

    if (job->state == JOB_PREPARING && stored_ask(job) != 0) {
        job_fail(job, "unavailable", NULL);
    }

    job_unref(job);
}


static void
stored_on_chain(db_t *db, const PGresult *res, void *data)
{
    job_t  *job;
    char    why[STORED_ID_MAX + 64];

    (void) db;

    job = data;

    if (job->state == JOB_PREPARING) {

        if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK) {
            job_fail(job, "unavailable", NULL);

        } else if (PQntuples(res) > STORED_CHAIN_MAX
                   || (PQntuples(res) != 0 && PQgetisnull(res, 0, 1)))
        {
            job_fail(job, "too_large", "What the response stands on is too "
                     "long: at most 1000 responses and 32 MB.");

        } else if (PQntuples(res) == 0
                   && job->response->waits++ < STORED_WAITS_MAX
                   && parked_wait(stores_parked(job->w->stores),
                                  stored_again, job))
        {
            return;

        } else if (PQntuples(res) == 0 || !PQgetisnull(res, 0, 0)) {
            snprintf(why, sizeof(why), "Previous response with id '%s' not "
                     "found.", job->response->previous);
            job_fail(job, "bad_request", why);

        } else {
            stored_join(job, stored_chain, res);
        }
    }

    job_unref(job);
}


/* Of each response what was asked and said. */

static void
stored_chain(out_t *o, const PGresult *res)
{
    int             i;
    ai_str_t        text, value;
    ai_json_type_e  type;

    for (i = 0; i < PQntuples(res); i++) {
        text = (ai_str_t) { (size_t) PQgetlength(res, i, 1),
                            PQgetvalue(res, i, 1) };

        if (text.len != 0) {
            out_item(o);
            out_add(o, text);
        }

        text = (ai_str_t) { (size_t) PQgetlength(res, i, 2),
                            PQgetvalue(res, i, 2) };

        if (ai_json_path(text, "output", &value, &type) == 1
            && type == AI_JSON_ARRAY)
        {
            stored_elements(o, value);
        }
    }
}


void
stored_join(job_t *job, stored_before_pt before, const PGresult *res)
{
    size_t                  at;
    out_t                   o;
    ai_json_t               j;
    const ai_json_field_t  *f;

    memset(&o, 0, sizeof(o));
    o.max = STORED_BYTES_MAX + job->body.len + 64;

    if (ai_json_scan(&j, stored_names, job->body, PROVIDER_BODY_MAX,
                     PROVIDER_DEPTH_MAX)
        != AI_JSON_OK)
    {
        job_fail(job, "internal", NULL);
        return;
    }

    f = &j.fields[STORED_INPUT];
    at = f->type == AI_JSON_NONE
         ? (size_t) ((const char *) memchr(job->body.data, '{', job->body.len)
                     - job->body.data) + 1
         : f->start;

    out_add(&o, (ai_str_t) { at, job->body.data });
    out_z(&o, f->type == AI_JSON_NONE ? "\"input\":[" : "[");
    before(&o, res);

    if (f->type == AI_JSON_STRING) {
        out_item(&o);
        out_z(&o, "{\"role\":\"user\",\"content\":");
        out_add(&o, (ai_str_t) { f->end - f->start,
                                 job->body.data + f->start });
        out_z(&o, "}");

    } else if (f->type == AI_JSON_ARRAY) {
        stored_elements(&o, (ai_str_t) { f->end - f->start,
                                         job->body.data + f->start });
    }

    out_z(&o, f->type == AI_JSON_NONE ? "]," : "]");
    at = f->type == AI_JSON_NONE ? at : f->end;
    out_add(&o, (ai_str_t) { job->body.len - at, job->body.data + at });

    if (o.failed) {
        job_fail(job, o.len + 1024 * 1024 >= o.max ? "too_large" : "internal",
                 NULL);
        out_free(&o);
        return;
    }

    if (body_whole(job, &o) != 0) {
        job_fail(job, "unavailable", NULL);
        out_free(&o);
        return;
    }

    job_expanded(job);
}


/* The answer. */

size_t
stored_key(const job_t *job, ai_str_t id, char *key, size_t size)
{
    char      text[AI_TENANT_MAX + STORED_ID_MAX + 2], hex[AI_SHA256_HEX];
    ai_buf_t  b;

    ai_buf_init(&b, text, sizeof(text));
    ai_buf_add_str(&b, job->spec.tenant);
    ai_buf_add_z(&b, " ");
    ai_buf_add_str(&b, id);

    if (b.full || ai_sha256_hex(hex, (ai_str_t) { ai_buf_len(&b), text })
                  != 0)
    {
        return 0;
    }

    return ai_keys_make(key, size, AI_KEY_RESPONSE, job->shard,
                        (ai_str_t) { AI_SHA256_HEX, hex });
}


/* A stream that passes has its provider's id: who comes back with that must
 * find its job. */

static void
stored_name(stored_t *s, ai_str_t bytes)
{
    char            key[AI_KEY_MAX];
    job_t          *job;
    ai_str_t        event, data, id, argv[5];
    ai_json_type_e  type;

    job = s->job;

    if (job->translate != NULL
        || !provider_data(bytes, &event, &data)
        || ai_json_path(data, "response.id", &id, &type) != 1
        || type != AI_JSON_STRING || id.len < 3
        || id.len - 2 >= STORED_ID_MAX)
    {
        return;
    }

    s->named = 1;
    id.data++;
    id.len -= 2;

    argv[0] = ai_str("SET");
    argv[1].data = key;
    argv[1].len = stored_key(job, id, key, sizeof(key));
    argv[2] = (ai_str_t) { AI_JOB_ID_LEN, job->id };
    argv[3] = ai_str("PX");
    argv[4] = ai_str(STORED_NAME_MSEC);

    if (argv[1].len != 0) {
        (void) redis_command(job->w->redis, NULL, NULL, 5, argv);
    }
}


void
stored_bytes(stored_t *s, ai_str_t bytes)
{
    char            *said;
    ai_str_t         head, event, data, response;
    ai_json_type_e   type;

    head = bytes;
    head.len = head.len < STORED_SAID_HEAD ? head.len : STORED_SAID_HEAD;

    if (s->store && !s->named) {
        stored_name(s, bytes);
    }

    if (!s->store || bytes.len > STORED_MAX
        || !(provider_has(head, "response.completed")
             || provider_has(head, "response.incomplete")
             || provider_has(head, "response.failed"))
        || !provider_data(bytes, &event, &data)
        || ai_json_path(data, "response", &response, &type) != 1
        || type != AI_JSON_OBJECT)
    {
        return;
    }

    said = malloc(response.len + 1);

    if (said != NULL) {
        memcpy(said, response.data, response.len);
        said[response.len] = '\0';
        free(s->said);
        s->said = said;
        s->said_len = response.len;
    }
}


int
stored_put(job_t *job, ai_str_t whole)
{
    int             rc;
    stored_t       *s;
    ai_str_t        text;
    ai_json_type_e  type;

    s = job->response;

    if (!s->store || s->over || job->answer.status > 299) {
        return 0;
    }

    if (s->said == NULL && whole.len != 0 && whole.len <= STORED_MAX) {
        s->said = stored_z(whole);
        s->said_len = whole.len;
    }

    if (s->said == NULL
        || ai_json_path((ai_str_t) { s->said_len, s->said }, "id", &text,
                        &type)
           != 1
        || type != AI_JSON_STRING || text.len < 3
        || text.len - 2 >= STORED_ID_MAX)
    {
        if (s->conversation[0] == '\0') {
            log_job(LOG_WARN, "stored", job->spec.tenant, job->spec.id,
                    "the response is not stored: %s",
                    s->said == NULL ? "it is too large, or was not said"
                                    : "it has no id");
            return 0;
        }

        job_fail(job, "too_large", "The answer is larger than a conversation "
                 "takes.");
        return 1;
    }

    memcpy(s->id, text.data + 1, text.len - 2);
    s->id[text.len - 2] = '\0';

    job_ref(job);

    /* Who gives what was added again must not have said a part of it. */

    if (s->adds) {
        emit_hold(job->emit);
    }

    rc = s->adds ? converse_end(s)
         : stores_away(job->w->stores) ? -1 : stored_send(s);

    if (rc != 0) {
        stored_failed(s, "no Postgres", 1);
    }

    return 1;
}


int
stored_send(stored_t *s)
{
    int          rc;
    char        *tenant, *user, *input, *ids, *items, days[16];
    job_t       *job;
    const char  *argv[12];

    job = s->job;
    snprintf(days, sizeof(days), "%d", STORED_DAYS);

    tenant = stored_z(job->spec.tenant);
    user = stored_z(job->spec.user);
    input = stored_z((ai_str_t) { s->input_len, s->input });
    ids = items_array(&s->items.ids);
    items = items_array(&s->items.texts);
    rc = -1;

    if (tenant != NULL && user != NULL && input != NULL && ids != NULL
        && items != NULL)
    {
        argv[0] = tenant;
        argv[1] = user;
        argv[2] = s->id;
        argv[3] = s->previous[0] != '\0' ? s->previous : NULL;
        argv[4] = s->conversation[0] != '\0' ? s->conversation : NULL;
        argv[5] = input;
        argv[6] = s->said;
        argv[7] = days;
        argv[8] = s->conversation;
        argv[9] = job->id;
        argv[10] = ids;
        argv[11] = items;
        rc = stores_query(job->w->stores, stored_on_put, s,
                          s->adds
                          ? "SELECT ngxai.conversation_end($1, $9, $10, "
                            "$11::text[], $12::text[]), "
                            "ngxai.response_put($1, $2, $3, $4, $5, $6, $7, "
                            "$8::integer)"
                          : "SELECT ngxai.response_put($1, $2, $3, $4, $5, "
                            "$6, $7, $8::integer)", s->adds ? 12 : 8, argv);
    }

    free(tenant);
    free(user);
    free(input);
    free(ids);
    free(items);

    return rc;
}


static void
stored_on_put(db_t *db, const PGresult *res, void *data)
{
    job_t     *job;
    stored_t  *s;

    (void) db;

    s = data;
    job = s->job;

    if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK) {
        stored_failed(s, res == NULL ? "no answer"
                                     : PQresultErrorMessage(res),
                      parked_worth(res));
        return;
    }

    if (s->adds && strcmp(PQgetvalue(res, 0, 0), "ok") != 0) {
        log_job(LOG_WARN, "stored", job->spec.tenant, job->spec.id,
                "nothing is added to the conversation: %s",
                PQgetvalue(res, 0, 0));
    }

    stored_over(s);
}


/* To where it waits for Postgres: 0, or -1: there is no room. */

static int
stored_park(stored_t *s)
{
    int          rc;
    char        *tenant, *user, *input;
    const char  *argv[PARKED_PARAMS];

    tenant = stored_z(s->job->spec.tenant);
    user = stored_z(s->job->spec.user);
    input = stored_z((ai_str_t) { s->input_len, s->input });
    rc = -1;

    if (tenant != NULL && user != NULL && input != NULL) {
        argv[0] = tenant;
        argv[1] = user;
        argv[2] = s->id;
        argv[3] = s->previous[0] != '\0' ? s->previous : NULL;
        argv[4] = s->conversation[0] != '\0' ? s->conversation : NULL;
        argv[5] = input;
        argv[6] = s->said;
        argv[7] = NULL;
        rc = parked_put(s->job, argv);
    }

    free(tenant);
    free(user);
    free(input);

    return rc;
}


/* A response that is not stored is one still; a conversation that lacks it goes
 * wrong from there on. */

void
stored_failed(stored_t *s, const char *why, int worth)
{
    int     kept;
    job_t  *job;

    job = s->job;

    if (s->adds && s->rc == 0 && worth && job->state == JOB_READING
        && ++s->tries < STORED_TRIES && stored_send(s) == 0)
    {
        return;
    }

    kept = !s->adds && worth && stored_park(s) == 0;

    log_job(LOG_WARN, "stored", job->spec.tenant, job->spec.id,
            "the response is not stored%s: %.*s", kept ? " yet" : "",
            (int) strcspn(why, "\n"), why);

    if (s->adds && job->state == JOB_READING) {
        job_fail(job, worth ? "unavailable" : "bad_request",
                 worth ? "The conversation cannot be written to right now: "
                         "nothing was added to it."
                       : "The conversation cannot take it, an item's id may "
                         "be there by now: nothing was added to it.");
    }

    stored_over(s);
}


static void
stored_over(stored_t *s)
{
    job_t  *job;

    job = s->job;

    if (job->state == JOB_READING) {
        job_stored(job);
    }

    job_unref(job);
}
