/*
 * Google's generateContent: a provider's answers as events.  A stream's events
 * are whole answers that each say some more, and none of them is the last: it
 * ends with its bytes.  Owns nothing; state lies in the ir_t's tree.
 */

#include "dialect_gemini.h"

#include <string.h>


#define GEMINI_ID_TAIL  20      /* of the job's id, in those of calls */


static int gemini_answer(ir_t *ir, tree_t *t, node_t *body);
static int gemini_start(ir_t *ir, tree_t *t, node_t *body);
static int gemini_candidate(ir_t *ir, tree_t *t, node_t *candidate);
static gemini_candidate_t *gemini_at(ir_t *ir, unsigned choice);
static int gemini_said(ir_t *ir, tree_t *t, node_t *p, unsigned choice,
    gemini_candidate_t *c);
static int gemini_said_text(ir_t *ir, tree_t *t, node_t *p, unsigned choice,
    gemini_candidate_t *c);
static int gemini_said_call(ir_t *ir, tree_t *t, node_t *p, node_t *call,
    unsigned choice, gemini_candidate_t *c);
static int gemini_said_data(ir_t *ir, tree_t *t, node_t *p, node_t *data,
    unsigned choice, gemini_candidate_t *c);
static unsigned gemini_parts(const ir_t *ir, unsigned choice);
static int gemini_begin(ir_t *ir, unsigned choice, gemini_candidate_t *c,
    ir_kind_e kind, ai_str_t id, ai_str_t name);
static int gemini_sign(ir_t *ir, unsigned choice, gemini_candidate_t *c);
static int gemini_signature(ir_t *ir, unsigned choice, gemini_candidate_t *c,
    ai_str_t sign);
static ai_str_t gemini_call_id(ir_t *ir, tree_t *t);
static int gemini_texts(ir_t *ir, tree_t *t, node_t *candidate, node_t *parts,
    unsigned choice, gemini_candidate_t *c);
static void gemini_finish(ir_t *ir, tree_t *t, node_t *candidate,
    unsigned choice, gemini_candidate_t *c);
static int gemini_blocked(ir_t *ir, tree_t *t, node_t *feedback);


static const ir_word_t  gemini_finishes[] = {
    { "STOP", IR_FINISH_STOP },
    { "MAX_TOKENS", IR_FINISH_LENGTH },
    { "SAFETY", IR_FINISH_FILTER },
    { "RECITATION", IR_FINISH_FILTER },
    { "LANGUAGE", IR_FINISH_FILTER },
    { "BLOCKLIST", IR_FINISH_FILTER },
    { "PROHIBITED_CONTENT", IR_FINISH_FILTER },
    { "SPII", IR_FINISH_FILTER },
    { "MODEL_ARMOR", IR_FINISH_FILTER },
    { "IMAGE_SAFETY", IR_FINISH_FILTER },
    { "IMAGE_PROHIBITED_CONTENT", IR_FINISH_FILTER },
    { "IMAGE_RECITATION", IR_FINISH_FILTER },
    { NULL, IR_FINISH_NONE }
};


int
gemini_read_answer(ir_t *ir, node_t *body)
{
    ir_event_t  e;

    if (node_peek(&ir->tree, body, "error") != NULL) {
        gemini_read_error(ir, body);
        ir_event(&e, IR_ERROR);
        return ir_emit(ir, &e);
    }

    return gemini_answer(ir, &ir->tree, body) != 0 ? -1 : gemini_read_end(ir);
}


int
gemini_read_event(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text)
{
    ir_event_t  e;

    (void) name;

    if (data == NULL) {
        return text.len != 0 && text.data[0] == '{' ? -1 : 0;
    }

    if (node_peek(&ir->event, data, "error") != NULL) {
        ir->error.status = 0;
        gemini_read_error(ir, data);
        node_whole(data);
        ir_event(&e, IR_ERROR);
        return ir_emit(ir, &e);
    }

    return gemini_answer(ir, &ir->event, data);
}


/* The finishes: some say one with every event. */

