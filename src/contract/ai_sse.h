/*
 * A reader of server-sent events (WHATWG HTML, 9.2): cuts a byte stream into
 * whole events with their bytes untouched, whatever the pieces it comes in
 * and whichever line ends it uses.  Owns one growing buffer, bounded.
 */

#ifndef AI_SSE_H
#define AI_SSE_H

#include "ai_str.h"

#define AI_SSE_EVENT_MAX  (16 * 1024 * 1024)

typedef struct {
    char    *buf;
    size_t   len;
    size_t   size;
    size_t   start;             /* of the event that is being read */
    size_t   scan;              /* bytes looked at so far */
    size_t   max;
    unsigned state;
} ai_sse_t;

void ai_sse_init(ai_sse_t *s, size_t max);
void ai_sse_free(ai_sse_t *s);
/* Takes bytes in: 0, -1 no memory, -2 an event over max. */
int ai_sse_feed(ai_sse_t *s, const char *data, size_t len);
/* Next whole event, its blank line included, valid until the next feed: 1 or
 * 0. */
int ai_sse_next(ai_sse_t *s, ai_str_t *raw);
/* What is left at the end of the stream (no blank line behind it): 1 or 0. */
int ai_sse_rest(ai_sse_t *s, ai_str_t *raw);

/*
 * Fields of one raw event.  data: the value, where there is one data line; for
 * several, joined by "\n" in the caller's buffer.  Returns -1 if the buffer is
 * too small, else the number of data lines.
 */
int ai_sse_fields(ai_str_t raw, ai_str_t *event, ai_str_t *data, char *buf,
    size_t size);

#endif
