/*
 * AWS Bedrock's Converse: a provider's answers as events.  A stream's texts
 * have no beginning of their own; its last event tells the usage.  Owns
 * nothing; state lies in the ir_t's tree.
 */

#include "dialect_bedrock.h"

#include <string.h>


static int bedrock_start(ir_t *ir);
static int bedrock_begin(ir_t *ir, ir_kind_e kind, ai_str_t id,
    ai_str_t name, node_t *node);
static int bedrock_block(ir_t *ir, node_t *block);
static int bedrock_whole(ir_t *ir, ir_kind_e kind, ai_str_t name,
    ai_str_t text);
static int bedrock_said_call(ir_t *ir, node_t *call);
static int bedrock_said_reasoning(ir_t *ir, tree_t *t, node_t *r);
static int bedrock_said_cited(ir_t *ir, node_t *cited);
static int bedrock_said_image(ir_t *ir, node_t *block, node_t *image);
static int bedrock_cite(ir_t *ir, tree_t *t, int part, node_t *c);
static int bedrock_sign(ir_t *ir, int part, ai_str_t text);
static ai_str_t bedrock_redacted(ir_t *ir, tree_t *t, ai_str_t data);
static int bedrock_block_start(ir_t *ir, node_t *data);
static int bedrock_block_delta(ir_t *ir, node_t *data);
static int bedrock_open(ir_t *ir, ir_kind_e kind);
static int bedrock_shut(ir_t *ir);
static int bedrock_finish(ir_t *ir, tree_t *t, node_t *from);
static int bedrock_usage(ir_t *ir, tree_t *t, node_t *usage);
static int bedrock_failed(ir_t *ir, ai_str_t name, node_t *data,
    ai_str_t text);
static int bedrock_is(ai_str_t name, const char *z);


static const ir_word_t  bedrock_finishes[] = {
    { "end_turn", IR_FINISH_STOP },
    { "tool_use", IR_FINISH_TOOLS },
    { "max_tokens", IR_FINISH_LENGTH },
    { "stop_sequence", IR_FINISH_SEQUENCE },
    { "guardrail_intervened", IR_FINISH_FILTER },
    { "content_filtered", IR_FINISH_FILTER },
    { "model_context_window_exceeded", IR_FINISH_CONTEXT },
    { NULL, IR_FINISH_NONE }
};

/* What an error in a stream would have been as an answer, and those that are
 * the key's fault, whatever their status. */
static const struct {
    const char *type;
    int         status;
    const char *cause;
} bedrock_errors[] = {
    { "validationException", 400, NULL },
    { "accessDeniedException", 403, NULL },
    { "resourceNotFoundException", 404, NULL },
    { "modelTimeoutException", 408, NULL },
    { "throttlingException", 429, NULL },
    { "modelNotReadyException", 429, NULL },
    { "serviceQuotaExceededException", 429, NULL },
    { "serviceUnavailableException", 503, NULL },
    { "unrecognizedClientException", 403, "unauthenticated" },
    { "invalidSignatureException", 403, "unauthenticated" },
    { "incompleteSignatureException", 403, "unauthenticated" },
    { "missingAuthenticationTokenException", 403, "unauthenticated" },
    { "expiredTokenException", 403, "unauthenticated" },
    { NULL, 500, NULL }
};


int
bedrock_read_answer(ir_t *ir, node_t *body)
{
    node_t      *b, *content, *output;
    tree_t      *t;
    ir_event_t   e;

    t = &ir->tree;
    output = node_get_type(t, body, "output", AI_JSON_OBJECT);
    content = node_get_type(t, node_get(t, output, "message"), "content",
                            AI_JSON_ARRAY);

    if (content == NULL || bedrock_start(ir) != 0) {
        return -1;
    }

    for (b = node_first(t, content); b != NULL; b = b->next) {
        if (bedrock_block(ir, b) != 0) {
            return -1;
        }
    }

    if (bedrock_usage(ir, t, node_get(t, body, "usage")) != 0
        || bedrock_finish(ir, t, body) != 0)
    {
        return -1;
    }

    ir_event(&e, IR_END);

    return ir_emit(ir, &e);
}


/* It says neither what it is called nor which model it is of. */

static int
bedrock_start(ir_t *ir)
{
    ir_event_t  e;

    if (ir->begun) {
        return 0;
    }

    ir_event(&e, IR_START);
    e.id = ir->job;
    e.name = text_encode(&ir->tree, ir->model);

    return ir_emit(ir, &e);
}


/* The number of the new part, or -1. */

