/*
 * Catalogs: fetch, check, parse, keep.  Owns those it keeps and the fetches
 * under way; waiters belong to their jobs.
 */

#include "catalog.h"

#include <stdlib.h>
#include <string.h>

#include "ai_event.h"
#include "secret.h"
#include "sign.h"


#define CATALOG_LOOP_MAX  (64 * 1024)   /* larger ones are parsed elsewhere */


struct catalog_s {
    char      hex[AI_SHA256_HEX];
    json_t   *root;
    unsigned  refs;
    uint64_t  used;
};

typedef struct catalog_fetch_s  catalog_fetch_t;

struct catalog_fetch_s {
    catalogs_t       *cs;
    char              hex[AI_SHA256_HEX];
    catalog_wait_t   *waits;
    uint64_t          began_msec;
    uint64_t          asked_msec;
    ai_resp_t        *reply;    /* its text, while it is parsed */
    ai_str_t          text;     /* without its signature */
    catalog_t        *catalog;
    uv_work_t         work;
    catalog_fetch_t  *next;
    unsigned          busy:1;   /* a reply or the pool is awaited */
    unsigned          orphan:1; /* catalogs_close has been */
};

struct catalogs_s {
    worker_t         *w;
    catalog_t        *kept[CATALOGS_KEPT];
    uint64_t          clock;
    catalog_fetch_t  *fetches;  /* one a hash: at most the running jobs */
    uv_timer_t        timer;
    log_again_t       refused;
};


static void catalog_on_timer(uv_timer_t *timer);
static void catalog_ask(catalog_fetch_t *f);
static void catalog_on_reply(redis_t *rc, ai_resp_t *reply, void *data);
static void catalog_ring(catalog_fetch_t *f);
static void catalog_work(uv_work_t *work);
static void catalog_worked(uv_work_t *work, int status);
static void catalog_finish(catalog_fetch_t *f, catalog_t *c);
static void catalog_keep(catalogs_t *cs, catalog_t *c);
static void catalog_on_closed(uv_handle_t *handle);
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


catalogs_t *
catalogs_open(worker_t *w)
{
    catalogs_t  *cs;

    cs = calloc(1, sizeof(*cs));
    if (cs == NULL) {
        return NULL;
    }

    cs->w = w;
    uv_timer_init(&w->loop.uv, &cs->timer);
    cs->timer.data = cs;
    uv_timer_start(&cs->timer, catalog_on_timer, CATALOG_RETRY_MSEC,
                   CATALOG_RETRY_MSEC);

    return cs;
}


void
catalogs_close(catalogs_t *cs)
{
    unsigned          i;
    catalog_fetch_t  *f, *next;

    for (f = cs->fetches; f != NULL; f = next) {
        next = f->next;
        f->orphan = 1;

        if (!f->busy) {
            free(f);
        }
    }

    for (i = 0; i < CATALOGS_KEPT; i++) {
        if (cs->kept[i] != NULL) {
            catalog_release(cs->kept[i]);
        }
    }

    uv_close((uv_handle_t *) &cs->timer, catalog_on_closed);
}


static void
catalog_on_closed(uv_handle_t *handle)
{
    free(handle->data);
}


void
catalog_get(catalogs_t *cs, ai_str_t hex, catalog_wait_t *wait)
{
    unsigned          i;
    catalog_t        *c;
    catalog_fetch_t  *f;

    if (hex.len != AI_SHA256_HEX) {
        wait->done(NULL, wait->data);
        return;
    }

    for (i = 0; i < CATALOGS_KEPT; i++) {
        c = cs->kept[i];

        if (c != NULL && memcmp(c->hex, hex.data, hex.len) == 0) {
            c->used = ++cs->clock;
            c->refs++;
            wait->done(c, wait->data);
            return;
        }
    }

    for (f = cs->fetches; f != NULL; f = f->next) {
        if (memcmp(f->hex, hex.data, hex.len) == 0) {
            break;
        }
    }

    if (f == NULL) {
        f = calloc(1, sizeof(*f));

        if (f == NULL) {
            wait->done(NULL, wait->data);
            return;
        }

        f->cs = cs;
        memcpy(f->hex, hex.data, hex.len);
        f->began_msec = uv_now(&cs->w->loop.uv);
        f->work.data = f;
        f->next = cs->fetches;
        cs->fetches = f;
    }

    wait->next = f->waits;
    wait->prev = &f->waits;

    if (f->waits != NULL) {
        f->waits->prev = &wait->next;
    }

    f->waits = wait;

    if (!f->busy) {
        catalog_ask(f);
    }
}


void
catalog_forget(catalog_wait_t *wait)
{
    if (wait->prev == NULL) {
        return;
    }

    *wait->prev = wait->next;

    if (wait->next != NULL) {
        wait->next->prev = wait->prev;
    }

    wait->prev = NULL;
}


void
catalog_release(catalog_t *c)
{
    if (--c->refs == 0) {
        json_decref(c->root);
        free(c);
    }
}


static void
catalog_on_timer(uv_timer_t *timer)
{
    uint64_t          now;
    catalogs_t       *cs;
    catalog_fetch_t  *f, *next;

    cs = timer->data;
    now = uv_now(&cs->w->loop.uv);

    for (f = cs->fetches; f != NULL; f = next) {
        next = f->next;

        if (f->busy) {
            continue;
        }

        if (f->waits == NULL || now >= f->began_msec + CATALOG_WAIT_MSEC) {
            catalog_finish(f, NULL);

        } else {
            catalog_ask(f);
        }
    }
}


