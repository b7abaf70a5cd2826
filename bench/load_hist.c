/*
 * Load generator: histograms with a relative precision of 1/128.
 * Owns nothing.
 */

#include "load.h"


void
load_hist_add(load_hist_t *h, uint64_t ns)
{
    int       shift;
    uint64_t  slot;

    shift = 63 - __builtin_clzll(ns | 1) - LOAD_SUB_BITS;

    if (shift <= 0) {
        slot = ns;

    } else {
        slot = ((uint64_t) shift << LOAD_SUB_BITS) + (ns >> shift);
    }

    if (slot >= LOAD_HIST_SLOTS) {
        slot = LOAD_HIST_SLOTS - 1;
    }

    h->slots[slot]++;
    h->n++;

    if (ns > h->max) {
        h->max = ns;
    }
}


double
load_hist_us(const load_hist_t *h, double q)
{
    uint64_t  i, shift, rank, seen, ns;

    if (h->n == 0) {
        return 0;
    }

    rank = (uint64_t) (q * (double) h->n);

    if ((double) rank < q * (double) h->n) {
        rank++;
    }

    if (rank == 0) {
        rank = 1;
    }

    seen = 0;

    for (i = 0; i < LOAD_HIST_SLOTS; i++) {
        seen += h->slots[i];

        if (seen >= rank) {
            break;
        }
    }

    if (i < (2u << LOAD_SUB_BITS)) {
        ns = i;

    } else {
        shift = (i >> LOAD_SUB_BITS) - 1;
        ns = (((i & ((1u << LOAD_SUB_BITS) - 1)) + (1u << LOAD_SUB_BITS) + 1)
              << shift) - 1;
    }

    if (ns > h->max) {
        ns = h->max;
    }

    return (double) ns / 1000;
}
