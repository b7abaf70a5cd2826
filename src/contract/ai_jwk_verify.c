/*
 * Verifying with keys that were parsed before: contexts are made once, for
 * each algorithm of a key, so that a signature costs its arithmetic and no
 * more.  Contexts belong to their key.
 */

#include "ai_jwk_in.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#define AI_JWK_EC_BYTES  66             /* of P-521 */


static int ai_jwk_digest(const ai_jwa_row_t *row, ai_str_t input,
    unsigned char *hash);
static int ai_jwk_verify_mac(ai_jwk_t *key, unsigned i, ai_str_t input,
    ai_str_t signature);
static int ai_jwk_verify_ec(ai_jwk_t *key, unsigned i, ai_str_t input,
    ai_str_t signature);
static unsigned char *ai_jwk_der_integer(unsigned char *p,
    const unsigned char *n, size_t len);


const ai_jwa_row_t  ai_jwa_rows[AI_JWA_N] = {
    { "HS256", AI_JWA_HMAC, "SHA256", EVP_sha256, 32 },
    { "HS384", AI_JWA_HMAC, "SHA384", EVP_sha384, 48 },
    { "HS512", AI_JWA_HMAC, "SHA512", EVP_sha512, 64 },
    { "RS256", AI_JWA_RSA, "SHA256", EVP_sha256, 32 },
    { "RS384", AI_JWA_RSA, "SHA384", EVP_sha384, 48 },
    { "RS512", AI_JWA_RSA, "SHA512", EVP_sha512, 64 },
    { "PS256", AI_JWA_PSS, "SHA256", EVP_sha256, 32 },
    { "PS384", AI_JWA_PSS, "SHA384", EVP_sha384, 48 },
    { "PS512", AI_JWA_PSS, "SHA512", EVP_sha512, 64 },
    { "ES256", AI_JWA_ECDSA, "SHA256", EVP_sha256, 32 },
    { "ES384", AI_JWA_ECDSA, "SHA384", EVP_sha384, 48 },
    { "ES512", AI_JWA_ECDSA, "SHA512", EVP_sha512, 64 },
    { "EdDSA", AI_JWA_ED, NULL, NULL, 0 }
};


unsigned
ai_jwa(ai_str_t name)
{
    unsigned  i;

    for (i = 0; i < AI_JWA_N; i++) {
        if (ai_str_eqz(name, ai_jwa_rows[i].name)) {
            return 1u << i;
        }
    }

    return 0;
}


int
ai_jwk_ready(ai_jwk_t *key)
{
    unsigned             i;
    EVP_PKEY_CTX        *ctx;
    const ai_jwa_row_t  *row;

    for (i = 0; i < AI_JWA_N; i++) {

        if (!(key->algs & 1u << i)) {
            continue;
        }

        row = &ai_jwa_rows[i];

        if (row->family == AI_JWA_ED) {
            key->md = EVP_MD_CTX_new();

            if (key->md == NULL) {
                return -1;
            }

            continue;
        }

        ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
        key->verify[i] = ctx;

        if (ctx == NULL || EVP_PKEY_verify_init(ctx) != 1) {
            return -1;
        }

        if (row->family != AI_JWA_ECDSA
            && EVP_PKEY_CTX_set_rsa_padding(ctx, row->family == AI_JWA_PSS
                                                 ? RSA_PKCS1_PSS_PADDING
                                                 : RSA_PKCS1_PADDING)
               != 1)
        {
            return -1;
        }

        if (EVP_PKEY_CTX_set_signature_md(ctx, row->md()) != 1) {
            return -1;
        }

        if (row->family == AI_JWA_PSS
            && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST)
               != 1)
        {
            return -1;
        }
    }

    return 0;
}


int
ai_jwk_ready_secret(ai_jwk_t *key, const unsigned char *secret, size_t len)
{
    int          rc;
    EVP_MAC     *mac;
    unsigned     i;
    OSSL_PARAM   params[2];

    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (mac == NULL) {
        return -1;
    }

    rc = 0;

    for (i = 0; i < AI_JWA_N && rc == 0; i++) {

        if (!(key->algs & 1u << i)) {
            continue;
        }

        params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                           (char *) ai_jwa_rows[i].digest, 0);
        params[1] = OSSL_PARAM_construct_end();

        key->mac[i] = EVP_MAC_CTX_new(mac);

        if (key->mac[i] == NULL
            || EVP_MAC_init(key->mac[i], secret, len, params) != 1)
        {
            rc = -1;
        }
    }

    EVP_MAC_free(mac);

    return rc;
}


