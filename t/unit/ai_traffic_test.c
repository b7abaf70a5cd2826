/*
 * Recorded traffic of real providers through the scanner and the reader of
 * events, judged by jansson.  It lies at $AI_SHARED or beside the repository;
 * without it there is nothing to test here, which is said.
 */

#include "ai_unit.h"

#include <jansson.h>

#include "ai_json.h"
#include "ai_sse.h"

#define FILE_NAME  "traffic/recordings.jsonl"
#define MAX        (64 << 20)

static const char *const  line_names[] = {
    "request", "response", "stream", "content_type", NULL
};

static const char *const  body_names[] = {
    "model", "stream", "max_tokens", "messages", "usage", "id", NULL
};

static const char *const  paths[] = {
    "model", "id", "stream", "max_tokens", "messages.0.role", "messages.1",
    "usage", "usage.prompt_tokens", "usage.completion_tokens",
    "usage.prompt_tokens_details.cached_tokens", "usage.input_tokens",
    "usage.output_tokens", "message.usage.input_tokens", "delta.stop_reason",
    "choices.0.finish_reason", "choices.0.delta.content", "choices.0.message",
    "content.0.text", "error.message", "type", NULL
};

static unsigned  nlines, nbodies, nstreams, nevents, nfound;


/* What jansson finds by the same path, or NULL. */

static json_t *
walk(json_t *json, const char *path)
{
    char    name[64];
    size_t  len;

    while (json && *path) {
        len = strcspn(path, ".");
        memcpy(name, path, len);
        name[len] = '\0';
        path += len + (path[len] == '.');

        json = json_is_array(json) && name[0] >= '0' && name[0] <= '9'
               ? json_array_get(json, (size_t) atoi(name))
               : json_object_get(json, name);
    }

    return json;
}


static void
value_is(ai_str_t value, ai_json_type_e type, json_t *want)
{
    char     *text;
    long      len;
    int64_t   n;

    switch (type) {

    case AI_JSON_STRING:
        assert_true(json_is_string(want));
        text = malloc(value.len);
        assert_non_null(text);
        len = ai_json_unescape(value, text, value.len);
        assert_int_equal(len, json_string_length(want));
        assert_memory_equal(text, json_string_value(want), len);
        free(text);
        break;

    case AI_JSON_NUMBER:
        assert_true(json_is_number(want));
        assert_int_equal(ai_json_int(value, &n), 0);
        assert_true(n == (int64_t) json_number_value(want));
        break;

    case AI_JSON_TRUE:
        assert_true(json_is_true(want));
        break;

    case AI_JSON_FALSE:
        assert_true(json_is_false(want));
        break;

    case AI_JSON_NULL:
        assert_true(json_is_null(want));
        break;

    case AI_JSON_OBJECT:
        assert_true(json_is_object(want));
        break;

    case AI_JSON_ARRAY:
        assert_true(json_is_array(want));
        break;

    default:
        fail();
    }
}


/* A JSON body: scanned whole and in pieces, its members and paths. */

static void
body_is_sound(ai_str_t body)
{
    int               i;
    size_t            at, size;
    json_t           *json, *want;
    ai_str_t          value;
    ai_json_type_e    type;
    static ai_json_t  j, cut;

    json = json_loadb(body.data, body.len, JSON_ALLOW_NUL | JSON_DECODE_ANY,
                      NULL);

    if (json == NULL) {
        return;
    }

    if (json_is_object(json)) {
        assert_int_equal(ai_json_scan(&j, body_names, body, MAX, 0),
                         AI_JSON_OK);
        nbodies++;

        for (i = 0; body_names[i]; i++) {
            want = json_object_get(json, body_names[i]);
            assert_int_equal(j.fields[i].type != AI_JSON_NONE, want != NULL);

            if (want) {
                value_is((ai_str_t) { j.fields[i].end - j.fields[i].start,
                                      body.data + j.fields[i].start },
                         j.fields[i].type, want);
            }
        }

        for (size = 1; size < 5000; size = size * 3 + 1) {
            ai_json_init(&cut, body_names, MAX, 0);

            for (at = 0; at < body.len; at += size) {
                (void) ai_json_feed(&cut, body.data + at,
                                    body.len - at < size ? body.len - at
                                                         : size);
            }

            assert_int_equal(ai_json_end(&cut), AI_JSON_OK);
            assert_memory_equal(cut.fields, j.fields, sizeof(j.fields));
        }
    }

    for (i = 0; paths[i]; i++) {
        want = walk(json, paths[i]);
        assert_int_equal(ai_json_path(body, paths[i], &value, &type),
                         want != NULL);

        if (want) {
            value_is(value, type, want);
            nfound++;
        }
    }

    json_decref(json);
}


