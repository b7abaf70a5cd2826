/*
 * The hash of a request: against the SHA-256 of the text that is to count,
 * written out here, whatever the pieces.
 */

#include "ai_unit.h"

#include "ai_digest.h"


static void
digest(char out[AI_SHA256_HEX], ai_dialect_e dialect, ai_str_t text,
    size_t piece)
{
    size_t       at, n;
    ai_str_t     part;
    ai_digest_t  d;

    assert_int_equal(ai_digest_init(&d, dialect), 0);

    for (at = 0; at < text.len; at += n) {
        n = text.len - at < piece ? text.len - at : piece;
        part = tight(text.data + at, n);
        ai_digest_feed(&d, part.data, part.len);
    }

    assert_int_equal(ai_digest_end(&d, out), 0);
    ai_digest_free(&d);
}


/* Text hashes as the bytes of canon do. */

static void
is_canon(ai_dialect_e dialect, const char *text, const char *canon)
{
    size_t         piece, len;
    char           want[AI_SHA256_HEX], got[AI_SHA256_HEX];

    assert_int_equal(ai_sha256_hex(want, Z(canon)), 0);
    len = strlen(text);

    for (piece = 1; piece <= len; piece++) {
        digest(got, dialect, (ai_str_t) { len, text }, piece);

        if (memcmp(got, want, sizeof(got)) != 0) {
            print_error("%s in pieces of %zu is not %s\n", text, piece, canon);
            fail();
        }
    }
}


static void
canons(void **state)
{
    size_t  i;

    static const struct {
        const char *text;
        const char *canon;
    } rows[] = {
        { "{}", "{}" },
        { " {\t} \r\n", "{}" },
        { "{\"a\":1}", "{,\"a\":1}" },
        { "{ \"a\" : 1 , \"b\" : [ 1 , 2 ] }", "{,\"a\":1,\"b\":[1,2]}" },
        { "{\"user\":\"x\"}", "{}" },
        { "{\"user\":\"x\",\"a\":1}", "{,\"a\":1}" },
        { "{\"a\":1,\"user\":\"x\"}", "{,\"a\":1}" },
        { "{\"a\":1,\"stream\":true,\"b\":2}", "{,\"a\":1,\"b\":2}" },
        { "{\"metadata\":{\"a\":[1,{\"b\":2}],\"c\":\"}\\\"\"},\"b\":\"\"}",
          "{,\"b\":\"\"}" },
        { "{\"a\":{\"user\":1,\"stream\" : 2}}",
          "{,\"a\":{\"user\":1,\"stream\":2}}" },
        { "{\"a\":\"user\",\"b\":[\"user\",\"x\"]}",
          "{,\"a\":\"user\",\"b\":[\"user\",\"x\"]}" },
        { "{\"a\":\" \\\" , : { \\\\\"}", "{,\"a\":\" \\\" , : { \\\\\"}" },
        { "{\"us\\u0065r\":1}", "{,\"us\\u0065r\":1}" },
        { "{\"a\\\"b\":1,\"user\":2}", "{,\"a\\\"b\":1}" },
        { "{\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\":1}",
          "{,\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\":1}" },
        { "{\"abcdefghijklmnopqrstuvwxyzabcdef\" : null, \"store\":false}",
          "{,\"abcdefghijklmnopqrstuvwxyzabcdef\":null}" },
        { "{\"a\":\"0123456789\xc3\xa4" "0123456789 0123\"}",
          "{,\"a\":\"0123456789\xc3\xa4" "0123456789 0123\"}" },
        { "{\"a\":-1.5e3 ,\"\":true}", "{,\"a\":-1.5e3,\"\":true}" }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        is_canon(AI_DIALECT_OPENAI, rows[i].text, rows[i].canon);
    }
}


static void
dialects(void **state)
{
    size_t      i;
    const char  *z;

    static const char *const  openai[] = {
        "user", "metadata", "stream", "stream_options", "store",
        "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
        "service_tier"
    };

    (void) state;

    for (i = 0; i < sizeof(openai) / sizeof(openai[0]); i++) {
        assert_true(ai_digest_leaves_out(AI_DIALECT_OPENAI, Z(openai[i])));
    }

    static const char *const  kept[] = {
        "model", "messages", "temperature", "seed", "tools", "n", "Stream",
        "userx", "use", "", "max_tokens", "response_format", "system"
    };

    for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        z = kept[i];
        assert_false(ai_digest_leaves_out(AI_DIALECT_OPENAI, Z(z)));
        assert_false(ai_digest_leaves_out(AI_DIALECT_ANTHROPIC, Z(z)));
    }

    is_canon(AI_DIALECT_ANTHROPIC,
             "{\"metadata\":{\"user_id\":\"u\"},\"stream\":true,"
             "\"service_tier\":\"auto\",\"user\":1}", "{,\"user\":1}");
}


/* What must never agree. */

static void
differs(void **state)
{
    size_t         i, k;
    char    all[16][AI_SHA256_HEX];

    static const char *const  rows[] = {
        "{\"a\":\"b c\"}", "{\"a\":\"bc\"}", "{\"a\":\"b\\u0020c\"}",
        "{\"a\":1,\"b\":2}", "{\"a\":12}", "{\"a\":\"1\",\"b\":2}",
        "{\"a\":[1,2]}", "{\"a\":[12]}", "{\"a\":[[1],2]}", "{\"a\":[[1,2]]}",
        "{\"a\":{\"user\":1}}", "{\"a\":{\"user\":2}}", "{\"a\":{}}",
        "{\"a\":\",\\\"b\\\":1\"}", "{}", "{\"a\":\"\",\"b\":1}"
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        digest(all[i], AI_DIALECT_OPENAI, Z(rows[i]), 64);

        for (k = 0; k < i; k++) {
            assert_memory_not_equal(all[i], all[k], AI_SHA256_HEX);
        }
    }
}


/* Of a text that is none it says something, and reads nothing outside. */

static void
nonsense(void **state)
{
    size_t         i;
    ai_digest_t    d;
    char           out[AI_SHA256_HEX];

    static const char *const  rows[] = {
        "", "}", "]]]}}}", "\"", "{\"a", "{\"a\\", ",,::\"", "{{{{", "[\"\\\""
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        digest(out, AI_DIALECT_OPENAI, Z(rows[i]), 3);
    }

    assert_int_equal(ai_digest_init(&d, AI_DIALECT_OPENAI), 0);
    ai_digest_free(&d);
    ai_digest_free(&d);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(canons),
        cmocka_unit_test(dialects),
        cmocka_unit_test(differs),
        cmocka_unit_test(nonsense)
    };

    return run_group(tests);
}
