/*
 * Calls of tools in other orders than one expects: arguments of several by
 * turns, ids that differ in letters that a provider does not take, thousands of
 * results from the last to the first.
 */

#include "worker_ask.h"
#include "worker_say_anthropic.h"

#define HEAD  "data: {'id':'c','model':'m','choices':[{'index':0,'delta':{"    \
              "'role':'assistant'}}]}\n\n"
#define TAIL  "data: {'id':'c','model':'m','choices':[{'index':0,'delta':{},"  \
              "'finish_reason':'tool_calls'}]}\n\ndata: [DONE]\n\n"
#define CALL(index, member)                                                    \
    "data: {'id':'c','model':'m','choices':[{'index':0,'delta':{'tool_calls'"  \
    ":[{'index':" index "," member "}]}}]}\n\n"
#define BEGINS(index, name, text)                                              \
    CALL(index, "'id':'call_" name "','type':'function','function':{'name':'"  \
         name "','arguments':'" text "'}")
#define ARGUES(index, text)  CALL(index, "'function':{'arguments':'" text "'}")
#define TEXT(text)                                                             \
    "data: {'id':'c','model':'m','choices':[{'index':0,'delta':{'content':'"   \
    text "'}}]}\n\n"
#define LONG     "0123456789012345678901234567890123456789"
#define RESULTS  8000


static void
calls(const char *events, unsigned n, const char *const *arguments)
{
    int        end;
    char      *all;
    say_t      s;
    unsigned   i;

    all = stream("anthropic", "openai", events, &end);
    assert_int_equal(end, 1);
    say_init(&s);
    say_anthropic_stream(&s, all);
    assert_true(s.ended);
    assert_int_equal(s.ncalls, n);
    assert_string_equal(s.finish, "tools");

    for (i = 0; i < n; i++) {
        assert_string_equal(s.calls[i].arguments != NULL
                            ? s.calls[i].arguments : "", arguments[i]);
    }

    say_free(&s);
    free(all);
}


static void
by_turns(void **state)
{
    int         end;
    char       *all;
    const char *at;

    static const char *const  three[] = {
        "{\"a\":\"}]\\\"{\"}", "{\"b\":[{}]}", "{\"c\":1}"
    };

    (void) state;

    calls(HEAD BEGINS("0", "f", "") BEGINS("1", "g", "{")
          ARGUES("0", "{\\\"a\\\":\\\"}]") ARGUES("1", "\\\"b\\\":[{")
          BEGINS("2", "h", "{\\u0022c\\u0022:1\\u007d")
          ARGUES("1", "}]}") ARGUES("0", "\\\\\\\"{\\\"}") TAIL, 3, three);
    assert_string_equal(dropped, "");

    /* What never is whole ends with the answer, or before a text. */

    calls(HEAD BEGINS("0", "f", "{\\\"a\\\":") BEGINS("1", "g", "") TEXT("x")
          TAIL, 2, (const char *const[]) { "{\"a\":", "" });

    calls(HEAD BEGINS("0", "f", "{\\\"a\\\":") BEGINS("1", "g", "{}") TAIL, 2,
          (const char *const[]) { "{\"a\":", "{}" });

    /* Behind whole ones comes nothing. */

    calls(HEAD BEGINS("0", "f", "{}") BEGINS("1", "g", "{}") ARGUES("0", "{}")
          TAIL, 2, (const char *const[]) { "{}", "{}" });
    assert_non_null(strstr(dropped, "arguments behind"));

    /* What is whole does not wait. */

    all = stream("anthropic", "openai",
                 HEAD BEGINS("0", "f", "{\\\"a\\\":1}")
                 BEGINS("1", "g", "{\\\"b\\\":") ARGUES("1", "2}"), &end);
    at = strstr(all, "\"g\"");
    assert_non_null(at);
    assert_non_null(strstr(all, "content_block_stop"));
    assert_true(strstr(all, "content_block_stop") < at);
    assert_non_null(strstr(at, "2}"));
    free(all);
}


/* The ids of two calls and their results, which are each other's alone. */

