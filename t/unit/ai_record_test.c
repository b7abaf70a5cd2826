/*
 * Records: what is written, what is read, and everything a little off.
 */

#include "ai_unit.h"

#include "ai_record.h"

#define N32  "abcdefghijklmnopqrstuvwxyz_01234"


static void
writes(void **state)
{
    char      mem[128];
    size_t    size;
    ai_buf_t  b;

    static const char  want[] = "v 1\n1\nmodel 6\ngpt-4o\nempty 0\n\n"
                                "n 20\n-9223372036854775808\n";

    (void) state;

    ai_buf_init(&b, mem, sizeof(mem));
    ai_record_add_int(&b, "v", 1);
    ai_record_add(&b, "model", T("gpt-4o"));
    ai_record_add(&b, "empty", EMPTY);
    ai_record_add_int(&b, "n", INT64_MIN);
    assert_false(b.full);
    is_buf(&b, want);

    /* A field that does not fit leaves the one before whole. */

    for (size = 0; size < strlen(want); size++) {
        ai_buf_init(&b, mem, size);
        ai_record_add_int(&b, "v", 1);
        ai_record_add(&b, "model", T("gpt-4o"));
        ai_record_add(&b, "empty", EMPTY);
        ai_record_add_int(&b, "n", INT64_MIN);
        assert_true(b.full);
        assert_int_equal(ai_buf_len(&b), size < 6 ? 0 : size < 21 ? 6
                                                      : size < 30 ? 21 : 30);
    }
}


static void
writes_no_name_that_is_none(void **state)
{
    size_t    i;
    char     *big, mem[128];
    ai_buf_t  b;

    static const char *const  bad[] = {
        "", "A", "a-b", "a b", "a\n", "\xC3\xA9", N32 "x"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ai_buf_init(&b, mem, sizeof(mem));
        ai_record_add(&b, bad[i], T("x"));
        assert_true(b.full);
        assert_int_equal(ai_buf_len(&b), 0);
    }

    ai_buf_init(&b, mem, sizeof(mem));
    ai_record_add(&b, N32, T("x"));
    is_buf(&b, N32 " 1\nx\n");

    big = calloc(1, 3 * AI_RECORD_MAX);
    assert_non_null(big);
    ai_buf_init(&b, big + AI_RECORD_MAX, 2 * AI_RECORD_MAX);
    ai_record_add(&b, "a", (ai_str_t) { AI_RECORD_MAX + 1, big });
    assert_true(b.full);
    free(big);
}


static void
reads(void **state)
{
    ai_str_t  rest, name, value;

    (void) state;

    rest = T("v 1\n1\na_9 5\na\n\0b \nempty 0\n\nv 1\n2\n");

    assert_int_equal(ai_record_next(&rest, &name, &value), 1);
    is_str(name, "v");
    is_str(value, "1");
    assert_int_equal(ai_record_next(&rest, &name, &value), 1);
    is_str(name, "a_9");
    is_bytes(value, "a\n\0b ");
    assert_int_equal(ai_record_next(&rest, &name, &value), 1);
    is_str(name, "empty");
    assert_int_equal(value.len, 0);
    assert_int_equal(ai_record_next(&rest, &name, &value), 1);
    is_str(name, "v");
    is_str(value, "2");
    assert_int_equal(ai_record_next(&rest, &name, &value), 0);
    assert_int_equal(rest.len, 0);
    assert_int_equal(ai_record_next(&rest, &name, &value), 0);

    rest = EMPTY;
    assert_int_equal(ai_record_next(&rest, &name, &value), 0);

    rest = T(N32 " 0\n\n");
    assert_int_equal(ai_record_next(&rest, &name, &value), 1);
    is_str(name, N32);
}


static void
refuses(void **state)
{
    size_t    i;
    ai_str_t  rest, same, name, value;

    static const char *const  bad[] = {
        " ", "\n", "a", "a ", "a 1", "a 1\n", "a 1\nx", "a 0\n", "a \n\n",
        " 1\nx\n", "a  1\nx\n", "a 1 \nx\n", "a -1\nx\n", "a +1\nx\n",
        "a 2\nx\n", "a 0\nx\n", "a 1\nxy", "A 1\nx\n", "a-b 1\nx\n",
        "a 1\r\nx\n", "a 0x1\nx\n", "a 262145\nx\n",
        "a 99999999999999999999999999\nx\n", N32 "x 1\nx\n", "\na 1\nx\n"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rest = Z(bad[i]);
        same = rest;
        assert_int_equal(ai_record_next(&rest, &name, &value), -1);
        assert_ptr_equal(rest.data, same.data);
        assert_int_equal(rest.len, same.len);
        assert_int_equal(ai_record_get(same, "b", &value), -1);
    }
}


static void
bound(void **state)
{
    char     *mem;
    ai_buf_t  b;
    ai_str_t  rest, name, value;

    (void) state;

    mem = malloc(AI_RECORD_MAX + 1);
    assert_non_null(mem);
    memset(mem, 'x', AI_RECORD_MAX + 1);

    ai_buf_init(&b, mem, 9);
    ai_buf_add_z(&b, "a 262134\n");
    assert_false(b.full);
    mem[AI_RECORD_MAX - 1] = '\n';

    rest = tight(mem, AI_RECORD_MAX);
    assert_int_equal(ai_record_next(&rest, &name, &value), 1);
    assert_int_equal(value.len, 262134);
    assert_int_equal(rest.len, 0);

    rest = tight(mem, AI_RECORD_MAX + 1);
    assert_int_equal(ai_record_next(&rest, &name, &value), -1);
    assert_int_equal(ai_record_get(rest, "a", &value), -1);

    free(mem);
}


static void
gets(void **state)
{
    ai_str_t  value, record;

    (void) state;

    record = T("a 1\n1\nbb 1\n2\nb 1\n3\nb 1\n4\n");

    assert_int_equal(ai_record_get(record, "a", &value), 1);
    is_str(value, "1");
    assert_int_equal(ai_record_get(record, "b", &value), 1);
    is_str(value, "3");
    assert_int_equal(ai_record_get(record, "bb", &value), 1);
    is_str(value, "2");
    assert_int_equal(ai_record_get(record, "c", &value), 0);
    assert_int_equal(ai_record_get(record, "", &value), 0);
    assert_int_equal(ai_record_get(EMPTY, "a", &value), 0);

    record = T("a 1\n1\nbroken");
    assert_int_equal(ai_record_get(record, "a", &value), 1);
    assert_int_equal(ai_record_get(record, "b", &value), -1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(writes),
        cmocka_unit_test(writes_no_name_that_is_none),
        cmocka_unit_test(reads),
        cmocka_unit_test(refuses),
        cmocka_unit_test(bound),
        cmocka_unit_test(gets)
    };

    return run_group(tests);
}
