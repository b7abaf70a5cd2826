/*
 * Strings unescaped, integers, paths.
 */

#include "ai_unit.h"

#include "ai_json.h"


static void
unescapes(void **state)
{
    size_t  i, n, len;
    char    buf[64];

    static const struct {
        const char *in;
        const char *out;
        size_t      len;
    } good[] = {
        { "\"\"", "", 0 }, { "\"abc\"", "abc", 3 },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8 },
        { "\"a\\u0041b\"", "aAb", 3 }, { "\"\\u0000\"", "\0", 1 },
        { "\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
          "\x7f\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF", 11 },
        { "\"\\u00E9\\u20aC\"", "\xC3\xA9\xE2\x82\xAC", 5 },
        { "\"\\ud83d\\uDE00\"", "\xF0\x9F\x98\x80", 4 },
        { "\"\\uD800\\uDC00\\uDBFF\\uDFFF\"",
          "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 8 },
        { "\"\xC3\xA9\xF0\x9F\x98\x80\"", "\xC3\xA9\xF0\x9F\x98\x80", 6 },

        /* lone ones */
        { "\"\\ud83d\"", "\xEF\xBF\xBD", 3 },
        { "\"\\ude00\"", "\xEF\xBF\xBD", 3 },
        { "\"\\ud83dx\"", "\xEF\xBF\xBDx", 4 },
        { "\"\\ud83d\\n\"", "\xEF\xBF\xBD\n", 4 },
        { "\"\\ud83d\\u0041\"", "\xEF\xBF\xBD" "A", 4 },
        { "\"\\ud83d\\ud83d\\ude00\"", "\xEF\xBF\xBD\xF0\x9F\x98\x80", 7 },
        { "\"\\ude00\\ud83d\"", "\xEF\xBF\xBD\xEF\xBF\xBD", 6 }
    };

    static const char *const  bad[] = {
        "", "\"", "a", "abc", "\"abc", "abc\"", "\"\\\"", "\"a\"b\"",
        "\"\\x\"", "\"\\u\"", "\"\\u12\"", "\"\\u123\"", "\"\\u123g\"",
        "\"\\u12 4\"", "\"\\uG000\"", "\"\\ud83d\\u12\"", "\"\\ud83d\\u\"",
        "\"a\nb\"", "\"\x1f\"", "\"\t\"", "\"\\0\"", "\"\\U0041\"", "'a'",
        "\"\\u00\xC3\xA9\""
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        len = good[i].len;

        memset(buf, '#', sizeof(buf));
        assert_int_equal(ai_json_unescape(Z(good[i].in), buf, len), len);
        assert_memory_equal(buf, good[i].out, len);
        assert_int_equal(buf[len], '#');

        for (n = 0; n < len; n++) {
            memset(buf, '#', sizeof(buf));
            assert_int_equal(ai_json_unescape(Z(good[i].in), buf, n), -1);
            assert_int_equal(buf[n], '#');
        }
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (ai_json_unescape(Z(bad[i]), buf, sizeof(buf)) != -1) {
            fail_msg("a string: %s", bad[i]);
        }
    }

    assert_int_equal(ai_json_unescape(EMPTY, buf, sizeof(buf)), -1);
    assert_int_equal(ai_json_unescape(T("\"a\0\""), buf, sizeof(buf)), -1);
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
        { "0", 0 }, { "-0", 0 }, { "7", 7 }, { "-7", -7 }, { "4096", 4096 },
        { "1.0", 1 }, { "1.9", 1 }, { "-1.9", -1 }, { "0.999", 0 },
        { "1e3", 1000 }, { "1E3", 1000 }, { "1e+3", 1000 }, { "1e-3", 0 },
        { "1.5e3", 1500 }, { "1.2345e3", 1234 }, { "-1.2345e3", -1234 },
        { "12345e-2", 123 }, { "123.45e-2", 1 }, { "100e-2", 1 },
        { "0.5e1", 5 }, { "0.05e1", 0 }, { "0.0000001e7", 1 },
        { "0e999999999999999999999", 0 }, { "0.0e5", 0 }, { "0.00e400", 0 },
        { "1e-999999999999999999999", 0 }, { "1e0", 1 }, { "1e00", 1 },
        { "123456789e-5", 1234 }, { "9e18", 9000000000000000000 },
        { "9223372036854775807", INT64_MAX },
        { "9223372036854775807.9", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
        { "9.223372036854775807e18", INT64_MAX },
        { "92233720368547758070e-1", INT64_MAX },
        { "922337203685477580799999999999999999999e-20", INT64_MAX }
    };

    static const char *const  bad[] = {
        "", "-", "+1", "01", "-01", "00", ".5", "1.", "1.e1", "1e", "1e+",
        "1e-", "1e1.5", "e1", "1 ", " 1", "1x", "0x1", "1.5.5", "1e5e5",
        "true", "\"1\"", "9223372036854775808", "-9223372036854775809",
        "1e19", "9.3e18", "1e99999999999999999999", "0.1e20", "--1", "1-1",
        "92233720368547758080e-1"
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        n = 4711;

        if (ai_json_int(Z(good[i].text), &n) != 0 || n != good[i].n) {
            fail_msg("%s: %lld", good[i].text, (long long) n);
        }
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        n = 4711;

        if (ai_json_int(Z(bad[i]), &n) != -1) {
            fail_msg("%s: %lld", bad[i], (long long) n);
        }

        assert_int_equal(n, 4711);
    }

    assert_int_equal(ai_json_int(EMPTY, &n), -1);
}


