/*
 * AWS Bedrock's Converse: tools and settings of a request.  Owns nothing.
 */

#include "dialect_bedrock.h"

#include <string.h>

#include "dialect_anthropic.h"


#define BEDROCK_METADATA_MAX  16


static int bedrock_structured(ir_t *ir);
static int bedrock_functions(ir_t *ir, out_t *o);
static int bedrock_allowed(ir_t *ir, node_t *tool);
static node_t *bedrock_called(ir_t *ir);
static void bedrock_choice(ir_t *ir, out_t *o);
static int bedrock_reasons(ir_t *ir, out_t *extra, int64_t *budget);
static int bedrock_effort(ir_t *ir, out_t *extra, node_t *r);
static void bedrock_inference(ir_t *ir, out_t *o, int reasons, int64_t budget);
static void bedrock_extra(ir_t *ir, out_t *extra, int reasons);
static void bedrock_output(ir_t *ir, out_t *o);
static void bedrock_metadata(ir_t *ir, out_t *o);
static int bedrock_plain(ai_str_t text);


static int
bedrock_structured(ir_t *ir)
{
    const bedrock_model_t  *model;

    model = bedrock_model(ir);

    return model->structured
           && (!model->claude
               || anthropic_generation(ir->model) >= ANTHROPIC_STRUCTURED);
}


/* Who has called tools must have some. */

void
bedrock_tools(ir_t *ir, out_t *o)
{
    int      some;
    size_t   mark;
    node_t  *name;

    mark = o->len;
    out_key(o, "toolConfig");
    out_z(o, "{\"tools\":[");
    name = bedrock_called(ir);

    /* That none is to be called has no word: nobody has any then. */

    if (name == NULL
        && node_is(node_peek(&ir->tree, node_peek(&ir->tree, ir->request,
                                                  "tool_choice"), "type"),
                   "none"))
    {
        (void) node_whole(node_get(&ir->tree, ir->request, "tools"));
        (void) node_whole(node_get(&ir->tree, ir->request, "tool_choice"));
        (void) node_get(&ir->tree, ir->request, "parallel_tools");
        some = 0;

    } else {
        some = bedrock_functions(ir, o);
    }

    if (!some && name == NULL) {

        if (!o->failed) {
            o->len = mark;
        }

        return;
    }

    if (!some) {
        out_z(o, "{\"toolSpec\":{");
        out_key_escaped(o, "name", node_text(name));
        out_z(o, ",\"inputSchema\":{\"json\":{\"type\":\"object\","
              "\"properties\":{}}}}}");
    }

    out_close(o, ']');

    if (some) {
        bedrock_choice(ir, o);
    }

    out_close(o, '}');
}


static int
bedrock_functions(ir_t *ir, out_t *o)
{
    int                     some;
    node_t                 *tool, *schema, *n;
    tree_t                 *t;
    const bedrock_model_t  *model;

    t = &ir->tree;
    model = bedrock_model(ir);
    some = 0;
    tool = node_first(t, node_get(t, ir->request, "tools"));

    for ( /* void */ ; tool != NULL; tool = tool->next) {

        if (!node_get_is(t, tool, "type", "function")) {
            continue;
        }

        if (!bedrock_allowed(ir, tool)) {
            node_whole(tool);
            continue;
        }

        some = 1;
        node_read(tool);
        out_item(o);
        out_z(o, "{\"toolSpec\":{");
        out_key_node(o, t, "name", node_get(t, tool, "name"));
        n = node_get(t, tool, "description");

        if (!bedrock_is_blank(node_text(n))) {
            out_key_node(o, t, "description", n);
        }

        out_key(o, "inputSchema");
        schema = node_get(t, tool, "schema");

        if (schema != NULL && node_peek(t, schema, "type") != NULL) {
            out_z(o, "{\"json\":");
            out_node(o, t, schema);
            out_close(o, '}');

        } else {
            node_whole(schema);
            out_z(o, "{\"json\":{\"type\":\"object\",\"properties\":{}}}");
        }

        n = node_peek(t, tool, "strict");

        if (n != NULL && (!node_true(n) || bedrock_structured(ir))) {
            node_read(n);

            if (node_true(n)) {
                out_key(o, "strict");
                out_z(o, "true");
            }
        }

        out_z(o, "}}");

        if (model->cache_tools) {
            bedrock_cache(ir, o, tool);
        }
    }

    return some;
}


