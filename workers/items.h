/*
 * Items of a conversation as they are kept: JSON objects, each with an id of
 * its own, a type and, where it has one, a status.  All else in them is left as
 * it came.
 *
 * An items_t owns what was added to it; no other state, for any thread.
 */

#ifndef ITEMS_H
#define ITEMS_H

#include <jansson.h>

#include "out.h"

#define ITEMS_ID_MAX   128              /* bytes */
#define ITEMS_WHY_MAX  (ITEMS_ID_MAX + 96)

typedef struct {
    out_t     ids;              /* text[] of Postgres, still open */
    out_t     texts;            /* the same */
    out_t     list;             /* elements of a JSON array */
    unsigned  n;
    size_t    bytes;            /* of the items, without what is around them */
    json_t   *seen;             /* ids */
    char      first[ITEMS_ID_MAX + 1];
    char      last[ITEMS_ID_MAX + 1];
    char      why[ITEMS_WHY_MAX];
} items_t;

/* An items_t begins as zeros. */
void items_free(items_t *t);

/*
 * Adds the elements of a valid JSON array.  One without an id gets one of hex,
 * mark and its place; references to other items are left out.  0; -1: why says
 * which is wrong and how; -2: no memory.
 */
int items_add(items_t *t, ai_str_t array, ai_str_t hex, char mark);

/* The same of answers that we made: one whose id is taken, or none, gets
 * another. */
int items_add_said(items_t *t, ai_str_t array, ai_str_t hex);

/* ids or texts as Postgres reads them: malloc'ed, NULL without memory. */
char *items_array(const out_t *o);

/* Whether s can be an id, of a conversation or an item. */
int items_id_ok(ai_str_t s);

#endif