int
gemini_read_end(ir_t *ir)
{
    unsigned             i, told;
    ir_event_t           e;
    gemini_reader_t     *r;
    gemini_candidate_t  *c;

    r = ir->reader;
    told = 0;

    if (!ir->begun) {
        return 0;
    }

    for (i = 0; i < r->n; i++) {
        c = r->candidates[i];

        if (c == NULL || c->finish == IR_FINISH_NONE) {
            continue;
        }

        told++;

        if (gemini_sign(ir, i, c) != 0
            || ir_emit_finish(ir, i, c->finish, c->native, ai_str("")) != 0)
        {
            return -1;
        }
    }

    /* An object is whole, whatever it says. */

    if (ir->out == NULL && told == 0
        && ir_emit_finish(ir, 0, IR_FINISH_OTHER, ai_str(""), ai_str(""))
           != 0)
    {
        return -1;
    }

    if (ir->out != NULL && told == 0) {
        return 0;
    }

    ir_event(&e, IR_END);

    return ir_emit(ir, &e);
}


static int
gemini_answer(ir_t *ir, tree_t *t, node_t *body)
{
    node_t  *c, *all, *feedback, *usage;

    all = node_get_type(t, body, "candidates", AI_JSON_ARRAY);
    feedback = node_get_type(t, body, "promptFeedback", AI_JSON_OBJECT);
    usage = node_get_type(t, body, "usageMetadata", AI_JSON_OBJECT);

    if (all == NULL && feedback == NULL && usage == NULL) {

        if (t == &ir->tree) {
            return -1;
        }

        ir_note(ir, body, "an event that is not known");
        node_whole(body);
        return 0;
    }

    if (gemini_start(ir, t, body) != 0) {
        return -1;
    }

    for (c = node_first(t, all); c != NULL; c = c->next) {
        node_read(c);

        if (gemini_candidate(ir, t, c) != 0) {
            return -1;
        }
    }

    if (feedback != NULL && gemini_blocked(ir, t, feedback) != 0) {
        return -1;
    }

    return gemini_usage(ir, t, usage);
}


static int
gemini_start(ir_t *ir, tree_t *t, node_t *body)
{
    ir_event_t  e;

    ir_event(&e, IR_START);
    e.id = node_text(node_get(t, body, "responseId"));
    e.name = node_text(node_get(t, body, "modelVersion"));

    if (ir->begun) {
        return 0;
    }

    if (e.id.len == 0) {
        e.id = ir->job;
    }

    if (e.name.len == 0) {
        e.name = text_encode(&ir->tree, ir->model);
    }

    return ir_emit(ir, &e);
}


static gemini_candidate_t *
gemini_at(ir_t *ir, unsigned choice)
{
    gemini_reader_t     *r;
    gemini_candidate_t  *c;

    if (choice >= IR_CHOICES_MAX) {
        return NULL;
    }

    r = ir->reader;
    c = r->candidates[choice];

    if (c == NULL) {
        c = tree_alloc(&ir->tree, sizeof(*c));

        if (c == NULL) {
            return NULL;
        }

        memset(c, 0, sizeof(*c));
        c->native = ai_str("");
        c->sign = ai_str("");
        r->candidates[choice] = c;
        r->n = choice >= r->n ? choice + 1 : r->n;
    }

    return c;
}


static int
gemini_candidate(ir_t *ir, tree_t *t, node_t *candidate)
{
    node_t              *content, *parts, *p;
    int64_t              index;
    unsigned             choice;
    gemini_candidate_t  *c;

    index = node_int(node_get(t, candidate, "index"), 0);

    if (index < 0 || index >= IR_CHOICES_MAX) {
        return -1;
    }

    choice = (unsigned) index;
    c = gemini_at(ir, choice);

    if (c == NULL) {
        return -1;
    }

    content = node_get_type(t, candidate, "content", AI_JSON_OBJECT);
    parts = node_get_type(t, content, "parts", AI_JSON_ARRAY);

    if (ir->out == NULL) {
        if (gemini_texts(ir, t, candidate, parts, choice, c) != 0) {
            return -1;
        }

    } else {

        for (p = node_first(t, parts); p != NULL; p = p->next) {
            if (gemini_said(ir, t, p, choice, c) != 0) {
                return -1;
            }
        }

        if (c->part != 0 && c->kind == IR_TEXT) {

            if (gemini_cite(ir, t, candidate, choice, c->part - 1, -1,
                            ai_str(""), 0)
                < 0)
            {
                return -1;
            }

            gemini_cited(ir, t, candidate);
        }
    }

    if (gemini_logprobs(ir, t, candidate, choice) != 0) {
        return -1;
    }

    gemini_finish(ir, t, candidate, choice, c);

    return 0;
}


