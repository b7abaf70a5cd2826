/*
 * What the files of OpenAI's Responses share: requests in
 * (dialect_responses_read.c), requests out (dialect_responses_write.c), a
 * provider's answers and the table (dialect_responses_answer.c), a client's as
 * objects (dialect_responses_item.c) and streams (dialect_responses_stream.c).
 * Bytes that pass are dialect_responses.c's.
 */

#ifndef DIALECT_RESPONSES_H
#define DIALECT_RESPONSES_H

#include "ir.h"

/*
 * encrypted_content of reasoning that no provider of Responses made:
 * "ai:<format>:<what>:<text>", what being s (signature of the summary), d (data
 * of reasoning that is all encrypted) or p (signature of what stands before).
 */
#define RESPONSES_TAG  "ai:"

#define RESPONSES_WRITER_SIZE  (2048)

int responses_read_request(ir_t *ir, node_t *body);
int responses_write_request(ir_t *ir, out_t *out);
int responses_write_answer(ir_t *ir, const ir_answer_t *a, out_t *out);
int responses_write_event(ir_t *ir, const ir_event_t *e, out_t *out);
int responses_write_error(ir_t *ir, const ir_error_t *e, out_t *out);

/* Items of a client's answers (dialect_responses_item.c): a response around
 * them, what each of them is, and their parts.  An id is the job's with the
 * item's index; o is the answer, or an event of it. */

void responses_say_head(ir_t *ir, out_t *o, const char *status, ai_str_t model,
    int64_t created);
void responses_say_why(out_t *o, ir_finish_e finish);
/* u NULL: nothing is known. */
void responses_say_tail(out_t *o, const ir_usage_t *u);
const char *responses_status(ir_finish_e finish);
void responses_say_id(ir_t *ir, out_t *o, const char *prefix, unsigned index);
void responses_say_part(out_t *o, ir_kind_e kind, ai_str_t text,
    ai_str_t annotations, ai_str_t logprobs);
void responses_say_message(ir_t *ir, out_t *o, unsigned index, ai_str_t content,
    const char *status);
void responses_say_call(ir_t *ir, out_t *o, unsigned index, ai_str_t id,
    ai_str_t name, ai_str_t arguments, const char *status);
/* what: of RESPONSES_TAG; 0, nothing is encrypted so far. */
void responses_say_reasoning(ir_t *ir, out_t *o, unsigned index, ai_str_t id,
    ai_str_t text, char what, const char *format, ai_str_t sign);
void responses_say_image(ir_t *ir, out_t *o, unsigned index, ai_str_t type,
    ai_str_t data, const char *status);
void responses_say_annotation(out_t *o, ai_str_t url, ai_str_t title,
    int64_t start, int64_t end);
/* Whether a format is this dialect's. */
int responses_own(const char *format);
/* Characters of an escaped text. */
size_t responses_chars(ai_str_t s);
void responses_say_logprobs(tree_t *t, out_t *o, node_t *logprobs);
void responses_say_error(const ir_error_t *e, out_t *o, int type);

#endif
