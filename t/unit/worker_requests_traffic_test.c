/*
 * Recorded requests of clients to providers of which there are no recordings,
 * and to others' endpoints for embeddings and counting: each is valid for them
 * and holds as many calls.  They lie at $AI_SHARED or beside the repository;
 * without them there is nothing to test here, which is said.
 */

#include "worker_translate_unit.h"
#include "worker_valid.h"


#define FILE_NAME  "traffic/recordings.jsonl"


static const struct {
    const char  *api;
    const char  *client;
    const char  *providers[4];
} apis[] = {
    { "openai.chat", "openai", { "ollama", "cohere", "vertex" } },
    { "compatible.chat", "openai", { "ollama", "cohere", "vertex" } },
    { "anthropic.messages", "anthropic", { "ollama", "cohere", "vertex" } },
    { "openai.responses", "responses", { "ollama", "cohere", "vertex" } },
    { "openai.embeddings", "embeddings",
      { "gemini_embeddings", "vertex_embeddings" } },
    { "anthropic.count_tokens", "count_tokens",
      { "gemini_count", "vertex_count" } },
};

#define APIS  (sizeof(apis) / sizeof(apis[0]))

static unsigned  tried[APIS][4], passed[APIS][4];


/* Calls in a request's history, whatever it is written in. */

static unsigned
calls(json_t *o)
{
    size_t       i, k;
    json_t      *m, *b;
    unsigned     n;
    const char  *type;

    n = 0;

    json_array_foreach(json_object_get(o, "messages"), i, m) {
        n += json_array_size(json_object_get(m, "tool_calls"))
             + json_is_object(json_object_get(m, "function_call"));

        json_array_foreach(json_object_get(m, "content"), k, b) {
            type = say_z(b, "type");
            n += type != NULL && strcmp(type, "tool_use") == 0;
        }
    }

    json_array_foreach(json_object_get(o, "input"), i, m) {
        type = say_z(m, "type");
        n += type != NULL && strcmp(type, "function_call") == 0;
    }

    json_array_foreach(json_object_get(o, "contents"), i, m) {
        json_array_foreach(json_object_get(m, "parts"), k, b) {
            n += json_object_get(b, "functionCall") != NULL;
        }
    }

    return n;
}


static unsigned
inputs(json_t *request)
{
    json_t  *input;

    input = json_object_get(request, "input");

    return json_is_array(input) ? json_array_size(input) : 1;
}


static const char *
gemini_embeddings(json_t *made, json_t *request)
{
    size_t   i;
    json_t  *m, *parts;

    m = json_object_get(made, "requests");

    if (json_object_size(made) != 1 || json_array_size(m) != inputs(request)) {
        return "another number of texts";
    }

    json_array_foreach(json_object_get(made, "requests"), i, m) {
        parts = json_object_get(json_object_get(m, "content"), "parts");

        if (say_z(m, "model") == NULL
            || say_z(json_array_get(parts, 0), "text") == NULL
            || say_n(m, "outputDimensionality", 0)
               != say_n(request, "dimensions", 0))
        {
            return "an invalid text";
        }
    }

    return NULL;
}


static const char *
vertex_embeddings(json_t *made, json_t *request)
{
    size_t   i;
    json_t  *m;

    m = json_object_get(made, "instances");

    if (json_array_size(m) != inputs(request)
        || say_n(json_object_get(made, "parameters"), "outputDimensionality",
                 0)
           != say_n(request, "dimensions", 0))
    {
        return "another number of texts, or of dimensions";
    }

    json_array_foreach(json_object_get(made, "instances"), i, m) {
        if (say_z(m, "content") == NULL) {
            return "an invalid text";
        }
    }

    return NULL;
}


static const char *
judged(const char *provider, json_t *made, json_t *request)
{
    json_t      *inner;
    const char  *bad;

    if (strcmp(provider, "gemini_embeddings") == 0) {
        return gemini_embeddings(made, request);
    }

    if (strcmp(provider, "vertex_embeddings") == 0) {
        return vertex_embeddings(made, request);
    }

    /* Gemini wraps what it counts, and wants its model there. */

    inner = made;

    if (strcmp(provider, "gemini_count") == 0) {
        inner = json_object_get(made, "generateContentRequest");

        if (say_z(inner, "model") == NULL) {
            return "no model";
        }

        json_object_del(inner, "model");
    }

    bad = valid(strstr(provider, "_count") != NULL ? "gemini" : provider,
                inner);

    return bad != NULL ? bad
           : calls(inner) != calls(request) ? "another number of calls" : NULL;
}


static void
one(size_t a, size_t to, const char *id, json_t *request)
{
    char         *text, *out;
    size_t        len;
    json_t       *made;
    const char   *bad;
    translate_t  *t;

    text = json_dumps(request, JSON_COMPACT | JSON_PRESERVE_ORDER);
    t = begin(apis[a].client, apis[a].providers[to],
              json_is_true(json_object_get(request, "stream")));
    out = NULL;
    bad = translate_request(t, Z(text), &out, &len) != 0
          ? translate_why(t) : NULL;
    made = NULL;

    if (bad == NULL) {
        made = json_loadb(out, len, JSON_REJECT_DUPLICATES, NULL);
        bad = made == NULL ? "is no JSON"
              : judged(apis[a].providers[to], made, request);
    }

    tried[a][to]++;
    passed[a][to] += bad == NULL;

    if (bad != NULL) {
        print_message("# %s -> %s: %s\n# %.2000s\n", id,
                      apis[a].providers[to], bad, out != NULL ? out : text);
    }

    free(out);
    free(text);
    json_decref(made);
    translate_close(t);
}


static void
line(json_t *r)
{
    size_t       a, to;
    json_t      *request;
    const char  *api;

    api = say_z(r, "api");
    request = json_object_get(r, "request");

    for (a = 0; a < APIS && strcmp(apis[a].api, api) != 0; a++) {
        /* void */
    }

    /* What stands on another answer is made whole before. */

    if (a == APIS || say_n(r, "status", 200) != 200
        || say_z(request, "previous_response_id") != NULL
        || json_object_get(request, "conversation") != NULL
        || (json_array_size(json_object_get(request, "messages")) == 0
            && json_array_size(json_object_get(request, "input")) == 0
            && !json_is_string(json_object_get(request, "input"))))
    {
        return;
    }

    for (to = 0; apis[a].providers[to] != NULL; to++) {
        one(a, to, say_z(r, "id"), request);
    }
}


static void
requests(void **state)
{
    char        *buf, path[4096];
    FILE        *f;
    size_t       a, to, size;
    json_t      *r;
    ssize_t      got;
    unsigned     n;
    const char  *shared;

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
    n = 0;

    while ((got = getline(&buf, &size, f)) > 0) {
        r = json_loadb(buf, (size_t) got, 0, NULL);
        line(r);
        json_decref(r);
    }

    free(buf);
    fclose(f);

    for (a = 0; a < APIS; a++) {
        for (to = 0; apis[a].providers[to] != NULL; to++) {
            print_message("# %-22s -> %-17s requests %4u tried, %4u passed\n",
                          apis[a].api, apis[a].providers[to], tried[a][to],
                          passed[a][to]);
            n += tried[a][to];
        }
    }

    for (a = 0; a < APIS; a++) {
        for (to = 0; apis[a].providers[to] != NULL; to++) {
            assert_int_equal(tried[a][to], passed[a][to]);
        }
    }

    assert_true(n > 1000);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(requests),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
