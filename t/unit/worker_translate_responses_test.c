/*
 * OpenAI's Responses as a client's and as a provider's dialect: what is carried
 * and in which form, and that what is not is named (docs/dialects.md says which
 * test has which cell).
 */

#include "worker_ask.h"


#define RO(request, want, lost)                                               \
    asks("responses", "openai", request, want, lost)
#define RA(request, want, lost)                                               \
    asks("responses", "anthropic", request, want, lost)
#define OR(request, want, lost)                                               \
    asks("openai", "responses", request, want, lost)
#define AR(request, want, lost)                                               \
    asks("anthropic", "responses", request, want, lost)

#define IN(content)  "{'input':[{'role':'user','content':[" content "]}]}"
#define US(content)  "{'messages':[{'role':'user','content':[" content "]}]}"
#define X            "'input':'x'"
#define M            "'messages':[{'role':'user','content':'x'}]"
#define TXT          "{'type':'text','text':'t'}"

#define CMPL(message, finish)                                                 \
    "{'id':'chatcmpl-1','object':'chat.completion','created':5,'model':'g',"  \
    "'choices':[{'index':0,'message':{'role':'assistant'," message "},"       \
    "'finish_reason':'" finish "'}],'usage':{'prompt_tokens':1,"              \
    "'completion_tokens':2,'total_tokens':3}}"
#define RESP(output, rest)                                                    \
    "{'id':'resp_1','object':'response','created_at':5,'model':'g','error':"  \
    "null,'output':[" output "]" rest ",'usage':{'input_tokens':9,"           \
    "'input_tokens_details':{'cached_tokens':4,'cache_write_tokens':3},"      \
    "'output_tokens':2,'output_tokens_details':{'reasoning_tokens':1}}}"
#define DONE         ",'status':'completed'"
#define SAID(part)   "{'type':'message','id':'m','status':'completed','role':" \
                     "'assistant','content':[" part "]}"
#define TEXT(text)   "{'type':'output_text','text':'" text "','annotations':"  \
                     "[]}"

#define CH(delta, finish)                                                     \
    "data: {'id':'c','model':'g','choices':[{'index':0,'delta':" delta        \
    ",'finish_reason':" finish "}]}\n\n"
#define TC(i, rest)  "{'tool_calls':[{'index':" i "," rest "}]}"


static void
texts(void **state)
{
    (void) state;

    RO("{'instructions':'i','input':'x'}",
       "{'messages':[{'role':'system','content':'i'},{'role':'user',"
       "'content':'x'}]}", "");
    RO("{'input':[{'role':'developer','content':'d'},{'role':'user',"
       "'content':''},{'type':'message','role':'user','content':[{'type':"
       "'input_text','text':'u'}]},{'id':'m','status':'completed','phase':"
       "'final','role':'assistant','content':[{'type':'output_text','text':"
       "'a','annotations':[]},{'type':'refusal','refusal':'r'}]}]}",
       "{'messages':[{'role':'developer','content':'d'},{'role':'user',"
       "'content':'u'},{'role':'assistant','content':'a','refusal':'r'}]}",
       "");
    OR("{'messages':[{'role':'system','content':'s'},{'role':'developer',"
       "'content':'d'},{'role':'user','content':'u','name':'n'},{'role':"
       "'assistant','content':'a','refusal':'r'}]}",
       "{'model':'claude-sonnet-4-5','store':false,'input':[{'role':'system',"
       "'content':'s'},{'role':'developer','content':'d'},{'role':'user',"
       "'content':'u'},{'role':'assistant','content':[{'type':'output_text',"
       "'text':'a'},{'type':'refusal','refusal':'r'}]}]}",
       "messages[2].name");
}


