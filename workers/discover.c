/*
 * Lists of models as providers give them (ai_provider's discover): which there
 * are, and what is kept of an answer.  Owns nothing.
 */

#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"
#include "ai_event.h"
#include "ai_models.h"
#include "fetch.h"
#include "provider.h"
#include "sign.h"


#define DISCOVER_ANSWER_MAX  (8 * 1024 * 1024)

enum { DISCOVER_OPENAI = 0, DISCOVER_OPENROUTER, DISCOVER_OLLAMA };

static const char *const  discover_types[] = {
    "openai", "openrouter", "ollama", NULL
};


static int discover_named(const catalog_t *c, size_t i, fetch_name_t *n);
static int discover_type(const json_t *value);
static int discover_url(fetch_name_t *n, const route_t *route);
static void discover_headers(fetch_name_t *n, const route_t *route);
static int discover_make(int type, ai_str_t answer, char **text, size_t *len,
    const char **why);
static int discover_row(int type, const json_t *entry, ai_models_row_t *row);
static void discover_price(const json_t *pricing, ai_models_row_t *row);
static int64_t discover_int(const json_t *entry, const char *const *names);
static int discover_cmp(const void *one, const void *two);
static int discover_write(const ai_models_row_t *rows, size_t n, char **text,
    size_t *len);


const fetch_kind_t  fetch_models = {
    .part = "models",
    .what = "models",
    .all = "lists of models",
    .max = DISCOVER_ANSWER_MAX,
    .bell = AI_BELL_MODELS,
    .named = discover_named,
    .make = discover_make,
    .sign = sign_models,
    .key = ai_keys_models
};


static int
discover_named(const catalog_t *c, size_t i, fetch_name_t *n)
{
    size_t         len;
    route_t        route;
    const char    *name;
    json_t        *provider;
    const json_t  *discover, *every;

    discover = NULL;

    json_object_foreach((json_t *) json_object_get(catalog_root(c),
                                                   "providers"),
                        name, provider)
    {
        discover = json_object_get(provider, "discover");

        if (discover != NULL && i-- == 0) {
            break;
        }

        discover = NULL;
    }

    if (discover == NULL) {
        return 0;
    }

    len = strlen(name);
    every = json_object_get(discover, "every");
    n->type = discover_type(json_object_get(discover, "type"));
    n->age = json_integer_value(every);

    if (len >= sizeof(n->name) || n->type < 0
        || n->age < FETCH_AGE_MIN || n->age > 31 * FETCH_AGE_MAX
        || catalog_call(c, (ai_str_t) { len, name }, ai_str("-"), &route) != 0
        || !ai_sha256_hex_ok(route.list))
    {
        return -1;
    }

    memcpy(n->name, name, len);
    memcpy(n->hex, route.list.data, AI_SHA256_HEX);

    if (discover_url(n, &route) != 0) {
        n->url[0] = '\0';
        return 1;
    }

    discover_headers(n, &route);

    return 1;
}


static int
discover_type(const json_t *value)
{
    int          i;
    const char  *type;

    type = json_string_value(value);

    for (i = 0; type != NULL && discover_types[i] != NULL; i++) {
        if (strcmp(type, discover_types[i]) == 0) {
            return i;
        }
    }

    return -1;
}


/* Beside the endpoint that calls go to, or, of Ollama, its own. */

static int
discover_url(fetch_name_t *n, const route_t *route)
{
    char         base[CATALOG_URL_MAX];
    size_t       len;
    ai_buf_t     b;
    const char  *path;

    if (catalog_url(route, base) != 0) {
        return -1;
    }

    base[strcspn(base, "?")] = '\0';
    len = strlen(base);
    path = "/models";

    if (n->type == DISCOVER_OLLAMA || ai_str_eqz(route->api, "anthropic")) {
        path = n->type == DISCOVER_OLLAMA ? "/api/tags"
               : "/v1/models?limit=1000";

        if (len >= 3 && strcmp(base + len - 3, "/v1") == 0) {
            len -= 3;

        } else if (n->type == DISCOVER_OLLAMA && len >= 4
                   && strcmp(base + len - 4, "/api") == 0)
        {
            len -= 4;
        }
    }

    ai_buf_init(&b, n->url, sizeof(n->url));
    ai_buf_add(&b, base, len);
    ai_buf_add_z(&b, path);
    ai_buf_add(&b, "", 1);

    return b.full ? -1 : 0;
}


static void
discover_headers(fetch_name_t *n, const route_t *route)
{
    int                rc;
    unsigned           i;
    ai_buf_t           b;
    ai_str_t           key;
    const provider_t  *provider;

    provider = provider_find(route->api);

    for (i = 0; (rc = catalog_key(route, i, &key)) == 0; i++) { /* void */ }

    if (rc == 1) {
        ai_buf_init(&b, n->header[0], sizeof(n->header[0]));
        ai_buf_add_z(&b, provider != NULL && provider->key_header != NULL
                         ? provider->key_header : "Authorization: Bearer ");
        ai_buf_add_str(&b, key);
        ai_buf_add(&b, "", 1);

        if (b.full) {
            n->header[0][0] = '\0';
        }
    }

    if (provider != NULL && provider->version != NULL) {
        ai_buf_init(&b, n->header[1], sizeof(n->header[1]));
        ai_buf_add(&b, provider->version, strlen(provider->version) + 1);
    }
}


