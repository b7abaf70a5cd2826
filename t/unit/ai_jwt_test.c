/*
 * Tokens taken apart, their claims, and base64url: what is read, what is
 * refused, at every length.
 */

#include "ai_jwt_unit.h"

#include <time.h>

#include "ai_base64.h"
#include "ai_jwt.h"
#include "ai_json.h"


static void
base64(void **state)
{
    int             i;
    long            n;
    size_t          len, k;
    char           *text, s[5];
    unsigned char   raw[64], out[96];

    static const char  alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "abcdefghijklmnopqrstuvwxyz0123456789-_";
    static const char *const  bad[] = {
        "A", "AAAAA", "AA==", "AAA=", "AA\n", " AA", "A A", "AA+A", "AA/A",
        "AB", "AAB", "A?", "\xc3\xa9", "AA.A"
    };

    (void) state;

    for (len = 0; len <= sizeof(raw); len++) {
        for (k = 0; k < len; k++) {
            raw[k] = (unsigned char) (k * 37 + len * 11);
        }

        text = unit_base64url(raw, len);
        n = ai_base64url(Z(text), out);
        assert_int_equal(n, len);
        assert_true(n <= (long) ai_base64url_size(strlen(text)));
        assert_memory_equal(out, raw, len);
    }

    /* Every byte: one of the alphabet, or refused. */
    for (i = 0; i < 256; i++) {
        memcpy(s, "AAAA", 5);
        s[1] = (char) i;
        n = ai_base64url(tight(s, 4), out);
        assert_int_equal(n, i != 0 && strchr(alphabet, i) ? 3 : -1);
    }

    for (k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
        assert_int_equal(ai_base64url(Z(bad[k]), out), -1);
    }

    assert_int_equal(ai_base64url(T("AA\0A"), out), -1);
    assert_int_equal(ai_base64url(EMPTY, out), 0);
}


static void
shape(void **state)
{
    size_t  i;
    char   *big;

    static const char *const  bad[] = {
        "", "e", "ey.a.b", "eyJ.a", "eyJhbGci", "eyJ.a.b.c.d", "eyJ.a.b=",
        "eyJ.a. b", "eyJ.a\n.b", "AyJhb.a.b", "xyJhbGciOiJ.a.b",
        "ngx-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "Bearer eyJ.a.b"
    };

    (void) state;

    assert_true(ai_jwt_shape(T("eyJhb.a.b")));
    assert_true(ai_jwt_shape(T("eyJhbGci.-_.")));

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(ai_jwt_shape(Z(bad[i])));
    }

    big = malloc(AI_JWT_MAX + 1);
    memset(big, 'A', AI_JWT_MAX + 1);
    memcpy(big, "eyJ.a.", 6);
    assert_true(ai_jwt_shape(tight(big, AI_JWT_MAX)));
    assert_false(ai_jwt_shape(tight(big, AI_JWT_MAX + 1)));
    free(big);
}


static int
parse(ai_jws_t *j, const char *header, const char *payload, const char *sig)
{
    char        token[3 * AI_JWT_MAX];
    static char buf[AI_JWT_BUF];

    snprintf(token, sizeof(token), "%s.%s.%s", unit_base64url_z(header),
             unit_base64url_z(payload), sig);

    return ai_jws_parse(j, Z(token), buf);
}


