/*
 * AWS Bedrock's Converse as a provider's dialect: what it is asked, what is
 * made of its answers and frames, and that what has no counterpart is named
 * (docs/dialects.md says which test has which cell).  What signs for it, too.
 */

#include "worker_ask.h"
#include "worker_frames.h"
#include "worker_say_anthropic.h"

#include "aws.h"


#define OB(request, want, lost)  asks("openai", "bedrock", request, want, lost)
#define AB(request, want, lost)                                              \
    asks("anthropic", "bedrock", request, want, lost)
#define M  "'model':'m','messages':[{'role':'user','content':'x'}]"
#define X  "'messages':[{'role':'user','content':[{'text':'x'}]}]"
#define U(content)  "{'max_tokens':9,'messages':[{'role':'user','content':"   \
                    content "}]}"
#define C(content)  "{'messages':[{'role':'user','content':" content "}]}"
#define F  "'tools':[{'type':'function','function':{'name':'f'}}]"
#define NOTHING  "{'json':{'type':'object','properties':{}}}"
#define SPEC  "{'toolSpec':{'name':'f','inputSchema':" NOTHING "}}"
#define SAYS(content, stop)  "{'output':{'message':{'role':'assistant',"      \
                             "'content':" content "}},'stopReason':'" stop    \
                             "','metrics':{'latencyMs':3}}"

#define CLAUDE   "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
#define NOVA     "us.amazon.nova-2-lite-v1:0"
#define LLAMA    "us.meta.llama4-maverick-17b-instruct-v1:0"


static void
texts_and_roles(void **state)
{
    (void) state;

    asked = CLAUDE;
    OB("{'messages':[{'role':'system','content':'a'},{'role':'developer',"
       "'content':[{'type':'text','text':'b'}]},{'role':'user','content':'x'},"
       "{'role':'user','content':' \\n\\t'},{'role':'user','content':'y'},"
       "{'role':'assistant','content':'z'},{'role':'system','content':'c'},"
       "{'role':'user','content':'w','name':'n'}]}",
       "{'system':[{'text':'a'},{'text':'b'},{'text':'c'}],'messages':["
       "{'role':'user','content':[{'text':'x'},{'text':'y'}]},{'role':"
       "'assistant','content':[{'text':'z'}]},{'role':'user','content':["
       "{'text':'w'}]}],'model':null,'inferenceConfig':null,'stream':null}",
       "messages[6] (stands before the conversation now), messages[7].name");
    OB("{'messages':[{'role':'system','content':'a'}]}",
       "{'system':null,'messages':[{'role':'user','content':[{'text':'a'}]}]}",
       "");

    /* A turn that says nothing is none. */

    OB("{'messages':[{'role':'user','content':'x'},{'role':'assistant',"
       "'content':''},{'role':'user','content':'y'},{'role':'assistant',"
       "'content':' '}]}",
       "{'messages':[{'role':'user','content':[{'text':'x'},{'text':'y'}]}]}",
       "");
    OB("{'messages':[{'role':'assistant','content':''},{'role':'user',"
       "'content':'y'}]}",
       "{'messages':[{'role':'user','content':[{'text':'y'}]}]}", "");
}


static void
media(void **state)
{
    (void) state;

    asked = CLAUDE;
    OB(U("[{'type':'text','text':'x'},{'type':'image_url','image_url':{'url':"
         "'data:image/webp;base64,aGk=','detail':'low'}},{'type':'image_url',"
         "'image_url':{'url':'https://h/i.png'}},{'type':'image_url',"
         "'image_url':{'url':'s3://b/i.JPG'}},{'type':'input_audio',"
         "'input_audio':{'data':'aGk=','format':'mp3'}},{'type':'file','file':"
         "{'filename':'a_b.pdf','file_data':'data:application/pdf;base64,"
         "aGk='}},{'type':'file','file':{'file_id':'file-1'}},{'type':"
         "'video_url','video_url':{'url':'s3://b/v.mkv'}}]"),
       C("[{'text':'x'},{'image':{'format':'webp','source':{'bytes':'aGk='}}},"
         "{'image':{'format':'jpeg','source':{'s3Location':{'uri':"
         "'s3://b/i.JPG'}}}},{'document':{'format':'pdf','name':'a b pdf',"
         "'source':{'bytes':'aGk='}}},{'video':{'format':'mkv','source':{"
         "'s3Location':{'uri':'s3://b/v.mkv'}}}}]"),
       "messages[0].content[1].image_url.detail, messages[0].content[2], "
       "messages[0].content[4], messages[0].content[6]");
    AB(U("[{'type':'document','source':{'type':'base64','media_type':"
         "'application/pdf','data':'aGk='},'title':'t','citations':{'enabled':"
         "true},'context':'c'},{'type':'document','source':{'type':'text',"
         "'media_type':'text/plain','data':'h\\u00e9'},'title':'t'},{'type':"
         "'document','source':{'type':'content','content':[{'type':'text',"
         "'text':'e'},{'type':'text','text':''}]}},{'type':'document','source'"
         ":{'type':'url','url':'https://h/d'}}]"),
       C("[{'document':{'format':'pdf','name':'t','source':{'bytes':'aGk='},"
         "'context':'c','citations':{'enabled':true}}},{'document':{'format':"
         "'txt','name':'t 2','source':{'bytes':'aMOp'}}},{'document':{'name':"
         "'Document 3','source':{'content':[{'text':'e'}]}}}]"),
       "messages[0].content[2].source.content[1], messages[0].content[3]");
    OB(U("[{'type':'image_url','image_url':{'url':'data:image/tiff;base64,"
         "aGk='}},{'type':'text','text':'x'}]"), C("[{'text':'x'}]"),
       "messages[0].content[0]");
}


