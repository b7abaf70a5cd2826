/*
 * Lists of models: of what is read each name is found, and each row can be
 * written again.
 */

#include "ai_fuzz.h"

#include "ai_models.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char          row[AI_MODELS_ROW_MAX];
    size_t        at;
    unsigned      i;
    ai_buf_t      b;
    ai_str_t      text;
    ai_price_t    price;
    ai_models_t  *m;

    text = (ai_str_t) { size, (const char *) data };
    m = ai_models_parse(text);

    if (m == NULL) {
        return 0;
    }

    for (i = 0, at = AI_MODELS_HEAD; i < m->n; i++) {
        must(ai_models_id_ok(m->rows[i].id));
        must(ai_models_find(m, m->rows[i].id) == &m->rows[i]);
        ai_models_price(&m->rows[i], &price);
        must(ai_price_of(&price, 1000, AI_PRICE_INPUT) >= 0);

        ai_buf_init(&b, row, sizeof(row));
        ai_models_add(&b, &m->rows[i]);
        must(!b.full);
        must(at < size);
        at = (size_t) ((const char *) memchr(text.data + at, '\n', size - at)
                       - text.data) + 1;
    }

    must(at == size);
    ai_models_free(m);

    return 0;
}
