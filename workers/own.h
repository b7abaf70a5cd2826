/*
 * Keys of providers that are tenants' own.  Which tenants have some is known of
 * all of them, by a list that is asked for each OWN_LOOK_MSEC and when aictl
 * says that something has changed; the keys are read from Postgres, opened and
 * kept of those whose jobs want one.
 *
 * owns_t owns the open keys and wipes them.  What is known goes on while
 * Postgres is away; a tenant of whom it is not known whether it has a key of
 * its own is not served with the platform's.
 */

#ifndef OWN_H
#define OWN_H

#include "catalog.h"
#include "vault.h"

#define OWN_TENANTS_MAX  262144     /* that have keys */
#define OWN_OPEN_MAX     4096       /* of which are open; the one that was used
                                     * longest ago makes room */
#define OWN_KEYS_MAX     VAULT_KEYS_MAX     /* of a tenant */
#define OWN_WAITS_MAX    4096       /* jobs that wait */
#define OWN_WORKS_MAX    2          /* tenants whose keys are being opened */
#define OWN_WAIT_MSEC    8000       /* then there is none */
#define OWN_LOOK_MSEC    10000      /* between looks at the list, */
#define OWN_WHOLE_MSEC   3600000    /* and at all of it */
#define OWN_IDLE_MSEC    600000     /* not used: wiped */
#define OWN_FRESH_MSEC   3600000    /* read again; the old one until then */
#define OWN_AGAIN_MSEC   5000       /* what did not open is tried again */

typedef struct owns_s  owns_t;

typedef enum {
    OWN_NONE = 0,                   /* the tenant has none of this provider */
    OWN_KEY,
    OWN_WAIT,                       /* not known yet */
    OWN_AWAY,                       /* cannot be known now */
    OWN_SHUT                        /* it has one, which does not open */
} own_e;

/* Embedded in a job that waits; zeroed once. */
typedef struct own_wait_s  own_wait_t;

struct own_wait_s {
    /* Ask again; away: it is not to be known now. */
    void          (*done)(void *data, int away);
    void           *data;
    owns_t         *owns;
    uint64_t        since_msec;     /* it waits, however often it asked; 0 */
    own_wait_t     *next;
    own_wait_t    **prev;           /* NULL: does not wait */
};

/* NULL: no memory, or the master key cannot be used, which is logged.  After
 * stores_open. */
owns_t *owns_open(worker_t *w);
/* Before stores_close; then after the loop was closed. */
void owns_close(owns_t *o);
void owns_free(owns_t *o);
/* The channel is heard (again): what was said meanwhile is looked for. */
void owns_ready(owns_t *o);
/* A message of AI_OWN_CHANNEL. */
void owns_heard(owns_t *o, ai_str_t text);
/* The master key is read again; where it cannot be, the old one stays. */
void owns_again(owns_t *o);

/*
 * A tenant's key of a route's provider, by the id that it has, in route->own
 * (empty: none).  With wait it is waited for: OWN_WAIT, and wait->done is
 * called, not before this returns; without, OWN_WAIT says no more than that.
 * *secret is valid until the loop turns.
 */
own_e own_get(owns_t *o, ai_str_t tenant, route_t *route, own_wait_t *wait,
    ai_str_t *secret);
/* Takes a waiter back. */
void own_forget(own_wait_t *wait);

#endif
