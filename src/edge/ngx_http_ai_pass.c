/*
 * The content handler of ai_pass: which endpoint a request means, what its
 * headers ask for, and who goes on with it.
 */

#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_models.h"
#include "ngx_http_ai_steps.h"
#include "ngx_http_ai_stream.h"


typedef struct {
    ngx_str_t                   prefix;
    ngx_str_t                   suffix;       /* behind an id, which is then
                                                 between the two */
    ngx_uint_t                  id;
    ngx_uint_t                  methods;
    ngx_uint_t                  op;
} ngx_http_ai_endpoint_t;


static void ngx_http_ai_pass_wishes(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);
static ngx_uint_t ngx_http_ai_pass_prefers(ngx_str_t *value, char *what);
static ngx_uint_t ngx_http_ai_pass_json(ngx_http_request_t *r);
static ngx_int_t ngx_http_ai_pass_refuse(ngx_http_request_t *r,
    const char *cause);
static ngx_int_t ngx_http_ai_pass_method(ngx_http_request_t *r,
    ngx_uint_t methods);


#define NGX_HTTP_AI_GET   (NGX_HTTP_GET|NGX_HTTP_HEAD)
#define NGX_HTTP_AI_POST  NGX_HTTP_POST

/* Bytes of a header with all methods. */
#define NGX_HTTP_AI_ALLOW  64


static ngx_http_ai_endpoint_t  ngx_http_ai_endpoints[] = {

    { ngx_string("/v1/chat/completions"), ngx_null_string, 0,
      NGX_HTTP_AI_POST, NGX_HTTP_AI_OP_CHAT },

    { ngx_string("/v1/messages"), ngx_null_string, 0,
      NGX_HTTP_AI_POST, NGX_HTTP_AI_OP_MESSAGES },

    { ngx_string("/v1/responses"), ngx_null_string, 0,
      NGX_HTTP_AI_POST, NGX_HTTP_AI_OP_RESPONSES },

    { ngx_string("/v1/responses/"), ngx_string("/cancel"), 1,
      NGX_HTTP_AI_POST, NGX_HTTP_AI_OP_RESPONSE_CANCEL },

    { ngx_string("/v1/responses/"), ngx_string("/input_items"), 1,
      NGX_HTTP_AI_GET, NGX_HTTP_AI_OP_RESPONSE_ITEMS },

    { ngx_string("/v1/responses/"), ngx_null_string, 1,
      NGX_HTTP_AI_GET|NGX_HTTP_DELETE, NGX_HTTP_AI_OP_RESPONSE },

    { ngx_string("/v1/conversations"), ngx_null_string, 0,
      NGX_HTTP_AI_POST, NGX_HTTP_AI_OP_CONVERSATIONS },

    { ngx_string("/v1/conversations/"), ngx_string("/items"), 1,
      NGX_HTTP_AI_GET|NGX_HTTP_AI_POST, NGX_HTTP_AI_OP_CONVERSATION_ITEMS },

    { ngx_string("/v1/conversations/"), ngx_null_string, 1,
      NGX_HTTP_AI_GET|NGX_HTTP_AI_POST|NGX_HTTP_DELETE,
      NGX_HTTP_AI_OP_CONVERSATION },

    { ngx_string("/v1/messages/count_tokens"), ngx_null_string, 0,
      NGX_HTTP_AI_POST, NGX_HTTP_AI_OP_COUNT },

    { ngx_string("/v1/embeddings"), ngx_null_string, 0,
      NGX_HTTP_AI_POST, NGX_HTTP_AI_OP_EMBEDDINGS },

    { ngx_string("/v1/completions"), ngx_null_string, 0,
      NGX_HTTP_AI_POST, NGX_HTTP_AI_OP_COMPLETIONS },

    { ngx_string("/v1/models"), ngx_null_string, 0,
      NGX_HTTP_AI_GET, NGX_HTTP_AI_OP_MODELS },

    { ngx_string("/v1/models/"), ngx_null_string, 1,
      NGX_HTTP_AI_GET, NGX_HTTP_AI_OP_MODELS },

    { ngx_string("/v1/jobs/"), ngx_string("/events"), 1,
      NGX_HTTP_AI_GET, NGX_HTTP_AI_OP_EVENTS },

    { ngx_string("/v1/jobs/"), ngx_string("/cancel"), 1,
      NGX_HTTP_AI_POST, NGX_HTTP_AI_OP_CANCEL },

    { ngx_string("/v1/jobs/"), ngx_null_string, 1,
      NGX_HTTP_AI_GET, NGX_HTTP_AI_OP_JOB },

    { ngx_null_string, ngx_null_string, 0, 0, NGX_HTTP_AI_OP_NONE }
};


