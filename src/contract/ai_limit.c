/*
 * Limits as text.  Constant tables, values only.
 */

#include "ai_limit.h"

#include <string.h>

#include "ai_crypto.h"
#include "ai_record.h"
#include "ai_usage.h"

/* Lua counts in doubles: beyond 2^53 it would not be exact. */
#define AI_LIMIT_USD_MAX    9000000000000000LL
#define AI_LIMIT_COUNT_MAX  1000000000000LL
#define AI_LIMIT_JOBS_MAX   1000000LL

/* A counter's name: kind, window and subject. */
#define AI_LIMIT_WHAT_MAX   96


static void ai_limit_pack_int(ai_buf_t *b, int64_t n);
static void ai_limit_pack_bool(ai_buf_t *b, int is);
static void ai_limit_pack_str(ai_buf_t *b, ai_str_t s);
static void ai_limit_subject(ai_buf_t *b, ai_level_e level, ai_str_t value);
static int ai_limit_safe(ai_str_t value);


static const char *const  ai_level_names[] = {
    "tenant", "user", "key", "model", "endpoint", "address"
};

#define AI_LEVELS  (sizeof(ai_level_names) / sizeof(ai_level_names[0]))


static const struct {
    const char *text;
    char        window;
    int         seconds;
    const char *words;
} ai_limit_windows[] = {
    { "s", 's', 1, "second" },
    { "m", 'm', 60, "minute" },
    { "h", 'h', 3600, "hour" },
    { "day", 'd', 86400, "day" },
    { "month", 'M', 30 * 86400, "month" }
};

#define AI_LIMIT_WINDOWS  \
    (sizeof(ai_limit_windows) / sizeof(ai_limit_windows[0]))


int
ai_level_parse(ai_str_t text, ai_level_e *level)
{
    size_t  i;

    for (i = 0; i < AI_LEVELS; i++) {
        if (ai_str_eqz(text, ai_level_names[i])) {
            *level = (ai_level_e) i;
            return 0;
        }
    }

    return -1;
}


const char *
ai_level_name(ai_level_e level)
{
    return ai_level_names[level];
}


int
ai_limit_parse(ai_limit_t *l, ai_str_t text)
{
    size_t       i;
    int64_t      n;
    ai_str_t     amount, per;
    const char  *slash;

    if (text.len == 0) {
        return -1;
    }

    if (l->kind == AI_LIMIT_CONCURRENCY) {
        if (ai_str_int(text, &n) != 0 || n < 1 || n > AI_LIMIT_JOBS_MAX) {
            return -1;
        }

        l->max = n;
        l->window = '-';

        return 0;
    }

    slash = memchr(text.data, '/', text.len);

    if (slash == NULL) {
        return -1;
    }

    amount = (ai_str_t) { (size_t) (slash - text.data), text.data };
    per = (ai_str_t) { text.len - amount.len - 1, slash + 1 };

    for (i = 0; i < AI_LIMIT_WINDOWS; i++) {
        if (ai_str_eqz(per, ai_limit_windows[i].text)) {
            break;
        }
    }

    if (i == AI_LIMIT_WINDOWS) {
        return -1;
    }

    if (l->kind == AI_LIMIT_BUDGET) {

        if (amount.len < 4
            || memcmp(amount.data + amount.len - 3, "usd", 3) != 0)
        {
            return -1;
        }

        amount.len -= 3;

        if (ai_money_parse(amount, &n) != 0 || n < 1 || n > AI_LIMIT_USD_MAX) {
            return -1;
        }

    } else if (ai_str_int(amount, &n) != 0 || n < 1 || n > AI_LIMIT_COUNT_MAX)
    {
        return -1;
    }

    l->max = n;
    l->window = ai_limit_windows[i].window;

    return 0;
}


void
ai_limit_say(ai_buf_t *b, const ai_limit_t *l)
{
    char    money[32];
    size_t  i;

    ai_buf_add_z(b, ai_level_names[l->level]);
    ai_buf_add_z(b, " limit of ");

    if (l->kind == AI_LIMIT_BUDGET) {
        i = ai_money_print(money, sizeof(money), l->max);
        ai_buf_add(b, money, i);
        ai_buf_add_z(b, " USD");

    } else {
        ai_buf_add_int(b, l->max);
        ai_buf_add_z(b, l->kind == AI_LIMIT_REQUESTS ? " request"
                        : l->kind == AI_LIMIT_TOKENS ? " token"
                        : " concurrent request");
        ai_buf_add_z(b, l->max == 1 ? "" : "s");
    }

    for (i = 0; i < AI_LIMIT_WINDOWS; i++) {
        if (ai_limit_windows[i].window == l->window) {
            ai_buf_add_z(b, " per ");
            ai_buf_add_z(b, ai_limit_windows[i].words);
        }
    }
}


int64_t
ai_limit_seconds(const ai_limit_t *l)
{
    size_t  i;

    for (i = 0; i < AI_LIMIT_WINDOWS; i++) {
        if (ai_limit_windows[i].window == l->window) {
            return ai_limit_windows[i].seconds;
        }
    }

    return 0;
}


/* Few of MessagePack's forms; Lua reads all of a policy in one call. */

static void
ai_limit_pack_int(ai_buf_t *b, int64_t n)
{
    char      text[9];
    unsigned  i;

    text[0] = (char) 0xcf;

    for (i = 0; i < 8; i++) {
        text[1 + i] = (char) ((uint64_t) n >> (56 - 8 * i));
    }

    ai_buf_add(b, text, sizeof(text));
}


