/*
 * Bells and frames.
 */

#include "ai_unit.h"

#include "ai_event.h"

#define JOB  "job_0199c0ffee010123456789abcdef0123"
#define HEX  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define W32  "abcdefghijklmnopqrstuvwxyz_01234"


static void
bells(void **state)
{
    ai_bell_t  bell;

    (void) state;

    assert_int_equal(ai_bell_parse(T("E" JOB "\n1-1 e 1\n-"), &bell), 0);
    assert_int_equal(bell.type, AI_BELL_EVENTS);
    is_str(bell.name, JOB);
    is_str(bell.frames, "1-1 e 1\n-");
    assert_int_equal(bell.word.len, 0);

    assert_int_equal(ai_bell_parse(T("E" JOB "\n"), &bell), 0);
    assert_int_equal(bell.frames.len, 0);

    assert_int_equal(ai_bell_parse(T("K" HEX " ok\n"), &bell), 0);
    assert_int_equal(bell.type, AI_BELL_KEY);
    is_str(bell.name, HEX);
    is_str(bell.word, "ok");
    assert_int_equal(bell.frames.len, 0);

    assert_int_equal(ai_bell_parse(T("K" HEX " 4711"), &bell), 0);
    is_str(bell.word, "4711");

    assert_int_equal(ai_bell_parse(T("C" HEX "\n"), &bell), 0);
    assert_int_equal(bell.type, AI_BELL_CATALOG);
    is_str(bell.name, HEX);
    assert_int_equal(bell.word.len, 0);

    assert_int_equal(ai_bell_parse(T("C" HEX), &bell), 0);

    assert_int_equal(ai_bell_parse(T("W" HEX "\n"), &bell), 0);
    assert_int_equal(bell.type, AI_BELL_JWKS);
    is_str(bell.name, HEX);
    assert_int_equal(bell.word.len, 0);

    assert_int_equal(ai_bell_parse(T("X" JOB " disconnect"), &bell), 0);
    assert_int_equal(bell.type, AI_BELL_CANCEL);
    is_str(bell.name, JOB);
    is_str(bell.word, "disconnect");

    assert_int_equal(ai_bell_parse(T("X" JOB " a_9\n"), &bell), 0);
    is_str(bell.word, "a_9");

    assert_int_equal(ai_bell_parse(T("X" JOB " " W32), &bell), 0);
    is_str(bell.word, W32);
}


static void
no_bells(void **state)
{
    size_t      i, len;
    ai_bell_t   bell;

    static const char *const  bad[] = {
        "", "E", "K", "C", "X", "E\n", "Z" JOB "\n", "e" JOB "\n",
        "E" JOB, "E" JOB " \n", "Ejob_0199c0ffee010123456789abcdef012\n\n",
        "Ejob_0199c0ffee010123456789abcdef012x\n", "E" JOB "0\n",
        "K" HEX, "K" HEX "\n", "K" HEX " ", "K" HEX " \n", "K" HEX "  ok\n",
        "K" HEX " ok \n", "K" HEX " ok\n\n", "K" HEX " OK\n", "K" HEX " o-k",
        "K" HEX "0 ok\n", "K" JOB " ok\n", "K" HEX " " W32 "x\n",
        "C" HEX " ", "C" HEX "\n\n", "C" HEX " x", "C" JOB "\n",
        "W", "W\n", "W" JOB "\n", "W" HEX " x", "W" HEX "\n\n", "W" HEX "0",
        "Cba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015aD",
        "X" JOB, "X" JOB "\n", "X" JOB "\nclient", "X" HEX " client",
        "X" JOB " client x"
    };

    static const char  whole[] = "K" HEX " ok\n";

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (ai_bell_parse(Z(bad[i]), &bell) != -1) {
            fail_msg("a bell: %s", bad[i]);
        }
    }

    assert_int_equal(ai_bell_parse(EMPTY, &bell), -1);
    assert_int_equal(ai_bell_parse(T("K" HEX " o\0k"), &bell), -1);

    for (len = 0; len < 67; len++) {
        assert_int_equal(ai_bell_parse(tight(whole, len), &bell), -1);
    }
}


