/*
 * /v1/conversations: jobs that call no provider.  What is asked for stands in
 * the body, what the client sent in its member "with"; Postgres has the rest.
 */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "items.h"
#include "job_in.h"
#include "sign.h"
#include "stored.h"


#define CONVERSATION_PAGE   20          /* items, where nobody says */
#define CONVERSATION_LIST   100         /* and at most */
#define CONVERSATION_GIVEN  20          /* items that are added at once */
#define CONVERSATION_META   16          /* pairs, */
#define CONVERSATION_KEY    64          /* characters of a key */
#define CONVERSATION_VALUE  512         /* and of a value */


typedef enum {
    CONVERSATION_MAKE = 0,
    CONVERSATION_GET,
    CONVERSATION_SET,
    CONVERSATION_DROP,
    CONVERSATION_ADD,
    CONVERSATION_LISTED,
    CONVERSATION_ITEM,
    CONVERSATION_CUT,
    CONVERSATION_DOS
} conversation_do_e;

typedef struct {
    job_t             *job;
    conversation_do_e  what;
    char               id[STORED_ID_MAX];
    char               item[STORED_ID_MAX];
    char               after[STORED_ID_MAX];
    int                limit;
    int                rising;
    ai_str_t           given;           /* the array of items, in the body */
    char              *metadata;        /* as it is kept, NULL: not given */
    items_t            items;
    int                rc;
} conversation_t;


static int conversation_read(conversation_t *c);
static void conversation_id(ai_str_t text, const char *name, char *to);
static int conversation_given(conversation_t *c, ai_str_t with);
static int conversation_metadata(conversation_t *c, ai_str_t text);
static size_t conversation_chars(ai_str_t s);
static int conversation_refuse(conversation_t *c, const char *why);
static void conversation_work(uv_work_t *work);
static void conversation_worked(uv_work_t *work, int status);
static void conversation_ask(conversation_t *c);
static int conversation_query(conversation_t *c, const char *sql,
    int nargs, const char *const *more);
static void conversation_on_done(db_t *db, const PGresult *res, void *data);
static void conversation_say(conversation_t *c, const PGresult *res, out_t *o);
static void conversation_object(conversation_t *c, const char *metadata,
    const char *created, out_t *o);
static void conversation_page(conversation_t *c, const PGresult *res,
    out_t *o);
static void conversation_ends(out_t *o, const char *first, const char *last,
    int more);
static void conversation_missing(conversation_t *c, const char *what,
    const char *id);
static void conversation_free(conversation_t *c);


static const struct {
    const char *word;
    int         writes;
    const char *sql;
} conversation_dos[] = {
    [CONVERSATION_MAKE] = { "make", 1,
        "SELECT word, created FROM ngxai.conversation_make($1, $2, $3, $4, "
        "$5::integer, $6::text[], $7::text[])" },
    [CONVERSATION_GET] = { "get", 0,
        "SELECT kept, created FROM ngxai.conversation_get($1, $2, $3, NULL)" },
    [CONVERSATION_SET] = { "set", 1,
        "SELECT kept, created FROM ngxai.conversation_get($1, $2, $3, $4)" },
    [CONVERSATION_DROP] = { "drop", 1,
        "SELECT 1 WHERE ngxai.conversation_drop($1, $2, $3) <> 0" },
    [CONVERSATION_ADD] = { "add", 1,
        "SELECT word, what FROM ngxai.conversation_add($1, $2, $3, $4, "
        "$5::integer, $6::bigint, $7::text[], $8::text[])" },
    [CONVERSATION_LISTED] = { "list", 0,
        "SELECT item_id, item FROM ngxai.conversation_list($1, $2, $3, $4, "
        "$5::boolean, $6::integer)" },
    [CONVERSATION_ITEM] = { "item", 0,
        "SELECT kept, created, said FROM ngxai.conversation_item($1, $2, $3, "
        "$4, false)" },
    [CONVERSATION_CUT] = { "cut", 1,
        "SELECT kept, created, said FROM ngxai.conversation_item($1, $2, $3, "
        "$4, true)" }
};


