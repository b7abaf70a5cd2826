/*
 * OpenAI's Responses: the intermediate form as a request to a provider that
 * speaks them.  Owns nothing.
 */

#include "dialect_responses.h"

#include <string.h>


static void responses_input(ir_t *ir, out_t *o);
static void responses_user(ir_t *ir, out_t *o, node_t *m, const char *role);
static void responses_assistant(ir_t *ir, out_t *o, node_t *m);
static void responses_result(ir_t *ir, out_t *o, node_t *part);
static void responses_call(ir_t *ir, out_t *o, node_t *p);
static void responses_reasoning(ir_t *ir, out_t *o, node_t *p);
static void responses_parts(ir_t *ir, out_t *o, node_t *first);
static void responses_part(ir_t *ir, out_t *o, node_t *p);
static void responses_document(ir_t *ir, out_t *o, node_t *p);
static void responses_url(ir_t *ir, out_t *o, const char *key, node_t *p);
static int responses_tools(ir_t *ir, out_t *o);
static void responses_choice(ir_t *ir, out_t *o);
static void responses_text(ir_t *ir, out_t *o);
static void responses_effort(ir_t *ir, out_t *o);
static void responses_rest(ir_t *ir, out_t *o);


/* Members that go as they are. */
static const struct {
    const char *from;
    const char *to;
} responses_same[] = {
    { "max_tokens", "max_output_tokens" },
    { "temperature", "temperature" },
    { "top_p", "top_p" },
    { "top_logprobs", "top_logprobs" },
    { "metadata", "metadata" },
    { "cache_key", "prompt_cache_key" },
    { "cache_retention", "prompt_cache_retention" },
    { "service_tier", "service_tier" }
};


int
responses_write_request(ir_t *ir, out_t *o)
{
    out_open(o, '{');
    out_key(o, "model");
    out_bytes(o, ir->model);

    responses_input(ir, o);

    if (responses_tools(ir, o)) {
        responses_choice(ir, o);
    }

    responses_text(ir, o);
    responses_effort(ir, o);
    responses_rest(ir, o);

    if (ir->stream) {
        out_key(o, "stream");
        out_z(o, "true");
    }

    out_close(o, '}');

    return 0;
}


static void
responses_input(ir_t *ir, out_t *o)
{
    node_t  *m, *role, *p;
    tree_t  *t;

    t = &ir->tree;
    out_key(o, "input");
    out_open(o, '[');
    m = node_first(t, node_get(t, ir->request, "messages"));

    for ( /* void */ ; m != NULL; m = m->next) {
        node_read(m);
        role = node_get(t, m, "role");

        if (node_is(role, "assistant")) {
            responses_assistant(ir, o, m);
            continue;
        }

        if (!node_is(role, "user") && !node_is(role, "tool")) {
            responses_user(ir, o, m, node_is(role, "system") ? "system"
                                     : "developer");
            continue;
        }

        /* What tools said stands right behind their calls. */

        p = node_first(t, node_get(t, m, "parts"));

        for ( /* void */ ; p != NULL; p = p->next) {
            if (ir_is(ir, p, "tool_result")) {
                node_read(p);
                responses_result(ir, o, p);
            }
        }

        responses_user(ir, o, m, "user");
    }

    out_close(o, ']');
}


static void
responses_user(ir_t *ir, out_t *o, node_t *m, const char *role)
{
    size_t   mark, empty;
    node_t  *p;
    tree_t  *t;

    t = &ir->tree;
    mark = o->len;
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "role", role);
    out_key(o, "content");
    p = node_first(t, node_get(t, m, "parts"));

    if (p != NULL && p->next == NULL && ir_is(ir, p, "text")) {
        node_read(p);
        out_escaped(o, node_text(node_get(t, p, "text")));
        out_close(o, '}');
        return;
    }

    out_open(o, '[');
    empty = o->len;
    responses_parts(ir, o, p);

    if (o->len == empty && !o->failed) {
        o->len = mark;
        return;
    }

    out_z(o, "]}");
}


/* Its items, in order; a name of who speaks has no place. */

