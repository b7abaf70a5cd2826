/*
 * Tenants' own keys: who has some (the list), what they are (the open ones),
 * and who waits for that.  Owns all three; own_open.c reads and opens them.
 */

#include "own_in.h"

#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"


#define OWN_TICK_MSEC  1000
#define OWN_SOON_MSEC  10           /* after something was said */
#define OWN_PAGE       1000         /* as the function's own bound */

#define OWN_LIST_SQL                                                          \
    "SELECT v, tenant, keys FROM ngxai.own_since($1::bigint, 1000)"


static void owns_on_timer(uv_timer_t *timer);
static void owns_look(owns_t *o);
static void owns_on_list(db_t *db, const PGresult *res, void *data);
static int owns_row(owns_t *o, const PGresult *res, int row);
static void owns_sweep(owns_t *o);
static own_tenant_t **own_slot(owns_t *o, ai_str_t name);
static own_e own_known(owns_t *o, own_tenant_t *t, ai_str_t provider,
    ai_str_t *secret, ai_str_t *id);
static own_e own_look(owns_t *o, ai_str_t tenant, route_t *route,
    own_wait_t *wait, ai_str_t *secret);
static void own_enter(own_wait_t **list, own_wait_t *wait, uint64_t now);
static void own_leave(own_wait_t *wait);
static void own_late(own_wait_t **list, uint64_t now);
static void own_room(owns_t *o);


owns_t *
owns_open(worker_t *w)
{
    char     why[VAULT_WHY_MAX];
    owns_t  *o;

    o = calloc(1, sizeof(*o));
    if (o == NULL) {
        return NULL;
    }

    o->w = w;

    if (w->opt->master_key != NULL) {
        o->vault = vault_open(w->opt->master_key, w->opt->old_master_key,
                              why);

        if (o->vault == NULL) {
            log_write(LOG_ERROR, "own", "the master key cannot be used: %s",
                      why);
            free(o);
            return NULL;
        }
    }

    uv_timer_init(&w->loop.uv, &o->timer);
    o->timer.data = o;
    o->last = &o->works;

    if (w->opt->postgres != NULL) {
        uv_timer_start(&o->timer, owns_on_timer, 0, OWN_TICK_MSEC);
    }

    return o;
}


void
owns_close(owns_t *o)
{
    o->closing = 1;
    kms_stop();
    uv_close((uv_handle_t *) &o->timer, NULL);
}


void
owns_free(owns_t *o)
{
    unsigned       i;
    own_tenant_t  *t;

    for (i = 0; i < OWN_SLOTS; i++) {
        while ((t = o->slots[i]) != NULL) {
            o->slots[i] = t->next;
            own_wipe(o, t);
            free(t);
        }
    }

    own_drop(o);
    vault_close(o->vault);
    free(o);
}


void
owns_ready(owns_t *o)
{
    owns_look(o);
}


/* It says whose; what it is, Postgres says. */

void
owns_heard(owns_t *o, ai_str_t text)
{
    own_tenant_t  *t;

    if (text.len < 2 || text.data[0] != 'O') {
        return;
    }

    text.data++;
    text.len--;
    t = ai_keys_tenant_ok(text) ? *own_slot(o, text) : NULL;

    if (t != NULL) {
        t->stale = 1;
        t->changes++;
    }

    /* Once, else who says it all the time would put it off for ever. */

    if (o->w->opt->postgres != NULL && !o->closing && !o->soon) {
        uv_timer_start(&o->timer, owns_on_timer, OWN_SOON_MSEC,
                       OWN_TICK_MSEC);
        o->soon = 1;
        o->due_msec = 0;
    }
}


void
owns_again(owns_t *o)
{
    o->reopen = 1;
    own_reopen(o);
}


/* Time. */

static void
owns_on_timer(uv_timer_t *timer)
{
    owns_t    *o;
    uint64_t   now;

    o = timer->data;
    o->soon = 0;
    now = uv_now(&o->w->loop.uv);

    if (now >= o->due_msec) {
        owns_look(o);
    }

    if (o->nwaits != 0) {
        owns_sweep(o);
    }

    while (o->oldest != NULL
           && now > o->oldest->used_msec + OWN_IDLE_MSEC)
    {
        own_wipe(o, o->oldest);
    }
}


