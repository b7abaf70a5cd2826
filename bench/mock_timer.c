/*
 * Mock provider: one timer a connection, in a binary heap.
 * The heap owns nothing; a connection knows its place in it.
 */

#include "mock.h"


static void mock_heap_fix(mock_heap_t *h, unsigned i);


void
mock_timer(mock_heap_t *h, mock_conn_t *c, uint64_t due_ns)
{
    unsigned  i;

    if (due_ns == 0) {

        if (c->due_ns == 0) {
            return;
        }

        i = c->heap_index;
        c->due_ns = 0;
        h->n--;

        if (i < h->n) {
            h->conns[i] = h->conns[h->n];
            h->conns[i]->heap_index = i;
            mock_heap_fix(h, i);
        }

        return;
    }

    if (c->due_ns == 0) {
        c->heap_index = h->n;
        h->conns[h->n++] = c;
    }

    c->due_ns = due_ns;
    mock_heap_fix(h, c->heap_index);
}


static void
mock_heap_fix(mock_heap_t *h, unsigned i)
{
    unsigned      k;
    mock_conn_t  *c;

    c = h->conns[i];

    while (i > 0 && h->conns[(i - 1) / 2]->due_ns > c->due_ns) {
        h->conns[i] = h->conns[(i - 1) / 2];
        h->conns[i]->heap_index = i;
        i = (i - 1) / 2;
    }

    for ( ;; ) {
        k = 2 * i + 1;

        if (k >= h->n) {
            break;
        }

        if (k + 1 < h->n && h->conns[k + 1]->due_ns < h->conns[k]->due_ns) {
            k++;
        }

        if (h->conns[k]->due_ns >= c->due_ns) {
            break;
        }

        h->conns[i] = h->conns[k];
        h->conns[i]->heap_index = i;
        i = k;
    }

    h->conns[i] = c;
    c->heap_index = i;
}
