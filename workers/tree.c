/*
 * A JSON text as a tree, expanded level by level.  A tree_t owns its chunks;
 * nodes and copies lie in them.
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


static node_t *tree_node(tree_t *t, ai_json_type_e type);
static void tree_expand(tree_t *t, node_t *n);
static const char *tree_space(const char *p, const char *end);
static const char *tree_string_end(const char *p, const char *end);
static const char *tree_value_end(const char *p, const char *end);
static void node_path_z(ai_buf_t *b, ai_str_t s);
static int node_boring(const node_t *n);


void
tree_init(tree_t *t)
{
    t->chunks = NULL;
    t->pos = t->first;
    t->end = t->first + sizeof(t->first);
    t->bytes = 0;
    t->nodes = 0;
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


static node_t *
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

    if (ai_json_scan(&j, NULL, text, TREE_TEXT_MAX, TREE_DEPTH_MAX)
        != AI_JSON_OK)
    {
        return NULL;
    }

    n = tree_node(t, AI_JSON_OBJECT);

    if (n != NULL) {
        p = tree_space(text.data, text.data + text.len);
        n->text.data = p;
        n->text.len = (size_t) (tree_value_end(p, text.data + text.len) - p);
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


/* p is behind the opening quote; the closing one is returned. */

static const char *
tree_string_end(const char *p, const char *end)
{
    for ( ;; ) {
        while (p < end && *p != '"' && *p != '\\') {
            p++;
        }

        if (p >= end || *p == '"') {
            return p < end ? p : end;
        }

        p += end - p > 1 ? 2 : 1;
    }
}


static const char *
tree_value_end(const char *p, const char *end)
{
    unsigned  depth;

    if (p < end && *p == '"') {
        p = tree_string_end(p + 1, end);
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
            p = tree_string_end(p + 1, end);

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


static void
tree_link(node_t *parent, node_t *n)
{
    n->parent = parent;

    if (parent->last != NULL) {
        parent->last->next = n;

    } else {
        parent->first = n;
    }

    parent->last = n;
}


static void
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
            e = tree_string_end(p + 1, end);
            key = (ai_str_t) { (size_t) (e - p) - 1, p + 1 };
            p = tree_space(e + 1, end);
            p = tree_space(p + 1, end);
        }

        if (p >= end) {
            return;
        }

        e = tree_value_end(p, end);
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


/* Reading. */

static int
text_is(ai_str_t text, const char *z)
{
    char    buf[128];
    long    n;

    if (ai_str_eqz(text, z)) {
        return 1;
    }

    /* Only an escaped one may be another spelling, and its quotes are there. */

    if (text.len < 6 || text.len > sizeof(buf)
        || memchr(text.data, '\\', text.len) == NULL)
    {
        return 0;
    }

    n = ai_json_unescape((ai_str_t) { text.len + 2, text.data - 1 }, buf,
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


/* Where it stands. */

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
    const node_t  *m, *up[32];

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
            int64_t  k;

            for (k = 0, m = n->parent->first; m != n && m != NULL;
                 m = m->next)
            {
                k++;
            }

            ai_buf_add_z(b, "[");
            ai_buf_add_int(b, k);
            ai_buf_add_z(b, "]");
            continue;
        }

        if (i != 0) {
            ai_buf_add_z(b, ".");
        }

        node_path_z(b, n->key);
    }
}


/* What says nothing. */

static int
node_boring(const node_t *n)
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


