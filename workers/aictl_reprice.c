/*
 * aictl usage --reprice: what the calls in the ledger would cost by the prices
 * of the newest catalog, beside what was charged.  It reads, and changes
 * nothing: neither the ledger nor a counter.
 */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aictl_usage.h"
#include "ai_crypto.h"
#include "ai_models.h"
#include "price.h"


#define AICTL_REPRICE_PAGE   "5000"     /* rows a FETCH */
#define AICTL_REPRICE_NAME   512        /* provider/model */
#define AICTL_REPRICE_LISTS  64         /* of models that were found */

/* A row's columns behind those of --by, all from the ledger. */
typedef enum {
    REPRICE_PROVIDER = 0,
    REPRICE_MODEL,
    REPRICE_STATE,
    REPRICE_COST,
    REPRICE_INPUT,
    REPRICE_OUTPUT,
    REPRICE_CACHED_READ,
    REPRICE_CACHED_WRITE,
    REPRICE_CACHED_WRITE_1H,
    REPRICE_REASONING,
    REPRICE_AUDIO_INPUT,
    REPRICE_AUDIO_OUTPUT,
    REPRICE_IMAGE_INPUT,
    REPRICE_IMAGE_OUTPUT
} aictl_reprice_e;

static const char  aictl_reprice_columns[] =
    "provider, provider_model, state, cost, input, output, cached_read,"
    " cached_write, cached_write_1h, reasoning, audio_input, audio_output,"
    " image_input, image_output";

typedef struct {
    char         hex[AI_SHA256_HEX];
    ai_models_t *models;            /* NULL: it cannot be read */
} aictl_reprice_list_t;

typedef struct {
    aictl_t     *aictl;
    aictl_reprice_list_t  lists[AICTL_REPRICE_LISTS];
    unsigned     nlists;
    json_t      *catalog;
    char         name[AICTL_REPRICE_NAME];  /* of price */
    ai_price_t   price;
    json_t      *rows;
    json_t      *group;             /* borrowed from rows; NULL: none yet */
    long long    calls;
    long long    unpriced;
    long long    charged;
    long long    repriced;
} aictl_reprice_t;

static const aictl_column_t  aictl_reprice_sums[] = {
    { "calls", "CALLS", 1 }, { "unpriced", "UNPRICED", 1 },
    { "charged_usd", "CHARGED", 1 }, { "repriced_usd", "REPRICED", 1 },
    { "difference_usd", "DIFFERENCE", 1 }, { NULL, NULL, 0 }
};

#define AICTL_NREPRICE                                                        \
    (sizeof(aictl_reprice_sums) / sizeof(aictl_reprice_sums[0]))


static json_t *
aictl_reprice_parse(redisReply *reply, const char *name)
{
    char      hex[AI_SHA256_HEX];
    ai_str_t  text;

    if (reply == NULL || reply->type != REDIS_REPLY_STRING) {
        return NULL;
    }

    text = (ai_str_t) { reply->len, reply->str };
    (void) ai_sign_catalog_cut(&text);

    if (ai_sha256_hex(hex, text) != 0 || memcmp(hex, name, sizeof(hex)) != 0) {
        return NULL;
    }

    return json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
}


/* The catalog of who was configured last. */

static int
aictl_reprice_catalog(aictl_t *a, json_t **catalog)
{
    int          rc;
    char         name[AI_SHA256_HEX + 1], key[AI_KEY_MAX];
    redisReply  *reply;

    rc = aictl_redis(a);
    if (rc != AICTL_OK) {
        return rc;
    }

    reply = aictl_redis_cmd(a, "GET %s", AI_CATALOG_NEWEST_KEY);

    if (reply == NULL) {
        aictl_error("Redis: %s", aictl_redis_why(a));
        return AICTL_UNREACHABLE;
    }

    name[0] = '\0';

    if (reply->type == REDIS_REPLY_STRING
        && ai_sha256_hex_ok((ai_str_t) { reply->len, reply->str }))
    {
        memcpy(name, reply->str, AI_SHA256_HEX);
        name[AI_SHA256_HEX] = '\0';
    }

    freeReplyObject(reply);

    if (name[0] == '\0') {
        aictl_error("there are no prices: no nginx has been connected to Redis "
                    "in the last two days");
        return AICTL_NOT_FOUND;
    }

    key[ai_keys_catalog(key, sizeof(key) - 1,
                        (ai_str_t) { AI_SHA256_HEX, name })] = '\0';

    reply = aictl_redis_cmd(a, "GET %s", key);
    *catalog = aictl_reprice_parse(reply, name);
    freeReplyObject(reply);

    if (*catalog == NULL) {
        aictl_error("the catalog %.16s... cannot be read from Redis", name);
        return AICTL_NOT_FOUND;
    }

    return AICTL_OK;
}


