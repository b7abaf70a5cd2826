/*
 * Fetching sets of keys.  Owns the list of URLs, each with its call and the
 * bytes that have come; a URL that no catalog in use names any more goes.
 */

#include "jwks.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ai_crypto.h"
#include "ai_event.h"
#include "ai_jwk.h"
#include "catalog.h"
#include "http.h"
#include "sign.h"


#define JWKS_CATALOG_SEC  172800        /* since an edge named it */

typedef struct jwks_url_s  jwks_url_t;

struct jwks_url_s {
    jwks_t       *jwks;
    char          url[AI_JWKS_URL_MAX + 1];
    char          hex[AI_SHA256_HEX + 1];
    http_call_t  *call;         /* under way, or NULL */
    char         *text;         /* what has come of it */
    size_t        len;
    int           status;
    int64_t       age;
    uint64_t      begun_msec;
    uint64_t      next_msec;    /* not before */
    unsigned      fetched:1;    /* begun_msec is set */
    unsigned      wanted:1;     /* an edge misses a key */
    unsigned      named:1;      /* by a catalog of this look */
    unsigned      said:1;       /* its failure, in the log */
    jwks_url_t   *next;
};

typedef struct {
    jwks_t          *jwks;
    catalog_wait_t   wait;
} jwks_look_t;

struct jwks_s {
    worker_t           *w;
    uv_timer_t          timer;
    jwks_url_t         *urls;
    unsigned            nurls;
    struct curl_slist  *headers;
    jwks_look_t         looks[JWKS_CATALOGS_MAX];
    unsigned            nlooks;     /* without an answer */
    unsigned            whole:1;    /* every catalog was had */
    unsigned            asking:1;   /* Redis, of this turn */
    unsigned            mine:1;     /* the lease */
    unsigned            full:1;     /* said so */
    unsigned            closing:1;
};


static void jwks_on_timer(uv_timer_t *timer);
static void jwks_on_exists(redis_t *rc, ai_resp_t *reply, void *data);
static void jwks_on_lease(redis_t *rc, ai_resp_t *reply, void *data);
static void jwks_on_catalogs(redis_t *rc, ai_resp_t *reply, void *data);
static void jwks_on_catalog(catalog_t *c, void *data);
static void jwks_name(jwks_t *j, ai_str_t url);
static void jwks_sweep(jwks_t *j);
static void jwks_on_wanted(redis_t *rc, ai_resp_t *reply, void *data);
static void jwks_work(jwks_t *j);
static void jwks_fetch(jwks_url_t *u);
static void jwks_on_header(void *data, ai_str_t name, ai_str_t value);
static void jwks_on_head(void *data, int status);
static int jwks_on_body(void *data, ai_str_t bytes);
static void jwks_on_done(void *data, http_status_e status, const char *why);
static void jwks_end(jwks_url_t *u, const char *why);
static void jwks_put(jwks_url_t *u);
static void jwks_on_put(redis_t *rc, ai_resp_t *reply, void *data);
static void jwks_drop(jwks_url_t *u);


static const http_events_t  jwks_events = {
    jwks_on_header, jwks_on_head, jwks_on_body, jwks_on_done
};


jwks_t *
jwks_open(worker_t *w)
{
    unsigned   i;
    jwks_t    *j;

    j = calloc(1, sizeof(*j));
    if (j == NULL) {
        return NULL;
    }

    j->headers = curl_slist_append(NULL, "Accept: application/json");

    if (j->headers == NULL) {
        free(j);
        return NULL;
    }

    j->w = w;

    for (i = 0; i < JWKS_CATALOGS_MAX; i++) {
        j->looks[i].jwks = j;
        j->looks[i].wait.done = jwks_on_catalog;
        j->looks[i].wait.data = &j->looks[i];
    }

    uv_timer_init(&w->loop.uv, &j->timer);
    j->timer.data = j;
    uv_timer_start(&j->timer, jwks_on_timer, JWKS_TICK_MSEC, JWKS_TICK_MSEC);

    return j;
}


void
jwks_close(jwks_t *j)
{
    unsigned     i;
    jwks_url_t  *u;

    j->closing = 1;

    for (i = 0; i < JWKS_CATALOGS_MAX; i++) {
        catalog_forget(&j->looks[i].wait);
    }

    for (u = j->urls; u != NULL; u = u->next) {
        if (u->call) {
            http_abort(u->call);
            u->call = NULL;
        }
    }

    uv_close((uv_handle_t *) &j->timer, NULL);
}


