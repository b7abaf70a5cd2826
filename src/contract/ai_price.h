/*
 * What a model costs, by kind of token and by how much is asked at once, as
 * nginx.conf and the catalog say it (docs/wire.md, 8); and what a call cost.
 * The edge reserves and the workers settle by the same functions.
 */

#ifndef AI_PRICE_H
#define AI_PRICE_H

#include "ai_usage.h"

#define AI_PRICE_TIERS      4       /* of a model, the first one included */
#define AI_PRICE_MAX        1000000000000000LL  /* a USD a token, or a million
                                                 * a call: of ai_price_scan */
#define AI_PRICE_ABOVE_MAX  1000000000LL    /* tokens where a tier may begin */

/* In the order of their names, which is that of the catalog. */
typedef enum {
    AI_PRICE_AUDIO = 0,         /* of the input */
    AI_PRICE_AUDIO_OUTPUT,
    AI_PRICE_CACHED,            /* read from the provider's prompt cache */
    AI_PRICE_CACHED_WRITE,      /* written to it, for five minutes */
    AI_PRICE_CACHED_WRITE_1H,
    AI_PRICE_IMAGE,             /* of the input */
    AI_PRICE_IMAGE_OUTPUT,
    AI_PRICE_INPUT,
    AI_PRICE_OUTPUT,
    AI_PRICE_REASONING,
    AI_PRICE_REQUEST,
    AI_PRICE_KINDS
} ai_price_e;

/* Nano-USD per million tokens (of AI_PRICE_REQUEST: per call), -1 where it is
 * not declared. */
typedef struct {
    int64_t         above;      /* of calls with more input tokens than that;
                                 * 0 of the first tier, which has all others */
    int64_t         of[AI_PRICE_KINDS];
} ai_price_tier_t;

typedef struct {
    unsigned        tiers;      /* 0: no price is known */
    ai_price_tier_t tier[AI_PRICE_TIERS];   /* above rises */
} ai_price_t;

/* The i-th kind's name, NULL behind the last; and back, -1 where it is none. */
const char *ai_price_name(unsigned kind);
int ai_price_kind(ai_str_t name);

/* No price. */
void ai_price_init(ai_price_t *p);
/*
 * The next tier, which begins as the one before it (the first: with nothing
 * declared) and may be changed: NULL where there are too many, or above does
 * not rise, or is over AI_PRICE_ABOVE_MAX.
 */
ai_price_tier_t *ai_price_add(ai_price_t *p, int64_t above);
/* Whether anything is declared, so that a cost can be said. */
int ai_price_known(const ai_price_t *p);

/*
 * What a kind costs in a call of so many input tokens, never below 0.  Where
 * it is not declared: cached, cached_write, audio and image as input,
 * cached_write_1h as cached_write, reasoning, audio_output and image_output as
 * output; any other is 0.
 */
int64_t ai_price_of(const ai_price_t *p, int64_t input, ai_price_e kind);

/*
 * Cost in nano-USD: the exact sum over all kinds of tokens and one request,
 * rounded half up once, saturating at INT64_MAX.  Unknown counts are 0.
 * input counts cached, audio and image tokens, which are taken out of it in
 * this order, and output those of reasoning, audio and images: what is then
 * left (never below 0) is charged as input and output.  Cached ones are
 * charged in full; of the others no more than is left, for a cached token may
 * be one of audio, too.
 */
int64_t ai_usage_cost(const ai_usage_t *u, const ai_price_t *p);

/*
 * The price of one token (or, of AI_PRICE_REQUEST, of one call) as USD, the
 * shortest exact decimal, "0.0000025", with a zero byte behind: the length
 * without it, 0 where it does not fit (32 bytes always do).
 */
size_t ai_price_print(char *buf, size_t size, ai_price_e kind, int64_t price);
/*
 * And back, of what others write: digits, perhaps "." and more of them, of
 * which what is below the fifteenth is rounded up.  0; -1 for anything else
 * (a sign, an exponent), or past AI_PRICE_MAX.
 */
int ai_price_scan(ai_str_t s, ai_price_e kind, int64_t *price);

#endif
