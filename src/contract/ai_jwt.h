/*
 * Tokens that others signed (RFC 7515, 7519): the compact form, taken apart
 * within bounds, and its claims.  Nothing here believes anything: who verified
 * the signature (ai_jwk.h) with a key he chose himself may believe the claims.
 * No allocation; spans borrow from the token and the caller's buffer.
 */

#ifndef AI_JWT_H
#define AI_JWT_H

#include "ai_jwk.h"

#define AI_JWT_MAX        8192          /* bytes of a token */
#define AI_JWT_DEPTH_MAX  16            /* of its JSON */
#define AI_JWT_BUF        AI_JWT_MAX    /* for what is taken out of it */

typedef enum {
    AI_JWT_OK = 0,
    AI_JWT_ESHAPE = -1,         /* no compact JWS */
    AI_JWT_EHEADER = -2,
    AI_JWT_ECRIT = -3,          /* has crit, which is never understood */
    AI_JWT_EALG = -4,           /* none, or unknown */
    AI_JWT_ECLAIMS = -5,        /* no JSON object, or a claim of another type */
    AI_JWT_EISSUER = -6,
    AI_JWT_EAUDIENCE = -7,
    AI_JWT_EEXPIRED = -8,       /* or no exp */
    AI_JWT_EEARLY = -9,         /* nbf or iat lie in the future */
    AI_JWT_EKEY = -10,          /* no key fits, or more than one */
    AI_JWT_ESIGNATURE = -11
} ai_jwt_status_e;

/* A token taken apart; nothing of it is verified. */
typedef struct {
    unsigned alg;               /* AI_JWA_* */
    ai_str_t kid;               /* data NULL: none */
    ai_str_t input;             /* what was signed */
    ai_str_t payload;           /* decoded */
    ai_str_t signature;         /* decoded */
} ai_jws_t;

/* Registered claims; spans as above. */
typedef struct {
    ai_str_t payload;
    ai_str_t iss;               /* unescaped; data NULL: none */
    ai_str_t aud;               /* JSON, a string or an array; or NULL */
    int64_t  exp;               /* Unix s */
    int64_t  nbf;
    int64_t  iat;
    unsigned has_exp:1;
    unsigned has_nbf:1;
    unsigned has_iat:1;
} ai_jwt_claims_t;

/*
 * 1 if s may be a token: base64url, two dots, begins as one, at most AI_JWT_MAX
 * bytes.  No API key does.
 */
int ai_jwt_shape(ai_str_t s);

/*
 * Takes a token apart into *j and buf[AI_JWT_BUF]: AI_JWT_OK, or ESHAPE,
 * EHEADER (not JSON, a member twice, no alg), ECRIT, EALG.  Members of the
 * header that carry keys or say where to get them (jwk, jku, x5u, x5c) are
 * not looked at.
 */
int ai_jws_parse(ai_jws_t *j, ai_str_t token, char *buf);

/*
 * The registered claims of a payload, strings into buf[size]: AI_JWT_OK or
 * ECLAIMS.
 */
int ai_jwt_claims(ai_jwt_claims_t *c, ai_str_t payload, char *buf,
    size_t size);

/* exp, which must be there, nbf and iat against now (Unix s), leeway seconds
 * either way: AI_JWT_OK, EEXPIRED, EEARLY. */
int ai_jwt_times(const ai_jwt_claims_t *c, int64_t now, int64_t leeway);

/* 1 if aud is this, or one of it. */
int ai_jwt_audience(const ai_jwt_claims_t *c, ai_str_t want);

/*
 * A claim as text: strings as they are, numbers and booleans as JSON spells
 * them, an array of those joined by blanks.  name: a claim's whole name, with
 * dots in it or without, else a path ("realm_access.roles").  The length of
 * what is in buf[size]; 0: no such claim, or null, or empty; -1: an object, an
 * array with one, a string with a blank in an array, longer than size, or no
 * UTF-8 free of control characters.
 */
long ai_jwt_claim(ai_str_t payload, const char *name, char *buf, size_t size);

/* What a status means, for logs. */
const char *ai_jwt_strerror(int status);

#endif
