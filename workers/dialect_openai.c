/*
 * OpenAI's chat completions, and whatever speaks them.  Owns nothing.
 */

#include "dialect_openai.h"

#include <stddef.h>
#include <string.h>

#include "ai_json.h"


#define OPENAI_ASK  "\"include_usage\":true"


static int openai_edit_usage(provider_edit_t *e, ai_str_t body,
    const ai_json_field_t *options);
static void openai_usage(provider_usage_t *u, ai_str_t usage);
static int openai_some(ai_str_t usage, const char *name);
static void openai_usage_media(provider_usage_t *u, ai_str_t usage);
static void openai_delta(provider_usage_t *u, ai_str_t delta);
static void openai_cut(ai_str_t raw, size_t base, const ai_json_field_t *f,
    provider_cut_t *cut);


enum { OPENAI_MODEL = 0, OPENAI_STREAM_OPTIONS };
static const char *const  openai_names[] = { "model", "stream_options", NULL };

enum { OPENAI_CHOICES = 0, OPENAI_USAGE, OPENAI_ERROR, OPENAI_X_GROQ };
static const char *const  openai_answer_names[] = {
    "choices", "usage", "error", "x_groq", NULL
};

const provider_t  provider_openai = {
    .api = "openai",
    .dialect = AI_DIALECT_OPENAI,
    .path = "/chat/completions",
    .key_header = "Authorization: Bearer ",
    .version = NULL,
    .request = openai_request,
    .event = openai_event,
    .body = openai_body,
};


int
openai_request(const provider_request_t *req, char **out, size_t *len,
    int *added)
{
    int               changed;
    unsigned          n;
    ai_json_t         j;
    ai_json_field_t  *model;
    provider_edit_t   edits[2], swap;

    *out = NULL;
    *added = 0;

    if (ai_json_scan(&j, openai_names, req->body, PROVIDER_BODY_MAX,
                     PROVIDER_DEPTH_MAX)
        != AI_JSON_OK)
    {
        return -1;
    }

    model = &j.fields[OPENAI_MODEL];

    if (model->type != AI_JSON_STRING) {
        return -1;
    }

    n = provider_edit_model(&edits[0], req->body, model->start, model->end,
                            req->model) ? 1 : 0;

    if (req->stream && req->usage) {
        changed = openai_edit_usage(&edits[n], req->body,
                                    &j.fields[OPENAI_STREAM_OPTIONS]);
        n += changed;
        *added = changed;
    }

    if (n == 0) {
        *len = req->body.len;
        return 0;
    }

    if (n == 2 && edits[1].start < edits[0].start) {
        swap = edits[0];
        edits[0] = edits[1];
        edits[1] = swap;
    }

    *out = provider_apply(req->body, edits, n, len);

    return *out == NULL ? -2 : 0;
}


/* 1 and the edit that asks for usage, 0 where the body asks already. */

static int
openai_edit_usage(provider_edit_t *e, ai_str_t body,
    const ai_json_field_t *options)
{
    ai_buf_t        b;
    ai_str_t        text, value;
    const char     *p;
    ai_json_type_e  type;

    ai_buf_init(&b, e->text, sizeof(e->text));

    switch (options->type) {

    case AI_JSON_NONE:
        p = memchr(body.data, '{', body.len);
        e->start = (size_t) (p - body.data) + 1;
        e->end = e->start;
        ai_buf_add_z(&b, "\"stream_options\":{" OPENAI_ASK "},");
        break;

    case AI_JSON_OBJECT:
        text.data = body.data + options->start;
        text.len = options->end - options->start;

        if (ai_json_path(text, "include_usage", &value, &type) == 1) {

            if (type == AI_JSON_TRUE) {
                return 0;
            }

            e->start = (size_t) (value.data - body.data);
            e->end = e->start + value.len;
            ai_buf_add_z(&b, "true");
            break;
        }

        e->start = options->start + 1;
        e->end = e->start;
        ai_buf_add_z(&b, OPENAI_ASK);

        for (p = text.data + 1; *p <= ' '; p++) {
            /* void */
        }

        if (*p != '}') {
            ai_buf_add_z(&b, ",");
        }

        break;

    default:
        e->start = options->start;
        e->end = options->end;
        ai_buf_add_z(&b, "{" OPENAI_ASK "}");
    }

    e->len = ai_buf_len(&b);

    return 1;
}


