/*
 * Dialects: what is changed in a request, what is read from and cut out of an
 * answer.
 */

#include "ai_unit.h"

#include "provider.h"


/* The request as a dialect sends it, freed by the next call. */

static ai_str_t
sent(const provider_t *p, const char *body, const char *model, int stream,
    int usage, int *added)
{
    int                 rc;
    size_t              len;
    char               *out;
    provider_request_t  req;
    static char        *last;

    memset(&req, 0, sizeof(req));
    req.body = Z(body);
    req.model = Z(model);
    req.stream = stream ? 1 : 0;
    req.usage = usage ? 1 : 0;
    len = 0;

    rc = p->request(&req, &out, &len, added);

    if (rc != 0) {
        return (ai_str_t) { 5, "error" };
    }

    if (out == NULL) {
        assert_int_equal(len, req.body.len);
        return req.body;
    }

    free(last);
    last = out;

    return (ai_str_t) { len, out };
}


static void
model_is_replaced_in_place(void **state)
{
    int  added;

    (void) state;

    is_str(sent(&provider_openai, "{\"t\":0.70,\"model\" : \"a\" ,\"n\":1e0}",
                "b\"c", 0, 1, &added),
           "{\"t\":0.70,\"model\" : \"b\\\"c\" ,\"n\":1e0}");
    assert_int_equal(added, 0);

    is_str(sent(&provider_openai, " {\"model\":\"a\"}\n", "a", 0, 1, &added),
           " {\"model\":\"a\"}\n");
    is_str(sent(&provider_anthropic, "{\"x\":{\"model\":1},\"model\":\"\"}",
                "claude", 1, 1, &added),
           "{\"x\":{\"model\":1},\"model\":\"claude\"}");
    assert_int_equal(added, 0);
}


static void
bad_requests(void **state)
{
    int       added;
    size_t    i;

    static const char *const  bad[] = {
        "", "[]", "{}", "{\"model\":1}", "{\"model\":\"a\"", "{\"model\":null}",
        "{\"model\":\"a\",\"model\":\"b\"}", "{\"model\":\"a\"}x"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_str(sent(&provider_openai, bad[i], "m", 1, 1, &added), "error");
        is_str(sent(&provider_anthropic, bad[i], "m", 1, 1, &added), "error");
    }
}


static void
usage_is_asked_for(void **state)
{
    int     added;
    size_t  i;

    static const char *const  cases[][2] = {
        { "{\"model\":\"m\"}",
          "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\"}" },
        { " {\"model\":\"a\", \"stream_options\" :null}",
          " {\"model\":\"m\", \"stream_options\" :{\"include_usage\":true}}" },
        { "{\"stream_options\":{},\"model\":\"a\"}",
          "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\"}" },
        { "{\"model\":\"m\",\"stream_options\":{ \"x\":[1]}}",
          "{\"model\":\"m\",\"stream_options\":{\"include_usage\":true,"
          " \"x\":[1]}}" },
        { "{\"model\":\"m\",\"stream_options\":{\"x\":1,"
          "\"include_usage\":false}}",
          "{\"model\":\"m\",\"stream_options\":{\"x\":1,"
          "\"include_usage\":true}}" },
        { "{\"model\":\"m\",\"stream_options\":{\n}}",
          "{\"model\":\"m\",\"stream_options\":{\"include_usage\":true\n}}" },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is_str(sent(&provider_openai, cases[i][0], "m", 1, 1, &added),
               cases[i][1]);
        assert_int_equal(added, 1);
        is_str(sent(&provider_openai, cases[i][1], "m", 1, 1, &added),
               cases[i][1]);
        assert_int_equal(added, 0);
    }

    is_str(sent(&provider_openai, "{\"model\":\"m\"}", "m", 1, 0, &added),
           "{\"model\":\"m\"}");
    is_str(sent(&provider_openai, "{\"model\":\"m\"}", "m", 0, 1, &added),
           "{\"model\":\"m\"}");
}


/* What of an event goes on. */

static ai_str_t
passed(const provider_t *p, provider_usage_t *u, const char *event, int added)
{
    ai_str_t        raw;
    provider_cut_t  cut;
    static char     left[1024];

    raw = Z(event);

    switch (p->event(u, raw, added, &cut)) {

    case PROVIDER_DROP:
        return (ai_str_t) { 4, "drop" };

    case PROVIDER_CUT:
        assert_true(cut.start < cut.end && cut.end <= raw.len);
        memcpy(left, raw.data, cut.start);
        memcpy(left + cut.start, raw.data + cut.end, raw.len - cut.end);
        return (ai_str_t) { raw.len - (cut.end - cut.start), left };

    default:
        return raw;
    }
}


