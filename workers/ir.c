/*
 * What dialects share in the intermediate form: the registry, notes, parts,
 * arguments, words.  Owns nothing; all lies in the ir_t's trees.
 */

#include "ir_in.h"

#include <string.h>


/* Adding a dialect: its file, and its line here and in ir.h. */
static const dialect_t *const  dialects[] = {
    &dialect_openai,
    &dialect_anthropic,
    &dialect_gemini,
    &dialect_vertex,
    &dialect_ollama,
    &dialect_cohere,
    &dialect_bedrock,
    &dialect_responses,
    &dialect_completions,
    &dialect_count,
    &dialect_gemini_count,
    &dialect_vertex_count,
    &dialect_embeddings,
    &dialect_gemini_embeddings,
    &dialect_vertex_embeddings,
    &dialect_ollama_embeddings,
    &dialect_cohere_embeddings,
};

#define DIALECTS  (sizeof(dialects) / sizeof(dialects[0]))


static int ir_ignored(const char *pattern, const node_t *n);
static void ir_note_text(ir_t *ir, ai_str_t text);


const dialect_t *
dialect_at(unsigned i)
{
    return i < DIALECTS ? dialects[i] : NULL;
}


const dialect_t *
dialect_find(const char *name)
{
    unsigned  i;

    for (i = 0; i < DIALECTS; i++) {
        if (strcmp(dialects[i]->name, name) == 0) {
            return dialects[i];
        }
    }

    return NULL;
}


/* Requests. */

void
ir_set(ir_t *ir, const char *name, node_t *value)
{
    node_set(ir->request, name, value);
}


void
ir_carry(ir_t *ir, node_t *body, const char *from, const char *to)
{
    node_set(ir->request, to, node_move(&ir->tree,
                                        node_get(&ir->tree, body, from)));
}


node_t *
ir_message(ir_t *ir, const char *role, const node_t *origin)
{
    node_t  *message, *all;

    all = node_peek(&ir->tree, ir->request, "messages");

    if (all == NULL) {
        all = node_array(&ir->tree);
        ir_set(ir, "messages", all);
    }

    message = node_from(node_object(&ir->tree), origin);
    node_set(message, "role", node_z(&ir->tree, role));
    node_set(message, "parts", node_array(&ir->tree));

    return node_add(all, message);
}


node_t *
ir_part(ir_t *ir, node_t *message, const char *type, const node_t *origin)
{
    node_t  *part;

    part = node_from(node_object(&ir->tree), origin);
    node_set(part, "type", node_z(&ir->tree, type));

    return node_add(node_peek(&ir->tree, message, "parts"), part);
}


int
ir_is(ir_t *ir, node_t *part, const char *type)
{
    return node_get_is(&ir->tree, part, "type", type);
}


int
ir_data_url(ai_str_t url, ai_str_t *media_type, ai_str_t *data)
{
    const char  *comma, *end;

    if (url.len < 5 || memcmp(url.data, "data:", 5) != 0) {
        return 0;
    }

    comma = memchr(url.data, ',', url.len);

    if (comma == NULL || comma - url.data < 12
        || memcmp(comma - 7, ";base64", 7) != 0)
    {
        return 0;
    }

    for (end = url.data + 5; *end != ';'; end++) {
        /* void */
    }

    *media_type = (ai_str_t) { (size_t) (end - url.data) - 5, url.data + 5 };
    *data = (ai_str_t) { url.len - (size_t) (comma - url.data) - 1, comma + 1 };

    return 1;
}


/* Arguments. */

void
ir_arguments_string(ir_t *ir, out_t *out, node_t *arguments)
{
    out_t  text;

    if (arguments == NULL) {
        out_z(out, "\"{}\"");
        return;
    }

    node_whole(arguments);

    if (arguments->type == AI_JSON_STRING) {
        out_escaped(out, arguments->text);
        return;
    }

    memset(&text, 0, sizeof(text));
    out_node(&text, &ir->tree, arguments);
    out->failed |= text.failed;
    out_bytes(out, (ai_str_t) { text.len, text.data });
    out_free(&text);
}


