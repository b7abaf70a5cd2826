/*
 * Ledger records of answers from shared memory: those that differ in nothing
 * but their time are one record with a count, given to Redis every 100 ms and
 * kept until it has taken it.  One that was given does not grow: a repeat is
 * the same record.
 * They belong to the process, which does not end before they are written.
 */

#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_metrics.h"


#define NGX_HTTP_AI_CACHE_ROWS        4096    /* not yet taken */
#define NGX_HTTP_AI_CACHE_ROWS_BYTES  (2 * 1024 * 1024)
#define NGX_HTTP_AI_CACHE_ROWS_CALL   64
/* So many different ones are given before their time. */
#define NGX_HTTP_AI_CACHE_ROWS_EARLY  (NGX_HTTP_AI_CACHE_ROWS / 4)
#define NGX_HTTP_AI_CACHE_ROWS_EVERY  100
/* Tries of a process that ends, before they are lost. */
#define NGX_HTTP_AI_CACHE_ROWS_LAST   50
/* Requests of one record, and ms from its first to its last (of the clock's
 * minute, so that all are of its day). */
#define NGX_HTTP_AI_CACHE_ROW_HITS    1000000
#define NGX_HTTP_AI_CACHE_ROW_MINUTE  60000
/* At most half of it is used. */
#define NGX_HTTP_AI_CACHE_ROWS_INDEX  (2 * NGX_HTTP_AI_CACHE_ROWS)

/* What a record keeps as text: tenant, base, usage and policy tell it from
 * others, and behind them is the job. */
#define NGX_HTTP_AI_CACHE_ROW_KEYS    4
#define NGX_HTTP_AI_CACHE_ROW_TEXTS   (NGX_HTTP_AI_CACHE_ROW_KEYS + 1)
/* job, at, tenant, base, usage, policy, requests */
#define NGX_HTTP_AI_CACHE_ROW_WORDS   7
#define NGX_HTTP_AI_CACHE_ARGS                                               \
    (NGX_HTTP_AI_CACHE_ROW_WORDS * NGX_HTTP_AI_CACHE_ROWS_CALL)


typedef struct {
    u_char                     *text;
    uint64_t                    at;           /* ms, of the first */
    uint32_t                    hash;
    uint32_t                    requests;
    uint16_t                    len[NGX_HTTP_AI_CACHE_ROW_TEXTS];
} ngx_http_ai_cache_row_t;


static ngx_http_ai_cache_row_t *ngx_http_ai_cache_rows_at(ngx_uint_t n);
static uint16_t *ngx_http_ai_cache_rows_find(ngx_str_t *key, uint32_t hash);
static void ngx_http_ai_cache_rows_drop(void);
static void ngx_http_ai_cache_rows_tick(ngx_event_t *ev);
static void ngx_http_ai_cache_rows_again(void);
static void ngx_http_ai_cache_rows_give(void);
static void ngx_http_ai_cache_rows_given(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);


/*
 * A ring: first .. closed are given to Redis and grow no more / closed .. nrows
 * are open, and each that may grow is in the index, by its place and one.
 */
static ngx_http_ai_cache_row_t  ngx_http_ai_cache_rows[NGX_HTTP_AI_CACHE_ROWS];
static ngx_uint_t               ngx_http_ai_cache_first;
static ngx_uint_t               ngx_http_ai_cache_closed;
static ngx_uint_t               ngx_http_ai_cache_nrows;
static size_t                   ngx_http_ai_cache_rows_bytes;
static ngx_uint_t               ngx_http_ai_cache_giving;  /* rows */
static ngx_uint_t               ngx_http_ai_cache_tries;
static uint16_t           ngx_http_ai_cache_index[NGX_HTTP_AI_CACHE_ROWS_INDEX];
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
    ngx_uint_t  i, requests;

    for (i = 0, requests = 0; i < ngx_http_ai_cache_nrows; i++) {
        requests += ngx_http_ai_cache_rows_at(i)->requests;
    }

    if (requests) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "ai: %ui ledger records of %ui kept answers are lost",
                      ngx_http_ai_cache_nrows, requests);
    }

    if (ngx_http_ai_cache_rows_timer.timer_set) {
        ngx_del_timer(&ngx_http_ai_cache_rows_timer);
    }

    ngx_http_ai_redis_cancel(&ngx_http_ai_cache_rows_cmd);

    while (ngx_http_ai_cache_nrows) {
        ngx_http_ai_cache_rows_drop();
    }
}


