/*
 * Circuit breakers: what workers tell each other, over one channel and for
 * those that come later in one hash, and who may try one that was open.
 * Messages name who says them:
 *
 *     C <id> <failures> <successes> <name>
 *     O <id> <ms> <times> <tried> <name>   open, or benched, for so long
 *     X <id> <name>                        closed
 */

#include "breaker_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai_keys.h"


static void breakers_on_ready(redis_t *rc, ai_resp_t *reply, void *data);
static int breaker_stored(breakers_t *b, ai_str_t name, ai_str_t value);
static breaker_t *breaker_half(breakers_t *b, const breaker_call_t *call);
static size_t breaker_permit(char *buf, size_t size, uint64_t hash);
static size_t breaker_prober(const breakers_t *b, char *buf, size_t size,
    ai_str_t id);
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
    ai_str_t     name, argv[3];
    breakers_t  *b;

    (void) rc;

    b = data;

    if (reply == NULL || reply->type != AI_RESP_ARRAY) {
        return;
    }

    argv[0] = ai_str("HDEL");
    argv[1] = ai_str(AI_BREAKERS_KEY);

    for (i = 0; i + 1 < reply->elements && i / 2 < BREAKERS_MAX; i += 2) {
        name = redis_str(redis_item(reply, i));

        if (breaker_stored(b, name, redis_str(redis_item(reply, i + 1))) != 0) {
            argv[2] = name;
            redis_command(b->w->redis, NULL, NULL, 3, argv);
        }
    }
}


/* -1: it is no breaker's, or over; who would take it away may be dead. */

static int
breaker_stored(breakers_t *b, ai_str_t name, ai_str_t value)
{
    uint64_t    until, times, wall;
    breaker_t  *br;

    wall = loop_wall_usec() / 1000;

    if (name.len < 3 || breaker_number(&value, &until) != 0
        || breaker_number(&value, &times) != 0 || times == 0
        || until > wall + breaker_most(name.data[0])
        || until + BREAKER_IDLE_MSEC < wall)
    {
        return -1;
    }

    br = b->n < BREAKERS_MAX ? breaker_make(b, name) : NULL;

    if (br != NULL && br->times == 0) {
        br->times = times < BREAKER_TIMES_MAX ? (unsigned) times
                                              : BREAKER_TIMES_MAX;
        br->open_msec = breaker_now(b) + (until > wall ? until - wall : 0);
    }

    return 0;
}


