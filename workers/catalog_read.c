/*
 * What a catalog says: models, their routes, providers and prices.  Owns
 * nothing but what is parsed; a route borrows from its catalog.
 */

#include "catalog_in.h"

#include <stdlib.h>
#include <string.h>

#include "price.h"
#include "secret.h"


static const json_t *catalog_member(const json_t *object, ai_str_t name);
static int catalog_provider(const catalog_t *c, ai_str_t name, ai_str_t model,
    route_t *route);
static int catalog_models(const json_t *entry, uint64_t random,
    ai_str_t *provider, ai_str_t *model);
static int64_t catalog_int(const json_t *object, const char *name,
    int64_t otherwise, int64_t max);
static ai_str_t catalog_str(const json_t *value);
static void catalog_price(const catalog_t *c, route_t *route);
static int catalog_listed(const route_t *route);


catalog_t *
catalog_parse(ai_str_t text)
{
    json_t       *root;
    catalog_t    *c;
    json_int_t    v;

    if (text.len > CATALOG_MAX) {
        return NULL;
    }

    root = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (root == NULL) {
        return NULL;
    }

    v = json_integer_value(json_object_get(root, "v"));

    if (v != 1
        || !json_is_object(json_object_get(root, "models"))
        || !json_is_object(json_object_get(root, "providers"))
        || (c = calloc(1, sizeof(*c))) == NULL)
    {
        json_decref(root);
        return NULL;
    }

    c->root = root;
    c->refs = 1;

    if (price_table(json_object_get(root, "prices"), &c->prices) != 0) {
        catalog_release(c);
        return NULL;
    }

    return c;
}


int
catalog_route(const catalog_t *c, ai_str_t model, uint64_t random,
    route_t *route)
{
    ai_str_t       provider, name;
    const char    *slash;
    const json_t  *entry;

    memset(route, 0, sizeof(*route));
    entry = catalog_member(json_object_get(c->root, "models"), model);

    if (entry != NULL) {
        if (catalog_models(entry, random, &provider, &name) != 0) {
            return -1;
        }

    } else {
        slash = model.len != 0 ? memchr(model.data, '/', model.len) : NULL;

        if (slash == NULL) {
            return -1;
        }

        provider.data = model.data;
        provider.len = (size_t) (slash - model.data);
        name.data = slash + 1;
        name.len = model.len - provider.len - 1;
    }

    if (name.len == 0 || catalog_call(c, provider, name, route) != 0
        || (entry == NULL && !catalog_listed(route)))
    {
        return -1;
    }

    if (entry != NULL) {
        catalog_entry(route, entry);
    }

    return 0;
}


/* Whether its model may be asked for by the provider's own name. */

static int
catalog_listed(const route_t *route)
{
    size_t         i;
    const json_t  *models, *item;

    models = json_object_get(route->conf, "models");

    json_array_foreach(models, i, item) {
        if (ai_str_eq(catalog_str(item), route->model)) {
            return 1;
        }
    }

    return json_array_size(models) == 0;
}


void
catalog_entry(route_t *route, const json_t *entry)
{
    ai_str_t  by;

    route->entry = entry;
    route->retries = (unsigned) catalog_int(entry, "retry", CATALOG_RETRIES,
                                            1000);
    route->hedge_msec = catalog_int(entry, "hedge", -1, 86400000);
    by = catalog_str(json_object_get(entry, "strategy"));
    route->by = ai_str_eqz(by, "least_busy") ? CATALOG_BY_BUSY
                : ai_str_eqz(by, "latency") ? CATALOG_BY_LATENCY
                : ai_str_eqz(by, "cost") ? CATALOG_BY_COST
                                         : CATALOG_BY_WEIGHT;
    route->again |= route->retries != 0 || route->hedge_msec >= 0
                    || json_array_size(json_object_get(entry, "routes"))
                       + json_array_size(json_object_get(entry, "fallbacks"))
                       > 1;
}


