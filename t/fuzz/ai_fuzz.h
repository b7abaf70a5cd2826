/*
 * What the fuzz targets share.  A target is built with libFuzzer
 * (clang -fsanitize=fuzzer,address,undefined) and all of src/contract, and run
 * over its folder of corpus/.
 */

#ifndef AI_FUZZ_H
#define AI_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai_str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(cond)                                                           \
    do {                                                                     \
        if (!(cond)) {                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);       \
            abort();                                                         \
        }                                                                    \
    } while (0)

/* s lies within text. */
#define must_be_in(s, text)                                                  \
    must((s).len == 0                                                        \
         || ((s).data >= (text).data && (s).len <= (text).len                \
             && (size_t) ((s).data - (text).data) <= (text).len - (s).len))

#endif
