/*
 * The event loop of a process: libuv, and tasks that run once at the end of a
 * turn, so that everything which became ready in one turn leaves in one write.
 * While there is much of it, turns are made fuller: what may wait goes once a
 * millisecond.  Single-threaded; nothing here may be called from another
 * thread.
 */

#ifndef LOOP_H
#define LOOP_H

#include <stdint.h>
#include <uv.h>

#define LOOP_MANY  6            /* tasks a ms: the next ms' wait for its end */

typedef struct loop_task_s  loop_task_t;

/* Embedded in what it belongs to; zeroed before the first use. */
struct loop_task_s {
    void        (*run)(void *data);
    void         *data;
    loop_task_t  *next;
    loop_task_t **prev;         /* NULL: not waiting */
};

/* Order within the end of a turn: a stage sees what earlier ones queued. */
typedef enum {
    LOOP_GATHER = 0,            /* build commands that may wait for others, at
                                 * most until the clock's next ms */
    LOOP_WORK,                  /* build commands */
    LOOP_FLUSH,                 /* write them */
    LOOP_STAGES
} loop_stage_e;

typedef struct {
    uv_loop_t     uv;           /* for uv_*_init of any handle */
    uv_prepare_t  prepare;
    uv_check_t    check;
    loop_task_t  *tasks[LOOP_STAGES];
    loop_task_t **tails[LOOP_STAGES];
    uv_timer_t    timer;        /* while gathered tasks wait */
    uint64_t      msec;         /* the ms at hand, */
    unsigned      gathered;     /* tasks that were gathered in it, */
    unsigned      before;       /* and in the one before */
    uint64_t      ran_msec;     /* the ms in which some of them ran last */
} loop_t;

/* 0 or -1. */
int loop_init(loop_t *loop);
/* Runs until loop_stop. */
void loop_run(loop_t *loop);
void loop_stop(loop_t *loop);
/* After loop_run: closes every handle that is left, and the loop. */
void loop_close(loop_t *loop);

/* Runs task->run once at the end of this turn, or, gathered while there are
 * many, of the first one of the next ms; a task waiting already stays. */
void loop_defer(loop_t *loop, loop_stage_e stage, loop_task_t *task);
/* Takes back a task that waits, else nothing.  Before its memory is freed. */
void loop_undefer(loop_t *loop, loop_task_t *task);

/* Microseconds: of this turn's monotonic clock (cheap), of the wall clock. */
uint64_t loop_now_usec(loop_t *loop);
uint64_t loop_wall_usec(void);

#endif
