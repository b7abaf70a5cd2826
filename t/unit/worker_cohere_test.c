/*
 * Cohere as a provider: requests, answers, streams.  What it says is written
 * after its documentation of /v2/chat.
 */

#include "worker_translate_unit.h"


#define OA(request, want, lost)  asks("openai", "cohere", request, want, lost)
#define AN(request, want, lost)                                              \
    asks("anthropic", "cohere", request, want, lost)
#define M  "'model':'m','messages':[{'role':'user','content':'x'}]"
#define A  "'model':'m','max_tokens':9,"                                     \
           "'messages':[{'role':'user','content':'x'}]"
#define F(name, rest)                                                        \
    "{'type':'function','function':{'name':'" name "'" rest "}}"
#define FT(name)  F(name, ",'parameters':{'type':'object','properties':{}}")
#define RQ(content)                                                          \
    "{'messages':[{'role':'user','content':" content "}],'max_tokens':9}"


static void
texts(void **state)
{
    json_t  *made;

    (void) state;

    OA("{'messages':[{'role':'developer','content':[{'type':'text','text':'b'}"
       ",{'type':'text','text':'c'}]},{'role':'user','content':'\\u00e9'},{"
       "'role':'assistant','content':'d'},{'role':'user','content':[{'type':"
       "'text','text':'x'},{'type':'text','text':'y'}],'name':'n'}]}",
       "{'model':'asked','stream':null,'messages':[{'role':'system','content':["
       "{'type':'text','text':'b'},{'type':'text','text':'c'}]},{'role':'user'"
       ",'content':'\\u00e9'},{'role':'assistant','content':'d'},{'role':"
       "'user','content':[{'type':'text','text':'x'},{'type':'text','text':'y'"
       "}]}]}", "messages[3].name");
    AN("{'max_tokens':9,'system':'a','messages':[{'role':'user','content':[{"
       "'type':'text','text':'x'}]}]}",
       "{'messages':[{'role':'system','content':'a'},{'role':'user','content':"
       "'x'}],'max_tokens':9}", "");

    made = ask("openai", "cohere", "{" M "}", 1);
    assert_true(json_is_true(json_object_get(made, "stream")));
    json_decref(made);
}


static void
media(void **state)
{
    (void) state;

    OA(RQ("[{'type':'text','text':'x'},{'type':'image_url','image_url':{'url':"
          "'data:image/png;base64,aGk=','detail':'low'}},{'type':'image_url',"
          "'image_url':{'url':'https://h/i.png'}},{'type':'input_audio',"
          "'input_audio':{'data':'aGo=','format':'wav'}},{'type':'file','file'"
          ":{'file_data':'data:application/pdf;base64,aGk='}}]"),
       "{'messages':[{'role':'user','content':[{'type':'text','text':'x'},{"
       "'type':'image_url','image_url':{'url':'data:image/png;base64,aGk=',"
       "'detail':'low'}},{'type':'image_url','image_url':{'url':"
       "'https://h/i.png'}}]}]}",
       "messages[0].content[3], messages[0].content[4]");
}


static void
documents(void **state)
{
    (void) state;

    AN(RQ("[{'type':'document','source':{'type':'text','media_type':"
          "'text/plain','data':'d'},'title':'t','context':'c','citations':{"
          "'enabled':true}},{'type':'document','source':{'type':'content',"
          "'content':[{'type':'text','text':'e'},{'type':'text','text':'f'}]}}"
          ",{'type':'text','text':'x'},{'type':'document','source':{'type':"
          "'url','url':'u'}}]"),
       "{'messages':[{'role':'user','content':[{'type':'text','text':'x'}]}],"
       "'documents':[{'data':{'title':'t','context':'c','text':'d'}},{'data':{"
       "'text':'e\\n\\nf'}}],'citation_options':null}",
       "messages[0].content[3]");

    /* Who did not ask for citations has none. */

    AN(RQ("[{'type':'document','source':{'type':'text','media_type':"
          "'text/plain','data':'d'}},{'type':'text','text':'x'}]"),
       "{'documents':[{'data':{'text':'d'}}],'citation_options':{'mode':'OFF'}"
       "}", "");
    OA("{" M ",'documents':['a',{'id':'i','data':{'text':'b','url':'u'}}],"
       "'citation_options':{'mode':'FAST'},'safety_mode':'STRICT','priority':3"
       "}",
       "{'documents':['a',{'id':'i','data':{'text':'b','url':'u'}}],"
       "'citation_options':{'mode':'FAST'},'safety_mode':'STRICT','priority':3"
       "}", "");
    AN("{" A ",'safety_mode':'STRICT','documents':['a']}",
       "{'safety_mode':'STRICT','documents':['a'],'citation_options':null}",
       "");
    asks("openai", "anthropic", "{" M ",'safety_mode':'STRICT'}",
         "{'safety_mode':null}", "safety_mode");
}


