/*
 * Hot answers in shared memory: fixed entries, each with a chain of pages, the
 * least recently used one makes room.
 * The zone owns arrays made once; processes share them under the slab pool's
 * mutex, which the master releases for one that died: what that one left half
 * done is dropped with all else.
 */

#include "ngx_http_ai_cache.h"


#define NGX_HTTP_AI_CACHE_PAGE   4096
#define NGX_HTTP_AI_CACHE_NONE   ((uint32_t) -1)
#define NGX_HTTP_AI_CACHE_EVICT  8            /* entries a call */


typedef struct {
    uint32_t                    next;         /* in its bucket, or free */
    uint32_t                    newer;
    uint32_t                    older;
    uint32_t                    page;         /* the first */
    uint32_t                    npages;
    uint32_t                    usage;        /* bytes, one behind the other */
    uint32_t                    head;
    uint32_t                    body;
    uint64_t                    at;           /* CLOCK_MONOTONIC, µs */
    uint64_t                    until;
    u_char                      key[AI_SHA256_HEX];
    u_char                      etag[NGX_HTTP_AI_CACHE_ETAG];
    u_char                      shape;
} ngx_http_ai_cache_entry_t;


typedef struct {
    ngx_atomic_t                epoch;
    uint32_t                    changing;     /* somebody is, or died so */
    uint32_t                    mask;
    uint32_t                    npages;
    uint32_t                    touched;      /* those behind are free, too */
    uint32_t                    pages_touched;
    uint32_t                    free;         /* entries */
    uint32_t                    page;         /* free ones */
    uint32_t                    nfree;
    uint32_t                    newest;
    uint32_t                    oldest;
    uint32_t                   *buckets;
    uint32_t                   *links;        /* page to page */
    ngx_http_ai_cache_entry_t  *entries;      /* as many as pages */
    u_char                     *pages;
} ngx_http_ai_cache_sh_t;


static ngx_int_t ngx_http_ai_cache_zone_init_zone(ngx_shm_zone_t *zone,
    void *data);
static void ngx_http_ai_cache_zone_empty(ngx_http_ai_cache_sh_t *sh);
static ngx_http_ai_cache_sh_t *ngx_http_ai_cache_zone_lock(
    ngx_shm_zone_t *zone);
static void ngx_http_ai_cache_zone_unlock(ngx_shm_zone_t *zone,
    ngx_http_ai_cache_sh_t *sh);
static uint32_t *ngx_http_ai_cache_zone_find(ngx_http_ai_cache_sh_t *sh,
    u_char *key, ngx_uint_t shape);
static void ngx_http_ai_cache_zone_take(ngx_http_ai_cache_sh_t *sh,
    uint32_t i);
static void ngx_http_ai_cache_zone_give(ngx_http_ai_cache_sh_t *sh,
    uint32_t i);
static void ngx_http_ai_cache_zone_remove(ngx_http_ai_cache_sh_t *sh,
    uint32_t *link);
static void ngx_http_ai_cache_zone_write(ngx_http_ai_cache_sh_t *sh,
    uint32_t *page, size_t *at, ngx_str_t *s);


