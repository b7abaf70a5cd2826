/*
 * What is to be fetched, by whom and when.  Owns the list of it; what no
 * catalog in use names any more goes.
 */

#include "fetch_in.h"

#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"


#define FETCH_CATALOG_SEC   14400       /* since an edge named it, which each
                                         * does once a minute by its clock */
#define FETCH_UNNAMED_MSEC  120000      /* of an item: catalogs take turns to
                                         * be the newest */


static const fetch_kind_t *const  fetch_kinds[] = {
    &fetch_jwks, &fetch_models
};

#define FETCH_KINDS  (sizeof(fetch_kinds) / sizeof(fetch_kinds[0]))


static void fetch_on_timer(uv_timer_t *timer);
static void fetch_on_exists(redis_t *rc, ai_resp_t *reply, void *data);
static void fetch_on_lease(redis_t *rc, ai_resp_t *reply, void *data);
static void fetch_on_catalogs(redis_t *rc, ai_resp_t *reply, void *data);
static void fetch_on_catalog(catalog_t *c, void *data);
static void fetch_name(fetch_look_t *look, unsigned kind,
    const fetch_name_t *name);
static void fetch_sweep(fetch_t *f);
static void fetch_on_wanted(redis_t *rc, ai_resp_t *reply, void *data);
static void fetch_work(fetch_t *f);


fetch_t *
fetch_open(worker_t *w)
{
    unsigned   i;
    fetch_t   *f;

    f = calloc(1, sizeof(*f));
    if (f == NULL) {
        return NULL;
    }

    f->w = w;

    for (i = 0; i < FETCH_CATALOGS_MAX; i++) {
        f->looks[i].fetch = f;
        f->looks[i].wait.done = fetch_on_catalog;
        f->looks[i].wait.data = &f->looks[i];
    }

    uv_timer_init(&w->loop.uv, &f->timer);
    f->timer.data = f;
    uv_timer_start(&f->timer, fetch_on_timer, FETCH_TICK_MSEC,
                   FETCH_TICK_MSEC);

    return f;
}


void
fetch_close(fetch_t *f)
{
    unsigned       i;
    fetch_item_t  *item;

    f->closing = 1;

    for (i = 0; i < FETCH_CATALOGS_MAX; i++) {
        catalog_forget(&f->looks[i].wait);
    }

    for (item = f->items; item != NULL; item = item->next) {
        if (item->call) {
            fetch_stop(item, NULL);
        }
    }

    uv_close((uv_handle_t *) &f->timer, NULL);
}


void
fetch_free(fetch_t *f)
{
    fetch_item_t  *item;

    while ((item = f->items) != NULL) {
        f->items = item->next;
        fetch_drop(item);
    }

    free(f);
}


/* Where no edge has named anything, a turn is one command. */

static void
fetch_on_timer(uv_timer_t *timer)
{
    fetch_t  *f;

    f = timer->data;
    fetch_work(f);

    if (f->asking || f->nlooks || f->w->draining || f->w->shards == 0
        || !redis_ready(f->w->redis))
    {
        return;
    }

    if (redis_commandf(f->w->redis, fetch_on_exists, f, "EXISTS %s",
                       AI_JWKS_KEY)
        == 0)
    {
        f->asking = 1;
    }
}


static void
fetch_on_exists(redis_t *rc, ai_resp_t *reply, void *data)
{
    int64_t   n;
    fetch_t  *f;

    f = data;
    f->asking = 0;

    if (f->closing || redis_int(reply, &n) != 0 || n == 0) {
        return;
    }

    if (redis_commandf(rc, NULL, NULL, "SET %s %s NX PX %d",
                       AI_JWKS_LEASE_KEY, f->w->id, (int64_t) FETCH_LEASE_MSEC)
        == 0
        && redis_commandf(rc, fetch_on_lease, f, "GET %s", AI_JWKS_LEASE_KEY)
           == 0)
    {
        f->asking = 1;
    }
}


/* Two that believe it is theirs fetch twice, and write the same. */

static void
fetch_on_lease(redis_t *rc, ai_resp_t *reply, void *data)
{
    fetch_t  *f;

    f = data;
    f->asking = 0;

    if (f->closing || reply == NULL) {
        return;
    }

    f->mine = reply->type == AI_RESP_STRING
              && ai_str_eqz(redis_str(reply), f->w->id);

    if (!f->mine) {
        return;
    }

    (void) redis_commandf(rc, NULL, NULL, "PEXPIRE %s %d", AI_JWKS_LEASE_KEY,
                          (int64_t) FETCH_LEASE_MSEC);
    (void) redis_commandf(rc, NULL, NULL, "ZREMRANGEBYSCORE %s -inf %d",
                          AI_JWKS_KEY,
                          (int64_t) (loop_wall_usec() / 1000000)
                          - FETCH_CATALOG_SEC);

    if (redis_commandf(rc, fetch_on_catalogs, f, "ZRANGE %s 0 %d REV",
                       AI_JWKS_KEY, (int64_t) FETCH_CATALOGS_MAX - 1)
        == 0)
    {
        f->asking = 1;
    }

    (void) redis_commandf(rc, fetch_on_wanted, f, "SRANDMEMBER %s %d",
                          AI_JWKS_WANTED_KEY, (int64_t) FETCH_ITEMS_MAX);
}


