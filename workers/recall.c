/*
 * What an earlier attempt of a job said, read back from its log: provider and
 * model from its head, tokens from its data as if it came just now, prices
 * from the job's catalog.  Owns the names of provider and model.
 */

#include "recall.h"
#include "job_in.h"
#include "paid.h"

#include <stdlib.h>
#include <string.h>


#define RECALL_PAGE   "8"           /* entries of at most 64 KB */
#define RECALL_COUNT  8
#define RECALL_TRIES  50            /* errors of Redis, one a tick */


struct recall_s {
    char      last[AI_EVENT_ID_MAX];        /* read so far; empty: nothing */
    char     *names;
    ai_str_t  provider;
    ai_str_t  model;
    unsigned  tries;
    unsigned  sized:1;              /* the request's length is known */
    unsigned  own:1;                /* called with the tenant's own key */
    unsigned  read:1;               /* all of the log */
    unsigned  priced:1;             /* the catalog is here, or will not be */
};


static void recall_on_catalog(catalog_t *c, void *data);
static int recall_ask(job_t *job);
static void recall_on_reply(redis_t *rc, ai_resp_t *reply, void *data);
static void recall_page(job_t *job, const ai_resp_t *reply);
static int recall_entry(job_t *job, const ai_resp_t *entry);
static int recall_head(job_t *job, ai_str_t record);
static int recall_names(recall_t *r, ai_str_t provider, ai_str_t model);
static void recall_done(job_t *job);


void
recall_begin(job_t *job)
{
    job->unknown = 1;
    job->recall = calloc(1, sizeof(*job->recall));
    job_move(job, JOB_RECALLING);

    if (job->recall == NULL) {
        job_end(job, job->ending_state, job->ending, NULL);
        return;
    }

    job->wait.done = recall_on_catalog;
    job->wait.data = job;
    job->wait.shard = job->shard;
    job->wait.edge = job->spec.edge;

    job_ref(job);
    catalog_get(job->w->catalogs, job->spec.catalog, &job->wait);
    recall_kick(job);
    job_unref(job);
}


void
recall_free(job_t *job)
{
    if (job->recall != NULL) {
        free(job->recall->names);
        free(job->recall);
        job->recall = NULL;
    }
}


static void
recall_on_catalog(catalog_t *c, void *data)
{
    job_t  *job;

    job = data;
    job->catalog = c;
    job->recall->priced = 1;
    recall_done(job);
}


void
recall_kick(job_t *job)
{
    if (job->state == JOB_RECALLING && !job->waiting && !job->recall->read
        && recall_ask(job) == 0)
    {
        job->waiting = 1;
        job_ref(job);
    }
}


static int
recall_ask(job_t *job)
{
    char       key[AI_KEY_MAX], from[AI_EVENT_ID_MAX + 1];
    ai_str_t   argv[6], id;
    recall_t  *r;

    r = job->recall;
    id = (ai_str_t) { AI_JOB_ID_LEN, job->id };
    argv[1].data = key;

    if (!r->sized) {
        argv[0] = ai_str("HMGET");
        argv[1].len = ai_keys_make(key, sizeof(key), AI_KEY_JOB, job->shard,
                                   id);
        argv[2] = ai_str("bytes");
        argv[3] = ai_str("paid");

        return redis_command(job->w->redis, recall_on_reply, job, 4, argv);
    }

    from[0] = r->last[0] != '\0' ? '(' : '-';
    memcpy(from + 1, r->last, sizeof(r->last));

    argv[0] = ai_str("XRANGE");
    argv[1].len = ai_keys_make(key, sizeof(key), AI_KEY_EV, job->shard, id);
    argv[2] = (ai_str_t) { strlen(from), from };
    argv[3] = ai_str("+");
    argv[4] = ai_str("COUNT");
    argv[5] = ai_str(RECALL_PAGE);

    return redis_command(job->w->redis, recall_on_reply, job, 6, argv);
}


static void
recall_on_reply(redis_t *rc, ai_resp_t *reply, void *data)
{
    job_t     *job;
    int64_t    n;
    recall_t  *r;

    (void) rc;

    job = data;
    job->waiting = 0;
    r = job->recall;

    if (job->state != JOB_RECALLING || reply == NULL) {
        job_unref(job);
        return;
    }

    if (reply->type == AI_RESP_ERROR) {
        r->read = ++r->tries == RECALL_TRIES;

    } else if (!r->sized) {
        r->sized = 1;

        if (redis_int(redis_item(reply, 0), &n) == 0 && n >= 0) {
            job->body = (ai_str_t) { (size_t) n, "" };
        }

        paid_read(job, redis_str(redis_item(reply, 1)));

        recall_kick(job);

    } else {
        recall_page(job, reply);
        recall_kick(job);
    }

    recall_done(job);
    job_unref(job);
}


