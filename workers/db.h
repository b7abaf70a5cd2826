/*
 * A connection to Postgres in libuv's loop: queries in pipeline mode, answered
 * in order, each within its deadline; reconnects by itself.
 *
 * A db_t owns its connection and the queries that wait for answers.  All calls
 * and callbacks happen in the loop's thread and none blocks; only connecting
 * does (names, password files, TLS), so it happens in libuv's thread pool, at
 * most one at a time, DB_CONNECT_SEC an address.
 */

#ifndef DB_H
#define DB_H

#include <libpq-fe.h>

#include "loop.h"

#define DB_PENDING_MAX   4096           /* queries without an answer */
#define DB_PARAMS_MAX    40
#define DB_CONNECT_SEC   "5"            /* conninfo's connect_timeout wins */
#define DB_BACKOFF_MIN   100            /* ms; doubles, with jitter */
#define DB_BACKOFF_MAX   10000

typedef struct db_s  db_t;

/*
 * res: the server's answer (an error too: PGRES_FATAL_ERROR), after the commit
 * where it succeeded; db_t frees it.  NULL: the connection was lost or the
 * deadline passed, and nobody knows whether the query was done.
 */
typedef void (*db_result_pt)(db_t *db, const PGresult *res, void *data);

/*
 * Begins to connect and keeps on; conninfo is kept, not copied; name is a
 * constant for the log.  ready, which may be NULL, is called after each
 * connect.  NULL: no memory.
 */
db_t *db_open(loop_t *loop, const char *conninfo, const char *name,
    void (*ready)(void *data), void *data);
/* Pending queries get their NULL now; frees itself later in the loop. */
void db_close(db_t *db);

int db_ready(const db_t *db);
/* Milliseconds (of uv_now) since when it is not ready; 0 if it is. */
uint64_t db_away_since(const db_t *db);

/*
 * Sends one statement with text parameters (NULL: SQL's NULL), which are
 * copied.  It is a transaction of its own.  0, or -1 where the connection is
 * not ready or the queue full; the callback is then not called.
 */
int db_query(db_t *db, unsigned timeout_msec, db_result_pt cb, void *data,
    const char *sql, int nparams, const char *const *params);

/* Gives the connection up and makes a new one: for a server that answers and
 * is not the one to talk to (a standby). */
void db_reset(db_t *db);

/* The five characters of an error's SQLSTATE, "" for what is no error. */
const char *db_sqlstate(const PGresult *res);

#endif