int
node_unread(tree_t *t, node_t *n, int (*cb)(const node_t *n, void *data),
    void *data)
{
    node_t  *m;

    for (m = node_first(t, n); m != NULL; m = m->next) {

        if (m->whole || node_boring(m)) {
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


/* Making. */

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


/* Writing. */

void
out_free(out_t *o)
{
    free(o->data);
    memset(o, 0, sizeof(*o));
}


static char *
out_room(out_t *o, size_t len)
{
    char    *data;
    size_t   size;

    if (o->failed) {
        return NULL;
    }

    if (len > o->size - o->len) {
        size = o->size != 0 ? o->size : 512;

        while (size - o->len < len) {
            size *= 2;
        }

        if (o->len + len > (o->max != 0 ? o->max : OUT_MAX)
            || (data = realloc(o->data, size)) == NULL)
        {
            o->failed = 1;
            return NULL;
        }

        o->data = data;
        o->size = size;
    }

    o->len += len;

    return o->data + o->len - len;
}


void
out_add(out_t *o, ai_str_t s)
{
    char  *p;

    p = s.len != 0 ? out_room(o, s.len) : NULL;

    if (p != NULL) {
        memcpy(p, s.data, s.len);
    }
}


void
out_z(out_t *o, const char *z)
{
    out_add(o, (ai_str_t) { strlen(z), z });
}


void
out_int(out_t *o, int64_t n)
{
    char      text[24];
    ai_buf_t  b;

    ai_buf_init(&b, text, sizeof(text));
    ai_buf_add_int(&b, n);
    out_add(o, (ai_str_t) { ai_buf_len(&b), text });
}


void
out_item(out_t *o)
{
    char  c;

    if (o->failed || o->len == 0) {
        return;
    }

    c = o->data[o->len - 1];

    if (c != '{' && c != '[' && c != ':') {
        out_z(o, ",");
    }
}


void
out_key(out_t *o, const char *key)
{
    out_item(o);
    out_z(o, "\"");
    out_z(o, key);
    out_z(o, "\":");
}


void
out_open(out_t *o, char bracket)
{
    out_add(o, (ai_str_t) { 1, &bracket });
}


void
out_close(out_t *o, char bracket)
{
    out_add(o, (ai_str_t) { 1, &bracket });
}


void
out_escaped(out_t *o, ai_str_t escaped)
{
    out_z(o, "\"");
    out_add(o, escaped);
    out_z(o, "\"");
}


void
out_bytes(out_t *o, ai_str_t bytes)
{
    char      *p, piece[4096];
    size_t     n;
    ai_buf_t   b;

    out_z(o, "\"");

    /* A piece ends between two characters. */

    while (bytes.len != 0) {
        n = bytes.len;

        if (n > sizeof(piece) / 6) {
            n = sizeof(piece) / 6;

            while (n > sizeof(piece) / 6 - 4
                   && ((unsigned char) bytes.data[n] & 0xC0) == 0x80)
            {
                n--;
            }
        }

        ai_buf_init(&b, piece, sizeof(piece));
        ai_buf_add_json(&b, (ai_str_t) { n, bytes.data });
        p = out_room(o, ai_buf_len(&b));

        if (p != NULL) {
            memcpy(p, piece, ai_buf_len(&b));
        }

        bytes.data += n;
        bytes.len -= n;
    }

    out_z(o, "\"");
}


void
out_node(out_t *o, tree_t *t, node_t *n)
{
    node_t  *m;

    if (n == NULL) {
        out_z(o, "null");
        return;
    }

    node_whole(n);

    if (n->type == AI_JSON_STRING) {
        out_escaped(o, n->text);
        return;
    }

    if (n->text.len != 0) {
        out_add(o, n->text);
        return;
    }

    out_open(o, n->type == AI_JSON_OBJECT ? '{' : '[');

    for (m = node_first(t, n); m != NULL; m = m->next) {
        out_item(o);

        if (n->type == AI_JSON_OBJECT) {
            out_escaped(o, m->key);
            out_z(o, ":");
        }

        out_node(o, t, m);
    }

    out_close(o, n->type == AI_JSON_OBJECT ? '}' : ']');
}


void
out_key_escaped(out_t *o, const char *key, ai_str_t escaped)
{
    out_key(o, key);
    out_escaped(o, escaped);
}


void
out_key_z(out_t *o, const char *key, const char *z)
{
    out_key_escaped(o, key, (ai_str_t) { strlen(z), z });
}


void
out_key_int(out_t *o, const char *key, int64_t n)
{
    out_key(o, key);
    out_int(o, n);
}


void
out_key_node(out_t *o, tree_t *t, const char *key, node_t *n)
{
    if (n != NULL) {
        out_key(o, key);
        out_node(o, t, n);
    }
}
