/*
 * Calls to providers with libcurl's multi socket interface.  Owns the multi
 * handle, its poll handles and the calls under way.
 */

#include "http.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>


#define HTTP_STREAM_BUFFER  2048        /* libcurl's, a call */
#define HTTP_BODY_BUFFER    16384
#define HTTP_REFUSE_MSEC    1000        /* a stream is refused within */
#define HTTP_EXPECT_MSEC    1L          /* what is signed has no "Expect:" that
                                         * would keep libcurl from waiting */
#define HTTP_IDLE_SEC       55L         /* below what balancers between allow */


/* One a socket of libcurl's; frees itself when its handle is closed. */
typedef struct {
    uv_poll_t      poll;
    http_t        *http;
    curl_socket_t  fd;
    int            events;      /* that libcurl waits for */
} http_socket_t;

struct http_s {
    worker_t       *w;
    CURLM          *multi;
    uv_timer_t      timer;
    http_call_t    *kept;       /* each with its handle, options set */
    http_socket_t  *spare;      /* for where there is no memory for one */
    unsigned        nkept;
    unsigned        opened;
    unsigned        depth;      /* libcurl's callbacks on the stack */
    http_call_t    *dead;       /* aborted within one of another call */
};

struct http_call_s {
    http_t              *http;
    CURL                *easy;
    http_call_t         *next;          /* kept, or dead */
    const http_events_t *ev;
    void                *data;
    size_t               body_len;
    size_t               header_bytes;
    uint64_t             begun_msec;    /* on a connection, 0: not yet */
    int                  status;        /* first digit of the one at hand */
    unsigned             depth;         /* callbacks on the stack */
    unsigned             head:1;        /* told */
    unsigned             paused:1;
    unsigned             aborted:1;
    unsigned             refused:1;
    unsigned             flooded:1;
    unsigned             tls:1;
    unsigned             h2:1;          /* its connection, once begun */
    unsigned             repeated:1;    /* libcurl would have sent it again */
    unsigned             signed_:1;     /* the handle has a key */
};


static http_call_t *http_call(http_t *h, long buffer);
static int http_init(http_call_t *call);
static int http_set(http_call_t *call, const http_request_t *req);
static void http_destroy(http_call_t *call);
static int http_on_request(void *data, char *ip, char *local_ip, int port,
    int local_port);
static int http_is_h2(const http_call_t *call);
static int http_on_socket(CURL *easy, curl_socket_t fd, int what, void *data,
    void *per_socket);
static int http_on_timeout(CURLM *multi, long msec, void *data);
static void http_on_timer(uv_timer_t *timer);
static void http_on_poll(uv_poll_t *poll, int status, int events);
static void http_on_socket_closed(uv_handle_t *handle);
static void http_on_timer_closed(uv_handle_t *handle);
static void http_reap(http_t *h);
static void http_bury(http_t *h);
static void http_finish(http_call_t *call, CURLcode code);
static http_status_e http_verdict(const http_call_t *call, CURLcode code);
static void http_free(http_call_t *call);
static size_t http_on_header(char *buf, size_t size, size_t n, void *data);
static size_t http_on_body(char *buf, size_t size, size_t n, void *data);


http_t *
http_open(worker_t *w)
{
    http_t  *h;

    h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return NULL;
    }

    h->w = w;
    h->multi = curl_multi_init();

    if (h->multi == NULL) {
        free(h);
        return NULL;
    }

    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, http_on_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, http_on_timeout);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS,
                      (long) HTTP_CONNECTIONS_MAX);
    curl_multi_setopt(h->multi, CURLMOPT_PIPELINING,
                      (long) CURLPIPE_MULTIPLEX);

    uv_timer_init(&w->loop.uv, &h->timer);
    h->timer.data = h;

    return h;
}


void
http_close(http_t *h)
{
    http_call_t  *call;

    while ((call = h->kept) != NULL) {
        h->kept = call->next;
        http_destroy(call);
    }

    curl_multi_cleanup(h->multi);
    uv_close((uv_handle_t *) &h->timer, http_on_timer_closed);
}


