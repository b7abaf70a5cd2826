/*
 * How targets have done of late.  Owns the entries, in a table by name.
 */

#include "target.h"

#include <stdlib.h>
#include <string.h>


#define TARGET_SLOTS  256


typedef struct {
    double     mean;            /* µs; 0: none */
    double     high;            /* what 95 % stay below */
    unsigned   n;
    uint64_t   msec;            /* of the last */
} target_time_t;

struct target_s {
    target_t       *next;
    unsigned        busy;
    uint64_t        msec;       /* last call */
    target_time_t   times[2];   /* of objects, of streams */
    size_t          provider;   /* length of that part of name */
    size_t          len;
    char            name[];
};

struct targets_s {
    worker_t       *w;
    unsigned        n;
    target_t       *slots[TARGET_SLOTS];
};


static target_t **target_slot(targets_t *t, ai_str_t provider,
    ai_str_t model);
static target_t *target_find(targets_t *t, ai_str_t provider,
    ai_str_t model);
static int target_room(targets_t *t);


targets_t *
targets_open(worker_t *w)
{
    targets_t  *t;

    t = calloc(1, sizeof(*t));

    if (t != NULL) {
        t->w = w;
    }

    return t;
}


void
targets_free(targets_t *t)
{
    unsigned   i;
    target_t  *target;

    for (i = 0; i < TARGET_SLOTS; i++) {
        while ((target = t->slots[i]) != NULL) {
            t->slots[i] = target->next;
            free(target);
        }
    }

    free(t);
}


static target_t **
target_slot(targets_t *t, ai_str_t provider, ai_str_t model)
{
    size_t    i;
    uint64_t  hash;

    hash = 14695981039346656037u;

    for (i = 0; i < provider.len; i++) {
        hash = (hash ^ (unsigned char) provider.data[i]) * 1099511628211u;
    }

    for (i = 0; i < model.len; i++) {
        hash = (hash ^ (unsigned char) model.data[i]) * 1099511628211u;
    }

    return &t->slots[hash % TARGET_SLOTS];
}


static target_t *
target_find(targets_t *t, ai_str_t provider, ai_str_t model)
{
    target_t  *target;

    for (target = *target_slot(t, provider, model);
         target != NULL;
         target = target->next)
    {
        if (target->provider == provider.len
            && target->len == provider.len + model.len
            && memcmp(target->name, provider.data, provider.len) == 0
            && memcmp(target->name + provider.len, model.data, model.len)
               == 0)
        {
            return target;
        }
    }

    return NULL;
}


target_t *
target_began(targets_t *t, const route_t *route)
{
    size_t      len;
    target_t  **slot, *target;

    target = target_find(t, route->provider, route->model);

    if (target == NULL) {
        len = route->provider.len + route->model.len;

        if ((t->n == TARGETS_MAX && target_room(t) != 0)
            || (target = calloc(1, sizeof(*target) + len)) == NULL)
        {
            return NULL;
        }

        target->provider = route->provider.len;
        target->len = len;
        memcpy(target->name, route->provider.data, route->provider.len);
        memcpy(target->name + route->provider.len, route->model.data,
               route->model.len);
        slot = target_slot(t, route->provider, route->model);
        target->next = *slot;
        *slot = target;
        t->n++;
    }

    target->busy++;
    target->msec = uv_now(&t->w->loop.uv);

    return target;
}


/* The one without calls that has rested longest: 0, or -1 where all have. */

static int
target_room(targets_t *t)
{
    unsigned    i;
    target_t  **p, **oldest, *target;

    oldest = NULL;

    for (i = 0; i < TARGET_SLOTS; i++) {
        for (p = &t->slots[i]; *p != NULL; p = &(*p)->next) {
            if ((*p)->busy == 0
                && (oldest == NULL || (*p)->msec < (*oldest)->msec))
            {
                oldest = p;
            }
        }
    }

    if (oldest == NULL) {
        return -1;
    }

    target = *oldest;
    *oldest = target->next;
    free(target);
    t->n--;

    return 0;
}


void
target_ended(target_t *target)
{
    target->busy--;
}


void
target_took(targets_t *t, target_t *target, int stream, uint64_t usec)
{
    double          value, step;
    target_time_t  *time;

    time = &target->times[stream != 0];
    value = usec != 0 ? (double) usec : 1;

    if (time->n == 0
        || uv_now(&t->w->loop.uv) > time->msec + TARGET_FRESH_MSEC)
    {
        time->mean = value;
        time->high = value;
        time->n = 0;
    }

    /* One in twenty lies above where the second stays. */

    step = time->high / TARGET_PART;
    time->mean += (value - time->mean) / TARGET_PART;
    time->high += value > time->high ? step * 0.95 : -step * 0.05;
    time->msec = uv_now(&t->w->loop.uv);
    time->n++;
}


unsigned
target_busy(targets_t *t, ai_str_t provider, ai_str_t model)
{
    target_t  *target;

    target = target_find(t, provider, model);

    return target != NULL ? target->busy : 0;
}


uint64_t
target_mean(targets_t *t, ai_str_t provider, ai_str_t model, int stream)
{
    target_t             *target;
    const target_time_t  *time;

    target = target_find(t, provider, model);

    if (target == NULL) {
        return 0;
    }

    time = &target->times[stream != 0];

    return time->n != 0
           && uv_now(&t->w->loop.uv) <= time->msec + TARGET_FRESH_MSEC
           ? (uint64_t) time->mean : 0;
}


uint64_t
target_p95(const target_t *target, int stream)
{
    const target_time_t  *time;

    time = &target->times[stream != 0];

    return time->n >= TARGET_ENOUGH ? (uint64_t) time->high : 0;
}
