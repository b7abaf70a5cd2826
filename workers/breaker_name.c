/*
 * Names of breakers: what of a call something is held against, by the address
 * of its provider.  Owns nothing.
 */

#include "breaker_in.h"

#include <string.h>


static uint64_t breaker_mix(uint64_t hash, ai_str_t s);


ai_str_t
breaker_name(char *buf, breaker_kind_e kind, int own,
    const breaker_call_t *call)
{
    size_t         i;
    ai_buf_t       b;
    uint64_t       tag;
    const char    *z;
    const json_t  *item;

    tag = 14695981039346656037u;

    json_array_foreach(json_object_get(call->route->conf, "url"), i, item) {
        z = json_string_value(item);
        tag = breaker_mix(tag, (ai_str_t) { z != NULL ? strlen(z) : 0, z });
    }

    ai_buf_init(&b, buf, BREAKER_NAME_MAX);
    ai_buf_add(&b, (char[2]) { (char) kind, ' ' }, 2);
    ai_buf_add_str(&b, call->route->provider);

    if (kind != BREAKER_PROVIDER && kind != BREAKER_KEY) {
        ai_buf_add_z(&b, "/");
        ai_buf_add_str(&b, call->route->model);
    }

    if (kind != BREAKER_PROVIDER && kind != BREAKER_MODEL) {
        ai_buf_add_z(&b, "#");
        ai_buf_add_int(&b, call->key);
    }

    ai_buf_add_z(&b, "@");
    ai_buf_add_int(&b, (int64_t) (tag >> 1));

    if (own) {
        ai_buf_add_z(&b, " ");
        ai_buf_add_str(&b, call->tenant);
    }

    return (ai_str_t) { b.full ? 0 : ai_buf_len(&b), buf };
}


uint64_t
breaker_hash(ai_str_t name)
{
    return breaker_mix(14695981039346656037u, name);
}


static uint64_t
breaker_mix(uint64_t hash, ai_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        hash = (hash ^ (unsigned char) s.data[i]) * 1099511628211u;
    }

    return (hash ^ 0xff) * 1099511628211u;
}


/* A tenant's name has no blank and no "@", behind which there is a number. */

ai_str_t
breaker_common(ai_str_t name)
{
    const char  *at, *blank;

    at = memrchr(name.data, '@', name.len);
    blank = at != NULL
            ? memchr(at, ' ', name.len - (size_t) (at - name.data)) : NULL;
    name.len = blank != NULL ? (size_t) (blank - name.data) : 0;

    return name;
}


uint64_t
breaker_most(char kind)
{
    return kind == BREAKER_KEY || kind == BREAKER_LIMIT ? BREAKER_BENCH_MAX
                                                        : BREAKER_OPEN_MAX;
}
