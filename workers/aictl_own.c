/*
 * aictl provider-key: keys of providers that are a tenant's own.  A key is
 * read from a file, never from the command line, sealed here, and shown by
 * nobody; workers are told after the commit.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "account.h"
#include "aictl_own_in.h"
#include "ai_crypto.h"


#define AICTL_OWN_PROVIDER_MAX  128


static int aictl_own_provider(const char *name);
static int aictl_own_read(const aictl_t *a, char *secret, size_t *len);
static int aictl_own_open(aictl_t *a, const vault_t *v, const char *tenant,
    aictl_data_key_t *d);
static int aictl_own_room(aictl_t *a);
static int aictl_own_put(aictl_t *a, const aictl_data_key_t *d,
    const char *id, ai_str_t secret);


int
aictl_own_vault(aictl_t *a, vault_t **v)
{
    char         why[VAULT_WHY_MAX];
    const char  *spec;

    spec = a->opt[AICTL_OPT_MASTER_KEY];

    if (spec == NULL || *spec == '\0') {
        aictl_error("the master key must be told: --master-key SPEC or "
                    "AI_MASTER_KEY");
        return AICTL_USAGE;
    }

    *v = vault_open(spec, a->opt[AICTL_OPT_OLD_MASTER_KEY], why);

    if (*v == NULL) {
        aictl_error("the master key cannot be used: %s", why);
        return AICTL_FAILED;
    }

    return AICTL_OK;
}


int
aictl_own_begin(aictl_t *a, const char *tenant)
{
    PGresult    *res;
    const char  *params[1] = { tenant };

    if (aictl_exec(a, "BEGIN") != AICTL_OK) {
        return AICTL_FAILED;
    }

    res = aictl_query(a, 1, params,
                      "SELECT pg_advisory_xact_lock(7274498, hashtext($1))");
    PQclear(res);

    return res ? AICTL_OK : AICTL_FAILED;
}


void
aictl_own_rollback(aictl_t *a)
{
    (void) aictl_exec(a, "ROLLBACK");
}


int
aictl_own_id(char id[AICTL_OWN_ID_LEN + 1], const char *mark)
{
    unsigned char  random[8];

    if (ai_random(random, sizeof(random)) != 0) {
        aictl_error("OpenSSL has no random bytes");
        return -1;
    }

    memcpy(id, mark, 3);
    ai_hex(id + 3, random, sizeof(random));
    id[AICTL_OWN_ID_LEN] = '\0';

    return 0;
}


char *
aictl_own_hex(const void *data, size_t len)
{
    char  *hex;

    hex = malloc(2 * len + 1);

    if (hex == NULL) {
        aictl_error("no memory");
        return NULL;
    }

    ai_hex(hex, data, len);
    hex[2 * len] = '\0';

    return hex;
}


unsigned char *
aictl_own_bytes(const PGresult *res, int row, int column, size_t *len)
{
    ai_str_t        hex;
    unsigned char  *p;

    hex = (ai_str_t) { (size_t) PQgetlength(res, row, column),
                       PQgetvalue(res, row, column) };
    p = malloc(hex.len / 2 + 1);

    if (p != NULL && ai_unhex(p, hex) != 0) {
        free(p);
        p = NULL;
    }

    *len = hex.len / 2;

    return p;
}


int
aictl_own_data_key(aictl_t *a, const vault_t *v, const char *tenant,
    aictl_data_key_t *d)
{
    char            why[VAULT_WHY_MAX], *hex;
    size_t          len;
    PGresult       *res;
    const char     *params[4];
    unsigned char   wrapped[VAULT_WRAPPED_MAX];

    if (aictl_own_id(d->id, "dk_") != 0
        || ai_random(d->key, sizeof(d->key)) != 0)
    {
        return AICTL_FAILED;
    }

    if (vault_wrap(v, (ai_str_t) { strlen(tenant), tenant },
                   (ai_str_t) { strlen(d->id), d->id }, d->key, wrapped, &len,
                   why)
        != 0)
    {
        aictl_error("a data key cannot be wrapped: %s", why);
        return AICTL_FAILED;
    }

    hex = aictl_own_hex(wrapped, len);
    if (hex == NULL) {
        return AICTL_FAILED;
    }

    params[0] = d->id;
    params[1] = tenant;
    params[2] = vault_current(v);
    params[3] = hex;
    res = aictl_query(a, 4, params,
                      "INSERT INTO ngxai.data_keys (id, tenant, master,"
                      " wrapped) VALUES ($1, $2, $3, decode($4, 'hex'))");
    PQclear(res);
    free(hex);

    return res ? AICTL_OK : AICTL_FAILED;
}


int
aictl_own_unwrap(const vault_t *v, const char *tenant, const PGresult *res,
    int row, int column, aictl_data_key_t *d, char *why)
{
    int             rc;
    size_t          len;
    ai_str_t        id, master;
    unsigned char  *wrapped;

    id = (ai_str_t) { (size_t) PQgetlength(res, row, column),
                      PQgetvalue(res, row, column) };
    master = (ai_str_t) { (size_t) PQgetlength(res, row, column + 1),
                          PQgetvalue(res, row, column + 1) };
    wrapped = aictl_own_bytes(res, row, column + 2, &len);

    if (wrapped == NULL || id.len != AICTL_OWN_ID_LEN) {
        (void) snprintf(why, VAULT_WHY_MAX, "its data key cannot be read");
        free(wrapped);
        return AICTL_FAILED;
    }

    (void) snprintf(d->id, sizeof(d->id), "%s", id.data);
    rc = vault_unwrap(v, master, (ai_str_t) { strlen(tenant), tenant }, id,
                      (ai_str_t) { len, (const char *) wrapped }, d->key,
                      why);
    free(wrapped);

    return rc == 0 ? AICTL_OK : AICTL_FAILED;
}


int
aictl_own_tell(aictl_t *a, const char *tenant)
{
    int  rc;

    rc = aictl_redis(a);

    if (rc == AICTL_OK
        && aictl_redis_int(a, "PUBLISH %s O%s", AI_OWN_CHANNEL, tenant) < 0)
    {
        aictl_error("Redis: %s", aictl_redis_why(a));
        rc = AICTL_UNREACHABLE;
    }

    if (rc != AICTL_OK) {
        aictl_note("it is in Postgres; the workers find it within 10 s");
    }

    return rc;
}


static int
aictl_own_provider(const char *name)
{
    size_t  i, len;

    len = strlen(name);

    for (i = 0; i < len; i++) {
        if (name[i] <= ' ' || name[i] > '~' || strchr("\"\\/", name[i])) {
            break;
        }
    }

    if (len == 0 || len > AICTL_OWN_PROVIDER_MAX || i != len) {
        aictl_error("\"%s\" is no name of an ai_provider", name);
        return AICTL_USAGE;
    }

    return AICTL_OK;
}


/* What workers send is checked here, for here somebody sees what is wrong. */