provider_verdict_e
openai_event(provider_usage_t *u, ai_str_t raw, int added,
    provider_cut_t *cut)
{
    int                     rc, usage;
    ai_str_t                event, data, choices, text;
    ai_json_t               j;
    ai_json_type_e          type;
    const ai_json_field_t  *f;

    if (!provider_data(raw, &event, &data)) {
        return PROVIDER_PASS;
    }

    if (ai_str_eqz(data, "[DONE]")) {
        u->complete = 1;
        return PROVIDER_PASS;
    }

    rc = ai_json_scan(&j, openai_answer_names, data, data.len + 1,
                      PROVIDER_DEPTH_MAX);

    if (rc != AI_JSON_OK) {
        return rc == AI_JSON_ESYNTAX && data.len != 0 && data.data[0] == '{'
               ? PROVIDER_BROKEN : PROVIDER_PASS;
    }

    f = &j.fields[OPENAI_ERROR];

    if (f->type == AI_JSON_OBJECT || f->type == AI_JSON_STRING
        || ai_str_eqz(event, "error"))
    {
        u->error = 1;
    }

    f = &j.fields[OPENAI_X_GROQ];

    if (f->type == AI_JSON_OBJECT) {
        text.data = data.data + f->start;
        text.len = f->end - f->start;

        if (ai_json_path(text, "usage", &text, &type) == 1
            && type == AI_JSON_OBJECT)
        {
            openai_usage(u, text);
        }
    }

    f = &j.fields[OPENAI_USAGE];
    usage = f->type == AI_JSON_OBJECT;

    if (usage) {
        text.data = data.data + f->start;
        text.len = f->end - f->start;
        openai_usage(u, text);
    }

    choices.len = 0;
    f = &j.fields[OPENAI_CHOICES];

    if (f->type == AI_JSON_ARRAY) {
        choices.data = data.data + f->start;
        choices.len = f->end - f->start;

        if (ai_json_path(choices, "0", &text, &type) != 1) {

            if (usage && added) {
                return PROVIDER_DROP;
            }

        } else {
            provider_word(text, "finish_reason", u->finish,
                          sizeof(u->finish));

            u->text_bytes += provider_text(text, "text");

            if (ai_json_path(text, "delta", &text, &type) == 1) {
                openai_delta(u, text);
            }
        }
    }

    f = &j.fields[OPENAI_USAGE];

    if (added && f->type == AI_JSON_NULL) {
        openai_cut(raw, (size_t) (data.data - raw.data), f, cut);
        return PROVIDER_CUT;
    }

    return PROVIDER_PASS;
}


static void
openai_usage(provider_usage_t *u, ai_str_t usage)
{
    size_t  i;

    /* What is cached, as OpenAI says it, Moonshot, Mistral, DeepSeek: the last
     * that is there counts, as of a translation. */

    static const char *const  cached[] = {
        "cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens",
        "prompt_tokens_details.cached_tokens", NULL
    };

    u->input = provider_count(usage, "prompt_tokens", u->input);
    u->output = provider_count(usage, "completion_tokens", u->output);

    for (i = 0; cached[i] != NULL && provider_has(usage, "cache"); i++) {
        u->cached_read = provider_count(usage, cached[i], u->cached_read);
    }

    u->reasoning = provider_count(usage,
                               "completion_tokens_details.reasoning_tokens",
                                  u->reasoning);

    if (u->reasoning > 0) {
        u->output = provider_output(u->input, u->output, u->reasoning,
                                    provider_count(usage, "total_tokens", -1));
    }

    if (provider_has(usage, "cache_write_tokens")) {
        u->cached_write = provider_count(usage,
                                  "prompt_tokens_details.cache_write_tokens",
                                         u->cached_write);
    }

    if (openai_some(usage, "audio_tokens\"")
        || openai_some(usage, "image_tokens\""))
    {
        openai_usage_media(u, usage);
    }
}


