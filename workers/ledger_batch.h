/*
 * The inside of the ledger writer: the batch at hand of a shard, between the
 * part that talks to Redis (ledger.c) and the part that talks to Postgres
 * (ledger_write.c).  Nobody else includes this.
 */

#ifndef LEDGER_BATCH_H
#define LEDGER_BATCH_H

#include "db.h"
#include "ledger.h"
#include "ledger_row.h"

typedef enum {
    LEDGER_OFF = 0,             /* the group may not be there */
    LEDGER_CREATING,
    LEDGER_IDLE,
    LEDGER_READING,             /* XREADGROUP or inherit is on its way */
    LEDGER_HOLDING,             /* rows wait for Postgres */
    LEDGER_WRITING,             /* a statement is on its way */
    LEDGER_WRITTEN,             /* committed; Redis is to be told */
    LEDGER_TELLING              /* XDEL and XACK are on their way */
} ledger_state_e;

/*
 * The batch: 0 .. pos are in Postgres / pos .. pos + len are being tried /
 * up to nrows not yet.
 */
typedef struct {
    ledger_t       *ledger;
    ledger_state_e  state;
    char            outbox[AI_KEY_MAX];
    ai_resp_t      *reply;      /* what the rows borrow from */
    ai_resp_t      *entries;    /* its array of entries */
    ledger_row_t   *rows;
    unsigned        nrows;
    unsigned        pos;
    unsigned        len;
    unsigned        tells;      /* replies that are out */
    uint64_t        retry_msec;
    unsigned        backoff_msec;
    uint64_t        claim_msec; /* of the next inherit */
    unsigned        claiming:1;
    unsigned        full:1;     /* the read brought all it asked for */
    unsigned        failed:1;   /* of tells, one at least */
    unsigned        burying:1;  /* the statement is a burial */
    unsigned        again:1;    /* a row alone was refused once */
    unsigned        last:1;     /* the read began in the drain */
    unsigned        drained:1;  /* no more reads */
} ledger_shard_t;

struct ledger_s {
    worker_t       *w;
    db_t           *db;
    uv_timer_t      timer;
    unsigned        nshards;
    unsigned        refs;       /* timer and commands that are out */
    ledger_shard_t  shards[WORKER_SHARDS_MAX];
    unsigned        draining:1;
    unsigned        closing:1;
};

/* Sends the next statement of the batch, or goes on to ledger_tell. */
void ledger_write(ledger_shard_t *s);
/* All is committed: tells Redis. */
void ledger_tell(ledger_shard_t *s);

#endif
