/*
 * What is asked of the ledger: a time and columns to group by.  For
 * aictl_usage.c and aictl_reprice.c alone.
 */

#ifndef AICTL_USAGE_H
#define AICTL_USAGE_H

#include "aictl.h"

#define AICTL_BY_MAX  8

typedef struct {
    const char       *name;
    const char       *sql;
    const char       *title;
} aictl_by_t;

typedef struct {
    int               n;
    const aictl_by_t *by[AICTL_BY_MAX];
    char              since[64];        /* parameters $1 and $2 */
    char              until[64];
    char              from[64];         /* them as SQL */
    char              to[64];
} aictl_usage_t;

/* Reads the options and connects to Postgres: exit code. */
int aictl_usage_asked(aictl_t *a, aictl_usage_t *u);
/* The columns as the beginning of a SELECT list, and as a table's: bytes. */
size_t aictl_usage_columns(const aictl_usage_t *u, char *list, size_t size,
    aictl_column_t *columns);
/* Appends " ORDER BY 1, 2" for n columns; word is ORDER or GROUP. */
void aictl_usage_order(char *sql, size_t size, const char *word, int n);

/* usage --reprice: exit code. */
int aictl_reprice(aictl_t *a, const aictl_usage_t *u);

#endif