ngx_int_t
ngx_http_ai_cache_row(ngx_str_t *job, ngx_str_t *tenant, ngx_str_t *base,
    ngx_str_t *usage, ngx_str_t *policy)
{
    u_char                   *p;
    size_t                    size;
    uint16_t                 *slot;
    uint32_t                  hash;
    uint64_t                  at;
    ngx_str_t                 key[NGX_HTTP_AI_CACHE_ROW_TEXTS];
    ngx_time_t               *tp;
    ngx_uint_t                i;
    ngx_http_ai_cache_row_t  *row;

    key[0] = *tenant;
    key[1] = *base;
    key[2] = *usage;
    key[3] = *policy;
    key[4] = *job;

    tp = ngx_timeofday();
    at = (uint64_t) tp->sec * 1000 + tp->msec;

    for (i = 0, hash = 0; i < NGX_HTTP_AI_CACHE_ROW_KEYS; i++) {
        hash = hash * 31 + ngx_murmur_hash2(key[i].data, key[i].len);
    }

    slot = ngx_http_ai_cache_rows_find(key, hash);

    if (*slot) {
        row = &ngx_http_ai_cache_rows[*slot - 1];

        if (row->requests < NGX_HTTP_AI_CACHE_ROW_HITS
            && row->at / NGX_HTTP_AI_CACHE_ROW_MINUTE
               == at / NGX_HTTP_AI_CACHE_ROW_MINUTE)
        {
            row->requests++;
            return NGX_OK;
        }
    }

    for (i = 0, size = 0; i < NGX_HTTP_AI_CACHE_ROW_TEXTS; i++) {
        size += key[i].len;

        if (key[i].len > 65535) {
            return NGX_DECLINED;
        }
    }

    if (ngx_http_ai_cache_nrows == NGX_HTTP_AI_CACHE_ROWS
        || ngx_http_ai_cache_rows_bytes + size > NGX_HTTP_AI_CACHE_ROWS_BYTES)
    {
        return NGX_DECLINED;
    }

    row = ngx_http_ai_cache_rows_at(ngx_http_ai_cache_nrows);

    row->text = ngx_alloc(size, ngx_cycle->log);
    if (row->text == NULL) {
        return NGX_DECLINED;
    }

    for (i = 0, p = row->text; i < NGX_HTTP_AI_CACHE_ROW_TEXTS; i++) {
        p = ngx_cpymem(p, key[i].data, key[i].len);
        row->len[i] = key[i].len;
    }

    row->at = at;
    row->hash = hash;
    row->requests = 1;

    *slot = row - ngx_http_ai_cache_rows + 1;

    ngx_http_ai_cache_nrows++;
    ngx_http_ai_cache_rows_bytes += size;

    if (ngx_http_ai_cache_nrows == NGX_HTTP_AI_CACHE_ROWS_EARLY
        && ngx_http_ai_cache_closed == 0)
    {
        ngx_http_ai_cache_rows_give();

    } else {
        ngx_http_ai_cache_rows_again();
    }

    return NGX_OK;
}


static ngx_http_ai_cache_row_t *
ngx_http_ai_cache_rows_at(ngx_uint_t n)
{
    return &ngx_http_ai_cache_rows[(ngx_http_ai_cache_first + n)
                                   % NGX_HTTP_AI_CACHE_ROWS];
}


/* Where the open record with these texts is, or is to be. */

