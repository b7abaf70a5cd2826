/*
 * Greetings and first words, faults in a 200, when to ask again.
 */

#include "ai_unit.h"

#include <time.h>

#include "hello.h"


static void
greetings(void **state)
{
    size_t  i;

    static const char *const  hello[] = {
        ": OPENROUTER PROCESSING\n\n",
        "\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
        "\"content\":\"\",\"refusal\":null},\"logprobs\":null,"
        "\"finish_reason\":null}],\"usage\":null}\n\n",
        "data: {\"choices\":[],\"prompt_filter_results\":[{}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\","
        "\"tool_calls\":[],\"reasoning_content\":\"\"}}]}\n\n",
        "event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\","
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "data: {\"type\":\"content_block_start\",\"content_block\":"
        "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n",
        "event: response.created\ndata: {\"type\":\"response.created\"}\n\n",
        "data: {\"type\":\"response.output_item.added\",\"item\":"
        "{\"type\":\"message\"}}\n\n"
    };

    static const char *const  words[] = {
        "data: [DONE]\n\n",
        "data: x\n\n",
        "data: {}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\" \"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\"},"
        "\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[{\"delta\":{}},{\"delta\":{\"content\":"
        "\"x\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"reasoning\":\"hm\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":"
        "\"c\"}]}}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: {\"choices\":[{\"text\":\"\"}]}\n\n",
        "data: {\"type\":\"content_block_start\",\"content_block\":"
        "{\"type\":\"tool_use\",\"name\":\"f\"}}\n\n",
        "data: {\"type\":\"content_block_delta\"}\n\n",
        "data: {\"type\":\"message_delta\"}\n\n",
        "data: {\"type\":\"response.output_item.added\",\"item\":"
        "{\"type\":\"function_call\"}}\n\n",
        "data: {\"type\":\"response.output_text.delta\"}\n\n",
        "data: a\ndata: b\n\n"
    };

    (void) state;

    for (i = 0; i < sizeof(hello) / sizeof(hello[0]); i++) {
        assert_int_equal(hello_is(Z(hello[i])), 1);
    }

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_int_equal(hello_is(Z(words[i])), 0);
    }
}


static void
faults(void **state)
{
    (void) state;

    assert_int_equal(hello_status(T("data: {\"error\":{\"type\":"
                                    "\"invalid_request_error\"}}\n\n")), 400);
    assert_int_equal(hello_status(T("{\"error\":{\"code\":400}}")), 400);
    assert_int_equal(hello_status(T("{\"error\":{\"code\":413}}")), 413);
    assert_int_equal(hello_status(T("{\"error\":{\"code\":500}}")), 500);
    assert_int_equal(hello_status(T("{\"error\":{\"code\":\"400\"}}")), 0);
    assert_int_equal(hello_status(T("{\"error\":{\"code\":200}}")), 0);
    assert_int_equal(hello_status(T("{\"error\":{\"code\":99999}}")), 0);
    assert_int_equal(hello_status(T("event: error\ndata: {\"error\":{\"type\":"
                                    "\"overloaded_error\"}}\n\n")), 529);
    assert_int_equal(hello_status(T("{\"error\":{\"status\":"
                                    "\"RESOURCE_EXHAUSTED\"}}")), 429);
    assert_int_equal(hello_status(T("{\"error\":{\"type\":\"tokens\",\"code\":"
                                    "\"rate_limit_exceeded\"}}")), 429);
    assert_int_equal(hello_status(T("data: {\"type\":\"response.failed\","
                                    "\"response\":{\"error\":{\"code\":"
                                    "\"rate_limit_exceeded\"}}}\n\n")), 429);
    assert_int_equal(hello_status(T("{\"error\":{\"type\":\"server_error\"}}")),
                     0);
    assert_int_equal(hello_status(EMPTY), 0);
}


static int64_t
wish(const char *name, const char *value, unsigned *no)
{
    int64_t  msec;

    msec = -1;
    *no = 0;
    hello_wish(Z(name), Z(value), &msec, no);

    return msec;
}


static void
wishes(void **state)
{
    char        text[64];
    time_t      at;
    int64_t     msec;
    unsigned    no;
    struct tm   tm;

    (void) state;

    assert_int_equal(wish("Retry-After", "7", &no), 7000);
    assert_int_equal(wish("retry-after", "0.5", &no), 500);
    assert_int_equal(wish("retry-after-ms", "250", &no), 250);
    assert_int_equal(wish("retry-after", "-3", &no), 0);
    assert_int_equal(wish("retry-after", "nan", &no), 0);
    assert_int_equal(wish("retry-after", "1e99", &no), 24 * 3600 * 1000);
    assert_int_equal(wish("retry-after", "soon", &no), -1);
    assert_int_equal(wish("retry-after", "", &no), -1);
    assert_int_equal(wish("x-other", "7", &no), -1);
    assert_int_equal(no, 0);
    assert_int_equal(wish("x-should-retry", "false", &no), -1);
    assert_int_equal(no, 1);
    wish("x-should-retry", "true", &no);
    assert_int_equal(no, 0);

    at = time(NULL) + 3600;
    assert_non_null(gmtime_r(&at, &tm));
    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    msec = wish("retry-after", text, &no);
    assert_true(msec > 3500 * 1000 && msec <= 3600 * 1000);

    msec = -1;
    hello_wish(T("retry-after"), T("2"), &msec, &no);
    hello_wish(T("retry-after-ms"), T("1500"), &msec, &no);
    assert_int_equal(msec, 2000);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(greetings),
        cmocka_unit_test(faults),
        cmocka_unit_test(wishes)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
