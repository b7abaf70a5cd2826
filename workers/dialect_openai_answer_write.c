/*
 * OpenAI's chat completions: answers to a client that speaks them, as an object
 * or a stream.  Owns nothing; state lies in the ir_t's tree.
 */

#include "dialect_openai.h"

#include <string.h>

#include "ai_error.h"


typedef struct openai_citation_s  openai_citation_t;

struct openai_citation_s {
    openai_citation_t *next;
    ai_str_t           url;
    ai_str_t           title;
};

/* A choice of a stream. */
typedef struct {
    unsigned           ncalls;
    int                open_call;
    size_t             chars;       /* of its text so far */
    size_t             begun;       /* of them, when the open part began */
    openai_citation_t *first;       /* of that part */
    openai_citation_t *last;
    uint16_t           calls[IR_PARTS_MAX];     /* of parts, their index */
} openai_writing_t;

typedef struct {
    ai_str_t          head;         /* of every chunk */
    openai_writing_t *choices[IR_CHOICES_MAX];
} openai_writer_t;

_Static_assert(sizeof(openai_writer_t) <= OPENAI_WRITER_SIZE, "writer");


static void openai_id(out_t *o, ai_str_t id);
static void openai_message(ir_t *ir, out_t *o, const ir_choice_t *c);
static void openai_message_calls(ir_t *ir, out_t *o, const ir_choice_t *c);
static void openai_message_reasoning(out_t *o, const ir_choice_t *c);
static void openai_message_media(out_t *o, const ir_choice_t *c);
static void openai_annotations(ir_t *ir, out_t *o, const ir_choice_t *c);
static void openai_annotation(out_t *o, ai_str_t url, ai_str_t title,
    size_t start, size_t end);
static void openai_detail(out_t *o, ir_kind_e kind, const char *format,
    ai_str_t id, ai_str_t text, ai_str_t signature, int index);
static void openai_usage(out_t *o, const ir_usage_t *u);
static openai_writing_t *openai_writing(ir_t *ir, unsigned choice,
    out_t *o);
static void openai_chunk(ir_t *ir, out_t *o, unsigned choice);
static void openai_chunk_end(ir_t *ir, out_t *o, const char *finish);
static int openai_write_part(ir_t *ir, const ir_event_t *e, out_t *o,
    openai_writing_t *w);
static void openai_write_delta(ir_t *ir, const ir_event_t *e, out_t *o,
    openai_writing_t *w);
static void openai_write_end(ir_t *ir, const ir_event_t *e, out_t *o,
    openai_writing_t *w);
static void openai_cite(ir_t *ir, const ir_event_t *e, openai_writing_t *w);
static const char *openai_finish(const ir_t *ir, ir_finish_e finish);


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

static void
openai_id(out_t *o, ai_str_t id)
{
    out_z(o, "\"");

    if (id.len < 9 || memcmp(id.data, "chatcmpl-", 9) != 0) {
        out_z(o, "chatcmpl-");
    }

    out_add(o, id);
    out_z(o, "\"");
}


static const char *
openai_finish(const ir_t *ir, ir_finish_e finish)
{
    return finish == IR_FINISH_TOOLS && ir->functions
           ? "function_call" : ir_word(openai_finishes, finish);
}


static const char *
openai_format_out(const char *format)
{
    const openai_format_t  *f;

    for (f = openai_formats; f->said != NULL; f++) {
        if (format != NULL && strcmp(format, f->format) == 0) {
            return f->said;
        }
    }

    return NULL;
}


/* Characters of an escaped text. */

static size_t
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


/* An object. */

int
openai_write_answer(ir_t *ir, const ir_answer_t *a, out_t *o)
{
    unsigned            i;
    const ir_choice_t  *c;

    out_open(o, '{');
    out_key(o, "id");
    openai_id(o, a->id);
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
        out_key_z(o, "finish_reason", openai_finish(ir, c->finish));
        out_close(o, '}');
    }

    out_close(o, ']');
    out_key(o, "usage");
    openai_usage(o, &ir->usage_now);
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
                       && openai_format_out(p->format) != NULL);
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
            openai_detail(o, p->kind, p->format, p->id, p->text, p->signature,
                          index++);
        }
    }

    out_close(o, ']');
}


static void
openai_detail(out_t *o, ir_kind_e kind, const char *format, ai_str_t id,
    ai_str_t text, ai_str_t signature, int index)
{
    const char  *said;

    said = openai_format_out(format);
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


static void
openai_image(out_t *o, ai_str_t type, ai_str_t text)
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
            openai_image(o, p->name, p->text);
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
            openai_annotation(o, node_text(url),
                              node_text(node_get(t, cite, "title")), start,
                              end);
        }

        chars += own;
    }

    out_z(o, n != 0 ? "]" : "");
}