static void
headers(void **state)
{
    size_t      i;
    ai_jws_t    j;
    char        kid[300], header[400];

    static const struct {
        const char *header;
        int         want;
    } rows[] = {
        { "{\"alg\":\"HS256\"}", AI_JWT_OK },
        { " { \"alg\" : \"\\u0048S256\" } ", AI_JWT_OK },
        { "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\"},\"jku\":\"http://x\","
          "\"x5u\":1,\"x5c\":[]}", AI_JWT_OK },
        { "{\"alg\":\"none\"}", AI_JWT_EALG },
        { "{\"alg\":\"\"}", AI_JWT_EALG },
        { "{\"alg\":\"HS256HS256HS256HS256\"}", AI_JWT_EALG },
        { "{\"alg\":\"ES256K\"}", AI_JWT_EALG },
        { "{\"alg\":null}", AI_JWT_EHEADER },
        { "{\"alg\":[\"HS256\"]}", AI_JWT_EHEADER },
        { "{\"ALG\":\"HS256\"}", AI_JWT_EHEADER },
        { "{}", AI_JWT_EHEADER },
        { "[]", AI_JWT_EHEADER },
        { "\"HS256\"", AI_JWT_EHEADER },
        { "{\"alg\":\"HS256\"", AI_JWT_EHEADER },
        { "{\"alg\":\"HS256\"}x", AI_JWT_EHEADER },
        { "\xef\xbb\xbf{\"alg\":\"HS256\"}", AI_JWT_EHEADER },
        { "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", AI_JWT_EHEADER },
        { "{\"alg\":\"HS256\",\"a\\u006cg\":\"HS256\"}", AI_JWT_EHEADER },
        { "{\"alg\":\"HS256\",\"kid\":1}", AI_JWT_EHEADER },
        { "{\"alg\":\"HS256\",\"kid\":null}", AI_JWT_EHEADER },
        { "{\"alg\":\"HS256\",\"crit\":[]}", AI_JWT_ECRIT },
        { "{\"alg\":\"HS256\",\"crit\":null}", AI_JWT_ECRIT },
        { "{\"crit\":[\"b64\"],\"b64\":false,\"alg\":\"HS256\"}",
          AI_JWT_ECRIT },
        { "{\"alg\":\"HS256\",\"b64\":true}", AI_JWT_ECRIT },
        { "{\"alg\":\"HS256\",\"x\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}",
          AI_JWT_EHEADER }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (parse(&j, rows[i].header, "{}", "AAAA") != rows[i].want) {
            fail_msg("%s: %d", rows[i].header,
                     parse(&j, rows[i].header, "{}", "AAAA"));
        }
    }

    assert_int_equal(parse(&j, "{\"alg\":\"ES384\",\"kid\":\"a\\u002fb\"}",
                           "{\"x\":1}", "AQID"), AI_JWT_OK);
    assert_int_equal(j.alg, AI_JWA_ES384);
    is_str(j.kid, "a/b");
    is_str(j.payload, "{\"x\":1}");
    is_bytes(j.signature, "\1\2\3");
    is_str(j.input, "eyJhbGciOiJFUzM4NCIsImtpZCI6ImFcdTAwMmZiIn0.eyJ4IjoxfQ");

    assert_int_equal(parse(&j, "{\"alg\":\"HS256\"}", "", "AQID"), AI_JWT_OK);
    assert_null(j.kid.data);
    is_str(j.payload, "");
    assert_int_equal(parse(&j, "{\"alg\":\"HS256\",\"kid\":\"\"}", "", "AQID"),
                     AI_JWT_OK);
    assert_non_null(j.kid.data);
    is_str(j.kid, "");

    memset(kid, 'k', sizeof(kid));
    snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%.256s\"}",
             kid);
    assert_int_equal(parse(&j, header, "{}", "AQID"), AI_JWT_OK);
    assert_int_equal(j.kid.len, 256);
    snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%.257s\"}",
             kid);
    assert_int_equal(parse(&j, header, "{}", "AQID"), AI_JWT_EHEADER);
}


static void
compact(void **state)
{
    char       *big, buf[AI_JWT_BUF];
    size_t      i;
    ai_jws_t    j;

    static const char *const  bad[] = {
        "", ".", "..", "...", "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9.e30", "eyJhbGciOiJIUzI1NiJ9.e30.",
        "eyJhbGciOiJIUzI1NiJ9.e30.A", "eyJhbGciOiJIUzI1NiJ9.e30.AA=",
        "eyJhbGciOiJIUzI1NiJ9.e30=.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.",
        "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.AAAA.AAAA", ".e30.AAAA",
        "eyJhbGciOiJIUzI1NiJ9 .e30.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.AAAB+"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ai_jws_parse(&j, Z(bad[i]), buf), AI_JWT_ESHAPE);
    }

    /* The longest token there may be, and one byte more. */
    big = malloc(AI_JWT_MAX + 1);
    memset(big, 'A', AI_JWT_MAX + 1);
    memcpy(big, "eyJhbGciOiJIUzI1NiJ9.e30.", 25);
    i = AI_JWT_MAX - ((AI_JWT_MAX - 25) % 4 == 1);
    assert_int_equal(ai_jws_parse(&j, tight(big, i), buf), AI_JWT_OK);
    assert_int_equal(ai_jws_parse(&j, tight(big, AI_JWT_MAX + 1), buf),
                     AI_JWT_ESHAPE);

    /* Cut anywhere, it is another token or none. */
    for (i = 0; i < 30; i++) {
        (void) ai_jws_parse(&j, tight(big, i), buf);
    }

    free(big);
}


static int
claims(ai_jwt_claims_t *c, const char *payload)
{
    static char  buf[AI_JWT_MAX];

    return ai_jwt_claims(c, Z(payload), buf, sizeof(buf));
}


