/*
 * Tokens of service accounts.  Owns the tokens and the fetches under way;
 * waiters are their jobs'.
 */

#include "token.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "ai_crypto.h"
#include "http.h"


#define TOKEN_TICK_MSEC  500        /* while there is a fetch */
#define TOKEN_WORD_MAX   48         /* of an error, in the log */

typedef struct token_s  token_t;

struct token_s {
    tokens_t      *ts;
    unsigned char  account[AI_SHA256_LEN];
    char          *text;        /* NULL: none yet */
    size_t         len;
    uint64_t       until_msec;  /* of the loop's clock: it is good */
    uint64_t       renew_msec;
    uint64_t       used_msec;
    uint64_t       begun_msec;
    uint64_t       next_msec;   /* no fetch before */
    unsigned       failures;    /* in a row */
    const char    *cause;       /* of the last one */

    http_call_t   *call;        /* under way, or NULL */
    char          *body;        /* its request */
    size_t         body_len;
    char          *answer;
    size_t         answer_len;
    int            status;
    char           url[ACCOUNT_URL_MAX];
    token_wait_t  *waits;
    token_wait_t  *told;        /* those of a fetch that is over */
    log_again_t    said;
    token_t       *next;
};

struct tokens_s {
    worker_t           *w;
    uv_timer_t          timer;
    token_t            *all;
    unsigned            n;
    struct curl_slist  *headers;
};


static token_t *token_find(tokens_t *ts, ai_str_t account);
static void token_sweep(tokens_t *ts, uint64_t now);
static void token_fetch(token_t *t, ai_str_t account);
static void token_on_timer(uv_timer_t *timer);
static void token_on_header(void *data, ai_str_t name, ai_str_t value);
static void token_on_head(void *data, int status);
static int token_on_body(void *data, ai_str_t bytes);
static void token_on_done(void *data, http_status_e status, const char *why);
static int token_read(token_t *t);
static void token_error(const token_t *t, char word[TOKEN_WORD_MAX]);
static void token_failed(token_t *t, const char *cause, const char *why);
static void token_end(token_t *t, const char *cause);
static void token_clear(token_t *t);
static void token_drop(token_t *t);


static const http_events_t  token_events = {
    token_on_header, token_on_head, token_on_body, token_on_done
};


tokens_t *
tokens_open(worker_t *w)
{
    tokens_t  *ts;

    ts = calloc(1, sizeof(*ts));
    if (ts == NULL) {
        return NULL;
    }

    ts->headers = curl_slist_append(NULL, "Content-Type: "
                                          "application/x-www-form-urlencoded");

    if (ts->headers == NULL) {
        free(ts);
        return NULL;
    }

    ts->w = w;
    uv_timer_init(&w->loop.uv, &ts->timer);
    ts->timer.data = ts;

    return ts;
}


void
tokens_close(tokens_t *ts)
{
    token_t      *t;
    http_call_t  *call;

    for (t = ts->all; t != NULL; t = t->next) {
        if (t->call != NULL) {
            call = t->call;
            t->call = NULL;
            http_abort(call);
        }
    }

    uv_close((uv_handle_t *) &ts->timer, NULL);
}


void
tokens_free(tokens_t *ts)
{
    token_t  *t;

    while ((t = ts->all) != NULL) {
        ts->all = t->next;
        token_drop(t);
    }

    curl_slist_free_all(ts->headers);
    free(ts);
}


int
token_get(tokens_t *ts, ai_str_t account, token_wait_t *wait, ai_str_t *token,
    const char **cause)
{
    token_t   *t;
    uint64_t   now;

    now = uv_now(&ts->w->loop.uv);
    t = token_find(ts, account);

    if (t == NULL) {
        *cause = "internal";
        return -1;
    }

    t->used_msec = now;

    if (t->call == NULL && now >= t->next_msec
        && (t->text == NULL || now >= t->renew_msec))
    {
        token_fetch(t, account);
    }

    if (t->text != NULL && now < t->until_msec) {
        *token = (ai_str_t) { t->len, t->text };
        return 1;
    }

    if (t->call == NULL) {
        *cause = t->cause;
        return -1;
    }

    wait->next = t->waits;
    wait->prev = &t->waits;

    if (t->waits != NULL) {
        t->waits->prev = &wait->next;
    }

    t->waits = wait;

    return 0;
}


void
token_forget(token_wait_t *wait)
{
    if (wait->prev == NULL) {
        return;
    }

    *wait->prev = wait->next;

    if (wait->next != NULL) {
        wait->next->prev = wait->prev;
    }

    wait->prev = NULL;
    wait->next = NULL;
}


