/*
 * A provider's models, as a worker found them (docs/wire.md, 7): the text that
 * lies in Redis, and what is read out of it.
 */

#ifndef AI_MODELS_H
#define AI_MODELS_H

#include "ai_price.h"

#define AI_MODELS_MAX       4096        /* of a list */
#define AI_MODELS_TEXT_MAX  (512 * 1024)
#define AI_MODELS_ID_MAX    256         /* bytes of a name */
#define AI_MODELS_ROW_MAX   (AI_MODELS_ID_MAX + 20 * (AI_PRICE_KINDS + 2) + 1)
#define AI_MODELS_HEAD      74          /* bytes of the first line */
#define AI_MODELS_TOKENS_MAX  1000000000LL

typedef struct {
    ai_str_t  id;
    int64_t   context;          /* tokens, -1 where unknown, as all below */
    int64_t   output;           /* of the longest answer */
    int64_t   of[AI_PRICE_KINDS];   /* as in ai_price_tier_t */
} ai_models_row_t;

typedef struct {
    unsigned         n;
    ai_models_row_t *rows;      /* ids rise */
} ai_models_t;

/* All unknown. */
void ai_models_init(ai_models_row_t *row);
/* Whether a name can be one. */
int ai_models_id_ok(ai_str_t id);
/* Appends a row, at most AI_MODELS_ROW_MAX bytes.  Rows must rise by id. */
void ai_models_add(ai_buf_t *b, const ai_models_row_t *row);
/* The first line of a text, of AI_MODELS_HEAD bytes, which names the rows
 * behind it: 0, or -1 where OpenSSL fails. */
int ai_models_head(char *line, ai_str_t rows);

/* A text: NULL where it is none, or there is no memory.  ai_models_free. */
ai_models_t *ai_models_parse(ai_str_t text);
void ai_models_free(ai_models_t *m);
/* NULL: it has none of this name. */
const ai_models_row_t *ai_models_find(const ai_models_t *m, ai_str_t id);
/* Its price, which may be unknown. */
void ai_models_price(const ai_models_row_t *row, ai_price_t *price);

#endif
