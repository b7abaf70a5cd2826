/*
 * Mock provider: growing buffers with a bound.
 * The connection owns them; the event loop frees what they hold.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mock.h"


mock_rc_e
mock_printf(mock_buf_t *b, const char *fmt, ...)
{
    int      n;
    va_list  args;

    if (mock_buf_reserve(b, 1024) != 0) {
        return MOCK_ERROR;
    }

    va_start(args, fmt);
    n = vsnprintf(b->data + b->len, 1024, fmt, args);
    va_end(args);

    if (n < 0 || n >= 1024) {
        return MOCK_ERROR;
    }

    b->len += (size_t) n;

    return MOCK_OK;
}


int
mock_buf_reserve(mock_buf_t *b, size_t n)
{
    char    *p;
    size_t   cap;

    if (b->cap - b->len >= n) {
        return 0;
    }

    if (b->len + n > MOCK_MAX_OUT) {
        return -1;
    }

    cap = b->cap ? b->cap : 2048;

    while (cap < b->len + n) {
        cap *= 2;
    }

    p = realloc(b->data, cap);

    if (p == NULL) {
        return -1;
    }

    b->data = p;
    b->cap = cap;

    return 0;
}
