/*
 * What the edge reads of a body; see the header.
 * Text is copied out of the body's blocks before it is looked at: a member may
 * lie across two of them.
 */

#include "ngx_http_ai_members.h"
#include "ngx_http_ai_cache.h"
#include "ngx_http_ai_state.h"
#include "ngx_http_ai_steps.h"


#define NGX_HTTP_AI_MODEL_MAX    256
/* Of model as it is escaped, and of stream_options. */
#define NGX_HTTP_AI_MEMBER_MAX   4096
/* Of temperature, as text. */
#define NGX_HTTP_AI_HEAT_MAX     32

#define NGX_HTTP_AI_FIELD_MODEL    0
#define NGX_HTTP_AI_FIELD_STREAM   1
#define NGX_HTTP_AI_FIELD_OPTIONS  2
#define NGX_HTTP_AI_FIELD_MAX      3      /* two of them */
#define NGX_HTTP_AI_FIELD_CHOICES  5
#define NGX_HTTP_AI_FIELD_HEAT     6
#define NGX_HTTP_AI_FIELD_SEED     7
#define NGX_HTTP_AI_FIELD_OUTPUT   8
#define NGX_HTTP_AI_FIELD_STORE    9
#define NGX_HTTP_AI_FIELD_BACK     10
#define NGX_HTTP_AI_FIELD_TALK     11
#define NGX_HTTP_AI_FIELD_BEST     12

/* No model writes as much: what is asked for beyond it is not reserved. */
#define NGX_HTTP_AI_OUTPUT_MAX   100000000
#define NGX_HTTP_AI_CHOICES_MAX  128


static ngx_int_t ngx_http_ai_members_model(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ai_json_field_t *f, ngx_str_t *wrong);
static void ngx_http_ai_members_output(ngx_http_ai_ctx_t *ctx,
    ai_json_field_t *f);
static ngx_int_t ngx_http_ai_members_state(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ai_json_field_t *f, ngx_str_t *wrong);
static ngx_int_t ngx_http_ai_members_conversation(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ai_json_field_t *f);
static ngx_int_t ngx_http_ai_members_options(ngx_http_ai_ctx_t *ctx,
    ai_json_field_t *f, ngx_str_t *wrong);
static int64_t ngx_http_ai_members_number(ngx_http_ai_ctx_t *ctx,
    ai_json_field_t *f, int64_t max);
static ngx_int_t ngx_http_ai_members_text(ngx_http_ai_ctx_t *ctx,
    ai_json_field_t *f, char *buf, size_t size, ai_str_t *s);


static const char *const  ngx_http_ai_members_fields[] = {
    "model", "stream", "stream_options", "max_completion_tokens",
    "max_tokens", "n", "temperature", "seed", "max_output_tokens",
    "store", "background", "conversation", "best_of", NULL
};


void
ngx_http_ai_members_init(ai_json_t *json)
{
    ai_json_init(json, ngx_http_ai_members_fields, (uint64_t) -1,
                 AI_JSON_DEPTH_MAX);
}


ngx_int_t
ngx_http_ai_members(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ai_json_t *json, ngx_str_t *wrong)
{
    ngx_int_t         rc;
    ai_json_field_t  *f;

    f = json->fields;

    rc = ngx_http_ai_members_model(r, ctx, &f[NGX_HTTP_AI_FIELD_MODEL], wrong);

    if (rc != NGX_OK) {
        return rc;
    }

    /* What has neither a stream nor text of its own. */

    if (ctx->op == NGX_HTTP_AI_OP_EMBEDDINGS
        || ctx->op == NGX_HTTP_AI_OP_COUNT)
    {
        ctx->max_output = 0;
        return NGX_OK;
    }

    switch (f[NGX_HTTP_AI_FIELD_STREAM].type) {

    case AI_JSON_TRUE:
        ctx->stream = 1;
        break;

    case AI_JSON_NONE:
    case AI_JSON_FALSE:
    case AI_JSON_NULL:
        break;

    default:
        ngx_str_set(wrong, "The member \"stream\" must be true or false.");
        return NGX_DECLINED;
    }

    ngx_http_ai_members_output(ctx, f);

    if (ctx->dialect == AI_DIALECT_RESPONSES) {
        return ngx_http_ai_members_state(r, ctx, f, wrong);
    }

    if (ctx->dialect != AI_DIALECT_OPENAI) {
        return NGX_OK;
    }

    return ngx_http_ai_members_options(ctx, &f[NGX_HTTP_AI_FIELD_OPTIONS],
                                       wrong);
}


