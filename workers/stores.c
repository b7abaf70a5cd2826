/*
 * The connection to Postgres for responses that are kept.  Owns it, and the
 * queries that wait for it.
 */

#include "stored.h"

#include <stdlib.h>
#include <string.h>


/* A query without a connection. */
typedef struct stores_wait_s  stores_wait_t;

struct stores_wait_s {
    stores_wait_t *next;
    db_result_pt   cb;
    void          *data;
    const char    *sql;
    uint64_t       since_msec;
    int            nparams;
    char          *params[STORES_PARAMS];   /* NULL: SQL's */
};

struct stores_s {
    worker_t       *w;
    db_t           *db;         /* NULL: no Postgres */
    uv_timer_t      timer;
    stores_wait_t  *first;
    stores_wait_t **last;
    unsigned        waiting;
};


static void stores_on_ready(void *data);
static void stores_on_timer(uv_timer_t *timer);
static void stores_on_closed(uv_handle_t *handle);
static void stores_next(stores_t *s, int lost);
static int stores_wait(stores_t *s, db_result_pt cb, void *data,
    const char *sql, int nparams, const char *const *params);
static void stores_free(stores_wait_t *q);


stores_t *
stores_open(worker_t *w)
{
    stores_t  *s;

    s = calloc(1, sizeof(*s));

    if (s == NULL) {
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

    uv_close((uv_handle_t *) &s->timer, stores_on_closed);
}


static void
stores_on_closed(uv_handle_t *handle)
{
    free(handle->data);
}


int
stores_query(stores_t *s, db_result_pt cb, void *data, const char *sql,
    int nparams, const char *const *params)
{
    if (s->db == NULL) {
        return -1;
    }

    if (db_ready(s->db) && s->first == NULL) {
        return db_query(s->db, STORED_TIME_MSEC, cb, data, sql, nparams,
                        params);
    }

    return stores_wait(s, cb, data, sql, nparams, params);
}


static int
stores_wait(stores_t *s, db_result_pt cb, void *data, const char *sql,
    int nparams, const char *const *params)
{
    int             i;
    stores_wait_t  *q;

    q = s->waiting < STORES_WAIT_MAX ? calloc(1, sizeof(*q)) : NULL;

    if (q == NULL) {
        return -1;
    }

    q->cb = cb;
    q->data = data;
    q->sql = sql;
    q->nparams = nparams;
    q->since_msec = uv_now(&s->w->loop.uv);

    for (i = 0; i < nparams; i++) {
        q->params[i] = params[i] != NULL ? strdup(params[i]) : NULL;

        if (params[i] != NULL && q->params[i] == NULL) {
            stores_free(q);
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
stores_free(stores_wait_t *q)
{
    int  i;

    for (i = 0; i < q->nparams; i++) {
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
        || db_query(s->db, STORED_TIME_MSEC, q->cb, q->data, q->sql,
                    q->nparams, (const char *const *) q->params)
           != 0)
    {
        q->cb(s->db, NULL, q->data);
    }

    stores_free(q);
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
