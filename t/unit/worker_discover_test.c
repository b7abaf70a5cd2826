/*
 * Lists of models: where they are asked for and with what, and what is made of
 * an answer, whoever wrote it.
 */

#include "ai_unit.h"

#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>

#include "ai_models.h"
#include "catalog.h"
#include "fetch.h"
#include "secret.h"

#define HEX  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LIST(type)  "\"discover\":{\"every\":3600,\"list\":\"" HEX            \
                    "\",\"type\":\"" type "\"}"

enum { OPENAI = 0, OPENROUTER, OLLAMA };

static size_t  live, peak;

static const char *const  allowed[] = { "*_API_KEY", "*_BASE_URL", NULL };


static void *
counted_alloc(size_t size)
{
    void  *p;

    p = malloc(size);
    live += p != NULL ? malloc_usable_size(p) : 0;
    peak = live > peak ? live : peak;

    return p;
}


static void
counted_free(void *p)
{
    live -= p != NULL ? malloc_usable_size(p) : 0;
    free(p);
}


/* NULL and why: it is none. */

static ai_models_t *
made(int type, ai_str_t answer, const char **why)
{
    int           rc;
    char         *text;
    size_t        len;
    ai_models_t  *m;

    text = NULL;
    *why = NULL;
    rc = fetch_models.make(type, answer, &text, &len, why);

    if (rc != 0) {
        assert_non_null(*why);
        assert_null(text);
        return NULL;
    }

    assert_null(*why);
    m = ai_models_parse((ai_str_t) { len, text });
    assert_non_null(m);
    free(text);

    return m;
}


static void
lists(void **state)
{
    ai_price_t              price;
    ai_models_t            *m;
    const char             *why;
    const ai_models_row_t  *row;

    (void) state;

    m = made(OPENROUTER, T("{\"data\":[{\"id\":\"b\",\"context_length\":9,"
                           "\"pricing\":{\"prompt\":\"0.000001\","
                           "\"completion\":\"0.000002\",\"request\":\"0.5\","
                           "\"image\":\"3\",\"input_cache_write\":\"-1\"}},"
                           "{\"id\":\"a\",\"top_provider\":"
                           "{\"max_completion_tokens\":7}}],\"x\":[]}"), &why);
    assert_int_equal(m->n, 2);
    row = ai_models_find(m, T("b"));
    assert_int_equal(row->context, 9);
    assert_int_equal(row->output, -1);
    ai_models_price(row, &price);
    assert_true(ai_price_of(&price, 1, AI_PRICE_INPUT) == 1000000000);
    assert_true(ai_price_of(&price, 1, AI_PRICE_OUTPUT) == 2000000000);
    assert_true(ai_price_of(&price, 1, AI_PRICE_REQUEST) == 500000000);
    assert_true(price.tier[0].of[AI_PRICE_IMAGE] == -1);
    assert_true(price.tier[0].of[AI_PRICE_CACHED_WRITE] == -1);
    assert_int_equal(ai_models_find(m, T("a"))->output, 7);
    ai_models_free(m);

    /* Nothing runs at a machine that has nothing. */

    m = made(OLLAMA, T("{ \"models\" : [ ] }"), &why);
    assert_int_equal(m->n, 0);
    ai_models_free(m);
}


/* Of equal names the first counts, wherever it stands. */

static void
names_that_stand_twice(void **state)
{
    char            *text, *p;
    size_t           i, size;
    const char      *why;
    ai_models_t     *m;

    (void) state;

    size = 4096 * 80;
    text = malloc(size);
    assert_non_null(text);
    p = text + sprintf(text, "{\"data\":[");

    for (i = 0; i < 4096; i++) {
        p += sprintf(p, "%s{\"id\":\"m%zu\",\"context_length\":%zu}",
                     i ? "," : "", i % 64, i + 1);
    }

    p += sprintf(p, "]}");
    m = made(OPENAI, (ai_str_t) { (size_t) (p - text), text }, &why);
    assert_int_equal(m->n, 64);

    for (i = 0; i < 64; i++) {
        char  name[8];

        sprintf(name, "m%zu", i);
        assert_int_equal(ai_models_find(m, Z(name))->context, i + 1);
    }

    ai_models_free(m);
    free(text);
}


