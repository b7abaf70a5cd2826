/*
 * Shapes of OpenAI's chat completions.  Owns nothing.
 */

#include "shape.h"

#include <stdlib.h>
#include <string.h>


static const char *const  openai_top[] = {
    "id", "object", "created", "model", "service_tier", "system_fingerprint",
    "choices", "usage", "obfuscation", "provider", NULL
};
/* Those of them that chunks and object have alike. */
static const char *const  openai_common[] = {
    "id", "created", "model", "service_tier", "system_fingerprint", "provider",
    NULL
};
static const char *const  openai_choice[] = {
    "index", "delta", "message", "finish_reason", "logprobs", NULL
};
static const char *const  openai_message[] = {
    "role", "content", "refusal", "tool_calls", "function_call",
    "reasoning_content", "reasoning", NULL
};
static const char *const  openai_texts[] = {
    "content", "refusal", "reasoning_content", "reasoning", NULL
};
static const char *const  openai_call[] = {
    "index", "id", "type", "function", NULL
};
static const char *const  openai_function[] = { "name", "arguments", NULL };


/* A member that is said once, by some again or as nothing: 0, or -1 where it
 * is said to be another. */

static int
openai_set_text(json_t *to, const char *name, const json_t *value)
{
    json_t  *old;

    if (!json_is_string(value) || json_string_length(value) == 0) {
        return 0;
    }

    old = json_object_get(to, name);

    if (old == NULL) {
        return json_object_set(to, name, (json_t *) value);
    }

    return json_equal(old, value) ? 0 : -1;
}


/* The member at this index of an array, made where it is the next. */

static json_t *
openai_at(json_t *array, const json_t *index)
{
    json_t     *made;
    json_int_t  i;

    i = json_integer_value(index);

    if (!json_is_integer(index) || i < 0 || i >= SHAPE_INDEX_MAX
        || (size_t) i > json_array_size(array))
    {
        return NULL;
    }

    if ((size_t) i == json_array_size(array)) {
        made = json_object();

        if (json_array_append_new(array, made) != 0) {
            return NULL;
        }
    }

    return json_array_get(array, (size_t) i);
}


static json_t *
openai_member(json_t *object, const char *name, json_t *(*make)(void))
{
    if (json_object_get(object, name) == NULL
        && json_object_set_new(object, name, make()) != 0)
    {
        return NULL;
    }

    return json_object_get(object, name);
}


static int
openai_add_function(json_t *to, const json_t *from)
{
    json_t  *text;

    if (!json_is_object(from) || !shape_known(from, openai_function)
        || openai_set_text(to, "name", json_object_get(from, "name")) != 0)
    {
        return -1;
    }

    text = json_object_get(from, "arguments");

    return text == NULL || json_is_null(text) ? 0
           : shape_append(to, "arguments", text);
}


static int
openai_add_calls(json_t *message, const json_t *calls)
{
    size_t   i;
    json_t  *call, *all, *to, *f, *value;

    if (!json_is_array(calls)) {
        return -1;
    }

    all = openai_member(message, "tool_calls", json_array);

    json_array_foreach(calls, i, call) {

        if (!json_is_object(call) || !shape_known(call, openai_call)) {
            return -1;
        }

        to = openai_at(all, json_object_get(call, "index"));
        if (to == NULL) {
            return -1;
        }

        if (openai_set_text(to, "id", json_object_get(call, "id")) != 0
            || openai_set_text(to, "type", json_object_get(call, "type")) != 0)
        {
            return -1;
        }

        value = json_object_get(call, "function");

        if (value != NULL && !json_is_null(value)) {
            f = openai_member(to, "function", json_object);

            if (f == NULL || openai_add_function(f, value) != 0) {
                return -1;
            }
        }
    }

    return 0;
}


