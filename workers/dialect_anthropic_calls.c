/*
 * Anthropic's messages: the calls of a stream.  Some providers say the
 * arguments of several by turns, but here one block is open at a time: a call
 * that has begun stays open until its arguments are whole, and those behind it
 * wait.
 * Owns nothing; what waits lies in the ir_t's tree.
 */

#include "dialect_anthropic.h"

#include <string.h>


struct anthropic_call_s {
    anthropic_call_t *next;
    unsigned          part;
    int               block;
    ai_str_t          id;
    ai_str_t          name;
    ai_str_t          text;     /* of its arguments: what waits */
    size_t            size;
    unsigned          depth;    /* of the arguments so far */
    unsigned          string:1;
    unsigned          escape:1;
    unsigned          whole:1;
    unsigned          ended:1;  /* its provider has gone on */
};


static void anthropic_call_open(const anthropic_call_t *c, out_t *o);
static void anthropic_call_says(const anthropic_call_t *c, out_t *o,
    ai_str_t text);
static void anthropic_call_next(anthropic_calls_t *q, out_t *o);
static int anthropic_call_wait(ir_t *ir, anthropic_call_t *c, ai_str_t text);
static void anthropic_call_read(anthropic_call_t *c, ai_str_t text);
static const char *anthropic_call_char(const char *p, const char *end, char *c);


int
anthropic_call_begin(ir_t *ir, anthropic_calls_t *q, const ir_event_t *e,
    int block, out_t *o)
{
    anthropic_call_t  *c;

    c = tree_alloc(&ir->tree, sizeof(*c));
    if (c == NULL) {
        return -1;
    }

    memset(c, 0, sizeof(*c));
    c->part = e->part;
    c->block = block;
    c->id = tree_copy(&ir->tree, e->id);
    c->name = tree_copy(&ir->tree, e->name);
    c->text = ai_str("");

    if (q->first == NULL) {
        q->first = c;
        anthropic_call_open(c, o);

    } else {
        q->last->next = c;
    }

    q->last = c;

    return 0;
}


int
anthropic_call_delta(ir_t *ir, anthropic_calls_t *q, const ir_event_t *e,
    out_t *o)
{
    anthropic_call_t  *c;

    for (c = q->first; c != NULL && c->part != e->part; c = c->next) {
        /* void */
    }

    if (c == NULL) {
        ir_note(ir, NULL, "arguments behind those that were whole");
        return 0;
    }

    anthropic_call_read(c, e->text);

    if (c != q->first) {
        return anthropic_call_wait(ir, c, e->text);
    }

    anthropic_call_says(c, o, e->text);

    if (c->ended && c->whole) {
        anthropic_call_next(q, o);
    }

    return 0;
}


void
anthropic_call_end(anthropic_calls_t *q, const ir_event_t *e, out_t *o)
{
    anthropic_call_t  *c;

    for (c = q->first; c != NULL; c = c->next) {
        if (c->part == e->part) {
            c->ended = 1;
        }
    }

    if (q->first != NULL && q->first->ended && q->first->whole) {
        anthropic_call_next(q, o);
    }
}


void
anthropic_calls_end(anthropic_calls_t *q, out_t *o)
{
    while (q->first != NULL) {
        anthropic_call_next(q, o);
    }
}


static void
anthropic_call_open(const anthropic_call_t *c, out_t *o)
{
    anthropic_write_type(o, "content_block_start");
    out_key_int(o, "index", c->block);
    out_z(o, ",\"content_block\":{\"type\":\"tool_use\"");
    out_key_escaped(o, "id", c->id);
    out_key_escaped(o, "name", c->name);
    out_z(o, ",\"input\":{}}}\n\n");
}


static void
anthropic_call_says(const anthropic_call_t *c, out_t *o, ai_str_t text)
{
    anthropic_write_type(o, "content_block_delta");
    out_key_int(o, "index", c->block);
    out_z(o, ",\"delta\":{\"type\":\"input_json_delta\"");
    out_key_escaped(o, "partial_json", text);
    out_z(o, "}}\n\n");
}


/* The first is whole, or there is nothing more of it. */

static void
anthropic_call_next(anthropic_calls_t *q, out_t *o)
{
    anthropic_call_t  *c;

    do {
        c = q->first;
        q->first = c->next;
        anthropic_write_type(o, "content_block_stop");
        out_key_int(o, "index", c->block);
        out_z(o, "}\n\n");
        c = q->first;

        if (c == NULL) {
            return;
        }

        anthropic_call_open(c, o);

        if (c->text.len != 0) {
            anthropic_call_says(c, o, c->text);
        }

    } while (c->ended && c->whole);
}


static int
anthropic_call_wait(ir_t *ir, anthropic_call_t *c, ai_str_t text)
{
    char    *to;
    size_t   size;

    ir->collected += text.len;

    if (ir->collected > IR_COLLECT_MAX) {
        return -1;
    }

    if (c->size - c->text.len < text.len) {
        size = (c->text.len + text.len) * 2;
        to = tree_alloc(&ir->tree, size);

        if (to == NULL) {
            return -1;
        }

        memcpy(to, c->text.data, c->text.len);
        c->text.data = to;
        c->size = size;
    }

    memcpy((char *) c->text.data + c->text.len, text.data, text.len);
    c->text.len += text.len;

    return 0;
}


/* Arguments are JSON: whether all brackets are closed. */

static void
anthropic_call_read(anthropic_call_t *call, ai_str_t text)
{
    char         c;
    const char  *p, *end;

    end = text.data + text.len;

    for (p = text.data; p < end && !call->whole; /* void */ ) {
        p = anthropic_call_char(p, end, &c);

        if (call->escape) {
            call->escape = 0;

        } else if (call->string) {
            call->escape = c == '\\';
            call->string = c != '"';

        } else if (c == '"') {
            call->string = 1;

        } else if (c == '{' || c == '[') {
            call->depth++;

        } else if ((c == '}' || c == ']') && call->depth != 0) {
            call->whole = --call->depth == 0;
        }
    }
}


/* One of an escaped text: what is no bracket, quote or backslash may be any
 * other. */

static const char *
anthropic_call_char(const char *p, const char *end, char *c)
{
    int       i;
    unsigned  n;

    *c = *p++;

    if (*c != '\\' || p == end) {
        return p;
    }

    *c = *p++;

    if (*c == '"' || *c == '\\') {
        return p;
    }

    n = 0;

    if (*c == 'u' && end - p >= 4) {
        for (i = 0; i < 4; i++, p++) {
            n = n * 16 + ((unsigned) *p & 15) + (*p > '9' ? 9 : 0);
        }
    }

    *c = n > ' ' && n < 0x7F ? (char) n : ' ';

    return p;
}
