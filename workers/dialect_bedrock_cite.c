/*
 * AWS Bedrock's Converse: citations of an answer, and those of the history,
 * which stand around the text that they are of.  Owns nothing.
 */

#include "dialect_bedrock.h"

#include <string.h>


static const struct {
    const char *member;
    const char *kind;
    const char *index;
} bedrock_places[] = {
    { "documentChar", "char", "documentIndex" },
    { "documentPage", "page", "documentIndex" },
    { "documentChunk", "block", "documentIndex" },
    { "searchResultLocation", "search", "searchResultIndex" },
    { NULL, NULL, NULL }
};


static node_t *bedrock_place(tree_t *t, node_t *location, node_t *source);
static void bedrock_cited(out_t *o, tree_t *t, node_t *c);


int
bedrock_cite(ir_t *ir, tree_t *t, int part, node_t *c)
{
    node_t      *to, *native, *n, *location;
    out_t        text;
    ir_event_t   e;

    memset(&text, 0, sizeof(text));
    native = node_move(t, c);
    n = node_first(t, node_peek(t, c, "sourceContent"));

    for ( /* void */ ; n != NULL; n = n->next) {
        out_add(&text, node_text(node_peek(t, n, "text")));
    }

    location = node_peek(t, c, "location");
    to = node_object(t);
    node_set(to, "url", node_move(t, node_peek(t, node_peek(t, location,
                                                            "web"), "url")));
    node_set(to, "title", node_move(t, node_peek(t, c, "title")));
    node_set(to, "text", node_string(t, tree_copy(t, (ai_str_t) { text.len,
                                                                text.data })));
    node_set(to, "place", bedrock_place(t, location,
                                        node_peek(t, c, "source")));
    node_set(to, "native", native);
    t->failed |= text.failed;
    out_free(&text);

    ir_event(&e, IR_CITATION);
    e.part = (unsigned) part;
    e.node = to;

    return ir_emit(ir, &e);
}


static node_t *
bedrock_place(tree_t *t, node_t *location, node_t *source)
{
    node_t  *n, *place;
    size_t   i;

    for (i = 0; bedrock_places[i].member != NULL; i++) {
        n = node_peek(t, location, bedrock_places[i].member);

        if (n == NULL || n->type != AI_JSON_OBJECT) {
            continue;
        }

        place = node_object(t);
        node_set(place, "kind", node_z(t, bedrock_places[i].kind));
        node_set(place, "index", node_move(t, node_peek(t, n,
                                                    bedrock_places[i].index)));
        node_set(place, "start", node_move(t, node_peek(t, n, "start")));
        node_set(place, "end", node_move(t, node_peek(t, n, "end")));
        node_set(place, "source", node_move(t, source));

        return place;
    }

    return NULL;
}


/* All of a text's that have a place there, and where there is one the text. */

int
bedrock_write_cited(ir_t *ir, out_t *o, node_t *p, node_t *text)
{
    size_t   mark, empty;
    node_t  *c;
    tree_t  *t;

    t = &ir->tree;
    mark = o->len;
    c = node_first(t, node_read(node_peek(t, p, "citations")));
    out_item(o);
    out_z(o, "{\"citationsContent\":{\"content\":[{");
    out_key_node(o, t, "text", text);
    out_z(o, "}],\"citations\":[");
    empty = o->len;

    for ( /* void */ ; c != NULL; c = c->next) {
        if (node_peek(t, c, "place") != NULL
            || node_peek(t, c, "url") != NULL)
        {
            node_read(c);
            bedrock_cited(o, t, c);
        }
    }

    if (o->len == empty) {
        o->len = o->failed ? o->len : mark;
        return 0;
    }

    out_z(o, "]}}");

    return 1;
}


static void
bedrock_cited(out_t *o, tree_t *t, node_t *c)
{
    node_t  *place, *kind;
    size_t   i;

    out_item(o);
    out_open(o, '{');
    out_key_node(o, t, "title", node_get(t, c, "title"));
    place = node_get(t, c, "place");
    out_key_node(o, t, "source", node_get(t, place, "source"));
    out_key(o, "sourceContent");
    out_z(o, "[{");
    out_key_escaped(o, "text", node_text(node_get(t, c, "text")));
    out_z(o, "}]");
    out_key(o, "location");
    out_open(o, '{');

    if (place == NULL) {
        out_z(o, "\"web\":{");
        out_key_node(o, t, "url", node_get(t, c, "url"));
        out_z(o, "}}}");
        return;
    }

    kind = node_get(t, place, "kind");

    for (i = 0; bedrock_places[i].member != NULL; i++) {
        if (node_is(kind, bedrock_places[i].kind)) {
            out_key(o, bedrock_places[i].member);
            out_open(o, '{');
            out_key_node(o, t, bedrock_places[i].index,
                         node_get(t, place, "index"));
            out_key_node(o, t, "start", node_get(t, place, "start"));
            out_key_node(o, t, "end", node_get(t, place, "end"));
            out_close(o, '}');
        }
    }

    out_z(o, "}}");
}
