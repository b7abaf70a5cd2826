/*
 * What a catalog is, for the files that fetch it and read it.
 */

#ifndef CATALOG_IN_H
#define CATALOG_IN_H

#include "catalog.h"

struct catalog_s {
    char        hex[AI_SHA256_HEX];
    json_t     *root;
    ai_price_t *prices;     /* of which the root has the numbers */
    unsigned    refs;
    uint64_t    used;
};

#endif
