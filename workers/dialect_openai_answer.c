/*
 * OpenAI's chat completions: a provider's answers, streams and errors as
 * events, and the table.  Owns nothing; state lies in the ir_t's tree.
 */

#include "dialect_openai.h"


static int openai_read_answer(ir_t *ir, node_t *body);
static int openai_read_event(ir_t *ir, ai_str_t name, node_t *data,
    ai_str_t text);
static void openai_read_error(ir_t *ir, node_t *body);
static int openai_start(ir_t *ir, tree_t *t, node_t *body);
static int openai_logprobs(ir_t *ir, tree_t *t, unsigned choice, node_t *c);
static int openai_usage(ir_t *ir, tree_t *t, node_t *usage);


static const ir_word_t  openai_finishes[] = {
    { "stop", IR_FINISH_STOP },
    { "eos", IR_FINISH_STOP },
    { "length", IR_FINISH_LENGTH },
    { "model_length", IR_FINISH_CONTEXT },
    { "tool_calls", IR_FINISH_TOOLS },
    { "function_call", IR_FINISH_TOOLS },
    { "content_filter", IR_FINISH_FILTER },
    { NULL, IR_FINISH_NONE }
};

/* Of whoever ran it, its padding, its clock and its price: nothing that another
 * dialect has a place for, and nothing of the answer. */
static const char *const  openai_ignore[] = {
    "object", "system_fingerprint", "obfuscation", "service_tier", "provider",
    "x_groq", "usage_breakdown", "time_info", "metadata", "user_id", "p",
    "prompt", "moderation",
    "choices.*.native_finish_reason", "choices.*.seed",
    "choices.*.delta.channel", "choices.*.delta.role",
    "choices.*.message.role", "choices.*.message.tool_calls.*.index",
    "choices.*.message.reasoning_details.*.index",
    "choices.*.delta.reasoning_details.*.index",
    "prompt_filter_results", "choices.*.content_filter_results",
    "choices.*.content_filter_offsets",
    "usage.cost", "usage.cost_details", "usage.is_byok", "usage.total_tokens",
    "usage.queue_time", "usage.prompt_time", "usage.completion_time",
    "usage.total_time", "usage.prompt_cache_miss_tokens",
    "usage.prompt_tokens_details.video_tokens",
    "usage.completion_tokens_details.image_tokens",
    "usage.server_tool_use_details", NULL
};

const dialect_t  dialect_openai = {
    .name = "openai",
    .reader_size = OPENAI_READER_SIZE,
    .writer_size = OPENAI_WRITER_SIZE,
    .ignore = openai_ignore,
    .read_request = openai_read_request,
    .write_answer = openai_write_answer,
    .write_event = openai_write_event,
    .write_error = openai_write_error,
    .stream_type = "text/event-stream",
    .signs = 1,
    .write_request = openai_write_request,
    .read_answer = openai_read_answer,
    .read_event = openai_read_event,
    .read_error = openai_read_error,
};


static int
openai_start(ir_t *ir, tree_t *t, node_t *body)
{
    ir_event_t  e;

    if (ir->begun) {
        (void) node_get(t, body, "id");
        (void) node_get(t, body, "model");
        (void) node_get(t, body, "created");
        return 0;
    }

    ir_event(&e, IR_START);
    e.id = node_text(node_get(t, body, "id"));
    e.name = node_text(node_get(t, body, "model"));
    e.created = node_int(node_get(t, body, "created"), 0);

    return ir_emit(ir, &e);
}


static int
openai_read_answer(ir_t *ir, node_t *body)
{
    unsigned     i;
    node_t      *c, *finish;
    tree_t      *t;
    ir_event_t   e;

    t = &ir->tree;

    if (node_peek(t, body, "error") != NULL
        && node_peek(t, body, "choices") == NULL)
    {
        openai_read_error(ir, body);
        ir_event(&e, IR_ERROR);
        return ir_emit(ir, &e);
    }

    c = node_first(t, node_get_type(t, body, "choices", AI_JSON_ARRAY));

    if (c == NULL || openai_start(ir, t, body) != 0) {
        return -1;
    }

    for (i = 0; c != NULL; c = c->next, i++) {
        node_read(c);
        i = (unsigned) node_int(node_get(t, c, "index"), i);

        if (openai_read_message(ir, t, i, node_get(t, c, "message")) != 0
            || openai_logprobs(ir, t, i, c) != 0)
        {
            return -1;
        }

        finish = node_get(t, c, "finish_reason");

        if (ir_emit_finish(ir, i, ir_finish(openai_finishes, finish),
                           node_text(finish), ai_str(""))
            != 0)
        {
            return -1;
        }
    }

    if (openai_usage(ir, t, node_get(t, body, "usage")) != 0) {
        return -1;
    }

    ir_event(&e, IR_END);

    return ir_emit(ir, &e);
}


