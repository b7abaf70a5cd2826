/*
 * What the files of Anthropic's dialect share: requests in
 * (dialect_anthropic_read.c), requests out (dialect_anthropic_write.c, with
 * their messages: dialect_anthropic_messages_write.c), a provider's answers and
 * the table (dialect_anthropic_answer.c), a client's answers
 * (dialect_anthropic_answer_write.c).
 */

#ifndef DIALECT_ANTHROPIC_H
#define DIALECT_ANTHROPIC_H

#include "ir.h"

#define ANTHROPIC_WRITER_SIZE  4096

/*
 * Reasoning that another provider signed comes back from a client with its
 * signature alone, so that says whose it is: "ai:<dialect>:" before it.
 */
#define ANTHROPIC_TAG  "ai:"

/* As provider_t's. */
int anthropic_provider_request(const provider_request_t *req, char **out,
    size_t *len, int *added);
provider_verdict_e anthropic_provider_event(provider_usage_t *u,
    ai_str_t raw, int added, provider_cut_t *cut);
void anthropic_provider_body(provider_usage_t *u, ai_str_t body);

int anthropic_read_request(ir_t *ir, node_t *body);
int anthropic_write_request(ir_t *ir, out_t *out);
int anthropic_write_answer(ir_t *ir, const ir_answer_t *a, out_t *out);
int anthropic_write_event(ir_t *ir, const ir_event_t *e, out_t *out);
int anthropic_write_error(ir_t *ir, const ir_error_t *e, out_t *out);

/* Members of a request: with their key where there is something to say. */
void anthropic_write_system(ir_t *ir, out_t *o);
void anthropic_write_messages(ir_t *ir, out_t *o);
void anthropic_write_marker(ir_t *ir, out_t *o, node_t *from);

/* Of models, whoever serves them: what a request's reasoning is (text of the
 * value, empty: there can be none; its budget, 0: none; its effort or NULL),
 * which is read and noted by it. */
int64_t anthropic_write_thinking(ir_t *ir, out_t *thinking,
    const char **effort);
/* 405 is 4.5; 0: it is another's, or says none. */
unsigned anthropic_generation(ai_str_t model);

/* The generation that takes structured output, and the first that takes no
 * temperature. */
#define ANTHROPIC_STRUCTURED   405
#define ANTHROPIC_NO_SAMPLING  407

#endif
