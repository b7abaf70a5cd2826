/*
 * Questions to the ledger; see the header.  One under way belongs to the
 * process; its waiters to their owners.
 */

#include "ngx_http_ai_seed.h"
#include "ngx_http_ai_limit.h"
#include "ai_keys.h"
#include "ai_record.h"


/* Questions at a time; one more is refused. */
#define NGX_HTTP_AI_SEED_MAX      256
#define NGX_HTTP_AI_SEED_BUCKETS  64
/* Longer than a worker tries.  Then admit looks itself: another may have. */
#define NGX_HTTP_AI_SEED_TIMEOUT  12000


typedef struct {
    ngx_queue_t                 queue;        /* in its bucket */
    ngx_queue_t                 waiters;
    char                        sha[AI_SHA256_HEX];
    ngx_http_ai_redis_cmd_t     cmd;
    ngx_event_t                 timer;
} ngx_http_ai_question_t;


static ngx_http_ai_question_t *ngx_http_ai_seed_find(const char *sha);
static ngx_int_t ngx_http_ai_seed_text(ai_buf_t *b, ngx_http_ai_ctx_t *ctx,
    ai_str_t missing);
static ngx_int_t ngx_http_ai_seed_ask(ngx_http_ai_question_t *q,
    ngx_str_t *text);
static void ngx_http_ai_seed_asked(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_seed_timeout(ngx_event_t *ev);
static void ngx_http_ai_seed_end(ngx_http_ai_question_t *q, ngx_uint_t ok);


static ngx_queue_t  ngx_http_ai_questions[NGX_HTTP_AI_SEED_BUCKETS];
static ngx_uint_t   ngx_http_ai_nquestions;


static ngx_inline ngx_queue_t *
ngx_http_ai_seed_bucket(const char *sha)
{
    ngx_queue_t  *q;

    q = &ngx_http_ai_questions[ngx_crc32_short((u_char *) sha, AI_SHA256_HEX)
                               % NGX_HTTP_AI_SEED_BUCKETS];

    if (q->next == NULL) {
        ngx_queue_init(q);
    }

    return q;
}


ngx_int_t
ngx_http_ai_seed(ngx_http_ai_seed_t *s, ngx_http_ai_ctx_t *ctx,
    ai_str_t missing)
{
    char                     text[AI_LIMIT_SEED_MAX], sha[AI_SHA256_HEX];
    ai_buf_t                 b;
    ngx_str_t                question;
    ngx_http_ai_question_t  *q;

    ai_buf_init(&b, text, sizeof(text));

    if (ngx_http_ai_seed_text(&b, ctx, missing) != NGX_OK
        || ai_sha256_hex(sha, (ai_str_t) { ai_buf_len(&b), text }) != 0)
    {
        return NGX_DECLINED;
    }

    q = ngx_http_ai_seed_find(sha);

    if (q == NULL) {

        if (ngx_http_ai_nquestions == NGX_HTTP_AI_SEED_MAX) {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "ai: %ui questions wait for the ledger, one more is "
                          "refused", ngx_http_ai_nquestions);
            return NGX_DECLINED;
        }

        q = ngx_calloc(sizeof(ngx_http_ai_question_t), ngx_cycle->log);
        if (q == NULL) {
            return NGX_DECLINED;
        }

        ngx_queue_init(&q->waiters);
        ngx_memcpy(q->sha, sha, AI_SHA256_HEX);

        q->timer.handler = ngx_http_ai_seed_timeout;
        q->timer.data = q;
        q->timer.log = ngx_cycle->log;
        q->timer.cancelable = 1;

        question.data = (u_char *) text;
        question.len = ai_buf_len(&b);

        if (ngx_http_ai_seed_ask(q, &question) != NGX_OK) {
            ngx_free(q);
            return NGX_DECLINED;
        }

        ngx_add_timer(&q->timer, NGX_HTTP_AI_SEED_TIMEOUT);
        ngx_queue_insert_tail(ngx_http_ai_seed_bucket(sha), &q->queue);
        ngx_http_ai_nquestions++;
    }

    s->waiting = 1;
    ngx_queue_insert_tail(&q->waiters, &s->queue);

    return NGX_OK;
}


