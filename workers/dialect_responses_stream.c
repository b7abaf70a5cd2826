/*
 * OpenAI's Responses: answers to a client that speaks them, as a stream.  Owns
 * nothing; state lies in the ir_t's tree.
 *
 * Each item is begun, grows and is done, and the last event has all of them.
 */

#include "dialect_responses.h"

#include <string.h>


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


/* Events. */

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
    responses_say_head(ir, o, status, ir->answer.model, ir->answer.created);
    responses_say_why(o, IR_FINISH_NONE);
    out_key(o, "output");
    out_z(o, "[]");
    responses_say_tail(o, NULL);
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
    responses_say_id(ir, o, prefix, i->index);
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
    responses_say_message(ir, o, w->last->index, responses_grown(&w->content),
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
    responses_say_call(ir, o, i->index, i->call_id, i->name, arguments, status);
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
    responses_say_reasoning(ir, o, i->index, ai_str(""), ai_str(""), 'p',
                            format, sign);
    responses_close(o);

    mark = responses_doing(ir, o, i);
    responses_say_reasoning(ir, o, i->index, ai_str(""), ai_str(""), 'p',
                            format, sign);
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
    responses_say_logprobs(&ir->event, &probs, e->node);
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
            responses_say_message(ir, o, i->index, none, "in_progress");
            responses_close(o);

        } else {
            responses_grow(ir, &w->content, ai_str(","));
            w->contents++;
        }

        w->logprobs.len = 0;
        responses_of(ir, o, "response.content_part.added", "msg_", w->last);
        out_key_int(o, "content_index", w->contents);
        out_key(o, "part");
        responses_say_part(o, e->kind, none, none, none);
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
        responses_say_call(ir, o, i->index, i->call_id, i->name, none,
                           "in_progress");
        responses_close(o);
        break;

    case IR_IMAGE:
        responses_say_image(ir, o, i->index, none, none, "in_progress");
        responses_close(o);
        break;

    default:
        responses_say_reasoning(ir, o, i->index, w->kept, none, 0, e->format,
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
        responses_say_annotation(o, c->url, c->title, c->start,
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
        responses_say_part(o, e->kind, text, responses_grown(&w->annotations),
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
            responses_say_reasoning(ir, o, w->last->index, w->kept, text, 's',
                                    w->format, responses_grown(&w->sign));

        } else {
            responses_say_reasoning(ir, o, w->last->index, w->kept, ai_str(""),
                                    'd', w->format, text);
        }

        responses_done(ir, o, w->last, mark);
        return 0;

    case IR_IMAGE:
        if (w->kept.len != 0) {
            mark = responses_doing(ir, o, w->last);
            responses_say_image(ir, o, w->last->index, w->kept, text,
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
    responses_say_head(ir, o, status, ir->answer.model, ir->answer.created);
    responses_say_why(o, finish);
    responses_output(ir, o);
    responses_say_tail(o, &ir->usage_now);
    responses_close(o);
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
        responses_say_head(ir, o, "failed", ir->answer.model,
                           ir->answer.created);
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
        responses_say_tail(o, ir->usage_now.input >= 0 ? &ir->usage_now : NULL);
        responses_close(o);
    }

    responses_begin(ir, o, "error");
    responses_say_error(e, o, 0);
    out_key(o, "error");
    out_open(o, '{');
    responses_say_error(e, o, 1);
    out_close(o, '}');
    responses_close(o);
}
