/*
 * Deliveries: what is read of a good one, and what is none.
 */

#include "ai_unit.h"

#include "ai_delivery.h"

#define JOB   "job_0123456789abcdef0123456789abcdef"


static void
good(void **state)
{
    ai_delivery_t  d;

    (void) state;

    assert_int_equal(ai_delivery_parse(
        T("J" JOB " 1 - 1700000000000000 0 7 0 4\nspec{body}"), &d), 0);
    assert_true(ai_str_eqz(d.job, JOB));
    assert_int_equal(d.attempt, 1);
    assert_int_equal(d.cause.len, 0);
    assert_true(ai_str_eqz(d.at_usec, "1700000000000000"));
    assert_int_equal(d.queue_usec, 0);
    assert_int_equal(d.bytes, 7);
    assert_int_equal(d.pieces, 0);
    assert_true(ai_str_eqz(d.spec, "spec"));
    assert_true(ai_str_eqz(d.body, "{body}"));

    assert_int_equal(ai_delivery_parse(
        T("J" JOB " 4294967295 lost 1 99 5000000 77 2\na\n"), &d), 0);
    assert_true(d.attempt == UINT32_MAX);
    assert_true(ai_str_eqz(d.cause, "lost"));
    assert_int_equal(d.queue_usec, 99);
    assert_int_equal(d.bytes, 5000000);
    assert_int_equal(d.pieces, 77);
    assert_true(ai_str_eqz(d.spec, "a\n"));
    assert_int_equal(d.body.len, 0);

    assert_int_equal(ai_delivery_parse(T("J" JOB " 1 - 1 0 0 0 0\n"), &d), 0);
    assert_int_equal(d.spec.len + d.body.len, 0);
}


static void
bad(void **state)
{
    size_t         i;
    ai_delivery_t  d;

    static const char *const  texts[] = {
        "",
        "J",
        "X" JOB " 1 - 1 0 0 0 0\n",
        "J" JOB " 1 - 1 0 0 0 0",
        "Jjob_1 1 - 1 0 0 0 0\n",
        "J" JOB " 0 - 1 0 0 0 0\n",
        "J" JOB " 4294967296 - 1 0 0 0 0\n",
        "J" JOB " -1 - 1 0 0 0 0\n",
        "J" JOB " 1  1 0 0 0 0\n",
        "J" JOB " 1 Lost 1 0 0 0 0\n",
        "J" JOB " 1 abcdefghijklmnopqrstuvwxyzabcdefg 1 0 0 0 0\n",
        "J" JOB " 1 - 12345678901234567 0 0 0 0\n",
        "J" JOB " 1 - 1x 0 0 0 0\n",
        "J" JOB " 1 - 1 -5 0 0 0\n",
        "J" JOB " 1 - 1 0 x 0 0\n",
        "J" JOB " 1 - 1 0 0 4294967295 0\n",
        "J" JOB " 1 - 1 0 0 0 5\nspec",
        "J" JOB " 1 - 1 0 0 0 9223372036854775807\nspec",
        "J" JOB " 1 - 1 0 0 0 9223372036854775808\nspec",
        "J" JOB " 1 - 1 0 0 0\n",
        "J" JOB " 1 - 1 0 0 0 0 0\n",
        "J" JOB " 1 - 1 0 0 0 +0\n"
    };

    (void) state;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(ai_delivery_parse(Z(texts[i]), &d), -1);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(bad)
    };

    return run_group(tests);
}
