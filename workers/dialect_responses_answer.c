/*
 * OpenAI's Responses: answers to a client that speaks them, as an object or a
 * stream.  Owns nothing; state lies in the ir_t's tree.
 *
 * Texts and refusals that follow each other are one message; each other part
 * is an item of its own.
 */

#include "dialect_responses.h"

#include <string.h>

#include "ai_error.h"
#include "ai_id.h"


typedef struct responses_item_s  responses_item_t;

typedef struct {
    char  *data;
    size_t len;
    size_t size;
} responses_grown_t;

typedef struct responses_citation_s  responses_citation_t;

struct responses_citation_s {
    responses_citation_t *next;
    ai_str_t              url;
    ai_str_t              title;
    int64_t               start;
    int64_t               end;      /* -1: that of its text */
};

/* Of a stream. */
struct responses_item_s {
    responses_item_t  *next;
    unsigned           index;
    int                part;        /* of a call, -1 */
    unsigned           ended:1;     /* json is whole */
    ai_str_t           call_id;
    ai_str_t           name;
    responses_grown_t  text;        /* of a call */
    ai_str_t           json;
};

typedef struct {
    responses_item_t  *first;
    responses_item_t  *last;
    unsigned           items;
    unsigned           sequence;
    unsigned           message:1;   /* the last item is one that is open */
    unsigned           extra:1;     /* choices were noted */
    unsigned           contents;    /* of it */
    size_t             chars;       /* of the open text */
    responses_citation_t  *citations;    /* of the open text */
    responses_citation_t **cite;
    responses_grown_t  content;     /* of the message, JSON */
    responses_grown_t  text;        /* of the open part */
    responses_grown_t  sign;        /* its signature */
    responses_grown_t  annotations;
    responses_grown_t  logprobs;
    ai_str_t           kept;        /* name or id of the open part */
    const char        *format;
} responses_writer_t;

_Static_assert(sizeof(responses_writer_t) <= RESPONSES_WRITER_SIZE, "writer");


static void responses_head(ir_t *ir, out_t *o, const char *status,
    ai_str_t model, int64_t created);
static void responses_tail(ir_t *ir, out_t *o, const ir_usage_t *u);
static void responses_usage(out_t *o, const ir_usage_t *u);
static const char *responses_status(ir_finish_e finish);
static void responses_why(out_t *o, ir_finish_e finish);
static void responses_hex(ir_t *ir, out_t *o);
static void responses_id(ir_t *ir, out_t *o, const char *prefix,
    unsigned index);
static void responses_part(out_t *o, ir_kind_e kind, ai_str_t text,
    ai_str_t annotations, ai_str_t logprobs);
static void responses_message(ir_t *ir, out_t *o, unsigned index,
    ai_str_t content, const char *status);
static void responses_call(ir_t *ir, out_t *o, unsigned index, ai_str_t id,
    ai_str_t name, ai_str_t arguments, const char *status);
static void responses_reasoning(ir_t *ir, out_t *o, unsigned index,
    ai_str_t id, ai_str_t text, char what, const char *format, ai_str_t sign);
static void responses_image(ir_t *ir, out_t *o, unsigned index, ai_str_t type,
    ai_str_t data, const char *status);
static void responses_annotation(out_t *o, ai_str_t url, ai_str_t title,
    int64_t start, int64_t end);
static int responses_own(const char *format);
static size_t responses_chars(ai_str_t s);
static void responses_logprobs(tree_t *t, out_t *o, node_t *logprobs);
static void responses_begin(ir_t *ir, out_t *o, const char *type);
static void responses_snapshot(ir_t *ir, out_t *o, const char *type,
    const char *status);
static void responses_write_logprobs(ir_t *ir, const ir_event_t *e,
    out_t *o);
static int responses_write_part(ir_t *ir, const ir_event_t *e, out_t *o);
static int responses_write_delta(ir_t *ir, const ir_event_t *e, out_t *o);
static int responses_write_end(ir_t *ir, const ir_event_t *e, out_t *o);
static void responses_cite(ir_t *ir, const ir_event_t *e);
static void responses_annotations(ir_t *ir, out_t *o);
static void responses_end(ir_t *ir, out_t *o);
static void responses_failed(ir_t *ir, out_t *o);


/* Texts that grow in the tree. */

