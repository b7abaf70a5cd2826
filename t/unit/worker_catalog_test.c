/*
 * Catalogs and secrets: what a model's name means, which addresses and keys
 * may be used.
 */

#include "ai_unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "catalog.h"
#include "jwks.h"
#include "secret.h"


static const char  catalog_text[] =
    "{\"models\":{\"a/b\":{\"routes\":[{\"model\":\"x\",\"provider\":\"p\"}]},"
    "\"broken\":{\"routes\":[{\"model\":\"x\",\"provider\":\"gone\"}]},"
    "\"empty\":{\"routes\":[]},"
    "\"two\":{\"routes\":[{\"model\":\"x\",\"provider\":\"p\",\"weight\":3},"
    "{\"model\":\"y/z\",\"provider\":\"q\",\"weight\":1}]}},"
    "\"prices\":{\"p/x\":{\"input\":250,\"output\":1000,\"cached\":125}},"
    "\"providers\":{\"p\":{\"api\":\"openai\",\"key\":[\"env:P_API_KEY\"],"
    "\"timeout\":{\"connect\":1,\"first\":2,\"idle\":3,\"total\":4},"
    "\"url\":[\"env:P_BASE_URL\",\"https://p.example/v1/\"]},"
    "\"q\":{\"api\":\"anthropic\",\"key\":[],"
    "\"options\":{\"stream_usage\":\"off\",\"word_delay\":5},"
    "\"url\":[\"http://q.example\"]}},\"v\":1}";

static const char *const  catalog_allow[] = {
    "*_API_KEY", "*_BASE_URL", "OLLAMA_HOST", "PRE_*", NULL
};


static void
routes(void **state)
{
    int         i, p;
    route_t     route;
    catalog_t  *c;

    (void) state;

    c = catalog_parse(Z(catalog_text));
    assert_non_null(c);

    assert_int_equal(catalog_route(c, T("a/b"), 0, &route), 0);
    is_str(route.provider, "p");
    is_str(route.model, "x");
    is_str(route.api, "openai");
    assert_int_equal(route.connect_msec, 1);
    assert_int_equal(route.first_msec, 2);
    assert_int_equal(route.idle_msec, 3);
    assert_int_equal(route.total_msec, 4);
    assert_int_equal(route.stream_usage, 1);
    assert_int_equal(route.price.input, 250);
    assert_int_equal(route.price.output, 1000);
    assert_int_equal(route.price.cached, 125);
    assert_int_equal(route.price.request, -1);

    assert_int_equal(catalog_route(c, T("q/m/n"), 0, &route), 0);
    is_str(route.provider, "q");
    is_str(route.model, "m/n");
    assert_int_equal(route.stream_usage, 0);
    assert_int_equal(route.word_delay_msec, 5);
    assert_int_equal(route.first_msec, 30000);
    assert_int_equal(route.price.input, -1);

    assert_int_equal(catalog_route(c, T("echo/any"), 0, &route), 0);
    is_str(route.api, "echo");
    is_str(route.model, "any");
    assert_int_equal(route.word_delay_msec, 20);

    for (i = 0, p = 0; i < 400; i++) {
        assert_int_equal(catalog_route(c, T("two"), (uint64_t) i, &route), 0);
        p += ai_str_eqz(route.provider, "p");
    }

    assert_int_equal(p, 300);

    assert_int_equal(catalog_route(c, T("none"), 0, &route), -1);
    assert_int_equal(catalog_route(c, T("none/x"), 0, &route), -1);
    assert_int_equal(catalog_route(c, T("p/"), 0, &route), -1);
    assert_int_equal(catalog_route(c, T("/x"), 0, &route), -1);
    assert_int_equal(catalog_route(c, T("empty"), 0, &route), -1);
    assert_int_equal(catalog_route(c, T("broken"), 0, &route), -1);
    assert_int_equal(catalog_route(c, EMPTY, 0, &route), -1);
    assert_int_equal(catalog_route(c, T("two\0x"), 0, &route), -1);

    catalog_release(c);
}


static void
no_catalogs(void **state)
{
    size_t  i;

    static const char *const  bad[] = {
        "", "{", "[]", "{}", "{\"v\":1}", "{\"v\":1,\"models\":{}}",
        "{\"v\":2,\"models\":{},\"providers\":{}}",
        "{\"v\":1,\"models\":[],\"providers\":{}}",
        "{\"v\":1,\"v\":1,\"models\":{},\"providers\":{}}",
        "{\"v\":1,\"models\":{},\"providers\":{}} x"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(catalog_parse(Z(bad[i])));
    }
}


