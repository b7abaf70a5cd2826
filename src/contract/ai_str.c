/*
 * Spans and the bounded output buffer.  Owns nothing.
 */

#include "ai_str.h"

#include <string.h>

#define AI_INT_DIGITS  20           /* "-9223372036854775808" */


static unsigned ai_str_utf8_prefix(ai_str_t s);


void
ai_buf_init(ai_buf_t *b, char *mem, size_t size)
{
    b->start = mem;
    b->pos = mem;
    b->end = size ? mem + size : mem;
    b->full = 0;
}


void
ai_buf_add(ai_buf_t *b, const void *data, size_t len)
{
    if (b->full || len > (size_t) (b->end - b->pos)) {
        b->full = 1;
        return;
    }

    if (len) {
        memcpy(b->pos, data, len);
        b->pos += len;
    }
}


void
ai_buf_add_str(ai_buf_t *b, ai_str_t s)
{
    ai_buf_add(b, s.data, s.len);
}


void
ai_buf_add_z(ai_buf_t *b, const char *z)
{
    ai_buf_add(b, z, strlen(z));
}


void
ai_buf_add_int(ai_buf_t *b, int64_t n)
{
    char      digits[AI_INT_DIGITS], *p;
    uint64_t  u;

    p = digits + sizeof(digits);
    u = n < 0 ? -(uint64_t) n : (uint64_t) n;

    do {
        *--p = (char) ('0' + u % 10);
        u /= 10;
    } while (u);

    if (n < 0) {
        *--p = '-';
    }

    ai_buf_add(b, p, (size_t) (digits + sizeof(digits) - p));
}


void
ai_buf_add_json(ai_buf_t *b, ai_str_t s)
{
    char           *mark;
    size_t          i, run;
    unsigned        n;
    unsigned char   c;
    char            escape[6] = { '\\', 'u', '0', '0', 0, 0 };
    static const char  hex[] = "0123456789abcdef";
    static const char  brief[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
    };

    mark = b->pos;
    run = 0;
    i = 0;

    while (i < s.len) {
        c = (unsigned char) s.data[i];

        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }

        if (c >= 0x80) {
            n = ai_str_utf8((ai_str_t) { s.len - i, s.data + i });
            if (n) {
                i += n;
                continue;
            }
        }

        ai_buf_add(b, s.data + run, i - run);

        if (c >= 0x80) {
            i += ai_str_utf8_prefix((ai_str_t) { s.len - i, s.data + i });
            ai_buf_add(b, "\xEF\xBF\xBD", 3);

        } else {
            i++;

            if (c < 0x20 && brief[c] == 0) {
                escape[4] = hex[c >> 4];
                escape[5] = hex[c & 15];
                ai_buf_add(b, escape, 6);

            } else {
                ai_buf_add(b, "\\", 1);
                ai_buf_add(b, c < 0x20 ? &brief[c] : (const char *) &c, 1);
            }
        }

        run = i;
    }

    if (run < s.len) {
        ai_buf_add(b, s.data + run, s.len - run);
    }

    if (b->full) {
        b->pos = mark;
    }
}


int
ai_str_eq(ai_str_t a, ai_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


int
ai_str_eqz(ai_str_t a, const char *z)
{
    return ai_str_eq(a, (ai_str_t) { strlen(z), z });
}


int
ai_str_int(ai_str_t s, int64_t *n)
{
    int       minus;
    size_t    i;
    unsigned  digit;
    uint64_t  u, max;

    minus = s.len > 0 && s.data[0] == '-';
    max = (uint64_t) INT64_MAX + (unsigned) minus;
    i = (size_t) minus;

    if (i == s.len) {
        return -1;
    }

    for (u = 0; i < s.len; i++) {
        digit = (unsigned) (unsigned char) s.data[i] - '0';

        if (digit > 9 || u > (max - digit) / 10) {
            return -1;
        }

        u = u * 10 + digit;
    }

    *n = minus ? (int64_t) -u : (int64_t) u;

    return 0;
}


/*
 * How many bytes at the start of s could begin a character: all of it where
 * s is valid, at least 1.  What does not fit is one error (Unicode 3.9, D93b).
 */

static unsigned
ai_str_utf8_prefix(ai_str_t s)
{
    unsigned       i, n;
    unsigned char  c, low, high;

    c = (unsigned char) s.data[0];
    low = 0x80;
    high = 0xBF;

    if (c < 0xC2 || c > 0xF4) {
        return 1;
    }

    if (c < 0xE0) {
        n = 2;

    } else if (c < 0xF0) {
        n = 3;
        low = c == 0xE0 ? 0xA0 : 0x80;
        high = c == 0xED ? 0x9F : 0xBF;

    } else {
        n = 4;
        low = c == 0xF0 ? 0x90 : 0x80;
        high = c == 0xF4 ? 0x8F : 0xBF;
    }

    for (i = 1; i < n && i < s.len; i++) {
        c = (unsigned char) s.data[i];

        if (c < low || c > high) {
            break;
        }

        low = 0x80;
        high = 0xBF;
    }

    return i;
}


unsigned
ai_str_utf8(ai_str_t s)
{
    unsigned       n;
    unsigned char  c;

    if (s.len == 0) {
        return 0;
    }

    c = (unsigned char) s.data[0];

    if (c < 0x80) {
        return 1;
    }

    n = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;

    return ai_str_utf8_prefix(s) == n ? n : 0;
}


size_t
ai_str_utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char) c;
        return 1;
    }

    if (c < 0x800) {
        out[0] = (char) (0xC0 | c >> 6);
        out[1] = (char) (0x80 | (c & 0x3F));
        return 2;
    }

    if (c < 0x10000) {
        out[0] = (char) (0xE0 | c >> 12);
        out[1] = (char) (0x80 | (c >> 6 & 0x3F));
        out[2] = (char) (0x80 | (c & 0x3F));
        return 3;
    }

    out[0] = (char) (0xF0 | c >> 18);
    out[1] = (char) (0x80 | (c >> 12 & 0x3F));
    out[2] = (char) (0x80 | (c >> 6 & 0x3F));
    out[3] = (char) (0x80 | (c & 0x3F));

    return 4;
}


int
ai_str_text_ok(ai_str_t s, size_t max)
{
    unsigned       n;
    unsigned char  c;

    if (s.len > max) {
        return 0;
    }

    while (s.len) {
        c = (unsigned char) *s.data;
        n = ai_str_utf8(s);

        if (n == 0 || c < 0x20 || c == 0x7F) {
            return 0;
        }

        s.data += n;
        s.len -= n;
    }

    return 1;
}
