/*
 * Cohere's /v2/chat: messages of a request and the documents beside them.  Owns
 * nothing.
 */

#include "dialect_cohere.h"


static void cohere_user(ir_t *ir, out_t *o, node_t *m);
static void cohere_result(ir_t *ir, out_t *o, node_t *p);
static node_t *cohere_turn(ir_t *ir, node_t *m, node_t *parts);
static node_t *cohere_assistant(ir_t *ir, out_t *o, node_t *m);
static void cohere_content(ir_t *ir, out_t *o, node_t *parts);
static void cohere_thinking(ir_t *ir, out_t *o, node_t *parts);
static void cohere_calls(ir_t *ir, out_t *o, node_t *parts);
static int cohere_part(ir_t *ir, out_t *o, node_t *p);
static int cohere_is_text(ir_t *ir, node_t *p);
static int cohere_is_document(ir_t *ir, node_t *p);
static void cohere_document(ir_t *ir, out_t *o, node_t *p);
static void cohere_document_text(ir_t *ir, out_t *o, node_t *p,
    unsigned depth);


void
cohere_messages(ir_t *ir, out_t *o)
{
    node_t  *m, *role;
    tree_t  *t;

    t = &ir->tree;
    out_key(o, "messages");
    out_open(o, '[');
    m = node_first(t, node_get(t, ir->request, "messages"));

    for ( /* void */ ; m != NULL; m = m->next) {
        node_read(m);
        role = node_get(t, m, "role");

        if (node_is(role, "assistant")) {
            m = cohere_assistant(ir, o, m);

        } else if (node_is(role, "user") || node_is(role, "tool")) {
            cohere_user(ir, o, m);

        } else {
            out_item(o);
            out_open(o, '{');
            out_key_z(o, "role", "system");
            cohere_content(ir, o, node_get(t, m, "parts"));
            out_close(o, '}');
        }
    }

    out_close(o, ']');
}


/* Results stand behind their calls; their pictures follow as the user's. */

static void
cohere_user(ir_t *ir, out_t *o, node_t *m)
{
    int      results, wrote;
    size_t   mark;
    node_t  *parts, *p, *q;
    tree_t  *t;

    t = &ir->tree;
    parts = node_get(t, m, "parts");
    results = 0;

    for (p = node_first(t, parts); p != NULL; p = p->next) {
        if (ir_is(ir, p, "tool_result")) {
            node_read(p);
            cohere_result(ir, o, p);
            results = 1;
        }
    }

    p = node_first(t, parts);
    mark = o->len;
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "role", "user");

    if (!results && (p == NULL || (p->next == NULL && cohere_is_text(ir, p))))
    {
        cohere_content(ir, o, parts);
        out_close(o, '}');
        return;
    }

    out_key(o, "content");
    out_open(o, '[');
    wrote = 0;

    for ( /* void */ ; p != NULL; p = p->next) {

        if (!node_is(node_peek(t, p, "type"), "tool_result")) {
            wrote |= cohere_part(ir, o, p);
            continue;
        }

        q = node_first(t, node_peek(t, p, "parts"));

        for ( /* void */ ; q != NULL; q = q->next) {
            if (node_is(node_peek(t, q, "type"), "image")) {
                wrote |= cohere_part(ir, o, q);
            }
        }
    }

    if (!wrote && !o->failed) {
        o->len = mark;
        return;
    }

    out_z(o, "]}");
}


static void
cohere_result(ir_t *ir, out_t *o, node_t *p)
{
    node_t  *parts, *q, *id;
    tree_t  *t;

    t = &ir->tree;
    (void) node_get(t, p, "name");
    id = node_get(t, p, "id");
    parts = node_get(t, p, "parts");
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "role", "tool");
    out_key_node(o, t, "tool_call_id", id);

    for (q = node_first(t, parts); q != NULL; q = q->next) {
        if (cohere_is_document(ir, q)) {
            break;
        }
    }

    if (q == NULL) {
        cohere_content(ir, o, parts);
        out_close(o, '}');
        return;
    }

    out_key(o, "content");
    out_open(o, '[');

    for (q = node_first(t, parts); q != NULL; q = q->next) {

        if (cohere_is_document(ir, q)) {
            out_item(o);
            out_open(o, '{');
            out_key_z(o, "type", "document");
            out_key(o, "document");
            cohere_document(ir, o, q);
            out_close(o, '}');

        } else if (cohere_is_text(ir, q)) {
            (void) cohere_part(ir, o, q);
        }
    }

    out_z(o, "]}");
}


/* All messages of a turn are one: calls of all are answered behind it.  The
 * last of them is returned. */

