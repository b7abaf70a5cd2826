/*
 * The worker's reading end of ai1:lookup: one connection that blocks in
 * XREADGROUP.  Owns that connection.
 */

#ifndef QUEUE_H
#define QUEUE_H

#include "worker.h"

#define QUEUE_BLOCK_MSEC  1000
#define QUEUE_COUNT_MAX   32        /* entries a read */

typedef struct queue_s  queue_t;

/* NULL: no memory. */
queue_t *queue_open(worker_t *w);
/* The worker is heard: begin, or go on. */
void queue_start(queue_t *q);
/* Take no more. */
void queue_stop(queue_t *q);
/* 1 when no read is under way any more. */
int queue_idle(const queue_t *q);
void queue_close(queue_t *q);

#endif