static ngx_int_t
ngx_http_ai_members_model(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ai_json_field_t *f, ngx_str_t *wrong)
{
    char      text[NGX_HTTP_AI_MEMBER_MAX], model[NGX_HTTP_AI_MODEL_MAX];
    long      i, n;
    ai_str_t  value;

    if (f->type == AI_JSON_NONE) {
        ngx_str_set(wrong, "The member \"model\" is missing.");
        return NGX_DECLINED;
    }

    if (f->type != AI_JSON_STRING) {
        ngx_str_set(wrong, "The member \"model\" must be a string.");
        return NGX_DECLINED;
    }

    if (ngx_http_ai_members_text(ctx, f, text, sizeof(text), &value)
        != NGX_OK)
    {
        ngx_str_set(wrong, "The member \"model\" is too long.");
        return NGX_DECLINED;
    }

    n = ai_json_unescape(value, model, sizeof(model));

    if (n < 1) {
        ngx_str_set(wrong, "The member \"model\" must be a name of at most "
                           "256 bytes.");
        return NGX_DECLINED;
    }

    for (i = 0; i < n; i++) {
        if ((u_char) model[i] < 0x20 || model[i] == 0x7f) {
            ngx_str_set(wrong, "The member \"model\" must not hold control "
                               "characters.");
            return NGX_DECLINED;
        }
    }

    ctx->model.data = ngx_pnalloc(r->pool, n);
    if (ctx->model.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ctx->model.data, model, n);
    ctx->model.len = n;

    return NGX_OK;
}


/* The provider is who judges them: what is no number is not known. */

static void
ngx_http_ai_members_output(ngx_http_ai_ctx_t *ctx, ai_json_field_t *f)
{
    int64_t  n, best;

    if (ctx->dialect == AI_DIALECT_RESPONSES) {
        ctx->max_output = ngx_http_ai_members_number(ctx,
                                                 &f[NGX_HTTP_AI_FIELD_OUTPUT],
                                                 NGX_HTTP_AI_OUTPUT_MAX);
        return;
    }

    ctx->max_output = ngx_http_ai_members_number(ctx,
                                               &f[NGX_HTTP_AI_FIELD_MAX + 1],
                                               NGX_HTTP_AI_OUTPUT_MAX);

    if (ctx->dialect != AI_DIALECT_OPENAI) {
        return;
    }

    /* Of two the larger: which of them counts, providers differ on. */

    n = ngx_http_ai_members_number(ctx, &f[NGX_HTTP_AI_FIELD_MAX],
                                   NGX_HTTP_AI_OUTPUT_MAX);
    ctx->max_output = ngx_max(ctx->max_output, n);

    if (ctx->max_output > 0) {
        n = ngx_http_ai_members_number(ctx, &f[NGX_HTTP_AI_FIELD_CHOICES],
                                       NGX_HTTP_AI_CHOICES_MAX);

        /* Written are as many as one is chosen from. */

        best = ngx_http_ai_members_number(ctx, &f[NGX_HTTP_AI_FIELD_BEST],
                                          NGX_HTTP_AI_CHOICES_MAX);
        n = ngx_max(n, best);
        ctx->max_output *= ngx_max(n, 1);
    }
}


/* What is stored can be read on by who has lost it. */

static ngx_int_t
ngx_http_ai_members_state(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ai_json_field_t *f, ngx_str_t *wrong)
{
    ngx_uint_t  background;

    background = f[NGX_HTTP_AI_FIELD_BACK].type == AI_JSON_TRUE;
    ctx->stored = f[NGX_HTTP_AI_FIELD_STORE].type != AI_JSON_FALSE;

    if (background && !ctx->stored) {
        ngx_str_set(wrong, "A response in the background must be stored.");
        return NGX_DECLINED;
    }

    if (background && ctx->stream) {
        ctx->lasting = 1;

    } else if (background) {
        ctx->background = 1;
        return ngx_http_ai_members_conversation(r, ctx,
                                                &f[NGX_HTTP_AI_FIELD_TALK]);
    }

    return NGX_OK;
}


/* Said again before a worker has looked; it judges what is none. */

