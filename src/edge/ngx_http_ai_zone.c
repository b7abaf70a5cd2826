/*
 * Principals in shared memory.
 * The zone owns one array of fixed records, made once; processes share it
 * under the slab pool's mutex, which the master releases for one that died.
 */

#include "ngx_http_ai_zone.h"
#include "ngx_http_ai_steps.h"
#include "ngx_http_ai_unknown.h"


#define NGX_HTTP_AI_ZONE_NONE     ((uint32_t) -1)
/* The part of the zone that is for unknown keys: an eighth. */
#define NGX_HTTP_AI_ZONE_UNKNOWN  8


typedef struct {
    ngx_queue_t                 lru;
    uint32_t                    next;         /* in its bucket */
    uint32_t                    used;
    u_char                      sha[AI_SHA256_HEX];
    ngx_uint_t                  generation;
    time_t                      until;
    time_t                      expires;
    uint32_t                    weight;
    uint16_t                    state;
    uint16_t                    len[NGX_HTTP_AI_ZONE_STRINGS];
    u_char                      text[NGX_HTTP_AI_ZONE_TEXT];
} ngx_http_ai_zone_record_t;


typedef struct {
    ngx_atomic_t                epoch;
    ngx_uint_t                  generation;   /* records of others are void */
    ngx_queue_t                 lru;          /* the free ones are its tail */
    uint32_t                    mask;
    uint32_t                    nrecords;
    uint32_t                    touched;      /* those behind are as new */
    uint32_t                   *buckets;
    ngx_http_ai_zone_record_t  *records;
    ngx_http_ai_unknown_t      *unknown;
} ngx_http_ai_zone_sh_t;


static ngx_shm_zone_t *ngx_http_ai_zone_add(ngx_conf_t *cf, ngx_str_t *name,
    size_t size);
static ngx_int_t ngx_http_ai_zone_init_zone(ngx_shm_zone_t *zone, void *data);
static ngx_http_ai_zone_record_t *ngx_http_ai_zone_find(
    ngx_http_ai_zone_sh_t *sh, u_char *sha, uint32_t **link);
static void ngx_http_ai_zone_drop(ngx_http_ai_zone_sh_t *sh,
    ngx_http_ai_zone_record_t *record, uint32_t *link);
static ngx_http_ai_zone_record_t *ngx_http_ai_zone_last(
    ngx_http_ai_zone_sh_t *sh);


static ngx_inline ngx_slab_pool_t *
ngx_http_ai_zone_pool(ngx_shm_zone_t *zone)
{
    return (ngx_slab_pool_t *) zone->shm.addr;
}


static ngx_inline ngx_http_ai_zone_sh_t *
ngx_http_ai_zone_sh(ngx_shm_zone_t *zone)
{
    return ngx_http_ai_zone_pool(zone)->data;
}


ngx_int_t
ngx_http_ai_zone_init(ngx_conf_t *cf, ngx_http_ai_main_conf_t *amcf)
{
    ngx_str_t  principals = ngx_string("ai_principals");
    ngx_str_t  tokens = ngx_string("ai_tokens");

    amcf->principals = ngx_http_ai_zone_add(cf, &principals,
                                            amcf->principals_size);
    if (amcf->principals == NULL) {
        return NGX_ERROR;
    }

    if (amcf->jwt_sets == NULL) {
        return NGX_OK;
    }

    amcf->tokens = ngx_http_ai_zone_add(cf, &tokens, amcf->tokens_size);

    return amcf->tokens != NULL ? NGX_OK : NGX_ERROR;
}


static ngx_shm_zone_t *
ngx_http_ai_zone_add(ngx_conf_t *cf, ngx_str_t *name, size_t size)
{
    ngx_shm_zone_t  *zone;

    zone = ngx_shared_memory_add(cf, name, size, &ngx_http_ai_module);

    if (zone != NULL) {
        zone->init = ngx_http_ai_zone_init_zone;
        zone->data = zone;
    }

    return zone;
}


