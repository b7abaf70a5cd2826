/*
 * OpenAI's Responses: a provider's answers as events, and the table.  Owns
 * nothing; state lies in the ir_t's tree.
 */

#include "dialect_responses.h"

#include <string.h>

#include "ai_json.h"


#define RESPONSES_ITEMS_MAX  IR_PARTS_MAX


/* An item of a stream by its index: the part that it is now, -1 none. */
typedef struct {
    int        part;
    ir_kind_e  kind;            /* of that */
    unsigned   said:1;          /* it had deltas */
    unsigned   done:1;
} responses_reading_t;

typedef struct {
    responses_reading_t *items[RESPONSES_ITEMS_MAX];
    int                  open;  /* part, plus one */
} responses_reader_t;


static int responses_read_answer(ir_t *ir, node_t *body);
static int responses_read_event(ir_t *ir, ai_str_t name, node_t *data,
    ai_str_t text);
static void responses_read_error(ir_t *ir, node_t *body);
static int responses_start(ir_t *ir, tree_t *t, node_t *r);
static int responses_end(ir_t *ir, tree_t *t, node_t *r);
static int responses_usage(ir_t *ir, tree_t *t, node_t *usage);
static int responses_item(ir_t *ir, tree_t *t, node_t *item);
static int responses_content(ir_t *ir, tree_t *t, node_t *content);
static int responses_citation(ir_t *ir, tree_t *t, unsigned part, node_t *a);
static int responses_logprobs(ir_t *ir, tree_t *t, node_t *all);
static int responses_reasoning(ir_t *ir, tree_t *t, node_t *item, int part,
    int said);
static int responses_image(ir_t *ir, tree_t *t, node_t *item);
static int responses_other(ir_t *ir, node_t *item);
static responses_reading_t *responses_at(ir_t *ir, tree_t *t, node_t *data);
static int responses_open(ir_t *ir, responses_reading_t *r, ir_kind_e kind,
    ai_str_t id, ai_str_t name);
static int responses_close(ir_t *ir, responses_reading_t *r);
static int responses_delta(ir_t *ir, responses_reading_t *r, ir_kind_e kind,
    ai_str_t id, ai_str_t text);
static int responses_added(ir_t *ir, tree_t *t, node_t *data);
static int responses_done(ir_t *ir, tree_t *t, node_t *data);
static int responses_said(ir_t *ir, tree_t *t, node_t *data, node_t *type);


static const ir_word_t  responses_reasons[] = {
    { "max_output_tokens", IR_FINISH_LENGTH },
    { "content_filter", IR_FINISH_FILTER },
    { NULL, IR_FINISH_NONE }
};

/* Of the request, of whoever ran it, its clock and its price. */
static const char *const  responses_ignore[] = {
    "object", "background", "billing", "completed_at", "conversation",
    "frequency_penalty", "instructions", "max_output_tokens",
    "max_tool_calls", "metadata", "moderation", "parallel_tool_calls",
    "presence_penalty", "previous_response_id", "prompt",
    "prompt_cache_key", "prompt_cache_retention", "reasoning",
    "safety_identifier", "service_tier", "status_details", "store",
    "temperature", "text", "tool_calls", "tool_choice", "tool_usage",
    "tools", "top_logprobs", "top_p", "total_tokens", "truncation", "user",
    "usage.total_tokens", "usage.cost", "usage.cost_details",
    "usage.is_byok", "output_text", "context_management",
    "output.*.phase", "output.*.status", "output.*.role",
    "output.*.content.*.logprobs", "item.phase", "item.status", "item.role",
    "item.content.*.logprobs", NULL
};

const dialect_t  dialect_responses = {
    .name = "responses",
    .reader_size = sizeof(responses_reader_t),
    .writer_size = RESPONSES_WRITER_SIZE,
    .ignore = responses_ignore,
    .read_request = responses_read_request,
    .write_answer = responses_write_answer,
    .write_event = responses_write_event,
    .write_error = responses_write_error,
    .stream_type = "text/event-stream",
    .write_request = responses_write_request,
    .read_answer = responses_read_answer,
    .read_event = responses_read_event,
    .read_error = responses_read_error,
};


/* Answers. */

static int
responses_start(ir_t *ir, tree_t *t, node_t *r)
{
    ir_event_t  e;

    if (ir->begun) {
        return 0;
    }

    ir_event(&e, IR_START);
    e.id = node_text(node_get(t, r, "id"));
    e.name = node_text(node_get(t, r, "model"));
    e.created = (int64_t) node_number(node_get(t, r, "created_at"), 0);

    return ir_emit(ir, &e);
}


