/*
 * A provider's answer on its way to the client: headers that pass, bytes
 * untouched, usage read on the way.  Feeds a job's emit_t; owns the bytes it
 * has not handed on.
 */

#ifndef ANSWER_H
#define ANSWER_H

#include "ai_sse.h"
#include "emit.h"
#include "ai_record.h"
#include "ai_usage.h"
#include "catalog.h"
#include "keep.h"
#include "translate.h"

#define ANSWER_HEADERS_MAX  (16 * 1024) /* that pass, bytes */
#define ANSWER_WHOLE_MAX    (256 * 1024 - 16 * 1024)   /* goes with settle */
#define ANSWER_USAGE_MAX    (4 * 1024 * 1024)   /* over it usage is guessed */
#define ANSWER_TAIL_MAX     1024    /* of such a one, where most say it */
#define ANSWER_EVENT_MAX    AI_SSE_EVENT_MAX
#define ANSWER_MAX          (64 * 1024 * 1024)  /* all of it, decoded */
#define ANSWER_ALL_MAX      (128 * 1024 * 1024) /* unfinished ones, a process */
#define ANSWER_FAIR         (256 * 1024)    /* of which nobody is denied */
#define ANSWER_REQUEST_MAX  128
#define ANSWER_HEDGE_MAX    (1024 * 1024)   /* of one that waits for its turn */
#define ANSWER_HELLO_MAX    (16 * 1024) /* of a stream, before its first word */

typedef struct {
    emit_t            *emit;
    const provider_t  *provider;
    ai_dialect_e       dialect;     /* the client's */
    ai_str_t           forward;     /* the job's, more names that pass */
    translate_t       *translate;   /* the job's; NULL: bytes pass */
    const json_t      *conf;        /* the provider's; may be NULL */
    ai_str_t           name;        /* provider and model, for the head */
    ai_str_t           model;

    char              *headers;     /* record fields */
    size_t             headers_len;
    size_t             headers_size;
    char               request_id[ANSWER_REQUEST_MAX];
    ai_sse_t           sse;
    char              *whole;       /* an answer that is no stream */
    size_t             whole_len;
    size_t             whole_size;
    size_t             held;        /* counted in what all hold */
    char              *hello;       /* events that wait for a word */
    size_t             hello_len;
    int64_t            retry_msec;  /* the provider's wish; -1: none */
    unsigned           calls;       /* of providers, this one counted */
    uint64_t           began_usec;  /* the first of them */
    uint64_t           bytes;       /* of the answer so far */
    provider_usage_t   usage;
    struct stored_s   *stored;      /* the job's; NULL: it is not stored */
    keep_t            *keep;        /* NULL: it is not to be kept */
    int                status;
    int                error_status;    /* of one in a 200, 0: unknown */

    size_t             tail_len;    /* of a body that is not read */
    char               tail[ANSWER_TAIL_MAX];

    unsigned           hold:1;      /* another may be asked until a word */
    unsigned           hedged:1;    /* it waits until it has won */
    unsigned           own:1;       /* called with the tenant's own key */
    unsigned           token:1;     /* one has come */
    unsigned           no_retry:1;  /* the provider says so */
    unsigned           added:1;     /* usage that the client did not ask */
    unsigned           typed:1;     /* has a content-type */
    unsigned           retry:1;     /* has a retry-after */
    unsigned           sse_type:1;  /* which is text/event-stream */
    unsigned           incomplete:1;    /* no memory for a header */
    unsigned           head:1;      /* emitted */
    unsigned           flowing:1;   /* whole is over its bound: bytes flow */
    unsigned           unread:1;    /* too long to be read for usage, or too
                                     * much of all answers is held for that */
} answer_t;

/* The strings and conf outlive a.  emit NULL: it is read again, for its usage
 * alone. */
void answer_init(answer_t *a, emit_t *emit, const provider_t *provider,
    ai_dialect_e dialect, const route_t *route);
void answer_free(answer_t *a);

void answer_header(answer_t *a, ai_str_t name, ai_str_t value);
/* One of our own, whatever the tables let pass. */
void answer_say(answer_t *a, ai_str_t name, ai_str_t value);
void answer_head(answer_t *a, int status);
/* 0; -1 no memory, -2 what no provider says: an event over ANSWER_EVENT_MAX or
 * of broken JSON, an answer over ANSWER_MAX; -3 an error of the provider, and
 * nothing has been said: another may be asked, else answer_release; -4 it is
 * more than a bound of ours. */
int answer_bytes(answer_t *a, ai_str_t bytes);
/* What a stream said before its first word goes out: 0, or -1 no memory. */
int answer_release(answer_t *a);

/*
 * The provider has said all: hands the rest on.  1: the answer is whole,
 * 0: a stream ended early, or a body is no JSON object; -1 no memory,
 * -2 the last event is broken, -3 as answer_bytes.
 */
int answer_finish(answer_t *a);
/* For answer.c (answer_tail.c): nobody reads the rest of a body; more of it;
 * what its end says of usage: 1, or 0: nothing. */
void answer_pass(answer_t *a);
void answer_tail(answer_t *a, ai_str_t bytes);
int answer_tail_read(const answer_t *a, provider_usage_t *u);

/* Reads usage from an answer that is no stream into u, which has what is
 * known.  For any thread. */
void answer_read(const answer_t *a, provider_usage_t *u);
/* Bytes that answer_read would parse. */
size_t answer_unread(const answer_t *a);

/*
 * Fills in token counts; where the provider gave none, a guess (bytes / 4)
 * and estimated.  request_bytes: the request's body.
 */
void answer_usage(const answer_t *a, size_t request_bytes, ai_usage_t *u);

#endif
