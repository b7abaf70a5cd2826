/*
 * Signatures.  An ai_sign_t owns a keyed MAC context for each key; keys
 * themselves are not kept.
 */

#include "ai_sign.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "ai_record.h"


/* What a signature is good for: one of a catalog signs no job. */
#define AI_SIGN_JOB      "ngx-ai job 1\n"
#define AI_SIGN_CATALOG  "ngx-ai catalog 1\n"
#define AI_SIGN_JWKS     "ngx-ai jwks 1\n"
#define AI_SIGN_MODELS   "ngx-ai models 1\n"
#define AI_SIGN_KEY      "ngx-ai principal 1\n"

/* "mac 64\n<hex>\n": the last field of a signed spec. */
#define AI_SIGN_FIELD    "mac 64\n"

/* Of a principal: label, name, lengths, and its values. */
#define AI_SIGN_PARTS    (3 + AI_SIGN_FIELDS)
#define AI_SIGN_LENGTHS  (AI_SIGN_FIELDS * 21 + 2)


struct ai_sign_s {
    EVP_MAC      *mac;
    EVP_MAC_CTX  *keys[AI_SIGN_KEYS_MAX];
    unsigned      nkeys;
};


static const char *ai_sign_key(ai_sign_t *s, ai_str_t key);
static void ai_sign_parts(ai_str_t parts[AI_SIGN_PARTS], ai_str_t name,
    const ai_str_t *values, char lengths[AI_SIGN_LENGTHS]);
static int ai_sign_make(ai_sign_t *s, unsigned key, const ai_str_t *parts,
    size_t n, char hex[AI_SHA256_HEX]);
static int ai_sign_text(ai_sign_t *s, ai_str_t what, ai_str_t name,
    ai_str_t text, char line[AI_SIGN_CATALOG_ADDS]);
static int ai_sign_text_ok(ai_sign_t *s, ai_str_t what, ai_str_t name,
    ai_str_t text, ai_str_t mac);
static int ai_sign_known(ai_sign_t *s, const ai_str_t *parts, size_t n,
    ai_str_t mac);


static const char *const  ai_sign_fields[AI_SIGN_FIELDS] = {
    "v", "state", "id", "tenant", "tenant_state", "weight", "plan", "user",
    "role", "scopes", "models", "expires", "networks"
};


ai_sign_t *
ai_sign_open(ai_str_t text, const char **why)
{
    ai_str_t     key;
    ai_sign_t   *s;
    const char  *p, *end, *stop;

    *why = "no memory";

    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }

    s->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    if (s->mac == NULL) {
        free(s);
        return NULL;
    }

    *why = NULL;

    p = text.data;
    end = p + text.len;

    while (p < end && *why == NULL) {

        stop = memchr(p, '\n', (size_t) (end - p));

        if (stop == NULL) {
            stop = end;
        }

        key = (ai_str_t) { (size_t) (stop - p), p };
        p = stop + 1;

        while (key.len && (unsigned char) key.data[key.len - 1] <= ' ') {
            key.len--;
        }

        while (key.len && (unsigned char) key.data[0] <= ' ') {
            key.data++;
            key.len--;
        }

        if (key.len && key.data[0] != '#') {
            *why = ai_sign_key(s, key);
        }
    }

    if (*why == NULL && s->nkeys == 0) {
        *why = "it holds no key";
    }

    if (*why != NULL) {
        ai_sign_close(s);
        return NULL;
    }

    return s;
}


static const char *
ai_sign_key(ai_sign_t *s, ai_str_t key)
{
    OSSL_PARAM    params[2];
    EVP_MAC_CTX  *ctx;

    static char  digest[] = "SHA256";

    if (key.len < AI_SIGN_KEY_MIN) {
        return "a key of it is shorter than 32 bytes";
    }

    if (s->nkeys == AI_SIGN_KEYS_MAX) {
        return "it holds more than 8 keys";
    }

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 digest, 0);
    params[1] = OSSL_PARAM_construct_end();

    ctx = EVP_MAC_CTX_new(s->mac);

    if (ctx == NULL
        || EVP_MAC_init(ctx, (const unsigned char *) key.data, key.len, params)
           != 1)
    {
        EVP_MAC_CTX_free(ctx);
        return "no memory";
    }

    s->keys[s->nkeys++] = ctx;

    return NULL;
}


