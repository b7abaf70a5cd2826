/*
 * The job's spec and ledger base, from the request and its context.
 * Both are made in buffers of the process, one job at a time: the transport
 * copies them.
 */

#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_stream.h"
#include "ngx_http_ai_steps.h"
#include "ai_headers.h"


/* ms a job may run, over all its provider calls. */
#define NGX_HTTP_AI_SPEC_TIMEOUT  3600000


static void ngx_http_ai_spec_who(ngx_http_ai_ctx_t *ctx, ai_job_t *job,
    ai_buf_t *text);
static void ngx_http_ai_spec_headers(ngx_http_ai_open_t *open,
    ai_job_t *job, ai_buf_t *text);
static void ngx_http_ai_spec_forward(ngx_array_t *names, ai_job_t *job,
    ai_buf_t *text);


static char  ngx_http_ai_spec_out[AI_JOB_SPEC_MAX + 16384];
static char  ngx_http_ai_spec_text[AI_JOB_SPEC_MAX];


ngx_int_t
ngx_http_ai_spec(ngx_http_ai_open_t *open, ngx_str_t *spec,
    ngx_str_t *base)
{
    ai_buf_t             b, text;
    ai_job_t             job;
    ai_sign_t           *sign;
    ngx_http_ai_ctx_t   *ctx;
    ngx_http_request_t  *r;

    r = open->request;
    ctx = open->ctx;
    sign = ngx_http_ai_edge->amcf->redis->sign;

    ai_buf_init(&text, ngx_http_ai_spec_text,
                sizeof(ngx_http_ai_spec_text));
    ngx_memzero(&job, sizeof(ai_job_t));

    ngx_http_ai_spec_who(ctx, &job, &text);

    job.query.data = text.pos;
    ai_headers_query(&text, ctx->dialect, ngx_http_ai_str(&r->args));
    job.query.len = text.pos - job.query.data;

    job.id = ngx_http_ai_str(&ctx->job);
    job.tenant = ngx_http_ai_str(&open->tenant);
    job.role = ngx_http_ai_str(&ctx->principal->role);
    job.scopes = ngx_http_ai_str(&ctx->principal->scopes);
    job.catalog.data = (const char *) ngx_http_ai_edge->amcf->catalog_sha;
    job.catalog.len = AI_SHA256_HEX;
    job.traceparent = ngx_http_ai_str(&ctx->traceparent);

    if (sign != NULL) {
        job.digest.data = (const char *) ctx->body_sha;
        job.digest.len = AI_SHA256_HEX;
    }

    job.timeout_msec = NGX_HTTP_AI_SPEC_TIMEOUT;
    job.stream = ctx->stream;
    job.usage_asked = ctx->usage_asked;
    job.resumable = ctx->resumable;
    job.background = ctx->background;
    job.strict = open->conf->translate == NGX_HTTP_AI_TRANSLATE_STRICT;
    job.edge = ngx_http_ai_str(&ngx_http_ai_edge->id);

    if (ctx->share != NULL && ctx->share->keyed && ctx->share->store) {
        job.keep.data = text.pos;
        ai_buf_add_int(&text, open->conf->cache);
        ai_buf_add_z(&text, " ");
        ai_buf_add_int(&text, ngx_http_ai_edge->amcf->kept_one);
        job.keep.len = text.pos - job.keep.data;
    }

    ngx_http_ai_spec_headers(open, &job, &text);
    ngx_http_ai_spec_forward(open->conf->forward_out, &job, &text);

    ai_buf_init(&b, ngx_http_ai_spec_out,
                sizeof(ngx_http_ai_spec_out));

    ai_job_write(&b, &job);

    if (sign != NULL) {
        ai_sign_spec(sign, &b, b.start);
    }

    spec->data = (u_char *) b.start;
    spec->len = ai_buf_len(&b);

    base->data = (u_char *) b.pos;
    ai_job_base(&b, &job);
    base->len = (u_char *) b.pos - base->data;

    if (text.full || b.full || spec->len > AI_JOB_SPEC_MAX) {
        ngx_str_set(&open->message,
                    "The request's headers are more than can be passed on.");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* What the ledger says of a job. */

static void
ngx_http_ai_spec_who(ngx_http_ai_ctx_t *ctx, ai_job_t *job, ai_buf_t *text)
{
    ngx_http_ai_principal_t  *p;

    p = ctx->principal;

    if (p->anonymous) {
        job->principal = ai_str("anonymous");

    } else {
        job->principal.data = text->pos;
        ai_buf_add_z(text, p->jwt ? "jwt:" : "key:");
        ai_buf_add_str(text, ngx_http_ai_str(&p->id));
        job->principal.len = text->pos - job->principal.data;
    }

    job->user = ngx_http_ai_str(&p->user);
    job->op = ngx_http_ai_op_name(ctx);
    job->dialect.data = ai_dialect_name(ctx->dialect);
    job->dialect.len = ngx_strlen(job->dialect.data);
    job->model = ngx_http_ai_str(&ctx->model);
}


ngx_int_t
ngx_http_ai_spec_base(ngx_http_ai_ctx_t *ctx, ngx_str_t *base)
{
    ai_buf_t  b, text;
    ai_job_t  job;

    ai_buf_init(&text, ngx_http_ai_spec_text, sizeof(ngx_http_ai_spec_text));
    ai_buf_init(&b, ngx_http_ai_spec_out, sizeof(ngx_http_ai_spec_out));
    ngx_memzero(&job, sizeof(ai_job_t));

    ngx_http_ai_spec_who(ctx, &job, &text);
    ai_job_base(&b, &job);

    base->data = (u_char *) b.start;
    base->len = ai_buf_len(&b);

    return text.full || b.full ? NGX_DECLINED : NGX_OK;
}


/* What the dialect's table and ai_forward_header let pass. */

static void
ngx_http_ai_spec_headers(ngx_http_ai_open_t *open, ai_job_t *job,
    ai_buf_t *text)
{
    ai_str_t                name, value, *line;
    ngx_table_elt_t        *h;
    ngx_http_ai_headers_t   headers;

    ngx_http_ai_headers(&headers, &open->request->headers_in.headers);

    while ((h = ngx_http_ai_headers_next(&headers)) != NULL) {

        if (!ngx_http_ai_spec_header(open->conf, open->ctx->dialect, h)) {
            continue;
        }

        name.data = (const char *) h->lowcase_key;
        name.len = h->key.len;
        value = ngx_http_ai_str(&h->value);

        if (job->nheaders == AI_JOB_HEADERS_MAX) {
            text->full = 1;
            return;
        }

        line = &job->headers[job->nheaders++];

        line->data = text->pos;
        ai_buf_add_str(text, name);
        ai_buf_add_z(text, ": ");
        ai_buf_add_str(text, value);
        line->len = text->pos - line->data;
    }
}


ngx_uint_t
ngx_http_ai_spec_header(ngx_http_ai_loc_conf_t *conf, ai_dialect_e dialect,
    ngx_table_elt_t *h)
{
    ai_str_t     name;
    ngx_str_t   *forward;
    ngx_uint_t   k, pass;

    name = (ai_str_t) { h->key.len, (const char *) h->lowcase_key };
    pass = ai_headers_in(dialect, name);

    if (!pass && conf->forward_in != NULL) {
        forward = conf->forward_in->elts;

        for (k = 0; k < conf->forward_in->nelts; k++) {
            if (ai_str_eq(ngx_http_ai_str(&forward[k]), name)) {
                pass = 1;
                break;
            }
        }
    }

    return pass && !ai_headers_never(name)
           && ai_headers_valid(name, ngx_http_ai_str(&h->value));
}


static void
ngx_http_ai_spec_forward(ngx_array_t *names, ai_job_t *job, ai_buf_t *text)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    if (names == NULL) {
        return;
    }

    name = names->elts;
    job->forward.data = text->pos;

    for (i = 0; i < names->nelts; i++) {
        if (i) {
            ai_buf_add_z(text, " ");
        }

        ai_buf_add_str(text, ngx_http_ai_str(&name[i]));
    }

    job->forward.len = text->pos - job->forward.data;
}
