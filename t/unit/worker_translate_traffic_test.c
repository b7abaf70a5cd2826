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


/* A request as another provider would have it. */

static const char *
openai_valid(json_t *o)
{
    size_t       i, k;
    json_t      *m, *c, *calls;
    unsigned     due;
    const char  *role;

    due = 0;

    if (json_array_size(json_object_get(o, "messages")) == 0) {
        return "no messages";
    }

    json_array_foreach(json_object_get(o, "messages"), i, m) {
        role = say_z(m, "role");

        if (role == NULL) {
            return "no role";
        }

        if (strcmp(role, "tool") == 0) {
            if (due == 0 || say_z(m, "tool_call_id") == NULL) {
                return "a tool message without a call";
            }

            due--;

        } else {
            due = 0;
        }

        calls = json_object_get(m, "tool_calls");

        json_array_foreach(calls, k, c) {
            json_t  *args, *f;

            f = json_object_get(c, "function");
            args = json_loads(say_z(f, "arguments"), 0, NULL);

            if (say_z(f, "name") == NULL || args == NULL) {
                return "a call without name or arguments";
            }

            json_decref(args);
            due++;
        }

        c = json_object_get(m, "content");

        if (c == NULL || (json_is_null(c) && calls == NULL)) {
            return "no content";
        }
    }

    json_array_foreach(json_object_get(o, "tools"), i, m) {
        if (say_z(json_object_get(m, "function"), "name") == NULL) {
            return "a tool without a name";
        }
    }

    return NULL;
}


static const char *
anthropic_valid(json_t *o)
{
    size_t       i, k;
    json_t      *m, *b, *content;
    const char  *role, *last;

    last = "";

    if (say_n(o, "max_tokens", 0) <= 0) {
        return "no max_tokens";
    }

    if (json_array_size(json_object_get(o, "messages")) == 0) {
        return "no messages";
    }

    json_array_foreach(json_object_get(o, "messages"), i, m) {
        role = say_z(m, "role");

        if (role == NULL || strcmp(role, last) == 0) {
            return "two turns of one";
        }

        last = role;
        content = json_object_get(m, "content");

        if (json_array_size(content) == 0) {
            return "no content";
        }

        json_array_foreach(content, k, b) {
            const char  *type;

            type = say_z(b, "type");

            if (type == NULL) {
                return "a block without a type";
            }

            if (strcmp(type, "text") == 0
                && (say_z(b, "text") == NULL || say_z(b, "text")[0] == '\0'))
            {
                return "an empty text";
            }

            if (strcmp(type, "tool_use") == 0
                && (!json_is_object(json_object_get(b, "input"))
                    || strspn(say_z(b, "id"), "ABCDEFGHIJKLMNOPQRSTUVWXYZabc"
                              "defghijklmnopqrstuvwxyz0123456789_-")
                       != strlen(say_z(b, "id"))))
            {
                return "an invalid call";
            }

            if (strcmp(type, "tool_result") == 0
                && (strcmp(role, "user") != 0
                    || say_z(b, "tool_use_id") == NULL))
            {
                return "an invalid result";
            }
        }
    }

    json_array_foreach(json_object_get(o, "tools"), i, m) {
        if (say_z(m, "name") == NULL
            || !json_is_object(json_object_get(m, "input_schema")))
        {
            return "an invalid tool";
        }
    }

    return NULL;
}


/* What Google refuses: contents without parts, calls that are not answered in
 * the next content, members that it does not know. */

static const char *
gemini_valid(json_t *o)
{
    size_t       i, k, calls, results, others;
    json_t      *m, *p, *f;
    const char  *role, *key;
    unsigned     due;

    static const char *const  members[] = {
        "systemInstruction", "contents", "tools", "toolConfig",
        "generationConfig", "serviceTier"
    };

    json_object_foreach(o, key, m) {
        for (i = 0; i < 6 && strcmp(members[i], key) != 0; i++) {
            /* void */
        }

        if (i == 6) {
            return "a member that is not known";
        }
    }

    due = 0;

    if (json_array_size(json_object_get(o, "contents")) == 0) {
        return "no contents";
    }

    json_array_foreach(json_object_get(o, "contents"), i, m) {
        role = say_z(m, "role");
        calls = 0;
        results = 0;
        others = 0;

        if (role == NULL || (strcmp(role, "user") != 0
                             && strcmp(role, "model") != 0))
        {
            return "no such role";
        }

        if (json_array_size(json_object_get(m, "parts")) == 0) {
            return "no parts";
        }

        json_array_foreach(json_object_get(m, "parts"), k, p) {
            f = json_object_get(p, "functionCall");

            if (f != NULL) {
                if (!json_is_object(json_object_get(f, "args"))
                    || say_z(f, "name") == NULL
                    || strcmp(role, "model") != 0)
                {
                    return "an invalid call";
                }

                calls++;
                continue;
            }

            f = json_object_get(p, "functionResponse");

            if (f != NULL) {
                if (!json_is_object(json_object_get(f, "response"))
                    || say_z(f, "name") == NULL
                    || strcmp(role, "user") != 0)
                {
                    return "an invalid result";
                }

                results++;
                continue;
            }

            others++;

            if (json_object_get(p, "text") == NULL
                && json_object_get(p, "inlineData") == NULL
                && json_object_get(p, "fileData") == NULL)
            {
                return "an invalid part";
            }
        }

        if (results != 0 && (others != 0 || results > due)) {
            return "results with others, or without calls";
        }

        due = (unsigned) calls;
    }

    json_array_foreach(json_object_get(o, "tools"), i, m) {
        json_array_foreach(json_object_get(m, "functionDeclarations"), k, p) {
            f = json_object_get(p, "parametersJsonSchema");

            if (say_z(p, "name") == NULL || (f != NULL && !json_is_object(f)))
            {
                return "an invalid tool";
            }
        }
    }

    return NULL;
}


