/*
 * Google's generateContent as a provider's dialect: what it is asked, what is
 * made of its answers, and that what has no counterpart is named
 * (docs/dialects.md says which test has which cell).
 */

#include "worker_ask.h"


#define OG(request, want, lost)  asks("openai", "gemini", request, want, lost)
#define AG(request, want, lost)                                              \
    asks("anthropic", "gemini", request, want, lost)
#define M  "'model':'m','messages':[{'role':'user','content':'x'}]"
#define X  "'contents':[{'role':'user','parts':[{'text':'x'}]}]"
#define U(content)  "{'max_tokens':9,'messages':[{'role':'user','content':"   \
                    content "}]}"
#define P(parts)  "{'contents':[{'role':'user','parts':" parts "}]}"
#define F  "'tools':[{'type':'function','function':{'name':'f'}}]"
#define G  "'functionCallingConfig'"
#define CALL  "'tool_calls':[{'id':'a','type':'function','function':{"        \
              "'name':'f','arguments':'{\\'k\\':1}'}}]"
#define SAYS(parts)  "{'candidates':[{'content':{'parts':" parts ",'role':"   \
                     "'model'},'finishReason':'STOP'}],'modelVersion':'g',"   \
                     "'responseId':'r'}"


static void
texts_and_roles(void **state)
{
    (void) state;

    OG("{'messages':[{'role':'system','content':'a'},{'role':'developer',"
       "'content':[{'type':'text','text':'b'}]},{'role':'user','content':'x'},"
       "{'role':'user','content':''},{'role':'user','content':'y'},"
       "{'role':'assistant','content':'z'},{'role':'system','content':'c'},"
       "{'role':'user','content':'w','name':'n'}]}",
       "{'systemInstruction':{'parts':[{'text':'a'},{'text':'b'},{'text':"
       "'c'}]},'contents':[{'role':'user','parts':[{'text':'x'},{'text':'y'}]}"
       ",{'role':'model','parts':[{'text':'z'}]},{'role':'user','parts':["
       "{'text':'w'}]}],'model':null,'generationConfig':null,'stream':null}",
       "messages[6] (stands before the conversation now), messages[7].name");
    OG("{'messages':[{'role':'system','content':'a'}]}",
       "{'systemInstruction':null,'contents':[{'role':'user','parts':["
       "{'text':'a'}]}]}", "");
    AG("{'max_tokens':9,'system':[{'type':'text','text':'a','cache_control':"
       "{'type':'ephemeral','ttl':'1h'}}],'messages':[{'role':'user',"
       "'content':'x'}]}",
       "{'systemInstruction':{'parts':[{'text':'a'}]}," X ","
       "'generationConfig':{'maxOutputTokens':9}}",
       "system[0].cache_control");
}


static void
media(void **state)
{
    (void) state;

    OG(U("[{'type':'text','text':'x'},{'type':'image_url','image_url':{'url':"
         "'data:image/webp;base64,aGk=','detail':'low'}},{'type':'image_url',"
         "'image_url':{'url':'https://h/i.PNG?x=1'}},{'type':'input_audio',"
         "'input_audio':{'data':'aGk=','format':'mp3'}},{'type':'file','file':"
         "{'file_data':'data:application/pdf;base64,aGk='}},{'type':'file',"
         "'file':{'file_id':'files/abc'}},{'type':'file','file':{'file_id':"
         "'file-1'}},{'type':'video_url','video_url':{'url':'https://y/v'}}]"),
       P("[{'text':'x'},{'inlineData':{'mimeType':'image/webp','data':'aGk='}}"
         ",{'fileData':{'mimeType':'image/png','fileUri':"
         "'https://h/i.PNG?x=1'}},{'inlineData':{'mimeType':'audio/mp3',"
         "'data':'aGk='}},{'inlineData':{'mimeType':'application/pdf','data':"
         "'aGk='}},{'fileData':{'fileUri':'https://generativelanguage."
         "googleapis.com/v1beta/files/abc'}},{'fileData':{'fileUri':"
         "'https://y/v'}}]"),
       "messages[0].content[1].image_url.detail, messages[0].content[6]");
    AG(U("[{'type':'document','source':{'type':'base64','media_type':"
         "'application/pdf','data':'aGk='},'title':'t','citations':{'enabled':"
         "true}},{'type':'document','source':{'type':'url','url':'https://h/d'"
         "}},{'type':'document','source':{'type':'text','media_type':"
         "'text/plain','data':'d'},'context':'c'},{'type':'document','source':"
         "{'type':'content','content':[{'type':'text','text':'e'}]}},"
         "{'type':'image','source':{'type':'file','file_id':'gs://b/i.jpg'}}]"),
       P("[{'inlineData':{'mimeType':'application/pdf','data':'aGk='}},"
         "{'fileData':{'mimeType':'application/pdf','fileUri':'https://h/d'}},"
         "{'text':'d'},{'text':'e'},{'fileData':{'mimeType':'image/jpeg',"
         "'fileUri':'gs://b/i.jpg'}}]"),
       "messages[0].content[0].title, messages[0].content[0].citations.enabled,"
       " messages[0].content[2].context");
    asks("openai", "vertex",
         U("[{'type':'file','file':{'filename':'a.pdf','file_data':"
           "'data:application/pdf;base64,aGk='}}]"),
         P("[{'inlineData':{'mimeType':'application/pdf','data':'aGk=',"
           "'displayName':'a.pdf'}}]"), "");
}


