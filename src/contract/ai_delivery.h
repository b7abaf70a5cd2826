/*
 * A job on its way into a worker's hands (docs/wire.md, 4): the text that
 * admit and pump publish and claim returns.  A reader borrows its bytes.
 */

#ifndef AI_DELIVERY_H
#define AI_DELIVERY_H

#include "ai_str.h"

#define AI_DELIVERY  'J'        /* its first byte on a worker's channel */

typedef struct {
    ai_str_t job;               /* a valid id */
    uint32_t attempt;           /* from 1 */
    ai_str_t cause;             /* it only wants its end; empty: run it */
    ai_str_t at_usec;           /* of admit, decimal */
    int64_t  queue_usec;        /* from admit to start */
    size_t   bytes;             /* of the body */
    unsigned pieces;            /* of a body in pieces, else 0 */
    ai_str_t spec;              /* a record; not read here */
    ai_str_t body;              /* empty: in a key of its own */
} ai_delivery_t;

/* 0, or -1 for what is none, and *d is not to be used. */
int ai_delivery_parse(ai_str_t text, ai_delivery_t *d);

#endif
