/*
 * What a request may share, and what it is given: by the location, its
 * headers and its parameters.
 * All lies in the request's pool but the hash of the body, which ends with it.
 */

#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_limit.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_steps.h"
#include "ngx_http_ai_stream.h"


/* The subscription was heard so lately, ms: no purge was missed. */
#define NGX_HTTP_AI_CACHE_HEARD  1000


static void ngx_http_ai_cache_control(ngx_http_request_t *r,
    ngx_http_ai_share_t *share);
static ngx_uint_t ngx_http_ai_cache_word(ngx_str_t *value, char *name,
    ngx_int_t *n);
static ngx_uint_t ngx_http_ai_cache_zero(ai_str_t number);
static ngx_uint_t ngx_http_ai_cache_plain(ai_str_t options);
static ngx_int_t ngx_http_ai_cache_copy(ngx_pool_t *pool, ngx_str_t *to,
    ai_str_t from);


ngx_int_t
ngx_http_ai_cache_want(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_http_ai_share_t     *share;
    ngx_http_ai_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    ngx_http_ai_cache_drop(ctx);
    ctx->share = NULL;

    if (conf->cache == 0 && !conf->coalesce) {
        return NGX_OK;
    }

    share = ngx_pcalloc(r->pool, sizeof(ngx_http_ai_share_t));
    if (share == NULL) {
        return NGX_ERROR;
    }

    ctx->share = share;
    share->max_age = -1;
    share->shape = 'o';
    ngx_str_set(&share->status, "BYPASS");

    /* Events of the former are cut otherwise; the latter has a result of its
     * own to be asked for. */

    if (ctx->resumable || ctx->background) {
        return NGX_OK;
    }

    switch (ngx_http_test_predicates(r, conf->cache_bypass)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return NGX_OK;

    default:
        return NGX_ERROR;
    }

    share->look = conf->cache != 0;
    share->store = conf->cache != 0;
    share->join = conf->coalesce && !ctx->batch;

    ngx_http_ai_cache_control(r, share);

    if (!share->look && !share->store && !share->join) {
        return NGX_OK;
    }

    if (ai_digest_init(&share->digest, ctx->dialect) != 0) {
        share->look = 0;
        share->store = 0;
        share->join = 0;
        return NGX_OK;
    }

    share->digesting = 1;

    return NGX_OK;
}


/* Who wants a fresh answer does not get the one of a call under way, either. */

static void
ngx_http_ai_cache_control(ngx_http_request_t *r, ngx_http_ai_share_t *share)
{
    ngx_int_t               n;
    ngx_table_elt_t        *h;
    ngx_http_ai_headers_t   headers;

    static ngx_str_t  name = ngx_string("cache-control");

    ngx_http_ai_headers(&headers, &r->headers_in.headers);

    while ((h = ngx_http_ai_headers_named(&headers, &name)) != NULL) {

        if (ngx_http_ai_cache_word(&h->value, "no-store", NULL)) {
            share->look = 0;
            share->store = 0;
            share->join = 0;
        }

        if (ngx_http_ai_cache_word(&h->value, "no-cache", NULL)) {
            share->look = 0;
            share->join = 0;
        }

        if (ngx_http_ai_cache_word(&h->value, "max-age", &n)
            && (share->max_age < 0 || n < share->max_age))
        {
            share->max_age = n;
        }
    }
}


/* Whether a word stands between the commas; n: with a number behind "=". */

static ngx_uint_t
ngx_http_ai_cache_word(ngx_str_t *value, char *name, ngx_int_t *n)
{
    size_t   len;
    u_char  *p, *last, *word, *end;

    len = ngx_strlen(name);
    last = value->data + value->len;

    for (p = value->data; p < last; p++) {

        for (word = p; p < last && *p != ','; p++) { /* void */ }

        for (end = p; end > word && (end[-1] == ' ' || end[-1] == '\t');
             end--)
        {
            /* void */
        }

        while (word < end && (*word == ' ' || *word == '\t')) {
            word++;
        }

        if ((size_t) (end - word) < len
            || ngx_strncasecmp(word, (u_char *) name, len) != 0)
        {
            continue;
        }

        word += len;

        if (n == NULL) {
            if (word == end) {
                return 1;
            }

            continue;
        }

        if (word < end && *word == '=') {
            *n = ngx_atoi(word + 1, end - word - 1);

            if (*n != NGX_ERROR) {
                return 1;
            }
        }
    }

    return 0;
}


