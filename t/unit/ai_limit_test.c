/*
 * Limits as text: rates, the lines of a policy, what a reply says is left, and
 * names of counters.
 */

#include "ai_unit.h"

#include "ai_limit.h"


static void
rates(void **state)
{
    size_t      i;
    ai_limit_t  l;

    static const struct {
        char        kind;
        const char *text;
        char        window;         /* 0: it is none */
        int64_t     max;
    } cases[] = {
        { 'r', "60/m", 'm', 60 },
        { 'r', "1/s", 's', 1 },
        { 't', "40000/h", 'h', 40000 },
        { 't', "5/day", 'd', 5 },
        { 'r', "1000000000000/month", 'M', 1000000000000 },
        { 'c', "4", '-', 4 },
        { 'b', "5usd/month", 'M', 5000000000 },
        { 'b', "0.000000001usd/day", 'd', 1 },
        { 'b', "9000000usd/month", 'M', 9000000000000000 },
        { 'r', "60", 0, 0 },
        { 'r', "0/m", 0, 0 },
        { 'r', "-1/m", 0, 0 },
        { 'r', "60/d", 0, 0 },
        { 'r', "60/", 0, 0 },
        { 'r', "/m", 0, 0 },
        { 'r', "", 0, 0 },
        { 'r', "1000000000001/m", 0, 0 },
        { 'r', "60/m/m", 0, 0 },
        { 'c', "4/m", 0, 0 },
        { 'c', "0", 0, 0 },
        { 'c', "1000001", 0, 0 },
        { 'b', "5/month", 0, 0 },
        { 'b', "usd/month", 0, 0 },
        { 'b', "0usd/month", 0, 0 },
        { 'b', "9000000.1usd/month", 0, 0 },
        { 'b', "0.0000000001usd/day", 0, 0 }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&l, 0, sizeof(l));
        l.kind = cases[i].kind;

        assert_int_equal(ai_limit_parse(&l, Z(cases[i].text)),
                         cases[i].window ? 0 : -1);
        assert_int_equal(l.window, cases[i].window);
        assert_true(l.max == cases[i].max);
    }
}


/* MessagePack. */
#define INT(bytes)  "\xcf" bytes
#define NO          "\xc2"
#define YES         "\xc3"


static void
lines(void **state)
{
    char             mem[1024];
    ai_buf_t         b;
    ai_limit_t       l;
    ai_limit_want_t  want;

    static const char  packed[] =
        INT("\0\0\0\0\0\0\0\14") NO INT("\0\0\0\0\0\0\0\42")
        INT("\0\0\0\0\0\0\0\70") "\xd9\14model:gpt-4o"
        INT("\0\0\0\0\0\0\0\0") INT("\0\0\0\0\0\0\0\7")
        INT("\0\0\0\0\0\0\0\0") INT("\0\0\0\0\0\0\0\0") "\xd9\1-"
        "\xd9\11rm:tenant" "\xd9\1r" "\xd9\1m"
        INT("\0\0\0\0\0\0\0\74") NO
        "\xd9\13bM:user:bob" "\xd9\1b" "\xd9\1M"
        INT("\0\37\xf9\x73\xca\xfa\x80\0") YES
        "\xd9\111bM:user:~449b7597d66fa113c075357998b0d53b"
        "7a271fc360e51546901753caf2e7bd37" "\xd9\1b" "\xd9\1M"
        INT("\0\37\xf9\x73\xca\xfa\x80\0") NO
        "\xd9\26c-:address:2001:db8::1" "\xd9\1c" "\xd9\1-"
        INT("\0\0\0\0\0\0\0\2") NO;

    (void) state;

    ai_buf_init(&b, mem, sizeof(mem));

    want = (ai_limit_want_t) { 12, -1, 34, 56, T("gpt-4o") };
    ai_limit_head(&b, &want);
    want = (ai_limit_want_t) { 0, 7, 0, 0, T("") };
    ai_limit_head(&b, &want);

    l = (ai_limit_t) { AI_LEVEL_TENANT, 'r', 'm', 60 };
    ai_limit_line(&b, &l, 0, T("acme"));
    l = (ai_limit_t) { AI_LEVEL_USER, 'b', 'M', 9000000000000000 };
    ai_limit_line(&b, &l, 1, T("bob"));
    ai_limit_line(&b, &l, 0, T("bob\nr m 9 - tenant"));
    l = (ai_limit_t) { AI_LEVEL_ADDRESS, 'c', '-', 2 };
    ai_limit_line(&b, &l, 0, T("2001:db8::1"));

    assert_false(b.full);
    assert_int_equal(ai_buf_len(&b), sizeof(packed) - 1);
    assert_memory_equal(mem, packed, sizeof(packed) - 1);

    ai_buf_init(&b, mem, 39);
    ai_limit_line(&b, &l, 0, T("2001:db8::1"));
    assert_true(b.full);
}