void
ai_sign_close(ai_sign_t *s)
{
    if (s == NULL) {
        return;
    }

    while (s->nkeys) {
        EVP_MAC_CTX_free(s->keys[--s->nkeys]);
    }

    EVP_MAC_free(s->mac);
    free(s);
}


void
ai_sign_spec(ai_sign_t *s, ai_buf_t *b, const char *mark)
{
    char      hex[AI_SHA256_HEX];
    ai_str_t  parts[2];

    parts[0] = ai_str(AI_SIGN_JOB);
    parts[1] = (ai_str_t) { (size_t) (b->pos - mark), mark };

    if (b->full || ai_sign_make(s, 0, parts, 2, hex) != 0) {
        b->full = 1;
        return;
    }

    ai_record_add(b, "mac", (ai_str_t) { sizeof(hex), hex });
}


int
ai_sign_spec_ok(ai_sign_t *s, ai_str_t spec)
{
    ai_str_t     mac, parts[2];
    const char  *field;

    if (spec.len < AI_SIGN_SPEC_ADDS) {
        return -1;
    }

    spec.len -= AI_SIGN_SPEC_ADDS;
    field = spec.data + spec.len;
    mac = (ai_str_t) { AI_SHA256_HEX, field + sizeof(AI_SIGN_FIELD) - 1 };

    if (memcmp(field, AI_SIGN_FIELD, sizeof(AI_SIGN_FIELD) - 1) != 0
        || mac.data[mac.len] != '\n')
    {
        return -1;
    }

    parts[0] = ai_str(AI_SIGN_JOB);
    parts[1] = spec;

    return ai_sign_known(s, parts, 2, mac);
}


int
ai_sign_catalog(ai_sign_t *s, ai_str_t name, char line[AI_SIGN_CATALOG_ADDS])
{
    ai_str_t  parts[2];

    line[0] = '\n';
    parts[0] = ai_str(AI_SIGN_CATALOG);
    parts[1] = name;

    return ai_sign_make(s, 0, parts, 2, line + 1);
}


/* JSON has no line end behind its last brace. */

ai_str_t
ai_sign_catalog_cut(ai_str_t *text)
{
    ai_str_t     mac;
    const char  *line;

    if (text->len >= AI_SIGN_CATALOG_ADDS) {
        line = text->data + text->len - AI_SIGN_CATALOG_ADDS;
        mac = (ai_str_t) { AI_SHA256_HEX, line + 1 };

        if (*line == '\n' && ai_sha256_hex_ok(mac)) {
            text->len -= AI_SIGN_CATALOG_ADDS;
            return mac;
        }
    }

    return ai_str("");
}


int
ai_sign_catalog_ok(ai_sign_t *s, ai_str_t name, ai_str_t mac)
{
    ai_str_t  parts[2];

    parts[0] = ai_str(AI_SIGN_CATALOG);
    parts[1] = name;

    return ai_sign_known(s, parts, 2, mac);
}


int
ai_sign_jwks(ai_sign_t *s, ai_str_t name, ai_str_t text,
    char line[AI_SIGN_CATALOG_ADDS])
{
    return ai_sign_text(s, ai_str(AI_SIGN_JWKS), name, text, line);
}


int
ai_sign_jwks_ok(ai_sign_t *s, ai_str_t name, ai_str_t text, ai_str_t mac)
{
    return ai_sign_text_ok(s, ai_str(AI_SIGN_JWKS), name, text, mac);
}


int
ai_sign_models(ai_sign_t *s, ai_str_t name, ai_str_t text,
    char line[AI_SIGN_CATALOG_ADDS])
{
    return ai_sign_text(s, ai_str(AI_SIGN_MODELS), name, text, line);
}


int
ai_sign_models_ok(ai_sign_t *s, ai_str_t name, ai_str_t text, ai_str_t mac)
{
    return ai_sign_text_ok(s, ai_str(AI_SIGN_MODELS), name, text, mac);
}


