/*
 * OpenAI's chat completions: the intermediate form as a request to a provider
 * that speaks them.  Owns nothing.
 */

#include "dialect_openai.h"

#include <string.h>


static void openai_messages(ir_t *ir, out_t *o);
static void openai_user(ir_t *ir, out_t *o, node_t *m);
static void openai_result(ir_t *ir, out_t *o, node_t *part);
static node_t *openai_assistant(ir_t *ir, out_t *o, node_t *m);
static node_t *openai_next(ir_t *ir, node_t *p);
static void openai_begin(ir_t *ir, out_t *o, node_t *m, const char *role);
static node_t *openai_sibling(ir_t *ir, node_t *p);
static void openai_texts(ir_t *ir, out_t *o, node_t *first, const char *type,
    node_t *(*next)(ir_t *ir, node_t *p));
static int openai_part(ir_t *ir, out_t *o, node_t *p);
static int openai_document(ir_t *ir, out_t *o, node_t *p);
static void openai_url(ir_t *ir, out_t *o, const char *key, node_t *p);
static int openai_tools(ir_t *ir, out_t *o);
static void openai_choice(ir_t *ir, out_t *o);
static void openai_format(ir_t *ir, out_t *o);
static void openai_rest(ir_t *ir, out_t *o);


/* Members that go as they are. */
static const struct {
    const char *from;
    const char *to;
} openai_same[] = {
    { "temperature", "temperature" },
    { "top_p", "top_p" },
    { "frequency_penalty", "frequency_penalty" },
    { "presence_penalty", "presence_penalty" },
    { "seed", "seed" },
    { "n", "n" },
    { "logprobs", "logprobs" },
    { "top_logprobs", "top_logprobs" },
    { "logit_bias", "logit_bias" },
    { "stop", "stop" },
    { "verbosity", "verbosity" },
    { "metadata", "metadata" },
    { "store", "store" },
    { "cache_key", "prompt_cache_key" },
    { "cache_retention", "prompt_cache_retention" },
    { "modalities", "modalities" },
    { "audio", "audio" }
};


int
openai_write_request(ir_t *ir, out_t *o)
{
    out_open(o, '{');
    out_key(o, "model");
    out_bytes(o, ir->model);

    openai_messages(ir, o);

    if (openai_tools(ir, o)) {
        openai_choice(ir, o);
    }

    openai_format(ir, o);
    openai_rest(ir, o);

    if (ir->stream) {
        out_key(o, "stream");
        out_z(o, "true");

        if (ir->ask_usage) {
            out_key(o, "stream_options");
            out_z(o, "{\"include_usage\":true}");
        }
    }

    out_close(o, '}');

    return 0;
}


static void
openai_messages(ir_t *ir, out_t *o)
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
            m = openai_assistant(ir, o, m);

        } else if (node_is(role, "user") || node_is(role, "tool")) {
            openai_user(ir, o, m);

        } else {
            openai_begin(ir, o, m, node_is(role, "system") ? "system"
                                                           : "developer");
            out_key(o, "content");
            openai_texts(ir, o, node_first(t, node_get(t, m, "parts")), "text",
                         openai_sibling);
            out_close(o, '}');
        }
    }

    out_close(o, ']');
}


static void
openai_begin(ir_t *ir, out_t *o, node_t *m, const char *role)
{
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "role", role);
    out_key_node(o, &ir->tree, "name", node_get(&ir->tree, m, "name"));
}


/* What tools said stands right behind their calls, so it goes first; what of
 * it is no text follows as the user's. */

static void
openai_user(ir_t *ir, out_t *o, node_t *m)
{
    node_t  *parts, *p, *q;
    tree_t  *t;
    size_t   mark, empty;

    t = &ir->tree;
    parts = node_get(t, m, "parts");

    for (p = node_first(t, parts); p != NULL; p = p->next) {
        if (ir_is(ir, p, "tool_result")) {
            node_read(p);
            openai_result(ir, o, p);
        }
    }

    mark = o->len;
    openai_begin(ir, o, m, "user");
    out_key(o, "content");
    p = node_first(t, parts);

    if (p != NULL && p->next == NULL && ir_is(ir, p, "text")) {
        openai_texts(ir, o, p, "text", openai_sibling);
        out_close(o, '}');
        return;
    }

    out_open(o, '[');
    empty = o->len;

    for ( /* void */ ; p != NULL; p = p->next) {

        if (!ir_is(ir, p, "tool_result")) {
            (void) openai_part(ir, o, p);
            continue;
        }

        q = node_first(t, node_get(t, p, "parts"));

        for ( /* void */ ; q != NULL; q = q->next) {
            if (!node_is(node_peek(t, q, "type"), "text")) {
                (void) openai_part(ir, o, q);
            }
        }
    }

    if (o->len == empty && !o->failed) {
        o->len = mark;
        return;
    }

    out_z(o, "]}");
}