static ngx_int_t
ngx_http_ai_zone_init_zone(ngx_shm_zone_t *zone, void *data)
{
    size_t                      size;
    uint32_t                    n, nbuckets;
    ngx_slab_pool_t            *shpool;
    ngx_http_ai_zone_sh_t      *sh;

    shpool = ngx_http_ai_zone_pool(zone);

    if (data != NULL || zone->shm.exists) {
        return NGX_OK;
    }

    sh = ngx_slab_calloc(shpool, sizeof(ngx_http_ai_zone_sh_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    size = shpool->end - shpool->start;

    sh->unknown = ngx_http_ai_unknown_init(shpool,
                                        size / NGX_HTTP_AI_ZONE_UNKNOWN);
    if (sh->unknown == NULL) {
        return NGX_ERROR;
    }

    /* What the slab allocator needs for itself is about one page in 128. */

    size -= size / NGX_HTTP_AI_ZONE_UNKNOWN;
    size -= size / 64 + 4 * ngx_pagesize;

    n = size / (sizeof(ngx_http_ai_zone_record_t) + 2 * sizeof(uint32_t));

    for (nbuckets = 1; nbuckets * 2 <= n; nbuckets *= 2) { /* void */ }

    sh->mask = nbuckets - 1;
    sh->buckets = ngx_slab_alloc(shpool, nbuckets * sizeof(uint32_t));

    if (sh->buckets == NULL) {
        return NGX_ERROR;
    }

    ngx_memset(sh->buckets, 0xff, nbuckets * sizeof(uint32_t));

    for ( ;; ) {
        sh->records = ngx_slab_alloc(shpool,
                                     n * sizeof(ngx_http_ai_zone_record_t));
        if (sh->records != NULL) {
            break;
        }

        n -= n / 16 + 1;

        if (n < 4) {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "zone \"%V\" is too small", &zone->shm.name);
            return NGX_ERROR;
        }
    }

    ngx_queue_init(&sh->lru);

    /* Records become memory when they are first needed. */

    sh->nrecords = n;

    shpool->data = sh;
    shpool->log_nomem = 0;

    return NGX_OK;
}


ngx_atomic_uint_t
ngx_http_ai_zone_epoch(ngx_shm_zone_t *zone)
{
    return ngx_http_ai_zone_sh(zone)->epoch;
}


ngx_int_t
ngx_http_ai_zone_get(ngx_shm_zone_t *zone, u_char *sha, ngx_pool_t *pool,
    ngx_uint_t *state, ngx_http_ai_principal_t **pp)
{
    u_char                     *text;
    uint32_t                   *link;
    ngx_str_t                  *s[NGX_HTTP_AI_ZONE_STRINGS];
    ngx_uint_t                  i, unknown;
    ngx_slab_pool_t            *shpool;
    ngx_http_ai_zone_sh_t      *sh;
    ngx_http_ai_principal_t     p;
    ngx_http_ai_zone_record_t  *record, copy;

    shpool = ngx_http_ai_zone_pool(zone);
    sh = ngx_http_ai_zone_sh(zone);

    ngx_shmtx_lock(&shpool->mutex);

    record = ngx_http_ai_zone_find(sh, sha, &link);

    if (record == NULL
        || record->generation != sh->generation
        || record->until < ngx_time())
    {
        unknown = ngx_http_ai_unknown_get(sh->unknown, sha, sh->generation);

        ngx_shmtx_unlock(&shpool->mutex);

        *state = NGX_HTTP_AI_KEY_UNKNOWN;
        *pp = NULL;

        return unknown ? NGX_OK : NGX_DECLINED;
    }

    copy = *record;

    ngx_queue_remove(&record->lru);
    ngx_queue_insert_head(&sh->lru, &record->lru);

    ngx_shmtx_unlock(&shpool->mutex);

    *state = copy.state;
    *pp = NULL;

    if (copy.state != NGX_HTTP_AI_KEY_ACTIVE) {
        return NGX_OK;
    }

    ngx_memzero(&p, sizeof(ngx_http_ai_principal_t));

    p.weight = copy.weight;
    p.expires = copy.expires;

    ngx_http_ai_principal_strings(&p, s);
    text = copy.text;

    for (i = 0; i < NGX_HTTP_AI_ZONE_STRINGS; i++) {
        s[i]->data = text;
        s[i]->len = copy.len[i];
        text += copy.len[i];
    }

    *pp = ngx_http_ai_principal_dup(pool, &p);

    return *pp != NULL ? NGX_OK : NGX_ERROR;
}


void
ngx_http_ai_zone_put(ngx_shm_zone_t *zone, u_char *sha,
    ngx_atomic_uint_t epoch, ngx_uint_t state, ngx_http_ai_principal_t *p)
{
    size_t                      size;
    time_t                      until;
    u_char                     *text;
    uint32_t                    index, *link;
    ngx_str_t                  *s[NGX_HTTP_AI_ZONE_STRINGS];
    ngx_uint_t                  i;
    ngx_slab_pool_t            *shpool;
    ngx_http_ai_zone_sh_t      *sh;
    ngx_http_ai_zone_record_t  *record;

    size = 0;

    if (p != NULL) {
        ngx_http_ai_principal_strings(p, s);

        for (i = 0; i < NGX_HTTP_AI_ZONE_STRINGS; i++) {
            size += s[i]->len;
        }

        if (size > NGX_HTTP_AI_ZONE_TEXT) {
            return;
        }
    }

    shpool = ngx_http_ai_zone_pool(zone);
    sh = ngx_http_ai_zone_sh(zone);

    ngx_shmtx_lock(&shpool->mutex);

    if (sh->epoch != epoch) {
        ngx_shmtx_unlock(&shpool->mutex);
        return;
    }

    record = ngx_http_ai_zone_find(sh, sha, &link);

    if (state == NGX_HTTP_AI_KEY_UNKNOWN) {

        if (record != NULL) {
            ngx_http_ai_zone_drop(sh, record, link);
        }

        ngx_http_ai_unknown_put(sh->unknown, sha, sh->generation,
                                ngx_time() + NGX_HTTP_AI_ZONE_UNKNOWN_TTL);
        ngx_shmtx_unlock(&shpool->mutex);
        return;
    }

    ngx_http_ai_unknown_forget(sh->unknown, sha);

    if (record == NULL) {
        record = ngx_http_ai_zone_last(sh);

        if (record == NULL) {
            ngx_shmtx_unlock(&shpool->mutex);
            return;
        }

        if (record->used
            && ngx_http_ai_zone_find(sh, record->sha, &link) == record)
        {
            *link = record->next;
        }

        record->until = 0;
        ngx_memory_barrier();

        index = record - sh->records;
        ngx_memcpy(record->sha, sha, AI_SHA256_HEX);

        (void) ngx_http_ai_zone_find(sh, sha, &link);

        record->next = *link;
        *link = index;
        record->used = 1;
    }

    /* Who is killed here leaves nobody another one's rights: what is half
     * written has passed. */

    record->until = 0;
    ngx_memory_barrier();

    until = ngx_time() + NGX_HTTP_AI_ZONE_TTL;

    record->generation = sh->generation;
    record->state = state;

    if (p != NULL) {
        if (p->until && p->until < until) {
            until = p->until;
        }

        record->weight = p->weight;
        record->expires = p->expires;

        text = record->text;

        for (i = 0; i < NGX_HTTP_AI_ZONE_STRINGS; i++) {
            record->len[i] = s[i]->len;

            if (s[i]->len) {
                text = ngx_cpymem(text, s[i]->data, s[i]->len);
            }
        }
    }

    ngx_memory_barrier();
    record->until = until;

    ngx_queue_remove(&record->lru);
    ngx_queue_insert_head(&sh->lru, &record->lru);

    ngx_shmtx_unlock(&shpool->mutex);
}


void
ngx_http_ai_zone_forget(ngx_shm_zone_t *zone, u_char *sha)
{
    uint32_t                   *link;
    ngx_slab_pool_t            *shpool;
    ngx_http_ai_zone_sh_t      *sh;
    ngx_http_ai_zone_record_t  *record;

    shpool = ngx_http_ai_zone_pool(zone);
    sh = ngx_http_ai_zone_sh(zone);

    ngx_shmtx_lock(&shpool->mutex);

    sh->epoch++;

    record = ngx_http_ai_zone_find(sh, sha, &link);

    if (record != NULL) {
        ngx_http_ai_zone_drop(sh, record, link);
    }

    ngx_http_ai_unknown_forget(sh->unknown, sha);

    ngx_shmtx_unlock(&shpool->mutex);
}


ngx_int_t
ngx_http_ai_zone_charge(ngx_shm_zone_t *zone, uint32_t address)
{
    ngx_int_t         rc;
    ngx_slab_pool_t  *shpool;

    shpool = ngx_http_ai_zone_pool(zone);

    ngx_shmtx_lock(&shpool->mutex);
    rc = ngx_http_ai_unknown_charge(ngx_http_ai_zone_sh(zone)->unknown,
                                    address);
    ngx_shmtx_unlock(&shpool->mutex);

    return rc;
}


void
ngx_http_ai_zone_refund(ngx_shm_zone_t *zone, uint32_t address)
{
    ngx_slab_pool_t  *shpool;

    shpool = ngx_http_ai_zone_pool(zone);

    ngx_shmtx_lock(&shpool->mutex);
    ngx_http_ai_unknown_refund(ngx_http_ai_zone_sh(zone)->unknown, address);
    ngx_shmtx_unlock(&shpool->mutex);
}


void
ngx_http_ai_zone_flush(ngx_shm_zone_t *zone)
{
    ngx_slab_pool_t        *shpool;
    ngx_http_ai_zone_sh_t  *sh;

    shpool = ngx_http_ai_zone_pool(zone);
    sh = ngx_http_ai_zone_sh(zone);

    ngx_shmtx_lock(&shpool->mutex);

    sh->epoch++;
    sh->generation++;

    ngx_shmtx_unlock(&shpool->mutex);
}


/* The record, or NULL; *link is what points to it, or the bucket's head. */

static ngx_http_ai_zone_record_t *
ngx_http_ai_zone_find(ngx_http_ai_zone_sh_t *sh, u_char *sha, uint32_t **link)
{
    uint32_t                    hash, *p;
    ngx_http_ai_zone_record_t  *record;

    hash = ngx_murmur_hash2(sha, AI_SHA256_HEX);

    for (p = &sh->buckets[hash & sh->mask];
         *p != NGX_HTTP_AI_ZONE_NONE;
         p = &record->next)
    {
        record = &sh->records[*p];

        if (ngx_memcmp(record->sha, sha, AI_SHA256_HEX) == 0) {
            *link = p;
            return record;
        }
    }

    *link = &sh->buckets[hash & sh->mask];

    return NULL;
}


static void
ngx_http_ai_zone_drop(ngx_http_ai_zone_sh_t *sh,
    ngx_http_ai_zone_record_t *record, uint32_t *link)
{
    *link = record->next;
    record->used = 0;

    ngx_queue_remove(&record->lru);
    ngx_queue_insert_tail(&sh->lru, &record->lru);
}


/* The record to be used next: a free one, else the one unused the longest. */

static ngx_http_ai_zone_record_t *
ngx_http_ai_zone_last(ngx_http_ai_zone_sh_t *sh)
{
    ngx_queue_t                *q;
    ngx_http_ai_zone_record_t  *record;

    if (!ngx_queue_empty(&sh->lru)) {
        q = ngx_queue_last(&sh->lru);
        record = ngx_queue_data(q, ngx_http_ai_zone_record_t, lru);

        if (!record->used || sh->touched == sh->nrecords) {
            return record;
        }
    }

    /* Who was killed while it held the mutex may have dropped a record. */

    if (sh->touched == sh->nrecords) {
        return NULL;
    }

    record = &sh->records[sh->touched++];

    ngx_memzero(record, sizeof(ngx_http_ai_zone_record_t));
    ngx_queue_insert_tail(&sh->lru, &record->lru);

    return record;
}


void
ngx_http_ai_principal_strings(ngx_http_ai_principal_t *p, ngx_str_t **s)
{
    s[0] = &p->id;
    s[1] = &p->version;
    s[2] = &p->tenant;
    s[3] = &p->user;
    s[4] = &p->role;
    s[5] = &p->scopes;
    s[6] = &p->models;
    s[7] = &p->plan;
    s[8] = &p->networks;
    s[9] = &p->tenants;
}
