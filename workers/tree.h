/*
 * A JSON text as a tree that knows what of it was read, made level by level as
 * it is asked for (node.h reads and makes them).  A tree_t owns all its nodes
 * and texts (an arena: nothing is freed by itself); the text that was parsed is
 * its caller's and outlives it.  Not for two threads at once.
 *
 * Strings are kept as they stand between their quotes, escapes and all: what
 * is only handed on is never decoded, and goes out byte for byte.  The same is
 * true of numbers.  "escaped" below means such a text.
 *
 * Whoever reads a member marks it.  So what nobody has read, and nothing that
 * is not in the tree's maker's code, can be found and named afterwards.
 */

#ifndef TREE_H
#define TREE_H

#include "node.h"

#define TREE_NODES_MAX  (256 * 1024)        /* of one tree */
#define TREE_BYTES_MAX  (192 * 1024 * 1024) /* of one tree, nodes and texts */
#define TREE_TEXT_MAX   (64 * 1024 * 1024)  /* a text that is parsed */
#define TREE_DEPTH_MAX  512                 /* its levels */
#define TREE_FIRST      1024                /* bytes in the tree_t itself */
#define TREE_LONG       4096                /* bytes of a string whose end is */
#define TREE_LONGS      8                   /* remembered, as of so many */

typedef struct tree_chunk_s  tree_chunk_t;

typedef struct {
    const char *begin;
    const char *end;
} tree_long_t;

/* Callers read failed only: no memory, or a bound. */
struct tree_s {
    tree_chunk_t *chunks;
    char         *pos;
    char         *end;
    size_t        bytes;
    unsigned      nodes;
    unsigned      nlongs;       /* of all so far: the last are in longs */
    unsigned      failed:1;
    tree_long_t   longs[TREE_LONGS];
    char          first[TREE_FIRST];
};

/* Allocates nothing; not to be copied afterwards. */
void tree_init(tree_t *t);
void tree_free(tree_t *t);
/* All nodes and texts are gone, some memory stays for the next. */
void tree_reset(tree_t *t);
/* size bytes, aligned; NULL and failed. */
void *tree_alloc(tree_t *t, size_t size);
/* A copy that lives as long as the tree; empty and failed. */
ai_str_t tree_copy(tree_t *t, ai_str_t s);

/* The object that text is (checked whole: syntax, UTF-8, depth, keys of the
 * top that stand twice), or NULL; failed tells which. */
node_t *tree_parse(tree_t *t, ai_str_t text);

/* An escaped text as its bytes, and back; t owns them. */
ai_str_t text_decode(tree_t *t, ai_str_t escaped);
ai_str_t text_encode(tree_t *t, ai_str_t bytes);

/* For node.c: a new node, linked as the last of another; the children of one
 * are made; whether one is null, or has none. */
node_t *tree_node(tree_t *t, ai_json_type_e type);
void tree_link(node_t *parent, node_t *n);
void tree_expand(tree_t *t, node_t *n);
int tree_says_nothing(const node_t *n);

#endif
