/*
 * Lists of models.  A list owns a copy of its text, behind its rows.
 */

#include "ai_models.h"

#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"


#define AI_MODELS_VERSION  "models 1 "


static int ai_models_row(ai_str_t line, ai_models_row_t *row);
static int ai_models_number(ai_str_t s, int64_t max, int64_t *n);
static int ai_models_cmp(ai_str_t one, ai_str_t two);


void
ai_models_init(ai_models_row_t *row)
{
    unsigned  i;

    memset(row, 0, sizeof(ai_models_row_t));
    row->context = -1;
    row->output = -1;

    for (i = 0; i < AI_PRICE_KINDS; i++) {
        row->of[i] = -1;
    }
}


int
ai_models_id_ok(ai_str_t id)
{
    return id.len != 0 && ai_str_text_ok(id, AI_MODELS_ID_MAX);
}


void
ai_models_add(ai_buf_t *b, const ai_models_row_t *row)
{
    unsigned  i;
    int64_t   n;

    ai_buf_add_str(b, row->id);

    for (i = 0; i < AI_PRICE_KINDS + 2; i++) {
        n = i == 0 ? row->context : i == 1 ? row->output : row->of[i - 2];
        ai_buf_add_z(b, "\t");

        if (n < 0) {
            ai_buf_add_z(b, "-");

        } else {
            ai_buf_add_int(b, n);
        }
    }

    ai_buf_add_z(b, "\n");
}


int
ai_models_head(char *line, ai_str_t rows)
{
    memcpy(line, AI_MODELS_VERSION, sizeof(AI_MODELS_VERSION) - 1);
    line[AI_MODELS_HEAD - 1] = '\n';

    return ai_sha256_hex(line + sizeof(AI_MODELS_VERSION) - 1, rows);
}


ai_models_t *
ai_models_parse(ai_str_t text)
{
    char         *copy;
    size_t        i, n;
    ai_str_t      rest, line;
    const char   *end;
    ai_models_t  *m;

    if (text.len < AI_MODELS_HEAD || text.len > AI_MODELS_TEXT_MAX
        || memcmp(text.data, AI_MODELS_VERSION, sizeof(AI_MODELS_VERSION) - 1)
           != 0
        || text.data[AI_MODELS_HEAD - 1] != '\n'
        || text.data[text.len - 1] != '\n')
    {
        return NULL;
    }

    for (n = 0, i = AI_MODELS_HEAD; i < text.len; i++) {
        n += text.data[i] == '\n';
    }

    if (n > AI_MODELS_MAX) {
        return NULL;
    }

    m = malloc(sizeof(ai_models_t) + n * sizeof(ai_models_row_t) + text.len);
    if (m == NULL) {
        return NULL;
    }

    m->n = (unsigned) n;
    m->rows = (ai_models_row_t *) (void *) (m + 1);
    copy = (char *) (m->rows + n);
    memcpy(copy, text.data, text.len);
    rest = (ai_str_t) { text.len - AI_MODELS_HEAD, copy + AI_MODELS_HEAD };

    for (i = 0; i < n; i++) {
        end = memchr(rest.data, '\n', rest.len);
        line = (ai_str_t) { (size_t) (end - rest.data), rest.data };
        rest.data += line.len + 1;
        rest.len -= line.len + 1;

        if (ai_models_row(line, &m->rows[i]) != 0
            || (i && ai_models_cmp(m->rows[i - 1].id, m->rows[i].id) >= 0))
        {
            free(m);
            return NULL;
        }
    }

    return m;
}


void
ai_models_free(ai_models_t *m)
{
    free(m);
}


const ai_models_row_t *
ai_models_find(const ai_models_t *m, ai_str_t id)
{
    int       rc;
    unsigned  i, low, high;

    low = 0;
    high = m->n;

    while (low < high) {
        i = low + (high - low) / 2;
        rc = ai_models_cmp(m->rows[i].id, id);

        if (rc == 0) {
            return &m->rows[i];
        }

        if (rc < 0) {
            low = i + 1;

        } else {
            high = i;
        }
    }

    return NULL;
}


void
ai_models_price(const ai_models_row_t *row, ai_price_t *price)
{
    unsigned          i;
    ai_price_tier_t  *tier;

    ai_price_init(price);

    for (i = 0; i < AI_PRICE_KINDS && row->of[i] < 0; i++) { /* void */ }

    if (i < AI_PRICE_KINDS) {
        tier = ai_price_add(price, 0);
        memcpy(tier->of, row->of, sizeof(tier->of));
    }
}


static int
ai_models_row(ai_str_t line, ai_models_row_t *row)
{
    size_t       i;
    ai_str_t     value;
    const char  *tab;

    ai_models_init(row);

    for (i = 0; i < AI_PRICE_KINDS + 3; i++) {
        tab = memchr(line.data, '\t', line.len);
        value = line;

        if (i + 1 < AI_PRICE_KINDS + 3) {

            if (tab == NULL) {
                return -1;
            }

            value.len = (size_t) (tab - line.data);
            line.data = tab + 1;
            line.len -= value.len + 1;

        } else if (tab != NULL) {
            return -1;
        }

        if (i == 0) {
            row->id = value;

            if (!ai_models_id_ok(value)) {
                return -1;
            }

        } else if (ai_models_number(value, i < 3 ? AI_MODELS_TOKENS_MAX
                                                 : AI_PRICE_MAX,
                                    i == 1 ? &row->context
                                    : i == 2 ? &row->output
                                    : &row->of[i - 3])
                   != 0)
        {
            return -1;
        }
    }

    return 0;
}


static int
ai_models_number(ai_str_t s, int64_t max, int64_t *n)
{
    if (ai_str_eqz(s, "-")) {
        return 0;
    }

    return ai_str_int(s, n) != 0 || *n < 0 || *n > max ? -1 : 0;
}


static int
ai_models_cmp(ai_str_t one, ai_str_t two)
{
    int     rc;
    size_t  len;

    len = one.len < two.len ? one.len : two.len;
    rc = len != 0 ? memcmp(one.data, two.data, len) : 0;

    return rc ? rc : one.len < two.len ? -1 : one.len > two.len;
}
