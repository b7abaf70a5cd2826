/*
 * Counters of limits of a day or a month that Redis does not have (docs/
 * wire.md, 13): waits until the ledger has all there is of the tenant, asks it
 * for the sums, writes them by the script seed, and rings the edge that asked.
 *
 * A seeds_t owns its database connection (the worker's role), which it makes
 * when it is first asked, so that a long sum holds up no look-up of a key, and
 * the questions it was handed; it borrows the worker.  Loop's thread only.
 */

#ifndef SEED_H
#define SEED_H

#include "worker.h"

#define SEED_MAX         64             /* questions at a time; then "down" */
#define SEED_POLL_MSEC   20             /* between looks at the outbox */
#define SEED_TIME_MSEC   10000          /* of a question, its sums included */
#define SEED_AWAY_MSEC   3000           /* the same while Postgres is away */
/* So often the tenant has got another record meanwhile: it has calls that the
 * limit does not count, and never will be quiet. */
#define SEED_TRIES       10

typedef struct seeds_s  seeds_t;

/* Once, before the loop runs.  NULL: no memory. */
seeds_t *seeds_open(worker_t *w);
/* One entry of ai1:lookup: its id, s and e.  It is answered and acknowledged
 * here, also where it is malformed.  All is copied. */
void seeds_entry(seeds_t *s, ai_str_t entry, ai_str_t question,
    ai_str_t edge);
/* Nobody waits for an answer. */
int seeds_idle(const seeds_t *s);
/* Frees itself later in the loop. */
void seeds_close(seeds_t *s);

#endif
