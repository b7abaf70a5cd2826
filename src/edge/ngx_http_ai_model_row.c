/*
 * A model as /v1/models shows it; see the header.  Owns nothing.
 */

#include "ngx_http_ai_discover.h"
#include "ngx_http_ai_model_row.h"


#define NGX_HTTP_AI_MODEL_PRICE_ROOM  (48 * AI_PRICE_KINDS)   /* a tier */


static void ngx_http_ai_model_row_one(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_model_row_t *row, ngx_str_t *provider, ngx_str_t *name);
static void ngx_http_ai_model_row_of(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_model_row_t *row, ngx_http_ai_model_t *model);
static void ngx_http_ai_model_row_more(ngx_http_ai_model_row_t *row,
    ngx_http_ai_model_row_t *one);
static void ngx_http_ai_model_row_int(ai_buf_t *b, const char *name,
    int64_t n);
static void ngx_http_ai_model_row_pricing(ai_buf_t *b,
    ngx_http_ai_model_row_t *row);
static ngx_uint_t ngx_http_ai_model_row_prices(ai_buf_t *b,
    const int64_t *of);


/* As OpenRouter calls them, whose clients read prices from this list. */

static const char  *ngx_http_ai_model_prices[AI_PRICE_KINDS] = {
    "audio", "audio_output", "input_cache_read", "input_cache_write",
    "input_cache_write_1h", "image", "image_output", "prompt", "completion",
    "internal_reasoning", "request"
};


void
ngx_http_ai_model_row_fill(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_model_row_t *row)
{
    ngx_str_t             provider, name;
    ngx_http_ai_model_t  *model;

    row->context = 0;
    row->output = 0;
    row->price = NULL;
    row->priced = 0;

    model = ngx_http_ai_find_model(amcf, &row->id);

    if (model != NULL) {
        ngx_http_ai_model_row_of(amcf, row, model);

    } else if (ngx_http_ai_split_model(&row->id, &provider, &name) == NGX_OK) {
        ngx_http_ai_model_row_one(amcf, row, &provider, &name);
    }
}


static void
ngx_http_ai_model_row_one(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_model_row_t *row, ngx_str_t *provider, ngx_str_t *name)
{
    ai_price_t               room;
    const ai_price_t        *price;
    const ai_models_row_t   *found;
    ngx_http_ai_provider_t  *p;

    price = ngx_http_ai_discover_price(amcf, provider, name, &room);

    if (price == &room) {
        ngx_memcpy(row->of, room.tier[0].of, sizeof(row->of));

    } else {
        row->price = price;
    }

    row->priced = price != NULL;
    p = ngx_http_ai_find_provider(amcf, provider);
    found = p == NULL ? NULL : ngx_http_ai_discover_find(p, name);

    if (found != NULL) {
        row->context = ngx_max(found->context, 0);
        row->output = ngx_max(found->output, 0);
    }
}


/*
 * The price of all its routes, where they have the same; else the highest of
 * each kind, without tiers.  What is not said of its context is the smallest of
 * theirs.
 */

static void
ngx_http_ai_model_row_of(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_model_row_t *row, ngx_http_ai_model_t *model)
{
    ngx_uint_t                i;
    ngx_http_ai_route_t      *route;
    ngx_http_ai_model_row_t   one;

    route = model->routes.elts;

    for (i = 0; i < model->routes.nelts; i++) {
        ngx_memzero(&one, sizeof(ngx_http_ai_model_row_t));
        ngx_http_ai_model_row_one(amcf, &one, &route[i].provider,
                                  &route[i].model);

        if (i == 0) {
            row->context = one.context;
            row->output = one.output;
            row->priced = one.priced;
            row->price = one.price;
            ngx_memcpy(row->of, one.price != NULL ? one.price->tier[0].of
                                                  : one.of,
                       sizeof(row->of));

        } else {
            row->context = ngx_min(row->context, one.context);
            row->output = ngx_min(row->output, one.output);
            ngx_http_ai_model_row_more(row, &one);
        }
    }

    row->context = model->context ? model->context : row->context;
    row->output = model->output ? model->output : row->output;
}


static void
ngx_http_ai_model_row_more(ngx_http_ai_model_row_t *row,
    ngx_http_ai_model_row_t *one)
{
    ngx_uint_t   k;
    ai_price_t   p, q;

    row->priced = row->priced && one->priced;

    if (!row->priced
        || (row->price != NULL && one->price != NULL
            && ngx_memcmp(row->price, one->price, sizeof(ai_price_t)) == 0))
    {
        return;
    }

    ai_price_init(&p);
    ai_price_init(&q);
    ngx_memcpy(ai_price_add(&p, 0)->of, row->of, sizeof(row->of));
    ngx_memcpy(ai_price_add(&q, 0)->of, one->price != NULL
                                        ? one->price->tier[0].of : one->of,
               sizeof(row->of));

    for (k = 0; k < AI_PRICE_KINDS; k++) {
        if (p.tier[0].of[k] >= 0 || q.tier[0].of[k] >= 0) {
            row->of[k] = ngx_max(ai_price_of(&p, 0, k), ai_price_of(&q, 0, k));
        }
    }

    row->price = NULL;
}


