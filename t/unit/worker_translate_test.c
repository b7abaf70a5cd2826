/*
 * Requests in another dialect: what is carried, in which form, and that what is
 * not is named (docs/dialects.md says which test has which cell).
 */

#include "worker_ask.h"


#define OA(request, want, lost)                                              \
    asks("openai", "anthropic", request, want, lost)
#define AN(request, want, lost)                                              \
    asks("anthropic", "openai", request, want, lost)
#define M  "'model':'m','messages':[{'role':'user','content':'x'}]"
#define U(content)  "{'model':'m','max_tokens':9,'messages':[{'role':'user'," \
                    "'content':" content "}]}"
#define US(content)  "{'messages':[{'role':'user','content':" content "}]}"
#define TX  "{'type':'text','text':'x'}"


static void
system_stands_first(void **state)
{
    (void) state;

    OA("{'messages':[{'role':'system','content':'a'},{'role':'developer',"
       "'content':[{'type':'text','text':'b'}]},{'role':'user','content':'x'},"
       "{'role':'system','content':'c'}]}",
       "{'system':[{'type':'text','text':'a'},{'type':'text','text':'b'},"
       "{'type':'text','text':'c'}],'messages':[{'role':'user','content':["
       TX "]}]}", "messages[3] (stands before the conversation now)");
    OA("{'messages':[{'role':'system','content':'a'}]}",
       "{'system':null,'messages':[{'role':'user','content':[{'type':'text',"
       "'text':'a'}]}]}", "");
    AN("{'max_tokens':9,'system':[{'type':'text','text':'a'},{'type':'text',"
       "'text':'b'}],'messages':[{'role':'user','content':'x'}]}",
       "{'messages':[{'role':'system','content':[{'type':'text','text':'a'},"
       "{'type':'text','text':'b'}]},{'role':'user','content':'x'}]}", "");
}


static void
turns_are_joined(void **state)
{
    (void) state;

    OA("{'messages':[{'role':'user','content':'a'},{'role':'user','content':"
       "''},{'role':'user','content':'b'},{'role':'assistant','content':''},"
       "{'role':'user','content':'c'}]}",
       "{'messages':[{'role':'user','content':[{'type':'text','text':'a'},"
       "{'type':'text','text':'b'},{'type':'text','text':'c'}]}]}", "");
    AN("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'tool_use','id':'a','name':'f','input':{}}]},{'role':'assistant',"
       "'content':[{'type':'text','text':'t'},{'type':'tool_use','id':'b',"
       "'name':'g','input':{'k':[1]}}]},{'role':'user','content':[{'type':"
       "'text','text':'x'},{'type':'tool_result','tool_use_id':'a','content':"
       "'1'},{'type':'tool_result','tool_use_id':'b'}]}]}",
       "{'messages':[{'role':'assistant','content':'t','tool_calls':[{'id':"
       "'a','type':'function','function':{'name':'f','arguments':'{}'}},{'id':"
       "'b','type':'function','function':{'name':'g','arguments':"
       "'{\\'k\\':[1]}'}}]},{'role':'tool','tool_call_id':'a','content':'1'},"
       "{'role':'tool','tool_call_id':'b','content':''},{'role':'user',"
       "'content':[" TX "]}]}", "");
    AN(U("''"), US("''"), "");
}


