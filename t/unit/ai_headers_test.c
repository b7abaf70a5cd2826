/*
 * Which headers and query arguments pass, in each dialect and direction.
 */

#include "ai_unit.h"

#include "ai_headers.h"

#define N64  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define O    AI_DIALECT_OPENAI
#define A    AI_DIALECT_ANTHROPIC


/* in and out: letters of the dialects in which the name passes. */

static const struct {
    const char *name;
    const char *in;
    const char *out;
    int         never;
} rows[] = {
    { "anthropic-version", "a", "", 0 },
    { "Anthropic-Version", "a", "", 0 },
    { "anthropic-beta", "a", "", 0 },
    { "OpenAI-Beta", "o", "", 0 },
    { "OpenAI-Organization", "", "", 0 },
    { "OpenAI-Project", "", "", 0 },
    { "Idempotency-Key", "oa", "", 0 },
    { "X-Client-Request-Id", "o", "", 0 },
    { "User-Agent", "", "", 0 },
    { "X-Stainless-Lang", "", "", 0 },
    { "Accept", "", "", 0 },
    { "Content-Type", "", "", 0 },

    { "request-id", "", "oa", 0 },
    { "x-request-id", "", "oa", 0 },
    { "openai-processing-ms", "", "o", 0 },
    { "openai-version", "", "o", 0 },
    { "openai-model", "", "o", 0 },
    { "retry-after", "", "oa", 0 },
    { "retry-after-ms", "", "oa", 0 },
    { "Retry-After-MS", "", "oa", 0 },
    { "x-should-retry", "", "oa", 0 },
    { "x-ratelimit-limit-requests", "", "oa", 0 },
    { "X-RateLimit-Remaining-Tokens", "", "oa", 0 },
    { "x-ratelimit-", "", "oa", 0 },
    { "x-ratelimit", "", "", 0 },
    { "anthropic-ratelimit-input-tokens-reset", "", "a", 0 },
    { "anthropic-priority-input-tokens-limit", "", "a", 0 },
    { "anthropic-organization-id", "", "", 0 },
    { "cf-ray", "", "", 0 },
    { "retry-afte", "", "", 0 },
    { "retry-afterx", "", "", 0 },
    { "x-foo", "", "", 0 },
    { "x-ratelimit-a b", "", "", 1 },
    { "x-ratelimit-a\r\nset-cookie", "", "", 1 },

    { "Connection", "", "", 1 },
    { "Keep-Alive", "", "", 1 },
    { "TE", "", "", 1 },
    { "Trailer", "", "", 1 },
    { "Transfer-Encoding", "", "", 1 },
    { "Upgrade", "", "", 1 },
    { "HTTP2-Settings", "", "", 1 },
    { "Proxy-Authorization", "", "", 1 },
    { "Proxy-Connection", "", "", 1 },
    { "proxy-anything", "", "", 1 },
    { "proxy", "", "", 0 },
    { "Host", "", "", 1 },
    { "Content-Length", "", "", 1 },
    { "Expect", "", "", 1 },
    { "Accept-Encoding", "", "", 1 },
    { "Content-Encoding", "", "", 1 },
    { "Cookie", "", "", 1 },
    { "cookie2", "", "", 1 },
    { "Set-Cookie", "", "", 1 },
    { "Set-Cookie2", "", "", 1 },
    { "Authorization", "", "", 1 },
    { "AUTHORIZATION", "", "", 1 },
    { "X-API-Key", "", "", 1 },
    { "api-key", "", "", 1 },
    { "x-goog-api-key", "", "", 1 },
    { "WWW-Authenticate", "", "", 1 },
    { "Authentication-Info", "", "", 1 },
    { "Alt-Svc", "", "", 1 },
    { "Strict-Transport-Security", "", "", 1 },
    { "Server", "", "", 1 },
    { "Date", "", "", 1 },
    { "X-Accel-Redirect", "", "", 1 },
    { "X-Sendfile", "", "", 1 },
    { "X-AI-Job", "", "", 1 },
    { "cookies", "", "", 0 },
    { "hos", "", "", 0 },

    { "", "", "", 1 },
    { "a b", "", "", 1 },
    { "a:", "", "", 1 },
    { "a\r\n", "", "", 1 },
    { "b\xC3\xA9", "", "", 1 }
};


static void
tables(void **state)
{
    size_t    i;
    ai_str_t  name;

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        name = Z(rows[i].name);

        if (ai_headers_in(O, name) != (strchr(rows[i].in, 'o') != NULL)
            || ai_headers_in(A, name) != (strchr(rows[i].in, 'a') != NULL)
            || ai_headers_out(O, name) != (strchr(rows[i].out, 'o') != NULL)
            || ai_headers_out(A, name) != (strchr(rows[i].out, 'a') != NULL)
            || ai_headers_never(name) != rows[i].never)
        {
            fail_msg("%s", rows[i].name);
        }
    }

    assert_false(ai_headers_in(AI_DIALECT_LAST, T("idempotency-key")));
    assert_false(ai_headers_out(AI_DIALECT_LAST, T("retry-after")));
    assert_false(ai_headers_out((ai_dialect_e) -1, T("retry-after")));

    assert_false(ai_headers_in(O, EMPTY));
    assert_false(ai_headers_in(O, T("idempotency-key\0")));
    assert_false(ai_headers_in(O, T("idempotency-key ")));
    assert_true(ai_headers_never(EMPTY));
    assert_true(ai_headers_never(T("x\0")));
    assert_false(ai_headers_never(T(N64)));
    assert_true(ai_headers_never(T(N64 "a")));
}