static void
what_is_no_list(void **state)
{
    size_t        i;
    const char   *why;

    static const struct {
        int         type;
        const char *text;
        const char *why;
    } rows[] = {
        { OPENAI, "", "no list" }, { OPENAI, "[]", "no list" },
        { OPENAI, "<html>", "no list" }, { OPENAI, "{}", "no list" },
        { OPENAI, "{\"data\":{}}", "no list" },
        { OPENAI, "{\"data\":null}", "no list" },
        { OPENAI, "{\"data\":[{\"id\":\"a\"}", "no list" },
        { OPENAI, "{\"data\":[{\"id\":\"a\"}],\"data\":[]}", "no list" },
        { OPENAI, "{\"models\":[{\"name\":\"a\"}]}", "no list" },
        { OLLAMA, "{\"data\":[{\"id\":\"a\"}]}", "no list" },
        { OPENAI, "{\"data\":[]}", "no model" },

        /* Nothing of it has a name: the last good list is better. */

        { OPENAI, "{\"data\":[{\"x\":1},5,\"a\",[],null]}", "no model" },
        { OPENAI, "{\"data\":[{\"id\":\"\"},{\"id\":\"a\\nb\"},"
                  "{\"id\":\"a\\u0000\"},{\"id\":7},"
                  "{\"id\":\"a\",\"id\":\"b\"}]}", "no model" },
        { OLLAMA, "{\"models\":[{}]}", "no model" }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (made(rows[i].type, Z(rows[i].text), &why) != NULL
            || strstr(why, rows[i].why) == NULL)
        {
            fail_msg("%s: %s", rows[i].text, why);
        }
    }
}


/* An answer takes no more than some times its own size, whatever it holds. */

static void
what_fills_memory(void **state)
{
    char          *text;
    size_t         i, k, n, size;
    const char    *why;
    ai_models_t   *m;

    static const char *const  pieces[] = {
        "{},", "[],", "\"\",", "{\"id\":\"a\",\"a\":[[[[[[[[]]]]]]]]},"
    };

    (void) state;

    size = fetch_models.max;
    text = malloc(size);
    assert_non_null(text);
    json_set_alloc_funcs(counted_alloc, counted_free);

    for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        n = (size_t) sprintf(text, "{\"data\":[");
        k = strlen(pieces[i]);

        while (n + k + 2 < size) {
            memcpy(text + n, pieces[i], k);
            n += k;
        }

        memcpy(text + n - 1, "]}", 2);
        live = peak = 0;
        assert_null(made(OPENAI, (ai_str_t) { n + 1, text }, &why));
        assert_string_equal(why, "it has too many models");
        assert_int_equal(live, 0);

        if (peak > 1024 * 1024) {
            fail_msg("%s: %zu bytes", pieces[i], peak);
        }
    }

    /* One model alone. */

    n = (size_t) sprintf(text, "{\"data\":[{\"id\":\"good\"},{\"id\":\"bad\","
                               "\"x\":[");

    while (n + 16 < size) {
        memcpy(text + n, "{},", 3);
        n += 3;
    }

    n = n - 1 + (size_t) sprintf(text + n - 1, "]}]}");
    live = peak = 0;
    m = made(OPENAI, (ai_str_t) { n, text }, &why);
    assert_int_equal(m->n, 1);
    is_str(m->rows[0].id, "good");
    ai_models_free(m);
    assert_int_equal(live, 0);

    if (peak > 1024 * 1024) {
        fail_msg("one model: %zu bytes", peak);
    }

    json_set_alloc_funcs(malloc, free);
    free(text);
}


/* The URL, and the headers, one a line, of the first list of a provider. */

