/*
 * Anthropic's messages: a client's request into the intermediate form.  Owns
 * nothing.
 */

#include "dialect_anthropic.h"

#include <string.h>


static void anthropic_system(ir_t *ir, node_t *body);
static int anthropic_messages(ir_t *ir, node_t *body);
static void anthropic_blocks(ir_t *ir, node_t *content, node_t *to,
    unsigned depth);
static void anthropic_block(ir_t *ir, node_t *b, node_t *to, unsigned depth);
static void anthropic_media(ir_t *ir, node_t *b, node_t *to, const char *type,
    unsigned depth);
static void anthropic_cited(ir_t *ir, node_t *b, node_t *part);
static void anthropic_result(ir_t *ir, node_t *b, node_t *to, unsigned depth);
static void anthropic_thinking(ir_t *ir, node_t *b, node_t *to,
    const char *member);
static void anthropic_marker(ir_t *ir, node_t *from, node_t *to);
static void anthropic_tools(ir_t *ir, node_t *body);
static void anthropic_choice(ir_t *ir, node_t *body);
static void anthropic_reasoning(ir_t *ir, node_t *body);
static void anthropic_rest(ir_t *ir, node_t *body);


int
anthropic_read_request(ir_t *ir, node_t *body)
{
    tree_t  *t;

    t = &ir->tree;
    (void) node_get(t, body, "model");
    (void) node_get(t, body, "stream");
    ir_set(ir, "messages", node_array(t));

    anthropic_system(ir, body);

    if (anthropic_messages(ir, body) != 0) {
        return -1;
    }

    anthropic_tools(ir, body);
    anthropic_choice(ir, body);
    anthropic_reasoning(ir, body);
    anthropic_rest(ir, body);

    return 0;
}


static void
anthropic_system(ir_t *ir, node_t *body)
{
    node_t  *system;

    system = node_get(&ir->tree, body, "system");

    if (system != NULL) {
        anthropic_blocks(ir, system, ir_message(ir, "system", system), 0);
    }
}


static int
anthropic_messages(ir_t *ir, node_t *body)
{
    size_t   i;
    node_t  *all, *m, *role;
    tree_t  *t;
    static const char *const  roles[] = { "user", "assistant", "system" };

    t = &ir->tree;
    all = node_get_type(t, body, "messages", AI_JSON_ARRAY);

    if (all == NULL) {
        return ir_refuse(ir, "\"messages\" must be an array.", NULL);
    }

    for (m = node_first(t, all); m != NULL; m = m->next) {
        node_read(m);
        role = node_get(t, m, "role");

        for (i = 0; i < 3 && !node_is(role, roles[i]); i++) {
            /* void */
        }

        if (i == 3) {
            return ir_refuse(ir, "has no known \"role\".", m);
        }

        anthropic_blocks(ir, node_get(t, m, "content"),
                         ir_message(ir, roles[i], m), 0);
    }

    return 0;
}


/* A text, or blocks. */

static void
anthropic_blocks(ir_t *ir, node_t *content, node_t *to, unsigned depth)
{
    node_t  *b, *part;

    if (content == NULL) {
        return;
    }

    if (content->type == AI_JSON_STRING) {
        part = ir_part(ir, to, "text", content);
        node_set(part, "text", node_move(&ir->tree, content));
        return;
    }

    for (b = node_first(&ir->tree, content); b != NULL; b = b->next) {
        anthropic_block(ir, b, to, depth);
    }
}


/* What is none of these stays unread, and so is named. */

static void
anthropic_block(ir_t *ir, node_t *b, node_t *to, unsigned depth)
{
    node_t  *part, *caller;
    tree_t  *t;

    t = &ir->tree;

    if (ir_is(ir, b, "text")) {
        node_read(b);
        part = ir_part(ir, to, "text", b);
        node_set(part, "text", node_move(t, node_get(t, b, "text")));
        anthropic_cited(ir, b, part);
        anthropic_marker(ir, b, part);

    } else if (ir_is(ir, b, "image")) {
        anthropic_media(ir, b, to, "image", depth);

    } else if (ir_is(ir, b, "document")) {
        anthropic_media(ir, b, to, "document", depth);

    } else if (ir_is(ir, b, "tool_use")) {
        node_read(b);
        part = ir_part(ir, to, "tool_call", b);
        node_set(part, "id", node_move(t, node_get(t, b, "id")));
        node_set(part, "name", node_move(t, node_get(t, b, "name")));
        node_set(part, "arguments", node_move(t, node_get(t, b, "input")));
        caller = node_get_type(t, b, "caller", AI_JSON_OBJECT);
        (void) node_get_is(t, caller, "type", "direct");
        anthropic_marker(ir, b, part);

    } else if (ir_is(ir, b, "tool_result") && depth == 0) {
        anthropic_result(ir, b, to, depth);

    } else if (ir_is(ir, b, "thinking")) {
        anthropic_thinking(ir, b, to, "signature");

    } else if (ir_is(ir, b, "redacted_thinking")) {
        anthropic_thinking(ir, b, to, "data");
    }
}