void
ngx_http_ai_endpoint(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    u_char                  *p;
    ngx_str_t                path, id;
    ngx_http_ai_endpoint_t  *e;

    if (ctx->endpoint) {
        return;
    }

    path = r->uri;
    ngx_str_null(&id);

    p = ngx_strnstr(path.data, "/v1/", path.len);

    if (p != NULL) {
        path.len -= p - path.data;
        path.data = p;
    }

    for (e = ngx_http_ai_endpoints; e->prefix.len; e++) {

        if (path.len < e->prefix.len
            || ngx_strncmp(path.data, e->prefix.data, e->prefix.len) != 0)
        {
            continue;
        }

        if (!e->id) {

            if (path.len == e->prefix.len) {
                break;
            }

            continue;
        }

        if (path.len <= e->prefix.len + e->suffix.len
            || (e->suffix.len
                && ngx_strncmp(path.data + path.len - e->suffix.len,
                               e->suffix.data, e->suffix.len) != 0))
        {
            continue;
        }

        id.data = path.data + e->prefix.len;
        id.len = path.len - e->prefix.len - e->suffix.len;
        break;
    }

    ctx->op = e->op;
    ctx->methods = e->methods;
    ctx->id = id;

    switch (e->op) {

    case NGX_HTTP_AI_OP_CHAT:
    case NGX_HTTP_AI_OP_EMBEDDINGS:
    case NGX_HTTP_AI_OP_COMPLETIONS:
        ctx->dialect = AI_DIALECT_OPENAI;
        break;

    case NGX_HTTP_AI_OP_MESSAGES:
    case NGX_HTTP_AI_OP_COUNT:
        ctx->dialect = AI_DIALECT_ANTHROPIC;
        break;

    case NGX_HTTP_AI_OP_RESPONSES:
    case NGX_HTTP_AI_OP_RESPONSE:
    case NGX_HTTP_AI_OP_RESPONSE_ITEMS:
    case NGX_HTTP_AI_OP_RESPONSE_CANCEL:
    case NGX_HTTP_AI_OP_CONVERSATIONS:
    case NGX_HTTP_AI_OP_CONVERSATION_ITEMS:
        ctx->dialect = AI_DIALECT_RESPONSES;
        break;

    case NGX_HTTP_AI_OP_CONVERSATION:
        ctx->dialect = AI_DIALECT_RESPONSES;
        ngx_http_ai_conversation_item(ctx);
        break;

    default:
        ctx->dialect = ngx_http_ai_error_dialect(r);
    }

    ctx->endpoint = 1;
}


ngx_int_t
ngx_http_ai_pass_handler(ngx_http_request_t *r)
{
    ngx_int_t           rc;
    ngx_http_ai_ctx_t  *ctx;

    if (r != r->main) {
        return ngx_http_ai_error_subrequest(r, "ai_pass");
    }

    ctx = ngx_http_ai_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_ai_endpoint(r, ctx);

    /* Where access was given without a principal there is none to work for. */

    if (ctx->principal == NULL || ngx_http_ai_permit(r, ctx) != NGX_OK) {
        return ngx_http_ai_refuse(r, ctx);
    }

    if (ctx->op == NGX_HTTP_AI_OP_NONE) {
        return ngx_http_ai_pass_refuse(r, "not_found");
    }

    if (!(r->method & ctx->methods)) {
        return ngx_http_ai_pass_method(r, ctx->methods);
    }

    if (ngx_http_ai_edge == NULL) {
        return ngx_http_ai_pass_refuse(r, "unavailable");
    }

    if (ngx_http_ai_is_conversation(ctx) && r->method == NGX_HTTP_POST) {
        return ngx_http_ai_pass_json(r)
               ? ngx_http_ai_conversation_handler(r, ctx)
               : ngx_http_ai_pass_refuse(r, "media_type");
    }

    switch (ctx->op) {

    case NGX_HTTP_AI_OP_CHAT:
    case NGX_HTTP_AI_OP_MESSAGES:
    case NGX_HTTP_AI_OP_RESPONSES:
    case NGX_HTTP_AI_OP_COUNT:
    case NGX_HTTP_AI_OP_EMBEDDINGS:
    case NGX_HTTP_AI_OP_COMPLETIONS:

        if (!ngx_http_ai_pass_json(r)) {
            return ngx_http_ai_pass_refuse(r, "media_type");
        }

        ngx_http_ai_pass_wishes(r, ctx);

        return ngx_http_ai_body_read(r, ctx);

    case NGX_HTTP_AI_OP_MODELS:

        rc = ngx_http_discard_request_body(r);

        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_http_ai_models_handler(r, ctx, &ctx->id);

    default:

        rc = ngx_http_discard_request_body(r);

        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_http_ai_is_conversation(ctx)) {
            return ngx_http_ai_conversation_handler(r, ctx);
        }

        return ngx_http_ai_is_state(ctx) ? ngx_http_ai_state_handler(r, ctx)
                                         : ngx_http_ai_job_handler(r, ctx);
    }
}


