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
#define AI_EVENT_EMIT_BYTES   (256 * 1024)

typedef struct {
    ai_event_id_t id;
    char          type;
    ai_str_t      payload;
} ai_event_t;

typedef enum {
    AI_BELL_EVENTS = 'E',
    AI_BELL_KEY = 'K',
    AI_BELL_TENANT = 'T',
    AI_BELL_CATALOG = 'C',
    AI_BELL_CANCEL = 'X',
    AI_BELL_SEED = 'S',
    AI_BELL_JWKS = 'W',
    AI_BELL_MODELS = 'M',
    AI_BELL_PURGE = 'P'
} ai_bell_e;

typedef struct {
    int      type;              /* ai_bell_e */
    ai_str_t name;              /* E, X: job id; K, C, S, W, P: SHA-256;
                                 * T: tenant */
    ai_str_t word;              /* K, T: status or version; S: status;
                                 * X: reason; [a-z0-9_] */
    ai_str_t frames;            /* E: for ai_event_next; may be empty */
} ai_bell_t;

/*
 * Reads a message of any of the channels; the newline behind all but E may
 * be missing.  0, or -1 for what is none of these, and *bell is not to be used.
 * What does not apply to a type is empty.
 */
int ai_bell_parse(ai_str_t message, ai_bell_t *bell);
/*
 * Next frame from *frames, which moves on: 1; 0 at the end; -1 if what follows
 * is none, and *frames stays.  Checked: the type, the id (attempt from 1; seq 0
 * is 'a' and nothing else; both free for '!'), data of at most
 * AI_EVENT_DATA_MAX.  Order and gaps are the reader's to judge.
 */
int ai_event_next(ai_str_t *frames, ai_event_t *ev);
/* 1 if an event of the log may have this type, with this many bytes. */
int ai_event_ok(char type, size_t len);
/* Appends a frame as the scripts write it; for tests and for tools. */
void ai_event_write(ai_buf_t *b, const ai_event_t *ev);

#endif
