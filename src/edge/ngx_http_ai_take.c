/*
 * What an event does to the answer: the head decides its shape, data goes into
 * its few buffers as far as there is room, the end ends it.
 * Nothing is sent here; all lies in the request's pool.
 */

#include "ngx_http_ai_stream.h"
#include "ngx_http_ai_cache.h"
#include "ai_headers.h"
#include "ai_record.h"


static ngx_int_t ngx_http_ai_take_head(ngx_http_ai_open_t *open,
    ai_str_t payload);
static ngx_int_t ngx_http_ai_take_data(ngx_http_ai_open_t *open,
    ai_event_t *ev);
static void ngx_http_ai_take_end(ngx_http_ai_open_t *open, ai_str_t payload);
static void ngx_http_ai_take_error(ngx_http_ai_open_t *open,
    ai_str_t payload);
static void ngx_http_ai_take_usage(ngx_http_ai_open_t *open, ai_str_t line);
static void ngx_http_ai_take_number(ai_str_t data, int64_t *seen);
static size_t ngx_http_ai_take_room(ngx_http_ai_open_t *open);


ngx_int_t
ngx_http_ai_take_event(ngx_http_ai_open_t *open, ai_event_t *ev)
{
    switch (ev->type) {

    case AI_EVENT_HEAD:
        /* An attempt that had said something is not made again, but by a Redis
         * that has lost it. */

        if (open->mode != NGX_HTTP_AI_NO_HEAD) {
            ngx_http_ai_stream_fail(open, "lost", 0, -1);

        } else if (ngx_http_ai_take_head(open, ev->payload) != NGX_OK) {
            ngx_http_ai_stream_fail(open, "internal", 0, -1);
        }

        break;

    case AI_EVENT_DATA:
    case AI_EVENT_CONTINUE:
        if (open->ctx->first == 0) {
            open->ctx->first = ngx_http_ai_usec();
        }

        return ngx_http_ai_take_data(open, ev);

    case AI_EVENT_END:
        ngx_http_ai_take_end(open, ev->payload);
        break;

    case AI_EVENT_ERROR:
        ngx_http_ai_take_error(open, ev->payload);
        break;

    case AI_EVENT_ATTEMPT:
        open->skip = 0;
        open->prefixed = 0;
        open->worker.len = 0;
        break;
    }

    return NGX_OK;
}


/* The head decides how the rest is sent; what the client gets of it goes to
 * the answer's headers at once, unless they have left. */

