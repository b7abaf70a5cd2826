/*
 * Anthropic's messages: answers to a client that speaks them, as an object or a
 * stream.  Owns nothing; state lies in the ir_t's tree.
 */

#include "dialect_anthropic.h"

#include <string.h>

#include "ai_error.h"


typedef struct {
    int         blocks;         /* told so far */
    anthropic_calls_t  calls;
    ir_finish_e finish;
    ai_str_t    stop;
    unsigned    refused:1;
    unsigned    signed_:1;      /* the open part */
    int16_t     block[IR_PARTS_MAX];    /* of a part, -1: it is not told */
} anthropic_writer_t;

_Static_assert(sizeof(anthropic_writer_t) <= ANTHROPIC_WRITER_SIZE, "writer");


static void anthropic_id(out_t *o, ai_str_t id);
static void anthropic_usage(out_t *o, const ir_usage_t *u);
static void anthropic_tagged(out_t *o, const char *key, const char *format,
    ai_str_t text);
static void anthropic_citations(ir_t *ir, out_t *o, const ir_part_t *p);
static int anthropic_begin(ir_t *ir, const ir_event_t *e, out_t *o);
static void anthropic_delta(out_t *o, int block, const char *type);
static void anthropic_write_delta(ir_t *ir, const ir_event_t *e, out_t *o,
    int block);
static void anthropic_end(ir_t *ir, const ir_event_t *e, out_t *o);
static void anthropic_message_end(ir_t *ir, out_t *o);


static const ir_word_t  anthropic_finishes[] = {
    { "end_turn", IR_FINISH_STOP },
    { "max_tokens", IR_FINISH_LENGTH },
    { "stop_sequence", IR_FINISH_SEQUENCE },
    { "tool_use", IR_FINISH_TOOLS },
    { "pause_turn", IR_FINISH_PAUSE },
    { "refusal", IR_FINISH_REFUSAL },
    { "refusal", IR_FINISH_FILTER },
    { "model_context_window_exceeded", IR_FINISH_CONTEXT },
    { NULL, IR_FINISH_NONE }
};


static void
anthropic_id(out_t *o, ai_str_t id)
{
    out_z(o, "\"");

    if (id.len < 4 || memcmp(id.data, "msg_", 4) != 0) {
        out_z(o, "msg_");
    }

    out_add(o, id);
    out_z(o, "\"");
}


static void
anthropic_usage(out_t *o, const ir_usage_t *u)
{
    int64_t  input, read, write;

    read = u->cached_read > 0 ? u->cached_read : 0;
    write = u->cached_write > 0 ? u->cached_write : 0;
    input = u->input > read + write ? u->input - read - write : 0;

    out_open(o, '{');
    out_key_int(o, "input_tokens", input);
    out_key_int(o, "cache_creation_input_tokens", write);
    out_key_int(o, "cache_read_input_tokens", read);
    out_key_int(o, "output_tokens", u->output > 0 ? u->output : 0);

    if (u->reasoning > 0) {
        out_key(o, "output_tokens_details");
        out_z(o, "{\"thinking_tokens\":");
        out_int(o, u->reasoning);
        out_close(o, '}');
    }

    out_close(o, '}');
}


/* A signature that is not this dialect's own says whose it is. */

static void
anthropic_tagged(out_t *o, const char *key, const char *format, ai_str_t text)
{
    out_key(o, key);
    out_z(o, "\"");

    if (format == NULL || strcmp(format, "anthropic") != 0) {
        out_z(o, ANTHROPIC_TAG);
        out_z(o, format != NULL ? format : "openai");
        out_z(o, ":");
    }

    out_add(o, text);
    out_z(o, "\"");
}


/* An object. */

int
anthropic_write_answer(ir_t *ir, const ir_answer_t *a, out_t *o)
{
    int                 refused;
    const ir_part_t    *p;
    const ir_choice_t  *c;

    c = a->choices[0];

    if (c == NULL) {
        return -1;
    }

    if (a->nchoices > 1) {
        ir_note(ir, NULL, "choices but the first");
    }

    refused = 0;
    out_open(o, '{');
    out_key(o, "id");
    anthropic_id(o, a->id);
    out_key_z(o, "type", "message");
    out_key_z(o, "role", "assistant");
    out_key_escaped(o, "model", a->model);
    out_key(o, "content");
    out_open(o, '[');

    for (p = c->first; p != NULL; p = p->next) {

        if (p->kind == IR_OTHER || p->kind == IR_IMAGE
            || p->kind == IR_AUDIO)
        {
            ir_note(ir, p->node, p->kind == IR_IMAGE ? "an image of the answer"
                    : p->kind == IR_AUDIO ? "audio of the answer" : NULL);
            continue;
        }

        out_item(o);
        out_open(o, '{');

        switch (p->kind) {

        case IR_TOOL_CALL:
            out_key_z(o, "type", "tool_use");
            out_key_escaped(o, "id", p->id);
            out_key_escaped(o, "name", p->name);
            out_key(o, "input");
            ir_text_object(ir, o, p->text);
            break;

        case IR_REASONING:
            out_key_z(o, "type", "thinking");
            out_key_escaped(o, "thinking", p->text);
            anthropic_tagged(o, "signature", p->format, p->signature);
            break;

        case IR_REDACTED:
            out_key_z(o, "type", "redacted_thinking");
            anthropic_tagged(o, "data", p->format, p->text);
            break;

        default:
            refused |= p->kind == IR_REFUSAL;
            out_key_z(o, "type", "text");
            out_key_escaped(o, "text", p->text);
            anthropic_citations(ir, o, p);
        }

        out_close(o, '}');
    }

    out_close(o, ']');
    out_key_z(o, "stop_reason",
              ir_word(anthropic_finishes, refused ? IR_FINISH_REFUSAL
                                                  : c->finish));
    out_key(o, "stop_sequence");

    if (c->finish == IR_FINISH_SEQUENCE && c->stop.len != 0) {
        out_escaped(o, c->stop);

    } else {
        out_z(o, "null");
    }

    if (c->logprobs != NULL) {
        ir_note(ir, NULL, "logprobs of the answer");
    }

    out_key(o, "usage");
    anthropic_usage(o, &ir->usage_now);
    out_close(o, '}');

    return 0;
}