/* Those that are not allowed are not there. */

static int
bedrock_allowed(ir_t *ir, node_t *tool)
{
    node_t    *choice, *name;
    tree_t    *t;
    ai_str_t   text;

    t = &ir->tree;
    choice = node_peek(t, ir->request, "tool_choice");

    if (!node_is(node_peek(t, choice, "type"), "allowed")) {
        return 1;
    }

    text = node_text(node_peek(t, tool, "name"));
    name = node_first(t, node_peek(t, choice, "names"));

    for ( /* void */ ; name != NULL; name = name->next) {
        if (node_text(name).len == text.len
            && memcmp(node_text(name).data, text.data, text.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* The name of the first call of the history. */

static node_t *
bedrock_called(ir_t *ir)
{
    node_t  *m, *p;
    tree_t  *t;

    t = &ir->tree;
    m = node_first(t, node_peek(t, ir->request, "messages"));

    for ( /* void */ ; m != NULL; m = m->next) {
        p = node_first(t, node_peek(t, m, "parts"));

        for ( /* void */ ; p != NULL; p = p->next) {
            if (node_is(node_peek(t, p, "type"), "tool_call")) {
                return node_peek(t, p, "name");
            }
        }
    }

    return NULL;
}


static void
bedrock_choice(ir_t *ir, out_t *o)
{
    node_t  *c;
    tree_t  *t;

    t = &ir->tree;
    c = node_peek(t, ir->request, "tool_choice");

    if (c == NULL || node_is(node_peek(t, c, "type"), "none")) {
        return;
    }

    node_read(c);

    if (node_get_is(t, c, "type", "tool")) {
        out_z(o, ",\"toolChoice\":{\"tool\":{");
        out_key_node(o, t, "name", node_get(t, c, "name"));
        out_z(o, "}}");

    } else if (node_get_is(t, c, "type", "required")) {
        out_z(o, ",\"toolChoice\":{\"any\":{}}");

    } else if (node_get_is(t, c, "type", "auto")) {
        out_z(o, ",\"toolChoice\":{\"auto\":{}}");

    } else if (node_get_is(t, c, "type", "allowed")) {
        (void) node_whole(node_get(t, c, "names"));
        out_z(o, node_is(node_get(t, c, "mode"), "required")
                 ? ",\"toolChoice\":{\"any\":{}}"
                 : ",\"toolChoice\":{\"auto\":{}}");
    }
}


void
bedrock_config(ir_t *ir, out_t *o)
{
    int       reasons;
    out_t     extra;
    node_t   *n;
    int64_t   budget;

    memset(&extra, 0, sizeof(extra));
    out_open(&extra, '{');
    budget = 0;
    reasons = bedrock_reasons(ir, &extra, &budget);
    bedrock_inference(ir, o, reasons, budget);
    bedrock_extra(ir, &extra, reasons);
    out_close(&extra, '}');

    if (extra.len > 2) {
        out_key(o, "additionalModelRequestFields");
        out_add(o, (ai_str_t) { extra.len, extra.data });
    }

    o->failed |= extra.failed;
    out_free(&extra);
    bedrock_output(ir, o);
    bedrock_metadata(ir, o);

    n = node_peek(&ir->tree, ir->request, "service_tier");

    if (node_is(n, "auto")) {
        node_read(n);

    } else if (node_is(n, "default") || node_is(n, "priority")
               || node_is(n, "flex"))
    {
        node_read(n);
        out_key(o, "serviceTier");
        out_open(o, '{');
        out_key_node(o, &ir->tree, "type", n);
        out_close(o, '}');
    }
}


/* Each family has its own words for it: 1 where it was asked for, 2 where
 * nothing else may be set then. */

static int
bedrock_reasons(ir_t *ir, out_t *extra, int64_t *budget)
{
    out_t                   thinking;
    node_t                 *r;
    tree_t                 *t;
    const char             *effort;
    const bedrock_model_t  *model;

    t = &ir->tree;
    model = bedrock_model(ir);
    r = node_peek(t, ir->request, "reasoning");

    if (r == NULL) {
        return 0;
    }

    if (!model->claude) {

        if (node_is(node_peek(t, r, "mode"), "off")
            || node_is(node_peek(t, r, "effort"), "none"))
        {
            if (model->effort == NULL || model->nova) {
                node_whole(r);
            }

            return 0;
        }

        if (model->effort == NULL && !model->nova2) {
            return 0;
        }

        ir->reasons = 1;
        return bedrock_effort(ir, extra, r);
    }

    memset(&thinking, 0, sizeof(thinking));
    effort = NULL;
    *budget = anthropic_write_thinking(ir, &thinking, &effort);

    if (thinking.len != 0) {
        out_key(extra, "thinking");
        out_add(extra, (ai_str_t) { thinking.len, thinking.data });
        ir->reasons = 1;
    }

    if (effort != NULL) {
        out_key(extra, "output_config");
        out_open(extra, '{');
        out_key_z(extra, "effort", effort);
        out_close(extra, '}');
    }

    extra->failed |= thinking.failed;
    out_free(&thinking);

    return ir->reasons;
}


static int
bedrock_effort(ir_t *ir, out_t *extra, node_t *r)
{
    node_t                 *word, *given;
    int64_t                 budget;
    const char             *effort;
    const bedrock_model_t  *model;

    model = bedrock_model(ir);
    word = node_peek(&ir->tree, r, "effort");
    given = node_peek(&ir->tree, r, "budget");
    budget = node_int(given, -1);

    if (word != NULL) {
        effort = node_is(word, "minimal") || node_is(word, "low") ? "low"
                 : node_is(word, "medium") ? "medium" : "high";

    } else {
        effort = budget < 0 ? "medium" : ir_effort(budget);
    }

    node_whole(r);

    if (model->nova2) {
        out_key(extra, "reasoningConfig");
        out_open(extra, '{');
        out_key_z(extra, "type", "enabled");
        out_key_z(extra, "maxReasoningEffort", effort);
        out_close(extra, '}');
        return *effort == 'h' ? 2 : 1;
    }

    out_key_z(extra, model->effort, effort);

    return 1;
}


/* Which of them go with reasoning its model says. */

static void
bedrock_inference(ir_t *ir, out_t *o, int reasons, int64_t budget)
{
    int                     samples;
    size_t                  mark, empty;
    node_t                 *n;
    tree_t                 *t;
    const bedrock_model_t  *model;

    t = &ir->tree;
    model = bedrock_model(ir);
    mark = o->len;
    out_key(o, "inferenceConfig");
    out_open(o, '{');
    empty = o->len;
    samples = reasons != 2
              && (!model->claude
                  || anthropic_generation(ir->model) < ANTHROPIC_NO_SAMPLING);
    n = node_peek(t, ir->request, "max_tokens");

    if (n != NULL && reasons != 2) {
        out_key_node(o, t, "maxTokens", node_read(n));

    } else if (n == NULL && budget != 0) {
        out_key_int(o, "maxTokens", IR_MAX_TOKENS + budget);
    }

    n = node_peek(t, ir->request, "temperature");

    if (n != NULL && samples && !(model->claude && reasons)) {
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
               && (!model->claude || !reasons || node_number(n, 0) >= 0.95))
    {
        out_key_node(o, t, "topP", node_read(n));
    }

    out_key_node(o, t, "stopSequences", node_get(t, ir->request, "stop"));

    if (o->len == empty && !o->failed) {
        o->len = mark;
        return;
    }

    out_close(o, '}');
}


static void
bedrock_extra(ir_t *ir, out_t *extra, int reasons)
{
    node_t                 *n, *type;
    tree_t                 *t;
    unsigned                generation;
    const bedrock_model_t  *model;

    t = &ir->tree;
    model = bedrock_model(ir);
    generation = model->claude ? anthropic_generation(ir->model) : 0;
    n = node_peek(t, ir->request, "top_k");

    if (n != NULL && model->nova) {
        out_key(extra, "inferenceConfig");
        out_open(extra, '{');
        out_key_node(extra, t, "topK", node_read(n));
        out_close(extra, '}');

    } else if (n != NULL && model->top_k != NULL
               && (!model->claude
                   || (!reasons && generation < ANTHROPIC_NO_SAMPLING)))
    {
        out_key_node(extra, t, model->top_k, node_read(n));
    }

    n = node_peek(t, ir->request, "parallel_tools");
    type = node_peek(t, node_peek(t, ir->request, "tool_choice"), "type");

    if (n == NULL) {
        return;
    }

    if (node_true(n)
        || node_count(t, node_peek(t, ir->request, "tools")) == 0)
    {
        node_read(n);

    } else if (generation >= ANTHROPIC_STRUCTURED
               && (type == NULL || node_is(type, "auto")))
    {
        node_read(n);
        out_key(extra, "tool_choice");
        out_z(extra, "{\"type\":\"auto\","
              "\"disable_parallel_tool_use\":true}");
    }
}


/* The schema is a string there. */

static void
bedrock_output(ir_t *ir, out_t *o)
{
    out_t    text;
    node_t  *f, *n;
    tree_t  *t;

    t = &ir->tree;
    f = node_peek(t, ir->request, "format");

    if (!node_is(node_peek(t, f, "type"), "schema") || !bedrock_structured(ir))
    {
        return;
    }

    memset(&text, 0, sizeof(text));
    node_read(f);
    (void) node_get(t, f, "type");
    (void) node_get(t, f, "strict");
    out_key(o, "outputConfig");
    out_z(o, "{\"textFormat\":{\"type\":\"json_schema\",\"structure\":{"
          "\"jsonSchema\":{");
    out_key_node(o, t, "name", node_get(t, f, "name"));
    n = node_get(t, f, "description");

    if (!bedrock_is_blank(node_text(n))) {
        out_key_node(o, t, "description", n);
    }

    out_key(o, "schema");
    out_node(&text, t, node_get(t, f, "schema"));
    out_bytes(o, (ai_str_t) { text.len, text.data });
    o->failed |= text.failed;
    out_free(&text);
    out_z(o, "}}}}");
}


/* What may stand in AWS' logs; the rest stays unread. */

static void
bedrock_metadata(ir_t *ir, out_t *o)
{
    size_t     mark, empty;
    node_t    *m, *n;
    tree_t    *t;
    unsigned   left;

    t = &ir->tree;
    m = node_get_type(t, ir->request, "metadata", AI_JSON_OBJECT);
    mark = o->len;
    out_key(o, "requestMetadata");
    out_open(o, '{');
    empty = o->len;
    left = BEDROCK_METADATA_MAX;

    for (n = node_first(t, m); n != NULL && left != 0; n = n->next) {
        if (n->type == AI_JSON_STRING && n->key.len != 0
            && bedrock_plain(n->key) && bedrock_plain(node_text(n)))
        {
            node_read(n);
            out_item(o);
            out_escaped(o, n->key);
            out_z(o, ":");
            out_escaped(o, node_text(n));
            left--;
        }
    }

    if (o->len == empty && !o->failed) {
        o->len = mark;
        return;
    }

    out_close(o, '}');
}


static int
bedrock_plain(ai_str_t text)
{
    size_t  i;

    for (i = 0; i < text.len; i++) {
        if ((text.data[i] < '0' || text.data[i] > '9')
            && ((text.data[i] | 0x20) < 'a' || (text.data[i] | 0x20) > 'z')
            && (text.data[i] == '\0'
                || strchr(" :_@$#=/+,-.", text.data[i]) == NULL))
        {
            return 0;
        }
    }

    return text.len <= 256;
}
