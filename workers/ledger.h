/*
 * The outbox on its way to Postgres (docs/wire.md, 6): every worker process
 * takes batches, inserts each with one statement and acknowledges after the
 * commit.  Nothing is lost: what was read and not acknowledged is taken over
 * when its reader is dead (no heartbeat, docs/wire.md, 5).  Nothing is twice:
 * a repeat meets its own primary key.
 *
 * A ledger_t owns its database connection and the batches at hand (one a
 * shard, in Redis' replies); it borrows the worker.  Loop's thread only.
 */

#ifndef LEDGER_H
#define LEDGER_H

#include "worker.h"

#define LEDGER_BATCH        500         /* rows */
#define LEDGER_EVERY_MSEC   75          /* between reads of an empty outbox */
#define LEDGER_CLAIM_MSEC   1000        /* between looks for lost entries */
#define LEDGER_QUERY_MSEC   30000       /* deadline of a statement */

typedef struct ledger_s  ledger_t;

/* Once, before the loop runs; w->opt->ledger_postgres is set.  NULL: no
 * memory. */
ledger_t *ledger_open(worker_t *w);
/* Each time w->redis has become ready and the shards are known. */
void ledger_ready(ledger_t *l, unsigned shards);
/* When no job of this process will settle any more: takes what is in the
 * outbox by now, then no more.  May be called again. */
void ledger_drain(ledger_t *l);
/* 1 when nothing is at hand, or what is cannot go on (no Postgres, no
 * Redis): then it stays in the outbox, for another process. */
int ledger_idle(const ledger_t *l);
/* After the last call of it; frees itself later in the loop. */
void ledger_close(ledger_t *l);

#endif
