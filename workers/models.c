/*
 * Lists of models.  Owns them; one that nobody names any more goes.
 */

#include "models.h"

#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"
#include "redis.h"
#include "sign.h"


typedef struct models_list_s  models_list_t;

struct models_list_s {
    models_t       *models;
    char            hex[AI_SHA256_HEX];
    char            head[AI_MODELS_HEAD];   /* of what was read last */
    ai_models_t    *list;       /* NULL: not read yet */
    uint64_t        used_msec;
    uint64_t        asked_usec; /* the look that is under way */
    uint64_t        seen_usec;  /* the last one that was answered: when it
                                 * was asked */
    log_again_t     refused;
    unsigned        busy:1;     /* Redis is asked */
    models_list_t  *next;
};

struct models_s {
    worker_t       *w;
    uv_timer_t      timer;
    models_list_t  *lists;
    unsigned        nlists;
    unsigned        closing:1;
};


static void models_on_timer(uv_timer_t *timer);
static models_list_t *models_find(models_t *ms, ai_str_t hex);
static models_list_t *models_add(models_t *ms, ai_str_t hex);
static void models_get(models_list_t *l, int head);
static void models_on_head(redis_t *rc, ai_resp_t *reply, void *data);
static void models_on_text(redis_t *rc, ai_resp_t *reply, void *data);
static void models_take(models_list_t *l, ai_str_t text);


models_t *
models_open(worker_t *w)
{
    models_t  *ms;

    ms = calloc(1, sizeof(*ms));
    if (ms == NULL) {
        return NULL;
    }

    ms->w = w;
    uv_timer_init(&w->loop.uv, &ms->timer);
    ms->timer.data = ms;
    uv_timer_start(&ms->timer, models_on_timer, MODELS_LOOK_MSEC,
                   MODELS_LOOK_MSEC);

    return ms;
}


void
models_close(models_t *ms)
{
    ms->closing = 1;
    uv_close((uv_handle_t *) &ms->timer, NULL);
}


void
models_free(models_t *ms)
{
    models_list_t  *l;

    while ((l = ms->lists) != NULL) {
        ms->lists = l->next;
        ai_models_free(l->list);
        free(l);
    }

    free(ms);
}


void
models_named(models_t *ms, const catalog_t *c)
{
    ai_str_t      hex;
    const char   *key;
    json_t       *provider;
    const json_t *list;

    json_object_foreach((json_t *) json_object_get(catalog_root(c),
                                                   "providers"),
                        key, provider)
    {
        list = json_object_get(json_object_get(provider, "discover"), "list");

        if (!json_is_string(list)) {
            continue;
        }

        hex = (ai_str_t) { json_string_length(list),
                           json_string_value(list) };

        if (ai_sha256_hex_ok(hex) && models_find(ms, hex) == NULL) {
            (void) models_add(ms, hex);
        }
    }
}


void
models_want(models_t *ms, ai_str_t hex, ai_str_t model)
{
    models_list_t  *l;

    if (!ai_sha256_hex_ok(hex)) {
        return;
    }

    l = models_find(ms, hex);

    if (l == NULL) {
        (void) models_add(ms, hex);

    } else if (!l->busy
               && (l->list == NULL
                   || ai_models_find(l->list, model) == NULL))
    {
        models_get(l, l->list != NULL);
    }
}


int
models_price(models_t *ms, ai_str_t hex, ai_str_t model, uint64_t since_usec,
    ai_price_t *price)
{
    models_list_t          *l;
    const ai_models_row_t  *row;

    if (!ai_sha256_hex_ok(hex)) {
        return 0;
    }

    l = models_find(ms, hex);

    if (l == NULL) {
        l = models_add(ms, hex);
        return l == NULL ? 0 : -1;
    }

    row = l->list != NULL ? ai_models_find(l->list, model) : NULL;

    if (row != NULL) {
        ai_models_price(row, price);
        return 0;
    }

    if (l->busy) {
        return -1;
    }

    if (l->seen_usec != 0 && l->seen_usec >= since_usec) {
        return 0;
    }

    models_get(l, l->list != NULL);

    return -1;
}


void
models_last(models_t *ms, ai_str_t hex, ai_str_t model, ai_price_t *price)
{
    models_list_t          *l;
    const ai_models_row_t  *row;

    l = ai_sha256_hex_ok(hex) ? models_find(ms, hex) : NULL;
    row = l != NULL && l->list != NULL ? ai_models_find(l->list, model)
                                       : NULL;

    if (row != NULL) {
        ai_models_price(row, price);
    }
}


