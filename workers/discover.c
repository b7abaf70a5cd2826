/*
 * Lists of models as providers give them (ai_provider's discover): which there
 * are, and what is kept of an answer.  Owns nothing.
 */

#include <stdlib.h>
#include <string.h>

#include <strings.h>

#include "account.h"
#include "ai_crypto.h"
#include "ai_event.h"
#include "ai_json.h"
#include "ai_models.h"
#include "fetch.h"
#include "provider.h"
#include "sign.h"


#define DISCOVER_ANSWER_MAX  (8 * 1024 * 1024)
#define DISCOVER_MODEL_MAX   (64 * 1024)    /* bytes that say one model */

/* A model, and which of an answer's it is. */
typedef struct {
    ai_models_row_t  row;
    size_t           place;
} discover_found_t;

enum { DISCOVER_OPENAI = 0, DISCOVER_OPENROUTER, DISCOVER_OLLAMA };

static const char *const  discover_types[] = {
    "openai", "openrouter", "ollama", NULL
};


static int discover_named(const catalog_t *c, size_t i, fetch_name_t *n);
static int discover_type(const json_t *value);
static int discover_url(fetch_name_t *n, const route_t *route);
static int discover_headers(fetch_name_t *n, const route_t *route);
static int discover_header(fetch_name_t *n, const char *name, ai_str_t value);
static int discover_make(int type, ai_str_t answer, char **text, size_t *len,
    const char **why);
static int discover_list(int type, ai_str_t list, char **text, size_t *len,
    const char **why);
static int discover_entry(int type, ai_str_t entry, ai_models_row_t *row,
    char *id);
static int discover_row(int type, const json_t *entry, ai_models_row_t *row);
static void discover_price(const json_t *pricing, ai_models_row_t *row);
static int64_t discover_int(const json_t *entry, const char *const *names);
static int discover_cmp(const void *one, const void *two);
static int discover_write(const discover_found_t *found, size_t n, char **text,
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

    if (discover_url(n, &route) != 0 || discover_headers(n, &route) != 0) {
        n->url[0] = '\0';
    }

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
    const char  *path, *query;

    if (catalog_url(route, base) != 0) {
        return -1;
    }

    len = strcspn(base, "?");
    query = base[len] != '\0' ? base + len + 1 : "";
    path = "/models";

    while (len != 0 && base[len - 1] == '/') {
        len--;
    }

    if (n->type == DISCOVER_OLLAMA || ai_str_eqz(route->api, "anthropic")) {
        path = n->type == DISCOVER_OLLAMA ? "/api/tags"
               : "/v1/models?limit=1000";

        if (len >= 3 && memcmp(base + len - 3, "/v1", 3) == 0) {
            len -= 3;

        } else if (n->type == DISCOVER_OLLAMA && len >= 4
                   && memcmp(base + len - 4, "/api", 4) == 0)
        {
            len -= 4;
        }
    }

    ai_buf_init(&b, n->url, sizeof(n->url));
    ai_buf_add(&b, base, len);
    ai_buf_add_z(&b, path);

    if (*query != '\0') {
        ai_buf_add_z(&b, strchr(path, '?') != NULL ? "&" : "?");
        ai_buf_add_z(&b, query);
    }

    ai_buf_add(&b, "", 1);

    return b.full ? -1 : 0;
}


/* As of a call.  -1: its key is one that signs, or is traded for a token, which
 * no list is asked with, and is never to be sent. */

static int
discover_headers(fetch_name_t *n, const route_t *route)
{
    int                rc;
    size_t             i;
    unsigned           k;
    ai_str_t           key;
    const char        *line;
    const json_t      *item;
    const provider_t  *provider;

    provider = provider_find(route->api);

    json_array_foreach(json_object_get(route->conf, "headers"), i, item) {
        line = json_string_value(item);

        if (line != NULL && strchr(line, ':') != NULL) {
            (void) discover_header(n, line, ai_str(""));
        }
    }

    for (k = 0; (rc = catalog_key(route, k, &key)) == 0; k++) { /* void */ }

    if (rc == 1) {
        if (provider != NULL
            && ((provider->aws != NULL
                 && memchr(key.data, ':', key.len) != NULL)
                || (provider->accounts && account_is(key))))
        {
            return -1;
        }

        line = provider != NULL && provider->key_header != NULL
               ? provider->key_header : "Authorization: Bearer ";

        if (discover_header(n, line, key) != 0) {
            return -1;
        }
    }

    return provider != NULL && provider->version != NULL
           ? discover_header(n, provider->version, ai_str("")) : 0;
}


/* Unless there is one of that name: 0; -1: it has no room, or is none. */

