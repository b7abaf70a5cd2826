/*
 * AWS Bedrock's Converse: the intermediate form as a request to a provider that
 * speaks it.  Owns nothing.
 */

#include "dialect_bedrock.h"

#include <string.h>


static void bedrock_system(ir_t *ir, out_t *o);
static void bedrock_messages(ir_t *ir, out_t *o);
static void bedrock_turn(bedrock_contents_t *c, char role);


int
bedrock_write_request(ir_t *ir, out_t *o)
{
    out_open(o, '{');
    bedrock_system(ir, o);
    bedrock_messages(ir, o);
    bedrock_tools(ir, o);
    bedrock_config(ir, o);
    out_close(o, '}');

    return 0;
}


static void
bedrock_system(ir_t *ir, out_t *o)
{
    int      late;
    size_t   mark, empty;
    node_t  *m, *p, *text;
    tree_t  *t;

    t = &ir->tree;
    late = 0;
    mark = o->len;
    out_key(o, "system");
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

            if (bedrock_is_blank(node_text(text))) {
                (void) node_whole(node_get(t, p, "cache"));
                continue;
            }

            out_item(o);
            out_open(o, '{');
            out_key_node(o, t, "text", text);
            out_close(o, '}');
            bedrock_cache(ir, o, p);
        }
    }

    if (o->len == empty && !o->failed) {
        o->len = mark;
        return;
    }

    out_close(o, ']');
}


static void
bedrock_messages(ir_t *ir, out_t *o)
{
    int                 assistant;
    node_t             *m, *p;
    tree_t             *t;
    bedrock_contents_t  c;

    t = &ir->tree;
    memset(&c, 0, sizeof(c));
    c.ir = ir;
    c.o = o;
    c.model = bedrock_model(ir);
    out_key(o, "messages");
    out_open(o, '[');
    m = node_first(t, node_get(t, ir->request, "messages"));

    for ( /* void */ ; m != NULL; m = m->next) {

        if (ir_is_system(ir, m)) {
            continue;
        }

        node_read(m);
        assistant = node_is(node_get(t, m, "role"), "assistant");
        bedrock_turn(&c, assistant ? 'a' : 'u');
        p = node_first(t, node_get(t, m, "parts"));

        for ( /* void */ ; p != NULL; p = p->next) {
            bedrock_part(&c, p, 0);
        }
    }

    /* What is marked as a whole ends with its last turn. */

    if (c.role != 0 && o->len != c.empty) {
        bedrock_cache(ir, o, ir->request);
    }

    bedrock_turn(&c, 0);
    out_close(o, ']');
}


/* Turns take turns: one without a part is none, and what follows belongs to
 * the one before it. */

static void
bedrock_turn(bedrock_contents_t *c, char role)
{
    out_t  *o;

    o = c->o;

    if (c->role == role) {
        return;
    }

    if (c->role != 0 && o->len == c->empty && !o->failed) {
        o->len = c->mark;
        c->role = c->before;
        c->empty = 0;

        if (c->role != 0) {
            o->len -= 2;
        }
    }

    if (c->role == role) {
        return;
    }

    if (c->role != 0) {
        out_z(o, "]}");
    }

    c->before = c->role;
    c->role = role;

    if (role == 0) {
        return;
    }

    c->mark = o->len;
    out_item(o);
    out_open(o, '{');
    out_key_z(o, "role", role == 'a' ? "assistant" : "user");
    out_key(o, "content");
    out_open(o, '[');
    c->empty = o->len;
}
