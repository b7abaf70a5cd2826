/*
 * The request body: into memory as it arrives, past the scanner, never into a
 * file; one that another module has had nginx read before (mirror, a proxy
 * that failed) is copied from where that left it.  Its blocks are freed when
 * the job is admitted, or with the request; all requests of the edge together
 * hold at most ai_body_memory.
 */

#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_members.h"
#include "ngx_http_ai_state.h"
#include "ngx_http_ai_steps.h"


/* Bytes taken of one request in a turn of the event loop. */
#define NGX_HTTP_AI_BODY_TURN   65536
#define NGX_HTTP_AI_BODY_FIRST  8192
/* The same of one that was read before, at once. */
#define NGX_HTTP_AI_BODY_COPY   16384
/* Also a piece of a large body in Redis, which with what its list adds to it
 * then fits into 64 KB of its allocator. */
#define NGX_HTTP_AI_BODY_BLOCK  (65536 - 128)

/* One up to this is hashed at its end, all at once. */
#define NGX_HTTP_AI_BODY_SHORT  8192


typedef struct {
    ngx_http_ai_ctx_t          *ctx;
    ngx_chain_t                *tail;
    ngx_chain_t                *given;        /* read before: the next of it */
    off_t                       at;           /* taken of the next */
    size_t                      around;       /* bytes that we add */
    unsigned                    before:1;     /* others may still want it */
    ai_sha256_t                *sha;          /* of a longer one, if signed */
    ai_json_t                   json;
} ngx_http_ai_body_t;


static void ngx_http_ai_body_cleanup(void *data);
static void ngx_http_ai_body_begin(ngx_http_request_t *r);
static void ngx_http_ai_body_event(ngx_http_request_t *r);
static void ngx_http_ai_body_next(ngx_http_request_t *r);
static void ngx_http_ai_body_copy(ngx_http_request_t *r,
    ngx_http_ai_body_t *body);
static ngx_int_t ngx_http_ai_body_take(ngx_http_request_t *r,
    ngx_http_ai_body_t *body, size_t *taken);
static ngx_int_t ngx_http_ai_body_feed(ngx_http_request_t *r,
    ngx_http_ai_body_t *body, u_char *data, size_t len);
static ngx_int_t ngx_http_ai_body_store(ngx_http_request_t *r,
    ngx_http_ai_body_t *body, u_char *data, size_t len);
static ngx_int_t ngx_http_ai_body_sum(ngx_http_request_t *r,
    ngx_http_ai_body_t *body, u_char *data, size_t len);
static ngx_int_t ngx_http_ai_body_summed(ngx_http_ai_body_t *body);
static void ngx_http_ai_body_done(ngx_http_request_t *r,
    ngx_http_ai_body_t *body);
static void ngx_http_ai_body_bad(ngx_http_request_t *r,
    ngx_http_ai_body_t *body, int status);
static void ngx_http_ai_body_fail(ngx_http_request_t *r, const char *cause,
    ngx_str_t *message);