static node_t *
cohere_turn(ir_t *ir, node_t *m, node_t *parts)
{
    node_t  *p, *next;
    tree_t  *t;

    t = &ir->tree;

    for ( ;; ) {
        p = node_first(t, node_get(t, m, "parts"));

        for ( /* void */ ; p != NULL; p = next) {
            next = p->next;
            node_add(parts, p);
        }

        if (m->next == NULL
            || !node_is(node_peek(t, m->next, "role"), "assistant"))
        {
            return m;
        }

        m = node_read(m->next);
        (void) node_get(t, m, "role");
    }
}


/* What is said beside calls is their plan here. */

static node_t *
cohere_assistant(ir_t *ir, out_t *o, node_t *m)
{
    int        texts, thoughts, calls;
    node_t    *parts, *p, *type, *format;
    tree_t    *t;

    t = &ir->tree;
    parts = node_array(t);
    m = cohere_turn(ir, m, parts);
    texts = 0;
    thoughts = 0;
    calls = 0;

    for (p = node_first(t, parts); p != NULL; p = p->next) {
        type = node_peek(t, p, "type");
        format = node_peek(t, p, "format");
        texts += cohere_is_text(ir, p)
                 && node_text(node_peek(t, p, "text")).len != 0;
        calls += node_is(type, "tool_call");
        thoughts += node_is(type, "reasoning")
                    && node_peek(t, p, "text") != NULL
                    && (node_is(format, "cohere")
                        || node_is(format, "openai"));
    }

    out_item(o);
    out_open(o, '{');
    out_key_z(o, "role", "assistant");

    if (calls != 0) {

        if (thoughts != 0) {
            out_key(o, "content");
            out_open(o, '[');
            cohere_thinking(ir, o, parts);
            out_close(o, ']');
        }

        for (p = node_first(t, parts); p != NULL; p = p->next) {
            if (cohere_is_text(ir, p)) {
                node_read(p);
                node_read(node_peek(t, p, "type"));
                node_read(node_peek(t, p, "text"));
            }
        }

        if (texts != 0) {
            out_key(o, "tool_plan");
            out_z(o, "\"");

            for (p = node_first(t, parts); p != NULL; p = p->next) {
                if (cohere_is_text(ir, p)) {
                    out_add(o, node_text(node_peek(t, p, "text")));
                }
            }

            out_z(o, "\"");
        }

        cohere_calls(ir, o, parts);

    } else if (thoughts != 0) {
        out_key(o, "content");
        out_open(o, '[');
        cohere_thinking(ir, o, parts);

        for (p = node_first(t, parts); p != NULL; p = p->next) {
            if (cohere_is_text(ir, p)) {
                (void) cohere_part(ir, o, p);
            }
        }

        out_close(o, ']');

    } else {
        cohere_content(ir, o, parts);
    }

    out_close(o, '}');

    return m;
}


/* Texts alone: one is a string. */

static void
cohere_content(ir_t *ir, out_t *o, node_t *parts)
{
    node_t    *p, *one;
    tree_t    *t;
    unsigned   n;

    t = &ir->tree;
    n = 0;
    one = NULL;

    for (p = node_first(t, parts); p != NULL; p = p->next) {
        if (cohere_is_text(ir, p)) {
            n++;
            one = p;
        }
    }

    out_key(o, "content");

    if (n <= 1) {
        node_read(one);
        node_read(node_peek(t, one, "type"));
        out_escaped(o, node_text(node_get(t, one, "text")));
        return;
    }

    out_open(o, '[');

    for (p = node_first(t, parts); p != NULL; p = p->next) {
        if (cohere_is_text(ir, p)) {
            (void) cohere_part(ir, o, p);
        }
    }

    out_close(o, ']');
}


/* Its own, and that of which nobody says whose it was. */

static void
cohere_thinking(ir_t *ir, out_t *o, node_t *parts)
{
    node_t  *p, *format;
    tree_t  *t;

    t = &ir->tree;

    for (p = node_first(t, parts); p != NULL; p = p->next) {
        format = node_peek(t, p, "format");

        if (!node_is(node_peek(t, p, "type"), "reasoning")
            || (!node_is(format, "cohere") && !node_is(format, "openai"))
            || node_peek(t, p, "text") == NULL)
        {
            continue;
        }

        node_read(p);
        node_read(format);
        (void) node_get(t, p, "type");
        (void) node_get(t, p, "summary");
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "type", "thinking");
        out_key_node(o, t, "thinking", node_get(t, p, "text"));
        out_close(o, '}');
    }
}


static void
cohere_calls(ir_t *ir, out_t *o, node_t *parts)
{
    node_t  *p;
    tree_t  *t;

    t = &ir->tree;
    out_key(o, "tool_calls");
    out_open(o, '[');

    for (p = node_first(t, parts); p != NULL; p = p->next) {

        if (!ir_is(ir, p, "tool_call")) {
            continue;
        }

        node_read(p);
        out_item(o);
        out_open(o, '{');
        out_key_node(o, t, "id", node_get(t, p, "id"));
        out_key_z(o, "type", "function");
        out_key(o, "function");
        out_open(o, '{');
        out_key_node(o, t, "name", node_get(t, p, "name"));
        out_key(o, "arguments");
        ir_arguments_string(ir, o, node_get(t, p, "arguments"));
        out_z(o, "}}");
    }

    out_close(o, ']');
}


