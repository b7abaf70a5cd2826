/*
 * Errors: every cause with its status and how each dialect words it
 * (docs/wire.md, 10).  Constant tables.
 */

#ifndef AI_ERROR_H
#define AI_ERROR_H

#include "ai_str.h"

typedef struct {
    const char *cause;
    int         status;
    const char *openai_type;
    const char *openai_code;        /* NULL: null */
    const char *anthropic_type;
    const char *message;            /* for people, where nobody knows more */
    unsigned    retry_after;        /* seconds, 0: none */
    unsigned    no_retry:1;         /* x-should-retry: false */
} ai_error_t;

/* NULL if unknown. */
const ai_error_t *ai_error_find(ai_str_t cause);
/* For errors nginx itself makes: the row of a status; never NULL. */
const ai_error_t *ai_error_status(int status);
/* i-th row, NULL past the last. */
const ai_error_t *ai_error_row(unsigned i);

typedef enum {
    AI_DIALECT_OPENAI = 0,
    AI_DIALECT_ANTHROPIC,
    AI_DIALECT_LAST
} ai_dialect_e;

int ai_dialect_find(ai_str_t name);         /* -1 if unknown */
const char *ai_dialect_name(ai_dialect_e d);

/* The JSON body of an error; message empty: the table's; request_id may be
 * empty. */
void ai_error_body(ai_buf_t *b, ai_dialect_e d, const ai_error_t *e,
    ai_str_t message, ai_str_t request_id);
/* The same as the event that ends a stream in this dialect. */
void ai_error_event(ai_buf_t *b, ai_dialect_e d, const ai_error_t *e,
    ai_str_t message, ai_str_t request_id);

#endif
