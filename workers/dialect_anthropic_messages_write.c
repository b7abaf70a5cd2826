/*
 * Anthropic's messages: the conversation of the intermediate form as a provider
 * that speaks them gets it.  Owns nothing.
 */

#include "dialect_anthropic.h"

#include <string.h>


static void anthropic_part(ir_t *ir, out_t *o, node_t *p);
static void anthropic_text(ir_t *ir, out_t *o, node_t *p);
static void anthropic_media(ir_t *ir, out_t *o, node_t *p, const char *type);
static void anthropic_call(ir_t *ir, out_t *o, node_t *p);
static void anthropic_result(ir_t *ir, out_t *o, node_t *p);
static void anthropic_reasoning(ir_t *ir, out_t *o, node_t *p);


void
anthropic_write_system(ir_t *ir, out_t *o)
{
    int      first, late;
    size_t   mark, empty;
    node_t  *m, *p;
    tree_t  *t;

    t = &ir->tree;
    mark = o->len;
    out_key(o, "system");
    out_open(o, '[');
    empty = o->len;
    first = 1;
    late = 0;
    m = node_first(t, node_get(t, ir->request, "messages"));

    for ( /* void */ ; m != NULL; m = m->next) {

        if (!ir_is_system(ir, m)) {
            late = 1;
            continue;
        }

        node_read(m);
        (void) node_get(t, m, "role");

        if (late) {
            ir_note(ir, m, "stands before the conversation now");
        }

        p = node_first(t, node_get(t, m, "parts"));

        for ( /* void */ ; p != NULL; p = p->next) {
            if (node_is(node_peek(t, p, "type"), "text")) {
                anthropic_text(ir, o, p);
                first = 0;
            }
        }
    }

    if ((first || o->len == empty) && !o->failed) {
        o->len = mark;
        return;
    }

    out_close(o, ']');
}


/* One turn of each in a row. */

void
anthropic_write_messages(ir_t *ir, out_t *o)
{
    int      assistant, open;
    size_t   mark, empty;
    node_t  *m, *p;
    tree_t  *t;

    t = &ir->tree;
    open = -1;
    mark = o->len;
    empty = 0;
    out_key(o, "messages");
    out_open(o, '[');
    m = node_first(t, node_get(t, ir->request, "messages"));

    for ( /* void */ ; m != NULL; m = m->next) {

        if (ir_is_system(ir, m)) {
            continue;
        }

        node_read(m);
        assistant = node_is(node_get(t, m, "role"), "assistant");

        /* Of a turn that is left out the two beside it are one. */

        if (open >= 0 && open != assistant && o->len == empty && !o->failed) {
            o->len = mark;
            open = -1;

            if (o->data[mark - 1] == '}') {
                o->len = mark - 2;
                open = assistant;
                empty = 0;
            }
        }

        if (open != assistant) {

            if (open >= 0) {
                out_z(o, "]}");
            }

            mark = o->len;
            out_item(o);
            out_open(o, '{');
            out_key_z(o, "role", assistant ? "assistant" : "user");
            out_key(o, "content");
            out_open(o, '[');
            empty = o->len;
            open = assistant;
        }

        p = node_first(t, node_get(t, m, "parts"));

        for ( /* void */ ; p != NULL; p = p->next) {
            anthropic_part(ir, o, p);
        }
    }

    if (open >= 0 && o->len == empty && !o->failed) {
        o->len = mark;

    } else if (open >= 0) {
        out_z(o, "]}");
    }

    out_close(o, ']');
}


/* What has no place here stays unread. */

static void
anthropic_part(ir_t *ir, out_t *o, node_t *p)
{
    node_t  *type;

    type = node_peek(&ir->tree, p, "type");

    if (node_is(type, "text") || node_is(type, "refusal")) {
        anthropic_text(ir, o, p);

    } else if (node_is(type, "image")) {
        anthropic_media(ir, o, p, "image");

    } else if (node_is(type, "document")) {
        anthropic_media(ir, o, p, "document");

    } else if (node_is(type, "tool_call")) {
        anthropic_call(ir, o, p);

    } else if (node_is(type, "tool_result")) {
        anthropic_result(ir, o, p);

    } else if (node_is(type, "reasoning")) {
        anthropic_reasoning(ir, o, p);
    }
}


/* An empty one is refused there, and says nothing. */

static void
anthropic_text(ir_t *ir, out_t *o, node_t *p)
{
    node_t  *text;
    tree_t  *t;

    t = &ir->tree;
    node_read(p);
    (void) node_get(t, p, "type");
    text = node_get(t, p, "text");

    if (node_text(text).len == 0) {
        (void) node_whole(node_get(t, p, "cache"));
        return;
    }

    out_item(o);
    out_open(o, '{');
    out_key_z(o, "type", "text");
    out_key_node(o, t, "text", text);
    anthropic_write_marker(ir, o, p);
    out_close(o, '}');
}


