/*
 * Google's generateContent: parts of a request's contents.  Owns nothing.
 */

#include "dialect_gemini.h"

#include <string.h>
#include <strings.h>


/* What stands for a signature that is not there. */
#define GEMINI_UNSIGNED   "skip_thought_signature_validator"


static void gemini_text(gemini_contents_t *c, node_t *p);
static void gemini_reasoning(gemini_contents_t *c, node_t *p);
static void gemini_call(gemini_contents_t *c, node_t *p);
static void gemini_result(gemini_contents_t *c, node_t *p);
static int gemini_media(ir_t *ir, out_t *o, node_t *p);
static ai_str_t gemini_type(ir_t *ir, node_t *p, ai_str_t url);
static void gemini_uri(out_t *o, node_t *n);
static int gemini_own(ir_t *ir, node_t *p);


static const struct {
    const char *end;
    const char *type;
} gemini_types[] = {
    { ".png", "image/png" }, { ".jpg", "image/jpeg" },
    { ".jpeg", "image/jpeg" }, { ".webp", "image/webp" },
    { ".gif", "image/gif" }, { ".heic", "image/heic" },
    { ".heif", "image/heif" }, { ".bmp", "image/bmp" },
    { ".pdf", "application/pdf" }, { ".txt", "text/plain" },
    { ".md", "text/markdown" }, { ".html", "text/html" },
    { ".csv", "text/csv" }, { ".json", "application/json" },
    { ".wav", "audio/wav" }, { ".mp3", "audio/mp3" },
    { ".flac", "audio/flac" }, { ".ogg", "audio/ogg" },
    { ".m4a", "audio/mp4" }, { ".aac", "audio/aac" },
    { ".mp4", "video/mp4" }, { ".webm", "video/webm" },
    { ".mov", "video/quicktime" }, { ".mpeg", "video/mpeg" },
    { NULL, NULL }
};


void
gemini_part(gemini_contents_t *c, node_t *p, int model)
{
    node_t  *type;

    type = node_peek(&c->ir->tree, p, "type");

    if (node_is(type, "text") || node_is(type, "refusal")) {
        gemini_text(c, p);

    } else if (node_is(type, "tool_result")) {
        gemini_result(c, p);

    } else if (node_is(type, "tool_call") && model) {
        gemini_call(c, p);

    } else if (node_is(type, "reasoning") && model) {
        gemini_reasoning(c, p);

    } else if (node_is(type, "image") || node_is(type, "audio")
               || node_is(type, "video") || node_is(type, "document"))
    {
        (void) gemini_media(c->ir, c->o, p);
    }
}


static void
gemini_text(gemini_contents_t *c, node_t *p)
{
    node_t  *text;
    tree_t  *t;

    t = &c->ir->tree;
    node_read(p);
    (void) node_get(t, p, "type");
    text = node_get(t, p, "text");

    if (node_text(text).len == 0 && c->sign == NULL) {
        return;
    }

    out_item(c->o);
    out_open(c->o, '{');
    out_key_escaped(c->o, "text", node_text(text));
    out_key_node(c->o, t, "thoughtSignature", c->sign);
    out_close(c->o, '}');
    c->sign = NULL;
}


/* Whether this dialect's provider has signed it. */

static int
gemini_own(ir_t *ir, node_t *p)
{
    return node_is(node_peek(&ir->tree, p, "format"), "gemini");
}


/* A signature that stands alone is of the part that follows, which is how
 * clients keep it that have no place for it there. */

static void
gemini_reasoning(gemini_contents_t *c, node_t *p)
{
    node_t  *data, *text, *type;
    tree_t  *t;

    t = &c->ir->tree;
    data = node_peek(t, p, "data");
    text = node_peek(t, p, "text");

    if (!gemini_own(c->ir, p) || (data == NULL && node_text(text).len == 0)) {
        return;
    }

    node_read(p);
    (void) node_get(t, p, "type");
    (void) node_get(t, p, "format");
    (void) node_get(t, p, "id");

    if (data != NULL) {
        node_read(data);
        type = node_peek(t, p->next, "type");

        if (c->sign == NULL
            && (node_is(type, "tool_call") || node_is(type, "text")))
        {
            c->sign = data;
            return;
        }

        out_item(c->o);
        out_open(c->o, '{');
        out_key_z(c->o, "text", "");
        out_key_node(c->o, t, "thoughtSignature", data);
        out_close(c->o, '}');
        return;
    }

    out_item(c->o);
    out_open(c->o, '{');
    out_key_node(c->o, t, "text", node_read(text));
    out_key(c->o, "thought");
    out_z(c->o, "true");
    data = node_get(t, p, "signature");

    if (node_text(data).len != 0) {
        out_key_node(c->o, t, "thoughtSignature", data);
    }

    out_close(c->o, '}');
}