/* A while after it came, so that one that is never taken is not fetched with
 * each job. */

void
token_refused(tokens_t *ts, ai_str_t account)
{
    token_t  *t;

    t = token_find(ts, account);

    if (t != NULL && t->text != NULL
        && uv_now(&ts->w->loop.uv) - t->begun_msec > TOKEN_REFUSED_MSEC)
    {
        token_clear(t);
    }
}


static token_t *
token_find(tokens_t *ts, ai_str_t account)
{
    token_t        *t;
    unsigned char   hash[AI_SHA256_LEN];

    if (ai_sha256(hash, account) != 0) {
        return NULL;
    }

    for (t = ts->all; t != NULL; t = t->next) {
        if (memcmp(t->account, hash, sizeof(hash)) == 0) {
            return t;
        }
    }

    token_sweep(ts, uv_now(&ts->w->loop.uv));

    if (ts->n >= TOKENS_MAX || (t = calloc(1, sizeof(*t))) == NULL) {
        return NULL;
    }

    memcpy(t->account, hash, sizeof(hash));
    t->ts = ts;
    t->cause = "no_key";
    t->next = ts->all;
    ts->all = t;
    ts->n++;

    return t;
}


static void
token_sweep(tokens_t *ts, uint64_t now)
{
    token_t  *t, **p;

    for (p = &ts->all; (t = *p) != NULL; /* void */ ) {

        if (t->call != NULL || now - t->used_msec < TOKEN_IDLE_MSEC) {
            p = &t->next;
            continue;
        }

        *p = t->next;
        ts->n--;
        token_drop(t);
    }
}


static void
token_fetch(token_t *t, ai_str_t account)
{
    http_request_t  req;

    t->begun_msec = uv_now(&t->ts->w->loop.uv);
    t->status = 0;
    t->answer_len = 0;
    t->body = malloc(ACCOUNT_BODY_MAX);
    t->answer = malloc(TOKEN_ANSWER_MAX);

    if (t->body == NULL || t->answer == NULL) {
        token_failed(t, "internal", "no memory");
        return;
    }

    t->body_len = account_request(account,
                                  (int64_t) (loop_wall_usec() / 1000000),
                                  t->url, t->body);

    if (t->body_len == 0) {
        token_failed(t, "no_key", "the key is no service account's");
        return;
    }

    memset(&req, 0, sizeof(req));
    req.url = t->url;
    req.headers = t->ts->headers;
    req.body = t->body;
    req.body_len = t->body_len;
    req.connect_msec = TOKEN_CONNECT_MSEC;
    t->call = http_start(t->ts->w->http, &req, &token_events, t);

    if (t->call == NULL) {
        token_failed(t, "internal", "no memory");
        return;
    }

    if (!uv_is_active((uv_handle_t *) &t->ts->timer)) {
        uv_timer_start(&t->ts->timer, token_on_timer, TOKEN_TICK_MSEC,
                       TOKEN_TICK_MSEC);
    }
}


static void
token_on_timer(uv_timer_t *timer)
{
    token_t      *t;
    uint64_t      now;
    tokens_t     *ts;
    unsigned      busy;
    http_call_t  *call;

    ts = timer->data;
    now = uv_now(&ts->w->loop.uv);
    busy = 0;

    /* Who is told may ask again, which only adds at the head. */

    for (t = ts->all; t != NULL; t = t->next) {

        if (t->call != NULL && now - t->begun_msec > TOKEN_FETCH_MSEC) {
            call = t->call;
            t->call = NULL;
            http_abort(call);
            token_failed(t, "provider_timeout", "it takes too long");
        }
    }

    for (t = ts->all; t != NULL; t = t->next) {
        busy |= t->call != NULL;
    }

    if (!busy) {
        uv_timer_stop(timer);
    }
}


static void
token_on_header(void *data, ai_str_t name, ai_str_t value)
{
    (void) data;
    (void) name;
    (void) value;
}


static void
token_on_head(void *data, int status)
{
    token_t  *t;

    t = data;
    t->status = status;
}


static int
token_on_body(void *data, ai_str_t bytes)
{
    token_t  *t;

    t = data;

    if (bytes.len > TOKEN_ANSWER_MAX - t->answer_len) {
        return -1;
    }

    memcpy(t->answer + t->answer_len, bytes.data, bytes.len);
    t->answer_len += bytes.len;

    return 0;
}