static void
responses_assistant(ir_t *ir, out_t *o, node_t *m)
{
    int      open, refusal;
    node_t  *p;
    tree_t  *t;

    t = &ir->tree;
    open = 0;
    p = node_first(t, node_get(t, m, "parts"));

    for ( /* void */ ; p != NULL; p = p->next) {
        refusal = ir_is(ir, p, "refusal");

        if (refusal || ir_is(ir, p, "text")) {
            node_read(p);

            if (!open) {
                out_item(o);
                out_open(o, '{');
                out_key_z(o, "role", "assistant");
                out_key(o, "content");
                out_open(o, '[');
                open = 1;
            }

            out_item(o);
            out_open(o, '{');
            out_key_z(o, "type", refusal ? "refusal" : "output_text");
            out_key_escaped(o, refusal ? "refusal" : "text",
                            node_text(node_get(t, p, "text")));
            out_close(o, '}');
            continue;
        }

        out_z(o, open ? "]}" : "");
        open = 0;

        if (ir_is(ir, p, "tool_call")) {
            responses_call(ir, o, p);

        } else if (ir_is(ir, p, "reasoning")) {
            responses_reasoning(ir, o, p);
        }
    }

    out_z(o, open ? "]}" : "");
}


static void
responses_call(ir_t *ir, out_t *o, node_t *p)
{
    tree_t  *t;

    t = &ir->tree;
    node_read(p);
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "type", "function_call");
    out_key_node(o, t, "call_id", node_get(t, p, "id"));
    out_key_node(o, t, "name", node_get(t, p, "name"));
    out_key(o, "arguments");
    ir_arguments_string(ir, o, node_get(t, p, "arguments"));
    out_close(o, '}');
}


/* Only what a provider of this dialect has said; of others it stays unread. */

static void
responses_reasoning(ir_t *ir, out_t *o, node_t *p)
{
    node_t  *text, *data, *sign;
    tree_t  *t;

    t = &ir->tree;
    data = node_peek(t, p, "data");
    sign = node_peek(t, p, "signature");

    if (!node_is(node_peek(t, p, "format"), "responses")
        || (data == NULL && sign == NULL))
    {
        return;
    }

    node_read(p);
    (void) node_get(t, p, "format");
    (void) node_get(t, p, "summary");
    text = node_get(t, p, "text");
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "type", "reasoning");
    out_key_node(o, t, "id", node_get(t, p, "id"));
    out_key(o, "summary");
    out_open(o, '[');

    if (text != NULL && text->text.len != 0) {
        out_z(o, "{\"type\":\"summary_text\",\"text\":");
        out_escaped(o, node_text(text));
        out_z(o, "}");
    }

    out_close(o, ']');
    out_key_node(o, t, "encrypted_content", node_get(t, p, data != NULL
                                                     ? "data" : "signature"));
    out_close(o, '}');
}


static void
responses_result(ir_t *ir, out_t *o, node_t *part)
{
    node_t  *p;
    tree_t  *t;

    t = &ir->tree;
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "type", "function_call_output");
    out_key_node(o, t, "call_id", node_get(t, part, "id"));
    (void) node_get(t, part, "name");
    out_key(o, "output");
    p = node_first(t, node_get(t, part, "parts"));

    if (p == NULL) {
        out_z(o, "\"\"");

    } else if (p->next == NULL && ir_is(ir, p, "text")) {
        node_read(p);
        out_escaped(o, node_text(node_get(t, p, "text")));

    } else {
        out_open(o, '[');
        responses_parts(ir, o, p);
        out_close(o, ']');
    }

    out_close(o, '}');
}


static void
responses_parts(ir_t *ir, out_t *o, node_t *first)
{
    node_t  *p;

    for (p = first; p != NULL; p = p->next) {
        responses_part(ir, o, p);
    }
}


/* What has no place here stays unread. */

static void
responses_part(ir_t *ir, out_t *o, node_t *p)
{
    tree_t  *t;

    t = &ir->tree;

    if (ir_is(ir, p, "text")) {
        node_read(p);
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "type", "input_text");
        out_key_escaped(o, "text", node_text(node_get(t, p, "text")));
        out_close(o, '}');

    } else if (node_is(node_peek(t, p, "type"), "image")
               && (node_peek(t, p, "url") != NULL
                   || node_peek(t, p, "data") != NULL))
    {
        (void) ir_is(ir, p, "image");
        node_read(p);
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "type", "input_image");
        responses_url(ir, o, "image_url", p);
        out_key_node(o, t, "detail", node_get(t, p, "detail"));
        out_close(o, '}');

    } else if (node_is(node_peek(t, p, "type"), "document")) {
        responses_document(ir, o, p);
    }
}