static void
usage_is_filtered(void **state)
{
    size_t            i;
    provider_usage_t  u;

    static const char *const  cases[][2] = {
        { "data: {\"choices\":[{}],\"usage\":null}\n\n",
          "data: {\"choices\":[{}]}\n\n" },
        { "data: {\"usage\":null,\"choices\":[{}]}\r\n\r\n",
          "data: {\"choices\":[{}]}\r\n\r\n" },
        { "id: 3\ndata:{ \"usage\" : null , \"choices\":[{}]}\n\n",
          "id: 3\ndata:{  \"choices\":[{}]}\n\n" },
        { "data: {\"choices\":[{}] ,\n\n", "data: {\"choices\":[{}] ,\n\n" },
        { "data: {\"usage\":null}\n\n", "data: {}\n\n" },
        { "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
          "drop" },
        { "data: {\"choices\":[{\"delta\":{}}],"
          "\"usage\":{\"prompt_tokens\":1}}\n\n", NULL },
        { "data: {\"choices\":[{\"delta\":{\"content\":"
          "\"\\\"usage\\\":null\"}}]}\n\n", NULL },
        { "data: {\"choices\":[]}\n\n", NULL },
        { ": ping\n\n", NULL },
        { "data: [DONE]\n\n", NULL },
        { "data: {\"choices\":[{}],\ndata: \"usage\":null}\n\n", NULL },
    };

    (void) state;

    provider_usage_init(&u);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is_str(passed(&provider_openai, &u, cases[i][0], 1),
               cases[i][1] != NULL ? cases[i][1] : cases[i][0]);
        is_str(passed(&provider_openai, &u, cases[i][0], 0), cases[i][0]);
    }
}


static void
openai_usage_is_read(void **state)
{
    provider_usage_t  u;

    (void) state;

    provider_usage_init(&u);
    passed(&provider_openai, &u, "data: {\"choices\":[{\"index\":0,\"delta\":"
           "{\"content\":\"1234\"},\"finish_reason\":null}]}\n\n", 0);
    passed(&provider_openai, &u, "data: {\"choices\":[{\"delta\":"
           "{\"reasoning_content\":\"12\",\"tool_calls\":[{\"index\":0,"
           "\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n", 0);
    assert_int_equal(u.text_bytes, 8);
    assert_int_equal(u.output, -1);
    assert_int_equal(u.complete, 0);

    passed(&provider_openai, &u, "data: {\"choices\":[{\"delta\":{},"
           "\"finish_reason\":\"length\"}]}\n\n", 0);
    assert_string_equal(u.finish, "length");

    passed(&provider_openai, &u, "data: {\"choices\":[],\"usage\":{"
           "\"prompt_tokens\":10,\"completion_tokens\":20,"
           "\"prompt_tokens_details\":{\"cached_tokens\":4},"
           "\"completion_tokens_details\":{\"reasoning_tokens\":7}}}\n\n", 0);
    assert_int_equal(u.input, 10);
    assert_int_equal(u.output, 20);
    assert_int_equal(u.cached_read, 4);
    assert_int_equal(u.reasoning, 7);
    assert_int_equal(u.cached_write, -1);

    passed(&provider_openai, &u, "data: [DONE]\n\n", 0);
    assert_int_equal(u.complete, 1);
    assert_int_equal(u.error, 0);

    provider_usage_init(&u);
    passed(&provider_openai, &u, "data: {\"error\":{\"message\":\"x\"}}\n\n",
           0);
    assert_int_equal(u.error, 1);

    provider_usage_init(&u);
    passed(&provider_openai, &u, "data: {\"choices\":[{}],\"x_groq\":{"
           "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}}\n\n", 0);
    assert_int_equal(u.input, 3);
    assert_int_equal(u.output, 5);

    provider_usage_init(&u);
    provider_openai.body(&u, T("{\"choices\":[{\"finish_reason\":\"stop\","
                               "\"message\":{\"content\":\"abc\"}}],"
                               "\"usage\":{\"prompt_tokens\":1,"
                               "\"completion_tokens\":2,"
                               "\"prompt_cache_hit_tokens\":1}}"));
    assert_int_equal(u.input, 1);
    assert_int_equal(u.output, 2);
    assert_int_equal(u.cached_read, 1);
    assert_string_equal(u.finish, "stop");

    /* A guess is of all answers. */

    provider_usage_init(&u);
    provider_openai.body(&u, T("{\"choices\":[{\"message\":{\"content\":"
                               "\"abc\"}},{\"message\":{\"content\":\"defg\"}},"
                               "{\"text\":\"h\"}]}"));
    assert_int_equal(u.text_bytes, 8);

    /* What others call cached. */

    provider_usage_init(&u);
    provider_openai.body(&u, T("{\"usage\":{\"prompt_tokens\":9,"
                               "\"num_cached_tokens\":3}}"));
    assert_int_equal(u.cached_read, 3);
    provider_openai.body(&u, T("{\"usage\":{\"prompt_tokens\":9,"
                               "\"cached_tokens\":5}}"));
    assert_int_equal(u.cached_read, 5);

    /* Reasoning that stands beside the output is a part of it, too; told
     * twice, once. */

    provider_usage_init(&u);
    passed(&provider_openai, &u, "data: {\"choices\":[],\"usage\":{"
           "\"prompt_tokens\":12,\"completion_tokens\":1,\"total_tokens\":"
           "399,\"completion_tokens_details\":{\"reasoning_tokens\":386}}}"
           "\n\n", 0);
    assert_int_equal(u.output, 387);
    assert_int_equal(u.reasoning, 386);
    passed(&provider_openai, &u, "data: {\"choices\":[],\"usage\":{"
           "\"prompt_tokens\":12,\"completion_tokens\":2,\"total_tokens\":"
           "400,\"completion_tokens_details\":{\"reasoning_tokens\":386}}}"
           "\n\n", 0);
    assert_int_equal(u.output, 388);
    passed(&provider_openai, &u, "data: {\"choices\":[],\"usage\":{"
           "\"prompt_tokens\":12,\"completion_tokens\":388,\"total_tokens\":"
           "400,\"completion_tokens_details\":{\"reasoning_tokens\":386}}}"
           "\n\n", 0);
    assert_int_equal(u.output, 388);

    provider_usage_init(&u);
    provider_openai.body(&u, T("<html>no</html>"));
    assert_int_equal(u.input, -1);
    provider_openai.body(&u, T("{\"usage\":{\"prompt_tokens\":-5}}"));
    assert_int_equal(u.input, -1);
}