static void
words(void **state)
{
    size_t    i;
    char      mem[AI_LIMIT_TEXT_MAX];
    ai_buf_t  b;

    static const struct {
        ai_limit_t  l;
        const char *text;
    } cases[] = {
        { { AI_LEVEL_TENANT, 'r', 'm', 60 },
          "tenant limit of 60 requests per minute" },
        { { AI_LEVEL_USER, 't', 'd', 1 }, "user limit of 1 token per day" },
        { { AI_LEVEL_KEY, 'c', '-', 1 },
          "key limit of 1 concurrent request" },
        { { AI_LEVEL_ENDPOINT, 't', 'M', 1000000000000 },
          "endpoint limit of 1000000000000 tokens per month" },
        { { AI_LEVEL_ADDRESS, 'c', '-', 1000000 },
          "address limit of 1000000 concurrent requests" },
        { { AI_LEVEL_ENDPOINT, 'b', 'M', 8999999999999999 },
          "endpoint limit of 8999999.999999999 USD per month" }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ai_buf_init(&b, mem, sizeof(mem));
        ai_limit_say(&b, &cases[i].l);

        assert_false(b.full);
        assert_true(ai_str_eqz((ai_str_t) { ai_buf_len(&b), mem },
                               cases[i].text));
    }
}


static void
left(void **state)
{
    int64_t   n, reset;
    ai_str_t  text;

    (void) state;

    text = T("3 60 0 - 7");

    assert_int_equal(ai_limit_next(&text, &n, &reset), 1);
    assert_true(n == 3 && reset == 60);
    assert_int_equal(ai_limit_next(&text, &n, &reset), 1);
    assert_true(n == 0 && reset == -1);
    assert_int_equal(ai_limit_next(&text, &n, &reset), 0);

    text = T("");
    assert_int_equal(ai_limit_next(&text, &n, &reset), 0);
    text = T("-1 5");
    assert_int_equal(ai_limit_next(&text, &n, &reset), 0);
}


static void
counters(void **state)
{
    char        kind, window;
    size_t      i;
    ai_level_e  level;

    static const char *const  bad[] = {
        "", "bM:", "bM", "bm:tenant", "cM:tenant", "bM:nobody", "bMtenant",
        "bd:address:1", "bd:user:a b", "xd:tenant"
    };

    (void) state;

    assert_int_equal(ai_limit_counter(T("bM:user:bob"), &kind, &window,
                                      &level), 0);
    assert_true(kind == 'b' && window == 'M' && level == AI_LEVEL_USER);
    assert_int_equal(ai_limit_counter(T("rd:tenant"), &kind, &window, &level),
                     0);
    assert_true(kind == 'r' && window == 'd' && level == AI_LEVEL_TENANT);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ai_limit_counter(Z(bad[i]), &kind, &window, &level),
                         -1);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(rates),
        cmocka_unit_test(lines),
        cmocka_unit_test(words),
        cmocka_unit_test(left),
        cmocka_unit_test(counters)
    };

    return run_group(tests);
}
