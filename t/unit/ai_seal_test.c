/*
 * AES-256-GCM against test case 16 of McGrew and Viega (the GCM paper, also
 * NIST's), and every way in which a sealed text can be wrong.
 */

#include "ai_unit.h"

#include "ai_seal.h"

#define KEY  "feffe9928665731c6d6a8f9467308308"                               \
             "feffe9928665731c6d6a8f9467308308"
#define TEXT "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a" \
             "721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define AAD  "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define SEALED  "cafebabefacedbaddecaf888"                                    \
             "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1" \
             "aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"     \
             "76fc6ece0f4e1768cddf8853bb2d551b"


typedef struct {
    unsigned char  key[AI_SEAL_KEY];
    unsigned char  text[60];
    unsigned char  aad[20];
    unsigned char  sealed[60 + AI_SEAL_MORE];
} vector_t;


static void
vector(vector_t *v)
{
    assert_int_equal(ai_unhex(v->key, T(KEY)), 0);
    assert_int_equal(ai_unhex(v->text, T(TEXT)), 0);
    assert_int_equal(ai_unhex(v->aad, T(AAD)), 0);
    assert_int_equal(ai_unhex(v->sealed, T(SEALED)), 0);
}


static ai_str_t
of(const unsigned char *p, size_t len)
{
    return (ai_str_t) { len, (const char *) p };
}


static void
known(void **state)
{
    vector_t       v;
    unsigned char  out[sizeof(v.sealed)];

    (void) state;

    vector(&v);
    assert_int_equal(ai_unseal(v.key, of(v.aad, sizeof(v.aad)),
                               of(v.sealed, sizeof(v.sealed)), out), 60);
    assert_memory_equal(out, v.text, 60);
}


static void
wrong(void **state)
{
    size_t         i, k;
    vector_t       v;
    unsigned char  out[sizeof(v.sealed)];

    (void) state;

    /* One bit anywhere, of the text, of what it is bound to, of the key. */

    vector(&v);

    for (i = 0; i < sizeof(v.sealed); i++) {
        v.sealed[i] ^= 1;
        memset(out, 'x', sizeof(out));
        assert_int_equal(ai_unseal(v.key, of(v.aad, sizeof(v.aad)),
                                   of(v.sealed, sizeof(v.sealed)), out), -1);

        for (k = 0; k < sizeof(out); k++) {
            assert_int_equal(out[k], 0);
        }

        v.sealed[i] ^= 1;
    }

    for (i = 0; i < sizeof(v.aad); i++) {
        v.aad[i] ^= 0x80;
        assert_int_equal(ai_unseal(v.key, of(v.aad, sizeof(v.aad)),
                                   of(v.sealed, sizeof(v.sealed)), out), -1);
        v.aad[i] ^= 0x80;
    }

    v.key[31] ^= 1;
    assert_int_equal(ai_unseal(v.key, of(v.aad, sizeof(v.aad)),
                               of(v.sealed, sizeof(v.sealed)), out), -1);
    v.key[31] ^= 1;

    /* Cut anywhere; nothing; without what it is bound to. */

    for (i = 0; i < sizeof(v.sealed); i++) {
        assert_int_equal(ai_unseal(v.key, of(v.aad, sizeof(v.aad)),
                                   of(v.sealed, i), out), -1);
    }

    assert_int_equal(ai_unseal(v.key, EMPTY,
                               of(v.sealed, sizeof(v.sealed)), out), -1);
    assert_int_equal(ai_unseal(v.key, of(v.aad, sizeof(v.aad)),
                               of(v.sealed, sizeof(v.sealed)), out), 60);
}


static void
round_trip(void **state)
{
    char           text[300];
    size_t         i;
    vector_t       v;
    unsigned char  a[sizeof(text) + AI_SEAL_MORE], b[sizeof(a)];
    unsigned char  out[sizeof(a)];

    (void) state;

    vector(&v);

    for (i = 0; i < sizeof(text); i++) {
        text[i] = (char) i;
    }

    for (i = 0; i <= sizeof(text); i += i < 40 ? 1 : 26) {
        assert_int_equal(ai_seal(v.key, T("of whom"),
                                 (ai_str_t) { i, text }, a), 0);
        assert_int_equal(ai_seal(v.key, T("of whom"),
                                 (ai_str_t) { i, text }, b), 0);
        assert_memory_not_equal(a, b, AI_SEAL_NONCE);
        assert_int_equal(ai_unseal(v.key, T("of whom"),
                                   of(a, i + AI_SEAL_MORE), out), (long) i);
        assert_memory_equal(out, text, i);
        assert_int_equal(ai_unseal(v.key, T("of whon"),
                                   of(a, i + AI_SEAL_MORE), out), -1);
    }

    assert_int_equal(ai_seal(v.key, EMPTY, EMPTY, a), 0);
    assert_int_equal(ai_unseal(v.key, EMPTY, of(a, AI_SEAL_MORE), out), 0);
}


static void
hex(void **state)
{
    unsigned char  out[4];

    (void) state;

    assert_int_equal(ai_unhex(out, T("00fFaB9e")), 0);
    assert_memory_equal(out, "\x00\xff\xab\x9e", 4);
    assert_int_equal(ai_unhex(out, EMPTY), 0);
    assert_int_equal(ai_unhex(out, T("0")), -1);
    assert_int_equal(ai_unhex(out, T("0g")), -1);
    assert_int_equal(ai_unhex(out, T("g0")), -1);
    assert_int_equal(ai_unhex(out, T("\\x")), -1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(known),
        cmocka_unit_test(wrong),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(hex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
