/*
 * Recorded traffic of real providers, translated into each other dialect and
 * judged by jansson.  It lies at $AI_SHARED or beside the repository; without
 * it there is nothing to test here, which is said.
 */

#include "worker_frames.h"
#include "worker_say_anthropic.h"
#include "worker_say_bedrock.h"
#include "worker_say_gemini.h"
#include "worker_say_openai.h"
#include "worker_say_responses.h"
#include "worker_valid.h"

#include "translate.h"


#define FILE_NAME  "traffic/recordings.jsonl"

static const struct {
    const char *api;
    const char *dialect;
} apis[] = {
    { "openai.chat", "openai" },
    { "compatible.chat", "openai" },
    { "anthropic.messages", "anthropic" },
    { "openai.responses", "responses" },
    { "gemini.generate", "gemini" },
    { "gemini.stream", "gemini" },
    { "bedrock.converse", "bedrock" },
};

#define APIS  (sizeof(apis) / sizeof(apis[0]))

/* What a dialect's answers say. */
static const struct {
    const char *dialect;
    void      (*object)(say_t *s, json_t *o);
    void      (*stream)(say_t *s, const char *text);
} says[] = {
    { "openai", say_openai_object, say_openai_stream },
    { "anthropic", say_anthropic_object, say_anthropic_stream },
    { "responses", say_responses_object, say_responses_stream },
    { "gemini", say_gemini_object, say_gemini_stream },
    { "bedrock", say_bedrock_object, NULL },
};

#define SAYS  (sizeof(says) / sizeof(says[0]))

static unsigned  tried[APIS][SAYS][4], passed[APIS][SAYS][4];
static unsigned  nlines;


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
    call.usage = 1;
    call.ask_usage = 1;
    t = translate_open(&call);
    assert_non_null(t);

    return t;
}


static void
complain(const char *id, const char *to, const char *what, const char *text)
{
    print_message("# %s -> %s: %s\n", id, to, what);

    if (getenv("AI_T_SHOW") != NULL) {
        print_message("# %.3000s\n", text);
    }
}


/* A provider's object as another client's: what it says must be the same. */

static int
objects(const char *id, size_t from, size_t to, const char *text)
{
    say_t         a, b;
    json_t       *o, *made;
    ai_str_t      said;
    const char   *why;
    translate_t  *t;

    o = json_loads(text, 0, NULL);

    if (o == NULL) {

        /* Its integers are larger than jansson's. */

        o = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
    }

    assert_non_null(o);
    say_init(&a);
    say_init(&b);
    says[from].object(&a, o);

    t = begin(says[to].dialect, says[from].dialect, 0);
    why = translate_answer(t, 200, Z(text)) != 0 ? "is none" : NULL;
    said = translate_said(t);
    made = NULL;

    if (why == NULL) {
        made = json_loadb(said.data, said.len, JSON_REJECT_DUPLICATES, NULL);
        why = made == NULL ? "is no JSON" : NULL;
    }

    if (why == NULL) {
        says[to].object(&b, made);
        why = say_differs(&a, &b);
    }

    if (why != NULL) {
        complain(id, says[to].dialect, why, said.len != 0 ? said.data : "");
    }

    if (getenv("AI_T_DROPPED") != NULL && translate_dropped(t).len != 0) {
        print_message("# %s dropped %.*s\n", id,
                      (int) translate_dropped(t).len,
                      translate_dropped(t).data);
    }

    json_decref(o);
    json_decref(made);
    say_free(&a);
    say_free(&b);
    translate_close(t);

    return why == NULL;
}


static int
streams(const char *id, size_t from, size_t to, const char *text, size_t cut,
    json_t *object)
{
    int           rc;
    char         *all;
    say_t         a, b;
    size_t        at, n, len;
    ai_str_t      said;
    frames_t      frames;
    const char   *why;
    translate_t  *t;

    say_init(&a);
    say_init(&b);
    memset(&frames, 0, sizeof(frames));

    if (object != NULL) {
        frames_of(&frames, object);
        says[from].object(&a, object);
        text = frames.data;
        len = frames.len;

    } else {
        says[from].stream(&a, text);
        len = strlen(text);
    }

    all = NULL;
    why = NULL;
    say_add(&all, "");

    t = begin(says[to].dialect, says[from].dialect, 1);

    for (at = 0; at < len && why == NULL; at += n) {
        n = len - at < cut ? len - at : cut;
        rc = translate_bytes(t, tight(text + at, n), &said);
        why = rc != 0 ? "is none" : NULL;

        if (said.len != 0) {
            all = realloc(all, strlen(all) + said.len + 1);
            assert_non_null(all);
            strncat(all, said.data, said.len);
        }
    }

    if (why == NULL) {
        rc = translate_end(t, &said);
        why = rc != 1 ? "has no end" : NULL;
        all = realloc(all, strlen(all) + said.len + 1);
        assert_non_null(all);

        if (said.len != 0) {
            strncat(all, said.data, said.len);
        }
    }

    if (why == NULL) {
        says[to].stream(&b, all);
        why = say_differs(&a, &b);

        if (why == NULL && !b.error && !b.ended) {
            why = "has no last word";
        }
    }

    if (why != NULL) {
        complain(id, says[to].dialect, why, all);
    }

    if (getenv("AI_T_DROPPED") != NULL && translate_dropped(t).len != 0) {
        print_message("# %s dropped %.*s\n", id,
                      (int) translate_dropped(t).len,
                      translate_dropped(t).data);
    }

    free(all);
    free(frames.data);
    say_free(&a);
    say_free(&b);
    translate_close(t);

    return why == NULL;
}


