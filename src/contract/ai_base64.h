/*
 * base64url without padding (RFC 4648, 5; RFC 7515, 2), read strictly: one
 * text has one meaning and one meaning one text.  Owns nothing.
 */

#ifndef AI_BASE64_H
#define AI_BASE64_H

#include "ai_str.h"

/* Bytes that len characters are at most. */
#define ai_base64url_size(len)  ((len) / 4 * 3 + 2)

/*
 * Decodes s into out[ai_base64url_size(s.len)]: the bytes written, or -1:
 * padding, white space, a character of another alphabet, a length that none
 * has, or bits behind the last byte that are not zero.
 */
long ai_base64url(ai_str_t s, void *out);

#endif