static int
bedrock_begin(ir_t *ir, ir_kind_e kind, ai_str_t id, ai_str_t name,
    node_t *node)
{
    ir_event_t  e;

    ir_event(&e, IR_PART);
    e.part = ir->answer.choices[0] != NULL ? ir->answer.choices[0]->parts : 0;
    e.kind = kind;
    e.id = id;
    e.name = name;
    e.node = node;
    e.format = bedrock_model(ir)->claude ? "anthropic" : "bedrock";

    return ir_emit(ir, &e) == 0 ? (int) e.part : -1;
}


/* An object. */

static int
bedrock_block(ir_t *ir, node_t *block)
{
    node_t  *n;
    tree_t  *t;

    t = &ir->tree;
    n = node_peek(t, block, "text");

    if (n != NULL && n->type == AI_JSON_STRING) {
        node_read(block);
        return bedrock_whole(ir, IR_TEXT, ai_str(""),
                             node_text(node_read(n)));
    }

    n = node_peek(t, block, "toolUse");

    if (n != NULL) {
        node_read(block);
        return bedrock_said_call(ir, node_read(n));
    }

    n = node_peek(t, block, "reasoningContent");

    if (n != NULL) {
        node_read(block);
        return bedrock_said_reasoning(ir, t, node_read(n));
    }

    n = node_peek(t, block, "citationsContent");

    if (n != NULL) {
        node_read(block);
        return bedrock_said_cited(ir, node_read(n));
    }

    n = node_peek(t, block, "image");

    if (n != NULL) {
        return bedrock_said_image(ir, block, n);
    }

    return bedrock_begin(ir, IR_OTHER, ai_str(""), ai_str(""),
                         node_whole(block))
           < 0 ? -1 : 0;
}


static int
bedrock_whole(ir_t *ir, ir_kind_e kind, ai_str_t name, ai_str_t text)
{
    int  part;

    part = bedrock_begin(ir, kind, ai_str(""), name, NULL);

    return part < 0 || ir_emit_delta(ir, 0, (unsigned) part, text) != 0
           || ir_emit_end(ir, 0, (unsigned) part) != 0 ? -1 : 0;
}


static int
bedrock_said_call(ir_t *ir, node_t *call)
{
    int        part;
    node_t    *input;
    tree_t    *t;
    ai_str_t   text;

    t = &ir->tree;
    input = node_whole(node_get(t, call, "input"));
    text = input != NULL && input->text.len != 0 ? text_encode(t, input->text)
                                                 : ai_str("{}");
    part = bedrock_begin(ir, IR_TOOL_CALL,
                         node_text(node_get(t, call, "toolUseId")),
                         node_text(node_get(t, call, "name")), NULL);

    return part < 0 || ir_emit_delta(ir, 0, (unsigned) part, text) != 0
           || ir_emit_end(ir, 0, (unsigned) part) != 0 ? -1 : 0;
}


static int
bedrock_said_reasoning(ir_t *ir, tree_t *t, node_t *r)
{
    int        part;
    node_t    *text;
    ai_str_t   data, sign;

    data = node_text(node_get(t, r, "redactedContent"));

    if (data.len != 0) {
        return bedrock_whole(ir, IR_REDACTED, ai_str(""),
                             bedrock_redacted(ir, t, data));
    }

    text = node_get(t, r, "reasoningText");
    sign = node_text(node_get(t, text, "signature"));
    part = bedrock_begin(ir, IR_REASONING, ai_str(""), ai_str(""), NULL);

    return part < 0
           || ir_emit_delta(ir, 0, (unsigned) part,
                            node_text(node_get(t, text, "text")))
              != 0
           || (sign.len != 0 && bedrock_sign(ir, part, sign) != 0)
           || ir_emit_end(ir, 0, (unsigned) part) != 0 ? -1 : 0;
}


/* A text and where it is from. */

static int
bedrock_said_cited(ir_t *ir, node_t *cited)
{
    int      part;
    node_t  *n;
    tree_t  *t;

    t = &ir->tree;
    part = bedrock_begin(ir, IR_TEXT, ai_str(""), ai_str(""), NULL);

    if (part < 0) {
        return -1;
    }

    n = node_first(t, node_get(t, cited, "content"));

    for ( /* void */ ; n != NULL; n = n->next) {
        node_read(n);

        if (ir_emit_delta(ir, 0, (unsigned) part,
                          node_text(node_get(t, n, "text")))
            != 0)
        {
            return -1;
        }
    }

    n = node_first(t, node_get(t, cited, "citations"));

    for ( /* void */ ; n != NULL; n = n->next) {
        if (bedrock_cite(ir, t, part, node_read(n)) != 0) {
            return -1;
        }
    }

    return ir_emit_end(ir, 0, (unsigned) part);
}


