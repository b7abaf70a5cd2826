/*
 * Who has keys of his own, as the list of a Postgres says it that is not there,
 * and who waits for them.
 */

#include "ai_unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "own_in.h"


#define PAGE  1000


/* What was asked, and is not answered yet. */
static struct {
    db_result_pt   cb;
    void          *data;
    int            list;
    int64_t        since;
} asked[8];

static unsigned   nasked;
static worker_t   w;
static options_t  opt;
static route_t    route;
static json_t    *conf;
static owns_t    *owns;

int __wrap_stores_query(stores_t *s, db_result_pt cb, void *data,
    const char *sql, int nparams, const char *const *params);


int
__wrap_stores_query(stores_t *s, db_result_pt cb, void *data, const char *sql,
    int nparams, const char *const *params)
{
    (void) s;

    assert_int_equal(nparams, 1);
    assert_true(nasked < sizeof(asked) / sizeof(asked[0]));
    asked[nasked].cb = cb;
    asked[nasked].data = data;
    asked[nasked].list = strstr(sql, "own_since") != NULL;
    asked[nasked].since = asked[nasked].list ? atoll(params[0]) : 0;
    nasked++;

    return 0;
}


static int
setup(void **state)
{
    (void) state;

    setenv("NGXAI_T_OWN", "000102030405060708090a0b0c0d0e0f"
           "101112131415161718191a1b1c1d1e1f", 1);
    memset(&w, 0, sizeof(w));
    opt.postgres = "none";
    opt.master_key = "env:NGXAI_T_OWN";
    w.opt = &opt;
    assert_int_equal(uv_loop_init(&w.loop.uv), 0);
    conf = json_object();
    route.conf = conf;
    route.provider = T("p");
    nasked = 0;
    owns = owns_open(&w);
    assert_non_null(owns);

    return 0;
}


static int
teardown(void **state)
{
    (void) state;

    owns_close(owns);

    while (nasked != 0) {
        nasked--;
        asked[nasked].cb(NULL, NULL, asked[nasked].data);
    }

    uv_run(&w.loop.uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop.uv), 0);
    owns_free(owns);
    json_decref(conf);

    return 0;
}


/* The loop turns so much later. */

static void
later(uint64_t msec)
{
    w.loop.uv.time += msec;
    owns->timer.timer_cb(&owns->timer);
}


static void
column(PGresult *res, int row, int i, const char *text)
{
    assert_int_equal(PQsetvalue(res, row, i, (char *) (uintptr_t) text,
                                (int) strlen(text)), 1);
}


/* Answers what was asked first, which is the list, by n rows from this version
 * and tenant on. */

static void
list(int64_t version, unsigned tenant, unsigned n, const char *keys)
{
    char              text[32];
    void             *data;
    unsigned          i;
    PGresult         *res;
    db_result_pt      cb;
    PGresAttDesc      columns[3];

    memset(columns, 0, sizeof(columns));
    columns[0].name = (char *) (uintptr_t) "v";
    columns[1].name = (char *) (uintptr_t) "tenant";
    columns[2].name = (char *) (uintptr_t) "keys";
    assert_true(nasked != 0 && asked[0].list);
    cb = asked[0].cb;
    data = asked[0].data;
    nasked--;
    memmove(asked, asked + 1, nasked * sizeof(asked[0]));
    res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    assert_int_equal(PQsetResultAttrs(res, 3, columns), 1);

    for (i = 0; i < n; i++) {
        (void) snprintf(text, sizeof(text), "%lld", (long long) version + i);
        column(res, (int) i, 0, text);
        (void) snprintf(text, sizeof(text), "t%u", tenant + i);
        column(res, (int) i, 1, text);
        column(res, (int) i, 2, keys);
    }

    cb(NULL, res, data);
    PQclear(res);
}


static own_e
get(const char *tenant, own_wait_t *wait)
{
    ai_str_t  secret;

    return own_get(owns, (ai_str_t) { strlen(tenant), tenant }, &route, wait,
                   &secret);
}


/* The list from that one to the n-th, page by page. */

static void
rest(unsigned first, unsigned n)
{
    unsigned  i;

    for (i = first; i <= n; i += PAGE) {
        assert_int_equal(nasked, 1);
        assert_int_equal(asked[0].since, i);
        list(i + 1, i, n - i < PAGE ? n - i : PAGE, "1");
    }
}


/* A tenant of whom there is no room for what is known has the platform's key
 * in no case; where others have gone there is room. */

static void
room(void **state)
{
    (void) state;

    later(0);
    rest(0, OWN_TENANTS_MAX + 1);
    assert_int_equal(nasked, 0);
    assert_int_equal(owns->n, OWN_TENANTS_MAX);
    assert_int_equal(get("t1", NULL), OWN_WAIT);
    assert_int_equal(get("t262144", NULL), OWN_AWAY);
    assert_int_equal(get("another", NULL), OWN_AWAY);

    later(OWN_WHOLE_MSEC + 1);
    rest(0, OWN_TENANTS_MAX + 1);
    assert_int_equal(nasked, 0);
    assert_int_equal(get("t262144", NULL), OWN_AWAY);

    /* The first of them has gone, which is known at the end. */

    later(OWN_WHOLE_MSEC + 1);
    list(1, 1, PAGE, "1");
    rest(PAGE, OWN_TENANTS_MAX + 1);
    assert_int_equal(get("t262144", NULL), OWN_AWAY);
    assert_int_equal(asked[0].since, 0);
    list(1, 1, PAGE, "1");
    rest(PAGE, OWN_TENANTS_MAX + 1);
    assert_int_equal(nasked, 0);
    assert_int_equal(get("t262144", NULL), OWN_WAIT);
    assert_int_equal(get("t0", NULL), OWN_NONE);
}


