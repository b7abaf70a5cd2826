/*
 * OpenAI's chat completions: a stream to a client that speaks them.  Owns
 * nothing; state lies in the ir_t's tree.
 */

#include "dialect_openai.h"

#include <string.h>


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


static int
openai_begin(ir_t *ir)
{
    out_t             head;
    openai_writer_t  *w;

    w = ir->writer;
    memset(&head, 0, sizeof(head));
    out_z(&head, "data: {\"id\":");
    openai_say_id(&head, ir->answer.id);
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
            openai_say_usage(o, &ir->usage_now);
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
        openai_chunk_end(ir, o, openai_say_finish(ir, e->finish));
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
            out_z(o, ",\"function\":{\"arguments\":\"\"},\"extra_content\":"
                     "{\"google\":{\"thought_signature\":");
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
        openai_say_image(o, p->name, e->text);
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

        if (e->kind == IR_REDACTED || openai_format_said(format) != NULL) {
            out_key(o, "reasoning_details");
            out_open(o, '[');
            openai_say_detail(o, e->kind, format, none,
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
        openai_say_annotation(o, c->url, c->title, w->begun, w->chars);
    }

    out_close(o, ']');
    openai_chunk_end(ir, o, NULL);
}