static void
tools(void **state)
{
    (void) state;

    OA("{" M ",'tools':[" F("f", ",'description':'d','strict':true,"
                            "'parameters':{'type':'object','a':[2.50]}") ","
       F("g", ",'strict':true") "],'tool_choice':'auto','parallel_tool_calls':"
       "false}",
       "{'tools':[" F("f", ",'description':'d','parameters':{'type':'object',"
                      "'a':[2.50]}") "," FT("g") "],'strict_tools':true,"
       "'tool_choice':null}", "parallel_tool_calls");
    OA("{" M ",'tools':[" F("f", ",'strict':true") "," F("g", "") "]}",
       "{'strict_tools':null}", "tools[0].function.strict");
    OA("{" M ",'tools':[" F("f", "") ",{'type':'custom','custom':{'name':'c'}}"
       "],'tool_choice':'none'}",
       "{'tools':[" FT("f") "],'tool_choice':'NONE'}", "tools[1]");
    OA("{" M ",'tools':[" F("f", "") "],'tool_choice':'required'}",
       "{'tool_choice':'REQUIRED'}", "");

    /* One tool is forced by offering no other. */

    OA("{" M ",'tools':[" F("f", "") "," F("g", "") "],'tool_choice':"
       F("g", "") "}",
       "{'tools':[" FT("g") "],'tool_choice':'REQUIRED'}", "");
    OA("{" M ",'tools':[" F("f", "") "," F("g", "") "," F("h", "") "],"
       "'tool_choice':{'type':'allowed_tools','allowed_tools':{'mode':"
       "'required','tools':[" F("f", "") "," F("h", "") "]}}}",
       "{'tools':[" FT("f") "," FT("h") "],'tool_choice':'REQUIRED'}", "");
    OA("{" M ",'tools':[" F("f", "") "," F("g", "") "],'tool_choice':{'type':"
       "'allowed_tools','allowed_tools':{'mode':'auto','tools':[" F("f", "")
       "]}}}", "{'tools':[" FT("f") "],'tool_choice':null}", "");
    AN("{" A ",'tools':[{'name':'f','input_schema':{'type':'object'}}],"
       "'tool_choice':{'type':'any'}}",
       "{'tools':[" F("f", ",'parameters':{'type':'object'}") "],"
       "'tool_choice':'REQUIRED'}", "");
}


/* What is said beside calls is a plan. */

static void
calls(void **state)
{
    (void) state;

    OA("{'messages':[{'role':'assistant','content':'I look.','tool_calls':[{"
       "'id':'a','type':'function','function':{'name':'f','arguments':"
       "'{\\'k\\':[1]}'}}]},{'role':'tool','tool_call_id':'a','content':'1'}]}"
       , "{'messages':[{'role':'assistant','tool_plan':'I look.','tool_calls':"
       "[{'id':'a','type':'function','function':{'name':'f','arguments':"
       "'{\\'k\\':[1]}'}}]},{'role':'tool','tool_call_id':'a','content':'1'}]}"
       , "");
    AN("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'tool_use','id':'a','name':'f','input':{'k':1}},{'type':'tool_use',"
       "'id':'b','name':'g','input':{}}]},{'role':'user','content':[{'type':"
       "'tool_result','tool_use_id':'a','is_error':true,'content':[{'type':"
       "'text','text':'r'},{'type':'image','source':{'type':'url','url':'u'}}]"
       "},{'type':'tool_result','tool_use_id':'b','content':[{'type':"
       "'document','source':{'type':'text','media_type':'text/plain','data':"
       "'d'}},{'type':'text','text':'s'}]}]}]}",
       "{'messages':[{'role':'assistant','tool_calls':[{'id':'a','type':"
       "'function','function':{'name':'f','arguments':'{\\'k\\':1}'}},{'id':"
       "'b','type':'function','function':{'name':'g','arguments':'{}'}}]},{"
       "'role':'tool','tool_call_id':'a','content':'r'},{'role':'tool',"
       "'tool_call_id':'b','content':[{'type':'document','document':{'data':{"
       "'text':'d'}}},{'type':'text','text':'s'}]},{'role':'user','content':[{"
       "'type':'image_url','image_url':{'url':'u'}}]}],'documents':null}",
       "messages[1].content[0].is_error");

    /* A turn in several messages is one; the other's reasoning is named. */

    AN("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'text','text':'p'},{'type':'tool_use','id':'a','name':'f','input':{}}]"
       "},{'role':'assistant','content':[{'type':'thinking','thinking':'h',"
       "'signature':'s'},{'type':'text','text':'q'},{'type':'tool_use','id':"
       "'b','name':'g','input':{}}]},{'role':'user','content':[{'type':"
       "'tool_result','tool_use_id':'a','content':'1'},{'type':'tool_result',"
       "'tool_use_id':'b','content':'2'}]}]}",
       "{'messages':[{'role':'assistant','tool_plan':'pq','tool_calls':[{'id':"
       "'a','type':'function','function':{'name':'f','arguments':'{}'}},{'id':"
       "'b','type':'function','function':{'name':'g','arguments':'{}'}}]},{"
       "'role':'tool','tool_call_id':'a','content':'1'},{'role':'tool',"
       "'tool_call_id':'b','content':'2'}]}", "messages[1].content[0]");
}


