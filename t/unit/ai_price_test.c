/*
 * Prices: kinds of tokens, tiers, and what calls cost.
 */

#include "ai_unit.h"

#include "ai_price.h"


#define P(usd_milli)  ((usd_milli) * 1000000LL)     /* USD/1000 per million */


/* input, output, cached, cached_write, request */

static void
plain_price(ai_price_t *p, const int64_t *n)
{
    ai_price_tier_t  *t;

    ai_price_init(p);
    t = ai_price_add(p, 0);
    t->of[AI_PRICE_INPUT] = n[0];
    t->of[AI_PRICE_OUTPUT] = n[1];
    t->of[AI_PRICE_CACHED] = n[2];
    t->of[AI_PRICE_CACHED_WRITE] = n[3];
    t->of[AI_PRICE_REQUEST] = n[4];
}


static void
costs(void **state)
{
    size_t  i;

    /* input, output, cached_read, cached_write; prices; what it costs */

    static const struct {
        int64_t     n[4];
        int64_t     p[5];
        int64_t     cost;
    } rows[] = {

        /* gpt-4o: 1000 in at 2.50, 500 out at 10 USD a million */
        { { 1000, 500, -1, -1 }, { 2500000000, 10000000000, -1, -1, -1 },
          7500000 },

        /* 600 of the 1000 were read from a cache at 1.25 */
        { { 1000, 500, 600, -1 },
          { 2500000000, 10000000000, 1250000000, -1, -1 }, 6750000 },

        /* the same without a price for cached ones */
        { { 1000, 500, 600, -1 }, { 2500000000, 10000000000, -1, -1, -1 },
          7500000 },

        /* Anthropic: 100 plain at 3, 600 read at 0.30, 300 written at 3.75 */
        { { 1000, 10, 600, 300 },
          { 3000000000, 15000000000, 300000000, 3750000000, -1 }, 1755000 },

        /* written ones at the input's price where there is no other */
        { { 1000, 0, 0, 300 }, { 3000000000, 0, 300000000, -1, -1 }, 3000000 },

        /* free, or nothing known */
        { { 1000, 500, 600, -1 }, { 0, 0, 0, 0, 0 }, 0 },
        { { 1000, 500, -1, -1 }, { -1, -1, -1, -1, -1 }, 0 },
        { { -1, -1, -1, -1 }, { 2500000000, 10000000000, -1, -1, -1 }, 0 },
        { { -1, 5, -1, -1 }, { 2500000000, 10000000000, -1, -1, -1 }, 50000 },

        /* reading a cache is free */
        { { 1000, 0, 600, 100 }, { 3000000000, 0, 0, 0, -1 }, 900000 },

        /* a price a request */
        { { 1000, 500, -1, -1 }, { 2500000000, 10000000000, -1, -1, 5000 },
          7505000 },
        { { -1, -1, -1, -1 }, { -1, -1, -1, -1, 5000 }, 5000 },

        /* half up, once over the sum: 0.4999999, 0.5, 0.3 + 0.3, 1.5 */
        { { 499999, 0, -1, -1 }, { 1, 0, -1, -1, -1 }, 0 },
        { { 500000, 0, -1, -1 }, { 1, 0, -1, -1, -1 }, 1 },
        { { 1499999, 0, -1, -1 }, { 1, 0, -1, -1, -1 }, 1 },
        { { 1500000, 0, -1, -1 }, { 1, 0, -1, -1, -1 }, 2 },
        { { 300000, 300000, -1, -1 }, { 1, 1, -1, -1, -1 }, 1 },
        { { 200000, 200000, 100000, -1 }, { 1, 1, 1, -1, -1 }, 0 },

        /* more cached than input: no credit */
        { { 100, 0, 600, 300 }, { 3000000000, 0, 1000000, 2000000, -1 },
          1200 },
        { { -1, 0, 600, -1 }, { 3000000000, 0, 1000000, -1, -1 }, 600 },

        /* products far above 2^53, by big integers of another language */
        { { 123456789, 987654321, -1, -1 },
          { 1234567891, 9876543211, -1, -1, -1 }, 9907026366513 },

        /* and saturating */
        { { INT64_MAX, 0, -1, -1 }, { 1000000, 0, -1, -1, -1 }, INT64_MAX },
        { { INT64_MAX, 0, -1, -1 }, { 999999, 0, -1, -1, -1 },
          9223362813482738952 },
        { { INT64_MAX, 0, -1, -1 }, { 1000001, 0, -1, -1, -1 }, INT64_MAX },
        { { INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX },
          { INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX },
          INT64_MAX },
        { { -1, -1, -1, -1 }, { -1, -1, -1, -1, INT64_MAX }, INT64_MAX }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ai_price_t  p;
        ai_usage_t  u;

        plain_price(&p, rows[i].p);
        ai_usage_init(&u);
        u.input = rows[i].n[0];
        u.output = rows[i].n[1];
        u.cached_read = rows[i].n[2];
        u.cached_write = rows[i].n[3];

        if (ai_usage_cost(&u, &p) != rows[i].cost) {
            fail_msg("row %zu costs %lld", i,
                     (long long) ai_usage_cost(&u, &p));
        }
    }
}



