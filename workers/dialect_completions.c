/*
 * OpenAI's legacy completions: a provider's own, and as clients ask for them
 * where their provider has a chat's turns only.  Owns nothing.
 */

#include "dialect_openai.h"

#include <string.h>


/* Which they have where the client says none. */
#define COMPLETIONS_TOKENS  16


static int completions_read_request(ir_t *ir, node_t *body);
static int completions_stop(ir_t *ir, node_t *body);
static int completions_write_answer(ir_t *ir, const ir_answer_t *a,
    out_t *out);
static int completions_write_event(ir_t *ir, const ir_event_t *e, out_t *out);
static void completions_head(ir_t *ir, out_t *o);
static void completions_choice(ir_t *ir, out_t *o, unsigned choice,
    ai_str_t text, const char *finish);
static void completions_note(ir_t *ir, ir_kind_e kind);


static const char *const  completions_same[] = {
    "max_tokens", "temperature", "top_p", "presence_penalty",
    "frequency_penalty", "seed", "logit_bias", "user", NULL
};

/* Where they are one they say nothing. */
static const char *const  completions_once[] = { "n", "best_of", NULL };

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

const dialect_t  dialect_completions = {
    .name = "completions",
    .read_request = completions_read_request,
    .write_answer = completions_write_answer,
    .write_event = completions_write_event,
    .write_error = openai_write_error,
    .stream_type = "text/event-stream",
};


static int
completions_read_request(ir_t *ir, node_t *body)
{
    size_t   i;
    tree_t  *t;
    node_t  *prompt, *part, *options, *n;

    t = &ir->tree;
    (void) node_get(t, body, "model");
    (void) node_get(t, body, "stream");
    options = node_get_type(t, body, "stream_options", AI_JSON_OBJECT);
    (void) node_get(t, options, "include_usage");
    (void) node_get(t, options, "include_obfuscation");
    openai_default(t, body, "echo", AI_JSON_FALSE);

    for (i = 0; completions_once[i] != NULL; i++) {
        if (node_int(node_peek(t, body, completions_once[i]), 0) == 1) {
            (void) node_get(t, body, completions_once[i]);
        }
    }

    prompt = node_get(t, body, "prompt");

    if (prompt != NULL && prompt->type == AI_JSON_ARRAY) {
        part = node_first(t, prompt);

        if (part != NULL && part->next != NULL
            && part->type == AI_JSON_STRING)
        {
            return ir_refuse(ir, "This model takes one prompt.", prompt);
        }

        prompt = node_read(part);
    }

    if (prompt == NULL || prompt->type != AI_JSON_STRING) {
        return ir_refuse(ir, "\"prompt\" must be a text: this model takes no "
                             "tokens.", NULL);
    }

    part = ir_part(ir, ir_message(ir, "user", prompt), "text", prompt);
    node_set(part, "text", node_move(t, prompt));

    for (i = 0; completions_same[i] != NULL; i++) {
        ir_carry(ir, body, completions_same[i], completions_same[i]);
    }

    n = node_peek(t, body, "n");

    if (n != NULL && !n->read) {
        ir_carry(ir, body, "n", "n");
    }

    if (node_peek(t, ir->request, "max_tokens") == NULL) {
        ir_set(ir, "max_tokens", node_integer(t, COMPLETIONS_TOKENS));
    }

    return completions_stop(ir, body);
}


static int
completions_stop(ir_t *ir, node_t *body)
{
    node_t  *stop, *all;
    tree_t  *t;

    t = &ir->tree;
    stop = node_get(t, body, "stop");

    if (stop == NULL) {
        return 0;
    }

    if (stop->type == AI_JSON_ARRAY) {
        ir_set(ir, "stop", node_move(t, stop));
        return 0;
    }

    if (stop->type != AI_JSON_STRING) {
        return ir_refuse(ir, "must be a text or a list of them.", stop);
    }

    all = node_from(node_array(t), stop);
    node_add(all, node_move(t, stop));
    ir_set(ir, "stop", all);

    return 0;
}


