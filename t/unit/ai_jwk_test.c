/*
 * Sets of keys: what is used, for what, and what is left out; every algorithm
 * with keys and signatures that OpenSSL made in this run; and Wycheproof's
 * vectors, which lie at $AI_SHARED or beside the repository.
 */

#include "ai_jwt_unit.h"

#include <time.h>

#include <jansson.h>

#include "ai_jwt.h"

#define ROUNDS  2000


static ai_jwks_note_t  note;


static ai_jwks_t *
parse(const char *text, unsigned algs)
{
    return ai_jwks_parse(Z(text), algs, &note);
}


/* A set of one key with these members beside the type's own. */

static ai_jwks_t *
one(const unit_alg_t *a, const char *more, unsigned algs)
{
    char  key[2048], text[24000];

    unit_jwk(key, sizeof(key), a);
    snprintf(text, sizeof(text), "{\"keys\":[{%s%s}]}", key, more);

    return parse(text, algs);
}


static const unit_alg_t *
alg(const char *name)
{
    size_t  i;

    for (i = 0; i < UNIT_NALGS; i++) {
        if (strcmp(unit_algs[i].alg, name) == 0) {
            return &unit_algs[i];
        }
    }

    fail();
    return NULL;
}


static void
refused(ai_jwks_t *set, const char *why)
{
    if (set != NULL) {
        ai_jwks_free(set);
        fail_msg("taken where it should say: %s", why);
    }

    assert_non_null(note.why);

    if (strstr(note.why, why) == NULL) {
        fail_msg("said \"%s\", not \"%s\"", note.why, why);
    }
}


/* What a set can verify, as a mask. */

static unsigned
mask(ai_jwks_t *set)
{
    unsigned  i, algs;

    assert_non_null(set);

    for (algs = 0, i = 0; i < AI_JWA_N; i++) {
        if (ai_jwks_find(set, 1u << i, EMPTY)) {
            algs |= 1u << i;
        }
    }

    ai_jwks_free(set);

    return algs;
}


static void
algorithms(void **state)
{
    char              more[64];
    size_t            i, k, len, bit;
    ai_jwk_t         *key;
    ai_jwks_t        *set;
    unsigned char     sig[2048];
    struct timespec   a, b;

    static const char  input[] = "eyJhbGciOiJ4In0.eyJzdWIiOiJhIn0";

    (void) state;

    for (i = 0; i < UNIT_NALGS; i++) {
        snprintf(more, sizeof(more), ",\"alg\":\"%s\",\"use\":\"sig\"",
                 unit_algs[i].alg);
        set = one(&unit_algs[i], more, 0);
        assert_non_null(set);
        assert_int_equal(note.usable, 1);
        assert_int_equal(note.skipped, 0);
        assert_int_equal(ai_jwa(Z(unit_algs[i].alg)), 1u << i);

        key = ai_jwks_find(set, 1u << i, EMPTY);
        assert_non_null(key);

        len = unit_sign(&unit_algs[i], input, sizeof(input) - 1, sig);
        assert_true(ai_jwk_verify(key, 1u << i, T(input), tight(sig, len)));

        /* Another algorithm is none of this key's. */
        for (k = 0; k < UNIT_NALGS; k++) {
            assert_true(k == i || !ai_jwk_verify(key, 1u << k, T(input),
                                                 tight(sig, len)));
        }

        assert_false(ai_jwk_verify(key, 0, T(input), tight(sig, len)));

        /* Another text, shorter and longer, and every byte of the signature. */
        assert_false(ai_jwk_verify(key, 1u << i,
                                   T("eyJhbGciOiJ4In0.eyJzdWIiOiJiIn0"),
                                   tight(sig, len)));
        assert_false(ai_jwk_verify(key, 1u << i, EMPTY, tight(sig, len)));
        assert_false(ai_jwk_verify(key, 1u << i, T(input),
                                   tight(sig, len - 1)));
        assert_false(ai_jwk_verify(key, 1u << i, T(input),
                                   tight(sig + 1, len - 1)));
        sig[len] = 0;
        assert_false(ai_jwk_verify(key, 1u << i, T(input),
                                   tight(sig, len + 1)));
        assert_false(ai_jwk_verify(key, 1u << i, T(input), EMPTY));

        for (bit = 0; bit < 8 * len; bit += 7) {
            sig[bit / 8] ^= (unsigned char) (1 << bit % 8);
            assert_false(ai_jwk_verify(key, 1u << i, T(input),
                                       tight(sig, len)));
            sig[bit / 8] ^= (unsigned char) (1 << bit % 8);
        }

        /* All zeros: r and s of 0, an RSA signature of 0. */
        memset(sig, 0, len);
        assert_false(ai_jwk_verify(key, 1u << i, T(input), tight(sig, len)));
        memset(sig, 0xff, len);
        assert_false(ai_jwk_verify(key, 1u << i, T(input), tight(sig, len)));

        /* And after all that the right one still is. */
        len = unit_sign(&unit_algs[i], input, sizeof(input) - 1, sig);
        assert_true(ai_jwk_verify(key, 1u << i, T(input), tight(sig, len)));

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);

        for (k = 0; k < ROUNDS / (unit_algs[i].kty[0] == 'E' ? 10 : 1); k++) {
            (void) ai_jwk_verify(key, 1u << i,
                                 (ai_str_t) { sizeof(input) - 1, input },
                                 (ai_str_t) { len, (const char *) sig });
        }

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);

        print_message("# %s: %ld ns a verification\n", unit_algs[i].alg,
                      (long) (((b.tv_sec - a.tv_sec) * 1000000000
                               + b.tv_nsec - a.tv_nsec) / (long) k));

        ai_jwks_free(set);
    }

    assert_int_equal(UNIT_NALGS, AI_JWA_N);
    assert_int_equal(ai_jwa(T("none")), 0);
    assert_int_equal(ai_jwa(T("hs256")), 0);
    assert_int_equal(ai_jwa(T("HS256 ")), 0);
    assert_int_equal(ai_jwa(EMPTY), 0);
}


