/*
 * How jobs reach the worker.  Owns the looks at what it holds.
 */

#include "delivery.h"

#include <stdlib.h>
#include <string.h>

#include "ai_delivery.h"
#include "ai_keys.h"
#include "heartbeat.h"
#include "job.h"


/* A look at P held:<worker> of a shard, page by page. */
typedef struct {
    delivery_t *d;
    char        cursor[24];
    unsigned    beats;          /* in a row that showed more than we have */
    unsigned    asking:1;       /* a page is on its way */
    unsigned    again:1;        /* asked for meanwhile */
} delivery_look_t;

struct delivery_s {
    worker_t        *w;
    delivery_look_t  looks[WORKER_SHARDS_MAX];
};


static void delivery_begin(delivery_look_t *look);
static void delivery_ask(delivery_look_t *look);
static void delivery_on_page(redis_t *rc, ai_resp_t *reply, void *data);
static void delivery_found(delivery_look_t *look, ai_str_t member);


delivery_t *
delivery_open(worker_t *w)
{
    unsigned     i;
    delivery_t  *d;

    d = calloc(1, sizeof(*d));
    if (d == NULL) {
        return NULL;
    }

    d->w = w;

    for (i = 0; i < WORKER_SHARDS_MAX; i++) {
        d->looks[i].d = d;
    }

    return d;
}


void
delivery_free(delivery_t *d)
{
    free(d);
}


/* What cannot be read here, or kept, is found by a look. */

void
delivery_bell(delivery_t *d, unsigned shard, ai_str_t message)
{
    char           *text;
    ai_delivery_t   delivery;

    if (d->w->aborted) {
        return;
    }

    text = malloc(message.len);

    if (text == NULL) {
        log_write(LOG_ERROR, "delivery", "no memory for a job");
        return;
    }

    memcpy(text, message.data, message.len);

    if (ai_delivery_parse((ai_str_t) { message.len, text }, &delivery) != 0) {
        log_write(LOG_ERROR, "delivery", "a delivery is malformed");
        free(text);
        return;
    }

    jobs_deliver(d->w->jobs, shard, text, &delivery,
                 heartbeat_sure(d->w->heartbeat, shard));
}


void
delivery_look(delivery_t *d)
{
    unsigned  i;

    for (i = 0; i < d->w->shards; i++) {
        delivery_begin(&d->looks[i]);
    }
}


/* One beat may have crossed a bell or a settle. */

void
delivery_beat(delivery_t *d, unsigned shard, int64_t held)
{
    delivery_look_t  *look;

    look = &d->looks[shard];

    if (held <= (int64_t) jobs_held(d->w->jobs, shard)) {
        look->beats = 0;

    } else if (++look->beats == DELIVERY_BEATS_MAX) {
        look->beats = 0;
        delivery_begin(look);
    }
}


static void
delivery_begin(delivery_look_t *look)
{
    if (look->asking) {
        look->again = 1;
        return;
    }

    memcpy(look->cursor, "0", sizeof("0"));
    delivery_ask(look);
}


static void
delivery_ask(delivery_look_t *look)
{
    char       key[AI_KEY_MAX];
    worker_t  *w;

    w = look->d->w;
    ai_keys_make(key, sizeof(key), AI_KEY_HELD,
                 (unsigned) (look - look->d->looks),
                 (ai_str_t) { strlen(w->id), w->id });

    if (redis_commandf(w->redis, delivery_on_page, look,
                       "SSCAN %s %s COUNT %d", key, look->cursor,
                       (int64_t) DELIVERY_PAGE)
        == 0)
    {
        look->asking = 1;
    }
}


static void
delivery_on_page(redis_t *rc, ai_resp_t *reply, void *data)
{
    size_t             i;
    ai_str_t           cursor;
    const ai_resp_t  *members;
    delivery_look_t   *look;

    (void) rc;

    look = data;
    look->asking = 0;

    /* A new connection looks again. */

    if (reply == NULL) {
        look->again = 0;
        return;
    }

    cursor = redis_str(redis_item(reply, 0));
    members = redis_item(reply, 1);

    if (members != NULL && members->type == AI_RESP_ARRAY) {
        for (i = 0; i < members->elements; i++) {
            delivery_found(look, redis_str(&members->element[i]));
        }
    }

    if (cursor.len != 0 && cursor.len < sizeof(look->cursor)
        && !ai_str_eqz(cursor, "0"))
    {
        memcpy(look->cursor, cursor.data, cursor.len);
        look->cursor[cursor.len] = '\0';
        delivery_ask(look);
        return;
    }

    if (look->again) {
        look->again = 0;
        delivery_begin(look);
    }
}


/* "<job> <tenant>" */

static void
delivery_found(delivery_look_t *look, ai_str_t member)
{
    ai_str_t  id, tenant;

    id = (ai_str_t) { AI_JOB_ID_LEN, member.data };

    if (look->d->w->aborted) {
        return;
    }

    if (member.len > AI_JOB_ID_LEN && ai_id_job_ok(id)) {
        tenant = (ai_str_t) { member.len - AI_JOB_ID_LEN - 1,
                              member.data + AI_JOB_ID_LEN + 1 };

        jobs_found(look->d->w->jobs, (unsigned) (look - look->d->looks), id,
                   ai_keys_tenant_ok(tenant) ? tenant : ai_str(""));
    }
}