static void
stream_is_sound(ai_str_t text)
{
    char      *buf;
    size_t     at, size, total;
    unsigned   n, first;
    ai_sse_t   s;
    ai_str_t   raw, event, data;

    nstreams++;
    buf = malloc(text.len + 1);
    assert_non_null(buf);

    for (first = 0, size = text.len; size > 0; size /= 7) {
        ai_sse_init(&s, 0);
        total = 0;
        n = 0;

        for (at = 0; at < text.len; at += size) {
            assert_int_equal(ai_sse_feed(&s, text.data + at,
                                         text.len - at < size ? text.len - at
                                                              : size), 0);

            while (ai_sse_next(&s, &raw)) {
                assert_memory_equal(raw.data, text.data + total, raw.len);
                total += raw.len;
                n++;

                if (size == text.len) {
                    assert_true(ai_sse_fields(raw, &event, &data, buf,
                                              text.len) >= 0);

                    if (data.len && data.data[0] == '{') {
                        body_is_sound(data);
                    }
                }
            }
        }

        if (ai_sse_rest(&s, &raw)) {
            assert_memory_equal(raw.data, text.data + total, raw.len);
            total += raw.len;
        }

        assert_int_equal(total, text.len);
        assert_true(size == text.len || n == first);
        first = n;
        ai_sse_free(&s);
    }

    assert_true(first > 0);
    nevents += first;
    free(buf);
}


static ai_str_t
span(const char *line, const ai_json_field_t *f)
{
    return (ai_str_t) { f->end - f->start, line + f->start };
}


static void
recorded(void **state)
{
    FILE             *f;
    char              path[4096], *line, *text;
    long              len;
    size_t            size;
    ssize_t           n;
    ai_str_t          type;
    const char       *shared;
    static ai_json_t  j;

    (void) state;

    shared = getenv("AI_SHARED");
    snprintf(path, sizeof(path), "%s/" FILE_NAME,
             shared && *shared ? shared : "../shared");
    f = fopen(path, "r");

    if (f == NULL) {
        print_message("# no recorded traffic at %s\n", path);
        skip();
        return;
    }

    line = NULL;
    size = 0;

    while ((n = getline(&line, &size, f)) > 0) {
        nlines++;
        assert_int_equal(ai_json_scan(&j, line_names,
                                      (ai_str_t) { (size_t) n, line }, MAX, 0),
                         AI_JSON_OK);

        if (j.fields[0].type == AI_JSON_OBJECT) {
            body_is_sound(span(line, &j.fields[0]));
        }

        if (j.fields[1].type != AI_JSON_STRING) {
            continue;
        }

        text = malloc((size_t) n);
        assert_non_null(text);
        len = ai_json_unescape(span(line, &j.fields[1]), text, (size_t) n);
        assert_true(len >= 0);

        type = span(line, &j.fields[3]);

        if (len > 0 && j.fields[2].type == AI_JSON_TRUE
            && type.len && memmem(type.data, type.len, "event-stream", 12))
        {
            stream_is_sound(tight(text, (size_t) len));

        } else if (len > 0) {
            body_is_sound(tight(text, (size_t) len));
        }

        free(text);
    }

    free(line);
    fclose(f);

    print_message("# %u lines, %u bodies, %u streams, %u events, %u members\n",
                  nlines, nbodies, nstreams, nevents, nfound);

    assert_true(nlines > 1000 && nbodies > 2000 && nstreams > 100);
    assert_true(nevents > 1000 && nfound > 5000);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(recorded)
    };

    return run_group(tests);
}
