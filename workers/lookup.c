/*
 * Looking keys up.  Owns the connection, a table of the keys in flight and the
 * list of who waits for each.
 */

#include "lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"
#include "db.h"
#include "heal.h"
#include "principal.h"
#include "principal_write.h"
#include "upkeep.h"


#define LOOKUP_BUCKETS     1024
#define LOOKUP_TICK_MSEC   100
#define LOOKUP_ENTRY_MAX   48           /* bytes of a stream's id */
#define LOOKUP_TIDY_MSEC   60000        /* between looks for dead readers */
#define LOOKUP_READERS     200          /* looked at each time */
#define LOOKUP_MISS        1000         /* one, in thousandths */


typedef struct lookup_waiter_s  lookup_waiter_t;
typedef struct lookup_key_s  lookup_key_t;

struct lookup_waiter_s {
    char             entry[LOOKUP_ENTRY_MAX];
    char             edge[AI_PROCESS_ID_MAX + 1];
    lookup_waiter_t *next;
};

/* A key's SHA-256 or a tenant.  Waits (asked 0) for a connection, then for an
 * answer. */
struct lookup_key_s {
    lookup_t        *lookup;
    char             name[AI_SHA256_HEX + 1];   /* or a tenant */
    size_t           len;
    unsigned         asked:1;
    unsigned         clean:1;   /* of who has not asked in vain lately */
    const char      *status;    /* what the bell will say */
    lookup_waiter_t *waiters;
    lookup_key_t    *next;
};

struct lookup_s {
    worker_t        *w;
    db_t            *db;        /* NULL: no Postgres */
    upkeep_t        *upkeep;
    heal_t          *heal;      /* NULL: no Postgres */
    uv_timer_t       timer;
    unsigned         nkeys;
    unsigned         nwaiters;
    unsigned         refs;      /* timer, and commands that are out */
    int64_t          misses;    /* what may come to nothing, in thousandths */
    uint64_t         misses_msec;
    uint64_t         tidy_msec;
    ai_resp_t       *readers;   /* being looked at: XINFO CONSUMERS */
    unsigned         closing:1;
    lookup_key_t    *keys[LOOKUP_BUCKETS];
};


static void lookup_on_db_ready(void *data);
static void lookup_on_timer(uv_timer_t *handle);
static void lookup_on_timer_closed(uv_handle_t *handle);
static void lookup_release(lookup_t *l);
static lookup_key_t **lookup_find(lookup_t *l, ai_str_t name);
static ai_str_t lookup_name(const lookup_key_t *k);
static int lookup_of_key(const lookup_key_t *k);
static int lookup_may(lookup_t *l, const lookup_key_t *k);
static void lookup_ask(lookup_key_t *k);
static void lookup_on_result(db_t *db, const PGresult *res, void *data);
static void lookup_write(lookup_key_t *k, const PGresult *res);
static void lookup_on_write(redis_t *rc, ai_resp_t *reply, void *data);
static void lookup_answer(lookup_key_t *k, const char *status);
static void lookup_ring(lookup_t *l, ai_str_t name, ai_str_t edge,
    const char *status);
static void lookup_acknowledge(lookup_t *l, ai_str_t entry);
static void lookup_tidy(lookup_t *l);
static void lookup_on_readers(redis_t *rc, ai_resp_t *reply, void *data);
static void lookup_on_beats(redis_t *rc, ai_resp_t *reply, void *data);
static ai_str_t lookup_reader(const lookup_t *l, size_t i);


lookup_t *
lookup_open(worker_t *w)
{
    lookup_t  *l;

    l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return NULL;
    }

    l->w = w;

    if (w->opt->postgres) {
        l->db = db_open(&w->loop, w->opt->postgres, "lookup",
                        lookup_on_db_ready, l);

        if (l->db == NULL) {
            free(l);
            return NULL;
        }

        /* Without it partitions are made by another process. */
        l->upkeep = upkeep_open(&w->loop, l->db);

        l->heal = heal_open(w, l->db);

        if (l->heal == NULL) {
            if (l->upkeep) {
                upkeep_close(l->upkeep);
            }

            db_close(l->db);
            free(l);
            return NULL;
        }
    }

    uv_timer_init(&w->loop.uv, &l->timer);
    l->timer.data = l;
    l->refs = 1;
    l->misses = LOOKUP_MISSES * LOOKUP_MISS;
    uv_timer_start(&l->timer, lookup_on_timer, LOOKUP_TICK_MSEC,
                   LOOKUP_TICK_MSEC);

    return l;
}


