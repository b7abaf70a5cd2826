/*
 * Which targets (a provider and a model of its) a job may ask, in order: the
 * routes of its model as its strategy has them, then its fallbacks.  Strings
 * borrow from the catalog.
 */

#ifndef ROUTE_H
#define ROUTE_H

#include "catalog.h"

#define ROUTE_MAX  16               /* targets of a model; more are left out */

typedef struct {
    ai_str_t  provider;
    ai_str_t  model;
    uint64_t  ready_msec;           /* not before this */
    uint64_t  open_msec;            /* its breaker is, for so long */
    unsigned  asked:1;
    unsigned  out:1;                /* not again for this job */
} route_at_t;

/* The targets of a model but first (one that was chosen already), which leads
 * them, marked as asked: how many. */
unsigned route_plan(const route_t *first, uint64_t *random,
    route_at_t at[ROUTE_MAX]);
/* The next of a row of random numbers. */
uint64_t route_random(uint64_t *random);

#endif