int
ai_jwk_verify(ai_jwk_t *key, unsigned alg, ai_str_t input, ai_str_t signature)
{
    int                  ok;
    unsigned             i;
    unsigned char        hash[EVP_MAX_MD_SIZE];
    const ai_jwa_row_t  *row;

    for (i = 0; i < AI_JWA_N && alg != 1u << i; i++) { /* void */ }

    if (i == AI_JWA_N || !(key->algs & alg)) {
        return 0;
    }

    row = &ai_jwa_rows[i];

    if (row->family == AI_JWA_HMAC) {
        return ai_jwk_verify_mac(key, i, input, signature);
    }

    if (signature.len != key->size) {
        return 0;
    }

    switch (row->family) {

    case AI_JWA_ECDSA:
        ok = ai_jwk_verify_ec(key, i, input, signature);
        break;

    case AI_JWA_ED:
        ok = EVP_DigestVerifyInit(key->md, NULL, NULL, NULL, key->pkey) == 1
             && EVP_DigestVerify(key->md,
                                 (const unsigned char *) signature.data,
                                 signature.len,
                                 (const unsigned char *) input.data,
                                 input.len)
                == 1;
        (void) EVP_MD_CTX_reset(key->md);
        break;

    default:
        ok = ai_jwk_digest(row, input, hash) == 0
             && EVP_PKEY_verify(key->verify[i],
                                (const unsigned char *) signature.data,
                                signature.len, hash, row->hash)
                == 1;
    }

    /* What is wrong with a stranger's signature is nobody else's error. */
    if (!ok) {
        ERR_clear_error();
    }

    return ok;
}


static int
ai_jwk_digest(const ai_jwa_row_t *row, ai_str_t input, unsigned char *hash)
{
    return EVP_Digest(input.data, input.len, hash, NULL, row->md(), NULL) == 1
           ? 0 : -1;
}


static int
ai_jwk_verify_mac(ai_jwk_t *key, unsigned i, ai_str_t input,
    ai_str_t signature)
{
    size_t          len;
    EVP_MAC_CTX    *mac;
    unsigned char   out[EVP_MAX_MD_SIZE];

    mac = key->mac[i];

    /* Without a key it begins anew with the one it has. */
    if (signature.len != ai_jwa_rows[i].hash
        || EVP_MAC_init(mac, NULL, 0, NULL) != 1
        || EVP_MAC_update(mac, (const unsigned char *) input.data, input.len)
           != 1
        || EVP_MAC_final(mac, out, &len, sizeof(out)) != 1
        || len != signature.len)
    {
        return 0;
    }

    return ai_equal_ct(out, signature.data, len);
}


/* RFC 7518, 3.4 has r and s one behind the other, OpenSSL wants a SEQUENCE. */

static int
ai_jwk_verify_ec(ai_jwk_t *key, unsigned i, ai_str_t input,
    ai_str_t signature)
{
    size_t                len;
    unsigned char        *p, *start, hash[EVP_MAX_MD_SIZE];
    unsigned char         der[2 * (AI_JWK_EC_BYTES + 3) + 3];
    const unsigned char  *raw;

    raw = (const unsigned char *) signature.data;
    len = signature.len / 2;
    start = der + 3;

    p = ai_jwk_der_integer(start, raw, len);
    if (p == NULL) {
        return 0;
    }

    p = ai_jwk_der_integer(p, raw + len, len);
    if (p == NULL) {
        return 0;
    }

    len = (size_t) (p - start);

    if (len >= 0x80) {
        start -= 3;
        start[1] = 0x81;
        start[2] = (unsigned char) len;

    } else {
        start -= 2;
        start[1] = (unsigned char) len;
    }

    start[0] = 0x30;

    return ai_jwk_digest(&ai_jwa_rows[i], input, hash) == 0
           && EVP_PKEY_verify(key->verify[i], start, (size_t) (p - start),
                              hash, ai_jwa_rows[i].hash)
              == 1;
}


/* NULL for zero, which no signature has. */

static unsigned char *
ai_jwk_der_integer(unsigned char *p, const unsigned char *n, size_t len)
{
    while (len && *n == 0) {
        n++;
        len--;
    }

    if (len == 0) {
        return NULL;
    }

    *p++ = 0x02;
    *p++ = (unsigned char) (len + (*n >> 7));

    if (*n & 0x80) {
        *p++ = 0;
    }

    memcpy(p, n, len);

    return p + len;
}
