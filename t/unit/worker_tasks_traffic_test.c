/*
 * Recorded traffic of what is no chat: embeddings and counts as each other
 * provider would have been asked and would have answered, and recorded answers
 * of chats as a client of legacy completions gets them.  It lies at $AI_SHARED
 * or beside the repository; without it there is nothing to test here, which is
 * said.
 */

#include "worker_say_anthropic.h"
#include "worker_say_bedrock.h"
#include "worker_say_gemini.h"
#include "worker_say_openai.h"
#include "worker_say_responses.h"

#include "translate.h"


#define FILE_NAME   "traffic/recordings.jsonl"
#define FLOATS_MAX  4096

static const char *const  embedders[] = {
    "gemini_embeddings", "vertex_embeddings", "ollama_embeddings",
    "cohere_embeddings"
};

static const char *const  counters[] = { "gemini_count", "vertex_count" };

static const struct {
    const char *api;
    const char *dialect;
    void      (*object)(say_t *s, json_t *o);
    void      (*stream)(say_t *s, const char *text);
} chats[] = {
    { "openai.chat", "openai", say_openai_object, say_openai_stream },
    { "compatible.chat", "openai", say_openai_object, say_openai_stream },
    { "anthropic.messages", "anthropic", say_anthropic_object,
      say_anthropic_stream },
    { "openai.responses", "responses", say_responses_object,
      say_responses_stream },
    { "gemini.generate", "gemini", say_gemini_object, say_gemini_stream },
    { "gemini.stream", "gemini", say_gemini_object, say_gemini_stream },
    { "bedrock.converse", "bedrock", say_bedrock_object, NULL },
};

#define EMBEDDERS  (sizeof(embedders) / sizeof(embedders[0]))
#define COUNTERS   (sizeof(counters) / sizeof(counters[0]))
#define CHATS      (sizeof(chats) / sizeof(chats[0]))

static unsigned  tried[EMBEDDERS + COUNTERS + CHATS];
static unsigned  passed[EMBEDDERS + COUNTERS + CHATS];


static translate_t *
begin(const char *client, const char *provider, int stream)
{
    translate_t       *t;
    translate_call_t   call;

    memset(&call, 0, sizeof(call));
    call.client = dialect_find(client);
    call.provider = dialect_find(provider);
    call.model = ai_str("asked");
    call.job = ai_str("job_0123");
    call.now = 1700000000;
    call.stream = stream;
    t = translate_open(&call);
    assert_non_null(t);

    return t;
}


/* Little-endian single floats: how many, or 0. */

static size_t
base64_floats(const char *text, float *to)
{
    size_t      n;
    uint32_t    bits, word;
    unsigned    have, bytes;
    const char *at;

    static const char  letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789+/";

    n = 0;
    bits = 0;
    have = 0;
    word = 0;
    bytes = 0;

    for ( /* void */ ; *text != '\0' && *text != '='; text++) {
        at = strchr(letters, *text);

        if (at == NULL) {
            return 0;
        }

        bits = bits << 6 | (uint32_t) (at - letters);
        have += 6;

        if (have < 8) {
            continue;
        }

        have -= 8;
        word |= (bits >> have & 255) << 8 * bytes;

        if (++bytes == 4) {
            assert_true(n < FLOATS_MAX);
            memcpy(&to[n++], &word, sizeof(word));
            word = 0;
            bytes = 0;
        }
    }

    return bytes == 0 ? n : 0;
}


static size_t
floats(json_t *embedding, float *to)
{
    size_t   i;
    json_t  *n;

    if (json_is_string(embedding)) {
        return base64_floats(json_string_value(embedding), to);
    }

    assert_true(json_array_size(embedding) <= FLOATS_MAX);

    json_array_foreach(embedding, i, n) {
        to[i] = (float) json_number_value(n);
    }

    return json_array_size(embedding);
}


/* The i-th text that a provider is asked for. */

