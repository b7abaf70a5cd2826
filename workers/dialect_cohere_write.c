/*
 * Cohere's /v2/chat: the intermediate form as a request.  Owns nothing.
 */

#include "dialect_cohere.h"

#include <stdio.h>
#include <string.h>


#define COHERE_STOPS_MAX  5


static void cohere_messages(ir_t *ir, out_t *o);
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
static void cohere_documents(ir_t *ir, out_t *o, node_t *own);
static void cohere_tools(ir_t *ir, out_t *o);
static int cohere_offered(ir_t *ir, node_t *choice, node_t *name);
static void cohere_choice(ir_t *ir, out_t *o, node_t *choice);
static void cohere_format(ir_t *ir, out_t *o);
static void cohere_effort(ir_t *ir, out_t *o);
static void cohere_number(ir_t *ir, out_t *o, const char *from,
    const char *to, double min, double max);
static void cohere_rest(ir_t *ir, out_t *o, node_t *own);


/* What a word of effort is in tokens; 0: as many as it likes. */
static const struct {
    const char *word;
    int64_t     budget;
} cohere_efforts[] = {
    { "minimal", 1024 },
    { "low", 2048 },
    { "medium", 8192 },
    { "high", 16384 },
    { "xhigh", 32000 },
    { NULL, 0 }
};


int
cohere_write_request(ir_t *ir, out_t *o)
{
    node_t  *own;
    tree_t  *t;

    t = &ir->tree;
    own = node_get(t, node_get(t, ir->request, "extra"), "cohere");

    out_open(o, '{');
    out_key(o, "model");
    out_bytes(o, ir->model);

    cohere_messages(ir, o);
    cohere_documents(ir, o, own);
    cohere_tools(ir, o);
    cohere_format(ir, o);
    cohere_effort(ir, o);
    cohere_rest(ir, o, own);

    if (ir->stream) {
        out_key(o, "stream");
        out_z(o, "true");
    }

    out_close(o, '}');

    return 0;
}


static void
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

static void
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


/* That it is this tool is said by offering no other. */

static void
cohere_tools(ir_t *ir, out_t *o)
{
    size_t   n, strict;
    node_t  *tool, *tools, *c, *schema;
    tree_t  *t;

    t = &ir->tree;
    tools = node_get(t, ir->request, "tools");
    c = node_get(t, ir->request, "tool_choice");
    n = 0;
    strict = 0;

    for (tool = node_first(t, tools); tool != NULL; tool = tool->next) {

        if (!node_is(node_peek(t, tool, "type"), "function")) {
            continue;
        }

        if (!cohere_offered(ir, c, node_peek(t, tool, "name"))) {
            node_whole(tool);
            continue;
        }

        if (n++ == 0) {
            out_key(o, "tools");
            out_open(o, '[');
        }

        strict += node_true(node_peek(t, tool, "strict"));
        node_read(tool);
        (void) node_get(t, tool, "type");
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "type", "function");
        out_key(o, "function");
        out_open(o, '{');
        out_key_node(o, t, "name", node_get(t, tool, "name"));
        out_key_node(o, t, "description", node_get(t, tool, "description"));
        schema = node_get(t, tool, "schema");
        out_key(o, "parameters");

        if (node_first(t, schema) != NULL) {
            out_node(o, t, schema);

        } else {
            out_z(o, "{\"type\":\"object\",\"properties\":{}}");
        }

        out_z(o, "}}");
    }

    if (n == 0) {
        return;
    }

    out_close(o, ']');
    cohere_choice(ir, o, c);

    /* Strict are all or none. */

    if (strict != n) {
        return;
    }

    for (tool = node_first(t, tools); tool != NULL; tool = tool->next) {
        node_read(node_peek(t, tool, "strict"));
    }

    out_key(o, "strict_tools");
    out_z(o, "true");
}


static int
cohere_offered(ir_t *ir, node_t *choice, node_t *name)
{
    node_t    *n;
    tree_t    *t;
    unsigned   i;

    t = &ir->tree;
    n = node_get(t, choice, "name");

    if (n != NULL) {
        return ai_str_eq(node_text(n), node_text(name));
    }

    n = node_peek(t, choice, "names");

    if (n == NULL) {
        return 1;
    }

    node_whole(n);
    n = node_first(t, n);

    for (i = 0; n != NULL && i < COHERE_NAMES_MAX; n = n->next, i++) {
        if (ai_str_eq(node_text(n), node_text(name))) {
            return 1;
        }
    }

    return 0;
}