static void
media(void **state)
{
    (void) state;

    RO(IN("{'type':'input_image','image_url':'https://h/i.png','detail':"
          "'low'},{'type':'input_image','image_url':'data:image/png;base64,"
          "aGk=','detail':'auto'},{'type':'input_file','file_data':"
          "'data:application/pdf;base64,aGk=','filename':'a.pdf'},{'type':"
          "'input_file','file_id':'f'},{'type':'input_audio','input_audio':{"
          "'data':'aGk=','format':'wav'}}"),
       US("{'type':'image_url','image_url':{'url':'https://h/i.png','detail':"
          "'low'}},{'type':'image_url','image_url':{'url':"
          "'data:image/png;base64,aGk='}},{'type':'file','file':{'filename':"
          "'a.pdf','file_data':'data:application/pdf;base64,aGk='}},{'type':"
          "'file','file':{'file_id':'f'}},{'type':'input_audio',"
          "'input_audio':{'data':'aGk=','format':'wav'}}"), "");
    RA(IN("{'type':'input_file','file_url':'https://h/d.pdf'}"),
       US("{'type':'document','source':{'type':'url','url':"
          "'https://h/d.pdf'}}"), "");
    OR(US(TXT ",{'type':'image_url','image_url':{'url':'https://h/i.png',"
          "'detail':'low'}},{'type':'image_url','image_url':{'url':"
          "'data:image/png;base64,aGk='}},{'type':'file','file':{'file_data':"
          "'data:application/pdf;base64,aGk='}},{'type':'input_audio',"
          "'input_audio':{'data':'aGk=','format':'wav'}},{'type':'file',"
          "'file':{'file_id':'f'}}"),
       IN("{'type':'input_text','text':'t'},{'type':'input_image',"
          "'image_url':'https://h/i.png','detail':'low'},{'type':"
          "'input_image','image_url':'data:image/png;base64,aGk='},{'type':"
          "'input_file','filename':'document.pdf','file_data':"
          "'data:application/pdf;base64,aGk='}"),
       "messages[0].content[4], messages[0].content[5]");
    AR("{'max_tokens':9,'messages':[{'role':'user','content':[{'type':"
       "'document','source':{'type':'text','media_type':'text/plain','data':"
       "'d'},'context':'c'},{'type':'document','source':{'type':'url','url':"
       "'u'}}]}]}",
       IN("{'type':'input_text','text':'d'},{'type':'input_file','file_url':"
          "'u'}"), "messages[0].content[0].context");
}


static void
tools(void **state)
{
    (void) state;

    RO("{" X ",'tools':[{'type':'function','name':'f','description':'d',"
       "'parameters':{'type':'object'},'strict':true},{'type':'function',"
       "'name':'g','parameters':{},'strict':false},{'type':'web_search'}],"
       "'tool_choice':{'type':'function','name':'f'},'parallel_tool_calls':"
       "false}",
       "{'tools':[{'type':'function','function':{'name':'f','description':"
       "'d','parameters':{'type':'object'},'strict':true}},{'type':"
       "'function','function':{'name':'g','parameters':{}}}],'tool_choice':"
       "{'type':'function','function':{'name':'f'}},'parallel_tool_calls':"
       "false}", "tools[2]");
    RO("{" X ",'tools':[{'type':'function','name':'f'}],'tool_choice':{"
       "'type':'allowed_tools','mode':'auto','tools':[{'type':'function',"
       "'name':'f'}]}}",
       "{'tool_choice':{'type':'allowed_tools','allowed_tools':{'mode':"
       "'auto','tools':[{'type':'function','function':{'name':'f'}}]}}}", "");
    RO("{" X ",'tool_choice':{'type':'web_search'}}", "{}", "tool_choice");
    OR("{" M ",'tools':[{'type':'function','function':{'name':'f',"
       "'parameters':{'type':'object'},'strict':true}},{'type':'function',"
       "'function':{'name':'g'}}],'tool_choice':'required'}",
       "{'tools':[{'type':'function','name':'f','parameters':{'type':"
       "'object'},'strict':true},{'type':'function','name':'g','parameters':"
       "{'type':'object','properties':{}},'strict':false}],'tool_choice':"
       "'required'}", "");
    OR("{" M ",'tools':[{'type':'function','function':{'name':'f'}}],"
       "'tool_choice':{'type':'allowed_tools','allowed_tools':{'mode':"
       "'required','tools':[{'type':'function','function':{'name':'f'}}]}}}",
       "{'tool_choice':{'type':'allowed_tools','mode':'required','tools':[{"
       "'type':'function','name':'f'}]}}", "");
    OR("{" M ",'tools':[{'type':'function','function':{'name':'f'}}],"
       "'tool_choice':{'type':'function','function':{'name':'f'}},"
       "'parallel_tool_calls':false}",
       "{'tool_choice':{'type':'function','name':'f'},'parallel_tool_calls':"
       "false}", "");
    OR("{" M ",'tool_choice':'auto','parallel_tool_calls':true}",
       "{'tool_choice':null,'parallel_tool_calls':null,'tools':null}",
       "tool_choice");
}