static void
http_on_timer_closed(uv_handle_t *handle)
{
    http_t  *h;

    h = handle->data;
    free(h->spare);
    free(h);
}


http_call_t *
http_start(http_t *h, const http_request_t *req, const http_events_t *ev,
    void *data)
{
    CURLMcode     rc;
    http_call_t  *call;

    if (h->spare == NULL) {
        h->spare = calloc(1, sizeof(*h->spare));

        if (h->spare == NULL) {
            return NULL;
        }
    }

    call = http_call(h, req->stream ? (long) HTTP_STREAM_BUFFER
                                    : (long) HTTP_BODY_BUFFER);
    if (call == NULL) {
        return NULL;
    }

    call->ev = ev;
    call->data = data;
    call->body_len = req->body_len;

    rc = http_set(call, req) == 0
         ? curl_multi_add_handle(h->multi, call->easy) : CURLM_BAD_EASY_HANDLE;

    if (rc != CURLM_OK) {
        log_write(LOG_ERROR, "http", "a call cannot start: %s",
                  curl_multi_strerror(rc));
        http_destroy(call);
        return NULL;
    }

    h->w->metrics.calls_total++;
    h->w->metrics.calls_open++;

    return call;
}


/*
 * A handle keeps its options from call to call.  One whose last call found no
 * address still has its buffer: its size cannot be changed any more.
 */

static http_call_t *
http_call(http_t *h, long buffer)
{
    CURL         *easy;
    http_call_t  *call;

    while ((call = h->kept) != NULL) {
        h->kept = call->next;
        h->nkept--;

        if (curl_easy_setopt(call->easy, CURLOPT_BUFFERSIZE, buffer)
            == CURLE_OK)
        {
            easy = call->easy;
            memset(call, 0, sizeof(*call));
            call->http = h;
            call->easy = easy;
            return call;
        }

        http_destroy(call);
    }

    call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return NULL;
    }

    call->http = h;
    call->easy = curl_easy_init();

    if (call->easy == NULL
        || curl_easy_setopt(call->easy, CURLOPT_BUFFERSIZE, buffer) != CURLE_OK
        || http_init(call) != 0)
    {
        http_destroy(call);
        return NULL;
    }

    return call;
}


static void
http_destroy(http_call_t *call)
{
    curl_easy_cleanup(call->easy);
    free(call);
}


/* What is the same for every call of a handle. */

static int
http_init(http_call_t *call)
{
    int          bad;
    CURL        *e;
    const char  *env;

    e = call->easy;
    bad = 0;

    bad |= curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, http_on_request);
    bad |= curl_easy_setopt(e, CURLOPT_PREREQDATA, call);
    bad |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, http_on_header);
    bad |= curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, http_on_body);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
    bad |= curl_easy_setopt(e, CURLOPT_PRIVATE, call);
    bad |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
                            (long) CURL_HTTP_VERSION_2TLS);
    bad |= curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, HTTP_IDLE_SEC);

    /* A coding that comes unasked is undone: its header never passes. */
    bad |= curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "identity");

    if (!call->http->w->opt->proxy_environment) {
        bad |= curl_easy_setopt(e, CURLOPT_PROXY, "");
    }

    /* As OpenSSL has it, and with it the connections to Redis. */

    if ((env = getenv("SSL_CERT_FILE")) != NULL) {
        bad |= curl_easy_setopt(e, CURLOPT_CAINFO, env);
    }

    if ((env = getenv("SSL_CERT_DIR")) != NULL) {
        bad |= curl_easy_setopt(e, CURLOPT_CAPATH, env);
    }

    return bad == 0 ? 0 : -1;
}


/*
 * The body as POSTFIELDS: a short one leaves in one write with the headers,
 * and needs no buffer of libcurl's own.
 */

