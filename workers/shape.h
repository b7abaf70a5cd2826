/*
 * An answer in another shape: the object that a stream tells piece by piece,
 * the stream that tells an object, a stream with or without its usage.  One
 * table a dialect; each answers NULL rather than leave out what it does not
 * know.  Owns nothing; for any thread.
 */

#ifndef SHAPE_H
#define SHAPE_H

#include <jansson.h>

#include "provider.h"

#define SHAPE_INDEX_MAX  1024       /* choices, blocks, tool calls */

/* What is returned is malloc'ed, *len long. */
typedef struct {
    /* raw: whole SSE events. */
    char *(*object)(ai_str_t raw, size_t *len);
    /* usage: with it, where the dialect asks. */
    char *(*stream)(ai_str_t object, int usage, size_t *len);
    /* A stream told with usage into one without, or NULL: there is one kind
     * only. */
    char *(*without)(ai_str_t raw, size_t *len);
    /* And back, by the events that the client was not given. */
    char *(*with)(ai_str_t raw, ai_str_t dropped, size_t *len);
} shape_t;

/* NULL where there is none. */
const shape_t *shape_of(ai_dialect_e dialect);

/* For dialects. */

typedef struct {
    char   *data;
    size_t  len;
    size_t  size;
    int     failed;
} shape_buf_t;

void shape_add(shape_buf_t *b, ai_str_t s);
/* "event: ", where there is a name, and "data: " with the value. */
void shape_add_event(shape_buf_t *b, const char *event, const json_t *value);
/* The bytes, which are the caller's; NULL where something has failed. */
char *shape_end(shape_buf_t *b, size_t *len);
/* The next event of raw, which moves on: 1 and the JSON of its data (NULL for
 * "[DONE]" and for a comment), 0 at the end, -1 what is none.  The caller
 * json_decref()s. */
int shape_next(ai_str_t *raw, json_t **value);
/* Appends text to the string of that name, made where there is none: 0, or -1
 * where something else has that name. */
int shape_append(json_t *object, const char *name, const json_t *text);
/* Whether each member that says something, so is neither null nor an empty
 * list, is in names: 1 or 0. */
int shape_known(const json_t *object, const char *const *names);
json_t *shape_load(ai_str_t text);
char *shape_dump(const json_t *value, size_t *len);

extern const shape_t  shape_openai;
extern const shape_t  shape_anthropic;

#endif
