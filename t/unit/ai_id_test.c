/*
 * Ids of jobs, processes, events and traces.
 */

#include "ai_unit.h"

#include <sys/wait.h>
#include <unistd.h>

#include "ai_id.h"
#include "ai_keys.h"


static void
jobs(void **state)
{
    int       i, k;
    char      id[AI_JOB_ID_LEN + 1], other[AI_JOB_ID_LEN];
    uint64_t  msec;

    (void) state;

    id[AI_JOB_ID_LEN] = '#';
    assert_int_equal(ai_id_job(id, 0x0199C0FFEE01), 0);
    assert_int_equal(id[AI_JOB_ID_LEN], '#');
    assert_memory_equal(id, "job_0199c0ffee01", 16);
    assert_true(ai_id_job_ok(tight(id, AI_JOB_ID_LEN)));
    assert_true(ai_id_job_msec(tight(id, AI_JOB_ID_LEN)) == 0x0199C0FFEE01);

    assert_int_equal(ai_id_job(other, 0x0199C0FFEE01), 0);
    assert_memory_not_equal(id, other, sizeof(other));

    /* Only the low 48 bits are kept. */
    assert_int_equal(ai_id_job(id, UINT64_MAX), 0);
    msec = ai_id_job_msec((ai_str_t) { AI_JOB_ID_LEN, id });
    assert_true(msec == 0xFFFFFFFFFFFF);

    assert_int_equal(ai_id_job(id, 0), 0);
    assert_memory_equal(id, "job_000000000000", 16);
    assert_true(ai_id_job_ok((ai_str_t) { AI_JOB_ID_LEN, id }));

    for (i = 0; i < AI_JOB_ID_LEN; i++) {
        for (k = 0; k < 256; k++) {
            char  wrong[AI_JOB_ID_LEN];
            int   want;

            memcpy(wrong, id, sizeof(wrong));
            wrong[i] = (char) k;
            want = i < 4 ? k == "job_"[i]
                         : k && strchr("0123456789abcdef", k) != NULL;
            assert_int_equal(ai_id_job_ok((ai_str_t) { sizeof(wrong), wrong }),
                             want);
        }
    }

    assert_false(ai_id_job_ok((ai_str_t) { AI_JOB_ID_LEN - 1, id }));
    assert_false(ai_id_job_ok(T("job_0199c0ffee010123456789abcdef01234")));
    assert_false(ai_id_job_ok(EMPTY));
    assert_true(ai_id_job_msec(T("job_0199c0ffee010123456789abcdef012")) == 0);
    assert_true(ai_id_job_msec(EMPTY) == 0);
}


static void
processes(void **state)
{
    char    buf[128], host[100];
    size_t  i, len;

    (void) state;

    assert_int_equal(ai_id_process(buf, sizeof(buf), "web1.example", 4711,
                                   1790000000000), 31);
    assert_string_equal(buf, "web1.example-4711-1790000000000");

    assert_int_equal(ai_id_process(buf, sizeof(buf), "a_b c:\xC3\xA9", 1, 2),
                     12);
    assert_string_equal(buf, "a-b-c----1-2");
    assert_int_equal(ai_id_process(buf, sizeof(buf), "azAZ09.@[`{/:", 1, 2),
                     17);
    assert_string_equal(buf, "azAZ09.-------1-2");
    assert_true(ai_keys_process_ok(Z(buf)));

    memset(host, 'h', sizeof(host));
    host[99] = '\0';

    len = ai_id_process(buf, sizeof(buf), host, 4711, 1790000000000);
    assert_int_equal(len, AI_PROCESS_ID_MAX);
    assert_int_equal(strlen(buf), len);
    assert_string_equal(buf + len - 19, "-4711-1790000000000");
    assert_true(ai_keys_process_ok(Z(buf)));

    for (i = 0; i < 70; i++) {
        memset(buf, '#', sizeof(buf));
        len = ai_id_process(buf, i, host, 4711, 1790000000000);

        if (i < 20) {
            assert_int_equal(len, 0);

        } else {
            assert_int_equal(len, i <= 65 ? i - 1 : 64);
            assert_int_equal(strlen(buf), len);
            assert_int_equal(buf[i], '#');
        }
    }

    assert_int_equal(ai_id_process(buf, sizeof(buf), "", INT32_MAX, 1), 13);
    assert_string_equal(buf, "-2147483647-1");
}