/* A list of models as it lies in Redis, once. */

static const ai_models_t *
aictl_reprice_list(aictl_reprice_t *r, const json_t *name)
{
    char                   key[AI_KEY_MAX];
    ai_str_t               hex, text;
    unsigned               i;
    redisReply            *reply;
    aictl_reprice_list_t  *l;

    if (!json_is_string(name)) {
        return NULL;
    }

    hex = (ai_str_t) { json_string_length(name), json_string_value(name) };

    if (!ai_sha256_hex_ok(hex)) {
        return NULL;
    }

    for (i = 0; i < r->nlists; i++) {
        if (memcmp(r->lists[i].hex, hex.data, hex.len) == 0) {
            return r->lists[i].models;
        }
    }

    if (r->nlists == AICTL_REPRICE_LISTS) {
        return NULL;
    }

    l = &r->lists[r->nlists++];
    memcpy(l->hex, hex.data, hex.len);
    key[ai_keys_models(key, sizeof(key) - 1, hex)] = '\0';
    reply = aictl_redis_cmd(r->aictl, "GET %s", key);

    if (reply != NULL && reply->type == REDIS_REPLY_STRING) {
        text = (ai_str_t) { reply->len, reply->str };
        (void) ai_sign_catalog_cut(&text);
        l->models = ai_models_parse(text);
    }

    freeReplyObject(reply);

    return l->models;
}


/* Of nginx.conf, else of what was found at the provider. */

static void
aictl_reprice_price(aictl_reprice_t *r, const char *provider,
    const char *model)
{
    const json_t           *p;
    const ai_models_t      *models;
    const ai_models_row_t  *row;

    price_read(json_object_get(json_object_get(r->catalog, "prices"),
                               r->name),
               &r->price);

    if (ai_price_known(&r->price)) {
        return;
    }

    p = json_object_get(json_object_get(r->catalog, "providers"), provider);
    models = aictl_reprice_list(r, json_object_get(json_object_get(p,
                                                                  "discover"),
                                                   "list"));
    row = models == NULL ? NULL
          : ai_models_find(models, (ai_str_t) { strlen(model), model });

    if (row != NULL) {
        ai_models_price(row, &r->price);
    }
}


/* 0: none is known. */

static int
aictl_reprice_find(aictl_reprice_t *r, const char *provider,
    const char *model)
{
    char           name[AICTL_REPRICE_NAME];
    const char    *api;
    const json_t  *providers;

    if (snprintf(name, sizeof(name), "%s/%s", provider, model)
        >= (int) sizeof(name))
    {
        return 0;
    }

    if (strcmp(name, r->name) != 0) {
        memcpy(r->name, name, sizeof(name));
        aictl_reprice_price(r, provider, model);
    }

    if (ai_price_known(&r->price)) {
        return 1;
    }

    /* As the worker that charges: without a price only echo is free. */

    providers = json_object_get(r->catalog, "providers");
    api = json_string_value(json_object_get(json_object_get(providers,
                                                            provider),
                                            "api"));

    return strcmp(api != NULL ? api : provider, "echo") == 0;
}


static int64_t
aictl_reprice_int(const PGresult *res, int row, int column)
{
    return PQgetisnull(res, row, column)
           ? -1 : strtoll(PQgetvalue(res, row, column), NULL, 10);
}


static void
aictl_reprice_add(long long *sum, int64_t n)
{
    *sum = n > LLONG_MAX - *sum ? LLONG_MAX : *sum + n;
}


