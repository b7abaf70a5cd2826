/*
 * Targets in order, whatever chooses among them; what is measured of them.
 */

#include "ai_unit.h"

#include "route.h"


static const char  route_text[] =
    "{\"models\":{"
    "\"w\":{\"routes\":[{\"model\":\"a\",\"provider\":\"p\",\"weight\":8},"
    "{\"model\":\"b\",\"provider\":\"p\",\"weight\":2}],\"fallbacks\":"
    "[{\"model\":\"c\",\"provider\":\"p\"},{\"model\":\"a\","
    "\"provider\":\"q\"},{\"model\":\"b\",\"provider\":\"p\"}]},"
    "\"c\":{\"strategy\":\"cost\",\"routes\":[{\"model\":\"a\","
    "\"provider\":\"p\"},{\"model\":\"b\",\"provider\":\"p\"},{\"model\":"
    "\"c\",\"provider\":\"p\"}],\"fallbacks\":[]},"
    "\"b\":{\"strategy\":\"least_busy\",\"routes\":[{\"model\":\"a\","
    "\"provider\":\"p\",\"weight\":2},{\"model\":\"b\",\"provider\":\"p\"}],"
    "\"fallbacks\":[]},"
    "\"l\":{\"strategy\":\"latency\",\"routes\":[{\"model\":\"a\","
    "\"provider\":\"p\"},{\"model\":\"b\",\"provider\":\"p\"}],"
    "\"fallbacks\":[]},"
    "\"x\":{\"retry\":0,\"routes\":[{\"model\":\"a\",\"provider\":\"p\"}],"
    "\"fallbacks\":[]},"
    "\"y\":{\"retry\":0,\"hedge\":0,\"routes\":[{\"model\":\"a\","
    "\"provider\":\"p\"}],\"fallbacks\":[]}},"
    "\"prices\":{\"p/b\":{\"input\":1},\"p/a\":{\"input\":2}},"
    "\"providers\":{\"p\":{\"api\":\"openai\"},\"q\":{\"api\":\"openai\","
    "\"key\":[\"env:A\",\"env:B\"],\"models\":[\"a\",\"b/c\"]}},\"v\":1}";


static worker_t   route_worker;
static catalog_t  *route_catalog;
static uint64_t   route_seed = 7;


static int
setup(void **state)
{
    (void) state;

    uv_loop_init(&route_worker.loop.uv);
    route_worker.targets = targets_open(&route_worker);
    route_catalog = catalog_parse(Z(route_text));

    return route_worker.targets != NULL && route_catalog != NULL ? 0 : -1;
}


static int
teardown(void **state)
{
    (void) state;

    targets_free(route_worker.targets);
    catalog_release(route_catalog);

    return uv_loop_close(&route_worker.loop.uv);
}


static unsigned
first(const char *model, route_t *route)
{
    assert_int_equal(catalog_route(route_catalog, Z(model),
                                   route_random(&route_seed), route), 0);
    route_choose(&route_worker, route_catalog, route, 1, &route_seed);

    return (unsigned) route->model.data[0];
}


static void
plans(void **state)
{
    unsigned    i, n, b;
    route_t     route;
    route_at_t  at[ROUTE_MAX];

    (void) state;

    for (i = 0, b = 0; i < 200; i++) {
        assert_int_equal(catalog_route(route_catalog, T("w"),
                                       route_random(&route_seed), &route), 0);
        n = route_plan(&route_worker, route_catalog, &route, 0, &route_seed,
                       at);
        assert_int_equal(n, 4);
        assert_int_equal(at[0].asked, 1);
        assert_int_equal(at[1].asked, 0);
        is_str(at[0].model, route.model.data[0] == 'a' ? "a" : "b");
        is_str(at[1].model, route.model.data[0] == 'a' ? "b" : "a");
        is_str(at[2].model, "c");
        is_str(at[3].provider, "q");
        b += route.model.data[0] == 'b';
    }

    assert_true(b > 15 && b < 75);

    /* A name without a model's entry has one. */

    assert_int_equal(catalog_route(route_catalog, T("p/z"), 0, &route), 0);
    assert_int_equal(route_plan(&route_worker, route_catalog, &route, 0,
                                &route_seed, at), 1);
}


