/*
 * What the files of Anthropic's dialect share: requests in
 * (dialect_anthropic_read.c), requests out (dialect_anthropic_write.c, with
 * their messages: dialect_anthropic_messages_write.c), a provider's answers and
 * the table (dialect_anthropic_answer.c), a client's answers
 * (dialect_anthropic_answer_write.c, with their calls:
 * dialect_anthropic_calls.c), citations of both (dialect_anthropic_cite.c).
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

/*
 * The calls of a stream to a client (dialect_anthropic_calls.c), of which one
 * at a time is open: as zeros at first.  0, or -1: no memory, a bound.
 */
typedef struct anthropic_call_s  anthropic_call_t;

typedef struct {
    anthropic_call_t *first;    /* is open, the others wait */
    anthropic_call_t *last;
} anthropic_calls_t;

int anthropic_call_begin(ir_t *ir, anthropic_calls_t *q, const ir_event_t *e,
    int block, out_t *o);
int anthropic_call_delta(ir_t *ir, anthropic_calls_t *q, const ir_event_t *e,
    out_t *o);
void anthropic_call_end(anthropic_calls_t *q, const ir_event_t *e, out_t *o);
/* All of them, before what is no call. */
void anthropic_calls_end(anthropic_calls_t *q, out_t *o);
/* An event's begin, up to its type. */
void anthropic_write_type(out_t *o, const char *type);

/* A citation of Anthropic's as the intermediate form has it, which marks all of
 * it; and one of that as Anthropic's: 1, or 0: there is none like it. */
node_t *anthropic_read_citation(tree_t *t, node_t *c);
int anthropic_write_citation(tree_t *t, out_t *o, node_t *c);

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
