/*
 * Keys and tenants that no edge knows (docs/wire.md, 7): asks Postgres, writes
 * what it says to Redis and rings the edges that wait for it.
 *
 * A lookup_t owns its database connection (the worker's role) and what it was
 * handed until that is acknowledged; it borrows the worker.  Loop's thread
 * only.
 */

#ifndef LOOKUP_H
#define LOOKUP_H

#include "worker.h"

#define LOOKUP_KEYS_MAX     4096        /* in flight; more are told "down" */
#define LOOKUP_WAITERS_MAX  16384       /* entries that wait for them */
#define LOOKUP_QUERY_MSEC   1500        /* deadline; edges wait for 2 s */
#define LOOKUP_WAIT_MSEC    1000        /* for a connection just lost */

/*
 * Queries that may come to nothing: so many at once, so many a second, of which
 * some are kept for edges' clients that have not asked in vain lately.  One
 * more is "down".
 */
#define LOOKUP_MISSES       400
#define LOOKUP_MISSES_RATE  200
#define LOOKUP_MISSES_CLEAN 200

typedef struct lookup_s  lookup_t;

/* Once, before the loop runs.  Without w->opt->postgres every key is "down".
 * NULL: no memory. */
lookup_t *lookup_open(worker_t *w);
/* Each time w->redis has become ready. */
void lookup_ready(lookup_t *l);
/*
 * One entry of ai1:lookup: its id, k or t, e and c.  It is answered and
 * acknowledged here, also where it is malformed.  All is copied.
 */
void lookup_entry(lookup_t *l, ai_str_t entry, ai_str_t name, ai_str_t edge,
    int clean);
/* Nobody waits for an answer. */
int lookup_idle(const lookup_t *l);
/* Frees itself later in the loop; what waits stays pending in the stream. */
void lookup_close(lookup_t *l);

#endif