static int
discover_make(int type, ai_str_t answer, char **text, size_t *len,
    const char **why)
{
    int               rc;
    size_t            i, n;
    json_t           *root, *list, *entry;
    ai_models_row_t  *rows;

    root = json_loadb(answer.data, answer.len, JSON_REJECT_DUPLICATES, NULL);
    list = json_object_get(root, type == DISCOVER_OLLAMA ? "models" : "data");

    if (!json_is_array(list)) {
        *why = "it is no list of models";

    } else if (json_array_size(list) == 0 && type != DISCOVER_OLLAMA) {
        *why = "it has no model";

    } else if (json_array_size(list) > AI_MODELS_MAX) {
        *why = "it has too many models";
    }

    rc = -1;

    if (*why == NULL) {
        rows = calloc(json_array_size(list) + 1, sizeof(*rows));
        n = 0;

        if (rows != NULL) {
            json_array_foreach(list, i, entry) {
                n += discover_row(type, entry, &rows[n]) == 0 ? 1 : 0;
            }

            qsort(rows, n, sizeof(*rows), discover_cmp);
            rc = discover_write(rows, n, text, len);
            *why = rc != 0 ? "it is too long" : NULL;
            free(rows);
        }
    }

    json_decref(root);

    return rc;
}


/* What has no name that could be asked for is left out. */

static int
discover_row(int type, const json_t *entry, ai_models_row_t *row)
{
    const json_t  *id;

    static const char *const  contexts[] = {
        "context_length", "context_window", "max_context_length",
        "max_model_len", "max_input_tokens", NULL
    };
    static const char *const  outputs[] = {
        "max_completion_tokens", "max_output_tokens", "max_tokens", NULL
    };

    ai_models_init(row);
    id = json_object_get(entry, type == DISCOVER_OLLAMA ? "name" : "id");

    if (!json_is_string(id)) {
        return -1;
    }

    row->id = (ai_str_t) { json_string_length(id), json_string_value(id) };

    if (!ai_models_id_ok(row->id)) {
        return -1;
    }

    row->context = discover_int(entry, contexts);
    row->output = discover_int(entry, outputs);

    if (type == DISCOVER_OPENROUTER) {

        if (row->output < 0) {
            row->output = discover_int(json_object_get(entry, "top_provider"),
                                       outputs);
        }

        discover_price(json_object_get(entry, "pricing"), row);

    } else if (type == DISCOVER_OLLAMA
               && json_object_get(entry, "remote_host") == NULL)
    {
        /* It runs where it lies. */

        row->of[AI_PRICE_INPUT] = 0;
        row->of[AI_PRICE_OUTPUT] = 0;
    }

    return 0;
}


/*
 * USD a token, as texts; "-1" where it depends.  Only input and output say by
 * 0 that they are free: of the others it means that they cost nothing more.
 * What an image costs is said of some by the image and of others by the token.
 */

static void
discover_price(const json_t *pricing, ai_models_row_t *row)
{
    size_t         i;
    int64_t        price;
    ai_str_t       s;
    ai_price_e     kind;
    const json_t  *value;

    static const struct {
        const char *name;
        ai_price_e  kind;
    } names[] = {
        { "prompt", AI_PRICE_INPUT },
        { "completion", AI_PRICE_OUTPUT },
        { "input_cache_read", AI_PRICE_CACHED },
        { "input_cache_write", AI_PRICE_CACHED_WRITE },
        { "internal_reasoning", AI_PRICE_REASONING },
        { "audio", AI_PRICE_AUDIO },
        { "request", AI_PRICE_REQUEST }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        value = json_object_get(pricing, names[i].name);
        kind = names[i].kind;

        if (json_is_string(value)) {
            s = (ai_str_t) { json_string_length(value),
                             json_string_value(value) };

            if (ai_price_scan(s, kind, &price) == 0
                && (price > 0 || kind == AI_PRICE_INPUT
                    || kind == AI_PRICE_OUTPUT))
            {
                row->of[kind] = price;
            }
        }

        if (kind == AI_PRICE_OUTPUT
            && (row->of[AI_PRICE_INPUT] < 0
                || row->of[AI_PRICE_OUTPUT] < 0))
        {
            row->of[AI_PRICE_INPUT] = -1;
            row->of[AI_PRICE_OUTPUT] = -1;
            return;
        }
    }
}


static int64_t
discover_int(const json_t *entry, const char *const *names)
{
    json_int_t     n;
    const json_t  *value;

    for ( /* void */ ; *names != NULL; names++) {
        value = json_object_get(entry, *names);
        n = json_integer_value(value);

        if (json_is_integer(value) && n > 0 && n <= AI_MODELS_TOKENS_MAX) {
            return n;
        }
    }

    return -1;
}


static int
discover_cmp(const void *one, const void *two)
{
    int                     rc;
    size_t                  len;
    const ai_models_row_t  *a, *b;

    a = one;
    b = two;
    len = a->id.len < b->id.len ? a->id.len : b->id.len;
    rc = memcmp(a->id.data, b->id.data, len);

    return rc ? rc : a->id.len < b->id.len ? -1 : a->id.len > b->id.len;
}


/* Each name once. */

static int
discover_write(const ai_models_row_t *rows, size_t n, char **text,
    size_t *len)
{
    size_t     i;
    ai_buf_t   b;

    *text = malloc(AI_MODELS_TEXT_MAX + AI_SIGN_CATALOG_ADDS);
    if (*text == NULL) {
        return -1;
    }

    ai_buf_init(&b, *text + AI_MODELS_HEAD,
                AI_MODELS_TEXT_MAX - AI_MODELS_HEAD);

    for (i = 0; i < n; i++) {
        if (i == 0 || !ai_str_eq(rows[i].id, rows[i - 1].id)) {
            ai_models_add(&b, &rows[i]);
        }
    }

    if (b.full || ai_models_head(*text, (ai_str_t) { ai_buf_len(&b),
                                                     b.start }) != 0)
    {
        free(*text);
        *text = NULL;
        return -1;
    }

    *len = AI_MODELS_HEAD + ai_buf_len(&b);

    return 0;
}