static void
tools(void **state)
{
    (void) state;

    asked = CLAUDE;
    OB("{" M ",'tools':[{'type':'function','function':{'name':'f',"
       "'description':'d','strict':true,'parameters':{'type':'object','z':1,"
       "'a':[2.50]}}},{'type':'function','function':{'name':'g','description'"
       ":'','strict':false,'parameters':{}}},{'type':'custom','custom':{'name'"
       ":'c'}}],'parallel_tool_calls':true}",
       "{" X ",'toolConfig':{'tools':[{'toolSpec':{'name':'f','description':"
       "'d','inputSchema':{'json':{'type':'object','z':1,'a':[2.50]}},'strict'"
       ":true}},{'toolSpec':{'name':'g','inputSchema':" NOTHING "}}]}}",
       "tools[2]");
    OB("{" M "," F ",'tool_choice':'required'}",
       "{'toolConfig':{'tools':[" SPEC "],'toolChoice':{'any':{}}}}", "");
    OB("{" M "," F ",'tool_choice':'auto'}",
       "{'toolConfig':{'tools':[" SPEC "],'toolChoice':{'auto':{}}}}", "");
    OB("{" M "," F ",'tool_choice':{'type':'function','function':{'name':'f'"
       "}}}",
       "{'toolConfig':{'tools':[" SPEC "],'toolChoice':{'tool':{'name':'f'}}}"
       "}", "");
    OB("{" M ",'tools':[{'type':'function','function':{'name':'f'}},{'type':"
       "'function','function':{'name':'g'}}],'tool_choice':{'type':"
       "'allowed_tools','allowed_tools':{'mode':'required','tools':[{'type':"
       "'function','function':{'name':'f'}}]}}}",
       "{'toolConfig':{'tools':[" SPEC "],'toolChoice':{'any':{}}}}", "");
    OB("{" M "," F ",'tool_choice':'none'}", "{'toolConfig':null}", "");
    OB("{" M "," F ",'parallel_tool_calls':false}",
       "{'toolConfig':{'tools':[" SPEC "]},'additionalModelRequestFields':{"
       "'tool_choice':{'type':'auto','disable_parallel_tool_use':true}}}", "");
    OB("{" M "," F ",'parallel_tool_calls':false,'tool_choice':'required'}",
       "{'additionalModelRequestFields':null}", "parallel_tool_calls");

    asked = LLAMA;
    OB("{" M ",'tools':[{'type':'function','function':{'name':'f','strict':"
       "true}}],'parallel_tool_calls':false}",
       "{'toolConfig':{'tools':[" SPEC "]}}",
       "tools[0].function.strict, parallel_tool_calls");
}


static void
calls(void **state)
{
    (void) state;

    asked = CLAUDE;
    OB("{'messages':[{'role':'user','content':'x'},{'role':'assistant',"
       "'content':null,'tool_calls':[{'id':'a.b','type':'function','function'"
       ":{'name':'f','arguments':'no'}},{'id':'b','type':'function','function'"
       ":{'name':'g','arguments':'{\\'k\\':1}'}}]},{'role':'tool',"
       "'tool_call_id':'b','content':'1'},{'role':'tool','tool_call_id':'a.b',"
       "'content':[{'type':'text','text':'2'},{'type':'text','text':'3'}]},"
       "{'role':'user','content':'y'}]," F "}",
       "{'messages':[{'role':'user','content':[{'text':'x'}]},{'role':"
       "'assistant','content':[{'toolUse':{'toolUseId':'a_b','name':'f',"
       "'input':{'arguments':'no'}}},{'toolUse':{'toolUseId':'b','name':'g',"
       "'input':{'k':1}}}]},{'role':'user','content':[{'toolResult':{"
       "'toolUseId':'b','content':[{'text':'1'}]}},{'toolResult':{'toolUseId':"
       "'a_b','content':[{'text':'2'},{'text':'3'}]}},{'text':'y'}]}]}",
       "messages[1].tool_calls[0].function.arguments (is not a JSON object)");
    AB("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'tool_use','id':'a','name':'f','input':{'k':[1]}}]},{'role':'user',"
       "'content':[{'type':'tool_result','tool_use_id':'a','is_error':true,"
       "'content':[{'type':'text','text':'e'},{'type':'image','source':{"
       "'type':'base64','media_type':'image/png','data':'aGk='}}]}]}]}",
       "{'messages':[{'role':'assistant','content':[{'toolUse':{'toolUseId':"
       "'a','name':'f','input':{'k':[1]}}}]},{'role':'user','content':["
       "{'toolResult':{'toolUseId':'a','content':[{'text':'e'},{'image':{"
       "'format':'png','source':{'bytes':'aGk='}}}],'status':'error'}}]}],"
       "'toolConfig':{'tools':[" SPEC "]}}", "");

    /* Who has called tools has some, and none of them is to be called. */

    OB("{'messages':[{'role':'assistant','tool_calls':[{'id':'a','type':"
       "'function','function':{'name':'f','arguments':''}}]},{'role':'tool',"
       "'tool_call_id':'a','content':''}]," F ",'tool_choice':'none'}",
       "{'messages':[{'role':'assistant','content':[{'toolUse':{'toolUseId':"
       "'a','name':'f','input':{}}}]},{'role':'user','content':[{'toolResult'"
       ":{'toolUseId':'a','content':[]}}]}],'toolConfig':{'tools':[" SPEC "]}"
       "}", "tool_choice");
}


