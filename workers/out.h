/*
 * Writing JSON: a growing text, NULL-safe, which may fail as a whole.  A key or
 * an item is preceded by a comma where it must be.
 */

#ifndef OUT_H
#define OUT_H

#include "node.h"

typedef struct {
    char     *data;
    size_t    len;
    size_t    size;
    size_t    max;              /* 0: OUT_MAX */
    unsigned  failed:1;         /* no memory, or over max */
    unsigned  line:1;           /* values lose their line ends: an event's */
} out_t;

#define OUT_MAX  (192 * 1024 * 1024)

/* An out_t begins as zeros; data is malloc'ed and the caller's. */
void out_free(out_t *o);
void out_add(out_t *o, ai_str_t s);
void out_z(out_t *o, const char *z);
void out_int(out_t *o, int64_t n);
/* "key": of constant memory that needs no escape. */
void out_key(out_t *o, const char *key);
/* What stands before the next element of an array. */
void out_item(out_t *o);
void out_open(out_t *o, char bracket);
void out_close(out_t *o, char bracket);
/* In quotes. */
void out_escaped(out_t *o, ai_str_t escaped);
/* In quotes, bytes that are to be escaped. */
void out_bytes(out_t *o, ai_str_t bytes);
/* A value as it stands, or null; node_whole. */
void out_node(out_t *o, tree_t *t, node_t *n);
/* Keys with such values; out_key_node writes nothing where n is NULL. */
void out_key_escaped(out_t *o, const char *key, ai_str_t escaped);
void out_key_z(out_t *o, const char *key, const char *z);
void out_key_int(out_t *o, const char *key, int64_t n);
void out_key_node(out_t *o, tree_t *t, const char *key, node_t *n);

#endif
