/*
 * Rows of the ledger: what an outbox entry becomes, and the arrays that one
 * statement takes.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ledger_row.h"


#define JOB    "job_0123456789abcdef0123456789abcdef"
#define USAGE  "done\t200\topenai\tgpt\treq\tstop\t10\t20\t3\t-\t-\t1500\t0" \
               "\t900\t5000\t120\t1\t-"
#define BASE   "key:key_1\tbob\tchat\topenai\tgpt-4o"


/* An entry as XREADGROUP's reply has it; fields in pairs. */

static ai_resp_t *
entry(const char *id, unsigned n, const char *const *fields)
{
    char              text[4096], *p;
    size_t            len, room;
    unsigned          i;
    ai_resp_t        *reply;
    ai_resp_reader_t  reader;
    ai_resp_limits_t  limits = { 1 << 20, 100, 7, 0 };

    len = (size_t) snprintf(text, sizeof(text),
                            "*2\r\n$%zu\r\n%s\r\n*%u\r\n", strlen(id), id, n);

    for (i = 0; i < n; i++) {
        len += (size_t) snprintf(text + len, sizeof(text) - len,
                                 "$%zu\r\n%s\r\n", strlen(fields[i]),
                                 fields[i]);
    }

    ai_resp_init(&reader, &limits);
    p = ai_resp_room(&reader, &room);
    assert_true(p != NULL && len <= room);
    memcpy(p, text, len);
    ai_resp_fed(&reader, len);
    assert_int_equal(ai_resp_next(&reader, &reply), AI_RESP_OK);
    reply = ai_resp_copy(&reader);
    assert_non_null(reply);
    ai_resp_free(&reader);

    return reply;
}


static ai_resp_t *
good(const char *at, const char *base, const char *usage)
{
    const char  *fields[] = { "j", JOB, "a", "1", "c", "0", "t", at,
                              "n", "acme", "b", base, "u", usage };

    return entry("1-1", 14, fields);
}


static void
is(ai_str_t got, const char *want)
{
    if (want == NULL) {
        assert_null(got.data);
        return;
    }

    assert_non_null(got.data);
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.data, want, got.len);
}


static void
columns(void **state)
{
    unsigned      i;
    ai_resp_t    *reply;
    ledger_row_t  row;
    static const char *const  want[LEDGER_COLUMNS] = {
        JOB, "1", "0", "2026-09-21 14:13:20.000001+00", "acme", "key:key_1",
        "bob", "chat", "openai", "gpt-4o", "done", "200", "openai", "gpt",
        "req", "stop", "10", "20", "3", NULL, NULL, "1500", "0", "900",
        "5000", "120", "1", NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        "1"
    };

    (void) state;

    reply = good("1790000000000001", BASE, USAGE);
    assert_int_equal(ledger_row_parse(&row, reply), 0);
    assert_null(row.error);
    is(row.entry, "1-1");
    is(row.tenant, "acme");

    for (i = 0; i < LEDGER_COLUMNS; i++) {
        is(row.columns[i], want[i]);
    }

    free(reply);
}


static void
fewer_and_more(void **state)
{
    ai_resp_t    *reply;
    ledger_row_t  row;

    (void) state;

    reply = good("1790000000000001", "-\t\tchat", "failed");
    assert_int_equal(ledger_row_parse(&row, reply), 0);
    assert_null(row.error);
    is(row.columns[5], NULL);
    is(row.columns[6], NULL);
    is(row.columns[7], "chat");
    is(row.columns[8], NULL);
    is(row.columns[10], "failed");
    is(row.columns[11], NULL);
    is(row.columns[27], NULL);
    free(reply);

    reply = good("1790000000000001", BASE "\tmore",
                 USAGE "\t1\t2\t-\t4\t5\t1\tnew\n");
    assert_int_equal(ledger_row_parse(&row, reply), 0);
    assert_null(row.error);
    is(row.columns[9], "gpt-4o");
    is(row.columns[26], "1");
    is(row.columns[27], NULL);
    is(row.columns[28], "1");
    is(row.columns[29], "2");
    is(row.columns[30], NULL);
    is(row.columns[31], "4");
    is(row.columns[32], "5");
    is(row.columns[33], "1");
    is(row.columns[34], "1");
    free(reply);

    reply = good("1790000000000001", BASE, USAGE "\n");
    assert_int_equal(ledger_row_parse(&row, reply), 0);
    is(row.columns[27], NULL);
    free(reply);
}