static const char *
embed_text(size_t which, json_t *o, size_t i)
{
    switch (which) {

    case 0:
        o = json_array_get(json_object_get(o, "requests"), i);
        o = json_object_get(json_object_get(o, "content"), "parts");
        return say_z(json_array_get(o, 0), "text");

    case 1:
        return say_z(json_array_get(json_object_get(o, "instances"), i),
                     "content");

    default:
        return json_string_value(json_array_get(
                   json_object_get(o, which == 2 ? "input" : "texts"), i));
    }
}


/* What a provider would have answered. */

static json_t *
embed_answer(size_t which, json_t *recorded, long tokens)
{
    float    v[FLOATS_MAX];
    size_t   i, k, n;
    json_t  *all, *one, *vector;

    all = json_array();

    json_array_foreach(json_object_get(recorded, "data"), i, one) {
        n = floats(json_object_get(one, "embedding"), v);
        vector = json_array();

        for (k = 0; k < n; k++) {
            json_array_append_new(vector, json_real((double) v[k]));
        }

        json_array_append_new(all, which == 0
            ? json_pack("{s:o}", "values", vector)
            : which == 1
            ? json_pack("{s:{s:o,s:{s:i}}}", "embeddings", "values", vector,
                        "statistics", "token_count", i == 0 ? (int) tokens : 0)
            : vector);
    }

    switch (which) {

    case 0:
        return json_pack("{s:o,s:{s:i}}", "embeddings", all, "usageMetadata",
                         "promptTokenCount", (int) tokens);

    case 1:
        return json_pack("{s:o}", "predictions", all);

    case 2:
        return json_pack("{s:s,s:o,s:i}", "model", "m", "embeddings", all,
                         "prompt_eval_count", (int) tokens);

    default:
        return json_pack("{s:s,s:{s:o},s:{s:{s:i}}}", "id", "e", "embeddings",
                         "float", all, "meta", "billed_units", "input_tokens",
                         (int) tokens);
    }
}


/* NULL: the client's answer has the recorded one's vectors. */

static const char *
embed_same(json_t *made, json_t *recorded, int base64, long tokens)
{
    float    a[FLOATS_MAX], b[FLOATS_MAX];
    size_t   i, n;
    json_t  *one, *other;

    if (json_array_size(json_object_get(made, "data"))
        != json_array_size(json_object_get(recorded, "data")))
    {
        return "another number of vectors";
    }

    json_array_foreach(json_object_get(made, "data"), i, one) {
        other = json_array_get(json_object_get(recorded, "data"), i);
        n = floats(json_object_get(one, "embedding"), a);

        if (json_is_string(json_object_get(one, "embedding")) != base64) {
            return "another encoding";
        }

        if (n == 0 || n != floats(json_object_get(other, "embedding"), b)
            || memcmp(a, b, n * sizeof(a[0])) != 0
            || say_n(one, "index", -1) != (long) i)
        {
            return "another vector";
        }
    }

    return say_n(json_object_get(made, "usage"), "prompt_tokens", -1)
           == tokens ? NULL : "other tokens";
}


/* NULL: a recorded pair went through one provider. */