/* Whoever says all the time that something has changed puts nothing off. */

static void
messages(void **state)
{
    uint64_t  due;

    (void) state;

    later(0);
    list(1, 1, 1, "1");
    owns_heard(owns, T("Onobody"));
    due = uv_timer_get_due_in(&owns->timer);
    assert_true(due <= 10);
    w.loop.uv.time += 6;
    owns_heard(owns, T("Onobody"));
    assert_true(uv_timer_get_due_in(&owns->timer) <= 4);
    later(4);
    assert_int_equal(nasked, 1);
    list(1, 1, 1, "1");
    owns_heard(owns, T("Onobody"));
    assert_true(uv_timer_get_due_in(&owns->timer) <= 10);
}


/* A Postgres that is behind what it said, by one restored, say. */

static void
back(void **state)
{
    (void) state;

    later(0);
    list(7, 1, 3, "1");
    later(OWN_LOOK_MSEC);
    assert_int_equal(asked[0].since, 8);
    list(9, 3, 1, "1");
    assert_int_equal(nasked, 0);
    assert_int_equal(get("t2", NULL), OWN_WAIT);
    assert_int_equal(get("t9", NULL), OWN_NONE);

    later(OWN_LOOK_MSEC);
    list(0, 0, 0, "");
    assert_int_equal(nasked, 1);
    assert_int_equal(asked[0].since, 0);
    list(5, 9, 1, "1");
    assert_int_equal(nasked, 0);
    assert_int_equal(get("t2", NULL), OWN_NONE);
    assert_int_equal(get("t9", NULL), OWN_WAIT);
    assert_int_equal(owns->n, 1);

    /* One without any is no reason to ask again and again. */

    later(OWN_LOOK_MSEC);
    list(0, 0, 0, "");
    list(0, 0, 0, "");
    assert_int_equal(nasked, 0);
    assert_int_equal(owns->n, 0);
}


/* A job that waits. */

static own_wait_t  wait_for;
static unsigned    done_away, done_known;
static own_e       done_got;


static void
done(void *data, int away)
{
    (void) data;

    done_away += away != 0;
    done_known += away == 0;
    done_got = get("t1", &wait_for);
}


/* A job waits for 8 s, however often its tenant's keys change meanwhile. */

static void
changes(void **state)
{
    unsigned       i;
    PGresult      *res;
    PGresAttDesc   columns[7];

    (void) state;

    memset(columns, 0, sizeof(columns));

    for (i = 0; i < 7; i++) {
        columns[i].name = (char *) (uintptr_t) "x";
    }

    wait_for.done = done;
    later(0);
    list(1, 1, 1, "1");
    uv_timer_stop(&owns->timer);
    assert_int_equal(get("t1", &wait_for), OWN_WAIT);

    for (i = 0; i < 12 && done_got == OWN_NONE + (i != 0) * OWN_WAIT; i++) {
        assert_int_equal(nasked, 1);
        assert_false(asked[0].list);
        nasked = 0;
        owns_heard(owns, T("Ot1"));
        uv_timer_stop(&owns->timer);
        wait_for.since_msec -= 1000;

        res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
        assert_int_equal(PQsetResultAttrs(res, 7, columns), 1);
        column(res, 0, 0, "1");
        column(res, 0, 1, "p");
        column(res, 0, 2, "pk_0123456789abcdef");
        column(res, 0, 3, "dk_0123456789abcdef");
        column(res, 0, 4, "00");
        column(res, 0, 5, "key:0");
        column(res, 0, 6, "00");
        asked[0].cb(NULL, res, asked[0].data);
        PQclear(res);

        while (owns->working != 0) {
            uv_run(&w.loop.uv, UV_RUN_ONCE);
        }
    }

    assert_int_equal(done_got, OWN_AWAY);
    assert_int_equal(owns->nwaits, 0);
    assert_in_range(i, 8, 9);

    /* The next one waits for its own. */

    assert_int_equal(get("t1", &wait_for), OWN_WAIT);
    own_forget(&wait_for);
    assert_int_equal(owns->nwaits, 0);
}


/* What nobody waits for any more is not opened: while a KMS hangs there would
 * be more and more of it. */

static void
nobody(void **state)
{
    unsigned       i;
    PGresult      *res;
    PGresAttDesc   columns[7];

    (void) state;

    memset(columns, 0, sizeof(columns));

    for (i = 0; i < 7; i++) {
        columns[i].name = (char *) (uintptr_t) "x";
    }

    wait_for.done = done;
    later(0);
    list(1, 1, 1, "1");
    assert_int_equal(get("t1", &wait_for), OWN_WAIT);
    own_forget(&wait_for);
    res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    assert_int_equal(PQsetResultAttrs(res, 7, columns), 1);
    column(res, 0, 0, "1");
    nasked = 0;
    asked[0].cb(NULL, res, asked[0].data);
    PQclear(res);
    assert_int_equal(owns->working, 0);
    assert_null(owns->works);
    assert_int_equal(get("t1", &wait_for), OWN_WAIT);
    assert_int_equal(nasked, 1);
    own_forget(&wait_for);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(room, setup, teardown),
        cmocka_unit_test_setup_teardown(messages, setup, teardown),
        cmocka_unit_test_setup_teardown(back, setup, teardown),
        cmocka_unit_test_setup_teardown(changes, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
