/*
 * Usage of a job or of one provider call: the usage line (docs/wire.md, 2)
 * and what it costs.  Strings borrow from the line that was parsed.
 */

#ifndef AI_USAGE_H
#define AI_USAGE_H

#include "ai_str.h"

#define AI_USAGE_LINE_MAX  1024

typedef struct {
    ai_str_t state;             /* done, failed, cancelled */
    int64_t  status;            /* HTTP status of the answer */
    ai_str_t provider;
    ai_str_t model;
    ai_str_t request_id;
    ai_str_t finish;
    int64_t  input;             /* tokens; -1 where unknown, as all below */
    int64_t  output;
    int64_t  cached_read;
    int64_t  cached_write;
    int64_t  reasoning;
    int64_t  cost;              /* nano-USD */
    int64_t  estimated;         /* 0, 1 */
    int64_t  ttft_usec;
    int64_t  duration_usec;
    int64_t  queue_usec;
    int64_t  attempts;
    ai_str_t cause;
} ai_usage_t;

/* All unknown. */
void ai_usage_init(ai_usage_t *u);
/* Tabs and control characters in values are written as spaces, values cut at
 * 128 bytes. */
void ai_usage_write(ai_buf_t *b, const ai_usage_t *u);
/* More columns than known are skipped, fewer are unknown: 0 or -1. */
int ai_usage_parse(ai_str_t line, ai_usage_t *u);

/* Nano-USD per million tokens; -1 where not declared (then: cached as input,
 * reasoning within output). */
typedef struct {
    int64_t input;
    int64_t output;
    int64_t cached;             /* cached input read */
    int64_t cached_write;
    int64_t request;            /* nano-USD per request */
} ai_price_t;

/* "2.50" (USD, at most 9 decimals) to nano-USD: 0 or -1. */
int ai_money_parse(ai_str_t s, int64_t *nano);
size_t ai_money_print(char *buf, size_t size, int64_t nano);
/* Cost in nano-USD, rounded half up once, saturating at INT64_MAX. */
int64_t ai_usage_cost(const ai_usage_t *u, const ai_price_t *p);

#endif
