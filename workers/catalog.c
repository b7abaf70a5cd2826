/*
 * Catalogs: fetch, check, keep.  Owns those it keeps and the fetches under way;
 * waiters belong to their jobs.
 */

#include "catalog_in.h"

#include <stdlib.h>
#include <string.h>

#include "ai_event.h"
#include "models.h"
#include "sign.h"


#define CATALOG_LOOP_MAX  (64 * 1024)   /* larger ones are parsed elsewhere */


typedef struct catalog_fetch_s  catalog_fetch_t;

struct catalog_fetch_s {
    catalogs_t       *cs;
    char              hex[AI_SHA256_HEX];
    catalog_wait_t   *waits;
    uint64_t          began_msec;
    uint64_t          asked_msec;
    ai_resp_t        *reply;    /* its text, while it is parsed */
    ai_str_t          text;     /* without its signature */
    catalog_t        *catalog;
    uv_work_t         work;
    catalog_fetch_t  *next;
    unsigned          busy:1;   /* a reply or the pool is awaited */
    unsigned          orphan:1; /* catalogs_close has been */
};

struct catalogs_s {
    worker_t         *w;
    catalog_t        *kept[CATALOGS_KEPT];
    uint64_t          clock;
    catalog_fetch_t  *fetches;  /* one a hash: at most the running jobs */
    uv_timer_t        timer;
    log_again_t       refused;
};


static void catalog_on_timer(uv_timer_t *timer);
static void catalog_ask(catalog_fetch_t *f);
static void catalog_on_reply(redis_t *rc, ai_resp_t *reply, void *data);
static void catalog_ring(catalog_fetch_t *f);
static void catalog_work(uv_work_t *work);
static void catalog_worked(uv_work_t *work, int status);
static void catalog_finish(catalog_fetch_t *f, catalog_t *c);
static void catalog_keep(catalogs_t *cs, catalog_t *c);
static void catalog_on_closed(uv_handle_t *handle);


catalogs_t *
catalogs_open(worker_t *w)
{
    catalogs_t  *cs;

    cs = calloc(1, sizeof(*cs));
    if (cs == NULL) {
        return NULL;
    }

    cs->w = w;
    uv_timer_init(&w->loop.uv, &cs->timer);
    cs->timer.data = cs;
    uv_timer_start(&cs->timer, catalog_on_timer, CATALOG_RETRY_MSEC,
                   CATALOG_RETRY_MSEC);

    return cs;
}


void
catalogs_close(catalogs_t *cs)
{
    unsigned          i;
    catalog_fetch_t  *f, *next;

    for (f = cs->fetches; f != NULL; f = next) {
        next = f->next;
        f->orphan = 1;

        if (!f->busy) {
            free(f);
        }
    }

    for (i = 0; i < CATALOGS_KEPT; i++) {
        if (cs->kept[i] != NULL) {
            catalog_release(cs->kept[i]);
        }
    }

    uv_close((uv_handle_t *) &cs->timer, catalog_on_closed);
}


static void
catalog_on_closed(uv_handle_t *handle)
{
    free(handle->data);
}


void
catalog_get(catalogs_t *cs, ai_str_t hex, catalog_wait_t *wait)
{
    unsigned          i;
    catalog_t        *c;
    catalog_fetch_t  *f;

    if (hex.len != AI_SHA256_HEX) {
        wait->done(NULL, wait->data);
        return;
    }

    for (i = 0; i < CATALOGS_KEPT; i++) {
        c = cs->kept[i];

        if (c != NULL && memcmp(c->hex, hex.data, hex.len) == 0) {
            c->used = ++cs->clock;
            c->refs++;
            wait->done(c, wait->data);
            return;
        }
    }

    for (f = cs->fetches; f != NULL; f = f->next) {
        if (memcmp(f->hex, hex.data, hex.len) == 0) {
            break;
        }
    }

    if (f == NULL) {
        f = calloc(1, sizeof(*f));

        if (f == NULL) {
            wait->done(NULL, wait->data);
            return;
        }

        f->cs = cs;
        memcpy(f->hex, hex.data, hex.len);
        f->began_msec = uv_now(&cs->w->loop.uv);
        f->work.data = f;
        f->next = cs->fetches;
        cs->fetches = f;
    }

    wait->next = f->waits;
    wait->prev = &f->waits;

    if (f->waits != NULL) {
        f->waits->prev = &wait->next;
    }

    f->waits = wait;

    if (!f->busy) {
        catalog_ask(f);
    }
}


void
catalog_forget(catalog_wait_t *wait)
{
    if (wait->prev == NULL) {
        return;
    }

    *wait->prev = wait->next;

    if (wait->next != NULL) {
        wait->next->prev = wait->prev;
    }

    wait->prev = NULL;
}


void
catalog_release(catalog_t *c)
{
    if (--c->refs == 0) {
        json_decref(c->root);
        free(c->prices);
        free(c);
    }
}


static void
catalog_on_timer(uv_timer_t *timer)
{
    uint64_t          now;
    catalogs_t       *cs;
    catalog_fetch_t  *f, *next;

    cs = timer->data;
    now = uv_now(&cs->w->loop.uv);

    for (f = cs->fetches; f != NULL; f = next) {
        next = f->next;

        if (f->busy) {
            continue;
        }

        if (f->waits == NULL || now >= f->began_msec + CATALOG_WAIT_MSEC) {
            catalog_finish(f, NULL);

        } else {
            catalog_ask(f);
        }
    }
}


