/*
 * aictl provider-key check, rotate, rewrap: over all of the keys there are.
 * Each tenant, or data key, is a transaction of its own, so that what is
 * killed leaves some done, the others as they were, and all of them usable.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aictl_own_in.h"
#include "ai_crypto.h"


/* A tenant's keys: provider, id, sealed, data key, master, wrapped. */
#define AICTL_OWN_SQL                                                         \
    "SELECT k.provider, k.id, encode(k.sealed, 'hex'), d.id, d.master,"       \
    " encode(d.wrapped, 'hex') FROM ngxai.provider_keys k"                    \
    " JOIN ngxai.data_keys d ON d.tenant = k.tenant AND d.id = k.data_key"    \
    " WHERE k.tenant = $1 ORDER BY d.id, k.provider"


static PGresult *aictl_own_tenants(aictl_t *a);
static long aictl_own_unseal(const char *tenant, const PGresult *res, int row,
    const aictl_data_key_t *d, unsigned char *out);
static int aictl_own_move(aictl_t *a, const vault_t *v, const char *tenant,
    int *moved);
static int aictl_own_reseal(aictl_t *a, const char *tenant,
    const PGresult *res, int row, ai_str_t secret,
    const aictl_data_key_t *to);
static int aictl_own_again(aictl_t *a, const vault_t *v, const PGresult *ids,
    int row);


static PGresult *
aictl_own_tenants(aictl_t *a)
{
    const char  *params[1] = { a->opt[AICTL_OPT_TENANT] };

    return aictl_query(a, 1, params,
                       "SELECT DISTINCT tenant FROM ngxai.provider_keys"
                       " WHERE $1::text IS NULL OR tenant = $1"
                       " ORDER BY tenant");
}


/* Into out, which is as large as a sealed key: its length, or -1. */

static long
aictl_own_unseal(const char *tenant, const PGresult *res, int row,
    const aictl_data_key_t *d, unsigned char *out)
{
    long            n;
    size_t          len;
    vault_place_t   place;
    unsigned char  *sealed;

    place.tenant = (ai_str_t) { strlen(tenant), tenant };
    place.provider = (ai_str_t) { (size_t) PQgetlength(res, row, 0),
                                  PQgetvalue(res, row, 0) };
    place.id = (ai_str_t) { (size_t) PQgetlength(res, row, 1),
                            PQgetvalue(res, row, 1) };
    place.data_key = (ai_str_t) { strlen(d->id), d->id };
    sealed = aictl_own_bytes(res, row, 2, &len);

    n = sealed != NULL && len <= VAULT_SECRET_MAX + AI_SEAL_MORE
        ? vault_unseal(d->key, &place,
                       (ai_str_t) { len, (const char *) sealed }, out) : -1;
    free(sealed);

    return n;
}


int
aictl_own_check(aictl_t *a)
{
    int                rc, bad, i, k;
    char               why[VAULT_WHY_MAX];
    json_t            *rows;
    vault_t           *v;
    PGresult          *tenants, *res;
    const char        *tenant;
    unsigned char      secret[VAULT_SECRET_MAX + AI_SEAL_MORE];
    aictl_data_key_t   d;
    static const aictl_column_t  columns[] = {
        { "tenant", "TENANT", 0 }, { "provider", "PROVIDER", 0 },
        { "id", "ID", 0 }, { "master", "MASTER KEY", 0 },
        { "state", "STATE", 0 }, { NULL, NULL, 0 }
    };

    v = NULL;
    rc = aictl_own_vault(a, &v);

    if (rc == AICTL_OK) {
        rc = aictl_pg(a);
    }

    if (rc == AICTL_OK && a->opt[AICTL_OPT_TENANT]) {
        rc = aictl_tenant_known(a);
    }

    tenants = rc == AICTL_OK ? aictl_own_tenants(a) : NULL;

    if (tenants == NULL) {
        vault_close(v);
        return rc != AICTL_OK ? rc : AICTL_FAILED;
    }

    rows = json_array();
    bad = 0;
    memset(&d, 0, sizeof(d));

    for (i = 0; i < PQntuples(tenants); i++) {
        tenant = PQgetvalue(tenants, i, 0);
        res = aictl_query(a, 1, &tenant, AICTL_OWN_SQL);

        if (res == NULL) {
            rc = AICTL_FAILED;
            break;
        }

        /* One that does not open is asked for again: a KMS may be back. */

        d.id[0] = '\0';

        for (k = 0; k < PQntuples(res); k++) {
            why[0] = '\0';

            if (strcmp(d.id, PQgetvalue(res, k, 3)) != 0
                && aictl_own_unwrap(v, tenant, res, k, 3, &d, why)
                   != AICTL_OK)
            {
                d.id[0] = '\0';

            } else if (aictl_own_unseal(tenant, res, k, &d, secret) < 0) {
                (void) snprintf(why, sizeof(why), "it does not open: it was "
                                "changed, or is another's");
            }

            ai_wipe(secret, sizeof(secret));
            bad += why[0] != '\0';
            (void) json_array_append_new(rows,
                json_pack("{s:s, s:s, s:s, s:s, s:s}", "tenant", tenant,
                          "provider", PQgetvalue(res, k, 0), "id",
                          PQgetvalue(res, k, 1), "master",
                          PQgetvalue(res, k, 4), "state",
                          why[0] != '\0' ? why : "ok"));
        }

        PQclear(res);
    }

    ai_wipe(&d, sizeof(d));
    PQclear(tenants);
    vault_close(v);
    k = aictl_rows(a, columns, rows);

    return rc != AICTL_OK ? rc : bad != 0 ? AICTL_FAILED : k;
}


