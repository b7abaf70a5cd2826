/*
 * The hash of a request's body.  A digest owns its hash until it ends.
 */

#include "ai_digest.h"

#include <string.h>


enum {
    AI_DIGEST_BETWEEN = 0,
    AI_DIGEST_KEY,              /* of a top-level member, kept to be judged */
    AI_DIGEST_STRING,
    AI_DIGEST_ESCAPE
};


static const char *ai_digest_string(const char *p, const char *end);
static int ai_digest_stays(ai_digest_t *d, char c);
static void ai_digest_key(ai_digest_t *d, int closed);
static void ai_digest_add(ai_digest_t *d, const char *data, size_t len);


static const char *const  ai_digest_openai[] = {
    "metadata", "prompt_cache_key", "prompt_cache_retention",
    "safety_identifier", "service_tier", "store", "stream", "stream_options",
    "user", NULL
};

static const char *const  ai_digest_anthropic[] = {
    "metadata", "service_tier", "stream", NULL
};


int
ai_digest_leaves_out(ai_dialect_e dialect, ai_str_t name)
{
    const char *const  *z;

    z = dialect == AI_DIALECT_ANTHROPIC ? ai_digest_anthropic
                                        : ai_digest_openai;

    for (/* void */; *z != NULL; z++) {
        if (ai_str_eqz(name, *z)) {
            return 1;
        }
    }

    return 0;
}


int
ai_digest_init(ai_digest_t *d, ai_dialect_e dialect)
{
    memset(d, 0, sizeof(*d));
    d->dialect = dialect;
    d->hash = ai_sha256_begin();

    return d->hash != NULL ? 0 : -1;
}


void
ai_digest_feed(ai_digest_t *d, const char *data, size_t len)
{
    char         c;
    const char  *p, *end, *run;

    end = data + len;
    run = data;
    p = data;

    while (p < end) {

        switch (d->state) {

        case AI_DIGEST_STRING:
            p = ai_digest_string(p, end);

            if (p < end) {
                d->state = *p++ == '\\' ? AI_DIGEST_ESCAPE
                                        : AI_DIGEST_BETWEEN;
            }

            break;

        case AI_DIGEST_ESCAPE:
            d->state = AI_DIGEST_STRING;
            p++;
            break;

        case AI_DIGEST_KEY:

            if (*p == '"') {
                ai_digest_key(d, 1);
                d->state = AI_DIGEST_BETWEEN;
                run = ++p;

            } else if (*p == '\\' || d->key_len == AI_DIGEST_KEY_MAX) {
                ai_digest_key(d, 0);
                d->state = AI_DIGEST_STRING;
                run = p;

            } else {
                d->key[d->key_len++] = *p++;
            }

            break;

        default:
            c = *p;

            if (c == '"' && (d->depth != 1 || d->value)) {
                d->state = AI_DIGEST_STRING;
                p++;
                break;
            }

            if (ai_digest_stays(d, c)) {
                p++;
                break;
            }

            /* A run ends here. */

            if (!d->skip) {
                ai_digest_add(d, run, (size_t) (p - run));
            }

            run = p + (c != '}');
            p++;

            if (c == '"') {
                d->state = AI_DIGEST_KEY;
                d->key_len = 0;

            } else if (c == ',' || c == '}') {
                d->skip = 0;
                d->value = 0;
            }
        }
    }

    if (d->state != AI_DIGEST_KEY && !d->skip) {
        ai_digest_add(d, run, (size_t) (p - run));
    }
}


/* Whether c, between strings, is of the run; what is not is white space, the
 * beginning of a top-level key, or the end of its member. */

static int
ai_digest_stays(ai_digest_t *d, char c)
{
    switch (c) {

    case ' ':
    case '\t':
    case '\n':
    case '\r':
    case '"':
        return 0;

    case '{':
    case '[':
        d->depth++;
        return 1;

    case '}':
    case ']':
        if (d->depth != 0) {
            d->depth--;
        }

        return d->depth != 0 || c == ']';

    case ':':
        if (d->depth == 1) {
            d->value = 1;
        }

        return 1;

    case ',':
        return d->depth != 1;

    default:
        return 1;
    }
}


/* A comma stands before each member that counts, wherever the others were. */

static void
ai_digest_key(ai_digest_t *d, int closed)
{
    ai_str_t  name;

    name = (ai_str_t) { d->key_len, d->key };
    d->skip = closed && ai_digest_leaves_out(d->dialect, name);

    if (!d->skip) {
        ai_digest_add(d, ",\"", 2);
        ai_digest_add(d, name.data, name.len);
        ai_digest_add(d, "\"", closed ? 1 : 0);
    }
}


/* Up to the first quote or backslash, or end. */

static const char *
ai_digest_string(const char *p, const char *end)
{
    uint64_t        x, quote, slash;
    const uint64_t  ones = 0x0101010101010101;
    const uint64_t  tops = 0x8080808080808080;

    while (end - p >= 8) {
        memcpy(&x, p, 8);

        quote = x ^ ones * '"';
        slash = x ^ ones * '\\';

        if (((quote - ones) & ~quote & tops)
            | ((slash - ones) & ~slash & tops))
        {
            break;
        }

        p += 8;
    }

    while (p < end && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


static void
ai_digest_add(ai_digest_t *d, const char *data, size_t len)
{
    if (len != 0 && ai_sha256_add(d->hash, (ai_str_t) { len, data }) != 0) {
        d->failed = 1;
    }
}


int
ai_digest_end(ai_digest_t *d, char hex[AI_SHA256_HEX])
{
    int  rc;

    rc = ai_sha256_end(d->hash, hex);
    d->hash = NULL;

    return d->failed ? -1 : rc;
}


void
ai_digest_free(ai_digest_t *d)
{
    if (d->hash != NULL) {
        (void) ai_sha256_end(d->hash, NULL);
        d->hash = NULL;
    }
}
