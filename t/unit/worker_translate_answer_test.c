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


/* Legacy functions are answered as such, in both forms. */

static void
functions(void **state)
{
    int           end;
    char         *out, *text;
    json_t       *o;
    size_t        len;
    ai_str_t      said;
    translate_t  *t;
    const char   *ask;

    (void) state;

    ask = "{'messages':[{'role':'user','content':'x'}],'functions':[{'name':"
          "'f'}]}";
    text = quoted(ask);
    t = begin("openai", "anthropic", 0);
    assert_int_equal(translate_request(t, Z(text), &out, &len), 0);
    free(out);
    free(text);
    text = quoted(MSG("{'type':'tool_use','id':'a','name':'f','input':{'x':1}}"
                      ",{'type':'tool_use','id':'b','name':'f','input':{}}",
                      "tool_use"));
    assert_int_equal(translate_answer(t, 200, Z(text)), 0);
    free(text);
    said = translate_said(t);
    o = json_loadb(said.data, said.len, 0, NULL);
    assert_non_null(o);
    has(json_object_get(json_array_get(json_object_get(o, "choices"), 0),
                        "message"),
        "{'tool_calls':null,'function_call':{'name':'f',"
        "'arguments':'{\\'x\\':1}'}}");
    has(json_array_get(json_object_get(o, "choices"), 0),
        "{'finish_reason':'function_call'}");
    note(t);
    assert_string_equal(dropped, "more than one function_call");
    json_decref(o);
    translate_close(t);

    text = quoted(ask);
    t = begin("openai", "anthropic", 1);
    assert_int_equal(translate_request(t, Z(text), &out, &len), 0);
    free(out);
    free(text);
    out = streamed(t, EV("message_start", ",'message':{'id':'m'}")
                   EV("content_block_start", ",'index':0,'content_block':{"
                      "'type':'tool_use','id':'t','name':'f','input':{}}")
                   EV("content_block_delta", ",'index':0,'delta':{'type':"
                      "'input_json_delta','partial_json':'{\\'a\\':1}'}")
                   EV("content_block_stop", ",'index':0")
                   EV("content_block_start", ",'index':1,'content_block':{"
                      "'type':'tool_use','id':'u','name':'g','input':{}}")
                   EV("content_block_delta", ",'index':1,'delta':{'type':"
                      "'input_json_delta','partial_json':'{}'}")
                   EV("content_block_stop", ",'index':1")
                   EV("message_delta", ",'delta':{'stop_reason':'tool_use'}")
                   EV("message_stop", ""), &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "\"function_call\":{\"name\":\"f\","
                                "\"arguments\":\"\"}"));
    assert_non_null(strstr(out, "\"function_call\":{\"arguments\":"
                                "\"{\\\"a\\\":1}\"}"));
    assert_null(strstr(out, "\"g\""));
    assert_null(strstr(out, "tool_calls"));
    assert_non_null(strstr(out, "\"finish_reason\":\"function_call\""));
    assert_string_equal(dropped, "more than one function_call");
    free(out);
}


static void
texts_and_reasoning(void **state)
{
    (void) state;

    says("openai", "anthropic",
         MSG("{'type':'text','text':'a'},{'type':'text','text':'b'}",
             "end_turn"), "choices.0.message.content", "'ab'");
    says("openai", "anthropic",
         MSG("{'type':'redacted_thinking','data':'ZA=='},{'type':'thinking',"
             "'thinking':'t','signature':'s'},{'type':'text','text':'x'}",
             "end_turn"), "choices.0.message.reasoning_details",
         "[{'type':'reasoning.encrypted','data':'ZA==','format':"
         "'anthropic-claude-v1','index':0},{'type':'reasoning.text','text':'t'"
         ",'signature':'s','format':'anthropic-claude-v1','index':1}]");
    says("anthropic", "openai",
         CMPL("'content':[{'type':'thinking','thinking':[{'type':'text','text':"
              "'h'}],'closed':true},{'type':'text','text':'x'}]", "stop"),
         "content", "[{'type':'thinking','thinking':'h','signature':"
         "'ai:openai:'},{'type':'text','text':'x'}]");
    assert_string_equal(dropped, "");
}


/* All that a dialect has, through its own reader and writer. */

