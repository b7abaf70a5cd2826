/*
 * Answers in another dialect, objects and streams: what is carried, in which
 * form, and that what is not is named (docs/dialects.md says which test has
 * which cell).
 */

#include "worker_ask.h"


#define MSG(content, stop)                                                   \
    "{'id':'msg_1','type':'message','role':'assistant','model':'c','content':" \
    "[" content "],'stop_reason':'" stop "','stop_sequence':null,'usage':{"    \
    "'input_tokens':1,'output_tokens':2}}"
#define CMPL(message, finish)                                                \
    "{'id':'chatcmpl-1','object':'chat.completion','created':5,'model':'g',"   \
    "'choices':[{'index':0,'message':{'role':'assistant'," message "},"        \
    "'finish_reason':'" finish "'}],'usage':{'prompt_tokens':1,"               \
    "'completion_tokens':2,'total_tokens':3}}"


#define CH(delta, finish)                                                    \
    "data: {'id':'c','model':'g','choices':[{'index':0,'delta':" delta         \
    ",'finish_reason':" finish "}]}\n\n"
#define TC(i, rest)  "{'tool_calls':[{'index':" i "," rest "}]}"
#define EV(type, rest)  "event: " type "\ndata: {'type':'" type "'" rest "}\n\n"


static void
finishes(void **state)
{
    size_t  i;
    char    text[512], want[64];
    static const char *const  to_openai[][2] = {
        { "end_turn", "stop" }, { "stop_sequence", "stop" },
        { "max_tokens", "length" }, { "pause_turn", "stop" },
        { "refusal", "content_filter" }, { "new_reason", "stop" },
        { "model_context_window_exceeded", "length" }
    };
    static const char *const  to_anthropic[][2] = {
        { "stop", "end_turn" }, { "length", "max_tokens" },
        { "content_filter", "refusal" }, { "eos", "end_turn" },
        { "model_length", "model_context_window_exceeded" },
        { "new_reason", "end_turn" }
    };

    (void) state;

    for (i = 0; i < sizeof(to_openai) / sizeof(to_openai[0]); i++) {
        snprintf(text, sizeof(text), MSG("{'type':'text','text':'x'}", "%s"),
                 to_openai[i][0]);
        snprintf(want, sizeof(want), "'%s'", to_openai[i][1]);
        says("openai", "anthropic", text, "choices.0.finish_reason", want);
    }

    for (i = 0; i < sizeof(to_anthropic) / sizeof(to_anthropic[0]); i++) {
        snprintf(text, sizeof(text), CMPL("'content':'x'", "%s"),
                 to_anthropic[i][0]);
        snprintf(want, sizeof(want), "'%s'", to_anthropic[i][1]);
        says("anthropic", "openai", text, "stop_reason", want);
    }

    says("anthropic", "openai",
         CMPL("'content':null,'tool_calls':[{'id':'a','function':{'name':'f',"
              "'arguments':'{}'}}]", "stop"), "stop_reason", "'tool_use'");
    says("anthropic", "openai", CMPL("'content':null,'refusal':'no'", "stop"),
         "stop_reason", "'refusal'");
    says("anthropic", "openai", CMPL("'content':null,'refusal':'no'", "stop"),
         "content", "[{'type':'text','text':'no'}]");
}


static void
citations(void **state)
{
    (void) state;

    says("openai", "anthropic",
         MSG("{'type':'text','text':'\\u00e9\\\\a'},{'type':'text','text':"
             "'cited','citations':[{'type':'web_search_result_location','url':"
             "'u','title':'t','cited_text':'q','encrypted_index':'e'},{'type':"
             "'char_location','cited_text':'q','document_index':0}]}",
             "end_turn"),
         "choices.0.message.annotations",
         "[{'type':'url_citation','url_citation':{'start_index':3,'end_index':"
         "8,'url':'u','title':'t'}}]");
    assert_string_equal(dropped, "content[1].citations[1]");
    says("anthropic", "openai",
         CMPL("'content':'x','annotations':[{'type':'url_citation',"
              "'url_citation':{'url':'u','title':'t','start_index':0,"
              "'end_index':1}}]", "stop"), "content",
         "[{'type':'text','text':'x','citations':[{'type':"
         "'web_search_result_location','url':'u','title':'t','cited_text':'',"
         "'encrypted_index':''}]}]");
}


static void
others(void **state)
{
    char  *out;

    (void) state;

    says("openai", "anthropic",
         MSG("{'type':'server_tool_use','id':'s','name':'web_search','input':{"
             "}},{'type':'text','text':'x'}", "end_turn"),
         "choices.0.message.content", "'x'");
    assert_string_equal(dropped, "content[0]");

    out = answers("anthropic", "openai",
                  "{'id':'1','model':'g','choices':[{'index':0,'message':{"
                  "'content':'a','images':[{'type':'image_url','image_url':{"
                  "'url':'data:image/png;base64,aGk='}}]},'finish_reason':"
                  "'stop'},{'index':1,'message':{'content':'b'},"
                  "'finish_reason':'stop'}],'unheard':1}");
    assert_non_null(out);
    assert_string_equal(dropped, "unheard, choices but the first, an image of "
                        "the answer");
    free(out);

    assert_null(answers("openai", "anthropic", "{'content':'x'}"));
    assert_null(answers("anthropic", "openai", "{'choices':[]}"));
    assert_null(answers("anthropic", "openai", "[]"));
    assert_null(answers("anthropic", "openai", "{'choices':[{'index':999,"
                        "'message':{'content':'x'}}]}"));
}


