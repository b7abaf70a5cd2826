/*
 * What catalogs name by URL (sets of keys, lists of models): fetched here, for
 * the edges fetch nothing, and put into Redis, where the last good one stays.
 * One worker at a time does it, by a lease; the others wait for it to be free.
 */

#ifndef FETCH_H
#define FETCH_H

#include "ai_sign.h"
#include "catalog.h"
#include "worker.h"

#define FETCH_ITEMS_MAX     64          /* of a kind */
#define FETCH_CATALOGS_MAX  8           /* that are looked at, the newest */
#define FETCH_TICK_MSEC     1000
#define FETCH_LEASE_MSEC    10000
#define FETCH_CALL_MSEC     10000       /* a fetch, from begin to end */
#define FETCH_CONNECT_MSEC  5000
#define FETCH_SOONEST_MSEC  30000       /* between fetches of one */
#define FETCH_KEEP_MSEC     5000        /* between looks whether Redis has it */
#define FETCH_AGE           300         /* s, where the answer does not say */
#define FETCH_AGE_MIN       60
#define FETCH_AGE_MAX       86400
#define FETCH_TTL           "172800000" /* ms, of what is in Redis */
#define FETCH_LOOP_MAX      (64 * 1024) /* larger ones are read elsewhere */
#define FETCH_URL_MAX       1024
#define FETCH_HEADERS_MAX   8
#define FETCH_HEADER_MAX    1024

typedef struct fetch_s  fetch_t;

/* What a catalog names. */
typedef struct {
    char        hex[AI_SHA256_HEX + 1];         /* under which it lies */
    char        name[FETCH_URL_MAX + 1];        /* for the log */
    char        url[FETCH_URL_MAX + 1];         /* empty: there is none now */
    char        header[FETCH_HEADERS_MAX][FETCH_HEADER_MAX];    /* or empty */
    int64_t     age;            /* s between fetches; 0: the answer says */
    int         type;           /* the kind's own */
} fetch_name_t;

typedef struct {
    const char *part;           /* of the log */
    const char *what;           /* "keys" */
    const char *all;            /* "URLs of keys" */
    size_t      max;            /* bytes of an answer */
    char        bell;           /* on ai1:keys */

    /* The i-th that the catalog names: 1, and *n, which is zeroed, is filled;
     * 0 behind the last; -1: it cannot be. */
    int    (*named)(const catalog_t *c, size_t i, fetch_name_t *n);
    /*
     * Out of an answer what is kept, malloc'ed, with AI_SIGN_CATALOG_ADDS
     * bytes of room behind: 0; -1 and *why, a constant.  For any thread.
     */
    int    (*make)(int type, ai_str_t answer, char **text, size_t *len,
        const char **why);
    int    (*sign)(ai_str_t name, ai_str_t text,
        char line[AI_SIGN_CATALOG_ADDS]);
    size_t (*key)(char *buf, size_t size, ai_str_t hex);
} fetch_kind_t;

extern const fetch_kind_t  fetch_jwks;
extern const fetch_kind_t  fetch_models;

/* NULL: no memory.  After http_open and catalogs_open. */
fetch_t *fetch_open(worker_t *w);
/* Ends what is under way; before http_close and catalogs_close. */
void fetch_close(fetch_t *f);
/* After the loop was closed. */
void fetch_free(fetch_t *f);

/*
 * Seconds that an answer with this Cache-Control may be used: its max-age
 * within FETCH_AGE_MIN and FETCH_AGE_MAX, FETCH_AGE without one.
 */
int64_t fetch_age(ai_str_t cache_control);

#endif