static void
media(void **state)
{
    (void) state;

    OA(U("[{'type':'image_url','image_url':{'url':'https://h/i.png','detail':"
         "'low'}},{'type':'image_url','image_url':{'url':"
         "'data:image/jpeg;base64,aGk=','detail':'auto'}}]"),
       US("[{'type':'image','source':{'type':'url','url':'https://h/i.png'}},"
          "{'type':'image','source':{'type':'base64','media_type':"
          "'image/jpeg','data':'aGk='}}]"),
       "messages[0].content[0].image_url.detail");
    OA(U("[" TX ",{'type':'file','file':{'filename':'a.pdf','file_data':"
         "'data:application/pdf;base64,aGk='}},{'type':'file','file':{"
         "'file_id':'file-1'}},{'type':'input_audio','input_audio':{'data':"
         "'aGk=','format':'wav'}},{'type':'video_url','video_url':{'url':'v'}}"
         ",{'type':'document_url','document_url':'https://h/d.pdf'}]"),
       US("[" TX ",{'type':'document','source':{'type':'base64','media_type':"
          "'application/pdf','data':'aGk='},'title':'a.pdf'},{'type':"
          "'document','source':{'type':'url','url':'https://h/d.pdf'}}]"),
       "messages[0].content[2], messages[0].content[3], "
       "messages[0].content[4]");
    AN(U("[" TX ",{'type':'image','source':{'type':'base64','media_type':"
         "'image/png','data':'aGk='}},{'type':'image','source':{'type':'url',"
         "'url':'u'}},{'type':'image','source':{'type':'file','file_id':'f'}},"
         "{'type':'document','source':{'type':'base64','media_type':"
         "'application/pdf','data':'aGk='}},{'type':'document','source':{"
         "'type':'url','url':'u'}},{'type':'document','source':{'type':'text',"
         "'media_type':'text/plain','data':'d'},'title':'t','context':'c'}]"),
       US("[" TX ",{'type':'image_url','image_url':{'url':"
          "'data:image/png;base64,aGk='}},{'type':'image_url','image_url':{"
          "'url':'u'}},{'type':'file','file':{'filename':'document.pdf',"
          "'file_data':'data:application/pdf;base64,aGk='}},{'type':'text',"
          "'text':'d'}]"),
       "messages[0].content[3], messages[0].content[5], "
       "messages[0].content[6].title, messages[0].content[6].context");
    AN(U("[{'type':'document','source':{'type':'file','file_id':'f'}},{'type':"
         "'document','source':{'type':'content','content':[{'type':'text',"
         "'text':'p'},{'type':'image','source':{'type':'url','url':'u'}}]}},{"
         "'type':'document','source':{'type':'content','content':'q'}}]"),
       US("[{'type':'file','file':{'file_id':'f'}},{'type':'text','text':'p'},"
          "{'type':'image_url','image_url':{'url':'u'}},{'type':'text','text':"
          "'q'}]"), "");
}


static void
tools(void **state)
{
    (void) state;

    OA("{" M ",'tools':[{'type':'function','function':{'name':'f','strict':"
       "true,'parameters':{'type':'object','z':1,'a':[2.50]}}},{'type':"
       "'function','function':{'name':'g','description':'d','strict':false}},"
       "{'type':'custom','custom':{'name':'c'}}],'tool_choice':{'type':"
       "'function','function':{'name':'g'}}}",
       "{'tools':[{'name':'f','input_schema':{'type':'object','z':1,'a':"
       "[2.50]},'strict':true},{'name':'g','description':'d','input_schema':{"
       "'type':'object','properties':{}}}],'tool_choice':{'type':'tool',"
       "'name':'g'}}", "tools[2]");
    OA("{" M ",'tools':[{'type':'function','function':{'name':'f'}}],"
       "'tool_choice':'required','parallel_tool_calls':true}",
       "{'tool_choice':{'type':'any'}}", "");
    OA("{" M ",'tools':[{'type':'function','function':{'name':'f'}}],"
       "'tool_choice':{'type':'allowed_tools','allowed_tools':{'mode':'auto',"
       "'tools':[{'type':'function','function':{'name':'f'}}]}}}",
       "{'tool_choice':null}", "tool_choice");
    AN("{" M ",'max_tokens':9,'tools':[{'name':'f','input_schema':{'type':"
       "'object'},'type':'custom','strict':true},{'type':'web_search_20250305',"
       "'name':'web_search'}],'tool_choice':{'type':'tool','name':'f',"
       "'disable_parallel_tool_use':true}}",
       "{'tools':[{'type':'function','function':{'name':'f','parameters':{"
       "'type':'object'},'strict':true}}],'tool_choice':{'type':'function',"
       "'function':{'name':'f'}},'parallel_tool_calls':false}", "tools[1]");
    AN("{" M ",'max_tokens':9,'tools':[{'name':'f','input_schema':{}}],"
       "'tool_choice':{'type':'none'}}", "{'tool_choice':'none'}", "");
    OA("{" M ",'tools':[{'type':'function','function':{'name':'f'}}],"
       "'tool_choice':'none','parallel_tool_calls':false}",
       "{'tool_choice':{'type':'none'}}", "");
    OA("{" M ",'tool_choice':'none'}", "{'tool_choice':null,'tools':null}",
       "tool_choice");
    AN("{" M ",'max_tokens':9,'tools':[{'name':'f','input_schema':{}}],"
       "'tool_choice':{'type':'auto'}}", "{'tool_choice':'auto'}", "");

    /* How to call what is not there is a fault at OpenAI. */

    AN("{" M ",'max_tokens':9,'tools':[{'type':'bash_20250124','name':'bash'}]"
       ",'tool_choice':{'type':'auto','disable_parallel_tool_use':true}}",
       "{'tools':null,'tool_choice':null,'parallel_tool_calls':null}",
       "tools[0], tool_choice.disable_parallel_tool_use, tool_choice");
}


