/*
 * Cohere's /v2/chat: its answers, objects and streams, as events, and the
 * tables.  Owns nothing; state lies in the ir_t's tree.
 */

#include "dialect_cohere.h"

#include <stdio.h>
#include <string.h>


#define COHERE_CALLS_MAX  128
#define COHERE_CITES_MAX  1024      /* of an object; more are named */

/* A stream's; an object's, too. */
typedef struct {
    unsigned  open:1;           /* a text or a thought that may go on */
    unsigned  fresh:1;          /* what comes begins anew */
    unsigned  told:1;           /* something of the open call */
    unsigned  part;             /* the last that began */
    ir_kind_e kind;
    unsigned  texts;
    unsigned  ncalls;
    struct {
        unsigned part;
        int      index;
    } calls[COHERE_CALLS_MAX];
} cohere_reader_t;


static int cohere_read_answer(ir_t *ir, node_t *body);
static int cohere_read_event(ir_t *ir, ai_str_t name, node_t *data,
    ai_str_t text);
static int cohere_start(ir_t *ir, tree_t *t, node_t *body);
static int cohere_message(ir_t *ir, node_t *m);
static int cohere_content(ir_t *ir, tree_t *t, node_t *b);
static int cohere_text(ir_t *ir, ir_kind_e kind, ai_str_t text);
static int cohere_call(ir_t *ir, tree_t *t, node_t *c, int index);
static int cohere_arguments(ir_t *ir, node_t *data, node_t *calls);
static int cohere_call_end(ir_t *ir);
static int cohere_cite(ir_t *ir, tree_t *t, node_t *c);
static node_t *cohere_source(tree_t *t, node_t *c, node_t **url);
static int cohere_logprobs(ir_t *ir, tree_t *t, node_t *items);
static void cohere_logprob(out_t *o, tree_t *t, node_t *item);
static int cohere_finish(ir_t *ir, tree_t *t, node_t *from);
static int64_t cohere_count(tree_t *t, node_t *usage, const char *name,
    int64_t otherwise);
static int cohere_usage(ir_t *ir, tree_t *t, node_t *usage);
static int cohere_fail(ir_t *ir, node_t *body, int status);


static const ir_word_t  cohere_finishes[] = {
    { "COMPLETE", IR_FINISH_STOP },
    { "STOP_SEQUENCE", IR_FINISH_SEQUENCE },
    { "MAX_TOKENS", IR_FINISH_LENGTH },
    { "TOOL_CALL", IR_FINISH_TOOLS },
    { "ERROR_LIMIT", IR_FINISH_CONTEXT },
    { "ERROR_TOXIC", IR_FINISH_FILTER },
    { NULL, IR_FINISH_NONE }
};

/* Whose turn it is, and what it was in other units than are billed. */
static const char *const  cohere_ignore[] = {
    "message.role", "message.tool_calls.*.type", "delta.message.role",
    "delta.message.content.type", "delta.message.tool_calls.type",
    "usage.billed_units.classifications", "meta", "response_type",
    "delta.usage.billed_units.classifications", "prompt", NULL
};

static const char *const  cohere_extra[] = {
    "safety_mode", "documents", "citation_options", "priority", NULL
};

const dialect_t  dialect_cohere = {
    .name = "cohere",
    .reader_size = sizeof(cohere_reader_t),
    .ignore = cohere_ignore,
    .write_request = cohere_write_request,
    .read_answer = cohere_read_answer,
    .read_event = cohere_read_event,
    .read_error = cohere_read_error,
    .extra = cohere_extra,
};

const provider_t  provider_cohere = {
    .api = "cohere",
    .dialect = AI_DIALECT_LAST,
    .path = "/v2/chat",
    .key_header = "Authorization: Bearer ",
};


/* Its answers do not say which model it was. */

static int
cohere_start(ir_t *ir, tree_t *t, node_t *body)
{
    ai_str_t    id;
    ir_event_t  e;

    id = node_text(node_get(t, body, "id"));
    ir_event(&e, IR_START);
    e.id = id.len != 0 ? id : ir->job;
    e.name = text_encode(t, ir->model);

    return ir_emit(ir, &e);
}


/* Objects. */

