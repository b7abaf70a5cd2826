/*
 * Which targets (a provider and a model of its) a job may ask, in order: the
 * routes of its model as its strategy has them, then its fallbacks.  Strings
 * borrow from the catalog.
 */

#ifndef ROUTE_H
#define ROUTE_H

#include "target.h"

#define ROUTE_MAX      16           /* targets of a model; more are left out */
#define ROUTE_EXPLORE  20           /* by latency one call in 20 is drawn by
                                     * weight: what was slow may be no more */

typedef struct {
    ai_str_t  provider;
    ai_str_t  model;
    uint64_t  ready_msec;           /* not before this */
    uint64_t  open_msec;            /* its breaker is, for so long */
    unsigned  tried;                /* keys of its, a bit each, that failed */
    unsigned  asked:1;
    unsigned  out:1;                /* not again for this job */
} route_at_t;

/* Where routes are not chosen by weight alone: makes route, one of them, the
 * one to ask first. */
void route_choose(worker_t *w, const catalog_t *c, route_t *route, int stream,
    uint64_t *random);
/* The targets of a model; first (one that was chosen already) leads them,
 * marked as asked: how many. */
unsigned route_plan(worker_t *w, const catalog_t *c, const route_t *first,
    int stream, uint64_t *random, route_at_t at[ROUTE_MAX]);
/* The next of a row of random numbers. */
uint64_t route_random(uint64_t *random);

#endif
