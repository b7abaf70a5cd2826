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

#endif
