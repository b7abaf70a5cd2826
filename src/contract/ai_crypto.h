/*
 * Hashes, random bytes, constant time comparison: thin covers of OpenSSL.
 * Every function but open and close may be called from any thread; none keeps
 * anything.
 */

#ifndef AI_CRYPTO_H
#define AI_CRYPTO_H

#include "ai_str.h"

#define AI_SHA256_LEN   32
#define AI_SHA256_HEX   64
#define AI_API_KEY_LEN  47          /* "ngx-" and 43 of base64url */

/* Between them each SHA-256 is a third faster, for OpenSSL is asked for it
 * once.  A pair for each user; not while another thread is in here.  The last
 * close must come before the code is unloaded, or what it holds of OpenSSL is
 * lost. */
void ai_crypto_open(void);
void ai_crypto_close(void);

/* SHA-256 (FIPS 180-4) of data as 64 lower case hex digits, no zero byte: 0,
 * or -1 where OpenSSL fails. */
int ai_sha256_hex(char hex[AI_SHA256_HEX], ai_str_t data);
/* The same as 32 bytes. */
int ai_sha256(unsigned char out[AI_SHA256_LEN], ai_str_t data);
/* len bytes as 2 * len lower case hex digits, no zero byte. */
void ai_hex(char *hex, const unsigned char *raw, size_t len);

/* SHA-256 of what comes piece by piece.  begin: NULL without memory; add: 0 or
 * -1; end: the 64 hex digits, 0 or -1, and h is gone; hex NULL: only that. */
typedef struct ai_sha256_s  ai_sha256_t;

ai_sha256_t *ai_sha256_begin(void);
int ai_sha256_add(ai_sha256_t *h, ai_str_t data);
int ai_sha256_end(ai_sha256_t *h, char hex[AI_SHA256_HEX]);

/* 1 if s is 64 lower case hex digits: the form of every hash on the wire. */
int ai_sha256_hex_ok(ai_str_t s);
/* Fills buf with len bytes fit for secrets: 0, or -1 and buf is not to be
 * used. */
int ai_random(void *buf, size_t len);
/* 1 if the len bytes are the same, else 0; its time depends on len alone. */
int ai_equal_ct(const void *a, const void *b, size_t len);
/* Zeroes a secret; the compiler does not remove it. */
void ai_wipe(void *mem, size_t len);
/* A new API key of 256 random bits into buf[AI_API_KEY_LEN], no zero byte: 0
 * or -1. */
int ai_api_key(char *buf);

#endif
