/*
 * What the files of Cohere's dialect share: requests out
 * (dialect_cohere_write.c), answers and the tables (dialect_cohere.c).
 */

#ifndef DIALECT_COHERE_H
#define DIALECT_COHERE_H

#include "ir.h"

#define COHERE_NAMES_MAX  1024      /* of the tools that are allowed */

int cohere_write_request(ir_t *ir, out_t *out);

#endif
