/*
 * The provider call of a job: address, headers, key, and what comes back.
 * A job owns its headers; the key is wiped from them with the call.
 */

#include "body.h"
#include "failure.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "account.h"
#include "ai_crypto.h"
#include "ai_headers.h"
#include "models.h"


#define CALL_HEADERS_MAX  128
#define CALL_QUERY_MAX    1024
#define CALL_URL_MAX      (CATALOG_URL_MAX + PROVIDER_PATH_MAX + CALL_QUERY_MAX)


static void call_ask(job_t *job);
static void call_unfit(job_t *job, retry_why_e why, const char *cause,
    const char *message);
static int call_own(job_t *job, ai_str_t *key);
static void call_on_own(void *data, int away);
static int call_token(job_t *job, ai_str_t *key);
static void call_on_token(void *data, const char *cause);
static int call_url(job_t *job, char url[CALL_URL_MAX]);
static int call_aws(job_t *job, ai_str_t key, char *url, aws_t *aws,
    http_request_t *req, char *target);
static int call_headers(job_t *job, ai_str_t key, const aws_t *aws);
static int call_theirs(const job_t *job, const char *line);
static int call_add(job_t *job, ai_str_t a, ai_str_t b);
static int call_foreign(const job_t *job, ai_str_t name);
static int call_signs(const job_t *job, ai_str_t name, ai_str_t value);
static int call_begins(ai_str_t name, const char *line);
static int call_has(const job_t *job, ai_str_t line);
static void call_free(job_t *job);
static void call_on_header(void *data, ai_str_t name, ai_str_t value);
static void call_on_head(void *data, int status);
static int call_on_body(void *data, ai_str_t bytes);
static void call_on_done(void *data, http_status_e status, const char *why);


static const http_events_t  call_events = {
    call_on_header, call_on_head, call_on_body, call_on_done
};


void
call_begin(job_t *job)
{
    job->called_usec = loop_now_usec(&job->w->loop);
    job->calls++;

    if (job->began_usec == 0) {
        job->began_usec = job->called_usec;
    }

    job->answer.calls = job->calls;
    job->answer.began_usec = job->began_usec;

    /* It shows nothing of a provider. */

    if (job->estimate) {
        job->noted = 1;
        count_begin(job);
        return;
    }

    if (job->route.by == CATALOG_BY_BUSY
        || job->route.by == CATALOG_BY_LATENCY || job->route.hedge_msec == 0)
    {
        job->target = target_began(job->w->targets, &job->route);
    }

    if (ai_str_eqz(job->route.api, "echo")) {
        job->ever_called = 1;

        if (echo_begin(job) != 0) {
            job_fail(job, "internal", NULL);
        }

        return;
    }

    call_ask(job);
}


/* Once more, when what its key is traded for is there. */

static void
call_ask(job_t *job)
{
    char            url[CALL_URL_MAX], target[CALL_URL_MAX];
    aws_t           aws;
    ai_str_t        key;
    breaker_call_t  call;
    http_request_t  req;

    call = failure_call(job);
    call.key = 0;

    switch (call_own(job, &key)) {

    case 1:
        break;

    case 0:
        if (breaker_key(job->w->breakers, &call, &key) == -1) {
            call_unfit(job, RETRY_NO_KEY, "no_key", NULL);
            return;
        }

        break;

    default:
        return;
    }

    job->key = call.key;
    job->answer.own = job->route.own[0] != '\0';

    if (job->provider->accounts && account_is(key)
        && !call_token(job, &key))
    {
        return;
    }

    switch (call_url(job, url)) {

    case 0:
        break;

    case -2:
        call_unfit(job, RETRY_UNFIT, "model_not_found", NULL);
        return;

    default:
        log_job(LOG_ERROR, "call", job->spec.tenant, job->spec.id,
                "provider %.*s has no valid address",
                (int) job->route.provider.len, job->route.provider.data);
        call_unfit(job, RETRY_NO_KEY, "no_key", NULL);
        return;
    }

    if (call_aws(job, key, url, &aws, &req, target) != 0) {
        ai_wipe(&aws, sizeof(aws));
        log_job(LOG_ERROR, "call", job->spec.tenant, job->spec.id,
                "provider %.*s: its key cannot sign, or has no region",
                (int) job->route.provider.len, job->route.provider.data);
        call_unfit(job, RETRY_NO_KEY, "no_key", NULL);
        return;
    }

    if (call_headers(job, key, req.aws) != 0) {
        ai_wipe(&aws, sizeof(aws));
        job_fail(job, "internal", NULL);
        return;
    }

    if (!ai_price_known(&job->route.price)) {
        models_want(job->w->models, job->route.list, job->route.model);
    }

    req.url = url;
    req.headers = job->headers;
    req.body = job->request != NULL ? job->request : job->body.data;
    req.body_len = job->request_len;
    req.connect_msec = job->route.connect_msec;
    req.stream = job->spec.stream;
    req.get = 0;

    job->call = http_start(job->w->http, &req, &call_events, job);
    ai_wipe(&aws, sizeof(aws));

    if (job->call == NULL) {
        job_fail(job, "internal", NULL);
        return;
    }

    job->ever_called = 1;
}


