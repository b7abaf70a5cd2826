/*
 * Translations of one call, for tests of a dialect: what a provider is asked,
 * and what a client gets of an answer.  Texts are JSON whose quotes are single.
 */

#ifndef WORKER_TRANSLATE_UNIT_H
#define WORKER_TRANSLATE_UNIT_H

#include "worker_say_anthropic.h"
#include "worker_say_openai.h"

#include "translate.h"

static char  dropped[1024];
static char  why[2048];


static inline translate_t *
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


static inline void
note(translate_t *t)
{
    snprintf(dropped, sizeof(dropped), "%.*s", (int) translate_dropped(t).len,
             translate_dropped(t).data);
    snprintf(why, sizeof(why), "%s", translate_why(t));
}


static inline char *
quoted(const char *text)
{
    char  *copy, *p;

    copy = strdup(text);
    assert_non_null(copy);

    for (p = copy; *p != '\0'; p++) {
        *p = *p == '\'' ? '"' : *p;
    }

    return copy;
}


/* The request of one as the other is asked; NULL: it is refused. */

static inline json_t *
ask(const char *client, const char *provider, const char *request, int stream)
{
    int           rc;
    char         *text, *out;
    size_t        len;
    json_t       *made;
    translate_t  *t;

    text = quoted(request);
    t = begin(client, provider, stream);
    rc = translate_request(t, Z(text), &out, &len);
    note(t);
    made = NULL;

    if (rc == 0) {
        made = json_loadb(out, len, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(made);

    } else {
        assert_int_equal(rc, -1);
        assert_null(out);
    }

    free(out);
    free(text);
    translate_close(t);

    return made;
}


/* It has all that want has (null: not at all), and names what is lost. */

static inline void
asks(const char *client, const char *provider, const char *request,
    const char *want, const char *lost)
{
    char        *text;
    json_t      *made, *w, *value, *both;
    const char  *key;

    made = ask(client, provider, request, 0);

    if (made == NULL) {
        print_error("refused: %s\n", why);
        fail();
    }

    text = quoted(want);
    w = json_loads(text, 0, NULL);
    assert_non_null(w);

    json_object_foreach(w, key, value) {
        both = json_object_get(made, key);

        if (json_is_null(value) ? both != NULL : !json_equal(both, value)) {
            free(text);
            text = json_dumps(made, JSON_INDENT(1));
            print_error("%s is not as %s wants it in %s\n", key, want, text);
            fail();
        }
    }

    assert_string_equal(dropped, lost);
    json_decref(made);
    json_decref(w);
    free(text);
}


/* What the client gets of an object, NULL: it is none. */

static inline char *
answers(const char *client, const char *provider, const char *answer,
    int status)
{
    int           rc;
    char         *text, *out;
    ai_str_t      said;
    translate_t  *t;

    text = quoted(answer);
    t = begin(client, provider, 0);
    rc = translate_answer(t, status, Z(text));
    said = translate_said(t);
    note(t);
    out = rc == 0 ? strndup(said.data, said.len) : NULL;
    free(text);
    translate_close(t);

    return out;
}


/* What stands at a path of that. */

static inline void
says(const char *client, const char *provider, const char *answer,
    const char *path, const char *want)
{
    char        *out, *made, *quote, name[64];
    size_t       len;
    json_t      *o, *at;

    out = answers(client, provider, answer, 200);
    assert_non_null(out);
    o = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    at = o;

    while (*path != '\0') {
        len = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int) len, path);
        path += len + (path[len] == '.');
        at = json_is_array(at) ? json_array_get(at, (size_t) atoi(name))
                               : json_object_get(at, name);
    }

    made = at != NULL ? json_dumps(at, JSON_COMPACT | JSON_ENCODE_ANY)
                      : strdup("absent");
    quote = quoted(want);
    assert_string_equal(made, quote);
    free(quote);
    free(made);
    free(out);
    json_decref(o);
}


/* What the client gets of a stream in pieces of cut bytes; *end as
 * translate_end has it, or what was wrong. */

static inline char *
stream_cut(const char *client, const char *provider, const char *events,
    size_t cut, int *end)
{
    char         *text, *all;
    size_t        i, n, len, have;
    ai_str_t      said;
    translate_t  *t;

    text = quoted(events);
    len = strlen(text);
    all = NULL;
    have = 0;
    say_add(&all, "");
    t = begin(client, provider, 1);
    *end = 0;

    for (i = 0; *end == 0; i += n) {
        n = len - i < cut ? len - i : cut;

        if (n != 0) {
            *end = translate_bytes(t, tight(text + i, n), &said);

        } else {
            *end = translate_end(t, &said);
        }

        if (said.len != 0) {
            all = realloc(all, have + said.len + 1);
            assert_non_null(all);
            memcpy(all + have, said.data, said.len);
            have += said.len;
            all[have] = '\0';
        }

        if (n == 0) {
            break;
        }
    }

    note(t);
    free(text);
    translate_close(t);

    return all;
}


/* The same of every cut into two, and of single bytes: all are alike. */

static inline char *
stream(const char *client, const char *provider, const char *events, int *end)
{
    int     again;
    char   *all, *other;
    size_t  cut, len;

    all = stream_cut(client, provider, events, 1, end);
    len = strlen(events);

    for (cut = 2; cut <= len; cut = cut < 64 ? cut + 1 : cut * 2) {
        other = stream_cut(client, provider, events, cut, &again);
        assert_int_equal(again, *end);
        assert_string_equal(other, all);
        free(other);
    }

    return all;
}


/* What a stream says, read as its client would. */

static inline void
stream_says(const char *client, const char *provider, const char *events,
    say_t *s)
{
    int    end;
    char  *all;

    all = stream(client, provider, events, &end);

    if (end != 1) {
        print_error("ends with %d: %s\n", end, all);
    }

    assert_int_equal(end, 1);
    say_init(s);

    if (strcmp(client, "anthropic") == 0) {
        say_anthropic_stream(s, all);

    } else {
        say_openai_stream(s, all);
    }

    free(all);
}

#endif
