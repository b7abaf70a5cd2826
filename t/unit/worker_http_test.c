/*
 * Calls: what is known of a request that has not left yet, that none leaves
 * twice, and that what came before a reset is an answer.
 */

#include "ai_unit.h"

#include "http.h"

#define BODY  1000


/* A provider for one connection at a time, in the same loop. */
typedef struct {
    uv_tcp_t  listener;
    uv_tcp_t  conn;
    char      in[4096];
    size_t    len;
    unsigned  requests;         /* whole ones */
    unsigned  answers;          /* then it closes instead */
    unsigned  resets:1;         /* it resets behind an answer */
    int       port;
} prov_t;

static worker_t       w;
static options_t      opt;
static http_t        *http;
static prov_t         prov;
static http_status_e  ended;
static unsigned       ends;
static size_t         heard;
static unsigned       pauses;
static unsigned       turns;
static char           body[BODY];


static void
prov_room(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void) handle;
    (void) size;

    *buf = uv_buf_init(prov.in + prov.len,
                       (unsigned) (sizeof(prov.in) - 1 - prov.len));
}


static void
prov_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    char         *end;
    uv_buf_t      out;
    static char   text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    static char   long_[] = "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n";
    static char   tail[40000];

    (void) buf;

    out = prov.resets ? uv_buf_init(long_, sizeof(long_) - 1)
                      : uv_buf_init(text, sizeof(text) - 1);

    if (n < 0) {
        uv_close((uv_handle_t *) s, NULL);
        return;
    }

    prov.len += (size_t) n;
    prov.in[prov.len] = '\0';
    end = strstr(prov.in, "\r\n\r\n");

    if (end == NULL || prov.len < (size_t) (end + 4 - prov.in) + BODY) {
        return;
    }

    prov.len = 0;

    if (++prov.requests > prov.answers) {
        uv_close((uv_handle_t *) s, NULL);
        return;
    }

    assert_int_equal(uv_try_write(s, &out, 1), (int) out.len);

    if (prov.resets) {
        out = uv_buf_init(tail, sizeof(tail));
        assert_int_equal(uv_try_write(s, &out, 1), (int) out.len);
        assert_int_equal(uv_tcp_close_reset((uv_tcp_t *) s, NULL), 0);
    }
}


static void
prov_connection(uv_stream_t *s, int status)
{
    assert_int_equal(status, 0);
    prov.len = 0;
    uv_tcp_init(s->loop, &prov.conn);
    assert_int_equal(uv_accept(s, (uv_stream_t *) &prov.conn), 0);
    uv_read_start((uv_stream_t *) &prov.conn, prov_room, prov_read);
}


static void
on_header(void *data, ai_str_t name, ai_str_t value)
{
    (void) data;
    (void) name;
    (void) value;
}


static void
on_head(void *data, int status)
{
    (void) data;
    assert_int_equal(status, 200);
}


static int
on_body(void *data, ai_str_t bytes)
{
    assert_int_equal(http_sent(*(http_call_t **) data), 1);
    heard += bytes.len;

    if (pauses != 0) {
        pauses = 0;
        http_pause(*(http_call_t **) data);
    }

    return 0;
}


static void
on_turn(uv_prepare_t *prepare)
{
    (void) prepare;

    turns++;
}


static void
on_time(uv_timer_t *timer)
{
    http_resume(*(http_call_t **) timer->data);
}


static void
on_done(void *data, http_status_e status, const char *why)
{
    (void) data;
    (void) why;

    ended = status;
    ends++;
    uv_stop(&w.loop.uv);
}


static const http_events_t  events = { on_header, on_head, on_body, on_done };