/* Input counts what was and what is cached; counts are cumulative. */

static void
anthropic_usage_is_read(void **state)
{
    provider_usage_t  u;

    (void) state;

    provider_usage_init(&u);
    passed(&provider_anthropic, &u, "event: message_start\ndata: {\"type\":"
           "\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,"
           "\"cache_creation_input_tokens\":20,\"cache_read_input_tokens\":100,"
           "\"output_tokens\":1}}}\n\n", 0);
    assert_int_equal(u.input, 125);
    assert_int_equal(u.output, 1);
    assert_int_equal(u.cached_read, 100);
    assert_int_equal(u.cached_write, 20);

    passed(&provider_anthropic, &u, "event: content_block_delta\ndata: {"
           "\"type\":\"content_block_delta\",\"delta\":{\"type\":"
           "\"text_delta\",\"text\":\"12345\"}}\n\n", 0);
    assert_int_equal(u.text_bytes, 5);

    passed(&provider_anthropic, &u, "event: message_delta\ndata: {\"type\":"
           "\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},"
           "\"usage\":{\"output_tokens\":9}}\n\n", 0);
    assert_int_equal(u.input, 125);
    assert_int_equal(u.output, 9);
    assert_string_equal(u.finish, "max_tokens");

    passed(&provider_anthropic, &u, "event: message_delta\ndata: {\"type\":"
           "\"message_delta\",\"delta\":{},\"usage\":{\"input_tokens\":7,"
           "\"cache_creation_input_tokens\":20,\"cache_read_input_tokens\":100,"
           "\"output_tokens\":12}}\n\n", 0);
    assert_int_equal(u.input, 127);
    assert_int_equal(u.output, 12);
    assert_int_equal(u.complete, 0);

    passed(&provider_anthropic, &u,
           "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", 0);
    assert_int_equal(u.complete, 1);

    passed(&provider_anthropic, &u, "event: error\ndata: {\"type\":\"error\","
           "\"error\":{\"type\":\"overloaded_error\"}}\n\n", 0);
    assert_int_equal(u.error, 1);

    provider_usage_init(&u);
    provider_anthropic.body(&u, T("{\"content\":[{\"text\":\"a\"}],"
                                  "\"stop_reason\":\"end_turn\",\"usage\":{"
                                  "\"input_tokens\":2,\"output_tokens\":3}}"));
    assert_int_equal(u.input, 2);
    assert_int_equal(u.output, 3);
    assert_int_equal(u.cached_read, -1);
    assert_string_equal(u.finish, "end_turn");
}


static void
finish_is_bounded(void **state)
{
    char              event[512];
    provider_usage_t  u;

    (void) state;

    snprintf(event, sizeof(event), "data: {\"choices\":[{\"finish_reason\":"
             "\"%0200d\"}]}\n\n", 7);
    provider_usage_init(&u);
    passed(&provider_openai, &u, event, 0);
    assert_int_equal(strlen(u.finish), PROVIDER_FINISH_MAX - 1);
}