static void
registered(void **state)
{
    size_t            i;
    ai_jwt_claims_t   c;

    static const char *const  bad[] = {
        "", "x", "[]", "\"a\"", "1", "null", "{", "{}x",
        "{\"iss\":1}", "{\"iss\":null}", "{\"iss\":[\"a\"]}",
        "{\"aud\":1}", "{\"aud\":null}", "{\"aud\":{}}",
        "{\"exp\":\"1\"}", "{\"exp\":null}", "{\"exp\":true}", "{\"exp\":[]}",
        "{\"exp\":1e300}", "{\"exp\":9223372036854775807}",
        "{\"exp\":-9223372036854775808}", "{\"nbf\":\"1\"}", "{\"iat\":{}}",
        "{\"exp\":1,\"exp\":2}", "{\"iss\":\"a\",\"\\u0069ss\":\"b\"}",
        "{\"a\":\"\xff\"}", "{\"a\":\"\x01\"}"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (claims(&c, bad[i]) != AI_JWT_ECLAIMS) {
            fail_msg("taken: %s", bad[i]);
        }
    }

    assert_int_equal(claims(&c, "{}"), AI_JWT_OK);
    assert_null(c.iss.data);
    assert_null(c.aud.data);
    assert_false(c.has_exp || c.has_nbf || c.has_iat);

    assert_int_equal(claims(&c, " {\"iss\":\"a\\/b\",\"aud\":\"x\","
                            "\"exp\":1700000000.9,\"nbf\":-5,\"iat\":17e8} "),
                     AI_JWT_OK);
    is_str(c.iss, "a/b");
    is_str(c.aud, "\"x\"");
    assert_true(c.has_exp && c.has_nbf && c.has_iat);
    assert_int_equal(c.exp, 1700000000);
    assert_int_equal(c.nbf, -5);
    assert_int_equal(c.iat, 1700000000);

    /* exp is the first second at which it is none any more. */
    assert_int_equal(claims(&c, "{\"exp\":1000,\"nbf\":900,\"iat\":800}"),
                     AI_JWT_OK);
    assert_int_equal(ai_jwt_times(&c, 999, 0), AI_JWT_OK);
    assert_int_equal(ai_jwt_times(&c, 1000, 0), AI_JWT_EEXPIRED);
    assert_int_equal(ai_jwt_times(&c, 1029, 30), AI_JWT_OK);
    assert_int_equal(ai_jwt_times(&c, 1030, 30), AI_JWT_EEXPIRED);
    assert_int_equal(ai_jwt_times(&c, 900, 0), AI_JWT_OK);
    assert_int_equal(ai_jwt_times(&c, 899, 0), AI_JWT_EEARLY);
    assert_int_equal(ai_jwt_times(&c, 870, 30), AI_JWT_OK);
    assert_int_equal(ai_jwt_times(&c, 869, 30), AI_JWT_EEARLY);

    assert_int_equal(claims(&c, "{\"exp\":1000,\"iat\":800}"), AI_JWT_OK);
    assert_int_equal(ai_jwt_times(&c, 800, 0), AI_JWT_OK);
    assert_int_equal(ai_jwt_times(&c, 799, 0), AI_JWT_EEARLY);
    assert_int_equal(claims(&c, "{\"nbf\":1}"), AI_JWT_OK);
    assert_int_equal(ai_jwt_times(&c, 10, 0), AI_JWT_EEXPIRED);
    assert_int_equal(claims(&c, "{\"exp\":4611686018427387902}"), AI_JWT_OK);
    assert_int_equal(ai_jwt_times(&c, 1700000000, 600), AI_JWT_OK);
    assert_int_equal(claims(&c, "{\"exp\":-4611686018427387903}"), AI_JWT_OK);
    assert_int_equal(ai_jwt_times(&c, 1700000000, 600), AI_JWT_EEXPIRED);
}


static int
audience(const char *payload, const char *want)
{
    ai_jwt_claims_t  c;

    assert_int_equal(claims(&c, payload), AI_JWT_OK);

    return ai_jwt_audience(&c, Z(want));
}


