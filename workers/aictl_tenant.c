/*
 * aictl tenant and aictl user: what changes a principal is committed first,
 * then written to Redis.
 */

#include <stdio.h>
#include <string.h>

#include "aictl.h"


static int
aictl_tenant_name(const char *name)
{
    ai_str_t  text = { strlen(name), name };

    if (!ai_keys_tenant_ok(text)) {
        aictl_error("\"%s\" is no name of a tenant: 1 to 63 of a-z, 0-9, "
                    "'.', '_', '-', a letter or digit first", name);
        return AICTL_USAGE;
    }

    return AICTL_OK;
}


int
aictl_tenant_known(aictl_t *a)
{
    int        n;
    ai_str_t   name;
    PGresult  *res;

    name.data = a->opt[AICTL_OPT_TENANT];
    name.len = strlen(name.data);
    n = 0;

    if (ai_keys_tenant_ok(name)) {
        res = aictl_query(a, 1, &name.data,
                          "SELECT FROM ngxai.tenants WHERE id = $1");
        if (res == NULL) {
            return AICTL_FAILED;
        }

        n = PQntuples(res);
        PQclear(res);
    }

    if (n == 0) {
        aictl_error("there is no tenant %s", name.data);
        return AICTL_NOT_FOUND;
    }

    return AICTL_OK;
}


static int
aictl_tenant_weight(const aictl_t *a)
{
    int64_t      n;
    ai_str_t     text;
    const char  *weight;

    weight = a->opt[AICTL_OPT_WEIGHT];
    if (weight == NULL) {
        return AICTL_OK;
    }

    text = (ai_str_t) { strlen(weight), weight };

    if (ai_str_int(text, &n) != 0 || n < 1 || n > 1000) {
        aictl_error("--weight is a number from 1 to 1000");
        return AICTL_USAGE;
    }

    return AICTL_OK;
}


int
aictl_tenant_create(aictl_t *a)
{
    int          rc, out;
    json_t      *rows, *row;
    unsigned     written;
    PGresult    *res;
    const char  *params[3] = { a->arg[0], a->opt[AICTL_OPT_PLAN],
                               a->opt[AICTL_OPT_WEIGHT] };

    rc = aictl_tenant_name(a->arg[0]);

    if (rc == AICTL_OK) {
        rc = aictl_tenant_weight(a);
    }

    if (rc == AICTL_OK) {
        rc = aictl_pg(a);
    }

    if (rc != AICTL_OK) {
        return rc;
    }

    res = aictl_query(a, 3, params,
                      "INSERT INTO ngxai.tenants (id, plan, weight)"
                      " VALUES ($1, coalesce($2, ''), coalesce($3::int, 1))"
                      " ON CONFLICT DO NOTHING"
                      " RETURNING id AS tenant, state, plan, weight");
    if (res == NULL) {
        return AICTL_FAILED;
    }

    if (PQntuples(res) == 0) {
        aictl_error("tenant %s exists already", a->arg[0]);
        PQclear(res);
        return AICTL_FAILED;
    }

    rows = aictl_result_rows(res);
    PQclear(res);
    row = json_incref(json_array_get(rows, 0));
    json_decref(rows);

    rc = aictl_tenants_write(a, a->arg[0], &written);
    out = aictl_object(a, row);

    return rc ? rc : out;
}


int
aictl_tenant_list(aictl_t *a)
{
    int        rc;
    json_t    *rows;
    PGresult  *res;
    static const aictl_column_t  columns[] = {
        { "tenant", "TENANT", 0 }, { "state", "STATE", 0 },
        { "plan", "PLAN", 0 }, { "weight", "WEIGHT", 1 },
        { "keys", "KEYS", 1 }, { "created", "CREATED", 0 },
        { NULL, NULL, 0 }
    };

    rc = aictl_pg(a);
    if (rc != AICTL_OK) {
        return rc;
    }

    res = aictl_query(a, 0, NULL,
        "SELECT t.id AS tenant, t.state, t.plan, t.weight,"
        " (SELECT count(*) FROM ngxai.api_keys k WHERE k.tenant = t.id"
        "   AND k.revoked_at IS NULL"
        "   AND coalesce(k.expires_at > now(), true)) AS keys,"
        " to_char(t.created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created"
        " FROM ngxai.tenants t ORDER BY t.id");
    if (res == NULL) {
        return AICTL_FAILED;
    }

    rows = aictl_result_rows(res);
    PQclear(res);

    return aictl_rows(a, columns, rows);
}


/*
 * Runs one UPDATE that returns a row where there is what it changes, then
 * writes the keys it touched to Redis and prints the row.
 */

