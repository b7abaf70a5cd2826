/*
 * Top-level keys: told apart by their text however it is spelled and cut, and
 * bounded in number.
 */

#include "ai_json_unit.h"


static void
twice(void **state)
{
    static const ai_json_bad_t  bad[] = {
        { "{\"a\":1,\"a\":2}", AI_JSON_EDUPLICATE, 7 },
        { "{\"b\":1,\"a\":2,\"b\":3}", AI_JSON_EDUPLICATE, 13 },
        { "{\"model\":1,\"mod\\u0065l\":2}", AI_JSON_EDUPLICATE, 11 },
        { "{\"mod\\u0065l\":1,\"model\":2}", AI_JSON_EDUPLICATE, 16 },
        { "{\"\":1,\"\":2}", AI_JSON_EDUPLICATE, 6 },
        { "{\"\\/\":1,\"/\":2}", AI_JSON_EDUPLICATE, 8 },
        { "{\"\\n\\t\":1,\"\\u000a\\u0009\":2}", AI_JSON_EDUPLICATE, 10 },
        { "{\"\\u000A\":1,\"\\u000a\":2}", AI_JSON_EDUPLICATE, 12 },
        { "{\"\\\"\\\\\\b\\f\\r\":1,\"\\u0022\\u005c\\u0008\\u000c\\u000D\":2}",
          AI_JSON_EDUPLICATE, 16 },
        { "{\"\xC3\xA9\":1,\"\\u00e9\":2}", AI_JSON_EDUPLICATE, 8 },
        { "{\"\xE2\x82\xAC\":1,\"\\u20ac\":2}", AI_JSON_EDUPLICATE, 9 },
        { "{\"\xF0\x9F\x98\x80\":1,\"\\uD83D\\uDE00\":2}",
          AI_JSON_EDUPLICATE, 10 },
        { "{\"\\ud83d\\ude00\":1,\"\\uD83D\\uDE00\":2}",
          AI_JSON_EDUPLICATE, 18 },
        { "{\"\\ud800\":1,\"\\uD800\":2}", AI_JSON_EDUPLICATE, 12 },
        { "{\"\\ud800x\":1,\"\\uD800\\u0078\":2}", AI_JSON_EDUPLICATE, 13 },
        { "{\"\\ud800\\n\":1,\"\\uD800\\u000a\":2}",
          AI_JSON_EDUPLICATE, 14 },
        { "{\"\\ud800\xC3\xA9\":1,\"\\uD800\\u00e9\":2}",
          AI_JSON_EDUPLICATE, 14 },
        { "{\"\\udc00\\ud800\":1,\"\\uDC00\\uD800\":2}",
          AI_JSON_EDUPLICATE, 18 }
    };

    (void) state;

    refused(bad, sizeof(bad) / sizeof(bad[0]));
}


static void
long_names(void **state)
{
    int               i, len, asked;
    ai_str_t          text;
    char              key[80], other[200];
    const char       *long_name[2];
    static ai_json_t  j;

    (void) state;

    for (len = 60; len < 70; len++) {
        for (i = 0; i < len; i++) {
            key[i] = (char) ('a' + i % 26);
        }

        key[len] = '\0';
        long_name[0] = key;
        long_name[1] = NULL;

        sprintf(other, "{\"%s\":1,\"%sx\":2}", key, key);
        text = Z(other);
        assert_int_equal(ai_json_scan(&j, long_name, text, MAX, 0),
                         AI_JSON_OK);
        asked = len <= AI_JSON_NAME_MAX;
        assert_int_equal(j.fields[0].type,
                         asked ? AI_JSON_NUMBER : AI_JSON_NONE);

        /* Longer ones are still told apart, and found twice. */
        sprintf(other, "{\"%s\":1,\"%s\":2}", key, key);
        assert_int_equal(ai_json_scan(&j, names, Z(other), MAX, 0),
                         AI_JSON_EDUPLICATE);
        every_cut(Z(other), MAX, 0);
    }
}


static void
keys(void **state)
{
    unsigned          n, i;
    size_t            len;
    char             *text;
    static ai_json_t  j;

    (void) state;

    text = malloc(AI_JSON_KEYS_MAX * 16 + 64);
    assert_non_null(text);

    for (n = AI_JSON_KEYS_MAX - 1; n <= AI_JSON_KEYS_MAX + 1; n++) {
        len = (size_t) sprintf(text, "{");

        for (i = 0; i < n; i++) {
            len += (size_t) sprintf(text + len, "%s\"k%u\":1", i ? "," : "", i);
        }

        len += (size_t) sprintf(text + len, "}");
        assert_int_equal(ai_json_scan(&j, names, tight(text, len), MAX, 0),
                         n > AI_JSON_KEYS_MAX ? AI_JSON_EKEYS : AI_JSON_OK);

        /* The last one is still compared with the first. */
        len--;
        len += (size_t) sprintf(text + len, ",\"k0\":1}");
        assert_int_equal(ai_json_scan(&j, names, tight(text, len), MAX, 0),
                         n > AI_JSON_KEYS_MAX ? AI_JSON_EKEYS
                                              : AI_JSON_EDUPLICATE);
    }

    /* Below the top level there may be any number. */

    len = (size_t) sprintf(text, "{\"a\":{");

    for (i = 0; i < AI_JSON_KEYS_MAX + 1; i++) {
        len += (size_t) sprintf(text + len, "%s\"k%u\":1", i ? "," : "", i);
    }

    len += (size_t) sprintf(text + len, "}}");
    assert_int_equal(scan(tight(text, len)), AI_JSON_OK);

    free(text);
}


/* Two scans hash under different keys. */

static void
seeds(void **state)
{
    uint64_t          seed;
    static ai_json_t  j;

    (void) state;

    ai_json_init(&j, names, MAX, 0);
    seed = j.seed[0] ^ j.seed[1];
    ai_json_init(&j, names, MAX, 0);
    assert_true(seed != (j.seed[0] ^ j.seed[1]));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(twice),
        cmocka_unit_test(long_names),
        cmocka_unit_test(keys),
        cmocka_unit_test(seeds)
    };

    return run_group(tests);
}