static void
pairs(const char *provider, const char *a, const char *b)
{
    char     text[2048];
    json_t  *o, *m;
    char    *ids[4];
    size_t   n;

    snprintf(text, sizeof(text),
             "{'messages':[{'role':'user','content':'x'},{'role':'assistant',"
             "'tool_calls':[{'id':'%s','type':'function','function':{'name':"
             "'f','arguments':'{}'}},{'id':'%s','type':'function','function':"
             "{'name':'f','arguments':'{}'}}]},{'role':'tool','tool_call_id':"
             "'%s','content':'1'},{'role':'tool','tool_call_id':'%s',"
             "'content':'2'}],'tools':[{'type':'function','function':{'name':"
             "'f'}}]}", a, b, a, b);
    o = ask("openai", provider, text);
    assert_non_null(o);
    m = json_object_get(o, "messages");

    for (n = 0; n < 4; n++) {
        json_t      *block;

        block = json_array_get(json_object_get(json_array_get(m, 1 + n / 2),
                                               "content"), n % 2);

        if (strcmp(provider, "bedrock") == 0) {
            block = json_object_get(block, n < 2 ? "toolUse" : "toolResult");
            ids[n] = strdup(say_z(block, "toolUseId"));
            assert_true(strlen(ids[n]) <= 64);

        } else {
            ids[n] = strdup(say_z(block, n < 2 ? "id" : "tool_use_id"));
        }

        assert_int_equal(strspn(ids[n], "0123456789_-abcdefghijklmnopqrstuvwxyz"
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
                         strlen(ids[n]));
    }

    assert_string_equal(ids[0], ids[2]);
    assert_string_equal(ids[1], ids[3]);
    assert_string_not_equal(ids[0], ids[1]);

    for (n = 0; n < 4; n++) {
        free(ids[n]);
    }

    json_decref(o);
}


static void
ids_are_their_own(void **state)
{
    size_t  i;

    static const char *const  both[] = { "anthropic", "bedrock" };
    static const char *const  two[][2] = {
        { "call.1", "call:1" }, { "call_1", "call.1" },
        { "a/b", "a\\/b\\u00e9" },
        { "functions.f:0", "functions.f:1" },
        { "a" LONG LONG, "b" LONG LONG },
    };

    (void) state;

    asked = "anthropic.claude-sonnet-4-5";

    for (i = 0; i < sizeof(two) / sizeof(two[0]); i++) {
        pairs(both[0], two[i][0], two[i][1]);
        pairs(both[1], two[i][0], two[i][1]);
    }

    /* What is allowed stays. */

    asks("openai", "anthropic",
         "{'messages':[{'role':'assistant','tool_calls':[{'id':'call_A-1',"
         "'type':'function','function':{'name':'f','arguments':'{}'}}]},{"
         "'role':'tool','tool_call_id':'call_A-1','content':'1'}]}",
         "{'messages':[{'role':'assistant','content':[{'type':'tool_use','id':"
         "'call_A-1','name':'f','input':{}}]},{'role':'user','content':[{"
         "'type':'tool_result','tool_use_id':'call_A-1','content':[{'type':"
         "'text','text':'1'}]}]}]}", "");
}


/* Each result has the name of its call, in whatever order they come. */

static void
results_in_any_order(void **state)
{
    char     text[128], *all, *p;
    json_t  *o, *c;
    size_t   n;
    int      i, k;
    size_t   j;

    (void) state;

    asked = "gemini-3-pro";
    all = malloc((size_t) RESULTS * 220 + 256);
    assert_non_null(all);
    p = all + sprintf(all, "{'messages':[{'role':'user','content':'x'},"
                           "{'role':'assistant','tool_calls':[");

    for (i = 0; i < RESULTS; i++) {
        p += sprintf(p, "%s{'id':'c%d','type':'function','function':{'name':"
                        "'f%d','arguments':'{}'}}", i != 0 ? "," : "", i, i);
    }

    p += sprintf(p, "]}");

    for (i = RESULTS - 1; i >= 0; i--) {
        p += sprintf(p, ",{'role':'tool','tool_call_id':'c%d','content':'%d'}",
                     i, i);
    }

    strcpy(p, "]}");
    o = ask("openai", "gemini", all);
    assert_non_null(o);
    c = json_object_get(json_array_get(json_object_get(o, "contents"), 2),
                        "parts");
    assert_int_equal(json_array_size(c), RESULTS);

    for (k = 0; k < RESULTS; k++) {
        snprintf(text, sizeof(text), "f%d", RESULTS - 1 - k);
        assert_string_equal(say_z(json_object_get(json_array_get(c, (size_t) k),
                                                  "functionResponse"), "name"),
                            text);
    }

    json_decref(o);
    free(all);

    /* Of equal ids the call before it is meant; of none it is its own name. */

    o = ask("openai", "gemini",
            "{'messages':[{'role':'user','content':'x'},{'role':'assistant',"
            "'tool_calls':[{'id':'c','type':'function','function':{'name':'f',"
            "'arguments':'{}'}}]},{'role':'tool','tool_call_id':'c','content':"
            "'1'},{'role':'assistant','tool_calls':[{'id':'c','type':"
            "'function','function':{'name':'g','arguments':'{}'}}]},{'role':"
            "'tool','tool_call_id':'c','content':'2'},{'role':'tool',"
            "'tool_call_id':'d','content':'3'}]}");
    assert_non_null(o);
    n = 0;

    for (k = 2; k <= 4; k += 2) {
        static const char *const  names[] = { "f", "g", "d" };

        json_array_foreach(json_object_get(json_array_get(json_object_get(o,
                           "contents"), (size_t) k), "parts"), j, c)
        {
            assert_string_equal(say_z(json_object_get(c, "functionResponse"),
                                      "name"), names[n++]);
        }
    }

    assert_int_equal(n, 3);
    json_decref(o);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(by_turns),
        cmocka_unit_test(ids_are_their_own),
        cmocka_unit_test(results_in_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