static void
addresses_and_keys(void **state)
{
    char        url[CATALOG_URL_MAX];
    route_t     route;
    ai_str_t    key;
    catalog_t  *c;

    (void) state;

    secret_init(NULL, catalog_allow);
    unsetenv("P_BASE_URL");
    unsetenv("P_API_KEY");

    c = catalog_parse(Z(catalog_text));
    assert_non_null(c);
    assert_int_equal(catalog_route(c, T("p/x"), 0, &route), 0);

    assert_int_equal(catalog_url(&route, url), 0);
    assert_string_equal(url, "https://p.example/v1");
    assert_int_equal(catalog_key(&route, 0, &key), 0);
    assert_int_equal(catalog_key(&route, 1, &key), -1);

    setenv("P_BASE_URL", "http://127.0.0.1:9/v1//", 1);
    setenv("P_API_KEY", "sk", 1);
    assert_int_equal(catalog_url(&route, url), 0);
    assert_string_equal(url, "http://127.0.0.1:9/v1");
    assert_int_equal(catalog_key(&route, 0, &key), 1);
    is_str(key, "sk");

    setenv("P_BASE_URL", "ftp://x", 1);
    assert_int_equal(catalog_url(&route, url), -1);
    setenv("P_BASE_URL", "127.0.0.1:9", 1);
    assert_int_equal(catalog_url(&route, url), -1);
    setenv("P_BASE_URL", "http://a b", 1);
    assert_int_equal(catalog_url(&route, url), -1);
    setenv("P_BASE_URL", "http://", 1);
    assert_int_equal(catalog_url(&route, url), -1);

    assert_int_equal(catalog_route(c, T("q/x"), 0, &route), 0);
    assert_int_equal(catalog_key(&route, 0, &key), -1);
    catalog_release(c);

    c = catalog_parse(T("{\"v\":1,\"models\":{},\"providers\":{\"o\":{\"url\":"
                        "[\"env:OLLAMA_HOST\"]}}}"));
    assert_int_equal(catalog_route(c, T("o/x"), 0, &route), 0);
    setenv("OLLAMA_HOST", "10.0.0.1:11434", 1);
    assert_int_equal(catalog_url(&route, url), 0);
    assert_string_equal(url, "http://10.0.0.1:11434/v1");
    setenv("OLLAMA_HOST", "https://o.example/", 1);
    assert_int_equal(catalog_url(&route, url), 0);
    assert_string_equal(url, "https://o.example/v1");
    setenv("OLLAMA_HOST", "http://o.example/api", 1);
    assert_int_equal(catalog_url(&route, url), 0);
    assert_string_equal(url, "http://o.example/api");
    catalog_release(c);

    c = catalog_parse(T("{\"v\":1,\"models\":{},\"providers\":{\"o\":{\"api\":"
                        "\"ollama\",\"url\":[\"env:OLLAMA_HOST\"]}}}"));
    assert_int_equal(catalog_route(c, T("o/x"), 0, &route), 0);
    setenv("OLLAMA_HOST", "10.0.0.1:11434", 1);
    assert_int_equal(catalog_url(&route, url), 0);
    assert_string_equal(url, "http://10.0.0.1:11434");
    catalog_release(c);
}


static void
variables_that_may_be_read(void **state)
{
    (void) state;

    assert_int_equal(secret_env_allowed(catalog_allow, T("X_API_KEY")), 1);
    assert_int_equal(secret_env_allowed(catalog_allow, T("_API_KEY")), 1);
    assert_int_equal(secret_env_allowed(catalog_allow, T("PRE_X")), 1);
    assert_int_equal(secret_env_allowed(catalog_allow, T("OLLAMA_HOST")), 1);
    assert_int_equal(secret_env_allowed(catalog_allow, T("OLLAMA_HOSTS")), 0);
    assert_int_equal(secret_env_allowed(catalog_allow, T("API_KEY")), 0);
    assert_int_equal(secret_env_allowed(catalog_allow, T("X_API_KEYS")), 0);
    assert_int_equal(secret_env_allowed(catalog_allow, T("PATH")), 0);
    assert_int_equal(secret_env_allowed(catalog_allow, T("A=_API_KEY")), 0);
    assert_int_equal(secret_env_allowed(catalog_allow, T("A\0_API_KEY")), 0);
    assert_int_equal(secret_env_allowed(catalog_allow, EMPTY), 0);
}


