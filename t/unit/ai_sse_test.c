/*
 * The reader of server-sent events: where events end, whatever the pieces and
 * the line ends, its bound, and the fields of one event.
 */

#include "ai_unit.h"

#include "ai_sse.h"

#define PARTS  16


/* Feeds text in pieces of that many bytes; the events must be parts, the last
 * of them the rest where rest is set. */

static void
cut_is(const char *text, size_t len, size_t piece, const char *const *parts,
    int rest, int line)
{
    int       n;
    size_t    at, got;
    ai_sse_t  s;
    ai_str_t  raw;

    ai_sse_init(&s, 0);
    n = 0;
    got = 0;

    for (at = 0; at < len; at += piece) {
        size_t    size = len - at < piece ? len - at : piece;
        ai_str_t  copy = tight(text + at, size);

        assert_int_equal(ai_sse_feed(&s, copy.data, copy.len), 0);

        while (ai_sse_next(&s, &raw)) {
            if (parts[n] == NULL) {
                fail_msg("line %d: an event too many: \"%.*s\"", line,
                         (int) raw.len, raw.data);
            }

            ai_unit_is(raw, parts[n], strlen(parts[n]), __FILE__, line);
            got += raw.len;
            n++;
        }

        if (piece % 2) {
            ai_sse_trim(&s);
        }
    }

    if (rest) {
        assert_int_equal(ai_sse_rest(&s, &raw), 1);
        ai_unit_is(raw, parts[n], strlen(parts[n]), __FILE__, line);
        got += raw.len;
        n++;
    }

    if (parts[n] != NULL) {
        fail_msg("line %d, pieces of %zu: no \"%s\"", line, piece, parts[n]);
    }

    assert_int_equal(ai_sse_rest(&s, &raw), 0);
    assert_int_equal(ai_sse_next(&s, &raw), 0);
    assert_int_equal(got, len);
    ai_sse_free(&s);
}


static void
cuts_are(int rest, int line, const char *first, ...)
{
    char         text[1024];
    size_t       len, piece;
    va_list      args;
    const char  *parts[PARTS], *p;
    int          n;

    va_start(args, first);
    len = 0;
    n = 0;

    for (p = first; p; p = va_arg(args, const char *)) {
        parts[n++] = p;
        memcpy(text + len, p, strlen(p));
        len += strlen(p);
    }

    va_end(args);
    parts[n] = NULL;

    for (piece = 1; piece <= len + 1; piece++) {
        cut_is(text, len, piece, parts, rest, line);
    }
}

#define events(...)  cuts_are(0, __LINE__, __VA_ARGS__, NULL)
#define events_and_rest(...)  cuts_are(1, __LINE__, __VA_ARGS__, NULL)


static void
line_ends(void **state)
{
    (void) state;

    events("data: a\n\n", "data: b\n\n");
    events("data: a\r\n\r\n", "data: b\r\n\r\n");
    events("data: a\r\r", "data: b\r\r");
    events("event: x\ndata: a\ndata: b\n\n", "id: 1\ndata: c\n\n");
    events("event: x\r\ndata: a\r\n\r\n", ": comment\r\n\r\n", "c\r\n\r\n");
    events("event: x\rdata: a\r\r", ": comment\r\r");

    /* mixed ones */
    events("a\n\r\n", "b\r\n\n", "c\r\n\r\n");
    events("a\r\n\n", "b\n\n");
    events("a\r\nb\rc\nd\n\n", "e\n\n");
    events("a\n\n", "b\r\r", "c\r\n\r\n", "d\n\n");

    /* A CR that ends an event waits for its LF, or for what is none. */
    events("a\r\n\r\n", "b\n\n");
    events_and_rest("a\r\n\r", "b");
    events_and_rest("a\n\r", "b\n");
    events_and_rest("a\r\n\r");
    events_and_rest("a\n\r");

    /* After bare CRs it does not; an LF all the same means nothing. */
    events("a\r\r", "\nb\r\r", "c\n\n");
    events_and_rest("a\r\r", "\n");
    events_and_rest("a\r\r", "\n\n");
    events("a\r\r", "\r\rb\r\r");
}


