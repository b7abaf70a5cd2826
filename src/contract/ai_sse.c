/*
 * The reader of server-sent events.  An ai_sse_t owns its buffer.
 */

#include "ai_sse.h"

#include <stdlib.h>
#include <string.h>

#define AI_SSE_BUF_MIN   1024
#define AI_SSE_BUF_KEEP  (64 * 1024)    /* a larger one goes when it is empty */
#define AI_SSE_BOM       "\xEF\xBB\xBF"
#define AI_SSE_BOM_LEN   3

typedef enum {
    AI_SSE_LINE_START = 0,
    AI_SSE_LINE,
    AI_SSE_LINE_CR,             /* a CR ended a line; an LF may follow */
    AI_SSE_BLANK_CR,            /* a CR made a blank line that ends the event */
    AI_SSE_CR_GIVEN             /* a bare CR ended the event */
} ai_sse_state_e;


static int ai_sse_scan(ai_sse_scan_t *scan, const char *buf, size_t len);
static int ai_sse_scan_end(ai_sse_scan_t *scan, ai_sse_state_e state);
static size_t ai_sse_line_len(const char *p, size_t len);
static int ai_sse_reserve(ai_sse_t *s, size_t len);
static int ai_sse_line(ai_str_t *rest, ai_str_t *line);
static int ai_sse_field(ai_str_t line, const char *name, ai_str_t *value);


void
ai_sse_init(ai_sse_t *s, size_t max)
{
    memset(s, 0, sizeof(ai_sse_t));

    s->max = max ? max : AI_SSE_EVENT_MAX;
}


void
ai_sse_free(ai_sse_t *s)
{
    free(s->buf);
    ai_sse_init(s, s->max);
}


int
ai_sse_feed(ai_sse_t *s, const char *data, size_t len)
{
    size_t  start;

    if (s->failed) {
        return s->failed;
    }

    if (len == 0) {
        return 0;
    }

    if (s->len - s->taken.start > s->max) {
        s->failed = -2;
        return -2;
    }

    if (ai_sse_reserve(s, len) != 0) {
        s->failed = -1;
        return -1;
    }

    memcpy(s->buf + s->len, data, len);
    s->len += len;

    do {
        start = s->checked.start;

        if (!ai_sse_scan(&s->checked, s->buf, s->len)) {
            break;
        }

    } while (s->checked.start - start <= s->max);

    if (s->checked.start - start > s->max
        || s->len - s->checked.start > s->max)
    {
        s->checked.start = start;
        s->failed = -2;
        return -2;
    }

    return 0;
}


int
ai_sse_next(ai_sse_t *s, ai_str_t *raw)
{
    size_t  start;

    start = s->taken.start;

    if (start == s->checked.start
        || !ai_sse_scan(&s->taken, s->buf, s->len))
    {
        return 0;
    }

    *raw = (ai_str_t) { s->taken.start - start, s->buf + start };

    return 1;
}


void
ai_sse_trim(ai_sse_t *s)
{
    if (s->taken.start != s->len) {
        return;
    }

    free(s->buf);
    s->buf = NULL;
    s->size = 0;
    s->len = 0;
    s->taken.start = s->taken.at = 0;
    s->checked.start = s->checked.at = 0;
}


int
ai_sse_rest(ai_sse_t *s, ai_str_t *raw)
{
    size_t  start;

    start = s->taken.start;

    if (s->failed || start == s->len) {
        return 0;
    }

    *raw = (ai_str_t) { s->len - start, s->buf + start };

    s->taken.start = s->len;
    s->taken.at = s->len;
    s->checked = s->taken;

    return 1;
}


int
ai_sse_fields(ai_str_t raw, ai_str_t *event, ai_str_t *data, char *buf,
    size_t size)
{
    int       n;
    size_t    len;
    ai_str_t  line, value;

    *event = (ai_str_t) { 0, NULL };
    *data = (ai_str_t) { 0, NULL };
    n = 0;
    len = 0;

    if (raw.len >= AI_SSE_BOM_LEN
        && memcmp(raw.data, AI_SSE_BOM, AI_SSE_BOM_LEN) == 0)
    {
        raw.data += AI_SSE_BOM_LEN;
        raw.len -= AI_SSE_BOM_LEN;
    }

    while (ai_sse_line(&raw, &line)) {

        if (ai_sse_field(line, "event", &value)) {
            *event = value;
            continue;
        }

        if (!ai_sse_field(line, "data", &value)) {
            continue;
        }

        if (++n == 1) {
            *data = value;
            continue;
        }

        if (n == 2) {
            if (data->len > size) {
                return -1;
            }

            if (data->len) {
                memcpy(buf, data->data, data->len);
            }

            len = data->len;
        }

        if (value.len >= size - len) {
            return -1;
        }

        buf[len++] = '\n';
        memcpy(buf + len, value.data, value.len);
        len += value.len;

        *data = (ai_str_t) { len, buf };
    }

    return n;
}


/* 1 where an event ends: scan->start is then behind it. */

