/*
 * Circuit breakers: who may be asked.  Owns the entries, in a table by name,
 * and the timer that runs while there are some.
 */

#include "breaker_in.h"

#include <stdlib.h>
#include <string.h>


#define BREAKER_TICK_MSEC   100
#define BREAKER_YOUNG_MSEC  1000


static void breakers_on_timer(uv_timer_t *timer);
static void breakers_on_closed(uv_handle_t *handle);
static int breaker_room(breakers_t *b, char kind);
static void breaker_drop(breakers_t *b, breaker_t **p);
static int breaker_rests(const breakers_t *b, const breaker_t *br);
static uint64_t breaker_left(const breakers_t *b, const breaker_t *br,
    const breaker_call_t *call);
static int breaker_nth(const route_t *route, unsigned i, ai_str_t *key);
static int breaker_benched(breakers_t *b, const breaker_call_t *call,
    unsigned key, uint64_t *msec);
static void breaker_try(breakers_t *b, breaker_kind_e kind, int own,
    const breaker_call_t *call);
static void breaker_roll(const breakers_t *b, breaker_t *br);
static void breaker_trip(breakers_t *b, breaker_t *br, uint64_t msec);
static void breaker_close(breakers_t *b, breaker_t *br);


/* What a call is held against, in the order of looking. */

static const struct {
    breaker_kind_e  kind;
    int             own;
} breaker_kinds[] = {
    { BREAKER_PROVIDER, 0 },
    { BREAKER_MODEL, 0 },
    { BREAKER_MODEL, 1 },
    { BREAKER_KEY, 0 },
    { BREAKER_LIMIT, 0 },
    { BREAKER_DENIAL, 1 }
};

#define BREAKER_ROUTES  3           /* of these, those of a route; then keys */
#define BREAKER_KINDS   6


breakers_t *
breakers_open(worker_t *w)
{
    breakers_t  *b;

    b = calloc(1, sizeof(*b));

    if (b != NULL) {
        b->w = w;
        uv_timer_init(&w->loop.uv, &b->timer);
        b->timer.data = b;
    }

    return b;
}


void
breakers_close(breakers_t *b)
{
    unsigned  i;

    for (i = 0; i < BREAKER_SLOTS; i++) {
        while (b->slots[i] != NULL) {
            breaker_drop(b, &b->slots[i]);
        }
    }

    uv_close((uv_handle_t *) &b->timer, breakers_on_closed);
}


static void
breakers_on_closed(uv_handle_t *handle)
{
    free(handle->data);
}


int
breakers_any(const breakers_t *b)
{
    return b->n != 0;
}


/* Time: what we have counted is told, what has rested is forgotten. */

static void
breakers_on_timer(uv_timer_t *timer)
{
    unsigned      i;
    breaker_t    *br, **p;
    breakers_t   *b;

    b = timer->data;

    for (i = 0; i < BREAKER_SLOTS; i++) {
        p = &b->slots[i];

        while ((br = *p) != NULL) {

            if (br->ours[0] != 0 || br->ours[1] != 0) {
                breaker_tell(b, 'C', br, br->ours[0], br->ours[1]);
                br->ours[0] = 0;
                br->ours[1] = 0;
            }

            if (breaker_rests(b, br)) {

                if (br->times != 0) {
                    breaker_unstore(b, br);
                }

                breaker_drop(b, p);

            } else {
                p = &br->next;
            }
        }
    }

    if (b->n == 0) {
        uv_timer_stop(timer);
    }
}


static int
breaker_rests(const breakers_t *b, const breaker_t *br)
{
    uint64_t  now;

    now = breaker_now(b);

    return now > br->failed_msec + BREAKER_IDLE_MSEC
           && now > br->open_msec + BREAKER_IDLE_MSEC;
}


/* Entries. */

breaker_t *
breaker_of(breakers_t *b, breaker_kind_e kind, int own,
    const breaker_call_t *call)
{
    char  name[BREAKER_NAME_MAX];

    return breaker_find(b, breaker_name(name, kind, own, call));
}


breaker_t *
breaker_find(breakers_t *b, ai_str_t name)
{
    uint64_t    hash;
    breaker_t  *br;

    hash = breaker_hash(name);

    for (br = b->slots[hash % BREAKER_SLOTS]; br != NULL; br = br->next) {
        if (br->hash == hash && br->len == name.len
            && memcmp(br->name, name.data, name.len) == 0)
        {
            return br;
        }
    }

    return NULL;
}