static const char *
embed(size_t which, json_t *request, json_t *recorded)
{
    char         *text, *out;
    long          tokens;
    size_t        len, i, n;
    json_t       *input, *made, *said;
    const char   *why, *want, *got, *encoding;
    translate_t  *t;

    tokens = say_n(json_object_get(recorded, "usage"), "prompt_tokens", 0);
    text = json_dumps(request, JSON_COMPACT);
    t = begin("embeddings", embedders[which], 0);
    why = translate_request(t, Z(text), &out, &len) != 0 ? translate_why(t)
                                                         : NULL;
    free(text);
    made = NULL;
    said = NULL;

    if (why == NULL) {
        made = json_loadb(out, len, JSON_REJECT_DUPLICATES, NULL);
        why = made == NULL ? "is no JSON" : NULL;
    }

    input = json_object_get(request, "input");
    n = json_is_string(input) ? 1 : json_array_size(input);

    for (i = 0; why == NULL && i <= n; i++) {
        want = i == n ? NULL
               : json_string_value(json_is_string(input) ? input
                                   : json_array_get(input, i));
        got = embed_text(which, made, i);
        why = (want == NULL) == (got == NULL)
              && (want == NULL || strcmp(want, got) == 0) ? NULL
              : "another text";
    }

    free(out);
    json_decref(made);

    if (why == NULL) {
        made = embed_answer(which, recorded, tokens);
        text = json_dumps(made, JSON_COMPACT | JSON_REAL_PRECISION(9));
        why = translate_answer(t, 200, Z(text)) != 0 ? "no answer" : NULL;
        json_decref(made);
        free(text);
    }

    if (why == NULL) {
        said = json_loadb(translate_said(t).data, translate_said(t).len,
                          JSON_REJECT_DUPLICATES, NULL);
        encoding = say_z(request, "encoding_format");
        why = said == NULL ? "is no JSON"
              : embed_same(said, recorded, encoding != NULL
                           && strcmp(encoding, "base64") == 0, tokens);
    }

    json_decref(said);
    translate_close(t);

    return why;
}


static const char *
count(size_t which, json_t *request, json_t *recorded)
{
    long          tokens;
    char         *text, *out, answer[128];
    size_t        len, n;
    json_t       *made, *said, *contents;
    const char   *why;
    translate_t  *t;

    text = json_dumps(request, JSON_COMPACT);
    t = begin("count_tokens", counters[which], 0);
    why = translate_request(t, Z(text), &out, &len) != 0 ? translate_why(t)
                                                         : NULL;
    free(text);
    made = NULL;
    said = NULL;

    if (why == NULL) {
        made = json_loadb(out, len, JSON_REJECT_DUPLICATES, NULL);
        contents = which == 0 ? json_object_get(made,
                                                "generateContentRequest")
                              : made;
        n = json_array_size(json_object_get(contents, "contents"));
        why = made == NULL ? "is no JSON" : n == 0 ? "asks for nothing"
              : NULL;
    }

    free(out);
    tokens = say_n(recorded, "input_tokens", -1);

    if (why == NULL) {
        snprintf(answer, sizeof(answer), "{\"totalTokens\":%ld}", tokens);
        why = translate_answer(t, 200, Z(answer)) != 0 ? "no answer" : NULL;
    }

    if (why == NULL) {
        said = json_loadb(translate_said(t).data, translate_said(t).len, 0,
                          NULL);
        why = json_object_size(said) == 1
              && say_n(said, "input_tokens", -1) == tokens ? NULL
              : "another count";
    }

    json_decref(made);
    json_decref(said);
    translate_close(t);

    return why;
}


/* The first choice's text of an object, or of a chunk of a stream. */

static void
completion_text(char **to, json_t *o)
{
    size_t   i;
    json_t  *choice;

    json_array_foreach(json_object_get(o, "choices"), i, choice) {
        if (say_n(choice, "index", -1) == 0) {
            say_add(to, say_z(choice, "text"));
        }
    }
}


/* A stream in the smallest pieces, as the client gets it: NULL where it is
 * none. */

static char *
completion_events(translate_t *t, const char *text)
{
    char      *all;
    size_t     len;
    ai_str_t   said;

    all = NULL;
    len = 0;

    for ( /* void */ ; ; text++) {

        if (*text != '\0'
            ? translate_bytes(t, (ai_str_t) { 1, text }, &said) < 0
            : translate_end(t, &said) < 0)
        {
            free(all);
            return NULL;
        }

        all = realloc(all, len + said.len + 1);
        assert_non_null(all);

        if (said.len != 0) {
            memcpy(all + len, said.data, said.len);
        }

        len += said.len;
        all[len] = '\0';

        if (*text == '\0') {
            return all;
        }
    }
}