static void
tools(void **state)
{
    (void) state;

    asked = "gemini-2.5-flash";
    OG("{" M ",'tools':[{'type':'function','function':{'name':'f',"
       "'description':'d','parameters':{'type':'object','z':1,'a':[2.50]}}},"
       "{'type':'function','function':{'name':'g','parameters':{}}},{'type':"
       "'custom','custom':{'name':'c'}}]}",
       "{" X ",'tools':[{'functionDeclarations':[{'name':'f','description':'d'"
       ",'parametersJsonSchema':{'type':'object','z':1,'a':[2.50]}},{'name':"
       "'g'}]}],'toolConfig':null}", "tools[2]");
    OG("{" M ",'tools':[{'type':'function','function':{'name':'f','strict':"
       "true}}],'tool_choice':'auto'}",
       "{'toolConfig':{" G ":{'mode':'VALIDATED'}}}", "");
    OG("{" M "," F ",'tool_choice':'none'}",
       "{'toolConfig':{" G ":{'mode':'NONE'}}}", "");
    OG("{" M "," F ",'tool_choice':'required','parallel_tool_calls':false}",
       "{'toolConfig':{" G ":{'mode':'ANY'}}}", "parallel_tool_calls");
    OG("{" M "," F ",'tool_choice':{'type':'function','function':{'name':'f'"
       "}}}",
       "{'toolConfig':{" G ":{'mode':'ANY','allowedFunctionNames':['f']}}}",
       "");
    OG("{" M "," F ",'tool_choice':{'type':'allowed_tools','allowed_tools':{"
       "'mode':'auto','tools':[{'type':'function','function':{'name':'f'}}]}}"
       "}", "{'toolConfig':{" G ":{'mode':'VALIDATED',"
       "'allowedFunctionNames':['f']}}}", "");
    AG("{" M ",'max_tokens':9,'tools':[{'name':'f','input_schema':{'type':"
       "'object'}},{'type':'web_search_20250305','name':'web_search'}],"
       "'tool_choice':{'type':'any'}}",
       "{'tools':[{'functionDeclarations':[{'name':'f','parametersJsonSchema':"
       "{'type':'object'}}]}],'toolConfig':{" G ":{'mode':'ANY'}}}",
       "tools[1]");
}