static void
again(void **state)
{
    route_t  route;

    (void) state;

    catalog_route(route_catalog, T("w"), 0, &route);
    assert_int_equal(route.again, 1);
    assert_int_equal(route.retries, CATALOG_RETRIES);
    assert_int_equal(route.hedge_msec, -1);
    catalog_route(route_catalog, T("x"), 0, &route);
    assert_int_equal(route.again, 0);
    catalog_route(route_catalog, T("y"), 0, &route);
    assert_int_equal(route.again, 1);
    assert_int_equal(route.hedge_msec, 0);
    catalog_route(route_catalog, T("p/a"), 0, &route);
    assert_int_equal(route.again, 0);

    assert_int_equal(catalog_route(route_catalog, T("q/a"), 0, &route), 0);
    assert_int_equal(route.again, 1);
    assert_int_equal(catalog_route(route_catalog, T("q/b/c"), 0, &route), 0);
    assert_int_equal(catalog_route(route_catalog, T("q/b"), 0, &route), -1);
}


static void
by_cost(void **state)
{
    unsigned    i;
    route_t     route;
    route_at_t  at[ROUTE_MAX];

    (void) state;

    for (i = 0; i < 50; i++) {
        assert_int_equal(first("c", &route), 'b');
    }

    assert_int_equal(route.by, CATALOG_BY_COST);
    assert_int_equal(route_plan(&route_worker, route_catalog, &route, 1,
                                &route_seed, at), 3);
    is_str(at[1].model, "a");
    is_str(at[2].model, "c");
}


static void
by_calls(void **state)
{
    unsigned   i, n[2];
    route_t    route;
    target_t  *calls[30];

    (void) state;

    memset(n, 0, sizeof(n));

    for (i = 0; i < 30; i++) {
        n[first("b", &route) == 'b']++;
        calls[i] = target_began(route_worker.targets, &route);
        assert_non_null(calls[i]);
    }

    assert_int_equal(n[0], 20);
    assert_int_equal(n[1], 10);

    for (i = 0; i < 30; i++) {
        target_ended(calls[i]);
    }

    assert_int_equal(target_busy(route_worker.targets, T("p"), T("a")), 0);
}


static void
by_latency(void **state)
{
    unsigned   i, n;
    route_t    route;
    target_t  *a, *b;

    (void) state;

    assert_int_equal(catalog_call(route_catalog, T("p"), T("a"), &route), 0);
    a = target_began(route_worker.targets, &route);
    target_took(route_worker.targets, a, 1, 5000);

    for (i = 0, n = 0; i < 400; i++) {
        n += first("l", &route) == 'b';
    }

    assert_true(n > 370);       /* it was not measured */

    assert_int_equal(catalog_call(route_catalog, T("p"), T("b"), &route), 0);
    b = target_began(route_worker.targets, &route);
    target_took(route_worker.targets, b, 1, 9000);

    for (i = 0, n = 0; i < 400; i++) {
        n += first("l", &route) == 'b';
    }

    assert_true(n > 0 && n < 40);
    assert_int_equal(target_p95(a, 1), 0);

    for (i = 0; i < 2000; i++) {
        target_took(route_worker.targets, a, 0, 1000 + i % 100 * 10);
    }

    assert_true(target_p95(a, 0) > 1700 && target_p95(a, 0) < 2400);
    assert_true(target_mean(route_worker.targets, T("p"), T("a"), 0) > 1300);
    assert_int_equal(target_mean(route_worker.targets, T("p"), T("a"), 1),
                     5000);
    assert_int_equal(target_mean(route_worker.targets, T("p"), T("x"), 1), 0);
    target_ended(a);
    target_ended(b);
}


static void
bounded(void **state)
{
    char       name[32];
    unsigned   i;
    route_t    route;
    target_t  *one;

    (void) state;

    assert_int_equal(catalog_call(route_catalog, T("p"), T("a"), &route), 0);

    for (i = 0; i < 3 * TARGETS_MAX; i++) {
        snprintf(name, sizeof(name), "m%u", i);
        route.model = Z(name);
        one = target_began(route_worker.targets, &route);
        assert_non_null(one);
        target_ended(one);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(plans),
        cmocka_unit_test(again),
        cmocka_unit_test(by_cost),
        cmocka_unit_test(by_calls),
        cmocka_unit_test(by_latency),
        cmocka_unit_test(bounded)
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
