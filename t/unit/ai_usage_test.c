/*
 * Usage lines, money and what a call costs.
 */

#include "ai_unit.h"

#include "ai_usage.h"

#define X128                                                                 \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"       \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

#define FULL_LINE                                                             \
    "done\t200\topenai\tgpt-4o\treq_1\tstop\t100\t20\t60\t10\t5\t4711\t0\t"   \
    "1500\t2500\t300\t1\tlost"

static const char  full_line[] = FULL_LINE;
static const char  empty_line[] =
    "-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-";


static void
full_usage(ai_usage_t *u)
{
    ai_usage_init(u);

    u->state = ai_str("done");
    u->status = 200;
    u->provider = ai_str("openai");
    u->model = ai_str("gpt-4o");
    u->request_id = ai_str("req_1");
    u->finish = ai_str("stop");
    u->input = 100;
    u->output = 20;
    u->cached_read = 60;
    u->cached_write = 10;
    u->reasoning = 5;
    u->cost = 4711;
    u->estimated = 0;
    u->ttft_usec = 1500;
    u->duration_usec = 2500;
    u->queue_usec = 300;
    u->attempts = 1;
    u->cause = ai_str("lost");
}


static void
writes(void **state)
{
    char         mem[2048];
    size_t       size;
    ai_buf_t     b;
    ai_usage_t   u;

    (void) state;

    full_usage(&u);
    ai_buf_init(&b, mem, sizeof(mem));
    ai_usage_write(&b, &u);
    is_buf(&b, full_line);

    for (size = 0; size < sizeof(full_line) - 1; size++) {
        ai_buf_init(&b, mem, size);
        ai_usage_write(&b, &u);
        assert_true(b.full);
        assert_int_equal(ai_buf_len(&b), 0);
    }

    ai_usage_init(&u);
    ai_buf_init(&b, mem, sizeof(mem));
    ai_usage_write(&b, &u);
    is_buf(&b, empty_line);

    /* Behind them, as many as are known. */

    full_usage(&u);
    u.image_output = 9;
    ai_buf_init(&b, mem, sizeof(mem));
    ai_usage_write(&b, &u);
    is_buf(&b, FULL_LINE "\t-\t-\t-\t-\t9");

    u.own_key = 1;
    ai_buf_init(&b, mem, sizeof(mem));
    ai_usage_write(&b, &u);
    is_buf(&b, FULL_LINE "\t-\t-\t-\t-\t9\t1");
    u.own_key = -1;

    u.image_output = -1;
    u.cached_write_1h = 3;
    u.audio_input = 0;
    ai_buf_init(&b, mem, sizeof(mem));
    ai_usage_write(&b, &u);
    is_buf(&b, FULL_LINE "\t3\t0");
}


static void
values(void **state)
{
    size_t      i;
    char        mem[2048], want[256];
    ai_buf_t    b;
    ai_usage_t  u;

    static const struct {
        const char *in;
        const char *out;
    } rows[] = {
        { "a\tb\nc\rd\x7f" "e\x1f", "a b c d e " },
        { "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "a\xC3\xA9\xE2\x82\xAC"
                                                   "\xF0\x9F\x98\x80" },
        { "a\xFF\xC3(\xE2\x82", "a?" "?(?" "?" },
        { X128, X128 },
        { X128 "y", X128 },
        { X128 "\xFF", X128 }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ai_usage_init(&u);
        u.state = Z(rows[i].in);
        ai_buf_init(&b, mem, sizeof(mem));
        ai_usage_write(&b, &u);
        sprintf(want, "%s%s", rows[i].out, empty_line + 1);
        is_buf(&b, want);
    }

    /* A cut falls between characters. */

    for (i = 124; i <= 128; i++) {
        char  in[256];

        memset(in, 'x', i);
        strcpy(in + i, "\xF0\x9F\x98\x80z");
        u.state = Z(in);
        ai_buf_init(&b, mem, sizeof(mem));
        ai_usage_write(&b, &u);
        sprintf(want, "%.*s%s%s", (int) i, in, i == 124 ? "\xF0\x9F\x98\x80"
                                                        : "", empty_line + 1);
        is_buf(&b, want);
    }

    /* The longest line there is. */

    ai_usage_init(&u);
    u.state = u.provider = u.model = u.request_id = u.finish = u.cause
            = ai_str(X128);
    u.status = u.input = u.output = u.cached_read = u.cached_write
             = u.reasoning = u.cost = u.estimated = u.ttft_usec
             = u.duration_usec = u.queue_usec = u.attempts
             = u.cached_write_1h = u.audio_input = u.audio_output
             = u.image_input = u.image_output = u.own_key = INT64_MAX;
    ai_buf_init(&b, mem, AI_USAGE_LINE_MAX);
    ai_usage_write(&b, &u);
    assert_false(b.full);
    assert_int_equal(ai_buf_len(&b), 6 * 128 + 18 * 19 + 23);

    u.cost = INT64_MIN;
    u.status = -2;
    ai_buf_init(&b, mem, AI_USAGE_LINE_MAX);
    ai_usage_write(&b, &u);
    assert_memory_equal(mem + 128, "\t-\t", 3);
}


