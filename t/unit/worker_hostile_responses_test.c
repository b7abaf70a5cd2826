/*
 * Providers of Responses that say anything in any order: items twice, words
 * before their items, indexes huge and reversed.  What a client gets is whole
 * and in order for as long as it lasts: no gap in a number, no word of an item
 * that is not open, nothing behind the end.
 */

#include "worker_frames.h"

#include "translate.h"

#define STREAMS  6000
#define EVENTS   14
#define ITEMS    64

typedef struct {
    const char  *client;
    long         next;          /* number of the next event */
    long         items;         /* that were begun */
    char         open[ITEMS];
    char         texts[ITEMS][4096];    /* arguments of a call */
    char         ids[ITEMS][64];
    int          done;
    int          over;
    int          began;
    int          calls;
} told_t;

static uint64_t  seed;


static unsigned
any(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;

    return (unsigned) (seed >> 33) % n;
}


static const char *
one(const char *const *of, unsigned n)
{
    return of[any(n)];
}

#define ONE(of)  one(of, sizeof(of) / sizeof(of[0]))


/* An event of a provider. */
static void
say(char *to, size_t size, int first)
{
    static const char *const  types[] = {
        "output_item.added", "output_item.added", "output_item.done",
        "output_item.done", "output_text.delta", "output_text.delta",
        "output_text.done", "refusal.delta", "refusal.done",
        "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "reasoning_summary_part.added",
        "reasoning_summary_text.delta", "reasoning_text.delta",
        "output_text.annotation.added", "content_part.added",
        "content_part.done", "web_search_call.searching", "created",
        "in_progress", "unheard.of", "queued"
    };
    static const char *const  indexes[] = {
        "0", "0", "0", "1", "1", "2", "3", "1000", "-1", "4294967296",
        "99999999999999999999", "1.5", "\"x\"", "null"
    };
    static const char *const  items[] = {
        "{\"type\":\"message\",\"id\":\"m\",\"role\":\"assistant\","
        "\"content\":[{\"type\":\"output_text\",\"text\":\"whole\","
        "\"annotations\":[{\"type\":\"url_citation\",\"url\":\"u\"}]},"
        "{\"type\":\"refusal\",\"refusal\":\"no\"}]}",
        "{\"type\":\"message\",\"id\":\"m\",\"content\":[]}",
        "{\"type\":\"function_call\",\"id\":\"fc\",\"call_id\":\"c\","
        "\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}",
        "{\"type\":\"function_call\",\"id\":\"fc\",\"call_id\":\"d\","
        "\"name\":\"g\",\"arguments\":\"\"}",
        "{\"type\":\"reasoning\",\"id\":\"rs\",\"summary\":[{\"type\":"
        "\"summary_text\",\"text\":\"hm\"}],\"encrypted_content\":\"e\"}",
        "{\"type\":\"reasoning\",\"id\":\"rs\",\"summary\":[]}",
        "{\"type\":\"image_generation_call\",\"id\":\"ig\",\"result\":"
        "\"aGk=\"}",
        "{\"type\":\"web_search_call\",\"id\":\"ws\"}",
        "{\"type\":7}", "[]", "null", "{}"
    };

    if (first) {
        snprintf(to, size, "data: {\"type\":\"response.created\",\"response\":"
                 "{\"id\":\"r\",\"model\":\"m\",\"output\":[]}}\n\n");
        return;
    }

    snprintf(to, size, "data: {\"type\":\"response.%s\",\"output_index\":%s,"
             "\"sequence_number\":%s,\"item_id\":\"i\",\"content_index\":0,"
             "\"summary_index\":%u,\"item\":%s,\"delta\":\"%s\",\"text\":"
             "\"t\",\"refusal\":\"t\",\"arguments\":\"{}\",\"annotation\":{"
             "\"type\":\"url_citation\",\"url\":\"u\",\"start_index\":-5,"
             "\"end_index\":99999999999}}\n\n", ONE(types), ONE(indexes),
             ONE(indexes), any(3), ONE(items), any(4) ? "{\\\"w\\\"" : "");
}