static void
dialects_are_found(void **state)
{
    (void) state;

    assert_ptr_equal(provider_find(T("openai")), &provider_openai);
    assert_ptr_equal(provider_find(T("anthropic")), &provider_anthropic);
    assert_null(provider_find(T("echo")));
    assert_ptr_equal(provider_find(T("azure")), &provider_azure);
    assert_ptr_equal(provider_for(T("openai"), T("chat")), &provider_openai);
    assert_ptr_equal(provider_for(T("openai"), T("embeddings")),
                     &provider_openai_embeddings);
    assert_ptr_equal(provider_for(T("anthropic"), T("count_tokens")),
                     &provider_anthropic_count);
    assert_ptr_equal(provider_for(T("anthropic"), T("completions")),
                     &provider_anthropic);
    assert_null(provider_for(T("echo"), T("embeddings")));
    assert_true(provider_same(&provider_azure, AI_DIALECT_OPENAI, T("chat")));
    assert_false(provider_same(&provider_openai, AI_DIALECT_OPENAI,
                               T("embeddings")));
    assert_false(provider_same(&provider_gemini, AI_DIALECT_OPENAI,
                               T("chat")));
    assert_null(provider_find(EMPTY));
}


static int
place_model(ai_buf_t *b, const provider_place_t *p)
{
    ai_buf_add_z(b, "/v1beta/m/");

    if (provider_escape(b, p->model, ":") != 0) {
        return -1;
    }

    ai_buf_add_z(b, p->stream ? "/s?alt=sse" : "/g");

    return 0;
}


static int
url_is(const provider_t *p, const char *base, const char *model, int stream,
    const char *query, const char *url)
{
    int               rc;
    char              buf[256];
    ai_buf_t          b;
    provider_place_t  place;

    ai_buf_init(&b, buf, sizeof(buf));
    place.base = (ai_str_t) { strlen(base), base };
    place.model = (ai_str_t) { strlen(model), model };
    place.stream = stream;
    rc = provider_url(&b, p, &place, (ai_str_t) { strlen(query), query });
    ai_buf_add(&b, "", 1);

    return rc != 0 ? rc : b.full ? -2 : strcmp(buf, url) == 0;
}


static void
urls_are_made(void **state)
{
    provider_t  p;

    (void) state;

#define A  &provider_anthropic, "http://h"
    assert_int_equal(url_is(A, "m", 0, "", "http://h/v1/messages"), 1);
    assert_int_equal(url_is(A "/v1", "m", 1, "",
                            "http://h/v1/messages"), 1);
    assert_int_equal(url_is(A "/a/v4?x=1", "m", 1, "",
                            "http://h/a/v4/messages?x=1"), 1);
    assert_int_equal(url_is(A "/video", "m", 1, "b=2",
                            "http://h/video/v1/messages?b=2"), 1);
    assert_int_equal(url_is(A "/v1?x=1", "m", 1, "b=2",
                            "http://h/v1/messages?x=1&b=2"), 1);
#undef A

    assert_int_equal(url_is(&provider_openai, "http://h/a/v1", "m", 0, "",
                            "http://h/a/v1/chat/completions"), 1);

    p = provider_openai;
    p.place = place_model;

    assert_int_equal(url_is(&p, "http://h", "a", 0, "",
                            "http://h/v1beta/m/a/g"), 1);
    assert_int_equal(url_is(&p, "http://h/v1?k=v", "a:b/c?d#e %", 1, "q=1",
                            "http://h/v1/m/a:b%2Fc%3Fd%23e%20%25/s"
                            "?alt=sse&k=v&q=1"), 1);
    assert_int_equal(url_is(&p, "http://h", "\303\244", 0, "",
                            "http://h/v1beta/m/%C3%A4/g"), 1);
    assert_int_equal(url_is(&p, "http://h", "", 0, "", ""), -1);
    assert_int_equal(url_is(&p, "http://h", "..", 0, "", ""), -1);
    assert_int_equal(url_is(&p, "http://h", "a/../b", 0, "", ""), -1);
    assert_int_equal(url_is(&p, "http://h", "a\\.", 0, "", ""), -1);
    assert_int_equal(url_is(&p, "http://h", "..a/...", 0, "",
                            "http://h/v1beta/m/..a%2F.../g"), 1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(urls_are_made),
        cmocka_unit_test(model_is_replaced_in_place),
        cmocka_unit_test(bad_requests),
        cmocka_unit_test(usage_is_asked_for),
        cmocka_unit_test(usage_is_filtered),
        cmocka_unit_test(openai_usage_is_read),
        cmocka_unit_test(anthropic_usage_is_read),
        cmocka_unit_test(finish_is_bounded),
        cmocka_unit_test(dialects_are_found),
    };

    return run_group(tests);
}
