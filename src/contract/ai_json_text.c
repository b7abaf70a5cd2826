/*
 * Small looks into JSON texts: strings, integers, paths; and the words for
 * errors.  Owns nothing.
 */

#include "ai_json.h"

#include <string.h>

#define AI_JSON_EXPONENT_MAX  1000000000    /* any larger says the same */


static int ai_json_text_unit(const char *p, const char *end, uint32_t *unit);
static const char *ai_json_text_space(const char *p, const char *end);
static const char *ai_json_text_string(const char *p, const char *end);
static const char *ai_json_text_value(const char *p, const char *end,
    ai_json_type_e *type);
static const char *ai_json_text_member(const char *p, const char *end,
    ai_str_t name);
static const char *ai_json_text_element(const char *p, const char *end,
    ai_str_t index);
static const char *ai_json_text_next(const char *p, const char *end);
static int ai_json_text_key_is(ai_str_t quoted, ai_str_t name);


const char *
ai_json_strerror(int status)
{
    switch (status) {

    case AI_JSON_OK:
        return "valid JSON";

    case AI_JSON_MORE:
        return "the JSON is not complete";

    case AI_JSON_EDEPTH:
        return "the JSON is nested too deeply";

    case AI_JSON_ESIZE:
        return "the JSON is too large";

    case AI_JSON_EDUPLICATE:
        return "the JSON has a top-level member twice";

    case AI_JSON_EUTF8:
        return "the JSON is not valid UTF-8";

    case AI_JSON_EKEYS:
        return "the JSON has too many top-level members";

    case AI_JSON_ETYPE:
        return "the JSON is not an object";

    default:
        return "the JSON is malformed";
    }
}


long
ai_json_unescape(ai_str_t quoted, char *buf, size_t size)
{
    char         utf8[4];
    size_t       len, n;
    uint32_t     c, low;
    const char  *p, *end, *add;
    static const char  from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

    if (quoted.len < 2 || quoted.data[0] != '"'
        || quoted.data[quoted.len - 1] != '"')
    {
        return -1;
    }

    p = quoted.data + 1;
    end = quoted.data + quoted.len - 1;

    for (len = 0; p < end; len += n) {

        if (*p != '\\') {
            for (add = p; p < end && *p != '\\'; p++) {
                if (*p == '"' || (unsigned char) *p < 0x20) {
                    return -1;
                }
            }

            n = (size_t) (p - add);

        } else if (++p == end) {
            return -1;

        } else if (*p == 'u') {
            if (ai_json_text_unit(++p, end, &c) != 0) {
                return -1;
            }

            p += 4;

            if (c >= 0xD800 && c <= 0xDBFF && end - p >= 6 && p[0] == '\\'
                && p[1] == 'u' && ai_json_text_unit(p + 2, end, &low) == 0
                && low >= 0xDC00 && low <= 0xDFFF)
            {
                c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
                p += 6;
            }

            if (c >= 0xD800 && c <= 0xDFFF) {
                c = 0xFFFD;
            }

            n = ai_str_utf8_put(utf8, c);
            add = utf8;

        } else {
            add = memchr(from, *p, sizeof(from) - 1);

            if (add == NULL) {
                return -1;
            }

            add = to + (add - from);
            n = 1;
            p++;
        }

        if (n > size - len) {
            return -1;
        }

        memcpy(buf + len, add, n);
    }

    return (long) len;
}


