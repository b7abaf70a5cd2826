/*
 * ai_cors: which origins, preflights, and the headers of other answers.  What
 * is allowed is the configuration's; what is added lives in the request's pool.
 */

#include "ngx_http_ai_cors.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_steps.h"
#include "ngx_http_ai_stream.h"
#include "ai_headers.h"


/* Origins in a directive, bytes of one, and of a request's header that is
 * looked at. */
#define NGX_HTTP_AI_CORS_ORIGINS  64
#define NGX_HTTP_AI_CORS_ORIGIN   256
#define NGX_HTTP_AI_CORS_ASKED    4096


struct ngx_http_ai_cors_s {
    ngx_array_t                 origins;      /* ngx_str_t, lower case; empty:
                                                 "*" */
    ngx_str_t                   max_age;      /* s */
    unsigned                    credentials:1;
};


static ngx_int_t ngx_http_ai_cors_origin(ngx_conf_t *cf,
    ngx_http_ai_cors_t *cors, ngx_str_t *value);
static const char *ngx_http_ai_cors_wrong(ngx_str_t *value);
static ngx_str_t *ngx_http_ai_cors_known(ngx_http_ai_cors_t *cors,
    ngx_str_t *origin);
static ngx_uint_t ngx_http_ai_cors_below(ngx_str_t *pattern, size_t star,
    u_char *origin, size_t len);
static ngx_int_t ngx_http_ai_cors_filter(ngx_http_request_t *r);
static ngx_http_ai_cors_t *ngx_http_ai_cors_of(ngx_http_request_t *r);
static ngx_int_t ngx_http_ai_cors_add(ngx_http_request_t *r,
    ngx_http_ai_cors_t *cors);
static ngx_int_t ngx_http_ai_cors_asked(ngx_http_request_t *r,
    ngx_http_ai_loc_conf_t *alcf, ngx_str_t *names);
static ngx_uint_t ngx_http_ai_cors_name(ngx_http_ai_loc_conf_t *alcf,
    u_char *name, size_t len);
static ngx_int_t ngx_http_ai_cors_expose(ngx_http_request_t *r,
    ngx_str_t *names);
static ngx_int_t ngx_http_ai_cors_header(ngx_http_request_t *r, char *name,
    ngx_str_t *value);


static ngx_http_output_header_filter_pt  ngx_http_ai_cors_next;


/* What pages may send: the SDKs' headers and ours.  A name that ends with "-"
 * is a beginning. */

static ngx_str_t  ngx_http_ai_cors_in[] = {
    ngx_string("accept"), ngx_string("anthropic-"), ngx_string("api-key"),
    ngx_string("authorization"), ngx_string("cache-control"),
    ngx_string("content-type"), ngx_string("idempotency-key"),
    ngx_string("if-none-match"), ngx_string("last-event-id"),
    ngx_string("openai-"), ngx_string("prefer"),
    ngx_string("traceparent"), ngx_string("user-agent"),
    ngx_string("x-ai-"), ngx_string("x-api-key"),
    ngx_string("x-client-request-id"), ngx_string("x-goog-api-key"),
    ngx_string("x-stainless-"), ngx_string("x-tenant-id"), ngx_null_string
};


/* What pages may read of an answer. */

static ngx_str_t  ngx_http_ai_cors_out = ngx_string(
    "age, etag, location, preference-applied, retry-after, retry-after-ms, "
    "x-should-retry, request-id, x-request-id, x-ai-cache, x-ai-dropped, "
    "x-ai-estimated, "
    "x-ai-job, x-ai-provider, x-ai-attempts, x-ai-overhead-ms, "
    "openai-model, openai-processing-ms, openai-version, "
    "ratelimit, ratelimit-policy, "
    "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
    "x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "
    "x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, "
    "anthropic-ratelimit-requests-limit, "
    "anthropic-ratelimit-requests-remaining, "
    "anthropic-ratelimit-requests-reset, anthropic-ratelimit-tokens-limit, "
    "anthropic-ratelimit-tokens-remaining, anthropic-ratelimit-tokens-reset, "
    "anthropic-ratelimit-input-tokens-limit, "
    "anthropic-ratelimit-input-tokens-remaining, "
    "anthropic-ratelimit-input-tokens-reset, "
    "anthropic-ratelimit-output-tokens-limit, "
    "anthropic-ratelimit-output-tokens-remaining, "
    "anthropic-ratelimit-output-tokens-reset");