static void
reads(void **state)
{
    ai_usage_t  u;

    (void) state;

    assert_int_equal(ai_usage_parse(T(full_line), &u), 0);
    is_str(u.state, "done");
    assert_int_equal(u.status, 200);
    is_str(u.provider, "openai");
    is_str(u.model, "gpt-4o");
    is_str(u.request_id, "req_1");
    is_str(u.finish, "stop");
    assert_int_equal(u.input, 100);
    assert_int_equal(u.output, 20);
    assert_int_equal(u.cached_read, 60);
    assert_int_equal(u.cached_write, 10);
    assert_int_equal(u.reasoning, 5);
    assert_int_equal(u.cost, 4711);
    assert_int_equal(u.estimated, 0);
    assert_int_equal(u.ttft_usec, 1500);
    assert_int_equal(u.duration_usec, 2500);
    assert_int_equal(u.queue_usec, 300);
    assert_int_equal(u.attempts, 1);
    is_str(u.cause, "lost");

    assert_int_equal(ai_usage_parse(T(empty_line), &u), 0);
    assert_int_equal(u.state.len, 0);
    assert_int_equal(u.status, -1);
    assert_int_equal(u.attempts, -1);
    assert_int_equal(u.cause.len, 0);
    assert_int_equal(u.cached_write_1h, -1);
    assert_int_equal(u.image_output, -1);

    /* Columns are appended: a longer line is read, a shorter one, too. */

    assert_int_equal(ai_usage_parse(
        T("-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t9\tx\t"
          "1\t2\t-\t4\t5\t1\tnew\t-5\n"), &u), 0);
    assert_int_equal(u.cached_write_1h, 1);
    assert_int_equal(u.audio_input, 2);
    assert_int_equal(u.audio_output, -1);
    assert_int_equal(u.image_input, 4);
    assert_int_equal(u.image_output, 5);
    assert_int_equal(u.own_key, 1);
    assert_int_equal(u.attempts, 9);
    is_str(u.cause, "x");

    assert_int_equal(ai_usage_parse(T("failed\t502"), &u), 0);
    is_str(u.state, "failed");
    assert_int_equal(u.status, 502);
    assert_int_equal(u.input, -1);
    assert_int_equal(u.cause.len, 0);

    assert_int_equal(ai_usage_parse(T("failed\t\t\tm\n"), &u), 0);
    assert_int_equal(u.status, -1);
    assert_int_equal(u.provider.len, 0);
    is_str(u.model, "m");

    assert_int_equal(ai_usage_parse(EMPTY, &u), 0);
    assert_int_equal(u.state.len, 0);
    assert_int_equal(u.status, -1);
    assert_int_equal(ai_usage_parse(T("\n"), &u), 0);
    assert_int_equal(ai_usage_parse(T("\t"), &u), 0);

    assert_int_equal(ai_usage_parse(T("-\t-\t-\tm 1~\xC3\xA9"), &u), 0);
    is_str(u.model, "m 1~\xC3\xA9");

    assert_int_equal(ai_usage_parse(T("done\tx"), &u), -1);
    assert_int_equal(ai_usage_parse(T("done\t-1"), &u), -1);
    assert_int_equal(ai_usage_parse(T("done\t9223372036854775808"), &u), -1);
    assert_int_equal(ai_usage_parse(T("done\t200 "), &u), -1);
    assert_int_equal(ai_usage_parse(T("a\nb"), &u), -1);
    assert_int_equal(ai_usage_parse(T("a\n\n"), &u), -1);
    assert_int_equal(ai_usage_parse(T("a\0b"), &u), -1);
    assert_int_equal(ai_usage_parse(T("a\x7f"), &u), -1);
}


static void
money(void **state)
{
    char     buf[32];
    size_t   i;
    int64_t  n;

    static const struct {
        const char *text;
        int64_t     nano;
        const char *print;      /* NULL: as text */
    } good[] = {
        { "0", 0, NULL }, { "2.5", 2500000000, NULL },
        { "2.50", 2500000000, "2.5" }, { "10", 10000000000, NULL },
        { "0.000000001", 1, NULL }, { "0.15", 150000000, NULL },
        { "00.10", 100000000, "0.1" }, { "1.000000000", 1000000000, "1" },
        { "0.999999999", 999999999, NULL },
        { "9223372036.854775807", INT64_MAX, NULL },
        { "9223372036", 9223372036000000000, NULL }
    };

    static const char *const  bad[] = {
        "", ".", "1.", ".5", "-1", "-0", "+1", "1.-5", "1.+5", "1.0000000001",
        "1,5", "1e3", " 1", "1 ", "$1", "1.2.3", "9223372036.854775808",
        "9223372037", "99999999999999999999", "1.5usd"
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const char  *print = good[i].print ? good[i].print : good[i].text;

        assert_int_equal(ai_money_parse(Z(good[i].text), &n), 0);
        assert_true(n == good[i].nano);
        assert_int_equal(ai_money_print(buf, sizeof(buf), n), strlen(print));
        assert_string_equal(buf, print);
        assert_int_equal(ai_money_print(buf, strlen(print), n), 0);
        assert_int_equal(ai_money_print(buf, strlen(print) + 1, n),
                         strlen(print));
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        n = 4711;

        if (ai_money_parse(Z(bad[i]), &n) != -1) {
            fail_msg("money: %s", bad[i]);
        }

        assert_int_equal(n, 4711);
    }

    assert_int_equal(ai_money_parse(EMPTY, &n), -1);

    assert_int_equal(ai_money_print(buf, 24, -3000000000), 2);
    assert_string_equal(buf, "-3");
    assert_int_equal(ai_money_print(buf, 24, -1), 12);
    assert_string_equal(buf, "-0.000000001");
    assert_int_equal(ai_money_print(buf, 24, -1500000000), 4);
    assert_string_equal(buf, "-1.5");
    assert_int_equal(ai_money_print(buf, 24, INT64_MIN), 21);
    assert_string_equal(buf, "-9223372036.854775808");
    assert_int_equal(ai_money_print(buf, 24, -1000000000), 2);
    assert_string_equal(buf, "-1");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(writes),
        cmocka_unit_test(values),
        cmocka_unit_test(reads),
        cmocka_unit_test(money)
    };

    return run_group(tests);
}
