/*
 * The table of errors and how each dialect words one.  Constant data.
 */

#include "ai_error.h"

#include <string.h>

#define AI_RETRY_LIMIT  1           /* seconds, where nobody knows better */
#define AI_RETRY_BUSY   2
#define AI_RETRY_QUEUE  5

#define AI_INVALID      "invalid_request_error"
#define AI_PERMISSION   "permission_error"
#define AI_RATE         "rate_limit_error"
#define AI_SERVER       "server_error"
#define AI_API          "api_error"
#define AI_OVERLOADED   "overloaded_error"
#define AI_NOT_FOUND    "not_found_error"


static void ai_error_write(ai_buf_t *b, ai_dialect_e d, const ai_error_t *e,
    ai_str_t message, ai_str_t request_id);
static void ai_error_members(ai_buf_t *b, const ai_error_t *e,
    ai_str_t message, int type);


static const ai_error_t  ai_errors[] = {

    { "bad_json", 400, AI_INVALID, "invalid_json", AI_INVALID,
      "The request body is not valid JSON.", 0, 0 },

    { "bad_request", 400, AI_INVALID, NULL, AI_INVALID,
      "The request is not valid.", 0, 0 },

    { "conversation_locked", 400, AI_INVALID, "conversation_locked",
      AI_INVALID, "Another response is under way in this conversation. Send "
      "it again when that has ended.", 0, 0 },

    { "unauthenticated", 401, "authentication_error", "invalid_api_key",
      "authentication_error",
      "No valid API key was given. Send one as \"Authorization: Bearer KEY\" "
      "or as \"x-api-key: KEY\".", 0, 0 },

    { "forbidden", 403, AI_PERMISSION, "forbidden", AI_PERMISSION,
      "This API key is not allowed to do that.", 0, 0 },

    { "model_not_allowed", 403, AI_PERMISSION, "model_not_allowed",
      AI_PERMISSION, "This API key is not allowed to use that model.", 0, 0 },

    { "model_not_found", 404, AI_INVALID, "model_not_found", AI_NOT_FOUND,
      "There is no such model here. GET /v1/models lists those you can use.",
      0, 0 },

    { "not_found", 404, AI_INVALID, "not_found", AI_NOT_FOUND,
      "There is nothing at this address.", 0, 0 },

    { "method_not_allowed", 405, AI_INVALID, "method_not_allowed", AI_INVALID,
      "This address does not take that HTTP method.", 0, 0 },

    { "timeout_request", 408, AI_INVALID, "request_timeout", AI_INVALID,
      "The request did not arrive in time.", 0, 0 },

    { "conflict", 409, AI_INVALID, "conflict", AI_INVALID,
      "The request is at odds with the state of what it addresses.", 0, 0 },

    { "gone", 410, AI_INVALID, "expired", AI_NOT_FOUND,
      "This has expired and is no longer kept.", 0, 0 },

    { "too_large", 413, AI_INVALID, "request_too_large", "request_too_large",
      "The request is larger than is allowed here.", 0, 0 },

    { "media_type", 415, AI_INVALID, "unsupported_media_type", AI_INVALID,
      "The request body must be plain JSON, sent as \"Content-Type: "
      "application/json\".", 0, 0 },

    { "rate_limited", 429, AI_RATE, "rate_limit_exceeded", AI_RATE,
      "Too many requests. Wait a moment, then send it again.",
      AI_RETRY_LIMIT, 0 },

    { "queue_full", 429, AI_RATE, "queue_full", AI_RATE,
      "Too many of your requests are waiting already. Send it again later.",
      AI_RETRY_BUSY, 0 },

    { "cancelled", 499, AI_INVALID, "cancelled", AI_INVALID,
      "The request was cancelled.", 0, 0 },

    { "internal", 500, AI_SERVER, "internal_error", AI_API,
      "Something went wrong on our side.", 0, 0 },

    { "signature", 500, AI_SERVER, "signature", AI_API,
      "The request was changed on our side and was not carried out.", 0, 0 },

    { "provider_unreachable", 502, AI_SERVER, "provider_unreachable", AI_API,
      "The model's provider could not be reached.", 0, 0 },

    { "provider_bad", 502, AI_SERVER, "provider_bad_response", AI_API,
      "The model's provider sent an answer that cannot be used.", 0, 0 },

    { "lost", 502, AI_SERVER, "stream_lost", AI_API,
      "The answer broke off on our side and cannot be continued.", 0, 1 },

    { "attempts", 502, AI_SERVER, "attempts_exhausted", AI_API,
      "The request was tried several times on our side and did not end.",
      0, 1 },

    { "bad_gateway", 502, AI_SERVER, "bad_gateway", AI_API,
      "The service behind this address could not be reached.", 0, 0 },

    { "unavailable", 503, AI_SERVER, "unavailable", AI_OVERLOADED,
      "The service is not available right now. Send it again in a moment.",
      AI_RETRY_BUSY, 0 },

    { "queue_timeout", 503, AI_SERVER, "queue_timeout", AI_OVERLOADED,
      "The request waited too long for a free place. Send it again later.",
      AI_RETRY_QUEUE, 0 },

    { "memory", 503, AI_SERVER, "overloaded", AI_OVERLOADED,
      "The service has too much to do right now. Send it again in a moment.",
      AI_RETRY_BUSY, 0 },

    { "provider_timeout", 504, AI_SERVER, "provider_timeout", "timeout_error",
      "The model's provider did not answer in time.", 0, 0 },

    { "no_key", 502, AI_SERVER, "provider_not_configured", AI_API,
      "The model's provider is not set up here. Ask whoever runs this "
      "service.", 0, 0 }
};

