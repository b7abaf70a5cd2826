/*
 * OpenAI's embeddings: a provider's own, and as clients ask for them where
 * their provider speaks another dialect.  Owns nothing; vectors lie in the
 * ir_t's tree.
 */

#include "dialect_embeddings.h"

#include <stdlib.h>
#include <string.h>

#include "dialect_openai.h"


#define EMBEDDINGS_FLOATS_MAX  (1024 * 1024)    /* of a vector */
#define EMBEDDINGS_NUMBER_MAX  48               /* bytes of one */


static int embeddings_read_request(ir_t *ir, node_t *body);
static int embeddings_input(ir_t *ir, node_t *input);
static int embeddings_is_tokens(ir_t *ir, node_t *n);
static int embeddings_write_answer(ir_t *ir, const ir_answer_t *a, out_t *out);
static int embeddings_no_event(ir_t *ir, const ir_event_t *e, out_t *out);
static int embeddings_floats(ir_t *ir, out_t *out, ai_str_t numbers);
static int embeddings_float(const char **at, const char *end,
    unsigned char bits[4]);
static void embeddings_base64(out_t *out, const unsigned char *p, size_t len);


const provider_t  provider_openai_embeddings = {
    .api = "openai",
    .op = "embeddings",
    .dialect = AI_DIALECT_OPENAI,
    .path = "/embeddings",
    .key_header = "Authorization: Bearer ",
    .mute = 1,
    .request = openai_request,
    .event = openai_event,
    .body = openai_body,
};

const dialect_t  dialect_embeddings = {
    .name = "embeddings",
    .task = "embeddings",
    .read_request = embeddings_read_request,
    .write_answer = embeddings_write_answer,
    .write_event = embeddings_no_event,
    .write_error = openai_write_error,
    .stream_type = "application/json",
};


static int
embeddings_read_request(ir_t *ir, node_t *body)
{
    node_t  *n;
    tree_t  *t;

    t = &ir->tree;
    (void) node_get(t, body, "model");
    n = node_get(t, body, "encoding_format");

    if (n != NULL && !node_is(n, "float") && !node_is(n, "base64")) {
        return ir_refuse(ir, "must be \"float\" or \"base64\".", n);
    }

    ir->base64 = node_is(n, "base64");
    ir_carry(ir, body, "dimensions", "dimensions");
    ir_carry(ir, body, "user", "user");

    n = node_get(t, body, "input");

    if (n == NULL) {
        return ir_refuse(ir, "The member \"input\" is missing.", NULL);
    }

    return embeddings_input(ir, n);
}


/* A text, texts, tokens, or lists of tokens. */

static int
embeddings_input(ir_t *ir, node_t *input)
{
    node_t  *all, *n, *part;
    tree_t  *t;

    t = &ir->tree;
    all = node_from(node_array(t), input);
    ir_set(ir, "input", all);

    if (input->type == AI_JSON_STRING || embeddings_is_tokens(ir, input)) {
        n = input;

    } else if (input->type == AI_JSON_ARRAY) {
        n = node_first(t, input);

    } else {
        return ir_refuse(ir, "must be a string or an array.", input);
    }

    for ( /* void */ ; n != NULL; n = n == input ? NULL : n->next) {

        if (++ir->inputs > EMBEDDINGS_MAX) {
            return ir_refuse(ir, "has more than 2048 elements.", input);
        }

        if (n->type == AI_JSON_STRING) {
            part = node_from(node_object(t), n);
            node_set(part, "type", node_z(t, "text"));
            node_set(part, "text", node_move(t, n));
            ir->input_bytes += n->text.len;
            node_add(all, part);

        } else if (embeddings_is_tokens(ir, n)) {
            node_add(all, node_move(t, n));

        } else {
            return ir_refuse(ir, "must be a text, or tokens.", n);
        }
    }

    return ir->inputs != 0 ? 0 : ir_refuse(ir, "must not be empty.", input);
}


static int
embeddings_is_tokens(ir_t *ir, node_t *n)
{
    node_t  *first;

    if (n->type != AI_JSON_ARRAY) {
        return 0;
    }

    first = node_first(&ir->tree, n);

    return first != NULL && first->type == AI_JSON_NUMBER;
}


node_t *
embeddings_texts(ir_t *ir)
{
    node_t  *n, *first;

    first = node_first(&ir->tree, node_get(&ir->tree, ir->request, "input"));

    for (n = first; n != NULL; n = n->next) {
        if (n->type != AI_JSON_OBJECT) {
            (void) ir_refuse(ir, "This model's provider takes texts, no "
                                 "tokens.", n);
            return NULL;
        }
    }

    return first;
}


int
embeddings_write_texts(ir_t *ir, out_t *o, const char *name)
{
    node_t  *part;

    part = embeddings_texts(ir);

    if (part == NULL) {
        return -1;
    }

    out_key(o, name);
    out_open(o, '[');

    for ( /* void */ ; part != NULL; part = part->next) {
        node_whole(part);
        out_item(o);
        out_node(o, &ir->tree, node_get(&ir->tree, part, "text"));
    }

    out_close(o, ']');

    return 0;
}


int
embeddings_start(ir_t *ir, node_t *model)
{
    ir_event_t  e;

    ir_event(&e, IR_START);
    e.id = ir->job;
    e.name = model != NULL ? node_text(model)
                           : text_encode(&ir->tree, ir->model);

    ir->vectors = tree_alloc(&ir->tree, (ir->inputs + 1) * sizeof(ai_str_t));

    return ir->vectors != NULL ? ir_emit(ir, &e) : -1;
}


