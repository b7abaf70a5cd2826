/*
 * Thin covers of OpenSSL's hash, random and memory functions.  Owns the
 * process's SHA-256, which is looked up once where somebody has opened it.
 */

#include "ai_crypto.h"

#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define AI_API_KEY_PREFIX  "ngx-"
#define AI_API_KEY_BYTES   32


static const EVP_MD *ai_sha256_md(void);


static EVP_MD   *ai_sha256_found;
static unsigned  ai_crypto_users;


void
ai_crypto_open(void)
{
    if (ai_crypto_users++ == 0) {
        ai_sha256_found = EVP_MD_fetch(NULL, "SHA256", NULL);
    }
}


void
ai_crypto_close(void)
{
    if (--ai_crypto_users == 0) {
        EVP_MD_free(ai_sha256_found);
        ai_sha256_found = NULL;
    }
}


/* EVP_sha256() is looked up, under locks, in each use. */

static const EVP_MD *
ai_sha256_md(void)
{
    return ai_sha256_found != NULL ? ai_sha256_found : EVP_sha256();
}


int
ai_sha256(unsigned char out[AI_SHA256_LEN], ai_str_t data)
{
    if (EVP_Digest(data.data, data.len, out, NULL, ai_sha256_md(), NULL) != 1) {
        return -1;
    }

    return 0;
}


int
ai_sha256_hex(char hex[AI_SHA256_HEX], ai_str_t data)
{
    unsigned char  raw[AI_SHA256_LEN];

    if (ai_sha256(raw, data) != 0) {
        return -1;
    }

    ai_hex(hex, raw, sizeof(raw));

    return 0;
}


void
ai_hex(char *hex, const unsigned char *raw, size_t len)
{
    size_t             i;
    static const char  digits[] = "0123456789abcdef";

    for (i = 0; i < len; i++) {
        hex[2 * i] = digits[raw[i] >> 4];
        hex[2 * i + 1] = digits[raw[i] & 15];
    }
}


ai_sha256_t *
ai_sha256_begin(void)
{
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();

    if (ctx != NULL && EVP_DigestInit_ex(ctx, ai_sha256_md(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }

    return (ai_sha256_t *) ctx;
}


int
ai_sha256_add(ai_sha256_t *h, ai_str_t data)
{
    return EVP_DigestUpdate((EVP_MD_CTX *) h, data.data, data.len) == 1
           ? 0 : -1;
}


int
ai_sha256_end(ai_sha256_t *h, char hex[AI_SHA256_HEX])
{
    int            rc;
    unsigned char  raw[AI_SHA256_LEN];

    rc = hex != NULL
         && EVP_DigestFinal_ex((EVP_MD_CTX *) h, raw, NULL) == 1 ? 0 : -1;

    if (rc == 0) {
        ai_hex(hex, raw, sizeof(raw));
    }

    EVP_MD_CTX_free((EVP_MD_CTX *) h);

    return rc;
}


int
ai_sha256_hex_ok(ai_str_t s)
{
    size_t  i;

    if (s.len != AI_SHA256_HEX) {
        return 0;
    }

    for (i = 0; i < s.len; i++) {
        if (!((s.data[i] >= '0' && s.data[i] <= '9')
              || (s.data[i] >= 'a' && s.data[i] <= 'f')))
        {
            return 0;
        }
    }

    return 1;
}


int
ai_random(void *buf, size_t len)
{
    if (len > INT_MAX) {
        return -1;
    }

    return RAND_bytes(buf, (int) len) == 1 ? 0 : -1;
}


int
ai_equal_ct(const void *a, const void *b, size_t len)
{
    return len == 0 || CRYPTO_memcmp(a, b, len) == 0;
}


void
ai_wipe(void *mem, size_t len)
{
    if (len) {
        OPENSSL_cleanse(mem, len);
    }
}


int
ai_api_key(char *buf)
{
    char                *p;
    unsigned             i, bits, left;
    unsigned char        raw[AI_API_KEY_BYTES];
    static const char    alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "abcdefghijklmnopqrstuvwxyz0123456789-_";

    if (ai_random(raw, sizeof(raw)) != 0) {
        return -1;
    }

    memcpy(buf, AI_API_KEY_PREFIX, sizeof(AI_API_KEY_PREFIX) - 1);
    p = buf + sizeof(AI_API_KEY_PREFIX) - 1;

    bits = 0;
    left = 0;

    for (i = 0; i < sizeof(raw); i++) {
        bits = (bits << 8 | raw[i]) & 0xFFFF;
        left += 8;

        while (left >= 6) {
            left -= 6;
            *p++ = alphabet[bits >> left & 63];
        }
    }

    *p = alphabet[bits << (6 - left) & 63];

    ai_wipe(raw, sizeof(raw));

    return 0;
}
