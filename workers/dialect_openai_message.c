/*
 * OpenAI's chat completions: what a provider's message, or a delta of one, has
 * in it, as parts.  Owns nothing; state lies in the ir_t's tree.
 */

#include "dialect_openai.h"

#include <string.h>


#define OPENAI_CALLS_MAX  128

/* A choice of a stream; parts by their number, -1: none. */
typedef struct {
    int       open;
    ir_kind_e kind;
    unsigned  ncalls;
    struct {
        int      part;
        int      index;
        ai_str_t id;
    } calls[OPENAI_CALLS_MAX];
} openai_reading_t;

typedef struct {
    openai_reading_t *choices[IR_CHOICES_MAX];
    unsigned          made;     /* ids */
} openai_reader_t;

_Static_assert(sizeof(openai_reader_t) <= OPENAI_READER_SIZE, "reader");


static openai_reading_t *openai_reading(ir_t *ir, unsigned choice);
static int openai_text(ir_t *ir, unsigned choice, ir_kind_e kind,
    ai_str_t text);
static int openai_content(ir_t *ir, tree_t *t, unsigned choice, node_t *n);
static int openai_details(ir_t *ir, tree_t *t, unsigned choice, node_t *all);
static int openai_call(ir_t *ir, tree_t *t, unsigned choice, node_t *c,
    node_t *f);
static int openai_annotations(ir_t *ir, tree_t *t, unsigned choice,
    node_t *all);
static int openai_media(ir_t *ir, tree_t *t, unsigned choice, node_t *m);


static openai_reading_t *
openai_reading(ir_t *ir, unsigned choice)
{
    openai_reader_t   *r;
    openai_reading_t  *c;

    r = ir->reader;

    if (choice >= IR_CHOICES_MAX) {
        return NULL;
    }

    c = r->choices[choice];

    if (c == NULL) {
        c = tree_alloc(&ir->tree, sizeof(openai_reading_t));

        if (c == NULL) {
            return NULL;
        }

        c->open = -1;
        c->ncalls = 0;
        r->choices[choice] = c;
    }

    return c;
}


/* A delta of a stream, or a message, which says all at once. */

int
openai_read_message(ir_t *ir, tree_t *t, unsigned choice, node_t *m)
{
    int      rc;
    node_t  *n, *details, *text;

    if (m == NULL) {
        return 0;
    }

    if (openai_reading(ir, choice) == NULL) {
        return -1;
    }

    rc = 0;
    details = node_get_type(t, m, "reasoning_details", AI_JSON_ARRAY);
    text = node_get_type(t, m, "reasoning_content", AI_JSON_STRING);
    n = node_get_type(t, m, "reasoning", AI_JSON_STRING);

    if (details != NULL && node_first(t, details) != NULL) {
        rc |= openai_details(ir, t, choice, details);

    } else {
        rc |= openai_text(ir, choice, IR_REASONING,
                          node_text(text != NULL && text->text.len != 0
                                    ? text : n));
    }

    rc |= openai_content(ir, t, choice, node_get(t, m, "content"));
    rc |= openai_annotations(ir, t, choice, node_get_type(t, m, "annotations",
                                                          AI_JSON_ARRAY));
    rc |= openai_text(ir, choice, IR_REFUSAL,
                      node_text(node_get(t, m, "refusal")));
    rc |= openai_media(ir, t, choice, m);

    n = node_get_type(t, m, "function_call", AI_JSON_OBJECT);

    if (n != NULL) {
        rc |= openai_call(ir, t, choice, NULL, n);
    }

    n = node_first(t, node_get_type(t, m, "tool_calls", AI_JSON_ARRAY));

    for ( /* void */ ; n != NULL && rc == 0; n = n->next) {
        node_read(n);
        rc |= openai_call(ir, t, choice, n, node_get(t, n, "function"));
    }

    return rc;
}


int
openai_read_end(ir_t *ir, unsigned choice)
{
    int                open;
    openai_reading_t  *c;

    c = openai_reading(ir, choice);

    if (c == NULL || c->open < 0) {
        return c == NULL ? -1 : 0;
    }

    open = c->open;
    c->open = -1;

    return ir_emit_end(ir, choice, (unsigned) open);
}


/* Goes on with the open part of this kind, or begins one. */

static int
openai_text(ir_t *ir, unsigned choice, ir_kind_e kind, ai_str_t text)
{
    openai_reading_t  *c;

    if (text.len == 0) {
        return 0;
    }

    c = openai_reading(ir, choice);

    if (c->open < 0 || c->kind != kind) {

        if (openai_read_end(ir, choice) != 0) {
            return -1;
        }

        c->open = ir_emit_part(ir, choice, kind, ai_str(""), ai_str(""));
        c->kind = kind;

        if (c->open < 0) {
            return -1;
        }
    }

    return ir_emit_delta(ir, choice, (unsigned) c->open, text);
}