static void
calls(void **state)
{
    static const char  both[] =
       "{'messages':[{'role':'user','content':'x'},{'role':'assistant',"
       "'content':null,'tool_calls':[{'id':'a','type':'function','function':{"
       "'name':'f','arguments':'{}'}},{'id':'b','type':'function','function':"
       "{'name':'g','arguments':'{\\'k\\':1}'}}]},{'role':'tool',"
       "'tool_call_id':'b','content':'1'},{'role':'tool','tool_call_id':'a',"
       "'content':[{'type':'text','text':'2'},{'type':'text','text':'3'}]},"
       "{'role':'user','content':'y'}]}";

    (void) state;

    asked = "gemini-2.5-flash";
    OG(both,
       "{'contents':[{'role':'user','parts':[{'text':'x'}]},{'role':'model',"
       "'parts':[{'functionCall':{'id':'a','name':'f','args':{}}},"
       "{'functionCall':{'id':'b','name':'g','args':{'k':1}}}]},{'role':'user'"
       ",'parts':[{'functionResponse':{'id':'b','name':'g','response':{"
       "'output':'1'}}},{'functionResponse':{'id':'a','name':'f','response':{"
       "'output':['2','3']}}}]},{'role':'user','parts':[{'text':'y'}]}]}", "");
    asks("openai", "vertex", both,
       "{'contents':[{'role':'user','parts':[{'text':'x'}]},{'role':'model',"
       "'parts':[{'functionCall':{'name':'f','args':{}}},{'functionCall':{"
       "'name':'g','args':{'k':1}}}]},{'role':'user','parts':["
       "{'functionResponse':{'name':'g','response':{'output':'1'}}},"
       "{'functionResponse':{'name':'f','response':{'output':['2','3']}}}]},"
       "{'role':'user','parts':[{'text':'y'}]}]}", "");

    /* Later models take no call without a signature. */

    asked = "gemini-3-pro-preview";
    OG("{'messages':[{'role':'assistant','tool_calls':[{'id':'a','type':"
       "'function','function':{'name':'f','arguments':'no'}},{'id':'b','type':"
       "'function','function':{'name':'g','arguments':''}}]}]}",
       "{'contents':[{'role':'model','parts':[{'functionCall':{'id':'a','name'"
       ":'f','args':{'arguments':'no'}},'thoughtSignature':"
       "'skip_thought_signature_validator'},{'functionCall':{'id':'b','name':"
       "'g','args':{}}}]}]}",
       "messages[0].tool_calls[0].function.arguments (is not a JSON object)");
}


static void
results(void **state)
{
    static const char  image[] =
       "{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'tool_use','id':'a','name':'f','input':{}},{'type':'tool_use','id':"
       "'b','name':'g','input':{}}]},{'role':'user','content':[{'type':"
       "'tool_result','tool_use_id':'a','content':[{'type':'image','source':{"
       "'type':'base64','media_type':'image/png','data':'aGk='}}]},{'type':"
       "'tool_result','tool_use_id':'b','is_error':true,'content':'e'},"
       "{'type':'text','text':'So?'}]}]}";

    (void) state;

    asked = "gemini-2.5-flash";
    AG(image,
       "{'contents':[{'role':'model','parts':[{'functionCall':{'id':'a','name'"
       ":'f','args':{}}},{'functionCall':{'id':'b','name':'g','args':{}}}]},"
       "{'role':'user','parts':[{'functionResponse':{'id':'a','name':'f',"
       "'response':{'output':''}}},{'functionResponse':{'id':'b','name':'g',"
       "'response':{'error':'e'}}}]},{'role':'user','parts':[{'inlineData':{"
       "'mimeType':'image/png','data':'aGk='}},{'text':'So?'}]}]}", "");
    asked = "gemini-3-flash-preview";
    AG(image,
       "{'contents':[{'role':'model','parts':[{'functionCall':{'id':'a','name'"
       ":'f','args':{}},'thoughtSignature':'skip_thought_signature_validator'}"
       ",{'functionCall':{'id':'b','name':'g','args':{}}}]},{'role':'user',"
       "'parts':[{'functionResponse':{'id':'a','name':'f','response':{"
       "'output':''},'parts':[{'inlineData':{'mimeType':'image/png','data':"
       "'aGk='}}]}},{'functionResponse':{'id':'b','name':'g','response':{"
       "'error':'e'}}}]},{'role':'user','parts':[{'text':'So?'}]}]}", "");

    /* Of calls of the same id the later one; of none the id is all there is. */

    asked = "gemini-2.5-flash";
    OG("{'messages':[{'role':'tool','tool_call_id':'z','content':'1'}]}",
       "{'contents':[{'role':'user','parts':[{'functionResponse':{'id':'z',"
       "'name':'z','response':{'output':'1'}}}]}]}", "");
}