void
jwks_free(jwks_t *j)
{
    jwks_url_t  *u;

    while ((u = j->urls) != NULL) {
        j->urls = u->next;
        jwks_drop(u);
    }

    curl_slist_free_all(j->headers);
    free(j);
}


/* Where no edge has named a URL, a turn is one command. */

static void
jwks_on_timer(uv_timer_t *timer)
{
    jwks_t  *j;

    j = timer->data;

    if (j->mine) {
        jwks_work(j);
    }

    if (j->asking || j->nlooks || j->w->draining || j->w->shards == 0
        || !redis_ready(j->w->redis))
    {
        return;
    }

    if (redis_commandf(j->w->redis, jwks_on_exists, j, "EXISTS %s",
                       AI_JWKS_KEY)
        == 0)
    {
        j->asking = 1;
    }
}


static void
jwks_on_exists(redis_t *rc, ai_resp_t *reply, void *data)
{
    int64_t   n;
    jwks_t   *j;

    j = data;
    j->asking = 0;

    if (j->closing || redis_int(reply, &n) != 0 || n == 0) {
        return;
    }

    if (redis_commandf(rc, NULL, NULL, "SET %s %s NX PX %d",
                       AI_JWKS_LEASE_KEY, j->w->id, (int64_t) JWKS_LEASE_MSEC)
        == 0
        && redis_commandf(rc, jwks_on_lease, j, "GET %s", AI_JWKS_LEASE_KEY)
           == 0)
    {
        j->asking = 1;
    }
}


/* Two that believe it is theirs fetch twice, and write the same. */

static void
jwks_on_lease(redis_t *rc, ai_resp_t *reply, void *data)
{
    jwks_t  *j;

    j = data;
    j->asking = 0;

    if (j->closing || reply == NULL) {
        return;
    }

    j->mine = reply->type == AI_RESP_STRING
              && ai_str_eqz(redis_str(reply), j->w->id);

    if (!j->mine) {
        return;
    }

    (void) redis_commandf(rc, NULL, NULL, "PEXPIRE %s %d", AI_JWKS_LEASE_KEY,
                          (int64_t) JWKS_LEASE_MSEC);
    (void) redis_commandf(rc, NULL, NULL, "ZREMRANGEBYSCORE %s -inf %d",
                          AI_JWKS_KEY,
                          (int64_t) (loop_wall_usec() / 1000000)
                          - JWKS_CATALOG_SEC);

    if (redis_commandf(rc, jwks_on_catalogs, j, "ZRANGE %s 0 %d REV",
                       AI_JWKS_KEY, (int64_t) JWKS_CATALOGS_MAX - 1)
        == 0)
    {
        j->asking = 1;
    }

    (void) redis_commandf(rc, jwks_on_wanted, j, "SRANDMEMBER %s %d",
                          AI_JWKS_WANTED_KEY, (int64_t) JWKS_URLS_MAX);
}


static void
jwks_on_catalogs(redis_t *rc, ai_resp_t *reply, void *data)
{
    size_t        i, n;
    jwks_t       *j;
    ai_str_t      hex[JWKS_CATALOGS_MAX];
    jwks_url_t   *u;

    (void) rc;

    j = data;
    j->asking = 0;

    if (j->closing || reply == NULL || reply->type != AI_RESP_ARRAY) {
        return;
    }

    for (u = j->urls; u != NULL; u = u->next) {
        u->named = 0;
    }

    for (n = 0, i = 0; i < reply->elements && n < JWKS_CATALOGS_MAX; i++) {
        hex[n] = redis_str(redis_item(reply, i));
        n += ai_sha256_hex_ok(hex[n]) ? 1 : 0;
    }

    /* All at once, for some may be had at once. */

    j->whole = 1;
    j->nlooks = (unsigned) n;

    for (i = 0; i < n; i++) {
        catalog_get(j->w->catalogs, hex[i], &j->looks[i].wait);
    }
}


static void
jwks_on_catalog(catalog_t *c, void *data)
{
    size_t        i;
    jwks_t       *j;
    ai_str_t      url;
    jwks_look_t  *look;

    look = data;
    j = look->jwks;

    if (c == NULL) {
        j->whole = 0;

    } else {
        for (i = 0; i < JWKS_URLS_MAX && catalog_jwks(c, i, &url); i++) {
            jwks_name(j, url);
        }

        catalog_release(c);
    }

    if (--j->nlooks == 0 && !j->closing) {
        jwks_sweep(j);
        jwks_work(j);
    }
}


