/*
 * Reading a tenant's own keys from Postgres and opening them, off the loop: a
 * KMS program may take its time.  Owns what is on its way.
 */

#include "own_in.h"

#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "ai_crypto.h"


#define OWN_SQL                                                               \
    "SELECT v, provider, id, data_key, sealed, master, wrapped"               \
    " FROM ngxai.own_keys($1)"


typedef enum {
    OWN_V = 0,
    OWN_PROVIDER,
    OWN_ID,
    OWN_DATA_KEY,
    OWN_SEALED,
    OWN_MASTER,
    OWN_WRAPPED
} own_column_e;

struct own_work_s {
    uv_work_t       work;
    own_work_t     *next;
    own_tenant_t   *tenant;         /* stays while it is being asked for */
    unsigned        changes;        /* that were known when it was asked */
    PGresult       *rows;           /* a copy */
    own_one_t      *keys;
    unsigned        nkeys;
    unsigned        shut:1;
    unsigned        cut:1;
    char            why[VAULT_WHY_MAX];
};


static void own_on_rows(db_t *db, const PGresult *res, void *data);
static void own_begin(owns_t *o);
static void own_give_up(own_work_t *k);
static void own_work(uv_work_t *work);
static void own_say(char *to, size_t size, const char *text);
static char *own_one(const own_work_t *k, int row,
    const unsigned char key[AI_SEAL_KEY], size_t *len);
static void own_worked(uv_work_t *work, int status);
static void own_done(own_work_t *k);
static ai_str_t own_value(const PGresult *res, int row, own_column_e column);
static void own_failed(own_tenant_t *t);


int
own_read(own_tenant_t *t)
{
    own_work_t  *k;
    const char  *params[1] = { t->name };

    if (t->asking) {
        return 0;
    }

    k = calloc(1, sizeof(*k));
    if (k == NULL) {
        return -1;
    }

    k->tenant = t;
    k->changes = t->changes;

    if (stores_query(t->owns->w->stores, own_on_rows, k, OWN_SQL, 1, params)
        != 0)
    {
        free(k);
        return -1;
    }

    t->asking = 1;

    return 0;
}


