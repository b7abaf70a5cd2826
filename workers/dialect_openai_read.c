/*
 * OpenAI's chat completions, and what those who speak them add: a client's
 * request into the intermediate form.  Owns nothing.
 */

#include "dialect_openai.h"

#include <string.h>


static int openai_messages(ir_t *ir, node_t *body);
static int openai_message(ir_t *ir, node_t *m);
static void openai_content(ir_t *ir, node_t *m, node_t *to);
static void openai_part(ir_t *ir, node_t *p, node_t *to);
static void openai_file(ir_t *ir, node_t *p, node_t *to);
static void openai_media(ir_t *ir, node_t *part, node_t *url);
static void openai_cache(ir_t *ir, node_t *from, node_t *to);
static void openai_reasoning(ir_t *ir, node_t *m, node_t *to);
static node_t *openai_call_id(ir_t *ir, ai_str_t name);
static void openai_calls(ir_t *ir, node_t *m, node_t *to);
static void openai_tools(ir_t *ir, node_t *body);
static void openai_tool(ir_t *ir, node_t *all, node_t *tool, node_t *f);
static void openai_choice(ir_t *ir, node_t *body);
static void openai_format(ir_t *ir, node_t *body);
static void openai_effort(ir_t *ir, node_t *body);
static void openai_rest(ir_t *ir, node_t *body);


/* Members that go as they are. */
static const struct {
    const char *from;
    const char *to;
} openai_same[] = {
    { "temperature", "temperature" },
    { "top_p", "top_p" },
    { "top_k", "top_k" },
    { "min_p", "min_p" },
    { "repetition_penalty", "repetition_penalty" },
    { "seed", "seed" },
    { "logit_bias", "logit_bias" },
    { "verbosity", "verbosity" },
    { "metadata", "metadata" },
    { "prompt_cache_key", "cache_key" },
    { "prompt_cache_retention", "cache_retention" },
    { "audio", "audio" }
};

const openai_format_t  openai_formats[] = {
    { "anthropic-claude-v1", "anthropic" },
    { "google-gemini-v1", "gemini" },
    { "openai-responses-v1", "responses" },
    { "amazon-bedrock-v1", "bedrock" },
    { NULL, NULL }
};


int
openai_read_request(ir_t *ir, node_t *body)
{
    tree_t  *t;
    node_t  *options;

    t = &ir->tree;
    (void) node_get(t, body, "model");
    (void) node_get(t, body, "stream");

    /* Padding is the gateway's own affair. */

    options = node_get_type(t, body, "stream_options", AI_JSON_OBJECT);
    (void) node_get(t, options, "include_usage");
    (void) node_get(t, options, "include_obfuscation");

    if (openai_messages(ir, body) != 0) {
        return -1;
    }

    openai_tools(ir, body);
    openai_choice(ir, body);
    openai_format(ir, body);
    openai_effort(ir, body);
    openai_rest(ir, body);

    return 0;
}


