/*
 * What writers of requests share: who stands before the conversation, tools in
 * the shape that OpenAI gave them, a budget as a word.  Owns nothing.
 */

#include "ir.h"


#define IR_NAMES_MAX  1024      /* of the tools that are allowed */


static int ir_offered(ir_t *ir, node_t *choice, node_t *name);


int
ir_is_system(ir_t *ir, node_t *m)
{
    node_t  *role, *last;
    tree_t  *t;

    t = &ir->tree;
    role = node_peek(t, m, "role");

    if (!node_is(role, "system") && !node_is(role, "developer")) {
        return 0;
    }

    if (m->next != NULL) {
        return 1;
    }

    last = node_first(t, node_peek(t, ir->request, "messages"));

    for ( /* void */ ; last != m; last = last->next) {
        role = node_peek(t, last, "role");

        if (!node_is(role, "system") && !node_is(role, "developer")) {
            return 1;
        }
    }

    return 0;
}


/* Whether a choice of tools allows one of this name. */

static int
ir_offered(ir_t *ir, node_t *choice, node_t *name)
{
    node_t    *n;
    tree_t    *t;
    unsigned   i;

    t = &ir->tree;
    n = node_get(t, choice, "name");

    if (n != NULL) {
        return ai_str_eq(node_text(n), node_text(name));
    }

    n = node_peek(t, choice, "names");

    if (n == NULL) {
        return 1;
    }

    node_whole(n);
    n = node_first(t, n);

    for (i = 0; n != NULL && i < IR_NAMES_MAX; n = n->next, i++) {
        if (ai_str_eq(node_text(n), node_text(name))) {
            return 1;
        }
    }

    return 0;
}


size_t
ir_functions(ir_t *ir, out_t *o, size_t *strict)
{
    size_t   n;
    node_t  *tool, *choice, *schema;
    tree_t  *t;

    t = &ir->tree;
    choice = node_get(t, ir->request, "tool_choice");
    tool = node_first(t, node_get(t, ir->request, "tools"));
    n = 0;
    *strict = 0;

    for ( /* void */ ; tool != NULL; tool = tool->next) {

        if (!node_is(node_peek(t, tool, "type"), "function")) {
            continue;
        }

        if (!ir_offered(ir, choice, node_peek(t, tool, "name"))) {
            node_whole(tool);
            continue;
        }

        if (n++ == 0) {
            out_key(o, "tools");
            out_open(o, '[');
        }

        *strict += node_true(node_peek(t, tool, "strict"));
        node_read(tool);
        (void) node_get(t, tool, "type");
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "type", "function");
        out_key(o, "function");
        out_open(o, '{');
        out_key_node(o, t, "name", node_get(t, tool, "name"));
        out_key_node(o, t, "description", node_get(t, tool, "description"));
        schema = node_get(t, tool, "schema");
        out_key(o, "parameters");

        if (node_first(t, schema) != NULL) {
            out_node(o, t, schema);

        } else {
            out_z(o, "{\"type\":\"object\",\"properties\":{}}");
        }

        out_z(o, "}}");
    }

    if (n != 0) {
        out_close(o, ']');
    }

    return n;
}


const char *
ir_effort(int64_t budget)
{
    return budget <= 2048 ? "low" : budget <= 12288 ? "medium" : "high";
}
