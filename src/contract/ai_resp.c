/*
 * Redis' protocol (RESP2), read in one pass over the bytes as they come.  A
 * reader owns its buffer and its nodes.
 */

#include "ai_resp.h"

#include <stdlib.h>
#include <string.h>


#define AI_RESP_ROOM   4096             /* bytes there is always room for */
#define AI_RESP_NODES  64               /* the nodes' first size */


static int ai_resp_one(ai_resp_reader_t *r);
static int ai_resp_array(ai_resp_reader_t *r, ai_resp_t *node, int64_t n);
static int ai_resp_bulk(ai_resp_reader_t *r, ai_resp_t *node);
static int ai_resp_line(ai_resp_reader_t *r, ai_resp_t *node);
static int ai_resp_number(ai_resp_reader_t *r, int64_t *n, size_t *end);
static uint32_t ai_resp_slot(const ai_resp_reader_t *r);
static int ai_resp_done(ai_resp_reader_t *r);
static int ai_resp_nodes(ai_resp_reader_t *r, uint32_t n);
static void ai_resp_moved(ai_resp_reader_t *r, char *buf);
static void ai_resp_idle(ai_resp_reader_t *r);


void
ai_resp_init(ai_resp_reader_t *r, const ai_resp_limits_t *limits)
{
    memset(r, 0, sizeof(*r));
    r->limits = *limits;

    if (r->limits.depth > AI_RESP_DEPTH_MAX) {
        r->limits.depth = AI_RESP_DEPTH_MAX;
    }

    if (r->limits.elements > AI_RESP_ELEMENTS_MAX) {
        r->limits.elements = AI_RESP_ELEMENTS_MAX;
    }

    if (r->limits.keep < AI_RESP_READ_SIZE) {
        r->limits.keep = AI_RESP_READ_SIZE;
    }
}


void
ai_resp_free(ai_resp_reader_t *r)
{
    free(r->buf);
    free(r->nodes);
    memset(r, 0, sizeof(*r));
}


char *
ai_resp_room(ai_resp_reader_t *r, size_t *n)
{
    char    *buf;
    size_t   rest, need, size;

    if (r->nnodes == 0) {
        r->start = r->at;
    }

    rest = r->len - r->start;
    need = AI_RESP_ROOM;

    if (r->in_bulk && r->bulk + 2 > r->len - r->at + need) {
        need = r->bulk + 2 - (r->len - r->at);
    }

    if (r->size - r->len >= need) {
        *n = r->size - r->len;
        return r->buf + r->len;
    }

    size = AI_RESP_READ_SIZE;

    while (size < rest + need) {
        size *= 2;
    }

    if (size <= r->size) {
        memmove(r->buf, r->buf + r->start, rest);
        ai_resp_moved(r, r->buf);

    } else {
        buf = malloc(size);

        if (buf == NULL) {
            return NULL;
        }

        if (rest != 0) {
            memcpy(buf, r->buf + r->start, rest);
        }

        ai_resp_moved(r, buf);
        free(r->buf);
        r->buf = buf;
        r->size = size;
    }

    r->at -= r->start;
    r->len = rest;
    r->line -= r->line < r->start ? r->line : r->start;
    r->start = 0;
    *n = r->size - r->len;

    return r->buf + r->len;
}


/* The bytes from start on are, or are about to be, at buf. */

static void
ai_resp_moved(ai_resp_reader_t *r, char *buf)
{
    uint32_t  i;

    for (i = 0; i < r->nnodes; i++) {
        if (r->nodes[i].str != NULL) {
            r->nodes[i].str = buf + (r->nodes[i].str - r->buf - r->start);
        }
    }
}


void
ai_resp_fed(ai_resp_reader_t *r, size_t n)
{
    r->len += n;
}