static void
jwks_name(jwks_t *j, ai_str_t url)
{
    jwks_url_t  *u;

    if (!ai_jwks_url_ok(url)) {
        return;
    }

    for (u = j->urls; u != NULL; u = u->next) {
        if (ai_str_eqz(url, u->url)) {
            u->named = 1;
            return;
        }
    }

    if (j->nurls == JWKS_URLS_MAX) {

        if (!j->full) {
            j->full = 1;
            log_write(LOG_ERROR, "jwks", "more than %d URLs of keys are in "
                      "use, others are not fetched", JWKS_URLS_MAX);
        }

        return;
    }

    u = calloc(1, sizeof(*u));

    if (u == NULL || ai_sha256_hex(u->hex, url) != 0) {
        free(u);
        return;
    }

    memcpy(u->url, url.data, url.len);
    u->jwks = j;
    u->named = 1;
    u->next = j->urls;
    j->urls = u;
    j->nurls++;
}


/* What nobody names any more; not while a catalog is missing. */

static void
jwks_sweep(jwks_t *j)
{
    jwks_url_t  *u, **p;

    for (p = &j->urls; j->whole && (u = *p) != NULL; /* void */ ) {

        if (u->named || u->call) {
            p = &u->next;
            continue;
        }

        *p = u->next;
        j->nurls--;
        jwks_drop(u);
    }
}


static void
jwks_on_wanted(redis_t *rc, ai_resp_t *reply, void *data)
{
    size_t       i;
    jwks_t      *j;
    jwks_url_t  *u;

    j = data;

    if (j->closing || reply == NULL || reply->type != AI_RESP_ARRAY
        || reply->elements == 0)
    {
        return;
    }

    for (i = 0; i < reply->elements && i < JWKS_URLS_MAX; i++) {
        for (u = j->urls; u != NULL; u = u->next) {
            if (ai_str_eqz(redis_str(redis_item(reply, i)), u->hex)) {
                u->wanted = 1;
            }
        }
    }

    (void) redis_commandf(rc, NULL, NULL, "DEL %s", AI_JWKS_WANTED_KEY);
}


static void
jwks_work(jwks_t *j)
{
    uint64_t      now;
    jwks_url_t   *u;
    http_call_t  *call;

    now = uv_now(&j->w->loop.uv);

    for (u = j->urls; u != NULL; u = u->next) {

        if (u->call) {
            if (now - u->begun_msec > JWKS_CALL_MSEC) {
                call = u->call;
                u->call = NULL;
                http_abort(call);
                jwks_end(u, "it takes too long");
            }

            continue;
        }

        if (!j->mine || j->w->draining || !redis_ready(j->w->redis)) {
            continue;
        }

        if (!u->fetched || now >= u->next_msec
            || (u->wanted && now - u->begun_msec >= JWKS_SOONEST_MSEC))
        {
            jwks_fetch(u);
        }
    }
}


static void
jwks_fetch(jwks_url_t *u)
{
    http_request_t  req;

    memset(&req, 0, sizeof(req));

    req.url = u->url;
    req.headers = u->jwks->headers;
    req.connect_msec = JWKS_CONNECT_MSEC;
    req.get = 1;

    u->begun_msec = uv_now(&u->jwks->w->loop.uv);
    u->fetched = 1;
    u->wanted = 0;
    u->status = 0;
    u->len = 0;
    u->age = JWKS_AGE;

    u->text = malloc(AI_JWKS_MAX + AI_SIGN_CATALOG_ADDS);
    u->call = u->text ? http_start(u->jwks->w->http, &req, &jwks_events, u)
                      : NULL;

    if (u->call == NULL) {
        jwks_end(u, "no memory");
    }
}


static void
jwks_on_header(void *data, ai_str_t name, ai_str_t value)
{
    jwks_url_t  *u;

    u = data;

    if (name.len == sizeof("cache-control") - 1
        && strncasecmp(name.data, "cache-control", name.len) == 0)
    {
        u->age = jwks_age(value);
    }
}


int64_t
jwks_age(ai_str_t cache_control)
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
        return JWKS_AGE;
    }

    for (age = 0, p += len; p < end && *p >= '0' && *p <= '9'; p++) {
        if (age < JWKS_AGE_MAX) {
            age = age * 10 + (*p - '0');
        }
    }

    return age < JWKS_AGE_MIN ? JWKS_AGE_MIN
           : age > JWKS_AGE_MAX ? JWKS_AGE_MAX : age;
}