int
ai_json_int(ai_str_t number, int64_t *n)
{
    int          minus, minus_exponent;
    int64_t      exponent, places, point;
    uint64_t     u, max, digit;
    const char  *p, *end, *digits, *fraction, *tail;

    if (number.len == 0) {
        return -1;
    }

    p = number.data;
    end = p + number.len;

    minus = *p == '-';
    p += minus;
    digits = p;

    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }

    point = p - digits;

    if (point == 0 || (point > 1 && *digits == '0')) {
        return -1;
    }

    if (p < end && *p == '.') {
        for (fraction = ++p; p < end && *p >= '0' && *p <= '9'; p++) {
            /* void */
        }

        if (p == fraction) {
            return -1;
        }
    }

    tail = p;
    exponent = 0;
    minus_exponent = 0;

    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < end && (*p == '+' || *p == '-')) {
            minus_exponent = *p++ == '-';
        }

        if (p == end) {
            return -1;
        }

        for ( /* void */ ; p < end && *p >= '0' && *p <= '9'; p++) {
            if (exponent < AI_JSON_EXPONENT_MAX) {
                exponent = exponent * 10 + (*p - '0');
            }
        }
    }

    if (p != end) {
        return -1;
    }

    /* How many digits stand before the point in the end. */
    places = point + (minus_exponent ? -exponent : exponent);
    max = (uint64_t) INT64_MAX + (unsigned) minus;

    for (u = 0, p = digits; places > 0; places--) {

        if (p < tail && *p == '.') {
            p++;
        }

        if (p == tail && u == 0) {
            break;
        }

        digit = p < tail ? (uint64_t) (*p++ - '0') : 0;

        if (u > (max - digit) / 10) {
            return -1;
        }

        u = u * 10 + digit;
    }

    *n = minus ? (int64_t) -u : (int64_t) u;

    return 0;
}


int
ai_json_path(ai_str_t text, const char *path, ai_str_t *value,
    ai_json_type_e *type)
{
    ai_str_t     name;
    const char  *p, *end, *value_end;

    if (text.len == 0) {
        return 0;
    }

    end = text.data + text.len;
    p = ai_json_text_space(text.data, end);

    while (*path) {
        name = (ai_str_t) { strcspn(path, "."), path };
        path += name.len;
        path += *path == '.';

        if (p == end) {
            return 0;
        }

        if (*p == '{') {
            p = ai_json_text_member(p + 1, end, name);

        } else if (*p == '[') {
            p = ai_json_text_element(p + 1, end, name);

        } else {
            return 0;
        }

        if (p == NULL) {
            return 0;
        }
    }

    value_end = ai_json_text_value(p, end, type);

    if (value_end == NULL) {
        return 0;
    }

    *value = (ai_str_t) { (size_t) (value_end - p), p };

    return 1;
}


int
ai_json_each(ai_str_t array, size_t *at, ai_str_t *value, ai_json_type_e *type)
{
    const char  *p, *end, *value_end;

    if (array.len == 0) {
        return 0;
    }

    end = array.data + array.len;
    p = ai_json_text_space(array.data + *at, end);

    /* Before the first one stands the bracket, before the others a comma. */

    if (p == end || *p != (*at ? ',' : '[')) {
        return 0;
    }

    p = ai_json_text_space(p + 1, end);
    value_end = ai_json_text_value(p, end, type);

    if (value_end == NULL) {
        return 0;
    }

    *value = (ai_str_t) { (size_t) (value_end - p), p };
    *at = (size_t) (value_end - array.data);

    return 1;
}


static int
ai_json_text_unit(const char *p, const char *end, uint32_t *unit)
{
    int       i;
    char      c;
    uint32_t  u;

    if (end - p < 4) {
        return -1;
    }

    for (u = 0, i = 0; i < 4; i++) {
        c = p[i];

        if (c >= '0' && c <= '9') {
            u = u << 4 | (uint32_t) (c - '0');
            continue;
        }

        c = (char) (c | 0x20);

        if (c < 'a' || c > 'f') {
            return -1;
        }

        u = u << 4 | (uint32_t) (c - 'a' + 10);
    }

    *unit = u;

    return 0;
}


static const char *
ai_json_text_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
    }

    return p;
}


/* Behind the string whose opening quote is at p; NULL where it does not end. */

static const char *
ai_json_text_string(const char *p, const char *end)
{
    const char  *start, *quote, *slash;

    for (start = ++p; p < end; p = quote + 1) {
        quote = memchr(p, '"', (size_t) (end - p));

        if (quote == NULL) {
            return NULL;
        }

        for (slash = quote; slash > start && slash[-1] == '\\'; slash--) {
            /* void */
        }

        if ((quote - slash) % 2 == 0) {
            return quote + 1;
        }
    }

    return NULL;
}