static void
asked(const char *provider, const char *url, const char *headers)
{
    int            rc;
    char           text[4096], got[4096];
    unsigned       i;
    catalog_t     *c;
    fetch_name_t   n;

    snprintf(text, sizeof(text), "{\"models\":{},\"prices\":{},\"providers\":{"
             "\"o\":{\"api\":\"openai\",\"url\":[\"https://o\"]},"
             "\"p\":{%s}},\"v\":1}", provider);
    c = catalog_parse(Z(text));
    assert_non_null(c);
    memset(&n, 0, sizeof(n));
    rc = fetch_models.named(c, 0, &n);

    if (url == NULL) {
        assert_int_equal(rc, -1);
        catalog_release(c);
        return;
    }

    assert_int_equal(rc, 1);
    assert_string_equal(n.name, "p");
    assert_string_equal(n.hex, HEX);
    assert_int_equal(n.age, 3600);
    assert_string_equal(n.url, url);
    got[0] = '\0';

    for (i = 0; i < FETCH_HEADERS_MAX && url[0] != '\0'; i++) {
        if (n.header[i][0] != '\0') {
            strcat(got, n.header[i]);
            strcat(got, "\n");
        }
    }

    assert_string_equal(got, headers);
    memset(&n, 0, sizeof(n));
    assert_int_equal(fetch_models.named(c, 1, &n), 0);
    catalog_release(c);
}


static void
where_and_with_what(void **state)
{
    char  provider[2048], key[1100];

    (void) state;

    secret_init(NULL, allowed);
    setenv("ONE_API_KEY", "sesame", 1);
    setenv("TWO_API_KEY", "AKID:secret", 1);
    setenv("SIX_API_KEY", " {\"type\":\"service_account\"}", 1);
    setenv("SPLIT_API_KEY", "a\r\nX-Evil: 1", 1);
    unsetenv("NO_API_KEY");
    unsetenv("NO_BASE_URL");

    asked("\"api\":\"openai\"," LIST("openai") ",\"key\":[\"env:NO_API_KEY\","
          "\"env:ONE_API_KEY\"],\"url\":[\"https://h/v1/\"]",
          "https://h/v1/models", "Authorization: Bearer sesame\n");
    asked("\"api\":\"anthropic\"," LIST("openai") ",\"key\":["
          "\"env:ONE_API_KEY\"],\"url\":[\"https://h/v1\"]",
          "https://h/v1/models?limit=1000",
          "x-api-key: sesame\nanthropic-version: 2023-06-01\n");
    asked("\"api\":\"openai\"," LIST("ollama") ",\"key\":[],\"url\":["
          "\"http://h:1/v1\"]", "http://h:1/api/tags", "");
    asked("\"api\":\"ollama\"," LIST("ollama") ",\"key\":[],\"url\":["
          "\"http://h:1/x/api\"]", "http://h:1/x/api/tags", "");

    /* The query of a URL, and the lines that all of its calls have. */

    asked("\"api\":\"azure\"," LIST("openai") ",\"key\":[\"env:ONE_API_KEY\"],"
          "\"url\":[\"https://h/openai/?api-version=1\"]",
          "https://h/openai/models?api-version=1", "api-key: sesame\n");
    asked("\"api\":\"anthropic\"," LIST("openai") ",\"key\":[],\"url\":["
          "\"https://h?a=b\"],\"headers\":[\"X-A: b\","
          "\"Anthropic-Version: 1\"]", "https://h/v1/models?limit=1000&a=b",
          "X-A: b\nAnthropic-Version: 1\n");
    asked("\"api\":\"openai\"," LIST("openai") ",\"key\":[\"env:ONE_API_KEY\"],"
          "\"headers\":[\"authorization: Basic x\",\"none\",\"X: a\\nb\"],"
          "\"url\":[\"https://h\"]", "https://h/models",
          "authorization: Basic x\n");

    /* A key that signs or is traded for a token is never sent, nor one that
     * would be two lines, nor half of one. */

    asked("\"api\":\"bedrock\"," LIST("openai") ",\"key\":["
          "\"env:TWO_API_KEY\"],\"url\":[\"https://h/openai/v1\"]", "", "");
    asked("\"api\":\"bedrock\"," LIST("openai") ",\"key\":["
          "\"env:ONE_API_KEY\"],\"url\":[\"https://h/openai/v1\"]",
          "https://h/openai/v1/models", "Authorization: Bearer sesame\n");
    asked("\"api\":\"vertex\"," LIST("openai") ",\"key\":["
          "\"env:SIX_API_KEY\"],\"url\":[\"https://h/v1\"]", "", "");
    asked("\"api\":\"openai\"," LIST("openai") ",\"key\":["
          "\"env:SPLIT_API_KEY\"],\"url\":[\"https://h/v1\"]", "", "");

    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    setenv("LONG_API_KEY", key, 1);
    asked("\"api\":\"openai\"," LIST("openai") ",\"key\":["
          "\"env:LONG_API_KEY\"],\"url\":[\"https://h/v1\"]", "", "");

    /* No address. */

    asked("\"api\":\"openai\"," LIST("openai") ",\"key\":[],\"url\":["
          "\"env:NO_BASE_URL\"]", "", "");
    asked("\"api\":\"openai\"," LIST("openai") ",\"key\":[],\"url\":["
          "\"gopher://h\"]", "", "");
    snprintf(provider, sizeof(provider), "\"api\":\"openai\"," LIST("openai")
             ",\"key\":[],\"url\":[\"https://%.1014s\"]", key);
    asked(provider, "", "");

    /* What cannot be. */

    asked("\"api\":\"openai\"," LIST("other") ",\"key\":[],\"url\":["
          "\"https://h\"]", NULL, NULL);
    asked("\"api\":\"openai\",\"discover\":{\"every\":1,\"list\":\"" HEX
          "\",\"type\":\"openai\"},\"key\":[],\"url\":[\"https://h\"]", NULL,
          NULL);
    asked("\"api\":\"openai\",\"discover\":{\"every\":60,\"list\":\"x\","
          "\"type\":\"openai\"},\"key\":[],\"url\":[\"https://h\"]", NULL,
          NULL);
    asked("\"api\":\"openai\",\"discover\":{},\"key\":[],\"url\":[]", NULL,
          NULL);
}


