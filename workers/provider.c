/*
 * What the dialects share: the table, edits of a request, reading counts.
 * Owns nothing.
 */

#include "provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai_json.h"
#include "ai_sse.h"
#include "node.h"


static size_t provider_version(const char *p, size_t len);


static const provider_t *const  providers[] = {
    &provider_openai,
    &provider_anthropic,
    &provider_responses,
    &provider_azure,
    &provider_openai_embeddings,
    &provider_openai_completions,
    &provider_azure_embeddings,
    &provider_azure_completions,
    &provider_anthropic_count,
    &provider_gemini_count,
    &provider_vertex_count,
    &provider_gemini_embeddings,
    &provider_vertex_embeddings,
    &provider_ollama_embeddings,
    &provider_cohere_embeddings,
    &provider_gemini,
    &provider_vertex,
    &provider_ollama,
    &provider_cohere,
    &provider_bedrock,
    NULL
};


const provider_t *
provider_find(ai_str_t api)
{
    unsigned  i;

    for (i = 0; providers[i] != NULL; i++) {
        if (providers[i]->op == NULL && ai_str_eqz(api, providers[i]->api)) {
            break;
        }
    }

    return providers[i];
}


const provider_t *
provider_for(ai_str_t api, ai_str_t op)
{
    unsigned  i;

    for (i = 0; providers[i] != NULL; i++) {
        if (providers[i]->op != NULL && ai_str_eqz(op, providers[i]->op)
            && ai_str_eqz(api, providers[i]->api))
        {
            return providers[i];
        }
    }

    return provider_find(api);
}


int
provider_same(const provider_t *p, ai_dialect_e dialect, ai_str_t op)
{
    if (p->dialect != dialect) {
        return 0;
    }

    return p->op != NULL ? ai_str_eqz(op, p->op)
                         : !ai_str_eqz(op, "embeddings")
                           && !ai_str_eqz(op, "completions")
                           && !ai_str_eqz(op, "count_tokens");
}


const provider_t *
provider_of(ai_dialect_e dialect)
{
    return dialect == AI_DIALECT_ANTHROPIC ? &provider_anthropic
           : dialect == AI_DIALECT_RESPONSES ? &provider_responses
           : &provider_openai;
}


void
provider_usage_init(provider_usage_t *u)
{
    memset(u, 0, sizeof(*u));
    u->input = -1;
    u->output = -1;
    u->cached_read = -1;
    u->cached_write = -1;
    u->reasoning = -1;
    u->cached_write_1h = -1;
    u->audio_input = -1;
    u->audio_output = -1;
    u->image_input = -1;
    u->image_output = -1;
}


char *
provider_apply(ai_str_t body, const provider_edit_t *edits, unsigned n,
    size_t *len)
{
    char      *out, *p;
    size_t     size, at;
    unsigned   i;

    size = body.len;

    for (i = 0; i < n; i++) {
        size += edits[i].len;
        size -= edits[i].end - edits[i].start;
    }

    out = malloc(size + 1);
    if (out == NULL) {
        return NULL;
    }

    p = out;
    at = 0;

    for (i = 0; i < n; i++) {
        memcpy(p, body.data + at, edits[i].start - at);
        p += edits[i].start - at;
        memcpy(p, edits[i].text, edits[i].len);
        p += edits[i].len;
        at = edits[i].end;
    }

    memcpy(p, body.data + at, body.len - at);
    *len = size;

    return out;
}


int
provider_edit_model(provider_edit_t *e, ai_str_t body, size_t start,
    size_t end, ai_str_t model)
{
    ai_buf_t  b;

    ai_buf_init(&b, e->text, sizeof(e->text));
    ai_buf_add_z(&b, "\"");
    ai_buf_add_json(&b, model);
    ai_buf_add_z(&b, "\"");

    e->start = start;
    e->end = end;
    e->len = ai_buf_len(&b);

    return e->len != end - start
           || memcmp(e->text, body.data + start, e->len) != 0;
}


/* "/v1", "/v1beta": the length of the one that a base ends in, or that a path
 * begins with. */

static size_t
provider_version(const char *p, size_t len)
{
    size_t  i;

    if (len < 3 || p[0] != '/' || p[1] != 'v' || p[2] < '1' || p[2] > '9') {
        return 0;
    }

    for (i = 3; i < len && p[i] != '/'; i++) {
        if ((p[i] < '0' || p[i] > '9') && (p[i] < 'a' || p[i] > 'z')) {
            return 0;
        }
    }

    return i;
}


