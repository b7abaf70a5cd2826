/*
 * Looking for principals that Redis has in an old state.  Owns one page of
 * keys, each with at most one query or command that is out.
 */

#include "heal.h"

#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"
#include "principal.h"
#include "principal_write.h"


#define HEAL_VERSION_MAX  24            /* bytes of a bigint, and the zero */

#define HEAL_MARK_SQL  "SELECT ngxai.principals_mark()"

#define HEAL_PAGE_SQL                                                         \
    "SELECT v, name, refused FROM ngxai.records_changed($1, $2)"


typedef struct {
    heal_t     *heal;
    char        name[AI_SHA256_HEX + 1];    /* a key's SHA-256, or a tenant */
    char        pv[AI_KEY_MAX];
    char        version[HEAL_VERSION_MAX];
    int64_t     v;
    unsigned    refused:1;
} heal_key_t;

struct heal_s {
    worker_t   *w;
    db_t       *db;
    uv_timer_t  timer;
    uint64_t    whole_msec;     /* when all was looked at */
    int64_t     from;           /* versions above it are looked at next */
    int64_t     last;           /* the mark of the last look */
    int64_t     mark;           /* of this one; -1: a change was under way */
    char        since[HEAL_VERSION_MAX];    /* page of this look */
    unsigned    out;            /* keys of the page that are not done */
    unsigned    n;
    unsigned    written;
    unsigned    refs;           /* timer, queries and commands that are out */
    unsigned    busy:1;
    unsigned    failed:1;
    unsigned    restart:1;
    unsigned    closing:1;
    char        said[6];        /* SQLSTATE that the log has already */
    heal_key_t  keys[HEAL_PAGE];
};


static void heal_on_timer(uv_timer_t *handle);
static void heal_on_timer_closed(uv_handle_t *handle);
static void heal_release(heal_t *h);
static int heal_rows(heal_t *h, const PGresult *res, int columns);
static void heal_on_mark(db_t *db, const PGresult *res, void *data);
static void heal_page(heal_t *h);
static void heal_on_page(db_t *db, const PGresult *res, void *data);
static void heal_on_version(redis_t *rc, ai_resp_t *reply, void *data);
static void heal_on_principal(db_t *db, const PGresult *res, void *data);
static ai_str_t heal_name(const heal_key_t *k);
static int heal_of_key(const heal_key_t *k);
static int heal_pv(heal_key_t *k, ai_str_t version, ai_str_t id,
    ai_str_t tenant);
static int heal_look(heal_key_t *k, const ai_resp_t *reply);
static void heal_on_admits(redis_t *rc, ai_resp_t *reply, void *data);
static ai_str_t heal_str(const PGresult *res, int column);
static void heal_on_write(redis_t *rc, ai_resp_t *reply, void *data);
static void heal_on_pv(redis_t *rc, ai_resp_t *reply, void *data);
static void heal_key_done(heal_key_t *k, int failed);
static void heal_end(heal_t *h);


heal_t *
heal_open(worker_t *w, db_t *db)
{
    unsigned  i;
    heal_t   *h;

    h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return NULL;
    }

    h->w = w;
    h->db = db;
    h->refs = 1;

    for (i = 0; i < HEAL_PAGE; i++) {
        h->keys[i].heal = h;
    }

    uv_timer_init(&w->loop.uv, &h->timer);
    h->timer.data = h;

    return h;
}


void
heal_ready(heal_t *h)
{
    h->restart = 1;

    if (!h->busy) {
        uv_timer_start(&h->timer, heal_on_timer, 0, 0);
    }
}


void
heal_close(heal_t *h)
{
    h->closing = 1;
    uv_close((uv_handle_t *) &h->timer, heal_on_timer_closed);
}


static void
heal_on_timer_closed(uv_handle_t *handle)
{
    heal_release(handle->data);
}


static void
heal_release(heal_t *h)
{
    if (--h->refs == 0) {
        free(h);
    }
}


static void
heal_on_timer(uv_timer_t *handle)
{
    heal_t    *h;
    uint64_t   now;

    h = handle->data;
    now = uv_now(&h->w->loop.uv);

    if (h->restart || now - h->whole_msec >= HEAL_WHOLE_MSEC) {
        h->restart = 0;
        h->whole_msec = now;
        h->from = 0;
        h->last = 0;
    }

    h->busy = 1;
    h->failed = 0;
    h->written = 0;
    (void) snprintf(h->since, sizeof(h->since), "%lld", (long long) h->from);

    if (h->w->shards == 0 || !redis_ready(h->w->redis)
        || db_query(h->db, HEAL_QUERY_MSEC, heal_on_mark, h, HEAL_MARK_SQL, 0,
                    NULL)
           != 0)
    {
        h->failed = 1;
        heal_end(h);
        return;
    }

    h->refs++;
}


/* The rows of an answer, or -1. */

