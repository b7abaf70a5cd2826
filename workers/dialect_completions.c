/*
 * What OpenAI has beside its chat completions, and Anthropic beside its
 * messages, as providers: legacy completions, embeddings, counting.  Owns
 * nothing.
 */

#include "dialect_anthropic.h"
#include "dialect_openai.h"


const provider_t  provider_openai_completions = {
    .api = "openai",
    .op = "completions",
    .dialect = AI_DIALECT_OPENAI,
    .path = "/completions",
    .key_header = "Authorization: Bearer ",
    .request = openai_request,
    .event = openai_event,
    .body = openai_body,
};

const provider_t  provider_openai_embeddings = {
    .api = "openai",
    .op = "embeddings",
    .dialect = AI_DIALECT_OPENAI,
    .path = "/embeddings",
    .key_header = "Authorization: Bearer ",
    .mute = 1,
    .request = openai_request,
    .event = openai_event,
    .body = openai_body,
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