void
lookup_ready(lookup_t *l)
{
    if (l->db == NULL) {
        log_write(LOG_WARN, "lookup", "no --postgres: keys that Redis does "
                  "not know cannot be looked up");

    } else {
        heal_ready(l->heal);
    }
}


int
lookup_idle(const lookup_t *l)
{
    return l->nkeys == 0;
}


void
lookup_close(lookup_t *l)
{
    l->closing = 1;

    if (l->upkeep) {
        upkeep_close(l->upkeep);
    }

    if (l->db) {
        heal_close(l->heal);
        db_close(l->db);
    }

    uv_close((uv_handle_t *) &l->timer, lookup_on_timer_closed);
}


static void
lookup_on_timer_closed(uv_handle_t *handle)
{
    lookup_release(handle->data);
}


static void
lookup_release(lookup_t *l)
{
    unsigned          i;
    lookup_key_t     *k;
    lookup_waiter_t  *waiter;

    if (--l->refs > 0) {
        return;
    }

    for (i = 0; i < LOOKUP_BUCKETS; i++) {
        while ((k = l->keys[i]) != NULL) {
            l->keys[i] = k->next;

            while ((waiter = k->waiters) != NULL) {
                k->waiters = waiter->next;
                free(waiter);
            }

            free(k);
        }
    }

    if (l->readers) {
        free(l->readers);
    }

    free(l);
}


static lookup_key_t **
lookup_find(lookup_t *l, ai_str_t name)
{
    size_t          i;
    unsigned        hash;
    lookup_key_t  **p;

    for (i = 0, hash = 0; i < name.len; i++) {
        hash = hash * 31 + (unsigned char) name.data[i];
    }

    for (p = &l->keys[hash % LOOKUP_BUCKETS]; *p; p = &(*p)->next) {
        if (ai_str_eq(lookup_name(*p), name)) {
            break;
        }
    }

    return p;
}


static ai_str_t
lookup_name(const lookup_key_t *k)
{
    return (ai_str_t) { k->len, k->name };
}


static int
lookup_of_key(const lookup_key_t *k)
{
    return k->len == AI_SHA256_HEX;
}


void
lookup_entry(lookup_t *l, ai_str_t entry, ai_str_t name, ai_str_t edge,
    int clean)
{
    lookup_key_t     *k, **p;
    lookup_waiter_t  *waiter;

    if (entry.len >= LOOKUP_ENTRY_MAX) {
        return;
    }

    if ((!ai_sha256_hex_ok(name) && !ai_keys_tenant_ok(name))
        || !ai_keys_process_ok(edge))
    {
        log_write(LOG_WARN, "lookup", "an entry of %s is malformed",
                  AI_LOOKUP_KEY);
        lookup_acknowledge(l, entry);
        return;
    }

    p = lookup_find(l, name);
    k = *p;
    waiter = NULL;

    if (l->nwaiters < LOOKUP_WAITERS_MAX
        && (k != NULL || l->nkeys < LOOKUP_KEYS_MAX))
    {
        waiter = calloc(1, sizeof(*waiter));
    }

    if (waiter && k == NULL) {
        k = calloc(1, sizeof(*k));

        if (k) {
            k->lookup = l;
            memcpy(k->name, name.data, name.len);
            k->len = name.len;
            k->clean = clean ? 1 : 0;
            *p = k;
            l->nkeys++;
        }
    }

    if (waiter == NULL || k == NULL) {
        free(waiter);
        l->w->metrics.lookups_down_total++;
        lookup_ring(l, name, edge, "down");
        lookup_acknowledge(l, entry);
        return;
    }

    memcpy(waiter->entry, entry.data, entry.len);
    memcpy(waiter->edge, edge.data, edge.len);
    waiter->next = k->waiters;
    k->waiters = waiter;
    l->nwaiters++;

    if (!k->asked) {
        lookup_ask(k);
    }
}


static void
lookup_ask(lookup_key_t *k)
{
    lookup_t    *l;
    const char  *params[1];

    l = k->lookup;
    params[0] = k->name;

    if (!lookup_may(l, k)) {
        l->w->metrics.lookups_refused_total++;
        lookup_answer(k, "down");
        return;
    }

    if (l->db && db_query(l->db, LOOKUP_QUERY_MSEC, lookup_on_result, k,
                          lookup_of_key(k) ? PRINCIPAL_SQL : TENANT_SQL, 1,
                          params)
                 == 0)
    {
        k->asked = 1;
        l->misses -= LOOKUP_MISS;
        l->w->metrics.lookups_total++;
        return;
    }

    /* A restart of Postgres is worth a moment, an outage is not. */
    if (l->db == NULL
        || uv_now(&l->w->loop.uv) - db_away_since(l->db) > LOOKUP_WAIT_MSEC)
    {
        lookup_answer(k, "down");
    }
}


