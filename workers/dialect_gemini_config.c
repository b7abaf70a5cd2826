/*
 * Google's generateContent: tools and settings of a request.  Owns nothing.
 */

#include "dialect_gemini.h"

#include <string.h>


static int gemini_functions(ir_t *ir, out_t *o);
static void gemini_choice(ir_t *ir, out_t *o, int strict);
static void gemini_format(ir_t *ir, out_t *o);
static void gemini_modalities(ir_t *ir, out_t *o);
static void gemini_thinking(ir_t *ir, out_t *o);
static void gemini_level(ir_t *ir, out_t *o, node_t *effort, int off);
static void gemini_budget(ir_t *ir, out_t *o, node_t *r, int off);


/* Members that go as they are. */
static const struct {
    const char *from;
    const char *to;
} gemini_same[] = {
    { "max_tokens", "maxOutputTokens" },
    { "temperature", "temperature" },
    { "top_p", "topP" },
    { "top_k", "topK" },
    { "n", "candidateCount" },
    { "stop", "stopSequences" },
    { "presence_penalty", "presencePenalty" },
    { "frequency_penalty", "frequencyPenalty" },
    { "seed", "seed" },
    { "logprobs", "responseLogprobs" },
    { "top_logprobs", "logprobs" },
    { NULL, NULL }
};

/* What a word of effort is in tokens, and as a level. */
static const struct {
    const char *word;
    int64_t     budget;
    const char *level;
} gemini_efforts[] = {
    { "minimal", 512, "minimal" },
    { "low", 1024, "low" },
    { "medium", 8192, "medium" },
    { "high", 24576, "high" },
    { "xhigh", 32768, "high" },
    { "max", 32768, "high" },
};

#define GEMINI_EFFORTS  (sizeof(gemini_efforts) / sizeof(gemini_efforts[0]))


void
gemini_tools(ir_t *ir, out_t *o)
{
    int  strict;

    strict = gemini_functions(ir, o);

    if (strict >= 0) {
        gemini_choice(ir, o, strict);
    }
}


/* 1 where one is strict, -1 where there are none. */

static int
gemini_functions(ir_t *ir, out_t *o)
{
    int      strict;
    size_t   mark, empty;
    node_t  *tool, *schema;
    tree_t  *t;

    t = &ir->tree;
    strict = 0;
    mark = o->len;
    out_key(o, "tools");
    out_z(o, "[{\"functionDeclarations\":[");
    empty = o->len;
    tool = node_first(t, node_get(t, ir->request, "tools"));

    for ( /* void */ ; tool != NULL; tool = tool->next) {

        if (!node_get_is(t, tool, "type", "function")) {
            continue;
        }

        node_read(tool);
        strict |= node_true(node_get(t, tool, "strict"));
        out_item(o);
        out_open(o, '{');
        out_key_node(o, t, "name", node_get(t, tool, "name"));
        out_key_node(o, t, "description", node_get(t, tool, "description"));
        schema = node_get(t, tool, "schema");

        if (node_count(t, schema) != 0) {
            out_key_node(o, t, "parametersJsonSchema", schema);

        } else {
            node_whole(schema);
        }

        out_close(o, '}');
    }

    if (o->len == empty && !o->failed) {
        o->len = mark;
        return -1;
    }

    out_z(o, "]}]");

    return strict;
}


/* What a model must call is strict already. */

static void
gemini_choice(ir_t *ir, out_t *o, int strict)
{
    node_t      *c, *name;
    tree_t      *t;
    const char  *mode;

    t = &ir->tree;
    c = node_get(t, ir->request, "tool_choice");
    mode = strict ? "VALIDATED" : NULL;

    if (node_get_is(t, c, "type", "none")) {
        mode = "NONE";

    } else if (node_get_is(t, c, "type", "required")
               || node_get_is(t, c, "type", "tool"))
    {
        mode = "ANY";

    } else if (node_get_is(t, c, "type", "allowed")) {
        mode = node_get_is(t, c, "mode", "required") ? "ANY" : "VALIDATED";
        (void) node_get_is(t, c, "mode", "auto");

    } else if (c != NULL && !node_get_is(t, c, "type", "auto")) {
        return;
    }

    if (mode == NULL) {
        return;
    }

    out_key(o, "toolConfig");
    out_z(o, "{\"functionCallingConfig\":{");
    out_key_z(o, "mode", mode);
    name = node_get(t, c, "name");

    if (name != NULL) {
        out_key(o, "allowedFunctionNames");
        out_open(o, '[');
        out_escaped(o, node_text(name));
        out_close(o, ']');
    }

    out_key_node(o, t, "allowedFunctionNames", node_get(t, c, "names"));
    out_z(o, "}}");
}


void
gemini_config(ir_t *ir, out_t *o)
{
    size_t   i, mark, empty;
    tree_t  *t;

    t = &ir->tree;
    mark = o->len;
    out_key(o, "generationConfig");
    out_open(o, '{');
    empty = o->len;

    for (i = 0; gemini_same[i].from != NULL; i++) {
        out_key_node(o, t, gemini_same[i].to,
                     node_get(t, ir->request, gemini_same[i].from));
    }

    gemini_format(ir, o);
    gemini_modalities(ir, o);
    gemini_thinking(ir, o);

    if (o->len == empty && !o->failed) {
        o->len = mark;
        return;
    }

    out_close(o, '}');
}


