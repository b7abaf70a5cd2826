/*
 * What translation costs a worker in processor time, beside the same call that
 * passes: a small request with its answer, and a chunk of a stream, by pair of
 * dialects.  Prints JSON.  Owns all that it measures; links the workers' code.
 *
 *   translate [ROUNDS [CALLS]]
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../t/unit/worker_frame.h"
#include "ai_sse.h"
#include "translate.h"


#define ROUNDS  9
#define CALLS   2000
#define CHUNKS  100             /* of a stream, alike */

#define USER  "Say hello to the world, in one short sentence, please."
#define PART(text)  "\"content\":{\"parts\":[{\"text\":\"" text "\"}],"      \
                    "\"role\":\"model\"},\"index\":0"
#define GOOGLE(n)                                                             \
    "\"usageMetadata\":{\"promptTokenCount\":20,\"candidatesTokenCount\":" n   \
    ",\"totalTokenCount\":32,\"promptTokensDetails\":[{\"modality\":"         \
    "\"TEXT\",\"tokenCount\":20}]},\"modelVersion\":\"m-1\",\"responseId\":"  \
    "\"hlP6ae3uJuqGz7IP\""
#define LLAMA(text)                                                           \
    "{\"model\":\"m-1\",\"created_at\":\"2025-07-07T20:22:19.184789Z\","       \
    "\"message\":{\"role\":\"assistant\",\"content\":" text "},"
#define RESPONSE_AT                                                           \
    "\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0"
#define RESPONSE_USAGE                                                        \
    "{\"input_tokens\":20,\"output_tokens\":12,\"total_tokens\":32,"           \
    "\"input_tokens_details\":{\"cached_tokens\":0},"                         \
    "\"output_tokens_details\":{\"reasoning_tokens\":0}}"
#define RESPONSE(status, output, usage)                                       \
    "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1700000000,"   \
    "\"status\":\"" status "\",\"model\":\"m-1\",\"output\":" output           \
    ",\"error\":null,\"incomplete_details\":null,\"instructions\":null,"      \
    "\"metadata\":{},\"tools\":[],\"tool_choice\":\"auto\",\"usage\":" usage   \
    "}"
#define SAID  "Hello, world! It is good to see you \\u2014 all of you."


typedef struct {
    const char *dialect;
    const char *request;        /* %s: ,"stream":true; NULL: a provider's */
    const char *answer;
    const char *head;           /* of a stream */
    const char *chunk;
    const char *tail;
    unsigned    frames:1;       /* a stream's lines "<type> <data>" are AWS' */
} sample_t;

typedef struct {
    char      buf[4096];
    ai_str_t  head;
    ai_str_t  chunk;
    ai_str_t  tail;
} stream_t;

typedef struct {
    double answer;              /* us a call */
    double chunk;
} cost_t;


static double now(void);
static const sample_t *sample(const char *dialect);
static void fail(const char *what);
static ai_str_t str(const char *z);
static void stream(const sample_t *s, stream_t *out);
static ai_str_t framed(const char *lines, char **at, const char *end);
static void passed(const sample_t *s, unsigned calls, cost_t *cost);
static void translated(const sample_t *client, const sample_t *s,
    unsigned calls, cost_t *cost);