static void
openai_result(ir_t *ir, out_t *o, node_t *part)
{
    tree_t  *t;

    t = &ir->tree;
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "role", "tool");
    out_key_node(o, t, "tool_call_id", node_get(t, part, "id"));
    (void) node_get(t, part, "name");
    out_key(o, "content");
    openai_texts(ir, o, node_first(t, node_get(t, part, "parts")), "text",
                 openai_sibling);
    out_close(o, '}');
}


/* The next part of an assistant's turn, which may be several messages: calls
 * of all of them are answered behind the last. */

static node_t *
openai_next(ir_t *ir, node_t *p)
{
    node_t  *m;
    tree_t  *t;

    t = &ir->tree;

    if (p->next != NULL) {
        return p->next;
    }

    for (m = p->parent->parent->next; m != NULL; m = m->next) {

        if (!node_is(node_peek(t, m, "role"), "assistant")) {
            return NULL;
        }

        p = node_first(t, node_peek(t, m, "parts"));

        if (p != NULL) {
            return p;
        }
    }

    return NULL;
}


/* The last message of the turn is returned. */

static node_t *
openai_assistant(ir_t *ir, out_t *o, node_t *m)
{
    int      texts, calls, refusals;
    node_t  *first, *p, *text;
    out_t    reasoning;
    tree_t  *t;

    t = &ir->tree;
    openai_begin(ir, o, m, "assistant");
    texts = 0;
    calls = 0;
    refusals = 0;
    first = NULL;
    memset(&reasoning, 0, sizeof(reasoning));

    for ( ;; ) {
        p = node_first(t, node_get(t, m, "parts"));
        first = first != NULL ? first : p;

        if (m->next == NULL
            || !node_is(node_peek(t, m->next, "role"), "assistant"))
        {
            break;
        }

        m = node_read(m->next);
        (void) node_get(t, m, "role");
    }

    for (p = first; p != NULL; p = openai_next(ir, p)) {
        texts += ir_is(ir, p, "text");
        calls += ir_is(ir, p, "tool_call");
        refusals += ir_is(ir, p, "refusal");

        /* Its own reasoning goes back to a server that showed it. */

        if (ir_is(ir, p, "reasoning") && !ir->official
            && node_get_is(t, p, "format", "openai"))
        {
            node_read(p);
            text = node_get(t, p, "text");
            out_add(&reasoning, node_text(text));
        }
    }

    out_key(o, "content");

    if (texts != 0) {
        openai_texts(ir, o, first, "text", openai_next);

    } else {
        out_z(o, calls != 0 || refusals != 0 ? "null" : "\"\"");
    }

    if (refusals != 0) {
        out_key(o, "refusal");
        openai_texts(ir, o, first, "refusal", openai_next);
    }

    if (reasoning.len != 0) {
        out_key_escaped(o, "reasoning_content",
                        (ai_str_t) { reasoning.len, reasoning.data });
    }

    o->failed |= reasoning.failed;
    out_free(&reasoning);

    if (calls != 0) {
        out_key(o, "tool_calls");
        out_open(o, '[');
    }

    for (p = first; p != NULL; p = openai_next(ir, p)) {

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

    if (calls != 0) {
        out_close(o, ']');
    }

    out_close(o, '}');

    return m;
}


static node_t *
openai_sibling(ir_t *ir, node_t *p)
{
    (void) ir;

    return p->next;
}


/* Texts: one is a string. */

static void
openai_texts(ir_t *ir, out_t *o, node_t *first, const char *type,
    node_t *(*next)(ir_t *ir, node_t *p))
{
    int        refusals;
    node_t    *p, *one;
    tree_t    *t;
    unsigned   n;

    t = &ir->tree;
    refusals = type[0] == 'r';
    n = 0;
    one = NULL;

    for (p = first; p != NULL; p = next(ir, p)) {
        if (node_is(node_peek(t, p, "type"), type)) {
            n++;
            one = p;
        }
    }

    if (n == 0) {
        out_z(o, "\"\"");
        return;
    }

    if (n == 1) {
        node_read(one);
        (void) ir_is(ir, one, type);
        out_escaped(o, node_text(node_get(t, one, "text")));
        return;
    }

    out_z(o, refusals ? "\"" : "[");

    for (p = first; p != NULL; p = next(ir, p)) {

        if (!ir_is(ir, p, type)) {
            continue;
        }

        if (refusals) {
            node_read(p);
            out_add(o, node_text(node_get(t, p, "text")));

        } else {
            (void) openai_part(ir, o, p);
        }
    }

    out_z(o, refusals ? "\"" : "]");
}


/* 1: it was written; what has no place here stays unread. */

static int
openai_part(ir_t *ir, out_t *o, node_t *p)
{
    node_t  *n;
    tree_t  *t;

    t = &ir->tree;

    if (ir_is(ir, p, "text")) {
        node_read(p);
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "type", "text");
        out_key_escaped(o, "text", node_text(node_get(t, p, "text")));
        out_close(o, '}');

        return 1;
    }

    if (node_is(node_peek(t, p, "type"), "image")
        && (node_peek(t, p, "url") != NULL || node_peek(t, p, "data") != NULL))
    {
        (void) ir_is(ir, p, "image");
        node_read(p);
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "type", "image_url");
        out_key(o, "image_url");
        out_open(o, '{');
        openai_url(ir, o, "url", p);
        n = node_get(t, p, "detail");
        out_key_node(o, t, "detail", n);
        out_z(o, "}}");

        return 1;
    }

    if (node_is(node_peek(t, p, "type"), "audio")
        && node_peek(t, p, "data") != NULL)
    {
        (void) ir_is(ir, p, "audio");
        node_read(p);
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "type", "input_audio");
        out_key(o, "input_audio");
        out_open(o, '{');
        out_key_node(o, t, "data", node_get(t, p, "data"));
        out_key_node(o, t, "format", node_get(t, p, "format"));
        out_z(o, "}}");

        return 1;
    }

    if (node_is(node_peek(t, p, "type"), "video") && !ir->official) {
        (void) ir_is(ir, p, "video");
        node_read(p);
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "type", "video_url");
        out_key(o, "video_url");
        out_open(o, '{');
        openai_url(ir, o, "url", p);
        out_z(o, "}}");

        return 1;
    }

    if (node_is(node_peek(t, p, "type"), "document")) {
        return openai_document(ir, o, p);
    }

    return 0;
}


