/*
 * What stored.c (a response and what it stands on) and converse.c (the
 * conversation it belongs to) share.
 */

#ifndef STORED_IN_H
#define STORED_IN_H

#include "items.h"
#include "job.h"
#include "stored.h"

#define STORED_TRIES  5             /* to add to a conversation, each as long
                                     * as stores_query waits */

struct stored_s {
    job_t    *job;
    char     *input;            /* elements of an array */
    size_t    input_len;
    char     *said;             /* the response */
    size_t    said_len;
    items_t   items;            /* what goes to the conversation */
    int       rc;               /* of what was done to them */
    unsigned  tries;
    unsigned  waits;            /* for what it stands on, looks */
    char      id[STORED_ID_MAX];
    char      previous[STORED_ID_MAX];
    char      conversation[STORED_ID_MAX];
    char      holder[AI_JOB_ID_LEN + 1];    /* has ended, and had it */
    unsigned  store:1;
    unsigned  background:1;
    unsigned  invalid:1;        /* what it stands on is no id */
    unsigned  named:1;          /* its id has been seen */
    unsigned  adds:1;           /* to its conversation */
    unsigned  over:1;           /* an earlier attempt has stored it */
};

/* Writes the items that stand before the request's own. */
typedef void (*stored_before_pt)(out_t *o, const PGresult *res);

/* Makes the body whole; the job goes on, or has failed. */
void stored_join(job_t *job, stored_before_pt before, const PGresult *res);
/* Sends the response, and items where it adds some: 0, or -1. */
int stored_send(stored_t *s);
/* It cannot be stored now; worth: but later it may be.  The job goes on by
 * itself.  Takes a reference. */
void stored_failed(stored_t *s, const char *why, int worth);
/* malloc'ed, zero-ended; NULL: no memory. */
char *stored_z(ai_str_t s);

/* Asks for the items of the conversation: as stored_expand. */
int converse_begin(stored_t *s);
/* The response is whole: its items are made, and all of it is sent.  0, or
 * -1. */
int converse_end(stored_t *s);

#endif