/* Who waits too long. */

static void
owns_sweep(owns_t *o)
{
    unsigned       i;
    uint64_t       now;
    own_tenant_t  *t;

    now = uv_now(&o->w->loop.uv);
    own_late(&o->waits, now);

    for (i = 0; i < OWN_SLOTS; i++) {
        for (t = o->slots[i]; t != NULL; t = t->next) {
            own_late(&t->waits, now);
        }
    }
}


static void
own_late(own_wait_t **list, uint64_t now)
{
    own_wait_t  *wait, *next;

    for (wait = *list; wait != NULL; wait = next) {
        next = wait->next;

        if (now > wait->since_msec + OWN_WAIT_MSEC) {
            own_leave(wait);
            wait->done(wait->data, 1);

            /* Whoever was told may have changed the list. */
            next = *list;
        }
    }
}


/* The list: all of it at first and each hour, else what has changed since, and
 * the last of what is known, which a Postgres that went back has not. */

static void
owns_look(owns_t *o)
{
    char         since[24];
    ai_buf_t     b;
    uint64_t     now;
    const char  *params[1] = { since };

    if (o->looking || o->closing || o->w->opt->postgres == NULL) {
        o->more = 1;
        return;
    }

    now = uv_now(&o->w->loop.uv);

    if (o->since == 0 || now > o->whole_msec + OWN_WHOLE_MSEC) {
        o->since = 0;
        o->whole = 1;
        o->missed = 0;
        o->pass++;
        o->whole_msec = now;
    }

    ai_buf_init(&b, since, sizeof(since));
    ai_buf_add_int(&b, o->since - (o->since != 0 && !o->paging));
    ai_buf_add(&b, "", 1);
    o->more = 0;
    o->due_msec = now + OWN_LOOK_MSEC;

    if (stores_query(o->w->stores, owns_on_list, o, OWN_LIST_SQL, 1, params)
        == 0)
    {
        o->looking = 1;

    } else {
        o->due_msec = 0;
    }
}


static void
owns_on_list(db_t *db, const PGresult *res, void *data)
{
    int      i, n, paging;
    owns_t  *o;

    (void) db;

    o = data;
    o->looking = 0;
    paging = o->paging;
    o->paging = 0;

    if (o->closing) {
        return;
    }

    if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK) {

        if (res != NULL) {
            log_again(&o->said, LOG_ERROR, "own", "%s %s", db_sqlstate(res),
                      PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
        }

        /* It may be another Postgres that answers next. */

        o->since = 0;
        o->due_msec = 0;

        if (!o->listed) {
            own_wake(&o->waits, 1);
        }

        return;
    }

    n = PQntuples(res);

    if (n == 0 && o->since != 0 && !paging) {
        o->since = 0;
        owns_look(o);
        return;
    }

    for (i = 0; i < n; i++) {
        if (owns_row(o, res, i) != 0) {
            log_again(&o->full, LOG_ERROR, "own", "more tenants have keys of "
                      "their own than can be known");
            o->lost = 1;
            o->missed = 1;
        }
    }

    if (n == OWN_PAGE) {
        o->paging = 1;
        owns_look(o);
        return;
    }

    if (o->whole) {
        o->whole = 0;
        o->lost = o->missed;
        o->missed = 0;

        /* What went may have made room. */

        if (own_prune(o) != 0 && o->lost) {
            o->since = 0;
            o->more = 1;
        }
    }

    o->listed = 1;
    own_wake(&o->waits, 0);

    if (o->more) {
        owns_look(o);
    }
}


/* 0, or -1: there is no room for it. */