static int
ai_sse_scan(ai_sse_scan_t *scan, const char *buf, size_t len)
{
    char  c;

    while (scan->at < len) {
        c = buf[scan->at];

        switch (scan->state) {

        case AI_SSE_LINE:
            scan->at += ai_sse_line_len(buf + scan->at, len - scan->at);

            if (scan->at == len) {
                break;
            }

            scan->state = buf[scan->at++] == '\n' ? AI_SSE_LINE_START
                                                  : AI_SSE_LINE_CR;
            break;

        case AI_SSE_BLANK_CR:
            if (c == '\n') {
                scan->at++;
            }

            return ai_sse_scan_end(scan, AI_SSE_LINE_START);

        case AI_SSE_CR_GIVEN:
            scan->state = AI_SSE_LINE_START;

            if (c == '\n') {
                scan->at++;
            }

            break;

        case AI_SSE_LINE_CR:
            if (c == '\n') {
                scan->state = AI_SSE_LINE_START;
                scan->at++;
                break;
            }

            if (c == '\r' && scan->content) {
                scan->at++;
                return ai_sse_scan_end(scan, AI_SSE_CR_GIVEN);
            }

            /* fall through */

        default:

            /* AI_SSE_LINE_START, or a bare CR was before it */

            if (scan->bom < AI_SSE_BOM_LEN) {

                if (c == AI_SSE_BOM[scan->bom]) {
                    scan->bom++;
                    scan->at++;
                    break;
                }

                if (scan->bom) {
                    scan->state = AI_SSE_LINE;
                    scan->content = 1;
                }

                scan->bom = AI_SSE_BOM_LEN;
                break;
            }

            scan->at++;

            if (c == '\r') {
                scan->state = scan->content ? AI_SSE_BLANK_CR : AI_SSE_LINE_CR;
                break;
            }

            if (c != '\n') {
                scan->state = AI_SSE_LINE;
                scan->content = 1;
                break;
            }

            if (scan->content) {
                return ai_sse_scan_end(scan, AI_SSE_LINE_START);
            }

            scan->state = AI_SSE_LINE_START;
        }
    }

    return 0;
}


static int
ai_sse_scan_end(ai_sse_scan_t *scan, ai_sse_state_e state)
{
    scan->state = state;
    scan->content = 0;
    scan->start = scan->at;

    return 1;
}


/* Bytes in front of the first CR or LF. */

static size_t
ai_sse_line_len(const char *p, size_t len)
{
    size_t          i;
    uint64_t        x, cr, lf;
    const uint64_t  ones = 0x0101010101010101;
    const uint64_t  tops = 0x8080808080808080;

    for (i = 0; len - i >= 8; i += 8) {
        memcpy(&x, p + i, 8);

        cr = x ^ ones * '\r';
        lf = x ^ ones * '\n';

        if ((((cr - ones) & ~cr) | ((lf - ones) & ~lf)) & tops) {
            break;
        }
    }

    while (i < len && p[i] != '\n' && p[i] != '\r') {
        i++;
    }

    return i;
}


/* Room for len more bytes behind what has not been taken yet. */

static int
ai_sse_reserve(ai_sse_t *s, size_t len)
{
    char    *buf;
    size_t   gone, size;

    gone = s->taken.start;

    if (gone) {
        memmove(s->buf, s->buf + gone, s->len - gone);
        s->len -= gone;
        s->taken.start = 0;
        s->taken.at -= gone;
        s->checked.start -= gone;
        s->checked.at -= gone;
    }

    if (s->len == 0 && s->size > AI_SSE_BUF_KEEP) {
        free(s->buf);
        s->buf = NULL;
        s->size = 0;
    }

    if (len <= s->size - s->len) {
        return 0;
    }

    if (len > SIZE_MAX / 4 - s->len) {
        return -1;
    }

    size = s->size ? s->size : AI_SSE_BUF_MIN;

    while (size < s->len + len) {
        size *= 2;
    }

    buf = realloc(s->buf, size);

    if (buf == NULL) {
        return -1;
    }

    s->buf = buf;
    s->size = size;

    return 0;
}


/* Takes a line and its end off *rest: 1, or 0 where nothing is left. */

static int
ai_sse_line(ai_str_t *rest, ai_str_t *line)
{
    size_t  len;

    if (rest->len == 0) {
        return 0;
    }

    len = ai_sse_line_len(rest->data, rest->len);
    *line = (ai_str_t) { len, rest->data };

    if (len < rest->len) {
        len += len + 1 < rest->len && rest->data[len] == '\r'
               && rest->data[len + 1] == '\n' ? 2 : 1;
    }

    rest->data += len;
    rest->len -= len;

    return 1;
}


static int
ai_sse_field(ai_str_t line, const char *name, ai_str_t *value)
{
    size_t  len;

    len = strlen(name);

    if (line.len < len || memcmp(line.data, name, len) != 0) {
        return 0;
    }

    line.data += len;
    line.len -= len;

    if (line.len == 0) {
        *value = line;
        return 1;
    }

    if (*line.data != ':') {
        return 0;
    }

    len = line.len > 1 && line.data[1] == ' ' ? 2 : 1;
    *value = (ai_str_t) { line.len - len, line.data + len };

    return 1;
}