int
aictl_own_rotate(aictl_t *a)
{
    int          rc, told, one, i, moved, failed;
    vault_t     *v;
    PGresult    *tenants;
    const char  *tenant;

    v = NULL;
    rc = aictl_own_vault(a, &v);

    if (rc == AICTL_OK) {
        rc = aictl_pg(a);
    }

    if (rc == AICTL_OK && a->opt[AICTL_OPT_TENANT]) {
        rc = aictl_tenant_known(a);
    }

    tenants = rc == AICTL_OK ? aictl_own_tenants(a) : NULL;

    if (tenants == NULL) {
        vault_close(v);
        return rc != AICTL_OK ? rc : AICTL_FAILED;
    }

    moved = 0;
    failed = 0;
    told = AICTL_OK;

    for (i = 0; i < PQntuples(tenants); i++) {
        tenant = PQgetvalue(tenants, i, 0);
        one = aictl_own_begin(a, tenant);

        if (one == AICTL_OK) {
            one = aictl_own_move(a, v, tenant, &moved);
        }

        if (one == AICTL_OK) {
            one = aictl_exec(a, "COMMIT");
        }

        if (one != AICTL_OK) {
            aictl_own_rollback(a);
            failed++;

        } else if (told == AICTL_OK) {
            told = aictl_own_tell(a, tenant);
        }
    }

    one = aictl_object(a, json_pack("{s:i, s:i, s:i}", "tenants",
                                    PQntuples(tenants) - failed, "keys",
                                    moved, "failed", failed));
    PQclear(tenants);
    vault_close(v);

    return failed != 0 ? AICTL_FAILED : told != AICTL_OK ? told : one;
}


/* All of a tenant's keys, to a new data key; the others go. */

static int
aictl_own_move(aictl_t *a, const vault_t *v, const char *tenant, int *moved)
{
    int                rc, k, n;
    char               why[VAULT_WHY_MAX], seals[16];
    long               len;
    PGresult          *res, *gone;
    const char        *params[3];
    unsigned char      secret[VAULT_SECRET_MAX + AI_SEAL_MORE];
    aictl_data_key_t   from, to;

    memset(&from, 0, sizeof(from));
    memset(&to, 0, sizeof(to));
    res = aictl_query(a, 1, &tenant, AICTL_OWN_SQL);

    if (res == NULL) {
        return AICTL_FAILED;
    }

    n = PQntuples(res);
    rc = n != 0 ? aictl_own_data_key(a, v, tenant, &to) : AICTL_OK;

    for (k = 0; k < n && rc == AICTL_OK; k++) {

        if (strcmp(from.id, PQgetvalue(res, k, 3)) != 0
            && aictl_own_unwrap(v, tenant, res, k, 3, &from, why) != AICTL_OK)
        {
            aictl_error("%s: %s", tenant, why);
            rc = AICTL_FAILED;
            break;
        }

        len = aictl_own_unseal(tenant, res, k, &from, secret);

        if (len < 0) {
            aictl_error("%s, %s: it does not open: it was changed, or is "
                        "another's", tenant, PQgetvalue(res, k, 0));
            rc = AICTL_FAILED;
            break;
        }

        rc = aictl_own_reseal(a, tenant, res, k,
                              (ai_str_t) { (size_t) len,
                                           (const char *) secret }, &to);
        ai_wipe(secret, sizeof(secret));
    }

    PQclear(res);
    ai_wipe(&from, sizeof(from));
    ai_wipe(to.key, sizeof(to.key));

    if (rc != AICTL_OK || n == 0) {
        return rc;
    }

    (void) snprintf(seals, sizeof(seals), "%d", n);
    params[0] = tenant;
    params[1] = to.id;
    params[2] = seals;
    gone = aictl_query(a, 2, params, "DELETE FROM ngxai.data_keys"
                       " WHERE tenant = $1 AND id <> $2");
    PQclear(gone);

    if (gone != NULL) {
        gone = aictl_query(a, 2, params + 1, "UPDATE ngxai.data_keys"
                           " SET seals = $2::integer WHERE id = $1");
        PQclear(gone);
    }

    *moved += n;

    return gone != NULL ? AICTL_OK : AICTL_FAILED;
}