static int
responses_read_answer(ir_t *ir, node_t *body)
{
    node_t      *item, *output;
    tree_t      *t;
    ir_event_t   e;

    t = &ir->tree;
    output = node_get_type(t, body, "output", AI_JSON_ARRAY);

    if (node_peek(t, body, "error") != NULL
        && node_peek(t, body, "error")->type != AI_JSON_NULL)
    {
        responses_read_error(ir, body);
        ir_event(&e, IR_ERROR);
        return ir_emit(ir, &e);
    }

    if (output == NULL || responses_start(ir, t, body) != 0) {
        return -1;
    }

    for (item = node_first(t, output); item != NULL; item = item->next) {
        if (responses_item(ir, t, item) != 0) {
            return -1;
        }
    }

    return responses_end(ir, t, body);
}


/* Of the response itself, what it says at its end. */

static int
responses_end(ir_t *ir, tree_t *t, node_t *r)
{
    node_t       *status, *reason;
    ir_event_t    e;
    ir_finish_e   finish;

    status = node_get(t, r, "status");
    reason = node_get(t, node_get(t, r, "incomplete_details"), "reason");
    finish = node_is(status, "completed") ? IR_FINISH_STOP
             : reason != NULL ? ir_finish(responses_reasons, reason)
             : IR_FINISH_OTHER;

    if (responses_usage(ir, t, node_get(t, r, "usage")) != 0
        || ir_emit_finish(ir, 0, finish,
                          node_text(reason != NULL ? reason : status),
                          ai_str(""))
           != 0)
    {
        return -1;
    }

    ir_event(&e, IR_END);

    return ir_emit(ir, &e);
}


static int
responses_usage(ir_t *ir, tree_t *t, node_t *usage)
{
    node_t      *in, *out;
    ir_event_t   e;
    ir_usage_t  *u;

    if (usage == NULL || usage->type != AI_JSON_OBJECT) {
        return 0;
    }

    u = &ir->usage_now;
    in = node_get(t, usage, "input_tokens_details");
    out = node_get(t, usage, "output_tokens_details");
    u->input = node_use(node_get(t, usage, "input_tokens"), u->input);
    u->output = node_use(node_get(t, usage, "output_tokens"), u->output);
    u->cached_read = node_use(node_get(t, in, "cached_tokens"),
                              u->cached_read);
    u->cached_write = node_use(node_get(t, in, "cache_write_tokens"),
                               u->cached_write);
    u->reasoning = node_use(node_get(t, out, "reasoning_tokens"),
                            u->reasoning);
    ir_event(&e, IR_USAGE);

    return ir_emit(ir, &e);
}


static int
responses_item(ir_t *ir, tree_t *t, node_t *item)
{
    int      part;
    node_t  *type;

    type = node_peek(t, item, "type");

    if (node_is(type, "message")) {
        node_read(item);
        (void) node_get(t, item, "type");
        (void) node_get(t, item, "id");
        return responses_content(ir, t, node_get(t, item, "content"));
    }

    if (node_is(type, "function_call")) {
        node_read(item);
        (void) node_get(t, item, "type");
        (void) node_get(t, item, "id");
        part = ir_emit_part(ir, 0, IR_TOOL_CALL,
                            node_text(node_get(t, item, "call_id")),
                            node_text(node_get(t, item, "name")));

        return part >= 0
               && ir_emit_delta(ir, 0, (unsigned) part,
                                node_text(node_get(t, item, "arguments")))
                  == 0 ? ir_emit_end(ir, 0, (unsigned) part) : -1;
    }

    if (node_is(type, "reasoning")) {
        return responses_reasoning(ir, t, item, -1, 0);
    }

    if (node_is(type, "image_generation_call")) {
        return responses_image(ir, t, item);
    }

    return responses_other(ir, item);
}


static int
responses_content(ir_t *ir, tree_t *t, node_t *content)
{
    int      part, refusal;
    node_t  *c, *a;

    for (c = node_first(t, content); c != NULL; c = c->next) {
        refusal = node_get_is(t, c, "type", "refusal");

        if (!refusal && !node_get_is(t, c, "type", "output_text")) {
            continue;
        }

        node_read(c);
        part = ir_emit_part(ir, 0, refusal ? IR_REFUSAL : IR_TEXT, ai_str(""),
                            ai_str(""));

        if (part < 0
            || ir_emit_delta(ir, 0, (unsigned) part,
                             node_text(node_get(t, c, refusal ? "refusal"
                                                              : "text")))
               != 0)
        {
            return -1;
        }

        a = node_first(t, node_get(t, c, "annotations"));

        for ( /* void */ ; a != NULL; a = a->next) {
            if (responses_citation(ir, t, (unsigned) part, a) != 0) {
                return -1;
            }
        }

        if (responses_logprobs(ir, t, node_get(t, c, "logprobs")) != 0
            || ir_emit_end(ir, 0, (unsigned) part) != 0)
        {
            return -1;
        }
    }

    return 0;
}


