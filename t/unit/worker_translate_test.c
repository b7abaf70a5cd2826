/*
 * Requests and answers in another dialect: what is carried, in which form, and
 * that what is not is named (docs/dialects.md says which test has which cell).
 */

#include "worker_say.h"

#include "translate.h"


static char         dropped[1024];
static char         why[2048];
static const char  *asked = "claude-sonnet-4-5";
static int          official;


static translate_t *
begin(const char *client, const char *provider, int stream)
{
    translate_t       *t;
    translate_call_t   call;

    memset(&call, 0, sizeof(call));
    call.client = dialect_find(client);
    call.provider = dialect_find(provider);
    call.model = (ai_str_t) { strlen(asked), asked };
    call.job = ai_str("job_0123");
    call.now = 1700000000;
    call.stream = stream;
    call.usage = 1;
    call.ask_usage = 1;
    call.official = official;
    t = translate_open(&call);
    assert_non_null(t);

    return t;
}


static void
note(translate_t *t)
{
    snprintf(dropped, sizeof(dropped), "%.*s", (int) translate_dropped(t).len,
             translate_dropped(t).data);
    snprintf(why, sizeof(why), "%s", translate_why(t));
}


/* Single quotes are double ones. */

static char *
quoted(const char *text)
{
    char  *copy, *p;

    copy = strdup(text);
    assert_non_null(copy);

    for (p = copy; *p != '\0'; p++) {
        *p = *p == '\'' ? '"' : *p;
    }

    return copy;
}


/* Whether got has all that want has; what it has besides is not looked at. */

static void
has(json_t *got, const char *want)
{
    char        *text;
    json_t      *w, *value, *both;
    const char  *key;

    text = quoted(want);
    w = json_loads(text, 0, NULL);
    assert_non_null(w);

    json_object_foreach(w, key, value) {
        both = json_object_get(got, key);

        if (json_is_null(value) ? both != NULL : !json_equal(both, value)) {
            free(text);
            text = json_dumps(got, JSON_INDENT(1));
            print_error("%s is not as %s wants it in %s\n", key, want, text);
            fail();
        }
    }

    json_decref(w);
    free(text);
}


/* A request of one, as the other would be asked. */

static json_t *
ask(const char *client, const char *provider, const char *request)
{
    int           rc;
    char         *text, *out;
    size_t        len;
    json_t       *made;
    translate_t  *t;

    text = quoted(request);
    t = begin(client, provider, 0);
    rc = translate_request(t, Z(text), &out, &len);
    note(t);
    made = NULL;

    if (rc == 0) {
        made = json_loadb(out, len, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(made);

    } else {
        assert_int_equal(rc, -1);
        assert_null(out);
    }

    free(out);
    free(text);
    translate_close(t);

    return made;
}


static void
asks(const char *client, const char *provider, const char *request,
    const char *want, const char *lost)
{
    json_t  *made;

    made = ask(client, provider, request);

    if (made == NULL) {
        print_error("refused: %s\n", why);
        fail();
    }

    has(made, want);
    assert_string_equal(dropped, lost);
    json_decref(made);
}


#define OA(request, want, lost)                                              \
    asks("openai", "anthropic", request, want, lost)
#define AN(request, want, lost)                                              \
    asks("anthropic", "openai", request, want, lost)
#define M  "'model':'m','messages':[{'role':'user','content':'x'}]"
#define U(content)  "{'model':'m','max_tokens':9,'messages':[{'role':'user'," \
                    "'content':" content "}]}"
#define US(content)  "{'messages':[{'role':'user','content':" content "}]}"
#define TX  "{'type':'text','text':'x'}"


static char *
answers(const char *client, const char *provider, const char *answer)
{
    int           rc;
    char         *text, *out;
    ai_str_t      said;
    translate_t  *t;

    text = quoted(answer);
    t = begin(client, provider, 0);
    rc = translate_answer(t, 200, Z(text));
    said = translate_said(t);
    note(t);
    out = NULL;

    if (rc == 0) {
        out = strndup(said.data, said.len);
    }

    free(text);
    translate_close(t);

    return out;
}


static void
says(const char *client, const char *provider, const char *answer,
    const char *path, const char *want)
{
    char        *out, *made, *quote, name[64];
    size_t       len;
    json_t      *o, *at;

    out = answers(client, provider, answer);
    assert_non_null(out);
    o = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    at = o;

    while (*path != '\0') {
        len = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int) len, path);
        path += len + (path[len] == '.');
        at = json_is_array(at) ? json_array_get(at, (size_t) atoi(name))
                               : json_object_get(at, name);
    }

    made = at != NULL ? json_dumps(at, JSON_COMPACT | JSON_ENCODE_ANY)
                      : strdup("absent");
    quote = quoted(want);
    assert_string_equal(made, quote);
    free(quote);
    free(made);
    free(out);
    json_decref(o);
}


