/*
 * Google's embeddings as a provider's: batchEmbedContents of Gemini's API,
 * predict of Vertex AI.  Owns nothing.
 */

#include "dialect_embeddings.h"
#include "dialect_gemini.h"

#include <string.h>


static int gemini_embed_write(ir_t *ir, out_t *o);
static int gemini_embed_read(ir_t *ir, node_t *body);
static int vertex_embed_write(ir_t *ir, out_t *o);
static int vertex_embed_read(ir_t *ir, node_t *body);


static const char *const  gemini_embed_ignore[] = {
    "usageMetadata", "metadata", "deployedModelId", "model",
    "modelDisplayName", "modelVersionId", NULL
};

const provider_t  provider_gemini_embeddings = {
    .api = "gemini",
    .op = "embeddings",
    .speaks = "gemini_embeddings",
    .dialect = AI_DIALECT_LAST,
    .path = ":batchEmbedContents",
    .place = gemini_place_path,
    .key_header = "x-goog-api-key: ",
    .mute = 1,
};

const provider_t  provider_vertex_embeddings = {
    .api = "vertex",
    .op = "embeddings",
    .speaks = "vertex_embeddings",
    .dialect = AI_DIALECT_LAST,
    .path = ":predict",
    .place = vertex_place_path,
    .key_header = "Authorization: Bearer ",
    .accounts = 1,
    .mute = 1,
};

const dialect_t  dialect_gemini_embeddings = {
    .name = "gemini_embeddings",
    .task = "embeddings",
    .ignore = gemini_embed_ignore,
    .write_request = gemini_embed_write,
    .read_answer = gemini_embed_read,
    .read_event = embeddings_no_stream,
    .read_error = gemini_read_error,
};

const dialect_t  dialect_vertex_embeddings = {
    .name = "vertex_embeddings",
    .task = "embeddings",
    .ignore = gemini_embed_ignore,
    .write_request = vertex_embed_write,
    .read_answer = vertex_embed_read,
    .read_event = embeddings_no_stream,
    .read_error = gemini_read_error,
};


static int
gemini_embed_write(ir_t *ir, out_t *o)
{
    node_t    *part, *dimensions;
    ai_str_t   model;

    static const char  models[] = "models/";

    part = embeddings_texts(ir);

    if (part == NULL) {
        return -1;
    }

    model = text_encode(&ir->tree, ir->model);
    dimensions = node_get(&ir->tree, ir->request, "dimensions");
    out_open(o, '{');
    out_key(o, "requests");
    out_open(o, '[');

    for ( /* void */ ; part != NULL; part = part->next) {
        node_whole(part);
        out_item(o);
        out_open(o, '{');

        /* Each says what the path says. */

        out_key(o, "model");
        out_z(o, "\"");

        if (memchr(model.data, '/', model.len) == NULL) {
            out_z(o, models);
        }

        out_add(o, model);
        out_z(o, "\"");
        out_key(o, "content");
        out_z(o, "{\"parts\":[{");
        out_key_node(o, &ir->tree, "text",
                     node_get(&ir->tree, part, "text"));
        out_z(o, "}]}");

        out_key_node(o, &ir->tree, "outputDimensionality", dimensions);
        out_close(o, '}');
    }

    out_close(o, ']');
    out_close(o, '}');

    return 0;
}


static int
gemini_embed_read(ir_t *ir, node_t *body)
{
    node_t  *n;
    tree_t  *t;

    t = &ir->tree;

    if (embeddings_start(ir, NULL) != 0) {
        return -1;
    }

    n = node_first(t, node_get(t, body, "embeddings"));

    for ( /* void */ ; n != NULL; n = n->next) {
        node_whole(n);

        if (embeddings_vector(ir, node_get(t, n, "values")) != 0) {
            return -1;
        }
    }

    n = node_get(t, node_get(t, body, "usageMetadata"), "promptTokenCount");

    return embeddings_end(ir, node_int(n, -1));
}


static int
vertex_embed_write(ir_t *ir, out_t *o)
{
    node_t  *part, *dimensions;

    part = embeddings_texts(ir);

    if (part == NULL) {
        return -1;
    }

    out_open(o, '{');
    out_key(o, "instances");
    out_open(o, '[');

    for ( /* void */ ; part != NULL; part = part->next) {
        node_whole(part);
        out_item(o);
        out_open(o, '{');
        out_key_node(o, &ir->tree, "content",
                     node_get(&ir->tree, part, "text"));
        out_close(o, '}');
    }

    out_close(o, ']');
    dimensions = node_get(&ir->tree, ir->request, "dimensions");

    if (dimensions != NULL) {
        out_key(o, "parameters");
        out_open(o, '{');
        out_key_node(o, &ir->tree, "outputDimensionality", dimensions);
        out_close(o, '}');
    }

    out_close(o, '}');

    return 0;
}


static int
vertex_embed_read(ir_t *ir, node_t *body)
{
    node_t   *n, *e, *count;
    tree_t   *t;
    int64_t   tokens, one;

    t = &ir->tree;

    if (embeddings_start(ir, NULL) != 0) {
        return -1;
    }

    tokens = 0;
    n = node_first(t, node_get(t, body, "predictions"));

    for ( /* void */ ; n != NULL; n = n->next) {
        node_whole(n);
        e = node_get(t, n, "embeddings");

        if (embeddings_vector(ir, node_get(t, e, "values")) != 0) {
            return -1;
        }

        count = node_get(t, node_get(t, e, "statistics"), "token_count");
        one = (int64_t) node_number(count, -1);
        tokens = one < 0 || tokens < 0 ? -1 : tokens + one;
    }

    return embeddings_end(ir, tokens);
}
