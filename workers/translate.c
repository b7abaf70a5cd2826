/*
 * Drives a call through the intermediate form.  Owns the ir_t, the reader of
 * the provider's stream and what was written last.
 */

#include "translate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ai_sse.h"
#include "ir_in.h"


#define TRANSLATE_WHY_MAX   (IR_NOTES_BYTES + 64)
#define TRANSLATE_KEEP      (64 * 1024) /* a larger buffer goes when it is
                                         * empty */
#define TRANSLATE_TYPE_MAX  256     /* bytes of a header that says what an
                                     * error is */


struct translate_s {
    ir_t      ir;
    out_t     out;
    out_t     rest;             /* of a frame that is no SSE */
    ai_sse_t  sse;
    size_t    said;             /* of out, an answer that is an object */
    int       status;
    unsigned  error:1;
    char      why[TRANSLATE_WHY_MAX];
};


static int translate_states(translate_t *t);
static int translate_event(translate_t *t, ai_str_t name, ai_str_t data);
static int translate_sse(translate_t *t, ai_str_t raw);
static int translate_frames(translate_t *t, ai_str_t bytes);
static int translate_error(translate_t *t, ai_str_t body);


translate_t *
translate_open(const translate_call_t *call)
{
    ir_t         *ir;
    translate_t  *t;

    if (call->client->read_request == NULL
        || call->provider->write_request == NULL)
    {
        return NULL;
    }

    t = malloc(sizeof(*t));
    if (t == NULL) {
        return NULL;
    }

    memset(t, 0, sizeof(*t));
    ai_sse_init(&t->sse, AI_SSE_EVENT_MAX);
    ir = &t->ir;
    tree_init(&ir->tree);
    tree_init(&ir->event);
    ir->client = call->client;
    ir->provider = call->provider;
    ir->model = call->model;
    ir->version = call->version;
    ir->job = call->job;
    ir->now = call->now;
    ir->stream = call->stream;
    ir->usage = call->usage;
    ir->ask_usage = call->ask_usage;
    ir->official = call->official;
    ir->strict = call->strict;
    ir_usage_init(&ir->usage_now);
    ir->error.message = ai_str("");
    ir->error.type = ai_str("");
    ir->error.code = ai_str("");
    ir->error.param = ai_str("");

    return t;
}


void
translate_close(translate_t *t)
{
    if (t == NULL) {
        return;
    }

    tree_free(&t->ir.tree);
    tree_free(&t->ir.event);
    ai_sse_free(&t->sse);
    out_free(&t->out);
    out_free(&t->rest);
    out_free(&t->ir.again);
    free(t);
}


int
translate_request(translate_t *t, ai_str_t body, char **out, size_t *len)
{
    int      rc;
    ir_t    *ir;
    node_t  *root;

    ir = &t->ir;
    *out = NULL;
    root = tree_parse(&ir->tree, body);

    if (root == NULL) {
        return ir->tree.failed ? -2 : ir_refuse(ir, "The request is not JSON.",
                                                NULL);
    }

    ir->request = node_object(&ir->tree);
    rc = ir->client->read_request(ir, root);

    if (rc == 0) {
        ir_extra(ir, root);
        ir_unread(ir, &ir->tree, root);
        rc = ir->provider->write_request(ir, &t->out);
    }

    if (rc == 0) {
        ir_unread(ir, &ir->tree, ir->request);
    }

    if (ir->tree.failed || t->out.failed) {

        /* The texts of such a request fit; its members are too many. */

        rc = ir->tree.nodes >= TREE_NODES_MAX
             ? ir_refuse(ir, "The request has too many members.", NULL) : -2;

    } else if (rc == 0 && ir->strict && ir->nnotes != 0) {
        rc = -1;
    }

    if (rc == 0) {
        *out = t->out.data;
        *len = t->out.len;
        memset(&t->out, 0, sizeof(t->out));
    }

    out_free(&t->out);
    tree_reset(&ir->tree);
    ir->request = NULL;

    return rc;
}


const char *
translate_why(translate_t *t)
{
    ai_buf_t  b;

    ai_buf_init(&b, t->why, sizeof(t->why) - 1);

    if (!t->ir.refused) {
        ai_buf_add_z(&b, "The model's provider has no counterpart for: ");
    }

    ai_buf_add(&b, t->ir.notes, t->ir.notes_len);
    *b.pos = '\0';

    return t->why;
}


ai_str_t
translate_dropped(const translate_t *t)
{
    return (ai_str_t) { t->ir.notes_len, t->ir.notes };
}


/* Answers. */

int
translate_is_stream(const translate_t *t, ai_str_t type)
{
    const char  *z;

    z = t->ir.provider->frame != NULL ? t->ir.provider->frame_type
                                      : "text/event-stream";

    return type.len >= strlen(z) && strncasecmp(type.data, z, strlen(z)) == 0;
}


