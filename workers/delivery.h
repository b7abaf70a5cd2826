/*
 * How jobs reach the worker: handed over by its bell; or, where a bell may have
 * been lost, found among what Redis says it holds.  Owns those looks.
 */

#ifndef DELIVERY_H
#define DELIVERY_H

#include "worker.h"

#define DELIVERY_PAGE       100     /* about as many members a look's page */
#define DELIVERY_BEATS_MAX  2       /* that show more than the worker has */

typedef struct delivery_s  delivery_t;

/* NULL: no memory. */
delivery_t *delivery_open(worker_t *w);
/* A message of the shard's channel that begins with AI_DELIVERY. */
void delivery_bell(delivery_t *d, unsigned shard, ai_str_t message);
/* Bells may have been lost: looks at what each shard says is held. */
void delivery_look(delivery_t *d);
/* What a beat of the shard was told: it holds that many. */
void delivery_beat(delivery_t *d, unsigned shard, int64_t held);
/* After the loop has run out. */
void delivery_free(delivery_t *d);

#endif
