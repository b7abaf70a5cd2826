/*
 * Answers that are collected before they are sent: a JSON body, so that it has
 * a length and an early failure a status, and what must become one SSE event.
 * The pieces lie in the request's pool and in open->out.
 */

#include "ngx_http_ai_stream.h"


#define NGX_HTTP_AI_ANSWER_FIRST  4096
#define NGX_HTTP_AI_ANSWER_BLOCK  65536


ngx_int_t
ngx_http_ai_answer_take(ngx_http_ai_open_t *open, ai_str_t data)
{
    size_t        n, max;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    max = open->mode == NGX_HTTP_AI_WRAP ? NGX_HTTP_AI_WRAP_MAX
                                         : NGX_HTTP_AI_WHOLE_MAX;

    if (open->collected + data.len > max) {
        return NGX_DECLINED;
    }

    while (data.len) {
        cl = open->tail;

        if (cl == NULL || cl->buf->last == cl->buf->end) {

            n = cl == NULL ? ngx_max(data.len, NGX_HTTP_AI_ANSWER_FIRST)
                           : NGX_HTTP_AI_ANSWER_BLOCK;

            cl = ngx_alloc_chain_link(open->request->pool);
            if (cl == NULL) {
                return NGX_ERROR;
            }

            cl->buf = ngx_create_temp_buf(open->request->pool, n);
            if (cl->buf == NULL) {
                return NGX_ERROR;
            }

            cl->next = NULL;

            if (open->tail == NULL) {
                open->out = cl;

            } else {
                open->tail->next = cl;
            }

            open->tail = cl;
        }

        b = cl->buf;
        n = ngx_min((size_t) (b->end - b->last), data.len);

        b->last = ngx_cpymem(b->last, data.data, n);

        data.data += n;
        data.len -= n;
        open->collected += n;
    }

    return NGX_OK;
}


void
ngx_http_ai_answer_drop(ngx_http_ai_open_t *open)
{
    ngx_chain_t  *cl;

    for (cl = open->out; cl; cl = cl->next) {
        ngx_pfree(open->request->pool, cl->buf->start);
    }

    open->out = NULL;
    open->tail = NULL;
    open->collected = 0;
}


/* JSON has line ends only between its tokens, where a blank says the same. */

ngx_int_t
ngx_http_ai_answer_wrap(ngx_http_ai_open_t *open)
{
    u_char       *p;
    ngx_buf_t    *before, *after;
    ngx_chain_t  *cl, *first, *last;

    if (open->collected == 0) {
        return NGX_OK;
    }

    for (cl = open->out; cl; cl = cl->next) {
        for (p = cl->buf->pos; p < cl->buf->last; p++) {
            if (*p == '\r' || *p == '\n') {
                *p = ' ';
            }
        }
    }

    before = ngx_create_temp_buf(open->request->pool, 64 + AI_EVENT_ID_MAX);
    after = ngx_calloc_buf(open->request->pool);
    first = ngx_alloc_chain_link(open->request->pool);
    last = ngx_alloc_chain_link(open->request->pool);

    if (before == NULL || after == NULL || first == NULL || last == NULL) {
        return NGX_ERROR;
    }

    /* With an id, who comes back for what follows a part would get nothing. */

    if (open->ids && open->cause == NULL) {
        before->last = ngx_sprintf(before->last, "id: %uD-%uD\n",
                                   open->ctx->last.attempt,
                                   open->ctx->last.seq + 1);
    }

    if (open->status >= 400 && open->cause == NULL
        && open->ctx->dialect == AI_DIALECT_ANTHROPIC)
    {
        before->last = ngx_cpymem(before->last, "event: error\n",
                                  sizeof("event: error\n") - 1);
    }

    before->last = ngx_cpymem(before->last, "data: ", sizeof("data: ") - 1);

    first->buf = before;
    first->next = open->out;

    after->memory = 1;
    after->pos = (u_char *) "\n\n";
    after->last = after->pos + 2;

    last->buf = after;
    last->next = NULL;

    open->tail->next = last;
    open->tail = last;
    open->out = first;

    return NGX_OK;
}