static void
files_that_may_be_read(void **state)
{
    char      dir[] = "/tmp/ngx-ai-secret-XXXXXX", path[64], sub[64];
    FILE     *f;
    size_t    i;
    ai_str_t  value;

    static const char *const  bad[] = {
        "", ".", "..", ".hidden", "a/b", "/etc/hostname", "../x", "a b",
        "a\nb", "\x80"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(secret_file_ok(Z(bad[i])), 0);
    }

    assert_int_equal(secret_file_ok(T("openai.key-2_x")), 1);

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/key", dir);
    snprintf(sub, sizeof(sub), "%s/dir", dir);
    assert_int_equal(mkdir(sub, 0700), 0);
    secret_init(dir, catalog_allow);
    assert_int_equal(log_open("/dev/null", LOG_ERROR), 0);

    assert_int_equal(secret_get(T("file:key"), &value), 0);

    f = fopen(path, "w");
    fputs("sk-one \n", f);
    fclose(f);
    assert_int_equal(secret_get(T("file:key"), &value), 1);
    is_str(value, "sk-one");

    f = fopen(path, "w");
    fputs("sk-two", f);
    fclose(f);
    assert_int_equal(secret_get(T("file:key"), &value), 1);
    is_str(value, "sk-one");
    secret_forget();
    assert_int_equal(secret_get(T("file:key"), &value), 1);
    is_str(value, "sk-two");

    assert_int_equal(secret_get(T("file:dir"), &value), 0);
    assert_int_equal(secret_get(T("file:../key"), &value), 0);
    assert_int_equal(secret_get(T("env:PATH"), &value), 0);
    assert_int_equal(secret_get(T("literal"), &value), 1);
    is_str(value, "literal");
    assert_int_equal(secret_get(EMPTY, &value), 0);

    f = fopen(path, "w");
    for (i = 0; i < SECRET_VALUE_MAX + 1; i++) {
        fputc('x', f);
    }
    fclose(f);
    secret_forget();
    assert_int_equal(secret_get(T("file:key"), &value), 0);

    unlink(path);
    rmdir(sub);
    rmdir(dir);
    secret_forget();
}


static void
sets_of_keys(void **state)
{
    size_t      i;
    ai_str_t    url;
    catalog_t  *c;

    static const struct {
        const char *value;
        int64_t     want;
    } ages[] = {
        { "", 300 }, { "no-cache", 300 }, { "max-age", 300 },
        { "max-age=", 300 }, { "max-age=0", 60 }, { "max-age=59", 60 },
        { "max-age=61", 61 }, { "MAX-AGE=600", 600 },
        { "public, max-age=3600, must-revalidate", 3600 },
        { "s-maxage=5,max-age=120", 120 }, { "x-max-age=120", 300 },
        { "max-age=86401", 86400 }, { "max-age=99999999999999999999", 86400 },
        { "max-age=-5", 60 }, { "max-age=x", 60 }
    };

    (void) state;

    c = catalog_parse(T("{\"jwks\":[\"https://a/\",\"https://b/\"],"
                        "\"models\":{},\"prices\":{},\"providers\":{},"
                        "\"v\":1}"));
    assert_non_null(c);
    assert_int_equal(catalog_jwks(c, 0, &url), 1);
    is_str(url, "https://a/");
    assert_int_equal(catalog_jwks(c, 1, &url), 1);
    is_str(url, "https://b/");
    assert_int_equal(catalog_jwks(c, 2, &url), 0);
    catalog_release(c);

    c = catalog_parse(T(catalog_text));
    assert_int_equal(catalog_jwks(c, 0, &url), 0);
    catalog_release(c);

    for (i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
        if (jwks_age(Z(ages[i].value)) != ages[i].want) {
            fail_msg("%s: %ld", ages[i].value,
                     (long) jwks_age(Z(ages[i].value)));
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(routes),
        cmocka_unit_test(no_catalogs),
        cmocka_unit_test(addresses_and_keys),
        cmocka_unit_test(variables_that_may_be_read),
        cmocka_unit_test(files_that_may_be_read),
        cmocka_unit_test(sets_of_keys),
    };

    return run_group(tests);
}
