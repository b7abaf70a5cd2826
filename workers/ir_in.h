/*
 * What ir.c (the form), ir_answer.c (its events) and translate.c (the driver)
 * share; no dialect includes it.
 */

#ifndef IR_IN_H
#define IR_IN_H

#include "ir.h"

/* What of a client's body only the provider's dialect knows. */
void ir_extra(ir_t *ir, node_t *body);
/* Notes what of a request nobody has read; of an answer, but for what its
 * dialect ignores. */
void ir_unread(ir_t *ir, tree_t *t, node_t *n);
void ir_unknown(ir_t *ir, tree_t *t, node_t *n);

#endif