static void
aictl_reprice_row(aictl_reprice_t *r, const PGresult *res, int row, int at)
{
    int64_t      cost, now;
    ai_usage_t   u;

    cost = aictl_reprice_int(res, row, at + REPRICE_COST);

    ai_usage_init(&u);
    u.input = aictl_reprice_int(res, row, at + REPRICE_INPUT);
    u.output = aictl_reprice_int(res, row, at + REPRICE_OUTPUT);
    u.cached_read = aictl_reprice_int(res, row, at + REPRICE_CACHED_READ);
    u.cached_write = aictl_reprice_int(res, row, at + REPRICE_CACHED_WRITE);
    u.cached_write_1h = aictl_reprice_int(res, row,
                                          at + REPRICE_CACHED_WRITE_1H);
    u.reasoning = aictl_reprice_int(res, row, at + REPRICE_REASONING);
    u.audio_input = aictl_reprice_int(res, row, at + REPRICE_AUDIO_INPUT);
    u.audio_output = aictl_reprice_int(res, row, at + REPRICE_AUDIO_OUTPUT);
    u.image_input = aictl_reprice_int(res, row, at + REPRICE_IMAGE_INPUT);
    u.image_output = aictl_reprice_int(res, row, at + REPRICE_IMAGE_OUTPUT);

    now = cost < 0 ? 0 : cost;
    r->calls++;

    if ((u.input < 0 && u.output < 0)
        || !aictl_reprice_find(r, PQgetvalue(res, row, at + REPRICE_PROVIDER),
                               PQgetvalue(res, row, at + REPRICE_MODEL)))
    {
        r->unpriced++;

    } else if (u.input > 0 || u.output > 0
               || PQgetvalue(res, row, at + REPRICE_STATE)[0] == 'd')
    {
        now = ai_usage_cost(&u, &r->price);
    }

    aictl_reprice_add(&r->charged, cost < 0 ? 0 : cost);
    aictl_reprice_add(&r->repriced, now);
}


static void
aictl_reprice_money(json_t *group, const char *name, long long nano)
{
    char  text[32], key[32];

    text[ai_money_print(text, sizeof(text), nano)] = '\0';
    (void) snprintf(key, sizeof(key), "%s_usd", name);
    (void) json_object_set_new(group, name, json_integer(nano));
    (void) json_object_set_new(group, key, json_string(text));
}


static void
aictl_reprice_end(aictl_reprice_t *r)
{
    json_t  *group;

    group = r->group;
    r->group = NULL;

    if (group == NULL) {
        return;
    }

    (void) json_object_set_new(group, "calls", json_integer(r->calls));
    (void) json_object_set_new(group, "unpriced", json_integer(r->unpriced));
    aictl_reprice_money(group, "charged", r->charged);
    aictl_reprice_money(group, "repriced", r->repriced);
    aictl_reprice_money(group, "difference", r->repriced - r->charged);
}


/* Rows come in order: a group ends where the next begins. */

static void
aictl_reprice_group(aictl_reprice_t *r, const aictl_usage_t *u,
    const PGresult *res, int row)
{
    int          i;
    json_t      *value;
    const char  *text;

    for (i = 0; r->group != NULL && i < u->n; i++) {
        text = PQgetisnull(res, row, i) ? NULL : PQgetvalue(res, row, i);
        value = json_object_get(r->group, u->by[i]->name);

        if (text == NULL ? !json_is_null(value)
            : !json_is_string(value)
              || strcmp(json_string_value(value), text) != 0)
        {
            break;
        }
    }

    if (r->group != NULL && i == u->n) {
        return;
    }

    aictl_reprice_end(r);

    r->group = json_object();
    r->calls = r->unpriced = r->charged = r->repriced = 0;

    for (i = 0; i < u->n; i++) {
        text = PQgetisnull(res, row, i) ? NULL : PQgetvalue(res, row, i);
        (void) json_object_set_new(r->group, u->by[i]->name,
                                   text == NULL ? json_null()
                                   : json_string(text));
    }

    if (json_array_append_new(r->rows, r->group) != 0) {
        r->group = NULL;
    }
}


