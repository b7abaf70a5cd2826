/*
 * A reader of server-sent events (WHATWG HTML, 9.2): cuts a byte stream into
 * whole events with their bytes untouched, whatever the pieces it comes in
 * and whichever line ends it uses.  Owns one growing buffer, bounded.
 *
 * An event is its lines and the blank line that ends it.  Blank lines before
 * its first line, and a byte order mark at the start of the stream, belong to
 * it.  A comment with a blank line behind is an event too, without data.  All
 * events and the rest, one behind the other, are the bytes that were fed.
 *
 * Where an event ends does not depend on the pieces.  A blank line that ends
 * in CR waits for the byte behind, an LF being part of it, unless the line end
 * before was a bare CR: such a stream ends lines by CR alone, and waiting would
 * hold an event back.  Should an LF follow all the same, it goes to the front
 * of the next event, where it means nothing.
 */

#ifndef AI_SSE_H
#define AI_SSE_H

#include "ai_str.h"

#define AI_SSE_EVENT_MAX  (16 * 1024 * 1024)

/* Where a scan of the stream is; ai_sse.c's. */
typedef struct {
    size_t   at;                /* bytes of buf looked at */
    size_t   start;             /* of the event that is being read */
    unsigned state;
    unsigned bom;               /* bytes of a byte order mark seen */
    unsigned content:1;         /* the event has a line that is not blank */
} ai_sse_scan_t;

typedef struct {
    char          *buf;
    size_t         len;
    size_t         size;
    size_t         max;
    ai_sse_scan_t  checked;     /* whole events, none over max */
    ai_sse_scan_t  taken;       /* what ai_sse_next has given */
    int            failed;
} ai_sse_t;

/* Begins a stream; an event may have max bytes, or AI_SSE_EVENT_MAX where max
 * is 0.  Allocates nothing. */
void ai_sse_init(ai_sse_t *s, size_t max);
/* Frees the buffer; s may be begun again. */
void ai_sse_free(ai_sse_t *s);
/*
 * Takes bytes in, copies them: 0; -1 no memory; -2 an event over max.  An
 * error stays: the stream cannot be read any further.  Call ai_sse_next until
 * it says 0 before the next feed; a caller who lets more than max bytes
 * pile up gets -2.  So the buffer is never over max and one piece, twice.
 */
int ai_sse_feed(ai_sse_t *s, const char *data, size_t len);
/*
 * Next whole event, its blank line included, valid until the next feed: 1 or
 * 0.  Events that were complete before an error are still given.
 */
int ai_sse_next(ai_sse_t *s, ai_str_t *raw);
/* Frees the buffer where nothing is left in it, between two feeds; the stream
 * goes on.  For one that has little to say. */
void ai_sse_trim(ai_sse_t *s);
/* What is left at the end of the stream (no blank line behind it), valid until
 * the next feed: 1 or 0.  Gives it once; 0 after an error. */
int ai_sse_rest(ai_sse_t *s, ai_str_t *raw);

/*
 * Fields of one raw event.  event: the value of the last event line, empty
 * where there is none.  data: the value, where there is one data line; for
 * several, joined by "\n" in the caller's buffer (raw.len bytes are always
 * enough).  Comments, id, retry and what is unknown are skipped.  Returns -1
 * if the buffer is too small, else the number of data lines.
 */
int ai_sse_fields(ai_str_t raw, ai_str_t *event, ai_str_t *data, char *buf,
    size_t size);

#endif