static http_call_t *
begin(http_call_t **call)
{
    char            url[64];
    http_request_t  req;

    memset(&req, 0, sizeof(req));
    (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d/", prov.port);
    memset(body, 'x', sizeof(body));

    req.url = url;
    req.body = body;
    req.body_len = sizeof(body);
    req.connect_msec = 5000;

    *call = http_start(http, &req, &events, call);
    assert_non_null(*call);

    return *call;
}


static int
setup(void **state)
{
    int                 len;
    struct sockaddr_in  addr;

    (void) state;

    memset(&w, 0, sizeof(w));
    memset(&prov, 0, sizeof(prov));
    ends = 0;
    heard = 0;
    pauses = 0;
    w.opt = &opt;

    assert_int_equal(loop_init(&w.loop), 0);
    http = http_open(&w);
    assert_non_null(http);

    uv_ip4_addr("127.0.0.1", 0, &addr);
    uv_tcp_init(&w.loop.uv, &prov.listener);
    uv_tcp_bind(&prov.listener, (struct sockaddr *) &addr, 0);
    assert_int_equal(uv_listen((uv_stream_t *) &prov.listener, 8,
                               prov_connection), 0);
    len = sizeof(addr);
    uv_tcp_getsockname(&prov.listener, (struct sockaddr *) &addr, &len);
    prov.port = ntohs(addr.sin_port);

    return 0;
}


static int
teardown(void **state)
{
    (void) state;

    http_close(http);
    loop_close(&w.loop);

    return 0;
}


/* The handle is the last call's, and libcurl's counts with it. */

static void
nothing_has_left_yet(void **state)
{
    http_call_t  *call;

    (void) state;

    prov.answers = 2;
    assert_int_equal(http_sent(begin(&call)), 0);
    loop_run(&w.loop);
    assert_int_equal(ends, 1);
    assert_int_equal(ended, HTTP_OK);

    assert_int_equal(http_sent(begin(&call)), 0);
    http_abort(call);

    assert_int_equal(http_sent(begin(&call)), 0);
    loop_run(&w.loop);
    assert_int_equal(ends, 2);
    assert_int_equal(ended, HTTP_OK);
    assert_int_equal(prov.requests, 2);
}


/* A kept connection ends with the second request, which the provider has. */

static void
none_leaves_twice(void **state)
{
    http_call_t  *call;

    (void) state;

    prov.answers = 1;
    begin(&call);
    loop_run(&w.loop);
    assert_int_equal(ended, HTTP_OK);

    begin(&call);
    loop_run(&w.loop);
    assert_int_equal(ends, 2);
    assert_int_equal(ended, HTTP_UNREACHABLE);
    assert_int_equal(prov.requests, 2);
}


/* Both come in one turn of the loop: it has answered, whatever follows. */

static void
a_reset_is_behind_its_answer(void **state)
{
    http_call_t  *call;

    (void) state;

    prov.answers = 1;
    prov.resets = 1;
    begin(&call);
    loop_run(&w.loop);
    assert_int_equal(ends, 1);
    assert_int_equal(heard, 40000);
    assert_int_equal(ended, HTTP_OK);
}


/* Nor is the loop kept busy by it while nobody reads. */

static void
a_reset_waits(void **state)
{
    http_call_t   *call;

    static uv_timer_t    timer;
    static uv_prepare_t  prepare;

    (void) state;

    prov.answers = 1;
    prov.resets = 1;
    pauses = 1;
    turns = 0;
    uv_prepare_init(&w.loop.uv, &prepare);
    uv_prepare_start(&prepare, on_turn);
    uv_timer_init(&w.loop.uv, &timer);
    timer.data = &call;
    uv_timer_start(&timer, on_time, 300, 0);
    begin(&call);
    loop_run(&w.loop);
    assert_int_equal(heard, 40000);
    assert_int_equal(ended, HTTP_OK);
    assert_in_range(turns, 1, 200);

    uv_close((uv_handle_t *) &prepare, NULL);
    uv_close((uv_handle_t *) &timer, NULL);
    uv_run(&w.loop.uv, UV_RUN_NOWAIT);
}


int
main(void)
{
    int  rc;

    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(nothing_has_left_yet, setup, teardown),
        cmocka_unit_test_setup_teardown(none_leaves_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_is_behind_its_answer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_reset_waits, setup, teardown),
    };

    curl_global_init(CURL_GLOBAL_DEFAULT);
    rc = run_group(tests);
    curl_global_cleanup();

    return rc;
}
