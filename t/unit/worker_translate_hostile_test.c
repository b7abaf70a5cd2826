/*
 * What clients and providers may send to hurt: it takes no time that grows
 * faster than its size, breaks no event of a stream, and makes no number that
 * nobody can add to.
 */

#include <time.h>

#include "worker_translate_unit.h"

#if defined(__SANITIZE_ADDRESS__)
#define CPU_MAX  10             /* s */
#else
#define CPU_MAX  1              /* s, of what takes some ms */
#endif
#define SSE(json)  "data: " json "\n\n"


static double
cpu(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static void
many(char **text, const char *piece, unsigned n)
{
    char    *p;
    size_t   have, len;

    have = *text != NULL ? strlen(*text) : 0;
    len = strlen(piece);
    *text = realloc(*text, have + len * n + 1);
    assert_non_null(*text);

    for (p = *text + have; n != 0; n--) {
        memcpy(p, piece, len);
        p += len;
    }

    *p = '\0';
}


/* Equal names at the end of a long array: each is looked at, the path of none
 * is walked. */

static void
names_of_a_long_array(void **state)
{
    char    *text;
    double   begun;
    json_t  *made;

    (void) state;

    text = NULL;
    many(&text, "{'messages':[{'role':'user','content':[", 1);
    many(&text, "{'type':'text','text':''},", 20000);
    many(&text, "{'type':'text','text':'x'", 1);
    many(&text, ",'a':1", 100000);
    many(&text, "}]}]}", 1);
    begun = cpu();
    made = ask("openai", "anthropic", text, 0);
    assert_true(cpu() - begun < CPU_MAX);
    assert_non_null(made);
    assert_string_equal(dropped, "messages[0].content[20000].a");
    json_decref(made);
    free(text);
}


/* A line that does not end is looked through once, however it dribbles. */

static void
line_that_dribbles(void **state)
{
    int           i;
    char          piece[64];
    double        begun;
    ai_str_t      said;
    translate_t  *t;

    (void) state;

    memset(piece, 'x', sizeof(piece));
    t = begin("openai", "ollama", 1);
    begun = cpu();

    for (i = 0; i < 64 * 1024; i++) {
        assert_int_equal(translate_bytes(t, (ai_str_t) { 64, piece }, &said),
                         0);
    }

    assert_true(cpu() - begun < CPU_MAX);
    assert_int_equal(translate_bytes(t, Z("\n"), &said), -2);
    translate_close(t);
}


/* An event's data is a line; JSON's is what its provider likes. */

static void
line_ends_in_values(void **state)
{
    int    end;
    char  *all;

    (void) state;

    all = stream("openai", "ollama",
                 "{'model':'m','message':{'content':'a'},'logprobs':[{'token':"
                 "'a','logprob':-1,'bytes':[\r\r97]}],'done':true,"
                 "'done_reason':'stop'}\n", &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(all, "97]"));
    assert_null(strchr(all, '\r'));
    free(all);

    all = stream("openai", "openai",
                 SSE("{'choices':[{'delta':{'content':'a'},'logprobs':{\n"
                     "data: \n"
                     "data:'content':[]}}]}") SSE("[DONE]"), &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(all, "\"logprobs\":{  \"content\":[]}"));
    free(all);
}


/* What nobody has counted is not known, and is never added to. */

static void
counts_without_end(void **state)
{
    (void) state;

    says("openai", "anthropic",
         "{'type':'message','content':[],'stop_reason':'end_turn','usage':{"
         "'input_tokens':9223372036854775807,'cache_read_input_tokens':5,"
         "'output_tokens':-3}}", "usage.prompt_tokens", "0");
    says("openai", "openai",
         "{'choices':[{'message':{'content':'x'},'finish_reason':'stop'}],"
         "'usage':{'prompt_tokens':9223372036854775807,'completion_tokens':"
         "9223372036854775807}}", "usage.total_tokens", "0");
    says("anthropic", "gemini",
         "{'candidates':[{'content':{'parts':[{'text':'x'}]},'finishReason':"
         "'STOP'}],'usageMetadata':{'promptTokenCount':9223372036854775807,"
         "'toolUsePromptTokenCount':9223372036854775807}}",
         "usage.input_tokens", "0");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(names_of_a_long_array),
        cmocka_unit_test(line_that_dribbles),
        cmocka_unit_test(line_ends_in_values),
        cmocka_unit_test(counts_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