/* A text, or parts of it. */

static int
openai_content(ir_t *ir, tree_t *t, unsigned choice, node_t *n)
{
    int      rc;
    node_t  *p, *in;

    if (n == NULL || n->type == AI_JSON_STRING) {
        return openai_text(ir, choice, IR_TEXT, node_text(n));
    }

    rc = 0;

    for (p = node_first(t, n); p != NULL && rc == 0; p = p->next) {

        if (node_get_is(t, p, "type", "text")) {
            node_read(p);
            rc = openai_text(ir, choice, IR_TEXT,
                             node_text(node_get(t, p, "text")));

        } else if (node_get_is(t, p, "type", "thinking")) {
            node_read(p);
            openai_default(t, p, "closed", AI_JSON_TRUE);
            openai_default(t, p, "closed", AI_JSON_FALSE);
            in = node_first(t, node_get(t, p, "thinking"));

            for ( /* void */ ; in != NULL && rc == 0; in = in->next) {
                (void) node_get(t, node_read(in), "type");
                rc = openai_text(ir, choice, IR_REASONING,
                                 node_text(node_get(t, in, "text")));
            }
        }
    }

    return rc;
}


static int
openai_details(ir_t *ir, tree_t *t, unsigned choice, node_t *all)
{
    int                     encrypted;
    node_t                 *d, *format, *n;
    ai_str_t                text, signature;
    ir_event_t              e;
    openai_reading_t       *c;
    const openai_format_t  *f;

    c = openai_reading(ir, choice);

    for (d = node_first(t, all); d != NULL; d = d->next) {
        encrypted = node_get_is(t, d, "type", "reasoning.encrypted");

        if (!encrypted && !node_get_is(t, d, "type", "reasoning.text")
            && !node_get_is(t, d, "type", "reasoning.summary"))
        {
            continue;
        }

        node_read(d);
        format = node_get(t, d, "format");

        for (f = openai_formats; f->said != NULL; f++) {
            if (node_is(format, f->said)) {
                break;
            }
        }

        n = node_get(t, d, "text");
        text = node_text(n != NULL ? n : node_get(t, d, "summary"));
        signature = node_text(node_get(t, d, "signature"));

        ir_event(&e, IR_PART);
        e.choice = choice;
        e.id = node_text(node_get(t, d, "id"));
        e.kind = encrypted ? IR_REDACTED : IR_REASONING;
        e.format = f->said != NULL ? f->format : "openai";

        if (encrypted || c->open < 0 || c->kind != IR_REASONING) {

            if (openai_read_end(ir, choice) != 0) {
                return -1;
            }

            e.part = ir->answer.choices[choice] != NULL
                     ? ir->answer.choices[choice]->parts : 0;

            if (ir_emit(ir, &e) != 0) {
                return -1;
            }

            c->open = (int) e.part;
            c->kind = e.kind;
        }

        if (encrypted) {
            text = node_text(node_get(t, d, "data"));
        }

        if (ir_emit_delta(ir, choice, (unsigned) c->open, text) != 0) {
            return -1;
        }

        if (signature.len != 0) {
            ir_event(&e, IR_SIGNATURE);
            e.choice = choice;
            e.part = (unsigned) c->open;
            e.text = signature;

            if (ir_emit(ir, &e) != 0) {
                return -1;
            }
        }

        if ((encrypted || signature.len != 0)
            && openai_read_end(ir, choice) != 0)
        {
            return -1;
        }
    }

    return 0;
}


/* c NULL: a legacy function's. */