void
ngx_http_ai_cache_feed(ngx_http_ai_ctx_t *ctx, u_char *data, size_t len)
{
    if (ctx->share != NULL && ctx->share->digesting) {
        ai_digest_feed(&ctx->share->digest, (char *) data, len);
    }
}


void
ngx_http_ai_cache_drop(ngx_http_ai_ctx_t *ctx)
{
    if (ctx->share != NULL && ctx->share->digesting) {
        ctx->share->digesting = 0;
        ai_digest_free(&ctx->share->digest);
    }
}


void
ngx_http_ai_cache_asked(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ai_str_t temperature, ngx_uint_t seed, ai_str_t options)
{
    ngx_http_ai_share_t     *share;
    ngx_http_ai_loc_conf_t  *conf;

    share = ctx->share;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    /* Without the body's hash there is nothing to tell requests apart. */

    if (!share->digesting
        || ai_digest_end(&share->digest, (char *) share->sum) != 0)
    {
        share->digesting = 0;
        share->look = 0;
        share->store = 0;
        share->join = 0;
        return;
    }

    share->digesting = 0;

    share->shape = !ctx->stream ? 'o' : ctx->usage_asked ? 'v' : 's';

    /* An answer that has an id of its own, and state, is nobody else's. */

    if (ctx->dialect == AI_DIALECT_RESPONSES) {
        share->look = 0;
        share->store = 0;
        share->join = 0;
    }

    if (!conf->cache_any && !seed && !ngx_http_ai_cache_zero(temperature)
        && ctx->op != NGX_HTTP_AI_OP_EMBEDDINGS
        && ctx->op != NGX_HTTP_AI_OP_COUNT)
    {
        share->look = 0;
        share->store = 0;
    }

    /* What is asked of the stream beside its usage makes it another. */

    if (options.len && !ngx_http_ai_cache_plain(options)
        && ngx_http_ai_cache_copy(r->pool, &share->options, options) != NGX_OK)
    {
        share->look = 0;
        share->store = 0;
        share->join = 0;
    }
}


static ngx_uint_t
ngx_http_ai_cache_zero(ai_str_t number)
{
    size_t  i;

    for (i = 0; i < number.len && (number.data[i] | 0x20) != 'e'; i++) {
        if (number.data[i] >= '1' && number.data[i] <= '9') {
            return 0;
        }
    }

    return number.len != 0;
}


/* Nothing but whether usage is to be told. */

static ngx_uint_t
ngx_http_ai_cache_plain(ai_str_t options)
{
    ai_json_t  json;

    static const char *const  names[] = { "include_usage", NULL };

    return ai_json_scan(&json, names, options, options.len, 0) == AI_JSON_OK
           && json.nkeys == (json.fields[0].type != AI_JSON_NONE);
}


