/*
 * SipHash-1-3 (Aumasson, Bernstein 2012; one round a block, three at the end),
 * fed piece by piece: a fast hash for tables whose keys come from outside.
 * Whoever does not know the seed cannot make two keys collide.
 */

#ifndef AI_SIP_H
#define AI_SIP_H

#include "ai_str.h"

typedef struct {
    uint64_t v[4];
    uint64_t tail;              /* of the block that is not full, low first */
    uint64_t len;
} ai_sip_t;

/* Begins a hash; seed is 128 random bits. */
void ai_sip_init(ai_sip_t *s, const uint64_t seed[2]);
/* Adds len bytes; how they were cut does not matter. */
void ai_sip_add(ai_sip_t *s, const void *data, size_t len);
/* The hash of all that was added; s is spent. */
uint64_t ai_sip_end(ai_sip_t *s);

#endif
