/*
 * What own.c (who has keys of his own, and who waits for them) and own_open.c
 * (reading and opening them) share.
 */

#ifndef OWN_IN_H
#define OWN_IN_H

#include "db.h"
#include "own.h"
#include "stored.h"
#include "vault.h"

#define OWN_SLOTS     4096
#define OWN_NAME_MAX  128           /* of a provider */


/* An open key. */
typedef struct {
    char    provider[OWN_NAME_MAX + 1];
    char    id[CATALOG_OWN_MAX];
    char   *secret;                 /* NULL: it does not open */
    size_t  len;
} own_one_t;

typedef struct own_tenant_s  own_tenant_t;
typedef struct own_work_s  own_work_t;

struct own_tenant_s {
    owns_t         *owns;
    own_tenant_t   *next;
    own_tenant_t   *older;          /* of those that are open */
    own_tenant_t   *newer;
    char            name[AI_TENANT_MAX + 1];
    size_t          len;
    int64_t         version;        /* as the list has it */
    int64_t         opened;         /* of the keys that are open */
    unsigned        pass;           /* of the whole list that had it last */
    unsigned        changes;        /* that were heard of */
    own_one_t      *keys;
    unsigned        nkeys;
    own_wait_t     *waits;
    uint64_t        read_msec;
    uint64_t        used_msec;
    unsigned        has:1;
    unsigned        stale:1;        /* something has changed: not to be used */
    unsigned        open:1;
    unsigned        shut:1;         /* some do not open */
    unsigned        cut:1;          /* it has more of them */
    unsigned        asking:1;
};

struct owns_s {
    worker_t       *w;
    vault_t        *vault;          /* NULL: no master key */
    uv_timer_t      timer;
    own_tenant_t   *slots[OWN_SLOTS];
    unsigned        n;
    unsigned        nopen;
    own_tenant_t   *newest;
    own_tenant_t   *oldest;
    own_wait_t     *waits;          /* for the list */
    unsigned        nwaits;         /* for anything */
    own_work_t     *works;          /* to be opened, in order */
    own_work_t    **last;
    unsigned        working;
    int64_t         since;          /* the list's */
    unsigned        pass;
    uint64_t        whole_msec;
    uint64_t        due_msec;
    log_again_t     said;
    log_again_t     full;
    log_again_t     shut;
    unsigned        listed:1;       /* all of it, once */
    unsigned        looking:1;
    unsigned        soon:1;         /* the timer was set, after a message */
    unsigned        paging:1;       /* this look goes on with a full page */
    unsigned        more:1;         /* look once more */
    unsigned        whole:1;        /* this look is at all of it */
    unsigned        lost:1;         /* some had no room, */
    unsigned        missed:1;       /* since the whole list was begun */
    unsigned        reopen:1;       /* the vault, when nobody uses it */
    unsigned        closing:1;
};


/* own.c */
/* What the whole list did not have has gone: so many. */
unsigned own_prune(owns_t *o);
/* Each that waits now is told. */
void own_wake(own_wait_t **list, int away);
void own_use(owns_t *o, own_tenant_t *t);
void own_unuse(owns_t *o, own_tenant_t *t);
/* What was opened is the tenant's now. */
void own_take(owns_t *o, own_tenant_t *t, own_one_t *keys, unsigned n);
/* It is not open any more. */
void own_wipe(owns_t *o, own_tenant_t *t);
void own_keys_free(own_one_t *keys, unsigned n);

/* own_open.c */
/* Begins to read a tenant's keys, unless that has begun: 0, or -1: it cannot
 * be now. */
int own_read(own_tenant_t *t);
/* Reads the master key again, as soon as nobody uses it. */
void own_reopen(owns_t *o);
/* After the loop was closed: what was not begun. */
void own_drop(owns_t *o);

#endif
