/*
 * Questions that many requests wait for; see the header.
 * Owns those under way, and nothing of who waits.
 */

#include "ngx_http_ai_question.h"
#include "ngx_http_ai_edge.h"


/* Entries of the workers' stream: older ones nobody waits for any more. */
#define NGX_HTTP_AI_QUESTION_ENTRIES  "10000"


static ngx_queue_t *
ngx_http_ai_question_bucket(ngx_http_ai_questions_t *k, u_char *sha)
{
    ngx_queue_t  *q;

    q = &k->buckets[ngx_crc32_short(sha, AI_SHA256_HEX) % k->nbuckets];

    if (q->next == NULL) {
        ngx_queue_init(q);
    }

    return q;
}


ngx_http_ai_question_t *
ngx_http_ai_question_find(ngx_http_ai_questions_t *k, u_char *sha)
{
    ngx_queue_t             *q, *bucket;
    ngx_http_ai_question_t  *found;

    bucket = ngx_http_ai_question_bucket(k, sha);

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


ngx_http_ai_question_t *
ngx_http_ai_question_make(ngx_http_ai_questions_t *k, size_t size, u_char *sha,
    ngx_event_handler_pt handler)
{
    ngx_http_ai_question_t  *q;

    static time_t  said;

    if (k->n == k->max) {
        ngx_log_error(ngx_http_ai_seldom(&said), ngx_cycle->log, 0,
                      "ai: %ui %s, one more is refused", k->n, k->name);
        return NULL;
    }

    q = ngx_calloc(size, ngx_cycle->log);
    if (q == NULL) {
        return NULL;
    }

    ngx_queue_init(&q->waiters);
    ngx_memcpy(q->sha, sha, AI_SHA256_HEX);

    q->timer.handler = handler;
    q->timer.data = q;
    q->timer.log = ngx_cycle->log;
    q->timer.cancelable = 1;

    return q;
}


void
ngx_http_ai_question_begin(ngx_http_ai_questions_t *k,
    ngx_http_ai_question_t *q)
{
    ngx_queue_insert_tail(ngx_http_ai_question_bucket(k, q->sha), &q->queue);
    k->n++;
}


ngx_int_t
ngx_http_ai_question_send(ngx_http_ai_question_t *q,
    ngx_http_ai_redis_handler_pt handler, ngx_str_t *argv, ngx_uint_t argc)
{
    ngx_memzero(&q->cmd, sizeof(ngx_http_ai_redis_cmd_t));

    q->cmd.handler = handler;
    q->cmd.data = q;

    if (ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                  NGX_HTTP_AI_REDIS_COMMANDS, &q->cmd, argv,
                                  argc)
        != NGX_HTTP_AI_REDIS_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_ai_question_ask(ngx_http_ai_question_t *q,
    ngx_http_ai_redis_handler_pt handler, char *field, ai_str_t text,
    char *charged)
{
    ngx_str_t  argv[12];

    ngx_str_set(&argv[0], "XADD");
    ngx_str_set(&argv[1], AI_LOOKUP_KEY);
    ngx_str_set(&argv[2], "MAXLEN");
    ngx_str_set(&argv[3], "~");
    ngx_str_set(&argv[4], NGX_HTTP_AI_QUESTION_ENTRIES);
    ngx_str_set(&argv[5], "*");
    argv[6].data = (u_char *) field;
    argv[6].len = ngx_strlen(field);
    argv[7].data = (u_char *) text.data;
    argv[7].len = text.len;
    ngx_str_set(&argv[8], "e");
    argv[9] = ngx_http_ai_edge->id;

    if (charged == NULL) {
        return ngx_http_ai_question_send(q, handler, argv, 10);
    }

    ngx_str_set(&argv[10], "c");
    argv[11].data = (u_char *) charged;
    argv[11].len = ngx_strlen(charged);

    return ngx_http_ai_question_send(q, handler, argv, 12);
}


void
ngx_http_ai_question_stop(ngx_http_ai_question_t *q)
{
    ngx_http_ai_redis_cancel(&q->cmd);

    if (q->timer.timer_set) {
        ngx_del_timer(&q->timer);
    }
}


void
ngx_http_ai_question_wait(ngx_http_ai_question_t *q, ngx_http_ai_waiter_t *w)
{
    w->waiting = 1;
    ngx_queue_insert_tail(&q->waiters, &w->queue);
}


void
ngx_http_ai_question_leave(ngx_http_ai_waiter_t *w)
{
    if (w->waiting) {
        w->waiting = 0;
        ngx_queue_remove(&w->queue);
    }
}


void
ngx_http_ai_question_end(ngx_http_ai_questions_t *k, ngx_http_ai_question_t *q)
{
    ngx_http_ai_question_stop(q);

    ngx_queue_remove(&q->queue);
    k->n--;
}


ngx_http_ai_waiter_t *
ngx_http_ai_question_next(ngx_http_ai_question_t *q)
{
    ngx_http_ai_waiter_t  *w;

    if (ngx_queue_empty(&q->waiters)) {
        ngx_free(q);
        return NULL;
    }

    w = ngx_queue_data(ngx_queue_head(&q->waiters), ngx_http_ai_waiter_t,
                       queue);
    ngx_http_ai_question_leave(w);

    return w;
}
