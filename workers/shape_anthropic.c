/*
 * Shapes of Anthropic's messages.  Owns nothing.
 */

#include "shape.h"

#include <stdlib.h>
#include <string.h>


/* A delta's type, its text, and the member of the block that grows by it. */
static const struct {
    const char *type;
    const char *text;
    const char *member;
} anthropic_deltas[] = {
    { "text_delta", "text", "text" },
    { "thinking_delta", "thinking", "thinking" },
    { "signature_delta", "signature", "signature" },
    { "input_json_delta", "partial_json", "input" }
};

#define ANTHROPIC_INPUT   3
#define ANTHROPIC_DELTAS  4

static const char *const  anthropic_event[] = {
    "type", "index", "message", "content_block", "delta", NULL
};
static const char *const  anthropic_message_end[] = {
    "type", "delta", "usage", "context_management", NULL
};
static const char *const  anthropic_delta_end[] = {
    "stop_reason", "stop_sequence", "container", "stop_details", NULL
};


static int
anthropic_is(const json_t *object, const char *type)
{
    const char  *s;

    s = json_string_value(json_object_get(object, "type"));

    return s != NULL && strcmp(s, type) == 0;
}


static json_t *
anthropic_block(json_t *content, const json_t *event)
{
    json_t     *index;
    json_int_t  i;

    index = json_object_get(event, "index");
    i = json_integer_value(index);

    if (!json_is_integer(index) || i < 0) {
        return NULL;
    }

    return json_array_get(content, (size_t) i);
}


static int
anthropic_add_delta(json_t *block, const json_t *delta)
{
    size_t   i;
    json_t  *list;

    if (json_object_size(delta) != 2) {
        return -1;
    }

    if (anthropic_is(delta, "citations_delta")) {
        list = json_object_get(block, "citations");

        if (!json_is_array(list)) {
            list = json_array();

            if (json_object_set_new(block, "citations", list) != 0) {
                return -1;
            }
        }

        return json_array_append(list, json_object_get(delta, "citation"));
    }

    for (i = 0; i < ANTHROPIC_DELTAS; i++) {
        if (anthropic_is(delta, anthropic_deltas[i].type)) {
            return shape_append(block, anthropic_deltas[i].member,
                                json_object_get(delta,
                                                anthropic_deltas[i].text));
        }
    }

    return -1;
}


/* The text of a tool's input is JSON once it is whole. */

static int
anthropic_close(json_t *block)
{
    json_t  *text, *value;

    text = json_object_get(block, "input");

    if (!json_is_string(text)) {
        return 0;
    }

    if (json_string_length(text) == 0) {
        value = json_object();

    } else {
        value = shape_load((ai_str_t) { json_string_length(text),
                                        json_string_value(text) });
    }

    return json_object_set_new(block, "input", value);
}


static int
anthropic_end(json_t *message, const json_t *event)
{
    json_t  *usage, *delta;

    delta = json_object_get(event, "delta");
    usage = json_object_get(event, "usage");

    if (!json_is_object(delta) || !shape_known(event, anthropic_message_end)
        || !shape_known(delta, anthropic_delta_end)
        || json_object_update(message, delta) != 0)
    {
        return -1;
    }

    if (json_object_get(event, "context_management") != NULL
        && json_object_set(message, "context_management",
                           json_object_get(event, "context_management"))
           != 0)
    {
        return -1;
    }

    return usage == NULL ? 0
           : json_object_update(json_object_get(message, "usage"), usage);
}


/* Each event in turn; *message is made by the first. */

static int
anthropic_add(json_t **message, const json_t *event, int *done)
{
    json_t  *content, *block;

    content = json_object_get(*message, "content");

    if (anthropic_is(event, "ping")) {
        return 0;
    }

    if (!anthropic_is(event, "message_delta")
        && !shape_known(event, anthropic_event))
    {
        return -1;
    }

    if (anthropic_is(event, "message_start")) {

        if (*message != NULL) {
            return -1;
        }

        *message = json_deep_copy(json_object_get(event, "message"));

        return json_is_object(*message)
               && json_is_object(json_object_get(*message, "usage"))
               && json_is_array(json_object_get(*message, "content"))
               && json_array_size(json_object_get(*message, "content")) == 0
               ? 0 : -1;
    }

    if (*message == NULL) {
        return -1;
    }

    if (anthropic_is(event, "content_block_start")) {
        block = json_deep_copy(json_object_get(event, "content_block"));

        if (!json_is_object(block)
            || json_integer_value(json_object_get(event, "index"))
               != (json_int_t) json_array_size(content)
            || json_array_size(content) >= SHAPE_INDEX_MAX)
        {
            json_decref(block);
            return -1;
        }

        /* An input that is told piece by piece begins as an empty object. */

        if (json_is_object(json_object_get(block, "input"))
            && json_object_size(json_object_get(block, "input")) == 0
            && json_object_set_new(block, "input", json_string("")) != 0)
        {
            json_decref(block);
            return -1;
        }

        return json_array_append_new(content, block);
    }

    block = anthropic_block(content, event);

    if (anthropic_is(event, "content_block_delta")) {
        return block == NULL ? -1
               : anthropic_add_delta(block, json_object_get(event, "delta"));
    }

    if (anthropic_is(event, "content_block_stop")) {
        return block == NULL ? -1 : anthropic_close(block);
    }

    if (anthropic_is(event, "message_delta")) {
        return anthropic_end(*message, event);
    }

    if (anthropic_is(event, "message_stop")) {
        *done = 1;
        return 0;
    }

    return -1;
}