static void
responses_document(ir_t *ir, out_t *o, node_t *p)
{
    node_t  *q, *title;
    tree_t  *t;

    t = &ir->tree;

    if (node_peek(t, p, "text") != NULL || node_peek(t, p, "parts") != NULL) {
        (void) ir_is(ir, p, "document");
        node_read(p);
        q = node_get(t, p, "text");

        if (q != NULL) {
            out_item(o);
            out_open(o, '{');
            out_key_z(o, "type", "input_text");
            out_key_escaped(o, "text", node_text(q));
            out_close(o, '}');
        }

        q = node_first(t, node_get(t, p, "parts"));

        for ( /* void */ ; q != NULL; q = q->next) {
            if (!node_is(node_peek(t, q, "type"), "document")) {
                responses_part(ir, o, q);
            }
        }

        return;
    }

    if (node_peek(t, p, "data") == NULL && node_peek(t, p, "url") == NULL) {
        return;
    }

    (void) ir_is(ir, p, "document");
    node_read(p);
    title = node_get(t, p, "title");
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "type", "input_file");

    if (node_peek(t, p, "data") != NULL) {
        out_key_escaped(o, "filename", title != NULL ? node_text(title)
                                       : ai_str("document.pdf"));
        responses_url(ir, o, "file_data", p);

    } else {
        responses_url(ir, o, "file_url", p);
    }

    out_close(o, '}');
}


static void
responses_url(ir_t *ir, out_t *o, const char *key, node_t *p)
{
    tree_t  *t;

    t = &ir->tree;

    if (node_peek(t, p, "data") == NULL) {
        out_key_node(o, t, key, node_get(t, p, "url"));
        return;
    }

    out_key(o, key);
    out_z(o, "\"data:");
    out_add(o, node_text(node_get(t, p, "media_type")));
    out_z(o, ";base64,");
    out_add(o, node_text(node_get(t, p, "data")));
    out_z(o, "\"");
}


/* Tools, 1 where there are some: not to be strict must be said here. */

static int
responses_tools(ir_t *ir, out_t *o)
{
    size_t   mark, empty;
    node_t  *tool, *schema;
    tree_t  *t;

    t = &ir->tree;
    tool = node_first(t, node_get(t, ir->request, "tools"));

    if (tool == NULL) {
        return 0;
    }

    mark = o->len;
    out_key(o, "tools");
    out_open(o, '[');
    empty = o->len;

    for ( /* void */ ; tool != NULL; tool = tool->next) {

        if (!node_get_is(t, tool, "type", "function")) {
            continue;
        }

        node_read(tool);
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "type", "function");
        out_key_node(o, t, "name", node_get(t, tool, "name"));
        out_key_node(o, t, "description", node_get(t, tool, "description"));
        schema = node_get(t, tool, "schema");
        out_key(o, "parameters");

        if (schema != NULL) {
            out_node(o, t, schema);

        } else {
            out_z(o, "{\"type\":\"object\",\"properties\":{}}");
        }

        out_key(o, "strict");
        out_z(o, node_true(node_get(t, tool, "strict")) ? "true" : "false");
        out_close(o, '}');
    }

    if (o->len == empty && !o->failed) {
        o->len = mark;
        return 0;
    }

    out_close(o, ']');

    return 1;
}


/* How they are called: a word that is refused where there are none. */

static void
responses_choice(ir_t *ir, out_t *o)
{
    node_t  *c, *name;
    tree_t  *t;

    t = &ir->tree;
    out_key_node(o, t, "parallel_tool_calls",
                 node_get(t, ir->request, "parallel_tools"));
    c = node_get(t, ir->request, "tool_choice");

    if (c == NULL) {
        return;
    }

    out_key(o, "tool_choice");

    if (node_get_is(t, c, "type", "tool")) {
        out_z(o, "{\"type\":\"function\"");
        out_key_node(o, t, "name", node_get(t, c, "name"));
        out_z(o, "}");
        return;
    }

    if (!node_get_is(t, c, "type", "allowed")) {
        out_node(o, t, node_get(t, c, "type"));
        return;
    }

    out_z(o, "{\"type\":\"allowed_tools\"");
    out_key_node(o, t, "mode", node_get(t, c, "mode"));
    out_key(o, "tools");
    out_open(o, '[');
    name = node_first(t, node_get(t, c, "names"));

    for ( /* void */ ; name != NULL; name = name->next) {
        out_item(o);
        out_z(o, "{\"type\":\"function\",\"name\":");
        out_node(o, t, name);
        out_z(o, "}");
    }

    out_z(o, "]}");
}