static void
settings(void **state)
{
    (void) state;

    asked = "gemini-2.5-flash";
    OG("{" M ",'max_tokens':9,'temperature':0.50,'top_p':0.1,'top_k':3,'n':2,"
       "'stop':'E','presence_penalty':1,'frequency_penalty':0.5,'seed':7,"
       "'logprobs':true,'top_logprobs':4,'modalities':['text','image']}",
       "{'generationConfig':{'maxOutputTokens':9,'temperature':0.50,'topP':0.1"
       ",'topK':3,'candidateCount':2,'stopSequences':['E'],'presencePenalty':1"
       ",'frequencyPenalty':0.5,'seed':7,'responseLogprobs':true,'logprobs':4,"
       "'responseModalities':['TEXT','IMAGE']}}", "");
    OG("{" M ",'logit_bias':{'5':1},'user':'u','metadata':{'a':'b'},'store':"
       "true,'verbosity':'low','service_tier':'flex','prompt_cache_key':'k',"
       "'min_p':0.1}", "{'generationConfig':null,'serviceTier':'flex'}",
       "min_p, logit_bias, verbosity, metadata, prompt_cache_key, store, "
       "user");
    asks("anthropic", "gemini", "{" M ",'max_tokens':9,'service_tier':"
         "'standard_only'}", "{'serviceTier':'standard'}", "");
    asks("openai", "vertex", "{" M ",'service_tier':'flex'}",
         "{'serviceTier':null}", "service_tier");
    asks("openai", "gemini", "{" M ",'service_tier':'scale'}",
         "{'serviceTier':null}", "service_tier");
    OG("{" M ",'response_format':{'type':'json_object'}}",
       "{'generationConfig':{'responseMimeType':'application/json'}}", "");
    OG("{" M ",'response_format':{'type':'json_schema','json_schema':{'name':"
       "'n','strict':true,'description':'d','schema':{'type':'object','b':1,"
       "'a':2}}}}",
       "{'generationConfig':{'responseMimeType':'application/json',"
       "'responseJsonSchema':{'type':'object','b':1,'a':2}}}",
       "response_format.json_schema.description");
}


#define THINKS(model, client, request, config)                               \
    asked = model;                                                            \
    asks(client, "gemini", "{" M "," request "}",                             \
         "{'generationConfig':{'thinkingConfig':" config "}}", "")


static void
reasoning(void **state)
{
    (void) state;

    THINKS("gemini-2.5-flash", "openai", "'reasoning_effort':'low'",
           "{'thinkingBudget':1024,'includeThoughts':true}");
    THINKS("gemini-2.5-flash", "openai", "'reasoning_effort':'none'",
           "{'thinkingBudget':0}");
    THINKS("gemini-2.5-pro", "openai", "'reasoning_effort':'none'",
           "{'thinkingBudget':128}");
    THINKS("gemini-2.5-pro", "openai", "'reasoning_effort':'xhigh'",
           "{'thinkingBudget':32768,'includeThoughts':true}");
    THINKS("gemini-3-flash-preview", "openai", "'reasoning_effort':'medium'",
           "{'thinkingLevel':'medium','includeThoughts':true}");
    THINKS("gemini-3-pro-preview", "openai", "'reasoning_effort':'medium'",
           "{'thinkingLevel':'high','includeThoughts':true}");
    THINKS("gemini-3-flash-preview", "openai", "'reasoning_effort':'none'",
           "{'thinkingLevel':'minimal'}");
    THINKS("gemini-3.1-pro-preview", "openai", "'reasoning_effort':'minimal'",
           "{'thinkingLevel':'low','includeThoughts':true}");
    asked = "gemini-2.5-flash";
    AG("{" M ",'max_tokens':30000,'thinking':{'type':'enabled',"
       "'budget_tokens':25000}}",
       "{'generationConfig':{'maxOutputTokens':30000,'thinkingConfig':{"
       "'thinkingBudget':24576,'includeThoughts':true}}}",
       "thinking.budget_tokens (is 24576 at most)");
    AG("{" M ",'max_tokens':9,'thinking':{'type':'adaptive'}}",
       "{'generationConfig':{'maxOutputTokens':9,'thinkingConfig':{"
       "'thinkingBudget':-1,'includeThoughts':true}}}", "");
    AG("{" M ",'max_tokens':9,'thinking':{'type':'disabled'}}",
       "{'generationConfig':{'maxOutputTokens':9,'thinkingConfig':{"
       "'thinkingBudget':0}}}", "");
    asked = "gemini-2.0-flash";
    OG("{" M ",'reasoning_effort':'low'}", "{'generationConfig':null}",
       "reasoning_effort (this model does not think)");
}