static int
bedrock_said_image(ir_t *ir, node_t *block, node_t *image)
{
    char      *z;
    node_t    *bytes;
    tree_t    *t;
    ai_str_t   format;

    t = &ir->tree;
    bytes = node_peek(t, node_peek(t, image, "source"), "bytes");
    format = node_text(node_peek(t, image, "format"));
    z = tree_alloc(t, format.len + 6);

    if (z == NULL) {
        return -1;
    }

    memcpy(z, "image/", 6);
    memcpy(z + 6, format.data, format.len);
    node_whole(block);

    return bedrock_whole(ir, IR_IMAGE, (ai_str_t) { format.len + 6, z },
                         node_text(bytes));
}


static int
bedrock_cite(ir_t *ir, tree_t *t, int part, node_t *c)
{
    node_t      *to, *native, *n, *location;
    out_t        text;
    ir_event_t   e;

    memset(&text, 0, sizeof(text));
    native = node_move(t, c);
    n = node_first(t, node_peek(t, c, "sourceContent"));

    for ( /* void */ ; n != NULL; n = n->next) {
        out_add(&text, node_text(node_peek(t, n, "text")));
    }

    location = node_peek(t, node_peek(t, c, "location"), "web");
    to = node_object(t);
    node_set(to, "url", node_move(t, node_peek(t, location, "url")));
    node_set(to, "title", node_move(t, node_peek(t, c, "title")));
    node_set(to, "text", node_string(t, tree_copy(t, (ai_str_t) { text.len,
                                                                text.data })));
    node_set(to, "native", native);
    t->failed |= text.failed;
    out_free(&text);

    ir_event(&e, IR_CITATION);
    e.part = (unsigned) part;
    e.node = to;

    return ir_emit(ir, &e);
}


static int
bedrock_sign(ir_t *ir, int part, ai_str_t text)
{
    ir_event_t  e;

    ir_event(&e, IR_SIGNATURE);
    e.part = (unsigned) part;
    e.text = text;

    return ir_emit(ir, &e);
}


/* Claude's is base64 of what its maker says as it is. */

static ai_str_t
bedrock_redacted(ir_t *ir, tree_t *t, ai_str_t data)
{
    int          n;
    char        *out;
    size_t       i, len;
    unsigned     bits, digit;
    const char  *p;

    static const char  digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    out = bedrock_model(ir)->claude ? tree_alloc(t, data.len + 1) : NULL;

    if (out == NULL) {
        return data;
    }

    bits = 0;
    len = 0;
    n = 0;

    for (i = 0; i < data.len && data.data[i] != '='; i++) {
        p = data.data[i] != '\0' ? strchr(digits, data.data[i]) : NULL;

        if (p == NULL) {
            return data;
        }

        digit = (unsigned) (p - digits);
        bits = bits << 6 | digit;
        n += 6;

        if (n < 8) {
            continue;
        }

        n -= 8;
        out[len] = (char) (bits >> n & 255);

        if (out[len] <= ' ' || out[len] > '~' || out[len] == '"'
            || out[len] == '\\')
        {
            return data;
        }

        len++;
    }

    return (ai_str_t) { len, out };
}


/* A stream. */

int
bedrock_read_event(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text)
{
    tree_t            *t;
    ir_event_t         e;
    bedrock_reader_t  *r;

    t = &ir->event;
    r = ir->reader;

    if (data == NULL
        || (name.len > 9
            && memcmp(name.data + name.len - 9, "Exception", 9) == 0))
    {
        return bedrock_failed(ir, name, data, text);
    }

    if (bedrock_is(name, "messageStart")) {
        return bedrock_start(ir);
    }

    if (bedrock_is(name, "initial-response")) {
        node_whole(data);
        return 0;
    }

    if (bedrock_start(ir) != 0) {
        return -1;
    }

    if (bedrock_is(name, "contentBlockDelta")) {
        return bedrock_block_delta(ir, data);
    }

    if (bedrock_is(name, "contentBlockStart")) {
        return bedrock_block_start(ir, data);
    }

    if (bedrock_is(name, "contentBlockStop")) {
        return node_int(node_get(t, data, "contentBlockIndex"), 0) == r->index
               ? bedrock_shut(ir) : 0;
    }

    if (bedrock_is(name, "messageStop")) {
        return bedrock_shut(ir) != 0 ? -1 : bedrock_finish(ir, t, data);
    }

    if (bedrock_is(name, "metadata")) {

        if (bedrock_usage(ir, t, node_get(t, data, "usage")) != 0) {
            return -1;
        }

        /* Without a reason to end it goes on, or has broken off. */

        if (ir->finished == 0) {
            return 0;
        }

        ir_event(&e, IR_END);
        return ir_emit(ir, &e);
    }

    ir_note(ir, data, "an event that is not known");
    node_whole(data);

    return 0;
}


