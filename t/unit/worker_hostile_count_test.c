/*
 * What a provider counts, measures or fails with to do harm: tokens beyond all
 * bounds, vectors of anything but numbers, errors where events are; and large
 * answers, whose usage stands at their end, and whose strings are looked at
 * once.
 */

#include "worker_ask.h"
#include "worker_frames.h"

#include "answer.h"
#include "hello.h"
#include "tree.h"

#define SAID(usage)                                                            \
    "{'output':{'message':{'role':'assistant','content':[{'text':'a'}]}},"     \
    "'stopReason':'end_turn','usage':" usage "}"


static void
bedrock_counts(void **state)
{
    (void) state;

    asked = "anthropic.claude-sonnet-4-5";
    says("openai", "bedrock",
         SAID("{'inputTokens':9223372036854775807,'outputTokens':-5,"
              "'cacheReadInputTokens':9223372036854775807,"
              "'cacheWriteInputTokens':1}"), "usage.total_tokens", "0");
    says("openai", "bedrock",
         SAID("{'inputTokens':9000000000000000000,'outputTokens':1}"),
         "usage.total_tokens", "1");
    says("openai", "bedrock",
         SAID("{'inputTokens':2,'outputTokens':3,'cacheReadInputTokens':-1,"
              "'cacheWriteInputTokens':4}"), "usage.prompt_tokens", "6");
}


/* An answer to embeddings of n inputs, NULL: it is none. */

static char *
embedded(const char *provider, const char *format, unsigned n,
    const char *answer)
{
    int           rc;
    char          request[256], *text, *quote, *out;
    size_t        len;
    ai_str_t      said;
    translate_t  *t;

    snprintf(request, sizeof(request), "{'model':'m','encoding_format':'%s',"
             "'input':['a'%s]}", format, n > 1 ? ",'b'" : "");
    quote = quoted(request);
    t = begin("embeddings", provider, 0);
    assert_int_equal(translate_request(t, Z(quote), &out, &len), 0);
    free(out);
    free(quote);

    text = quoted(answer);
    rc = translate_answer(t, 200, Z(text));
    said = translate_said(t);
    out = rc == 0 ? strndup(said.data, said.len) : NULL;
    free(text);
    translate_close(t);

    return out;
}


static void
vectors(void **state)
{
    char      answer[256], *out;
    size_t    i, k;
    json_t   *o;

    static const char *const  formats[] = { "float", "base64" };
    static const char *const  bad[] = {
        "[]", "[ ]", "['x']", "['1']", "[1,'2']", "[[1]]", "[1,[2]]", "[{}]",
        "[null]", "[true]", "[1,null]", "{}", "'1'", "1", "null", "[1e999]",
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (k = 0; k < 2; k++) {
            snprintf(answer, sizeof(answer), "{'embeddings':[{'values':%s}]}",
                     bad[i]);
            out = embedded("gemini_embeddings", formats[k], 1, answer);

            /* As it was written it may be what no float is. */

            if (out != NULL && (k == 1 || strcmp(bad[i], "[1e999]") != 0)) {
                print_error("%s is a vector\n", bad[i]);
                fail();
            }

            free(out);
        }
    }

    out = embedded("gemini_embeddings", "base64", 1,
                   "{'embeddings':[{'values':[ 1,\n-0.5 ,1E2,3.4028235e38]}]}");
    assert_non_null(out);
    o = json_loads(out, 0, NULL);
    assert_string_equal(say_z(json_array_get(json_object_get(o, "data"), 0),
                              "embedding"), "AACAPwAAAL8AAMhC//9/fw==");
    json_decref(o);
    free(out);

    /* As many as were asked for. */

    assert_null(embedded("gemini_embeddings", "float", 2,
                         "{'embeddings':[{'values':[1]}]}"));
    assert_null(embedded("gemini_embeddings", "float", 1,
                         "{'embeddings':[{'values':[1]},{'values':[1]}]}"));
}


static void
vertex_counts(void **state)
{
    char    *out;
    size_t   i;

    static const char *const  counts[] = {
        "9223372036854775807", "1000000000000000", "1e300", "-1e300", "'7'",
        "-4",
    };

    (void) state;

    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        char  answer[512];

        snprintf(answer, sizeof(answer),
                 "{'predictions':[{'embeddings':{'values':[1],'statistics':{"
                 "'token_count':%s}}},{'embeddings':{'values':[2],"
                 "'statistics':{'token_count':%s}}}]}", counts[i], counts[i]);
        out = embedded("vertex_embeddings", "float", 2, answer);
        assert_non_null(out);
        assert_non_null(strstr(out, "\"prompt_tokens\":1,"));   /* a guess */
        free(out);
    }
}


/* Frames. */

static char *
frames_said(const frames_t *f, int *end)
{
    char         *out;
    ai_str_t      said;
    translate_t  *t;

    t = begin("anthropic", "bedrock", 1);
    *end = translate_bytes(t, (ai_str_t) { f->len, f->data }, &said);
    out = strndup(said.data != NULL ? said.data : "", said.len);

    if (*end == 0) {
        *end = translate_end(t, &said);
    }

    translate_close(t);

    return out;
}


