/*
 * What an answer shows before it says a word.  Owns nothing.
 */

#include "hello.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "ai_sse.h"
#include "provider.h"


#define HELLO_WISH_MAX  (24 * 3600 * 1000L)     /* ms; more is as much */
#define HELLO_MAX       (64 * 1024)             /* a larger event says more */


static int hello_openai(const json_t *choices);
static int hello_empty(const json_t *value);
static int hello_block(const json_t *block);


/* Types of events that only begin something. */

static const char *const  hello_types[] = {
    "message_start", "ping", "response.created", "response.queued",
    "response.in_progress", "response.output_item.added",
    "response.content_part.added", NULL
};


int
hello_is(ai_str_t raw)
{
    int                rc;
    size_t             i;
    json_t            *root;
    ai_str_t           event, data;
    const char        *type;
    const json_t      *item;

    if (raw.len > HELLO_MAX) {
        return 0;
    }

    if (!provider_data(raw, &event, &data)) {
        return !provider_has(raw, "data:");
    }

    root = json_loadb(data.data, data.len, JSON_ALLOW_NUL, NULL);
    if (root == NULL) {
        return data.len == 0;
    }

    rc = 0;
    item = json_object_get(root, "choices");
    type = json_string_value(json_object_get(root, "type"));

    if (json_is_array(item)) {
        rc = hello_openai(item)
             && !json_is_object(json_object_get(root, "usage"));

    } else if (type != NULL && strcmp(type, "content_block_start") == 0) {
        rc = hello_block(json_object_get(root, "content_block"));

    } else if (type != NULL
               && strcmp(type, "response.output_item.added") == 0)
    {
        /* A call of a tool has its name already. */

        type = json_string_value(json_object_get(json_object_get(root, "item"),
                                                 "type"));
        rc = type != NULL && (strcmp(type, "message") == 0
                              || strcmp(type, "reasoning") == 0);

    } else if (type != NULL) {
        for (i = 0; hello_types[i] != NULL; i++) {
            rc |= strcmp(type, hello_types[i]) == 0;
        }
    }

    json_decref(root);

    return rc;
}


static int
hello_openai(const json_t *choices)
{
    size_t         i;
    void          *iter;
    const char    *name;
    const json_t  *choice, *delta;

    json_array_foreach(choices, i, choice) {
        delta = json_object_get(choice, "delta");

        if (!json_is_object(delta)
            || json_is_string(json_object_get(choice, "finish_reason"))
            || json_object_get(choice, "text") != NULL)
        {
            return 0;
        }

        for (iter = json_object_iter((json_t *) delta);
             iter != NULL;
             iter = json_object_iter_next((json_t *) delta, iter))
        {
            name = json_object_iter_key(iter);

            if (strcmp(name, "role") != 0
                && !hello_empty(json_object_iter_value(iter)))
            {
                return 0;
            }
        }
    }

    return 1;
}


static int
hello_empty(const json_t *value)
{
    return json_is_null(value)
           || (json_is_string(value) && json_string_length(value) == 0)
           || (json_is_array(value) && json_array_size(value) == 0);
}


static int
hello_block(const json_t *block)
{
    const char  *type;

    type = json_string_value(json_object_get(block, "type"));

    if (type == NULL) {
        return 0;
    }

    if (strcmp(type, "text") == 0) {
        return hello_empty(json_object_get(block, "text"));
    }

    return strcmp(type, "thinking") == 0
           && hello_empty(json_object_get(block, "thinking"));
}


/* Errors inside a 200 carry a type, or the status that they had. */

int
hello_blames(ai_str_t raw)
{
    int64_t   code;
    ai_str_t  event, data;

    if (!provider_data(raw, &event, &data)) {
        data = raw;
    }

    if (provider_has(data, "\"invalid_request")
        || provider_has(data, "\"request_too_large\"")
        || provider_has(data, "\"INVALID_ARGUMENT\""))
    {
        return 1;
    }

    code = provider_count(data, "error.code", 0);

    return code == 400 || code == 413 || code == 422;
}


void
hello_wish(ai_str_t name, ai_str_t value, int64_t *msec, unsigned *no_retry)
{
    char    text[64], *end;
    double  n, unit;
    time_t  at;

    if (value.len == 0 || value.len >= sizeof(text)) {
        return;
    }

    if (name.len == 11 && strncasecmp(name.data, "retry-after", 11) == 0) {
        unit = 1000;

    } else if (name.len == 14
               && strncasecmp(name.data, "retry-after-ms", 14) == 0)
    {
        unit = 1;

    } else {
        if (name.len == 14
            && strncasecmp(name.data, "x-should-retry", 14) == 0
            && ai_str_eqz(value, "false"))
        {
            *no_retry = 1;
        }

        return;
    }

    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    n = strtod(text, &end) * unit;

    if (end == text || *end != '\0') {
        at = curl_getdate(text, NULL);

        if (at == -1) {
            return;
        }

        n = difftime(at, time(NULL)) * 1000;
    }

    n = n >= 0 ? n : 0;
    n = n < HELLO_WISH_MAX ? n : HELLO_WISH_MAX;

    if ((int64_t) n > *msec) {
        *msec = (int64_t) n;
    }
}
