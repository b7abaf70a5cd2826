/*
 * Tokens and sets of keys from anybody: what is read lies inside, and a token
 * that nobody signed is never verified.  The first byte says what the rest is.
 */

#include "ai_fuzz.h"

#include "ai_base64.h"
#include "ai_json.h"
#include "ai_jwt.h"


static const char  set[] =
    "{\"keys\":[{\"kty\":\"oct\",\"k\":"
    "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"},"
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
    "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";


static void
payload(ai_str_t text)
{
    char              buf[AI_JWT_MAX];
    long              len;
    ai_jwt_claims_t   c;

    if (ai_jwt_claims(&c, text, buf, sizeof(buf)) != AI_JWT_OK) {
        return;
    }

    must_be_in(c.aud, text);
    must(c.iss.data == NULL || c.iss.len <= text.len);
    (void) ai_jwt_times(&c, 1700000000, 30);
    (void) ai_jwt_audience(&c, ai_str("us"));

    len = ai_jwt_claim(text, "a.b", buf, 64);
    must(len >= -1 && len <= 64);
    len = ai_jwt_claim(text, "roles", buf, 64);
    must(len >= -1 && len <= 64);
    must(len < 0 || ai_str_text_ok((ai_str_t) { (size_t) len, buf }, 64));
}


static void
token(ai_str_t text)
{
    char               buf[AI_JWT_BUF];
    ai_jws_t           j;
    ai_jwk_t          *key;
    ai_str_t           whole;
    ai_jwks_note_t     note;
    static ai_jwks_t  *keys;

    if (keys == NULL) {
        keys = ai_jwks_parse(ai_str(set), 0, &note);
        must(keys != NULL && note.usable == 2);
    }

    (void) ai_jwt_shape(text);

    if (ai_jws_parse(&j, text, buf) != AI_JWT_OK) {
        return;
    }

    whole = (ai_str_t) { sizeof(buf), buf };
    must_be_in(j.input, text);
    must_be_in(j.payload, whole);
    must_be_in(j.signature, whole);
    must_be_in(j.kid, whole);
    must(j.alg != 0);

    key = ai_jwks_find(keys, j.alg, j.kid);
    must(key == NULL || !ai_jwk_verify(key, j.alg, j.input, j.signature));

    payload(j.payload);
}


static void
jwks(ai_str_t text)
{
    size_t           at, before;
    ai_str_t         value;
    ai_jwks_t       *keys;
    ai_json_type_e   type;
    ai_jwks_note_t   note;

    for (at = 0, before = 0; ai_json_each(text, &at, &value, &type); ) {
        must_be_in(value, text);
        must(at > before && at <= text.len);
        before = at;
    }

    keys = ai_jwks_parse(text, 0, &note);
    must(keys != NULL || note.why != NULL);
    ai_jwks_free(keys);
    ai_jwks_free(ai_jwks_parse(text, AI_JWA_RS512|AI_JWA_PS256|AI_JWA_ES384,
                               &note));
    (void) ai_jwks_url_ok(text);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ai_str_t       text;
    unsigned char  out[ai_base64url_size(8192)];

    if (size == 0) {
        return 0;
    }

    text = (ai_str_t) { size - 1, (const char *) data + 1 };

    switch (data[0] % 4) {

    case 0:
        token(text);
        break;

    case 1:
        payload(text);
        break;

    case 2:
        jwks(text);
        break;

    default:
        if (text.len <= 8192) {
            must(ai_base64url(text, out) <= (long) ai_base64url_size(text.len));
        }
    }

    return 0;
}