static int
http_set(http_call_t *call, const http_request_t *req)
{
    int    bad;
    CURL  *e;

    e = call->easy;
    bad = 0;
    call->tls = strncmp(req->url, "https:", 6) == 0;

    bad |= curl_easy_setopt(e, CURLOPT_URL, req->url);
    bad |= curl_easy_setopt(e, CURLOPT_HTTPHEADER, req->headers);
    bad |= curl_easy_setopt(e, CURLOPT_POSTFIELDS, req->body);
    bad |= curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
                            (curl_off_t) req->body_len);
    bad |= curl_easy_setopt(e, req->get ? CURLOPT_HTTPGET : CURLOPT_POST, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                            (long) req->connect_msec);
    bad |= curl_easy_setopt(e, CURLOPT_PIPEWAIT, call->tls ? 1L : 0L);

    if (req->aws != NULL) {
        call->signed_ = 1;
        bad |= curl_easy_setopt(e, CURLOPT_AWS_SIGV4, req->aws->spec);
        bad |= curl_easy_setopt(e, CURLOPT_USERNAME, req->aws->id);
        bad |= curl_easy_setopt(e, CURLOPT_PASSWORD, req->aws->secret);
        bad |= curl_easy_setopt(e, CURLOPT_REQUEST_TARGET, req->target);
        bad |= curl_easy_setopt(e, CURLOPT_EXPECT_100_TIMEOUT_MS,
                                HTTP_EXPECT_MSEC);
    }

    return bad == 0 ? 0 : -1;
}


/*
 * libcurl sends a request again when a connection that it used before ends
 * without a byte.  The provider may have taken the call and be paid for it, so
 * that is only let be where an HTTP/2 server that renews its connection
 * refuses a stream: at once, which libcurl does not tell from the other.
 */

static int
http_on_request(void *data, char *ip, char *local_ip, int port, int local_port)
{
    long          sent;
    uint64_t      now;
    http_call_t  *call;

    (void) ip;
    (void) local_ip;
    (void) port;
    (void) local_port;

    call = data;
    now = uv_hrtime() / 1000000;

    if (call->begun_msec != 0) {
        sent = 0;
        curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent);

        if (sent != 0
            && (!call->h2 || now - call->begun_msec > HTTP_REFUSE_MSEC))
        {
            call->repeated = 1;
            return CURL_PREREQFUNC_ABORT;
        }
    }

    call->begun_msec = now;
    call->h2 = http_is_h2(call) ? 1 : 0;

    return CURL_PREREQFUNC_OK;
}


static int
http_is_h2(const http_call_t *call)
{
    unsigned                     len;
    const unsigned char         *name;
    struct curl_tlssessioninfo  *tls;

    tls = NULL;

    if (!call->tls
        || curl_easy_getinfo(call->easy, CURLINFO_TLS_SSL_PTR, &tls) != CURLE_OK
        || tls == NULL || tls->backend != CURLSSLBACKEND_OPENSSL
        || tls->internals == NULL)
    {
        return 0;
    }

    SSL_get0_alpn_selected((SSL *) tls->internals, &name, &len);

    return len == 2 && memcmp(name, "h2", 2) == 0;
}


void
http_abort(http_call_t *call)
{
    call->aborted = 1;

    if (call->depth != 0) {
        return;
    }

    /* libcurl gives no handle back within a callback, whosever it is. */

    if (call->http->depth != 0) {
        call->next = call->http->dead;
        call->http->dead = call;
        return;
    }

    http_free(call);
}


void
http_give(http_call_t *call, void *data)
{
    call->data = data;
}


/* libcurl is told when it has more to give: of one that curl_easy_pause stops
 * in between, libcurl 8.14 has its timer run without a pause. */

void
http_pause(http_call_t *call)
{
    call->paused = 1;
}


void
http_resume(http_call_t *call)
{
    http_t  *h;

    if (!call->paused || call->aborted) {
        return;
    }

    h = call->http;
    call->paused = 0;
    call->depth++;
    curl_easy_pause(call->easy, CURLPAUSE_CONT);
    call->depth--;

    if (call->aborted && call->depth == 0) {
        http_free(call);
    }

    http_bury(h);
}