static int
openai_document(ir_t *ir, out_t *o, node_t *p)
{
    int      wrote;
    node_t  *text, *parts, *q, *title;
    tree_t  *t;

    t = &ir->tree;
    text = node_peek(t, p, "text");
    parts = node_peek(t, p, "parts");

    if (text != NULL || parts != NULL) {
        (void) ir_is(ir, p, "document");
        node_read(p);
        wrote = 0;

        if (text != NULL) {
            out_item(o);
            out_open(o, '{');
            out_key_z(o, "type", "text");
            out_key_escaped(o, "text", node_text(node_get(t, p, "text")));
            out_close(o, '}');
            wrote = 1;
        }

        q = node_first(t, node_get(t, p, "parts"));

        for ( /* void */ ; q != NULL; q = q->next) {
            if (!node_is(node_peek(t, q, "type"), "document")) {
                wrote |= openai_part(ir, o, q);
            }
        }

        return wrote;
    }

    if (node_peek(t, p, "data") == NULL && node_peek(t, p, "file") == NULL) {
        return 0;
    }

    (void) ir_is(ir, p, "document");
    node_read(p);
    title = node_get(t, p, "title");
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "type", "file");
    out_key(o, "file");
    out_open(o, '{');

    if (node_peek(t, p, "data") != NULL) {
        out_key_escaped(o, "filename", title != NULL ? node_text(title)
                                       : ai_str("document.pdf"));
        openai_url(ir, o, "file_data", p);

    } else {
        out_key_node(o, t, "file_id", node_get(t, p, "file"));
    }

    out_z(o, "}}");

    return 1;
}


