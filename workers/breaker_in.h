/*
 * What breaker.c (who may be asked), breaker_name.c (what it is called) and
 * breaker_tell.c (what workers tell each other of it) share.
 */

#ifndef BREAKER_IN_H
#define BREAKER_IN_H

#include "breaker.h"

#define BREAKER_NAME_MAX   1024
#define BREAKER_TIMES_MAX  10
#define BREAKER_SLOTS      256


typedef struct breaker_s  breaker_t;

struct breaker_s {
    breaker_t  *next;
    uint64_t    hash;
    uint64_t    window_msec;        /* began */
    uint64_t    failed_msec;        /* last */
    uint64_t    open_msec;          /* until then */
    unsigned    failures;           /* of all workers, in the window */
    unsigned    successes;
    unsigned    ours[2];            /* of those that others do not know */
    unsigned    shared;             /* of one tenant's, those that count for
                                     * all, in their window, which began */
    uint64_t    shared_msec;
    uint64_t    span_msec;          /* it was opened for */
    uint32_t    prober;             /* tenant that tried it in vain, 0: none */
    unsigned    times;              /* it was opened in a row; 0: closed */
    char        kind;
    size_t      len;
    char        name[];
};

struct breakers_s {
    worker_t   *w;
    uv_timer_t  timer;
    breaker_t  *slots[BREAKER_SLOTS];
    unsigned    n;
};


/* breaker_name.c */
/* own: for the call's tenant alone. */
ai_str_t breaker_name(char *buf, breaker_kind_e kind, int own,
    const breaker_call_t *call);
uint64_t breaker_hash(ai_str_t name);
/* Of a name for one tenant what it is for all; else nothing. */
ai_str_t breaker_common(ai_str_t name);
/* The longest time that one of this kind is open. */
uint64_t breaker_most(char kind);

/* breaker.c */
breaker_t *breaker_of(breakers_t *b, breaker_kind_e kind, int own,
    const breaker_call_t *call);
breaker_t *breaker_find(breakers_t *b, ai_str_t name);
/* NULL: no valid name, no memory, or no room: all are open. */
breaker_t *breaker_make(breakers_t *b, ai_str_t name);
/* br may be gone behind it. */
void breaker_count(breakers_t *b, breaker_t *br, unsigned failures,
    unsigned successes);
/* Failures of a name that is one tenant's, for all, as far as they count; the
 * same. */
void breaker_share(breakers_t *b, ai_str_t name, unsigned failures);
uint64_t breaker_now(const breakers_t *b);

/* breaker_tell.c */
void breaker_tell(breakers_t *b, char letter, const breaker_t *br,
    uint64_t one, uint64_t two);
/* For workers that come later; and no more. */
void breaker_store(breakers_t *b, const breaker_t *br);
void breaker_unstore(breakers_t *b, const breaker_t *br);

#endif