ngx_int_t
ngx_http_ai_cache_zone_init(ngx_conf_t *cf, ngx_http_ai_main_conf_t *amcf)
{
    ngx_str_t  name = ngx_string("ai_cache");

    if (amcf->cache_size == 0) {
        return NGX_OK;
    }

    amcf->cache = ngx_shared_memory_add(cf, &name, amcf->cache_size,
                                        &ngx_http_ai_module);
    if (amcf->cache == NULL) {
        return NGX_ERROR;
    }

    amcf->cache->init = ngx_http_ai_cache_zone_init_zone;
    amcf->cache->data = amcf;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_cache_zone_init_zone(ngx_shm_zone_t *zone, void *data)
{
    size_t                   size, own;
    uint32_t                 n, nbuckets;
    ngx_slab_pool_t         *shpool;
    ngx_http_ai_cache_sh_t  *sh;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data != NULL || zone->shm.exists) {
        return NGX_OK;
    }

    sh = ngx_slab_calloc(shpool, sizeof(ngx_http_ai_cache_sh_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    /* What the slab allocator needs for itself is about one page in 128. */

    size = shpool->end - shpool->start;
    own = size / 64 + 8 * ngx_pagesize;

    n = (size - ngx_min(own, size))
        / (NGX_HTTP_AI_CACHE_PAGE + sizeof(ngx_http_ai_cache_entry_t)
           + 3 * sizeof(uint32_t));

    for (nbuckets = 1; nbuckets * 2 <= n; nbuckets *= 2) { /* void */ }

    sh->mask = nbuckets - 1;
    sh->npages = n;
    sh->buckets = ngx_slab_alloc(shpool, nbuckets * sizeof(uint32_t));
    sh->links = ngx_slab_alloc(shpool, n * sizeof(uint32_t));
    sh->entries = ngx_slab_alloc(shpool,
                                 n * sizeof(ngx_http_ai_cache_entry_t));
    sh->pages = ngx_slab_alloc(shpool, (size_t) n * NGX_HTTP_AI_CACHE_PAGE);

    if (n == 0 || sh->buckets == NULL || sh->links == NULL
        || sh->entries == NULL || sh->pages == NULL)
    {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "zone \"%V\" is too small", &zone->shm.name);
        return NGX_ERROR;
    }

    ngx_http_ai_cache_zone_empty(sh);

    shpool->data = sh;
    shpool->log_nomem = 0;

    return NGX_OK;
}


/* Entries and pages become memory when they are first needed. */

static void
ngx_http_ai_cache_zone_empty(ngx_http_ai_cache_sh_t *sh)
{
    ngx_memset(sh->buckets, 0xff, (sh->mask + 1) * sizeof(uint32_t));

    sh->touched = 0;
    sh->pages_touched = 0;
    sh->free = NGX_HTTP_AI_CACHE_NONE;
    sh->page = NGX_HTTP_AI_CACHE_NONE;
    sh->nfree = sh->npages;
    sh->newest = NGX_HTTP_AI_CACHE_NONE;
    sh->oldest = NGX_HTTP_AI_CACHE_NONE;
}


static ngx_http_ai_cache_sh_t *
ngx_http_ai_cache_zone_lock(ngx_shm_zone_t *zone)
{
    ngx_slab_pool_t         *shpool;
    ngx_http_ai_cache_sh_t  *sh;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;
    sh = shpool->data;

    ngx_shmtx_lock(&shpool->mutex);

    if (sh->changing) {
        ngx_http_ai_cache_zone_empty(sh);
    }

    sh->changing = 1;
    ngx_memory_barrier();

    return sh;
}


static void
ngx_http_ai_cache_zone_unlock(ngx_shm_zone_t *zone,
    ngx_http_ai_cache_sh_t *sh)
{
    ngx_memory_barrier();
    sh->changing = 0;

    ngx_shmtx_unlock(&((ngx_slab_pool_t *) zone->shm.addr)->mutex);
}


ngx_atomic_uint_t
ngx_http_ai_cache_zone_epoch(ngx_shm_zone_t *zone)
{
    ngx_http_ai_cache_sh_t  *sh;

    sh = ((ngx_slab_pool_t *) zone->shm.addr)->data;

    return sh->epoch;
}


ngx_int_t
ngx_http_ai_cache_zone_get(ngx_shm_zone_t *zone, u_char *key,
    ngx_uint_t shape, ngx_pool_t *pool, ngx_http_ai_hit_t *hit)
{
    size_t                      n, left;
    u_char                     *p, *mem;
    uint32_t                   *link, i, page;
    uint64_t                    now;
    ngx_http_ai_cache_sh_t     *sh;
    ngx_http_ai_cache_entry_t  *e;

    now = ngx_http_ai_usec();

    sh = ngx_http_ai_cache_zone_lock(zone);

    link = ngx_http_ai_cache_zone_find(sh, key, shape);
    i = *link;

    if (i == NGX_HTTP_AI_CACHE_NONE) {
        ngx_http_ai_cache_zone_unlock(zone, sh);
        return NGX_DECLINED;
    }

    e = &sh->entries[i];

    if (e->until <= now) {
        ngx_http_ai_cache_zone_remove(sh, link);
        ngx_http_ai_cache_zone_unlock(zone, sh);
        return NGX_DECLINED;
    }

    left = (size_t) e->usage + e->head + e->body;

    mem = ngx_pnalloc(pool, left + NGX_HTTP_AI_CACHE_ETAG);
    if (mem == NULL) {
        ngx_http_ai_cache_zone_unlock(zone, sh);
        return NGX_ERROR;
    }

    hit->etag.data = mem;
    hit->etag.len = NGX_HTTP_AI_CACHE_ETAG;
    p = ngx_cpymem(mem, e->etag, NGX_HTTP_AI_CACHE_ETAG);

    hit->usage.data = p;
    hit->usage.len = e->usage;
    hit->head.data = p + e->usage;
    hit->head.len = e->head;
    hit->body.data = hit->head.data + e->head;
    hit->body.len = e->body;
    hit->age = (now - e->at) / 1000000;
    hit->left = (e->until - now) / 1000;

    for (page = e->page; left; page = sh->links[page]) {
        n = ngx_min(left, NGX_HTTP_AI_CACHE_PAGE);
        p = ngx_cpymem(p, sh->pages + (size_t) page * NGX_HTTP_AI_CACHE_PAGE,
                       n);
        left -= n;
    }

    ngx_http_ai_cache_zone_take(sh, i);
    ngx_http_ai_cache_zone_give(sh, i);

    ngx_http_ai_cache_zone_unlock(zone, sh);

    return NGX_OK;
}


void
ngx_http_ai_cache_zone_put(ngx_shm_zone_t *zone, u_char *key,
    ngx_uint_t shape, ngx_atomic_uint_t epoch, ngx_http_ai_hit_t *hit)
{
    size_t                      size, at;
    uint32_t                   *link, i, n, page, *last;
    uint64_t                    now;
    ngx_uint_t                  k;
    ngx_http_ai_cache_sh_t     *sh;
    ngx_http_ai_cache_entry_t  *e;

    size = hit->usage.len + hit->head.len + hit->body.len;
    n = (size + NGX_HTTP_AI_CACHE_PAGE - 1) / NGX_HTTP_AI_CACHE_PAGE;
    now = ngx_http_ai_usec();

    if (hit->left <= 0 || n == 0
        || size > NGX_HTTP_AI_CACHE_INLINE + NGX_HTTP_AI_CACHE_HEAD)
    {
        return;
    }

    sh = ngx_http_ai_cache_zone_lock(zone);

    if (sh->epoch != epoch || n > sh->npages / 2) {
        goto done;
    }

    link = ngx_http_ai_cache_zone_find(sh, key, shape);

    if (*link != NGX_HTTP_AI_CACHE_NONE) {
        ngx_http_ai_cache_zone_remove(sh, link);
    }

    for (k = 0; sh->nfree < n && k < NGX_HTTP_AI_CACHE_EVICT; k++) {
        e = &sh->entries[sh->oldest];
        ngx_http_ai_cache_zone_remove(sh,
                      ngx_http_ai_cache_zone_find(sh, e->key, e->shape));
    }

    if (sh->nfree < n) {
        goto done;
    }

    /* There are as many entries as pages, and each has one. */

    if (sh->free != NGX_HTTP_AI_CACHE_NONE) {
        i = sh->free;
        sh->free = sh->entries[i].next;

    } else {
        i = sh->touched++;
    }

    e = &sh->entries[i];
    last = &e->page;

    for (k = 0; k < n; k++) {

        if (sh->page != NGX_HTTP_AI_CACHE_NONE) {
            page = sh->page;
            sh->page = sh->links[page];

        } else {
            page = sh->pages_touched++;
        }

        *last = page;
        last = &sh->links[page];
    }

    *last = NGX_HTTP_AI_CACHE_NONE;
    sh->nfree -= n;

    e->npages = n;
    e->usage = hit->usage.len;
    e->head = hit->head.len;
    e->body = hit->body.len;
    e->at = now - ngx_min((uint64_t) hit->age * 1000000, now);
    e->until = now + (uint64_t) hit->left * 1000;
    e->shape = shape;
    ngx_memcpy(e->key, key, AI_SHA256_HEX);
    ngx_memcpy(e->etag, hit->etag.data, NGX_HTTP_AI_CACHE_ETAG);

    page = e->page;
    at = 0;
    ngx_http_ai_cache_zone_write(sh, &page, &at, &hit->usage);
    ngx_http_ai_cache_zone_write(sh, &page, &at, &hit->head);
    ngx_http_ai_cache_zone_write(sh, &page, &at, &hit->body);

    link = ngx_http_ai_cache_zone_find(sh, key, shape);
    e->next = *link;
    *link = i;
    ngx_http_ai_cache_zone_give(sh, i);

done:

    ngx_http_ai_cache_zone_unlock(zone, sh);
}


void
ngx_http_ai_cache_zone_flush(ngx_shm_zone_t *zone)
{
    ngx_http_ai_cache_sh_t  *sh;

    sh = ngx_http_ai_cache_zone_lock(zone);

    sh->epoch++;
    ngx_http_ai_cache_zone_empty(sh);

    ngx_http_ai_cache_zone_unlock(zone, sh);
}


/* What points to the entry, or to none: the end of its bucket. */

static uint32_t *
ngx_http_ai_cache_zone_find(ngx_http_ai_cache_sh_t *sh, u_char *key,
    ngx_uint_t shape)
{
    uint32_t                    hash, *p;
    ngx_http_ai_cache_entry_t  *e;

    hash = ngx_murmur_hash2(key, AI_SHA256_HEX);

    for (p = &sh->buckets[hash & sh->mask];
         *p != NGX_HTTP_AI_CACHE_NONE;
         p = &e->next)
    {
        e = &sh->entries[*p];

        if (e->shape == shape && ngx_memcmp(e->key, key, AI_SHA256_HEX) == 0) {
            break;
        }
    }

    return p;
}


/* Out of the order of use. */

static void
ngx_http_ai_cache_zone_take(ngx_http_ai_cache_sh_t *sh, uint32_t i)
{
    ngx_http_ai_cache_entry_t  *e;

    e = &sh->entries[i];

    if (e->newer != NGX_HTTP_AI_CACHE_NONE) {
        sh->entries[e->newer].older = e->older;

    } else {
        sh->newest = e->older;
    }

    if (e->older != NGX_HTTP_AI_CACHE_NONE) {
        sh->entries[e->older].newer = e->newer;

    } else {
        sh->oldest = e->newer;
    }
}


/* Used last. */

static void
ngx_http_ai_cache_zone_give(ngx_http_ai_cache_sh_t *sh, uint32_t i)
{
    ngx_http_ai_cache_entry_t  *e;

    e = &sh->entries[i];

    e->newer = NGX_HTTP_AI_CACHE_NONE;
    e->older = sh->newest;

    if (sh->newest != NGX_HTTP_AI_CACHE_NONE) {
        sh->entries[sh->newest].newer = i;

    } else {
        sh->oldest = i;
    }

    sh->newest = i;
}


static void
ngx_http_ai_cache_zone_remove(ngx_http_ai_cache_sh_t *sh, uint32_t *link)
{
    uint32_t                    i, page;
    ngx_http_ai_cache_entry_t  *e;

    i = *link;
    e = &sh->entries[i];

    *link = e->next;
    ngx_http_ai_cache_zone_take(sh, i);

    for (page = e->page;
         sh->links[page] != NGX_HTTP_AI_CACHE_NONE;
         page = sh->links[page])
    {
        /* void */
    }

    sh->links[page] = sh->page;
    sh->page = e->page;
    sh->nfree += e->npages;

    e->next = sh->free;
    sh->free = i;
}


static void
ngx_http_ai_cache_zone_write(ngx_http_ai_cache_sh_t *sh, uint32_t *page,
    size_t *at, ngx_str_t *s)
{
    size_t   n, left;
    u_char  *p;

    p = s->data;

    for (left = s->len; left; left -= n) {

        if (*at == NGX_HTTP_AI_CACHE_PAGE) {
            *page = sh->links[*page];
            *at = 0;
        }

        n = ngx_min(left, NGX_HTTP_AI_CACHE_PAGE - *at);
        ngx_memcpy(sh->pages + (size_t) *page * NGX_HTTP_AI_CACHE_PAGE + *at,
                   p, n);
        *at += n;
        p += n;
    }
}
