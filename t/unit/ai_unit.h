/*
 * What the unit tests of src/contract share: cmocka, and copies of input that
 * end where they end, so that a sanitizer sees a read behind them.
 */

#ifndef AI_UNIT_H
#define AI_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ai_str.h"

#define AI_UNIT_COPIES  4096

static void  *ai_unit_copies[AI_UNIT_COPIES];
static size_t ai_unit_ncopies;


/* Freed by the group's teardown; the oldest goes when there are too many. */

static inline ai_str_t
tight(const void *data, size_t len)
{
    char    *p;
    void   **slot;

    p = malloc(len ? len : 1);
    assert_non_null(p);

    if (len) {
        memcpy(p, data, len);
    }

    slot = &ai_unit_copies[ai_unit_ncopies++ % AI_UNIT_COPIES];
    free(*slot);
    *slot = p;

    return (ai_str_t) { len, p };
}


#define T(lit)    tight((lit), sizeof(lit) - 1)
#define Z(z)      tight((z), strlen(z))
#define EMPTY     ((ai_str_t) { 0, NULL })


static inline int
ai_unit_teardown(void **state)
{
    size_t  i;

    (void) state;

    for (i = 0; i < AI_UNIT_COPIES; i++) {
        free(ai_unit_copies[i]);
        ai_unit_copies[i] = NULL;
    }

    return 0;
}


static inline void
ai_unit_is(ai_str_t got, const void *want, size_t len, const char *file,
    int line)
{
    if (got.len != len || (len && memcmp(got.data, want, len) != 0)) {
        print_error("got %zu bytes: \"%.*s\"\nwant %zu: \"%.*s\"\n", got.len,
                    (int) got.len, got.data ? got.data : "", len, (int) len,
                    (const char *) want);
        _fail(file, line);
    }
}


#define is_str(got, want)                                                    \
    ai_unit_is((got), (want), strlen(want), __FILE__, __LINE__)
#define is_bytes(got, lit)                                                   \
    ai_unit_is((got), (lit), sizeof(lit) - 1, __FILE__, __LINE__)
#define is_buf(b, want)                                                      \
    ai_unit_is((ai_str_t) { ai_buf_len(b), (b)->start }, (want),             \
               strlen(want), __FILE__, __LINE__)
#define run_group(tests)                                                     \
    cmocka_run_group_tests((tests), NULL, ai_unit_teardown)

#endif
