/*
 * The only place where a Redis key or channel is spelled (docs/wire.md, 1).
 * Every function that makes one writes it into the caller's buffer, with a
 * zero byte behind, and returns its length without that byte; or 0, and buf is
 * not to be used, where a name is not valid or the buffer is too small.
 * AI_KEY_MAX bytes are enough for any key.
 */

#ifndef AI_KEYS_H
#define AI_KEYS_H

#include "ai_str.h"

#define AI_KEY_MAX     256
#define AI_TENANT_MAX  63
#define AI_KEY_ID_MAX  64
#define AI_SHARDS_KEY  "ai1:shards"
#define AI_CATALOG_NEWEST_KEY  "ai1:catalog:newest"  /* its SHA-256 in hex */
#define AI_LOOKUP_KEY  "ai1:lookup"
#define AI_JWKS_KEY    "ai1:jwks"
#define AI_JWKS_LEASE_KEY   "ai1:jwks:lease"
#define AI_JWKS_WANTED_KEY  "ai1:jwks:wanted"
#define AI_KEYS_CHANNEL  "ai1:keys"
#define AI_OWN_CHANNEL   "ai1:own"          /* tenants' own provider keys */
#define AI_BREAKERS_KEY      "ai1:breakers"      /* ":" and a hash: a permit */
#define AI_BREAKERS_CHANNEL  "ai1:breakers"
#define AI_GLOBAL_PREFIX  "ai1:"
#define AI_TENANT_MARK  "tenant:"           /* before a tenant, for AI_KEY_PV */
#define AI_TENANT_MARK_LEN  (sizeof(AI_TENANT_MARK) - 1)
#define AI_GROUP_WORKERS  "workers"
#define AI_GROUP_LEDGER   "ledger"

/* The shard of a tenant: 0 to nshards - 1; 0 where nshards is 0 or 1. */
unsigned ai_keys_shard(ai_str_t tenant, unsigned nshards);
/* P of a shard: KEYS[1] of every script but principal. */
size_t ai_keys_prefix(char *buf, size_t size, unsigned shard);

typedef enum {
    AI_KEY_JOB = 0,             /* P job:<id>, name is the job id */
    AI_KEY_BODY,
    AI_KEY_EV,
    AI_KEY_ALIVE,
    AI_KEY_CAPACITY,
    AI_KEY_SWEEP,
    AI_KEY_WAITING,
    AI_KEY_OUTBOX,
    AI_KEY_BACKLOG,             /* name is the tenant */
    AI_KEY_RUNNING,             /* name is the tenant */
    AI_KEY_HELD,                /* name is the worker id */
    AI_KEY_PV,                  /* name is the key id, or tenant:<tenant> */
    AI_KEY_EDGE_CHANNEL,        /* name is the edge id */
    AI_KEY_WORKER_CHANNEL,      /* name is the worker id */
    AI_KEY_WAITING_BATCH,
    AI_KEY_BACKLOG_BATCH,       /* name is the tenant */
    AI_KEY_BACKLOG_BYTES,
    AI_KEY_WEIGHTS,
    AI_KEY_FAIR,
    AI_KEY_GRACE,
    AI_KEY_WAITING_LAST,
    AI_KEY_BACKLOG_LAST,        /* name is the tenant */
    AI_KEY_SUSPECTS,
    AI_KEY_LIM,                 /* name is the tenant; what follows: wire, 13 */
    AI_KEY_SEEDING,
    AI_KEY_CACHE,               /* name is a SHA-256 in hex */
    AI_KEY_CACHED,
    AI_KEY_CACHE_SUM,
    AI_KEY_FLIGHT,              /* name is one, and a shape */
    AI_KEY_SHARED,              /* name is a job id */
    AI_KEY_RESPONSE,            /* name is a SHA-256 in hex */
    AI_KEY_PARK,                /* the same */
    AI_KEY_PARKED,
    AI_KEY_PARKING
} ai_key_e;

/* A key of a shard; name is what the list above says, checked, and is not
 * looked at where it says nothing. */
size_t ai_keys_make(char *buf, size_t size, ai_key_e key, unsigned shard,
    ai_str_t name);

/* Unsharded: principal of a key (name is its SHA-256 in hex) or record of a
 * tenant (its name, which is shorter), catalog, JWKS of a URL (hex is a
 * SHA-256), list of a provider's models (the same), metrics of a worker. */
size_t ai_keys_principal(char *buf, size_t size, ai_str_t name);
size_t ai_keys_catalog(char *buf, size_t size, ai_str_t hex);
size_t ai_keys_jwks(char *buf, size_t size, ai_str_t hex);
size_t ai_keys_models(char *buf, size_t size, ai_str_t hex);
size_t ai_keys_metrics(char *buf, size_t size, ai_str_t worker);

/* Validity of names before they touch a key, a log line or SQL: 1 or 0. */
int ai_keys_tenant_ok(ai_str_t tenant);
int ai_keys_process_ok(ai_str_t id);    /* edge and worker ids */
int ai_keys_key_id_ok(ai_str_t id);     /* [A-Za-z0-9._-]{1,64} */

#endif