static int
aictl_own_read(const aictl_t *a, char *secret, size_t *len)
{
    int          fd;
    size_t       i;
    ssize_t      n;
    const char  *file;

    file = a->opt[AICTL_OPT_FILE];
    fd = 0;

    if (file != NULL) {
        fd = open(file, O_RDONLY|O_CLOEXEC);

        if (fd == -1) {
            aictl_error("%s: %s", file, strerror(errno));
            return AICTL_FAILED;
        }

    } else if (isatty(0)) {
        aictl_note("the key, and the end of the file:");
    }

    *len = 0;

    do {
        n = read(fd, secret + *len, VAULT_SECRET_MAX + 1 - *len);
        *len += n > 0 ? (size_t) n : 0;
    } while (n > 0 && *len <= VAULT_SECRET_MAX);

    if (file != NULL) {
        close(fd);
    }

    if (n < 0) {
        aictl_error("the key cannot be read: %s", strerror(errno));
        return AICTL_FAILED;
    }

    if (*len > VAULT_SECRET_MAX) {
        aictl_error("a key is at most %d bytes long", VAULT_SECRET_MAX);
        return AICTL_USAGE;
    }

    while (*len != 0 && (unsigned char) secret[*len - 1] <= ' ') {
        (*len)--;
    }

    /* A service account is a JSON text, with lines. */

    for (i = 0; i < *len; i++) {
        if ((unsigned char) secret[i] > '~'
            || ((unsigned char) secret[i] <= ' ' && secret[0] != '{')
            || secret[i] == '\0')
        {
            break;
        }
    }

    if (*len == 0 || i != *len) {
        aictl_error("that is no key: it is empty, or has blanks, line ends or "
                    "bytes outside of ASCII");
        return AICTL_USAGE;
    }

    if (!account_own_ok((ai_str_t) { *len, secret })) {
        aictl_error("the account's token_uri is not Google's");
        return AICTL_USAGE;
    }

    return AICTL_OK;
}


/* The tenant's data key that seals now, counted; a new one where it has none,
 * or that one has sealed enough. */