static const char  answer[] =
    " {\"id\":\"x\\\"}\", \"choices\" : [ {\"index\":0,\"message\":"
    "{\"content\":\"say \\\"usage\\\": {}\\\\\"},\"finish_reason\":\"stop\"},"
    "{\"finish_reason\":\"length\"} , [1,[2,3]] ],\n\"us\\u0061ge\":"
    "{\"prompt_tokens\":12, \"details\":{\"cached\":-1.5e3},\"x\":null},"
    "\"ok\":true ,\"no\":false,\"nul\":null,\"e\":{},\"z\":[],\"\":7,"
    "\"id\":\"second\",\"0\":\"zero\",\"a\":{\"\":{\"b\":1}}}\n";


static void
paths(void **state)
{
    size_t          i;
    ai_str_t        value;
    ai_json_type_e  type;

    static const struct {
        const char     *path;
        ai_json_type_e  type;
        const char     *value;
    } good[] = {
        { "id", AI_JSON_STRING, "\"x\\\"}\"" },
        { "choices.0.index", AI_JSON_NUMBER, "0" },
        { "choices.0.message.content", AI_JSON_STRING,
          "\"say \\\"usage\\\": {}\\\\\"" },
        { "choices.0.finish_reason", AI_JSON_STRING, "\"stop\"" },
        { "choices.1", AI_JSON_OBJECT, "{\"finish_reason\":\"length\"}" },
        { "choices.1.finish_reason", AI_JSON_STRING, "\"length\"" },
        { "choices.2.1.0", AI_JSON_NUMBER, "2" },
        { "choices.2.1", AI_JSON_ARRAY, "[2,3]" },
        { "usage.prompt_tokens", AI_JSON_NUMBER, "12" },
        { "usage.details.cached", AI_JSON_NUMBER, "-1.5e3" },
        { "usage.x", AI_JSON_NULL, "null" },
        { "ok", AI_JSON_TRUE, "true" }, { "no", AI_JSON_FALSE, "false" },
        { "nul", AI_JSON_NULL, "null" }, { "e", AI_JSON_OBJECT, "{}" },
        { "z", AI_JSON_ARRAY, "[]" }, { "0", AI_JSON_STRING, "\"zero\"" },
        { "a..b", AI_JSON_NUMBER, "1" }
    };

    static const char *const  bad[] = {
        "i", "idx", "ID", "id.x", "id.0", "choices.3", "choices.-1",
        "choices.x", "choices.0.none", "e.x", "z.0",
        "choices.99999999999999999999", "usage.prompt_tokens.x", "ok.x",
        "prompt_tokens", "us\\u0061ge", "choices..index"
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!ai_json_path(T(answer), good[i].path, &value, &type)) {
            fail_msg("no %s", good[i].path);
        }

        is_str(value, good[i].value);
        assert_int_equal(type, good[i].type);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (ai_json_path(T(answer), bad[i], &value, &type)) {
            fail_msg("found %s", bad[i]);
        }
    }

    /* The whole text, and texts that are no objects. */

    assert_int_equal(ai_json_path(T(" 12 "), "", &value, &type), 1);
    is_str(value, "12");
    assert_int_equal(type, AI_JSON_NUMBER);
    assert_int_equal(ai_json_path(T("[1]"), "0", &value, &type), 1);
    is_str(value, "1");
    assert_int_equal(ai_json_path(T("\"a\""), "", &value, &type), 1);
    is_str(value, "\"a\"");
    assert_int_equal(ai_json_path(T("\"a\""), "a", &value, &type), 0);
    assert_int_equal(ai_json_path(EMPTY, "", &value, &type), 0);
    assert_int_equal(ai_json_path(T("  "), "", &value, &type), 0);
    assert_int_equal(ai_json_path(T("  "), "a", &value, &type), 0);
}


