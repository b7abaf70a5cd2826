/*
 * Prices and costs.  Owns nothing.
 */

#include "ai_price.h"

#include <string.h>


#define AI_PRICE_PER     1000000    /* tokens that a price is for */
#define AI_PRICE_DIGITS  15         /* of a USD per token: nano and the above */

/* Tokens times price is up to 2^126; cached ones are less than 2^64, or with
 * what is left of the input less than 2^63, output ones less than 2^63: all
 * together stay below 2^128. */
__extension__ typedef unsigned __int128  ai_price_wide_t;


static const ai_price_tier_t *ai_price_tier(const ai_price_t *p,
    int64_t input);
static int64_t ai_price_declared(const ai_price_tier_t *t, ai_price_e kind);
static void ai_price_charge(ai_price_wide_t *sum, const ai_price_tier_t *t,
    ai_price_e kind, int64_t n);
static int64_t ai_price_part(ai_price_wide_t *sum, const ai_price_tier_t *t,
    ai_price_e kind, int64_t n, int64_t rest);
static int64_t ai_price_count(int64_t n);


/* What a kind costs where it is not declared; itself: nothing. */
static const struct {
    const char *name;
    ai_price_e  otherwise;
} ai_price_kinds[AI_PRICE_KINDS] = {
    { "audio", AI_PRICE_INPUT },
    { "audio_output", AI_PRICE_OUTPUT },
    { "cached", AI_PRICE_INPUT },
    { "cached_write", AI_PRICE_INPUT },
    { "cached_write_1h", AI_PRICE_CACHED_WRITE },
    { "image", AI_PRICE_INPUT },
    { "image_output", AI_PRICE_OUTPUT },
    { "input", AI_PRICE_INPUT },
    { "output", AI_PRICE_OUTPUT },
    { "reasoning", AI_PRICE_OUTPUT },
    { "request", AI_PRICE_REQUEST }
};


const char *
ai_price_name(unsigned kind)
{
    return kind < AI_PRICE_KINDS ? ai_price_kinds[kind].name : NULL;
}


int
ai_price_kind(ai_str_t name)
{
    unsigned  i;

    for (i = 0; i < AI_PRICE_KINDS; i++) {
        if (ai_str_eqz(name, ai_price_kinds[i].name)) {
            return (int) i;
        }
    }

    return -1;
}


void
ai_price_init(ai_price_t *p)
{
    memset(p, 0, sizeof(ai_price_t));
}


ai_price_tier_t *
ai_price_add(ai_price_t *p, int64_t above)
{
    unsigned          i;
    ai_price_tier_t  *t;

    if (p->tiers == AI_PRICE_TIERS || above > AI_PRICE_ABOVE_MAX
        || above < 0 || (p->tiers != 0) != (above > 0)
        || (p->tiers && above <= p->tier[p->tiers - 1].above))
    {
        return NULL;
    }

    t = &p->tier[p->tiers];

    if (p->tiers++) {
        *t = t[-1];

    } else {
        for (i = 0; i < AI_PRICE_KINDS; i++) {
            t->of[i] = -1;
        }
    }

    t->above = above;

    return t;
}


int
ai_price_known(const ai_price_t *p)
{
    unsigned  i;

    for (i = 0; i < AI_PRICE_KINDS; i++) {
        if (p->tiers && p->tier[0].of[i] >= 0) {
            return 1;
        }
    }

    return 0;
}


int64_t
ai_price_of(const ai_price_t *p, int64_t input, ai_price_e kind)
{
    return p->tiers ? ai_price_declared(ai_price_tier(p, input), kind) : 0;
}