static void
token_on_done(void *data, http_status_e status, const char *why)
{
    char      text[96], word[TOKEN_WORD_MAX];
    token_t  *t;

    t = data;
    t->call = NULL;

    if (status != HTTP_OK) {
        token_failed(t, status == HTTP_TIMEOUT ? "provider_timeout"
                        : "provider_unreachable", why);
        return;
    }

    if (t->status != 200) {
        token_error(t, word);
        (void) snprintf(text, sizeof(text), "status %d %s", t->status, word);
        token_failed(t, t->status < 500 && t->status != 429
                        ? "no_key" : "provider_unreachable", text);
        return;
    }

    if (token_read(t) != 0) {
        token_failed(t, "provider_unreachable", "the answer has no token");
        return;
    }

    t->failures = 0;
    t->next_msec = 0;
    token_end(t, NULL);
}


static int
token_read(token_t *t)
{
    int         rc;
    char       *text;
    size_t      i, len;
    json_t     *root, *token;
    int64_t     life;
    uint64_t    msec;

    root = json_loadb(t->answer, t->answer_len, JSON_REJECT_DUPLICATES, NULL);
    token = json_object_get(root, "access_token");
    len = json_string_length(token);
    text = (char *) json_string_value(token);
    life = json_integer_value(json_object_get(root, "expires_in"));
    rc = len != 0 && len <= TOKEN_MAX && life > 1 ? 0 : -1;

    for (i = 0; i < len && rc == 0; i++) {
        rc = text[i] > ' ' && text[i] <= '~' ? 0 : -1;
    }

    if (rc == 0) {
        token_clear(t);
        t->text = malloc(len);
        rc = t->text != NULL ? 0 : -1;
    }

    if (rc == 0) {
        memcpy(t->text, text, len);
        t->len = len;
        msec = (uint64_t) (life < 86400 ? life : 86400) * 1000;
        t->until_msec = t->begun_msec + msec
                        - (msec / 4 < TOKEN_SPARE_MSEC ? msec / 4
                                                       : TOKEN_SPARE_MSEC);
        t->renew_msec = t->begun_msec + msec
                        - (msec / 2 < TOKEN_EARLY_MSEC ? msec / 2
                                                       : TOKEN_EARLY_MSEC);
    }

    if (text != NULL) {
        ai_wipe(text, len);
    }

    json_decref(root);

    return rc;
}


/* OAuth's word for it, and nothing else of the answer. */

static void
token_error(const token_t *t, char word[TOKEN_WORD_MAX])
{
    size_t       i, len;
    json_t      *root, *error;
    const char  *said;

    root = json_loadb(t->answer, t->answer_len, 0, NULL);
    error = json_object_get(root, "error");
    said = json_string_value(error);
    len = json_string_length(error);
    len = len < TOKEN_WORD_MAX - 1 ? len : TOKEN_WORD_MAX - 1;

    for (i = 0; i < len; i++) {

        if (said[i] != '_' && (said[i] < 'a' || said[i] > 'z')) {
            break;
        }

        word[i] = said[i];
    }

    word[i] = '\0';
    json_decref(root);
}


static void
token_failed(token_t *t, const char *cause, const char *why)
{
    uint64_t  wait;

    log_again(&t->said, LOG_ERROR, "token",
              "no token for a service account: %s", why);

    wait = (uint64_t) TOKEN_RETRY_MSEC << (t->failures < 5 ? t->failures : 5);
    t->failures++;
    t->cause = cause;
    t->next_msec = uv_now(&t->ts->w->loop.uv)
                   + (wait < TOKEN_RETRY_MAX ? wait : TOKEN_RETRY_MAX);
    token_end(t, cause);
}


/* A fetch is over: all who wait are told. */

static void
token_end(token_t *t, const char *cause)
{
    token_wait_t  *wait;

    if (t->body != NULL) {
        ai_wipe(t->body, ACCOUNT_BODY_MAX);
        free(t->body);
        t->body = NULL;
    }

    if (t->answer != NULL) {
        ai_wipe(t->answer, TOKEN_ANSWER_MAX);
        free(t->answer);
        t->answer = NULL;
    }

    /* One that asks anew may begin to wait for the next. */

    if (t->told == NULL && t->waits != NULL) {
        t->told = t->waits;
        t->told->prev = &t->told;
        t->waits = NULL;
    }

    while ((wait = t->told) != NULL) {
        token_forget(wait);
        wait->done(wait->data, cause);
    }
}


static void
token_clear(token_t *t)
{
    if (t->text != NULL) {
        ai_wipe(t->text, t->len);
        free(t->text);
    }

    t->text = NULL;
    t->len = 0;
    t->until_msec = 0;
}


static void
token_drop(token_t *t)
{
    t->waits = NULL;
    t->told = NULL;
    token_end(t, NULL);
    token_clear(t);
    free(t);
}
