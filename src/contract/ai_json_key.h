/*
 * The top-level keys of a scan (ai_json.h), for ai_json.c alone: unescaped,
 * hashed and compared as they are read.  All state lies in the scan.
 */

#ifndef AI_JSON_KEY_H
#define AI_JSON_KEY_H

#include "ai_json.h"

/* Once a scan, before the first key. */
void ai_json_key_seed(ai_json_t *j);
/* A key begins; its text then comes in pieces: bytes (of a character, too),
 * and units for \uXXXX, a character or half of one above U+FFFF. */
void ai_json_key_begin(ai_json_t *j);
void ai_json_key_bytes(ai_json_t *j, const void *data, size_t len);
void ai_json_key_unit(ai_json_t *j, uint32_t unit);
/* It is complete, and j->current the field it names, if any: AI_JSON_MORE,
 * AI_JSON_EDUPLICATE or AI_JSON_EKEYS. */
int ai_json_key_end(ai_json_t *j);

#endif
