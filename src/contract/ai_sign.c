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

/* "mac 64\n<hex>\n": the last field of a signed spec. */
#define AI_SIGN_FIELD    "mac 64\n"


struct ai_sign_s {
    EVP_MAC      *mac;
    EVP_MAC_CTX  *keys[AI_SIGN_KEYS_MAX];
    unsigned      nkeys;
};


static const char *ai_sign_key(ai_sign_t *s, ai_str_t key);
static int ai_sign_make(ai_sign_t *s, unsigned key, ai_str_t label,
    ai_str_t text, char hex[AI_SHA256_HEX]);
static int ai_sign_known(ai_sign_t *s, ai_str_t label, ai_str_t text,
    ai_str_t mac);


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
    ai_str_t  spec;

    spec = (ai_str_t) { (size_t) (b->pos - mark), mark };

    if (b->full || ai_sign_make(s, 0, ai_str(AI_SIGN_JOB), spec, hex) != 0) {
        b->full = 1;
        return;
    }

    ai_record_add(b, "mac", (ai_str_t) { sizeof(hex), hex });
}


int
ai_sign_spec_ok(ai_sign_t *s, ai_str_t spec)
{
    ai_str_t     mac;
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

    return ai_sign_known(s, ai_str(AI_SIGN_JOB), spec, mac);
}


int
ai_sign_catalog(ai_sign_t *s, ai_str_t name, char line[AI_SIGN_CATALOG_ADDS])
{
    line[0] = '\n';

    return ai_sign_make(s, 0, ai_str(AI_SIGN_CATALOG), name, line + 1);
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
    if (mac.len != AI_SHA256_HEX) {
        return -1;
    }

    return ai_sign_known(s, ai_str(AI_SIGN_CATALOG), name, mac);
}


/* A context that is initialised without a key keeps the one it has. */

static int
ai_sign_make(ai_sign_t *s, unsigned key, ai_str_t label, ai_str_t text,
    char hex[AI_SHA256_HEX])
{
    size_t         len;
    EVP_MAC_CTX   *ctx;
    unsigned char  raw[AI_SHA256_LEN];

    ctx = s->keys[key];

    if (EVP_MAC_init(ctx, NULL, 0, NULL) != 1
        || EVP_MAC_update(ctx, (const unsigned char *) label.data, label.len)
           != 1
        || EVP_MAC_update(ctx, (const unsigned char *) text.data, text.len)
           != 1
        || EVP_MAC_final(ctx, raw, &len, sizeof(raw)) != 1
        || len != sizeof(raw))
    {
        return -1;
    }

    ai_hex(hex, raw, sizeof(raw));

    return 0;
}


static int
ai_sign_known(ai_sign_t *s, ai_str_t label, ai_str_t text, ai_str_t mac)
{
    char      hex[AI_SHA256_HEX];
    unsigned  i;

    for (i = 0; i < s->nkeys; i++) {
        if (ai_sign_make(s, i, label, text, hex) == 0
            && ai_equal_ct(hex, mac.data, sizeof(hex)))
        {
            return 1;
        }
    }

    return 0;
}
