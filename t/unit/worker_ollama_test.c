/*
 * Ollama as a provider: requests, answers, lines of JSON.  What it says is
 * written after its documentation of /api/chat.
 */

#include "worker_translate_unit.h"


#define OA(request, want, lost)  asks("openai", "ollama", request, want, lost)
#define AN(request, want, lost)                                              \
    asks("anthropic", "ollama", request, want, lost)
#define M  "'model':'m','messages':[{'role':'user','content':'x'}]"
#define A  "'model':'m','max_tokens':9,"                                     \
           "'messages':[{'role':'user','content':'x'}]"
#define F(name)  "{'type':'function','function':{'name':'" name "'}}"
#define FT(name)                                                             \
    "{'type':'function','function':{'name':'" name "','parameters':{'type':" \
    "'object','properties':{}}}}"
#define RQ(content)                                                          \
    "{'messages':[{'role':'user','content':" content "}],'max_tokens':9}"


static void
texts(void **state)
{
    (void) state;

    OA("{'messages':[{'role':'system','content':'a'},{'role':'developer',"
       "'content':[{'type':'text','text':'b'},{'type':'text','text':'c'}]},"
       "{'role':'user','content':'\\u00e9 \\n'},{'role':'assistant','content':"
       "[{'type':'text','text':'d'},{'type':'text','text':'e'}]},{'role':"
       "'user','content':'','name':'n'}]}",
       "{'model':'asked','stream':false,'messages':[{'role':'system','content'"
       ":'a'},{'role':'system','content':'b\\n\\nc'},{'role':'user','content':"
       "'\\u00e9 \\n'},{'role':'assistant','content':'de'},{'role':'user',"
       "'content':''}],'options':null,'tools':null,'think':null}",
       "messages[4].name");
    AN("{'max_tokens':9,'system':[{'type':'text','text':'a'},{'type':'text',"
       "'text':'b'}],'messages':[{'role':'user','content':'x'}]}",
       "{'messages':[{'role':'system','content':'a\\n\\nb'},{'role':'user',"
       "'content':'x'}],'options':{'num_predict':9}}", "");
}


static void
media(void **state)
{
    (void) state;

    OA(RQ("[{'type':'text','text':'x'},{'type':'image_url','image_url':{'url':"
          "'data:image/png;base64,aGk=','detail':'low'}},{'type':'input_audio'"
          ",'input_audio':{'data':'aGo=','format':'wav'}},{'type':'image_url',"
          "'image_url':{'url':'https://h/i.png'}},{'type':'file','file':{"
          "'filename':'a.pdf','file_data':'data:application/pdf;base64,aGk='}}"
          ",{'type':'text','text':'y'}]"),
       "{'messages':[{'role':'user','content':'x\\n\\ny','images':['aGk=',"
       "'aGo=']}]}",
       "messages[0].content[1].image_url.detail, messages[0].content[3], "
       "messages[0].content[4]");
    AN(RQ("[{'type':'document','source':{'type':'text','media_type':"
          "'text/plain','data':'d'},'title':'t'},{'type':'document','source':{"
          "'type':'content','content':[{'type':'text','text':'e'},{'type':"
          "'image','source':{'type':'base64','media_type':'image/png','data':"
          "'aGk='}}]}}]"),
       "{'messages':[{'role':'user','content':'d\\n\\ne','images':['aGk=']}]}",
       "messages[0].content[0].title");
}


static void
tools(void **state)
{
    (void) state;

    OA("{" M ",'tools':[{'type':'function','function':{'name':'f','description'"
       ":'d','strict':true,'parameters':{'type':'object','z':1,'a':[2.50]}}},"
       F("g") ",{'type':'custom','custom':{'name':'c'}}],'tool_choice':'auto',"
       "'parallel_tool_calls':false}",
       "{'tools':[{'type':'function','function':{'name':'f','description':'d',"
       "'parameters':{'type':'object','z':1,'a':[2.50]}}}," FT("g") "]}",
       "tools[2], tools[0].function.strict, parallel_tool_calls");
    OA("{" M ",'tools':[" F("f") "],'tool_choice':'none'}", "{'tools':null}",
       "");
    OA("{" M ",'tools':[" F("f") "],'tool_choice':'required'}",
       "{'tools':[" FT("f") "]}", "tool_choice (a call cannot be forced)");
    OA("{" M ",'tools':[" F("f") "," F("g") "],'tool_choice':" F("g") "}",
       "{'tools':[" FT("g") "]}", "tool_choice (a call cannot be forced)");
    OA("{" M ",'tools':[" F("f") "," F("g") "," F("h") "],'tool_choice':{"
       "'type':'allowed_tools','allowed_tools':{'mode':'auto','tools':["
       F("f") "," F("h") "]}}}", "{'tools':[" FT("f") "," FT("h") "]}", "");
    AN("{" A ",'tools':[{'name':'f','input_schema':{'type':'object',"
       "'properties':{'a':{'type':'string'}}}}],'tool_choice':{'type':'any'}}",
       "{'tools':[{'type':'function','function':{'name':'f','parameters':{"
       "'type':'object','properties':{'a':{'type':'string'}}}}}]}",
       "tool_choice (a call cannot be forced)");
}