static int
completions_write_answer(ir_t *ir, const ir_answer_t *a, out_t *o)
{
    unsigned            i;
    const ir_part_t    *p;
    const ir_choice_t  *c;

    completions_head(ir, o);
    out_key(o, "choices");
    out_open(o, '[');

    for (i = 0; i < a->nchoices; i++) {
        c = a->choices[i];

        if (c == NULL) {
            continue;
        }

        out_item(o);
        out_z(o, "{\"text\":\"");

        for (p = c->first; p != NULL; p = p->next) {
            if (p->kind == IR_TEXT || p->kind == IR_REFUSAL) {
                out_add(o, p->text);

            } else {
                completions_note(ir, p->kind);
            }
        }

        out_z(o, "\"");
        out_key_int(o, "index", i);
        out_key(o, "logprobs");
        out_z(o, "null");
        out_key_z(o, "finish_reason", openai_say_finish(ir, c->finish));
        out_close(o, '}');
    }

    out_close(o, ']');
    out_key(o, "usage");
    openai_say_usage(o, &ir->usage_now);
    out_close(o, '}');

    return 0;
}


static int
completions_write_event(ir_t *ir, const ir_event_t *e, out_t *o)
{
    switch (e->type) {

    case IR_PING:
        out_z(o, ": ping\n\n");
        return 0;

    case IR_PART:
        completions_note(ir, e->kind);
        return 0;

    case IR_DELTA:
        if (e->kind == IR_TEXT || e->kind == IR_REFUSAL) {
            completions_choice(ir, o, e->choice, e->text, NULL);
        }

        return 0;

    case IR_FINISH:
        completions_choice(ir, o, e->choice, ai_str(""),
                           openai_say_finish(ir, e->finish));
        return 0;

    case IR_ERROR:
        out_z(o, "data: ");
        openai_write_error(ir, &ir->error, o);
        out_z(o, "\n\n");
        return 0;

    case IR_END:
        if (ir->usage) {
            out_z(o, "data: ");
            completions_head(ir, o);
            out_key(o, "choices");
            out_z(o, "[]");
            out_key(o, "usage");
            openai_say_usage(o, &ir->usage_now);
            out_z(o, "}\n\n");
        }

        out_z(o, "data: [DONE]\n\n");
        return 0;

    default:
        return 0;
    }
}


static void
completions_head(ir_t *ir, out_t *o)
{
    ai_str_t  id;

    id = ir->answer.id;
    out_z(o, "{\"id\":\"");

    if (id.len < 5 || memcmp(id.data, "cmpl-", 5) != 0) {
        out_z(o, "cmpl-");
    }

    out_add(o, id);
    out_z(o, "\"");
    out_key_z(o, "object", "text_completion");
    out_key_int(o, "created", ir->answer.created);
    out_key_escaped(o, "model", ir->answer.model);
}


static void
completions_choice(ir_t *ir, out_t *o, unsigned choice, ai_str_t text,
    const char *finish)
{
    out_z(o, "data: ");
    completions_head(ir, o);
    out_z(o, ",\"choices\":[{\"text\":");
    out_escaped(o, text);
    out_key_int(o, "index", choice);
    out_z(o, ",\"logprobs\":null,\"finish_reason\":");

    if (finish != NULL) {
        out_z(o, "\"");
        out_z(o, finish);
        out_z(o, "\"");

    } else {
        out_z(o, "null");
    }

    out_z(o, ir->usage ? "}],\"usage\":null}\n\n" : "}]}\n\n");
}


/* There is one text, and nothing beside it. */

static void
completions_note(ir_t *ir, ir_kind_e kind)
{
    if (kind == IR_REASONING || kind == IR_REDACTED) {
        ir_note(ir, NULL, "reasoning");

    } else if (kind != IR_TEXT && kind != IR_REFUSAL) {
        ir_note(ir, NULL, "what is no text");
    }
}
