/*
 * Ledger records of answers from shared memory: collected, and given to Redis
 * every 100 ms; kept until Redis has taken them, which a repeat changes
 * nothing of.
 * They belong to the process, which does not end before they are written.
 */

#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_metrics.h"


#define NGX_HTTP_AI_CACHE_ROWS        4096    /* not yet taken */
#define NGX_HTTP_AI_CACHE_ROWS_BYTES  (2 * 1024 * 1024)
#define NGX_HTTP_AI_CACHE_ROWS_CALL   64
/* job, at, tenant, base, usage, policy */
#define NGX_HTTP_AI_CACHE_ROW_WORDS   6
#define NGX_HTTP_AI_CACHE_ARGS                                               \
    (NGX_HTTP_AI_CACHE_ROW_WORDS * NGX_HTTP_AI_CACHE_ROWS_CALL)
#define NGX_HTTP_AI_CACHE_ROWS_EVERY  100
/* Tries of a process that ends, before they are lost. */
#define NGX_HTTP_AI_CACHE_ROWS_LAST   50


typedef struct {
    u_char                     *text;         /* the words of a record */
    uint16_t                    len[NGX_HTTP_AI_CACHE_ROW_WORDS];
} ngx_http_ai_cache_row_t;


static void ngx_http_ai_cache_rows_tick(ngx_event_t *ev);
static void ngx_http_ai_cache_rows_again(void);
static void ngx_http_ai_cache_rows_give(void);
static void ngx_http_ai_cache_rows_given(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);


static ngx_http_ai_cache_row_t  ngx_http_ai_cache_rows[NGX_HTTP_AI_CACHE_ROWS];
static ngx_uint_t               ngx_http_ai_cache_first;
static ngx_uint_t               ngx_http_ai_cache_nrows;
static size_t                   ngx_http_ai_cache_rows_bytes;
static ngx_uint_t               ngx_http_ai_cache_giving;  /* rows */
static ngx_uint_t               ngx_http_ai_cache_tries;
static ngx_http_ai_redis_cmd_t  ngx_http_ai_cache_rows_cmd;
static ngx_event_t              ngx_http_ai_cache_rows_timer;
static ngx_connection_t         ngx_http_ai_cache_rows_dummy;


void
ngx_http_ai_cache_rows_init(ngx_cycle_t *cycle)
{
    ngx_event_t  *ev;

    ngx_http_ai_cache_rows_dummy.fd = (ngx_socket_t) -1;

    ev = &ngx_http_ai_cache_rows_timer;
    ngx_memzero(ev, sizeof(ngx_event_t));

    /* Not cancelable: a worker that exits waits for them. */

    ev->handler = ngx_http_ai_cache_rows_tick;
    ev->data = &ngx_http_ai_cache_rows_dummy;
    ev->log = cycle->log;
}


void
ngx_http_ai_cache_rows_done(void)
{
    if (ngx_http_ai_cache_rows_timer.timer_set) {
        ngx_del_timer(&ngx_http_ai_cache_rows_timer);
    }

    ngx_http_ai_redis_cancel(&ngx_http_ai_cache_rows_cmd);

    while (ngx_http_ai_cache_nrows) {
        ngx_free(ngx_http_ai_cache_rows[ngx_http_ai_cache_first].text);
        ngx_http_ai_cache_first = (ngx_http_ai_cache_first + 1)
                                  % NGX_HTTP_AI_CACHE_ROWS;
        ngx_http_ai_cache_nrows--;
    }
}


ngx_int_t
ngx_http_ai_cache_row(ngx_str_t *job, ngx_str_t *tenant, ngx_str_t *base,
    ngx_str_t *usage, ngx_str_t *policy)
{
    u_char                   *p;
    size_t                    size;
    ngx_time_t               *tp;
    ngx_http_ai_cache_row_t  *row;

    size = job->len + 2 * NGX_INT64_LEN + tenant->len + base->len
           + usage->len + policy->len;

    if (ngx_http_ai_cache_nrows == NGX_HTTP_AI_CACHE_ROWS
        || ngx_http_ai_cache_rows_bytes + size > NGX_HTTP_AI_CACHE_ROWS_BYTES
        || ngx_max(ngx_max(base->len, usage->len), policy->len) > 65535)
    {
        return NGX_DECLINED;
    }

    row = &ngx_http_ai_cache_rows[(ngx_http_ai_cache_first
                                   + ngx_http_ai_cache_nrows)
                                  % NGX_HTTP_AI_CACHE_ROWS];

    row->text = ngx_alloc(size, ngx_cycle->log);
    if (row->text == NULL) {
        return NGX_DECLINED;
    }

    tp = ngx_timeofday();

    p = ngx_cpymem(row->text, job->data, job->len);
    row->len[0] = job->len;
    row->len[1] = ngx_sprintf(p, "%T%03M000", tp->sec, tp->msec) - p;
    p = ngx_cpymem(p + row->len[1], tenant->data, tenant->len);
    row->len[2] = tenant->len;
    p = ngx_cpymem(p, base->data, base->len);
    row->len[3] = base->len;
    p = ngx_cpymem(p, usage->data, usage->len);
    row->len[4] = usage->len;
    ngx_memcpy(p, policy->data, policy->len);
    row->len[5] = policy->len;

    ngx_http_ai_cache_nrows++;
    ngx_http_ai_cache_rows_bytes += size;

    ngx_http_ai_cache_rows_again();

    return NGX_OK;
}


