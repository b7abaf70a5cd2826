/*
 * Compact JWS and claims.  Owns nothing.
 */

#include "ai_jwt.h"

#include <string.h>

#include "ai_base64.h"
#include "ai_json.h"

#define AI_JWT_MIN  8                   /* bytes of anything worth a look */

enum {
    AI_JWT_ALG = 0, AI_JWT_KID, AI_JWT_CRIT, AI_JWT_B64
};

enum {
    AI_JWT_ISS = 0, AI_JWT_AUD, AI_JWT_EXP, AI_JWT_NBF, AI_JWT_IAT
};


static int ai_jws_header(ai_jws_t *j, char **buf, size_t header_len);
static int ai_jwt_number(ai_str_t payload, const ai_json_field_t *f,
    int64_t *n);
static long ai_jwt_value(ai_str_t value, ai_json_type_e type, char *buf,
    size_t size);
static ai_str_t ai_jwt_field(ai_str_t text, const ai_json_field_t *f);


int
ai_jwt_shape(ai_str_t s)
{
    char      c;
    size_t    i;
    unsigned  dots;

    /* The first bytes of the object that every header is. */

    if (s.len < AI_JWT_MIN || s.len > AI_JWT_MAX || s.data[0] != 'e') {
        return 0;
    }

    for (dots = 0, i = 0; i < s.len; i++) {
        c = s.data[i];

        if (c == '.') {
            dots++;
            continue;
        }

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z')
            && !(c >= '0' && c <= '9') && c != '-' && c != '_')
        {
            return 0;
        }
    }

    return dots == 2;
}


int
ai_jws_parse(ai_jws_t *j, ai_str_t token, char *buf)
{
    int          rc;
    long         len;
    char        *pos;
    const char  *first, *second, *end;

    memset(j, 0, sizeof(*j));

    if (token.len == 0 || token.len > AI_JWT_MAX) {
        return AI_JWT_ESHAPE;
    }

    end = token.data + token.len;
    first = memchr(token.data, '.', token.len);
    second = first ? memchr(first + 1, '.', (size_t) (end - first - 1)) : NULL;

    if (second == NULL) {
        return AI_JWT_ESHAPE;
    }

    j->input = (ai_str_t) { (size_t) (second - token.data), token.data };

    /* Decoded, the three are shorter than the token by more than the bytes
     * that rounding takes, and no kid is longer than its header. */

    len = ai_base64url((ai_str_t) { (size_t) (first - token.data),
                                    token.data }, buf);
    if (len <= 0) {
        return AI_JWT_ESHAPE;
    }

    pos = buf;
    rc = ai_jws_header(j, &pos, (size_t) len);

    if (rc != AI_JWT_OK) {
        return rc;
    }

    len = ai_base64url((ai_str_t) { (size_t) (second - first - 1),
                                    first + 1 }, pos);
    if (len < 0) {
        return AI_JWT_ESHAPE;
    }

    j->payload = (ai_str_t) { (size_t) len, pos };
    pos += len;

    len = ai_base64url((ai_str_t) { (size_t) (end - second - 1),
                                    second + 1 }, pos);
    if (len <= 0) {
        return AI_JWT_ESHAPE;
    }

    j->signature = (ai_str_t) { (size_t) len, pos };

    return AI_JWT_OK;
}


/* The kid is left where the header stands, which nobody looks at again, and
 * *buf behind it. */

