/*
 * A table and a loop.  Owns nothing.
 */

#include "ai_base64.h"

#define NO  64


static const uint8_t  ai_base64url_values[256] = {
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 62, NO, NO,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NO, NO, NO, NO, NO, NO,
    NO,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NO, NO, NO, NO, 63,
    NO, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO
};


long
ai_base64url(ai_str_t s, void *out)
{
    size_t          i;
    uint8_t         v;
    uint32_t        bits;
    unsigned        left;
    unsigned char  *p;

    if (s.len % 4 == 1) {
        return -1;
    }

    p = out;
    bits = 0;
    left = 0;

    for (i = 0; i < s.len; i++) {
        v = ai_base64url_values[(unsigned char) s.data[i]];

        if (v == NO) {
            return -1;
        }

        bits = bits << 6 | v;
        left += 6;

        if (left >= 8) {
            left -= 8;
            *p++ = (unsigned char) (bits >> left);
        }
    }

    if (bits & ((1u << left) - 1)) {
        return -1;
    }

    return (long) (p - (unsigned char *) out);
}
