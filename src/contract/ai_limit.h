/*
 * Limits as text: rates as nginx.conf writes them, the policy that admit
 * checks, and the question that seeds a counter (docs/wire.md, 5 and 13).
 * Owns nothing.
 */

#ifndef AI_LIMIT_H
#define AI_LIMIT_H

#include "ai_str.h"

#define AI_LIMIT_LINES         24       /* of a policy */
#define AI_LIMIT_LINE_MAX      128      /* bytes of a limit in a policy */
#define AI_LIMIT_TEXT_MAX      64       /* what ai_limit_say writes */
#define AI_LIMIT_SEED_MAX      8192     /* a question */

/* What a limit counts; the letter of its counters. */
#define AI_LIMIT_REQUESTS     'r'
#define AI_LIMIT_TOKENS       't'
#define AI_LIMIT_CONCURRENCY  'c'
#define AI_LIMIT_BUDGET       'b'

typedef enum {
    AI_LEVEL_TENANT = 0,
    AI_LEVEL_USER,
    AI_LEVEL_KEY,
    AI_LEVEL_MODEL,
    AI_LEVEL_ENDPOINT,
    AI_LEVEL_ADDRESS
} ai_level_e;

typedef struct {
    ai_level_e level;
    char       kind;
    char       window;          /* s m h d M; '-' of a concurrency */
    int64_t    max;             /* requests, tokens, jobs, nano-USD */
} ai_limit_t;

/* What a request will take, as far as it is known before. */
typedef struct {
    int64_t    input;           /* tokens */
    int64_t    output;          /* -1: what was usual lately */
    int64_t    cost;            /* of the input, nano-USD */
    int64_t    price;           /* of a million output tokens, nano-USD */
    ai_str_t   name;            /* of what is usual; empty: none */
} ai_limit_want_t;

/* 0 and *level, or -1. */
int ai_level_parse(ai_str_t text, ai_level_e *level);
const char *ai_level_name(ai_level_e level);

/*
 * A rate of l->kind, "60/m", "4" (concurrency) or "5usd/month" (budget), into
 * l->max and l->window: 0; -1, and l is as it was, for anything else, for 0,
 * and for more than a counter can count exactly.
 */
int ai_limit_parse(ai_limit_t *l, ai_str_t text);
/* "tenant limit of 60 requests per minute", at most AI_LIMIT_TEXT_MAX. */
void ai_limit_say(ai_buf_t *b, const ai_limit_t *l);
/* Seconds of its window; 0 of a concurrency; a month has 30 days. */
int64_t ai_limit_seconds(const ai_limit_t *l);

/* Appends what a policy begins with, and a limit; value is whom it limits
 * (nothing for the tenant).  At most AI_LIMIT_LINE_MAX bytes each. */
void ai_limit_head(ai_buf_t *b, const ai_limit_want_t *want);
void ai_limit_line(ai_buf_t *b, const ai_limit_t *l, int dry, ai_str_t value);

/* One pair of an answer's limits from *text, which moves on: 1; 0 at the end,
 * or at what is none.  reset is -1 where there is none. */
int ai_limit_next(ai_str_t *text, int64_t *remaining, int64_t *reset);

/*
 * A question is a record: tenant, and of each counter `counter`, as admit
 * names it, then `value`, whom it is of.  Appends one counter.
 */
void ai_limit_seed(ai_buf_t *b, const ai_limit_t *l, ai_str_t value);
/* Takes a counter's name apart: 0, or -1 where it cannot be seeded. */
int ai_limit_counter(ai_str_t counter, char *kind, char *window,
    ai_level_e *level);

#endif
