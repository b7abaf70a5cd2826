/*
 * OpenAI's chat completions: an answer that is an object, and an error, to a
 * client that speaks them.  Owns nothing.
 */

#include "dialect_openai.h"

#include <string.h>

#include "ai_error.h"


static void openai_message(ir_t *ir, out_t *o, const ir_choice_t *c);
static void openai_message_calls(ir_t *ir, out_t *o, const ir_choice_t *c);
static void openai_message_reasoning(out_t *o, const ir_choice_t *c);
static void openai_message_media(out_t *o, const ir_choice_t *c);
static void openai_annotations(ir_t *ir, out_t *o, const ir_choice_t *c);


static const ir_word_t  openai_finishes[] = {
    { "stop", IR_FINISH_STOP },
    { "length", IR_FINISH_LENGTH },
    { "length", IR_FINISH_CONTEXT },
    { "tool_calls", IR_FINISH_TOOLS },
    { "content_filter", IR_FINISH_FILTER },
    { "content_filter", IR_FINISH_REFUSAL },
    { NULL, IR_FINISH_NONE }
};


/* An id of another dialect begins as one of this. */

void
openai_say_id(out_t *o, ai_str_t id)
{
    out_z(o, "\"");

    if (id.len < 9 || memcmp(id.data, "chatcmpl-", 9) != 0) {
        out_z(o, "chatcmpl-");
    }

    out_add(o, id);
    out_z(o, "\"");
}


const char *
openai_say_finish(const ir_t *ir, ir_finish_e finish)
{
    return finish == IR_FINISH_TOOLS && ir->functions
           ? "function_call" : ir_word(openai_finishes, finish);
}


const char *
openai_format_said(const char *format)
{
    const openai_format_t  *f;

    for (f = openai_formats; f->said != NULL; f++) {
        if (format != NULL && strcmp(format, f->format) == 0) {
            return f->said;
        }
    }

    return NULL;
}


size_t
openai_chars(ai_str_t s)
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


int
openai_write_answer(ir_t *ir, const ir_answer_t *a, out_t *o)
{
    unsigned            i;
    const ir_choice_t  *c;

    out_open(o, '{');
    out_key(o, "id");
    openai_say_id(o, a->id);
    out_key_z(o, "object", "chat.completion");
    out_key_int(o, "created", a->created);
    out_key_escaped(o, "model", a->model);
    out_key(o, "choices");
    out_open(o, '[');

    for (i = 0; i < a->nchoices; i++) {
        c = a->choices[i];

        if (c == NULL) {
            continue;
        }

        out_item(o);
        out_open(o, '{');
        out_key_int(o, "index", i);
        openai_message(ir, o, c);
        out_key(o, "logprobs");
        out_node(o, &ir->tree, c->logprobs);
        out_key_z(o, "finish_reason", openai_say_finish(ir, c->finish));
        out_close(o, '}');
    }

    out_close(o, ']');
    out_key(o, "usage");
    openai_say_usage(o, &ir->usage_now);
    out_close(o, '}');

    return 0;
}


static void
openai_message(ir_t *ir, out_t *o, const ir_choice_t *c)
{
    int               text, refusal;
    const ir_part_t  *p;

    out_key(o, "message");
    out_open(o, '{');
    out_key_z(o, "role", "assistant");
    text = 0;
    refusal = 0;

    for (p = c->first; p != NULL; p = p->next) {
        text |= p->kind == IR_TEXT;
        refusal |= p->kind == IR_REFUSAL;

        if (p->kind == IR_OTHER) {
            ir_note(ir, p->node, NULL);
        }
    }

    out_key(o, "content");
    out_z(o, text ? "\"" : "null");

    for (p = c->first; p != NULL; p = p->next) {
        if (p->kind == IR_TEXT) {
            out_add(o, p->text);
        }
    }

    out_z(o, text ? "\"" : "");
    out_key(o, "refusal");
    out_z(o, refusal ? "\"" : "null");

    for (p = c->first; p != NULL; p = p->next) {
        if (p->kind == IR_REFUSAL) {
            out_add(o, p->text);
        }
    }

    out_z(o, refusal ? "\"" : "");
    openai_annotations(ir, o, c);
    openai_message_reasoning(o, c);
    openai_message_media(o, c);
    openai_message_calls(ir, o, c);
    out_close(o, '}');
}