static void
functions(void **state)
{
    (void) state;

    OA("{'messages':[{'role':'user','content':'x'},{'role':'assistant',"
       "'content':null,'function_call':{'name':'f','arguments':'{\\'a\\':1}'}}"
       ",{'role':'function','name':'f','content':'r'}],'functions':[{'name':"
       "'f','parameters':{'type':'object'}}],'function_call':{'name':'f'}}",
       "{'messages':[{'role':'user','content':[" TX "]},{'role':'assistant',"
       "'content':[{'type':'tool_use','id':'call_1_f','name':'f','input':{'a':1"
       "}}]},{'role':'user','content':[{'type':'tool_result','tool_use_id':"
       "'call_1_f','content':[{'type':'text','text':'r'}]}]}],'tools':[{'name':"
       "'f','input_schema':{'type':'object'}}],'tool_choice':{'type':'tool',"
       "'name':'f'}}", "");

    /* No two calls of a conversation may have one id. */

    OA("{'messages':[{'role':'assistant','function_call':{'name':'f',"
       "'arguments':'{}'}},{'role':'function','name':'f','content':'r'},{"
       "'role':'assistant','function_call':{'name':'f','arguments':'{}'}},{"
       "'role':'function','name':'f','content':'s'}]}",
       "{'messages':[{'role':'assistant','content':[{'type':'tool_use','id':"
       "'call_1_f','name':'f','input':{}}]},{'role':'user','content':[{'type':"
       "'tool_result','tool_use_id':'call_1_f','content':[{'type':'text',"
       "'text':'r'}]}]},{'role':'assistant','content':[{'type':'tool_use',"
       "'id':'call_2_f','name':'f','input':{}}]},{'role':'user','content':[{"
       "'type':'tool_result','tool_use_id':'call_2_f','content':[{'type':"
       "'text','text':'s'}]}]}]}", "");
}


static void
calls(void **state)
{
    (void) state;

    OA("{'messages':[{'role':'assistant','tool_calls':[{'id':'functions.f:0',"
       "'type':'function','function':{'name':'f','arguments':'{\\'a'}},{'id':"
       "'b','type':'function','function':{'name':'g','arguments':''}}]},{"
       "'role':'tool','tool_call_id':'functions.f:0','content':[{'type':'text',"
       "'text':'r'},{'type':'image_url','image_url':{'url':'u'}}]}]}",
       "{'messages':[{'role':'assistant','content':[{'type':'tool_use','id':"
       "'functions_f_0_2fd71c5a','name':'f',"
       "'input':{'arguments':'{\\'a'}},{'type':"
       "'tool_use','id':'b','name':'g','input':{}}]},{'role':'user','content':"
       "[{'type':'tool_result','tool_use_id':'functions_f_0_2fd71c5a',"
       "'content':[{"
       "'type':'text','text':'r'},{'type':'image','source':{'type':'url',"
       "'url':'u'}}]}]}]}",
       "messages[0].tool_calls[0].function.arguments (is not a JSON object)");
    AN("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'tool_use','id':'a','name':'f','input':{}}]},{'role':'user','content':"
       "[{'type':'tool_result','tool_use_id':'a','content':[{'type':'text',"
       "'text':'r'},{'type':'image','source':{'type':'url','url':'u'}}]}]}]}",
       "{'messages':[{'role':'assistant','content':null,'tool_calls':[{'id':"
       "'a','type':'function','function':{'name':'f','arguments':'{}'}}]},{"
       "'role':'tool','tool_call_id':'a','content':'r'},{'role':'user',"
       "'content':[{'type':'image_url','image_url':{'url':'u'}}]}]}", "");
}