static void
audiences(void **state)
{
    (void) state;

    assert_true(audience("{\"aud\":\"us\"}", "us"));
    assert_true(audience("{\"aud\":\"u\\u0073\"}", "us"));
    assert_true(audience("{\"aud\":[\"us\"]}", "us"));
    assert_true(audience("{\"aud\":[1,null,{\"a\":\"b\"},[\"x\"],\"us\"]}",
                         "us"));
    assert_true(audience("{ \"aud\" : [ \"a\" , \"us\" ] }", "us"));
    assert_false(audience("{}", "us"));
    assert_false(audience("{\"aud\":[]}", "us"));
    assert_false(audience("{\"aud\":[[\"us\"]]}", "us"));
    assert_false(audience("{\"aud\":[{\"us\":\"us\"}]}", "us"));
    assert_false(audience("{\"aud\":\"US\"}", "us"));
    assert_false(audience("{\"aud\":\"us \"}", "us"));
    assert_false(audience("{\"aud\":\"us\\u0000\"}", "us"));
    assert_false(audience("{\"aud\":\"u\"}", "us"));
    assert_false(audience("{\"aud\":\"uss\"}", "us"));
}


static void
claim(const char *payload, const char *name, const char *want)
{
    char    buf[32];
    long    len;

    len = ai_jwt_claim(Z(payload), name, buf, sizeof(buf));

    if (want == NULL) {
        if (len != -1) {
            fail_msg("%s of %s is taken", name, payload);
        }

        return;
    }

    if (len < 0) {
        fail_msg("%s of %s is refused", name, payload);
    }

    is_str(((ai_str_t) { (size_t) len, buf }), want);
}


static void
by_name(void **state)
{
    (void) state;

    claim("{\"a\":\"x\"}", "a", "x");
    claim("{\"a\":\"x y\"}", "a", "x y");
    claim("{\"a\":17}", "a", "17");
    claim("{\"a\":1.5e3}", "a", "1.5e3");
    claim("{\"a\":true}", "a", "true");
    claim("{\"a\":false}", "a", "false");
    claim("{\"a\":null}", "a", "");
    claim("{\"a\":\"\"}", "a", "");
    claim("{\"b\":1}", "a", "");
    claim("{\"a\":{\"b\":{\"c\":\"x\"}}}", "a.b.c", "x");
    claim("{\"a\":{\"b\":{\"c\":\"x\"}}}", "a.b.d", "");
    claim("{\"a\":{\"b\":[\"x\",\"y\"]}}", "a.b", "x y");
    claim("{\"a\":[\"x\",\"y\"]}", "a.1", "y");
    claim("{\"a\":{\"b\":\"path\"},\"a.b\":\"name\"}", "a.b", "name");
    claim("{\"https://x.y/z\":\"v\"}", "https://x.y/z", "v");
    claim("{\"a\":[]}", "a", "");
    claim("{\"a\":[1,true,\"x\"]}", "a", "1 true x");
    claim("{\"a\":\"\xc3\xa9\"}", "a", "\xc3\xa9");
    claim("{\"a\":\"0123456789012345678901234567890\"}", "a",
          "0123456789012345678901234567890");
    claim("{\"a\":[\"012345678901234\",\"0123456789012345\"]}", "a",
          "012345678901234 0123456789012345");

    claim("{\"a\":{}}", "a", NULL);
    claim("{\"a\":[{}]}", "a", NULL);
    claim("{\"a\":[[\"x\"]]}", "a", NULL);
    claim("{\"a\":[\"x\",\"\"]}", "a", NULL);
    claim("{\"a\":[null]}", "a", NULL);
    claim("{\"a\":[\"x y\"]}", "a", NULL);
    claim("{\"a\":\"x\\n\"}", "a", NULL);
    claim("{\"a\":\"\\u0000\"}", "a", NULL);
    claim("{\"a\":\"\\u007f\"}", "a", NULL);
    claim("{\"a\":\"012345678901234567890123456789012\"}", "a", NULL);
    claim("{\"a\":[\"012345678901234\",\"01234567890123456\"]}", "a", NULL);
    claim("{\"a\":[\"01234567890123456789012345678901\",\"0\"]}", "a", NULL);
    claim("{\"a\":123456789012345678901234567890123}", "a", NULL);
    claim("{\"a\":\"x\",\"a\":\"y\"}", "a", NULL);
    claim("no JSON", "a", NULL);
}


