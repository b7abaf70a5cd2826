/*
 * malloc() and its like of a whole process, or of the libraries in it whose
 * paths hold FAIL_FROM: preloaded.
 */

#include "fail.h"

#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>


#ifndef FAIL_FROM
#define FAIL_FROM  ""
#endif


void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static int fail_find(struct dl_phdr_info *info, size_t size, void *data);
static int fail_any(const void *caller);

static volatile uintptr_t  fail_start;
static volatile uintptr_t  fail_end;


/* The memory of the first library that has the name. */

static int
fail_find(struct dl_phdr_info *info, size_t size, void *data)
{
    unsigned   i;
    uintptr_t  end;

    (void) size;
    (void) data;

    if (strstr(info->dlpi_name, FAIL_FROM) == NULL) {
        return 0;
    }

    end = 0;

    for (i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD
            && info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz > end)
        {
            end = info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
        }
    }

    fail_start = info->dlpi_addr;
    fail_end = info->dlpi_addr + end;

    return 1;
}


static int
fail_any(const void *caller)
{
    static __thread int  inside;

    if (FAIL_FROM[0] != '\0') {

        if (fail_end == 0 && !inside) {
            inside = 1;
            dl_iterate_phdr(fail_find, NULL);
            inside = 0;
        }

        if ((uintptr_t) caller < fail_start || (uintptr_t) caller >= fail_end)
        {
            return 0;
        }
    }

    if (!fail_now()) {
        return 0;
    }

    errno = ENOMEM;

    return 1;
}


void *
malloc(size_t size)
{
    return fail_any(__builtin_return_address(0)) ? NULL
                                                 : __libc_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    return fail_any(__builtin_return_address(0)) ? NULL
                                                 : __libc_calloc(n, size);
}


void *
realloc(void *p, size_t size)
{
    return fail_any(__builtin_return_address(0)) ? NULL
                                                 : __libc_realloc(p, size);
}
