/*
 * What the files of Ollama's dialect share: requests out
 * (dialect_ollama_write.c), answers and the tables (dialect_ollama.c).
 */

#ifndef DIALECT_OLLAMA_H
#define DIALECT_OLLAMA_H

#include "ir.h"

#define OLLAMA_CALLS_MAX  256      /* of a turn, of which a result may be */

int ollama_write_request(ir_t *ir, out_t *out);
void ollama_read_error(ir_t *ir, node_t *body);

#endif
