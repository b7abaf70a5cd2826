/*
 * Items of conversations: what is added to them, what stays as it came, and
 * what is refused.
 */

#include "ai_unit.h"

#include "items.h"

#define HEX  "0123456789abcdef0123456789abcdef"


/* Items of a request, told as a JSON array, or why not. */

static void
add(const char *array, const char *list)
{
    int      rc;
    items_t  t;

    memset(&t, 0, sizeof(t));
    rc = items_add(&t, (ai_str_t) { strlen(array), array }, ai_str(HEX),
                   'i');
    assert_true(rc == 0 || rc == -1);

    if (rc == -1) {
        assert_string_equal(t.why, list);

    } else {
        out_add(&t.list, (ai_str_t) { 1, "" });
        assert_string_equal(t.list.data != NULL ? t.list.data : "", list);
    }

    items_free(&t);
}


static void
made_whole(void **state)
{
    (void) state;

    add("[]", "");
    add("[{\"role\":\"user\",\"content\":\"a\\\"b\"}]",
        "{\"id\":\"msg_" HEX "i0\",\"type\":\"message\","
        "\"status\":\"completed\",\"role\":\"user\","
        "\"content\":[{\"type\":\"input_text\",\"text\":\"a\\\"b\"}]}");
    add("[ {\"type\" : null, \"role\":\"assistant\", \"id\":null,"
        "\"content\":\"\"} ]",
        "{\"status\":\"completed\",\"type\" : \"message\", "
        "\"role\":\"assistant\", \"id\":\"msg_" HEX "i0\","
        "\"content\":[{\"type\":\"output_text\",\"annotations\":[],"
        "\"text\":\"\"}]}");
    add("[{\"type\":\"item_reference\",\"id\":\"x\"},"
        "{\"type\":\"reasoning\",\"summary\":[]}]",
        "{\"id\":\"rs_" HEX "i1\",\"type\":\"reasoning\",\"summary\":[]}");
    add("[{\"type\":\"function_call\",\"id\":\"fc_1\",\"status\":\"x\"},"
        "{\"type\":\"new\" }]",
        "{\"type\":\"function_call\",\"id\":\"fc_1\",\"status\":\"x\"},"
        "{\"id\":\"item_" HEX "i1\",\"type\":\"new\" }");
}


static void
refused(void **state)
{
    (void) state;

    add("[1]", "Item 0 must be an object.");
    add("[{}]", "Item 0 must have a \"type\", or be a message with a "
        "\"role\".");
    add("[{\"type\":1}]", "The \"type\" of item 0 must be a string.");
    add("[{\"type\":\"x\",\"id\":7}]", "The \"id\" of item 0 must be a string "
        "of at most 128 letters, digits, _ and -.");
    add("[{\"type\":\"x\",\"id\":\"\\u0061\"}]", "The \"id\" of item 0 must "
        "be a string of at most 128 letters, digits, _ and -.");
    add("[{\"type\":\"x\",\"id\":\"a\"},{\"type\":\"y\",\"id\":\"a\"}]",
        "Duplicate item found with id 'a'.");
}


/* Of an answer none is refused: it gets another id. */

static void
said(void **state)
{
    char     *text;
    items_t   t;

    (void) state;

    memset(&t, 0, sizeof(t));
    assert_int_equal(items_add(&t, ai_str("[{\"type\":\"x\",\"id\":\"a\"}]"),
                               ai_str(HEX), 'i'), 0);
    assert_int_equal(items_add_said(&t, ai_str("[{\"type\":\"x\",\"id\":"
                                    "\"a\"},{\"type\":\"x\",\"id\":\"\"}]"),
                                    ai_str(HEX)), 0);
    assert_int_equal(t.n, 3);
    assert_string_equal(t.first, "a");
    assert_string_equal(t.last, "item_" HEX "o1");

    text = items_array(&t.ids);
    assert_string_equal(text, "{\"a\",\"item_" HEX "o0\",\"item_" HEX
                        "o1\"}");
    free(text);
    items_free(&t);
}


static void
for_postgres(void **state)
{
    char     *text;
    items_t   t;

    (void) state;

    memset(&t, 0, sizeof(t));
    text = items_array(&t.texts);
    assert_string_equal(text, "{}");
    free(text);

    assert_int_equal(items_add(&t, ai_str("[{\"type\":\"x\",\"id\":\"a\","
                               "\"b\":\"{\\\\,}\"}]"), ai_str(HEX), 'i'), 0);
    text = items_array(&t.texts);
    assert_string_equal(text, "{\"{\\\"type\\\":\\\"x\\\",\\\"id\\\":"
                        "\\\"a\\\",\\\"b\\\":\\\"{\\\\\\\\,}\\\"}\"}");
    assert_int_equal(t.bytes, strlen("{\"type\":\"x\",\"id\":\"a\","
                                     "\"b\":\"{\\\\,}\"}"));
    free(text);
    items_free(&t);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(made_whole),
        cmocka_unit_test(refused),
        cmocka_unit_test(said),
        cmocka_unit_test(for_postgres)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
