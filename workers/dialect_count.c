/*
 * Counting the tokens of a request: Anthropic's count_tokens, its own and as a
 * client's, and countTokens of Gemini and Vertex AI.  Owns nothing.
 */

#include "dialect_anthropic.h"
#include "dialect_gemini.h"

#include <string.h>


static int count_write_answer(ir_t *ir, const ir_answer_t *a, out_t *out);
static int count_write_event(ir_t *ir, const ir_event_t *e, out_t *out);
static int count_gemini_write(ir_t *ir, out_t *out);
static int count_gemini_read(ir_t *ir, node_t *body);
static int count_read_event(ir_t *ir, ai_str_t name, node_t *data,
    ai_str_t text);


static const char *const  count_ignore[] = {
    "promptTokensDetails", "cacheTokensDetails", "cachedContentTokenCount",
    "totalBillableCharacters", NULL
};

const provider_t  provider_anthropic_count = {
    .api = "anthropic",
    .op = "count_tokens",
    .dialect = AI_DIALECT_ANTHROPIC,
    .path = "/v1/messages/count_tokens",
    .key_header = "x-api-key: ",
    .version = "anthropic-version: 2023-06-01",
    .mute = 1,
    .free = 1,
    .request = anthropic_provider_request,
    .event = anthropic_provider_event,
    .body = anthropic_provider_body,
};

const provider_t  provider_gemini_count = {
    .api = "gemini",
    .op = "count_tokens",
    .speaks = "gemini_count",
    .dialect = AI_DIALECT_LAST,
    .path = ":countTokens",
    .place = gemini_place_path,
    .key_header = "x-goog-api-key: ",
    .mute = 1,
    .free = 1,
};

const provider_t  provider_vertex_count = {
    .api = "vertex",
    .op = "count_tokens",
    .speaks = "vertex_count",
    .dialect = AI_DIALECT_LAST,
    .path = ":countTokens",
    .place = vertex_place_path,
    .key_header = "Authorization: Bearer ",
    .accounts = 1,
    .mute = 1,
    .free = 1,
};

const dialect_t  dialect_count = {
    .name = "count_tokens",
    .task = "count_tokens",
    .read_request = anthropic_read_request,
    .write_answer = count_write_answer,
    .write_event = count_write_event,
    .write_error = anthropic_write_error,
    .stream_type = "application/json",
};

const dialect_t  dialect_gemini_count = {
    .name = "gemini_count",
    .task = "count_tokens",
    .ignore = count_ignore,
    .write_request = count_gemini_write,
    .read_answer = count_gemini_read,
    .read_event = count_read_event,
    .read_error = gemini_read_error,
};

const dialect_t  dialect_vertex_count = {
    .name = "vertex_count",
    .task = "count_tokens",
    .ignore = count_ignore,
    .write_request = gemini_write_request,
    .read_answer = count_gemini_read,
    .read_event = count_read_event,
    .read_error = gemini_read_error,
};


static int
count_write_answer(ir_t *ir, const ir_answer_t *a, out_t *o)
{
    (void) a;

    out_open(o, '{');
    out_key_int(o, "input_tokens", ir->usage_now.input);
    out_close(o, '}');

    return 0;
}


static int
count_write_event(ir_t *ir, const ir_event_t *e, out_t *out)
{
    (void) ir;
    (void) e;
    (void) out;

    return -1;
}


/* The whole request stands in a member, where it names its model. */

static int
count_gemini_write(ir_t *ir, out_t *o)
{
    int       rc;
    out_t     inner;
    ai_str_t  model;

    memset(&inner, 0, sizeof(inner));
    rc = gemini_write_request(ir, &inner);

    if (rc == 0) {
        model = text_encode(&ir->tree, ir->model);
        out_z(o, "{\"generateContentRequest\":{\"model\":\"");

        if (memchr(model.data, '/', model.len) == NULL) {
            out_z(o, "models/");
        }

        out_add(o, model);
        out_z(o, inner.len > 2 ? "\"," : "\"");

        if (inner.len != 0) {
            out_add(o, (ai_str_t) { inner.len - 1, inner.data + 1 });
        }

        out_z(o, "}");
    }

    o->failed |= inner.failed;
    out_free(&inner);

    return rc;
}


static int
count_gemini_read(ir_t *ir, node_t *body)
{
    node_t      *n;
    ir_event_t   e;

    n = node_get(&ir->tree, body, "totalTokens");
    ir_event(&e, IR_START);
    e.id = ir->job;

    if (node_use(n, -1) < 0 || ir_emit(ir, &e) != 0) {
        return -1;
    }

    ir->usage_now.input = node_use(n, 0);
    ir->usage_now.output = 0;
    ir_event(&e, IR_END);

    return ir_emit(ir, &e);
}


static int
count_read_event(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text)
{
    (void) ir;
    (void) name;
    (void) data;
    (void) text;

    return -1;
}
