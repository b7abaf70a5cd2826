/*
 * Answers as events: their order is checked here, and they go to the client's
 * writer or are collected into an object.  All lies in the ir_t's tree.
 */

#include "ir_in.h"

#include <string.h>


static int ir_begin(ir_t *ir, const ir_event_t *e);
static ir_choice_t *ir_choice(ir_t *ir, unsigned i);
static ir_part_t *ir_part_at(ir_choice_t *c, unsigned i);
static int ir_new_part(ir_t *ir, ir_choice_t *c, const ir_event_t *e);
static int ir_close(ir_t *ir, unsigned i);
static int ir_forward(ir_t *ir, const ir_event_t *e);
static int ir_collect(ir_t *ir, ir_choice_t *c, ir_part_t *p,
    const ir_event_t *e);


void
ir_event(ir_event_t *e, ir_event_e type)
{
    memset(e, 0, sizeof(*e));
    e->type = type;
    e->id = ai_str("");
    e->name = ai_str("");
    e->text = ai_str("");
    e->native = ai_str("");
}


int
ir_emit(ir_t *ir, const ir_event_t *event)
{
    unsigned      i;
    ir_event_t    e;
    ir_part_t    *p;
    ir_choice_t  *c;

    if (ir->ended || ir->tree.failed
        || (!ir->begun && event->type != IR_START && event->type != IR_ERROR
            && event->type != IR_PING))
    {
        return -1;
    }

    e = *event;
    c = NULL;
    p = NULL;

    switch (e.type) {

    case IR_START:
        return ir_begin(ir, &e);

    case IR_PART:
        c = ir_choice(ir, e.choice);

        if (c == NULL || c->finish != IR_FINISH_NONE
            || e.part != c->parts || ir_close(ir, e.choice) != 0
            || ir_new_part(ir, c, &e) != 0)
        {
            return -1;
        }

        return ir_forward(ir, &e);

    case IR_DELTA:
    case IR_SIGNATURE:
    case IR_CITATION:
    case IR_PART_END:
        c = ir_choice(ir, e.choice);
        p = c != NULL ? ir_part_at(c, e.part) : NULL;

        if (p == NULL || c->finish != IR_FINISH_NONE
            || ((p != c->last || !c->open)
                && (e.type != IR_DELTA || p->kind != IR_TOOL_CALL)))
        {
            return -1;
        }

        e.kind = p->kind;

        if (e.type == IR_DELTA) {
            ir->text_bytes += e.text.len;
        }

        if (e.type == IR_PART_END) {
            c->open = 0;
        }

        break;

    case IR_LOGPROBS:
        c = ir_choice(ir, e.choice);

        if (c == NULL) {
            return -1;
        }

        break;

    case IR_FINISH:
        c = ir_choice(ir, e.choice);

        if (c == NULL || c->finish != IR_FINISH_NONE
            || e.finish == IR_FINISH_NONE || ir_close(ir, e.choice) != 0)
        {
            return -1;
        }

        /* Some servers call it a stop although there are calls. */

        if (e.finish == IR_FINISH_STOP || e.finish == IR_FINISH_OTHER) {

            for (p = c->first; p != NULL; p = p->next) {
                if (p->kind == IR_TOOL_CALL) {
                    e.finish = IR_FINISH_TOOLS;
                }
            }
        }

        c->finish = e.finish;
        c->stop = tree_copy(&ir->tree, e.text);
        ir->finished++;

        if (e.choice == 0) {
            ir->finish = e.finish;
            e.native.len = e.native.len < sizeof(ir->native)
                           ? e.native.len : sizeof(ir->native) - 1;
            memcpy(ir->native, e.native.data, e.native.len);
            ir->native[e.native.len] = '\0';
        }

        break;

    case IR_END:
        for (i = 0; i < ir->answer.nchoices; i++) {
            c = ir->answer.choices[i];

            /* Some end without saying why. */

            if (c != NULL && c->finish == IR_FINISH_NONE
                && ir_emit_finish(ir, i, IR_FINISH_STOP, ai_str(""),
                                  ai_str(""))
                   != 0)
            {
                return -1;
            }
        }

        ir->ended = 1;
        break;

    case IR_ERROR:
        ir->ended = 1;
        break;

    default:
        break;
    }

    return ir->out != NULL ? ir_forward(ir, &e) : ir_collect(ir, c, p, &e);
}


static int
ir_begin(ir_t *ir, const ir_event_t *e)
{
    if (ir->begun) {
        return -1;
    }

    ir->begun = 1;
    ir->answer.id = tree_copy(&ir->tree, e->id);
    ir->answer.model = tree_copy(&ir->tree, e->name);
    ir->answer.created = e->created > 0 ? e->created : ir->now;

    return ir_forward(ir, e);
}


static int
ir_forward(ir_t *ir, const ir_event_t *e)
{
    if (ir->out == NULL) {
        return 0;
    }

    /* What the answer had and the client does not get is said before its end:
     * a comment, which no client takes for more. */

    if (e->type == IR_END && ir->notes_len != ir->notes_told) {
        out_z(ir->out, ": ai-dropped ");
        out_add(ir->out, (ai_str_t) { ir->notes_len, ir->notes });
        out_z(ir->out, "\n\n");
        ir->notes_told = ir->notes_len;
    }

    return ir->client->write_event(ir, e, ir->out);
}


