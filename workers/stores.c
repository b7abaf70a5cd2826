/*
 * The connection to Postgres for responses that are kept.  Owns it, and the
 * queries that wait for it.
 */

#include "parked.h"

#include <stdlib.h>
#include <string.h>


/* A query without an answer; params are kept of one without a connection. */
typedef struct stores_wait_s  stores_wait_t;

struct stores_wait_s {
    stores_wait_t *next;
    stores_t      *stores;
    db_result_pt   cb;
    void          *data;
    size_t         bytes;
    const char    *sql;
    uint64_t       since_msec;
    int            nparams;
    char          *params[STORES_PARAMS];   /* NULL: SQL's */
};

struct stores_s {
    worker_t       *w;
    db_t           *db;         /* NULL: no Postgres */
    parked_t       *parked;
    size_t          bytes;      /* of all queries */
    uv_timer_t      timer;
    stores_wait_t  *first;
    stores_wait_t **last;
    unsigned        waiting;
};


static void stores_on_ready(void *data);
static void stores_on_timer(uv_timer_t *timer);
static void stores_on_closed(uv_handle_t *handle);
static void stores_next(stores_t *s, int lost);
static int stores_wait(stores_t *s, stores_wait_t *q,
    const char *const *params);
static void stores_on_answer(db_t *db, const PGresult *res, void *data);
static void stores_free(stores_wait_t *q);


stores_t *
stores_open(worker_t *w)
{
    stores_t  *s;

    s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return NULL;
    }

    s->parked = parked_open(w, s);

    if (s->parked == NULL) {
        free(s);
        return NULL;
    }

    s->w = w;
    s->last = &s->first;
    uv_timer_init(&w->loop.uv, &s->timer);
    s->timer.data = s;

    if (w->opt->postgres != NULL) {
        s->db = db_open(&w->loop, w->opt->postgres, "responses",
                        stores_on_ready, s);
    }

    return s;
}


void
stores_close(stores_t *s)
{
    if (s->db != NULL) {
        db_close(s->db);
        s->db = NULL;
    }

    while (s->first != NULL) {
        stores_next(s, 1);
    }

    parked_close(s->parked);
    uv_close((uv_handle_t *) &s->timer, stores_on_closed);
}


static void
stores_on_closed(uv_handle_t *handle)
{
    free(handle->data);
}


int
stores_ready(const stores_t *s)
{
    return s->db != NULL && db_ready(s->db);
}


int
stores_away(const stores_t *s)
{
    uint64_t  since;

    since = s->db != NULL ? db_away_since(s->db) : 0;

    return since != 0
           && uv_now(&s->w->loop.uv) - since >= STORES_AWAY_MSEC;
}


int
stores_any(const stores_t *s)
{
    return s->db != NULL;
}


parked_t *
stores_parked(const stores_t *s)
{
    return s->parked;
}


int
stores_query(stores_t *s, db_result_pt cb, void *data, const char *sql,
    int nparams, const char *const *params)
{
    int             i, rc;
    size_t          bytes;
    uint64_t        now;
    stores_wait_t  *q;

    now = uv_now(&s->w->loop.uv);

    if (s->db == NULL) {
        return -1;
    }

    for (bytes = 0, i = 0; i < nparams; i++) {
        bytes += params[i] != NULL ? strlen(params[i]) : 0;
    }

    q = bytes <= STORES_BYTES_MAX - s->bytes ? calloc(1, sizeof(*q)) : NULL;

    if (q == NULL) {
        return -1;
    }

    q->stores = s;
    q->cb = cb;
    q->data = data;
    q->sql = sql;
    q->nparams = nparams;
    q->bytes = bytes;
    q->since_msec = now;

    if (db_ready(s->db) && s->first == NULL) {
        rc = db_query(s->db, STORED_TIME_MSEC, stores_on_answer, q, sql,
                      nparams, params);

    } else {
        rc = stores_wait(s, q, params);
    }

    if (rc != 0) {
        stores_free(q);
        return -1;
    }

    s->bytes += bytes;

    return 0;
}


static int
stores_wait(stores_t *s, stores_wait_t *q, const char *const *params)
{
    int  i;

    if (s->waiting >= STORES_WAIT_MAX) {
        return -1;
    }

    for (i = 0; i < q->nparams; i++) {
        q->params[i] = params[i] != NULL ? strdup(params[i]) : NULL;

        if (params[i] != NULL && q->params[i] == NULL) {
            return -1;
        }
    }

    *s->last = q;
    s->last = &q->next;

    if (s->waiting++ == 0) {
        uv_timer_start(&s->timer, stores_on_timer, 100, 100);
    }

    return 0;
}


static void
stores_on_answer(db_t *db, const PGresult *res, void *data)
{
    stores_wait_t  *q;

    q = data;
    q->stores->bytes -= q->bytes;
    q->cb(db, res, q->data);
    stores_free(q);
}


static void
stores_free(stores_wait_t *q)
{
    int  i;

    for (i = 0; i < STORES_PARAMS; i++) {
        free(q->params[i]);
    }

    free(q);
}


/* The first of those that wait: asked, or told that nobody answers. */

static void
stores_next(stores_t *s, int lost)
{
    stores_wait_t  *q;

    q = s->first;
    s->first = q->next;

    if (s->first == NULL) {
        s->last = &s->first;
    }

    if (--s->waiting == 0) {
        uv_timer_stop(&s->timer);
    }

    if (lost
        || db_query(s->db, STORED_TIME_MSEC, stores_on_answer, q, q->sql,
                    q->nparams, (const char *const *) q->params)
           != 0)
    {
        stores_on_answer(s->db, NULL, q);
    }
}


static void
stores_on_ready(void *data)
{
    stores_t  *s;

    s = data;

    while (s->first != NULL && db_ready(s->db)) {
        stores_next(s, 0);
    }
}


static void
stores_on_timer(uv_timer_t *timer)
{
    uint64_t   now;
    stores_t  *s;

    s = timer->data;
    now = uv_now(&s->w->loop.uv);

    while (s->first != NULL && now - s->first->since_msec >= STORES_AWAY_MSEC)
    {
        stores_next(s, 1);
    }
}