static uint16_t *
ngx_http_ai_cache_rows_find(ngx_str_t *key, uint32_t hash)
{
    u_char                   *p;
    uint16_t                 *slot;
    ngx_uint_t                i, k;
    ngx_http_ai_cache_row_t  *row;

    for (i = hash; /* void */ ; i++) {
        slot = &ngx_http_ai_cache_index[i % NGX_HTTP_AI_CACHE_ROWS_INDEX];

        if (*slot == 0) {
            return slot;
        }

        row = &ngx_http_ai_cache_rows[*slot - 1];

        if (row->hash != hash) {
            continue;
        }

        for (k = 0, p = row->text; k < NGX_HTTP_AI_CACHE_ROW_KEYS; k++) {

            if (row->len[k] != key[k].len
                || ngx_memcmp(p, key[k].data, key[k].len) != 0)
            {
                break;
            }

            p += row->len[k];
        }

        if (k == NGX_HTTP_AI_CACHE_ROW_KEYS) {
            return slot;
        }
    }
}


/* The first. */

static void
ngx_http_ai_cache_rows_drop(void)
{
    ngx_uint_t                i;
    ngx_http_ai_cache_row_t  *row;

    row = ngx_http_ai_cache_rows_at(0);

    for (i = 0; i < NGX_HTTP_AI_CACHE_ROW_TEXTS; i++) {
        ngx_http_ai_cache_rows_bytes -= row->len[i];
    }

    ngx_free(row->text);

    ngx_http_ai_cache_first = (ngx_http_ai_cache_first + 1)
                              % NGX_HTTP_AI_CACHE_ROWS;
    ngx_http_ai_cache_nrows--;
}


/* Holds the process, too, but not for ever. */

static void
ngx_http_ai_cache_rows_tick(ngx_event_t *ev)
{
    if (ngx_exiting && ngx_http_ai_cache_nrows
        && ++ngx_http_ai_cache_tries > NGX_HTTP_AI_CACHE_ROWS_LAST)
    {
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
    ngx_str_t                 text[NGX_HTTP_AI_CACHE_ROW_TEXTS];
    ngx_uint_t                i, k, n;
    ngx_http_ai_cache_row_t  *row;

    static u_char  number[NGX_HTTP_AI_CACHE_ROWS_CALL][2][NGX_INT64_LEN + 3];

    if (ngx_http_ai_cache_nrows == 0) {
        return;
    }

    if (ngx_http_ai_cache_closed == 0) {
        ngx_http_ai_cache_closed = ngx_http_ai_cache_nrows;
        ngx_memzero(ngx_http_ai_cache_index, sizeof(ngx_http_ai_cache_index));
    }

    arg = argv;
    n = ngx_min(ngx_http_ai_cache_closed, NGX_HTTP_AI_CACHE_ROWS_CALL);

    for (i = 0; i < n; i++) {
        row = ngx_http_ai_cache_rows_at(i);

        for (k = 0, p = row->text; k < NGX_HTTP_AI_CACHE_ROW_TEXTS; k++) {
            text[k].data = p;
            text[k].len = row->len[k];
            p += row->len[k];
        }

        *arg++ = text[4];

        arg->data = number[i][0];
        arg->len = ngx_sprintf(number[i][0], "%uL000", row->at)
                   - number[i][0];
        arg++;

        for (k = 0; k < NGX_HTTP_AI_CACHE_ROW_KEYS; k++) {
            *arg++ = text[k];
        }

        arg->data = number[i][1];
        arg->len = ngx_sprintf(number[i][1], "%uD", row->requests)
                   - number[i][1];
        arg++;
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
    ngx_uint_t  n;

    n = ngx_http_ai_cache_giving;
    ngx_http_ai_cache_giving = 0;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_count(redis_errors);
        return;
    }

    ngx_http_ai_cache_tries = 0;
    ngx_http_ai_cache_closed -= n;

    while (n--) {
        ngx_http_ai_cache_rows_drop();
    }

    if (ngx_http_ai_cache_closed
        || ngx_http_ai_cache_nrows >= NGX_HTTP_AI_CACHE_ROWS_EARLY)
    {
        ngx_http_ai_cache_rows_give();

    } else if (ngx_http_ai_cache_nrows == 0
               && ngx_http_ai_cache_rows_timer.timer_set)
    {
        ngx_del_timer(&ngx_http_ai_cache_rows_timer);
    }
}