static void
openai_to_itself(void **state)
{
    int     end;
    char   *out;

    (void) state;

    says("openai", "openai",
         CMPL("'content':'a','annotations':[{'type':'url_citation',"
              "'url_citation':{'url':'u','title':'t','start_index':0,"
              "'end_index':1}}],'images':[{'type':'image_url','image_url':{"
              "'url':'data:image/png;base64,aGk='}},{'type':'image_url',"
              "'image_url':{'url':'https://h/i'}}],'audio':{'id':'au','data':"
              "'aGk=','transcript':'b','expires_at':7},'tool_calls':[{'id':"
              "'c','type':'function','function':{'name':'f','arguments':'{}'},"
              "'extra_content':{'google':{'thought_signature':'g'}}}]",
              "tool_calls"), "choices.0.message",
         "{'role':'assistant','content':'ab','refusal':null,'annotations':[{"
         "'type':'url_citation','url_citation':{'start_index':0,'end_index':1,"
         "'url':'u','title':'t'}}],'images':[{'type':'image_url','image_url':{"
         "'url':'data:image/png;base64,aGk='}},{'type':'image_url','image_url':"
         "{'url':'https://h/i'}}],'audio':{'id':'au','data':'aGk=',"
         "'transcript':'','expires_at':0},'tool_calls':[{'id':'c','type':"
         "'function','function':{'name':'f','arguments':'{}'}}]}");
    assert_string_equal(dropped, "choices[0].message.audio.expires_at");
    says("openai", "openai", CMPL("'content':null,'refusal':'no'", "stop"),
         "choices.0.message.refusal", "'no'");
    says("openai", "openai",
         "{'id':'c','created':1,'model':'g','choices':[{'index':0,'message':{"
         "'content':'x'},'logprobs':{'content':[{'token':'x','logprob':-0.5,"
         "'top_logprobs':[]}]},'finish_reason':'stop'}],'usage':{"
         "'prompt_tokens':9,'completion_tokens':8,'prompt_tokens_details':{"
         "'cached_tokens':1,'audio_tokens':2,'cache_write_tokens':3},"
         "'completion_tokens_details':{'reasoning_tokens':4,'audio_tokens':5,"
         "'accepted_prediction_tokens':6,'rejected_prediction_tokens':7}}}",
         "usage", "{'prompt_tokens':9,'completion_tokens':8,'total_tokens':17,"
         "'prompt_tokens_details':{'cached_tokens':1,'audio_tokens':2,"
         "'cache_write_tokens':3},'completion_tokens_details':{"
         "'reasoning_tokens':4,'audio_tokens':5,'accepted_prediction_tokens':6,"
         "'rejected_prediction_tokens':7}}");

    out = stream("openai", "openai",
                 CH("{'reasoning_details':[{'type':'reasoning.text','text':'t'"
                    ",'format':'anthropic-claude-v1','index':0}]}", "null")
                 CH("{'reasoning_details':[{'type':'reasoning.text',"
                    "'signature':'s','format':'anthropic-claude-v1','index':0}"
                    "]}", "null")
                 CH("{'reasoning_details':[{'type':'reasoning.encrypted',"
                    "'data':'ZA==','format':'openai-responses-v1','index':1}]}",
                    "null")
                 CH("{'content':'a'}", "null")
                 CH("{'annotations':[{'type':'url_citation','url_citation':{"
                    "'url':'u','title':'t'}}]}", "null")
                 CH("{'refusal':'no'}", "null")
                 CH("{'images':[{'type':'image_url','image_url':{'url':'i'}}]}",
                    "null")
                 CH("{'audio':{'id':'au','data':'aGk='}}", "null")
                 "data: {'id':'c','choices':[{'index':0,'delta':{},'logprobs':"
                 "{'content':[{'token':'a'}]},'finish_reason':null}]}\n\n"
                 "data: {'id':'c','choices':[{'index':1,'delta':{'content':"
                 "'z'},'finish_reason':'length'}]}\n\n"
                 CH("{}", "'stop'") "data: [DONE]\n\n", &end);
    assert_int_equal(end, 1);
    assert_string_equal(dropped, "");
    assert_non_null(strstr(out, "\"reasoning_content\":\"t\","
                                "\"reasoning_details\":[{\"type\":"
                                "\"reasoning.text\",\"text\":\"t\",\"format\":"
                                "\"anthropic-claude-v1\",\"index\":0}]"));
    assert_non_null(strstr(out, "\"signature\":\"s\""));
    assert_non_null(strstr(out, "\"data\":\"ZA==\""));
    assert_non_null(strstr(out, "\"annotations\":[{\"type\":\"url_citation\","
                                "\"url_citation\":{\"start_index\":0,"
                                "\"end_index\":1,\"url\":\"u\",\"title\":\"t\""
                                "}}]"));
    assert_non_null(strstr(out, "\"delta\":{\"refusal\":\"no\"}"));
    assert_non_null(strstr(out, "\"images\":[{\"type\":\"image_url\","
                                "\"image_url\":{\"url\":\"i\"}}]"));
    assert_non_null(strstr(out, "\"audio\":{\"data\":\"aGk=\"}"));
    assert_non_null(strstr(out, "\"logprobs\":{\"content\":[{\"token\":\"a\"}]"
                                "}"));
    assert_non_null(strstr(out, "{\"index\":1,\"delta\":{\"content\":\"z\"}"));
    assert_non_null(strstr(out, "\"finish_reason\":\"length\""));
    free(out);
}