/* What AWS refuses: members that it does not know, turns of one in a row or
 * without content, blank texts, calls without tools, results without calls. */

static const char *
bedrock_valid(json_t *o)
{
    size_t       i, k, calls, results, due, used;
    json_t      *m, *b, *f, *tools;
    const char  *key, *role, *last, *text;

    static const char *const  members[] = {
        "system", "messages", "toolConfig", "inferenceConfig",
        "additionalModelRequestFields", "outputConfig", "requestMetadata",
        "serviceTier"
    };

    json_object_foreach(o, key, m) {
        for (i = 0; i < 8 && strcmp(members[i], key) != 0; i++) {
            /* void */
        }

        if (i == 8) {
            return "a member that is not known";
        }
    }

    last = "";
    due = 0;
    used = 0;

    if (json_array_size(json_object_get(o, "messages")) == 0) {
        return "no messages";
    }

    json_array_foreach(json_object_get(o, "messages"), i, m) {
        role = say_z(m, "role");
        calls = 0;
        results = 0;

        if (role == NULL || strcmp(role, last) == 0) {
            return "two turns of one";
        }

        last = role;

        if (json_array_size(json_object_get(m, "content")) == 0) {
            return "no content";
        }

        json_array_foreach(json_object_get(m, "content"), k, b) {

            if (json_object_size(b) != 1) {
                return "a block of two kinds";
            }

            if ((f = json_object_get(b, "text")) != NULL) {
                text = json_string_value(f);

                if (text == NULL || text[strspn(text, " \n\r\t")] == '\0') {
                    return "a blank text";
                }

            } else if ((f = json_object_get(b, "toolUse")) != NULL) {
                text = say_z(f, "toolUseId");

                if (strcmp(role, "assistant") != 0 || text == NULL
                    || !json_is_object(json_object_get(f, "input"))
                    || say_z(f, "name") == NULL || strlen(text) > 64
                    || strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn"
                              "opqrstuvwxyz0123456789_-") != strlen(text))
                {
                    return "an invalid call";
                }

                calls++;

            } else if ((f = json_object_get(b, "toolResult")) != NULL) {

                if (strcmp(role, "user") != 0
                    || say_z(f, "toolUseId") == NULL
                    || !json_is_array(json_object_get(f, "content")))
                {
                    return "an invalid result";
                }

                results++;

            } else if ((f = json_object_get(b, "document")) != NULL) {

                if (say_z(f, "name") == NULL
                    || json_object_size(json_object_get(f, "source")) != 1)
                {
                    return "an invalid document";
                }

            } else if (json_object_get(b, "image") == NULL
                       && json_object_get(b, "video") == NULL
                       && json_object_get(b, "reasoningContent") == NULL
                       && json_object_get(b, "cachePoint") == NULL)
            {
                return "an invalid block";
            }
        }

        if (results > due) {
            return "results without calls";
        }

        due = calls;
        used += calls + results;
    }

    tools = json_object_get(json_object_get(o, "toolConfig"), "tools");

    if (used != 0 && json_array_size(tools) == 0) {
        return "calls without tools";
    }

    json_array_foreach(tools, i, m) {
        f = json_object_get(m, "toolSpec");

        if (json_object_get(m, "cachePoint") == NULL
            && (say_z(f, "name") == NULL
                || !json_is_object(json_object_get(json_object_get(f,
                                   "inputSchema"), "json"))))
        {
            return "an invalid tool";
        }
    }

    return NULL;
}


/* Each call has an id and is answered behind it, or by nobody. */

static const char *
responses_valid(json_t *o)
{
    size_t       i, k;
    json_t      *item, *p, *args;
    const char  *type, *role;

    if (json_array_size(json_object_get(o, "input")) == 0) {
        return "no input";
    }

    json_array_foreach(json_object_get(o, "input"), i, item) {
        type = say_z(item, "type");
        role = say_z(item, "role");

        if (type == NULL) {
            if (role == NULL || json_object_get(item, "content") == NULL) {
                return "a message without role or content";
            }

            json_array_foreach(json_object_get(item, "content"), k, p) {
                type = say_z(p, "type");

                if (type == NULL
                    || (strcmp(role, "assistant") == 0)
                       != (strcmp(type, "output_text") == 0
                           || strcmp(type, "refusal") == 0))
                {
                    return "a part of another role";
                }
            }

        } else if (strcmp(type, "function_call") == 0) {
            args = json_loads(say_z(item, "arguments"), 0, NULL);

            if (say_z(item, "call_id") == NULL || say_z(item, "name") == NULL
                || args == NULL)
            {
                return "an invalid call";
            }

            json_decref(args);

        } else if (strcmp(type, "function_call_output") == 0) {
            if (say_z(item, "call_id") == NULL
                || json_object_get(item, "output") == NULL)
            {
                return "an invalid result";
            }

        } else {
            return "an item that cannot be";
        }
    }

    json_array_foreach(json_object_get(o, "tools"), i, item) {
        if (say_z(item, "name") == NULL
            || !json_is_object(json_object_get(item, "parameters"))
            || !json_is_boolean(json_object_get(item, "strict")))
        {
            return "an invalid tool";
        }
    }

    return NULL;
}


static const struct {
    const char   *dialect;
    const char *(*valid)(json_t *o);
} valids[] = {
    { "openai", openai_valid },
    { "anthropic", anthropic_valid },
    { "responses", responses_valid },
    { "gemini", gemini_valid },
    { "bedrock", bedrock_valid },
};


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
        why = made == NULL ? "is no JSON" : valids[to].valid(made);
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
