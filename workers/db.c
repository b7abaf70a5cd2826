/*
 * The connection to Postgres.  Owns the PGconn, its poll handle and the queue
 * of pending queries; while a thread connects, the PGconn is the thread's.
 */

#include "db.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ai_crypto.h"
#include "log.h"


#define DB_TICK_MSEC   100
#define DB_SETUP_MSEC  5000     /* deadline of the first statement */

/* What waits for a lock when its deadline passes ends with its connection. */
static const char  db_setup[] = "SET client_connection_check_interval = '1s'";


typedef struct db_pending_s  db_pending_t;

struct db_pending_s {
    db_result_pt  cb;
    void         *data;
    uint64_t      deadline_msec;
    PGresult     *res;          /* kept until the sync tells of the commit */
    db_pending_t *next;
};

/* connecting -> ready -> (lost) waiting -> connecting ... */
typedef enum {
    DB_WAITING = 0,             /* until retry_msec */
    DB_CONNECTING,              /* a thread has conn */
    DB_READY
} db_state_e;

struct db_s {
    loop_t        *loop;
    const char    *conninfo;
    const char    *name;
    void         (*ready)(void *data);
    void          *data;

    db_state_e     state;
    PGconn        *conn;
    uv_poll_t     *poll;
    int            fd;          /* a duplicate of conn's, while poll is set */
    int            events;
    uv_timer_t     tick;
    uv_work_t      work;
    uint64_t       retry_msec;
    uint64_t       away_msec;
    unsigned       backoff_msec;

    db_pending_t  *head;
    db_pending_t **tail;
    unsigned       npending;

    unsigned       closing:1;
    unsigned       tick_closed:1;
    unsigned       dispatching:1;
    unsigned       broken:1;    /* the next tick gives the connection up */
    unsigned       told:1;      /* the log knows that it is away */
};


static void db_tick(uv_timer_t *handle);
static void db_connect(db_t *db);
static void db_connect_work(uv_work_t *work);
static void db_connect_done(uv_work_t *work, int status);
static int db_start(db_t *db);
static void db_on_setup(db_t *db, const PGresult *res, void *data);
static void db_lost(db_t *db, const char *why);
static void db_disconnect(db_t *db);
static void db_fail_pending(db_t *db);
static void db_on_poll(uv_poll_t *handle, int status, int events);
static int db_flush(db_t *db);
static int db_read(db_t *db);
static void db_answer(db_t *db);
static void db_on_tick_closed(uv_handle_t *handle);
static void db_on_poll_closed(uv_handle_t *handle);
static void db_free(db_t *db);
static void db_notice(void *arg, const char *message);


db_t *
db_open(loop_t *loop, const char *conninfo, const char *name,
    void (*ready)(void *data), void *data)
{
    db_t  *db;

    db = calloc(1, sizeof(*db));
    if (db == NULL) {
        return NULL;
    }

    db->loop = loop;
    db->conninfo = conninfo;
    db->name = name;
    db->ready = ready;
    db->data = data;
    db->tail = &db->head;
    db->away_msec = uv_now(&loop->uv);

    uv_timer_init(&loop->uv, &db->tick);
    db->tick.data = db;
    db->work.data = db;
    uv_timer_start(&db->tick, db_tick, DB_TICK_MSEC, DB_TICK_MSEC);

    db_connect(db);

    return db;
}


void
db_close(db_t *db)
{
    db->closing = 1;

    if (db->state == DB_READY) {
        db_disconnect(db);
        db->state = DB_WAITING;
    }

    db_fail_pending(db);
    uv_close((uv_handle_t *) &db->tick, db_on_tick_closed);
}


static void
db_on_tick_closed(uv_handle_t *handle)
{
    db_t  *db;

    db = handle->data;
    db->tick_closed = 1;
    db_free(db);
}


/* The last of timer and thread that is done with it. */

static void
db_free(db_t *db)
{
    if (db->tick_closed && db->state != DB_CONNECTING) {
        free(db);
    }
}


int
db_ready(const db_t *db)
{
    return db->state == DB_READY && !db->broken;
}


uint64_t
db_away_since(const db_t *db)
{
    return db->state == DB_READY ? 0 : db->away_msec;
}


const char *
db_sqlstate(const PGresult *res)
{
    const char  *state;

    state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    return state ? state : "";
}


void
db_reset(db_t *db)
{
    if (db->state == DB_READY) {
        db_lost(db, "given up");
    }
}


