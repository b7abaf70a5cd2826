/*
 * What the files of OpenAI's dialect share: requests in
 * (dialect_openai_read.c), requests out (dialect_openai_write.c), a provider's
 * answers and the table (dialect_openai_answer.c), a client's answers
 * (dialect_openai_answer_write.c).
 */

#ifndef DIALECT_OPENAI_H
#define DIALECT_OPENAI_H

#include "ir.h"

/* reasoning_details' word for a format, and ours: the dialect's that has it. */
typedef struct {
    const char *said;
    const char *format;
} openai_format_t;

extern const openai_format_t  openai_formats[];

#define OPENAI_WRITER_SIZE  (2048)

int openai_read_request(ir_t *ir, node_t *body);
int openai_write_request(ir_t *ir, out_t *out);
int openai_write_answer(ir_t *ir, const ir_answer_t *a, out_t *out);
int openai_write_event(ir_t *ir, const ir_event_t *e, out_t *out);
int openai_write_error(ir_t *ir, const ir_error_t *e, out_t *out);

node_t *openai_format_in(tree_t *t, const node_t *format);
ai_str_t openai_call_id(tree_t *t, ai_str_t name);
void openai_default(tree_t *t, node_t *n, const char *name,
    ai_json_type_e type);

#endif