void
conversation_begin(job_t *job)
{
    conversation_t  *c;

    c = calloc(1, sizeof(*c));

    if (c == NULL) {
        job_fail(job, "internal", NULL);
        return;
    }

    c->job = job;

    if (conversation_read(c) != 0) {
        conversation_free(c);
        return;
    }

    job_move(job, JOB_PREPARING);
    job_ref(job);

    job->work.data = c;

    if (job->body.len <= JOB_LOOP_MAX
        || uv_queue_work(&job->w->loop.uv, &job->work, conversation_work,
                         conversation_worked)
           != 0)
    {
        conversation_work(&job->work);
        conversation_worked(&job->work, 0);
    }
}


/* What the edge wants: 0, or -1: the job has failed. */

static int
conversation_read(conversation_t *c)
{
    int              what;
    job_t           *job;
    int64_t          limit;
    ai_str_t         text, word;
    ai_json_t        j;
    ai_json_type_e   type;

    job = c->job;

    if (ai_json_scan(&j, NULL, job->body, PROVIDER_BODY_MAX,
                     PROVIDER_DEPTH_MAX)
        != AI_JSON_OK
        || ai_json_path(job->body, "do", &word, &type) != 1
        || type != AI_JSON_STRING)
    {
        return conversation_refuse(c, NULL);
    }

    word = (ai_str_t) { word.len - 2, word.data + 1 };

    for (what = 0; what < CONVERSATION_DOS
                   && !ai_str_eqz(word, conversation_dos[what].word); what++)
    {
        /* void */
    }

    /* Who may only read changes nothing. */

    if (what == CONVERSATION_DOS
        || (conversation_dos[what].writes
            && !ai_str_eqz(job->spec.op, "conversations_write")))
    {
        return conversation_refuse(c, NULL);
    }

    c->what = (conversation_do_e) what;
    conversation_id(job->body, "id", c->id);
    conversation_id(job->body, "item", c->item);
    conversation_id(job->body, "after", c->after);

    if (c->what == CONVERSATION_MAKE) {
        snprintf(c->id, sizeof(c->id), "conv_%s", job->id + 4);
    }

    c->limit = CONVERSATION_PAGE;

    if (ai_json_path(job->body, "limit", &text, &type) == 1
        && ai_json_int(text, &limit) == 0 && limit > 0)
    {
        c->limit = limit < CONVERSATION_LIST ? (int) limit : CONVERSATION_LIST;
    }

    c->rising = ai_json_path(job->body, "ascending", &text, &type) == 1
                && type == AI_JSON_TRUE;

    if (ai_json_path(job->body, "with", &text, &type) == 1) {
        return conversation_given(c, text);
    }

    return 0;
}


static void
conversation_id(ai_str_t text, const char *name, char *to)
{
    ai_str_t        value;
    ai_json_type_e  type;

    if (ai_json_path(text, name, &value, &type) == 1 && type == AI_JSON_STRING
        && items_id_ok((ai_str_t) { value.len - 2, value.data + 1 }))
    {
        memcpy(to, value.data + 1, value.len - 2);
    }
}


/* What the client sent. */

