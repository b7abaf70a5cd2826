/*
 * What an answer says, read by jansson from any dialect's objects and streams,
 * so that two of them can be compared: nothing of workers/ is in here.
 */

#ifndef WORKER_SAY_H
#define WORKER_SAY_H

#include "ai_unit.h"

#include <jansson.h>

#define SAY_CALLS  128

typedef struct {
    char    *text;
    char    *reasoning;
    unsigned ncalls;
    struct {
        char *id;
        char *name;
        char *arguments;
    } calls[SAY_CALLS];
    char     finish[32];        /* stop, length, tools, filter */
    long     input;             /* all of it; -1 unknown */
    long     output;
    long     cached;
    unsigned ended:1;           /* a stream's last word */
    unsigned error:1;
} say_t;


static inline void
say_add(char **to, const char *text)
{
    size_t  have, more;

    if (text == NULL) {
        return;
    }

    have = *to != NULL ? strlen(*to) : 0;
    more = strlen(text);
    *to = realloc(*to, have + more + 1);
    assert_non_null(*to);
    memcpy(*to + have, text, more + 1);
}


static inline void
say_init(say_t *s)
{
    memset(s, 0, sizeof(*s));
    s->input = -1;
    s->output = -1;
    s->cached = -1;
    say_add(&s->text, "");
    say_add(&s->reasoning, "");
}


static inline void
say_free(say_t *s)
{
    unsigned  i;

    free(s->text);
    free(s->reasoning);

    for (i = 0; i < s->ncalls; i++) {
        free(s->calls[i].id);
        free(s->calls[i].name);
        free(s->calls[i].arguments);
    }
}


static inline const char *
say_z(json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}


static inline long
say_n(json_t *o, const char *name, long otherwise)
{
    json_t  *n;

    n = json_object_get(o, name);

    return json_is_number(n) ? (long) json_number_value(n) : otherwise;
}


static inline void
say_finish(say_t *s, const char *word)
{
    static const char *const  words[][2] = {
        { "stop", "stop" }, { "eos", "stop" }, { "end_turn", "stop" },
        { "stop_sequence", "stop" },
        { "pause_turn", "stop" }, { "length", "length" },
        { "max_tokens", "length" }, { "tool_calls", "tools" },
        { "function_call", "tools" }, { "tool_use", "tools" },
        { "content_filter", "filter" }, { "refusal", "filter" },
        { "model_context_window_exceeded", "length" },
    };
    size_t  i;

    if (word == NULL || word[0] == '\0') {
        return;
    }

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i][0], word) == 0) {
            strcpy(s->finish, words[i][1]);
            return;
        }
    }

    snprintf(s->finish, sizeof(s->finish), "?%.20s", word);
}


static inline void
say_call(say_t *s, const char *id, const char *name, const char *arguments)
{
    assert_true(s->ncalls < SAY_CALLS);
    say_add(&s->calls[s->ncalls].id, id != NULL ? id : "");
    say_add(&s->calls[s->ncalls].name, name != NULL ? name : "");
    say_add(&s->calls[s->ncalls].arguments, arguments);
    s->ncalls++;
}


/* The data of events, one after the other: 1, or 0 at the end. */

static inline int
say_event(const char **p, char *event, size_t size, char **data)
{
    char        *to;
    size_t       len;
    const char  *line, *end;

    *data = NULL;
    event[0] = '\0';

    while (**p != '\0') {
        line = *p;
        end = strpbrk(line, "\r\n");
        len = end != NULL ? (size_t) (end - line) : strlen(line);
        *p = line + len;

        if (**p == '\r') {
            (*p)++;
        }

        if (**p == '\n') {
            (*p)++;
        }

        if (len == 0) {
            if (*data != NULL) {
                return 1;
            }

            continue;
        }

        if (len > 6 && strncmp(line, "event:", 6) == 0) {
            snprintf(event, size, "%.*s", (int) (len - 7), line + 7);
        }

        if (len >= 5 && strncmp(line, "data:", 5) == 0) {
            line += line[5] == ' ' ? 6 : 5;
            len = (size_t) (end != NULL ? end - line : (long) strlen(line));
            to = malloc(len + 1);
            assert_non_null(to);
            memcpy(to, line, len);
            to[len] = '\0';
            free(*data);
            *data = to;
        }
    }

    return *data != NULL;
}


/* Comparing. */

static inline int
say_arguments_equal(const char *a, const char *b)
{
    int      same;
    json_t  *x, *y;

    a = a != NULL && a[0] != '\0' ? a : "{}";
    b = b != NULL && b[0] != '\0' ? b : "{}";
    x = json_loads(a, JSON_DECODE_ANY, NULL);
    y = json_loads(b, JSON_DECODE_ANY, NULL);

    /* What was cut is passed on as it is, or wrapped in an object. */

    same = x == NULL ? y == NULL ? strcmp(a, b) == 0
                       : say_z(y, "arguments") != NULL
                         && strcmp(say_z(y, "arguments"), a) == 0
           : y != NULL && json_equal(x, y);
    json_decref(x);
    json_decref(y);

    return same;
}


/* NULL: they say the same; else what differs. */

static inline const char *
say_differs(const say_t *a, const say_t *b)
{
    unsigned  i;

    if (strcmp(a->text, b->text) != 0) {
        return "text";
    }

    if (strcmp(a->reasoning, b->reasoning) != 0) {
        return "reasoning";
    }

    if (a->ncalls != b->ncalls) {
        return "number of calls";
    }

    for (i = 0; i < a->ncalls; i++) {
        if (strcmp(a->calls[i].name, b->calls[i].name) != 0) {
            return "name of a call";
        }

        if (a->calls[i].id[0] != '\0' && b->calls[i].id[0] != '\0'
            && strcmp(a->calls[i].id, b->calls[i].id) != 0)
        {
            return "id of a call";
        }

        if (!say_arguments_equal(a->calls[i].arguments, b->calls[i].arguments))
        {
            return "arguments";
        }
    }

    if (!a->error && strcmp(a->finish, b->finish) != 0) {
        return "finish";
    }

    if (a->error) {
        return b->error ? NULL : "error";
    }

    if ((a->input >= 0 && a->input != b->input)
        || (a->output >= 0 && a->output != b->output)
        || (a->cached > 0 && a->cached != b->cached))
    {
        return "usage";
    }

    return a->error != b->error ? "error" : NULL;
}

#endif