static ngx_int_t
ngx_http_ai_members_conversation(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ai_json_field_t *f)
{
    char            text[NGX_HTTP_AI_MEMBER_MAX];
    ai_str_t        value;
    ngx_str_t       id;
    ai_json_type_e  type;

    type = f->type;

    if ((type != AI_JSON_STRING && type != AI_JSON_OBJECT)
        || ngx_http_ai_members_text(ctx, f, text, sizeof(text), &value)
           != NGX_OK
        || (type == AI_JSON_OBJECT && !ai_json_path(value, "id", &value, &type))
        || type != AI_JSON_STRING)
    {
        return NGX_OK;
    }

    id.data = (u_char *) value.data + 1;
    id.len = value.len - 2;

    if (ngx_http_ai_state_id(&id) != NGX_OK) {
        return NGX_OK;
    }

    ctx->conversation.data = ngx_pstrdup(r->pool, &id);
    if (ctx->conversation.data == NULL) {
        return NGX_ERROR;
    }

    ctx->conversation.len = id.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_members_options(ngx_http_ai_ctx_t *ctx, ai_json_field_t *f,
    ngx_str_t *wrong)
{
    char            text[NGX_HTTP_AI_MEMBER_MAX];
    ai_str_t        value;
    ai_json_type_e  type;

    switch (f->type) {

    case AI_JSON_NONE:
    case AI_JSON_NULL:
        return NGX_OK;

    case AI_JSON_OBJECT:
        break;

    default:
        ngx_str_set(wrong,
                    "The member \"stream_options\" must be an object.");
        return NGX_DECLINED;
    }

    if (ngx_http_ai_members_text(ctx, f, text, sizeof(text), &value)
        != NGX_OK)
    {
        ngx_str_set(wrong, "The member \"stream_options\" is too long.");
        return NGX_DECLINED;
    }

    if (!ai_json_path(value, "include_usage", &value, &type)) {
        return NGX_OK;
    }

    if (type != AI_JSON_TRUE && type != AI_JSON_FALSE && type != AI_JSON_NULL)
    {
        ngx_str_set(wrong, "The member \"stream_options.include_usage\" must "
                           "be true or false.");
        return NGX_DECLINED;
    }

    ctx->usage_asked = ctx->stream && type == AI_JSON_TRUE;

    return NGX_OK;
}


void
ngx_http_ai_members_share(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ai_json_t *json)
{
    char              heat[NGX_HTTP_AI_HEAT_MAX];
    char              text[NGX_HTTP_AI_MEMBER_MAX];
    ai_str_t          temperature, options;
    ai_json_field_t  *f;

    f = json->fields;
    temperature = ai_str("");
    options = ai_str("");

    if (f[NGX_HTTP_AI_FIELD_HEAT].type == AI_JSON_NUMBER) {
        (void) ngx_http_ai_members_text(ctx, &f[NGX_HTTP_AI_FIELD_HEAT], heat,
                                        sizeof(heat), &temperature);
    }

    if (f[NGX_HTTP_AI_FIELD_OPTIONS].type == AI_JSON_OBJECT) {
        (void) ngx_http_ai_members_text(ctx, &f[NGX_HTTP_AI_FIELD_OPTIONS],
                                        text, sizeof(text), &options);
    }

    ngx_http_ai_cache_asked(r, ctx, temperature,
                            f[NGX_HTTP_AI_FIELD_SEED].type == AI_JSON_NUMBER,
                            options);
}


/* -1: it is not there, or not a number that counts. */

static int64_t
ngx_http_ai_members_number(ngx_http_ai_ctx_t *ctx, ai_json_field_t *f,
    int64_t max)
{
    char      text[NGX_INT64_LEN];
    int64_t   n;
    ai_str_t  value;

    if (f->type != AI_JSON_NUMBER
        || ngx_http_ai_members_text(ctx, f, text, sizeof(text), &value)
           != NGX_OK
        || ai_str_int(value, &n) != 0 || n < 0)
    {
        return -1;
    }

    return ngx_min(n, max);
}


/* NGX_DECLINED: it is longer than buf; *s is as it was. */

static ngx_int_t
ngx_http_ai_members_text(ngx_http_ai_ctx_t *ctx, ai_json_field_t *f, char *buf,
    size_t size, ai_str_t *s)
{
    char         *p;
    size_t        len, from, to;
    uint64_t      offset;
    ngx_chain_t  *cl;

    if (f->end - f->start > size) {
        return NGX_DECLINED;
    }

    p = buf;
    offset = 0;

    for (cl = ctx->body; cl && offset < f->end; cl = cl->next) {
        len = cl->buf->last - cl->buf->pos;

        if (offset + len > f->start) {
            from = f->start > offset ? f->start - offset : 0;
            to = ngx_min(f->end - offset, len);
            p = (char *) ngx_cpymem(p, cl->buf->pos + from, to - from);
        }

        offset += len;
    }

    s->data = buf;
    s->len = p - buf;

    return NGX_OK;
}
