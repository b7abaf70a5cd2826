/*
 * What is left of a request's limits, in headers: OpenAI's, Anthropic's, and
 * those of the IETF (draft-ietf-httpapi-ratelimit-headers).
 */

#include "ngx_http_ai_limit.h"
#include "ngx_http_ai_stream.h"


/* A policy in both of the IETF's lists, its name and numbers. */
#define NGX_HTTP_AI_LIMIT_ITEM  128


typedef struct {
    int64_t                     max;
    int64_t                     remaining;    /* -1: there is no such limit */
    int64_t                     reset;
} ngx_http_ai_limit_left_t;


static ngx_int_t ngx_http_ai_limit_tightest(ngx_http_request_t *r,
    ai_dialect_e dialect, ngx_uint_t tokens, ngx_http_ai_limit_left_t *left);
static u_char *ngx_http_ai_limit_go(u_char *p, int64_t sec);
static u_char *ngx_http_ai_limit_rfc3339(u_char *p, int64_t sec);
static ngx_int_t ngx_http_ai_limit_lists(ngx_http_request_t *r,
    ngx_http_ai_limits_t *l, int64_t *remaining, int64_t *reset);
static ngx_int_t ngx_http_ai_limit_header(ngx_http_request_t *r, char *name,
    u_char *value, size_t len);


