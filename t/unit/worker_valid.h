/*
 * What each provider takes for a request, as its manual and its errors have
 * it; made here from nothing of workers/.
 */

#ifndef WORKER_VALID_H
#define WORKER_VALID_H

#include "worker_say.h"


static inline int
valid_members(json_t *o, const char *const *members)
{
    size_t       i;
    json_t      *value;
    const char  *key;

    json_object_foreach(o, key, value) {
        for (i = 0; members[i] != NULL && strcmp(members[i], key) != 0; i++) {
            /* void */
        }

        if (members[i] == NULL) {
            print_message("# %s\n", key);
            return 0;
        }
    }

    return 1;
}


static inline const char *
openai_valid(json_t *o)
{
    size_t       i, k;
    json_t      *m, *c, *calls;
    unsigned     due;
    const char  *role;

    static const char *const  members[] = {
        "messages", "model", "stream", "stream_options", "tools", "tool_choice",
        "parallel_tool_calls", "response_format", "max_tokens",
        "max_completion_tokens", "temperature", "top_p", "stop", "n",
        "presence_penalty", "frequency_penalty", "seed", "logit_bias",
        "logprobs", "top_logprobs", "user", "metadata", "store",
        "service_tier", "reasoning_effort", "verbosity", "prediction",
        "modalities", "audio", "prompt_cache_key", "safety_identifier",
        "web_search_options", "prompt_cache_retention", NULL
    };

    if (!valid_members(o, members)) {
        return "a member that is not known";
    }

    due = 0;

    if (json_array_size(json_object_get(o, "messages")) == 0) {
        return "no messages";
    }

    json_array_foreach(json_object_get(o, "messages"), i, m) {
        role = say_z(m, "role");

        if (role == NULL) {
            return "no role";
        }

        if (strcmp(role, "tool") == 0) {
            if (due == 0 || say_z(m, "tool_call_id") == NULL) {
                return "a tool message without a call";
            }

            due--;

        } else {
            due = 0;
        }

        calls = json_object_get(m, "tool_calls");

        json_array_foreach(calls, k, c) {
            json_t  *args, *f;

            f = json_object_get(c, "function");
            args = json_loads(say_z(f, "arguments"), 0, NULL);

            if (say_z(f, "name") == NULL || args == NULL) {
                return "a call without name or arguments";
            }

            json_decref(args);
            due++;
        }

        c = json_object_get(m, "content");

        if (c == NULL || (json_is_null(c) && calls == NULL)) {
            return "no content";
        }
    }

    json_array_foreach(json_object_get(o, "tools"), i, m) {
        if (say_z(json_object_get(m, "function"), "name") == NULL) {
            return "a tool without a name";
        }
    }

    return NULL;
}


static inline const char *
anthropic_valid(json_t *o)
{
    size_t       i, k;
    json_t      *m, *b, *content;
    const char  *role, *last;

    static const char *const  members[] = {
        "messages", "model", "max_tokens", "system", "stream", "tools",
        "tool_choice", "temperature", "top_p", "top_k", "stop_sequences",
        "metadata", "thinking", "service_tier", "output_config",
        "cache_control", NULL
    };

    if (!valid_members(o, members)) {
        return "a member that is not known";
    }

    last = "";

    if (say_n(o, "max_tokens", 0) <= 0) {
        return "no max_tokens";
    }

    if (json_array_size(json_object_get(o, "messages")) == 0) {
        return "no messages";
    }

    json_array_foreach(json_object_get(o, "messages"), i, m) {
        role = say_z(m, "role");

        if (role == NULL || strcmp(role, last) == 0) {
            return "two turns of one";
        }

        last = role;
        content = json_object_get(m, "content");

        if (json_array_size(content) == 0) {
            return "no content";
        }

        json_array_foreach(content, k, b) {
            const char  *type;

            type = say_z(b, "type");

            if (type == NULL) {
                return "a block without a type";
            }

            if (strcmp(type, "text") == 0
                && (say_z(b, "text") == NULL || say_z(b, "text")[0] == '\0'))
            {
                return "an empty text";
            }

            if (strcmp(type, "tool_use") == 0
                && (!json_is_object(json_object_get(b, "input"))
                    || strspn(say_z(b, "id"), "ABCDEFGHIJKLMNOPQRSTUVWXYZabc"
                              "defghijklmnopqrstuvwxyz0123456789_-")
                       != strlen(say_z(b, "id"))))
            {
                return "an invalid call";
            }

            if (strcmp(type, "tool_result") == 0
                && (strcmp(role, "user") != 0
                    || say_z(b, "tool_use_id") == NULL))
            {
                return "an invalid result";
            }
        }
    }

    json_array_foreach(json_object_get(o, "tools"), i, m) {
        if (say_z(m, "name") == NULL
            || !json_is_object(json_object_get(m, "input_schema")))
        {
            return "an invalid tool";
        }
    }

    return NULL;
}


