/*
 * A JSON text as a tree, expanded level by level, and the arena that it lies
 * in.  A tree_t owns its chunks; nodes and copies lie in them.
 */

#include "tree.h"

#include <stdlib.h>
#include <string.h>


#define TREE_CHUNK  (16 * 1024)


struct tree_chunk_s {
    tree_chunk_t *next;
    size_t        size;
    char          data[];
};


static const char *tree_space(const char *p, const char *end);
static const char *tree_string_end(tree_t *t, const char *p,
    const char *end);
static const char *tree_string_scan(const char *p, const char *end);
static const char *tree_value_end(tree_t *t, const char *p, const char *end);


void
tree_init(tree_t *t)
{
    t->chunks = NULL;
    t->pos = t->first;
    t->end = t->first + sizeof(t->first);
    t->bytes = 0;
    t->nodes = 0;
    t->nlongs = 0;
    t->failed = 0;
}


void
tree_free(tree_t *t)
{
    tree_chunk_t  *c, *next;

    for (c = t->chunks; c != NULL; c = next) {
        next = c->next;
        free(c);
    }

    tree_init(t);
}


void
tree_reset(tree_t *t)
{
    tree_chunk_t  *keep;

    keep = t->chunks;

    if (keep == NULL || keep->size > TREE_CHUNK) {
        tree_free(t);
        return;
    }

    t->chunks = keep->next;
    tree_free(t);

    keep->next = NULL;
    t->chunks = keep;
    t->pos = keep->data;
    t->end = keep->data + keep->size;
    t->bytes = keep->size;
}


void *
tree_alloc(tree_t *t, size_t size)
{
    char          *p;
    size_t         want;
    tree_chunk_t  *c;

    if (t->failed || size > TREE_BYTES_MAX) {
        t->failed = 1;
        return NULL;
    }

    p = (char *) (((uintptr_t) t->pos + 7) & ~(uintptr_t) 7);

    if (p <= t->end && size <= (size_t) (t->end - p)) {
        t->pos = p + size;
        return p;
    }

    want = size > TREE_CHUNK ? size : TREE_CHUNK;

    if (t->bytes + want > TREE_BYTES_MAX
        || (c = malloc(sizeof(tree_chunk_t) + want)) == NULL)
    {
        t->failed = 1;
        return NULL;
    }

    c->size = want;
    t->bytes += want;

    /* A large one does not end the chunk that is being filled. */

    if (size > TREE_CHUNK && t->chunks != NULL) {
        c->next = t->chunks->next;
        t->chunks->next = c;
        return c->data;
    }

    c->next = t->chunks;
    t->chunks = c;
    t->pos = c->data + size;
    t->end = c->data + want;

    return c->data;
}


ai_str_t
tree_copy(tree_t *t, ai_str_t s)
{
    char  *p;

    p = tree_alloc(t, s.len + 1);

    if (p == NULL) {
        return ai_str("");
    }

    if (s.len != 0) {
        memcpy(p, s.data, s.len);
    }

    return (ai_str_t) { s.len, p };
}


node_t *
tree_node(tree_t *t, ai_json_type_e type)
{
    node_t  *n;

    if (t->nodes >= TREE_NODES_MAX) {
        t->failed = 1;
        return NULL;
    }

    n = tree_alloc(t, sizeof(node_t));

    if (n != NULL) {
        t->nodes++;
        memset(n, 0, sizeof(node_t));
        n->type = type;
    }

    return n;
}


node_t *
tree_parse(tree_t *t, ai_str_t text)
{
    node_t      *n;
    ai_json_t    j;
    const char  *p;

    t->nlongs = 0;

    if (ai_json_scan(&j, NULL, text, TREE_TEXT_MAX, TREE_DEPTH_MAX)
        != AI_JSON_OK)
    {
        return NULL;
    }

    n = tree_node(t, AI_JSON_OBJECT);

    if (n != NULL) {
        p = tree_space(text.data, text.data + text.len);
        n->text.data = p;
        p = memrchr(text.data, '}', text.len);
        n->text.len = (size_t) (p + 1 - n->text.data);
        n->read = 1;
    }

    return n;
}


/* Scanning a text that is known to be valid. */

static const char *
tree_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
    }

    return p;
}


/* p is behind the opening quote; the closing one is returned.  A text of MBs is
 * looked at once, not once a level. */

static const char *
tree_string_end(tree_t *t, const char *p, const char *end)
{
    unsigned      i, n;
    const char   *q;
    tree_long_t  *known;

    n = t->nlongs < TREE_LONGS ? t->nlongs : TREE_LONGS;

    for (i = 0; i < n; i++) {
        if (t->longs[i].begin == p) {
            return t->longs[i].end;
        }
    }

    q = tree_string_scan(p, end);

    if (q - p >= TREE_LONG) {
        known = &t->longs[t->nlongs++ % TREE_LONGS];
        known->begin = p;
        known->end = q;
    }

    return q;
}


/* The first quote that has no odd number of backslashes before it. */

static const char *
tree_string_scan(const char *p, const char *end)
{
    const char  *q, *b;

    for (q = p; q < end; q++) {
        q = memchr(q, '"', (size_t) (end - q));

        if (q == NULL) {
            return end;
        }

        for (b = q; b > p && b[-1] == '\\'; b--) {
            /* void */
        }

        if ((q - b) % 2 == 0) {
            return q;
        }
    }

    return end;
}


