/*
 * Signatures: HMAC-SHA256 against values from elsewhere, key files, rotation.
 */

#include "ai_unit.h"

#include "ai_sign.h"


#define KEY_A  "0123456789abcdef0123456789abcdef"
#define KEY_B  "fedcba9876543210fedcba9876543210"

/* printf 'ngx-ai job 1\nv 1\n1\nid 1\nx\n' | openssl dgst -sha256 -hmac KEY */
#define SPEC   "v 1\n1\nid 1\nx\n"
#define SPEC_MAC                                                              \
    "733d47863c195a7e4bcf909776ed3e5d6a59939fe19e4a25115e5941b26e3be5"

/* printf 'ngx-ai catalog 1\nab..' (64 digits), the same key */
#define NAME                                                                  \
    "abababababababababababababababababababababababababababababababab"
#define NAME_MAC                                                              \
    "037754d36a64741131315500611695cfc52ebfe9906c1e619cae265069a12b4b"

/* printf 'ngx-ai jwks 1\nab..{"keys":[]}', the same key */
#define JWKS   "{\"keys\":[]}"
#define JWKS_MAC                                                              \
    "ae6e364343b9b585b6c59f53f573c94fef81b5622b19dfc31b0521830eb57707"

/* printf 'ngx-ai principal 1\nacme 1 6 0 0 0 1 3 0 0 0 0 0 0\n7active3pro' */
#define TENANT_MAC                                                            \
    "2305d9492e66da84d15fa43ab330b4f194ed080a0fc723da53fa6679a34fc5c4"


static ai_sign_t *
keys(const char *text)
{
    const char  *why;
    ai_sign_t   *s;

    s = ai_sign_open(Z(text), &why);
    assert_non_null(s);

    return s;
}


static void
files(void **state)
{
    char         many[9 * (sizeof(KEY_A) + 1)];
    unsigned     i;
    ai_sign_t   *s;
    const char  *why;

    static const struct {
        const char *text;
        const char *why;
    } bad[] = {
        { "", "no key" },
        { "\n\n# a key to come\n", "no key" },
        { "0123456789abcdef0123456789abcde", "32 bytes" },
        { KEY_A "\n short\n", "32 bytes" },
        { "  0123456789abcdef0123456789abcde  \n", "32 bytes" },
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(ai_sign_open(Z(bad[i].text), &why));
        assert_non_null(strstr(why, bad[i].why));
    }

    many[0] = '\0';

    for (i = 0; i < 8; i++) {
        strcat(many, KEY_A "\n");
    }

    ai_sign_close(keys(many));

    strcat(many, KEY_A "\n");
    assert_null(ai_sign_open(Z(many), &why));
    assert_non_null(strstr(why, "8 keys"));

    s = keys("# new\r\n\t" KEY_A " \r\n\n" KEY_B);
    ai_sign_close(s);
    ai_sign_close(NULL);
}


static void
specs(void **state)
{
    char        text[256], other[256];
    size_t      i;
    ai_buf_t    b;
    ai_str_t    spec;
    ai_sign_t  *one, *two, *both;

    (void) state;

    one = keys(KEY_A);
    two = keys(KEY_B);
    both = keys(KEY_B "\n" KEY_A "\n");

    ai_buf_init(&b, text, sizeof(text));
    ai_buf_add_z(&b, "before");
    ai_buf_add_z(&b, SPEC);
    ai_sign_spec(one, &b, text + 6);
    assert_false(b.full);

    spec = (ai_str_t) { ai_buf_len(&b) - 6, text + 6 };
    assert_int_equal(spec.len, sizeof(SPEC) - 1 + AI_SIGN_SPEC_ADDS);
    assert_memory_equal(spec.data, SPEC "mac 64\n" SPEC_MAC "\n", spec.len);

    assert_int_equal(ai_sign_spec_ok(one, spec), 1);
    assert_int_equal(ai_sign_spec_ok(one, spec), 1);
    assert_int_equal(ai_sign_spec_ok(both, spec), 1);
    assert_int_equal(ai_sign_spec_ok(two, spec), 0);

    /* not one bit of it may change */

    for (i = 0; i < spec.len; i++) {
        memcpy(other, spec.data, spec.len);
        other[i] ^= 1;
        assert_int_not_equal(ai_sign_spec_ok(one, (ai_str_t) { spec.len,
                                                               other }), 1);
    }

    for (i = 0; i < spec.len; i++) {
        assert_int_not_equal(ai_sign_spec_ok(one, (ai_str_t) { i, spec.data }),
                             1);
    }

    assert_int_equal(ai_sign_spec_ok(one, Z(SPEC)), -1);
    assert_int_equal(ai_sign_spec_ok(one, EMPTY), -1);

    /* no room */

    ai_buf_init(&b, text, sizeof(SPEC) + 40);
    ai_buf_add_z(&b, SPEC);
    ai_sign_spec(one, &b, text);
    assert_true(b.full);

    ai_sign_close(one);
    ai_sign_close(two);
    ai_sign_close(both);
}


