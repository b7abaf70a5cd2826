/*
 * Sets of keys that nginx.conf names by URL (ai_jwt_key url=): fetched here,
 * for the edges fetch nothing, and put into Redis.  One worker at a time does
 * it, by a lease; the others wait for it to be free.
 */

#ifndef JWKS_H
#define JWKS_H

#include "worker.h"

#define JWKS_URLS_MAX       64
#define JWKS_CATALOGS_MAX   8           /* that are looked at, the newest */
#define JWKS_TICK_MSEC      1000
#define JWKS_LEASE_MSEC     10000
#define JWKS_CALL_MSEC      10000       /* a fetch, from begin to end */
#define JWKS_CONNECT_MSEC   5000
#define JWKS_SOONEST_MSEC   30000       /* between fetches of one URL */
#define JWKS_AGE            300         /* s, where the answer does not say */
#define JWKS_AGE_MIN        60
#define JWKS_AGE_MAX        86400
#define JWKS_TTL            "172800"    /* s, of a set in Redis */

typedef struct jwks_s  jwks_t;

/* NULL: no memory.  After http_open and catalogs_open. */
jwks_t *jwks_open(worker_t *w);
/* Ends what is under way; before http_close and catalogs_close. */
void jwks_close(jwks_t *j);
/* After the loop was closed. */
void jwks_free(jwks_t *j);

/*
 * Seconds that an answer with this Cache-Control may be used: its max-age
 * within JWKS_AGE_MIN and JWKS_AGE_MAX, JWKS_AGE without one.
 */
int64_t jwks_age(ai_str_t cache_control);

#endif
