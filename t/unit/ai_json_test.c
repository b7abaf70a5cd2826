/*
 * The scanner: what it takes and refuses, where members stand, and that no cut
 * of a text changes what it says.
 */

#include <jansson.h>

#include "ai_json_unit.h"


static void
takes(void **state)
{
    size_t  i;

    static const char *const  good[] = {
        "{}", " { } ", "\t\r\n {\t\r\n }\t\r\n ", "{\"a\":1}",
        "{\"a\":{}}", "{\"a\":[]}", "{\"a\":[ ]}", "{\"a\" : [ 1 , 2 ] }",
        "{\"a\":[[],[[]],{}]}", "{\"a\":{\"b\":{\"c\":[{}]}}}",
        "{\"a\":true,\"b\":false,\"c\":null}", "{\"a\":[true,false,null]}",
        "{\"a\":0}", "{\"a\":-0}", "{\"a\":-1}", "{\"a\":10}",
        "{\"a\":0.0}", "{\"a\":-0.1}", "{\"a\":1.5e10}", "{\"a\":1E+2}",
        "{\"a\":1e-2}", "{\"a\":0e0}", "{\"a\":0E+1}", "{\"a\":1e0007}",
        "{\"a\":1e99999}", "{\"a\":123456789012345678901234567890.5}",
        "{\"a\":[0,0.5,1]}", "{\"a\":[1e1]}", "{\"a\":1 }", "{\"a\":1\n}",
        "{\"a\":\"\"}", "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
        "{\"a\":\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\\uD800\"}", "{\"a\":\"\\uDC00\"}",   /* lone: syntax */
        "{\"a\":\"\\uDC00\\uD800\"}", "{\"a\":\"\\uD800x\"}",
        "{\"\\uD800\":1}", "{\"\\uD800\\uD800\":1,\"\\uD800\":2}",
        "{\"a\":\"\x7f\"}", "{\"a\":\"/\"}",
        "{\"a\":\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\"}",
        "{\"a\":\"\xED\x9F\xBF\xEE\x80\x80\xEF\xBB\xBF\"}",
        "{\"a\":\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"}",
        "{\"a\":\"\xE2\x80\xA8\xE2\x80\xA9\"}",
        "{\"\":1}", "{\"\xC3\xA9\":1}", "{\"a\":1,\"A\":2}",
        "{\"a\":{\"x\":1,\"x\":2}}",        /* only the top level counts */
        "{\"a\":[{\"x\":1,\"x\":2}]}",
        "{\"a b\":1,\"a\\tb\":2,\"a\\nb\":3}",
        "{\"a\":\"true\",\"b\":\"}\",\"c\":\"]\",\"d\":\"{[\"}"
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (scan(Z(good[i])) != AI_JSON_OK) {
            fail_msg("refused: %s", good[i]);
        }

        every_cut(Z(good[i]), MAX, 0);
    }
}


