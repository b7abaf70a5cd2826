/*
 * aictl cache purge: kept answers go, from Redis in bounded steps and then
 * from the shared memory of the edges.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aictl.h"
#include "ai_crypto.h"


#define AICTL_PURGE_STEP  "200"         /* answers a call */
/* Steps a shard: nobody keeps as many answers. */
#define AICTL_PURGE_MAX   1000000


/* What one step says: 0 and where the next begins (0: nowhere), or -1 after
 * saying why. */

static int
aictl_cache_step(aictl_t *a, const char *prefix, const char *cursor,
    char next[32], long long *removed)
{
    int          rc;
    redisReply  *reply;
    const char  *argv[5];

    argv[0] = a->opt[AICTL_OPT_TENANT] ? a->opt[AICTL_OPT_TENANT] : "";
    argv[1] = a->opt[AICTL_OPT_MODEL] ? a->opt[AICTL_OPT_MODEL] : "";
    argv[2] = a->opt[AICTL_OPT_KEY] ? a->opt[AICTL_OPT_KEY] : "";
    argv[3] = cursor;
    argv[4] = AICTL_PURGE_STEP;

    reply = aictl_redis_script(a, AI_SCRIPT_PURGE, prefix, 5, argv);
    rc = -1;

    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY
        && reply->elements == 3 && reply->element[1]->str != NULL
        && reply->element[2]->str != NULL)
    {
        *removed += strtoll(reply->element[1]->str, NULL, 10);
        (void) snprintf(next, 32, "%s", reply->element[2]->str);
        rc = 0;

    } else {
        aictl_error("Redis: %s", reply == NULL ? aictl_redis_why(a)
                                 : reply->type == REDIS_REPLY_ERROR
                                 ? reply->str : "unexpected reply");
    }

    freeReplyObject(reply);

    return rc;
}


int
aictl_cache_purge(aictl_t *a)
{
    char         prefix[AI_KEY_MAX], cursor[32], next[32];
    char         none[AI_SHA256_HEX + 1];
    int          rc;
    unsigned     i, n, shards;
    long long    removed;
    const char  *key;

    key = a->opt[AICTL_OPT_KEY];

    if (key != NULL && !ai_sha256_hex_ok((ai_str_t) { strlen(key), key })) {
        aictl_error("--key must be the SHA-256 of a kept answer");
        return AICTL_USAGE;
    }

    rc = aictl_redis(a);
    if (rc != AICTL_OK) {
        return rc;
    }

    shards = aictl_shards(a);
    if (shards == 0) {
        return AICTL_UNREACHABLE;
    }

    removed = 0;

    for (i = 0; i < shards; i++) {
        prefix[ai_keys_prefix(prefix, sizeof(prefix), i)] = '\0';
        memcpy(cursor, "0", sizeof("0"));

        for (n = 0; n < AICTL_PURGE_MAX; n++) {

            if (aictl_cache_step(a, prefix, cursor, next, &removed) != 0) {
                return AICTL_UNREACHABLE;
            }

            if (strcmp(next, "0") == 0) {
                break;
            }

            memcpy(cursor, next, sizeof(cursor));
        }
    }

    /* Behind what has gone from Redis, so that no edge reads it again. */

    memset(none, '0', AI_SHA256_HEX);
    none[AI_SHA256_HEX] = '\0';

    if (aictl_redis_int(a, "PUBLISH %s P%s", AI_KEYS_CHANNEL,
                        key != NULL ? key : none) < 0)
    {
        aictl_error("Redis: %s", aictl_redis_why(a));
        return AICTL_UNREACHABLE;
    }

    return aictl_object(a, json_pack("{s:I}", "removed",
                                     (json_int_t) removed));
}