static int
owns_row(owns_t *o, const PGresult *res, int row)
{
    int64_t         v, keys;
    ai_str_t        name, text;
    own_tenant_t   *t, **slot;

    text = (ai_str_t) { (size_t) PQgetlength(res, row, 0),
                        PQgetvalue(res, row, 0) };
    name = (ai_str_t) { (size_t) PQgetlength(res, row, 1),
                        PQgetvalue(res, row, 1) };

    if (ai_str_int(text, &v) != 0 || !ai_keys_tenant_ok(name)
        || ai_str_int((ai_str_t) { (size_t) PQgetlength(res, row, 2),
                                   PQgetvalue(res, row, 2) }, &keys) != 0)
    {
        return 0;
    }

    o->since = v > o->since ? v : o->since;
    slot = own_slot(o, name);
    t = *slot;

    if (t == NULL) {

        if (keys == 0) {
            return 0;
        }

        if (o->n == OWN_TENANTS_MAX || (t = calloc(1, sizeof(*t))) == NULL) {
            return -1;
        }

        t->owns = o;
        memcpy(t->name, name.data, name.len);
        t->len = name.len;
        *slot = t;
        o->n++;
    }

    t->pass = keys > 0 ? o->pass : 0;
    t->has = keys > 0;

    if (t->version != v) {
        t->version = v;
        t->stale = 1;
        t->changes++;
    }

    if (!t->has) {
        own_wipe(o, t);
    }

    return 0;
}


unsigned
own_prune(owns_t *o)
{
    unsigned        i, n;
    own_tenant_t   *t, **p;

    n = o->n;

    for (i = 0; i < OWN_SLOTS; i++) {
        p = &o->slots[i];

        while ((t = *p) != NULL) {

            if (t->pass == o->pass || t->asking || t->waits != NULL) {
                p = &t->next;
                continue;
            }

            own_wipe(o, t);
            *p = t->next;
            free(t);
            o->n--;
        }
    }

    return n - o->n;
}


/* Tenants. */

static own_tenant_t **
own_slot(owns_t *o, ai_str_t name)
{
    size_t          i;
    uint64_t        hash;
    own_tenant_t  **p;

    hash = 14695981039346656037u;

    for (i = 0; i < name.len; i++) {
        hash = (hash ^ (unsigned char) name.data[i]) * 1099511628211u;
    }

    for (p = &o->slots[(hash >> 20) % OWN_SLOTS]; *p != NULL;
         p = &(*p)->next)
    {
        if ((*p)->len == name.len
            && memcmp((*p)->name, name.data, name.len) == 0)
        {
            break;
        }
    }

    return p;
}


own_e
own_get(owns_t *o, ai_str_t tenant, route_t *route, own_wait_t *wait,
    ai_str_t *secret)
{
    own_e  e;

    e = own_look(o, tenant, route, wait, secret);

    if (e != OWN_WAIT && wait != NULL) {
        wait->since_msec = 0;
    }

    return e;
}


static own_e
own_look(owns_t *o, ai_str_t tenant, route_t *route, own_wait_t *wait,
    ai_str_t *secret)
{
    own_e          e;
    ai_str_t       id;
    uint64_t       now;
    own_tenant_t  *t;

    *secret = ai_str("");
    route->own[0] = '\0';

    if (o->w->opt->postgres == NULL || route->tenant_keys == CATALOG_OWN_OFF
        || route->conf == NULL)
    {
        return OWN_NONE;
    }

    now = uv_now(&o->w->loop.uv);

    if (!o->listed) {

        /* Who has no master key has not been told to look for any. */

        if (o->vault == NULL) {
            return OWN_NONE;
        }

        if (wait == NULL || o->nwaits == OWN_WAITS_MAX) {
            return wait == NULL ? OWN_WAIT : OWN_AWAY;
        }

        o->nwaits++;
        wait->owns = o;
        own_enter(&o->waits, wait, now);

        return OWN_WAIT;
    }

    t = *own_slot(o, tenant);

    if (t == NULL) {
        return o->lost ? OWN_AWAY : OWN_NONE;
    }

    if (!t->has && !t->stale) {
        return OWN_NONE;
    }

    if (t->open && !t->stale) {
        e = own_known(o, t, route->provider, secret, &id);

        if (e == OWN_KEY) {
            memcpy(route->own, id.data, id.len);
            route->own[id.len] = '\0';
        }

        if (now > t->read_msec + OWN_FRESH_MSEC
            || (t->shut && now > t->read_msec + OWN_AGAIN_MSEC))
        {
            own_read(t);
        }

        return e;
    }

    if (wait == NULL) {
        return OWN_WAIT;
    }

    /* Who is told again and again that it has changed does not wait longer. */

    if (o->nwaits == OWN_WAITS_MAX
        || (wait->since_msec != 0 && now > wait->since_msec + OWN_WAIT_MSEC)
        || own_read(t) != 0)
    {
        return OWN_AWAY;
    }

    o->nwaits++;
    wait->owns = o;
    own_enter(&t->waits, wait, now);

    return OWN_WAIT;
}