size_t
ngx_http_ai_model_row_size(ngx_http_ai_model_row_t *row)
{
    size_t  tiers;

    tiers = row->price != NULL ? row->price->tiers : row->priced;

    return NGX_HTTP_AI_MODEL_ROW_ROOM + 12 * row->id.len + 6 * row->owner.len
           + tiers * NGX_HTTP_AI_MODEL_PRICE_ROOM;
}


void
ngx_http_ai_model_row_write(ai_buf_t *b, ai_dialect_e dialect,
    ngx_http_ai_model_row_t *row, time_t created)
{
    u_char    date[sizeof("1970-09-28T12:00:00Z")];
    ngx_tm_t  tm;

    if (dialect == AI_DIALECT_ANTHROPIC) {
        ngx_gmtime(created, &tm);
        ngx_sprintf(date, "%4d-%02d-%02dT%02d:%02d:%02dZ%Z", tm.ngx_tm_year,
                    tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                    tm.ngx_tm_min, tm.ngx_tm_sec);

        ai_buf_add_z(b, "{\"type\":\"model\",\"id\":\"");
        ai_buf_add_json(b, ngx_http_ai_str(&row->id));
        ai_buf_add_z(b, "\",\"display_name\":\"");
        ai_buf_add_json(b, ngx_http_ai_str(&row->id));
        ai_buf_add_z(b, "\",\"created_at\":\"");
        ai_buf_add_z(b, (char *) date);
        ai_buf_add_z(b, "\"");
        ngx_http_ai_model_row_int(b, "max_input_tokens", row->context);
        ngx_http_ai_model_row_int(b, "max_tokens", row->output);

    } else {
        ai_buf_add_z(b, "{\"id\":\"");
        ai_buf_add_json(b, ngx_http_ai_str(&row->id));
        ai_buf_add_z(b, "\",\"object\":\"model\",\"created\":");
        ai_buf_add_int(b, created);
        ai_buf_add_z(b, ",\"owned_by\":\"");
        ai_buf_add_json(b, ngx_http_ai_str(&row->owner));
        ai_buf_add_z(b, "\"");
        ngx_http_ai_model_row_int(b, "context_length", row->context);
        ngx_http_ai_model_row_int(b, "max_output_tokens", row->output);
    }

    ngx_http_ai_model_row_pricing(b, row);
    ai_buf_add_z(b, "}");
}


static void
ngx_http_ai_model_row_int(ai_buf_t *b, const char *name, int64_t n)
{
    if (n) {
        ai_buf_add_z(b, ",\"");
        ai_buf_add_z(b, name);
        ai_buf_add_z(b, "\":");
        ai_buf_add_int(b, n);
    }
}


static void
ngx_http_ai_model_row_pricing(ai_buf_t *b, ngx_http_ai_model_row_t *row)
{
    ngx_uint_t  i, n;

    if (!row->priced) {
        return;
    }

    ai_buf_add_z(b, ",\"pricing\":{");
    n = ngx_http_ai_model_row_prices(b, row->price != NULL
                                        ? row->price->tier[0].of
                                        : row->of);

    for (i = 1; row->price != NULL && i < row->price->tiers; i++) {
        ai_buf_add_z(b, i > 1 ? ",{" : n ? ",\"tiers\":[{" : "\"tiers\":[{");

        if (ngx_http_ai_model_row_prices(b, row->price->tier[i].of)) {
            ai_buf_add_z(b, ",");
        }

        ai_buf_add_z(b, "\"above\":");
        ai_buf_add_int(b, row->price->tier[i].above);
        ai_buf_add_z(b, i + 1 < row->price->tiers ? "}" : "}]");
    }

    ai_buf_add_z(b, "}");
}


/* How many there are. */

static ngx_uint_t
ngx_http_ai_model_row_prices(ai_buf_t *b, const int64_t *of)
{
    char        text[32];
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < AI_PRICE_KINDS; i++) {
        if (of[i] >= 0) {
            ai_buf_add_z(b, n++ ? ",\"" : "\"");
            ai_buf_add_z(b, ngx_http_ai_model_prices[i]);
            ai_buf_add_z(b, "\":\"");
            ai_buf_add(b, text, ai_price_print(text, sizeof(text), i, of[i]));
            ai_buf_add_z(b, "\"");
        }
    }

    return n;
}