/* What a client has of an answer goes back as the provider said it. */

static void
signatures(void **state)
{
    (void) state;

    asked = "gemini-3-flash-preview";
    says("openai", "gemini",
         SAYS("[{'text':'hm','thought':true},{'text':'I look.'},{"
              "'functionCall':{'name':'f','args':{'k':1},'id':'a'},"
              "'thoughtSignature':'c2ln'},{'functionCall':{'name':'g',"
              "'args':{},'id':'b'}}]"),
         "choices.0.message.tool_calls",
         "[{'id':'a','type':'function','function':{'name':'f','arguments':"
         "'{\\'k\\':1}'},'extra_content':{'google':{'thought_signature':"
         "'c2ln'}}},{'id':'b','type':'function','function':{'name':'g',"
         "'arguments':'{}'}}]");
    says("anthropic", "gemini",
         SAYS("[{'text':'hm','thought':true},{'text':'I look.'},{"
              "'functionCall':{'name':'f','args':{'k':1},'id':'a'},"
              "'thoughtSignature':'c2ln'}]"),
         "content",
         "[{'type':'thinking','thinking':'hm','signature':'ai:gemini:'},"
         "{'type':'text','text':'I look.'},{'type':'redacted_thinking','data':"
         "'ai:gemini:c2ln'},{'type':'tool_use','id':'a','name':'f','input':"
         "{'k':1}}]");

#define BACK                                                                  \
       "{'contents':[{'role':'model','parts':[{'text':'hm','thought':true},"  \
       "{'text':'I look.'},{'functionCall':{'id':'a','name':'f','args':{'k':" \
       "1}},'thoughtSignature':'c2ln'}]}]}"

    AG("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'thinking','thinking':'hm','signature':'ai:gemini:'},{'type':'text',"
       "'text':'I look.'},{'type':'redacted_thinking','data':'ai:gemini:c2ln'}"
       ",{'type':'tool_use','id':'a','name':'f','input':{'k':1}}]}]}",
       BACK, "");
    OG("{'messages':[{'role':'assistant','content':'I look.',"
       "'reasoning_details':[{'type':'reasoning.text','text':'hm','format':"
       "'google-gemini-v1','index':0}],'tool_calls':[{'id':'a','type':"
       "'function','function':{'name':'f','arguments':'{\\'k\\':1}'},"
       "'extra_content':{'google':{'thought_signature':'c2ln'}}}]}]}",
       BACK, "");

    /* That of a text stands beside it, where the client keeps reasoning. */

    says("openai", "gemini",
         SAYS("[{'text':'a'},{'text':'b','thoughtSignature':'c2ln'}]"),
         "choices.0.message.reasoning_details",
         "[{'type':'reasoning.encrypted','data':'c2ln','format':"
         "'google-gemini-v1','index':0}]");
    OG("{'messages':[{'role':'assistant','content':'ab','reasoning_details':"
       "[{'type':'reasoning.encrypted','data':'c2ln','format':"
       "'google-gemini-v1','index':0}]}]}",
       "{'contents':[{'role':'model','parts':[{'text':'ab','thoughtSignature':"
       "'c2ln'}]}]}", "");
    says("anthropic", "gemini",
         SAYS("[{'text':'a','thoughtSignature':'c2ln'}]"), "content",
         "[{'type':'text','text':'a'}]");
    assert_string_equal(dropped,
                        "candidates[0].content.parts[0].thoughtSignature");
    AG("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'text','text':'a'},{'type':'redacted_thinking','data':"
       "'ai:gemini:c2ln'}]}]}",
       "{'contents':[{'role':'model','parts':[{'text':'a'},{'text':'',"
       "'thoughtSignature':'c2ln'}]}]}", "");

    /* Another's are not known there. */

    AG("{'max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
       "'thinking','thinking':'h','signature':'c2ln'},{'type':'text','text':"
       "'a'}]}]}",
       "{'contents':[{'role':'model','parts':[{'text':'a'}]}]}",
       "messages[0].content[0]");
}


