/*
 * Keys of a scan: one hash each, by which it is told apart, and the text of
 * the one that is being read.  Owns nothing.
 */

#include "ai_json_key.h"

#include <string.h>

#include "ai_crypto.h"


static void ai_json_key_add(ai_json_t *j, const char *p, size_t len);
static void ai_json_key_codepoint(ai_json_t *j, uint32_t c);
static void ai_json_key_flush(ai_json_t *j);


/*
 * Random bytes cost more than a small scan: one secret a thread, and a number
 * that makes each seed another.  Without random bytes collisions can be made,
 * and refuse only the body of who made them.
 */

void
ai_json_key_seed(ai_json_t *j)
{
    static _Thread_local unsigned  known;
    static _Thread_local uint64_t  secret[2];

    if (!known) {
        known = ai_random(secret, sizeof(secret)) == 0;
    }

    j->seed[0] = secret[0];
    j->seed[1] = ++secret[1];
}


void
ai_json_key_begin(ai_json_t *j)
{
    ai_sip_init(&j->sip, j->seed);
    j->key_len = 0;
    j->surrogate = 0;
    j->current = -1;
}


void
ai_json_key_bytes(ai_json_t *j, const void *data, size_t len)
{
    ai_json_key_flush(j);
    ai_json_key_add(j, data, len);
}


static void
ai_json_key_add(ai_json_t *j, const char *p, size_t len)
{
    size_t  n;

    ai_sip_add(&j->sip, p, len);

    /* One byte too long is remembered as such. */
    n = sizeof(j->key) - j->key_len;
    n = len < n ? len : n;

    memcpy(j->key + j->key_len, p, n);
    j->key_len += (uint32_t) n;
}


void
ai_json_key_unit(ai_json_t *j, uint32_t unit)
{
    uint32_t  c;

    if (j->surrogate && unit >= 0xDC00 && unit <= 0xDFFF) {
        c = 0x10000 + ((j->surrogate - 0xD800) << 10) + (unit - 0xDC00);
        j->surrogate = 0;
        ai_json_key_codepoint(j, c);
        return;
    }

    ai_json_key_flush(j);

    if (unit >= 0xD800 && unit <= 0xDBFF) {
        j->surrogate = unit;
        return;
    }

    ai_json_key_codepoint(j, unit);
}


/* A lone surrogate is hashed as UTF-8 would spell it: no other key can be. */

static void
ai_json_key_codepoint(ai_json_t *j, uint32_t c)
{
    char    utf8[4];
    size_t  len;

    len = ai_str_utf8_put(utf8, c);
    ai_json_key_add(j, utf8, len);
}


/* A high surrogate that got no low one stays alone. */

static void
ai_json_key_flush(ai_json_t *j)
{
    uint32_t  lone;

    if (j->surrogate) {
        lone = j->surrogate;
        j->surrogate = 0;
        ai_json_key_codepoint(j, lone);
    }
}


int
ai_json_key_end(ai_json_t *j)
{
    int       i;
    uint32_t  n;
    uint64_t  hash;
    ai_str_t  key;

    ai_json_key_flush(j);

    hash = ai_sip_end(&j->sip);

    for (n = 0; n < j->nkeys; n++) {
        if (j->keys[n] == hash) {
            return AI_JSON_EDUPLICATE;
        }
    }

    if (j->nkeys == AI_JSON_KEYS_MAX) {
        return AI_JSON_EKEYS;
    }

    j->keys[j->nkeys++] = hash;

    if (j->key_len > AI_JSON_NAME_MAX) {
        return AI_JSON_MORE;
    }

    key = (ai_str_t) { j->key_len, j->key };

    for (i = 0; i < AI_JSON_FIELDS_MAX && j->names[i]; i++) {
        if (ai_str_eqz(key, j->names[i])) {
            j->fields[i].member = j->key_at;
            j->current = i;
            break;
        }
    }

    return AI_JSON_MORE;
}
