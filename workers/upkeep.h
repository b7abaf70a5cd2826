/*
 * What the database needs from time to time: the ledger's partitions of the
 * months to come, and an end of responses that have expired.  Every process
 * does it, hourly; who comes second finds it done.  Owns a timer, borrows the
 * connection of the worker's role.
 */

#ifndef UPKEEP_H
#define UPKEEP_H

#include "db.h"

#define UPKEEP_EVERY_MSEC  3600000
#define UPKEEP_RETRY_MSEC  60000
#define UPKEEP_MORE_MSEC   1000         /* while something expired is there */
#define UPKEEP_QUERY_MSEC  30000

typedef struct upkeep_s  upkeep_t;

/* NULL: no memory. */
upkeep_t *upkeep_open(loop_t *loop, db_t *db);
/* Each time db has become ready. */
void upkeep_ready(upkeep_t *u);
/* Before db_close; frees itself later in the loop. */
void upkeep_close(upkeep_t *u);

#endif
