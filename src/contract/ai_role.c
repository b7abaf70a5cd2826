/*
 * Roles and scopes.  Constant tables, values only.
 */

#include "ai_role.h"


typedef struct {
    const char *name;
    unsigned    rights;             /* bits of ai_right_e */
} ai_role_row_t;


static int ai_role_next(ai_str_t *rest, ai_str_t *word);


static const char *const  ai_rights[] = {
    [AI_RIGHT_COMPLETIONS] = "completions",
    [AI_RIGHT_TOOLS] = "tools",
    [AI_RIGHT_FILES] = "files",
    [AI_RIGHT_MODELS_READ] = "models:read",
    [AI_RIGHT_JOBS_READ] = "jobs:read",
    [AI_RIGHT_JOBS_WRITE] = "jobs:write",
    [AI_RIGHT_ADMIN_READ] = "admin:read",
    [AI_RIGHT_ADMIN_WRITE] = "admin:write"
};

#define AI_RIGHT(name)  (1u << AI_RIGHT_##name)

#define AI_RIGHTS_READ    (AI_RIGHT(MODELS_READ) | AI_RIGHT(JOBS_READ))
#define AI_RIGHTS_MEMBER  (AI_RIGHTS_READ | AI_RIGHT(COMPLETIONS)             \
                           | AI_RIGHT(TOOLS) | AI_RIGHT(FILES)                \
                           | AI_RIGHT(JOBS_WRITE))
#define AI_RIGHTS_ADMIN   (AI_RIGHTS_MEMBER | AI_RIGHT(ADMIN_READ)            \
                           | AI_RIGHT(ADMIN_WRITE))

static const ai_role_row_t  ai_roles[] = {
    [AI_ROLE_VIEWER] = { "viewer", AI_RIGHTS_READ },
    [AI_ROLE_MEMBER] = { "member", AI_RIGHTS_MEMBER },
    [AI_ROLE_TENANT_ADMIN] = { "tenant_admin", AI_RIGHTS_ADMIN },
    [AI_ROLE_PLATFORM_ADMIN] = { "platform_admin", AI_RIGHTS_ADMIN }
};

static const struct {
    const char *op;
    ai_right_e  right;
} ai_role_ops[] = {
    { "chat", AI_RIGHT_COMPLETIONS },
    { "messages", AI_RIGHT_COMPLETIONS },
    { "responses", AI_RIGHT_COMPLETIONS },
    { "responses_read", AI_RIGHT_JOBS_READ },
    { "responses_write", AI_RIGHT_JOBS_WRITE },
    { "conversations_read", AI_RIGHT_JOBS_READ },
    { "conversations_write", AI_RIGHT_JOBS_WRITE },
    { "embeddings", AI_RIGHT_COMPLETIONS },
    { "completions", AI_RIGHT_COMPLETIONS },
    { "count_tokens", AI_RIGHT_COMPLETIONS },
    { "models", AI_RIGHT_MODELS_READ },
    { "job", AI_RIGHT_JOBS_READ },
    { "events", AI_RIGHT_JOBS_READ },
    { "cancel", AI_RIGHT_JOBS_WRITE }
};


int
ai_role_find(ai_str_t name)
{
    unsigned  i;

    if (name.len == 0) {
        return AI_ROLE_MEMBER;
    }

    for (i = 0; i < AI_ROLE_LAST; i++) {
        if (ai_str_eqz(name, ai_roles[i].name)) {
            return (int) i;
        }
    }

    return -1;
}


const char *
ai_role_name(unsigned i)
{
    return i < AI_ROLE_LAST ? ai_roles[i].name : NULL;
}


int
ai_right_find(ai_str_t name)
{
    unsigned  i;

    for (i = 0; i < AI_RIGHT_LAST; i++) {
        if (ai_str_eqz(name, ai_rights[i])) {
            return (int) i;
        }
    }

    return -1;
}


const char *
ai_right_name(unsigned i)
{
    return i < AI_RIGHT_LAST ? ai_rights[i] : NULL;
}


int
ai_right_of(ai_str_t op)
{
    size_t  i;

    for (i = 0; i < sizeof(ai_role_ops) / sizeof(ai_role_ops[0]); i++) {
        if (ai_str_eqz(op, ai_role_ops[i].op)) {
            return (int) ai_role_ops[i].right;
        }
    }

    return -1;
}


ai_allowed_e
ai_role_allows(ai_str_t role, ai_str_t scopes, ai_right_e right)
{
    int       row;
    ai_str_t  word;

    row = ai_role_find(role);

    if (row < 0 || (unsigned) right >= AI_RIGHT_LAST
        || !(ai_roles[row].rights & (1u << right)))
    {
        return AI_ROLE_LACKS;
    }

    if (!ai_role_next(&scopes, &word)) {
        return AI_ALLOWED;
    }

    do {
        if (ai_str_eqz(word, ai_rights[right])) {
            return AI_ALLOWED;
        }

    } while (ai_role_next(&scopes, &word));

    return AI_SCOPE_LACKS;
}


ai_str_t
ai_role_mightiest(ai_str_t roles, ai_role_e most)
{
    int       role, best;
    ai_str_t  word, name;

    best = -1;
    name = ai_str("");

    while (ai_role_next(&roles, &word)) {
        role = ai_role_find(word);

        if (role > best && role <= (int) most) {
            best = role;
            name = word;
        }
    }

    return name;
}


void
ai_scopes_known(ai_buf_t *b, ai_str_t scopes)
{
    char      *mark;
    ai_str_t   word;

    mark = b->pos;

    while (ai_role_next(&scopes, &word)) {
        if (ai_right_find(word) >= 0) {

            if (b->pos != mark) {
                ai_buf_add_z(b, " ");
            }

            ai_buf_add_str(b, word);
        }
    }
}


void
ai_role_why(ai_buf_t *b, ai_str_t role, ai_allowed_e allowed,
    ai_right_e right)
{
    if (allowed == AI_SCOPE_LACKS) {
        ai_buf_add_z(b, "This credential lacks the scope \"");
        ai_buf_add_z(b, ai_rights[right]);
        ai_buf_add_z(b, "\".");
        return;
    }

    if (ai_role_find(role) < 0) {
        ai_buf_add_z(b, "The role of this credential is unknown.");
        return;
    }

    ai_buf_add_z(b, "The role \"");
    ai_buf_add_z(b, ai_roles[ai_role_find(role)].name);
    ai_buf_add_z(b, "\" does not have the scope \"");
    ai_buf_add_z(b, ai_rights[right]);
    ai_buf_add_z(b, "\".");
}


/* The next word between blanks: 1, or 0 at the end. */

static int
ai_role_next(ai_str_t *rest, ai_str_t *word)
{
    size_t  n;

    while (rest->len && rest->data[0] == ' ') {
        rest->data++;
        rest->len--;
    }

    for (n = 0; n < rest->len && rest->data[n] != ' '; n++) { /* void */ }

    *word = (ai_str_t) { n, rest->data };
    rest->data += n;
    rest->len -= n;

    return n > 0;
}