/* What Google refuses: contents without parts, calls that are not answered in
 * the next content, members that it does not know. */

static inline const char *
gemini_valid(json_t *o)
{
    size_t       i, k, calls, results, others;
    json_t      *m, *p, *f;
    const char  *role;
    unsigned     due;

    static const char *const  members[] = {
        "systemInstruction", "contents", "tools", "toolConfig",
        "generationConfig", "serviceTier", NULL
    };

    if (!valid_members(o, members)) {
        return "a member that is not known";
    }

    due = 0;

    if (json_array_size(json_object_get(o, "contents")) == 0) {
        return "no contents";
    }

    json_array_foreach(json_object_get(o, "contents"), i, m) {
        role = say_z(m, "role");
        calls = 0;
        results = 0;
        others = 0;

        if (role == NULL || (strcmp(role, "user") != 0
                             && strcmp(role, "model") != 0))
        {
            return "no such role";
        }

        if (json_array_size(json_object_get(m, "parts")) == 0) {
            return "no parts";
        }

        json_array_foreach(json_object_get(m, "parts"), k, p) {
            f = json_object_get(p, "functionCall");

            if (f != NULL) {
                if (!json_is_object(json_object_get(f, "args"))
                    || say_z(f, "name") == NULL
                    || strcmp(role, "model") != 0)
                {
                    return "an invalid call";
                }

                calls++;
                continue;
            }

            f = json_object_get(p, "functionResponse");

            if (f != NULL) {
                if (!json_is_object(json_object_get(f, "response"))
                    || say_z(f, "name") == NULL
                    || strcmp(role, "user") != 0)
                {
                    return "an invalid result";
                }

                results++;
                continue;
            }

            others++;

            if (json_object_get(p, "text") == NULL
                && json_object_get(p, "inlineData") == NULL
                && json_object_get(p, "fileData") == NULL)
            {
                return "an invalid part";
            }
        }

        if (results != 0 && (others != 0 || results > due)) {
            return "results with others, or without calls";
        }

        due = (unsigned) calls;
    }

    json_array_foreach(json_object_get(o, "tools"), i, m) {
        json_array_foreach(json_object_get(m, "functionDeclarations"), k, p) {
            f = json_object_get(p, "parametersJsonSchema");

            if (say_z(p, "name") == NULL || (f != NULL && !json_is_object(f)))
            {
                return "an invalid tool";
            }
        }
    }

    return NULL;
}


/* What AWS refuses: members that it does not know, turns of one in a row or
 * without content, blank texts, calls without tools, results without calls. */

