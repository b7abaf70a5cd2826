/*
 * The usage line, and money as text.  Owns nothing.
 */

#include "ai_usage.h"

#include <string.h>

#define AI_NANO             1000000000
#define AI_NANO_DIGITS      9

typedef struct {
    unsigned number:1;
    size_t   offset;
} ai_usage_column_t;


static ai_str_t *ai_usage_str(ai_usage_t *u, const ai_usage_column_t *c);
static int64_t *ai_usage_int(ai_usage_t *u, const ai_usage_column_t *c);
static void ai_usage_write_value(ai_buf_t *b, ai_str_t value);


#define AI_USAGE_STR(field)  { 0, offsetof(ai_usage_t, field) }
#define AI_USAGE_INT(field)  { 1, offsetof(ai_usage_t, field) }

/* The order is the wire's: append, never move. */
static const ai_usage_column_t  ai_usage_columns[] = {
    AI_USAGE_STR(state),
    AI_USAGE_INT(status),
    AI_USAGE_STR(provider),
    AI_USAGE_STR(model),
    AI_USAGE_STR(request_id),
    AI_USAGE_STR(finish),
    AI_USAGE_INT(input),
    AI_USAGE_INT(output),
    AI_USAGE_INT(cached_read),
    AI_USAGE_INT(cached_write),
    AI_USAGE_INT(reasoning),
    AI_USAGE_INT(cost),
    AI_USAGE_INT(estimated),
    AI_USAGE_INT(ttft_usec),
    AI_USAGE_INT(duration_usec),
    AI_USAGE_INT(queue_usec),
    AI_USAGE_INT(attempts),
    AI_USAGE_STR(cause),
    AI_USAGE_INT(cached_write_1h),
    AI_USAGE_INT(audio_input),
    AI_USAGE_INT(audio_output),
    AI_USAGE_INT(image_input),
    AI_USAGE_INT(image_output),
    AI_USAGE_INT(own_key)
};

#define AI_USAGE_COLUMNS  \
    (sizeof(ai_usage_columns) / sizeof(ai_usage_columns[0]))

/* Of the first release; what stands behind is left out where nothing of it is
 * known, for most calls have no audio. */
#define AI_USAGE_ALWAYS   18


void
ai_usage_init(ai_usage_t *u)
{
    size_t  i;

    memset(u, 0, sizeof(ai_usage_t));

    for (i = 0; i < AI_USAGE_COLUMNS; i++) {
        if (ai_usage_columns[i].number) {
            *ai_usage_int(u, &ai_usage_columns[i]) = -1;
        }
    }
}


void
ai_usage_write(ai_buf_t *b, const ai_usage_t *u)
{
    char        *mark;
    size_t       i, n;
    ai_usage_t   copy;

    mark = b->pos;
    copy = *u;
    n = AI_USAGE_COLUMNS;

    while (n > AI_USAGE_ALWAYS
           && *ai_usage_int(&copy, &ai_usage_columns[n - 1]) < 0)
    {
        n--;
    }

    for (i = 0; i < n; i++) {

        if (i > 0) {
            ai_buf_add(b, "\t", 1);
        }

        if (!ai_usage_columns[i].number) {
            ai_usage_write_value(b, *ai_usage_str(&copy, &ai_usage_columns[i]));

        } else if (*ai_usage_int(&copy, &ai_usage_columns[i]) < 0) {
            ai_buf_add(b, "-", 1);

        } else {
            ai_buf_add_int(b, *ai_usage_int(&copy, &ai_usage_columns[i]));
        }
    }

    if (b->full) {
        b->pos = mark;
    }
}