static models_list_t *
models_find(models_t *ms, ai_str_t hex)
{
    models_list_t  *l;

    for (l = ms->lists; l != NULL; l = l->next) {
        if (memcmp(l->hex, hex.data, sizeof(l->hex)) == 0) {
            l->used_msec = uv_now(&ms->w->loop.uv);
            break;
        }
    }

    return l;
}


/* Its text is asked for at once: before a call that begins now has ended. */

static models_list_t *
models_add(models_t *ms, ai_str_t hex)
{
    models_list_t  *l;

    if (ms->nlists == MODELS_LISTS_MAX
        || (l = calloc(1, sizeof(*l))) == NULL)
    {
        return NULL;
    }

    l->models = ms;
    memcpy(l->hex, hex.data, sizeof(l->hex));
    l->used_msec = uv_now(&ms->w->loop.uv);
    l->next = ms->lists;
    ms->lists = l;
    ms->nlists++;
    models_get(l, 0);

    return l;
}


static void
models_on_timer(uv_timer_t *timer)
{
    uint64_t         now;
    models_t        *ms;
    models_list_t   *l, **p;

    ms = timer->data;
    now = uv_now(&ms->w->loop.uv);

    for (p = &ms->lists; (l = *p) != NULL; /* void */ ) {

        if (l->busy) {
            p = &l->next;
            continue;
        }

        if (now - l->used_msec > MODELS_KEPT_MSEC) {
            *p = l->next;
            ms->nlists--;
            ai_models_free(l->list);
            free(l);
            continue;
        }

        models_get(l, 1);
        p = &l->next;
    }
}


/* head: only what tells whether it is another text. */

static void
models_get(models_list_t *l, int head)
{
    char      key[AI_KEY_MAX], to[24];
    ai_buf_t  b;
    ai_str_t  argv[4];

    l->asked_usec = loop_now_usec(&l->models->w->loop);
    argv[0] = head ? ai_str("GETRANGE") : ai_str("GET");
    argv[1].data = key;
    argv[1].len = ai_keys_models(key, sizeof(key),
                                 (ai_str_t) { sizeof(l->hex), l->hex });
    argv[2] = ai_str("0");

    ai_buf_init(&b, to, sizeof(to));
    ai_buf_add_int(&b, AI_MODELS_HEAD - 1);
    argv[3] = (ai_str_t) { ai_buf_len(&b), to };

    if (redis_command(l->models->w->redis,
                      head ? models_on_head : models_on_text, l,
                      head ? 4 : 2, argv)
        == 0)
    {
        l->busy = 1;
    }
}


static void
models_on_head(redis_t *rc, ai_resp_t *reply, void *data)
{
    ai_str_t        head;
    models_list_t  *l;

    (void) rc;

    l = data;
    l->busy = 0;

    if (l->models->closing || reply == NULL) {
        return;
    }

    /* An error is an answer, too: nobody waits for a better one. */

    head = redis_str(reply);

    if (reply->type == AI_RESP_STRING && head.len == sizeof(l->head)
        && memcmp(head.data, l->head, sizeof(l->head)) != 0)
    {
        models_get(l, 0);

    } else {
        l->seen_usec = l->asked_usec;
    }
}


static void
models_on_text(redis_t *rc, ai_resp_t *reply, void *data)
{
    models_list_t  *l;

    (void) rc;

    l = data;
    l->busy = 0;

    if (l->models->closing || reply == NULL) {
        return;
    }

    l->seen_usec = l->asked_usec;

    if (reply->type == AI_RESP_STRING) {
        models_take(l, redis_str(reply));
    }
}


static void
models_take(models_list_t *l, ai_str_t text)
{
    ai_str_t      mac;
    ai_models_t  *list;
    const char   *why;

    mac = ai_sign_catalog_cut(&text);
    why = sign_models_refused((ai_str_t) { sizeof(l->hex), l->hex }, text,
                              mac);
    list = why == NULL ? ai_models_parse(text) : NULL;

    if (list == NULL) {
        log_again(&l->refused, LOG_ERROR, "models",
                  "the list %.16s... is refused: %s", l->hex,
                  why != NULL ? why : "it is none");
        return;
    }

    memcpy(l->head, text.data, sizeof(l->head));
    ai_models_free(l->list);
    l->list = list;
}