static int
openai_add_delta(json_t *message, const json_t *delta)
{
    json_t             *value, *f;
    const char *const  *name;

    if (!json_is_object(delta) || !shape_known(delta, openai_message)) {
        return -1;
    }

    if (openai_set_text(message, "role", json_object_get(delta, "role")) != 0)
    {
        return -1;
    }

    for (name = openai_texts; *name != NULL; name++) {
        value = json_object_get(delta, *name);

        if (value != NULL && !json_is_null(value)
            && shape_append(message, *name, value) != 0)
        {
            return -1;
        }
    }

    value = json_object_get(delta, "function_call");

    if (value != NULL && !json_is_null(value)) {
        f = openai_member(message, "function_call", json_object);

        if (f == NULL || openai_add_function(f, value) != 0) {
            return -1;
        }
    }

    value = json_object_get(delta, "tool_calls");

    return value == NULL || json_is_null(value) ? 0
           : openai_add_calls(message, value);
}


/* Lists of tokens grow; whatever else stands there is not known. */

static int
openai_add_logprobs(json_t *choice, const json_t *logprobs)
{
    json_t      *to, *list;
    const char  *key;

    to = json_object_get(choice, "logprobs");

    if (!json_is_object(logprobs)) {
        return -1;
    }

    if (!json_is_object(to)) {
        return json_object_set_new(choice, "logprobs",
                                   json_deep_copy(logprobs));
    }

    json_object_foreach((json_t *) logprobs, key, list) {

        if (json_is_null(list)) {
            continue;
        }

        if (!json_is_array(list)) {
            return -1;
        }

        if (!json_is_array(json_object_get(to, key))) {

            if (json_object_set_new(to, key, json_deep_copy(list)) != 0) {
                return -1;
            }

        } else if (json_array_extend(json_object_get(to, key), list) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
openai_add_chunk(json_t *object, const json_t *chunk)
{
    size_t              i;
    json_t             *value, *choices, *choice, *to, *message;
    const char *const  *name;

    if (!shape_known(chunk, openai_top)) {
        return -1;
    }

    for (name = openai_common; *name != NULL; name++) {
        value = json_object_get(chunk, *name);

        if (value != NULL && !json_is_null(value)
            && json_object_set(object, *name, value) != 0)
        {
            return -1;
        }
    }

    value = json_object_get(chunk, "usage");

    if (json_is_object(value) && json_object_set(object, "usage", value) != 0)
    {
        return -1;
    }

    choices = json_object_get(chunk, "choices");

    if (!json_is_array(choices)) {
        return -1;
    }

    json_array_foreach(choices, i, choice) {

        if (!json_is_object(choice) || !shape_known(choice, openai_choice)) {
            return -1;
        }

        to = openai_at(json_object_get(object, "choices"),
                       json_object_get(choice, "index"));

        if (to == NULL
            || json_object_set(to, "index", json_object_get(choice, "index"))
               != 0)
        {
            return -1;
        }

        message = openai_member(to, "message", json_object);

        if (message == NULL
            || (json_object_get(choice, "delta") != NULL
                && openai_add_delta(message, json_object_get(choice, "delta"))
                   != 0))
        {
            return -1;
        }

        value = json_object_get(choice, "finish_reason");

        if (json_is_string(value)
            && json_object_set(to, "finish_reason", value) != 0)
        {
            return -1;
        }

        value = json_object_get(choice, "logprobs");

        if (value != NULL && !json_is_null(value)
            && openai_add_logprobs(to, value) != 0)
        {
            return -1;
        }
    }

    return 0;
}


/* What an object always has, and only whole choices. */

static int
openai_complete(json_t *object)
{
    size_t   i;
    json_t  *choice, *message;

    if (!json_is_string(json_object_get(object, "id"))
        || !json_is_object(json_object_get(object, "usage"))
        || json_array_size(json_object_get(object, "choices")) == 0)
    {
        return -1;
    }

    json_array_foreach(json_object_get(object, "choices"), i, choice) {
        message = json_object_get(choice, "message");

        if (!json_is_string(json_object_get(choice, "finish_reason"))) {
            return -1;
        }

        if (json_object_get(message, "role") == NULL
            && json_object_set_new(message, "role", json_string("assistant"))
               != 0)
        {
            return -1;
        }

        if ((json_object_get(message, "content") == NULL
             && json_object_set_new(message, "content", json_null()) != 0)
            || (json_object_get(message, "refusal") == NULL
                && json_object_set_new(message, "refusal", json_null()) != 0)
            || (json_object_get(choice, "logprobs") == NULL
                && json_object_set_new(choice, "logprobs", json_null()) != 0))
        {
            return -1;
        }

        /* With calls an empty text is none. */

        if ((json_object_get(message, "tool_calls") != NULL
             || json_object_get(message, "function_call") != NULL)
            && json_is_string(json_object_get(message, "content"))
            && json_string_length(json_object_get(message, "content")) == 0
            && json_object_set_new(message, "content", json_null()) != 0)
        {
            return -1;
        }
    }

    return 0;
}


static char *
openai_object(ai_str_t raw, size_t *len)
{
    int      rc;
    char    *text;
    json_t  *object, *chunk;

    object = json_pack("{s:n, s:s, s:n, s:n, s:[]}", "id", "object",
                       "chat.completion", "created", "model", "choices");
    text = NULL;
    rc = object != NULL ? 1 : -1;

    while (rc == 1) {
        rc = shape_next(&raw, &chunk);

        if (rc == 1 && chunk != NULL && openai_add_chunk(object, chunk) != 0) {
            rc = -1;
        }

        json_decref(chunk);
    }

    if (rc == 0 && openai_complete(object) == 0) {
        text = shape_dump(object, len);
    }

    json_decref(object);

    return text;
}


/* A chunk with what is common to all, and no choice yet. */

static json_t *
openai_chunk(const json_t *object)
{
    json_t             *chunk, *value;
    const char *const  *name;

    chunk = json_pack("{s:n, s:s}", "id", "object", "chat.completion.chunk");

    for (name = openai_common; *name != NULL; name++) {
        value = json_object_get(object, *name);

        if (value != NULL) {
            (void) json_object_set(chunk, *name, value);
        }
    }

    (void) json_object_set_new(chunk, "choices", json_array());

    return chunk;
}


/* One with one choice; takes delta. */

static void
openai_tell(shape_buf_t *b, const json_t *object, const json_t *choice,
    json_t *delta, json_t *logprobs, json_t *finish)
{
    json_t  *chunk, *one;

    chunk = openai_chunk(object);
    one = json_pack("{s:O, s:o, s:O?, s:O?}", "index",
                    json_object_get(choice, "index"), "delta", delta,
                    "logprobs", logprobs, "finish_reason", finish);

    if (one != NULL && logprobs == NULL) {
        (void) json_object_set_new(one, "logprobs", json_null());
    }

    if (one != NULL && finish == NULL) {
        (void) json_object_set_new(one, "finish_reason", json_null());
    }

    if (json_array_append_new(json_object_get(chunk, "choices"), one) != 0) {
        b->failed = 1;

    } else {
        shape_add_event(b, NULL, chunk);
    }

    json_decref(chunk);
}


static int
openai_tell_choice(shape_buf_t *b, const json_t *object, const json_t *choice)
{
    size_t              i;
    json_t             *message, *value, *delta, *calls, *call, *logprobs;
    const char *const  *name;

    message = json_object_get(choice, "message");
    logprobs = json_object_get(choice, "logprobs");

    if (!json_is_object(message) || !shape_known(choice, openai_choice)
        || !shape_known(message, openai_message)
        || !json_is_integer(json_object_get(choice, "index"))
        || !json_is_string(json_object_get(choice, "finish_reason")))
    {
        return -1;
    }

    delta = json_object();
    value = json_object_get(message, "role");
    (void) json_object_set(delta, "role", value);

    if (json_is_string(json_object_get(message, "content"))) {
        (void) json_object_set_new(delta, "content", json_string(""));
    }

    openai_tell(b, object, choice, delta, NULL, NULL);

    for (name = openai_texts; *name != NULL; name++) {
        value = json_object_get(message, *name);

        if (value == NULL || json_is_null(value)) {
            continue;
        }

        if (!json_is_string(value)) {
            return -1;
        }

        openai_tell(b, object, choice, json_pack("{s:O}", *name, value),
                    json_is_object(logprobs) ? logprobs : NULL, NULL);
        logprobs = NULL;
    }

    if (json_is_object(logprobs)) {
        openai_tell(b, object, choice, json_object(), logprobs, NULL);
    }

    value = json_object_get(message, "function_call");

    if (value != NULL && !json_is_null(value)) {
        openai_tell(b, object, choice,
                    json_pack("{s:O}", "function_call", value), NULL, NULL);
    }

    calls = json_object_get(message, "tool_calls");

    json_array_foreach(calls, i, call) {

        if (!json_is_object(call) || !shape_known(call, openai_call)) {
            return -1;
        }

        value = json_pack("{s:I}", "index", (json_int_t) i);
        (void) json_object_update(value, call);
        (void) json_object_set_new(value, "index",
                                   json_integer((json_int_t) i));

        openai_tell(b, object, choice,
                    json_pack("{s:[o]}", "tool_calls", value), NULL, NULL);
    }

    openai_tell(b, object, choice, json_object(), NULL,
                json_object_get(choice, "finish_reason"));

    return 0;
}


static char *
openai_stream(ai_str_t text, int usage, size_t *len)
{
    int          rc;
    size_t       i;
    json_t      *object, *choice, *chunk;
    shape_buf_t  b;

    memset(&b, 0, sizeof(b));
    object = shape_load(text);

    rc = json_is_object(object) && shape_known(object, openai_top)
         && json_is_object(json_object_get(object, "usage"))
         && json_array_size(json_object_get(object, "choices")) != 0 ? 0 : -1;

    if (rc == 0) {
        json_array_foreach(json_object_get(object, "choices"), i, choice) {
            rc |= openai_tell_choice(&b, object, choice);
        }
    }

    if (rc == 0 && usage) {
        chunk = openai_chunk(object);
        (void) json_object_set(chunk, "usage",
                               json_object_get(object, "usage"));
        shape_add_event(&b, NULL, chunk);
        json_decref(chunk);
    }

    json_decref(object);
    shape_add(&b, ai_str("data: [DONE]\n\n"));

    if (rc != 0) {
        b.failed = 1;
    }

    return shape_end(&b, len);
}


/* As a client that did not ask is told it. */

static char *
openai_without(ai_str_t raw, size_t *len)
{
    int               rc;
    json_t           *value;
    ai_str_t          rest, one;
    shape_buf_t       b;
    provider_cut_t    cut;
    provider_usage_t  u;

    memset(&b, 0, sizeof(b));
    provider_usage_init(&u);
    rest = raw;

    while ((rc = shape_next(&rest, &value)) == 1) {
        json_decref(value);
        one = (ai_str_t) { (size_t) (rest.data - raw.data), raw.data };
        raw = rest;

        switch (provider_openai.event(&u, one, 1, &cut)) {

        case PROVIDER_DROP:
            break;

        case PROVIDER_CUT:
            shape_add(&b, (ai_str_t) { cut.start, one.data });
            shape_add(&b, (ai_str_t) { one.len - cut.end,
                                       one.data + cut.end });
            break;

        case PROVIDER_BROKEN:
            b.failed = 1;
            break;

        default:
            shape_add(&b, one);
        }
    }

    if (rc != 0) {
        b.failed = 1;
    }

    return shape_end(&b, len);
}


/* What was dropped stands before the end. */

static char *
openai_with(ai_str_t raw, ai_str_t dropped, size_t *len)
{
    shape_buf_t      b;
    const ai_str_t   end = ai_str("data: [DONE]\n\n");

    memset(&b, 0, sizeof(b));

    if (dropped.len == 0 || raw.len < end.len
        || memcmp(raw.data + raw.len - end.len, end.data, end.len) != 0)
    {
        return NULL;
    }

    shape_add(&b, (ai_str_t) { raw.len - end.len, raw.data });
    shape_add(&b, dropped);
    shape_add(&b, end);

    return shape_end(&b, len);
}


const shape_t  shape_openai = {
    openai_object, openai_stream, openai_without, openai_with
};
