/*
 * Lists of models: written, read, found; what is none is none.
 */

#include "ai_unit.h"

#include "ai_models.h"


#define DASHES  "\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-"
#define HEAD    "models 1 0123456789abcdef0123456789abcdef0123456789abcdef"    \
                "0123456789abcdef\n"


static void
written_and_read(void **state)
{
    char                    mem[4096];
    size_t                  i;
    ai_buf_t                b;
    ai_price_t              price;
    ai_models_t            *m;
    ai_models_row_t         row;
    const ai_models_row_t  *found;

    static const char *const  ids[] = { "a", "a/b", "ab", "b:free" };

    (void) state;

    ai_buf_init(&b, mem + AI_MODELS_HEAD, sizeof(mem) - AI_MODELS_HEAD);

    for (i = 0; i < 4; i++) {
        ai_models_init(&row);
        row.id = Z(ids[i]);

        if (i == 1) {
            row.context = 128000;
            row.output = 4096;
            row.of[AI_PRICE_INPUT] = 2500000000;
            row.of[AI_PRICE_REQUEST] = 0;
        }

        ai_models_add(&b, &row);
    }

    assert_false(b.full);
    assert_int_equal(ai_models_head(mem, (ai_str_t) { ai_buf_len(&b),
                                                      b.start }), 0);
    assert_memory_equal(mem + AI_MODELS_HEAD,
                        "a\t-\t-" DASHES "\na/b\t128000\t4096"
                        "\t-\t-\t-\t-\t-\t-\t-\t2500000000\t-\t-\t0\nab\t",
                        75);

    m = ai_models_parse((ai_str_t) { AI_MODELS_HEAD + ai_buf_len(&b), mem });
    assert_non_null(m);
    assert_int_equal(m->n, 4);
    memset(mem, 0, sizeof(mem));

    for (i = 0; i < 4; i++) {
        found = ai_models_find(m, Z(ids[i]));
        assert_ptr_equal(found, &m->rows[i]);
        is_str(found->id, ids[i]);
        ai_models_price(found, &price);
        assert_int_equal(ai_price_known(&price), i == 1);
    }

    found = ai_models_find(m, T("a/b"));
    assert_int_equal(found->context, 128000);
    assert_int_equal(found->output, 4096);
    ai_models_price(found, &price);
    assert_true(ai_price_of(&price, 5, AI_PRICE_INPUT) == 2500000000);
    assert_true(price.tier[0].of[AI_PRICE_OUTPUT] == -1);

    assert_null(ai_models_find(m, T("aa")));
    assert_null(ai_models_find(m, T("c")));
    assert_null(ai_models_find(m, EMPTY));
    ai_models_free(m);

    m = ai_models_parse(T(HEAD));
    assert_non_null(m);
    assert_null(ai_models_find(m, T("a")));
    ai_models_free(m);
}


static void
none(void **state)
{
    size_t       i;
    ai_models_t *m;

    static const char *const  bad[] = {
        "", "models 1 ", "models 2", "a" DASHES "\n",
        HEAD "a\n", HEAD "a" DASHES "\n", HEAD "a\t-\t-" DASHES,
        HEAD "a\t-\t-" DASHES "\t-\n", HEAD "\t-\t-" DASHES "\n",
        HEAD "b\t-\t-" DASHES "\na\t-\t-" DASHES "\n",
        HEAD "a\t-\t-" DASHES "\na\t-\t-" DASHES "\n",
        HEAD "a\t-1\t-" DASHES "\n", HEAD "a\tx\t-" DASHES "\n",
        HEAD "a\t1000000001\t-" DASHES "\n",
        HEAD "a\xff\t-\t-" DASHES "\n", HEAD "a\r\t-\t-" DASHES "\n",
        HEAD "a\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t1000000000000001\n",
        HEAD "\n"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        m = ai_models_parse(Z(bad[i]));

        if (m != NULL) {
            fail_msg("%zu is read", i);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(written_and_read),
        cmocka_unit_test(none)
    };

    return run_group(tests);
}
