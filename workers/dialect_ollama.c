/*
 * Ollama's /api/chat: its answers, objects and lines of JSON, as events, and
 * the tables.  Owns nothing; state lies in the ir_t's tree.
 */

#include "dialect_ollama.h"

#include <stdio.h>
#include <string.h>
#include <time.h>


typedef struct {
    unsigned  open:1;
    unsigned  part;             /* the open one */
    ir_kind_e kind;
    unsigned  made;             /* ids */
} ollama_reader_t;


static int ollama_read_answer(ir_t *ir, node_t *body);
static int ollama_read_event(ir_t *ir, ai_str_t name, node_t *data,
    ai_str_t text);
static int ollama_read(ir_t *ir, tree_t *t, node_t *body);
static int ollama_start(ir_t *ir, tree_t *t, node_t *body);
static int64_t ollama_time(ai_str_t text);
static int ollama_text(ir_t *ir, ir_kind_e kind, ai_str_t text);
static int ollama_call(ir_t *ir, tree_t *t, node_t *c);
static int ollama_logprobs(ir_t *ir, tree_t *t, node_t *all);
static int ollama_usage(ir_t *ir, tree_t *t, node_t *body);
static int ollama_fail(ir_t *ir, node_t *body);
static long ollama_frame(ai_str_t bytes, ai_str_t *name, ai_str_t *data);


static const ir_word_t  ollama_finishes[] = {
    { "stop", IR_FINISH_STOP },
    { "length", IR_FINISH_LENGTH },
    { "load", IR_FINISH_STOP },
    { "unload", IR_FINISH_STOP },
    { NULL, IR_FINISH_NONE }
};

/* Where it ran, and its clocks. */
static const char *const  ollama_ignore[] = {
    "remote_model", "remote_host", "created_at", "message.role",
    "message.tool_calls.*.type", "message.tool_calls.*.function.index",
    "total_duration", "load_duration", "prompt_eval_duration",
    "eval_duration", NULL
};

static const char *const  ollama_extra[] = {
    "keep_alive", "options", "think", "truncate", "shift", NULL
};

const dialect_t  dialect_ollama = {
    .name = "ollama",
    .reader_size = sizeof(ollama_reader_t),
    .ignore = ollama_ignore,
    .write_request = ollama_write_request,
    .read_answer = ollama_read_answer,
    .read_event = ollama_read_event,
    .read_error = ollama_read_error,
    .frame = ollama_frame,
    .frame_type = "application/x-ndjson",
    .lines = 1,
    .extra = ollama_extra,
};

const provider_t  provider_ollama = {
    .api = "ollama",
    .dialect = AI_DIALECT_LAST,
    .path = "/api/chat",
    .key_header = "Authorization: Bearer ",
};


static int
ollama_read_answer(ir_t *ir, node_t *body)
{
    node_t      *m;
    ir_event_t   e;

    if (node_peek(&ir->tree, body, "error") != NULL) {
        return ollama_fail(ir, body);
    }

    m = node_peek(&ir->tree, body, "message");

    if (m == NULL || m->type != AI_JSON_OBJECT
        || ollama_read(ir, &ir->tree, body) != 0)
    {
        return -1;
    }

    if (ir->ended) {
        return 0;
    }

    ir_event(&e, IR_END);

    return ir_emit(ir, &e);
}


static int
ollama_read_event(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text)
{
    (void) name;
    (void) text;

    return data == NULL ? -1
           : node_peek(&ir->event, data, "error") != NULL
           ? ollama_fail(ir, data) : ollama_read(ir, &ir->event, data);
}


/* A line, or all of it: both have the same members. */