const char *
translate_type(const translate_t *t, int stream)
{
    return stream ? t->ir.client->stream_type : "application/json";
}


static int
translate_states(translate_t *t)
{
    ir_t    *ir;
    size_t   reader, writer;

    ir = &t->ir;

    if (ir->reader != NULL) {
        return 0;
    }

    /* What the client has been told of is not told again. */

    ir->notes_told = ir->notes_len;
    reader = ir->provider->reader_size;
    writer = ir->client->writer_size;
    ir->reader = tree_alloc(&ir->tree, reader + 1);
    ir->writer = tree_alloc(&ir->tree, writer + 1);

    if (ir->reader == NULL || ir->writer == NULL) {
        return -1;
    }

    memset(ir->reader, 0, reader + 1);
    memset(ir->writer, 0, writer + 1);

    return 0;
}


int
translate_bytes(translate_t *t, ai_str_t bytes, ai_str_t *out)
{
    int       rc;
    ai_str_t  raw;

    t->out.len = 0;
    *out = ai_str("");

    if (t->out.size > TRANSLATE_KEEP) {
        out_free(&t->out);
    }

    if (translate_states(t) != 0) {
        return -1;
    }

    t->ir.out = &t->out;
    t->out.line = 1;

    if (t->ir.provider->frame != NULL) {
        rc = translate_frames(t, bytes);

    } else {
        rc = ai_sse_feed(&t->sse, bytes.data, bytes.len);

        while (rc == 0 && ai_sse_next(&t->sse, &raw) == 1) {
            rc = translate_sse(t, raw);
        }
    }

    if (rc == 0 && t->out.failed) {
        rc = -1;
    }

    *out = (ai_str_t) { t->out.len, t->out.data };

    return rc;
}


int
translate_end(translate_t *t, ai_str_t *out)
{
    int         rc;
    ai_str_t    raw;
    ir_event_t  e;

    t->out.len = 0;
    *out = ai_str("");
    rc = 0;

    if (translate_states(t) != 0) {
        return -1;
    }

    t->ir.out = &t->out;
    t->out.line = 1;

    if (t->ir.provider->frame == NULL && ai_sse_rest(&t->sse, &raw) == 1) {
        rc = translate_sse(t, raw);
    }

    if (t->ir.provider->lines && t->rest.len != 0) {
        rc = translate_frames(t, ai_str("\n"));
        rc = rc == -2 ? 0 : rc;
    }

    if (rc == 0 && !t->ir.ended && t->ir.provider->read_end != NULL) {
        rc = t->ir.provider->read_end(&t->ir) == 0 ? 0 : -2;
    }

    /* Some close after the finish, without the word for it. */

    if (rc == 0 && !t->ir.ended && t->ir.finished != 0) {
        ir_event(&e, IR_END);
        rc = ir_emit(&t->ir, &e) == 0 ? 0 : -2;
    }

    if (t->out.failed || t->ir.tree.failed) {
        rc = -1;
    }

    *out = (ai_str_t) { t->out.len, t->out.data };

    return rc != 0 ? rc : t->ir.ended;
}


static int
translate_sse(translate_t *t, ai_str_t raw)
{
    int       n;
    char     *buf, small[1];
    ai_str_t  name, data;

    n = ai_sse_fields(raw, &name, &data, small, 0);

    if (n < 0) {
        tree_reset(&t->ir.event);
        buf = tree_alloc(&t->ir.event, raw.len);

        if (buf == NULL) {
            return -1;
        }

        n = ai_sse_fields(raw, &name, &data, buf, raw.len);
    }

    /* A comment alone keeps the connection; so it does ours. */

    return n <= 0 ? 0 : translate_event(t, name, data);
}


static int
translate_event(translate_t *t, ai_str_t name, ai_str_t data)
{
    int      rc;
    ir_t    *ir;
    node_t  *root;

    ir = &t->ir;

    /* What follows the end, or an error, is nobody's. */

    if (ir->ended) {
        return 0;
    }

    root = tree_parse(&ir->event, data);

    if (root == NULL && ir->event.failed) {
        return -1;
    }

    rc = ir->provider->read_event(ir, name, root, data);

    if (rc == 0 && root != NULL && !root->whole) {
        ir_unknown(ir, &ir->event, root);
    }

    if (ir->event.failed || ir->tree.failed) {
        return -1;
    }

    tree_reset(&ir->event);

    return rc == 0 ? 0 : -2;
}


/* Frames of another kind than SSE's. */