static int
requests(const char *id, size_t from, size_t to, json_t *request)
{
    int           rc;
    char         *text, *out;
    size_t        len;
    json_t       *made;
    const char   *why;
    translate_t  *t;

    text = json_dumps(request, JSON_COMPACT | JSON_PRESERVE_ORDER);
    out = NULL;
    len = 0;
    made = NULL;
    t = begin(says[from].dialect, says[to].dialect,
              json_is_true(json_object_get(request, "stream")));
    rc = translate_request(t, Z(text), &out, &len);
    why = rc != 0 ? translate_why(t) : NULL;

    if (why == NULL) {
        made = json_loadb(out, len, JSON_REJECT_DUPLICATES, NULL);
        why = made == NULL ? "is no JSON" : valid(says[to].dialect, made);
    }

    if (why != NULL) {
        complain(id, says[to].dialect, why, out != NULL ? out : text);
    }

    if (getenv("AI_T_DROPPED") != NULL && translate_dropped(t).len != 0) {
        print_message("# %s request dropped %.*s\n", id,
                      (int) translate_dropped(t).len,
                      translate_dropped(t).data);
    }

    free(out);
    free(text);
    json_decref(made);
    translate_close(t);

    return why == NULL;
}


/* An error in another client's shape, with its words. */

static int
errors(const char *id, size_t from, size_t to, int status, const char *text)
{
    json_t       *o, *made, *e;
    ai_str_t      said;
    const char   *why, *words;
    translate_t  *t;

    o = json_loads(text, 0, NULL);
    e = json_object_get(o, "error");
    words = json_is_string(e) ? json_string_value(e) : say_z(e, "message");
    t = begin(says[to].dialect, says[from].dialect, 0);
    why = translate_answer(t, status, Z(text)) != 0 ? "is none" : NULL;
    said = translate_said(t);
    made = why == NULL ? json_loadb(said.data, said.len, 0, NULL) : NULL;

    if (why == NULL
        && (say_z(json_object_get(made, "error"), "message") == NULL
            || (words != NULL
                && strcmp(say_z(json_object_get(made, "error"), "message"),
                          words)
                   != 0)))
    {
        why = "has no such words";
    }

    if (why != NULL) {
        complain(id, says[to].dialect, why, text);
    }

    json_decref(o);
    json_decref(made);
    translate_close(t);

    return why == NULL;
}


static void
line(json_t *r)
{
    int          status, kind;
    size_t       a, from, to;
    json_t      *request, *object;
    const char  *api, *id, *text;

    api = say_z(r, "api");
    id = say_z(r, "id");
    text = say_z(r, "response");
    status = (int) say_n(r, "status", 200);
    request = json_object_get(r, "request");

    for (a = 0; a < APIS && strcmp(apis[a].api, api) != 0; a++) {
        /* void */
    }

    if (a == APIS) {
        return;
    }

    nlines++;

    for (from = 0; strcmp(says[from].dialect, apis[a].dialect) != 0; from++) {
        /* void */
    }

    for (to = 0; to < SAYS; to++) {

        if (to == from) {
            continue;
        }

        /* What stands on another answer is made whole before. */

        if (json_is_object(request) && status == 200
            && dialect_find(says[from].dialect)->read_request != NULL
            && say_z(request, "previous_response_id") == NULL
            && json_object_get(request, "conversation") == NULL
            && (json_array_size(json_object_get(request, "messages")) != 0
                || json_array_size(json_object_get(request, "input")) != 0
                || json_is_string(json_object_get(request, "input"))))
        {
            tried[a][to][2]++;
            passed[a][to][2] += requests(id, from, to, request);
        }

        if (text == NULL
            || dialect_find(says[to].dialect)->write_answer == NULL)
        {
            continue;
        }

        if (status != 200) {
            tried[a][to][3]++;
            passed[a][to][3] += errors(id, from, to, status, text);
            continue;
        }

        kind = json_is_true(json_object_get(r, "stream"));
        tried[a][to][kind]++;

        if (kind) {
            passed[a][to][1] += streams(id, from, to, text, 1 << 20, NULL)
                                && streams(id, from, to, text, 61, NULL);

        } else {
            passed[a][to][0] += objects(id, from, to, text);
        }

        /* No stream of this one is recorded: frames are made of its objects. */

        if (says[from].stream == NULL) {
            object = json_loads(text, 0, NULL);
            tried[a][to][1]++;
            passed[a][to][1] += streams(id, from, to, "", 1 << 20, object)
                                && streams(id, from, to, "", 61, object)
                                && streams(id, from, to, "", 1, object);
            json_decref(object);
        }
    }
}


static void
recordings(void **state)
{
    int           k;
    char         *buf, path[4096];
    FILE         *f;
    size_t        a, to, size;
    json_t       *r;
    ssize_t       len;
    const char   *shared;
    static const char *const  kinds[] = { "objects", "streams", "requests",
                                          "errors" };

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

    for (a = 0; a < APIS; a++) {
        for (to = 0; to < SAYS; to++) {
            for (k = 0; k < 4; k++) {
                if (tried[a][to][k] != 0) {
                    print_message("# %-20s -> %-10s %-8s %4u tried, %4u "
                                  "passed\n", apis[a].api, says[to].dialect,
                                  kinds[k], tried[a][to][k],
                                  passed[a][to][k]);
                }
            }
        }
    }

    for (a = 0; a < APIS; a++) {
        for (to = 0; to < SAYS; to++) {
            for (k = 0; k < 4; k++) {
                assert_int_equal(passed[a][to][k], tried[a][to][k]);
            }
        }
    }

    assert_true(nlines > 500);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(recordings),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