static int
ai_jws_header(ai_jws_t *j, char **buf, size_t header_len)
{
    char              name[16], kid[AI_JWK_KID_MAX];
    long              len;
    ai_str_t          header;
    ai_json_t         json;
    ai_json_field_t  *f;

    static const char *const  names[] = { "alg", "kid", "crit", "b64", NULL };

    header = (ai_str_t) { header_len, *buf };

    if (ai_json_scan(&json, names, header, AI_JWT_MAX, AI_JWT_DEPTH_MAX)
        != AI_JSON_OK)
    {
        return AI_JWT_EHEADER;
    }

    if (json.fields[AI_JWT_CRIT].type != AI_JSON_NONE
        || json.fields[AI_JWT_B64].type != AI_JSON_NONE)
    {
        return AI_JWT_ECRIT;
    }

    f = &json.fields[AI_JWT_ALG];

    if (f->type != AI_JSON_STRING) {
        return AI_JWT_EHEADER;
    }

    len = ai_json_unescape(ai_jwt_field(header, f), name, sizeof(name));
    j->alg = len < 0 ? 0 : ai_jwa((ai_str_t) { (size_t) len, name });

    if (j->alg == 0) {
        return AI_JWT_EALG;
    }

    f = &json.fields[AI_JWT_KID];

    if (f->type == AI_JSON_NONE) {
        return AI_JWT_OK;
    }

    if (f->type != AI_JSON_STRING) {
        return AI_JWT_EHEADER;
    }

    len = ai_json_unescape(ai_jwt_field(header, f), kid, sizeof(kid));

    if (len < 0) {
        return AI_JWT_EHEADER;
    }

    /* It is shorter than what it stands in. */

    memcpy(*buf, kid, (size_t) len);

    j->kid = (ai_str_t) { (size_t) len, *buf };
    *buf += len;

    return AI_JWT_OK;
}


int
ai_jwt_claims(ai_jwt_claims_t *c, ai_str_t payload, char *buf, size_t size)
{
    long              len;
    ai_json_t         json;
    ai_json_field_t  *f;

    static const char *const  names[] = {
        "iss", "aud", "exp", "nbf", "iat", NULL
    };

    memset(c, 0, sizeof(*c));

    if (ai_json_scan(&json, names, payload, AI_JWT_MAX, AI_JWT_DEPTH_MAX)
        != AI_JSON_OK)
    {
        return AI_JWT_ECLAIMS;
    }

    c->payload = payload;

    f = &json.fields[AI_JWT_ISS];

    if (f->type != AI_JSON_NONE) {
        len = ai_json_unescape(ai_jwt_field(payload, f), buf, size);

        if (f->type != AI_JSON_STRING || len < 0) {
            return AI_JWT_ECLAIMS;
        }

        c->iss = (ai_str_t) { (size_t) len, buf };
    }

    f = &json.fields[AI_JWT_AUD];

    if (f->type == AI_JSON_STRING || f->type == AI_JSON_ARRAY) {
        c->aud = ai_jwt_field(payload, f);

    } else if (f->type != AI_JSON_NONE) {
        return AI_JWT_ECLAIMS;
    }

    c->has_exp = json.fields[AI_JWT_EXP].type != AI_JSON_NONE;
    c->has_nbf = json.fields[AI_JWT_NBF].type != AI_JSON_NONE;
    c->has_iat = json.fields[AI_JWT_IAT].type != AI_JSON_NONE;

    if (ai_jwt_number(payload, &json.fields[AI_JWT_EXP], &c->exp) != 0
        || ai_jwt_number(payload, &json.fields[AI_JWT_NBF], &c->nbf) != 0
        || ai_jwt_number(payload, &json.fields[AI_JWT_IAT], &c->iat) != 0)
    {
        return AI_JWT_ECLAIMS;
    }

    return AI_JWT_OK;
}


static int
ai_jwt_number(ai_str_t payload, const ai_json_field_t *f, int64_t *n)
{
    if (f->type == AI_JSON_NONE) {
        return 0;
    }

    /* Within what can be added to without a care. */

    return f->type == AI_JSON_NUMBER
           && ai_json_int(ai_jwt_field(payload, f), n) == 0
           && *n > INT64_MIN / 2 && *n < INT64_MAX / 2
           ? 0 : -1;
}


int
ai_jwt_times(const ai_jwt_claims_t *c, int64_t now, int64_t leeway)
{
    if (!c->has_exp || c->exp + leeway <= now) {
        return AI_JWT_EEXPIRED;
    }

    if ((c->has_nbf && c->nbf - leeway > now)
        || (c->has_iat && c->iat - leeway > now))
    {
        return AI_JWT_EEARLY;
    }

    return AI_JWT_OK;
}


