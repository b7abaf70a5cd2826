/*
 * Fetching what catalogs name.  Owns the list of it, each with its call and the
 * bytes that have come; what no catalog in use names any more goes.
 */

#include "fetch.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ai_crypto.h"
#include "ai_event.h"
#include "http.h"
#include "sign.h"


#define FETCH_CATALOG_SEC  172800       /* since an edge named it */

typedef struct fetch_item_s  fetch_item_t;

struct fetch_item_s {
    fetch_t             *fetch;
    const fetch_kind_t  *kind;
    fetch_name_t         name;
    struct curl_slist   *headers;   /* of the call */
    http_call_t         *call;      /* under way, or NULL */
    char                *answer;    /* what has come of it */
    size_t               len;
    size_t               size;
    char                *text;      /* what was made of it */
    size_t               text_len;
    const char          *why;       /* nothing could be */
    uv_work_t            work;
    int                  status;
    int64_t              age;
    uint64_t             begun_msec;
    uint64_t             next_msec; /* not before */
    unsigned             fetched:1; /* begun_msec is set */
    unsigned             busy:1;    /* its answer is read elsewhere */
    unsigned             wanted:1;  /* an edge misses something of it */
    unsigned             named:1;   /* by a catalog of this look */
    unsigned             said:1;    /* its failure, in the log */
    fetch_item_t        *next;
};

typedef struct {
    fetch_t             *fetch;
    catalog_wait_t       wait;
} fetch_look_t;

static const fetch_kind_t *const  fetch_kinds[] = {
    &fetch_jwks, &fetch_models
};

#define FETCH_KINDS  (sizeof(fetch_kinds) / sizeof(fetch_kinds[0]))

struct fetch_s {
    worker_t            *w;
    uv_timer_t           timer;
    fetch_item_t        *items;
    fetch_look_t         looks[FETCH_CATALOGS_MAX];
    unsigned             nlooks;    /* without an answer */
    unsigned             full;      /* kinds of which that was said, as bits */
    unsigned             whole:1;   /* every catalog was had */
    unsigned             asking:1;  /* Redis, of this turn */
    unsigned             mine:1;    /* the lease */
    unsigned             closing:1;
};


static void fetch_on_timer(uv_timer_t *timer);
static void fetch_on_exists(redis_t *rc, ai_resp_t *reply, void *data);
static void fetch_on_lease(redis_t *rc, ai_resp_t *reply, void *data);
static void fetch_on_catalogs(redis_t *rc, ai_resp_t *reply, void *data);
static void fetch_on_catalog(catalog_t *c, void *data);
static void fetch_name(fetch_t *f, unsigned kind, const fetch_name_t *name);
static void fetch_sweep(fetch_t *f);
static void fetch_on_wanted(redis_t *rc, ai_resp_t *reply, void *data);
static void fetch_work(fetch_t *f);
static void fetch_begin(fetch_item_t *item);
static int fetch_headers(fetch_item_t *item);
static void fetch_on_header(void *data, ai_str_t name, ai_str_t value);
static void fetch_on_head(void *data, int status);
static int fetch_on_body(void *data, ai_str_t bytes);
static void fetch_on_done(void *data, http_status_e status, const char *why);
static void fetch_make(uv_work_t *work);
static void fetch_made(uv_work_t *work, int status);
static void fetch_end(fetch_item_t *item, const char *why);
static void fetch_put(fetch_item_t *item);
static void fetch_on_put(redis_t *rc, ai_resp_t *reply, void *data);
static void fetch_forget(fetch_item_t *item);
static void fetch_drop(fetch_item_t *item);


static const http_events_t  fetch_events = {
    fetch_on_header, fetch_on_head, fetch_on_body, fetch_on_done
};


fetch_t *
fetch_open(worker_t *w)
{
    unsigned   i;
    fetch_t   *f;

    f = calloc(1, sizeof(*f));
    if (f == NULL) {
        return NULL;
    }

    f->w = w;

    for (i = 0; i < FETCH_CATALOGS_MAX; i++) {
        f->looks[i].fetch = f;
        f->looks[i].wait.done = fetch_on_catalog;
        f->looks[i].wait.data = &f->looks[i];
    }

    uv_timer_init(&w->loop.uv, &f->timer);
    f->timer.data = f;
    uv_timer_start(&f->timer, fetch_on_timer, FETCH_TICK_MSEC,
                   FETCH_TICK_MSEC);

    return f;
}