static void
pinned(void **state)
{
    (void) state;

    /* Nobody said: one algorithm a key. */
    assert_int_equal(mask(one(alg("RS256"), "", 0)), AI_JWA_RS256);
    assert_int_equal(mask(one(alg("HS256"), "", 0)), AI_JWA_HS256);
    assert_int_equal(mask(one(alg("ES256"), "", 0)), AI_JWA_ES256);
    assert_int_equal(mask(one(alg("ES384"), "", 0)), AI_JWA_ES384);
    assert_int_equal(mask(one(alg("ES512"), "", 0)), AI_JWA_ES512);
    assert_int_equal(mask(one(alg("EdDSA"), "", 0)), AI_JWA_EDDSA);

    /* The key says. */
    assert_int_equal(mask(one(alg("RS256"), ",\"alg\":\"PS512\"", 0)),
                     AI_JWA_PS512);
    assert_int_equal(mask(one(alg("HS256"), ",\"alg\":\"HS512\"", 0)),
                     AI_JWA_HS512);

    /* The directive says, never more than the key's type can. */
    assert_int_equal(mask(one(alg("RS256"), "",
                              AI_JWA_RS256|AI_JWA_PS256|AI_JWA_HS256
                              |AI_JWA_ES256)),
                     AI_JWA_RS256|AI_JWA_PS256);
    assert_int_equal(mask(one(alg("HS256"), "",
                              AI_JWA_RS256|AI_JWA_HS384|AI_JWA_HS512)),
                     AI_JWA_HS384|AI_JWA_HS512);
    assert_int_equal(mask(one(alg("ES384"), "", AI_JWA_ES256|AI_JWA_ES384)),
                     AI_JWA_ES384);

    /* Both say, and do not agree. */
    refused(one(alg("RS256"), ",\"alg\":\"RS256\"", AI_JWA_RS512),
            "not allowed");
    refused(one(alg("ES256"), "", AI_JWA_ES384), "crv");
    refused(one(alg("ES256"), ",\"alg\":\"ES384\"", 0), "crv");

    /* An algorithm of another type: the way to sign with a public key. */
    refused(one(alg("RS256"), ",\"alg\":\"HS256\"", 0), "not for its type");
    refused(one(alg("RS256"), "", AI_JWA_HS256), "not for its type");
    refused(one(alg("HS256"), ",\"alg\":\"RS256\"", 0), "not for its type");
    refused(one(alg("EdDSA"), ",\"alg\":\"ES256\"", 0), "not for its type");
    refused(one(alg("RS256"), ",\"alg\":\"none\"", 0), "none that is known");
    refused(one(alg("RS256"), ",\"alg\":\"RSA-OAEP\"", 0),
            "none that is known");
    refused(one(alg("RS256"), ",\"alg\":256", 0), "none that is known");
}