breaker_t *
breaker_make(breakers_t *b, ai_str_t name)
{
    breaker_t  *br;

    if (name.len < 3 || name.len > BREAKER_NAME_MAX || name.data[1] != ' '
        || memchr("pmkld", name.data[0], 5) == NULL)
    {
        return NULL;
    }

    br = breaker_find(b, name);

    if (br != NULL
        || (b->n == BREAKERS_MAX && breaker_room(b, name.data[0]) != 0)
        || (br = calloc(1, sizeof(*br) + name.len)) == NULL)
    {
        return br;
    }

    br->hash = breaker_hash(name);
    br->kind = name.data[0];
    br->len = name.len;
    memcpy(br->name, name.data, name.len);
    br->window_msec = breaker_now(b);
    br->failed_msec = br->window_msec;
    br->next = b->slots[br->hash % BREAKER_SLOTS];
    b->slots[br->hash % BREAKER_SLOTS] = br;

    if (b->n++ == 0) {
        uv_timer_start(&b->timer, breakers_on_timer, BREAKER_TICK_MSEC,
                       BREAKER_TICK_MSEC);
    }

    return br;
}


/* The closed one that failed longest ago, else the one that may be asked again
 * for longest: who may name models of a provider makes as many as it likes.
 * Where all are open, a limit's, which a single call makes for minutes.  0, or
 * -1: there is no room for one of this kind. */

static int
breaker_room(breakers_t *b, char kind)
{
    unsigned    i;
    uint64_t    soonest;
    breaker_t  **p, **oldest, **over, **limit;

    oldest = NULL;
    over = NULL;
    limit = NULL;
    soonest = breaker_now(b);

    for (i = 0; i < BREAKER_SLOTS; i++) {
        for (p = &b->slots[i]; *p != NULL; p = &(*p)->next) {
            if ((*p)->times == 0
                && (oldest == NULL
                    || (*p)->failed_msec < (*oldest)->failed_msec))
            {
                oldest = p;

            } else if ((*p)->times != 0 && (*p)->open_msec <= soonest) {
                soonest = (*p)->open_msec;
                over = p;

            } else if ((*p)->times != 0 && (*p)->kind == BREAKER_LIMIT
                       && kind != BREAKER_LIMIT
                       && (limit == NULL
                           || (*p)->open_msec < (*limit)->open_msec))
            {
                limit = p;
            }
        }
    }

    /* One that counts just now is not worth less than these. */

    if (oldest == NULL
        || (*oldest)->failed_msec + BREAKER_YOUNG_MSEC > breaker_now(b))
    {
        if (over != NULL) {
            breaker_unstore(b, *over);
            oldest = over;

        } else if (limit != NULL || kind == BREAKER_LIMIT) {
            oldest = limit;
        }
    }

    if (oldest == NULL) {
        return -1;
    }

    breaker_drop(b, oldest);

    return 0;
}


static void
breaker_drop(breakers_t *b, breaker_t **p)
{
    breaker_t  *br;

    br = *p;
    *p = br->next;
    b->n--;
    free(br);
}


/* May it be asked? */

breaker_e
breaker_ask(breakers_t *b, const breaker_call_t *call, uint64_t *msec)
{
    size_t      i;
    uint64_t    left, soon;
    ai_str_t    key;
    unsigned    k, set;
    breaker_e   may;
    breaker_t  *br;

    *msec = 0;

    if (b->n == 0) {
        return BREAKER_GO;
    }

    may = BREAKER_GO;

    for (i = 0; i < BREAKER_ROUTES; i++) {
        br = breaker_of(b, breaker_kinds[i].kind, breaker_kinds[i].own, call);

        if (br == NULL || br->times == 0) {
            continue;
        }

        left = breaker_left(b, br, call);

        if (left != 0) {
            *msec = left > *msec ? left : *msec;
            may = BREAKER_NO;

        } else if (may == BREAKER_GO) {
            may = BREAKER_PROBE;
        }
    }

    if (may == BREAKER_NO) {
        return may;
    }

    set = 0;
    soon = UINT64_MAX;

    for (k = 0; k < BREAKER_KEYS_MAX; k++) {
        switch (breaker_nth(call->route, k, &key)) {

        case -1:
            k = BREAKER_KEYS_MAX;
            break;

        case 1:
            set++;

            if (!breaker_benched(b, call, k, &left)) {
                return may;
            }

            soon = left < soon ? left : soon;
            break;

        default:
            break;
        }
    }

    if (set != 0) {
        *msec = soon;
        return BREAKER_KEYS;
    }

    return may;
}


/* Who has tried it in vain waits twice as long: others come first, whose
 * requests may have nothing to do with it. */