static void
db_tick(uv_timer_t *handle)
{
    db_t          *db;
    uint64_t       now;
    db_pending_t  *q;

    db = handle->data;
    now = uv_now(&db->loop->uv);

    if (db->state == DB_WAITING && now >= db->retry_msec) {
        db_connect(db);
        return;
    }

    if (db->state != DB_READY) {
        return;
    }

    if (db->broken) {
        db_lost(db, PQerrorMessage(db->conn));
        return;
    }

    for (q = db->head; q != NULL; q = q->next) {
        if (now >= q->deadline_msec) {
            db_lost(db, "no answer in time");
            return;
        }
    }
}


static void
db_connect(db_t *db)
{
    db->state = DB_CONNECTING;

    if (uv_queue_work(&db->loop->uv, &db->work, db_connect_work,
                      db_connect_done)
        != 0)
    {
        db->conn = NULL;
        db_lost(db, "no thread");
    }
}


static void
db_connect_work(uv_work_t *work)
{
    db_t               *db;
    const char *const   names[] = { "connect_timeout", "application_name",
                                    "dbname", "client_encoding", NULL };
    const char         *values[] = { DB_CONNECT_SEC, NULL, NULL, "UTF8",
                                     NULL };

    db = work->data;
    values[1] = db->name;
    values[2] = db->conninfo;

    db->conn = PQconnectdbParams(names, values, 1);
}


static void
db_connect_done(uv_work_t *work, int status)
{
    db_t  *db;

    db = work->data;
    db->state = DB_WAITING;

    if (db->closing) {
        PQfinish(db->conn);
        db->conn = NULL;
        db_free(db);
        return;
    }

    if (status != 0 || db->conn == NULL) {
        db_lost(db, "no memory");
        return;
    }

    if (PQstatus(db->conn) != CONNECTION_OK || db_start(db) != 0) {
        db_lost(db, PQerrorMessage(db->conn));
        return;
    }

    db->state = DB_READY;

    log_write(LOG_INFO, "db", "%s: connected to Postgres %s", db->name,
              PQparameterStatus(db->conn, "server_version"));
    db->told = 0;

    (void) db_query(db, DB_SETUP_MSEC, db_on_setup, NULL, db_setup, 0, NULL);

    if (db->ready) {
        db->ready(db->data);
    }
}


/*
 * libpq closes its descriptor when it sees an error.  What the loop watches is
 * a duplicate: a number that was closed may be another's by then.
 */

static int
db_start(db_t *db)
{
    PQsetNoticeProcessor(db->conn, db_notice, db);

    if (PQsetnonblocking(db->conn, 1) != 0
        || PQenterPipelineMode(db->conn) != 1)
    {
        return -1;
    }

    db->fd = fcntl(PQsocket(db->conn), F_DUPFD_CLOEXEC, 0);
    if (db->fd < 0) {
        return -1;
    }

    db->poll = malloc(sizeof(uv_poll_t));

    if (db->poll == NULL
        || uv_poll_init(&db->loop->uv, db->poll, db->fd) != 0)
    {
        free(db->poll);
        db->poll = NULL;
        (void) close(db->fd);
        return -1;
    }

    db->poll->data = db;
    db->events = UV_READABLE;

    return uv_poll_start(db->poll, db->events, db_on_poll) == 0 ? 0 : -1;
}


static void
db_on_setup(db_t *db, const PGresult *res, void *data)
{
    (void) data;

    if (res && PQresultStatus(res) != PGRES_COMMAND_OK) {
        log_write(LOG_WARN, "db", "%s: %s", db->name,
                  PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
    }
}


static void
db_notice(void *arg, const char *message)
{
    db_t  *db;

    db = arg;
    log_write(LOG_DEBUG, "db", "%s: %s", db->name, message);
}


static void
db_disconnect(db_t *db)
{
    if (db->poll) {
        uv_poll_stop(db->poll);
        uv_close((uv_handle_t *) db->poll, db_on_poll_closed);
        (void) close(db->fd);
        db->poll = NULL;
    }

    PQfinish(db->conn);
    db->conn = NULL;
}


static void
db_on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}


