/*
 * AWS Bedrock's Converse: parts of a request's turns.  Owns nothing.
 */

#include "dialect_bedrock.h"

#include <string.h>
#include <strings.h>


#define BEDROCK_NAME_MAX  200   /* bytes of a document's name */


static void bedrock_text(bedrock_contents_t *c, node_t *p);
static void bedrock_call(bedrock_contents_t *c, node_t *p);
static void bedrock_result(bedrock_contents_t *c, node_t *p);
static void bedrock_reasoning(bedrock_contents_t *c, node_t *p);
static int bedrock_media(bedrock_contents_t *c, node_t *p, const char *kind);
static void bedrock_document(bedrock_contents_t *c, node_t *p);
static void bedrock_source(bedrock_contents_t *c, node_t *n, const char *from);
static void bedrock_name(bedrock_contents_t *c, node_t *title);
static const char *bedrock_format(ir_t *ir, node_t *p, const char *kind,
    ai_str_t url);


static const struct {
    const char *kind;
    const char *type;
    const char *end;            /* of a URL */
    const char *format;
} bedrock_formats[] = {
    { "image", "image/png", ".png", "png" },
    { "image", "image/jpeg", ".jpeg", "jpeg" },
    { "image", "image/jpg", ".jpg", "jpeg" },
    { "image", "image/gif", ".gif", "gif" },
    { "image", "image/webp", ".webp", "webp" },
    { "document", "application/pdf", ".pdf", "pdf" },
    { "document", "text/csv", ".csv", "csv" },
    { "document", "application/msword", ".doc", "doc" },
    { "document", "application/vnd.openxmlformats-officedocument."
      "wordprocessingml.document", ".docx", "docx" },
    { "document", "application/vnd.ms-excel", ".xls", "xls" },
    { "document", "application/vnd.openxmlformats-officedocument."
      "spreadsheetml.sheet", ".xlsx", "xlsx" },
    { "document", "text/html", ".html", "html" },
    { "document", "text/markdown", ".md", "md" },
    { "document", "text/plain", ".txt", "txt" },
    { "video", "video/mp4", ".mp4", "mp4" },
    { "video", "video/quicktime", ".mov", "mov" },
    { "video", "video/x-matroska", ".mkv", "mkv" },
    { "video", "video/webm", ".webm", "webm" },
    { "video", "video/x-flv", ".flv", "flv" },
    { "video", "video/mpeg", ".mpeg", "mpeg" },
    { "video", "video/x-ms-wmv", ".wmv", "wmv" },
    { "video", "video/3gpp", ".3gp", "three_gp" },
    { NULL, NULL, NULL, NULL }
};


void
bedrock_part(bedrock_contents_t *c, node_t *p, int inside)
{
    size_t   len;
    node_t  *type;

    type = node_peek(&c->ir->tree, p, "type");
    len = c->o->len;

    if (node_is(type, "text") || node_is(type, "refusal")) {
        bedrock_text(c, p);

    } else if (node_is(type, "image")) {
        (void) bedrock_media(c, p, "image");

    } else if (node_is(type, "video")) {
        (void) bedrock_media(c, p, "video");

    } else if (node_is(type, "document")) {
        bedrock_document(c, p);

    } else if (node_is(type, "tool_result") && !inside && c->role == 'u') {
        bedrock_result(c, p);

    } else if (node_is(type, "tool_call") && !inside && c->role == 'a') {
        bedrock_call(c, p);

    } else if (node_is(type, "reasoning") && !inside && c->role == 'a') {
        bedrock_reasoning(c, p);
    }

    if (c->o->len != len && !inside) {
        bedrock_cache(c->ir, c->o, p);
    }
}


int
bedrock_is_blank(ai_str_t text)
{
    size_t  i;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] == '\\' && i + 1 < text.len
            && strchr("nrt", text.data[i + 1]) != NULL)
        {
            i++;

        } else if (text.data[i] != ' ') {
            return 0;
        }
    }

    return 1;
}