static void
calls(void **state)
{
    (void) state;

    RO("{'input':[{'type':'function_call','id':'fc','call_id':'a','name':'f',"
       "'arguments':'{}','status':'completed'},{'type':'function_call',"
       "'call_id':'b','name':'g','arguments':'{}'},{'type':"
       "'function_call_output','call_id':'a','output':'1'},{'type':"
       "'function_call_output','call_id':'b','output':[{'type':'input_text',"
       "'text':'2'}]}]}",
       "{'messages':[{'role':'assistant','content':null,'tool_calls':[{'id':"
       "'a','type':'function','function':{'name':'f','arguments':'{}'}},{'id'"
       ":'b','type':'function','function':{'name':'g','arguments':'{}'}}]},{"
       "'role':'tool','tool_call_id':'a','content':'1'},{'role':'tool',"
       "'tool_call_id':'b','content':'2'}]}", "");

    /* Of a call that is left out so is the result. */

    RO("{'input':[{'type':'tool_search_call','call_id':'a','arguments':{}},{"
       "'type':'function_call_output','call_id':'a','output':'1'},{'role':"
       "'user','content':'x'}]}",
       "{'messages':[{'role':'user','content':'x'}]}", "input[0], input[1]");
    AR("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'text','text':'t'},{'type':'tool_use','id':'a','name':'f','input':{"
       "'k':1}}]},{'role':'user','content':[{'type':'text','text':'x'},{"
       "'type':'tool_result','tool_use_id':'a','is_error':true,'content':[{"
       "'type':'text','text':'1'},{'type':'image','source':{'type':'url',"
       "'url':'u'}}]}]}]}",
       "{'input':[{'role':'assistant','content':[{'type':'output_text',"
       "'text':'t'}]},{'type':'function_call','call_id':'a','name':'f',"
       "'arguments':'{\\'k\\':1}'},{'type':'function_call_output','call_id':"
       "'a','output':[{'type':'input_text','text':'1'},{'type':"
       "'input_image','image_url':'u'}]},{'role':'user','content':[{'type':"
       "'input_text','text':'x'}]}]}", "messages[1].content[1].is_error");
}


static void
reasoning(void **state)
{
    (void) state;

    RO("{" X ",'reasoning':{'effort':'low','summary':'auto'},'include':["
       "'reasoning.encrypted_content']}", "{'reasoning_effort':'low'}", "");
    RA("{'input':[{'role':'user','content':'x'},{'type':'reasoning','id':"
       "'rs','summary':[{'type':'summary_text','text':'h'}],"
       "'encrypted_content':'ai:anthropic:s:sig'},{'type':'reasoning',"
       "'summary':[],'encrypted_content':'ai:anthropic:d:dat'},{'role':"
       "'assistant','content':'a'}]}",
       "{'messages':[{'role':'user','content':[{'type':'text','text':'x'}]},{"
       "'role':'assistant','content':[{'type':'thinking','thinking':'h',"
       "'signature':'sig'},{'type':'redacted_thinking','data':'dat'},{"
       "'type':'text','text':'a'}]}]}", "");

    /* Another provider's is nobody else's. */

    RA("{'input':[{'role':'user','content':'x'},{'type':'reasoning','summary'"
       ":[],'encrypted_content':'opaque'},{'role':'user','content':'y'}]}",
       "{'messages':[{'role':'user','content':[{'type':'text','text':'x'},{"
       "'type':'text','text':'y'}]}]}", "input[1]");
    OR("{" M ",'reasoning_effort':'high'}",
       "{'reasoning':{'effort':'high'},'include':["
       "'reasoning.encrypted_content']}", "");
    AR("{'max_tokens':9000," M ",'thinking':{'type':'enabled',"
       "'budget_tokens':1024}}",
       "{'reasoning':{'effort':'low','summary':'auto'}}", "");
    AR("{'max_tokens':9,'messages':[{'role':'user','content':'x'},{'role':"
       "'assistant','content':[{'type':'thinking','thinking':'h',"
       "'signature':'ai:responses:enc'},{'type':'thinking','thinking':'h',"
       "'signature':'own'}]}]}",
       "{'input':[{'role':'user','content':'x'},{'type':'reasoning',"
       "'summary':[{'type':'summary_text','text':'h'}],"
       "'encrypted_content':'enc'}]}", "messages[1].content[1]");
}


