/*
 * What an answer of OpenAI's Responses says: its objects and streams.
 */

#ifndef WORKER_SAY_RESPONSES_H
#define WORKER_SAY_RESPONSES_H

#include "worker_say.h"


static inline void
say_responses_item(say_t *s, json_t *i)
{
    size_t       k;
    json_t      *p, *parts;
    unsigned     n, refused;
    const char  *type;

    type = say_z(i, "type");
    n = 0;
    refused = 0;

    if (strcmp(type, "message") == 0) {
        json_array_foreach(json_object_get(i, "content"), k, p) {
            say_add(&s->text, say_z(p, "text"));
            say_add(&s->text, say_z(p, "refusal"));
            refused |= say_z(p, "refusal") != NULL;
        }

        if (refused) {
            strcpy(s->finish, "filter");
        }

    } else if (strcmp(type, "reasoning") == 0) {
        parts = json_object_get(i, "summary");

        if (json_array_size(parts) == 0) {
            parts = json_object_get(i, "content");
        }

        json_array_foreach(parts, k, p) {
            say_add(&s->reasoning, n++ != 0 ? "\n\n" : "");
            say_add(&s->reasoning, say_z(p, "text"));
        }

    } else if (strcmp(type, "function_call") == 0) {
        say_call(s, say_z(i, "call_id"), say_z(i, "name"),
                 say_z(i, "arguments"));
    }
}


static inline void
say_responses_object(say_t *s, json_t *o)
{
    size_t       k;
    json_t      *i, *u;
    const char  *why;

    s->error = json_is_object(json_object_get(o, "error"));

    json_array_foreach(json_object_get(o, "output"), k, i) {
        say_responses_item(s, i);
    }

    why = say_z(json_object_get(o, "incomplete_details"), "reason");

    if (why != NULL || s->finish[0] == '\0') {
        strcpy(s->finish, why == NULL ? "stop"
                          : strcmp(why, "max_output_tokens") == 0 ? "length"
                          : "filter");
    }

    if (why == NULL && s->ncalls != 0) {
        strcpy(s->finish, "tools");
    }

    u = json_object_get(o, "usage");
    s->input = say_n(u, "input_tokens", -1);
    s->output = say_n(u, "output_tokens", -1);
    s->cached = say_n(json_object_get(u, "input_tokens_details"),
                      "cached_tokens", -1);
}


static inline void
say_responses_same(char *deltas, const char *whole)
{
    assert_string_equal(deltas != NULL ? deltas : "",
                        whole != NULL ? whole : "");
    free(deltas);
}


/* What is ours is judged as the stock client would: numbers without gaps, and
 * what is done is what its deltas said. */

static inline void
say_responses_stream(say_t *s, const char *text)
{
    char        *deltas[SAY_CALLS], event[64], *data;
    long         at, next;
    json_t      *o, *n, *i, *response;
    unsigned     mine, added, done;

    memset(deltas, 0, sizeof(deltas));
    response = NULL;
    next = 0;
    added = 0;
    done = 0;
    mine = strstr(text, "\"resp_0123\"") != NULL;

    while (say_event(&text, event, sizeof(event), &data)) {
        const char  *type;

        o = json_loads(data, 0, NULL);
        free(data);

        if (o == NULL) {
            continue;
        }

        type = say_z(o, "type");
        assert_non_null(type);
        n = json_object_get(o, "sequence_number");
        at = say_n(o, "output_index", 0);
        i = json_object_get(o, "item");
        assert_true(at >= 0 && at < SAY_CALLS);

        if (mine) {
            assert_string_equal(event, type);
            assert_int_equal(json_integer_value(n), next++);
        }

        if (strcmp(type, "response.output_item.added") == 0) {
            assert_true(!mine || at == (long) added);
            added++;

        } else if (strcmp(type, "response.output_item.done") == 0) {
            done++;

        } else if (mine && (strcmp(type, "response.output_text.delta") == 0
                            || strcmp(type, "response.refusal.delta") == 0
                            || strstr(type, "_summary_text.delta") != NULL
                            || strstr(type, "_arguments.delta") != NULL))
        {
            say_add(&deltas[at], say_z(o, "delta"));

        } else if (mine && strcmp(type, "response.content_part.added") == 0) {
            assert_null(deltas[at]);

        } else if (mine && strcmp(type, "response.content_part.done") == 0) {
            i = json_object_get(o, "part");
            say_responses_same(deltas[at], say_z(i, "text") != NULL
                                           ? say_z(i, "text")
                                           : say_z(i, "refusal"));
            deltas[at] = NULL;

        } else if (mine && strstr(type, "_arguments.done") != NULL) {
            say_responses_same(deltas[at], say_z(o, "arguments"));
            deltas[at] = NULL;

        } else if (mine && strstr(type, "_summary_part.done") != NULL) {
            say_responses_same(deltas[at],
                               say_z(json_object_get(o, "part"), "text"));
            deltas[at] = NULL;

        } else if (strcmp(type, "response.completed") == 0
                   || strcmp(type, "response.incomplete") == 0
                   || strcmp(type, "response.failed") == 0)
        {
            response = json_incref(json_object_get(o, "response"));
            s->ended = 1;

        } else if (strcmp(type, "error") == 0) {
            s->error = 1;
        }

        json_decref(o);
    }

    if (response != NULL) {
        say_responses_object(s, response);
        assert_true(!mine || (added == done
                              && done == json_array_size(json_object_get(
                                             response, "output"))));
        json_decref(response);
    }
}

#endif