static const char *
tree_value_end(tree_t *t, const char *p, const char *end)
{
    unsigned  depth;

    if (p < end && *p == '"') {
        p = tree_string_end(t, p + 1, end);
        return p < end ? p + 1 : end;
    }

    if (p < end && *p != '{' && *p != '[') {
        while (p < end && *p != ',' && *p != '}' && *p != ']' && *p > ' ') {
            p++;
        }

        return p;
    }

    for (depth = 0; p < end; p++) {

        switch (*p) {

        case '"':
            p = tree_string_end(t, p + 1, end);

            if (p >= end) {
                return end;
            }

            break;

        case '{':
        case '[':
            depth++;
            break;

        case '}':
        case ']':
            if (--depth == 0) {
                return p + 1;
            }

            break;
        }
    }

    return end;
}


static ai_json_type_e
tree_type(char c)
{
    switch (c) {

    case '"':
        return AI_JSON_STRING;

    case '{':
        return AI_JSON_OBJECT;

    case '[':
        return AI_JSON_ARRAY;

    case 't':
        return AI_JSON_TRUE;

    case 'f':
        return AI_JSON_FALSE;

    case 'n':
        return AI_JSON_NULL;

    default:
        return AI_JSON_NUMBER;
    }
}


void
tree_link(node_t *parent, node_t *n)
{
    n->parent = parent;

    if (parent->last != NULL) {
        n->index = parent->last->index + 1;
        parent->last->next = n;

    } else {
        parent->first = n;
    }

    parent->last = n;
}


void
tree_expand(tree_t *t, node_t *n)
{
    node_t      *child;
    ai_str_t     key;
    const char  *p, *end, *e;

    if (n->expanded) {
        return;
    }

    n->expanded = 1;

    if (n->text.len < 2
        || (n->type != AI_JSON_OBJECT && n->type != AI_JSON_ARRAY))
    {
        return;
    }

    p = n->text.data + 1;
    end = n->text.data + n->text.len - 1;

    for ( ;; ) {
        p = tree_space(p, end);

        if (p < end && *p == ',') {
            p = tree_space(p + 1, end);
        }

        if (p >= end) {
            return;
        }

        key = ai_str("");

        if (n->type == AI_JSON_OBJECT) {
            e = tree_string_end(t, p + 1, end);
            key = (ai_str_t) { (size_t) (e - p) - 1, p + 1 };
            p = tree_space(e + 1, end);
            p = tree_space(p + 1, end);
        }

        if (p >= end) {
            return;
        }

        e = tree_value_end(t, p, end);
        child = tree_node(t, tree_type(*p));

        if (child == NULL) {
            return;
        }

        child->key = key;

        if (child->type == AI_JSON_STRING) {
            child->text = (ai_str_t) { (size_t) (e - p) - 2, p + 1 };

        } else {
            child->text = (ai_str_t) { (size_t) (e - p), p };
        }

        tree_link(n, child);
        p = e;
    }
}


int
tree_says_nothing(const node_t *n)
{
    const char  *p, *end;

    if (n->type == AI_JSON_NULL) {
        return 1;
    }

    if (n->type != AI_JSON_ARRAY && n->type != AI_JSON_OBJECT) {
        return 0;
    }

    if (n->text.len == 0) {
        return n->first == NULL;
    }

    p = n->text.data + 1;
    end = n->text.data + n->text.len - 1;

    return tree_space(p, end) == end;
}


/* Texts. */

ai_str_t
text_decode(tree_t *t, ai_str_t escaped)
{
    char  *quoted, *out;
    long   n;

    if (escaped.len == 0 || memchr(escaped.data, '\\', escaped.len) == NULL) {
        return escaped;
    }

    quoted = tree_alloc(t, escaped.len + 2);
    out = tree_alloc(t, escaped.len + 2);

    if (quoted == NULL || out == NULL) {
        return ai_str("");
    }

    quoted[0] = '"';
    memcpy(quoted + 1, escaped.data, escaped.len);
    quoted[escaped.len + 1] = '"';
    n = ai_json_unescape((ai_str_t) { escaped.len + 2, quoted }, out,
                         escaped.len + 2);

    return n >= 0 ? (ai_str_t) { (size_t) n, out } : ai_str("");
}


ai_str_t
text_encode(tree_t *t, ai_str_t bytes)
{
    char      *p;
    size_t     i;
    ai_buf_t   b;

    for (i = 0; i < bytes.len; i++) {
        if ((unsigned char) bytes.data[i] < 0x20 || bytes.data[i] == '"'
            || bytes.data[i] == '\\' || (unsigned char) bytes.data[i] >= 0x7F)
        {
            break;
        }
    }

    if (i == bytes.len) {
        return bytes;
    }

    p = tree_alloc(t, bytes.len * 6 + 1);

    if (p == NULL) {
        return ai_str("");
    }

    ai_buf_init(&b, p, bytes.len * 6 + 1);
    ai_buf_add_json(&b, bytes);

    return (ai_str_t) { ai_buf_len(&b), p };
}