void
fetch_close(fetch_t *f)
{
    unsigned       i;
    fetch_item_t  *item;

    f->closing = 1;

    for (i = 0; i < FETCH_CATALOGS_MAX; i++) {
        catalog_forget(&f->looks[i].wait);
    }

    for (item = f->items; item != NULL; item = item->next) {
        if (item->call) {
            http_abort(item->call);
            item->call = NULL;
        }
    }

    uv_close((uv_handle_t *) &f->timer, NULL);
}


void
fetch_free(fetch_t *f)
{
    fetch_item_t  *item;

    while ((item = f->items) != NULL) {
        f->items = item->next;
        fetch_drop(item);
    }

    free(f);
}


/* Where no edge has named anything, a turn is one command. */

static void
fetch_on_timer(uv_timer_t *timer)
{
    fetch_t  *f;

    f = timer->data;

    if (f->mine) {
        fetch_work(f);
    }

    if (f->asking || f->nlooks || f->w->draining || f->w->shards == 0
        || !redis_ready(f->w->redis))
    {
        return;
    }

    if (redis_commandf(f->w->redis, fetch_on_exists, f, "EXISTS %s",
                       AI_JWKS_KEY)
        == 0)
    {
        f->asking = 1;
    }
}


static void
fetch_on_exists(redis_t *rc, ai_resp_t *reply, void *data)
{
    int64_t   n;
    fetch_t  *f;

    f = data;
    f->asking = 0;

    if (f->closing || redis_int(reply, &n) != 0 || n == 0) {
        return;
    }

    if (redis_commandf(rc, NULL, NULL, "SET %s %s NX PX %d",
                       AI_JWKS_LEASE_KEY, f->w->id, (int64_t) FETCH_LEASE_MSEC)
        == 0
        && redis_commandf(rc, fetch_on_lease, f, "GET %s", AI_JWKS_LEASE_KEY)
           == 0)
    {
        f->asking = 1;
    }
}


/* Two that believe it is theirs fetch twice, and write the same. */

static void
fetch_on_lease(redis_t *rc, ai_resp_t *reply, void *data)
{
    fetch_t  *f;

    f = data;
    f->asking = 0;

    if (f->closing || reply == NULL) {
        return;
    }

    f->mine = reply->type == AI_RESP_STRING
              && ai_str_eqz(redis_str(reply), f->w->id);

    if (!f->mine) {
        return;
    }

    (void) redis_commandf(rc, NULL, NULL, "PEXPIRE %s %d", AI_JWKS_LEASE_KEY,
                          (int64_t) FETCH_LEASE_MSEC);
    (void) redis_commandf(rc, NULL, NULL, "ZREMRANGEBYSCORE %s -inf %d",
                          AI_JWKS_KEY,
                          (int64_t) (loop_wall_usec() / 1000000)
                          - FETCH_CATALOG_SEC);

    if (redis_commandf(rc, fetch_on_catalogs, f, "ZRANGE %s 0 %d REV",
                       AI_JWKS_KEY, (int64_t) FETCH_CATALOGS_MAX - 1)
        == 0)
    {
        f->asking = 1;
    }

    (void) redis_commandf(rc, fetch_on_wanted, f, "SRANDMEMBER %s %d",
                          AI_JWKS_WANTED_KEY, (int64_t) FETCH_ITEMS_MAX);
}


static void
fetch_on_catalogs(redis_t *rc, ai_resp_t *reply, void *data)
{
    size_t         i, n;
    fetch_t       *f;
    ai_str_t       hex[FETCH_CATALOGS_MAX];
    fetch_item_t  *item;

    (void) rc;

    f = data;
    f->asking = 0;

    if (f->closing || reply == NULL || reply->type != AI_RESP_ARRAY) {
        return;
    }

    for (item = f->items; item != NULL; item = item->next) {
        item->named = 0;
    }

    for (n = 0, i = 0; i < reply->elements && n < FETCH_CATALOGS_MAX; i++) {
        hex[n] = redis_str(redis_item(reply, i));
        n += ai_sha256_hex_ok(hex[n]) ? 1 : 0;
    }

    /* All at once, for some may be had at once. */

    f->whole = 1;
    f->nlooks = (unsigned) n;

    for (i = 0; i < n; i++) {
        catalog_get(f->w->catalogs, hex[i], &f->looks[i].wait);
    }
}