/*
 * A flood of keys that nobody has reaches Postgres at a bounded rate.  A part
 * of it is for addresses that are not of the flood, as far as edges know.
 */

static int
lookup_may(lookup_t *l, const lookup_key_t *k)
{
    uint64_t  now;

    now = uv_now(&l->w->loop.uv);

    if (now > l->misses_msec) {
        l->misses += (int64_t) (now - l->misses_msec) * LOOKUP_MISSES_RATE;
        l->misses_msec = now;

        if (l->misses > LOOKUP_MISSES * LOOKUP_MISS) {
            l->misses = LOOKUP_MISSES * LOOKUP_MISS;
        }
    }

    return l->misses >= (k->clean ? 1 : LOOKUP_MISSES_CLEAN + 1) * LOOKUP_MISS;
}


static void
lookup_walk(lookup_t *l)
{
    unsigned       i;
    lookup_key_t  *k, *next;

    for (i = 0; i < LOOKUP_BUCKETS; i++) {
        for (k = l->keys[i]; k != NULL; k = next) {
            next = k->next;

            if (!k->asked) {
                lookup_ask(k);
            }
        }
    }
}


static void
lookup_on_db_ready(void *data)
{
    lookup_t  *l;

    l = data;

    if (l->upkeep) {
        upkeep_ready(l->upkeep);
    }

    heal_ready(l->heal);
    lookup_walk(l);
}


static void
lookup_on_timer(uv_timer_t *handle)
{
    lookup_t  *l;

    l = handle->data;

    if (l->nkeys > 0) {
        lookup_walk(l);
    }

    if (uv_now(&l->w->loop.uv) >= l->tidy_msec && l->readers == NULL
        && l->w->shards > 0 && redis_ready(l->w->redis))
    {
        l->tidy_msec = uv_now(&l->w->loop.uv) + LOOKUP_TIDY_MSEC;
        lookup_tidy(l);
    }
}


