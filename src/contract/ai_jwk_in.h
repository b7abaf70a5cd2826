/*
 * A key as ai_jwk.c makes it and ai_jwk_verify.c uses it; nobody else's.
 */

#ifndef AI_JWK_IN_H
#define AI_JWK_IN_H

#include <openssl/evp.h>

#include "ai_jwk.h"

/*
 * What a kty makes of it: a secret has mac, Ed25519 pkey and md, the others
 * pkey and a context for each algorithm of the mask, ready to verify.
 */
struct ai_jwk_s {
    ai_str_t        kid;        /* data NULL: none */
    unsigned        algs;
    size_t          size;       /* of a signature; secrets: 0 */
    EVP_PKEY       *pkey;
    EVP_PKEY_CTX   *verify[AI_JWA_N];
    EVP_MD_CTX     *md;
    EVP_MAC_CTX    *mac[AI_JWA_N];
};

typedef enum {
    AI_JWA_HMAC = 0,
    AI_JWA_RSA,
    AI_JWA_PSS,
    AI_JWA_ECDSA,
    AI_JWA_ED
} ai_jwa_family_e;

typedef struct {
    const char      *name;
    ai_jwa_family_e  family;
    const char      *digest;    /* OpenSSL's name */
    const EVP_MD  *(*md)(void);
    size_t           hash;      /* bytes */
} ai_jwa_row_t;

/* In the order of the mask's bits. */
extern const ai_jwa_row_t  ai_jwa_rows[AI_JWA_N];

/* Makes ready what verifying needs, for all of key->algs: 0 or -1. */
int ai_jwk_ready(ai_jwk_t *key);
/* The same of a secret, which the caller wipes. */
int ai_jwk_ready_secret(ai_jwk_t *key, const unsigned char *secret,
    size_t len);

#endif
