/*
 * Records: named fields with lengths.  Owns nothing.
 */

#include "ai_record.h"


static int ai_record_name_char(char c);


void
ai_record_add(ai_buf_t *b, const char *name, ai_str_t value)
{
    char    *mark;
    size_t   len;

    for (len = 0; ai_record_name_char(name[len]); len++) { /* void */ }

    if (name[len] != '\0' || len == 0 || len > AI_RECORD_NAME_MAX
        || value.len > AI_RECORD_MAX)
    {
        b->full = 1;
        return;
    }

    mark = b->pos;

    ai_buf_add(b, name, len);
    ai_buf_add(b, " ", 1);
    ai_buf_add_int(b, (int64_t) value.len);
    ai_buf_add(b, "\n", 1);
    ai_buf_add_str(b, value);
    ai_buf_add(b, "\n", 1);

    if (b->full) {
        b->pos = mark;
    }
}


void
ai_record_add_int(ai_buf_t *b, const char *name, int64_t n)
{
    char      digits[24];
    ai_buf_t  text;

    ai_buf_init(&text, digits, sizeof(digits));
    ai_buf_add_int(&text, n);

    ai_record_add(b, name, (ai_str_t) { ai_buf_len(&text), digits });
}


int
ai_record_next(ai_str_t *rest, ai_str_t *name, ai_str_t *value)
{
    size_t       len, digits;
    const char  *p, *end, *name_end;

    if (rest->len == 0) {
        return 0;
    }

    if (rest->len > AI_RECORD_MAX) {
        return -1;
    }

    p = rest->data;
    end = p + rest->len;

    while (p < end && ai_record_name_char(*p)) {
        p++;
    }

    name_end = p;

    if (p == rest->data || p - rest->data > AI_RECORD_NAME_MAX || p == end
        || *p++ != ' ')
    {
        return -1;
    }

    for (len = 0, digits = 0; p < end && *p >= '0' && *p <= '9'; digits++) {
        len = len * 10 + (size_t) (*p++ - '0');

        if (len > AI_RECORD_MAX) {
            return -1;
        }
    }

    if (digits == 0 || p == end || *p++ != '\n') {
        return -1;
    }

    if (len >= (size_t) (end - p) || p[len] != '\n') {
        return -1;
    }

    *name = (ai_str_t) { (size_t) (name_end - rest->data), rest->data };
    *value = (ai_str_t) { len, p };

    p += len + 1;
    *rest = (ai_str_t) { (size_t) (end - p), p };

    return 1;
}


int
ai_record_get(ai_str_t record, const char *name, ai_str_t *value)
{
    int       rc;
    ai_str_t  field, bytes;

    while ((rc = ai_record_next(&record, &field, &bytes)) == 1) {

        if (ai_str_eqz(field, name)) {
            *value = bytes;
            return 1;
        }
    }

    return rc;
}


static int
ai_record_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}