static void
settings(void **state)
{
    (void) state;

    asked = "eu.anthropic.claude-3-7-sonnet-20250219-v1:0";
    OB("{" M ",'max_tokens':9,'temperature':0.50,'top_p':0.1,'top_k':3,'stop':"
       "'E','metadata':{'a':'b c','d':'\\u00e9'},'service_tier':'flex'}",
       "{'inferenceConfig':{'maxTokens':9,'temperature':0.50,'topP':0.1,"
       "'stopSequences':['E']},'additionalModelRequestFields':{'top_k':3},"
       "'requestMetadata':{'a':'b c'},'serviceTier':{'type':'flex'}}",
       "metadata.d");
    OB("{" M ",'temperature':1.5,'top_p':1,'service_tier':'auto'}",
       "{'inferenceConfig':{'temperature':1},'serviceTier':null}",
       "temperature (is 1 at most)");
    OB("{" M ",'presence_penalty':1,'frequency_penalty':0.5,'seed':7,'n':2,"
       "'logprobs':true,'top_logprobs':4,'logit_bias':{'5':1},'user':'u',"
       "'store':true,'verbosity':'low','prompt_cache_key':'k','min_p':0.1}",
       "{'inferenceConfig':null,'additionalModelRequestFields':null}",
       "min_p, seed, logit_bias, verbosity, prompt_cache_key, "
       "frequency_penalty, presence_penalty, n, logprobs, top_logprobs, "
       "store, user");
    asked = "us.anthropic.claude-opus-4-7";
    OB("{" M ",'temperature':0.5,'top_p':0.1,'top_k':3}",
       "{'inferenceConfig':null,'additionalModelRequestFields':null}",
       "temperature, top_p, top_k");
    asked = "amazon.nova-lite-v1:0";
    OB("{" M ",'top_k':10}", "{'additionalModelRequestFields':{"
       "'inferenceConfig':{'topK':10}}}", "");
    asked = "cohere.command-r-v1:0";
    OB("{" M ",'top_k':10}", "{'additionalModelRequestFields':{'k':10}}", "");
    asked = LLAMA;
    OB("{" M ",'top_k':10}", "{'additionalModelRequestFields':null}", "top_k");
}


static void
formats(void **state)
{
    static const char  schema[] =
       "{" M ",'response_format':{'type':'json_schema','json_schema':{'name':"
       "'n','strict':true,'description':'d','schema':{'type':'object','b':"
       "'\\u00e9','a':2}}}}";

    (void) state;

    asked = CLAUDE;
    OB(schema,
       "{'outputConfig':{'textFormat':{'type':'json_schema','structure':{"
       "'jsonSchema':{'name':'n','description':'d','schema':'{\\\"type\\\":"
       "\\\"object\\\",\\\"b\\\":\\\"\\\\u00e9\\\",\\\"a\\\":2}'}}}}}", "");
    OB("{" M ",'response_format':{'type':'json_object'}}",
       "{'outputConfig':null}", "response_format");
    asked = LLAMA;
    OB(schema, "{'outputConfig':null}", "response_format");
    asked = "eu.anthropic.claude-3-7-sonnet-20250219-v1:0";
    OB(schema, "{'outputConfig':null}", "response_format");
}


#define THINKS(model, request, config)                                        \
    asked = model;                                                            \
    OB("{" M "," request "}",                                                 \
       "{'additionalModelRequestFields':" config "}", "")


static void
reasoning(void **state)
{
    (void) state;

    THINKS("us.anthropic.claude-sonnet-4-6", "'reasoning_effort':'high'",
           "{'thinking':{'type':'adaptive'},'output_config':{'effort':'high'}"
           "}");
    THINKS(NOVA, "'reasoning_effort':'minimal'",
           "{'reasoningConfig':{'type':'enabled','maxReasoningEffort':'low'}}"
           );
    THINKS(NOVA, "'reasoning_effort':'none'", "null");
    THINKS("openai.gpt-oss-120b-1:0", "'reasoning_effort':'medium'",
           "{'reasoning_effort':'medium'}");
    THINKS("qwen.qwen3-32b-v1:0", "'reasoning_effort':'xhigh'",
           "{'reasoning_config':'high'}");
    asked = "us.anthropic.claude-3-7-sonnet-20250219-v1:0";
    AB("{" M ",'max_tokens':3000,'temperature':1,'thinking':{'type':'enabled',"
       "'budget_tokens':2000}}",
       "{'inferenceConfig':{'maxTokens':3000},'additionalModelRequestFields':{"
       "'thinking':{'type':'enabled','budget_tokens':2000}}}", "");
    OB("{" M ",'reasoning_effort':'low','temperature':0.5,'top_k':3}",
       "{'inferenceConfig':{'maxTokens':10240},'additionalModelRequestFields':"
       "{'thinking':{'type':'enabled','budget_tokens':2048}}}",
       "temperature, top_k");
    asked = NOVA;
    OB("{" M ",'reasoning_effort':'high','max_tokens':9,'temperature':0.5,"
       "'top_p':0.5,'stop':'E'}",
       "{'inferenceConfig':{'stopSequences':['E']},"
       "'additionalModelRequestFields':{'reasoningConfig':{'type':'enabled',"
       "'maxReasoningEffort':'high'}}}", "temperature, top_p, max_tokens");
    asked = LLAMA;
    OB("{" M ",'reasoning_effort':'low'}",
       "{'additionalModelRequestFields':null}", "reasoning_effort");
}