static void
fetch_on_catalog(catalog_t *c, void *data)
{
    int             rc;
    size_t          i;
    fetch_t        *f;
    unsigned        kind;
    fetch_look_t   *look;
    fetch_name_t    name;

    look = data;
    f = look->fetch;

    for (kind = 0; c != NULL && kind < FETCH_KINDS; kind++) {

        for (i = 0; i < FETCH_ITEMS_MAX; i++) {
            memset(&name, 0, sizeof(name));
            rc = fetch_kinds[kind]->named(c, i, &name);

            if (rc == 0) {
                break;
            }

            if (rc == 1) {
                fetch_name(f, kind, &name);
            }
        }

        ai_wipe(&name, sizeof(name));
    }

    if (c == NULL) {
        f->whole = 0;

    } else {
        catalog_release(c);
    }

    if (--f->nlooks == 0 && !f->closing) {
        fetch_sweep(f);
        fetch_work(f);
    }
}


static void
fetch_name(fetch_t *f, unsigned kind, const fetch_name_t *name)
{
    unsigned             n;
    fetch_item_t        *item;
    const fetch_kind_t  *k;

    k = fetch_kinds[kind];
    n = 0;

    for (item = f->items; item != NULL; item = item->next) {

        if (item->kind != k) {
            continue;
        }

        if (strcmp(item->name.hex, name->hex) == 0) {

            /* Where it lies and by which key may have changed. */

            if (!item->busy && item->call == NULL) {
                item->name = *name;
            }

            item->named = 1;
            return;
        }

        n++;
    }

    if (n == FETCH_ITEMS_MAX) {

        if (!(f->full & 1u << kind)) {
            f->full |= 1u << kind;
            log_write(LOG_ERROR, k->part, "more than %d %s are in use, others "
                      "are not fetched", FETCH_ITEMS_MAX, k->all);
        }

        return;
    }

    item = calloc(1, sizeof(*item));
    if (item == NULL) {
        return;
    }

    item->fetch = f;
    item->kind = k;
    item->name = *name;
    item->named = 1;
    item->work.data = item;
    item->next = f->items;
    f->items = item;
}


/* What nobody names any more; not while a catalog is missing. */

static void
fetch_sweep(fetch_t *f)
{
    fetch_item_t  *item, **p;

    for (p = &f->items; f->whole && (item = *p) != NULL; /* void */ ) {

        if (item->named || item->call || item->busy) {
            p = &item->next;
            continue;
        }

        *p = item->next;
        fetch_drop(item);
    }
}


static void
fetch_on_wanted(redis_t *rc, ai_resp_t *reply, void *data)
{
    size_t         i;
    fetch_t       *f;
    fetch_item_t  *item;

    f = data;

    if (f->closing || reply == NULL || reply->type != AI_RESP_ARRAY
        || reply->elements == 0)
    {
        return;
    }

    for (i = 0; i < reply->elements && i < FETCH_ITEMS_MAX; i++) {
        for (item = f->items; item != NULL; item = item->next) {
            if (ai_str_eqz(redis_str(redis_item(reply, i)), item->name.hex)) {
                item->wanted = 1;
            }
        }
    }

    (void) redis_commandf(rc, NULL, NULL, "DEL %s", AI_JWKS_WANTED_KEY);
}


static void
fetch_work(fetch_t *f)
{
    uint64_t       now;
    http_call_t   *call;
    fetch_item_t  *item;

    now = uv_now(&f->w->loop.uv);

    for (item = f->items; item != NULL; item = item->next) {

        if (item->call) {
            if (now - item->begun_msec > FETCH_CALL_MSEC) {
                call = item->call;
                item->call = NULL;
                http_abort(call);
                fetch_end(item, "it takes too long");
            }

            continue;
        }

        if (!f->mine || item->busy || f->w->draining
            || !redis_ready(f->w->redis))
        {
            continue;
        }

        if (!item->fetched || now >= item->next_msec
            || (item->wanted && now - item->begun_msec >= FETCH_SOONEST_MSEC))
        {
            fetch_begin(item);
        }
    }
}