/* Whether a member of this name is not 0: most say that there was no audio. */

static int
openai_some(ai_str_t usage, const char *name)
{
    size_t       len;
    const char  *p, *end;

    len = strlen(name);
    end = usage.data + usage.len;

    for (p = usage.data;
         (p = memmem(p, (size_t) (end - p), name, len)) != NULL; )
    {
        for (p += len; p < end && (*p <= ' ' || *p == ':'); p++) {
            /* void */
        }

        if (p < end && *p >= '1' && *p <= '9') {
            return 1;
        }
    }

    return 0;
}


static void
openai_usage_media(provider_usage_t *u, ai_str_t usage)
{
    size_t  i;

    static const struct {
        const char *path;
        size_t      offset;
    } counts[] = {
        { "prompt_tokens_details.audio_tokens",
          offsetof(provider_usage_t, audio_input) },
        { "completion_tokens_details.audio_tokens",
          offsetof(provider_usage_t, audio_output) },
        { "prompt_tokens_details.image_tokens",
          offsetof(provider_usage_t, image_input) },
        { "completion_tokens_details.image_tokens",
          offsetof(provider_usage_t, image_output) }
    };

    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        int64_t  n, *to;

        n = provider_count(usage, counts[i].path, 0);
        to = (int64_t *) (void *) ((char *) u + counts[i].offset);

        if (n > 0) {
            *to = n;
        }
    }
}


static void
openai_delta(provider_usage_t *u, ai_str_t delta)
{
    u->text_bytes += provider_text(delta, "content");

    if (provider_has(delta, "reasoning")) {
        u->text_bytes += provider_text(delta, "reasoning_content");
        u->text_bytes += provider_text(delta, "reasoning");
    }

    if (provider_has(delta, "tool_calls")) {
        u->text_bytes += provider_text(delta,
                                       "tool_calls.0.function.arguments");
    }
}


/* A member and the comma that it leaves over. */

static void
openai_cut(ai_str_t raw, size_t base, const ai_json_field_t *f,
    provider_cut_t *cut)
{
    size_t  at;

    cut->start = base + f->member;
    cut->end = base + f->end;

    for (at = cut->start; at > base && raw.data[at - 1] <= ' '; at--) {
        /* void */
    }

    if (at > base && raw.data[at - 1] == ',') {
        cut->start = at - 1;
        return;
    }

    for (at = cut->end; at < raw.len && raw.data[at] <= ' '; at++) {
        /* void */
    }

    if (at < raw.len && raw.data[at] == ',') {
        cut->end = at + 1;
    }
}


void
openai_body(provider_usage_t *u, ai_str_t body)
{
    int                     rc;
    size_t                  at;
    ai_str_t                text, choice, message;
    ai_json_t               j;
    ai_json_type_e          type;
    const ai_json_field_t  *f;

    rc = ai_json_scan(&j, openai_answer_names, body, body.len + 1,
                      PROVIDER_DEPTH_MAX);

    if (rc != AI_JSON_OK) {
        u->broken = rc == AI_JSON_ESYNTAX || rc == AI_JSON_ETYPE;
        return;
    }

    u->complete = 1;
    f = &j.fields[OPENAI_ERROR];
    u->error = f->type == AI_JSON_OBJECT || f->type == AI_JSON_STRING;
    f = &j.fields[OPENAI_USAGE];

    if (f->type == AI_JSON_OBJECT) {
        text.data = body.data + f->start;
        text.len = f->end - f->start;
        openai_usage(u, text);
    }

    f = &j.fields[OPENAI_CHOICES];

    if (f->type == AI_JSON_ARRAY) {
        text.data = body.data + f->start;
        text.len = f->end - f->start;
        provider_word(text, "0.finish_reason", u->finish, sizeof(u->finish));
        at = 0;

        while (ai_json_each(text, &at, &choice, &type) == 1) {
            u->text_bytes += provider_text(choice, "text");

            if (ai_json_path(choice, "message", &message, &type) == 1) {
                openai_delta(u, message);
            }
        }
    }
}
