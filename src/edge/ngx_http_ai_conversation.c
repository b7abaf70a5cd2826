/*
 * /v1/conversations: each request is a job without a model, whose body says
 * what a worker is to do and, where the client sent something, has that in it.
 * What is made here lies in the request's pool.
 */

#include "ngx_http_ai_admit.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_state.h"
#include "ngx_http_ai_steps.h"


ngx_uint_t
ngx_http_ai_is_conversation(ngx_http_ai_ctx_t *ctx)
{
    return ctx->op == NGX_HTTP_AI_OP_CONVERSATIONS
           || ctx->op == NGX_HTTP_AI_OP_CONVERSATION
           || ctx->op == NGX_HTTP_AI_OP_CONVERSATION_ITEMS
           || ctx->op == NGX_HTTP_AI_OP_CONVERSATION_ITEM;
}


void
ngx_http_ai_conversation_item(ngx_http_ai_ctx_t *ctx)
{
    u_char     *p;
    ngx_str_t   path;

    path = ctx->id;
    p = ngx_strnstr(path.data, "/items/", path.len);

    if (p == NULL) {
        return;
    }

    ctx->id.len = p - path.data;
    p += sizeof("/items/") - 1;
    ctx->item.data = p;
    ctx->item.len = path.data + path.len - p;
    ctx->op = NGX_HTTP_AI_OP_CONVERSATION_ITEM;
    ctx->methods = NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_DELETE;
}


ngx_int_t
ngx_http_ai_conversation_handler(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx)
{
    ai_buf_t    b;
    ngx_buf_t  *buf;

    /* No id that can be one is no name in Postgres either. */

    if ((ctx->op != NGX_HTTP_AI_OP_CONVERSATIONS
         && ngx_http_ai_state_id(&ctx->id) != NGX_OK)
        || (ctx->op == NGX_HTTP_AI_OP_CONVERSATION_ITEM
            && ngx_http_ai_state_id(&ctx->item) != NGX_OK))
    {
        return ngx_http_ai_error_send(r, "not_found", NULL, 0, -1);
    }

    if (ngx_http_ai_state_after(r) != NGX_OK) {
        return ngx_http_ai_error_send(r, "bad_request",
                                      &ngx_http_ai_state_no_after, 0, -1);
    }

    ngx_str_set(&ctx->model, "-");

    if (r->method & NGX_HTTP_POST) {
        return ngx_http_ai_body_read(r, ctx);
    }

    buf = ngx_create_temp_buf(r->pool, NGX_HTTP_AI_STATE_BODY);
    if (buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ai_buf_init(&b, (char *) buf->pos, NGX_HTTP_AI_STATE_BODY);
    ngx_http_ai_conversation_head(r, ctx, &b);
    ai_buf_add_z(&b, "}");

    if (b.full) {
        return ngx_http_ai_error_send(r, "internal", NULL, 0, -1);
    }

    buf->last = (u_char *) b.pos;

    if (ngx_http_ai_state_body(r, ctx, buf) != NGX_OK) {
        return ngx_http_ai_error_send(r, "internal", NULL, 0, -1);
    }

    r->main->count++;
    ngx_http_ai_admit(r, ctx);

    return NGX_DONE;
}


void
ngx_http_ai_conversation_head(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ai_buf_t *b)
{
    char        *what;
    ngx_uint_t   get, drop;

    get = r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD);
    drop = r->method & NGX_HTTP_DELETE;

    switch (ctx->op) {

    case NGX_HTTP_AI_OP_CONVERSATIONS:
        what = "make";
        break;

    case NGX_HTTP_AI_OP_CONVERSATION:
        what = get ? "get" : drop ? "drop" : "set";
        break;

    case NGX_HTTP_AI_OP_CONVERSATION_ITEMS:
        what = get ? "list" : "add";
        break;

    default:
        what = get ? "item" : "cut";
    }

    ai_buf_add_z(b, "{\"do\":\"");
    ai_buf_add_z(b, what);
    ai_buf_add_z(b, "\",\"id\":\"");
    ai_buf_add_json(b, ngx_http_ai_str(&ctx->id));
    ai_buf_add_z(b, "\"");

    if (ctx->op == NGX_HTTP_AI_OP_CONVERSATION_ITEM) {
        ai_buf_add_z(b, ",\"item\":\"");
        ai_buf_add_json(b, ngx_http_ai_str(&ctx->item));
        ai_buf_add_z(b, "\"");
    }

    if (ctx->op == NGX_HTTP_AI_OP_CONVERSATION_ITEMS && get) {
        ngx_http_ai_state_page(r, b);
    }

    if (r->method & NGX_HTTP_POST) {
        ai_buf_add_z(b, ",\"with\":");
    }
}