static int
ollama_read(ir_t *ir, tree_t *t, node_t *body)
{
    node_t      *m, *c, *reason;
    ir_event_t   e;

    if (ollama_start(ir, t, body) != 0) {
        return -1;
    }

    m = node_get(t, body, "message");

    if (ollama_text(ir, IR_REASONING, node_text(node_get(t, m, "thinking")))
        != 0
        || ollama_text(ir, IR_TEXT, node_text(node_get(t, m, "content"))) != 0)
    {
        return -1;
    }

    c = node_first(t, node_get_type(t, m, "tool_calls", AI_JSON_ARRAY));

    for ( /* void */ ; c != NULL; c = c->next) {
        if (ollama_call(ir, t, node_read(c)) != 0) {
            return -1;
        }
    }

    if (ollama_logprobs(ir, t, node_get_type(t, body, "logprobs",
                                             AI_JSON_ARRAY))
        != 0
        || ollama_usage(ir, t, body) != 0)
    {
        return -1;
    }

    reason = node_get_type(t, body, "done_reason", AI_JSON_STRING);

    if (!node_true(node_get(t, body, "done"))) {
        return 0;
    }

    if (ir_emit_finish(ir, 0, node_text(reason).len == 0 ? IR_FINISH_STOP
                       : ir_finish(ollama_finishes, reason),
                       node_text(reason), ai_str(""))
        != 0)
    {
        return -1;
    }

    ir_event(&e, IR_END);

    return ir_emit(ir, &e);
}


/* Its answers have no id: the job's is one. */

static int
ollama_start(ir_t *ir, tree_t *t, node_t *body)
{
    node_t      *model;
    ir_event_t   e;

    model = node_get(t, body, "model");

    if (ir->begun) {
        return 0;
    }

    ir_event(&e, IR_START);
    e.id = ir->job;
    e.name = node_text(model);
    e.created = ollama_time(node_text(node_get(t, body, "created_at")));

    return ir_emit(ir, &e);
}


/* Of RFC 3339 in Unix s; 0: it is none. */

static int64_t
ollama_time(ai_str_t text)
{
    int         hours, minutes;
    char        buf[64];
    int64_t     at;
    struct tm   tm;
    const char *p;

    if (text.len < 20 || text.len >= sizeof(buf)) {
        return 0;
    }

    memcpy(buf, text.data, text.len);
    buf[text.len] = '\0';
    memset(&tm, 0, sizeof(tm));

    if (sscanf(buf, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon,
               &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec)
        != 6)
    {
        return 0;
    }

    tm.tm_year -= 1900;
    tm.tm_mon--;
    at = (int64_t) timegm(&tm);
    p = strpbrk(buf + 19, "Zz+-");

    if (p != NULL && (*p == '+' || *p == '-')
        && sscanf(p + 1, "%2d:%2d", &hours, &minutes) == 2)
    {
        minutes += 60 * hours;
        at -= (*p == '+' ? 60 : -60) * minutes;
    }

    return at > 0 ? at : 0;
}


/* Goes on with the open part of this kind, or begins one. */

static int
ollama_text(ir_t *ir, ir_kind_e kind, ai_str_t text)
{
    int               part;
    ollama_reader_t  *r;

    r = ir->reader;

    if (text.len == 0) {
        return 0;
    }

    if (!r->open || r->kind != kind) {
        part = ir_emit_part(ir, 0, kind, ai_str(""), ai_str(""));

        if (part < 0) {
            return -1;
        }

        r->open = 1;
        r->part = (unsigned) part;
        r->kind = kind;
    }

    return ir_emit_delta(ir, 0, r->part, text);
}


/* Calls come whole; those of old servers have no ids. */

static int
ollama_call(ir_t *ir, tree_t *t, node_t *c)
{
    int               part;
    char              made[80];
    node_t           *f, *args;
    ai_buf_t          b;
    ai_str_t          id, text;
    ollama_reader_t  *r;

    r = ir->reader;
    r->open = 0;
    f = node_get(t, c, "function");
    id = node_text(node_get(t, c, "id"));
    args = node_whole(node_get(t, f, "arguments"));

    if (id.len == 0) {
        ai_buf_init(&b, made, sizeof(made));
        ai_buf_add_z(&b, "call_");
        ai_buf_add(&b, ir->job.data, ir->job.len < 40 ? ir->job.len : 40);
        ai_buf_add_z(&b, "_");
        ai_buf_add_int(&b, r->made++);
        id = tree_copy(t, (ai_str_t) { ai_buf_len(&b), made });
    }

    text = args == NULL ? ai_str("{}")
           : args->type == AI_JSON_STRING ? args->text
           : text_encode(t, args->text);
    part = ir_emit_part(ir, 0, IR_TOOL_CALL, id,
                        node_text(node_get(t, f, "name")));

    return part < 0 || ir_emit_delta(ir, 0, (unsigned) part, text) != 0
           ? -1 : ir_emit_end(ir, 0, (unsigned) part);
}