static int
aictl_own_open(aictl_t *a, const vault_t *v, const char *tenant,
    aictl_data_key_t *d)
{
    int          rc;
    char         why[VAULT_WHY_MAX];
    PGresult    *res;
    const char  *params[2] = { tenant, NULL };

    res = aictl_query(a, 1, params,
        "SELECT id, master, encode(wrapped, 'hex') FROM ngxai.data_keys"
        " WHERE tenant = $1 AND seals < 65536"
        " ORDER BY created_at DESC, id LIMIT 1");

    if (res == NULL) {
        return AICTL_FAILED;
    }

    if (PQntuples(res) == 0) {
        rc = aictl_own_data_key(a, v, tenant, d);

    } else {
        rc = aictl_own_unwrap(v, tenant, res, 0, 0, d, why);

        if (rc != AICTL_OK) {
            aictl_error("the data key of %s cannot be opened: %s", tenant,
                        why);
        }
    }

    PQclear(res);

    if (rc != AICTL_OK) {
        return rc;
    }

    params[0] = d->id;
    res = aictl_query(a, 1, params, "UPDATE ngxai.data_keys"
                      " SET seals = seals + 1 WHERE id = $1");
    PQclear(res);

    return res ? AICTL_OK : AICTL_FAILED;
}


static int
aictl_own_room(aictl_t *a)
{
    int64_t      n;
    PGresult    *res;
    const char  *params[2] = { a->opt[AICTL_OPT_TENANT], a->arg[0] };

    n = 0;
    res = aictl_query(a, 2, params,
                      "SELECT count(*) FROM ngxai.provider_keys"
                      " WHERE tenant = $1 AND provider <> $2");
    if (res == NULL) {
        return AICTL_FAILED;
    }

    (void) ai_str_int((ai_str_t) { (size_t) PQgetlength(res, 0, 0),
                                   PQgetvalue(res, 0, 0) }, &n);
    PQclear(res);

    if (n >= VAULT_KEYS_MAX) {
        aictl_error("a tenant has keys of at most %d providers",
                    VAULT_KEYS_MAX);
        return AICTL_FAILED;
    }

    return AICTL_OK;
}


static int
aictl_own_put(aictl_t *a, const aictl_data_key_t *d, const char *id,
    ai_str_t secret)
{
    char            *hex;
    PGresult        *res;
    const char      *params[5] = { a->opt[AICTL_OPT_TENANT], a->arg[0], id,
                                   d->id, NULL };
    vault_place_t    place;
    unsigned char   *sealed;

    place.tenant = (ai_str_t) { strlen(params[0]), params[0] };
    place.provider = (ai_str_t) { strlen(params[1]), params[1] };
    place.id = (ai_str_t) { strlen(id), id };
    place.data_key = (ai_str_t) { strlen(d->id), d->id };
    sealed = malloc(secret.len + AI_SEAL_MORE);

    if (sealed == NULL || vault_seal(d->key, &place, secret, sealed) != 0) {
        aictl_error("the key cannot be sealed");
        free(sealed);
        return AICTL_FAILED;
    }

    hex = aictl_own_hex(sealed, secret.len + AI_SEAL_MORE);
    free(sealed);

    if (hex == NULL) {
        return AICTL_FAILED;
    }

    params[4] = hex;
    res = aictl_query(a, 5, params,
        "INSERT INTO ngxai.provider_keys (tenant, provider, id, data_key,"
        " sealed) VALUES ($1, $2, $3, $4, decode($5, 'hex'))"
        " ON CONFLICT (tenant, provider) DO UPDATE SET id = EXCLUDED.id,"
        " data_key = EXCLUDED.data_key, sealed = EXCLUDED.sealed,"
        " created_at = clock_timestamp()");
    PQclear(res);
    free(hex);

    return res ? AICTL_OK : AICTL_FAILED;
}


