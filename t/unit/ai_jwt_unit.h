/*
 * What the tests of tokens share: base64url, keys of every type as JWKs, and
 * signatures by them, made by OpenSSL alone.
 */

#ifndef AI_JWT_UNIT_H
#define AI_JWT_UNIT_H

#include "ai_unit.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "ai_jwk.h"

#define UNIT_SECRET  "0123456789abcdef0123456789abcdef"                      \
                     "0123456789abcdef0123456789abcdef"


/* In static memory of the call's place in a ring. */

static inline char *
unit_base64url(const void *data, size_t len)
{
    int           n;
    char         *p;
    static char   ring[8][16384];
    static int    next;

    p = ring[next++ % 8];
    assert_true(len < 12000);
    n = EVP_EncodeBlock((unsigned char *) p, data, (int) len);

    while (n > 0 && p[n - 1] == '=') {
        p[--n] = '\0';
    }

    for ( /* void */ ; n >= 0; n--) {
        p[n] = p[n] == '+' ? '-' : p[n] == '/' ? '_' : p[n];
    }

    return p;
}


static inline char *
unit_base64url_z(const char *z)
{
    return unit_base64url(z, strlen(z));
}


static inline char *
unit_base64url_bn(EVP_PKEY *pkey, const char *param, int size)
{
    int             n;
    BIGNUM         *bn;
    unsigned char   bytes[1200];

    bn = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, param, &bn), 1);
    n = size ? BN_bn2binpad(bn, bytes, size) : BN_bn2bin(bn, bytes);
    assert_true(n > 0);
    BN_free(bn);

    return unit_base64url(bytes, (size_t) n);
}


typedef struct {
    const char *alg;
    const char *kty;
    const char *curve;          /* or NULL */
    int         size;           /* of a coordinate, bits of an RSA key */
    const char *md;
} unit_alg_t;

static const unit_alg_t  unit_algs[] = {
    { "HS256", "oct", NULL, 0, "SHA256" },
    { "HS384", "oct", NULL, 0, "SHA384" },
    { "HS512", "oct", NULL, 0, "SHA512" },
    { "RS256", "RSA", NULL, 2048, "SHA256" },
    { "RS384", "RSA", NULL, 2048, "SHA384" },
    { "RS512", "RSA", NULL, 2048, "SHA512" },
    { "PS256", "RSA", NULL, 2048, "SHA256" },
    { "PS384", "RSA", NULL, 2048, "SHA384" },
    { "PS512", "RSA", NULL, 2048, "SHA512" },
    { "ES256", "EC", "P-256", 32, "SHA256" },
    { "ES384", "EC", "P-384", 48, "SHA384" },
    { "ES512", "EC", "P-521", 66, "SHA512" },
    { "EdDSA", "OKP", "Ed25519", 32, NULL }
};

#define UNIT_NALGS  (sizeof(unit_algs) / sizeof(unit_algs[0]))


/* One key a type is enough, and RSA keys take long; NULL for a secret. */

static inline EVP_PKEY *
unit_key(const unit_alg_t *a)
{
    static EVP_PKEY  *rsa, *ec[3], *ed;
    EVP_PKEY        **slot;

    if (strcmp(a->kty, "oct") == 0) {
        return NULL;
    }

    slot = strcmp(a->kty, "RSA") == 0 ? &rsa
           : strcmp(a->kty, "OKP") == 0 ? &ed
           : a->size == 32 ? &ec[0] : a->size == 48 ? &ec[1] : &ec[2];

    if (*slot == NULL) {
        *slot = slot == &rsa ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA",
                                                 (size_t) 2048)
                : slot == &ed ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                : EVP_PKEY_Q_keygen(NULL, NULL, "EC", a->curve);
        assert_non_null(*slot);
    }

    return *slot;
}


/* The members of a JWK but for kid, alg, use. */

static inline void
unit_jwk(char *out, size_t size, const unit_alg_t *a)
{
    size_t          len;
    EVP_PKEY       *pkey;
    unsigned char   raw[64];

    pkey = unit_key(a);

    if (strcmp(a->kty, "oct") == 0) {
        snprintf(out, size, "\"kty\":\"oct\",\"k\":\"%s\"",
                 unit_base64url_z(UNIT_SECRET));

    } else if (strcmp(a->kty, "RSA") == 0) {
        snprintf(out, size, "\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"",
                 unit_base64url_bn(pkey, OSSL_PKEY_PARAM_RSA_N, 0),
                 unit_base64url_bn(pkey, OSSL_PKEY_PARAM_RSA_E, 0));

    } else if (strcmp(a->kty, "EC") == 0) {
        snprintf(out, size,
                 "\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"",
                 a->curve,
                 unit_base64url_bn(pkey, OSSL_PKEY_PARAM_EC_PUB_X, a->size),
                 unit_base64url_bn(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, a->size));

    } else {
        len = sizeof(raw);
        assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, raw, &len), 1);
        snprintf(out, size, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"",
                 unit_base64url(raw, len));
    }
}


/* The signature as it stands in a token: its length. */

static inline size_t
unit_sign(const unit_alg_t *a, const char *input, size_t input_len,
    unsigned char *out)
{
    size_t                len;
    unsigned              hlen;
    ECDSA_SIG            *sig;
    EVP_MD_CTX           *ctx;
    EVP_PKEY_CTX         *pctx;
    unsigned char         der[2048];
    const unsigned char  *p;

    if (strcmp(a->kty, "oct") == 0) {
        assert_non_null(HMAC(EVP_get_digestbyname(a->md), UNIT_SECRET,
                             sizeof(UNIT_SECRET) - 1,
                             (const unsigned char *) input, input_len, out,
                             &hlen));
        return hlen;
    }

    ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit_ex(ctx, &pctx, a->md, NULL, NULL,
                                           unit_key(a), NULL), 1);

    if (a->alg[0] == 'P') {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx,
                                            RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx,
                                            RSA_PSS_SALTLEN_DIGEST), 1);
    }

    len = sizeof(der);
    assert_int_equal(EVP_DigestSign(ctx, der, &len,
                                    (const unsigned char *) input, input_len),
                     1);
    EVP_MD_CTX_free(ctx);

    if (strcmp(a->kty, "EC") != 0) {
        memcpy(out, der, len);
        return len;
    }

    p = der;
    sig = d2i_ECDSA_SIG(NULL, &p, (long) len);
    assert_non_null(sig);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, a->size);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + a->size, a->size);
    ECDSA_SIG_free(sig);

    return 2 * (size_t) a->size;
}


/* A signed token into out. */

static inline void
unit_token(char *out, size_t size, const unit_alg_t *a, const char *header,
    const char *payload)
{
    size_t         len;
    unsigned char  sig[2048];

    snprintf(out, size, "%s.%s", unit_base64url_z(header),
             unit_base64url_z(payload));
    len = unit_sign(a, out, strlen(out), sig);
    snprintf(out + strlen(out), size - strlen(out), ".%s",
             unit_base64url(sig, len));
}

#endif
