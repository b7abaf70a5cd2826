/*
 * What clients and providers may send to hurt: it takes no time that grows
 * faster than its size, breaks no event of a stream, and makes no number that
 * nobody can add to.
 */

#include <time.h>

#include "worker_translate_unit.h"

/*
 * What is walked once takes twice as long at twice the size, what is walked
 * for each of its parts four times: the least of some rounds, in CPU time.
 */
#define ROUNDS   5
#define TWICE    3.0
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


/* The least CPU time of what is done with a size of n, s. */

static double
least(void (*work)(unsigned n), unsigned n)
{
    int     i;
    double  begun, took, min;

    min = 0;

    for (i = 0; i < ROUNDS; i++) {
        begun = cpu();
        work(n);
        took = cpu() - begun;
        min = i == 0 || took < min ? took : min;
    }

    return min;
}


static void
long_array(unsigned n)
{
    char     path[64];
    char    *text;
    json_t  *made;

    text = NULL;
    many(&text, "{'messages':[{'role':'user','content':[", 1);
    many(&text, "{'type':'text','text':''},", n);
    many(&text, "{'type':'text','text':'x'", 1);
    many(&text, ",'a':1", n);
    many(&text, "}]}]}", 1);
    made = ask("openai", "anthropic", text, 0);
    snprintf(path, sizeof(path), "messages[0].content[%u].a", n);
    assert_non_null(made);
    assert_string_equal(dropped, path);
    json_decref(made);
    free(text);
}


/* Equal names at the end of a long array: each is looked at, the path of none
 * is walked. */

static void
names_of_a_long_array(void **state)
{
    (void) state;

    assert_true(least(long_array, 20000) < TWICE * least(long_array, 10000));
}


static void
long_line(unsigned n)
{
    char          piece[64];
    ai_str_t      said;
    translate_t  *t;

    memset(piece, 'x', sizeof(piece));
    t = begin("openai", "ollama", 1);

    for (; n != 0; n--) {
        assert_int_equal(translate_bytes(t, (ai_str_t) { 64, piece }, &said),
                         0);
    }

    assert_int_equal(translate_bytes(t, Z("\n"), &said), -2);
    translate_close(t);
}


/* A line that does not end is looked through once, however it dribbles. */

static void
line_that_dribbles(void **state)
{
    (void) state;

    assert_true(least(long_line, 32 * 1024) < TWICE * least(long_line,
                                                            16 * 1024));
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
    says("openai", "bedrock",
         "{'output':{'message':{'role':'assistant','content':[{'text':'x'}]}},"
         "'stopReason':'end_turn','usage':{'inputTokens':9223372036854775807,"
         "'cacheReadInputTokens':9223372036854775807,'cacheWriteInputTokens':1,"
         "'outputTokens':-7,'cacheDetails':[{'ttl':'1h','inputTokens':-1}]}}",
         "usage.total_tokens", "0");
    says("anthropic", "bedrock",
         "{'output':{'message':{'role':'assistant','content':[{'text':'x'}]}},"
         "'stopReason':'end_turn','usage':{'inputTokens':-5,'outputTokens':"
         "3}}", "usage.input_tokens", "0");
}


/* Some count reasoning beside the output, which only their total shows. */

static void
reasoning_beside_the_output(void **state)
{
    (void) state;

    says("anthropic", "openai",
         "{'choices':[{'message':{'content':'x'},'finish_reason':'stop'}],"
         "'usage':{'prompt_tokens':12,'completion_tokens':1,'total_tokens':"
         "399,'completion_tokens_details':{'reasoning_tokens':386}}}",
         "usage.output_tokens", "387");
    says("anthropic", "openai",
         "{'choices':[{'message':{'content':'x'},'finish_reason':'stop'}],"
         "'usage':{'prompt_tokens':12,'completion_tokens':387,'total_tokens':"
         "399,'completion_tokens_details':{'reasoning_tokens':386}}}",
         "usage.output_tokens", "387");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(names_of_a_long_array),
        cmocka_unit_test(line_that_dribbles),
        cmocka_unit_test(line_ends_in_values),
        cmocka_unit_test(counts_without_end),
        cmocka_unit_test(reasoning_beside_the_output),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