static void
no_events(void **state)
{
    (void) state;

    events_and_rest("data: a");
    events_and_rest("data: a\n");
    events_and_rest("data: a\r");
    events_and_rest("data: a\r\n");
    events_and_rest("data: a\ndata: b\n");
    events_and_rest("data: a\n\n", "data: b\n");
    events_and_rest("data: a\r\n\r\n", "d");

    /* Blank lines alone are no event; they go with the next. */
    events_and_rest("\n\n\n");
    events_and_rest("\r\n\r\n\r\n");
    events_and_rest("\r\r\r");
    events("\n\ndata: a\n\n", "\n\n\ndata: b\n\n");
    events("\r\n\r\ndata: a\r\n\r\n", "\r\n\r\ndata: b\r\n\r\n");
    events("\r\r\rdata: a\r\r", "\r\rdata: b\r\r");
    events_and_rest("data: a\n\n", "\n\n");

    /* white space is no blank line, a lone colon neither */
    events(" \n\n", ":\n\n", "\t\n\n");
    events(": ping\n\n", "data: a\n\n", ": OPENROUTER PROCESSING\n\n");
}


static void
byte_order_mark(void **state)
{
    (void) state;

    events("\xEF\xBB\xBF" "data: a\n\n", "b\n\n");
    events("\xEF\xBB\xBF\n\n" "data: a\n\n");
    events("\xEF\xBB\xBF\r\n\r\n" "data: a\r\n\r\n");
    events_and_rest("\xEF\xBB\xBF\n\n");
    events_and_rest("\xEF\xBB\xBF");

    /* Half of one, one in the middle, two: ordinary bytes of a line. */
    events("\xEF\xBB\n\n", "a\n\n");
    events("\xEF\n\n", "a\n\n");
    events("\xEF\xBB" "a\n\n");
    events("a\n\n", "\xEF\xBB\xBF\n\n", "b\n\n");
    events("\xEF\xBB\xBF\xEF\xBB\xBF\n\n", "b\n\n");
    events("\n\xEF\xBB\xBF\n\n", "b\n\n");
}


/* Random streams in random pieces: events and rest are the input, and the
 * pieces do not matter. */

static uint32_t  lcg_state = 815;

static uint32_t
lcg(uint32_t n)
{
    lcg_state = lcg_state * 1664525 + 1013904223;

    return (lcg_state >> 8) % n;
}


static void
any_pieces(void **state)
{
    int       i, n, whole, round;
    char      text[200], out[200];
    size_t    len, at, size, total, ends[200];
    ai_sse_t  s;
    ai_str_t  raw;

    static const char  letters[] = "\n\n\n\r\r\r\nab: \xEF\xBB\xBF";

    (void) state;

    for (i = 0; i < 20000; i++) {
        len = lcg(sizeof(text) - 1) + 1;

        for (at = 0; at < len; at++) {
            text[at] = letters[lcg(sizeof(letters) - 1)];
        }

        whole = 0;

        for (round = 0; round < 4; round++) {
            ai_sse_init(&s, 0);
            total = 0;
            n = 0;

            for (at = 0; at < len; at += size) {
                size = round == 0 ? len : lcg(round == 1 ? 2 : 20) + 1;
                size = size > len - at ? len - at : size;
                assert_int_equal(ai_sse_feed(&s, text + at, size), 0);

                while (ai_sse_next(&s, &raw)) {
                    memcpy(out + total, raw.data, raw.len);
                    total += raw.len;

                    if (round == 0) {
                        ends[whole++] = total;

                    } else {
                        assert_true(n < whole && ends[n] == total);
                        n++;
                    }
                }
            }

            assert_true(round == 0 || n == whole);

            if (ai_sse_rest(&s, &raw)) {
                memcpy(out + total, raw.data, raw.len);
                total += raw.len;
            }

            assert_int_equal(total, len);
            assert_memory_equal(out, text, len);
            ai_sse_free(&s);
        }
    }
}