ngx_int_t
ngx_http_ai_body_read(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_cleanup_t  *cln;
    ngx_http_ai_body_t  *body;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_ai_body_cleanup;
    cln->data = ctx;

    /* Of another location with ai_pass, before an error led here. */

    ngx_http_ai_body_free(ctx);
    ctx->body_len = 0;

    if (ngx_http_ai_cache_want(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* Not from the pool, whose small pieces stay while an answer streams. */

    body = ngx_alloc(sizeof(ngx_http_ai_body_t), r->connection->log);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body->ctx = ctx;
    body->tail = NULL;
    body->before = (r->request_body != NULL);
    body->given = body->before ? r->request_body->bufs : NULL;
    body->at = 0;
    body->around = 0;
    body->sha = NULL;
    ctx->reader = body;

    ngx_http_ai_members_init(&body->json);

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_ai_body_begin);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {

        if (rc == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
            return ngx_http_ai_error_send(r, "too_large", NULL, 0, -1);
        }

        return rc;
    }

    return NGX_DONE;
}


void
ngx_http_ai_body_free(ngx_http_ai_ctx_t *ctx)
{
    ngx_chain_t         *cl;
    ngx_http_ai_body_t  *body;

    body = ctx->reader;

    ngx_http_ai_cache_drop(ctx);

    if (body != NULL) {
        if (body->sha != NULL) {
            (void) ai_sha256_end(body->sha, NULL);
        }

        ngx_free(body);
        ctx->reader = NULL;
    }

    if (ctx->body_held == 0) {
        return;
    }

    for (cl = ctx->body; cl; cl = cl->next) {
        ngx_free(cl->buf->start);
    }

    ctx->body = NULL;

    ngx_http_ai_edge->held -= ctx->body_held;
    ctx->body_held = 0;
}


static void
ngx_http_ai_body_cleanup(void *data)
{
    ngx_http_ai_body_free(data);
}


static void
ngx_http_ai_body_begin(ngx_http_request_t *r)
{
    char                 text[NGX_HTTP_AI_STATE_BODY];
    ai_buf_t             b;
    ngx_http_ai_ctx_t   *ctx;
    ngx_http_ai_body_t  *body;

    r->read_event_handler = ngx_http_ai_body_event;
    r->write_event_handler = ngx_http_request_empty_handler;

    ctx = ngx_http_ai_find_ctx(r);

    if (ngx_http_ai_is_conversation(ctx)) {
        ai_buf_init(&b, text, sizeof(text));
        ngx_http_ai_conversation_head(r, ctx, &b);

        if (b.full) {
            ngx_http_ai_body_fail(r, "internal", NULL);
            return;
        }

        /* And a bracket at the end. */

        body = ctx->reader;
        body->around = ai_buf_len(&b) + 1;

        if (ngx_http_ai_body_store(r, body, (u_char *) text, ai_buf_len(&b))
            != NGX_OK)
        {
            return;
        }
    }

    ngx_http_ai_body_next(r);
}


static void
ngx_http_ai_body_event(ngx_http_request_t *r)
{
    if (r->connection->read->timedout) {
        r->connection->read->timedout = 0;
        ngx_http_ai_body_fail(r, "timeout_request", NULL);
        return;
    }

    ngx_http_ai_body_next(r);
}


static void
ngx_http_ai_body_next(ngx_http_request_t *r)
{
    size_t               taken;
    ngx_int_t            rc;
    ngx_event_t         *rev;
    ngx_http_ai_ctx_t   *ctx;
    ngx_http_ai_body_t  *body;

    ctx = ngx_http_ai_find_ctx(r);
    body = ctx->reader;
    rev = r->connection->read;
    taken = 0;

    if (body->before) {
        ngx_http_ai_body_copy(r, body);
        return;
    }

    for ( ;; ) {

        if (ngx_http_ai_body_take(r, body, &taken) != NGX_OK) {
            return;
        }

        if (!r->reading_body) {
            ngx_http_ai_body_done(r, body);
            return;
        }

        if (taken >= NGX_HTTP_AI_BODY_TURN) {
            ngx_post_event(rev, &ngx_posted_next_events);
            return;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
            ngx_http_ai_body_fail(r, "too_large", NULL);
            return;
        }

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_finalize_request(r, rc);
            return;
        }

        if (rc == NGX_ERROR) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return;
        }
    }
}


/* Leaves it as it is.  What lies in a file is read as nginx itself does it. */

static void
ngx_http_ai_body_copy(ngx_http_request_t *r, ngx_http_ai_body_t *body)
{
    off_t       left;
    size_t      taken;
    u_char     *data, text[NGX_HTTP_AI_BODY_COPY];
    ssize_t     n;
    ngx_buf_t  *b;

    taken = 0;

    while (body->given != NULL) {
        b = body->given->buf;
        left = ngx_buf_size(b) - body->at;

        if (left <= 0) {
            body->given = body->given->next;
            body->at = 0;
            continue;
        }

        if (taken >= NGX_HTTP_AI_BODY_TURN) {
            ngx_post_event(r->connection->read, &ngx_posted_next_events);
            return;
        }

        n = ngx_min(left, NGX_HTTP_AI_BODY_COPY);

        if (ngx_buf_in_memory(b)) {
            data = b->pos + body->at;

        } else {
            data = text;
            n = ngx_read_file(b->file, text, n, b->file_pos + body->at);

            if (n <= 0) {
                ngx_http_ai_body_fail(r, "internal", NULL);
                return;
            }
        }

        if (ngx_http_ai_body_feed(r, body, data, n) != NGX_OK) {
            return;
        }

        body->at += n;
        taken += n;
    }

    ngx_http_ai_body_done(r, body);
}


