/*
 * Circuit breakers: what workers tell each other, over one channel and for
 * those that come later in one hash, and who may try one that was open.
 * Messages name who says them:
 *
 *     C <id> <failures> <successes> <name>
 *     O <id> <ms> <times> <name>           open, or benched, for so long
 *     X <id> <name>                        closed
 */

#include "breaker_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai_keys.h"


#define BREAKER_KEEP_MSEC  "600000" /* the hash, after its last change */


static void breakers_on_ready(redis_t *rc, ai_resp_t *reply, void *data);
static breaker_t *breaker_half(breakers_t *b, const route_t *route);
static size_t breaker_permit(char *buf, size_t size, uint64_t hash);
static int breaker_number(ai_str_t *text, uint64_t *n);


void
breakers_ready(breakers_t *b)
{
    redis_commandf(b->w->redis, breakers_on_ready, b, "HGETALL %s",
                   AI_BREAKERS_KEY);
}


/* Fields are names, values "<ms of the wall clock> <times>". */

static void
breakers_on_ready(redis_t *rc, ai_resp_t *reply, void *data)
{
    size_t       i;
    ai_str_t     value;
    uint64_t     until, times, wall;
    breaker_t   *br;
    breakers_t  *b;

    (void) rc;

    b = data;

    if (reply == NULL || reply->type != AI_RESP_ARRAY) {
        return;
    }

    wall = loop_wall_usec() / 1000;

    for (i = 0; i + 1 < reply->elements && b->n < BREAKERS_MAX; i += 2) {
        value = redis_str(redis_item(reply, i + 1));

        if (breaker_number(&value, &until) != 0
            || breaker_number(&value, &times) != 0
            || until > wall + BREAKER_BENCH_MAX || until + BREAKER_IDLE_MSEC
                                                   < wall
            || (br = breaker_make(b, redis_str(redis_item(reply, i))))
               == NULL)
        {
            continue;
        }

        if (br->times == 0) {
            br->times = times < BREAKER_TIMES_MAX ? (unsigned) times
                                                  : BREAKER_TIMES_MAX;
            br->open_msec = breaker_now(b)
                            + (until > wall ? until - wall : 0);
        }
    }
}


void
breakers_heard(breakers_t *b, ai_str_t text)
{
    char         letter;
    ai_str_t     id;
    uint64_t     one, two;
    breaker_t   *br;
    const char  *blank;

    if (text.len < 3 || text.data[1] != ' ') {
        return;
    }

    letter = text.data[0];
    text.data += 2;
    text.len -= 2;
    blank = memchr(text.data, ' ', text.len);

    if (blank == NULL) {
        return;
    }

    id = (ai_str_t) { (size_t) (blank - text.data), text.data };
    text.data += id.len + 1;
    text.len -= id.len + 1;
    one = 0;
    two = 0;

    if (ai_str_eqz(id, b->w->id)
        || (letter != 'X' && (breaker_number(&text, &one) != 0
                              || breaker_number(&text, &two) != 0)))
    {
        return;
    }

    br = letter == 'X' ? breaker_find(b, text) : breaker_make(b, text);

    if (br == NULL) {
        return;
    }

    switch (letter) {

    case 'C':
        if (one <= 1000000 && two <= 1000000) {
            breaker_count(b, br, (unsigned) one, (unsigned) two);
        }

        break;

    case 'O':
        if (one <= BREAKER_BENCH_MAX && two <= BREAKER_TIMES_MAX) {
            one += breaker_now(b);
            br->open_msec = one > br->open_msec ? one : br->open_msec;
            br->times = (unsigned) two;
            br->failures = 0;
            br->successes = 0;
        }

        break;

    case 'X':
        br->times = 0;
        br->open_msec = 0;
        br->failures = 0;
        break;

    default:
        break;
    }
}


void
breaker_tell(breakers_t *b, char letter, const breaker_t *br, uint64_t one,
    uint64_t two)
{
    int       n;
    char      text[BREAKER_NAME_MAX + AI_PROCESS_ID_MAX + 64];
    ai_str_t  argv[3];

    n = letter == 'X'
        ? snprintf(text, sizeof(text), "X %s ", b->w->id)
        : snprintf(text, sizeof(text), "%c %s %u %u ", letter, b->w->id,
                   (unsigned) one, (unsigned) two);

    memcpy(text + n, br->name, br->len);
    argv[0] = ai_str("PUBLISH");
    argv[1] = ai_str(AI_BREAKERS_CHANNEL);
    argv[2] = (ai_str_t) { (size_t) n + br->len, text };
    redis_command(b->w->redis, NULL, NULL, 3, argv);
}


