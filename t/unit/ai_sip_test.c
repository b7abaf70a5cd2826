/*
 * SipHash-1-3 against the hashes of others: CPython 3.11 with a seed of zeros,
 * and the first vector of Rust's test of it.
 */

#include "ai_unit.h"

#include "ai_sip.h"


static void
vectors(void **state)
{
    size_t         i, k, cut;
    ai_sip_t       s;
    unsigned char  data[300];

    static const uint64_t  zero[2] = { 0, 0 };
    static const uint64_t  seed[2] = { 0x0706050403020100,
                                       0x0f0e0d0c0b0a0908 };

    static const struct {
        size_t   len;
        uint64_t hash;
    } rows[] = {
        { 1, 0x44bc103b1f8540ed }, { 7, 0x9fff4ac9ef420232 },
        { 8, 0xcaf590d4e8867659 }, { 9, 0xdbc958e03a783083 },
        { 15, 0xade679b8aedd64c4 }, { 16, 0xd16eb79de4d128d0 },
        { 17, 0x64aa3c973ae91df5 }, { 63, 0x13cc89ab70f9761e },
        { 64, 0xfc3f468754014198 }, { 65, 0x8648629d81e3de7f },
        { 300, 0xfac93e6253be4492 }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (k = 0; k < rows[i].len; k++) {
            data[k] = (unsigned char) ((k * 7 + rows[i].len) % 251);
        }

        for (cut = 0; cut <= rows[i].len; cut++) {
            ai_sip_init(&s, zero);
            ai_sip_add(&s, data, cut);
            ai_sip_add(&s, NULL, 0);
            ai_sip_add(&s, data + cut, rows[i].len - cut);
            assert_true(ai_sip_end(&s) == rows[i].hash);
        }
    }

    ai_sip_init(&s, seed);
    assert_true(ai_sip_end(&s) == 0xabac0158050fc4dc);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(vectors)
    };

    return run_group(tests);
}
