/*
 * What aictl_own.c (a tenant's own keys of providers) and aictl_own_rotate.c
 * (all of them at once) share.
 */

#ifndef AICTL_OWN_IN_H
#define AICTL_OWN_IN_H

#include "aictl.h"
#include "vault.h"

#define AICTL_OWN_ID_LEN  19            /* "pk_" or "dk_" and 16 hex digits */

/* A data key that is open; wiped by who has it. */
typedef struct {
    char           id[AICTL_OWN_ID_LEN + 1];
    unsigned char  key[AI_SEAL_KEY];
} aictl_data_key_t;


/* The vault of --master-key: exit code; what is wrong has been said. */
int aictl_own_vault(aictl_t *a, vault_t **v);
/* A transaction in which nobody else changes this tenant's keys: exit code. */
int aictl_own_begin(aictl_t *a, const char *tenant);
/* Gives it up. */
void aictl_own_rollback(aictl_t *a);
/* A new id behind a mark of three bytes: 0 or -1. */
int aictl_own_id(char id[AICTL_OWN_ID_LEN + 1], const char *mark);
/* A new data key, in Postgres: exit code. */
int aictl_own_data_key(aictl_t *a, const vault_t *v, const char *tenant,
    aictl_data_key_t *d);
/* Opens one as it lies in columns id, master and wrapped of a row: exit
 * code. */
int aictl_own_unwrap(const vault_t *v, const char *tenant, const PGresult *res,
    int row, int column, aictl_data_key_t *d, char *why);
/* Bytes as a parameter for decode(…, 'hex'): malloc, or NULL. */
char *aictl_own_hex(const void *data, size_t len);
/* A column of hex as bytes: malloc, *len; NULL: it is none. */
unsigned char *aictl_own_bytes(const PGresult *res, int row, int column,
    size_t *len);
/* Tells the workers, after the commit: exit code. */
int aictl_own_tell(aictl_t *a, const char *tenant);

#endif