static void
answers_say(void **state)
{
    (void) state;

    says("openai", "gemini", SAYS("[{'text':'a'},{'text':'b'}]"),
         "choices.0.message.content", "'ab'");
    says("openai", "gemini", SAYS("[{'text':'a'}]"), "id", "'chatcmpl-r'");
    says("openai", "gemini", SAYS("[{'text':'a'}]"), "model", "'g'");
    says("openai", "gemini",
         SAYS("[{'functionCall':{'name':'f'}},{'functionCall':{'name':'f',"
              "'args':{}}}]"), "choices.0.message.tool_calls",
         "[{'id':'call_job_0123_0','type':'function','function':{'name':'f',"
         "'arguments':'{}'}},{'id':'call_job_0123_1','type':'function',"
         "'function':{'name':'f','arguments':'{}'}}]");
    says("openai", "gemini",
         SAYS("[{'inlineData':{'mimeType':'image/png','data':'aGk='}}]"),
         "choices.0.message.images",
         "[{'type':'image_url','image_url':{'url':"
         "'data:image/png;base64,aGk='}}]");
    says("anthropic", "gemini",
         SAYS("[{'executableCode':{'code':'c'}},{'text':'a'}]"), "content",
         "[{'type':'text','text':'a'}]");
    assert_string_equal(dropped, "candidates[0].content.parts[0]");
    says("openai", "gemini",
         "{'candidates':[{'index':1,'content':{'parts':[{'text':'b'}]}},"
         "{'content':{'parts':[{'text':'a'}]}}]}",
         "choices.1.message.content", "'b'");
    assert_null(answers("openai", "gemini", "{}"));
    assert_null(answers("openai", "gemini", "{'candidates':3}"));
    assert_null(answers("openai", "gemini",
                        "{'candidates':[{'index':-1}]}"));
}


static void
finishes(void **state)
{
    size_t  i;
    char    text[256], want[64];

    static const char *const  words[][3] = {
        { "STOP", "stop", "end_turn" },
        { "MAX_TOKENS", "length", "max_tokens" },
        { "SAFETY", "content_filter", "refusal" },
        { "RECITATION", "content_filter", "refusal" },
        { "PROHIBITED_CONTENT", "content_filter", "refusal" },
        { "MALFORMED_FUNCTION_CALL", "stop", "end_turn" },
        { "NEWER", "stop", "end_turn" },
    };

    (void) state;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        snprintf(text, sizeof(text), "{'candidates':[{'content':{},"
                 "'finishReason':'%s','finishMessage':'m'}]}", words[i][0]);
        snprintf(want, sizeof(want), "'%s'", words[i][1]);
        says("openai", "gemini", text, "choices.0.finish_reason", want);
        assert_string_equal(dropped, i == 0 ? ""
                                     : "candidates[0].finishMessage");
        snprintf(want, sizeof(want), "'%s'", words[i][2]);
        says("anthropic", "gemini", text, "stop_reason", want);
    }

    says("openai", "gemini",
         SAYS("[{'functionCall':{'name':'f','args':{}}}]"),
         "choices.0.finish_reason", "'tool_calls'");
    says("openai", "gemini", "{'promptFeedback':{'blockReason':'SAFETY',"
         "'safetyRatings':[]},'usageMetadata':{'promptTokenCount':3}}",
         "choices.0.finish_reason", "'content_filter'");
    assert_string_equal(dropped, "");
    says("anthropic", "gemini", "{'promptFeedback':{'blockReason':'OTHER',"
         "'blockReasonMessage':'No.'}}", "content",
         "[{'type':'text','text':'No.'}]");
    says("anthropic", "gemini", "{'promptFeedback':{'blockReason':'OTHER',"
         "'blockReasonMessage':'No.'}}", "stop_reason", "'refusal'");
}


static void
usage(void **state)
{
    static const char  said[] =
        "{'candidates':[{'content':{'parts':[{'text':'a'}]}}],"
        "'usageMetadata':{'promptTokenCount':100,'cachedContentTokenCount':40,"
        "'candidatesTokenCount':7,'thoughtsTokenCount':20,"
        "'toolUsePromptTokenCount':5,'totalTokenCount':132,"
        "'promptTokensDetails':[{'modality':'TEXT','tokenCount':90},"
        "{'modality':'AUDIO','tokenCount':10}],'candidatesTokensDetails':"
        "[{'modality':'AUDIO','tokenCount':3}],'serviceTier':'standard'}}";

    (void) state;

    says("openai", "gemini", said, "usage",
         "{'prompt_tokens':105,'completion_tokens':27,'total_tokens':132,"
         "'prompt_tokens_details':{'cached_tokens':40,'audio_tokens':10},"
         "'completion_tokens_details':{'reasoning_tokens':20,'audio_tokens':3,"
         "'accepted_prediction_tokens':0,'rejected_prediction_tokens':0}}");
    assert_string_equal(dropped, "");
    says("anthropic", "gemini", said, "usage",
         "{'input_tokens':65,'cache_creation_input_tokens':0,"
         "'cache_read_input_tokens':40,'output_tokens':27,"
         "'output_tokens_details':{'thinking_tokens':20}}");
}