/* Holds the process, too, but not for ever. */

static void
ngx_http_ai_cache_rows_tick(ngx_event_t *ev)
{
    if (ngx_exiting && ngx_http_ai_cache_nrows
        && ++ngx_http_ai_cache_tries > NGX_HTTP_AI_CACHE_ROWS_LAST)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "ai: %ui ledger records of kept answers are lost",
                      ngx_http_ai_cache_nrows);
        return;
    }

    if (ngx_http_ai_cache_giving) {
        ngx_http_ai_cache_rows_again();
        return;
    }

    ngx_http_ai_cache_rows_give();
}


static void
ngx_http_ai_cache_rows_again(void)
{
    if (!ngx_http_ai_cache_rows_timer.timer_set) {
        ngx_add_timer(&ngx_http_ai_cache_rows_timer,
                      NGX_HTTP_AI_CACHE_ROWS_EVERY);
    }
}


static void
ngx_http_ai_cache_rows_give(void)
{
    char                      buf[AI_KEY_MAX];
    u_char                   *p;
    ngx_str_t                 key, *arg, argv[NGX_HTTP_AI_CACHE_ARGS];
    ngx_uint_t                i, k, n;
    ngx_http_ai_cache_row_t  *row;

    if (ngx_http_ai_cache_nrows == 0) {
        return;
    }

    arg = argv;
    n = ngx_min(ngx_http_ai_cache_nrows, NGX_HTTP_AI_CACHE_ROWS_CALL);

    for (i = 0; i < n; i++) {
        row = &ngx_http_ai_cache_rows[(ngx_http_ai_cache_first + i)
                                      % NGX_HTTP_AI_CACHE_ROWS];
        p = row->text;

        for (k = 0; k < NGX_HTTP_AI_CACHE_ROW_WORDS; k++, arg++) {
            arg->data = p;
            arg->len = row->len[k];
            p += row->len[k];
        }
    }

    /* The one shard there is. */

    ngx_http_ai_edge_prefix(&key, buf, 0);

    ngx_memzero(&ngx_http_ai_cache_rows_cmd, sizeof(ngx_http_ai_redis_cmd_t));
    ngx_http_ai_cache_rows_cmd.handler = ngx_http_ai_cache_rows_given;

    if (ngx_http_ai_redis_eval(ngx_http_ai_edge->redis,
                               &ngx_http_ai_cache_rows_cmd, AI_SCRIPT_HITS,
                               &key, 1, argv, arg - argv)
        == NGX_HTTP_AI_REDIS_OK)
    {
        ngx_http_ai_cache_giving = n;
    }

    ngx_http_ai_cache_rows_again();
}


static void
ngx_http_ai_cache_rows_given(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_uint_t                i, n;
    ngx_http_ai_cache_row_t  *row;

    n = ngx_http_ai_cache_giving;
    ngx_http_ai_cache_giving = 0;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_count(redis_errors);
        return;
    }

    ngx_http_ai_cache_tries = 0;

    for (i = 0; i < n; i++) {
        row = &ngx_http_ai_cache_rows[ngx_http_ai_cache_first];

        ngx_http_ai_cache_rows_bytes -= row->len[0] + row->len[2]
                                        + row->len[3] + row->len[4]
                                        + row->len[5]
                                        + 2 * NGX_INT64_LEN;
        ngx_free(row->text);

        ngx_http_ai_cache_first = (ngx_http_ai_cache_first + 1)
                                  % NGX_HTTP_AI_CACHE_ROWS;
        ngx_http_ai_cache_nrows--;
    }

    if (ngx_http_ai_cache_nrows >= NGX_HTTP_AI_CACHE_ROWS_CALL) {
        ngx_http_ai_cache_rows_give();

    } else if (ngx_http_ai_cache_nrows == 0
               && ngx_http_ai_cache_rows_timer.timer_set)
    {
        ngx_del_timer(&ngx_http_ai_cache_rows_timer);
    }
}