/* The parts of an object: what is cited of each is known with it. */

static int
gemini_texts(ir_t *ir, tree_t *t, node_t *candidate, node_t *parts,
    unsigned choice, gemini_candidate_t *c)
{
    int        i, n, last, told;
    node_t    *p;
    size_t     chars;
    ai_str_t   text;

    last = -1;
    told = 0;
    chars = 0;
    i = 0;

    for (p = node_first(t, parts); p != NULL; p = p->next) {
        if (node_text(node_peek(t, p, "text")).len != 0
            && !node_true(node_peek(t, p, "thought")))
        {
            last = i;
        }

        i++;
    }

    i = 0;

    for (p = node_first(t, parts); p != NULL; p = p->next) {
        text = node_text(node_peek(t, p, "text"));

        if (gemini_said(ir, t, p, choice, c) != 0) {
            return -1;
        }

        if (text.len != 0 && !node_true(node_peek(t, p, "thought"))
            && c->part != 0 && c->kind == IR_TEXT)
        {
            n = gemini_cite(ir, t, candidate, choice, c->part - 1, i, text,
                            chars);

            /* What is of no text is of the last. */

            if (n == 0 && told == 0 && i == last) {
                n = gemini_cite(ir, t, candidate, choice, c->part - 1, -1,
                                text, chars);
            }

            if (n < 0) {
                return -1;
            }

            told += n;
            chars += gemini_chars(text, text.len);
        }

        i++;
    }

    if (told != 0) {
        gemini_cited(ir, t, candidate);
    }

    return 0;
}


static int
gemini_said(ir_t *ir, tree_t *t, node_t *p, unsigned choice,
    gemini_candidate_t *c)
{
    node_t      *n;
    ir_event_t   e;

    n = node_peek(t, p, "text");

    if ((n == NULL || node_text(n).len != 0) && gemini_sign(ir, choice, c) != 0)
    {
        return -1;
    }

    n = node_peek(t, p, "functionCall");

    if (n != NULL && n->type == AI_JSON_OBJECT) {
        node_read(p);
        return gemini_said_call(ir, t, p, node_read(n), choice, c);
    }

    n = node_peek(t, p, "inlineData");

    if (n != NULL && n->type == AI_JSON_OBJECT) {
        node_read(p);
        return gemini_said_data(ir, t, p, node_read(n), choice, c);
    }

    n = node_peek(t, p, "text");

    if (n != NULL && n->type == AI_JSON_STRING) {
        node_read(p);
        return gemini_said_text(ir, t, p, choice, c);
    }

    /* One that only signs what stood before. */

    if (node_peek(t, p, "thoughtSignature") != NULL && node_count(t, p) == 1) {
        node_read(p);
        return gemini_said_text(ir, t, p, choice, c);
    }

    ir_event(&e, IR_PART);
    e.choice = choice;
    e.part = gemini_parts(ir, choice);
    e.kind = IR_OTHER;
    e.node = node_whole(p);
    c->part = 0;

    return ir_emit(ir, &e);
}


/* Texts of a kind in a row are one. */

