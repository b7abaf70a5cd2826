/*
 * Replies are the same whatever the pieces they come in, lie within what was
 * fed, are within the limits, and are written again as they were read.
 */

#include "ai_fuzz.h"

#include "ai_resp.h"

#define OUT  (1 << 20)

typedef struct {
    char   bytes[OUT];
    size_t len;
} out_t;


static void
add(out_t *o, const void *data, size_t len)
{
    if (o->len + len <= OUT) {
        memcpy(o->bytes + o->len, data, len);
        o->len += len;
    }
}


static void
head(out_t *o, char type, long long n)
{
    char  buf[32];

    add(o, buf, (size_t) snprintf(buf, sizeof(buf), "%c%lld\r\n", type, n));
}


/* As RESP; counts elements and depth. */

static void
tell(out_t *o, const ai_resp_t *reply, unsigned depth, unsigned max,
    uint32_t *elements)
{
    uint32_t  i;

    must(depth <= max);

    switch (reply->type) {

    case AI_RESP_STRING:
        must(reply->str[reply->len] == '\0' && reply->element == NULL);
        head(o, '$', (long long) reply->len);
        add(o, reply->str, reply->len);
        add(o, "\r\n", 2);
        break;

    case AI_RESP_STATUS:
    case AI_RESP_ERROR:
        must(reply->str[reply->len] == '\0' && reply->element == NULL);
        add(o, reply->type == AI_RESP_STATUS ? "+" : "-", 1);
        add(o, reply->str, reply->len);
        add(o, "\r\n", 2);
        break;

    case AI_RESP_INTEGER:
        must(reply->str == NULL && reply->len == 0);
        head(o, ':', (long long) reply->integer);
        break;

    case AI_RESP_NIL:
        must(reply->str == NULL && reply->elements == 0);
        head(o, '$', -1);
        break;

    case AI_RESP_ARRAY:
        must(reply->str == NULL);
        head(o, '*', reply->elements);
        *elements += reply->elements;

        for (i = 0; i < reply->elements; i++) {
            must(ai_resp_item(reply, i) == &reply->element[i]);
            tell(o, &reply->element[i], depth
                 + (reply->element[i].type == AI_RESP_ARRAY), max, elements);
        }

        must(ai_resp_item(reply, i) == NULL);
        break;

    default:
        must(0);
    }
}


static int
read_all(out_t *o, const uint8_t *data, size_t size, size_t piece,
    const ai_resp_limits_t *limits)
{
    int               rc;
    char             *p;
    size_t            n, at, before;
    uint32_t          elements;
    ai_resp_t        *reply, *copy;
    ai_resp_reader_t  r;

    ai_resp_init(&r, limits);
    o->len = 0;
    rc = AI_RESP_AGAIN;

    for (at = 0; at < size && rc == AI_RESP_AGAIN; at += n) {
        p = ai_resp_room(&r, &n);
        must(p != NULL && n >= 4096);

        n = n < piece ? n : piece;
        n = n < size - at ? n : size - at;
        memcpy(p, data + at, n);
        ai_resp_fed(&r, n);

        while ((rc = ai_resp_next(&r, &reply)) == AI_RESP_OK) {
            before = o->len;
            elements = 0;
            tell(o, reply, reply->type == AI_RESP_ARRAY, limits->depth,
                 &elements);
            must(elements <= limits->elements);

            /* A copy stands alone. */

            copy = ai_resp_copy(&r);
            must(copy != NULL);
            elements = 0;
            o->len = before;
            tell(o, copy, reply->type == AI_RESP_ARRAY, limits->depth,
                 &elements);
            free(copy);
        }
    }

    must(rc == AI_RESP_AGAIN || ai_resp_next(&r, &reply) == rc);
    ai_resp_free(&r);

    return rc < 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int               bad;
    ai_resp_limits_t  limits;
    static out_t      whole, pieces;

    if (size < 3) {
        return 0;
    }

    limits.depth = data[0] % (AI_RESP_DEPTH_MAX + 1);
    limits.elements = data[1] < 128 ? 4096 : data[1] - 128u;
    limits.bytes = data[2] < 128 ? 1 << 18 : data[2] - 127u;
    limits.keep = 0;

    bad = read_all(&whole, data + 3, size - 3, size, &limits);
    must(read_all(&pieces, data + 3, size - 3, data[2] % 16 + 1u, &limits)
         == bad);
    must(whole.len == pieces.len
         && memcmp(whole.bytes, pieces.bytes, whole.len) == 0);

    return 0;
}