static const sample_t  samples[] = {
    {
        "openai",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":"
        "\"Be brief.\"},{\"role\":\"user\",\"content\":\"" USER "\"}],"
        "\"temperature\":0.7,\"max_tokens\":200%s}",
        "{\"id\":\"chatcmpl-123\",\"object\":\"chat.completion\",\"created\":"
        "1700000000,\"model\":\"m-1\",\"choices\":[{\"index\":0,\"message\":{"
        "\"role\":\"assistant\",\"content\":\"" SAID "\",\"refusal\":null},"
        "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
        "\"prompt_tokens\":20,\"completion_tokens\":12,\"total_tokens\":32,"
        "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":0}}}",
        "data: {\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\","
        "\"created\":1700000000,\"model\":\"m-1\",\"choices\":[{\"index\":0,"
        "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
        "\"finish_reason\":null}],\"usage\":null}\n\n",
        "data: {\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\","
        "\"created\":1700000000,\"model\":\"m-1\",\"choices\":[{\"index\":0,"
        "\"delta\":{\"content\":\" hello\"},\"logprobs\":null,"
        "\"finish_reason\":null}],\"usage\":null}\n\n",
        "data: {\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\","
        "\"created\":1700000000,\"model\":\"m-1\",\"choices\":[{\"index\":0,"
        "\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
        "\"usage\":null}\n\ndata: [DONE]\n\n", 0
    },
    {
        "anthropic",
        "{\"model\":\"m\",\"max_tokens\":200,\"system\":\"Be brief.\","
        "\"messages\":[{\"role\":\"user\",\"content\":\"" USER "\"}],"
        "\"temperature\":0.7%s}",
        "{\"id\":\"msg_123\",\"type\":\"message\",\"role\":\"assistant\","
        "\"model\":\"m-1\",\"content\":[{\"type\":\"text\",\"text\":\"" SAID
        "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{"
        "\"input_tokens\":20,\"cache_creation_input_tokens\":0,"
        "\"cache_read_input_tokens\":0,\"output_tokens\":12}}",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{"
        "\"id\":\"msg_123\",\"type\":\"message\",\"role\":\"assistant\","
        "\"model\":\"m-1\",\"content\":[],\"stop_reason\":null,"
        "\"stop_sequence\":null,\"usage\":{\"input_tokens\":20,"
        "\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":"
        "\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
        "\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
        "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" hello\"}}"
        "\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
        "\"index\":0}\n\nevent: message_delta\ndata: {\"type\":"
        "\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
        "\"stop_sequence\":null},\"usage\":{\"output_tokens\":12}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", 0
    },
    {
        "responses",
        "{\"model\":\"m\",\"max_output_tokens\":200,\"instructions\":"
        "\"Be brief.\",\"input\":\"" USER "\",\"temperature\":0.7,"
        "\"store\":false%s}",
        RESPONSE("completed", "[{\"id\":\"msg_1\",\"type\":\"message\","
                 "\"status\":\"completed\",\"role\":\"assistant\","
                 "\"content\":[{\"type\":\"output_text\",\"text\":\"" SAID
                 "\",\"annotations\":[]}]}]", RESPONSE_USAGE),
        "event: response.created\ndata: {\"type\":\"response.created\","
        "\"sequence_number\":0,\"response\":"
        RESPONSE("in_progress", "[]", "null") "}\n\n"
        "event: response.output_item.added\ndata: {\"type\":"
        "\"response.output_item.added\",\"sequence_number\":1,"
        "\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\","
        "\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}"
        "\n\nevent: response.content_part.added\ndata: {\"type\":"
        "\"response.content_part.added\",\"sequence_number\":2," RESPONSE_AT
        ",\"part\":{\"type\":\"output_text\",\"text\":\"\","
        "\"annotations\":[]}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":"
        "\"response.output_text.delta\",\"sequence_number\":3," RESPONSE_AT
        ",\"delta\":\" hello\",\"logprobs\":[]}\n\n",
        "event: response.output_text.done\ndata: {\"type\":"
        "\"response.output_text.done\",\"sequence_number\":4," RESPONSE_AT
        ",\"text\":\" hello\",\"logprobs\":[]}\n\n"
        "event: response.completed\ndata: {\"type\":\"response.completed\","
        "\"sequence_number\":5,\"response\":"
        RESPONSE("completed", "[]", RESPONSE_USAGE) "}\n\n", 0
    },
    {
        "gemini",
        NULL,                   /* no client speaks it */
        "{\"candidates\":[{" PART(SAID) ",\"finishReason\":\"STOP\"}],"
        GOOGLE("12") "}",
        "data: {\"candidates\":[{" PART("Hi") "}]," GOOGLE("1") "}\r\n\r\n",
        "data: {\"candidates\":[{" PART(" hello") "}]," GOOGLE("6")
        "}\r\n\r\n",
        "data: {\"candidates\":[{" PART(".") ",\"finishReason\":\"STOP\"}],"
        GOOGLE("12") "}\r\n\r\n", 0
    },
    {
        "bedrock",
        NULL,
        "{\"metrics\":{\"latencyMs\":300},\"output\":{\"message\":{"
        "\"content\":[{\"text\":\"" SAID "\"}],\"role\":\"assistant\"}},"
        "\"stopReason\":\"end_turn\",\"usage\":{\"inputTokens\":20,"
        "\"outputTokens\":12,\"totalTokens\":32}}",
        "messageStart {\"p\":\"abcdefgh\",\"role\":\"assistant\"}\n"
        "contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":"
        "\"Hi\"},\"p\":\"abcdefghijklmn\"}\n",
        "contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":"
        "\" hello\"},\"p\":\"abcdefghijklmnopqrstuvwxyz\"}\n",
        "contentBlockStop {\"contentBlockIndex\":0,\"p\":\"abcdef\"}\n"
        "messageStop {\"p\":\"abcdefghijk\",\"stopReason\":\"end_turn\"}\n"
        "metadata {\"metrics\":{\"latencyMs\":300},\"p\":\"abc\",\"usage\":{"
        "\"inputTokens\":20,\"outputTokens\":12,\"totalTokens\":32}}\n", 1
    },
    {
        "ollama",
        NULL,
        "{\"model\":\"m-1\",\"created_at\":\"2025-07-07T20:22:19.184789Z\","
        "\"message\":{\"role\":\"assistant\",\"content\":\"" SAID "\"},"
        "\"done_reason\":\"stop\",\"done\":true,\"total_duration\":174560334,"
        "\"load_duration\":101397084,\"prompt_eval_count\":20,"
        "\"prompt_eval_duration\":13074791,\"eval_count\":12,"
        "\"eval_duration\":52479709}",
        LLAMA("\"Hi\"") "\"done\":false}\n",
        LLAMA("\" hello\"") "\"done\":false}\n",
        LLAMA("\"\"") "\"done_reason\":\"stop\",\"done\":true,"
        "\"total_duration\":174560334,\"load_duration\":101397084,"
        "\"prompt_eval_count\":20,\"prompt_eval_duration\":13074791,"
        "\"eval_count\":12,\"eval_duration\":52479709}\n", 0
    },
    {
        "cohere",
        NULL,
        "{\"id\":\"c-1\",\"message\":{\"role\":\"assistant\",\"content\":[{"
        "\"type\":\"text\",\"text\":\"" SAID "\"}]},\"finish_reason\":"
        "\"COMPLETE\",\"usage\":{\"billed_units\":{\"input_tokens\":20,"
        "\"output_tokens\":12},\"tokens\":{\"input_tokens\":80,"
        "\"output_tokens\":12}}}",
        "event: message-start\ndata: {\"id\":\"c-1\",\"type\":"
        "\"message-start\",\"delta\":{\"message\":{\"role\":\"assistant\","
        "\"content\":[],\"tool_plan\":\"\",\"tool_calls\":[],"
        "\"citations\":[]}}}"
        "\n\nevent: content-start\ndata: {\"type\":\"content-start\",\"index\":"
        "0,\"delta\":{\"message\":{\"content\":{\"type\":\"text\",\"text\":"
        "\"\"}}}}\n\n",
        "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,"
        "\"delta\":{\"message\":{\"content\":{\"text\":\" hello\"}}}}\n\n",
        "event: content-end\ndata: {\"type\":\"content-end\",\"index\":0}\n\n"
        "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{"
        "\"finish_reason\":\"COMPLETE\",\"usage\":{\"billed_units\":{"
        "\"input_tokens\":20,\"output_tokens\":12},\"tokens\":{"
        "\"input_tokens\":80,\"output_tokens\":12}}}}\n\n", 0
    },
};

