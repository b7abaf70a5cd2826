/*
 * Items of a conversation: made whole, and written as Postgres takes them.
 */

#include "items.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static int items_each(items_t *t, ai_str_t array, ai_str_t hex, char mark,
    int said);
static int items_one(items_t *t, ai_str_t item, ai_str_t hex, char mark,
    size_t place, int said);
static void items_content(out_t *o, ai_str_t text, int assistant);
static int items_string(ai_str_t item, const char *name, ai_str_t *value);
static void items_set(out_t *o, const char *name, ai_str_t value);
static void items_put(out_t *o, ai_str_t s);


/* What an id of this type begins with, and whether it has a status. */
static const struct {
    const char *type;
    const char *prefix;
    int         status;
} items_types[] = {
    { "message", "msg", 1 },
    { "function_call", "fc", 1 },
    { "function_call_output", "fco", 1 },
    { "custom_tool_call", "ctc", 1 },
    { "custom_tool_call_output", "ctco", 1 },
    { "reasoning", "rs", 0 }
};

#define ITEMS_TYPES  (sizeof(items_types) / sizeof(items_types[0]))


void
items_free(items_t *t)
{
    out_free(&t->ids);
    out_free(&t->texts);
    out_free(&t->list);
    json_decref(t->seen);
    memset(t, 0, sizeof(*t));
}


int
items_add(items_t *t, ai_str_t array, ai_str_t hex, char mark)
{
    return items_each(t, array, hex, mark, 0);
}


int
items_add_said(items_t *t, ai_str_t array, ai_str_t hex)
{
    return items_each(t, array, hex, 'o', 1);
}


static int
items_each(items_t *t, ai_str_t array, ai_str_t hex, char mark, int said)
{
    int             rc;
    size_t          at, place;
    ai_str_t        item;
    ai_json_type_e  type;

    if (t->seen == NULL && (t->seen = json_object()) == NULL) {
        return -2;
    }

    at = 0;

    for (place = 0; ai_json_each(array, &at, &item, &type) == 1; place++) {

        if (type != AI_JSON_OBJECT) {
            snprintf(t->why, sizeof(t->why), "Item %zu must be an object.",
                     place);
            return -1;
        }

        rc = items_one(t, item, hex, mark, place, said);

        if (rc != 0) {
            return rc;
        }
    }

    return t->ids.failed || t->texts.failed || t->list.failed ? -2 : 0;
}


static int
items_one(items_t *t, ai_str_t item, ai_str_t hex, char mark, size_t place,
    int said)
{
    int             given, assistant;
    char            id[ITEMS_ID_MAX + 1], quoted[ITEMS_ID_MAX + 3];
    size_t          i;
    out_t           o, content;
    ai_str_t        type, role, text;
    ai_json_type_e  kind;

    role = ai_str("");
    type = ai_str("message");
    assistant = 0;

    if (ai_json_path(item, "type", &text, &kind) == 1
        && kind != AI_JSON_NULL)
    {
        if (!items_string(item, "type", &type)) {
            snprintf(t->why, sizeof(t->why), "The \"type\" of item %zu must "
                     "be a string.", place);
            return -1;
        }

        if (ai_str_eqz(type, "item_reference")) {
            return 0;
        }
    }

    if (ai_str_eqz(type, "message")) {

        if (!items_string(item, "role", &role)) {
            snprintf(t->why, sizeof(t->why), "Item %zu must have a \"type\", "
                     "or be a message with a \"role\".", place);
            return -1;
        }

        assistant = ai_str_eqz(role, "assistant");
    }

    for (i = 0; i < ITEMS_TYPES && !ai_str_eqz(type, items_types[i].type);
         i++)
    {
        /* void */
    }

    given = ai_json_path(item, "id", &text, &kind) == 1
            && kind != AI_JSON_NULL;

    if (given && (!items_string(item, "id", &text) || !items_id_ok(text))) {

        if (!said) {
            snprintf(t->why, sizeof(t->why), "The \"id\" of item %zu must be "
                     "a string of at most %d letters, digits, _ and -.",
                     place, ITEMS_ID_MAX);
            return -1;
        }

        given = 0;
    }

    if (given) {
        memcpy(id, text.data, text.len);
        id[text.len] = '\0';

        if (json_object_get(t->seen, id) != NULL) {

            if (!said) {
                snprintf(t->why, sizeof(t->why), "Duplicate item found with "
                         "id '%s'.", id);
                return -1;
            }

            given = 0;
        }
    }

    if (!given) {
        snprintf(id, sizeof(id), "%s_%.*s%c%zu",
                 i < ITEMS_TYPES ? items_types[i].prefix : "item",
                 (int) hex.len, hex.data, mark, place);
    }

    memset(&o, 0, sizeof(o));
    memset(&content, 0, sizeof(content));
    out_add(&o, item);

    if (ai_str_eqz(type, "message")
        && ai_json_path(item, "content", &text, &kind) == 1
        && kind == AI_JSON_STRING)
    {
        items_content(&content, text, assistant);
        items_set(&o, "content", (ai_str_t) { content.len, content.data });
    }

    if (i < ITEMS_TYPES && items_types[i].status
        && !items_string(item, "status", &text))
    {
        items_set(&o, "status", ai_str("\"completed\""));
    }

    if (!items_string(item, "type", &text)) {
        items_set(&o, "type", ai_str("\"message\""));
    }

    if (!given) {
        snprintf(quoted, sizeof(quoted), "\"%s\"", id);
        items_set(&o, "id", (ai_str_t) { strlen(quoted), quoted });
    }

    if (o.failed || content.failed
        || json_object_set_new(t->seen, id, json_true()) != 0)
    {
        out_free(&o);
        out_free(&content);
        return -2;
    }

    if (t->n++ == 0) {
        memcpy(t->first, id, sizeof(id));
    }

    memcpy(t->last, id, sizeof(id));
    t->bytes += o.len;
    items_put(&t->ids, (ai_str_t) { strlen(id), id });
    items_put(&t->texts, (ai_str_t) { o.len, o.data });
    out_item(&t->list);
    out_add(&t->list, (ai_str_t) { o.len, o.data });
    out_free(&o);
    out_free(&content);

    return 0;
}