ngx_int_t
ngx_http_ai_cache_begin(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_int_t                rc;
    ngx_str_t                base, policy;
    ngx_uint_t               heard;
    ngx_shm_zone_t          *zone;
    ngx_http_ai_hit_t        hit;
    ngx_http_ai_share_t     *share;
    ngx_http_ai_loc_conf_t  *conf;

    share = ctx->share;

    if (share == NULL || (!share->look && !share->store && !share->join)) {
        return NGX_DECLINED;
    }

    if (ngx_http_ai_cache_key(r, ctx) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_str_set(&share->status, "MISS");

    zone = ngx_http_ai_edge->amcf->cache;

    if (!share->look || zone == NULL) {
        return NGX_DECLINED;
    }

    share->epoch = ngx_http_ai_cache_zone_epoch(zone);

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    heard = ngx_http_ai_redis_heard(ngx_http_ai_edge->redis)
            < NGX_HTTP_AI_CACHE_HEARD;

    if (!heard && !conf->redis_error_cache) {
        return NGX_DECLINED;
    }

    rc = ngx_http_ai_cache_zone_get(zone, share->key, share->shape, r->pool,
                                    &hit);

    if (rc != NGX_OK
        || (share->max_age >= 0 && hit.age > share->max_age)
        || ngx_http_ai_make_job(r, ctx) != NGX_OK
        || ngx_http_ai_limit_find(r, ctx) != NGX_OK
        || ngx_http_ai_spec_base(ctx, &base) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_str_null(&policy);

    if (ctx->limits != NULL) {
        ngx_http_ai_limit_free(ctx->limits, &policy);
    }

    if (ngx_http_ai_cache_row(&ctx->job, &ctx->principal->tenant, &base,
                              &hit.usage, &policy)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (heard) {
        ngx_str_set(&share->status, "HIT");

    } else {
        ngx_str_set(&share->status, "STALE");
    }

    ngx_http_ai_count(cache_hot);
    ngx_http_ai_body_free(ctx);

    ngx_http_finalize_request(r, ngx_http_ai_cache_send(r, ctx, &hit));

    return NGX_DONE;
}


void
ngx_http_ai_cache_unshare(ngx_http_ai_ctx_t *ctx)
{
    if (ctx->share != NULL) {
        ctx->share->keyed = 0;
        ngx_str_set(&ctx->share->status, "BYPASS");
    }
}


void
ngx_http_ai_cache_share(ngx_http_ai_open_t *open, u_char *buf,
    ngx_str_t *share)
{
    u_char                   *p;
    ngx_http_ai_share_t      *s;
    ngx_http_ai_main_conf_t  *amcf;

    s = open->ctx->share;
    amcf = ngx_http_ai_edge->amcf;

    ngx_str_null(share);

    if (s == NULL || !s->keyed) {
        return;
    }

    p = ngx_cpymem(buf, s->key, AI_SHA256_HEX);
    *p++ = ' ';

    if (s->look) {
        *p++ = 'c';
    }

    if (s->store) {
        *p++ = 's';
    }

    if (s->join) {
        *p++ = 'j';
    }

    *p++ = ' ';
    *p++ = s->shape;

    if (s->max_age >= 0) {
        p = ngx_sprintf(p, " %i", s->max_age);

    } else {
        p = ngx_cpymem(p, " -", 2);
    }

    p = ngx_sprintf(p, " %M %uz %uz", open->conf->cache, amcf->kept_one,
                    amcf->kept_all);

    share->data = buf;
    share->len = p - buf;
}


void
ngx_http_ai_cache_hit(ngx_http_ai_open_t *open, ai_resp_t *reply)
{
    int64_t               age, left;
    ai_str_t              usage, head, bytes, log;
    ngx_int_t             rc;
    ngx_str_t             id;
    ngx_pool_t           *pool;
    ngx_shm_zone_t       *zone;
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_http_ai_hit_t     hit;
    ngx_http_ai_share_t  *share;

    r = open->request;
    c = r->connection;
    pool = r->pool;
    share = open->ctx->share;

    open->listening = 0;

    usage = ngx_http_ai_reply_str(reply, 3);
    head = ngx_http_ai_reply_str(reply, 4);
    bytes = ngx_http_ai_reply_str(reply, 5);
    log = ngx_http_ai_reply_str(reply, 6);

    ngx_memzero(&hit, sizeof(ngx_http_ai_hit_t));

    if (share == NULL
        || ai_str_int(ngx_http_ai_reply_str(reply, 1), &age) != 0
        || ai_str_int(ngx_http_ai_reply_str(reply, 2), &left) != 0
        || bytes.len < NGX_HTTP_AI_CACHE_ETAG
        || usage.len + head.len > NGX_HTTP_AI_CACHE_HEAD
        || ngx_http_ai_cache_copy(pool, &hit.etag,
                           (ai_str_t) { NGX_HTTP_AI_CACHE_ETAG, bytes.data })
           != NGX_OK)
    {
        ngx_http_ai_stream_redis_error(open);
        return;
    }

    hit.age = age;
    hit.left = left;

    ngx_http_ai_limit_passed(open, reply, 7);
    ngx_str_set(&share->status, "HIT");
    ngx_http_ai_count(cache_hits);

    if (log.len) {

        /* As one who comes back for the events of a job that has ended. */

        if (!ai_id_job_ok(log)
            || ngx_http_ai_cache_copy(pool, &id, log) != NGX_OK
            || ngx_http_ai_cache_copy(pool, &hit.usage, usage) != NGX_OK
            || ngx_http_ai_cache_copy(pool, &hit.head, head) != NGX_OK
            || ngx_http_ai_cache_head(r, open->ctx, &hit.head) != NGX_OK)
        {
            ngx_http_ai_stream_redis_error(open);
            return;
        }

        /* What that log says of its own call is not this one's. */

        open->ctx->usage_line = hit.usage;

        share->hit = 1;
        share->age = hit.age;
        share->etag = hit.etag;

        ngx_http_ai_open_follow(open, &id);
        ngx_http_ai_body_free(open->ctx);

        open->ctx->admitted = ngx_http_ai_usec();
        open->stage = NGX_HTTP_AI_LISTENING;
        open->heard = ngx_current_msec;
        open->started = 1;

        ngx_http_ai_events_read(open);
        ngx_http_ai_stream_timer(open, 1);
        return;
    }

    bytes.data += NGX_HTTP_AI_CACHE_ETAG;
    bytes.len -= NGX_HTTP_AI_CACHE_ETAG;

    if (ngx_http_ai_cache_copy(pool, &hit.usage, usage) != NGX_OK
        || ngx_http_ai_cache_copy(pool, &hit.head, head) != NGX_OK
        || ngx_http_ai_cache_copy(pool, &hit.body, bytes) != NGX_OK)
    {
        ngx_http_ai_stream_fail(open, "internal", 0, -1);
        return;
    }

    zone = ngx_http_ai_edge->amcf->cache;

    if (zone != NULL) {
        ngx_http_ai_cache_zone_put(zone, share->key, share->shape,
                                   share->epoch, &hit);
    }

    open->ended = 1;
    ngx_http_ai_open_close(open);

    rc = ngx_http_ai_cache_send(r, open->ctx, &hit);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


void
ngx_http_ai_cache_joined(ngx_http_ai_open_t *open, ai_resp_t *reply)
{
    int64_t     n;
    ai_str_t    leader;
    ngx_str_t   id;

    leader = ngx_http_ai_reply_str(reply, 1);

    if (open->ctx->share == NULL || !ai_id_job_ok(leader)
        || ai_str_int(ngx_http_ai_reply_str(reply, 2), &n) != 0 || n < 1
        || ngx_http_ai_cache_copy(open->request->pool, &id, leader) != NGX_OK)
    {
        /* Leaving by its own name leaves what it has joined. */

        open->unsure = 1;
        ngx_http_ai_stream_redis_error(open);
        return;
    }

    ngx_http_ai_limit_passed(open, reply, 3);
    ngx_str_set(&open->ctx->share->status, "JOIN");
    open->ctx->share->joined = 1;
    ngx_http_ai_count(cache_joined);

    ngx_http_ai_open_follow(open, &id);
    open->joins = n;

    ngx_http_ai_body_free(open->ctx);

    open->ctx->admitted = ngx_http_ai_usec();
    open->stage = NGX_HTTP_AI_LISTENING;
    open->heard = ngx_current_msec;

    ngx_http_ai_events_read(open);
    ngx_http_ai_stream_timer(open, 1);
}


static ngx_int_t
ngx_http_ai_cache_copy(ngx_pool_t *pool, ngx_str_t *to, ai_str_t from)
{
    to->len = from.len;
    to->data = ngx_pnalloc(pool, ngx_max(from.len, 1));

    if (to->data == NULL) {
        to->len = 0;
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, from.data, from.len);

    return NGX_OK;
}