static void
db_lost(db_t *db, const char *why)
{
    uint32_t  random;

    if (!db->told) {
        log_write(LOG_WARN, "db", "%s: Postgres is away: %.*s", db->name,
                  (int) strcspn(why, "\n"), why);
        db->told = 1;
    }

    if (db->state == DB_READY || db->away_msec == 0) {
        db->away_msec = uv_now(&db->loop->uv);
    }

    db->state = DB_WAITING;
    db->broken = 0;
    db_disconnect(db);

    db->backoff_msec = db->backoff_msec ? db->backoff_msec * 2
                                        : DB_BACKOFF_MIN;
    if (db->backoff_msec > DB_BACKOFF_MAX) {
        db->backoff_msec = DB_BACKOFF_MAX;
    }

    /* Half of it is chance: all processes lose their server together. */
    if (ai_random(&random, sizeof(random)) != 0) {
        random = 0;
    }

    db->retry_msec = uv_now(&db->loop->uv) + db->backoff_msec / 2
                     + random % (db->backoff_msec / 2 + 1);

    db_fail_pending(db);
}


static void
db_fail_pending(db_t *db)
{
    db_pending_t  *q, *next;

    q = db->head;
    db->head = NULL;
    db->tail = &db->head;
    db->npending = 0;

    for ( /* void */ ; q != NULL; q = next) {
        next = q->next;
        q->cb(db, NULL, q->data);
        PQclear(q->res);
        free(q);
    }
}


int
db_query(db_t *db, unsigned timeout_msec, db_result_pt cb, void *data,
    const char *sql, int nparams, const char *const *params)
{
    db_pending_t  *q;

    if (!db_ready(db) || db->npending == DB_PENDING_MAX
        || nparams > DB_PARAMS_MAX)
    {
        return -1;
    }

    q = calloc(1, sizeof(*q));
    if (q == NULL) {
        return -1;
    }

    /* A sync behind each: one that fails aborts no other. */
    if (PQsendQueryParams(db->conn, sql, nparams, NULL, params, NULL, NULL,
                          0)
            != 1
        || PQpipelineSync(db->conn) != 1)
    {
        /* Not ended from in here, where its caller stands. */
        free(q);
        db->broken = 1;
        return -1;
    }

    q->cb = cb;
    q->data = data;
    q->deadline_msec = uv_now(&db->loop->uv) + timeout_msec;

    *db->tail = q;
    db->tail = &q->next;
    db->npending++;

    if (!db->dispatching && db_flush(db) != 0) {
        db->broken = 1;
    }

    return 0;
}


static void
db_on_poll(uv_poll_t *handle, int status, int events)
{
    db_t  *db;

    db = handle->data;

    /* Answers may still be there; the error is always libuv's EBADF. */
    if (status < 0) {
        if (db_read(db) == 0) {
            db_lost(db, "the connection was cut");
        }

        return;
    }

    if ((events & UV_READABLE) && db_read(db) != 0) {
        return;
    }

    if (db->state == DB_READY && db_flush(db) != 0) {
        db_lost(db, PQerrorMessage(db->conn));
    }
}


static int
db_flush(db_t *db)
{
    int  rc, events;

    rc = PQflush(db->conn);
    if (rc < 0) {
        return -1;
    }

    events = rc ? UV_READABLE | UV_WRITABLE : UV_READABLE;

    if (events != db->events) {
        db->events = events;
        uv_poll_start(db->poll, events, db_on_poll);
    }

    return 0;
}


/* Takes all answers that are here: 0, or -1 where the connection has gone. */

static int
db_read(db_t *db)
{
    int            nulls;
    PGconn        *conn;
    PGresult      *res;
    db_pending_t  *q;

    conn = db->conn;
    nulls = 0;

    if (PQconsumeInput(conn) != 1) {
        db_lost(db, PQerrorMessage(conn));
        return -1;
    }

    while (db->head != NULL && !PQisBusy(conn)) {
        res = PQgetResult(conn);
        q = db->head;

        if (res == NULL) {
            /* One ends a query's results; its sync is next. */
            if (++nulls > 1) {
                break;
            }

            continue;
        }

        nulls = 0;

        if (PQresultStatus(res) != PGRES_PIPELINE_SYNC) {
            PQclear(q->res);
            q->res = res;
            continue;
        }

        PQclear(res);
        db_answer(db);

        if (db->conn != conn) {
            return -1;
        }
    }

    if (PQstatus(conn) != CONNECTION_OK) {
        db_lost(db, PQerrorMessage(conn));
        return -1;
    }

    return 0;
}


static void
db_answer(db_t *db)
{
    db_pending_t  *q;

    q = db->head;
    db->head = q->next;
    db->npending--;

    if (db->head == NULL) {
        db->tail = &db->head;
    }

    db->backoff_msec = 0;
    db->dispatching = 1;
    q->cb(db, q->res, q->data);
    db->dispatching = 0;

    PQclear(q->res);
    free(q);
}
