/*
 * What dialects of embeddings share: the client's is OpenAI's
 * (dialect_embeddings.c), providers' are Google's, Ollama's and Cohere's
 * (dialect_gemini_embeddings.c, dialect_ollama_embeddings.c,
 * dialect_cohere_embeddings.c).
 */

#ifndef DIALECT_EMBEDDINGS_H
#define DIALECT_EMBEDDINGS_H

#include "ir.h"

#define EMBEDDINGS_MAX  2048    /* inputs of a request */

/* Of a provider that takes texts only: the first one, which are parts, or NULL
 * and it is refused. */
node_t *embeddings_texts(ir_t *ir);
/* Writes the texts of a request as an array: 0, or -1 as embeddings_texts. */
int embeddings_write_texts(ir_t *ir, out_t *out, const char *name);
/* A provider's answer: starts it (model NULL: as was asked); each vector; its
 * end.  0, or -1 as read_answer. */
int embeddings_start(ir_t *ir, node_t *model);
int embeddings_vector(ir_t *ir, node_t *numbers);
int embeddings_end(ir_t *ir, int64_t tokens);
/* A list of vectors and the end. */
int embeddings_read(ir_t *ir, node_t *vectors, int64_t tokens);
/* The read_event of who never streams. */
int embeddings_no_stream(ir_t *ir, ai_str_t name, node_t *data,
    ai_str_t text);

#endif