static void
limits(void **state)
{
    (void) state;

    RO("{" X ",'max_output_tokens':9,'temperature':1,'top_p':0.5,'metadata':{"
       "'a':'b'},'user':'u','prompt_cache_key':'k','service_tier':'flex',"
       "'top_logprobs':2,'text':{'verbosity':'low','format':{'type':"
       "'json_schema','name':'n','schema':{'type':'object'},'strict':true}},"
       "'store':true,'background':false,'truncation':'disabled',"
       "'stream_options':{'include_obfuscation':false},"
       "'previous_response_id':'resp_x'}",
       "{'max_tokens':9,'temperature':1,'top_p':0.5,'metadata':{'a':'b'},"
       "'user':'u','prompt_cache_key':'k','service_tier':'flex','logprobs':"
       "true,'top_logprobs':2,'verbosity':'low','response_format':{'type':"
       "'json_schema','json_schema':{'name':'n','schema':{'type':'object'},"
       "'strict':true}}}", "");
    RO("{" X ",'text':{'format':{'type':'json_object'}}}",
       "{'response_format':{'type':'json_object'}}", "");
    RO("{" X ",'truncation':'auto','max_tool_calls':3,'prompt':{'id':'p'},"
       "'context_management':[{'type':'compaction'}],'include':['a']}", "{}",
       "truncation, max_tool_calls, prompt, context_management, include[0]");
    OR("{" M ",'max_completion_tokens':9,'temperature':1,'top_p':0.5,"
       "'metadata':{'a':'b'},'user':'u','prompt_cache_key':'k','logprobs':"
       "true,'top_logprobs':2,'verbosity':'low','store':true,"
       "'response_format':{'type':'json_schema',"
       "'json_schema':{'name':'n','schema':{},'strict':true}}}",
       "{'max_output_tokens':9,'temperature':1,'top_p':0.5,'metadata':{'a':"
       "'b'},'user':'u','prompt_cache_key':'k','include':["
       "'message.output_text.logprobs'],'top_logprobs':2,'text':{"
       "'verbosity':'low','format':{'type':'json_schema','name':'n',"
       "'schema':{},'strict':true}},'store':true}",
       "");
    OR("{" M ",'stop':'e','seed':1,'n':2,'frequency_penalty':1,"
       "'logit_bias':{'1':2}}", "{'stop':null,'seed':null,'n':null}",
       "seed, logit_bias, frequency_penalty, n, stop");
    AR("{'max_tokens':9," M ",'top_k':3,'stop_sequences':['e']}", "{}",
       "top_k, stop_sequences");
}


static void
hostile(void **state)
{
    size_t  i;
    static const char *const  bad[] = {
        "{'input':3}", "{}", "{'input':[3]}",
        "{'input':[{'role':'x','content':'y'}]}"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(ask("responses", "openai", bad[i]));
    }
}


static void
finishes(void **state)
{
    (void) state;

    says("responses", "openai", CMPL("'content':'x'", "length"),
         "incomplete_details", "{'reason':'max_output_tokens'}");
    says("responses", "openai", CMPL("'content':'x'", "content_filter"),
         "incomplete_details", "{'reason':'content_filter'}");
    says("responses", "openai", CMPL("'content':'x'", "stop"), "status",
         "'completed'");
    says("openai", "responses", RESP(SAID(TEXT("x")), DONE),
         "choices.0.finish_reason", "'stop'");
    says("openai", "responses", RESP(SAID(TEXT("x")), ",'status':'incomplete'"
         ",'incomplete_details':{'reason':'max_output_tokens'}"),
         "choices.0.finish_reason", "'length'");
    says("openai", "responses", RESP(SAID(TEXT("x")), ",'status':'incomplete'"
         ",'incomplete_details':{'reason':'content_filter'}"),
         "choices.0.finish_reason", "'content_filter'");
    says("openai", "responses", RESP("{'type':'function_call','call_id':'a',"
         "'name':'f','arguments':'{}'}", DONE), "choices.0.finish_reason",
         "'tool_calls'");
    says("openai", "responses", RESP("", DONE), "usage.prompt_tokens_details",
         "{'cached_tokens':4,'audio_tokens':0,'cache_write_tokens':3}");
}


