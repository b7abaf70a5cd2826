/*
 * What a request asks for, as a hash taken while its body arrives: white space
 * between tokens and the top-level members that do not change the answer are
 * left out, all else counts byte by byte.  The order of members and the way a
 * string is escaped count, too: two texts of one meaning may differ (a miss),
 * two of different meaning never agree.
 *
 * It is fed the same pieces as the scanner (ai_json.h) and checks nothing: of
 * a text that the scanner refuses the hash means nothing.  What it says does
 * not depend on how the bytes were cut.
 */

#ifndef AI_DIGEST_H
#define AI_DIGEST_H

#include "ai_crypto.h"
#include "ai_error.h"

#define AI_DIGEST_KEY_MAX  32       /* a longer member is never left out */

/*
 * Members that are left out.  openai: user, safety_identifier (who asks, not
 * what), metadata, store (what is kept of the answer), prompt_cache_key,
 * prompt_cache_retention (what it costs), service_tier (how fast it comes),
 * stream, stream_options (its form on the wire).  anthropic: metadata, stream,
 * service_tier.  1 if the name is one of them.
 */
int ai_digest_leaves_out(ai_dialect_e dialect, ai_str_t name);

/* A complete struct so that it can be embedded; all of it is ai_digest.c's. */
typedef struct {
    ai_sha256_t  *hash;
    ai_dialect_e  dialect;
    uint32_t      depth;
    uint32_t      key_len;
    unsigned      state:2;
    unsigned      value:1;          /* of a top-level member: it has begun */
    unsigned      skip:1;           /* and is left out */
    unsigned      failed:1;
    char          key[AI_DIGEST_KEY_MAX];
} ai_digest_t;

/* Begins: 0, or -1 without memory, and d needs no free. */
int ai_digest_init(ai_digest_t *d, ai_dialect_e dialect);
/* The next piece; time is linear in len. */
void ai_digest_feed(ai_digest_t *d, const char *data, size_t len);
/* The SHA-256 of what was fed as 64 hex digits, and frees: 0, or -1 where
 * OpenSSL failed. */
int ai_digest_end(ai_digest_t *d, char hex[AI_SHA256_HEX]);
/* Gives up; may follow ai_digest_end. */
void ai_digest_free(ai_digest_t *d);

#endif
