/*
 * A call whose client and provider speak different dialects, from its request
 * to the last byte of its answer, through the intermediate form (ir.h).  Owns
 * all that it makes; one thread at a time.
 */

#ifndef TRANSLATE_H
#define TRANSLATE_H

#include "ir.h"

#define TRANSLATE_ANSWER_MAX  (16 * 1024 * 1024)    /* one that is an object */

typedef struct translate_s  translate_t;

typedef struct {
    const dialect_t *client;
    const dialect_t *provider;
    ai_str_t         model;     /* to be asked; outlives the call, as job */
    ai_str_t         version;   /* and this: the value of the provider's header
                                 * of a version that is set for it, or empty */
    ai_str_t         job;
    int64_t          now;       /* Unix s */
    unsigned         stream:1;
    unsigned         usage:1;   /* the client asked for usage in its stream */
    unsigned         ask_usage:1;   /* the provider can be asked for it */
    unsigned         official:1;    /* it is the dialect's own maker */
    unsigned         strict:1;  /* what cannot be carried refuses the call */
} translate_call_t;

/* NULL: no memory, or one of the two cannot speak so. */
translate_t *translate_open(const translate_call_t *call);
/* NULL is let be. */
void translate_close(translate_t *t);

/* The provider's request, malloc'ed: 0; -1 the client's fault, translate_why
 * says which; -2 no memory. */
int translate_request(translate_t *t, ai_str_t body, char **out, size_t *len);
/* For the client, by name of what is wrong; valid until the call is closed. */
const char *translate_why(translate_t *t);
/* What has been left out so far, names joined by ", "; empty: nothing. */
ai_str_t translate_dropped(const translate_t *t);

/* Whether this content-type is a stream of the provider's. */
int translate_is_stream(const translate_t *t, ai_str_t type);
/* The content-type that the client gets. */
const char *translate_type(const translate_t *t, int stream);

/*
 * Bytes of a stream: 0 and what the client gets, valid until the next call; -1
 * no memory, -2 what no provider says.  translate_end: the provider has said
 * all; 1, or 0: it broke off.
 */
int translate_bytes(translate_t *t, ai_str_t bytes, ai_str_t *out);
int translate_end(translate_t *t, ai_str_t *out);
/* Bytes held of an unfinished event. */
size_t translate_held(const translate_t *t);

/* A header of the answer, before its body. */
void translate_header(translate_t *t, ai_str_t name, ai_str_t value);

/* A whole answer with any status: 0; -1 no memory, -2 it is none.  For any
 * thread.  translate_said: what the client gets, valid until the call is
 * closed; empty where there was none. */
int translate_answer(translate_t *t, int status, ai_str_t body);
ai_str_t translate_said(const translate_t *t);

/* What an error's body says of when to come again: ms, 0: nothing. */
int64_t translate_retry(const translate_t *t);
/* What an error is by its body, a row of ai_error.h; NULL: there is none. */
const char *translate_cause(const translate_t *t);

/* What is known of its usage so far. */
void translate_usage(const translate_t *t, provider_usage_t *u);

#endif