static void
reasoning(void **state)
{
    size_t  i;
    char    text[256], want[128];
    static const char *const  efforts[][2] = {
        { "none", "{'type':'disabled'}" },
        { "minimal", "{'type':'enabled','token_budget':1024}" },
        { "low", "{'type':'enabled','token_budget':2048}" },
        { "medium", "{'type':'enabled','token_budget':8192}" },
        { "high", "{'type':'enabled','token_budget':16384}" },
        { "xhigh", "{'type':'enabled','token_budget':32000}" },
        { "max", "{'type':'enabled'}" }
    };

    (void) state;

    for (i = 0; i < sizeof(efforts) / sizeof(efforts[0]); i++) {
        snprintf(text, sizeof(text), "{" M ",'reasoning_effort':'%s'}",
                 efforts[i][0]);
        snprintf(want, sizeof(want), "{'thinking':%s}", efforts[i][1]);
        OA(text, want, "");
    }

    AN("{" A ",'thinking':{'type':'disabled'}}",
       "{'thinking':{'type':'disabled'}}", "");
    AN("{" A ",'thinking':{'type':'adaptive'}}",
       "{'thinking':{'type':'enabled'}}", "");
    AN("{" A ",'thinking':{'type':'enabled','budget_tokens':4096}}",
       "{'thinking':{'type':'enabled','token_budget':4096}}", "");
    OA("{'messages':[{'role':'assistant','content':'y','reasoning_content':"
       "'h'},{'role':'user','content':'x'},{'role':'assistant',"
       "'reasoning_content':'i','content':'p','tool_calls':[{'id':'a',"
       "'function':{'name':'f','arguments':'{}'}}]}]}",
       "{'messages':[{'role':'assistant','content':[{'type':'thinking',"
       "'thinking':'h'},{'type':'text','text':'y'}]},{'role':'user','content':"
       "'x'},{'role':'assistant','content':[{'type':'thinking','thinking':'i'}"
       "],'tool_plan':'p','tool_calls':[{'id':'a','type':'function','function'"
       ":{'name':'f','arguments':'{}'}}]}]}", "");
    AN("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'thinking','thinking':'h','signature':'ai:cohere:'},{'type':'thinking'"
       ",'thinking':'i','signature':'s'},{'type':'text','text':'y'}]}]}",
       "{'messages':[{'role':'assistant','content':[{'type':'thinking',"
       "'thinking':'h'},{'type':'text','text':'y'}]}]}",
       "messages[0].content[1]");
}


