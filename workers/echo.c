/*
 * The built-in provider: says the last user message again, word by word, in
 * the client's dialect.  Owns one timer a job; bytes go the way of a real
 * provider's.
 *
 * Tokens are counted as words, and no more are said than the client wants.
 */

#include "job.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define ECHO_TEXT_MAX   (1024 * 1024)   /* of it is said again */
#define ECHO_WORDS_MAX  256             /* a turn, where there is no delay */


struct echo_s {
    job_t      *job;
    uv_timer_t  timer;
    char       *text;
    size_t      len;
    size_t      at;
    size_t      input;          /* words before the cut */
    int64_t     output;         /* words of a stream so far */
    unsigned    cut:1;          /* the client wanted fewer */
    unsigned    started:1;
    unsigned    open:1;         /* timer is initialised */
};


static int echo_text(const json_t *content, char **text, size_t *len);
static int echo_append(char **text, size_t *len, const json_t *string);
static void echo_cut(echo_t *echo, const json_t *most);
static void echo_on_timer(uv_timer_t *timer);
static void echo_on_closed(uv_handle_t *handle);
static void echo_step(echo_t *echo);
static int echo_start(echo_t *echo);
static int echo_word(echo_t *echo);
static int echo_finish(echo_t *echo);
static int echo_whole(echo_t *echo);
static int echo_say(echo_t *echo, ai_buf_t *b);
static void echo_id(echo_t *echo, ai_buf_t *b);
static void echo_head(echo_t *echo, ai_buf_t *b);
static size_t echo_words(const char *text, size_t len);
static void echo_free(echo_t *echo);


/* For any thread: finds the text, makes job->echo. */

int
echo_prepare(job_t *job)
{
    int            rc;
    size_t         i;
    echo_t        *echo;
    json_t        *root;
    const char    *role;
    json_error_t   error;
    const json_t  *messages, *message;

    echo = calloc(1, sizeof(*echo));
    if (echo == NULL) {
        return -2;
    }

    echo->job = job;
    root = job->request != NULL
           ? json_loadb(job->request, job->request_len, JSON_ALLOW_NUL, &error)
           : json_loadb(job->body.data, job->body.len, JSON_ALLOW_NUL, &error);
    messages = json_object_get(root, "messages");

    /* For want of memory it mostly says nothing. */

    rc = json_is_array(messages) ? 0
         : root == NULL && error.text[0] == '\0' ? -2 : -1;

    for (i = json_array_size(messages); i > 0; i--) {
        message = json_array_get(messages, i - 1);
        role = json_string_value(json_object_get(message, "role"));

        if (role != NULL && strcmp(role, "user") == 0) {
            rc = echo_text(json_object_get(message, "content"), &echo->text,
                           &echo->len);
            break;
        }
    }

    echo->input = echo_words(echo->text, echo->len);
    echo_cut(echo, json_object_get(root, "max_tokens"));
    echo_cut(echo, json_object_get(root, "max_completion_tokens"));
    json_decref(root);

    if (rc != 0) {
        echo_free(echo);
        return rc;
    }

    job->echo = echo;

    return 0;
}


static int
echo_text(const json_t *content, char **text, size_t *len)
{
    size_t         i;
    const json_t  *part;

    if (json_is_string(content)) {
        return echo_append(text, len, content);
    }

    json_array_foreach(content, i, part) {
        if (echo_append(text, len, json_object_get(part, "text")) != 0) {
            return -2;
        }
    }

    return 0;
}


static int
echo_append(char **text, size_t *len, const json_t *string)
{
    char    *p;
    size_t   n;

    n = json_string_length(string);

    if (n > ECHO_TEXT_MAX - *len) {
        n = ECHO_TEXT_MAX - *len;

        while (n != 0
               && (json_string_value(string)[n] & 0xc0) == 0x80)
        {
            n--;
        }
    }

    if (n == 0) {
        return 0;
    }

    p = realloc(*text, *len + n);
    if (p == NULL) {
        return -2;
    }

    memcpy(p + *len, json_string_value(string), n);
    *text = p;
    *len += n;

    return 0;
}