/* Each as OpenAI's, which leaves nothing out. */

static int
ollama_logprobs(ir_t *ir, tree_t *t, node_t *all)
{
    out_t        o;
    node_t      *p, *top;
    ir_event_t   e;

    p = node_first(t, all);

    if (p == NULL) {
        return 0;
    }

    memset(&o, 0, sizeof(o));
    out_z(&o, "{\"content\":[");

    for ( /* void */ ; p != NULL; p = p->next) {
        node_read(p);
        out_item(&o);
        out_open(&o, '{');
        out_key(&o, "token");
        out_node(&o, t, node_get(t, p, "token"));
        out_key(&o, "logprob");
        out_node(&o, t, node_get(t, p, "logprob"));
        out_key(&o, "bytes");
        out_node(&o, t, node_get(t, p, "bytes"));
        top = node_get_type(t, p, "top_logprobs", AI_JSON_ARRAY);
        out_key(&o, "top_logprobs");

        if (top != NULL) {
            out_node(&o, t, top);

        } else {
            out_z(&o, "[]");
        }

        out_close(&o, '}');
    }

    out_z(&o, "],\"refusal\":null}");
    ir_event(&e, IR_LOGPROBS);
    e.node = o.failed ? NULL
             : tree_parse(t, tree_copy(t, (ai_str_t) { o.len, o.data }));
    t->failed |= o.failed;
    out_free(&o);

    return e.node == NULL ? -1 : ir_emit(ir, &e);
}


static int
ollama_usage(ir_t *ir, tree_t *t, node_t *body)
{
    node_t      *input, *output;
    ir_event_t   e;

    input = node_get(t, body, "prompt_eval_count");
    output = node_get(t, body, "eval_count");

    if (input == NULL && output == NULL) {
        return 0;
    }

    ir->usage_now.input = node_use(input, ir->usage_now.input);
    ir->usage_now.output = node_use(output, ir->usage_now.output);
    ir_event(&e, IR_USAGE);

    return ir_emit(ir, &e);
}


static int
ollama_fail(ir_t *ir, node_t *body)
{
    ir_event_t  e;

    ir->error.status = 0;
    ollama_read_error(ir, body);
    node_whole(body);
    ir_event(&e, IR_ERROR);

    return ir_emit(ir, &e);
}


void
ollama_read_error(ir_t *ir, node_t *body)
{
    node_t      *e;
    tree_t      *t;
    ir_error_t  *to;

    t = ir->begun || ir->out != NULL ? &ir->event : &ir->tree;
    to = &ir->error;
    e = node_get(t, body, "error");
    to->message = e != NULL && e->type == AI_JSON_STRING ? e->text
                  : node_text(node_get(t, e != NULL ? e : body, "message"));

    if (to->status == 0) {
        to->status = (int) node_int(node_get(t, body, "status"), 500);

        if (to->status < 400 || to->status > 599) {
            to->status = 500;
        }
    }

    to->cause = ir_cause(to->status);
}


/* A line; blank ones say nothing. */

static long
ollama_frame(ai_str_t bytes, ai_str_t *name, ai_str_t *data)
{
    size_t       len;
    const char  *end;

    (void) name;

    end = memchr(bytes.data, '\n', bytes.len);

    if (end == NULL) {
        return 0;
    }

    len = (size_t) (end - bytes.data);
    *data = (ai_str_t) { len, bytes.data };

    while (data->len != 0 && (data->data[data->len - 1] == '\r'
                              || data->data[data->len - 1] == ' '))
    {
        data->len--;
    }

    return (long) len + 1;
}