static int
openai_call(ir_t *ir, tree_t *t, unsigned choice, node_t *c, node_t *f)
{
    int                at, index;
    char               made[64];
    unsigned           i;
    ai_buf_t           b;
    ai_str_t           id, name;
    ir_event_t         e;
    openai_reader_t   *reader;
    openai_reading_t  *r;

    r = openai_reading(ir, choice);
    reader = ir->reader;
    id = node_text(node_get(t, c, "id"));
    name = node_text(node_get(t, f, "name"));
    (void) node_get(t, c, "type");

    index = (int) node_int(node_get(t, c, "index"), -1);

    if (index < 0) {
        index = id.len != 0 || r->ncalls == 0 ? (int) r->ncalls
                : r->calls[r->ncalls - 1].index;
    }

    at = -1;

    for (i = r->ncalls; i != 0 && at < 0; i--) {
        if (r->calls[i - 1].index == index) {
            at = (int) i - 1;
        }
    }

    /* Some servers number all of them 0. */

    if (at >= 0 && id.len != 0 && !ai_str_eq(id, r->calls[at].id)) {
        at = -1;
    }

    if (at < 0) {

        if (r->ncalls == OPENAI_CALLS_MAX || openai_read_end(ir, choice) != 0) {
            return -1;
        }

        if (id.len == 0) {
            ai_buf_init(&b, made, sizeof(made));
            ai_buf_add_z(&b, "call_");
            ai_buf_add(&b, ir->job.data, ir->job.len < 40 ? ir->job.len : 40);
            ai_buf_add_z(&b, "_");
            ai_buf_add_int(&b, reader->made++);
            id = (ai_str_t) { ai_buf_len(&b), made };
        }

        id = tree_copy(&ir->tree, id);
        at = (int) r->ncalls;
        r->calls[at].index = index;
        r->calls[at].id = id;
        r->calls[at].part = ir_emit_part(ir, choice, IR_TOOL_CALL, id, name);

        if (r->calls[at].part < 0) {
            return -1;
        }

        r->open = r->calls[at].part;
        r->kind = IR_TOOL_CALL;
        r->ncalls++;
    }

    if (ir_emit_delta(ir, choice, (unsigned) r->calls[at].part,
                      node_text(node_get(t, f, "arguments")))
        != 0)
    {
        return -1;
    }

    f = node_get(t, node_get(t, c, "extra_content"), "google");
    f = node_get(t, f, "thought_signature");

    if (f == NULL || r->open != r->calls[at].part) {
        return 0;
    }

    ir_event(&e, IR_SIGNATURE);
    e.choice = choice;
    e.part = (unsigned) r->open;
    e.text = node_text(f);

    return ir_emit(ir, &e);
}


static int
openai_annotations(ir_t *ir, tree_t *t, unsigned choice, node_t *all)
{
    node_t            *a, *in, *to;
    ir_event_t         e;
    openai_reading_t  *r;

    r = openai_reading(ir, choice);

    for (a = node_first(t, all); a != NULL; a = a->next) {
        in = node_peek(t, a, "url_citation");

        if (in == NULL) {
            continue;
        }

        if (r->open < 0 || r->kind != IR_TEXT) {

            if (openai_read_end(ir, choice) != 0) {
                return -1;
            }

            r->open = ir_emit_part(ir, choice, IR_TEXT, ai_str(""),
                                   ai_str(""));
            r->kind = IR_TEXT;

            if (r->open < 0) {
                return -1;
            }
        }

        node_read(a);
        node_read(in);
        (void) node_get(t, a, "type");
        to = node_object(t);
        node_set(to, "url", node_move(t, node_get(t, in, "url")));
        node_set(to, "title", node_move(t, node_get(t, in, "title")));
        node_set(to, "text", node_move(t, node_get(t, in, "content")));
        node_set(to, "start", node_move(t, node_get(t, in, "start_index")));
        node_set(to, "end", node_move(t, node_get(t, in, "end_index")));

        ir_event(&e, IR_CITATION);
        e.choice = choice;
        e.part = (unsigned) r->open;
        e.node = to;

        if (ir_emit(ir, &e) != 0) {
            return -1;
        }
    }

    return 0;
}


/* Pictures and speech; what is said stands in both. */

static int
openai_media(ir_t *ir, tree_t *t, unsigned choice, node_t *m)
{
    int       part;
    node_t   *a, *data;
    ai_str_t  url, type, bytes;

    a = node_first(t, node_get_type(t, m, "images", AI_JSON_ARRAY));

    for ( /* void */ ; a != NULL; a = a->next) {
        url = node_text(node_get(t, node_get(t, a, "image_url"), "url"));
        node_read(a);
        (void) node_get(t, a, "type");
        (void) node_get(t, a, "index");

        if (!ir_data_url(url, &type, &bytes)) {
            type = ai_str("");
            bytes = url;
        }

        if (openai_read_end(ir, choice) != 0
            || (part = ir_emit_part(ir, choice, IR_IMAGE, ai_str(""), type))
               < 0
            || ir_emit_delta(ir, choice, (unsigned) part, bytes) != 0
            || ir_emit_end(ir, choice, (unsigned) part) != 0)
        {
            return -1;
        }
    }

    a = node_get_type(t, m, "audio", AI_JSON_OBJECT);
    data = node_get_type(t, a, "data", AI_JSON_STRING);

    if (openai_text(ir, choice, IR_TEXT,
                    node_text(node_get(t, a, "transcript")))
        != 0)
    {
        return -1;
    }

    if (data == NULL || data->text.len == 0) {
        return 0;
    }

    if (openai_read_end(ir, choice) != 0
        || (part = ir_emit_part(ir, choice, IR_AUDIO,
                                node_text(node_get(t, a, "id")), ai_str("")))
           < 0
        || ir_emit_delta(ir, choice, (unsigned) part, data->text) != 0)
    {
        return -1;
    }

    return ir_emit_end(ir, choice, (unsigned) part);
}