static void
own_on_rows(db_t *db, const PGresult *res, void *data)
{
    owns_t        *o;
    own_work_t    *k;
    own_tenant_t  *t;

    (void) db;

    k = data;
    t = k->tenant;
    o = t->owns;

    if (res != NULL && PQresultStatus(res) != PGRES_TUPLES_OK) {
        log_again(&o->said, LOG_ERROR, "own", "%s %s", db_sqlstate(res),
                  PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
        res = NULL;
    }

    if (res != NULL && !o->closing) {
        k->rows = PQcopyResult(res, PG_COPYRES_ATTRS|PG_COPYRES_TUPLES);
    }

    if (k->rows == NULL) {
        own_give_up(k);
        return;
    }

    *o->last = k;
    o->last = &k->next;
    own_begin(o);
}


/* It goes on as it was, if it was; who waits is told. */

static void
own_failed(own_tenant_t *t)
{
    t->asking = 0;

    if (t->open) {
        t->read_msec = uv_now(&t->owns->w->loop.uv)
                       - (t->shut ? 0 : OWN_FRESH_MSEC - OWN_AGAIN_MSEC);
    }

    if (!t->owns->closing) {
        own_wake(&t->waits, 1);
    }
}


static void
own_begin(owns_t *o)
{
    own_work_t  *k;

    while (o->works != NULL && o->working < OWN_WORKS_MAX && !o->reopen) {
        k = o->works;
        o->works = k->next;

        if (o->works == NULL) {
            o->last = &o->works;
        }

        k->next = NULL;

        /* Nobody waits for it any more: a KMS hangs, or has hung. */

        if (k->tenant->waits == NULL && !k->tenant->open) {
            own_give_up(k);
            continue;
        }

        o->working++;

        if (uv_queue_work(&o->w->loop.uv, &k->work, own_work, own_worked)
            != 0)
        {
            o->working--;
            own_give_up(k);
        }
    }
}


static void
own_give_up(own_work_t *k)
{
    own_failed(k->tenant);
    PQclear(k->rows);
    free(k);
}


/* Off the loop: the tenant's name and the vault are read, nothing else. */

static void
own_work(uv_work_t *work)
{
    int             i, n, open;
    char            why[VAULT_WHY_MAX];
    ai_str_t        id, wrapped, tenant, last;
    own_one_t      *one;
    own_work_t     *k;
    const vault_t  *vault;
    unsigned char   key[AI_SEAL_KEY], raw[VAULT_WRAPPED_MAX];

    k = (own_work_t *) work;
    vault = k->tenant->owns->vault;
    tenant = (ai_str_t) { k->tenant->len, k->tenant->name };
    n = PQntuples(k->rows);
    k->cut = n > OWN_KEYS_MAX;
    n = k->cut ? OWN_KEYS_MAX : n;
    k->keys = calloc((size_t) n + 1, sizeof(*k->keys));
    last = ai_str("");
    open = 0;

    for (i = 0; i < n && k->keys != NULL; i++) {

        if (own_value(k->rows, i, OWN_PROVIDER).len > OWN_NAME_MAX
            || own_value(k->rows, i, OWN_ID).len >= CATALOG_OWN_MAX
            || PQgetisnull(k->rows, i, OWN_PROVIDER))
        {
            k->cut |= !PQgetisnull(k->rows, i, OWN_PROVIDER);
            continue;
        }

        one = &k->keys[k->nkeys++];
        own_say(one->provider, sizeof(one->provider),
                own_value(k->rows, i, OWN_PROVIDER).data);
        own_say(one->id, sizeof(one->id),
                own_value(k->rows, i, OWN_ID).data);
        id = own_value(k->rows, i, OWN_DATA_KEY);

        if (i == 0 || !ai_str_eq(id, last)) {
            wrapped = own_value(k->rows, i, OWN_WRAPPED);
            last = id;
            open = 0;

            if (vault == NULL) {
                own_say(k->why, sizeof(k->why), "there is no --master-key");

            } else if (wrapped.len / 2 > sizeof(raw)
                       || ai_unhex(raw, wrapped) != 0)
            {
                own_say(k->why, sizeof(k->why),
                        "its data key cannot be read");

            } else if (vault_unwrap(vault, own_value(k->rows, i, OWN_MASTER),
                                    tenant, id,
                                    (ai_str_t) { wrapped.len / 2,
                                                 (const char *) raw },
                                    key, why)
                       != 0)
            {
                own_say(k->why, sizeof(k->why), why);

            } else {
                open = 1;
            }
        }

        if (open) {
            one->secret = own_one(k, i, key, &one->len);

            if (one->secret == NULL) {
                own_say(k->why, sizeof(k->why),
                        "it was changed, or is another's");

            } else if (!account_own_ok((ai_str_t) { one->len,
                                                    one->secret }))
            {
                own_say(k->why, sizeof(k->why),
                        "its token_uri is not Google's");
                ai_wipe(one->secret, one->len);
                free(one->secret);
                one->secret = NULL;
            }
        }

        k->shut |= one->secret == NULL;
    }

    ai_wipe(key, sizeof(key));
}


/* Cut where it is too long. */

static void
own_say(char *to, size_t size, const char *text)
{
    size_t  len;

    len = strlen(text);
    len = len < size ? len : size - 1;
    memcpy(to, text, len);
    to[len] = '\0';
}


static char *
own_one(const own_work_t *k, int row, const unsigned char key[AI_SEAL_KEY],
    size_t *len)
{
    long           n;
    char          *secret;
    ai_str_t       hex;
    vault_place_t  place;
    unsigned char  sealed[VAULT_SECRET_MAX + AI_SEAL_MORE];
    unsigned char  out[VAULT_SECRET_MAX + AI_SEAL_MORE];

    place.tenant = (ai_str_t) { k->tenant->len, k->tenant->name };
    place.provider = own_value(k->rows, row, OWN_PROVIDER);
    place.id = own_value(k->rows, row, OWN_ID);
    place.data_key = own_value(k->rows, row, OWN_DATA_KEY);
    hex = own_value(k->rows, row, OWN_SEALED);

    if (hex.len / 2 > sizeof(sealed) || ai_unhex(sealed, hex) != 0) {
        return NULL;
    }

    n = vault_unseal(key, &place,
                     (ai_str_t) { hex.len / 2, (const char *) sealed }, out);
    secret = n > 0 ? malloc((size_t) n) : NULL;

    if (secret != NULL) {
        memcpy(secret, out, (size_t) n);
        *len = (size_t) n;
    }

    ai_wipe(out, sizeof(out));

    return secret;
}


static void
own_worked(uv_work_t *work, int status)
{
    owns_t      *o;
    own_work_t  *k;

    k = (own_work_t *) work;
    o = k->tenant->owns;
    o->working--;

    if (o->closing || status != 0 || k->keys == NULL) {
        own_keys_free(k->keys, k->nkeys);
        own_failed(k->tenant);

    } else {
        own_done(k);
    }

    PQclear(k->rows);
    free(k);
    own_reopen(o);

    if (!o->closing) {
        own_begin(o);
    }
}


static void
own_done(own_work_t *k)
{
    int            same;
    owns_t        *o;
    int64_t        v;
    own_tenant_t  *t;

    t = k->tenant;
    o = t->owns;
    t->asking = 0;
    same = t->open && !t->shut;

    if (k->shut) {
        log_again(&o->shut, LOG_ERROR, "own", "a provider's key of the tenant "
                  "%s cannot be opened: %s", t->name, k->why);
    }

    if (PQntuples(k->rows) != 0
        && ai_str_int(own_value(k->rows, 0, OWN_V), &v) == 0)
    {
        same = same && v == t->opened;
        t->version = v;

    } else {
        same = 0;
    }

    t->stale = t->changes != k->changes;

    /* What has not changed and was open stays so while a KMS is away. */

    if (same && k->shut) {
        own_keys_free(k->keys, k->nkeys);
        own_failed(t);
        return;
    }

    t->has = k->nkeys != 0 || k->cut;

    if (t->has) {
        own_take(o, t, k->keys, k->nkeys);
        t->opened = t->version;
        t->shut = k->shut;
        t->cut = k->cut;

    } else {
        own_wipe(o, t);
        own_keys_free(k->keys, 0);
    }

    own_wake(&t->waits, 0);
}


void
own_reopen(owns_t *o)
{
    char      why[VAULT_WHY_MAX];
    vault_t  *vault;

    if (!o->reopen || o->working != 0 || o->closing) {
        return;
    }

    o->reopen = 0;

    if (o->vault == NULL) {
        return;
    }

    vault = vault_open(o->w->opt->master_key, o->w->opt->old_master_key, why);

    if (vault == NULL) {
        log_write(LOG_ERROR, "own", "the master key stays what it was: %s",
                  why);

    } else {
        vault_close(o->vault);
        o->vault = vault;
    }

    own_begin(o);
}


void
own_drop(owns_t *o)
{
    own_work_t  *k;

    while ((k = o->works) != NULL) {
        o->works = k->next;
        PQclear(k->rows);
        free(k);
    }
}


static ai_str_t
own_value(const PGresult *res, int row, own_column_e column)
{
    return (ai_str_t) { (size_t) PQgetlength(res, row, column),
                        PQgetvalue(res, row, column) };
}