static void
frames(void **state)
{
    char        mem[256];
    size_t      size, len;
    ai_buf_t    b;
    ai_str_t    rest;
    ai_event_t  ev;

    static const char  text[] = "1-1 h 9\nstatus 20"
                                "1-2 s 11\ndata: {}\n\n\0"
                                "1-3 c 0\n"
                                "1-4 e 1\n-"
                                "2-0 a 0\n"
                                "2-1 x 4\na 0\n"
                                "2-1 ! 0\n";

    (void) state;

    rest = T(text);

    assert_int_equal(ai_event_next(&rest, &ev), 1);
    assert_true(ev.id.attempt == 1 && ev.id.seq == 1);
    assert_int_equal(ev.type, AI_EVENT_HEAD);
    is_str(ev.payload, "status 20");

    assert_int_equal(ai_event_next(&rest, &ev), 1);
    assert_int_equal(ev.type, AI_EVENT_DATA);
    is_bytes(ev.payload, "data: {}\n\n\0");

    assert_int_equal(ai_event_next(&rest, &ev), 1);
    assert_int_equal(ev.type, AI_EVENT_CONTINUE);
    assert_int_equal(ev.payload.len, 0);

    assert_int_equal(ai_event_next(&rest, &ev), 1);
    assert_int_equal(ev.type, AI_EVENT_END);
    assert_int_equal(ev.id.seq, 4);

    assert_int_equal(ai_event_next(&rest, &ev), 1);
    assert_int_equal(ev.type, AI_EVENT_ATTEMPT);
    assert_true(ev.id.attempt == 2 && ev.id.seq == 0);

    assert_int_equal(ai_event_next(&rest, &ev), 1);
    assert_int_equal(ev.type, AI_EVENT_ERROR);
    is_str(ev.payload, "a 0\n");

    assert_int_equal(ai_event_next(&rest, &ev), 1);
    assert_int_equal(ev.type, AI_EVENT_READ_LOG);

    assert_int_equal(ai_event_next(&rest, &ev), 0);
    assert_int_equal(rest.len, 0);

    /* What is written is what was read. */

    rest = T(text);
    ai_buf_init(&b, mem, sizeof(mem));

    while (ai_event_next(&rest, &ev) == 1) {
        ai_event_write(&b, &ev);
    }

    ai_unit_is((ai_str_t) { ai_buf_len(&b), mem }, text, sizeof(text) - 1,
               __FILE__, __LINE__);

    ev = (ai_event_t) { { 1, 2 }, AI_EVENT_DATA, T("abc") };
    len = strlen("1-2 s 3\nabc");

    for (size = 0; size < len; size++) {
        ai_buf_init(&b, mem, size);
        ai_event_write(&b, &ev);
        assert_true(b.full);
        assert_int_equal(ai_buf_len(&b), 0);
    }

    ai_buf_init(&b, mem, len);
    ai_event_write(&b, &ev);
    is_buf(&b, "1-2 s 3\nabc");
}


static void
no_frames(void **state)
{
    size_t      i;
    ai_str_t    rest, same;
    ai_event_t  ev;

    static const char *const  bad[] = {
        "\n", " ", "1-1", "1-1 ", "1-1 s", "1-1 s ", "1-1 s 1", "1-1 s 1\n",
        "1-1 s\n", "1-1 s \n", "1-1 s 3\nab", "1-1 s -1\n", "1-1 s +1\nx",
        "1-1 s 01x\n", "1-1 z 0\n", "1-1 S 0\n", "1-1  0\n", "1-1 ss 0\n",
        "1-1  s 0\n", "1-1 s  0\n", "1 s 0\n", "-1 s 0\n", "01-1 s 0\n",
        "1-1 s 99999999999999999999999\nx", "1-1 s 18446744073709551616\nx",
        "0-1 s 0\n",            /* attempts begin at 1 */
        "1-0 s 0\n",            /* so do events */
        "1-0 e 1\n-", "1-1 a 0\n",      /* only an attempt is 0 */
        "1-1 ! 1\nx", "4294967296-1 s 0\n", "1-4294967296 s 0\n",
        "00000000000000000000000000000000001-1 s 0\n"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rest = Z(bad[i]);
        same = rest;

        if (ai_event_next(&rest, &ev) != -1) {
            fail_msg("a frame: %s", bad[i]);
        }

        assert_ptr_equal(rest.data, same.data);
        assert_int_equal(rest.len, same.len);
    }

    rest = EMPTY;
    assert_int_equal(ai_event_next(&rest, &ev), 0);

    /* Any tip may be named by a frame that says to read the log. */
    rest = T("0-0 ! 0\n1-0 ! 0\n");
    assert_int_equal(ai_event_next(&rest, &ev), 1);
    assert_int_equal(ai_event_next(&rest, &ev), 1);
    assert_int_equal(ai_event_next(&rest, &ev), 0);
}


static void
bounds(void **state)
{
    char        *mem;
    size_t       i, head;
    ai_str_t     rest;
    ai_event_t   ev;

    (void) state;

    mem = malloc(AI_EVENT_DATA_MAX + 64);
    assert_non_null(mem);
    memset(mem, 'x', AI_EVENT_DATA_MAX + 64);

    for (i = 0; i < 2; i++) {
        head = (size_t) sprintf(mem, "1-1 %c 65536\n", "sc"[i]);
        rest = tight(mem, head + 65536);
        assert_int_equal(ai_event_next(&rest, &ev), 1);
        assert_int_equal(ev.payload.len, 65536);

        head = (size_t) sprintf(mem, "1-1 %c 65537\n", "sc"[i]);
        rest = tight(mem, head + 65537);
        assert_int_equal(ai_event_next(&rest, &ev), -1);
    }

    head = (size_t) sprintf(mem, "1-1 h 65537\n");
    rest = tight(mem, head + 65537);
    assert_int_equal(ai_event_next(&rest, &ev), 1);

    free(mem);

    for (i = 0; i < 256; i++) {
        assert_int_equal(ai_event_ok((char) i, 0),
                         i && strchr("hscexa", (int) i) != NULL);
    }

    assert_true(ai_event_ok('s', AI_EVENT_DATA_MAX));
    assert_false(ai_event_ok('s', AI_EVENT_DATA_MAX + 1));
    assert_false(ai_event_ok('c', AI_EVENT_DATA_MAX + 1));
    assert_true(ai_event_ok('h', 256 * 1024));
    assert_false(ai_event_ok('h', 256 * 1024 + 1));
    assert_false(ai_event_ok('x', 256 * 1024 + 1));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(bells),
        cmocka_unit_test(no_bells),
        cmocka_unit_test(frames),
        cmocka_unit_test(no_frames),
        cmocka_unit_test(bounds)
    };

    return run_group(tests);
}