static void
bedrock_text(bedrock_contents_t *c, node_t *p)
{
    node_t  *text;
    tree_t  *t;

    t = &c->ir->tree;
    node_read(p);
    (void) node_get(t, p, "type");
    text = node_get(t, p, "text");

    if (bedrock_is_blank(node_text(text))) {
        (void) node_whole(node_get(t, p, "cache"));
        return;
    }

    if (c->model->claude && c->role == 'a'
        && node_peek(t, p, "citations") != NULL
        && bedrock_write_cited(c->ir, c->o, p, text))
    {
        return;
    }

    out_item(c->o);
    out_open(c->o, '{');
    out_key_node(c->o, t, "text", text);
    out_close(c->o, '}');
}


static void
bedrock_call(bedrock_contents_t *c, node_t *p)
{
    out_t   *o;
    tree_t  *t;

    t = &c->ir->tree;
    o = c->o;
    node_read(p);
    (void) node_get(t, p, "type");
    out_item(o);
    out_z(o, "{\"toolUse\":{");
    out_key_escaped(o, "toolUseId",
                    ir_call_id(c->ir, node_get(t, p, "id"), BEDROCK_ID_MAX));
    out_key_node(o, t, "name", node_get(t, p, "name"));
    out_key(o, "input");
    (void) ir_arguments_object(c->ir, o, node_get(t, p, "arguments"));
    out_z(o, "}}");
}


static void
bedrock_result(bedrock_contents_t *c, node_t *p)
{
    out_t   *o;
    node_t  *q;
    tree_t  *t;

    t = &c->ir->tree;
    o = c->o;
    node_read(p);
    (void) node_get(t, p, "type");
    (void) node_get(t, p, "name");
    out_item(o);
    out_z(o, "{\"toolResult\":{");
    out_key_escaped(o, "toolUseId",
                    ir_call_id(c->ir, node_get(t, p, "id"), BEDROCK_ID_MAX));
    out_key(o, "content");
    out_open(o, '[');
    q = node_first(t, node_get(t, p, "parts"));

    for ( /* void */ ; q != NULL; q = q->next) {
        bedrock_part(c, q, 1);
    }

    out_close(o, ']');

    if (node_true(node_get(t, p, "error"))) {
        out_key_z(o, "status", "error");
    }

    out_z(o, "}}");
}


/* Only what its model has signed itself, be it here or at its maker's, who has
 * the same signatures. */

static void
bedrock_reasoning(bedrock_contents_t *c, node_t *p)
{
    out_t   *o;
    node_t  *sign, *data;
    tree_t  *t;

    t = &c->ir->tree;
    o = c->o;
    sign = node_peek(t, p, "signature");
    data = node_peek(t, p, "data");

    if (!node_is(node_peek(t, p, "format"),
                 c->model->claude ? "anthropic" : "bedrock")
        || (node_text(sign).len == 0 && node_text(data).len == 0))
    {
        return;
    }

    node_read(p);
    (void) node_get(t, p, "type");
    (void) node_get(t, p, "format");
    (void) node_get(t, p, "id");
    out_item(o);
    out_z(o, "{\"reasoningContent\":{");

    if (node_text(data).len == 0) {
        out_z(o, "\"reasoningText\":{");
        out_key_escaped(o, "text", node_text(node_get(t, p, "text")));
        out_key_node(o, t, "signature", node_read(sign));
        out_close(o, '}');

    } else {
        node_read(data);
        out_key(o, "redactedContent");

        if (c->model->claude) {
            bedrock_base64(o, text_decode(t, node_text(data)));

        } else {
            out_escaped(o, node_text(data));
        }
    }

    out_z(o, "}}");
}


void
bedrock_base64(out_t *o, ai_str_t s)
{
    char                  four[4];
    size_t                i, n;
    unsigned              bits;
    const unsigned char  *p;

    static const char  digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    p = (const unsigned char *) s.data;
    out_z(o, "\"");

    for (i = 0; i < s.len; i += 3) {
        n = s.len - i;
        bits = (unsigned) p[i] << 16;
        bits |= n > 1 ? (unsigned) p[i + 1] << 8 : 0;
        bits |= n > 2 ? p[i + 2] : 0;
        four[0] = digits[bits >> 18];
        four[1] = digits[bits >> 12 & 63];
        four[2] = n > 1 ? digits[bits >> 6 & 63] : '=';
        four[3] = n > 2 ? digits[bits & 63] : '=';
        out_add(o, (ai_str_t) { 4, four });
    }

    out_z(o, "\"");
}