/* What a client has of an answer goes back as the provider said it: Claude's
 * as its maker has it, whose data is base64 once more here. */

static void
signatures(void **state)
{
    static const char  said[] =
        SAYS("[{'reasoningContent':{'reasoningText':{'text':'hm','signature':"
             "'c2ln'}}},{'reasoningContent':{'redactedContent':'RXUra2V5PQ=='}"
             "},{'text':'a'}]", "end_turn");
    static const char  back[] =
       "{'messages':[{'role':'assistant','content':[{'reasoningContent':{"
       "'reasoningText':{'text':'hm','signature':'c2ln'}}},{'reasoningContent'"
       ":{'redactedContent':'RXUra2V5PQ=='}},{'text':'a'}]}]}";
    static const char  foreign[] =
       "{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'thinking','thinking':'h','signature':'c2ln'},{'type':'text','text':"
       "'a'}]}]}";

    (void) state;

    asked = CLAUDE;
    says("anthropic", "bedrock", said, "content",
         "[{'type':'thinking','thinking':'hm','signature':'c2ln'},{'type':"
         "'redacted_thinking','data':'Eu+key='},{'type':'text','text':'a'}]");
    AB("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'thinking','thinking':'hm','signature':'c2ln'},{'type':"
       "'redacted_thinking','data':'Eu+key='},{'type':'text','text':'a'}]}]}",
       back, "");
    says("openai", "bedrock", said, "choices.0.message.reasoning_details",
         "[{'type':'reasoning.text','text':'hm','signature':'c2ln','format':"
         "'anthropic-claude-v1','index':0},{'type':'reasoning.encrypted',"
         "'data':'Eu+key=','format':'anthropic-claude-v1','index':1}]");
    OB("{'messages':[{'role':'assistant','content':'a','reasoning_details':["
       "{'type':'reasoning.text','text':'hm','signature':'c2ln','format':"
       "'anthropic-claude-v1','index':0},{'type':'reasoning.encrypted','data':"
       "'Eu+key=','format':'anthropic-claude-v1','index':1}]}]}", back, "");

    /* Others' are not known there. */

    asked = NOVA;
    AB(foreign, "{'messages':[{'role':'assistant','content':[{'text':'a'}]}]}",
       "messages[0].content[0]");
    says("anthropic", "bedrock", said, "content.1.data",
         "'ai:bedrock:RXUra2V5PQ=='");
    AB("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'redacted_thinking','data':'ai:bedrock:RXUra2V5PQ=='}]}]}",
       "{'messages':[{'role':'assistant','content':[{'reasoningContent':{"
       "'redactedContent':'RXUra2V5PQ=='}}]}]}", "");
    says("openai", "bedrock", said,
         "choices.0.message.reasoning_details.1",
         "{'type':'reasoning.encrypted','data':'RXUra2V5PQ==','format':"
         "'amazon-bedrock-v1','index':1}");
    OB("{'messages':[{'role':'assistant','reasoning_details':[{'type':"
       "'reasoning.encrypted','data':'RXUra2V5PQ==','format':"
       "'amazon-bedrock-v1','index':0}]}]}",
       "{'messages':[{'role':'assistant','content':[{'reasoningContent':{"
       "'redactedContent':'RXUra2V5PQ=='}}]}]}", "");
    asked = CLAUDE;
    AB("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'thinking','thinking':'h','signature':'ai:gemini:c2ln'},{'type':"
       "'text','text':'a'}]}]}",
       "{'messages':[{'role':'assistant','content':[{'text':'a'}]}]}",
       "messages[0].content[0]");
}


static void
cache(void **state)
{
    static const char  marked[] =
       "{'max_tokens':9,'system':[{'type':'text','text':'a','cache_control':{"
       "'type':'ephemeral'}}],'tools':[{'name':'f','input_schema':{},"
       "'cache_control':{'type':'ephemeral','ttl':'1h'}}],'messages':[{'role':"
       "'user','content':[{'type':'text','text':'x','cache_control':{'type':"
       "'ephemeral','ttl':'5m'}},{'type':'text','text':'y'}]}]}";

    (void) state;

#define POINT  "{'cachePoint':{'type':'default'}}"
    asked = CLAUDE;
    AB(marked,
       "{'system':[{'text':'a'}," POINT "],'toolConfig':{'tools':[" SPEC ","
       "{'cachePoint':{'type':'default','ttl':'1h'}}]},'messages':[{'role':"
       "'user','content':[{'text':'x'}," POINT ",{'text':'y'}]}]}", "");
    asked = NOVA;
    AB(marked,
       "{'system':[{'text':'a'}," POINT "],'toolConfig':{'tools':[" SPEC "]},"
       "'messages':[{'role':'user','content':[{'text':'x'}," POINT ",{'text':"
       "'y'}]}]}",
       "messages[0].content[0].cache_control.ttl, tools[0].cache_control");
    asked = LLAMA;
    AB(marked,
       "{'system':[{'text':'a'}],'toolConfig':{'tools':[" SPEC "]},"
       "'messages':[{'role':'user','content':[{'text':'x'},{'text':'y'}]}]}",
       "system[0].cache_control, messages[0].content[0].cache_control, "
       "tools[0].cache_control");
    asked = CLAUDE;
    AB("{'max_tokens':9,'cache_control':{'type':'ephemeral'},'messages':["
       "{'role':'user','content':'x'}]}",
       C("[{'text':'x'}," POINT "]"), "");
}