static int
conversation_given(conversation_t *c, ai_str_t with)
{
    char            why[96];
    size_t          at, n;
    ai_str_t        text, item;
    ai_json_type_e  type;

    if (c->what == CONVERSATION_MAKE || c->what == CONVERSATION_SET) {

        if (ai_json_path(with, "metadata", &text, &type) == 1
            && type != AI_JSON_NULL)
        {
            if (conversation_metadata(c, text) != 0) {
                return -1;
            }

        } else if (c->what == CONVERSATION_SET
                   && ai_json_path(with, "metadata", &text, &type) != 1)
        {
            return conversation_refuse(c, "Missing required parameter: "
                                       "'metadata'.");

        } else if ((c->metadata = strdup("{}")) == NULL) {
            job_fail(c->job, "internal", NULL);
            return -1;
        }
    }

    if (c->what == CONVERSATION_SET) {
        return 0;
    }

    if (ai_json_path(with, "items", &text, &type) != 1
        || (c->what == CONVERSATION_MAKE && type == AI_JSON_NULL))
    {
        return c->what == CONVERSATION_MAKE ? 0
               : conversation_refuse(c, "Missing required parameter: "
                                     "'items'.");
    }

    if (type != AI_JSON_ARRAY) {
        return conversation_refuse(c, "The member \"items\" must be an "
                                   "array.");
    }

    at = 0;

    for (n = 0; ai_json_each(text, &at, &item, &type) == 1; n++) {
        /* void */
    }

    if (n > CONVERSATION_GIVEN) {
        snprintf(why, sizeof(why), "The member \"items\" has %zu elements: at "
                 "most %d are taken at once.", n, CONVERSATION_GIVEN);
        return conversation_refuse(c, why);
    }

    c->given = text;

    return 0;
}


static int
conversation_metadata(conversation_t *c, ai_str_t text)
{
    int          good;
    void        *i;
    json_t      *root, *value;
    ai_str_t     s;
    const char  *key;

    /* Six bytes say one of four, escaped. */

    root = text.len > CONVERSATION_META * 12
                      * (CONVERSATION_KEY + CONVERSATION_VALUE + 16)
           ? NULL : json_loadb(text.data, text.len, 0, NULL);
    good = json_is_object(root) && json_object_size(root) <= CONVERSATION_META;

    for (i = good ? json_object_iter(root) : NULL; i != NULL;
         i = json_object_iter_next(root, i))
    {
        key = json_object_iter_key(i);
        value = json_object_iter_value(i);
        s = (ai_str_t) { strlen(key), key };
        good &= conversation_chars(s) <= CONVERSATION_KEY
                && json_is_string(value);

        if (good) {
            s = (ai_str_t) { json_string_length(value),
                             json_string_value(value) };
            good = conversation_chars(s) <= CONVERSATION_VALUE;
        }
    }

    c->metadata = good ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);

    if (c->metadata == NULL) {
        return conversation_refuse(c, "The member \"metadata\" must be an "
                                   "object of at most 16 strings of at most "
                                   "512 characters, under keys of at most "
                                   "64.");
    }

    return 0;
}


static size_t
conversation_chars(ai_str_t s)
{
    size_t  i, n;

    for (i = 0, n = 0; i < s.len; i++) {
        n += ((unsigned char) s.data[i] & 0xC0) != 0x80;
    }

    return n;
}


static int
conversation_refuse(conversation_t *c, const char *why)
{
    job_fail(c->job, "bad_request", why);

    return -1;
}


static void
conversation_work(uv_work_t *work)
{
    conversation_t  *c;

    c = work->data;
    c->job->forged = !sign_body_ok(&c->job->spec, c->job->body);

    if (c->job->forged || c->given.len == 0) {
        return;
    }

    c->items.listed = 1;
    c->rc = items_add(&c->items, c->given,
                      (ai_str_t) { AI_JOB_ID_LEN - 4, c->job->id + 4 }, 'i');
}


static void
conversation_worked(uv_work_t *work, int status)
{
    job_t           *job;
    conversation_t  *c;

    (void) status;

    c = work->data;
    job = c->job;
    work->data = job;

    if (job->state == JOB_PREPARING && !job->forged && c->rc == 0) {
        conversation_ask(c);
        return;
    }

    if (job->state == JOB_PREPARING && job->forged) {
        job_forged(job);

    } else if (job->state == JOB_PREPARING) {
        job_fail(job, c->rc == -1 ? "bad_request" : "internal",
                 c->rc == -1 ? c->items.why : NULL);
    }

    conversation_free(c);
    job_unref(job);
}