static void
jwks_on_head(void *data, int status)
{
    jwks_url_t  *u;

    u = data;
    u->status = status;
}


static int
jwks_on_body(void *data, ai_str_t bytes)
{
    jwks_url_t  *u;

    u = data;

    if (bytes.len > AI_JWKS_MAX - u->len) {
        return -1;
    }

    memcpy(u->text + u->len, bytes.data, bytes.len);
    u->len += bytes.len;

    return 0;
}


static void
jwks_on_done(void *data, http_status_e status, const char *why)
{
    ai_jwks_t       *set;
    jwks_url_t      *u;
    ai_jwks_note_t   note;

    u = data;
    u->call = NULL;

    if (status != HTTP_OK) {
        jwks_end(u, status == HTTP_REFUSED ? "it is too large" : why);
        return;
    }

    if (u->status != 200) {
        jwks_end(u, u->status / 100 == 3 ? "it is a redirect, which is not "
                                           "followed"
                                         : "its status is not 200");
        return;
    }

    set = ai_jwks_parse((ai_str_t) { u->len, u->text }, 0, &note);

    if (set == NULL) {
        jwks_end(u, note.why);
        return;
    }

    if (ai_jwks_secret(set)) {
        ai_jwks_free(set);
        jwks_end(u, "it holds a secret");
        return;
    }

    ai_jwks_free(set);
    jwks_put(u);
    jwks_end(u, NULL);
}


/* why: it failed, and the last good set stays. */

static void
jwks_end(jwks_url_t *u, const char *why)
{
    char       key[AI_KEY_MAX];
    uint64_t   now;
    worker_t  *w;

    w = u->jwks->w;
    now = uv_now(&w->loop.uv);

    free(u->text);
    u->text = NULL;

    if (why == NULL) {
        u->next_msec = now + (uint64_t) u->age * 1000;

        if (u->said) {
            log_write(LOG_INFO, "jwks", "%s is fetched again", u->url);
        }

        u->said = 0;
        return;
    }

    u->next_msec = now + JWKS_SOONEST_MSEC;

    if (ai_keys_jwks(key, sizeof(key), (ai_str_t) { AI_SHA256_HEX, u->hex })) {
        (void) redis_commandf(w->redis, NULL, NULL, "PEXPIRE %s %s", key,
                              JWKS_TTL);
    }

    if (!u->said) {
        u->said = 1;
        log_write(LOG_ERROR, "jwks", "no keys from %s: %s", u->url, why);
    }
}


static void
jwks_put(jwks_url_t *u)
{
    int       made;
    char      key[AI_KEY_MAX];
    size_t    len;
    char      text[AI_SHA256_HEX + 2];
    ai_str_t  argv[5];

    made = sign_jwks((ai_str_t) { AI_SHA256_HEX, u->hex },
                     (ai_str_t) { u->len, u->text }, u->text + u->len);

    if (made == -1) {
        return;
    }

    if (made) {
        u->len += AI_SIGN_CATALOG_ADDS;
    }

    len = ai_keys_jwks(key, sizeof(key), (ai_str_t) { AI_SHA256_HEX, u->hex });

    argv[0] = ai_str("SET");
    argv[1] = (ai_str_t) { len, key };
    argv[2] = (ai_str_t) { u->len, u->text };
    argv[3] = ai_str("PX");
    argv[4] = ai_str(JWKS_TTL);

    if (redis_command(u->jwks->w->redis, jwks_on_put, u->jwks, 5, argv) != 0) {
        return;
    }

    /* What is as it was, too: an edge may have missed the last one. */

    text[0] = AI_BELL_JWKS;
    memcpy(text + 1, u->hex, AI_SHA256_HEX);
    text[AI_SHA256_HEX + 1] = '\n';

    argv[0] = ai_str("PUBLISH");
    argv[1] = ai_str(AI_KEYS_CHANNEL);
    argv[2] = (ai_str_t) { sizeof(text), text };
    (void) redis_command(u->jwks->w->redis, NULL, NULL, 3, argv);
}


static void
jwks_on_put(redis_t *rc, ai_resp_t *reply, void *data)
{
    jwks_t  *j;

    (void) rc;

    j = data;

    if (!j->closing && reply != NULL && reply->type == AI_RESP_ERROR) {
        log_write(LOG_ERROR, "jwks", "keys cannot be written to Redis");
    }
}


static void
jwks_drop(jwks_url_t *u)
{
    free(u->text);
    free(u);
}
