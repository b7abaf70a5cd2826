/*
 * Errors to the client in its dialect; see the header.  Everything made here
 * lives in the request's pool.
 */

#include "ngx_http_ai_error.h"
#include "ngx_http_ai_limit.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_routed.h"


/* Room for the longest message, escaped, and what stands around it. */
#define NGX_HTTP_AI_ERROR_MAX          8192
#define NGX_HTTP_AI_ERROR_MESSAGE_MAX  1024


static ngx_int_t ngx_http_ai_error_header(ngx_http_request_t *r, char *name,
    u_char *value, size_t len);
static ngx_int_t ngx_http_ai_error_answer(ngx_http_request_t *r,
    const ai_error_t *e, ai_str_t message, ngx_uint_t status,
    time_t retry_after);
static const ai_error_t *ngx_http_ai_error_note(ngx_http_request_t *r,
    const char *cause);
static ai_str_t ngx_http_ai_error_message(ngx_str_t *message);


ngx_int_t
ngx_http_ai_error_send(ngx_http_request_t *r, const char *cause,
    ngx_str_t *message, ngx_uint_t status, time_t retry_after)
{
    const ai_error_t  *e;

    e = ngx_http_ai_error_note(r, cause);

    return ngx_http_ai_error_answer(r, e, ngx_http_ai_error_message(message),
                                    status ? status : (ngx_uint_t) e->status,
                                    retry_after);
}


ngx_buf_t *
ngx_http_ai_error_event(ngx_http_request_t *r, const char *cause,
    ngx_str_t *message, int64_t number)
{
    ai_buf_t            out;
    ngx_buf_t          *b;
    const ai_error_t   *e;
    ngx_http_ai_ctx_t  *ctx;

    e = ngx_http_ai_error_note(r, cause);
    ctx = ngx_http_ai_find_ctx(r);

    b = ngx_create_temp_buf(r->pool, NGX_HTTP_AI_ERROR_MAX);
    if (b == NULL) {
        return NULL;
    }

    ai_buf_init(&out, (char *) b->pos, NGX_HTTP_AI_ERROR_MAX);
    ai_error_event(&out, ngx_http_ai_error_dialect(r), e,
                   ngx_http_ai_error_message(message),
                   ctx ? ngx_http_ai_str(&ctx->job) : ai_str(""), number);

    b->last = (u_char *) out.pos;

    return b;
}


ai_dialect_e
ngx_http_ai_error_dialect(ngx_http_request_t *r)
{
    ngx_http_ai_ctx_t  *ctx;

    static ngx_str_t  messages = ngx_string("/v1/messages");
    static ngx_str_t  version = ngx_string("anthropic-version");

    ctx = ngx_http_ai_find_ctx(r);

    if (ctx != NULL && ctx->endpoint) {
        return ctx->dialect;
    }

    if (r->unparsed_uri.len
        && ngx_strlcasestrn(r->unparsed_uri.data,
                            r->unparsed_uri.data + r->unparsed_uri.len,
                            messages.data, messages.len - 1) != NULL)
    {
        return AI_DIALECT_ANTHROPIC;
    }

    return ngx_http_ai_header(r, &version) != NULL ? AI_DIALECT_ANTHROPIC
                                                   : AI_DIALECT_OPENAI;
}


ngx_int_t
ngx_http_ai_error_subrequest(ngx_http_request_t *r, char *directive)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "\"%s\" of location \"%V\" answers clients only: it cannot "
                  "be the target of auth_request, mirror, SSI or another "
                  "subrequest", directive, &clcf->name);

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


ngx_int_t
ngx_http_ai_error_handler(ngx_http_request_t *r)
{
    ngx_uint_t          status;
    const ai_error_t   *e;
    ngx_http_ai_ctx_t  *ctx;

    status = r->err_status ? r->err_status : NGX_HTTP_NOT_FOUND;
    ctx = ngx_http_ai_find_ctx(r);

    if (ctx != NULL && ctx->refusal != NULL
        && (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN))
    {
        e = ngx_http_ai_error_note(r, ctx->refusal);

    } else {
        e = ngx_http_ai_error_note(r, ai_error_status(status)->cause);
    }

    return ngx_http_ai_error_answer(r, e, ai_str(""), status, -1);
}