static void
signed_ones(void **state)
{
    char        token[AI_JWT_MAX], buf[AI_JWT_BUF], key[2048], set[4096];
    char        header[64];
    size_t      i;
    ai_jws_t    j;
    ai_jwk_t   *jwk;
    ai_jwks_t  *jwks;
    ai_jwks_note_t  note;

    (void) state;

    for (i = 0; i < UNIT_NALGS; i++) {
        unit_jwk(key, sizeof(key), &unit_algs[i]);
        snprintf(set, sizeof(set), "{\"keys\":[{%s,\"alg\":\"%s\"}]}", key,
                 unit_algs[i].alg);
        snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", unit_algs[i].alg);
        unit_token(token, sizeof(token), &unit_algs[i], header, "{\"a\":1}");

        jwks = ai_jwks_parse(Z(set), 0, &note);
        assert_non_null(jwks);
        assert_int_equal(ai_jws_parse(&j, Z(token), buf), AI_JWT_OK);
        jwk = ai_jwks_find(jwks, j.alg, j.kid);
        assert_non_null(jwk);
        assert_true(ai_jwk_verify(jwk, j.alg, j.input, j.signature));
        assert_int_equal(ai_jwks_secret(jwks), i < 3);
        ai_jwks_free(jwks);
    }
}


static void
cheap(void **state)
{
    int               i;
    char              token[AI_JWT_MAX], buf[AI_JWT_BUF], iss[AI_JWT_MAX];
    ai_jws_t          j;
    ai_jwt_claims_t   c;
    struct timespec   a, b;

    (void) state;

    unit_token(token, sizeof(token), &unit_algs[0],
               "{\"alg\":\"HS256\",\"kid\":\"a\",\"typ\":\"JWT\"}",
               "{\"iss\":\"https://id.example.com\",\"aud\":[\"x\",\"us\"],"
               "\"sub\":\"auth0|0123456789\",\"tenant\":\"acme\","
               "\"roles\":[\"member\"],\"scope\":\"completions tools\","
               "\"exp\":2000000000,\"iat\":1700000000}");

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);

    for (i = 0; i < 10000; i++) {
        assert_int_equal(ai_jws_parse(&j, (ai_str_t) { strlen(token), token },
                                      buf), AI_JWT_OK);
        assert_int_equal(ai_jwt_claims(&c, j.payload, iss, sizeof(iss)),
                         AI_JWT_OK);
        assert_true(ai_jwt_audience(&c, ai_str("us")));
        assert_int_equal(ai_jwt_times(&c, 1800000000, 0), AI_JWT_OK);
    }

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);

    print_message("# %ld ns before the signature\n",
                  (long) (((b.tv_sec - a.tv_sec) * 1000000000
                           + b.tv_nsec - a.tv_nsec) / i));
}


static void
urls(void **state)
{
    char    big[2000];
    size_t  i;

    static const char *const  good[] = {
        "https://id.example.com/jwks", "https://id.example.com",
        "https://id.example.com:8443/a/b?c=d", "https://[2001:db8::1]/",
        "https://a/x@y", "http://127.0.0.1/x", "http://127.0.0.1:80/x",
        "http://[::1]:80/x", "http://localhost", "http://localhost:1/x"
    };
    static const char *const  bad[] = {
        "", "https://", "https:///x", "https://:443/", "http://", "id.example",
        "HTTPS://x/", "http://id.example.com/", "http://127.0.0.10/",
        "http://127.0.0.1.example.com/", "http://localhost.example.com/",
        "http://localhosts/", "http://[::1]x/", "http://user@127.0.0.1/",
        "https://u:p@id.example.com/", "https://id.example.com/ x",
        "https://id.example.com/\n", "https://id\".example.com/",
        "https://id.example.com/\xc3\xa9", "file:///etc/passwd",
        "gopher://127.0.0.1/", "javascript:x"
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(ai_jwks_url_ok(Z(good[i])));
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (ai_jwks_url_ok(Z(bad[i]))) {
            fail_msg("taken: %s", bad[i]);
        }
    }

    memset(big, 'a', sizeof(big));
    memcpy(big, "https://", 8);
    assert_true(ai_jwks_url_ok(tight(big, AI_JWKS_URL_MAX)));
    assert_false(ai_jwks_url_ok(tight(big, AI_JWKS_URL_MAX + 1)));
}


static void
words(void **state)
{
    int  i;

    (void) state;

    for (i = 0; i >= AI_JWT_ESIGNATURE; i--) {
        assert_true(strlen(ai_jwt_strerror(i)) > 4);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(base64),
        cmocka_unit_test(shape),
        cmocka_unit_test(headers),
        cmocka_unit_test(compact),
        cmocka_unit_test(registered),
        cmocka_unit_test(audiences),
        cmocka_unit_test(by_name),
        cmocka_unit_test(signed_ones),
        cmocka_unit_test(cheap),
        cmocka_unit_test(urls),
        cmocka_unit_test(words)
    };

    return run_group(tests);
}