static void
conversation_ask(conversation_t *c)
{
    int          rc;
    char        *ids, *texts, limit[16], most[16], bytes[16];
    job_t       *job;
    const char  *args[5];

    job = c->job;
    ids = items_array(&c->items.ids);
    texts = items_array(&c->items.texts);
    rc = -1;

    if (ids != NULL && texts != NULL) {
        snprintf(limit, sizeof(limit), "%d", c->limit);
        snprintf(most, sizeof(most), "%d",
                 c->what == CONVERSATION_MAKE ? STORED_CONVERSATIONS
                                              : STORED_ITEMS);
        snprintf(bytes, sizeof(bytes), "%d", STORED_ITEMS_BYTES);

        switch (c->what) {

        case CONVERSATION_MAKE:
            args[0] = c->metadata;
            args[1] = most;
            args[2] = ids;
            args[3] = texts;
            rc = conversation_query(c, c->id, 4, args);
            break;

        case CONVERSATION_ADD:
            args[0] = job->id;
            args[1] = most;
            args[2] = bytes;
            args[3] = ids;
            args[4] = texts;
            rc = conversation_query(c, c->id, 5, args);
            break;

        case CONVERSATION_LISTED:
            args[0] = c->after;
            args[1] = c->rising ? "true" : "false";
            args[2] = limit;
            rc = conversation_query(c, c->id, 3, args);
            break;

        default:
            args[0] = c->what == CONVERSATION_SET ? c->metadata : c->item;
            rc = conversation_query(c, c->id,
                                    c->what == CONVERSATION_GET
                                    || c->what == CONVERSATION_DROP ? 0 : 1,
                                    args);
        }
    }

    free(ids);
    free(texts);

    if (rc != 0) {
        conversation_free(c);
        job_fail(job, "unavailable", NULL);
        job_unref(job);
    }
}


/* After tenant, owner and id come what the statement has more. */

static int
conversation_query(conversation_t *c, const char *id, int nargs,
    const char *const *more)
{
    int          i, rc;
    char        *tenant;
    const char  *argv[STORES_PARAMS];

    tenant = strndup(c->job->spec.tenant.data, c->job->spec.tenant.len);

    if (tenant == NULL) {
        return -1;
    }

    argv[0] = tenant;
    argv[1] = stored_owner(c->job);
    argv[2] = id;

    for (i = 0; i < nargs; i++) {
        argv[3 + i] = more[i];
    }

    rc = stores_query(c->job->w->stores, conversation_on_done, c,
                      conversation_dos[c->what].sql, 3 + nargs, argv);
    free(tenant);

    return rc;
}


static void
conversation_on_done(db_t *db, const PGresult *res, void *data)
{
    out_t            o;
    job_t           *job;
    conversation_t  *c;

    (void) db;

    c = data;
    job = c->job;

    if (job->state == JOB_PREPARING) {

        if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK) {
            job_fail(job, "unavailable", NULL);

        } else if (PQntuples(res) == 0) {
            conversation_missing(c, "Conversation", c->id);

        } else {
            memset(&o, 0, sizeof(o));
            conversation_say(c, res, &o);
            out_free(&o);
        }
    }

    conversation_free(c);
    job_unref(job);
}