static ir_choice_t *
ir_choice(ir_t *ir, unsigned i)
{
    ir_choice_t  *c;

    if (i >= IR_CHOICES_MAX) {
        return NULL;
    }

    c = ir->answer.choices[i];

    if (c == NULL) {
        c = tree_alloc(&ir->tree, sizeof(ir_choice_t));

        if (c == NULL) {
            return NULL;
        }

        memset(c, 0, sizeof(*c));
        c->stop = ai_str("");
        ir->answer.choices[i] = c;
        ir->answer.nchoices = i >= ir->answer.nchoices ? i + 1
                                                       : ir->answer.nchoices;
    }

    return c;
}


static ir_part_t *
ir_part_at(ir_choice_t *c, unsigned i)
{
    ir_part_t  *p;

    if (i + 1 == c->parts) {
        return c->last;
    }

    for (p = c->first; p != NULL && i != 0; p = p->next) {
        i--;
    }

    return p;
}


static int
ir_new_part(ir_t *ir, ir_choice_t *c, const ir_event_t *e)
{
    ir_part_t  *p;

    if (c->parts >= IR_PARTS_MAX
        || (p = tree_alloc(&ir->tree, sizeof(ir_part_t))) == NULL)
    {
        return -1;
    }

    memset(p, 0, sizeof(*p));
    p->kind = e->kind;
    p->format = e->format;
    p->id = ai_str("");
    p->name = ai_str("");
    p->text = ai_str("");
    p->signature = ai_str("");

    if (ir->out == NULL) {
        p->id = e->id;
        p->name = e->name;
        p->node = e->node;

    } else if (e->kind == IR_IMAGE) {
        p->name = tree_copy(&ir->tree, e->name);
    }

    if (c->last != NULL) {
        c->last->next = p;

    } else {
        c->first = p;
    }

    c->last = p;
    c->parts++;
    c->open = 1;

    return 0;
}


/* The open part of a choice. */

static int
ir_close(ir_t *ir, unsigned i)
{
    ir_choice_t  *c;

    c = ir->answer.choices[i];

    return c->open ? ir_emit_end(ir, i, c->parts - 1) : 0;
}


/* Texts are the body's, which outlives the answer: kept as they are, and put
 * together where a part has several. */

static int
ir_grow(ir_t *ir, ir_part_t *p, ai_str_t text)
{
    char    *to;
    size_t   size;

    ir->collected += text.len;

    if (ir->collected > IR_COLLECT_MAX) {
        return -1;
    }

    if (p->text.len == 0) {
        p->text = text;
        return 0;
    }

    if (p->size == 0 || p->size - p->text.len < text.len) {
        size = (p->text.len + text.len) * 2;
        to = tree_alloc(&ir->tree, size);

        if (to == NULL) {
            return -1;
        }

        memcpy(to, p->text.data, p->text.len);
        p->text.data = to;
        p->size = size;
    }

    memcpy((char *) p->text.data + p->text.len, text.data, text.len);
    p->text.len += text.len;

    return 0;
}


static int
ir_collect(ir_t *ir, ir_choice_t *c, ir_part_t *p, const ir_event_t *e)
{
    switch (e->type) {

    case IR_DELTA:
        return ir_grow(ir, p, e->text);

    case IR_SIGNATURE:
        p->signature = e->text;
        return 0;

    case IR_CITATION:
        if (p->citations == NULL) {
            p->citations = node_array(&ir->tree);
        }

        node_add(p->citations, e->node);
        return 0;

    case IR_LOGPROBS:
        c->logprobs = e->node;
        return 0;

    default:
        return 0;
    }
}


/* Shorter. */

int
ir_emit_part(ir_t *ir, unsigned choice, ir_kind_e kind, ai_str_t id,
    ai_str_t name)
{
    ir_event_t    e;
    ir_choice_t  *c;

    c = ir_choice(ir, choice);

    if (c == NULL) {
        return -1;
    }

    ir_event(&e, IR_PART);
    e.choice = choice;
    e.part = c->parts;
    e.kind = kind;
    e.id = id;
    e.name = name;
    e.format = ir->provider->name;

    return ir_emit(ir, &e) == 0 ? (int) e.part : -1;
}


int
ir_emit_delta(ir_t *ir, unsigned choice, unsigned part, ai_str_t text)
{
    ir_event_t  e;

    if (text.len == 0) {
        return 0;
    }

    ir_event(&e, IR_DELTA);
    e.choice = choice;
    e.part = part;
    e.text = text;

    return ir_emit(ir, &e);
}


int
ir_emit_end(ir_t *ir, unsigned choice, unsigned part)
{
    ir_event_t  e;

    ir_event(&e, IR_PART_END);
    e.choice = choice;
    e.part = part;

    return ir_emit(ir, &e);
}


int
ir_emit_finish(ir_t *ir, unsigned choice, ir_finish_e finish, ai_str_t native,
    ai_str_t stop)
{
    ir_event_t  e;

    ir_event(&e, IR_FINISH);
    e.choice = choice;
    e.finish = finish;
    e.native = native;
    e.text = stop;

    return ir_emit(ir, &e);
}
