/*
 * Anthropic's messages: the intermediate form as a request to a provider that
 * speaks them, but its messages.  Owns nothing.
 */

#include "dialect_anthropic.h"

#include <string.h>


#define ANTHROPIC_BUDGET_MIN   1024

/* The last generation that thinks by a budget alone. */
#define ANTHROPIC_BUDGETS      405


static int anthropic_samples(ir_t *ir);
static int anthropic_forced(ir_t *ir);
static int anthropic_unsigned(ir_t *ir);
static int anthropic_tools(ir_t *ir, out_t *o);
static void anthropic_choice(ir_t *ir, out_t *o);
static void anthropic_output(ir_t *ir, out_t *o, const char *effort);
static void anthropic_rest(ir_t *ir, out_t *o, int thinks);


/* What a word of effort is in tokens. */
static const struct {
    const char *word;
    const char *adaptive;
    int64_t     budget;
} anthropic_efforts[] = {
    { "minimal", "low", 1024 },
    { "low", "low", 2048 },
    { "medium", "medium", 8192 },
    { "high", "high", 16384 },
    { "xhigh", "xhigh", 32000 },
    { "max", "max", 48000 },
};


int
anthropic_write_request(ir_t *ir, out_t *o)
{
    out_t        thinking;
    node_t      *max;
    int64_t      budget;
    const char  *effort;

    memset(&thinking, 0, sizeof(thinking));
    effort = NULL;
    budget = anthropic_write_thinking(ir, &thinking, &effort);

    out_open(o, '{');
    out_key(o, "model");
    out_bytes(o, ir->model);

    max = node_get(&ir->tree, ir->request, "max_tokens");

    if (max != NULL) {
        out_key_node(o, &ir->tree, "max_tokens", max);

    } else {
        out_key_int(o, "max_tokens", IR_MAX_TOKENS + budget);
    }

    anthropic_write_system(ir, o);
    anthropic_write_messages(ir, o);

    if (anthropic_tools(ir, o)) {
        anthropic_choice(ir, o);
    }

    if (thinking.len != 0) {
        out_key(o, "thinking");
        out_add(o, (ai_str_t) { thinking.len, thinking.data });
    }

    o->failed |= thinking.failed;
    anthropic_output(ir, o, effort);
    anthropic_rest(ir, o, thinking.len != 0);
    out_free(&thinking);

    if (ir->stream) {
        out_key(o, "stream");
        out_z(o, "true");
    }

    out_close(o, '}');

    return 0;
}


/* Thinking, or why there can be none; its budget, 0: it has none. */

int64_t
anthropic_write_thinking(ir_t *ir, out_t *thinking, const char **effort)
{
    size_t    i;
    node_t   *r, *word, *given;
    tree_t   *t;
    int64_t   budget, max;
    unsigned  generation;

    t = &ir->tree;
    r = node_get(t, ir->request, "reasoning");
    word = node_peek(t, r, "effort");
    given = node_peek(t, r, "budget");

    if (r == NULL || node_get_is(t, r, "mode", "off")) {
        (void) node_get(t, r, "effort");
        return 0;
    }

    for (i = 5; i != 2 && !node_is(word, anthropic_efforts[i].word); i--) {
        /* void */
    }

    if (node_is(word, "minimal") || node_is(word, "low")) {
        i = node_is(word, "low") ? 1 : 0;
    }

    /* Who must call a tool cannot think before. */

    if (anthropic_forced(ir)) {
        ir_note(ir, r, "does not go with a forced tool call");
        node_whole(r);
        return 0;
    }

    generation = anthropic_generation(ir->model);

    if (generation >= ANTHROPIC_NO_SAMPLING
        || (given == NULL && (generation > ANTHROPIC_BUDGETS
                              || generation == 0)))
    {
        if (given != NULL) {
            budget = node_int(given, 0);
            i = budget <= 2048 ? 1 : budget <= 12288 ? 2 : 3;
        }

        node_whole(r);
        out_z(thinking, "{\"type\":\"adaptive\"}");
        *effort = anthropic_efforts[i].adaptive;
        return 0;
    }

    budget = node_int(given, anthropic_efforts[i].budget);
    max = node_int(node_peek(t, ir->request, "max_tokens"), 0);

    if (max != 0 && budget >= max) {
        budget = max / 2;
    }

    if (max != 0 && max <= ANTHROPIC_BUDGET_MIN) {
        ir_note(ir, r, "needs a larger limit of tokens");
        node_whole(r);
        return 0;
    }

    budget = budget < ANTHROPIC_BUDGET_MIN ? ANTHROPIC_BUDGET_MIN : budget;

    if (anthropic_unsigned(ir)) {
        ir_note(ir, r, "needs the reasoning of the turn that called tools");
        node_whole(r);
        return 0;
    }

    node_whole(r);
    out_z(thinking, "{\"type\":\"enabled\",\"budget_tokens\":");
    out_int(thinking, budget);
    out_z(thinking, "}");

    return budget;
}


