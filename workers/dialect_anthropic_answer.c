/*
 * Anthropic's messages: a provider's answers as events, and the table.  Owns
 * nothing; state lies in the ir_t's tree.
 */

#include "dialect_anthropic.h"

#include <string.h>


/* Blocks of a stream; a part's number, or -1. */
typedef struct {
    int           index;        /* of the open block, -1: none */
    int           part;
    ir_kind_e     kind;
    unsigned      told:1;       /* something of it */
} anthropic_reader_t;


static int anthropic_read_answer(ir_t *ir, node_t *body);
static int anthropic_read_event(ir_t *ir, ai_str_t name, node_t *data,
    ai_str_t text);
static void anthropic_read_error(ir_t *ir, node_t *body);
static int anthropic_start(ir_t *ir, tree_t *t, node_t *message);
static int anthropic_begin(ir_t *ir, tree_t *t, node_t *block,
    ir_kind_e *kind);
static int anthropic_rest(ir_t *ir, tree_t *t, node_t *block, int part,
    ir_kind_e kind, int stream);
static int anthropic_block_start(ir_t *ir, node_t *data);
static int anthropic_block_delta(ir_t *ir, node_t *data);
static int anthropic_block_stop(ir_t *ir, node_t *data);
static int anthropic_cite(ir_t *ir, tree_t *t, int part, node_t *c);
static int anthropic_sign(ir_t *ir, int part, ai_str_t text);
static int anthropic_finish(ir_t *ir, tree_t *t, node_t *from);
static int anthropic_usage(ir_t *ir, tree_t *t, node_t *usage);


static const ir_word_t  anthropic_finishes[] = {
    { "end_turn", IR_FINISH_STOP },
    { "max_tokens", IR_FINISH_LENGTH },
    { "stop_sequence", IR_FINISH_SEQUENCE },
    { "tool_use", IR_FINISH_TOOLS },
    { "pause_turn", IR_FINISH_PAUSE },
    { "refusal", IR_FINISH_REFUSAL },
    { "model_context_window_exceeded", IR_FINISH_CONTEXT },
    { NULL, IR_FINISH_NONE }
};

/* What an error in a stream would have been as an answer. */
static const struct {
    const char *type;
    int         status;
} anthropic_errors[] = {
    { "invalid_request_error", 400 },
    { "authentication_error", 401 },
    { "billing_error", 402 },
    { "permission_error", 403 },
    { "not_found_error", 404 },
    { "request_too_large", 413 },
    { "rate_limit_error", 429 },
    { "timeout_error", 504 },
    { "overloaded_error", 529 },
    { NULL, 500 }
};

/* Where it ran, and what its provider charges it by. */
static const char *const  anthropic_ignore[] = {
    "type", "role", "content.*.caller", "content_block.caller",
    "message.type", "message.role", "message.content", "message.stop_reason",
    "message.stop_sequence", "message.container", "message.diagnostics",
    "container", "diagnostics", "stop_details", "delta.stop_details",
    "delta.container", "message.stop_details",
    "usage.inference_geo", "usage.service_tier", "usage.iterations",
    "usage.speed", "message.usage.inference_geo",
    "message.usage.service_tier", "message.usage.speed",
    "message.usage.iterations", "context_management", NULL
};

const dialect_t  dialect_anthropic = {
    .name = "anthropic",
    .reader_size = sizeof(anthropic_reader_t),
    .writer_size = ANTHROPIC_WRITER_SIZE,
    .ignore = anthropic_ignore,
    .read_request = anthropic_read_request,
    .write_answer = anthropic_write_answer,
    .write_event = anthropic_write_event,
    .write_error = anthropic_write_error,
    .stream_type = "text/event-stream",
    .write_request = anthropic_write_request,
    .read_answer = anthropic_read_answer,
    .read_event = anthropic_read_event,
    .read_error = anthropic_read_error,
};