static void
lookup_on_result(db_t *db, const PGresult *res, void *data)
{
    lookup_key_t  *k;

    (void) db;

    k = data;

    if (k->lookup->closing) {
        return;
    }

    if (res == NULL) {
        lookup_answer(k, "down");
        return;
    }

    if (PQresultStatus(res) != PGRES_TUPLES_OK) {
        log_write(LOG_ERROR, "lookup", "%s %s", db_sqlstate(res),
                  PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
        lookup_answer(k, "down");
        return;
    }

    k->status = PQntuples(res) ? "ok" : "none";

    if (PQntuples(res)) {
        k->lookup->misses += LOOKUP_MISS;
    }

    lookup_write(k, res);
}


static void
lookup_write(lookup_key_t *k, const PGresult *res)
{
    if (PQntuples(res) == 0) {
        k->lookup->w->metrics.lookups_unknown_total++;
    }

    if (principal_write(k->lookup->w->redis, lookup_name(k), res,
                        lookup_on_write, k)
        != 0)
    {
        lookup_answer(k, "down");
        return;
    }

    k->lookup->refs++;
}


static void
lookup_on_write(redis_t *rc, ai_resp_t *reply, void *data)
{
    lookup_t            *l;
    lookup_key_t        *k;
    static log_again_t   again;

    (void) rc;

    k = data;
    l = k->lookup;

    if (!l->closing) {
        if (redis_word(reply, "OK")) {
            lookup_answer(k, k->status);

        } else if (redis_word(reply, "OLD")) {
            /* A newer state is there: the edge reads that. */
            lookup_answer(k, "ok");

        } else {
            if (reply && reply->type == AI_RESP_ERROR) {
                log_again(&again, LOG_ERROR, "lookup", "%s", reply->str);
            }

            lookup_answer(k, "down");
        }
    }

    lookup_release(l);
}


/* Rings and acknowledges all who wait, and forgets the key. */

static void
lookup_answer(lookup_key_t *k, const char *status)
{
    lookup_t         *l;
    ai_str_t          text;
    lookup_key_t    **p;
    lookup_waiter_t  *waiter;

    l = k->lookup;

    p = lookup_find(l, lookup_name(k));
    *p = k->next;
    l->nkeys--;

    while ((waiter = k->waiters) != NULL) {
        k->waiters = waiter->next;
        l->nwaiters--;

        text = (ai_str_t) { strlen(waiter->edge), waiter->edge };
        lookup_ring(l, lookup_name(k), text, status);

        text = (ai_str_t) { strlen(waiter->entry), waiter->entry };
        lookup_acknowledge(l, text);

        if (strcmp(status, "down") == 0) {
            l->w->metrics.lookups_down_total++;
        }

        free(waiter);
    }

    free(k);
}


static void
lookup_ring(lookup_t *l, ai_str_t name, ai_str_t edge, const char *status)
{
    char      channel[AI_KEY_MAX], bell[AI_SHA256_HEX + 16];
    ai_buf_t  b;

    if (ai_keys_make(channel, sizeof(channel), AI_KEY_EDGE_CHANNEL, 0, edge)
        == 0)
    {
        return;
    }

    ai_buf_init(&b, bell, sizeof(bell));
    ai_buf_add_z(&b, name.len == AI_SHA256_HEX ? "K" : "T");
    ai_buf_add_str(&b, name);
    ai_buf_add_z(&b, " ");
    ai_buf_add_z(&b, status);
    ai_buf_add_z(&b, "\n");

    /* Where Redis is away, so is the edge's subscription: it asks again. */
    (void) redis_commandf(l->w->redis, NULL, NULL, "PUBLISH %s %b", channel,
                          (ai_str_t) { ai_buf_len(&b), bell });
}


static void
lookup_acknowledge(lookup_t *l, ai_str_t entry)
{
    /* An entry left unacknowledged is answered again, which harms nobody. */
    (void) redis_commandf(l->w->redis, NULL, NULL, "XDEL %s %b",
                          AI_LOOKUP_KEY, entry);
    (void) redis_commandf(l->w->redis, NULL, NULL, "XACK %s %s %b",
                          AI_LOOKUP_KEY, AI_GROUP_WORKERS, entry);
}


/*
 * Readers of the stream that do not beat any more are forgotten with what they
 * held: an edge waits for an answer less long than a death takes to be told.
 */

static void
lookup_tidy(lookup_t *l)
{
    if (redis_commandf(l->w->redis, lookup_on_readers, l,
                       "XINFO CONSUMERS %s %s", AI_LOOKUP_KEY,
                       AI_GROUP_WORKERS)
        == 0)
    {
        l->refs++;
    }
}


/* The name of reader i, empty behind the last. */

static ai_str_t
lookup_reader(const lookup_t *l, size_t i)
{
    if (i >= l->readers->elements || i >= LOOKUP_READERS) {
        return ai_str("");
    }

    return redis_str(redis_item(&l->readers->element[i], 1));
}


static void
lookup_on_readers(redis_t *rc, ai_resp_t *reply, void *data)
{
    char       alive[AI_KEY_MAX], (*members)[AI_PROCESS_ID_MAX + 4];
    size_t     i;
    lookup_t  *l;
    ai_str_t   name, argv[2 + LOOKUP_READERS];

    l = data;
    members = NULL;

    if (reply && reply->type == AI_RESP_ARRAY && reply->elements > 0
        && !l->closing)
    {
        members = calloc(LOOKUP_READERS, sizeof(*members));
    }

    if (members && (l->readers = redis_take(rc)) != NULL) {
        argv[0] = ai_str("ZMSCORE");
        argv[1].data = alive;
        argv[1].len = ai_keys_make(alive, sizeof(alive), AI_KEY_ALIVE, 0,
                                   ai_str(""));

        for (i = 0; name = lookup_reader(l, i), name.len > 0; i++) {
            (void) snprintf(members[i], sizeof(members[i]), "w:%.*s",
                            (int) name.len, name.data);
            argv[2 + i] = (ai_str_t) { strlen(members[i]), members[i] };
        }

        if (i > 0
            && redis_command(rc, lookup_on_beats, l, (unsigned) i + 2, argv)
               == 0)
        {
            l->refs++;

        } else {
            free(l->readers);
            l->readers = NULL;
        }
    }

    free(members);
    lookup_release(l);
}


static void
lookup_on_beats(redis_t *rc, ai_resp_t *reply, void *data)
{
    size_t     i;
    lookup_t  *l;
    ai_str_t   name;

    l = data;

    for (i = 0; reply && reply->type == AI_RESP_ARRAY
                && i < reply->elements; i++)
    {
        name = lookup_reader(l, i);

        if (reply->element[i].type == AI_RESP_NIL && name.len > 0
            && !ai_str_eqz(name, l->w->id))
        {
            (void) redis_commandf(rc, NULL, NULL,
                                  "XGROUP DELCONSUMER %s %s %b",
                                  AI_LOOKUP_KEY, AI_GROUP_WORKERS, name);
        }
    }

    free(l->readers);
    l->readers = NULL;
    lookup_release(l);
}