static void
valid(void **state)
{
    int    c;
    char   s[4], *mem;

    (void) state;

    for (c = 0; c < 256; c++) {
        s[0] = (char) c;
        assert_int_equal(
            ai_headers_valid(tight(s, 1), T("v")),
            c && strchr("!#$%&'*+-.^_`|~0123456789"
                        "abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ", c) != NULL);

        s[0] = 'a';
        s[1] = (char) c;
        s[2] = 'b';
        assert_int_equal(ai_headers_valid(T("n"), tight(s, 3)),
                         c >= 0x80 || c == '\t' || (c >= 0x20 && c < 0x7F));

        /* at the ends */
        assert_int_equal(ai_headers_valid(T("n"), tight(s, 2)),
                         c >= 0x80 || (c > 0x20 && c < 0x7F));
        assert_int_equal(ai_headers_valid(T("n"), tight(s + 1, 2)),
                         c >= 0x80 || (c > 0x20 && c < 0x7F));
    }

    assert_false(ai_headers_valid(EMPTY, T("v")));
    assert_true(ai_headers_valid(T("n"), EMPTY));
    assert_true(ai_headers_valid(T(N64), T("v")));
    assert_false(ai_headers_valid(T(N64 "a"), T("v")));

    mem = malloc(AI_HEADER_VALUE_MAX + 1);
    assert_non_null(mem);
    memset(mem, 'v', AI_HEADER_VALUE_MAX + 1);
    assert_true(ai_headers_valid(T("n"), tight(mem, AI_HEADER_VALUE_MAX)));
    assert_false(ai_headers_valid(T("n"), tight(mem, AI_HEADER_VALUE_MAX + 1)));
    free(mem);
}


static void
split(void **state)
{
    size_t    i;
    ai_str_t  name, value;

    static const char *const  bad[] = {
        "", ":", ": v", "a", "a b: c", "a : b", " a: b", "a:  b", "a: b ",
        "a: b\r\nc: d", "a: \n", "a:\tb"
    };

    (void) state;

    assert_int_equal(ai_headers_split(T("X-A: b: c"), &name, &value), 0);
    is_str(name, "X-A");
    is_str(value, "b: c");

    assert_int_equal(ai_headers_split(T("x-a:b"), &name, &value), 0);
    is_str(value, "b");

    assert_int_equal(ai_headers_split(T("x-a:"), &name, &value), 0);
    is_str(name, "x-a");
    assert_int_equal(value.len, 0);

    assert_int_equal(ai_headers_split(T("x-a: "), &name, &value), 0);
    assert_int_equal(value.len, 0);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (ai_headers_split(Z(bad[i]), &name, &value) != -1) {
            fail_msg("a header: %s", bad[i]);
        }
    }

    assert_int_equal(ai_headers_split(EMPTY, &name, &value), -1);
}


static void
query(void **state)
{
    size_t    i;
    char      mem[64];
    ai_buf_t  b;

    static const struct {
        const char *in;
        const char *anthropic;
    } args[] = {
        { "beta=true", "beta=true" },
        { "a=1&beta=true&b=2", "beta=true" },
        { "beta=true&beta=true", "beta=true" },
        { "&&beta=true&", "beta=true" },
        { "beta=false", "" }, { "beta=true2", "" }, { "beta", "" },
        { "xbeta=true", "" }, { "BETA=true", "" }, { "beta=%74rue", "" },
        { "", "" }, { "&", "" }, { "=", "" }, { "a=beta=true", "" }
    };

    (void) state;

    for (i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
        ai_buf_init(&b, mem, sizeof(mem));
        ai_headers_query(&b, A, Z(args[i].in));
        is_buf(&b, args[i].anthropic);

        ai_buf_init(&b, mem, sizeof(mem));
        ai_headers_query(&b, O, Z(args[i].in));
        assert_int_equal(ai_buf_len(&b), 0);
    }

    ai_buf_init(&b, mem, sizeof(mem));
    ai_headers_query(&b, A, EMPTY);
    ai_headers_query(&b, AI_DIALECT_LAST, T("beta=true"));
    assert_int_equal(ai_buf_len(&b), 0);
    assert_false(b.full);

    ai_buf_init(&b, mem, 8);
    ai_headers_query(&b, A, T("beta=true"));
    assert_true(b.full);
    assert_int_equal(ai_buf_len(&b), 0);
}


static void
lists(void **state)
{
    char      mem[AI_HEADER_LIST_MAX + 1];
    size_t    i;

    static const char *const  wrong[] = {
        " x-a", "x-a ", "x-a  x-b", "x a:b", "x-a\nx-b", "x-a set-cookie",
        "connection"
    };

    (void) state;

    assert_true(ai_headers_list_ok(EMPTY));
    assert_true(ai_headers_list_ok(T("x-a")));
    assert_true(ai_headers_list_ok(T("x-a x-b X-C")));

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(ai_headers_list_ok(Z(wrong[i])));
    }

    for (i = 0; i < sizeof(mem); i++) {
        mem[i] = i % 2 ? ' ' : 'a';
    }

    assert_true(ai_headers_list_ok((ai_str_t) { AI_HEADER_LIST_MAX - 1, mem }));
    assert_false(ai_headers_list_ok((ai_str_t) { sizeof(mem), mem }));

    assert_true(ai_headers_listed(T("x-a x-bb"), T("x-a")));
    assert_true(ai_headers_listed(T("x-a x-bb"), T("X-BB")));
    assert_false(ai_headers_listed(T("x-a x-bb"), T("x-b")));
    assert_false(ai_headers_listed(T("x-a x-bb"), T("x-a x-bb")));
    assert_false(ai_headers_listed(EMPTY, T("x-a")));
    assert_false(ai_headers_listed(T("x-a"), EMPTY));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(valid),
        cmocka_unit_test(split),
        cmocka_unit_test(query),
        cmocka_unit_test(lists)
    };

    return run_group(tests);
}
