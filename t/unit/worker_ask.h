/*
 * Asking in one dialect and answering in another, for the tests of translation.
 * Single quotes in what they write are double ones; what was left out, or why a
 * request is refused, is in dropped and why after each.
 */

#ifndef WORKER_ASK_H
#define WORKER_ASK_H

#include "worker_say.h"

#include "translate.h"

static char         dropped[1024];
static char         why[2048];
static const char  *asked = "claude-sonnet-4-5";
static const char  *version = "";
static int          official;
static int          strict;


static inline translate_t *
begin_of(const dialect_t *client, const dialect_t *provider, int stream)
{
    translate_t       *t;
    translate_call_t   call;

    memset(&call, 0, sizeof(call));
    call.client = client;
    call.provider = provider;
    call.model = (ai_str_t) { strlen(asked), asked };
    call.version = (ai_str_t) { strlen(version), version };
    call.job = ai_str("job_0123");
    call.now = 1700000000;
    call.stream = stream;
    call.usage = 1;
    call.ask_usage = 1;
    call.official = official;
    call.strict = strict;
    t = translate_open(&call);
    assert_non_null(t);

    return t;
}


static inline translate_t *
begin(const char *client, const char *provider, int stream)
{
    return begin_of(dialect_find(client), dialect_find(provider), stream);
}


static inline void
note(translate_t *t)
{
    snprintf(dropped, sizeof(dropped), "%.*s", (int) translate_dropped(t).len,
             translate_dropped(t).data);
    snprintf(why, sizeof(why), "%s", translate_why(t));
}


/* Single quotes are double ones. */

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


/* Whether got has all that want has; what it has besides is not looked at. */

static inline void
has(json_t *got, const char *want)
{
    char        *text;
    json_t      *w, *value, *both;
    const char  *key;

    text = quoted(want);
    w = json_loads(text, 0, NULL);
    assert_non_null(w);

    json_object_foreach(w, key, value) {
        both = json_object_get(got, key);

        if (json_is_null(value) ? both != NULL : !json_equal(both, value)) {
            free(text);
            text = json_dumps(got, JSON_INDENT(1));
            print_error("%s is not as %s wants it in %s\n", key, want, text);
            fail();
        }
    }

    json_decref(w);
    free(text);
}


/* A request of one, as the other would be asked. */

static inline json_t *
ask(const char *client, const char *provider, const char *request)
{
    int           rc;
    char         *text, *out;
    size_t        len;
    json_t       *made;
    translate_t  *t;

    text = quoted(request);
    t = begin(client, provider, 0);
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


static inline void
asks(const char *client, const char *provider, const char *request,
    const char *want, const char *lost)
{
    json_t  *made;

    made = ask(client, provider, request);

    if (made == NULL) {
        print_error("refused: %s\n", why);
        fail();
    }

    has(made, want);
    assert_string_equal(dropped, lost);
    json_decref(made);
}


static inline char *
answers(const char *client, const char *provider, const char *answer)
{
    int           rc;
    char         *text, *out;
    ai_str_t      said;
    translate_t  *t;

    text = quoted(answer);
    t = begin(client, provider, 0);
    rc = translate_answer(t, 200, Z(text));
    said = translate_said(t);
    note(t);
    out = NULL;

    if (rc == 0) {
        out = strndup(said.data, said.len);
    }

    free(text);
    translate_close(t);

    return out;
}


static inline void
says(const char *client, const char *provider, const char *answer,
    const char *path, const char *want)
{
    char        *out, *made, *quote, name[64];
    size_t       len;
    json_t      *o, *at;

    out = answers(client, provider, answer);
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


/* A stream, in which everything comes in the smallest pieces; closes t. */

static inline char *
streamed(translate_t *t, const char *events, int *end)
{
    char         *text, *all;
    size_t        i, len;
    ai_str_t      said;

    text = quoted(events);
    len = strlen(text);
    all = NULL;
    say_add(&all, "");
    *end = 0;

    for (i = 0; i < len && *end == 0; i++) {
        *end = translate_bytes(t, tight(text + i, 1), &said);

        if (said.len != 0) {
            all = realloc(all, strlen(all) + said.len + 1);
            assert_non_null(all);
            strncat(all, said.data, said.len);
        }
    }

    if (*end == 0) {
        *end = translate_end(t, &said);

        if (said.len != 0) {
            all = realloc(all, strlen(all) + said.len + 1);
            assert_non_null(all);
            strncat(all, said.data, said.len);
        }
    }

    note(t);
    free(text);
    translate_close(t);

    return all;
}


static inline char *
stream(const char *client, const char *provider, const char *events, int *end)
{
    return streamed(begin(client, provider, 1), events, end);
}


#endif
