/*
 * Hashes against FIPS 180-4's examples; keys and random bytes.
 */

#include "ai_unit.h"

#include "ai_crypto.h"


static void
sha256(void **state)
{
    char           hex[AI_SHA256_HEX + 1];
    unsigned char  raw[AI_SHA256_LEN];

    (void) state;

    hex[AI_SHA256_HEX] = '#';

    assert_int_equal(ai_sha256_hex(hex, T("abc")), 0);
    assert_memory_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
                             "b00361a396177a9cb410ff61f20015ad#", 65);

    assert_int_equal(ai_sha256_hex(hex, EMPTY), 0);
    assert_memory_equal(hex, "e3b0c44298fc1c149afbf4c8996fb924"
                             "27ae41e4649b934ca495991b7852b855#", 65);

    assert_int_equal(ai_sha256_hex(hex, T("abcdbcdecdefdefgefghfghighijhijkijk"
                                          "ljklmklmnlmnomnopnopq")), 0);
    assert_memory_equal(hex, "248d6a61d20638b8e5c026930c3e6039"
                             "a33ce45964ff2167f6ecedd419db06c1#", 65);

    assert_int_equal(ai_sha256(raw, T("abc")), 0);
    assert_memory_equal(raw, "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde"
                             "\x5d\xae\x22\x23\xb0\x03\x61\xa3\x96\x17\x7a\x9c"
                             "\xb4\x10\xff\x61\xf2\x00\x15\xad", 32);
}


static void
opened(void **state)
{
    ai_crypto_open();
    sha256(state);
    ai_crypto_open();
    ai_crypto_close();
    sha256(state);
    ai_crypto_close();
    sha256(state);
}


static void
hex_form(void **state)
{
    (void) state;

    assert_true(ai_sha256_hex_ok(T("ba7816bf8f01cfea414140de5dae2223"
                                   "b00361a396177a9cb410ff61f20015ad")));
    assert_true(ai_sha256_hex_ok(T("0123456789abcdef0123456789abcdef"
                                   "0123456789abcdef0123456789abcdef")));
    assert_false(ai_sha256_hex_ok(T("Ba7816bf8f01cfea414140de5dae2223"
                                    "b00361a396177a9cb410ff61f20015ad")));
    assert_false(ai_sha256_hex_ok(T("ba7816bf8f01cfea414140de5dae2223"
                                    "b00361a396177a9cb410ff61f20015ag")));
    assert_false(ai_sha256_hex_ok(T("ba7816bf8f01cfea414140de5dae2223"
                                    "b00361a396177a9cb410ff61f20015a")));
    assert_false(ai_sha256_hex_ok(T("ba7816bf8f01cfea414140de5dae2223"
                                    "b00361a396177a9cb410ff61f20015ad0")));
    assert_false(ai_sha256_hex_ok(T("ba7816bf8f01cfea414140de5dae2223"
                                    "/00361a396177a9cb410ff61f20015ad")));
    assert_false(ai_sha256_hex_ok(T("ba7816bf8f01cfea414140de5dae2223"
                                    ":00361a396177a9cb410ff61f20015ad")));
    assert_false(ai_sha256_hex_ok(EMPTY));
}


static void
random_bytes(void **state)
{
    int            i, differs;
    unsigned char  a[32], b[34];

    (void) state;

    memset(a, 0, sizeof(a));
    memset(b, '#', sizeof(b));

    assert_int_equal(ai_random(a, sizeof(a)), 0);
    assert_int_equal(ai_random(b + 1, 32), 0);
    assert_int_equal(b[0], '#');
    assert_int_equal(b[33], '#');

    for (differs = 0, i = 0; i < 32; i++) {
        differs += a[i] != b[i + 1];
    }

    assert_true(differs > 16);

    assert_int_equal(ai_random(a, 0), 0);
    assert_int_equal(ai_random(a, (size_t) INT32_MAX + 1), -1);
}


static void
equal_and_wipe(void **state)
{
    int   i;
    char  a[16] = "0123456789abcde", b[16] = "0123456789abcde";

    (void) state;

    assert_int_equal(ai_equal_ct(a, b, 16), 1);
    assert_int_equal(ai_equal_ct(NULL, NULL, 0), 1);

    for (i = 0; i < 16; i++) {
        b[i] ^= 1;
        assert_int_equal(ai_equal_ct(a, b, 16), 0);
        assert_int_equal(ai_equal_ct(a, b, (size_t) i), 1);
        b[i] ^= 1;
    }

    ai_wipe(a + 1, 14);
    assert_int_equal(a[0], '0');

    for (i = 1; i < 16; i++) {
        assert_int_equal(a[i], 0);
    }

    ai_wipe(NULL, 0);
}


static void
api_keys(void **state)
{
    int   i, k, value, bits[64];
    char  key[AI_API_KEY_LEN + 1], other[AI_API_KEY_LEN];

    static const char  alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "abcdefghijklmnopqrstuvwxyz0123456789-_";

    (void) state;

    memset(bits, 0, sizeof(bits));
    assert_int_equal(ai_api_key(other), 0);

    for (i = 0; i < 2000; i++) {
        key[AI_API_KEY_LEN] = '#';
        assert_int_equal(ai_api_key(key), 0);
        assert_int_equal(key[AI_API_KEY_LEN], '#');
        assert_memory_equal(key, "ngx-", 4);
        assert_memory_not_equal(key, other, sizeof(other));

        for (k = 4; k < AI_API_KEY_LEN; k++) {
            const char  *at = memchr(alphabet, key[k], 64);

            assert_non_null(at);
            value = (int) (at - alphabet);
            bits[value]++;

            /* 43 characters hold 258 bits, the last two of them are none. */
            assert_true(k < AI_API_KEY_LEN - 1 || value % 4 == 0);
        }
    }

    /* 86000 characters: one that never comes means lost bits. */
    for (k = 0; k < 64; k++) {
        assert_true(bits[k] > 500);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(sha256),
        cmocka_unit_test(opened),
        cmocka_unit_test(hex_form),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(equal_and_wipe),
        cmocka_unit_test(api_keys)
    };

    return run_group(tests);
}
