/*
 * Who may do what: the one table of roles, scopes and operations.  The edge
 * asks it before a job is made, the worker again before a provider is called.
 * Constant tables: pointers are valid for ever, any thread may call.
 */

#ifndef AI_ROLE_H
#define AI_ROLE_H

#include "ai_str.h"

#define AI_ROLE_MAX    32           /* bytes of a role */
#define AI_SCOPES_MAX  1024         /* of all scopes */

/* What an operation needs; a scope has the same name. */
typedef enum {
    AI_RIGHT_COMPLETIONS = 0,
    AI_RIGHT_TOOLS,
    AI_RIGHT_FILES,
    AI_RIGHT_MODELS_READ,
    AI_RIGHT_JOBS_READ,
    AI_RIGHT_JOBS_WRITE,
    AI_RIGHT_ADMIN_READ,
    AI_RIGHT_ADMIN_WRITE,
    AI_RIGHT_LAST
} ai_right_e;

/* The mightier the later. */
typedef enum {
    AI_ROLE_VIEWER = 0,
    AI_ROLE_MEMBER,                 /* also the empty name */
    AI_ROLE_TENANT_ADMIN,
    AI_ROLE_PLATFORM_ADMIN,
    AI_ROLE_LAST
} ai_role_e;

typedef enum {
    AI_ALLOWED = 0,
    AI_ROLE_LACKS,                  /* the role does not allow it */
    AI_SCOPE_LACKS                  /* the role does, the scopes do not */
} ai_allowed_e;

/* A role by its name (case matters): ai_role_e; -1 if unknown. */
int ai_role_find(ai_str_t name);
/* i-th name, NULL past the last. */
const char *ai_role_name(unsigned i);

/* A right by the name of its scope: ai_right_e; -1 if unknown. */
int ai_right_find(ai_str_t name);
const char *ai_right_name(unsigned i);
/* What an operation needs, of a job's spec (docs/wire.md, 3) or of an endpoint
 * (models, job, events, cancel): ai_right_e; -1 for one that is unknown, and
 * that nobody may. */
int ai_right_of(ai_str_t op);

/*
 * Whether role and scopes (separated by blanks, as a principal has them) allow
 * it.  Scopes only take away: none at all is all that the role allows, those
 * that are unknown are skipped.  An unknown role allows nothing.
 */
ai_allowed_e ai_role_allows(ai_str_t role, ai_str_t scopes, ai_right_e right);

/*
 * Of what others say (a token): the name of the mightiest role among those
 * separated by blanks that is one of ours and no mightier than most, or the
 * empty one; and, appended, the scopes that are ours.
 */
ai_str_t ai_role_mightiest(ai_str_t roles, ai_role_e most);
void ai_scopes_known(ai_buf_t *b, ai_str_t scopes);

/* Appends why not, a sentence for people. */
void ai_role_why(ai_buf_t *b, ai_str_t role, ai_allowed_e allowed,
    ai_right_e right);

#endif
