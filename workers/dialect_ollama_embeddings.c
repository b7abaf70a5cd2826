/*
 * Ollama's embeddings as a provider's: /api/embed.  Owns nothing.
 */

#include "dialect_embeddings.h"
#include "dialect_ollama.h"


static int ollama_embed_write(ir_t *ir, out_t *o);
static int ollama_embed_read(ir_t *ir, node_t *body);


static const char *const  ollama_embed_ignore[] = {
    "total_duration", "load_duration", NULL
};

static const char *const  ollama_embed_extra[] = {
    "keep_alive", "options", "truncate", NULL
};

const provider_t  provider_ollama_embeddings = {
    .api = "ollama",
    .op = "embeddings",
    .speaks = "ollama_embeddings",
    .dialect = AI_DIALECT_LAST,
    .path = "/api/embed",
    .key_header = "Authorization: Bearer ",
    .mute = 1,
};

const dialect_t  dialect_ollama_embeddings = {
    .name = "ollama_embeddings",
    .task = "embeddings",
    .ignore = ollama_embed_ignore,
    .write_request = ollama_embed_write,
    .read_answer = ollama_embed_read,
    .read_event = embeddings_no_stream,
    .read_error = ollama_read_error,
    .extra = ollama_embed_extra,
};


static int
ollama_embed_write(ir_t *ir, out_t *o)
{
    size_t   i;
    node_t  *own;
    tree_t  *t;

    t = &ir->tree;
    own = node_get(t, node_get(t, ir->request, "extra"), "ollama_embeddings");

    out_open(o, '{');
    out_key(o, "model");
    out_bytes(o, ir->model);

    if (embeddings_write_texts(ir, o, "input") != 0) {
        return -1;
    }

    out_key_node(o, t, "dimensions", node_get(t, ir->request, "dimensions"));

    for (i = 0; ollama_embed_extra[i] != NULL; i++) {
        out_key_node(o, t, ollama_embed_extra[i],
                     node_get(t, own, ollama_embed_extra[i]));
    }

    out_close(o, '}');

    return 0;
}


static int
ollama_embed_read(ir_t *ir, node_t *body)
{
    node_t  *n;
    tree_t  *t;

    t = &ir->tree;

    if (embeddings_start(ir, node_get_type(t, body, "model", AI_JSON_STRING))
        != 0)
    {
        return -1;
    }

    n = node_get(t, body, "prompt_eval_count");

    return embeddings_read(ir, node_get(t, body, "embeddings"),
                           node_int(n, -1));
}