static void
bound(void **state)
{
    int       rc;
    size_t    max, len, at, piece;
    ai_sse_t  s;
    ai_str_t  raw;
    char      text[64];

    (void) state;

    /* An event of 20 bytes under every bound, in every size of pieces. */

    strcpy(text, "a\n\n");
    strcpy(text + 3, "data: 0123456789ab\n\n");
    len = strlen(text);
    assert_int_equal(len, 23);

    for (max = 3; max < 30; max++) {
        for (piece = 1; piece <= len; piece++) {
            ai_sse_init(&s, max);
            rc = 0;

            for (at = 0; at < len && rc == 0; at += piece) {
                rc = ai_sse_feed(&s, text + at,
                                 len - at < piece ? len - at : piece);

                if (at == 0 && piece >= 3) {
                    /* What was complete before is given all the same. */
                    assert_int_equal(ai_sse_next(&s, &raw), 1);
                    is_str(raw, "a\n\n");
                }

                if (rc == 0) {
                    while (ai_sse_next(&s, &raw)) { /* void */ }
                }
            }

            assert_int_equal(rc, max < 20 ? -2 : 0);

            if (rc != 0) {
                /* It stays. */
                assert_int_equal(ai_sse_next(&s, &raw), 0);
                assert_int_equal(ai_sse_rest(&s, &raw), 0);
                assert_int_equal(ai_sse_feed(&s, "x", 1), -2);
                assert_int_equal(ai_sse_feed(&s, "", 0), -2);
            }

            ai_sse_free(&s);
        }
    }

    /* Without an end, too; and blank lines are bytes as well. */

    ai_sse_init(&s, 8);
    assert_int_equal(ai_sse_feed(&s, "12345678", 8), 0);
    assert_int_equal(ai_sse_next(&s, &raw), 0);
    assert_int_equal(ai_sse_feed(&s, "9", 1), -2);
    ai_sse_free(&s);

    ai_sse_init(&s, 8);
    assert_int_equal(ai_sse_feed(&s, "\n\n\n\n\n\n\n\n", 8), 0);
    assert_int_equal(ai_sse_feed(&s, "\n", 1), -2);
    ai_sse_free(&s);

    /* Many small events in one piece are no event over the bound. */

    ai_sse_init(&s, 4);
    assert_int_equal(ai_sse_feed(&s, "a\n\nb\n\nc\n\nd\n\ne", 13), 0);
    assert_int_equal(ai_sse_next(&s, &raw), 1);
    assert_int_equal(ai_sse_next(&s, &raw), 1);
    is_str(raw, "b\n\n");
    assert_int_equal(ai_sse_next(&s, &raw), 1);
    assert_int_equal(ai_sse_next(&s, &raw), 1);
    assert_int_equal(ai_sse_next(&s, &raw), 0);
    assert_int_equal(ai_sse_rest(&s, &raw), 1);
    is_str(raw, "e");
    ai_sse_free(&s);

    /* An event whose CR waits, with one over the bound behind it. */

    ai_sse_init(&s, 6);
    assert_int_equal(ai_sse_feed(&s, "a\r\n\rbbbbbbb", 11), -2);
    assert_int_equal(ai_sse_next(&s, &raw), 1);
    is_str(raw, "a\r\n\r");
    assert_int_equal(ai_sse_next(&s, &raw), 0);
    assert_int_equal(ai_sse_rest(&s, &raw), 0);
    ai_sse_free(&s);

    /* Who does not take them cannot pile them up. */

    ai_sse_init(&s, 4);
    assert_int_equal(ai_sse_feed(&s, "a\n\nb\n\n", 6), 0);
    assert_int_equal(ai_sse_feed(&s, "c\n\n", 3), -2);
    assert_int_equal(ai_sse_next(&s, &raw), 1);
    assert_int_equal(ai_sse_next(&s, &raw), 1);
    is_str(raw, "b\n\n");
    assert_int_equal(ai_sse_next(&s, &raw), 0);
    ai_sse_free(&s);

    ai_sse_init(&s, 0);
    assert_int_equal(s.max, AI_SSE_EVENT_MAX);
    ai_sse_free(&s);
}