static void
echo_cut(echo_t *echo, const json_t *most)
{
    size_t   i;
    int64_t  left;

    if (!json_is_integer(most)) {
        return;
    }

    left = json_integer_value(most);

    for (i = 0; i < echo->len; i++) {
        if (!isspace((unsigned char) echo->text[i])
            && (i == 0 || isspace((unsigned char) echo->text[i - 1]))
            && left-- <= 0)
        {
            while (i > 0 && isspace((unsigned char) echo->text[i - 1])) {
                i--;
            }

            echo->len = i;
            echo->cut = 1;
            return;
        }
    }
}


int
echo_begin(job_t *job)
{
    echo_t  *echo;

    echo = job->echo;

    if (uv_timer_init(&job->w->loop.uv, &echo->timer) != 0) {
        return -1;
    }

    echo->timer.data = echo;
    echo->open = 1;

    answer_header(&job->answer, ai_str("content-type"),
                  job->spec.stream ? ai_str("text/event-stream; charset=utf-8")
                                   : ai_str("application/json"));
    answer_head(&job->answer, 200);
    uv_timer_start(&echo->timer, echo_on_timer, 0, 0);

    return 0;
}


void
echo_abort(job_t *job)
{
    echo_t  *echo;

    echo = job->echo;
    job->echo = NULL;
    echo->job = NULL;

    if (echo->open) {
        uv_close((uv_handle_t *) &echo->timer, echo_on_closed);

    } else {
        echo_free(echo);
    }
}


static void
echo_on_closed(uv_handle_t *handle)
{
    echo_free(handle->data);
}


static void
echo_free(echo_t *echo)
{
    free(echo->text);
    free(echo);
}


void
echo_resume(job_t *job)
{
    uv_timer_start(&job->echo->timer, echo_on_timer, 0, 0);
}


static void
echo_on_timer(uv_timer_t *timer)
{
    job_t   *job;
    echo_t  *echo;

    echo = timer->data;
    job = echo->job;

    if (job != NULL) {
        job_ref(job);
        echo_step(echo);
        job_unref(job);
    }
}


/* One word, or, without a delay, as many as a turn may take. */

static void
echo_step(echo_t *echo)
{
    job_t     *job;
    uint64_t   delay;
    unsigned   n;

    job = echo->job;
    delay = (uint64_t) job->route.word_delay_msec;

    if (!job->spec.stream) {
        if (!echo->started && delay != 0) {
            echo->started = 1;
            delay *= echo_words(echo->text, echo->len);
            uv_timer_start(&echo->timer, echo_on_timer,
                           delay < 600000 ? delay : 600000, 0);
            return;
        }

        if (echo_whole(echo) == 0) {
            job_done(job);
        }

        return;
    }

    if (!echo->started) {
        echo->started = 1;

        if (echo_start(echo) != 0) {
            return;
        }
    }

    for (n = 0; n < (delay == 0 ? ECHO_WORDS_MAX : 1); n++) {

        if (job->paused) {
            return;
        }

        if (echo->at == echo->len) {
            if (echo_finish(echo) == 0) {
                job_done(job);
            }

            return;
        }

        if (echo_word(echo) != 0) {
            return;
        }
    }

    uv_timer_start(&echo->timer, echo_on_timer, delay, 0);
}


static int
echo_say(echo_t *echo, ai_buf_t *b)
{
    if (b->full) {
        job_fail(echo->job, "internal", NULL);
        return -1;
    }

    return job_bytes(echo->job, (ai_str_t) { ai_buf_len(b), b->start });
}


static void
echo_id(echo_t *echo, ai_buf_t *b)
{
    ai_buf_add_z(b, echo->job->dialect == AI_DIALECT_ANTHROPIC
                    ? "msg_" : "chatcmpl-");
    ai_buf_add(b, echo->job->id + 4, AI_JOB_ID_LEN - 4);
}


/* What every OpenAI chunk begins with. */

static void
echo_head(echo_t *echo, ai_buf_t *b)
{
    ai_buf_add_z(b, "\"id\":\"");
    echo_id(echo, b);
    ai_buf_add_z(b, "\",\"object\":\"chat.completion");
    ai_buf_add_z(b, echo->job->spec.stream ? ".chunk" : "");
    ai_buf_add_z(b, "\",\"created\":");
    ai_buf_add_int(b, (int64_t) (ai_id_job_msec((ai_str_t) { AI_JOB_ID_LEN,
                                                     echo->job->id }) / 1000));
    ai_buf_add_z(b, ",\"model\":\"");
    ai_buf_add_json(b, echo->job->route.model);
    ai_buf_add_z(b, "\"");
}