/* A text alone is its only part. */

static void
items_content(out_t *o, ai_str_t text, int assistant)
{
    out_z(o, assistant ? "[{\"type\":\"output_text\",\"annotations\":[],"
                         "\"text\":"
                       : "[{\"type\":\"input_text\",\"text\":");
    out_add(o, text);
    out_z(o, "}]");
}


/* Without its quotes. */

static int
items_string(ai_str_t item, const char *name, ai_str_t *value)
{
    ai_str_t        text;
    ai_json_type_e  type;

    if (ai_json_path(item, name, &text, &type) != 1 || type != AI_JSON_STRING)
    {
        return 0;
    }

    *value = (ai_str_t) { text.len - 2, text.data + 1 };

    return 1;
}


/* Puts a member into an object, or another value in its place. */

static void
items_set(out_t *o, const char *name, ai_str_t value)
{
    out_t           to;
    ai_str_t        text, old;
    ai_json_type_e  type;

    if (o->failed) {
        return;
    }

    memset(&to, 0, sizeof(to));
    text = (ai_str_t) { o->len, o->data };

    if (ai_json_path(text, name, &old, &type) == 1) {
        out_add(&to, (ai_str_t) { (size_t) (old.data - text.data),
                                  text.data });
        out_add(&to, value);
        old.data += old.len;

    } else {
        out_z(&to, "{\"");
        out_z(&to, name);
        out_z(&to, "\":");
        out_add(&to, value);
        old.data = text.data + 1;

        if (old.data[strspn(old.data, " \t\r\n")] != '}') {
            out_z(&to, ",");
        }
    }

    out_add(&to, (ai_str_t) { (size_t) (text.data + text.len - old.data),
                              old.data });
    out_free(o);
    *o = to;
}


/* An element of an array of Postgres. */

static void
items_put(out_t *o, ai_str_t s)
{
    size_t  i, run;

    out_z(o, o->len == 0 ? "{\"" : ",\"");
    run = 0;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == '"' || s.data[i] == '\\') {
            out_add(o, (ai_str_t) { i - run, s.data + run });
            out_z(o, "\\");
            run = i;
        }
    }

    out_add(o, (ai_str_t) { s.len - run, s.data + run });
    out_z(o, "\"");
}


char *
items_array(const out_t *o)
{
    char  *text;

    text = malloc(o->len + 3);

    if (text == NULL) {
        return NULL;
    }

    if (o->len != 0) {
        memcpy(text, o->data, o->len);
        memcpy(text + o->len, "}", 2);

    } else {
        memcpy(text, "{}", 3);
    }

    return text;
}


int
items_id_ok(ai_str_t s)
{
    size_t  i;

    if (s.len == 0 || s.len > ITEMS_ID_MAX) {
        return 0;
    }

    for (i = 0; i < s.len; i++) {
        if (!((s.data[i] >= 'a' && s.data[i] <= 'z')
              || (s.data[i] >= 'A' && s.data[i] <= 'Z')
              || (s.data[i] >= '0' && s.data[i] <= '9')
              || s.data[i] == '_' || s.data[i] == '-'))
        {
            return 0;
        }
    }

    return 1;
}
