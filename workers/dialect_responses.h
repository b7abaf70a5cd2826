/*
 * What the files of OpenAI's Responses share: requests in
 * (dialect_responses_read.c), requests out (dialect_responses_write.c), a
 * provider's answers and the tables (dialect_responses.c), a client's answers
 * (dialect_responses_answer.c).
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

#endif
