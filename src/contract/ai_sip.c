/*
 * SipHash-1-3.  Owns nothing.
 */

#include "ai_sip.h"

#define ai_sip_rotl(x, n)  ((x) << (n) | (x) >> (64 - (n)))


static void ai_sip_block(ai_sip_t *s, uint64_t m);
static void ai_sip_round(uint64_t v[4]);


void
ai_sip_init(ai_sip_t *s, const uint64_t seed[2])
{
    s->v[0] = seed[0] ^ 0x736f6d6570736575;
    s->v[1] = seed[1] ^ 0x646f72616e646f6d;
    s->v[2] = seed[0] ^ 0x6c7967656e657261;
    s->v[3] = seed[1] ^ 0x7465646279746573;
    s->tail = 0;
    s->len = 0;
}


void
ai_sip_add(ai_sip_t *s, const void *data, size_t len)
{
    const unsigned char  *p;

    for (p = data; len; p++, len--) {
        s->tail |= (uint64_t) *p << 8 * (s->len % 8);
        s->len++;

        if (s->len % 8 == 0) {
            ai_sip_block(s, s->tail);
            s->tail = 0;
        }
    }
}


uint64_t
ai_sip_end(ai_sip_t *s)
{
    ai_sip_block(s, s->tail | s->len << 56);

    s->v[2] ^= 0xFF;
    ai_sip_round(s->v);
    ai_sip_round(s->v);
    ai_sip_round(s->v);

    return s->v[0] ^ s->v[1] ^ s->v[2] ^ s->v[3];
}


static void
ai_sip_block(ai_sip_t *s, uint64_t m)
{
    s->v[3] ^= m;
    ai_sip_round(s->v);
    s->v[0] ^= m;
}


static void
ai_sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = ai_sip_rotl(v[1], 13) ^ v[0];
    v[0] = ai_sip_rotl(v[0], 32);
    v[2] += v[3];
    v[3] = ai_sip_rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = ai_sip_rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = ai_sip_rotl(v[1], 17) ^ v[2];
    v[2] = ai_sip_rotl(v[2], 32);
}