static void
memory(void **state)
{
    char      *big;
    size_t     i, size;
    ai_sse_t   s;
    ai_str_t   raw;

    (void) state;

    size = 1 << 20;
    big = malloc(size);
    assert_non_null(big);
    memset(big, 'x', size);

    ai_sse_init(&s, 2 << 20);
    assert_null(s.buf);
    assert_int_equal(ai_sse_feed(&s, NULL, 0), 0);
    assert_null(s.buf);

    /* A megabyte in pieces, then small events again: the buffer goes. */

    for (i = 0; i < size; i += 4096) {
        assert_int_equal(ai_sse_feed(&s, big + i, 4096), 0);
        assert_int_equal(ai_sse_next(&s, &raw), 0);
    }

    assert_int_equal(ai_sse_feed(&s, "\n\n", 2), 0);
    assert_int_equal(ai_sse_next(&s, &raw), 1);
    assert_int_equal(raw.len, size + 2);
    assert_true(s.size <= 4 * size);
    assert_int_equal(ai_sse_next(&s, &raw), 0);

    assert_int_equal(ai_sse_feed(&s, "a\n\n", 3), 0);
    assert_true(s.size <= 4096);
    assert_int_equal(ai_sse_next(&s, &raw), 1);
    is_str(raw, "a\n\n");

    /* A long stream of small ones never grows it. */

    for (i = 0; i < 10000; i++) {
        assert_int_equal(ai_sse_feed(&s, "data: 0123456789\n\nda", 20), 0);
        assert_int_equal(ai_sse_next(&s, &raw), 1);
        assert_int_equal(ai_sse_next(&s, &raw), 0);
        assert_int_equal(ai_sse_feed(&s, "ta: a\n\n", 7), 0);
        assert_int_equal(ai_sse_next(&s, &raw), 1);
        is_str(raw, "data: a\n\n");
        assert_int_equal(ai_sse_next(&s, &raw), 0);
    }

    assert_int_equal(s.size, 1024);

    /* More than there can be. */
    assert_int_equal(ai_sse_feed(&s, big, SIZE_MAX / 2), -1);
    assert_int_equal(ai_sse_feed(&s, "a", 1), -1);
    assert_int_equal(ai_sse_rest(&s, &raw), 0);

    ai_sse_free(&s);
    assert_null(s.buf);
    assert_int_equal(ai_sse_feed(&s, "a\n\n", 3), 0);
    assert_int_equal(ai_sse_next(&s, &raw), 1);
    ai_sse_free(&s);
    free(big);
}


/* Between two events a stream has no buffer, within one it keeps it. */

static void
trim(void **state)
{
    ai_sse_t  s;
    ai_str_t  raw;

    (void) state;

    ai_sse_init(&s, 0);
    ai_sse_trim(&s);

    assert_int_equal(ai_sse_feed(&s, "a\n\nb", 4), 0);
    assert_int_equal(ai_sse_next(&s, &raw), 1);
    ai_sse_trim(&s);
    assert_int_equal(ai_sse_next(&s, &raw), 0);
    assert_non_null(s.buf);

    assert_int_equal(ai_sse_feed(&s, "c\n\n", 3), 0);
    ai_sse_trim(&s);
    assert_int_equal(ai_sse_next(&s, &raw), 1);
    ai_unit_is(raw, "bc\n\n", 4, __FILE__, __LINE__);
    ai_sse_trim(&s);
    assert_null(s.buf);
    assert_int_equal(s.size, 0);

    assert_int_equal(ai_sse_next(&s, &raw), 0);
    assert_int_equal(ai_sse_rest(&s, &raw), 0);
    assert_int_equal(ai_sse_feed(&s, "d", 1), 0);
    assert_int_equal(ai_sse_rest(&s, &raw), 1);
    ai_unit_is(raw, "d", 1, __FILE__, __LINE__);
    ai_sse_free(&s);
}


