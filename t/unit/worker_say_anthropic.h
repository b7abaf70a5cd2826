/*
 * What an answer of Anthropic's messages says: its objects and streams.
 */

#ifndef WORKER_SAY_ANTHROPIC_H
#define WORKER_SAY_ANTHROPIC_H

#include "worker_say.h"


static inline void
say_anthropic_usage(say_t *s, json_t *u, long *plain, long *write)
{
    if (!json_is_object(u)) {
        return;
    }

    *plain = say_n(u, "input_tokens", *plain);
    *write = say_n(u, "cache_creation_input_tokens", *write);
    s->cached = say_n(u, "cache_read_input_tokens", s->cached);
    s->output = say_n(u, "output_tokens", s->output);
    s->input = *plain + (*write > 0 ? *write : 0)
               + (s->cached > 0 ? s->cached : 0);
}


static inline void
say_anthropic_object(say_t *s, json_t *o)
{
    char    *text;
    long     plain, write;
    size_t   i;
    json_t  *b;

    plain = 0;
    write = 0;
    s->error = say_z(o, "type") != NULL
               && strcmp(say_z(o, "type"), "error") == 0;

    json_array_foreach(json_object_get(o, "content"), i, b) {
        const char  *type = say_z(b, "type");

        if (strcmp(type, "text") == 0) {
            say_add(&s->text, say_z(b, "text"));

        } else if (strcmp(type, "thinking") == 0) {
            say_add(&s->reasoning, say_z(b, "thinking"));

        } else if (strcmp(type, "tool_use") == 0) {
            text = json_dumps(json_object_get(b, "input"), JSON_COMPACT);
            say_call(s, say_z(b, "id"), say_z(b, "name"), text);
            free(text);
        }
    }

    say_finish(s, say_z(o, "stop_reason"));
    say_anthropic_usage(s, json_object_get(o, "usage"), &plain, &write);
}


/* Also judges the order of events, as an SDK would. */

static inline void
say_anthropic_stream(say_t *s, const char *text)
{
    int      starts, open, next, call;
    char     event[64], *data;
    long     plain, write;
    json_t  *o, *b;

    starts = 0;
    open = -1;
    next = 0;
    call = -1;
    plain = 0;
    write = 0;

    while (say_event(&text, event, sizeof(event), &data)) {
        const char  *type;

        o = json_loads(data, 0, NULL);
        assert_non_null(o);
        free(data);
        type = say_z(o, "type");
        assert_non_null(type);

        if (event[0] != '\0') {
            assert_string_equal(event, type);
        }

        if (strcmp(type, "message_start") == 0) {
            assert_int_equal(starts++, 0);
            say_anthropic_usage(s, json_object_get(json_object_get(o,
                                                                   "message"),
                                                   "usage"),
                                &plain, &write);

        } else if (strcmp(type, "content_block_start") == 0) {
            assert_int_equal(open, -1);
            assert_int_equal(say_n(o, "index", -1), next);
            open = next++;
            b = json_object_get(o, "content_block");
            call = -1;

            if (strcmp(say_z(b, "type"), "tool_use") == 0) {
                call = (int) s->ncalls;
                say_call(s, say_z(b, "id"), say_z(b, "name"), NULL);
            }

            if (strcmp(say_z(b, "type"), "text") == 0) {
                say_add(&s->text, say_z(b, "text"));
            }

        } else if (strcmp(type, "content_block_delta") == 0) {
            assert_int_equal(say_n(o, "index", -1), open);
            b = json_object_get(o, "delta");
            say_add(&s->text, say_z(b, "text"));
            say_add(&s->reasoning, say_z(b, "thinking"));

            if (call >= 0) {
                say_add(&s->calls[call].arguments, say_z(b, "partial_json"));
            }

        } else if (strcmp(type, "content_block_stop") == 0) {
            assert_int_equal(say_n(o, "index", -1), open);
            open = -1;

        } else if (strcmp(type, "message_delta") == 0) {
            say_finish(s, say_z(json_object_get(o, "delta"), "stop_reason"));
            say_anthropic_usage(s, json_object_get(o, "usage"), &plain,
                                &write);

        } else if (strcmp(type, "message_stop") == 0) {
            s->ended = 1;

        } else if (strcmp(type, "error") == 0) {
            s->error = 1;
        }

        json_decref(o);
    }
}

#endif
