/*
 * What Redis holds of a key and of a tenant, as Postgres says it (docs/wire.md,
 * 7): one query each, whose columns are named as the hash's fields, shared by
 * the workers and by aictl.  Constants only.
 */

#ifndef PRINCIPAL_H
#define PRINCIPAL_H

/* $1: SHA-256 of the key's text in hex.  One row or none; column 0 is v. */
#define PRINCIPAL_SQL                                                         \
    "SELECT v, state, id, name, tenant, tenant_state, weight, plan,"          \
    " user_name AS \"user\", role, scopes, models, expires, networks"         \
    " FROM ngxai.key_lookup(decode($1, 'hex'))"

#define PRINCIPAL_COLUMNS     14
#define PRINCIPAL_ID          2
#define PRINCIPAL_TENANT      4

/* $1: the tenant.  As above. */
#define TENANT_SQL                                                            \
    "SELECT v, state, plan, weight FROM ngxai.tenant_lookup($1)"

#define TENANT_COLUMNS        4

#define PRINCIPAL_TTL_MS      "86400000"
#define PRINCIPAL_UNKNOWN_MS  "10000"
#define PRINCIPAL_PV_S        "90000"

#endif
