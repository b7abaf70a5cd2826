/*
 * Redis keys and channels.  Constant tables, values only.
 */

#include "ai_keys.h"

#include <string.h>

#include "ai_crypto.h"
#include "ai_id.h"

typedef enum {
    AI_NAME_NONE = 0,
    AI_NAME_JOB,
    AI_NAME_TENANT,
    AI_NAME_VERSIONED,
    AI_NAME_PROCESS,
    AI_NAME_SHA,
    AI_NAME_SHAPE
} ai_name_e;

typedef struct {
    const char *text;
    ai_name_e   name;
} ai_key_row_t;


static size_t ai_keys_end(ai_buf_t *b);
static void ai_keys_add_prefix(ai_buf_t *b, unsigned shard);
static size_t ai_keys_global(char *buf, size_t size, const char *text,
    ai_str_t name, int ok);
static int ai_keys_name_ok(ai_name_e kind, ai_str_t name);
static int ai_keys_lower_or_digit(char c);


static const ai_key_row_t  ai_keys_rows[] = {
    [AI_KEY_JOB] = { "job:", AI_NAME_JOB },
    [AI_KEY_BODY] = { "body:", AI_NAME_JOB },
    [AI_KEY_EV] = { "ev:", AI_NAME_JOB },
    [AI_KEY_ALIVE] = { "alive", AI_NAME_NONE },
    [AI_KEY_CAPACITY] = { "capacity", AI_NAME_NONE },
    [AI_KEY_SWEEP] = { "sweep", AI_NAME_NONE },
    [AI_KEY_WAITING] = { "waiting", AI_NAME_NONE },
    [AI_KEY_OUTBOX] = { "outbox", AI_NAME_NONE },
    [AI_KEY_BACKLOG] = { "backlog:", AI_NAME_TENANT },
    [AI_KEY_RUNNING] = { "running:", AI_NAME_TENANT },
    [AI_KEY_HELD] = { "held:", AI_NAME_PROCESS },
    [AI_KEY_PV] = { "pv:", AI_NAME_VERSIONED },
    [AI_KEY_EDGE_CHANNEL] = { "edge:", AI_NAME_PROCESS },
    [AI_KEY_WORKER_CHANNEL] = { "worker:", AI_NAME_PROCESS },
    [AI_KEY_WAITING_BATCH] = { "waiting:batch", AI_NAME_NONE },
    [AI_KEY_BACKLOG_BATCH] = { "backlog:batch:", AI_NAME_TENANT },
    [AI_KEY_BACKLOG_BYTES] = { "backlog_bytes", AI_NAME_NONE },
    [AI_KEY_WEIGHTS] = { "weights", AI_NAME_NONE },
    [AI_KEY_FAIR] = { "fair", AI_NAME_NONE },
    [AI_KEY_GRACE] = { "grace", AI_NAME_NONE },
    [AI_KEY_WAITING_LAST] = { "waiting:last", AI_NAME_NONE },
    [AI_KEY_BACKLOG_LAST] = { "backlog:last:", AI_NAME_TENANT },
    [AI_KEY_SUSPECTS] = { "suspects", AI_NAME_NONE },
    [AI_KEY_LIM] = { "lim:", AI_NAME_TENANT },
    [AI_KEY_SEEDING] = { "lim:seeding", AI_NAME_NONE },
    [AI_KEY_CACHE] = { "cache:", AI_NAME_SHA },
    [AI_KEY_CACHED] = { "cached", AI_NAME_NONE },
    [AI_KEY_CACHE_SUM] = { "cache_sum", AI_NAME_NONE },
    [AI_KEY_FLIGHT] = { "flight:", AI_NAME_SHAPE },
    [AI_KEY_SHARED] = { "shared:", AI_NAME_JOB },
    [AI_KEY_RESPONSE] = { "resp:", AI_NAME_SHA },
    [AI_KEY_PARK] = { "park:", AI_NAME_SHA },
    [AI_KEY_PARKED] = { "parked", AI_NAME_NONE },
    [AI_KEY_PARKING] = { "parking", AI_NAME_NONE }
};


unsigned
ai_keys_shard(ai_str_t tenant, unsigned nshards)
{
    unsigned       i;
    uint64_t       n;
    unsigned char  sha[AI_SHA256_LEN];

    if (nshards <= 1 || ai_sha256(sha, tenant) != 0) {
        return 0;
    }

    for (n = 0, i = 0; i < 8; i++) {
        n = n << 8 | sha[i];
    }

    return (unsigned) (n % nshards);
}


size_t
ai_keys_prefix(char *buf, size_t size, unsigned shard)
{
    ai_buf_t  b;

    ai_buf_init(&b, buf, size);
    ai_keys_add_prefix(&b, shard);

    return ai_keys_end(&b);
}


size_t
ai_keys_make(char *buf, size_t size, ai_key_e key, unsigned shard,
    ai_str_t name)
{
    ai_buf_t             b;
    const ai_key_row_t  *row;

    if ((unsigned) key >= sizeof(ai_keys_rows) / sizeof(ai_keys_rows[0])) {
        return 0;
    }

    row = &ai_keys_rows[key];

    if (!ai_keys_name_ok(row->name, name)) {
        return 0;
    }

    ai_buf_init(&b, buf, size);
    ai_keys_add_prefix(&b, shard);
    ai_buf_add_z(&b, row->text);

    if (row->name != AI_NAME_NONE) {
        ai_buf_add_str(&b, name);
    }

    return ai_keys_end(&b);
}


