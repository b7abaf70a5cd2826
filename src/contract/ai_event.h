/*
 * Events of a job and the bell that carries them (docs/wire.md, 4).  A reader
 * borrows the message's bytes.
 */

#ifndef AI_EVENT_H
#define AI_EVENT_H

#include "ai_id.h"

#define AI_EVENT_HEAD      'h'
#define AI_EVENT_DATA      's'
#define AI_EVENT_CONTINUE  'c'
#define AI_EVENT_END       'e'
#define AI_EVENT_ERROR     'x'
#define AI_EVENT_ATTEMPT   'a'
#define AI_EVENT_READ_LOG  '!'      /* frames only: no payload, id is the tip */

#define AI_EVENT_DATA_MAX     (64 * 1024)
#define AI_EVENT_INLINE_MAX   (64 * 1024)
#define AI_EVENT_EMIT_MAX     64            /* events a call of emit */
#define AI_EVENT_EMIT_BYTES   (1024 * 1024)

typedef struct {
    ai_event_id_t id;
    char          type;
    ai_str_t      payload;
} ai_event_t;

typedef enum {
    AI_BELL_EVENTS = 'E',
    AI_BELL_KEY = 'K',
    AI_BELL_CATALOG = 'C',
    AI_BELL_CANCEL = 'X'
} ai_bell_e;

typedef struct {
    int      type;              /* ai_bell_e */
    ai_str_t name;              /* job id or SHA-256 */
    ai_str_t word;              /* K: status or version; X: reason */
    ai_str_t frames;            /* E */
} ai_bell_t;

/* 0, or -1 for what is none of these. */
int ai_bell_parse(ai_str_t message, ai_bell_t *bell);
/* Next frame: 1, 0 at the end, -1 malformed. */
int ai_event_next(ai_str_t *frames, ai_event_t *ev);
/* A frame as the scripts write it; for tests and for tools. */
void ai_event_write(ai_buf_t *b, const ai_event_t *ev);

#endif
