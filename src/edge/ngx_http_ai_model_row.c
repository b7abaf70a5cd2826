/*
 * A model as /v1/models shows it; see the header.  Owns nothing.
 */

#include "ngx_http_ai_model_row.h"


#define NGX_HTTP_AI_MODEL_PRICE_ROOM  (48 * AI_PRICE_KINDS)   /* a tier */


static void ngx_http_ai_model_row_of(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_model_row_t *row, ngx_http_ai_model_t *model);
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
    ngx_http_ai_price_t  *price;
    ngx_http_ai_model_t  *model;

    row->context = 0;
    row->output = 0;
    row->price = NULL;
    row->priced = 0;

    model = ngx_http_ai_find_model(amcf, &row->id);

    if (model != NULL) {
        ngx_http_ai_model_row_of(amcf, row, model);
        return;
    }

    if (ngx_http_ai_split_model(&row->id, &provider, &name) == NGX_OK) {
        price = ngx_http_ai_find_price(amcf, &provider, &name);

        if (price != NULL && ai_price_known(&price->price)) {
            row->price = &price->price;
            row->priced = 1;
        }
    }
}


/* The price of all its routes, where they have the same; else the highest of
 * each kind, without tiers. */

static void
ngx_http_ai_model_row_of(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_model_row_t *row, ngx_http_ai_model_t *model)
{
    int64_t               n;
    ngx_uint_t            i, k;
    ngx_http_ai_price_t  *price;
    ngx_http_ai_route_t  *route;

    row->context = model->context;
    row->output = model->output;

    for (k = 0; k < AI_PRICE_KINDS; k++) {
        row->dearest[k] = -1;
    }

    route = model->routes.elts;

    for (i = 0; i < model->routes.nelts; i++) {
        price = ngx_http_ai_find_price(amcf, &route[i].provider,
                                       &route[i].model);

        if (price == NULL || !ai_price_known(&price->price)) {
            row->price = NULL;
            return;
        }

        if (i == 0) {
            row->price = &price->price;

        } else if (row->price != NULL
                   && ngx_memcmp(row->price, &price->price,
                                 sizeof(ai_price_t)) != 0)
        {
            row->price = NULL;
        }

        for (k = 0; k < AI_PRICE_KINDS; k++) {
            n = ai_price_of(&price->price, 0, k);

            if (price->price.tier[0].of[k] >= 0 || row->dearest[k] >= 0) {
                row->dearest[k] = ngx_max(row->dearest[k], n);
            }
        }
    }

    row->priced = 1;
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
                                        : row->dearest);

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