static int
aictl_change(aictl_t *a, int nparams, const char **params, const char *sql,
    const char *what, const char *keys, const char *param)
{
    int        rc;
    json_t    *rows, *row;
    unsigned   written;
    PGresult  *res;

    rc = aictl_pg(a);
    if (rc != AICTL_OK) {
        return rc;
    }

    res = aictl_query(a, nparams, params, sql);
    if (res == NULL) {
        return AICTL_FAILED;
    }

    if (PQntuples(res) == 0) {
        aictl_error("there is no %s %s", what, a->arg[0]);
        PQclear(res);
        return AICTL_NOT_FOUND;
    }

    rows = aictl_result_rows(res);
    PQclear(res);
    row = json_incref(json_array_get(rows, 0));
    json_decref(rows);

    /* A request whose tenant no key says is refused by the tenant's record. */

    rc = strcmp(what, "tenant") == 0
         ? aictl_tenants_write(a, a->arg[0], &written) : AICTL_OK;

    if (rc == AICTL_OK) {
        rc = aictl_principals_write(a, keys, param, &written);

    } else {
        written = 0;
    }

    (void) json_object_set_new(row, "keys_written", json_integer(written));

    if (aictl_object(a, row) != AICTL_OK && rc == AICTL_OK) {
        rc = AICTL_FAILED;
    }

    return rc;
}


#define AICTL_TENANT_KEYS  "k.tenant = $1 AND k.revoked_at IS NULL"


int
aictl_tenant_state(aictl_t *a)
{
    int          rc;
    const char  *params[2] = { a->arg[0], "active" };

    rc = aictl_tenant_name(a->arg[0]);
    if (rc != AICTL_OK) {
        return rc;
    }

    if (strcmp(a->verb, "disable") == 0) {
        params[1] = "disabled";
    }

    return aictl_change(a, 2, params,
                        "UPDATE ngxai.tenants SET state = $2 WHERE id = $1"
                        " RETURNING id AS tenant, state",
                        "tenant", AICTL_TENANT_KEYS, a->arg[0]);
}


int
aictl_tenant_set(aictl_t *a)
{
    int          rc;
    const char  *params[3] = { a->arg[0], a->opt[AICTL_OPT_PLAN],
                               a->opt[AICTL_OPT_WEIGHT] };

    rc = aictl_tenant_name(a->arg[0]);

    if (rc == AICTL_OK) {
        rc = aictl_tenant_weight(a);
    }

    if (rc != AICTL_OK) {
        return rc;
    }

    if (params[1] == NULL && params[2] == NULL) {
        aictl_error("--plan or --weight says what to change");
        return AICTL_USAGE;
    }

    return aictl_change(a, 3, params,
                        "UPDATE ngxai.tenants SET plan = coalesce($2, plan),"
                        " weight = coalesce($3::int, weight) WHERE id = $1"
                        " RETURNING id AS tenant, state, plan, weight",
                        "tenant", AICTL_TENANT_KEYS, a->arg[0]);
}


int
aictl_user_list(aictl_t *a)
{
    int          rc;
    json_t      *rows;
    PGresult    *res;
    const char  *params[1] = { a->opt[AICTL_OPT_TENANT] };
    static const aictl_column_t  columns[] = {
        { "user", "USER", 0 }, { "state", "STATE", 0 },
        { "keys", "KEYS", 1 }, { "created", "CREATED", 0 },
        { NULL, NULL, 0 }
    };

    rc = aictl_tenant_name(params[0]);

    if (rc == AICTL_OK) {
        rc = aictl_pg(a);
    }

    if (rc == AICTL_OK) {
        rc = aictl_tenant_known(a);
    }

    if (rc != AICTL_OK) {
        return rc;
    }

    res = aictl_query(a, 1, params,
        "SELECT u.name AS \"user\", u.state,"
        " (SELECT count(*) FROM ngxai.api_keys k WHERE k.tenant = u.tenant"
        "   AND k.user_name = u.name AND k.revoked_at IS NULL"
        "   AND coalesce(k.expires_at > now(), true)) AS keys,"
        " to_char(u.created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created"
        " FROM ngxai.users u WHERE u.tenant = $1 ORDER BY u.name");
    if (res == NULL) {
        return AICTL_FAILED;
    }

    rows = aictl_result_rows(res);
    PQclear(res);

    return aictl_rows(a, columns, rows);
}


int
aictl_user_state(aictl_t *a)
{
    int          rc;
    const char  *params[3] = { a->opt[AICTL_OPT_TENANT], a->arg[0],
                               "active" };

    rc = aictl_tenant_name(params[0]);
    if (rc != AICTL_OK) {
        return rc;
    }

    if (strcmp(a->verb, "disable") == 0) {
        params[2] = "disabled";
    }

    /* The keys of the whole tenant: the same version again changes nothing. */
    return aictl_change(a, 3, params,
                        "UPDATE ngxai.users SET state = $3"
                        " WHERE tenant = $1 AND name = $2"
                        " RETURNING tenant, name AS \"user\", state",
                        "user", AICTL_TENANT_KEYS, params[0]);
}
