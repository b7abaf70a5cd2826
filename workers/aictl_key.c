/*
 * aictl key.  The text of a key is made here, printed once and forgotten;
 * Postgres gets its SHA-256.
 */

#include <stdio.h>
#include <string.h>

#include "aictl.h"
#include "ai_crypto.h"
#include "ai_role.h"


#define AICTL_KEY_ID_LEN      20        /* "key_" and 16 hex digits */
#define AICTL_KEY_PREFIX_LEN  10
#define AICTL_KEY_NETWORKS    16


/* Words between blanks, as an array of Postgres; none where it is NULL. */
#define AICTL_KEY_WORDS(param)                                                \
    " coalesce(regexp_split_to_array(nullif(btrim(" param "), ''), '\\s+'),"  \
    " '{}')"


static int
aictl_key_word(ai_str_t *rest, ai_str_t *word)
{
    while (rest->len && (rest->data[0] == ' ' || rest->data[0] == '\t')) {
        rest->data++;
        rest->len--;
    }

    *word = (ai_str_t) { 0, rest->data };

    while (rest->len && rest->data[0] != ' ' && rest->data[0] != '\t') {
        rest->data++;
        rest->len--;
        word->len++;
    }

    return word->len > 0;
}


static int
aictl_key_days(const aictl_t *a)
{
    int64_t      n;
    ai_str_t     text;
    const char  *days;

    days = a->opt[AICTL_OPT_EXPIRES];
    if (days == NULL) {
        return AICTL_OK;
    }

    text = (ai_str_t) { strlen(days), days };

    if (ai_str_int(text, &n) != 0 || n < 1 || n > 36500) {
        aictl_error("--expires is a number of days, 1 to 36500");
        return AICTL_USAGE;
    }

    return AICTL_OK;
}


/* A role or scope that nobody knows would refuse what was meant to be given. */

static int
aictl_key_role(const aictl_t *a)
{
    unsigned     i;
    ai_str_t     rest, word;
    const char  *role, *scopes;

    role = a->opt[AICTL_OPT_ROLE];
    scopes = a->opt[AICTL_OPT_SCOPES];

    if (role && ai_role_find((ai_str_t) { strlen(role), role }) < 0) {
        aictl_error("there is no role \"%s\": it is one of", role);

        for (i = 0; ai_role_name(i); i++) {
            aictl_note("    %s", ai_role_name(i));
        }

        return AICTL_USAGE;
    }

    rest = (ai_str_t) { scopes ? strlen(scopes) : 0, scopes };

    while (aictl_key_word(&rest, &word)) {
        if (ai_right_find(word) < 0) {
            aictl_error("there is no scope \"%.*s\": they are",
                        (int) word.len, word.data);

            for (i = 0; ai_right_name(i); i++) {
                aictl_note("    %s", ai_right_name(i));
            }

            return AICTL_USAGE;
        }
    }

    return AICTL_OK;
}


/* Whether they are networks is what Postgres says, and the bits behind the
 * mask. */

static int
aictl_key_networks(aictl_t *a)
{
    char         why[256];
    unsigned     n;
    ai_str_t     rest, word;
    PGresult    *res;
    const char  *params[1] = { a->opt[AICTL_OPT_NETWORKS] };

    if (params[0] == NULL) {
        return AICTL_OK;
    }

    rest = (ai_str_t) { strlen(params[0]), params[0] };

    for (n = 0; aictl_key_word(&rest, &word); n++) { /* void */ }

    if (n > AICTL_KEY_NETWORKS) {
        aictl_error("--networks is of at most %d networks",
                    AICTL_KEY_NETWORKS);
        return AICTL_USAGE;
    }

    res = aictl_query_try(a, 1, params, "SELECT" AICTL_KEY_WORDS("$1")
                          "::pg_catalog.cidr[]", why, sizeof(why));
    if (res == NULL) {
        aictl_error("--networks: %s", why);
        return AICTL_USAGE;
    }

    PQclear(res);
    return AICTL_OK;
}


static int
aictl_key_make(char *text, char *hex, char *id)
{
    size_t         i;
    ai_str_t       s = { AI_API_KEY_LEN, text };
    unsigned char  random[8];

    if (ai_api_key(text) != 0 || ai_sha256_hex(hex, s) != 0
        || ai_random(random, sizeof(random)) != 0)
    {
        aictl_error("OpenSSL has no random bytes");
        return AICTL_FAILED;
    }

    text[AI_API_KEY_LEN] = '\0';
    hex[AI_SHA256_HEX] = '\0';
    memcpy(id, "key_", 4);

    for (i = 0; i < sizeof(random); i++) {
        (void) snprintf(id + 4 + 2 * i, 3, "%02x", random[i]);
    }

    return AICTL_OK;
}


