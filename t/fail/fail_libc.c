/*
 * malloc() and its like, as our objects call them: linked with --wrap.
 */

#include "fail.h"

#include <errno.h>
#include <stddef.h>


void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *z);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *z);


static int
fail_libc(void)
{
    if (!fail_now()) {
        return 0;
    }

    errno = ENOMEM;

    return 1;
}


void *
__wrap_malloc(size_t size)
{
    return fail_libc() ? NULL : __real_malloc(size);
}


void *
__wrap_calloc(size_t n, size_t size)
{
    return fail_libc() ? NULL : __real_calloc(n, size);
}


void *
__wrap_realloc(void *p, size_t size)
{
    return fail_libc() ? NULL : __real_realloc(p, size);
}


char *
__wrap_strdup(const char *z)
{
    return fail_libc() ? NULL : __real_strdup(z);
}
