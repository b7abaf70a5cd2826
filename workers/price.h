/*
 * A price as the catalog has it (docs/wire.md, 8).  Of the workers and of
 * aictl.
 */

#ifndef PRICE_H
#define PRICE_H

#include <jansson.h>

#include "ai_price.h"

/* What of it is none is as if it were not there; NULL: no price. */
void price_read(const json_t *value, ai_price_t *price);

/*
 * Reads all prices once, into a table (malloc'ed; none: it is left), and puts
 * in the place of each its number there: 0, or -1 no memory, and *table is the
 * caller's all the same.
 */
int price_table(json_t *prices, ai_price_t **table);

#endif
