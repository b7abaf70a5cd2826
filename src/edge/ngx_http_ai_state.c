/*
 * State of Responses: a stored one is read, its input listed, it is cancelled
 * or deleted.  A stream is read again from its job's log; all else is a job
 * without a model, whose body says what a worker is to do.
 * What is made here lies in the request's pool.
 */

#include "ngx_http_ai_admit.h"
#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_job.h"
#include "ngx_http_ai_state.h"
#include "ngx_http_ai_steps.h"
#include "ngx_http_ai_stream.h"
#include "ai_crypto.h"


#define NGX_HTTP_AI_STATE_ID    128
#define NGX_HTTP_AI_STATE_MAX   0x7fffffff  /* behind the last of a stream */


static ngx_int_t ngx_http_ai_state_stream(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);
static ngx_int_t ngx_http_ai_state_ask(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_int_t after);
static ngx_int_t ngx_http_ai_state_say(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_int_t after);


ngx_str_t  ngx_http_ai_state_no_after = ngx_string(
    "\"after\" must be an item's id.");


ngx_uint_t
ngx_http_ai_is_state(ngx_http_ai_ctx_t *ctx)
{
    return ctx->op == NGX_HTTP_AI_OP_RESPONSE
           || ctx->op == NGX_HTTP_AI_OP_RESPONSE_ITEMS
           || ctx->op == NGX_HTTP_AI_OP_RESPONSE_CANCEL
           || ngx_http_ai_is_conversation(ctx);
}


ngx_int_t
ngx_http_ai_state_handler(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_str_t  value;

    if (ngx_http_ai_state_id(&ctx->id) != NGX_OK) {
        return ngx_http_ai_error_send(r, "not_found", NULL, 0, -1);
    }

    if (ctx->op == NGX_HTTP_AI_OP_RESPONSE
        && (r->method & NGX_HTTP_GET)
        && ngx_http_arg(r, (u_char *) "stream", sizeof("stream") - 1, &value)
           == NGX_OK
        && value.len == 4 && ngx_strncmp(value.data, "true", 4) == 0)
    {
        return ngx_http_ai_state_stream(r, ctx);
    }

    if (ngx_http_ai_state_after(r) != NGX_OK) {
        return ngx_http_ai_error_send(r, "bad_request",
                                      &ngx_http_ai_state_no_after, 0, -1);
    }

    return ngx_http_ai_state_ask(r, ctx, -2);
}


static ngx_int_t
ngx_http_ai_state_ask(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_int_t after)
{
    if (ngx_http_ai_state_say(r, ctx, after) != NGX_OK) {
        return ngx_http_ai_error_send(r, "internal", NULL, 0, -1);
    }

    r->main->count++;
    ngx_http_ai_admit(r, ctx);

    return NGX_DONE;
}


/* The log has it, or nobody: it is never made anew. */

static ngx_int_t
ngx_http_ai_state_stream(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    u_char     *p;
    ngx_int_t   after;
    ngx_str_t   value;

    after = -1;

    if (ngx_http_arg(r, (u_char *) "starting_after",
                     sizeof("starting_after") - 1, &value)
        == NGX_OK)
    {
        after = ngx_atoi(value.data, value.len);

        if (after == NGX_ERROR) {
            ngx_str_set(&value, "\"starting_after\" must be a number.");
            return ngx_http_ai_error_send(r, "bad_request", &value, 0, -1);
        }

        after = ngx_min(after, NGX_HTTP_AI_STATE_MAX);
    }

    /* One that passed has its provider's id: a worker tells its job's. */

    if (ctx->id.len != AI_JOB_ID_LEN + 1
        || ngx_strncmp(ctx->id.data, "resp_", 5) != 0)
    {
        return ngx_http_ai_state_ask(r, ctx, after);
    }

    p = ngx_pnalloc(r->pool, AI_JOB_ID_LEN);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->job.data = p;
    ctx->job.len = AI_JOB_ID_LEN;
    ngx_memcpy(ngx_cpymem(p, "job_", 4), ctx->id.data + 5, AI_JOB_ID_LEN - 4);

    if (!ai_id_job_ok(ngx_http_ai_str(&ctx->job))) {
        ngx_str_null(&ctx->job);
        return ngx_http_ai_error_send(r, "not_found", NULL, 0, -1);
    }

    return ngx_http_ai_jobs_follow(r, ctx, after);
}


