/*
 * Cohere's /v2/chat: the intermediate form as a request.  Owns nothing.
 */

#include "dialect_cohere.h"

#include <stdio.h>
#include <string.h>


#define COHERE_STOPS_MAX  5


static void cohere_tools(ir_t *ir, out_t *o);
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


/* That it is this tool is said by offering no other. */

static void
cohere_tools(ir_t *ir, out_t *o)
{
    size_t   n, strict;
    node_t  *tool;
    tree_t  *t;

    t = &ir->tree;
    n = ir_functions(ir, o, &strict);

    if (n == 0) {
        return;
    }

    cohere_choice(ir, o, node_get(t, ir->request, "tool_choice"));

    /* Strict are all or none. */

    if (strict != n) {
        return;
    }

    tool = node_first(t, node_get(t, ir->request, "tools"));

    for ( /* void */ ; tool != NULL; tool = tool->next) {
        node_read(node_peek(t, tool, "strict"));
    }

    out_key(o, "strict_tools");
    out_z(o, "true");
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