static inline const char *
bedrock_valid(json_t *o)
{
    size_t       i, k, calls, results, due, used;
    json_t      *m, *b, *f, *tools;
    const char  *role, *last, *text;

    static const char *const  members[] = {
        "system", "messages", "toolConfig", "inferenceConfig",
        "additionalModelRequestFields", "outputConfig", "requestMetadata",
        "serviceTier", NULL
    };

    if (!valid_members(o, members)) {
        return "a member that is not known";
    }

    last = "";
    due = 0;
    used = 0;

    if (json_array_size(json_object_get(o, "messages")) == 0) {
        return "no messages";
    }

    json_array_foreach(json_object_get(o, "messages"), i, m) {
        role = say_z(m, "role");
        calls = 0;
        results = 0;

        if (role == NULL || strcmp(role, last) == 0) {
            return "two turns of one";
        }

        last = role;

        if (json_array_size(json_object_get(m, "content")) == 0) {
            return "no content";
        }

        json_array_foreach(json_object_get(m, "content"), k, b) {

            if (json_object_size(b) != 1) {
                return "a block of two kinds";
            }

            if ((f = json_object_get(b, "text")) != NULL) {
                text = json_string_value(f);

                if (text == NULL || text[strspn(text, " \n\r\t")] == '\0') {
                    return "a blank text";
                }

            } else if ((f = json_object_get(b, "toolUse")) != NULL) {
                text = say_z(f, "toolUseId");

                if (strcmp(role, "assistant") != 0 || text == NULL
                    || !json_is_object(json_object_get(f, "input"))
                    || say_z(f, "name") == NULL || strlen(text) > 64
                    || strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn"
                              "opqrstuvwxyz0123456789_-") != strlen(text))
                {
                    return "an invalid call";
                }

                calls++;

            } else if ((f = json_object_get(b, "toolResult")) != NULL) {

                if (strcmp(role, "user") != 0
                    || say_z(f, "toolUseId") == NULL
                    || !json_is_array(json_object_get(f, "content")))
                {
                    return "an invalid result";
                }

                results++;

            } else if ((f = json_object_get(b, "document")) != NULL) {

                if (say_z(f, "name") == NULL
                    || json_object_size(json_object_get(f, "source")) != 1)
                {
                    return "an invalid document";
                }

            } else if (json_object_get(b, "image") == NULL
                       && json_object_get(b, "video") == NULL
                       && json_object_get(b, "reasoningContent") == NULL
                       && json_object_get(b, "cachePoint") == NULL)
            {
                return "an invalid block";
            }
        }

        if (results > due) {
            return "results without calls";
        }

        due = calls;
        used += calls + results;
    }

    tools = json_object_get(json_object_get(o, "toolConfig"), "tools");

    if (used != 0 && json_array_size(tools) == 0) {
        return "calls without tools";
    }

    json_array_foreach(tools, i, m) {
        f = json_object_get(m, "toolSpec");

        if (json_object_get(m, "cachePoint") == NULL
            && (say_z(f, "name") == NULL
                || !json_is_object(json_object_get(json_object_get(f,
                                   "inputSchema"), "json"))))
        {
            return "an invalid tool";
        }
    }

    return NULL;
}


/* Each call has an id and is answered behind it, or by nobody. */

static inline const char *
responses_valid(json_t *o)
{
    size_t       i, k;
    json_t      *item, *p, *args;
    const char  *type, *role;

    static const char *const  members[] = {
        "input", "model", "instructions", "stream", "store", "include",
        "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning",
        "max_output_tokens", "temperature", "top_p", "top_logprobs",
        "metadata", "user", "prompt_cache_key", "safety_identifier",
        "service_tier", "truncation", "prompt_cache_retention", NULL
    };

    if (!valid_members(o, members)) {
        return "a member that is not known";
    }

    if (json_array_size(json_object_get(o, "input")) == 0) {
        return "no input";
    }

    json_array_foreach(json_object_get(o, "input"), i, item) {
        type = say_z(item, "type");
        role = say_z(item, "role");

        if (type == NULL) {
            if (role == NULL || json_object_get(item, "content") == NULL) {
                return "a message without role or content";
            }

            json_array_foreach(json_object_get(item, "content"), k, p) {
                type = say_z(p, "type");

                if (type == NULL
                    || (strcmp(role, "assistant") == 0)
                       != (strcmp(type, "output_text") == 0
                           || strcmp(type, "refusal") == 0))
                {
                    return "a part of another role";
                }
            }

        } else if (strcmp(type, "function_call") == 0) {
            args = json_loads(say_z(item, "arguments"), 0, NULL);

            if (say_z(item, "call_id") == NULL || say_z(item, "name") == NULL
                || args == NULL)
            {
                return "an invalid call";
            }

            json_decref(args);

        } else if (strcmp(type, "function_call_output") == 0) {
            if (say_z(item, "call_id") == NULL
                || json_object_get(item, "output") == NULL)
            {
                return "an invalid result";
            }

        } else {
            return "an item that cannot be";
        }
    }

    json_array_foreach(json_object_get(o, "tools"), i, item) {
        if (say_z(item, "name") == NULL
            || !json_is_object(json_object_get(item, "parameters"))
            || !json_is_boolean(json_object_get(item, "strict")))
        {
            return "an invalid tool";
        }
    }

    return NULL;
}


