/*
 * The hash of a request does not depend on the pieces; of what the scanner
 * takes it does not change with a member that does not count, and does with
 * one that counts.
 */

#include "ai_fuzz.h"

#include "ai_digest.h"
#include "ai_json.h"


static void
digest(char out[AI_SHA256_HEX], ai_str_t text, size_t piece)
{
    char         *copy;
    size_t        at, n;
    ai_digest_t   d;

    must(ai_digest_init(&d, AI_DIALECT_OPENAI) == 0);

    for (at = 0; at < text.len; at += n) {
        n = text.len - at < piece ? text.len - at : piece;
        copy = malloc(n);
        must(copy != NULL);
        memcpy(copy, text.data + at, n);
        ai_digest_feed(&d, copy, n);
        free(copy);
    }

    must(ai_digest_end(&d, out) == 0);
}


/* The same with a member in front, or behind where that is not to be. */

static void
with(char out[AI_SHA256_HEX], ai_str_t text, const char *member)
{
    char       *p;
    size_t      at, len;
    ai_json_t   j;

    at = (size_t) ((const char *) memchr(text.data, '{', text.len)
                   - text.data) + 1;
    len = strlen(member);
    p = malloc(text.len + len + 1);
    must(p != NULL);
    memcpy(p, text.data, at);
    memcpy(p + at, member, len);
    must(ai_json_scan(&j, NULL, text, text.len, 0) == AI_JSON_OK);
    p[at + len] = ',';
    memcpy(p + at + len + (j.nkeys != 0), text.data + at, text.len - at);
    digest(out, (ai_str_t) { text.len + len + (j.nkeys != 0), p }, text.len);
    free(p);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ai_str_t       text;
    ai_json_t      j;
    char       whole[AI_SHA256_HEX], other[AI_SHA256_HEX];

    if (size < 2) {
        return 0;
    }

    text = (ai_str_t) { size - 1, (const char *) data + 1 };

    digest(whole, text, text.len);
    digest(other, text, data[0] % 16 + 1);
    must(memcmp(whole, other, AI_SHA256_HEX) == 0);

    if (ai_json_scan(&j, NULL, text, text.len, 0) != AI_JSON_OK) {
        return 0;
    }

    with(other, text, "\"user\" :[{\"a\":\"]\\\"\"},1 ]");
    must(memcmp(whole, other, AI_SHA256_HEX) == 0);

    with(other, text, "\"seed\":1");
    must(memcmp(whole, other, AI_SHA256_HEX) != 0);

    return 0;
}