static void
anthropic_to_itself(void **state)
{
    int     end;
    char   *out;

    (void) state;

    says("anthropic", "anthropic",
         MSG("{'type':'text','text':'x','citations':[{'type':"
             "'web_search_result_location','url':'u','title':'t','cited_text':"
             "'q','encrypted_index':'e'}]},{'type':'thinking',"
             "'thinking':'t','signature':'s'},{'type':'redacted_thinking',"
             "'data':'ZA=='},{'type':'tool_use','id':'t','name':'f','input':{"
             "'a':[1.50]}}", "stop_sequence"), "content",
         "[{'type':'text','text':'x','citations':[{'type':"
         "'web_search_result_location','url':'u','title':'t','cited_text':'q',"
         "'encrypted_index':''}]},{'type':'thinking','thinking':"
         "'t','signature':'s'},{'type':'redacted_thinking','data':'ZA=='},{"
         "'type':'tool_use','id':'t','name':'f','input':{'a':[1.5]}}]");

    out = stream("anthropic", "anthropic",
                 EV("message_start", ",'message':{'id':'m','model':'c',"
                    "'usage':{'input_tokens':1,'cache_creation':{"
                    "'ephemeral_1h_input_tokens':1}}}")
                 EV("content_block_start", ",'index':0,'content_block':{"
                    "'type':'redacted_thinking','data':'ZA=='}")
                 EV("content_block_stop", ",'index':0")
                 EV("content_block_start", ",'index':1,'content_block':{"
                    "'type':'text','text':''}")
                 EV("content_block_delta", ",'index':1,'delta':{'type':"
                    "'citations_delta','citation':{'type':"
                    "'web_search_result_location','url':'u','title':'t',"
                    "'cited_text':'q','encrypted_index':'e'}}")
                 EV("content_block_delta", ",'index':1,'delta':{'type':"
                    "'text_delta','text':'x'}")
                 EV("content_block_stop", ",'index':1")
                 EV("message_delta", ",'delta':{'stop_reason':'stop_sequence',"
                    "'stop_sequence':'END'},'usage':{'output_tokens':2}")
                 EV("message_stop", ""), &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "{\"type\":\"redacted_thinking\",\"data\":"
                                "\"ZA==\"}"));
    assert_non_null(strstr(out, "\"citation\":{\"type\":"
                                "\"web_search_result_location\",\"url\":"
                                "\"u\",\"title\":\"t\""));
    assert_non_null(strstr(out, "\"stop_sequence\":\"END\""));
    free(out);
}


/* Errors: of any shape, in the client's. */

