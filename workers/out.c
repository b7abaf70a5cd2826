/*
 * A growing text of JSON.  Its data is malloc'ed and its caller's.
 */

#include "out.h"

#include <stdlib.h>
#include <string.h>


static char *out_room(out_t *o, size_t len);


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

    if (o->len + len > (o->max != 0 ? o->max : OUT_MAX)) {
        o->failed = 1;
        return NULL;
    }

    if (len > o->size - o->len) {
        size = o->size != 0 ? o->size : 512;

        while (size - o->len < len) {
            size *= 2;
        }

        data = realloc(o->data, size);

        if (data == NULL) {
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