/* Places are of bytes there, with two for the first letter. */

static void
citations(void **state)
{
    static const char  said[] =
        "{'candidates':[{'content':{'parts':[{'text':'hm','thought':true},"
        "{'text':'\303\244b cd'}]},'groundingMetadata':{'groundingChunks':["
        "{'web':{'uri':'https://h/1','title':'one'}},{'web':{'uri':"
        "'https://h/2'}}],'groundingSupports':[{'segment':{'partIndex':1,"
        "'startIndex':4,'endIndex':6,'text':'cd'},'groundingChunkIndices':"
        "[0,1,9]}],'webSearchQueries':['q']}}]}";

    (void) state;

    says("openai", "gemini", said, "choices.0.message.annotations",
         "[{'type':'url_citation','url_citation':{'start_index':3,'end_index':"
         "5,'url':'https://h/1','title':'one'}},{'type':'url_citation',"
         "'url_citation':{'start_index':3,'end_index':5,'url':'https://h/2',"
         "'title':''}}]");
    assert_string_equal(dropped,
                        "candidates[0].groundingMetadata.webSearchQueries");
    says("anthropic", "gemini", said, "content.1.citations.0",
         "{'type':'web_search_result_location','url':'https://h/1','title':"
         "'one','cited_text':'cd','encrypted_index':''}");
    says("openai", "gemini",
         "{'candidates':[{'content':{'parts':[{'text':'a\\u00e4\\ud83d\\ude00b'"
         "}]},'citationMetadata':{'citationSources':[{'startIndex':7,"
         "'endIndex':8,'uri':'https://h/3'},{'license':'x'}]}}]}",
         "choices.0.message.annotations",
         "[{'type':'url_citation','url_citation':{'start_index':3,'end_index':"
         "4,'url':'https://h/3','title':''}}]");
    says("openai", "gemini",
         "{'candidates':[{'content':{'parts':[{'text':'a'}]},"
         "'groundingMetadata':{'groundingChunks':[{'retrievedContext':{'uri':"
         "'gs://b/x','title':'x'}}]}}]}", "choices.0.message.annotations",
         "[{'type':'url_citation','url_citation':{'start_index':0,'end_index':"
         "1,'url':'gs://b/x','title':'x'}}]");
}


static void
logprobs(void **state)
{
    (void) state;

    says("openai", "gemini",
         "{'candidates':[{'content':{'parts':[{'text':'a'}]},"
         "'logprobsResult':{'chosenCandidates':[{'token':'a','tokenId':5,"
         "'logProbability':-0.25}],'topCandidates':[{'candidates':[{'token':"
         "'a','logProbability':-0.25},{'token':'\303\244','logProbability':-2}"
         "]}]}}]}",
         "choices.0.logprobs",
         "{'content':[{'token':'a','logprob':-0.25,'bytes':[97],"
         "'top_logprobs':[{'token':'a','logprob':-0.25,'bytes':[97]},{'token':"
         "'\303\244','logprob':-2,'bytes':[195,164]}]}],'refusal':null}");
}


/* The text of a stream's chunks, of one choice, and its finish. */

