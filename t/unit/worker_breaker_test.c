/*
 * Breakers by a clock of our own: what opens for whom, and how many there are.
 */

#include "ai_unit.h"

#include "breaker_in.h"


static const char  text[] =
    "{\"models\":{},\"prices\":{},\"providers\":{\"p\":{\"api\":\"openai\","
    "\"key\":[],\"url\":[\"http://p\"]}},\"v\":1}";

static worker_t     w;
static breakers_t  *b;
static catalog_t   *catalog;
static route_t      route;


int __wrap_redis_command(redis_t *rc, redis_reply_pt cb, void *data,
    unsigned argc, const ai_str_t *argv);
int __wrap_redis_script(redis_t *rc, ai_script_e script, ai_str_t prefix,
    redis_reply_pt cb, void *data, unsigned argc, const ai_str_t *argv);


int
__wrap_redis_command(redis_t *rc, redis_reply_pt cb, void *data, unsigned argc,
    const ai_str_t *argv)
{
    (void) rc;
    (void) cb;
    (void) data;
    (void) argc;
    (void) argv;

    return -1;
}


int
__wrap_redis_script(redis_t *rc, ai_script_e script, ai_str_t prefix,
    redis_reply_pt cb, void *data, unsigned argc, const ai_str_t *argv)
{
    (void) script;
    (void) prefix;

    return __wrap_redis_command(rc, cb, data, argc, argv);
}


static int
setup(void **state)
{
    (void) state;

    memset(&w, 0, sizeof(w));
    uv_loop_init(&w.loop.uv);
    memcpy(w.id, "w", 2);
    b = breakers_open(&w);
    catalog = catalog_parse(Z(text));

    return b != NULL && catalog != NULL ? 0 : -1;
}


static int
teardown(void **state)
{
    (void) state;

    breakers_close(b);
    uv_run(&w.loop.uv, UV_RUN_DEFAULT);
    catalog_release(catalog);

    return uv_loop_close(&w.loop.uv);
}


static breaker_call_t
call_of(const char *tenant, const char *model)
{
    breaker_call_t  call;

    assert_int_equal(catalog_call(catalog, Z("p"), Z(model), &route), 0);
    memset(&call, 0, sizeof(call));
    call.route = &route;
    call.tenant = Z(tenant);

    return call;
}


static void
fails(const char *tenant, const char *model)
{
    breaker_call_t  call;

    call = call_of(tenant, model);
    breaker_failed(b, BREAKER_MODEL, &call, 0);
}


static void
works(const char *tenant, const char *model)
{
    breaker_call_t  call;

    call = call_of(tenant, model);
    breaker_worked(b, &call, 1);
}


static breaker_e
may(const char *tenant, const char *model)
{
    uint64_t        msec;
    breaker_call_t  call;

    call = call_of(tenant, model);

    return breaker_ask(b, &call, &msec);
}


/* Its calls take thirty seconds each to fail: it is alone, and there is no
 * window that has ten of them. */

static void
a_row_of_timeouts_opens(void **state)
{
    unsigned  i;

    (void) state;

    for (i = 0; i < BREAKER_FAILURES; i++) {
        assert_int_equal(may("lone", "dead"), BREAKER_GO);
        w.loop.uv.time += 30100;
        fails("lone", "dead");
    }

    assert_int_equal(may("lone", "dead"), BREAKER_NO);
    assert_int_equal(may("other", "dead"), BREAKER_GO);
    w.loop.uv.time += BREAKER_OPEN_MSEC;
    assert_int_equal(may("lone", "dead"), BREAKER_PROBE);
}


static void
what_works_ends_the_row(void **state)
{
    unsigned  i;

    (void) state;

    for (i = 0; i < 4 * BREAKER_FAILURES; i++) {
        w.loop.uv.time += 30100;
        fails("lone", "half");

        if (i % (BREAKER_FAILURES - 1) == BREAKER_FAILURES - 2) {
            works("lone", "half");
        }

        assert_int_equal(may("lone", "half"), BREAKER_GO);
    }
}


/* However long its row is. */

static void
one_tenant_does_not_open_it_for_all(void **state)
{
    unsigned  i;

    (void) state;

    for (i = 0; i < 50; i++) {
        w.loop.uv.time += 30100;
        fails("lone", "dead");
    }

    assert_int_equal(may("other", "dead"), BREAKER_GO);

    for (i = 0; i < BREAKER_SHARE; i++) {
        assert_int_equal(may("third", "dead"), BREAKER_GO);
        fails("other", "dead");
    }

    assert_int_equal(may("third", "dead"), BREAKER_NO);
}


