/*
 * Targets of a model, in order.  Owns nothing.
 */

#include "route.h"

#include <string.h>

#include "models.h"


static unsigned route_pick(worker_t *w, const catalog_t *c,
    const route_t *route, int stream, const catalog_at_t *at, unsigned n,
    uint64_t *random);
static double route_score(worker_t *w, const catalog_t *c, catalog_by_e by,
    int stream, const catalog_at_t *at);
static unsigned route_draw(const catalog_at_t *at, unsigned n,
    uint64_t *random);


uint64_t
route_random(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;

    return *random >> 33;
}


void
route_choose(worker_t *w, const catalog_t *c, route_t *route, int stream,
    uint64_t *random)
{
    unsigned       i, n;
    route_t        chosen;
    catalog_at_t   at[ROUTE_MAX];
    const json_t  *entry;

    entry = route->entry;
    n = catalog_targets(entry, at, ROUTE_MAX);
    i = route_pick(w, c, route, stream, at, n, random);

    if (catalog_call(c, at[i].provider, at[i].model, &chosen) == 0) {
        catalog_entry(&chosen, entry);
        *route = chosen;
    }
}


unsigned
route_plan(worker_t *w, const catalog_t *c, const route_t *first, int stream,
    uint64_t *random, route_at_t at[ROUTE_MAX])
{
    unsigned      i, k, n, left;
    catalog_at_t  all[ROUTE_MAX];

    memset(at, 0, ROUTE_MAX * sizeof(*at));
    at[0].provider = first->provider;
    at[0].model = first->model;
    at[0].asked = 1;
    n = 1;

    left = catalog_targets(first->entry, all, ROUTE_MAX);

    while (left != 0 && n < ROUTE_MAX) {
        i = route_pick(w, c, first, stream, all, left, random);

        /* Each once. */

        for (k = 0; k < n; k++) {
            if (ai_str_eq(all[i].provider, at[k].provider)
                && ai_str_eq(all[i].model, at[k].model))
            {
                break;
            }
        }

        if (k == n) {
            at[n].provider = all[i].provider;
            at[n].model = all[i].model;
            n++;
        }

        memmove(all + i, all + i + 1, (--left - i) * sizeof(*all));
    }

    return n;
}


/* One of those that are left: of the routes, which come before the fallbacks,
 * the one with the lowest score, among equals by weight. */

static unsigned
route_pick(worker_t *w, const catalog_t *c, const route_t *route, int stream,
    const catalog_at_t *at, unsigned n, uint64_t *random)
{
    double        score, best;
    unsigned      i, k, equal[ROUTE_MAX];
    catalog_at_t  some[ROUTE_MAX];

    if (n == 0 || at[0].weight == 0) {
        return 0;
    }

    if (route->by == CATALOG_BY_WEIGHT
        || (route->by == CATALOG_BY_LATENCY
            && route_random(random) % ROUTE_EXPLORE == 0))
    {
        return route_draw(at, n, random);
    }

    best = 0;
    memset(equal, 0, sizeof(equal));

    for (i = 0, k = 0; i < n && at[i].weight != 0; i++) {
        score = route_score(w, c, route->by, stream, &at[i]);

        if (k == 0 || score < best) {
            best = score;
            k = 0;

        } else if (score > best) {
            continue;
        }

        equal[k] = i;
        some[k++] = at[i];
    }

    return equal[route_draw(some, k, random)];
}


/* Three tokens in for one out are taken to be what calls are made of. */

static double
route_score(worker_t *w, const catalog_t *c, catalog_by_e by, int stream,
    const catalog_at_t *at)
{
    route_t  route;

    switch (by) {

    case CATALOG_BY_BUSY:
        return (double) target_busy(w->targets, at->provider, at->model)
               / (double) at->weight;

    case CATALOG_BY_LATENCY:
        return (double) target_mean(w->targets, at->provider, at->model,
                                    stream);

    case CATALOG_BY_COST:
        if (catalog_call(c, at->provider, at->model, &route) != 0) {
            return 1e300;
        }

        if (!ai_price_known(&route.price)) {
            models_last(w->models, route.list, route.model, &route.price);
        }

        if (!ai_price_known(&route.price)) {
            return 1e300;
        }

        return 3.0 * (double) ai_price_of(&route.price, 0, AI_PRICE_INPUT)
               + (double) ai_price_of(&route.price, 0, AI_PRICE_OUTPUT);

    default:
        return 0;
    }
}


/* One of the routes by their weights. */

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
