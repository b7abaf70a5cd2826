/*
 * Questions to the ledger; see the header.
 * Owns their table; those under way belong to the process.
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


static ngx_int_t ngx_http_ai_seed_text(ai_buf_t *b, ngx_http_ai_ctx_t *ctx,
    ai_str_t missing);
static void ngx_http_ai_seed_asked(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_seed_timeout(ngx_event_t *ev);
static void ngx_http_ai_seed_end(ngx_http_ai_question_t *q, ngx_uint_t ok);


static ngx_queue_t  ngx_http_ai_seed_buckets[NGX_HTTP_AI_SEED_BUCKETS];

static ngx_http_ai_questions_t  ngx_http_ai_seeds = {
    ngx_http_ai_seed_buckets, NGX_HTTP_AI_SEED_BUCKETS, NGX_HTTP_AI_SEED_MAX,
    0, "questions wait for the ledger"
};


ngx_int_t
ngx_http_ai_seed(ngx_http_ai_seed_t *s, ngx_http_ai_ctx_t *ctx,
    ai_str_t missing)
{
    char                     text[AI_LIMIT_SEED_MAX];
    u_char                   sha[AI_SHA256_HEX];
    ai_buf_t                 b;
    ngx_http_ai_question_t  *q;

    ai_buf_init(&b, text, sizeof(text));

    if (ngx_http_ai_seed_text(&b, ctx, missing) != NGX_OK
        || ai_sha256_hex((char *) sha, (ai_str_t) { ai_buf_len(&b), text })
           != 0)
    {
        return NGX_DECLINED;
    }

    q = ngx_http_ai_question_find(&ngx_http_ai_seeds, sha);

    if (q == NULL) {
        q = ngx_http_ai_question_make(&ngx_http_ai_seeds,
                                      sizeof(ngx_http_ai_question_t), sha,
                                      ngx_http_ai_seed_timeout);
        if (q == NULL) {
            return NGX_DECLINED;
        }

        if (ngx_http_ai_question_ask(q, ngx_http_ai_seed_asked, "s",
                                     (ai_str_t) { ai_buf_len(&b), text }, NULL)
            != NGX_OK)
        {
            ngx_free(q);
            return NGX_DECLINED;
        }

        ngx_add_timer(&q->timer, NGX_HTTP_AI_SEED_TIMEOUT);
        ngx_http_ai_question_begin(&ngx_http_ai_seeds, q);
    }

    ngx_http_ai_question_wait(q, &s->waiter);

    return NGX_OK;
}


void
ngx_http_ai_seed_cancel(ngx_http_ai_seed_t *s)
{
    ngx_http_ai_question_leave(&s->waiter);
}


void
ngx_http_ai_seed_bell(u_char *sha, ai_str_t status)
{
    ngx_http_ai_question_t  *q;

    q = ngx_http_ai_question_find(&ngx_http_ai_seeds, sha);

    if (q != NULL) {
        ngx_http_ai_seed_end(q, ai_str_eqz(status, "ok"));
    }
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
    ngx_http_ai_seed_t    *s;
    ngx_http_ai_waiter_t  *w;

    ngx_http_ai_question_end(&ngx_http_ai_seeds, q);

    while ((w = ngx_http_ai_question_next(q)) != NULL) {
        s = ngx_queue_data(w, ngx_http_ai_seed_t, waiter);
        s->handler(s, ok);
    }
}