static void
calls_that_interleave(void **state)
{
    int     end;
    char   *out;

    (void) state;

    out = stream("anthropic", "openai",
                 CH(TC("0", "'id':'a','function':{'name':'f','arguments':''}"),
                    "null")
                 CH(TC("1", "'id':'b','function':{'name':'g','arguments':"
                       "'{}'}"), "null")
                 CH(TC("0", "'function':{'arguments':'{\\'x\\':'}"), "null")
                 CH(TC("0", "'function':{'arguments':'1}'}"), "null")
                 CH("{}", "'tool_calls'") "data: [DONE]\n\n", &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "\"index\":0,\"delta\":{\"type\":"
                                "\"input_json_delta\",\"partial_json\":"
                                "\"{\\\"x\\\":\"}"));
    assert_null(strstr(out, "\"index\":2"));
    free(out);
}


static void
streams_without_an_end(void **state)
{
    int     end;
    char   *out;

    (void) state;

    out = stream("anthropic", "openai", CH("{'content':'x'}", "null"), &end);
    assert_int_equal(end, 0);
    assert_null(strstr(out, "message_stop"));
    free(out);

    /* A finish is enough; what comes behind the end is nobody's. */

    out = stream("anthropic", "openai", CH("{'content':'x'}", "'stop'"), &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "message_stop"));
    free(out);

    out = stream("anthropic", "openai", CH("{'content':'x'}", "'stop'")
                 "data: [DONE]\n\n" CH("{'content':'y'}", "'stop'"), &end);
    assert_int_equal(end, 1);
    assert_null(strstr(out, "\"y\""));
    free(out);

    out = stream("openai", "anthropic",
                 EV("message_start", ",'message':{'id':'m','model':'c',"
                    "'usage':{'input_tokens':1}}"), &end);
    assert_int_equal(end, 0);
    free(out);

    /* What is none: before its start, out of order, broken. */

    free(stream("openai", "anthropic", EV("content_block_delta",
                                          ",'index':0,'delta':{'type':"
                                          "'text_delta','text':'x'}"), &end));
    assert_int_equal(end, -2);
    free(stream("anthropic", "openai", "data: {'choices':\n\n", &end));
    assert_int_equal(end, -2);
    free(stream("openai", "anthropic",
                EV("message_start", ",'message':{'id':'m'}")
                EV("message_start", ",'message':{'id':'m'}"), &end));
    assert_int_equal(end, -2);
}


static void
what_a_stream_drops(void **state)
{
    int     end;
    char   *out;

    (void) state;

    out = stream("openai", "anthropic",
                 EV("message_start", ",'message':{'id':'m','model':'c',"
                    "'usage':{'input_tokens':1,'output_tokens':1}}")
                 EV("content_block_start", ",'index':0,'content_block':{"
                    "'type':'server_tool_use','id':'s','name':'w','input':{}}")
                 EV("content_block_delta", ",'index':0,'delta':{'type':"
                    "'input_json_delta','partial_json':'{}'}")
                 EV("content_block_stop", ",'index':0")
                 EV("content_block_start", ",'index':1,'content_block':{"
                    "'type':'tool_use','id':'t','name':'f','input':{}}")
                 EV("content_block_stop", ",'index':1")
                 EV("new_event", ",'x':1")
                 EV("message_delta", ",'delta':{'stop_reason':'tool_use'},"
                    "'usage':{'output_tokens':2}")
                 EV("message_stop", ""), &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "\n\n: ai-dropped content_block, an event "
                                "that is not known\n\ndata: {"));
    assert_non_null(strstr(out, "\"arguments\":\"{}\""));
    assert_non_null(strstr(out, "\"prompt_tokens\":1,\"completion_tokens\":2"));
    assert_string_equal(out + strlen(out) - 14, "data: [DONE]\n\n");
    free(out);

    /* A stop sequence, and reasoning of a compatible server. */

    out = stream("anthropic", "openai", CH("{'reasoning':'h'}", "null")
                 CH("{'content':'x'}", "null") CH("{}", "'stop'")
                 "data: {'id':'c','model':'g','choices':[],'usage':{"
                 "'prompt_tokens':5,'completion_tokens':6,"
                 "'prompt_tokens_details':{'cached_tokens':4}}}\n\n"
                 "data: [DONE]\n\n", &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "\"signature\":\"ai:openai:\""));
    assert_non_null(strstr(out, "\"input_tokens\":1,"
                                "\"cache_creation_input_tokens\":0,"
                                "\"cache_read_input_tokens\":4"));
    assert_string_equal(dropped, "");
    free(out);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(finishes),
        cmocka_unit_test(citations),
        cmocka_unit_test(others),
        cmocka_unit_test(calls_that_interleave),
        cmocka_unit_test(streams_without_an_end),
        cmocka_unit_test(what_a_stream_drops),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