int
ai_resp_next(ai_resp_reader_t *r, ai_resp_t **reply)
{
    int  rc;

    if (r->failed != 0) {
        return r->failed;
    }

    if (r->nnodes != 0 && r->depth == 0 && !r->in_bulk
        && r->nodes[0].type != 0)
    {
        r->nnodes = 0;
    }

    if (r->nnodes == 0) {
        r->start = r->at;
        r->line = r->at;

        if (r->at == r->len) {
            ai_resp_idle(r);
            return AI_RESP_AGAIN;
        }

        if (ai_resp_nodes(r, 1) != AI_RESP_OK) {
            return AI_RESP_MEMORY;
        }
    }

    do {
        rc = ai_resp_one(r);
    } while (rc == AI_RESP_OK && !ai_resp_done(r));

    if (rc == AI_RESP_OK) {
        *reply = r->nodes;
        return AI_RESP_OK;
    }

    if (rc == AI_RESP_AGAIN && r->len - r->start > r->limits.bytes) {
        rc = AI_RESP_OVER;
    }

    if (rc < 0) {
        r->failed = rc;
    }

    return rc;
}


/* Nothing is at hand: large memory goes. */

static void
ai_resp_idle(ai_resp_reader_t *r)
{
    r->start = 0;
    r->at = 0;
    r->len = 0;
    r->line = 0;

    if (r->size > r->limits.keep) {
        free(r->buf);
        r->buf = NULL;
        r->size = 0;
    }

    if (r->nodes_size * sizeof(*r->nodes) > r->limits.keep) {
        free(r->nodes);
        r->nodes = NULL;
        r->nodes_size = 0;
    }
}


/* One element, or the head of an array: AI_RESP_OK when it is filled. */

static int
ai_resp_one(ai_resp_reader_t *r)
{
    int         rc;
    char        type;
    size_t      end;
    int64_t     n;
    ai_resp_t  *node;

    node = &r->nodes[ai_resp_slot(r)];

    if (r->in_bulk) {
        return ai_resp_bulk(r, node);
    }

    if (r->at == r->len) {
        return AI_RESP_AGAIN;
    }

    type = r->buf[r->at];

    if (type == '+' || type == '-') {
        return ai_resp_line(r, node);
    }

    if (type != '$' && type != ':' && type != '*') {
        return AI_RESP_MALFORMED;
    }

    rc = ai_resp_number(r, &n, &end);

    if (rc != AI_RESP_OK) {
        return rc;
    }

    if (end - r->start > r->limits.bytes) {
        return AI_RESP_OVER;
    }

    r->at = end;

    if (type == ':') {
        node->type = AI_RESP_INTEGER;
        node->integer = n;
        return AI_RESP_OK;
    }

    if (n == -1) {
        node->type = AI_RESP_NIL;
        return AI_RESP_OK;
    }

    if (n < 0) {
        return AI_RESP_MALFORMED;
    }

    if (type == '*') {
        return ai_resp_array(r, node, n);
    }

    if ((uint64_t) n > r->limits.bytes
        || r->at - r->start + (size_t) n + 2 > r->limits.bytes)
    {
        return AI_RESP_OVER;
    }

    r->bulk = (size_t) n;
    r->in_bulk = 1;

    return ai_resp_bulk(r, node);
}


static int
ai_resp_array(ai_resp_reader_t *r, ai_resp_t *node, int64_t n)
{
    uint32_t  at;

    if (r->depth == r->limits.depth
        || n > (int64_t) r->limits.elements - (r->nnodes - 1))
    {
        return AI_RESP_OVER;
    }

    at = (uint32_t) (node - r->nodes);

    if (ai_resp_nodes(r, (uint32_t) n) != AI_RESP_OK) {
        return AI_RESP_MEMORY;
    }

    node = &r->nodes[at];
    node->type = AI_RESP_ARRAY;
    node->elements = (uint32_t) n;
    node->element = node + (r->nnodes - (uint32_t) n - at);

    if (n != 0) {
        r->levels[r->depth].next = r->nnodes - (uint32_t) n;
        r->levels[r->depth].left = (uint32_t) n;
        r->depth++;
    }

    return AI_RESP_OK;
}


