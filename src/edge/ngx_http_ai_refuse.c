/*
 * Who may not: 401 and 403 in the access phase, so that satisfy, allow, deny
 * and auth_request compose with them.
 */

#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_steps.h"
#include "ai_role.h"


#define NGX_HTTP_AI_REFUSE_TEXT  160


static ngx_uint_t ngx_http_ai_refuse_network(ngx_http_request_t *r,
    ngx_http_ai_principal_t *p);


static const ai_str_t  ngx_http_ai_refuse_ops[] = {
    [NGX_HTTP_AI_OP_CHAT] = { sizeof("chat") - 1, "chat" },
    [NGX_HTTP_AI_OP_MESSAGES] = { sizeof("messages") - 1, "messages" },
    [NGX_HTTP_AI_OP_MODELS] = { sizeof("models") - 1, "models" },
    [NGX_HTTP_AI_OP_JOB] = { sizeof("job") - 1, "job" },
    [NGX_HTTP_AI_OP_EVENTS] = { sizeof("events") - 1, "events" },
    [NGX_HTTP_AI_OP_CANCEL] = { sizeof("cancel") - 1, "cancel" },
    [NGX_HTTP_AI_OP_RESPONSES] = { sizeof("responses") - 1, "responses" },
    [NGX_HTTP_AI_OP_RESPONSE] = { sizeof("responses_read") - 1,
                                  "responses_read" },
    [NGX_HTTP_AI_OP_RESPONSE_ITEMS] = { sizeof("responses_read") - 1,
                                        "responses_read" },
    [NGX_HTTP_AI_OP_RESPONSE_CANCEL] = { sizeof("responses_write") - 1,
                                         "responses_write" },
    [NGX_HTTP_AI_OP_EMBEDDINGS] = { sizeof("embeddings") - 1, "embeddings" },
    [NGX_HTTP_AI_OP_COMPLETIONS] = { sizeof("completions") - 1,
                                     "completions" },
    [NGX_HTTP_AI_OP_COUNT] = { sizeof("count_tokens") - 1, "count_tokens" }
};


ai_str_t
ngx_http_ai_op_name(ngx_http_ai_ctx_t *ctx)
{
    if (ngx_http_ai_is_conversation(ctx)) {
        return ctx->request->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)
               ? ai_str("conversations_read") : ai_str("conversations_write");
    }

    return ctx->op == NGX_HTTP_AI_OP_RESPONSE
           && (ctx->request->method & NGX_HTTP_DELETE)
           ? ai_str("responses_write") : ngx_http_ai_refuse_ops[ctx->op];
}


ngx_int_t
ngx_http_ai_refuse_handler(ngx_http_request_t *r)
{
    ngx_http_ai_ctx_t         *ctx;
    ngx_http_ai_loc_conf_t    *alcf;
    ngx_http_core_loc_conf_t  *clcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    if (!alcf->pass) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_ai_find_ctx(r);

    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->principal != NULL && ngx_http_ai_permit(r, ctx) == NGX_OK) {
        return alcf->auth == NGX_HTTP_AI_AUTH_OFF ? NGX_DECLINED : NGX_OK;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /* Another access check may let the request through where any suffices. */

    if (clcf->satisfy != NGX_HTTP_SATISFY_ALL) {

        if (ngx_strcmp(ctx->refusal, "unauthenticated") == 0) {

            if (ngx_http_ai_challenge(r, ctx) != NGX_OK) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            return NGX_HTTP_UNAUTHORIZED;
        }

        if (ngx_strcmp(ctx->refusal, "forbidden") == 0) {
            return NGX_HTTP_FORBIDDEN;
        }
    }

    ngx_http_finalize_request(r, ngx_http_ai_refuse(r, ctx));

    return NGX_DONE;
}