static int
ir_object_text(ir_t *ir, ai_str_t escaped, ai_str_t *object)
{
    ai_json_t    j;
    ai_str_t     text;
    const char  *p;

    text = text_decode(&ir->tree, escaped);

    for (p = text.data; p < text.data + text.len && *p <= ' '; p++) {
        /* void */
    }

    if (p == text.data + text.len) {
        *object = ai_str("{}");
        return 1;
    }

    *object = text;

    return ai_json_scan(&j, NULL, text, TREE_TEXT_MAX, TREE_DEPTH_MAX)
           == AI_JSON_OK;
}


int
ir_arguments_object(ir_t *ir, out_t *out, node_t *arguments)
{
    ai_str_t  object;

    node_whole(arguments);

    if (arguments == NULL) {
        out_z(out, "{}");
        return 1;
    }

    if (arguments->type == AI_JSON_OBJECT) {
        out_node(out, &ir->tree, arguments);
        return 1;
    }

    if (arguments->type == AI_JSON_STRING
        && ir_object_text(ir, arguments->text, &object))
    {
        out_add(out, object);
        return 1;
    }

    ir_note(ir, arguments, "is not a JSON object");
    out_z(out, "{\"arguments\":");
    out_node(out, &ir->tree, arguments);
    out_z(out, "}");

    return 0;
}


void
ir_text_object(ir_t *ir, out_t *out, ai_str_t text)
{
    ai_str_t  object;

    if (ir_object_text(ir, text, &object)) {
        out_add(out, object);
        return;
    }

    out_z(out, "{\"arguments\":");
    out_escaped(out, text);
    out_z(out, "}");
}


/* What is left out. */

static void
ir_note_text(ir_t *ir, ai_str_t text)
{
    const char  *p, *end;

    if (text.len == 0 || ir->nnotes > IR_NOTES_MAX) {
        return;
    }

    /* Said once. */

    p = ir->notes;
    end = ir->notes + ir->notes_len;

    while ((p = memmem(p, (size_t) (end - p), text.data, text.len)) != NULL) {

        if ((p == ir->notes || p[-1] == ' ')
            && (p + text.len == end || p[text.len] == ','))
        {
            return;
        }

        p++;
    }

    ir->nnotes++;

    if (ir->nnotes > IR_NOTES_MAX
        || ir->notes_len + text.len + 2 > IR_NOTES_BYTES - 16)
    {
        ir->nnotes = IR_NOTES_MAX + 1;
        text = ai_str("and more");
    }

    if (ir->notes_len != 0) {
        memcpy(ir->notes + ir->notes_len, ", ", 2);
        ir->notes_len += 2;
    }

    memcpy(ir->notes + ir->notes_len, text.data, text.len);
    ir->notes_len += text.len;
}


void
ir_note(ir_t *ir, const node_t *where, const char *what)
{
    char      text[IR_NOTE_MAX];
    ai_buf_t  b;

    ai_buf_init(&b, text, sizeof(text));

    if (where != NULL) {
        node_path(&b, where);
    }

    if (what != NULL && (where == NULL || ai_buf_len(&b) == 0)) {
        ai_buf_add_z(&b, what);

    } else if (what != NULL) {
        ai_buf_add_z(&b, " (");
        ai_buf_add_z(&b, what);
        ai_buf_add_z(&b, ")");
    }

    ir_note_text(ir, (ai_str_t) { ai_buf_len(&b), text });
}


int
ir_refuse(ir_t *ir, const char *why, const node_t *where)
{
    char      text[IR_NOTE_MAX];
    ai_buf_t  b;

    ai_buf_init(&b, text, sizeof(text));

    if (where != NULL) {
        node_path(&b, where);
        ai_buf_add_z(&b, ": ");
    }

    ai_buf_add_z(&b, why);
    ir->notes_len = 0;
    ir->nnotes = 0;
    ir->refused = 1;
    ir_note_text(ir, (ai_str_t) { ai_buf_len(&b), text });

    return -1;
}


