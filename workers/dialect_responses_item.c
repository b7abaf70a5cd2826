/*
 * OpenAI's Responses: answers to a client that speaks them, their items, as an
 * object.  Owns nothing.
 *
 * Texts and refusals that follow each other are one message; each other part
 * is an item of its own.
 */

#include "dialect_responses.h"

#include <string.h>

#include "ai_error.h"


static void responses_usage(out_t *o, const ir_usage_t *u);
static void responses_hex(ir_t *ir, out_t *o);
static void responses_whole_part(ir_t *ir, out_t *o, const ir_part_t *p,
    node_t *logprobs);
static const ir_part_t *responses_whole_message(ir_t *ir, out_t *o,
    unsigned index, const ir_part_t *p, node_t **logprobs,
    const char *status);


/* The response around its items. */

void
responses_say_head(ir_t *ir, out_t *o, const char *status, ai_str_t model,
    int64_t created)
{
    out_open(o, '{');
    out_key(o, "id");
    out_z(o, "\"resp_");
    responses_hex(ir, o);
    out_z(o, "\"");
    out_key_z(o, "object", "response");
    out_key_int(o, "created_at", created);
    out_key_z(o, "status", status);
    out_key_escaped(o, "model", model);

    if (ir->again.len != 0) {
        out_z(o, ",");
        out_add(o, (ai_str_t) { ir->again.len, ir->again.data });
    }
}


void
responses_say_tail(out_t *o, const ir_usage_t *u)
{
    out_key(o, "usage");

    if (u != NULL) {
        responses_usage(o, u);

    } else {
        out_z(o, "null");
    }

    out_close(o, '}');
}


/* What is not known is nothing. */

static void
responses_usage(out_t *o, const ir_usage_t *u)
{
    int64_t  input, output;

    input = u->input > 0 ? u->input : 0;
    output = u->output > 0 ? u->output : 0;

    out_open(o, '{');
    out_key_int(o, "input_tokens", input);
    out_key(o, "input_tokens_details");
    out_open(o, '{');
    out_key_int(o, "cached_tokens", u->cached_read > 0 ? u->cached_read : 0);
    out_key_int(o, "cache_write_tokens",
                u->cached_write > 0 ? u->cached_write : 0);
    out_close(o, '}');
    out_key_int(o, "output_tokens", output);
    out_key(o, "output_tokens_details");
    out_open(o, '{');
    out_key_int(o, "reasoning_tokens", u->reasoning > 0 ? u->reasoning : 0);
    out_close(o, '}');
    out_key_int(o, "total_tokens", input + output);
    out_close(o, '}');
}


const char *
responses_status(ir_finish_e finish)
{
    switch (finish) {

    case IR_FINISH_LENGTH:
    case IR_FINISH_CONTEXT:
    case IR_FINISH_FILTER:
    case IR_FINISH_REFUSAL:
        return "incomplete";

    default:
        return "completed";
    }
}


void
responses_say_why(out_t *o, ir_finish_e finish)
{
    out_key(o, "error");
    out_z(o, "null");
    out_key(o, "incomplete_details");

    switch (finish) {

    case IR_FINISH_LENGTH:
    case IR_FINISH_CONTEXT:
        out_z(o, "{\"reason\":\"max_output_tokens\"}");
        break;

    case IR_FINISH_FILTER:
    case IR_FINISH_REFUSAL:
        out_z(o, "{\"reason\":\"content_filter\"}");
        break;

    default:
        out_z(o, "null");
    }
}


/* Ids: what of the job's is behind its prefix. */

static void
responses_hex(ir_t *ir, out_t *o)
{
    ai_str_t  job;

    job = ir->job;

    if (job.len > 4) {
        job.data += 4;
        job.len -= 4;
    }

    out_add(o, job);
}


void
responses_say_id(ir_t *ir, out_t *o, const char *prefix, unsigned index)
{
    out_z(o, "\"");
    out_z(o, prefix);
    responses_hex(ir, o);
    out_z(o, "_");
    out_int(o, index);
    out_z(o, "\"");
}


/* Items. */

void
responses_say_part(out_t *o, ir_kind_e kind, ai_str_t text,
    ai_str_t annotations, ai_str_t logprobs)
{
    out_open(o, '{');

    if (kind == IR_REFUSAL) {
        out_key_z(o, "type", "refusal");
        out_key_escaped(o, "refusal", text);

    } else {
        out_key_z(o, "type", "output_text");
        out_key(o, "annotations");
        out_open(o, '[');
        out_add(o, annotations);
        out_close(o, ']');
        out_key(o, "logprobs");
        out_open(o, '[');
        out_add(o, logprobs);
        out_close(o, ']');
        out_key_escaped(o, "text", text);
    }

    out_close(o, '}');
}