static int
gemini_said_text(ir_t *ir, tree_t *t, node_t *p, unsigned choice,
    gemini_candidate_t *c)
{
    node_t     *n, *sign;
    ai_str_t    text, none;
    ir_kind_e   kind;

    none = ai_str("");
    kind = node_true(node_get(t, p, "thought")) ? IR_REASONING : IR_TEXT;
    n = node_get(t, p, "text");
    text = node_text(n);
    sign = node_peek(t, p, "thoughtSignature");

    if (text.len != 0) {

        if ((c->part == 0 || c->kind != kind)
            && gemini_begin(ir, choice, c, kind, none, none) != 0)
        {
            return -1;
        }

        if (ir_emit_delta(ir, choice, c->part - 1, text) != 0) {
            return -1;
        }
    }

    if (node_text(sign).len == 0) {
        return 0;
    }

    if (kind == IR_REASONING && c->part != 0 && c->kind == IR_REASONING) {
        node_read(sign);
        return gemini_signature(ir, choice, c, node_text(sign));
    }

    /* It is not needed: only who keeps the reasoning keeps it. */

    if (!ir->client->signs && !ir->reasons) {
        return 0;
    }

    c->sign = tree_copy(&ir->tree, node_text(node_read(sign)));

    return 0;
}


/* A text that is signed ends with it. */

static int
gemini_sign(ir_t *ir, unsigned choice, gemini_candidate_t *c)
{
    ai_str_t  sign;

    sign = c->sign;
    c->sign = ai_str("");

    if (sign.len == 0) {
        return 0;
    }

    if (gemini_begin(ir, choice, c, IR_REDACTED, ai_str(""), ai_str("")) != 0
        || ir_emit_delta(ir, choice, c->part - 1, sign) != 0
        || ir_emit_end(ir, choice, c->part - 1) != 0)
    {
        return -1;
    }

    c->part = 0;

    return 0;
}


static int
gemini_signature(ir_t *ir, unsigned choice, gemini_candidate_t *c,
    ai_str_t sign)
{
    ir_event_t  e;

    ir_event(&e, IR_SIGNATURE);
    e.choice = choice;
    e.part = c->part - 1;
    e.text = sign;

    if (ir_emit(ir, &e) != 0 || ir_emit_end(ir, choice, e.part) != 0) {
        return -1;
    }

    c->part = 0;

    return 0;
}


/* Without its signature the call cannot go back to the provider: where it has
 * no place it stands before the call as reasoning does that is encrypted. */

static int
gemini_said_call(ir_t *ir, tree_t *t, node_t *p, node_t *call,
    unsigned choice, gemini_candidate_t *c)
{
    node_t      *args;
    ai_str_t     id, sign, none, text;
    ir_event_t   e;

    none = ai_str("");
    sign = node_text(node_get(t, p, "thoughtSignature"));
    (void) node_get(t, p, "thought");

    if (sign.len != 0 && !ir->client->signs
        && (gemini_begin(ir, choice, c, IR_REDACTED, none, none) != 0
            || ir_emit_delta(ir, choice, c->part - 1, sign) != 0))
    {
        return -1;
    }

    id = node_text(node_get(t, call, "id"));

    if (id.len == 0) {
        id = gemini_call_id(ir, t);
    }

    args = node_whole(node_get(t, call, "args"));
    text = args != NULL && args->text.len != 0 ? text_encode(t, args->text)
                                               : ai_str("{}");

    if (gemini_begin(ir, choice, c, IR_TOOL_CALL, id,
                     node_text(node_get(t, call, "name")))
        != 0)
    {
        return -1;
    }

    if (sign.len != 0 && ir->client->signs) {
        ir_event(&e, IR_SIGNATURE);
        e.choice = choice;
        e.part = c->part - 1;
        e.text = sign;

        if (ir_emit(ir, &e) != 0) {
            return -1;
        }
    }

    if (ir_emit_delta(ir, choice, c->part - 1, text) != 0
        || ir_emit_end(ir, choice, c->part - 1) != 0)
    {
        return -1;
    }

    c->part = 0;

    return 0;
}


/* Of the job, so that one asked again says the same; other jobs of the
 * conversation have others. */

static ai_str_t
gemini_call_id(ir_t *ir, tree_t *t)
{
    char              buf[64];
    ai_buf_t          b;
    ai_str_t          job;
    gemini_reader_t  *r;

    r = ir->reader;
    job = ir->job;

    if (job.len > GEMINI_ID_TAIL) {
        job.data += job.len - GEMINI_ID_TAIL;
        job.len = GEMINI_ID_TAIL;
    }

    ai_buf_init(&b, buf, sizeof(buf));
    ai_buf_add_z(&b, "call_");
    ai_buf_add_str(&b, job);
    ai_buf_add_z(&b, "_");
    ai_buf_add_int(&b, r->calls++);

    return tree_copy(t, (ai_str_t) { ai_buf_len(&b), buf });
}