static int
cohere_read_answer(ir_t *ir, node_t *body)
{
    int          status;
    node_t      *m, *reason;
    tree_t      *t;
    ir_event_t   e;

    t = &ir->tree;
    m = node_get_type(t, body, "message", AI_JSON_OBJECT);
    reason = node_peek(t, body, "finish_reason");
    status = node_is(reason, "ERROR") ? 500
             : node_is(reason, "TIMEOUT") ? 504 : 0;

    if (status != 0) {
        return cohere_fail(ir, body, status);
    }

    if (m == NULL || cohere_start(ir, t, body) != 0
        || cohere_message(ir, m) != 0
        || cohere_logprobs(ir, t, node_get_type(t, body, "logprobs",
                                                AI_JSON_ARRAY))
           != 0
        || cohere_usage(ir, t, node_get(t, body, "usage")) != 0
        || cohere_finish(ir, t, body) != 0)
    {
        return -1;
    }

    ir_event(&e, IR_END);

    return ir_emit(ir, &e);
}


/* Citations stand behind what they are of, which must be the open part. */

static int
cohere_message(ir_t *ir, node_t *m)
{
    int      i, k, index;
    node_t  *b, *c, *all, *calls, *content;
    tree_t  *t;

    t = &ir->tree;
    content = node_get(t, m, "content");
    calls = node_first(t, node_get_type(t, m, "tool_calls", AI_JSON_ARRAY));
    all = node_get_type(t, m, "citations", AI_JSON_ARRAY);

    if (content != NULL && content->type == AI_JSON_STRING
        && cohere_text(ir, IR_TEXT, content->text) != 0)
    {
        return -1;
    }

    b = node_first(t, content);

    for (i = 0; b != NULL; b = b->next, i++) {

        if (i == IR_PARTS_MAX || cohere_content(ir, t, b) != 0) {
            return -1;
        }

        c = node_first(t, all);

        for (k = 0; c != NULL && k < COHERE_CITES_MAX; c = c->next, k++) {
            index = (int) node_int(node_peek(t, c, "content_index"),
                                   node_is(node_peek(t, b, "type"), "text")
                                   ? i : -1);

            if (index == i && !c->whole
                && !node_is(node_peek(t, c, "type"), "PLAN")
                && cohere_cite(ir, t, c) != 0)
            {
                return -1;
            }
        }
    }

    b = node_get_type(t, m, "tool_plan", AI_JSON_STRING);

    if (cohere_text(ir, IR_TEXT, node_text(b)) != 0) {
        return -1;
    }

    for (c = node_first(t, all); b != NULL && c != NULL; c = c->next) {
        if (node_is(node_peek(t, c, "type"), "PLAN")
            && cohere_cite(ir, t, c) != 0)
        {
            return -1;
        }
    }

    for (i = 0; calls != NULL; calls = calls->next, i++) {
        if (cohere_call(ir, t, calls, i) != 0 || cohere_call_end(ir) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
cohere_content(ir_t *ir, tree_t *t, node_t *b)
{
    cohere_reader_t  *r;

    r = ir->reader;
    r->fresh = 1;

    if (node_get_is(t, b, "type", "text")) {
        node_read(b);
        return cohere_text(ir, IR_TEXT, node_text(node_get(t, b, "text")));
    }

    if (node_get_is(t, b, "type", "thinking")) {
        node_read(b);
        return cohere_text(ir, IR_REASONING,
                           node_text(node_get(t, b, "thinking")));
    }

    return 0;
}


/* Streams. */

static int
cohere_read_event(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text)
{
    node_t           *type, *m, *content, *delta, *calls;
    tree_t           *t;
    ir_event_t        e;
    cohere_reader_t  *r;

    (void) name;

    t = &ir->event;
    r = ir->reader;

    if (data == NULL) {
        return text.len != 0 && text.data[0] == '{' ? -1 : 0;
    }

    type = node_get(t, data, "type");
    delta = node_get(t, data, "delta");
    m = node_get(t, delta, "message");
    (void) node_get(t, data, "index");

    if (node_is(type, "message-start")) {
        node_whole(delta);
        return cohere_start(ir, t, data);
    }

    if (type == NULL && node_peek(t, data, "message") != NULL) {
        return cohere_fail(ir, data, 500);
    }

    if (!ir->begun) {
        return -1;
    }

    if (node_is(type, "content-delta") || node_is(type, "content-start")) {
        content = node_get(t, m, "content");
        r->fresh |= node_is(type, "content-start");

        return cohere_text(ir, IR_REASONING,
                           node_text(node_get(t, content, "thinking")))
               != 0
               || cohere_text(ir, IR_TEXT,
                              node_text(node_get(t, content, "text")))
                  != 0
               ? -1 : cohere_logprobs(ir, t, node_get(t, data, "logprobs"));
    }

    if (node_is(type, "tool-plan-delta")) {
        return cohere_text(ir, IR_TEXT,
                           node_text(node_get(t, m, "tool_plan")));
    }

    calls = node_get(t, m, "tool_calls");

    if (node_is(type, "tool-call-start")) {
        return cohere_call(ir, t, calls,
                           (int) node_int(node_peek(t, data, "index"),
                                          r->ncalls));
    }

    if (node_is(type, "tool-call-delta")) {
        return cohere_arguments(ir, data, calls);
    }

    if (node_is(type, "tool-call-end")) {
        return cohere_call_end(ir);
    }

    if (node_is(type, "citation-start")) {
        return cohere_cite(ir, t, node_peek(t, m, "citations"));
    }

    if (node_is(type, "message-end")) {
        (void) node_get(t, data, "id");

        if (cohere_usage(ir, t, node_get(t, delta, "usage")) != 0) {
            return -1;
        }

        type = node_peek(t, delta, "finish_reason");

        if (node_peek(t, delta, "error") != NULL || node_is(type, "ERROR")
            || node_is(type, "TIMEOUT"))
        {
            return cohere_fail(ir, delta, node_is(type, "TIMEOUT") ? 504
                                                                   : 500);
        }

        if (cohere_finish(ir, t, delta) != 0) {
            return -1;
        }

        ir_event(&e, IR_END);
        return ir_emit(ir, &e);
    }

    /* A part ends when the next begins: a citation of it may be late. */

    if (!node_is(type, "content-end") && !node_is(type, "citation-end")) {
        ir_note(ir, data, "an event that is not known");
        node_whole(data);
    }

    return 0;
}


static int
cohere_text(ir_t *ir, ir_kind_e kind, ai_str_t text)
{
    int               part;
    cohere_reader_t  *r;

    r = ir->reader;

    if (text.len == 0) {
        return 0;
    }

    if (!r->open || r->fresh || r->kind != kind) {
        part = ir_emit_part(ir, 0, kind, ai_str(""), ai_str(""));

        if (part < 0) {
            return -1;
        }

        r->open = 1;
        r->fresh = 0;
        r->part = (unsigned) part;
        r->kind = kind;
        r->texts += kind == IR_TEXT;
    }

    return ir_emit_delta(ir, 0, r->part, text);
}


static int
cohere_call(ir_t *ir, tree_t *t, node_t *c, int index)
{
    int               part;
    char              made[80];
    node_t           *f;
    ai_buf_t          b;
    ai_str_t          id, text;
    cohere_reader_t  *r;

    r = ir->reader;
    c = c != NULL && c->type == AI_JSON_ARRAY ? node_first(t, c) : c;
    f = node_get(t, c, "function");
    node_read(c);

    if (r->ncalls == COHERE_CALLS_MAX || f == NULL) {
        return -1;
    }

    id = node_text(node_get(t, c, "id"));

    if (id.len == 0) {
        ai_buf_init(&b, made, sizeof(made));
        ai_buf_add_z(&b, "call_");
        ai_buf_add(&b, ir->job.data, ir->job.len < 40 ? ir->job.len : 40);
        ai_buf_add_z(&b, "_");
        ai_buf_add_int(&b, r->ncalls);
        id = tree_copy(t, (ai_str_t) { ai_buf_len(&b), made });
    }

    part = ir_emit_part(ir, 0, IR_TOOL_CALL, id,
                        node_text(node_get(t, f, "name")));

    if (part < 0) {
        return -1;
    }

    r->open = 0;
    r->part = (unsigned) part;
    r->kind = IR_TOOL_CALL;
    r->calls[r->ncalls].part = (unsigned) part;
    r->calls[r->ncalls].index = index;
    r->ncalls++;
    text = node_text(node_get(t, f, "arguments"));
    r->told = text.len != 0;

    return ir_emit_delta(ir, 0, (unsigned) part, text);
}


static int
cohere_arguments(ir_t *ir, node_t *data, node_t *calls)
{
    int               index;
    tree_t           *t;
    ai_str_t          text;
    unsigned          i;
    cohere_reader_t  *r;

    t = &ir->event;
    r = ir->reader;
    calls = calls != NULL && calls->type == AI_JSON_ARRAY
            ? node_read(node_first(t, calls)) : calls;
    text = node_text(node_get(t, node_get(t, calls, "function"),
                              "arguments"));

    if (r->ncalls == 0) {
        return -1;
    }

    index = (int) node_int(node_peek(t, data, "index"),
                           r->calls[r->ncalls - 1].index);

    for (i = r->ncalls; i != 0; i--) {
        if (r->calls[i - 1].index == index) {
            r->told |= text.len != 0 && r->calls[i - 1].part == r->part;
            return ir_emit_delta(ir, 0, r->calls[i - 1].part, text);
        }
    }

    return -1;
}


static int
cohere_call_end(ir_t *ir)
{
    cohere_reader_t  *r;

    r = ir->reader;

    if (r->kind != IR_TOOL_CALL || r->ncalls == 0) {
        return 0;
    }

    r->kind = IR_OTHER;

    if (!r->told && ir_emit_delta(ir, 0, r->part, ai_str("{}")) != 0) {
        return -1;
    }

    return ir_emit_end(ir, 0, r->part);
}


/* Citations.  Those of another part than the open text are named. */

static int
cohere_cite(ir_t *ir, tree_t *t, node_t *c)
{
    node_t           *to, *source, *url;
    ir_event_t        e;
    cohere_reader_t  *r;

    r = ir->reader;

    if (c == NULL || !r->open || r->kind != IR_TEXT) {
        return 0;
    }

    source = cohere_source(t, c, &url);
    to = node_object(t);
    node_set(to, "url", node_move(t, url));
    node_set(to, "title", node_move(t, node_peek(t, source, "title")));
    node_set(to, "text", node_move(t, node_peek(t, c, "text")));

    /* They count from the begin of their part. */

    if (r->texts == 1) {
        node_set(to, "start", node_move(t, node_peek(t, c, "start")));
        node_set(to, "end", node_move(t, node_peek(t, c, "end")));
    }

    node_set(to, "native", node_move(t, c));

    ir_event(&e, IR_CITATION);
    e.part = r->part;
    e.node = to;

    return ir_emit(ir, &e);
}


/* The first source that has an address. */

static node_t *
cohere_source(tree_t *t, node_t *c, node_t **url)
{
    size_t              i;
    node_t             *s, *d;
    static const char *const  of[] = { "document", "tool_output" };

    s = node_first(t, node_peek(t, c, "sources"));

    for ( /* void */ ; s != NULL; s = s->next) {

        for (i = 0; i < 2; i++) {
            d = node_peek(t, s, of[i]);
            *url = node_peek(t, d, "url");

            if (*url != NULL && (*url)->type == AI_JSON_STRING) {
                return d;
            }
        }
    }

    *url = NULL;

    return NULL;
}


/* Logprobs: an item, or all of them, as OpenAI's. */

static int
cohere_logprobs(ir_t *ir, tree_t *t, node_t *items)
{
    out_t        o;
    node_t      *p;
    ir_event_t   e;

    if (items == NULL || node_first(t, items) == NULL) {
        return 0;
    }

    memset(&o, 0, sizeof(o));
    out_z(&o, "{\"content\":[");

    if (items->type == AI_JSON_ARRAY) {

        for (p = node_first(t, items); p != NULL; p = p->next) {
            cohere_logprob(&o, t, p);
        }

    } else {
        cohere_logprob(&o, t, items);
    }

    node_whole(items);
    out_z(&o, "],\"refusal\":null}");
    ir_event(&e, IR_LOGPROBS);
    e.node = o.failed ? NULL
             : tree_parse(t, tree_copy(t, (ai_str_t) { o.len, o.data }));
    t->failed |= o.failed;
    out_free(&o);

    return e.node == NULL ? -1 : ir_emit(ir, &e);
}


/* An item may be several tokens: it is as likely as all of them. */

static void
cohere_logprob(out_t *o, tree_t *t, node_t *item)
{
    char     text[48];
    double   sum;
    node_t  *p;

    sum = 0;
    p = node_first(t, node_peek(t, item, "logprobs"));

    out_item(o);
    out_open(o, '{');
    out_key_escaped(o, "token", node_text(node_peek(t, item, "text")));
    out_key(o, "logprob");

    if (p != NULL && p->next == NULL && p->type == AI_JSON_NUMBER) {
        out_add(o, p->text);

    } else {
        for ( /* void */ ; p != NULL; p = p->next) {
            sum += node_number(p, 0);
        }

        snprintf(text, sizeof(text), "%.9g",
                 sum > -9999 && sum < 9999 ? sum : -9999.0);
        out_z(o, text);
    }

    out_z(o, ",\"bytes\":null,\"top_logprobs\":[]}");
}


static int
cohere_finish(ir_t *ir, tree_t *t, node_t *from)
{
    node_t  *reason;

    reason = node_get(t, from, "finish_reason");

    return ir_emit_finish(ir, 0, reason == NULL ? IR_FINISH_STOP
                          : ir_finish(cohere_finishes, reason),
                          node_text(reason), ai_str(""));
}


/* What is billed, else what there was: whole numbers, whatever they look
 * like. */

static int64_t
cohere_count(tree_t *t, node_t *usage, const char *name, int64_t otherwise)
{
    double   v;
    node_t  *billed, *real;

    billed = node_get(t, node_get(t, usage, "billed_units"), name);
    real = node_get(t, node_get(t, usage, "tokens"), name);
    v = node_number(billed != NULL ? billed : real, -1);

    return v >= 0 && v <= NODE_COUNT_MAX ? (int64_t) v : otherwise;
}


static int
cohere_usage(ir_t *ir, tree_t *t, node_t *usage)
{
    double       cached;
    ir_event_t   e;
    ir_usage_t  *u;

    if (usage == NULL || usage->type != AI_JSON_OBJECT) {
        return 0;
    }

    u = &ir->usage_now;
    u->input = cohere_count(t, usage, "input_tokens", u->input);
    u->output = cohere_count(t, usage, "output_tokens", u->output);
    u->searches = cohere_count(t, usage, "search_units", u->searches);
    cached = node_number(node_get(t, usage, "cached_tokens"), -1);

    /* It counts what is not billed, too. */

    if (cached >= 0 && u->input >= 0) {
        u->cached_read = cached < (double) u->input ? (int64_t) cached
                                                    : u->input;
    }

    ir_event(&e, IR_USAGE);

    return ir_emit(ir, &e);
}


/* Errors. */

static int
cohere_fail(ir_t *ir, node_t *body, int status)
{
    tree_t      *t;
    ir_event_t   e;

    t = ir->out != NULL ? &ir->event : &ir->tree;
    ir->error.status = status;
    cohere_read_error(ir, body);

    if (ir->error.message.len == 0) {
        ir->error.message = node_text(node_get(t, body, "error"));
    }

    if (ir->error.message.len == 0) {
        ir->error.message = status == 504
                            ? ai_str("The generation took too long.")
                            : ai_str("The generation failed.");
    }

    node_whole(body);
    ir_event(&e, IR_ERROR);

    return ir_emit(ir, &e);
}


void
cohere_read_error(ir_t *ir, node_t *body)
{
    tree_t      *t;
    ir_error_t  *to;

    t = ir->begun || ir->out != NULL ? &ir->event : &ir->tree;
    to = &ir->error;
    to->message = node_text(node_get(t, body, "message"));

    /* Two of its statuses are no one else's. */

    to->cause = ir_cause(to->status == 498 ? 401
                         : to->status == 499 ? 500 : to->status);
}