/* Requests. */

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
       "'content':[{'type':'tool_use','id':'call_f','name':'f','input':{'a':1}"
       "}]},{'role':'user','content':[{'type':'tool_result','tool_use_id':"
       "'call_f','content':[{'type':'text','text':'r'}]}]}],'tools':[{'name':"
       "'f','input_schema':{'type':'object'}}],'tool_choice':{'type':'tool',"
       "'name':'f'}}", "");
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
       "'functions_f_0','name':'f','input':{'arguments':'{\\'a'}},{'type':"
       "'tool_use','id':'b','name':'g','input':{}}]},{'role':'user','content':"
       "[{'type':'tool_result','tool_use_id':'functions_f_0','content':[{"
       "'type':'text','text':'r'},{'type':'image','source':{'type':'url',"
       "'url':'u'}}]}]}]}",
       "messages[0].tool_calls[0].function.arguments (is not a JSON object)");
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


/* Answers. */

#define MSG(content, stop)                                                   \
    "{'id':'msg_1','type':'message','role':'assistant','model':'c','content':" \
    "[" content "],'stop_reason':'" stop "','stop_sequence':null,'usage':{"    \
    "'input_tokens':1,'output_tokens':2}}"
#define CMPL(message, finish)                                                \
    "{'id':'chatcmpl-1','object':'chat.completion','created':5,'model':'g',"   \
    "'choices':[{'index':0,'message':{'role':'assistant'," message "},"        \
    "'finish_reason':'" finish "'}],'usage':{'prompt_tokens':1,"               \
    "'completion_tokens':2,'total_tokens':3}}"


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


/* Streams, in which everything may come in any piece. */

static char *
stream(const char *client, const char *provider, const char *events, int *end)
{
    char         *text, *all;
    size_t        i, len;
    ai_str_t      said;
    translate_t  *t;

    text = quoted(events);
    len = strlen(text);
    all = NULL;
    say_add(&all, "");
    t = begin(client, provider, 1);
    *end = 0;

    for (i = 0; i < len && *end == 0; i++) {
        *end = translate_bytes(t, tight(text + i, 1), &said);

        if (said.len != 0) {
            all = realloc(all, strlen(all) + said.len + 1);
            assert_non_null(all);
            strncat(all, said.data, said.len);
        }
    }

    if (*end == 0) {
        *end = translate_end(t, &said);

        if (said.len != 0) {
            all = realloc(all, strlen(all) + said.len + 1);
            assert_non_null(all);
            strncat(all, said.data, said.len);
        }
    }

    note(t);
    free(text);
    translate_close(t);

    return all;
}


#define CH(delta, finish)                                                    \
    "data: {'id':'c','model':'g','choices':[{'index':0,'delta':" delta         \
    ",'finish_reason':" finish "}]}\n\n"
#define TC(i, rest)  "{'tool_calls':[{'index':" i "," rest "}]}"
#define EV(type, rest)  "event: " type "\ndata: {'type':'" type "'" rest "}\n\n"


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
        cmocka_unit_test(system_stands_first),
        cmocka_unit_test(turns_are_joined),
        cmocka_unit_test(media),
        cmocka_unit_test(tools),
        cmocka_unit_test(functions),
        cmocka_unit_test(calls),
        cmocka_unit_test(reasoning),
        cmocka_unit_test(format),
        cmocka_unit_test(limits),
        cmocka_unit_test(cache),
        cmocka_unit_test(hostile),
        cmocka_unit_test(finishes),
        cmocka_unit_test(citations),
        cmocka_unit_test(others),
        cmocka_unit_test(calls_that_interleave),
        cmocka_unit_test(streams_without_an_end),
        cmocka_unit_test(what_a_stream_drops),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