void
responses_say_message(ir_t *ir, out_t *o, unsigned index, ai_str_t content,
    const char *status)
{
    out_open(o, '{');
    out_key(o, "id");
    responses_say_id(ir, o, "msg_", index);
    out_key_z(o, "type", "message");
    out_key_z(o, "status", status);
    out_key(o, "content");
    out_open(o, '[');
    out_add(o, content);
    out_close(o, ']');
    out_key_z(o, "role", "assistant");
    out_close(o, '}');
}


void
responses_say_call(ir_t *ir, out_t *o, unsigned index, ai_str_t id,
    ai_str_t name, ai_str_t arguments, const char *status)
{
    out_open(o, '{');
    out_key(o, "id");
    responses_say_id(ir, o, "fc_", index);
    out_key_z(o, "type", "function_call");
    out_key_z(o, "status", status);
    out_key_escaped(o, "arguments", arguments);
    out_key_escaped(o, "call_id", id);
    out_key_escaped(o, "name", name);
    out_close(o, '}');
}


int
responses_own(const char *format)
{
    return format != NULL && strcmp(format, "responses") == 0;
}


void
responses_say_reasoning(ir_t *ir, out_t *o, unsigned index, ai_str_t id,
    ai_str_t text, char what, const char *format, ai_str_t sign)
{
    out_open(o, '{');
    out_key(o, "id");

    if (id.len != 0 && responses_own(format)) {
        out_escaped(o, id);

    } else {
        responses_say_id(ir, o, "rs_", index);
    }

    out_key_z(o, "type", "reasoning");
    out_key(o, "summary");
    out_open(o, '[');

    if (text.len != 0) {
        out_open(o, '{');
        out_key_z(o, "type", "summary_text");
        out_key_escaped(o, "text", text);
        out_close(o, '}');
    }

    out_close(o, ']');

    if (what != 0 && (sign.len != 0 || !responses_own(format))) {
        out_key(o, "encrypted_content");
        out_z(o, "\"");

        if (!responses_own(format)) {
            out_z(o, RESPONSES_TAG);
            out_z(o, format != NULL ? format : "openai");
            out_z(o, ":");
            out_add(o, (ai_str_t) { 1, &what });
            out_z(o, ":");
        }

        out_add(o, sign);
        out_z(o, "\"");
    }

    out_close(o, '}');
}


void
responses_say_image(ir_t *ir, out_t *o, unsigned index, ai_str_t type,
    ai_str_t data, const char *status)
{
    const char  *slash;

    out_open(o, '{');
    out_key(o, "id");
    responses_say_id(ir, o, "ig_", index);
    out_key_z(o, "type", "image_generation_call");
    out_key_z(o, "status", status);
    slash = type.len != 0 ? memchr(type.data, '/', type.len) : NULL;

    if (slash != NULL) {
        out_key_escaped(o, "output_format",
                        (ai_str_t) { (size_t) (type.data + type.len - slash)
                                     - 1, slash + 1 });
    }

    out_key(o, "result");

    if (data.len != 0) {
        out_escaped(o, data);

    } else {
        out_z(o, "null");
    }

    out_close(o, '}');
}


void
responses_say_annotation(out_t *o, ai_str_t url, ai_str_t title, int64_t start,
    int64_t end)
{
    out_open(o, '{');
    out_key_z(o, "type", "url_citation");
    out_key_int(o, "end_index", end);
    out_key_int(o, "start_index", start);
    out_key_escaped(o, "title", title);
    out_key_escaped(o, "url", url);
    out_close(o, '}');
}


/* Characters of an escaped text. */

size_t
responses_chars(ai_str_t s)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < s.len; i++) {

        if (((unsigned char) s.data[i] & 0xC0) == 0x80) {
            continue;
        }

        n++;

        if (s.data[i] != '\\' || ++i >= s.len || s.data[i] != 'u') {
            continue;
        }

        /* The second half of a pair is no character of its own. */

        if (i + 6 < s.len && (s.data[i + 1] | 0x20) == 'd'
            && strchr("89abAB", s.data[i + 2]) != NULL
            && s.data[i + 5] == '\\' && s.data[i + 6] == 'u')
        {
            i += 6;
        }

        i += 4;
    }

    return n;
}


/* Of chat completions' form, the elements. */

void
responses_say_logprobs(tree_t *t, out_t *o, node_t *logprobs)
{
    node_t  *n;

    n = node_first(t, node_get(t, logprobs, "content"));

    for ( /* void */ ; n != NULL; n = n->next) {
        out_item(o);
        out_node(o, t, n);
    }
}


/* An object. */