static char *
anthropic_object(ai_str_t raw, size_t *len)
{
    int      rc, done;
    char    *text;
    json_t  *message, *event;

    message = NULL;
    text = NULL;
    done = 0;

    while ((rc = shape_next(&raw, &event)) == 1) {

        if (event != NULL && anthropic_add(&message, event, &done) != 0) {
            rc = -1;
        }

        json_decref(event);

        if (rc < 0) {
            break;
        }
    }

    if (rc == 0 && done
        && json_is_string(json_object_get(message, "stop_reason")))
    {
        text = shape_dump(message, len);
    }

    json_decref(message);

    return text;
}


static void
anthropic_tell(shape_buf_t *b, const char *type, json_t *event)
{
    if (event == NULL) {
        b->failed = 1;
        return;
    }

    shape_add_event(b, type, event);
    json_decref(event);
}


static void
anthropic_tell_delta(shape_buf_t *b, json_int_t index, const char *type,
    const char *name, json_t *value)
{
    anthropic_tell(b, "content_block_delta",
                   json_pack("{s:s, s:I, s:{s:s, s:O}}", "type",
                             "content_block_delta", "index", index, "delta",
                             "type", type, name, value));
}


/* The block with its texts empty, the texts, its end. */

static int
anthropic_tell_block(shape_buf_t *b, json_int_t index, const json_t *block)
{
    char    *text;
    size_t   i, k, len;
    json_t  *start, *value, *one;

    start = json_copy((json_t *) block);

    if (start == NULL) {
        return -1;
    }

    for (i = 0; i < ANTHROPIC_DELTAS; i++) {
        value = json_object_get(block, anthropic_deltas[i].member);

        if (value != NULL && i == ANTHROPIC_INPUT) {
            (void) json_object_set_new(start, "input", json_object());

        } else if (json_is_string(value)) {
            (void) json_object_set_new(start, anthropic_deltas[i].member,
                                       json_string(""));
        }
    }

    if (json_array_size(json_object_get(block, "citations")) != 0) {
        (void) json_object_set_new(start, "citations", json_array());
    }

    anthropic_tell(b, "content_block_start",
                   json_pack("{s:s, s:I, s:o}", "type", "content_block_start",
                             "index", index, "content_block", start));

    json_array_foreach(json_object_get(block, "citations"), k, one) {
        anthropic_tell_delta(b, index, "citations_delta", "citation", one);
    }

    for (i = 0; i < ANTHROPIC_DELTAS; i++) {
        value = json_object_get(block, anthropic_deltas[i].member);

        if (value == NULL) {
            continue;
        }

        if (i == ANTHROPIC_INPUT) {
            text = shape_dump(value, &len);
            value = text == NULL ? NULL : json_stringn(text, len);
            free(text);

            if (value == NULL) {
                return -1;
            }

            anthropic_tell_delta(b, index, anthropic_deltas[i].type,
                                 anthropic_deltas[i].text, value);
            json_decref(value);

        } else if (json_is_string(value) && json_string_length(value) != 0) {
            anthropic_tell_delta(b, index, anthropic_deltas[i].type,
                                 anthropic_deltas[i].text, value);
        }
    }

    anthropic_tell(b, "content_block_stop",
                   json_pack("{s:s, s:I}", "type", "content_block_stop",
                             "index", index));

    return 0;
}


static char *
anthropic_stream(ai_str_t text, int usage, size_t *len)
{
    int                 rc;
    size_t              i;
    json_t             *message, *start, *block, *delta, *value;
    shape_buf_t         b;
    const char *const  *name;

    (void) usage;

    memset(&b, 0, sizeof(b));
    message = shape_load(text);

    rc = anthropic_is(message, "message")
         && json_is_array(json_object_get(message, "content"))
         && json_is_object(json_object_get(message, "usage"))
         && json_is_string(json_object_get(message, "stop_reason")) ? 0 : -1;

    if (rc == 0) {
        start = json_copy(message);
        delta = json_object();

        for (name = anthropic_delta_end; *name != NULL; name++) {
            value = json_object_get(message, *name);

            if (value != NULL) {
                (void) json_object_set(delta, *name, value);
                (void) json_object_set_new(start, *name, json_null());
            }
        }

        (void) json_object_set_new(start, "content", json_array());

        anthropic_tell(&b, "message_start",
                       json_pack("{s:s, s:o}", "type", "message_start",
                                 "message", start));

        json_array_foreach(json_object_get(message, "content"), i, block) {
            rc |= json_is_object(block)
                  ? anthropic_tell_block(&b, (json_int_t) i, block) : -1;
        }

        anthropic_tell(&b, "message_delta",
                       json_pack("{s:s, s:o, s:O}", "type", "message_delta",
                                 "delta", delta, "usage",
                                 json_object_get(message, "usage")));
        anthropic_tell(&b, "message_stop",
                       json_pack("{s:s}", "type", "message_stop"));
    }

    json_decref(message);

    if (rc != 0) {
        b.failed = 1;
    }

    return shape_end(&b, len);
}


const shape_t  shape_anthropic = {
    anthropic_object, anthropic_stream, NULL, NULL
};
