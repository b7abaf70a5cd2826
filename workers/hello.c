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


static int hello_openai(const json_t *choices);
static int hello_empty(const json_t *value);
static int hello_block(const json_t *block);


/* Types of events that only begin something. */

static const char *const  hello_types[] = {
    "message_start", "ping", "response.created", "response.queued",
    "response.in_progress", "response.output_item.added",
    "response.content_part.added", NULL
};


/* Where errors say what they are, the more precise first, and what.  What is
 * left out says nothing. */

static const char *const  hello_paths[] = {
    "error.code", "error.status", "error.type", "response.error.code",
    "code", "status_code", NULL
};

static const struct {
    const char  *word;
    int          status;
} hello_errors[] = {
    { "INVALID_ARGUMENT", 400 },
    { "context_length_exceeded", 400 },
    { "invalid_prompt", 400 },
    { "authentication_error", 401 },
    { "invalid_api_key", 401 },
    { "UNAUTHENTICATED", 401 },
    { "billing_error", 402 },
    { "permission_error", 403 },
    { "PERMISSION_DENIED", 403 },
    { "not_found_error", 404 },
    { "model_not_found", 404 },
    { "NOT_FOUND", 404 },
    { "request_too_large", 413 },
    { "rate_limit_error", 429 },
    { "rate_limit_exceeded", 429 },
    { "insufficient_quota", 429 },
    { "RESOURCE_EXHAUSTED", 429 },
    { "overloaded_error", 529 },
    { NULL, 0 }
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
hello_status(ai_str_t raw)
{
    char      word[64];
    size_t    i, k;
    int64_t   code;
    ai_str_t  event, data;

    if (!provider_data(raw, &event, &data)) {
        data = raw;
    }

    for (i = 0; hello_paths[i] != NULL; i++) {
        code = provider_count(data, hello_paths[i], 0);

        if (code >= 400 && code < 600) {
            return (int) code;
        }

        if (!provider_word(data, hello_paths[i], word, sizeof(word))) {
            continue;
        }

        if (strncmp(word, "invalid_request", 15) == 0) {
            return 400;
        }

        for (k = 0; hello_errors[k].word != NULL; k++) {
            if (strcmp(word, hello_errors[k].word) == 0) {
                return hello_errors[k].status;
            }
        }
    }

    return 0;
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