static void
openai_url(ir_t *ir, out_t *o, const char *key, node_t *p)
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


/* Tools; 1 where there are some. */

static int
openai_tools(ir_t *ir, out_t *o)
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
        out_key(o, "function");
        out_open(o, '{');
        out_key_node(o, t, "name", node_get(t, tool, "name"));
        out_key_node(o, t, "description", node_get(t, tool, "description"));
        schema = node_get(t, tool, "schema");
        out_key_node(o, t, "parameters", schema);
        out_key_node(o, t, "strict", node_get(t, tool, "strict"));
        out_z(o, "}}");
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
openai_choice(ir_t *ir, out_t *o)
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
        out_z(o, "{\"type\":\"function\",\"function\":{");
        out_key_node(o, t, "name", node_get(t, c, "name"));
        out_z(o, "}}");
        return;
    }

    if (!node_get_is(t, c, "type", "allowed")) {
        out_node(o, t, node_get(t, c, "type"));
        return;
    }

    out_z(o, "{\"type\":\"allowed_tools\",\"allowed_tools\":{");
    out_key_node(o, t, "mode", node_get(t, c, "mode"));
    out_key(o, "tools");
    out_open(o, '[');
    name = node_first(t, node_get(t, c, "names"));

    for ( /* void */ ; name != NULL; name = name->next) {
        out_item(o);
        out_z(o, "{\"type\":\"function\",\"function\":{\"name\":");
        out_node(o, t, name);
        out_z(o, "}}");
    }

    out_z(o, "]}}");
}


static void
openai_format(ir_t *ir, out_t *o)
{
    node_t  *f, *name;
    tree_t  *t;

    t = &ir->tree;
    f = node_get(t, ir->request, "format");

    if (node_get_is(t, f, "type", "json")) {
        out_key(o, "response_format");
        out_z(o, "{\"type\":\"json_object\"}");

    } else if (node_get_is(t, f, "type", "schema")) {
        out_key(o, "response_format");
        out_z(o, "{\"type\":\"json_schema\",\"json_schema\":{");
        name = node_get(t, f, "name");
        out_key_escaped(o, "name", name != NULL ? node_text(name)
                                                : ai_str("response"));
        out_key_node(o, t, "description", node_get(t, f, "description"));
        out_key_node(o, t, "schema", node_get(t, f, "schema"));
        out_key_node(o, t, "strict", node_get(t, f, "strict"));
        out_z(o, "}}");
    }
}


/* A budget of reasoning as one of OpenAI's words. */

static void
openai_effort(ir_t *ir, out_t *o)
{
    node_t      *r, *effort, *budget;
    tree_t      *t;
    int64_t      n;

    t = &ir->tree;
    r = node_get(t, ir->request, "reasoning");
    effort = node_get(t, r, "effort");
    budget = node_peek(t, r, "budget");

    if (effort != NULL) {
        (void) node_get(t, r, "mode");
        (void) node_get(t, r, "budget");
        out_key_node(o, t, "reasoning_effort", effort);
        return;
    }

    if (node_get_is(t, r, "mode", "on") && budget != NULL) {
        n = node_int(node_read(budget), 0);
        out_key_z(o, "reasoning_effort", ir_effort(n));
        return;
    }

    if (node_get_is(t, r, "mode", "adaptive")
        || node_get_is(t, r, "mode", "on"))
    {
        out_key_z(o, "reasoning_effort", "medium");
        return;
    }
}


static void
openai_rest(ir_t *ir, out_t *o)
{
    size_t   i;
    node_t  *n;
    tree_t  *t;

    t = &ir->tree;
    openai_effort(ir, o);

    /* The old name is the one that all servers know but OpenAI's new models. */

    out_key_node(o, t, ir->official ? "max_completion_tokens" : "max_tokens",
                 node_get(t, ir->request, "max_tokens"));

    for (i = 0; i < sizeof(openai_same) / sizeof(openai_same[0]); i++) {
        out_key_node(o, t, openai_same[i].to,
                     node_get(t, ir->request, openai_same[i].from));
    }

    n = node_get(t, ir->request, "user");
    out_key_node(o, t, ir->official ? "safety_identifier" : "user", n);

    n = node_get(t, ir->request, "service_tier");
    out_key_node(o, t, "service_tier", n);
}