static int
anthropic_start(ir_t *ir, tree_t *t, node_t *message)
{
    ir_event_t           e;
    anthropic_reader_t  *r;

    r = ir->reader;
    r->index = -1;

    ir_event(&e, IR_START);
    e.id = node_text(node_get(t, message, "id"));
    e.name = node_text(node_get(t, message, "model"));

    return ir_emit(ir, &e);
}


static int
anthropic_read_answer(ir_t *ir, node_t *body)
{
    int          part;
    node_t      *b, *content;
    tree_t      *t;
    ir_kind_e    kind;
    ir_event_t   e;

    t = &ir->tree;

    if (node_get_is(t, body, "type", "error")) {
        anthropic_read_error(ir, body);
        ir_event(&e, IR_ERROR);
        return ir_emit(ir, &e);
    }

    content = node_get_type(t, body, "content", AI_JSON_ARRAY);

    if (content == NULL || anthropic_start(ir, t, body) != 0) {
        return -1;
    }

    for (b = node_first(t, content); b != NULL; b = b->next) {
        part = anthropic_begin(ir, t, b, &kind);

        if (part < 0 || anthropic_rest(ir, t, b, part, kind, 0) != 0
            || ir_emit_end(ir, 0, (unsigned) part) != 0)
        {
            return -1;
        }
    }

    if (anthropic_usage(ir, t, node_get(t, body, "usage")) != 0
        || anthropic_finish(ir, t, body) != 0)
    {
        return -1;
    }

    ir_event(&e, IR_END);

    return ir_emit(ir, &e);
}


/* The part that a block is. */

static int
anthropic_begin(ir_t *ir, tree_t *t, node_t *block, ir_kind_e *kind)
{
    ai_str_t    none;
    ir_event_t  e;

    none = ai_str("");

    if (node_get_is(t, block, "type", "text")) {
        *kind = IR_TEXT;

    } else if (node_get_is(t, block, "type", "thinking")) {
        *kind = IR_REASONING;

    } else if (node_get_is(t, block, "type", "redacted_thinking")) {
        *kind = IR_REDACTED;

    } else if (node_get_is(t, block, "type", "tool_use")) {
        *kind = IR_TOOL_CALL;
        node_read(block);

        return ir_emit_part(ir, 0, IR_TOOL_CALL,
                            node_text(node_get(t, block, "id")),
                            node_text(node_get(t, block, "name")));

    } else {
        *kind = IR_OTHER;
        ir_event(&e, IR_PART);
        e.kind = IR_OTHER;
        e.node = node_whole(block);
        e.part = ir->answer.choices[0] != NULL ? ir->answer.choices[0]->parts
                                               : 0;

        return ir_emit(ir, &e) == 0 ? (int) e.part : -1;
    }

    node_read(block);

    return ir_emit_part(ir, 0, *kind, none, none);
}


/* What a block says as it begins, or all of it. */

static int
anthropic_rest(ir_t *ir, tree_t *t, node_t *block, int part, ir_kind_e kind,
    int stream)
{
    node_t              *n, *c;
    ai_str_t             text;
    anthropic_reader_t  *r;

    r = ir->reader;

    switch (kind) {

    case IR_TEXT:
        text = node_text(node_get(t, block, "text"));
        break;

    case IR_REASONING:
        text = node_text(node_get(t, block, "thinking"));
        break;

    case IR_REDACTED:
        text = node_text(node_get(t, block, "data"));
        break;

    case IR_TOOL_CALL:
        n = node_whole(node_get(t, block, "input"));
        text = ai_str("{}");

        if (n != NULL && (!stream || node_count(t, n) != 0)) {
            text = text_encode(t, n->text);

        } else if (stream) {
            text = ai_str("");
        }

        break;

    default:
        return 0;
    }

    r->told = text.len != 0;

    if (ir_emit_delta(ir, 0, (unsigned) part, text) != 0) {
        return -1;
    }

    c = node_first(t, node_get_type(t, block, "citations", AI_JSON_ARRAY));

    for ( /* void */ ; c != NULL; c = c->next) {
        if (anthropic_cite(ir, t, part, node_read(c)) != 0) {
            return -1;
        }
    }

    text = node_text(node_get(t, block, "signature"));

    return text.len != 0 ? anthropic_sign(ir, part, text) : 0;
}