static void
events(void **state)
{
    size_t         i;
    ai_event_id_t  id;
    char           buf[AI_EVENT_ID_MAX];

    static const struct {
        const char *text;
        uint32_t    attempt, seq;
    } good[] = {
        { "1-0", 1, 0 }, { "1-1", 1, 1 }, { "3-4711", 3, 4711 },
        { "0-0", 0, 0 }, { "10-20", 10, 20 },
        { "4294967295-4294967295", UINT32_MAX, UINT32_MAX }
    };

    static const char *const  bad[] = {
        "", "-", "1", "1-", "-1", "1-1-1", "01-1", "1-01", "00-1", "1-00",
        "+1-1", "1-+1", " 1-1", "1-1 ", "1 -1", "4294967296-1", "1-4294967296",
        "99999999999999999999-1", "1-99999999999999999999", "a-1", "1-a", "$",
        "1--1", "1_1", "1-1\n"
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(ai_id_event_parse(Z(good[i].text), &id), 0);
        assert_true(id.attempt == good[i].attempt && id.seq == good[i].seq);

        assert_int_equal(ai_id_event_print(buf, sizeof(buf), id),
                         strlen(good[i].text));
        assert_string_equal(buf, good[i].text);

        assert_int_equal(ai_id_event_print(buf, strlen(good[i].text) + 1, id),
                         strlen(good[i].text));
        assert_int_equal(ai_id_event_print(buf, strlen(good[i].text), id), 0);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        id = (ai_event_id_t) { 47, 11 };
        assert_int_equal(ai_id_event_parse(Z(bad[i]), &id), -1);
        assert_true(id.attempt == 47 && id.seq == 11);
    }

    assert_int_equal(ai_id_event_parse(EMPTY, &id), -1);

#define cmp(a, b, c, d)  \
    ai_id_event_cmp((ai_event_id_t) { a, b }, (ai_event_id_t) { c, d })

    assert_true(cmp(1, 1, 1, 1) == 0);
    assert_true(cmp(1, 1, 1, 2) < 0);
    assert_true(cmp(1, 2, 1, 1) > 0);
    assert_true(cmp(1, 9, 2, 0) < 0);
    assert_true(cmp(2, 0, 1, 9) > 0);
    assert_true(cmp(0, UINT32_MAX, UINT32_MAX, 0) < 0);
    assert_true(cmp(UINT32_MAX, 0, 0, UINT32_MAX) > 0);
    assert_true(cmp(1, 0, 1, UINT32_MAX) < 0);
}


static void
traces(void **state)
{
    int          i, k, want;
    size_t       n;
    ai_str_t     s;
    char         buf[AI_TRACEPARENT_LEN + 1], other[AI_TRACEPARENT_LEN];
    char         wrong[AI_TRACEPARENT_LEN], longer[200];

    static const char  good[] =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    static const char *const  bad[] = {
        "", "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-a b",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-\x7f"
    };

    (void) state;

    assert_true(ai_id_traceparent_ok(T(good)));
    assert_true(ai_id_traceparent_ok(
        T("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")));
    assert_true(ai_id_traceparent_ok(
        T("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what!")));

    for (i = 0; i < (int) (sizeof(bad) / sizeof(bad[0])); i++) {
        assert_false(ai_id_traceparent_ok(Z(bad[i])));
    }

    for (i = 0; i < AI_TRACEPARENT_LEN; i++) {
        for (k = 0; k < 256; k++) {
            memcpy(wrong, good, sizeof(wrong));
            wrong[i] = (char) k;
            want = good[i] == '-' ? k == '-'
                                  : k && strchr("0123456789abcdef", k) != NULL;
            assert_int_equal(
                ai_id_traceparent_ok((ai_str_t) { sizeof(wrong), wrong }),
                want);
        }
    }

    memset(longer, 'x', sizeof(longer));
    memcpy(longer, "01", 2);
    memcpy(longer + 2, good + 2, sizeof(good) - 3);
    longer[55] = '-';

    for (n = 56; n < sizeof(longer); n++) {
        assert_int_equal(ai_id_traceparent_ok(tight(longer, n)),
                         n <= AI_TRACEPARENT_MAX);
    }

    buf[AI_TRACEPARENT_LEN] = '#';
    assert_int_equal(ai_id_traceparent(buf), 0);
    assert_int_equal(ai_id_traceparent(other), 0);
    assert_int_equal(buf[AI_TRACEPARENT_LEN], '#');
    assert_memory_not_equal(buf, other, sizeof(other));
    s = (ai_str_t) { AI_TRACEPARENT_LEN, buf };
    assert_true(ai_id_traceparent_ok(s));
    assert_memory_equal(buf, "00-", 3);
    assert_memory_equal(buf + 52, "-01", 3);
}


/* A forked process makes none that its parent makes, too. */

static void
forked(void **state)
{
    int    fd[2], status;
    char   ours[AI_JOB_ID_LEN], theirs[AI_JOB_ID_LEN];
    pid_t  pid;

    (void) state;

    assert_int_equal(ai_id_job(ours, 1), 0);
    assert_int_equal(pipe(fd), 0);

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        _exit(ai_id_job(theirs, 1) == 0
              && write(fd[1], theirs, sizeof(theirs)) == sizeof(theirs)
              ? 0 : 1);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(fd[0], theirs, sizeof(theirs)), sizeof(theirs));
    assert_int_equal(ai_id_job(ours, 1), 0);
    assert_memory_not_equal(ours, theirs, sizeof(ours));

    close(fd[0]);
    close(fd[1]);
}


/* More of them than are in store at once. */

static void
many(void **state)
{
    int    i, k;
    static char  ids[500][AI_JOB_ID_LEN];

    (void) state;

    for (i = 0; i < 500; i++) {
        assert_int_equal(ai_id_job(ids[i], 1), 0);

        for (k = 0; k < i; k++) {
            assert_memory_not_equal(ids[i], ids[k], AI_JOB_ID_LEN);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(jobs),
        cmocka_unit_test(forked),
        cmocka_unit_test(many),
        cmocka_unit_test(processes),
        cmocka_unit_test(events),
        cmocka_unit_test(traces)
    };

    return run_group(tests);
}