/* Sets of keys, which come the same way. */

static void
sets_of_keys(void **state)
{
    int            i;
    char          *text, url[1200], catalog[2600];
    size_t         len;
    catalog_t     *c;
    const char    *why;
    fetch_name_t   n;

    static const char  good[] =
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES256\","
        "\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
        "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}]}";
    static const char *const  bad[] = {
        "", "{}", "{\"keys\":[]}", "<html>",
        ("{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":"
         "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}")
    };

    (void) state;

    why = NULL;
    assert_int_equal(fetch_jwks.make(0, Z(good), &text, &len, &why), 0);
    assert_int_equal(len, strlen(good));
    assert_memory_equal(text, good, len);
    free(text);

    for (i = 0; i < 5; i++) {
        why = NULL;
        assert_int_equal(fetch_jwks.make(0, Z(bad[i]), &text, &len, &why), -1);
        assert_non_null(why);
    }

    assert_string_equal(why, "it holds a secret");

    memset(url, 'u', sizeof(url) - 1);
    memcpy(url, "https://", 8);
    url[sizeof(url) - 1] = '\0';
    snprintf(catalog, sizeof(catalog), "{\"jwks\":[\"https://h/k\","
             "\"http://far.example/k\",\"%s\"],\"models\":{},\"prices\":{},"
             "\"providers\":{},\"v\":1}", url);
    c = catalog_parse(Z(catalog));
    assert_non_null(c);

    memset(&n, 0, sizeof(n));
    assert_int_equal(fetch_jwks.named(c, 0, &n), 1);
    assert_string_equal(n.url, "https://h/k");
    assert_string_equal(n.name, n.url);
    assert_int_equal(strlen(n.hex), 64);
    assert_int_equal(fetch_jwks.named(c, 1, &n), -1);
    assert_int_equal(fetch_jwks.named(c, 2, &n), -1);
    assert_int_equal(fetch_jwks.named(c, 3, &n), 0);
    catalog_release(c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(names_that_stand_twice),
        cmocka_unit_test(what_is_no_list),
        cmocka_unit_test(what_fills_memory),
        cmocka_unit_test(where_and_with_what),
        cmocka_unit_test(sets_of_keys)
    };

    return run_group(tests);
}
