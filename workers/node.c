/*
 * Reading and making the nodes of a tree, and naming them.  Owns nothing: nodes
 * lie in their tree.
 */

#include "node.h"

#include <stdlib.h>
#include <string.h>

#include "tree.h"


static int text_is(ai_str_t text, const char *z);
static void node_path_z(ai_buf_t *b, ai_str_t s);


static int
text_is(ai_str_t text, const char *z)
{
    char    buf[128], quoted[130];
    long    n;

    if (ai_str_eqz(text, z)) {
        return 1;
    }

    /* Only an escaped one may be another spelling. */

    if (text.len < 2 || text.len > sizeof(buf)
        || memchr(text.data, '\\', text.len) == NULL)
    {
        return 0;
    }

    quoted[0] = '"';
    memcpy(quoted + 1, text.data, text.len);
    quoted[text.len + 1] = '"';
    n = ai_json_unescape((ai_str_t) { text.len + 2, quoted }, buf,
                         sizeof(buf));

    return n >= 0 && ai_str_eqz((ai_str_t) { (size_t) n, buf }, z);
}


node_t *
node_peek(tree_t *t, node_t *n, const char *name)
{
    node_t  *m;

    if (n == NULL || n->type != AI_JSON_OBJECT) {
        return NULL;
    }

    tree_expand(t, n);

    for (m = n->first; m != NULL; m = m->next) {
        if (text_is(m->key, name)) {
            return m;
        }
    }

    return NULL;
}


node_t *
node_get(tree_t *t, node_t *n, const char *name)
{
    node_t  *m;

    m = node_peek(t, n, name);

    if (m == NULL) {
        return NULL;
    }

    m->read = 1;

    return m->type == AI_JSON_NULL ? NULL : m;
}


node_t *
node_get_type(tree_t *t, node_t *n, const char *name, ai_json_type_e type)
{
    node_t  *m;

    m = node_peek(t, n, name);

    if (m == NULL || m->type != type) {
        return NULL;
    }

    m->read = 1;

    return m;
}


node_t *
node_first(tree_t *t, node_t *n)
{
    if (n == NULL) {
        return NULL;
    }

    tree_expand(t, n);

    return n->first;
}


node_t *
node_read(node_t *n)
{
    if (n != NULL) {
        n->read = 1;
    }

    return n;
}


node_t *
node_whole(node_t *n)
{
    if (n != NULL) {
        n->read = 1;
        n->whole = 1;
    }

    return n;
}


ai_str_t
node_text(const node_t *n)
{
    return n != NULL && n->type == AI_JSON_STRING ? n->text : ai_str("");
}


int
node_is(const node_t *n, const char *z)
{
    return n != NULL && n->type == AI_JSON_STRING && text_is(n->text, z);
}


int
node_get_is(tree_t *t, node_t *n, const char *name, const char *z)
{
    node_t  *m;

    m = node_peek(t, n, name);

    if (!node_is(m, z)) {
        return 0;
    }

    m->read = 1;

    return 1;
}


int
node_true(const node_t *n)
{
    return n != NULL && n->type == AI_JSON_TRUE;
}


int64_t
node_int(const node_t *n, int64_t otherwise)
{
    int64_t  v;

    return n != NULL && n->type == AI_JSON_NUMBER
           && ai_json_int(n->text, &v) == 0 ? v : otherwise;
}


int64_t
node_use(const node_t *n, int64_t otherwise)
{
    int64_t  v;

    v = node_int(n, -1);

    return v >= 0 && v <= NODE_COUNT_MAX ? v : otherwise;
}


double
node_number(const node_t *n, double otherwise)
{
    char  buf[64];

    if (n == NULL || n->type != AI_JSON_NUMBER || n->text.len >= sizeof(buf)) {
        return otherwise;
    }

    memcpy(buf, n->text.data, n->text.len);
    buf[n->text.len] = '\0';

    return strtod(buf, NULL);
}


size_t
node_count(tree_t *t, node_t *n)
{
    size_t   count;
    node_t  *m;

    count = 0;

    for (m = node_first(t, n); m != NULL; m = m->next) {
        count++;
    }

    return count;
}


static void
node_path_z(ai_buf_t *b, ai_str_t s)
{
    char    c;
    size_t  i;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (c < 0x21 || c > 0x7E || c == '"' || c == '\\' || c == ',') {
            c = '?';
        }

        ai_buf_add(b, &c, 1);
    }
}


