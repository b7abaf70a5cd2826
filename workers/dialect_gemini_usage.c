/*
 * Google's generateContent: what an answer cost, and why there is none.  Owns
 * nothing.
 */

#include "dialect_gemini.h"

#include <string.h>


static int64_t gemini_modality(tree_t *t, node_t *usage, const char *name,
    const char *modality, int64_t otherwise);
static void gemini_details(tree_t *t, node_t *details, ir_error_t *to);
static int64_t gemini_duration(const node_t *n);


/* Codes of google.rpc, by what HTTP calls them. */
static const struct {
    const char *word;
    int         status;
} gemini_errors[] = {
    { "INVALID_ARGUMENT", 400 },
    { "FAILED_PRECONDITION", 400 },
    { "OUT_OF_RANGE", 400 },
    { "UNAUTHENTICATED", 401 },
    { "PERMISSION_DENIED", 403 },
    { "NOT_FOUND", 404 },
    { "ABORTED", 409 },
    { "ALREADY_EXISTS", 409 },
    { "RESOURCE_EXHAUSTED", 429 },
    { "UNAVAILABLE", 503 },
    { "DEADLINE_EXCEEDED", 504 },
    { NULL, 500 }
};


/* Each report is of all so far, but one between texts may lack the output. */

int
gemini_usage(ir_t *ir, tree_t *t, node_t *usage)
{
    int64_t      prompt, tools, said, thoughts;
    ir_event_t   e;
    ir_usage_t  *u;

    if (usage == NULL) {
        return 0;
    }

    u = &ir->usage_now;
    prompt = node_int(node_get(t, usage, "promptTokenCount"), -1);
    tools = node_int(node_get(t, usage, "toolUsePromptTokenCount"), 0);
    said = node_int(node_get(t, usage, "candidatesTokenCount"), -1);
    thoughts = node_int(node_get(t, usage, "thoughtsTokenCount"), -1);
    (void) node_get(t, usage, "totalTokenCount");

    if (prompt >= 0) {
        u->input = prompt + (tools > 0 ? tools : 0);
    }

    u->cached_read = node_int(node_get(t, usage, "cachedContentTokenCount"),
                              u->cached_read);

    if (said >= 0 || thoughts >= 0 || u->output < 0) {
        u->output = (said > 0 ? said : 0) + (thoughts > 0 ? thoughts : 0);
        u->reasoning = thoughts > 0 ? thoughts : 0;
    }

    u->audio_input = gemini_modality(t, usage, "promptTokensDetails", "AUDIO",
                                     u->audio_input);
    u->image_input = gemini_modality(t, usage, "promptTokensDetails", "IMAGE",
                                     u->image_input);
    u->audio_output = gemini_modality(t, usage, "candidatesTokensDetails",
                                      "AUDIO", u->audio_output);
    u->image_output = gemini_modality(t, usage, "candidatesTokensDetails",
                                      "IMAGE", u->image_output);
    ir_event(&e, IR_USAGE);

    return ir_emit(ir, &e);
}


static int64_t
gemini_modality(tree_t *t, node_t *usage, const char *name,
    const char *modality, int64_t otherwise)
{
    node_t  *n;

    n = node_first(t, node_peek(t, usage, name));

    for ( /* void */ ; n != NULL; n = n->next) {
        if (node_is(node_peek(t, n, "modality"), modality)) {
            return node_int(node_peek(t, n, "tokenCount"), otherwise);
        }
    }

    return otherwise;
}


/* A status of google.rpc. */

void
gemini_read_error(ir_t *ir, node_t *body)
{
    size_t       i;
    node_t      *e, *word;
    tree_t      *t;
    ir_error_t  *to;

    t = ir->begun || ir->out != NULL ? &ir->event : &ir->tree;
    to = &ir->error;
    e = node_get(t, body, "error");
    word = node_get(t, e, "status");
    to->message = node_text(node_get(t, e, "message"));
    to->type = node_text(word);

    for (i = 0; gemini_errors[i].word != NULL; i++) {
        if (node_is(word, gemini_errors[i].word)) {
            break;
        }
    }

    if (to->status == 0) {
        to->status = gemini_errors[i].word == NULL
                     ? (int) node_int(node_get(t, e, "code"), 500)
                     : gemini_errors[i].status;

        if (to->status < 400 || to->status > 599) {
            to->status = 500;
        }
    }

    to->cause = ir_cause(to->status);
    gemini_details(t, node_get(t, e, "details"), to);
}


/* When to come again; what the word behind the status is; which field it is
 * about.  A key that is wrong is a 400 here. */

static void
gemini_details(tree_t *t, node_t *details, ir_error_t *to)
{
    node_t  *d, *reason, *field;

    for (d = node_first(t, details); d != NULL; d = d->next) {

        if (node_peek(t, d, "retryDelay") != NULL) {
            to->retry_msec = gemini_duration(node_peek(t, d, "retryDelay"));
        }

        reason = node_peek(t, d, "reason");

        if (node_text(reason).len != 0) {
            to->code = node_text(reason);

            if (node_is(reason, "API_KEY_INVALID")
                || node_is(reason, "API_KEY_EXPIRED"))
            {
                to->cause = "unauthenticated";
            }
        }

        field = node_peek(t, node_first(t, node_peek(t, d,
                                                     "fieldViolations")),
                          "field");

        if (node_text(field).len != 0) {
            to->param = node_text(field);
        }
    }
}


/* "34.07s" in ms, a day at most. */

static int64_t
gemini_duration(const node_t *n)
{
    size_t    i;
    int64_t   msec, unit;
    ai_str_t  text;

    text = node_text(n);
    msec = 0;
    unit = 0;

    for (i = 0; i < text.len && text.data[i] != 's'; i++) {

        if (text.data[i] == '.' && unit == 0) {
            unit = 100;

        } else if (text.data[i] < '0' || text.data[i] > '9') {
            return 0;

        } else if (unit == 0 && i < 6) {
            msec = msec * 10 + (text.data[i] - '0') * 1000;

        } else if (unit != 0) {
            msec += (text.data[i] - '0') * unit;
            unit = unit > 1 ? unit / 10 : -1;

            if (unit < 0) {
                break;
            }
        }
    }

    return msec > 86400000 ? 86400000 : msec;
}
