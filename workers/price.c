/*
 * Prices out of the catalog's JSON.  Owns nothing.
 */

#include "price.h"

#include <stdlib.h>
#include <string.h>


static void price_read_tier(const json_t *value, ai_price_tier_t *tier);


void
price_read(const json_t *value, ai_price_t *price)
{
    size_t            i;
    json_t           *one;
    ai_price_tier_t  *tier;

    ai_price_init(price);

    if (!json_is_object(value)) {
        return;
    }

    price_read_tier(value, ai_price_add(price, 0));

    json_array_foreach(json_object_get(value, "tiers"), i, one) {
        tier = ai_price_add(price,
                         json_integer_value(json_object_get(one, "above")));

        if (tier == NULL) {
            return;
        }

        price_read_tier(json_object_get(one, "of"), tier);
    }
}


int
price_table(json_t *prices, ai_price_t **table)
{
    void    *iter;
    size_t   n;

    n = json_object_size(prices);

    if (n == 0) {
        return 0;
    }

    *table = malloc(n * sizeof(**table));
    if (*table == NULL) {
        return -1;
    }

    n = 0;

    for (iter = json_object_iter(prices); iter != NULL;
         iter = json_object_iter_next(prices, iter))
    {
        price_read(json_object_iter_value(iter), &(*table)[n]);

        if (json_object_iter_set_new(prices, iter,
                                     json_integer((json_int_t) n++))
            != 0)
        {
            return -1;
        }
    }

    return 0;
}


static void
price_read_tier(const json_t *value, ai_price_tier_t *tier)
{
    int          kind;
    json_t      *n;
    const char  *key;

    json_object_foreach((json_t *) value, key, n) {
        kind = ai_price_kind((ai_str_t) { strlen(key), key });

        if (kind >= 0 && json_is_integer(n) && json_integer_value(n) >= 0) {
            tier->of[kind] = json_integer_value(n);
        }
    }
}
