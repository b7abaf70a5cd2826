/*
 * Google's generateContent: the intermediate form as a request to a provider
 * that speaks it.  Owns nothing.
 */

#include "dialect_gemini.h"

#include <stdlib.h>
#include <string.h>


static void gemini_system(ir_t *ir, out_t *o);
static void gemini_contents(ir_t *ir, out_t *o);
static void gemini_turn(gemini_contents_t *c, char role);
static void gemini_open(gemini_contents_t *c, char role);


int
gemini_write_request(ir_t *ir, out_t *o)
{
    out_open(o, '{');
    gemini_system(ir, o);
    gemini_contents(ir, o);
    gemini_tools(ir, o);
    gemini_config(ir, o);
    gemini_tier(ir, o);
    out_close(o, '}');

    return 0;
}


int
gemini_version(ai_str_t model)
{
    int          n;
    const char  *p, *end;

    p = memmem(model.data, model.len, "gemini-", 7);

    if (p == NULL) {
        return provider_has(model, "gemma") || provider_has(model, "learnlm")
               ? 10 : 35;
    }

    end = model.data + model.len;
    p += 7;

    if (p == end || *p < '0' || *p > '9') {
        return 35;
    }

    for (n = 0; p != end && *p >= '0' && *p <= '9' && n < 100; p++) {
        n = n * 10 + (*p - '0');
    }

    n *= 10;

    if (end - p > 1 && *p == '.' && p[1] >= '0' && p[1] <= '9') {
        n += p[1] - '0';
    }

    return n;
}


static void
gemini_system(ir_t *ir, out_t *o)
{
    int      late;
    size_t   mark, empty;
    node_t  *m, *p, *text;
    tree_t  *t;

    t = &ir->tree;
    late = 0;
    mark = o->len;
    out_key(o, "systemInstruction");
    out_open(o, '{');
    out_key(o, "parts");
    out_open(o, '[');
    empty = o->len;
    m = node_first(t, node_get(t, ir->request, "messages"));

    for ( /* void */ ; m != NULL; m = m->next) {

        if (!ir_is_system(ir, m)) {
            late = 1;
            continue;
        }

        node_read(m);
        (void) node_get(t, m, "role");

        if (late) {
            ir_note(ir, m, "stands before the conversation now");
        }

        p = node_first(t, node_get(t, m, "parts"));

        for ( /* void */ ; p != NULL; p = p->next) {

            if (!ir_is(ir, p, "text")) {
                continue;
            }

            node_read(p);
            text = node_get(t, p, "text");

            if (node_text(text).len != 0) {
                out_item(o);
                out_open(o, '{');
                out_key_node(o, t, "text", text);
                out_close(o, '}');
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
gemini_contents(ir_t *ir, out_t *o)
{
    int                 model;
    node_t             *m, *p;
    tree_t             *t;
    gemini_contents_t   c;

    t = &ir->tree;
    memset(&c, 0, sizeof(c));
    c.ir = ir;
    c.o = o;
    out_key(o, "contents");
    out_open(o, '[');
    m = node_first(t, node_get(t, ir->request, "messages"));

    for ( /* void */ ; m != NULL; m = m->next) {

        if (ir_is_system(ir, m)) {
            continue;
        }

        node_read(m);
        model = node_is(node_get(t, m, "role"), "assistant");
        p = node_first(t, node_get(t, m, "parts"));

        for ( /* void */ ; p != NULL; p = p->next) {
            gemini_turn(&c, model ? 'm'
                            : node_is(node_peek(t, p, "type"), "tool_result")
                            ? 't' : 'u');
            gemini_part(&c, p, model);
        }
    }

    gemini_turn(&c, 0);
    out_close(o, ']');
    o->failed |= c.later.failed;
    out_free(&c.later);
}


/* Results of calls stand in one content, with nothing else in it. */

static void
gemini_turn(gemini_contents_t *c, char role)
{
    char     last;
    out_t   *o;

    o = c->o;

    if (c->role == role) {
        return;
    }

    last = c->role;

    if (last != 0 && o->len == c->empty && !o->failed) {
        o->len = c->mark;

    } else if (last != 0) {
        out_z(o, "]}");
    }

    c->role = 0;

    if (last == 't' && c->later.len != 0) {
        gemini_open(c, 'u');
        out_add(o, (ai_str_t) { c->later.len, c->later.data });
        c->later.len = 0;

        if (role != 'u') {
            out_z(o, "]}");
            c->role = 0;
        }
    }

    if (c->role != role) {
        gemini_open(c, role);
    }
}


static void
gemini_open(gemini_contents_t *c, char role)
{
    out_t  *o;

    o = c->o;
    c->role = role;
    c->mark = o->len;
    c->signed_ = 0;
    c->sign = NULL;
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "role", role == 'm' ? "model" : "user");
    out_key(o, "parts");
    out_open(o, '[');
    c->empty = o->len;
}
