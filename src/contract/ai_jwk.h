/*
 * Sets of keys that verify tokens (RFC 7517): a JWKS parsed once, each key
 * ready for use and bound to the algorithms it may verify (RFC 7518, 8037).
 *
 * A set belongs to who parsed it.  Verifying uses state of the key: a set is
 * for one thread at a time.  Secrets are wiped when the set is freed; the text
 * it was parsed from is the caller's to wipe.
 */

#ifndef AI_JWK_H
#define AI_JWK_H

#include "ai_crypto.h"

#define AI_JWKS_MAX       (256 * 1024)  /* bytes of a set's text */
#define AI_JWKS_KEYS_MAX  64            /* keys in it */
#define AI_JWKS_URL_MAX   1024
#define AI_JWK_KID_MAX    256           /* bytes of a kid */
#define AI_JWK_RSA_MIN    2048          /* bits */
#define AI_JWK_RSA_MAX    8192

/* Algorithms, as a mask. */
#define AI_JWA_HS256  0x0001u
#define AI_JWA_HS384  0x0002u
#define AI_JWA_HS512  0x0004u
#define AI_JWA_RS256  0x0008u
#define AI_JWA_RS384  0x0010u
#define AI_JWA_RS512  0x0020u
#define AI_JWA_PS256  0x0040u
#define AI_JWA_PS384  0x0080u
#define AI_JWA_PS512  0x0100u
#define AI_JWA_ES256  0x0200u
#define AI_JWA_ES384  0x0400u
#define AI_JWA_ES512  0x0800u
#define AI_JWA_EDDSA  0x1000u
#define AI_JWA_N      13

typedef struct ai_jwk_s  ai_jwk_t;
typedef struct ai_jwks_s  ai_jwks_t;

/* How a parse went, also where there is no set. */
typedef struct {
    unsigned    usable;         /* keys that verify something */
    unsigned    skipped;        /* keys that are not used */
    const char *why;            /* of the last skipped, or of the failure */
} ai_jwks_note_t;

/* The algorithm of this name; 0: none of ours ("none" is none). */
unsigned ai_jwa(ai_str_t name);

/*
 * A set out of a JWKS.  algs: what its keys may verify at all; 0: nobody said,
 * then an RSA key without "alg" is for RS256 and an "oct" one for HS256 only.
 * A key's "alg" binds it to that one; without, an EC key is for its curve's,
 * an OKP key (Ed25519) for EdDSA.  Skipped, as RFC 7517 has it, are keys that
 * are not for this: another kty, crv, alg or use, key_ops without "verify",
 * RSA below AI_JWK_RSA_MIN bits or known to be weak, secrets shorter than
 * their hash, points that are on no curve, anything malformed.
 * NULL: no JWKS within the bounds, or no key in it that can be used, or no
 * memory; note->why says it in words for people.
 */
ai_jwks_t *ai_jwks_parse(ai_str_t text, unsigned algs, ai_jwks_note_t *note);
void ai_jwks_free(ai_jwks_t *set);      /* NULL does nothing */

/* 1 if one of its keys is a secret: no set that everybody can fetch has one. */
int ai_jwks_secret(const ai_jwks_t *set);

/* SHA-256 of text and algs: two sets with the same verify the same. */
const unsigned char *ai_jwks_digest(const ai_jwks_t *set);

/*
 * 1 if a set may be fetched from there: https, or http of this very machine (a
 * loopback address or "localhost"), with a host, without credentials, at most
 * AI_JWKS_URL_MAX bytes of printable ASCII.
 */
int ai_jwks_url_ok(ai_str_t url);

/*
 * The one key that fits: may verify alg and, where the token has a kid
 * (kid.data not NULL), is named so.  NULL: none does, or more than one.
 */
ai_jwk_t *ai_jwks_find(ai_jwks_t *set, unsigned alg, ai_str_t kid);

/* 1 if signature is alg's by key over input, else 0; also where the key is not
 * for alg. */
int ai_jwk_verify(ai_jwk_t *key, unsigned alg, ai_str_t input,
    ai_str_t signature);

#endif