static void
reasoning(void **state)
{
    (void) state;

    OA("{'messages':[{'role':'user','content':'x'},{'role':'assistant',"
       "'content':'y','reasoning_content':'hm'}]}",
       "{'messages':[{'role':'user','content':[" TX "]},{'role':'assistant',"
       "'content':[{'type':'text','text':'y'}]}]}",
       "messages[1].reasoning_content");
    OA("{'messages':[{'role':'assistant','content':'y','reasoning_details':[{"
       "'type':'reasoning.encrypted','data':'ZA==','format':"
       "'anthropic-claude-v1','index':0},{'type':'reasoning.text','text':'t',"
       "'signature':'s','format':'google-gemini-v1'}]}]}",
       "{'messages':[{'role':'assistant','content':[{'type':"
       "'redacted_thinking','data':'ZA=='},{'type':'text','text':'y'}]}]}",
       "messages[0].reasoning_details[1]");
    OA("{" M ",'reasoning_effort':'low','temperature':0.5}",
       "{'thinking':{'type':'enabled','budget_tokens':2048},'max_tokens':10240"
       ",'temperature':null}", "temperature");
    OA("{" M ",'reasoning_effort':'high','max_tokens':1000}",
       "{'thinking':null}",
       "reasoning_effort (needs a larger limit of tokens)");
    OA("{" M ",'reasoning_effort':'none'}", "{'thinking':null}", "");
    OA("{" M ",'reasoning_effort':'low','tools':[{'function':{'name':'f'}}],"
       "'tool_choice':'required'}", "{'thinking':null}",
       "reasoning_effort (does not go with a forced tool call)");
    OA("{'messages':[{'role':'assistant','tool_calls':[{'id':'a','function':{"
       "'name':'f','arguments':'{}'}}]},{'role':'tool','tool_call_id':'a',"
       "'content':'r'}],'reasoning_effort':'low'}", "{'thinking':null}",
       "reasoning_effort (needs the reasoning of the turn that called tools)");

    asked = "claude-opus-5";
    OA("{" M ",'reasoning_effort':'minimal'}",
       "{'thinking':{'type':'adaptive'},'output_config':{'effort':'low'}}",
       "");
    asked = "claude-sonnet-4-5";

    AN("{" M ",'max_tokens':9000,'thinking':{'type':'enabled','budget_tokens':"
       "4096}}", "{'reasoning_effort':'medium'}", "");
    AN("{" M ",'max_tokens':9,'thinking':{'type':'adaptive'},'output_config':{"
       "'effort':'max'}}", "{'reasoning_effort':'max'}", "");
    AN("{" M ",'max_tokens':9,'thinking':{'type':'disabled'}}",
       "{'reasoning_effort':null}", "thinking.type");
    AN("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'thinking','thinking':'t','signature':'ai:openai:'},{'type':'thinking'"
       ",'thinking':'u','signature':'s'},{'type':'text','text':'y'}]}]}",
       "{'messages':[{'role':'assistant','content':'y','reasoning_content':"
       "'t'}]}", "messages[0].content[1]");
    AN("{" M ",'max_tokens':9000,'thinking':{'type':'enabled','budget_tokens':"
       "2048}}", "{'reasoning_effort':'low'}", "");
    AN("{" M ",'max_tokens':90000,'thinking':{'type':'enabled',"
       "'budget_tokens':12289}}", "{'reasoning_effort':'high'}", "");
}


/* What is asked of models by their name's generation, and of a version. */