int
ai_jwt_audience(const ai_jwt_claims_t *c, ai_str_t want)
{
    long             len;
    char             text[AI_JWT_MAX];
    size_t           at;
    ai_str_t         value;
    ai_json_type_e   type;

    if (c->aud.data == NULL) {
        return 0;
    }

    if (c->aud.data[0] == '"') {
        len = ai_json_unescape(c->aud, text, sizeof(text));

        return len >= 0 && ai_str_eq((ai_str_t) { (size_t) len, text }, want);
    }

    for (at = 0; ai_json_each(c->aud, &at, &value, &type); /* void */ ) {
        len = ai_json_unescape(value, text, sizeof(text));

        if (len >= 0 && ai_str_eq((ai_str_t) { (size_t) len, text }, want)) {
            return 1;
        }
    }

    return 0;
}


long
ai_jwt_claim(ai_str_t payload, const char *name, char *buf, size_t size)
{
    long             len, n;
    size_t           at;
    ai_str_t         claim, value;
    ai_json_t        json;
    ai_json_type_e   type;
    const char      *names[2] = { name, NULL };

    if (ai_json_scan(&json, names, payload, AI_JWT_MAX, AI_JWT_DEPTH_MAX)
        != AI_JSON_OK)
    {
        return -1;
    }

    if (json.fields[0].type != AI_JSON_NONE) {
        type = json.fields[0].type;
        claim = ai_jwt_field(payload, &json.fields[0]);

    } else if (!ai_json_path(payload, name, &claim, &type)) {
        return 0;
    }

    if (type != AI_JSON_ARRAY) {
        return ai_jwt_value(claim, type, buf, size);
    }

    len = 0;

    for (at = 0; ai_json_each(claim, &at, &value, &type); /* void */ ) {

        if (len > 0) {
            if ((size_t) len == size) {
                return -1;
            }

            buf[len++] = ' ';
        }

        if (type == AI_JSON_ARRAY) {
            return -1;
        }

        n = ai_jwt_value(value, type, buf + len, size - (size_t) len);

        if (n <= 0 || memchr(buf + len, ' ', (size_t) n) != NULL) {
            return -1;
        }

        len += n;
    }

    return len;
}


static long
ai_jwt_value(ai_str_t value, ai_json_type_e type, char *buf, size_t size)
{
    long  len;

    switch (type) {

    case AI_JSON_STRING:
        len = ai_json_unescape(value, buf, size);

        return len < 0 || ai_str_text_ok((ai_str_t) { (size_t) len, buf },
                                         size)
               ? len : -1;

    case AI_JSON_NUMBER:
    case AI_JSON_TRUE:
    case AI_JSON_FALSE:
        if (value.len > size) {
            return -1;
        }

        memcpy(buf, value.data, value.len);

        return (long) value.len;

    case AI_JSON_NULL:
        return 0;

    default:
        return -1;
    }
}


const char *
ai_jwt_strerror(int status)
{
    switch (status) {

    case AI_JWT_OK:
        return "valid";

    case AI_JWT_ESHAPE:
        return "it is no compact JWS";

    case AI_JWT_EHEADER:
        return "its header is malformed";

    case AI_JWT_ECRIT:
        return "its header has \"crit\" or \"b64\"";

    case AI_JWT_EALG:
        return "its algorithm is none that is known here";

    case AI_JWT_ECLAIMS:
        return "its claims are malformed";

    case AI_JWT_EISSUER:
        return "its issuer is none of ours";

    case AI_JWT_EAUDIENCE:
        return "it is for another audience";

    case AI_JWT_EEXPIRED:
        return "it has expired, or never does";

    case AI_JWT_EEARLY:
        return "it is not valid yet";

    case AI_JWT_EKEY:
        return "no key fits it, or more than one";

    default:
        return "its signature is wrong";
    }
}


static ai_str_t
ai_jwt_field(ai_str_t text, const ai_json_field_t *f)
{
    return (ai_str_t) { f->end - f->start, text.data + f->start };
}