static void
responses_whole_part(ir_t *ir, out_t *o, const ir_part_t *p, node_t *logprobs)
{
    out_t    notes, probs;
    node_t  *cite, *url;
    tree_t  *t;

    t = &ir->tree;
    memset(&notes, 0, sizeof(notes));
    memset(&probs, 0, sizeof(probs));
    cite = node_first(t, p->citations);

    for ( /* void */ ; cite != NULL; cite = cite->next) {
        url = node_get(t, cite, "url");

        if (url == NULL) {
            ir_note(ir, node_peek(t, cite, "native"), NULL);
            continue;
        }

        out_item(&notes);
        responses_say_annotation(&notes, node_text(url),
                                 node_text(node_get(t, cite, "title")),
                                 node_int(node_get(t, cite, "start"), 0),
                                 node_int(node_get(t, cite, "end"),
                                          (int64_t) responses_chars(p->text)));
    }

    responses_say_logprobs(t, &probs, logprobs);
    out_item(o);
    responses_say_part(o, p->kind, p->text,
                       (ai_str_t) { notes.len, notes.len ? notes.data : "" },
                       (ai_str_t) { probs.len, probs.len ? probs.data : "" });
    o->failed |= notes.failed | probs.failed;
    out_free(&notes);
    out_free(&probs);
}


static const ir_part_t *
responses_whole_message(ir_t *ir, out_t *o, unsigned index,
    const ir_part_t *p, node_t **logprobs, const char *status)
{
    out_t             content;
    const ir_part_t  *last;

    memset(&content, 0, sizeof(content));
    last = p;

    for ( /* void */ ;
         p != NULL && (p->kind == IR_TEXT || p->kind == IR_REFUSAL);
         p = p->next)
    {
        responses_whole_part(ir, &content, p,
                             p->kind == IR_TEXT ? *logprobs : NULL);

        if (p->kind == IR_TEXT) {
            *logprobs = NULL;
        }

        last = p;
    }

    responses_say_message(ir, o, index,
                          (ai_str_t) { content.len, content.data }, status);
    o->failed |= content.failed;
    out_free(&content);

    return last;
}


int
responses_write_answer(ir_t *ir, const ir_answer_t *a, out_t *o)
{
    node_t             *logprobs;
    unsigned            n;
    ir_finish_e         finish;
    const char         *last;
    const ir_part_t    *p;
    const ir_choice_t  *c;

    c = a->nchoices != 0 ? a->choices[0] : NULL;
    finish = c != NULL ? c->finish : IR_FINISH_STOP;
    logprobs = c != NULL ? c->logprobs : NULL;

    if (a->nchoices > 1) {
        ir_note(ir, NULL, "more than one choice");
    }

    responses_say_head(ir, o, responses_status(finish), a->model, a->created);
    responses_say_why(o, finish);
    out_key(o, "output");
    out_open(o, '[');
    n = 0;

    for (p = c != NULL ? c->first : NULL; p != NULL; p = p->next) {
        last = p->next == NULL ? responses_status(finish) : "completed";

        switch (p->kind) {

        case IR_TEXT:
        case IR_REFUSAL:
            out_item(o);
            p = responses_whole_message(ir, o, n++, p, &logprobs,
                                        responses_status(finish));
            break;

        case IR_REASONING:
            out_item(o);
            responses_say_reasoning(ir, o, n++, p->id, p->text, 's', p->format,
                                    p->signature);
            continue;

        case IR_REDACTED:
            out_item(o);
            responses_say_reasoning(ir, o, n++, p->id, ai_str(""), 'd',
                                    p->format, p->text);
            continue;

        case IR_TOOL_CALL:
            out_item(o);
            responses_say_call(ir, o, n++, p->id, p->name, p->text.len != 0
                               ? p->text : ai_str("{}"), last);
            break;

        case IR_IMAGE:
            if (p->name.len == 0) {
                ir_note(ir, NULL, "an image that is a URL");
                continue;
            }

            out_item(o);
            responses_say_image(ir, o, n++, p->name, p->text, "completed");
            break;

        case IR_AUDIO:
            ir_note(ir, NULL, "audio");
            continue;

        default:
            ir_note(ir, p->node, NULL);
            continue;
        }

        if (p->signature.len != 0) {
            out_item(o);
            responses_say_reasoning(ir, o, n++, ai_str(""), ai_str(""), 'p',
                                    p->format, p->signature);
        }
    }

    out_close(o, ']');
    responses_say_tail(o, &ir->usage_now);

    return 0;
}


/* Errors. */

void
responses_say_error(const ir_error_t *e, out_t *o, int type)
{
    const ai_error_t  *row;

    row = ai_error_find((ai_str_t) { strlen(e->cause), e->cause });
    out_key_escaped(o, "message", e->message);

    if (type) {
        out_key_z(o, "type", row != NULL ? row->openai_type : "server_error");
    }

    out_key(o, "param");

    if (e->param.len != 0) {
        out_escaped(o, e->param);

    } else {
        out_z(o, "null");
    }

    out_key(o, "code");

    if (e->code.len != 0) {
        out_escaped(o, e->code);

    } else {
        out_z(o, "null");
    }
}


int
responses_write_error(ir_t *ir, const ir_error_t *e, out_t *o)
{
    (void) ir;

    out_z(o, "{\"error\":{");
    responses_say_error(e, o, 1);
    out_z(o, "}}");

    return 0;
}