static void
catalogs(void **state)
{
    char        line[AI_SIGN_CATALOG_ADDS];
    char        text[128];
    ai_str_t    all, mac;
    ai_sign_t  *one, *two, *both;

    (void) state;

    one = keys(KEY_A);
    two = keys(KEY_B);
    both = keys(KEY_B "\n" KEY_A "\n");

    assert_int_equal(ai_sign_catalog(one, Z(NAME), line), 0);
    assert_memory_equal(line, "\n" NAME_MAC, sizeof(line));

    memcpy(text, "{}", 2);
    memcpy(text + 2, line, sizeof(line));
    all = (ai_str_t) { 2 + sizeof(line), text };

    mac = ai_sign_catalog_cut(&all);
    assert_int_equal(all.len, 2);
    assert_int_equal(ai_sign_catalog_ok(one, Z(NAME), mac), 1);
    assert_int_equal(ai_sign_catalog_ok(both, Z(NAME), mac), 1);
    assert_int_equal(ai_sign_catalog_ok(two, Z(NAME), mac), 0);
    assert_int_equal(ai_sign_catalog_ok(one, Z(NAME "0"), mac), 0);

    mac = ai_sign_catalog_cut(&all);
    assert_int_equal(mac.len, 0);
    assert_int_equal(all.len, 2);
    assert_int_equal(ai_sign_catalog_ok(one, Z(NAME), mac), -1);

    /* a signature of a job is none of a catalog */

    assert_int_equal(ai_sign_catalog_ok(one, Z(SPEC), Z(SPEC_MAC)), 0);

    ai_sign_close(one);
    ai_sign_close(two);
    ai_sign_close(both);
}


static void
sets(void **state)
{
    char        line[AI_SIGN_CATALOG_ADDS];
    ai_sign_t  *one, *both;

    (void) state;

    one = keys(KEY_A);
    both = keys(KEY_B "\n" KEY_A "\n");

    assert_int_equal(ai_sign_jwks(one, Z(NAME), Z(JWKS), line), 0);
    assert_memory_equal(line, "\n" JWKS_MAC, sizeof(line));

    assert_int_equal(ai_sign_jwks_ok(both, Z(NAME), Z(JWKS), Z(JWKS_MAC)), 1);
    assert_int_equal(ai_sign_jwks_ok(one, Z(NAME), Z(JWKS " "), Z(JWKS_MAC)),
                     0);
    assert_int_equal(ai_sign_jwks_ok(one, Z(NAME), Z(JWKS), Z(NAME_MAC)), 0);
    assert_int_equal(ai_sign_jwks_ok(one, Z(NAME), Z(JWKS), Z("")), -1);

    ai_sign_close(one);
    ai_sign_close(both);
}


static void
principals(void **state)
{
    char        mac[AI_SHA256_HEX];
    unsigned    i;
    ai_str_t    v[AI_SIGN_FIELDS];
    ai_sign_t  *one;

    (void) state;

    one = keys(KEY_A);

    for (i = 0; i < AI_SIGN_FIELDS; i++) {
        v[i] = Z("");
    }

    v[ai_sign_field(Z("v"))] = Z("7");
    v[ai_sign_field(Z("state"))] = Z("active");
    v[ai_sign_field(Z("weight"))] = Z("3");
    v[ai_sign_field(Z("plan"))] = Z("pro");
    assert_int_equal(ai_sign_field(Z("mac")), -1);
    assert_int_equal(ai_sign_field(Z("name")), -1);

    assert_int_equal(ai_sign_principal(one, Z("acme"), v, mac), 0);
    assert_memory_equal(mac, TENANT_MAC, sizeof(mac));
    assert_int_equal(ai_sign_principal_ok(one, Z("acme"), v, Z(TENANT_MAC)),
                     1);
    assert_int_equal(ai_sign_principal_ok(one, Z("acm"), v, Z(TENANT_MAC)),
                     0);
    assert_int_equal(ai_sign_principal_ok(one, Z("acme"), v, Z("")), -1);

    /* the same bytes, otherwise divided */

    v[ai_sign_field(Z("plan"))] = Z("ro");
    v[ai_sign_field(Z("weight"))] = Z("3p");
    assert_int_equal(ai_sign_principal_ok(one, Z("acme"), v, Z(TENANT_MAC)),
                     0);

    ai_sign_close(one);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(files),
        cmocka_unit_test(specs),
        cmocka_unit_test(catalogs),
        cmocka_unit_test(sets),
        cmocka_unit_test(principals)
    };

    return run_group(tests);
}
