/*
 * Ollama's /api/chat: the intermediate form as a request.  Owns nothing.
 */

#include "dialect_ollama.h"

#include <string.h>


static void ollama_messages(ir_t *ir, out_t *o);
static void ollama_user(ir_t *ir, out_t *o, node_t *m, node_t *turn);
static void ollama_result(ir_t *ir, out_t *o, node_t *p, node_t *turn);
static void ollama_name(ir_t *ir, out_t *o, node_t *p, ai_str_t id,
    node_t *turn);
static void ollama_assistant(ir_t *ir, out_t *o, node_t *m);
static size_t ollama_texts(ir_t *ir, out_t *o, node_t *parts, const char *sep);
static size_t ollama_text(ir_t *ir, out_t *o, node_t *p, const char *sep,
    unsigned depth);
static size_t ollama_media(ir_t *ir, out_t *o, node_t *parts, size_t n,
    unsigned depth);
static void ollama_thinking(ir_t *ir, out_t *o, node_t *parts);
static void ollama_calls(ir_t *ir, out_t *o, node_t *parts);
static void ollama_tools(ir_t *ir, out_t *o);
static void ollama_format(ir_t *ir, out_t *o);
static void ollama_think(ir_t *ir, out_t *o, node_t *own);
static void ollama_options(ir_t *ir, out_t *o, node_t *own);


static const struct {
    const char *from;
    const char *to;
} ollama_names[] = {
    { "max_tokens", "num_predict" },
    { "temperature", "temperature" },
    { "top_p", "top_p" },
    { "top_k", "top_k" },
    { "min_p", "min_p" },
    { "seed", "seed" },
    { "stop", "stop" },
    { "repetition_penalty", "repeat_penalty" },
    { "presence_penalty", "presence_penalty" },
    { "frequency_penalty", "frequency_penalty" },
};

#define OLLAMA_NAMES  (sizeof(ollama_names) / sizeof(ollama_names[0]))


int
ollama_write_request(ir_t *ir, out_t *o)
{
    size_t   i;
    node_t  *own;
    tree_t  *t;
    static const char *const  same[] = { "keep_alive", "truncate", "shift" };

    t = &ir->tree;
    own = node_get(t, node_get(t, ir->request, "extra"), "ollama");

    out_open(o, '{');
    out_key(o, "model");
    out_bytes(o, ir->model);

    ollama_messages(ir, o);
    ollama_tools(ir, o);
    ollama_format(ir, o);
    ollama_think(ir, o, own);
    ollama_options(ir, o, own);

    out_key_node(o, t, "logprobs", node_get(t, ir->request, "logprobs"));
    out_key_node(o, t, "top_logprobs", node_get(t, ir->request,
                                                "top_logprobs"));

    for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        out_key_node(o, t, same[i], node_get(t, own, same[i]));
    }

    /* A stream is what it does where nobody says. */

    out_key(o, "stream");
    out_z(o, ir->stream ? "true" : "false");
    out_close(o, '}');

    return 0;
}


static void
ollama_messages(ir_t *ir, out_t *o)
{
    int      assistant;
    node_t  *m, *role, *turn;
    tree_t  *t;

    t = &ir->tree;
    turn = NULL;
    assistant = 0;
    out_key(o, "messages");
    out_open(o, '[');
    m = node_first(t, node_get(t, ir->request, "messages"));

    for ( /* void */ ; m != NULL; m = m->next) {
        node_read(m);
        role = node_get(t, m, "role");

        if (node_is(role, "assistant")) {
            turn = assistant ? turn : m;
            assistant = 1;
            ollama_assistant(ir, o, m);
            continue;
        }

        assistant = 0;

        if (node_is(role, "user") || node_is(role, "tool")) {
            ollama_user(ir, o, m, turn);
            continue;
        }

        out_item(o);
        out_open(o, '{');
        out_key_z(o, "role", "system");
        (void) ollama_texts(ir, o, node_get(t, m, "parts"), "\\n\\n");
        out_close(o, '}');
    }

    out_close(o, ']');
}


/* Results stand behind their calls; what of them is no text follows as the
 * user's. */

static void
ollama_user(ir_t *ir, out_t *o, node_t *m, node_t *turn)
{
    int      results;
    size_t   mark, n;
    node_t  *parts, *p;
    tree_t  *t;

    t = &ir->tree;
    parts = node_get(t, m, "parts");
    results = 0;

    for (p = node_first(t, parts); p != NULL; p = p->next) {
        if (ir_is(ir, p, "tool_result")) {
            node_read(p);
            ollama_result(ir, o, p, turn);
            results = 1;
        }
    }

    mark = o->len;
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "role", "user");
    n = ollama_texts(ir, o, parts, "\\n\\n");
    n += ollama_media(ir, o, parts, 0, 0);

    if (results && n == 0 && !o->failed) {
        o->len = mark;
        return;
    }

    out_close(o, '}');
}