/* It was not called: another target is, or the job fails. */

static void
call_unfit(job_t *job, retry_why_e why, const char *cause,
    const char *message)
{
    job->calls--;
    job->called_usec = 0;

    if (!retry_failed(job, why)) {
        job_fail(job, cause, message);
    }
}


void
call_abort(job_t *job)
{
    if (job->call != NULL) {
        http_abort(job->call);
        job->call = NULL;
    }

    if (job->echo != NULL) {
        echo_abort(job);
    }

    token_forget(&job->token);
    own_forget(&job->own);

    call_free(job);
}


void
call_pause(job_t *job)
{
    if (job->call != NULL) {
        http_pause(job->call);
    }
}


void
call_resume(job_t *job)
{
    if (job->call != NULL) {
        http_resume(job->call);

    } else if (job->echo != NULL) {
        echo_resume(job);
    }
}


/*
 * The key of the tenant's own: 1; 0: it has none, and the platform's is used;
 * -1: the job waits to know it, or was not called.
 */

static int
call_own(job_t *job, ai_str_t *key)
{
    job->own.done = call_on_own;
    job->own.data = job;

    switch (own_get(job->w->owns, job->spec.tenant, &job->route,
                    job->own_away ? NULL : &job->own, key))
    {

    case OWN_KEY:
        return 1;

    case OWN_NONE:
        if (job->route.tenant_keys != CATALOG_OWN_REQUIRED) {
            return 0;
        }

        call_unfit(job, RETRY_NO_KEY, "no_key", "This provider is called with "
                   "a key of the tenant's own, and the tenant has none.");
        return -1;

    case OWN_SHUT:
        call_unfit(job, RETRY_NO_KEY, "no_key", "The tenant's own key of this "
                   "provider cannot be opened.");
        return -1;

    case OWN_WAIT:
        if (!job->own_away) {
            return -1;
        }

        break;

    default:
        break;
    }

    call_unfit(job, RETRY_NO_KEY, "unavailable", "It is not known just now "
               "whether the tenant has a key of its own of this provider.");
    return -1;
}


static void
call_on_own(void *data, int away)
{
    job_t  *job;

    job = data;
    job->own_away = away ? 1 : 0;
    job->heard_msec = uv_now(&job->w->loop.uv);
    job->called_usec = loop_now_usec(&job->w->loop);
    job_ref(job);
    call_ask(job);
    job_unref(job);
}


/* The key of an account is traded for a token: 1, or 0: the job waits for it,
 * or has failed. */

static int
call_token(job_t *job, ai_str_t *key)
{
    int          rc;
    const char  *cause;

    job->token.done = call_on_token;
    job->token.data = job;
    rc = token_get(job->w->tokens, *key, &job->token, key, &cause);

    if (rc == -1) {
        call_unfit(job, RETRY_NO_KEY, cause, NULL);
    }

    return rc == 1;
}


static void
call_on_token(void *data, const char *cause)
{
    job_t  *job;

    job = data;

    if (cause != NULL) {
        call_unfit(job, RETRY_NO_KEY, cause, NULL);
        return;
    }

    job->heard_msec = uv_now(&job->w->loop.uv);
    call_ask(job);
}


/* 0; -1: the provider has no address, -2: nor such a model. */

static int
call_url(job_t *job, char url[CALL_URL_MAX])
{
    int               rc;
    char              base[CATALOG_URL_MAX], query[CALL_QUERY_MAX];
    ai_buf_t          b, q;
    provider_place_t  place;

    if (catalog_url(&job->route, base) != 0) {
        return -1;
    }

    ai_buf_init(&q, query, sizeof(query));

    if (job->translate == NULL) {
        ai_headers_query(&q, job->dialect, job->spec.query);
    }

    memset(&place, 0, sizeof(place));
    place.base = (ai_str_t) { strlen(base), base };
    place.model = job->route.model;
    place.stream = job->spec.stream;

    ai_buf_init(&b, url, CALL_URL_MAX);
    rc = provider_url(&b, job->provider, &place,
                      (ai_str_t) { ai_buf_len(&q), query });
    ai_buf_add(&b, "", 1);

    return b.full ? -1 : rc != 0 ? -2 : 0;
}


/* 0, or -1: a key that is to sign cannot. */

