/*
 * OpenAI's Responses as a provider: bytes that pass to clients who speak them.
 * Owns nothing.
 */

#include "provider.h"

#include <string.h>

#include "ai_json.h"


static int responses_request(const provider_request_t *req, char **out,
    size_t *len, int *added);
static provider_verdict_e responses_event(provider_usage_t *u, ai_str_t raw,
    int added, provider_cut_t *cut);
static void responses_body(provider_usage_t *u, ai_str_t body);
static void responses_count(provider_usage_t *u, ai_str_t response);


enum { RESPONSES_MODEL = 0 };
static const char *const  responses_names[] = { "model", NULL };

enum {
    RESPONSES_TYPE = 0, RESPONSES_RESPONSE, RESPONSES_DELTA, RESPONSES_ERROR
};
static const char *const  responses_event_names[] = {
    "type", "response", "delta", "error", NULL
};

const provider_t  provider_responses = {
    .api = "responses",
    .dialect = AI_DIALECT_RESPONSES,
    .path = "/responses",
    .key_header = "Authorization: Bearer ",
    .version = NULL,
    .request = responses_request,
    .event = responses_event,
    .body = responses_body,
};


static int
responses_request(const provider_request_t *req, char **out, size_t *len,
    int *added)
{
    ai_json_t         j;
    ai_json_field_t  *model;
    provider_edit_t   edit;

    *out = NULL;
    *added = 0;

    if (ai_json_scan(&j, responses_names, req->body, PROVIDER_BODY_MAX,
                     PROVIDER_DEPTH_MAX)
        != AI_JSON_OK)
    {
        return -1;
    }

    model = &j.fields[RESPONSES_MODEL];

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


static provider_verdict_e
responses_event(provider_usage_t *u, ai_str_t raw, int added,
    provider_cut_t *cut)
{
    int                     rc;
    ai_str_t                event, data, type, text;
    ai_json_t               j;
    const ai_json_field_t  *f;

    (void) added;
    (void) cut;

    if (!provider_data(raw, &event, &data)) {
        return PROVIDER_PASS;
    }

    rc = ai_json_scan(&j, responses_event_names, data, data.len + 1,
                      PROVIDER_DEPTH_MAX);

    if (rc != AI_JSON_OK) {
        return rc == AI_JSON_ESYNTAX && data.len != 0 && data.data[0] == '{'
               ? PROVIDER_BROKEN : PROVIDER_PASS;
    }

    f = &j.fields[RESPONSES_TYPE];
    type = ai_str("");

    if (f->type == AI_JSON_STRING) {
        type.data = data.data + f->start + 1;
        type.len = f->end - f->start - 2;
    }

    f = &j.fields[RESPONSES_DELTA];

    if (f->type == AI_JSON_STRING) {
        u->text_bytes += f->end - f->start - 2;
        return PROVIDER_PASS;
    }

    f = &j.fields[RESPONSES_RESPONSE];

    if (f->type == AI_JSON_OBJECT
        && (ai_str_eqz(type, "response.completed")
            || ai_str_eqz(type, "response.incomplete")
            || ai_str_eqz(type, "response.failed")))
    {
        text.data = data.data + f->start;
        text.len = f->end - f->start;
        responses_count(u, text);
        u->complete = 1;
    }

    f = &j.fields[RESPONSES_ERROR];

    if (ai_str_eqz(type, "error") || ai_str_eqz(type, "response.failed")
        || ai_str_eqz(event, "error") || f->type == AI_JSON_OBJECT)
    {
        u->error = 1;
    }

    return PROVIDER_PASS;
}


static void
responses_count(provider_usage_t *u, ai_str_t response)
{
    u->input = provider_count(response, "usage.input_tokens", u->input);
    u->output = provider_count(response, "usage.output_tokens", u->output);
    u->cached_read = provider_count(response,
                           "usage.input_tokens_details.cached_tokens",
                                    u->cached_read);
    u->cached_write = provider_count(response,
                           "usage.input_tokens_details.cache_write_tokens",
                                     u->cached_write);
    u->reasoning = provider_count(response,
                          "usage.output_tokens_details.reasoning_tokens",
                                  u->reasoning);

    if (!provider_word(response, "incomplete_details.reason", u->finish,
                       sizeof(u->finish)))
    {
        provider_word(response, "status", u->finish, sizeof(u->finish));
    }
}


static void
responses_body(provider_usage_t *u, ai_str_t body)
{
    int                     rc;
    ai_json_t               j;
    const ai_json_field_t  *f;

    rc = ai_json_scan(&j, responses_event_names, body, body.len + 1,
                      PROVIDER_DEPTH_MAX);

    if (rc != AI_JSON_OK) {
        u->broken = rc == AI_JSON_ESYNTAX || rc == AI_JSON_ETYPE;
        return;
    }

    u->complete = 1;
    f = &j.fields[RESPONSES_ERROR];
    u->error = f->type == AI_JSON_OBJECT || f->type == AI_JSON_STRING;
    responses_count(u, body);
}