static int
aictl_key_insert(aictl_t *a, const char *id, const char *hex,
    const char *prefix)
{
    PGresult    *res;
    const char  *who[2] = { a->opt[AICTL_OPT_TENANT], a->opt[AICTL_OPT_USER] };
    const char  *params[11] = {
        id, hex, prefix, who[0], who[1], a->opt[AICTL_OPT_NAME],
        a->opt[AICTL_OPT_ROLE], a->opt[AICTL_OPT_SCOPES],
        a->opt[AICTL_OPT_MODELS], a->opt[AICTL_OPT_EXPIRES],
        a->opt[AICTL_OPT_NETWORKS]
    };

    if (aictl_exec(a, "BEGIN") != AICTL_OK) {
        return AICTL_FAILED;
    }

    if (who[1]) {
        res = aictl_query(a, 2, who,
                          "INSERT INTO ngxai.users (tenant, name)"
                          " VALUES ($1, $2) ON CONFLICT DO NOTHING");
        if (res == NULL) {
            return AICTL_FAILED;
        }

        PQclear(res);
    }

    res = aictl_query(a, 11, params,
        "INSERT INTO ngxai.api_keys (id, hash, prefix, tenant, user_name,"
        " name, role, scopes, models, expires_at, networks)"
        " VALUES ($1, decode($2, 'hex'), $3, $4, $5, coalesce($6, ''),"
        " coalesce($7, '')," AICTL_KEY_WORDS("$8") "," AICTL_KEY_WORDS("$9") ","
        " now() + make_interval(days => $10::int)," AICTL_KEY_WORDS("$11")
        "::pg_catalog.cidr[])");
    if (res == NULL) {
        return AICTL_FAILED;
    }

    PQclear(res);
    return aictl_exec(a, "COMMIT");
}


int
aictl_key_create(aictl_t *a)
{
    int          rc, out;
    char         text[AI_API_KEY_LEN + 1], hex[AI_SHA256_HEX + 1];
    char         id[AICTL_KEY_ID_LEN + 1], prefix[AICTL_KEY_PREFIX_LEN + 1];
    json_t      *row;
    unsigned     written;

    rc = aictl_key_days(a);

    if (rc == AICTL_OK) {
        rc = aictl_key_role(a);
    }

    if (rc == AICTL_OK) {
        rc = aictl_pg(a);
    }

    if (rc == AICTL_OK) {
        rc = aictl_key_networks(a);
    }

    if (rc == AICTL_OK) {
        rc = aictl_tenant_known(a);
    }

    if (rc == AICTL_OK) {
        rc = aictl_key_make(text, hex, id);
    }

    if (rc == AICTL_OK) {
        memcpy(prefix, text, AICTL_KEY_PREFIX_LEN);
        prefix[AICTL_KEY_PREFIX_LEN] = '\0';
        rc = aictl_key_insert(a, id, hex, prefix);
    }

    if (rc != AICTL_OK) {
        return rc;
    }

    /* Before Redis: a key that exists and was never seen is of no use. */
    row = json_pack("{s:s, s:s, s:s, s:s?, s:s}", "id", id, "key", text,
                    "tenant", a->opt[AICTL_OPT_TENANT], "user",
                    a->opt[AICTL_OPT_USER], "name", a->opt[AICTL_OPT_NAME]
                    ? a->opt[AICTL_OPT_NAME] : "");
    ai_wipe(text, sizeof(text));
    out = aictl_object(a, row);

    if (fflush(stdout) != 0) {
        aictl_error("cannot write: the key is lost; aictl key revoke %s", id);
        out = AICTL_FAILED;
    }

    rc = aictl_principals_write(a, "k.id = $1", id, &written);

    if (a->opt[AICTL_OPT_JSON] == NULL) {
        aictl_note("keep the key: it is not stored and not shown again");
    }

    return rc ? rc : out;
}