static void
generations(void **state)
{
    size_t  i;
    static const struct {
        const char *model;
        const char *want;
    } effort[] = {
        { "claude-3-7-sonnet-20250219",
          "{'thinking':{'type':'enabled','budget_tokens':2048}}" },
        { "claude-sonnet-4-20250514",
          "{'thinking':{'type':'enabled','budget_tokens':2048}}" },
        { "us.anthropic.claude-opus-4-1-20250805-v1:0",
          "{'thinking':{'type':'enabled','budget_tokens':2048}}" },
        { "claude-haiku-4-5",
          "{'thinking':{'type':'enabled','budget_tokens':2048}}" },
        { "claude-opus-4.6", "{'thinking':{'type':'adaptive'}}" },
        { "claude-sonnet-5", "{'thinking':{'type':'adaptive'}}" },
        { "somebody's", "{'thinking':{'type':'adaptive'}}" },
    };
    static const char *const  warm[] = {
        "claude-2.1", "claude-3-5-haiku-20241022", "claude-opus-4-20250514",
        "claude-sonnet-4-6", "claude-x", "somebody's"
    };
    static const char *const  cold[] = {
        "claude-opus-4-7", "claude-sonnet-5-5", "claude-opus-5-20261001"
    };

    (void) state;

    for (i = 0; i < sizeof(effort) / sizeof(effort[0]); i++) {
        asked = effort[i].model;
        OA("{" M ",'reasoning_effort':'low'}", effort[i].want, "");
    }

    for (i = 0; i < sizeof(warm) / sizeof(warm[0]); i++) {
        asked = warm[i];
        OA("{" M ",'temperature':0.5,'top_p':0.9,'top_k':5}",
           "{'temperature':0.5,'top_p':0.9,'top_k':5}", "");
    }

    for (i = 0; i < sizeof(cold) / sizeof(cold[0]); i++) {
        asked = cold[i];
        OA("{" M ",'temperature':0.5,'top_p':0.9,'top_k':5}",
           "{'temperature':null,'top_p':null,'top_k':null}",
           "temperature, top_p, top_k");
        OA("{" M ",'temperature':1,'top_p':1}",
           "{'temperature':null,'top_p':null}", "");
        OA("{" M ",'reasoning':{'max_tokens':20000}}",
           "{'thinking':{'type':'adaptive'},'output_config':{'effort':'high'}}"
           , "");
    }

    asked = "claude-sonnet-4-6";
    version = "2026-10-21";
    OA("{" M ",'temperature':0.5,'top_p':1,'top_k':5}",
       "{'temperature':null,'top_p':null,'top_k':null}",
       "temperature, top_k");
    version = "2023-06-01";
    OA("{" M ",'temperature':0.5}", "{'temperature':0.5}", "");
    version = "";
    asked = "claude-sonnet-4-5";
}


static void
strictly(void **state)
{
    json_t  *made;

    (void) state;

    strict = 1;
    made = ask("openai", "anthropic", "{" M ",'seed':1,'n':2}");
    assert_null(made);
    assert_string_equal(why, "The model's provider has no counterpart for: "
                             "seed, n");
    made = ask("openai", "anthropic", "{" M ",'n':1,'logprobs':false}");
    assert_non_null(made);
    json_decref(made);
    strict = 0;
}


static void
format(void **state)
{
    (void) state;

    OA("{" M ",'response_format':{'type':'json_schema','json_schema':{'name':"
       "'n','description':'d','strict':true,'schema':{'type':'object'}}}}",
       "{'output_config':{'format':{'type':'json_schema','schema':{'type':"
       "'object'}}}}", "response_format.json_schema.description");
    OA("{" M ",'response_format':{'type':'json_object'}}",
       "{'output_config':null}", "response_format");
    OA("{" M ",'response_format':{'type':'text'}}", "{'output_config':null}",
       "");
    AN("{" M ",'max_tokens':9,'output_config':{'format':{'type':'json_schema',"
       "'schema':{'type':'object'}}}}",
       "{'response_format':{'type':'json_schema','json_schema':{'name':"
       "'response','schema':{'type':'object'},'strict':true}}}", "");
}