static void
limits(void **state)
{
    (void) state;

    OA("{" M ",'max_completion_tokens':4,'temperature':0.70,'top_p':0.90,"
       "'top_k':5,'seed':7,'stop':'END','presence_penalty':0.5,"
       "'frequency_penalty':0.25,'logprobs':true}",
       "{'max_tokens':4,'temperature':0.70,'p':0.90,'k':5,'seed':7,"
       "'stop_sequences':['END'],'presence_penalty':0.5,'frequency_penalty':"
       "0.25,'logprobs':true}", "");
    OA("{" M ",'temperature':1.5,'top_p':1,'top_k':900,'seed':-1,"
       "'presence_penalty':1.5,'frequency_penalty':-0.5}",
       "{'temperature':1,'p':0.99,'k':500,'seed':null,'presence_penalty':1,"
       "'frequency_penalty':null}",
       "temperature (is too large), top_k (is too large), presence_penalty (is "
       "too large), seed, frequency_penalty");
    OA("{" M ",'top_p':0.001}", "{'p':0.01}", "top_p (is too small)");
    AN("{" A ",'stop_sequences':['a','b','c','d','e','f'],'metadata':{"
       "'user_id':'u'}}", "{'stop_sequences':['a','b','c','d','e']}",
       "stop_sequences[5], metadata.user_id");
    OA("{" M ",'n':2,'logit_bias':{'5':1},'top_logprobs':2,'min_p':0.1,"
       "'unheard_of':1}", "{}",
       "unheard_of, min_p, logit_bias, n, top_logprobs");

    OA("{" M ",'response_format':{'type':'json_object'}}",
       "{'response_format':{'type':'json_object'}}", "");
    OA("{" M ",'response_format':{'type':'json_schema','json_schema':{'name':"
       "'n','strict':true,'description':'d','schema':{'type':'object'}}}}",
       "{'response_format':{'type':'json_object','json_schema':{'type':"
       "'object'}}}", "response_format.json_schema.description");
}


/* Answers. */

#define USAGE                                                                \
    "'usage':{'billed_units':{'input_tokens':37.0,'output_tokens':28.0},"     \
    "'tokens':{'input_tokens':913,'output_tokens':83},'cached_tokens':10}"
#define ANSWER(message, finish)                                              \
    "{'id':'c1','message':{'role':'assistant'," message "},'finish_reason':'" \
    finish "'," USAGE "}"


static void
objects(void **state)
{
    size_t  i;
    char    text[512], want[64], *out;
    static const char *const  finishes[][3] = {
        { "COMPLETE", "stop", "end_turn" },
        { "STOP_SEQUENCE", "stop", "stop_sequence" },
        { "MAX_TOKENS", "length", "max_tokens" },
        { "ERROR_LIMIT", "length", "model_context_window_exceeded" },
        { "ERROR_TOXIC", "content_filter", "refusal" },
        { "NEW", "stop", "end_turn" },
    };

    (void) state;

    for (i = 0; i < sizeof(finishes) / sizeof(finishes[0]); i++) {
        snprintf(text, sizeof(text), ANSWER("'content':[{'type':'text','text':"
                                            "'x'}]", "%s"), finishes[i][0]);
        snprintf(want, sizeof(want), "'%s'", finishes[i][1]);
        says("openai", "cohere", text, "choices.0.finish_reason", want);
        snprintf(want, sizeof(want), "'%s'", finishes[i][2]);
        says("anthropic", "cohere", text, "stop_reason", want);
    }

#define X  ANSWER("'content':[{'type':'thinking','thinking':'hm'},{'type':"  \
                  "'text','text':'hi'}]", "COMPLETE")
    says("openai", "cohere", X, "choices.0.message",
         "{'role':'assistant','content':'hi','refusal':null,"
         "'reasoning_content':'hm'}");
    assert_string_equal(dropped, "");
    says("openai", "cohere", X, "id", "'chatcmpl-c1'");
    says("openai", "cohere", X, "model", "'asked'");
    says("openai", "cohere", X, "usage.prompt_tokens", "37");
    says("openai", "cohere", X, "usage.completion_tokens", "28");
    says("openai", "cohere", X, "usage.prompt_tokens_details.cached_tokens",
         "10");
    says("anthropic", "cohere", X, "content",
         "[{'type':'thinking','thinking':'hm','signature':'ai:cohere:'},{"
         "'type':'text','text':'hi'}]");