#define SAMPLES  (sizeof(samples) / sizeof(samples[0]))

static const char *const  pairs[][2] = {
    { "openai", "anthropic" },
    { "anthropic", "openai" },
    { "openai", "responses" },
    { "responses", "openai" },
    { "responses", "anthropic" },
    { "openai", "gemini" },
    { "anthropic", "gemini" },
    { "openai", "bedrock" },
    { "anthropic", "bedrock" },
    { "openai", "ollama" },
    { "openai", "cohere" },
};

#define PAIRS  (sizeof(pairs) / sizeof(pairs[0]))


static double
now(void)
{
    struct timespec  t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);

    return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}


static void
fail(const char *what)
{
    fprintf(stderr, "translate: %s\n", what);
    exit(1);
}


static const sample_t *
sample(const char *dialect)
{
    size_t  i;

    for (i = 0; i < SAMPLES; i++) {
        if (strcmp(samples[i].dialect, dialect) == 0) {
            return &samples[i];
        }
    }

    fail(dialect);

    return NULL;
}


static ai_str_t
str(const char *z)
{
    return (ai_str_t) { strlen(z), z };
}


/* The pieces of a stream, as its provider sends them. */

static void
stream(const sample_t *s, stream_t *out)
{
    char        *at;
    const char  *end;

    if (!s->frames) {
        out->head = str(s->head);
        out->chunk = str(s->chunk);
        out->tail = str(s->tail);
        return;
    }

    at = out->buf;
    end = at + sizeof(out->buf);
    out->head = framed(s->head, &at, end);
    out->chunk = framed(s->chunk, &at, end);
    out->tail = framed(s->tail, &at, end);
}


