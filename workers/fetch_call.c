/*
 * Fetching one thing that a catalog names: the call, what is made of its
 * answer, what is written to Redis.  Owns nothing but what an item does.
 */

#include "fetch_in.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ai_crypto.h"
#include "ai_event.h"
#include "sign.h"


static int fetch_headers(fetch_item_t *item);
static void fetch_on_header(void *data, ai_str_t name, ai_str_t value);
static void fetch_on_head(void *data, int status);
static int fetch_on_body(void *data, ai_str_t bytes);
static void fetch_on_done(void *data, http_status_e status, const char *why);
static void fetch_make(uv_work_t *work);
static void fetch_made(uv_work_t *work, int status);
static void fetch_end(fetch_item_t *item, const char *why);
static int fetch_expire(fetch_item_t *item, redis_reply_pt cb);
static const char *fetch_put(fetch_item_t *item);
static void fetch_on_put(redis_t *rc, ai_resp_t *reply, void *data);
static void fetch_on_keep(redis_t *rc, ai_resp_t *reply, void *data);
static void fetch_forget(fetch_item_t *item);


static const http_events_t  fetch_events = {
    fetch_on_header, fetch_on_head, fetch_on_body, fetch_on_done
};


void
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


void
fetch_stop(fetch_item_t *item, const char *why)
{
    http_call_t  *call;

    call = item->call;
    item->call = NULL;
    http_abort(call);

    if (why != NULL) {
        fetch_end(item, why);
        return;
    }

    item->fetched = 0;
    fetch_forget(item);
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

    if (item->fetch->closing || !item->fetch->mine || status != 0) {
        item->fetched = 0;
        fetch_forget(item);
        return;
    }

    if (item->why == NULL) {
        item->why = fetch_put(item);
    }

    fetch_end(item, item->why);
}


/* why: it failed, and the last good one stays. */

static void
fetch_end(fetch_item_t *item, const char *why)
{
    uint64_t  now;

    now = uv_now(&item->fetch->w->loop.uv);
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
    (void) fetch_expire(item, NULL);

    if (!item->said) {
        item->said = 1;
        log_write(LOG_ERROR, item->kind->part, "no %s from %s: %s",
                  item->kind->what, item->name.name, why);
    }
}


static int
fetch_expire(fetch_item_t *item, redis_reply_pt cb)
{
    char    key[AI_KEY_MAX];
    size_t  len;

    len = item->kind->key(key, sizeof(key) - 1,
                          (ai_str_t) { AI_SHA256_HEX, item->name.hex });
    key[len] = '\0';

    return redis_commandf(item->fetch->w->redis, cb, item, "PEXPIRE %s %s",
                          key, FETCH_TTL);
}


/* NULL, or why it could not be. */

static const char *
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
        return "it cannot be signed";
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

    if (redis_command(item->fetch->w->redis, fetch_on_put, item, 5, argv)
        != 0)
    {
        return "it cannot be sent to Redis";
    }

    item->asked++;

    /* What is as it was, too: an edge may have missed the last one. */

    text[0] = item->kind->bell;
    memcpy(text + 1, item->name.hex, AI_SHA256_HEX);
    text[AI_SHA256_HEX + 1] = '\n';

    argv[0] = ai_str("PUBLISH");
    argv[1] = ai_str(AI_KEYS_CHANNEL);
    argv[2] = (ai_str_t) { sizeof(text), text };
    (void) redis_command(item->fetch->w->redis, NULL, NULL, 3, argv);

    return NULL;
}


static void
fetch_on_put(redis_t *rc, ai_resp_t *reply, void *data)
{
    fetch_item_t  *item;

    (void) rc;

    item = data;
    item->asked--;

    if (item->fetch->closing) {
        return;
    }

    item->kept_msec = uv_now(&item->fetch->w->loop.uv);
    item->kept = reply != NULL && reply->type != AI_RESP_ERROR;

    if (!item->kept) {
        item->next_msec = item->kept_msec + FETCH_SOONEST_MSEC;
    }

    if (reply != NULL && !item->kept) {
        log_write(LOG_ERROR, item->kind->part, "%s cannot be written to Redis",
                  item->name.name);
    }
}


void
fetch_keep(fetch_item_t *item)
{
    item->kept_msec = uv_now(&item->fetch->w->loop.uv);

    if (fetch_expire(item, fetch_on_keep) == 0) {
        item->asked++;
    }
}


static void
fetch_on_keep(redis_t *rc, ai_resp_t *reply, void *data)
{
    int64_t        n;
    fetch_item_t  *item;

    (void) rc;

    item = data;
    item->asked--;

    if (redis_int(reply, &n) == 0 && n == 0) {
        item->kept = 0;
        item->next_msec = 0;
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


void
fetch_drop(fetch_item_t *item)
{
    fetch_forget(item);
    curl_slist_free_all(item->headers);
    ai_wipe(&item->name, sizeof(item->name));
    free(item);
}