static int
gemini_said_data(ir_t *ir, tree_t *t, node_t *p, node_t *data,
    unsigned choice, gemini_candidate_t *c)
{
    ai_str_t   type, none;
    ir_kind_e  kind;

    none = ai_str("");
    type = node_text(node_get(t, data, "mimeType"));
    kind = type.len > 6 && memcmp(type.data, "image/", 6) == 0 ? IR_IMAGE
           : IR_AUDIO;

    /* What a model drew while it thought is none of its answer. */

    if (node_true(node_get(t, p, "thought"))) {
        ir_note(ir, p, NULL);
        node_whole(p);
        return 0;
    }

    if (gemini_begin(ir, choice, c, kind, none, type) != 0
        || ir_emit_delta(ir, choice, c->part - 1,
                         node_text(node_get(t, data, "data")))
           != 0
        || ir_emit_end(ir, choice, c->part - 1) != 0)
    {
        return -1;
    }

    c->part = 0;

    return 0;
}


static unsigned
gemini_parts(const ir_t *ir, unsigned choice)
{
    const ir_choice_t  *to;

    to = choice < ir->answer.nchoices ? ir->answer.choices[choice] : NULL;

    return to != NULL ? to->parts : 0;
}


static int
gemini_begin(ir_t *ir, unsigned choice, gemini_candidate_t *c,
    ir_kind_e kind, ai_str_t id, ai_str_t name)
{
    ir_event_t  e;

    ir_event(&e, IR_PART);
    e.choice = choice;
    e.part = gemini_parts(ir, choice);
    e.kind = kind;
    e.id = id;
    e.name = name;
    e.format = "gemini";
    c->part = e.part + 1;
    c->kind = kind;

    return ir_emit(ir, &e);
}


static void
gemini_finish(ir_t *ir, tree_t *t, node_t *candidate, unsigned choice,
    gemini_candidate_t *c)
{
    size_t   n;
    node_t  *reason;

    reason = node_get(t, candidate, "finishReason");

    if (reason == NULL || node_is(reason, "FINISH_REASON_UNSPECIFIED")) {
        return;
    }

    c->finish = ir_finish(gemini_finishes, reason);
    c->native = tree_copy(&ir->tree, node_text(reason));

    /* Says no more than the word does. */

    if (c->finish == IR_FINISH_STOP) {
        (void) node_get(t, candidate, "finishMessage");
    }

    /* So that a connection that breaks off behind it has said all. */

    if (choice == 0) {
        n = c->native.len < sizeof(ir->native) ? c->native.len
                                               : sizeof(ir->native) - 1;
        memcpy(ir->native, c->native.data, n);
        ir->native[n] = '\0';
    }
}


/* The prompt was refused: there is no candidate. */

static int
gemini_blocked(ir_t *ir, tree_t *t, node_t *feedback)
{
    node_t              *reason;
    ai_str_t             message;
    gemini_candidate_t  *c;

    reason = node_get(t, feedback, "blockReason");
    message = node_text(node_get(t, feedback, "blockReasonMessage"));

    if (reason == NULL || node_is(reason, "BLOCK_REASON_UNSPECIFIED")) {
        return 0;
    }

    c = gemini_at(ir, 0);

    if (c == NULL) {
        return -1;
    }

    c->finish = IR_FINISH_FILTER;
    c->native = tree_copy(&ir->tree, node_text(reason));

    if (message.len == 0) {
        return 0;
    }

    if (gemini_begin(ir, 0, c, IR_REFUSAL, ai_str(""), ai_str("")) != 0
        || ir_emit_delta(ir, 0, c->part - 1, message) != 0
        || ir_emit_end(ir, 0, c->part - 1) != 0)
    {
        return -1;
    }

    c->part = 0;

    return 0;
}
