/*
 * Master keys, and what they keep: data keys of tenants are wrapped by a master
 * key, tenants' own keys of providers sealed by a data key.  Each is bound to
 * whom it belongs to, so that what was moved or changed does not open.
 *
 * A vault_t owns its keys and wipes them.  It is not changed after it was
 * opened: any thread may use it, and a KMS program blocks that thread.
 */

#ifndef VAULT_H
#define VAULT_H

#include "ai_seal.h"
#include "kms.h"

#define VAULT_NAME_MAX     48       /* of a master key, with its zero */
#define VAULT_WRAPPED_MAX  KMS_DATA_MAX
#define VAULT_SECRET_MAX   8192     /* bytes of a provider's key */
#define VAULT_KEYS_MAX     64       /* of a tenant */
#define VAULT_WHY_MAX      (KMS_WHY_MAX + 160)

typedef struct vault_s  vault_t;

/* Whose a key is; names are valid and have no line end. */
typedef struct {
    ai_str_t tenant;
    ai_str_t provider;
    ai_str_t id;
    ai_str_t data_key;              /* its id */
} vault_place_t;

/*
 * A vault of the current master key and, where old is not NULL, one that was
 * current before: env:NAME or file:PATH of 64 hex digits, or
 * kms:NAME=PROGRAM [ARG...].  NULL: why[VAULT_WHY_MAX] says it, and holds no
 * secret.
 */
vault_t *vault_open(const char *spec, const char *old, char *why);
/* NULL is fine. */
void vault_close(vault_t *v);
/* The current master key's name, as it stands beside what it wraps. */
const char *vault_current(const vault_t *v);

/* Wraps a data key by the current master key: 0 and *len bytes in
 * out[VAULT_WRAPPED_MAX], or -1 with why. */
int vault_wrap(const vault_t *v, ai_str_t tenant, ai_str_t data_key,
    const unsigned char key[AI_SEAL_KEY], unsigned char *out, size_t *len,
    char *why);
/* Undoes it, with the master key of that name: 0, or -1 with why and key is
 * zeroed. */
int vault_unwrap(const vault_t *v, ai_str_t master, ai_str_t tenant,
    ai_str_t data_key, ai_str_t wrapped, unsigned char key[AI_SEAL_KEY],
    char *why);

/* Seals a provider's key into out[secret.len + AI_SEAL_MORE]: 0 or -1. */
int vault_seal(const unsigned char key[AI_SEAL_KEY],
    const vault_place_t *place, ai_str_t secret, unsigned char *out);
/* Opens it into out[sealed.len]: its length, or -1. */
long vault_unseal(const unsigned char key[AI_SEAL_KEY],
    const vault_place_t *place, ai_str_t sealed, unsigned char *out);

#endif
