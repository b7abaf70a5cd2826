/*
 * aictl's question to Sentinels, which server is the master.  Owns nothing.
 */

#include "aictl_redis_in.h"

#include <stdio.h>
#include <string.h>


static int
aictl_sentinel_ask(aictl_t *a)
{
    int             rc;
    int64_t         port;
    redisReply     *reply, *name, *number;
    aictl_redis_t  *r;

    r = a->redis;
    reply = aictl_redis_argv(a, 3, (const char *[]) { "SENTINEL",
                             "GET-MASTER-ADDR-BY-NAME", r->master }, NULL);
    rc = -1;

    if (reply == NULL) {
        return -1;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        aictl_redis_failed(r, "SENTINEL", reply->str);

    } else if (reply->type == REDIS_REPLY_NIL) {
        aictl_redis_failed(r, "Sentinel knows no master", r->master);

    } else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        name = reply->element[0];
        number = reply->element[1];

        if (name->type == REDIS_REPLY_STRING
            && name->len && (size_t) name->len < sizeof(r->host.name)
            && number->type == REDIS_REPLY_STRING
            && ai_str_int((ai_str_t) { (size_t) number->len, number->str },
                          &port) == 0
            && port >= 1 && port <= 65535)
        {
            (void) snprintf(r->host.name, sizeof(r->host.name), "%s",
                            name->str);
            (void) snprintf(r->host.port, sizeof(r->host.port), "%d",
                            (int) port);
            rc = 0;
        }
    }

    freeReplyObject(reply);

    if (rc != 0 && r->fd >= 0) {
        aictl_redis_failed(r, "SENTINEL", "an unusable address");
    }

    return rc;
}


int
aictl_sentinel(aictl_t *a)
{
    int             rc;
    unsigned        i;
    const char     *user;
    aictl_redis_t  *r;

    r = a->redis;
    rc = -1;
    user = a->opt[AICTL_OPT_SENTINEL_USER];

    for (i = 0; i < r->nsentinels && rc != 0; i++) {
        r->host = r->sentinels[i];

        if (aictl_redis_open(r) == 0
            && aictl_redis_auth(a, user ? user : "", r->sentinel_password)
               == 0)
        {
            rc = aictl_sentinel_ask(a);
        }

        aictl_redis_hangup(r);
    }

    return rc;
}


int
aictl_sentinel_role(aictl_t *a)
{
    int          master;
    redisReply  *reply;

    reply = aictl_redis_argv(a, 1, (const char *[]) { "ROLE" }, NULL);
    if (reply == NULL) {
        return -1;
    }

    master = reply->type == REDIS_REPLY_ARRAY && reply->elements
             && reply->element[0]->type == REDIS_REPLY_STRING
             && strcmp(reply->element[0]->str, "master") == 0;

    if (!master) {
        aictl_redis_failed(a->redis, "ROLE", reply->type == REDIS_REPLY_ERROR
                           ? reply->str
                           : "the server that Sentinel named is no master");
    }

    freeReplyObject(reply);

    return master ? 0 : -1;
}