#undef X

    /* Where nothing is billed, what there was. */

    says("openai", "cohere", "{'id':'c','message':{'content':[]},"
         "'finish_reason':'COMPLETE','usage':{'tokens':{'input_tokens':9,"
         "'output_tokens':8},'cached_tokens':99}}", "usage.prompt_tokens",
         "9");
    says("openai", "cohere", "{'id':'c','message':{'content':[]},"
         "'finish_reason':'COMPLETE','usage':{'tokens':{'input_tokens':9,"
         "'output_tokens':8},'cached_tokens':99}}",
         "usage.prompt_tokens_details.cached_tokens", "9");

    says("anthropic", "cohere",
         ANSWER("'tool_plan':'I look.','tool_calls':[{'id':'a','type':"
                "'function','function':{'name':'f','arguments':'{\\'k\\':1}'}}"
                ",{'id':'','type':'function','function':{'name':'g',"
                "'arguments':''}}]", "TOOL_CALL"), "content",
         "[{'type':'text','text':'I look.'},{'type':'tool_use','id':'a','name'"
         ":'f','input':{'k':1}},{'type':'tool_use','id':'call_job_0123_1',"
         "'name':'g','input':{}}]");
    assert_string_equal(dropped, "");
    says("openai", "cohere",
         ANSWER("'tool_calls':[{'id':'a','type':'function','function':{'name':"
                "'f','arguments':'{\\'k\\':1}'}}]", "TOOL_CALL"),
         "choices.0", "{'index':0,'message':{'role':'assistant','content':null,"
         "'refusal':null,'tool_calls':[{'id':'a','type':'function','function':"
         "{'name':'f','arguments':'{\\'k\\':1}'}}]},'logprobs':null,"
         "'finish_reason':'tool_calls'}");

    says("openai", "cohere",
         "{'id':'c','message':{'content':[{'type':'text','text':'hi you'}]},"
         "'finish_reason':'COMPLETE','logprobs':[{'text':'hi','token_ids':[1],"
         "'logprobs':[-0.5]},{'text':' you','token_ids':[2,3],'logprobs':"
         "[-0.25,-1]}]}", "choices.0.logprobs.content",
         "[{'token':'hi','logprob':-0.5,'bytes':null,'top_logprobs':[]},{"
         "'token':' you','logprob':-1.25,'bytes':null,'top_logprobs':[]}]");

    says("openai", "cohere", ANSWER("'content':[{'type':'new','x':1},{'type':"
                                    "'text','text':'hi'}],'y':2", "COMPLETE"),
         "choices.0.message.content", "'hi'");
    assert_string_equal(dropped, "message.content[0], message.y");

    /* What is none, and what failed. */

    assert_null(answers("openai", "cohere", "{'id':'c'}", 200));
    assert_null(answers("openai", "cohere", "[]", 200));
    out = answers("anthropic", "cohere", ANSWER("'content':[]", "ERROR"), 200);
    assert_non_null(strstr(out, "\"message\":\"The generation failed.\""));
    free(out);
    out = answers("openai", "cohere", "{'message':'no \\'key\\''}", 498);
    assert_non_null(strstr(out, "\"message\":\"no \\\"key\\\"\",\"type\":"
                                "\"authentication_error\""));
    free(out);
    out = answers("anthropic", "cohere", "{'message':'x'}", 429);
    assert_non_null(strstr(out, "\"rate_limit_error\""));
    free(out);
}


#define CITED(more)                                                          \
    "{'start':3,'end':8,'text':'24 C!','sources':[{'type':'tool','id':'t',"   \
    "'tool_output':{'a':1}},{'type':'document','id':'d','document':{'id':'d'," \
    "'title':'T','url':'https://h/'}}],'type':'TEXT_CONTENT'" more "}"
#define BARE                                                                 \
    "{'start':0,'end':2,'text':'It','sources':[{'type':'document','id':'e',"  \
    "'document':{'text':'d'}}],'type':'TEXT_CONTENT'}"