static void
answers_say(void **state)
{
    (void) state;

    asked = CLAUDE;
    says("openai", "bedrock", SAYS("[{'text':'a'},{'text':'b'}]", "end_turn"),
         "choices.0.message.content", "'ab'");
    says("openai", "bedrock", SAYS("[{'text':'a'}]", "end_turn"), "id",
         "'chatcmpl-job_0123'");
    says("openai", "bedrock", SAYS("[{'text':'a'}]", "end_turn"), "model",
         "'" CLAUDE "'");
    says("openai", "bedrock",
         SAYS("[{'toolUse':{'toolUseId':'t','name':'f','type':'tool_use',"
              "'input':{'k':1}}},{'toolUse':{'toolUseId':'u','name':'g',"
              "'input':{}}}]", "tool_use"),
         "choices.0.message.tool_calls",
         "[{'id':'t','type':'function','function':{'name':'f','arguments':"
         "'{\\'k\\':1}'}},{'id':'u','type':'function','function':{'name':'g',"
         "'arguments':'{}'}}]");
    assert_string_equal(dropped, "");
    says("openai", "bedrock",
         SAYS("[{'image':{'format':'png','source':{'bytes':'aGk='}}}]",
              "end_turn"), "choices.0.message.images",
         "[{'type':'image_url','image_url':{'url':"
         "'data:image/png;base64,aGk='}}]");
    says("anthropic", "bedrock",
         SAYS("[{'toolResult':{'toolUseId':'t'}},{'text':'a'}]", "end_turn"),
         "content", "[{'type':'text','text':'a'}]");
    assert_string_equal(dropped, "output.message.content[0]");
    assert_null(answers("openai", "bedrock", "{}"));
    assert_null(answers("openai", "bedrock", "{'output':3}"));
    assert_null(answers("openai", "bedrock", "{'output':{'message':{}}}"));
}


static void
citations(void **state)
{
    static const char  said[] =
        SAYS("[{'citationsContent':{'content':[{'text':'ab'},{'text':'c'}],"
             "'citations':[{'title':'one','sourceContent':[{'text':'s'},"
             "{'text':'t'}],'location':{'web':{'url':'https://h/1','domain':"
             "'h'}}},{'title':'two','location':{'documentPage':{"
             "'documentIndex':0,'start':1,'end':2}}}]}}]", "end_turn");

    (void) state;

    asked = CLAUDE;
    says("openai", "bedrock", said, "choices.0.message.content", "'abc'");
    says("openai", "bedrock", said, "choices.0.message.annotations",
         "[{'type':'url_citation','url_citation':{'start_index':0,'end_index':"
         "3,'url':'https://h/1','title':'one'}}]");
    assert_string_equal(dropped,
                        "output.message.content[0].citationsContent."
                        "citations[1]");
    says("anthropic", "bedrock", said, "content.0.citations",
         "[{'type':'web_search_result_location','url':'https://h/1','title':"
         "'one','cited_text':'st','encrypted_index':''}]");
}


static void
finishes(void **state)
{
    size_t  i;
    char    text[256], want[64];

    static const char *const  words[][3] = {
        { "end_turn", "stop", "end_turn" },
        { "stop_sequence", "stop", "stop_sequence" },
        { "max_tokens", "length", "max_tokens" },
        { "model_context_window_exceeded", "length",
          "model_context_window_exceeded" },
        { "guardrail_intervened", "content_filter", "refusal" },
        { "content_filtered", "content_filter", "refusal" },
        { "malformed_model_output", "stop", "end_turn" },
        { "newer", "stop", "end_turn" },
    };

    (void) state;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        snprintf(text, sizeof(text), SAYS("[]", "%s"), words[i][0]);
        snprintf(want, sizeof(want), "'%s'", words[i][1]);
        says("openai", "bedrock", text, "choices.0.finish_reason", want);
        snprintf(want, sizeof(want), "'%s'", words[i][2]);
        says("anthropic", "bedrock", text, "stop_reason", want);
    }
}


static void
usage(void **state)
{
    static const char  said[] =
        "{'output':{'message':{'role':'assistant','content':[{'text':'a'}]}},"
        "'stopReason':'end_turn','usage':{'inputTokens':5,'outputTokens':27,"
        "'totalTokens':132,'cacheReadInputTokens':60,'cacheWriteInputTokens':"
        "40,'cacheReadInputTokenCount':60,'cacheWriteInputTokenCount':40,"
        "'cacheDetails':[{'ttl':'1h','inputTokens':30},{'ttl':'5m',"
        "'inputTokens':10}],'serverToolUsage':{}},'trace':{'guardrail':{}}}";

    (void) state;

    asked = CLAUDE;
    says("openai", "bedrock", said, "usage.prompt_tokens", "105");
    assert_string_equal(dropped, "");
    says("openai", "bedrock", said, "usage.prompt_tokens_details"
         ".cached_tokens", "60");
    says("anthropic", "bedrock", said, "usage",
         "{'input_tokens':5,'cache_creation_input_tokens':40,"
         "'cache_read_input_tokens':60,'output_tokens':27}");
}


