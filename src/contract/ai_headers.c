/*
 * Tables of headers and query arguments that pass.  Constant data.
 */

#include "ai_headers.h"

#include <string.h>
#include <strings.h>


static int ai_headers_next(ai_str_t *list, ai_str_t *name);
static int ai_headers_find(const char *const *table, ai_str_t name);
static int ai_headers_match(const char *row, ai_str_t name);
static int ai_headers_token_char(unsigned char c);


/* Lower case; a "*" at the end stands for anything. */

static const char *const  ai_headers_openai_in[] = {
    "idempotency-key",
    "openai-beta",
    "x-client-request-id",
    NULL
};

static const char *const  ai_headers_anthropic_in[] = {
    "anthropic-beta",
    "anthropic-version",
    "idempotency-key",
    NULL
};

static const char *const  ai_headers_openai_out[] = {
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-*",
    "x-request-id",
    "x-should-retry",
    NULL
};

static const char *const  ai_headers_anthropic_out[] = {
    "anthropic-priority-*",
    "anthropic-ratelimit-*",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-*",
    "x-request-id",
    "x-should-retry",
    NULL
};

static const char *const  ai_headers_never_pass[] = {

    /* hop-by-hop, and what frames a message */
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-*",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",

    /* bodies are read on the way, so they are never coded */
    "accept-encoding",
    "content-encoding",

    /* credentials, and what tells about them */
    "api-key",
    "authentication-info",
    "authorization",
    "cookie",
    "cookie2",
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    "x-api-key",
    "x-goog-api-key",

    /* a server's word on its own connection, host or internals */
    "alt-svc",
    "date",
    "server",
    "strict-transport-security",
    "x-accel-*",
    "x-sendfile",

    /* ours */
    "x-ai-*",
    NULL
};

static const char *const  ai_headers_openai_query[] = {
    NULL
};

static const char *const  ai_headers_anthropic_query[] = {
    "beta=true",
    NULL
};

static const struct {
    const char *const *in;
    const char *const *out;
    const char *const *query;
} ai_headers_tables[AI_DIALECT_LAST] = {
    [AI_DIALECT_OPENAI] = {
        ai_headers_openai_in, ai_headers_openai_out, ai_headers_openai_query
    },
    [AI_DIALECT_ANTHROPIC] = {
        ai_headers_anthropic_in, ai_headers_anthropic_out,
        ai_headers_anthropic_query
    },
    [AI_DIALECT_RESPONSES] = {
        ai_headers_openai_in, ai_headers_openai_out, ai_headers_openai_query
    }
};


int
ai_headers_in(ai_dialect_e d, ai_str_t name)
{
    return (unsigned) d < AI_DIALECT_LAST
           && ai_headers_valid(name, ai_str(""))
           && ai_headers_find(ai_headers_tables[d].in, name);
}


int
ai_headers_out(ai_dialect_e d, ai_str_t name)
{
    return (unsigned) d < AI_DIALECT_LAST
           && ai_headers_valid(name, ai_str(""))
           && ai_headers_find(ai_headers_tables[d].out, name);
}


int
ai_headers_said(ai_str_t name)
{
    return ai_headers_match("x-ai-dropped", name)
           || ai_headers_match("x-ai-estimated", name);
}


int
ai_headers_never(ai_str_t name)
{
    return !ai_headers_valid(name, ai_str(""))
           || ai_headers_find(ai_headers_never_pass, name);
}


int
ai_headers_valid(ai_str_t name, ai_str_t value)
{
    size_t         i;
    unsigned char  c;

    if (name.len == 0 || name.len > AI_HEADER_NAME_MAX
        || value.len > AI_HEADER_VALUE_MAX)
    {
        return 0;
    }

    for (i = 0; i < name.len; i++) {
        if (!ai_headers_token_char((unsigned char) name.data[i])) {
            return 0;
        }
    }

    for (i = 0; i < value.len; i++) {
        c = (unsigned char) value.data[i];

        if ((c < 0x20 && c != '\t') || c == 0x7F) {
            return 0;
        }

        if ((c == ' ' || c == '\t') && (i == 0 || i == value.len - 1)) {
            return 0;
        }
    }

    return 1;
}


int
ai_headers_split(ai_str_t line, ai_str_t *name, ai_str_t *value)
{
    const char  *colon;

    colon = line.len ? memchr(line.data, ':', line.len) : NULL;

    if (colon == NULL) {
        return -1;
    }

    *name = (ai_str_t) { (size_t) (colon - line.data), line.data };
    *value = (ai_str_t) { line.len - name->len - 1, colon + 1 };

    if (value->len && *value->data == ' ') {
        value->data++;
        value->len--;
    }

    return ai_headers_valid(*name, *value) ? 0 : -1;
}


void
ai_headers_query(ai_buf_t *b, ai_dialect_e d, ai_str_t query)
{
    char               *mark;
    size_t              i, start;
    unsigned            row;
    uint32_t            seen;
    ai_str_t            arg;
    const char *const  *table;

    if ((unsigned) d >= AI_DIALECT_LAST) {
        return;
    }

    table = ai_headers_tables[d].query;
    mark = b->pos;
    seen = 0;
    start = 0;

    for (i = 0; i <= query.len; i++) {

        if (i < query.len && query.data[i] != '&') {
            continue;
        }

        arg = (ai_str_t) { i - start, start ? query.data + start : query.data };
        start = i + 1;

        for (row = 0; table[row]; row++) {

            if (!ai_str_eqz(arg, table[row]) || (seen & 1u << row)) {
                continue;
            }

            if (seen) {
                ai_buf_add(b, "&", 1);
            }

            seen |= 1u << row;
            ai_buf_add_str(b, arg);
        }
    }

    if (b->full) {
        b->pos = mark;
    }
}


static int
ai_headers_find(const char *const *table, ai_str_t name)
{
    for ( /* void */ ; *table; table++) {
        if (ai_headers_match(*table, name)) {
            return 1;
        }
    }

    return 0;
}


static int
ai_headers_match(const char *row, ai_str_t name)
{
    size_t  i;
    char    c;

    for (i = 0; i < name.len; i++) {

        if (row[i] == '*') {
            return 1;
        }

        c = name.data[i];

        if (c >= 'A' && c <= 'Z') {
            c = (char) (c | 0x20);
        }

        if (row[i] != c || c == '\0') {
            return 0;
        }
    }

    return row[i] == '\0' || row[i] == '*';
}


static int
ai_headers_token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z')
           || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}


int
ai_headers_list_ok(ai_str_t list)
{
    ai_str_t  name;

    if (list.len > AI_HEADER_LIST_MAX
        || (list.len && list.data[list.len - 1] == ' '))
    {
        return 0;
    }

    while (ai_headers_next(&list, &name)) {
        if (!ai_headers_valid(name, ai_str("")) || ai_headers_never(name)) {
            return 0;
        }
    }

    return 1;
}


int
ai_headers_listed(ai_str_t list, ai_str_t name)
{
    ai_str_t  one;

    while (ai_headers_next(&list, &one)) {
        if (one.len == name.len
            && strncasecmp(one.data, name.data, name.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static int
ai_headers_next(ai_str_t *list, ai_str_t *name)
{
    const char  *space;

    if (list->len == 0) {
        return 0;
    }

    space = memchr(list->data, ' ', list->len);

    name->data = list->data;
    name->len = space ? (size_t) (space - list->data) : list->len;

    list->data += name->len;
    list->len -= name->len;

    if (space) {
        list->data++;
        list->len--;
    }

    return 1;
}