static int
anthropic_sign(ir_t *ir, int part, ai_str_t text)
{
    ir_event_t  e;

    ir_event(&e, IR_SIGNATURE);
    e.part = (unsigned) part;
    e.text = text;

    return ir_emit(ir, &e);
}


static int
anthropic_cite(ir_t *ir, tree_t *t, int part, node_t *c)
{
    node_t      *to;
    ir_event_t   e;

    to = anthropic_read_citation(t, c);
    node_set(to, "native", node_move(t, c));

    ir_event(&e, IR_CITATION);
    e.part = (unsigned) part;
    e.node = to;

    return ir_emit(ir, &e);
}


/* Streams. */

static int
anthropic_read_event(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text)
{
    node_t              *type, *message, *delta;
    tree_t              *t;
    ir_event_t           e;

    (void) name;

    t = &ir->event;

    if (data == NULL) {
        return text.len != 0 && text.data[0] == '{' ? -1 : 0;
    }

    type = node_get(t, data, "type");

    if (node_is(type, "content_block_delta")) {
        return anthropic_block_delta(ir, data);
    }

    if (node_is(type, "message_start")) {
        message = node_get(t, data, "message");

        return anthropic_start(ir, t, message) != 0 ? -1
               : anthropic_usage(ir, t, node_get(t, message, "usage"));
    }

    if (node_is(type, "content_block_start")) {
        return anthropic_block_start(ir, data);
    }

    if (node_is(type, "content_block_stop")) {
        return anthropic_block_stop(ir, data);
    }

    if (node_is(type, "message_delta")) {
        delta = node_get(t, data, "delta");

        return anthropic_usage(ir, t, node_get(t, data, "usage")) != 0 ? -1
               : anthropic_finish(ir, t, delta);
    }

    if (node_is(type, "error")) {
        ir->error.status = 0;
        anthropic_read_error(ir, data);
        node_whole(data);
        ir_event(&e, IR_ERROR);
        return ir_emit(ir, &e);
    }

    ir_event(&e, IR_PING);

    if (node_is(type, "message_stop")) {
        e.type = IR_END;

    } else if (!node_is(type, "ping")) {
        ir_note(ir, data, "an event that is not known");
        node_whole(data);
        return 0;
    }

    return ir_emit(ir, &e);
}


static int
anthropic_block_start(ir_t *ir, node_t *data)
{
    node_t              *block;
    tree_t              *t;
    anthropic_reader_t  *r;

    t = &ir->event;
    r = ir->reader;
    block = node_get(t, data, "content_block");
    r->index = (int) node_int(node_get(t, data, "index"), -1);
    r->told = 0;

    if (block == NULL || r->index < 0 || !ir->begun) {
        return -1;
    }

    r->part = anthropic_begin(ir, t, block, &r->kind);

    return r->part < 0 ? -1
           : anthropic_rest(ir, t, block, r->part, r->kind, 1);
}


static int
anthropic_block_delta(ir_t *ir, node_t *data)
{
    node_t              *delta, *text, *c;
    tree_t              *t;
    anthropic_reader_t  *r;

    t = &ir->event;
    r = ir->reader;
    delta = node_get(t, data, "delta");

    if (!ir->begun || delta == NULL
        || node_int(node_get(t, data, "index"), -2) != r->index)
    {
        return -1;
    }

    (void) node_get(t, delta, "type");

    /* One of the provider's own tools is not told at all. */

    if (r->kind == IR_OTHER) {
        node_whole(delta);
        return 0;
    }

    text = node_get(t, delta, r->kind == IR_TEXT ? "text"
                              : r->kind == IR_REASONING ? "thinking"
                              : "partial_json");

    if (text != NULL) {
        r->told |= node_text(text).len != 0;
        return ir_emit_delta(ir, 0, (unsigned) r->part, node_text(text));
    }

    text = node_get(t, delta, "signature");

    if (text != NULL && r->kind == IR_REASONING) {
        return anthropic_sign(ir, r->part, node_text(text));
    }

    c = node_get(t, delta, "citation");

    return c != NULL && r->kind == IR_TEXT
           ? anthropic_cite(ir, t, r->part, c) : 0;
}