static void
anthropic_media(ir_t *ir, node_t *b, node_t *to, const char *type,
    unsigned depth)
{
    node_t  *part, *source, *inner;
    tree_t  *t;

    t = &ir->tree;
    source = node_get(t, b, "source");
    part = node_from(node_object(t), b);
    node_set(part, "type", node_z(t, type));

    if (node_get_is(t, source, "type", "base64")) {
        node_set(part, "media_type", node_move(t, node_get(t, source,
                                                           "media_type")));
        node_set(part, "data", node_move(t, node_get(t, source, "data")));

    } else if (node_get_is(t, source, "type", "url")) {
        node_set(part, "url", node_move(t, node_get(t, source, "url")));

    } else if (node_get_is(t, source, "type", "file")) {
        node_set(part, "file", node_move(t, node_get(t, source, "file_id")));

    } else if (node_get_is(t, source, "type", "text")) {
        (void) node_get(t, source, "media_type");
        node_set(part, "text", node_move(t, node_get(t, source, "data")));

    } else if (node_get_is(t, source, "type", "content") && depth < 2) {
        inner = node_object(t);
        node_set(inner, "parts", node_array(t));
        anthropic_blocks(ir, node_get(t, source, "content"), inner, depth + 1);
        node_set(part, "parts", node_peek(t, inner, "parts"));

    } else {
        return;
    }

    node_read(b);
    node_set(part, "title", node_move(t, node_get(t, b, "title")));
    node_set(part, "context", node_move(t, node_get(t, b, "context")));
    source = node_get(t, b, "citations");

    if (node_true(node_get(t, source, "enabled"))) {
        node_set(part, "citations",
                 node_move(t, node_get(t, source, "enabled")));
    }

    anthropic_marker(ir, b, part);
    node_add(node_peek(t, to, "parts"), part);
}


/* What its text was of. */

static void
anthropic_cited(ir_t *ir, node_t *b, node_t *part)
{
    node_t  *all, *c;
    tree_t  *t;

    t = &ir->tree;
    c = node_first(t, node_get_type(t, b, "citations", AI_JSON_ARRAY));

    if (c == NULL) {
        return;
    }

    all = node_from(node_array(t), c->parent);
    node_set(part, "citations", all);

    for ( /* void */ ; c != NULL; c = c->next) {
        node_add(all, anthropic_read_citation(t, c));
    }
}


static void
anthropic_result(ir_t *ir, node_t *b, node_t *to, unsigned depth)
{
    node_t  *part, *error;
    tree_t  *t;

    t = &ir->tree;
    node_read(b);
    part = ir_part(ir, to, "tool_result", b);
    node_set(part, "id", node_move(t, node_get(t, b, "tool_use_id")));
    error = node_get(t, b, "is_error");

    if (node_true(error)) {
        node_set(part, "error", node_move(t, error));
    }

    node_set(part, "parts", node_array(t));
    anthropic_blocks(ir, node_get(t, b, "content"), part, depth + 1);
    anthropic_marker(ir, b, part);
}


/* Whose reasoning it is stands before the signature. */

static void
anthropic_thinking(ir_t *ir, node_t *b, node_t *to, const char *member)
{
    size_t       tag;
    node_t      *part, *sign;
    tree_t      *t;
    ai_str_t     text, format;
    const char  *colon;

    t = &ir->tree;
    node_read(b);
    part = ir_part(ir, to, "reasoning", b);
    node_set(part, "text", node_move(t, node_get(t, b, "thinking")));

    sign = node_get(t, b, member);
    text = node_text(sign);
    format = ai_str("anthropic");
    tag = sizeof(ANTHROPIC_TAG) - 1;

    if (text.len > tag && memcmp(text.data, ANTHROPIC_TAG, tag) == 0
        && (colon = memchr(text.data + tag, ':', text.len - tag)) != NULL)
    {
        format = (ai_str_t) { (size_t) (colon - text.data) - tag,
                              text.data + tag };
        text.len -= (size_t) (colon + 1 - text.data);
        text.data = colon + 1;
    }

    node_set(part, "format", node_string(t, format));

    if (text.len != 0) {
        node_set(part, member, node_from(node_string(t, text), sign));
    }
}


static void
anthropic_marker(ir_t *ir, node_t *from, node_t *to)
{
    node_t  *marker, *own;
    tree_t  *t;

    t = &ir->tree;
    own = node_get_type(t, from, "cache_control", AI_JSON_OBJECT);

    if (own != NULL) {
        (void) node_get_is(t, own, "type", "ephemeral");
        marker = node_from(node_object(t), own);
        node_set(marker, "ttl", node_move(t, node_get(t, own, "ttl")));
        node_set(to, "cache", marker);
    }
}


/* Tools of the provider's own stay unread. */

