/*
 * Lists of models that were fetched (fetch.h), as this process has read them
 * from Redis: their prices, for models that have none in nginx.conf.
 */

#ifndef MODELS_H
#define MODELS_H

#include "ai_models.h"
#include "catalog.h"
#include "worker.h"

#define MODELS_LISTS_MAX   64
#define MODELS_LOOK_MSEC   10000        /* between looks for another text */
#define MODELS_KEPT_MSEC   3600000      /* since a catalog or a call named it */

typedef struct models_s  models_t;

/* NULL: no memory. */
models_t *models_open(worker_t *w);
/* After redis_close; models_free after the loop was closed. */
void models_close(models_t *ms);
void models_free(models_t *ms);

/* A catalog is in use: its lists are read, if they are not yet. */
void models_named(models_t *ms, const catalog_t *c);
/* A call begins of a model that has no price in nginx.conf: a list that does
 * not have it is looked at again, once at a time. */
void models_want(models_t *ms, ai_str_t hex, ai_str_t model);
/*
 * A model's price in the list of this name (in hex; empty: none): 0, and price
 * is filled or, where there is none, left; -1: a list that was not looked at
 * since then (loop_now_usec) is now, ask again.
 */
int models_price(models_t *ms, ai_str_t hex, ai_str_t model,
    uint64_t since_usec, ai_price_t *price);
/* The same as it was read last, where it was: asks nobody. */
void models_last(models_t *ms, ai_str_t hex, ai_str_t model,
    ai_price_t *price);

#endif
