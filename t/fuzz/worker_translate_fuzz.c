/*
 * Translation: any bytes as a request, an answer, both, or a stream of one
 * dialect become JSON, or events of JSON, of another, or are refused.
 */

#include "ai_fuzz.h"

#include "../unit/worker_frame.h"
#include "ai_sse.h"
#include "translate.h"


static void
json(ai_str_t text)
{
    static ai_json_t  j;

    must(ai_json_scan(&j, NULL, text, 1 << 28, 0) == AI_JSON_OK);
}


/* What the client gets is whole events, whatever came. */

static void
events(ai_sse_t *s, ai_str_t text)
{
    char      buf[1];
    ai_str_t  raw, name, data;

    if (text.len == 0) {
        return;
    }

    must(ai_sse_feed(s, text.data, text.len) == 0);

    while (ai_sse_next(s, &raw)) {
        if (ai_sse_fields(raw, &name, &data, buf, 0) == 1
            && !ai_str_eqz(data, "[DONE]"))
        {
            json(data);
        }
    }
}


static void
stream(translate_t *t, ai_str_t text, size_t cut)
{
    int                rc;
    size_t             n;
    ai_sse_t           s;
    ai_str_t           out;
    provider_usage_t   u;

    ai_sse_init(&s, 1 << 26);
    rc = 0;

    while (text.len != 0 && rc == 0) {
        n = text.len < cut ? text.len : cut;
        rc = translate_bytes(t, (ai_str_t) { n, text.data }, &out);
        events(&s, out);
        text.data += n;
        text.len -= n;
    }

    if (rc == 0) {
        must(translate_end(t, &out) <= 1);
        events(&s, out);
        must(ai_sse_rest(&s, &out) == 0);
    }

    translate_usage(t, &u);
    must(memchr(u.finish, '\0', sizeof(u.finish)) != NULL);
    ai_sse_free(&s);
}


/* Lines "<type> <payload>" as frames whose lengths and CRCs are right. */

static char *
frames(ai_str_t *text)
{
    char         headers[FRAME_HEADERS_MAX], type[64], *buf;
    size_t       len, n, at;
    const char  *p, *end, *line, *blank;

    end = text->data + text->len;
    n = 1;

    for (p = text->data; p < end; p++) {
        n += *p == '\n';
    }

    buf = malloc(text->len + n * (16 + FRAME_HEADERS_MAX));
    must(buf != NULL);
    at = 0;

    for (p = text->data; p < end; p = line + 1) {
        line = memchr(p, '\n', (size_t) (end - p));
        line = line != NULL ? line : end;
        blank = memchr(p, ' ', (size_t) (line - p));

        if (blank == NULL || (size_t) (blank - p) >= sizeof(type)) {
            continue;
        }

        len = (size_t) (blank - p);
        memcpy(type, p, len);
        type[len] = '\0';
        n = frame_headers(headers, strstr(type, "Exception") != NULL
                                   ? "exception" : "event", type);
        at += frame_put(buf + at, headers, n, blank + 1,
                        (size_t) (line - blank - 1));
    }

    *text = (ai_str_t) { at, buf };

    return buf;
}


/* A request and, behind a null byte, its answer. */

static void
both(translate_t *t, ai_str_t text, int status)
{
    char        *out;
    size_t       len;
    ai_str_t     answer;
    const char  *cut;

    cut = memchr(text.data, '\0', text.len);

    if (cut == NULL) {
        return;
    }

    answer.data = cut + 1;
    answer.len = text.len - (size_t) (cut + 1 - text.data);
    text.len = (size_t) (cut - text.data);

    if (translate_request(t, text, &out, &len) != 0) {
        return;
    }

    json((ai_str_t) { len, out });
    free(out);

    if (translate_answer(t, status, answer) == 0) {
        json(translate_said(t));
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char              *out, *framed;
    size_t             len;
    unsigned           from, to, n;
    ai_str_t           text;
    translate_t       *t;
    translate_call_t   call;

    if (size < 3) {
        return 0;
    }

    for (n = 0; dialect_at(n) != NULL; n++) {
        /* void */
    }

    from = data[0] % n;
    to = data[1] % n;

    memset(&call, 0, sizeof(call));
    call.client = dialect_at(from);
    call.provider = dialect_at(to);
    call.model = ai_str("mo\"del");
    call.job = ai_str("job_1");
    call.stream = data[2] & 1;
    call.usage = data[2] >> 1 & 1;
    call.ask_usage = data[2] >> 2 & 1;
    call.official = data[2] >> 3 & 1;
    text = (ai_str_t) { size - 3, (const char *) data + 3 };
    t = translate_open(&call);

    if (t == NULL) {
        return 0;
    }

    switch (data[2] >> 4 & 3) {

    case 0:
        if (translate_request(t, text, &out, &len) == 0) {
            json((ai_str_t) { len, out });
            free(out);

        } else {
            must(translate_why(t)[0] != '\0');
        }
        break;

    case 1:
        if (translate_answer(t, data[2] & 64 ? 200 : 400, text) == 0) {
            json(translate_said(t));
        }
        break;

    case 3:
        both(t, text, data[2] & 64 ? 200 : 400);
        break;

    default:
        framed = call.provider == &dialect_bedrock && (data[2] & 64)
                 ? frames(&text) : NULL;
        stream(t, text, data[2] & 128 ? 1 << 20 : 7);
        free(framed);
    }

    translate_close(t);

    return 0;
}