static void
openai_message_calls(ir_t *ir, out_t *o, const ir_choice_t *c)
{
    unsigned          n;
    const ir_part_t  *p;

    n = 0;

    for (p = c->first; p != NULL; p = p->next) {

        if (p->kind != IR_TOOL_CALL) {
            continue;
        }

        if (n++ == 0) {
            out_key(o, ir->functions ? "function_call" : "tool_calls");
            out_z(o, ir->functions ? "" : "[");

        } else if (ir->functions) {
            ir_note(ir, NULL, "more than one function_call");
            continue;
        }

        if (!ir->functions) {
            out_item(o);
            out_open(o, '{');
            out_key_escaped(o, "id", p->id);
            out_key_z(o, "type", "function");
            out_key(o, "function");
        }

        out_open(o, '{');
        out_key_escaped(o, "name", p->name);
        out_key_escaped(o, "arguments", p->text.len != 0 ? p->text
                                        : ai_str("{}"));
        out_close(o, '}');

        if (!ir->functions) {

            if (p->signature.len != 0 && p->format != NULL
                && strcmp(p->format, "gemini") == 0)
            {
                out_key(o, "extra_content");
                out_z(o, "{\"google\":{\"thought_signature\":");
                out_escaped(o, p->signature);
                out_z(o, "}}");
            }

            out_close(o, '}');
        }
    }

    if (n != 0 && !ir->functions) {
        out_close(o, ']');
    }
}


static void
openai_message_reasoning(out_t *o, const ir_choice_t *c)
{
    int               index, details;
    unsigned          texts;
    const ir_part_t  *p;

    texts = 0;
    details = 0;

    for (p = c->first; p != NULL; p = p->next) {

        if (p->kind == IR_REASONING && p->text.len != 0) {

            if (texts++ == 0) {
                out_key(o, "reasoning_content");
                out_z(o, "\"");
            }

            out_add(o, p->text);
        }

        details |= p->kind == IR_REDACTED
                   || (p->kind == IR_REASONING
                       && openai_format_said(p->format) != NULL);
    }

    out_z(o, texts != 0 ? "\"" : "");

    if (!details) {
        return;
    }

    out_key(o, "reasoning_details");
    out_open(o, '[');
    index = 0;

    for (p = c->first; p != NULL; p = p->next) {
        if (p->kind == IR_REDACTED || p->kind == IR_REASONING) {
            out_item(o);
            openai_say_detail(o, p->kind, p->format, p->id, p->text,
                              p->signature, index++);
        }
    }

    out_close(o, ']');
}


void
openai_say_detail(out_t *o, ir_kind_e kind, const char *format, ai_str_t id,
    ai_str_t text, ai_str_t signature, int index)
{
    const char  *said;

    said = openai_format_said(format);
    out_open(o, '{');
    out_key_z(o, "type", kind == IR_REDACTED ? "reasoning.encrypted"
                                             : "reasoning.text");

    if (id.len != 0) {
        out_key_escaped(o, "id", id);
    }

    if (text.len != 0 || signature.len == 0) {
        out_key_escaped(o, kind == IR_REDACTED ? "data" : "text", text);
    }

    if (signature.len != 0) {
        out_key_escaped(o, "signature", signature);
    }

    out_key_z(o, "format", said != NULL ? said : "unknown");
    out_key_int(o, "index", index);
    out_close(o, '}');
}


void
openai_say_image(out_t *o, ai_str_t type, ai_str_t text)
{
    out_z(o, "{\"type\":\"image_url\",\"image_url\":{\"url\":\"");

    if (type.len != 0) {
        out_z(o, "data:");
        out_add(o, type);
        out_z(o, ";base64,");
    }

    out_add(o, text);
    out_z(o, "\"}}");
}