static int
bedrock_is(ai_str_t name, const char *z)
{
    return name.len == strlen(z) && memcmp(name.data, z, name.len) == 0;
}


/* Only what is more than a text says that it begins. */

static int
bedrock_block_start(ir_t *ir, node_t *data)
{
    node_t            *start, *call;
    tree_t            *t;
    bedrock_reader_t  *r;

    t = &ir->event;
    r = ir->reader;

    if (bedrock_shut(ir) != 0) {
        return -1;
    }

    r->index = node_int(node_get(t, data, "contentBlockIndex"), 0);
    start = node_get(t, data, "start");
    call = node_get(t, start, "toolUse");

    if (call != NULL) {
        r->kind = IR_TOOL_CALL;
        r->told = 0;
        r->part = bedrock_begin(ir, IR_TOOL_CALL,
                                node_text(node_get(t, call, "toolUseId")),
                                node_text(node_get(t, call, "name")), NULL)
                  + 1;
        return r->part == 0 ? -1 : 0;
    }

    if (node_count(t, start) == 0) {
        return 0;
    }

    r->kind = IR_OTHER;
    r->part = bedrock_begin(ir, IR_OTHER, ai_str(""), ai_str(""),
                            node_whole(start))
              + 1;

    return r->part == 0 ? -1 : 0;
}


static int
bedrock_block_delta(ir_t *ir, node_t *data)
{
    node_t            *delta, *n;
    tree_t            *t;
    int64_t            index;
    ai_str_t           text;
    bedrock_reader_t  *r;

    t = &ir->event;
    r = ir->reader;
    delta = node_get(t, data, "delta");
    index = node_int(node_get(t, data, "contentBlockIndex"), 0);

    if (r->part != 0 && index != r->index && bedrock_shut(ir) != 0) {
        return -1;
    }

    r->index = index;

    /* One of the provider's own is not told at all. */

    if (r->part != 0 && r->kind == IR_OTHER) {
        node_whole(delta);
        return 0;
    }

    n = node_get(t, delta, "text");

    if (n != NULL) {
        return node_text(n).len == 0 ? 0
               : bedrock_open(ir, IR_TEXT) != 0 ? -1
               : ir_emit_delta(ir, 0, (unsigned) r->part - 1, node_text(n));
    }

    n = node_get(t, delta, "toolUse");

    if (n != NULL) {
        text = node_text(node_get(t, n, "input"));
        r->told |= text.len != 0;
        return r->part == 0 || r->kind != IR_TOOL_CALL ? -1
               : ir_emit_delta(ir, 0, (unsigned) r->part - 1, text);
    }

    n = node_get(t, delta, "citation");

    if (n != NULL) {
        return bedrock_open(ir, IR_TEXT) != 0 ? -1
               : bedrock_cite(ir, t, r->part - 1, n);
    }

    n = node_get(t, delta, "reasoningContent");

    if (n == NULL) {
        return 0;
    }

    text = node_text(node_get(t, n, "redactedContent"));

    if (text.len != 0) {
        return bedrock_open(ir, IR_REDACTED) != 0 ? -1
               : ir_emit_delta(ir, 0, (unsigned) r->part - 1,
                               bedrock_redacted(ir, t, text));
    }

    text = node_text(node_get(t, n, "text"));

    if (text.len != 0
        && (bedrock_open(ir, IR_REASONING) != 0
            || ir_emit_delta(ir, 0, (unsigned) r->part - 1, text) != 0))
    {
        return -1;
    }

    text = node_text(node_get(t, n, "signature"));

    return text.len == 0 ? 0
           : bedrock_open(ir, IR_REASONING) != 0 ? -1
           : bedrock_sign(ir, r->part - 1, text);
}


/* Makes sure that the open part is of this kind. */

static int
bedrock_open(ir_t *ir, ir_kind_e kind)
{
    bedrock_reader_t  *r;

    r = ir->reader;

    if (r->part != 0 && r->kind == kind) {
        return 0;
    }

    if (bedrock_shut(ir) != 0) {
        return -1;
    }

    r->kind = kind;
    r->part = bedrock_begin(ir, kind, ai_str(""), ai_str(""), NULL) + 1;

    return r->part == 0 ? -1 : 0;
}