static int
responses_citation(ir_t *ir, tree_t *t, unsigned part, node_t *a)
{
    node_t      *to;
    ir_event_t   e;

    node_whole(a);

    if (!node_is(node_peek(t, a, "type"), "url_citation")) {
        ir_note(ir, a, "cites no URL");
        return 0;
    }

    to = node_object(t);
    node_set(to, "url", node_move(t, node_get(t, a, "url")));
    node_set(to, "title", node_move(t, node_get(t, a, "title")));
    node_set(to, "start", node_move(t, node_get(t, a, "start_index")));
    node_set(to, "end", node_move(t, node_get(t, a, "end_index")));

    ir_event(&e, IR_CITATION);
    e.part = part;
    e.node = to;

    return ir_emit(ir, &e);
}


/* As chat completions have them. */

static int
responses_logprobs(ir_t *ir, tree_t *t, node_t *all)
{
    node_t      *to;
    ir_event_t   e;

    if (node_first(t, all) == NULL) {
        return 0;
    }

    to = node_object(t);
    node_set(to, "content", node_move(t, all));
    ir_event(&e, IR_LOGPROBS);
    e.node = to;

    return ir_emit(ir, &e);
}


/* An item that is whole: what of it was not said before, and its end. */

static int
responses_reasoning(ir_t *ir, tree_t *t, node_t *item, int part, int said)
{
    node_t      *all, *p;
    ai_str_t     data, id;
    ir_event_t   e;

    node_read(item);
    (void) node_get(t, item, "type");
    id = node_text(node_get(t, item, "id"));
    data = node_text(node_get(t, item, "encrypted_content"));
    all = node_get(t, item, "summary");
    p = node_first(t, all);

    if (p == NULL) {
        p = node_first(t, node_get(t, item, "content"));

    } else {
        node_whole(node_get(t, item, "content"));
    }

    if (part < 0) {

        /* It happened, and that is all that is to be known. */

        if (data.len == 0 && p == NULL) {
            return 0;
        }

        part = ir_emit_part(ir, 0, IR_REASONING, id, ai_str(""));

        if (part < 0) {
            return -1;
        }
    }

    for (all = p; p != NULL; p = p->next) {
        node_read(p);
        (void) node_get(t, p, "type");

        if (!said
            && ((p != all && ir_emit_delta(ir, 0, (unsigned) part,
                                           ai_str("\\n\\n")) != 0)
                || ir_emit_delta(ir, 0, (unsigned) part,
                                 node_text(node_get(t, p, "text")))
                   != 0))
        {
            return -1;
        }

        node_whole(p);
    }

    if (data.len != 0) {
        ir_event(&e, IR_SIGNATURE);
        e.part = (unsigned) part;
        e.text = data;

        if (ir_emit(ir, &e) != 0) {
            return -1;
        }
    }

    return ir_emit_end(ir, 0, (unsigned) part);
}


static int
responses_image(ir_t *ir, tree_t *t, node_t *item)
{
    int          part;
    node_t      *data, *format;
    const char  *type;

    data = node_get_type(t, item, "result", AI_JSON_STRING);

    if (data == NULL) {
        return 0;
    }

    node_whole(item);
    format = node_peek(t, item, "output_format");
    type = node_is(format, "jpeg") ? "image/jpeg"
           : node_is(format, "webp") ? "image/webp" : "image/png";
    part = ir_emit_part(ir, 0, IR_IMAGE, ai_str(""),
                        (ai_str_t) { strlen(type), type });

    return part >= 0
           && ir_emit_delta(ir, 0, (unsigned) part, data->text) == 0
           ? ir_emit_end(ir, 0, (unsigned) part) : -1;
}


static int
responses_other(ir_t *ir, node_t *item)
{
    ir_event_t    e;
    ir_choice_t  *c;

    c = ir->answer.choices[0];
    ir_event(&e, IR_PART);
    e.part = c != NULL ? c->parts : 0;
    e.kind = IR_OTHER;
    e.format = "responses";
    e.node = node_whole(item);

    return ir_emit(ir, &e) == 0 ? ir_emit_end(ir, 0, e.part) : -1;
}