/* A result is known by its tool's name there. */

static void
calls(void **state)
{
    (void) state;

    OA("{'messages':[{'role':'assistant','content':'t','tool_calls':[{'id':'a'"
       ",'type':'function','function':{'name':'f','arguments':'{\\'k\\':[1]}'}"
       "},{'id':'b','type':'function','function':{'name':'g','arguments':"
       "'{\\'a'}}]},{'role':'tool','tool_call_id':'b','content':'2'},{'role':"
       "'tool','tool_call_id':'a','content':[{'type':'text','text':'1'}]},"
       "{'role':'tool','tool_call_id':'z','content':'3'}]}",
       "{'messages':[{'role':'assistant','content':'t','tool_calls':[{'id':'a'"
       ",'function':{'name':'f','arguments':{'k':[1]}}},{'id':'b','function':{"
       "'name':'g','arguments':{'arguments':'{\\'a'}}}]},{'role':'tool',"
       "'content':'2','tool_name':'g','tool_call_id':'b'},{'role':'tool',"
       "'content':'1','tool_name':'f','tool_call_id':'a'},{'role':'tool',"
       "'content':'3','tool_call_id':'z'}]}",
       "messages[0].tool_calls[1].function.arguments (is not a JSON object)");
    AN("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'tool_use','id':'a','name':'f','input':{'k':1}}]},{'role':'user',"
       "'content':[{'type':'tool_result','tool_use_id':'a','is_error':true,"
       "'content':[{'type':'text','text':'r'},{'type':'image','source':{'type'"
       ":'base64','media_type':'image/png','data':'aGk='}}]},{'type':'text',"
       "'text':'so?'}]}]}",
       "{'messages':[{'role':'assistant','content':'','tool_calls':[{'id':'a',"
       "'function':{'name':'f','arguments':{'k':1}}}]},{'role':'tool',"
       "'content':'r','tool_name':'f','tool_call_id':'a'},{'role':'user',"
       "'content':'so?','images':['aGk=']}]}",
       "messages[1].content[0].is_error");
}


static void
reasoning(void **state)
{
    size_t  i;
    char    text[256], want[64];
    static const char *const  efforts[][2] = {
        { "none", "false" }, { "minimal", "'low'" }, { "low", "'low'" },
        { "medium", "'medium'" }, { "high", "'high'" }, { "xhigh", "'high'" },
        { "max", "'max'" }
    };

    (void) state;

    for (i = 0; i < sizeof(efforts) / sizeof(efforts[0]); i++) {
        snprintf(text, sizeof(text), "{" M ",'reasoning_effort':'%s'}",
                 efforts[i][0]);
        snprintf(want, sizeof(want), "{'think':%s}", efforts[i][1]);
        OA(text, want, "");
    }

    AN("{" A ",'thinking':{'type':'disabled'}}", "{'think':false}", "");
    AN("{" A ",'thinking':{'type':'adaptive'}}", "{'think':true}", "");
    AN("{" A ",'thinking':{'type':'enabled','budget_tokens':4096}}",
       "{'think':'medium'}", "");
    OA("{'messages':[{'role':'assistant','content':'y','reasoning_content':"
       "'h'}]}", "{'messages':[{'role':'assistant','content':'y','thinking':"
       "'h'}]}", "");
    AN("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'thinking','thinking':'h','signature':'ai:ollama:'},{'type':'thinking'"
       ",'thinking':'i','signature':'s'},{'type':'text','text':'y'}]}]}",
       "{'messages':[{'role':'assistant','content':'y','thinking':'h'}]}",
       "messages[0].content[1]");
}


