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
#define SAID  "Hello, world! It is good to see you \\u2014 all of you."


typedef struct {
    const char *dialect;
    const char *request;        /* %s: ,"stream":true; NULL: a provider's */
    const char *answer;
    const char *head;           /* of a stream */
    const char *chunk;
    const char *tail;
} sample_t;

typedef struct {
    double answer;              /* us a call */
    double chunk;
} cost_t;


static double now(void);
static const sample_t *sample(const char *dialect);
static void fail(const char *what);
static ai_str_t str(const char *z);
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
        "\"usage\":null}\n\ndata: [DONE]\n\n"
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
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
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
        GOOGLE("12") "}\r\n\r\n"
    },
};

#define SAMPLES  (sizeof(samples) / sizeof(samples[0]))

static const char *const  pairs[][2] = {
    { "openai", "anthropic" },
    { "anthropic", "openai" },
    { "openai", "gemini" },
    { "anthropic", "gemini" },
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
    translate_t      *t;
    translate_call_t  call;

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

            if (translate_bytes(t, str(i == 0 ? s->head
                                       : i <= CHUNKS ? s->chunk : s->tail),
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
