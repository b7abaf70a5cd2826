/*
 * Limits of a request; see the header.
 */

#include "ngx_http_ai_limit.h"
#include "ngx_http_ai_conf_block.h"
#include "ngx_http_ai_discover.h"
#include "ngx_http_ai_stream.h"


#define NGX_HTTP_AI_LIMIT_WARN  60      /* s between warnings of a plan */
#define NGX_HTTP_AI_LIMIT_SIZE(n)  (((n) + 2) * AI_LIMIT_LINE_MAX)


/* The highest prices of a request, as ai_price_t has them. */
typedef struct {
    int64_t                     input;
    int64_t                     output;
    int64_t                     request;
} ngx_http_ai_dear_t;


static void ngx_http_ai_limit_add(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_http_ai_limits_t *l, ngx_array_t *list);
static ngx_int_t ngx_http_ai_limit_whom(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ai_level_e level, ngx_str_t *s);
static ngx_int_t ngx_http_ai_limit_dearest(ngx_http_ai_main_conf_t *amcf,
    ngx_str_t *model, int64_t input, ngx_http_ai_dear_t *dearest);
static ngx_int_t ngx_http_ai_limit_price(ngx_http_ai_main_conf_t *amcf,
    ngx_str_t *provider, ngx_str_t *model, int64_t input,
    ngx_http_ai_dear_t *dearest);
static int64_t ngx_http_ai_limit_input(ngx_http_ai_ctx_t *ctx);
static ngx_int_t ngx_http_ai_limit_policy(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_http_ai_limits_t *l,
    ngx_http_ai_dear_t *dearest, ngx_uint_t dry);
static void ngx_http_ai_limit_keep(ngx_http_ai_open_t *open, ai_str_t state);
static void ngx_http_ai_limit_name(ngx_http_ai_open_t *open, ai_str_t index);


ngx_http_ai_plan_t *
ngx_http_ai_plan(ngx_http_ai_main_conf_t *amcf, ngx_http_ai_principal_t *p)
{
    ngx_http_ai_plan_t  *plan;

    static time_t        warned;
    static ngx_str_t     name = ngx_string("default");

    if (amcf->plans.nelts == 0) {
        plan = NULL;

    } else {
        plan = p->plan.len ? ngx_http_ai_find(&amcf->plans, &p->plan,
                                              amcf->sorted) : NULL;

        if (plan == NULL) {
            plan = ngx_http_ai_find(&amcf->plans, &name, amcf->sorted);
        }
    }

    if (plan == NULL && p->plan.len
        && ngx_time() - warned >= NGX_HTTP_AI_LIMIT_WARN)
    {
        warned = ngx_time();
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "ai: no ai_plan \"%V\", the plan of tenant \"%V\", and "
                      "none \"default\": it has no limits", &p->plan,
                      &p->tenant);
    }

    return plan;
}


ngx_uint_t
ngx_http_ai_weight(ngx_http_ai_main_conf_t *amcf, ngx_http_ai_principal_t *p)
{
    ngx_http_ai_plan_t  *plan;

    if (p->weight != 1) {
        return p->weight;
    }

    plan = ngx_http_ai_plan(amcf, p);

    return plan != NULL && plan->weight ? plan->weight : 1;
}


ngx_int_t
ngx_http_ai_limit_find(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    ngx_uint_t                i, budget;
    ngx_http_ai_dear_t        dearest;
    ngx_http_ai_plan_t       *plan;
    ngx_http_ai_limits_t     *l;
    ngx_http_ai_loc_conf_t   *alcf;
    ngx_http_ai_main_conf_t  *amcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_ai_module);
    amcf = ngx_http_get_module_main_conf(r, ngx_http_ai_module);

    ctx->limits = NULL;
    plan = ngx_http_ai_plan(amcf, ctx->principal);

    if (alcf->limits == NULL && (plan == NULL || plan->limits.nelts == 0)) {
        return NGX_OK;
    }

    l = ngx_pcalloc(r->pool, sizeof(ngx_http_ai_limits_t));
    if (l == NULL) {
        return NGX_ERROR;
    }

    if (plan != NULL) {
        ngx_http_ai_limit_add(r, ctx, l, &plan->limits);
    }

    if (alcf->limits != NULL) {
        ngx_http_ai_limit_add(r, ctx, l, alcf->limits);
    }

    if (l->n == 0) {
        return NGX_OK;
    }

    budget = 0;

    for (i = 0; i < l->n; i++) {
        if (l->line[i]->limit.kind == AI_LIMIT_BUDGET) {
            budget = 1;
        }
    }

    ngx_memzero(&dearest, sizeof(ngx_http_ai_dear_t));

    if (budget
        && ngx_http_ai_limit_dearest(amcf, &ctx->model,
                                     ngx_http_ai_limit_input(ctx), &dearest)
           != NGX_OK
        && !alcf->limit_dry_run)
    {
        return NGX_DECLINED;
    }

    l->dry = alcf->limit_dry_run;

    if (ngx_http_ai_limit_policy(r, ctx, l, &dearest, l->dry) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->limits = l;

    return NGX_OK;
}