char *
ngx_http_ai_conf_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t  *alcf = conf;

    time_t               seconds;
    ngx_str_t           *value, s;
    ngx_uint_t           i, any;
    ngx_http_ai_cors_t  *cors;

    if (alcf->cors != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {

        if (cf->args->nelts > 2) {
            return "has parameters behind \"off\"";
        }

        alcf->cors = NULL;
        return NGX_CONF_OK;
    }

    cors = ngx_pcalloc(cf->pool, sizeof(ngx_http_ai_cors_t));

    if (cors == NULL
        || ngx_array_init(&cors->origins, cf->pool, 4, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&cors->max_age, "600");
    any = 0;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "credentials") == 0) {
            cors->credentials = 1;
            continue;
        }

        if (ngx_strncmp(value[i].data, "max_age=", 8) == 0) {
            s.data = value[i].data + 8;
            s.len = value[i].len - 8;
            seconds = ngx_parse_time(&s, 1);

            if (seconds == (time_t) NGX_ERROR || seconds > 86400) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid value \"%V\", it must be a time "
                                   "of a day at most", &value[i]);
                return NGX_CONF_ERROR;
            }

            cors->max_age.data = ngx_pnalloc(cf->pool, NGX_TIME_T_LEN);
            if (cors->max_age.data == NULL) {
                return NGX_CONF_ERROR;
            }

            cors->max_age.len = ngx_sprintf(cors->max_age.data, "%T", seconds)
                                - cors->max_age.data;
            continue;
        }

        if (ngx_strcmp(value[i].data, "*") == 0) {
            any = 1;
            continue;
        }

        if (ngx_http_ai_cors_origin(cf, cors, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (any == (cors->origins.nelts != 0)) {
        return any ? "has both \"*\" and origins" : "names no origin";
    }

    if (any && cors->credentials) {
        return "allows credentials to everybody: they need origins by name";
    }

    alcf->cors = cors;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_ai_cors_origin(ngx_conf_t *cf, ngx_http_ai_cors_t *cors,
    ngx_str_t *value)
{
    ngx_str_t   *origin;
    const char  *wrong;

    wrong = ngx_http_ai_cors_wrong(value);

    if (wrong == NULL && cors->origins.nelts == NGX_HTTP_AI_CORS_ORIGINS) {
        wrong = "it is one more than 64";
    }

    if (wrong != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid origin \"%V\": %s",
                           value, wrong);
        return NGX_ERROR;
    }

    origin = ngx_array_push(&cors->origins);
    if (origin == NULL) {
        return NGX_ERROR;
    }

    *origin = *value;
    ngx_strlow(origin->data, origin->data, origin->len);

    return NGX_OK;
}


/* scheme://host[:port], as browsers say it; the host may begin with "*." */

static const char *
ngx_http_ai_cors_wrong(ngx_str_t *value)
{
    u_char  *p, *last;

    last = value->data + value->len;
    p = ngx_strnstr(value->data, "://", value->len);

    if (p == NULL || p == value->data || p + 3 == last
        || value->len > NGX_HTTP_AI_CORS_ORIGIN)
    {
        return "it must read \"scheme://host\" or \"scheme://host:port\"";
    }

    p += 3;

    if (last - p > 2 && p[0] == '*' && p[1] == '.') {
        p += 2;
    }

    for ( /* void */ ; p < last; p++) {
        if (*p <= ' ' || *p > '~' || ngx_strchr("/*@?#,\"\\", *p) != NULL) {
            return "behind the host, or its port, nothing may stand";
        }
    }

    /* such an origin would never come */

    if ((value->len > 8 + 4
         && ngx_strncasecmp(value->data, (u_char *) "https://", 8) == 0
         && ngx_strncmp(last - 4, ":443", 4) == 0)
        || (value->len > 7 + 3
            && ngx_strncasecmp(value->data, (u_char *) "http://", 7) == 0
            && ngx_strncmp(last - 3, ":80", 3) == 0))
    {
        return "browsers leave out the port that is the scheme's own";
    }

    return NULL;
}


ngx_int_t
ngx_http_ai_cors_init(ngx_conf_t *cf)
{
    ngx_http_ai_cors_next = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_ai_cors_filter;

    return NGX_OK;
}


/* Before who asks is asked: a preflight has no credentials. */

ngx_int_t
ngx_http_ai_cors_preflight(ngx_http_request_t *r,
    ngx_http_ai_loc_conf_t *alcf)
{
    ngx_int_t         rc;
    ngx_str_t         names, message;
    ngx_table_elt_t  *origin;

    static ngx_str_t  origin_name = ngx_string("origin");
    static ngx_str_t  method_name = ngx_string("access-control-request-method");
    static ngx_str_t  methods = ngx_string("GET, HEAD, POST, DELETE, OPTIONS");

    if (alcf->cors == NULL || r->method != NGX_HTTP_OPTIONS
        || (origin = ngx_http_ai_header(r, &origin_name)) == NULL
        || ngx_http_ai_header(r, &method_name) == NULL)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_ai_cors_known(alcf->cors, &origin->value) == NULL) {
        ngx_str_set(&message, "Pages of this origin may not ask here.");
        rc = ngx_http_ai_error_send(r, "forbidden", &message, 0, -1);
        goto done;
    }

    rc = ngx_http_ai_cors_asked(r, alcf, &names);

    if (rc != NGX_OK
        || ngx_http_ai_cors_header(r, "Access-Control-Allow-Methods", &methods)
           != NGX_OK
        || (names.len
            && ngx_http_ai_cors_header(r, "Access-Control-Allow-Headers",
                                       &names) != NGX_OK)
        || ngx_http_ai_cors_header(r, "Access-Control-Max-Age",
                                   &alcf->cors->max_age) != NGX_OK
        || ngx_http_discard_request_body(r) != NGX_OK)
    {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        goto done;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    rc = ngx_http_send_header(r);

done:

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


/* What stands in Access-Control-Allow-Origin; NULL: the origin may not. */

static ngx_str_t *
ngx_http_ai_cors_known(ngx_http_ai_cors_t *cors, ngx_str_t *origin)
{
    u_char      *p, text[NGX_HTTP_AI_CORS_ORIGIN];
    ngx_str_t   *known;
    ngx_uint_t   i;

    static ngx_str_t  any = ngx_string("*");

    if (cors->origins.nelts == 0) {
        return &any;
    }

    if (origin->len > NGX_HTTP_AI_CORS_ORIGIN) {
        return NULL;
    }

    ngx_strlow(text, origin->data, origin->len);

    known = cors->origins.elts;

    for (i = 0; i < cors->origins.nelts; i++) {

        p = ngx_strnstr(known[i].data, "://*.", known[i].len);

        if (p != NULL
            ? ngx_http_ai_cors_below(&known[i], p + 3 - known[i].data, text,
                                     origin->len)
            : (known[i].len == origin->len
               && ngx_memcmp(known[i].data, text, origin->len) == 0))
        {
            return origin;
        }
    }

    return NULL;
}


/* Only names stand for the star of a pattern, which is at `star`. */

static ngx_uint_t
ngx_http_ai_cors_below(ngx_str_t *pattern, size_t star, u_char *origin,
    size_t len)
{
    u_char  *p, *end;
    size_t   tail;

    tail = pattern->len - star - 1;

    if (len <= star + tail
        || ngx_memcmp(pattern->data, origin, star) != 0
        || ngx_memcmp(pattern->data + star + 1, origin + len - tail, tail)
           != 0)
    {
        return 0;
    }

    end = origin + len - tail;

    for (p = origin + star; p < end; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9')
              || *p == '-' || *p == '.'))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_ai_cors_filter(ngx_http_request_t *r)
{
    ngx_http_ai_cors_t  *cors;

    if (r == r->main) {
        cors = ngx_http_ai_cors_of(r);

        if (cors != NULL && ngx_http_ai_cors_add(r, cors) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_ai_cors_next(r);
}


/* An error is worded elsewhere than where it happened. */

static ngx_http_ai_cors_t *
ngx_http_ai_cors_of(ngx_http_request_t *r)
{
    ngx_http_ai_ctx_t       *ctx;
    ngx_http_ai_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);

    if (alcf->pass) {
        return alcf->cors;
    }

    if (alcf->handler != ngx_http_ai_error_handler) {
        return NULL;
    }

    ctx = ngx_http_ai_find_ctx(r);

    return ctx != NULL && ctx->endpoint ? ctx->cors : alcf->cors;
}


static ngx_int_t
ngx_http_ai_cors_add(ngx_http_request_t *r, ngx_http_ai_cors_t *cors)
{
    ngx_str_t        *allowed, exposed;
    ngx_table_elt_t  *origin;

    static ngx_str_t  name = ngx_string("origin");
    static ngx_str_t  preflight = ngx_string("Origin, "
                                             "Access-Control-Request-Headers");
    static ngx_str_t  vary = ngx_string("Origin");
    static ngx_str_t  yes = ngx_string("true");

    if ((cors->origins.nelts || r->method == NGX_HTTP_OPTIONS)
        && ngx_http_ai_cors_header(r, "Vary",
                                   r->method == NGX_HTTP_OPTIONS ? &preflight
                                                                 : &vary)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    origin = ngx_http_ai_header(r, &name);

    if (origin == NULL) {
        return NGX_OK;
    }

    allowed = ngx_http_ai_cors_known(cors, &origin->value);

    if (allowed == NULL) {
        return NGX_OK;
    }

    if (ngx_http_ai_cors_header(r, "Access-Control-Allow-Origin", allowed)
        != NGX_OK
        || (cors->credentials
            && ngx_http_ai_cors_header(r, "Access-Control-Allow-Credentials",
                                       &yes) != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        return NGX_OK;
    }

    if (ngx_http_ai_cors_expose(r, &exposed) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_ai_cors_header(r, "Access-Control-Expose-Headers",
                                   &exposed);
}


/* Of the headers a page wants to send, those that it may. */

static ngx_int_t
ngx_http_ai_cors_asked(ngx_http_request_t *r, ngx_http_ai_loc_conf_t *alcf,
    ngx_str_t *names)
{
    u_char           *p, *end, *name, *out;
    ngx_table_elt_t  *h;

    static ngx_str_t  asked = ngx_string("access-control-request-headers");

    ngx_str_null(names);

    h = ngx_http_ai_header(r, &asked);

    if (h == NULL || h->value.len > NGX_HTTP_AI_CORS_ASKED) {
        return NGX_OK;
    }

    /* a comma may become a comma and a blank */

    names->data = ngx_pnalloc(r->pool, h->value.len * 2 + 2);
    if (names->data == NULL) {
        return NGX_ERROR;
    }

    out = names->data;
    p = h->value.data;
    end = p + h->value.len;

    while (p < end) {

        while (p < end && (*p == ',' || *p == ' ' || *p == '\t')) {
            p++;
        }

        name = p;

        while (p < end && *p != ',' && *p != ' ' && *p != '\t') {
            *p = ngx_tolower(*p);
            p++;
        }

        if (p == name || !ngx_http_ai_cors_name(alcf, name, p - name)) {
            continue;
        }

        if (out != names->data) {
            *out++ = ',';
            *out++ = ' ';
        }

        out = ngx_cpymem(out, name, p - name);
    }

    names->len = out - names->data;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_ai_cors_name(ngx_http_ai_loc_conf_t *alcf, u_char *name, size_t len)
{
    u_char                   *p;
    ngx_str_t                *s;
    ngx_uint_t                i;
    ngx_http_ai_tenant_by_t  *by;

    for (p = name; p < name + len; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9')
              || *p == '-' || *p == '_'))
        {
            return 0;
        }
    }

    for (s = ngx_http_ai_cors_in; s->len; s++) {

        if (s->data[s->len - 1] == '-'
            ? len > s->len && ngx_memcmp(s->data, name, s->len) == 0
            : len == s->len && ngx_memcmp(s->data, name, len) == 0)
        {
            return 1;
        }
    }

    if (alcf->tenant != NULL) {
        by = alcf->tenant->elts;

        for (i = 0; i < alcf->tenant->nelts; i++) {
            if (by[i].type == NGX_HTTP_AI_TENANT_HEADER
                && len == by[i].name.len
                && ngx_memcmp(by[i].name.data, name, len) == 0)
            {
                return 1;
            }
        }
    }

    if (alcf->forward_in == NULL) {
        return 0;
    }

    s = alcf->forward_in->elts;

    for (i = 0; i < alcf->forward_in->nelts; i++) {
        if (len == s[i].len && ngx_memcmp(s[i].data, name, len) == 0) {
            return 1;
        }
    }

    return 0;
}


/* The table's, and those of ai_forward_header. */

static ngx_int_t
ngx_http_ai_cors_expose(ngx_http_request_t *r, ngx_str_t *names)
{
    u_char                  *p;
    size_t                   len;
    ngx_str_t               *s;
    ngx_uint_t               i;
    ngx_http_ai_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);
    *names = ngx_http_ai_cors_out;

    if (alcf->forward_out == NULL) {
        return NGX_OK;
    }

    s = alcf->forward_out->elts;
    len = names->len;

    for (i = 0; i < alcf->forward_out->nelts; i++) {
        len += s[i].len + 2;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(p, names->data, names->len);

    for (i = 0; i < alcf->forward_out->nelts; i++) {
        p = ngx_cpymem(p, ", ", 2);
        p = ngx_cpymem(p, s[i].data, s[i].len);
    }

    names->data = p - len;
    names->len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_cors_header(ngx_http_request_t *r, char *name, ngx_str_t *value)
{
    ngx_str_t  key;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    return ngx_http_ai_add_header(r, &key, value);
}
