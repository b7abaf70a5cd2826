/*
 * Errors: every cause with its status and how each dialect words it
 * (docs/wire.md, 10).  Constant tables: pointers are valid for ever, any
 * thread may call.
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

/* The row of a cause; NULL if unknown. */
const ai_error_t *ai_error_find(ai_str_t cause);
/*
 * The row for an error that nginx itself makes, never NULL.  Its status may
 * differ from the one that was asked for (414 is worded by bad_request): what
 * goes out is the status that nginx chose.
 */
const ai_error_t *ai_error_status(int status);
/* i-th row, in the order of docs/wire.md; NULL past the last. */
const ai_error_t *ai_error_row(unsigned i);

typedef enum {
    AI_DIALECT_OPENAI = 0,
    AI_DIALECT_ANTHROPIC,
    AI_DIALECT_RESPONSES,
    AI_DIALECT_LAST
} ai_dialect_e;

/* A dialect by its name in docs/wire.md (case matters); -1 if unknown. */
int ai_dialect_find(ai_str_t name);
/* Its name; "openai" for what is no dialect. */
const char *ai_dialect_name(ai_dialect_e d);

/*
 * Appends the JSON body of an error, no newline.  message empty: the table's;
 * any bytes are escaped as they must be.  request_id: the job, for Anthropic's
 * shape, left out where empty; OpenAI's has no place for it.
 */
void ai_error_body(ai_buf_t *b, ai_dialect_e d, const ai_error_t *e,
    ai_str_t message, ai_str_t request_id);
/* The same as the server-sent event that ends a stream in this dialect, its
 * blank line included.  number: of the event, for Responses'. */
void ai_error_event(ai_buf_t *b, ai_dialect_e d, const ai_error_t *e,
    ai_str_t message, ai_str_t request_id, int64_t number);

#endif
