/*
 * Spans, the bounded buffer, numbers, UTF-8.
 */

#include "ai_unit.h"


static void
json_is(ai_str_t in, const char *want, size_t len, int line)
{
    char      mem[256];
    size_t    size;
    ai_buf_t  b;

    ai_buf_init(&b, mem, sizeof(mem));
    ai_buf_add_json(&b, in);
    assert_false(b.full);
    ai_unit_is((ai_str_t) { ai_buf_len(&b), mem }, want, len, __FILE__, line);

    /* In every smaller buffer: all or nothing. */

    for (size = 0; size < len; size++) {
        ai_buf_init(&b, mem, size);
        ai_buf_add_json(&b, in);
        assert_true(b.full);
        assert_int_equal(ai_buf_len(&b), 0);
    }

    ai_buf_init(&b, mem, len);
    ai_buf_add_json(&b, in);
    assert_false(b.full);
    assert_int_equal(ai_buf_len(&b), len);
}

#define json(in, want)  json_is(T(in), want, sizeof(want) - 1, __LINE__)


static void
buffer_bounds(void **state)
{
    char      mem[8];
    ai_buf_t  b;

    (void) state;

    memset(mem, '#', sizeof(mem));

    ai_buf_init(&b, mem, 6);
    ai_buf_add(&b, "abc", 3);
    ai_buf_add(&b, NULL, 0);
    ai_buf_add(&b, "def", 3);
    is_buf(&b, "abcdef");
    assert_false(b.full);

    ai_buf_add(&b, "", 0);
    assert_false(b.full);

    ai_buf_add(&b, "x", 1);
    assert_true(b.full);
    is_buf(&b, "abcdef");
    assert_int_equal(mem[6], '#');

    ai_buf_init(&b, mem, 4);
    ai_buf_add_z(&b, "ab");
    ai_buf_add_z(&b, "cde");
    assert_true(b.full);
    is_buf(&b, "ab");

    /* A clean prefix: what would fit now does not go behind a gap. */
    ai_buf_add_z(&b, "c");
    ai_buf_add_int(&b, 1);
    ai_buf_add_str(&b, ai_str("d"));
    ai_buf_add_json(&b, ai_str("e"));
    is_buf(&b, "ab");

    ai_buf_init(&b, mem, 4);
    ai_buf_add(&b, "x", SIZE_MAX);
    assert_true(b.full);

    ai_buf_init(&b, NULL, 0);
    ai_buf_add_str(&b, EMPTY);
    assert_false(b.full);
    assert_int_equal(ai_buf_len(&b), 0);
    ai_buf_add(&b, "x", 1);
    assert_true(b.full);
}


static void
buffer_int(void **state)
{
    int       i;
    char      mem[32];
    ai_buf_t  b;

    static const struct {
        int64_t     n;
        const char *text;
    } rows[] = {
        { 0, "0" }, { 7, "7" }, { 10, "10" }, { -1, "-1" }, { 99, "99" },
        { 1234567890123456789, "1234567890123456789" },
        { INT64_MAX, "9223372036854775807" },
        { INT64_MIN, "-9223372036854775808" }
    };

    (void) state;

    for (i = 0; i < 8; i++) {
        ai_buf_init(&b, mem, strlen(rows[i].text));
        ai_buf_add_int(&b, rows[i].n);
        is_buf(&b, rows[i].text);
        assert_false(b.full);

        ai_buf_init(&b, mem, strlen(rows[i].text) - 1);
        ai_buf_add_int(&b, rows[i].n);
        assert_true(b.full);
        assert_int_equal(ai_buf_len(&b), 0);
    }
}


static void
json_escapes(void **state)
{
    (void) state;

    json("", "");
    json("plain text, 100 %/", "plain text, 100 %/");
    json("a\"b\\c", "a\\\"b\\\\c");
    json("\b\t\n\f\r", "\\b\\t\\n\\f\\r");
    json("\x00\x01\x1f", "\\u0000\\u0001\\u001f");
    json("\x0b\x0e\x10", "\\u000b\\u000e\\u0010");
    json("\x7f", "\x7f");
    json("</script>", "</script>");
}


