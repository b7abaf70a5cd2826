/*
 * Replies of Redis in any pieces, at and over each limit, and malformed ones;
 * commands as Redis wants them.
 */

#include "ai_unit.h"

#include "ai_resp.h"


static const ai_resp_limits_t  limits = { 1 << 20, 1000, 7, 0 };

static char   got[1 << 16];
static size_t got_len;


/* Words of ours, so that nothing is expected that the reader has computed. */

static void
tell(const ai_resp_t *reply)
{
    char     *p, *end;
    uint32_t  i;

    p = got + got_len;
    end = got + sizeof(got);

    switch (reply->type) {

    case AI_RESP_STRING:
    case AI_RESP_STATUS:
    case AI_RESP_ERROR:
        assert_int_equal(reply->str[reply->len], 0);
        p += snprintf(p, (size_t) (end - p), "%c(%.*s)",
                      reply->type == AI_RESP_STRING ? 's'
                      : reply->type == AI_RESP_STATUS ? 'o' : 'e',
                      (int) reply->len, reply->str);
        break;

    case AI_RESP_INTEGER:
        p += snprintf(p, (size_t) (end - p), "i%lld",
                      (long long) reply->integer);
        break;

    case AI_RESP_NIL:
        p += snprintf(p, (size_t) (end - p), "nil");
        break;

    case AI_RESP_ARRAY:
        got_len += (size_t) snprintf(p, (size_t) (end - p), "[");

        for (i = 0; i < reply->elements; i++) {
            tell(&reply->element[i]);
            got[got_len++] = ' ';
        }

        got[got_len++] = ']';
        got[got_len] = '\0';
        return;
    }

    got_len = (size_t) (p - got);
}


static int
drain(ai_resp_reader_t *r)
{
    int         rc;
    ai_resp_t  *reply;

    while ((rc = ai_resp_next(r, &reply)) == AI_RESP_OK) {
        tell(reply);
        got[got_len++] = ';';
        got[got_len] = '\0';
    }

    return rc;
}


static int
feed(ai_resp_reader_t *r, const char *data, size_t len)
{
    int     rc;
    char   *p;
    size_t  n;

    rc = AI_RESP_AGAIN;

    while (len != 0 && rc == AI_RESP_AGAIN) {
        p = ai_resp_room(r, &n);
        assert_non_null(p);
        assert_true(n >= 4096);
        n = n < len ? n : len;
        memcpy(p, data, n);
        ai_resp_fed(r, n);
        data += n;
        len -= n;
        rc = drain(r);
    }

    return rc;
}


static int
read_whole(const ai_resp_limits_t *l, ai_str_t s)
{
    int               rc;
    ai_resp_reader_t  r;

    got_len = 0;
    got[0] = '\0';
    ai_resp_init(&r, l);
    rc = feed(&r, s.data, s.len);

    if (rc < 0) {
        assert_int_equal(feed(&r, "+OK\r\n", 5), rc);
    }

    ai_resp_free(&r);

    return rc;
}


static const char  stream[] =
    "+OK\r\n"
    "-ERR no\r\n"
    ":-42\r\n"
    "$5\r\nab\r\nc\r\n"
    "$0\r\n\r\n"
    "$-1\r\n"
    "*-1\r\n"
    "*0\r\n"
    "*3\r\n*0\r\n*2\r\n$1\r\nx\r\n*1\r\n:9223372036854775807\r\n+\r\n"
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*2\r\n$1\r\na\r\n$-1\r\n"
    ":-9223372036854775808\r\n"
    "*1\r\n$2\r\n\r\n\r\n";

static const char  stream_says[] =
    "o(OK);e(ERR no);i-42;s(ab\r\nc);s();nil;nil;[];"
    "[[] [s(x) [i9223372036854775807 ] ] o() ];"
    "[[[[[[[s(a) nil ] ] ] ] ] ] ];"
    "i-9223372036854775808;[s(\r\n) ];";


static void
whole(void **state)
{
    (void) state;

    assert_int_equal(read_whole(&limits, T(stream)), AI_RESP_AGAIN);
    assert_string_equal(got, stream_says);
}


/* Each pair of places to split the stream at, and every single byte. */