static void
recall_page(job_t *job, const ai_resp_t *reply)
{
    size_t     i;
    ai_str_t   last;
    recall_t  *r;

    r = job->recall;

    for (i = 0; i < reply->elements; i++) {
        last = redis_str(redis_item(redis_item(reply, i), 0));

        if (last.len >= AI_EVENT_ID_MAX
            || recall_entry(job, redis_item(reply, i)) != 0)
        {
            r->read = 1;
            return;
        }

        memcpy(r->last, last.data, last.len);
        r->last[last.len] = '\0';
    }

    r->read = reply->elements < RECALL_COUNT;
}


/* -1: what follows is of no use. */

static int
recall_entry(job_t *job, const ai_resp_t *entry)
{
    size_t            i;
    ai_str_t          type, payload;
    const ai_resp_t  *fields;

    fields = redis_item(entry, 1);

    if (fields == NULL || fields->type != AI_RESP_ARRAY) {
        return -1;
    }

    for (i = 0; i + 1 < fields->elements; i += 2) {
        type = redis_str(redis_item(fields, i));
        payload = redis_str(redis_item(fields, i + 1));

        if (type.len != 1) {
            return -1;
        }

        switch (type.data[0]) {

        case AI_EVENT_HEAD:
            if (job->has_answer || recall_head(job, payload) != 0) {
                return -1;
            }

            break;

        case AI_EVENT_DATA:
        case AI_EVENT_CONTINUE:
            if (!job->has_answer || answer_bytes(&job->answer, payload) != 0) {
                return -1;
            }

            break;

        default:
            break;
        }
    }

    return 0;
}


static int
recall_head(job_t *job, ai_str_t record)
{
    int64_t      status;
    ai_str_t     name, value, provider, model;
    const char  *colon;

    if (ai_record_get(record, "provider", &provider) != 1
        || ai_record_get(record, "model", &model) != 1
        || ai_record_get(record, "status", &value) != 1
        || ai_str_int(value, &status) != 0 || status < 100 || status > 999
        || recall_names(job->recall, provider, model) != 0)
    {
        return -1;
    }

    job->recall->own = ai_record_get(record, "own_key", &value) == 1
                       && ai_str_eqz(value, "1");
    job->route.provider = job->recall->provider;
    job->route.model = job->recall->model;
    job->provider = provider_of(job->dialect);
    job->provider = provider_for((ai_str_t) { strlen(job->provider->api),
                                              job->provider->api },
                                 job->spec.op);
    answer_init(&job->answer, NULL, job->provider, job->dialect, &job->route);
    answer_head(&job->answer, (int) status);

    /* A body of which only the first part is there cannot be parsed. */

    job->answer.unread = 1;
    job->has_answer = 1;
    job->ever_called = 1;
    job->calls = 1;
    job->asked = 1;
    job->unknown = 0;

    while (ai_record_next(&record, &name, &value) == 1) {
        if (!ai_str_eqz(name, "header")
            || (colon = memchr(value.data, ':', value.len)) == NULL)
        {
            continue;
        }

        name = (ai_str_t) { (size_t) (colon - value.data), value.data };
        value.data = colon + 1;
        value.len -= name.len + 1;

        if (value.len != 0 && value.data[0] == ' ') {
            value.data++;
            value.len--;
        }

        answer_header(&job->answer, name, value);
    }

    return 0;
}


static int
recall_names(recall_t *r, ai_str_t provider, ai_str_t model)
{
    r->names = malloc(provider.len + model.len + 1);
    if (r->names == NULL) {
        return -1;
    }

    memcpy(r->names, provider.data, provider.len);
    memcpy(r->names + provider.len, model.data, model.len);
    r->provider = (ai_str_t) { provider.len, r->names };
    r->model = (ai_str_t) { model.len, r->names + provider.len };

    return 0;
}


static void
recall_done(job_t *job)
{
    recall_t  *r;

    r = job->recall;

    if (job->state != JOB_RECALLING || !r->read || !r->priced) {
        return;
    }

    if (job->has_answer
        && (job->catalog == NULL
            || catalog_call(job->catalog, r->provider, r->model, &job->route)
               != 0))
    {
        ai_price_init(&job->route.price);
    }

    job->own_key = r->own;
    job_end(job, job->ending_state, job->ending, NULL);
}
