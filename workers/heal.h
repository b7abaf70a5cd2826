/*
 * Principals that changed in Postgres and not in Redis (docs/wire.md, 7): looks
 * for them and writes them.  Every process does it; who comes second finds it
 * done.  Owns a timer, borrows the worker and the connection of its role.
 */

#ifndef HEAL_H
#define HEAL_H

#include "db.h"
#include "worker.h"

#define HEAL_EVERY_MSEC   10000     /* between two looks */
#define HEAL_SPREAD_MSEC  1000      /* at most that much later */
#define HEAL_WHOLE_MSEC   3600000   /* between looks at all of 25 hours */
#define HEAL_QUERY_MSEC   1500
#define HEAL_PAGE         128       /* keys looked at together */

typedef struct heal_s  heal_t;

/* NULL: no memory. */
heal_t *heal_open(worker_t *w, db_t *db);
/* Each time db or w->redis has become ready: what either may have lost is
 * looked for from the start. */
void heal_ready(heal_t *h);
/* Before db_close; frees itself later in the loop. */
void heal_close(heal_t *h);

#endif