static void
responses_grow(ir_t *ir, responses_grown_t *g, ai_str_t s)
{
    char    *to;
    size_t   size;

    if (g->size - g->len < s.len) {
        size = (g->len + s.len) * 2 + 64;
        to = tree_alloc(&ir->tree, size);

        if (to == NULL) {
            return;
        }

        memcpy(to, g->data != NULL ? g->data : "", g->len);
        g->data = to;
        g->size = size;
    }

    if (s.len != 0) {
        memcpy(g->data + g->len, s.data, s.len);
        g->len += s.len;
    }
}


static ai_str_t
responses_grown(const responses_grown_t *g)
{
    return (ai_str_t) { g->len, g->data != NULL ? g->data : "" };
}


/* What o has since mark, kept. */

static ai_str_t
responses_keep(ir_t *ir, const out_t *o, size_t mark)
{
    if (o->failed) {
        return ai_str("");
    }

    return tree_copy(&ir->tree, (ai_str_t) { o->len - mark, o->data + mark });
}


/* The response around its items. */

static void
responses_head(ir_t *ir, out_t *o, const char *status, ai_str_t model,
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


static void
responses_tail(ir_t *ir, out_t *o, const ir_usage_t *u)
{
    (void) ir;

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


static const char *
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


static void
responses_why(out_t *o, ir_finish_e finish)
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


static void
responses_id(ir_t *ir, out_t *o, const char *prefix, unsigned index)
{
    out_z(o, "\"");
    out_z(o, prefix);
    responses_hex(ir, o);
    out_z(o, "_");
    out_int(o, index);
    out_z(o, "\"");
}


/* Items. */

static void
responses_part(out_t *o, ir_kind_e kind, ai_str_t text, ai_str_t annotations,
    ai_str_t logprobs)
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


static void
responses_message(ir_t *ir, out_t *o, unsigned index, ai_str_t content,
    const char *status)
{
    out_open(o, '{');
    out_key(o, "id");
    responses_id(ir, o, "msg_", index);
    out_key_z(o, "type", "message");
    out_key_z(o, "status", status);
    out_key(o, "content");
    out_open(o, '[');
    out_add(o, content);
    out_close(o, ']');
    out_key_z(o, "role", "assistant");
    out_close(o, '}');
}


static void
responses_call(ir_t *ir, out_t *o, unsigned index, ai_str_t id, ai_str_t name,
    ai_str_t arguments, const char *status)
{
    out_open(o, '{');
    out_key(o, "id");
    responses_id(ir, o, "fc_", index);
    out_key_z(o, "type", "function_call");
    out_key_z(o, "status", status);
    out_key_escaped(o, "arguments", arguments);
    out_key_escaped(o, "call_id", id);
    out_key_escaped(o, "name", name);
    out_close(o, '}');
}


static int
responses_own(const char *format)
{
    return format != NULL && strcmp(format, "responses") == 0;
}


/* what: 0, nothing is encrypted so far. */

static void
responses_reasoning(ir_t *ir, out_t *o, unsigned index, ai_str_t id,
    ai_str_t text, char what, const char *format, ai_str_t sign)
{
    out_open(o, '{');
    out_key(o, "id");

    if (id.len != 0 && responses_own(format)) {
        out_escaped(o, id);

    } else {
        responses_id(ir, o, "rs_", index);
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


static void
responses_image(ir_t *ir, out_t *o, unsigned index, ai_str_t type,
    ai_str_t data, const char *status)
{
    const char  *slash;

    out_open(o, '{');
    out_key(o, "id");
    responses_id(ir, o, "ig_", index);
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


static void
responses_annotation(out_t *o, ai_str_t url, ai_str_t title, int64_t start,
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

static size_t
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

static void
responses_logprobs(tree_t *t, out_t *o, node_t *logprobs)
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
        responses_annotation(&notes, node_text(url),
                             node_text(node_get(t, cite, "title")),
                             node_int(node_get(t, cite, "start"), 0),
                             node_int(node_get(t, cite, "end"),
                                      (int64_t) responses_chars(p->text)));
    }

    responses_logprobs(t, &probs, logprobs);
    out_item(o);
    responses_part(o, p->kind, p->text,
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

    responses_message(ir, o, index, (ai_str_t) { content.len, content.data },
                      status);
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

    responses_head(ir, o, responses_status(finish), a->model, a->created);
    responses_why(o, finish);
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
            responses_reasoning(ir, o, n++, p->id, p->text, 's', p->format,
                                p->signature);
            continue;

        case IR_REDACTED:
            out_item(o);
            responses_reasoning(ir, o, n++, p->id, ai_str(""), 'd', p->format,
                                p->text);
            continue;

        case IR_TOOL_CALL:
            out_item(o);
            responses_call(ir, o, n++, p->id, p->name, p->text.len != 0
                           ? p->text : ai_str("{}"), last);
            break;

        case IR_IMAGE:
            if (p->name.len == 0) {
                ir_note(ir, NULL, "an image that is a URL");
                continue;
            }

            out_item(o);
            responses_image(ir, o, n++, p->name, p->text, "completed");
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
            responses_reasoning(ir, o, n++, ai_str(""), ai_str(""), 'p',
                                p->format, p->signature);
        }
    }

    out_close(o, ']');
    responses_tail(ir, o, &ir->usage_now);

    return 0;
}


/* A stream. */

static void
responses_begin(ir_t *ir, out_t *o, const char *type)
{
    responses_writer_t  *w;

    w = ir->writer;
    ir_sse_begin(o, type);
    out_open(o, '{');
    out_key_z(o, "type", type);
    out_key_int(o, "sequence_number", w->sequence++);
}


static void
responses_close(out_t *o)
{
    out_close(o, '}');
    ir_sse_end(o);
}


static void
responses_snapshot(ir_t *ir, out_t *o, const char *type, const char *status)
{
    responses_begin(ir, o, type);
    out_key(o, "response");
    responses_head(ir, o, status, ir->answer.model, ir->answer.created);
    responses_why(o, IR_FINISH_NONE);
    out_key(o, "output");
    out_z(o, "[]");
    responses_tail(ir, o, NULL);
    responses_close(o);
}


static responses_item_t *
responses_item(ir_t *ir)
{
    responses_item_t    *i;
    responses_writer_t  *w;

    w = ir->writer;
    i = tree_alloc(&ir->tree, sizeof(responses_item_t));

    if (i == NULL) {
        return NULL;
    }

    memset(i, 0, sizeof(*i));
    i->index = w->items++;
    i->part = -1;
    i->json = ai_str("");

    if (w->last != NULL) {
        w->last->next = i;

    } else {
        w->first = i;
    }

    w->last = i;

    return i;
}


/* An event of an item: its id, its index. */

static void
responses_of(ir_t *ir, out_t *o, const char *type, const char *prefix,
    const responses_item_t *i)
{
    responses_begin(ir, o, type);
    out_key(o, "item_id");
    responses_id(ir, o, prefix, i->index);
    out_key_int(o, "output_index", i->index);
}


static void
responses_added(ir_t *ir, out_t *o, const responses_item_t *i)
{
    responses_begin(ir, o, "response.output_item.added");
    out_key_int(o, "output_index", i->index);
    out_key(o, "item");
}


/* Behind it comes the item, then responses_done. */

static size_t
responses_doing(ir_t *ir, out_t *o, const responses_item_t *i)
{
    responses_begin(ir, o, "response.output_item.done");
    out_key_int(o, "output_index", i->index);
    out_key(o, "item");

    return o->len;
}


static void
responses_done(ir_t *ir, out_t *o, responses_item_t *i, size_t mark)
{
    i->json = responses_keep(ir, o, mark);
    i->ended = 1;
    responses_close(o);
}


static void
responses_end_message(ir_t *ir, out_t *o, const char *status)
{
    size_t               mark;
    responses_writer_t  *w;

    w = ir->writer;

    if (!w->message) {
        return;
    }

    w->message = 0;
    mark = responses_doing(ir, o, w->last);
    responses_message(ir, o, w->last->index, responses_grown(&w->content),
                      status);
    responses_done(ir, o, w->last, mark);
}


static void
responses_end_call(ir_t *ir, out_t *o, responses_item_t *i,
    const char *status)
{
    size_t    mark;
    ai_str_t  arguments;

    arguments = i->text.len != 0 ? responses_grown(&i->text) : ai_str("{}");

    if (i->text.len == 0) {
        responses_of(ir, o, "response.function_call_arguments.delta", "fc_",
                     i);
        out_key_escaped(o, "delta", arguments);
        responses_close(o);
    }

    responses_of(ir, o, "response.function_call_arguments.done", "fc_", i);
    out_key_escaped(o, "name", i->name);
    out_key_escaped(o, "arguments", arguments);
    responses_close(o);

    mark = responses_doing(ir, o, i);
    responses_call(ir, o, i->index, i->call_id, i->name, arguments, status);
    responses_done(ir, o, i, mark);
}


/* Of what stands before: an item of its own. */

static int
responses_sign(ir_t *ir, out_t *o, ai_str_t sign, const char *format)
{
    size_t             mark;
    responses_item_t  *i;

    i = responses_item(ir);

    if (i == NULL) {
        return -1;
    }

    responses_added(ir, o, i);
    responses_reasoning(ir, o, i->index, ai_str(""), ai_str(""), 'p', format,
                        sign);
    responses_close(o);

    mark = responses_doing(ir, o, i);
    responses_reasoning(ir, o, i->index, ai_str(""), ai_str(""), 'p', format,
                        sign);
    responses_done(ir, o, i, mark);

    return 0;
}


int
responses_write_event(ir_t *ir, const ir_event_t *e, out_t *o)
{
    responses_writer_t  *w;

    w = ir->writer;

    switch (e->type) {

    case IR_START:
        responses_snapshot(ir, o, "response.created", "in_progress");
        responses_snapshot(ir, o, "response.in_progress", "in_progress");
        return 0;

    case IR_PING:
        out_z(o, ": ping\n\n");
        return 0;

    case IR_USAGE:
        return 0;

    case IR_ERROR:
        responses_failed(ir, o);
        return 0;

    case IR_END:
        responses_end(ir, o);
        return 0;

    default:
        break;
    }

    if (e->choice != 0) {

        if (!w->extra) {
            w->extra = 1;
            ir_note(ir, NULL, "more than one choice");
        }

        return 0;
    }

    switch (e->type) {

    case IR_PART:
        return responses_write_part(ir, e, o);

    case IR_DELTA:
    case IR_SIGNATURE:
        return responses_write_delta(ir, e, o);

    case IR_CITATION:
        responses_cite(ir, e);
        return 0;

    case IR_PART_END:
        return responses_write_end(ir, e, o);

    case IR_LOGPROBS:
        responses_write_logprobs(ir, e, o);
        return 0;

    default:
        return 0;
    }
}


static void
responses_write_logprobs(ir_t *ir, const ir_event_t *e, out_t *o)
{
    out_t                probs;
    ai_str_t             text;
    responses_writer_t  *w;

    w = ir->writer;

    if (!w->message) {
        return;
    }

    memset(&probs, 0, sizeof(probs));
    responses_logprobs(&ir->event, &probs, e->node);
    text = (ai_str_t) { probs.len, probs.len != 0 ? probs.data : "" };

    if (probs.len != 0) {
        responses_of(ir, o, "response.output_text.delta", "msg_", w->last);
        out_key_int(o, "content_index", w->contents);
        out_key_z(o, "delta", "");
        out_key(o, "logprobs");
        out_open(o, '[');
        out_add(o, text);
        out_close(o, ']');
        responses_close(o);

        if (w->logprobs.len != 0) {
            responses_grow(ir, &w->logprobs, ai_str(","));
        }

        responses_grow(ir, &w->logprobs, text);
    }

    o->failed |= probs.failed;
    out_free(&probs);
}


static int
responses_write_part(ir_t *ir, const ir_event_t *e, out_t *o)
{
    ai_str_t             none;
    responses_item_t    *i;
    responses_writer_t  *w;

    w = ir->writer;
    none = ai_str("");
    w->text.len = 0;
    w->sign.len = 0;
    w->annotations.len = 0;
    w->citations = NULL;
    w->cite = &w->citations;
    w->chars = 0;
    w->format = e->format;
    w->kept = none;

    if (e->kind == IR_TEXT || e->kind == IR_REFUSAL) {

        if (!w->message) {
            i = responses_item(ir);

            if (i == NULL) {
                return -1;
            }

            w->message = 1;
            w->contents = 0;
            w->content.len = 0;
            responses_added(ir, o, i);
            responses_message(ir, o, i->index, none, "in_progress");
            responses_close(o);

        } else {
            responses_grow(ir, &w->content, ai_str(","));
            w->contents++;
        }

        w->logprobs.len = 0;
        responses_of(ir, o, "response.content_part.added", "msg_", w->last);
        out_key_int(o, "content_index", w->contents);
        out_key(o, "part");
        responses_part(o, e->kind, none, none, none);
        responses_close(o);

        return 0;
    }

    switch (e->kind) {

    case IR_OTHER:
        ir_note(ir, e->node, NULL);
        return 0;

    case IR_AUDIO:
        ir_note(ir, NULL, "audio");
        return 0;

    case IR_IMAGE:
        if (e->name.len == 0) {
            ir_note(ir, NULL, "an image that is a URL");
            return 0;
        }

        break;

    default:
        break;
    }

    responses_end_message(ir, o, "completed");
    i = responses_item(ir);

    if (i == NULL) {
        return -1;
    }

    w->kept = tree_copy(&ir->tree, e->kind == IR_IMAGE ? e->name : e->id);
    responses_added(ir, o, i);

    switch (e->kind) {

    case IR_TOOL_CALL:
        i->part = (int) e->part;
        i->call_id = w->kept;
        i->name = tree_copy(&ir->tree, e->name);
        responses_call(ir, o, i->index, i->call_id, i->name, none,
                       "in_progress");
        responses_close(o);
        break;

    case IR_IMAGE:
        responses_image(ir, o, i->index, none, none, "in_progress");
        responses_close(o);
        break;

    default:
        responses_reasoning(ir, o, i->index, w->kept, none, 0, e->format,
                            none);
        responses_close(o);
    }

    return 0;
}


/* The id that responses_reasoning says. */

static void
responses_of_reasoning(ir_t *ir, out_t *o, const char *type)
{
    responses_writer_t  *w;

    w = ir->writer;

    if (w->kept.len == 0 || !responses_own(w->format)) {
        responses_of(ir, o, type, "rs_", w->last);

    } else {
        responses_begin(ir, o, type);
        out_key_escaped(o, "item_id", w->kept);
        out_key_int(o, "output_index", w->last->index);
    }

    out_key_int(o, "summary_index", 0);
}


static int
responses_write_delta(ir_t *ir, const ir_event_t *e, out_t *o)
{
    responses_item_t    *i;
    responses_writer_t  *w;

    w = ir->writer;

    if (e->type == IR_SIGNATURE) {

        if (e->kind != IR_OTHER && e->kind != IR_AUDIO) {
            responses_grow(ir, &w->sign, e->text);
        }

        return 0;
    }

    switch (e->kind) {

    case IR_TEXT:
        w->chars += responses_chars(e->text);
        responses_grow(ir, &w->text, e->text);
        responses_of(ir, o, "response.output_text.delta", "msg_", w->last);
        out_key_int(o, "content_index", w->contents);
        out_key_escaped(o, "delta", e->text);
        out_key(o, "logprobs");
        out_z(o, "[]");
        responses_close(o);
        return 0;

    case IR_REFUSAL:
        responses_grow(ir, &w->text, e->text);
        responses_of(ir, o, "response.refusal.delta", "msg_", w->last);
        out_key_int(o, "content_index", w->contents);
        out_key_escaped(o, "delta", e->text);
        responses_close(o);
        return 0;

    case IR_REASONING:
        if (w->text.len == 0) {
            responses_of_reasoning(ir, o,
                                   "response.reasoning_summary_part.added");
            out_key(o, "part");
            out_z(o, "{\"type\":\"summary_text\",\"text\":\"\"}");
            responses_close(o);
        }

        responses_grow(ir, &w->text, e->text);
        responses_of_reasoning(ir, o, "response.reasoning_summary_text.delta");
        out_key_escaped(o, "delta", e->text);
        responses_close(o);
        return 0;

    case IR_TOOL_CALL:
        for (i = w->first; i != NULL && i->part != (int) e->part; i = i->next)
        {
            /* void */
        }

        if (i == NULL || i->ended) {
            return 0;
        }

        responses_grow(ir, &i->text, e->text);
        responses_of(ir, o, "response.function_call_arguments.delta", "fc_",
                     i);
        out_key_escaped(o, "delta", e->text);
        responses_close(o);
        return 0;

    case IR_REDACTED:
    case IR_IMAGE:
        responses_grow(ir, &w->text, e->text);
        return 0;

    default:
        return 0;
    }
}


/* Where it ends is known with the end of its part, where it was not said. */

static void
responses_cite(ir_t *ir, const ir_event_t *e)
{
    node_t                *url;
    tree_t                *t;
    responses_writer_t    *w;
    responses_citation_t  *c;

    t = &ir->event;
    w = ir->writer;
    url = node_get(t, e->node, "url");

    if (url == NULL || !w->message) {
        ir_note(ir, node_peek(t, e->node, "native"), NULL);
        return;
    }

    c = tree_alloc(&ir->tree, sizeof(*c));

    if (c == NULL) {
        return;
    }

    c->next = NULL;
    c->url = tree_copy(&ir->tree, node_text(url));
    c->title = tree_copy(&ir->tree, node_text(node_get(t, e->node, "title")));
    c->start = node_int(node_get(t, e->node, "start"), 0);
    c->end = node_int(node_get(t, e->node, "end"), -1);
    *w->cite = c;
    w->cite = &c->next;
}


static void
responses_annotations(ir_t *ir, out_t *o)
{
    size_t                 mark;
    unsigned               n;
    ai_str_t               text;
    responses_writer_t    *w;
    responses_citation_t  *c;

    n = 0;
    w = ir->writer;

    for (c = w->citations; c != NULL; c = c->next) {
        responses_of(ir, o, "response.output_text.annotation.added", "msg_",
                     w->last);
        out_key_int(o, "content_index", w->contents);
        out_key_int(o, "annotation_index", n);
        out_key(o, "annotation");
        mark = o->len;
        responses_annotation(o, c->url, c->title, c->start,
                             c->end >= 0 ? c->end : (int64_t) w->chars);
        text = responses_keep(ir, o, mark);
        responses_close(o);

        if (n++ != 0) {
            responses_grow(ir, &w->annotations, ai_str(","));
        }

        responses_grow(ir, &w->annotations, text);
    }
}


/* Whether nothing can follow: some servers say the arguments of calls by
 * turns. */

static int
responses_whole_call(ir_t *ir, const responses_item_t *i)
{
    ai_str_t   text;
    ai_json_t  j;

    text = text_decode(&ir->tree, responses_grown(&i->text));

    return ai_json_scan(&j, NULL, text, TREE_TEXT_MAX, TREE_DEPTH_MAX)
           == AI_JSON_OK;
}


static int
responses_write_end(ir_t *ir, const ir_event_t *e, out_t *o)
{
    size_t               mark;
    ai_str_t             text;
    responses_item_t    *i;
    responses_writer_t  *w;

    w = ir->writer;
    text = responses_grown(&w->text);

    switch (e->kind) {

    case IR_TEXT:
    case IR_REFUSAL:
        responses_annotations(ir, o);
        responses_of(ir, o, e->kind == IR_TEXT ? "response.output_text.done"
                            : "response.refusal.done", "msg_", w->last);
        out_key_int(o, "content_index", w->contents);
        out_key_escaped(o, e->kind == IR_TEXT ? "text" : "refusal", text);

        if (e->kind == IR_TEXT) {
            out_key(o, "logprobs");
            out_open(o, '[');
            out_add(o, responses_grown(&w->logprobs));
            out_close(o, ']');
        }

        responses_close(o);
        responses_of(ir, o, "response.content_part.done", "msg_", w->last);
        out_key_int(o, "content_index", w->contents);
        out_key(o, "part");
        mark = o->len;
        responses_part(o, e->kind, text, responses_grown(&w->annotations),
                       responses_grown(&w->logprobs));
        text = responses_keep(ir, o, mark);
        responses_grow(ir, &w->content, text);
        responses_close(o);

        if (w->sign.len != 0) {
            responses_end_message(ir, o, "completed");
            return responses_sign(ir, o, responses_grown(&w->sign),
                                  w->format);
        }

        return 0;

    case IR_TOOL_CALL:
        for (i = w->first; i != NULL && i->part != (int) e->part; i = i->next)
        {
            /* void */
        }

        if (i != NULL && !i->ended && responses_whole_call(ir, i)) {
            responses_end_call(ir, o, i, "completed");
        }

        return w->sign.len == 0 ? 0
               : responses_sign(ir, o, responses_grown(&w->sign), w->format);

    case IR_REASONING:
    case IR_REDACTED:
        if (e->kind == IR_REASONING && text.len != 0) {
            responses_of_reasoning(ir, o,
                                   "response.reasoning_summary_text.done");
            out_key_escaped(o, "text", text);
            responses_close(o);
            responses_of_reasoning(ir, o,
                                   "response.reasoning_summary_part.done");
            out_key(o, "part");
            out_z(o, "{\"type\":\"summary_text\",\"text\":");
            out_escaped(o, text);
            out_z(o, "}");
            responses_close(o);
        }

        mark = responses_doing(ir, o, w->last);

        if (e->kind == IR_REASONING) {
            responses_reasoning(ir, o, w->last->index, w->kept, text, 's',
                                w->format, responses_grown(&w->sign));

        } else {
            responses_reasoning(ir, o, w->last->index, w->kept, ai_str(""),
                                'd', w->format, text);
        }

        responses_done(ir, o, w->last, mark);
        return 0;

    case IR_IMAGE:
        if (w->kept.len != 0) {
            mark = responses_doing(ir, o, w->last);
            responses_image(ir, o, w->last->index, w->kept, text,
                            "completed");
            responses_done(ir, o, w->last, mark);
        }

        return 0;

    default:
        return 0;
    }
}


/* What is open, then all of it. */

static void
responses_finish(ir_t *ir, out_t *o, const char *status)
{
    ir_event_t           e;
    ir_choice_t         *c;
    responses_item_t    *i;
    responses_writer_t  *w;

    w = ir->writer;
    c = ir->answer.choices[0];

    if (c != NULL && c->open) {
        ir_event(&e, IR_PART_END);
        e.part = c->parts - 1;
        e.kind = c->last->kind;
        c->open = 0;
        (void) responses_write_end(ir, &e, o);
    }

    responses_end_message(ir, o, status);

    for (i = w->first; i != NULL; i = i->next) {
        if (!i->ended && i->part >= 0) {
            responses_end_call(ir, o, i, status);
        }
    }
}


static void
responses_output(ir_t *ir, out_t *o)
{
    responses_item_t    *i;
    responses_writer_t  *w;

    w = ir->writer;
    out_key(o, "output");
    out_open(o, '[');

    for (i = w->first; i != NULL; i = i->next) {
        if (i->ended) {
            out_item(o);
            out_add(o, i->json);
        }
    }

    out_close(o, ']');
}


static void
responses_end(ir_t *ir, out_t *o)
{
    const char   *status;
    ir_finish_e   finish;

    finish = ir->finish;
    status = responses_status(finish);
    responses_finish(ir, o, status);
    responses_begin(ir, o, status[0] == 'c' ? "response.completed"
                                            : "response.incomplete");
    out_key(o, "response");
    responses_head(ir, o, status, ir->answer.model, ir->answer.created);
    responses_why(o, finish);
    responses_output(ir, o);
    responses_tail(ir, o, &ir->usage_now);
    responses_close(o);
}


/* Errors. */

static void
responses_error_members(const ir_error_t *e, out_t *o, int type)
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
    responses_error_members(e, o, 1);
    out_z(o, "}}");

    return 0;
}


/* The response that failed, then the error that every client stops at. */

static void
responses_failed(ir_t *ir, out_t *o)
{
    ir_error_t  *e;

    e = &ir->error;

    if (ir->begun) {
        responses_finish(ir, o, "incomplete");
        responses_begin(ir, o, "response.failed");
        out_key(o, "response");
        responses_head(ir, o, "failed", ir->answer.model, ir->answer.created);
        out_key(o, "error");
        out_open(o, '{');
        out_key_z(o, "code", e->status == 429 ? "rate_limit_exceeded"
                             : e->status < 500 ? "invalid_prompt"
                             : "server_error");
        out_key_escaped(o, "message", e->message);
        out_close(o, '}');
        out_key(o, "incomplete_details");
        out_z(o, "null");
        responses_output(ir, o);
        responses_tail(ir, o, ir->usage_now.input >= 0 ? &ir->usage_now
                                                       : NULL);
        responses_close(o);
    }

    responses_begin(ir, o, "error");
    responses_error_members(e, o, 0);
    out_key(o, "error");
    out_open(o, '{');
    responses_error_members(e, o, 1);
    out_close(o, '}');
    responses_close(o);
}
