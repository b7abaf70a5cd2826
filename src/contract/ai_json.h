/*
 * An incremental JSON scanner: checks syntax (RFC 8259), UTF-8, depth, size
 * and duplicate top-level keys while bytes arrive in pieces, and remembers
 * where the top-level members stand that its caller asked for.  No tree, no
 * allocation; the caller owns the struct and keeps the bytes.
 *
 * What it says does not depend on how the bytes were cut.  The text is one
 * object with white space around it; a byte order mark, bytes behind the
 * object, raw control characters in strings and invalid UTF-8 are errors.  A
 * lone surrogate as \uXXXX is syntax (RFC 8259, 8.2) and passes.
 *
 * Keys are compared by their text: "model" and "mod\u0065l" are the same.
 * What is kept of each is SipHash-1-3 under a random key of this scan, so that
 * nobody can make a body whose different keys collide; by chance two of 256
 * keys do in one of 10^14 bodies, which is then refused as EDUPLICATE.
 */

#ifndef AI_JSON_H
#define AI_JSON_H

#include "ai_sip.h"

#define AI_JSON_DEPTH_MAX   512
#define AI_JSON_FIELDS_MAX  16
#define AI_JSON_KEYS_MAX    256     /* top-level keys; more is an error */
#define AI_JSON_NAME_MAX    63      /* a longer key cannot be asked for */

typedef enum {
    AI_JSON_NONE = 0,
    AI_JSON_STRING,
    AI_JSON_NUMBER,
    AI_JSON_TRUE,
    AI_JSON_FALSE,
    AI_JSON_NULL,
    AI_JSON_OBJECT,
    AI_JSON_ARRAY
} ai_json_type_e;

typedef enum {
    AI_JSON_OK = 0,
    AI_JSON_MORE = 1,           /* not ended yet */
    AI_JSON_ESYNTAX = -1,
    AI_JSON_EDEPTH = -2,
    AI_JSON_ESIZE = -3,
    AI_JSON_EDUPLICATE = -4,
    AI_JSON_EUTF8 = -5,
    AI_JSON_EKEYS = -6,
    AI_JSON_ETYPE = -7          /* top level is not an object */
} ai_json_status_e;

/* All zero where the member is absent. */
typedef struct {
    ai_json_type_e type;
    uint64_t       member;      /* offset of the key's opening quote */
    uint64_t       start;       /* offset of the value's first byte */
    uint64_t       end;         /* behind its last; strings: with quotes */
} ai_json_field_t;

/*
 * A complete struct so that it can be embedded.  Callers read fields, offset
 * and error_at; the rest is ai_json.c's.
 */
typedef struct {
    const char *const *names;   /* AI_JSON_FIELDS_MAX at most, then NULL */
    ai_json_field_t    fields[AI_JSON_FIELDS_MAX];  /* in the order of names */
    uint64_t           offset;  /* bytes looked at */
    uint64_t           max;     /* bytes allowed */
    uint64_t           error_at;    /* offset of what is wrong */
    uint64_t           keys[AI_JSON_KEYS_MAX];  /* hashes of top-level keys */
    uint32_t           nkeys;
    uint8_t            stack[(AI_JSON_DEPTH_MAX + 7) / 8];  /* 1: an object */
    uint32_t           depth;
    uint32_t           depth_max;
    uint64_t           seed[2];
    ai_sip_t           sip;         /* of the top-level key being read */
    uint64_t           key_at;
    uint32_t           state;
    uint32_t           string;      /* value, key, top-level key */
    uint32_t           sub;         /* place in an escape or a literal */
    uint32_t           codepoint;   /* of an escape so far */
    uint32_t           surrogate;   /* high one that waits for its low one */
    uint32_t           literal;
    uint8_t            low;         /* bounds of the next UTF-8 byte */
    uint8_t            high;
    int32_t            current;     /* field whose value is read, or -1 */
    int32_t            status;
    char               key[AI_JSON_NAME_MAX + 1];
    uint32_t           key_len;
} ai_json_t;

/*
 * Begins a text of at most max bytes and depth_max levels (the object is the
 * first; 0 or above AI_JSON_DEPTH_MAX means AI_JSON_DEPTH_MAX).  names: the
 * top-level members to remember, constant memory that outlives j; NULL: none.
 */
void ai_json_init(ai_json_t *j, const char *const *names, uint64_t max,
    unsigned depth_max);
/*
 * Feeds the next piece: AI_JSON_MORE, also when the object is complete (white
 * space may follow), or an error, which stays.  Time is linear in len.
 */
int ai_json_feed(ai_json_t *j, const char *data, size_t len);
/* No more will come: AI_JSON_OK or an error.  A later feed is ESYNTAX. */
int ai_json_end(ai_json_t *j);
/* Feed and end of a whole text: AI_JSON_OK or an error. */
int ai_json_scan(ai_json_t *j, const char *const *names, ai_str_t text,
    uint64_t max, unsigned depth_max);
/* What a status means, for people; no internals in it.  In ai_json_text.c, as
 * all below. */
const char *ai_json_strerror(int status);

/*
 * The text of a JSON string (with quotes) unescaped into buf, no zero byte:
 * its length; -1 if quoted is no string or buf is too small (quoted.len bytes
 * are always enough).  A lone surrogate becomes U+FFFD; \u0000 a zero byte.
 * UTF-8 is not checked.
 */
long ai_json_unescape(ai_str_t quoted, char *buf, size_t size);
/* A whole JSON number as integer, fractions cut towards zero, exponents
 * applied: 0, or -1 and *n untouched where it is none or outside of int64_t. */
int ai_json_int(ai_str_t number, int64_t *n);

/*
 * Path look-up in a valid text, for small answers: "usage.prompt_tokens",
 * array indices as numbers ("choices.0.finish_reason").  1 and the value's
 * bytes (strings with quotes), 0 where there is none.  The text may be any
 * JSON value; of equal keys the first counts; a key with a dot in it, or of
 * more than AI_JSON_NAME_MAX bytes, cannot be asked for.  An invalid text gives
 * 0 or some part of it, never a read outside.
 */
int ai_json_path(ai_str_t text, const char *path, ai_str_t *value,
    ai_json_type_e *type);
/*
 * The elements of an array one after the other, of a text as above: *at is 0
 * at first and the walk's own afterwards.  1 and the element, 0 at the end.
 */
int ai_json_each(ai_str_t array, size_t *at, ai_str_t *value,
    ai_json_type_e *type);

#endif