/* Media: bytes, or a place in S3. */

static int
bedrock_media(bedrock_contents_t *c, node_t *p, const char *kind)
{
    out_t       *o;
    node_t      *n;
    tree_t      *t;
    ai_str_t     url;
    const char  *from, *format;
    static const char *const  sources[] = { "data", "url", "file", NULL };
    const char *const        *source;

    t = &c->ir->tree;
    o = c->o;

    for (source = sources; *source != NULL; source++) {
        if (node_peek(t, p, *source) != NULL) {
            break;
        }
    }

    if (*source == NULL) {
        return 0;
    }

    n = node_peek(t, p, *source);
    url = **source == 'd' ? ai_str("") : node_text(n);

    if (**source != 'd'
        && (url.len < 6 || memcmp(url.data, "s3://", 5) != 0))
    {
        return 0;
    }

    format = bedrock_format(c->ir, p, kind, url);

    if (format == NULL) {
        return 0;
    }

    node_read(p);
    (void) node_get(t, p, "type");
    (void) node_get(t, p, "media_type");
    from = **source == 'd' ? "bytes" : "uri";
    out_item(o);
    out_open(o, '{');
    out_key(o, kind);
    out_open(o, '{');
    out_key_z(o, "format", format);

    if (*kind == 'd') {
        bedrock_name(c, node_get(t, p, "title"));
    }

    bedrock_source(c, node_read(n), from);

    return 1;
}


/* The source, and what follows it up to the part's end. */

static void
bedrock_source(bedrock_contents_t *c, node_t *n, const char *from)
{
    node_t  *p;
    out_t   *o;
    tree_t  *t;

    o = c->o;
    t = &c->ir->tree;
    p = n->parent;
    out_key(o, "source");
    out_open(o, '{');

    if (strcmp(from, "uri") == 0) {
        out_key(o, "s3Location");
        out_open(o, '{');
        out_key_node(o, t, "uri", n);
        out_close(o, '}');

    } else if (strcmp(from, "text") == 0) {
        out_key(o, "bytes");
        bedrock_base64(o, text_decode(t, node_text(n)));

    } else {
        out_key_node(o, t, "bytes", n);
    }

    out_close(o, '}');

    if (ir_is(c->ir, p, "document")) {
        out_key_node(o, t, "context", node_get(t, p, "context"));

        if (node_true(node_get(t, p, "citations"))) {
            out_key(o, "citations");
            out_z(o, "{\"enabled\":true}");
        }
    }

    out_z(o, "}}");
}


static void
bedrock_document(bedrock_contents_t *c, node_t *p)
{
    out_t   *o;
    node_t  *n, *text;
    tree_t  *t;

    t = &c->ir->tree;
    o = c->o;
    n = node_peek(t, p, "text");

    if (n != NULL) {

        if (bedrock_is_blank(node_text(n))) {
            node_whole(p);
            return;
        }

        node_read(p);
        (void) node_get(t, p, "type");
        (void) node_get(t, p, "media_type");
        out_item(o);
        out_z(o, "{\"document\":{\"format\":\"txt\"");
        bedrock_name(c, node_get(t, p, "title"));
        bedrock_source(c, node_read(n), "text");
        return;
    }

    n = node_peek(t, p, "parts");

    if (n == NULL) {
        (void) bedrock_media(c, p, "document");
        return;
    }

    node_read(p);
    (void) node_get(t, p, "type");
    out_item(o);
    out_z(o, "{\"document\":{");
    bedrock_name(c, node_get(t, p, "title"));
    out_key(o, "source");
    out_z(o, "{\"content\":[");

    for (n = node_first(t, node_read(n)); n != NULL; n = n->next) {
        text = node_peek(t, n, "text");

        if (ir_is(c->ir, n, "text") && !bedrock_is_blank(node_text(text))) {
            node_read(n);
            out_item(o);
            out_open(o, '{');
            out_key_node(o, t, "text", node_read(text));
            out_close(o, '}');
        }
    }

    out_z(o, "]}");
    out_key_node(o, t, "context", node_get(t, p, "context"));

    if (node_true(node_get(t, p, "citations"))) {
        out_key(o, "citations");
        out_z(o, "{\"enabled\":true}");
    }

    out_z(o, "}}");
}