static void
streams_say(void **state)
{
    int   end;
    char  *all;

    (void) state;

    /* A finish with every event; what is cited of a text that goes on. */

    all = stream("openai", "gemini",
        "data: {'candidates':[{'content':{'parts':[{'text':'a'}]},"
        "'finishReason':'STOP'}],'modelVersion':'g','responseId':'r'}\r\n\r\n"
        "data: {'candidates':[{'content':{'parts':[{'text':'b'}]},"
        "'finishReason':'STOP'}],'usageMetadata':{'promptTokenCount':3,"
        "'candidatesTokenCount':2}}\r\n\r\n"
        "data: {'candidates':[{'content':{'parts':[{'text':'',"
        "'thoughtSignature':'c2ln'}]},'finishReason':'STOP',"
        "'groundingMetadata':{'groundingChunks':[{'web':{'uri':'https://h',"
        "'title':'t'}}]}}]}\r\n\r\n", &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(all, "{\"content\":\"a\"}"));
    assert_non_null(strstr(all, "{\"content\":\"b\"}"));
    assert_non_null(strstr(all, "\"start_index\":0,\"end_index\":2,\"url\":"
                                "\"https://h\""));
    assert_non_null(strstr(all, "\"data\":\"c2ln\""));
    assert_non_null(strstr(all, "\"finish_reason\":\"stop\""));
    assert_null(strstr(strstr(all, "\"finish_reason\":\"stop\"") + 1,
                       "\"finish_reason\":\"stop\""));
    assert_string_equal(dropped, "");
    free(all);

    /* Candidates in turn; a prompt that was blocked; one that broke off. */

    all = stream("openai", "gemini",
        "data: {'candidates':[{'content':{'parts':[{'text':'a'}]}},{'index':1,"
        "'content':{'parts':[{'text':'b'}]}}]}\n\n"
        "data: {'candidates':[{'index':1,'content':{'parts':[{'text':'c'}]},"
        "'finishReason':'MAX_TOKENS'}]}\n\n"
        "data: {'candidates':[{'index':0,'content':{},'finishReason':'STOP'}]}"
        "\n\n", &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(all, "{\"index\":1,\"delta\":{\"content\":\"c\"}"));
    assert_non_null(strstr(all, "{\"index\":1,\"delta\":{},\"logprobs\":null,"
                                "\"finish_reason\":\"length\"}"));
    assert_non_null(strstr(all, "{\"index\":0,\"delta\":{},\"logprobs\":null,"
                                "\"finish_reason\":\"stop\"}"));
    free(all);

    all = stream("anthropic", "gemini", "data: {'promptFeedback':{"
                 "'blockReason':'SAFETY'}}\n\n", &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(all, "\"stop_reason\":\"refusal\""));
    free(all);

    all = stream("openai", "gemini", "data: {'candidates':[{'content':{"
                 "'parts':[{'text':'a'}]}}]}\n\n", &end);
    assert_int_equal(end, 0);
    free(all);

    all = stream("openai", "gemini", "data: {'candidates':[{\n\n", &end);
    assert_int_equal(end, -2);
    free(all);

    /* Thoughts, a call that is signed, usage of what came last. */

    all = stream("anthropic", "gemini",
        "data: {'candidates':[{'content':{'parts':[{'text':'h','thought':true}"
        "]}}],'usageMetadata':{'promptTokenCount':3,'candidatesTokenCount':9,"
        "'thoughtsTokenCount':5}}\n\n"
        "data: {'candidates':[{'content':{'parts':[{'text':'m','thought':true,"
        "'thoughtSignature':'c2ln'},{'functionCall':{'name':'f','args':{'k':1}"
        "}}]},'finishReason':'STOP'}],'usageMetadata':{'promptTokenCount':3,"
        "'candidatesTokenCount':2,'thoughtsTokenCount':4}}\n\n"
        "data: {'usageMetadata':{'promptTokenCount':3}}\n\n", &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(all, "\"signature\":\"ai:gemini:c2ln\""));
    assert_non_null(strstr(all, "\"id\":\"call_job_0123_0\""));
    assert_non_null(strstr(all, "\"partial_json\":\"{\\\"k\\\":1}\""));
    assert_non_null(strstr(all, "\"output_tokens\":6"));
    assert_non_null(strstr(all, "\"stop_reason\":\"tool_use\""));
    free(all);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(texts_and_roles),
        cmocka_unit_test(media),
        cmocka_unit_test(tools),
        cmocka_unit_test(calls),
        cmocka_unit_test(results),
        cmocka_unit_test(settings),
        cmocka_unit_test(reasoning),
        cmocka_unit_test(signatures),
        cmocka_unit_test(answers_say),
        cmocka_unit_test(finishes),
        cmocka_unit_test(usage),
        cmocka_unit_test(citations),
        cmocka_unit_test(logprobs),
        cmocka_unit_test(streams_say),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