int
aictl_own_set(aictl_t *a)
{
    int                rc, out;
    char               id[AICTL_OWN_ID_LEN + 1];
    char               secret[VAULT_SECRET_MAX + 2];
    size_t             len;
    json_t            *row;
    vault_t           *v;
    const char        *tenant;
    aictl_data_key_t   d;

    v = NULL;
    tenant = a->opt[AICTL_OPT_TENANT];
    memset(&d, 0, sizeof(d));
    rc = aictl_own_provider(a->arg[0]);

    if (rc == AICTL_OK) {
        rc = aictl_own_vault(a, &v);
    }

    if (rc == AICTL_OK) {
        rc = aictl_own_read(a, secret, &len);
    }

    if (rc == AICTL_OK) {
        rc = aictl_pg(a);
    }

    if (rc == AICTL_OK) {
        rc = aictl_tenant_known(a);
    }

    if (rc == AICTL_OK && aictl_own_id(id, "pk_") != 0) {
        rc = AICTL_FAILED;
    }

    if (rc == AICTL_OK) {
        rc = aictl_own_begin(a, tenant);
    }

    if (rc == AICTL_OK) {
        rc = aictl_own_room(a);
    }

    if (rc == AICTL_OK) {
        rc = aictl_own_open(a, v, tenant, &d);
    }

    if (rc == AICTL_OK) {
        rc = aictl_own_put(a, &d, id, (ai_str_t) { len, secret });
    }

    if (rc == AICTL_OK) {
        rc = aictl_exec(a, "COMMIT");
    }

    ai_wipe(secret, sizeof(secret));
    ai_wipe(d.key, sizeof(d.key));
    vault_close(v);

    if (rc != AICTL_OK) {
        return rc;
    }

    row = json_pack("{s:s, s:s, s:s, s:s}", "tenant", tenant, "provider",
                    a->arg[0], "id", id, "data_key", d.id);
    rc = aictl_own_tell(a, tenant);
    out = aictl_object(a, row);

    return rc ? rc : out;
}


int
aictl_own_list(aictl_t *a)
{
    int          rc;
    json_t      *rows;
    PGresult    *res;
    const char  *params[1] = { a->opt[AICTL_OPT_TENANT] };
    static const aictl_column_t  columns[] = {
        { "tenant", "TENANT", 0 }, { "provider", "PROVIDER", 0 },
        { "id", "ID", 0 }, { "data_key", "DATA KEY", 0 },
        { "master", "MASTER KEY", 0 }, { "created", "CREATED", 0 },
        { NULL, NULL, 0 }
    };

    rc = aictl_pg(a);

    if (rc == AICTL_OK && params[0]) {
        rc = aictl_tenant_known(a);
    }

    if (rc != AICTL_OK) {
        return rc;
    }

    res = aictl_query(a, 1, params,
        "SELECT k.tenant, k.provider, k.id, k.data_key, d.master,"
        " to_char(k.created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created"
        " FROM ngxai.provider_keys k"
        " JOIN ngxai.data_keys d ON d.tenant = k.tenant"
        "   AND d.id = k.data_key"
        " WHERE $1::text IS NULL OR k.tenant = $1"
        " ORDER BY k.tenant, k.provider");
    if (res == NULL) {
        return AICTL_FAILED;
    }

    rows = aictl_result_rows(res);
    PQclear(res);

    return aictl_rows(a, columns, rows);
}


/* With its last key goes a tenant's data key: what copies there are of the
 * rows is of no use to anybody. */

int
aictl_own_remove(aictl_t *a)
{
    int          rc, out;
    char         id[AICTL_OWN_ID_LEN + 1];
    json_t      *row;
    PGresult    *res;
    const char  *params[2] = { a->opt[AICTL_OPT_TENANT], a->arg[0] };

    rc = aictl_pg(a);

    if (rc == AICTL_OK) {
        rc = aictl_tenant_known(a);
    }

    if (rc == AICTL_OK) {
        rc = aictl_own_begin(a, params[0]);
    }

    if (rc != AICTL_OK) {
        return rc;
    }

    res = aictl_query(a, 2, params,
                      "DELETE FROM ngxai.provider_keys"
                      " WHERE tenant = $1 AND provider = $2 RETURNING id");
    if (res == NULL) {
        return AICTL_FAILED;
    }

    if (PQntuples(res) == 0) {
        aictl_error("%s has no key of its own of the provider %s", params[0],
                    params[1]);
        PQclear(res);
        return AICTL_NOT_FOUND;
    }

    (void) snprintf(id, sizeof(id), "%s", PQgetvalue(res, 0, 0));
    PQclear(res);

    res = aictl_query(a, 1, params,
                      "DELETE FROM ngxai.data_keys d WHERE tenant = $1"
                      " AND NOT EXISTS (SELECT FROM ngxai.provider_keys k"
                      " WHERE k.tenant = d.tenant AND k.data_key = d.id)");
    PQclear(res);

    if (res == NULL || aictl_exec(a, "COMMIT") != AICTL_OK) {
        return AICTL_FAILED;
    }

    row = json_pack("{s:s, s:s, s:s, s:s}", "tenant", params[0], "provider",
                    params[1], "id", id, "state", "removed");
    rc = aictl_own_tell(a, params[0]);
    out = aictl_object(a, row);

    return rc ? rc : out;
}