static inline const char *
ollama_valid(json_t *o)
{
    size_t       i, k;
    json_t      *m, *c, *f;
    const char  *role;

    static const char *const  members[] = {
        "messages", "model", "stream", "tools", "format", "options", "think",
        "keep_alive", "logprobs", "top_logprobs", NULL
    };

    if (!valid_members(o, members)) {
        return "a member that is not known";
    }

    json_array_foreach(json_object_get(o, "messages"), i, m) {
        role = say_z(m, "role");

        if (role == NULL || say_z(m, "content") == NULL) {
            return "a message without role or content";
        }

        if (strcmp(role, "system") != 0 && strcmp(role, "user") != 0
            && strcmp(role, "assistant") != 0 && strcmp(role, "tool") != 0)
        {
            return "a role that is none";
        }

        json_array_foreach(json_object_get(m, "tool_calls"), k, c) {
            f = json_object_get(c, "function");

            if (say_z(f, "name") == NULL
                || !json_is_object(json_object_get(f, "arguments")))
            {
                return "a call without a name or arguments";
            }
        }

        json_array_foreach(json_object_get(m, "images"), k, c) {
            if (!json_is_string(c)
                || strpbrk(json_string_value(c), ":, ") != NULL)
            {
                return "an image that is no base64";
            }
        }

        if (strcmp(role, "tool") == 0 && say_z(m, "tool_name") == NULL) {
            return "a result without its tool's name";
        }
    }

    if (!json_is_boolean(json_object_get(o, "stream"))) {
        return "no stream";
    }

    return NULL;
}


static inline const char *
cohere_valid(json_t *o)
{
    size_t       i, k;
    json_t      *m, *c, *f, *args, *content;
    unsigned     due;
    const char  *role, *type;

    static const char *const  members[] = {
        "messages", "model", "stream", "tools", "strict_tools",
        "tool_choice", "documents", "citation_options", "response_format",
        "safety_mode", "max_tokens", "stop_sequences", "temperature", "seed",
        "frequency_penalty", "presence_penalty", "k", "p", "logprobs",
        "thinking", "priority", NULL
    };

    if (!valid_members(o, members)) {
        return "a member that is not known";
    }

    due = 0;

    json_array_foreach(json_object_get(o, "messages"), i, m) {
        role = say_z(m, "role");
        content = json_object_get(m, "content");

        if (role == NULL
            || (content == NULL && json_object_get(m, "tool_calls") == NULL))
        {
            return "a message without role or content";
        }

        if (strcmp(role, "tool") == 0) {

            if (due == 0 || say_z(m, "tool_call_id") == NULL) {
                return "a result without a call";
            }

            due -= due != 0;

        } else {
            due = 0;
        }

        json_array_foreach(content, k, c) {
            type = say_z(c, "type");

            if (type == NULL
                || (strcmp(role, "user") == 0
                    ? strcmp(type, "text") != 0
                      && strcmp(type, "image_url") != 0
                    : strcmp(role, "assistant") == 0
                    ? strcmp(type, "text") != 0
                      && strcmp(type, "thinking") != 0
                    : strcmp(type, "text") != 0
                      && strcmp(type, "document") != 0))
            {
                return "content that has no place";
            }
        }

        json_array_foreach(json_object_get(m, "tool_calls"), k, c) {
            f = json_object_get(c, "function");
            args = json_loads(say_z(f, "arguments"), 0, NULL);
            due++;

            if (say_z(c, "id") == NULL || say_z(f, "name") == NULL) {
                return "a call without an id or a name";
            }

            json_decref(args);
        }
    }

    if (say_n(o, "temperature", 0) > 1 || say_n(o, "p", 0) > 0.99) {
        return "a number that is too large";
    }

    return NULL;
}


/* NULL: the dialect's provider would take it. */

static inline const char *
valid(const char *dialect, json_t *o)
{
    size_t  i;

    static const struct {
        const char   *dialect;
        const char *(*valid)(json_t *o);
    } all[] = {
        { "openai", openai_valid },
        { "anthropic", anthropic_valid },
        { "responses", responses_valid },
        { "gemini", gemini_valid },
        { "vertex", gemini_valid },
        { "bedrock", bedrock_valid },
        { "ollama", ollama_valid },
        { "cohere", cohere_valid },
    };

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(all[i].dialect, dialect) == 0) {
            return all[i].valid(o);
        }
    }

    return "a dialect that is none";
}


#endif /* WORKER_VALID_H */
