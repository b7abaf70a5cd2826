/*
 * Sealing small secrets with AES-256-GCM: a sealed text is a nonce of 12
 * random bytes, the ciphertext and a tag of 16.  Every function may be called
 * from any thread; none keeps anything.
 *
 * A random nonce is as good as one that never repeats while a key seals few
 * texts: two of 2^16 are the same with a probability of 2^-65.  Who keeps a
 * key counts (AI_SEALS_MAX).
 */

#ifndef AI_SEAL_H
#define AI_SEAL_H

#include "ai_str.h"

#define AI_SEAL_KEY    32           /* bytes of a key */
#define AI_SEAL_NONCE  12
#define AI_SEAL_TAG    16
#define AI_SEAL_MORE   (AI_SEAL_NONCE + AI_SEAL_TAG)    /* a text grows by */
#define AI_SEALS_MAX   65536        /* texts under one key */

/*
 * Seals text into out[text.len + AI_SEAL_MORE]; aad is bound to it and not in
 * it.  0, or -1: OpenSSL fails, and out is not to be used.
 */
int ai_seal(const unsigned char key[AI_SEAL_KEY], ai_str_t aad, ai_str_t text,
    unsigned char *out);
/*
 * Opens what ai_seal made with the same key and aad into out[sealed.len]: the
 * length of the text, or -1: not a byte of it is to be believed, and out is
 * zeroed.
 */
long ai_unseal(const unsigned char key[AI_SEAL_KEY], ai_str_t aad,
    ai_str_t sealed, unsigned char *out);

/* Hex digits of either case into out[hex.len / 2]: 0, or -1: they are none, or
 * odd in number. */
int ai_unhex(void *out, ai_str_t hex);

#endif
