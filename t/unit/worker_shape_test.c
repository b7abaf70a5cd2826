/*
 * Shapes of an answer: what a stream tells in pieces is what the object says,
 * and back; what is not known to be told makes no shape.
 */

#include "ai_unit.h"

#include <stdlib.h>

#include "ai_json.h"
#include "shape.h"


#define CHUNK(delta, finish)                                                 \
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1," \
    "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":" delta               \
    ",\"finish_reason\":" finish "}]}\n\n"
#define USAGE                                                                \
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1," \
    "\"model\":\"m\",\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n"       \
    "data: [DONE]\n\n"
#define CALL(call)  "{\"tool_calls\":[{\"index\":0," call "}]}"
#define NAMED(name)                                                          \
    CHUNK(CALL("\"id\":\"i\",\"type\":\"function\",\"function\":{\"name\":"    \
               "\"f\",\"arguments\":\"{\"}"), "null")                         \
    CHUNK(CALL("\"function\":{\"name\":" name ",\"arguments\":\"}\"}"),        \
          "null")                                                            \
    CHUNK("{}", "\"tool_calls\"") USAGE

#define MESSAGE(member)                                                      \
    "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":"    \
    "\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","     \
    "\"content\":\"x\"" member "},\"finish_reason\":\"stop\"}],"             \
    "\"usage\":{\"total_tokens\":3}}"

#define EVENT(event)  "data: {\"type\":\"" event "}\n\n"
#define BLOCK(block, deltas)                                                 \
    EVENT("message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\","    \
          "\"content\":[],\"stop_reason\":null,\"usage\":{\"i\":1}}")         \
    EVENT("content_block_start\",\"index\":0,\"content_block\":" block)       \
    deltas                                                                   \
    EVENT("content_block_stop\",\"index\":0")                                \
    EVENT("message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},"         \
          "\"usage\":{\"o\":2}")                                             \
    EVENT("message_stop\"")
#define DELTA(delta)                                                         \
    EVENT("content_block_delta\",\"index\":0,\"delta\":" delta)


/* What the stream tells: a value behind a path; NULL where it makes none. */

static const char *
object_of(const shape_t *shape, const char *raw, const char *path)
{
    char           *text, *out;
    size_t          len;
    ai_str_t        found;
    ai_json_type_e  type;
    static char     buf[256];

    text = shape->object(Z(raw), &len);
    if (text == NULL) {
        return NULL;
    }

    out = NULL;

    if (ai_json_path((ai_str_t) { len, text }, path, &found, &type)
        && found.len < sizeof(buf))
    {
        memcpy(buf, found.data, found.len);
        buf[found.len] = '\0';
        out = buf;
    }

    free(text);

    return out != NULL ? out : "absent";
}


static void
is_text(const char *got, const char *want)
{
    assert_non_null(got);
    assert_string_equal(got, want);
}


static int
streams(const shape_t *shape, const char *object)
{
    char    *text;
    size_t   len;

    text = shape->stream(Z(object), 1, &len);
    free(text);

    return text != NULL;
}


/* Some say the name once, some again, some as nothing. */

static void
names_are_said_once(void **state)
{
    (void) state;

    is_text(object_of(&shape_openai, NAMED("\"\""),
                                  "choices.0.message.tool_calls.0.function"
                                  ".name"), "\"f\"");
    is_text(object_of(&shape_openai, NAMED("\"f\""),
                                  "choices.0.message.tool_calls.0.function"
                                  ".name"), "\"f\"");
    is_text(object_of(&shape_openai, NAMED("null"),
                                  "choices.0.message.tool_calls.0.function"
                                  ".arguments"), "\"{}\"");
    assert_null(object_of(&shape_openai, NAMED("\"g\""), "id"));

    is_text(object_of(&shape_openai,
        CHUNK("{\"role\":\"assistant\",\"content\":\"x\"}", "null")
        CHUNK("{\"role\":\"\"}", "\"stop\"") USAGE,
        "choices.0.message.role"), "\"assistant\"");
}


static void
empty_lists_say_nothing(void **state)
{
    (void) state;

    assert_true(streams(&shape_openai, MESSAGE("")));
    assert_true(streams(&shape_openai, MESSAGE(",\"annotations\":[]")));
    assert_true(streams(&shape_openai, MESSAGE(",\"audio\":null")));
    assert_false(streams(&shape_openai, MESSAGE(",\"annotations\":[{}]")));
    assert_false(streams(&shape_openai, MESSAGE(",\"audio\":{}")));
    assert_false(streams(&shape_openai, MESSAGE(",\"x\":\"\"")));
}


static void
what_is_not_known_makes_no_object(void **state)
{
    (void) state;

    is_text(object_of(&shape_anthropic,
        BLOCK("{\"type\":\"text\",\"text\":\"\"}",
              DELTA("{\"type\":\"text_delta\",\"text\":\"x\"}")),
        "content.0.text"), "\"x\"");
    assert_null(object_of(&shape_anthropic,
        BLOCK("{\"type\":\"text\",\"text\":\"\"}",
              DELTA("{\"type\":\"text_delta\",\"text\":\"x\"},\"new\":1")),
        "id"));
    assert_null(object_of(&shape_anthropic,
        BLOCK("{\"type\":\"text\",\"text\":\"\"}",
              DELTA("{\"type\":\"text_delta\",\"text\":\"x\",\"new\":1}")),
        "id"));
    assert_null(object_of(&shape_anthropic,
        BLOCK("{\"type\":\"text\",\"text\":\"\"}",
              DELTA("{\"type\":\"citations_delta\",\"citation\":{},"
                    "\"new\":1}")),
        "id"));

    /* An input that was told at once goes on in pieces. */

    assert_null(object_of(&shape_anthropic,
        BLOCK("{\"type\":\"tool_use\",\"input\":{\"a\":1}}",
              DELTA("{\"type\":\"input_json_delta\",\"partial_json\":"
                    "\"{}\"}")),
        "id"));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(names_are_said_once),
        cmocka_unit_test(empty_lists_say_nothing),
        cmocka_unit_test(what_is_not_known_makes_no_object),
    };

    return run_group(tests);
}