static void
limits(void **state)
{
    json_t  *made;

    (void) state;

    OA("{" M ",'max_completion_tokens':4,'temperature':0.70,'top_p':0.9,"
       "'top_k':5,'min_p':0.05,'seed':7,'stop':'END','repetition_penalty':1.1,"
       "'presence_penalty':0.5,'frequency_penalty':-0.5,'logprobs':true,"
       "'top_logprobs':2}",
       "{'options':{'num_predict':4,'temperature':0.70,'top_p':0.9,'top_k':5,"
       "'min_p':0.05,'seed':7,'stop':['END'],'repeat_penalty':1.1,"
       "'presence_penalty':0.5,'frequency_penalty':-0.5},'logprobs':true,"
       "'top_logprobs':2}", "");
    OA("{" M ",'n':2,'logit_bias':{'5':1},'user':'u','service_tier':'flex',"
       "'metadata':{'a':'b'},'store':true,'unheard_of':1}", "{}",
       "unheard_of, logit_bias, metadata, n, store, service_tier, user");

    /* What is its own goes on; what the client's dialect has goes before. */

    OA("{" M ",'temperature':0.5,'keep_alive':'10m','truncate':false,'shift':"
       "false,'think':'high','options':{'num_ctx':8192,'temperature':1}}",
       "{'keep_alive':'10m','truncate':false,'shift':false,'think':'high',"
       "'options':{'temperature':0.5,'num_ctx':8192}}",
       "options.temperature");
    AN("{" A ",'keep_alive':-1,'top_k':3}",
       "{'keep_alive':-1,'options':{'num_predict':9,'top_k':3}}", "");
    asks("openai", "anthropic", "{" M ",'keep_alive':'10m'}",
         "{'keep_alive':null}", "keep_alive");

    OA("{" M ",'response_format':{'type':'json_object'}}", "{'format':'json'}",
       "");
    OA("{" M ",'response_format':{'type':'json_schema','json_schema':{'name':"
       "'n','strict':true,'description':'d','schema':{'type':'object'}}}}",
       "{'format':{'type':'object'}}",
       "response_format.json_schema.description");
    AN("{" A ",'output_config':{'format':{'type':'json_schema','schema':{"
       "'type':'object'}}}}", "{'format':{'type':'object'}}", "");

    made = ask("openai", "ollama", "{" M "}", 1);
    assert_true(json_is_true(json_object_get(made, "stream")));
    json_decref(made);
}


/* Answers. */

#define ANSWER(message, rest)                                                \
    "{'model':'llama','created_at':'2023-08-04T08:52:19.385406455-07:00',"    \
    "'message':{'role':'assistant'," message "},'done':true" rest             \
    ",'total_duration':9,'load_duration':8,'prompt_eval_count':26,"           \
    "'prompt_eval_duration':7,'eval_count':282,'eval_duration':6}"
#define CALL  "{'function':{'index':0,'name':'f','arguments':{'k':'\\n'}}}"