static int
openai_messages(ir_t *ir, node_t *body)
{
    node_t  *all, *m;

    all = node_get_type(&ir->tree, body, "messages", AI_JSON_ARRAY);

    if (all == NULL) {
        return ir_refuse(ir, "\"messages\" must be an array.", NULL);
    }

    ir_set(ir, "messages", node_from(node_array(&ir->tree), all));

    for (m = node_first(&ir->tree, all); m != NULL; m = m->next) {
        node_read(m);

        if (m->type != AI_JSON_OBJECT) {
            return ir_refuse(ir, "must be an object.", m);
        }

        if (openai_message(ir, m) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
openai_message(ir_t *ir, node_t *m)
{
    size_t               i;
    node_t              *role, *name, *to, *part, *result;
    tree_t              *t;
    static const char *const  roles[] = {
        "user", "assistant", "system", "developer", "tool", "function"
    };

    t = &ir->tree;
    role = node_get(t, m, "role");

    for (i = 0; i < 6 && !node_is(role, roles[i]); i++) {
        /* void */
    }

    if (i == 6) {
        return ir_refuse(ir, "has no known \"role\".", m);
    }

    if (i >= 4) {
        to = ir_message(ir, "tool", m);
        part = ir_part(ir, to, "tool_result", m);
        name = node_get(t, m, "name");
        node_set(part, "id", i == 4
                 ? node_move(t, node_get(t, m, "tool_call_id"))
                 : openai_call_id(ir, node_text(name)));
        node_set(part, "name", node_move(t, name));
        openai_cache(ir, m, part);

        result = node_object(t);
        node_set(result, "parts", node_array(t));
        openai_content(ir, m, result);
        node_set(part, "parts", node_from(node_peek(t, result, "parts"), m));

        return 0;
    }

    to = ir_message(ir, roles[i], m);
    node_set(to, "name", node_move(t, node_get(t, m, "name")));

    if (i == 1) {
        openai_reasoning(ir, m, to);
    }

    openai_content(ir, m, to);

    if (i == 1) {
        openai_calls(ir, m, to);
        openai_default(t, m, "prefix", AI_JSON_FALSE);
    }

    return 0;
}


static void
openai_content(ir_t *ir, node_t *m, node_t *to)
{
    node_t  *content, *p, *part;
    tree_t  *t;

    t = &ir->tree;
    content = node_get(t, m, "content");

    if (content != NULL && content->type == AI_JSON_STRING) {

        /* With calls an empty text is none. */

        if (content->text.len != 0
            || (node_peek(t, m, "tool_calls") == NULL
                && node_peek(t, m, "function_call") == NULL))
        {
            part = ir_part(ir, to, "text", content);
            node_set(part, "text", node_move(t, content));
            openai_cache(ir, m, part);
        }

    } else if (content != NULL && content->type == AI_JSON_ARRAY) {

        for (p = node_first(t, content); p != NULL; p = p->next) {
            openai_part(ir, p, to);
        }
    }

    p = node_get_type(t, m, "refusal", AI_JSON_STRING);

    if (p != NULL && p->text.len != 0) {
        part = ir_part(ir, to, "refusal", p);
        node_set(part, "text", node_move(t, p));
    }
}


/* What is none of these stays unread, and so is named. */

static void
openai_part(ir_t *ir, node_t *p, node_t *to)
{
    node_t    *part, *in, *q;
    tree_t    *t;

    t = &ir->tree;
    part = NULL;

    if (p->type == AI_JSON_STRING) {
        part = ir_part(ir, to, "text", p);
        node_set(part, "text", node_move(t, node_read(p)));
        return;
    }

    if (ir_is(ir, p, "text") || ir_is(ir, p, "refusal")) {
        part = ir_part(ir, to, node_is(node_peek(t, p, "type"), "text")
                               ? "text" : "refusal", p);
        node_set(part, "text",
                 node_move(t, node_get(t, p, ir_is(ir, p, "text")
                                             ? "text" : "refusal")));

    } else if (ir_is(ir, p, "image_url") || ir_is(ir, p, "video_url")) {
        q = node_get(t, p, ir_is(ir, p, "image_url") ? "image_url"
                                                     : "video_url");
        part = ir_part(ir, to, ir_is(ir, p, "image_url") ? "image" : "video",
                       p);
        openai_media(ir, part, q != NULL && q->type == AI_JSON_OBJECT
                               ? node_get(t, q, "url") : q);
        in = node_get(t, q, "detail");

        if (in != NULL && !node_is(in, "auto")) {
            node_set(part, "detail", node_move(t, in));
        }

    } else if (ir_is(ir, p, "input_audio")) {
        in = node_get(t, p, "input_audio");
        part = ir_part(ir, to, "audio", p);
        node_set(part, "data", node_move(t, node_get(t, in, "data")));
        node_set(part, "format", node_move(t, node_get(t, in, "format")));

    } else if (ir_is(ir, p, "file") || ir_is(ir, p, "document_url")) {
        openai_file(ir, p, to);
        return;

    } else if (ir_is(ir, p, "thinking")) {
        in = node_get(t, p, "thinking");
        openai_default(t, p, "closed", AI_JSON_TRUE);

        for (q = node_first(t, in); q != NULL; q = q->next) {
            part = ir_part(ir, to, "reasoning", p);
            node_set(part, "format", node_z(t, "openai"));
            (void) node_get(t, node_read(q), "type");
            node_set(part, "text", node_move(t, node_get(t, q, "text")));
        }

        node_read(p);
        return;
    }

    if (part != NULL) {
        node_read(p);
        openai_cache(ir, p, part);
    }
}


static void
openai_file(ir_t *ir, node_t *p, node_t *to)
{
    node_t  *part, *file, *url, *id;
    tree_t  *t;

    t = &ir->tree;
    node_read(p);
    part = ir_part(ir, to, "document", p);
    openai_cache(ir, p, part);

    if (ir_is(ir, p, "document_url")) {
        openai_media(ir, part, node_get(t, p, "document_url"));
        node_set(part, "title", node_move(t, node_get(t, p,
                                                      "document_name")));
        return;
    }

    file = node_get(t, p, "file");
    url = node_get(t, file, "file_data");
    id = node_get(t, file, "file_id");
    node_set(part, "title", node_move(t, node_get(t, file, "filename")));

    if (url != NULL) {
        openai_media(ir, part, url);

    } else {
        node_set(part, "file", node_move(t, id));
    }
}


static void
openai_media(ir_t *ir, node_t *part, node_t *url)
{
    ai_str_t  type, data;

    if (ir_data_url(node_text(url), &type, &data)) {
        node_set(part, "media_type", node_from(node_string(&ir->tree, type),
                                               url));
        node_set(part, "data", node_from(node_string(&ir->tree, data), url));
        return;
    }

    node_set(part, "url", node_move(&ir->tree, url));
}


/* OpenAI's own marker, and Anthropic's, which many servers take here. */

static void
openai_cache(ir_t *ir, node_t *from, node_t *to)
{
    node_t  *marker, *own;
    tree_t  *t;

    t = &ir->tree;
    own = node_peek(t, from, "cache_control");

    if (own == NULL) {
        own = node_peek(t, from, "prompt_cache_breakpoint");
    }

    if (own != NULL && own->type == AI_JSON_OBJECT && !own->read) {
        node_read(own);
        (void) node_get_is(t, own, "type", "ephemeral");
        (void) node_get_is(t, own, "mode", "explicit");
        marker = node_from(node_object(t), own);
        node_set(marker, "ttl", node_move(t, node_get(t, own, "ttl")));
        node_set(to, "cache", marker);
    }
}


/* Details say all that the plain text does. */

static void
openai_reasoning(ir_t *ir, node_t *m, node_t *to)
{
    node_t  *all, *d, *part, *text;
    tree_t  *t;

    t = &ir->tree;
    all = node_get_type(t, m, "reasoning_details", AI_JSON_ARRAY);
    text = node_get_type(t, m, "reasoning_content", AI_JSON_STRING);

    if (text == NULL) {
        text = node_get_type(t, m, "reasoning", AI_JSON_STRING);

    } else {
        (void) node_get_type(t, m, "reasoning", AI_JSON_STRING);
    }

    if (all == NULL || node_count(t, all) == 0) {

        if (text != NULL && text->text.len != 0) {
            part = ir_part(ir, to, "reasoning", text);
            node_set(part, "text", node_move(t, text));
            node_set(part, "format", node_z(t, "openai"));
        }

        return;
    }

    for (d = node_first(t, all); d != NULL; d = d->next) {

        if (!ir_is(ir, d, "reasoning.text")
            && !ir_is(ir, d, "reasoning.encrypted")
            && !ir_is(ir, d, "reasoning.summary"))
        {
            continue;
        }

        node_read(d);
        part = ir_part(ir, to, "reasoning", d);
        (void) node_get(t, d, "index");
        node_set(part, "id", node_move(t, node_get(t, d, "id")));
        node_set(part, "signature", node_move(t, node_get(t, d,
                                                          "signature")));
        node_set(part, "data", node_move(t, node_get(t, d, "data")));

        if (ir_is(ir, d, "reasoning.summary")) {
            node_set(part, "summary", node_bool(t, 1));
            node_set(part, "text", node_move(t, node_get(t, d, "summary")));

        } else {
            node_set(part, "text", node_move(t, node_get(t, d, "text")));
        }

        node_set(part, "format", openai_format_in(t, node_get(t, d,
                                                              "format")));
    }
}


node_t *
openai_format_in(tree_t *t, const node_t *format)
{
    const openai_format_t  *f;

    for (f = openai_formats; f->said != NULL; f++) {
        if (node_is(format, f->said)) {
            return node_z(t, f->format);
        }
    }

    return node_z(t, "openai");
}


/* Legacy functions have no ids: theirs is made of their number, for no two
 * calls of a conversation may have the same, and their name.  A result is the
 * last call's. */

static node_t *
openai_call_id(ir_t *ir, ai_str_t name)
{
    char      *p;
    size_t     size;
    ai_buf_t   b;

    size = name.len + 24;
    p = tree_alloc(&ir->tree, size);

    if (p == NULL) {
        return NULL;
    }

    ai_buf_init(&b, p, size);
    ai_buf_add_z(&b, "call_");
    ai_buf_add_int(&b, ir->calls);
    ai_buf_add_z(&b, "_");
    ai_buf_add_str(&b, name);

    return node_string(&ir->tree, (ai_str_t) { ai_buf_len(&b), p });
}


static void
openai_calls(ir_t *ir, node_t *m, node_t *to)
{
    node_t  *c, *f, *part, *name;
    tree_t  *t;

    t = &ir->tree;
    f = node_get_type(t, m, "function_call", AI_JSON_OBJECT);

    if (f != NULL) {
        part = ir_part(ir, to, "tool_call", f);
        name = node_get(t, f, "name");
        ir->calls++;
        node_set(part, "id", openai_call_id(ir, node_text(name)));
        node_set(part, "name", node_move(t, name));
        node_set(part, "arguments", node_move(t, node_get(t, f,
                                                          "arguments")));
    }

    c = node_first(t, node_get_type(t, m, "tool_calls", AI_JSON_ARRAY));

    for ( /* void */ ; c != NULL; c = c->next) {
        f = node_peek(t, c, "function");

        if (f == NULL || f->type != AI_JSON_OBJECT) {
            continue;
        }

        node_read(c);
        node_read(f);
        (void) node_get(t, c, "type");
        (void) node_get(t, c, "index");
        part = ir_part(ir, to, "tool_call", c);
        node_set(part, "id", node_move(t, node_get(t, c, "id")));
        node_set(part, "name", node_move(t, node_get(t, f, "name")));
        node_set(part, "arguments", node_move(t, node_get(t, f,
                                                          "arguments")));
        openai_cache(ir, c, part);
        f = node_get_type(t, c, "extra_content", AI_JSON_OBJECT);
        f = node_get_type(t, f, "google", AI_JSON_OBJECT);
        f = node_get(t, f, "thought_signature");

        if (f != NULL) {
            node_set(part, "signature", node_move(t, f));
            node_set(part, "format", node_z(t, "gemini"));
        }
    }
}


/* Tools. */

static void
openai_tools(ir_t *ir, node_t *body)
{
    node_t  *all, *tool, *f;
    tree_t  *t;

    t = &ir->tree;
    all = node_array(t);
    f = node_get_type(t, body, "functions", AI_JSON_ARRAY);

    if (f != NULL) {
        ir->functions = 1;
    }

    for (tool = node_first(t, f); tool != NULL; tool = tool->next) {
        node_read(tool);
        openai_tool(ir, all, tool, tool);
    }

    tool = node_first(t, node_get_type(t, body, "tools", AI_JSON_ARRAY));

    for ( /* void */ ; tool != NULL; tool = tool->next) {
        f = node_peek(t, tool, "function");

        if (f != NULL && f->type == AI_JSON_OBJECT) {
            node_read(tool);
            node_read(f);
            (void) node_get(t, tool, "type");
            openai_tool(ir, all, tool, f);
        }
    }

    if (node_first(t, all) != NULL) {
        ir_set(ir, "tools", all);
    }
}


static void
openai_tool(ir_t *ir, node_t *all, node_t *tool, node_t *f)
{
    node_t  *to;
    tree_t  *t;

    t = &ir->tree;
    to = node_from(node_object(t), tool);
    node_set(to, "type", node_z(t, "function"));
    node_set(to, "name", node_move(t, node_get(t, f, "name")));
    node_set(to, "description", node_move(t, node_get(t, f, "description")));
    node_set(to, "schema", node_move(t, node_get(t, f, "parameters")));
    openai_default(t, f, "strict", AI_JSON_FALSE);

    if (node_true(node_peek(t, f, "strict"))) {
        node_set(to, "strict", node_move(t, node_get(t, f, "strict")));
    }

    openai_cache(ir, tool, to);
    node_add(all, to);
}


static void
openai_choice(ir_t *ir, node_t *body)
{
    node_t  *c, *to, *f, *names;
    tree_t  *t;

    t = &ir->tree;
    c = node_peek(t, body, "tool_choice");

    if (c == NULL) {
        c = node_peek(t, body, "function_call");
    }

    if (c == NULL || c->type == AI_JSON_NULL) {
        return;
    }

    to = node_from(node_object(t), c);

    if (c->type == AI_JSON_STRING) {

        if (node_is(c, "any") || node_is(c, "required")) {
            node_set(to, "type", node_z(t, "required"));

        } else if (node_is(c, "none") || node_is(c, "auto")) {
            node_set(to, "type", node_string(t, c->text));

        } else {
            return;
        }

    } else if (ir_is(ir, c, "allowed_tools")) {
        f = node_get(t, c, "allowed_tools");
        f = f != NULL ? f : c;
        node_set(to, "type", node_z(t, "allowed"));
        node_set(to, "mode", node_move(t, node_get(t, f, "mode")));
        names = node_array(t);
        f = node_first(t, node_get_type(t, f, "tools", AI_JSON_ARRAY));

        for ( /* void */ ; f != NULL; f = f->next) {
            (void) node_get(t, node_read(f), "type");
            node_add(names,
                     node_move(t, node_get(t, node_get(t, f, "function"),
                                           "name")));
        }

        node_set(to, "names", names);

    } else if (node_peek(t, c, "function") != NULL
               || node_peek(t, c, "name") != NULL)
    {
        (void) ir_is(ir, c, "function");
        f = node_get(t, c, "function");
        node_set(to, "type", node_z(t, "tool"));
        node_set(to, "name", node_move(t, node_get(t, f != NULL ? f : c,
                                                   "name")));

    } else {
        return;
    }

    node_read(c);
    ir_set(ir, "tool_choice", to);
}


static void
openai_format(ir_t *ir, node_t *body)
{
    node_t  *f, *s, *to;
    tree_t  *t;

    t = &ir->tree;
    f = node_peek(t, body, "response_format");

    if (ir_is(ir, f, "text")) {
        node_read(f);
        return;
    }

    to = node_from(node_object(t), f);

    if (ir_is(ir, f, "json_object")) {
        node_set(to, "type", node_z(t, "json"));

    } else if (ir_is(ir, f, "json_schema")) {
        s = node_get(t, f, "json_schema");
        node_set(to, "type", node_z(t, "schema"));
        node_set(to, "name", node_move(t, node_get(t, s, "name")));
        node_set(to, "description", node_move(t, node_get(t, s,
                                                          "description")));
        node_set(to, "schema", node_move(t, node_get(t, s, "schema")));
        node_set(to, "strict", node_move(t, node_get(t, s, "strict")));

    } else {
        return;
    }

    node_read(f);
    ir_set(ir, "format", to);
}


static void
openai_effort(ir_t *ir, node_t *body)
{
    node_t  *r, *effort, *to, *budget, *on;
    tree_t  *t;

    t = &ir->tree;
    effort = node_get_type(t, body, "reasoning_effort", AI_JSON_STRING);
    r = node_get_type(t, body, "reasoning", AI_JSON_OBJECT);
    budget = node_get_type(t, r, "max_tokens", AI_JSON_NUMBER);
    on = node_get(t, r, "enabled");

    if (effort == NULL) {
        effort = node_get_type(t, r, "effort", AI_JSON_STRING);
    }

    if (effort == NULL && budget == NULL && on == NULL) {
        return;
    }

    to = node_from(node_object(t), effort != NULL ? effort : r);
    node_set(to, "mode", node_z(t, node_is(effort, "none")
                                   || (on != NULL && !node_true(on))
                                   ? "off" : "on"));

    node_set(to, "effort", node_move(t, effort));
    node_set(to, "budget", node_move(t, budget));
    ir_set(ir, "reasoning", to);
}


/* Read if it is what it is without being said. */

void
openai_default(tree_t *t, node_t *n, const char *name, ai_json_type_e type)
{
    node_t  *m;

    m = node_peek(t, n, name);

    if (m != NULL && m->type == type) {
        m->read = 1;
    }
}


static void
openai_rest(ir_t *ir, node_t *body)
{
    size_t   i;
    node_t  *n, *m, *stop;
    tree_t  *t;
    static const char *const  penalties[] = {
        "frequency_penalty", "presence_penalty"
    };

    t = &ir->tree;

    for (i = 0; i < sizeof(openai_same) / sizeof(openai_same[0]); i++) {
        ir_carry(ir, body, openai_same[i].from, openai_same[i].to);
    }

    for (i = 0; i < 2; i++) {
        n = node_get(t, body, penalties[i]);

        if (n != NULL && node_number(n, 1) != 0) {
            ir_set(ir, penalties[i], node_move(t, n));
        }
    }

    n = node_get(t, body, "max_completion_tokens");
    m = node_get(t, body, "max_tokens");
    ir_set(ir, "max_tokens", node_move(t, n != NULL ? n : m));

    n = node_get(t, body, "n");

    if (n != NULL && node_int(n, 0) != 1) {
        ir_set(ir, "n", node_move(t, n));
    }

    n = node_get(t, body, "logprobs");

    if (n != NULL && n->type != AI_JSON_FALSE) {
        ir_set(ir, "logprobs", node_move(t, n));
    }

    n = node_get(t, body, "top_logprobs");

    if (n != NULL && node_int(n, 1) != 0) {
        ir_set(ir, "top_logprobs", node_move(t, n));
    }

    n = node_get(t, body, "store");

    if (node_true(n)) {
        ir_set(ir, "store", node_move(t, n));
    }

    n = node_get(t, body, "parallel_tool_calls");

    if (n != NULL && !node_true(n)) {
        ir_set(ir, "parallel_tools", node_move(t, n));
    }

    n = node_get(t, body, "service_tier");

    if (n != NULL && !node_is(n, "auto")) {
        ir_set(ir, "service_tier", node_move(t, n));
    }

    n = node_get(t, body, "safety_identifier");

    if (n == NULL) {
        n = node_get(t, body, "user");
    }

    ir_set(ir, "user", node_move(t, n));

    n = node_get_type(t, body, "modalities", AI_JSON_ARRAY);
    m = node_first(t, n);

    if (m != NULL && !(node_is(m, "text") && m->next == NULL)) {
        ir_set(ir, "modalities", node_move(t, n));

    } else {
        node_whole(n);
    }

    n = node_get(t, body, "stop");

    if (n != NULL && n->type == AI_JSON_STRING) {
        stop = node_from(node_array(t), n);
        node_add(stop, node_move(t, n));
        ir_set(ir, "stop", stop);

    } else if (n != NULL) {
        ir_set(ir, "stop", node_move(t, n));
    }
}