int
provider_url(ai_buf_t *b, const provider_t *p, const provider_place_t *place,
    ai_str_t query)
{
    int               rc;
    char              path[PROVIDER_PATH_MAX];
    size_t            skip;
    ai_buf_t          to;
    ai_str_t          base, rest;
    const char       *mark, *slash;
    provider_place_t  at;

    base = place->base;
    rest = ai_str("");
    mark = memchr(base.data, '?', base.len);

    if (mark != NULL) {
        base.len = (size_t) (mark - base.data);
        rest = (ai_str_t) { place->base.len - base.len - 1, mark + 1 };
    }

    ai_buf_init(&to, path, sizeof(path));
    rc = 0;

    if (p->place != NULL) {
        at = *place;
        at.path = p->path;
        rc = p->place(&to, &at);

    } else {
        ai_buf_add_z(&to, p->path);
    }

    ai_buf_add_str(b, base);
    slash = memrchr(base.data, '/', base.len);
    skip = 0;

    if (slash != NULL
        && provider_version(slash, base.len - (size_t) (slash - base.data)))
    {
        skip = provider_version(path, ai_buf_len(&to));
    }

    ai_buf_add(b, path + skip, ai_buf_len(&to) - skip);
    mark = memchr(path, '?', ai_buf_len(&to));

    if (rest.len != 0) {
        ai_buf_add_z(b, mark != NULL ? "&" : "?");
        ai_buf_add_str(b, rest);
    }

    if (query.len != 0) {
        ai_buf_add_z(b, mark != NULL || rest.len != 0 ? "&" : "?");
        ai_buf_add_str(b, query);
    }

    b->full |= to.full;

    return rc;
}


int
provider_escape(ai_buf_t *b, ai_str_t name, const char *also)
{
    char         code[4];
    size_t       i, from;
    const char  *p;

    from = 0;

    for (i = 0; i <= name.len; i++) {

        if (i != name.len && name.data[i] != '/' && name.data[i] != '\\') {
            continue;
        }

        p = name.data + from;

        if ((i - from == 1 && p[0] == '.')
            || (i - from == 2 && p[0] == '.' && p[1] == '.'))
        {
            return -1;
        }

        from = i + 1;
    }

    for (i = 0; i < name.len; i++) {
        p = name.data + i;

        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
            || (*p >= '0' && *p <= '9')
            || (*p != '\0' && (strchr("-._~", *p) != NULL
                               || strchr(also, *p) != NULL)))
        {
            ai_buf_add(b, p, 1);
            continue;
        }

        (void) snprintf(code, sizeof(code), "%%%02X", (unsigned char) *p);
        ai_buf_add_z(b, code);
    }

    return name.len != 0 ? 0 : -1;
}


int64_t
provider_count(ai_str_t json, const char *path, int64_t otherwise)
{
    int64_t         n;
    ai_str_t        value;
    ai_json_type_e  type;

    if (ai_json_path(json, path, &value, &type) == 1 && type == AI_JSON_NUMBER
        && ai_json_int(value, &n) == 0 && n >= 0 && n <= NODE_COUNT_MAX)
    {
        return n;
    }

    return otherwise;
}


int64_t
provider_output(int64_t input, int64_t output, int64_t reasoning,
    int64_t total)
{
    return input >= 0 && output >= 0 && reasoning > 0
           && total == input + output + reasoning ? output + reasoning
                                                  : output;
}


int
provider_word(ai_str_t json, const char *path, char *buf, size_t size)
{
    size_t          n;
    ai_str_t        value;
    ai_json_type_e  type;

    if (ai_json_path(json, path, &value, &type) != 1
        || type != AI_JSON_STRING || value.len < 2)
    {
        return 0;
    }

    n = value.len - 2 < size - 1 ? value.len - 2 : size - 1;
    memcpy(buf, value.data + 1, n);
    buf[n] = '\0';

    return 1;
}


size_t
provider_text(ai_str_t json, const char *path)
{
    ai_str_t        value;
    ai_json_type_e  type;

    if (ai_json_path(json, path, &value, &type) != 1
        || type != AI_JSON_STRING || value.len < 2)
    {
        return 0;
    }

    return value.len - 2;
}


int
provider_data(ai_str_t raw, ai_str_t *event, ai_str_t *data)
{
    char  buf[1];

    *event = ai_str("");
    *data = ai_str("");

    return ai_sse_fields(raw, event, data, buf, 0) == 1;
}


int
provider_has(ai_str_t s, const char *word)
{
    return s.len != 0 && memmem(s.data, s.len, word, strlen(word)) != NULL;
}