void
breakers_heard(breakers_t *b, ai_str_t text)
{
    int          closed;
    char         letter;
    ai_str_t     id;
    uint64_t     one, two, three;
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
    three = 0;

    if (ai_str_eqz(id, b->w->id)
        || (letter != 'X' && (breaker_number(&text, &one) != 0
                              || breaker_number(&text, &two) != 0))
        || (letter == 'O' && breaker_number(&text, &three) != 0))
    {
        return;
    }

    br = letter == 'X' ? breaker_find(b, text) : breaker_make(b, text);

    if (br == NULL) {
        return;
    }

    switch (letter) {

    case 'C':

        /* What counts for all is worked out of what tenants see. */

        if (one <= 1000000 && two <= 1000000
            && (one == 0 || br->kind != BREAKER_MODEL
                || breaker_common(text).len != 0))
        {
            breaker_count(b, br, (unsigned) one, (unsigned) two);
        }

        break;

    case 'O':
        if (one <= breaker_most(br->kind) && two != 0
            && two <= BREAKER_TIMES_MAX && three <= UINT32_MAX)
        {
            closed = br->times == 0;
            br->span_msec = one;
            br->prober = (uint32_t) three;
            one += breaker_now(b);
            br->open_msec = one > br->open_msec ? one : br->open_msec;
            br->times = (unsigned) two;
            br->failures = 0;
            br->successes = 0;

            /* It was tripped by failures, which may not all have been told. */

            if (closed && br->kind == BREAKER_MODEL
                && breaker_common(text).len != 0)
            {
                breaker_share(b, text, BREAKER_SHARE);
            }
        }

        break;

    case 'X':
        br->times = 0;
        br->open_msec = 0;
        br->prober = 0;
        br->failures = 0;
        br->successes = 0;
        br->window_msec = breaker_now(b);
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

    n = snprintf(text, sizeof(text), "%c %s ", letter, b->w->id);

    if (letter != 'X') {
        n += snprintf(text + n, sizeof(text) - (size_t) n, "%u %u ",
                      (unsigned) one, (unsigned) two);
    }

    if (letter == 'O') {
        n += snprintf(text + n, sizeof(text) - (size_t) n, "%u ",
                      (unsigned) br->prober);
    }

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
    ai_str_t  argv[3];

    argv[0] = ai_str("open");
    argv[1] = (ai_str_t) { br->len, br->name };
    argv[2].data = value;
    argv[2].len = (size_t) snprintf(value, sizeof(value), "%llu %u",
                                    (unsigned long long)
                                    (loop_wall_usec() / 1000 + br->open_msec
                                     - breaker_now(b)), br->times);
    redis_script(b->w->redis, AI_SCRIPT_BREAKER, ai_str(AI_GLOBAL_PREFIX),
                 NULL, NULL, 3, argv);
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
breaker_half(breakers_t *b, const breaker_call_t *call)
{
    breaker_t  *br;

    br = breaker_of(b, BREAKER_PROVIDER, 0, call);

    if (br == NULL || br->times == 0) {
        br = breaker_of(b, BREAKER_MODEL, 0, call);
    }

    if (br == NULL || br->times == 0) {
        br = breaker_of(b, BREAKER_MODEL, 1, call);
    }

    return br != NULL && br->times != 0 ? br : NULL;
}


static size_t
breaker_permit(char *buf, size_t size, uint64_t hash)
{
    return (size_t) snprintf(buf, size, "%s:%016llx", AI_BREAKERS_KEY,
                             (unsigned long long) hash);
}


static size_t
breaker_prober(const breakers_t *b, char *buf, size_t size, ai_str_t id)
{
    return (size_t) snprintf(buf, size, "%s %.*s", b->w->id, (int) id.len,
                             id.data);
}


int
breaker_probe(breakers_t *b, breaker_call_t *call, ai_str_t id,
    redis_reply_pt done, void *data)
{
    char        key[AI_KEY_MAX], name[AI_PROCESS_ID_MAX + AI_JOB_ID_LEN + 8];
    char        msec[24];
    ai_str_t    argv[6];
    breaker_t  *br;

    br = breaker_half(b, call);

    if (br == NULL) {
        return -1;
    }

    call->permit = br->hash;

    argv[0] = ai_str("SET");
    argv[1].data = key;
    argv[1].len = breaker_permit(key, sizeof(key), call->permit);
    argv[2].data = name;
    argv[2].len = breaker_prober(b, name, sizeof(name), id);
    argv[3] = ai_str("NX");
    argv[4] = ai_str("PX");
    argv[5].data = msec;
    argv[5].len = (size_t) snprintf(msec, sizeof(msec), "%d",
                                    BREAKER_PROBE_MSEC);

    return redis_command(b->w->redis, done, data, 6, argv);
}


/* By then it may be another's. */

void
breaker_unprobe(breakers_t *b, uint64_t permit, ai_str_t id)
{
    char      key[AI_KEY_MAX], name[AI_PROCESS_ID_MAX + AI_JOB_ID_LEN + 8];
    ai_str_t  argv[3];

    argv[0] = ai_str("give");
    argv[1].data = key;
    argv[1].len = (size_t) snprintf(key, sizeof(key), "%016llx",
                                    (unsigned long long) permit);
    argv[2].data = name;
    argv[2].len = breaker_prober(b, name, sizeof(name), id);
    redis_script(b->w->redis, AI_SCRIPT_BREAKER, ai_str(AI_GLOBAL_PREFIX),
                 NULL, NULL, 3, argv);
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