static void
anthropic_media(ir_t *ir, out_t *o, node_t *p, const char *type)
{
    node_t      *n;
    tree_t      *t;
    ai_str_t     media;
    static const char *const  sources[] = {
        "data", "url", "text", "parts", NULL
    };
    const char *const  *source;

    t = &ir->tree;

    for (source = sources; *source != NULL; source++) {
        if (node_peek(t, p, *source) != NULL) {
            break;
        }
    }

    /* A file's id is one provider's. */

    if (*source == NULL) {
        return;
    }

    node_read(p);
    (void) node_get(t, p, "type");
    n = node_get(t, p, *source);
    media = node_text(node_get(t, p, "media_type"));

    out_item(o);
    out_open(o, '{');
    out_key_z(o, "type", type);
    out_key(o, "source");
    out_open(o, '{');

    if (strcmp(*source, "data") == 0) {
        out_key_z(o, "type", "base64");
        out_key_escaped(o, "media_type", media.len != 0 ? media
                                         : type[0] == 'i'
                                         ? ai_str("image/png")
                                         : ai_str("application/pdf"));
        out_key_node(o, t, "data", n);

    } else if (strcmp(*source, "url") == 0) {
        out_key_z(o, "type", "url");
        out_key_node(o, t, "url", n);

    } else if (strcmp(*source, "text") == 0) {
        out_key_z(o, "type", "text");
        out_key_z(o, "media_type", "text/plain");
        out_key_node(o, t, "data", n);

    } else {
        out_key_z(o, "type", "content");
        out_key(o, "content");
        out_open(o, '[');

        for (n = node_first(t, n); n != NULL; n = n->next) {
            if (!node_is(node_peek(t, n, "type"), "document")) {
                anthropic_part(ir, o, n);
            }
        }

        out_close(o, ']');
    }

    out_close(o, '}');

    if (type[0] == 'd') {
        out_key_node(o, t, "title", node_get(t, p, "title"));
        out_key_node(o, t, "context", node_get(t, p, "context"));

        if (node_true(node_get(t, p, "citations"))) {
            out_key(o, "citations");
            out_z(o, "{\"enabled\":true}");
        }
    }

    anthropic_write_marker(ir, o, p);
    out_close(o, '}');
}


static void
anthropic_call(ir_t *ir, out_t *o, node_t *p)
{
    tree_t  *t;

    t = &ir->tree;
    node_read(p);
    (void) node_get(t, p, "type");
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "type", "tool_use");
    out_key_escaped(o, "id", ir_call_id(ir, node_get(t, p, "id"), 0));
    out_key_node(o, t, "name", node_get(t, p, "name"));
    out_key(o, "input");
    (void) ir_arguments_object(ir, o, node_get(t, p, "arguments"));
    anthropic_write_marker(ir, o, p);
    out_close(o, '}');
}


static void
anthropic_result(ir_t *ir, out_t *o, node_t *p)
{
    node_t  *q;
    tree_t  *t;

    t = &ir->tree;
    node_read(p);
    (void) node_get(t, p, "type");
    (void) node_get(t, p, "name");
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "type", "tool_result");
    out_key_escaped(o, "tool_use_id",
                    ir_call_id(ir, node_get(t, p, "id"), 0));
    out_key(o, "content");
    out_open(o, '[');
    q = node_first(t, node_get(t, p, "parts"));

    for ( /* void */ ; q != NULL; q = q->next) {
        anthropic_part(ir, o, q);
    }

    out_close(o, ']');

    if (node_true(node_get(t, p, "error"))) {
        out_key(o, "is_error");
        out_z(o, "true");
    }

    anthropic_write_marker(ir, o, p);
    out_close(o, '}');
}


/* Only what this provider has signed itself. */

static void
anthropic_reasoning(ir_t *ir, out_t *o, node_t *p)
{
    node_t  *sign, *data;
    tree_t  *t;

    t = &ir->tree;
    sign = node_peek(t, p, "signature");
    data = node_peek(t, p, "data");

    if (!node_is(node_peek(t, p, "format"), "anthropic")
        || (sign == NULL && data == NULL))
    {
        return;
    }

    node_read(p);
    (void) node_get(t, p, "type");
    (void) node_get(t, p, "format");
    (void) node_get(t, p, "id");
    out_item(o);
    out_open(o, '{');

    if (sign != NULL) {
        out_key_z(o, "type", "thinking");
        out_key_escaped(o, "thinking", node_text(node_get(t, p, "text")));
        out_key_node(o, t, "signature", node_read(sign));

    } else {
        out_key_z(o, "type", "redacted_thinking");
        out_key_node(o, t, "data", node_read(data));
    }

    out_close(o, '}');
}


/* Here a cache lives 5 minutes or an hour. */

void
anthropic_write_marker(ir_t *ir, out_t *o, node_t *from)
{
    node_t  *marker, *ttl;
    tree_t  *t;

    t = &ir->tree;
    marker = node_get(t, from, "cache");

    if (marker == NULL) {
        return;
    }

    ttl = node_get(t, marker, "ttl");
    out_key(o, "cache_control");
    out_z(o, "{\"type\":\"ephemeral\"");

    if (ttl != NULL && !node_is(ttl, "5m")) {
        out_key_z(o, "ttl", "1h");
    }

    out_close(o, '}');
}
