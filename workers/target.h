/*
 * How targets (a provider and a model of its) have done of late in this worker
 * process: calls under way, how long the first token takes.  Kept only of
 * models that choose by it.  targets_t owns its entries.
 */

#ifndef TARGET_H
#define TARGET_H

#include "catalog.h"

#define TARGETS_MAX        1024 /* the one that has rested longest makes room */
#define TARGET_FRESH_MSEC  60000    /* what was measured before says nothing */
#define TARGET_PART        5    /* a measurement moves an average by 1/5 */
#define TARGET_ENOUGH      20   /* measurements make a quantile */

typedef struct targets_s  targets_t;
typedef struct target_s  target_t;

/* NULL: no memory. */
targets_t *targets_open(worker_t *w);
void targets_free(targets_t *t);

/* A call of it begins, and ends; NULL: it is not counted. */
target_t *target_began(targets_t *t, const route_t *route);
void target_ended(target_t *target);
/* Its first token took so long, of an object all of it; where it failed the
 * time that was allowed. */
void target_took(targets_t *t, target_t *target, int stream, uint64_t usec);

/* Calls under way; the mean of what was measured, µs, 0: nothing lately. */
unsigned target_busy(targets_t *t, ai_str_t provider, ai_str_t model);
uint64_t target_mean(targets_t *t, ai_str_t provider, ai_str_t model,
    int stream);
/* What 95 % stay below, µs; 0: too few were measured. */
uint64_t target_p95(const target_t *target, int stream);

#endif