static void
anthropic_tools(ir_t *ir, node_t *body)
{
    node_t  *all, *tool, *to, *type;
    tree_t  *t;

    t = &ir->tree;
    all = node_array(t);
    tool = node_first(t, node_get_type(t, body, "tools", AI_JSON_ARRAY));

    for ( /* void */ ; tool != NULL; tool = tool->next) {
        type = node_peek(t, tool, "type");

        if (tool->type != AI_JSON_OBJECT
            || (type != NULL && type->type != AI_JSON_NULL
                && !node_is(type, "custom")))
        {
            continue;
        }

        node_read(tool);
        node_read(type);
        to = node_from(node_object(t), tool);
        node_set(to, "type", node_z(t, "function"));
        node_set(to, "name", node_move(t, node_get(t, tool, "name")));
        node_set(to, "description", node_move(t, node_get(t, tool,
                                                          "description")));
        node_set(to, "schema", node_move(t, node_get(t, tool,
                                                     "input_schema")));
        type = node_get(t, tool, "strict");

        if (node_true(type)) {
            node_set(to, "strict", node_move(t, type));
        }

        anthropic_marker(ir, tool, to);
        node_add(all, to);
    }

    if (node_first(t, all) != NULL) {
        ir_set(ir, "tools", all);
    }
}


static void
anthropic_choice(ir_t *ir, node_t *body)
{
    node_t  *c, *to, *single;
    tree_t  *t;

    t = &ir->tree;
    c = node_get_type(t, body, "tool_choice", AI_JSON_OBJECT);

    if (c == NULL) {
        return;
    }

    to = node_from(node_object(t), c);

    if (node_get_is(t, c, "type", "any")) {
        node_set(to, "type", node_z(t, "required"));

    } else {
        node_set(to, "type", node_move(t, node_get(t, c, "type")));
        node_set(to, "name", node_move(t, node_get(t, c, "name")));
    }

    single = node_get(t, c, "disable_parallel_tool_use");

    if (node_true(single)) {
        ir_set(ir, "parallel_tools", node_from(node_bool(t, 0), single));
    }

    ir_set(ir, "tool_choice", to);
}


static void
anthropic_reasoning(ir_t *ir, node_t *body)
{
    node_t  *thinking, *config, *to, *type, *effort, *format;
    tree_t  *t;

    t = &ir->tree;
    thinking = node_get_type(t, body, "thinking", AI_JSON_OBJECT);
    config = node_get_type(t, body, "output_config", AI_JSON_OBJECT);
    effort = node_get(t, config, "effort");
    type = node_peek(t, thinking, "type");

    if (thinking != NULL || effort != NULL) {
        to = node_from(node_object(t), thinking != NULL ? thinking : effort);

        if (node_is(type, "enabled") || node_is(type, "adaptive")
            || node_is(type, "disabled"))
        {
            node_read(type);
            node_set(to, "mode",
                     node_from(node_z(t, node_is(type, "enabled") ? "on"
                                         : node_is(type, "adaptive")
                                         ? "adaptive" : "off"),
                               type));
        }

        node_set(to, "budget", node_move(t, node_get(t, thinking,
                                                     "budget_tokens")));
        (void) node_get_is(t, thinking, "display", "summarized");
        node_set(to, "effort", node_move(t, effort));
        ir_set(ir, "reasoning", to);
    }

    format = node_get_type(t, config, "format", AI_JSON_OBJECT);

    if (format == NULL) {
        format = node_get_type(t, body, "output_format", AI_JSON_OBJECT);
    }

    if (node_get_is(t, format, "type", "json_schema")) {
        to = node_from(node_object(t), format);
        node_set(to, "type", node_z(t, "schema"));
        node_set(to, "schema", node_move(t, node_get(t, format, "schema")));
        node_set(to, "strict", node_bool(t, 1));
        ir_set(ir, "format", to);
    }
}


static void
anthropic_rest(ir_t *ir, node_t *body)
{
    node_t  *n;
    tree_t  *t;

    t = &ir->tree;
    ir_carry(ir, body, "max_tokens", "max_tokens");
    ir_carry(ir, body, "temperature", "temperature");
    ir_carry(ir, body, "top_p", "top_p");
    ir_carry(ir, body, "top_k", "top_k");

    n = node_get_type(t, body, "stop_sequences", AI_JSON_ARRAY);

    if (node_first(t, n) != NULL) {
        ir_set(ir, "stop", node_move(t, n));
    }

    n = node_get_type(t, body, "metadata", AI_JSON_OBJECT);
    ir_set(ir, "user", node_move(t, node_get(t, n, "user_id")));
    anthropic_marker(ir, body, ir->request);
    n = node_get(t, body, "service_tier");

    if (node_is(n, "standard_only")) {
        ir_set(ir, "service_tier", node_from(node_z(t, "default"), n));

    } else if (n != NULL && !node_is(n, "auto")) {
        ir_set(ir, "service_tier", node_move(t, n));
    }
}