static void
left_out(void **state)
{
    char   text[16384], key[2048], big[3000];
    int    i;

    (void) state;

    refused(one(alg("RS256"), ",\"use\":\"enc\"", 0), "use");
    refused(one(alg("RS256"), ",\"use\":1", 0), "use");
    refused(one(alg("RS256"), ",\"key_ops\":[\"encrypt\",\"sign\"]", 0),
            "key_ops");
    refused(one(alg("RS256"), ",\"key_ops\":\"verify\"", 0), "key_ops");
    refused(one(alg("RS256"), ",\"key_ops\":[]", 0), "key_ops");
    assert_int_equal(mask(one(alg("RS256"),
                              ",\"use\":\"sig\","
                              "\"key_ops\":[\"sign\",\"verify\"]", 0)),
                     AI_JWA_RS256);

    refused(one(alg("RS256"), ",\"kty\":\"RSA\"", 0), "malformed");
    refused(one(alg("RS256"), ",\"kid\":7", 0), "kid");

    memset(big, 'k', sizeof(big));
    snprintf(text, sizeof(text), ",\"kid\":\"%.256s\"", big);
    assert_int_equal(mask(one(alg("RS256"), text, 0)), 0 | AI_JWA_RS256);
    snprintf(text, sizeof(text), ",\"kid\":\"%.257s\"", big);
    refused(one(alg("RS256"), text, 0), "kid");

    refused(parse("{\"keys\":[{\"kty\":\"oct\"}]}", 0), "\"k\"");
    refused(parse("{\"keys\":[{\"kty\":\"oct\",\"k\":\"\"}]}", 0), "shorter");
    refused(parse("{\"keys\":[{\"kty\":\"oct\",\"k\":"
                  "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg\"}]}", 0),
            "shorter");
    refused(parse("{\"keys\":[{\"kty\":\"oct\",\"k\":"
                  "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}]}", 0),
            "malformed");
    refused(parse("{\"keys\":[{\"kty\":\"oct\",\"k\":"
                  "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9\"}]}", 0),
            "malformed");
    assert_int_equal(mask(parse("{\"keys\":[{\"kty\":\"oct\",\"k\":"
                  "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}]}", 0)),
                     AI_JWA_HS256);
    refused(parse("{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS512\",\"k\":"
                  "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}]}", 0),
            "shorter");

    refused(parse("{\"keys\":[{\"kty\":\"dh\"}]}", 0), "kty");
    refused(parse("{\"keys\":[{}]}", 0), "malformed");
    refused(parse("{\"keys\":[7,\"x\",[],null]}", 0), "malformed");
    refused(parse("{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\"}]}", 0), "\"n\"");
    refused(parse("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\","
                  "\"y\":\"AA\"}]}", 0), "\"x\"");
    refused(parse("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":"
                  "\"AA\"}]}", 0), "Ed25519");

    /* A point that is on no curve. */
    memset(big, 'A', sizeof(big));
    snprintf(text, sizeof(text), "{\"keys\":[{\"kty\":\"EC\",\"crv\":"
             "\"P-256\",\"x\":\"%.43s\",\"y\":\"%.43s\"}]}", big, big);
    refused(parse(text, 0), "not on its curve");

    /* Moduli of 2040 and of 8200 bits, and an exponent of 1. */
    snprintf(text, sizeof(text), "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\","
             "\"n\":\"_%.338s_\"}]}", big);
    refused(parse(text, 0), "shorter than 2048");
    snprintf(text, sizeof(text), "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\","
             "\"n\":\"_%.1364s_w\"}]}", big);
    refused(parse(text, 0), "longer than 8192");
    unit_jwk(key, sizeof(key), alg("RS256"));
    i = (int) (strstr(key, "\"e\"") - key);
    snprintf(text, sizeof(text), "{\"keys\":[{%.*s\"e\":\"AQ\"}]}", i, key);
    refused(parse(text, 0), "can be none");

    refused(parse("", 0), "");
    refused(parse("[]", 0), "not an object");
    refused(parse("{}", 0), "no \"keys\"");
    refused(parse("{\"keys\":{}}", 0), "no \"keys\"");
    refused(parse("{\"keys\":[]}", 0), "no keys");
    refused(parse("{\"keys\":[],\"keys\":[]}", 0), "twice");
    refused(parse("{\"keys\":[", 0), "malformed");
    refused(ai_jwks_parse(EMPTY, 0, &note), "malformed");
}


