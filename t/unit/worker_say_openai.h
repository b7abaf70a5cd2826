/*
 * What an answer of OpenAI's chat completions says: its objects and streams.
 */

#ifndef WORKER_SAY_OPENAI_H
#define WORKER_SAY_OPENAI_H

#include "worker_say.h"


static inline void
say_openai_usage(say_t *s, json_t *u)
{
    if (!json_is_object(u)) {
        return;
    }

    s->input = say_n(u, "prompt_tokens", s->input);
    s->output = say_n(u, "completion_tokens", s->output);
    s->cached = say_n(u, "cached_tokens", s->cached);
    s->cached = say_n(u, "num_cached_tokens", s->cached);
    s->cached = say_n(u, "prompt_cache_hit_tokens", s->cached);
    s->cached = say_n(json_object_get(u, "prompt_tokens_details"),
                      "cached_tokens", s->cached);
}


static inline void
say_openai_content(say_t *s, json_t *c)
{
    size_t   i, k;
    json_t  *p, *q;

    if (json_is_string(c)) {
        say_add(&s->text, json_string_value(c));
    }

    json_array_foreach(c, i, p) {
        say_add(&s->text, say_z(p, "text"));

        json_array_foreach(json_object_get(p, "thinking"), k, q) {
            say_add(&s->reasoning, say_z(q, "text"));
        }
    }
}


/* One that numbers all of its calls 0 tells them apart by their ids. */

static inline void
say_openai_message(say_t *s, json_t *m, int *index)
{
    int          at;
    size_t       i;
    json_t      *c, *f;
    unsigned     k;
    const char  *id, *r;

    say_openai_content(s, json_object_get(m, "content"));
    say_add(&s->text, say_z(m, "refusal"));

    if (say_z(m, "refusal") != NULL && say_z(m, "refusal")[0] != '\0') {
        say_finish(s, "refusal");
    }

    r = say_z(m, "reasoning_content");
    say_add(&s->reasoning, r != NULL && r[0] != '\0' ? r
                           : say_z(m, "reasoning"));

    f = json_object_get(m, "function_call");

    if (json_is_object(f)) {

        if (s->ncalls == 0) {
            say_call(s, "", "", NULL);
        }

        say_add(&s->calls[0].name, say_z(f, "name"));
        say_add(&s->calls[0].arguments, say_z(f, "arguments"));
    }

    json_array_foreach(json_object_get(m, "tool_calls"), i, c) {
        f = json_object_get(c, "function");

        if (!json_is_object(f)) {
            continue;
        }

        id = say_z(c, "id");
        at = -1;

        for (k = 0; k < s->ncalls && index != NULL; k++) {
            if (index[k] == say_n(c, "index", -1)
                && (id == NULL || id[0] == '\0'
                    || strcmp(id, s->calls[k].id) == 0))
            {
                at = (int) k;
            }
        }

        if (at < 0) {
            at = (int) s->ncalls;
            say_call(s, id, say_z(f, "name"), NULL);

            if (index != NULL) {
                index[at] = (int) say_n(c, "index", -1);
            }
        }

        say_add(&s->calls[at].arguments, say_z(f, "arguments"));
    }
}


static inline void
say_openai_end(say_t *s)
{
    if (s->finish[0] == '\0') {
        strcpy(s->finish, "stop");
    }

    if (s->ncalls != 0 && strcmp(s->finish, "stop") == 0) {
        strcpy(s->finish, "tools");
    }
}


static inline void
say_openai_object(say_t *s, json_t *o)
{
    json_t  *c;

    s->error = json_is_object(json_object_get(o, "error"));
    c = json_array_get(json_object_get(o, "choices"), 0);
    say_finish(s, say_z(c, "finish_reason"));
    say_openai_message(s, json_object_get(c, "message"), NULL);
    say_openai_usage(s, json_object_get(o, "usage"));
    say_openai_end(s);
}


static inline void
say_openai_stream(say_t *s, const char *text)
{
    int      index[SAY_CALLS];
    char     event[64], *data;
    size_t   i;
    json_t  *o, *c;

    memset(index, 0xFF, sizeof(index));

    while (say_event(&text, event, sizeof(event), &data)) {

        if (strcmp(data, "[DONE]") == 0) {
            s->ended = 1;
            free(data);
            continue;
        }

        o = json_loads(data, 0, NULL);
        free(data);

        if (json_is_object(json_object_get(o, "error"))) {
            s->error = 1;
        }

        json_array_foreach(json_object_get(o, "choices"), i, c) {
            if (say_n(c, "index", 0) == 0) {
                say_openai_message(s, json_object_get(c, "delta"), index);
                say_finish(s, say_z(c, "finish_reason"));
            }
        }

        say_openai_usage(s, json_object_get(json_object_get(o, "x_groq"),
                                            "usage"));
        say_openai_usage(s, json_object_get(o, "usage"));
        json_decref(o);
    }

    say_openai_end(s);
}

#endif
