/*
 * What the files of Google's generateContent share: requests out
 * (dialect_gemini_write.c, its parts in dialect_gemini_part.c, its settings in
 * dialect_gemini_config.c), a provider's answers (dialect_gemini_answer.c, what
 * stands beside their text in dialect_gemini_cite.c, usage and errors in
 * dialect_gemini_usage.c), the tables (dialect_gemini.c).  No client speaks it.
 */

#ifndef DIALECT_GEMINI_H
#define DIALECT_GEMINI_H

#include "ir.h"

/* What a candidate has said so far; part is one more than its number. */
typedef struct {
    unsigned     part;          /* the open one, 0: none */
    ir_kind_e    kind;
    ir_finish_e  finish;        /* is told at the end */
    ai_str_t     native;
    ai_str_t     sign;          /* of its text, told behind what is cited */
} gemini_candidate_t;

typedef struct {
    unsigned             calls; /* ids that were made */
    unsigned             n;     /* candidates seen */
    size_t               steps; /* of looking for what is cited */
    gemini_candidate_t  *candidates[IR_CHOICES_MAX];
} gemini_reader_t;

/* A request's contents while they are written. */
typedef struct {
    ir_t      *ir;
    out_t     *o;
    char       role;            /* of the open content: 'u'ser, 'm'odel, 't'ool;
                                 * 0: none is open */
    size_t     mark;            /* where it begins */
    size_t     empty;           /* its length without a part */
    out_t      later;           /* parts of results: the user's, behind them */
    node_t    *sign;            /* a signature, of the next part */
    ir_calls_t calls;           /* before it */
    unsigned   signed_:1;       /* the content has a call */
} gemini_contents_t;

/* For provider_t's of other methods, whose path is ":method". */
int gemini_place_path(ai_buf_t *b, const provider_place_t *p);
int vertex_place_path(ai_buf_t *b, const provider_place_t *p);
int gemini_write_request(ir_t *ir, out_t *o);
/* A part of an open content; what has no place there stays unread. */
void gemini_part(gemini_contents_t *c, node_t *p, int model);
void gemini_tools(ir_t *ir, out_t *o);
void gemini_config(ir_t *ir, out_t *o);
void gemini_tier(ir_t *ir, out_t *o);
/* Ten times its version, 35 for what is newer or not said. */
int gemini_version(ai_str_t model);
/* Vertex, which has members that the other has not, and has not all of its. */
int gemini_is_vertex(const ir_t *ir);

int gemini_read_answer(ir_t *ir, node_t *body);
int gemini_read_event(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text);
int gemini_read_end(ir_t *ir);
void gemini_read_error(ir_t *ir, node_t *body);
/* A report of what it cost so far, NULL: none. */
int gemini_usage(ir_t *ir, tree_t *t, node_t *usage);

/* Citations of a candidate's text: all of those of its index-th part, or where
 * index is -1, of any part; chars of the text stand before it.  text: of the
 * part, empty where it is not known.  Returns those that were told, or -1. */
int gemini_cite(ir_t *ir, tree_t *t, node_t *candidate, unsigned choice,
    unsigned part, int index, ai_str_t text, size_t chars);
/* Marks them as read. */
void gemini_cited(ir_t *ir, tree_t *t, node_t *candidate);
size_t gemini_chars(ai_str_t escaped, size_t bytes);
int gemini_logprobs(ir_t *ir, tree_t *t, node_t *candidate, unsigned choice);

#endif