static void
every_split(void **state)
{
    size_t            a, b, len;
    ai_resp_reader_t  r;

    (void) state;

    len = sizeof(stream) - 1;

    for (a = 0; a <= len; a++) {
        for (b = a; b <= len; b++) {
            got_len = 0;
            ai_resp_init(&r, &limits);
            assert_int_equal(feed(&r, stream, a), AI_RESP_AGAIN);
            assert_int_equal(feed(&r, stream + a, b - a), AI_RESP_AGAIN);
            assert_int_equal(feed(&r, stream + b, len - b), AI_RESP_AGAIN);
            assert_string_equal(got, stream_says);
            ai_resp_free(&r);
        }
    }

    got_len = 0;
    ai_resp_init(&r, &limits);

    for (a = 0; a < len; a++) {
        assert_int_equal(feed(&r, stream + a, 1), AI_RESP_AGAIN);
    }

    assert_string_equal(got, stream_says);
    ai_resp_free(&r);
}


/* Strings of a reply that is still coming move with the buffer, and nodes
 * with theirs. */

static void
large(void **state)
{
    char             *text, *p;
    size_t            i, k, n, len;
    ai_resp_t        *reply, *copy;
    ai_resp_reader_t  r;
    ai_resp_limits_t  l;

    (void) state;

    l = limits;
    text = malloc(1 << 20);
    assert_non_null(text);

    p = text + sprintf(text, "*201\r\n");

    for (i = 0; i < 200; i++) {
        p += sprintf(p, "*2\r\n:%d\r\n$%d\r\n", (int) i, (int) (i * 17 % 999));
        memset(p, (int) ('a' + i % 26), i * 17 % 999);
        p += i * 17 % 999;
        p += sprintf(p, "\r\n");
    }

    n = 300000;
    p += sprintf(p, "$%d\r\n", (int) n);
    memset(p, 'z', n);
    p += n;
    p += sprintf(p, "\r\n");
    len = (size_t) (p - text);

    for (k = 1; k < 70000; k = k * 3 + 1) {
        ai_resp_init(&r, &l);
        reply = NULL;

        for (i = 0; i < len; i += n) {
            assert_int_equal(ai_resp_next(&r, &reply), AI_RESP_AGAIN);
            p = ai_resp_room(&r, &n);
            assert_non_null(p);
            n = n < k ? n : k;
            n = n < len - i ? n : len - i;
            memcpy(p, text + i, n);
            ai_resp_fed(&r, n);
        }

        assert_int_equal(ai_resp_next(&r, &reply), AI_RESP_OK);
        assert_int_equal(reply->elements, 201);
        copy = ai_resp_copy(&r);
        assert_non_null(copy);
        assert_int_equal(ai_resp_next(&r, &reply), AI_RESP_AGAIN);
        assert_null(r.buf);
        ai_resp_free(&r);

        for (i = 0; i < 200; i++) {
            reply = &copy->element[i];
            assert_int_equal(reply->elements, 2);
            assert_int_equal(reply->element[0].integer, i);
            assert_int_equal(reply->element[1].len, i * 17 % 999);

            for (n = 0; n < reply->element[1].len; n++) {
                assert_int_equal(reply->element[1].str[n], 'a' + i % 26);
            }

            assert_int_equal(reply->element[1].str[n], 0);
        }

        assert_int_equal(copy->element[200].len, 300000);
        assert_int_equal(copy->element[200].str[299999], 'z');
        free(copy);
    }

    /* One byte less than it takes. */

    l.bytes = len - 1;
    assert_int_equal(read_whole(&l, (ai_str_t) { len, text }), AI_RESP_OVER);

    free(text);
}


static void
malformed(void **state)
{
    size_t                i, k, n;
    ai_str_t              s;
    ai_resp_reader_t      r;
    static const char    *rows[] = {
        "x\r\n", "\r\n", "$\r\n", "$x\r\n", "$-2\r\n", "$--1\r\n", "$1x\r\n",
        "$+1\r\n", "$ 1\r\n", "*-2\r\n", "*\r\n", "*1\n", ":\r\n", ":-\r\n",
        ":1\n", ":1\rx", ":9223372036854775808\r\n",
        ":-9223372036854775809\r\n",
        ":00000000000000000000\r\n", "$1\r\nab\r\n", "$1\r\na\rx", "$0\r\n\n\r",
        "+OK\n", "-\n", "+\n", "*1\r\n*1\r\nx", "_\r\n", "%1\r\n", "#t\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
        ":99999999999999999999999999999999999999999999999999"
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        s = Z(rows[i]);
        assert_int_equal(read_whole(&limits, s), AI_RESP_MALFORMED);

        for (k = 1; k < s.len; k++) {
            ai_resp_init(&r, &limits);
            n = feed(&r, s.data, k) == AI_RESP_AGAIN
                && feed(&r, s.data + k, s.len - k) == AI_RESP_AGAIN;
            assert_int_equal(n, 0);
            ai_resp_free(&r);
        }
    }
}


