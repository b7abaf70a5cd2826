/*
 * The event loop of a process: libuv and the tasks of the end of a turn.
 * Owns the prepare and the check handle; tasks belong to their makers.
 */

#include "loop.h"

#include <time.h>


static void loop_run_stage(loop_t *loop, loop_stage_e stage);
static void loop_end_turn(loop_t *loop);
static int loop_gathers(loop_t *loop);
static void loop_tick(loop_t *loop);
static void loop_on_timer(uv_timer_t *timer);
static void loop_on_prepare(uv_prepare_t *handle);
static void loop_on_check(uv_check_t *handle);
static void loop_close_handle(uv_handle_t *handle, void *arg);


int
loop_init(loop_t *loop)
{
    unsigned  i;

    if (uv_loop_init(&loop->uv) != 0) {
        return -1;
    }

    for (i = 0; i < LOOP_STAGES; i++) {
        loop->tasks[i] = NULL;
        loop->tails[i] = &loop->tasks[i];
    }

    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    uv_timer_init(&loop->uv, &loop->timer);
    loop->msec = 0;
    loop->gathered = 0;
    loop->before = 0;
    loop->ran_msec = 0;
    loop->prepare.data = loop;
    loop->check.data = loop;
    uv_prepare_start(&loop->prepare, loop_on_prepare);
    uv_check_start(&loop->check, loop_on_check);

    return 0;
}


void
loop_run(loop_t *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}


void
loop_stop(loop_t *loop)
{
    uv_stop(&loop->uv);
}


void
loop_close(loop_t *loop)
{
    uv_walk(&loop->uv, loop_close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
}


static void
loop_close_handle(uv_handle_t *handle, void *arg)
{
    (void) arg;

    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}


void
loop_defer(loop_t *loop, loop_stage_e stage, loop_task_t *task)
{
    if (task->prev != NULL) {
        return;
    }

    if (stage == LOOP_GATHER) {
        loop_tick(loop);
        loop->gathered++;
    }

    task->next = NULL;
    task->prev = loop->tails[stage];
    *task->prev = task;
    loop->tails[stage] = &task->next;
}


void
loop_undefer(loop_t *loop, loop_task_t *task)
{
    unsigned  i;

    if (task->prev == NULL) {
        return;
    }

    *task->prev = task->next;

    if (task->next != NULL) {
        task->next->prev = task->prev;

    } else {
        for (i = 0; i < LOOP_STAGES; i++) {
            if (loop->tails[i] == &task->next) {
                loop->tails[i] = task->prev;
            }
        }
    }

    task->prev = NULL;
    task->next = NULL;
}


uint64_t
loop_now_usec(loop_t *loop)
{
    (void) loop;

    return uv_hrtime() / 1000;
}


uint64_t
loop_wall_usec(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


static void
loop_on_prepare(uv_prepare_t *handle)
{
    loop_end_turn(handle->data);
}


static void
loop_on_check(uv_check_t *handle)
{
    loop_end_turn(handle->data);
}


static void
loop_end_turn(loop_t *loop)
{
    unsigned  i;

    i = loop_gathers(loop) ? LOOP_GATHER + 1 : LOOP_GATHER;

    for ( ; i < LOOP_STAGES; i++) {
        loop_run_stage(loop, i);
    }
}


/*
 * Whether what is gathered waits for the clock's next ms.  A turn costs each
 * process on the way more than what is done in it, so that many with one task
 * are queues for the processors; few tasks gain nothing and go at once.
 */

static int
loop_gathers(loop_t *loop)
{
    if (loop->tasks[LOOP_GATHER] == NULL) {
        return 0;
    }

    loop_tick(loop);

    if (loop->before <= LOOP_MANY || loop->ran_msec != loop->msec) {
        loop->ran_msec = loop->msec;
        return 0;
    }

    if (!uv_is_active((uv_handle_t *) &loop->timer)) {
        uv_timer_start(&loop->timer, loop_on_timer, 1, 0);
    }

    return 1;
}


static void
loop_tick(loop_t *loop)
{
    uint64_t  now;

    now = uv_now(&loop->uv);

    if (now != loop->msec) {
        loop->before = now == loop->msec + 1 ? loop->gathered : 0;
        loop->gathered = 0;
        loop->msec = now;
    }
}


/* It only ends the turn. */

static void
loop_on_timer(uv_timer_t *timer)
{
    (void) timer;
}


/* What a task defers to its own stage waits for the next turn. */

static void
loop_run_stage(loop_t *loop, loop_stage_e stage)
{
    loop_task_t  *head, *task;

    head = loop->tasks[stage];

    if (head == NULL) {
        return;
    }

    head->prev = &head;
    loop->tasks[stage] = NULL;
    loop->tails[stage] = &loop->tasks[stage];

    while (head != NULL) {
        task = head;
        head = task->next;

        if (head != NULL) {
            head->prev = &head;
        }

        task->prev = NULL;
        task->next = NULL;
        task->run(task->data);
    }
}
