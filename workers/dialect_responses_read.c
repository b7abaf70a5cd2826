/*
 * OpenAI's Responses: a client's request into the intermediate form, and what
 * of it each answer says again.  Owns nothing.
 */

#include "dialect_responses.h"

#include <string.h>


#define RESPONSES_LEFT_MAX  64

/* Calls that are left out, whose results are, too. */
typedef struct {
    unsigned  n;
    ai_str_t  ids[RESPONSES_LEFT_MAX];
} responses_left_t;


static int responses_input(ir_t *ir, node_t *body);
static int responses_item(ir_t *ir, node_t *i, node_t **turn,
    responses_left_t *left);
static int responses_message(ir_t *ir, node_t *i, node_t **turn);
static void responses_content(ir_t *ir, node_t *content, node_t *to);
static void responses_part(ir_t *ir, node_t *p, node_t *to);
static void responses_media(ir_t *ir, node_t *part, node_t *url);
static void responses_call(ir_t *ir, node_t *i, node_t *to);
static void responses_result(ir_t *ir, node_t *i);
static void responses_reasoning(ir_t *ir, node_t *i, node_t *to);
static void responses_tools(ir_t *ir, node_t *body);
static void responses_choice(ir_t *ir, node_t *body);
static void responses_format(ir_t *ir, node_t *body);
static void responses_effort(ir_t *ir, node_t *body);
static void responses_include(ir_t *ir, node_t *body);
static void responses_rest(ir_t *ir, node_t *body);
static void responses_default(tree_t *t, node_t *n, const char *name,
    ai_json_type_e type);
static void responses_echo(ir_t *ir, node_t *body);
static void responses_compact(out_t *o, const node_t *n);


/* Members that go as they are. */
static const struct {
    const char *from;
    const char *to;
} responses_same[] = {
    { "temperature", "temperature" },
    { "top_p", "top_p" },
    { "max_output_tokens", "max_tokens" },
    { "metadata", "metadata" },
    { "prompt_cache_key", "cache_key" },
    { "prompt_cache_retention", "cache_retention" }
};

/* What an answer says again, and what it says where nobody has asked. */
static const struct {
    const char *name;
    const char *otherwise;
} responses_again[] = {
    { "background", "false" },
    { "conversation", NULL },
    { "instructions", "null" },
    { "max_output_tokens", "null" },
    { "max_tool_calls", "null" },
    { "metadata", "{}" },
    { "parallel_tool_calls", "true" },
    { "previous_response_id", "null" },
    { "prompt_cache_key", NULL },
    { "reasoning", "{\"effort\":null,\"summary\":null}" },
    { "safety_identifier", "null" },
    { "service_tier", "\"default\"" },
    { "store", "true" },
    { "temperature", "1.0" },
    { "text", "{\"format\":{\"type\":\"text\"}}" },
    { "tool_choice", "\"auto\"" },
    { "tools", "[]" },
    { "top_logprobs", "0" },
    { "top_p", "1.0" },
    { "truncation", "\"disabled\"" },
    { "user", "null" }
};


int
responses_read_request(ir_t *ir, node_t *body)
{
    node_t  *options;
    tree_t  *t;

    t = &ir->tree;
    responses_echo(ir, body);

    (void) node_get(t, body, "model");
    (void) node_get(t, body, "stream");

    /* State is the gateway's own affair, and so is padding. */

    (void) node_get(t, body, "store");
    (void) node_get(t, body, "previous_response_id");
    (void) node_get(t, body, "background");
    node_whole(node_get(t, body, "conversation"));
    options = node_get_type(t, body, "stream_options", AI_JSON_OBJECT);
    (void) node_get(t, options, "include_obfuscation");

    if (responses_input(ir, body) != 0) {
        return -1;
    }

    responses_tools(ir, body);
    responses_choice(ir, body);
    responses_format(ir, body);
    responses_effort(ir, body);
    responses_include(ir, body);
    responses_rest(ir, body);

    return 0;
}