/*
 * A model's generation, 405 is 4.5: claude-<family>-4-5-<date>,
 * claude-3-5-<family>; 0: it is another's, or says none.
 */

unsigned
anthropic_generation(ai_str_t model)
{
    size_t       i, n;
    unsigned     number[2];
    const char  *p, *end;

    p = memmem(model.data, model.len, "claude-", 7);
    end = model.data + model.len;

    if (p == NULL) {
        return 0;
    }

    for (p += 7; p < end && *p >= 'a' && *p <= 'z'; p++) {
        /* void */
    }

    p += p < end && *p == '-';
    number[0] = 0;
    number[1] = 0;

    for (i = 0; i < 2; i++) {

        for (n = 0; p + n < end && p[n] >= '0' && p[n] <= '9'; n++) {
            number[i] = n < 2 ? number[i] * 10 + (unsigned) (p[n] - '0') : 0;
        }

        /* More is a date. */

        if (n == 0 || n > 2) {
            break;
        }

        p += n;

        if (p == end || (*p != '-' && *p != '.')) {
            break;
        }

        p++;
    }

    return number[0] * 100 + number[1];
}


/* Whether it is told how to sample. */

static int
anthropic_samples(ir_t *ir)
{
    return anthropic_generation(ir->model) < ANTHROPIC_NO_SAMPLING
           && (ir->version.len != 10
               || memcmp(ir->version.data, "2026-10-21", 10) < 0);
}


static int
anthropic_forced(ir_t *ir)
{
    node_t  *type;

    type = node_peek(&ir->tree, node_peek(&ir->tree, ir->request,
                                          "tool_choice"), "type");

    return node_is(type, "required") || node_is(type, "tool");
}


/* Whether the last turn of the assistant called tools and its reasoning is
 * not there, signed: then the provider takes no budget. */

static int
anthropic_unsigned(ir_t *ir)
{
    int      calls, signs;
    node_t  *m, *p;
    tree_t  *t;

    t = &ir->tree;
    calls = 0;
    signs = 0;
    m = node_first(t, node_peek(t, ir->request, "messages"));

    for ( /* void */ ; m != NULL; m = m->next) {

        if (!node_is(node_peek(t, m, "role"), "assistant")) {
            continue;
        }

        calls = 0;
        signs = 0;
        p = node_first(t, node_peek(t, m, "parts"));

        for ( /* void */ ; p != NULL; p = p->next) {
            calls |= node_is(node_peek(t, p, "type"), "tool_call");
            signs |= node_is(node_peek(t, p, "type"), "reasoning")
                     && node_is(node_peek(t, p, "format"), "anthropic");
        }
    }

    return calls && !signs;
}


/* Tools; 1 where there are some. */

static int
anthropic_tools(ir_t *ir, out_t *o)
{
    size_t   mark, empty;
    node_t  *tool, *schema;
    tree_t  *t;

    t = &ir->tree;
    tool = node_first(t, node_get(t, ir->request, "tools"));
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
        out_key_node(o, t, "name", node_get(t, tool, "name"));
        out_key_node(o, t, "description", node_get(t, tool, "description"));
        schema = node_get(t, tool, "schema");
        out_key(o, "input_schema");

        if (schema != NULL && node_peek(t, schema, "type") != NULL) {
            out_node(o, t, schema);

        } else {
            node_whole(schema);
            out_z(o, "{\"type\":\"object\",\"properties\":{}}");
        }

        out_key_node(o, t, "strict", node_get(t, tool, "strict"));
        anthropic_write_marker(ir, o, tool);
        out_close(o, '}');
    }

    if (o->len == empty && !o->failed) {
        o->len = mark;
        return 0;
    }

    out_close(o, ']');

    return 1;
}


