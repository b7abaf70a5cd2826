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


/* OpenAI's. */

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


/* Anthropic's. */

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


/* Google's: its streams are objects that each say more. */

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


/* OpenAI's Responses. */

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


/* AWS Bedrock's Converse. */

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