/* Each document has a name, of few letters, which no other has. */

static void
bedrock_name(bedrock_contents_t *c, node_t *title)
{
    int        twice;
    char       buf[BEDROCK_NAME_MAX + 24];
    size_t     i;
    ai_buf_t   b;
    ai_str_t   text, name;
    unsigned   n;

    c->documents++;
    ai_buf_init(&b, buf, sizeof(buf));
    text = text_decode(&c->ir->tree, node_text(title));
    twice = 0;

    for (i = 0; i < text.len && ai_buf_len(&b) < BEDROCK_NAME_MAX; i++) {

        if ((text.data[i] >= '0' && text.data[i] <= '9')
            || ((text.data[i] | 0x20) >= 'a' && (text.data[i] | 0x20) <= 'z')
            || (text.data[i] != '\0'
                && strchr("-()[]", text.data[i]) != NULL))
        {
            if (twice && ai_buf_len(&b) != 0) {
                ai_buf_add_z(&b, " ");
            }

            ai_buf_add(&b, text.data + i, 1);
            twice = 0;

        } else {
            twice = 1;
        }
    }

    name = (ai_str_t) { ai_buf_len(&b), buf };

    if (name.len == 0) {
        ai_buf_add_z(&b, "Document ");
        ai_buf_add_int(&b, c->documents);
        name.len = ai_buf_len(&b);
    }

    for (n = 0; n < c->nnames; n++) {
        if (c->names[n].len == name.len
            && memcmp(c->names[n].data, name.data, name.len) == 0)
        {
            break;
        }
    }

    if (n != c->nnames || n == BEDROCK_NAMES_MAX) {
        ai_buf_add_z(&b, " ");
        ai_buf_add_int(&b, c->documents);
        name.len = ai_buf_len(&b);
    }

    if (c->nnames != BEDROCK_NAMES_MAX) {
        c->names[c->nnames++] = tree_copy(&c->ir->tree, name);
    }

    out_key(c->o, "name");
    out_bytes(c->o, name);
}


/* As it was said, by how its URL ends, or what it mostly is; NULL: one that is
 * not known there. */

static const char *
bedrock_format(ir_t *ir, node_t *p, const char *kind, ai_str_t url)
{
    size_t       i, n;
    ai_str_t     said;
    const char  *mark, *z;

    said = node_text(node_peek(&ir->tree, p, "media_type"));
    mark = said.len != 0 ? memchr(said.data, ';', said.len) : NULL;
    said.len = mark != NULL ? (size_t) (mark - said.data) : said.len;

    for (i = 0; bedrock_formats[i].kind != NULL; i++) {

        if (strcmp(bedrock_formats[i].kind, kind) != 0) {
            continue;
        }

        z = said.len != 0 ? bedrock_formats[i].type : bedrock_formats[i].end;
        n = strlen(z);

        if (said.len != 0
            ? said.len == n && strncasecmp(said.data, z, n) == 0
            : url.len > n && strncasecmp(url.data + url.len - n, z, n) == 0)
        {
            return bedrock_formats[i].format;
        }
    }

    if (said.len != 0) {
        return *kind == 'd' && said.len > 5
               && strncasecmp(said.data, "text/", 5) == 0 ? "txt" : NULL;
    }

    return *kind == 'i' ? "png" : *kind == 'd' ? "pdf" : "mp4";
}


/* Here a cache lives 5 minutes or an hour, where there is one. */

void
bedrock_cache(ir_t *ir, out_t *o, node_t *from)
{
    node_t  *marker, *ttl;
    tree_t  *t;

    t = &ir->tree;
    marker = node_peek(t, from, "cache");

    if (marker == NULL || !bedrock_model(ir)->cache) {
        return;
    }

    node_read(marker);
    ttl = node_peek(t, marker, "ttl");
    out_item(o);
    out_z(o, "{\"cachePoint\":{\"type\":\"default\"");

    if (ttl != NULL && bedrock_model(ir)->cache_tools) {
        node_read(ttl);

        if (!node_is(ttl, "5m")) {
            out_key_z(o, "ttl", "1h");
        }
    }

    out_z(o, "}}");
}
