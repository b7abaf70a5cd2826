/*
 * Sets of keys that nginx.conf names by URL (ai_jwt_key url=), as they are
 * fetched.  Owns nothing.
 */

#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"
#include "ai_event.h"
#include "ai_jwk.h"
#include "fetch.h"
#include "sign.h"


static int jwks_named(const catalog_t *c, size_t i, fetch_name_t *n);
static int jwks_make(int type, ai_str_t answer, char **text, size_t *len,
    const char **why);


const fetch_kind_t  fetch_jwks = {
    .part = "jwks",
    .what = "keys",
    .all = "URLs of keys",
    .max = AI_JWKS_MAX,
    .bell = AI_BELL_JWKS,
    .named = jwks_named,
    .make = jwks_make,
    .sign = sign_jwks,
    .key = ai_keys_jwks
};


static int
jwks_named(const catalog_t *c, size_t i, fetch_name_t *n)
{
    ai_str_t  url;

    if (!catalog_jwks(c, i, &url)) {
        return 0;
    }

    if (!ai_jwks_url_ok(url) || url.len >= sizeof(n->url)
        || ai_sha256_hex(n->hex, url) != 0)
    {
        return -1;
    }

    memcpy(n->url, url.data, url.len);
    memcpy(n->name, url.data, url.len);

    return 1;
}


static int
jwks_make(int type, ai_str_t answer, char **text, size_t *len,
    const char **why)
{
    int              secret;
    ai_jwks_t       *set;
    ai_jwks_note_t   note;

    (void) type;

    set = ai_jwks_parse(answer, 0, &note);

    if (set == NULL) {
        *why = note.why;
        return -1;
    }

    secret = ai_jwks_secret(set);
    ai_jwks_free(set);

    if (secret) {
        *why = "it holds a secret";
        return -1;
    }

    *text = malloc(answer.len + AI_SIGN_CATALOG_ADDS);
    if (*text == NULL) {
        return -1;
    }

    memcpy(*text, answer.data, answer.len);
    *len = answer.len;

    return 0;
}