/* Another worker opened it for one tenant before it had told anybody of the
 * failures. */

static void
what_opens_elsewhere_counts(void **state)
{
    char       said[BREAKER_NAME_MAX + 32], name[BREAKER_NAME_MAX];
    ai_str_t   text;
    unsigned   i;

    breaker_call_t  call;

    (void) state;

    call = call_of("one", "dead");
    text = breaker_name(name, BREAKER_MODEL, 1, &call);
    text.len = (size_t) snprintf(said, sizeof(said), "O v 1000 1 0 %.*s",
                                 (int) text.len, name);
    text.data = said;

    for (i = 0; i < 9; i++) {
        breakers_heard(b, text);
    }

    assert_int_equal(may("one", "dead"), BREAKER_NO);

    for (i = 0; i < BREAKER_SHARE; i++) {
        assert_int_equal(may("third", "dead"), BREAKER_GO);
        fails("other", "dead");
    }

    assert_int_equal(may("third", "dead"), BREAKER_NO);
}


/* Another worker has closed it: who failed it before may do so again. */

static void
what_is_closed_counts_anew(void **state)
{
    char       said[BREAKER_NAME_MAX + 32], name[BREAKER_NAME_MAX];
    ai_str_t   text;
    unsigned   i;

    breaker_call_t  call;

    (void) state;

    for (i = 0; i < BREAKER_SHARE; i++) {
        fails("one", "dead");
        fails("other", "dead");
    }

    assert_int_equal(may("third", "dead"), BREAKER_NO);
    w.loop.uv.time += BREAKER_OPEN_MSEC;
    assert_int_equal(may("third", "dead"), BREAKER_PROBE);

    call = call_of("third", "dead");
    text = breaker_name(name, BREAKER_MODEL, 0, &call);
    text.len = (size_t) snprintf(said, sizeof(said), "X v %.*s",
                                 (int) text.len, name);
    text.data = said;
    breakers_heard(b, text);

    for (i = 0; i < BREAKER_SHARE; i++) {
        assert_int_equal(may("third", "dead"), BREAKER_GO);
        fails("one", "dead");
        fails("other", "dead");
    }

    assert_int_equal(may("third", "dead"), BREAKER_NO);
}


static void
tenants_are_many(void **state)
{
    char      name[32];
    unsigned  i;

    (void) state;

    for (i = 0; i < BREAKER_FAILURES; i++) {
        fails("lone", "open");
    }

    for (i = 0; i < 100000; i++) {
        (void) snprintf(name, sizeof(name), "%u", i);
        fails(name, name);
        w.loop.uv.time += 4;
        assert_true(b->n <= BREAKERS_MAX);
    }

    assert_int_equal(may("lone", "open"), BREAKER_PROBE);

    for (i = 0; i < BREAKER_FAILURES; i++) {
        (void) snprintf(name, sizeof(name), "%u", i);
        assert_int_equal(may("other", "dead"), BREAKER_GO);
        fails(name, "dead");
        w.loop.uv.time++;
    }

    assert_int_equal(may("other", "dead"), BREAKER_NO);
}


/* A provider that refuses all for ten minutes, and a tenant that makes up names
 * of models meanwhile. */

static void
limits_leave_room(void **state)
{
    char      name[32];
    unsigned  i;

    breaker_call_t  call;

    (void) state;

    for (i = 0; i < 2 * BREAKERS_MAX; i++) {
        (void) snprintf(name, sizeof(name), "%u", i);
        call = call_of("hostile", name);
        breaker_failed(b, BREAKER_LIMIT, &call, BREAKER_BENCH_MAX);
    }

    assert_int_equal(b->n, BREAKERS_MAX);

    for (i = 0; i < BREAKER_FAILURES; i++) {
        assert_int_equal(may("lone", "dead"), BREAKER_GO);
        fails("lone", "dead");
    }

    assert_int_equal(may("lone", "dead"), BREAKER_NO);
    assert_int_equal(b->n, BREAKERS_MAX);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(a_row_of_timeouts_opens, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_works_ends_the_row, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_tenant_does_not_open_it_for_all,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_opens_elsewhere_counts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_closed_counts_anew, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(tenants_are_many, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_leave_room, setup, teardown),
    };

    return run_group(tests);
}