static int
ai_sign_text(ai_sign_t *s, ai_str_t what, ai_str_t name, ai_str_t text,
    char line[AI_SIGN_CATALOG_ADDS])
{
    ai_str_t  parts[3];

    line[0] = '\n';
    parts[0] = what;
    parts[1] = name;
    parts[2] = text;

    return ai_sign_make(s, 0, parts, 3, line + 1);
}


static int
ai_sign_text_ok(ai_sign_t *s, ai_str_t what, ai_str_t name, ai_str_t text,
    ai_str_t mac)
{
    ai_str_t  parts[3];

    parts[0] = what;
    parts[1] = name;
    parts[2] = text;

    return ai_sign_known(s, parts, 3, mac);
}


int
ai_sign_field(ai_str_t field)
{
    int  i;

    for (i = 0; i < AI_SIGN_FIELDS; i++) {
        if (ai_str_eqz(field, ai_sign_fields[i])) {
            return i;
        }
    }

    return -1;
}


int
ai_sign_principal(ai_sign_t *s, ai_str_t name,
    const ai_str_t values[AI_SIGN_FIELDS], char mac[AI_SHA256_HEX])
{
    char      lengths[AI_SIGN_LENGTHS];
    ai_str_t  parts[AI_SIGN_PARTS];

    ai_sign_parts(parts, name, values, lengths);

    return ai_sign_make(s, 0, parts, AI_SIGN_PARTS, mac);
}


int
ai_sign_principal_ok(ai_sign_t *s, ai_str_t name,
    const ai_str_t values[AI_SIGN_FIELDS], ai_str_t mac)
{
    char      lengths[AI_SIGN_LENGTHS];
    ai_str_t  parts[AI_SIGN_PARTS];

    ai_sign_parts(parts, name, values, lengths);

    return ai_sign_known(s, parts, AI_SIGN_PARTS, mac);
}


/* The lengths stand in front, so that no value can pass for two. */

static void
ai_sign_parts(ai_str_t parts[AI_SIGN_PARTS], ai_str_t name,
    const ai_str_t *values, char lengths[AI_SIGN_LENGTHS])
{
    int       i;
    ai_buf_t  b;

    ai_buf_init(&b, lengths, AI_SIGN_LENGTHS);

    for (i = 0; i < AI_SIGN_FIELDS; i++) {
        ai_buf_add_z(&b, " ");
        ai_buf_add_int(&b, (int64_t) values[i].len);
        parts[3 + i] = values[i];
    }

    ai_buf_add_z(&b, "\n");

    parts[0] = ai_str(AI_SIGN_KEY);
    parts[1] = name;
    parts[2] = (ai_str_t) { ai_buf_len(&b), lengths };
}


/* A context that is initialised without a key keeps the one it has. */

static int
ai_sign_make(ai_sign_t *s, unsigned key, const ai_str_t *parts, size_t n,
    char hex[AI_SHA256_HEX])
{
    size_t         i, len;
    EVP_MAC_CTX   *ctx;
    unsigned char  raw[AI_SHA256_LEN];

    ctx = s->keys[key];

    if (EVP_MAC_init(ctx, NULL, 0, NULL) != 1) {
        return -1;
    }

    for (i = 0; i < n; i++) {
        if (parts[i].len
            && EVP_MAC_update(ctx, (const unsigned char *) parts[i].data,
                              parts[i].len)
               != 1)
        {
            return -1;
        }
    }

    if (EVP_MAC_final(ctx, raw, &len, sizeof(raw)) != 1 || len != sizeof(raw))
    {
        return -1;
    }

    ai_hex(hex, raw, sizeof(raw));

    return 0;
}


static int
ai_sign_known(ai_sign_t *s, const ai_str_t *parts, size_t n, ai_str_t mac)
{
    char      hex[AI_SHA256_HEX];
    unsigned  i;

    if (mac.len != AI_SHA256_HEX) {
        return -1;
    }

    for (i = 0; i < s->nkeys; i++) {
        if (ai_sign_make(s, i, parts, n, hex) == 0
            && ai_equal_ct(hex, mac.data, sizeof(hex)))
        {
            return 1;
        }
    }

    return 0;
}