static void
conversation_say(conversation_t *c, const PGresult *res, out_t *o)
{
    char  why[ITEMS_ID_MAX + 96];

    switch (c->what) {

    case CONVERSATION_MAKE:

        if (strcmp(PQgetvalue(res, 0, 0), "ok") != 0) {
            snprintf(why, sizeof(why), "There are %d conversations already: "
                     "delete some.", STORED_CONVERSATIONS);
            job_fail(c->job, "bad_request", why);
            return;
        }

        conversation_object(c, c->metadata, PQgetvalue(res, 0, 1), o);
        break;

    case CONVERSATION_GET:
    case CONVERSATION_SET:
        conversation_object(c, PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1),
                            o);
        break;

    case CONVERSATION_DROP:
        out_open(o, '{');
        out_key_z(o, "id", c->id);
        out_key_z(o, "object", "conversation.deleted");
        out_key(o, "deleted");
        out_z(o, "true}");
        break;

    case CONVERSATION_ADD:

        if (strcmp(PQgetvalue(res, 0, 0), "full") == 0) {
            snprintf(why, sizeof(why), "The conversation is full: it takes %d "
                     "items, of %d bytes together.", STORED_ITEMS,
                     STORED_ITEMS_BYTES);
            job_fail(c->job, "bad_request", why);
            return;
        }

        if (strcmp(PQgetvalue(res, 0, 0), "ok") != 0) {
            snprintf(why, sizeof(why), "Duplicate item found with id '%s': it "
                     "is in the conversation already.", PQgetvalue(res, 0, 1));
            job_fail(c->job, "bad_request", why);
            return;
        }

        out_z(o, "{\"object\":\"list\",\"data\":[");
        out_add(o, (ai_str_t) { c->items.list.len, c->items.list.data });
        out_z(o, "]");
        conversation_ends(o, c->items.n != 0 ? c->items.first : NULL,
                          c->items.last, 0);
        break;

    case CONVERSATION_LISTED:
        conversation_page(c, res, o);
        break;

    default:

        if (PQgetisnull(res, 0, 2)) {
            conversation_missing(c, "Item", c->item);
            return;
        }

        if (c->what == CONVERSATION_CUT) {
            conversation_object(c, PQgetvalue(res, 0, 0),
                                PQgetvalue(res, 0, 1), o);
            break;
        }

        out_add(o, (ai_str_t) { (size_t) PQgetlength(res, 0, 2),
                                PQgetvalue(res, 0, 2) });
    }

    if (o->failed) {
        job_fail(c->job, "internal", NULL);

    } else {
        state_answer(c->job, 200, (ai_str_t) { o->len, o->data }, NULL);
    }
}


static void
conversation_object(conversation_t *c, const char *metadata,
    const char *created, out_t *o)
{
    out_open(o, '{');
    out_key_z(o, "id", c->id);
    out_key_z(o, "object", "conversation");
    out_key(o, "created_at");
    out_z(o, created);
    out_key(o, "metadata");
    out_z(o, metadata);
    out_close(o, '}');
}


/* A row more than a page has says that there is more; one of NULLs that there
 * is nothing. */

static void
conversation_page(conversation_t *c, const PGresult *res, out_t *o)
{
    int  i, n;

    n = PQgetisnull(res, 0, 0) ? 0 : PQntuples(res);
    n = n > c->limit ? c->limit : n;

    out_z(o, "{\"object\":\"list\",\"data\":[");

    for (i = 0; i < n; i++) {
        out_item(o);
        out_add(o, (ai_str_t) { (size_t) PQgetlength(res, i, 1),
                                PQgetvalue(res, i, 1) });
    }

    out_z(o, "]");

    conversation_ends(o, n != 0 ? PQgetvalue(res, 0, 0) : NULL,
                      n != 0 ? PQgetvalue(res, n - 1, 0) : NULL,
                      PQntuples(res) > c->limit);
}


/* first NULL: of an empty list. */

static void
conversation_ends(out_t *o, const char *first, const char *last, int more)
{
    if (first != NULL) {
        out_key_z(o, "first_id", first);
        out_key_z(o, "last_id", last);

    } else {
        out_z(o, ",\"first_id\":null,\"last_id\":null");
    }

    out_key(o, "has_more");
    out_z(o, more ? "true}" : "false}");
}


static void
conversation_missing(conversation_t *c, const char *what, const char *id)
{
    out_t  o;

    memset(&o, 0, sizeof(o));
    out_z(&o, "{\"error\":{\"message\":\"");
    out_z(&o, what);
    out_z(&o, " with id '");
    out_z(&o, id);
    out_z(&o, "' not found.\",\"type\":\"invalid_request_error\","
              "\"param\":null,\"code\":null}}");

    if (o.failed) {
        job_fail(c->job, "internal", NULL);

    } else {
        state_answer(c->job, 404, (ai_str_t) { o.len, o.data }, NULL);
    }

    out_free(&o);
}


static void
conversation_free(conversation_t *c)
{
    items_free(&c->items);
    free(c->metadata);
    free(c);
}
