/*
 * AES-256-GCM by OpenSSL.  Owns nothing.
 */

#include "ai_seal.h"
#include "ai_crypto.h"

#include <limits.h>
#include <string.h>

#include <openssl/evp.h>


static int ai_unhex_digit(char c);


int
ai_seal(const unsigned char key[AI_SEAL_KEY], ai_str_t aad, ai_str_t text,
    unsigned char *out)
{
    int              n, rc;
    unsigned char   *sealed;
    EVP_CIPHER_CTX  *ctx;

    if (aad.len > INT_MAX || text.len > INT_MAX - AI_SEAL_MORE
        || ai_random(out, AI_SEAL_NONCE) != 0)
    {
        return -1;
    }

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return -1;
    }

    sealed = out + AI_SEAL_NONCE;

    rc = EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, out) == 1
         && EVP_EncryptUpdate(ctx, NULL, &n,
                              (const unsigned char *) aad.data,
                              (int) aad.len) == 1
         && (text.len == 0
             || EVP_EncryptUpdate(ctx, sealed, &n,
                                  (const unsigned char *) text.data,
                                  (int) text.len) == 1)
         && EVP_EncryptFinal_ex(ctx, sealed + text.len, &n) == 1
         && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, AI_SEAL_TAG,
                                sealed + text.len) == 1
         ? 0 : -1;

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


long
ai_unseal(const unsigned char key[AI_SEAL_KEY], ai_str_t aad, ai_str_t sealed,
    unsigned char *out)
{
    int                   n, ok;
    size_t                len;
    unsigned char         tag[AI_SEAL_TAG];
    EVP_CIPHER_CTX       *ctx;
    const unsigned char  *p;

    if (sealed.len < AI_SEAL_MORE || sealed.len > INT_MAX
        || aad.len > INT_MAX)
    {
        return -1;
    }

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return -1;
    }

    p = (const unsigned char *) sealed.data;
    len = sealed.len - AI_SEAL_MORE;
    memcpy(tag, p + AI_SEAL_NONCE + len, AI_SEAL_TAG);

    ok = EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, p) == 1
         && EVP_DecryptUpdate(ctx, NULL, &n,
                              (const unsigned char *) aad.data,
                              (int) aad.len) == 1
         && (len == 0
             || EVP_DecryptUpdate(ctx, out, &n, p + AI_SEAL_NONCE,
                                  (int) len) == 1)
         && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, AI_SEAL_TAG, tag)
            == 1
         && EVP_DecryptFinal_ex(ctx, out + len, &n) == 1;

    EVP_CIPHER_CTX_free(ctx);

    if (!ok) {
        ai_wipe(out, sealed.len);
        return -1;
    }

    return (long) len;
}


int
ai_unhex(void *out, ai_str_t hex)
{
    int             high, low;
    size_t          i;
    unsigned char  *p;

    p = out;

    if (hex.len % 2 != 0) {
        return -1;
    }

    for (i = 0; i < hex.len; i += 2) {
        high = ai_unhex_digit(hex.data[i]);
        low = ai_unhex_digit(hex.data[i + 1]);

        if (high < 0 || low < 0) {
            return -1;
        }

        *p++ = (unsigned char) (high << 4 | low);
    }

    return 0;
}


static int
ai_unhex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