static void
openai_message_media(out_t *o, const ir_choice_t *c)
{
    unsigned          n;
    const ir_part_t  *p;

    n = 0;

    for (p = c->first; p != NULL; p = p->next) {

        if (p->kind == IR_IMAGE) {

            if (n++ == 0) {
                out_key(o, "images");
                out_open(o, '[');
            }

            out_item(o);
            openai_say_image(o, p->name, p->text);
        }
    }

    out_z(o, n != 0 ? "]" : "");

    for (p = c->first; p != NULL; p = p->next) {

        if (p->kind == IR_AUDIO) {
            out_key(o, "audio");
            out_open(o, '{');
            out_key_escaped(o, "id", p->id);
            out_key_escaped(o, "data", p->text);
            out_key_z(o, "transcript", "");
            out_key_int(o, "expires_at", 0);
            out_close(o, '}');
            return;
        }
    }
}


static void
openai_annotations(ir_t *ir, out_t *o, const ir_choice_t *c)
{
    size_t            chars, n, own, start, end;
    node_t           *cite, *url;
    tree_t           *t;
    const ir_part_t  *p;

    t = &ir->tree;
    chars = 0;
    n = 0;

    for (p = c->first; p != NULL; p = p->next) {

        if (p->kind != IR_TEXT) {
            continue;
        }

        own = openai_chars(p->text);
        cite = node_first(t, p->citations);

        for ( /* void */ ; cite != NULL; cite = cite->next) {
            url = node_get(t, cite, "url");

            if (url == NULL) {
                ir_note(ir, node_peek(t, cite, "native"), NULL);
                continue;
            }

            if (n++ == 0) {
                out_key(o, "annotations");
                out_open(o, '[');
            }

            start = (size_t) node_int(node_get(t, cite, "start"),
                                      (int64_t) chars);
            end = (size_t) node_int(node_get(t, cite, "end"),
                                    (int64_t) (chars + own));
            out_item(o);
            openai_say_annotation(o, node_text(url),
                                  node_text(node_get(t, cite, "title")),
                                  start, end);
        }

        chars += own;
    }

    out_z(o, n != 0 ? "]" : "");
}


void
openai_say_annotation(out_t *o, ai_str_t url, ai_str_t title, size_t start,
    size_t end)
{
    out_z(o, "{\"type\":\"url_citation\",\"url_citation\":{");
    out_key_int(o, "start_index", (int64_t) start);
    out_key_int(o, "end_index", (int64_t) end);
    out_key_escaped(o, "url", url);
    out_key_escaped(o, "title", title);
    out_z(o, "}}");
}


/* What is not known is nothing. */

void
openai_say_usage(out_t *o, const ir_usage_t *u)
{
    int64_t  input, output;

    input = u->input > 0 ? u->input : 0;
    output = u->output > 0 ? u->output : 0;

    out_open(o, '{');
    out_key_int(o, "prompt_tokens", input);
    out_key_int(o, "completion_tokens", output);
    out_key_int(o, "total_tokens", input + output);
    out_key(o, "prompt_tokens_details");
    out_open(o, '{');
    out_key_int(o, "cached_tokens", u->cached_read > 0 ? u->cached_read : 0);
    out_key_int(o, "audio_tokens", u->audio_input > 0 ? u->audio_input : 0);

    if (u->cached_write > 0) {
        out_key_int(o, "cache_write_tokens", u->cached_write);
    }

    out_close(o, '}');
    out_key(o, "completion_tokens_details");
    out_open(o, '{');
    out_key_int(o, "reasoning_tokens", u->reasoning > 0 ? u->reasoning : 0);
    out_key_int(o, "audio_tokens", u->audio_output > 0 ? u->audio_output : 0);
    out_key_int(o, "accepted_prediction_tokens",
                u->prediction_accepted > 0 ? u->prediction_accepted : 0);
    out_key_int(o, "rejected_prediction_tokens",
                u->prediction_rejected > 0 ? u->prediction_rejected : 0);
    out_z(o, "}}");
}


int
openai_write_error(ir_t *ir, const ir_error_t *e, out_t *o)
{
    const ai_error_t  *row;

    (void) ir;

    row = ai_error_find((ai_str_t) { strlen(e->cause), e->cause });

    out_z(o, "{\"error\":{");
    out_key_escaped(o, "message", e->message);
    out_key_z(o, "type", row != NULL ? row->openai_type : "server_error");
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

    out_z(o, "}}");

    return 0;
}
