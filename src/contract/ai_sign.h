/*
 * Signatures of what edges and workers give each other through Redis
 * (docs/wire.md, 12): HMAC-SHA256 by keys that both know and Redis does not.
 * One ai_sign_t a process, used by one thread at a time.
 */

#ifndef AI_SIGN_H
#define AI_SIGN_H

#include "ai_crypto.h"

#define AI_SIGN_KEY_MIN    32          /* bytes of a key */
#define AI_SIGN_KEYS_MAX   8
#define AI_SIGN_FILE_MAX   8192
#define AI_SIGN_SPEC_ADDS  72          /* bytes a signature adds to a spec */
#define AI_SIGN_CATALOG_ADDS  65       /* and to a catalog or a JWKS */
#define AI_SIGN_FIELDS     13          /* of a principal, that are signed */

typedef struct ai_sign_s  ai_sign_t;

/*
 * The keys of a key file's text: one a line, blanks around it and lines that
 * are empty or begin with "#" left out.  The first signs, all are known.  NULL
 * and in *why a text for the administrator: no key, one under AI_SIGN_KEY_MIN,
 * more than AI_SIGN_KEYS_MAX, or no memory.  The text is the caller's to wipe.
 */
ai_sign_t *ai_sign_open(ai_str_t text, const char **why);
/* NULL is allowed. */
void ai_sign_close(ai_sign_t *s);

/* Appends the signature of the spec, which is all of b from its mark on, as
 * that record's last field; b->full where there is no room for it. */
void ai_sign_spec(ai_sign_t *s, ai_buf_t *b, const char *mark);
/* 1: signed by a key of ours; 0: by none of ours, or changed since; -1: not
 * signed. */
int ai_sign_spec_ok(ai_sign_t *s, ai_str_t spec);

/* The signature of a catalog, which is that of its name: behind the text, after
 * a line end.  0, or -1 where OpenSSL fails. */
int ai_sign_catalog(ai_sign_t *s, ai_str_t name,
    char line[AI_SIGN_CATALOG_ADDS]);
/* Takes a signature off the text, a catalog's or a JWKS'; it is empty where
 * there is none. */
ai_str_t ai_sign_catalog_cut(ai_str_t *text);
/* As ai_sign_spec_ok, for what was cut off. */
int ai_sign_catalog_ok(ai_sign_t *s, ai_str_t name, ai_str_t mac);

/* The same for a JWKS, whose name is its URL's SHA-256; it is cut off by
 * ai_sign_catalog_cut. */
int ai_sign_jwks(ai_sign_t *s, ai_str_t name, ai_str_t text,
    char line[AI_SIGN_CATALOG_ADDS]);
int ai_sign_jwks_ok(ai_sign_t *s, ai_str_t name, ai_str_t text, ai_str_t mac);

/* The same for a list of models (ai_models.h), by its name in the catalog. */
int ai_sign_models(ai_sign_t *s, ai_str_t name, ai_str_t text,
    char line[AI_SIGN_CATALOG_ADDS]);
int ai_sign_models_ok(ai_sign_t *s, ai_str_t name, ai_str_t text,
    ai_str_t mac);

/* Where a field of a principal has its place among the signed values: 0 to
 * AI_SIGN_FIELDS - 1; -1 for one that is not signed. */
int ai_sign_field(ai_str_t field);
/* The signature of a principal of this name (a key's SHA-256, or a tenant),
 * which is its field mac.  Values that it does not have are empty.  0, or -1
 * where OpenSSL fails; the second as ai_sign_spec_ok. */
int ai_sign_principal(ai_sign_t *s, ai_str_t name,
    const ai_str_t values[AI_SIGN_FIELDS], char mac[AI_SHA256_HEX]);
int ai_sign_principal_ok(ai_sign_t *s, ai_str_t name,
    const ai_str_t values[AI_SIGN_FIELDS], ai_str_t mac);

#endif