void
breaker_store(breakers_t *b, const breaker_t *br)
{
    char      value[64];
    ai_str_t  argv[4];

    argv[0] = ai_str("HSET");
    argv[1] = ai_str(AI_BREAKERS_KEY);
    argv[2] = (ai_str_t) { br->len, br->name };
    argv[3].data = value;
    argv[3].len = (size_t) snprintf(value, sizeof(value), "%llu %u",
                                    (unsigned long long)
                                    (loop_wall_usec() / 1000 + br->open_msec
                                     - breaker_now(b)), br->times);
    redis_command(b->w->redis, NULL, NULL, 4, argv);
    redis_commandf(b->w->redis, NULL, NULL, "PEXPIRE %s %s", AI_BREAKERS_KEY,
                   BREAKER_KEEP_MSEC);
}


void
breaker_unstore(breakers_t *b, const breaker_t *br)
{
    ai_str_t  argv[3];

    argv[0] = ai_str("HDEL");
    argv[1] = ai_str(AI_BREAKERS_KEY);
    argv[2] = (ai_str_t) { br->len, br->name };
    redis_command(b->w->redis, NULL, NULL, 3, argv);
}


/* Probes: who has the permit in Redis, alone. */

static breaker_t *
breaker_half(breakers_t *b, const route_t *route)
{
    breaker_t  *br;

    br = breaker_of(b, BREAKER_PROVIDER, route, 0);

    if (br == NULL || br->times == 0) {
        br = breaker_of(b, BREAKER_MODEL, route, 0);
    }

    return br;
}


static size_t
breaker_permit(char *buf, size_t size, uint64_t hash)
{
    return (size_t) snprintf(buf, size, "%s:%016llx", AI_BREAKERS_KEY,
                             (unsigned long long) hash);
}


int
breaker_probe(breakers_t *b, const route_t *route, redis_reply_pt done,
    void *data)
{
    char        key[AI_KEY_MAX], msec[24];
    ai_str_t    argv[6];
    breaker_t  *br;

    br = breaker_half(b, route);

    if (br == NULL) {
        return -1;
    }

    argv[0] = ai_str("SET");
    argv[1].data = key;
    argv[1].len = breaker_permit(key, sizeof(key), br->hash);
    argv[2] = (ai_str_t) { strlen(b->w->id), b->w->id };
    argv[3] = ai_str("NX");
    argv[4] = ai_str("PX");
    argv[5].data = msec;
    argv[5].len = (size_t) snprintf(msec, sizeof(msec), "%d",
                                    BREAKER_PROBE_MSEC);

    return redis_command(b->w->redis, done, data, 6, argv);
}


void
breaker_unprobe(breakers_t *b, const route_t *route)
{
    char        key[AI_KEY_MAX], name[BREAKER_NAME_MAX];
    size_t      i;
    ai_str_t    argv[2];

    static const breaker_kind_e  kinds[] = {
        BREAKER_PROVIDER, BREAKER_MODEL
    };

    argv[0] = ai_str("DEL");
    argv[1].data = key;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        argv[1].len = breaker_permit(key, sizeof(key),
                                     breaker_hash(breaker_name(name, kinds[i],
                                                               route, 0)));
        redis_command(b->w->redis, NULL, NULL, 2, argv);
    }
}


/* The number before a blank, or the end. */

static int
breaker_number(ai_str_t *text, uint64_t *n)
{
    size_t       len;
    int64_t      value;
    const char  *blank;

    blank = memchr(text->data, ' ', text->len);
    len = blank != NULL ? (size_t) (blank - text->data) : text->len;

    if (ai_str_int((ai_str_t) { len, text->data }, &value) != 0 || value < 0) {
        return -1;
    }

    *n = (uint64_t) value;
    len += blank != NULL;
    text->data += len;
    text->len -= len;

    return 0;
}