static void
gemini_call(gemini_contents_t *c, node_t *p)
{
    node_t  *id, *sign;
    out_t   *o;
    tree_t  *t;

    t = &c->ir->tree;
    o = c->o;
    node_read(p);
    (void) node_get(t, p, "type");
    id = node_get(t, p, "id");
    ir_calls_add(c->ir, &c->calls, p, node_text(id));
    sign = c->sign;
    c->sign = NULL;

    if (gemini_own(c->ir, p)) {
        (void) node_get(t, p, "format");
        sign = node_get(t, p, "signature");
    }

    out_item(o);
    out_open(o, '{');
    out_key(o, "functionCall");
    out_open(o, '{');

    if (!gemini_is_vertex(c->ir) && node_text(id).len != 0) {
        out_key_node(o, t, "id", id);
    }

    out_key_node(o, t, "name", node_get(t, p, "name"));
    out_key(o, "args");
    (void) ir_arguments_object(c->ir, o, node_get(t, p, "arguments"));
    out_close(o, '}');

    /* The first of several must have one, of models that think always. */

    if (sign != NULL) {
        out_key_node(o, t, "thoughtSignature", sign);

    } else if (!c->signed_ && gemini_version(c->ir->model) >= 30) {
        out_key_z(o, "thoughtSignature", GEMINI_UNSIGNED);
    }

    c->signed_ = 1;
    out_close(o, '}');
}


/* Media of a result stands in it where models know that, else behind it. */

static void
gemini_result(gemini_contents_t *c, node_t *p)
{
    int        inside;
    out_t     *o, media;
    size_t     texts;
    node_t    *q, *id, *name, *type;
    tree_t    *t;
    ai_str_t   text, one;

    t = &c->ir->tree;
    o = c->o;
    memset(&media, 0, sizeof(media));
    inside = gemini_version(c->ir->model) >= 30;
    node_read(p);
    (void) node_get(t, p, "type");
    id = node_get(t, p, "id");
    name = node_get(t, p, "name");

    if (name == NULL) {
        name = node_peek(t, ir_calls_find(&c->calls, node_text(id)), "name");
    }

    out_item(o);
    out_open(o, '{');
    out_key(o, "functionResponse");
    out_open(o, '{');

    if (!gemini_is_vertex(c->ir) && node_text(id).len != 0) {
        out_key_node(o, t, "id", id);
    }

    out_key_escaped(o, "name", name != NULL ? node_text(name) : node_text(id));
    out_key(o, "response");
    out_open(o, '{');
    out_key(o, node_true(node_get(t, p, "error")) ? "error" : "output");
    texts = 0;
    one = ai_str("");
    q = node_first(t, node_get(t, p, "parts"));

    for ( /* void */ ; q != NULL; q = q->next) {
        type = node_peek(t, q, "type");

        if (node_is(type, "text") || node_is(type, "refusal")
            || (node_is(type, "document")
                && node_peek(t, q, "text") != NULL))
        {
            node_read(q);
            (void) node_get(t, q, "type");
            text = node_text(node_get(t, q, "text"));

            if (texts++ == 0) {
                one = text;
                continue;
            }

            if (texts == 2) {
                out_open(o, '[');
                out_escaped(o, one);
            }

            out_item(o);
            out_escaped(o, text);

        } else if (node_is(type, "image") || node_is(type, "audio")
                   || node_is(type, "video") || node_is(type, "document"))
        {
            (void) gemini_media(c->ir, inside ? &media : &c->later, q);
        }
    }

    if (texts < 2) {
        out_escaped(o, one);

    } else {
        out_close(o, ']');
    }

    out_close(o, '}');

    if (media.len != 0) {
        out_key(o, "parts");
        out_open(o, '[');
        out_add(o, (ai_str_t) { media.len, media.data });
        out_close(o, ']');
    }

    out_z(o, "}}");
    o->failed |= media.failed;
    out_free(&media);
}


/* 1, or 0: there is none that another provider has. */