static void
bounds(void **state)
{
    char       *text, *p;
    size_t      len;
    unsigned    i, n;
    ai_jwks_t  *set;

    (void) state;

    text = malloc(AI_JWKS_MAX + 64);
    assert_non_null(text);

    for (n = AI_JWKS_KEYS_MAX; n <= AI_JWKS_KEYS_MAX + 1; n++) {
        p = text + sprintf(text, "{\"keys\":[");

        for (i = 0; i < n; i++) {
            p += sprintf(p, "%s{\"kty\":\"oct\",\"kid\":\"k%u\",\"k\":\"%s\"}",
                         i ? "," : "", i, unit_base64url_z(UNIT_SECRET));
        }

        p += sprintf(p, "]}");
        set = ai_jwks_parse((ai_str_t) { (size_t) (p - text), text }, 0,
                            &note);

        if (n == AI_JWKS_KEYS_MAX) {
            assert_non_null(set);
            assert_non_null(ai_jwks_find(set, AI_JWA_HS256, T("k63")));
            assert_null(ai_jwks_find(set, AI_JWA_HS256, T("k64")));
            assert_null(ai_jwks_find(set, AI_JWA_HS256, T("")));
            assert_null(ai_jwks_find(set, AI_JWA_HS256, EMPTY));
            assert_null(ai_jwks_find(set, AI_JWA_HS384, T("k63")));
            ai_jwks_free(set);

        } else {
            refused(set, "too many");
        }
    }

    len = (size_t) sprintf(text, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\"}]}",
                           unit_base64url_z(UNIT_SECRET));
    memset(text + len, ' ', AI_JWKS_MAX + 1 - len);
    set = ai_jwks_parse((ai_str_t) { AI_JWKS_MAX, text }, 0, &note);
    assert_non_null(set);
    ai_jwks_free(set);
    refused(ai_jwks_parse((ai_str_t) { AI_JWKS_MAX + 1, text }, 0, &note),
            "too large");

    free(text);
    ai_jwks_free(NULL);
}


static void
found(void **state)
{
    char        text[16384], a[2048], b[2048];
    ai_jwks_t  *set, *other;

    (void) state;

    unit_jwk(a, sizeof(a), alg("RS256"));
    unit_jwk(b, sizeof(b), alg("ES256"));

    snprintf(text, sizeof(text), "{\"keys\":[{\"kty\":\"?\"},"
             "{%s,\"kid\":\"one\"},{%s,\"kid\":\"tw\\u006f\"},"
             "{%s,\"kid\":\"one\",\"alg\":\"PS256\"}]}", a, b, a);
    set = parse(text, 0);
    assert_non_null(set);
    assert_int_equal(note.usable, 3);
    assert_int_equal(note.skipped, 1);

    /* By kid, and one that stands twice by its algorithm, too. */
    assert_non_null(ai_jwks_find(set, AI_JWA_RS256, T("one")));
    assert_non_null(ai_jwks_find(set, AI_JWA_PS256, T("one")));
    assert_true(ai_jwks_find(set, AI_JWA_PS256, T("one"))
                != ai_jwks_find(set, AI_JWA_RS256, T("one")));
    assert_non_null(ai_jwks_find(set, AI_JWA_ES256, T("two")));
    assert_null(ai_jwks_find(set, AI_JWA_RS256, T("two")));
    assert_null(ai_jwks_find(set, AI_JWA_RS256, T("On")));
    assert_null(ai_jwks_find(set, AI_JWA_RS256, T("../../dev/null")));

    /* Without a kid where only one fits. */
    assert_non_null(ai_jwks_find(set, AI_JWA_ES256, EMPTY));

    /* A digest is the text's and the algorithms'. */
    other = parse(text, 0);
    assert_memory_equal(ai_jwks_digest(set), ai_jwks_digest(other), 32);
    ai_jwks_free(other);
    other = parse(text, AI_JWA_RS256);
    assert_memory_not_equal(ai_jwks_digest(set), ai_jwks_digest(other), 32);
    ai_jwks_free(other);
    ai_jwks_free(set);

    snprintf(text, sizeof(text), "{\"keys\":[{%s,\"kid\":\"one\"},"
             "{%s,\"kid\":\"one\"},{%s}]}", a, a, b);
    set = parse(text, 0);
    assert_non_null(set);

    /* Two fit. */
    assert_null(ai_jwks_find(set, AI_JWA_RS256, T("one")));
    assert_null(ai_jwks_find(set, AI_JWA_RS256, EMPTY));

    /* A key without a name is not who is named. */
    assert_null(ai_jwks_find(set, AI_JWA_ES256, T("one")));
    assert_null(ai_jwks_find(set, AI_JWA_ES256, T("")));
    assert_non_null(ai_jwks_find(set, AI_JWA_ES256, EMPTY));
    ai_jwks_free(set);
}