/* Of each kind one token more than of the one before, at prices that tell them
 * apart. */

static void
kinds(void **state)
{
    int                i;
    ai_price_t         p;
    ai_usage_t         u;
    ai_price_tier_t   *t;

    (void) state;

    ai_price_init(&p);
    t = ai_price_add(&p, 0);

    t->of[AI_PRICE_INPUT] = P(1000);
    t->of[AI_PRICE_OUTPUT] = P(10000);

    ai_usage_init(&u);
    u.input = 100;
    u.output = 50;
    u.cached_read = 10;
    u.cached_write = 20;
    u.cached_write_1h = 5;
    u.audio_input = 7;
    u.image_input = 9;
    u.reasoning = 11;
    u.audio_output = 13;
    u.image_output = 17;

    /* Nothing declared: as input and output. */
    assert_true(ai_usage_cost(&u, &p) == 100 * 1000 + 50 * 10000);

    t->of[AI_PRICE_CACHED_WRITE] = P(1250);
    assert_true(ai_usage_cost(&u, &p)
                == 80 * 1000 + 20 * 1250 + 50 * 10000);

    t->of[AI_PRICE_CACHED_WRITE_1H] = P(2000);
    t->of[AI_PRICE_CACHED] = P(100);
    assert_true(ai_usage_cost(&u, &p)
                == 70 * 1000 + 15 * 1250 + 5 * 2000 + 10 * 100 + 50 * 10000);

    t->of[AI_PRICE_AUDIO] = P(40000);
    t->of[AI_PRICE_IMAGE] = P(3000);
    t->of[AI_PRICE_REASONING] = P(12000);
    t->of[AI_PRICE_AUDIO_OUTPUT] = P(80000);
    t->of[AI_PRICE_IMAGE_OUTPUT] = P(30000);
    t->of[AI_PRICE_REQUEST] = 777;

    assert_true(ai_usage_cost(&u, &p)
                == 54 * 1000 + 15 * 1250 + 5 * 2000 + 10 * 100 + 7 * 40000
                   + 9 * 3000 + 9 * 10000 + 11 * 12000 + 13 * 80000
                   + 17 * 30000 + 777);

    /* What overlaps is charged once. */
    u.audio_input = 1000;
    u.reasoning = 1000;
    assert_true(ai_usage_cost(&u, &p)
                == 15 * 1250 + 5 * 2000 + 10 * 100 + 70 * 40000 + 50 * 12000
                   + 777);

    /* An hour's are some of those written. */
    ai_usage_init(&u);
    u.input = 30;
    u.cached_write = 20;
    u.cached_write_1h = 25;
    assert_true(ai_usage_cost(&u, &p) == 10 * 1000 + 20 * 2000 + 777);

    for (i = 0; i < AI_PRICE_KINDS; i++) {
        assert_int_equal(ai_price_kind(Z(ai_price_name(i))), i);
        assert_true(i == 0 || strcmp(ai_price_name(i - 1),
                                     ai_price_name(i)) < 0);
        t->of[i] = INT64_MAX;
    }

    assert_null(ai_price_name(AI_PRICE_KINDS));
    assert_int_equal(ai_price_kind(ai_str("inputs")), -1);
    assert_int_equal(ai_price_kind(EMPTY), -1);

    /* All at their largest: below 2^128, so saturated and no more. */
    u.input = u.output = u.cached_read = u.cached_write = INT64_MAX;
    u.audio_input = u.image_input = u.reasoning = INT64_MAX;
    u.audio_output = u.image_output = u.cached_write_1h = INT64_MAX;
    assert_true(ai_usage_cost(&u, &p) == INT64_MAX);
    u.cached_write = -1;
    assert_true(ai_usage_cost(&u, &p) == INT64_MAX);
}


