/*
 * Catalogs (docs/wire.md, 8): fetched from Redis by their hash, checked,
 * parsed, kept (the 8 used last).  A catalog is counted: whoever got one
 * releases it.
 */

#ifndef CATALOG_H
#define CATALOG_H

#include <jansson.h>

#include "ai_crypto.h"
#include "ai_price.h"
#include "worker.h"

#define CATALOG_MAX           (4 * 1024 * 1024)
#define CATALOGS_KEPT         8
#define CATALOG_WAIT_MSEC     5000      /* then its jobs fail */
#define CATALOG_RETRY_MSEC    200
#define CATALOG_URL_MAX       1024
#define CATALOG_RETRIES       2         /* where a model says nothing */
#define CATALOG_OWN_MAX       24        /* id of a tenant's own key, its zero */

typedef struct catalogs_s  catalogs_t;
typedef struct catalog_s  catalog_t;

/* Embedded in a job that waits for its catalog. */
typedef struct catalog_wait_s  catalog_wait_t;

struct catalog_wait_s {
    /* c is the waiter's now; NULL: it cannot be had. */
    void            (*done)(catalog_t *c, void *data);
    void             *data;
    unsigned          shard;    /* of the edge to ask */
    ai_str_t          edge;
    catalog_wait_t   *next;
    catalog_wait_t  **prev;     /* NULL: does not wait */
};

typedef enum {
    CATALOG_BY_WEIGHT = 0,
    CATALOG_BY_BUSY,
    CATALOG_BY_LATENCY,
    CATALOG_BY_COST
} catalog_by_e;

/* Whose keys of a provider are used. */
typedef enum {
    CATALOG_OWN_ON = 0,         /* the tenant's own, else the platform's */
    CATALOG_OWN_OFF,            /* the platform's */
    CATALOG_OWN_REQUIRED        /* the tenant's own */
} catalog_own_e;

/* What a model's name means for one call; strings borrow from the catalog. */
typedef struct {
    ai_str_t      provider;
    ai_str_t      model;        /* as the provider is asked */
    ai_str_t      api;
    const json_t *conf;         /* the provider's entry; NULL for echo */
    int64_t       connect_msec;
    int64_t       first_msec;
    int64_t       idle_msec;
    int64_t       total_msec;
    int64_t       word_delay_msec;
    int64_t       min_rate;     /* bytes a second, 0: none */
    const json_t *entry;        /* the model's; NULL: asked as provider/model */
    unsigned      retries;      /* more calls of targets that were asked */
    int64_t       hedge_msec;   /* -1: never, 0: by what is measured */
    catalog_by_e  by;           /* how its routes are chosen */
    unsigned      again:1;      /* or there are others */
    unsigned      stream_usage:1;   /* it takes stream_options */
    catalog_own_e tenant_keys;
    char          own[CATALOG_OWN_MAX]; /* the tenant's own key, by its id, in
                                         * place of the provider's; empty: none
                                         * (own.h) */
    ai_price_t    price;
    ai_str_t      list;         /* of its provider's models (models.h), in hex;
                                 * empty: there is none */
} route_t;

/* NULL: no memory. */
catalogs_t *catalogs_open(worker_t *w);
void catalogs_close(catalogs_t *cs);

/* Calls wait->done once, perhaps at once. */
void catalog_get(catalogs_t *cs, ai_str_t hex, catalog_wait_t *wait);
/* Takes a waiter back. */
void catalog_forget(catalog_wait_t *wait);
void catalog_release(catalog_t *c);

/* A catalog from its text: NULL where it is none.  For any thread. */
catalog_t *catalog_parse(ai_str_t text);

/*
 * The route of a model as it was asked, random (any number) choosing among
 * weights: 0, or -1 where there is none.
 */
int catalog_route(const catalog_t *c, ai_str_t model, uint64_t random,
    route_t *route);

/* A target of a model; weight 0: a fallback. */
typedef struct {
    ai_str_t      provider;
    ai_str_t      model;
    int64_t       weight;
} catalog_at_t;

/* Makes a route one of a model's entry, as catalog_route does. */
void catalog_entry(route_t *route, const json_t *entry);

/* Routes, then fallbacks, of a route's entry, which may be NULL: how many. */
unsigned catalog_targets(const json_t *entry, catalog_at_t *at, unsigned max);

/* The same for a provider and a model as it is asked, which are borrowed. */
int catalog_call(const catalog_t *c, ai_str_t provider, ai_str_t model,
    route_t *route);

/* Its JSON, which is its own. */
const json_t *catalog_root(const catalog_t *c);

/* The URL of the i-th set of keys for tokens: 1, or 0 behind the last. */
int catalog_jwks(const catalog_t *c, size_t i, ai_str_t *url);

/*
 * A route's URL, first that is set: 0 and the base without a trailing slash in
 * buf[CATALOG_URL_MAX], or -1.  Its i-th key: 1; 0 where that is not set, -1
 * behind the last.
 */
int catalog_url(const route_t *route, char *buf);
int catalog_key(const route_t *route, unsigned i, ai_str_t *key);

#endif