static void
ngx_http_ai_limit_add(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_http_ai_limits_t *l, ngx_array_t *list)
{
    ngx_str_t             whom;
    ngx_uint_t            i;
    ngx_http_ai_limit_t  *limit;

    limit = list->elts;

    for (i = 0; i < list->nelts && l->n < AI_LIMIT_LINES; i++) {

        if (ngx_http_ai_limit_whom(r, ctx, limit[i].limit.level, &whom)
            != NGX_OK)
        {
            continue;
        }

        if (limit[i].name.len
            && (limit[i].name.len != whom.len
                || ngx_memcmp(limit[i].name.data, whom.data, whom.len) != 0))
        {
            continue;
        }

        l->line[l->n] = &limit[i];
        l->value[l->n++] = whom;
    }
}


/* Who of this level asks; NGX_DECLINED: nobody does. */

static ngx_int_t
ngx_http_ai_limit_whom(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ai_level_e level, ngx_str_t *s)
{
    ai_str_t  name;

    switch (level) {

    case AI_LEVEL_TENANT:
        *s = ctx->principal->tenant;
        break;

    case AI_LEVEL_USER:
        *s = ctx->principal->user;
        break;

    case AI_LEVEL_KEY:
        *s = ctx->principal->id;

        if (ctx->principal->jwt) {
            s->len = 0;
        }

        break;

    case AI_LEVEL_MODEL:
        *s = ctx->model;
        break;

    case AI_LEVEL_ENDPOINT:
        name = ngx_http_ai_op_name(ctx);
        s->data = (u_char *) name.data;
        s->len = name.len;
        break;

    case AI_LEVEL_ADDRESS:
        *s = r->connection->addr_text;
        break;
    }

    return s->len ? NGX_OK : NGX_DECLINED;
}


/* The highest of each price of all that the model may lead to. */