static void
times(void **state)
{
    unsigned      i;
    ai_resp_t    *reply;
    ledger_row_t  row;
    static const char *const  times[][2] = {
        { "1577836800000000", "2020-01-01 00:00:00.000000+00" },
        { "1582934400999999", "2020-02-29 00:00:00.999999+00" },
        { "1798761599999999", "2026-12-31 23:59:59.999999+00" },
        { "1577836799999999", NULL },
        { "9999999999999999999", NULL },
        { "-1", NULL },
        { "", NULL },
        { "1790000000.5", NULL },
    };

    (void) state;

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        reply = good(times[i][0], BASE, USAGE);
        assert_int_equal(ledger_row_parse(&row, reply), 0);

        if (times[i][1]) {
            assert_null(row.error);
            is(row.columns[3], times[i][1]);

        } else {
            assert_string_equal(row.error, "t is no time");
        }

        free(reply);
    }
}


static void
malformed(void **state)
{
    ai_resp_t    *reply, inner;
    ledger_row_t  row;
    const char   *none[] = { "x", "y" };
    const char   *odd[] = { "j", JOB, "a" };

    (void) state;

    reply = entry("1-1", 2, none);
    assert_int_equal(ledger_row_parse(&row, reply), 0);
    assert_string_equal(row.error, "j is no job id");
    free(reply);

    reply = entry("1-1", 3, odd);
    assert_int_equal(ledger_row_parse(&row, reply), 0);
    assert_string_equal(row.error, "a is no attempt");
    free(reply);

    reply = good("1790000000000001", BASE, "done\tmany");
    assert_int_equal(ledger_row_parse(&row, reply), 0);
    assert_string_equal(row.error, "u is no usage line");
    inner = reply->element[1];
    reply->element[1] = reply->element[0];
    assert_int_equal(ledger_row_parse(&row, reply), 0);
    assert_string_equal(row.error, "the entry has no fields");
    assert_int_equal(ledger_row_parse(&row, &inner), -1);
    free(reply);
}


/* An entry that stands for several requests says how many. */

static void
requests(void **state)
{
    unsigned      i;
    ai_resp_t    *reply;
    ledger_row_t  row;
    const char   *fields[] = { "j", JOB, "a", "1", "c", "0",
                               "t", "1790000000000001", "n", "acme",
                               "b", BASE, "u", USAGE, "r", NULL };
    static const struct {
        const char  *text;
        int          good;
    } counts[] = {
        { "1", 1 }, { "250", 1 }, { "1000000", 1 },
        { "0", 0 }, { "-1", 0 }, { "1000001", 0 }, { "", 0 }, { "1.5", 0 },
        { "99999999999999999999", 0 }
    };

    (void) state;

    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        fields[15] = counts[i].text;
        reply = entry("1-1", 16, fields);
        assert_int_equal(ledger_row_parse(&row, reply), 0);

        if (counts[i].good) {
            assert_null(row.error);
            is(row.columns[34], counts[i].text);

        } else {
            assert_string_equal(row.error, "r is no number of requests");
        }

        free(reply);
    }
}


static void
arrays(void **state)
{
    char          buf[256];
    size_t        need;
    ledger_row_t  rows[4];

    (void) state;

    memset(rows, 0, sizeof(rows));
    rows[0].columns[5] = ai_str("plain");
    rows[1].columns[5] = ai_str("a\"b\\c,{}");
    rows[3].columns[5] = ai_str("NULL");

    need = ledger_row_array(NULL, 0, rows, 4, 5);
    assert_true(need <= sizeof(buf));
    assert_int_equal(ledger_row_array(buf, need - 1, rows, 4, 5), need);
    assert_int_equal(ledger_row_array(buf, need, rows, 4, 5), need);
    assert_string_equal(buf, "{\"plain\",\"a\\\"b\\\\c,{}\",NULL,\"NULL\"}");

    /* The worst a value can be still fits in what was asked for. */
    rows[0].columns[5] = ai_str("\\\\\\\\\"\"\"\"");
    need = ledger_row_array(NULL, 0, rows, 1, 5);
    assert_true(need <= sizeof(buf));
    assert_int_equal(ledger_row_array(buf, need, rows, 1, 5), need);
    assert_true(strlen(buf) + 1 <= need);
    assert_string_equal(buf, "{\"\\\\\\\\\\\\\\\\\\\"\\\"\\\"\\\"\"}");
}


static void
records(void **state)
{
    char         buf[128];
    size_t       len;
    ai_resp_t   *reply;
    const char  *fields[] = { "j", "x", "NOT A NAME", "y", "u", "\xff" };

    (void) state;

    reply = entry("1-1", 6, fields);
    len = ledger_row_record(buf, sizeof(buf), reply);
    assert_int_equal(len, strlen(buf));
    /* "j 1\nx\n" and "u 1\n\xff\n" */
    assert_string_equal(buf, "\\x6a20310a780a" "7520310aff0a");
    assert_int_equal(ledger_row_record(buf, 8, reply), 0);
    free(reply);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(columns),
        cmocka_unit_test(fewer_and_more),
        cmocka_unit_test(times),
        cmocka_unit_test(malformed),
        cmocka_unit_test(requests),
        cmocka_unit_test(arrays),
        cmocka_unit_test(records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
