/*
 * A page of what a stored response was asked: its input, item by item.
 */

#include "state_in.h"

#include <stdio.h>
#include <string.h>


static int state_named(const json_t *item);


/* Each with an id, as the client may ask for what follows it. */

json_t *
state_items(const state_t *s)
{
    int          past, more;
    char         id[STORED_ID_MAX + 32];
    size_t       i, n, at;
    json_t      *all, *page, *item, *content;
    const char  *name;

    all = json_loadb(s->input, s->input_len, JSON_ALLOW_NUL, NULL);

    if (all == NULL) {
        return NULL;
    }

    page = json_array();
    past = s->after[0] == '\0';
    more = 0;
    n = json_array_size(all);

    for (i = 0; i < n; i++) {
        at = s->ascending ? i : n - 1 - i;
        item = json_array_get(all, at);

        if (!json_is_object(item)) {
            continue;
        }

        if (!state_named(item)) {
            snprintf(id, sizeof(id), "in_%s_%zu", s->id, at);
            json_object_set_new(item, "id", json_string(id));
        }

        if (json_object_get(item, "type") == NULL) {
            json_object_set_new(item, "type", json_string("message"));
        }

        content = json_object_get(item, "content");

        if (json_is_string(content)) {
            name = json_string_value(json_object_get(item, "role"));
            name = name != NULL && strcmp(name, "assistant") == 0
                   ? "output_text" : "input_text";
            json_object_set_new(item, "content",
                                json_pack("[{s:s, s:O}]", "type", name,
                                          "text", content));
        }

        if (past && json_array_size(page) == (size_t) s->limit) {
            more = 1;
            break;
        }

        if (past) {
            json_array_append(page, item);

        } else {
            past = strcmp(json_string_value(json_object_get(item, "id")),
                          s->after)
                   == 0;
        }
    }

    n = json_array_size(page);
    item = json_pack("{s:s, s:O, s:O?, s:O?, s:b}", "object", "list", "data",
                     page, "first_id",
                     json_object_get(json_array_get(page, 0), "id"),
                     "last_id",
                     n != 0 ? json_object_get(json_array_get(page, n - 1),
                                              "id") : NULL,
                     "has_more", more);
    json_decref(page);
    json_decref(all);

    return item;
}


/* Whether it has an id that can be asked for. */

static int
state_named(const json_t *item)
{
    size_t       n;
    const char  *id;

    id = json_string_value(json_object_get(item, "id"));
    n = id != NULL ? strlen(id) : 0;

    return n != 0 && n < STORED_ID_MAX && strspn(id, STORED_ID_CHARS) == n;
}