static void
refuses(void **state)
{
    static const ai_json_bad_t  bad[] = {
        { "", AI_JSON_ESYNTAX, 0 },
        { " ", AI_JSON_ESYNTAX, 1 },
        { "{", AI_JSON_ESYNTAX, 1 },
        { "}", AI_JSON_ESYNTAX, 0 },
        { "{\"a\"", AI_JSON_ESYNTAX, 4 },
        { "{\"a\":", AI_JSON_ESYNTAX, 5 },
        { "{\"a\":1", AI_JSON_ESYNTAX, 6 },
        { "{\"a\":1,", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":1,}", AI_JSON_ESYNTAX, 7 },
        { "{,}", AI_JSON_ESYNTAX, 1 },
        { "{\"a\"}", AI_JSON_ESYNTAX, 4 },
        { "{\"a\":}", AI_JSON_ESYNTAX, 5 },
        { "{\"a\" 1}", AI_JSON_ESYNTAX, 5 },
        { "{\"a\"::1}", AI_JSON_ESYNTAX, 5 },
        { "{\"a\":1 \"b\":2}", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":1,,\"b\":2}", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":1:2}", AI_JSON_ESYNTAX, 6 },
        { "{a:1}", AI_JSON_ESYNTAX, 1 },
        { "{'a':1}", AI_JSON_ESYNTAX, 1 },
        { "{1:1}", AI_JSON_ESYNTAX, 1 },
        { "{null:1}", AI_JSON_ESYNTAX, 1 },
        { "{\"a\":1}}", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":1}x", AI_JSON_ESYNTAX, 7 },
        { "{} {}", AI_JSON_ESYNTAX, 3 },
        { "{},", AI_JSON_ESYNTAX, 2 },
        { "{}\v", AI_JSON_ESYNTAX, 2 },
        { "\f{}", AI_JSON_ESYNTAX, 0 },
        { "{\"a\":1]", AI_JSON_ESYNTAX, 6 },
        { "{]", AI_JSON_ESYNTAX, 1 },
        { "{\"a\":[}", AI_JSON_ESYNTAX, 6 },
        { "{\"a\":[1}", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":[1,]}", AI_JSON_ESYNTAX, 8 },
        { "{\"a\":[,1]}", AI_JSON_ESYNTAX, 6 },
        { "{\"a\":[1 2]}", AI_JSON_ESYNTAX, 8 },
        { "{\"a\":[1", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":[\"x\":1]}", AI_JSON_ESYNTAX, 9 },
        { "{\"a\":[]]", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":{}]", AI_JSON_ESYNTAX, 7 },

        { "[]", AI_JSON_ETYPE, 0 }, { " 1", AI_JSON_ETYPE, 1 },
        { "-1", AI_JSON_ETYPE, 0 }, { "\"a\"", AI_JSON_ETYPE, 0 },
        { "true", AI_JSON_ETYPE, 0 }, { "false", AI_JSON_ETYPE, 0 },
        { "null", AI_JSON_ETYPE, 0 }, { "9", AI_JSON_ETYPE, 0 },
        { "+1", AI_JSON_ESYNTAX, 0 }, { "x", AI_JSON_ESYNTAX, 0 },
        { "\xEF\xBB\xBF{}", AI_JSON_ESYNTAX, 0 },
        { "{\xEF\xBB\xBF}", AI_JSON_ESYNTAX, 1 },
        { "/**/{}", AI_JSON_ESYNTAX, 0 },
        { "{}//", AI_JSON_ESYNTAX, 2 },

        { "{\"a\":tru}", AI_JSON_ESYNTAX, 8 },
        { "{\"a\":tru", AI_JSON_ESYNTAX, 8 },
        { "{\"a\":True}", AI_JSON_ESYNTAX, 5 },
        { "{\"a\":truee}", AI_JSON_ESYNTAX, 9 },
        { "{\"a\":nul\"\"}", AI_JSON_ESYNTAX, 8 },
        { "{\"a\":falsy}", AI_JSON_ESYNTAX, 9 },
        { "{\"a\":NaN}", AI_JSON_ESYNTAX, 5 },
        { "{\"a\":Infinity}", AI_JSON_ESYNTAX, 5 },
        { "{\"a\":undefined}", AI_JSON_ESYNTAX, 5 },

        { "{\"a\":01}", AI_JSON_ESYNTAX, 6 },
        { "{\"a\":-}", AI_JSON_ESYNTAX, 6 },
        { "{\"a\":-01}", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":--1}", AI_JSON_ESYNTAX, 6 },
        { "{\"a\":+1}", AI_JSON_ESYNTAX, 5 },
        { "{\"a\":.5}", AI_JSON_ESYNTAX, 5 },
        { "{\"a\":1.}", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":1.e1}", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":1e}", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":1e+}", AI_JSON_ESYNTAX, 8 },
        { "{\"a\":1e+-1}", AI_JSON_ESYNTAX, 8 },
        { "{\"a\":1e1.5}", AI_JSON_ESYNTAX, 8 },
        { "{\"a\":1e1e1}", AI_JSON_ESYNTAX, 8 },
        { "{\"a\":1.5.5}", AI_JSON_ESYNTAX, 8 },
        { "{\"a\":0x10}", AI_JSON_ESYNTAX, 6 },
        { "{\"a\":1_000}", AI_JSON_ESYNTAX, 6 },
        { "{\"a\":-a}", AI_JSON_ESYNTAX, 6 },
        { "{\"a\":0e}", AI_JSON_ESYNTAX, 7 },

        { "{\"a\":\"x", AI_JSON_ESYNTAX, 7 },
        { "{\"a", AI_JSON_ESYNTAX, 3 },
        { "{\"a\":\"\\", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":\"\\x\"}", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":\"\\'\"}", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":\"\\0\"}", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":\"\\u12\"}", AI_JSON_ESYNTAX, 10 },
        { "{\"a\":\"\\u123g\"}", AI_JSON_ESYNTAX, 11 },
        { "{\"a\":\"\\u 123\"}", AI_JSON_ESYNTAX, 8 },
        { "{\"a\":\"\\U0041\"}", AI_JSON_ESYNTAX, 7 },
        { "{\"a\":\"\\uD8", AI_JSON_ESYNTAX, 10 },
        { "{\"a\":\"\n\"}", AI_JSON_ESYNTAX, 6 },
        { "{\"a\":\"\t\"}", AI_JSON_ESYNTAX, 6 },
        { "{\"a\":\"\x1f\"}", AI_JSON_ESYNTAX, 6 },
        { "{\"a\":\"0123456789abcdef\x01\"}", AI_JSON_ESYNTAX, 22 },
        { "{\"a\x01\":1}", AI_JSON_ESYNTAX, 3 },
        { "{\"a\xC3\xA9\":\xC3\xA9}", AI_JSON_ESYNTAX, 7 },

        { "{\"a\":\"\x80\"}", AI_JSON_EUTF8, 6 },
        { "{\"a\":\"\xBF\"}", AI_JSON_EUTF8, 6 },
        { "{\"a\":\"\xC0\x80\"}", AI_JSON_EUTF8, 6 },
        { "{\"a\":\"\xC1\xBF\"}", AI_JSON_EUTF8, 6 },
        { "{\"a\":\"\xC3\"}", AI_JSON_EUTF8, 7 },
        { "{\"a\":\"\xC3\xC3\"}", AI_JSON_EUTF8, 7 },
        { "{\"a\":\"\xE0\x9F\xBF\"}", AI_JSON_EUTF8, 7 },
        { "{\"a\":\"\xE2\x82\"}", AI_JSON_EUTF8, 8 },
        { "{\"a\":\"\xED\xA0\x80\"}", AI_JSON_EUTF8, 7 },
        { "{\"a\":\"\xED\xBF\xBF\"}", AI_JSON_EUTF8, 7 },
        { "{\"a\":\"\xF0\x8F\xBF\xBF\"}", AI_JSON_EUTF8, 7 },
        { "{\"a\":\"\xF0\x9F\x98\"}", AI_JSON_EUTF8, 9 },
        { "{\"a\":\"\xF4\x90\x80\x80\"}", AI_JSON_EUTF8, 7 },
        { "{\"a\":\"\xF5\x80\x80\x80\"}", AI_JSON_EUTF8, 6 },
        { "{\"a\":\"\xFF\"}", AI_JSON_EUTF8, 6 },
        { "{\"\xFF\":1}", AI_JSON_EUTF8, 2 },
        { "{\"a\":{\"\xC3(\":1}}", AI_JSON_EUTF8, 8 },
        { "{\"a\":\"\xE2\x82", AI_JSON_ESYNTAX, 8 }
    };

    (void) state;

    refused(bad, sizeof(bad) / sizeof(bad[0]));

    assert_int_equal(scan(EMPTY), AI_JSON_ESYNTAX);
    assert_int_equal(scan(T("{}\0")), AI_JSON_ESYNTAX);
    assert_int_equal(scan(T("{\"a\":\"\0\"}")), AI_JSON_ESYNTAX);
    assert_int_equal(scan(T("\0")), AI_JSON_ESYNTAX);
    assert_int_equal(scan(T("{\"a\":t\0ue}")), AI_JSON_ESYNTAX);
    assert_int_equal(scan(T("{\"a\":true\0}")), AI_JSON_ESYNTAX);
}


