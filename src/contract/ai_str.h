/*
 * Spans of bytes and a bounded output buffer: what every codec here reads
 * from and writes to.  A span never owns its bytes; a buffer writes into
 * memory its maker owns.
 */

#ifndef AI_STR_H
#define AI_STR_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t      len;
    const char *data;
} ai_str_t;

#define ai_str(lit)  ((ai_str_t) { sizeof(lit) - 1, (lit) })

/*
 * Bytes between start and pos are written; a write that would pass end
 * writes nothing and sets full, which stays set.
 */
typedef struct {
    char    *start;
    char    *pos;
    char    *end;
    unsigned full:1;
} ai_buf_t;

void ai_buf_init(ai_buf_t *b, char *mem, size_t size);
void ai_buf_add(ai_buf_t *b, const void *data, size_t len);
void ai_buf_add_str(ai_buf_t *b, ai_str_t s);
void ai_buf_add_z(ai_buf_t *b, const char *z);
void ai_buf_add_int(ai_buf_t *b, int64_t n);
/* s as the inside of a JSON string: escapes, invalid UTF-8 as U+FFFD. */
void ai_buf_add_json(ai_buf_t *b, ai_str_t s);
#define ai_buf_len(b)  ((size_t) ((b)->pos - (b)->start))

int ai_str_eq(ai_str_t a, ai_str_t b);
int ai_str_eqz(ai_str_t a, const char *z);
/* A whole decimal, "-" or digits, no overflow: 0 and *n set, or -1. */
int ai_str_int(ai_str_t s, int64_t *n);

#endif