static void
ollama_result(ir_t *ir, out_t *o, node_t *p, node_t *turn)
{
    node_t  *id;
    tree_t  *t;

    t = &ir->tree;
    id = node_get(t, p, "id");
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "role", "tool");
    (void) ollama_texts(ir, o, node_get(t, p, "parts"), "\\n\\n");
    ollama_name(ir, o, p, node_text(id), turn);
    out_key_node(o, t, "tool_call_id", id);
    out_close(o, '}');
}


/* Templates know a result by its tool's name, clients by its call's id. */

static void
ollama_name(ir_t *ir, out_t *o, node_t *p, ai_str_t id, node_t *turn)
{
    node_t    *name, *q;
    tree_t    *t;
    unsigned   n;

    t = &ir->tree;
    name = node_get(t, p, "name");
    n = 0;

    for ( /* void */ ; name == NULL && turn != NULL; turn = turn->next) {

        if (!node_is(node_peek(t, turn, "role"), "assistant")) {
            break;
        }

        q = node_first(t, node_peek(t, turn, "parts"));

        for ( /* void */ ; q != NULL && n < OLLAMA_CALLS_MAX; q = q->next) {
            n++;

            if (node_is(node_peek(t, q, "type"), "tool_call")
                && ai_str_eq(node_text(node_peek(t, q, "id")), id))
            {
                name = node_peek(t, q, "name");
                break;
            }
        }
    }

    if (name != NULL) {
        out_key_escaped(o, "tool_name", node_text(name));
    }
}


static void
ollama_assistant(ir_t *ir, out_t *o, node_t *m)
{
    node_t  *parts;

    parts = node_get(&ir->tree, m, "parts");
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "role", "assistant");
    (void) ollama_texts(ir, o, parts, "");
    ollama_thinking(ir, o, parts);
    ollama_calls(ir, o, parts);
    out_close(o, '}');
}


/* All texts as the one that a message has; how many there were. */

static size_t
ollama_texts(ir_t *ir, out_t *o, node_t *parts, const char *sep)
{
    size_t   n;
    node_t  *p;

    n = 0;
    out_key(o, "content");
    out_z(o, "\"");

    for (p = node_first(&ir->tree, parts); p != NULL; p = p->next) {
        n += ollama_text(ir, o, p, n != 0 ? sep : "", 0);
    }

    out_z(o, "\"");

    return n;
}


static size_t
ollama_text(ir_t *ir, out_t *o, node_t *p, const char *sep, unsigned depth)
{
    size_t     n;
    node_t    *type, *parts, *q;
    tree_t    *t;
    ai_str_t   text;

    t = &ir->tree;
    type = node_peek(t, p, "type");

    if (!node_is(type, "text") && !node_is(type, "refusal")
        && (!node_is(type, "document")
            || (node_peek(t, p, "text") == NULL
                && node_peek(t, p, "parts") == NULL)))
    {
        return 0;
    }

    node_read(p);
    node_read(type);
    text = node_text(node_get(t, p, "text"));
    n = 0;

    if (text.len != 0) {
        out_z(o, sep);
        out_add(o, text);
        n++;
    }

    parts = depth == 0 ? node_get(t, p, "parts") : NULL;

    for (q = node_first(t, parts); q != NULL; q = q->next) {
        n += ollama_text(ir, o, q, n != 0 ? "\\n\\n" : sep, 1);
    }

    return n;
}


/* Pictures and sounds stand in one list, as bytes; there are no addresses. */

static size_t
ollama_media(ir_t *ir, out_t *o, node_t *parts, size_t n, unsigned depth)
{
    size_t   begun;
    node_t  *p, *type;
    tree_t  *t;

    t = &ir->tree;
    begun = n;

    for (p = node_first(t, parts); p != NULL; p = p->next) {
        type = node_peek(t, p, "type");

        if (node_is(type, "tool_result") || node_is(type, "document")) {
            n = depth < 2 ? ollama_media(ir, o, node_peek(t, p, "parts"), n,
                                         depth + 1) : n;
            continue;
        }

        if ((!node_is(type, "image") && !node_is(type, "audio"))
            || node_peek(t, p, "data") == NULL)
        {
            continue;
        }

        if (n++ == 0) {
            out_key(o, "images");
            out_open(o, '[');
        }

        node_read(p);
        node_read(type);
        (void) node_get(t, p, "media_type");
        (void) node_get(t, p, "format");
        out_item(o);
        out_node(o, t, node_get(t, p, "data"));
    }

    if (depth == 0 && n != begun) {
        out_close(o, ']');
    }

    return n;
}


/* Its own, and that of which nobody says whose it was. */

static void
ollama_thinking(ir_t *ir, out_t *o, node_t *parts)
{
    size_t   n;
    node_t  *p, *format;
    tree_t  *t;

    t = &ir->tree;
    n = 0;

    for (p = node_first(t, parts); p != NULL; p = p->next) {
        format = node_peek(t, p, "format");

        if (!node_is(node_peek(t, p, "type"), "reasoning")
            || (!node_is(format, "ollama") && !node_is(format, "openai"))
            || node_peek(t, p, "text") == NULL)
        {
            continue;
        }

        node_read(p);
        (void) node_get(t, p, "type");
        (void) node_get(t, p, "format");
        (void) node_get(t, p, "summary");

        if (n++ == 0) {
            out_key(o, "thinking");
            out_z(o, "\"");
        }

        out_add(o, node_text(node_get(t, p, "text")));
    }

    out_z(o, n != 0 ? "\"" : "");
}


