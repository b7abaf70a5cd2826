/*
 * An outbox entry as a row of the ledger, and many of them as the arrays of
 * one statement.  A row borrows the bytes of its entry; nothing is owned.
 */

#ifndef LEDGER_ROW_H
#define LEDGER_ROW_H

#include "ai_resp.h"
#include "ai_str.h"

#define LEDGER_COLUMNS  35

/* Parameters: one array a column, in the order of ledger_row_t. */
extern const char  ledger_sql[];
/* Parameters: entry, tenant, record (bytea), error. */
extern const char  ledger_bury_sql[];

typedef struct {
    ai_str_t    entry;                  /* id in the outbox */
    ai_str_t    tenant;                 /* as it came; empty: none */
    ai_str_t    columns[LEDGER_COLUMNS];    /* data NULL: SQL's NULL */
    char        at[40];
    const char *error;                  /* constant; NULL: it can be tried */
} ledger_row_t;

/* Reads one entry of XREADGROUP or inherit: 0, or -1 where it has no id.
 * A column that cannot be read leaves its name in error. */
int ledger_row_parse(ledger_row_t *row, const ai_resp_t *entry);

/*
 * One column of n rows as an array literal, zero-ended, into buf; returns the
 * bytes it takes (the zero byte too), also where size is smaller: then
 * nothing is to be used.
 */
size_t ledger_row_array(char *buf, size_t size, const ledger_row_t *rows,
    unsigned n, unsigned column);

/*
 * The entry as a record (docs/wire.md, 2) in bytea's hex, zero-ended: length,
 * or 0 where it does not fit.  What is no field of a record is left out.
 */
size_t ledger_row_record(char *buf, size_t size, const ai_resp_t *entry);

#endif