/* Every escape of one letter, and every byte in every place of a string. */

static void
bytes(void **state)
{
    int            c;
    size_t         i, len;
    char           text[64];

    (void) state;

    for (c = 0; c < 256; c++) {
        len = (size_t) sprintf(text, "{\"a\":\"\\%c\"}", c ? c : 'x');
        text[7] = (char) c;

        /* \" leaves the string open, \u its digits missing */
        assert_int_equal(scan(tight(text, len)) == AI_JSON_OK,
                         c && strchr("\"\\/bfnrt", c) != NULL);

        for (i = 0; i < 20; i++) {
            len = (size_t) sprintf(text, "{\"a\":\"01234567890123456789\"}");
            text[6 + i] = (char) c;
            assert_int_equal(scan(tight(text, len)) == AI_JSON_OK,
                             c >= 0x20 && c < 0x80 && c != '\\'
                             && c != '"');
        }

        for (i = 0; i < 4; i++) {
            len = (size_t) sprintf(text, "{\"a\":\"\\u1aF0\"}");
            text[8 + i] = (char) c;
            assert_int_equal(scan(tight(text, len)) == AI_JSON_OK,
                             c && strchr("0123456789abcdefABCDEF", c) != NULL);
        }
    }
}


static void
field_is(const ai_json_t *j, ai_str_t text, int i, ai_json_type_e type,
    const char *want, int line)
{
    const ai_json_field_t  *f;

    f = &j->fields[i];

    if (f->type != type) {
        fail_msg("line %d: type %d", line, f->type);
    }

    if (want == NULL) {
        assert_true(f->start == 0 && f->end == 0 && f->member == 0);
        return;
    }

    assert_true(f->end <= text.len && f->start < f->end);
    assert_true(f->member < f->start && text.data[f->member] == '"');
    ai_unit_is((ai_str_t) { f->end - f->start, text.data + f->start }, want,
               strlen(want), __FILE__, line);
}

