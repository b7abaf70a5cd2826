/*
 * Words of the script principal from a row of Postgres.  Owns nothing.
 */

#include "principal_write.h"

#include <string.h>

#include "ai_keys.h"
#include "principal.h"
#include "sign.h"


static int principal_sign(ai_str_t name, unsigned argc, const ai_str_t *argv,
    char mac[AI_SHA256_HEX]);


int
principal_write(redis_t *rc, ai_str_t name, const PGresult *res,
    redis_reply_pt cb, void *data)
{
    int          i, made;
    char         mac[AI_SHA256_HEX];
    unsigned     argc;
    ai_str_t     argv[3 + 2 * (PRINCIPAL_COLUMNS + 1)];
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

    made = principal_sign(name, argc, argv, mac);

    if (made == -1) {
        return -1;
    }

    if (made) {
        argv[argc++] = ai_str("mac");
        argv[argc++] = (ai_str_t) { sizeof(mac), mac };
    }

    return redis_script(rc, AI_SCRIPT_PRINCIPAL, ai_str(AI_GLOBAL_PREFIX), cb,
                        data, argc, argv);
}


static int
principal_sign(ai_str_t name, unsigned argc, const ai_str_t *argv,
    char mac[AI_SHA256_HEX])
{
    int       at;
    unsigned  i;
    ai_str_t  values[AI_SIGN_FIELDS];

    for (i = 0; i < AI_SIGN_FIELDS; i++) {
        values[i] = ai_str("");
    }

    values[ai_sign_field(ai_str("v"))] = argv[1];

    for (i = 3; i + 1 < argc; i += 2) {
        at = ai_sign_field(argv[i]);

        if (at != -1) {
            values[at] = argv[i + 1];
        }
    }

    return sign_principal(name, values, mac);
}
