/*
 * Circuit breakers: who may be asked.  Owns the entries, in a table by name,
 * and the timer that runs while there are some.
 */

#include "breaker_in.h"

#include <stdlib.h>
#include <string.h>


#define BREAKER_TICK_MSEC  100


static void breakers_on_timer(uv_timer_t *timer);
static void breakers_on_closed(uv_handle_t *handle);
static uint64_t breaker_mix(uint64_t hash, ai_str_t s);
static int breaker_room(breakers_t *b);
static void breaker_drop(breakers_t *b, breaker_t **p);
static int breaker_rests(const breakers_t *b, const breaker_t *br);
static int breaker_nth(const route_t *route, unsigned i, ai_str_t *key);
static int breaker_benched(breakers_t *b, const route_t *route,
    unsigned index, uint64_t *msec);
static void breaker_trip(breakers_t *b, breaker_t *br, uint64_t msec);
static void breaker_close(breakers_t *b, breaker_t *br);


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

ai_str_t
breaker_name(char *buf, breaker_kind_e kind, const route_t *route,
    unsigned index)
{
    size_t         i;
    ai_buf_t       b;
    uint64_t       tag;
    const char    *z;
    const json_t  *item;

    tag = 14695981039346656037u;

    json_array_foreach(json_object_get(route->conf, "url"), i, item) {
        z = json_string_value(item);
        tag = breaker_mix(tag, (ai_str_t) { z != NULL ? strlen(z) : 0, z });
    }

    ai_buf_init(&b, buf, BREAKER_NAME_MAX);
    ai_buf_add(&b, (char[2]) { (char) kind, ' ' }, 2);
    ai_buf_add_str(&b, route->provider);

    if (kind == BREAKER_MODEL || kind == BREAKER_LIMIT) {
        ai_buf_add_z(&b, "/");
        ai_buf_add_str(&b, route->model);
    }

    if (kind == BREAKER_KEY || kind == BREAKER_LIMIT) {
        ai_buf_add_z(&b, "#");

        if (route->own[0] != '\0') {
            ai_buf_add_z(&b, route->own);

        } else {
            ai_buf_add_int(&b, index);
        }
    }

    ai_buf_add_z(&b, "@");
    ai_buf_add_int(&b, (int64_t) (tag >> 1));

    return (ai_str_t) { b.full ? 0 : ai_buf_len(&b), buf };
}


uint64_t
breaker_hash(ai_str_t name)
{
    return breaker_mix(14695981039346656037u, name);
}


static uint64_t
breaker_mix(uint64_t hash, ai_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        hash = (hash ^ (unsigned char) s.data[i]) * 1099511628211u;
    }

    return (hash ^ 0xff) * 1099511628211u;
}