static void
http_bury(http_t *h)
{
    http_call_t  *call;

    while (h->depth == 0 && (call = h->dead) != NULL) {
        h->dead = call->next;
        http_free(call);
    }
}


int
http_begun(const http_call_t *call)
{
    return call->begun_msec != 0;
}


int
http_sent(http_call_t *call)
{
    curl_off_t  n;

    /* Until then libcurl counts what the handle's last call sent. */

    if (call->begun_msec == 0) {
        return 0;
    }

    return curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &n)
           == CURLE_OK && n >= (curl_off_t) call->body_len;
}


static void
http_free(http_call_t *call)
{
    http_t  *h;

    h = call->http;
    curl_multi_remove_handle(h->multi, call->easy);
    h->w->metrics.calls_open--;

    if (h->nkept < HTTP_EASY_KEPT && !call->signed_) {
        call->next = h->kept;
        h->kept = call;
        h->nkept++;

    } else {
        http_destroy(call);
    }
}


/* Sockets and time. */

static int
http_on_socket(CURL *easy, curl_socket_t fd, int what, void *data,
    void *per_socket)
{
    int             events;
    http_t         *h;
    http_socket_t  *s;

    (void) easy;

    h = data;
    s = per_socket;

    if (what == CURL_POLL_REMOVE) {
        if (s != NULL) {
            curl_multi_assign(h->multi, fd, NULL);
            uv_poll_stop(&s->poll);
            uv_close((uv_handle_t *) &s->poll, http_on_socket_closed);
        }

        return 0;
    }

    if (s == NULL) {
        s = calloc(1, sizeof(*s));

        /* An error would end the calls of all. */

        if (s == NULL) {
            s = h->spare;
            h->spare = NULL;
        }

        if (s == NULL) {
            return -1;
        }

        s->http = h;
        s->fd = fd;

        if (uv_poll_init(&h->w->loop.uv, &s->poll, fd) != 0) {
            free(s);
            return -1;
        }

        s->poll.data = s;
        h->opened++;
        curl_multi_assign(h->multi, fd, s);
    }

    events = (what & CURL_POLL_IN ? UV_READABLE : 0)
             | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);

    s->events = events;
    uv_poll_start(&s->poll, events, http_on_poll);

    return 0;
}


static void
http_on_socket_closed(uv_handle_t *handle)
{
    free(handle->data);
}


static void
http_on_poll(uv_poll_t *poll, int status, int events)
{
    int             flags, running;
    http_t         *h;
    http_socket_t  *s;

    s = poll->data;
    h = s->http;

    /* One that is reset may have said something before, which libcurl reads
     * where it looks for itself: of an error it reads no more. */

    if (status < 0) {
        flags = 0;
        uv_poll_start(poll, s->events, http_on_poll);

    } else {
        flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0)
                | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    }

    curl_multi_socket_action(h->multi, s->fd, flags, &running);
    http_reap(h);
}


static int
http_on_timeout(CURLM *multi, long msec, void *data)
{
    http_t  *h;

    (void) multi;

    h = data;

    if (msec < 0) {
        uv_timer_stop(&h->timer);

    } else {
        uv_timer_start(&h->timer, http_on_timer, (uint64_t) msec, 0);
    }

    return 0;
}


static void
http_on_timer(uv_timer_t *timer)
{
    int      running;
    http_t  *h;

    h = timer->data;
    curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    http_reap(h);
}


static void
http_reap(http_t *h)
{
    int          left;
    CURL        *easy;
    CURLMsg     *msg;
    CURLcode     code;
    http_call_t *call;

    http_bury(h);

    while ((msg = curl_multi_info_read(h->multi, &left)) != NULL) {

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        easy = msg->easy_handle;
        code = msg->data.result;
        call = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &call);
        http_finish(call, code);
    }
}