void
node_path(ai_buf_t *b, const node_t *n)
{
    int64_t        i;
    unsigned       depth;
    const node_t  *up[32];

    /* The way up, then down; what is deeper than that is named by its end. */

    for (depth = 0; n != NULL && depth < 32; /* void */ ) {

        if (n->origin != NULL) {
            n = n->origin;
            continue;
        }

        if (n->parent == NULL) {
            break;
        }

        /* A maker's own member stands where all that it made does. */

        if (n->parent->origin != NULL) {
            n = n->parent;
            continue;
        }

        up[depth++] = n;
        n = n->parent;
    }

    for (i = 0; depth != 0; i++) {
        n = up[--depth];

        if (n->parent->type == AI_JSON_ARRAY) {
            ai_buf_add_z(b, "[");
            ai_buf_add_int(b, n->index);
            ai_buf_add_z(b, "]");
            continue;
        }

        if (i != 0) {
            ai_buf_add_z(b, ".");
        }

        node_path_z(b, n->key);
    }
}


int
node_unread(tree_t *t, node_t *n, int (*cb)(const node_t *n, void *data),
    void *data)
{
    node_t  *m;

    for (m = node_first(t, n); m != NULL; m = m->next) {

        /* One that was made is a word by itself, as a marker is. */

        if (m->whole
            || (tree_says_nothing(m)
                && (m->origin == NULL || m->text.len != 0
                    || m->type != AI_JSON_OBJECT)))
        {
            continue;
        }

        if (!m->read) {
            if (cb(m, data)) {
                return 1;
            }

            continue;
        }

        if ((m->type == AI_JSON_OBJECT || m->type == AI_JSON_ARRAY)
            && node_unread(t, m, cb, data))
        {
            return 1;
        }
    }

    return 0;
}


node_t *
node_object(tree_t *t)
{
    node_t  *n;

    n = tree_node(t, AI_JSON_OBJECT);

    if (n != NULL) {
        n->expanded = 1;
    }

    return n;
}


node_t *
node_array(tree_t *t)
{
    node_t  *n;

    n = tree_node(t, AI_JSON_ARRAY);

    if (n != NULL) {
        n->expanded = 1;
    }

    return n;
}


node_t *
node_string(tree_t *t, ai_str_t escaped)
{
    node_t  *n;

    n = tree_node(t, AI_JSON_STRING);

    if (n != NULL) {
        n->text = escaped;
    }

    return n;
}


node_t *
node_z(tree_t *t, const char *z)
{
    return node_string(t, (ai_str_t) { strlen(z), z });
}


node_t *
node_integer(tree_t *t, int64_t n)
{
    char       text[24];
    node_t    *made;
    ai_buf_t   b;

    ai_buf_init(&b, text, sizeof(text));
    ai_buf_add_int(&b, n);
    made = tree_node(t, AI_JSON_NUMBER);

    if (made != NULL) {
        made->text = tree_copy(t, (ai_str_t) { ai_buf_len(&b), text });
    }

    return made;
}


node_t *
node_bool(tree_t *t, int yes)
{
    node_t  *n;

    n = tree_node(t, yes ? AI_JSON_TRUE : AI_JSON_FALSE);

    if (n != NULL) {
        n->text = yes ? ai_str("true") : ai_str("false");
    }

    return n;
}


node_t *
node_move(tree_t *t, node_t *from)
{
    node_t  *n;

    if (from == NULL) {
        return NULL;
    }

    node_whole(from);
    tree_expand(t, from);
    n = tree_node(t, from->type);

    if (n != NULL) {
        n->text = from->text;
        n->first = from->first;
        n->last = from->last;
        n->expanded = 1;
        n->origin = from;
    }

    return n;
}


node_t *
node_from(node_t *n, const node_t *origin)
{
    if (n != NULL) {
        n->origin = origin;
    }

    return n;
}


node_t *
node_set(node_t *object, const char *name, node_t *value)
{
    if (object == NULL || value == NULL) {
        return value;
    }

    value->key = (ai_str_t) { strlen(name), name };
    tree_link(object, value);

    return value;
}


node_t *
node_add(node_t *array, node_t *value)
{
    if (array == NULL || value == NULL) {
        return value;
    }

    tree_link(array, value);

    return value;
}