breaker_t *
breaker_of(breakers_t *b, breaker_kind_e kind, const route_t *route,
    unsigned index)
{
    char  name[BREAKER_NAME_MAX];

    return breaker_find(b, breaker_name(name, kind, route, index));
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
        || memchr("pmkl", name.data[0], 4) == NULL)
    {
        return NULL;
    }

    br = breaker_find(b, name);

    if (br != NULL || (b->n == BREAKERS_MAX && breaker_room(b) != 0)
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
 * for longest: who may name models of a provider makes as many as it likes.  0,
 * or -1 where all are open. */

static int
breaker_room(breakers_t *b)
{
    unsigned    i;
    uint64_t    soonest;
    breaker_t  **p, **oldest, **over;

    oldest = NULL;
    over = NULL;
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
            }
        }
    }

    if (oldest == NULL && over != NULL) {
        breaker_unstore(b, *over);
        oldest = over;
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
breaker_ask(breakers_t *b, const route_t *route, uint64_t *msec)
{
    size_t      i;
    uint64_t    now, left, soon;
    ai_str_t    key;
    unsigned    set;
    breaker_e   may;
    breaker_t  *br;

    static const breaker_kind_e  kinds[] = {
        BREAKER_PROVIDER, BREAKER_MODEL
    };

    *msec = 0;

    if (b->n == 0) {
        return BREAKER_GO;
    }

    may = BREAKER_GO;
    now = breaker_now(b);

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        br = breaker_of(b, kinds[i], route, 0);

        if (br == NULL || br->times == 0) {
            continue;
        }

        if (now < br->open_msec) {
            *msec = br->open_msec - now > *msec ? br->open_msec - now : *msec;
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

    for (i = 0; i < BREAKER_KEYS_MAX; i++) {
        switch (breaker_nth(route, (unsigned) i, &key)) {

        case -1:
            i = BREAKER_KEYS_MAX;
            break;

        case 1:
            set++;

            if (!breaker_benched(b, route, (unsigned) i, &left)) {
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
breaker_benched(breakers_t *b, const route_t *route, unsigned index,
    uint64_t *msec)
{
    size_t      i;
    uint64_t    now;
    breaker_t  *br;

    static const breaker_kind_e  kinds[] = { BREAKER_KEY, BREAKER_LIMIT };

    *msec = 0;

    if (b->n == 0) {
        return 0;
    }

    now = breaker_now(b);

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        br = breaker_of(b, kinds[i], route, index);

        if (br != NULL && br->times != 0 && br->open_msec > now + *msec) {
            *msec = br->open_msec - now;
        }
    }

    return *msec != 0;
}


int
breaker_key(breakers_t *b, const route_t *route, ai_str_t *key,
    unsigned *index)
{
    int        rc;
    unsigned   i;
    ai_str_t   one;
    uint64_t   left, least;

    *index = 0;
    *key = ai_str("");
    least = UINT64_MAX;

    for (i = 0; i < BREAKER_KEYS_MAX; i++) {
        rc = breaker_nth(route, i, &one);

        if (rc == -1) {
            break;
        }

        if (rc == 1) {
            breaker_benched(b, route, i, &left);

            if (left < least) {
                least = left;
                *key = one;
                *index = i;
            }

            if (left == 0) {
                return 1;
            }
        }
    }

    return least != UINT64_MAX ? 1 : i == 0 ? 0 : -1;
}


int
breaker_keys_left(breakers_t *b, const route_t *route, unsigned index)
{
    int        rc;
    unsigned   i;
    ai_str_t   one;
    uint64_t   left;

    for (i = 0; i < BREAKER_KEYS_MAX; i++) {
        rc = breaker_nth(route, i, &one);

        if (rc == -1) {
            return 0;
        }

        if (rc == 1 && i != index && !breaker_benched(b, route, i, &left)) {
            return 1;
        }
    }

    return 0;
}


/* How calls went. */

void
breaker_failed(breakers_t *b, breaker_kind_e kind, const route_t *route,
    unsigned index, uint64_t msec)
{
    char        name[BREAKER_NAME_MAX];
    breaker_t  *br;

    br = breaker_make(b, breaker_name(name, kind, route, index));

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

    if (br->times != 0) {

        /* A probe; others that were under way when it opened say no more. */

        if (br->open_msec <= br->failed_msec) {
            breaker_trip(b, br, 0);
        }

        return;
    }

    breaker_count(b, br, 1, 0);
}


void
breaker_worked(breakers_t *b, const route_t *route, unsigned index)
{
    size_t      i;
    breaker_t  *br;

    static const breaker_kind_e  kinds[] = {
        BREAKER_PROVIDER, BREAKER_MODEL, BREAKER_KEY, BREAKER_LIMIT
    };

    for (i = 0; b->n != 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        br = breaker_of(b, kinds[i], route, index);

        if (br == NULL) {
            continue;
        }

        if (br->times != 0 && br->open_msec <= breaker_now(b)) {
            breaker_close(b, br);

        } else if (br->times == 0) {
            br->ours[1]++;
            breaker_count(b, br, 0, 1);
        }
    }
}


/* In a window of its own time, which begins anew when it is over. */

void
breaker_count(breakers_t *b, breaker_t *br, unsigned failures,
    unsigned successes)
{
    uint64_t  now;

    now = breaker_now(b);

    if (now > br->window_msec + BREAKER_WINDOW_MSEC) {
        br->window_msec = now;
        br->failures = 0;
        br->successes = 0;
    }

    br->failures += failures;
    br->successes += successes;

    if (failures != 0) {
        br->failed_msec = now;
    }

    if (br->times == 0 && failures != 0
        && (br->kind == BREAKER_PROVIDER || br->kind == BREAKER_MODEL)
        && br->failures >= BREAKER_FAILURES
        && br->failures >= br->successes)
    {
        breaker_trip(b, br, 0);
    }
}


static void
breaker_trip(breakers_t *b, breaker_t *br, uint64_t msec)
{
    int       key;
    uint64_t  most;

    key = br->kind == BREAKER_KEY || br->kind == BREAKER_LIMIT;
    most = key ? BREAKER_BENCH_MAX : BREAKER_OPEN_MAX;

    if (msec == 0) {
        msec = br->kind == BREAKER_KEY ? BREAKER_BENCH_MSEC
               : br->kind == BREAKER_LIMIT ? BREAKER_LIMIT_MSEC
                                           : BREAKER_OPEN_MSEC;
        msec <<= br->times;
    }

    msec = msec < most ? msec : most;

    if (br->times < BREAKER_TIMES_MAX) {
        br->times++;
    }

    br->open_msec = breaker_now(b) + msec;
    br->failures = 0;
    br->successes = 0;
    br->ours[0] = 0;
    br->ours[1] = 0;

    b->w->metrics.breakers_opened_total++;
    log_write(LOG_WARN, "breaker", "%.*s is %s for %d ms", (int) br->len,
              br->name, key ? "benched" : "open", (int) msec);
    breaker_tell(b, 'O', br, msec, br->times);
    breaker_store(b, br);
}


static void
breaker_close(breakers_t *b, breaker_t *br)
{
    br->times = 0;
    br->open_msec = 0;
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
