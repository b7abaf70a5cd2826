/*
 * Inside of fetch.h: what catalogs name, and fetching one of it.  fetch.c owns
 * the list and says when; an item owns its call and the bytes that have come.
 */

#ifndef FETCH_IN_H
#define FETCH_IN_H

#include "fetch.h"
#include "http.h"

typedef struct fetch_item_s  fetch_item_t;

struct fetch_item_s {
    fetch_t             *fetch;
    const fetch_kind_t  *kind;
    fetch_name_t         name;
    struct curl_slist   *headers;   /* of the call */
    http_call_t         *call;      /* under way, or NULL */
    char                *answer;    /* what has come of it */
    size_t               len;
    size_t               size;
    char                *text;      /* what was made of it */
    size_t               text_len;
    const char          *why;       /* nothing could be */
    uv_work_t            work;
    int                  status;
    int64_t              age;
    uint64_t             begun_msec;
    uint64_t             next_msec; /* not before */
    uint64_t             kept_msec; /* Redis was last asked whether it has it */
    uint64_t             named_msec;    /* by a catalog */
    unsigned             rank;      /* of that catalog, 0: the newest */
    unsigned             asked;     /* of Redis, without an answer */
    unsigned             fetched:1; /* begun_msec is set */
    unsigned             busy:1;    /* its answer is read elsewhere */
    unsigned             wanted:1;  /* an edge misses something of it */
    unsigned             named:1;   /* by a catalog of this look */
    unsigned             said:1;    /* its failure, in the log */
    unsigned             kept:1;    /* Redis has it */
    fetch_item_t        *next;
};

typedef struct {
    fetch_t             *fetch;
    catalog_wait_t       wait;
} fetch_look_t;

struct fetch_s {
    worker_t            *w;
    uv_timer_t           timer;
    fetch_item_t        *items;
    fetch_look_t         looks[FETCH_CATALOGS_MAX];
    unsigned             nlooks;    /* without an answer */
    unsigned             full;      /* kinds of which that was said, as bits */
    unsigned             whole:1;   /* every catalog was had */
    unsigned             asking:1;  /* Redis, of this turn */
    unsigned             mine:1;    /* the lease */
    unsigned             closing:1;
};

/* An item that has no call. */
void fetch_begin(fetch_item_t *item);
/* Ends the call of an item; why: it failed so, NULL: somebody else fetches it
 * now. */
void fetch_stop(fetch_item_t *item, const char *why);
/* Gives what was fetched two days more in Redis; what has gone from there is
 * fetched again. */
void fetch_keep(fetch_item_t *item);
/* An item that has no call, is not busy and has asked for nothing. */
void fetch_drop(fetch_item_t *item);

#endif