static int
echo_start(echo_t *echo)
{
    char               buf[8192];
    ai_buf_t           b;
    provider_usage_t  *u;

    u = &echo->job->answer.usage;
    u->input = (int64_t) echo->input;
    u->output = 0;

    ai_buf_init(&b, buf, sizeof(buf));

    if (echo->job->dialect == AI_DIALECT_ANTHROPIC) {
        ai_buf_add_z(&b, "event: message_start\ndata: {\"type\":"
                         "\"message_start\",\"message\":{\"id\":\"");
        echo_id(echo, &b);
        ai_buf_add_z(&b, "\",\"type\":\"message\",\"role\":\"assistant\","
                         "\"model\":\"");
        ai_buf_add_json(&b, echo->job->route.model);
        ai_buf_add_z(&b, "\",\"content\":[],\"stop_reason\":null,"
                         "\"stop_sequence\":null,\"usage\":"
                         "{\"input_tokens\":");
        ai_buf_add_int(&b, u->input);
        ai_buf_add_z(&b, ",\"output_tokens\":0}}}\n\n"
                         "event: content_block_start\ndata: {\"type\":"
                         "\"content_block_start\",\"index\":0,"
                         "\"content_block\":{\"type\":\"text\","
                         "\"text\":\"\"}}\n\n");

    } else {
        ai_buf_add_z(&b, "data: {");
        echo_head(echo, &b);
        ai_buf_add_z(&b, ",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
                         "\"assistant\",\"content\":\"\"},"
                         "\"finish_reason\":null}]}\n\n");
    }

    return echo_say(echo, &b);
}


/* A word, the space before it and, for the last one, behind it. */

static int
echo_word(echo_t *echo)
{
    int       rc;
    char     *buf;
    size_t    at, end, size;
    ai_buf_t  b;
    ai_str_t  word;

    for (end = echo->at;
         end < echo->len && isspace((unsigned char) echo->text[end]);
         end++)
    {
        /* void */
    }

    while (end < echo->len && !isspace((unsigned char) echo->text[end])
           && end - echo->at < 4096)
    {
        end++;
    }

    while (end < echo->len && (echo->text[end] & 0xc0) == 0x80) {
        end++;
    }

    word.data = echo->text + echo->at;
    word.len = end - echo->at;
    echo->at = end;

    for (at = end;
         at < echo->len && isspace((unsigned char) echo->text[at]);
         at++)
    {
        /* void */
    }

    if (at == echo->len) {
        word.len += at - end;
        echo->at = at;
    }

    echo->job->answer.usage.output = ++echo->output;

    size = word.len * 6 + echo->job->route.model.len * 6 + 512;
    buf = malloc(size);

    if (buf == NULL) {
        job_fail(echo->job, "internal", NULL);
        return -1;
    }

    ai_buf_init(&b, buf, size);

    if (echo->job->dialect == AI_DIALECT_ANTHROPIC) {
        ai_buf_add_z(&b, "event: content_block_delta\ndata: {\"type\":"
                         "\"content_block_delta\",\"index\":0,\"delta\":"
                         "{\"type\":\"text_delta\",\"text\":\"");
        ai_buf_add_json(&b, word);
        ai_buf_add_z(&b, "\"}}\n\n");

    } else {
        ai_buf_add_z(&b, "data: {");
        echo_head(echo, &b);
        ai_buf_add_z(&b, ",\"choices\":[{\"index\":0,\"delta\":"
                         "{\"content\":\"");
        ai_buf_add_json(&b, word);
        ai_buf_add_z(&b, "\"},\"finish_reason\":null}]}\n\n");
    }

    rc = echo_say(echo, &b);
    free(buf);

    return rc;
}


