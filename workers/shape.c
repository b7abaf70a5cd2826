/*
 * What the dialects' shapes share: events in and out, and JSON.
 */

#include "shape.h"

#include <stdlib.h>
#include <string.h>


const shape_t *
shape_of(ai_dialect_e dialect)
{
    switch (dialect) {

    case AI_DIALECT_OPENAI:
        return &shape_openai;

    case AI_DIALECT_ANTHROPIC:
        return &shape_anthropic;

    default:
        return NULL;
    }
}


void
shape_add(shape_buf_t *b, ai_str_t s)
{
    char    *data;
    size_t   size;

    if (b->failed) {
        return;
    }

    if (b->len + s.len > b->size) {
        size = b->size != 0 ? b->size : 1024;

        while (size < b->len + s.len) {
            size *= 2;
        }

        data = realloc(b->data, size);
        if (data == NULL) {
            b->failed = 1;
            return;
        }

        b->data = data;
        b->size = size;
    }

    if (s.len != 0) {
        memcpy(b->data + b->len, s.data, s.len);
        b->len += s.len;
    }
}


void
shape_add_event(shape_buf_t *b, const char *event, const json_t *value)
{
    char    *text;
    size_t   len;

    text = shape_dump(value, &len);

    if (text == NULL) {
        b->failed = 1;
        return;
    }

    if (event != NULL) {
        shape_add(b, ai_str("event: "));
        shape_add(b, (ai_str_t) { strlen(event), event });
        shape_add(b, ai_str("\n"));
    }

    shape_add(b, ai_str("data: "));
    shape_add(b, (ai_str_t) { len, text });
    shape_add(b, ai_str("\n\n"));
    free(text);
}


char *
shape_end(shape_buf_t *b, size_t *len)
{
    if (b->failed || b->len == 0) {
        free(b->data);
        return NULL;
    }

    *len = b->len;

    return b->data;
}


/* Where the first event of text ends; 0: nowhere. */

static size_t
shape_event_end(ai_str_t text)
{
    size_t  i;

    for (i = 1; i < text.len; i++) {
        if (text.data[i] == '\n'
            && (text.data[i - 1] == '\n'
                || (i > 2 && text.data[i - 1] == '\r'
                    && text.data[i - 2] == '\n')))
        {
            return i + 1;
        }
    }

    return 0;
}


int
shape_next(ai_str_t *raw, json_t **value)
{
    size_t    len;
    ai_str_t  one, event, data;

    *value = NULL;

    if (raw->len == 0) {
        return 0;
    }

    len = shape_event_end(*raw);

    if (len == 0) {
        return -1;
    }

    one = (ai_str_t) { len, raw->data };
    raw->data += len;
    raw->len -= len;

    if (one.data[0] == ':') {
        return memchr(one.data, '\n', len) == one.data + len - 2 ? 1 : -1;
    }

    if (!provider_data(one, &event, &data)) {
        return -1;
    }

    if (ai_str_eqz(data, "[DONE]")) {
        return 1;
    }

    *value = shape_load(data);

    return json_is_object(*value) ? 1 : -1;
}


int
shape_append(json_t *object, const char *name, const json_t *text)
{
    char       *both;
    size_t      one, two;
    json_t     *old, *made;

    if (!json_is_string(text)) {
        return -1;
    }

    old = json_object_get(object, name);

    if (old != NULL && !json_is_string(old) && !json_is_null(old)) {
        return -1;
    }

    one = json_is_string(old) ? json_string_length(old) : 0;
    two = json_string_length(text);

    both = malloc(one + two + 1);
    if (both == NULL) {
        return -1;
    }

    if (one != 0) {
        memcpy(both, json_string_value(old), one);
    }

    memcpy(both + one, json_string_value(text), two);
    made = json_stringn_nocheck(both, one + two);
    free(both);

    return json_object_set_new(object, name, made);
}


int
shape_known(const json_t *object, const char *const *names)
{
    const char         *key;
    json_t             *value;
    const char *const  *name;

    json_object_foreach((json_t *) object, key, value) {

        for (name = names; *name != NULL && strcmp(key, *name) != 0; name++) {
            /* void */
        }

        if (*name == NULL && !json_is_null(value)
            && !(json_is_array(value) && json_array_size(value) == 0))
        {
            return 0;
        }
    }

    return 1;
}


json_t *
shape_load(ai_str_t text)
{
    return json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES
                                           | JSON_ALLOW_NUL, NULL);
}


char *
shape_dump(const json_t *value, size_t *len)
{
    char  *text;

    text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17));

    if (text != NULL) {
        *len = strlen(text);
    }

    return text;
}