static int
gemini_media(ir_t *ir, out_t *o, node_t *p)
{
    node_t      *n, *q;
    tree_t      *t;
    ai_str_t     text;

    t = &ir->tree;
    n = node_peek(t, p, "text");

    if (n != NULL) {
        node_read(p);
        (void) node_get(t, p, "type");
        (void) node_get(t, p, "media_type");

        if (node_text(n).len != 0) {
            out_item(o);
            out_open(o, '{');
            out_key_node(o, t, "text", node_read(n));
            out_close(o, '}');
        }

        return 1;
    }

    n = node_peek(t, p, "parts");

    if (n != NULL) {
        node_read(p);
        (void) node_get(t, p, "type");
        q = node_first(t, node_read(n));

        for ( /* void */ ; q != NULL; q = q->next) {
            if (ir_is(ir, q, "text") || ir_is(ir, q, "image")) {
                (void) gemini_media(ir, o, q);
            }
        }

        return 1;
    }

    n = node_peek(t, p, "data");

    if (n != NULL) {
        node_read(p);
        (void) node_get(t, p, "type");
        text = gemini_type(ir, p, ai_str(""));
        out_item(o);
        out_z(o, "{\"inlineData\":{");
        out_key_escaped(o, "mimeType", text);
        out_key_node(o, t, "data", node_read(n));

        if (gemini_is_vertex(ir)) {
            out_key_node(o, t, "displayName", node_get(t, p, "title"));
        }

        out_z(o, "}}");
        return 1;
    }

    n = node_peek(t, p, "url");

    if (n == NULL) {
        n = node_peek(t, p, "file");
        text = node_text(n);

        /* A file's id is one provider's: its own begin so. */

        if (!(text.len > 6 && memcmp(text.data, "files/", 6) == 0)
            && !(text.len > 8 && memcmp(text.data, "https://", 8) == 0)
            && !(text.len > 5 && memcmp(text.data, "gs://", 5) == 0))
        {
            return 0;
        }
    }

    node_read(p);
    (void) node_get(t, p, "type");
    text = gemini_type(ir, p, node_text(n));
    out_item(o);
    out_z(o, "{\"fileData\":{");

    if (text.len != 0) {
        out_key_escaped(o, "mimeType", text);
    }

    gemini_uri(o, node_read(n));

    if (gemini_is_vertex(ir)) {
        out_key_node(o, t, "displayName", node_get(t, p, "title"));
    }

    out_z(o, "}}");

    return 1;
}


static void
gemini_uri(out_t *o, node_t *n)
{
    ai_str_t  text;

    text = node_text(n);
    out_key(o, "fileUri");
    out_z(o, "\"");

    if (memcmp(text.data, "files/", text.len < 6 ? text.len : 6) == 0) {
        out_z(o, "https://generativelanguage.googleapis.com/v1beta/");
    }

    out_add(o, text);
    out_z(o, "\"");
}


/* As it was said, by how its URL ends, or what it mostly is. */

static ai_str_t
gemini_type(ir_t *ir, node_t *p, ai_str_t url)
{
    char        *z;
    size_t       i, n;
    tree_t      *t;
    ai_str_t     said;
    const char  *mark;

    t = &ir->tree;
    said = node_text(node_get(t, p, "media_type"));

    if (said.len != 0) {
        return said;
    }

    said = node_text(node_get(t, p, "format"));

    if (said.len != 0 && (z = tree_alloc(t, said.len + 6)) != NULL) {
        memcpy(z, "audio/", 6);
        memcpy(z + 6, said.data, said.len);
        return (ai_str_t) { said.len + 6, z };
    }

    mark = url.len != 0 ? memchr(url.data, '?', url.len) : NULL;
    url.len = mark != NULL ? (size_t) (mark - url.data) : url.len;

    for (i = 0; gemini_types[i].end != NULL; i++) {
        n = strlen(gemini_types[i].end);

        if (url.len > n
            && strncasecmp(url.data + url.len - n, gemini_types[i].end, n)
               == 0)
        {
            return (ai_str_t) { strlen(gemini_types[i].type),
                                gemini_types[i].type };
        }
    }

    /* What is not inside Google knows by itself, but not Vertex. */

    if (url.len != 0 && !gemini_is_vertex(ir)
        && (node_peek(t, p, "file") != NULL || ir_is(ir, p, "video")))
    {
        return ai_str("");
    }

    return ir_is(ir, p, "image") ? ai_str("image/jpeg")
           : ir_is(ir, p, "document") ? ai_str("application/pdf")
           : ir_is(ir, p, "audio") ? ai_str("audio/wav")
           : ai_str("video/mp4");
}