static void
bounds(void **state)
{
    size_t            n;
    ai_str_t          s;
    char             *line;
    ai_resp_limits_t  l;

    (void) state;

    /* Bytes: of one reply, as it came, not of the stream. */

    for (n = 1; n < 40; n++) {
        l = (ai_resp_limits_t) { n, 10, 7, 0 };
        assert_int_equal(read_whole(&l, T("$10\r\n0123456789\r\n")),
                         n < 17 ? AI_RESP_OVER : AI_RESP_AGAIN);
        assert_int_equal(read_whole(&l, T("$10\r\n")),
                         n < 17 ? AI_RESP_OVER : AI_RESP_AGAIN);
        assert_int_equal(read_whole(&l, T("+OK\r\n+OK\r\n+OK\r\n")),
                         n < 5 ? AI_RESP_OVER : AI_RESP_AGAIN);
        assert_int_equal(read_whole(&l, T("*2\r\n:1\r\n*1\r\n:2\r\n")),
                         n < 16 ? AI_RESP_OVER : AI_RESP_AGAIN);
    }

    l = limits;
    assert_int_equal(read_whole(&l, T("$9223372036854775807\r\n")),
                     AI_RESP_OVER);

    /* Elements: of all arrays of one reply; told before any of them comes. */

    for (n = 0; n < 8; n++) {
        l = (ai_resp_limits_t) { 1000, (uint32_t) n, 7, 0 };
        s = T("*2\r\n*2\r\n:1\r\n:2\r\n*1\r\n:3\r\n:4\r\n");
        assert_int_equal(read_whole(&l, s),
                         n < 5 ? AI_RESP_OVER : AI_RESP_AGAIN);
        assert_int_equal(read_whole(&l, T("*5\r\n")),
                         n < 5 ? AI_RESP_OVER : AI_RESP_AGAIN);
        assert_int_equal(read_whole(&l, T("*1\r\n*4\r\n")),
                         n < 5 ? AI_RESP_OVER : AI_RESP_AGAIN);
    }

    l = limits;
    assert_int_equal(read_whole(&l, T("*9223372036854775807\r\n")),
                     AI_RESP_OVER);

    /* Depth. */

    for (n = 0; n < 12; n++) {
        l = (ai_resp_limits_t) { 1000, 1000, (unsigned) n, 0 };
        assert_int_equal(read_whole(&l, T("*1\r\n*1\r\n*1\r\n:1\r\n")),
                         n < 3 ? AI_RESP_OVER : AI_RESP_AGAIN);
        assert_int_equal(read_whole(&l, T("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"
                                          "*1\r\n*0\r\n")), AI_RESP_OVER);
    }

    l = (ai_resp_limits_t) { 1000, 1000, 0, 0 };
    assert_int_equal(read_whole(&l, T("*-1\r\n:1\r\n")), AI_RESP_AGAIN);

    /* A line. */

    line = malloc(AI_RESP_LINE_MAX + 4);
    assert_non_null(line);
    memset(line, 'a', AI_RESP_LINE_MAX + 4);
    line[0] = '-';
    n = AI_RESP_LINE_MAX;
    line[n + 1] = '\r';
    line[n + 2] = '\n';
    l = limits;
    got_len = 0;
    assert_int_equal(read_whole(&l, (ai_str_t) { n + 2, line }),
                     AI_RESP_AGAIN);
    line[n + 1] = 'a';
    line[n + 2] = '\r';
    line[n + 3] = '\n';
    assert_int_equal(read_whole(&l, (ai_str_t) { n + 4, line }),
                     AI_RESP_OVER);
    assert_int_equal(read_whole(&l, (ai_str_t) { n + 3, line }),
                     AI_RESP_OVER);
    free(line);
}


/* Steady replies allocate once; large ones are not kept. */