static int
cohere_is_text(ir_t *ir, node_t *p)
{
    node_t  *type;

    type = node_peek(&ir->tree, p, "type");

    return node_is(type, "text") || node_is(type, "refusal");
}


/* One whose words are there. */

static int
cohere_is_document(ir_t *ir, node_t *p)
{
    return node_is(node_peek(&ir->tree, p, "type"), "document")
           && (node_peek(&ir->tree, p, "text") != NULL
               || node_peek(&ir->tree, p, "parts") != NULL);
}


/* A text or a picture; 1: it was written. */

static int
cohere_part(ir_t *ir, out_t *o, node_t *p)
{
    node_t  *data, *url;
    tree_t  *t;

    t = &ir->tree;

    if (cohere_is_text(ir, p)) {
        node_read(p);
        (void) node_get(t, p, "type");
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "type", "text");
        out_key_escaped(o, "text", node_text(node_get(t, p, "text")));
        out_close(o, '}');

        return 1;
    }

    data = node_peek(t, p, "data");
    url = node_peek(t, p, "url");

    if (!node_is(node_peek(t, p, "type"), "image")
        || (data == NULL && url == NULL))
    {
        return 0;
    }

    node_read(p);
    (void) node_get(t, p, "type");
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "type", "image_url");
    out_key(o, "image_url");
    out_open(o, '{');

    if (data != NULL) {
        node_read(data);
        out_key(o, "url");
        out_z(o, "\"data:");
        out_add(o, node_text(node_get(t, p, "media_type")));
        out_z(o, ";base64,");
        out_add(o, node_text(data));
        out_z(o, "\"");

    } else {
        out_key_node(o, t, "url", url);
    }

    out_key_node(o, t, "detail", node_get(t, p, "detail"));
    out_z(o, "}}");

    return 1;
}


/* Documents stand beside the conversation. */

void
cohere_documents(ir_t *ir, out_t *o, node_t *own)
{
    int      cited;
    size_t   n;
    node_t  *m, *p, *given, *options;
    tree_t  *t;

    t = &ir->tree;
    n = 0;
    cited = 0;
    m = node_first(t, node_peek(t, ir->request, "messages"));

    for ( /* void */ ; m != NULL; m = m->next) {
        p = node_first(t, node_peek(t, m, "parts"));

        for ( /* void */ ; p != NULL; p = p->next) {

            if (!cohere_is_document(ir, p)) {
                continue;
            }

            if (n++ == 0) {
                out_key(o, "documents");
                out_open(o, '[');
            }

            cited |= node_true(node_peek(t, p, "citations"));
            out_item(o);
            cohere_document(ir, o, p);
        }
    }

    given = node_get_type(t, own, "documents", AI_JSON_ARRAY);

    for (p = node_first(t, given); p != NULL; p = p->next) {

        if (n++ == 0) {
            out_key(o, "documents");
            out_open(o, '[');
        }

        cited = 1;
        out_item(o);
        out_node(o, t, p);
    }

    out_z(o, n != 0 ? "]" : "");
    options = node_get(t, own, "citation_options");

    if (options != NULL) {
        out_key_node(o, t, "citation_options", options);

    } else if (n != 0 && !cited) {
        out_key(o, "citation_options");
        out_z(o, "{\"mode\":\"OFF\"}");
    }
}


static void
cohere_document(ir_t *ir, out_t *o, node_t *p)
{
    tree_t  *t;

    t = &ir->tree;
    out_open(o, '{');
    out_key(o, "data");
    out_open(o, '{');
    out_key_node(o, t, "title", node_get(t, p, "title"));
    out_key_node(o, t, "context", node_get(t, p, "context"));
    (void) node_get(t, p, "citations");
    out_key(o, "text");
    out_z(o, "\"");
    cohere_document_text(ir, o, p, 0);
    out_z(o, "\"}}");
}


static void
cohere_document_text(ir_t *ir, out_t *o, node_t *p, unsigned depth)
{
    node_t  *q;
    tree_t  *t;

    t = &ir->tree;
    node_read(p);
    (void) node_get(t, p, "type");
    out_add(o, node_text(node_get(t, p, "text")));

    if (depth != 0) {
        return;
    }

    q = node_first(t, node_get(t, p, "parts"));

    for ( /* void */ ; q != NULL; q = q->next) {
        if (cohere_is_text(ir, q)) {
            cohere_document_text(ir, o, q, 1);
            out_z(o, q->next != NULL ? "\\n\\n" : "");
        }
    }
}