static void
anthropic_citations(ir_t *ir, out_t *o, const ir_part_t *p)
{
    node_t  *c;
    size_t   mark, empty;

    if (p->citations == NULL) {
        return;
    }

    mark = o->len;
    out_key(o, "citations");
    out_open(o, '[');
    empty = o->len;
    c = node_first(&ir->tree, p->citations);

    for ( /* void */ ; c != NULL; c = c->next) {
        if (!anthropic_write_citation(&ir->tree, o, c)) {
            ir_note(ir, node_peek(&ir->tree, c, "native"), NULL);
        }
    }

    if (o->len == empty && !o->failed) {
        o->len = mark;
        return;
    }

    out_close(o, ']');
}


/* A stream. */

void
anthropic_write_type(out_t *o, const char *type)
{
    out_z(o, "event: ");
    out_z(o, type);
    out_z(o, "\ndata: {\"type\":\"");
    out_z(o, type);
    out_z(o, "\"");
}


int
anthropic_write_event(ir_t *ir, const ir_event_t *e, out_t *o)
{
    int                  block;
    anthropic_writer_t  *w;

    w = ir->writer;

    if (e->choice != 0) {
        ir_note(ir, NULL, "choices but the first");
        return 0;
    }

    switch (e->type) {

    case IR_START:
        anthropic_write_type(o, "message_start");
        out_key(o, "message");
        out_z(o, "{\"id\":");
        anthropic_id(o, ir->answer.id);
        out_z(o, ",\"type\":\"message\",\"role\":\"assistant\"");
        out_key_escaped(o, "model", ir->answer.model);
        out_z(o, ",\"content\":[],\"stop_reason\":null,"
                 "\"stop_sequence\":null,\"usage\":");
        anthropic_usage(o, &ir->usage_now);
        out_z(o, "}}\n\n");
        return 0;

    case IR_PART:
        return anthropic_begin(ir, e, o);

    case IR_PART_END:
        anthropic_end(ir, e, o);
        return 0;

    case IR_DELTA:
    case IR_SIGNATURE:
    case IR_CITATION:
        if (e->type == IR_DELTA && e->kind == IR_TOOL_CALL) {
            return anthropic_call_delta(ir, &w->calls, e, o);
        }

        block = w->block[e->part];

        if (block >= 0) {
            anthropic_write_delta(ir, e, o, block);
        }

        return 0;

    case IR_LOGPROBS:
        ir_note(ir, NULL, "logprobs of the answer");
        return 0;

    case IR_FINISH:
        anthropic_calls_end(&w->calls, o);
        w->finish = e->finish;
        w->stop = tree_copy(&ir->tree, e->text);
        return 0;

    case IR_PING:
        out_z(o, "event: ping\ndata: {\"type\": \"ping\"}\n\n");
        return 0;

    case IR_ERROR:
        out_z(o, "event: error\ndata: ");
        anthropic_write_error(ir, &ir->error, o);
        out_z(o, "\n\n");
        return 0;

    case IR_END:
        anthropic_message_end(ir, o);
        return 0;

    default:
        return 0;
    }
}