int
embeddings_vector(ir_t *ir, node_t *numbers)
{
    if (numbers == NULL || numbers->type != AI_JSON_ARRAY
        || ir->nvectors == ir->inputs)
    {
        return -1;
    }

    node_whole(numbers);
    ir->vectors[ir->nvectors++] = numbers->text;

    return 0;
}


int
embeddings_end(ir_t *ir, int64_t tokens)
{
    ir_event_t  e;

    if (ir->nvectors != ir->inputs) {
        return -1;
    }

    ir->usage_now.input = tokens;
    ir->usage_now.output = 0;
    ir_event(&e, IR_END);

    return ir_emit(ir, &e);
}


int
embeddings_read(ir_t *ir, node_t *vectors, int64_t tokens)
{
    node_t  *n;

    n = node_first(&ir->tree, vectors);

    for ( /* void */ ; n != NULL; n = n->next) {
        if (embeddings_vector(ir, node_read(n)) != 0) {
            return -1;
        }
    }

    return embeddings_end(ir, tokens);
}


int
embeddings_no_stream(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text)
{
    (void) ir;
    (void) name;
    (void) data;
    (void) text;

    return -1;
}


static int
embeddings_write_answer(ir_t *ir, const ir_answer_t *a, out_t *o)
{
    int       rc;
    int64_t   tokens;
    unsigned  i;

    out_open(o, '{');
    out_key_z(o, "object", "list");
    out_key(o, "data");
    out_open(o, '[');
    rc = 0;

    for (i = 0; i < ir->nvectors && rc == 0; i++) {
        out_item(o);
        out_open(o, '{');
        out_key_z(o, "object", "embedding");
        out_key_int(o, "index", i);
        out_key(o, "embedding");

        if (ir->base64) {
            rc = embeddings_floats(ir, o, ir->vectors[i]);

        } else {
            out_add(o, ir->vectors[i]);
        }

        out_close(o, '}');
    }

    /* What the provider did not count is a guess, as it is in the ledger. */

    tokens = ir->usage_now.input >= 0 ? ir->usage_now.input
                                      : (int64_t) (ir->input_bytes + 3) / 4;

    out_close(o, ']');
    out_key_escaped(o, "model", a->model);
    out_key(o, "usage");
    out_open(o, '{');
    out_key_int(o, "prompt_tokens", tokens);
    out_key_int(o, "total_tokens", tokens);
    out_close(o, '}');
    out_close(o, '}');

    return rc;
}


static int
embeddings_no_event(ir_t *ir, const ir_event_t *e, out_t *out)
{
    (void) ir;
    (void) e;
    (void) out;

    return -1;
}


/* Numbers as they stand, as little-endian single floats in base64. */

static int
embeddings_floats(ir_t *ir, out_t *out, ai_str_t numbers)
{
    size_t          n, commas;
    const char     *p, *end;
    unsigned char  *bits;

    end = numbers.data + numbers.len;
    commas = 0;

    for (p = numbers.data; p < end; p++) {
        commas += *p == ',';
    }

    if (commas >= EMBEDDINGS_FLOATS_MAX) {
        return -1;
    }

    bits = tree_alloc(&ir->tree, (commas + 1) * 4);
    if (bits == NULL) {
        return -1;
    }

    p = numbers.data + 1;

    for (n = 0; n <= commas; n++) {
        if (embeddings_float(&p, end, bits + n * 4) != 0) {
            return -1;
        }
    }

    embeddings_base64(out, bits, (commas + 1) * 4);

    return 0;
}


static int
embeddings_float(const char **at, const char *end, unsigned char bits[4])
{
    char         text[EMBEDDINGS_NUMBER_MAX], *stop;
    float        f;
    size_t       len;
    uint32_t     word;
    const char  *p;

    for (p = *at; p < end && *p <= ' '; p++) {
        /* void */
    }

    for (len = 0; p + len < end && p[len] > ' ' && p[len] != ','
         && p[len] != ']'; len++)
    {
        /* void */
    }

    if (len == 0 || len >= sizeof(text)) {
        return -1;
    }

    memcpy(text, p, len);
    text[len] = '\0';
    f = strtof(text, &stop);

    if (*stop != '\0') {
        return -1;
    }

    for (p += len; p < end && *p <= ' '; p++) {
        /* void */
    }

    *at = p + 1;
    memcpy(&word, &f, sizeof(word));
    bits[0] = (unsigned char) word;
    bits[1] = (unsigned char) (word >> 8);
    bits[2] = (unsigned char) (word >> 16);
    bits[3] = (unsigned char) (word >> 24);

    return 0;
}


static void
embeddings_base64(out_t *out, const unsigned char *p, size_t len)
{
    char       quad[4];
    size_t     i, n;
    uint32_t   v;

    static const char  letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789+/";

    out_z(out, "\"");

    for (i = 0; i < len; i += 3) {
        n = len - i < 3 ? len - i : 3;
        v = (uint32_t) p[i] << 16;
        v |= n > 1 ? (uint32_t) p[i + 1] << 8 : 0;
        v |= n > 2 ? p[i + 2] : 0;

        quad[0] = letters[v >> 18];
        quad[1] = letters[v >> 12 & 63];
        quad[2] = n > 1 ? letters[v >> 6 & 63] : '=';
        quad[3] = n > 2 ? letters[v & 63] : '=';
        out_add(out, (ai_str_t) { sizeof(quad), quad });
    }

    out_z(out, "\"");
}
