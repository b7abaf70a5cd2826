/*
 * Cohere's embeddings as a provider's: version 2's /embed, asked for floats,
 * which the client's dialect encodes as it was asked.  Owns nothing.
 */

#include "dialect_cohere.h"
#include "dialect_embeddings.h"


static int cohere_embed_write(ir_t *ir, out_t *o);
static int cohere_embed_read(ir_t *ir, node_t *body);


static const char *const  cohere_embed_ignore[] = {
    "id", "texts", "response_type", NULL
};

static const char *const  cohere_embed_extra[] = {
    "input_type", "truncate", "max_tokens", "priority", NULL
};

const provider_t  provider_cohere_embeddings = {
    .api = "cohere",
    .op = "embeddings",
    .speaks = "cohere_embeddings",
    .dialect = AI_DIALECT_LAST,
    .path = "/v2/embed",
    .key_header = "Authorization: Bearer ",
    .mute = 1,
};

const dialect_t  dialect_cohere_embeddings = {
    .name = "cohere_embeddings",
    .task = "embeddings",
    .ignore = cohere_embed_ignore,
    .write_request = cohere_embed_write,
    .read_answer = cohere_embed_read,
    .read_event = embeddings_no_stream,
    .read_error = cohere_read_error,
    .extra = cohere_embed_extra,
};


static int
cohere_embed_write(ir_t *ir, out_t *o)
{
    size_t   i;
    node_t  *own;
    tree_t  *t;

    t = &ir->tree;
    own = node_get(t, node_get(t, ir->request, "extra"), "cohere_embeddings");

    out_open(o, '{');
    out_key(o, "model");
    out_bytes(o, ir->model);

    if (embeddings_write_texts(ir, o, "texts") != 0) {
        return -1;
    }

    /* It must say what they are for; OpenAI's clients do not. */

    if (node_peek(t, own, "input_type") == NULL) {
        out_key_z(o, "input_type", "search_document");
    }

    for (i = 0; cohere_embed_extra[i] != NULL; i++) {
        out_key_node(o, t, cohere_embed_extra[i],
                     node_get(t, own, cohere_embed_extra[i]));
    }

    out_key_node(o, t, "output_dimension",
                 node_get(t, ir->request, "dimensions"));
    out_key(o, "embedding_types");
    out_z(o, "[\"float\"]");
    out_close(o, '}');

    return 0;
}


static int
cohere_embed_read(ir_t *ir, node_t *body)
{
    node_t  *n, *meta;
    tree_t  *t;

    t = &ir->tree;

    if (embeddings_start(ir, NULL) != 0) {
        return -1;
    }

    meta = node_get(t, body, "meta");
    n = node_get(t, node_get(t, meta, "billed_units"), "input_tokens");
    node_whole(meta);

    return embeddings_read(ir, node_get(t, node_get(t, body, "embeddings"),
                                        "float"),
                           (int64_t) node_number(n, -1));
}