static void
ai_limit_pack_bool(ai_buf_t *b, int is)
{
    ai_buf_add(b, is ? "\xc3" : "\xc2", 1);
}


/* Less than 256 bytes. */

static void
ai_limit_pack_str(ai_buf_t *b, ai_str_t s)
{
    char  head[2];

    head[0] = (char) 0xd9;
    head[1] = (char) s.len;

    ai_buf_add(b, head, sizeof(head));
    ai_buf_add_str(b, s);
}


void
ai_limit_head(ai_buf_t *b, const ai_limit_want_t *want)
{
    char      name[AI_LIMIT_WHAT_MAX];
    ai_buf_t  n;

    ai_limit_pack_int(b, want->input);

    if (want->output < 0) {
        ai_limit_pack_bool(b, 0);

    } else {
        ai_limit_pack_int(b, want->output);
    }

    ai_limit_pack_int(b, want->cost);
    ai_limit_pack_int(b, want->price);

    ai_buf_init(&n, name, sizeof(name));

    if (want->name.len == 0) {
        ai_buf_add_z(&n, "-");

    } else {
        ai_limit_subject(&n, AI_LEVEL_MODEL, want->name);
    }

    ai_limit_pack_str(b, (ai_str_t) { ai_buf_len(&n), name });
    b->full |= n.full;
}


void
ai_limit_line(ai_buf_t *b, const ai_limit_t *l, int dry, ai_str_t value)
{
    char      what[AI_LIMIT_WHAT_MAX];
    ai_buf_t  w;

    ai_buf_init(&w, what, sizeof(what));
    ai_buf_add(&w, &l->kind, 1);
    ai_buf_add(&w, &l->window, 1);
    ai_buf_add_z(&w, ":");
    ai_limit_subject(&w, l->level, value);

    ai_limit_pack_str(b, (ai_str_t) { ai_buf_len(&w), what });
    ai_limit_pack_str(b, (ai_str_t) { 1, &l->kind });
    ai_limit_pack_str(b, (ai_str_t) { 1, &l->window });
    ai_limit_pack_int(b, l->max);
    ai_limit_pack_bool(b, dry);
    b->full |= w.full;
}


int
ai_limit_next(ai_str_t *text, int64_t *remaining, int64_t *reset)
{
    int          n;
    size_t       len;
    int64_t     *number;
    ai_str_t     word;

    for (n = 0; n < 2; n++) {
        number = n == 0 ? remaining : reset;

        for (len = 0; len < text->len && text->data[len] != ' '; len++) {
            /* void */
        }

        word = (ai_str_t) { len, text->data };

        if (n == 1 && ai_str_eqz(word, "-")) {
            *number = -1;

        } else if (ai_str_int(word, number) != 0 || *number < 0) {
            return 0;
        }

        text->data += len;
        text->len -= len;

        if (text->len) {
            text->data++;
            text->len--;
        }
    }

    return 1;
}


void
ai_limit_seed(ai_buf_t *b, const ai_limit_t *l, ai_str_t value)
{
    char      text[AI_LIMIT_LINE_MAX], head[3];
    ai_buf_t  c;

    head[0] = l->kind;
    head[1] = l->window;
    head[2] = ':';

    ai_buf_init(&c, text, sizeof(text));
    ai_buf_add(&c, head, sizeof(head));
    ai_limit_subject(&c, l->level, value);

    if (c.full) {
        b->full = 1;
        return;
    }

    ai_record_add(b, "counter", (ai_str_t) { ai_buf_len(&c), text });
    ai_record_add(b, "value", value);
}


int
ai_limit_counter(ai_str_t counter, char *kind, char *window,
    ai_level_e *level)
{
    size_t    len;
    ai_str_t  name;

    if (counter.len < 4 || counter.len > AI_LIMIT_LINE_MAX
        || counter.data[2] != ':')
    {
        return -1;
    }

    *kind = counter.data[0];
    *window = counter.data[1];
    name = (ai_str_t) { counter.len - 3, counter.data + 3 };

    for (len = 0; len < name.len; len++) {

        if (name.data[len] <= ' ' || name.data[len] == 0x7F) {
            return -1;
        }
    }

    for (len = 0; len < name.len && name.data[len] != ':'; len++) {
        /* void */
    }

    name.len = len;

    if ((*kind != AI_LIMIT_REQUESTS && *kind != AI_LIMIT_TOKENS
         && *kind != AI_LIMIT_BUDGET)
        || (*window != 'd' && *window != 'M')
        || ai_level_parse(name, level) != 0 || *level == AI_LEVEL_ADDRESS)
    {
        return -1;
    }

    return 0;
}


static void
ai_limit_subject(ai_buf_t *b, ai_level_e level, ai_str_t value)
{
    char  hex[AI_SHA256_HEX];

    ai_buf_add_z(b, ai_level_names[level]);

    if (level == AI_LEVEL_TENANT) {
        return;
    }

    ai_buf_add_z(b, ":");

    if (ai_limit_safe(value)) {
        ai_buf_add_str(b, value);

    } else if (ai_sha256_hex(hex, value) == 0) {
        ai_buf_add_z(b, "~");
        ai_buf_add(b, hex, sizeof(hex));

    } else {
        b->full = 1;
    }
}


static int
ai_limit_safe(ai_str_t value)
{
    char    c;
    size_t  i;

    if (value.len == 0 || value.len > 64) {
        return 0;
    }

    for (i = 0; i < value.len; i++) {
        c = value.data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z')
            && !(c >= '0' && c <= '9')
            && (c == '\0' || strchr("._:/@-", c) == NULL))
        {
            return 0;
        }
    }

    return 1;
}
