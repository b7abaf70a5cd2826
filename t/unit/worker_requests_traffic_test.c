/*
 * Recorded requests of clients to providers of which there are no recordings:
 * each is valid for them and holds the same words and calls.  They lie at
 * $AI_SHARED or beside the repository; without them there is nothing to test
 * here, which is said.
 */

#include "worker_translate_unit.h"


#define FILE_NAME  "traffic/recordings.jsonl"


/* What is in every request: texts of its system, user and assistant, and the
 * names of what was called. */

static unsigned
ollama_calls(json_t *o, const char **bad)
{
    size_t       i, k;
    json_t      *m, *c, *f;
    unsigned     n;
    const char  *role;

    n = 0;

    json_array_foreach(json_object_get(o, "messages"), i, m) {
        role = say_z(m, "role");

        if (role == NULL || say_z(m, "content") == NULL) {
            *bad = "a message without role or content";
            return 0;
        }

        if (strcmp(role, "system") != 0 && strcmp(role, "user") != 0
            && strcmp(role, "assistant") != 0 && strcmp(role, "tool") != 0)
        {
            *bad = "a role that is none";
        }

        json_array_foreach(json_object_get(m, "tool_calls"), k, c) {
            f = json_object_get(c, "function");
            n++;

            if (say_z(f, "name") == NULL
                || !json_is_object(json_object_get(f, "arguments")))
            {
                *bad = "a call without a name or arguments";
            }
        }

        json_array_foreach(json_object_get(m, "images"), k, c) {
            if (!json_is_string(c)
                || strpbrk(json_string_value(c), ":, ") != NULL)
            {
                *bad = "an image that is no base64";
            }
        }

        if (strcmp(role, "tool") == 0 && say_z(m, "tool_name") == NULL) {
            *bad = "a result without its tool's name";
        }
    }

    if (!json_is_boolean(json_object_get(o, "stream"))) {
        *bad = "no stream";
    }

    return n;
}


static unsigned
cohere_calls(json_t *o, const char **bad)
{
    size_t       i, k;
    json_t      *m, *c, *f, *args, *content;
    unsigned     n, due;
    const char  *role, *type;

    n = 0;
    due = 0;

    json_array_foreach(json_object_get(o, "messages"), i, m) {
        role = say_z(m, "role");
        content = json_object_get(m, "content");

        if (role == NULL
            || (content == NULL && json_object_get(m, "tool_calls") == NULL))
        {
            *bad = "a message without role or content";
            return 0;
        }

        if (strcmp(role, "tool") == 0) {

            if (due == 0 || say_z(m, "tool_call_id") == NULL) {
                *bad = "a result without a call";
            }

            due -= due != 0;

        } else {
            due = 0;
        }

        json_array_foreach(content, k, c) {
            type = say_z(c, "type");

            if (type == NULL
                || (strcmp(role, "user") == 0
                    ? strcmp(type, "text") != 0
                      && strcmp(type, "image_url") != 0
                    : strcmp(role, "assistant") == 0
                    ? strcmp(type, "text") != 0
                      && strcmp(type, "thinking") != 0
                    : strcmp(type, "text") != 0
                      && strcmp(type, "document") != 0))
            {
                *bad = "content that has no place";
            }
        }

        json_array_foreach(json_object_get(m, "tool_calls"), k, c) {
            f = json_object_get(c, "function");
            args = json_loads(say_z(f, "arguments"), 0, NULL);
            n++;
            due++;

            if (say_z(c, "id") == NULL || say_z(f, "name") == NULL) {
                *bad = "a call without an id or a name";
            }

            json_decref(args);
        }
    }

    if (say_n(o, "temperature", 0) > 1 || say_n(o, "p", 0) > 0.99) {
        *bad = "a number that is too large";
    }

    return n;
}


/* Calls of the request itself. */

static unsigned
calls(json_t *o)
{
    size_t     i, k;
    json_t    *m, *b;
    unsigned   n;

    n = 0;

    json_array_foreach(json_object_get(o, "messages"), i, m) {
        n += json_array_size(json_object_get(m, "tool_calls"))
             + json_is_object(json_object_get(m, "function_call"));

        json_array_foreach(json_object_get(m, "content"), k, b) {
            n += say_z(b, "type") != NULL
                 && strcmp(say_z(b, "type"), "tool_use") == 0;
        }
    }

    return n;
}


static void
requests(void **state)
{
    char         *buf, *text, *out, path[4096];
    FILE         *f;
    size_t        to, size, len, from;
    json_t       *r, *request, *made;
    ssize_t       got;
    unsigned      n, tried[2][2], passed[2][2];
    const char   *shared, *api, *bad;
    translate_t  *t;
    static const char *const  clients[] = { "openai", "anthropic" };
    static const char *const  providers[] = { "ollama", "cohere" };

    (void) state;

    shared = getenv("AI_SHARED");
    snprintf(path, sizeof(path), "%s/" FILE_NAME,
             shared != NULL ? shared : "../shared");
    f = fopen(path, "r");

    if (f == NULL) {
        print_message("# SKIPPED: no recordings at %s\n", path);
        skip();
    }

    memset(tried, 0, sizeof(tried));
    memset(passed, 0, sizeof(passed));
    buf = NULL;
    size = 0;

    while ((got = getline(&buf, &size, f)) > 0) {
        r = json_loadb(buf, (size_t) got, 0, NULL);
        api = say_z(r, "api");
        request = json_object_get(r, "request");
        from = strcmp(api, "anthropic.messages") == 0;

        if ((!from && strcmp(api, "openai.chat") != 0
             && strcmp(api, "compatible.chat") != 0)
            || say_n(r, "status", 200) != 200
            || json_array_size(json_object_get(request, "messages")) == 0)
        {
            json_decref(r);
            continue;
        }

        text = json_dumps(request, JSON_COMPACT | JSON_PRESERVE_ORDER);

        for (to = 0; to < 2; to++) {
            t = begin(clients[from], providers[to], 0);
            bad = translate_request(t, Z(text), &out, &len) != 0
                  ? translate_why(t) : NULL;
            made = NULL;

            if (bad == NULL) {
                made = json_loadb(out, len, JSON_REJECT_DUPLICATES, NULL);
                bad = made == NULL ? "is no JSON" : NULL;
            }

            if (bad == NULL) {
                n = to == 0 ? ollama_calls(made, &bad)
                            : cohere_calls(made, &bad);
                bad = bad == NULL && n != calls(request)
                      ? "another number of calls" : bad;
            }

            tried[from][to]++;
            passed[from][to] += bad == NULL;

            if (bad != NULL) {
                print_message("# %s -> %s: %s\n# %.2000s\n", say_z(r, "id"),
                              providers[to], bad, out != NULL ? out : text);
            }

            free(out);
            json_decref(made);
            translate_close(t);
        }

        free(text);
        json_decref(r);
    }

    free(buf);
    fclose(f);

    for (from = 0; from < 2; from++) {
        for (to = 0; to < 2; to++) {
            print_message("# %-10s -> %-10s requests %4u tried, %4u passed\n",
                          clients[from], providers[to], tried[from][to],
                          passed[from][to]);
            assert_int_equal(tried[from][to], passed[from][to]);
            assert_true(tried[from][to] > 100);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(requests),
    };

    return cmocka_run_group_tests(tests, NULL, ai_unit_teardown);
}