static int
anthropic_block_stop(ir_t *ir, node_t *data)
{
    anthropic_reader_t  *r;

    r = ir->reader;

    if (!ir->begun
        || node_int(node_get(&ir->event, data, "index"), -2) != r->index)
    {
        return -1;
    }

    r->index = -1;

    if (r->kind == IR_TOOL_CALL && !r->told
        && ir_emit_delta(ir, 0, (unsigned) r->part, ai_str("{}")) != 0)
    {
        return -1;
    }

    return ir_emit_end(ir, 0, (unsigned) r->part);
}


static int
anthropic_finish(ir_t *ir, tree_t *t, node_t *from)
{
    node_t  *reason;

    reason = node_get(t, from, "stop_reason");

    if (reason == NULL) {
        (void) node_get(t, from, "stop_sequence");
        return 0;
    }

    return ir_emit_finish(ir, 0, ir_finish(anthropic_finishes, reason),
                          node_text(reason),
                          node_text(node_get(t, from, "stop_sequence")));
}


/* Each report is cumulative; input does not count what was or is cached. */

static int
anthropic_usage(ir_t *ir, tree_t *t, node_t *usage)
{
    int64_t      plain, read, write;
    node_t      *n;
    ir_event_t   e;
    ir_usage_t  *u;

    if (usage == NULL || usage->type != AI_JSON_OBJECT) {
        return 0;
    }

    u = &ir->usage_now;
    read = u->cached_read > 0 ? u->cached_read : 0;
    write = u->cached_write > 0 ? u->cached_write : 0;
    plain = u->input >= 0 ? u->input - read - write : -1;

    plain = node_use(node_get(t, usage, "input_tokens"), plain);
    u->cached_read = node_use(node_get(t, usage, "cache_read_input_tokens"),
                              u->cached_read);
    u->cached_write = node_use(node_get(t, usage,
                                        "cache_creation_input_tokens"),
                               u->cached_write);
    u->output = node_use(node_get(t, usage, "output_tokens"), u->output);

    n = node_get(t, usage, "cache_creation");
    u->cached_write_1h = node_use(node_get(t, n, "ephemeral_1h_input_tokens"),
                                  u->cached_write_1h);
    (void) node_get(t, n, "ephemeral_5m_input_tokens");

    n = node_get(t, usage, "output_tokens_details");
    u->reasoning = node_use(node_get(t, n, "thinking_tokens"), u->reasoning);

    n = node_get(t, usage, "server_tool_use");
    u->searches = node_use(node_get(t, n, "web_search_requests"),
                           u->searches);
    (void) node_get(t, n, "web_fetch_requests");

    if (plain >= 0) {
        u->input = plain + (u->cached_read > 0 ? u->cached_read : 0)
                   + (u->cached_write > 0 ? u->cached_write : 0);
    }

    ir_event(&e, IR_USAGE);

    return ir_emit(ir, &e);
}


static void
anthropic_read_error(ir_t *ir, node_t *body)
{
    size_t       i;
    node_t      *e, *type;
    tree_t      *t;
    ir_error_t  *to;

    t = ir->begun || ir->out != NULL ? &ir->event : &ir->tree;
    to = &ir->error;
    e = node_get(t, body, "error");
    type = node_get(t, e, "type");
    to->message = node_text(node_get(t, e, "message"));
    to->type = node_text(type);

    for (i = 0; anthropic_errors[i].type != NULL; i++) {
        if (node_is(type, anthropic_errors[i].type)) {
            break;
        }
    }

    if (to->status == 0) {
        to->status = anthropic_errors[i].status;
    }

    to->cause = ir_cause(to->status);
}