static void
citations(void **state)
{
    (void) state;

    says("openai", "cohere",
         ANSWER("'content':[{'type':'text','text':'It 24 C!'}],'citations':["
                CITED("") "," BARE "]", "COMPLETE"),
         "choices.0.message.annotations",
         "[{'type':'url_citation','url_citation':{'start_index':3,'end_index':"
         "8,'url':'https://h/','title':'T'}}]");
    assert_string_equal(dropped, "message.citations[1]");
    says("anthropic", "cohere",
         ANSWER("'content':[{'type':'thinking','thinking':'hm'},{'type':'text'"
                ",'text':'It 24 C!'}],'citations':[" CITED(",'content_index':1")
                "]", "COMPLETE"), "content.1",
         "{'type':'text','text':'It 24 C!','citations':[{'type':"
         "'web_search_result_location','url':'https://h/','title':'T',"
         "'cited_text':'24 C!','encrypted_index':''}]}");
    assert_string_equal(dropped, "");
    says("openai", "cohere",
         ANSWER("'content':[{'type':'thinking','thinking':'hm'}],'citations':["
                CITED(",'content_index':0") "]", "COMPLETE"),
         "choices.0.message.annotations", "absent");
    assert_string_equal(dropped, "message.citations[0]");

    /* Of two texts the first, where it does not say which; and of a plan. */

    says("openai", "cohere",
         ANSWER("'content':[{'type':'text','text':'It 24 C!'},{'type':'text',"
                "'text':'.'}],'citations':[" CITED("") "]", "COMPLETE"),
         "choices.0.message.annotations",
         "[{'type':'url_citation','url_citation':{'start_index':3,'end_index':"
         "8,'url':'https://h/','title':'T'}}]");
    says("openai", "cohere",
         ANSWER("'tool_plan':'It 24 C!','citations':[{'type':'PLAN','sources':"
                "[{'type':'tool','tool_output':{'url':'u'}}]}]", "COMPLETE"),
         "choices.0.message.annotations.0.url_citation.url", "'u'");
    assert_string_equal(dropped, "");
}


/* Streams. */

#define EV(type, rest)  "event: " type "\ndata: {'type':'" type "'" rest "}\n\n"
#define START                                                                \
    EV("message-start", ",'id':'c1','delta':{'message':{'role':'assistant',"  \
       "'content':[],'tool_plan':'','tool_calls':[],'citations':[]}}")
#define OPEN(i, type)                                                        \
    EV("content-start", ",'index':" i ",'delta':{'message':{'content':{'type'" \
       ":'" type "','" type "':''}}}")
#define TEXT(i, type, text)                                                  \
    EV("content-delta", ",'index':" i ",'delta':{'message':{'content':{'"     \
       type "':'" text "'}}}")
#define CLOSE(i)  EV("content-end", ",'index':" i)
#define PLAN(text)                                                           \
    EV("tool-plan-delta", ",'delta':{'message':{'tool_plan':'" text "'}}")
#define CALL(i, id, name)                                                    \
    EV("tool-call-start", ",'index':" i ",'delta':{'message':{'tool_calls':{" \
       "'id':'" id "','type':'function','function':{'name':'" name            \
       "','arguments':''}}}}")
#define ARGS(i, text)                                                        \
    EV("tool-call-delta", ",'index':" i ",'delta':{'message':{'tool_calls':{" \
       "'function':{'arguments':'" text "'}}}}")
#define DONE(i)  EV("tool-call-end", ",'index':" i)
#define END(finish)                                                          \
    EV("message-end", ",'id':null,'delta':{'finish_reason':'" finish "',"     \
       USAGE "}")