static int
responses_input(ir_t *ir, node_t *body)
{
    node_t            *input, *i, *part, *m, *turn;
    tree_t            *t;
    responses_left_t   calls;

    t = &ir->tree;
    input = node_get(t, body, "input");
    ir_set(ir, "messages", node_from(node_array(t), input));

    m = node_get_type(t, body, "instructions", AI_JSON_STRING);

    if (m != NULL && m->text.len != 0) {
        part = ir_part(ir, ir_message(ir, "system", m), "text", m);
        node_set(part, "text", node_move(t, m));
    }

    if (input != NULL && input->type == AI_JSON_STRING) {

        if (input->text.len == 0) {
            return 0;
        }

        part = ir_part(ir, ir_message(ir, "user", input), "text", input);
        node_set(part, "text", node_move(t, input));
        return 0;
    }

    if (input == NULL || input->type != AI_JSON_ARRAY) {
        return ir_refuse(ir, "\"input\" must be a string or an array.", NULL);
    }

    turn = NULL;
    memset(&calls, 0, sizeof(calls));

    for (i = node_first(t, input); i != NULL; i = i->next) {

        if (i->type != AI_JSON_OBJECT) {
            return ir_refuse(ir, "must be an object.", i);
        }

        if (responses_item(ir, i, &turn, &calls) != 0) {
            return -1;
        }
    }

    return 0;
}


/* turn: the assistant's message that is open, or NULL.  What is none of these
 * stays unread, and so is named. */

static int
responses_item(ir_t *ir, node_t *i, node_t **turn, responses_left_t *left)
{
    node_t    *type, *id;
    tree_t    *t;
    unsigned   k;

    t = &ir->tree;
    type = node_peek(t, i, "type");

    if (type == NULL || type->type == AI_JSON_NULL
        || node_is(type, "message"))
    {
        return responses_message(ir, i, turn);
    }

    id = node_peek(t, i, "call_id");

    if (node_is(type, "function_call_output")) {
        *turn = NULL;

        for (k = 0; k < left->n; k++) {
            if (ai_str_eq(node_text(id), left->ids[k])) {
                return 0;
            }
        }

        responses_result(ir, i);

    } else if (node_is(type, "function_call") || node_is(type, "reasoning")) {

        if (*turn == NULL) {
            *turn = ir_message(ir, "assistant", i);
        }

        if (node_is(type, "reasoning")) {
            responses_reasoning(ir, i, *turn);

        } else {
            responses_call(ir, i, *turn);
        }

    } else if (id != NULL && left->n < RESPONSES_LEFT_MAX) {
        left->ids[left->n++] = node_text(id);
    }

    return 0;
}


static int
responses_message(ir_t *ir, node_t *i, node_t **turn)
{
    size_t   n;
    node_t  *role, *to, *content;
    tree_t  *t;
    static const char *const  roles[] = {
        "assistant", "user", "system", "developer"
    };

    t = &ir->tree;
    node_read(i);
    (void) node_get(t, i, "type");
    role = node_get(t, i, "role");

    for (n = 0; n < 4 && !node_is(role, roles[n]); n++) {
        /* void */
    }

    if (n == 4) {
        return ir_refuse(ir, "has no known \"role\".", i);
    }

    /* Of what an answer was. */

    (void) node_get(t, i, "id");
    (void) node_get(t, i, "status");
    (void) node_get(t, i, "phase");

    /* An empty text says nothing. */

    content = node_get(t, i, "content");

    if (content != NULL && content->type == AI_JSON_STRING
        && content->text.len == 0)
    {
        return 0;
    }

    if (n == 0 && *turn != NULL) {
        to = *turn;

    } else {
        to = ir_message(ir, roles[n], i);
        *turn = n == 0 ? to : NULL;
    }

    responses_content(ir, content, to);

    return 0;
}


static void
responses_content(ir_t *ir, node_t *content, node_t *to)
{
    node_t  *p, *part;
    tree_t  *t;

    t = &ir->tree;

    if (content != NULL && content->type == AI_JSON_STRING) {
        part = ir_part(ir, to, "text", content);
        node_set(part, "text", node_move(t, content));
        return;
    }

    for (p = node_first(t, content); p != NULL; p = p->next) {
        responses_part(ir, p, to);
    }
}