static void
errors(void **state)
{
    size_t        i;
    char         *text;
    json_t       *o;
    ai_str_t      said;
    translate_t  *t;
    static const struct {
        const char *client;
        const char *provider;
        int         status;
        const char *body;
        const char *want;
    } row[] = {
        { "anthropic", "openai", 400, "{'error':{'message':'m','code':'c'}}",
          "{'type':'invalid_request_error','message':'m'}" },
        { "anthropic", "openai", 401, "{'error':'bad key'}",
          "{'type':'authentication_error','message':'bad key'}" },
        { "anthropic", "openai", 422, "{'message':'m'}",
          "{'type':'invalid_request_error','message':'m'}" },
        { "anthropic", "openai", 404, "{'detail':'none'}",
          "{'type':'not_found_error','message':'none'}" },
        { "anthropic", "openai", 500, "{}",
          "{'type':'api_error','message':'The provider gave no reason.'}" },
        { "anthropic", "openai", 503, "a 'word'",
          "{'type':'overloaded_error','message':'a \\'word\\''}" },
        { "openai", "anthropic", 429, "{'type':'error','error':{'type':"
          "'rate_limit_error','message':'slow'}}",
          "{'type':'rate_limit_error','message':'slow'}" },
        { "openai", "anthropic", 413, "",
          "{'message':'The provider gave no reason.'}" },
        { "openai", "openai", 400, "{'error':{'message':'m','type':'t','param':"
          "'p','code':'c'}}", "{'message':'m','param':'p','code':'c'}" },
        { "anthropic", "openai", 200, "{'error':{'message':'m','code':429}}",
          "{'type':'rate_limit_error','message':'m'}" },
    };

    (void) state;

    for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        text = quoted(row[i].body);
        t = begin(row[i].client, row[i].provider, 0);
        assert_int_equal(translate_answer(t, row[i].status, Z(text)), 0);
        said = translate_said(t);
        o = json_loadb(said.data, said.len, 0, NULL);
        assert_non_null(o);
        has(json_object_get(o, "error"), row[i].want);
        json_decref(o);
        free(text);
        translate_close(t);
    }
}


/* A provider whose streams are no server-sent events: a line each, and one that
 * begins with # says nothing. */

static long
lines(ai_str_t bytes, ai_str_t *name, ai_str_t *data)
{
    const char  *end;

    end = memchr(bytes.data, '\n', bytes.len);

    if (bytes.data[0] == '!') {
        return -1;
    }

    if (end == NULL) {
        return 0;
    }

    *name = ai_str("");
    *data = (ai_str_t) { bytes.data[0] == '#' ? 0 : (size_t) (end - bytes.data),
                         bytes.data };

    return end + 1 - bytes.data;
}


static void
frames(void **state)
{
    int          end;
    char        *out;
    dialect_t    d;

    (void) state;

    d = dialect_openai;
    d.frame = lines;
    d.frame_type = "application/x-ndjson";
    out = streamed(begin_of(dialect_find("anthropic"), &d, 1),
                   "#\n{'id':'c','choices':[{'index':0,'delta':{'content':'x'"
                   "}}]}\n{'id':'c','choices':[{'index':0,'delta':{},"
                   "'finish_reason':'stop'}]}\n[DONE]\n", &end);
    assert_int_equal(end, 1);
    assert_non_null(strstr(out, "\"text\":\"x\""));
    assert_non_null(strstr(out, "message_stop"));
    free(out);

    free(streamed(begin_of(dialect_find("anthropic"), &d, 1), "!", &end));
    assert_int_equal(end, -2);
    free(streamed(begin_of(dialect_find("anthropic"), &d, 1), "{'id'", &end));
    assert_int_equal(end, 0);
}


/* What a call says of itself, to the ledger and to the head. */

static void
usage(void **state)
{
    char              *text;
    translate_t       *t;
    provider_usage_t   u;

    (void) state;

    t = begin("anthropic", "openai", 0);
    assert_int_equal(translate_is_stream(t, ai_str("Text/Event-Stream; x")), 1);
    assert_int_equal(translate_is_stream(t, ai_str("text/event")), 0);
    assert_string_equal(translate_type(t, 1), "text/event-stream");
    assert_string_equal(translate_type(t, 0), "application/json");
    text = quoted(CMPL("'content':'four'", "length"));
    provider_usage_init(&u);
    assert_int_equal(translate_answer(t, 200, Z(text)), 0);
    translate_usage(t, &u);
    assert_int_equal(u.input, 1);
    assert_int_equal(u.output, 2);
    assert_int_equal(u.cached_read, -1);
    assert_int_equal(u.text_bytes, 4);
    assert_string_equal(u.finish, "length");
    assert_int_equal(u.complete, 1);
    assert_int_equal(u.error, 0);
    free(text);
    translate_close(t);

    t = begin("anthropic", "openai", 0);
    assert_int_equal(translate_answer(t, 500, ai_str("{}")), 0);
    translate_usage(t, &u);
    assert_int_equal(u.complete, 0);
    assert_int_equal(u.error, 1);
    translate_close(t);
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
        cmocka_unit_test(functions),
        cmocka_unit_test(texts_and_reasoning),
        cmocka_unit_test(openai_to_itself),
        cmocka_unit_test(anthropic_to_itself),
        cmocka_unit_test(errors),
        cmocka_unit_test(frames),
        cmocka_unit_test(usage),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
