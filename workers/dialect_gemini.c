/*
 * Google's generateContent, as Gemini's API and Vertex AI have it: the tables.
 * Owns nothing.
 */

#include "dialect_gemini.h"

#include <string.h>


static int gemini_place(ai_buf_t *b, const provider_place_t *p);
static int vertex_place(ai_buf_t *b, const provider_place_t *p);
static int gemini_model(ai_buf_t *b, const provider_place_t *p);
static int vertex_model(ai_buf_t *b, const provider_place_t *p);
static int gemini_name(ai_buf_t *b, ai_str_t model, const char *const *paths,
    const char *otherwise);
static void gemini_method(ai_buf_t *b, const provider_place_t *p);


/* Where it ran and how sure it is, and what its provider charges it by. */
static const char *const  gemini_ignore[] = {
    "candidates.*.avgLogprobs", "candidates.*.safetyRatings",
    "candidates.*.tokenCount", "candidates.*.content.role",
    "promptFeedback.safetyRatings", "usageMetadata.serviceTier",
    "usageMetadata.trafficType", "usageMetadata.promptTokensDetails",
    "usageMetadata.cacheTokensDetails",
    "usageMetadata.candidatesTokensDetails",
    "usageMetadata.toolUsePromptTokensDetails", "createTime", "modelStatus",
    NULL
};

const provider_t  provider_gemini = {
    .api = "gemini",
    .dialect = AI_DIALECT_LAST,
    .place = gemini_place,
    .key_header = "x-goog-api-key: ",
};

const provider_t  provider_vertex = {
    .api = "vertex",
    .dialect = AI_DIALECT_LAST,
    .place = vertex_place,
    .key_header = "Authorization: Bearer ",
    .accounts = 1,
};

const dialect_t  dialect_gemini = {
    .name = "gemini",
    .reader_size = sizeof(gemini_reader_t),
    .ignore = gemini_ignore,
    .write_request = gemini_write_request,
    .read_answer = gemini_read_answer,
    .read_event = gemini_read_event,
    .read_end = gemini_read_end,
    .read_error = gemini_read_error,
};

const dialect_t  dialect_vertex = {
    .name = "vertex",
    .reader_size = sizeof(gemini_reader_t),
    .ignore = gemini_ignore,
    .write_request = gemini_write_request,
    .read_answer = gemini_read_answer,
    .read_event = gemini_read_event,
    .read_end = gemini_read_end,
    .read_error = gemini_read_error,
};


int
gemini_is_vertex(const ir_t *ir)
{
    return ir->provider == &dialect_vertex
           || ir->provider == &dialect_vertex_count;
}


static int
gemini_place(ai_buf_t *b, const provider_place_t *p)
{
    if (gemini_model(b, p) != 0) {
        return -1;
    }

    gemini_method(b, p);

    return 0;
}


static int
vertex_place(ai_buf_t *b, const provider_place_t *p)
{
    if (vertex_model(b, p) != 0) {
        return -1;
    }

    gemini_method(b, p);

    return 0;
}


/* Other methods of a model: path is ":method". */

int
gemini_place_path(ai_buf_t *b, const provider_place_t *p)
{
    if (gemini_model(b, p) != 0) {
        return -1;
    }

    ai_buf_add_z(b, p->path);

    return 0;
}


int
vertex_place_path(ai_buf_t *b, const provider_place_t *p)
{
    if (vertex_model(b, p) != 0) {
        return -1;
    }

    ai_buf_add_z(b, p->path);

    return 0;
}


static int
gemini_model(ai_buf_t *b, const provider_place_t *p)
{
    static const char *const  paths[] = { "models/", "tunedModels/", NULL };

    ai_buf_add_z(b, "/v1beta/");

    return gemini_name(b, p->model, paths, "models/");
}


/* The URL ends in /v1/projects/PROJECT/locations/LOCATION. */

static int
vertex_model(ai_buf_t *b, const provider_place_t *p)
{
    static const char *const  paths[] = { "publishers/", "endpoints/", NULL };

    ai_buf_add_z(b, "/");

    return gemini_name(b, p->model, paths, "publishers/google/models/");
}


/* A model's name may say what it is: that is kept. */

static int
gemini_name(ai_buf_t *b, ai_str_t model, const char *const *paths,
    const char *otherwise)
{
    for ( /* void */ ; *paths != NULL; paths++) {
        if (model.len > strlen(*paths)
            && memcmp(model.data, *paths, strlen(*paths)) == 0)
        {
            return provider_escape(b, model, "/@");
        }
    }

    ai_buf_add_z(b, otherwise);

    return provider_escape(b, model, "@");
}


static void
gemini_method(ai_buf_t *b, const provider_place_t *p)
{
    ai_buf_add_z(b, p->stream ? ":streamGenerateContent?alt=sse"
                              : ":generateContent");
}