static void
responses_part(ir_t *ir, node_t *p, node_t *to)
{
    node_t  *part, *in;
    tree_t  *t;

    t = &ir->tree;

    if (ir_is(ir, p, "input_text") || ir_is(ir, p, "output_text")
        || ir_is(ir, p, "text"))
    {
        node_read(p);
        part = ir_part(ir, to, "text", p);
        node_set(part, "text", node_move(t, node_get(t, p, "text")));
        node_whole(node_get(t, p, "logprobs"));

    } else if (ir_is(ir, p, "refusal")) {
        node_read(p);
        part = ir_part(ir, to, "refusal", p);
        node_set(part, "text", node_move(t, node_get(t, p, "refusal")));

    } else if (ir_is(ir, p, "input_image")) {
        node_read(p);
        part = ir_part(ir, to, "image", p);
        responses_media(ir, part, node_get(t, p, "image_url"));
        node_set(part, "file", node_move(t, node_get(t, p, "file_id")));

        if (!node_get_is(t, p, "detail", "auto")) {
            node_set(part, "detail", node_move(t, node_get(t, p, "detail")));
        }

    } else if (ir_is(ir, p, "input_file")) {
        node_read(p);
        part = ir_part(ir, to, "document", p);
        node_set(part, "title", node_move(t, node_get(t, p, "filename")));
        in = node_get(t, p, "file_data");
        responses_media(ir, part, in != NULL ? in
                        : node_get(t, p, "file_url"));
        node_set(part, "file", node_move(t, node_get(t, p, "file_id")));

    } else if (ir_is(ir, p, "input_audio")) {
        in = node_get(t, p, "input_audio");
        node_read(p);
        part = ir_part(ir, to, "audio", p);
        node_set(part, "data", node_move(t, node_get(t, in, "data")));
        node_set(part, "format", node_move(t, node_get(t, in, "format")));
    }
}


static void
responses_media(ir_t *ir, node_t *part, node_t *url)
{
    tree_t    *t;
    ai_str_t   type, data;

    t = &ir->tree;

    if (ir_data_url(node_text(url), &type, &data)) {
        node_set(part, "media_type", node_from(node_string(t, type), url));
        node_set(part, "data", node_from(node_string(t, data), url));
        return;
    }

    node_set(part, "url", node_move(t, url));
}


static void
responses_call(ir_t *ir, node_t *i, node_t *to)
{
    node_t  *part;
    tree_t  *t;

    t = &ir->tree;
    node_read(i);
    (void) node_get(t, i, "type");
    (void) node_get(t, i, "id");
    (void) node_get(t, i, "status");
    part = ir_part(ir, to, "tool_call", i);
    node_set(part, "id", node_move(t, node_get(t, i, "call_id")));
    node_set(part, "name", node_move(t, node_get(t, i, "name")));
    node_set(part, "arguments", node_move(t, node_get(t, i, "arguments")));
}


static void
responses_result(ir_t *ir, node_t *i)
{
    node_t  *part;
    tree_t  *t;

    t = &ir->tree;
    node_read(i);
    (void) node_get(t, i, "type");
    (void) node_get(t, i, "id");
    (void) node_get(t, i, "status");
    part = ir_part(ir, ir_message(ir, "tool", i), "tool_result", i);
    node_set(part, "id", node_move(t, node_get(t, i, "call_id")));
    node_set(part, "parts", node_from(node_array(t), i));
    responses_content(ir, node_get(t, i, "output"), part);
}


static void
responses_reasoning(ir_t *ir, node_t *i, node_t *to)
{
    out_t        text;
    node_t      *part, *p, *data, *summary, *last;
    size_t       tag;
    tree_t      *t;
    ai_str_t     s, format;
    const char  *colon, *member;

    t = &ir->tree;
    node_read(i);
    (void) node_get(t, i, "type");
    (void) node_get(t, i, "status");

    data = node_get(t, i, "encrypted_content");
    s = node_text(data);
    format = ai_str("responses");
    member = "signature";
    tag = sizeof(RESPONSES_TAG) - 1;

    if (s.len > tag && memcmp(s.data, RESPONSES_TAG, tag) == 0
        && (colon = memchr(s.data + tag, ':', s.len - tag)) != NULL
        && colon + 2 < s.data + s.len && colon[2] == ':')
    {
        format = (ai_str_t) { (size_t) (colon - s.data) - tag, s.data + tag };
        member = colon[1] == 'd' ? "data" : colon[1] == 'p' ? NULL : member;
        s.len -= (size_t) (colon + 3 - s.data);
        s.data = colon + 3;
    }

    if (member == NULL) {

        /* Of the part before it. */

        part = node_peek(t, to, "parts");
        last = part != NULL ? part->last : NULL;

        if (last != NULL && node_peek(t, last, "signature") == NULL) {
            node_set(last, "signature", node_from(node_string(t, s), data));
            node_set(last, "format", node_string(t, format));
        }

        (void) node_get(t, i, "id");
        return;
    }

    memset(&text, 0, sizeof(text));
    summary = node_get(t, i, "summary");
    p = node_first(t, summary);

    if (p == NULL) {
        summary = node_get(t, i, "content");
        p = node_first(t, summary);

    } else {
        node_whole(node_get(t, i, "content"));
    }

    for ( /* void */ ; p != NULL; p = p->next) {
        node_read(p);
        (void) node_get(t, p, "type");
        out_z(&text, text.len != 0 ? "\\n\\n" : "");
        out_add(&text, node_text(node_get(t, p, "text")));
    }

    part = ir_part(ir, to, "reasoning", i);
    node_set(part, "format", node_string(t, format));
    node_set(part, "id", node_move(t, node_get(t, i, "id")));

    if (text.len != 0) {
        node_set(part, "text",
                 node_from(node_string(t, tree_copy(t, (ai_str_t) {
                                                  text.len, text.data })),
                           summary));
    }

    t->failed |= text.failed;
    out_free(&text);

    if (s.len != 0) {
        node_set(part, member, node_from(node_string(t, s), data));
    }
}


