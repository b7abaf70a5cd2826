/*
 * Which headers pass: one table a dialect, in and out, and what never does
 * (hop-by-hop, RFC 9110 7.6.1; cookies; credentials).  Constant tables.
 */

#ifndef AI_HEADERS_H
#define AI_HEADERS_H

#include "ai_error.h"

#define AI_HEADER_NAME_MAX   64
#define AI_HEADER_VALUE_MAX  8192

/* A client's request header that goes to the provider: 1 or 0. */
int ai_headers_in(ai_dialect_e d, ai_str_t name);
/* A provider's answer header that goes to the client. */
int ai_headers_out(ai_dialect_e d, ai_str_t name);
/* One that no directive may let pass. */
int ai_headers_never(ai_str_t name);
/* Name is a token, value without control characters, both within bounds. */
int ai_headers_valid(ai_str_t name, ai_str_t value);
/* The query arguments of a request that pass, in order, into b. */
void ai_headers_query(ai_buf_t *b, ai_dialect_e d, ai_str_t query);

#endif