static json_t *
vectors(const char *file)
{
    char        path[1024];
    json_t     *json;
    const char *shared;

    shared = getenv("AI_SHARED");
    snprintf(path, sizeof(path), "%s/vectors/%s",
             shared && *shared ? shared : "../shared", file);

    json = json_load_file(path, 0, NULL);

    if (json == NULL) {
        print_message("# SKIP Wycheproof's vectors are not at %s\n", path);
        skip();
    }

    return json;
}


/* What they say of a test, but for what is judged otherwise here. */

static int
wanted(long id, const char *comment, json_t *test)
{
    /* RFC 7520's keys under another algorithm than the token's, and one whose
     * "alg" is misspelled ("ES521"). */
    if (strncmp(comment, "rfc7520", 7) == 0 && id >= 346 && id <= 351
        && id != 348 && id != 349)
    {
        return 0;
    }

    /* A "?" within base64 that a decoder could skip; and two that are byte for
     * byte the good token of test 357. */
    if (strcmp(comment, "base64") == 0) {
        if (id == 372 || id == 373) {
            return 0;
        }

        if (id == 367 || id == 370) {
            return 1;
        }
    }

    /* "Ambiguous": secrets beside public keys, each bound to its own
     * algorithms; and two keys of one name, one of which is no base64url. */
    if (strcmp(comment, "jws_mixedSymmetryKeyset") == 0
        || strcmp(comment, "jws_duplicate_kid") == 0)
    {
        return 1;
    }

    return strcmp(json_string_value(json_object_get(test, "result")), "valid")
           == 0;
}


static unsigned
judge(json_t *keys, json_t *test, const char *comment, int set_of_keys)
{
    int           valid, want;
    char         *text, buf[AI_JWT_BUF];
    long          id;
    json_t       *wrap;
    ai_jws_t      jws;
    ai_jwk_t     *key;
    ai_jwks_t    *set;
    const char   *token;

    if (!json_is_string(json_object_get(test, "jws"))) {
        return 0;
    }

    id = (long) json_integer_value(json_object_get(test, "tcId"));
    token = json_string_value(json_object_get(test, "jws"));
    want = wanted(id, comment, test);

    wrap = set_of_keys ? json_incref(keys)
           : json_pack("{s:[O]}", "keys", keys);
    text = json_dumps(wrap, 0);
    json_decref(wrap);

    set = ai_jwks_parse(Z(text), 0, &note);
    free(text);

    valid = 0;

    if (set && ai_jws_parse(&jws, Z(token), buf) == AI_JWT_OK) {
        key = ai_jwks_find(set, jws.alg, jws.kid);
        valid = key && ai_jwk_verify(key, jws.alg, jws.input, jws.signature);
    }

    ai_jwks_free(set);

    if (valid != want) {
        fail_msg("%s, test %ld (%s): %s", comment, id,
                 json_string_value(json_object_get(test, "comment")),
                 valid ? "taken" : "refused");
    }

    return 1;
}


static unsigned
judge_file(const char *file, int set_of_keys)
{
    size_t       i, k;
    json_t      *json, *group, *test, *keys, *groups;
    unsigned     n;

    json = vectors(file);
    groups = json_object_get(json, "testGroups");
    n = 0;

    json_array_foreach(groups, i, group) {
        keys = json_object_get(group, "public");

        if (keys == NULL) {
            keys = json_object_get(group, "private");
        }

        json_array_foreach(json_object_get(group, "tests"), k, test) {
            n += judge(keys, test,
                       json_string_value(json_object_get(group, "comment")),
                       set_of_keys);
        }
    }

    json_decref(json);

    return n;
}


static void
wycheproof_signatures(void **state)
{
    (void) state;

    assert_true(judge_file("json_web_signature_test.json", 0) >= 390);
}


static void
wycheproof_keys(void **state)
{
    (void) state;

    assert_true(judge_file("json_web_key_test.json", 1) >= 20);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(algorithms),
        cmocka_unit_test(pinned),
        cmocka_unit_test(left_out),
        cmocka_unit_test(bounds),
        cmocka_unit_test(found),
        cmocka_unit_test(wycheproof_signatures),
        cmocka_unit_test(wycheproof_keys)
    };

    return run_group(tests);
}