/* Tools: a provider's own stay unread. */

static void
responses_tools(ir_t *ir, node_t *body)
{
    node_t  *all, *tool, *to, *strict;
    tree_t  *t;

    t = &ir->tree;
    all = node_array(t);
    tool = node_first(t, node_get_type(t, body, "tools", AI_JSON_ARRAY));

    for ( /* void */ ; tool != NULL; tool = tool->next) {

        if (!ir_is(ir, tool, "function")) {
            continue;
        }

        node_read(tool);
        to = node_from(node_object(t), tool);
        node_set(to, "type", node_z(t, "function"));
        node_set(to, "name", node_move(t, node_get(t, tool, "name")));
        node_set(to, "description", node_move(t, node_get(t, tool,
                                                          "description")));
        node_set(to, "schema", node_move(t, node_get(t, tool,
                                                     "parameters")));
        strict = node_get(t, tool, "strict");

        if (node_true(strict)) {
            node_set(to, "strict", node_move(t, strict));
        }

        node_add(all, to);
    }

    if (node_first(t, all) != NULL) {
        ir_set(ir, "tools", all);
    }
}


static void
responses_choice(ir_t *ir, node_t *body)
{
    node_t  *c, *to, *names;
    tree_t  *t;

    t = &ir->tree;
    c = node_peek(t, body, "tool_choice");

    if (c == NULL || c->type == AI_JSON_NULL) {
        return;
    }

    to = node_from(node_object(t), c);

    if (node_is(c, "auto") || node_is(c, "none") || node_is(c, "required")) {
        node_set(to, "type", node_string(t, c->text));

    } else if (ir_is(ir, c, "function")) {
        node_set(to, "type", node_z(t, "tool"));
        node_set(to, "name", node_move(t, node_get(t, c, "name")));

    } else if (ir_is(ir, c, "allowed_tools")) {
        node_set(to, "type", node_z(t, "allowed"));
        node_set(to, "mode", node_move(t, node_get(t, c, "mode")));
        names = node_array(t);
        node_set(to, "names", names);
        c = node_first(t, node_get_type(t, c, "tools", AI_JSON_ARRAY));

        for ( /* void */ ; c != NULL; c = c->next) {
            if (ir_is(ir, c, "function")) {
                node_read(c);
                node_add(names, node_move(t, node_get(t, c, "name")));
            }
        }

    } else {
        return;
    }

    node_read(node_peek(t, body, "tool_choice"));
    ir_set(ir, "tool_choice", to);
}


static void
responses_format(ir_t *ir, node_t *body)
{
    node_t  *text, *f, *to;
    tree_t  *t;

    t = &ir->tree;
    text = node_get_type(t, body, "text", AI_JSON_OBJECT);
    ir_set(ir, "verbosity", node_move(t, node_get(t, text, "verbosity")));
    f = node_peek(t, text, "format");

    if (ir_is(ir, f, "text")) {
        node_read(f);
        return;
    }

    to = node_from(node_object(t), f);

    if (ir_is(ir, f, "json_object")) {
        node_set(to, "type", node_z(t, "json"));

    } else if (ir_is(ir, f, "json_schema")) {
        node_set(to, "type", node_z(t, "schema"));
        node_set(to, "name", node_move(t, node_get(t, f, "name")));
        node_set(to, "description", node_move(t, node_get(t, f,
                                                          "description")));
        node_set(to, "schema", node_move(t, node_get(t, f, "schema")));
        node_set(to, "strict", node_move(t, node_get(t, f, "strict")));

    } else {
        return;
    }

    node_read(f);
    ir_set(ir, "format", to);
}


