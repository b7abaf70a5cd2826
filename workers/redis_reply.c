/*
 * Reading replies without trusting their shape.  Owns nothing.
 */

#include "redis.h"


ai_str_t
redis_str(const redisReply *reply)
{
    if (reply == NULL
        || (reply->type != REDIS_REPLY_STRING
            && reply->type != REDIS_REPLY_STATUS))
    {
        return (ai_str_t) { 0, "" };
    }

    return (ai_str_t) { (size_t) reply->len, reply->str };
}


const redisReply *
redis_item(const redisReply *reply, size_t i)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || i >= reply->elements)
    {
        return NULL;
    }

    return reply->element[i];
}


int
redis_word(const redisReply *reply, const char *word)
{
    return ai_str_eqz(redis_str(redis_item(reply, 0)), word);
}


int
redis_int(const redisReply *reply, int64_t *n)
{
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER) {
        *n = reply->integer;
        return 0;
    }

    return ai_str_int(redis_str(reply), n);
}