size_t
ai_keys_principal(char *buf, size_t size, ai_str_t name)
{
    if (name.len <= AI_TENANT_MAX) {
        return ai_keys_global(buf, size, AI_GLOBAL_PREFIX "tenant:", name,
                              ai_keys_tenant_ok(name));
    }

    return ai_keys_global(buf, size, AI_GLOBAL_PREFIX "key:", name,
                          ai_sha256_hex_ok(name));
}


size_t
ai_keys_catalog(char *buf, size_t size, ai_str_t hex)
{
    return ai_keys_global(buf, size, AI_GLOBAL_PREFIX "catalog:", hex,
                          ai_sha256_hex_ok(hex));
}


size_t
ai_keys_jwks(char *buf, size_t size, ai_str_t hex)
{
    return ai_keys_global(buf, size, AI_JWKS_KEY ":", hex,
                          ai_sha256_hex_ok(hex));
}


size_t
ai_keys_models(char *buf, size_t size, ai_str_t hex)
{
    return ai_keys_global(buf, size, AI_GLOBAL_PREFIX "models:", hex,
                          ai_sha256_hex_ok(hex));
}


size_t
ai_keys_metrics(char *buf, size_t size, ai_str_t worker)
{
    return ai_keys_global(buf, size, AI_GLOBAL_PREFIX "metrics:", worker,
                          ai_keys_process_ok(worker));
}


int
ai_keys_tenant_ok(ai_str_t tenant)
{
    size_t  i;
    char    c;

    if (tenant.len == 0 || tenant.len > AI_TENANT_MAX
        || !ai_keys_lower_or_digit(tenant.data[0]))
    {
        return 0;
    }

    for (i = 1; i < tenant.len; i++) {
        c = tenant.data[i];

        if (!ai_keys_lower_or_digit(c) && c != '.' && c != '_' && c != '-') {
            return 0;
        }
    }

    return 1;
}


int
ai_keys_process_ok(ai_str_t id)
{
    size_t  i;
    char    c;

    if (id.len == 0 || id.len > AI_PROCESS_ID_MAX) {
        return 0;
    }

    for (i = 0; i < id.len; i++) {
        c = id.data[i];

        if (!ai_keys_lower_or_digit(c) && !(c >= 'A' && c <= 'Z')
            && c != '.' && c != '-')
        {
            return 0;
        }
    }

    return 1;
}


int
ai_keys_key_id_ok(ai_str_t id)
{
    size_t  i;
    char    c;

    if (id.len == 0 || id.len > AI_KEY_ID_MAX) {
        return 0;
    }

    for (i = 0; i < id.len; i++) {
        c = id.data[i];

        if (!ai_keys_lower_or_digit(c) && !(c >= 'A' && c <= 'Z')
            && c != '.' && c != '-' && c != '_')
        {
            return 0;
        }
    }

    return 1;
}


static size_t
ai_keys_end(ai_buf_t *b)
{
    ai_buf_add(b, "", 1);

    return b->full ? 0 : ai_buf_len(b) - 1;
}


static void
ai_keys_add_prefix(ai_buf_t *b, unsigned shard)
{
    ai_buf_add_z(b, AI_GLOBAL_PREFIX "{");
    ai_buf_add_int(b, shard);
    ai_buf_add_z(b, "}:");
}


static size_t
ai_keys_global(char *buf, size_t size, const char *text, ai_str_t name, int ok)
{
    ai_buf_t  b;

    if (!ok) {
        return 0;
    }

    ai_buf_init(&b, buf, size);
    ai_buf_add_z(&b, text);
    ai_buf_add_str(&b, name);

    return ai_keys_end(&b);
}


static int
ai_keys_name_ok(ai_name_e kind, ai_str_t name)
{
    switch (kind) {

    case AI_NAME_JOB:
        return ai_id_job_ok(name);

    case AI_NAME_TENANT:
        return ai_keys_tenant_ok(name);

    case AI_NAME_VERSIONED:
        if (name.len > AI_TENANT_MARK_LEN
            && memcmp(name.data, AI_TENANT_MARK, AI_TENANT_MARK_LEN) == 0)
        {
            name.data += AI_TENANT_MARK_LEN;
            name.len -= AI_TENANT_MARK_LEN;

            return ai_keys_tenant_ok(name);
        }

        return ai_keys_key_id_ok(name);

    case AI_NAME_PROCESS:
        return ai_keys_process_ok(name);

    case AI_NAME_SHAPE:
        if (name.len == 0 || !ai_keys_lower_or_digit(name.data[name.len - 1]))
        {
            return 0;
        }

        name.len--;

        /* fall through */

    case AI_NAME_SHA:
        return ai_sha256_hex_ok(name);

    case AI_NAME_NONE:
        break;
    }

    return 1;
}


static int
ai_keys_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