static int
ir_on_unread(const node_t *n, void *data)
{
    ir_t  *ir;

    ir = data;
    ir_note(ir, n, NULL);

    return ir->nnotes > IR_NOTES_MAX;
}


void
ir_unread(ir_t *ir, tree_t *t, node_t *n)
{
    (void) node_unread(t, n, ir_on_unread, ir);
}


void
ir_extra(ir_t *ir, node_t *body)
{
    node_t             *n, *all, *own;
    const char *const  *p;

    own = NULL;

    for (p = ir->provider->extra; p != NULL && *p != NULL; p++) {
        n = node_peek(&ir->tree, body, *p);

        if (n == NULL || n->read || n->type == AI_JSON_NULL) {
            continue;
        }

        if (own == NULL) {
            own = node_object(&ir->tree);
            all = node_object(&ir->tree);
            node_set(all, ir->provider->name, own);
            ir_set(ir, "extra", all);
        }

        node_set(own, *p, node_move(&ir->tree, n));
    }
}


/* From the end of a path to its top: "*" is any element of an array. */

static int
ir_ignored(const char *pattern, const node_t *n)
{
    size_t       len;
    const char  *p, *end;

    end = pattern + strlen(pattern);

    for ( ;; ) {

        if (n->parent == NULL) {
            return 0;
        }

        for (p = end; p > pattern && p[-1] != '.'; p--) {
            /* void */
        }

        len = (size_t) (end - p);

        if (n->parent->type == AI_JSON_ARRAY ? len != 1 || *p != '*'
            : len != n->key.len || memcmp(p, n->key.data, len) != 0)
        {
            return 0;
        }

        n = n->parent;

        if (p == pattern) {
            return n->parent == NULL;
        }

        end = p - 1;
    }
}


static int
ir_on_unknown(const node_t *n, void *data)
{
    ir_t               *ir;
    const char *const  *p;

    ir = data;

    for (p = ir->provider->ignore; p != NULL && *p != NULL; p++) {
        if (ir_ignored(*p, n)) {
            return 0;
        }
    }

    ir_note(ir, n, NULL);

    return ir->nnotes > IR_NOTES_MAX;
}


void
ir_unknown(ir_t *ir, tree_t *t, node_t *n)
{
    (void) node_unread(t, n, ir_on_unknown, ir);
}


/* Words. */

ir_finish_e
ir_finish(const ir_word_t *words, const node_t *n)
{
    for ( /* void */ ; words->word != NULL; words++) {
        if (node_is(n, words->word)) {
            return words->finish;
        }
    }

    return IR_FINISH_OTHER;
}


const char *
ir_word(const ir_word_t *words, ir_finish_e finish)
{
    const char  *first;

    first = words->word;

    for ( /* void */ ; words->word != NULL; words++) {
        if (words->finish == finish) {
            return words->word;
        }
    }

    return first;
}


const char *
ir_cause(int status)
{
    switch (status) {

    case 401:
        return "unauthenticated";

    case 403:
        return "forbidden";

    case 404:
        return "not_found";

    case 408:
        return "timeout_request";

    case 409:
        return "conflict";

    case 413:
        return "too_large";

    case 415:
        return "media_type";

    case 429:
        return "rate_limited";

    case 502:
        return "bad_gateway";

    case 503:
    case 529:
        return "unavailable";

    case 504:
        return "provider_timeout";

    default:
        return status < 500 ? "bad_request" : "internal";
    }
}


void
ir_usage_init(ir_usage_t *u)
{
    memset(u, 0xFF, sizeof(*u));
}


void
ir_sse_begin(out_t *out, const char *event)
{
    if (event != NULL) {
        out_z(out, "event: ");
        out_z(out, event);
        out_z(out, "\n");
    }

    out_z(out, "data: ");
}


void
ir_sse_end(out_t *out)
{
    out_z(out, "\n\n");
}