static void
catalog_ask(catalog_fetch_t *f)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[2];

    argv[0] = ai_str("GET");
    argv[1].data = key;
    argv[1].len = ai_keys_catalog(key, sizeof(key),
                                  (ai_str_t) { sizeof(f->hex), f->hex });

    if (argv[1].len != 0
        && redis_command(f->cs->w->redis, catalog_on_reply, f, 2, argv) == 0)
    {
        f->busy = 1;
    }
}


static void
catalog_on_reply(redis_t *rc, ai_resp_t *reply, void *data)
{
    ai_str_t          mac;
    const char       *why;
    catalog_fetch_t  *f;

    f = data;
    f->busy = 0;

    if (f->orphan) {
        free(f);
        return;
    }

    if (reply == NULL || reply->type == AI_RESP_ERROR) {
        return;
    }

    if (reply->type != AI_RESP_STRING) {
        f->cs->w->metrics.catalog_misses_total++;
        catalog_ring(f);
        return;
    }

    f->reply = redis_take(rc);

    if (f->reply == NULL) {
        return;
    }

    f->text = redis_str(f->reply);
    mac = ai_sign_catalog_cut(&f->text);
    why = sign_catalog_refused((ai_str_t) { sizeof(f->hex), f->hex }, mac);

    /* As one that is missing: its edge can say what it is. */

    if (why != NULL) {
        log_again(&f->cs->refused, LOG_ERROR, "catalog",
                  "%.16s... is refused: %s", f->hex, why);
        free(f->reply);
        f->reply = NULL;
        catalog_ring(f);
        return;
    }

    f->busy = 1;

    if (reply->len <= CATALOG_LOOP_MAX
        || uv_queue_work(&f->cs->w->loop.uv, &f->work, catalog_work,
                         catalog_worked)
           != 0)
    {
        catalog_work(&f->work);
        catalog_worked(&f->work, 0);
    }
}


/* Asks an edge that used it to SET it again. */

static void
catalog_ring(catalog_fetch_t *f)
{
    char             channel[AI_KEY_MAX], text[AI_SHA256_HEX + 2];
    ai_str_t         argv[3];
    catalog_wait_t  *wait;

    text[0] = AI_BELL_CATALOG;
    memcpy(text + 1, f->hex, AI_SHA256_HEX);
    text[AI_SHA256_HEX + 1] = '\n';

    for (wait = f->waits; wait != NULL; wait = wait->next) {

        argv[1].data = channel;
        argv[1].len = ai_keys_make(channel, sizeof(channel),
                                   AI_KEY_EDGE_CHANNEL, wait->shard,
                                   wait->edge);
        if (wait->edge.len == 0 || argv[1].len == 0) {
            continue;
        }

        argv[0] = ai_str("PUBLISH");
        argv[2] = (ai_str_t) { sizeof(text), text };
        redis_command(f->cs->w->redis, NULL, NULL, 3, argv);
        return;
    }
}


static void
catalog_work(uv_work_t *work)
{
    char              hex[AI_SHA256_HEX];
    catalog_fetch_t  *f;

    f = work->data;
    f->catalog = NULL;

    if (ai_sha256_hex(hex, f->text) == 0
        && memcmp(hex, f->hex, sizeof(hex)) == 0)
    {
        f->catalog = catalog_parse(f->text);
    }
}


static void
catalog_worked(uv_work_t *work, int status)
{
    catalog_fetch_t  *f;

    f = work->data;
    free(f->reply);
    f->reply = NULL;
    f->busy = 0;

    if (status != 0) {
        f->catalog = NULL;
    }

    if (f->orphan) {
        if (f->catalog != NULL) {
            catalog_release(f->catalog);
        }

        free(f);
        return;
    }

    if (f->catalog == NULL) {
        log_write(LOG_ERROR, "catalog", "%.16s... is not what its name says",
                  f->hex);
        catalog_finish(f, NULL);
        return;
    }

    memcpy(f->catalog->hex, f->hex, sizeof(f->hex));
    catalog_keep(f->cs, f->catalog);
    catalog_finish(f, f->catalog);
}


/* Serves those who wait; a fetch with none ends quietly. */

static void
catalog_finish(catalog_fetch_t *f, catalog_t *c)
{
    catalog_fetch_t  **p;
    catalog_wait_t    *wait;

    for (p = &f->cs->fetches; *p != f; p = &(*p)->next) {
        /* void */
    }

    *p = f->next;

    while ((wait = f->waits) != NULL) {
        catalog_forget(wait);

        if (c != NULL) {
            c->refs++;
        }

        wait->done(c, wait->data);
    }

    if (c != NULL) {
        catalog_release(c);
    }

    free(f);
}


static void
catalog_keep(catalogs_t *cs, catalog_t *c)
{
    unsigned  i, oldest;

    oldest = 0;

    for (i = 0; i < CATALOGS_KEPT; i++) {
        if (cs->kept[i] == NULL) {
            oldest = i;
            break;
        }

        if (cs->kept[i]->used < cs->kept[oldest]->used) {
            oldest = i;
        }
    }

    if (cs->kept[oldest] != NULL) {
        catalog_release(cs->kept[oldest]);
    }

    c->used = ++cs->clock;
    c->refs++;
    cs->kept[oldest] = c;
}


/* Its contents. */

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

    route->price.input = catalog_int(price, "input", -1, INT64_MAX);
    route->price.output = catalog_int(price, "output", -1, INT64_MAX);
    route->price.cached = catalog_int(price, "cached", -1, INT64_MAX);
    route->price.cached_write = catalog_int(price, "cached_write", -1,
                                            INT64_MAX);
    route->price.request = catalog_int(price, "request", -1, INT64_MAX);
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
