/*
 * Anthropic's messages.  Owns nothing.
 */

#include "dialect_anthropic.h"

#include <string.h>

#include "ai_json.h"


static void anthropic_usage(provider_usage_t *u, ai_str_t usage);


enum { ANTHROPIC_MODEL = 0 };
static const char *const  anthropic_names[] = { "model", NULL };

enum {
    ANTHROPIC_TYPE = 0,
    ANTHROPIC_MESSAGE,
    ANTHROPIC_USAGE,
    ANTHROPIC_DELTA,
    ANTHROPIC_STOP_REASON,
    ANTHROPIC_CONTENT
};
static const char *const  anthropic_answer_names[] = {
    "type", "message", "usage", "delta", "stop_reason", "content", NULL
};

const provider_t  provider_anthropic = {
    .api = "anthropic",
    .dialect = AI_DIALECT_ANTHROPIC,
    .path = "/v1/messages",
    .key_header = "x-api-key: ",
    .version = "anthropic-version: 2023-06-01",
    .request = anthropic_provider_request,
    .event = anthropic_provider_event,
    .body = anthropic_provider_body,
};


int
anthropic_provider_request(const provider_request_t *req, char **out,
    size_t *len, int *added)
{
    ai_json_t         j;
    ai_json_field_t  *model;
    provider_edit_t   edit;

    *out = NULL;
    *added = 0;

    if (ai_json_scan(&j, anthropic_names, req->body, PROVIDER_BODY_MAX,
                     PROVIDER_DEPTH_MAX)
        != AI_JSON_OK)
    {
        return -1;
    }

    model = &j.fields[ANTHROPIC_MODEL];

    if (model->type != AI_JSON_STRING) {
        return -1;
    }

    if (!provider_edit_model(&edit, req->body, model->start, model->end,
                             req->model))
    {
        *len = req->body.len;
        return 0;
    }

    *out = provider_apply(req->body, &edit, 1, len);

    return *out == NULL ? -2 : 0;
}


provider_verdict_e
anthropic_provider_event(provider_usage_t *u, ai_str_t raw, int added,
    provider_cut_t *cut)
{
    int                     rc;
    ai_str_t                event, data, type, text;
    ai_json_t               j;
    ai_json_type_e          kind;
    const ai_json_field_t  *f;

    (void) added;
    (void) cut;

    if (!provider_data(raw, &event, &data)) {
        return PROVIDER_PASS;
    }

    rc = ai_json_scan(&j, anthropic_answer_names, data, data.len + 1,
                      PROVIDER_DEPTH_MAX);

    if (rc != AI_JSON_OK) {
        return rc == AI_JSON_ESYNTAX && data.len != 0 && data.data[0] == '{'
               ? PROVIDER_BROKEN : PROVIDER_PASS;
    }

    f = &j.fields[ANTHROPIC_TYPE];

    if (f->type != AI_JSON_STRING) {
        return PROVIDER_PASS;
    }

    type.data = data.data + f->start + 1;
    type.len = f->end - f->start - 2;

    if (ai_str_eqz(type, "content_block_delta")) {
        f = &j.fields[ANTHROPIC_DELTA];

        if (f->type == AI_JSON_OBJECT) {
            text.data = data.data + f->start;
            text.len = f->end - f->start;
            u->text_bytes += provider_text(text, "text");
            u->text_bytes += provider_text(text, "partial_json");
            u->text_bytes += provider_text(text, "thinking");
        }

    } else if (ai_str_eqz(type, "message_start")) {
        f = &j.fields[ANTHROPIC_MESSAGE];

        if (f->type == AI_JSON_OBJECT) {
            text.data = data.data + f->start;
            text.len = f->end - f->start;

            if (ai_json_path(text, "usage", &text, &kind) == 1
                && kind == AI_JSON_OBJECT)
            {
                anthropic_usage(u, text);
            }
        }

    } else if (ai_str_eqz(type, "message_delta")) {
        f = &j.fields[ANTHROPIC_USAGE];

        if (f->type == AI_JSON_OBJECT) {
            text.data = data.data + f->start;
            text.len = f->end - f->start;
            anthropic_usage(u, text);
        }

        f = &j.fields[ANTHROPIC_DELTA];

        if (f->type == AI_JSON_OBJECT) {
            text.data = data.data + f->start;
            text.len = f->end - f->start;
            provider_word(text, "stop_reason", u->finish, sizeof(u->finish));
        }

    } else if (ai_str_eqz(type, "message_stop")) {
        u->complete = 1;

    } else if (ai_str_eqz(type, "error")) {
        u->error = 1;
    }

    return PROVIDER_PASS;
}


/* Each report is cumulative; input counts what was and is cached, too. */

static void
anthropic_usage(provider_usage_t *u, ai_str_t usage)
{
    int64_t  input, cached_read, cached_write, plain;

    cached_read = provider_count(usage, "cache_read_input_tokens", -1);
    cached_write = provider_count(usage, "cache_creation_input_tokens", -1);
    input = provider_count(usage, "input_tokens", -1);

    plain = u->input < 0 ? -1
            : u->input - (u->cached_read > 0 ? u->cached_read : 0)
              - (u->cached_write > 0 ? u->cached_write : 0);

    if (input >= 0) {
        plain = input;
    }

    if (cached_read >= 0) {
        u->cached_read = cached_read;
    }

    if (cached_write >= 0) {
        u->cached_write = cached_write;
    }

    if (plain >= 0) {
        u->input = plain + (u->cached_read > 0 ? u->cached_read : 0)
                   + (u->cached_write > 0 ? u->cached_write : 0);
    }

    if (u->cached_write > 0) {
        u->cached_write_1h = provider_count(usage,
                                  "cache_creation.ephemeral_1h_input_tokens",
                                            u->cached_write_1h);
    }

    u->output = provider_count(usage, "output_tokens", u->output);

    if (provider_has(usage, "thinking_tokens")) {
        u->reasoning = provider_count(usage,
                                      "output_tokens_details.thinking_tokens",
                                      u->reasoning);
    }
}


void
anthropic_provider_body(provider_usage_t *u, ai_str_t body)
{
    int                     rc;
    ai_str_t                text;
    ai_json_t               j;
    const ai_json_field_t  *f;

    rc = ai_json_scan(&j, anthropic_answer_names, body, body.len + 1,
                      PROVIDER_DEPTH_MAX);

    if (rc != AI_JSON_OK) {
        u->broken = rc == AI_JSON_ESYNTAX || rc == AI_JSON_ETYPE;
        return;
    }

    u->complete = 1;
    f = &j.fields[ANTHROPIC_TYPE];

    if (f->type == AI_JSON_STRING) {
        text.data = body.data + f->start;
        text.len = f->end - f->start;
        u->error = ai_str_eqz(text, "\"error\"");
    }

    f = &j.fields[ANTHROPIC_USAGE];

    if (f->type == AI_JSON_OBJECT) {
        text.data = body.data + f->start;
        text.len = f->end - f->start;
        anthropic_usage(u, text);
    }

    f = &j.fields[ANTHROPIC_CONTENT];

    if (f->type == AI_JSON_ARRAY) {
        u->text_bytes += f->end - f->start;
    }

    f = &j.fields[ANTHROPIC_STOP_REASON];

    if (f->type == AI_JSON_STRING) {
        provider_word(body, "stop_reason", u->finish, sizeof(u->finish));
    }
}