int
ai_usage_parse(ai_str_t line, ai_usage_t *u)
{
    size_t       column, i;
    int64_t     *n;
    ai_str_t     value;
    const char  *start;

    ai_usage_init(u);

    if (line.len && line.data[line.len - 1] == '\n') {
        line.len--;
    }

    start = line.data;
    column = 0;

    for (i = 0; i <= line.len; i++) {

        if (i < line.len && line.data[i] != '\t') {
            if ((unsigned char) line.data[i] < 0x20 || line.data[i] == 0x7F) {
                return -1;
            }

            continue;
        }

        value = (ai_str_t) { line.len ? (size_t) (line.data + i - start) : 0,
                             start };

        if (column < AI_USAGE_COLUMNS && value.len
            && !ai_str_eq(value, ai_str("-")))
        {
            if (ai_usage_columns[column].number) {
                n = ai_usage_int(u, &ai_usage_columns[column]);

                if (ai_str_int(value, n) != 0 || *n < 0) {
                    return -1;
                }

            } else {
                *ai_usage_str(u, &ai_usage_columns[column]) = value;
            }
        }

        if (i < line.len) {
            start = line.data + i + 1;
        }

        column++;
    }

    return 0;
}


int
ai_money_parse(ai_str_t s, int64_t *nano)
{
    int64_t   whole, part;
    size_t    i, digits;
    ai_str_t  left, right;

    for (i = 0; i < s.len && s.data[i] != '.'; i++) { /* void */ }

    left = (ai_str_t) { i, s.data };
    part = 0;

    if (i < s.len) {
        right = (ai_str_t) { s.len - i - 1, s.data + i + 1 };

        if (right.len > AI_NANO_DIGITS || ai_str_int(right, &part) != 0
            || right.data[0] == '-')
        {
            return -1;
        }

        for (digits = right.len; digits < AI_NANO_DIGITS; digits++) {
            part *= 10;
        }
    }

    if (ai_str_int(left, &whole) != 0 || left.data[0] == '-'
        || whole > (INT64_MAX - part) / AI_NANO)
    {
        return -1;
    }

    *nano = whole * AI_NANO + part;

    return 0;
}


size_t
ai_money_print(char *buf, size_t size, int64_t nano)
{
    char       digits[AI_NANO_DIGITS];
    size_t     len;
    int64_t    part;
    ai_buf_t   b;

    ai_buf_init(&b, buf, size);

    if (nano < 0 && nano > -AI_NANO) {
        ai_buf_add_z(&b, "-");
    }

    ai_buf_add_int(&b, nano / AI_NANO);

    part = nano % AI_NANO;
    part = part < 0 ? -part : part;

    if (part) {
        for (len = AI_NANO_DIGITS; len > 0; len--) {
            digits[len - 1] = (char) ('0' + part % 10);
            part /= 10;
        }

        for (len = AI_NANO_DIGITS; digits[len - 1] == '0'; len--) { /* void */ }

        ai_buf_add_z(&b, ".");
        ai_buf_add(&b, digits, len);
    }

    ai_buf_add(&b, "", 1);

    return b.full ? 0 : ai_buf_len(&b) - 1;
}


static ai_str_t *
ai_usage_str(ai_usage_t *u, const ai_usage_column_t *c)
{
    return (ai_str_t *) (void *) ((char *) u + c->offset);
}


static int64_t *
ai_usage_int(ai_usage_t *u, const ai_usage_column_t *c)
{
    return (int64_t *) (void *) ((char *) u + c->offset);
}


static void
ai_usage_write_value(ai_buf_t *b, ai_str_t value)
{
    char           out[AI_USAGE_VALUE_MAX];
    size_t         len;
    unsigned       n;
    unsigned char  c;

    for (len = 0; value.len; value.data += n, value.len -= n) {
        c = (unsigned char) *value.data;
        n = ai_str_utf8(value);

        if (n > sizeof(out) - len || (n == 0 && len == sizeof(out))) {
            break;
        }

        if (n > 1) {
            memcpy(out + len, value.data, n);
            len += n;
            continue;
        }

        out[len++] = n == 0 ? '?' : c < 0x20 || c == 0x7F ? ' ' : (char) c;
        n = 1;
    }

    if (len) {
        ai_buf_add(b, out, len);

    } else {
        ai_buf_add(b, "-", 1);
    }
}
