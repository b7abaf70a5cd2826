/*
 * What an answer of AWS Bedrock's Converse says: its objects.
 */

#ifndef WORKER_SAY_BEDROCK_H
#define WORKER_SAY_BEDROCK_H

#include "worker_say.h"


static inline void
say_bedrock_object(say_t *s, json_t *o)
{
    long         read, write;
    char        *text;
    size_t       i;
    json_t      *b, *n, *u;
    const char  *word;

    json_array_foreach(json_object_get(json_object_get(json_object_get(o,
                       "output"), "message"), "content"), i, b)
    {
        say_add(&s->text, say_z(b, "text"));
        n = json_object_get(json_object_get(b, "reasoningContent"),
                            "reasoningText");
        say_add(&s->reasoning, say_z(n, "text"));
        n = json_object_get(b, "toolUse");

        if (n != NULL) {
            text = json_dumps(json_object_get(n, "input"), JSON_COMPACT);
            say_call(s, say_z(n, "toolUseId"), say_z(n, "name"), text);
            free(text);
        }
    }

    word = say_z(o, "stopReason");
    say_finish(s, word != NULL && (strcmp(word, "guardrail_intervened") == 0
                                   || strcmp(word, "content_filtered") == 0)
                  ? "refusal" : word);
    u = json_object_get(o, "usage");
    read = say_n(u, "cacheReadInputTokens", 0);
    write = say_n(u, "cacheWriteInputTokens", 0);
    s->input = say_n(u, "inputTokens", -1) + read + write;
    s->output = say_n(u, "outputTokens", -1);
    s->cached = read;
    s->ended = 1;
}

#endif