/* Frames. */

static char *
framed(const char *client, const frames_t *f, size_t cut, int *end)
{
    char         *all;
    size_t        i, n;
    ai_str_t      said;
    translate_t  *t;

    t = begin(client, "bedrock", 1);
    all = NULL;
    say_add(&all, "");
    *end = 0;

    for (i = 0; i <= f->len && *end == 0; i += cut) {
        n = f->len - i < cut ? f->len - i : cut;
        *end = n != 0 ? translate_bytes(t, tight(f->data + i, n), &said)
                      : translate_end(t, &said);

        if (said.len != 0) {
            all = realloc(all, strlen(all) + said.len + 1);
            assert_non_null(all);
            strncat(all, said.data, said.len);
        }

        if (n != 0 && n < cut) {
            *end = *end == 0 ? translate_end(t, &said) : *end;
            break;
        }
    }

    note(t);
    translate_close(t);

    return all;
}


static void
frames_are_read(void **state)
{
    int       end;
    char     *all, headers[600];
    long      k;
    size_t    n, i;
    say_t     s;
    frames_t  f, bad;
    ai_str_t  name, data;

    (void) state;

    asked = CLAUDE;
    memset(&f, 0, sizeof(f));

    /* Headers of every type, which say nothing. */

    n = frame_header(headers, ":event-type", "messageStart");

    for (k = 0; k < 10; k++) {
        static const unsigned  sizes[] = { 0, 0, 1, 2, 4, 8, 5, 5, 8, 16 };

        headers[n++] = 1;
        headers[n++] = 'h';
        headers[n++] = (char) k;

        if (k == 6 || k == 7) {
            headers[n++] = 0;
            headers[n++] = 3;
        }

        memset(headers + n, 'v', sizes[k]);
        n += k == 6 || k == 7 ? 3 : sizes[k];
    }

    n += frame_header(headers + n, ":message-type", "event");
    frames_raw(&f, headers, n, "{\"role\":\"assistant\"}", 20);
    frames_add(&f, "event", "contentBlockDelta", "{\"contentBlockIndex\":0,"
               "\"delta\":{\"text\":\"a\"},\"p\":\"abc\"}");
    frames_add(&f, "event", "contentBlockDelta", "{\"contentBlockIndex\":0,"
               "\"delta\":{\"citation\":{\"title\":\"t\",\"location\":{"
               "\"web\":{\"url\":\"https://h\"}}}}}");
    frames_add(&f, "event", "contentBlockStop", "{\"contentBlockIndex\":0}");
    frames_add(&f, "event", "contentBlockStart", "{\"contentBlockIndex\":1,"
               "\"start\":{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"f\"}}}");
    frames_add(&f, "event", "contentBlockStop", "{\"contentBlockIndex\":1}");
    frames_add(&f, "event", "newer", "{\"x\":1}");
    frames_add(&f, "event", "messageStop", "{\"stopReason\":\"tool_use\"}");
    frames_add(&f, "event", "metadata", "{\"usage\":{\"inputTokens\":3,"
               "\"outputTokens\":4},\"metrics\":{\"latencyMs\":1}}");

    for (i = 1; i < 3; i++) {
        all = framed("anthropic", &f, i == 1 ? 1 : f.len, &end);
        assert_int_equal(end, 1);
        assert_string_equal(dropped, "an event that is not known");
        say_init(&s);
        say_anthropic_stream(&s, all);
        assert_string_equal(s.text, "a");
        assert_int_equal(s.ncalls, 1);
        assert_string_equal(s.calls[0].arguments, "{}");
        assert_string_equal(s.finish, "tools");
        assert_int_equal(s.input, 3);
        assert_non_null(strstr(all, "https://h"));
        say_free(&s);
        free(all);
    }

    /* Every byte counts: of a frame that is cut nothing is said, of one that
     * is not what was sent neither. */

    memset(&bad, 0, sizeof(bad));
    frames_add(&bad, "event", "messageStop", "{\"stopReason\":\"end_turn\"}");

    for (i = 0; i < bad.len; i++) {
        assert_int_equal(dialect_bedrock.frame(tight(bad.data, i), &name,
                                               &data), 0);
        bad.data[i] ^= 0x40;
        assert_int_not_equal(dialect_bedrock.frame(tight(bad.data, bad.len),
                                                   &name, &data), bad.len);
        bad.data[i] ^= 0x40;
    }

    assert_int_equal(dialect_bedrock.frame(tight(bad.data, bad.len), &name,
                                           &data), bad.len);
    assert_true(ai_str_eqz(name, "messageStop"));
    free(bad.data);
    free(f.data);
}