static void
ollama_calls(ir_t *ir, out_t *o, node_t *parts)
{
    size_t   n;
    node_t  *p;
    tree_t  *t;

    t = &ir->tree;
    n = 0;

    for (p = node_first(t, parts); p != NULL; p = p->next) {

        if (!ir_is(ir, p, "tool_call")) {
            continue;
        }

        if (n++ == 0) {
            out_key(o, "tool_calls");
            out_open(o, '[');
        }

        node_read(p);
        out_item(o);
        out_open(o, '{');
        out_key_node(o, t, "id", node_get(t, p, "id"));
        out_key(o, "function");
        out_open(o, '{');
        out_key_node(o, t, "name", node_get(t, p, "name"));
        out_key(o, "arguments");
        (void) ir_arguments_object(ir, o, node_get(t, p, "arguments"));
        out_z(o, "}}");
    }

    out_z(o, n != 0 ? "]" : "");
}


/* Nobody can be made to call a tool; but what is not to be called is not
 * offered. */

static void
ollama_tools(ir_t *ir, out_t *o)
{
    size_t   strict;
    node_t  *c, *type;
    tree_t  *t;

    t = &ir->tree;
    c = node_get(t, ir->request, "tool_choice");
    type = node_get(t, c, "type");

    if (node_is(type, "none")) {
        node_whole(node_get(t, ir->request, "tools"));
        return;
    }

    if (node_is(type, "required") || node_is(type, "tool")
        || (node_is(type, "allowed")
            && !node_get_is(t, c, "mode", "auto")))
    {
        ir_note(ir, c, "a call cannot be forced");
        node_whole(node_peek(t, c, "mode"));
    }

    (void) ir_functions(ir, o, &strict);
}


static void
ollama_format(ir_t *ir, out_t *o)
{
    node_t  *f, *schema;
    tree_t  *t;

    t = &ir->tree;
    f = node_get(t, ir->request, "format");

    if (node_get_is(t, f, "type", "json")) {
        out_key_z(o, "format", "json");

    } else if (node_get_is(t, f, "type", "schema")) {
        (void) node_get(t, f, "name");
        (void) node_get(t, f, "strict");
        schema = node_get(t, f, "schema");
        out_key_node(o, t, "format", schema);
    }
}


static void
ollama_think(ir_t *ir, out_t *o, node_t *own)
{
    int64_t   n;
    node_t   *r, *effort, *budget;
    tree_t   *t;

    t = &ir->tree;
    r = node_get(t, ir->request, "reasoning");

    if (r == NULL) {
        out_key_node(o, t, "think", node_get(t, own, "think"));
        return;
    }

    effort = node_get(t, r, "effort");
    budget = node_get(t, r, "budget");
    n = node_int(budget, 0);
    out_key(o, "think");

    if (node_get_is(t, r, "mode", "off") || node_is(effort, "none")) {
        out_z(o, "false");

    } else if (effort != NULL) {
        (void) node_get(t, r, "mode");
        out_z(o, node_is(effort, "minimal") || node_is(effort, "low")
                 ? "\"low\"" : node_is(effort, "medium") ? "\"medium\""
                 : node_is(effort, "max") ? "\"max\"" : "\"high\"");

    } else if (budget != NULL) {
        (void) node_get(t, r, "mode");
        out_z(o, "\"");
        out_z(o, ir_effort(n));
        out_z(o, "\"");

    } else {
        (void) node_get(t, r, "mode");
        out_z(o, "true");
    }
}


/* What the client's dialect says by itself goes before what it only hands
 * on. */

static void
ollama_options(ir_t *ir, out_t *o, node_t *own)
{
    size_t   i, mark, empty;
    node_t  *n;
    tree_t  *t;

    t = &ir->tree;
    mark = o->len;
    out_key(o, "options");
    out_open(o, '{');
    empty = o->len;

    for (i = 0; i < OLLAMA_NAMES; i++) {
        out_key_node(o, t, ollama_names[i].to,
                     node_get(t, ir->request, ollama_names[i].from));
    }

    n = node_first(t, node_get_type(t, own, "options", AI_JSON_OBJECT));

    for ( /* void */ ; n != NULL; n = n->next) {

        for (i = 0; i < OLLAMA_NAMES; i++) {
            if (ai_str_eqz(n->key, ollama_names[i].to)
                && node_peek(t, ir->request, ollama_names[i].from) != NULL)
            {
                break;
            }
        }

        if (i == OLLAMA_NAMES) {
            out_item(o);
            out_escaped(o, n->key);
            out_z(o, ":");
            out_node(o, t, n);
        }
    }

    if (o->len == empty && !o->failed) {
        o->len = mark;
        return;
    }

    out_close(o, '}');
}