static int
bedrock_shut(ir_t *ir)
{
    unsigned           part;
    bedrock_reader_t  *r;

    r = ir->reader;

    if (r->part == 0) {
        return 0;
    }

    part = (unsigned) r->part - 1;
    r->part = 0;

    if (r->kind == IR_TOOL_CALL && !r->told
        && ir_emit_delta(ir, 0, part, ai_str("{}")) != 0)
    {
        return -1;
    }

    return ir_emit_end(ir, 0, part);
}


static int
bedrock_finish(ir_t *ir, tree_t *t, node_t *from)
{
    node_t  *reason;

    reason = node_get(t, from, "stopReason");

    return ir_emit_finish(ir, 0, reason != NULL
                                 ? ir_finish(bedrock_finishes, reason)
                                 : IR_FINISH_OTHER,
                          node_text(reason), ai_str(""));
}


/* Input does not count what was or is cached. */

static int
bedrock_usage(ir_t *ir, tree_t *t, node_t *usage)
{
    node_t      *n;
    int64_t      plain;
    ir_event_t   e;
    ir_usage_t  *u;

    if (usage == NULL || usage->type != AI_JSON_OBJECT) {
        return 0;
    }

    u = &ir->usage_now;
    plain = node_use(node_get(t, usage, "inputTokens"), -1);
    u->output = node_use(node_get(t, usage, "outputTokens"), u->output);
    u->cached_read = node_use(node_get(t, usage, "cacheReadInputTokens"),
                              u->cached_read);
    u->cached_write = node_use(node_get(t, usage, "cacheWriteInputTokens"),
                               u->cached_write);
    (void) node_get(t, usage, "totalTokens");
    n = node_first(t, node_get(t, usage, "cacheDetails"));

    for ( /* void */ ; n != NULL; n = n->next) {
        if (node_is(node_peek(t, n, "ttl"), "1h")) {
            u->cached_write_1h = node_use(node_peek(t, n, "inputTokens"),
                                          u->cached_write_1h);
        }

        node_whole(n);
    }

    if (plain >= 0) {
        u->input = plain + (u->cached_read > 0 ? u->cached_read : 0)
                   + (u->cached_write > 0 ? u->cached_write : 0);
    }

    ir_event(&e, IR_USAGE);

    return ir_emit(ir, &e);
}


/* Errors. */

static int
bedrock_failed(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text)
{
    tree_t      *t;
    int64_t      status;
    ir_event_t   e;

    t = &ir->event;
    ir->error.status = 0;
    ir->error.type = text_encode(t, name);
    status = node_int(node_peek(t, data, "originalStatusCode"), 0);

    if (status >= 400 && status <= 599) {
        ir->error.status = (int) status;
    }

    bedrock_read_error(ir, data);

    if (ir->error.message.len == 0) {
        ir->error.message = data == NULL && text.len != 0
                            ? text_encode(t, text)
                            : ai_str("The provider gave no reason.");
    }

    node_whole(data);
    ir_event(&e, IR_ERROR);

    return ir_emit(ir, &e);
}


/* What it is stands in a header, but for those of some servers before it. */

void
bedrock_read_error(ir_t *ir, node_t *body)
{
    size_t       i, len;
    tree_t      *t;
    ai_str_t     word;
    ir_error_t  *to;
    const char  *z;

    t = ir->begun || ir->out != NULL ? &ir->event : &ir->tree;
    to = &ir->error;
    to->message = node_text(node_get(t, body, "message"));

    if (to->message.len == 0) {
        to->message = node_text(node_get(t, body, "Message"));
    }

    word = node_text(node_get(t, body, "__type"));

    if (to->type.len == 0 && word.len != 0) {
        z = memrchr(word.data, '#', word.len);
        len = z != NULL ? (size_t) (z + 1 - word.data) : 0;
        to->type = (ai_str_t) { word.len - len, word.data + len };
    }

    to->code = to->type;

    /* In a stream its first letter is a small one. */

    for (i = 0; bedrock_errors[i].type != NULL; i++) {
        z = bedrock_errors[i].type;

        if (to->type.len == strlen(z)
            && (to->type.data[0] | 0x20) == z[0]
            && memcmp(to->type.data + 1, z + 1, to->type.len - 1) == 0)
        {
            break;
        }
    }

    if (to->status == 0) {
        to->status = bedrock_errors[i].status;
    }

    to->cause = bedrock_errors[i].cause != NULL ? bedrock_errors[i].cause
                                                : ir_cause(to->status);
}
