/*
 * Anthropic's citations: those of a page of the web have a URL, all others a
 * place in a document, or in a search's result, of the request.  Owns nothing.
 */

#include "dialect_anthropic.h"


static const struct {
    const char *type;
    const char *kind;
    const char *index;
    const char *title;
    const char *start;
    const char *end;
} anthropic_places[] = {
    { "char_location", "char", "document_index", "document_title",
      "start_char_index", "end_char_index" },
    { "page_location", "page", "document_index", "document_title",
      "start_page_number", "end_page_number" },
    { "content_block_location", "block", "document_index", "document_title",
      "start_block_index", "end_block_index" },
    { "search_result_location", "search", "search_result_index", "title",
      "start_block_index", "end_block_index" },
    { NULL, NULL, NULL, NULL, NULL, NULL }
};


node_t *
anthropic_read_citation(tree_t *t, node_t *c)
{
    node_t  *to, *type, *place;
    size_t   i;

    type = node_peek(t, c, "type");
    to = node_from(node_object(t), c);
    node_set(to, "text", node_move(t, node_peek(t, c, "cited_text")));
    node_whole(c);

    for (i = 0; anthropic_places[i].type != NULL; i++) {
        if (node_is(type, anthropic_places[i].type)) {
            break;
        }
    }

    if (anthropic_places[i].type == NULL) {
        node_set(to, "url", node_move(t, node_peek(t, c, "url")));
        node_set(to, "title", node_move(t, node_peek(t, c, "title")));
        node_set(to, "handle", node_move(t, node_peek(t, c,
                                                      "encrypted_index")));
        return to;
    }

    place = node_from(node_object(t), c);
    node_set(to, "title", node_move(t, node_peek(t, c,
                                             anthropic_places[i].title)));
    node_set(to, "place", place);
    node_set(place, "kind", node_z(t, anthropic_places[i].kind));
    node_set(place, "index", node_move(t, node_peek(t, c,
                                                anthropic_places[i].index)));
    node_set(place, "start", node_move(t, node_peek(t, c,
                                                anthropic_places[i].start)));
    node_set(place, "end", node_move(t, node_peek(t, c,
                                              anthropic_places[i].end)));
    node_set(place, "source", node_move(t, node_peek(t, c, "source")));

    return to;
}


/* Another dialect's of a URL is one of a search there. */

int
anthropic_write_citation(tree_t *t, out_t *o, node_t *c)
{
    node_t  *url, *place, *kind;
    size_t   i;

    url = node_get(t, c, "url");

    if (url != NULL) {
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "type", "web_search_result_location");
        out_key_node(o, t, "url", url);
        out_key(o, "title");
        out_node(o, t, node_get(t, c, "title"));
        out_key_escaped(o, "cited_text", node_text(node_get(t, c, "text")));
        out_key_z(o, "encrypted_index", "");
        out_close(o, '}');
        return 1;
    }

    place = node_get(t, c, "place");
    kind = node_get(t, place, "kind");

    for (i = 0; anthropic_places[i].type != NULL; i++) {
        if (node_is(kind, anthropic_places[i].kind)) {
            break;
        }
    }

    if (anthropic_places[i].type == NULL) {
        return 0;
    }

    out_item(o);
    out_open(o, '{');
    out_key_z(o, "type", anthropic_places[i].type);
    out_key_escaped(o, "cited_text", node_text(node_get(t, c, "text")));
    out_key_int(o, anthropic_places[i].index,
                node_use(node_get(t, place, "index"), 0));
    out_key(o, anthropic_places[i].title);
    out_node(o, t, node_get(t, c, "title"));
    out_key_int(o, anthropic_places[i].start,
                node_use(node_get(t, place, "start"), 0));
    out_key_int(o, anthropic_places[i].end,
                node_use(node_get(t, place, "end"), 0));

    if (node_is(kind, "search")) {
        out_key_escaped(o, "source", node_text(node_get(t, place, "source")));

    } else {
        out_key(o, "file_id");
        out_z(o, "null");
    }

    out_close(o, '}');

    return 1;
}