static ngx_int_t
ngx_http_ai_take_head(ngx_http_ai_open_t *open, ai_str_t payload)
{
    int                  rc;
    u_char              *p;
    int64_t              n;
    ai_str_t             name, value;
    ngx_str_t           *s;
    ngx_uint_t           stream, hit;
    ngx_http_request_t  *r;

    r = open->request;
    stream = 0;
    hit = ngx_http_ai_cache_is_hit(open->ctx);

    while ((rc = ai_record_next(&payload, &name, &value)) == 1) {

        if (ai_str_eqz(name, "status")) {
            if (ai_str_int(value, &n) != 0 || n < 200 || n > 599) {
                return NGX_ERROR;
            }

            open->status = n;
            continue;
        }

        if (ai_str_eqz(name, "attempts") || ai_str_eqz(name, "waited")) {
            if (ai_str_int(value, &n) == 0 && n >= 0) {
                *(name.data[0] == 'a' ? &open->ctx->attempts
                                      : &open->ctx->waited) = n;
            }

            continue;
        }

        if (ai_str_eqz(name, "stream")) {
            stream = ai_str_eqz(value, "1");
            continue;
        }

        s = ai_str_eqz(name, "provider") ? &open->ctx->provider
            : ai_str_eqz(name, "model") ? &open->ctx->provider_model
            : ai_str_eqz(name, "worker") ? &open->worker : NULL;

        if (s != NULL) {
            p = ngx_pnalloc(r->pool, value.len);
            if (p == NULL) {
                return NGX_ERROR;
            }

            ngx_memcpy(p, value.data, value.len);
            s->data = p;
            s->len = value.len;
            continue;
        }

        if (ai_str_eqz(name, "header") && !open->header && !open->early && !hit
            && ngx_http_ai_take_header(r, value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (rc < 0 || open->status == 0) {
        return NGX_ERROR;
    }

    if (stream) {
        open->mode = NGX_HTTP_AI_SSE;

    } else if (open->header || open->early) {
        open->mode = NGX_HTTP_AI_WRAP;

    } else {
        open->mode = NGX_HTTP_AI_WHOLE;
    }

    if (!open->header && !open->early) {
        r->headers_out.status = open->status;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_ai_take_header(ngx_http_request_t *r, ai_str_t line)
{
    size_t      n;
    u_char     *p;
    ai_str_t    name, value;
    ngx_str_t   key, val;

    for (n = 0; n < line.len && line.data[n] != ':'; n++) { /* void */ }

    name.data = line.data;
    name.len = n;

    for (n++; n < line.len && line.data[n] == ' '; n++) { /* void */ }

    if (n > line.len) {
        return NGX_ERROR;
    }

    value.data = line.data + n;
    value.len = line.len - n;

    if (!ai_headers_valid(name, value)) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, line.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    key.data = p;
    key.len = name.len;
    p = ngx_cpymem(p, name.data, name.len);

    val.data = p;
    val.len = value.len;
    ngx_memcpy(p, value.data, value.len);

    if (key.len == 12
        && ngx_strncasecmp(key.data, (u_char *) "content-type", 12) == 0)
    {
        r->headers_out.content_type = val;
        r->headers_out.content_type_lowcase = NULL;

        for (n = 0; n < val.len && val.data[n] != ';'; n++) { /* void */ }

        r->headers_out.content_type_len = n;

        return NGX_OK;
    }

    /* nginx makes these from what it sends. */

    if ((ai_headers_never(name) && !ai_headers_said(name))
        || (key.len == 14
            && ngx_strncasecmp(key.data, (u_char *) "content-length", 14)
               == 0))
    {
        return NGX_OK;
    }

    return ngx_http_ai_add_header(r, &key, &val);
}


static ngx_int_t
ngx_http_ai_take_data(ngx_http_ai_open_t *open, ai_event_t *ev)
{
    char       id[AI_EVENT_ID_MAX + 8];
    size_t     n;
    ai_str_t   data;
    ngx_int_t  rc;

    data = ev->payload;

    switch (open->mode) {

    case NGX_HTTP_AI_NO_HEAD:
        ngx_http_ai_stream_fail(open, "internal", 0, -1);
        return NGX_OK;

    case NGX_HTTP_AI_WHOLE:
        rc = ngx_http_ai_answer_take(open, data);

        if (rc == NGX_DECLINED) {
            open->mode = NGX_HTTP_AI_PIPE;
            return NGX_AGAIN;
        }

        if (rc != NGX_OK) {
            ngx_http_ai_stream_fail(open, "internal", 0, -1);
        }

        return NGX_OK;

    case NGX_HTTP_AI_WRAP:
        if (ngx_http_ai_answer_take(open, data) != NGX_OK) {
            ngx_http_ai_answer_drop(open);
            ngx_http_ai_stream_fail(open, "too_large", 0, -1);
        }

        return NGX_OK;

    default:
        break;
    }

    /* It came back for what follows an event, whose rest this is. */

    if (open->behind && ev->type == AI_EVENT_CONTINUE) {
        return NGX_OK;
    }

    open->behind = 0;

    /* What ends it has the number behind the last one's. */

    if ((open->from || (open->mode == NGX_HTTP_AI_SSE
                        && open->ctx->dialect == AI_DIALECT_RESPONSES))
        && ev->type == AI_EVENT_DATA && open->skip == 0)
    {
        ngx_http_ai_take_number(data, &open->seen);

        if (open->from && open->seen <= open->from) {
            open->behind = 1;
            return NGX_OK;
        }
    }

    if (data.len == 0) {
        return NGX_OK;
    }

    if (open->ids && ev->type == AI_EVENT_DATA && open->skip == 0
        && !open->prefixed && open->mode == NGX_HTTP_AI_SSE)
    {
        n = ngx_snprintf((u_char *) id, sizeof(id), "id: %uD-%uD\n",
                         ev->id.attempt, ev->id.seq)
            - (u_char *) id;

        if (ngx_http_ai_take_room(open) < n) {
            return NGX_AGAIN;
        }

        (void) ngx_http_ai_take_bytes(open, id, n);
        open->prefixed = 1;
        open->boundary = 0;
    }

    n = ngx_http_ai_take_bytes(open, data.data + open->skip,
                                data.len - open->skip);
    open->skip += n;

    if (n) {
        open->boundary = 0;
    }

    if (open->skip < data.len) {
        return NGX_AGAIN;
    }

    open->skip = 0;
    open->prefixed = 0;
    open->boundary = (data.len >= 2
                      && ngx_memcmp(data.data + data.len - 2, "\n\n", 2) == 0)
                     || (data.len >= 4
                         && ngx_memcmp(data.data + data.len - 4, "\r\n\r\n", 4)
                            == 0);

    return NGX_OK;
}


/* Quotes in a string are escaped, so this is a member. */

static void
ngx_http_ai_take_number(ai_str_t data, int64_t *seen)
{
    u_char  *p, *last;

    static u_char  name[] = "\"sequence_number\":";

    last = (u_char *) data.data + data.len;
    p = ngx_strlcasestrn((u_char *) data.data, last, name, sizeof(name) - 2);

    if (p == NULL) {
        return;
    }

    p += sizeof(name) - 1;

    while (p < last && *p == ' ') {
        p++;
    }

    if (p < last && *p >= '0' && *p <= '9') {
        for (*seen = 0; p < last && *p >= '0' && *p <= '9'
             && *seen < 100000000; p++)
        {
            *seen = *seen * 10 + (*p - '0');
        }

        (*seen)++;
    }
}


static void
ngx_http_ai_take_end(ngx_http_ai_open_t *open, ai_str_t payload)
{
    ngx_http_ai_take_usage(open, payload);

    if (open->mode == NGX_HTTP_AI_NO_HEAD) {
        ngx_http_ai_stream_fail(open, "internal", 0, -1);
    }

    open->ended = 1;
}


static void
ngx_http_ai_take_error(ngx_http_ai_open_t *open, ai_str_t payload)
{
    int64_t            n;
    ai_str_t           cause, value;
    const ai_error_t  *e;

    if (ai_record_get(payload, "usage", &value) == 1) {
        ngx_http_ai_take_usage(open, value);
    }

    e = NULL;

    if (ai_record_get(payload, "cause", &cause) == 1) {
        e = ai_error_find(cause);
    }

    if (ai_record_get(payload, "retry_after", &value) == 1
        && ai_str_int(value, &n) == 0 && n >= 0 && n < 86400 * 31)
    {
        open->retry_after = n;
    }

    if (ai_record_get(payload, "message", &value) == 1 && value.len) {
        open->message.data = ngx_pnalloc(open->request->pool, value.len);

        if (open->message.data != NULL) {
            ngx_memcpy(open->message.data, value.data, value.len);
            open->message.len = value.len;
        }
    }

    ngx_http_ai_stream_fail(open, e != NULL ? e->cause : "internal", 0,
                            open->retry_after);

    open->ended = 1;
}


static void
ngx_http_ai_take_usage(ngx_http_ai_open_t *open, ai_str_t line)
{
    ngx_str_t  *s;

    s = &open->ctx->usage_line;

    open->ctx->ended = ngx_http_ai_usec();

    if (line.len == 0 || line.len > AI_USAGE_LINE_MAX
        || ngx_http_ai_cache_is_hit(open->ctx))
    {
        return;
    }

    s->data = ngx_pnalloc(open->request->pool, line.len);

    if (s->data != NULL) {
        ngx_memcpy(s->data, line.data, line.len);
        s->len = line.len;
    }
}


static size_t
ngx_http_ai_take_room(ngx_http_ai_open_t *open)
{
    size_t        room;
    ngx_chain_t  *cl;

    room = (open->conf->buffers.num - open->nbufs) * open->conf->buffers.size;

    if (open->tail != NULL) {
        room += open->tail->buf->end - open->tail->buf->last;
    }

    for (cl = open->free; cl; cl = cl->next) {
        room += cl->buf->end - cl->buf->start;
    }

    return room;
}


/* As much as the buffers take. */

size_t
ngx_http_ai_take_bytes(ngx_http_ai_open_t *open, const char *data,
    size_t len)
{
    size_t        n, done;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    for (done = 0; done < len; done += n) {

        if (open->tail == NULL || open->tail->buf->last == open->tail->buf->end)
        {
            if (open->free != NULL) {
                cl = open->free;
                open->free = cl->next;

            } else if ((ngx_int_t) open->nbufs < open->conf->buffers.num) {

                cl = ngx_alloc_chain_link(open->request->pool);
                if (cl == NULL) {
                    break;
                }

                cl->buf = ngx_create_temp_buf(open->request->pool,
                                              open->conf->buffers.size);
                if (cl->buf == NULL) {
                    break;
                }

                open->nbufs++;

            } else {
                break;
            }

            b = cl->buf;
            b->pos = b->start;
            b->last = b->start;
            b->flush = 0;
            b->tag = (ngx_buf_tag_t) &ngx_http_ai_module;

            ngx_http_ai_take_chain(open, cl);
        }

        b = open->tail->buf;
        n = ngx_min((size_t) (b->end - b->last), len - done);
        b->last = ngx_cpymem(b->last, data + done, n);
    }

    return done;
}


void
ngx_http_ai_take_chain(ngx_http_ai_open_t *open, ngx_chain_t *cl)
{
    cl->next = NULL;

    if (open->tail == NULL) {
        open->out = cl;

    } else {
        open->tail->next = cl;
    }

    open->tail = cl;
}