static void
keys(void **state)
{
    int             len;
    char            text[256], key[80];
    ai_str_t        value;
    ai_json_type_e  type;

    (void) state;

    assert_int_equal(ai_json_path(T("{\"\\u0061\\\"b\":1}"), "a\"b", &value,
                                  &type), 1);
    assert_int_equal(ai_json_path(T("{\"a\\\\b\":1}"), "a\\b", &value, &type),
                     1);
    assert_int_equal(ai_json_path(T("{\"a\\\\b\":1}"), "a\\\\b", &value,
                                  &type), 0);
    assert_int_equal(ai_json_path(T("{\"b\":\"x\\\"\",\"a\":\"\\\\\"}"), "a",
                                  &value, &type), 1);
    is_str(value, "\"\\\\\"");
    assert_int_equal(ai_json_path(T("{\"\\ud83d\\ude00\":1}"),
                                  "\xF0\x9F\x98\x80", &value, &type), 1);

    for (len = 60; len < 68; len++) {
        memset(key, 'k', 80);
        key[len] = '\0';

        sprintf(text, "{\"\\u006b%s\":1}", key + 1);
        assert_int_equal(ai_json_path(Z(text), key, &value, &type),
                         len <= AI_JSON_NAME_MAX);
    }
}


/* An invalid text gives nothing or a part of it, and no read outside. */

static void
broken(void **state)
{
    size_t          i, k, len;
    ai_str_t        value, text;
    ai_json_type_e  type;

    static const char *const  tries[] = {
        "", "id", "choices.2.1.0", "usage.details.cached", "a..b", "none"
    };

    static const char *const  bad[] = {
        "{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\" 1}", "{a:1}", "{\"b\":x}",
        "{\"b\":1 \"a\":2}", "{\"b\":[1,\"a\":2}", "{\"b\":\"\\\"", "[", "{}",
        "{\"b\":tru,\"a\":1}", "{\"b\":,\"a\":1}", "{\"b\":}", "x", "}", "]",
        "{\"b\":{\"", "{\"b\":[1", "{\"b\":1", "{\"b\":1,", "\"a", "\"a\\\""
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (ai_json_path(Z(bad[i]), "a", &value, &type)) {
            fail_msg("found: %s", bad[i]);
        }
    }

    assert_int_equal(ai_json_path(T("\"a"), "", &value, &type), 0);
    assert_int_equal(ai_json_path(T("[1"), "", &value, &type), 0);
    assert_int_equal(ai_json_path(T("[1"), "1", &value, &type), 0);
    assert_int_equal(ai_json_path(T("[1,"), "1", &value, &type), 0);
    assert_int_equal(ai_json_path(T("[1,x]"), "1", &value, &type), 0);
    assert_int_equal(ai_json_path(T("[\"x,1]"), "1", &value, &type), 0);
    assert_int_equal(ai_json_path(T("nothing"), "", &value, &type), 0);
    assert_int_equal(ai_json_path(T("{\"a\":1\0}"), "a", &value, &type), 1);
    is_str(value, "1");

    for (len = 0; len < sizeof(answer); len++) {
        for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
            text = tight(answer, len);

            if (ai_json_path(text, tries[i], &value, &type)) {
                k = (size_t) (value.data - text.data);
                assert_true(k < text.len && value.len <= text.len - k);
            }
        }
    }
}


static void
elements(void **state)
{
    size_t           i, at, k, len;
    ai_str_t         text, value;
    ai_json_type_e   type;

    static const struct {
        const char *text;
        const char *want[5];
    } rows[] = {
        { "[]", { NULL } },
        { " [ ] ", { NULL } },
        { "[1]", { "1", NULL } },
        { " [ 1 , \"a,]\" ,{\"b\":[2,3]}, [4,[5]],null ] ",
          { "1", "\"a,]\"", "{\"b\":[2,3]}", "[4,[5]]", "null" } },
        { "{\"a\":1}", { NULL } },
        { "\"[1]\"", { NULL } },
        { "1", { NULL } },
        { "", { NULL } },
        { "[1 2]", { "1", NULL } },
        { "[,1]", { NULL } },
        { "[1,", { "1", NULL } }
    };
    static const char  list[] = " [ 12 , \"a\", {\"b\":[1]} , [ ] ] ";

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        text = Z(rows[i].text);

        for (at = 0, k = 0; ai_json_each(text, &at, &value, &type); k++) {
            assert_true(k < 5);
            assert_non_null(rows[i].want[k]);
            is_str(value, rows[i].want[k]);
        }

        assert_true(k == 5 || rows[i].want[k] == NULL);
    }

    for (len = 0; len < sizeof(list); len++) {
        text = tight(list, len);

        for (at = 0; ai_json_each(text, &at, &value, &type); ) {
            assert_true(at <= len);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(unescapes),
        cmocka_unit_test(integers),
        cmocka_unit_test(paths),
        cmocka_unit_test(keys),
        cmocka_unit_test(elements),
        cmocka_unit_test(broken)
    };

    return run_group(tests);
}
