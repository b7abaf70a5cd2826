/*
 * nginx's allocators, as the module calls them: linked with --wrap.
 */

#include "fail.h"

#include <stddef.h>


#define FAIL_WRAP(name, params, args)                                         \
    void *__real_##name params;                                               \
    void *__wrap_##name params;                                               \
                                                                              \
    void *                                                                    \
    __wrap_##name params                                                      \
    {                                                                         \
        return fail_now() ? NULL : __real_##name args;                        \
    }


FAIL_WRAP(ngx_palloc, (void *pool, size_t size), (pool, size))
FAIL_WRAP(ngx_pnalloc, (void *pool, size_t size), (pool, size))
FAIL_WRAP(ngx_pcalloc, (void *pool, size_t size), (pool, size))
FAIL_WRAP(ngx_alloc, (size_t size, void *log), (size, log))
FAIL_WRAP(ngx_calloc, (size_t size, void *log), (size, log))
FAIL_WRAP(ngx_create_pool, (size_t size, void *log), (size, log))
FAIL_WRAP(ngx_create_temp_buf, (void *pool, size_t size), (pool, size))
FAIL_WRAP(ngx_alloc_chain_link, (void *pool), (pool))
FAIL_WRAP(ngx_list_create, (void *pool, size_t n, size_t size),
          (pool, n, size))
FAIL_WRAP(ngx_list_push, (void *list), (list))
FAIL_WRAP(ngx_array_create, (void *pool, size_t n, size_t size),
          (pool, n, size))
FAIL_WRAP(ngx_array_push, (void *array), (array))
FAIL_WRAP(ngx_array_push_n, (void *array, size_t n), (array, n))
FAIL_WRAP(ngx_pool_cleanup_add, (void *pool, size_t size), (pool, size))
FAIL_WRAP(ngx_http_cleanup_add, (void *r, size_t size), (r, size))
FAIL_WRAP(ngx_slab_alloc, (void *pool, size_t size), (pool, size))
FAIL_WRAP(ngx_slab_alloc_locked, (void *pool, size_t size), (pool, size))
FAIL_WRAP(ngx_slab_calloc, (void *pool, size_t size), (pool, size))
FAIL_WRAP(ngx_slab_calloc_locked, (void *pool, size_t size), (pool, size))
FAIL_WRAP(ngx_shared_memory_add,
          (void *cf, void *name, size_t size, void *tag),
          (cf, name, size, tag))
FAIL_WRAP(ngx_http_add_variable, (void *cf, void *name, size_t flags),
          (cf, name, flags))
FAIL_WRAP(ngx_resolve_start, (void *resolver, void *temp), (resolver, temp))
