/*
 * What the files of Cohere's dialect share: requests out
 * (dialect_cohere_write.c) with their messages (dialect_cohere_message.c),
 * answers and the tables (dialect_cohere.c).
 */

#ifndef DIALECT_COHERE_H
#define DIALECT_COHERE_H

#include "ir.h"

#define COHERE_NAMES_MAX  1024      /* of the tools that are allowed */

int cohere_write_request(ir_t *ir, out_t *out);
void cohere_read_error(ir_t *ir, node_t *body);

void cohere_messages(ir_t *ir, out_t *out);
/* own: what of the client's body only Cohere has, or NULL. */
void cohere_documents(ir_t *ir, out_t *out, node_t *own);

#endif