static void
http_finish(http_call_t *call, CURLcode code)
{
    long           connects;
    const char    *why;
    http_status_e  status;

    connects = 0;
    curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &connects);
    call->http->w->metrics.connections_opened_total += connects;

    status = http_verdict(call, code);
    why = call->repeated ? "connection lost after the request was sent"
          : status == HTTP_OK ? "" : curl_easy_strerror(code);

    if (status != HTTP_OK) {
        call->http->w->metrics.calls_failed_total++;
    }

    if (!call->aborted) {
        call->depth++;
        call->ev->done(call->data, status, why);
    }

    http_free(call);
}


static http_status_e
http_verdict(const http_call_t *call, CURLcode code)
{
    if (call->refused) {
        return HTTP_REFUSED;
    }

    if (call->flooded) {
        return HTTP_BROKEN;
    }

    if (call->repeated) {
        return HTTP_UNREACHABLE;
    }

    switch (code) {

    case CURLE_OK:
        return call->head ? HTTP_OK : HTTP_BROKEN;

    case CURLE_OPERATION_TIMEDOUT:
        return HTTP_TIMEOUT;

    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_URL_MALFORMAT:
        return HTTP_UNREACHABLE;

    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return call->head ? HTTP_BROKEN : HTTP_UNREACHABLE;

    default:
        return HTTP_BROKEN;
    }
}


/* The answer. */

static size_t
http_on_header(char *buf, size_t size, size_t n, void *data)
{
    long          status;
    ai_str_t      name, value;
    const char   *colon, *line;
    http_call_t  *call;

    call = data;
    n *= size;

    if (call->aborted) {
        return 0;
    }

    if (call->head) {
        return n;               /* a trailer */
    }

    call->header_bytes += n;

    if (call->header_bytes > HTTP_HEADER_MAX) {
        call->flooded = 1;
        return 0;
    }

    if (n >= 5 && memcmp(buf, "HTTP/", 5) == 0) {
        line = memchr(buf, ' ', n);
        call->status = line != NULL && line + 1 < buf + n ? line[1] - '0' : 0;
        return n;
    }

    if (n <= 2 && (n == 0 || buf[0] == '\r' || buf[0] == '\n')) {
        status = 0;
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);

        if (status >= 200 && status <= 599) {
            call->head = 1;
            call->depth++;
            call->http->depth++;
            call->ev->head(call->data, (int) status);
            call->http->depth--;
            call->depth--;

        } else if (status >= 200) {
            call->flooded = 1;
            return 0;
        }

        return call->aborted ? 0 : n;
    }

    colon = memchr(buf, ':', n);

    if (colon == NULL || colon == buf || call->status < 2) {
        return n;
    }

    name.data = buf;
    name.len = (size_t) (colon - buf);
    value.data = colon + 1;
    value.len = n - name.len - 1;

    while (value.len != 0 && (value.data[0] == ' ' || value.data[0] == '\t')) {
        value.data++;
        value.len--;
    }

    while (value.len != 0
           && (unsigned char) value.data[value.len - 1] <= ' ')
    {
        value.len--;
    }

    call->depth++;
    call->http->depth++;
    call->ev->header(call->data, name, value);
    call->http->depth--;
    call->depth--;

    return n;
}


static size_t
http_on_body(char *buf, size_t size, size_t n, void *data)
{
    int           rc;
    ai_str_t      bytes;
    http_call_t  *call;

    call = data;
    n *= size;

    if (call->aborted || !call->head) {
        return 0;
    }

    if (call->paused) {
        return CURL_WRITEFUNC_PAUSE;
    }

    bytes.data = buf;
    bytes.len = n;

    call->depth++;
    call->http->depth++;
    rc = call->ev->body(call->data, bytes);
    call->http->depth--;
    call->depth--;

    if (rc != 0) {
        call->refused = 1;
    }

    return call->aborted || rc != 0 ? 0 : n;
}