static int
openai_read_event(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text)
{
    unsigned     i, k;
    node_t      *c, *finish, *usage;
    tree_t      *t;
    ir_event_t   e;

    t = &ir->event;

    if (data == NULL) {

        if (!ai_str_eqz(text, "[DONE]") || !ir->begun) {
            return text.len != 0 && text.data[0] == '{' ? -1 : 0;
        }

        ir_event(&e, IR_END);
        return ir_emit(ir, &e);
    }

    c = node_peek(t, data, "error");

    if ((c != NULL && c->type != AI_JSON_NULL)
        || ai_str_eqz(name, "error"))
    {
        if (ir->begun
            && openai_usage(ir, t, node_get(t, data, "usage")) != 0)
        {
            return -1;
        }

        ir->error.status = 0;
        openai_read_error(ir, data);
        node_whole(data);
        ir_event(&e, IR_ERROR);
        return ir_emit(ir, &e);
    }

    if (openai_start(ir, t, data) != 0) {
        return -1;
    }

    c = node_first(t, node_get_type(t, data, "choices", AI_JSON_ARRAY));

    for (k = 0; c != NULL; c = c->next, k++) {
        node_read(c);
        i = (unsigned) node_int(node_get(t, c, "index"), k);

        if (openai_read_message(ir, t, i, node_get(t, c, "delta")) != 0
            || openai_logprobs(ir, t, i, c) != 0)
        {
            return -1;
        }

        finish = node_get_type(t, c, "finish_reason", AI_JSON_STRING);

        /* Some say it again beside the usage. */

        if (finish != NULL && finish->text.len != 0
            && (i >= IR_CHOICES_MAX || ir->answer.choices[i] == NULL
                || ir->answer.choices[i]->finish == IR_FINISH_NONE)
            && (openai_read_end(ir, i) != 0
                || ir_emit_finish(ir, i, ir_finish(openai_finishes, finish),
                                  node_text(finish), ai_str(""))
                   != 0))
        {
            return -1;
        }
    }

    usage = node_get_type(t, data, "usage", AI_JSON_OBJECT);

    if (usage == NULL) {
        usage = node_get(t, node_peek(t, data, "x_groq"), "usage");
    }

    return openai_usage(ir, t, usage);
}


static int
openai_logprobs(ir_t *ir, tree_t *t, unsigned choice, node_t *c)
{
    ir_event_t  e;

    ir_event(&e, IR_LOGPROBS);
    e.choice = choice;
    e.node = node_whole(node_get_type(t, c, "logprobs", AI_JSON_OBJECT));

    return e.node == NULL ? 0 : ir_emit(ir, &e);
}


static int
openai_usage(ir_t *ir, tree_t *t, node_t *usage)
{
    node_t      *in, *out;
    int64_t      total;
    ir_event_t   e;
    ir_usage_t  *u;

    if (usage == NULL || usage->type != AI_JSON_OBJECT) {
        return 0;
    }

    u = &ir->usage_now;
    total = node_use(node_peek(t, usage, "total_tokens"), -1);
    in = node_get(t, usage, "prompt_tokens_details");
    out = node_get(t, usage, "completion_tokens_details");

    u->input = node_use(node_get(t, usage, "prompt_tokens"), u->input);
    u->output = node_use(node_get(t, usage, "completion_tokens"), u->output);
    u->cached_read = node_use(node_get(t, usage, "cached_tokens"),
                              u->cached_read);
    u->cached_read = node_use(node_get(t, usage, "num_cached_tokens"),
                              u->cached_read);
    u->cached_read = node_use(node_get(t, usage, "prompt_cache_hit_tokens"),
                              u->cached_read);
    u->cached_read = node_use(node_get(t, in, "cached_tokens"),
                              u->cached_read);
    u->cached_write = node_use(node_get(t, in, "cache_write_tokens"),
                               u->cached_write);
    u->audio_input = node_use(node_get(t, in, "audio_tokens"),
                              u->audio_input);
    u->image_input = node_use(node_get(t, in, "image_tokens"),
                              u->image_input);
    u->image_output = node_use(node_get(t, out, "image_tokens"),
                               u->image_output);
    u->reasoning = node_use(node_get(t, out, "reasoning_tokens"),
                            u->reasoning);
    u->output = provider_output(u->input, u->output, u->reasoning, total);
    u->audio_output = node_use(node_get(t, out, "audio_tokens"),
                               u->audio_output);
    u->prediction_accepted = node_use(node_get(t, out,
                                               "accepted_prediction_tokens"),
                                      u->prediction_accepted);
    u->prediction_rejected = node_use(node_get(t, out,
                                               "rejected_prediction_tokens"),
                                      u->prediction_rejected);

    ir_event(&e, IR_USAGE);

    return ir_emit(ir, &e);
}


static void
openai_read_error(ir_t *ir, node_t *body)
{
    node_t      *e, *code;
    tree_t      *t;
    ir_error_t  *to;

    t = ir->begun || ir->out != NULL ? &ir->event : &ir->tree;
    to = &ir->error;
    e = node_get(t, body, "error");

    if (e != NULL && e->type == AI_JSON_STRING) {
        to->message = e->text;

    } else if (e != NULL) {
        to->message = node_text(node_get(t, e, "message"));

    } else {
        e = body;
        to->message = node_text(node_get(t, body, "message"));

        if (to->message.len == 0) {
            to->message = node_text(node_get(t, body, "detail"));
        }
    }

    to->type = node_text(node_get(t, e, "type"));
    to->param = node_text(node_get(t, e, "param"));
    code = node_get(t, e, "code");
    to->code = node_text(code);

    /* In a stream it says by itself which status it would have. */

    if (to->status == 0) {
        code = code != NULL && code->type == AI_JSON_NUMBER ? code
               : node_get(t, e, "status_code");
        to->status = (int) node_int(code, 500);

        if (to->status < 400 || to->status > 599) {
            to->status = 500;
        }
    }

    to->cause = ir_cause(to->status);
}