static own_e
own_known(owns_t *o, own_tenant_t *t, ai_str_t provider, ai_str_t *secret,
    ai_str_t *id)
{
    unsigned            i;
    const own_one_t    *one;

    own_use(o, t);

    for (i = 0; i < t->nkeys; i++) {
        one = &t->keys[i];

        if (ai_str_eqz(provider, one->provider)) {

            if (one->secret == NULL) {
                return OWN_SHUT;
            }

            *secret = (ai_str_t) { one->len, one->secret };
            *id = (ai_str_t) { strlen(one->id), one->id };

            return OWN_KEY;
        }
    }

    return t->cut ? OWN_SHUT : OWN_NONE;
}


static void
own_enter(own_wait_t **list, own_wait_t *wait, uint64_t now)
{
    wait->since_msec = wait->since_msec != 0 ? wait->since_msec : now;
    wait->next = *list;
    wait->prev = list;

    if (*list != NULL) {
        (*list)->prev = &wait->next;
    }

    *list = wait;
}


void
own_forget(own_wait_t *wait)
{
    own_leave(wait);
    wait->since_msec = 0;
}


static void
own_leave(own_wait_t *wait)
{
    if (wait->prev == NULL) {
        return;
    }

    *wait->prev = wait->next;

    if (wait->next != NULL) {
        wait->next->prev = wait->prev;
    }

    wait->prev = NULL;
    wait->next = NULL;
    wait->owns->nwaits--;
}


/* Each that waits now; who asks again waits in the list that is then. */

void
own_wake(own_wait_t **list, int away)
{
    own_wait_t  *wait, *all;

    all = *list;
    *list = NULL;

    if (all != NULL) {
        all->prev = &all;
    }

    while ((wait = all) != NULL) {
        own_leave(wait);
        wait->done(wait->data, away);
    }
}


/* Open keys, by when they were used. */

void
own_use(owns_t *o, own_tenant_t *t)
{
    t->used_msec = uv_now(&o->w->loop.uv);

    if (o->newest == t) {
        return;
    }

    if (t->newer != NULL) {
        own_unuse(o, t);
    }

    t->older = o->newest;
    t->newer = NULL;

    if (o->newest != NULL) {
        o->newest->newer = t;

    } else {
        o->oldest = t;
    }

    o->newest = t;
}


void
own_unuse(owns_t *o, own_tenant_t *t)
{
    if (t->newer != NULL) {
        t->newer->older = t->older;

    } else {
        o->newest = t->older;
    }

    if (t->older != NULL) {
        t->older->newer = t->newer;

    } else {
        o->oldest = t->newer;
    }

    t->older = NULL;
    t->newer = NULL;
}


/* Takes what was opened, which is the tenant's now. */

void
own_take(owns_t *o, own_tenant_t *t, own_one_t *keys, unsigned n)
{
    own_wipe(o, t);
    own_room(o);

    t->keys = keys;
    t->nkeys = n;
    t->open = 1;
    t->read_msec = uv_now(&o->w->loop.uv);
    o->nopen++;
    own_use(o, t);
}


static void
own_room(owns_t *o)
{
    if (o->nopen == OWN_OPEN_MAX) {
        own_wipe(o, o->oldest);
    }
}


void
own_wipe(owns_t *o, own_tenant_t *t)
{
    if (!t->open) {
        return;
    }

    own_unuse(o, t);
    own_keys_free(t->keys, t->nkeys);
    t->keys = NULL;
    t->nkeys = 0;
    t->open = 0;
    t->shut = 0;
    t->cut = 0;
    o->nopen--;
}


void
own_keys_free(own_one_t *keys, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (keys[i].secret != NULL) {
            ai_wipe(keys[i].secret, keys[i].len);
            free(keys[i].secret);
        }
    }

    free(keys);
}
