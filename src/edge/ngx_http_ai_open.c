/*
 * The table of open jobs, and what a request gives back when it closes: timers,
 * commands, a body without a job, the job itself where nobody listens any more.
 * The table is the process's; what is in it lies in its request's pool.
 */

#include "ngx_http_ai_open.h"
#include "ngx_http_ai_leave.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_steps.h"
#include "ngx_http_ai_stream.h"


#define NGX_HTTP_AI_OPEN_BUCKETS  4096


static ngx_http_ai_open_t *ngx_http_ai_open_listener(ngx_str_t *job);
static void ngx_http_ai_open_unlink(ngx_http_ai_open_t *open,
    ngx_uint_t which);
static void ngx_http_ai_open_cleanup(void *data);


static ngx_queue_t  ngx_http_ai_open_table[NGX_HTTP_AI_OPEN_BUCKETS];


void
ngx_http_ai_open_init(void)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_AI_OPEN_BUCKETS; i++) {
        ngx_queue_init(&ngx_http_ai_open_table[i]);
    }
}


static ngx_inline ngx_queue_t *
ngx_http_ai_open_bucket(const char *job, size_t len)
{
    return &ngx_http_ai_open_table[ngx_crc32_short((u_char *) job, len)
                                   % NGX_HTTP_AI_OPEN_BUCKETS];
}


void
ngx_http_ai_open_events(ai_bell_t *bell)
{
    ngx_queue_t         *q, *bucket;
    ngx_http_ai_open_t  *open;

    bucket = ngx_http_ai_open_bucket(bell->name.data, bell->name.len);

    /* They only take the events in here: output, and with it the end of a
     * request, comes later in this turn. */

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        open = ngx_queue_data(q, ngx_http_ai_open_t, queue);

        if (open->ctx->job.len == bell->name.len
            && ngx_memcmp(open->ctx->job.data, bell->name.data,
                          bell->name.len) == 0)
        {
            ngx_http_ai_events_frames(open, bell->frames);
        }
    }
}


void
ngx_http_ai_open_subscribed(void)
{
    ngx_uint_t           i;
    ngx_queue_t         *q, *bucket;
    ngx_http_ai_open_t  *open;

    for (i = 0; i < NGX_HTTP_AI_OPEN_BUCKETS; i++) {
        bucket = &ngx_http_ai_open_table[i];

        for (q = ngx_queue_head(bucket);
             q != ngx_queue_sentinel(bucket);
             q = ngx_queue_next(q))
        {
            open = ngx_queue_data(q, ngx_http_ai_open_t, queue);

            ngx_http_ai_stream_subscribed(open);
        }
    }
}