#define is_field(i, type, want)  \
    field_is(&j, text, i, AI_JSON_##type, want, __LINE__)


static void
fields(void **state)
{
    ai_str_t          text;
    static ai_json_t  j;

    (void) state;

    text = T(" { \"x\": {\"model\": 1, \"a\": [2]}, \"model\" : \"gpt\\n\\\"4\""
             " ,\"stream\":true,\n\"a\":[1, {\"a\": 2}, \"]\"] , \"\":null}");
    assert_int_equal(ai_json_scan(&j, names, text, MAX, 0), AI_JSON_OK);
    is_field(0, STRING, "\"gpt\\n\\\"4\"");
    is_field(1, TRUE, "true");
    is_field(2, ARRAY, "[1, {\"a\": 2}, \"]\"]");
    is_field(3, NULL, "null");
    assert_int_equal(j.fields[0].member, 32);
    assert_true(j.offset == text.len);
    every_cut(text, MAX, 0);

    text = T("{\"stream\":-12.5e3,\"a\":0,\"model\":{\"a\":{}} }");
    assert_int_equal(ai_json_scan(&j, names, text, MAX, 0), AI_JSON_OK);
    is_field(0, OBJECT, "{\"a\":{}}");
    is_field(1, NUMBER, "-12.5e3");
    is_field(2, NUMBER, "0");
    is_field(3, NONE, NULL);
    every_cut(text, MAX, 0);

    text = T("{\"m\\u006Fdel\":false,\"\\u0061\":\"\",\"models\":1,\"mode\":2,"
             "\"model \":3,\"modeL\":4,\"\\u0000\":5}");
    assert_int_equal(ai_json_scan(&j, names, text, MAX, 0), AI_JSON_OK);
    is_field(0, FALSE, "false");
    is_field(1, NONE, NULL);
    is_field(2, STRING, "\"\"");
    is_field(3, NONE, NULL);
    every_cut(text, MAX, 0);

    /* A number ends at the brace, the comma, at white space. */
    text = T("{\"a\":1}");
    assert_int_equal(ai_json_scan(&j, names, text, MAX, 0), AI_JSON_OK);
    is_field(2, NUMBER, "1");
    text = T("{\"a\":1.5 ,\"b\":2}");
    assert_int_equal(ai_json_scan(&j, names, text, MAX, 0), AI_JSON_OK);
    is_field(2, NUMBER, "1.5");

    text = T("{\"a\":1}");
    assert_int_equal(ai_json_scan(&j, NULL, text, MAX, 0), AI_JSON_OK);
    is_field(2, NONE, NULL);
}


static void
sixteen_names(void **state)
{
    int               i;
    ai_str_t          text;
    static ai_json_t  j;

    static const char *const  many[AI_JSON_FIELDS_MAX + 1] = {
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n",
        "o", "p", "q"               /* one too many, and no NULL */
    };

    (void) state;

    text = T("{\"q\":0,\"p\":1,\"o\":1,\"n\":1,\"m\":1,\"l\":1,\"k\":1,\"j\":1,"
             "\"i\":1,\"h\":1,\"g\":1,\"f\":1,\"e\":1,\"d\":1,\"c\":1,\"b\":1,"
             "\"a\":1}");
    assert_int_equal(ai_json_scan(&j, many, text, MAX, 0), AI_JSON_OK);

    for (i = 0; i < AI_JSON_FIELDS_MAX; i++) {
        is_field(i, NUMBER, "1");
    }
}


static void
depth(void **state)
{
    unsigned          d, limit;
    size_t            len;
    char              text[3 * AI_JSON_DEPTH_MAX + 16];
    static ai_json_t  j;

    (void) state;

    for (d = 1; d <= AI_JSON_DEPTH_MAX + 1; d++) {
        len = (size_t) sprintf(text, "{\"a\":");
        memset(text + len, '[', d - 1);
        len += d - 1;
        memset(text + len, ']', d - 1);
        len += d - 1;

        if (d == 1) {
            text[len++] = '1';
        }

        text[len++] = '}';

        for (limit = d - 1; limit <= d + 1; limit++) {
            if (limit == 0) {
                continue;
            }

            assert_int_equal(
                ai_json_scan(&j, names, tight(text, len), MAX, limit),
                d > limit || d > AI_JSON_DEPTH_MAX ? AI_JSON_EDEPTH
                                                   : AI_JSON_OK);
        }

        assert_int_equal(ai_json_scan(&j, names, tight(text, len), MAX, 0),
                         d > AI_JSON_DEPTH_MAX ? AI_JSON_EDEPTH : AI_JSON_OK);

        if (d < 20 || d > AI_JSON_DEPTH_MAX - 2) {
            every_cut(tight(text, len), MAX, 0);
            every_cut(tight(text, len), MAX, d - 1);
        }
    }

    /* Kinds are remembered at every level. */

    for (d = 2; d < 40; d++) {
        unsigned  i;

        for (len = 0, i = 0; i < d; i++) {
            len += (size_t) sprintf(text + len, i % 3 ? "[" : "{\"a\":");
        }

        text[len++] = '1';

        for (i = d; i > 0; i--) {
            text[len++] = (i - 1) % 3 ? ']' : '}';
        }

        assert_int_equal(scan(tight(text, len)), AI_JSON_OK);

        text[len - d] = text[len - d] == ']' ? '}' : ']';
        assert_int_equal(scan(tight(text, len)), AI_JSON_ESYNTAX);
    }

    len = (size_t) sprintf(text, "{\"a\":[[1]]}");
    assert_int_equal(ai_json_scan(&j, names, tight(text, len), MAX, 2),
                     AI_JSON_EDEPTH);
    assert_true(j.error_at == 6);
}


static void
size(void **state)
{
    uint64_t          max;
    ai_str_t          text;
    static ai_json_t  j;

    (void) state;

    text = T("{\"a\":\"0123456789\"} ");

    for (max = 0; max <= text.len + 1; max++) {
        assert_int_equal(ai_json_scan(&j, names, text, max, 0),
                         max < text.len ? AI_JSON_ESIZE : AI_JSON_OK);
        assert_true(j.error_at == (max < text.len ? max : 0));
        every_cut(text, max, 0);
    }

    /* What is wrong before the limit is said first. */
    assert_int_equal(ai_json_scan(&j, names, T("{x          "), 5, 0),
                     AI_JSON_ESYNTAX);
    assert_int_equal(ai_json_scan(&j, names, T("{  x        "), 3, 0),
                     AI_JSON_ESIZE);
    assert_int_equal(ai_json_scan(&j, names, T("{}"), UINT64_MAX, 0),
                     AI_JSON_OK);
}


static void
states(void **state)
{
    static ai_json_t  j;

    (void) state;

    /* An error stays. */
    ai_json_init(&j, names, MAX, 0);
    assert_int_equal(ai_json_feed(&j, "{x", 2), AI_JSON_ESYNTAX);
    assert_int_equal(ai_json_feed(&j, "{}", 2), AI_JSON_ESYNTAX);
    assert_int_equal(ai_json_feed(&j, "", 0), AI_JSON_ESYNTAX);
    assert_int_equal(ai_json_end(&j), AI_JSON_ESYNTAX);
    assert_true(j.error_at == 1);

    /* White space may follow for ever, nothing after the end. */
    ai_json_init(&j, names, MAX, 0);
    assert_int_equal(ai_json_feed(&j, "{}", 2), AI_JSON_MORE);
    assert_int_equal(ai_json_feed(&j, " \n", 2), AI_JSON_MORE);
    assert_int_equal(ai_json_end(&j), AI_JSON_OK);
    assert_int_equal(ai_json_end(&j), AI_JSON_OK);
    assert_int_equal(ai_json_feed(&j, NULL, 0), AI_JSON_OK);
    assert_int_equal(ai_json_feed(&j, " ", 1), AI_JSON_ESYNTAX);
    assert_int_equal(ai_json_end(&j), AI_JSON_ESYNTAX);

    assert_string_equal(ai_json_strerror(AI_JSON_OK), "valid JSON");

    for (int i = AI_JSON_ETYPE; i < AI_JSON_MORE; i++) {
        for (int k = i + 1; k <= AI_JSON_MORE; k++) {
            assert_string_not_equal(ai_json_strerror(i), ai_json_strerror(k));
        }
    }

    assert_string_equal(ai_json_strerror(-99),
                        ai_json_strerror(AI_JSON_ESYNTAX));
}


/* Texts made wrong at random, judged by jansson. */

static uint32_t  lcg_state = 4711;

static uint32_t
lcg(uint32_t n)
{
    lcg_state = lcg_state * 1664525 + 1013904223;

    return (lcg_state >> 8) % n;
}


static void
as_jansson_says(void **state)
{
    int           i, k, theirs, ours, agreed[2] = { 0, 0 };
    char          text[256];
    size_t        len;
    json_t       *json;
    json_error_t  error;

    static const char *const  seeds[] = {
        "{\"l\":[{\"x\":\"\xE2\x82\xAC\xF0\x9F\x98\x80\"}],\"s\":true}",
        "{\"a\":[1,-2.5,3e4,0,[],{},[[\"x\"]]],\"b\":{\"c\":null,\"d\":false}}",
        " { \"x\" : \"a\\n\\\"b\\\\\" , \"y\" : [ true , 0.1 ] } ",
        "{\"t\":0.7,\"n\":1,\"s\":[\"\xC3\xA9\",\"\\/\"],\"k\":{\"z\":{}}}"
    };

    static const char  bytes_in[] = "{}[]\",:\\ \n0123456789-+.eEtruefalsn"
                                    "\x01\x7f\x80\xC3\xA9\xE2\x82\xF0\xFFx/";

    (void) state;

    for (i = 0; i < 200000; i++) {
        strcpy(text, seeds[lcg(4)]);
        len = strlen(text);

        for (k = (int) lcg(3) + 1; k > 0 && len > 1; k--) {
            size_t  at = lcg((uint32_t) len);

            switch (lcg(3)) {

            case 0:
                text[at] = bytes_in[lcg(sizeof(bytes_in) - 1)];
                break;

            case 1:
                memmove(text + at, text + at + 1, len - at - 1);
                len--;
                break;

            default:
                memmove(text + at + 1, text + at, len - at);
                text[at] = bytes_in[lcg(sizeof(bytes_in) - 1)];
                len++;
            }
        }

        json = json_loadb(text, len, 0, &error);
        theirs = json != NULL;

        /* Numbers that are too large are a matter of jansson's types. */
        if (json == NULL
            && json_error_code(&error) == json_error_numeric_overflow)
        {
            continue;
        }

        /* jansson takes an array, too, and the same key twice. */
        ours = scan((ai_str_t) { len, text });

        if (theirs && (!json_is_object(json) || ours == AI_JSON_EDUPLICATE)) {
            assert_int_not_equal(ours, AI_JSON_OK);

        } else if ((ours == AI_JSON_OK) != theirs) {
            fail_msg("we: %d, jansson: %d (%s): %.*s", ours, theirs,
                     error.text, (int) len, text);

        } else {
            agreed[theirs]++;
        }

        json_decref(json);
    }

    assert_true(agreed[0] > 10000 && agreed[1] > 10000);
}


/* Every cut in three of a text that has everything. */

static void
three_pieces(void **state)
{
    size_t            i, k;
    ai_str_t          text;
    static ai_json_t  whole, cut;

    (void) state;

    text = T("{\"m\\u006fdel\":\"\\ud83d\\ude00\xF0\x9F\x98\x80\\n\",\"stream\""
             ": true,\"a\":[-1.5e+3,{\"\xE2\x82\xAC\":null}] ,\"\xC3\xA9\":0}");
    assert_int_equal(ai_json_scan(&whole, names, text, MAX, 0), AI_JSON_OK);

    for (i = 0; i <= text.len; i++) {
        for (k = i; k <= text.len; k++) {
            ai_json_init(&cut, names, MAX, 0);
            (void) ai_json_feed(&cut, text.data, i);
            (void) ai_json_feed(&cut, text.data + i, k - i);
            (void) ai_json_feed(&cut, text.data + k, text.len - k);
            (void) ai_json_end(&cut);
            same(&whole, &cut);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(takes),
        cmocka_unit_test(refuses),
        cmocka_unit_test(bytes),
        cmocka_unit_test(fields),
        cmocka_unit_test(sixteen_names),
        cmocka_unit_test(depth),
        cmocka_unit_test(size),
        cmocka_unit_test(states),
        cmocka_unit_test(as_jansson_says),
        cmocka_unit_test(three_pieces)
    };

    return run_group(tests);
}