static void
fetch_begin(fetch_item_t *item)
{
    http_request_t  req;

    item->begun_msec = uv_now(&item->fetch->w->loop.uv);
    item->fetched = 1;
    item->wanted = 0;
    item->status = 0;
    item->len = 0;
    item->age = FETCH_AGE;

    if (item->name.url[0] == '\0') {
        fetch_end(item, "it has no URL now, or no key that can ask");
        return;
    }

    if (fetch_headers(item) != 0) {
        fetch_end(item, "no memory");
        return;
    }

    memset(&req, 0, sizeof(req));

    req.url = item->name.url;
    req.headers = item->headers;
    req.connect_msec = FETCH_CONNECT_MSEC;
    req.get = 1;

    item->call = http_start(item->fetch->w->http, &req, &fetch_events, item);

    if (item->call == NULL) {
        fetch_end(item, "no memory");
    }
}


/* What a call was given stays as it is until the call has ended. */

static int
fetch_headers(fetch_item_t *item)
{
    unsigned            i;
    const char         *text;
    struct curl_slist  *list;

    curl_slist_free_all(item->headers);
    item->headers = curl_slist_append(NULL, "Accept: application/json");

    for (i = 0; item->headers != NULL && i < FETCH_HEADERS_MAX; i++) {
        text = item->name.header[i];

        if (text[0] == '\0') {
            continue;
        }

        list = curl_slist_append(item->headers, text);

        if (list == NULL) {
            curl_slist_free_all(item->headers);
        }

        item->headers = list;
    }

    return item->headers == NULL ? -1 : 0;
}


static void
fetch_on_header(void *data, ai_str_t name, ai_str_t value)
{
    fetch_item_t  *item;

    item = data;

    if (name.len == sizeof("cache-control") - 1
        && strncasecmp(name.data, "cache-control", name.len) == 0)
    {
        item->age = fetch_age(value);
    }
}


int64_t
fetch_age(ai_str_t cache_control)
{
    size_t       len;
    int64_t      age;
    const char  *p, *end;

    static const char  name[] = "max-age=";

    p = cache_control.data;
    end = p + cache_control.len;
    len = sizeof(name) - 1;

    for ( /* void */ ; p < end; p++) {

        if ((p == cache_control.data || p[-1] == ' ' || p[-1] == ',')
            && (size_t) (end - p) > len && strncasecmp(p, name, len) == 0)
        {
            break;
        }
    }

    if (p >= end) {
        return FETCH_AGE;
    }

    for (age = 0, p += len; p < end && *p >= '0' && *p <= '9'; p++) {
        if (age < FETCH_AGE_MAX) {
            age = age * 10 + (*p - '0');
        }
    }

    return age < FETCH_AGE_MIN ? FETCH_AGE_MIN
           : age > FETCH_AGE_MAX ? FETCH_AGE_MAX : age;
}


static void
fetch_on_head(void *data, int status)
{
    fetch_item_t  *item;

    item = data;
    item->status = status;
}


static int
fetch_on_body(void *data, ai_str_t bytes)
{
    char          *answer;
    size_t         size;
    fetch_item_t  *item;

    item = data;

    if (bytes.len > item->kind->max - item->len) {
        return -1;
    }

    if (item->len + bytes.len > item->size) {
        size = item->size ? item->size : 4096;

        while (size < item->len + bytes.len) {
            size *= 2;
        }

        answer = realloc(item->answer, size);
        if (answer == NULL) {
            return -1;
        }

        item->answer = answer;
        item->size = size;
    }

    memcpy(item->answer + item->len, bytes.data, bytes.len);
    item->len += bytes.len;

    return 0;
}


static void
fetch_on_done(void *data, http_status_e status, const char *why)
{
    fetch_item_t  *item;

    item = data;
    item->call = NULL;

    if (status != HTTP_OK) {
        fetch_end(item, status == HTTP_REFUSED ? "it is too large" : why);
        return;
    }

    if (item->status != 200) {
        fetch_end(item, item->status / 100 == 3
                        ? "it is a redirect, which is not followed"
                        : "its status is not 200");
        return;
    }

    item->busy = 1;

    if (item->len <= FETCH_LOOP_MAX
        || uv_queue_work(&item->fetch->w->loop.uv, &item->work, fetch_make,
                         fetch_made)
           != 0)
    {
        fetch_make(&item->work);
        fetch_made(&item->work, 0);
    }
}