static void
openai_annotation(out_t *o, ai_str_t url, ai_str_t title, size_t start,
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

static void
openai_usage(out_t *o, const ir_usage_t *u)
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


/* A stream. */

static int
openai_begin(ir_t *ir)
{
    out_t             head;
    openai_writer_t  *w;

    w = ir->writer;
    memset(&head, 0, sizeof(head));
    out_z(&head, "data: {\"id\":");
    openai_id(&head, ir->answer.id);
    out_z(&head, ",\"object\":\"chat.completion.chunk\"");
    out_key_int(&head, "created", ir->answer.created);
    out_key_escaped(&head, "model", ir->answer.model);
    out_z(&head, ",\"choices\":[");
    w->head = tree_copy(&ir->tree, (ai_str_t) { head.len, head.data });
    ir->tree.failed |= head.failed;
    out_free(&head);

    return ir->tree.failed ? -1 : 0;
}


/* What follows is its delta's members. */

static void
openai_chunk(ir_t *ir, out_t *o, unsigned choice)
{
    openai_writer_t  *w;

    w = ir->writer;
    out_add(o, w->head);
    out_z(o, "{\"index\":");
    out_int(o, choice);
    out_z(o, ",\"delta\":{");
}


static void
openai_chunk_end(ir_t *ir, out_t *o, const char *finish)
{
    out_z(o, "},\"logprobs\":null,\"finish_reason\":");

    if (finish != NULL) {
        out_z(o, "\"");
        out_z(o, finish);
        out_z(o, "\"");

    } else {
        out_z(o, "null");
    }

    out_z(o, ir->usage ? "}],\"usage\":null}\n\n" : "}]}\n\n");
}


/* The first time a choice is spoken of, its role is. */

static openai_writing_t *
openai_writing(ir_t *ir, unsigned choice, out_t *o)
{
    openai_writer_t   *w;
    openai_writing_t  *c;

    w = ir->writer;
    c = w->choices[choice];

    if (c == NULL) {
        c = tree_alloc(&ir->tree, sizeof(openai_writing_t));

        if (c == NULL) {
            return NULL;
        }

        memset(c, 0, offsetof(openai_writing_t, calls));
        w->choices[choice] = c;

        openai_chunk(ir, o, choice);
        out_z(o, "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null");
        openai_chunk_end(ir, o, NULL);
    }

    return c;
}


int
openai_write_event(ir_t *ir, const ir_event_t *e, out_t *o)
{
    openai_writer_t   *w;
    openai_writing_t  *c;

    if (e->type == IR_START) {
        return openai_begin(ir) == 0 && openai_writing(ir, 0, o) != NULL
               ? 0 : -1;
    }

    w = ir->writer;

    switch (e->type) {

    case IR_PING:
        out_z(o, ": ping\n\n");
        return 0;

    case IR_USAGE:
        return 0;

    case IR_ERROR:
        out_z(o, "data: ");
        openai_write_error(ir, &ir->error, o);
        out_z(o, "\n\n");
        return 0;

    case IR_END:
        if (ir->usage) {
            out_add(o, w->head);
            out_z(o, "],\"usage\":");
            openai_usage(o, &ir->usage_now);
            out_z(o, "}\n\n");
        }

        out_z(o, "data: [DONE]\n\n");
        return 0;

    default:
        break;
    }

    c = openai_writing(ir, e->choice, o);

    if (c == NULL) {
        return -1;
    }

    switch (e->type) {

    case IR_PART:
        return openai_write_part(ir, e, o, c);

    case IR_DELTA:
    case IR_SIGNATURE:
        openai_write_delta(ir, e, o, c);
        return 0;

    case IR_CITATION:
        openai_cite(ir, e, c);
        return 0;

    case IR_PART_END:
        openai_write_end(ir, e, o, c);
        return 0;

    case IR_LOGPROBS:
        out_add(o, w->head);
        out_z(o, "{\"index\":");
        out_int(o, e->choice);
        out_z(o, ",\"delta\":{},\"logprobs\":");
        out_node(o, &ir->event, e->node);
        out_z(o, ",\"finish_reason\":null}]}\n\n");
        return 0;

    default:
        openai_chunk(ir, o, e->choice);
        openai_chunk_end(ir, o, openai_finish(ir, e->finish));
        return 0;
    }
}


static int
openai_write_part(ir_t *ir, const ir_event_t *e, out_t *o,
    openai_writing_t *w)
{
    w->begun = w->chars;
    w->first = NULL;
    w->last = NULL;

    if (e->kind == IR_OTHER) {
        ir_note(ir, e->node, NULL);
    }

    if (e->kind != IR_TOOL_CALL) {
        return 0;
    }

    w->calls[e->part] = (uint16_t) w->ncalls++;

    if (ir->functions) {

        if (w->ncalls > 1) {
            ir_note(ir, NULL, "more than one function_call");
            return 0;
        }

        openai_chunk(ir, o, e->choice);
        out_z(o, "\"function_call\":{");
        out_key_escaped(o, "name", e->name);
        out_key_z(o, "arguments", "");
        out_close(o, '}');

    } else {
        openai_chunk(ir, o, e->choice);
        out_z(o, "\"tool_calls\":[{\"index\":");
        out_int(o, w->calls[e->part]);
        out_key_escaped(o, "id", e->id);
        out_z(o, ",\"type\":\"function\",\"function\":{");
        out_key_escaped(o, "name", e->name);
        out_key_z(o, "arguments", "");
        out_z(o, "}}]");
    }

    openai_chunk_end(ir, o, NULL);

    return 0;
}


static void
openai_write_delta(ir_t *ir, const ir_event_t *e, out_t *o,
    openai_writing_t *w)
{
    ai_str_t          none;
    const char       *format;
    const ir_part_t  *p;

    none = ai_str("");
    p = ir->answer.choices[e->choice]->last;
    format = p->format;

    /* Nobody has a place for these but in details. */

    if ((e->type == IR_SIGNATURE && e->kind != IR_REASONING
         && (e->kind != IR_TOOL_CALL || format == NULL
             || strcmp(format, "gemini") != 0))
        || e->kind == IR_OTHER)
    {
        return;
    }

    if (e->kind == IR_TOOL_CALL && ir->functions
        && w->calls[e->part] != 0)
    {
        return;
    }

    openai_chunk(ir, o, e->choice);

    switch (e->kind) {

    case IR_TEXT:
        w->chars += openai_chars(e->text);
        out_key_escaped(o, "content", e->text);
        break;

    case IR_REFUSAL:
        out_key_escaped(o, "refusal", e->text);
        break;

    case IR_TOOL_CALL:
        if (ir->functions) {
            out_z(o, "\"function_call\":{\"arguments\":");
            out_escaped(o, e->text);
            out_close(o, '}');
            break;
        }

        out_z(o, "\"tool_calls\":[{\"index\":");
        out_int(o, w->calls[e->part]);

        if (e->type == IR_SIGNATURE) {
            out_z(o, ",\"extra_content\":{\"google\":{\"thought_signature\":");
            out_escaped(o, e->text);
            out_z(o, "}}}]");
            break;
        }

        out_z(o, ",\"function\":{\"arguments\":");
        out_escaped(o, e->text);
        out_z(o, "}}]");
        break;

    case IR_IMAGE:
        out_z(o, "\"images\":[");
        openai_image(o, p->name, e->text);
        out_close(o, ']');
        break;

    case IR_AUDIO:
        out_z(o, "\"audio\":{\"data\":");
        out_escaped(o, e->text);
        out_close(o, '}');
        break;

    default:
        if (e->type == IR_DELTA && e->kind == IR_REASONING) {
            out_key_escaped(o, "reasoning_content", e->text);
        }

        if (e->kind == IR_REDACTED || openai_format_out(format) != NULL) {
            out_key(o, "reasoning_details");
            out_open(o, '[');
            openai_detail(o, e->kind, format, none,
                          e->type == IR_DELTA ? e->text : none,
                          e->type == IR_SIGNATURE ? e->text : none,
                          (int) e->part);
            out_close(o, ']');
        }
    }

    openai_chunk_end(ir, o, NULL);
}


/* Where a citation ends is known with the end of its part. */

static void
openai_cite(ir_t *ir, const ir_event_t *e, openai_writing_t *w)
{
    node_t             *url;
    openai_citation_t  *c;

    url = node_get(&ir->event, e->node, "url");

    if (url == NULL) {
        ir_note(ir, node_peek(&ir->event, e->node, "native"), NULL);
        return;
    }

    c = tree_alloc(&ir->tree, sizeof(*c));

    if (c == NULL) {
        return;
    }

    c->next = NULL;
    c->url = tree_copy(&ir->tree, node_text(url));
    c->title = tree_copy(&ir->tree,
                         node_text(node_get(&ir->event, e->node, "title")));

    if (w->last != NULL) {
        w->last->next = c;

    } else {
        w->first = c;
    }

    w->last = c;
}


static void
openai_write_end(ir_t *ir, const ir_event_t *e, out_t *o, openai_writing_t *w)
{
    openai_citation_t  *c;

    if (w->first == NULL) {
        return;
    }

    openai_chunk(ir, o, e->choice);
    out_key(o, "annotations");
    out_open(o, '[');

    for (c = w->first; c != NULL; c = c->next) {
        out_item(o);
        openai_annotation(o, c->url, c->title, w->begun, w->chars);
    }

    out_close(o, ']');
    openai_chunk_end(ir, o, NULL);
}


/* Errors. */

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