ngx_int_t
ngx_http_ai_open(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_http_cleanup_t      *cln;
    ngx_http_ai_open_t      *open;
    ngx_http_ai_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    if (ngx_http_ai_edge->nopen >= alcf->max_streams) {
        return NGX_BUSY;
    }

    open = ngx_pcalloc(r->pool, sizeof(ngx_http_ai_open_t));
    if (open == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_ai_open_cleanup;
    cln->data = open;

    open->request = r;
    open->ctx = ctx;
    open->conf = alcf;
    open->tenant = ctx->principal->tenant;
    open->shard = ngx_http_ai_edge_shard(&open->tenant);
    open->retry_after = -1;

    ctx->open = open;

    ngx_http_ai_stream_init(open);

    return NGX_OK;
}


void
ngx_http_ai_open_listen(ngx_http_ai_open_t *open)
{
    open->table = 1;

    /* A request may still have been on its way when the last job ended. */

    ngx_http_ai_edge_stay();

    ngx_queue_insert_tail(
        ngx_http_ai_open_bucket((char *) open->ctx->job.data,
                                open->ctx->job.len),
        &open->queue);

    ngx_http_ai_edge->nopen++;
    ngx_http_ai_count(active[ngx_process_slot]);
}


void
ngx_http_ai_open_close(ngx_http_ai_open_t *open)
{
    ngx_http_ai_open_t  *other;

    if (open->closed) {
        return;
    }

    open->closed = 1;

    ngx_http_ai_redis_cancel(&open->cmd);
    ngx_http_ai_redis_cancel(&open->set);
    ngx_http_ai_redis_cancel(&open->range);
    ngx_http_ai_redis_cancel(&open->state);
    ngx_http_ai_lookup_cancel(&open->ctx->lookup);
    ngx_http_ai_seed_cancel(&open->seed);

    if (open->timer.timer_set) {
        ngx_del_timer(&open->timer);
    }

    if (open->run.posted) {
        ngx_delete_posted_event(&open->run);
    }

    ngx_http_ai_body_free(open->ctx);

    if (open->begun) {
        ngx_http_ai_open_unlink(open, NGX_HTTP_AI_REDIS_COMMANDS);

    } else if (open->bulk) {
        ngx_http_ai_open_unlink(open, NGX_HTTP_AI_REDIS_BULK);
    }

    if (!open->table) {
        return;
    }

    open->table = 0;
    ngx_queue_remove(&open->queue);

    ngx_http_ai_edge->nopen--;
    ngx_http_ai_count_n(active[ngx_process_slot], -1);

    if (ngx_exiting && ngx_http_ai_edge->nopen == 0) {
        ngx_http_ai_edge_bye();
    }

    if (!open->listening || open->ended) {
        return;
    }

    other = ngx_http_ai_open_listener(&open->ctx->job);

    if (other != NULL) {
        other->joins = ngx_max(other->joins, open->joins);
        return;
    }

    ngx_http_ai_leave(&open->ctx->job, open->shard, open->unsure,
                      open->joins);
}


void
ngx_http_ai_open_follow(ngx_http_ai_open_t *open, ngx_str_t *job)
{
    ngx_queue_remove(&open->queue);

    open->ctx->job = *job;

    ngx_queue_insert_tail(ngx_http_ai_open_bucket((char *) job->data,
                                                  job->len),
                          &open->queue);
}


void
ngx_http_ai_open_unfollow(ngx_str_t *job, ngx_uint_t shard, ngx_uint_t joins)
{
    ngx_http_ai_open_t  *other;

    other = ngx_http_ai_open_listener(job);

    if (other != NULL) {
        other->joins = ngx_max(other->joins, joins);
        return;
    }

    ngx_http_ai_leave(job, shard, 0, joins);
}


ngx_uint_t
ngx_http_ai_open_listens(ngx_str_t *job)
{
    return ngx_http_ai_open_listener(job) != NULL;
}


ngx_uint_t
ngx_http_ai_open_shared(ngx_http_ai_open_t *open)
{
    unsigned    listening;
    ngx_uint_t  shared;

    listening = open->listening;
    open->listening = 0;
    shared = ngx_http_ai_open_listens(&open->ctx->job);
    open->listening = listening;

    return shared;
}


/* One that listens to this job, or NULL. */

static ngx_http_ai_open_t *
ngx_http_ai_open_listener(ngx_str_t *job)
{
    ngx_queue_t         *q, *bucket;
    ngx_http_ai_open_t  *open;

    bucket = ngx_http_ai_open_bucket((char *) job->data, job->len);

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        open = ngx_queue_data(q, ngx_http_ai_open_t, queue);

        if (open->listening
            && open->ctx->job.len == job->len
            && ngx_memcmp(open->ctx->job.data, job->data, job->len) == 0)
        {
            return open;
        }
    }

    return NULL;
}


/* A body without a job: behind what wrote of it last, on its connection. */

static void
ngx_http_ai_open_unlink(ngx_http_ai_open_t *open, ngx_uint_t which)
{
    char       key[AI_KEY_MAX];
    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "UNLINK");
    ngx_http_ai_edge_key(&argv[1], key, AI_KEY_BODY, open->shard,
                         &open->ctx->job);

    (void) ngx_http_ai_redis_command(ngx_http_ai_edge->redis, which, NULL,
                                     argv, 2);
}


static void
ngx_http_ai_open_cleanup(void *data)
{
    ngx_http_ai_open_t *open = data;

    if (!open->closed && !open->ended && open->listening) {
        ngx_http_ai_count(disconnects);
    }

    ngx_http_ai_open_close(open);
}
