/*
 * Words of the script principal from a row of Postgres.  Owns nothing.
 */

#include "principal_write.h"

#include <string.h>

#include "ai_keys.h"
#include "principal.h"


int
principal_write(redis_t *rc, ai_str_t name, const PGresult *res,
    redis_reply_pt cb, void *data)
{
    int          i;
    unsigned     argc;
    ai_str_t     argv[3 + 2 * PRINCIPAL_COLUMNS];
    const char  *text;

    argc = 0;
    argv[argc++] = name;

    if (PQntuples(res) == 0) {
        argv[argc++] = ai_str("0");
        argv[argc++] = ai_str(PRINCIPAL_UNKNOWN_MS);
        argv[argc++] = ai_str("state");
        argv[argc++] = ai_str("unknown");

    } else {
        text = PQgetvalue(res, 0, 0);
        argv[argc++] = (ai_str_t) { strlen(text), text };
        argv[argc++] = ai_str(PRINCIPAL_TTL_MS);

        for (i = 1; i < PRINCIPAL_COLUMNS && i < PQnfields(res); i++) {
            text = PQfname(res, i);
            argv[argc++] = (ai_str_t) { strlen(text), text };
            argv[argc++] = (ai_str_t) { (size_t) PQgetlength(res, 0, i),
                                        PQgetvalue(res, 0, i) };
        }
    }

    return redis_script(rc, AI_SCRIPT_PRINCIPAL, ai_str(AI_GLOBAL_PREFIX), cb,
                        data, argc, argv);
}
