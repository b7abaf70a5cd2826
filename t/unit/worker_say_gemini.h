/*
 * What an answer of Google's generateContent says: its objects and streams.
 */

#ifndef WORKER_SAY_GEMINI_H
#define WORKER_SAY_GEMINI_H

#include "worker_say_openai.h"


/* A stream is objects that each say more. */

static inline void
say_gemini_parts(say_t *s, json_t *candidate)
{
    char    *text;
    size_t   i;
    json_t  *p, *f;

    json_array_foreach(json_object_get(json_object_get(candidate, "content"),
                                       "parts"),
                       i, p)
    {
        f = json_object_get(p, "functionCall");

        if (f != NULL) {
            text = json_dumps(json_object_get(f, "args"), JSON_COMPACT);
            say_call(s, say_z(f, "id"), say_z(f, "name"), text);
            free(text);

        } else if (json_is_true(json_object_get(p, "thought"))) {
            say_add(&s->reasoning, say_z(p, "text"));

        } else {
            say_add(&s->text, say_z(p, "text"));
        }
    }
}


static inline void
say_gemini_object(say_t *s, json_t *o)
{
    long         prompt, said, thoughts;
    size_t       i;
    json_t      *c, *u;
    const char  *word;

    static const char *const  filters[] = {
        "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"
    };

    s->error |= json_is_object(json_object_get(o, "error"));
    c = json_array_get(json_object_get(o, "candidates"), 0);
    say_gemini_parts(s, c);
    word = say_z(c, "finishReason");

    if (word != NULL) {
        say_finish(s, strcmp(word, "MAX_TOKENS") == 0 ? "length" : "stop");

        for (i = 0; i < 5; i++) {
            if (strcmp(word, filters[i]) == 0) {
                say_finish(s, "refusal");
            }
        }
    }

    if (say_z(json_object_get(o, "promptFeedback"), "blockReason") != NULL) {
        say_finish(s, "refusal");
    }

    u = json_object_get(o, "usageMetadata");
    prompt = say_n(u, "promptTokenCount", -1);
    said = say_n(u, "candidatesTokenCount", -1);
    thoughts = say_n(u, "thoughtsTokenCount", -1);

    if (prompt >= 0) {
        s->input = prompt + say_n(u, "toolUsePromptTokenCount", 0);
        s->cached = say_n(u, "cachedContentTokenCount", 0);
    }

    if (said >= 0 || thoughts >= 0 || s->output < 0) {
        s->output = (said > 0 ? said : 0) + (thoughts > 0 ? thoughts : 0);
    }

    say_openai_end(s);
}


static inline void
say_gemini_stream(say_t *s, const char *text)
{
    char     event[64], *data;
    json_t  *o;

    while (say_event(&text, event, sizeof(event), &data)) {
        o = json_loads(data, 0, NULL);
        assert_non_null(o);
        free(data);
        say_gemini_object(s, o);
        json_decref(o);
    }

    s->ended = 1;
}

#endif