static int
ai_resp_bulk(ai_resp_reader_t *r, ai_resp_t *node)
{
    char  *p;

    if (r->len - r->at < r->bulk + 2) {
        return AI_RESP_AGAIN;
    }

    p = r->buf + r->at;

    if (p[r->bulk] != '\r' || p[r->bulk + 1] != '\n') {
        return AI_RESP_MALFORMED;
    }

    p[r->bulk] = '\0';
    node->type = AI_RESP_STRING;
    node->str = p;
    node->len = r->bulk;
    r->at += r->bulk + 2;
    r->in_bulk = 0;

    return AI_RESP_OK;
}


static int
ai_resp_line(ai_resp_reader_t *r, ai_resp_t *node)
{
    char    *p, *lf;
    size_t   from;

    p = r->buf + r->at;
    from = r->line > r->at ? r->line : r->at;
    lf = memchr(r->buf + from, '\n', r->len - from);

    if (lf == NULL) {
        r->line = r->len;
        return r->len - r->at > AI_RESP_LINE_MAX + 2 ? AI_RESP_OVER
                                                     : AI_RESP_AGAIN;
    }

    if (lf[-1] != '\r') {
        return AI_RESP_MALFORMED;
    }

    if (lf - p - 2 > AI_RESP_LINE_MAX
        || (size_t) (lf + 1 - r->buf) - r->start > r->limits.bytes)
    {
        return AI_RESP_OVER;
    }

    node->type = *p == '+' ? AI_RESP_STATUS : AI_RESP_ERROR;
    node->str = p + 1;
    node->len = (size_t) (lf - p) - 2;
    lf[-1] = '\0';
    r->at = (size_t) (lf + 1 - r->buf);

    return AI_RESP_OK;
}


/* The number behind a type, and the end of its line. */

static int
ai_resp_number(ai_resp_reader_t *r, int64_t *n, size_t *end)
{
    int          minus, digits;
    uint64_t     u;
    const char  *p, *last;

    p = r->buf + r->at + 1;
    last = r->buf + r->len;
    minus = p < last && *p == '-';
    p += minus;

    for (u = 0, digits = 0; p < last && *p >= '0' && *p <= '9'; p++) {
        if (++digits > 19) {
            return AI_RESP_MALFORMED;
        }

        u = u * 10 + (uint64_t) (*p - '0');
    }

    if (p == last) {
        return AI_RESP_AGAIN;
    }

    if (digits == 0 || *p != '\r' || u > (uint64_t) INT64_MAX + minus) {
        return AI_RESP_MALFORMED;
    }

    if (p + 1 == last) {
        return AI_RESP_AGAIN;
    }

    if (p[1] != '\n') {
        return AI_RESP_MALFORMED;
    }

    *n = minus ? (int64_t) (0 - u) : (int64_t) u;
    *end = (size_t) (p + 2 - r->buf);

    return AI_RESP_OK;
}


static uint32_t
ai_resp_slot(const ai_resp_reader_t *r)
{
    return r->depth == 0 ? 0 : r->levels[r->depth - 1].next;
}


/*
 * An element is filled: 1 where the reply is whole with it.  The head of an
 * array is filled when its elements are still to come.
 */

static int
ai_resp_done(ai_resp_reader_t *r)
{
    ai_resp_level_t  *level;

    if (r->depth == 0) {
        return 1;
    }

    level = &r->levels[r->depth - 1];

    if (r->nodes[level->next].type == 0) {
        return 0;
    }

    while (--level->left == 0) {

        if (--r->depth == 0) {
            return 1;
        }

        level--;
    }

    level->next++;

    return 0;
}


/* n more nodes, zeroed, in one row. */

