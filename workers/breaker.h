/*
 * Circuit breakers: which providers, models and keys are not to be asked just
 * now.  Each process decides by what it and the others have seen, told over
 * one channel of Redis; nothing is kept, sent or looked up of what works.  What
 * one tenant's requests alone bring about is held against a route for it alone.
 *
 * breakers_t owns its entries, one a name that has failed lately.
 */

#ifndef BREAKER_H
#define BREAKER_H

#include "catalog.h"

#define BREAKER_WINDOW_MSEC  30000  /* failures are counted in, or for as long
                                     * as nothing works */
#define BREAKER_FAILURES     10     /* so many, and half of all calls: open */
#define BREAKER_OPEN_MSEC    1000   /* so long, doubled each time */
#define BREAKER_OPEN_MAX     30000
#define BREAKER_PROBE_MSEC   60000  /* a probe that nobody heard the end of */
#define BREAKER_BENCH_MSEC   60000  /* a key that was refused, doubled */
#define BREAKER_BENCH_MAX    600000 /* up to this, or what Retry-After says */
#define BREAKER_SHARE        5      /* failures of one tenant that count for
                                     * all, in a window */
#define BREAKER_DENIALS      5      /* in a row: a key is not this tenant's for
                                     * this model */
#define BREAKER_IDLE_MSEC    60000  /* then an entry is forgotten */
#define BREAKERS_MAX         1024   /* entries; the one that has rested longest
                                     * makes room */
#define BREAKER_KEYS_MAX     32     /* of a provider */

typedef struct breakers_s  breakers_t;

typedef enum {
    BREAKER_GO = 0,
    BREAKER_PROBE,              /* one may try: breaker_probe */
    BREAKER_KEYS,               /* each of its keys is benched; who asks it all
                                 * the same tries it, too: breaker_probe */
    BREAKER_NO
} breaker_e;

/* What failed of a call. */
typedef enum {
    BREAKER_PROVIDER = 'p',
    BREAKER_MODEL = 'm',        /* of the tenant that asked, and of all */
    BREAKER_KEY = 'k',          /* it was refused */
    BREAKER_LIMIT = 'l',        /* it has had enough of this model */
    BREAKER_DENIAL = 'd'        /* it may not do this, for this tenant */
} breaker_kind_e;

/* Who asks whom. */
typedef struct {
    const route_t  *route;
    ai_str_t        tenant;
    unsigned        key;        /* which of the route's */
    unsigned        tried;      /* keys, a bit each, that are not to be used */
    uint64_t        permit;     /* the call has, to try what was open, or 0 */
} breaker_call_t;

/* NULL: no memory. */
breakers_t *breakers_open(worker_t *w);
void breakers_close(breakers_t *b);
/* Redis is there (again): asks what is open. */
void breakers_ready(breakers_t *b);
/* A message of AI_BREAKERS_CHANNEL. */
void breakers_heard(breakers_t *b, ai_str_t text);

/* Whether anything has failed lately: else nothing below needs a call. */
int breakers_any(const breakers_t *b);
/* Whether a route may be asked, and in how many ms if not. */
breaker_e breaker_ask(breakers_t *b, const breaker_call_t *call,
    uint64_t *msec);
/*
 * The key to use: the first that is set and not benched, else the one whose
 * time is over first.  1 and call->key; 0 none is needed; -1 none is set.
 */
int breaker_key(breakers_t *b, breaker_call_t *call, ai_str_t *key);
/* Whether there is a key that is set, not benched and not tried. */
int breaker_keys_left(breakers_t *b, const breaker_call_t *call);

/* A call failed; msec: how long to bench a key, 0: by itself. */
void breaker_failed(breakers_t *b, breaker_kind_e kind,
    const breaker_call_t *call, uint64_t msec);
/* It worked, up to its first word; or it was answered that the request is
 * wrong: that closes, and counts for nothing. */
void breaker_worked(breakers_t *b, const breaker_call_t *call, int counts);
/*
 * Asks for the one permit to try a route, in the name of id: 0 and done is
 * called later, else -1: none is needed, or nobody to be asked; call->permit
 * is then what is to be given back.
 */
int breaker_probe(breakers_t *b, breaker_call_t *call, ai_str_t id,
    redis_reply_pt done, void *data);
void breaker_unprobe(breakers_t *b, uint64_t permit, ai_str_t id);

#endif