static void
limits(void **state)
{
    json_t  *made;

    (void) state;

    OA("{" M ",'temperature':1.5,'top_p':0.9,'top_k':5,'stop':['a','b']}",
       "{'max_tokens':8192,'temperature':1,'top_p':0.9,'top_k':5,"
       "'stop_sequences':['a','b']}", "temperature (is 1 at most)");
    OA("{" M ",'temperature':0.70,'max_tokens':3,'max_completion_tokens':4,"
       "'service_tier':'default'}",
       "{'max_tokens':4,'temperature':0.70,'service_tier':'standard_only'}",
       "");
    OA("{" M ",'frequency_penalty':0,'presence_penalty':0.1,'seed':1,"
       "'logit_bias':{'5':1},'logprobs':true,'top_logprobs':2,'n':2,'store':"
       "true,'verbosity':'low','metadata':{'a':'b'},'prompt_cache_key':'k',"
       "'modalities':['text'],'x':null,'y':[],'z':{}}", "{'n':null}",
       "seed, logit_bias, verbosity, metadata, prompt_cache_key, "
       "presence_penalty, n, logprobs, top_logprobs, store");
    AN("{" M ",'max_tokens':9,'temperature':0.5,'top_p':0.9,'top_k':5,"
       "'service_tier':'standard_only','container':'c','mcp_servers':[{'url':"
       "'u'}],'context_management':{'edits':[1]}}",
       "{'max_tokens':9,'temperature':0.5,'top_p':0.9,'service_tier':'default'"
       "}", "container, mcp_servers, context_management, top_k");

    official = 1;
    AN("{" M ",'max_tokens':9,'metadata':{'user_id':'u'}}",
       "{'max_completion_tokens':9,'max_tokens':null,'safety_identifier':'u'}",
       "");
    official = 0;

    made = ask("openai", "anthropic", "{'messages':'x'}");
    assert_null(made);
    assert_string_equal(why, "\"messages\" must be an array.");
    made = ask("anthropic", "openai",
               "{'max_tokens':1,'messages':[{'role':'tool'}]}");
    assert_null(made);
    assert_string_equal(why, "messages[0]: has no known \"role\".");
    OA("{" M ",'user':'u','safety_identifier':'s','max_tokens':8,"
       "'max_completion_tokens':9}",
       "{'metadata':{'user_id':'s'},'max_tokens':9}", "user");
}


static void
cache(void **state)
{
    (void) state;

    OA(U("[{'type':'text','text':'x','cache_control':{'type':'ephemeral'}},{"
         "'type':'text','text':'y','prompt_cache_breakpoint':{'mode':"
         "'explicit','ttl':'12h'}}]"),
       US("[{'type':'text','text':'x','cache_control':{'type':'ephemeral'}},{"
          "'type':'text','text':'y','cache_control':{'type':'ephemeral','ttl':"
          "'1h'}}]"), "");
    AN(U("[{'type':'text','text':'x','cache_control':{'type':'ephemeral',"
         "'ttl':'1h'}}]"), US("'x'"),
       "messages[0].content[0].cache_control");
    AN(U("[{'type':'text','text':'x','cache_control':{'type':'ephemeral'}}]"),
       US("'x'"), "messages[0].content[0].cache_control");
}


/* What a hostile client sends. */

static void
hostile(void **state)
{
    char      *text, *p;
    int        i;
    json_t    *made;

    (void) state;

    /* Many members: named, at most 16 of them, in bounded time. */

    text = malloc(4 * 1024 * 1024);
    assert_non_null(text);
    p = text + sprintf(text, "{" M);

    for (i = 0; i < 200; i++) {
        p += sprintf(p, ",'k\\u00e9,\\n%d':1", i);
    }

    sprintf(p, "}");
    made = ask("openai", "anthropic", text);
    assert_non_null(made);
    json_decref(made);
    assert_non_null(strstr(dropped, "k?u00e9??n0, "));
    assert_non_null(strstr(dropped, ", and more"));
    assert_true(strlen(dropped) < 700);

    /* More nodes than a tree has. */

    p = text + sprintf(text, "{'model':'m','messages':[");

    for (i = 0; i < 300000; i++) {
        p += sprintf(p, "{},");
    }

    sprintf(p, "{}]}");
    assert_null(ask("openai", "anthropic", text));
    free(text);

    /* The same name twice, in a nested object: the first counts. */

    asks("openai", "anthropic",
         "{'messages':[{'role':'user','role':'assistant','content':'x'}]}",
         "{'messages':[{'role':'user','content':[" TX "]}]}",
         "messages[0].role");

    /* Names and words may be spelled by escapes. */

    OA("{'mess\\u0061ges':[{'role':'us\\u0065r','content':[{'type':"
       "'te\\u0078t','text':'\\u0078'}]}]}",
       "{'messages':[{'role':'user','content':[" TX "]}]}", "");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(system_stands_first),
        cmocka_unit_test(turns_are_joined),
        cmocka_unit_test(media),
        cmocka_unit_test(tools),
        cmocka_unit_test(functions),
        cmocka_unit_test(calls),
        cmocka_unit_test(reasoning),
        cmocka_unit_test(generations),
        cmocka_unit_test(strictly),
        cmocka_unit_test(format),
        cmocka_unit_test(limits),
        cmocka_unit_test(cache),
        cmocka_unit_test(hostile),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