int64_t
ai_usage_cost(const ai_usage_t *u, const ai_price_t *p)
{
    int64_t                 rest, cached, hour;
    ai_price_wide_t         sum;
    const ai_price_tier_t  *t;

    if (p->tiers == 0) {
        return 0;
    }

    rest = ai_price_count(u->input);
    t = ai_price_tier(p, rest);
    sum = AI_PRICE_PER / 2;

    cached = ai_price_count(u->cached_read);
    ai_price_charge(&sum, t, AI_PRICE_CACHED, cached);
    rest = rest > cached ? rest - cached : 0;

    cached = ai_price_count(u->cached_write);
    hour = ai_price_count(u->cached_write_1h);
    hour = hour < cached ? hour : cached;
    ai_price_charge(&sum, t, AI_PRICE_CACHED_WRITE, cached - hour);
    ai_price_charge(&sum, t, AI_PRICE_CACHED_WRITE_1H, hour);
    rest = rest > cached ? rest - cached : 0;

    rest = ai_price_part(&sum, t, AI_PRICE_AUDIO, u->audio_input, rest);
    rest = ai_price_part(&sum, t, AI_PRICE_IMAGE, u->image_input, rest);
    ai_price_charge(&sum, t, AI_PRICE_INPUT, rest);

    rest = ai_price_count(u->output);
    rest = ai_price_part(&sum, t, AI_PRICE_REASONING, u->reasoning, rest);
    rest = ai_price_part(&sum, t, AI_PRICE_AUDIO_OUTPUT, u->audio_output,
                         rest);
    rest = ai_price_part(&sum, t, AI_PRICE_IMAGE_OUTPUT, u->image_output,
                         rest);
    ai_price_charge(&sum, t, AI_PRICE_OUTPUT, rest);

    ai_price_charge(&sum, t, AI_PRICE_REQUEST, AI_PRICE_PER);

    sum /= AI_PRICE_PER;

    return sum > INT64_MAX ? INT64_MAX : (int64_t) sum;
}


size_t
ai_price_print(char *buf, size_t size, ai_price_e kind, int64_t price)
{
    char       digits[AI_PRICE_DIGITS];
    size_t     len;
    int64_t    part, unit;
    ai_buf_t   b;

    if (kind == AI_PRICE_REQUEST) {
        return ai_money_print(buf, size, price);
    }

    unit = 1000000000LL * AI_PRICE_PER;
    ai_buf_init(&b, buf, size);
    ai_buf_add_int(&b, price / unit);
    part = price % unit;

    if (part) {
        for (len = AI_PRICE_DIGITS; len > 0; len--) {
            digits[len - 1] = (char) ('0' + part % 10);
            part /= 10;
        }

        for (len = AI_PRICE_DIGITS; digits[len - 1] == '0'; len--) {
            /* void */
        }

        ai_buf_add_z(&b, ".");
        ai_buf_add(&b, digits, len);
    }

    ai_buf_add(&b, "", 1);

    return b.full ? 0 : ai_buf_len(&b) - 1;
}


int
ai_price_scan(ai_str_t s, ai_price_e kind, int64_t *price)
{
    int       up;
    size_t    i, part, digits;
    int64_t   n;

    part = kind == AI_PRICE_REQUEST ? AI_PRICE_DIGITS - 6 : AI_PRICE_DIGITS;
    n = 0;
    up = 0;
    digits = 0;

    for (i = 0; i < s.len && s.data[i] >= '0' && s.data[i] <= '9'; i++) {
        n = n * 10 + (s.data[i] - '0');

        if (n > AI_PRICE_MAX) {
            return -1;
        }
    }

    if (i == 0 || (i < s.len && (s.data[i] != '.' || i + 1 == s.len))) {
        return -1;
    }

    for (i++; i < s.len; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return -1;
        }

        if (digits < part) {
            digits++;
            n = n * 10 + (s.data[i] - '0');

            if (n > AI_PRICE_MAX) {
                return -1;
            }

        } else if (s.data[i] != '0') {
            up = 1;
        }
    }

    for ( /* void */ ; digits < part; digits++) {
        n *= 10;

        if (n > AI_PRICE_MAX) {
            return -1;
        }
    }

    *price = n + up;

    return 0;
}


static const ai_price_tier_t *
ai_price_tier(const ai_price_t *p, int64_t input)
{
    unsigned  i;

    for (i = p->tiers - 1; i > 0 && input <= p->tier[i].above; i--) {
        /* void */
    }

    return &p->tier[i];
}


static int64_t
ai_price_declared(const ai_price_tier_t *t, ai_price_e kind)
{
    while (t->of[kind] < 0 && ai_price_kinds[kind].otherwise != kind) {
        kind = ai_price_kinds[kind].otherwise;
    }

    return t->of[kind] < 0 ? 0 : t->of[kind];
}


static void
ai_price_charge(ai_price_wide_t *sum, const ai_price_tier_t *t,
    ai_price_e kind, int64_t n)
{
    if (n) {
        *sum += (ai_price_wide_t) n
                * (ai_price_wide_t) ai_price_declared(t, kind);
    }
}


/* Charges what is of this kind, and says what is left of all. */

static int64_t
ai_price_part(ai_price_wide_t *sum, const ai_price_tier_t *t,
    ai_price_e kind, int64_t n, int64_t rest)
{
    n = ai_price_count(n);
    n = n < rest ? n : rest;
    ai_price_charge(sum, t, kind, n);

    return rest - n;
}


static int64_t
ai_price_count(int64_t n)
{
    return n < 0 ? 0 : n;
}