static int
echo_finish(echo_t *echo)
{
    char               buf[16384];
    ai_buf_t           b;
    provider_usage_t  *u;

    u = &echo->job->answer.usage;
    u->input = (int64_t) echo->input;
    u->output = echo->output;
    ai_buf_init(&b, buf, sizeof(buf));

    if (echo->job->dialect == AI_DIALECT_ANTHROPIC) {
        ai_buf_add_z(&b, "event: content_block_stop\ndata: {\"type\":"
                         "\"content_block_stop\",\"index\":0}\n\n"
                         "event: message_delta\ndata: {\"type\":"
                         "\"message_delta\",\"delta\":{\"stop_reason\":\"");
        ai_buf_add_z(&b, echo->cut ? "max_tokens" : "end_turn");
        ai_buf_add_z(&b, "\",\"stop_sequence\":null},\"usage\":"
                         "{\"output_tokens\":");
        ai_buf_add_int(&b, u->output);
        ai_buf_add_z(&b, "}}\n\nevent: message_stop\ndata: {\"type\":"
                         "\"message_stop\"}\n\n");
        return echo_say(echo, &b);
    }

    ai_buf_add_z(&b, "data: {");
    echo_head(echo, &b);
    ai_buf_add_z(&b, ",\"choices\":[{\"index\":0,\"delta\":{},"
                     "\"finish_reason\":\"");
    ai_buf_add_z(&b, echo->cut ? "length\"}]}\n\n" : "stop\"}]}\n\n");

    if (echo->job->spec.usage_asked || echo->job->translate != NULL) {
        ai_buf_add_z(&b, "data: {");
        echo_head(echo, &b);
        ai_buf_add_z(&b, ",\"choices\":[],\"usage\":{\"prompt_tokens\":");
        ai_buf_add_int(&b, u->input);
        ai_buf_add_z(&b, ",\"completion_tokens\":");
        ai_buf_add_int(&b, u->output);
        ai_buf_add_z(&b, ",\"total_tokens\":");
        ai_buf_add_int(&b, u->input + u->output);
        ai_buf_add_z(&b, "}}\n\n");
    }

    ai_buf_add_z(&b, "data: [DONE]\n\n");

    return echo_say(echo, &b);
}


static int
echo_whole(echo_t *echo)
{
    int       rc;
    char     *buf;
    size_t    size;
    int64_t   input, output;
    ai_buf_t  b;
    ai_str_t  text;

    input = (int64_t) echo->input;
    output = (int64_t) echo_words(echo->text, echo->len);
    text.data = echo->text != NULL ? echo->text : "";
    text.len = echo->len;
    size = text.len * 6 + echo->job->route.model.len * 6 + 1024;
    buf = malloc(size);

    if (buf == NULL) {
        job_fail(echo->job, "internal", NULL);
        return -1;
    }

    ai_buf_init(&b, buf, size);
    ai_buf_add_z(&b, "{");

    if (echo->job->dialect == AI_DIALECT_ANTHROPIC) {
        ai_buf_add_z(&b, "\"id\":\"");
        echo_id(echo, &b);
        ai_buf_add_z(&b, "\",\"type\":\"message\",\"role\":\"assistant\","
                         "\"model\":\"");
        ai_buf_add_json(&b, echo->job->route.model);
        ai_buf_add_z(&b, "\",\"content\":[{\"type\":\"text\",\"text\":\"");
        ai_buf_add_json(&b, text);
        ai_buf_add_z(&b, "\"}],\"stop_reason\":\"");
        ai_buf_add_z(&b, echo->cut ? "max_tokens" : "end_turn");
        ai_buf_add_z(&b, "\",\"stop_sequence\":null,\"usage\":"
                         "{\"input_tokens\":");
        ai_buf_add_int(&b, input);
        ai_buf_add_z(&b, ",\"output_tokens\":");
        ai_buf_add_int(&b, output);
        ai_buf_add_z(&b, "}}");

    } else {
        echo_head(echo, &b);
        ai_buf_add_z(&b, ",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                         "\"assistant\",\"content\":\"");
        ai_buf_add_json(&b, text);
        ai_buf_add_z(&b, "\"},\"finish_reason\":\"");
        ai_buf_add_z(&b, echo->cut ? "length" : "stop");
        ai_buf_add_z(&b, "\"}],\"usage\":{\"prompt_tokens\":");
        ai_buf_add_int(&b, input);
        ai_buf_add_z(&b, ",\"completion_tokens\":");
        ai_buf_add_int(&b, output);
        ai_buf_add_z(&b, ",\"total_tokens\":");
        ai_buf_add_int(&b, input + output);
        ai_buf_add_z(&b, "}}");
    }

    rc = echo_say(echo, &b);
    free(buf);

    return rc;
}


static size_t
echo_words(const char *text, size_t len)
{
    size_t  i, n;

    for (i = 0, n = 0; i < len; i++) {
        if (!isspace((unsigned char) text[i])
            && (i == 0 || isspace((unsigned char) text[i - 1])))
        {
            n++;
        }
    }

    return n;
}
