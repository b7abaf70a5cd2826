/*
 * Mock provider: options, HTTP/1.x requests and what a body asks for.
 * Works on the connection's input buffer and owns nothing.
 */

#define _GNU_SOURCE

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mock.h"


typedef struct {
    const char   *name;
    size_t        offset;
    uint32_t      max;
    uint32_t      absent;       /* value of the name alone */
} mock_opt_t;

#define opt(name, max, absent)                                                \
    { #name, offsetof(mock_opts_t, name), max, absent }

static const mock_opt_t  mock_opt_table[] = {
    opt(chunks, MOCK_MAX_CHUNKS, 1),
    opt(bytes, MOCK_MAX_BYTES, MOCK_MARK_LEN),
    opt(status, 599, 500),
    opt(retry_after, 86400, 1),
    opt(header, MOCK_MAX_LINE, 1024 * 1024),
    opt(line, MOCK_MAX_LINE, 10 * 1024 * 1024),
    opt(stall, MOCK_MAX_CHUNKS, 0),
    opt(cut, MOCK_MAX_CHUNKS, 0),
    opt(rst, MOCK_MAX_CHUNKS, 0),
    opt(error, MOCK_MAX_CHUNKS, 0),
    opt(malformed, MOCK_MAX_CHUNKS, 0),
    { NULL, 0, 0, 0 }
};


enum {
    CHUNK_SIZE = 0,
    CHUNK_DATA,
    CHUNK_DATA_END,
    CHUNK_TRAILER
};


static const char *mock_opt_set(mock_opts_t *o, const char *p, size_t name_len,
    const char *value, size_t value_len);
static int mock_number(const char *p, size_t len, double max, double *out);
static void mock_request_target(mock_request_t *req, const char *p,
    size_t len);
static int mock_request_field(mock_request_t *req, const char *name,
    size_t name_len, const char *value, size_t value_len);
static mock_rc_e mock_request_chunked(mock_conn_t *c, size_t *used);
static void mock_request_facts(mock_request_t *req, const char *p, size_t len);
static const char *mock_json_string_end(const char *p, const char *end);


void
mock_opts_init(mock_opts_t *o)
{
    memset(o, 0, sizeof(*o));

    o->chunks = 16;
    o->bytes = MOCK_MARK_LEN;
    o->status = 200;
    o->retry_after = 1;
    o->stall = MOCK_NEVER;
    o->cut = MOCK_NEVER;
    o->rst = MOCK_NEVER;
    o->error = MOCK_NEVER;
    o->malformed = MOCK_NEVER;
    o->done = 1;
    o->usage = 1;
}


const char *
mock_opts_parse(mock_opts_t *o, const char *p, size_t len)
{
    size_t       n, name_len;
    const char  *end, *eq, *problem;

    while (len > 0) {
        end = memchr(p, ',', len);
        n = end ? (size_t) (end - p) : len;

        eq = memchr(p, '=', n);
        name_len = eq ? (size_t) (eq - p) : n;

        if (n > 0) {
            problem = mock_opt_set(o, p, name_len, eq ? eq + 1 : NULL,
                                   eq ? n - name_len - 1 : 0);
            if (problem != NULL) {
                return problem;
            }
        }

        if (end == NULL) {
            break;
        }

        p = end + 1;
        len -= n + 1;
    }

    return NULL;
}


static const char *
mock_opt_set(mock_opts_t *o, const char *p, size_t name_len, const char *value,
    size_t value_len)
{
    double             v;
    const mock_opt_t  *t;

#define named(s)  (name_len == sizeof(s) - 1 && memcmp(p, s, name_len) == 0)

    if (named("no_done")) {
        o->done = 0;
        return NULL;
    }

    if (named("no_usage")) {
        o->usage = 0;
        return NULL;
    }

    if (named("ttft") || named("interval") || named("drip")) {
        v = 1000;

        if (value != NULL
            && mock_number(value, value_len, MOCK_MAX_MS, &v) != 0)
        {
            return "not a time in milliseconds";
        }

        v *= 1e6;

        if (named("ttft")) {
            o->ttft_ns = (uint64_t) v;

        } else if (named("interval")) {
            o->interval_ns = (uint64_t) v;

        } else {
            o->drip_ns = (uint64_t) v;
        }

        return NULL;
    }

    for (t = mock_opt_table; t->name != NULL; t++) {

        if (strlen(t->name) != name_len || memcmp(p, t->name, name_len) != 0) {
            continue;
        }

        v = t->absent;

        if (value != NULL && mock_number(value, value_len, t->max, &v) != 0) {
            return "not a number within the option's bound";
        }

        *(uint32_t *) (void *) ((char *) o + t->offset) = (uint32_t) v;

        return o->status < 200 ? "not a final status" : NULL;
    }

#undef named

    return "unknown option";
}


static int
mock_number(const char *p, size_t len, double max, double *out)
{
    char   buf[24], *end;
    double v;

    if (len == 0 || len >= sizeof(buf)
        || strspn(p, "0123456789.") < len)
    {
        return -1;
    }

    memcpy(buf, p, len);
    buf[len] = '\0';

    v = strtod(buf, &end);

    if (*end != '\0' || v > max) {
        return -1;
    }

    *out = v;

    return 0;
}


mock_rc_e
mock_request_header(mock_conn_t *c, const mock_opts_t *defaults)
{
    size_t           n, len;
    const char      *p, *end, *line, *eol, *sp, *colon;
    mock_request_t  *req = &c->req;

    p = c->in.data;
    len = c->in.len;

    end = len ? memmem(p, len, "\r\n\r\n", 4) : NULL;

    if (end == NULL) {
        return len >= MOCK_MAX_HEADER ? MOCK_ERROR : MOCK_AGAIN;
    }

    memset(req, 0, offsetof(mock_request_t, model));
    req->opts = *defaults;
    req->header_len = (size_t) (end + 4 - p);

    if (req->header_len > MOCK_MAX_HEADER) {
        return MOCK_ERROR;
    }

    eol = memchr(p, '\r', req->header_len);
    sp = memchr(p, ' ', (size_t) (eol - p));

    if (sp == NULL || eol - sp < 10) {
        return MOCK_ERROR;
    }

    n = (size_t) (eol - sp - 1) - (sizeof(" HTTP/1.1") - 1);

    if (memcmp(eol - 9, " HTTP/1.", 8) != 0 || sp[1] != '/') {
        return MOCK_ERROR;
    }

    req->http10 = (eol[-1] == '0');
    req->keepalive = !req->http10;

    mock_request_target(req, sp + 1, n);

    for (line = eol + 2; line < end + 2; line = eol + 2) {
        eol = memchr(line, '\r', (size_t) (end + 2 - line));
        colon = memchr(line, ':', (size_t) (eol - line));

        if (colon == NULL || eol[1] != '\n') {
            return MOCK_ERROR;
        }

        n = (size_t) (colon - line);

        do {
            colon++;
        } while (colon < eol && *colon == ' ');

        if (mock_request_field(req, line, n, colon, (size_t) (eol - colon))
            != 0)
        {
            return MOCK_ERROR;
        }
    }

    return MOCK_OK;
}


static void
mock_request_target(mock_request_t *req, const char *p, size_t len)
{
    size_t       n;
    const char  *slash, *query;

    query = memchr(p, '?', len);

    if (query != NULL) {
        len = (size_t) (query - p);
    }

    if (len > 6 && memcmp(p, "/with/", 6) == 0) {
        p += 6;
        len -= 6;

        slash = memchr(p, '/', len);
        n = slash ? (size_t) (slash - p) : len;

        req->refusal = mock_opts_parse(&req->opts, p, n);

        p += n;
        len -= n;
    }

#define ends(s)                                                               \
    (len >= sizeof(s) - 1                                                     \
     && memcmp(p + len - (sizeof(s) - 1), s, sizeof(s) - 1) == 0)

    if (ends("/chat/completions")) {
        req->api = MOCK_OPENAI;

    } else if (ends("/messages")) {
        req->api = MOCK_ANTHROPIC;

    } else if (ends("/models")) {
        req->api = MOCK_MODELS;

    } else if (len == 6 && ends("/stats")) {
        req->api = MOCK_STATS;
    }

#undef ends
}


static int
mock_request_field(mock_request_t *req, const char *name, size_t name_len,
    const char *value, size_t value_len)
{
    double  v;

#define named(s)                                                              \
    (name_len == sizeof(s) - 1 && strncasecmp(name, s, name_len) == 0)
#define valued(s)                                                             \
    (value_len == sizeof(s) - 1 && strncasecmp(value, s, value_len) == 0)

    if (named("content-length")) {

        if (mock_number(value, value_len, MOCK_MAX_BODY, &v) != 0) {
            return -1;
        }

        req->body_len = (size_t) v;

    } else if (named("transfer-encoding")) {

        if (!valued("chunked")) {
            return -1;
        }

        req->chunked = 1;

    } else if (named("connection")) {

        if (valued("close")) {
            req->keepalive = 0;

        } else if (valued("keep-alive")) {
            req->keepalive = 1;
        }

    } else if (named("expect")) {
        req->expect = valued("100-continue");

    } else if (named("x-mock") && req->refusal == NULL) {
        req->refusal = mock_opts_parse(&req->opts, value, value_len);
    }

#undef named
#undef valued

    return 0;
}


mock_rc_e
mock_request_body(mock_conn_t *c, size_t *used)
{
    mock_rc_e        rc;
    mock_request_t  *req = &c->req;

    if (req->chunked) {
        rc = mock_request_chunked(c, used);

        if (rc != MOCK_OK) {
            return rc;
        }

    } else {

        if (c->in.len - req->header_len < req->body_len) {
            return MOCK_AGAIN;
        }

        *used = req->header_len + req->body_len;
    }

    mock_request_facts(req, c->in.data + req->header_len, req->body_len);

    return MOCK_OK;
}


/*
 * Decodes in place.  c->in.pos is the first byte that is not decoded yet;
 * body_len bytes of content lie behind the header.
 */

static mock_rc_e
mock_request_chunked(mock_conn_t *c, size_t *used)
{
    char            *eol, *p, *end;
    size_t           n, size;
    mock_request_t  *req = &c->req;

    if (c->in.pos < req->header_len) {
        c->in.pos = req->header_len;
        req->body_len = 0;
        req->chunk_step = CHUNK_SIZE;
    }

    for ( ;; ) {
        p = c->in.data + c->in.pos;
        n = c->in.len - c->in.pos;

        if (req->chunk_step == CHUNK_DATA) {
            size = n < req->chunk_left ? n : req->chunk_left;

            memmove(c->in.data + req->header_len + req->body_len, p, size);

            req->body_len += size;
            req->chunk_left -= size;
            c->in.pos += size;

            if (req->chunk_left > 0) {
                return MOCK_AGAIN;
            }

            req->chunk_step = CHUNK_DATA_END;
            continue;
        }

        eol = n ? memmem(p, n, "\r\n", 2) : NULL;

        if (eol == NULL) {
            return n > 256 ? MOCK_ERROR : MOCK_AGAIN;
        }

        c->in.pos += (size_t) (eol + 2 - p);

        if (req->chunk_step == CHUNK_DATA_END) {

            if (eol != p) {
                return MOCK_ERROR;
            }

            req->chunk_step = CHUNK_SIZE;

        } else if (req->chunk_step == CHUNK_SIZE) {
            size = strtoul(p, &end, 16);

            if (end == p || size > MOCK_MAX_BODY - req->body_len) {
                return MOCK_ERROR;
            }

            req->chunk_left = size;
            req->chunk_step = size ? CHUNK_DATA : CHUNK_TRAILER;

        } else if (eol == p) {
            *used = c->in.pos;
            return MOCK_OK;
        }
    }
}


/*
 * Finds "model" and "stream" at the top level and "include_usage" one level
 * below "stream_options".  The body is not validated.
 */

static void
mock_request_facts(mock_request_t *req, const char *p, size_t len)
{
    int          depth, key, options;
    size_t       n;
    const char  *end, *name, *last;

    depth = 0;
    key = 0;
    options = 0;
    end = p + len;

#define named(s)  (n == sizeof(s) - 1 && memcmp(name, s, n) == 0)

    for ( /* void */ ; p < end; p++) {

        switch (*p) {

        case '{':
            depth++;
            key = 1;
            continue;

        case '[':
            depth++;
            key = 0;
            continue;

        case '}':
        case ']':
            depth--;
            options = options && depth > 1;
            continue;

        case ',':
            key = 1;
            continue;

        case '"':
            break;

        default:
            continue;
        }

        name = p + 1;
        last = mock_json_string_end(name, end);
        n = (size_t) (last - name);
        p = last;

        if (!key || depth < 1 || depth > 2 || (depth == 2 && !options)) {
            continue;
        }

        key = 0;

        do {
            p++;
        } while (p < end && (*p == ' ' || *p == ':' || *p == '\n'
                             || *p == '\t' || *p == '\r'));

        if (depth == 1 && named("stream")) {
            req->stream = (end - p >= 4 && memcmp(p, "true", 4) == 0);

        } else if (depth == 1 && named("stream_options")) {
            options = (p < end && *p == '{');

        } else if (depth == 2 && named("include_usage")) {
            req->include_usage = (end - p >= 4 && memcmp(p, "true", 4) == 0);

        } else if (depth == 1 && named("model") && p < end && *p == '"') {
            last = mock_json_string_end(p + 1, end);
            n = (size_t) (last - p - 1);

            if (n <= MOCK_MODEL_LEN && last < end) {
                memcpy(req->model, p + 1, n);
                req->model_len = n;
            }

            p = last;
            continue;
        }

        p--;
    }

#undef named
}


static const char *
mock_json_string_end(const char *p, const char *end)
{
    const char  *quote, *escape;

    quote = p;

    while (p < end) {

        if (quote <= p) {
            quote = memchr(p, '"', (size_t) (end - p));

            if (quote == NULL) {
                break;
            }
        }

        escape = memchr(p, '\\', (size_t) (quote - p));

        if (escape == NULL) {
            return quote;
        }

        p = escape + 2;

        if (quote < p) {
            quote = p;
        }
    }

    return end;
}