static void
ngx_http_ai_pass_wishes(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_table_elt_t        *h;
    ngx_http_ai_headers_t   headers;

    static ngx_str_t  prefer = ngx_string("prefer");
    static ngx_str_t  resumable = ngx_string("x-ai-resumable");

    ngx_http_ai_headers(&headers, &r->headers_in.headers);

    while ((h = ngx_http_ai_headers_named(&headers, &prefer)) != NULL) {

        if (ngx_http_ai_pass_prefers(&h->value, "respond-async")) {
            ctx->background = 1;
        }

        if (ngx_http_ai_pass_prefers(&h->value, "priority=batch")) {
            ctx->batch = 1;
        }
    }

    h = ngx_http_ai_header(r, &resumable);

    if (h != NULL && h->value.len == 1 && h->value.data[0] == '1') {
        ctx->resumable = 1;
    }
}


/* One of the words of a Prefer header, between commas and semicolons. */

static ngx_uint_t
ngx_http_ai_pass_prefers(ngx_str_t *value, char *what)
{
    u_char  *p, *last, *word, *end;
    size_t   len;

    len = ngx_strlen(what);
    last = value->data + value->len;

    for (p = value->data; p < last; p++) {

        for (word = p; p < last && *p != ',' && *p != ';'; p++) { /* void */ }

        for (end = p; end > word && end[-1] == ' '; end--) { /* void */ }

        while (word < end && *word == ' ') {
            word++;
        }

        if ((size_t) (end - word) == len
            && ngx_strncasecmp(word, (u_char *) what, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_ai_pass_json(ngx_http_request_t *r)
{
    size_t      len;
    u_char      last;
    ngx_str_t  *type;

    if (r->headers_in.content_type == NULL
        || r->headers_in.content_type->value.len == 0)
    {
        return 1;
    }

    type = &r->headers_in.content_type->value;
    len = sizeof("application/json") - 1;

    if (type->len < len
        || ngx_strncasecmp(type->data, (u_char *) "application/json", len)
           != 0)
    {
        return 0;
    }

    if (type->len == len) {
        return 1;
    }

    last = type->data[len];

    return last == ';' || last == ' ';
}


static ngx_int_t
ngx_http_ai_pass_refuse(ngx_http_request_t *r, const char *cause)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_ai_error_send(r, cause, NULL, 0, -1);
}


static ngx_int_t
ngx_http_ai_pass_method(ngx_http_request_t *r, ngx_uint_t methods)
{
    ngx_str_t   key, value;
    ngx_uint_t  i;

    static const struct {
        ngx_uint_t  method;
        ngx_str_t   name;
    } names[] = {
        { NGX_HTTP_GET, ngx_string("GET") },
        { NGX_HTTP_HEAD, ngx_string("HEAD") },
        { NGX_HTTP_POST, ngx_string("POST") },
        { NGX_HTTP_DELETE, ngx_string("DELETE") }
    };

    ngx_str_set(&key, "Allow");

    value.len = 0;
    value.data = ngx_pnalloc(r->pool, NGX_HTTP_AI_ALLOW);
    if (value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        if (methods & names[i].method) {
            value.len = ngx_snprintf(value.data + value.len,
                                     NGX_HTTP_AI_ALLOW - value.len, "%s%V",
                                     value.len ? ", " : "", &names[i].name)
                        - value.data;
        }
    }

    if (ngx_http_ai_add_header(r, &key, &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_ai_pass_refuse(r, "method_not_allowed");
}
