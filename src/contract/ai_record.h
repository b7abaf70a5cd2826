/*
 * Records (docs/wire.md, 2): "<name> <length>\n<bytes>\n" one behind the
 * other.  A reader borrows the record's bytes; a writer fills an ai_buf_t.
 */

#ifndef AI_RECORD_H
#define AI_RECORD_H

#include "ai_str.h"

#define AI_RECORD_MAX       (256 * 1024)
#define AI_RECORD_NAME_MAX  32

/*
 * Appends a field; name is zero-terminated, [a-z0-9_]{1,32}.  A name or a
 * value that no reader would take sets b->full and writes nothing.
 */
void ai_record_add(ai_buf_t *b, const char *name, ai_str_t value);
/* The same with n in decimal. */
void ai_record_add_int(ai_buf_t *b, const char *name, int64_t n);

/*
 * Next field from *rest, which moves on: 1; 0 at the end; -1 if what follows
 * is no field or *rest is over AI_RECORD_MAX, and *rest stays.  Begin with
 * *rest as the whole record.
 */
int ai_record_next(ai_str_t *rest, ai_str_t *name, ai_str_t *value);
/*
 * First field of that name: 1; 0 where there is none; -1 if the record is
 * malformed before it.  What stands behind the field is not looked at.
 */
int ai_record_get(ai_str_t record, const char *name, ai_str_t *value);

#endif