static void
cohere_choice(ir_t *ir, out_t *o, node_t *choice)
{
    node_t  *type;
    tree_t  *t;

    t = &ir->tree;
    type = node_get(t, choice, "type");

    if (node_is(type, "none")) {
        out_key_z(o, "tool_choice", "NONE");

    } else if (node_is(type, "required") || node_is(type, "tool")
               || node_get_is(t, choice, "mode", "required"))
    {
        out_key_z(o, "tool_choice", "REQUIRED");

    } else {
        (void) node_get_is(t, choice, "mode", "auto");
    }
}


static void
cohere_format(ir_t *ir, out_t *o)
{
    node_t  *f;
    tree_t  *t;

    t = &ir->tree;
    f = node_get(t, ir->request, "format");

    if (node_get_is(t, f, "type", "json")) {
        out_key(o, "response_format");
        out_z(o, "{\"type\":\"json_object\"}");

    } else if (node_get_is(t, f, "type", "schema")) {
        (void) node_get(t, f, "name");
        (void) node_get(t, f, "strict");
        out_key(o, "response_format");
        out_z(o, "{\"type\":\"json_object\"");
        out_key_node(o, t, "json_schema", node_get(t, f, "schema"));
        out_close(o, '}');
    }
}


static void
cohere_effort(ir_t *ir, out_t *o)
{
    size_t    i;
    node_t   *r, *effort, *budget;
    tree_t   *t;
    int64_t   n;

    t = &ir->tree;
    r = node_get(t, ir->request, "reasoning");

    if (r == NULL) {
        return;
    }

    effort = node_get(t, r, "effort");
    budget = node_get(t, r, "budget");
    out_key(o, "thinking");

    if (node_get_is(t, r, "mode", "off") || node_is(effort, "none")) {
        (void) node_get(t, r, "mode");
        out_z(o, "{\"type\":\"disabled\"}");
        return;
    }

    (void) node_get(t, r, "mode");

    for (i = 0; cohere_efforts[i].word != NULL; i++) {
        if (node_is(effort, cohere_efforts[i].word)) {
            break;
        }
    }

    n = node_int(budget, cohere_efforts[i].budget);
    out_z(o, "{\"type\":\"enabled\"");

    if (n > 0) {
        out_key_int(o, "token_budget", n);
    }

    out_close(o, '}');
}


/* What lies outside of its range becomes the nearest that lies in it; of less
 * than nothing there is none. */

static void
cohere_number(ir_t *ir, out_t *o, const char *from, const char *to,
    double min, double max)
{
    char      text[48];
    double    v, near;
    node_t   *n;
    ai_str_t  said;

    n = node_peek(&ir->tree, ir->request, from);

    if (n == NULL || n->type != AI_JSON_NUMBER) {
        return;
    }

    v = node_number(n, min);

    if (v < 0) {
        return;
    }

    near = v < min ? min : v > max ? max : v;
    said = n->text;
    node_read(n);

    if (near != v) {

        /* The whole of the probability is what nobody need say. */

        if (strcmp(from, "top_p") != 0 || v != 1) {
            ir_note(ir, n, v < min ? "is too small" : "is too large");
        }

        snprintf(text, sizeof(text), "%g", near);
        said = tree_copy(&ir->tree, (ai_str_t) { strlen(text), text });
    }

    out_key(o, to);
    out_add(o, said);
}


static void
cohere_rest(ir_t *ir, out_t *o, node_t *own)
{
    size_t     i;
    node_t    *n, *stop;
    tree_t    *t;
    static const char *const  same[] = { "max_tokens", "logprobs" };
    static const char *const  extra[] = { "safety_mode", "priority" };

    t = &ir->tree;
    cohere_number(ir, o, "temperature", "temperature", 0, 1);
    cohere_number(ir, o, "top_p", "p", 0.01, 0.99);
    cohere_number(ir, o, "top_k", "k", 0, 500);
    cohere_number(ir, o, "frequency_penalty", "frequency_penalty", 0, 1);
    cohere_number(ir, o, "presence_penalty", "presence_penalty", 0, 1);
    cohere_number(ir, o, "seed", "seed", 0, 18446744073709551615.0);

    for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        out_key_node(o, t, same[i], node_get(t, ir->request, same[i]));
    }

    for (i = 0; i < sizeof(extra) / sizeof(extra[0]); i++) {
        out_key_node(o, t, extra[i], node_get(t, own, extra[i]));
    }

    n = node_get(t, ir->request, "stop");
    stop = node_first(t, n);

    if (stop == NULL) {
        return;
    }

    out_key(o, "stop_sequences");
    out_open(o, '[');

    for (i = 0; stop != NULL && i < COHERE_STOPS_MAX; stop = stop->next, i++) {
        out_item(o);
        out_node(o, t, stop);
    }

    out_close(o, ']');
}