static void
responses_told(told_t *told, json_t *e)
{
    long          i;
    size_t        n;
    json_t       *index, *item;
    const char   *type, *text;

    type = json_string_value(json_object_get(e, "type"));
    assert_non_null(type);
    assert_int_equal(json_integer_value(json_object_get(e,
                                                        "sequence_number")),
                     told->next);
    told->next++;
    index = json_object_get(e, "output_index");
    item = json_object_get(e, "item");
    i = (long) json_integer_value(index);

    if (strcmp(type, "response.output_item.added") == 0) {
        assert_int_equal(i, told->items);
        assert_true(told->items < ITEMS);
        told->open[told->items++] = 1;
        snprintf(told->ids[i], sizeof(told->ids[i]), "%s",
                 json_string_value(json_object_get(item, "id")));
        told->texts[i][0] = '\0';
        return;
    }

    if (index != NULL) {
        assert_true(i >= 0 && i < told->items && told->open[i]);
        text = json_string_value(json_object_get(e, "item_id"));
        assert_true(text == NULL || strcmp(text, told->ids[i]) == 0);
    }

    if (strcmp(type, "response.function_call_arguments.delta") == 0) {
        text = json_string_value(json_object_get(e, "delta"));
        n = strlen(told->texts[i]);
        snprintf(told->texts[i] + n, sizeof(told->texts[i]) - n, "%s", text);

    } else if (strcmp(type, "response.output_item.done") == 0) {
        told->open[i] = 0;
        told->done++;
        assert_string_equal(json_string_value(json_object_get(item, "id")),
                            told->ids[i]);

        if (json_object_get(item, "arguments") != NULL) {
            assert_string_equal(json_string_value(
                                    json_object_get(item, "arguments")),
                                told->texts[i]);
        }

    } else if (strcmp(type, "response.completed") == 0
               || strcmp(type, "response.incomplete") == 0)
    {
        assert_int_equal(told->done, told->items);
        assert_int_equal(json_array_size(json_object_get(
                             json_object_get(e, "response"), "output")),
                         told->items);
        told->over = 1;

    } else if (strcmp(type, "error") == 0) {
        told->over = 1;
    }
}


static void
anthropic_told(told_t *told, json_t *e)
{
    long         i;
    const char  *type;

    type = json_string_value(json_object_get(e, "type"));
    assert_non_null(type);
    i = (long) json_integer_value(json_object_get(e, "index"));

    if (strcmp(type, "message_start") == 0) {
        assert_false(told->began);
        told->began = 1;

    } else if (strcmp(type, "content_block_start") == 0) {
        assert_int_equal(i, told->items);
        assert_true(told->began && told->items < ITEMS
                    && (i == 0 || !told->open[i - 1]));
        told->open[told->items++] = 1;

    } else if (strcmp(type, "content_block_delta") == 0) {

        /* Arguments may come by turns. */

        assert_true(i >= 0 && i < told->items
                    && (told->open[i] || json_object_get(
                            json_object_get(e, "delta"), "partial_json")
                        != NULL));

    } else if (strcmp(type, "content_block_stop") == 0) {
        assert_true(i >= 0 && i < told->items && told->open[i]);
        told->open[i] = 0;

    } else if (strcmp(type, "message_stop") == 0
               || strcmp(type, "error") == 0)
    {
        told->over = 1;
    }
}


static void
openai_told(told_t *told, json_t *e)
{
    long     i;
    size_t   k;
    json_t  *calls, *call;

    told->over = json_object_get(e, "error") != NULL;
    calls = json_object_get(json_object_get(json_array_get(
        json_object_get(e, "choices"), 0), "delta"), "tool_calls");

    json_array_foreach(calls, k, call) {
        i = (long) json_integer_value(json_object_get(call, "index"));
        assert_true(i >= 0 && i <= told->calls);
        told->calls = i == told->calls ? told->calls + 1 : told->calls;
    }
}


static void
take(told_t *told, ai_str_t out)
{
    char    *text, *p, *end, *data;
    json_t  *e;

    if (getenv("AI_T_SHOW") != NULL) {
        print_message("%.*s", (int) out.len, out.data);
    }


    text = strndup(out.len != 0 ? out.data : "", out.len);

    for (p = text; (end = strstr(p, "\n\n")) != NULL; p = end + 2) {
        *end = '\0';
        data = strstr(p, "data: ");

        if (*p == ':' || data == NULL) {
            continue;
        }

        assert_false(told->over);

        if (strcmp(data + 6, "[DONE]") == 0) {
            told->over = 1;
            continue;
        }

        e = json_loads(data + 6, 0, NULL);
        assert_non_null(e);

        if (strcmp(told->client, "responses") == 0) {
            responses_told(told, e);

        } else if (strcmp(told->client, "anthropic") == 0) {
            anthropic_told(told, e);

        } else {
            openai_told(told, e);
        }

        json_decref(e);
    }

    assert_int_equal(*p, '\0');
    free(text);
}