static const char *
completion(size_t which, const char *text, int stream)
{
    char          event[64], *all, *data, *got;
    say_t         s;
    json_t       *o;
    const char   *why, *p;
    translate_t  *t;

    say_init(&s);
    got = NULL;
    say_add(&got, "");
    t = begin("completions", chats[which].dialect, stream);

    if (stream) {
        chats[which].stream(&s, text);
        all = completion_events(t, text);
        why = all == NULL ? "no stream" : NULL;
        p = all;

        while (all != NULL && say_event(&p, event, sizeof(event), &data)) {
            o = json_loads(data, 0, NULL);
            completion_text(&got, o);
            json_decref(o);
            free(data);
        }

        free(all);

    } else {
        o = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
        chats[which].object(&s, o);
        json_decref(o);
        why = translate_answer(t, 200, Z(text)) != 0 ? "no answer" : NULL;

        if (why == NULL) {
            o = json_loadb(translate_said(t).data, translate_said(t).len,
                           JSON_REJECT_DUPLICATES, NULL);
            why = o == NULL ? "is no JSON" : NULL;
            completion_text(&got, o);
            json_decref(o);
        }
    }

    if (why == NULL && !s.error && strcmp(got, s.text) != 0) {
        why = "another text";
    }

    free(got);
    say_free(&s);
    translate_close(t);

    return why;
}


static void
judge(json_t *r, size_t row, const char *name, const char *why)
{
    tried[row]++;
    passed[row] += why == NULL;

    if (why != NULL) {
        print_message("# %s -> %s: %s\n", say_z(r, "id"), name, why);
    }
}


static void
line(json_t *r)
{
    int          stream;
    size_t       i;
    json_t      *recorded, *request;
    const char  *api, *text;

    api = say_z(r, "api");
    text = say_z(r, "response");
    request = json_object_get(r, "request");
    stream = json_is_true(json_object_get(r, "stream"));

    if (say_n(r, "status", 200) != 200 || text == NULL) {
        return;
    }

    recorded = stream ? NULL : json_loads(text, 0, NULL);

    for (i = 0; strcmp(api, "openai.embeddings") == 0 && i < EMBEDDERS; i++) {
        judge(r, i, embedders[i], embed(i, request, recorded));
    }

    for (i = 0; strcmp(api, "anthropic.count_tokens") == 0 && i < COUNTERS;
         i++)
    {
        judge(r, EMBEDDERS + i, counters[i], count(i, request, recorded));
    }

    json_decref(recorded);

    for (i = 0; i < CHATS; i++) {
        if (strcmp(api, chats[i].api) == 0) {
            judge(r, EMBEDDERS + COUNTERS + i, "completions",
                  completion(i, text, stream));
        }
    }
}


static void
recordings(void **state)
{
    char         *buf, path[4096];
    FILE         *f;
    size_t        i, size;
    json_t       *r;
    ssize_t       len;
    const char   *shared, *from, *to;

    (void) state;

    shared = getenv("AI_SHARED");
    snprintf(path, sizeof(path), "%s/" FILE_NAME,
             shared != NULL ? shared : "../shared");
    f = fopen(path, "r");

    if (f == NULL) {
        print_message("# SKIPPED: no recordings at %s\n", path);
        skip();
    }

    buf = NULL;
    size = 0;

    while ((len = getline(&buf, &size, f)) > 0) {
        r = json_loadb(buf, (size_t) len, 0, NULL);
        line(r);
        json_decref(r);
    }

    free(buf);
    fclose(f);

    for (i = 0; i < EMBEDDERS + COUNTERS + CHATS; i++) {
        from = i < EMBEDDERS ? "openai.embeddings"
               : i < EMBEDDERS + COUNTERS ? "anthropic.count_tokens"
               : chats[i - EMBEDDERS - COUNTERS].api;
        to = i < EMBEDDERS ? embedders[i]
             : i < EMBEDDERS + COUNTERS ? counters[i - EMBEDDERS]
             : "completions";
        print_message("# %-22s -> %-18s %4u tried, %4u passed\n", from, to,
                      tried[i], passed[i]);
        assert_true(tried[i] != 0);
    }

    for (i = 0; i < EMBEDDERS + COUNTERS + CHATS; i++) {
        assert_int_equal(passed[i], tried[i]);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(recordings),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