static int
aictl_reprice_read(aictl_t *a, const aictl_usage_t *u, aictl_reprice_t *r,
    const char *list)
{
    int          i, n;
    char         sql[2048];
    PGresult    *res;
    const char  *params[3];

    /* One state of the ledger; what a hit of the cache took is nothing at any
     * price, and nobody bills a count of tokens. */

    (void) snprintf(sql, sizeof(sql),
        "DECLARE calls NO SCROLL CURSOR FOR SELECT %s%s"
        " FROM ngxai.ledger WHERE at >= %s AND at < %s"
        " AND ($3::text IS NULL OR tenant = $3)"
        " AND cause IS DISTINCT FROM 'cache'"
        " AND cause IS DISTINCT FROM 'join' AND provider IS NOT NULL"
        " AND op IS DISTINCT FROM 'count_tokens'",
        list, aictl_reprice_columns, u->from, u->to);

    aictl_usage_order(sql, sizeof(sql), "ORDER", u->n);

    params[0] = u->since;
    params[1] = u->until;
    params[2] = a->opt[AICTL_OPT_TENANT];

    if (aictl_exec(a, "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ")
        != AICTL_OK)
    {
        return AICTL_FAILED;
    }

    res = aictl_query(a, 3, params, sql);
    n = res != NULL;
    PQclear(res);

    while (n > 0) {
        res = aictl_query(a, 0, NULL, "FETCH " AICTL_REPRICE_PAGE
                                      " FROM calls");
        if (res == NULL) {
            return AICTL_FAILED;
        }

        n = PQntuples(res);

        for (i = 0; i < n; i++) {
            aictl_reprice_group(r, u, res, i);

            if (r->group == NULL
                || json_array_size(r->rows) > AICTL_ROWS_MAX)
            {
                PQclear(res);
                aictl_error("more than %d rows: group by less", AICTL_ROWS_MAX);
                return AICTL_FAILED;
            }

            aictl_reprice_row(r, res, i, u->n);
        }

        PQclear(res);
    }

    aictl_reprice_end(r);

    return n < 0 || aictl_exec(a, "COMMIT") != AICTL_OK ? AICTL_FAILED
                                                        : AICTL_OK;
}


/* The last row of the table. */

static json_t *
aictl_reprice_total(const json_t *rows, const char *label)
{
    size_t            i;
    json_t           *row, *total;
    aictl_reprice_t   sum;

    memset(&sum, 0, sizeof(sum));
    total = json_pack("{s:s}", label, "total");

    json_array_foreach(rows, i, row) {
        aictl_reprice_add(&sum.calls, json_integer_value(
                                      json_object_get(row, "calls")));
        aictl_reprice_add(&sum.unpriced, json_integer_value(
                                         json_object_get(row, "unpriced")));
        aictl_reprice_add(&sum.charged, json_integer_value(
                                        json_object_get(row, "charged")));
        aictl_reprice_add(&sum.repriced, json_integer_value(
                                         json_object_get(row, "repriced")));
    }

    sum.group = total;
    aictl_reprice_end(&sum);

    return total;
}


int
aictl_reprice(aictl_t *a, const aictl_usage_t *u)
{
    int               rc;
    char              list[512];
    aictl_column_t    columns[AICTL_BY_MAX + AICTL_NREPRICE];
    aictl_reprice_t   r;

    memset(&r, 0, sizeof(r));
    r.aictl = a;

    rc = aictl_reprice_catalog(a, &r.catalog);
    if (rc != AICTL_OK) {
        return rc;
    }

    r.rows = json_array();
    (void) aictl_usage_columns(u, list, sizeof(list), columns);
    memcpy(columns + u->n, aictl_reprice_sums, sizeof(aictl_reprice_sums));

    rc = aictl_reprice_read(a, u, &r, list);
    json_decref(r.catalog);

    while (r.nlists) {
        ai_models_free(r.lists[--r.nlists].models);
    }

    if (rc != AICTL_OK) {
        json_decref(r.rows);
        return rc;
    }

    if (a->opt[AICTL_OPT_JSON] == NULL) {
        (void) json_array_append_new(r.rows,
                                     aictl_reprice_total(r.rows,
                                                         u->by[0]->name));
    }

    return aictl_rows(a, columns, r.rows);
}