/* A stream. */

static responses_reading_t *
responses_at(ir_t *ir, tree_t *t, node_t *data)
{
    int64_t               i;
    responses_reader_t   *r;
    responses_reading_t  *at;

    r = ir->reader;
    i = node_int(node_peek(t, data, "output_index"), 0);

    if (i < 0 || i >= RESPONSES_ITEMS_MAX) {
        return NULL;
    }

    at = r->items[i];

    if (at == NULL) {
        at = tree_alloc(&ir->tree, sizeof(*at));

        if (at == NULL) {
            return NULL;
        }

        memset(at, 0, sizeof(*at));
        at->part = -1;
        r->items[i] = at;
    }

    return at;
}


static int
responses_open(ir_t *ir, responses_reading_t *at, ir_kind_e kind, ai_str_t id,
    ai_str_t name)
{
    responses_reader_t  *r;

    r = ir->reader;
    at->part = ir_emit_part(ir, 0, kind, id, name);
    at->kind = kind;
    at->said = 0;
    r->open = at->part + 1;

    return at->part >= 0 ? 0 : -1;
}


static int
responses_close(ir_t *ir, responses_reading_t *at)
{
    int                  part;
    responses_reader_t  *r;

    r = ir->reader;
    part = at->part;
    at->part = -1;

    if (part < 0 || r->open != part + 1) {
        return 0;
    }

    r->open = 0;

    return ir_emit_end(ir, 0, (unsigned) part);
}


/* Goes on with the item's part, or begins it. */

static int
responses_delta(ir_t *ir, responses_reading_t *at, ir_kind_e kind,
    ai_str_t id, ai_str_t text)
{
    if (at->part >= 0 && at->kind != kind
        && (at->kind == IR_TOOL_CALL || kind == IR_TOOL_CALL
            || responses_close(ir, at) != 0))
    {
        return -1;
    }

    if (at->part < 0
        && (at->done || responses_open(ir, at, kind, id, ai_str("")) != 0))
    {
        return at->done ? 0 : -1;
    }

    at->said |= text.len != 0;

    return ir_emit_delta(ir, 0, (unsigned) at->part, text);
}


static int
responses_added(ir_t *ir, tree_t *t, node_t *data)
{
    node_t               *item;
    responses_reading_t  *at;

    item = node_peek(t, data, "item");
    at = responses_at(ir, t, data);

    if (at == NULL) {
        return -1;
    }

    /* Some say it twice. */

    return at->part < 0 && !at->done
           && node_is(node_peek(t, item, "type"), "function_call")
           ? responses_open(ir, at, IR_TOOL_CALL,
                            node_text(node_peek(t, item, "call_id")),
                            node_text(node_peek(t, item, "name")))
           : 0;
}


static int
responses_done(ir_t *ir, tree_t *t, node_t *data)
{
    int                   rc, part, said;
    node_t               *item, *type;
    responses_reader_t   *r;
    responses_reading_t  *at;

    r = ir->reader;
    item = node_get(t, data, "item");
    type = node_peek(t, item, "type");
    at = responses_at(ir, t, data);

    if (at == NULL) {
        return -1;
    }

    if (at->done) {
        node_whole(item);
        return 0;
    }

    at->done = 1;
    part = at->part;
    said = at->said;

    if (node_is(type, "reasoning")) {
        at->part = -1;
        r->open = 0;
        return responses_reasoning(ir, t, item, part, said);
    }

    if (part < 0 && !said) {
        return responses_item(ir, t, item);
    }

    rc = 0;

    if (node_is(type, "function_call") && !said) {
        rc = ir_emit_delta(ir, 0, (unsigned) part,
                           node_text(node_peek(t, item, "arguments")));
    }

    node_whole(item);

    return rc == 0 ? responses_close(ir, at) : -1;
}


/* What of an event's words is the answer's; others tell how it goes on. */