static void
objects(void **state)
{
    char  *out;

    (void) state;

    says("openai", "ollama", ANSWER("'content':'hi','thinking':'hm'",
                                    ",'done_reason':'stop'"),
         "choices.0", "{'index':0,'message':{'role':'assistant','content':"
         "'hi','refusal':null,'reasoning_content':'hm'},'logprobs':null,"
         "'finish_reason':'stop'}");
    assert_string_equal(dropped, "");
    says("openai", "ollama", ANSWER("'content':'hi'", ""), "created",
         "1691164339");
    says("openai", "ollama", ANSWER("'content':'hi'", ""), "id",
         "'chatcmpl-job_0123'");
    says("anthropic", "ollama", ANSWER("'content':'hi'", ""), "id",
         "'msg_job_0123'");
    says("openai", "ollama", ANSWER("'content':'hi'", ""),
         "usage.prompt_tokens", "26");
    says("openai", "ollama", ANSWER("'content':'hi'", ""),
         "usage.completion_tokens", "282");
    says("openai", "ollama", ANSWER("'content':'hi'",
                                    ",'done_reason':'length'"),
         "choices.0.finish_reason", "'length'");
    says("anthropic", "ollama", ANSWER("'content':'hi'",
                                       ",'done_reason':'length'"),
         "stop_reason", "'max_tokens'");
    says("anthropic", "ollama", ANSWER("'content':'hi'",
                                       ",'done_reason':'new'"),
         "stop_reason", "'end_turn'");

    says("openai", "ollama", ANSWER("'content':'','tool_calls':[" CALL ","
                                    CALL "]", ",'done_reason':'stop'"),
         "choices.0.message.tool_calls",
         "[{'id':'call_job_0123_0','type':'function','function':{'name':'f',"
         "'arguments':'{\\'k\\':\\'\\\\n\\'}'}},{'id':'call_job_0123_1',"
         "'type':'function','function':{'name':'f','arguments':'{\\'k\\':"
         "\\'\\\\n\\'}'}}]");
    says("anthropic", "ollama",
         ANSWER("'content':'','tool_calls':[{'id':'call_x','function':{'name':"
                "'f','arguments':{}}}]", ",'done_reason':'stop'"),
         "content",
         "[{'type':'tool_use','id':'call_x','name':'f','input':{}}]");
    says("anthropic", "ollama",
         ANSWER("'content':'','tool_calls':[" CALL "]",
                ",'done_reason':'stop'"), "stop_reason", "'tool_use'");
    says("anthropic", "ollama", ANSWER("'content':'y','thinking':'h'", ""),
         "content.0", "{'type':'thinking','thinking':'h','signature':"
         "'ai:ollama:'}");
    says("openai", "ollama",
         ANSWER("'content':'hi'", ",'logprobs':[{'token':'hi','logprob':-0.10,"
                "'bytes':[104,105],'top_logprobs':[{'token':'hi','logprob':"
                "-0.10}]},{'token':'','logprob':0}]"),
         "choices.0.logprobs.content",
         "[{'token':'hi','logprob':-0.10000000000000001,'bytes':[104,105],"
         "'top_logprobs':[{'token':'hi','logprob':-0.10000000000000001}]},"
         "{'token':'','logprob':0,'bytes':null,'top_logprobs':[]}]");

    /* What nobody knows is named; what is none is none. */

    says("openai", "ollama", ANSWER("'content':'hi','unheard':1", ",'x':2"),
         "choices.0.message.content", "'hi'");
    assert_string_equal(dropped, "message.unheard, x");
    assert_null(answers("openai", "ollama", "{'done':true}", 200));
    assert_null(answers("openai", "ollama", "[]", 200));
    assert_null(answers("openai", "ollama", "", 200));

    out = answers("openai", "ollama", "{'error':'it \\'broke\\''}", 404);
    assert_non_null(strstr(out, "\"message\":\"it \\\"broke\\\"\""));
    free(out);
    out = answers("anthropic", "ollama", "{'error':'x'}", 200);
    assert_non_null(strstr(out, "\"type\":\"error\""));
    free(out);
    out = answers("openai", "ollama", "<html>", 502);
    assert_non_null(strstr(out, "\"message\":\"<html>\""));
    free(out);
}


#define L(message)                                                           \
    "{'model':'llama','created_at':'2023-08-04T08:52:19Z','message':{'role':" \
    "'assistant'," message "},'done':false}"
#define END(eol)                                                             \
    "{'model':'llama','created_at':'2023-08-04T08:52:19Z','message':{'role':" \
    "'assistant','content':''},'done':true,'done_reason':'stop',"             \
    "'prompt_eval_count':5,'eval_count':6}" eol