static void
parts(void **state)
{
    (void) state;

    says("responses", "openai", CMPL("'content':null,'refusal':'r'", "stop"),
         "output.0.content.0", "{'type':'refusal','refusal':'r'}");
    says("openai", "responses", RESP(SAID("{'type':'refusal','refusal':'r'}"),
         DONE), "choices.0.message.refusal", "'r'");
    says("responses", "openai", CMPL("'content':'abc','annotations':[{'type':"
         "'url_citation','url_citation':{'url':'u','title':'t',"
         "'start_index':1,'end_index':2}}]", "stop"),
         "output.0.content.0.annotations",
         "[{'type':'url_citation','end_index':2,'start_index':1,'title':'t',"
         "'url':'u'}]");
    says("openai", "responses", RESP(SAID("{'type':'output_text','text':'x',"
         "'annotations':[{'type':'url_citation','url':'u','title':'t',"
         "'start_index':0,'end_index':1}],'logprobs':[{'token':'x','logprob':"
         "-1}]}"), DONE), "choices.0.message.annotations.0.url_citation.url",
         "'u'");
    says("openai", "responses", RESP(SAID("{'type':'output_text','text':'x',"
         "'annotations':[],'logprobs':[{'token':'x','logprob':-1}]}"), DONE),
         "choices.0.logprobs.content.0.token", "'x'");
    says("openai", "responses", RESP("{'type':'image_generation_call','id':"
         "'i','status':'completed','result':'aGk=','output_format':'webp'}",
         DONE), "choices.0.message.images.0.image_url.url",
         "'data:image/webp;base64,aGk='");
    says("responses", "openai", CMPL("'content':'x','images':[{'type':"
         "'image_url','image_url':{'url':'data:image/png;base64,aGk='}}]",
         "stop"), "output.1.result", "'aGk='");

    free(answers("openai", "responses", RESP("{'type':'web_search_call','id':"
                 "'w','status':'completed','action':{'type':'search'}},"
                 SAID("{'type':'output_text','text':'x','annotations':[{"
                      "'type':'file_citation','file_id':'f'}]}"), DONE)));
    assert_string_equal(dropped, "output[1].content[0].annotations[0] (cites "
                        "no URL), output[0]");
    free(answers("responses", "openai", CMPL("'content':'x'", "stop")));
    assert_string_equal(dropped, "");
}


/* Some servers say the arguments of calls by turns: none is done before it is
 * whole. */

static void
calls_that_interleave(void **state)
{
    int     end;
    char   *out, *one, *two;

    (void) state;

    out = stream("responses", "openai",
                 CH(TC("0", "'id':'a','function':{'name':'f','arguments':''}"),
                    "null")
                 CH(TC("1", "'id':'b','function':{'name':'g','arguments':"
                       "'{}'}"), "null")
                 CH(TC("0", "'function':{'arguments':'{\\'x\\':'}"), "null")
                 CH(TC("0", "'function':{'arguments':'1}'}"), "null")
                 CH("{}", "'tool_calls'") "data: [DONE]\n\n", &end);
    assert_int_equal(end, 1);
    one = strstr(out, "\"call_id\":\"a\",\"name\":\"f\"}}\n\nevent: "
                      "response.completed");
    two = strstr(out, "\"arguments\":\"{\\\"x\\\":1}\"");
    assert_non_null(one);
    assert_non_null(two);
    free(out);
}


static void
errors(void **state)
{
    int     end;
    char   *out;

    (void) state;

    /* Before anything was said there is no response that could have failed. */

    out = stream("responses", "openai",
                 "data: {'error':{'message':'m','code':429}}\n\n", &end);
    assert_null(strstr(out, "response.failed"));
    assert_non_null(strstr(out, "\"message\":\"m\",\"param\":null"));
    free(out);

    out = stream("responses", "openai", CH("{'content':'x'}", "null")
                 "data: {'error':{'message':'m','code':429}}\n\n", &end);
    assert_non_null(strstr(out, "\"code\":\"rate_limit_exceeded\","
                                "\"message\":\"m\""));
    assert_non_null(strstr(out, "event: error\n"));
    free(out);

    out = answers("openai", "responses", "{'id':'r','status':'failed','error':"
                  "{'code':'server_error','message':'m'},'output':[]}");
    assert_non_null(out);
    assert_non_null(strstr(out, "\"message\":\"m\""));
    free(out);

    assert_null(answers("openai", "responses", "{'output':3}"));
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
        cmocka_unit_test(hostile),
        cmocka_unit_test(finishes),
        cmocka_unit_test(parts),
        cmocka_unit_test(calls_that_interleave),
        cmocka_unit_test(errors),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
