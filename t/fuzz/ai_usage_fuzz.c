/*
 * Usage lines: written again they read the same and are never too long; cost
 * and money never trap.
 */

#include "ai_fuzz.h"

#include "ai_price.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char         line[AI_USAGE_LINE_MAX], again[AI_USAGE_LINE_MAX];
    char         money[24];
    int64_t      nano, back;
    ai_buf_t     b, b2;
    ai_str_t     text;
    ai_price_t   price;
    ai_usage_t   u, u2;

    text = (ai_str_t) { size, (const char *) data };

    if (ai_usage_parse(text, &u) == 0) {
        must_be_in(u.state, text);
        must_be_in(u.cause, text);

        ai_buf_init(&b, line, sizeof(line));
        ai_usage_write(&b, &u);
        must(!b.full);

        /* Cut and cleaned once, nothing more changes. */
        must(ai_usage_parse((ai_str_t) { ai_buf_len(&b), line }, &u2) == 0);
        ai_buf_init(&b2, again, sizeof(again));
        ai_usage_write(&b2, &u2);
        must(ai_buf_len(&b) == ai_buf_len(&b2));
        must(memcmp(line, again, ai_buf_len(&b)) == 0);

        if (size >= sizeof(price)) {
            memcpy(&price, data + size - sizeof(price), sizeof(price));
            price.tiers %= AI_PRICE_TIERS + 1;
            must(ai_usage_cost(&u, &price) >= 0);
        }
    }

    if (ai_money_parse(text, &nano) == 0) {
        size_t  len = ai_money_print(money, sizeof(money), nano);

        must(len > 0);
        must(ai_money_parse((ai_str_t) { len, money }, &back) == 0);
        must(back == nano);
    }

    return 0;
}
