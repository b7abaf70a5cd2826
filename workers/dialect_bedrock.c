/*
 * AWS Bedrock's Converse: the tables.  Owns nothing.
 */

#include "dialect_bedrock.h"

#include <string.h>


static int bedrock_place(ai_buf_t *b, const provider_place_t *p);


/* How long it took and what was looked at beside, padding, and what its
 * provider charges it by. */
static const char *const  bedrock_ignore[] = {
    "p", "metrics", "trace", "performanceConfig", "serviceTier", "role",
    "additionalModelResponseFields", "output.message.role",
    "output.message.content.*.toolUse.type", "start.toolUse.type",
    "usage.serverToolUsage", "usage.cacheReadInputTokenCount",
    "usage.cacheWriteInputTokenCount", NULL
};

/* The first whose word is in a model's id; what a profile stands for is not
 * said by its id. */
static const bedrock_model_t  bedrock_models[] = {
    { .word = "claude", .top_k = "top_k", .claude = 1, .cache = 1,
      .cache_tools = 1, .structured = 1 },
    { .word = "nova-2", .nova = 1, .nova2 = 1, .cache = 1 },
    { .word = "nova-", .nova = 1, .cache = 1 },
    { .word = "titan-" },
    { .word = "meta." },
    { .word = "cohere.", .top_k = "k" },
    { .word = "ai21." },
    { .word = "writer." },
    { .word = "deepseek.r1" },
    { .word = "mistral.", .top_k = "top_k", .structured = 1 },
    { .word = "gpt-oss", .effort = "reasoning_effort", .structured = 1 },
    { .word = "qwen.", .effort = "reasoning_config", .structured = 1 },
    { .word = "application-inference-profile", .cache = 1, .cache_tools = 1,
      .structured = 1 },
    { .structured = 1 }
};

const provider_t  provider_bedrock = {
    .api = "bedrock",
    .dialect = AI_DIALECT_LAST,
    .place = bedrock_place,
    .key_header = "Authorization: Bearer ",
    .aws = "bedrock",
};

const dialect_t  dialect_bedrock = {
    .name = "bedrock",
    .reader_size = sizeof(bedrock_reader_t),
    .ignore = bedrock_ignore,
    .write_request = bedrock_write_request,
    .read_answer = bedrock_read_answer,
    .read_event = bedrock_read_event,
    .read_error = bedrock_read_error,
    .frame = bedrock_frame,
    .frame_type = "application/vnd.amazon.eventstream",
    .error_header = "x-amzn-errortype",
};


const bedrock_model_t *
bedrock_model(const ir_t *ir)
{
    const bedrock_model_t  *m;

    for (m = bedrock_models; m->word != NULL; m++) {
        if (provider_has(ir->model, m->word)) {
            break;
        }
    }

    return m;
}


/* A model may be an ARN, with colons and slashes of its own. */

static int
bedrock_place(ai_buf_t *b, const provider_place_t *p)
{
    ai_buf_add_z(b, "/model/");

    if (provider_escape(b, p->model, "") != 0) {
        return -1;
    }

    ai_buf_add_z(b, p->stream ? "/converse-stream" : "/converse");

    return 0;
}