static int
aictl_own_reseal(aictl_t *a, const char *tenant, const PGresult *res, int row,
    ai_str_t secret, const aictl_data_key_t *to)
{
    char           *hex;
    PGresult       *done;
    const char     *params[3];
    vault_place_t   place;
    unsigned char   sealed[VAULT_SECRET_MAX + AI_SEAL_MORE];

    place.tenant = (ai_str_t) { strlen(tenant), tenant };
    place.provider = (ai_str_t) { (size_t) PQgetlength(res, row, 0),
                                  PQgetvalue(res, row, 0) };
    place.id = (ai_str_t) { (size_t) PQgetlength(res, row, 1),
                            PQgetvalue(res, row, 1) };
    place.data_key = (ai_str_t) { strlen(to->id), to->id };

    if (vault_seal(to->key, &place, secret, sealed) != 0) {
        aictl_error("a key cannot be sealed");
        return AICTL_FAILED;
    }

    hex = aictl_own_hex(sealed, secret.len + AI_SEAL_MORE);
    if (hex == NULL) {
        return AICTL_FAILED;
    }

    params[0] = place.id.data;
    params[1] = to->id;
    params[2] = hex;
    done = aictl_query(a, 3, params, "UPDATE ngxai.provider_keys"
                       " SET data_key = $2, sealed = decode($3, 'hex')"
                       " WHERE id = $1");
    PQclear(done);
    free(hex);

    return done ? AICTL_OK : AICTL_FAILED;
}


int
aictl_own_rewrap(aictl_t *a)
{
    int          rc, i, done, failed;
    vault_t     *v;
    PGresult    *ids;
    const char  *current;

    v = NULL;
    rc = aictl_own_vault(a, &v);

    if (rc == AICTL_OK) {
        rc = aictl_pg(a);
    }

    ids = NULL;

    if (rc == AICTL_OK) {
        current = vault_current(v);
        ids = aictl_query(a, 1, &current,
                          "SELECT id, tenant FROM ngxai.data_keys"
                          " WHERE master <> $1 ORDER BY tenant, id");
        rc = ids != NULL ? AICTL_OK : AICTL_FAILED;
    }

    if (rc != AICTL_OK) {
        vault_close(v);
        return rc;
    }

    done = 0;
    failed = 0;

    for (i = 0; i < PQntuples(ids); i++) {
        rc = aictl_own_again(a, v, ids, i);

        if (rc == AICTL_OK) {
            rc = aictl_exec(a, "COMMIT");
        }

        if (rc == AICTL_OK) {
            done++;

        } else {
            aictl_own_rollback(a);
            failed++;
        }
    }

    PQclear(ids);
    rc = aictl_object(a, json_pack("{s:s, s:i, s:i}", "master",
                                   vault_current(v), "rewrapped", done,
                                   "left", failed));
    vault_close(v);

    return failed != 0 ? AICTL_FAILED : rc;
}


/* One data key, of which nothing changes but who wraps it; one that has gone,
 * or was done by another meanwhile, is done. */

static int
aictl_own_again(aictl_t *a, const vault_t *v, const PGresult *ids, int row)
{
    int                rc;
    char               why[VAULT_WHY_MAX], *hex;
    size_t             len;
    PGresult          *res;
    const char        *tenant, *params[3];
    unsigned char      wrapped[VAULT_WRAPPED_MAX];
    aictl_data_key_t   d;

    tenant = PQgetvalue(ids, row, 1);
    params[0] = PQgetvalue(ids, row, 0);
    params[1] = vault_current(v);

    if (aictl_own_begin(a, tenant) != AICTL_OK) {
        return AICTL_FAILED;
    }

    res = aictl_query(a, 2, params,
                      "SELECT id, master, encode(wrapped, 'hex')"
                      " FROM ngxai.data_keys WHERE id = $1 AND master <> $2");

    if (res == NULL || PQntuples(res) == 0) {
        PQclear(res);
        return res != NULL ? AICTL_OK : AICTL_FAILED;
    }

    rc = aictl_own_unwrap(v, tenant, res, 0, 0, &d, why);
    PQclear(res);

    if (rc == AICTL_OK
        && vault_wrap(v, (ai_str_t) { strlen(tenant), tenant },
                      (ai_str_t) { strlen(d.id), d.id }, d.key, wrapped, &len,
                      why)
           != 0)
    {
        rc = AICTL_FAILED;
    }

    ai_wipe(d.key, sizeof(d.key));

    if (rc != AICTL_OK) {
        aictl_error("%s, %s: %s", tenant, params[0], why);
        return rc;
    }

    hex = aictl_own_hex(wrapped, len);
    if (hex == NULL) {
        return AICTL_FAILED;
    }

    params[2] = hex;
    res = aictl_query(a, 3, params, "UPDATE ngxai.data_keys SET master = $2,"
                      " wrapped = decode($3, 'hex') WHERE id = $1");
    PQclear(res);
    free(hex);

    return res ? AICTL_OK : AICTL_FAILED;
}