/* Takes what nginx has read; anything but NGX_OK: the request was answered. */

static ngx_int_t
ngx_http_ai_body_take(ngx_http_request_t *r, ngx_http_ai_body_t *body,
    size_t *taken)
{
    size_t        len;
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *next;

    for (cl = r->request_body->bufs; cl; cl = next) {
        b = cl->buf;
        next = cl->next;
        len = b->last - b->pos;

        if (len) {
            if (ngx_http_ai_body_feed(r, body, b->pos, len) != NGX_OK) {
                return NGX_DONE;
            }

            *taken += len;
            b->pos = b->last;
        }

        ngx_free_chain(r->pool, cl);
    }

    r->request_body->bufs = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_body_feed(ngx_http_request_t *r, ngx_http_ai_body_t *body,
    u_char *data, size_t len)
{
    int  status;

    status = ai_json_feed(&body->json, (char *) data, len);

    if (status < 0) {
        ngx_http_ai_body_bad(r, body, status);
        return NGX_DONE;
    }

    ngx_http_ai_cache_feed(body->ctx, data, len);

    if (ngx_http_ai_body_store(r, body, data, len) != NGX_OK) {
        return NGX_DONE;
    }

    return ngx_http_ai_body_sum(r, body, data, len);
}


static ngx_int_t
ngx_http_ai_body_store(ngx_http_request_t *r, ngx_http_ai_body_t *body,
    u_char *data, size_t len)
{
    off_t                    known;
    size_t                   n, size;
    ngx_buf_t               *b;
    ngx_chain_t             *cl;
    ngx_http_ai_ctx_t       *ctx;
    ngx_http_ai_loc_conf_t  *alcf;

    ctx = body->ctx;

    while (len) {
        cl = body->tail;

        if (cl == NULL || cl->buf->last == cl->buf->end) {

            known = r->headers_in.chunked
                    || r->headers_in.content_length_n < 0 ? -1
                    : r->headers_in.content_length_n + (off_t) body->around
                      - (off_t) ctx->body_len;

            /* As much again as has come: who drips holds little. */

            size = ngx_max(len, ctx->body_len);
            size = ngx_max(size, NGX_HTTP_AI_BODY_FIRST);
            size = ngx_min(size, NGX_HTTP_AI_BODY_BLOCK);

            if (known > 0) {
                size = (size_t) ngx_min(known, (off_t) size);
            }

            alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

            if (ngx_http_ai_edge->held + size > alcf->body_memory) {
                ngx_http_ai_body_fail(r, "memory", NULL);
                return NGX_DONE;
            }

            cl = ngx_alloc_chain_link(r->pool);
            b = ngx_calloc_buf(r->pool);

            if (cl != NULL && b != NULL) {
                b->start = ngx_alloc(size, r->connection->log);
            }

            if (cl == NULL || b == NULL || b->start == NULL) {
                ngx_http_ai_body_fail(r, "memory", NULL);
                return NGX_DONE;
            }

            b->pos = b->start;
            b->last = b->start;
            b->end = b->start + size;
            b->temporary = 1;

            ngx_http_ai_edge->held += size;
            ctx->body_held += size;

            cl->buf = b;
            cl->next = NULL;

            if (body->tail == NULL) {
                ctx->body = cl;

            } else {
                body->tail->next = cl;
            }

            body->tail = cl;
        }

        b = cl->buf;
        n = ngx_min((size_t) (b->end - b->last), len);

        b->last = ngx_cpymem(b->last, data, n);

        data += n;
        len -= n;
        ctx->body_len += n;
    }

    return NGX_OK;
}


/* What was stored goes into the hash that its job's signature covers. */

static ngx_int_t
ngx_http_ai_body_sum(ngx_http_request_t *r, ngx_http_ai_body_t *body,
    u_char *data, size_t len)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (ngx_http_ai_edge->amcf->redis->sign == NULL
        || body->ctx->body_len <= NGX_HTTP_AI_BODY_SHORT)
    {
        return NGX_OK;
    }

    if (body->sha != NULL) {
        rc = ai_sha256_add(body->sha, (ai_str_t) { len, (char *) data });

    } else {
        body->sha = ai_sha256_begin();
        rc = (body->sha != NULL) ? 0 : -1;

        for (cl = body->ctx->body; cl && rc == 0; cl = cl->next) {
            b = cl->buf;
            rc = ai_sha256_add(body->sha,
                               (ai_str_t) { b->last - b->pos,
                                            (char *) b->pos });
        }
    }

    if (rc != 0) {
        ngx_http_ai_body_fail(r, "memory", NULL);
        return NGX_DONE;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_body_summed(ngx_http_ai_body_t *body)
{
    int                 rc;
    ngx_http_ai_ctx_t  *ctx;

    ctx = body->ctx;

    if (ngx_http_ai_edge->amcf->redis->sign == NULL) {
        return NGX_OK;
    }

    if (body->sha != NULL) {
        rc = ai_sha256_end(body->sha, (char *) ctx->body_sha);
        body->sha = NULL;

    } else {
        rc = ai_sha256_hex((char *) ctx->body_sha,
                           (ai_str_t) { ctx->body_len,
                                        (char *) ctx->body->buf->pos });
    }

    return rc == 0 ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_ai_body_done(ngx_http_request_t *r, ngx_http_ai_body_t *body)
{
    int                 status;
    ngx_int_t           rc;
    ngx_str_t           wrong;
    ngx_http_ai_ctx_t  *ctx;

    ctx = body->ctx;

    r->read_event_handler = ngx_http_block_reading;

    status = ai_json_end(&body->json);

    if (status != AI_JSON_OK) {
        ngx_http_ai_body_bad(r, body, status);
        return;
    }

    if (ngx_http_ai_is_conversation(ctx)) {

        if (ngx_http_ai_body_store(r, body, (u_char *) "}", 1) != NGX_OK
            || ngx_http_ai_body_sum(r, body, (u_char *) "}", 1) != NGX_OK)
        {
            return;
        }

        ngx_http_ai_cache_drop(ctx);
        ctx->share = NULL;
        rc = NGX_OK;

    } else {
        rc = ngx_http_ai_members(r, ctx, &body->json, &wrong);
    }

    if (rc == NGX_DECLINED) {
        ngx_http_ai_body_fail(r, "bad_request", &wrong);
        return;
    }

    if (rc != NGX_OK || ngx_http_ai_body_summed(body) != NGX_OK) {
        ngx_http_ai_body_fail(r, "memory", NULL);
        return;
    }

    if (ctx->share != NULL) {
        ngx_http_ai_members_share(r, ctx, &body->json);
    }

    /* An answer streams without nginx's buffer and without the scanner. */

    if (!body->before && r->request_body->buf != NULL) {
        ngx_pfree(r->pool, r->request_body->buf->start);
    }

    ngx_free(body);
    ctx->reader = NULL;

    ngx_http_ai_admit(r, ctx);
}


static void
ngx_http_ai_body_bad(ngx_http_request_t *r, ngx_http_ai_body_t *body,
    int status)
{
    u_char     *p;
    ngx_str_t   message;

    u_char      text[256];

    if (body->json.offset == 0) {
        p = ngx_cpymem(text, "The body is empty: a JSON object is expected.",
                       sizeof("The body is empty: a JSON object is expected.")
                       - 1);

    } else {
        p = ngx_snprintf(text, sizeof(text),
                         "The body is not valid JSON at byte %uL: %s.",
                         body->json.error_at, ai_json_strerror(status));
    }

    message.data = text;
    message.len = p - text;

    ngx_http_ai_body_fail(r, "bad_json", &message);
}


static void
ngx_http_ai_body_fail(ngx_http_request_t *r, const char *cause,
    ngx_str_t *message)
{
    if (r->connection->read->timer_set) {
        ngx_del_timer(r->connection->read);
    }

    r->read_event_handler = ngx_http_block_reading;

    ngx_http_finalize_request(r,
                         ngx_http_ai_error_send(r, cause, message, 0, -1));
}