/* Behind the value that begins at p; NULL where there is none. */

static const char *
ai_json_text_value(const char *p, const char *end, ai_json_type_e *type)
{
    size_t       depth;
    ai_str_t     word;
    const char  *start;

    if (p == end) {
        return NULL;
    }

    if (*p == '"') {
        *type = AI_JSON_STRING;
        return ai_json_text_string(p, end);
    }

    if (*p == '{' || *p == '[') {
        *type = *p == '{' ? AI_JSON_OBJECT : AI_JSON_ARRAY;

        for (depth = 0; p < end; p++) {

            if (*p == '{' || *p == '[') {
                depth++;

            } else if (*p == '}' || *p == ']') {
                if (--depth == 0) {
                    return p + 1;
                }

            } else if (*p == '"') {
                p = ai_json_text_string(p, end);

                if (p == NULL) {
                    return NULL;
                }

                p--;
            }
        }

        return NULL;
    }

    for (start = p; p < end && strchr(",:]} \n\r\t", *p) == NULL; p++) {
        /* void */
    }

    word = (ai_str_t) { (size_t) (p - start), start };

    if (ai_str_eq(word, ai_str("true"))) {
        *type = AI_JSON_TRUE;

    } else if (ai_str_eq(word, ai_str("false"))) {
        *type = AI_JSON_FALSE;

    } else if (ai_str_eq(word, ai_str("null"))) {
        *type = AI_JSON_NULL;

    } else if (*start == '-' || (*start >= '0' && *start <= '9')) {
        *type = AI_JSON_NUMBER;

    } else {
        return NULL;
    }

    return p;
}


/* The value of that member, p behind "{"; NULL where there is none. */

static const char *
ai_json_text_member(const char *p, const char *end, ai_str_t name)
{
    const char  *key;

    for ( ;; ) {
        key = ai_json_text_space(p, end);

        if (key == end || *key != '"') {
            return NULL;
        }

        p = ai_json_text_string(key, end);

        if (p == NULL) {
            return NULL;
        }

        if (ai_json_text_key_is((ai_str_t) { (size_t) (p - key), key }, name)) {
            key = NULL;
        }

        p = ai_json_text_space(p, end);

        if (p == end || *p != ':') {
            return NULL;
        }

        p = ai_json_text_space(p + 1, end);

        if (key == NULL) {
            return p;
        }

        p = ai_json_text_next(p, end);

        if (p == NULL) {
            return NULL;
        }
    }
}


/* The element of that index, p behind "["; NULL where there is none. */

static const char *
ai_json_text_element(const char *p, const char *end, ai_str_t index)
{
    int64_t  n;

    if (ai_str_int(index, &n) != 0 || n < 0) {
        return NULL;
    }

    p = ai_json_text_space(p, end);

    for ( /* void */ ; n > 0; n--) {
        p = ai_json_text_next(p, end);

        if (p == NULL) {
            return NULL;
        }
    }

    return p;
}


/* Behind the value at p, the comma that follows and white space; NULL where
 * there is no comma. */

static const char *
ai_json_text_next(const char *p, const char *end)
{
    ai_json_type_e  type;

    p = ai_json_text_value(p, end, &type);

    if (p == NULL) {
        return NULL;
    }

    p = ai_json_text_space(p, end);

    return p == end || *p != ',' ? NULL : ai_json_text_space(p + 1, end);
}


static int
ai_json_text_key_is(ai_str_t quoted, ai_str_t name)
{
    long  len;
    char  key[AI_JSON_NAME_MAX];

    if (quoted.len == name.len + 2
        && memcmp(quoted.data + 1, name.data, name.len) == 0
        && memchr(name.data, '\\', name.len) == NULL)
    {
        return 1;
    }

    if (memchr(quoted.data, '\\', quoted.len) == NULL) {
        return 0;
    }

    len = ai_json_unescape(quoted, key, sizeof(key));

    return len >= 0 && ai_str_eq(name, (ai_str_t) { (size_t) len, key });
}