static ngx_int_t
ngx_http_ai_limit_dearest(ngx_http_ai_main_conf_t *amcf, ngx_str_t *name,
    int64_t input, ngx_http_ai_dear_t *dearest)
{
    ngx_str_t             provider, model;
    ngx_uint_t            i, n;
    ngx_http_ai_model_t  *m;
    ngx_http_ai_route_t  *route;

    m = ngx_http_ai_find_model(amcf, name);

    if (m == NULL) {
        if (ngx_http_ai_split_model(name, &provider, &model) != NGX_OK) {
            return NGX_DECLINED;
        }

        return ngx_http_ai_limit_price(amcf, &provider, &model, input,
                                       dearest);
    }

    n = m->routes.nelts;

    for (i = 0; i < n + m->fallbacks.nelts; i++) {
        route = i < n ? (ngx_http_ai_route_t *) m->routes.elts + i
                      : (ngx_http_ai_route_t *) m->fallbacks.elts + i - n;

        if (ngx_http_ai_limit_price(amcf, &route->provider, &route->model,
                                    input, dearest)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* As the worker that charges: without a price only echo is free. */

static ngx_int_t
ngx_http_ai_limit_price(ngx_http_ai_main_conf_t *amcf, ngx_str_t *provider,
    ngx_str_t *model, int64_t input, ngx_http_ai_dear_t *dearest)
{
    int64_t                  n;
    ai_price_t               room;
    ngx_uint_t               i;
    const ai_price_t        *price;
    ngx_http_ai_provider_t  *pr;

    /* Which of them the tokens will be nobody knows; those of audio and images
     * are far fewer than the bytes that they came in. */

    static const ai_price_e  in[] = {
        AI_PRICE_INPUT, AI_PRICE_CACHED, AI_PRICE_CACHED_WRITE,
        AI_PRICE_CACHED_WRITE_1H
    };
    static const ai_price_e  out[] = {
        AI_PRICE_OUTPUT, AI_PRICE_REASONING, AI_PRICE_AUDIO_OUTPUT,
        AI_PRICE_IMAGE_OUTPUT
    };

    price = ngx_http_ai_discover_price(amcf, provider, model, &room);

    if (price == NULL) {
        pr = ngx_http_ai_find_provider(amcf, provider);

        return pr != NULL && pr->api.len == 4
               && ngx_memcmp(pr->api.data, "echo", 4) == 0
               ? NGX_OK : NGX_DECLINED;
    }

    for (i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
        n = ai_price_of(price, input, in[i]);
        dearest->input = ngx_max(dearest->input, n);
        n = ai_price_of(price, input, out[i]);
        dearest->output = ngx_max(dearest->output, n);
    }

    n = ai_price_of(price, input, AI_PRICE_REQUEST);
    dearest->request = ngx_max(dearest->request, n);

    return NGX_OK;
}


/* The estimate of its input tokens. */

static int64_t
ngx_http_ai_limit_input(ngx_http_ai_ctx_t *ctx)
{
    return (ctx->body_len + 3) / 4;
}


static ngx_int_t
ngx_http_ai_limit_policy(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_http_ai_limits_t *l, ngx_http_ai_dear_t *dearest, ngx_uint_t dry)
{
    size_t            size;
    ai_buf_t          b;
    ngx_uint_t        i, tokens;
    ai_price_t        price;
    ai_usage_t        u;
    ai_limit_want_t   want;
    ai_price_tier_t  *tier;

    tokens = 0;

    for (i = 0; i < l->n; i++) {
        tokens |= l->line[i]->limit.kind == AI_LIMIT_TOKENS
                  || l->line[i]->limit.kind == AI_LIMIT_BUDGET;
    }

    ngx_memzero(&want, sizeof(ai_limit_want_t));

    if (tokens) {
        ai_usage_init(&u);
        u.input = ngx_http_ai_limit_input(ctx);

        ai_price_init(&price);
        tier = ai_price_add(&price, 0);
        tier->of[AI_PRICE_INPUT] = dearest->input;
        tier->of[AI_PRICE_REQUEST] = dearest->request;

        want.input = u.input;
        want.output = ctx->max_output;
        want.cost = ai_usage_cost(&u, &price);
        want.price = dearest->output;
        want.name = ngx_http_ai_str(&ctx->model);
    }

    size = NGX_HTTP_AI_LIMIT_SIZE(l->n);

    l->policy.data = ngx_pnalloc(r->pool, size);
    if (l->policy.data == NULL) {
        return NGX_ERROR;
    }

    ai_buf_init(&b, (char *) l->policy.data, size);
    ai_limit_head(&b, &want);
    l->head = ai_buf_len(&b);

    for (i = 0; i < l->n; i++) {
        ai_limit_line(&b, &l->line[i]->limit, dry,
                      ngx_http_ai_str(&l->value[i]));
    }

    l->policy.len = ai_buf_len(&b);

    return b.full ? NGX_ERROR : NGX_OK;
}


void
ngx_http_ai_limit_free(ngx_http_ai_limits_t *l, ngx_str_t *policy)
{
    ai_buf_t          b;
    ai_limit_want_t   want;

    static char  text[NGX_HTTP_AI_LIMIT_SIZE(AI_LIMIT_LINES)];

    ngx_memzero(&want, sizeof(ai_limit_want_t));
    ai_buf_init(&b, text, sizeof(text));
    ai_limit_head(&b, &want);

    ai_buf_add(&b, (char *) l->policy.data + l->head, l->policy.len - l->head);

    policy->data = (u_char *) text;
    policy->len = ai_buf_len(&b);
}


void
ngx_http_ai_limit_passed(ngx_http_ai_open_t *open, ai_resp_t *reply, size_t at)
{
    char                   text[AI_LIMIT_TEXT_MAX];
    ai_buf_t               b;
    ai_str_t               would;
    ngx_http_ai_limits_t  *l;

    l = open->ctx->limits;

    if (l == NULL) {
        return;
    }

    ngx_http_ai_limit_keep(open, ngx_http_ai_reply_str(reply, at));

    would = ngx_http_ai_reply_str(reply, at + 1);

    if (would.len == 0) {
        return;
    }

    ngx_http_ai_limit_name(open, would);

    if (l->named != NULL) {
        ai_buf_init(&b, text, sizeof(text));
        ai_limit_say(&b, &l->named->limit);

        ngx_log_error(open->conf->limit_log_level,
                      open->request->connection->log, 0,
                      "ai: limiting, dry run: over the %*s, tenant \"%V\"",
                      ai_buf_len(&b), text, &open->tenant);
    }
}


void
ngx_http_ai_limit_refused(ngx_http_ai_open_t *open, ai_resp_t *reply)
{
    u_char                *p;
    int64_t                retry;
    ai_buf_t               b;
    ai_str_t               s;
    char                   text[AI_LIMIT_TEXT_MAX];
    ngx_uint_t             never;
    ngx_http_ai_limits_t  *l;

    l = open->ctx->limits;

    if (l != NULL) {
        ngx_http_ai_limit_keep(open, ngx_http_ai_reply_str(reply, 3));
        ngx_http_ai_limit_name(open, ngx_http_ai_reply_str(reply, 2));
    }

    if (l == NULL || l->named == NULL) {
        ngx_http_ai_stream_fail(open, "internal", 0, -1);
        return;
    }

    s = ngx_http_ai_reply_str(reply, 1);
    never = ai_str_eqz(s, "-");

    if (never || ai_str_int(s, &retry) != 0 || retry < 1) {
        retry = ngx_max(ai_limit_seconds(&l->named->limit), 1);
    }

    ai_buf_init(&b, text, sizeof(text));
    ai_limit_say(&b, &l->named->limit);

    ngx_log_error(open->conf->limit_log_level, open->request->connection->log,
                  0, "ai: limiting: over the %*s, tenant \"%V\"",
                  ai_buf_len(&b), text, &open->tenant);

    p = ngx_pnalloc(open->request->pool, 256);

    if (p != NULL) {
        open->message.data = p;

        if (never) {
            p = ngx_snprintf(p, 256, "The request alone is estimated at more "
                             "than the %*s.", ai_buf_len(&b), text);

        } else {
            p = ngx_snprintf(p, 256, "The request is over the %*s. Try again "
                             "in %L s.", ai_buf_len(&b), text, retry);
        }

        open->message.len = p - open->message.data;
    }

    ngx_http_ai_stream_fail(open, "rate_limited", open->conf->limit_status,
                            retry);
}


static void
ngx_http_ai_limit_keep(ngx_http_ai_open_t *open, ai_str_t state)
{
    ngx_http_ai_limits_t  *l;

    l = open->ctx->limits;

    l->state.data = ngx_pnalloc(open->request->pool, state.len + 1);

    if (l->state.data != NULL) {
        ngx_memcpy(l->state.data, state.data, state.len);
        l->state.len = state.len;
    }
}


static void
ngx_http_ai_limit_name(ngx_http_ai_open_t *open, ai_str_t index)
{
    int64_t                n;
    ngx_http_ai_limits_t  *l;

    l = open->ctx->limits;

    if (ai_str_int(index, &n) == 0 && n >= 0 && n < (int64_t) l->n) {
        l->named = l->line[n];
    }
}


ngx_int_t
ngx_http_ai_limit_text(ngx_pool_t *pool, ngx_http_ai_limit_t *limit,
    ngx_str_t *s)
{
    ai_buf_t  b;

    s->data = ngx_pnalloc(pool, AI_LIMIT_TEXT_MAX);
    if (s->data == NULL) {
        return NGX_ERROR;
    }

    ai_buf_init(&b, (char *) s->data, AI_LIMIT_TEXT_MAX);
    ai_limit_say(&b, &limit->limit);
    s->len = ai_buf_len(&b);

    return NGX_OK;
}
