/*
 * The $ai_* variables: what the steps left in the request context, for logs,
 * maps and headers.  Never cached, since they grow while the request runs.
 */

#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_limit.h"
#include "ngx_http_ai_steps.h"


#define NGX_HTTP_AI_TIME_LEN  (NGX_INT64_LEN + sizeof(".000000") - 1)


typedef enum {
    NGX_HTTP_AI_VAR_TENANT = 0,
    NGX_HTTP_AI_VAR_KEY,
    NGX_HTTP_AI_VAR_USER,
    NGX_HTTP_AI_VAR_JOB,
    NGX_HTTP_AI_VAR_MODEL,
    NGX_HTTP_AI_VAR_STREAM,
    NGX_HTTP_AI_VAR_PROVIDER,
    NGX_HTTP_AI_VAR_PROVIDER_MODEL,
    NGX_HTTP_AI_VAR_ERROR,
    NGX_HTTP_AI_VAR_STATE,
    NGX_HTTP_AI_VAR_REQUEST_ID,
    NGX_HTTP_AI_VAR_FINISH,
    NGX_HTTP_AI_VAR_TRACEPARENT,
    NGX_HTTP_AI_VAR_LIMIT,
    NGX_HTTP_AI_VAR_CACHE
} ngx_http_ai_var_e;


