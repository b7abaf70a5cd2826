/*
 * Catalogs as a worker reads them: whatever the text, every model asked for
 * has a route with sound parts or none, and an address fit for libcurl.
 */

#include "ai_fuzz.h"

#include "catalog.h"
#include "secret.h"

static const char *const  models[] = {
    "a", "b", "p/x", "q/m/n", "echo/echo", "/", "", NULL
};


static const char *const  allow[] = { "*_API_KEY", "*_BASE_URL", NULL };


static void
route_again(const catalog_t *c, ai_str_t model, uint64_t random)
{
    int       rc;
    char      url[CATALOG_URL_MAX];
    ai_str_t  key;
    route_t   route;

    rc = catalog_route(c, model, random, &route);
    must(rc == 0 || rc == -1);

    if (rc == -1) {
        return;
    }

    must(route.model.len > 0);
    must(route.connect_msec >= 0 && route.first_msec >= 0);
    must(route.idle_msec >= 0 && route.total_msec >= 0);
    must(route.word_delay_msec >= 0);

    if (route.conf == NULL) {
        must(ai_str_eq(route.api, ai_str("echo")));
        return;
    }

    if (catalog_url(&route, url) == 0) {
        must(memchr(url, '\0', sizeof(url)) != NULL);
        must(strncmp(url, "http", 4) == 0 && url[strlen(url) - 1] != '/');
    }

    (void) catalog_key(&route, 0, &key);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int         i;
    ai_str_t    text;
    catalog_t  *c;

    secret_init(NULL, allow);
    text = (ai_str_t) { size, (const char *) data };
    c = catalog_parse(text);

    if (c == NULL) {
        return 0;
    }

    for (i = 0; models[i]; i++) {
        route_again(c, (ai_str_t) { strlen(models[i]), models[i] }, size);
    }

    route_again(c, (ai_str_t) { size < 8 ? size : 8, text.data }, 0);
    catalog_release(c);

    return 0;
}