ngx_int_t
ngx_http_ai_send_json(ngx_http_request_t *r, ngx_uint_t status, u_char *body,
    size_t len)
{
    static u_char  no_store[] = "no-store";

    if (ngx_http_ai_error_header(r, "Cache-Control", no_store,
                                 sizeof(no_store) - 1)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK || r->reading_body) {
        r->keepalive = 0;
    }

    r->headers_out.status = status;

    return ngx_http_ai_send(r, "application/json", body, len);
}


ngx_int_t
ngx_http_ai_send(ngx_http_request_t *r, char *type, u_char *body, size_t len)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body;
    b->last = body + len;
    b->memory = len ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_ai_error_answer(ngx_http_request_t *r, const ai_error_t *e,
    ai_str_t message, ngx_uint_t status, time_t retry_after)
{
    u_char             *p;
    size_t              len;
    ai_buf_t            out;
    ai_dialect_e        dialect;
    ngx_http_ai_ctx_t  *ctx;

    ctx = ngx_http_ai_find_ctx(r);

    /* As nginx's own 413: the rest of the body must not become a request. */

    if (status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        r->keepalive = 0;
    }

    if (retry_after < 0) {
        retry_after = e->retry_after;
    }

    if (retry_after > 0) {
        p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        len = ngx_sprintf(p, "%T", retry_after) - p;

        if (ngx_http_ai_error_header(r, "Retry-After", p, len) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (e->no_retry
        && ngx_http_ai_error_header(r, "x-should-retry", (u_char *) "false",
                                    sizeof("false") - 1) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    dialect = ngx_http_ai_error_dialect(r);

    /* Under the name, too, by which the dialect's SDKs show it. */

    if (ctx != NULL && ctx->job.len
        && (ngx_http_ai_error_header(r, "X-AI-Job", ctx->job.data,
                                     ctx->job.len)
            != NGX_OK
            || ngx_http_ai_error_header(r,
                                        dialect == AI_DIALECT_ANTHROPIC
                                        ? "request-id" : "x-request-id",
                                        ctx->job.data, ctx->job.len)
               != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx != NULL && (ngx_http_ai_routed_headers(r, ctx) != NGX_OK
                        || ngx_http_ai_limit_headers(r, ctx) != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_pnalloc(r->pool, NGX_HTTP_AI_ERROR_MAX);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ai_buf_init(&out, (char *) p, NGX_HTTP_AI_ERROR_MAX);
    ai_error_body(&out, dialect, e, message,
                  ctx ? ngx_http_ai_str(&ctx->job) : ai_str(""));

    return ngx_http_ai_send_json(r, status, p, ai_buf_len(&out));
}


static ngx_int_t
ngx_http_ai_error_header(ngx_http_request_t *r, char *name, u_char *value,
    size_t len)
{
    ngx_str_t  key, val;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);
    val.data = value;
    val.len = len;

    return ngx_http_ai_add_header(r, &key, &val);
}


/* The row of a cause, counted and left for the log. */

static const ai_error_t *
ngx_http_ai_error_note(ngx_http_request_t *r, const char *cause)
{
    ngx_uint_t          i;
    const ai_error_t   *e;
    ngx_http_ai_ctx_t  *ctx;

    for (i = 0; /* void */ ; i++) {
        e = ai_error_row(i);

        if (e == NULL) {
            e = ai_error_status(NGX_HTTP_INTERNAL_SERVER_ERROR);
            break;
        }

        if (ngx_strcmp(e->cause, cause) == 0) {
            if (ngx_http_ai_metrics != NULL && i < NGX_HTTP_AI_ERRORS) {
                ngx_http_ai_count(errors[i]);
            }

            break;
        }
    }

    ctx = ngx_http_ai_find_ctx(r);

    if (ctx != NULL) {
        ctx->cause.data = (u_char *) e->cause;
        ctx->cause.len = ngx_strlen(e->cause);
    }

    return e;
}


static ai_str_t
ngx_http_ai_error_message(ngx_str_t *message)
{
    ai_str_t  s;

    if (message == NULL) {
        return ai_str("");
    }

    s = ngx_http_ai_str(message);
    s.len = ngx_min(s.len, NGX_HTTP_AI_ERROR_MESSAGE_MAX);

    return s;
}
