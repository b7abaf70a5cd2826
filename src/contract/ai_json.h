/*
 * An incremental JSON scanner: checks syntax (RFC 8259), UTF-8, depth, size
 * and duplicate top-level keys while bytes arrive in pieces, and remembers
 * where the top-level members stand that its caller asked for.  No tree, no
 * allocation; the caller owns the struct and keeps the bytes.
 */

#ifndef AI_JSON_H
#define AI_JSON_H

#include "ai_str.h"

#define AI_JSON_DEPTH_MAX   512
#define AI_JSON_FIELDS_MAX  16
#define AI_JSON_KEYS_MAX    256     /* top-level keys; more is an error */

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

typedef struct {
    ai_json_type_e type;
    uint64_t       member;      /* offset of the key's opening quote */
    uint64_t       start;       /* offset of the value's first byte */
    uint64_t       end;         /* behind its last; strings: with quotes */
} ai_json_field_t;

/* A complete struct so that it can be embedded; its inside is ai_json.c's. */
typedef struct {
    const char *const *names;   /* NULL-terminated, at most AI_JSON_FIELDS_MAX */
    ai_json_field_t    fields[AI_JSON_FIELDS_MAX];
    uint64_t           offset;  /* bytes seen */
    uint64_t           max;     /* bytes allowed */
    uint64_t           error_at;
    uint64_t           keys[AI_JSON_KEYS_MAX];  /* hashes of top-level keys */
    uint32_t           nkeys;
    uint8_t            stack[(AI_JSON_DEPTH_MAX + 7) / 8];
    uint32_t           depth;
    uint32_t           depth_max;
    uint64_t           hash;
    uint32_t           state;
    uint32_t           sub;
    uint32_t           codepoint;
    int32_t            current;
    int32_t            status;
    char               key[64];
    uint32_t           key_len;
} ai_json_t;

/* names: top-level members to remember, constant memory that outlives j. */
void ai_json_init(ai_json_t *j, const char *const *names, uint64_t max,
    unsigned depth_max);
/* Feeds the next piece: AI_JSON_MORE or an error, which stays. */
int ai_json_feed(ai_json_t *j, const char *data, size_t len);
/* No more will come: AI_JSON_OK or an error. */
int ai_json_end(ai_json_t *j);
/* Feed and end of a whole text. */
int ai_json_scan(ai_json_t *j, const char *const *names, ai_str_t text,
    uint64_t max, unsigned depth_max);
const char *ai_json_strerror(int status);

/* The text of a JSON string (with quotes) unescaped into buf: length or -1. */
long ai_json_unescape(ai_str_t quoted, char *buf, size_t size);
/* A whole JSON number as integer, fractions cut: 0 or -1. */
int ai_json_int(ai_str_t number, int64_t *n);

/*
 * Path look-up in a valid text, for small answers: "usage.prompt_tokens",
 * array indices as numbers ("choices.0.finish_reason").  1 and the value's
 * bytes (strings with quotes), 0 where there is none.
 */
int ai_json_path(ai_str_t text, const char *path, ai_str_t *value,
    ai_json_type_e *type);

#endif