ngx_int_t
ngx_http_ai_limit_headers(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx)
{
    int64_t                    remaining[AI_LIMIT_LINES];
    int64_t                    reset[AI_LIMIT_LINES];
    ai_str_t                   state;
    ngx_uint_t                 i, tokens;
    ngx_http_ai_limits_t      *l;
    ngx_http_ai_limit_left_t   left[2], *t;

    l = ctx->limits;

    if (l == NULL || l->dry || l->state.len == 0) {
        return NGX_OK;
    }

    state = ngx_http_ai_str(&l->state);

    left[0].remaining = -1;
    left[1].remaining = -1;

    for (i = 0; i < l->n; i++) {

        if (ai_limit_next(&state, &remaining[i], &reset[i]) != 1) {
            return NGX_OK;
        }

        if (l->line[i]->limit.kind == AI_LIMIT_REQUESTS) {
            t = &left[0];

        } else if (l->line[i]->limit.kind == AI_LIMIT_TOKENS) {
            t = &left[1];

        } else {
            continue;
        }

        if (t->remaining < 0 || remaining[i] < t->remaining) {
            t->remaining = remaining[i];
            t->max = l->line[i]->limit.max;
            t->reset = ngx_max(reset[i], 0);
        }
    }

    for (tokens = 0; tokens < 2; tokens++) {
        if (left[tokens].remaining >= 0
            && ngx_http_ai_limit_tightest(r, ctx->dialect, tokens,
                                          &left[tokens])
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_ai_limit_lists(r, l, remaining, reset);
}


static ngx_int_t
ngx_http_ai_limit_tightest(ngx_http_request_t *r, ai_dialect_e dialect,
    ngx_uint_t tokens, ngx_http_ai_limit_left_t *left)
{
    u_char      *p, *value[3];
    ngx_uint_t   i, d;

    static char  *names[2][2][3] = {
        { { "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests" },
          { "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens" } },
        { { "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset" },
          { "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset" } }
    };

    d = dialect == AI_DIALECT_ANTHROPIC;

    for (i = 0; i < 3; i++) {
        value[i] = ngx_pnalloc(r->pool, 2 * NGX_INT64_LEN);
        if (value[i] == NULL) {
            return NGX_ERROR;
        }

        p = value[i];

        if (i < 2) {
            p = ngx_sprintf(p, "%L", i ? left->remaining : left->max);

        } else if (d) {
            p = ngx_http_ai_limit_rfc3339(p, left->reset);

        } else {
            p = ngx_http_ai_limit_go(p, left->reset);
        }

        if (ngx_http_ai_limit_header(r, names[d][tokens][i], value[i],
                                     p - value[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static u_char *
ngx_http_ai_limit_go(u_char *p, int64_t sec)
{
    if (sec >= 3600) {
        p = ngx_sprintf(p, "%Lh", sec / 3600);
    }

    if (sec >= 60) {
        p = ngx_sprintf(p, "%Lm", sec / 60 % 60);
    }

    return ngx_sprintf(p, "%Ls", sec % 60);
}


static u_char *
ngx_http_ai_limit_rfc3339(u_char *p, int64_t sec)
{
    ngx_tm_t  tm;

    ngx_gmtime(ngx_time() + (time_t) sec, &tm);

    return ngx_sprintf(p, "%4d-%02d-%02dT%02d:%02d:%02dZ", tm.ngx_tm_year,
                       tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                       tm.ngx_tm_min, tm.ngx_tm_sec);
}


/* What an operator pays is nobody else's business: budgets are not shown. */

static ngx_int_t
ngx_http_ai_limit_lists(ngx_http_request_t *r, ngx_http_ai_limits_t *l,
    int64_t *remaining, int64_t *reset)
{
    size_t       size;
    u_char      *policy, *state, *p, *s, name[64];
    ngx_uint_t   i, k, n, len;
    ai_limit_t  *limit, *other;

    size = l->n * NGX_HTTP_AI_LIMIT_ITEM;

    policy = ngx_pnalloc(r->pool, 2 * size);
    if (policy == NULL) {
        return NGX_ERROR;
    }

    state = policy + size;
    p = policy;
    s = state;
    n = 0;

    for (i = 0; i < l->n; i++) {
        limit = &l->line[i]->limit;

        if (limit->kind == AI_LIMIT_BUDGET) {
            continue;
        }

        /* Of two of one name the tighter, once. */

        for (k = 0; k < l->n; k++) {
            other = &l->line[k]->limit;

            if (k != i && other->level == limit->level
                && other->kind == limit->kind
                && other->window == limit->window
                && (remaining[k] < remaining[i]
                    || (k < i && remaining[k] == remaining[i])))
            {
                break;
            }
        }

        if (k < l->n) {
            continue;
        }

        len = ngx_sprintf(name, "\"%s-%s%s\"", ai_level_name(limit->level),
                          limit->kind == AI_LIMIT_REQUESTS ? "requests"
                          : limit->kind == AI_LIMIT_TOKENS ? "tokens"
                          : "concurrency",
                          limit->window == 's' ? "-second"
                          : limit->window == 'm' ? "-minute"
                          : limit->window == 'h' ? "-hour"
                          : limit->window == 'd' ? "-day"
                          : limit->window == 'M' ? "-month" : "")
              - name;

        p = ngx_sprintf(p, "%s%*s;q=%L", n ? ", " : "", len, name, limit->max);
        s = ngx_sprintf(s, "%s%*s;r=%L", n ? ", " : "", len, name,
                        remaining[i]);

        if (limit->kind == AI_LIMIT_CONCURRENCY) {
            p = ngx_sprintf(p, ";qu=\"concurrent-requests\"");

        } else {
            p = ngx_sprintf(p, "%s;w=%L",
                            limit->kind == AI_LIMIT_TOKENS ? ";qu=\"tokens\""
                                                           : "",
                            ai_limit_seconds(limit));
            s = ngx_sprintf(s, ";t=%L", ngx_max(reset[i], 0));
        }

        n++;
    }

    if (n == 0) {
        return NGX_OK;
    }

    if (ngx_http_ai_limit_header(r, "RateLimit-Policy", policy, p - policy)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_ai_limit_header(r, "RateLimit", state, s - state);
}


/* In the place of one that came from the provider. */

static ngx_int_t
ngx_http_ai_limit_header(ngx_http_request_t *r, char *name, u_char *value,
    size_t len)
{
    ngx_str_t               key, val;
    ngx_table_elt_t        *h;
    ngx_http_ai_headers_t   headers;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);
    val.data = value;
    val.len = len;

    ngx_http_ai_headers(&headers, &r->headers_out.headers);

    while ((h = ngx_http_ai_headers_named(&headers, &key)) != NULL) {
        h->hash = 0;
    }

    return ngx_http_ai_add_header(r, &key, &val);
}