static int
ai_resp_nodes(ai_resp_reader_t *r, uint32_t n)
{
    size_t      size;
    uint32_t    i;
    ai_resp_t  *nodes;

    size = r->nodes_size == 0 ? AI_RESP_NODES : r->nodes_size;

    while (size < (size_t) r->nnodes + n) {
        size *= 2;
    }

    if (size != r->nodes_size) {
        nodes = malloc(size * sizeof(*nodes));

        if (nodes == NULL) {
            return AI_RESP_MEMORY;
        }

        for (i = 0; i < r->nnodes; i++) {
            nodes[i] = r->nodes[i];

            if (nodes[i].element != NULL) {
                nodes[i].element = nodes + (nodes[i].element - r->nodes);
            }
        }

        free(r->nodes);
        r->nodes = nodes;
        r->nodes_size = (uint32_t) size;
    }

    memset(r->nodes + r->nnodes, 0, n * sizeof(*r->nodes));
    r->nnodes += n;

    return AI_RESP_OK;
}


ai_resp_t *
ai_resp_copy(const ai_resp_reader_t *r)
{
    char       *bytes;
    uint32_t    i;
    ai_resp_t  *nodes;

    nodes = malloc(r->nnodes * sizeof(*nodes) + (r->at - r->start));

    if (nodes == NULL) {
        return NULL;
    }

    bytes = (char *) (nodes + r->nnodes);
    memcpy(bytes, r->buf + r->start, r->at - r->start);

    for (i = 0; i < r->nnodes; i++) {
        nodes[i] = r->nodes[i];

        if (nodes[i].str != NULL) {
            nodes[i].str = bytes + (nodes[i].str - r->buf - r->start);
        }

        if (nodes[i].element != NULL) {
            nodes[i].element = nodes + (nodes[i].element - r->nodes);
        }
    }

    return nodes;
}


ai_str_t
ai_resp_str(const ai_resp_t *reply)
{
    if (reply == NULL || (reply->type != AI_RESP_STRING
                          && reply->type != AI_RESP_STATUS))
    {
        return ai_str("");
    }

    return (ai_str_t) { reply->len, reply->str };
}


const ai_resp_t *
ai_resp_item(const ai_resp_t *reply, size_t i)
{
    return reply == NULL || i >= reply->elements ? NULL : &reply->element[i];
}


int
ai_resp_int(const ai_resp_t *reply, int64_t *n)
{
    if (reply != NULL && reply->type == AI_RESP_INTEGER) {
        *n = reply->integer;
        return 0;
    }

    return ai_str_int(ai_resp_str(reply), n);
}


/* Commands. */

size_t
ai_resp_size(unsigned argc, const ai_str_t *argv)
{
    size_t    size;
    unsigned  i;

    size = AI_RESP_HEAD_MAX;

    for (i = 0; i < argc; i++) {
        size += AI_RESP_HEAD_MAX + argv[i].len + 2;
    }

    return size;
}


char *
ai_resp_put(char *p, unsigned argc, const ai_str_t *argv)
{
    unsigned  i;

    p = ai_resp_put_head(p, '*', argc);

    for (i = 0; i < argc; i++) {
        p = ai_resp_put_bulk(p, argv[i]);
    }

    return p;
}


char *
ai_resp_put_head(char *p, char type, size_t n)
{
    char   buf[AI_RESP_HEAD_MAX];
    char  *d;

    *p++ = type;

    if (n < 10) {
        *p++ = (char) ('0' + n);

    } else {
        d = buf + sizeof(buf);

        do {
            *--d = (char) ('0' + n % 10);
            n /= 10;
        } while (n != 0);

        memcpy(p, d, (size_t) (buf + sizeof(buf) - d));
        p += buf + sizeof(buf) - d;
    }

    *p++ = '\r';
    *p++ = '\n';

    return p;
}


char *
ai_resp_put_bulk(char *p, ai_str_t s)
{
    p = ai_resp_put_head(p, '$', s.len);

    if (s.len != 0) {
        memcpy(p, s.data, s.len);
    }

    p += s.len;
    *p++ = '\r';
    *p++ = '\n';

    return p;
}