static int
anthropic_begin(ir_t *ir, const ir_event_t *e, out_t *o)
{
    anthropic_writer_t  *w;

    w = ir->writer;
    w->signed_ = 0;
    w->block[e->part] = -1;

    if (e->kind == IR_TOOL_CALL) {
        w->block[e->part] = (int16_t) w->blocks;
        return anthropic_call_begin(ir, &w->calls, e, w->blocks++, o);
    }

    anthropic_calls_end(&w->calls, o);

    if (e->kind == IR_OTHER || e->kind == IR_IMAGE || e->kind == IR_AUDIO) {
        ir_note(ir, e->node, e->kind == IR_IMAGE ? "an image of the answer"
                : e->kind == IR_AUDIO ? "audio of the answer" : NULL);
        return 0;
    }

    /* It says all at once, with its data. */

    if (e->kind == IR_REDACTED) {
        w->block[e->part] = (int16_t) w->blocks;
        return 0;
    }

    w->refused |= e->kind == IR_REFUSAL;
    w->block[e->part] = (int16_t) w->blocks++;
    anthropic_write_type(o, "content_block_start");
    out_key_int(o, "index", w->block[e->part]);

    if (e->kind == IR_REASONING) {
        out_z(o, ",\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\","
                 "\"signature\":\"\"}}\n\n");

    } else {
        out_z(o, ",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
    }

    return 0;
}


static void
anthropic_delta(out_t *o, int block, const char *type)
{
    anthropic_write_type(o, "content_block_delta");
    out_key_int(o, "index", block);
    out_z(o, ",\"delta\":{\"type\":\"");
    out_z(o, type);
    out_z(o, "\"");
}


static void
anthropic_write_delta(ir_t *ir, const ir_event_t *e, out_t *o, int block)
{
    size_t               mark;
    const char          *format;
    anthropic_writer_t  *w;

    w = ir->writer;
    format = ir->answer.choices[0]->last->format;
    mark = o->len;

    if (e->type == IR_CITATION) {
        anthropic_delta(o, block, "citations_delta");
        out_key(o, "citation");

        if (!anthropic_write_citation(&ir->event, o, e->node)) {
            ir_note(ir, node_peek(&ir->event, e->node, "native"), NULL);
            o->len = mark;
            return;
        }

        out_z(o, "}}\n\n");
        return;
    }

    if (e->type == IR_SIGNATURE) {

        if (e->kind == IR_REASONING) {
            anthropic_delta(o, block, "signature_delta");
            anthropic_tagged(o, "signature", format, e->text);
            out_z(o, "}}\n\n");
            w->signed_ = 1;

        } else {
            ir_note(ir, NULL, "a signature of the answer");
        }

        return;
    }

    switch (e->kind) {

    case IR_REASONING:
        anthropic_delta(o, block, "thinking_delta");
        out_key_escaped(o, "thinking", e->text);
        break;

    case IR_REDACTED:
        w->blocks++;
        anthropic_write_type(o, "content_block_start");
        out_key_int(o, "index", block);
        out_z(o, ",\"content_block\":{\"type\":\"redacted_thinking\"");
        anthropic_tagged(o, "data", format, e->text);
        break;

    default:
        anthropic_delta(o, block, "text_delta");
        out_key_escaped(o, "text", e->text);
    }

    out_z(o, "}}\n\n");
}


static void
anthropic_end(ir_t *ir, const ir_event_t *e, out_t *o)
{
    int                  block;
    const char          *format;
    anthropic_writer_t  *w;

    w = ir->writer;

    if (e->kind == IR_TOOL_CALL) {
        anthropic_call_end(&w->calls, e, o);
        return;
    }

    block = w->block[e->part];
    format = ir->answer.choices[0]->last->format;

    /* One that never said its data is none. */

    if (block < 0 || (e->kind == IR_REDACTED && block == w->blocks)) {
        return;
    }

    if (e->kind == IR_REASONING && !w->signed_) {
        anthropic_delta(o, block, "signature_delta");
        anthropic_tagged(o, "signature", format, ai_str(""));
        out_z(o, "}}\n\n");
    }

    anthropic_write_type(o, "content_block_stop");
    out_key_int(o, "index", block);
    out_z(o, "}\n\n");
}


static void
anthropic_message_end(ir_t *ir, out_t *o)
{
    anthropic_writer_t  *w;

    w = ir->writer;
    anthropic_write_type(o, "message_delta");
    out_z(o, ",\"delta\":{\"stop_reason\":\"");
    out_z(o, ir_word(anthropic_finishes, w->refused ? IR_FINISH_REFUSAL
                                                    : w->finish));
    out_z(o, "\",\"stop_sequence\":");

    if (w->finish == IR_FINISH_SEQUENCE && w->stop.len != 0) {
        out_escaped(o, w->stop);

    } else {
        out_z(o, "null");
    }

    out_z(o, "},\"usage\":");
    anthropic_usage(o, &ir->usage_now);
    out_z(o, "}\n\n");
    anthropic_write_type(o, "message_stop");
    out_z(o, "}\n\n");
}


/* Errors. */

int
anthropic_write_error(ir_t *ir, const ir_error_t *e, out_t *o)
{
    const ai_error_t  *row;

    row = ai_error_find((ai_str_t) { strlen(e->cause), e->cause });

    out_z(o, "{\"type\":\"error\",\"error\":{");
    out_key_z(o, "type", row != NULL ? row->anthropic_type : "api_error");
    out_key_escaped(o, "message", e->message);
    out_close(o, '}');

    if (ir->job.len != 0) {
        out_key(o, "request_id");
        out_bytes(o, ir->job);
    }

    out_close(o, '}');

    return 0;
}