static void
tiers(void **state)
{
    size_t            i;
    ai_price_t        p;
    ai_usage_t        u;
    ai_price_tier_t  *t;

    static const struct {
        int64_t input;
        int64_t cost;       /* and 10 of the output, 5 of the input cached */
    } rows[] = {
        { 200, 195 * 1000 + 5 * 100 + 10 * 5000 },
        { 201, 196 * 2000 + 5 * 100 + 10 * 8000 },
        { 1000, 995 * 2000 + 5 * 100 + 10 * 8000 },
        { 1001, 996 * 3000 + 5 * 200 + 10 * 8000 },
        { 5, 5 * 100 + 10 * 5000 }
    };

    (void) state;

    ai_price_init(&p);
    assert_false(ai_price_known(&p));
    ai_usage_init(&u);
    u.input = 5;
    assert_true(ai_usage_cost(&u, &p) == 0);
    assert_true(ai_price_of(&p, 5, AI_PRICE_INPUT) == 0);

    assert_null(ai_price_add(&p, 1));
    t = ai_price_add(&p, 0);
    assert_false(ai_price_known(&p));
    t->of[AI_PRICE_INPUT] = P(1000);
    t->of[AI_PRICE_OUTPUT] = P(5000);
    t->of[AI_PRICE_CACHED] = P(100);
    assert_true(ai_price_known(&p));

    assert_null(ai_price_add(&p, 0));
    t = ai_price_add(&p, 200);
    t->of[AI_PRICE_INPUT] = P(2000);
    t->of[AI_PRICE_OUTPUT] = P(8000);
    assert_null(ai_price_add(&p, 200));
    assert_null(ai_price_add(&p, 199));
    assert_null(ai_price_add(&p, AI_PRICE_ABOVE_MAX + 1));
    t = ai_price_add(&p, 1000);
    t->of[AI_PRICE_INPUT] = P(3000);
    t->of[AI_PRICE_CACHED] = P(200);

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        u.input = rows[i].input;
        u.cached_read = 5;
        u.output = 10;

        if (ai_usage_cost(&u, &p) != rows[i].cost) {
            fail_msg("%lld cost %lld", (long long) rows[i].input,
                     (long long) ai_usage_cost(&u, &p));
        }
    }

    assert_true(ai_price_of(&p, 1000, AI_PRICE_AUDIO) == P(2000));
    assert_true(ai_price_of(&p, 1001, AI_PRICE_AUDIO) == P(3000));
    assert_true(ai_price_of(&p, 1001, AI_PRICE_REASONING) == P(8000));
    assert_true(ai_price_of(&p, 1001, AI_PRICE_REQUEST) == 0);

    assert_non_null(ai_price_add(&p, AI_PRICE_ABOVE_MAX));
    assert_null(ai_price_add(&p, AI_PRICE_ABOVE_MAX));
}


static void
prints(void **state)
{
    char    buf[32];
    size_t  i;

    static const struct {
        int64_t     price;
        const char *text;
    } rows[] = {
        { P(2500), "0.0000025" }, { 0, "0" }, { 1, "0.000000000000001" },
        { P(1000000000), "1" }, { P(1500000000), "1.5" },
        { INT64_MAX, "9223.372036854775807" }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(ai_price_print(buf, sizeof(buf), AI_PRICE_INPUT,
                                        rows[i].price),
                         strlen(rows[i].text));
        assert_string_equal(buf, rows[i].text);
        assert_int_equal(ai_price_print(buf, strlen(rows[i].text),
                                        AI_PRICE_INPUT, rows[i].price), 0);
    }

    assert_int_equal(ai_price_print(buf, sizeof(buf), AI_PRICE_REQUEST,
                                    P(2500)), 3);
    assert_string_equal(buf, "2.5");
}


static void
scans(void **state)
{
    size_t   i;
    int64_t  n;

    static const struct {
        const char *text;
        ai_price_e  kind;
        int64_t     price;      /* -1: none */
    } rows[] = {
        { "0.0000025", AI_PRICE_INPUT, P(2500) },
        { "0", AI_PRICE_INPUT, 0 },
        { "0.000000000000001", AI_PRICE_INPUT, 1 },
        { "0.0000000000000010", AI_PRICE_INPUT, 1 },
        { "0.00000000000000101", AI_PRICE_INPUT, 2 },
        { "1", AI_PRICE_INPUT, AI_PRICE_MAX },
        { "1.000000000000001", AI_PRICE_INPUT, -1 },
        { "2", AI_PRICE_INPUT, -1 },
        { "0.005", AI_PRICE_REQUEST, 5000000 },
        { "1000000", AI_PRICE_REQUEST, AI_PRICE_MAX },
        { "1000001", AI_PRICE_REQUEST, -1 },
        { "-1", AI_PRICE_INPUT, -1 },
        { "1e-7", AI_PRICE_INPUT, -1 },
        { ".5", AI_PRICE_INPUT, -1 },
        { "5.", AI_PRICE_INPUT, -1 },
        { "", AI_PRICE_INPUT, -1 },
        { "0.0x", AI_PRICE_INPUT, -1 },
        { "99999999999999999999999999", AI_PRICE_INPUT, -1 }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        n = -1;

        if (ai_price_scan(Z(rows[i].text), rows[i].kind, &n)
            != (rows[i].price < 0 ? -1 : 0) || n != rows[i].price)
        {
            fail_msg("%s is %lld", rows[i].text, (long long) n);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(costs),
        cmocka_unit_test(kinds),
        cmocka_unit_test(tiers),
        cmocka_unit_test(prints),
        cmocka_unit_test(scans)
    };

    return run_group(tests);
}
