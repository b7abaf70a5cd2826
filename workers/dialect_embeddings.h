/*
 * What dialects of embeddings share: the client's is OpenAI's
 * (dialect_embeddings.c), providers' are Google's
 * (dialect_gemini_embeddings.c).
 */

#ifndef DIALECT_EMBEDDINGS_H
#define DIALECT_EMBEDDINGS_H

#include "ir.h"

#define EMBEDDINGS_MAX  2048    /* inputs of a request */

/* Of a provider that takes texts only: the first one, which are parts, or NULL
 * and it is refused. */
node_t *embeddings_texts(ir_t *ir);
/* A provider's answer: starts it (model NULL: as was asked); each vector; its
 * end.  0, or -1 as read_answer. */
int embeddings_start(ir_t *ir, node_t *model);
int embeddings_vector(ir_t *ir, node_t *numbers);
int embeddings_end(ir_t *ir, int64_t tokens);

#endif
