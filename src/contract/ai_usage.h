/*
 * Usage of a job or of one provider call, the usage line (docs/wire.md, 2),
 * and money as text.  Strings borrow from the line that was parsed.
 */

#ifndef AI_USAGE_H
#define AI_USAGE_H

#include "ai_str.h"

#define AI_USAGE_LINE_MAX   1280    /* a line that ai_usage_write makes */
#define AI_USAGE_VALUE_MAX  128

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
    int64_t  cached_write_1h;   /* tokens, of cached_write */
    int64_t  audio_input;       /* of input */
    int64_t  audio_output;      /* of output */
    int64_t  image_input;
    int64_t  image_output;
    int64_t  own_key;           /* 1: of the tenant's own, who is billed */
} ai_usage_t;

/* All unknown: strings empty, numbers -1. */
void ai_usage_init(ai_usage_t *u);
/*
 * Appends the columns, no newline: at most AI_USAGE_LINE_MAX bytes.  Empty
 * strings and negative numbers as "-"; of those behind cause, which are all
 * numbers, as many as are known.  In values, control characters are
 * written as spaces and bytes that are no UTF-8 as "?", and a value is cut
 * before the character that would pass AI_USAGE_VALUE_MAX.
 */
void ai_usage_write(ai_buf_t *b, const ai_usage_t *u);
/*
 * Reads one line; a newline at its end is skipped.  More columns than known
 * are skipped, fewer are unknown; an empty column is unknown, too.  0, or -1
 * and *u is not to be used: a control character, or no number where one
 * stands.
 */
int ai_usage_parse(ai_str_t line, ai_usage_t *u);

/*
 * USD in decimal ("2.50": digits, then perhaps "." and 1 to 9 digits, no sign)
 * to nano-USD: 0; -1 and *nano untouched for anything else, or past INT64_MAX.
 */
int ai_money_parse(ai_str_t s, int64_t *nano);
/*
 * Nano-USD as USD, the shortest exact decimal ("2.5", "0.000000001", "-3"),
 * with a zero byte behind: the length without it, 0 where it does not fit (24
 * bytes always do).
 */
size_t ai_money_print(char *buf, size_t size, int64_t nano);

#endif