static void
catalog_ask(catalog_fetch_t *f)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[2];

    argv[0] = ai_str("GET");
    argv[1].data = key;
    argv[1].len = ai_keys_catalog(key, sizeof(key),
                                  (ai_str_t) { sizeof(f->hex), f->hex });

    if (argv[1].len != 0
        && redis_command(f->cs->w->redis, catalog_on_reply, f, 2, argv) == 0)
    {
        f->busy = 1;
    }
}


static void
catalog_on_reply(redis_t *rc, ai_resp_t *reply, void *data)
{
    ai_str_t          mac;
    const char       *why;
    catalog_fetch_t  *f;

    f = data;
    f->busy = 0;

    if (f->orphan) {
        free(f);
        return;
    }

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        return;
    }

    if (reply->type != AI_RESP_STRING) {
        f->cs->w->metrics.catalog_misses_total++;
        catalog_ring(f);
        return;
    }

    f->reply = redis_take(rc);

    if (f->reply == NULL) {
        return;
    }

    f->text = redis_str(f->reply);
    mac = ai_sign_catalog_cut(&f->text);
    why = sign_catalog_refused((ai_str_t) { sizeof(f->hex), f->hex }, mac);

    /* As one that is missing: its edge can say what it is. */

    if (why != NULL) {
        log_again(&f->cs->refused, LOG_ERROR, "catalog",
                  "%.16s... is refused: %s", f->hex, why);
        free(f->reply);
        f->reply = NULL;
        catalog_ring(f);
        return;
    }

    f->busy = 1;

    if (reply->len <= CATALOG_LOOP_MAX
        || uv_queue_work(&f->cs->w->loop.uv, &f->work, catalog_work,
                         catalog_worked)
           != 0)
    {
        catalog_work(&f->work);
        catalog_worked(&f->work, 0);
    }
}


/* Asks an edge that used it to SET it again. */

static void
catalog_ring(catalog_fetch_t *f)
{
    char             channel[AI_KEY_MAX], text[AI_SHA256_HEX + 2];
    ai_str_t         argv[3];
    catalog_wait_t  *wait;

    text[0] = AI_BELL_CATALOG;
    memcpy(text + 1, f->hex, AI_SHA256_HEX);
    text[AI_SHA256_HEX + 1] = '\n';

    for (wait = f->waits; wait != NULL; wait = wait->next) {

        argv[1].data = channel;
        argv[1].len = ai_keys_make(channel, sizeof(channel),
                                   AI_KEY_EDGE_CHANNEL, wait->shard,
                                   wait->edge);
        if (wait->edge.len == 0 || argv[1].len == 0) {
            continue;
        }

        argv[0] = ai_str("PUBLISH");
        argv[2] = (ai_str_t) { sizeof(text), text };
        redis_command(f->cs->w->redis, NULL, NULL, 3, argv);
        return;
    }
}


static void
catalog_work(uv_work_t *work)
{
    char              hex[AI_SHA256_HEX];
    catalog_fetch_t  *f;

    f = work->data;
    f->catalog = NULL;

    if (ai_sha256_hex(hex, f->text) == 0
        && memcmp(hex, f->hex, sizeof(hex)) == 0)
    {
        f->catalog = catalog_parse(f->text);
    }
}


static void
catalog_worked(uv_work_t *work, int status)
{
    catalog_fetch_t  *f;

    f = work->data;
    free(f->reply);
    f->reply = NULL;
    f->busy = 0;

    if (status != 0) {
        f->catalog = NULL;
    }

    if (f->orphan) {
        if (f->catalog != NULL) {
            catalog_release(f->catalog);
        }

        free(f);
        return;
    }

    if (f->catalog == NULL) {
        log_write(LOG_ERROR, "catalog", "%.16s... is not what its name says",
                  f->hex);
        catalog_finish(f, NULL);
        return;
    }

    memcpy(f->catalog->hex, f->hex, sizeof(f->hex));
    catalog_keep(f->cs, f->catalog);
    catalog_finish(f, f->catalog);
}


/* Serves those who wait; a fetch with none ends quietly. */

static void
catalog_finish(catalog_fetch_t *f, catalog_t *c)
{
    catalog_fetch_t  **p;
    catalog_wait_t    *wait;

    for (p = &f->cs->fetches; *p != f; p = &(*p)->next) {
        /* void */
    }

    *p = f->next;

    while ((wait = f->waits) != NULL) {
        catalog_forget(wait);

        if (c != NULL) {
            c->refs++;
        }

        wait->done(c, wait->data);
    }

    if (c != NULL) {
        catalog_release(c);
    }

    free(f);
}


static void
catalog_keep(catalogs_t *cs, catalog_t *c)
{
    unsigned  i, oldest;

    oldest = 0;

    for (i = 0; i < CATALOGS_KEPT; i++) {
        if (cs->kept[i] == NULL) {
            oldest = i;
            break;
        }

        if (cs->kept[i]->used < cs->kept[oldest]->used) {
            oldest = i;
        }
    }

    if (cs->kept[oldest] != NULL) {
        catalog_release(cs->kept[oldest]);
    }

    c->used = ++cs->clock;
    c->refs++;
    cs->kept[oldest] = c;
    models_named(cs->w->models, c);
}