static int
call_aws(job_t *job, ai_str_t key, char *url, aws_t *aws,
    http_request_t *req, char *target)
{
    int          rc;
    ai_str_t     base, region;
    const char  *z;

    req->aws = NULL;
    req->target = NULL;
    memset(aws, 0, sizeof(*aws));

    if (job->provider->aws == NULL) {
        return 0;
    }

    z = json_string_value(json_object_get(json_object_get(job->route.conf,
                                                          "options"),
                                          "region"));
    region = z != NULL ? (ai_str_t) { strlen(z), z } : ai_str("");
    base = (ai_str_t) { strlen(url), url };
    rc = aws_key(aws, key, job->provider->aws, region, base);

    if (rc == 0) {
        return 0;
    }

    if (rc == 1) {
        req->aws = aws;
        rc = aws_path(curl_version_info(CURLVERSION_NOW)->version_num, url,
                      CALL_URL_MAX, target, CALL_URL_MAX);
        req->target = rc == 1 ? target : NULL;
    }

    return rc < 0 ? -1 : 0;
}


static int
call_headers(job_t *job, ai_str_t key, const aws_t *aws)
{
    int            rc;
    size_t         i;
    unsigned       n;
    ai_str_t       line, name, value;
    const char    *colon, *z;
    const json_t  *item;

    rc = 0;

    json_array_foreach(json_object_get(job->route.conf, "headers"), i, item) {
        z = json_string_value(item);

        if (z != NULL && strchr(z, ':') != NULL && i < CALL_HEADERS_MAX
            && strpbrk(z, "\r\n") == NULL && !call_theirs(job, z))
        {
            rc |= call_add(job, (ai_str_t) { strlen(z), z }, ai_str(""));
        }
    }

    if (aws != NULL) {
        line = ai_str("X-Amz-Security-Token: ");

        if (aws->token.len != 0) {
            rc |= call_add(job, line, aws->token);
        }

    } else if (key.len != 0) {
        z = job->provider->key_header;
        line = (ai_str_t) { strlen(z), z };

        if (memchr(key.data, '\r', key.len) == NULL
            && memchr(key.data, '\n', key.len) == NULL
            && !call_has(job, line))
        {
            rc |= call_add(job, line, key);
        }
    }

    for (n = 0; n < job->spec.nheaders; n++) {
        line = job->spec.headers[n];
        colon = memchr(line.data, ':', line.len);

        if (colon == NULL) {
            continue;
        }

        name.data = line.data;
        name.len = (size_t) (colon - line.data);
        value.data = colon + 1;
        value.len = line.len - name.len - 1;

        while (value.len != 0 && value.data[0] == ' ') {
            value.data++;
            value.len--;
        }

        if (ai_headers_valid(name, value) && !ai_headers_never(name)
            && value.len != 0 && !call_foreign(job, name)
            && !call_has(job, line)
            && (aws == NULL || call_signs(job, name, value)))
        {
            rc |= call_add(job, line, ai_str(""));
        }
    }

    if (job->provider->version != NULL) {
        z = job->provider->version;
        line = (ai_str_t) { strlen(z), z };

        if (!call_has(job, line)) {
            rc |= call_add(job, line, ai_str(""));
        }
    }

    line = ai_str("Content-Type: application/json");

    if (!call_has(job, line)) {
        rc |= call_add(job, line, ai_str(""));
    }

    if (!call_has(job, ai_str("User-Agent:"))) {
        rc |= call_add(job, ai_str("User-Agent: ngx-ai"), ai_str(""));
    }

    /* Older libcurls sign this one, which is not sent. */

    return aws != NULL ? rc : rc | call_add(job, ai_str("Expect:"),
                                            ai_str(""));
}


/* Whether a header of the provider's is the platform's key, in a call that is
 * made with the tenant's own. */

static int
call_theirs(const job_t *job, const char *line)
{
    const char  *z;

    z = job->provider->key_header;

    return job->route.own[0] != '\0' && z != NULL
           && strncasecmp(z, line, strcspn(z, ":") + 1) == 0;
}


static int
call_add(job_t *job, ai_str_t a, ai_str_t b)
{
    char               *line;
    struct curl_slist  *headers;

    line = malloc(a.len + b.len + 1);
    if (line == NULL) {
        return -1;
    }

    memcpy(line, a.data, a.len);
    memcpy(line + a.len, b.data, b.len);
    line[a.len + b.len] = '\0';

    headers = curl_slist_append(job->headers, line);
    ai_wipe(line, a.len + b.len);
    free(line);

    if (headers == NULL) {
        return -1;
    }

    job->headers = headers;

    return 0;
}


/* Whether the client's dialect has this header and the provider's has not. */