static void
fields(void **state)
{
    size_t    i, n, len;
    char      buf[64];
    ai_str_t  event, data;

    static const struct {
        const char *raw;
        int         lines;
        const char *event;
        const char *data;
    } rows[] = {
        { "data: a\n\n", 1, "", "a" },
        { "data:a\n\n", 1, "", "a" },
        { "data:  a \n\n", 1, "", " a " },
        { "data: {\"x\":1}\r\n\r\n", 1, "", "{\"x\":1}" },
        { "data: a\r\r", 1, "", "a" },
        { "event: ping\ndata: {}\n\n", 1, "ping", "{}" },
        { "data: {}\r\nevent:ping\r\n\r\n", 1, "ping", "{}" },
        { "event: a\nevent: b\ndata\n\n", 1, "b", "" },
        { "event: a\nevent\ndata: x\n\n", 1, "", "x" },
        { "data: a\ndata: b\ndata\ndata: c\n\n", 4, "", "a\nb\n\nc" },
        { "data: a\rdata: b\r\r", 2, "", "a\nb" },
        { "data: a\r\ndata: b\r\n\r\n", 2, "", "a\nb" },
        { "data\ndata\n\n", 2, "", "\n" },
        { "data:\n\n", 1, "", "" },
        { ": comment\n\n", 0, "", "" },
        { ":data: a\n\n", 0, "", "" },
        { " data: a\n\n", 0, "", "" },
        { "Data: a\n\n", 0, "", "" },
        { "datax: a\n\n", 0, "", "" },
        { "dat: a\n\n", 0, "", "" },
        { "data : a\n\n", 0, "", "" },
        { "id: 1\nretry: 5\ndata: a\nfoo: bar\n\n", 1, "", "a" },
        { "\xEF\xBB\xBF" "data: a\n\n", 1, "", "a" },
        { "\xEF\xBB\xBF", 0, "", "" },
        { "\n\n\ndata: a\n\n", 1, "", "a" },
        { "\nid: 1\n\n", 0, "", "" },
        { "data: a", 1, "", "a" },
        { "data: a\r", 1, "", "a" },
        { "data", 1, "", "" },
        { "data: [DONE]\n\n", 1, "", "[DONE]" },
        { "data: a:b: c\n\n", 1, "", "a:b: c" },
        { "", 0, "", "" }, { "\n", 0, "", "" }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ai_str_t  raw = Z(rows[i].raw);

        assert_int_equal(ai_sse_fields(raw, &event, &data, buf, sizeof(buf)),
                         rows[i].lines);
        is_str(event, rows[i].event);
        is_str(data, rows[i].data);

        /* One line is not copied, so it needs no buffer; several need theirs.*/

        len = rows[i].lines > 1 ? strlen(rows[i].data) : 0;

        for (n = 0; n <= len; n++) {
            memset(buf, '#', sizeof(buf));
            assert_int_equal(
                ai_sse_fields(raw, &event, &data, n ? buf : NULL, n),
                n < len ? -1 : rows[i].lines);
            assert_int_equal(buf[n], '#');
        }

        is_str(data, rows[i].data);
    }

    assert_int_equal(ai_sse_fields(EMPTY, &event, &data, NULL, 0), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(line_ends),
        cmocka_unit_test(no_events),
        cmocka_unit_test(byte_order_mark),
        cmocka_unit_test(any_pieces),
        cmocka_unit_test(bound),
        cmocka_unit_test(memory),
        cmocka_unit_test(trim),
        cmocka_unit_test(fields)
    };

    return run_group(tests);
}