static uint64_t
breaker_left(const breakers_t *b, const breaker_t *br,
    const breaker_call_t *call)
{
    uint64_t  now, until;

    now = breaker_now(b);
    until = br->open_msec;

    if (br->prober != 0
        && br->prober == (uint32_t) (breaker_hash(call->tenant) | 1))
    {
        until += br->span_msec;
    }

    return until > now ? until - now : 0;
}


/* As catalog_key: one of the tenant's own is the only one, and its text is said
 * by who has it. */

static int
breaker_nth(const route_t *route, unsigned i, ai_str_t *key)
{
    if (route->own[0] == '\0') {
        return catalog_key(route, i, key);
    }

    *key = ai_str("");

    return i == 0 ? 1 : -1;
}


static int
breaker_benched(breakers_t *b, const breaker_call_t *call, unsigned key,
    uint64_t *msec)
{
    size_t           i;
    uint64_t         now;
    breaker_t       *br;
    breaker_call_t   one;

    *msec = 0;

    if (b->n == 0) {
        return 0;
    }

    one = *call;
    one.key = key;
    now = breaker_now(b);

    for (i = BREAKER_ROUTES; i < BREAKER_KINDS; i++) {
        br = breaker_of(b, breaker_kinds[i].kind, breaker_kinds[i].own, &one);

        if (br != NULL && br->times != 0 && br->open_msec > now + *msec) {
            *msec = br->open_msec - now;
        }
    }

    return *msec != 0;
}


int
breaker_key(breakers_t *b, breaker_call_t *call, ai_str_t *key)
{
    int        rc;
    unsigned   i;
    ai_str_t   one;
    uint64_t   left, least;

    call->key = 0;
    *key = ai_str("");
    least = UINT64_MAX;

    for (i = 0; i < BREAKER_KEYS_MAX; i++) {
        rc = breaker_nth(call->route, i, &one);

        if (rc == -1) {
            break;
        }

        if (rc == 1 && !(call->tried & 1U << i)) {
            breaker_benched(b, call, i, &left);

            if (left < least) {
                least = left;
                *key = one;
                call->key = i;
            }

            if (left == 0) {
                return 1;
            }
        }
    }

    return least != UINT64_MAX ? 1 : i == 0 ? 0 : -1;
}


int
breaker_keys_left(breakers_t *b, const breaker_call_t *call)
{
    int        rc;
    unsigned   i;
    ai_str_t   one;
    uint64_t   left;

    for (i = 0; i < BREAKER_KEYS_MAX; i++) {
        rc = breaker_nth(call->route, i, &one);

        if (rc == -1) {
            return 0;
        }

        if (rc == 1 && !(call->tried & 1U << i)
            && !breaker_benched(b, call, i, &left))
        {
            return 1;
        }
    }

    return 0;
}


/* How calls went. */

void
breaker_failed(breakers_t *b, breaker_kind_e kind, const breaker_call_t *call,
    uint64_t msec)
{
    int         own;
    char        name[BREAKER_NAME_MAX];
    breaker_t  *br;

    own = kind == BREAKER_MODEL || kind == BREAKER_DENIAL;

    if (kind == BREAKER_MODEL) {
        breaker_try(b, kind, 0, call);
    }

    br = breaker_make(b, breaker_name(name, kind, own, call));

    if (br == NULL) {
        return;
    }

    br->failed_msec = breaker_now(b);

    if (kind == BREAKER_KEY || kind == BREAKER_LIMIT) {

        if (br->open_msec <= br->failed_msec) {
            breaker_trip(b, br, msec);
        }

        return;
    }

    br->ours[0]++;

    if (br->times == 0) {
        breaker_count(b, br, 1, 0);

    } else if (kind == BREAKER_DENIAL) {

        if (br->open_msec <= br->failed_msec) {
            breaker_trip(b, br, 0);
        }

    } else {
        breaker_try(b, kind, own, call);
    }
}


/* One that was tried in vain; others that were under way when it opened say no
 * more. */

static void
breaker_try(breakers_t *b, breaker_kind_e kind, int own,
    const breaker_call_t *call)
{
    breaker_t  *br;

    br = breaker_of(b, kind, own, call);

    if (br != NULL && br->times != 0 && call->permit != 0
        && br->open_msec <= breaker_now(b))
    {
        br->prober = kind == BREAKER_MODEL && !own
                     ? (uint32_t) (breaker_hash(call->tenant) | 1) : 0;
        breaker_trip(b, br, 0);
    }
}