int
catalog_call(const catalog_t *c, ai_str_t provider, ai_str_t model,
    route_t *route)
{
    memset(route, 0, sizeof(*route));

    if (catalog_provider(c, provider, model, route) != 0) {
        return -1;
    }

    catalog_price(c, route);

    return 0;
}


const json_t *
catalog_root(const catalog_t *c)
{
    return c->root;
}


int
catalog_jwks(const catalog_t *c, size_t i, ai_str_t *url)
{
    *url = catalog_str(json_array_get(json_object_get(c->root, "jwks"), i));

    return url->len != 0;
}


static int
catalog_models(const json_t *entry, uint64_t random, ai_str_t *provider,
    ai_str_t *model)
{
    size_t         i;
    int64_t        sum, at, weight;
    const json_t  *routes, *route;

    routes = json_object_get(entry, "routes");
    sum = 0;

    json_array_foreach(routes, i, route) {
        sum += catalog_int(route, "weight", 1, 1000000);
    }

    if (sum == 0) {
        return -1;
    }

    at = (int64_t) (random % (uint64_t) sum);

    json_array_foreach(routes, i, route) {
        weight = catalog_int(route, "weight", 1, 1000000);

        if (at < weight) {
            *provider = catalog_str(json_object_get(route, "provider"));
            *model = catalog_str(json_object_get(route, "model"));
            return 0;
        }

        at -= weight;
    }

    return -1;
}


unsigned
catalog_targets(const json_t *entry, catalog_at_t *at, unsigned max)
{
    size_t         i;
    unsigned       n;
    const json_t  *route;

    n = 0;

    json_array_foreach(json_object_get(entry, "routes"), i, route) {
        if (n < max) {
            at[n].provider = catalog_str(json_object_get(route, "provider"));
            at[n].model = catalog_str(json_object_get(route, "model"));
            at[n++].weight = catalog_int(route, "weight", 1, 1000000);
        }
    }

    json_array_foreach(json_object_get(entry, "fallbacks"), i, route) {
        if (n < max) {
            at[n].provider = catalog_str(json_object_get(route, "provider"));
            at[n].model = catalog_str(json_object_get(route, "model"));
            at[n++].weight = 0;
        }
    }

    return n;
}


static int
catalog_provider(const catalog_t *c, ai_str_t name, ai_str_t model,
    route_t *route)
{
    ai_str_t       own;
    const json_t  *timeout, *options, *usage;

    route->provider = name;
    route->model = model;
    route->conf = catalog_member(json_object_get(c->root, "providers"), name);

    if (route->conf == NULL) {
        if (!ai_str_eqz(name, "echo")) {
            return -1;
        }

        route->api = ai_str("echo");

    } else {
        route->api = catalog_str(json_object_get(route->conf, "api"));
    }

    route->list = catalog_str(json_object_get(json_object_get(route->conf,
                                                              "discover"),
                                              "list"));

    route->hedge_msec = -1;
    timeout = json_object_get(route->conf, "timeout");
    route->connect_msec = catalog_int(timeout, "connect", 2000, 86400000);
    route->first_msec = catalog_int(timeout, "first", 30000, 86400000);
    route->idle_msec = catalog_int(timeout, "idle", 60000, 86400000);
    route->total_msec = catalog_int(timeout, "total", 600000, 86400000);

    options = json_object_get(route->conf, "options");
    route->word_delay_msec = catalog_int(options, "word_delay", 20, 60000);
    route->min_rate = catalog_int(options, "min_rate", 0, INT64_MAX);
    usage = json_object_get(options, "stream_usage");
    own = catalog_str(json_object_get(options, "tenant_keys"));
    route->tenant_keys = ai_str_eqz(own, "off") ? CATALOG_OWN_OFF
                         : ai_str_eqz(own, "required") ? CATALOG_OWN_REQUIRED
                                                       : CATALOG_OWN_ON;
    route->again = json_array_size(json_object_get(route->conf, "key")) > 1;
    route->stream_usage = !(json_is_false(usage)
                            || ai_str_eqz(catalog_str(usage), "off"));

    return 0;
}


