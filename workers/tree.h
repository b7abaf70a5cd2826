/*
 * A JSON text as a tree that knows what of it was read, made level by level as
 * it is asked for, and a writer of JSON.  A tree_t owns all its nodes and texts
 * (an arena: nothing is freed by itself); the text that was parsed is its
 * caller's and outlives it.  Not for two threads at once.
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

#include "ai_json.h"

#define TREE_NODES_MAX  (256 * 1024)        /* of one tree */
#define TREE_BYTES_MAX  (192 * 1024 * 1024) /* of one tree, nodes and texts */
#define TREE_TEXT_MAX   (64 * 1024 * 1024)  /* a text that is parsed */
#define TREE_DEPTH_MAX  512                 /* its levels */
#define TREE_FIRST      1024                /* bytes in the tree_t itself */

typedef struct node_s  node_t;
typedef struct tree_chunk_s  tree_chunk_t;

struct node_s {
    node_t         *parent;
    node_t         *next;
    node_t         *first;          /* once it is expanded */
    node_t         *last;
    const node_t   *origin;         /* what it was made of */
    ai_str_t        key;            /* escaped; in an array empty */
    ai_str_t        text;           /* a string: escaped, else as it stands;
                                     * empty: made by node_object, node_array */
    ai_json_type_e  type;
    unsigned        expanded:1;
    unsigned        read:1;
    unsigned        whole:1;        /* and all that is in it */
};

/* Callers read failed only: no memory, or a bound. */
typedef struct {
    tree_chunk_t *chunks;
    char         *pos;
    char         *end;
    size_t        bytes;
    unsigned      nodes;
    unsigned      failed:1;
    char          first[TREE_FIRST];
} tree_t;

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

/* Reading.  Every n may be NULL, which is as null. */

/* The member, which is read now; NULL where there is none or it is null, or n
 * is no object.  Of equal names the first; the other stays unread. */
node_t *node_get(tree_t *t, node_t *n, const char *name);
/* The same of another type than this: NULL, and unread. */
node_t *node_get_type(tree_t *t, node_t *n, const char *name,
    ai_json_type_e type);
/* The same unmarked. */
node_t *node_peek(tree_t *t, node_t *n, const char *name);
/* The first of an array's or object's, and those that follow by ->next;
 * unmarked. */
node_t *node_first(tree_t *t, node_t *n);
/* Marks an element as read, or with all that is in it; returns it. */
node_t *node_read(node_t *n);
node_t *node_whole(node_t *n);
/* An escaped text, empty where n is no string. */
ai_str_t node_text(const node_t *n);
/* Whether it is this string, however it is escaped. */
int node_is(const node_t *n, const char *z);
/* The member is; read if so. */
int node_get_is(tree_t *t, node_t *n, const char *name, const char *z);
int node_true(const node_t *n);
/* A whole number, or otherwise. */
int64_t node_int(const node_t *n, int64_t otherwise);
double node_number(const node_t *n, double otherwise);
/* Elements or members. */
size_t node_count(tree_t *t, node_t *n);

/*
 * Appends where n stands in the text it is from: messages[3].content[0].type;
 * what was made of another node stands where that does.  Control characters
 * and what is no ASCII are "?".
 */
void node_path(ai_buf_t *b, const node_t *n);
/* Calls cb for what below n was not read and is not null, not below that; stops
 * when cb says so by 1. */
int node_unread(tree_t *t, node_t *n, int (*cb)(const node_t *n, void *data),
    void *data);

/* Making.  NULL and failed where there is no memory; every function takes
 * NULL. */

node_t *node_object(tree_t *t);
node_t *node_array(tree_t *t);
/* Of an escaped text. */
node_t *node_string(tree_t *t, ai_str_t escaped);
node_t *node_z(tree_t *t, const char *z);
node_t *node_integer(tree_t *t, int64_t n);
node_t *node_bool(tree_t *t, int yes);
/* One that says what from does; from counts as read with all in it, but whoever
 * reads the new one must read that. */
node_t *node_move(tree_t *t, node_t *from);
/* Says where it stands, for node_path; returns n. */
node_t *node_from(node_t *n, const node_t *origin);
/* Adds it; NULL adds nothing.  name: constant memory. */
node_t *node_set(node_t *object, const char *name, node_t *value);
node_t *node_add(node_t *array, node_t *value);

/* An escaped text as its bytes, and back; t owns them. */
ai_str_t text_decode(tree_t *t, ai_str_t escaped);
ai_str_t text_encode(tree_t *t, ai_str_t bytes);

/*
 * Writing: a growing text, NULL-safe, which may fail as a whole.  A key or an
 * item is preceded by a comma where it must be.
 */
typedef struct {
    char     *data;
    size_t    len;
    size_t    size;
    size_t    max;              /* 0: OUT_MAX */
    unsigned  failed:1;         /* no memory, or over max */
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