ngx_int_t
ngx_http_ai_permit(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    char                     *text;
    int                       right;
    ai_buf_t                  b;
    ai_allowed_e              allowed;
    ngx_http_ai_principal_t  *p;

    static time_t  said;

    p = ctx->principal;

    if (p->networks.len && !ngx_http_ai_refuse_network(r, p)) {
        ngx_log_error(ngx_http_ai_seldom(&said), r->connection->log, 0,
                      "ai: key \"%V\" of tenant \"%V\" is used outside its "
                      "networks", &p->id, &p->tenant);

        ctx->refusal = "forbidden";
        ngx_str_set(&ctx->refusal_text,
                    "This credential may not be used from this address.");
        return NGX_DECLINED;
    }

    ngx_http_ai_endpoint(r, ctx);

    if (ctx->op == NGX_HTTP_AI_OP_NONE) {
        return NGX_OK;
    }

    right = ai_right_of(ngx_http_ai_op_name(ctx));
    allowed = right < 0 ? AI_ROLE_LACKS
                        : ai_role_allows(ngx_http_ai_str(&p->role),
                                         ngx_http_ai_str(&p->scopes), right);
    if (allowed == AI_ALLOWED) {
        return NGX_OK;
    }

    ctx->refusal = "forbidden";
    ngx_str_null(&ctx->refusal_text);

    text = ngx_pnalloc(r->pool, NGX_HTTP_AI_REFUSE_TEXT);

    if (text != NULL && right >= 0) {
        ai_buf_init(&b, text, NGX_HTTP_AI_REFUSE_TEXT);
        ai_role_why(&b, ngx_http_ai_str(&p->role), allowed, right);

        ctx->refusal_text.data = (u_char *) text;
        ctx->refusal_text.len = ai_buf_len(&b);
    }

    return NGX_DECLINED;
}


/* Whether the client is in one of the networks; without an address it is in
 * none. */

static ngx_uint_t
ngx_http_ai_refuse_network(ngx_http_request_t *r, ngx_http_ai_principal_t *p)
{
    u_char       *last, *end;
    ngx_str_t     word;
    ngx_cidr_t    cidr;
    ngx_array_t   one;

    if (r->connection->sockaddr->sa_family == AF_UNIX) {
        return 0;
    }

    one.elts = &cidr;
    one.nelts = 1;

    word.data = p->networks.data;
    last = word.data + p->networks.len;

    for ( /* void */ ; word.data < last; word.data = end + 1) {
        end = ngx_strlchr(word.data, last, ' ');

        if (end == NULL) {
            end = last;
        }

        word.len = end - word.data;

        if (word.len
            && ngx_ptocidr(&word, &cidr) != NGX_ERROR
            && ngx_cidr_match(r->connection->sockaddr, &one) == NGX_OK)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_ai_refuse(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    const char              *cause;
    ngx_int_t                rc;
    ngx_http_ai_loc_conf_t  *alcf;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    cause = ctx->refusal != NULL ? ctx->refusal : "unauthenticated";

    if (ngx_strcmp(cause, "unavailable") == 0) {
        alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

        return ngx_http_ai_error_send(r, cause, NULL,
                                      alcf->redis_error_status,
                                      alcf->redis_error_retry_after);
    }

    if (ngx_strcmp(cause, "unauthenticated") == 0
        && ngx_http_ai_challenge(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_ai_error_send(r, cause, &ctx->refusal_text, 0, -1);
}


/* RFC 6750, 3. */

ngx_int_t
ngx_http_ai_challenge(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_str_t                key, value;
    ngx_http_ai_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    if (!(alcf->auth & NGX_HTTP_AI_AUTH_JWT)) {
        return NGX_OK;
    }

    if (ctx->challenge != NULL) {

        /* nginx took it back where another access check was enough */

        ctx->challenge->hash = 1;
        return NGX_OK;
    }

    ngx_str_set(&key, "WWW-Authenticate");

    if (ctx->presented) {
        ngx_str_set(&value, "Bearer error=\"invalid_token\"");

    } else {
        ngx_str_set(&value, "Bearer");
    }

    ctx->challenge = ngx_http_ai_push_header(r, &key, &value);
    if (ctx->challenge == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.www_authenticate = ctx->challenge;

    return NGX_OK;
}