static void
fetch_make(uv_work_t *work)
{
    fetch_item_t  *item;

    item = work->data;
    item->why = NULL;

    if (item->kind->make(item->name.type,
                         (ai_str_t) { item->len, item->answer }, &item->text,
                         &item->text_len, &item->why)
        != 0 && item->why == NULL)
    {
        item->why = "no memory";
    }
}


static void
fetch_made(uv_work_t *work, int status)
{
    fetch_item_t  *item;

    item = work->data;
    item->busy = 0;

    if (item->fetch->closing || status != 0) {
        fetch_forget(item);
        return;
    }

    if (item->why == NULL) {
        fetch_put(item);
    }

    fetch_end(item, item->why);
}


/* why: it failed, and the last good one stays. */

static void
fetch_end(fetch_item_t *item, const char *why)
{
    char       key[AI_KEY_MAX];
    size_t     len;
    uint64_t   now;
    worker_t  *w;

    w = item->fetch->w;
    now = uv_now(&w->loop.uv);
    fetch_forget(item);

    if (why == NULL) {
        item->next_msec = now + (uint64_t) (item->name.age ? item->name.age
                                                           : item->age) * 1000;

        if (item->said) {
            log_write(LOG_INFO, item->kind->part, "%s is fetched again",
                      item->name.name);
        }

        item->said = 0;
        return;
    }

    item->next_msec = now + FETCH_SOONEST_MSEC;

    len = item->kind->key(key, sizeof(key),
                          (ai_str_t) { AI_SHA256_HEX, item->name.hex });

    if (len != 0 && len < sizeof(key)) {
        key[len] = '\0';
        (void) redis_commandf(w->redis, NULL, NULL, "PEXPIRE %s %s", key,
                              FETCH_TTL);
    }

    if (!item->said) {
        item->said = 1;
        log_write(LOG_ERROR, item->kind->part, "no %s from %s: %s",
                  item->kind->what, item->name.name, why);
    }
}


static void
fetch_put(fetch_item_t *item)
{
    int       made;
    char      key[AI_KEY_MAX];
    size_t    len;
    char      text[AI_SHA256_HEX + 2];
    ai_str_t  argv[5], hex;

    hex = (ai_str_t) { AI_SHA256_HEX, item->name.hex };

    made = item->kind->sign(hex, (ai_str_t) { item->text_len, item->text },
                            item->text + item->text_len);

    if (made == -1) {
        return;
    }

    if (made) {
        item->text_len += AI_SIGN_CATALOG_ADDS;
    }

    len = item->kind->key(key, sizeof(key), hex);

    argv[0] = ai_str("SET");
    argv[1] = (ai_str_t) { len, key };
    argv[2] = (ai_str_t) { item->text_len, item->text };
    argv[3] = ai_str("PX");
    argv[4] = ai_str(FETCH_TTL);

    if (redis_command(item->fetch->w->redis, fetch_on_put, item->fetch, 5,
                      argv)
        != 0)
    {
        return;
    }

    /* What is as it was, too: an edge may have missed the last one. */

    text[0] = item->kind->bell;
    memcpy(text + 1, item->name.hex, AI_SHA256_HEX);
    text[AI_SHA256_HEX + 1] = '\n';

    argv[0] = ai_str("PUBLISH");
    argv[1] = ai_str(AI_KEYS_CHANNEL);
    argv[2] = (ai_str_t) { sizeof(text), text };
    (void) redis_command(item->fetch->w->redis, NULL, NULL, 3, argv);
}


static void
fetch_on_put(redis_t *rc, ai_resp_t *reply, void *data)
{
    fetch_t  *f;

    (void) rc;

    f = data;

    if (!f->closing && reply != NULL && reply->type == AI_RESP_ERROR) {
        log_write(LOG_ERROR, "fetch", "what was fetched cannot be written to "
                  "Redis");
    }
}


static void
fetch_forget(fetch_item_t *item)
{
    free(item->answer);
    item->answer = NULL;
    item->len = 0;
    item->size = 0;
    free(item->text);
    item->text = NULL;
}


static void
fetch_drop(fetch_item_t *item)
{
    fetch_forget(item);
    curl_slist_free_all(item->headers);
    ai_wipe(&item->name, sizeof(item->name));
    free(item);
}