static void
errors_that_are_events(void **state)
{
    int        end;
    char      *out, headers[512];
    size_t     i, n;
    frames_t   f;

    static const char *const  kinds[][2] = {
        { "exception", "internalFailure" }, { "event", "somethingNew" },
        { "exception", "throttled" },
    };

    (void) state;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        memset(&f, 0, sizeof(f));
        frames_add(&f, kinds[i][0], kinds[i][1], "{\"message\":\"lost it\"}");
        out = frames_said(&f, &end);
        assert_non_null(strstr(out, "event: error"));
        assert_non_null(strstr(out, "lost it"));
        free(out);
        free(f.data);
    }

    /* AWS' own errors have their words in a header; they may be JSON. */

    memset(&f, 0, sizeof(f));
    n = frame_header(headers, ":message-type", "error");
    n += frame_header(headers + n, ":error-code", "InternalFailure");
    n += frame_header(headers + n, ":error-message",
                       "{\"message\":\"lost it\"}");
    frames_raw(&f, headers, n, "", 0);
    out = frames_said(&f, &end);
    assert_non_null(strstr(out, "event: error"));
    assert_non_null(strstr(out, "lost it"));
    free(out);
    free(f.data);

    /* The first of some streams has no payload. */

    memset(&f, 0, sizeof(f));
    frames_add(&f, "event", "initial-response", "");
    frames_add(&f, "event", "messageStart", "{\"role\":\"assistant\"}");
    out = frames_said(&f, &end);
    assert_null(strstr(out, "event: error"));
    assert_non_null(strstr(out, "message_start"));
    free(out);
    free(f.data);
}


/* Large ones. */

static void
usage_is_at_the_end(void **state)
{
    char              *text;
    size_t             i, n, cut, at;
    answer_t           a;
    route_t            route;
    const char        *last;
    provider_usage_t   u;

    static const struct {
        const char *end;
        int64_t     input;
    } ends[] = {
        { "],\"usage\":{\"prompt_tokens\":77,\"total_tokens\":77}}", 77 },
        { "],\n \"usage\" : {\"prompt_tokens\": 77},\"model\":\"m\"}\n", 77 },
        { "],\"user\":\"{\\\"usage\\\":{\\\"prompt_tokens\\\":9}\"}", -1 },
        { "],\"x\":{\"usage\":{\"prompt_tokens\":9}}}", -1 },
        { "],\"usage\":{\"prompt_tokens\":9", -1 },
        { "],\"usage\":9}", -1 },
        { "]}", -1 },
    };

    (void) state;

    memset(&route, 0, sizeof(route));
    n = ANSWER_USAGE_MAX + 70000;
    text = malloc(n + 128);
    assert_non_null(text);

    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        last = ends[i].end;
        memset(text, '1', n);
        memcpy(text, "{\"data\":[", 9);
        strcpy(text + n, last);

        for (cut = 1000; cut < 100000; cut = cut * 8 + 1) {
            answer_init(&a, NULL, &provider_openai_embeddings,
                        AI_DIALECT_OPENAI, &route);
            answer_header(&a, Z("content-type"), Z("application/json"));
            answer_head(&a, 200);

            for (at = 0; text[at] != '\0'; /* void */ ) {
                size_t  len;

                len = strlen(text + at) < cut ? strlen(text + at) : cut;
                assert_int_equal(answer_bytes(&a, tight(text + at, len)), 0);
                at += len;
            }

            u = a.usage;
            answer_read(&a, &u);
            assert_int_equal(u.input, ends[i].input);
            assert_false(u.broken);
            answer_free(&a);
        }
    }

    free(text);
}


static void
greetings_are_small(void **state)
{
    char      *text;
    size_t     i, n;
    ai_str_t   raw;

    static const size_t  sizes[] = { 100, 60000, 70000, 2000000 };

    (void) state;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        n = sizes[i];
        text = malloc(n + 256);
        assert_non_null(text);
        strcpy(text, "data: {\"type\":\"response.created\",\"response\":{"
                     "\"instructions\":\"");
        memset(text + strlen(text), 'x', n);
        text[n] = '\0';
        strcat(text, "\"}}\n\n");
        raw = Z(text);
        assert_int_equal(hello_is(raw), n < 65536);
        free(text);
    }
}


/* Long strings of any number and at any depth end where they do. */

static void
long_strings(void **state)
{
    char      *text, *p;
    size_t     i, len;
    tree_t     t;
    node_t    *n, *root;
    ai_str_t   s;

    (void) state;

    text = malloc(40 * 9000);
    assert_non_null(text);
    p = text + sprintf(text, " {\"a\":[{\"b\":{");

    for (i = 0; i < 30; i++) {
        p += sprintf(p, "%s\"k%zu\":{\"v\":\"", i != 0 ? "," : "", i);
        memset(p, 'x', 8192);

        for (len = i; len < 8000; len += 40 - i) {
            memcpy(p + len, "\\\"}\\\\", 5);
        }

        p += 8192;
        p += sprintf(p, "%s\"}", i % 2 ? "\\\\" : "\\\"");
    }

    strcpy(p, "}}] , \"z\" : 1 } \n");
    tree_init(&t);

    for (i = 0; i < 2; i++) {
        root = tree_parse(&t, Z(text));
        assert_non_null(root);
        assert_int_equal(root->text.data[root->text.len - 1], '}');
        assert_int_equal(node_int(node_get(&t, root, "z"), 0), 1);
        n = node_peek(&t, node_first(&t, node_peek(&t, root, "a")), "b");
        assert_int_equal(node_count(&t, n), 30);

        for (n = node_first(&t, n); n != NULL; n = n->next) {
            s = node_text(node_peek(&t, n, "v"));
            assert_int_equal(s.len, 8194);
            assert_int_equal(node_count(&t, n), 1);
        }
    }

    tree_free(&t);
    free(text);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(bedrock_counts),
        cmocka_unit_test(vectors),
        cmocka_unit_test(vertex_counts),
        cmocka_unit_test(errors_that_are_events),
        cmocka_unit_test(usage_is_at_the_end),
        cmocka_unit_test(greetings_are_small),
        cmocka_unit_test(long_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