/* How much of it is shown is the provider's own way. */

static void
responses_effort(ir_t *ir, node_t *body)
{
    node_t  *r, *effort, *to;
    tree_t  *t;

    t = &ir->tree;
    r = node_get_type(t, body, "reasoning", AI_JSON_OBJECT);
    (void) node_get(t, r, "summary");
    (void) node_get(t, r, "generate_summary");
    effort = node_get_type(t, r, "effort", AI_JSON_STRING);

    if (effort == NULL) {
        return;
    }

    to = node_from(node_object(t), r);
    node_set(to, "mode", node_z(t, node_is(effort, "none") ? "off" : "on"));
    node_set(to, "effort", node_move(t, effort));
    ir_set(ir, "reasoning", to);
}


static void
responses_include(ir_t *ir, node_t *body)
{
    node_t  *i;
    tree_t  *t;

    t = &ir->tree;
    i = node_first(t, node_get_type(t, body, "include", AI_JSON_ARRAY));

    for ( /* void */ ; i != NULL; i = i->next) {

        if (node_is(i, "reasoning.encrypted_content")) {
            node_read(i);

        } else if (node_is(i, "message.output_text.logprobs")) {
            node_read(i);
            ir_set(ir, "logprobs", node_from(node_bool(t, 1), i));
        }
    }
}


static void
responses_rest(ir_t *ir, node_t *body)
{
    size_t   i;
    node_t  *n, *m;
    tree_t  *t;

    t = &ir->tree;

    for (i = 0; i < sizeof(responses_same) / sizeof(responses_same[0]); i++) {
        ir_carry(ir, body, responses_same[i].from, responses_same[i].to);
    }

    n = node_get(t, body, "top_logprobs");

    if (n != NULL && node_int(n, 1) != 0) {
        ir_set(ir, "top_logprobs", node_move(t, n));
        ir_set(ir, "logprobs", node_from(node_bool(t, 1), n));
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
    m = node_get(t, body, "user");
    ir_set(ir, "user", node_move(t, n != NULL ? n : m));

    (void) node_get_is(t, body, "truncation", "disabled");
    responses_default(t, body, "moderation", AI_JSON_FALSE);
}


static void
responses_default(tree_t *t, node_t *n, const char *name, ai_json_type_e type)
{
    node_t  *m;

    m = node_peek(t, n, name);

    if (m != NULL && m->type == type) {
        m->read = 1;
    }
}


/* Again. */

static void
responses_echo(ir_t *ir, node_t *body)
{
    size_t   i;
    out_t   *o;
    node_t  *n;

    o = &ir->again;

    for (i = 0; i < sizeof(responses_again) / sizeof(responses_again[0]); i++)
    {
        n = node_peek(&ir->tree, body, responses_again[i].name);

        if ((n == NULL || n->type == AI_JSON_NULL)
            && responses_again[i].otherwise == NULL)
        {
            continue;
        }

        out_key(o, responses_again[i].name);

        if (n == NULL || n->type == AI_JSON_NULL) {
            out_z(o, responses_again[i].otherwise);

        } else if (n->type == AI_JSON_STRING
                   && strcmp(responses_again[i].name, "conversation") == 0)
        {
            out_z(o, "{\"id\":");
            out_escaped(o, n->text);
            out_z(o, "}");

        } else {
            responses_compact(o, n);
        }
    }

    ir->tree.failed |= o->failed;
}


/* Without white space: a line end in it would end an event's line. */

static void
responses_compact(out_t *o, const node_t *n)
{
    char         quote;
    const char  *p, *end, *run;

    if (n->type == AI_JSON_STRING) {
        out_escaped(o, n->text);
        return;
    }

    quote = 0;
    end = n->text.data + n->text.len;
    run = n->text.data;

    for (p = run; p < end; p++) {

        if (quote) {
            if (*p == '\\') {
                p++;

            } else if (*p == '"') {
                quote = 0;
            }

        } else if (*p == '"') {
            quote = 1;

        } else if (*p <= ' ') {
            out_add(o, (ai_str_t) { (size_t) (p - run), run });
            run = p + 1;
        }
    }

    out_add(o, (ai_str_t) { (size_t) (end - run), run });
}