static int
translate_frames(translate_t *t, ai_str_t bytes)
{
    int       rc;
    long      n;
    size_t    at, held;
    ai_str_t  all, name, data;

    held = t->rest.len;
    t->rest.max = AI_SSE_EVENT_MAX + 1024 * 1024;
    out_add(&t->rest, bytes);

    if (t->rest.failed) {
        return -2;
    }

    /* What was held has no end: only what is new may have one. */

    if (t->ir.provider->lines && held != 0
        && memchr(bytes.data, '\n', bytes.len) == NULL)
    {
        return 0;
    }

    at = 0;
    rc = 0;

    while (rc == 0 && at < t->rest.len) {
        all = (ai_str_t) { t->rest.len - at, t->rest.data + at };
        name = ai_str("");
        data = ai_str("");
        n = t->ir.provider->frame(all, &name, &data);

        if (n <= 0) {
            rc = n < 0 ? -2 : 0;
            break;
        }

        at += (size_t) n;
        rc = data.len != 0 || name.len != 0 ? translate_event(t, name, data)
                                            : 0;
    }

    if (at != 0) {
        memmove(t->rest.data, t->rest.data + at, t->rest.len - at);
        t->rest.len -= at;
    }

    if (t->rest.len == 0 && t->rest.size > TRANSLATE_KEEP) {
        out_free(&t->rest);
    }

    return rc;
}


size_t
translate_held(const translate_t *t)
{
    return t->sse.size + t->rest.size;
}


ai_str_t
translate_said(const translate_t *t)
{
    return (ai_str_t) { t->said, t->out.data };
}


int
translate_answer(translate_t *t, int status, ai_str_t body)
{
    int      rc;
    ir_t    *ir;
    node_t  *root;

    ir = &t->ir;
    t->status = status;
    t->out.len = 0;
    t->said = 0;

    if (translate_states(t) != 0) {
        return -1;
    }

    if (status < 200 || status > 299) {
        rc = translate_error(t, body);

    } else {
        root = tree_parse(&ir->tree, body);

        if (root == NULL) {
            return ir->tree.failed ? -1 : -2;
        }

        rc = ir->provider->read_answer(ir, root);

        if (rc == 0 && ir->error.status != 0) {
            t->error = 1;
            rc = ir->client->write_error(ir, &ir->error, &t->out);

        } else if (rc == 0) {
            ir_unknown(ir, &ir->tree, root);
            rc = ir->client->write_answer(ir, &ir->answer, &t->out);
        }
    }

    if (ir->tree.failed || t->out.failed) {
        return -1;
    }

    if (rc == 0) {
        t->said = t->out.len;
    }

    return rc == 0 ? 0 : -2;
}


void
translate_header(translate_t *t, ai_str_t name, ai_str_t value)
{
    const char  *z, *colon;

    z = t->ir.provider->error_header;

    if (z == NULL || name.len != strlen(z)
        || strncasecmp(name.data, z, name.len) != 0
        || value.len > TRANSLATE_TYPE_MAX)
    {
        return;
    }

    colon = value.len != 0 ? memchr(value.data, ':', value.len) : NULL;
    value.len = colon != NULL ? (size_t) (colon - value.data) : value.len;
    t->ir.error.type = tree_copy(&t->ir.tree,
                                 text_encode(&t->ir.tree, value));
}


/* What is no JSON is a server's before the provider's: its text is told. */

static int
translate_error(translate_t *t, ai_str_t body)
{
    ir_t    *ir;
    node_t  *root;

    ir = &t->ir;
    t->error = 1;
    ir->error.status = t->status;
    ir->error.cause = ir_cause(t->status);
    root = tree_parse(&ir->tree, body);
    ir->provider->read_error(ir, root);

    if (ir->error.message.len == 0) {
        body.len = body.len < 512 ? body.len : 512;
        ir->error.message = root == NULL && body.len != 0
                            ? text_encode(&ir->tree, body)
                            : ai_str("The provider gave no reason.");
    }

    return ir->client->write_error(ir, &ir->error, &t->out);
}


int64_t
translate_retry(const translate_t *t)
{
    return t->ir.error.retry_msec;
}


const char *
translate_cause(const translate_t *t)
{
    return t->error || t->ir.error.status != 0 ? t->ir.error.cause : NULL;
}


void
translate_usage(const translate_t *t, provider_usage_t *u)
{
    const ir_t  *ir;

    ir = &t->ir;
    u->input = ir->usage_now.input;
    u->output = ir->usage_now.output;
    u->cached_read = ir->usage_now.cached_read;
    u->cached_write = ir->usage_now.cached_write;
    u->reasoning = ir->usage_now.reasoning;
    u->cached_write_1h = ir->usage_now.cached_write_1h;
    u->audio_input = ir->usage_now.audio_input;
    u->audio_output = ir->usage_now.audio_output;
    u->image_input = ir->usage_now.image_input;
    u->image_output = ir->usage_now.image_output;
    u->text_bytes = ir->text_bytes;
    memcpy(u->finish, ir->native, sizeof(u->finish));
    u->complete = ir->ended && !t->error && ir->error.status == 0;
    u->error = t->error || ir->error.status != 0;
}