static void
responses_text(ir_t *ir, out_t *o)
{
    node_t  *f, *name, *verbosity;
    tree_t  *t;

    t = &ir->tree;
    f = node_get(t, ir->request, "format");
    verbosity = node_get(t, ir->request, "verbosity");

    if (f == NULL && verbosity == NULL) {
        return;
    }

    out_key(o, "text");
    out_open(o, '{');
    out_key_node(o, t, "verbosity", verbosity);

    if (node_get_is(t, f, "type", "json")) {
        out_key(o, "format");
        out_z(o, "{\"type\":\"json_object\"}");

    } else if (node_get_is(t, f, "type", "schema")) {
        out_key(o, "format");
        out_z(o, "{\"type\":\"json_schema\"");
        name = node_get(t, f, "name");
        out_key_escaped(o, "name", name != NULL ? node_text(name)
                                                : ai_str("response"));
        out_key_node(o, t, "description", node_get(t, f, "description"));
        out_key_node(o, t, "schema", node_get(t, f, "schema"));
        out_key(o, "strict");
        out_z(o, node_true(node_get(t, f, "strict")) ? "true" : "false");
        out_z(o, "}");
    }

    out_close(o, '}');
}


/* A budget as one of OpenAI's words; who asked for thinking wants to see it. */

static void
responses_effort(ir_t *ir, out_t *o)
{
    int       shown;
    node_t   *r, *effort, *budget;
    tree_t   *t;
    int64_t   n;

    t = &ir->tree;
    r = node_get(t, ir->request, "reasoning");
    effort = node_get(t, r, "effort");
    budget = node_peek(t, r, "budget");
    shown = node_is(node_peek(t, r, "mode"), "adaptive") || budget != NULL;

    if (r == NULL
        || (effort == NULL && !node_is(node_peek(t, r, "mode"), "on")
            && !node_is(node_peek(t, r, "mode"), "adaptive")))
    {
        return;
    }

    (void) node_get(t, r, "mode");
    (void) node_get(t, r, "budget");
    out_key(o, "reasoning");
    out_open(o, '{');

    if (effort != NULL) {
        out_key_node(o, t, "effort", effort);

    } else {
        n = node_int(budget, 4096);
        out_key_z(o, "effort", n <= 2048 ? "low" : n <= 12288 ? "medium"
                               : "high");
    }

    if (shown) {
        out_key_z(o, "summary", "auto");
    }

    out_close(o, '}');
}


static void
responses_rest(ir_t *ir, out_t *o)
{
    int      logprobs, encrypted;
    size_t   i;
    node_t  *store;
    tree_t  *t;

    t = &ir->tree;

    for (i = 0; i < sizeof(responses_same) / sizeof(responses_same[0]); i++) {
        out_key_node(o, t, responses_same[i].to,
                     node_get(t, ir->request, responses_same[i].from));
    }

    out_key_node(o, t, ir->official ? "safety_identifier" : "user",
                 node_get(t, ir->request, "user"));

    /* Stored nowhere, reasoning can only be had encrypted. */

    store = node_get(t, ir->request, "store");
    out_key(o, "store");
    out_z(o, node_true(store) ? "true" : "false");

    logprobs = node_true(node_get(t, ir->request, "logprobs"));
    encrypted = node_peek(t, ir->request, "reasoning") != NULL;

    if (!logprobs && !encrypted) {
        return;
    }

    out_key(o, "include");
    out_open(o, '[');

    if (encrypted) {
        out_item(o);
        out_z(o, "\"reasoning.encrypted_content\"");
    }

    if (logprobs) {
        out_item(o);
        out_z(o, "\"message.output_text.logprobs\"");
    }

    out_close(o, ']');
}