static void
catalog_price(const catalog_t *c, route_t *route)
{
    char           name[512];
    ai_buf_t       b;
    const json_t  *price;

    ai_buf_init(&b, name, sizeof(name));
    ai_buf_add_str(&b, route->provider);
    ai_buf_add_z(&b, "/");
    ai_buf_add_str(&b, route->model);

    price = b.full ? NULL
            : catalog_member(json_object_get(c->root, "prices"),
                             (ai_str_t) { ai_buf_len(&b), name });

    if (price != NULL) {
        route->price = c->prices[json_integer_value(price)];

    } else {
        ai_price_init(&route->price);
    }
}


/*
 * OLLAMA_HOST is Ollama's own variable, with neither scheme nor path (which
 * its own dialect has itself); all other addresses are written as the SDKs take
 * them.
 */

int
catalog_url(const route_t *route, char *buf)
{
    int            ollama;
    size_t         i, n;
    ai_buf_t       b;
    ai_str_t       name, url;
    const char    *host;
    const json_t  *item;

    json_array_foreach(json_object_get(route->conf, "url"), i, item) {

        name = catalog_str(item);

        if (!secret_get(name, &url)) {
            continue;
        }

        ollama = ai_str_eqz(name, "env:OLLAMA_HOST");

        while (url.len != 0 && url.data[url.len - 1] == '/') {
            url.len--;
        }

        ai_buf_init(&b, buf, CATALOG_URL_MAX);

        if (ollama && memmem(url.data, url.len, "://", 3) == NULL) {
            ai_buf_add_z(&b, "http://");
        }

        ai_buf_add_str(&b, url);
        ai_buf_add(&b, "", 1);

        if (b.full) {
            return -1;
        }

        n = strncmp(buf, "https://", 8) == 0 ? 8
            : strncmp(buf, "http://", 7) == 0 ? 7 : 0;
        host = buf + n;

        if (n == 0 || *host == '\0') {
            return -1;
        }

        for (i = 0; buf[i] != '\0'; i++) {
            if (buf[i] <= ' ' || buf[i] > '~') {
                return -1;
            }
        }

        if (ollama && strchr(host, '/') == NULL
            && !ai_str_eqz(route->api, "ollama"))
        {
            b.pos--;
            ai_buf_add(&b, "/v1", 4);
        }

        return b.full ? -1 : 0;
    }

    return -1;
}


int
catalog_key(const route_t *route, unsigned i, ai_str_t *key)
{
    const json_t  *item;

    item = json_array_get(json_object_get(route->conf, "key"), i);

    return item == NULL ? -1 : secret_get(catalog_str(item), key);
}


static const json_t *
catalog_member(const json_t *object, ai_str_t name)
{
    char  z[512];

    if (name.len == 0 || name.len >= sizeof(z)
        || memchr(name.data, '\0', name.len) != NULL)
    {
        return NULL;
    }

    memcpy(z, name.data, name.len);
    z[name.len] = '\0';

    return json_object_get(object, z);
}


static int64_t
catalog_int(const json_t *object, const char *name, int64_t otherwise,
    int64_t max)
{
    json_int_t     n;
    const json_t  *value;

    value = json_object_get(object, name);

    if (!json_is_integer(value)) {
        return otherwise;
    }

    n = json_integer_value(value);

    return n < 0 || n > max ? otherwise : n;
}


static ai_str_t
catalog_str(const json_t *value)
{
    const char  *z;

    z = json_string_value(value);

    if (z == NULL) {
        return (ai_str_t) { 0, "" };
    }

    return (ai_str_t) { json_string_length(value), z };
}