static void
json_utf8(void **state)
{
    (void) state;

    json("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80",
         "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");

    /* One U+FFFD for each maximal part that is none. */
    json("\x80", "\xEF\xBF\xBD");
    json("a\xFFz", "a\xEF\xBF\xBDz");
    json("\xC3", "\xEF\xBF\xBD");
    json("\xC3(", "\xEF\xBF\xBD(");
    json("\xE2\x82", "\xEF\xBF\xBD");
    json("\xE2\x82\"", "\xEF\xBF\xBD\\\"");
    json("\xF0\x9F\x98", "\xEF\xBF\xBD");
    json("\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD");
    json("\xE0\x80\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    json("\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    json("\xF4\x91\x92\x93",
         "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    json("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41",
         "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\x41");
}


static void
equality(void **state)
{
    (void) state;

    assert_true(ai_str_eq(EMPTY, EMPTY));
    assert_true(ai_str_eq(EMPTY, T("")));
    assert_true(ai_str_eq(T("ab"), T("ab")));
    assert_false(ai_str_eq(T("ab"), T("ac")));
    assert_false(ai_str_eq(T("ab"), T("abc")));
    assert_false(ai_str_eq(T("ab"), EMPTY));
    assert_true(ai_str_eq(T("a\0b"), T("a\0b")));
    assert_false(ai_str_eq(T("a\0b"), T("a\0c")));

    assert_true(ai_str_eqz(T("ab"), "ab"));
    assert_true(ai_str_eqz(EMPTY, ""));
    assert_false(ai_str_eqz(T("ab"), "abc"));
    assert_false(ai_str_eqz(T("abc"), "ab"));
    assert_false(ai_str_eqz(T("a\0"), "a"));
}


static void
integers(void **state)
{
    size_t   i;
    int64_t  n;

    static const struct {
        const char *text;
        int64_t     n;
    } good[] = {
        { "0", 0 }, { "-0", 0 }, { "7", 7 }, { "-7", -7 }, { "007", 7 },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
        { "00000000000000000000000000000009223372036854775807", INT64_MAX }
    };

    static const char *const  bad[] = {
        "", "-", "--1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "a", "1-",
        "9223372036854775808", "-9223372036854775809",
        "92233720368547758070", "99999999999999999999999",
        "18446744073709551616"
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        n = 4711;
        assert_int_equal(ai_str_int(Z(good[i].text), &n), 0);
        assert_true(n == good[i].n);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        n = 4711;
        assert_int_equal(ai_str_int(Z(bad[i]), &n), -1);
        assert_int_equal(n, 4711);
    }

    assert_int_equal(ai_str_int(EMPTY, &n), -1);
    assert_int_equal(ai_str_int(T("1\0"), &n), -1);
}


/* Every code point, and every sequence of up to three bytes, against the table
 * of RFC 3629, 4. */

static unsigned
utf8_by_table(const unsigned char *p, size_t len)
{
    size_t  i;

    static const struct {
        unsigned      n;
        unsigned char range[4][2];
    } rows[] = {
        { 1, { { 0x00, 0x7F } } },
        { 2, { { 0xC2, 0xDF }, { 0x80, 0xBF } } },
        { 3, { { 0xE0, 0xE0 }, { 0xA0, 0xBF }, { 0x80, 0xBF } } },
        { 3, { { 0xE1, 0xEC }, { 0x80, 0xBF }, { 0x80, 0xBF } } },
        { 3, { { 0xED, 0xED }, { 0x80, 0x9F }, { 0x80, 0xBF } } },
        { 3, { { 0xEE, 0xEF }, { 0x80, 0xBF }, { 0x80, 0xBF } } },
        { 4, { { 0xF0, 0xF0 }, { 0x90, 0xBF }, { 0x80, 0xBF },
               { 0x80, 0xBF } } },
        { 4, { { 0xF1, 0xF3 }, { 0x80, 0xBF }, { 0x80, 0xBF },
               { 0x80, 0xBF } } },
        { 4, { { 0xF4, 0xF4 }, { 0x80, 0x8F }, { 0x80, 0xBF },
               { 0x80, 0xBF } } }
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned  k;

        for (k = 0; k < rows[i].n && k < len; k++) {
            if (p[k] < rows[i].range[k][0] || p[k] > rows[i].range[k][1]) {
                break;
            }
        }

        if (k == rows[i].n) {
            return k;
        }
    }

    return 0;
}


static void
utf8_exhaustive(void **state)
{
    char           out[4];
    size_t         n, want;
    uint32_t       i, c, tail;
    unsigned char  seq[4];

    (void) state;

    static const unsigned char  tails[] = {
        0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF
    };

    for (i = 0; i < 0x1000000; i++) {
        seq[0] = (unsigned char) (i >> 16);
        seq[1] = (unsigned char) (i >> 8);
        seq[2] = (unsigned char) i;

        n = ai_str_utf8((ai_str_t) { 3, (char *) seq });

        if (n != utf8_by_table(seq, 3)) {
            fail_msg("%02x %02x %02x: %zu", seq[0], seq[1], seq[2], n);
        }

        if (seq[0] < 0xF0 || n) {
            continue;
        }

        for (tail = 0; tail < sizeof(tails); tail++) {
            seq[3] = tails[tail];

            n = ai_str_utf8((ai_str_t) { 4, (char *) seq });

            if (n != utf8_by_table(seq, 4)) {
                fail_msg("%02x %02x %02x %02x: %zu", seq[0], seq[1], seq[2],
                         seq[3], n);
            }
        }
    }

    for (i = 0; i < 0x110000; i++) {
        n = ai_str_utf8_put(out, i);
        want = i < 0x80 ? 1 : i < 0x800 ? 2 : i < 0x10000 ? 3 : 4;
        assert_true(n == want);

        /* The bits of all its bytes are the code point. */
        c = n == 1 ? (unsigned char) out[0]
                   : (unsigned char) out[0] & (0x7Fu >> n);

        for (tail = 1; tail < n; tail++) {
            c = c << 6 | ((unsigned char) out[tail] & 0x3F);
        }

        assert_true(c == i);

        want = i >= 0xD800 && i <= 0xDFFF ? 0 : want;
        assert_true(ai_str_utf8((ai_str_t) { n, out }) == want);
        assert_true(n == 1 || ai_str_utf8((ai_str_t) { n - 1, out }) == 0);
    }

    assert_int_equal(ai_str_utf8_put(out, 0x20AC), 3);
    assert_memory_equal(out, "\xE2\x82\xAC", 3);
    assert_int_equal(ai_str_utf8_put(out, 0x1F600), 4);
    assert_memory_equal(out, "\xF0\x9F\x98\x80", 4);
    assert_int_equal(ai_str_utf8_put(out, 0xE9), 2);
    assert_memory_equal(out, "\xC3\xA9", 2);

    assert_int_equal(ai_str_utf8(EMPTY), 0);
    assert_int_equal(ai_str_utf8(T("\xF0\x9F\x98")), 0);
    assert_int_equal(ai_str_utf8(T("\xE2\x82")), 0);
    assert_int_equal(ai_str_utf8(T("\xC3")), 0);
}


static void
texts(void **state)
{
    (void) state;

    assert_true(ai_str_text_ok(EMPTY, 0));
    assert_true(ai_str_text_ok(T("abc"), 3));
    assert_false(ai_str_text_ok(T("abc"), 2));
    assert_true(ai_str_text_ok(T("\xE2\x82\xAC \xF0\x9F\x98\x80~"), 9));
    assert_false(ai_str_text_ok(T("a\xE2\x82"), 9));
    assert_false(ai_str_text_ok(T("a\tb"), 9));
    assert_false(ai_str_text_ok(T("a\0b"), 9));
    assert_false(ai_str_text_ok(T("\x1f"), 9));
    assert_true(ai_str_text_ok(T(" "), 9));
    assert_false(ai_str_text_ok(T("a\x7f"), 9));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(buffer_bounds),
        cmocka_unit_test(buffer_int),
        cmocka_unit_test(json_escapes),
        cmocka_unit_test(json_utf8),
        cmocka_unit_test(equality),
        cmocka_unit_test(integers),
        cmocka_unit_test(utf8_exhaustive),
        cmocka_unit_test(texts)
    };

    return run_group(tests);
}
