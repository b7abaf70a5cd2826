/*
 * Partitions made ahead, and what has expired dropped, by the functions that
 * are for that.
 */

#include "upkeep.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"


struct upkeep_s {
    db_t       *db;
    uv_timer_t  timer;
    unsigned    refs;           /* timer and query */
    unsigned    asked:1;
    unsigned    closing:1;
};


static void upkeep_on_timer(uv_timer_t *handle);
static void upkeep_on_result(db_t *db, const PGresult *res, void *data);
static void upkeep_on_expired(db_t *db, const PGresult *res, void *data);
static void upkeep_on_closed(uv_handle_t *handle);
static void upkeep_release(upkeep_t *u);


upkeep_t *
upkeep_open(loop_t *loop, db_t *db)
{
    upkeep_t  *u;

    u = calloc(1, sizeof(*u));
    if (u == NULL) {
        return NULL;
    }

    u->db = db;
    u->refs = 1;
    uv_timer_init(&loop->uv, &u->timer);
    u->timer.data = u;

    return u;
}


void
upkeep_ready(upkeep_t *u)
{
    if (!uv_is_active((uv_handle_t *) &u->timer)) {
        uv_timer_start(&u->timer, upkeep_on_timer, 0, 0);
    }
}


void
upkeep_close(upkeep_t *u)
{
    u->closing = 1;
    uv_close((uv_handle_t *) &u->timer, upkeep_on_closed);
}


static void
upkeep_on_closed(uv_handle_t *handle)
{
    upkeep_release(handle->data);
}


static void
upkeep_release(upkeep_t *u)
{
    if (--u->refs == 0) {
        free(u);
    }
}


static void
upkeep_on_timer(uv_timer_t *handle)
{
    upkeep_t  *u;

    u = handle->data;

    uv_timer_start(&u->timer, upkeep_on_timer, UPKEEP_RETRY_MSEC, 0);

    if (!u->asked
        && db_query(u->db, UPKEEP_QUERY_MSEC, upkeep_on_result, u,
                    "SELECT ngxai.make_partitions()", 0, NULL)
           == 0)
    {
        u->asked = 1;
        u->refs++;

        if (db_query(u->db, UPKEEP_QUERY_MSEC, upkeep_on_expired, u,
                     "SELECT ngxai.expire_responses()", 0, NULL)
            == 0)
        {
            u->refs++;
        }
    }
}


static void
upkeep_on_result(db_t *db, const PGresult *res, void *data)
{
    upkeep_t  *u;

    (void) db;

    u = data;
    u->asked = 0;

    if (!u->closing && res != NULL) {
        if (PQresultStatus(res) == PGRES_TUPLES_OK) {
            uv_timer_start(&u->timer, upkeep_on_timer, UPKEEP_EVERY_MSEC, 0);

        } else {
            log_write(LOG_WARN, "db", "partitions of the ledger cannot be "
                      "made now: %s %s", db_sqlstate(res),
                      PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
        }

        if (PQresultStatus(res) == PGRES_TUPLES_OK
            && strcmp(PQgetvalue(res, 0, 0), "0") != 0)
        {
            log_write(LOG_INFO, "db", "made %s partitions of the ledger",
                      PQgetvalue(res, 0, 0));
        }
    }

    upkeep_release(u);
}


/* A few at a time: others ask for keys on this connection. */

static void
upkeep_on_expired(db_t *db, const PGresult *res, void *data)
{
    upkeep_t  *u;

    (void) db;

    u = data;

    if (!u->closing && res != NULL) {

        if (PQresultStatus(res) != PGRES_TUPLES_OK) {
            log_write(LOG_WARN, "db", "expired responses cannot be dropped "
                      "now: %s %s", db_sqlstate(res),
                      PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));

        } else if (strcmp(PQgetvalue(res, 0, 0), "0") != 0) {
            uv_timer_start(&u->timer, upkeep_on_timer, UPKEEP_MORE_MSEC, 0);
        }
    }

    upkeep_release(u);
}