static void
streams(void **state)
{
    int          end;
    char        *out, *other;
    say_t        s;
    size_t       i;
    static const char *const  clients[] = { "openai", "anthropic" };
    static const char  whole[] =
        L("'content':'','thinking':'h'") "\n" L("'content':'','thinking':'m'")
        "\n\n" L("'content':'It \\u00e9'") "\r\n\r\n"
        L("'content':' rains'") "\n"
        L("'content':'','tool_calls':[" CALL "]") "\n"
        L("'content':'','tool_calls':[{'id':'c','function':{'name':'g',"
          "'arguments':{}}}]") "\n" END("\n");

    (void) state;

    for (i = 0; i < 2; i++) {
        stream_says(clients[i], "ollama", whole, &s);
        assert_string_equal(dropped, "");
        assert_string_equal(s.text, "It \303\251 rains");
        assert_string_equal(s.reasoning, "hm");
        assert_int_equal(s.ncalls, 2);
        assert_string_equal(s.calls[0].id, "call_job_0123_0");
        assert_string_equal(s.calls[0].name, "f");
        assert_string_equal(s.calls[0].arguments, "{\"k\":\"\\n\"}");
        assert_string_equal(s.calls[1].id, "c");
        assert_string_equal(s.calls[1].arguments, "{}");
        assert_string_equal(s.finish, "tools");
        assert_int_equal(s.input, 5);
        assert_int_equal(s.output, 6);
        assert_int_equal(s.ended, 1);
        say_free(&s);
    }

    /* The last line may lack its end, all may end with CR LF. */

    out = stream("openai", "ollama", L("'content':'x'") "\n" END("\n"), &end);
    assert_int_equal(end, 1);
    other = stream("openai", "ollama", L("'content':'x'") "\n" END(""), &end);
    assert_int_equal(end, 1);
    assert_string_equal(out, other);
    free(other);
    other = stream("openai", "ollama", L("'content':'x'") "\r\n" END("\r\n"),
                   &end);
    assert_int_equal(end, 1);
    assert_string_equal(out, other);
    free(other);
    free(out);

    /* A text may go on behind a call. */

    out = stream("anthropic", "ollama", L("'content':'x'") "\n"
                 L("'content':'','tool_calls':[" CALL "]") "\n"
                 L("'content':'y'") "\n" END("\n"), &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "\"index\":2,\"delta\":{\"type\":"
                                "\"text_delta\",\"text\":\"y\"}"));
    free(out);

    /* What comes behind the end is nobody's. */

    out = stream("openai", "ollama", END("\n") L("'content':'late'") "\n",
                 &end);
    assert_int_equal(end, 1);
    assert_null(strstr(out, "late"));
    free(out);

    out = stream("openai", "ollama",
                 "{'model':'llama','message':{'role':'assistant','content':'x'}"
                 ",'logprobs':[{'token':'x','logprob':-1}],'done':false}\n"
                 END("\n"), &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "\"logprobs\":{\"content\":[{\"token\":\"x\","
                           "\"logprob\":-1,\"bytes\":null,\"top_logprobs\":[]"
                           "}]"));
    free(out);
}


static void
streams_that_break(void **state)
{
    int     end;
    char   *out;

    (void) state;

    out = stream("anthropic", "ollama", L("'content':'x'") "\n"
                 "{'error':'an error was \\'met\\''}\n", &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "event: error\n"));
    assert_non_null(strstr(out, "an error was \\\"met\\\""));
    assert_null(strstr(out, "message_stop"));
    free(out);

    out = stream("openai", "ollama", "{'error':'soon'}\n", &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "\"message\":\"soon\""));
    free(out);

    out = stream("openai", "ollama", L("'content':'x'") "\n", &end);
    assert_int_equal(end, 0);
    assert_null(strstr(out, "[DONE]"));
    free(out);

    free(stream("openai", "ollama", "", &end));
    assert_int_equal(end, 0);
    free(stream("openai", "ollama", L("'content':'x'") "\n{'mod", &end));
    assert_int_equal(end, 0);
    free(stream("openai", "ollama", "garbage\n", &end));
    assert_int_equal(end, -2);
    free(stream("openai", "ollama", "[1]\n", &end));
    assert_int_equal(end, -2);
}


/* A line has a bound, however it comes. */

static void
a_line_without_an_end(void **state)
{
    int           rc;
    char         *piece;
    size_t        sent, size;
    ai_str_t      said;
    translate_t  *t;

    (void) state;

    size = 1024 * 1024;
    piece = malloc(size);
    assert_non_null(piece);
    memset(piece, 'x', size);
    t = begin("openai", "ollama", 1);
    rc = 0;

    for (sent = 0; rc == 0 && sent < 64 * size; sent += size) {
        rc = translate_bytes(t, (ai_str_t) { size, piece }, &said);
        assert_true(translate_held(t) < 64 * size);
    }

    assert_int_equal(rc, -2);
    assert_in_range(sent, 16 * size, 20 * size);
    translate_close(t);
    free(piece);
}


static void
types(void **state)
{
    translate_t  *t;

    (void) state;

    t = begin("openai", "ollama", 1);
    assert_int_equal(translate_is_stream(t, ai_str("application/x-ndjson")),
                     1);
    assert_int_equal(translate_is_stream(t, ai_str("Application/X-NDJSON; "
                                                   "charset=utf-8")), 1);
    assert_int_equal(translate_is_stream(t, ai_str("application/json")), 0);
    assert_int_equal(translate_is_stream(t, ai_str("text/event-stream")), 0);
    assert_string_equal(translate_type(t, 1), "text/event-stream");
    translate_close(t);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(media),
        cmocka_unit_test(tools),
        cmocka_unit_test(calls),
        cmocka_unit_test(reasoning),
        cmocka_unit_test(limits),
        cmocka_unit_test(objects),
        cmocka_unit_test(streams),
        cmocka_unit_test(streams_that_break),
        cmocka_unit_test(a_line_without_an_end),
        cmocka_unit_test(types),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