static void
streams(void **state)
{
    int     end;
    char   *out;
    say_t   s;
    size_t  i;
    static const char *const  clients[] = { "openai", "anthropic" };

    (void) state;

    for (i = 0; i < 2; i++) {
        stream_says(clients[i], "cohere",
                    START OPEN("0", "thinking") TEXT("0", "thinking", "h")
                    TEXT("0", "thinking", "m") CLOSE("0") OPEN("1", "text")
                    TEXT("1", "text", "It \\u00e9") TEXT("1", "text", " ok")
                    CLOSE("1") END("COMPLETE"), &s);
        assert_string_equal(dropped, "");
        assert_string_equal(s.text, "It \303\251 ok");
        assert_string_equal(s.reasoning, "hm");
        assert_string_equal(s.finish, "stop");
        assert_int_equal(s.input, 37);
        assert_int_equal(s.output, 28);
        assert_int_equal(s.cached, 10);
        assert_int_equal(s.ended, 1);
        say_free(&s);

        stream_says(clients[i], "cohere",
                    START PLAN("I ") PLAN("look.") CALL("0", "a", "f")
                    ARGS("0", "{\\n \\'k") ARGS("0", "\\': 1}") DONE("0")
                    CALL("1", "b", "g") DONE("1") CALL("2", "c", "h")
                    ARGS("2", "{}") DONE("2") END("TOOL_CALL"), &s);
        assert_string_equal(dropped, "");
        assert_string_equal(s.text, "I look.");
        assert_int_equal(s.ncalls, 3);
        assert_string_equal(s.calls[0].id, "a");
        assert_string_equal(s.calls[0].name, "f");
        assert_string_equal(s.calls[0].arguments, "{\n \"k\": 1}");
        assert_string_equal(s.calls[1].arguments, "{}");
        assert_string_equal(s.calls[2].id, "c");
        assert_string_equal(s.calls[2].arguments, "{}");
        assert_string_equal(s.finish, "tools");
        assert_int_equal(s.ended, 1);
        say_free(&s);
    }

    /* Two texts are two, and one may stand behind a call. */

    out = stream("anthropic", "cohere",
                 START OPEN("0", "text") TEXT("0", "text", "x") CLOSE("0")
                 OPEN("1", "text") TEXT("1", "text", "y") CLOSE("1")
                 CALL("0", "a", "f") DONE("0") TEXT("2", "text", "z")
                 END("TOOL_CALL"), &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "\"index\":1,\"delta\":{\"type\":"
                                "\"text_delta\",\"text\":\"y\"}"));
    assert_non_null(strstr(out, "\"index\":3,\"delta\":{\"type\":"
                                "\"text_delta\",\"text\":\"z\"}"));
    free(out);

    /* Citations, before and behind the end of what they are of. */

    out = stream("openai", "cohere",
                 START OPEN("0", "text") TEXT("0", "text", "It 24 C!")
                 EV("citation-start", ",'index':0,'delta':{'message':{"
                    "'citations':" CITED("") "}}")
                 EV("citation-end", ",'index':0") CLOSE("0")
                 EV("citation-start", ",'index':1,'delta':{'message':{"
                    "'citations':" BARE "}}")
                 EV("citation-end", ",'index':1") END("COMPLETE"), &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "\"url\":\"https://h/\",\"title\":\"T\""));
    assert_string_equal(dropped, "delta.message.citations");
    free(out);

    out = stream("openai", "cohere",
                 START "event: content-delta\ndata: {'type':'content-delta',"
                 "'index':0,'delta':{'message':{'content':{'text':'x'}}},"
                 "'logprobs':{'text':'x','token_ids':[1],'logprobs':[-0.5]}}"
                 "\n\n" EV("new-event", ",'x':1") END("COMPLETE"), &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "\"logprobs\":{\"content\":[{\"token\":\"x\","
                           "\"logprob\":-0.5,\"bytes\":null"));
    assert_string_equal(dropped, "an event that is not known");
    free(out);
}


static void
streams_that_break(void **state)
{
    int     end;
    char   *out;

    (void) state;

    out = stream("anthropic", "cohere",
                 START OPEN("0", "text") TEXT("0", "text", "x")
                 EV("message-end", ",'delta':{'finish_reason':'ERROR','error':"
                    "'it broke'}"), &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "event: error\n"));
    assert_non_null(strstr(out, "it broke"));
    assert_null(strstr(out, "message_stop"));
    free(out);

    out = stream("openai", "cohere", START
                 EV("message-end", ",'delta':{'finish_reason':'TIMEOUT'}"),
                 &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "The generation took too long."));
    free(out);
    out = stream("openai", "cohere", "data: {'message':'soon'}\n\n", &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "\"message\":\"soon\""));
    free(out);

    out = stream("openai", "cohere", START TEXT("0", "text", "x"), &end);
    assert_int_equal(end, 0);
    assert_null(strstr(out, "[DONE]"));
    free(out);

    free(stream("openai", "cohere", TEXT("0", "text", "x"), &end));
    assert_int_equal(end, -2);
    free(stream("openai", "cohere", START START, &end));
    assert_int_equal(end, -2);
    free(stream("openai", "cohere", START ARGS("0", "{}"), &end));
    assert_int_equal(end, -2);
    free(stream("openai", "cohere", START CALL("0", "a", "f")
                ARGS("7", "{}"), &end));
    assert_int_equal(end, -2);
    free(stream("openai", "cohere", "data: {'type':\n\n", &end));
    assert_int_equal(end, -2);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(media),
        cmocka_unit_test(documents),
        cmocka_unit_test(tools),
        cmocka_unit_test(calls),
        cmocka_unit_test(reasoning),
        cmocka_unit_test(limits),
        cmocka_unit_test(objects),
        cmocka_unit_test(citations),
        cmocka_unit_test(streams),
        cmocka_unit_test(streams_that_break),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
