/*
 * Spans of bytes and a bounded output buffer: what every codec here reads
 * from and writes to.  A span never owns its bytes; a buffer writes into
 * memory its maker owns.  Nothing here allocates, nothing adds a zero byte.
 */

#ifndef AI_STR_H
#define AI_STR_H

#include <stddef.h>
#include <stdint.h>

/* data may be NULL where len is 0. */
typedef struct {
    size_t      len;
    const char *data;
} ai_str_t;

/* A span of a string literal, without its zero byte. */
#define ai_str(lit)  ((ai_str_t) { sizeof(lit) - 1, (lit) })

/*
 * Bytes between start and pos are written; a write that would pass end
 * writes nothing and sets full.  full stays set, and so no later write adds
 * anything: what is in a full buffer is a clean prefix.  Test full once, at
 * the end.  Every function of src/contract that writes into a buffer writes
 * all it has or nothing.
 */
typedef struct {
    char    *start;
    char    *pos;
    char    *end;
    unsigned full:1;
} ai_buf_t;

/* An empty buffer over mem[size]; mem must outlive it. */
void ai_buf_init(ai_buf_t *b, char *mem, size_t size);
/* Appends len bytes; data may be NULL where len is 0. */
void ai_buf_add(ai_buf_t *b, const void *data, size_t len);
void ai_buf_add_str(ai_buf_t *b, ai_str_t s);
/* Appends a zero-terminated string without its zero byte. */
void ai_buf_add_z(ai_buf_t *b, const char *z);
/* Appends n in decimal. */
void ai_buf_add_int(ai_buf_t *b, int64_t n);
/*
 * Appends s as the inside of a JSON string (RFC 8259, 7): quote, backslash and
 * control characters escaped, all else as it is.  Each maximal part of s that
 * is no UTF-8 becomes one U+FFFD (Unicode 3.9, as WHATWG's decoder).
 */
void ai_buf_add_json(ai_buf_t *b, ai_str_t s);
/* Bytes written so far. */
#define ai_buf_len(b)  ((size_t) ((b)->pos - (b)->start))

/* 1 if the bytes are the same, else 0. */
int ai_str_eq(ai_str_t a, ai_str_t b);
int ai_str_eqz(ai_str_t a, const char *z);
/*
 * The whole of s as a decimal: an optional "-", then digits (leading zeros
 * are no error).  0 and *n set, or -1 and *n untouched: no number, or outside
 * of int64_t.
 */
int ai_str_int(ai_str_t s, int64_t *n);
/*
 * Bytes of the UTF-8 character (RFC 3629) that begins s: 1 to 4; 0 where none
 * does: s is empty, cut short, overlong, a surrogate or above U+10FFFF.
 */
unsigned ai_str_utf8(ai_str_t s);
/*
 * c (below 0x110000) as UTF-8 into out[4]: the bytes written, 1 to 4.  A
 * surrogate is spelled by the same rule, which no reader will accept.
 */
size_t ai_str_utf8_put(char *out, uint32_t c);
/*
 * 1 if s is valid UTF-8 of at most max bytes and has no control character
 * (U+0000 to U+001F, U+007F): fit for a log line, a header, a text column.
 */
int ai_str_text_ok(ai_str_t s, size_t max);

#endif