void
breaker_worked(breakers_t *b, const breaker_call_t *call, int counts)
{
    size_t      i;
    breaker_t  *br;

    for (i = 0; b->n != 0 && i < BREAKER_KINDS; i++) {
        br = breaker_of(b, breaker_kinds[i].kind, breaker_kinds[i].own, call);

        if (br == NULL) {
            continue;
        }

        if (br->times != 0 && br->open_msec <= breaker_now(b)) {
            breaker_close(b, br);

        } else if (br->times == 0 && counts) {
            br->ours[1]++;
            breaker_count(b, br, 0, 1);
        }
    }
}


/* In a window of its own time, which begins anew when it is over and something
 * has worked: who waits long for each failure is alone with few of them.
 * Denials in a row. */

void
breaker_count(breakers_t *b, breaker_t *br, unsigned failures,
    unsigned successes)
{
    unsigned  most;
    ai_str_t  name;

    breaker_roll(b, br);

    if (br->kind == BREAKER_DENIAL && successes != 0) {
        br->failures = 0;
    }

    br->failures += failures;
    br->successes += successes;

    if (failures == 0) {
        return;
    }

    br->failed_msec = breaker_now(b);
    most = br->kind == BREAKER_DENIAL ? BREAKER_DENIALS : BREAKER_FAILURES;

    if (br->times == 0 && br->kind != BREAKER_KEY && br->kind != BREAKER_LIMIT
        && br->failures >= most
        && (br->kind == BREAKER_DENIAL || br->failures >= br->successes))
    {
        breaker_trip(b, br, 0);
    }

    name = (ai_str_t) { br->len, br->name };

    if (br->kind == BREAKER_MODEL && breaker_common(name).len != 0) {
        breaker_share(b, name, failures);
    }
}


static void
breaker_roll(const breakers_t *b, breaker_t *br)
{
    if (breaker_now(b) > br->window_msec + BREAKER_WINDOW_MSEC
        && br->successes != 0)
    {
        br->window_msec = breaker_now(b);
        br->failures = 0;
        br->successes = 0;
    }
}


/* What one tenant sees may be of its own making: of its failures few count for
 * all, in each window of theirs. */

void
breaker_share(breakers_t *b, ai_str_t name, unsigned failures)
{
    char        own[BREAKER_NAME_MAX];
    breaker_t  *all, *one;

    /* To make the one may take the other's place. */

    memcpy(own, name.data, name.len);
    name.data = own;
    all = breaker_make(b, breaker_common(name));
    one = breaker_find(b, name);

    if (all == NULL || one == NULL || all->times != 0) {
        return;
    }

    breaker_roll(b, all);

    if (one->shared_msec != all->window_msec) {
        one->shared_msec = all->window_msec;
        one->shared = 0;
    }

    failures = failures < BREAKER_SHARE - one->shared
               ? failures : BREAKER_SHARE - one->shared;
    one->shared += failures;
    breaker_count(b, all, failures, 0);
}


static void
breaker_trip(breakers_t *b, breaker_t *br, uint64_t msec)
{
    uint64_t  most;

    most = breaker_most(br->kind);

    if (msec == 0) {
        msec = br->kind == BREAKER_KEY ? BREAKER_BENCH_MSEC : BREAKER_OPEN_MSEC;
        msec <<= br->times;

        if (br->kind == BREAKER_LIMIT) {
            most = BREAKER_OPEN_MAX;
        }
    }

    msec = msec < most ? msec : most;

    if (br->times < BREAKER_TIMES_MAX) {
        br->times++;
    }

    br->span_msec = msec;
    br->open_msec = breaker_now(b) + msec;
    br->failures = 0;
    br->successes = 0;
    br->ours[0] = 0;
    br->ours[1] = 0;

    b->w->metrics.breakers_opened_total++;
    log_write(LOG_WARN, "breaker", "%.*s is %s for %d ms", (int) br->len,
              br->name, br->kind == BREAKER_PROVIDER
                        || br->kind == BREAKER_MODEL ? "open" : "benched",
              (int) msec);
    breaker_tell(b, 'O', br, msec, br->times);
    breaker_store(b, br);
}


static void
breaker_close(breakers_t *b, breaker_t *br)
{
    br->times = 0;
    br->open_msec = 0;
    br->prober = 0;
    br->failures = 0;
    br->successes = 0;
    br->window_msec = breaker_now(b);

    log_write(LOG_INFO, "breaker", "%.*s is closed", (int) br->len, br->name);
    breaker_tell(b, 'X', br, 0, 0);
    breaker_unstore(b, br);
}


uint64_t
breaker_now(const breakers_t *b)
{
    return uv_now(&b->w->loop.uv);
}