static void
anthropic_choice(ir_t *ir, out_t *o)
{
    int      single;
    node_t  *c, *parallel;
    tree_t  *t;

    t = &ir->tree;
    c = node_get(t, ir->request, "tool_choice");
    parallel = node_get(t, ir->request, "parallel_tools");
    single = parallel != NULL && parallel->type == AI_JSON_FALSE;

    if (node_is(node_peek(t, c, "type"), "allowed")) {
        ir_note(ir, c, NULL);
        node_whole(c);
        c = NULL;
    }

    if (c == NULL && !single) {
        return;
    }

    out_key(o, "tool_choice");
    out_open(o, '{');

    if (node_get_is(t, c, "type", "tool")) {
        out_key_z(o, "type", "tool");
        out_key_node(o, t, "name", node_get(t, c, "name"));

    } else if (node_get_is(t, c, "type", "required")) {
        out_key_z(o, "type", "any");

    } else if (node_get_is(t, c, "type", "none")) {
        out_key_z(o, "type", "none");
        single = 0;

    } else {
        (void) node_get_is(t, c, "type", "auto");
        out_key_z(o, "type", "auto");
    }

    if (single) {
        out_key(o, "disable_parallel_tool_use");
        out_z(o, "true");
    }

    out_close(o, '}');
}


static void
anthropic_output(ir_t *ir, out_t *o, const char *effort)
{
    node_t  *f, *schema;
    tree_t  *t;

    t = &ir->tree;
    f = node_peek(t, ir->request, "format");
    schema = node_is(node_peek(t, f, "type"), "schema")
             ? node_peek(t, f, "schema") : NULL;

    if (schema == NULL && effort == NULL) {
        return;
    }

    out_key(o, "output_config");
    out_open(o, '{');

    if (effort != NULL) {
        out_key_z(o, "effort", effort);
    }

    if (schema != NULL) {
        node_read(f);
        (void) node_get(t, f, "type");
        (void) node_get(t, f, "name");
        (void) node_get(t, f, "strict");
        out_key(o, "format");
        out_z(o, "{\"type\":\"json_schema\",\"schema\":");
        out_node(o, t, schema);
        out_close(o, '}');
    }

    out_close(o, '}');
}


static void
anthropic_rest(ir_t *ir, out_t *o, int thinks)
{
    int      samples;
    node_t  *n;
    tree_t  *t;

    t = &ir->tree;
    n = node_get(t, ir->request, "stop");
    out_key_node(o, t, "stop_sequences", n);

    /* Who thinks is as warm as can be, and 1 is what nobody need say. */

    samples = anthropic_samples(ir);
    n = node_peek(t, ir->request, "temperature");

    if (n != NULL && samples && !thinks) {
        node_read(n);

        if (node_number(n, 0) > 1) {
            ir_note(ir, n, "is 1 at most");
            out_key_int(o, "temperature", 1);

        } else {
            out_key_node(o, t, "temperature", n);
        }

    } else if (n != NULL && node_number(n, 0) == 1) {
        node_read(n);
    }

    n = node_peek(t, ir->request, "top_p");

    if (n != NULL && node_number(n, 0) == 1) {
        node_read(n);

    } else if (n != NULL && samples
               && (!thinks || node_number(n, 0) >= 0.95))
    {
        out_key_node(o, t, "top_p", node_read(n));
    }

    n = node_peek(t, ir->request, "top_k");

    if (n != NULL && samples && !thinks) {
        out_key_node(o, t, "top_k", node_read(n));
    }

    n = node_get(t, ir->request, "user");

    if (n != NULL) {
        out_key(o, "metadata");
        out_open(o, '{');
        out_key_node(o, t, "user_id", n);
        out_close(o, '}');
    }

    if (node_get_is(t, ir->request, "service_tier", "default")) {
        out_key_z(o, "service_tier", "standard_only");
    }

    anthropic_write_marker(ir, o, ir->request);
}
