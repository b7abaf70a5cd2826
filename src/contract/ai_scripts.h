/*
 * The Redis scripts, compiled in: a table of name, SHA-1 and source.
 * Constant data; nobody owns it.
 */

#ifndef AI_SCRIPTS_H
#define AI_SCRIPTS_H

#include <stddef.h>

typedef enum {
    AI_SCRIPT_BODY = 0,
    AI_SCRIPT_ADMIT,
    AI_SCRIPT_CLAIM,
    AI_SCRIPT_EMIT,
    AI_SCRIPT_SETTLE,
    AI_SCRIPT_CANCEL,
    AI_SCRIPT_LEAVE,
    AI_SCRIPT_JOIN,
    AI_SCRIPT_BEAT,
    AI_SCRIPT_SWEEP,
    AI_SCRIPT_PRINCIPAL,
    AI_SCRIPT_INHERIT,
    AI_SCRIPT_SEED,
    AI_SCRIPT_KEEP,
    AI_SCRIPT_PURGE,
    AI_SCRIPT_HITS,
    AI_SCRIPT_FIND,
    AI_SCRIPT_BREAKER,
    AI_SCRIPT_PAY,
    AI_SCRIPT_LAST
} ai_script_e;

typedef struct {
    const char *name;
    const char *sha1;           /* 40 hex digits, for EVALSHA */
    size_t      len;            /* of source, in bytes */
    const char *source;         /* for EVAL: Redis may not know it */
} ai_script_t;

/* In the order of ai_script_e, then one entry of zeros. */
extern const ai_script_t  ai_scripts[];

#endif
