/*
 * What dialects share of calls: their ids in the letters that a provider takes,
 * and which call a result is of.  Owns nothing; all lies in the ir_t's tree.
 */

#include "ir.h"

#include <stdio.h>
#include <string.h>

#include "ai_crypto.h"
#include "ai_sip.h"


#define CALLS_FIRST   64            /* slots; twice as many when half full */
#define CALLS_MARK    9             /* bytes of what tells changed ids apart */


static int calls_letter(char c);
static uint64_t calls_hash(ai_str_t id, const uint64_t seed[2]);
static node_t **calls_slot(const ir_calls_t *c, ai_str_t id);
static ai_str_t calls_id(const node_t *call);
static int calls_grow(ir_t *ir, ir_calls_t *c);


ai_str_t
ir_call_id(ir_t *ir, const node_t *id, size_t max)
{
    char         *p, mark[CALLS_MARK + 1];
    size_t        i, skip;
    unsigned      other;
    ai_str_t      text;

    static const uint64_t  seed[2];

    text = text_decode(&ir->tree, node_text(id));
    other = max != 0 && text.len > max;

    for (i = 0; i < text.len; i++) {
        other |= !calls_letter(text.data[i]);
    }

    if (!other) {
        return text;
    }

    /* It alone would be another's, too, that differs in such letters. */

    (void) snprintf(mark, sizeof(mark), "_%08x",
                    (unsigned) calls_hash(text, seed));
    skip = max != 0 && text.len + CALLS_MARK > max
           ? text.len + CALLS_MARK - max : 0;
    p = tree_alloc(&ir->tree, text.len - skip + CALLS_MARK);

    if (p == NULL) {
        return ai_str("");
    }

    for (i = skip; i < text.len; i++) {
        p[i - skip] = calls_letter(text.data[i]) ? text.data[i] : '_';
    }

    memcpy(p + text.len - skip, mark, CALLS_MARK);

    return (ai_str_t) { text.len - skip + CALLS_MARK, p };
}


static int
calls_letter(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
           || c == '_' || c == '-';
}


static uint64_t
calls_hash(ai_str_t id, const uint64_t seed[2])
{
    ai_sip_t  s;

    ai_sip_init(&s, seed);
    ai_sip_add(&s, id.data, id.len);

    return ai_sip_end(&s);
}


/* Which calls there are. */

void
ir_calls_add(ir_t *ir, ir_calls_t *c, node_t *call, ai_str_t id)
{
    node_t  **slot;

    if (id.len == 0 || (c->n >= c->size / 2 && calls_grow(ir, c) != 0)) {
        return;
    }

    slot = calls_slot(c, id);
    c->n += *slot == NULL;
    *slot = call;
}


node_t *
ir_calls_find(const ir_calls_t *c, ai_str_t id)
{
    return c->size != 0 && id.len != 0 ? *calls_slot(c, id) : NULL;
}


static node_t **
calls_slot(const ir_calls_t *c, ai_str_t id)
{
    size_t    i;
    ai_str_t  its;

    i = calls_hash(id, c->seed) & (c->size - 1);

    while (c->slots[i] != NULL) {
        its = calls_id(c->slots[i]);

        if (its.len == id.len && memcmp(its.data, id.data, id.len) == 0) {
            break;
        }

        i = (i + 1) & (c->size - 1);
    }

    return &c->slots[i];
}


/* Its member is there: what has none was not added. */

static ai_str_t
calls_id(const node_t *call)
{
    const node_t  *n;

    for (n = call->first; !ai_str_eqz(n->key, "id"); n = n->next) {
        /* void */
    }

    return node_text(n);
}


static int
calls_grow(ir_t *ir, ir_calls_t *c)
{
    size_t      i;
    node_t    **slot;
    ir_calls_t  more;

    more = *c;

    if (c->size == 0 && ai_random(more.seed, sizeof(more.seed)) != 0) {
        return -1;
    }

    more.size = c->size != 0 ? c->size * 2 : CALLS_FIRST;
    more.slots = tree_alloc(&ir->tree, more.size * sizeof(node_t *));

    if (more.slots == NULL) {
        return -1;
    }

    memset(more.slots, 0, more.size * sizeof(node_t *));

    for (i = 0; i < c->size; i++) {
        if (c->slots[i] != NULL) {
            slot = calls_slot(&more, calls_id(c->slots[i]));
            *slot = c->slots[i];
        }
    }

    *c = more;

    return 0;
}
