/*
 * Events and rest are the bytes that were fed, cut in the same places whatever
 * the pieces, and none is over its bound.
 */

#include "ai_fuzz.h"

#include "ai_sse.h"

#define ENDS  4096


/* Where events end; returns how many, or -2. */

static int
read_all(ai_str_t text, size_t piece, size_t max, size_t *ends)
{
    int        n, rc;
    char      *buf;
    size_t     at, total, cut;
    ai_sse_t   s;
    ai_str_t   raw, event, data;

    ai_sse_init(&s, max);
    total = 0;
    n = 0;
    rc = 0;

    for (at = 0; at < text.len && rc == 0; at += cut) {
        cut = text.len - at < piece ? text.len - at : piece;
        rc = ai_sse_feed(&s, text.data + at, cut);
        must(rc == 0 || rc == -2);

        while (ai_sse_next(&s, &raw)) {
            must(raw.len > 0 && raw.len <= max);
            must(memcmp(raw.data, text.data + total, raw.len) == 0);
            total += raw.len;

            if (n < ENDS) {
                ends[n++] = total;
            }

            buf = malloc(raw.len);
            must(buf != NULL);
            must(ai_sse_fields(raw, &event, &data, buf, raw.len) >= 0);
            must_be_in(event, raw);
            free(buf);
        }
    }

    if (rc == 0) {
        if (ai_sse_rest(&s, &raw)) {
            must(memcmp(raw.data, text.data + total, raw.len) == 0);
            total += raw.len;
        }

        must(total == text.len);
    }

    ai_sse_free(&s);

    return rc == 0 ? n : -2 - n;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int            n;
    size_t         max;
    ai_str_t       text;
    static size_t  ends[ENDS], others[ENDS];

    if (size < 2) {
        return 0;
    }

    max = data[0] < 128 ? 1 << 20 : (size_t) data[0] - 127;
    text = (ai_str_t) { size - 2, (const char *) data + 2 };

    n = read_all(text, size, max, ends);
    must(read_all(text, data[1] % 16 + 1, max, others) == n);
    n = n < 0 ? -2 - n : n;
    must(memcmp(ends, others, (size_t) n * sizeof(size_t)) == 0);

    return 0;
}