static int
responses_said(ir_t *ir, tree_t *t, node_t *data, node_t *type)
{
    ai_str_t              none, text, id;
    responses_reading_t  *at;

    none = ai_str("");
    text = node_text(node_peek(t, data, "delta"));
    id = node_text(node_peek(t, data, "item_id"));
    at = responses_at(ir, t, data);

    if (at == NULL) {
        return -1;
    }

    if (node_is(type, "response.output_text.delta")) {
        if (responses_delta(ir, at, IR_TEXT, none, text) != 0) {
            return -1;
        }

        return responses_logprobs(ir, t, node_get(t, data, "logprobs"));
    }

    if (node_is(type, "response.refusal.delta")) {
        return responses_delta(ir, at, IR_REFUSAL, none, text);
    }

    if (node_is(type, "response.reasoning_summary_text.delta")
        || node_is(type, "response.reasoning_text.delta"))
    {
        return responses_delta(ir, at, IR_REASONING, id, text);
    }

    if (node_is(type, "response.reasoning_summary_part.added")) {
        return node_int(node_peek(t, data, "summary_index"), 0) == 0 ? 0
               : responses_delta(ir, at, IR_REASONING, id,
                                 ai_str("\\n\\n"));
    }

    if (node_is(type, "response.function_call_arguments.delta")) {
        return at->part < 0 ? 0
               : responses_delta(ir, at, IR_TOOL_CALL, none, text);
    }

    if (node_is(type, "response.output_text.annotation.added")) {

        if (at->part < 0
            && responses_open(ir, at, IR_TEXT, none, none) != 0)
        {
            return -1;
        }

        if (at->kind != IR_TEXT) {
            return 0;
        }

        return responses_citation(ir, t, (unsigned) at->part,
                                  node_peek(t, data, "annotation"));
    }

    if (node_is(type, "response.output_text.done")
        || node_is(type, "response.refusal.done"))
    {
        text = node_text(node_peek(t, data, node_is(type,
                                                "response.refusal.done")
                                            ? "refusal" : "text"));

        if (at->part < 0 || !at->said) {

            if (responses_delta(ir, at,
                                node_is(type, "response.refusal.done")
                                ? IR_REFUSAL : IR_TEXT, none, text)
                != 0)
            {
                return -1;
            }

            at->said = 1;
        }

        return responses_close(ir, at);
    }

    return 0;
}


static int
responses_read_event(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text)
{
    node_t      *type, *r;
    tree_t      *t;
    ir_event_t   e;

    t = &ir->event;

    if (data == NULL) {
        return text.len != 0 && text.data[0] == '{' ? -1 : 0;
    }

    type = node_peek(t, data, "type");
    r = node_peek(t, data, "response");

    if (node_is(type, "error") || node_is(type, "response.failed")
        || ai_str_eqz(name, "error"))
    {
        if (ir->begun
            && responses_usage(ir, t, node_peek(t, r, "usage")) != 0)
        {
            return -1;
        }

        ir->error.status = 0;
        responses_read_error(ir, r != NULL ? r : data);
        node_whole(data);
        ir_event(&e, IR_ERROR);
        return ir_emit(ir, &e);
    }

    if (r != NULL && responses_start(ir, t, r) != 0) {
        return -1;
    }

    if (!ir->begun) {
        return -1;
    }

    if (node_is(type, "response.completed")
        || node_is(type, "response.incomplete")
        || node_is(type, "response.done"))
    {
        node_whole(data);
        return responses_end(ir, t, r);
    }

    if (node_is(type, "response.output_item.added")) {
        node_whole(data);
        return responses_added(ir, t, data);
    }

    if (node_is(type, "response.output_item.done")) {
        (void) node_get(t, data, "type");
        (void) node_get(t, data, "sequence_number");
        (void) node_get(t, data, "output_index");
        return responses_done(ir, t, data);
    }

    node_whole(data);

    return responses_said(ir, t, data, type);
}


/* {"error":{..}} of an answer, error of a response, or an event's own. */

static void
responses_read_error(ir_t *ir, node_t *body)
{
    node_t      *e, *code;
    tree_t      *t;
    ir_error_t  *to;

    t = ir->begun || ir->out != NULL ? &ir->event : &ir->tree;
    to = &ir->error;
    e = node_get(t, body, "error");

    if (e == NULL || e->type != AI_JSON_OBJECT) {
        to->message = node_text(e);
        e = body;
    }

    if (to->message.len == 0) {
        to->message = node_text(node_get(t, e, "message"));
    }

    to->type = node_text(node_get(t, e, "type"));
    to->param = node_text(node_get(t, e, "param"));
    code = node_get(t, e, "code");
    to->code = node_text(code);

    if (to->status == 0) {
        to->status = node_is(code, "rate_limit_exceeded") ? 429
                     : node_is(code, "invalid_prompt")
                       || ai_str_eqz(to->type, "invalid_request_error") ? 400
                     : 500;
    }

    to->cause = ir_cause(to->status);
}