static void
play(const char *client)
{
    int                rc;
    char               event[2048];
    unsigned           i, n, whole;
    told_t             told;
    ai_str_t           out;
    translate_t       *t;
    translate_call_t   call;

    whole = 0;

    for (n = 0; n < STREAMS; n++) {
        seed = n + 1;
        memset(&call, 0, sizeof(call));
        call.client = dialect_find(client);
        call.provider = dialect_find("responses");
        call.model = ai_str("asked");
        call.job = ai_str("job_0123");
        call.stream = 1;
        call.usage = 1;
        t = translate_open(&call);
        assert_non_null(t);
        memset(&told, 0, sizeof(told));
        told.client = client;
        rc = 0;

        for (i = 0; i < EVENTS && rc == 0; i++) {
            say(event, sizeof(event), i == 0 && any(16) != 0);
            rc = translate_bytes(t, (ai_str_t) { strlen(event), event },
                                 &out);
            take(&told, rc == 0 ? out : ai_str(""));
        }

        if (rc == 0) {
            (void) snprintf(event, sizeof(event), "data: {\"type\":"
                            "\"response.%s\",\"response\":{\"status\":\"%s\","
                            "\"output\":[],\"error\":%s}}\n\n",
                            any(4) ? "completed" : "failed",
                            any(4) ? "completed" : "incomplete",
                            any(2) ? "null" : "{\"message\":\"e\"}");
            rc = translate_bytes(t, (ai_str_t) { strlen(event), event },
                                 &out);
            take(&told, rc == 0 ? out : ai_str(""));
        }

        if (rc == 0 && translate_end(t, &out) == 1) {
            take(&told, out);
            assert_true(told.over);
            whole++;
        }

        translate_close(t);
    }

    print_message("# %s: %u of %u streams to their end\n", client, whole,
                  (unsigned) STREAMS);
    assert_true(whole > STREAMS / 100);
}


static void
to_responses(void **state)
{
    (void) state;

    play("responses");
}


static void
to_anthropic(void **state)
{
    (void) state;

    play("anthropic");
}


static void
to_openai(void **state)
{
    (void) state;

    play("openai");
}


/* An item that is told twice is one. */
static void
twice(void **state)
{
    ai_str_t           out;
    translate_t       *t;
    translate_call_t   call;

    static const char  said[] =
        "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n"
        "data: {\"type\":\"response.output_item.added\",\"output_index\":0,"
        "\"item\":{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\","
        "\"arguments\":\"\"}}\n\n"
        "data: {\"type\":\"response.output_item.added\",\"output_index\":0,"
        "\"item\":{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\","
        "\"arguments\":\"\"}}\n\n"
        "data: {\"type\":\"response.output_item.done\",\"output_index\":0,"
        "\"item\":{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\","
        "\"arguments\":\"{}\"}}\n\n"
        "data: {\"type\":\"response.output_item.added\",\"output_index\":0,"
        "\"item\":{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\","
        "\"arguments\":\"\"}}\n\n"
        "data: {\"type\":\"response.completed\",\"response\":{\"status\":"
        "\"completed\",\"output\":[]}}\n\n";

    (void) state;

    memset(&call, 0, sizeof(call));
    call.client = dialect_find("anthropic");
    call.provider = dialect_find("responses");
    call.model = ai_str("asked");
    call.job = ai_str("job_0123");
    call.stream = 1;
    t = translate_open(&call);
    assert_non_null(t);
    assert_int_equal(translate_bytes(t, (ai_str_t) { sizeof(said) - 1, said },
                                     &out), 0);
    assert_non_null(memmem(out.data, out.len, "\"index\":0", 9));
    assert_null(memmem(out.data, out.len, "\"index\":1", 9));
    translate_close(t);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_responses),
        cmocka_unit_test(to_anthropic),
        cmocka_unit_test(to_openai),
        cmocka_unit_test(twice)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
