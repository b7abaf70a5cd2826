/*
 * A principal from Postgres to Redis, for the parts of a worker.  Owns
 * nothing.
 */

#ifndef PRINCIPAL_WRITE_H
#define PRINCIPAL_WRITE_H

#include <libpq-fe.h>

#include "redis.h"

/*
 * Writes what PRINCIPAL_SQL answered (no row: an unknown key) for the key with
 * this SHA-256, or TENANT_SQL for the tenant of this name, by the script
 * principal, whose reply cb gets: "OK", or "OLD" where a newer state is there.
 * All is copied.  0, or -1 as redis_script.
 */
int principal_write(redis_t *rc, ai_str_t name, const PGresult *res,
    redis_reply_pt cb, void *data);

#endif