static ngx_int_t ngx_http_ai_variable_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ai_variable_claim(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ai_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ai_variable_cost(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ai_variable_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ai_variable_overhead(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ai_variable_usage(ngx_http_request_t *r,
    ai_usage_t *u);
static ngx_int_t ngx_http_ai_variable_usec(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, int64_t usec);


static ngx_http_variable_t  ngx_http_ai_variables[] = {

    { ngx_string("ai_tenant"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_TENANT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_key"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_KEY, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_user"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_USER, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_job"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_JOB, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_model"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_MODEL, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_stream"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_STREAM, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_provider"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_PROVIDER, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_provider_model"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_PROVIDER_MODEL, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_error"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_ERROR, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_state"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_STATE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_request_id"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_REQUEST_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_cache_status"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_CACHE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_finish"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_FINISH, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_traceparent"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_TRACEPARENT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_limit"), NULL, ngx_http_ai_variable_text,
      NGX_HTTP_AI_VAR_LIMIT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_jwt_claim_"), NULL, ngx_http_ai_variable_claim, 0,
      NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

    { ngx_string("ai_input_tokens"), NULL, ngx_http_ai_variable_number,
      offsetof(ai_usage_t, input), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_output_tokens"), NULL, ngx_http_ai_variable_number,
      offsetof(ai_usage_t, output), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_cached_tokens"), NULL, ngx_http_ai_variable_number,
      offsetof(ai_usage_t, cached_read), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_reasoning_tokens"), NULL, ngx_http_ai_variable_number,
      offsetof(ai_usage_t, reasoning), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_attempts"), NULL, ngx_http_ai_variable_number,
      offsetof(ai_usage_t, attempts), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_cost"), NULL, ngx_http_ai_variable_cost, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_ttft"), NULL, ngx_http_ai_variable_time,
      offsetof(ngx_http_ai_ctx_t, first), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_duration"), NULL, ngx_http_ai_variable_time,
      offsetof(ngx_http_ai_ctx_t, ended), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_queue_time"), NULL, ngx_http_ai_variable_overhead,
      1, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ai_overhead"), NULL, ngx_http_ai_variable_overhead,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_ai_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_ai_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_variable_text(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t           s;
    ai_usage_t          u;
    ngx_http_ai_ctx_t  *ctx;

    v->not_found = 1;

    ctx = ngx_http_ai_find_ctx(r);
    if (ctx == NULL) {
        return NGX_OK;
    }

    ngx_str_null(&s);

    switch ((ngx_http_ai_var_e) data) {

    case NGX_HTTP_AI_VAR_TENANT:
        if (ctx->principal != NULL) {
            s = ctx->principal->tenant;
        }
        break;

    case NGX_HTTP_AI_VAR_KEY:
        if (ctx->principal != NULL) {
            s = ctx->principal->id;
        }
        break;

    case NGX_HTTP_AI_VAR_USER:
        if (ctx->principal != NULL) {
            s = ctx->principal->user;
        }
        break;

    case NGX_HTTP_AI_VAR_JOB:
        s = ctx->job;
        break;

    case NGX_HTTP_AI_VAR_MODEL:
        s = ctx->model;
        break;

    case NGX_HTTP_AI_VAR_STREAM:
        if (ctx->model.len) {
            ngx_str_set(&s, "1");
            s.data = (u_char *) (ctx->stream ? "1" : "0");
        }
        break;

    case NGX_HTTP_AI_VAR_PROVIDER:
        s = ctx->provider;

        /* What failed before it had a head. */

        if (s.len == 0 && ngx_http_ai_variable_usage(r, &u) == NGX_OK) {
            s.data = (u_char *) u.provider.data;
            s.len = u.provider.len;
        }
        break;

    case NGX_HTTP_AI_VAR_PROVIDER_MODEL:
        s = ctx->provider_model;
        break;

    case NGX_HTTP_AI_VAR_ERROR:
        s = ctx->cause;
        break;

    case NGX_HTTP_AI_VAR_TRACEPARENT:
        s = ctx->traceparent;
        break;

    case NGX_HTTP_AI_VAR_CACHE:
        if (ctx->share != NULL) {
            s = ctx->share->status;
        }
        break;

    case NGX_HTTP_AI_VAR_LIMIT:
        if (ctx->limits != NULL && ctx->limits->named != NULL
            && ngx_http_ai_limit_text(r->pool, ctx->limits->named, &s)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
        break;

    case NGX_HTTP_AI_VAR_STATE:
    case NGX_HTTP_AI_VAR_REQUEST_ID:
    case NGX_HTTP_AI_VAR_FINISH:

        if (ngx_http_ai_variable_usage(r, &u) != NGX_OK) {
            break;
        }

        if (data == NGX_HTTP_AI_VAR_REQUEST_ID) {
            u.state = u.request_id;

        } else if (data == NGX_HTTP_AI_VAR_FINISH) {
            u.state = u.finish;
        }

        s.data = (u_char *) u.state.data;
        s.len = u.state.len;
        break;
    }

    if (s.len == 0) {
        return NGX_OK;
    }

    v->data = s.data;
    v->len = s.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* By what stands behind the prefix. */

static ngx_int_t
ngx_http_ai_variable_claim(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t   rc;
    ngx_str_t  *variable, name, value;

    variable = (ngx_str_t *) data;

    name.data = variable->data + sizeof("ai_jwt_claim_") - 1;
    name.len = variable->len - (sizeof("ai_jwt_claim_") - 1);

    v->not_found = 1;

    rc = ngx_http_ai_jwt_claim(r, &name, &value);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        v->data = value.data;
        v->len = value.len;
        v->valid = 1;
        v->not_found = 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char      *p;
    int64_t      n;
    ai_usage_t   u;

    v->not_found = 1;

    if (ngx_http_ai_variable_usage(r, &u) != NGX_OK) {
        return NGX_OK;
    }

    n = *(int64_t *) ((char *) &u + data);
    if (n < 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_sprintf(p, "%L", n) - p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_variable_cost(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char      *p;
    ai_usage_t   u;

    v->not_found = 1;

    if (ngx_http_ai_variable_usage(r, &u) != NGX_OK || u.cost < 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, 2 * NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ai_money_print((char *) p, 2 * NGX_INT64_LEN, u.cost);
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* From the beginning of the request to a point of the context, in seconds. */

static ngx_int_t
ngx_http_ai_variable_time(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    uint64_t            point;
    ngx_http_ai_ctx_t  *ctx;

    v->not_found = 1;

    ctx = ngx_http_ai_find_ctx(r);
    if (ctx == NULL || ctx->began == 0) {
        return NGX_OK;
    }

    point = *(uint64_t *) ((char *) ctx + data);
    if (point < ctx->began) {
        return NGX_OK;
    }

    return ngx_http_ai_variable_usec(r, v, point - ctx->began);
}


/*
 * data 1: from admit to the worker's start; 0: all the time to the first byte
 * that was not the provider's.
 */

static ngx_int_t
ngx_http_ai_variable_overhead(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    int64_t             usec;
    ai_usage_t          u;
    ngx_http_ai_ctx_t  *ctx;

    v->not_found = 1;

    if (ngx_http_ai_variable_usage(r, &u) != NGX_OK) {
        return NGX_OK;
    }

    if (data) {
        return u.queue_usec < 0 ? NGX_OK
                                : ngx_http_ai_variable_usec(r, v, u.queue_usec);
    }

    ctx = ngx_http_ai_find_ctx(r);

    if (ctx->first < ctx->began || u.ttft_usec < 0) {
        return NGX_OK;
    }

    /* An answer that is no stream comes when the call has ended. */

    usec = ctx->first - ctx->began
           - (ctx->stream || u.duration_usec < 0 ? u.ttft_usec
                                                 : u.duration_usec);

    return ngx_http_ai_variable_usec(r, v, ngx_max(usec, 0));
}


static ngx_int_t
ngx_http_ai_variable_usage(ngx_http_request_t *r, ai_usage_t *u)
{
    ngx_http_ai_ctx_t  *ctx;

    ctx = ngx_http_ai_find_ctx(r);

    if (ctx == NULL || ctx->usage_line.len == 0
        || ai_usage_parse(ngx_http_ai_str(&ctx->usage_line), u) != 0)
    {
        return NGX_DECLINED;
    }

    /* The call was another's, who pays for it. */

    if (ngx_http_ai_cache_is_joined(ctx)) {
        u->input = 0;
        u->output = 0;
        u->cached_read = 0;
        u->cached_write = 0;
        u->reasoning = 0;
        u->cost = 0;
        u->attempts = 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_variable_usec(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    int64_t usec)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, NGX_HTTP_AI_TIME_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_sprintf(p, "%L.%06L", usec / 1000000, usec % 1000000) - p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