static void
frames_are_bound(void **state)
{
    char         *p;
    size_t        i, n;
    frames_t      f;
    ai_str_t      name, data;

    static const struct {
        const char *headers;
        size_t      len;
    } bad[] = {
        { "\0", 1 },
        { "\1", 1 },
        { "\1h", 2 },
        { "\1h\12", 3 },
        { "\1h\377", 3 },
        { "\1h\7", 3 },
        { "\1h\7\0", 4 },
        { "\1h\7\0\1", 5 },
        { "\1h\6\377\377x", 6 },
        { "\1h\11abc", 6 },
        { "\377h\0", 3 },
        { "\15:message-type\7\0\5event", 22 },
        { "\15:message-type\7\0\5other\13:event-type\7\0\1x", 38 },
        { "\13:event-type\7\0\1x", 16 },
        { "\15:message-type\7\0\11exception\13:event-type\7\0\1x", 42 },
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&f, 0, sizeof(f));
        frames_raw(&f, bad[i].headers, bad[i].len, "{}", 2);
        assert_int_equal(dialect_bedrock.frame(tight(f.data, f.len), &name,
                                               &data), -1);
        free(f.data);
    }

    /* Lengths that cannot be, with a CRC that is right. */

    for (i = 0; i < 5; i++) {
        static const uint32_t  lengths[5][2] = {
            { 15, 0 }, { 17 * 1024 * 1024, 0 }, { 0xFFFFFFFF, 0 },
            { 16, 1 }, { 1024 * 1024, 129 * 1024 }
        };

        memset(&f, 0, sizeof(f));
        frames_raw(&f, "", 0, "", 0);
        frame_int(f.data, lengths[i][0]);
        frame_int(f.data + 4, lengths[i][1]);
        frame_int(f.data + 8, frame_crc(f.data, 8));
        assert_int_equal(dialect_bedrock.frame(tight(f.data, f.len), &name,
                                               &data), -1);
        free(f.data);
    }

    /* A large one is read. */

    memset(&f, 0, sizeof(f));
    n = 1024 * 1024;
    p = malloc(n + 1);
    assert_non_null(p);
    memset(p, ' ', n);
    p[0] = '{';
    p[n - 1] = '}';
    p[n] = '\0';
    frames_add(&f, "event", "metadata", p);
    assert_int_equal(dialect_bedrock.frame(tight(f.data, f.len), &name,
                                           &data), f.len);
    assert_int_equal(data.len, n);
    free(p);
    free(f.data);
}


static void
streams_fail(void **state)
{
    int       end;
    char     *all, headers[300];
    size_t    i, n;
    frames_t  f;

    static const char *const  rows[][3] = {
        { "throttlingException", "{\"message\":\"slow \\\"down\\\"\"}",
          "rate_limit_error" },
        { "validationException", "{\"message\":\"no\"}",
          "invalid_request_error" },
        { "internalServerException", "{\"message\":\"no\"}", "api_error" },
        { "serviceUnavailableException", "{\"message\":\"no\"}",
          "overloaded_error" },
        { "modelStreamErrorException", "{\"message\":\"no\","
          "\"originalStatusCode\":429,\"originalMessage\":\"m\"}",
          "rate_limit_error" },
        { "modelStreamErrorException", "{}", "api_error" },
        { "newerException", "no JSON", "api_error" },
    };

    (void) state;

    asked = CLAUDE;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        memset(&f, 0, sizeof(f));

        if (i & 1) {
            frames_add(&f, "event", "messageStart",
                       "{\"role\":\"assistant\"}");
            frames_add(&f, "event", "contentBlockDelta",
                       "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"a\"}}");
        }

        frames_add(&f, "exception", rows[i][0], rows[i][1]);
        all = framed("anthropic", &f, 1, &end);
        assert_int_equal(end, 1);
        assert_non_null(strstr(all, "\"type\":\"error\""));
        assert_non_null(strstr(all, rows[i][2]));
        free(all);
        all = framed("openai", &f, 1, &end);
        assert_non_null(strstr(all, "\"error\":{"));
        free(all);
        free(f.data);
    }

    /* An error without a payload; events that cannot be. */

    memset(&f, 0, sizeof(f));
    n = frame_header(headers, ":message-type", "error");
    n += frame_header(headers + n, ":error-code", "InternalError");
    n += frame_header(headers + n, ":error-message", "lost \"it\"");
    frames_raw(&f, headers, n, "", 0);
    all = framed("openai", &f, 1, &end);
    assert_non_null(strstr(all, "lost \\\"it\\\""));
    free(all);
    free(f.data);

    memset(&f, 0, sizeof(f));
    frames_add(&f, "event", "contentBlockDelta", "{\"contentBlockIndex\":0,"
               "\"delta\":{\"toolUse\":{\"input\":\"{\"}}}");
    free(framed("openai", &f, 1, &end));
    assert_int_equal(end, -2);
    free(f.data);

    memset(&f, 0, sizeof(f));
    frames_add(&f, "event", "messageStart", "{\"role\":\"assistant\"}");
    frames_add(&f, "event", "metadata", "{\"usage\":{}}");
    free(framed("openai", &f, 1, &end));
    assert_int_equal(end, 0);
    free(f.data);
}


/* An error's word is in a header, or in its body. */