ngx_int_t
ngx_http_ai_state_id(ngx_str_t *id)
{
    u_char  c;
    size_t  i;

    if (id->len == 0 || id->len > NGX_HTTP_AI_STATE_ID) {
        return NGX_DECLINED;
    }

    for (i = 0; i < id->len; i++) {
        c = id->data[i];

        if (!(((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
              || (c >= '0' && c <= '9') || c == '_' || c == '-'))
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* after: of a stream's events, -1 all; -2: none is asked for. */

static ngx_int_t
ngx_http_ai_state_say(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_int_t after)
{
    ai_buf_t    b;
    ngx_buf_t  *buf;

    buf = ngx_create_temp_buf(r->pool, NGX_HTTP_AI_STATE_BODY);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    ai_buf_init(&b, (char *) buf->pos, NGX_HTTP_AI_STATE_BODY);
    ai_buf_add_z(&b, "{\"do\":\"");
    ai_buf_add_z(&b, ctx->op == NGX_HTTP_AI_OP_RESPONSE_ITEMS ? "items"
                     : ctx->op == NGX_HTTP_AI_OP_RESPONSE_CANCEL ? "cancel"
                     : r->method & NGX_HTTP_DELETE ? "delete"
                     : after != -2 ? "follow" : "get");
    ai_buf_add_z(&b, "\",\"id\":\"");
    ai_buf_add_json(&b, ngx_http_ai_str(&ctx->id));
    ai_buf_add_z(&b, "\"");

    if (after >= 0) {
        ai_buf_add_z(&b, ",\"from\":");
        ai_buf_add_int(&b, after);
    }

    if (ctx->op == NGX_HTTP_AI_OP_RESPONSE_ITEMS) {
        ngx_http_ai_state_page(r, &b);
    }

    ai_buf_add_z(&b, "}");

    if (b.full) {
        return NGX_ERROR;
    }

    buf->last = (u_char *) b.pos;
    ngx_str_set(&ctx->model, "-");

    return ngx_http_ai_state_body(r, ctx, buf);
}


/* Who is given the first page again asks for ever. */

ngx_int_t
ngx_http_ai_state_after(ngx_http_request_t *r)
{
    ngx_str_t  value;

    return ngx_http_arg(r, (u_char *) "after", 5, &value) == NGX_OK
           ? ngx_http_ai_state_id(&value) : NGX_OK;
}


void
ngx_http_ai_state_page(ngx_http_request_t *r, ai_buf_t *b)
{
    ngx_int_t  limit;
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) "after", 5, &value) == NGX_OK
        && ngx_http_ai_state_id(&value) == NGX_OK)
    {
        ai_buf_add_z(b, ",\"after\":\"");
        ai_buf_add_json(b, ngx_http_ai_str(&value));
        ai_buf_add_z(b, "\"");
    }

    if (ngx_http_arg(r, (u_char *) "limit", 5, &value) == NGX_OK) {
        limit = ngx_atoi(value.data, value.len);

        if (limit > 0) {
            ai_buf_add_z(b, ",\"limit\":");
            ai_buf_add_int(b, limit);
        }
    }

    if (ngx_http_arg(r, (u_char *) "order", 5, &value) == NGX_OK
        && value.len == 3 && ngx_strncmp(value.data, "asc", 3) == 0)
    {
        ai_buf_add_z(b, ",\"ascending\":true");
    }
}


ngx_int_t
ngx_http_ai_state_body(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_buf_t *buf)
{
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = buf;
    cl->next = NULL;
    ctx->body = cl;
    ctx->body_len = buf->last - buf->pos;

    if (ngx_http_ai_edge->amcf->redis->sign != NULL
        && ai_sha256_hex((char *) ctx->body_sha,
                         (ai_str_t) { ctx->body_len, (char *) buf->pos })
           != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_ai_state_queued(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    size_t        size;
    ai_buf_t      b;
    ngx_int_t     rc;
    ngx_buf_t    *buf;
    ngx_str_t     key, value;
    ngx_chain_t   out;

    size = ctx->model.len * 6 + NGX_HTTP_AI_STATE_BODY;
    buf = ngx_create_temp_buf(r->pool, size);

    if (buf == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ai_buf_init(&b, (char *) buf->pos, size);
    ai_buf_add_z(&b, "{\"id\":\"resp_");
    ai_buf_add(&b, (char *) ctx->job.data + 4, ctx->job.len - 4);
    ai_buf_add_z(&b, "\",\"object\":\"response\",\"created_at\":");
    ai_buf_add_int(&b, (int64_t) (ai_id_job_msec(ngx_http_ai_str(&ctx->job))
                                  / 1000));
    ai_buf_add_z(&b, ",\"status\":\"queued\",\"background\":true,"
                     "\"error\":null,\"incomplete_details\":null,"
                     "\"instructions\":null,\"max_output_tokens\":null,"
                     "\"metadata\":{},\"model\":\"");
    ai_buf_add_json(&b, ngx_http_ai_str(&ctx->model));
    ai_buf_add_z(&b, "\",\"output\":[],\"parallel_tool_calls\":true,"
                     "\"previous_response_id\":null,\"reasoning\":{"
                     "\"effort\":null,\"summary\":null},\"store\":true,"
                     "\"temperature\":1.0,\"text\":{\"format\":{\"type\":"
                     "\"text\"}},\"tool_choice\":\"auto\",\"tools\":[],"
                     "\"top_p\":1.0,\"truncation\":\"disabled\",");

    if (ctx->conversation.len) {
        ai_buf_add_z(&b, "\"conversation\":{\"id\":\"");
        ai_buf_add_json(&b, ngx_http_ai_str(&ctx->conversation));
        ai_buf_add_z(&b, "\"},");
    }

    ai_buf_add_z(&b, "\"usage\":null}");

    buf->last = (u_char *) b.pos;
    buf->last_buf = 1;
    out.buf = buf;
    out.next = NULL;

    ngx_str_set(&key, "X-AI-Job");
    value = ctx->job;

    if (b.full || ngx_http_ai_add_header(r, &key, &value) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = buf->last - buf->pos;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_OK && !r->header_only) {
        rc = ngx_http_output_filter(r, &out);
    }

    ngx_http_finalize_request(r, rc);
}