static void
memory(void **state)
{
    int               i;
    char             *buf, *p;
    size_t            n;
    ai_resp_t        *nodes;
    ai_resp_reader_t  r;
    ai_resp_limits_t  l;

    (void) state;

    l = limits;
    ai_resp_init(&r, &l);
    assert_null(r.buf);
    assert_null(r.nodes);
    got_len = 0;
    assert_int_equal(feed(&r, stream, sizeof(stream) - 1), AI_RESP_AGAIN);
    buf = r.buf;
    nodes = r.nodes;

    for (i = 0; i < 1000; i++) {
        got_len = 0;
        assert_int_equal(feed(&r, stream, 100), AI_RESP_AGAIN);
        assert_int_equal(feed(&r, stream + 100, sizeof(stream) - 101),
                         AI_RESP_AGAIN);
        assert_ptr_equal(r.buf, buf);
        assert_ptr_equal(r.nodes, nodes);
    }

    /* What is announced within the limit has room at once. */

    assert_int_equal(feed(&r, "$500000\r\n", 9), AI_RESP_AGAIN);
    p = ai_resp_room(&r, &n);
    assert_non_null(p);
    assert_true(n >= 500002);
    ai_resp_free(&r);
    ai_resp_free(&r);
}


static void
reading(void **state)
{
    int64_t           n;
    ai_resp_t        *reply;
    ai_resp_reader_t  r;
    char             *p;
    size_t            room;
    static const char text[] = "*6\r\n$1\r\na\r\n+b\r\n:3\r\n$2\r\n44\r\n"
                               "-E\r\n$-1\r\n";

    (void) state;

    ai_resp_init(&r, &limits);
    p = ai_resp_room(&r, &room);
    memcpy(p, text, sizeof(text) - 1);
    ai_resp_fed(&r, sizeof(text) - 1);
    assert_int_equal(ai_resp_next(&r, &reply), AI_RESP_OK);

    is_str(ai_resp_str(ai_resp_item(reply, 0)), "a");
    is_str(ai_resp_str(ai_resp_item(reply, 1)), "b");
    is_str(ai_resp_str(ai_resp_item(reply, 2)), "");
    is_str(ai_resp_str(ai_resp_item(reply, 4)), "");
    is_str(ai_resp_str(ai_resp_item(reply, 5)), "");
    is_str(ai_resp_str(ai_resp_item(reply, 6)), "");
    is_str(ai_resp_str(reply), "");
    is_str(ai_resp_str(NULL), "");
    assert_null(ai_resp_item(reply, 6));
    assert_null(ai_resp_item(ai_resp_item(reply, 0), 0));
    assert_null(ai_resp_item(NULL, 0));

    n = 7;
    assert_int_equal(ai_resp_int(ai_resp_item(reply, 0), &n), -1);
    assert_int_equal(ai_resp_int(ai_resp_item(reply, 5), &n), -1);
    assert_int_equal(ai_resp_int(NULL, &n), -1);
    assert_int_equal(n, 7);
    assert_int_equal(ai_resp_int(ai_resp_item(reply, 2), &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(ai_resp_int(ai_resp_item(reply, 3), &n), 0);
    assert_int_equal(n, 44);

    ai_resp_free(&r);
}


static void
commands(void **state)
{
    char      *p, buf[256];
    size_t     size;
    ai_str_t   argv[3];

    (void) state;

    argv[0] = T("SET");
    argv[1] = T("a\r\nb");
    argv[2] = EMPTY;

    size = ai_resp_size(3, argv);
    assert_true(size <= sizeof(buf));
    p = ai_resp_put(buf, 3, argv);
    assert_true((size_t) (p - buf) <= size);
    is_str(((ai_str_t) { (size_t) (p - buf), buf }),
           "*3\r\n$3\r\nSET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");

    p = ai_resp_put_head(buf, '$', SIZE_MAX);
    assert_true(p - buf <= AI_RESP_HEAD_MAX);
    is_str(((ai_str_t) { (size_t) (p - buf), buf }),
           "$18446744073709551615\r\n");

    p = ai_resp_put_head(buf, '*', 10);
    is_str(((ai_str_t) { (size_t) (p - buf), buf }), "*10\r\n");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(whole),
        cmocka_unit_test(every_split),
        cmocka_unit_test(large),
        cmocka_unit_test(malformed),
        cmocka_unit_test(bounds),
        cmocka_unit_test(memory),
        cmocka_unit_test(reading),
        cmocka_unit_test(commands)
    };

    return run_group(tests);
}