#define AI_ERRORS  (sizeof(ai_errors) / sizeof(ai_errors[0]))


static const char *const  ai_dialects[AI_DIALECT_LAST] = {
    [AI_DIALECT_OPENAI] = "openai",
    [AI_DIALECT_ANTHROPIC] = "anthropic",
    [AI_DIALECT_RESPONSES] = "responses"
};


const ai_error_t *
ai_error_find(ai_str_t cause)
{
    size_t  i;

    for (i = 0; i < AI_ERRORS; i++) {
        if (ai_str_eqz(cause, ai_errors[i].cause)) {
            return &ai_errors[i];
        }
    }

    return NULL;
}


const ai_error_t *
ai_error_status(int status)
{
    const char  *cause;

    switch (status) {

    case 401:
        cause = "unauthenticated";
        break;

    case 403:
        cause = "forbidden";
        break;

    case 404:
        cause = "not_found";
        break;

    case 405:
        cause = "method_not_allowed";
        break;

    case 408:
        cause = "timeout_request";
        break;

    case 409:
        cause = "conflict";
        break;

    case 410:
        cause = "gone";
        break;

    case 413:
        cause = "too_large";
        break;

    case 415:
        cause = "media_type";
        break;

    case 429:
        cause = "rate_limited";
        break;

    case 499:
        cause = "cancelled";
        break;

    case 502:
        cause = "bad_gateway";
        break;

    case 503:
        cause = "unavailable";
        break;

    case 504:
        cause = "provider_timeout";
        break;

    default:
        cause = status >= 400 && status < 500 ? "bad_request" : "internal";
    }

    return ai_error_find((ai_str_t) { strlen(cause), cause });
}


const ai_error_t *
ai_error_row(unsigned i)
{
    return i < AI_ERRORS ? &ai_errors[i] : NULL;
}


int
ai_dialect_find(ai_str_t name)
{
    int  i;

    for (i = 0; i < AI_DIALECT_LAST; i++) {
        if (ai_str_eqz(name, ai_dialects[i])) {
            return i;
        }
    }

    return -1;
}


const char *
ai_dialect_name(ai_dialect_e d)
{
    return ai_dialects[(unsigned) d < AI_DIALECT_LAST ? d : AI_DIALECT_OPENAI];
}


void
ai_error_body(ai_buf_t *b, ai_dialect_e d, const ai_error_t *e,
    ai_str_t message, ai_str_t request_id)
{
    char  *mark;

    mark = b->pos;

    ai_error_write(b, d, e, message, request_id);

    if (b->full) {
        b->pos = mark;
    }
}


void
ai_error_event(ai_buf_t *b, ai_dialect_e d, const ai_error_t *e,
    ai_str_t message, ai_str_t request_id, int64_t number)
{
    char  *mark;

    mark = b->pos;

    if (d != AI_DIALECT_OPENAI) {
        ai_buf_add_z(b, "event: error\n");
    }

    ai_buf_add_z(b, "data: ");

    if (d == AI_DIALECT_RESPONSES) {
        ai_buf_add_z(b, "{\"type\":\"error\",\"sequence_number\":");
        ai_buf_add_int(b, number);
        ai_buf_add_z(b, ",");
        ai_error_members(b, e, message, 0);
        ai_buf_add_z(b, ",\"error\":{");
        ai_error_members(b, e, message, 1);
        ai_buf_add_z(b, "}}");

    } else {
        ai_error_write(b, d, e, message, request_id);
    }

    ai_buf_add_z(b, "\n\n");

    if (b->full) {
        b->pos = mark;
    }
}


static void
ai_error_write(ai_buf_t *b, ai_dialect_e d, const ai_error_t *e,
    ai_str_t message, ai_str_t request_id)
{
    if (message.len == 0) {
        message.data = e->message;
        message.len = strlen(e->message);
    }

    if (d == AI_DIALECT_ANTHROPIC) {
        ai_buf_add_z(b, "{\"type\":\"error\",\"error\":{\"type\":\"");
        ai_buf_add_z(b, e->anthropic_type);
        ai_buf_add_z(b, "\",\"message\":\"");
        ai_buf_add_json(b, message);
        ai_buf_add_z(b, "\"}");

        if (request_id.len) {
            ai_buf_add_z(b, ",\"request_id\":\"");
            ai_buf_add_json(b, request_id);
            ai_buf_add_z(b, "\"");
        }

        ai_buf_add_z(b, "}");

        return;
    }

    ai_buf_add_z(b, "{\"error\":{");
    ai_error_members(b, e, message, 1);
    ai_buf_add_z(b, "}}");
}


/* OpenAI's. */

static void
ai_error_members(ai_buf_t *b, const ai_error_t *e, ai_str_t message, int type)
{
    if (message.len == 0) {
        message.data = e->message;
        message.len = strlen(e->message);
    }

    ai_buf_add_z(b, "\"message\":\"");
    ai_buf_add_json(b, message);

    if (type) {
        ai_buf_add_z(b, "\",\"type\":\"");
        ai_buf_add_z(b, e->openai_type);
    }

    ai_buf_add_z(b, "\",\"param\":null,\"code\":");

    if (e->openai_code) {
        ai_buf_add_z(b, "\"");
        ai_buf_add_z(b, e->openai_code);
        ai_buf_add_z(b, "\"");

    } else {
        ai_buf_add_z(b, "null");
    }
}
