/*
 * Hashes, random bytes, constant time comparison: thin covers of OpenSSL.
 */

#ifndef AI_CRYPTO_H
#define AI_CRYPTO_H

#include "ai_str.h"

#define AI_SHA256_HEX  64
#define AI_API_KEY_LEN  47          /* "ngx-" and 43 of base64url */

/* 64 hex digits, no zero byte: 0 or -1. */
int ai_sha256_hex(char hex[AI_SHA256_HEX], ai_str_t data);
int ai_sha256(unsigned char out[32], ai_str_t data);
int ai_random(void *buf, size_t len);
int ai_equal_ct(const void *a, const void *b, size_t len);
void ai_wipe(void *mem, size_t len);
/* A new API key into buf[AI_API_KEY_LEN]: 0 or -1. */
int ai_api_key(char *buf);

#endif
