/*
 * What the files of OpenAI's dialect share: requests in
 * (dialect_openai_read.c), requests out (dialect_openai_write.c), a provider's
 * answers and the table (dialect_openai_answer.c, with what a message has in
 * it: dialect_openai_message.c), a client's answers
 * (dialect_openai_answer_write.c) and streams (dialect_openai_stream_write.c).
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

#define OPENAI_READER_SIZE  2048
#define OPENAI_WRITER_SIZE  2048

/* As provider_t's; of legacy completions, too. */
int openai_request(const provider_request_t *req, char **out, size_t *len,
    int *added);
provider_verdict_e openai_event(provider_usage_t *u, ai_str_t raw, int added,
    provider_cut_t *cut);
void openai_body(provider_usage_t *u, ai_str_t body);

int openai_read_request(ir_t *ir, node_t *body);
int openai_write_request(ir_t *ir, out_t *out);
int openai_write_answer(ir_t *ir, const ir_answer_t *a, out_t *out);
int openai_write_event(ir_t *ir, const ir_event_t *e, out_t *out);
int openai_write_error(ir_t *ir, const ir_error_t *e, out_t *out);

node_t *openai_format_in(tree_t *t, const node_t *format);
void openai_default(tree_t *t, node_t *n, const char *name,
    ai_json_type_e type);

/* A message of a choice, whole or a delta, as events; m NULL: none.  The part
 * that is open ends.  Both 0, or -1 as dialect_t's functions. */
int openai_read_message(ir_t *ir, tree_t *t, unsigned choice, node_t *m);
int openai_read_end(ir_t *ir, unsigned choice);

/* What objects and streams say alike.  openai_format_said is NULL for what has
 * no word there. */
void openai_say_id(out_t *o, ai_str_t id);
const char *openai_say_finish(const ir_t *ir, ir_finish_e finish);
void openai_say_annotation(out_t *o, ai_str_t url, ai_str_t title,
    size_t start, size_t end);
void openai_say_detail(out_t *o, ir_kind_e kind, const char *format,
    ai_str_t id, ai_str_t text, ai_str_t signature, int index);
void openai_say_image(out_t *o, ai_str_t type, ai_str_t text);
void openai_say_usage(out_t *o, const ir_usage_t *u);
const char *openai_format_said(const char *format);
/* Characters of an escaped text. */
size_t openai_chars(ai_str_t s);

#endif