static int
call_foreign(const job_t *job, ai_str_t name)
{
    return job->translate != NULL && ai_headers_in(job->dialect, name)
           && !ai_headers_in(job->provider->dialect, name);
}


/*
 * Whether a client's header can be signed with the others.  AWS' own are not
 * its business; older libcurls order a name that begins with another wrongly,
 * and nobody can say what bytes a server makes of what is no ASCII.
 */

static int
call_signs(const job_t *job, ai_str_t name, ai_str_t value)
{
    size_t              i;
    struct curl_slist  *h;

    static const char *const  own[] = {
        "Host:", "User-Agent:", "Content-Type:", "X-Amz-Date:",
        "X-Amz-Security-Token:", NULL
    };

    if (name.len >= 6 && strncasecmp(name.data, "x-amz-", 6) == 0) {
        return 0;
    }

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < ' ' || value.data[i] > '~') {
            return 0;
        }
    }

    for (i = 0; own[i] != NULL; i++) {
        if (call_begins(name, own[i])) {
            return 0;
        }
    }

    for (h = job->headers; h != NULL; h = h->next) {
        if (call_begins(name, h->data)) {
            return 0;
        }
    }

    return 1;
}


/* Whether a name is that of a line, or one begins with the other and goes on
 * with what is less than the colon behind that. */

static int
call_begins(ai_str_t name, const char *line)
{
    size_t  len, same;

    len = strcspn(line, ":");
    same = len < name.len ? len : name.len;

    return strncasecmp(name.data, line, same) == 0
           && (len == name.len
               || (len < name.len ? name.data[same] : line[same]) < ':');
}


/* Whether a header of this line's name is there already. */

static int
call_has(const job_t *job, ai_str_t line)
{
    size_t              len;
    const char         *colon;
    struct curl_slist  *h;

    colon = memchr(line.data, ':', line.len);
    len = colon != NULL ? (size_t) (colon - line.data) + 1 : line.len;

    for (h = job->headers; h != NULL; h = h->next) {
        if (strncasecmp(h->data, line.data, len) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
call_free(job_t *job)
{
    struct curl_slist  *h;

    for (h = job->headers; h != NULL; h = h->next) {
        ai_wipe(h->data, strlen(h->data));
    }

    curl_slist_free_all(job->headers);
    job->headers = NULL;
}


/* What comes back. */

static void
call_on_header(void *data, ai_str_t name, ai_str_t value)
{
    job_t  *job;

    job = data;
    answer_header(&job->answer, name, value);
}


static void
call_on_head(void *data, int status)
{
    job_t     *job;
    route_t    route;
    ai_str_t   key;

    job = data;
    job->heard_msec = uv_now(&job->w->loop.uv);

    if (status == 401 && job->provider->accounts) {
        route = job->route;

        if ((job->route.own[0] != '\0'
             ? own_get(job->w->owns, job->spec.tenant, &route, NULL, &key)
               == OWN_KEY
             : catalog_key(&job->route, job->key, &key) == 1)
            && account_is(key))
        {
            token_refused(job->w->tokens, key);
        }
    }

    answer_head(&job->answer, status);
}


/* What the provider has is ours no more. */

static int
call_on_body(void *data, ai_str_t bytes)
{
    job_t  *job;

    job = data;

    if (!job->shed && !job->answer.hold && job->hedge == NULL
        && http_sent(job->call))
    {
        job->shed = 1;
        free(job->request);
        job->request = NULL;

        body_free(job);
    }

    return job_bytes(job, bytes);
}


static void
call_on_done(void *data, http_status_e status, const char *why)
{
    int     begun;
    job_t  *job;

    job = data;
    begun = http_begun(job->call);
    job->asked = status != HTTP_OK && http_sent(job->call);
    job->call = NULL;

    if (status == HTTP_OK
        || (job->answer.head && (job->answer.usage.complete
                                 || job->answer.usage.finish[0] != '\0')))
    {
        job_done(job);
        return;
    }

    log_job(LOG_WARN, "call", job->spec.tenant, job->spec.id,
            "provider %.*s: %s", (int) job->route.provider.len,
            job->route.provider.data, why);

    if (retry_failed(job, status == HTTP_UNREACHABLE && !begun
                          ? RETRY_UNREACHABLE
                          : status == HTTP_TIMEOUT ? RETRY_UNREACHABLE
                          : RETRY_BROKEN))
    {
        return;
    }

    switch (status) {

    case HTTP_UNREACHABLE:
        job_fail(job, "provider_unreachable", NULL);
        break;

    case HTTP_TIMEOUT:
        job_fail(job, "provider_timeout", NULL);
        break;

    default:
        job_fail(job, "provider_bad",
                 job->answer.head
                 ? "The provider's answer broke off." : NULL);
    }
}
