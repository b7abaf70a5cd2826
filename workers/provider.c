/*
 * What the dialects share: the table, edits of a request, reading counts.
 * Owns nothing.
 */

#include "provider.h"

#include <stdlib.h>
#include <string.h>

#include "ai_json.h"
#include "ai_sse.h"


const provider_t *
provider_find(ai_str_t api)
{
    if (ai_str_eqz(api, provider_openai.api)) {
        return &provider_openai;
    }

    if (ai_str_eqz(api, provider_anthropic.api)) {
        return &provider_anthropic;
    }

    return NULL;
}


const provider_t *
provider_of(ai_dialect_e dialect)
{
    return dialect == AI_DIALECT_ANTHROPIC ? &provider_anthropic
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


int64_t
provider_count(ai_str_t json, const char *path, int64_t otherwise)
{
    int64_t         n;
    ai_str_t        value;
    ai_json_type_e  type;

    if (ai_json_path(json, path, &value, &type) == 1 && type == AI_JSON_NUMBER
        && ai_json_int(value, &n) == 0 && n >= 0)
    {
        return n;
    }

    return otherwise;
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
    return memmem(s.data, s.len, word, strlen(word)) != NULL;
}