static void
fetch_on_catalogs(redis_t *rc, ai_resp_t *reply, void *data)
{
    size_t         i, n;
    fetch_t       *f;
    ai_str_t       hex[FETCH_CATALOGS_MAX];
    fetch_item_t  *item;

    (void) rc;

    f = data;
    f->asking = 0;

    if (f->closing || reply == NULL || reply->type != AI_RESP_ARRAY) {
        return;
    }

    for (item = f->items; item != NULL; item = item->next) {
        item->named = 0;
    }

    for (n = 0, i = 0; i < reply->elements && n < FETCH_CATALOGS_MAX; i++) {
        hex[n] = redis_str(redis_item(reply, i));
        n += ai_sha256_hex_ok(hex[n]) ? 1 : 0;
    }

    /* All at once, for some may be had at once. */

    f->whole = 1;
    f->nlooks = (unsigned) n;

    for (i = 0; i < n; i++) {
        catalog_get(f->w->catalogs, hex[i], &f->looks[i].wait);
    }
}


static void
fetch_on_catalog(catalog_t *c, void *data)
{
    int             rc;
    size_t          i;
    fetch_t        *f;
    unsigned        kind;
    fetch_look_t   *look;
    fetch_name_t    name;

    /* One more than there is room for, so that it is said. */

    look = data;
    f = look->fetch;

    for (kind = 0; c != NULL && kind < FETCH_KINDS; kind++) {

        for (i = 0; i <= FETCH_ITEMS_MAX; i++) {
            memset(&name, 0, sizeof(name));
            rc = fetch_kinds[kind]->named(c, i, &name);

            if (rc == 0) {
                break;
            }

            if (rc == 1) {
                fetch_name(look, kind, &name);
            }
        }

        ai_wipe(&name, sizeof(name));
    }

    if (c == NULL) {
        f->whole = 0;

    } else {
        catalog_release(c);
    }

    if (--f->nlooks == 0 && !f->closing) {
        fetch_sweep(f);
        fetch_work(f);
    }
}


static void
fetch_name(fetch_look_t *look, unsigned kind, const fetch_name_t *name)
{
    fetch_t             *f;
    unsigned             n, rank;
    fetch_item_t        *item;
    const fetch_kind_t  *k;

    f = look->fetch;
    k = fetch_kinds[kind];
    rank = (unsigned) (look - f->looks);
    n = 0;

    for (item = f->items; item != NULL; item = item->next) {

        if (item->kind != k) {
            continue;
        }

        if (strcmp(item->name.hex, name->hex) == 0) {

            /* Its key and how often may have changed: the newest says. */

            if (!item->named || rank < item->rank) {
                item->rank = rank;

                if (!item->busy && item->call == NULL) {
                    item->name = *name;
                }
            }

            item->named = 1;
            item->named_msec = uv_now(&f->w->loop.uv);
            return;
        }

        n++;
    }

    if (n == FETCH_ITEMS_MAX) {

        if (!(f->full & 1u << kind)) {
            f->full |= 1u << kind;
            log_write(LOG_ERROR, k->part, "more than %d %s are in use, others "
                      "are not fetched", FETCH_ITEMS_MAX, k->all);
        }

        return;
    }

    item = calloc(1, sizeof(*item));
    if (item == NULL) {
        return;
    }

    item->fetch = f;
    item->kind = k;
    item->name = *name;
    item->named = 1;
    item->rank = rank;
    item->named_msec = uv_now(&f->w->loop.uv);
    item->work.data = item;
    item->next = f->items;
    f->items = item;
}


/* What nobody names any more; not while a catalog is missing. */

static void
fetch_sweep(fetch_t *f)
{
    uint64_t       now;
    fetch_item_t  *item, **p;

    now = uv_now(&f->w->loop.uv);

    for (p = &f->items; f->whole && (item = *p) != NULL; /* void */ ) {

        if (now - item->named_msec < FETCH_UNNAMED_MSEC || item->call
            || item->busy || item->asked)
        {
            p = &item->next;
            continue;
        }

        *p = item->next;
        fetch_drop(item);
    }
}


static void
fetch_on_wanted(redis_t *rc, ai_resp_t *reply, void *data)
{
    size_t         i;
    fetch_t       *f;
    fetch_item_t  *item;

    f = data;

    if (f->closing || reply == NULL || reply->type != AI_RESP_ARRAY
        || reply->elements == 0)
    {
        return;
    }

    for (i = 0; i < reply->elements && i < FETCH_ITEMS_MAX; i++) {
        for (item = f->items; item != NULL; item = item->next) {
            if (ai_str_eqz(redis_str(redis_item(reply, i)), item->name.hex)) {
                item->wanted = 1;
            }
        }
    }

    (void) redis_commandf(rc, NULL, NULL, "DEL %s", AI_JWKS_WANTED_KEY);
}


static void
fetch_work(fetch_t *f)
{
    uint64_t       now;
    fetch_item_t  *item;

    now = uv_now(&f->w->loop.uv);

    for (item = f->items; item != NULL; item = item->next) {

        if (item->call) {

            /* Who has the lease now fetches it anew; what came of this one
             * would be older. */

            if (!f->mine) {
                fetch_stop(item, NULL);

            } else if (now - item->begun_msec > FETCH_CALL_MSEC) {
                fetch_stop(item, "it takes too long");
            }

            continue;
        }

        if (!f->mine || item->busy || f->w->draining
            || !redis_ready(f->w->redis))
        {
            continue;
        }

        if (!item->fetched || now >= item->next_msec
            || (item->wanted && now - item->begun_msec >= FETCH_SOONEST_MSEC))
        {
            fetch_begin(item);

        } else if (item->kept && !item->asked
                   && now - item->kept_msec >= FETCH_KEEP_MSEC)
        {
            fetch_keep(item);
        }
    }
}
