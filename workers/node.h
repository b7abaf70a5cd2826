/*
 * The nodes of a tree (tree.h, which owns them): reading, which marks them,
 * naming and making.
 */

#ifndef NODE_H
#define NODE_H

#include "ai_json.h"

#define NODE_COUNT_MAX  1000000000000

typedef struct node_s  node_t;
typedef struct tree_s  tree_t;

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
    unsigned        index;          /* in its parent */
    unsigned        expanded:1;
    unsigned        read:1;
    unsigned        whole:1;        /* and all that is in it */
};

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
/* A number of tokens or the like, or otherwise: no provider has counted so far
 * as NODE_COUNT_MAX, and many of it can be added. */
int64_t node_use(const node_t *n, int64_t otherwise);
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

#endif