int
aictl_key_list(aictl_t *a)
{
    int          rc;
    json_t      *rows;
    PGresult    *res;
    const char  *params[1] = { a->opt[AICTL_OPT_TENANT] };
    static const aictl_column_t  columns[] = {
        { "id", "ID", 0 }, { "prefix", "PREFIX", 0 },
        { "tenant", "TENANT", 0 }, { "user", "USER", 0 },
        { "name", "NAME", 0 }, { "models", "MODELS", 0 },
        { "state", "STATE", 0 }, { "expires", "EXPIRES", 0 },
        { "created", "CREATED", 0 }, { NULL, NULL, 0 }
    };

    rc = aictl_pg(a);

    if (rc == AICTL_OK && params[0]) {
        rc = aictl_tenant_known(a);
    }

    if (rc != AICTL_OK) {
        return rc;
    }

    res = aictl_query(a, 1, params,
        "SELECT k.id, k.prefix, k.tenant, k.user_name AS \"user\", k.name,"
        " k.role, array_to_string(k.scopes, ' ') AS scopes,"
        " array_to_string(k.models, ' ') AS models,"
        " array_to_string(k.networks, ' ') AS networks,"
        " CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'"
        "      WHEN k.expires_at <= now() THEN 'expired'"
        "      WHEN t.state = 'disabled' THEN 'tenant disabled'"
        "      WHEN u.state = 'disabled' THEN 'user disabled'"
        "      ELSE 'active' END AS state, k.version,"
        " to_char(k.expires_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS expires,"
        " to_char(k.revoked_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS revoked,"
        " to_char(k.created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created"
        " FROM ngxai.api_keys k JOIN ngxai.tenants t ON t.id = k.tenant"
        " LEFT JOIN ngxai.users u"
        "   ON u.tenant = k.tenant AND u.name = k.user_name"
        " WHERE $1::text IS NULL OR k.tenant = $1"
        " ORDER BY k.tenant, k.created_at, k.id");
    if (res == NULL) {
        return AICTL_FAILED;
    }

    rows = aictl_result_rows(res);
    PQclear(res);

    return aictl_rows(a, columns, rows);
}


int
aictl_key_revoke(aictl_t *a)
{
    int          rc, out;
    json_t      *row;
    unsigned     written;
    PGresult    *res;
    const char  *params[1] = { a->arg[0] };

    rc = aictl_pg(a);
    if (rc != AICTL_OK) {
        return rc;
    }

    res = aictl_query(a, 1, params,
                      "UPDATE ngxai.api_keys"
                      " SET revoked_at = coalesce(revoked_at, now())"
                      " WHERE id = $1 RETURNING id, tenant, prefix");
    if (res == NULL) {
        return AICTL_FAILED;
    }

    if (PQntuples(res) == 0) {
        aictl_error("there is no key %s (its id is wanted, as \"aictl key "
                    "list\" shows it)", a->arg[0]);
        PQclear(res);
        return AICTL_NOT_FOUND;
    }

    row = json_pack("{s:s, s:s, s:s, s:s}", "id", PQgetvalue(res, 0, 0),
                    "tenant", PQgetvalue(res, 0, 1), "prefix",
                    PQgetvalue(res, 0, 2), "state", "revoked");
    PQclear(res);

    rc = aictl_principals_write(a, "k.id = $1", a->arg[0], &written);
    (void) json_object_set_new(row, "in_redis", json_boolean(written));
    out = aictl_object(a, row);

    return rc ? rc : out;
}


int
aictl_key_sync(aictl_t *a)
{
    int          rc, out;
    unsigned     written, tenants;
    const char  *tenant;

    rc = aictl_pg(a);

    if (rc == AICTL_OK && a->opt[AICTL_OPT_TENANT]) {
        rc = aictl_tenant_known(a);
    }

    if (rc == AICTL_OK) {
        rc = aictl_redis(a);
    }

    if (rc != AICTL_OK) {
        return rc;
    }

    tenant = a->opt[AICTL_OPT_TENANT] ? a->opt[AICTL_OPT_TENANT] : "";
    tenants = 0;

    /* A tombstone older than what Redis keeps of a key is of no use. */
    rc = aictl_principals_write(a, "($1 = '' OR k.tenant = $1)"
             " AND coalesce(k.revoked_at > now() - interval '25 hours', true)",
             tenant, &written);

    if (rc == AICTL_OK) {
        rc = aictl_tenants_write(a, tenant, &tenants);
    }

    out = aictl_object(a, json_pack("{s:i, s:i}", "keys_written",
                                    (int) written, "tenants_written",
                                    (int) tenants));

    return rc ? rc : out;
}