static void
errors(void **state)
{
    char         *text;
    size_t        i;
    ai_str_t      said;
    translate_t  *t;

    static const struct {
        int         status;
        const char *header;
        const char *body;
        const char *type;
        const char *code;
    } rows[] = {
        { 429, "ThrottlingException:http://x/", "{'message':'m'}",
          "rate_limit_error", "ThrottlingException" },
        { 403, "AccessDeniedException", "{'Message':'m'}",
          "permission_error", "AccessDeniedException" },
        { 403, "InvalidSignatureException", "{'message':'m'}",
          "authentication_error", "InvalidSignatureException" },
        { 403, NULL, "{'message':'m','__type':'a.b#ExpiredTokenException'}",
          "authentication_error", "ExpiredTokenException" },
        { 400, "ValidationException", "{'message':'m','__type':'x'}",
          "invalid_request_error", "ValidationException" },
        { 424, NULL, "{'message':'m'}", "invalid_request_error", NULL },
        { 500, "", "{'message':'m'}", "api_error", NULL },
    };

    (void) state;

    asked = CLAUDE;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        text = quoted(rows[i].body);
        t = begin("anthropic", "bedrock", 0);
        translate_header(t, ai_str("Content-Type"), ai_str("x"));

        if (rows[i].header != NULL) {
            translate_header(t, ai_str("X-Amzn-ErrorType"),
                             Z(rows[i].header));
        }

        assert_int_equal(translate_answer(t, rows[i].status, Z(text)), 0);
        said = translate_said(t);
        assert_non_null(memmem(said.data, said.len, rows[i].type,
                               strlen(rows[i].type)));
        assert_non_null(memmem(said.data, said.len, "\"m\"", 3));
        translate_close(t);

        if (rows[i].code != NULL) {
            t = begin("openai", "bedrock", 0);

            if (rows[i].header != NULL) {
                translate_header(t, ai_str("x-amzn-errortype"),
                                 Z(rows[i].header));
            }

            assert_int_equal(translate_answer(t, rows[i].status, Z(text)), 0);
            said = translate_said(t);
            assert_non_null(memmem(said.data, said.len, rows[i].code,
                                   strlen(rows[i].code)));
            translate_close(t);
        }

        free(text);
    }
}


/* Keys and paths. */

static void
keys_sign(void **state)
{
    aws_t     a;
    char      url[128], target[128];
    ai_str_t  none;

    (void) state;

    none = ai_str("");
    assert_int_equal(aws_key(&a, ai_str("AK:se/+=t"), "bedrock",
                             ai_str("eu-west-1"), ai_str("http://h")), 1);
    assert_string_equal(a.spec, "aws:amz:eu-west-1:bedrock");
    assert_string_equal(a.id, "AK");
    assert_string_equal(a.secret, "se/+=t");
    assert_int_equal(a.token.len, 0);
    assert_int_equal(aws_key(&a, ai_str("AK:s:t:u="), "bedrock", none,
        ai_str("https://bedrock-runtime.us-west-2.amazonaws.com/x")), 1);
    assert_string_equal(a.spec, "aws:amz:us-west-2:bedrock");
    assert_string_equal(a.secret, "s");
    assert_true(ai_str_eqz(a.token, "t:u="));
    assert_int_equal(aws_key(&a, ai_str("AK:s"), "bedrock", none,
        ai_str("https://vpce-1.bedrock-runtime-fips.us-gov-west-1.vpce."
               "amazonaws.com")), 1);
    assert_string_equal(a.spec, "aws:amz:us-gov-west-1:bedrock");
    assert_int_equal(aws_key(&a, ai_str("ABSKabc="), "bedrock", none,
                             ai_str("http://h")), 0);
    assert_int_equal(aws_key(&a, none, "bedrock", none, ai_str("http://h")),
                     0);
    assert_int_equal(aws_key(&a, ai_str("AK:s"), "bedrock", none,
        ai_str("http://h/bedrock-runtime.us-west-2.amazonaws.com")), -1);
    assert_int_equal(aws_key(&a, ai_str("AK:s"), "bedrock", ai_str("a:b"),
                             ai_str("http://h")), -1);
    assert_int_equal(aws_key(&a, ai_str("AK:"), "bedrock", ai_str("a"),
                             ai_str("http://h")), -1);
    assert_int_equal(aws_key(&a, ai_str(":s"), "bedrock", ai_str("a"),
                             ai_str("http://h")), -1);
    assert_int_equal(aws_key(&a, ai_str("AK:s:a\nb"), "bedrock", ai_str("a"),
                             ai_str("http://h")), -1);

    strcpy(url, "http://h:1/b/model/a%3A0:~/converse?x=%3A");
    assert_int_equal(aws_path(0x080E00, url, sizeof(url), target,
                              sizeof(target)), 0);
    assert_int_equal(aws_path(0x080D00, url, sizeof(url), target,
                              sizeof(target)), 1);
    assert_string_equal(url, "http://h:1/b/model/a%253A0%3A~/converse?x=%3A");
    assert_string_equal(target, "/b/model/a%3A0:~/converse?x=%3A");
    assert_int_equal(aws_path(0x075801, url, 48, target, sizeof(target)), -1);
    strcpy(url, "http://h:1/b/model/a");
    assert_int_equal(aws_path(0x075801, url, sizeof(url), target, 5), -1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(texts_and_roles),
        cmocka_unit_test(media),
        cmocka_unit_test(tools),
        cmocka_unit_test(calls),
        cmocka_unit_test(settings),
        cmocka_unit_test(formats),
        cmocka_unit_test(reasoning),
        cmocka_unit_test(signatures),
        cmocka_unit_test(cache),
        cmocka_unit_test(answers_say),
        cmocka_unit_test(citations),
        cmocka_unit_test(finishes),
        cmocka_unit_test(usage),
        cmocka_unit_test(frames_are_read),
        cmocka_unit_test(frames_are_bound),
        cmocka_unit_test(streams_fail),
        cmocka_unit_test(errors),
        cmocka_unit_test(keys_sign),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