void
ngx_http_ai_seed_cancel(ngx_http_ai_seed_t *s)
{
    if (s->waiting) {
        s->waiting = 0;
        ngx_queue_remove(&s->queue);
    }
}


void
ngx_http_ai_seed_bell(u_char *sha, ai_str_t status)
{
    ngx_http_ai_question_t  *q;

    q = ngx_http_ai_seed_find((const char *) sha);

    if (q != NULL) {
        ngx_http_ai_seed_end(q, ai_str_eqz(status, "ok"));
    }
}


static ngx_http_ai_question_t *
ngx_http_ai_seed_find(const char *sha)
{
    ngx_queue_t             *q, *bucket;
    ngx_http_ai_question_t  *found;

    bucket = ngx_http_ai_seed_bucket(sha);

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        found = ngx_queue_data(q, ngx_http_ai_question_t, queue);

        if (ngx_memcmp(found->sha, sha, AI_SHA256_HEX) == 0) {
            return found;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_ai_seed_text(ai_buf_t *b, ngx_http_ai_ctx_t *ctx, ai_str_t missing)
{
    size_t                 len;
    int64_t                n;
    ngx_http_ai_limits_t  *l;

    l = ctx->limits;

    if (l == NULL || missing.len == 0) {
        return NGX_DECLINED;
    }

    ai_record_add(b, "tenant", ngx_http_ai_str(&ctx->principal->tenant));

    while (missing.len) {

        for (len = 0; len < missing.len && missing.data[len] != ' '; len++) {
            /* void */
        }

        if (ai_str_int((ai_str_t) { len, missing.data }, &n) != 0
            || n < 0 || n >= (int64_t) l->n)
        {
            return NGX_DECLINED;
        }

        ai_limit_seed(b, &l->line[n]->limit, ngx_http_ai_str(&l->value[n]));

        len += len < missing.len;
        missing.data += len;
        missing.len -= len;
    }

    return b->full ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
ngx_http_ai_seed_ask(ngx_http_ai_question_t *q, ngx_str_t *text)
{
    ngx_str_t  argv[10];

    ngx_str_set(&argv[0], "XADD");
    ngx_str_set(&argv[1], AI_LOOKUP_KEY);
    ngx_str_set(&argv[2], "MAXLEN");
    ngx_str_set(&argv[3], "~");
    ngx_str_set(&argv[4], "10000");
    ngx_str_set(&argv[5], "*");
    ngx_str_set(&argv[6], "s");
    argv[7] = *text;
    ngx_str_set(&argv[8], "e");
    argv[9] = ngx_http_ai_edge->id;

    q->cmd.handler = ngx_http_ai_seed_asked;
    q->cmd.data = q;

    if (ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                  NGX_HTTP_AI_REDIS_COMMANDS, &q->cmd, argv,
                                  10)
        != NGX_HTTP_AI_REDIS_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
ngx_http_ai_seed_asked(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_question_t *q = cmd->data;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_seed_end(q, 0);
    }
}


static void
ngx_http_ai_seed_timeout(ngx_event_t *ev)
{
    ngx_http_ai_question_t *q = ev->data;

    ngx_http_ai_seed_end(q, 1);
}


static void
ngx_http_ai_seed_end(ngx_http_ai_question_t *q, ngx_uint_t ok)
{
    ngx_queue_t         *w;
    ngx_http_ai_seed_t  *s;

    ngx_http_ai_redis_cancel(&q->cmd);

    if (q->timer.timer_set) {
        ngx_del_timer(&q->timer);
    }

    ngx_queue_remove(&q->queue);
    ngx_http_ai_nquestions--;

    /* A handler may end other requests, and so take other waiters out. */

    while (!ngx_queue_empty(&q->waiters)) {
        w = ngx_queue_head(&q->waiters);
        s = ngx_queue_data(w, ngx_http_ai_seed_t, queue);

        ngx_queue_remove(w);
        s->waiting = 0;

        s->handler(s, ok);
    }

    ngx_free(q);
}