static int
heal_rows(heal_t *h, const PGresult *res, int columns)
{
    if (res == NULL) {
        return -1;
    }

    if (PQresultStatus(res) != PGRES_TUPLES_OK) {

        if (strncmp(h->said, db_sqlstate(res), sizeof(h->said) - 1) != 0) {
            (void) snprintf(h->said, sizeof(h->said), "%s", db_sqlstate(res));
            log_write(LOG_ERROR, "heal", "keys that changed cannot be looked "
                      "for: %s %s", h->said,
                      PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
        }

        return -1;
    }

    h->said[0] = '\0';

    return PQnfields(res) == columns ? PQntuples(res) : -1;
}


static void
heal_on_mark(db_t *db, const PGresult *res, void *data)
{
    heal_t  *h;

    (void) db;

    h = data;

    if (!h->closing) {
        if (heal_rows(h, res, 1) == 1) {
            h->mark = PQgetisnull(res, 0, 0)
                      ? -1 : strtoll(PQgetvalue(res, 0, 0), NULL, 10);
            heal_page(h);

        } else {
            h->failed = 1;
            heal_end(h);
        }
    }

    heal_release(h);
}


static void
heal_page(heal_t *h)
{
    char         most[16];
    const char  *params[2];

    (void) snprintf(most, sizeof(most), "%d", HEAL_PAGE);
    params[0] = h->since;
    params[1] = most;

    if (db_query(h->db, HEAL_QUERY_MSEC, heal_on_page, h, HEAL_PAGE_SQL, 2,
                 params)
        != 0)
    {
        h->failed = 1;
        heal_end(h);
        return;
    }

    h->refs++;
}


static void
heal_on_page(db_t *db, const PGresult *res, void *data)
{
    int          i, n;
    char         key[AI_KEY_MAX];
    heal_t      *h;
    heal_key_t  *k;

    (void) db;

    h = data;

    if (h->closing) {
        heal_release(h);
        return;
    }

    n = heal_rows(h, res, 3);

    if (n <= 0 || n > HEAL_PAGE) {
        h->failed = n != 0;
        heal_end(h);
        heal_release(h);
        return;
    }

    h->n = (unsigned) n;
    (void) snprintf(h->since, sizeof(h->since), "%s",
                    PQgetvalue(res, n - 1, 0));

    /* One more than the keys, lest the page end while it is begun. */
    h->out = h->n + 1;

    for (i = 0; i < n; i++) {
        k = &h->keys[i];
        k->v = strtoll(PQgetvalue(res, i, 0), NULL, 10);
        k->refused = PQgetvalue(res, i, 2)[0] == 't';
        (void) snprintf(k->name, sizeof(k->name), "%s",
                        PQgetvalue(res, i, 1));

        if (ai_keys_principal(key, sizeof(key), heal_name(k)) == 0
            || redis_commandf(h->w->redis, heal_on_version, k,
                              "HMGET %s v id tenant", key)
               != 0)
        {
            heal_key_done(k, 1);
            continue;
        }

        h->refs++;
    }

    heal_key_done(&h->keys[0], 0);
    heal_release(h);
}


static void
heal_on_version(redis_t *rc, ai_resp_t *reply, void *data)
{
    int               stale;
    heal_t           *h;
    int64_t           v;
    heal_key_t       *k;
    const char       *params[1];
    const ai_resp_t  *have;

    (void) rc;

    k = data;
    h = k->heal;

    if (h->closing) {
        heal_release(h);
        return;
    }

    have = redis_item(reply, 0);

    if (have && have->type == AI_RESP_NIL) {
        /* Who asks is told by Postgres; a refusal is for those who know. */
        stale = k->refused;

    } else if (redis_int(have, &v) == 0) {
        stale = v < k->v;

        if (v == k->v && heal_look(k, reply) == 0) {
            return;
        }

    } else {
        heal_key_done(k, 1);
        heal_release(h);
        return;
    }

    params[0] = k->name;

    if (!stale) {
        heal_key_done(k, 0);

    } else if (db_query(h->db, HEAL_QUERY_MSEC, heal_on_principal, k,
                        heal_of_key(k) ? PRINCIPAL_SQL : TENANT_SQL, 1,
                        params)
               == 0)
    {
        return;

    } else {
        heal_key_done(k, 1);
    }

    heal_release(h);
}


static void
heal_on_principal(db_t *db, const PGresult *res, void *data)
{
    int          rv;
    heal_t      *h;
    heal_key_t  *k;

    (void) db;

    k = data;
    h = k->heal;

    if (!h->closing) {

        if (heal_of_key(k)) {
            rv = heal_rows(h, res, PRINCIPAL_COLUMNS) == 1
                 ? heal_pv(k, heal_str(res, 0), heal_str(res, PRINCIPAL_ID),
                           heal_str(res, PRINCIPAL_TENANT))
                 : -1;

        } else {
            rv = heal_rows(h, res, TENANT_COLUMNS) == 1
                 ? heal_pv(k, heal_str(res, 0), ai_str(""), heal_name(k)) : -1;
        }

        if (rv == 0
            && principal_write(h->w->redis, heal_name(k), res, heal_on_write,
                               k)
               == 0)
        {
            return;
        }

        heal_key_done(k, 1);
    }

    heal_release(h);
}


static ai_str_t
heal_str(const PGresult *res, int column)
{
    return (ai_str_t) { (size_t) PQgetlength(res, 0, column),
                        PQgetvalue(res, 0, column) };
}


static ai_str_t
heal_name(const heal_key_t *k)
{
    return (ai_str_t) { strlen(k->name), k->name };
}


static int
heal_of_key(const heal_key_t *k)
{
    return strlen(k->name) == AI_SHA256_HEX;
}


/* What admit is to know, of a tenant without a key's id: -1 where no key of
 * Redis can be made of it. */

static int
heal_pv(heal_key_t *k, ai_str_t version, ai_str_t id, ai_str_t tenant)
{
    char      mark[AI_TENANT_MARK_LEN + AI_TENANT_MAX];
    ai_buf_t  b;
    unsigned  shard;

    if (!heal_of_key(k)) {
        ai_buf_init(&b, mark, sizeof(mark));
        ai_buf_add_z(&b, AI_TENANT_MARK);
        ai_buf_add_str(&b, tenant);
        id = (ai_str_t) { ai_buf_len(&b), mark };
    }

    shard = ai_keys_shard(tenant, k->heal->w->shards);

    (void) snprintf(k->version, sizeof(k->version), "%.*s",
                    (int) version.len, version.data);

    return ai_keys_make(k->pv, sizeof(k->pv), AI_KEY_PV, shard, id) ? 0 : -1;
}


/*
 * Who wrote this state may have died before it told admit: 0, and the reply
 * to that question ends the key, or -1 where it cannot be asked.
 */

static int
heal_look(heal_key_t *k, const ai_resp_t *reply)
{
    ai_str_t  version, id, tenant;

    version = redis_str(redis_item(reply, 0));
    id = redis_str(redis_item(reply, 1));
    tenant = heal_of_key(k) ? redis_str(redis_item(reply, 2)) : heal_name(k);

    return (id.len || !heal_of_key(k)) && tenant.len
           && heal_pv(k, version, id, tenant) == 0
           ? redis_commandf(k->heal->w->redis, heal_on_admits, k, "GET %s",
                            k->pv)
           : -1;
}


static void
heal_on_admits(redis_t *rc, ai_resp_t *reply, void *data)
{
    int          rv, lower;
    heal_t      *h;
    int64_t      v;
    heal_key_t  *k;

    k = data;
    h = k->heal;

    if (!h->closing) {
        lower = redis_int(reply, &v) == 0 && v < strtoll(k->version, NULL, 10);

        if (lower || (reply && reply->type == AI_RESP_NIL)) {
            /* One that came there meanwhile is newer. */
            rv = lower ? redis_commandf(rc, heal_on_pv, k, "SET %s %s EX %s",
                                        k->pv, k->version, PRINCIPAL_PV_S)
                       : redis_commandf(rc, heal_on_pv, k,
                                        "SET %s %s EX %s NX", k->pv,
                                        k->version, PRINCIPAL_PV_S);
            if (rv == 0) {
                return;
            }

            heal_key_done(k, 1);

        } else {
            heal_key_done(k, reply == NULL || reply->type == AI_RESP_ERROR);
        }
    }

    heal_release(h);
}


static void
heal_on_write(redis_t *rc, ai_resp_t *reply, void *data)
{
    heal_t      *h;
    heal_key_t  *k;

    k = data;
    h = k->heal;

    if (!h->closing) {
        if (redis_word(reply, "OK")
            && redis_commandf(rc, heal_on_pv, k, "SET %s %s EX %s", k->pv,
                              k->version, PRINCIPAL_PV_S)
               == 0)
        {
            return;
        }

        /* OLD: somebody wrote a newer state, and its version. */
        heal_key_done(k, !redis_word(reply, "OLD"));
    }

    heal_release(h);
}


static void
heal_on_pv(redis_t *rc, ai_resp_t *reply, void *data)
{
    heal_t      *h;
    heal_key_t  *k;

    (void) rc;

    k = data;
    h = k->heal;

    if (!h->closing) {
        h->written += reply && reply->type == AI_RESP_STATUS;
        heal_key_done(k, reply == NULL || reply->type == AI_RESP_ERROR);
    }

    heal_release(h);
}


static void
heal_key_done(heal_key_t *k, int failed)
{
    heal_t  *h;

    h = k->heal;

    if (failed) {
        h->failed = 1;
    }

    if (--h->out > 0) {
        return;
    }

    if (h->n == HEAL_PAGE && !h->failed) {
        heal_page(h);

    } else {
        heal_end(h);
    }
}


/*
 * The next look begins at the mark of the last one, not of this: a look-up
 * that had read an old state may have written it after this look.
 */

static void
heal_end(heal_t *h)
{
    uint64_t  wait;

    h->busy = 0;

    if (h->written > 0) {
        log_write(LOG_WARN, "heal", "Redis had an old state of %u keys or "
                  "tenants: they are as in Postgres now", h->written);
    }

    if (!h->failed && h->mark >= 0) {
        h->from = h->last;
        h->last = h->mark;
    }

    wait = HEAL_EVERY_MSEC + uv_hrtime() % HEAL_SPREAD_MSEC;
    uv_timer_start(&h->timer, heal_on_timer, h->restart ? 0 : wait, 0);
}
