/*
 * Targets of a model, in order.  Owns nothing.
 */

#include "route.h"

#include <string.h>


static unsigned route_draw(const catalog_at_t *at, unsigned n,
    uint64_t *random);


uint64_t
route_random(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;

    return *random >> 33;
}


unsigned
route_plan(const route_t *first, uint64_t *random, route_at_t at[ROUTE_MAX])
{
    unsigned      i, n, left;
    catalog_at_t  all[ROUTE_MAX];

    memset(at, 0, ROUTE_MAX * sizeof(*at));
    at[0].provider = first->provider;
    at[0].model = first->model;
    at[0].asked = 1;
    n = 1;

    left = catalog_targets(first->entry, all, ROUTE_MAX);

    while (left != 0 && n < ROUTE_MAX) {
        i = all[0].weight != 0 ? route_draw(all, left, random) : 0;

        if (!ai_str_eq(all[i].provider, first->provider)
            || !ai_str_eq(all[i].model, first->model))
        {
            at[n].provider = all[i].provider;
            at[n].model = all[i].model;
            n++;
        }

        memmove(all + i, all + i + 1, (--left - i) * sizeof(*all));
    }

    return n;
}


/* One of the routes, which come before the fallbacks, by their weights. */

static unsigned
route_draw(const catalog_at_t *at, unsigned n, uint64_t *random)
{
    int64_t   sum, r;
    unsigned  i;

    for (i = 0, sum = 0; i < n; i++) {
        sum += at[i].weight;
    }

    r = (int64_t) (route_random(random) % (uint64_t) sum);

    for (i = 0; r >= at[i].weight; i++) {
        r -= at[i].weight;
    }

    return i;
}