static int
discover_header(fetch_name_t *n, const char *name, ai_str_t value)
{
    size_t     len;
    unsigned   i;
    ai_buf_t   b;

    len = strcspn(name, ":") + 1;

    for (i = 0; i < FETCH_HEADERS_MAX && n->header[i][0] != '\0'; i++) {
        if (strncasecmp(n->header[i], name, len) == 0) {
            return 0;
        }
    }

    if (i == FETCH_HEADERS_MAX || strpbrk(name, "\r\n") != NULL
        || memchr(value.data, '\r', value.len) != NULL
        || memchr(value.data, '\n', value.len) != NULL
        || memchr(value.data, '\0', value.len) != NULL)
    {
        return -1;
    }

    ai_buf_init(&b, n->header[i], sizeof(n->header[i]));
    ai_buf_add_z(&b, name);
    ai_buf_add_str(&b, value);
    ai_buf_add(&b, "", 1);

    if (b.full) {
        ai_wipe(n->header[i], sizeof(n->header[i]));
        return -1;
    }

    return 0;
}


/* Model by model: a tree of all of it would be a hundred times its size. */

static int
discover_make(int type, ai_str_t answer, char **text, size_t *len,
    const char **why)
{
    size_t                  at, n;
    ai_str_t                list, entry;
    ai_json_t               j;
    ai_json_type_e          kind;
    const ai_json_field_t  *f;

    static const char *const  names[] = { "data", "models", NULL };

    f = &j.fields[type == DISCOVER_OLLAMA ? 1 : 0];

    if (ai_json_scan(&j, names, answer, answer.len + 1, 0) != AI_JSON_OK
        || f->type != AI_JSON_ARRAY)
    {
        *why = "it is no list of models";
        return -1;
    }

    list = (ai_str_t) { (size_t) (f->end - f->start), answer.data + f->start };
    at = 0;

    for (n = 0; n <= AI_MODELS_MAX
                && ai_json_each(list, &at, &entry, &kind) == 1; n++)
    {
        /* void */
    }

    if (n == 0 && type != DISCOVER_OLLAMA) {
        *why = "it has no model";
        return -1;
    }

    if (n > AI_MODELS_MAX) {
        *why = "it has too many models";
        return -1;
    }

    return discover_list(type, list, text, len, why);
}


static int
discover_list(int type, ai_str_t list, char **text, size_t *len,
    const char **why)
{
    int                rc, none;
    char              *ids;
    size_t             at, n;
    ai_str_t           entry;
    ai_json_type_e     kind;
    discover_found_t  *found;

    found = calloc(AI_MODELS_MAX, sizeof(*found));
    ids = malloc((size_t) AI_MODELS_MAX * AI_MODELS_ID_MAX);
    rc = -1;

    if (found != NULL && ids != NULL) {
        n = 0;
        at = 0;
        none = 1;

        while (n < AI_MODELS_MAX
               && ai_json_each(list, &at, &entry, &kind) == 1)
        {
            none = 0;

            if (kind == AI_JSON_OBJECT && entry.len <= DISCOVER_MODEL_MAX
                && discover_entry(type, entry, &found[n].row,
                                  ids + n * AI_MODELS_ID_MAX)
                   == 0)
            {
                found[n].place = n;
                n++;
            }
        }

        qsort(found, n, sizeof(*found), discover_cmp);
        rc = n != 0 || none ? discover_write(found, n, text, len)
                                     : -1;
        *why = rc == 0 ? NULL
               : n != 0 ? "it is too long" : "it has no model";
    }

    free(found);
    free(ids);

    return rc;
}


static int
discover_entry(int type, ai_str_t entry, ai_models_row_t *row, char *id)
{
    int      rc;
    json_t  *root;

    root = json_loadb(entry.data, entry.len, JSON_REJECT_DUPLICATES, NULL);
    rc = root != NULL ? discover_row(type, root, row) : -1;

    if (rc == 0) {
        memcpy(id, row->id.data, row->id.len);
        row->id.data = id;
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


/* Of equal names the first is the first. */

static int
discover_cmp(const void *one, const void *two)
{
    int                      rc;
    size_t                   len;
    const ai_str_t          *x, *y;
    const discover_found_t  *a, *b;

    a = one;
    b = two;
    x = &a->row.id;
    y = &b->row.id;
    len = x->len < y->len ? x->len : y->len;
    rc = memcmp(x->data, y->data, len);

    return rc ? rc
           : x->len != y->len ? (x->len < y->len ? -1 : 1)
           : a->place < b->place ? -1 : a->place > b->place;
}


/* Each name once. */

static int
discover_write(const discover_found_t *found, size_t n, char **text,
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
        if (i == 0 || !ai_str_eq(found[i].row.id, found[i - 1].row.id)) {
            ai_models_add(&b, &found[i].row);
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