static ai_str_t
framed(const char *lines, char **at, const char *end)
{
    char         headers[FRAME_HEADERS_MAX], type[64];
    size_t       n;
    ai_str_t     out;
    const char  *blank, *line;

    out.data = *at;

    for ( /* void */ ; *lines != '\0'; lines = line + 1) {
        blank = strchr(lines, ' ');
        line = strchr(lines, '\n');
        snprintf(type, sizeof(type), "%.*s", (int) (blank - lines), lines);
        n = frame_headers(headers, "event", type);

        if ((size_t) (end - *at) < 16 + n + (size_t) (line - blank)) {
            fail("a stream of frames is too long");
        }

        *at += frame_put(*at, headers, n, blank + 1,
                         (size_t) (line - blank - 1));
    }

    out.len = (size_t) (*at - out.data);

    return out;
}


/* What a worker does to a call that passes: answer.c and job.c in short. */

static void
passed(const sample_t *s, unsigned calls, cost_t *cost)
{
    int                  added;
    char                 body[1024], *out;
    size_t               len, i;
    double               from;
    unsigned             n;
    ai_sse_t             sse;
    ai_str_t             raw;
    provider_cut_t       cut;
    provider_usage_t     u;
    provider_request_t   req;
    const provider_t    *p;

    p = provider_find(str(s->dialect));
    if (p == NULL) {
        fail("no provider");
    }

    snprintf(body, sizeof(body), s->request, "");
    memset(&req, 0, sizeof(req));
    req.body = str(body);
    req.model = ai_str("asked");
    from = now();

    for (n = 0; n < calls; n++) {
        provider_usage_init(&u);

        if (p->request(&req, &out, &len, &added) != 0) {
            fail("a request does not pass");
        }

        p->body(&u, str(s->answer));
        free(out);

        if (u.output != 12) {
            fail("an answer does not pass");
        }
    }

    cost->answer = (now() - from) / calls;
    cost->chunk = 0;

    for (n = 0; n < calls / CHUNKS + 1; n++) {
        provider_usage_init(&u);
        ai_sse_init(&sse, AI_SSE_EVENT_MAX);
        from = 0;

        for (i = 0; i < CHUNKS + 2; i++) {
            raw = str(i == 0 ? s->head : i <= CHUNKS ? s->chunk : s->tail);
            from = i == 1 ? now() : from;

            if (i == CHUNKS + 1) {
                cost->chunk += (now() - from) / CHUNKS;
            }

            if (ai_sse_feed(&sse, raw.data, raw.len) != 0) {
                fail("a stream does not pass");
            }

            while (ai_sse_next(&sse, &raw) == 1) {
                if (p->event(&u, raw, 0, &cut) != PROVIDER_PASS) {
                    fail("an event does not pass");
                }
            }
        }

        ai_sse_free(&sse);

        if (!u.complete) {
            fail("a stream has no end");
        }
    }

    cost->chunk /= calls / CHUNKS + 1;
}