/* Vertex has it in a header. */

void
gemini_tier(ir_t *ir, out_t *o)
{
    size_t   i;
    node_t  *tier;
    static const char *const  tiers[][2] = {
        { "default", "standard" }, { "flex", "flex" },
        { "priority", "priority" }
    };

    tier = node_peek(&ir->tree, ir->request, "service_tier");

    for (i = 0; i < 3 && !gemini_is_vertex(ir); i++) {
        if (node_is(tier, tiers[i][0])) {
            node_read(tier);
            out_key_z(o, "serviceTier", tiers[i][1]);
        }
    }
}


/* A schema's name is of no use, and all of them are strict. */

static void
gemini_format(ir_t *ir, out_t *o)
{
    node_t  *f;
    tree_t  *t;

    t = &ir->tree;
    f = node_get(t, ir->request, "format");

    if (f == NULL) {
        return;
    }

    (void) node_get(t, f, "type");
    (void) node_get(t, f, "name");
    (void) node_get(t, f, "strict");
    out_key_z(o, "responseMimeType", "application/json");
    out_key_node(o, t, "responseJsonSchema", node_get(t, f, "schema"));
}


static void
gemini_modalities(ir_t *ir, out_t *o)
{
    size_t   i, mark, empty;
    node_t  *m;
    tree_t  *t;
    static const char *const  words[][2] = {
        { "text", "TEXT" }, { "image", "IMAGE" }, { "audio", "AUDIO" }
    };

    t = &ir->tree;
    mark = o->len;
    out_key(o, "responseModalities");
    out_open(o, '[');
    empty = o->len;
    m = node_first(t, node_get(t, ir->request, "modalities"));

    for ( /* void */ ; m != NULL; m = m->next) {
        for (i = 0; i < 3; i++) {
            if (node_is(m, words[i][0])) {
                node_read(m);
                out_item(o);
                out_z(o, "\"");
                out_z(o, words[i][1]);
                out_z(o, "\"");
            }
        }
    }

    if (o->len == empty && !o->failed) {
        o->len = mark;
        return;
    }

    out_close(o, ']');
}


static void
gemini_thinking(ir_t *ir, out_t *o)
{
    int      off, version;
    node_t  *r, *effort;
    tree_t  *t;

    t = &ir->tree;
    r = node_get(t, ir->request, "reasoning");

    if (r == NULL) {
        return;
    }

    effort = node_get(t, r, "effort");
    off = node_is(node_get(t, r, "mode"), "off") || node_is(effort, "none");
    version = gemini_version(ir->model);

    if (version < 25) {

        if (!off) {
            ir_note(ir, r, "this model does not think");
        }

        node_whole(r);
        return;
    }

    ir->reasons = !off;
    out_key(o, "thinkingConfig");
    out_open(o, '{');

    if (version >= 30 && node_peek(t, r, "budget") == NULL) {
        gemini_level(ir, o, effort, off);

    } else {
        gemini_budget(ir, o, r, off);
    }

    if (!off) {
        out_key(o, "includeThoughts");
        out_z(o, "true");
    }

    out_close(o, '}');
}


/* None of these models can be kept from thinking. */

static void
gemini_level(ir_t *ir, out_t *o, node_t *effort, int off)
{
    int          pro;
    size_t       i;
    const char  *level;

    level = off ? "minimal" : NULL;

    for (i = 0; i < GEMINI_EFFORTS && level == NULL; i++) {
        if (node_is(effort, gemini_efforts[i].word)) {
            level = gemini_efforts[i].level;
        }
    }

    pro = provider_has(ir->model, "-pro");

    if (level == NULL) {
        return;
    }

    if (pro && strcmp(level, "minimal") == 0) {
        level = "low";

    } else if (pro && strcmp(level, "medium") == 0
               && gemini_version(ir->model) == 30)
    {
        level = "high";
    }

    out_key_z(o, "thinkingLevel", level);
}


/* Each model has its bounds; Pro cannot be kept from thinking. */

static void
gemini_budget(ir_t *ir, out_t *o, node_t *r, int off)
{
    int       pro, lite;
    size_t    i;
    node_t   *given, *effort;
    int64_t   budget, least, most;

    pro = provider_has(ir->model, "-pro");
    lite = provider_has(ir->model, "-lite");
    least = pro ? 128 : lite ? 512 : 1;
    most = pro ? 32768 : 24576;
    given = node_get(&ir->tree, r, "budget");
    effort = node_peek(&ir->tree, r, "effort");
    budget = node_int(given, -1);

    for (i = 0; i < GEMINI_EFFORTS && given == NULL; i++) {
        if (node_is(effort, gemini_efforts[i].word)) {
            budget = gemini_efforts[i].budget;
            budget = budget > most ? most : budget;
        }
    }

    if (off) {
        budget = pro ? least : 0;

    } else if (budget > most) {
        ir_note(ir, given, pro ? "is 32768 at most" : "is 24576 at most");
        budget = most;

    } else if (budget >= 0 && budget < least) {
        budget = least;
    }

    /* -1: as the model likes. */

    out_key_int(o, "thinkingBudget", budget);
}