static void
translated(const sample_t *client, const sample_t *s, unsigned calls,
    cost_t *cost)
{
    char              body[1024], *out;
    size_t            len, i;
    double            from;
    unsigned          n;
    ai_str_t          said;
    stream_t          pieces;
    translate_t      *t;
    translate_call_t  call;

    stream(s, &pieces);
    memset(&call, 0, sizeof(call));
    call.client = dialect_find(client->dialect);
    call.provider = dialect_find(s->dialect);
    call.model = ai_str("asked");
    call.job = ai_str("job_0123");
    call.now = 1700000000;
    snprintf(body, sizeof(body), client->request, "");
    from = now();

    for (n = 0; n < calls; n++) {
        t = translate_open(&call);

        if (t == NULL || translate_request(t, str(body), &out, &len) != 0
            || translate_dropped(t).len != 0)
        {
            fail("a request is not translated");
        }

        if (translate_answer(t, 200, str(s->answer)) != 0
            || translate_said(t).len == 0)
        {
            fail("an answer is not translated");
        }

        free(out);
        translate_close(t);
    }

    cost->answer = (now() - from) / calls;
    cost->chunk = 0;
    call.stream = 1;
    snprintf(body, sizeof(body), client->request, ",\"stream\":true");

    for (n = 0; n < calls / CHUNKS + 1; n++) {
        t = translate_open(&call);

        if (t == NULL || translate_request(t, str(body), &out, &len) != 0) {
            fail("a request of a stream is not translated");
        }

        free(out);
        from = 0;

        for (i = 0; i < CHUNKS + 2; i++) {
            from = i == 1 ? now() : from;

            if (i == CHUNKS + 1) {
                cost->chunk += (now() - from) / CHUNKS;
            }

            if (translate_bytes(t, i == 0 ? pieces.head
                                   : i <= CHUNKS ? pieces.chunk : pieces.tail,
                                &said)
                != 0 || said.len == 0)
            {
                fail("a chunk is not translated");
            }
        }

        if (translate_end(t, &said) != 1) {
            fail("a translated stream has no end");
        }

        translate_close(t);
    }

    cost->chunk /= calls / CHUNKS + 1;
}


int
main(int argc, char **argv)
{
    size_t           i;
    cost_t           same, other;
    unsigned         r, rounds, calls;
    const sample_t  *client, *provider;

    rounds = argc > 1 ? (unsigned) atoi(argv[1]) : ROUNDS;
    calls = argc > 2 ? (unsigned) atoi(argv[2]) : CALLS;

    if (rounds == 0 || calls == 0) {
        fail("[ROUNDS [CALLS]], both over 0");
    }

    printf("{\"runs\":[");

    for (r = 0; r < rounds; r++) {
        for (i = 0; i < PAIRS; i++) {
            client = sample(pairs[i][0]);
            provider = sample(pairs[i][1]);
            passed(provider->request != NULL ? provider : client, calls,
                   &same);
            translated(client, provider, calls, &other);
            printf("%s{\"target\":\"%s -> %s\",\"round\":%u,"
                   "\"answer_us\":%.3f,\"answer_added_us\":%.3f,"
                   "\"chunk_us\":%.3f,\"chunk_added_us\":%.3f}",
                   r + i != 0 ? "," : "", client->dialect, provider->dialect,
                   r, other.answer, other.answer - same.answer, other.chunk,
                   other.chunk - same.chunk);
        }
    }

    printf("]}\n");

    return 0;
}
